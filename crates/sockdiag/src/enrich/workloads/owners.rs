//! The owner of a cgroup.
//!
//! systemd and the runtimes make cgroups as root, and delegate some of them to users, who
//! make others below.  So the owner of a directory chose the names in it.
//!
//! Source: cgroups(7), "Cgroup delegation".

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use crate::sys::chosen::Dir;
use sockdiag_facts::scan;

/// Where the cgroup hierarchies lie in the copied file tree of another machine.
const MOUNTS: &[&str] =
    &["sys/fs/cgroup", "sys/fs/cgroup/unified", "sys/fs/cgroup/systemd", "sys/fs/cgroup/memory"];

/// The search stops at this depth: delegation happens nearer to the root.
const DEEPEST: usize = 32;

/// The uid that the kernel reports for a user who has none in our user namespace.
const UNMAPPED: u32 = 65534;

/// The cgroup hierarchies of a machine.
#[derive(Debug, Default)]
pub(super) struct Owners {
    /// `None` until the first look-up.
    hierarchies: Option<Vec<Dir>>,
    /// The copied file tree of another machine, if one is read.
    tree: Option<PathBuf>,
    /// Whether we are in a user namespace that maps only some users.
    is_inside: bool,
    known: HashMap<Vec<u8>, Option<u32>>,
}

impl Owners {
    /// For this machine, or for a copied file tree of another one.
    pub(super) fn new(tree: Option<PathBuf>) -> Self {
        Self { tree, ..Self::default() }
    }

    /// Forgets what was looked up.
    pub(super) fn begin_poll(&mut self) {
        self.known.clear();
    }

    /// Looks up the owners of a cgroup and of all its ancestors.
    pub(super) fn prepare(&mut self, path: &[u8]) {
        if !path.starts_with(b"/") {
            return;
        }
        if self.hierarchies.is_none() {
            self.hierarchies = Some(self.found());
            let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
            self.is_inside = !map.split_ascii_whitespace().eq(["0", "0", "4294967295"]);
        }
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        let prefixes = ends.map(|at| path.get(..at.max(1)).unwrap_or_default()).chain([path]);
        for prefix in prefixes.take(DEEPEST) {
            if !self.known.contains_key(prefix) {
                let owner = self.look_up(prefix);
                self.known.insert(prefix.to_vec(), owner);
            }
        }
    }

    /// The owner of a cgroup: 0 for root and users who are equivalent to root.
    pub(super) fn of(&self, path: &[u8]) -> Option<u32> {
        *self.known.get(path)?
    }

    fn look_up(&self, path: &[u8]) -> Option<u32> {
        let below = path.strip_prefix(b"/").filter(|below| !below.is_empty()).unwrap_or(b".");
        let below = Path::new(OsStr::from_bytes(below));
        let owners = self.hierarchies.iter().flatten().filter_map(|dir| dir.owner_of(below));
        // The same path may exist in several hierarchies.
        let owner = owners.max()?;
        if self.tree.is_some() && owner == rustix::process::geteuid().as_raw() {
            // The files belong to the user who copied the tree.
            return Some(0);
        }
        if self.is_inside && owner == UNMAPPED { None } else { Some(owner) }
    }

    fn found(&self) -> Vec<Dir> {
        let paths: Vec<PathBuf> = match &self.tree {
            Some(tree) => MOUNTS.iter().map(|mount| tree.join(mount)).collect(),
            None => mounted(&fs::read("/proc/mounts").unwrap_or_default()),
        };
        paths.iter().filter_map(|path| Dir::open(path).ok()).collect()
    }
}

/// The mount points of cgroup hierarchies, version 1 and 2.
fn mounted(mounts: &[u8]) -> Vec<PathBuf> {
    let of = |line: &[u8]| {
        let mut words = line.split(|byte| *byte == b' ');
        let (path, kind) = (words.nth(1)?, words.next()?);
        let is = matches!(kind, b"cgroup" | b"cgroup2");
        is.then(|| OsString::from_vec(scan::unescaped(path)).into())
    };
    mounts.split(|byte| *byte == b'\n').filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hierarchy_is_found() {
        let mounts = b"proc /proc proc rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
            cgroup2 /my\\040cg cgroup2 rw 0 0\ntmpfs /sys/fs/cgroup tmpfs rw 0 0\nx\n";
        assert_eq!(mounted(mounts), [PathBuf::from("/sys/fs/cgroup/cpu"), "/my cg".into()]);
    }

    #[test]
    fn a_directory_s_owner_is_told_and_links_and_dots_are_not_followed() {
        let root = std::env::temp_dir().join(format!("sockdiag-owners-{}", std::process::id()));
        let mount = root.join("sys/fs/cgroup");
        fs::create_dir_all(mount.join("a/b")).expect("a directory of the test");
        std::os::unix::fs::symlink("/", mount.join("link")).expect("a link of the test");
        let is_root = rustix::process::geteuid().is_root();
        if is_root {
            std::os::unix::fs::chown(mount.join("a/b"), Some(5), None).expect("root may");
        }
        let mut owners = Owners::new(Some(root.clone()));
        for path in ["/a/b/c", "/a/b", "/link/etc", "/../etc", "a", "/"] {
            owners.prepare(path.as_bytes());
        }
        let b = if is_root { 5 } else { 0 };
        for (path, owner) in [
            ("/", Some(0)),
            ("/a", Some(0)),
            ("/a/b", Some(b)),
            ("/a/b/c", None),
            ("/link/etc", None),
            ("/..", None),
            ("/../etc", None),
            ("a", None),
        ] {
            assert_eq!(owners.of(path.as_bytes()), owner, "{path}");
        }
        fs::remove_dir_all(root).expect("the test's own directory");
    }
}
