//! Which inodes can be wanted: most of those that are not are told by a bit.  To search
//! for each socket of a machine would take longer than all the rest.
//!
//! The words are atomic, since the kernel's program reads those that it shares with us.
//!
//! Invariant: what is wanted passes.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Wanted;

/// The most words of it.
pub(super) const MOST: usize = 1 << 17;

/// A bit for each wanted inode, which others may share.
pub(super) struct Sieve(Vec<AtomicU64>);

impl Sieve {
    pub(super) fn of(wanted: Wanted<'_>) -> Self {
        let words: Vec<_> = (0..length(wanted)).map(|_| AtomicU64::new(0)).collect();
        fill(&words, wanted);
        Self(words)
    }

    /// Lets everything through.
    pub(super) fn open() -> Self {
        Self(Vec::new())
    }

    /// Whether an inode may be among them.
    #[inline]
    pub(super) fn passes(&self, inode: u32) -> bool {
        let word = (inode / 64) as usize & self.0.len().wrapping_sub(1);
        self.0.get(word).is_none_or(|word| word.load(Relaxed) >> (inode % 64) & 1 != 0)
    }
}

/// As many words suit what is wanted: a power of two.
pub(super) fn length(wanted: Wanted<'_>) -> usize {
    match wanted {
        Wanted::These(inodes) => inodes.len().next_power_of_two().min(MOST),
        Wanted::All => 1,
    }
}

/// Sets the bits of what is wanted in as many of the words as suit it.  The word of an
/// inode is its 64th part, of which the bits that are returned count.
pub(super) fn fill(words: &[AtomicU64], wanted: Wanted<'_>) -> u32 {
    let words = words.get(..length(wanted)).unwrap_or(words);
    let length = words.len();
    let inodes = match wanted {
        Wanted::These(inodes) => inodes,
        Wanted::All => &[],
    };
    let first = if matches!(wanted, Wanted::All) { u64::MAX } else { 0 };
    for word in words {
        word.store(first, Relaxed);
    }
    for inode in inodes {
        if let Some(word) = words.get((*inode / 64) as usize % length) {
            word.store(word.load(Relaxed) | 1 << (inode % 64), Relaxed);
        }
    }
    u32::try_from(length.saturating_sub(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sieve_lets_through_what_is_wanted_and_little_else() {
        for all in [Sieve::of(Wanted::All), Sieve::open()] {
            assert!(all.passes(7) && all.passes(0) && all.passes(u32::MAX));
        }
        assert!(!Sieve::of(Wanted::These(&[5])).passes(6));
        for count in [1, 2, 3, 1000, 200_000] {
            let inodes: Vec<u32> = (0..count).map(|number| number * 97 + 11).collect();
            let sieve = Sieve::of(Wanted::These(&inodes));
            assert!(inodes.iter().all(|inode| sieve.passes(*inode)), "{count}");
            let others = (0..100_000).map(|number| number * 97 + 12);
            let passed = others.filter(|inode| sieve.passes(*inode)).count();
            assert!(passed < 30_000, "{count}: {passed}");
        }
    }

    /// What was filled before does not show, and fewer words than suit do.
    #[test]
    fn words_are_filled_anew_and_may_be_few() {
        let words: Vec<_> = (0..4).map(|_| AtomicU64::new(u64::MAX)).collect();
        let now = |mask: u32| (mask, words.iter().map(|word| word.load(Relaxed)).collect::<Vec<_>>());
        let inodes = [1, 64, 129, 192, 257];
        assert_eq!(now(fill(&words, Wanted::These(&inodes))), (3, vec![1 << 1 | 1 << 1, 1, 2, 1]));
        assert_eq!(now(fill(&words, Wanted::These(&[64]))), (0, vec![1, 1, 2, 1]));
        assert_eq!(now(fill(&words, Wanted::All)).1[0], u64::MAX);
        assert_eq!(fill(&words, Wanted::These(&[3; 3])), 3);
    }
}
