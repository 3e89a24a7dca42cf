//! The table of fields: one entry for each fact that a socket can report.
//!
//! Text output, filter operands and the requests to the kernel are all derived from these
//! entries, and nothing else knows a field by name.  Adding a field takes one accessor (in
//! `sockdiag-wire`) and one entry here.
//!
//! Invariant: names are unique, descriptions are sentences, and the order of fields in a block
//! is the order in which `ss` prints them.

mod around;
mod block;
mod bpf;
mod catalog;
mod choice;
mod congestion;
mod derived;
mod diagnosed;
mod endpoint;
mod event;
mod exposure;
mod extended;
// Tests of the whole table are too slow for an interpreter such as Miri.
#[cfg(all(test, not(miri)))]
mod fit;
mod groups;
#[cfg(all(test, not(miri)))]
mod hygiene;
mod judged;
mod kind;
mod memory;
mod metric;
mod mptcp;
mod named;
mod needs;
mod netlink;
mod owned;
mod packet;
mod process;
mod read;
mod sctp;
mod shown;
mod smc;
mod ss;
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
pub use judged::has_options;
use kind::Special;
pub use kind::{Int, Kind, Member, Spelling, Whole};
pub use metric::{Metric, Together, Unit};
pub use named::{NameError, Named, distance};
pub use needs::Needs;
pub use owned::{OwnedItem, OwnedValue, printable};
pub use process::Identity;
pub use read::{Accessor, Read};
pub use shown::{put_amount, put_digits, without_unit};
pub use ss::{Column, Format, SsText, Style, Text};
pub use value::{Each, Item, List, Value};

use crate::model::Row;
pub use crate::model::words::Word;
use read::{plain, text, word};

/// The syntax of a field's keyword in the filter language.
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

impl Operand {
    /// Its keyword in the filter language.
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::LocalHost => "src",
            Self::RemoteHost => "dst",
            Self::LocalPort => "sport",
            Self::RemotePort => "dport",
            Self::Device => "dev",
            Self::Mark => "fwmark",
            Self::Cgroup => "cgroup",
            Self::Autobound => "autobound",
        }
    }
}

/// One fact that a socket can report.
#[derive(Clone, Copy)]
pub struct Field {
    /// Stable name, unit last: `tcp.rtt_us`.
    pub name: &'static str,
    /// Reads the value as the source reports it; see [`Field::read`] for special numbers.
    pub get: Accessor,
    /// Its meaning, in one sentence.
    pub doc: &'static str,
    /// The kernel's name for it, or the file that it is read from.
    pub source: &'static str,
    /// The type of its values.
    pub kind: Kind,
    /// The unit of the number.
    pub unit: Unit,
    /// The behaviour of its value over time.
    pub metric: Metric,
    /// How values of several sockets can be combined.
    pub together: Together,
    /// Whether people see it without its unit, which differs between sockets.
    pub bare: bool,
    none: Option<Special>,
    unlimited: Option<Special>,
    /// Whether some of its values are left out: a sentinel other than zero, or the value of a
    /// record that does not have the field.
    has_gaps: bool,
    /// The records that have it.
    records: Records,
    /// What has to be requested to read it.
    pub needs: Needs,
    /// The options that request it; it is printed with any option of its block.
    pub groups: Groups,
    /// Its syntax in the filter language, if it has a keyword in addition to its name.
    pub operand: Option<Operand>,
    /// The values that a condition accepts; `None` if it accepts those of the kind and no more.
    pub spelling: Option<&'static Spelling>,
    /// How `ss` prints it.
    pub ss: SsText,
}

/// The records of a protocol that report a field.  The source has zeros in the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Records {
    All,
    /// Those of SCTP sockets.
    Sockets,
    /// Those of SCTP associations.
    Associations,
}

/// The value of a field in a row, with special numbers distinguished.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reading<'r> {
    /// The source does not report it.
    Absent,
    /// The source reports "none": no measurement yet, no port, no mark.
    None,
    /// The source reports "no limit".
    Unlimited,
    /// A value.
    Value(Value<'r>),
}

impl Field {
    /// A field without unit, needs or text; the methods below refine it.
    pub const fn new(name: &'static str, read: Read, doc: &'static str, source: &'static str) -> Self {
        Self {
            name,
            get: read.get,
            doc,
            source,
            kind: read.kind,
            unit: Unit::None,
            metric: Metric::Info,
            together: Together::NoMean,
            bare: false,
            none: read.none,
            unlimited: None,
            has_gaps: false,
            records: Records::All,
            needs: Needs::NONE,
            groups: Groups::NONE,
            operand: None,
            spelling: None,
            ss: SsText::SILENT,
        }
    }

    /// Declares the words that its numbers stand for.
    #[must_use]
    pub const fn words(mut self, words: &'static [Word]) -> Self {
        self.kind = match self.kind {
            Kind::Int(int) => Kind::Enum(int, words),
            _ => panic!("only whole numbers stand for words"),
        };
        self
    }

    /// Declares that its bits are flags with these words.
    #[must_use]
    pub const fn flags(mut self, words: &'static [Word]) -> Self {
        self.kind = match self.kind {
            Kind::Int(int) => Kind::Flags(int, words),
            _ => panic!("only whole numbers are flags"),
        };
        self
    }

    /// Declares that its numbers are identifiers, in which every digit matters.
    #[must_use]
    pub const fn wide(mut self) -> Self {
        self.kind = match self.kind {
            Kind::Int(int) => Kind::Wide(int),
            _ => panic!("only whole numbers are identities"),
        };
        self
    }

    /// Declares the number by which the source reports "none".
    #[must_use]
    pub const fn none(mut self, number: i128) -> Self {
        self.none = Some(Special::of(number, self.kind));
        self.has_gaps |= number != 0;
        self
    }

    /// Declares the number by which the source reports "no limit".
    #[must_use]
    pub const fn unlimited(mut self, number: i128) -> Self {
        self.unlimited = Some(Special::of(number, self.kind));
        self.has_gaps |= number != 0;
        self
    }

    /// Declares that it rises and falls.
    #[must_use]
    pub const fn gauge(mut self, unit: Unit) -> Self {
        self.metric = Metric::Gauge;
        self.unit = unit;
        self.together = Together::of(Metric::Gauge, unit);
        self
    }

    /// Declares that values of several sockets add up, whatever the unit.
    #[must_use]
    pub const fn sum(mut self) -> Self {
        self.together = Together::Sum;
        self
    }

    /// Declares that it is a window or a limit, which is only summed on request.
    #[must_use]
    pub const fn level(mut self) -> Self {
        self.together = Together::Most;
        self
    }

    /// Declares that it is the size or position of a single thing, so that a sum is
    /// meaningless.
    #[must_use]
    pub const fn size(mut self) -> Self {
        self.together = Together::NoSum;
        self
    }

    /// Declares that its unit differs between sockets.
    #[must_use]
    pub const fn bare(mut self) -> Self {
        self.bare = true;
        self
    }

    /// Declares that it only rises.
    #[must_use]
    pub const fn counter(mut self, unit: Unit) -> Self {
        self.metric = Metric::Counter;
        self.unit = unit;
        self.together = Together::of(Metric::Counter, unit);
        self
    }

    /// Declares that it is one of a few states.
    #[must_use]
    pub const fn state(mut self) -> Self {
        self.metric = Metric::State;
        self
    }

    /// Restricts it to these records; the others have room for its value but do not set it.
    #[must_use]
    const fn only_of(mut self, records: Records) -> Self {
        self.records = records;
        self.has_gaps = true;
        self
    }

    /// Adds needs of its value.
    #[must_use]
    pub const fn needs(mut self, needs: Needs) -> Self {
        self.needs = self.needs.union(needs);
        self
    }

    /// Declares that every reply of this kind of socket contains it, even one from a walk.
    #[must_use]
    pub(super) const fn in_every_reply(mut self) -> Self {
        self.needs = self.needs.minus(Needs::PARTS);
        self
    }

    /// Declares the options that request it.
    #[must_use]
    pub const fn group(mut self, groups: Groups) -> Self {
        self.groups = groups;
        self
    }

    /// Declares its keyword in the filter language.
    #[must_use]
    pub const fn operand(mut self, operand: Operand) -> Self {
        self.operand = Some(operand);
        self
    }

    /// Declares the values that a condition accepts.
    #[must_use]
    pub const fn spelled(mut self, spelling: &'static Spelling) -> Self {
        self.spelling = Some(spelling);
        self
    }

    /// Adds needs of its text.
    #[must_use]
    pub const fn print_needs(mut self, needs: Needs) -> Self {
        self.ss.needs = self.ss.needs.union(needs);
        self
    }

    /// Declares that it is printed only if these groups are shown too.
    #[must_use]
    pub const fn only_with(mut self, groups: Groups) -> Self {
        self.ss.only_with = groups;
        self
    }

    /// Declares how `ss` prints it.
    #[must_use]
    pub const fn text(mut self, text: Text) -> Self {
        self.ss.text = text;
        self
    }

    /// Declares the form of its text, for manuals; every [`Text::Custom`] has one.
    #[must_use]
    pub const fn shape(mut self, shape: &'static str) -> Self {
        self.ss.shape = shape;
        self
    }

    /// Declares the words before its value in the text that are not tokens of their own,
    /// including those inside another field's token.
    #[must_use]
    pub const fn tokens(mut self, words: &'static str) -> Self {
        self.ss.words = words;
        self
    }

    /// The words in the text that identify it: `minrtt`, or `bl` inside `skmem:(...)`.
    pub fn token_words(&self) -> impl Iterator<Item = &'static str> {
        self.ss.words()
    }

    /// Whether the text shows it in a column.
    pub const fn heads_a_column(&self) -> bool {
        matches!(self.ss.text, Text::Column(..))
    }

    /// The form of its token; `None` if it has none of its own.
    pub fn token(&self) -> Option<String> {
        self.ss.token()
    }

    /// The number by which the source reports "none": nothing measured yet, no port, no mark.
    /// [`Field::get`] returns this number or `None`.
    pub const fn none_number(&self) -> Option<i128> {
        self.number(self.none)
    }

    /// The number by which the source reports "no limit", which [`Field::get`] returns
    /// unchanged.
    pub const fn unlimited_number(&self) -> Option<i128> {
        self.number(self.unlimited)
    }

    /// Its description, followed by its special numbers and the words of its numbers.
    pub fn meaning(&self) -> String {
        let special = [(self.none_number(), "none"), (self.unlimited_number(), "unlimited")];
        let special = special.into_iter().filter_map(|(number, what)| {
            let number = number?;
            Some(if number == 0 { format!("0: {what}.") } else { format!("Absent where {what} ({number}).") })
        });
        let words = Some(kind::words_sentence(self.kind)).filter(|words| !words.is_empty());
        let parts: Vec<String> = [self.doc.to_owned()].into_iter().chain(special).chain(words).collect();
        parts.join(" ")
    }

    /// The value in a row.  Special numbers for "none" and "no limit" are not amounts, so they
    /// become `None`; zero remains zero, which is never mistaken for a large amount.  `None`
    /// also if the row's record does not have the field.
    #[inline]
    pub fn value<'r>(&self, row: &'r Row<'r>) -> Option<Value<'r>> {
        if self.has_gaps { self.value_outside_gaps(row) } else { (self.get)(row) }
    }

    /// The same for the few fields with gaps.
    #[inline(never)]
    fn value_outside_gaps<'r>(&self, row: &'r Row<'r>) -> Option<Value<'r>> {
        (self.get)(row).filter(|value| !self.is_gap(value, row))
    }

    /// Whether a value of [`Field::get`] is left out: the source's number for "none" or "no
    /// limit", or what a record contains that does not have the field.  Zero counts as an
    /// ordinary number.
    fn is_gap(&self, value: &Value<'_>, row: &Row<'_>) -> bool {
        let specials = [self.none_number(), self.unlimited_number()];
        let is_special = |number| number != 0 && specials.contains(&Some(number));
        value.as_i128().is_some_and(is_special) || !self.is_of(row)
    }

    /// Whether the row's record has it.
    fn is_of(&self, row: &Row<'_>) -> bool {
        match self.records {
            Records::All => true,
            Records::Sockets => sctp::is_association(row) == Some(false),
            Records::Associations => sctp::is_association(row) == Some(true),
        }
    }

    const fn number(&self, special: Option<Special>) -> Option<i128> {
        match (special, self.kind.int()) {
            (Some(special), Some(int)) => Some(special.number(int)),
            _ => None,
        }
    }

    /// The value in a row, with special numbers distinguished.
    pub fn read<'r>(&self, row: &'r Row<'r>) -> Reading<'r> {
        let Some(value) = (self.get)(row).filter(|_| self.is_of(row)) else { return Reading::Absent };
        let number = match value {
            Value::U64(number) => Some(number.into()),
            Value::I64(number) => Some(number.into()),
            _ => None,
        };
        match number {
            Some(_) if number == self.none_number() => Reading::None,
            Some(_) if number == self.unlimited_number() => Reading::Unlimited,
            _ => Reading::Value(value),
        }
    }
}

/// A field of `-i`, read from `INET_DIAG_INFO` or an attribute that comes with it.
const fn info_row(name: &'static str, read: Read, doc: &'static str, source: &'static str) -> Field {
    Field::new(name, read, doc, source).needs(Needs::INFO).group(Groups::INFO)
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
