//! Counts rows that share values, with totals of their numbers.
//!
//! Memory grows with the number of groups, not of rows; only percentiles store a number for
//! each row.  Groups are sorted by count, the largest first, or by a requested column; ties
//! are sorted by name.
//!
//! The field determines the default function, and the header names it: amounts are summed
//! (`sum(bytes_sent)`), of other numbers the maximum is shown (`max(rtt)`), unless the user
//! requests another function (`avg(rtt)`, `p95(rtt)`).

mod totals;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::ops::ControlFlow;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;
use sockdiag::Sink;
use sockdiag::escape;
use sockdiag::fields::{Choice, Kind};
use sockdiag::model::Row;
use sockdiag::sort::sort_by;

use crate::Out;
use crate::json::{self, Json, Trailer, hex_key, truncated_key};
use crate::lead::Lead;
use crate::sheet::{Shape, Sheet};
use totals::{Number, Sofar};
pub use totals::{Total, TotalError, totals};

/// The fields to group by, and the totals of each group.
pub struct Grouping {
    /// Rows with equal values in all of these fields form a group.
    pub by: Vec<Choice>,
    /// The totals of each group.
    pub totals: Vec<Total>,
    /// The index of the sort column, and whether the order is descending.
    pub order: Option<(usize, bool)>,
    /// How many groups to show.
    pub limit: Option<u64>,
}

impl Grouping {
    /// Names of the columns as people wrote them: the groups', `count`, the totals'.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let by = self.by.iter().map(|choice| choice.name().to_owned());
        by.chain(["count".to_owned()]).chain(self.totals.iter().map(Total::name))
    }

    /// The column headers of text output: see [`Choice::heading`].
    fn headings(&self) -> impl Iterator<Item = String> {
        let by = self.by.iter().map(Choice::heading);
        by.chain(["count".to_owned()]).chain(self.totals.iter().map(Total::heading))
    }

    /// Like [`Self::names`], but with the full names of fields.
    pub fn full_names(&self) -> impl Iterator<Item = String> {
        let by = self.by.iter().map(Choice::full_name);
        by.chain(["count".to_owned()]).chain(self.totals.iter().map(Total::full_name))
    }

    /// The index of the column with this name: its header, its full name, or the name of the
    /// field that is totalled.
    pub fn column(&self, name: &str) -> Option<usize> {
        let totals = self.by.len() + 1;
        self.names()
            .position(|known| known == name)
            .or_else(|| self.full_names().position(|known| known == name))
            .or_else(|| Some(totals + self.totals.iter().position(|total| total.choice().name() == name)?))
    }
}

/// A group: the number of its rows and its running totals.
#[derive(Clone, Debug)]
struct Group {
    count: u64,
    totals: Vec<Sofar>,
}

/// The key of a group: each cell, preceded by its length.
///
/// It is a single allocation, since there may be a million groups.  A cell of more than
/// [`LONGEST`] bytes is cut and followed by hashes of the whole cell, so that cells with the
/// same beginning remain distinct.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Name(Box<[u8]>);

/// The number of characters of a cell that a group keeps.
const LONGEST: usize = 512;
/// The length of a cell without a value.
const ABSENT: u16 = u16::MAX;
/// Set in the length of a cell that was cut.
const IS_CUT: u16 = 1 << 15;
/// The number of hash bytes that follow a cut cell.
const HASHES: usize = 16;

impl Name {
    /// Builds the key from `cells`; each cell ends at the matching offset of `ends`.
    fn of(cells: &[u8], ends: &[Option<usize>]) -> Self {
        let mut name = Vec::with_capacity(cells.len() + 2 * ends.len());
        let mut from = 0;
        for end in ends {
            let Some(end) = *end else {
                name.extend_from_slice(&ABSENT.to_ne_bytes());
                continue;
            };
            let cell = cells.get(from..end).unwrap_or_default();
            from = end;
            let start = escape::shortened(cell, LONGEST);
            let kept = start.unwrap_or(cell);
            // A character has at most four bytes, so the length fits.
            let length = u16::try_from(kept.len()).unwrap_or(0);
            let flag = if start.is_some() { IS_CUT } else { 0 };
            name.extend_from_slice(&(length | flag).to_ne_bytes());
            name.extend_from_slice(kept);
            if start.is_some() {
                name.extend_from_slice(&escape::hashes(cell));
            }
        }
        Self(name.into())
    }

    /// The stored part of each cell, and whether it was cut.
    fn cells(&self) -> impl Iterator<Item = Option<(&[u8], bool)>> {
        let mut rest: &[u8] = &self.0;
        std::iter::from_fn(move || {
            let (length, behind) = rest.split_first_chunk()?;
            let length = u16::from_ne_bytes(*length);
            rest = behind;
            if length == ABSENT {
                return Some(None);
            }
            let is_cut = length & IS_CUT != 0;
            let (cell, behind) = rest.split_at_checked((length & !IS_CUT).into())?;
            rest = behind.get(if is_cut { HASHES } else { 0 }..)?;
            Some(Some((cell, is_cut)))
        })
    }

    /// The cells as printed: a cut cell ends in the mark of truncation.
    fn shown(&self) -> Vec<Option<Cow<'_, [u8]>>> {
        let shown = |(cell, is_cut)| {
            if is_cut { Cow::Owned([cell, escape::CUT.as_bytes()].concat()) } else { Cow::Borrowed(cell) }
        };
        self.cells().map(|cell| cell.map(shown)).collect()
    }
}

/// The output of groups.
enum Listed<'w> {
    Sheet(Box<Sheet<'w>>),
    Json(Box<Json<'w>>),
}

/// A sink that counts rows, and lists the groups at the end.
pub struct Groups<'w> {
    grouping: Grouping,
    found: HashMap<Name, Group>,
    out: Listed<'w>,
    /// The cells of the current row, and the offset where each ends.
    cells: Vec<u8>,
    ends: Vec<Option<usize>>,
}

impl<'w> Groups<'w> {
    /// Groups without rows; writes the names of the columns if `header`.
    ///
    /// # Errors
    /// When writing to the output fails.
    pub fn new(grouping: Grouping, shape: Shape, header: bool, out: Out<'w>) -> io::Result<Self> {
        Self::led(grouping, shape, header, &Lead::default(), out)
    }

    /// Like [`Self::new`], but each CSV or TSV line begins with the cells of `lead`.
    ///
    /// # Errors
    /// When writing to the output fails.
    pub fn led(
        mut grouping: Grouping,
        shape: Shape,
        header: bool,
        lead: &Lead,
        out: Out<'w>,
    ) -> io::Result<Self> {
        let by = grouping.by.iter().map(Choice::is_number);
        let right = by.chain([true]).chain(grouping.totals.iter().map(|_| true)).collect();
        let mut sheet = Sheet::new(out, shape, right);
        if shape == Shape::Aligned {
            grouping.by = grouping.by.into_iter().map(Choice::for_people).collect();
            grouping.totals = grouping.totals.into_iter().map(Total::for_people).collect();
        }
        let names: Vec<String> = match shape {
            Shape::Aligned => grouping.headings().collect(),
            Shape::Csv | Shape::Tsv => grouping.full_names().collect(),
        };
        sheet.lead(lead.names());
        if header {
            sheet.line(names.iter().map(|name| Some(name.as_bytes())))?;
        }
        sheet.lead(lead.values());
        Ok(Self {
            grouping,
            found: HashMap::new(),
            out: Listed::Sheet(Box::new(sheet)),
            cells: Vec::new(),
            ends: Vec::new(),
        })
    }

    /// An empty set of groups, written later into an open JSON document or as JSON lines.
    pub fn json(grouping: Grouping, json: Json<'w>) -> Self {
        let out = Listed::Json(Box::new(json));
        Self { grouping, found: HashMap::new(), out, cells: Vec::new(), ends: Vec::new() }
    }

    /// Prints the groups; a JSON document ends with the trailer.
    ///
    /// # Errors
    /// When writing to the output fails.
    pub fn end(&mut self, trailer: &Trailer) -> io::Result<()> {
        let mut groups: Vec<(Name, Group)> = self.found.drain().collect();
        let by = self.grouping.by.len();
        let (column, down) = self.grouping.order.unwrap_or((by, true));
        let mut groups: Vec<(Name, u64, Vec<Option<Number>>)> = groups
            .drain(..)
            .map(|(name, group)| (name, group.count, group.totals.into_iter().map(Sofar::end).collect()))
            .collect();
        sort_by(&mut groups, &mut |(name, count, totals), (other_name, other_count, others)| {
            let order = match column.checked_sub(by) {
                None => cell(name, column).cmp(&cell(other_name, column)),
                Some(0) => count.cmp(other_count),
                Some(total) => {
                    let total = |totals: &[Option<Number>]| totals.get(total - 1).copied().flatten();
                    match (total(totals), total(others)) {
                        (Some(a), Some(b)) => a.order(b),
                        (a, b) => a.is_some().cmp(&b.is_some()),
                    }
                }
            };
            let order = if down { order.reverse() } else { order };
            order.then_with(|| {
                let (ours, others) =
                    (name.cells().map(number_or_text), other_name.cells().map(number_or_text));
                ours.cmp(others).then_with(|| name.0.cmp(&other_name.0))
            })
        });
        let limit = self.grouping.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        let groups = groups.iter().take(limit);
        match &mut self.out {
            Listed::Sheet(sheet) => {
                for (name, count, totals) in groups {
                    let numbers = totals.iter().zip(&self.grouping.totals);
                    let numbers = numbers.map(|(number, total)| number.map(|number| total.text(number)));
                    let numbers: Vec<Option<Vec<u8>>> =
                        std::iter::once(Some(count.to_string().into_bytes())).chain(numbers).collect();
                    let numbers = numbers.iter().map(Option::as_deref);
                    let name = name.shown();
                    sheet.line(name.iter().map(|cell| cell.as_deref()).chain(numbers))?;
                }
                sheet.finish()
            }
            Listed::Json(json) => {
                let keys: Vec<String> = self.grouping.full_names().collect();
                for (name, count, totals) in groups {
                    let name = &name.shown();
                    json.item(&Object { keys: &keys, by: &self.grouping.by, name, count: *count, totals })?;
                }
                json.end(trailer)
            }
        }
    }
}

/// Serializes the cells of a row as a JSON object, each converted back to its value and `null`
/// if absent.  Strings hold no character that could control a terminal.  The line has no newline.
pub fn object(keys: &[String], choices: &[Choice], cells: &[Option<Cow<'_, [u8]>>]) -> Vec<u8> {
    let mut line = Vec::new();
    // Writing to memory does not fail.
    let _ = json::put(&mut line, &Cells { keys, choices, row: cells });
    line
}

/// The cells of a row, with their keys and the columns they come from.
struct Cells<'c> {
    keys: &'c [String],
    choices: &'c [Choice],
    row: &'c [Option<Cow<'c, [u8]>>],
}

impl Serialize for Cells<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for ((cell, choice), key) in self.row.iter().zip(self.choices).zip(self.keys) {
            match cell {
                Some(cell) => Texts::of(cell, choice).put(&mut map, key)?,
                None => map.serialize_entry(key, &())?,
            }
        }
        map.end()
    }
}

/// A group as a JSON object, with `null` for values that its rows do not report.
struct Object<'o> {
    keys: &'o [String],
    by: &'o [Choice],
    name: &'o [Option<Cow<'o, [u8]>>],
    count: u64,
    totals: &'o [Option<Number>],
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut keys = self.keys.iter();
        for ((cell, choice), key) in self.name.iter().zip(self.by).zip(keys.by_ref()) {
            match cell {
                Some(cell) => Texts::of(cell, choice).put(&mut map, key)?,
                None => map.serialize_entry(key, &())?,
            }
        }
        if let Some(key) = keys.next() {
            map.serialize_entry(key, &self.count)?;
        }
        for (number, key) in self.totals.iter().zip(keys) {
            map.serialize_entry(key, number)?;
        }
        map.end()
    }
}

/// A cell converted back to its value: a number, a text, or a list of either, together with
/// the `_hex` and `_truncated` members that JSON adds to text.
#[derive(Default)]
struct Texts {
    /// The bytes of each text in hexadecimal; empty for other values.
    hex: Vec<Value>,
    is_odd: bool,
    is_cut: bool,
    value: Value,
}

impl Texts {
    fn of(cell: &[u8], choice: &Choice) -> Self {
        let named = choice.named();
        let kind = named.kind();
        let mut all = Self::default();
        if named.member.is_none() && !kind.is_list() {
            all.value = all.scalar(cell, kind);
            return all;
        }
        // A command line as a member of a list is itself a list, of arguments.
        let is_line = named.member.is_some() && kind == Kind::Texts;
        let mut values = Vec::new();
        for part in escape::parts(cell, b',') {
            values.push(if is_line {
                let before = all.hex.len();
                let words: Vec<Value> =
                    escape::parts(part, b' ').map(|word| all.scalar(word, Kind::Text)).collect();
                let hex = all.hex.split_off(before);
                all.hex.push(Value::from(hex));
                Value::from(words)
            } else {
                all.scalar(part, kind)
            });
        }
        all.value = Value::from(values);
        all
    }

    /// Parses a number or a text that contains no list separators.
    fn scalar(&mut self, text: &[u8], kind: Kind) -> Value {
        // An unescaped mark of truncation can only be the end of a cut text.
        let whole = text.strip_suffix(escape::CUT.as_bytes());
        self.is_cut |= whole.is_some();
        let text = whole.unwrap_or(text);
        let number = || Number::read(std::str::from_utf8(text).ok()?).filter(|_| kind.is_number());
        match (kind, number()) {
            (_, Some(number)) => serde_json::to_value(number).unwrap_or_default(),
            (Kind::Bool, None) => Value::from(text == b"true"),
            _ => {
                let bytes = escape::unescaped(text).unwrap_or_else(|| text.to_vec());
                self.is_odd |= std::str::from_utf8(&bytes).is_err();
                self.hex.push(Value::from(hex(&bytes)));
                Value::from(String::from_utf8_lossy(&bytes))
            }
        }
    }

    fn put<M: SerializeMap>(mut self, map: &mut M, key: &str) -> Result<(), M::Error> {
        map.serialize_entry(key, &self.value)?;
        if self.is_odd {
            let hex = match &self.value {
                Value::Array(_) => Value::from(self.hex),
                _ => self.hex.pop().unwrap_or_default(),
            };
            map.serialize_entry(&hex_key(key), &hex)?;
        }
        if self.is_cut { map.serialize_entry(&truncated_key(key), &true) } else { Ok(()) }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut digits, byte| {
        // Writing to memory does not fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

/// The sort key of a cell: numbers come first, by value, then texts.
fn number_or_text(cell: Option<(&[u8], bool)>) -> (bool, Option<i128>, Option<&[u8]>) {
    let cell = cell.map(|(cell, _)| cell);
    let number = cell.and_then(|cell| std::str::from_utf8(cell).ok()?.parse().ok());
    (number.is_none(), number, cell)
}

fn cell(name: &Name, column: usize) -> (bool, Option<i128>, Option<&[u8]>) {
    number_or_text(name.cells().nth(column).flatten())
}

impl Sink for Groups<'_> {
    type Error = io::Error;

    fn row(&mut self, row: &Row<'_>) -> io::Result<ControlFlow<()>> {
        self.cells.clear();
        self.ends.clear();
        Choice::put_distinct(&self.grouping.by, &mut self.cells, &mut self.ends, row);
        let totals = &self.grouping.totals;
        let group = self
            .found
            .entry(Name::of(&self.cells, &self.ends))
            .or_insert_with(|| Group { count: 0, totals: totals.iter().map(Total::begin).collect() });
        group.count += 1;
        for (so_far, total) in group.totals.iter_mut().zip(totals) {
            if let Some(number) = total.number(row) {
                so_far.add(number);
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

#[cfg(test)]
mod tests {
    use sockdiag::fields::Catalog;
    use sockdiag::model::TableSet;

    use super::*;

    #[test]
    fn cells_cannot_control_a_terminal() {
        let choices = Choice::list(&Catalog::standard(), "unix.name", TableSet::ALL).expect("a field");
        let cell = Some(Cow::Borrowed("a\u{9b}2J\u{202e}é".as_bytes()));
        let line = String::from_utf8(object(&["name".to_owned()], &choices, &[cell])).expect("JSON");
        assert_eq!(line, "{\"name\":\"a\\u009b2J\\u202eé\"}");
    }

    #[test]
    fn names_of_groups_are_bounded_and_stay_apart() {
        let long = "é".repeat(100_000);
        let name = |cells: &[Option<&str>]| {
            let (mut bytes, mut ends) = (Vec::new(), Vec::new());
            for cell in cells {
                bytes.extend_from_slice(cell.unwrap_or_default().as_bytes());
                ends.push(cell.map(|_| bytes.len()));
            }
            Name::of(&bytes, &ends)
        };
        let shown = |name: &Name| -> Vec<Option<String>> {
            let text = |cell: Cow<'_, [u8]>| String::from_utf8(cell.into_owned()).expect("cells are UTF-8");
            name.shown().into_iter().map(|cell| cell.map(text)).collect()
        };
        let short = name(&[Some("a"), None, Some("")]);
        assert_eq!(shown(&short), [Some("a".to_owned()), None, Some(String::new())]);
        let (one, other) = (name(&[Some(&long), Some("x")]), name(&[Some(&format!("{long}!")), Some("x")]));
        assert_ne!(one, other, "they differ behind the cut");
        let cut = [Some(format!("{}…", "é".repeat(LONGEST - 1))), Some("x".to_owned())];
        assert_eq!((shown(&one), shown(&other)), (cut.to_vec(), cut.to_vec()));
        assert!(one.0.len() < 2 * LONGEST + 64);
        assert_eq!(one, name(&[Some(&long), Some("x")]));
    }
}
