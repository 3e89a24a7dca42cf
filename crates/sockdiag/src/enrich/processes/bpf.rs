//! A walk of every task's descriptors inside the kernel.
//!
//! A BPF program writes one record for each socket that a task has open, in the order in
//! which /proc lists tasks and descriptors.  The kernel runs it for every task
//! ([`tables`]), or, if that program is unavailable, for every open file ([`program`]).
//! The records lack the names of tasks and the order of threads, which are read from /proc
//! for holders only.
//!
//! Threads that share the descriptors of their process's first task are skipped; if all
//! threads are listed, they get the first task's sockets.
//!
//! Invariant: the result equals that of [`walk::Walk`], except for tasks that have ended.
//! The iterator uses the task ids of the first pid namespace, so it is used only there, and
//! only if /proc shows the same ids.
//!
//! Source: Documentation/bpf/bpf_iterators.rst.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "kernel integers are narrow; each cast is meant"
)]

use std::fmt;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::Path;

use rustix::io::{Errno, read};
use rustix::thread::CapabilitySet;
use sockdiag_wire::bpf::{self as wire, AssembleError, BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER, Insn};
use sockdiag_wire::btf::Btf;

use super::collect::Holders;
use super::program::{self, LICENSE, RECORD, Record};
use super::sieve::{self, Sieve};
use super::{Refusal, Scan, Strategy, Threads, Wanted, tables};
use crate::sys::bpf::{self, LoadError};
use crate::sys::bpf_value::SharedValue;
use crate::sys::kernel_types::KernelTypes;
use crate::sys::outlook::FIRST_PID_NAMESPACE;

/// The name of the programs and maps.
const NAME: &str = "ss_holders";
/// Twice what the kernel passes on per read.
const BUFFER: usize = 64 << 10;

/// Verifying and compiling the program that reads tables takes the kernel as long as
/// running the other program for this many open files.
const FEW: u64 = 3000;
/// The minimum room, in words of the sieve, of a program that is kept; a word serves 64
/// sockets.
const KEPT_ROOM: usize = 1 << 12;

/// The kernel's iterators over tasks or open files.
pub(super) struct Iterated {
    threads: Threads,
    /// Whether there will be further scans.
    polls_again: bool,
    /// The loaded program and maps, once loaded, or why they cannot be.
    kept: Option<Result<Loaded, Refusal>>,
}

impl Iterated {
    /// Starts without loading anything; what is loaded is kept if a session `polls_again`.
    pub(super) fn new(threads: Threads, polls_again: bool) -> Self {
        Self { threads, polls_again, kept: None }
    }
}

impl fmt::Debug for Iterated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The loaded program has nothing readable to print.
        f.write_str("Iterated")
    }
}

impl Strategy for Iterated {
    fn scan(&mut self, wanted: Wanted<'_>) -> Result<Scan, Refusal> {
        match &mut self.kept {
            // When it was loaded, it saw all tasks, and this process does not leave that
            // namespace.
            Some(Ok(loaded)) => return loaded.scan(wanted),
            Some(Err(refusal)) => return Err(refusal.clone()),
            None => {}
        }
        sees_all_tasks()?;
        let reads_tables = self.polls_again || has_many_files();
        let mut loaded = Loaded::new(self.threads, wanted, self.polls_again, reads_tables);
        let scan = match &mut loaded {
            Ok(loaded) => loaded.scan(wanted),
            Err(refusal) => Err(refusal.clone()),
        };
        if self.polls_again {
            self.kept = Some(loaded);
        }
        scan
    }
}

/// A program that is loaded and linked to its iterator, and can be reused for further
/// passes.
struct Loaded {
    threads: Threads,
    /// Keeps the program loaded.
    link: OwnedFd,
    records: Records,
    /// Why the verifier refused the faster program, until it is reported.
    refused: Option<LoadError>,
}

/// The source of records.
enum Records {
    /// The memory shared with the program that reads tables.
    Tables(SharedValue),
    /// The iterator over files, through a buffer.
    Files(Vec<u8>),
}

impl Loaded {
    /// Loads and links a program; the one that reads tables only if `reads_tables`.  A
    /// program that is kept must serve other inodes than those wanted now.
    fn new(threads: Threads, wanted: Wanted<'_>, is_kept: bool, reads_tables: bool) -> Result<Self, Refusal> {
        if !wire::SUPPORTED {
            return Err(Refusal::Target);
        }
        let types = KernelTypes::open().map_err(|_| Refusal::NoTypes)?;
        let btf = Btf::new(types.bytes()).ok_or(Refusal::NoTypes)?;
        let of_files = || {
            let inodes = match wanted {
                Wanted::These(inodes) if !is_kept => Some(inodes),
                _ => None,
            };
            Self::of_files(btf, threads, inodes)
        };
        if !reads_tables {
            return of_files();
        }
        let room = sieve::length(wanted).max(if is_kept { KEPT_ROOM } else { 1 });
        Self::of_tables(btf, threads, room).or_else(|refusal| Ok(of_files()?.instead_of(refusal)))
    }

    /// Keeps the verifier's log about the faster program.
    fn instead_of(self, refusal: Refusal) -> Self {
        let refused = match refusal {
            // Without a log, BPF is forbidden altogether.
            Refusal::Load(error) if !error.log.is_empty() => Some(error),
            _ => None,
        };
        Self { refused, ..self }
    }

    /// Loads the program that reads tables, with room for this many words of the sieve.
    fn of_tables(btf: Btf<'_>, threads: Threads, room: usize) -> Result<Self, Refusal> {
        let members = tables::Members::find(btf).map_err(Refusal::Types)?;
        let shared = SharedValue::new(NAME, tables::words(room))
            .map_err(|error| Refusal::Call("sharing memory", error))?;
        let map = shared.map().as_raw_fd();
        let insns = tables::program(&members, map, threads != Threads::First, room);
        let link = linked(members.target, insns)?;
        Ok(Self { threads, link, records: Records::Tables(shared), refused: None })
    }

    /// Loads the program for every open file.  If `inodes` are few, every pass reports only
    /// these.
    fn of_files(btf: Btf<'_>, threads: Threads, inodes: Option<&[u32]>) -> Result<Self, Refusal> {
        let members = program::Members::find(btf).map_err(Refusal::Types)?;
        let insns = program::program(&members, threads != Threads::First, inodes);
        let link = linked(members.target, insns)?;
        Ok(Self { threads, link, records: Records::Files(vec![0; BUFFER]), refused: None })
    }

    /// Makes one pass over all tasks.
    fn scan(&mut self, wanted: Wanted<'_>) -> Result<Scan, Refusal> {
        let pass =
            bpf::start_iterator(self.link.as_fd()).map_err(|error| Refusal::Call("starting", error))?;
        let own_pid = rustix::process::getpid().as_raw_nonzero().get();
        let mut nothing = [0];
        let (shared, buffer, sieve) = match &mut self.records {
            // The results are in the shared memory, and the kernel's program already applies
            // the sieve; reading the iterator only returns end of file.
            Records::Tables(shared) => {
                tables::begin(shared, wanted);
                (Some(&*shared), &mut nothing[..], Sieve::open())
            }
            Records::Files(buffer) => (None, &mut buffer[..], Sieve::of(wanted)),
        };
        let mut holders = Holders::new(wanted, sieve, own_pid)?;
        loop {
            let length = match read(&pass, &mut *buffer) {
                Ok(length) => Some(length),
                // Tables: there are more records than fit.  Files: after a million files
                // without a wanted socket the kernel asks whether to continue.
                Err(Errno::AGAIN | Errno::INTR) => None,
                Err(error) => return Err(Refusal::Call("reading", error)),
            };
            if let Some(shared) = shared {
                tables::taken(shared.words()).for_each(|record| holders.take(record));
            }
            let records = buffer.get(..length.unwrap_or(0)).unwrap_or_default().chunks_exact(RECORD);
            records.filter_map(Record::read).for_each(|record| holders.take(record));
            if length == Some(0) {
                break;
            }
        }
        let mut scan = holders.scan(self.threads);
        scan.refused = self.refused.take();
        Ok(scan)
    }
}

/// Loads a program and makes an iterator from it; `target` is the iterator's BTF id.
fn linked(target: u32, insns: Result<Vec<Insn>, AssembleError>) -> Result<OwnedFd, Refusal> {
    let program = bpf::load(&bpf::Program {
        name: NAME,
        license: LICENSE,
        kind: BPF_PROG_TYPE_TRACING,
        attach_type: BPF_TRACE_ITER,
        target,
        flags: 0,
        insns: &insns.map_err(Refusal::Program)?,
    })
    .map_err(Refusal::Load)?;
    bpf::link_iterator(program.as_fd()).map_err(|error| Refusal::Call("linking", error))
}

/// Whether more than a few files are open on this machine, if it reports that.
fn has_many_files() -> bool {
    let text = std::fs::read_to_string("/proc/sys/fs/file-nr").unwrap_or_default();
    let open: u64 = text.split_whitespace().next().and_then(|open| open.parse().ok()).unwrap_or(0);
    open == 0 || open > FEW
}

/// Whether the iterator may be used, and would see and number tasks as /proc does.
fn sees_all_tasks() -> Result<(), Refusal> {
    let capable = rustix::thread::capabilities(None).is_ok_and(|sets| {
        let has = |one| sets.effective.contains(one);
        has(CapabilitySet::SYS_ADMIN) || has(CapabilitySet::BPF | CapabilitySet::PERFMON)
    });
    if !capable {
        return Err(Refusal::Privilege);
    }
    let own = std::process::id().to_string();
    let is_ours = std::fs::read_link("/proc/self").is_ok_and(|link| link == Path::new(&own));
    let is_first = rustix::fs::stat("/proc/self/ns/pid").is_ok_and(|stat| stat.st_ino == FIRST_PID_NAMESPACE);
    if is_ours && is_first { Ok(()) } else { Err(Refusal::Namespace) }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::process::{Child, Command, Stdio};

    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    use sockdiag_testkit::holders::Holder;
    use sockdiag_testkit::netns::Namespace;
    use sockdiag_testkit::owners::Owners;

    use super::super::Found;
    use super::super::walk::Walk;
    use super::*;

    fn inode(socket: &impl std::os::fd::AsFd) -> u32 {
        rustix::fs::fstat(socket).expect("an open socket").st_ino as u32
    }

    /// Sockets for children to inherit, some twice, one with the highest possible
    /// descriptor, and their inodes, sorted.
    fn inherited(count: usize) -> (Vec<OwnedFd>, Vec<u32>) {
        let mut sockets = Vec::new();
        let mut inodes = Vec::new();
        for number in 0..count {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            inodes.push(inode(&socket));
            // Only the copies stay open over exec.
            for _ in 0..=usize::from(number == 0) {
                sockets.push(rustix::io::dup(&socket).expect("a copy"));
            }
        }
        let limit = getrlimit(Resource::Nofile);
        let most = limit.maximum.unwrap_or(1 << 16).min(1 << 16);
        setrlimit(Resource::Nofile, Rlimit { current: Some(most), ..limit })
            .expect("a limit that we may have");
        let high = (0..200).rev().find_map(|below| {
            let copy = rustix::io::fcntl_dupfd_cloexec(sockets.first()?, most as i32 - 200 + below).ok()?;
            rustix::io::fcntl_setfd(&copy, rustix::io::FdFlags::empty()).ok()?;
            Some(copy)
        });
        sockets.push(high.expect("a copy"));
        inodes.sort_unstable();
        (sockets, inodes)
    }

    fn children() -> Vec<Child> {
        let start = |_| Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().expect("a child");
        (0..3).map(start).collect()
    }

    /// Both programs, loaded for these inodes; `None` if they cannot be loaded.
    fn each(threads: Threads, inodes: Option<&[u32]>) -> Option<[Loaded; 2]> {
        let refused = |why| {
            assert!(!rustix::process::geteuid().is_root(), "{why:?}");
            sockdiag_testkit::skip::report(format_args!("no program: {why:?}"));
        };
        let types = KernelTypes::open().map_err(|_| refused(Refusal::NoTypes)).ok()?;
        let btf = Btf::new(types.bytes())?;
        let files = Loaded::of_files(btf, threads, inodes).map_err(refused).ok()?;
        let room = sieve::length(inodes.map_or(Wanted::All, Wanted::These));
        let tables = match Loaded::of_tables(btf, threads, room) {
            Ok(loaded) => loaded,
            Err(Refusal::Types(why)) => {
                // A kernel before 6.4: the program for open files is tested twice instead.
                sockdiag_testkit::skip::report(format_args!("no program reads tables: {why}"));
                Loaded::of_files(btf, threads, inodes).ok()?
            }
            Err(why) => panic!("{why:?}"),
        };
        Some([files, tables])
    }

    /// Whether a pass finds the same as the walk.  Other tests start programs, which
    /// briefly hold our sockets too, so this retries.
    fn agree(loaded: &mut Loaded, wanted: Wanted<'_>, least: usize) -> bool {
        let mut walk = Walk::new("/proc".into(), loaded.threads);
        (0..50).any(|_| {
            let found = loaded.scan(wanted).expect("a pass");
            let want = walk.scan(wanted).expect("a walk");
            assert!(want.found.len() >= least, "{} of {least} found", want.found.len());
            found.tasks == want.tasks && found.found == want.found
        })
    }

    /// The inodes of the sockets in a process's network namespace.
    fn inodes_beside(pid: u32) -> Vec<u32> {
        let of = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/net/{file}")).expect("a table");
        let text = ["tcp", "udp"].map(of).concat();
        let inode = |line: &str| line.split_ascii_whitespace().nth(9)?.parse().ok();
        let mut inodes: Vec<u32> = text.lines().filter_map(inode).filter(|inode| *inode != 0).collect();
        inodes.sort_unstable();
        inodes
    }

    impl Loaded {
        /// Which of the two programs it is.
        fn shows(&self) -> &'static str {
            if matches!(self.records, Records::Tables(_)) { "tables" } else { "files" }
        }
    }

    const THREADS: [Threads; 3] = [Threads::First, Threads::Own, Threads::All];

    #[test]
    fn the_programs_find_what_the_walk_finds_in_the_same_order() {
        let (sockets, inodes) = inherited(100);
        let mut children = children();
        for threads in THREADS {
            for wanted in [&inodes[..], &inodes[3..4], &inodes[..64], &inodes[20..85]] {
                let Some(each) = each(threads, Some(wanted)) else { return };
                for mut loaded in each {
                    let same = agree(&mut loaded, Wanted::These(wanted), 4);
                    assert!(same, "{threads:?}, {wanted:?}, {}", loaded.shows());
                }
            }
        }
        for child in &mut children {
            child.kill().expect("our child");
            child.wait().expect("our child");
        }
        drop(sockets);
    }

    #[test]
    fn tables_of_threads_and_high_descriptors_are_read_like_others() {
        let Some((namespace, _)) = Namespace::to_look_into() else { return };
        let owners = Owners::start(&namespace, &["one", "two"]).unwrap_or_else(|why| panic!("{why}"));
        // More descriptors in one table than records fit.
        let _many = Holder::start(&namespace, 2200, 0).unwrap_or_else(|why| panic!("{why}"));
        let inodes = inodes_beside(owners.pid());
        for threads in THREADS {
            let Some(each) = each(threads, None) else { return };
            for mut loaded in each {
                assert!(agree(&mut loaded, Wanted::These(&inodes), 4400), "{threads:?}, {}", loaded.shows());
            }
        }
    }

    #[test]
    fn one_program_serves_many_passes() {
        let (sockets, inodes) = inherited(3);
        let Some(each) = each(Threads::First, Some(&inodes)) else { return };
        let own = std::process::id() as i32;
        for mut loaded in each {
            let mut held = |inode: u32| {
                let scan = loaded.scan(Wanted::These(&[inode])).expect("a pass");
                let by_us =
                    |found: &&Found| scan.tasks.get(found.task as usize).is_some_and(|task| task.pid == own);
                scan.found.iter().filter(by_us).count()
            };
            for _ in 0..3 {
                let ours: Vec<usize> = inodes.iter().map(|inode| held(*inode)).collect();
                assert_eq!(ours.iter().sum::<usize>(), sockets.len(), "{ours:?}");
            }
            let mut child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().expect("a child");
            let pid = child.id() as i32;
            let seen = inodes.iter().all(|inode| {
                let scan = loaded.scan(Wanted::These(&[*inode])).expect("a pass");
                scan.tasks.iter().any(|task| task.pid == pid)
            });
            child.kill().expect("our child");
            child.wait().expect("our child");
            assert!(seen, "a later pass sees what was opened since the first");
        }
    }

    /// The verifier's log about a program that was refused is reported with the first scan.
    #[test]
    fn a_refused_program_that_reads_tables_is_told_once() {
        let (_sockets, inodes) = inherited(1);
        let Some([files, _]) = each(Threads::First, None) else { return };
        let error = LoadError { errno: Errno::INVAL, log: "0: no".into() };
        let mut loaded = files.instead_of(Refusal::Load(error.clone()));
        let mut scan = || loaded.scan(Wanted::These(&inodes)).expect("a pass");
        assert_eq!((scan().refused, scan().refused), (Some(error.clone()), None));
        let Some([files, _]) = each(Threads::First, None) else { return };
        let usual = Refusal::Load(LoadError { log: String::new(), ..error });
        assert_eq!(files.instead_of(usual).refused, None);
    }
}
