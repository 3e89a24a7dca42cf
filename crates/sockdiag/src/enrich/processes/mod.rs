//! Which processes hold which sockets.
//!
//! Nothing is looked for before rows wait for it: a short listing looks for
//! its own sockets, a long one has every socket of the machine mapped, once.
//! How tasks are looked at is a [`Way`]; what it found is a [`Book`], in which
//! the holders of a socket cost one probe however many sockets there are.
//!
//! Invariant: the order of a scan is that of the directories of /proc, and the
//! holders of a socket are listed newest first, the reverse of it.
//!
//! Source: proc_pid_fd(5), proc_pid_stat(5); order and choice as `ss` shows them.

mod book;
mod parse;
mod walk;

use std::ffi::OsString;

use crate::model::HolderBook;
use crate::notes::Note;
use crate::source::Sources;

use book::Book;
use walk::Walk;

/// What a scan looks for.
#[derive(Clone, Copy, Debug)]
enum Wanted<'a> {
    /// Every socket.
    All,
    /// These inodes, sorted.
    These(&'a [u32]),
}

impl Wanted<'_> {
    #[inline]
    fn has(self, inode: u32) -> bool {
        match self {
            Wanted::All => inode != 0,
            Wanted::These(inodes) => inodes.binary_search(&inode).is_ok(),
        }
    }
}

/// A task that holds a wanted socket.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Task {
    pid: i32,
    tid: i32,
    /// As the kernel holds it; empty if it could not be read.
    name: Box<[u8]>,
}

/// A descriptor that refers to a wanted socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    inode: u32,
    /// Index of the task in the same scan.
    task: u32,
    fd: i32,
}

/// What a scan found, in the order of the scan.
#[derive(Clone, Debug, Default)]
struct Scan {
    tasks: Vec<Task>,
    found: Vec<Found>,
    /// Processes whose descriptors may not be looked at.
    hidden: u32,
}

/// A way to look at the descriptors of all tasks.
trait Way {
    /// Finds every holder of the wanted sockets.  What vanishes meanwhile has
    /// none; what may not be read is counted.
    fn scan(&self, wanted: Wanted<'_>) -> Scan;
}

/// Holders of sockets, looked for when rows wait for them.
#[derive(Debug)]
pub(super) struct Processes {
    walk: Walk,
    book: Book,
    /// Every socket of the machine is in the book.
    complete: bool,
    /// Sockets shown for which no holder was found.
    unknown: u64,
}

impl Processes {
    /// Nothing is looked at yet.  `threads` lists every task of a process.
    pub(super) fn new(sources: &Sources, threads: bool) -> Self {
        let root = sources.proc_root.clone().unwrap_or_else(|| OsString::from("/proc"));
        Self { walk: Walk::new(root, threads), book: Book::default(), complete: false, unknown: 0 }
    }

    /// Whether every socket was mapped.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Looks for the holders of these sockets, unless all are known already.
    pub(super) fn look_for(&mut self, mut inodes: Vec<u32>) {
        inodes.retain(|inode| *inode != 0);
        inodes.sort_unstable();
        inodes.dedup();
        if !self.complete && !inodes.is_empty() {
            self.book = Book::new(self.walk.scan(Wanted::These(&inodes)));
        }
    }

    /// Looks for the holders of every socket, once.
    pub(super) fn map_all(&mut self) {
        if !self.complete {
            self.book = Book::new(self.walk.scan(Wanted::All));
            self.complete = true;
        }
    }

    /// Counts a socket that is about to be shown.
    pub(super) fn count(&mut self, inode: u32) {
        if self.book.hidden() > 0 && inode != 0 && !self.book.has(inode) {
            self.unknown += 1;
        }
    }

    /// The holders that are known.
    #[inline]
    pub(super) fn book(&self) -> &dyn HolderBook {
        &self.book
    }

    /// That holders are missing, if so; said once.
    pub(super) fn take_note(&mut self) -> Option<Note> {
        let sockets = std::mem::take(&mut self.unknown);
        (sockets > 0).then(|| Note::HoldersHidden { sockets, processes: self.book.hidden() })
    }
}
