//! Rows counted by what they have in common, with what their numbers come to.
//!
//! Memory holds one line for each group and none for a row; percentiles alone keep
//! a number for each row.  Groups are ordered by their counts, the largest first,
//! or by a column that was asked for; groups that are equal there are ordered by
//! name.
//!
//! What numbers come to follows from their field, and the header says it: amounts
//! add up (`sum(bytes_sent)`), of everything else the largest is shown
//! (`max(rtt)`), unless something else is asked for (`avg(rtt)`, `p95(rtt)`).

mod totals;

use std::collections::HashMap;
use std::io::{self, Write};
use std::ops::ControlFlow;

use serde::Serialize;
use serde::ser::SerializeMap as _;
use sockdiag::Sink;
use sockdiag::fields::Choice;
use sockdiag::model::Row;

use crate::json::{Json, Trailer};
use crate::sheet::{Shape, Sheet};
use totals::{Number, Sofar};
pub use totals::{Total, TotalError, totals};

/// What groups are made by, and what is made of their numbers.
pub struct Grouping {
    /// Rows that agree in all of these are a group.
    pub by: Vec<Choice>,
    /// What is made of the numbers of each group.
    pub totals: Vec<Total>,
    /// The column that groups are ordered by, and whether the largest is first.
    pub order: Option<(usize, bool)>,
    /// How many groups are shown.
    pub limit: Option<u64>,
}

impl Grouping {
    /// Names of the columns as people wrote them: the groups', `count`, the totals'.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let by = self.by.iter().map(|choice| choice.name().to_owned());
        by.chain(["count".to_owned()]).chain(self.totals.iter().map(Total::name))
    }

    /// The same with the full names of fields.
    pub fn full_names(&self) -> impl Iterator<Item = String> {
        let by = self.by.iter().map(Choice::full_name);
        by.chain(["count".to_owned()]).chain(self.totals.iter().map(Total::full_name))
    }

    /// The column that a name stands for: as it heads the column, in full, or the name
    /// of what is summed up.
    pub fn column(&self, name: &str) -> Option<usize> {
        let totals = self.by.len() + 1;
        self.names()
            .position(|known| known == name)
            .or_else(|| self.full_names().position(|known| known == name))
            .or_else(|| Some(totals + self.totals.iter().position(|total| total.choice().name() == name)?))
    }
}

/// A group: how many rows, and what their numbers come to so far.
#[derive(Clone, Debug)]
struct Group {
    count: u64,
    totals: Vec<Sofar>,
}

/// What a group is called: a cell for each choice.
type Name = Vec<Option<Box<[u8]>>>;

/// Where groups go.
enum Out<W: Write> {
    Sheet(Sheet<W>),
    Json(Box<Json<W>>),
}

/// A sink that counts rows, and lists the groups at the end.
pub struct Groups<W: Write> {
    grouping: Grouping,
    found: HashMap<Name, Group>,
    out: Out<W>,
}

impl<W: Write> Groups<W> {
    /// Groups without rows; writes the names of the columns if `header`.
    ///
    /// # Errors
    /// When writing to the output fails.
    pub fn new(mut grouping: Grouping, shape: Shape, header: bool, out: W) -> io::Result<Self> {
        let by = grouping.by.iter().map(Choice::is_number);
        let right = by.chain([true]).chain(grouping.totals.iter().map(|_| true)).collect();
        let mut sheet = Sheet::new(out, shape, right);
        let names: Vec<String> = match shape {
            Shape::Aligned => grouping.names().collect(),
            Shape::Csv | Shape::Tsv => grouping.full_names().collect(),
        };
        if header {
            sheet.line(names.iter().map(|name| Some(name.as_bytes())))?;
        }
        if shape == Shape::Aligned {
            grouping.by = grouping.by.into_iter().map(Choice::for_people).collect();
            grouping.totals = grouping.totals.into_iter().map(Total::for_people).collect();
        }
        Ok(Self { grouping, found: HashMap::new(), out: Out::Sheet(sheet) })
    }

    /// Groups without rows, to be listed in a document that has begun, or a line each.
    pub fn json(grouping: Grouping, json: Json<W>) -> Self {
        Self { grouping, found: HashMap::new(), out: Out::Json(Box::new(json)) }
    }

    /// Lists the groups; a document ends with the trailer.
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
        groups.sort_by(|(name, count, totals), (other_name, other_count, others)| {
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
                name.iter()
                    .map(|c| number_or_text(c.as_deref()))
                    .cmp(other_name.iter().map(|c| number_or_text(c.as_deref())))
            })
        });
        let limit = self.grouping.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        let groups = groups.iter().take(limit);
        match &mut self.out {
            Out::Sheet(sheet) => {
                for (name, count, totals) in groups {
                    let numbers = totals.iter().zip(&self.grouping.totals);
                    let numbers = numbers.map(|(number, total)| number.map(|number| total.text(number)));
                    let numbers: Vec<Option<Vec<u8>>> =
                        std::iter::once(Some(count.to_string().into_bytes())).chain(numbers).collect();
                    let numbers = numbers.iter().map(Option::as_deref);
                    sheet.line(name.iter().map(|cell| cell.as_deref()).chain(numbers))?;
                }
                sheet.finish()
            }
            Out::Json(json) => {
                let keys: Vec<String> = self.grouping.full_names().collect();
                let is_number: Vec<bool> = self.grouping.by.iter().map(Choice::is_number).collect();
                for (name, count, totals) in groups {
                    json.item(&Object { keys: &keys, is_number: &is_number, name, count: *count, totals })?;
                }
                json.end(trailer)
            }
        }
    }
}

/// A group as an object: `null` where its rows do not report something.
struct Object<'o> {
    keys: &'o [String],
    is_number: &'o [bool],
    name: &'o Name,
    count: u64,
    totals: &'o [Option<Number>],
}

impl Serialize for Object<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut keys = self.keys.iter();
        for ((cell, is_number), key) in self.name.iter().zip(self.is_number).zip(keys.by_ref()) {
            let text = cell.as_deref().map(String::from_utf8_lossy);
            match (&text, text.as_ref().filter(|_| *is_number).and_then(|text| Number::read(text))) {
                (_, Some(number)) => map.serialize_entry(key, &number)?,
                (text, None) => map.serialize_entry(key, text)?,
            }
            if let Some(bytes) = cell.as_deref().filter(|cell| std::str::from_utf8(cell).is_err()) {
                let hex = bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
                map.serialize_entry(&format!("{key}_hex"), &hex)?;
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

/// What a cell is ordered by: numbers come first, by value, then texts.
fn number_or_text(cell: Option<&[u8]>) -> (bool, Option<i128>, Option<&[u8]>) {
    let number = cell.and_then(|cell| std::str::from_utf8(cell).ok()?.parse().ok());
    (number.is_none(), number, cell)
}

fn cell(name: &Name, column: usize) -> (bool, Option<i128>, Option<&[u8]>) {
    number_or_text(name.get(column).and_then(|cell| cell.as_deref()))
}

impl<W: Write> Sink for Groups<W> {
    type Error = io::Error;

    fn row(&mut self, row: &Row<'_>) -> io::Result<ControlFlow<()>> {
        let name = self.grouping.by.iter().map(|choice| {
            let mut cell = Vec::new();
            choice.put(&mut cell, row).then(|| cell.into_boxed_slice())
        });
        let totals = &self.grouping.totals;
        let group = self
            .found
            .entry(name.collect())
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
