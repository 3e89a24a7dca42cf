//! Command lines of processes, and names of users.
//!
//! A process may end between the dump and this look-up: then it has no command line and no
//! user, and no notice is given.
//!
//! Source: proc_pid_cmdline(5), proc_pid_status(5), getpwuid(3).

#![allow(clippy::cast_possible_wrap, reason = "kernel integers are narrow; each cast is meant")]

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;

use super::id_map::IdMap;
use crate::model::{IdentityCache, Process};
use crate::notice::{Notice, Refusals};
use crate::source::Sources;
use crate::sys::{chosen, names};
use sockdiag_facts::scan;

/// How many bytes of a command line are kept.
const LONGEST: usize = 4096;
/// How many bytes of each are kept once the total exceeds [`ALL`].
const SHORT: usize = 64;
/// How many bytes of command lines are kept at full length: processes may share the memory
/// of their command lines, but our copies would not.
const ALL: usize = 8 << 20;
/// How many further bytes are read to see whether only NULs follow.
const MOST_NULS: u64 = 4 << 10;
/// How much of `status` is read; `Uid:` is near its beginning.
const STATUS: u64 = 8 << 10;

/// The processes and users known so far.
#[derive(Debug)]
pub(super) struct Identities {
    root: OsString,
    processes: HashMap<i32, Found>,
    /// The total size of all command lines.
    kept: usize,
    users: IdMap<u32, Option<Vec<u8>>>,
    refusals: Refusals,
}

#[derive(Debug)]
struct Found {
    cmdline: Box<[u8]>,
    uid: Option<u32>,
}

impl Identities {
    /// Forgets the processes; names of users are kept.
    pub(super) fn begin_poll(&mut self) {
        self.processes.clear();
        self.kept = 0;
    }

    /// Starts empty.
    pub(super) fn new(sources: &Sources) -> Self {
        let root = sources.proc_root.clone().unwrap_or_else(|| OsString::from("/proc"));
        Self {
            root,
            processes: HashMap::new(),
            kept: 0,
            users: IdMap::default(),
            refusals: Refusals::default(),
        }
    }

    /// The files that were not read, and why.
    pub(super) fn take_notices(&mut self) -> Vec<Notice> {
        self.refusals.take()
    }

    /// Reads the command line and user of a process, once.
    pub(super) fn prepare_process(&mut self, pid: i32) {
        if self.processes.contains_key(&pid) {
            return;
        }
        let refusals = &mut self.refusals;
        let mut read = |name: &str, most| {
            let mut path = PathBuf::from(&self.root);
            path.push(pid.to_string());
            path.push(name);
            chosen::beginning_at(&path, most).unwrap_or_else(|why| {
                refusals.add(why, || path);
                Vec::new()
            })
        };
        let most = if self.kept < ALL { LONGEST } else { SHORT };
        let cmdline = command_line(read("cmdline", LONGEST as u64 + MOST_NULS), most);
        self.kept += cmdline.len();
        let uid = effective_uid(&read("status", STATUS));
        self.processes.insert(pid, Found { cmdline: cmdline.into(), uid });
        if let Some(uid) = uid {
            self.prepare_user(uid);
        }
    }

    /// Looks up the name of a user, once.
    pub(super) fn prepare_user(&mut self, uid: u32) {
        self.users.entry(uid).or_insert_with(|| names::user_name(uid));
    }
}

impl IdentityCache for Identities {
    fn process(&self, pid: i32) -> Option<Process<'_>> {
        let found = self.processes.get(&pid)?;
        Some(Process { cmdline: &found.cmdline, uid: found.uid })
    }

    fn user(&self, uid: u32) -> Option<&[u8]> {
        self.users.get(&uid)?.as_deref()
    }
}

/// The words of a command line, each ended by NUL, without the empty words at the end that
/// a process leaves when it sets its title.  A line longer than `most` bytes is cut and
/// then has no NUL at the end.
fn command_line(mut line: Vec<u8>, most: usize) -> Vec<u8> {
    let end = line.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    let is_cut = end > most;
    line.truncate(end.min(most));
    let end = line.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    line.truncate(end);
    if end > 0 && !is_cut {
        line.push(0);
    }
    line
}

/// The second number behind `Uid:`.
fn effective_uid(status: &[u8]) -> Option<u32> {
    let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"Uid:"))?;
    scan::unsigned(scan::skip_word(line)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effective_user_counts() {
        assert_eq!(effective_uid(b"Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n"), Some(2));
        for status in ["", "Uid:", "Uid:\t1", "Uid:\t1\tx"] {
            assert_eq!(effective_uid(status.as_bytes()), None, "{status}");
        }
    }

    #[test]
    fn command_lines_are_trimmed_and_bounded() {
        let long = vec![b'x'; 2 << 20];
        let title = [&b"nginx: worker"[..], &vec![0; 9000]].concat();
        let many = [&b"a\0"[..], &vec![0; 5000], b"b\0"].concat();
        for (file, most, want) in [
            (&b""[..], 8, &b""[..]),
            (b"\0\0\0", 8, b""),
            (b"ls\0-l\0", 8, b"ls\0-l\0"),
            (b"ls\0\0-l\0\0\0", 16, b"ls\0\0-l\0"),
            (b"no end", 8, b"no end\0"),
            (b"12345678", 8, b"12345678\0"),
            (b"12345678\0\0", 8, b"12345678\0"),
            (b"123456789", 8, b"12345678"),
            (b"1234567\089\0", 8, b"1234567"),
            (&title, 8, b"nginx: w"),
            (&title, LONGEST, b"nginx: worker\0"),
            (&many, LONGEST, b"a"),
            (&long, LONGEST, &long[..LONGEST]),
        ] {
            assert_eq!(
                command_line(file.to_vec(), most),
                want,
                "{}",
                file[..file.len().min(20)].escape_ascii()
            );
        }
    }

    /// Many processes can share the memory of one command line; our copies stay within the
    /// limit.
    #[test]
    fn command_lines_of_many_processes_are_bounded_together() {
        let root = tempfile();
        let title = vec![b'x'; 2 << 20];
        std::fs::create_dir_all(root.join("1")).expect("a directory");
        std::fs::write(root.join("1/cmdline"), &title).expect("a file");
        for pid in 2..6000 {
            let _ = std::os::unix::fs::symlink("1", root.join(pid.to_string()));
        }
        let sources = Sources { proc_root: Some(root.clone().into()), ..Sources::default() };
        let mut identities = Identities::new(&sources);
        (1..6000).for_each(|pid| identities.prepare_process(pid));
        let all: usize = identities.processes.values().map(|found| found.cmdline.len()).sum();
        assert!(all <= ALL + LONGEST + 6000 * SHORT && all > ALL, "{all}");
        assert_eq!(identities.process(5999).map(|process| process.cmdline), Some(&title[..SHORT]));
        std::fs::remove_dir_all(root).expect("the test's own");
    }

    fn tempfile() -> PathBuf {
        std::env::temp_dir().join(format!("sockdiag-identities-{}", std::process::id()))
    }

    #[test]
    fn this_process_is_known_and_others_are_not() {
        let mut identities = Identities::new(&Sources::default());
        let pid = std::process::id() as i32;
        assert_eq!(identities.process(pid), None, "nothing was asked yet");
        identities.prepare_process(pid);
        let own = identities.process(pid).expect("it was asked for");
        assert!(!own.cmdline.is_empty());
        assert_eq!(own.uid, Some(rustix::process::geteuid().as_raw()));
        identities.prepare_process(i32::MAX);
        assert_eq!(identities.process(i32::MAX), Some(Process { cmdline: b"", uid: None }));
    }

    /// getent(1) asks the same C library, so it must print the same names.
    #[test]
    fn users_have_the_names_that_the_machine_gives_them() {
        let mut identities = Identities::new(&Sources::default());
        for uid in [0, rustix::process::geteuid().as_raw(), 4_000_000_011] {
            let asked = std::process::Command::new("getent").args(["passwd", &uid.to_string()]).output();
            let Ok(asked) = asked else { sockdiag_testkit::skip!("no getent") };
            let want = asked.stdout.split(|byte| *byte == b':').next().filter(|name| !name.is_empty());
            identities.prepare_user(uid);
            assert_eq!(identities.user(uid), want, "{uid}");
        }
        assert_eq!(identities.user(1), None, "nobody asked");
    }
}
