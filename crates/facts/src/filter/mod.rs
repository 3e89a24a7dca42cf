//! The filter language: parses words into a condition on rows, and compiles the part that the
//! kernel can check.
//!
//! ```text
//! words --lex--> tokens --parse (values looked up on the way)--> Expr --eval--> keep a row?
//!                                                                 `--program--> kernel bytecode
//! ```
//!
//! The language is that of `ss`: `and` and `or` have the same precedence and group to the
//! left.  A value is converted before the grammar is checked, so a bad address is reported
//! before a missing operator.  The table of facts ([`crate::fields`]) decides which words name
//! a condition: a field with an operand is a keyword, and every other field can be compared by
//! its full name or by an unambiguous shorter one ([`Catalog::named`]).
//!
//! Nothing here does I/O; names are resolved through [`Lookups`].
//!
//! Invariant: no input causes recursion.  An expression is a list in postfix order, not a
//! tree.
//!
//! Source: the manual page ss(8), and the observed behaviour of `ss`.

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

/// Resolves names while a filter is parsed.
///
/// Names are the bytes typed, without backslashes.
pub trait Lookups {
    /// Port of a service (`/etc/services`), in host order.
    fn service(&mut self, name: &[u8], transport: Transport) -> Option<u16>;

    /// Port of a service registered with rpcbind; `None` unless RPC names were requested (`-r`
    /// without `-n`).
    fn rpc_service(&mut self, name: &[u8]) -> Option<u16>;

    /// Addresses of a host: those of the family for `Some(Family::Inet)` or
    /// `Some(Family::Inet6)`; all IPv4 addresses and then all IPv6 addresses for `None`.
    /// Empty if there are none.
    fn hosts(&mut self, name: &[u8], family: Option<Family>) -> Vec<Addr>;

    /// Index of the interface with this name or alternative name.  The filter itself handles
    /// `if7` and plain numbers.
    fn interface(&mut self, name: &[u8]) -> Option<u32>;

    /// Number of a netlink protocol, given as a name or number.
    fn netlink_protocol(&mut self, name: &[u8]) -> Option<u32> {
        protocol_names::netlink_protocol(name)
    }

    /// The uid of the user with this name.
    fn user(&mut self, name: &[u8]) -> Option<u32> {
        let _ = name;
        None
    }

    /// Whether a port of any protocol has this service name.
    fn names_a_service(&mut self, name: &[u8]) -> bool {
        let of = |transport| self.service(name, transport).is_some();
        [Transport::Tcp, Transport::Udp].into_iter().any(of) || self.rpc_service(name).is_some()
    }

    /// Whether rows report their network namespace.
    fn tells_namespaces(&self) -> bool {
        true
    }

    /// Id of the cgroup with this path.
    ///
    /// # Errors
    /// Why the path has no id.
    fn cgroup(&mut self, path: &[u8]) -> Result<u64, CgroupError>;

    /// Whether the kernel supports conditions on cgroups.  Called once for every such
    /// condition.
    fn cgroup_condition_supported(&mut self) -> bool;
}

/// The context in which a filter is parsed.
pub struct Context<'a> {
    /// The table of operands and field names.
    pub catalog: &'a Catalog,
    /// The family of host values that do not name one: that of the last family option.
    pub preferred: Option<Family>,
    /// The listed tables, which determine whose service names are known.
    pub tables: TableSet,
    /// Resolves names.
    pub lookups: &'a mut dyn Lookups,
}

/// A parsed filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// The condition; `None` for an empty filter, which every row passes.
    pub expr: Option<Expr>,
    /// The family that host values restrict the listing to (the last one wins); `None` if they
    /// do not.
    pub family: Option<Family>,
    /// Remarks on values that are compared differently from how they were typed.
    pub remarks: Vec<Remark>,
}
