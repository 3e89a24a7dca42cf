//! The order of rows, and how many there are.
//!
//! Without keys rows pass as they come.  With keys each is kept, as the bytes
//! it came in and its keys, until the last table is read; of a limited listing
//! no more are kept than twice as many as it shows.
//!
//! Invariant: rows with equal keys stay in the order in which they came, and
//! rows that do not report a key come after those that do, either way round.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "kernel integers are narrow; each cast is meant"
)]

use std::cmp::Ordering;

use crate::fields::{Catalog, Choice, ChoiceError, Key, Needs};
use crate::model::{Origin, Record, Row, TableSet};
use crate::sort::sort_by;

/// Rows that a limited listing keeps beyond twice its limit.
const SLACK: usize = 256;

/// What rows are ordered by, and how many of them are shown.
#[derive(Debug, Default)]
pub struct Order {
    by: Vec<(Choice, bool)>,
    limit: Option<u64>,
    taken: u64,
    kept: Vec<Kept>,
}

/// A row that waits for its place.
#[derive(Debug)]
pub struct Kept {
    origin: Origin,
    bytes: Box<[u8]>,
    keys: Box<[Option<Key>]>,
    /// The number of its network namespace among those of the question.
    pub scope: u32,
}

impl Kept {
    /// The row's bytes.
    pub fn record(&self) -> Record<'_> {
        Record { origin: self.origin, bytes: &self.bytes }
    }
}

impl Order {
    /// The order that names with commas between them ask for, the first one
    /// first; a `-` before a name turns it round.  `limit` rows are shown.
    ///
    /// # Errors
    /// Where a name cannot be chosen.
    pub fn new(catalog: &Catalog, names: Option<&str>, limit: Option<u64>) -> Result<Self, ChoiceError> {
        Self::of(catalog, names, limit, TableSet::EVERY)
    }

    /// The same where sockets of these tables are asked for, which decide between
    /// several fields of one short name.
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

    /// What the keys need.
    pub fn needs(&self) -> Needs {
        self.by.iter().fold(Needs::NONE, |needs, (choice, _)| needs.union(choice.needs()))
    }

    /// The first name that needs something of this.
    pub fn name_with(&self, needs: Needs) -> Option<&str> {
        self.by.iter().find(|(choice, _)| choice.needs().intersects(needs)).map(|(choice, _)| choice.name())
    }

    /// Forgets the rows of an earlier listing.
    pub fn begin(&mut self) {
        self.taken = 0;
        self.kept.clear();
    }

    /// Whether rows are kept until the last one is known.
    pub fn keeps(&self) -> bool {
        !self.by.is_empty()
    }

    /// How many rows are shown; `None` for all.
    pub fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// Whether no further row is shown.
    pub fn is_full(&self) -> bool {
        !self.keeps() && self.limit.is_some_and(|limit| self.taken >= limit)
    }

    /// Counts a row that passes.
    pub fn count(&mut self) {
        self.taken += 1;
    }

    /// How many rows passed; from now on so many did.
    pub fn recount(&mut self, taken: u64) -> u64 {
        std::mem::replace(&mut self.taken, taken)
    }

    /// How many rows passed.
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

    /// What was kept, in order.
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
        // What is not known comes last.
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Socket, SourceKind, Table};

    /// A line of /proc/net/tcp with this port and queue.
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
