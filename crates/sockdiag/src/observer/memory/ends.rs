//! Handles closed sockets: those that the kernel reported, and those missing from a look.
//!
//! Invariant: a socket is counted as closed once: if its report arrives after the socket
//! was taken for closed, the report counts as one of the lost ones.

use super::{MOST, Memory, earlier_of, is_request};
use crate::ending::{self, Ending, LastSeen};
use crate::model::{HolderCache, MessageKind, Record, Row, Socket, State, StateSet, Table, TableSet, Window};
use crate::observer::orphans::is_held;
use crate::observer::stay::Stay;
use crate::observer::table::{Entry, PASSED_OVER, flag};
use crate::observer::{FrameSink, Gone, Seen};
use crate::past::{Counter, Past};
use crate::session::{Course, Session, Told};

/// Seconds after which a closed socket has been reported, if it is reported at all.
const LATEST: u16 = 10;

/// How many ended connections are looked up in TIME-WAIT per look, at most: each look-up
/// takes some microseconds.
const MOST_LOOK_UPS: u32 = 500;

/// Tables whose closed sockets the kernel reports.
const TOLD: TableSet = TableSet::of(&[Table::Tcp, Table::Udp]);

impl Memory {
    /// Processes the kernel's reports of closed sockets since the previous look.
    pub(in crate::observer) fn told<S: FrameSink>(
        &mut self,
        session: &mut Session,
        scope_number: u32,
        netns: u64,
        told: Told<'_>,
        begin: Window,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        match told {
            Told::Lost(lost) => {
                self.count.add_lost(netns, lost.into());
                Ok(())
            }
            Told::Ended(record) => self.ended(session, scope_number, netns, record, begin, sink),
        }
    }

    fn ended<S: FrameSink>(
        &mut self,
        session: &mut Session,
        scope_number: u32,
        netns: u64,
        record: Record<'_>,
        begin: Window,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let (Some(mut socket), Some(scope)) = (Socket::decode(record), self.enter(netns)) else {
            return Ok(());
        };
        let mut before = [0; MOST];
        let mut passed = None;
        let was = self.known.find(socket.cookie, scope).and_then(|number| {
            let entry = self.known.entry(number).copied();
            passed = entry.and_then(|entry| self.passed.window(&entry, self.known.bucket(number)));
            let words = self.known.words(number);
            before.get_mut(..words.len())?.copy_from_slice(words);
            let was = self.known.entry(number).copied();
            self.known.remove(number);
            was
        });
        if was.is_none() && self.stay.as_ref().is_some_and(Stay::is_set) {
            return Ok(());
        }
        if was.is_some_and(|was| was.has(flag::INFERRED)) {
            // It was missing and so already counted as closed, with a lost report.
            self.count.add_lost(netns, 1);
            return Ok(());
        }
        // The kernel's report lacks the inode and the owner.
        if let (Some(at), Some(_)) = (self.inode_at, was) {
            socket.inode = before.get(at).copied().unwrap_or(0);
        }
        // For an aborted connection it lacks the addresses and ports, too.
        let is_cut = was.is_some() && self.places.restore(&mut socket, before.get(self.places_at..));
        let table = socket.sub_table().unwrap_or(socket.origin.table);
        let slots = self.slots;
        let (earlier, first_seen_ns, opening_seen) = match was {
            Some(was) => {
                let earlier = earlier_of(&was, passed, &self.windows, &slots, &before);
                (earlier, was.first_seen_ns(), was.has(flag::OPENING_SEEN))
            }
            None if self.was_complete(&self.complete, netns, table) => {
                (self.nothing_before(&slots, &before), begin.end_ns(), true)
            }
            None => (None, begin.end_ns(), false),
        };
        let mut seen = was.as_ref().map(last_seen).unwrap_or_default();
        seen.is_cut = is_cut;
        let mut past = Past { window: begin, first_seen_ns, opening_seen, earlier, ended: Some(seen) };
        let matched = was.is_some_and(|was| was.has(flag::MATCHED));
        // If only the filter kept it out so far, its last row may still pass.
        let was_asked = match was {
            Some(was) => was.has(flag::SHOWN) || !self.hidden.contains_number(was.state),
            None => self.asked.intersects(lived(&socket)),
        };
        let may_show = self.reads_ending && (matched || was_asked);
        if may_show && self.count.look_ups < MOST_LOOK_UPS && is_open(&socket, &past) {
            self.count.look_ups += 1;
            seen.closed_first = session.closed_first(scope_number, &socket, was.is_some());
            past.ended = Some(seen);
        }
        let is_unheld = was.is_none() && self.inode_at.is_some();
        let holders = self.orphans.take(socket.inode);
        let before = self.holders_before.clone();
        let before = holders
            .as_deref()
            .map(|holders| holders as &dyn HolderCache)
            .or(before.as_ref().map(|before| before as &dyn HolderCache));
        session.show_ended(scope_number, &socket, |row| {
            let mut row = Row { past: Some(&past), ..*row };
            if let (Some(now), Some(before)) = (row.names.holders, before)
                && !is_held(now, socket.inode)
            {
                row.names.holders = Some(before);
            }
            // An aborted connection that no look saw has no addresses to filter on.
            if matched || was_asked && self.passes(&row) {
                self.count.closed += 1;
                self.count.brief += u64::from(was.is_none() && opening_seen);
                self.count.unheld += u64::from(is_unheld);
                return sink.row(Seen::Closed, &row);
            }
            self.count.untested += u64::from(is_unheld && was_asked && self.tests_processes());
            Ok(())
        })
    }

    /// Judges the sockets that the poll did not report, after its end.
    pub(in crate::observer) fn sweep<S: FrameSink>(
        &mut self,
        course: &Course,
        tables: TableSet,
        window: Window,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        if !self.count.has_holes {
            self.complete.extend(course.visited.iter().map(|netns| {
                let failed = course.failed.iter().chain(&self.count.without_cookie);
                let failed = failed.filter(|(at, _)| at == netns);
                (*netns, failed.fold(tables, |left, (_, table)| left.minus(beside(*table, tables))))
            }));
        }
        let second = window.end_ns() / 1_000_000_000;
        let before = self.latest.map_or(0, |latest| latest.end_ns() / 1_000_000_000);
        let now = Now { second, is_slow: second.saturating_sub(before) >= 16 - u64::from(LATEST) };
        let mut number = 0;
        while let Some(entry) = self.known.entry(number).copied() {
            let netns = self.scopes.get(usize::from(entry.scope)).copied().unwrap_or(0);
            match self.verdict(number, &entry, netns, course, now) {
                Verdict::Here => {
                    if let Some(entry) = self.known.entry_mut(number) {
                        entry.set(flag::SEEN, false);
                    }
                    number += 1;
                    continue;
                }
                Verdict::PassedOver => {
                    // Write only on a change: a dirty cache line has to be written back.
                    if entry.window != PASSED_OVER
                        && let Some(entry) = self.known.entry_mut(number)
                    {
                        entry.window = PASSED_OVER;
                    }
                    self.count.sockets += u64::from(entry.has(flag::MATCHED));
                    self.count.passed_over += 1;
                    number += 1;
                    continue;
                }
                Verdict::Keep(flags) => {
                    self.keep(number, &entry, flags);
                    if flags != 0
                        && let Some(entry) = self.known.entry_mut(number)
                    {
                        entry.miss(now.second);
                    }
                    number += 1;
                    if flags != flag::INFERRED {
                        continue;
                    }
                }
                Verdict::Closed => self.known.remove(number),
                Verdict::Forget => {
                    self.known.remove(number);
                    continue;
                }
            }
            if entry.has(flag::SHOWN) {
                self.count.closed += 1;
                let first_seen_ns = entry.first_seen_ns();
                sink.gone(&Gone {
                    cookie: entry.cookie,
                    netns_inode: netns,
                    state: entry.state,
                    age_ms: window.end_ns().saturating_sub(first_seen_ns) / 1_000_000,
                    opening_seen: entry.has(flag::OPENING_SEEN),
                })?;
            }
        }
        if self.stay.as_ref().is_some_and(Stay::is_set) {
            // Any other lost reports were about sockets that are not followed.
            self.count.lost.clear();
        }
        Ok(())
    }

    fn verdict(&mut self, number: u32, entry: &Entry, netns: u64, course: &Course, now: Now) -> Verdict {
        let Now { second, is_slow } = now;
        if entry.has(flag::SEEN) {
            return Verdict::Here;
        }
        if self.passed.is_passed_over(entry, self.known.bucket(number)) {
            return Verdict::PassedOver;
        }
        if !course.visited.contains(&netns) {
            // The namespace has ended, or may not be entered any more.
            return Verdict::Forget;
        }
        let bit = 1_u32.checked_shl(entry.table.into()).unwrap_or(0);
        let is_complete = self.complete.iter().any(|(at, tables)| *at == netns && tables.bits() & bit != 0);
        if !is_complete {
            return Verdict::Keep(0);
        }
        // The kernel's reports are delayed, on a busy machine by seconds.
        let is_over = is_slow || entry.missed_for(second) >= LATEST;
        if entry.has(flag::INFERRED) {
            return if is_over { Verdict::Forget } else { Verdict::Keep(0) };
        }
        if TOLD.bits() & bit == 0 || !self.told.contains(&netns) {
            return Verdict::Closed;
        }
        if is_request(entry.state) && !entry.has(flag::SHOWN) {
            // The kernel does not report it, so no report was lost.
            return Verdict::Forget;
        }
        if let Some((_, lost)) = self.count.lost.iter_mut().find(|(at, lost)| *at == netns && *lost > 0) {
            *lost -= 1;
            return Verdict::Keep(flag::INFERRED);
        }
        match entry.has(flag::MISSED) {
            false => Verdict::Keep(flag::MISSED),
            // The kernel would have reported its end by now: it is open, but no longer
            // matches the question.
            true if is_over => Verdict::Forget,
            true => Verdict::Keep(0),
        }
    }
}

/// The time at which a look is judged.
#[derive(Clone, Copy)]
struct Now {
    /// Seconds since boot.
    second: u64,
    /// Whether the previous look was so long ago that a counter modulo 16 seconds is
    /// ambiguous.
    is_slow: bool,
}

/// The last known state of a socket before it ended.
fn last_seen(was: &Entry) -> LastSeen {
    let connected = match (was.has(flag::CONNECTED), was.has(flag::ACCEPTED)) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    };
    LastSeen { state: Some(was.state), connected, ..LastSeen::default() }
}

/// Whether it is unknown which end of a connection closed first.
fn is_open(socket: &Socket<'_>, past: &Past<'_>) -> bool {
    let Some(info) = socket.tcp_info().filter(|_| socket.remote.port != 0) else { return false };
    let ending = Ending::of(socket, past.ended.unwrap_or_default(), past.gain(Counter::BytesReceived, info));
    matches!(ending, Ending::InOrder | Ending::Unknown)
}

/// The states that a socket was in while no look saw it, as far as its last report shows.
fn lived(socket: &Socket<'_>) -> StateSet {
    if ending::was_unconnected(socket) {
        // It was a listener, or idle.
        return StateSet::LISTENING;
    }
    match socket.tcp_info().and_then(ending::was_made) {
        Some(false) => StateSet::only(State::SynSent),
        _ => StateSet::CONN.minus(StateSet::BOUND_INACTIVE),
    }
}

/// The decision about a socket after a look.
enum Verdict {
    /// The look saw it.
    Here,
    /// Its bucket was skipped, since nothing changed there.
    PassedOver,
    /// The look did not see it, but it may still exist, or a report about it may come.
    Keep(u8),
    /// It is closed.
    Closed,
    /// It is no longer one of the sockets asked for.
    Forget,
}

/// The tables that are read together with this one.
fn beside(table: Table, tables: TableSet) -> TableSet {
    if table.message_kind() == MessageKind::Inet {
        return TableSet::only(table);
    }
    let together = tables.iter().filter(|other| other.message_kind() == table.message_kind());
    together.fold(TableSet::only(table), |all, other| all.union(TableSet::only(other)))
}
