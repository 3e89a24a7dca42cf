//! Whom a socket works for: its container, pod and unit.
//!
//! The cgroup that a socket was made in tells first.  Where it tells nothing
//! (the root; systemd's own, which makes sockets for services), the cgroups of
//! its holders do, the newest first.  Each path is read once.
//!
//! Source: cgroups(7), proc_pid_cgroup(5).

mod shape;
mod state;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::model::{HolderBook, Workload};
use crate::source::Sources;

use state::State;

/// What the paths of cgroups tell.
#[derive(Debug)]
pub(super) struct Workloads {
    proc: PathBuf,
    state: State,
    by_path: HashMap<Vec<u8>, Workload>,
    /// The paths of processes that tell something.
    by_process: HashMap<i32, Option<Vec<u8>>>,
}

impl Workloads {
    /// Nothing is read yet.  Another machine's /proc stands beside its other
    /// directories.
    pub(super) fn new(sources: &Sources) -> Self {
        let proc = sources.proc_root.clone().unwrap_or_else(|| OsString::from("/proc"));
        let proc = PathBuf::from(proc);
        let root = match proc.parent() {
            Some(root) if root.as_os_str().is_empty() => PathBuf::from("."),
            Some(root) => root.to_owned(),
            None => PathBuf::from("/"),
        };
        Self { proc, state: State::new(root), by_path: HashMap::new(), by_process: HashMap::new() }
    }

    /// Reads what there is to know of a socket with this cgroup and inode.
    pub(super) fn prepare(&mut self, cgroup: Option<&[u8]>, inode: u32, holders: &dyn HolderBook) {
        if let Some(path) = cgroup {
            self.prepare_path(path);
        }
        if self.own(cgroup).is_some_and(shape::tells) {
            return;
        }
        let mut told = false;
        holders.holders(inode, &mut |holder| {
            told = told || self.prepare_process(holder.pid);
        });
    }

    /// What is known of a socket.
    pub(super) fn of(
        &self,
        cgroup: Option<&[u8]>,
        inode: u32,
        holders: &dyn HolderBook,
    ) -> Option<&Workload> {
        let own = self.own(cgroup);
        if own.is_some_and(shape::tells) {
            return own;
        }
        let mut found = None;
        holders.holders(inode, &mut |holder| {
            if found.is_none() {
                let path = self.by_process.get(&holder.pid).and_then(Option::as_ref);
                found = path.and_then(|path| self.by_path.get(path));
            }
        });
        found.or(own)
    }

    fn own(&self, cgroup: Option<&[u8]>) -> Option<&Workload> {
        self.by_path.get(cgroup?)
    }

    fn prepare_path(&mut self, path: &[u8]) {
        if !self.by_path.contains_key(path) {
            let mut work = shape::read(path);
            self.state.name(&mut work);
            self.by_path.insert(path.to_vec(), work);
        }
    }

    /// Whether the cgroup of a process tells something.
    fn prepare_process(&mut self, pid: i32) -> bool {
        let slot = match self.by_process.entry(pid) {
            Entry::Occupied(known) => return known.get().is_some(),
            Entry::Vacant(slot) => slot,
        };
        let path = cgroup_of(&self.proc, pid);
        let path = slot.insert(path).clone();
        if let Some(path) = &path {
            self.prepare_path(path);
        }
        path.is_some()
    }
}

/// The path of a process's cgroup, if it tells something.
fn cgroup_of(proc: &Path, pid: i32) -> Option<Vec<u8>> {
    let file = fs::read(proc.join(pid.to_string()).join("cgroup")).ok()?;
    let work = shape::best(&file)?;
    (shape::tells(&work) || work.unit.is_some()).then_some(work.cgroup)
}
