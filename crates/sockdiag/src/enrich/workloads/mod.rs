//! The workload that a socket belongs to: its container, pod and unit.
//!
//! The cgroup that a socket was made in is tried first.  If it names no workload (the root
//! cgroup, or that of systemd, which makes sockets for services), the cgroups of its
//! holders are tried, newest holder first.  Each path is read once.
//!
//! Source: cgroups(7), proc_pid_cgroup(5).

mod find;
mod json;
mod owners;
mod shape;
mod state;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::model::{HolderCache, Workload};
use crate::notice::{Notice, Refusals};
use crate::source::Sources;
use crate::sys::chosen;

pub(crate) use find::{Container, containers};
use owners::Owners;
use state::State;

/// How much of a process's list of cgroups is read.
const LONGEST: u64 = 64 << 10;

/// The workloads known from cgroup paths.
#[derive(Debug)]
pub(super) struct Workloads {
    proc: PathBuf,
    owners: Owners,
    state: State,
    refusals: Refusals,
    by_path: HashMap<Vec<u8>, Workload>,
    /// The cgroup paths of processes; `None` if a process has none that names a workload.
    by_process: HashMap<i32, Option<Vec<u8>>>,
}

impl Workloads {
    /// Forgets everything: a process can move to another cgroup, and a container can be
    /// renamed.
    pub(super) fn begin_poll(&mut self) {
        self.by_path.clear();
        self.by_process.clear();
        self.owners.begin_poll();
        self.state.begin_poll();
    }

    /// Starts without reading anything.  A copied /proc of another machine lies beside its
    /// other directories.
    pub(super) fn new(sources: &Sources) -> Self {
        let proc = sources.proc_root.clone().unwrap_or_else(|| OsString::from("/proc"));
        let proc = PathBuf::from(proc);
        let root = match proc.parent() {
            Some(root) if root.as_os_str().is_empty() => PathBuf::from("."),
            Some(root) => root.to_owned(),
            None => PathBuf::from("/"),
        };
        let is_tree = sources.proc_root.is_some();
        Self {
            proc,
            owners: Owners::new(is_tree.then(|| root.clone())),
            state: State::new(root, is_tree),
            refusals: Refusals::default(),
            by_path: HashMap::new(),
            by_process: HashMap::new(),
        }
    }

    /// The files that were not read, and why.
    pub(super) fn take_notices(&mut self) -> Vec<Notice> {
        let mut notices = self.refusals.take();
        notices.extend(self.state.take_notices());
        notices
    }

    /// Looks up the workload for a socket with this cgroup and inode.
    pub(super) fn prepare(&mut self, cgroup: Option<&[u8]>, inode: u32, holders: &dyn HolderCache) {
        if let Some(path) = cgroup {
            self.prepare_path(path);
        }
        let mut told = self.own(cgroup).is_some_and(shape::tells);
        if !told {
            holders.holders(inode, &mut |holder| told = told || self.prepare_process(holder.pid));
        }
    }

    /// The workload of a socket.
    pub(super) fn of(
        &self,
        cgroup: Option<&[u8]>,
        inode: u32,
        holders: &dyn HolderCache,
    ) -> Option<&Workload> {
        let own = self.own(cgroup);
        if own.is_some_and(shape::tells) {
            return own;
        }
        let (mut best, mut first) = (None, None);
        holders.holders(inode, &mut |holder| {
            if best.is_none()
                && let Some(work) = self.of_process(holder.pid)
            {
                first = first.or(Some(work));
                best = Some(work).filter(|work| shape::tells(work));
            }
        });
        best.or(own).or(first)
    }

    /// The workload from the socket's own cgroup, if the cgroup's path is known.
    fn own(&self, cgroup: Option<&[u8]>) -> Option<&Workload> {
        self.by_path.get(cgroup.filter(|path| path.starts_with(b"/"))?)
    }

    fn of_process(&self, pid: i32) -> Option<&Workload> {
        self.by_path.get(self.by_process.get(&pid)?.as_ref()?)
    }

    fn prepare_path(&mut self, path: &[u8]) {
        if !self.by_path.contains_key(path) {
            self.owners.prepare(path);
            let mut told = shape::read(path, &|path| self.owners.of(path));
            self.state.name(&mut told);
            told.work.entitle();
            self.by_path.insert(path.to_vec(), told.work);
        }
    }

    /// Reads the cgroup of a process; returns whether it names a workload.
    fn prepare_process(&mut self, pid: i32) -> bool {
        if let Entry::Vacant(slot) = self.by_process.entry(pid) {
            let path = self.proc.join(pid.to_string()).join("cgroup");
            let file = chosen::beginning_at(&path, LONGEST).unwrap_or_else(|why| {
                self.refusals.add(why, || path);
                Vec::new()
            });
            shape::paths(&file).for_each(|path| self.owners.prepare(path));
            let path = shape::best(&file, &|path| self.owners.of(path)).map(|told| told.work.cgroup);
            slot.insert(path.clone());
            if let Some(path) = path {
                self.prepare_path(&path);
            }
        }
        self.of_process(pid).is_some_and(shape::tells)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Holder;
    use std::fs;

    struct Book(&'static [i32]);

    impl HolderCache for Book {
        fn holders(&self, _: u32, take: &mut dyn FnMut(Holder<'_>)) {
            self.0.iter().for_each(|pid| take(Holder { name: b"x", pid: *pid, tid: *pid, fd: 3 }));
        }
    }

    #[test]
    fn the_socket_s_own_cgroup_tells_first_and_systemd_s_tells_nothing() {
        let root = std::env::temp_dir().join(format!("sockdiag-workloads-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        let proc = root.join("proc");
        for (pid, path) in [(1, "0::/init.scope"), (7, "0::/system.slice/ssh.service"), (8, "0::/")] {
            let dir = proc.join(pid.to_string());
            fs::create_dir_all(&dir).expect("a directory of the test");
            fs::write(dir.join("cgroup"), path).expect("a file of the test");
        }
        let sources = Sources { proc_root: Some(proc.into()), ..Sources::default() };
        let mut workloads = Workloads::new(&sources);
        let mut unit = |own: Option<&str>, holders: &'static [i32]| {
            let (own, book) = (own.map(str::as_bytes), Book(holders));
            workloads.prepare(own, 5, &book);
            let unit = workloads.of(own, 5, &book).and_then(|work| work.unit.clone());
            unit.map(|unit| String::from_utf8(unit.whole().to_vec()).expect("ASCII"))
        };
        let (ssh, init) = (Some("ssh.service".to_owned()), Some("init.scope".to_owned()));
        let web = Some("web.service".to_owned());
        assert_eq!(unit(Some("/system.slice/web.service"), &[7]), web);
        assert_eq!(unit(Some("/init.scope"), &[1, 7]), ssh, "made by systemd for a service");
        assert_eq!(unit(Some("/init.scope"), &[1]), init);
        assert_eq!(unit(Some("/"), &[8, 7]), ssh);
        assert_eq!(unit(None, &[1, 8]), init);
        assert_eq!(unit(None, &[9]), None, "it is gone");
        assert_eq!(unit(Some("unreachable:7"), &[]), None);
        fs::remove_dir_all(root).expect("the test's own directory");
    }
}
