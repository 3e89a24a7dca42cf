//! Rows counted by what they have in common, with sums.
//!
//! Memory holds one line for each group, of bounded length, and none for a row.  Groups are ordered
//! by their counts, the largest first, or by a column that was asked for; groups
//! that are equal there are ordered by name.

#![allow(clippy::cast_precision_loss, reason = "kernel integers are narrow; each cast is meant")]

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::io::{self, Write};
use std::ops::ControlFlow;

use sockdiag::Sink;
use sockdiag::escape;
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

/// What a group is called: for each choice its cell, with the length before it.
///
/// One piece, since there may be a million of them.  A cell of more than [`LONGEST`]
/// bytes is cut, and what tells it from others that begin so stands behind it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Name(Box<[u8]>);

/// Letters of a cell that a group keeps.
const LONGEST: usize = 512;
/// The length of a cell without a value.
const ABSENT: u16 = u16::MAX;
/// Set in the length of a cell that was cut.
const IS_CUT: u16 = 1 << 15;
/// Bytes of the hashes behind a cell that was cut.
const HASHES: usize = 16;

impl Name {
    /// Cells that end there in these bytes.
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
            // Letters have four bytes at most.
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

    /// What is kept of each cell, and whether it was cut.
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

    /// The cells as they are shown.
    fn shown(&self) -> Vec<Option<Cow<'_, [u8]>>> {
        let shown = |(cell, is_cut)| {
            if is_cut { Cow::Owned([cell, escape::CUT.as_bytes()].concat()) } else { Cow::Borrowed(cell) }
        };
        self.cells().map(|cell| cell.map(shown)).collect()
    }
}

/// A sink that counts rows, and lists the groups at the end.
pub struct Groups<W: Write> {
    grouping: Grouping,
    found: HashMap<Name, Group>,
    sheet: Sheet<W>,
    /// Cells of a row, and where each ends.
    cells: Vec<u8>,
    ends: Vec<Option<usize>>,
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
        Ok(Self { grouping, found: HashMap::new(), sheet, cells: Vec::new(), ends: Vec::new() })
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
                let (ours, others) =
                    (name.cells().map(number_or_text), other_name.cells().map(number_or_text));
                ours.cmp(others).then_with(|| name.0.cmp(&other_name.0))
            })
        });
        let limit = self.grouping.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        for (name, group) in groups.iter().take(limit) {
            let numbers: Vec<Option<String>> = std::iter::once(Some(group.count.to_string()))
                .chain(group.sums.iter().map(|sum| sum.map(Sum::text)))
                .collect();
            let numbers = numbers.iter().map(|number| number.as_deref().map(str::as_bytes));
            let name = name.shown();
            self.sheet.line(name.iter().map(|cell| cell.as_deref()).chain(numbers))?;
        }
        self.sheet.finish()
    }
}

/// What a cell is ordered by: numbers come first, by value, then texts.
fn number_or_text(cell: Option<(&[u8], bool)>) -> (bool, Option<i128>, Option<&[u8]>) {
    let cell = cell.map(|(cell, _)| cell);
    let number = cell.and_then(|cell| std::str::from_utf8(cell).ok()?.parse().ok());
    (number.is_none(), number, cell)
}

fn cell(name: &Name, column: usize) -> (bool, Option<i128>, Option<&[u8]>) {
    number_or_text(name.cells().nth(column).flatten())
}

impl<W: Write> Sink for Groups<W> {
    type Error = io::Error;

    fn row(&mut self, row: &Row<'_>) -> io::Result<ControlFlow<()>> {
        self.cells.clear();
        self.ends.clear();
        Choice::put_distinct(&self.grouping.by, &mut self.cells, &mut self.ends, row);
        let sums = &self.grouping.sums;
        let group = self
            .found
            .entry(Name::of(&self.cells, &self.ends))
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

#[cfg(test)]
mod tests {
    use super::*;

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
