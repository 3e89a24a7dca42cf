//! Builds the list of processes, in the order of /proc, from the records of the BPF
//! programs.
//!
//! Invariant: a process that has ended holds nothing, and of our own process only inherited
//! descriptors count.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "kernel integers are narrow; each cast is meant"
)]

use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use sockdiag_facts::sort::sort_by;

use super::program::Record;
use super::sieve::Sieve;
use super::{Found, Refusal, Scan, Task, Threads, Wanted, walk};
use crate::sys::tasks;

/// A task, and the positions of its descriptors in the scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    pid: i32,
    tid: i32,
    first: usize,
    end: usize,
}

/// Collects the processes from the records.
pub(super) struct Holders<'w> {
    wanted: Wanted<'w>,
    sieve: Sieve,
    own_pid: i32,
    root: OwnedFd,
    /// Descriptors in the order of the records; their tasks are counted as
    /// runs until these are put in order.
    scan: Scan,
    runs: Vec<Run>,
}

impl<'w> Holders<'w> {
    /// Collects holders of the wanted sockets that pass this sieve; `own_pid` is our own
    /// process.
    ///
    /// # Errors
    /// If /proc cannot be opened.
    pub(super) fn new(wanted: Wanted<'w>, sieve: Sieve, own_pid: i32) -> Result<Self, Refusal> {
        let root = proc_root()?;
        Ok(Self { wanted, sieve, own_pid, root, scan: Scan::default(), runs: Vec::new() })
    }

    /// Turns the records into a scan.
    pub(super) fn scan(self, threads: Threads) -> Scan {
        let mut scan = match threads {
            Threads::First => self.scan_of_processes(),
            Threads::Own => self.with_own_threads(),
            Threads::All => self.with_threads(),
        };
        sort_by(&mut scan.hidden, &mut Ord::cmp);
        scan.hidden.dedup();
        scan
    }

    #[inline]
    pub(super) fn take(&mut self, record: Record) {
        let Record { pid, tid, fd, inode } = record;
        if !self.sieve.passes(inode) || !self.wanted.has(inode) {
            return;
        }
        // For our own process count only inherited descriptors, and only the main thread.
        if pid == self.own_pid && (tid != pid || walk::is_of_our_making(self.root.as_fd(), pid, fd)) {
            return;
        }
        let first = self.scan.found.len();
        match self.runs.last_mut() {
            Some(run) if (run.pid, run.tid) == (pid, tid) => run.end = first + 1,
            _ => self.runs.push(Run { pid, tid, first, end: first + 1 }),
        }
        self.scan.found.push(Found::new(inode, self.runs.len() as u32 - 1, fd));
    }

    /// Adds a task; `None` if it has ended, or if /proc hides it from us (the iterator
    /// still reports hidden tasks).
    fn task(&mut self, pid: i32, tid: i32) -> Option<u32> {
        let Some(name) = walk::comm_of(self.root.as_fd(), tid) else {
            if tasks::is_another_s(pid) {
                self.scan.hidden.push(pid);
            }
            return None;
        };
        self.scan.tasks.push(Task { pid, tid, name });
        Some(self.scan.tasks.len() as u32 - 1)
    }

    /// The scan where each process is represented by its first task: the order is right
    /// already, and only tasks that have ended are removed.
    fn scan_of_processes(mut self) -> Scan {
        let runs = std::mem::take(&mut self.runs);
        let tasks: Vec<Option<u32>> = runs.iter().map(|run| self.task(run.pid, run.tid)).collect();
        if tasks.iter().zip(0..).all(|(task, number)| *task == Some(number)) {
            return self.scan;
        }
        self.scan.found.retain_mut(|found| {
            let task = tasks.get(found.task as usize).copied().flatten();
            found.task = task.unwrap_or_default();
            task.is_some()
        });
        self.scan
    }

    /// The scan with those threads that have sockets which their process lacks: the iterator
    /// skips threads that share its descriptors.
    fn with_own_threads(mut self) -> Scan {
        let all = std::mem::take(&mut self.scan.found);
        let mut runs = std::mem::take(&mut self.runs);
        sort_by(&mut runs, &mut |a, b| (a.pid, a.tid != a.pid).cmp(&(b.pid, b.tid != b.pid)));
        for process in runs.chunk_by(|one, other| one.pid == other.pid) {
            let Some(&Run { pid, .. }) = process.first() else { continue };
            let begin = self.scan.found.len();
            let mut tables = walk::Tables::of(pid, true);
            for run in process {
                if run.tid == pid {
                    self.add(run, pid, &all);
                } else if tables.is_new(run.tid) {
                    let mut of_thread = all.get(run.first..run.end).unwrap_or_default().to_vec();
                    walk::keep_new(&mut of_thread, self.scan.found.get(begin..).unwrap_or_default());
                    if !of_thread.is_empty()
                        && let Some(task) = self.task(pid, run.tid)
                    {
                        self.scan.found.extend(of_thread.iter().map(|one| Found { task, ..*one }));
                    }
                }
            }
        }
        self.scan
    }

    /// The scan with every thread, in the order of /proc: the first task of
    /// each process, then the others as their directory lists them.
    fn with_threads(mut self) -> Scan {
        let found = std::mem::take(&mut self.scan.found);
        let mut runs = std::mem::take(&mut self.runs);
        sort_by(&mut runs, &mut |a, b| a.pid.cmp(&b.pid));
        let mut tids = Vec::new();
        for process in runs.chunk_by(|one, other| one.pid == other.pid) {
            let Some(&Run { pid, .. }) = process.first() else { continue };
            let of = |tid| process.iter().find(|run| run.tid == tid);
            let main = of(pid);
            if let Some(run) = main {
                self.add(run, pid, &found);
            }
            if pid == self.own_pid {
                continue;
            }
            tids.clear();
            walk::tids_of(self.root.as_fd(), pid, &mut tids);
            for tid in tids.iter().copied().filter(|tid| *tid != pid) {
                if let Some(run) = of(tid) {
                    self.add(run, tid, &found);
                } else if let Some(run) = main {
                    match tasks::share_files(pid, tid) {
                        Ok(true) => self.add(run, tid, &found),
                        // The thread has its own descriptors but no wanted socket, or it
                        // has ended.
                        Ok(false) | Err(Errno::SRCH) => {}
                        Err(_) => walk::add_task(self.root.as_fd(), self.wanted, pid, tid, &mut self.scan),
                    }
                }
            }
        }
        self.scan
    }

    /// Adds the descriptors of a run, for one thread of its process.
    fn add(&mut self, run: &Run, tid: i32, found: &[Found]) {
        if let Some(task) = self.task(run.pid, tid) {
            let found = found.get(run.first..run.end).unwrap_or_default();
            self.scan.found.extend(found.iter().map(|one| Found::new(one.inode, task, one.fd)));
        }
    }
}

fn proc_root() -> Result<OwnedFd, Refusal> {
    openat(CWD, "/proc", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| Refusal::Call("opening /proc", error))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn what_is_gone_holds_nothing() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("a child");
        let (own, gone) = (std::process::id() as i32, child.id() as i32);
        child.kill().expect("our child");
        child.wait().expect("our child");
        for threads in [false, true] {
            // A pid of -1: our own process is treated like any other.
            let mut holders = Holders::new(Wanted::All, Sieve::open(), -1).expect("/proc");
            for (pid, fd, inode) in [(gone, 3, 7), (gone, 4, 8), (own, 3, 7), (own, 5, 9), (gone, 9, 0)] {
                holders.take(Record { pid, tid: pid, fd, inode });
            }
            assert_eq!(holders.runs.len(), 2, "inode 0 is no socket");
            let scan = if threads { holders.with_threads() } else { holders.scan_of_processes() };
            assert!(scan.tasks.iter().all(|task| task.pid == own && !task.name.is_empty()));
            let main: Vec<_> = scan.found.iter().filter(|found| found.task == 0).copied().collect();
            assert_eq!(main, [Found::new(7, 0, 3), Found::new(9, 0, 5)]);
            assert_eq!(threads, scan.tasks.len() > 1, "the test's own threads share what it has");
        }
    }
}
