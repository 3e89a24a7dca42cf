//! Decides when looks may skip sockets that did not change.
//!
//! Invariant: a look skips sockets only if everything reported before was processed, and if
//! the filter's result for a skipped row cannot change.

use std::sync::Arc;

use super::Unless;
use super::memory::Memory;
use crate::fields::Needs;
use crate::model::Window;
use crate::session::Session;
use crate::source::{ActiveWalk, Instead, OF_THE_SOCKET, Watched};

/// With fewer sockets than this, dumps are cheap.
const FEW: usize = 25_000;
/// The time between two looks that report all sockets, in nanoseconds.
const CHECK_NS: u64 = 30_000_000_000;

/// State of the looks that skip unchanged sockets.
#[derive(Debug, Default)]
pub(super) struct Active {
    /// Which values must be unchanged for a socket to be skipped; `None` turns skipping
    /// off.
    pub(super) unless: Option<Unless>,
    walk: Option<Arc<ActiveWalk>>,
    /// The namespace that is walked.
    netns: u64,
    /// Whether this look uses the walk.
    is_asked: bool,
    /// Whether a look that skipped sockets was not enough for the sink.
    was_short: bool,
    /// When the last look that reported all sockets was made.
    checked_ns: u64,
}

impl Active {
    /// The walk to ask in place of dumps in this poll, if sockets may be skipped.
    pub(super) fn plan(
        &mut self,
        session: &Session,
        memory: &mut Memory,
        begin: Window,
    ) -> Option<Vec<(u64, Arc<dyn Instead>)>> {
        self.is_asked = false;
        let netns = session.only_netns();
        let filter = session.filter().map(|filter| filter.needs());
        let may = self.unless.is_some()
            && memory.stay.is_none()
            && memory.watched.is_empty()
            && (memory.known.len() >= FEW || session.is_to_walk())
            && memory.latest.is_some()
            && netns == Some(self.netns)
            // The filter must not depend on time, which could change its result.
            && filter.is_none_or(|needs| needs.minus(OF_THE_SOCKET) == Needs::NONE);
        if !may {
            self.forget();
            self.netns = netns.unwrap_or(0);
            if self.unless.is_none() || netns.is_none() {
                self.walk = None;
            }
            return None;
        }
        self.is_asked = true;
        let fields = match self.unless {
            Some(Unless::Fields(needs)) => Some(needs.union(filter.unwrap_or_default())),
            _ => filter,
        };
        let watched = Watched { fields, counters: session.needs().counters() };
        let walk = match self.walk.take().filter(|walk| walk.watched() == watched) {
            Some(walk) => self.walk.insert(walk),
            None => self.walk.insert(Arc::new(ActiveWalk::new(watched))),
        };
        let is_due = begin.end_ns().saturating_sub(self.checked_ns) >= CHECK_NS;
        walk.be_whole(is_due || self.was_short);
        if is_due {
            self.checked_ns = begin.end_ns();
            memory.passed.check();
        }
        let walk: Arc<dyn Instead> = walk.clone();
        Some(vec![(self.netns, walk)])
    }

    /// Records which sockets the poll skipped.
    pub(super) fn take(&self, memory: &mut Memory, is_whole: bool) {
        let Some(walk) = self.walk.as_ref().filter(|_| self.is_asked) else { return };
        match walk.take_passage() {
            Some(passage) => memory.take_passage(self.netns, passage),
            // Another source reported all sockets.
            None => walk.forget(),
        }
        if !is_whole || memory.count.has_holes {
            walk.forget();
        }
    }

    /// Whether the reported sockets were too few; then the next look reports all.
    pub(super) fn is_short(&mut self, is_enough: bool) -> bool {
        self.was_short = !is_enough;
        self.is_asked && self.was_short
    }

    /// Makes the same look report the remaining sockets.
    pub(super) fn complete(&self, memory: &mut Memory) {
        memory.passed.completes = true;
        if let Some(walk) = &self.walk {
            walk.be_whole(true);
        }
    }

    /// Makes the next walk report all sockets, since the last report was not processed.
    pub(super) fn forget(&self) {
        if let Some(walk) = &self.walk {
            walk.forget();
        }
    }
}
