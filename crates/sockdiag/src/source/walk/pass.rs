//! A pass over all the kernel's tables, in the order of its dumps.
//!
//! A dump covers one family and reports listeners first, then bound sockets, then the rest;
//! IPv4 comes before IPv6.  One pass serves both families: IPv6 records are set aside until
//! the IPv4 ones are done.  If there are too many, none is kept and the tables are walked
//! again.
//!
//! Invariant: IPv6 records follow all IPv4 records, and within a family records are in the
//! order of the tables.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::load::{Asked, Done, Refused, Scope, Table, Walk, record_of};
use super::members::Member;
use super::record::Record;
use crate::model::{Family, State, StateSet, Window};

/// How many bytes of records may be set aside.
const ASIDE: usize = 4 << 20;
/// The size of a buffer for these records, in bytes.
const PIECE: usize = 64 << 10;

/// What a pass should report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The requested states.
    pub states: StateSet,
    /// IPv4.
    pub inet: bool,
    /// IPv6.
    pub inet6: bool,
    /// The network namespaces.
    pub scope: Scope,
}

/// Takes a record, and the window in which it was read.
pub(super) type Take<'t> = dyn FnMut(Record<'_>, Window) -> ControlFlow<()> + 't;

impl Wanted {
    /// The number of the only family; 0 if both are wanted.
    fn family(self) -> u8 {
        match (self.inet, self.inet6) {
            (true, false) => Family::Inet.number(),
            (false, true) => Family::Inet6.number(),
            _ => 0,
        }
    }

    /// The tables to walk, and what to report from each.
    pub(super) fn tables(self) -> impl Iterator<Item = Asked> {
        let none = !self.inet && !self.inet6;
        let bit = |state: State| 1_u32 << state as u8;
        let all = if none { 0 } else { self.states.bits() };
        let listening = all & bit(State::Listen);
        // In the kernel these sockets have the state CLOSE.
        let bound = if all & bit(State::BoundInactive) == 0 { 0 } else { bit(State::Close) };
        // A request for SYN-RECV sockets includes connection requests.
        let requests = if all & bit(State::SynRecv) == 0 { 0 } else { bit(State::NewSynRecv) };
        let rest = all & !bit(State::Listen) & !bit(State::BoundInactive) | requests;
        let tables = [(Table::Listening, listening), (Table::Bound, bound), (Table::Established, rest)];
        let asked = move |(table, states)| Asked { table, states, family: self.family(), scope: self.scope };
        tables.into_iter().filter(|(_, states)| *states != 0).map(asked)
    }
}

impl Walk {
    /// Passes every wanted record to `take`.
    ///
    /// # Errors
    /// If a table cannot be walked to its end; records may have been passed on.
    pub(super) fn pass(&mut self, wanted: Wanted, take: &mut Take<'_>) -> Result<Done, Refused> {
        self.pass_with(wanted, ASIDE, take)
    }

    fn pass_with(&mut self, wanted: Wanted, limit: usize, take: &mut Take<'_>) -> Result<Done, Refused> {
        let mut done = Done::default();
        let mut aside = Aside { limit, ..Aside::default() };
        let both = wanted.inet && wanted.inet6;
        // Load all programs before the first record is passed on.
        wanted.tables().try_for_each(|asked| self.prepare(asked.table))?;
        for asked in wanted.tables() {
            let first = self.steps(asked, &mut |record, window| {
                if both && record.get(Member::Family) == u64::from(Family::Inet6.number()) {
                    aside.push(record, window);
                    return ControlFlow::Continue(());
                }
                take(record, window)
            })?;
            done.add(first);
            if done.stopped {
                return Ok(done);
            }
        }
        if aside.overflowed {
            done.records -= aside.records;
            done.add(self.pass_with(Wanted { inet: false, ..wanted }, 0, take)?);
            return Ok(done);
        }
        let words = self.words();
        for piece in &aside.pieces {
            for record in piece.chunks_exact(words + 2) {
                let [begin, end, words @ ..] = record else { continue };
                let window = Window::new(begin.load(Relaxed), end.load(Relaxed));
                if take(record_of(self.layout(), words), window).is_break() {
                    done.stopped = true;
                    return Ok(done);
                }
            }
        }
        Ok(done)
    }
}

/// Records that are set aside, each after its window; in many small buffers, since one
/// large buffer would fragment the heap.
#[derive(Default)]
struct Aside {
    pieces: Vec<Vec<AtomicU64>>,
    records: u64,
    /// How many bytes may be set aside.
    limit: usize,
    /// The total size of all records, in bytes.
    length: usize,
    /// Whether more records came; then none is kept.
    overflowed: bool,
}

impl Aside {
    fn push(&mut self, record: Record<'_>, window: Window) {
        self.records += 1;
        let words = record.words();
        self.length += (words.len() + 2) * 8;
        if self.overflowed {
            return;
        }
        if self.length > self.limit {
            self.overflowed = true;
            self.pieces = Vec::new();
            return;
        }
        let fits = |piece: &&mut Vec<AtomicU64>| piece.capacity() - piece.len() >= words.len() + 2;
        let piece = match self.pieces.last_mut().filter(fits) {
            Some(piece) => piece,
            None => self.pieces.push_mut(Vec::with_capacity((PIECE / 8).max(words.len() + 2))),
        };
        piece.extend([window.begin_ns(), window.end_ns()].map(AtomicU64::new));
        piece.extend(words.iter().map(|word| AtomicU64::new(word.load(Relaxed))));
    }
}

#[cfg(test)]
pub(super) mod tests;
