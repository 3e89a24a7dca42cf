//! The observer's memory between looks, and how a look updates it.
//!
//! Rows come from the poll one by one ([`Memory::live`]), ends from the destroy groups, and
//! sockets that appeared in neither are judged last (both in [`ends`]).
//!
//! Invariant: a socket counts as closed because the kernel reported it, or because its table
//! was read to the end without it and the kernel does not report closed sockets.

mod carry;
mod ends;
mod passed;
mod places;

use std::ops::ControlFlow;

pub(super) use passed::Passed;
pub(super) use places::Places;

use super::orphans::Orphans;
use super::stay::Stay;
use super::table::{Entry, Known, NO_WINDOW, PASSED_OVER, flag};
use super::{Changes, FrameSink, Seen};
use crate::ending;
use crate::enrich::HoldersBefore;
use crate::fields::{Choice, Needs};
use crate::model::{
    HolderCache, MessageKind, Row, Socket, SourceKind, State, StateSet, Table, TableSet, Window,
};
use crate::notice::Notice;
use crate::past::{Earlier, MOST_WORDS, Past, Slots};
use crate::session::Test;
use crate::sink::Sink;
use crate::source::DumpError;

/// How many fields are watched for changes, at most.
pub(super) const MOST_WATCHED: usize = 32;

/// Words kept for a socket, at most.
const MOST: usize = MOST_WORDS + 1 + Places::WORDS + MOST_WATCHED;

/// Everything that is remembered about sockets between two looks.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) known: Known,
    slots: Slots,
    /// The position of the inode word, which leads to the processes of an ended socket.
    inode_at: Option<usize>,
    /// The position of a connection's addresses and ports, and the addresses themselves.
    places_at: usize,
    places: Places,
    /// The position of the values of watched fields.
    watched_at: usize,
    pub(super) watched: Vec<Choice>,
    /// States that are read but not shown.
    hidden: StateSet,
    /// States that are shown.
    asked: StateSet,
    /// Whether a field is read that reports how sockets ended.
    reads_ending: bool,
    /// Whether idle bound TCP sockets are shown, whose state is the same as that of closed
    /// sockets.
    shows_bound: bool,
    /// Inodes of namespaces, indexed by the number in an entry.
    scopes: Vec<u64>,
    /// The windows in which the sockets of the latest look were read.
    windows: Vec<Window>,
    /// `windows` of the previous look, while a look is made.
    earlier: Vec<Window>,
    /// The tables that the latest look read to their end, by namespace.
    complete: Vec<(u64, TableSet)>,
    /// `complete` of the previous look, while a look is made.
    complete_before: Vec<(u64, TableSet)>,
    /// Namespaces for which the kernel reports closed sockets.
    pub(super) told: Vec<u64>,
    pub(super) tests: Vec<Test>,
    /// The index of the test used last, and the number of its namespace.
    last_test: (usize, u16),
    /// When the latest look was made.
    pub(super) latest: Option<Window>,
    pub(super) count: Counts,
    /// Scratch space for the text of a watched field.
    text: Vec<u8>,
    /// The processes of each socket at the previous poll.
    pub(super) holders_before: Option<HoldersBefore>,
    /// The last processes of sockets that no process has open any more.
    orphans: Orphans,
    /// The only sockets that are followed; `None` follows all.
    pub(super) stay: Option<Stay>,
    /// The sockets that were not reported because they did not change.
    pub(super) passed: Passed,
}

/// The counts of a look.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) sockets: u64,
    pub(super) opened: u64,
    pub(super) closed: u64,
    pub(super) changed: u64,
    /// Rows without a cookie.
    pub(super) untracked: u64,
    /// Messages about ended sockets that the kernel dropped, by namespace, less the missing
    /// sockets that account for them.
    lost: Vec<(u64, u64)>,
    /// Tables with rows that have no cookie.
    without_cookie: Vec<(u64, Table)>,
    /// Closed sockets that no look saw.
    pub(super) brief: u64,
    /// Closed sockets whose processes were not seen, whether shown or not.
    pub(super) unheld: u64,
    pub(super) untested: u64,
    /// Sockets that were skipped, whether shown or not.
    pub(super) passed_over: u64,
    /// How many ended connections were looked up.
    look_ups: u32,
    /// Whether replies are missing, from any table.
    pub(super) has_holes: bool,
}

impl Counts {
    pub(super) fn lost(&self) -> u64 {
        self.lost.iter().fold(0, |all, (_, lost)| all.saturating_add(*lost))
    }

    fn add_lost(&mut self, netns: u64, lost: u64) {
        match self.lost.iter_mut().find(|(of, _)| *of == netns) {
            Some((_, had)) => *had += lost,
            None => self.lost.push((netns, lost)),
        }
    }
}

impl Memory {
    pub(super) fn new(needs: Needs, watched: Vec<Choice>, asked: StateSet, hidden: StateSet) -> Self {
        let slots = Slots::of(needs.counters());
        let inode_at = needs.has(Needs::PROCESSES).then_some(slots.words());
        let places_at = slots.words() + usize::from(inode_at.is_some());
        let watched_at = places_at + Places::WORDS;
        Self {
            known: Known::new(watched_at + watched.len()),
            slots,
            inode_at,
            places_at,
            places: Places::default(),
            watched_at,
            watched,
            hidden,
            asked,
            reads_ending: needs.has(Needs::ENDING),
            shows_bound: asked.contains(State::BoundInactive),
            scopes: Vec::new(),
            windows: Vec::new(),
            earlier: Vec::new(),
            complete: Vec::new(),
            complete_before: Vec::new(),
            told: Vec::new(),
            tests: Vec::new(),
            last_test: (0, 0),
            latest: None,
            count: Counts::default(),
            text: Vec::new(),
            holders_before: None,
            orphans: Orphans::default(),
            stay: None,
            passed: Passed::default(),
        }
    }

    /// Begins a look.
    pub(super) fn begin(&mut self) {
        let Counts { mut lost, mut without_cookie, .. } = std::mem::take(&mut self.count);
        lost.clear();
        without_cookie.clear();
        self.count = Counts { lost, without_cookie, ..Counts::default() };
    }

    /// Begins the poll, after the ended sockets were read.
    pub(super) fn begin_poll(&mut self) {
        std::mem::swap(&mut self.windows, &mut self.earlier);
        std::mem::swap(&mut self.complete, &mut self.complete_before);
        self.windows.clear();
        self.complete.clear();
        self.passed.begin_poll();
    }

    /// Forgets the test used last: the list of tests was replaced.
    pub(super) fn leave(&mut self) {
        self.last_test = (usize::MAX, 0);
    }

    /// The look failed: sockets that it did not see keep what was known before.
    pub(super) fn give_up(&mut self) {
        self.complete.clear();
        self.passed.give_up();
        for number in 0..u32::try_from(self.known.len()).unwrap_or(u32::MAX) {
            let Some(entry) = self.known.entry(number).copied() else { break };
            if entry.window == PASSED_OVER && !entry.has(flag::SEEN) {
                // Skipped: its window is that of the earlier look, which is kept.
            } else if !entry.has(flag::SEEN) {
                self.keep(number, &entry, 0);
            } else if let Some(entry) = self.known.entry_mut(number) {
                entry.set(flag::SEEN, false);
            }
        }
    }

    /// Keeps what was known about a socket that this look did not see.
    fn keep(&mut self, number: u32, entry: &Entry, flags: u8) {
        let then = self.passed.window_before(entry, self.known.bucket(number));
        let then = then.or_else(|| self.earlier.get(entry.window as usize).copied());
        let at = self.window(then);
        if let Some(entry) = self.known.entry_mut(number) {
            entry.window = at;
            entry.set(flags, true);
        }
    }

    /// The number of a namespace; `None` if there are more than an entry can hold.
    fn scope(&mut self, netns: u64) -> Option<u16> {
        let at = self.scopes.iter().position(|known| *known == netns).unwrap_or_else(|| {
            self.scopes.push(netns);
            self.scopes.len() - 1
        });
        u16::try_from(at).ok()
    }

    /// Selects the filter of a namespace, and returns the namespace's number.
    #[inline]
    fn enter(&mut self, netns: u64) -> Option<u16> {
        let (at, scope) = self.last_test;
        if self.tests.get(at).is_some_and(|test| test.netns == netns) {
            return Some(scope);
        }
        let scope = self.scope(netns)?;
        self.last_test = (self.tests.iter().position(|test| test.netns == netns)?, scope);
        Some(scope)
    }

    /// Whether the filter of the current namespace accepts a row.
    fn passes(&self, row: &Row<'_>) -> bool {
        let Some(test) = self.tests.get(self.last_test.0) else { return false };
        test.filter.as_ref().is_none_or(|filter| filter.eval(row, test.context))
    }

    /// Whether the filter of the current namespace has conditions on processes.
    fn tests_processes(&self) -> bool {
        let filter = self.tests.get(self.last_test.0).and_then(|test| test.filter.as_ref());
        filter.is_some_and(|filter| filter.field_with(Needs::PROCESSES).is_some())
    }

    /// Whether the socket is in a state that was asked for.
    fn is_shown(&self, socket: &Socket<'_>) -> bool {
        let is_bound = self.shows_bound
            && socket.state == State::Close as u8
            && socket.message_kind() == MessageKind::Inet
            && socket.origin.table == Table::Tcp;
        is_bound || socket.origin.kind == SourceKind::Recording || !self.hidden.contains_number(socket.state)
    }

    /// Whether a look read this table to its end, given the complete tables of that look.
    fn was_complete(&self, of: &[(u64, TableSet)], netns: u64, table: Table) -> bool {
        self.latest.is_some() && of.iter().any(|(at, tables)| *at == netns && tables.contains(table))
    }

    /// The number of a window; rows that were read together share one.
    #[inline]
    fn window(&mut self, window: Option<Window>) -> u32 {
        let Some(window) = window else { return NO_WINDOW };
        if self.windows.last() != Some(&window) {
            self.windows.push(window);
        }
        u32::try_from(self.windows.len() - 1).unwrap_or(NO_WINDOW)
    }

    /// Processes one row of the poll.
    pub(super) fn live<S: FrameSink>(&mut self, row: &Row<'_>, sink: &mut S) -> Result<(), S::Error> {
        let socket = row.socket;
        let netns = row.names.netns.map_or(0, |netns| netns.inode);
        let scope = self.enter(netns);
        let is_time_wait = ending::is_time_wait(socket);
        let table = row.table();
        let stays = self.stay.as_ref().is_some_and(Stay::is_set);
        if stays && !self.knows(row.cookie(), scope, is_time_wait) {
            return Ok(());
        }
        let (Some(cookie), Some(scope), false) = (row.cookie(), scope, is_time_wait) else {
            if self.passed.completes {
                // These rows were all reported earlier in this look.
                return Ok(());
            }
            if !is_time_wait {
                self.count.untracked += 1;
                if !self.count.without_cookie.contains(&(netns, table)) {
                    self.count.without_cookie.push((netns, table));
                }
            }
            if !self.is_shown(socket) || !self.passes(row) {
                return Ok(());
            }
            self.count.sockets += 1;
            return sink.row(if is_time_wait { Seen::TimeWait } else { Seen::Untracked }, row);
        };
        let number = self.known.find(cookie, scope);
        if self.passed.completes
            && number.and_then(|number| self.known.entry(number)).is_some_and(|entry| entry.has(flag::SEEN))
        {
            return Ok(());
        }
        let mut before = [0; MOST];
        let was = number.and_then(|number| {
            let words = self.known.words(number);
            before.get_mut(..words.len())?.copy_from_slice(words);
            self.known.entry(number).copied()
        });
        let now = socket.origin.window.or(self.latest).map_or(0, Window::end_ns);
        let number = number.or_else(|| {
            let mut entry = Entry::new(cookie, scope, now);
            entry.set(flag::OPENING_SEEN, self.was_complete(&self.complete_before, netns, table));
            self.known.insert(entry)
        });
        let window = self.window(socket.origin.window);
        let Some(number) = number else { return Ok(()) };
        let slots = self.slots;
        let had = slots.keep_of(socket, self.known.words_mut(number));
        // Its process closed it, but the kernel still keeps it: attribute it to that
        // process.
        let mut orphan = None;
        if let Some(at) = self.inode_at
            && let Some(word) = self.known.words_mut(number).get_mut(at)
        {
            if socket.inode == 0 && *word != 0 {
                let holders = self.holders_before.as_ref().map(|before| self.orphans.of(*word, before));
                orphan = Some((Socket { inode: *word, ..*socket }, holders));
            } else {
                *word = socket.inode;
            }
        }
        if let Some(words) = self.known.words_mut(number).get_mut(self.places_at..) {
            self.places.keep(socket, words);
        }
        let Some(entry) = self.known.entry_mut(number) else { return Ok(()) };
        (entry.window, entry.table, entry.state) = (window, table as u8, socket.state);
        entry.set_had(had);
        entry.set(flag::SEEN, true);
        entry.set(flag::MISSED | flag::INFERRED, false);
        if let Some(made) = ending::made_connection(socket) {
            entry.set(flag::CONNECTED, made);
            entry.set(flag::ACCEPTED, !made);
        }
        let entry = *entry;
        if let Some(was) = was.filter(|was| !was.has(flag::SEEN)) {
            self.passed.compare(&was, &entry, before.get(..slots.words()), self.known.words(number));
        }
        let earlier = match was {
            Some(was) if was.has(flag::SEEN) => None,
            Some(was) => {
                let passed = self.passed.window_before(&was, self.known.bucket(number));
                earlier_of(&was, passed, &self.earlier, &slots, &before)
            }
            None if entry.has(flag::OPENING_SEEN) => self.nothing_before(&slots, &before),
            None => None,
        };
        let past = Past {
            window: socket.origin.window.or(self.latest).unwrap_or(Window::new(1, 1)),
            first_seen_ns: entry.first_seen_ns(),
            opening_seen: entry.has(flag::OPENING_SEEN),
            earlier,
            ended: None,
        };
        let mut row = Row { past: Some(&past), ..*row };
        if let Some((socket, holders)) = &orphan {
            row.socket = socket;
            row.names.holders = holders.as_deref().map(|holders| holders as &dyn HolderCache);
        }
        let matched = self.is_shown(socket) && self.passes(&row);
        let changed_fields = if matched { self.look_at_watched(number, &row, &before) } else { 0 };
        let was_shown = entry.has(flag::SHOWN);
        let is_request = is_request(socket.state);
        if let Some(entry) = self.known.entry_mut(number) {
            entry.set(flag::MATCHED, matched);
            entry.set(flag::SHOWN, matched && !is_request || was_shown);
        }
        if !matched {
            return Ok(());
        }
        if let Some(stay) = self.stay.as_mut().filter(|stay| !stay.is_set())
            && !was.is_some_and(|was| was.has(flag::SEEN))
        {
            stay.add(netns, socket);
        }
        self.count.sockets += 1;
        let seen = match was {
            Some(was) if was_shown => {
                let state_was = (was.state != socket.state).then_some(was.state);
                let changes = Changes { state_was, fields: changed_fields };
                if changes == Changes::default() { Seen::Known } else { Seen::Changed(changes) }
            }
            _ if entry.has(flag::OPENING_SEEN) && !is_request => Seen::Opened,
            _ => Seen::Known,
        };
        self.count.opened += u64::from(seen == Seen::Opened);
        self.count.changed += u64::from(matches!(seen, Seen::Changed(_)));
        sink.row(seen, &row)
    }

    /// Whether a socket is known; a TIME-WAIT socket is not the connection that it remains
    /// of.
    fn knows(&self, cookie: Option<u64>, scope: Option<u16>, is_time_wait: bool) -> bool {
        let known = cookie.zip(scope).and_then(|(cookie, scope)| self.known.find(cookie, scope));
        known.is_some() && !is_time_wait
    }

    /// From now on only the sockets of the latest look are followed.
    pub(super) fn set_stay(&mut self) {
        let Some(stay) = &mut self.stay else { return };
        if stay.is_set() {
            return;
        }
        stay.set();
        let mut number = 0;
        while let Some(entry) = self.known.entry(number) {
            if entry.has(flag::MATCHED) { number += 1 } else { self.known.remove(number) }
        }
    }

    /// Removes ended sockets from those that are followed.
    pub(super) fn prune_stay(&mut self) {
        let Self { stay: Some(stay), scopes, known, .. } = self else { return };
        stay.retain(|netns, cookie| {
            let scope = scopes.iter().position(|at| *at == netns).and_then(|at| u16::try_from(at).ok());
            scope.is_some_and(|scope| known.find(cookie, scope).is_some())
        });
    }

    /// The earlier counters of a socket that is new since the previous look: all zero.
    fn nothing_before<'a>(&self, slots: &'a Slots, nothing: &'a [u32]) -> Option<Earlier<'a>> {
        Some(Earlier { window: self.latest?, slots, words: nothing, had: slots.wanted() })
    }

    /// Which watched fields changed, one bit each.
    fn look_at_watched(&mut self, number: u32, row: &Row<'_>, before: &[u32]) -> u32 {
        let mut changed = 0;
        for (at, choice) in self.watched.iter().enumerate() {
            self.text.clear();
            choice.put(&mut self.text, row);
            let hash = hash(&self.text);
            let at_word = self.watched_at + at;
            changed |= u32::from(before.get(at_word) != Some(&hash)) << at;
            if let Some(word) = self.known.words_mut(number).get_mut(at_word) {
                *word = hash;
            }
        }
        changed
    }
}

/// Whether a state is that of a connection request, which is not a socket yet.  The kernel
/// does not report its end.  When we ask for its cookie just as the connection is made, the
/// kernel may assign one, and the connection then gets another.
fn is_request(state: u8) -> bool {
    state == State::SynRecv as u8 || state == State::NewSynRecv as u8
}

/// The counters of a socket at an earlier look.
fn earlier_of<'a>(
    was: &Entry,
    passed: Option<Window>,
    windows: &[Window],
    slots: &'a Slots,
    words: &'a [u32],
) -> Option<Earlier<'a>> {
    let window = passed.or_else(|| windows.get(was.window as usize).copied())?;
    Some(Earlier { window, slots, words, had: was.had().union(slots.late(words)) })
}

/// FNV-1a, 32 bits.
fn hash(text: &[u8]) -> u32 {
    text.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// A sink that passes the rows of a poll to the memory.
pub(super) struct Look<'l, S: FrameSink> {
    pub(super) memory: &'l mut Memory,
    pub(super) sink: &'l mut S,
}

impl<S: FrameSink> Sink for Look<'_, S> {
    type Error = S::Error;

    fn row(&mut self, row: &Row<'_>) -> Result<ControlFlow<()>, S::Error> {
        self.memory.live(row, self.sink).map(ControlFlow::Continue)
    }

    fn notice(&mut self, notice: Notice) -> Option<Notice> {
        self.memory.count.has_holes |= notice.leaves_holes();
        self.sink.notice(notice)
    }

    fn failure(&mut self, failure: &DumpError) -> ControlFlow<()> {
        self.sink.failure(failure);
        ControlFlow::Continue(())
    }
}
