//! A parsed filter: a list of conditions, and how they are joined.
//!
//! An [`Expr`] is a list of nodes in postfix order: an operand stands before
//! its operator, and the last node is the whole.  Nothing that walks it
//! recurses, however deeply the filter was nested.  Beside the nodes it keeps
//! a program of jumps, so that a row is tested without looking at operators
//! at all: every condition knows which one to try next.
//!
//! As in the reference, `!=`, `<` and `>` of the classic operands are stored
//! as `not` of their opposites; comparisons of fields by name are not, since
//! an absent field fails both.

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
    /// Whether it holds for two values in this order.
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

    /// Its first spelling.
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
    /// An address, a port, or both; `sport = 80` is one of these too.
    Host(End, HostCondition),
    /// The port is at least this; any `long` can be asked for.
    PortAtLeast(End, i64),
    /// The port is at most this.
    PortAtMost(End, i64),
    /// The interface has this index; a row without one counts as 0.
    Device(&'static Field, u32),
    /// The mark, reduced to the bits of `mask`, is `mark`; a row without one
    /// counts as 0.
    Mark {
        /// Reads the mark.
        field: &'static Field,
        /// Compared with; not reduced to the mask.
        mark: u32,
        /// Bits that count.
        mask: u32,
    },
    /// The cgroup has this id; a row without one counts as 0.
    Cgroup(&'static Field, u64),
    /// The local port lies in the ephemeral range.
    Autobound,
    /// A field compared by its name.
    Field(FieldTest),
}

/// A node of the postfix list.  The operand of `Not` and the right operand of
/// the others is the node just before; the left one is at the index held.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// A condition.
    Test(Test),
    /// The node before does not hold.
    Not,
    /// This node and the node before both hold.
    And(usize),
    /// This node or the node before holds.
    Or(usize),
}

/// Where to go after a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The row is wanted.
    Accept,
    /// It is not.
    Reject,
    /// Try the condition at this index of the nodes.
    Try(usize),
}

/// What follows a condition that holds, and one that does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Jump {
    pub(super) then: Next,
    pub(super) otherwise: Next,
}

/// A whole filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    nodes: Vec<Node>,
    /// The condition to begin with.
    start: usize,
    /// One for each node; those of operators are not used.
    jumps: Vec<Jump>,
    /// Whether the reference turns it into a kernel program that is accepted.
    reference_compiles: bool,
    /// Whether the kernel's own view of addresses has to be tested as well.
    second_view: bool,
}

impl Expr {
    /// Whether it asks for the range of ephemeral ports.
    pub fn uses_port_range(&self) -> bool {
        self.nodes.iter().any(|node| matches!(node, Node::Test(Test::Autobound)))
    }

    /// Makes an expression of a postfix list; `None` unless the list is one
    /// whole expression.
    pub fn new(nodes: Vec<Node>) -> Option<Self> {
        let last = nodes.len().checked_sub(1)?;
        // The first condition below each node, and where each node's operands
        // begin: that shows whether every operator has its operands.
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

    /// What holds where both hold.  Two whole expressions are one again, so
    /// there always is one.
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

    /// What has to be asked for so that fields compared by name are there.
    ///
    /// The classic operands need nothing: what they test is in every reply,
    /// or counts as zero.
    pub fn needs(&self) -> Needs {
        self.tests().fold(Needs::NONE, |needs, test| match test {
            Test::Field(test) => needs.union(test.needs()),
            Test::Mark { .. } | Test::Cgroup(..) => needs.union(Needs::UNASKED),
            _ => needs,
        })
    }

    /// A field compared by its name that needs something of this.
    pub fn field_with(&self, needs: Needs) -> Option<&'static Field> {
        self.tests().find_map(|test| match test {
            Test::Field(test) if test.needs().intersects(needs) => Some(test.field().named().field),
            _ => None,
        })
    }

    /// Whether the reference sends this filter to the kernel and the kernel
    /// takes it: no `dev`, no field by name, no host of a family that inet_diag
    /// does not know.
    pub fn reference_compiles(&self) -> bool {
        self.reference_compiles
    }

    /// Whether rows of this machine's kernel are to be tested in the kernel's
    /// view of addresses too.
    pub(super) fn second_view(&self) -> bool {
        self.second_view
    }

    /// The index of the condition to begin with.
    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// The condition at this index and what follows it.
    #[inline]
    pub(super) fn step(&self, at: usize) -> Option<(&Test, Jump)> {
        Some((self.nodes.get(at)?.test()?, *self.jumps.get(at)?))
    }
}

impl Node {
    /// The condition, if it is one.
    #[inline]
    pub fn test(&self) -> Option<&Test> {
        match self {
            Node::Test(test) => Some(test),
            _ => None,
        }
    }
}

/// Prints a filter that parses back to the same conditions, fully bracketed.
/// Lists of addresses that came from a host name are joined by `|`, which no
/// filter can say.
///
/// A value that names a family gives it to the values behind it, so where one
/// names a family other than inet's, all do.
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
    /// Prints it; `named` says whether every value has to name its family.
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
