//! Which socket is the other end of a connection.
//!
//! A unix socket reports its peer's inode.  The peer of an inet socket is the one with the
//! same two ends swapped: to find it, all sockets of the listed tables are read before any
//! is shown.  For each only a hash of its ends is kept (64 bits under a random key), with
//! its inode and namespace.
//!
//! That is a guess: only addresses and ports connect the two.  So both must be in the same
//! phase: a socket that is still connecting is not the peer of an established one.  The
//! same addresses may be in use in several namespaces.  A peer in the socket's own
//! namespace is preferred, and the peer of a loopback address is searched only there; in
//! other namespaces the match must be unique.  Where addresses are translated on the way
//! (published ports of containers), both ends see other addresses, and no peer is found.
//!
//! Any user who may create a user namespace can create network namespaces with any
//! addresses in them.  If two namespaces belong to different user namespaces (ours and the
//! first count as one), the match rests on their owner's word alone: the row says so, and
//! it is used only if there is no better one.
//!
//! Source: unix_diag (`UNIX_DIAG_PEER`), inet_diag, ioctl_ns(2).

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use std::hash::{BuildHasher as _, RandomState};

use sockdiag_wire::ipproto::IPPROTO_SCTP;

use crate::model::{Addr, Detail, MessageKind, Netns, Socket, State, UserNamespace};

/// How many sockets are remembered at most, in 64 MiB.
const MOST: usize = 4 << 20;

/// A socket that may be the peer of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Known {
    ends: u64,
    scope: u32,
    inode: u32,
}

/// A peer that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The inode of the peer; 0 if there are several candidates.
    pub(super) inode: u32,
    /// The number of its namespace, if known.
    pub(super) scope: Option<u32>,
    /// How many sockets match.
    pub(super) candidates: u32,
    /// The user whose word alone makes it the peer.
    pub(super) claimed_by: Option<u32>,
}

/// The remembered sockets, by a hash of their ends.
#[derive(Debug, Default)]
pub(super) struct Peers {
    key: RandomState,
    known: Vec<Known>,
    sorted: bool,
    /// The owners of the namespaces, by number.
    owners: Vec<Option<UserNamespace>>,
    /// Sockets that were not remembered for lack of room.
    left_out: u64,
}

/// Why no peer of a connection was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// The peer is not in the namespace that was searched.
    Elsewhere,
    /// The peer can only be on this machine, so no process has it open.
    Unheld,
}

impl Peers {
    /// Remembers a socket in a namespace.
    pub(super) fn add(&mut self, socket: &Socket<'_>, scope: u32) {
        // A socket without an inode is held by no process, so it is of no use as a peer.
        if socket.inode == 0 {
            return;
        }
        let ends = match socket.message_kind() {
            MessageKind::Unix => self.hash_inode(socket.inode),
            MessageKind::Inet if is_connected(socket) => self.hash_ends(socket, false),
            _ => return,
        };
        if self.known.len() >= MOST {
            self.left_out += 1;
            return;
        }
        self.known.push(Known { ends, scope, inode: socket.inode });
        self.sorted = false;
    }

    /// Forgets all sockets.  The next ones belong to these namespaces.
    pub(super) fn begin_poll(&mut self, namespaces: &[Netns]) {
        self.known.clear();
        self.sorted = false;
        self.owners = namespaces.iter().map(|netns| netns.owner).collect();
    }

    /// Sorts the sockets; call it after the last one was added.
    pub(super) fn sort(&mut self) {
        if !self.sorted {
            self.known.sort_unstable();
            self.sorted = true;
        }
    }

    /// How many sockets were not remembered for lack of room, since the last call.
    pub(super) fn take_left_out(&mut self) -> u64 {
        std::mem::take(&mut self.left_out)
    }

    /// Why a connection has no known peer, when only its own namespace was searched.
    pub(super) fn lack(&self, socket: &Socket<'_>) -> Option<Lack> {
        // The peer of a socket that is closing or not yet accepted may be gone.
        if !is_connected(socket) || socket.inode == 0 || self.of(socket, 0).is_some() {
            return None;
        }
        Some(if socket.remote.addr.is_loopback() { Lack::Unheld } else { Lack::Elsewhere })
    }

    /// The other end of a socket of a namespace; `None` if it can have none,
    /// or none was found.
    pub(super) fn of(&self, socket: &Socket<'_>, scope: u32) -> Option<Found> {
        match &socket.detail {
            Detail::Unix(unix) => {
                let inode = unix.peer().filter(|inode| *inode != 0)?;
                let at = self.with(self.hash_inode(inode)).first().map(|known| known.scope);
                Some(Found { inode, scope: at, candidates: 1, claimed_by: None })
            }
            Detail::Inet(_) | Detail::Proc(_) if is_connected(socket) => {
                self.among(self.with(self.hash_ends(socket, true)), scope, socket.remote.addr.is_loopback())
            }
            _ => None,
        }
    }

    /// The best match for a socket of namespace `scope`; `at_home` searches that namespace
    /// only.
    fn among(&self, all: &[Known], scope: u32, at_home: bool) -> Option<Found> {
        let claimed = |known: &Known| self.claimed_by(scope, known.scope);
        for rank in 0..if at_home { 1 } else { 3 } {
            let mut those = all.iter().filter(|known| match rank {
                0 => known.scope == scope,
                1 => claimed(known).is_none(),
                _ => true,
            });
            let Some(one) = those.next() else { continue };
            let candidates = 1 + those.count() as u32;
            let one = Some(one).filter(|_| candidates == 1);
            return Some(Found {
                inode: one.map_or(0, |one| one.inode),
                scope: one.map(|one| one.scope),
                candidates,
                claimed_by: one.and_then(claimed),
            });
        }
        None
    }

    /// The user on whose word alone sockets of these two namespaces are peers; `None` if
    /// both belong to one user namespace.
    fn claimed_by(&self, scope: u32, other: u32) -> Option<u32> {
        let owner = |scope: u32| self.owners.get(scope as usize).copied().flatten();
        let (own, other) = (owner(scope), owner(other));
        if own.map(|own| own.inode) == other.map(|other| other.inode) {
            return None;
        }
        other.or(own).map(|owner| owner.uid)
    }

    /// The sockets with this hash, by namespace.
    fn with(&self, ends: u64) -> &[Known] {
        let start = self.known.partition_point(|known| known.ends < ends);
        let rest = self.known.get(start..).unwrap_or_default();
        let length = rest.iter().take_while(|known| known.ends == ends).count();
        rest.get(..length).unwrap_or_default()
    }

    fn hash_inode(&self, inode: u32) -> u64 {
        self.key.hash_one((1_u8, inode))
    }

    /// A hash of a socket's two ends, or if `reversed`, of its peer's.
    fn hash_ends(&self, socket: &Socket<'_>, reversed: bool) -> u64 {
        let end = |end: crate::model::Endpoint| (bytes(end.addr), end.port);
        let (local, remote) = (end(socket.local), end(socket.remote));
        let (first, second) = if reversed { (remote, local) } else { (local, remote) };
        self.key.hash_one((2_u8, is_connecting(socket), socket.protocol, first, second))
    }
}

/// Whether the connection is still being established.  SCTP associations have states of
/// their own.
fn is_connecting(socket: &Socket<'_>) -> bool {
    const STATES: [State; 3] = [State::SynSent, State::SynRecv, State::NewSynRecv];
    socket.protocol != IPPROTO_SCTP && STATES.iter().any(|state| *state as u8 == socket.state)
}

/// Whether an inet socket has a local and a remote port.
pub(super) fn is_connected(socket: &Socket<'_>) -> bool {
    socket.message_kind() == MessageKind::Inet && socket.remote.port != 0 && socket.local.port != 0
}

/// An address in its IPv6 form, since an IPv4 socket's peer may be an IPv6 socket.
pub(super) fn bytes(addr: Addr) -> [u8; 16] {
    match addr {
        Addr::V4([a, b, c, d]) => [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d],
        Addr::V6(octets) => octets,
        Addr::Number(_) | Addr::None => [0; 16],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Origin, Record, SourceKind, Table};

    /// A line of /proc/net/tcp, or of tcp6 with mapped addresses.
    fn line_in(state: u8, local: ([u8; 4], u16), remote: ([u8; 4], u16), six: bool, inode: u32) -> String {
        let end = |(addr, port): ([u8; 4], u16)| {
            let start = if six { "0000000000000000FFFF0000" } else { "" };
            format!("{start}{:08X}:{port:04X}", u32::from_ne_bytes(addr))
        };
        let (local, remote) = (end(local), end(remote));
        format!(
            "   0: {local} {remote} {state:02X} 00000000:00000000 00:00000000 00000000  1000        0 {inode}"
        )
    }

    fn line(local: ([u8; 4], u16), remote: ([u8; 4], u16), six: bool, inode: u32) -> String {
        line_in(1, local, remote, six, inode)
    }

    fn socket(line: &str) -> Socket<'_> {
        let origin = Origin::of(Table::Tcp, SourceKind::Proc);
        Socket::decode(Record { origin, bytes: line.as_bytes() }).expect("a whole line")
    }

    const A: ([u8; 4], u16) = ([10, 0, 0, 1], 80);
    const B: ([u8; 4], u16) = ([10, 0, 0, 2], 4000);
    const LO_A: ([u8; 4], u16) = ([127, 0, 0, 1], 80);
    const LO_B: ([u8; 4], u16) = ([127, 0, 0, 1], 4000);

    /// The first two namespaces are ours; the last three belong to two users, one of whom
    /// owns two.
    fn namespaces() -> Vec<Netns> {
        let owned = |inode, uid| Netns { owner: Some(UserNamespace { inode, uid }), ..Netns::default() };
        let mut all = vec![Netns::default(); 5];
        all.extend([owned(50, 5555), owned(50, 5555), owned(60, 6666)]);
        all
    }

    /// The peer of the socket from `from` to `to` in a namespace, if it is among these.
    fn found_in(
        scope: u32,
        from: ([u8; 4], u16),
        to: ([u8; 4], u16),
        others: &[(u32, u32)],
    ) -> Option<Found> {
        let mut peers = Peers::default();
        peers.begin_poll(&namespaces());
        for (inode, scope) in others {
            let line = line(to, from, inode % 2 == 1, *inode);
            peers.add(&socket(&line), *scope);
        }
        // Unrelated sockets.
        for (inode, other) in [(90, (A.0, 81)), (91, ([10, 0, 0, 3], 80))] {
            peers.add(&socket(&line(to, other, false, inode)), 0);
        }
        peers.sort();
        peers.of(&socket(&line(from, to, false, 5)), scope)
    }

    fn found(from: ([u8; 4], u16), to: ([u8; 4], u16), others: &[(u32, u32)]) -> Option<Found> {
        found_in(0, from, to, others)
    }

    fn peer(inode: u32, scope: u32, claimed_by: Option<u32>) -> Found {
        Found { inode, scope: Some(scope), candidates: 1, claimed_by }
    }

    fn doubts(candidates: u32) -> Found {
        Found { inode: 0, scope: None, candidates, claimed_by: None }
    }

    #[test]
    fn the_peer_has_the_ends_the_other_way_round() {
        let at = |inode, scope| Some(peer(inode, scope, None));
        let doubt = |candidates| Some(doubts(candidates));
        assert_eq!(found(A, B, &[(8, 0)]), at(8, 0));
        assert_eq!(found(A, B, &[(9, 0)]), at(9, 0), "an IPv6 socket with a mapped address");
        assert_eq!(found(A, B, &[]), None);
        assert_eq!(found(A, B, &[(0, 0)]), None, "held by nobody");
        assert_eq!(found(A, B, &[(8, 3)]), at(8, 3), "in another namespace");
        assert_eq!(found(A, B, &[(8, 3), (10, 0)]), at(10, 0), "our own namespace first");
        assert_eq!(found(A, B, &[(8, 3), (10, 4)]), doubt(2));
        assert_eq!(found(A, B, &[(8, 0), (10, 0)]), doubt(2));
        assert_eq!(found(LO_A, LO_B, &[(8, 0)]), at(8, 0));
        assert_eq!(found(LO_A, LO_B, &[(8, 3)]), None, "another namespace's loopback is another");
        assert_eq!(found(A, (B.0, 0), &[(8, 0)]), None, "not connected");
    }

    #[test]
    fn a_user_s_namespace_claims_a_peer_and_hides_none() {
        let at = |inode, scope, claimed_by| Some(peer(inode, scope, claimed_by));
        let doubt = |candidates| Some(doubts(candidates));
        assert_eq!(found(A, B, &[(8, 5)]), at(8, 5, Some(5555)));
        assert_eq!(found(A, B, &[(8, 3), (10, 5)]), at(8, 3, None), "the true one");
        assert_eq!(found(A, B, &[(8, 0), (10, 5), (12, 7)]), at(8, 0, None));
        assert_eq!(found(A, B, &[(8, 3), (10, 4), (12, 5)]), doubt(2), "those that could be true");
        assert_eq!(found(A, B, &[(8, 5), (10, 7)]), doubt(2));
        assert_eq!(found_in(5, A, B, &[(8, 6)]), at(8, 6, None), "both are his");
        assert_eq!(found_in(5, A, B, &[(8, 6), (10, 7), (12, 0)]), at(8, 6, None));
        assert_eq!(found_in(5, A, B, &[(8, 7)]), at(8, 7, Some(6666)));
        assert_eq!(
            found_in(5, A, B, &[(8, 0)]),
            at(8, 0, Some(5555)),
            "his socket says that ours is its end"
        );
        assert_eq!(found_in(9, A, B, &[(8, 0)]), at(8, 0, None), "of no number: there is only ours");
    }

    /// The states, by number, that both ends of a connection can have at the same time.
    #[test]
    fn both_ends_are_as_far_in_their_life() {
        const SYN_SENT: u8 = 2;
        const SYN_RECV: u8 = 3;
        for (one, other, fits) in [
            (1, 1, true),
            (1, 4, true),
            (5, 8, true),
            (9, 6, true),
            (1, SYN_SENT, false),
            (SYN_SENT, 1, false),
            (8, SYN_RECV, false),
            (1, 12, false),
            (SYN_SENT, SYN_RECV, true),
            (SYN_SENT, SYN_SENT, true),
        ] {
            let mut peers = Peers::default();
            peers.add(&socket(&line_in(other, B, A, false, 8)), 0);
            peers.sort();
            let found = peers.of(&socket(&line_in(one, A, B, false, 5)), 0);
            assert_eq!(found, fits.then(|| peer(8, 0, None)), "{one} {other}");
        }
    }

    #[test]
    fn protocols_are_kept_apart() {
        let mut peers = Peers::default();
        let (there, back) = (line(A, B, false, 5), line(B, A, false, 6));
        let mut udp = socket(&back);
        udp.protocol = 17;
        peers.add(&udp, 0);
        peers.sort();
        assert_eq!(peers.of(&socket(&there), 0), None);
        assert_eq!(peers.take_left_out(), 0);
    }
}
