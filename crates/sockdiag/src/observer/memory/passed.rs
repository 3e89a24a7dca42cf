//! Sockets that a look was not told of, since nothing changed of them.
//!
//! Invariant: a socket counts as passed over only if it was there when its bucket was read
//! last.

use super::Memory;
use crate::model::{Table, Window};
use crate::observer::table::{Entry, PASSED_OVER, flag};
use crate::source::Passage;

/// What looks passed over.
#[derive(Debug, Default)]
pub(in crate::observer) struct Passed {
    /// At the latest look, if it did.
    passage: Option<Passage>,
    /// The same of the look before, while a look is made.
    before: Option<Passage>,
    /// Whether only sockets are taken that were not told of at this look.
    pub(in crate::observer) completes: bool,
    /// Sockets of which something changed, by their cookies, while a look checks which would
    /// have been passed over.
    changed: Option<Vec<u64>>,
    /// How many of them would have been, at a look that checked it.
    missed: Option<u64>,
}

impl Passed {
    pub(super) fn begin_poll(&mut self) {
        self.before = self.passage.take();
        self.missed = None;
    }

    /// The look came to nothing.
    pub(super) fn give_up(&mut self) {
        self.passage = self.before.take();
        self.changed = None;
    }

    /// The look tells of all sockets, to see which of them changed.
    pub(in crate::observer) fn check(&mut self) {
        self.changed = Some(Vec::new());
    }

    /// Compares what was kept of a socket with what is kept now.
    pub(super) fn compare(&mut self, was: &Entry, now: &Entry, before: Option<&[u32]>, words: &[u32]) {
        let Some(changed) = &mut self.changed else { return };
        let words = before.and_then(|before| words.get(..before.len()));
        if (was.state, was.had(), before) != (now.state, now.had(), words) {
            changed.push(was.cookie);
        }
    }

    /// Whether the look checked what would have been passed over, and how many sockets of it
    /// had changed.
    pub(in crate::observer) fn checked(&self) -> (bool, u64) {
        (self.missed.is_some(), self.missed.unwrap_or(0))
    }

    /// Whether the latest look passed something over.
    pub(in crate::observer) fn is_partial(&self) -> bool {
        self.passage.as_ref().is_some_and(|passage| !passage.is_whole() && !passage.is_broken)
    }

    /// When the bucket of a socket was read that the latest look passed over.
    pub(super) fn window(&self, entry: &Entry, bucket: u32) -> Option<Window> {
        self.passage.as_ref().filter(|_| entry.window == PASSED_OVER)?.window(bucket)
    }

    /// The same of the look before, while a look is made.
    pub(super) fn window_before(&self, entry: &Entry, bucket: u32) -> Option<Window> {
        self.before.as_ref().filter(|_| entry.window == PASSED_OVER)?.window(bucket)
    }

    /// Whether a socket that the look was not told of is as it was.
    pub(super) fn is_passed_over(&self, entry: &Entry, bucket: u32) -> bool {
        // One that was missing when its bucket was read last still is.
        entry.table == Table::Tcp as u8
            && entry.flags & (flag::MISSED | flag::INFERRED) == 0
            && self.passage.as_ref().is_some_and(|passage| passage.passed_over(bucket))
    }
}

impl Memory {
    /// Takes what a poll of the one namespace passed over.
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
