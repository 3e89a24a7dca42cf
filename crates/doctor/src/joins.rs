//! Facts about a socket that follow from the other sockets of its namespace, learned at one
//! look and used at the next.
//!
//! Memory use is small: numbers by port for listeners, eight bytes for each connection of the
//! host with itself, and a table of fixed size that counts connections by a hash of their
//! destination.
//!
//! Invariant: an estimate of connections towards a destination is never too low.

use std::collections::HashMap;

use sockdiag_facts::fields::has_options;
use sockdiag_facts::model::{Addr, Join, MessageKind, Row, Socket, State, Table};

/// The size of the table in which destinations are counted.
const PLACES: usize = 1 << 16;

/// The largest number of connections of the host with itself that are kept.
const MOST: usize = 4 << 20;

/// Everything known about a port.
#[derive(Clone, Copy, Debug, Default)]
struct Port {
    is_served: bool,
    syn_recv: u32,
    syn_recv_again: u32,
    abandoned: u32,
}

/// The facts learned from all sockets of a namespace.
#[derive(Debug, Default)]
pub(crate) struct Joins {
    ports: HashMap<u16, Port>,
    /// Ends of connections of the host with itself, by a hash.
    locals: Vec<u64>,
    /// Whether there were more than could be kept.
    is_cut: bool,
    towards: Vec<u32>,
    /// Connections with other hosts, and how many of them have every option.
    others: (u64, u64),
}

fn octets(addr: Addr) -> [u64; 2] {
    let half = |bytes: &[u8]| bytes.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
    match addr.one_host() {
        Addr::V4(octets) => [0, half(&octets)],
        Addr::V6(octets) => {
            let (high, low) = octets.split_at(8);
            [half(high), half(low)]
        }
        Addr::Number(_) | Addr::None => [0, 0],
    }
}

/// Hashes numbers; well distributed, but not cryptographic.
fn mix(words: &[u64]) -> u64 {
    words.iter().fold(0x243f_6a88_85a3_08d3, |hash: u64, word| {
        let hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^ hash >> 29
    })
}

fn port(port: i64) -> u64 {
    u64::try_from(port).unwrap_or(0)
}

/// A hash of both ends, in this order or swapped.
fn ends(socket: &Socket<'_>, is_reversed: bool) -> u64 {
    let (local, remote) = (socket.local, socket.remote);
    let (first, second) = if is_reversed { (remote, local) } else { (local, remote) };
    let ([a, b], [c, d]) = (octets(first.addr), octets(second.addr));
    mix(&[a, b, port(first.port), c, d, port(second.port)])
}

fn place(socket: &Socket<'_>) -> usize {
    let ([a, b], [c, d]) = (octets(socket.local.addr), octets(socket.remote.addr));
    let hash = mix(&[a, b, c, d, port(socket.remote.port)]);
    usize::try_from(hash >> 16).unwrap_or(0) % PLACES
}

impl Joins {
    /// Adds a row.
    pub(crate) fn learn(&mut self, row: &Row<'_>) {
        let socket = row.socket;
        if socket.message_kind() != MessageKind::Inet || row.table() != Table::Tcp {
            return;
        }
        let Ok(local) = u16::try_from(socket.local.port) else { return };
        match State::from_number(socket.state) {
            Some(State::Listen) => self.port(local).is_served = true,
            Some(State::SynRecv | State::NewSynRecv) => {
                let port = self.port(local);
                port.syn_recv += 1;
                port.syn_recv_again += u32::from(socket.timer.retrans > 0);
            }
            state if socket.remote.port != 0 => {
                if state == Some(State::CloseWait) && socket.inode == 0 {
                    self.port(local).abandoned += 1;
                }
                if socket.has_local_ends() {
                    if self.locals.len() < MOST {
                        self.locals.push(ends(socket, false));
                    } else {
                        self.is_cut = true;
                    }
                } else if state == Some(State::Established)
                    && let Some(has) = has_options(row)
                {
                    self.others = (self.others.0 + 1, self.others.1 + u64::from(has));
                }
                if self.towards.is_empty() {
                    self.towards = vec![0; PLACES];
                }
                if let Some(count) = self.towards.get_mut(place(socket)) {
                    *count = count.saturating_add(1);
                }
            }
            _ => {}
        }
    }

    fn port(&mut self, port: u16) -> &mut Port {
        self.ports.entry(port).or_default()
    }

    /// Ends the first look.
    pub(crate) fn end(&mut self) {
        self.locals.sort_unstable();
    }

    /// A fact about a socket, learned from the other sockets.
    #[allow(clippy::cast_precision_loss, reason = "sockets are fewer than 2^53")]
    pub(crate) fn of(&self, join: Join, socket: &Socket<'_>) -> Option<f64> {
        let known = || self.ports.get(&u16::try_from(socket.local.port).ok()?).copied();
        let of = |of: fn(Port) -> u32| Some(known().map_or(0, of).into());
        let is_connected = socket.remote.port != 0;
        match join {
            Join::SynRecv => of(|port| port.syn_recv),
            Join::SynRecvAgain => of(|port| port.syn_recv_again),
            Join::Abandoned => of(|port| port.abandoned),
            Join::Served => of(|port| port.is_served.into()),
            Join::PeerPresent if is_connected && socket.has_local_ends() => {
                let found = self.locals.binary_search(&ends(socket, true)).is_ok();
                // If the limit was reached, absence proves nothing.
                (found || !self.is_cut).then_some(f64::from(u8::from(found)))
            }
            Join::Towards if is_connected => {
                Some(self.towards.get(place(socket)).copied().unwrap_or(0).into())
            }
            Join::WithOptions => {
                let (all, with) = self.others;
                (all > 0).then(|| with as f64 / all as f64)
            }
            Join::PeerPresent | Join::Towards => None,
        }
    }
}
