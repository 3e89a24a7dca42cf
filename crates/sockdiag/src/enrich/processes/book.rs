//! Holders by inode: a hash of chains.
//!
//! The reference keeps 256 chains however many sockets there are.  Here there
//! are as many as holders.  A holder is put in front of its chain, so that a
//! walk along it meets the newest first.

use crate::model::{Holder, HolderBook};

use super::{Found, Scan, Task};

/// The end of a chain.
pub(super) const END: u32 = u32::MAX;

/// What a scan found, by inode.
#[derive(Debug, Default)]
pub(super) struct Book {
    tasks: Vec<Task>,
    /// Each knows the next older one of its chain.
    found: Vec<Found>,
    /// The newest holder of each chain; a power of two, or none.
    newest: Vec<u32>,
    hidden: u32,
}

impl Book {
    /// Puts what was found, oldest first, into chains.
    pub(super) fn new(scan: Scan) -> Self {
        let Scan { tasks, mut found, hidden } = scan;
        // Indexes are 32 bits wide, as descriptors of a machine are counted.
        found.truncate(END as usize);
        let chains = if found.is_empty() { 0 } else { found.len().next_power_of_two() };
        let mut newest = vec![END; chains];
        for (index, holder) in found.iter_mut().enumerate() {
            if let Some(head) = newest.get_mut(chain(holder.inode, chains)) {
                holder.older = std::mem::replace(head, index as u32);
            }
        }
        Self { tasks, found, newest, hidden }
    }

    /// Processes that could not be looked into.
    pub(super) fn hidden(&self) -> u32 {
        self.hidden
    }

    /// Whether a socket has a holder.
    pub(super) fn has(&self, inode: u32) -> bool {
        self.of(inode).next().is_some()
    }

    /// The descriptors that refer to a socket, newest first.
    fn of(&self, inode: u32) -> impl Iterator<Item = &Found> {
        let mut at = self.newest.get(chain(inode, self.newest.len())).copied().unwrap_or(END);
        std::iter::from_fn(move || {
            let found = self.found.get(at as usize)?;
            at = found.older;
            Some(found)
        })
        .filter(move |found| found.inode == inode && inode != 0)
    }
}

impl HolderBook for Book {
    fn holders(&self, inode: u32, take: &mut dyn FnMut(Holder<'_>)) {
        for found in self.of(inode) {
            if let Some(Task { pid, tid, name }) = self.tasks.get(found.task as usize) {
                take(Holder { name, pid: *pid, tid: *tid, fd: found.fd });
            }
        }
    }
}

/// Which chain an inode is in.  Inodes are counted up, so the low bits are
/// spread already; the multiplication spreads those of every stride.
#[inline]
fn chain(inode: u32, chains: usize) -> usize {
    let spread = u64::from(inode).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    spread as usize & chains.wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(pid: i32) -> Task {
        Task { pid, tid: pid, name: format!("p{pid}").into_bytes().into() }
    }

    fn listed(book: &Book, inode: u32) -> Vec<(i32, i32)> {
        let mut all = Vec::new();
        book.holders(inode, &mut |holder| {
            assert_eq!(holder.name, format!("p{}", holder.pid).as_bytes());
            all.push((holder.pid, holder.fd));
        });
        all
    }

    #[test]
    fn the_newest_holder_comes_first() {
        let found = [(7, 0, 3), (8, 0, 4), (7, 1, 5), (7, 1, 6), (9, 1, 7)];
        let found = found.map(|(inode, task, fd)| Found::new(inode, task, fd)).to_vec();
        let book = Book::new(Scan { tasks: vec![task(1), task(2)], found, hidden: 0 });
        assert_eq!(listed(&book, 7), [(2, 6), (2, 5), (1, 3)]);
        assert_eq!(listed(&book, 8), [(1, 4)]);
        assert_eq!(listed(&book, 9), [(2, 7)]);
        assert!(book.has(9) && !book.has(10) && listed(&book, 10).is_empty());
    }

    #[test]
    fn nothing_holds_nothing() {
        let book = Book::default();
        assert!(!book.has(0) && !book.has(1));
        let odd = Found::new(0, 0, 1);
        let book = Book::new(Scan { tasks: vec![task(1)], found: vec![odd], hidden: 0 });
        assert!(!book.has(0) && listed(&book, 0).is_empty(), "inode 0 is no socket");
        let stray = Found::new(5, 9, 1);
        let book = Book::new(Scan { tasks: vec![task(1)], found: vec![stray], hidden: 0 });
        assert!(listed(&book, 5).is_empty(), "a task that does not exist");
    }

    #[test]
    fn many_inodes_make_short_chains() {
        for stride in [1_u32, 2, 3, 256, 4096, 65_536] {
            let count = 10_000_u32;
            let found = (1..=count).map(|n| Found::new(n.wrapping_mul(stride), 0, n as i32));
            let book = Book::new(Scan { tasks: vec![task(1)], found: found.collect(), hidden: 0 });
            let used = book.newest.iter().filter(|head| **head != END).count();
            assert!(used > count as usize / 3, "stride {stride}: {used} chains for {count} inodes");
        }
    }
}
