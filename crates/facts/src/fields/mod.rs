//! The table of facts: one row for each thing that a socket can report.
//!
//! Text, filter operands and the plan of what to ask the kernel for all read
//! these rows, and nothing else knows a field by name.  Adding a field is one
//! accessor (in `sockdiag-wire`) and one row here.
//!
//! Invariant: names are unique, docs are sentences, and the order of the rows
//! in a block is the order in which `ss` prints them.

mod block;
mod bpf;
mod catalog;
mod choice;
mod congestion;
mod endpoint;
mod exposure;
mod extended;
mod groups;
mod memory;
mod mptcp;
mod named;
mod needs;
mod netlink;
mod owned;
mod packet;
mod process;
mod sctp;
mod smc;
mod surroundings;
mod tcp;
mod tipc;
mod ulp;
mod unix;
mod value;
mod vsock;
mod xdp;

pub use block::{Block, Lead, Test};
pub use bpf::put_value;
pub use catalog::{Catalog, Description, Part};
pub use choice::{Choice, ChoiceError, Key};
pub use endpoint::put_address;
pub use endpoint::state_text;
pub use extended::uid as owner;
pub use groups::Groups;
pub use named::{NameError, Named};
pub use needs::Needs;
pub use owned::{OwnedItem, OwnedValue, printable};
pub use process::Identity;
pub use value::{Each, Item, Kind, List, Member, Value};

use crate::model::Row;

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nothing that has a unit: an identifier, a mode, a name.
    None,
    /// Things: sockets, marks, probes.
    Count,
    /// Bytes.
    Bytes,
    /// Bytes in a second.
    BytesPerSecond,
    /// Segments.
    Packets,
    /// Microseconds.
    Microseconds,
    /// Milliseconds.
    Milliseconds,
    /// Parts of 256 (BBR gains).
    Per256,
}

impl Unit {
    /// What it is called; `None` for no unit.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::None => return None,
            Self::Count => "count",
            Self::Bytes => "bytes",
            Self::BytesPerSecond => "bytes per second",
            Self::Packets => "packets",
            Self::Microseconds => "microseconds",
            Self::Milliseconds => "milliseconds",
            Self::Per256 => "parts of 256",
        })
    }
}

/// What kind of metric a number makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// A description; makes no time series.
    Info,
    /// Goes up and down.
    Gauge,
    /// Only ever goes up while the socket lives.
    Counter,
}

/// Choices of the reader that a token's text depends on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// `-n`: bandwidths as plain integers.
    pub numeric: bool,
    /// `-O`: no line breaks inside a row.
    pub oneline: bool,
    /// What is shown.
    pub groups: Groups,
}

/// Appends a token of a row to a line.
pub type Format = fn(&mut Vec<u8>, &Row<'_>, Style);

/// The columns of an `ss` row that hold text before the details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Column {
    Netns,
    Netid,
    State,
    RecvQ,
    SendQ,
    LocalAddr,
    LocalPort,
    RemoteAddr,
    RemotePort,
    Process,
}

/// How `ss` prints a field.
#[derive(Clone, Copy)]
pub enum Text {
    /// Not at all.
    Silent,
    /// In a column of its own.
    Column(Column, Format),
    /// Inside the token of the field of this name.
    PartOf(&'static str),
    /// ` NAME:VALUE` if the number is not zero.
    Nonzero(&'static str),
    /// ` NAME:VALUE` if the number is not zero, printed as signed 32 bits.
    NonzeroSigned(&'static str),
    /// ` NAME:VALUE` if not zero, microseconds printed as milliseconds (`%g`).
    NonzeroMillis(&'static str),
    /// ` NAME` if so.
    Word(&'static str),
    /// Whatever the function appends.
    Custom(Format),
}

/// How the filter language spells a condition on a field, beyond its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// `src HOST`.
    LocalHost,
    /// `dst HOST`.
    RemoteHost,
    /// `sport OP PORT`.
    LocalPort,
    /// `dport OP PORT`.
    RemotePort,
    /// `dev OP DEVICE`.
    Device,
    /// `fwmark OP MARK[/MASK]`.
    Mark,
    /// `cgroup OP PATH`.
    Cgroup,
    /// `autobound`.
    Autobound,
}

/// Reads a field from a row; `None` where the source did not report it.
pub type Accessor = for<'r> fn(&'r Row<'r>) -> Option<Value<'r>>;

/// One fact that a socket can report.
#[derive(Clone, Copy)]
pub struct Field {
    /// Stable name, unit last: `tcp.rtt_us`.
    pub name: &'static str,
    /// Reads it.
    pub get: Accessor,
    /// One sentence: what it means.
    pub doc: &'static str,
    /// The kernel's own name for it, or the file it is read from.
    pub source: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// What the number counts.
    pub unit: Unit,
    /// What reading it costs.
    pub needs: Needs,
    /// What its text costs besides: names for its numbers.
    pub print_needs: Needs,
    /// The options that ask for it; printed with any of its block's.
    pub groups: Groups,
    /// Printed only if all of these are shown as well.
    pub only_with: Groups,
    /// How `ss` prints it.
    pub text: Text,
    /// What that looks like, where `text` does not say it: `retrans:NOW/TOTAL`.
    pub shape: &'static str,
    /// The keyword of the filter language that tests it, besides its name.
    pub operand: Option<(&'static str, Operand)>,
    /// What kind of metric it makes.
    pub metric: Metric,
}

impl Field {
    /// A silent integer without unit or cost; the methods below refine it.
    pub const fn new(name: &'static str, get: Accessor, doc: &'static str, source: &'static str) -> Self {
        Self {
            name,
            get,
            doc,
            source,
            kind: Kind::Integer,
            unit: Unit::None,
            needs: Needs::NONE,
            print_needs: Needs::NONE,
            groups: Groups::NONE,
            only_with: Groups::NONE,
            text: Text::Silent,
            shape: "",
            operand: None,
            metric: Metric::Info,
        }
    }

    /// Says what its values are, where that is not integers.
    #[must_use]
    pub const fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Sets the unit, and makes a gauge of it.
    #[must_use]
    pub const fn unit(mut self, unit: Unit) -> Self {
        self.unit = unit;
        self.metric = Metric::Gauge;
        self
    }

    /// Says that it only goes up.
    #[must_use]
    pub const fn counter(mut self) -> Self {
        self.metric = Metric::Counter;
        self
    }

    /// Adds costs.
    #[must_use]
    pub const fn needs(mut self, needs: Needs) -> Self {
        self.needs = self.needs.union(needs);
        self
    }

    /// Adds costs of its text.
    #[must_use]
    pub const fn print_needs(mut self, needs: Needs) -> Self {
        self.print_needs = self.print_needs.union(needs);
        self
    }

    /// Names the options that ask for it.
    #[must_use]
    pub const fn group(mut self, groups: Groups) -> Self {
        self.groups = groups;
        self
    }

    /// Prints it only beside these.
    #[must_use]
    pub const fn only_with(mut self, groups: Groups) -> Self {
        self.only_with = groups;
        self
    }

    /// Says how `ss` prints it.
    #[must_use]
    pub const fn text(mut self, text: Text) -> Self {
        self.text = text;
        self
    }

    /// Says what its text looks like, for manuals; every [`Text::Custom`] has it.
    #[must_use]
    pub const fn shape(mut self, shape: &'static str) -> Self {
        self.shape = shape;
        self
    }

    /// What its token looks like; `None` if it has none of its own.
    pub fn token(&self) -> Option<String> {
        match self.text {
            Text::Nonzero(name) | Text::NonzeroSigned(name) => Some(format!("{name}:N")),
            Text::NonzeroMillis(name) => Some(format!("{name}:MS")),
            Text::Word(word) => Some(word.to_owned()),
            Text::Custom(_) => Some(self.shape.to_owned()),
            Text::Silent | Text::PartOf(_) | Text::Column(..) => None,
        }
    }

    /// Gives it a keyword in the filter language.
    #[must_use]
    pub const fn operand(mut self, keyword: &'static str, operand: Operand) -> Self {
        self.operand = Some((keyword, operand));
        self
    }
}

/// A row of what `-i` shows, read from `INET_DIAG_INFO` or what comes with it.
const fn info_row(name: &'static str, get: Accessor, doc: &'static str, source: &'static str) -> Field {
    Field::new(name, get, doc, source).needs(Needs::INFO).group(Groups::INFO)
}

impl std::fmt::Debug for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}
