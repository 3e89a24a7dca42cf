//! The quantity that a rule measures over the rows of a group.
//!
//! ```text
//! quantity = term { ("*" | "/") term }
//! term     = NUMBER | count | seconds | AGGREGATE(FIELD)
//! aggregate = sum | max | min | mean | median | distinct | value
//! ```
//!
//! `value` is the value of a group's only row.  `seconds` is the time between the looks.  A
//! row without the field is ignored.
//!
//! Invariant: a quantity without values, or divided by zero, is absent.

#![allow(
    clippy::cast_precision_loss,
    reason = "numbers of rows and what they report are exact as doubles or close enough"
)]

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};

use sockdiag_facts::Row;
use sockdiag_facts::fields::{Catalog, Choice, Unit};

/// Maximum number of values kept per group, for `median` and `distinct`.
const MOST_VALUES: usize = 4096;

/// How values are aggregated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Sum,
    Max,
    Min,
    Mean,
    Median,
    Distinct,
}

const HOWS: &[(&str, How)] = &[
    ("value", How::Max),
    ("sum", How::Sum),
    ("max", How::Max),
    ("min", How::Min),
    ("mean", How::Mean),
    ("median", How::Median),
    ("distinct", How::Distinct),
];

/// A field to read from each row, and how to aggregate it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Aggregate {
    pub(crate) how: How,
    pub(crate) choice: Choice,
    /// The field with the error of the value, if there is one.
    pub(crate) error: Option<Choice>,
}

impl Aggregate {
    /// The unit of its numbers.
    pub(crate) fn unit(&self) -> Unit {
        if self.how == How::Distinct { Unit::Count } else { self.choice.unit() }
    }
}

impl Aggregate {
    fn new(catalog: &Catalog, how: How, name: &str) -> Result<Self, String> {
        let choice = Choice::new(catalog, name).map_err(|error| error.to_string())?;
        if how != How::Distinct && !choice.is_number() {
            return Err(format!("{name} is not a number"));
        }
        let error = error_of(catalog, &choice);
        Ok(Self { how, choice, error })
    }
}

/// The field that reports the error of another, if there is one.
pub(crate) fn error_of(catalog: &Catalog, choice: &Choice) -> Option<Choice> {
    let name = format!("{}_error", choice.full_name());
    // Checks first, because resolving an unknown name compares it with every other.
    catalog.field(&name)?;
    Choice::new(catalog, &name).ok()
}

#[derive(Clone, Debug, PartialEq)]
enum Term {
    Number(f64),
    Count,
    Seconds,
    /// One of the rule's aggregates, by number.
    Of(usize),
}

/// The formula of a quantity.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantity {
    first: Term,
    rest: Vec<(bool, Term)>,
    unit: Unit,
}

/// The numeric value of a field in a row, if it has one.
pub(crate) fn number(choice: &Choice, row: &Row<'_>) -> Option<f64> {
    choice.ratio(row).or_else(|| choice.number(row).map(|number| number as f64))
}

impl Quantity {
    /// Parses a formula; adds the aggregates that it needs to `aggregates`.
    ///
    /// # Errors
    /// A description of the syntax error.
    pub(crate) fn parse(
        catalog: &Catalog,
        text: &str,
        aggregates: &mut Vec<Aggregate>,
    ) -> Result<Self, String> {
        let (mut first, mut rest) = (None, Vec::new());
        let mut divides = None;
        for word in text.split_whitespace() {
            match (word, &first, divides) {
                ("*" | "/", Some(_), None) => divides = Some(word == "/"),
                (word, None, None) => first = Some(Self::term(catalog, word, aggregates)?),
                (word, Some(_), Some(by)) => {
                    rest.push((by, Self::term(catalog, word, aggregates)?));
                    divides = None;
                }
                _ => return Err(format!("\"{word}\" is not expected there")),
            }
        }
        let Some(first) = first.filter(|_| divides.is_none()) else {
            return Err("something is missing at its end".to_owned());
        };
        let unit = match (&first, rest.as_slice()) {
            (Term::Of(at), []) => aggregates.get(*at).map_or(Unit::None, Aggregate::unit),
            _ => Unit::Count,
        };
        Ok(Self { first, rest, unit })
    }

    fn term(catalog: &Catalog, word: &str, aggregates: &mut Vec<Aggregate>) -> Result<Term, String> {
        match word {
            "count" => return Ok(Term::Count),
            "seconds" => return Ok(Term::Seconds),
            _ => {}
        }
        if let Ok(number) = word.parse::<f64>() {
            return Ok(Term::Number(number));
        }
        let (how, field) = word
            .split_once('(')
            .and_then(|(how, field)| Some((how, field.strip_suffix(')')?)))
            .ok_or_else(|| format!("\"{word}\" is not a number, count, seconds or AGGREGATE(FIELD)"))?;
        let how = HOWS.iter().find(|(name, _)| *name == how).map(|(_, how)| *how).ok_or_else(|| {
            let known: Vec<&str> = HOWS.iter().map(|(name, _)| *name).collect();
            format!("\"{how}\" is none of {}", known.join(", "))
        })?;
        let aggregate = Aggregate::new(catalog, how, field)?;
        let at = aggregates.iter().position(|known| *known == aggregate).unwrap_or_else(|| {
            aggregates.push(aggregate);
            aggregates.len() - 1
        });
        Ok(Term::Of(at))
    }

    /// The value of the quantity for a group.
    pub(crate) fn of(&self, group: &Amounts, seconds: Option<f64>) -> Option<f64> {
        let term = |term: &Term| match term {
            Term::Number(number) => Some(*number),
            Term::Count => Some(group.count as f64),
            Term::Seconds => seconds.filter(|seconds| *seconds > 0.0),
            Term::Of(at) => group.all.get(*at)?.value(),
        };
        let mut all = term(&self.first)?;
        for (divides, of) in &self.rest {
            let of = term(of)?;
            match divides {
                true if of == 0.0 => return None,
                true => all /= of,
                false => all *= of,
            }
        }
        all.is_finite().then_some(all)
    }

    /// The error of the quantity, for a group of one row whose field reports one.
    pub(crate) fn error_of(&self, group: &Amounts) -> Option<f64> {
        match (&self.first, self.rest.as_slice()) {
            (Term::Of(at), []) => group.all.get(*at)?.error,
            _ => None,
        }
    }

    /// The index of the first aggregate in the formula: the row where it is largest is the
    /// group's worst row.
    pub(crate) fn leading(&self) -> Option<usize> {
        let terms = std::iter::once(&self.first).chain(self.rest.iter().map(|(_, term)| term));
        terms.into_iter().find_map(|term| match term {
            Term::Of(at) => Some(*at),
            _ => None,
        })
    }

    /// Its unit.
    pub const fn unit(&self) -> Unit {
        self.unit
    }
}

/// The aggregated values of a field.
#[derive(Clone, Debug)]
struct Amount {
    how: How,
    known: u64,
    sum: f64,
    most: f64,
    least: f64,
    error: Option<f64>,
    values: Vec<f64>,
    distinct: HashSet<u64>,
}

impl Amount {
    fn new(how: How) -> Self {
        Self {
            how,
            known: 0,
            sum: 0.0,
            most: f64::NEG_INFINITY,
            least: f64::INFINITY,
            error: None,
            values: Vec::new(),
            distinct: HashSet::new(),
        }
    }

    fn add(&mut self, value: f64, error: Option<f64>) {
        self.known += 1;
        self.sum += value;
        if value > self.most {
            (self.most, self.error) = (value, error);
        }
        self.least = self.least.min(value);
        if self.how == How::Median && self.values.len() < MOST_VALUES {
            self.values.push(value);
        }
    }

    fn value(&self) -> Option<f64> {
        if self.known == 0 {
            return None;
        }
        Some(match self.how {
            How::Sum => self.sum,
            How::Max => self.most,
            How::Min => self.least,
            How::Mean => self.sum / self.known as f64,
            How::Distinct => self.distinct.len() as f64,
            How::Median => {
                let mut values = self.values.clone();
                values.sort_unstable_by(f64::total_cmp);
                *values.get((values.len() - 1) / 2)?
            }
        })
    }
}

/// The aggregated values of a group.
#[derive(Clone, Debug)]
pub(crate) struct Amounts {
    pub(crate) count: u64,
    all: Vec<Amount>,
}

impl Amounts {
    pub(crate) fn new(aggregates: &[Aggregate]) -> Self {
        Self { count: 0, all: aggregates.iter().map(|of| Amount::new(of.how)).collect() }
    }

    /// Adds a row.
    pub(crate) fn add(&mut self, aggregates: &[Aggregate], key: &RandomState, row: &Row<'_>) {
        self.count += 1;
        for (aggregate, amount) in aggregates.iter().zip(&mut self.all) {
            if aggregate.how == How::Distinct {
                let mut text = Vec::new();
                if aggregate.choice.put(&mut text, row) && amount.distinct.len() < MOST_VALUES {
                    amount.known += 1;
                    amount.distinct.insert(key.hash_one(&text));
                }
            } else if let Some(value) = number(&aggregate.choice, row) {
                let error = aggregate.error.as_ref().and_then(|error| number(error, row));
                amount.add(value, error);
            }
        }
    }

    /// The value of one aggregate.
    pub(crate) fn value(&self, at: usize) -> Option<f64> {
        self.all.get(at)?.value()
    }

    /// The error of that value.
    pub(crate) fn error(&self, at: usize) -> Option<f64> {
        self.all.get(at)?.error
    }
}

/// A comparison and a number: `>= 0.5`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bound {
    pub(crate) order: Order,
    pub(crate) number: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    More,
    AtLeast,
    Less,
    AtMost,
}

const ORDERS: [(&str, Order); 4] =
    [(">=", Order::AtLeast), ("<=", Order::AtMost), (">", Order::More), ("<", Order::Less)];

impl Bound {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (order, rest) = ORDERS
            .iter()
            .find_map(|(sign, order)| Some((*order, text.strip_prefix(sign)?)))
            .ok_or_else(|| format!("\"{text}\" does not begin with >, >=, < or <="))?;
        let number: f64 = rest.trim().parse().map_err(|_| format!("\"{}\" is not a number", rest.trim()))?;
        if number.is_finite() { Ok(Self { order, number }) } else { Err("it has no end".to_owned()) }
    }

    pub(crate) fn holds(self, value: f64) -> bool {
        match self.order {
            Order::More => value > self.number,
            Order::AtLeast => value >= self.number,
            Order::Less => value < self.number,
            Order::AtMost => value <= self.number,
        }
    }

    /// Whether more of the quantity is worse.
    pub(crate) fn is_upward(self) -> bool {
        matches!(self.order, Order::More | Order::AtLeast)
    }
}

/// `QUANTITY ORDER NUMBER`: a condition on a group.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Least {
    pub(crate) quantity: Quantity,
    pub(crate) bound: Bound,
}

impl Least {
    pub(crate) fn parse(
        catalog: &Catalog,
        text: &str,
        aggregates: &mut Vec<Aggregate>,
    ) -> Result<Self, String> {
        let at = text.find(['<', '>']).ok_or_else(|| format!("\"{text}\" has no >, >=, < or <="))?;
        let (quantity, bound) = text.split_at(at);
        Ok(Self { quantity: Quantity::parse(catalog, quantity, aggregates)?, bound: Bound::parse(bound)? })
    }

    pub(crate) fn holds(&self, group: &Amounts, seconds: Option<f64>) -> bool {
        self.quantity.of(group, seconds).is_some_and(|value| self.bound.holds(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(Quantity, Vec<Aggregate>), String> {
        let mut aggregates = Vec::new();
        Quantity::parse(&Catalog::extended(), text, &mut aggregates).map(|quantity| (quantity, aggregates))
    }

    fn group(aggregates: &[Aggregate], values: &[&[f64]]) -> Amounts {
        let mut group = Amounts::new(aggregates);
        for row in values {
            group.count += 1;
            group.all.iter_mut().zip(*row).for_each(|(amount, value)| amount.add(*value, None));
        }
        group
    }

    #[test]
    fn quantities_are_products_of_amounts() {
        for (text, want) in [
            ("count", 3.0),
            ("sum(tcp.rtt_us)", 60.0),
            ("max(rtt)", 30.0),
            ("min(rtt)", 10.0),
            ("mean(rtt)", 20.0),
            ("median(rtt)", 20.0),
            ("sum(rtt) / count", 20.0),
            ("count * 60 / seconds", 36.0),
            ("sum(rtt) / sum(rtt) * 2", 2.0),
        ] {
            let (quantity, aggregates) = parse(text).expect(text);
            let group = group(&aggregates, &[&[10.0, 10.0], &[30.0, 30.0], &[20.0, 20.0]]);
            assert_eq!(quantity.of(&group, Some(5.0)), Some(want), "{text}");
        }
    }

    #[test]
    fn of_nothing_there_is_no_quantity() {
        let (quantity, aggregates) = parse("sum(rtt) / sum(rto)").expect("it parses");
        assert_eq!(quantity.of(&group(&aggregates, &[&[1.0, 0.0]]), None), None, "divided by zero");
        assert_eq!(quantity.of(&group(&aggregates, &[]), None), None);
        let (quantity, aggregates) = parse("count / seconds").expect("it parses");
        assert_eq!(quantity.of(&group(&aggregates, &[&[]]), None), None, "no time passed");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, want) in [
            ("", "missing"),
            ("count /", "missing"),
            ("count count", "\"count\" is not expected"),
            ("most(rtt)", "none of value, sum, max"),
            ("sum(nothing.such)", "nothing.such"),
            ("sum(local.addr)", "not a number"),
            ("rtt", "AGGREGATE(FIELD)"),
        ] {
            let error = parse(text).map(|_| ()).expect_err(text);
            assert!(error.contains(want), "{text}: {error}");
        }
        for text in ["0.5", "> x", ">= inf", "="] {
            Bound::parse(text).map(|_| ()).expect_err(text);
        }
    }

    #[test]
    fn bounds_hold_on_their_side() {
        for (text, at, above, below) in [
            (">= 2", true, true, false),
            ("> 2", false, true, false),
            ("<= 2", true, false, true),
            ("<2", false, false, true),
        ] {
            let bound = Bound::parse(text).expect(text);
            assert_eq!((bound.holds(2.0), bound.holds(2.5), bound.holds(1.5)), (at, above, below), "{text}");
        }
    }
}
