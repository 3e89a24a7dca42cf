//! Carries the memory of sockets over to a session that reads other fields.
//!
//! Invariant: a counter that was not kept before has no gain at the next look.

use super::Memory;

impl Memory {
    /// Takes over what another memory knows about the same sockets.  Both watch the same
    /// fields.
    pub(in crate::observer) fn take_over(&mut self, old: Self) {
        for number in 0..u32::try_from(old.known.len()).unwrap_or(u32::MAX) {
            let Some(entry) = old.known.entry(number).copied() else { break };
            let from = old.known.words(number);
            let Some(number) = self.known.insert(entry) else { break };
            let words = self.known.words_mut(number);
            let had = entry.had().union(old.slots.late(from));
            let had = self.slots.take_over(words, &old.slots, from, had);
            let mut put = |at: usize, from: &[u32]| {
                for (to, from) in words.iter_mut().skip(at).zip(from) {
                    *to = *from;
                }
            };
            if let (Some(to), Some(at)) = (self.inode_at, old.inode_at) {
                put(to, from.get(at..=at).unwrap_or_default());
            }
            // Its addresses, followed by its watched fields.
            put(self.places_at, from.get(old.places_at..).unwrap_or_default());
            if let Some(entry) = self.known.entry_mut(number) {
                entry.set_had(had);
            }
        }
        self.places = old.places;
        self.scopes = old.scopes;
        self.windows = old.windows;
        self.complete = old.complete;
        self.latest = old.latest;
        self.holders_before = old.holders_before;
        self.orphans = old.orphans;
        self.stay = old.stay;
    }
}
