//! The part of a filter that the kernel can check: inet_diag bytecode.
//!
//! A program may let unwanted sockets through, never the reverse, so every row is still tested
//! with [`Expr::eval`].  A condition that the kernel cannot check is weakened in place: it is
//! replaced by "always" under an even number of `not`s and by "never" under an odd number; the
//! rest is kept.
//!
//! The meaning of a filter depends on whether the reference sends a program, since the kernel
//! compares families of addresses and interprets `autobound` differently:
//!
//! * If it does (the filter has no `dev` and no extension), the program here is the same, with
//!   host conditions in the kernel's sense and AUTO.  A socket is shown if both the kernel
//!   *and* `ss` accept it.
//! * If it does not, only the interpretation by `ss` counts.  AUTO cannot be sent.  Marks
//!   cannot either, since the kernel rejects them from unprivileged users, who would lose the
//!   whole dump.  Addresses are compared in both families.
//!
//! Numbers beyond 16 bits are never truncated to a port, as the reference does: comparisons
//! with them are decided here.
//!
//! Source: `include/uapi/linux/inet_diag.h`; the observed behaviour of `ss`.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "kernel integers are narrow; each cast is meant"
)]

use sockdiag_wire::bytecode::{
    INET_DIAG_BC_AUTO as AUTO, INET_DIAG_BC_CGROUP_COND as CGROUP_COND, INET_DIAG_BC_D_COND as D_COND,
    INET_DIAG_BC_D_EQ as D_EQ, INET_DIAG_BC_D_GE as D_GE, INET_DIAG_BC_D_LE as D_LE,
    INET_DIAG_BC_DEV_COND as DEV_COND, INET_DIAG_BC_MARK_COND as MARK_COND, INET_DIAG_BC_S_COND as S_COND,
    INET_DIAG_BC_S_EQ as S_EQ, INET_DIAG_BC_S_GE as S_GE, INET_DIAG_BC_S_LE as S_LE,
};
use sockdiag_wire::socket::{AF_INET, AF_INET6, AF_UNSPEC};

use super::emit::{Piece, Pieces, reject_all};
use super::expr::{End, Expr, Node, Test};
use super::host::{HostCondition, Prefix};

/// The set of instructions to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Includes `S_EQ`, `D_EQ` (Linux 4.16) and `DEV_COND` (4.8).  Older kernels reject them
    /// with `EINVAL`.
    Modern,
    /// Only the instructions that `ss` sends.
    Classic,
}

/// The result of compiling a node: a constant or instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Always,
    Never,
    Piece(Piece),
}

/// The direction in which a node may be weakened: to accept more, or (below a `not`) less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slack {
    More,
    Less,
}

impl Slack {
    fn opposite(self) -> Self {
        match self {
            Self::More => Self::Less,
            Self::Less => Self::More,
        }
    }

    fn weakest(self) -> Kept {
        match self {
            Self::More => Kept::Always,
            Self::Less => Kept::Never,
        }
    }
}

/// Compiles a kernel program that every wanted socket passes; `None` requests all sockets.
///
/// If the reference compiles a filter with `autobound`, "wanted" includes the kernel's meaning
/// of it, so the result is only right if the program is run.  The kernel rejects a program
/// with a condition on marks (`EPERM`) from users without `CAP_NET_ADMIN`.
pub fn program(expr: &Expr, dialect: Dialect) -> Option<Vec<u8>> {
    let mut builder = Builder { dialect, sent: expr.reference_compiles(), pieces: Pieces::default() };
    match builder.build(expr.nodes()) {
        Kept::Always => None,
        Kept::Never => Some(reject_all()),
        Kept::Piece(piece) => Some(builder.pieces.program(piece)),
    }
}

struct Builder {
    dialect: Dialect,
    /// Whether the reference sends a program too.
    sent: bool,
    pieces: Pieces,
}

impl Builder {
    fn build(&mut self, nodes: &[Node]) -> Kept {
        let mut slacks = vec![Slack::More; nodes.len()];
        for (at, node) in nodes.iter().enumerate().rev() {
            let Some(slack) = slacks.get(at).copied() else { continue };
            let (left, last) = match node {
                Node::Test(_) => continue,
                Node::Not => (None, slack.opposite()),
                Node::And(left) | Node::Or(left) => (Some(*left), slack),
            };
            for operand in [left, at.checked_sub(1)].into_iter().flatten() {
                if let Some(place) = slacks.get_mut(operand) {
                    *place = last;
                }
            }
        }
        let mut kept: Vec<Kept> = Vec::with_capacity(nodes.len());
        for (at, (node, slack)) in nodes.iter().zip(slacks).enumerate() {
            let operand = |at: Option<usize>| at.and_then(|at| kept.get(at)).copied().unwrap_or(Kept::Always);
            let last = operand(at.checked_sub(1));
            let result = match node {
                Node::Test(test) => self.test(test, slack),
                Node::Not => self.not(last, slack),
                Node::And(left) => self.and(operand(Some(*left)), last, slack),
                Node::Or(left) => self.or(operand(Some(*left)), last, slack),
            };
            kept.push(result);
        }
        kept.last().copied().unwrap_or(Kept::Always)
    }

    fn not(&mut self, inner: Kept, slack: Slack) -> Kept {
        match inner {
            Kept::Always => Kept::Never,
            Kept::Never => Kept::Always,
            Kept::Piece(piece) => self.pieces.not(piece).map_or(slack.weakest(), Kept::Piece),
        }
    }

    fn and(&mut self, left: Kept, right: Kept, slack: Slack) -> Kept {
        match (left, right) {
            (Kept::Never, _) | (_, Kept::Never) => Kept::Never,
            (Kept::Always, other) | (other, Kept::Always) => other,
            (Kept::Piece(a), Kept::Piece(b)) => match (self.pieces.and(a, b), slack) {
                (Some(both), _) => Kept::Piece(both),
                // Too long: dropping a condition accepts more, which is allowed here.
                (None, Slack::More) => left,
                (None, Slack::Less) => Kept::Never,
            },
        }
    }

    fn or(&mut self, left: Kept, right: Kept, slack: Slack) -> Kept {
        match (left, right) {
            (Kept::Always, _) | (_, Kept::Always) => Kept::Always,
            (Kept::Never, other) | (other, Kept::Never) => other,
            (Kept::Piece(a), Kept::Piece(b)) => match (self.pieces.or(a, b), slack) {
                (Some(either), _) => Kept::Piece(either),
                (None, Slack::Less) => right,
                (None, Slack::More) => Kept::Always,
            },
        }
    }

    fn one(&mut self, code: u8, payload: Vec<u8>, slack: Slack) -> Kept {
        self.pieces.one(code, payload).map_or(slack.weakest(), Kept::Piece)
    }

    fn test(&mut self, test: &Test, slack: Slack) -> Kept {
        match test {
            Test::Host(end, condition) => self.host(*end, condition, slack),
            Test::PortAtLeast(end, value) => match u16::try_from(*value) {
                Ok(1..) => self.port(pick(*end, S_GE, D_GE), *value as u16, slack),
                Ok(0) => Kept::Always,
                Err(_) if *value < 0 => Kept::Always,
                Err(_) => Kept::Never,
            },
            Test::PortAtMost(end, value) => match u16::try_from(*value) {
                Ok(u16::MAX) => Kept::Always,
                Ok(value) => self.port(pick(*end, S_LE, D_LE), value, slack),
                Err(_) if *value < 0 => Kept::Never,
                Err(_) => Kept::Always,
            },
            Test::Device(_, index) if self.dialect == Dialect::Modern => {
                self.one(DEV_COND, index.to_ne_bytes().to_vec(), slack)
            }
            Test::Mark { mark, mask, .. } if self.sent => {
                let payload = [mark.to_ne_bytes(), mask.to_ne_bytes()].concat();
                self.one(MARK_COND, payload, slack)
            }
            Test::Cgroup(_, id) => self.one(CGROUP_COND, id.to_ne_bytes().to_vec(), slack),
            Test::Autobound if self.sent => self.one(AUTO, Vec::new(), slack),
            Test::Device(..) | Test::Mark { .. } | Test::Autobound | Test::Field(_) => slack.weakest(),
        }
    }

    /// A comparison with a port, which is stored in the `no` of a second head.
    fn port(&mut self, code: u8, port: u16, slack: Slack) -> Kept {
        let [low, high] = port.to_ne_bytes();
        self.one(code, vec![0, 0, low, high], slack)
    }

    fn host(&mut self, end: End, condition: &HostCondition, slack: Slack) -> Kept {
        let HostCondition::Inet { prefixes, port } = condition else { return slack.weakest() };
        let port = match port.map(u16::try_from) {
            None => None,
            Some(Ok(port)) => Some(port),
            Some(Err(_)) => return Kept::Never,
        };
        // From right to left, as the reference joins the addresses of a host.
        let mut any = Kept::Never;
        for prefix in prefixes.iter().rev() {
            let one = if self.sent {
                self.kernel_prefix(end, *prefix, port, slack)
            } else {
                self.program_prefix(end, *prefix, port, slack)
            };
            any = self.or(one, any, slack);
        }
        any
    }

    /// Compares one address as the kernel does: with its family.
    fn kernel_prefix(&mut self, end: End, prefix: Prefix, port: Option<u16>, slack: Slack) -> Kept {
        let (family, len, addr) = match &prefix {
            Prefix::Any => match (port, self.dialect) {
                (None, _) => return Kept::Always,
                (Some(port), Dialect::Modern) => return self.port(pick(end, S_EQ, D_EQ), port, slack),
                (Some(_), Dialect::Classic) => (AF_UNSPEC, 0, &[0; 4][..]),
            },
            Prefix::V4(octets, len) => (AF_INET, *len, &octets[..]),
            Prefix::V6(octets, len) => (AF_INET6, *len, &octets[..]),
        };
        let mut payload = vec![family, len, 0, 0];
        payload.extend_from_slice(&port.map_or(-1, i32::from).to_ne_bytes());
        payload.extend_from_slice(addr);
        self.one(pick(end, S_COND, D_COND), payload, slack)
    }

    /// Compares one address as `ss` does: by its first bits, regardless of family, so the
    /// program tests both families.
    fn program_prefix(&mut self, end: End, prefix: Prefix, port: Option<u16>, slack: Slack) -> Kept {
        let other = match prefix {
            Prefix::Any | Prefix::V4(_, 0) | Prefix::V6(_, 0) => {
                return self.kernel_prefix(end, Prefix::Any, port, slack);
            }
            Prefix::V4([a, b, c, d], len) => {
                Some(Prefix::V6([a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], len))
            }
            // As IPv4, the rule ends in zeros here.  The kernel would also accept v4-mapped
            // addresses, which is wrong below a `not`.
            Prefix::V6([a, b, c, d, rest @ ..], len) => {
                let zero = rest.iter().zip(4u8..).all(|(byte, at)| {
                    let bits = len.saturating_sub(at * 8).min(8);
                    byte & !(0xff_u16 >> bits) as u8 == 0
                });
                (zero && slack == Slack::More).then_some(Prefix::V4([a, b, c, d], len.min(32)))
            }
        };
        let own = self.kernel_prefix(end, prefix, port, slack);
        match other {
            None => own,
            Some(other) => {
                let other = self.kernel_prefix(end, other, port, slack);
                self.or(own, other, slack)
            }
        }
    }
}

fn pick(end: End, local: u8, remote: u8) -> u8 {
    match end {
        End::Local => local,
        End::Remote => remote,
    }
}
