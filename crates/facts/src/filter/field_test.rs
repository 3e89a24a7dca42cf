//! `FIELD OP VALUE`: how a field of a row is compared with what was asked for.
//!
//! What a value means is found out when it is read ([`super::kinds`]); here it is
//! only compared.
//!
//! A row that does not report the field fails every comparison, `!=` included;
//! `not FIELD = VALUE` holds for it.  The number by which a source says that there
//! is none, or no limit, counts as not reported unless it is asked for itself.  Of
//! a list `=` and the orders hold if they do for any element, `!=` if there are
//! elements and none is equal.

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

/// What a field is compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// Whatever is reported (`*`).
    Anything,
    /// The source's way to say that there is none.
    None,
    /// The source's way to say that there is no limit.
    Unlimited,
    /// This whole number.
    Whole(i128),
    /// An amount as exact as it was typed: equal to what lies within `slack` of it.
    Amount {
        /// In the field's own unit.
        amount: f64,
        /// Half of what its last digit counts.
        slack: f64,
    },
    /// Any of these bits.
    Bits(u64),
    /// This text.
    Text(Vec<u8>),
    /// Text of which the case does not matter.
    Folded(Vec<u8>),
    /// A text that matches a pattern, or is just what was typed.
    Pattern {
        /// As typed.
        text: Vec<u8>,
        /// With backslashes before what is no part of the pattern.
        pattern: Vec<u8>,
        /// Whether the case of letters does not matter.
        folded: bool,
    },
    /// An address of a network, or a single one.  A v4-mapped one is the IPv4
    /// address that it holds.
    Addr {
        /// Which.
        prefix: Prefix,
        /// The interface that the socket is bound to.
        zone: Option<u32>,
    },
    /// An address that is a number.
    Number(u32),
    /// What another field reports, both multiplied to be of one unit.
    Field(Box<Choice>, i64, i64),
}

/// `NAME OP VALUE`: a field compared with what was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldTest {
    field: Choice,
    needs: Needs,
    comparison: Comparison,
    wanted: Vec<Wanted>,
    /// Whether the length of its list is compared.
    counts: bool,
    /// The value as it is written.
    typed: Vec<u8>,
}

impl FieldTest {
    /// A comparison with any of these; of an order, with the first.
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

    /// Has the length of a list compared.
    pub(super) fn counting(mut self) -> Self {
        self.counts = true;
        self
    }

    /// Whether the length of a list is compared.
    pub(super) fn is_counting(&self) -> bool {
        self.counts
    }

    /// What is compared.
    pub fn field(&self) -> &Choice {
        &self.field
    }

    /// How.
    pub fn comparison(&self) -> Comparison {
        self.comparison
    }

    /// With what: never nothing.
    pub fn wanted(&self) -> &[Wanted] {
        &self.wanted
    }

    /// The same as it is written in a filter.
    pub fn typed(&self) -> &[u8] {
        &self.typed
    }

    /// What has to be asked for so that it is there.
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
            // A zero is shown as one, but a time that was not measured is not short.
            Reading::None if self.field.none_is_zero(row) => {
                !(is_order && self.field.unit().is_time()) && self.one_holds(Value::U64(0), row)
            }
            Reading::None => special(&Wanted::None),
            // A zero is shown as one, but what has no limit is neither low nor high.
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
        // No element may be equal, and there have to be some.
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

    /// Whether a command line is equal, as a whole or in one of its words.
    fn words_hold(&self, words: List<'_>) -> bool {
        let matches = |text: &[u8]| self.wanted.iter().any(|wanted| wanted.is_text(text));
        let mut line = Vec::new();
        let (mut found, mut left) = (false, words.len());
        // What was cut goes on with what nobody types, so that it is equal to nothing and
        // begins with what is there.
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

    /// Whether it holds against what another field reports.
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

/// The order of two values, each multiplied by its factor.
fn order_of(a: Value<'_>, b: Value<'_>, (of_a, of_b): (i64, i64)) -> Option<Ordering> {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        (Value::Addr(a), Value::Addr(b)) => (a.one_host() == b.one_host()).then_some(Ordering::Equal).or(
            // There is no order, but a difference.
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
    /// Whether a value is equal to it.
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

    /// The same of an abstract name, in which `ss` shows a NUL as `@`.
    fn is_name(&self, text: &[u8]) -> bool {
        let shown = || text.iter().map(|byte| if *byte == 0 { b'@' } else { *byte }).collect::<Vec<u8>>();
        self.is_text(text) || self.is_text(&shown())
    }

    /// How a value stands to it, where there is an order.
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
    /// Whether an address is of this network, and of its family.
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

/// Prints a condition that parses back to the same.
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

/// Whether the elements of a list of this kind are compared, with this comparison
/// and a number: its length is where an order is asked for.
pub(super) fn counts(kind: Kind, comparison: Comparison, is_number: bool) -> bool {
    let order = !matches!(comparison, Comparison::Eq | Comparison::Ne);
    match kind {
        Kind::Records(_) | Kind::Addrs => is_number,
        Kind::Integers(_) | Kind::Texts => order,
        _ => false,
    }
}
