//! Follows a fixed set of sockets: which they are, and how they are asked for.
//!
//! Few sockets are looked up one by one; many are picked from a dump of all.  The method
//! that took less CPU time when both were last tried is used; they are compared again now
//! and then, since tables grow and shrink.
//!
//! Invariant: a look-up reports the same as a dump; if one of the sockets is not found, a
//! dump of all follows.

#![allow(clippy::cast_precision_loss, reason = "nanoseconds of a look and a number of sockets are small")]

use std::sync::Arc;

use crate::model::Socket;
use crate::source::{Identity, Instead, LookUps};

/// After how many looks the other method is tried, at first and at most.
const FIRST_TRIAL: u32 = 8;
const LAST_TRIAL: u32 = 1024;

/// The sockets to follow.
#[derive(Debug, Default)]
pub(super) struct Stay {
    /// The inode of the namespace and the identity of each socket; sockets that cannot be
    /// looked up are missing here.
    members: Vec<(u64, Identity)>,
    /// Whether the set is fixed; until then every socket is added.
    is_set: bool,
    /// Whether one of the sockets cannot be looked up.
    has_others: bool,
    costs: Costs,
}

impl Stay {
    /// Whether the set is fixed.
    pub(super) fn is_set(&self) -> bool {
        self.is_set
    }

    /// Adds a socket.
    pub(super) fn add(&mut self, netns: u64, socket: &Socket<'_>) {
        match Identity::of(socket) {
            Some(identity) => self.members.push((netns, identity)),
            None => self.has_others = true,
        }
    }

    /// Fixes the set.
    pub(super) fn set(&mut self) {
        self.is_set = true;
    }

    /// Removes the sockets that ended.
    pub(super) fn retain(&mut self, mut is_known: impl FnMut(u64, u64) -> bool) {
        self.members.retain(|(netns, identity)| is_known(*netns, identity.cookie()));
    }

    /// The look-ups to make instead of dumps; none if a dump is cheaper.
    pub(super) fn look_ups(&mut self, visited: &[u64]) -> Vec<(u64, Arc<LookUps>)> {
        if !self.is_set {
            // A failed look added some sockets.
            self.members.clear();
            self.has_others = false;
        }
        if !self.is_set || self.has_others || !self.costs.looks_up(self.members.len()) {
            return Vec::new();
        }
        let of = |netns: u64| {
            let members = self.members.iter().filter(|(at, _)| *at == netns);
            members.map(|(_, identity)| *identity).collect::<Vec<_>>()
        };
        // If no socket of a namespace is left, its list is empty and nothing is queried.
        visited.iter().map(|netns| (*netns, Arc::new(LookUps::new(of(*netns))))).collect()
    }

    /// Learns the cost of a look; returns whether all look-ups succeeded.
    pub(super) fn learn(&mut self, asked: &[(u64, Arc<LookUps>)], cpu_ns: u64) -> bool {
        let found = !asked.is_empty() && asked.iter().all(|(_, look_ups)| look_ups.found());
        match (asked.is_empty(), found) {
            (true, _) => self.costs.dumped(cpu_ns),
            (_, true) => self.costs.looked_up(self.members.len(), cpu_ns),
            // The look made both, so look-ups did not pay.
            (_, false) => self.costs.missed(),
        }
        found
    }
}

/// The same look-ups, in the form that a session takes.
pub(super) fn instead(asked: &[(u64, Arc<LookUps>)]) -> Vec<(u64, Arc<dyn Instead>)> {
    let each = asked.iter().map(|(netns, look_ups)| {
        let look_ups: Arc<dyn Instead> = look_ups.clone();
        (*netns, look_ups)
    });
    each.collect()
}

/// The cost of both methods, in nanoseconds of CPU time.
#[derive(Debug)]
struct Costs {
    /// The cost of a dump.
    dump: Option<f64>,
    /// The cost of looking up one socket.
    each: Option<f64>,
    /// Looks since the other method was tried, and after how many it is tried again.
    since: u32,
    trial: u32,
}

impl Default for Costs {
    fn default() -> Self {
        Self { dump: None, each: None, since: 0, trial: FIRST_TRIAL }
    }
}

impl Costs {
    /// Whether this number of sockets should be looked up rather than dumped.
    fn looks_up(&mut self, number: usize) -> bool {
        let (Some(dump), Some(each)) = (self.dump, self.each) else {
            // Try the method whose cost is unknown.
            return self.dump.is_some();
        };
        let is_cheaper = each * number as f64 <= dump;
        self.since += 1;
        if self.since < self.trial {
            return is_cheaper;
        }
        self.since = 0;
        self.trial = (self.trial * 2).min(LAST_TRIAL);
        !is_cheaper
    }

    fn dumped(&mut self, cpu_ns: u64) {
        self.dump = Some(mean(self.dump, cpu_ns as f64));
    }

    fn looked_up(&mut self, number: usize, cpu_ns: u64) {
        self.each = Some(mean(self.each, cpu_ns as f64 / number.max(1) as f64));
    }

    /// A socket was not found: the next looks use dumps.
    fn missed(&mut self) {
        self.each = Some(f64::INFINITY);
        self.since = 0;
    }
}

/// A moving average in which the latest value has half the weight.
fn mean(before: Option<f64>, now: f64) -> f64 {
    match before.filter(|before| before.is_finite()) {
        Some(before) => before.mul_add(0.5, now * 0.5),
        None => now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The methods chosen in `looks` looks, with these costs of a dump and of one look-up.
    fn ways(costs: &mut Costs, looks: u32, number: usize, dump: u64, each: u64) -> Vec<bool> {
        let look = |_| {
            let looks_up = costs.looks_up(number);
            if looks_up {
                costs.looked_up(number, each * number as u64);
            } else {
                costs.dumped(dump);
            }
            looks_up
        };
        (0..looks).map(look).collect()
    }

    #[test]
    fn few_are_looked_up_and_many_are_dumped_by_what_both_took() {
        for (number, dump, each, wanted) in [(10, 100_000, 3_000, true), (50, 100_000, 3_000, false)] {
            let mut costs = Costs::default();
            let ways = ways(&mut costs, 200, number, dump, each);
            assert_eq!(ways.get(..2), Some(&[false, true][..]), "both are tried at once");
            let chosen = ways.iter().filter(|way| **way == wanted).count();
            assert!((190..200).contains(&chosen), "{number}: {chosen}");
        }
    }

    #[test]
    fn the_choice_follows_the_table() {
        let mut costs = Costs::default();
        assert!(ways(&mut costs, 20, 10, 100_000, 3_000).ends_with(&[true]));
        // The table has shrunk, so a dump is cheap.
        assert!(ways(&mut costs, 100, 10, 5_000, 3_000).ends_with(&[false; 20]));
    }

    #[test]
    fn what_is_not_found_is_dumped_for_a_while() {
        let mut costs = Costs::default();
        ways(&mut costs, 5, 10, 100_000, 3_000);
        costs.missed();
        assert_eq!(ways(&mut costs, 7, 10, 100_000, 3_000), [false; 7]);
        assert!(ways(&mut costs, 40, 10, 100_000, 3_000).ends_with(&[true; 3]));
    }
}
