//! Sockets that a look did not report because they did not change.
//!
//! Invariant: a socket counts as skipped only if it was there when its bucket was last
//! read.

use super::Memory;
use crate::model::{Table, Window};
use crate::observer::table::{Entry, PASSED_OVER, flag};
use crate::source::Passage;

/// What the looks skipped.
#[derive(Debug, Default)]
pub(in crate::observer) struct Passed {
    /// The result of the latest look, if it skipped sockets.
    passage: Option<Passage>,
    /// The result of the previous look, while a look is made.
    before: Option<Passage>,
    /// Whether only sockets are taken that this look has not reported yet.
    pub(in crate::observer) completes: bool,
    /// Cookies of sockets that changed, while a look checks which sockets would have been
    /// skipped.
    changed: Option<Vec<u64>>,
    /// How many of these would have been skipped; `None` if the look did not check.
    missed: Option<u64>,
}

impl Passed {
    pub(super) fn begin_poll(&mut self) {
        self.before = self.passage.take();
        self.missed = None;
    }

    /// Restores the state before the look, which failed.
    pub(super) fn give_up(&mut self) {
        self.passage = self.before.take();
        self.changed = None;
    }

    /// Makes this look, which reports all sockets, record which of them changed.
    pub(in crate::observer) fn check(&mut self) {
        self.changed = Some(Vec::new());
    }

    /// Records a socket as changed if its kept values differ.
    pub(super) fn compare(&mut self, was: &Entry, now: &Entry, before: Option<&[u32]>, words: &[u32]) {
        let Some(changed) = &mut self.changed else { return };
        let words = before.and_then(|before| words.get(..before.len()));
        if (was.state, was.had(), before) != (now.state, now.had(), words) {
            changed.push(was.cookie);
        }
    }

    /// Whether the look checked what would have been skipped, and how many of those sockets
    /// had changed.
    pub(in crate::observer) fn checked(&self) -> (bool, u64) {
        (self.missed.is_some(), self.missed.unwrap_or(0))
    }

    /// Whether the latest look skipped sockets.
    pub(in crate::observer) fn is_partial(&self) -> bool {
        self.passage.as_ref().is_some_and(|passage| !passage.is_whole() && !passage.is_broken)
    }

    /// When the bucket of a socket that the latest look skipped was read.
    pub(super) fn window(&self, entry: &Entry, bucket: u32) -> Option<Window> {
        self.passage.as_ref().filter(|_| entry.window == PASSED_OVER)?.window(bucket)
    }

    /// The same for the previous look, while a look is made.
    pub(super) fn window_before(&self, entry: &Entry, bucket: u32) -> Option<Window> {
        self.before.as_ref().filter(|_| entry.window == PASSED_OVER)?.window(bucket)
    }

    /// Whether a socket that the look did not report is unchanged.
    pub(super) fn is_passed_over(&self, entry: &Entry, bucket: u32) -> bool {
        // A socket that was missing when its bucket was last read is still missing.
        entry.table == Table::Tcp as u8
            && entry.flags & (flag::MISSED | flag::INFERRED) == 0
            && self.passage.as_ref().is_some_and(|passage| passage.passed_over(bucket))
    }
}

impl Memory {
    /// Records what a poll of the only namespace skipped.
    pub(in crate::observer) fn take_passage(&mut self, netns: u64, mut passage: Passage) {
        self.count.has_holes |= passage.is_broken;
        let Some(scope) = self.scope(netns) else { return };
        let changed = self.passed.changed.take();
        let mut missed = 0;
        let changed = changed.map(|mut changed| {
            changed.sort_unstable();
            changed
        });
        for (cookie, bucket) in passage.told() {
            if let Some(number) = self.known.find(*cookie, scope) {
                self.known.set_bucket(number, *bucket);
            }
            if let Some(changed) = &changed
                && passage.is_same(*bucket)
                && changed.binary_search(cookie).is_ok()
            {
                missed += 1;
            }
        }
        passage.forget_told();
        self.passed.missed = changed.map(|_| missed);
        self.passed.passage = Some(passage);
    }
}
