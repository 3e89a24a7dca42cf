//! A parsed filter: a list of conditions, and how they are joined.
//!
//! An [`Expr`] is a list of nodes in postfix order: operands precede their operator, and the
//! last node is the whole expression.  Nothing that walks it recurses, however deeply the
//! filter is nested.  The expression also contains a program of jumps, so that testing a row
//! does not involve operators: every condition knows which condition to try next.
//!
//! As in the reference, `!=`, `<` and `>` of the classic operands are stored as a `not` of
//! their opposite.  Comparisons of fields by name are not, since an absent field fails both a
//! comparison and its opposite.

use std::fmt;

use super::field_test::FieldTest;
use super::host::HostCondition;
use crate::fields::{Field, Needs};

/// How a value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Comparison {
    /// Whether the comparison holds for two values in this order.
    pub fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Eq => order.is_eq(),
            Self::Ne => order.is_ne(),
            Self::Lt => order.is_lt(),
            Self::Le => order.is_le(),
            Self::Gt => order.is_gt(),
            Self::Ge => order.is_ge(),
        }
    }

    /// The usual spelling.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
        }
    }
}

/// One end of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// `src`, `sport`.
    Local,
    /// `dst`, `dport`.
    Remote,
}

/// One condition on a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// An address, a port, or both; `sport = 80` is also of this kind.
    Host(End, HostCondition),
    /// The port is at least this value, which may be any `long`.
    PortAtLeast(End, i64),
    /// The port is at most this value.
    PortAtMost(End, i64),
    /// The interface has this index; a row without one counts as 0.
    Device(&'static Field, u32),
    /// The mark, masked with `mask`, equals `mark`; a row without a mark counts as 0.
    Mark {
        /// The field that contains the mark.
        field: &'static Field,
        /// The wanted mark; not masked itself.
        mark: u32,
        /// The significant bits.
        mask: u32,
    },
    /// The cgroup has this id; a row without one counts as 0.
    Cgroup(&'static Field, u64),
    /// The local port lies in the ephemeral range.
    Autobound,
    /// A field compared by its name.
    Field(FieldTest),
}

/// A node of the postfix list.  The operand of `Not` and the right operand of `And` and `Or`
/// is the preceding node; the left operand has the index stored here.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// A condition.
    Test(Test),
    /// The preceding node does not hold.
    Not,
    /// The node at this index and the preceding node both hold.
    And(usize),
    /// The node at this index or the preceding node holds.
    Or(usize),
}

/// Where to continue after a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Accept the row.
    Accept,
    /// Reject the row.
    Reject,
    /// Try the condition at this index of the nodes.
    Try(usize),
}

/// Where to continue if a condition holds, and if it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Jump {
    pub(super) then: Next,
    pub(super) otherwise: Next,
}

/// A whole filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    nodes: Vec<Node>,
    /// The index of the first condition to test.
    start: usize,
    /// One for each node; those of operators are unused.
    jumps: Vec<Jump>,
    /// Whether the reference compiles the filter to a kernel program that the kernel accepts.
    reference_compiles: bool,
    /// Whether addresses also have to be compared in the kernel's way.
    second_view: bool,
}

impl Expr {
    /// Whether the filter needs the range of ephemeral ports.
    pub fn uses_port_range(&self) -> bool {
        self.nodes.iter().any(|node| matches!(node, Node::Test(Test::Autobound)))
    }

    /// Builds an expression from a postfix list; `None` unless the list is one complete
    /// expression.
    pub fn new(nodes: Vec<Node>) -> Option<Self> {
        let last = nodes.len().checked_sub(1)?;
        // The first condition of each node, and the start of its operands, which shows whether
        // every operator has its operands.
        let mut entries = Vec::with_capacity(nodes.len());
        let mut begins: Vec<usize> = Vec::with_capacity(nodes.len());
        for (at, node) in nodes.iter().enumerate() {
            let before = at.checked_sub(1);
            let (entry, begin) = match node {
                Node::Test(_) => (at, at),
                Node::Not => (*entries.get(before?)?, *begins.get(before?)?),
                Node::And(left) | Node::Or(left) => {
                    if left.checked_add(1)? != *begins.get(before?)? {
                        return None;
                    }
                    (*entries.get(*left)?, *begins.get(*left)?)
                }
            };
            entries.push(entry);
            begins.push(begin);
        }
        if *begins.get(last)? != 0 {
            return None;
        }
        let end = Jump { then: Next::Accept, otherwise: Next::Reject };
        let mut jumps = vec![end; nodes.len()];
        for (at, node) in nodes.iter().enumerate().rev() {
            let jump = *jumps.get(at)?;
            let mut set = |at: usize, jump: Jump| jumps.get_mut(at).map(|place| *place = jump);
            match node {
                Node::Test(_) => {}
                Node::Not => set(at - 1, Jump { then: jump.otherwise, otherwise: jump.then })?,
                Node::And(left) => {
                    set(*left, Jump { then: Next::Try(*entries.get(at - 1)?), ..jump })?;
                    set(at - 1, jump)?;
                }
                Node::Or(left) => {
                    set(*left, Jump { otherwise: Next::Try(*entries.get(at - 1)?), ..jump })?;
                    set(at - 1, jump)?;
                }
            }
        }
        let tests = || nodes.iter().filter_map(Node::test);
        let reference_compiles = tests().all(|test| match test {
            Test::Device(..) | Test::Field(_) => false,
            Test::Host(_, host) => matches!(host, HostCondition::Inet { .. }),
            _ => true,
        });
        let second_view = reference_compiles
            && tests().any(|test| matches!(test, Test::Host(_, host) if host.names_a_family()));
        let start = *entries.get(last)?;
        Some(Self { nodes, start, jumps, reference_compiles, second_view })
    }

    /// The conjunction of two expressions.  The result is never `None`, since two complete
    /// expressions form a complete one.
    pub fn and(mut self, other: Self) -> Option<Self> {
        let (left, shift) = (self.nodes.len().saturating_sub(1), self.nodes.len());
        self.nodes.extend(other.nodes.into_iter().map(|node| match node {
            Node::And(left) => Node::And(left + shift),
            Node::Or(left) => Node::Or(left + shift),
            node => node,
        }));
        self.nodes.push(Node::And(left));
        Self::new(self.nodes)
    }

    /// The nodes, in postfix order; never empty.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The conditions, from left to right.
    pub fn tests(&self) -> impl Iterator<Item = &Test> {
        self.nodes.iter().filter_map(Node::test)
    }

    /// What has to be requested so that rows contain the fields compared by name.
    ///
    /// The classic operands need nothing: their values are in every reply, or count as zero.
    pub fn needs(&self) -> Needs {
        self.tests().fold(Needs::NONE, |needs, test| match test {
            Test::Field(test) => needs.union(test.needs()),
            Test::Mark { .. } | Test::Cgroup(..) => needs.union(Needs::UNASKED),
            _ => needs,
        })
    }

    /// The first field compared by name that needs any of `needs`.
    pub fn field_with(&self, needs: Needs) -> Option<&'static Field> {
        self.tests().find_map(|test| match test {
            Test::Field(test) if test.needs().intersects(needs) => Some(test.field().named().field),
            _ => None,
        })
    }

    /// Whether the reference sends this filter to the kernel and the kernel accepts it: it
    /// contains no `dev`, no field by name, and no host of a family that inet_diag does not
    /// support.
    pub fn reference_compiles(&self) -> bool {
        self.reference_compiles
    }

    /// Whether rows of this machine's kernel also have to be tested in the kernel's way of
    /// comparing addresses.
    pub(super) fn second_view(&self) -> bool {
        self.second_view
    }

    /// The index of the first condition to test.
    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// The condition at this index, and where to continue after it.
    #[inline]
    pub(super) fn step(&self, at: usize) -> Option<(&Test, Jump)> {
        Some((self.nodes.get(at)?.test()?, *self.jumps.get(at)?))
    }
}

impl Node {
    /// The condition, if the node is one.
    #[inline]
    pub fn test(&self) -> Option<&Test> {
        match self {
            Node::Test(test) => Some(test),
            _ => None,
        }
    }
}

/// Prints a filter, fully bracketed, that parses back to the same conditions.  Addresses that
/// came from one host name are joined by `|`, which the filter language cannot express.
///
/// A value that names a family applies it to the values after it, so if one value names a
/// family other than inet, all values do.
impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        enum Item {
            Node(usize),
            Word(&'static str),
        }
        let named = self
            .tests()
            .any(|test| matches!(test, Test::Host(_, host) if !matches!(host, HostCondition::Inet { .. })));
        let mut todo = vec![Item::Node(self.nodes.len() - 1)];
        let mut first = true;
        while let Some(item) = todo.pop() {
            if !std::mem::take(&mut first) {
                f.write_str(" ")?;
            }
            let at = match item {
                Item::Word(word) => {
                    f.write_str(word)?;
                    continue;
                }
                Item::Node(at) => at,
            };
            match self.nodes.get(at) {
                None => {}
                Some(Node::Test(test)) => test.put(f, named)?,
                Some(Node::Not) => {
                    f.write_str("not")?;
                    todo.push(Item::Node(at - 1));
                }
                Some(node @ (Node::And(left) | Node::Or(left))) => {
                    let word = if matches!(node, Node::And(_)) { "and" } else { "or" };
                    f.write_str("(")?;
                    todo.extend([Item::Word(")"), Item::Node(at - 1), Item::Word(word), Item::Node(*left)]);
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.put(f, false)
    }
}

impl Test {
    /// Prints the condition; `named` tells whether every value has to name its family.
    fn put(&self, f: &mut fmt::Formatter<'_>, named: bool) -> fmt::Result {
        let family = match self {
            Test::Host(_, condition) if named => condition.inet_family(),
            Test::PortAtLeast(..) | Test::PortAtMost(..) if named => "inet:",
            _ => "",
        };
        let (host, port) = match self {
            Test::Host(End::Remote, _)
            | Test::PortAtLeast(End::Remote, _)
            | Test::PortAtMost(End::Remote, _) => ("dst", "dport"),
            _ => ("src", "sport"),
        };
        match self {
            Test::Host(_, condition) => write!(f, "{host} {family}{condition}"),
            Test::PortAtLeast(_, value) => write!(f, "{port} >= {family}{value}"),
            Test::PortAtMost(_, value) => write!(f, "{port} <= {family}{value}"),
            Test::Device(_, index) => write!(f, "dev = {index}"),
            Test::Mark { mark, mask, .. } => write!(f, "fwmark = {mark:#x}/{mask:#x}"),
            Test::Cgroup(_, id) => write!(f, "cgroup = {id:#x}"),
            Test::Autobound => f.write_str("autobound"),
            Test::Field(test) => write!(f, "{test}"),
        }
    }
}
