//! The memory of each socket from one look to the next.
//!
//! A socket takes an entry of 24 bytes, four to nine bytes of the index, and the words of
//! the counters that are read: under 100 bytes with all counters.  The memory grows by a
//! thirty-second at a time and is kept, so that looks at the same number of sockets
//! allocate nothing.
//!
//! Invariant: each socket has one entry, found by its cookie and its namespace.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "slots are numbered with 32 bits, and a hash is cut to the size of the index; tests count few"
)]

use crate::past::CounterSet;
use crate::source::NO_BUCKET;

/// A free index slot.
const EMPTY: u32 = u32::MAX;

/// Bits of [`Entry::flags`].
pub(super) mod flag {
    /// The current look saw it.
    pub(crate) const SEEN: u8 = 1;
    /// It opened after a look that read its table completely.
    pub(crate) const OPENING_SEEN: u8 = 2;
    /// It was missing from the last look, and its end was not reported yet.
    pub(crate) const MISSED: u8 = 4;
    /// It passed the filter when it was last seen.
    pub(crate) const MATCHED: u8 = 8;
    /// It passed the filter at some look.
    pub(crate) const SHOWN: u8 = 16;
    /// It was counted as closed because it was missing while reports were lost; its report
    /// may still come.
    pub(crate) const INFERRED: u8 = 32;
    /// It initiated its connection.
    pub(crate) const CONNECTED: u8 = 64;
    /// It accepted its connection.
    pub(crate) const ACCEPTED: u8 = 128;
}

/// The bits of the early counters ([`EARLY`](crate::past::EARLY)).
const COUNTERS: u16 = 0x0fff;

/// No window: the socket came from a source without a clock.
pub(super) const NO_WINDOW: u32 = u32::MAX;
/// The window is the one in which its bucket was read and skipped.
pub(super) const PASSED_OVER: u32 = u32::MAX - 1;

/// What is kept for each socket, besides its words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Its cookie.
    pub(super) cookie: u64,
    /// When it was first seen, in milliseconds since boot: the low 32 bits.
    first_low: u32,
    /// The number of the window in which it was last read.
    pub(super) window: u32,
    /// The number of its namespace.
    pub(super) scope: u16,
    /// Which counters it had, in the bits of [`COUNTERS`]; above them, the second in which
    /// it was first missed, modulo 16.
    had: u16,
    /// The number of its table.
    pub(super) table: u8,
    /// Its state.
    pub(super) state: u8,
    /// Further facts: [`flag`].
    pub(super) flags: u8,
    first_high: u8,
}

impl Entry {
    /// A socket that is first seen at this time.
    pub(super) fn new(cookie: u64, scope: u16, now_ns: u64) -> Self {
        let ms = now_ns / 1_000_000;
        Self {
            cookie,
            first_low: ms as u32,
            window: NO_WINDOW,
            scope,
            had: 0,
            table: 0,
            state: 0,
            flags: 0,
            first_high: (ms >> 32) as u8,
        }
    }

    /// Which counters it had.
    pub(super) fn had(&self) -> CounterSet {
        CounterSet::from_bits((self.had & COUNTERS).into())
    }

    pub(super) fn set_had(&mut self, had: CounterSet) {
        self.had = self.had & !COUNTERS | had.bits() as u16 & COUNTERS;
    }

    /// Records that it was first missed in this second.
    pub(super) fn miss(&mut self, second: u64) {
        self.had = self.had & COUNTERS | (second as u16) << 12;
    }

    /// Seconds since it was missed, modulo 16.
    pub(super) fn missed_for(&self, second: u64) -> u16 {
        (second as u16).wrapping_sub(self.had >> 12) & 15
    }

    /// When it was first seen, in nanoseconds since boot.
    pub(super) fn first_seen_ns(&self) -> u64 {
        (u64::from(self.first_high) << 32 | u64::from(self.first_low)).saturating_mul(1_000_000)
    }

    pub(super) fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    pub(super) fn set(&mut self, flags: u8, on: bool) {
        if on {
            self.flags |= flags;
        } else {
            self.flags &= !flags;
        }
    }
}

/// All known sockets.
#[derive(Debug)]
pub(super) struct Known {
    entries: Vec<Entry>,
    /// A fixed number of words for each entry.
    words: Vec<u32>,
    each: usize,
    /// Indices of entries, by hash; the length is a power of two.
    index: Vec<u32>,
    /// The bucket of each entry, if walks report buckets.
    buckets: Option<Vec<u32>>,
}

impl Known {
    /// An empty table with `each` words per entry.
    pub(super) fn new(each: usize) -> Self {
        Self { entries: Vec::new(), words: Vec::new(), each, index: vec![EMPTY; 64], buckets: None }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The memory that all entries use, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let entries = self.entries.capacity() * size_of::<Entry>();
        let buckets = self.buckets.as_ref().map_or(0, Vec::capacity);
        entries + (self.words.capacity() + self.index.capacity() + buckets) * size_of::<u32>()
    }

    fn place(&self, cookie: u64, scope: u16) -> usize {
        // Fibonacci hashing: cookies are consecutive numbers.
        let hash = (cookie ^ u64::from(scope) << 48).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (hash >> 32) as usize & (self.index.len() - 1)
    }

    /// The index slot of a socket's entry, or the free slot for it.
    fn probe(&self, cookie: u64, scope: u16) -> (usize, Option<u32>) {
        let mut at = self.place(cookie, scope);
        loop {
            let number = self.index.get(at).copied().unwrap_or(EMPTY);
            match self.entries.get(number as usize) {
                None => return (at, None),
                Some(entry) if entry.cookie == cookie && entry.scope == scope => return (at, Some(number)),
                Some(_) => at = (at + 1) & (self.index.len() - 1),
            }
        }
    }

    /// The number of a socket; it is valid until an entry is removed.
    pub(super) fn find(&self, cookie: u64, scope: u16) -> Option<u32> {
        self.probe(cookie, scope).1
    }

    /// Adds a socket that is not known; returns its number, or `None` if there are too
    /// many.
    pub(super) fn insert(&mut self, entry: Entry) -> Option<u32> {
        let number = u32::try_from(self.entries.len()).ok().filter(|number| *number < EMPTY)?;
        if self.entries.len() + 1 > self.index.len() / 8 * 7 {
            self.grow_index();
        }
        if self.entries.len() == self.entries.capacity() {
            let more = self.entries.len() / 32 + 64;
            self.entries.reserve_exact(more);
            self.words.reserve_exact(more * self.each);
            if let Some(buckets) = &mut self.buckets {
                buckets.reserve_exact(more);
            }
        }
        let (at, _) = self.probe(entry.cookie, entry.scope);
        if let Some(place) = self.index.get_mut(at) {
            *place = number;
        }
        self.entries.push(entry);
        self.words.resize(self.entries.len() * self.each, 0);
        if let Some(buckets) = &mut self.buckets {
            buckets.push(NO_BUCKET);
        }
        Some(number)
    }

    /// The bucket in which a walk found a socket.
    pub(super) fn bucket(&self, number: u32) -> u32 {
        let bucket = self.buckets.as_ref().and_then(|buckets| buckets.get(number as usize));
        bucket.copied().unwrap_or(NO_BUCKET)
    }

    /// Records the bucket in which a walk found a socket.
    pub(super) fn set_bucket(&mut self, number: u32, bucket: u32) {
        let Self { buckets, entries, .. } = self;
        let buckets = buckets.get_or_insert_with(|| {
            let mut buckets = Vec::new();
            buckets.reserve_exact(entries.capacity());
            buckets.resize(entries.len(), NO_BUCKET);
            buckets
        });
        if let Some(place) = buckets.get_mut(number as usize) {
            *place = bucket;
        }
    }

    fn grow_index(&mut self) {
        let places = self.index.len() * 2;
        // Free the old index first, so that both never take memory at once.
        self.index = Vec::new();
        self.index = vec![EMPTY; places];
        for number in 0..self.entries.len() {
            let Some(entry) = self.entries.get(number) else { continue };
            let mut at = self.place(entry.cookie, entry.scope);
            while self.index.get(at).is_some_and(|taken| *taken != EMPTY) {
                at = (at + 1) & (places - 1);
            }
            if let Some(place) = self.index.get_mut(at) {
                *place = number as u32;
            }
        }
    }

    /// Forgets a socket; the last entry moves to its number.
    pub(super) fn remove(&mut self, number: u32) {
        let Some(entry) = self.entries.get(number as usize).copied() else { return };
        let (at, _) = self.probe(entry.cookie, entry.scope);
        self.close_gap(at);
        let last = self.entries.len() - 1;
        if number as usize != last
            && let Some(moved) = self.entries.get(last).copied()
        {
            let (at, _) = self.probe(moved.cookie, moved.scope);
            if let Some(place) = self.index.get_mut(at) {
                *place = number;
            }
            let from = last * self.each;
            self.words.copy_within(from..from + self.each, number as usize * self.each);
        }
        self.entries.swap_remove(number as usize);
        self.words.truncate(self.entries.len() * self.each);
        if let Some(buckets) = &mut self.buckets {
            buckets.swap_remove(number as usize);
        }
    }

    /// Frees an index slot, and moves up entries that were placed further on because the
    /// slot was taken.
    fn close_gap(&mut self, mut gap: usize) {
        let mask = self.index.len() - 1;
        let mut at = gap;
        loop {
            at = (at + 1) & mask;
            let number = self.index.get(at).copied().unwrap_or(EMPTY);
            let Some(entry) = self.entries.get(number as usize) else { break };
            let home = self.place(entry.cookie, entry.scope);
            // An entry may move if the gap lies between its home slot and its present slot.
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(gap) & mask {
                self.index.swap(gap, at);
                gap = at;
            }
        }
        if let Some(place) = self.index.get_mut(gap) {
            *place = EMPTY;
        }
    }

    pub(super) fn entry(&self, number: u32) -> Option<&Entry> {
        self.entries.get(number as usize)
    }

    pub(super) fn entry_mut(&mut self, number: u32) -> Option<&mut Entry> {
        self.entries.get_mut(number as usize)
    }

    /// The words that are kept for a socket.
    pub(super) fn words(&self, number: u32) -> &[u32] {
        let from = number as usize * self.each;
        self.words.get(from..from + self.each).unwrap_or_default()
    }

    pub(super) fn words_mut(&mut self, number: u32) -> &mut [u32] {
        let from = number as usize * self.each;
        self.words.get_mut(from..from + self.each).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn it_is_a_map_by_cookie_and_namespace() {
        let mut random = fastrand::Rng::with_seed(7);
        let (mut known, mut model) = (Known::new(3), HashMap::new());
        for round in 0..60_000_u32 {
            let (cookie, scope) = (random.u64(..3000), random.u16(..3));
            let number = known.find(cookie, scope);
            assert_eq!(number.is_some(), model.contains_key(&(cookie, scope)), "round {round}");
            if let Some(number) = number {
                assert_eq!(known.words(number), model[&(cookie, scope)]);
                if random.bool() {
                    known.remove(number);
                    model.remove(&(cookie, scope));
                }
            } else {
                let number = known.insert(Entry::new(cookie, scope, 5_000_000)).expect("there is room");
                known.words_mut(number).copy_from_slice(&[round; 3]);
                model.insert((cookie, scope), [round; 3]);
            }
            assert_eq!(known.len(), model.len());
        }
        for ((cookie, scope), words) in &model {
            let number = known.find(*cookie, *scope).expect("it was put in");
            assert_eq!(known.words(number), words);
        }
        while known.len() > 0 {
            known.remove(0);
        }
        assert!(model.keys().all(|(cookie, scope)| known.find(*cookie, *scope).is_none()));
    }

    /// Cookies come in runs of consecutive numbers, one run for each processor.
    #[test]
    fn a_socket_takes_less_than_a_hundred_bytes() {
        for (words, most) in [(6, 60_u32), (16, 100)] {
            let mut known = Known::new(words);
            let mut all = 0;
            for n in 0..200_000_u64 {
                known.insert(Entry::new(n % 2 * 4096 + n / 2, 0, 0)).expect("there is room");
                all = all.max(if n > 10_000 { known.bytes() as u64 * 100 / (n + 1) } else { 0 });
            }
            let each = known.bytes() as f64 / 200_000.0;
            println!("figures: {words} words: {each:.1} bytes a socket, {} at most", all as f64 / 100.0);
            assert!(
                each < f64::from(most) && all <= u64::from(most) * 100 + 100,
                "{each} bytes a socket, {all} at most"
            );
        }
        assert_eq!(size_of::<Entry>(), 24);
    }

    #[test]
    fn the_second_of_a_miss_is_kept_beside_the_counters() {
        let mut entry = Entry::new(1, 0, 0);
        let had = CounterSet::from_bits(0x0a5b);
        entry.set_had(had);
        for second in [3, 15, 16, 31, 1_000_000] {
            entry.miss(second);
            assert_eq!((entry.had(), entry.missed_for(second + 9), entry.missed_for(second)), (had, 9, 0));
        }
    }

    #[test]
    fn a_moment_is_kept_in_milliseconds() {
        for ms in [0, 1, u64::from(u32::MAX), 1 << 39] {
            assert_eq!(Entry::new(1, 0, ms * 1_000_000 + 999).first_seen_ns(), ms * 1_000_000);
        }
    }
}
