//! The order of rows and their maximum number.
//!
//! Without sort keys, rows pass through immediately.  With sort keys, the bytes and the keys
//! of each row are kept until the last table has been read; with a limit, at most about twice
//! that number of rows is kept.
//!
//! Invariant: rows with equal keys keep their original order, and rows that do not report a
//! key come last, in ascending and descending order alike.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "kernel integers are narrow; each cast is meant"
)]

use std::cmp::Ordering;

use crate::fields::{Catalog, Choice, ChoiceError, Key, Needs};
use crate::model::{Origin, Record, Row, TableSet};
use crate::sort::sort_by;

/// The number of rows kept beyond twice the limit, before the surplus is dropped.
const SLACK: usize = 256;

/// The sort keys, and the maximum number of rows to show.
#[derive(Debug, Default)]
pub struct Order {
    by: Vec<(Choice, bool)>,
    limit: Option<u64>,
    taken: u64,
    kept: Vec<Kept>,
}

/// A row that is kept until all rows are known.
#[derive(Debug)]
pub struct Kept {
    origin: Origin,
    bytes: Box<[u8]>,
    keys: Box<[Option<Key>]>,
    /// The index of its network namespace among those listed.
    pub scope: u32,
}

impl Kept {
    /// The row's bytes.
    pub fn record(&self) -> Record<'_> {
        Record { origin: self.origin, bytes: &self.bytes }
    }
}

impl Order {
    /// Parses sort keys, separated by commas, the most significant first; a `-` before a name
    /// reverses its order.  At most `limit` rows are shown.
    ///
    /// # Errors
    /// When a name matches no field.
    pub fn new(catalog: &Catalog, names: Option<&str>, limit: Option<u64>) -> Result<Self, ChoiceError> {
        Self::of(catalog, names, limit, TableSet::EVERY)
    }

    /// Like [`Order::new`], for a listing of these tables: they decide between several fields
    /// with the same short name.
    ///
    /// # Errors
    /// As [`Order::new`].
    pub fn of(
        catalog: &Catalog,
        names: Option<&str>,
        limit: Option<u64>,
        tables: TableSet,
    ) -> Result<Self, ChoiceError> {
        let names = names.into_iter().flat_map(|names| names.split(','));
        let (names, down): (Vec<&str>, Vec<bool>) =
            names.map(|name| name.strip_prefix('-').map_or((name, false), |name| (name, true))).unzip();
        let by = Choice::each(catalog, &names, tables)?.into_iter().zip(down).collect();
        Ok(Self { by, limit, ..Self::default() })
    }

    /// What has to be requested for the keys.
    pub fn needs(&self) -> Needs {
        self.by.iter().fold(Needs::NONE, |needs, (choice, _)| needs.union(choice.needs()))
    }

    /// The first key that needs any of `needs`.
    pub fn name_with(&self, needs: Needs) -> Option<&str> {
        self.by.iter().find(|(choice, _)| choice.needs().intersects(needs)).map(|(choice, _)| choice.name())
    }

    /// Removes the rows of an earlier listing.
    pub fn begin(&mut self) {
        self.taken = 0;
        self.kept.clear();
    }

    /// Whether rows are kept until the last one has been read.
    pub fn keeps(&self) -> bool {
        !self.by.is_empty()
    }

    /// The maximum number of rows to show; `None` for no limit.
    pub fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// Whether the limit is reached, so that no more rows are shown.
    pub fn is_full(&self) -> bool {
        !self.keeps() && self.limit.is_some_and(|limit| self.taken >= limit)
    }

    /// Counts a row that is shown.
    pub fn count(&mut self) {
        self.taken += 1;
    }

    /// Sets the number of rows shown so far, and returns the previous number.
    pub fn recount(&mut self, taken: u64) -> u64 {
        std::mem::replace(&mut self.taken, taken)
    }

    /// The number of rows shown so far.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Keeps a row.
    pub fn keep(&mut self, record: Record<'_>, row: &Row<'_>, scope: u32) {
        let keys = self.by.iter().map(|(choice, _)| choice.key(row)).collect();
        self.kept.push(Kept { origin: record.origin, bytes: record.bytes.into(), keys, scope });
        if let Some(limit) = self.limit.and_then(|limit| usize::try_from(limit).ok())
            && self.kept.len() >= limit.saturating_mul(2).saturating_add(SLACK)
        {
            self.sort();
        }
    }

    /// Returns the kept rows, in order.
    pub fn take(&mut self) -> Vec<Kept> {
        self.sort();
        std::mem::take(&mut self.kept)
    }

    fn sort(&mut self) {
        let by = &self.by;
        sort_by(&mut self.kept, &mut |a, b| {
            let each = a.keys.iter().zip(&b.keys).zip(by);
            each.map(|((a, b), (_, down))| order(a.as_ref(), b.as_ref(), *down))
                .find(|order| order.is_ne())
                .unwrap_or(Ordering::Equal)
        });
        if let Some(limit) = self.limit.and_then(|limit| usize::try_from(limit).ok()) {
            self.kept.truncate(limit);
        }
    }
}

fn order(a: Option<&Key>, b: Option<&Key>, down: bool) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) if down => b.order(a),
        (Some(a), Some(b)) => a.order(b),
        // Rows without a value come last.
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Socket, SourceKind, Table};

    /// A line of /proc/net/tcp with this port and receive queue.
    fn line(port: u16, queue: u32) -> String {
        format!(
            "   0: 0100007F:{port:04X} 0200007F:C350 01 00000000:{queue:08X} 00:00000000 00000000  1000        0 621"
        )
    }

    fn sorted(names: &str, limit: Option<u64>, rows: &[(u16, u32)]) -> Vec<u16> {
        let mut order = Order::new(&Catalog::standard(), Some(names), limit).expect("names of fields");
        let origin = Origin::of(Table::Tcp, SourceKind::Proc);
        for (port, queue) in rows {
            let line = line(*port, *queue);
            let record = Record { origin, bytes: line.as_bytes() };
            let socket = Socket::decode(record).expect("a whole line");
            order.keep(record, &Row::bare(&socket), 0);
        }
        let most = limit.map_or(usize::MAX, |limit| 2 * limit as usize + SLACK);
        assert!(order.kept.len() <= most);
        let ports = order.take().into_iter().map(|kept| Socket::decode(kept.record()).map(|s| s.local.port));
        ports.map(|port| port.expect("it was whole") as u16).collect()
    }

    #[test]
    fn equal_rows_stay_as_they_came() {
        let rows = [(1, 5), (2, 9), (3, 5), (4, 1)];
        assert_eq!(sorted("recv_q", None, &rows), [4, 1, 3, 2]);
        assert_eq!(sorted("-recv_q", None, &rows), [2, 1, 3, 4]);
        assert_eq!(sorted("recv_q,-local.port", None, &rows), [4, 3, 1, 2]);
        assert_eq!(sorted("tcp.rtt_us", None, &rows), [1, 2, 3, 4], "nobody reports it");
    }

    #[test]
    fn a_limit_bounds_what_is_kept() {
        let rows: Vec<(u16, u32)> = (0..3000).map(|n| (n, u32::from(n) * 7919 % 3001)).collect();
        let mut want = rows.clone();
        want.sort_by_key(|(_, queue)| std::cmp::Reverse(*queue));
        let want: Vec<u16> = want.into_iter().take(5).map(|(port, _)| port).collect();
        assert_eq!(sorted("-recv_q", Some(5), &rows), want);
        assert!(sorted("-recv_q", Some(0), &rows).is_empty());
    }

    #[test]
    fn names_have_to_be_known() {
        let catalog = Catalog::standard();
        assert!(Order::new(&catalog, Some("recv_q,nothing"), None).is_err());
        assert!(Order::new(&catalog, Some(""), None).is_err());
        assert!(Order::new(&catalog, None, Some(3)).is_ok_and(|order| !order.keeps()));
    }
}
