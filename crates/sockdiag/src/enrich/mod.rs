//! What sockets do not say about themselves: names for their numbers.
//!
//! Looking up and reading are two steps.  [`Enricher::prepare`] does the I/O
//! for one socket, [`Enricher::row`] only reads what is known by then, so a
//! row borrows the enricher and is cheap.  Every answer is kept, also that
//! there is none: a number is asked about once.
//!
//! Source: fields of ss(8) that are names: services, interfaces, cgroups, hosts.

mod bpf_maps;
mod cgroups;
mod contexts;
mod hosts;
mod interfaces;
mod lookups;
mod netlink;
mod peers;
mod people;
mod processes;
mod rpc;
mod services;
mod workloads;

pub use bpf_maps::BpfMaps;
pub(crate) use interfaces::indices_of_one_domain;
pub use lookups::SystemLookups;
pub use processes::HolderSearch;

use sockdiag_wire::inet_diag::InetAttrs;

use crate::fields::{self, Needs};
use crate::model::{
    Addr, AddressBook, ContextBook, Endpoint, HolderBook, HostBook, Layout, Names, Netns, Origin, Peer,
    PeopleBook, Row, Socket, SourceKind, Table, Workload,
};
use crate::notice::Notice;
use crate::source::Sources;

use cgroups::Cgroups;
use contexts::Contexts;
use hosts::Hosts;
use interfaces::Interfaces;
use netlink::NetlinkNames;
use peers::Peers;
use people::People;
use processes::Processes;
use rpc::RpcNames;
use services::Services;
use workloads::Workloads;

/// What is to be looked up.
#[derive(Clone, Copy, Debug)]
pub struct EnrichConfig<'s> {
    /// What the fields that are shown need; other look-ups are not made.
    pub needs: Needs,
    /// `-n`: no service names.
    pub numeric: bool,
    /// `-r`: names of hosts, also with `-n`, and of RPC services, unless `-n`.
    pub resolve: bool,
    /// Whether the path of cgroup id 0 is shown too, as `--cgroup` does and
    /// `-e` does not.  There is none, which earns a notice.
    pub cgroup_zero: bool,
    /// Whether `-e` is on, which shows the path of a cgroup as well.
    pub extended: bool,
    /// `-T`: every thread of a process that holds a socket, not only the first.
    pub threads: bool,
    /// How the holders of sockets are looked for.
    pub holder_search: HolderSearch,
    /// The namespaces that are listed, where there are several: their numbers
    /// are the places in this list.
    pub places: &'s [Netns],
    /// Where to read.
    pub sources: &'s Sources,
}

const TCP: u16 = 6;
const UDP: u16 = 17;
const RAW: u16 = 255;
const SCTP: u16 = 132;

/// Looks names up, and keeps them.
#[derive(Debug)]
pub struct Enricher {
    bpf_maps: BpfMaps,
    cgroup_zero: bool,
    extended: bool,
    services: Option<Services>,
    interfaces: Option<Interfaces>,
    netlink: Option<NetlinkNames>,
    cgroups: Option<Cgroups>,
    hosts: Option<Hosts>,
    processes: Option<Processes>,
    contexts: Option<Contexts>,
    people: Option<People>,
    peers: Option<Peers>,
    workloads: Option<Workloads>,
    /// Whether addresses of interfaces are wanted.
    addresses: bool,
    /// Whether nothing is looked up for a row but the name of its interface: a
    /// million rows are then not asked what each of the others has to say.
    plain: bool,
    places: Vec<Netns>,
    /// The number of the namespace that rows belong to.
    place: u32,
    /// Whether command lines are wanted, not only the names of owners.
    commands: bool,
    /// The last table begun that has services of its own: raw, udp or tcp.
    services_of: Option<u16>,
    /// Inode of the inet socket prepared last; 0 none.
    inode: u32,
    /// Whether the socket prepared last has the inode of the one before it.
    association: bool,
}

impl Enricher {
    /// An enricher that has looked nothing up yet, except for RPC services.
    pub fn new(config: &EnrichConfig<'_>) -> Self {
        let wanted = |need| config.needs.has(need);
        let services = wanted(Needs::SERVICES) && !config.numeric;
        let rpc = if services && config.resolve { RpcNames::ask() } else { RpcNames::default() };
        let mut enricher = Self {
            bpf_maps: BpfMaps::default(),
            cgroup_zero: config.cgroup_zero,
            extended: config.extended,
            services: services.then(|| Services::new(config.sources.port_range(), rpc)),
            interfaces: (wanted(Needs::INTERFACES) || wanted(Needs::ADDRESSES)).then(Interfaces::default),
            netlink: (wanted(Needs::NETLINK_NAMES) && !config.numeric)
                .then(|| NetlinkNames::new(config.sources)),
            cgroups: wanted(Needs::CGROUPS).then(Cgroups::default),
            hosts: (wanted(Needs::HOSTS) && config.resolve).then(Hosts::default),
            processes: wanted(Needs::PROCESSES)
                .then(|| Processes::new(config.sources, config.threads, config.holder_search)),
            contexts: wanted(Needs::CONTEXTS).then(|| Contexts::new(config.sources)),
            people: (wanted(Needs::USERS) || wanted(Needs::COMMANDS)).then(|| People::new(config.sources)),
            commands: wanted(Needs::COMMANDS),
            peers: wanted(Needs::PEERS).then(Peers::default),
            workloads: wanted(Needs::WORKLOADS).then(|| Workloads::new(config.sources)),
            addresses: wanted(Needs::ADDRESSES),
            plain: false,
            places: config.places.to_vec(),
            place: 0,
            services_of: None,
            inode: 0,
            association: false,
        };
        let Self { services, netlink, cgroups, hosts, processes, contexts, people, .. } = &enricher;
        let others = services.is_some() || netlink.is_some() || cgroups.is_some() || hosts.is_some();
        let people = processes.is_some() || contexts.is_some() || people.is_some();
        let around = enricher.peers.is_some() || enricher.workloads.is_some() || enricher.addresses;
        enricher.plain = !(others || people || around);
        enricher
    }

    /// The same with BPF maps that are open already.
    #[must_use]
    pub fn with_bpf_maps(mut self, maps: BpfMaps) -> Self {
        self.bpf_maps = maps;
        self
    }

    /// Says that the sockets of this table follow, if there are any.
    ///
    /// Tables without services of their own (mptcp, sctp, dccp) take the names
    /// of the table listed before them that has some; listed alone, those of
    /// any protocol.
    pub fn begin(&mut self, table: Table) {
        if let TCP | UDP | RAW = table.protocol() {
            self.services_of = Some(table.protocol());
        }
    }

    /// Says that the sockets of this namespace follow.
    pub fn enter(&mut self, place: u32) {
        self.place = place;
        if let Some(interfaces) = &mut self.interfaces {
            interfaces.enter(place);
        }
    }

    /// Whether other ends of connections are looked for.
    pub fn wants_peers(&self) -> bool {
        self.peers.is_some()
    }

    /// Whether there are several namespaces.
    pub fn has_places(&self) -> bool {
        !self.places.is_empty()
    }

    /// Remembers a socket of the current namespace, which may be another's
    /// peer.  All of them come here before any is shown.
    pub fn learn_peer(&mut self, socket: &Socket<'_>) {
        if let Some(peers) = &mut self.peers {
            peers.add(socket, self.place);
        }
    }

    /// Says that every socket was remembered that may be a peer.
    pub fn have_peers(&mut self) {
        if let Some(peers) = &mut self.peers {
            peers.sort();
        }
    }

    /// The inode of the other end of a socket of a namespace; 0 if unknown.
    pub fn peer_inode(&self, socket: &Socket<'_>, place: u32) -> u32 {
        self.peers.as_ref().and_then(|peers| peers.of(socket, place)).map_or(0, |peer| peer.inode)
    }

    /// The namespace that rows belong to, where there are several.
    #[inline]
    pub fn netns(&self) -> Option<&Netns> {
        self.places.get(self.place as usize)
    }

    /// Whose services the tables without some of their own take at present.
    pub(crate) fn services_of(&self) -> Option<u16> {
        self.services_of
    }

    /// Sets that, for a row that was kept since.
    pub(crate) fn set_services_of(&mut self, protocol: Option<u16>) {
        self.services_of = protocol;
    }

    /// Whose services the ports of a socket are; a destroyed one's are any
    /// protocol's.
    fn service_protocol(&self, origin: Origin) -> u16 {
        if origin.kind == SourceKind::Event {
            return 0;
        }
        match (services_table(origin.table).protocol(), self.services_of) {
            (own @ (TCP | UDP | RAW), _) | (own, None) => own,
            (_, Some(other)) => other,
        }
    }

    /// Looks up what is not known yet about one socket.  Every socket that is
    /// shown comes here once, in order: an SCTP association is told by the
    /// inode of the socket before it.
    #[inline]
    pub fn prepare(&mut self, socket: &Socket<'_>) {
        if socket.layout() == Layout::Inet {
            self.association = socket.protocol == SCTP && socket.inode != 0 && socket.inode == self.inode;
            self.inode = socket.inode;
        }
        if self.plain {
            self.prepare_interfaces(socket);
        } else {
            self.prepare_named(socket);
        }
        if let Some(storages) = socket.attrs().and_then(InetAttrs::bpf_storages) {
            self.bpf_maps.prepare(&storages);
        }
    }

    /// The same, less what every listing has.
    #[inline(never)]
    fn prepare_named(&mut self, socket: &Socket<'_>) {
        self.prepare_names(socket);
        if let Some(cgroups) = &mut self.cgroups
            && let Some(id) = socket.attrs().and_then(InetAttrs::cgroup_id)
        {
            cgroups.show(id, u64::from(self.extended && id != 0) + u64::from(self.cgroup_zero));
        }
        // Of netlink sockets ss lists no holders.
        if let Some(processes) = &mut self.processes
            && socket.layout() != Layout::Netlink
        {
            processes.count(socket.inode);
        }
        if let Some(hosts) = &mut self.hosts {
            addresses(socket).for_each(|addr| hosts.prepare(addr));
        }
    }

    /// Looks up the names that this machine knows, as a filter may ask for
    /// them: of a socket that may never be shown.
    pub fn prepare_names(&mut self, socket: &Socket<'_>) {
        self.prepare_contexts(socket);
        let protocol = self.service_protocol(socket.origin);
        if let Some(services) = &mut self.services
            && has_ports(socket)
        {
            services.prepare(protocol, port_of(socket.local));
            services.prepare(protocol, port_of(socket.remote));
        }
        self.prepare_interfaces(socket);
        if let Some(netlink) = &mut self.netlink
            && socket.layout() == Layout::Netlink
        {
            netlink.prepare(socket);
        }
        if let Some(cgroups) = &mut self.cgroups
            && let Some(id) = socket.attrs().and_then(InetAttrs::cgroup_id)
            && (id != 0 || self.cgroup_zero)
        {
            cgroups.prepare(id);
        }
        self.prepare_workload(socket);
        if let Some(people) = &mut self.people {
            if let Some(uid) = fields::owner(socket) {
                people.prepare_user(uid);
            }
            if let Some(processes) = self.processes.as_ref().filter(|_| self.commands) {
                processes.book().holders(socket.inode, &mut |holder| people.prepare_process(holder.pid));
            }
        }
    }

    /// Reads the contexts of a socket and of those that are known to hold it.
    fn prepare_contexts(&mut self, socket: &Socket<'_>) {
        let Some(contexts) = &mut self.contexts else { return };
        if socket.layout() == Layout::Netlink {
            match i32::try_from(socket.local.port) {
                Ok(0) => contexts.prepare_kernel(),
                Ok(pid) if pid > 0 => contexts.prepare_task(pid),
                _ => {}
            }
        } else if let Some(processes) = &self.processes {
            contexts.begin_socket();
            processes.book().holders(socket.inode, &mut |holder| {
                contexts.prepare_task(holder.tid);
                contexts.prepare_socket(holder.tid, holder.fd);
            });
        }
    }

    /// Looks up whom a socket works for, once its holders are known.
    fn prepare_workload(&mut self, socket: &Socket<'_>) {
        if let (Some(workloads), Some(processes)) = (&mut self.workloads, &self.processes) {
            let cgroup = path_of_cgroup(self.cgroups.as_ref(), socket);
            workloads.prepare(cgroup, socket.inode, processes.book());
        }
    }

    fn workload(&self, socket: &Socket<'_>, cgroup: Option<&[u8]>) -> Option<&Workload> {
        self.workloads.as_ref()?.of(cgroup, socket.inode, self.holders()?)
    }

    /// Looks up what belongs to the namespace that the socket is in: names and
    /// addresses of interfaces.  This is the moment for it: later rows may be
    /// of another namespace.
    #[inline]
    pub fn prepare_interfaces(&mut self, socket: &Socket<'_>) {
        if socket.ifindex != 0 || self.addresses {
            self.prepare_links(socket);
        }
    }

    #[inline(never)]
    fn prepare_links(&mut self, socket: &Socket<'_>) {
        let Some(interfaces) = &mut self.interfaces else { return };
        if socket.ifindex != 0 {
            if let Layout::Packet | Layout::Xdp = socket.layout() {
                interfaces.prepare_all();
            }
            interfaces.prepare(socket.ifindex);
        }
        if self.addresses {
            interfaces.prepare_addresses();
        }
    }

    /// Looks up the names of many addresses at once, as many at a time as the
    /// resolver may be asked; those that are known already cost nothing.
    pub fn prepare_hosts(&mut self, addrs: impl Iterator<Item = Addr>) {
        if let Some(hosts) = &mut self.hosts {
            hosts.prepare_all(addrs);
        }
    }

    /// Whether rows should wait: who holds them is asked for and not known of
    /// every socket yet.
    pub fn waits_for_holders(&self) -> bool {
        self.processes.as_ref().is_some_and(|processes| !processes.is_complete())
    }

    /// Looks for the holders of these sockets, all at once.
    pub fn prepare_holders(&mut self, inodes: Vec<u32>) {
        if let Some(processes) = &mut self.processes {
            processes.look_for(inodes);
        }
    }

    /// Looks for the holders of every socket of the machine.  From then on no
    /// row needs to wait.
    pub fn prepare_all_holders(&mut self) {
        if let Some(processes) = &mut self.processes {
            processes.map_all();
        }
    }

    /// Who holds which socket, as far as that was looked for.
    pub fn holders(&self) -> Option<&dyn HolderBook> {
        self.processes.as_ref().map(Processes::book)
    }

    /// The socket with the names that are known of its numbers.
    #[inline]
    pub fn row<'a>(&'a self, socket: &'a Socket<'a>) -> Row<'a> {
        if self.plain { self.plain_row(socket) } else { self.full_row(socket) }
    }

    /// With those that every listing has.
    #[inline]
    fn plain_row<'a>(&'a self, socket: &'a Socket<'a>) -> Row<'a> {
        Row {
            socket,
            names: Names {
                interface: self.interfaces.as_ref().and_then(|names| names.name(socket.ifindex)),
                bpf_maps: Some(&self.bpf_maps),
                netns: self.netns(),
                ..Names::default()
            },
            association: self.association && socket.layout() == Layout::Inet,
        }
    }

    /// With all of them.
    // Not inlined, nor are the others that say so: a plain row should be small
    // enough to be inlined itself.
    #[inline(never)]
    fn full_row<'a>(&'a self, socket: &'a Socket<'a>) -> Row<'a> {
        let plain = self.plain_row(socket);
        let service = |port| {
            self.services
                .as_ref()
                .filter(|_| has_ports(socket))?
                .name(self.service_protocol(socket.origin), port)
        };
        let netlink = self.netlink.as_ref().filter(|_| socket.layout() == Layout::Netlink);
        let cgroup = path_of_cgroup(self.cgroups.as_ref(), socket);
        let names = Names {
            hosts: self.hosts.as_ref().map(|hosts| hosts as &dyn HostBook),
            local_service: service(port_of(socket.local)),
            remote_service: service(port_of(socket.remote)),
            protocol: netlink.and_then(|names| names.protocol(socket)),
            port_owner: netlink.and_then(|names| names.owner(socket)),
            cgroup,
            holders: self.holders(),
            contexts: self.contexts.as_ref().map(|contexts| contexts as &dyn ContextBook),
            people: self.people.as_ref().map(|people| people as &dyn PeopleBook),
            peer: self.peer(socket),
            workload: self.workload(socket, cgroup),
            addresses: self
                .addresses
                .then_some(self.interfaces.as_ref())
                .flatten()
                .map(|book| book as &dyn AddressBook),
            ..plain.names
        };
        Row { names, ..plain }
    }

    fn peer(&self, socket: &Socket<'_>) -> Option<Peer<'_>> {
        let found = self.peers.as_ref()?.of(socket, self.place)?;
        let netns = found.place.and_then(|place| self.places.get(place as usize));
        Some(Peer { inode: found.inode, netns, candidates: found.candidates })
    }

    /// Whether anything was worth saying of the rows since the last call.
    pub(crate) fn has_row_notices(&self) -> bool {
        self.bpf_maps.has_notices() || self.cgroups.as_ref().is_some_and(Cgroups::has_notices)
    }

    /// What was worth saying of the rows since the last call.
    pub fn take_row_notices(&mut self) -> impl Iterator<Item = Notice> + use<> {
        let notices = self.cgroups.as_mut().map(Cgroups::take_notices).unwrap_or_default();
        let notices =
            notices.into_iter().flat_map(|(notice, times)| std::iter::repeat_n(notice, times as usize));
        notices.chain(self.bpf_maps.take_notices())
    }

    /// What was worth saying since the last call.
    pub fn take_notices(&mut self) -> impl Iterator<Item = Notice> + use<> {
        let netlink = self.netlink.as_mut().map(NetlinkNames::take_notices).unwrap_or_default();
        let cgroups = self.take_row_notices();
        let processes = self.processes.as_mut().and_then(Processes::take_notice);
        let left_out = self.peers.as_mut().map_or(0, Peers::take_left_out);
        let peers = (left_out > 0).then_some(Notice::PeersLeftOut { sockets: left_out });
        netlink.into_iter().chain(cgroups).chain(processes).chain(peers)
    }
}

/// The path of a socket's cgroup, where it has been looked up.
fn path_of_cgroup<'c>(cgroups: Option<&'c Cgroups>, socket: &Socket<'_>) -> Option<&'c [u8]> {
    cgroups?.path(socket.attrs()?.cgroup_id()?)
}

/// The port of an end; zero, which has no name, if it is none.
fn port_of(end: Endpoint) -> u16 {
    u16::try_from(end.port).unwrap_or(0)
}

/// Every address that a row may show by name.
pub(crate) fn addresses(socket: &Socket<'_>) -> impl Iterator<Item = Addr> {
    let keys = socket.attrs().and_then(InetAttrs::md5sigs).into_iter().flatten();
    let keys = keys.filter_map(|key| match (key.family(), key.addr()) {
        (2, [a, b, c, d, ..]) => Some(Addr::V4([a, b, c, d])),
        (10, addr) => Some(Addr::V6(addr)),
        _ => None,
    });
    // The lists of an SCTP association.
    let lists = socket.attrs().map(|attrs| [attrs.locals(), attrs.peers()]);
    let listed = lists.into_iter().flatten().flatten().flatten().map(Addr::from);
    [socket.local.addr, socket.remote.addr].into_iter().chain(keys).chain(listed)
}

/// Whether its ports are those of services.
fn has_ports(socket: &Socket<'_>) -> bool {
    matches!(socket.layout(), Layout::Inet | Layout::Smc)
}

/// The table whose services the ports of a table are.
fn services_table(table: Table) -> Table {
    match table {
        Table::Smc => Table::Tcp,
        Table::UdpLite => Table::Udp,
        table => table,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Origin, Record, SourceKind, Table};

    const LINE: &[u8] =
        b"   0: 0100007F:0016 0200007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 621";

    /// Nothing is looked up.
    fn config(sources: &Sources) -> EnrichConfig<'_> {
        EnrichConfig {
            needs: Needs::NONE,
            numeric: false,
            resolve: false,
            cgroup_zero: false,
            extended: false,
            threads: false,
            holder_search: HolderSearch::default(),
            places: &[],
            sources,
        }
    }

    fn socket(bytes: &[u8]) -> Socket<'_> {
        let origin = Origin::of(Table::Tcp, SourceKind::Proc);
        Socket::decode(Record { origin, bytes }).expect("a whole line")
    }

    #[test]
    fn what_is_not_needed_is_not_looked_up() {
        let sources = Sources::default();
        let mut enricher = Enricher::new(&EnrichConfig { resolve: true, ..config(&sources) });
        let socket = socket(LINE);
        enricher.prepare(&socket);
        let names = enricher.row(&socket).names;
        assert!(names.hosts.is_none() && names.local_service.is_none() && names.interface.is_none());
    }

    #[test]
    fn ports_have_names_unless_numbers_are_wanted() {
        let sources = Sources { ip_local_port_range: Some("/nonexistent".into()), ..Sources::default() };
        let known = crate::sys::names::service_name(22, Some(c"tcp"));
        for numeric in [false, true] {
            let config = EnrichConfig { needs: Needs::SERVICES, numeric, ..config(&sources) };
            let mut enricher = Enricher::new(&config);
            let socket = socket(LINE);
            enricher.prepare(&socket);
            let want = known.as_deref().filter(|_| !numeric);
            assert_eq!(enricher.row(&socket).names.local_service, want);
        }
    }

    /// Tables without services take those of the last table that has some,
    /// whether or not it had sockets; others keep their own.
    #[test]
    fn services_follow_the_tables_listed_before() {
        let sources = Sources::default();
        let mut enricher = Enricher::new(&config(&sources));
        assert_eq!(enricher.service_protocol(Origin::of(Table::Mptcp, SourceKind::Kernel)), 262);
        for (begun, of_mptcp) in [(Table::Raw, RAW), (Table::Udp, UDP), (Table::Tcp, TCP), (Table::Sctp, TCP)]
        {
            enricher.begin(begun);
            assert_eq!(
                enricher.service_protocol(Origin::of(Table::Mptcp, SourceKind::Kernel)),
                of_mptcp,
                "{begun:?}"
            );
            assert_eq!(enricher.service_protocol(Origin::of(Table::Raw, SourceKind::Kernel)), RAW);
        }
    }
}
