//! Evaluates a filter on rows.
//!
//! The reference tests every row twice: the kernel runs the filter's program, and `ss` itself
//! tests the sockets that pass.  `ss` compares the first bits of addresses regardless of their
//! family (in addition, an IPv4 rule matches a v4-mapped IPv6 address).  So `src 0.0.0.0` does
//! not show `[::]`, because the kernel distinguishes families, and `not src 0.0.0.0` does not
//! show it either, because `ss` does not.  [`Expr::eval`] returns the combined result for rows
//! of this machine's kernel, and the result of `ss` alone for all others: recordings, lines of
//! /proc, and filters that the reference cannot compile for the kernel.
//!
//! It cannot evaluate `autobound` in the kernel's sense (the port was not requested): a row is
//! kept if either answer would keep it.  So a filter with `autobound` is only right if its
//! program was run as well: see [`super::program`].
//!
//! Source: the observed behaviour of `ss`.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use super::expr::{End, Expr, Next, Test};
use super::host::{HostCondition, Prefix};
use super::pattern;
use crate::fields::{Field, Value};
use crate::model::unix::Name;
use crate::model::{Addr, Detail, Endpoint, MessageKind, Row, SourceKind};

/// Facts about the machine that a row does not contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvalContext {
    /// First and last port of the ephemeral range.
    pub ports: (u16, u16),
}

/// Two ways to compare addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    /// Like the reference: by bits, regardless of the family.
    Program,
    /// Like inet_diag.  A row does not show `autobound`, so it is given.
    Kernel { autobound: bool },
}

impl Expr {
    /// Whether the filter accepts a row.
    pub fn eval(&self, row: &Row<'_>, ctx: EvalContext) -> bool {
        // The classic conditions do not apply to TIPC sockets.
        if row.socket.message_kind() == MessageKind::Tipc
            && !self.tests().any(|test| matches!(test, Test::Field(_)))
        {
            return true;
        }
        self.run(row, ctx, View::Program)
            && (!self.second_view()
                || row.socket.origin.kind != SourceKind::Kernel
                // Only inet tables are filtered in the kernel.
                || row.socket.message_kind() != MessageKind::Inet
                || [true, false].iter().any(|&autobound| self.run(row, ctx, View::Kernel { autobound })))
    }

    /// Whether the filter accepts a row without its kernel half.  The reference tests rows
    /// this way if no request brought them (`-E`).
    pub fn eval_alone(&self, row: &Row<'_>, ctx: EvalContext) -> bool {
        self.run(row, ctx, View::Program)
    }

    fn run(&self, row: &Row<'_>, ctx: EvalContext, view: View) -> bool {
        let mut next = Next::Try(self.start());
        loop {
            let Next::Try(at) = next else { return next == Next::Accept };
            // Every jump leads to a condition, so `None` does not occur.
            let Some((test, jump)) = self.step(at) else { return false };
            next = if test.holds(row, ctx, view) { jump.then } else { jump.otherwise };
        }
    }
}

impl Test {
    fn holds(&self, row: &Row<'_>, ctx: EvalContext, view: View) -> bool {
        match self {
            Test::Host(end, condition) => condition.holds(*end, row, view),
            Test::PortAtLeast(end, value) => end.of(row).port >= *value,
            Test::PortAtMost(end, value) => end.of(row).port <= *value,
            Test::Device(field, index) => number(field, row) == i128::from(*index),
            Test::Mark { field, mark, mask } => number(field, row) & i128::from(*mask) == i128::from(*mark),
            Test::Cgroup(field, id) => number(field, row) == i128::from(*id),
            Test::Autobound => match (view, &row.socket.detail) {
                (_, Detail::Unix(unix)) => unix.name().is_none_or(Name::is_autobound),
                // Vsock ports below 1024 are privileged, so the kernel never assigns them by itself.
                (_, Detail::Vsock(_)) => row.socket.local.port >= 1024,
                (_, Detail::Netlink(_)) => row.socket.local.port < 0,
                // A packet socket that is bound to neither a protocol nor an interface.
                (_, Detail::Packet(_)) => row.socket.ifindex == 0 && row.socket.local.addr == Addr::Number(0),
                (View::Program, _) => {
                    (ctx.ports.0.into()..=ctx.ports.1.into()).contains(&row.socket.local.port)
                }
                (View::Kernel { autobound }, _) => autobound,
            },
            Test::Field(test) => test.holds(row),
        }
    }
}

/// The number that a classic operand compares; zero if absent.
fn number(field: &'static Field, row: &Row<'_>) -> i128 {
    (field.get)(row).and_then(Value::as_i128).unwrap_or(0)
}

impl End {
    fn of(self, row: &Row<'_>) -> Endpoint {
        match self {
            End::Local => row.socket.local,
            End::Remote => row.socket.remote,
        }
    }

    /// The name of one end of a unix socket; `None` if it has no name or is not a unix socket.
    fn name<'a>(self, row: &Row<'a>) -> Option<Name<'a>> {
        let Detail::Unix(unix) = &row.socket.detail else { return None };
        match self {
            End::Local => unix.name(),
            End::Remote => unix.peer_name(),
        }
    }
}

impl HostCondition {
    fn holds(&self, end: End, row: &Row<'_>, view: View) -> bool {
        let endpoint = end.of(row);
        let name = end.name(row);
        match self {
            HostCondition::Inet { prefixes, port } => {
                port.is_none_or(|port| port == endpoint.port)
                    && prefixes.iter().any(|prefix| match view {
                        // An address prefix cannot match a name.
                        _ if name.is_some() => prefix.takes_all(),
                        View::Program => prefix.matches_bits(endpoint.addr),
                        View::Kernel { .. } => prefix.matches_family(endpoint.addr),
                    })
            }
            HostCondition::Unix(pattern) => {
                // A name pattern cannot match an address.
                let text = name.map(Name::text).unwrap_or_default();
                row.socket.message_kind() == MessageKind::Unix && pattern::matches(pattern, &text)
            }
            HostCondition::Number { addr, port, .. } => {
                let [a, b, c, d, ..] = words(endpoint.addr);
                port.is_none_or(|port| port == endpoint.port)
                    && addr.is_none_or(|addr| name.is_none() && addr.to_ne_bytes() == [a, b, c, d])
            }
        }
    }
}

impl Prefix {
    /// Whether the prefix matches every address.
    fn takes_all(self) -> bool {
        matches!(self, Prefix::Any | Prefix::V4(_, 0) | Prefix::V6(_, 0))
    }

    fn matches_bits(self, addr: Addr) -> bool {
        match self {
            Prefix::Any => true,
            Prefix::V4(octets, len) => {
                same_bits(&octets, &words(addr), len)
                    || addr.mapped_v4().is_some_and(|mapped| same_bits(&octets, &mapped, len))
            }
            Prefix::V6(octets, len) => same_bits(&octets, &words(addr), len),
        }
    }

    fn matches_family(self, addr: Addr) -> bool {
        match (self, addr) {
            (Prefix::Any, _) => true,
            (Prefix::V4(rule, len), Addr::V4(octets)) => same_bits(&rule, &octets, len),
            (Prefix::V4(rule, len), Addr::V6(_)) => {
                addr.mapped_v4().is_some_and(|mapped| same_bits(&rule, &mapped, len))
            }
            (Prefix::V6(rule, len), Addr::V6(octets)) => same_bits(&rule, &octets, len),
            (Prefix::V6(..), Addr::V4(_)) => false,
            (_, Addr::Number(_) | Addr::None) => self.matches_bits(addr),
        }
    }
}

/// An address in inet_diag's form: four 32-bit words; those that the address does not use are
/// zero.
fn words(addr: Addr) -> [u8; 16] {
    match addr {
        Addr::V4([a, b, c, d]) => [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        Addr::V6(octets) => octets,
        Addr::Number(number) => {
            let [a, b, c, d] = number.to_ne_bytes();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        Addr::None => [0; 16],
    }
}

/// Whether the first `len` bits are equal; bytes beyond either end are ignored.
fn same_bits(rule: &[u8], addr: &[u8], len: u8) -> bool {
    rule.iter().zip(addr).enumerate().all(|(at, (a, b))| {
        let bits = usize::from(len).saturating_sub(at * 8).min(8);
        let mask = !(0xff_u16 >> bits) as u8;
        (a ^ b) & mask == 0
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::read;
    use super::*;
    use crate::model::{Origin, Record, Socket, Table};

    /// A reply of inet_diag; `family` 2 or 10.
    fn reply(family: u8, src: &[u8], sport: u16, attrs: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; 72];
        bytes[0] = family;
        bytes[1] = 1;
        bytes[4..6].copy_from_slice(&sport.to_be_bytes());
        bytes[6..8].copy_from_slice(&1000_u16.to_be_bytes());
        bytes[8..8 + src.len()].copy_from_slice(src);
        for (kind, payload) in attrs {
            bytes.extend_from_slice(&(4 + payload.len() as u16).to_ne_bytes());
            bytes.extend_from_slice(&kind.to_ne_bytes());
            bytes.extend_from_slice(payload);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    fn wanted(text: &str, bytes: &[u8], kind: SourceKind) -> bool {
        let socket = Socket::decode(Record { origin: Origin::of(Table::Tcp, kind), bytes }).unwrap();
        let expr = read(text).unwrap().expr.unwrap();
        expr.eval(&Row::bare(&socket), EvalContext { ports: (32768, 60999) })
    }

    #[test]
    fn addresses_of_recordings_are_compared_as_bits() {
        let v4 = reply(2, &[10, 0, 0, 1], 80, &[]);
        let v6 = reply(10, &[10, 0, 0, 1], 80, &[]);
        let mapped = reply(10, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1], 80, &[]);
        let unbound = reply(10, &[], 80, &[]);
        use SourceKind::{Kernel, Recording};
        for (text, bytes, recorded, dumped) in [
            ("src 10.0.0.1", &v4, true, true),
            ("src 10.0.0.1", &v6, true, false),
            ("src 10.0.0.1", &mapped, true, true),
            ("not src 10.0.0.1", &v6, false, false),
            ("src [a00:1::]", &v4, true, false),
            ("src [a00:1::]", &mapped, false, false),
            ("src [::ffff:10.0.0.1]", &mapped, true, true),
            ("src [::ffff:10.0.0.1]", &v4, false, false),
            ("src 10.9.9.9/8", &v4, true, true),
            ("src 10.0.0.0/31", &v4, true, true),
            ("src 10.0.0.2/31", &v4, false, false),
            ("src 0.0.0.0", &unbound, true, false),
            ("not src 0.0.0.0", &unbound, false, false),
            ("src 0.0.0.0/0", &unbound, true, false),
            ("src *", &unbound, true, true),
            // The reference cannot compile this filter, so it has no kernel half.
            ("dev 0 and src 0.0.0.0", &unbound, true, true),
            ("dev 0 and src 10.0.0.1", &v6, true, true),
            // The kernel rejects the program of this filter.
            ("src 10.0.0.1 or sport = link:5", &v6, true, true),
            ("src link:*:80", &v4, true, true),
            ("src link:*:81", &v4, false, false),
            ("not src unix:x", &v4, true, true),
        ] {
            assert_eq!(wanted(text, bytes, Recording), recorded, "{text} recorded {bytes:?}");
            assert_eq!(wanted(text, bytes, Kernel), dumped, "{text} dumped {bytes:?}");
        }
    }

    #[test]
    fn absent_is_zero_to_the_classic_operands_and_fails_the_others() {
        let with = reply(2, &[], 40000, &[(15, &0x15_u32.to_ne_bytes()), (21, &7_u64.to_ne_bytes())]);
        let without = reply(2, &[], 0, &[]);
        for (text, a, b) in [
            ("fwmark = 0x15", true, false),
            ("fwmark = 5/0xf", true, false),
            ("fwmark = 0x15/0xf", false, false),
            ("fwmark = 0", false, true),
            ("cgroup = /user", true, false),
            ("cgroup != /user", false, true),
            ("dev = 0", true, true),
            ("autobound", true, false),
            ("! autobound", false, true),
            ("sport >= 70000", false, false),
            ("not sport >= 70000", true, true),
            ("sport < -5", false, false),
            ("sport != *", false, false),
            ("sport = 105536", false, false),
            ("tcp.rtt_us = 0", false, false),
            ("tcp.rtt_us != 0", false, false),
            ("not tcp.rtt_us = 0", true, true),
            ("socket.mark = 0x15", true, false),
            ("socket.mark != 0x15", false, false),
            ("socket.mark > 20.5", true, false),
            ("socket.mark > 21.5", false, false),
            ("not socket.mark = 0x15", false, true),
            ("local.addr = 0.0.0.0", true, true),
            ("local.addr != ::", true, true),
            ("local.port <= 40000", true, true),
            ("local.port < 0x9c40", false, true),
            ("local.port = 0", false, true),
            ("local.port = none", false, true),
        ] {
            assert_eq!(wanted(text, &with, SourceKind::Kernel), a, "{text}");
            assert_eq!(wanted(text, &without, SourceKind::Kernel), b, "{text}");
        }
    }

    #[test]
    fn text_is_compared_whole() {
        let cubic = reply(2, &[], 0, &[(4, b"cubic\0")]);
        for (text, expect) in [
            ("tcp.congestion = cubic", true),
            ("tcp.congestion = cub", false),
            ("tcp.congestion != bbr", true),
        ] {
            assert_eq!(wanted(text, &cubic, SourceKind::Kernel), expect, "{text}");
        }
    }

    /// Whether a filter accepts a kernel reply of another table.
    fn wants_of(table: Table, text: &str, bytes: &[u8]) -> bool {
        let origin = Origin::of(table, SourceKind::Kernel);
        let socket = Socket::decode(Record { origin, bytes }).unwrap();
        let expr = read(text).unwrap().expr.unwrap();
        expr.eval(&Row::bare(&socket), EvalContext { ports: (32768, 60999) })
    }

    #[test]
    fn vsock_and_xdp_sockets_are_tested_by_their_numbers() {
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<u8>>();
        let vsock = [vec![40, 1, 1, 0], words(&[3, 1024, 2, u32::MAX, 9, 9, 9])].concat();
        let mut xdp = [vec![44, 3, 0, 0], words(&[9, 9, 9])].concat();
        sockdiag_wire::attr::put(&mut xdp, 1, &words(&[7, 40_000]));
        for (text, of_vsock, of_xdp) in [
            ("sport = :1024", true, false),
            ("sport = vsock:1024", true, false),
            ("sport >= 40000", false, true),
            ("dport = 4294967295", true, false),
            ("dport = 0", false, true),
            ("src vsock:3:1024", true, false),
            ("src vsock:4", false, false),
            ("dst vsock:2", true, false),
            ("src 0.0.0.0", false, true),
            ("not src 0.0.0.0", true, false),
            ("src any", true, true),
            ("src unix:*", false, false),
            ("autobound", true, true),
            ("dev = 7", false, true),
            ("dev = 0", true, false),
            ("fwmark = 0", true, true),
            ("xdp.queue_id = 40000", false, true),
            ("vsock.dst_cid < 3", true, false),
        ] {
            assert_eq!(wants_of(Table::VsockStream, text, &vsock), of_vsock, "{text}");
            assert_eq!(wants_of(Table::Xdp, text, &xdp), of_xdp, "{text}");
        }
        let low = [vec![40, 1, 1, 0], words(&[3, 1023, 2, 5, 9, 9, 9])].concat();
        assert!(!wants_of(Table::VsockStream, "autobound", &low));
    }

    #[test]
    fn tipc_sockets_are_tested_only_by_name() {
        let mut stat = Vec::new();
        for kind in [0, 1, 4] {
            sockdiag_wire::attr::put(&mut stat, kind, &[5, 0, 0, 0]);
        }
        let mut sock = Vec::new();
        for kind in [1, 2, 6, 7, 8, 9] {
            sockdiag_wire::attr::put(&mut sock, kind, &1_u32.to_ne_bytes());
        }
        sockdiag_wire::attr::put(&mut sock, 5, &stat);
        sockdiag_wire::attr::put(&mut sock, 10, &[0; 8]);
        let mut bytes = Vec::new();
        sockdiag_wire::attr::put(&mut bytes, 2, &sock);
        for (text, expect) in [
            ("sport = 7", true),
            ("not sport = 7", true),
            ("src 10.0.0.1 and autobound", true),
            ("tipc.ref = 1", true),
            ("tipc.ref = 7", false),
            ("tipc.ref = 1 and sport = 7", false),
            ("tipc.type = STREAM", true),
            ("tipc.drops > 5000", false),
            ("tipc.peer_node = 0", false),
        ] {
            assert_eq!(wants_of(Table::Tipc, text, &bytes), expect, "{text}");
        }
    }
}
