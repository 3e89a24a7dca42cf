//! The table of facts: one row for each thing that a socket can report.
//!
//! Text, filter operands and the plan of what to ask the kernel for all read
//! these rows, and nothing else knows a field by name.  Adding a field is one
//! accessor (in `sockdiag-wire`) and one row here.
//!
//! Invariant: names are unique, docs are sentences, and the order of the rows
//! in a block is the order in which `ss` prints them.

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
// The whole table, row by row: too much for an interpreter.
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

/// One fact that a socket can report.
#[derive(Clone, Copy)]
pub struct Field {
    /// Stable name, unit last: `tcp.rtt_us`.
    pub name: &'static str,
    /// Reads it, as the source tells it: see [`Field::read`] for what the number
    /// means.
    pub get: Accessor,
    /// One sentence: what it means.
    pub doc: &'static str,
    /// The kernel's own name for it, or the file it is read from.
    pub source: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// What the number counts.
    pub unit: Unit,
    /// What becomes of it over time.
    pub metric: Metric,
    /// What becomes of those of several sockets.
    pub together: Together,
    /// Whether people see it without its unit, which is another one of some sockets.
    pub bare: bool,
    none: Option<Special>,
    unlimited: Option<Special>,
    /// Whether some of its numbers are not reported: a sentinel other than zero, or those
    /// of the records that do not have it.
    has_gaps: bool,
    /// The records that have it.
    records: Records,
    /// What reading it costs.
    pub needs: Needs,
    /// The options that ask for it; printed with any of its block's.
    pub groups: Groups,
    /// The keyword of the filter language that tests it, besides its name.
    pub operand: Option<(&'static str, Operand)>,
    /// What a condition takes as its value.
    pub spelling: &'static Spelling,
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

/// What a field says of a row, with the numbers that are none told apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reading<'r> {
    /// The source does not report it.
    Absent,
    /// The source says that there is none: no measurement yet, no port, no mark.
    None,
    /// There is no limit.
    Unlimited,
    /// This.
    Value(Value<'r>),
}

impl Field {
    /// A silent field without unit or cost; the methods below refine it.
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
            spelling: Spelling::PLAIN,
            ss: SsText::SILENT,
        }
    }

    /// Says that its numbers stand for these words.
    #[must_use]
    pub const fn words(mut self, words: &'static [Word]) -> Self {
        self.kind = match self.kind {
            Kind::Int(int) => Kind::Enum(int, words),
            _ => panic!("only whole numbers stand for words"),
        };
        self
    }

    /// Says that its numbers are flags, which have these words.
    #[must_use]
    pub const fn flags(mut self, words: &'static [Word]) -> Self {
        self.kind = match self.kind {
            Kind::Int(int) => Kind::Flags(int, words),
            _ => panic!("only whole numbers are flags"),
        };
        self
    }

    /// Says that its numbers are identities, of which every digit counts.
    #[must_use]
    pub const fn wide(mut self) -> Self {
        self.kind = match self.kind {
            Kind::Int(int) => Kind::Wide(int),
            _ => panic!("only whole numbers are identities"),
        };
        self
    }

    /// The number by which the source says that there is none.
    #[must_use]
    pub const fn none(mut self, number: i128) -> Self {
        self.none = Some(Special::of(number, self.kind));
        self.has_gaps |= number != 0;
        self
    }

    /// The number by which the source says that there is no limit.
    #[must_use]
    pub const fn unlimited(mut self, number: i128) -> Self {
        self.unlimited = Some(Special::of(number, self.kind));
        self.has_gaps |= number != 0;
        self
    }

    /// Says that it goes up and down.
    #[must_use]
    pub const fn gauge(mut self, unit: Unit) -> Self {
        self.metric = Metric::Gauge;
        self.unit = unit;
        self.together = Together::of(Metric::Gauge, unit);
        self
    }

    /// Says that those of several sockets add up, whatever its unit says.
    #[must_use]
    pub const fn sum(mut self) -> Self {
        self.together = Together::Sum;
        self
    }

    /// Says that it is a window or a limit: sums of it are made only where they are
    /// asked for.
    #[must_use]
    pub const fn level(mut self) -> Self {
        self.together = Together::Most;
        self
    }

    /// Says that it is the size or the place of one thing: a sum of it means nothing.
    #[must_use]
    pub const fn size(mut self) -> Self {
        self.together = Together::NoSum;
        self
    }

    /// Says that its unit is another one of some sockets.
    #[must_use]
    pub const fn bare(mut self) -> Self {
        self.bare = true;
        self
    }

    /// Says that it only goes up.
    #[must_use]
    pub const fn counter(mut self, unit: Unit) -> Self {
        self.metric = Metric::Counter;
        self.unit = unit;
        self.together = Together::of(Metric::Counter, unit);
        self
    }

    /// Says that it is one of a few states, which come and go.
    #[must_use]
    pub const fn state(mut self) -> Self {
        self.metric = Metric::State;
        self
    }

    /// Says that only these records have its number, although others have room for it.
    #[must_use]
    const fn only_of(mut self, records: Records) -> Self {
        self.records = records;
        self.has_gaps = true;
        self
    }

    /// Adds costs.
    #[must_use]
    pub const fn needs(mut self, needs: Needs) -> Self {
        self.needs = self.needs.union(needs);
        self
    }

    /// Says that replies of this kind of socket have it always: no walk leaves it out.
    #[must_use]
    pub(super) const fn in_every_reply(mut self) -> Self {
        self.needs = self.needs.minus(Needs::PARTS);
        self
    }

    /// Names the options that ask for it.
    #[must_use]
    pub const fn group(mut self, groups: Groups) -> Self {
        self.groups = groups;
        self
    }

    /// Gives it a keyword in the filter language.
    #[must_use]
    pub const fn operand(mut self, keyword: &'static str, operand: Operand) -> Self {
        self.operand = Some((keyword, operand));
        self
    }

    /// Says what a condition takes as its value.
    #[must_use]
    pub const fn spelled(mut self, spelling: &'static Spelling) -> Self {
        self.spelling = spelling;
        self
    }

    /// Adds costs of its text.
    #[must_use]
    pub const fn print_needs(mut self, needs: Needs) -> Self {
        self.ss.needs = self.ss.needs.union(needs);
        self
    }

    /// Prints it only beside these.
    #[must_use]
    pub const fn only_with(mut self, groups: Groups) -> Self {
        self.ss.only_with = groups;
        self
    }

    /// Says how `ss` prints it.
    #[must_use]
    pub const fn text(mut self, text: Text) -> Self {
        self.ss.text = text;
        self
    }

    /// Says what its text looks like, for manuals; every [`Text::Custom`] has it.
    #[must_use]
    pub const fn shape(mut self, shape: &'static str) -> Self {
        self.ss.shape = shape;
        self
    }

    /// Words of the text that stand before its value and are no other token: those
    /// inside another field's token too.
    #[must_use]
    pub const fn tokens(mut self, words: &'static str) -> Self {
        self.ss.words = words;
        self
    }

    /// The words of the text that name it: `minrtt`, and `bl` inside `skmem:(...)`.
    pub fn token_words(&self) -> impl Iterator<Item = &'static str> {
        self.ss.words()
    }

    /// Whether it stands in a column of the text.
    pub const fn heads_a_column(&self) -> bool {
        matches!(self.ss.text, Text::Column(..))
    }

    /// What its token looks like; `None` if it has none of its own.
    pub fn token(&self) -> Option<String> {
        self.ss.token()
    }

    /// The number by which the source says that there is none: nothing measured
    /// yet, no port, no mark.  [`Field::get`] gives it as it is, or gives nothing.
    pub const fn none_number(&self) -> Option<i128> {
        self.number(self.none)
    }

    /// The number by which the source says that there is no limit, which
    /// [`Field::get`] gives as it is.
    pub const fn unlimited_number(&self) -> Option<i128> {
        self.number(self.unlimited)
    }

    /// Its doc, which numbers mean that there is none or no limit, and which words
    /// its numbers have.
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

    /// What it says of a row.  A number by which the source says that there is none
    /// or no limit is no amount, so it is absent; zero stays zero, which nobody
    /// takes for much.
    #[inline]
    pub fn value<'r>(&self, row: &'r Row<'r>) -> Option<Value<'r>> {
        let value = (self.get)(row);
        if value.is_some_and(|value| self.leaves_out(value, row)) { None } else { value }
    }

    /// Whether the source says by this number that there is none or no limit, or says
    /// nothing by it: the row's record does not have the field.  Zero is said as it is.
    #[inline]
    pub fn leaves_out(&self, value: Value<'_>, row: &Row<'_>) -> bool {
        self.has_gaps && value.as_i128().is_some_and(|number| self.is_gap(number, row))
    }

    fn is_gap(&self, number: i128, row: &Row<'_>) -> bool {
        let is_sentinel =
            number != 0 && [self.none_number(), self.unlimited_number()].contains(&Some(number));
        is_sentinel || !self.is_of(row)
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

    /// What it says of a row, with the numbers that are none told apart.
    pub fn read<'r>(&self, row: &'r Row<'r>) -> Reading<'r> {
        let Some(value) = (self.get)(row) else { return Reading::Absent };
        let number = match value {
            Value::U64(number) => Some(number.into()),
            Value::I64(number) => Some(number.into()),
            _ => None,
        };
        match number {
            Some(_) if !self.is_of(row) => Reading::Absent,
            Some(_) if number == self.none_number() => Reading::None,
            Some(_) if number == self.unlimited_number() => Reading::Unlimited,
            _ => Reading::Value(value),
        }
    }
}

/// A row of what `-i` shows, read from `INET_DIAG_INFO` or what comes with it.
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
