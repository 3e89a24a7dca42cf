//! What is known of sockets, kept where other fields are read from now on.
//!
//! Invariant: a counter that was not kept before gained nothing that is known.

use super::Memory;
use super::places::Places;

impl Memory {
    /// Takes over what another one knows of the same sockets.  Both watch the same.
    pub(in crate::observer) fn take_over(&mut self, old: Self) {
        for number in 0..u32::try_from(old.known.len()).unwrap_or(u32::MAX) {
            let Some(mut entry) = old.known.entry(number).copied() else { break };
            let from = old.known.words(number);
            let had = entry.had().union(old.slots.late(from));
            let mut words = [0; super::MOST];
            let had = self.slots.take_over(&mut words, &old.slots, from, had);
            entry.set_had(had);
            let mut put = |to: usize, from: Option<&[u32]>| {
                if let Some((to, from)) =
                    from.and_then(|from| Some((words.get_mut(to..to + from.len())?, from)))
                {
                    to.copy_from_slice(from);
                }
            };
            if let (Some(to), Some(at)) = (self.inode_at, old.inode_at) {
                put(to, from.get(at..=at));
            }
            put(self.places_at, from.get(old.places_at..old.places_at + Places::WORDS));
            put(self.watched_at, from.get(old.watched_at..));
            let Some(number) = self.known.insert(entry) else { break };
            let known = self.known.words_mut(number);
            let count = known.len();
            known.copy_from_slice(words.get(..count).unwrap_or_default());
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
