//! Testing rows.
//!
//! The reference tests every row twice: the kernel runs the filter's program,
//! and what it lets through is tested once more by the program itself, which
//! compares the first bits of addresses without a look at their families
//! (plus: an IPv4 rule matches a v4-mapped IPv6 address).  So `src 0.0.0.0`
//! shows no `[::]`, since the kernel tells them apart, and `not src 0.0.0.0`
//! shows none either, since the program does not.  [`Expr::eval`] gives what
//! both together give for a row of this machine's kernel, and what the program
//! alone gives for the rest: recordings, lines of /proc, and filters that the
//! reference cannot turn into a kernel program.
//!
//! One thing it cannot know is `autobound` in the kernel's sense (the port was
//! not asked for).  A filter with it relies on its program having been run:
//! see [`super::program`].
//!
//! Source: the program's behaviour.

use super::expr::{Comparison, End, Expr, FieldTest, Next, Test};
use super::host::{HostCondition, Prefix};
use crate::fields::{Field, Value};
use crate::model::{Addr, Endpoint, Row, SourceKind};

/// What a row cannot say itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvalContext {
    /// First and last port of the ephemeral range.
    pub ports: (u16, u16),
}

/// How addresses are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    /// As the reference does: bits, whatever the family.
    Program,
    /// As inet_diag does.
    Kernel,
}

impl Expr {
    /// Whether a row is wanted.
    pub fn eval(&self, row: &Row<'_>, ctx: EvalContext) -> bool {
        self.run(row, ctx, View::Program)
            && (!self.second_view()
                || row.socket.origin.kind != SourceKind::Kernel
                || self.run(row, ctx, View::Kernel))
    }

    /// Whether the program alone, without its kernel half, wants a row: how
    /// the reference tests rows that no request brought (`-E`).
    pub fn eval_alone(&self, row: &Row<'_>, ctx: EvalContext) -> bool {
        self.run(row, ctx, View::Program)
    }

    fn run(&self, row: &Row<'_>, ctx: EvalContext, view: View) -> bool {
        let mut next = Next::Try(self.start());
        loop {
            let Next::Try(at) = next else { return next == Next::Accept };
            // Every jump leads to a condition.
            let Some((test, jump)) = self.step(at) else { return false };
            next = if test.holds(row, ctx, view) { jump.then } else { jump.otherwise };
        }
    }
}

impl Test {
    fn holds(&self, row: &Row<'_>, ctx: EvalContext, view: View) -> bool {
        match self {
            Test::Host(end, condition) => condition.holds(end.of(row), view),
            Test::PortAtLeast(end, value) => i64::from(end.of(row).port) >= *value,
            Test::PortAtMost(end, value) => i64::from(end.of(row).port) <= *value,
            Test::Device(field, index) => number(field, row) == i128::from(*index),
            Test::Mark { field, mark, mask } => number(field, row) & i128::from(*mask) == i128::from(*mark),
            Test::Cgroup(field, id) => number(field, row) == i128::from(*id),
            Test::Autobound => (ctx.ports.0..=ctx.ports.1).contains(&row.socket.local.port),
            Test::Field(test) => test.holds(row),
        }
    }
}

/// The number that a classic operand tests; absent counts as zero.
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
}

impl HostCondition {
    fn holds(&self, endpoint: Endpoint, view: View) -> bool {
        match self {
            HostCondition::Inet { prefixes, port } => {
                port.is_none_or(|port| port == i64::from(endpoint.port))
                    && prefixes.iter().any(|prefix| match view {
                        View::Program => prefix.matches_bits(endpoint.addr),
                        View::Kernel => prefix.matches_family(endpoint.addr),
                    })
            }
            // An address is no name.
            HostCondition::Unix(_) => false,
            HostCondition::Number { addr, port, .. } => {
                let [a, b, c, d, ..] = words(endpoint.addr);
                port.is_none_or(|port| port == i64::from(endpoint.port))
                    && addr.is_none_or(|addr| addr.to_ne_bytes() == [a, b, c, d])
            }
        }
    }
}

impl Prefix {
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
        }
    }
}

/// An address as inet_diag holds it: four words, unused ones zero.
fn words(addr: Addr) -> [u8; 16] {
    match addr {
        Addr::V4([a, b, c, d]) => [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        Addr::V6(octets) => octets,
    }
}

/// Whether the first `len` bits are the same; bytes past either end do not count.
fn same_bits(rule: &[u8], addr: &[u8], len: u8) -> bool {
    rule.iter().zip(addr).enumerate().all(|(at, (a, b))| {
        let bits = usize::from(len).saturating_sub(at * 8).min(8);
        let mask = !(0xff_u16 >> bits) as u8;
        (a ^ b) & mask == 0
    })
}

impl FieldTest {
    fn holds(&self, row: &Row<'_>) -> bool {
        let equal = |same: bool| match self.comparison {
            Comparison::Eq => same,
            Comparison::Ne => !same,
            _ => false,
        };
        let order = match (self.field.get)(row) {
            None => return false,
            Some(Value::Text(text)) => return equal(text == self.text),
            Some(Value::Addr(addr)) => return self.addr.is_some_and(|wanted| equal(addr == wanted)),
            Some(Value::F64(value)) => self.ratio.and_then(|wanted| value.partial_cmp(&wanted)),
            Some(value) => match (value.as_i128(), self.number, self.ratio) {
                (Some(value), Some(wanted), _) => Some(value.cmp(&wanted)),
                (Some(value), None, Some(wanted)) => (value as f64).partial_cmp(&wanted),
                _ => None,
            },
        };
        order.is_some_and(|order| self.comparison.holds(order))
    }
}
