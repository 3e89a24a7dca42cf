//! A map of few entries, whose keys nobody can choose to be many: directories that are named
//! here, protocols of netlink.
//!
//! It is a list in the order of insertion and searched from its start.  A hash table takes 2 KB
//! of code for each type of key.

/// A map that stays small.
#[derive(Clone, Debug)]
pub(super) struct Few<K, V>(Vec<(K, V)>);

impl<K, V> Default for Few<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Copy + PartialEq, V> Few<K, V> {
    /// The value of a key.
    pub(super) fn get(&self, key: K) -> Option<&V> {
        self.0.iter().find(|(known, _)| *known == key).map(|(_, value)| value)
    }

    /// Adds an entry, or replaces that of the same key.
    pub(super) fn insert(&mut self, key: K, value: V) {
        match self.0.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_last_value() {
        let mut few = Few::default();
        for (key, value) in [(7, "a"), (0, "b"), (7, "c")] {
            few.insert(key, value);
        }
        assert_eq!((few.get(7), few.get(0), few.get(1)), (Some(&"c"), Some(&"b"), None));
    }
}
