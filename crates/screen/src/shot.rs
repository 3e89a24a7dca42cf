//! A stored look: cells by row and column, and facts about the look.
//!
//! A cell stores a field's value, not its text: it is formatted when it is drawn, and rows are
//! sorted by the numbers.
//!
//! Invariant: text in a shot is already escaped (see `sockdiag_facts::escape`).

#![allow(clippy::cast_precision_loss, reason = "what people are shown is rounded")]

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use sockdiag_facts::fields::{Choice, Kind, Needs, Reading, Together, Unit, Value, put_address};
use sockdiag_facts::model::{Addr, Row, Table};

/// The identity of a socket: its namespace, and its cookie there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Id {
    /// The inode of the network namespace; 0 if only our own is listed.
    pub netns: u64,
    /// The cookie; 0 if the source does not report one.
    pub cookie: u64,
}

/// How a row changed since the previous look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It existed at the previous look.
    Known,
    /// It did not exist at the previous look.
    New,
    /// A watched field has another value.
    Changed,
    /// It ended this many looks ago; its values are its last ones.
    Gone(u8),
}

impl Mark {
    /// The character that represents it.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Known => " ",
            Self::New => "+",
            Self::Changed => "~",
            Self::Gone(_) => "-",
        }
    }
}

/// A row.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The socket.
    pub id: Id,
    /// The table that it is listed in.
    pub table: Table,
    /// How the row changed.
    pub mark: Mark,
}

/// The value of a field in a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell {
    /// The field has no value.
    Absent,
    /// The field reports that there is no limit.
    Unlimited,
    /// A signed integer.
    Signed(i64),
    /// An unsigned integer.
    Unsigned(u64),
    /// A floating-point number.
    Ratio(f64),
    /// An IPv4 address.
    V4([u8; 4]),
    /// An IPv6 address, whose bytes are stored at this offset of the texts.
    V6(u32),
    /// A text: its offset in the texts, and its length in bytes.
    Text(u32, u32),
}

/// Facts about a look besides its rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Head {
    /// The number of earlier looks.
    pub number: u64,
    /// The time of day, as shown.
    pub time: String,
    /// Seconds since the first look, by a monotonic clock.
    pub seconds: f64,
    /// Whether an earlier look exists, so that rates are known.
    pub has_rates: bool,
    /// Sockets that passed the filter.
    pub sockets: u64,
    /// How many of them are new.
    pub opened: u64,
    /// Sockets that ended since the previous look.
    pub closed: u64,
    /// One sentence about each thing that could not be seen.
    pub unseen: Vec<String>,
}

/// One look.
#[derive(Debug)]
pub struct Shot {
    columns: Arc<[Choice]>,
    names: Arc<[String]>,
    entries: Vec<Entry>,
    cells: Vec<Cell>,
    text: Vec<u8>,
    /// Sums of the columns whose values can be added.
    sums: Vec<Option<f64>>,
    /// Facts about the look.
    pub head: Head,
}

impl Shot {
    /// A shot without rows.
    pub fn empty() -> Self {
        Builder::new(Vec::new(), None, 0).end(Head::default())
    }

    /// The rows, in the order in which they were seen.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The stored columns.
    pub fn columns(&self) -> &[Choice] {
        &self.columns
    }

    /// The index of the column with this full field name.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// The field of a column.
    pub fn choice(&self, column: usize) -> Option<&Choice> {
        self.columns.get(column)
    }

    /// The cell of a row.
    pub fn cell(&self, row: usize, column: usize) -> Cell {
        let width = self.columns.len();
        if column >= width {
            return Cell::Absent;
        }
        self.cells.get(row * width + column).copied().unwrap_or(Cell::Absent)
    }

    /// The sum of a column over present sockets and those that ended since the previous look,
    /// if its values can be added.
    pub fn sum(&self, column: usize) -> Option<f64> {
        self.sums.get(column).copied().flatten()
    }

    /// The number in a cell.
    pub fn number(&self, row: usize, column: usize) -> Option<f64> {
        number(self.cell(row, column))
    }

    /// The row of a socket.
    pub fn find(&self, id: Id) -> Option<usize> {
        self.entries.iter().position(|entry| entry.id == id)
    }

    /// Memory that the shot takes, in bytes.
    pub fn bytes(&self) -> usize {
        self.entries.len() * size_of::<Entry>()
            + self.cells.len() * size_of::<Cell>()
            + self.text.len()
            + 1024
    }

    /// Appends a cell formatted for people; false if it has no value.
    pub fn put(&self, out: &mut Vec<u8>, row: usize, column: usize) -> bool {
        let Some(choice) = self.columns.get(column) else { return false };
        match self.cell(row, column) {
            Cell::Absent => return false,
            Cell::Unlimited => out.extend_from_slice(b"unlimited"),
            Cell::Signed(number) if choice.has_unit() => choice.put_amount(out, number as f64),
            Cell::Unsigned(number) if choice.has_unit() => choice.put_amount(out, number as f64),
            Cell::Ratio(number) => put_ratio(out, choice, number),
            cell => self.put_plain(out, cell),
        }
        true
    }

    /// Appends a cell formatted for programs; false if it has no value.
    pub fn put_raw(&self, out: &mut Vec<u8>, row: usize, column: usize) -> bool {
        match self.cell(row, column) {
            Cell::Absent | Cell::Unlimited => false,
            cell => {
                self.put_plain(out, cell);
                true
            }
        }
    }

    fn put_plain(&self, out: &mut Vec<u8>, cell: Cell) {
        match cell {
            Cell::Absent | Cell::Unlimited => {}
            Cell::Signed(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Cell::Unsigned(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Cell::Ratio(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Cell::V4(octets) => put_address(out, Addr::V4(octets)),
            Cell::V6(_) => put_address(out, Addr::V6(self.v6(cell))),
            Cell::Text(..) => out.extend_from_slice(self.bytes_of(cell)),
        }
    }

    fn v6(&self, cell: Cell) -> [u8; 16] {
        let Cell::V6(at) = cell else { return [0; 16] };
        let bytes = self.text.get(at as usize..).and_then(|rest| rest.first_chunk());
        bytes.copied().unwrap_or_default()
    }

    /// The bytes of a text.
    pub(crate) fn bytes_of(&self, cell: Cell) -> &[u8] {
        let Cell::Text(at, length) = cell else { return &[] };
        let (at, length) = (at as usize, length as usize);
        self.text.get(at..at + length).unwrap_or_default()
    }

    /// The rows sorted by a column.  Rows without a value come last in both directions, and
    /// equal rows keep their order.
    pub fn sorted(&self, column: usize, down: bool) -> Vec<u32> {
        let count = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let mut keys: Vec<(u64, u32)> = Vec::with_capacity(count as usize);
        let mut texts = false;
        let mut rest = Vec::new();
        for row in 0..count {
            let cell = self.cell(row as usize, column);
            match (cell, number(cell)) {
                (Cell::Unlimited, _) => keys.push((u64::MAX, row)),
                (_, Some(number)) => keys.push((ordered(number), row)),
                (Cell::Absent, None) => rest.push(row),
                _ => {
                    texts = true;
                    keys.push((0, row));
                }
            }
        }
        if texts {
            keys.sort_by(|(_, a), (_, b)| {
                let order = self.order(self.cell(*a as usize, column), self.cell(*b as usize, column));
                if down { order.reverse() } else { order }
            });
        } else {
            if down {
                for (key, _) in &mut keys {
                    *key = !*key;
                }
            }
            // The row number keeps equal rows in their order.
            keys.sort_unstable();
        }
        keys.into_iter().map(|(_, row)| row).chain(rest).collect()
    }

    fn order(&self, a: Cell, b: Cell) -> Ordering {
        match (a, b) {
            (Cell::V4(a), Cell::V4(b)) => a.cmp(&b),
            (Cell::V4(_), Cell::V6(_)) => Ordering::Less,
            (Cell::V6(_), Cell::V4(_)) => Ordering::Greater,
            (Cell::V6(_), Cell::V6(_)) => self.v6(a).cmp(&self.v6(b)),
            _ => self.bytes_of(a).cmp(self.bytes_of(b)),
        }
    }
}

/// Whether the values of several sockets can be added: amounts, and rates that were measured
/// over the same time.
pub(crate) fn adds_up(choice: &Choice) -> bool {
    let per_second = || matches!(choice.unit(), Unit::BytesPerSecond | Unit::PacketsPerSecond);
    let measured = || choice.needs().intersects(Needs::TWO_LOOKS) && per_second();
    choice.is_number()
        && match choice.together() {
            Together::Sum => true,
            Together::Most => measured(),
            _ => false,
        }
}

/// The same choice, but with units in its cells even though its name contains the unit.
fn for_people(choice: Choice) -> Choice {
    if choice.is_number() { choice.with_units().for_people() } else { choice }
}

/// A ratio, formatted for people.
fn put_ratio(out: &mut Vec<u8>, choice: &Choice, number: f64) {
    if choice.has_unit() {
        choice.put_amount(out, number);
    } else {
        out.extend_from_slice(format!("{number:.3}").as_bytes());
    }
}

fn number(cell: Cell) -> Option<f64> {
    match cell {
        Cell::Signed(number) => Some(number as f64),
        Cell::Unsigned(number) => Some(number as f64),
        Cell::Ratio(number) => Some(number),
        _ => None,
    }
}

/// Bits that compare as integers in the order of the numbers.
fn ordered(number: f64) -> u64 {
    let bits = number.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// A shot with columns that are read less often than others, indexed by socket.  Sockets that
/// opened later have no values in it.
#[derive(Debug)]
pub struct Late {
    shot: Arc<Shot>,
    rows: HashMap<Id, usize>,
}

impl Late {
    /// Takes the columns from this shot.
    pub fn of(shot: Arc<Shot>) -> Self {
        let rows = shot.entries.iter().enumerate().map(|(row, entry)| (entry.id, row)).collect();
        Self { shot, rows }
    }

    /// Whether it contains these columns.
    pub fn has(&self, columns: &[Choice]) -> bool {
        columns.iter().all(|choice| self.shot.column(&choice.full_name()).is_some())
    }

    /// The row of a socket.  Tries row `next` first, which is right if the order is unchanged;
    /// `None` for a socket without a cookie, which cannot be identified.
    fn find(&self, id: Id, next: usize) -> Option<usize> {
        match self.shot.entries.get(next) {
            _ if id.cookie == 0 => None,
            Some(entry) if entry.id == id => Some(next),
            _ => self.rows.get(&id).copied(),
        }
    }
}

/// A shot under construction.
#[derive(Debug)]
pub struct Builder {
    shot: Shot,
    /// The last text of each column, which the next row often repeats.
    last: Vec<Cell>,
    /// For each column, whether its values are added.
    adds: Vec<bool>,
    /// For each column, whether it has a unit: a number that means "none" is then absent.
    has_unit: Vec<bool>,
    previous: Option<Arc<Shot>>,
    /// How many looks an ended row stays.
    stays: u8,
    /// The values of columns that were added later.
    late: Option<Arc<Late>>,
    /// For each column, its index in `late`.
    late_columns: Vec<Option<usize>>,
    /// The row of `late` after the last one found.
    late_next: usize,
}

impl Builder {
    /// A shot of these columns, without rows.  Ended rows stay for `stays` looks:
    /// rows of the `previous` shot are taken over by [`Builder::end`].
    pub fn new(columns: Vec<Choice>, previous: Option<Arc<Shot>>, stays: u8) -> Self {
        let columns: Arc<[Choice]> = columns.into_iter().map(for_people).collect();
        let names: Arc<[String]> = columns.iter().map(Choice::full_name).collect();
        let count = columns.len();
        let adds: Vec<bool> = columns.iter().map(adds_up).collect();
        let has_unit = columns.iter().map(Choice::has_unit).collect();
        let rows = previous.as_ref().map_or(0, |shot| shot.entries.len());
        let text = previous.as_ref().map_or(0, |shot| shot.text.len());
        let shot = Shot {
            columns,
            names,
            entries: Vec::with_capacity(rows),
            cells: Vec::with_capacity(rows * count),
            text: Vec::with_capacity(text),
            sums: vec![None; count],
            head: Head::default(),
        };
        let late_columns = Vec::new();
        Self {
            shot,
            last: vec![Cell::Absent; count],
            adds,
            has_unit,
            previous,
            stays,
            late: None,
            late_columns,
            late_next: 0,
        }
    }

    /// The last columns are filled from a late shot instead of being read.
    #[must_use]
    pub fn late(mut self, late: Option<(usize, Arc<Late>)>) -> Self {
        if let Some((columns, late)) = late {
            let first = self.shot.names.len().saturating_sub(columns);
            self.late_columns =
                self.shot.names.iter().skip(first).map(|name| late.shot.column(name)).collect();
            self.late = Some(late);
        }
        self
    }

    /// Adds a row.
    pub fn row(&mut self, mark: Mark, row: &Row<'_>) {
        let Self { shot, last, adds, has_unit, late, late_columns, late_next, .. } = self;
        let Shot { columns, entries, cells, text, sums, .. } = shot;
        let netns = row.names.netns.map_or(0, |netns| netns.inode);
        let id = Id { netns, cookie: row.cookie().unwrap_or(0) };
        entries.push(Entry { id, table: row.table(), mark });
        let read_now = columns.len() - late_columns.len();
        let each = columns.iter().zip(last.iter_mut()).zip(has_unit.iter()).zip(adds.iter().zip(sums));
        for (((choice, last), has_unit), (adds, sum)) in each.take(read_now) {
            let cell = read(choice, *has_unit, row, text, last);
            if *adds && let Some(number) = number(cell) {
                *sum = Some(sum.unwrap_or(0.0) + number);
            }
            cells.push(cell);
        }
        if late_columns.is_empty() {
            return;
        }
        let known = late.as_ref().and_then(|late| Some((&*late.shot, late.find(id, *late_next)?)));
        if let Some((_, row)) = known {
            *late_next = row + 1;
        }
        for (column, last) in late_columns.iter().zip(last.iter_mut().skip(read_now)) {
            let cell =
                known.zip(*column).map_or(Cell::Absent, |((shot, row), column)| shot.cell(row, column));
            cells.push(match (cell, known) {
                (Cell::Text(..), Some((shot, _))) => {
                    let start = text.len();
                    text.extend_from_slice(shot.bytes_of(cell));
                    put_once(text, start, last)
                }
                (Cell::V6(_), Some((shot, _))) => put_v6(text, shot.v6(cell)),
                (cell, _) => cell,
            });
        }
    }

    /// Finishes the shot and adds the rows of the previous one that ended a few looks ago.
    pub fn end(mut self, head: Head) -> Shot {
        if let Some(previous) = self.previous.take() {
            self.take_over(&previous);
        }
        self.shot.head = head;
        self.shot
    }

    fn take_over(&mut self, previous: &Shot) {
        let shot = &mut self.shot;
        let from: Vec<Option<usize>> = shot.names.iter().map(|name| previous.column(name)).collect();
        for (row, entry) in previous.entries.iter().enumerate() {
            let Mark::Gone(looks) = entry.mark else { continue };
            if looks + 1 >= self.stays {
                continue;
            }
            shot.entries.push(Entry { mark: Mark::Gone(looks + 1), ..*entry });
            for column in &from {
                let cell = column.map_or(Cell::Absent, |column| previous.cell(row, column));
                let moved = match cell {
                    Cell::V6(_) => put_v6(&mut shot.text, previous.v6(cell)),
                    Cell::Text(..) => put_text(&mut shot.text, previous.bytes_of(cell)),
                    cell => cell,
                };
                shot.cells.push(moved);
            }
        }
    }
}

fn put_v6(text: &mut Vec<u8>, octets: [u8; 16]) -> Cell {
    let at = u32::try_from(text.len()).unwrap_or(u32::MAX);
    text.extend_from_slice(&octets);
    Cell::V6(at)
}

fn put_text(text: &mut Vec<u8>, piece: &[u8]) -> Cell {
    let at = u32::try_from(text.len()).unwrap_or(u32::MAX);
    text.extend_from_slice(piece);
    Cell::Text(at, u32::try_from(piece.len()).unwrap_or(0))
}

/// Reads a field of a row; texts are appended to `text`.
fn read(choice: &Choice, has_unit: bool, row: &Row<'_>, text: &mut Vec<u8>, last: &mut Cell) -> Cell {
    let is_scalar = choice.named().member.is_none() && !choice.is_network();
    match choice.read(row) {
        Reading::Absent => return Cell::Absent,
        Reading::Unlimited => return Cell::Unlimited,
        Reading::None if has_unit => return Cell::Absent,
        Reading::Value(value) if is_scalar => match value {
            Value::U64(number) => return Cell::Unsigned(number),
            Value::I64(number) => return Cell::Signed(number),
            Value::F64(number) => return Cell::Ratio(number),
            Value::Addr(Addr::V4(octets)) => return Cell::V4(octets),
            Value::Addr(Addr::V6(octets)) => return put_v6(text, octets),
            _ => {}
        },
        _ => {}
    }
    let start = text.len();
    let known = if choice.named().member.is_some() || choice.named().kind() == Kind::Texts {
        let mut ends = Vec::with_capacity(1);
        Choice::put_distinct(std::slice::from_ref(choice), text, &mut ends, row);
        ends.first().copied().flatten().is_some()
    } else {
        choice.put(text, row)
    };
    if !known {
        text.truncate(start);
        return Cell::Absent;
    }
    put_once(text, start, last)
}

/// The cell of the text appended at `start`; a text equal to the previous row's is not stored
/// twice.
fn put_once(text: &mut Vec<u8>, start: usize, last: &mut Cell) -> Cell {
    // The next row often has the same text.
    if let Cell::Text(at, length) = *last
        && length as usize == text.len() - start
        && let (before, new) = text.split_at(start)
        && before.get(at as usize..at as usize + length as usize) == Some(new)
    {
        text.truncate(start);
        return *last;
    }
    let cell = match (u32::try_from(start), u32::try_from(text.len() - start)) {
        (Ok(at), Ok(length)) => Cell::Text(at, length),
        // More text than fits the offsets is dropped.
        _ => Cell::Absent,
    };
    *last = cell;
    cell
}
