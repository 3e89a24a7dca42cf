//! One stable sort for lists of any type.
//!
//! The standard library's sort is compiled separately for each type and ordering, some seven
//! kilobytes each time.  Lists that are sorted once per run use this function instead: it
//! sorts the indexes and then moves each item once.

use std::cmp::Ordering;

/// Sorts `items` by `order`; equal items keep their order.
pub fn sort_by<T>(items: &mut [T], order: &mut dyn FnMut(&T, &T) -> Ordering) {
    let mut from = places(items.len(), &mut |a, b| match (items.get(a), items.get(b)) {
        (Some(a), Some(b)) => order(a, b),
        _ => Ordering::Equal,
    });
    move_all(&mut from, &mut |to, from| items.swap(to, from));
}

/// The indexes `0..len` in this order.
fn places(len: usize, order: &mut dyn FnMut(usize, usize) -> Ordering) -> Vec<usize> {
    let mut places: Vec<usize> = (0..len).collect();
    places.sort_by(|a, b| order(*a, *b));
    places
}

/// Swaps items, cycle by cycle, until each place holds the item that `from` assigns to it.
fn move_all(from: &mut [usize], swap: &mut dyn FnMut(usize, usize)) {
    for start in 0..from.len() {
        let mut to = start;
        // The cycle ends at the place whose source is `start`; a place that holds its item is
        // its own source.
        while let Some(source) = from.get_mut(to).map(|source| std::mem::replace(source, to))
            && source != start
        {
            swap(to, source);
            to = source;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_sort_of_the_standard_library() {
        let mut state = 7_u64;
        for len in (0..70).chain([1_000]) {
            let mut items: Vec<(u64, usize)> = (0..len)
                .map(|at| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    ((state >> 60), at)
                })
                .collect();
            let mut want = items.clone();
            want.sort_by_key(|(key, _)| *key);
            sort_by(&mut items, &mut |a, b| a.0.cmp(&b.0));
            assert_eq!(items, want);
        }
    }
}
