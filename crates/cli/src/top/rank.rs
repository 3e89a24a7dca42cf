//! Rows of a frame in order, the first of them only.
//!
//! A row is kept as it will be written, since what a look knows of it ends with
//! the look; one behind the other, in memory that the next frame uses again.
//!
//! Invariant: of a limited listing no more rows are kept than twice as many as it
//! shows, and [`SLACK`]; a row that cannot come in is not even read.

use std::cmp::Ordering;
use std::ops::Range;

use sockdiag::fields::{Choice, Key};
use sockdiag::model::{Row, TableSet};

use crate::end::End;

/// Rows that are kept beyond twice the limit.
const SLACK: usize = 256;

/// What rows are ordered by, and those that are kept.
pub(super) struct Rank {
    by: Vec<By>,
    limit: Option<usize>,
    /// What each row is ordered by, one after the other.
    keys: Vec<Option<Key>>,
    /// The rows as they are kept.
    bytes: Vec<u8>,
    /// Where each row lies there.
    rows: Vec<Range<usize>>,
    /// Whether the row at the limit is known, so that worse ones are left out.
    is_cut: bool,
    taken: usize,
}

/// One thing that rows are ordered by.
struct By {
    choice: Choice,
    /// Whether the largest come first.
    is_down: bool,
    /// Where that is all that counts: rows with a larger number come after the others.
    most: Option<i128>,
}

impl By {
    /// What a row is ordered by.
    fn key(&self, row: &Row<'_>) -> Option<Key> {
        match self.most {
            None => self.choice.key(row),
            // Rows without a key come last.
            Some(most) => {
                self.choice.number(row).is_none_or(|number| number <= most).then_some(Key::Number(0))
            }
        }
    }
}

impl Rank {
    /// The order of these names, each with a `-` where its largest values come first.
    pub(super) fn new(names: Option<&str>, limit: Option<u64>, tables: TableSet) -> Result<Self, End> {
        let names: Vec<&str> = names.into_iter().flat_map(|names| names.split(',')).collect();
        let plain: Vec<&str> = names.iter().map(|name| name.strip_prefix('-').unwrap_or(name)).collect();
        let catalog = sockdiag::fields::Catalog::shared();
        let choices = Choice::each(catalog, &plain, tables).map_err(|error| End::usage(error.to_string()))?;
        let by = |(choice, name): (_, &&str)| By { choice, is_down: name.starts_with('-'), most: None };
        let by = choices.into_iter().zip(&names).map(by).collect();
        let limit = limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(Self { by, limit, keys: Vec::new(), bytes: Vec::new(), rows: Vec::new(), is_cut: false, taken: 0 })
    }

    /// The same, in which rows whose number of this field is larger come last.
    #[must_use]
    pub(super) fn last(mut self, last: Option<(Choice, i128)>) -> Self {
        let first = last.map(|(choice, most)| By { choice, is_down: false, most: Some(most) });
        self.by.splice(0..0, first);
        self
    }

    /// What rows are ordered by.
    pub(super) fn choices(&self) -> impl Iterator<Item = &Choice> {
        self.by.iter().map(|by| &by.choice)
    }

    /// Takes a row, which `keep` appends if it may be shown.
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
        let number = self.rows.len();
        self.keys.extend(self.by.iter().map(|by| by.key(row)));
        let is_in = !self.is_cut || self.order(number, limit - 1).is_lt();
        let start = self.bytes.len();
        let kept = if is_in { keep(&mut self.bytes).map(|()| true) } else { Ok(false) };
        if !matches!(kept, Ok(true)) {
            self.keys.truncate(number * self.by.len());
            self.bytes.truncate(start);
            return kept.map(|_| ());
        }
        self.rows.push(start..self.bytes.len());
        if self.rows.len() >= limit.saturating_mul(2).saturating_add(SLACK) {
            self.cut(limit);
        }
        Ok(())
    }

    /// Hands over the rows of the frame, in order, and forgets them.
    pub(super) fn drain<E>(&mut self, mut show: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let order = self.sorted();
        let shown = order.into_iter().take(self.limit.unwrap_or(usize::MAX));
        let result = shown
            .filter_map(|number| self.bytes.get(self.rows.get(number as usize)?.clone()))
            .try_for_each(&mut show);
        (self.is_cut, self.taken) = (false, 0);
        self.keys.clear();
        self.bytes.clear();
        self.rows.clear();
        result
    }

    /// Leaves out what is behind the limit.
    fn cut(&mut self, limit: usize) {
        let order = self.sorted();
        let (mut keys, mut rows, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
        for number in order.into_iter().take(limit) {
            let from = number as usize * self.by.len();
            let row_keys = self.keys.get_mut(from..from + self.by.len()).unwrap_or_default();
            keys.extend(row_keys.iter_mut().map(Option::take));
            let start = bytes.len();
            let row = self.rows.get(number as usize).and_then(|row| self.bytes.get(row.clone()));
            bytes.extend_from_slice(row.unwrap_or_default());
            rows.push(start..bytes.len());
        }
        (self.keys, self.rows, self.bytes, self.is_cut) = (keys, rows, bytes, true);
    }

    /// The numbers of the rows, in order.
    fn sorted(&self) -> Vec<u32> {
        // More do not fit into memory.
        let number = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        let mut order: Vec<u32> = (0..number).collect();
        if !self.by.is_empty() {
            order.sort_by(|a, b| self.order(*a as usize, *b as usize));
        }
        order
    }

    /// What a row is ordered by.
    fn keys(&self, number: usize) -> &[Option<Key>] {
        let from = number * self.by.len();
        self.keys.get(from..from + self.by.len()).unwrap_or_default()
    }

    /// Rows that do not report a key come last, either way round.
    fn order(&self, a: usize, b: usize) -> Ordering {
        let each = self.keys(a).iter().zip(self.keys(b)).zip(&self.by);
        let order = each.map(|((a, b), by)| match (a, b) {
            (Some(a), Some(b)) if by.is_down => a.order(b).reverse(),
            (Some(a), Some(b)) => a.order(b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
        order.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
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
        let shown = rank.drain(|row| row.try_into().map(|port| ports.push(u16::from_ne_bytes(port))));
        shown.expect("two bytes each");
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
        // A shuffle: multiples of a number without a common factor.
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
