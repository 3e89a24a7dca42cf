//! Makes a row: a socket with the names that are known so far.
//!
//! Nothing here looks anything up.
//!
//! Invariant: a plain row, in which only the interface has a name, is small enough to be
//! inlined where it is made.

use sockdiag_wire::inet_diag::InetAttrs;
use sockdiag_wire::ipproto::IPPROTO_SCTP;
use sockdiag_wire::socket::{AF_INET, AF_INET6};

use super::cgroups::Cgroups;
use super::{Enricher, quirks};
use crate::model::{
    Addr, AddressCache, ContextCache, Endpoint, HostCache, IdentityCache, MessageKind, Names, Peer, Row,
    Socket, Workload,
};

impl Enricher {
    /// Makes the row of a socket with the names that are known so far.
    #[inline]
    pub(crate) fn row<'a>(&'a self, socket: &'a Socket<'a>) -> Row<'a> {
        if self.plain { self.plain_row(socket) } else { self.full_row(socket) }
    }

    /// The row that a filter tests: it has names that are not shown, too.
    #[inline(never)]
    pub(crate) fn tested_row<'a>(&'a self, socket: &'a Socket<'a>) -> Row<'a> {
        if self.plain { self.plain_row(socket) } else { self.named_row(socket, true) }
    }

    /// A row with the names that every listing has.
    #[inline]
    fn plain_row<'a>(&'a self, socket: &'a Socket<'a>) -> Row<'a> {
        Row {
            socket,
            names: Names {
                interface: self.scoped.interfaces().and_then(|names| names.name(socket.ifindex)),
                bpf_maps: Some(&self.bpf_maps),
                netns: self.netns(),
                arrival: self.arrival.as_ref(),
                ..Names::default()
            },
            association: socket.protocol == IPPROTO_SCTP && self.is_association(socket),
            past: None,
        }
    }

    #[inline(never)]
    fn is_association(&self, socket: &Socket<'_>) -> bool {
        socket.message_kind() == MessageKind::Inet
            && if self.quirks.is_some() { self.association } else { quirks::has_peers(socket) }
    }

    /// A row with all names.
    // Not inlined, like the functions it calls: a plain row should be small enough to be
    // inlined itself.
    #[inline(never)]
    fn full_row<'a>(&'a self, socket: &'a Socket<'a>) -> Row<'a> {
        self.named_row(socket, !self.numeric)
    }

    /// A row with all names; those of ports and of netlink protocols only if `named`.
    fn named_row<'a>(&'a self, socket: &'a Socket<'a>, named: bool) -> Row<'a> {
        let plain = self.plain_row(socket);
        let service = |port| {
            self.services.as_ref().filter(|_| named && has_ports(socket))?.name(socket.origin.services, port)
        };
        let netlink =
            self.netlink.as_ref().filter(|_| named && socket.message_kind() == MessageKind::Netlink);
        let cgroup = path_of_cgroup(self.cgroups.as_ref(), socket);
        let addresses = self.scoped.interfaces().filter(|_| self.addresses);
        let names = Names {
            hosts: self.hosts.as_ref().map(|hosts| hosts as &dyn HostCache),
            local_service: service(port_of(socket.local)),
            remote_service: service(port_of(socket.remote)),
            protocol: netlink.and_then(|names| names.protocol(socket)),
            port_owner: netlink.and_then(|names| names.owner(socket)),
            cgroup,
            holders: self.holders(),
            contexts: self.contexts.as_ref().map(|contexts| contexts as &dyn ContextCache),
            identities: self.identities.as_ref().map(|identities| identities as &dyn IdentityCache),
            peer: self.peer(socket),
            workload: self.workload(socket, cgroup),
            port_range: self.scoped.port_range(),
            ports: self.ports.as_ref().and_then(|ports| ports.of(socket, self.scoped.current())),
            addresses: addresses.map(|known| known as &dyn AddressCache),
            ..plain.names
        };
        Row { names, ..plain }
    }

    fn peer(&self, socket: &Socket<'_>) -> Option<Peer<'_>> {
        let found = self.peers.as_ref()?.of(socket, self.scoped.current())?;
        let netns = found.scope.and_then(|scope| self.scoped.netns_of(scope));
        Some(Peer { inode: found.inode, netns, candidates: found.candidates, claimed_by: found.claimed_by })
    }

    fn workload(&self, socket: &Socket<'_>, cgroup: Option<&[u8]>) -> Option<&Workload> {
        self.workloads.as_ref()?.of(cgroup, socket.inode, self.holders()?)
    }
}

/// The path of a socket's cgroup, if it was looked up.
pub(super) fn path_of_cgroup<'c>(cgroups: Option<&'c Cgroups>, socket: &Socket<'_>) -> Option<&'c [u8]> {
    cgroups?.path(socket.attrs()?.cgroup_id()?)
}

/// The port of an end; 0, which has no name, if the number is no port.
pub(super) fn port_of(end: Endpoint) -> u16 {
    u16::try_from(end.port).unwrap_or(0)
}

/// Every address that a row may show by name.
pub(crate) fn addresses(socket: &Socket<'_>) -> impl Iterator<Item = Addr> {
    let keys = socket.attrs().and_then(InetAttrs::md5sigs).into_iter().flatten();
    let keys = keys.filter_map(|key| match (key.family(), key.addr()) {
        (AF_INET, [a, b, c, d, ..]) => Some(Addr::V4([a, b, c, d])),
        (AF_INET6, addr) => Some(Addr::V6(addr)),
        _ => None,
    });
    // The address lists of an SCTP association.
    let lists = socket.attrs().map(|attrs| [attrs.locals(), attrs.peers()]);
    let listed = lists.into_iter().flatten().flatten().flatten().map(Addr::from);
    [socket.local.addr, socket.remote.addr].into_iter().chain(keys).chain(listed)
}

/// Whether the socket's ports can be those of services.
pub(super) fn has_ports(socket: &Socket<'_>) -> bool {
    matches!(socket.message_kind(), MessageKind::Inet | MessageKind::Smc)
}
