//! Holders by inode: a hash of buckets.
//!
//! The reference keeps 256 chains however many sockets there are.  Here there are as many
//! buckets as holders, stored one after the other in one list, so that a look-up reads the
//! start of a bucket and then the bucket.
//!
//! Invariant: in a bucket the holder found last comes first.

#![allow(clippy::cast_possible_wrap, reason = "kernel integers are narrow; each cast is meant")]

use crate::model::{Holder, HolderCache};

use super::{Found, Scan, Task};

/// The result of a scan, by inode.
#[derive(Debug, Default)]
pub(super) struct Index {
    tasks: Vec<Task>,
    /// The buckets, one after the other.
    found: Vec<Found>,
    /// The start of each bucket, and the end; the number of buckets is a power of two.
    begins: Vec<u32>,
    hidden: Vec<i32>,
    /// Whether threads other than a process's first are not shown.
    hides_threads: bool,
}

impl Index {
    /// Sorts the holders, given oldest first, into buckets.
    pub(super) fn new(scan: Scan, hides_threads: bool) -> Self {
        let Scan { tasks, found: scanned, hidden, .. } = scan;
        // Positions are 32 bits wide, more than the descriptors of any machine.
        let scanned = scanned.get(..u32::MAX as usize).unwrap_or(&scanned);
        let mut begins = vec![0; scanned.len().next_power_of_two() + 1];
        let length = begins.len();
        // First `begins` counts the holders of each bucket, then it holds where the bucket
        // ends, and each holder that is placed moves it down by one.
        for holder in scanned {
            if let Some(count) = begins.get_mut(bucket(holder.inode, length)) {
                *count += 1;
            }
        }
        let mut end = 0;
        for begin in &mut begins {
            end += *begin;
            *begin = end;
        }
        let mut found = vec![Found::default(); scanned.len()];
        for holder in scanned {
            if let Some(at) = begins.get_mut(bucket(holder.inode, length)) {
                *at -= 1;
                if let Some(place) = found.get_mut(*at as usize) {
                    *place = *holder;
                }
            }
        }
        Self { tasks, found, begins, hidden, hides_threads }
    }

    /// Processes that could not be inspected.
    pub(super) fn hidden(&self) -> &[i32] {
        &self.hidden
    }

    /// Whether a socket has a holder that is shown.
    pub(super) fn shows(&self, inode: u32) -> bool {
        if self.hides_threads { self.tasks_of(inode).any(Task::is_first) } else { self.has(inode) }
    }

    /// The process and thread ids of a thread that has a socket; used if no holder is
    /// shown.
    pub(super) fn thread_of(&self, inode: u32) -> Option<(i32, i32)> {
        self.tasks_of(inode).next().map(|task| (task.pid, task.tid))
    }

    /// Whether a socket has a holder.
    fn has(&self, inode: u32) -> bool {
        self.of(inode).next().is_some()
    }

    fn tasks_of(&self, inode: u32) -> impl Iterator<Item = &Task> {
        self.of(inode).filter_map(|found| self.tasks.get(found.task as usize))
    }

    /// Loads the index entries of these sockets into the processor's caches.  Sockets
    /// listed in a row lie far apart in the index, so each costs two cache misses;
    /// requested together, the misses overlap.
    pub(super) fn warm(&self, inodes: &[u32]) {
        let touched = |inode: &u32| {
            let begin = self.begins.get(bucket(*inode, self.begins.len()))?;
            self.found.get(*begin as usize).map(|found| found.inode)
        };
        std::hint::black_box(inodes.iter().filter_map(touched).fold(0, u32::wrapping_add));
    }

    /// The descriptors that refer to a socket, newest first.
    fn of(&self, inode: u32) -> impl Iterator<Item = &Found> {
        let bucket = bucket(inode, self.begins.len());
        let in_bucket = || {
            let begin = *self.begins.get(bucket)? as usize;
            let end = *self.begins.get(bucket + 1)? as usize;
            self.found.get(begin..end)
        };
        in_bucket().unwrap_or_default().iter().filter(move |found| found.inode == inode && inode != 0)
    }
}

impl HolderCache for Index {
    fn holders(&self, inode: u32, take: &mut dyn FnMut(Holder<'_>)) {
        for found in self.of(inode) {
            if let Some(task @ Task { pid, tid, name }) = self.tasks.get(found.task as usize)
                && (!self.hides_threads || task.is_first())
            {
                take(Holder { name, pid: *pid, tid: *tid, fd: found.fd });
            }
        }
    }
}

/// The bucket of an inode; there is one bucket less than `begins`.  Inodes are counted up,
/// so the low bits are spread already; the multiplication also spreads inodes that differ
/// by a constant stride.
#[inline]
fn bucket(inode: u32, begins: usize) -> usize {
    let spread = u64::from(inode).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    spread as usize & begins.wrapping_sub(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(pid: i32) -> Task {
        Task { pid, tid: pid, name: format!("p{pid}").into_bytes().into() }
    }

    fn listed(index: &Index, inode: u32) -> Vec<(i32, i32)> {
        let mut all = Vec::new();
        index.holders(inode, &mut |holder| {
            assert_eq!(holder.name, format!("p{}", holder.pid).as_bytes());
            all.push((holder.pid, holder.fd));
        });
        all
    }

    #[test]
    fn the_newest_holder_comes_first() {
        let found = [(7, 0, 3), (8, 0, 4), (7, 1, 5), (7, 1, 6), (9, 1, 7)];
        let found = found.map(|(inode, task, fd)| Found::new(inode, task, fd)).to_vec();
        let index = Index::new(Scan { tasks: vec![task(1), task(2)], found, ..Scan::default() }, false);
        assert_eq!(listed(&index, 7), [(2, 6), (2, 5), (1, 3)]);
        assert_eq!(listed(&index, 8), [(1, 4)]);
        assert_eq!(listed(&index, 9), [(2, 7)]);
        assert!(index.has(9) && !index.has(10) && listed(&index, 10).is_empty());
    }

    #[test]
    fn nothing_holds_nothing() {
        let index = Index::default();
        assert!(!index.has(0) && !index.has(1));
        let odd = Found::new(0, 0, 1);
        let index = Index::new(Scan { tasks: vec![task(1)], found: vec![odd], ..Scan::default() }, false);
        assert!(!index.has(0) && listed(&index, 0).is_empty(), "inode 0 is no socket");
        let stray = Found::new(5, 9, 1);
        let index = Index::new(Scan { tasks: vec![task(1)], found: vec![stray], ..Scan::default() }, false);
        assert!(listed(&index, 5).is_empty(), "a task that does not exist");
    }

    #[test]
    fn many_inodes_make_short_buckets() {
        for stride in [1_u32, 2, 3, 256, 4096, 65_536] {
            let count = 10_000_u32;
            let found = (1..=count).map(|n| Found::new(n.wrapping_mul(stride), 0, n as i32));
            let index =
                Index::new(Scan { tasks: vec![task(1)], found: found.collect(), ..Scan::default() }, false);
            let used = index.begins.windows(2).filter(|two| two[0] != two[1]).count();
            assert!(used > count as usize / 3, "stride {stride}: {used} buckets for {count} inodes");
        }
    }
}
