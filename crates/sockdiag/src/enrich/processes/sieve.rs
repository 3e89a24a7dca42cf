//! Which inodes may be wanted: one bit rules out most of the unwanted ones.  A search in
//! the list for each socket of the machine would take longer than everything else.
//!
//! The words are atomic, since the kernel's program reads them from shared memory.
//!
//! Invariant: every wanted inode passes.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Wanted;

/// The limit of words in a sieve.
const MOST: usize = 1 << 17;

/// One bit for each wanted inode; unwanted inodes may share it.
pub(super) struct Sieve(Vec<AtomicU64>);

impl Sieve {
    pub(super) fn of(wanted: Wanted<'_>) -> Self {
        let words: Vec<_> = (0..length(wanted)).map(|_| AtomicU64::new(0)).collect();
        fill(&words, wanted);
        Self(words)
    }

    /// A sieve that lets every inode through.
    pub(super) fn open() -> Self {
        Self(Vec::new())
    }

    /// Whether an inode may be wanted.
    #[inline]
    pub(super) fn passes(&self, inode: u32) -> bool {
        let word = index(inode, self.0.len().wrapping_sub(1));
        self.0.get(word).is_none_or(|word| word.load(Relaxed) >> (inode % 64) & 1 != 0)
    }
}

/// The index of an inode's word under this mask.
#[inline]
fn index(inode: u32, mask: usize) -> usize {
    (inode / 64) as usize & mask
}

/// The suitable number of words for these inodes: a power of two.
pub(super) fn length(wanted: Wanted<'_>) -> usize {
    match wanted {
        Wanted::These(inodes) => inodes.len().next_power_of_two().min(MOST),
        Wanted::All => 1,
    }
}

/// Sets the bits of the wanted inodes, in the suitable number of words or in all if these are
/// fewer; their number is a power of two.  Returns the mask for the index of a word, which is
/// the inode's number divided by 64.
pub(super) fn fill(words: &[AtomicU64], wanted: Wanted<'_>) -> u32 {
    let words = words.get(..length(wanted)).unwrap_or(words);
    let mask = words.len().saturating_sub(1);
    let (bits, inodes) = match wanted {
        Wanted::All => (u64::MAX, &[][..]),
        Wanted::These(inodes) => (0, inodes),
    };
    for word in words {
        word.store(bits, Relaxed);
    }
    for inode in inodes {
        if let Some(word) = words.get(index(*inode, mask)) {
            word.store(word.load(Relaxed) | 1 << (inode % 64), Relaxed);
        }
    }
    u32::try_from(mask).unwrap_or(u32::MAX)
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

    /// Old contents are overwritten, and fewer words than suitable are enough.
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
