//! Looks up what the kernel does not report about a socket: names for its numbers.
//!
//! Looking up and reading are two steps.  `Enricher::prepare` does the I/O
//! for one socket, `Enricher::row` only reads what is known by then, so a
//! row borrows the enricher and is cheap.  Every result is kept, failures
//! too: a number is looked up once.
//!
//! How long a result is kept depends on its subject:
//!
//! | lifetime | what |
//! | --- | --- |
//! | machine: as long as the session | services, names of netlink protocols, names of users, the kernel's types |
//! | network: bounded, and for some minutes | names of hosts |
//! | poll: until `Enricher::begin_poll` | interfaces, addresses, cgroups, other ends, containers, and everything about a process, since exec, setuid and a move to another cgroup change neither its number nor its start time |
//!
//! Source: fields of ss(8) that are names: services, interfaces, cgroups, hosts.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

mod bpf_maps;
mod cgroups;
mod contexts;
mod few;
mod hosts;
mod id_map;
mod identities;
mod interfaces;
mod lookups;
mod netlink;
mod peers;
mod ports;
mod processes;
mod quirks;
mod rows;
mod rpc;
mod scoped;
mod services;
mod told;
mod workloads;

pub use bpf_maps::BpfMaps;
pub(crate) use interfaces::Links;
pub(crate) use lookups::SystemLookups;
pub use processes::{HolderSearch, Threads};
pub use quirks::Quirks;
pub(crate) use rows::addresses;

use sockdiag_wire::inet_diag::InetAttrs;
use sockdiag_wire::ipproto::IPPROTO_SCTP;

use crate::fields::{self, Needs};
use crate::model::{Addr, Arrival, HolderCache, MessageKind, Netns, Socket, Table};
use crate::source::{Access, Sources};

use cgroups::Cgroups;
use contexts::Contexts;
use hosts::Hosts;
use identities::Identities;
use interfaces::Interfaces;
use netlink::NetlinkNames;
use peers::{Lack, Peers};
pub(crate) use ports::PortRange;
use ports::Ports;
pub(crate) use processes::HoldersBefore;
use processes::Processes;
use rows::{has_ports, path_of_cgroup, port_of};
use rpc::RpcNames;
use scoped::Scoped;
use services::Services;
use workloads::Workloads;
pub(crate) use workloads::{Container, containers};

/// The look-ups to make.
pub(crate) struct EnrichConfig<'s> {
    /// The needs of the fields that are shown; no other look-ups are made.
    pub needs: Needs,
    /// The needs of the filter alone, to which `-n` does not apply.
    pub tested: Needs,
    /// `-n`: no service names.
    pub numeric: bool,
    /// `-r`: names of hosts, also with `-n`, and of RPC services, unless `-n`.
    pub resolve: bool,
    /// Which threads of a process hold sockets.
    pub threads: Threads,
    /// How the holders of sockets are searched.
    pub holder_search: HolderSearch,
    /// Whether there will be further polls: then resources that are slow to set up are
    /// kept, and rows do not wait for names of hosts.
    pub polls_again: bool,
    /// Whether to report missing processes.
    pub explains: bool,
    /// Whether to report why a socket has no process, too.
    pub reasons: bool,
    /// The places to read from.
    pub sources: &'s Sources,
}

#[cfg(test)]
impl<'s> EnrichConfig<'s> {
    /// A configuration without look-ups.
    pub(crate) fn of(sources: &'s Sources) -> Self {
        Self {
            needs: Needs::NONE,
            tested: Needs::NONE,
            numeric: false,
            resolve: false,
            threads: Threads::First,
            holder_search: HolderSearch::default(),
            polls_again: false,
            explains: true,
            reasons: false,
            sources,
        }
    }
}

/// Looks names up, and keeps them.
#[derive(Debug)]
pub(crate) struct Enricher {
    quirks: Option<Box<dyn Quirks>>,
    // These caches live as long as the enricher.
    services: Option<Services>,
    hosts: Option<Hosts>,
    /// Names of netlink protocols are kept; names of processes are forgotten each poll.
    netlink: Option<NetlinkNames>,
    /// Names of users are kept; facts about processes are forgotten each poll.
    identities: Option<Identities>,
    // These are cleared each poll.
    scoped: Scoped,
    bpf_maps: BpfMaps,
    cgroups: Option<Cgroups>,
    processes: Option<Processes>,
    /// The value of `processes` while no holders are searched.
    resting: Option<Processes>,
    contexts: Option<Contexts>,
    peers: Option<Peers>,
    ports: Option<Ports>,
    workloads: Option<Workloads>,
    /// Whether names of interfaces are wanted.
    links: bool,
    /// Whether addresses of interfaces are wanted.
    addresses: bool,
    /// Whether a row needs no name but that of its interface: this spares a million rows
    /// the checks of all other look-ups.
    plain: bool,
    /// Whether names of ports and of netlink protocols are read by the filter only.
    numeric: bool,
    /// Whether command lines are wanted, not only the names of owners.
    commands: bool,
    /// Whether the SCTP socket prepared last is an association, by the test of the program's
    /// [`Quirks`].
    association: bool,
    /// Inode of the inet socket prepared last; 0 if there was none.
    inode: u32,
    /// Whether the filter has conditions on processes.
    tests_processes: bool,
    /// When the kernel reported the current socket, if it was an event.
    arrival: Option<Arrival>,
    /// Connections shown whose other end is not in the only namespace searched.
    elsewhere: u64,
    /// Connections shown whose other end no process holds.
    unheld: u64,
}

impl Enricher {
    /// An enricher that has looked nothing up yet, except for RPC services.
    pub(crate) fn new(
        config: &EnrichConfig<'_>,
        bpf_maps: BpfMaps,
        quirks: Option<Box<dyn Quirks>>,
        home: &Access,
    ) -> Self {
        let wanted = |need| config.needs.has(need);
        let sources = config.sources;
        let named = |need| wanted(need) && (!config.numeric || config.tested.has(need));
        let services = named(Needs::SERVICES);
        let rpc =
            if services && config.resolve && !config.numeric { RpcNames::ask() } else { RpcNames::default() };
        let looks_up_zero = quirks.as_ref().is_some_and(|quirks| quirks.looks_up_cgroup_zero());
        let processes = wanted(Needs::PROCESSES).then(|| Processes::new(config));
        let mut enricher = Self {
            quirks,
            services: services.then(|| Services::new(sources.port_range(home), rpc)),
            hosts: (wanted(Needs::HOSTS) && config.resolve).then(|| Hosts::new(config.polls_again)),
            netlink: named(Needs::NETLINK_NAMES).then(|| NetlinkNames::new(sources)),
            identities: (wanted(Needs::USERS) || wanted(Needs::COMMANDS)).then(|| Identities::new(sources)),
            scoped: Scoped::default(),
            bpf_maps,
            cgroups: wanted(Needs::CGROUPS).then(|| Cgroups::new(looks_up_zero)),
            processes,
            resting: None,
            contexts: wanted(Needs::CONTEXTS).then(|| Contexts::new(sources)),
            peers: wanted(Needs::PEERS).then(Peers::default),
            ports: wanted(Needs::PORTS).then(Ports::default),
            workloads: wanted(Needs::WORKLOADS).then(|| Workloads::new(sources)),
            links: wanted(Needs::INTERFACES),
            addresses: wanted(Needs::ADDRESSES),
            plain: false,
            numeric: config.numeric,
            commands: wanted(Needs::COMMANDS),
            association: false,
            inode: 0,
            tests_processes: false,
            elsewhere: 0,
            unheld: 0,
            arrival: None,
        };
        enricher.bpf_maps.choose_these();
        let Self { services, netlink, cgroups, hosts, processes, contexts, identities, .. } = &enricher;
        let others = services.is_some() || netlink.is_some() || cgroups.is_some() || hosts.is_some();
        let identities = processes.is_some() || contexts.is_some() || identities.is_some();
        let around = enricher.peers.is_some()
            || enricher.workloads.is_some()
            || enricher.addresses
            || enricher.ports.is_some()
            || wanted(Needs::PORT_RANGE);
        enricher.plain = !(others || identities || around);
        enricher
    }

    /// Forgets the results of the last poll.  Sockets that follow belong to these
    /// namespaces, which are queried through these links.
    pub(crate) fn begin_poll(&mut self, namespaces: Vec<Netns>, links: Vec<Links>) {
        if let Some(peers) = &mut self.peers {
            peers.begin_poll(&namespaces);
        }
        self.scoped.begin_poll(namespaces, links);
        self.bpf_maps.begin_poll();
        (self.association, self.inode) = (false, 0);
        let Self { hosts, netlink, identities, cgroups, processes, contexts, workloads, .. } = self;
        hosts.iter_mut().for_each(Hosts::begin_poll);
        netlink.iter_mut().for_each(NetlinkNames::begin_poll);
        identities.iter_mut().for_each(Identities::begin_poll);
        cgroups.iter_mut().for_each(Cgroups::begin_poll);
        processes.iter_mut().for_each(Processes::begin_poll);
        contexts.iter_mut().for_each(Contexts::begin_poll);
        workloads.iter_mut().for_each(Workloads::begin_poll);
    }

    /// Sets the ephemeral port ranges of the namespaces, if they are needed.
    pub(crate) fn have_port_ranges(&mut self, port_ranges: Vec<(u16, u16)>) {
        self.scoped.have_port_ranges(port_ranges);
    }

    /// The links of the last poll; pass them to [`Enricher::begin_poll`] again.
    pub(crate) fn take_links(&mut self) -> Vec<Links> {
        self.scoped.take_links()
    }

    /// Closes the sockets that were opened for look-ups in the current namespace.
    pub(crate) fn close_links(&mut self) {
        if let Some(links) = self.links() {
            links.close();
        }
    }

    /// The links of the current namespace.
    pub(crate) fn links(&mut self) -> Option<&mut Links> {
        self.scoped.interfaces_mut().map(|known| known.links())
    }

    /// Returns the protocol whose service names are used for the ports of the next table.
    pub(crate) fn begin(&mut self, table: Table) -> u16 {
        self.quirks.as_mut().map_or(table.services(), |quirks| quirks.services(table))
    }

    /// Sets the namespace of the sockets that follow.
    pub(crate) fn enter(&mut self, scope: u32) {
        self.scoped.enter(scope);
    }

    /// Whether peers of connections are searched.
    pub(crate) fn wants_peers(&self) -> bool {
        self.peers.is_some()
    }

    /// Whether rows show which namespace they belong to.
    #[inline]
    pub(crate) fn tells_namespaces(&self) -> bool {
        self.scoped.are_told()
    }

    /// Remembers a socket of the current namespace as a possible peer.  All sockets are
    /// passed here before any is shown.
    pub(crate) fn learn_peer(&mut self, socket: &Socket<'_>) {
        if let Some(peers) = &mut self.peers {
            peers.add(socket, self.scoped.current());
        }
    }

    /// Ends the adding of possible peers.
    pub(crate) fn have_peers(&mut self) {
        if let Some(peers) = &mut self.peers {
            peers.sort();
        }
    }

    /// Starts counting the ephemeral ports that are in use, within these ranges.
    pub(crate) fn begin_ports(&mut self, ranges: Vec<PortRange>) {
        if let Some(ports) = &mut self.ports {
            ports.begin(ranges);
        }
    }

    /// Counts the port of a socket of the current namespace; `None` means that the table
    /// was not read completely.
    pub(crate) fn learn_port(&mut self, socket: Option<&Socket<'_>>) {
        let scope = self.scoped.current();
        match (&mut self.ports, socket) {
            (Some(ports), Some(socket)) => ports.add(socket, scope),
            (Some(ports), None) => ports.is_unknown(scope),
            (None, _) => {}
        }
    }

    /// Ends the counting of ports.
    pub(crate) fn have_ports(&mut self) {
        if let Some(ports) = &mut self.ports {
            ports.sort();
        }
    }

    /// The inode of the peer of a socket in a namespace; 0 if unknown.
    pub(crate) fn peer_inode(&self, socket: &Socket<'_>, scope: u32) -> u32 {
        self.peers.as_ref().and_then(|peers| peers.of(socket, scope)).map_or(0, |peer| peer.inode)
    }

    /// The namespace of the rows, if rows show it.
    #[inline]
    pub(crate) fn netns(&self) -> Option<&Netns> {
        self.scoped.netns()
    }

    /// Looks up what is not known yet about one socket.  Every socket that is
    /// shown comes here once, in order.
    #[inline]
    pub(crate) fn prepare(&mut self, socket: &Socket<'_>) {
        if self.plain {
            self.prepare_interfaces(socket);
        } else {
            self.prepare_named(socket);
        }
        if socket.message_kind() == MessageKind::Inet {
            if socket.protocol == IPPROTO_SCTP {
                self.prepare_association(socket);
            }
            self.inode = socket.inode;
        }
        if let Some(storages) = socket.attrs().and_then(InetAttrs::bpf_storages) {
            self.bpf_maps.prepare(&storages);
        }
    }

    #[inline(never)]
    fn prepare_association(&mut self, socket: &Socket<'_>) {
        if let Some(quirks) = &self.quirks {
            self.association = quirks.is_association(socket, self.inode);
        }
    }

    /// The look-ups that a plain row does not need.
    #[inline(never)]
    fn prepare_named(&mut self, socket: &Socket<'_>) {
        self.prepare_names(socket);
        if let Some(cgroups) = &mut self.cgroups
            && let Some(id) = socket.attrs().and_then(InetAttrs::cgroup_id)
        {
            cgroups.show(id, self.quirks.as_ref().and_then(|quirks| quirks.cgroup_notices(id)));
        }
        // ss lists no processes for netlink sockets.
        if let Some(processes) = &mut self.processes
            && socket.message_kind() != MessageKind::Netlink
        {
            processes.count(socket);
        }
        if let Some(peers) = &self.peers
            && !self.scoped.are_told()
        {
            match peers.lack(socket) {
                Some(Lack::Elsewhere) => self.elsewhere += 1,
                Some(Lack::Unheld) => self.unheld += 1,
                None => {}
            }
        }
        if let Some(hosts) = &mut self.hosts {
            addresses(socket).for_each(|addr| hosts.prepare(addr));
        }
    }

    /// Looks up the names that a filter may compare, also for a socket that may never be
    /// shown.
    pub(crate) fn prepare_names(&mut self, socket: &Socket<'_>) {
        self.prepare_contexts(socket);
        let protocol = socket.origin.services;
        if let Some(services) = &mut self.services
            && has_ports(socket)
        {
            services.prepare(protocol, port_of(socket.local));
            services.prepare(protocol, port_of(socket.remote));
        }
        self.prepare_interfaces(socket);
        if let Some(netlink) = &mut self.netlink
            && socket.message_kind() == MessageKind::Netlink
        {
            netlink.prepare(socket);
        }
        if let Some(cgroups) = &mut self.cgroups
            && let Some(id) = socket.attrs().and_then(InetAttrs::cgroup_id)
        {
            cgroups.prepare(id);
        }
        self.prepare_workload(socket);
        if let Some(identities) = &mut self.identities {
            if let Some(uid) = fields::owner(socket) {
                identities.prepare_user(uid);
            }
            if let Some(processes) = self.processes.as_ref().filter(|_| self.commands) {
                let scope = self.scoped.current();
                let peer = self.peers.as_ref().and_then(|peers| peers.of(socket, scope));
                for inode in [socket.inode, peer.map_or(0, |peer| peer.inode)] {
                    processes.known().holders(inode, &mut |holder| identities.prepare_process(holder.pid));
                }
            }
        }
    }

    /// Reads the contexts of a socket and of its known holders.
    fn prepare_contexts(&mut self, socket: &Socket<'_>) {
        let Some(contexts) = &mut self.contexts else { return };
        if socket.message_kind() == MessageKind::Netlink {
            match i32::try_from(socket.local.port) {
                Ok(0) => contexts.prepare_kernel(),
                Ok(pid) if pid > 0 => contexts.prepare_task(pid),
                _ => {}
            }
        } else if let Some(processes) = &self.processes {
            contexts.begin_socket();
            processes.known().holders(socket.inode, &mut |holder| {
                contexts.prepare_task(holder.tid);
                contexts.prepare_socket(holder.tid, holder.fd);
            });
        }
    }

    /// Looks up the workload of a socket, once its holders are known.
    fn prepare_workload(&mut self, socket: &Socket<'_>) {
        if let (Some(workloads), Some(processes)) = (&mut self.workloads, &self.processes) {
            let cgroup = path_of_cgroup(self.cgroups.as_ref(), socket);
            workloads.prepare(cgroup, socket.inode, processes.known());
        }
    }

    /// Looks up names and addresses of interfaces in the socket's namespace.  This must be
    /// done while that namespace is current: later rows may belong to another one.
    #[inline]
    pub(crate) fn prepare_interfaces(&mut self, socket: &Socket<'_>) {
        if socket.ifindex != 0 || self.addresses {
            self.prepare_links(socket);
        }
    }

    #[inline(never)]
    fn prepare_links(&mut self, socket: &Socket<'_>) {
        if !self.links && !self.addresses {
            return;
        }
        let Some(interfaces) = self.scoped.interfaces_mut() else { return };
        if socket.ifindex != 0 {
            if let MessageKind::Packet | MessageKind::Xdp = socket.message_kind() {
                interfaces.prepare_all();
            }
            interfaces.prepare(socket.ifindex);
        }
        if self.addresses {
            interfaces.prepare_addresses();
        }
    }

    /// Looks up the names of many addresses, in parallel as far as the resolver allows;
    /// known addresses cost nothing.
    pub(crate) fn prepare_hosts(&mut self, addrs: impl Iterator<Item = Addr>) {
        if let Some(hosts) = &mut self.hosts {
            hosts.prepare_all(addrs);
        }
    }

    /// Whether rows should wait: holders are wanted, and not every socket of the machine
    /// has been mapped yet.
    pub(crate) fn waits_for_holders(&self) -> bool {
        self.processes.as_ref().is_some_and(|processes| !processes.is_complete())
    }

    /// Searches for the holders of these sockets, all at once.
    pub(crate) fn prepare_holders(&mut self, inodes: Vec<u32>) {
        if let Some(processes) = &mut self.processes {
            processes.look_for(inodes);
        }
    }

    /// Finds the holders of every socket of the machine.  After that no row needs to wait.
    pub(crate) fn prepare_all_holders(&mut self) {
        if let Some(processes) = &mut self.processes {
            processes.map_all();
        }
    }

    /// Turns the search for holders on or off, if holders were requested at all.
    pub(crate) fn look_for_holders(&mut self, look: bool) {
        let (from, to) = if look {
            (&mut self.resting, &mut self.processes)
        } else {
            (&mut self.processes, &mut self.resting)
        };
        if let Some(processes) = from.take() {
            *to = Some(processes);
        }
    }

    /// From now on keeps the holders of the previous poll.
    pub(crate) fn keep_holders(&mut self) {
        self.processes.iter_mut().for_each(Processes::keep_before);
    }

    /// The processes of each socket at the previous poll, if they are kept.
    pub(crate) fn holders_before(&self) -> Option<HoldersBefore> {
        self.processes.as_ref()?.before()
    }

    /// Sets whether conditions on processes are tested from now on.
    pub(crate) fn expect_tests(&mut self, on_processes: bool) {
        self.tests_processes = on_processes;
    }

    /// Sets when the kernel reported the sockets that follow.
    pub(crate) fn arrived(&mut self, arrival: Arrival) {
        self.arrival = Some(arrival);
    }

    /// When the kernel reported the current socket.
    pub(crate) fn arrival(&self) -> Option<&Arrival> {
        self.arrival.as_ref()
    }

    /// Counts a socket that the filter tests, if the filter has conditions on processes.
    #[inline]
    pub(crate) fn count_tested(&mut self, socket: &Socket<'_>) {
        if self.tests_processes
            && let Some(processes) = &mut self.processes
            && socket.message_kind() != MessageKind::Netlink
        {
            processes.count_tested(socket);
        }
    }

    /// Whether a condition on processes was decided although this socket may have processes
    /// that we cannot see.
    pub(crate) fn decided_without_processes(&mut self, socket: &Socket<'_>) -> bool {
        self.tests_processes
            && self.processes.as_mut().is_some_and(|processes| processes.may_be_unseen(socket))
    }

    /// The processes of each socket, as far as they were searched.
    pub(crate) fn holders(&self) -> Option<&dyn HolderCache> {
        self.processes.as_ref().map(Processes::known)
    }
}

#[cfg(test)]
mod tests;
