//! The totals of a group: which function to use, and its running value.
//!
//! A percentile uses the nearest rank: the smallest number of the group that at least
//! that percentage of the numbers do not exceed.  "None" and "unlimited" are not numbers,
//! and rows that do not report one do not count.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "kernel integers are narrow; means are rounded as ratios are"
)]

use std::cmp::Ordering;
use std::fmt;

use serde::{Serialize, Serializer};
use sockdiag::fields::{Catalog, Choice, ChoiceError, Kind, Together};
use sockdiag::model::{Row, TableSet};
use sockdiag::sort::sort_by;

/// A function of the numbers of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Sum,
    Mean,
    Least,
    Most,
    /// The smallest number that at least this percentage of the numbers do not exceed.
    Percentile(u8),
}

impl Function {
    /// `sum`, `avg`, `min`, `max`, or `p1` to `p99`.
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "sum" => Self::Sum,
            "avg" => Self::Mean,
            "min" => Self::Least,
            "max" => Self::Most,
            _ => {
                let percent =
                    name.strip_prefix('p')?.parse().ok().filter(|percent| (1..100).contains(percent));
                Self::Percentile(percent?)
            }
        })
    }

    fn name(self) -> String {
        match self {
            Self::Sum => "sum".to_owned(),
            Self::Mean => "avg".to_owned(),
            Self::Least => "min".to_owned(),
            Self::Most => "max".to_owned(),
            Self::Percentile(percent) => format!("p{percent}"),
        }
    }

    /// The default function.
    fn of(together: Together) -> Self {
        if together == Together::Sum { Self::Sum } else { Self::Most }
    }

    /// Whether the function is meaningful for a field with this rule.
    fn fits(self, together: Together) -> bool {
        match (self, together) {
            (Self::Sum, Together::Sum | Together::Most) => true,
            (Self::Sum, _) | (Self::Mean, Together::NoMean) => false,
            _ => true,
        }
    }
}

/// A function over the values of a field in a group.
#[derive(Clone, Debug)]
pub struct Total {
    function: Function,
    choice: Choice,
}

/// An invalid total.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TotalError {
    /// The name matches no field.
    Field(ChoiceError),
    /// No function has this name.
    Function(String),
    /// The field is not numeric.
    NoNumber {
        /// The field as typed.
        name: String,
        /// The function that was requested.
        function: String,
    },
    /// The function is meaningless for this field.
    Meaningless {
        /// The field in full.
        field: String,
        /// The field as typed.
        name: String,
        /// The function that was requested.
        function: String,
    },
}

impl fmt::Display for TotalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(error) => error.fmt(f),
            Self::Function(name) => {
                write!(f, "there is no function \"{}\": use sum, avg, min, max or p95", name.escape_debug())
            }
            Self::NoNumber { name, function } if function == "sum" => {
                write!(f, "{name} is not numeric, so it cannot be summed")
            }
            Self::NoNumber { name, function } => write!(f, "{name} is not numeric, so it has no {function}"),
            Self::Meaningless { field, name, function } if function == "sum" => {
                write!(f, "a sum of {field} is meaningless: use max({name}), min({name}) or p95({name})")
            }
            Self::Meaningless { field, name, function } => {
                write!(f, "{field} is not an amount, so it has no {function}: use max({name}) or min({name})")
            }
        }
    }
}

impl std::error::Error for TotalError {}

/// Parses field names, separated by commas, each as `FUNCTION(NAME)` or plain `NAME`, for a
/// listing of these tables.
///
/// # Errors
/// When a name matches no field, or the field is not numeric, or the function is meaningless.
pub fn totals(catalog: &Catalog, names: &str, tables: TableSet) -> Result<Vec<Total>, TotalError> {
    let read = |text: &str| -> Result<Total, TotalError> {
        let text = text.trim_matches(' ');
        let (function, name) = match text.strip_suffix(')').and_then(|text| text.split_once('(')) {
            Some((function, name)) => {
                let known = Function::named(function.trim_matches(' '));
                (
                    Some(known.ok_or_else(|| TotalError::Function(function.to_owned()))?),
                    name.trim_matches(' '),
                )
            }
            None => (None, text),
        };
        let mut choices = Choice::each(catalog, &[name], tables).map_err(TotalError::Field)?;
        let choice = choices.pop().ok_or_else(|| TotalError::Function(name.to_owned()))?;
        let function = function.unwrap_or_else(|| Function::of(choice.together()));
        let wanted = || (choice.name().to_owned(), function.name());
        if !choice.is_number() {
            let (name, function) = wanted();
            // The error message names `sum`, since a user who names no function usually means
            // it.
            let function = if text == name { "sum".to_owned() } else { function };
            return Err(TotalError::NoNumber { name, function });
        }
        if !function.fits(choice.together()) {
            let (name, function) = wanted();
            return Err(TotalError::Meaningless { field: choice.full_name(), name, function });
        }
        Ok(Total { function, choice })
    };
    names.split(',').map(read).collect()
}

impl Total {
    /// Its header in text output: `max(rtt)`.
    pub fn name(&self) -> String {
        format!("{}({})", self.function.name(), self.choice.name())
    }

    /// Like [`Self::name`], but without the unit suffix where the values print their unit: see
    /// [`Choice::heading`].
    pub(super) fn heading(&self) -> String {
        format!("{}({})", self.function.name(), self.choice.heading())
    }

    /// Its name in CSV, TSV and JSON: `max(tcp.rtt_us)`.
    pub fn full_name(&self) -> String {
        format!("{}({})", self.function.name(), self.choice.full_name())
    }

    /// The field that it is computed from.
    pub fn choice(&self) -> &Choice {
        &self.choice
    }

    /// Whether both apply the same function to the same field.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.function, self.choice.named()) == (other.function, other.choice.named())
    }

    /// The same total, with rounded values and units for people.
    pub(super) fn for_people(self) -> Self {
        Self { choice: self.choice.for_people(), ..self }
    }

    /// The same total, printing units for people even if the name ends in a unit.
    #[must_use]
    pub fn with_units(self) -> Self {
        Self { choice: self.choice.with_units(), ..self }
    }

    pub(super) fn begin(&self) -> Sofar {
        match self.function {
            Function::Sum => Sofar::Sum(None),
            Function::Mean => Sofar::Mean(0.0, 0),
            Function::Least => Sofar::Least(None),
            Function::Most => Sofar::Most(None),
            Function::Percentile(percent) => Sofar::All(percent, Vec::new()),
        }
    }

    /// The number of this row; `None` if the row does not report the field.
    pub(super) fn number(&self, row: &Row<'_>) -> Option<Number> {
        if self.choice.named().kind() == Kind::Ratio {
            self.choice.ratio(row).map(Number::Ratio)
        } else {
            self.choice.number(row).map(Number::Whole)
        }
    }

    /// Formats a number as a cell.
    pub(super) fn text(&self, number: Number) -> Vec<u8> {
        let mut text = Vec::new();
        match number {
            Number::Whole(whole) if !self.choice.has_unit() => {
                text.extend_from_slice(whole.to_string().as_bytes());
            }
            number => self.choice.put_amount(&mut text, number.ratio()),
        }
        text
    }
}

/// A whole number, or a ratio.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Whole(i128),
    Ratio(f64),
}

impl Number {
    /// The number that a cell holds.
    pub(super) fn read(cell: &str) -> Option<Self> {
        cell.parse().ok().map(Self::Whole).or_else(|| cell.parse().ok().map(Self::Ratio))
    }

    pub(super) fn order(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => a.cmp(&b),
            (a, b) => a.ratio().total_cmp(&b.ratio()),
        }
    }

    fn add(self, other: Self) -> Self {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => Self::Whole(a.saturating_add(b)),
            (a, b) => Self::Ratio(a.ratio() + b.ratio()),
        }
    }

    /// Rounds away digits that are only errors of floating-point addition.
    fn rounded(self) -> Self {
        match self {
            Self::Whole(_) => self,
            Self::Ratio(ratio) => Self::Ratio((ratio * 1e6).round() / 1e6),
        }
    }

    fn ratio(self) -> f64 {
        match self {
            Self::Whole(whole) => whole as f64,
            Self::Ratio(ratio) => ratio,
        }
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            // A sum of numbers that each fit 64 bits may exceed them.
            Self::Whole(whole) => match (u64::try_from(whole), i64::try_from(whole)) {
                (Ok(whole), _) => serializer.serialize_u64(whole),
                (_, Ok(whole)) => serializer.serialize_i64(whole),
                _ => serializer.serialize_f64(whole as f64),
            },
            Self::Ratio(ratio) => serializer.serialize_f64(ratio),
        }
    }
}

/// The running total of a group.
#[derive(Clone, Debug)]
pub(super) enum Sofar {
    Sum(Option<Number>),
    Mean(f64, u64),
    Least(Option<Number>),
    Most(Option<Number>),
    All(u8, Vec<Number>),
}

impl Sofar {
    pub(super) fn add(&mut self, number: Number) {
        match self {
            Self::Sum(sum) => *sum = Some(sum.map_or(number, |sum| sum.add(number))),
            Self::Mean(sum, count) => {
                *sum += number.ratio();
                *count += 1;
            }
            Self::Least(least) => {
                *least = Some(number).filter(|new| least.is_none_or(|old| new.order(old).is_lt())).or(*least);
            }
            Self::Most(most) => {
                *most = Some(number).filter(|new| most.is_none_or(|old| new.order(old).is_gt())).or(*most);
            }
            Self::All(_, all) => all.push(number),
        }
    }

    /// The total; `None` if there was no number.
    pub(super) fn end(self) -> Option<Number> {
        let number = match self {
            Self::Sum(number) | Self::Least(number) | Self::Most(number) => number,
            Self::Mean(sum, count) => (count > 0).then(|| Number::Ratio(sum / count as f64)),
            Self::All(percent, mut all) => {
                sort_by(&mut all, &mut |a, b| a.order(*b));
                let rank = (all.len() * usize::from(percent)).div_ceil(100);
                rank.checked_sub(1).and_then(|at| all.get(at).copied())
            }
        };
        number.map(Number::rounded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(function: &str, numbers: &[i128]) -> Option<Number> {
        let choice = Choice::new(Catalog::shared(), "tcp.bytes_sent").expect("a field");
        let mut so_far = Total { function: Function::named(function).expect("a function"), choice }.begin();
        for number in numbers {
            so_far.add(Number::Whole(*number));
        }
        so_far.end()
    }

    #[test]
    fn functions_are_what_they_are_called() {
        let hundred: Vec<i128> = (1..=100).rev().collect();
        for (function, want) in [
            ("sum", Number::Whole(5050)),
            ("avg", Number::Ratio(50.5)),
            ("min", Number::Whole(1)),
            ("max", Number::Whole(100)),
            ("p50", Number::Whole(50)),
            ("p95", Number::Whole(95)),
            ("p99", Number::Whole(99)),
        ] {
            assert_eq!(end(function, &hundred), Some(want), "{function}");
            assert_eq!(end(function, &[]), None, "{function} of nothing");
        }
        for (function, want) in [("p1", 7), ("p50", 7), ("p99", 7)] {
            assert_eq!(end(function, &[7]), Some(Number::Whole(want)), "{function} of one");
        }
        assert_eq!(end("p95", &[1, 2, 3]), Some(Number::Whole(3)));
        for wrong in ["", "p", "p0", "p100", "px", "mean", "SUM"] {
            assert_eq!(Function::named(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_means_nothing_is_refused() {
        let made = |names: &str| {
            totals(Catalog::shared(), names, TableSet::ALL)
                .map(|totals| totals.iter().map(Total::full_name).collect::<Vec<_>>().join(" "))
                .map_err(|error| error.to_string())
        };
        for (names, want) in [
            ("rtt", Ok("max(tcp.rtt_us)")),
            ("tcp.bytes_sent, recv_q", Ok("sum(tcp.bytes_sent) sum(socket.recv_q)")),
            (
                "cwnd,sum(cwnd),delivery_rate",
                Ok("max(tcp.snd_cwnd) sum(tcp.snd_cwnd) max(tcp.delivery_rate_bytes_per_s)"),
            ),
            ("busy", Ok("sum(tcp.busy_time_us)")),
            ("avg(rtt),p95(rtt),min(rtt)", Ok("avg(tcp.rtt_us) p95(tcp.rtt_us) min(tcp.rtt_us)")),
            ("sport", Ok("max(local.port)")),
            ("sum(rtt)", Err("a sum of tcp.rtt_us is meaningless: use max(rtt), min(rtt) or p95(rtt)")),
            ("sum(mss)", Err("a sum of tcp.snd_mss is meaningless: use max(mss), min(mss) or p95(mss)")),
            (
                "sum(sport)",
                Err("a sum of local.port is meaningless: use max(sport), min(sport) or p95(sport)"),
            ),
            (
                "avg(sport)",
                Err("local.port is not an amount, so it has no avg: use max(sport) or \
                min(sport)"),
            ),
            ("congestion", Err("congestion is not numeric, so it cannot be summed")),
            ("max(congestion)", Err("congestion is not numeric, so it has no max")),
            ("mean(rtt)", Err("there is no function \"mean\": use sum, avg, min, max or p95")),
            ("max(x_y)", Err("there is no field \"x_y\"")),
        ] {
            assert_eq!(made(names), want.map(str::to_owned).map_err(str::to_owned), "{names}");
        }
    }
}
