//! Rows counted by what they have in common, with sums.
//!
//! Memory holds one line for each group and none for a row.  Groups are ordered
//! by their counts, the largest first, or by a column that was asked for; groups
//! that are equal there are ordered by name.

#![allow(clippy::cast_precision_loss, reason = "kernel integers are narrow; each cast is meant")]

use std::cmp::Ordering;
use std::collections::HashMap;
use std::io::{self, Write};
use std::ops::ControlFlow;

use sockdiag::Sink;
use sockdiag::fields::{Choice, Kind};
use sockdiag::model::Row;

use crate::sheet::{Shape, Sheet};

/// What groups are made by, and what they are summed over.
pub struct Grouping {
    /// Rows that agree in all of these are a group.
    pub by: Vec<Choice>,
    /// Numbers that are added up.
    pub sums: Vec<Choice>,
    /// The column that groups are ordered by, and whether the largest is first.
    pub order: Option<(usize, bool)>,
    /// How many groups are shown.
    pub limit: Option<u64>,
}

impl Grouping {
    /// Names of the columns: the groups', `count`, the sums'.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let by = self.by.iter().map(Choice::name);
        by.chain(["count"]).chain(self.sums.iter().map(Choice::name))
    }
}

/// A group: how many rows, and the sums.
#[derive(Clone, Debug)]
struct Group {
    count: u64,
    sums: Vec<Option<Sum>>,
}

/// A sum of whole numbers, or of ratios.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sum {
    Whole(i128),
    Ratio(f64),
}

impl Sum {
    fn add(self, number: Self) -> Self {
        match (self, number) {
            (Self::Whole(a), Self::Whole(b)) => Self::Whole(a.saturating_add(b)),
            (Self::Ratio(a), Self::Ratio(b)) => Self::Ratio(a + b),
            (Self::Whole(a), Self::Ratio(b)) | (Self::Ratio(b), Self::Whole(a)) => Self::Ratio(a as f64 + b),
        }
    }

    fn order(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => a.cmp(&b),
            (a, b) => a.ratio().total_cmp(&b.ratio()),
        }
    }

    fn ratio(self) -> f64 {
        match self {
            Self::Whole(whole) => whole as f64,
            Self::Ratio(ratio) => ratio,
        }
    }

    fn text(self) -> String {
        match self {
            Self::Whole(whole) => whole.to_string(),
            Self::Ratio(ratio) => ratio.to_string(),
        }
    }
}

/// What a group is called: a cell for each choice.
type Name = Vec<Option<Box<[u8]>>>;

/// A sink that counts rows, and lists the groups at the end.
pub struct Groups<W: Write> {
    grouping: Grouping,
    found: HashMap<Name, Group>,
    sheet: Sheet<W>,
}

impl<W: Write> Groups<W> {
    /// Groups without rows; writes the names of the columns if `header`.
    ///
    /// # Errors
    /// When writing to the output fails.
    pub fn new(grouping: Grouping, shape: Shape, header: bool, out: W) -> io::Result<Self> {
        let by = grouping.by.iter().map(Choice::is_number);
        let right = by.chain([true]).chain(grouping.sums.iter().map(|_| true)).collect();
        let mut sheet = Sheet::new(out, shape, right);
        if header {
            sheet.line(grouping.names().map(|name| Some(name.as_bytes())))?;
        }
        Ok(Self { grouping, found: HashMap::new(), sheet })
    }

    /// Lists the groups.
    ///
    /// # Errors
    /// When writing to the output fails.
    pub fn end(&mut self) -> io::Result<()> {
        let mut groups: Vec<(Name, Group)> = self.found.drain().collect();
        let by = self.grouping.by.len();
        let (column, down) = self.grouping.order.unwrap_or((by, true));
        groups.sort_by(|(name, group), (other_name, other)| {
            let order = match column.checked_sub(by) {
                None => cell(name, column).cmp(&cell(other_name, column)),
                Some(0) => group.count.cmp(&other.count),
                Some(sum) => {
                    let sum = |group: &Group| group.sums.get(sum - 1).copied().flatten();
                    match (sum(group), sum(other)) {
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
        for (name, group) in groups.iter().take(limit) {
            let numbers: Vec<Option<String>> = std::iter::once(Some(group.count.to_string()))
                .chain(group.sums.iter().map(|sum| sum.map(Sum::text)))
                .collect();
            let numbers = numbers.iter().map(|number| number.as_deref().map(str::as_bytes));
            self.sheet.line(name.iter().map(|cell| cell.as_deref()).chain(numbers))?;
        }
        self.sheet.finish()
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
        let sums = &self.grouping.sums;
        let group = self
            .found
            .entry(name.collect())
            .or_insert_with(|| Group { count: 0, sums: vec![None; sums.len()] });
        group.count += 1;
        for (sum, choice) in group.sums.iter_mut().zip(sums) {
            let number = if choice.named().kind() == Kind::Ratio {
                choice.ratio(row).map(Sum::Ratio)
            } else {
                choice.number(row).map(Sum::Whole)
            };
            if let Some(number) = number {
                *sum = Some(sum.map_or(number, |sum| sum.add(number)));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}
