//! Command lines of processes, and names of users.
//!
//! A process may end between the dump and the look: then it has no command
//! line and no user, and nothing is said of it.
//!
//! Source: proc_pid_cmdline(5), proc_pid_status(5), getpwuid(3).

#![allow(clippy::cast_possible_wrap, reason = "kernel integers are narrow; each cast is meant")]

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::model::{IdentityCache, Process};
use crate::notice::{Notice, Refusals};
use crate::source::Sources;
use crate::sys::{chosen, names};
use sockdiag_facts::scan;

/// More of a command line, or of a status, is not read.
const LONGEST: u64 = 2 << 20;

/// What was found out about processes and users so far.
#[derive(Debug)]
pub(super) struct Identities {
    root: OsString,
    processes: HashMap<i32, Found>,
    users: HashMap<u32, Option<Vec<u8>>>,
    refusals: Refusals,
}

#[derive(Debug)]
struct Found {
    cmdline: Vec<u8>,
    uid: Option<u32>,
}

impl Identities {
    /// Forgets what is known of processes.
    pub(super) fn begin_poll(&mut self) {
        self.processes.clear();
    }

    /// Nobody is known yet.
    pub(super) fn new(sources: &Sources) -> Self {
        let root = sources.proc_root.clone().unwrap_or_else(|| OsString::from("/proc"));
        Self { root, processes: HashMap::new(), users: HashMap::new(), refusals: Refusals::default() }
    }

    /// What was not read, and why.
    pub(super) fn take_notices(&mut self) -> Vec<Notice> {
        self.refusals.take()
    }

    /// Looks at a process, once.
    pub(super) fn prepare_process(&mut self, pid: i32) {
        if self.processes.contains_key(&pid) {
            return;
        }
        let refusals = &mut self.refusals;
        let mut read = |name: &str| {
            let mut path = PathBuf::from(&self.root);
            path.push(pid.to_string());
            path.push(name);
            chosen::beginning_at(&path, LONGEST).unwrap_or_else(|why| {
                refusals.add(why, || path);
                Vec::new()
            })
        };
        let (cmdline, uid) = (read("cmdline"), effective_uid(&read("status")));
        self.processes.insert(pid, Found { cmdline, uid });
        if let Some(uid) = uid {
            self.prepare_user(uid);
        }
    }

    /// Asks for the name of a user, once.
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

    /// The same names as getent(1) gives, which asks the same C library.
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
