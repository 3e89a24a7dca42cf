//! Maps by a number that the kernel gave out: a user, a cgroup.
//!
//! Each row looks up several such numbers, mostly the same few.  The kernel counts them up
//! or root assigns them, so no user can force collisions, and a cheap hash (one
//! multiplication) is safe.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map by a number of 32 or 64 bits.
pub(super) type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// Spreads a number over all bits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    #[inline]
    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        // The multiplier comes from the golden ratio.  The table indexes by the low bits,
        // which a product spreads least, so the high half is mixed in.
        let product = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ (product >> 32);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u64) -> u64 {
        let mut hasher = IdHasher::default();
        hasher.write_u64(number);
        hasher.finish()
    }

    #[test]
    fn numbers_in_a_row_fall_into_different_places() {
        for step in [1, 2, 8, 4096, 1 << 32] {
            // The low bits select the slot, the seven highest are its tag.
            let places: std::collections::HashSet<_> = (0..1024).map(|at| hash(at * step) & 4095).collect();
            let tags: std::collections::HashSet<_> = (0..1024).map(|at| hash(at * step) >> 57).collect();
            assert!(places.len() > 800 && tags.len() > 64, "{step}: {} {}", places.len(), tags.len());
        }
    }
}
