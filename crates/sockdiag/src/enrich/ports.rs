//! How many ephemeral ports are in use towards one destination.
//!
//! A connection is identified by two addresses and two ports.  So what runs out is not the
//! range of ephemeral ports as a whole, but the ports that are free from one local address
//! towards one remote address and port.  Connections in any state count: TIME-WAIT, too,
//! keeps its port.  So all TCP sockets of a namespace are read before any is shown.
//!
//! Invariant: a number is reported only if the whole table was read.
//!
//! Source: ip_local_port_range and ip_local_reserved_ports, ip-sysctl of the kernel.

use std::hash::{BuildHasher as _, RandomState};

use sockdiag_wire::ipproto::IPPROTO_TCP;

use super::peers::{bytes, is_connected};
use crate::model::{PortShare, Socket};

/// How many sockets are remembered at most, in 64 MiB.
const MOST: usize = 4 << 20;

/// The ephemeral ports of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PortRange {
    /// The first port.
    pub(crate) first: u16,
    /// The last port.
    pub(crate) last: u16,
    /// How many ports in the range the kernel never assigns by itself.
    pub(crate) reserved: u32,
}

impl PortRange {
    fn has(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    /// How many ports the kernel can assign from the range.
    fn size(self) -> u32 {
        (u32::from(self.last) + 1).saturating_sub(self.first.into()).saturating_sub(self.reserved)
    }
}

/// Ports in use, by local address and remote end.
#[derive(Debug, Default)]
pub(super) struct Ports {
    key: RandomState,
    /// The ranges of the namespaces, by number; `None` where the table was not read
    /// completely.
    ranges: Vec<Option<PortRange>>,
    /// A hash of local address, remote address and remote port, and the local port.
    used: Vec<(u64, u16)>,
}

impl Ports {
    /// Forgets all sockets.  The next ones belong to namespaces with these ranges.
    pub(super) fn begin(&mut self, ranges: Vec<PortRange>) {
        self.ranges = ranges.into_iter().map(Some).collect();
        self.used.clear();
    }

    /// Remembers a socket of a namespace.
    pub(super) fn add(&mut self, socket: &Socket<'_>, scope: u32) {
        let Some((_, port)) = self.port(socket, scope) else { return };
        if self.used.len() >= MOST {
            return self.is_unknown(scope);
        }
        let towards = self.towards(socket, scope);
        self.used.push((towards, port));
    }

    /// Marks a namespace whose table was not read completely.
    pub(super) fn is_unknown(&mut self, scope: u32) {
        if let Some(range) = self.ranges.get_mut(scope as usize) {
            *range = None;
        }
    }

    /// Sorts the ports; call it after the last one was added.
    pub(super) fn sort(&mut self) {
        self.used.sort_unstable();
        self.used.dedup();
    }

    /// The share of ports in use towards the remote end of a socket; `None` if its own port
    /// is outside the range.
    pub(super) fn of(&self, socket: &Socket<'_>, scope: u32) -> Option<PortShare> {
        let (used, all) = self.count(socket, scope)?;
        PortShare::of(used, all)
    }

    /// How many ports are in use, and how many the range has.
    fn count(&self, socket: &Socket<'_>, scope: u32) -> Option<(u32, u32)> {
        let (range, _) = self.port(socket, scope)?;
        let towards = self.towards(socket, scope);
        let start = self.used.partition_point(|(known, _)| *known < towards);
        let end = self.used.partition_point(|(known, _)| *known <= towards);
        let used = u32::try_from(end - start).unwrap_or(u32::MAX);
        Some((used, range.size()))
    }

    /// The range and the local port, if a TCP connection uses a port of the range.
    fn port(&self, socket: &Socket<'_>, scope: u32) -> Option<(PortRange, u16)> {
        let range = self.ranges.get(scope as usize).copied().flatten()?;
        let port = u16::try_from(socket.local.port).ok().filter(|port| range.has(*port))?;
        (socket.protocol == IPPROTO_TCP && is_connected(socket)).then_some((range, port))
    }

    fn towards(&self, socket: &Socket<'_>, scope: u32) -> u64 {
        let ends = (bytes(socket.local.addr), bytes(socket.remote.addr));
        self.key.hash_one((scope, ends, socket.remote.port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Origin, Record, SourceKind, Table};

    /// The counts for the connection `of` on 127.0.0.1 after all connections of `all` were
    /// added.
    fn used(ports: &mut Ports, all: &[(u16, u16)], of: (u16, u16)) -> Option<(u32, u32)> {
        let line = |(local, remote): (u16, u16)| {
            format!(
                "   0: 0100007F:{local:04X} 0100007F:{remote:04X} 06 00000000:00000000 00:00000000 00000000 0 0 0"
            )
        };
        let origin = Origin::of(Table::Tcp, SourceKind::Proc);
        let read = |line: &str, take: &mut dyn FnMut(&Socket<'_>)| {
            take(&Socket::decode(Record { origin, bytes: line.as_bytes() }).expect("a line"));
        };
        for ends in all {
            read(&line(*ends), &mut |socket| ports.add(socket, 0));
        }
        ports.sort();
        let mut found = None;
        read(&line(of), &mut |socket| found = ports.count(socket, 0));
        found
    }

    const RANGE: PortRange = PortRange { first: 40_000, last: 40_099, reserved: 20 };

    #[test]
    fn ports_are_counted_once_for_each_destination() {
        let mut ports = Ports::default();
        ports.begin(vec![RANGE]);
        let all =
            [(40_000, 80), (40_099, 80), (40_000, 81), (40_000, 80), (39_999, 80), (40_100, 80), (40_001, 0)];
        assert_eq!(used(&mut ports, &all, (40_099, 80)), Some((2, 80)));
        assert_eq!(used(&mut ports, &[], (40_000, 81)), Some((1, 80)));
        assert_eq!(used(&mut ports, &[], (40_005, 99)), Some((0, 80)), "it came since");
        assert_eq!(used(&mut ports, &[], (39_999, 80)), None, "none of the range");
        assert_eq!(used(&mut ports, &[], (40_001, 0)), None, "not connected");
        ports.begin(vec![RANGE]);
        assert_eq!(used(&mut ports, &[(40_000, 80)], (40_000, 80)), Some((1, 80)), "each poll looks again");
    }

    #[test]
    fn a_table_that_was_not_read_to_its_end_tells_nothing() {
        let mut ports = Ports::default();
        ports.begin(vec![RANGE]);
        ports.is_unknown(0);
        assert_eq!(used(&mut ports, &[(40_000, 80)], (40_000, 80)), None);
        ports.begin(Vec::new());
        assert_eq!(used(&mut ports, &[(40_000, 80)], (40_000, 80)), None, "no such namespace");
    }

    #[test]
    fn a_range_has_a_size() {
        assert_eq!(RANGE.size(), 80);
        let whole = PortRange { first: 1, last: u16::MAX, reserved: 0 };
        assert_eq!(whole.size(), 65_535);
        let odd = PortRange { first: 9, last: 8, reserved: 7 };
        assert_eq!((odd.size(), odd.has(9)), (0, false));
    }
}
