//! Remembers the addresses and ports of connections.
//!
//! The kernel's report of an aborted connection lacks the local address and both ports.  They are kept here: two words a socket, since a machine has few
//! addresses of its own.
//!
//! Invariant: unknown parts stay as the kernel reported them.

use std::collections::HashMap;

use crate::model::{Addr, Socket, Table};

/// How many local addresses are remembered; connections of further addresses cannot be
/// restored.
const MOST_ADDRESSES: usize = 4096;
/// The number of an address that is not remembered.
const UNKNOWN: u32 = 0;

/// The local addresses of all connections, by numbers from 1 on.
#[derive(Debug, Default)]
pub(in crate::observer) struct Places {
    addresses: Vec<Addr>,
    numbers: HashMap<(bool, [u8; 16]), u32>,
}

impl Places {
    /// Words that are kept for a socket: both ports, and the number of the address.
    pub(in crate::observer) const WORDS: usize = 2;

    /// Stores the addresses and ports of a socket in its words.
    pub(in crate::observer) fn keep(&mut self, socket: &Socket<'_>, words: &mut [u32]) {
        let [ports, address, ..] = words else { return };
        if socket.origin.table != Table::Tcp || socket.remote.port == 0 {
            return;
        }
        let (Ok(local), Ok(remote)) = (u16::try_from(socket.local.port), u16::try_from(socket.remote.port))
        else {
            return;
        };
        *ports = u32::from(local) << 16 | u32::from(remote);
        if self.address(*address) != Some(socket.local.addr) {
            *address = self.number(socket.local.addr);
        }
    }

    /// Restores, for an aborted connection, what the kernel did not report, from the words
    /// that were kept; returns whether anything was restored.
    pub(in crate::observer) fn restore(&self, socket: &mut Socket<'_>, words: Option<&[u32]>) -> bool {
        let Some([ports, address, ..]) = words else { return false };
        if socket.remote.port != 0 || (*ports).trailing_zeros() >= 16 {
            return false;
        }
        socket.remote.port = i64::from(*ports & 0xffff);
        if socket.local.port == 0 {
            socket.local.port = i64::from(*ports >> 16);
        }
        if socket.local.addr.is_unspecified()
            && let Some(known) = self.address(*address)
        {
            socket.local.addr = known;
        }
        true
    }

    fn address(&self, number: u32) -> Option<Addr> {
        self.addresses.get((number as usize).checked_sub(1)?).copied()
    }

    fn number(&mut self, addr: Addr) -> u32 {
        let key = match addr {
            Addr::V4([a, b, c, d]) => (false, [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            Addr::V6(octets) => (true, octets),
            Addr::Number(_) | Addr::None => return UNKNOWN,
        };
        if let Some(number) = self.numbers.get(&key) {
            return *number;
        }
        let Some(number) =
            u32::try_from(self.addresses.len() + 1).ok().filter(|_| self.addresses.len() < MOST_ADDRESSES)
        else {
            return UNKNOWN;
        };
        self.addresses.push(addr);
        self.numbers.insert(key, number);
        number
    }
}
