//! Which processes hold which sockets.
//!
//! Holders are searched only when rows wait for them: a short listing searches for its own
//! sockets, a long one maps every socket of the machine, once.  A [`Strategy`] defines how
//! tasks are read: links in /proc, or a BPF program run by the kernel's iterators.  The
//! result is an [`Index`], in which a look-up costs one probe however many sockets there
//! are.
//!
//! Invariant: a scan is in the order of the directories of /proc, and the holders of a
//! socket are listed newest first, the reverse order.
//!
//! Source: proc_pid_fd(5), proc_pid_stat(5); order and choice as `ss` shows them.

mod bpf;
mod collect;
mod index;
mod missing;
mod parse;
mod program;
mod sieve;
mod tables;
mod walk;

use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;
use sockdiag_wire::bpf::{AssembleError, NotFound};

use super::EnrichConfig;
use crate::model::{Holder, HolderCache, Socket};
use crate::notice::{NoIterator, Notice, Refusals, Unseen};
use crate::sys::bpf::LoadError;
use crate::sys::outlook::Outlook;

use bpf::Iterated;
use index::Index;
use missing::Missing;
use walk::Walk;

/// How the holders of sockets are found.  Every way finds the same holders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HolderSearch {
    /// A BPF program run by the kernel's iterator over tasks, or over open files, if that
    /// is allowed, else links in /proc.  Loading a program takes as long as reading some
    /// fifty processes in /proc, and every machine has more.
    #[default]
    Quickest,
    /// Only a BPF program; if it cannot be loaded, a notice says so and no socket has a
    /// process.
    Bpf,
    /// Only links in /proc.
    Proc,
}

/// Which threads of a process hold sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Threads {
    /// Only the first thread, as `ss` without `-T`.  A socket that only another thread has
    /// open (because the first has ended or has its own descriptors) has no holder.
    First,
    /// The first thread, and threads with sockets that the first does not have open.
    #[default]
    Own,
    /// Every thread.
    All,
}

/// The target of a scan.
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
    /// As the kernel reports it; empty if it could not be read.
    name: Box<[u8]>,
}

impl Task {
    /// Whether this is the first task of its process, which represents the process.
    fn is_first(&self) -> bool {
        self.pid == self.tid
    }
}

/// A descriptor that refers to a wanted socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Found {
    inode: u32,
    /// Index of the task in the same scan.
    task: u32,
    fd: i32,
}

impl Found {
    fn new(inode: u32, task: u32, fd: i32) -> Self {
        Self { inode, task, fd }
    }
}

/// The result of a scan, in the order of the scan.
#[derive(Clone, Debug, Default)]
struct Scan {
    tasks: Vec<Task>,
    found: Vec<Found>,
    /// Processes whose descriptors may not be read.
    hidden: Vec<i32>,
    /// Files that were not read.
    refusals: Refusals,
    /// Why the verifier refused the faster of the two BPF programs; reported once.
    refused: Option<LoadError>,
}

/// Why a strategy is unavailable.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Refusal {
    /// Our task ids differ: we are in another pid namespace, or /proc is that of another.
    Namespace,
    /// There is no BPF program for this architecture.
    Target,
    /// The kernel does not publish its types (BTF).
    NoTypes,
    /// The kernel's types are not as expected.
    Types(NotFound),
    /// The program cannot be assembled with the offsets of this kernel.
    Program(AssembleError),
    /// The kernel refused to load the program.
    Load(LoadError),
    /// The capabilities are missing.
    Privilege,
    /// A system call failed.
    Call(&'static str, Errno),
}

impl From<Refusal> for NoIterator {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Namespace => Self::Namespace,
            Refusal::Target => Self::Target,
            Refusal::NoTypes => Self::NoTypes,
            Refusal::Types(error) => Self::Types { what: error.to_string() },
            Refusal::Program(error) => Self::Types { what: error.to_string() },
            Refusal::Load(LoadError { errno, log }) => Self::Rejected { errno: errno.raw_os_error(), log },
            Refusal::Privilege => Self::Privilege,
            Refusal::Call(what, error) => Self::Call { what, errno: error.raw_os_error() },
        }
    }
}

/// A way to read the descriptors of all tasks.
trait Strategy: fmt::Debug + Send + Sync {
    /// Finds every holder of the wanted sockets.  Tasks that end meanwhile are skipped;
    /// those that may not be read are counted.
    fn scan(&mut self, wanted: Wanted<'_>) -> Result<Scan, Refusal>;
}

/// The processes of each socket at an earlier poll.
#[derive(Clone, Debug)]
pub(crate) struct HoldersBefore(Arc<Index>);

impl HolderCache for HoldersBefore {
    fn holders(&self, inode: u32, take: &mut dyn FnMut(Holder<'_>)) {
        self.0.holders(inode, take);
    }
}

/// Holders of sockets, searched when rows wait for them.
#[derive(Debug)]
pub(super) struct Processes {
    /// The strategies, tried in turn.
    strategies: Vec<Box<dyn Strategy>>,
    index: Index,
    /// The result of the previous poll, if it is kept.
    before: Option<Arc<Index>>,
    /// Whether threads other than a process's first are found but not shown.
    hides_threads: bool,
    /// Whether every socket of the machine is in the index.
    complete: bool,
    /// Whether missing processes are counted and reported.
    tells: bool,
    missing: Missing,
    /// How many of the processes can be seen at all; `None` until needed, and with an
    /// artificial /proc.
    outlook: Option<Outlook>,
    is_made_up: bool,
    /// Why no search was possible.
    refusal: Option<Refusal>,
    /// Why the verifier refused a program, if another strategy found the holders.
    rejected: Option<LoadError>,
    /// Whether a slower program found them.
    by_files: bool,
    /// Whether the refusal was already reported.
    told: bool,
    /// Files that were not read.
    refusals: Refusals,
}

impl Processes {
    /// Starts without reading anything.  `polls_again` loads programs that can be reused by
    /// every poll.
    pub(super) fn new(config: &EnrichConfig<'_>) -> Self {
        let EnrichConfig { sources, holder_search: search, polls_again, explains, reasons, .. } = *config;
        // To report that only a thread has a socket, that thread has to be found.
        let hides_threads = reasons && config.threads == Threads::First;
        let threads = if hides_threads { Threads::Own } else { config.threads };
        let foreign = sources.proc_root.clone();
        let iterator =
            foreign.is_none().then(|| Box::new(Iterated::new(threads, polls_again)) as Box<dyn Strategy>);
        let walk = Walk::new(foreign.unwrap_or_else(|| OsString::from("/proc")), threads);
        let strategies = match (search, iterator) {
            (HolderSearch::Quickest, Some(iterator)) => vec![iterator, Box::new(walk)],
            (HolderSearch::Bpf, Some(iterator)) => vec![iterator],
            _ => vec![Box::new(walk) as Box<dyn Strategy>],
        };
        Self {
            strategies,
            index: Index::default(),
            before: None,
            hides_threads,
            complete: false,
            tells: explains,
            missing: Missing::new(reasons),
            outlook: None,
            is_made_up: sources.proc_root.is_some(),
            refusal: None,
            rejected: None,
            by_files: false,
            told: false,
            refusals: Refusals::default(),
        }
    }

    /// Forgets the holders, and keeps them as those of the previous poll if requested.
    pub(super) fn begin_poll(&mut self) {
        self.complete = false;
        self.missing.clear();
        self.outlook = None;
        let index = std::mem::take(&mut self.index);
        if self.before.is_some() {
            self.before = Some(Arc::new(index));
        }
    }

    /// From now on the result of each poll is kept until the end of the next.
    pub(super) fn keep_before(&mut self) {
        self.before = Some(Arc::default());
    }

    /// The processes of each socket at the previous poll.
    pub(super) fn before(&self) -> Option<HoldersBefore> {
        self.before.clone().map(HoldersBefore)
    }

    /// Whether every socket was mapped.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Searches for the holders of these sockets; if all holders are known already, only
    /// warms the caches.
    pub(super) fn look_for(&mut self, mut inodes: Vec<u32>) {
        if self.complete {
            self.index.warm(&inodes);
            return;
        }
        inodes.retain(|inode| *inode != 0);
        inodes.sort_unstable();
        inodes.dedup();
        if !inodes.is_empty() {
            self.scan(Wanted::These(&inodes));
        }
    }

    /// Finds the holders of every socket, once per poll.
    pub(super) fn map_all(&mut self) {
        if !self.complete {
            self.scan(Wanted::All);
            self.complete = true;
        }
    }

    /// Uses the first strategy that is available.
    fn scan(&mut self, wanted: Wanted<'_>) {
        self.index = Index::default();
        for strategy in &mut self.strategies {
            match strategy.scan(wanted) {
                Ok(mut scan) => {
                    self.refusals.join(std::mem::take(&mut scan.refusals), Path::new(""));
                    if let Some(error) = scan.refused.take() {
                        (self.rejected, self.by_files) = (Some(error), true);
                    }
                    self.index = Index::new(scan, self.hides_threads);
                    // Without a verifier log the machine forbids BPF altogether, which is
                    // as usual as a missing privilege and needs no notice.
                    if let Some(Refusal::Load(error)) = self.refusal.take()
                        && !error.log.is_empty()
                    {
                        self.rejected = Some(error);
                    }
                    return;
                }
                Err(refusal) => self.refusal = Some(refusal),
            }
        }
    }

    /// Counts a socket that is about to be shown.
    #[inline]
    pub(super) fn count(&mut self, socket: &Socket<'_>) {
        if self.tells && !self.index.shows(socket.inode) {
            self.missing.count(socket, self.index.thread_of(socket.inode));
        }
    }

    /// Counts a socket on which a condition on processes is tested.
    pub(super) fn count_tested(&mut self, socket: &Socket<'_>) {
        if socket.inode != 0 && !self.index.shows(socket.inode) {
            self.missing.tested += 1;
        }
    }

    /// Whether processes that we cannot see may hold a socket.
    pub(super) fn may_be_unseen(&mut self, socket: &Socket<'_>) -> bool {
        socket.inode != 0
            && !self.index.shows(socket.inode)
            && (!self.index.hidden().is_empty() || self.outlook() != Outlook::default())
    }

    /// The reason why processes cannot be seen at all, determined once.
    fn outlook(&mut self) -> Outlook {
        let here = || if self.is_made_up { Outlook::default() } else { Outlook::here() };
        *self.outlook.get_or_insert_with(here)
    }

    /// Why holders may be missing.
    fn unseen(&mut self) -> Unseen {
        let Outlook { no_proc, hidden, inner } = self.outlook();
        Unseen { processes: self.index.hidden().to_vec(), no_proc, hidden, inner }
    }

    /// The holders that are known.
    #[inline]
    pub(super) fn known(&self) -> &dyn HolderCache {
        &self.index
    }

    /// Notices of what was counted since the last call.
    pub(super) fn take_missing(&mut self) -> Vec<Notice> {
        let mut notices = Vec::new();
        if !self.missing.is_nothing() {
            let why = self.unseen();
            self.missing.tell(why, &mut notices);
        }
        notices
    }

    /// Notices that holders are missing, or that the slower strategy found them; each is
    /// given once.
    pub(super) fn take_notices(&mut self) -> Vec<Notice> {
        if let Some(refusal) = self.refusal.take() {
            return vec![Notice::HoldersRefused { why: refusal.into() }];
        }
        let mut notices = self.refusals.take();
        if let Some(error) = self.rejected.take().filter(|_| !self.told) {
            self.told = true;
            let why = Refusal::Load(error).into();
            notices.push(if self.by_files {
                Notice::HolderTablesRejected { why }
            } else {
                Notice::HolderProgramRejected { why }
            });
        }
        notices
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Sources;

    /// A strategy that is never available.
    #[derive(Debug)]
    struct Refused(Refusal);

    impl Strategy for Refused {
        fn scan(&mut self, _: Wanted<'_>) -> Result<Scan, Refusal> {
            Err(self.0.clone())
        }
    }

    fn processes(strategies: Vec<Box<dyn Strategy>>) -> Processes {
        let sources = Sources::default();
        let config = EnrichConfig { holder_search: HolderSearch::Proc, ..EnrichConfig::of(&sources) };
        Processes { strategies, ..Processes::new(&config) }
    }

    #[test]
    fn a_program_that_the_verifier_refuses_is_told_once_with_the_verifier_s_words() {
        let log = "0: (79) r2 = *(u64 *)(r10 +8)\ninvalid read from stack R10 off=8 size=8".to_owned();
        let refused = || Refused(Refusal::Load(LoadError { errno: Errno::ACCESS, log: log.clone() }));
        let walk = Walk::new("/proc".into(), Threads::First);
        let mut both = processes(vec![Box::new(refused()), Box::new(walk)]);
        both.map_all();
        let notices = both.take_notices();
        let [notice @ Notice::HolderProgramRejected { .. }] = &notices[..] else { panic!("{notices:?}") };
        assert_eq!(
            notice.to_string(),
            "processes are looked up in /proc instead of with BPF: the kernel refused to load the BPF \
             program: Permission denied (invalid read from stack R10 off=8 size=8)"
        );
        both.complete = false;
        both.map_all();
        assert_eq!(both.take_notices(), []);

        let mut alone = processes(vec![Box::new(refused())]);
        alone.map_all();
        let notices = alone.take_notices();
        let [notice @ Notice::HoldersRefused { .. }] = &notices[..] else { panic!("{notices:?}") };
        assert!(notice.to_string().contains("(invalid read from stack"), "{notice}");

        let forbidden = Refusal::Load(LoadError { errno: Errno::PERM, log: String::new() });
        for usual in [Refusal::Privilege, forbidden] {
            let walk = Walk::new("/proc".into(), Threads::First);
            let mut usual = processes(vec![Box::new(Refused(usual)), Box::new(walk)]);
            usual.map_all();
            assert_eq!(usual.take_notices(), []);
        }
    }
}
