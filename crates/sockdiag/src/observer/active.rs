//! When looks pass over sockets of which nothing changed.
//!
//! Invariant: a look passes something over only if what was told before was all taken, and
//! if no row that is passed over could be let through by the filter that was refused
//! before, or the other way round.

use std::sync::Arc;

use super::Unless;
use super::memory::Memory;
use crate::fields::Needs;
use crate::model::Window;
use crate::session::Session;
use crate::source::{ActiveWalk, Instead, OF_THE_SOCKET, Watched};

/// With fewer sockets dumps cost little.
const FEW: usize = 25_000;
/// From one look that tells of all sockets to the next, in nanoseconds.
const CHECK_NS: u64 = 30_000_000_000;

/// Looks that pass over sockets.
#[derive(Debug, Default)]
pub(super) struct Active {
    /// What is read of sockets that are passed over, if somebody wants it.
    pub(super) unless: Option<Unless>,
    walk: Option<Arc<ActiveWalk>>,
    /// The namespace.
    netns: u64,
    /// Whether the walk is asked at this look.
    is_asked: bool,
    /// Whether a look was not enough that passes something over.
    was_short: bool,
    /// When a look told of all sockets last.
    checked_ns: u64,
}

impl Active {
    /// What the poll that begins now asks instead of dumps, if it may pass something over.
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
            // Nor may the time let through what was refused before.
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

    /// Takes what the poll passed over.
    pub(super) fn take(&self, memory: &mut Memory, is_whole: bool) {
        let Some(walk) = self.walk.as_ref().filter(|_| self.is_asked) else { return };
        match walk.take_passage() {
            Some(passage) => memory.take_passage(self.netns, passage),
            // All sockets were told of by another source.
            None => walk.forget(),
        }
        if !is_whole || memory.count.has_holes {
            walk.forget();
        }
    }

    /// Whether the sockets that were told of are too few; then the next look tells of all.
    pub(super) fn is_short(&mut self, is_enough: bool) -> bool {
        self.was_short = !is_enough;
        self.is_asked && self.was_short
    }

    /// The rest is to follow.
    pub(super) fn complete(&self, memory: &mut Memory) {
        memory.passed.completes = true;
        if let Some(walk) = &self.walk {
            walk.be_whole(true);
        }
    }

    /// What was told is not known to anybody.
    pub(super) fn forget(&self) {
        if let Some(walk) = &self.walk {
            walk.forget();
        }
    }
}
