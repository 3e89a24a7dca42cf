//! A walk of /proc in several threads.
//!
//! Each worker takes one process at a time, and the results are joined in the order of the
//! directory, so that they do not depend on which worker read what.  A task's name is read
//! once, when its first wanted socket is found.
//!
//! Our own process is listed too: descriptors that we inherited count, as in the reference;
//! those that this program opened, and its further threads, do not.
//!
//! Source: proc(5); which entries count was observed in the reference.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "kernel integers are narrow; each cast is meant"
)]

use std::ffi::{CStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustix::fs::{CWD, Mode, OFlags, RawDir, openat, readlinkat_raw};
use rustix::io::Errno;

use super::{Found, Refusal, Scan, Strategy, Task, Threads, Wanted, parse};
use crate::notice::Refusals;
use crate::sys::{chosen, tasks};
use sockdiag_facts::escape;
use sockdiag_facts::sort::sort_by;

/// More threads would only wait for the kernel's locks.
const WORKERS: usize = 8;
/// A link to a socket is shorter than this; a longer link leads elsewhere.
const LINK: usize = 64;
/// The `stat` line up to the end of the name.  The kernel's names have at most 63 bytes; a
/// longer one, in an artificial /proc, is cut.
const STAT: u64 = 8 << 10;
/// How many bytes of directory entries are read at a time.
const ENTRIES: usize = 32 << 10;

/// Walks a machine's /proc, or a directory that looks like one.
#[derive(Debug)]
pub(super) struct Walk {
    root: OsString,
    threads: Threads,
}

/// The result for one process: lengths of its parts in the worker's scan.
struct Part {
    /// Index of the process in the directory.
    index: usize,
    tasks: usize,
    found: usize,
}

impl Walk {
    /// A walk below `root`.
    pub(super) fn new(mut root: OsString, threads: Threads) -> Self {
        root.push("/");
        Self { root, threads }
    }
}

impl Strategy for Walk {
    fn scan(&mut self, wanted: Wanted<'_>) -> Result<Scan, Refusal> {
        let Ok(root) = directory(CWD, self.root.as_os_str()) else { return Ok(Scan::default()) };
        let mut pids = Vec::new();
        let mut buffer = Vec::with_capacity(ENTRIES);
        each_number(&root, &mut buffer, |pid, _| pids.push(pid));
        let next = AtomicUsize::new(0);
        // An artificial /proc has no live pids to pass to system calls.
        let is_real = self.threads == Threads::Own && is_own_proc(root.as_fd());
        let work = || Worker::new(root.as_fd(), self.threads, is_real, wanted).run(&pids, &next);
        let workers = thread::available_parallelism().map_or(1, usize::from).min(WORKERS).min(pids.len());
        let pieces = thread::scope(|scope| {
            // If a thread cannot be started, the others do its share.
            let others: Vec<_> =
                (1..workers).filter_map(|_| thread::Builder::new().spawn_scoped(scope, work).ok()).collect();
            let mut pieces = vec![work()];
            pieces.extend(others.into_iter().filter_map(|worker| worker.join().ok()));
            pieces
        });
        let mut scan = join(pieces, pids.len());
        let refusals = std::mem::take(&mut scan.refusals);
        scan.refusals.join(refusals, Path::new(&self.root));
        Ok(scan)
    }
}

/// Joins the workers' results in the order of the directory.
fn join(pieces: Vec<(Scan, Vec<Part>)>, processes: usize) -> Scan {
    let mut whole = Scan::default();
    let mut owner = vec![None; processes];
    let mut sources = Vec::with_capacity(pieces.len());
    for (number, (scan, parts)) in pieces.into_iter().enumerate() {
        whole.hidden.extend(scan.hidden);
        whole.refusals.join(scan.refusals, Path::new(""));
        for part in &parts {
            if let Some(slot) = owner.get_mut(part.index) {
                *slot = Some((number, part.tasks, part.found));
            }
        }
        sources.push((scan.tasks.into_iter(), scan.found.into_iter()));
    }
    sort_by(&mut whole.hidden, &mut Ord::cmp);
    // Each worker's parts are already in the order of the directory.
    for (number, tasks, found) in owner.into_iter().flatten() {
        if let Some((task_source, found_source)) = sources.get_mut(number) {
            let first = whole.tasks.len() as u32;
            whole.tasks.extend(task_source.take(tasks));
            // So far `task` counted from the process's first task; now it counts in the
            // whole scan.
            whole
                .found
                .extend(found_source.take(found).map(|one| Found::new(one.inode, first + one.task, one.fd)));
        }
    }
    whole
}

/// One thread's share of the walk.
struct Worker<'w> {
    root: BorrowedFd<'w>,
    threads: Threads,
    /// Whether `root` is the /proc of our own pid namespace.
    is_real: bool,
    wanted: Wanted<'w>,
    own_pid: i32,
    scan: Scan,
    tids: Vec<i32>,
    entries: Vec<u8>,
}

impl<'w> Worker<'w> {
    fn new(root: BorrowedFd<'w>, threads: Threads, is_real: bool, wanted: Wanted<'w>) -> Self {
        Self {
            root,
            threads,
            is_real,
            wanted,
            own_pid: rustix::process::getpid().as_raw_nonzero().get(),
            scan: Scan::default(),
            tids: Vec::new(),
            entries: Vec::with_capacity(ENTRIES),
        }
    }

    /// Reads processes until none is left.
    fn run(mut self, pids: &[i32], next: &AtomicUsize) -> (Scan, Vec<Part>) {
        let mut parts = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(pid) = pids.get(index) else { return (self.scan, parts) };
            let (tasks, found) = (self.scan.tasks.len(), self.scan.found.len());
            self.process(*pid, tasks);
            let (tasks, found) = (self.scan.tasks.len() - tasks, self.scan.found.len() - found);
            if found > 0 {
                parts.push(Part { index, tasks, found });
            }
        }
    }

    /// Reads one process; `first` is the number of tasks before it.
    fn process(&mut self, pid: i32, first: usize) {
        let begin = self.scan.found.len();
        let seen = self.task(pid, pid, first);
        if let Err(Errno::ACCESS | Errno::PERM) = seen {
            self.scan.hidden.push(pid);
        }
        let looks = match self.threads {
            Threads::First => false,
            Threads::Own => has_threads(self.root, pid),
            Threads::All => true,
        };
        if !looks || pid == self.own_pid {
            return;
        }
        let mut tids = std::mem::take(&mut self.tids);
        tids_of(self.root, pid, &mut tids);
        let mut tables = Tables::of(pid, self.is_real);
        for tid in tids.iter().filter(|tid| **tid != pid) {
            // The first task has already shown whether the process may be read.
            if self.threads == Threads::All {
                let _ = self.task(pid, *tid, first);
            } else if tables.is_new(*tid) {
                let (before, tasks) = (self.scan.found.len(), self.scan.tasks.len());
                let _ = self.task(pid, *tid, first);
                self.keep_new(begin, before, tasks);
            }
        }
        self.tids = tids;
    }

    /// Keeps only those sockets of a thread that its process lacks.  The process's sockets
    /// lie from `begin` to `before`, the thread's after them; `tasks` is the number of
    /// tasks before the thread's.
    fn keep_new(&mut self, begin: usize, before: usize, tasks: usize) {
        let mut of_thread = self.scan.found.split_off(before);
        let had = self.scan.found.get(begin..).unwrap_or_default();
        keep_new(&mut of_thread, had);
        if of_thread.is_empty() {
            self.scan.tasks.truncate(tasks);
        }
        self.scan.found.append(&mut of_thread);
    }

    /// Reads every descriptor of one task.
    fn task(&mut self, pid: i32, tid: i32, first: usize) -> Result<(), Errno> {
        let fds = directory(self.root, format!("{tid}/fd").as_str())?;
        let (root, wanted) = (self.root, self.wanted);
        let own = pid == self.own_pid;
        let Scan { tasks, found, refusals, .. } = &mut self.scan;
        let mut task = None;
        let mut result = Ok(());
        each_number(&fds, &mut self.entries, |fd, name| {
            let mut link = [MaybeUninit::uninit(); LINK];
            let inode = match link_at(fds.as_fd(), fd, name, &mut link) {
                Ok(link) => parse::socket_link(link),
                Err(error) => {
                    // Skip what has vanished, but report what is forbidden.
                    if let Errno::ACCESS | Errno::PERM = error {
                        result = Err(error);
                    }
                    None
                }
            };
            let Some(inode) = inode.filter(|inode| wanted.has(*inode)) else { return };
            if own && is_of_our_making(root, tid, fd) {
                return;
            }
            let task = *task.get_or_insert_with(|| {
                tasks.push(Task { pid, tid, name: name_of(root, tid, refusals) });
                (tasks.len() - 1 - first) as u32
            });
            found.push(Found::new(inode, task, fd));
        });
        result
    }
}

/// Opens a directory.
fn directory(at: impl AsFd, path: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    openat(at, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Calls `take` for every entry whose name begins with a number.
fn each_number(directory: &OwnedFd, buffer: &mut Vec<u8>, mut take: impl FnMut(i32, &CStr)) {
    buffer.clear();
    let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
    // An error ends the directory: the process may have ended.
    while let Some(Ok(entry)) = entries.next() {
        let name = entry.file_name();
        if let Some(number) = parse::entry(name.to_bytes()) {
            take(number, name);
        }
    }
}

/// Whether this is the /proc of our own pid namespace: its `self` is our pid.
fn is_own_proc(root: BorrowedFd<'_>) -> bool {
    let own = std::process::id().to_string();
    let mut link = [MaybeUninit::uninit(); LINK];
    let is_ours = readlinkat_raw(root, c"self", &mut link).is_ok_and(|(link, _)| *link == *own.as_bytes());
    is_ours && rustix::fs::fstatfs(root).is_ok_and(|fs| fs.f_type == rustix::fs::PROC_SUPER_MAGIC)
}

/// Whether a process has several threads, or it cannot be told.
fn has_threads(root: BorrowedFd<'_>, pid: i32) -> bool {
    // The directory has a link by its name, one by its own `.`, and one for each thread.
    // The link count differs in width between architectures, so compare in the widest.
    const ALONE: u128 = 3;
    let stat = rustix::fs::statat(root, format!("{pid}/task"), rustix::fs::AtFlags::empty());
    stat.is_ok_and(|stat| u128::from(stat.st_nlink) != ALONE)
}

/// Keeps the descriptors whose sockets are not among those in `had`.
pub(super) fn keep_new(found: &mut Vec<Found>, had: &[Found]) {
    if !found.is_empty() {
        let mut had: Vec<u32> = had.iter().map(|one| one.inode).collect();
        had.sort_unstable();
        found.retain(|one| !Wanted::These(&had).has(one.inode));
    }
}

/// The descriptor tables of a process's threads, each represented by one thread that uses
/// it.
pub(super) struct Tables {
    known: Vec<i32>,
    /// Whether the kernel can be asked which threads share a table.
    is_real: bool,
}

impl Tables {
    /// How many tables are distinguished.
    const MOST: usize = 32;

    /// Starts with the table of the process's first thread.
    pub(super) fn of(pid: i32, is_real: bool) -> Self {
        Self { known: vec![pid], is_real }
    }

    /// Whether a thread uses a table that was not seen before; true if that is unknown.
    pub(super) fn is_new(&mut self, tid: i32) -> bool {
        let same = |known: &i32| matches!(tasks::share_files(*known, tid), Ok(true) | Err(Errno::SRCH));
        if self.is_real && self.known.iter().any(same) {
            return false;
        }
        if self.known.len() < Self::MOST {
            self.known.push(tid);
        }
        true
    }
}

/// Lists the threads of a process, its first one included, in the order of its directory;
/// none if the process has ended.
pub(super) fn tids_of(root: BorrowedFd<'_>, pid: i32, tids: &mut Vec<i32>) {
    tids.clear();
    if let Ok(directory) = directory(root, format!("{pid}/task").as_str()) {
        each_number(&directory, &mut Vec::with_capacity(ENTRIES), |tid, _| tids.push(tid));
    }
}

/// Adds the sockets of one thread to a scan, read from its links in /proc.
pub(super) fn add_task(root: BorrowedFd<'_>, wanted: Wanted<'_>, pid: i32, tid: i32, scan: &mut Scan) {
    let mut worker = Worker::new(root, Threads::All, true, wanted);
    // A thread that may not be read adds nothing; it was counted with its process.
    let _ = worker.task(pid, tid, 0);
    let first = scan.tasks.len() as u32;
    scan.tasks.append(&mut worker.scan.tasks);
    let found = worker.scan.found.iter();
    scan.found.extend(found.map(|one| Found::new(one.inode, first + one.task, one.fd)));
}

/// Reads the link of a descriptor.  The path is made from the number: an entry whose name
/// has more after the number is read as the one without.
fn link_at<'b>(
    fds: BorrowedFd<'_>,
    fd: i32,
    name: &CStr,
    buffer: &'b mut [MaybeUninit<u8>; LINK],
) -> Result<&'b [u8], Errno> {
    let is_plain = match name.to_bytes() {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.len() < 9 && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    let (link, _) = if is_plain {
        readlinkat_raw(fds, name, buffer)?
    } else {
        readlinkat_raw(fds, fd.to_string(), buffer)?
    };
    Ok(link)
}

/// Whether this program opened a descriptor itself.  We open with `O_CLOEXEC`, which no
/// inherited descriptor can have.
pub(super) fn is_of_our_making(root: BorrowedFd<'_>, tid: i32, fd: i32) -> bool {
    parse::closes_on_exec(&contents(root, &format!("{tid}/fdinfo/{fd}")))
}

/// The command name of a task; empty if it cannot be read.
fn name_of(root: BorrowedFd<'_>, tid: i32, refusals: &mut Refusals) -> Box<[u8]> {
    let path = format!("{tid}/stat");
    let stat = chosen::beginning(root, &path, STAT).unwrap_or_else(|why| {
        refusals.add(why, || path.into());
        Vec::new()
    });
    escape::kept(parse::command_name(&stat)).into()
}

/// The command name of a task of a real /proc; `None` if the task has ended.  `comm` holds
/// the same name as `stat` and is cheaper to read.
pub(super) fn comm_of(root: BorrowedFd<'_>, tid: i32) -> Option<Box<[u8]>> {
    let text = contents(root, &format!("{tid}/comm"));
    // Even an empty name ends with a newline.
    text.strip_suffix(b"\n").map(Box::from)
}

/// The beginning of a file; nothing if it cannot be read.
fn contents(root: BorrowedFd<'_>, path: &str) -> Vec<u8> {
    chosen::beginning(root, path, STAT).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use super::*;

    fn made_up(name: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("sockdiag-walk-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for pid in 1..=50 {
            let fds = root.join(format!("{pid}/fd"));
            fs::create_dir_all(&fds).expect("a directory of the test");
            fs::write(root.join(format!("{pid}/stat")), format!("{pid} (p{pid}) S"))
                .expect("a file of the test");
            for fd in 0..4 {
                // One socket that all processes hold, one of its own, and two links to no
                // socket.
                let link = match fd {
                    0 => "socket:[9]".to_owned(),
                    1 => format!("socket:[{}]", 1000 + pid),
                    2 => "/dev/null".to_owned(),
                    _ => format!("socket:[{}x", "9".repeat(LINK)),
                };
                symlink(link, fds.join(fd.to_string())).expect("a link of the test");
            }
        }
        root
    }

    #[test]
    fn the_result_is_in_the_order_of_the_directory() {
        let root = made_up("order");
        let listed: Vec<i32> = {
            let directory = directory(CWD, &*root).expect("just made");
            let mut pids = Vec::new();
            each_number(&directory, &mut Vec::with_capacity(ENTRIES), |pid, _| pids.push(pid));
            pids
        };
        for _ in 0..20 {
            let scan = Walk::new(root.clone().into(), Threads::First)
                .scan(Wanted::These(&[9, 1007]))
                .expect("a walk");
            let of = |found: &Found| scan.tasks[found.task as usize].pid;
            let all: Vec<i32> = scan.found.iter().filter(|found| found.inode == 9).map(of).collect();
            assert_eq!(all, listed);
            let one: Vec<i32> = scan.found.iter().filter(|found| found.inode == 1007).map(of).collect();
            assert_eq!(one, [7]);
            assert_eq!(scan.found.len(), 51, "what is not wanted is not kept");
            assert!(scan.tasks.iter().all(|task| *task.name == *format!("p{}", task.pid).as_bytes()));
        }
        let scan = Walk::new(root.clone().into(), Threads::First).scan(Wanted::All).expect("a walk");
        assert_eq!((scan.tasks.len(), scan.hidden.len()), (50, 0));
        // The overlong link looks like a socket's but its number is too large.
        assert_eq!(scan.found.len(), 150);
        fs::remove_dir_all(root).expect("the test's own directory");
    }

    #[test]
    fn our_own_descriptors_do_not_count() {
        let ours = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let inherited = rustix::io::dup(&ours).expect("a copy that exec keeps");
        let pid = std::process::id() as i32;
        let scan = Walk::new("/proc".into(), Threads::All).scan(Wanted::All).expect("a walk");
        let own: Vec<i32> = scan
            .found
            .iter()
            .filter(|found| scan.tasks[found.task as usize].pid == pid)
            .map(|found| found.fd)
            .collect();
        use std::os::fd::AsRawFd as _;
        assert!(own.contains(&inherited.as_raw_fd()), "inherited sockets count");
        assert!(!own.contains(&ours.as_raw_fd()), "ours do not");
        assert!(scan.tasks.iter().all(|task| task.pid != pid || task.tid == pid), "nor do our threads");
    }

    #[test]
    fn what_may_not_be_read_is_counted() {
        let root = made_up("hidden");
        let mut open = Walk::new(root.clone().into(), Threads::First);
        fs::remove_dir_all(root.join("3")).expect("the test's own directory");
        fs::create_dir(root.join("3")).expect("a process that is gone");
        assert_eq!(open.scan(Wanted::All).expect("a walk").hidden, [0_i32; 0], "what vanished is not hidden");
        if rustix::process::geteuid().is_root() {
            // Root may read everything, so the refusals of a worker are made up here.
            let hidden = |pids: &[i32]| (Scan { hidden: pids.to_vec(), ..Scan::default() }, Vec::new());
            assert_eq!(join(vec![hidden(&[2, 9]), hidden(&[3])], 5).hidden, [2_i32, 3, 9]);
        } else {
            use std::os::unix::fs::PermissionsExt as _;
            let none = fs::Permissions::from_mode(0o000);
            fs::set_permissions(root.join("4/fd"), none).expect("the test's own directory");
            assert_eq!(open.scan(Wanted::All).expect("a walk").hidden, [4_i32]);
            let all = fs::Permissions::from_mode(0o700);
            fs::set_permissions(root.join("4/fd"), all).expect("the test's own directory");
        }
        fs::remove_dir_all(root).expect("the test's own directory");
    }

    #[test]
    fn a_root_that_is_not_there_holds_nothing() {
        let scan = Walk::new("/nonexistent".into(), Threads::All).scan(Wanted::All).expect("a walk");
        assert!(scan.found.is_empty() && scan.tasks.is_empty() && scan.hidden.is_empty());
    }
}
