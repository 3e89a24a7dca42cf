//! What sockets do not say about themselves: names for their numbers.
//!
//! Looking up and reading are two steps.  [`Enricher::prepare`] does the I/O
//! for one socket, [`Enricher::row`] only reads what is known by then, so a
//! row borrows the enricher and is cheap.  Every answer is kept, also that
//! there is none: a number is asked about once.
//!
//! Source: fields of ss(8) that are names: services, interfaces, cgroups, hosts.

mod cgroups;
mod hosts;
mod interfaces;
mod lookups;
mod rpc;
mod services;

pub use lookups::SystemLookups;

use sockdiag_wire::inet_diag::InetAttrs;

use crate::fields::Needs;
use crate::model::{Addr, Endpoint, HostBook, Layout, Names, Row, Socket};
use crate::notes::Note;
use crate::source::Sources;

use cgroups::Cgroups;
use hosts::Hosts;
use interfaces::Interfaces;
use rpc::RpcNames;
use services::Services;

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
    /// `-e` does not.  There is none, which earns a note.
    pub cgroup_zero: bool,
    /// Where to read.
    pub sources: &'s Sources,
}

/// Looks names up, and keeps them.
#[derive(Debug)]
pub struct Enricher {
    cgroup_zero: bool,
    services: Option<Services>,
    interfaces: Option<Interfaces>,
    cgroups: Option<Cgroups>,
    hosts: Option<Hosts>,
}

impl Enricher {
    /// An enricher that has looked nothing up yet, except for RPC services.
    pub fn new(config: &EnrichConfig<'_>) -> Self {
        let wanted = |need| config.needs.has(need);
        let services = wanted(Needs::SERVICES) && !config.numeric;
        let rpc = if services && config.resolve { RpcNames::ask() } else { RpcNames::default() };
        Self {
            cgroup_zero: config.cgroup_zero,
            services: services.then(|| Services::new(config.sources.port_range(), rpc)),
            interfaces: wanted(Needs::INTERFACES).then(Interfaces::default),
            cgroups: wanted(Needs::CGROUPS).then(Cgroups::default),
            hosts: (wanted(Needs::HOSTS) && config.resolve).then(Hosts::default),
        }
    }

    /// Looks up what is not known yet about one socket.
    pub fn prepare(&mut self, socket: &Socket<'_>) {
        if let Some(services) = &mut self.services
            && socket.layout() == Layout::Inet
        {
            let protocol = socket.origin.table.protocol();
            services.prepare(protocol, port_of(socket.local));
            services.prepare(protocol, port_of(socket.remote));
        }
        if socket.ifindex != 0
            && let Some(interfaces) = &mut self.interfaces
        {
            interfaces.prepare(socket.ifindex);
        }
        if let Some(cgroups) = &mut self.cgroups
            && let Some(id) = socket.attrs().and_then(InetAttrs::cgroup_id)
            && (id != 0 || self.cgroup_zero)
        {
            cgroups.prepare(id);
        }
        if let Some(hosts) = &mut self.hosts {
            addresses(socket).for_each(|addr| hosts.prepare(addr));
        }
    }

    /// Looks up the names of many addresses at once, as many at a time as the
    /// resolver may be asked; those that are known already cost nothing.
    pub fn prepare_hosts(&mut self, addrs: impl Iterator<Item = Addr>) {
        if let Some(hosts) = &mut self.hosts {
            hosts.prepare_all(addrs);
        }
    }

    /// The socket with the names that are known of its numbers.
    pub fn row<'a>(&'a self, socket: &'a Socket<'a>) -> Row<'a> {
        let service = |port| {
            self.services
                .as_ref()
                .filter(|_| socket.layout() == Layout::Inet)?
                .name(socket.origin.table.protocol(), port)
        };
        let names = Names {
            hosts: self.hosts.as_ref().map(|hosts| hosts as &dyn HostBook),
            local_service: service(port_of(socket.local)),
            remote_service: service(port_of(socket.remote)),
            interface: self.interfaces.as_ref().and_then(|names| names.name(socket.ifindex)),
            cgroup: self.cgroups.as_ref().and_then(|paths| paths.path(socket.attrs()?.cgroup_id()?)),
        };
        Row { socket, names }
    }

    /// What was worth saying since the last call.
    pub fn take_notes(&mut self) -> Vec<Note> {
        self.cgroups.as_mut().map(Cgroups::take_notes).unwrap_or_default()
    }
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
    [socket.local.addr, socket.remote.addr].into_iter().chain(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Origin, Record, SourceKind, Table};

    const LINE: &[u8] =
        b"   0: 0100007F:0016 0200007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 621";

    fn socket(bytes: &[u8]) -> Socket<'_> {
        let origin = Origin { table: Table::Tcp, kind: SourceKind::Proc };
        Socket::decode(Record { origin, bytes }).expect("a whole line")
    }

    #[test]
    fn what_is_not_needed_is_not_looked_up() {
        let sources = Sources::default();
        let config = EnrichConfig {
            needs: Needs::NONE,
            numeric: false,
            resolve: true,
            cgroup_zero: false,
            sources: &sources,
        };
        let mut enricher = Enricher::new(&config);
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
            let config = EnrichConfig {
                needs: Needs::SERVICES,
                numeric,
                resolve: false,
                cgroup_zero: false,
                sources: &sources,
            };
            let mut enricher = Enricher::new(&config);
            let socket = socket(LINE);
            enricher.prepare(&socket);
            let want = known.as_deref().filter(|_| !numeric);
            assert_eq!(enricher.row(&socket).names.local_service, want);
        }
    }
}
