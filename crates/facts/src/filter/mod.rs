//! The filter language: words in, a condition on rows out, and the part of it
//! that the kernel can check.
//!
//! ```text
//! words --lex--> tokens --parse (values looked up on the way)--> Expr --eval--> keep a row?
//!                                                                 `--program--> kernel bytecode
//! ```
//!
//! The language is that of `ss`: `and` and `or` bind equally and group to the
//! left, and a value is converted before the grammar is looked at, so a bad
//! address is reported before a missing operator.  Which words name a
//! condition is not decided here but in the table of facts
//! ([`crate::fields`]): a row with an operand is a keyword, and every other
//! row can be compared by its full name, or by a shorter one that can mean
//! nothing else ([`Catalog::named`]).
//!
//! Nothing here does I/O; what has to be looked up is asked of [`Lookups`].
//!
//! Invariant: no input makes anything here recurse.  An expression is a list
//! in postfix order, not a tree of boxes.
//!
//! Source: the manual page ss(8), and the program's behaviour.

mod contrary;
mod emit;
mod error;
mod eval;
mod explain;
mod expr;
mod field_test;
mod host;
mod kinds;
mod lex;
mod parse;
mod pattern;
mod pinned;
mod pushdown;
mod quantity;
#[cfg(test)]
mod testing;
mod typed;

pub use error::{CgroupError, FilterError, HostError, Mismatch, Remark, Reporter};
pub use eval::EvalContext;
pub use explain::Refused;
pub use expr::{Comparison, End, Expr, Node, Test};
pub use field_test::{FieldTest, Wanted};
pub use host::{HostCondition, Prefix};
pub use parse::{parse, parse_or_explain};
pub use pattern::matches as pattern_matches;
pub use pinned::{Pinned, local_port, pinned};
pub use pushdown::{Dialect, program};

use crate::fields::Catalog;
use crate::model::{Addr, Family, TableSet, protocol_names};

/// A transport protocol that has service names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// `tcp`.
    Tcp,
    /// `udp`.
    Udp,
}

/// What a filter has to look up while it is parsed.
///
/// Names are bytes as typed, after backslashes were removed.
pub trait Lookups {
    /// Port of a service (`/etc/services`), in host order.
    fn service(&mut self, name: &[u8], transport: Transport) -> Option<u16>;

    /// Port of a service that rpcbind knows, where RPC names were asked for
    /// (`-r` without `-n`); else `None`.
    fn rpc_service(&mut self, name: &[u8]) -> Option<u16>;

    /// Addresses of a host: with `Some(Family::Inet)` or `Some(Family::Inet6)`
    /// those of that family, with `None` all IPv4 ones, then all IPv6 ones.
    /// Empty if there are none.
    fn hosts(&mut self, name: &[u8], family: Option<Family>) -> Vec<Addr>;

    /// Index of the interface of this name or alternative name.  `if7` and
    /// plain numbers need no answer: the filter knows them.
    fn interface(&mut self, name: &[u8]) -> Option<u32>;

    /// Number of a netlink protocol, given as a name or number.
    fn netlink_protocol(&mut self, name: &[u8]) -> Option<u32> {
        protocol_names::netlink_protocol(name)
    }

    /// Number of the user of this name.
    fn user(&mut self, name: &[u8]) -> Option<u32> {
        let _ = name;
        None
    }

    /// Whether a port of any protocol has this name.
    fn names_a_service(&mut self, name: &[u8]) -> bool {
        let of = |transport| self.service(name, transport).is_some();
        [Transport::Tcp, Transport::Udp].into_iter().any(of) || self.rpc_service(name).is_some()
    }

    /// Whether rows will say which network namespace they are of.
    fn tells_namespaces(&self) -> bool {
        true
    }

    /// Id of the cgroup at this path.
    ///
    /// # Errors
    /// Why it has none.
    fn cgroup(&mut self, path: &[u8]) -> Result<u64, CgroupError>;

    /// Whether the kernel knows conditions on cgroups.  Asked once for every
    /// such condition.
    fn cgroup_condition_supported(&mut self) -> bool;
}

/// What a filter is read with.
pub struct Context<'a> {
    /// The table whose operands and names may be tested.
    pub catalog: &'a Catalog,
    /// The family that host values belong to unless they name one: that of the
    /// last family option.
    pub preferred: Option<Family>,
    /// The tables shown, which decide whose service names are known.
    pub tables: TableSet,
    /// What answers questions about names.
    pub lookups: &'a mut dyn Lookups,
}

/// A filter as read.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// The condition; `None` for an empty filter, which every row passes.
    pub expr: Option<Expr>,
    /// The one family that host values narrowed the run to (the last one
    /// wins); `None` if they left it as it was.
    pub family: Option<Family>,
    /// What is worth saying of values that are not compared just as they were typed.
    pub remarks: Vec<Remark>,
}
