//! Which socket is the other end of a connection.
//!
//! A unix socket names its peer's inode.  The peer of an inet socket is the
//! one with the same two ends the other way round: all sockets of the tables
//! that are listed are looked through for that, before anything is shown.  Of
//! each only a hash of its ends is kept (64 bits under a key that nobody
//! outside knows), with its inode and namespace.
//!
//! The same addresses may be in use in several namespaces.  A peer in the
//! socket's own namespace is preferred, and a loopback address leads nowhere
//! else; in other namespaces there must be one such socket alone.  Where
//! addresses are translated on the way (published ports of containers), both
//! ends see other addresses, and no peer is found.
//!
//! Source: unix_diag (`UNIX_DIAG_PEER`), inet_diag.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use std::hash::{BuildHasher as _, RandomState};

use crate::model::{Addr, Detail, MessageKind, Socket};

/// As many sockets are remembered, in 64 MiB.
const MOST: usize = 4 << 20;

/// A socket that may be somebody's peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Known {
    ends: u64,
    scope: u32,
    inode: u32,
}

/// What is known of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Its inode; 0 if it is in doubt.
    pub(super) inode: u32,
    /// The number of its namespace, where that is known.
    pub(super) scope: Option<u32>,
    /// How many sockets may be it.
    pub(super) candidates: u32,
}

/// Sockets by their ends.
#[derive(Debug, Default)]
pub(super) struct Peers {
    key: RandomState,
    known: Vec<Known>,
    sorted: bool,
    /// Sockets that there was no room for.
    left_out: u64,
}

impl Peers {
    /// Remembers a socket of a namespace.
    pub(super) fn add(&mut self, socket: &Socket<'_>, scope: u32) {
        // What nobody holds has no process to name.
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

    /// Forgets all sockets.
    pub(super) fn begin_poll(&mut self) {
        self.known.clear();
        self.sorted = false;
    }

    /// Ends the adding.
    pub(super) fn sort(&mut self) {
        if !self.sorted {
            self.known.sort_unstable();
            self.sorted = true;
        }
    }

    /// How many sockets there was no room for, since the last call.
    pub(super) fn take_left_out(&mut self) -> u64 {
        std::mem::take(&mut self.left_out)
    }

    /// The other end of a socket of a namespace; `None` if it can have none,
    /// or none was found.
    pub(super) fn of(&self, socket: &Socket<'_>, scope: u32) -> Option<Found> {
        match &socket.detail {
            Detail::Unix(unix) => {
                let inode = unix.peer().filter(|inode| *inode != 0)?;
                let at = self.with(self.hash_inode(inode)).first().map(|known| known.scope);
                Some(Found { inode, scope: at, candidates: 1 })
            }
            Detail::Inet(_) | Detail::Proc(_) if is_connected(socket) => {
                let all = self.with(self.hash_ends(socket, true));
                let own = part(all, |known| known.scope == scope);
                let candidates = match own {
                    [] if is_loopback(socket.remote.addr) => own,
                    [] => all,
                    own => own,
                };
                let one = match candidates {
                    [] => return None,
                    [one] => Some(one),
                    _ => None,
                };
                Some(Found {
                    inode: one.map_or(0, |one| one.inode),
                    scope: one.map(|one| one.scope),
                    candidates: candidates.len() as u32,
                })
            }
            _ => None,
        }
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

    /// A hash of the two ends as they are, or of the ends of the peer.
    fn hash_ends(&self, socket: &Socket<'_>, reversed: bool) -> u64 {
        let end = |end: crate::model::Endpoint| (bytes(end.addr), end.port);
        let (local, remote) = (end(socket.local), end(socket.remote));
        let (first, second) = if reversed { (remote, local) } else { (local, remote) };
        self.key.hash_one((2_u8, socket.protocol, first, second))
    }
}

/// The run of those that are so; they lie together.
fn part(all: &[Known], is: impl Fn(&Known) -> bool) -> &[Known] {
    let start = all.iter().position(&is).unwrap_or(all.len());
    let rest = all.get(start..).unwrap_or_default();
    let length = rest.iter().take_while(|known| is(known)).count();
    rest.get(..length).unwrap_or_default()
}

/// Whether an inet socket has two ends.
fn is_connected(socket: &Socket<'_>) -> bool {
    socket.message_kind() == MessageKind::Inet && socket.remote.port != 0 && socket.local.port != 0
}

fn is_loopback(addr: Addr) -> bool {
    match bytes(addr) {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, ..] => true,
        octets => octets == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    }
}

/// An address as an IPv6 socket would give it: the other end may be one.
fn bytes(addr: Addr) -> [u8; 16] {
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
    fn line(local: ([u8; 4], u16), remote: ([u8; 4], u16), six: bool, inode: u32) -> String {
        let end = |(addr, port): ([u8; 4], u16)| {
            let start = if six { "0000000000000000FFFF0000" } else { "" };
            format!("{start}{:08X}:{port:04X}", u32::from_ne_bytes(addr))
        };
        let (local, remote) = (end(local), end(remote));
        format!("   0: {local} {remote} 01 00000000:00000000 00:00000000 00000000  1000        0 {inode}")
    }

    fn socket(line: &str) -> Socket<'_> {
        let origin = Origin::of(Table::Tcp, SourceKind::Proc);
        Socket::decode(Record { origin, bytes: line.as_bytes() }).expect("a whole line")
    }

    const A: ([u8; 4], u16) = ([10, 0, 0, 1], 80);
    const B: ([u8; 4], u16) = ([10, 0, 0, 2], 4000);
    const LO_A: ([u8; 4], u16) = ([127, 0, 0, 1], 80);
    const LO_B: ([u8; 4], u16) = ([127, 0, 0, 1], 4000);

    /// What the socket from `from` to `to` in namespace 0 finds among these.
    fn found(from: ([u8; 4], u16), to: ([u8; 4], u16), others: &[(u32, u32)]) -> Option<Found> {
        let mut peers = Peers::default();
        for (inode, scope) in others {
            let line = line(to, from, inode % 2 == 1, *inode);
            peers.add(&socket(&line), *scope);
        }
        // Bystanders.
        for (inode, other) in [(90, (A.0, 81)), (91, ([10, 0, 0, 3], 80))] {
            peers.add(&socket(&line(to, other, false, inode)), 0);
        }
        peers.sort();
        peers.of(&socket(&line(from, to, false, 5)), 0)
    }

    #[test]
    fn the_peer_has_the_ends_the_other_way_round() {
        let at = |inode, scope| Some(Found { inode, scope: Some(scope), candidates: 1 });
        let doubt = |candidates| Some(Found { inode: 0, scope: None, candidates });
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
