//! `FIELD OP VALUE`: compares a field of a row with a wanted value.
//!
//! [`super::kinds`] parses the value; this file only compares it.
//!
//! A row that does not report the field fails every comparison, including `!=`, so `not FIELD
//! = VALUE` holds for it.  A number by which the source says "none" or "no limit" counts as
//! not reported, unless the filter asks for it.  For a list, `=` and the orders hold if they
//! hold for any element; `!=` holds if the list has elements and none is equal.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "amounts are compared as ratios where they were typed as such; each cast is meant"
)]

use std::cmp::Ordering;
use std::fmt;

use super::expr::Comparison;
use super::host::Prefix;
use super::pattern::{self, Case};
use crate::escape::{self, Budget};
use crate::fields::{Choice, Item, Kind, List, Needs, Reading, Value};
use crate::model::{Addr, Row};

/// A value that a field is compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// Any reported value (`*`).
    Anything,
    /// The number by which the source says "none".
    None,
    /// The number by which the source says "no limit".
    Unlimited,
    /// This whole number.
    Whole(i128),
    /// An amount as precise as it was typed: it equals all values within `slack` of it.
    Amount {
        /// In the field's own unit.
        amount: f64,
        /// Half a unit of the last digit typed.
        slack: f64,
    },
    /// Any of these bits.
    Bits(u64),
    /// This text.
    Text(Vec<u8>),
    /// This text, regardless of case.
    Folded(Vec<u8>),
    /// A text that matches this pattern, or that equals what was typed.
    Pattern {
        /// As typed.
        text: Vec<u8>,
        /// The pattern, in which backslashes precede all literal characters.
        pattern: Vec<u8>,
        /// Whether case is ignored.
        folded: bool,
    },
    /// A network or a single address.  A v4-mapped address counts as its IPv4 address.
    Addr {
        /// The network.
        prefix: Prefix,
        /// The interface that the socket is bound to.
        zone: Option<u32>,
    },
    /// An address that is a number, as netlink and packet sockets have.
    Number(u32),
    /// The value of another field.  The two factors convert both values to a common unit.
    Field(Box<Choice>, i64, i64),
}

/// `NAME OP VALUE`: a field compared with wanted values.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldTest {
    field: Choice,
    needs: Needs,
    comparison: Comparison,
    wanted: Vec<Wanted>,
    /// Whether the length of the list is compared.
    counts: bool,
    /// The value as it is written in a filter.
    typed: Vec<u8>,
}

impl FieldTest {
    /// A comparison with any of these values; an order uses the first one.
    pub(super) fn new(field: Choice, comparison: Comparison, wanted: Vec<Wanted>, typed: Vec<u8>) -> Self {
        let needs = wanted.iter().fold(field.needs(), |needs, wanted| match wanted {
            Wanted::Field(other, ..) => needs.union(other.needs()),
            _ => needs,
        });
        Self { field, needs, comparison, wanted, counts: false, typed }
    }

    /// A comparison with a whole number.
    pub fn with_number(field: Choice, comparison: Comparison, number: i128) -> Self {
        Self::new(field, comparison, vec![Wanted::Whole(number)], number.to_string().into_bytes())
    }

    /// Compares the length of the list instead.
    pub(super) fn counting(mut self) -> Self {
        self.counts = true;
        self
    }

    /// Whether the length of the list is compared.
    pub(super) fn is_counting(&self) -> bool {
        self.counts
    }

    /// The field.
    pub fn field(&self) -> &Choice {
        &self.field
    }

    /// The comparison operator.
    pub fn comparison(&self) -> Comparison {
        self.comparison
    }

    /// The wanted values; never empty.
    pub fn wanted(&self) -> &[Wanted] {
        &self.wanted
    }

    /// The value as it is written in a filter.
    pub fn typed(&self) -> &[u8] {
        &self.typed
    }

    /// What has to be requested so that rows contain the field.
    pub fn needs(&self) -> Needs {
        self.needs
    }

    pub(super) fn holds(&self, row: &Row<'_>) -> bool {
        let special = |special: &Wanted| match self.comparison {
            Comparison::Eq => self.wanted.contains(special),
            _ => false,
        };
        let is_order = !matches!(self.comparison, Comparison::Eq | Comparison::Ne);
        match self.field.read(row) {
            Reading::Absent => false,
            // If the number for "none" is 0, rows print it as 0, so it is compared as 0; but
            // an unmeasured time is not short.
            Reading::None if self.field.none_is_zero(row) => {
                !(is_order && self.field.unit().is_time()) && self.one_holds(Value::U64(0), row)
            }
            Reading::None => special(&Wanted::None),
            // Also if the number for "no limit" is 0; but "no limit" is neither low nor high.
            Reading::Unlimited if self.field.unlimited_is_zero(row) => {
                !is_order && self.one_holds(Value::U64(0), row)
            }
            Reading::Unlimited => special(&Wanted::Unlimited),
            Reading::Value(Value::List(list)) => self.list_holds(list, row),
            Reading::Value(value) => self.one_holds(value, row),
        }
    }

    fn list_holds(&self, list: List<'_>, row: &Row<'_>) -> bool {
        if self.counts {
            return self.one_holds(Value::U64(list.len()), row);
        }
        // `!=` holds if the list has elements and none of them is equal.
        let none = self.comparison == Comparison::Ne;
        let member = self.field.named().member;
        let (mut some, mut found) = (false, false);
        list.each(&mut |item| {
            let short;
            let value = match (item, member) {
                (Item::Value(value), _) => Some(value),
                (Item::Record(values), Some(member)) => values.get(member).copied().flatten(),
                (Item::Record(values), None) => {
                    let mut cell = Vec::new();
                    self.field.put_record(&mut cell, values, &mut Budget::new(escape::LONGEST));
                    short = escape::unescaped(&cell).unwrap_or(cell);
                    Some(Value::Text(&short))
                }
            };
            if let Some(value) = value {
                some = true;
                found |= match value {
                    Value::List(words) => self.words_hold(words),
                    value if none => !self.one_holds(value, row),
                    value => self.one_holds(value, row),
                };
            }
        });
        if none { some && !found } else { found }
    }

    /// Whether a command line matches as a whole or in one of its words.
    fn words_hold(&self, words: List<'_>) -> bool {
        let matches = |text: &[u8]| self.wanted.iter().any(|wanted| wanted.is_text(text));
        let mut line = Vec::new();
        let (mut found, mut left) = (false, words.len());
        // A NUL after text that was cut prevents equality with the cut text, while prefix
        // patterns still match.
        let cut = words.is_cut();
        words.each(&mut |item| {
            left = left.saturating_sub(1);
            if let Item::Value(Value::Text(word)) = item {
                let start = line.len();
                line.extend_from_slice(word);
                if cut && left == 0 {
                    line.push(0);
                }
                found |= matches(line.get(start..).unwrap_or_default());
                line.push(b' ');
            }
        });
        line.pop();
        found || matches(&line)
    }

    fn one_holds(&self, value: Value<'_>, row: &Row<'_>) -> bool {
        match self.wanted.as_slice() {
            [Wanted::Field(other, own, others)] => self.against(value, other, (*own, *others), row),
            wanted => match self.comparison {
                Comparison::Eq => wanted.iter().any(|wanted| wanted.equals(value, row)),
                Comparison::Ne => !wanted.iter().any(|wanted| wanted.equals(value, row)),
                order => wanted.first().and_then(|w| w.order(value)).is_some_and(|found| order.holds(found)),
            },
        }
    }

    /// Whether the comparison holds between this value and that of another field.
    fn against(&self, value: Value<'_>, other: &Choice, factors: (i64, i64), row: &Row<'_>) -> bool {
        let Reading::Value(theirs) = other.read(row) else { return false };
        let (mut some, mut equal, mut holds) = (false, false, false);
        let mut compare = |theirs: Value<'_>| {
            if let Some(order) = order_of(value, theirs, factors) {
                some = true;
                equal |= order.is_eq();
                holds |= self.comparison.holds(order);
            }
        };
        match (theirs, other.named().member) {
            (Value::List(list), member) => list.each(&mut |item| match (item, member) {
                (Item::Value(value), _) => compare(value),
                (Item::Record(values), Some(member)) => {
                    values.get(member).copied().flatten().into_iter().for_each(&mut compare);
                }
                (Item::Record(_), None) => {}
            }),
            (value, _) => compare(value),
        }
        if self.comparison == Comparison::Ne { some && !equal } else { holds }
    }
}

/// The order of two values, each multiplied by its factor; for addresses, any order that
/// differs from equal.
fn order_of(a: Value<'_>, b: Value<'_>, (of_a, of_b): (i64, i64)) -> Option<Ordering> {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        (Value::Addr(a), Value::Addr(b)) => (a.one_host() == b.one_host()).then_some(Ordering::Equal).or(
            // Addresses have no order, but they can differ.
            Some(Ordering::Less),
        ),
        (Value::F64(_), _) | (_, Value::F64(_)) => {
            let ratio = |value: Value<'_>, factor: i64| {
                let ratio = match value {
                    Value::F64(ratio) => Some(ratio),
                    value => value.as_i128().map(|number| number as f64),
                };
                ratio.map(|ratio| ratio * factor as f64)
            };
            ratio(a, of_a)?.partial_cmp(&ratio(b, of_b)?)
        }
        _ => Some((a.as_i128()? * i128::from(of_a)).cmp(&(b.as_i128()? * i128::from(of_b)))),
    }
}

impl Wanted {
    /// Whether a value equals this wanted value.
    fn equals(&self, value: Value<'_>, row: &Row<'_>) -> bool {
        match (self, value) {
            (Self::Anything, _) => true,
            (Self::Whole(wanted), Value::F64(ratio)) => {
                ratio.partial_cmp(&(*wanted as f64)) == Some(Ordering::Equal)
            }
            (Self::Whole(wanted), value) => value.as_i128() == Some(*wanted),
            (Self::Amount { amount, slack }, value) => {
                let value = match value {
                    Value::F64(ratio) => Some(ratio),
                    value => value.as_i128().map(|number| number as f64),
                };
                value.is_some_and(|value| (value - amount).abs() <= *slack)
            }
            (Self::Bits(bits), Value::U64(value)) => value & bits != 0,
            (Self::Addr { prefix, zone }, Value::Addr(addr)) => {
                zone.is_none_or(|zone| zone == row.socket.ifindex) && prefix.is_of(addr.one_host())
            }
            (Self::Number(wanted), Value::Addr(addr)) => addr == Addr::Number(*wanted),
            (wanted, Value::Text(text)) => wanted.is_text(text),
            (wanted, Value::Marked(..)) => wanted.is_name(&value.text().unwrap_or_default()),
            _ => false,
        }
    }

    fn is_text(&self, text: &[u8]) -> bool {
        match self {
            Self::Anything => true,
            Self::Text(wanted) => wanted == text,
            Self::Folded(wanted) => Case::Folded.is_same(wanted, text),
            Self::Pattern { text: typed, pattern, folded } => {
                let case = if *folded { Case::Folded } else { Case::Kept };
                case.is_same(typed, text) || pattern::matches_in(pattern, text, case)
            }
            _ => false,
        }
    }

    /// Like [`Self::is_text`], for an abstract name: `ss` shows its NULs as `@`.
    fn is_name(&self, text: &[u8]) -> bool {
        let shown = || text.iter().map(|byte| if *byte == 0 { b'@' } else { *byte }).collect::<Vec<u8>>();
        self.is_text(text) || self.is_text(&shown())
    }

    /// The order of a value relative to this wanted value, if there is one.
    fn order(&self, value: Value<'_>) -> Option<Ordering> {
        match (self, value) {
            (Self::Whole(wanted), Value::F64(ratio)) => ratio.partial_cmp(&(*wanted as f64)),
            (Self::Whole(wanted), value) => Some(value.as_i128()?.cmp(wanted)),
            (Self::Amount { amount, .. }, Value::F64(ratio)) => ratio.partial_cmp(amount),
            (Self::Amount { amount, .. }, value) => (value.as_i128()? as f64).partial_cmp(amount),
            _ => None,
        }
    }
}

impl Prefix {
    /// Whether an address has the family of this network and belongs to it.
    fn is_of(self, addr: Addr) -> bool {
        let same = |rule: &[u8], octets: &[u8], len: u8| {
            rule.iter().zip(octets).enumerate().all(|(at, (a, b))| {
                let bits = usize::from(len).saturating_sub(at * 8).min(8);
                (a ^ b) & !(0xff_u16 >> bits) as u8 == 0
            })
        };
        match (self, addr) {
            (Self::Any, _) => true,
            (Self::V4(rule, len), Addr::V4(octets)) => same(&rule, &octets, len),
            (Self::V6(rule, len), Addr::V6(octets)) => same(&rule, &octets, len),
            _ => false,
        }
    }
}

/// Prints a condition that parses back to the same condition.
impl fmt::Display for FieldTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self.field.named();
        f.write_str(named.field.name)?;
        if let Some(member) = named.member.and_then(|at| named.field.kind.members().get(at)) {
            write!(f, ".{}", member.name)?;
        }
        write!(f, " {} {}", self.comparison.symbol(), String::from_utf8_lossy(&self.typed))
    }
}

/// Whether this comparison with a value applies to the length of a list of this kind rather
/// than to its elements.
pub(super) fn counts(kind: Kind, comparison: Comparison, is_number: bool) -> bool {
    let order = !matches!(comparison, Comparison::Eq | Comparison::Ne);
    match kind {
        Kind::Records(_) | Kind::Addrs => is_number,
        Kind::Integers(_) | Kind::Texts => order,
        _ => false,
    }
}
