//! Which inodes can be wanted: most of those that are not are told by a bit.  To search
//! for each socket of a machine would take longer than all the rest.
//!
//! Invariant: what is wanted passes.

use super::Wanted;

/// A bit for each wanted inode, which others may share.
pub(super) struct Sieve(Vec<u64>);

impl Sieve {
    /// The most words of it.
    const MOST: usize = 1 << 17;

    pub(super) fn of(wanted: Wanted<'_>) -> Self {
        let Wanted::These(inodes) = wanted else { return Self(Vec::new()) };
        let mut words = vec![0; inodes.len().next_power_of_two().min(Self::MOST)];
        let length = words.len();
        for inode in inodes {
            if let Some(word) = words.get_mut((*inode / 64) as usize % length) {
                *word |= 1 << (inode % 64);
            }
        }
        Self(words)
    }

    /// Whether an inode may be among them.
    #[inline]
    pub(super) fn passes(&self, inode: u32) -> bool {
        let word = (inode / 64) as usize & self.0.len().wrapping_sub(1);
        self.0.get(word).is_none_or(|word| word >> (inode % 64) & 1 != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sieve_lets_through_what_is_wanted_and_little_else() {
        assert!(Sieve::of(Wanted::All).passes(7) && Sieve::of(Wanted::All).passes(0));
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
}
