//! A row that outlives the dump: the bytes it came in, and its look-ups.
//!
//! Decoding again is cheaper than keeping every field: a row keeps its bytes (some
//! hundred), and shares facts about its surroundings with other rows.
//!
//! Invariant: every field of a kept row has the value that the borrowed row had, whatever
//! happened to the socket since.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "kernel integers are narrow; each cast is meant"
)]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use super::Holding;
use crate::enrich;
use crate::fields::{self, OwnedValue};
use crate::model::{
    Addr, AddressCache, Arrival, ContextCache, Holder, HolderCache, HostCache, IdentityCache, MessageKind,
    Names, Netns, Origin, Peer, PortShare, Process, Record, Row, Socket, State, Table, Workload,
};
use crate::past::OwnedPast;

/// How many namespaces, containers and lists of addresses are kept for sharing between
/// rows.
const SHARED: usize = 64;

/// A copy of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnedRow {
    origin: Origin,
    bytes: Box<[u8]>,
    association: bool,
    known: Known,
    past: Option<Box<OwnedPast>>,
}

/// The look-ups that were made for a row.
#[derive(Clone, Debug, Default, PartialEq)]
struct Known {
    local_service: Option<Box<[u8]>>,
    remote_service: Option<Box<[u8]>>,
    interface: Option<Box<[u8]>>,
    protocol: Option<Box<[u8]>>,
    port_owner: Option<Box<[u8]>>,
    port_range: Option<(u16, u16)>,
    ports: Option<PortShare>,
    cgroup: Option<Box<[u8]>>,
    arrival: Option<Arrival>,
    netns: Option<Arc<Netns>>,
    peer: Option<KnownPeer>,
    workload: Option<Arc<Workload>>,
    hosts: Option<Hosts>,
    addresses: Option<Addresses>,
    holders: Option<Holders>,
    contexts: Option<Contexts>,
    identities: Option<Identities>,
}

#[derive(Clone, Debug, PartialEq)]
struct KnownPeer {
    inode: u32,
    netns: Option<Arc<Netns>>,
    candidates: u32,
    claimed_by: Option<u32>,
}

#[derive(Clone, Debug, PartialEq)]
struct Hosts(Vec<(Addr, Box<[u8]>)>);

impl HostCache for Hosts {
    fn host(&self, addr: Addr) -> Option<&[u8]> {
        self.0.iter().find(|(of, _)| *of == addr).map(|(_, name)| &**name)
    }
}

/// The addresses of the interfaces that the row's own interface stands for.
#[derive(Clone, Debug, PartialEq)]
struct Addresses(Arc<Vec<Addr>>);

impl AddressCache for Addresses {
    fn addresses(&self, _: u32, take: &mut dyn FnMut(Addr)) {
        self.0.iter().copied().for_each(take);
    }
}

/// Holders of the socket and of its peer.
#[derive(Clone, Debug, PartialEq)]
struct Holders(Vec<KnownHolder>);

#[derive(Clone, Debug, PartialEq)]
struct KnownHolder {
    inode: u32,
    name: Box<[u8]>,
    pid: i32,
    tid: i32,
    fd: i32,
}

impl HolderCache for Holders {
    fn holders(&self, inode: u32, take: &mut dyn FnMut(Holder<'_>)) {
        for KnownHolder { name, pid, tid, fd, .. } in self.0.iter().filter(|known| known.inode == inode) {
            take(Holder { name, pid: *pid, tid: *tid, fd: *fd });
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Contexts {
    // Sorted by number, without duplicates.
    kernel: Option<Box<[u8]>>,
    tasks: Vec<(i32, Box<[u8]>)>,
    sockets: Vec<(i32, i32, Box<[u8]>)>,
}

impl ContextCache for Contexts {
    fn kernel(&self) -> Option<&[u8]> {
        self.kernel.as_deref()
    }

    fn task(&self, tid: i32) -> Option<&[u8]> {
        let at = self.tasks.binary_search_by_key(&tid, |(of, _)| *of).ok()?;
        self.tasks.get(at).map(|(_, context)| &**context)
    }

    fn socket(&self, tid: i32, fd: i32) -> Option<&[u8]> {
        let at = self.sockets.binary_search_by_key(&(tid, fd), |(tid, fd, _)| (*tid, *fd)).ok()?;
        self.sockets.get(at).map(|(.., context)| &**context)
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Identities {
    // Sorted by number, without duplicates.
    processes: Vec<(i32, Box<[u8]>, Option<u32>)>,
    users: Vec<(u32, Box<[u8]>)>,
}

impl IdentityCache for Identities {
    fn process(&self, pid: i32) -> Option<Process<'_>> {
        let at = self.processes.binary_search_by_key(&pid, |(of, ..)| *of).ok()?;
        let (_, cmdline, uid) = self.processes.get(at)?;
        Some(Process { cmdline, uid: *uid })
    }

    fn user(&self, uid: u32) -> Option<&[u8]> {
        let at = self.users.binary_search_by_key(&uid, |(of, _)| *of).ok()?;
        self.users.get(at).map(|(_, name)| &**name)
    }
}

/// Copies rows, and lets them share facts about their surroundings.
#[derive(Debug, Default)]
pub(super) struct Interner {
    netns: Vec<Arc<Netns>>,
    workloads: Vec<Arc<Workload>>,
    addresses: Vec<Arc<Vec<Addr>>>,
}

/// An equal value that is already shared, or a copy of this one, which is then shared.
fn shared<T: PartialEq>(known: &mut Vec<Arc<T>>, value: &T, copy: impl FnOnce(&T) -> T) -> Arc<T> {
    if let Some(had) = known.iter().rev().find(|had| ***had == *value) {
        return Arc::clone(had);
    }
    let new = Arc::new(copy(value));
    if known.len() >= SHARED {
        known.remove(0);
    }
    known.push(Arc::clone(&new));
    new
}

impl Interner {
    /// Copies a row.
    pub(super) fn keep(&mut self, row: &Row<'_>) -> OwnedRow {
        let Row { socket, names, association, past } = row;
        let copy = |name: Option<&[u8]>| name.map(Box::from);
        let holders = names.holders.map(|book| {
            let mut list = Vec::new();
            let peer = names.peer.map(|peer| peer.inode).filter(|inode| *inode != socket.inode);
            for inode in [socket.inode].into_iter().chain(peer) {
                book.holders(inode, &mut |Holder { name, pid, tid, fd }| {
                    list.push(KnownHolder { inode, name: name.into(), pid, tid, fd });
                });
            }
            Holders(list)
        });
        let known_holders = holders.as_ref().map_or(&[][..], |holders| &holders.0);
        let known = Known {
            local_service: copy(names.local_service),
            remote_service: copy(names.remote_service),
            interface: copy(names.interface),
            protocol: copy(names.protocol),
            port_owner: copy(names.port_owner),
            port_range: names.port_range,
            ports: names.ports,
            cgroup: copy(names.cgroup),
            arrival: names.arrival.cloned(),
            netns: names.netns.map(|netns| self.netns(netns)),
            peer: names.peer.map(|Peer { inode, netns, candidates, claimed_by }| KnownPeer {
                inode,
                netns: netns.map(|netns| self.netns(netns)),
                candidates,
                claimed_by,
            }),
            workload: names.workload.map(|whom| shared(&mut self.workloads, whom, Workload::clone)),
            hosts: names.hosts.map(|book| {
                let named = |addr| Some((addr, book.host(addr)?.into()));
                Hosts(enrich::addresses(socket).filter_map(named).collect())
            }),
            addresses: names.addresses.map(|book| {
                let mut list = Vec::new();
                book.addresses(socket.ifindex, &mut |addr| list.push(addr));
                Addresses(shared(&mut self.addresses, &list, Vec::clone))
            }),
            contexts: names.contexts.map(|book| contexts(book, socket, known_holders)),
            identities: names.identities.map(|book| identities(book, socket, known_holders)),
            holders,
        };
        let past = past.map(|past| Box::new(OwnedPast::of(past)));
        OwnedRow { origin: socket.origin, bytes: socket.bytes.into(), association: *association, known, past }
    }

    fn netns(&mut self, netns: &Netns) -> Arc<Netns> {
        shared(&mut self.netns, netns, Netns::clone)
    }
}

fn contexts(book: &dyn ContextCache, socket: &Socket<'_>, holders: &[KnownHolder]) -> Contexts {
    let owner =
        i32::try_from(socket.local.port).ok().filter(|_| socket.message_kind() == MessageKind::Netlink);
    let tasks: BTreeSet<i32> = holders.iter().map(|holder| holder.tid).chain(owner).collect();
    let sockets: BTreeSet<(i32, i32)> = holders.iter().map(|holder| (holder.tid, holder.fd)).collect();
    Contexts {
        kernel: book.kernel().map(Box::from),
        tasks: tasks.into_iter().filter_map(|tid| Some((tid, book.task(tid)?.into()))).collect(),
        sockets: sockets
            .into_iter()
            .filter_map(|(tid, fd)| Some((tid, fd, book.socket(tid, fd)?.into())))
            .collect(),
    }
}

fn identities(book: &dyn IdentityCache, socket: &Socket<'_>, holders: &[KnownHolder]) -> Identities {
    let pids: BTreeSet<i32> = holders.iter().map(|holder| holder.pid).collect();
    let known = |pid| book.process(pid).map(|process| (pid, process.cmdline.into(), process.uid));
    let processes: Vec<(i32, Box<[u8]>, Option<u32>)> = pids.into_iter().filter_map(known).collect();
    let uids: BTreeSet<u32> =
        processes.iter().filter_map(|(.., uid)| *uid).chain(fields::owner(socket)).collect();
    let users = uids.into_iter().filter_map(|uid| Some((uid, book.user(uid)?.into()))).collect();
    Identities { processes, users }
}

impl OwnedRow {
    /// Copies one row; [`Sockets::collect`](crate::Sockets::collect) copies all.
    pub fn of(row: &Row<'_>) -> Self {
        Interner::default().keep(row)
    }

    /// Passes the row to a function, borrowed as in [`Sockets::each`], but without the
    /// types of its BPF maps.
    ///
    /// [`Sockets::each`]: crate::Sockets::each
    pub fn with<T>(&self, look: impl FnOnce(&Row<'_>) -> T) -> T {
        let record = Record { origin: self.origin, bytes: &self.bytes };
        let Some(socket) = Socket::decode(record) else {
            // Decoding depends only on these bytes.
            unreachable!("these bytes were a socket before");
        };
        let known = &self.known;
        let names = Names {
            hosts: known.hosts.as_ref().map(|book| book as &dyn HostCache),
            local_service: known.local_service.as_deref(),
            remote_service: known.remote_service.as_deref(),
            interface: known.interface.as_deref(),
            protocol: known.protocol.as_deref(),
            port_owner: known.port_owner.as_deref(),
            port_range: known.port_range,
            ports: known.ports,
            cgroup: known.cgroup.as_deref(),
            arrival: known.arrival.as_ref(),
            netns: known.netns.as_deref(),
            peer: known.peer.as_ref().map(|peer| Peer {
                inode: peer.inode,
                netns: peer.netns.as_deref(),
                candidates: peer.candidates,
                claimed_by: peer.claimed_by,
            }),
            workload: known.workload.as_deref(),
            addresses: known.addresses.as_ref().map(|book| book as &dyn AddressCache),
            holders: known.holders.as_ref().map(|book| book as &dyn HolderCache),
            contexts: known.contexts.as_ref().map(|book| book as &dyn ContextCache),
            bpf_maps: None,
            identities: known.identities.as_ref().map(|book| book as &dyn IdentityCache),
            // Set only while a program judges the row.
            around: None,
        };
        let past = self.past.as_ref().map(|past| past.lend());
        look(&Row { socket: &socket, names, association: self.association, past: past.as_ref() })
    }

    /// As [`Row::value`].
    pub fn value(&self, name: &str) -> Option<OwnedValue> {
        self.with(|row| row.value(name).map(OwnedValue::from))
    }

    /// As [`Row::number`].
    pub fn number(&self, name: &str) -> Option<i128> {
        self.with(|row| row.number(name))
    }

    /// As [`Row::table`].
    pub fn table(&self) -> Table {
        self.with(|row| row.table())
    }

    /// As [`Row::state`].
    pub fn state(&self) -> Option<State> {
        self.with(|row| row.state())
    }

    /// As [`Row::state_name`].
    pub fn state_name(&self) -> &'static str {
        self.with(|row| row.state_name())
    }

    /// As [`Row::local`].
    pub fn local(&self) -> Option<SocketAddr> {
        self.with(|row| row.local())
    }

    /// As [`Row::remote`].
    pub fn remote(&self) -> Option<SocketAddr> {
        self.with(|row| row.remote())
    }

    /// As [`Row::recv_q`].
    pub fn recv_q(&self) -> u32 {
        self.with(|row| row.recv_q())
    }

    /// As [`Row::send_q`].
    pub fn send_q(&self) -> u32 {
        self.with(|row| row.send_q())
    }

    /// As [`Row::inode`].
    pub fn inode(&self) -> Option<u32> {
        self.with(|row| row.inode())
    }

    /// As [`Row::cookie`].
    pub fn cookie(&self) -> Option<u64> {
        self.with(|row| row.cookie())
    }

    /// As [`Row::uid`].
    pub fn uid(&self) -> Option<u32> {
        self.with(|row| row.uid())
    }

    /// As [`Row::holders`].
    pub fn holders(&self) -> Vec<Holding> {
        self.with(|row| row.holders())
    }

    /// As [`Row::peer_holders`].
    pub fn peer_holders(&self) -> Vec<Holding> {
        self.with(|row| row.peer_holders())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Catalog;
    use crate::model::SourceKind;

    /// A cache with an answer to every look-up.
    struct Fake;

    impl HostCache for Fake {
        fn host(&self, addr: Addr) -> Option<&[u8]> {
            (addr == Addr::V4([127, 0, 0, 1])).then_some(&b"here"[..])
        }
    }

    impl HolderCache for Fake {
        fn holders(&self, inode: u32, take: &mut dyn FnMut(Holder<'_>)) {
            let (name, pid): (&[u8], i32) = if inode == 7 { (b"other", 20) } else { (b"own", 10) };
            take(Holder { name, pid, tid: pid + 1, fd: 4 });
            take(Holder { name: b"", pid, tid: pid, fd: 3 });
        }
    }

    impl ContextCache for Fake {
        fn kernel(&self) -> Option<&[u8]> {
            Some(b"kernel_t")
        }

        fn task(&self, tid: i32) -> Option<&[u8]> {
            match tid {
                11 => Some(b"task_t"),
                9 => Some(b"nine_t"),
                _ => None,
            }
        }

        fn socket(&self, tid: i32, fd: i32) -> Option<&[u8]> {
            ((tid, fd) == (11, 4)).then_some(b"socket_t")
        }
    }

    impl IdentityCache for Fake {
        fn process(&self, pid: i32) -> Option<Process<'_>> {
            let cmdline: &[u8] = if pid == 10 { b"own\0-x\0" } else { b"" };
            Some(Process { cmdline, uid: Some(pid as u32) })
        }

        fn user(&self, uid: u32) -> Option<&[u8]> {
            match uid {
                10 => Some(b"ten"),
                1000 => Some(b"owner"),
                _ => None,
            }
        }
    }

    impl AddressCache for Fake {
        fn addresses(&self, interface: u32, take: &mut dyn FnMut(Addr)) {
            take(Addr::V4([10, 0, 0, interface as u8]));
            take(Addr::V6([0x20; 16]));
        }
    }

    fn values(row: &Row<'_>) -> Vec<(&'static str, OwnedValue)> {
        let names = Catalog::shared().fields().map(|field| field.name);
        names.filter_map(|name| Some((name, row.value(name)?.into()))).collect()
    }

    #[test]
    fn everything_that_was_looked_up_is_kept() {
        let netns = Netns::new(5, Some(b"web".to_vec()), None);
        let workload = Workload { container_name: Some(b"box"[..].into()), ..Workload::default() };
        let arrival = Arrival::at(1_700_000_000_000_000_001);
        let names = Names {
            arrival: Some(&arrival),
            hosts: Some(&Fake),
            local_service: Some(b"ssh"),
            remote_service: Some(b"high"),
            interface: Some(b"eth0"),
            protocol: Some(b"rtnl"),
            port_owner: Some(b"ip"),
            port_range: Some((32768, 60999)),
            ports: PortShare::of(3, 28_232),
            cgroup: Some(b"/a"),
            netns: Some(&netns),
            peer: Some(Peer { inode: 7, netns: Some(&netns), candidates: 1, claimed_by: None }),
            workload: Some(&workload),
            addresses: Some(&Fake),
            holders: Some(&Fake),
            contexts: Some(&Fake),
            around: None,
            bpf_maps: None,
            identities: Some(&Fake),
        };
        let tcp =
            b"0: 0100007F:0016 0200007F:C350 01 00000002:00000007 00:00000000 00000000  1000        0 621";
        let listener =
            b"0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 622";
        let netlink =
            b"00000000a1b2c3d4 0   9          00000111 0        0        0        2        0        19";
        let mut interner = Interner::default();
        let mut seen = Vec::new();
        for (table, bytes) in [(Table::Tcp, &tcp[..]), (Table::Tcp, listener), (Table::Netlink, netlink)] {
            let origin = Origin::of(table, SourceKind::Proc);
            let socket = Socket::decode(Record { origin, bytes }).expect("a whole line");
            let row = Row { names, ..Row::bare(&socket) };
            let kept = interner.keep(&row);
            assert_eq!(kept.with(values), values(&row));
            assert_eq!((kept.holders(), kept.peer_holders()), (row.holders(), row.peer_holders()));
            seen.extend(values(&row).into_iter().map(|(name, _)| name));
            assert_eq!(kept, OwnedRow::of(&row));
        }
        for name in [
            "local.host",
            "local.service",
            "socket.user",
            "socket.context",
            "socket.process_context",
            "container.name",
            "netns.name",
            "peer.netns_name",
            "peer.processes",
            "netlink.port_owner",
            "listen.scope",
        ] {
            assert!(seen.contains(&name), "{name}: {seen:?}");
        }
        assert_eq!(
            (interner.netns.len(), interner.workloads.len(), interner.addresses.len()),
            (1, 1, 1),
            "shared"
        );
    }

    #[test]
    fn what_is_shared_is_bounded() {
        let mut known = Vec::new();
        for number in 0..1000_u32 {
            assert_eq!(*shared(&mut known, &number, Clone::clone), number);
        }
        assert_eq!(known.len(), SHARED);
    }
}
