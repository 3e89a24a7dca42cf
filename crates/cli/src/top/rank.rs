//! Sorts the rows of a frame and keeps the first ones.
//!
//! A row is kept in its output form, because the data of a look is gone after the look. The
//! rows are stored one after the other in memory that the next frame reuses.
//!
//! Invariant: with a limit, at most twice the limit plus [`SLACK`] rows are kept, and a row
//! that cannot be among the first is not even formatted.

use std::slice;

use sockdiag::fields::{Choice, Key, Unit};
use sockdiag::model::{Row, TableSet};
use sockdiag::past::CounterSet;

use super::key_bytes;
use crate::end::End;

/// Rows kept beyond twice the limit.
const SLACK: usize = 256;

/// The sort order and the kept rows.
pub(super) struct Rank {
    by: Vec<By>,
    limit: Option<usize>,
    /// The sort key of each row, followed by the row as stored.
    bytes: Vec<u8>,
    /// The position of each row in `bytes`.
    places: Vec<Place>,
    /// Whether the key of the row at the limit is known, so that worse rows are dropped.
    is_cut: bool,
    taken: usize,
    /// Whether the order is by largest rates and limited, so that idle sockets rarely matter.
    needs_no_idle: bool,
    /// Rows with a rate above zero, counted up to the limit.
    moving: usize,
}

/// The position of a row, which ends where the next one begins.
#[derive(Clone, Copy)]
struct Place {
    start: usize,
    /// Length of its sort key, in bytes.
    key: u32,
}

/// Rows in order.
#[derive(Clone)]
pub(super) struct Rows<'r> {
    rank: &'r Rank,
    order: slice::Iter<'r, u32>,
}

impl<'r> Iterator for Rows<'r> {
    type Item = &'r [u8];

    fn next(&mut self) -> Option<&'r [u8]> {
        Some(self.rank.parts(*self.order.next()? as usize).1)
    }
}

/// One field to sort by.
struct By {
    choice: Choice,
    /// Whether the largest come first.
    is_down: bool,
    /// If set, only this matters: rows with a larger number come after the others.
    most: Option<i128>,
}

impl By {
    /// Whether this sorts by largest rate first; an unchanged socket has the rate zero.
    fn is_of_rates(&self) -> bool {
        let is_rate = matches!(self.choice.unit(), Unit::BytesPerSecond | Unit::PacketsPerSecond);
        let compares = self.choice.needs().counters() != CounterSet::EMPTY;
        self.is_down && self.choice.is_number() && is_rate && compares
    }

    /// Appends the sort key of a row.
    fn put(&self, row: &Row<'_>, out: &mut Vec<u8>) {
        let key = match self.most {
            None => self.choice.key(row),
            // Rows without a key come last.
            Some(most) => {
                self.choice.number(row).is_none_or(|number| number <= most).then_some(Key::Number(0))
            }
        };
        key_bytes::put(out, key.as_ref(), self.is_down);
    }
}

impl Rank {
    /// A sort order: field names, each with a `-` if its largest values come first.
    pub(super) fn new(names: Option<&str>, limit: Option<u64>, tables: TableSet) -> Result<Self, End> {
        let names: Vec<&str> = names.into_iter().flat_map(|names| names.split(',')).collect();
        let plain: Vec<&str> = names.iter().map(|name| name.strip_prefix('-').unwrap_or(name)).collect();
        let catalog = sockdiag::fields::Catalog::shared();
        let choices = Choice::each(catalog, &plain, tables).map_err(|error| End::usage(error.to_string()))?;
        let by = |(choice, name): (_, &&str)| By { choice, is_down: name.starts_with('-'), most: None };
        let by: Vec<By> = choices.into_iter().zip(&names).map(by).collect();
        let limit = limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(Self {
            needs_no_idle: limit.is_some() && by.first().is_some_and(By::is_of_rates),
            by,
            limit,
            bytes: Vec::new(),
            places: Vec::new(),
            is_cut: false,
            taken: 0,
            moving: 0,
        })
    }

    /// The same order, but rows with a larger value of this field than given come last.
    #[must_use]
    pub(super) fn last(mut self, last: Option<(Choice, i128)>) -> Self {
        let first = last.map(|(choice, most)| By { choice, is_down: false, most: Some(most) });
        self.needs_no_idle &= first.is_none();
        self.by.splice(0..0, first);
        self
    }

    /// The fields to sort by.
    pub(super) fn choices(&self) -> impl Iterator<Item = &Choice> {
        self.by.iter().map(|by| &by.choice)
    }

    /// Whether idle sockets are shown only if too few other sockets exist.
    pub(super) fn needs_no_idle(&self) -> bool {
        self.needs_no_idle
    }

    /// Whether enough sockets with a rate were seen.
    pub(super) fn is_enough(&self) -> bool {
        self.limit.is_some_and(|limit| self.moving >= limit)
    }

    /// Adds a row; calls `keep` to append it if it may be shown.
    pub(super) fn take<E>(
        &mut self,
        row: &Row<'_>,
        keep: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let limit = self.limit.unwrap_or(usize::MAX);
        if limit == 0 || (self.by.is_empty() && self.taken >= limit) {
            return Ok(());
        }
        self.taken += 1;
        if self.needs_no_idle
            && self.moving < limit
            && let Some(by) = self.by.first()
            && by.choice.ratio(row).is_some_and(|rate| rate > 0.0)
        {
            self.moving += 1;
        }
        let start = self.bytes.len();
        self.by.iter().for_each(|by| by.put(row, &mut self.bytes));
        let is_in = !self.is_cut || self.bytes.get(start..) < Some(self.key(limit - 1));
        let key = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        let kept = if is_in { keep(&mut self.bytes).map(|()| true) } else { Ok(false) };
        if !matches!(kept, Ok(true)) {
            self.bytes.truncate(start);
            return kept.map(|_| ());
        }
        self.places.push(Place { start, key });
        if self.places.len() >= limit.saturating_mul(2).saturating_add(SLACK) {
            self.cut(limit);
        }
        Ok(())
    }

    /// Passes the sorted rows of the frame to `show`, then drops them.
    pub(super) fn drain<T>(&mut self, show: impl FnOnce(Rows<'_>) -> T) -> T {
        let mut order = self.sorted();
        order.truncate(self.limit.unwrap_or(usize::MAX));
        let result = show(Rows { rank: self, order: order.iter() });
        (self.is_cut, self.taken, self.moving) = (false, 0, 0);
        self.bytes.clear();
        self.places.clear();
        result
    }

    /// Drops the rows beyond the limit.
    fn cut(&mut self, limit: usize) {
        let order = self.sorted();
        let (mut places, mut bytes) = (Vec::new(), Vec::new());
        for number in order.into_iter().take(limit) {
            let (key, row) = self.parts(number as usize);
            places.push(Place { start: bytes.len(), key: u32::try_from(key.len()).unwrap_or(u32::MAX) });
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(row);
        }
        (self.places, self.bytes, self.is_cut) = (places, bytes, true);
    }

    /// The row numbers, sorted.
    fn sorted(&self) -> Vec<u32> {
        // More rows would not fit into memory.
        let number = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        let mut order: Vec<u32> = (0..number).collect();
        if !self.by.is_empty() {
            order.sort_by(|a, b| self.key(*a as usize).cmp(self.key(*b as usize)));
        }
        order
    }

    /// The sort key of a row.
    fn key(&self, number: usize) -> &[u8] {
        self.parts(number).0
    }

    /// The sort key of a row, and the row.
    fn parts(&self, number: usize) -> (&[u8], &[u8]) {
        let Some(Place { start, key }) = self.places.get(number) else { return Default::default() };
        let end = self.places.get(number + 1).map_or(self.bytes.len(), |next| next.start);
        let both = self.bytes.get(*start..end).unwrap_or_default();
        both.split_at_checked(*key as usize).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockdiag::model::{Origin, Record, Socket, SourceKind, Table};

    /// The ports of rows with these ports and queues, ranked.
    fn ranked(rows: impl Iterator<Item = (u16, u32)>, names: Option<&str>, limit: Option<u64>) -> Vec<u16> {
        ports(rows, Rank::new(names, limit, TableSet::only(Table::Tcp)).expect("names"))
    }

    fn ports(rows: impl Iterator<Item = (u16, u32)>, mut rank: Rank) -> Vec<u16> {
        for (port, queue) in rows {
            let line = format!(
                "   0: 0100007F:{port:04X} 0200007F:C350 01 00000000:{queue:08X} 00:00000000 00000000 0 0 621"
            );
            let record = Record { origin: Origin::of(Table::Tcp, SourceKind::Proc), bytes: line.as_bytes() };
            let socket = Socket::decode(record).expect("a line");
            let keep = |out: &mut Vec<u8>| {
                out.extend_from_slice(&port.to_ne_bytes());
                Ok::<_, ()>(())
            };
            rank.take(&Row::bare(&socket), keep).expect("kept");
        }
        let mut ports = Vec::new();
        rank.drain(|rows| {
            ports.extend(rows.map(|row| u16::from_ne_bytes(row.try_into().expect("two bytes each"))));
        });
        ports
    }

    #[test]
    fn rows_come_in_order_and_equal_ones_as_they_came() {
        let rows = [(1, 5), (2, 9), (3, 5), (4, 0)];
        assert_eq!(ranked(rows.into_iter(), Some("-recv_q"), None), [2, 1, 3, 4]);
        assert_eq!(ranked(rows.into_iter(), Some("recv_q,-local.port"), Some(3)), [4, 3, 1]);
        assert_eq!(ranked(rows.into_iter(), None, Some(2)), [1, 2]);
        assert!(ranked(rows.into_iter(), Some("recv_q"), Some(0)).is_empty());
    }

    #[test]
    fn a_limit_keeps_the_first_of_many() {
        // A permutation: multiples of a number coprime to 5000.
        let rows = || {
            (0..5000_u16)
                .map(|at| u32::from(at) * 1777 % 5000)
                .map(|queue| (u16::try_from(queue).unwrap_or(0), queue))
        };
        assert_eq!(ranked(rows(), Some("-recv_q"), Some(3)), [4999, 4998, 4997]);
        assert_eq!(ranked(rows(), Some("recv_q"), Some(4)), [0, 1, 2, 3]);
    }

    #[test]
    fn what_is_out_of_date_comes_last() {
        let queue = Choice::new(sockdiag::fields::Catalog::shared(), "recv_q").expect("a field");
        let rank = Rank::new(Some("-recv_q"), Some(3), TableSet::only(Table::Tcp)).expect("names");
        let rank = rank.last(Some((queue, 6)));
        assert_eq!(ports([(1, 5), (2, 9), (3, 4), (4, 8)].into_iter(), rank), [1, 3, 2]);
    }

    #[test]
    fn names_that_are_none_are_refused() {
        assert_eq!(Rank::new(Some("nothing"), None, TableSet::ALL).err().map(|end| end.code), Some(2));
    }
}
