//! Paths of cgroups.
//!
//! A socket carries its cgroup's id, which is the file handle of the cgroup's directory.
//! The first look-up walks the whole tree and keeps it; an id that was not in the tree (a
//! cgroup made since) is opened by its handle, which needs privileges.
//!
//! Source: cgroups(7), open_by_handle_at(2).

use std::ffi::{CString, OsStr};
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::id_map::IdMap;
use crate::notice::Notice;
use crate::sys::errno_of;
use crate::sys::handle::{id_of, open_id};
use sockdiag_facts::scan;

const ESTALE: i32 = 116;

/// Paths of cgroups by id.
#[derive(Debug, Default)]
pub(super) struct Cgroups {
    mount: Mount,
    paths: IdMap<u64, Vec<u8>>,
    /// The notice to give when a socket with one of these ids is shown.
    unreachable: IdMap<u64, Notice>,
    notices: Vec<(Notice, u64)>,
    /// The notices that were already given.
    said: Vec<Notice>,
    /// Whether id 0 is looked up.
    with_zero: bool,
}

/// The mount point of the cgroup2 file system.
#[derive(Clone, Debug, Default)]
enum Mount {
    /// Not searched yet.
    #[default]
    Unknown,
    Nowhere,
    At(PathBuf),
}

impl Cgroups {
    /// Starts empty; `with_zero` looks up id 0, too.
    pub(super) fn new(with_zero: bool) -> Self {
        Self { with_zero, ..Self::default() }
    }

    /// Forgets everything: cgroups may be made, removed or renamed between polls.
    pub(super) fn begin_poll(&mut self) {
        *self = Self::new(self.with_zero);
    }

    /// Looks a cgroup up, unless it is known.
    pub(super) fn prepare(&mut self, id: u64) {
        if id == 0 && !self.with_zero {
            return;
        }
        if self.paths.contains_key(&id) {
            return;
        }
        let mount = self.mount();
        if self.paths.contains_key(&id) {
            return;
        }
        let found = match mount {
            _ if id == 0 => Err(Some(Notice::CgroupIdInvalid)),
            Mount::At(mount) => path_by_id(&mount, id),
            // The missing mount was already reported.
            Mount::Unknown | Mount::Nowhere => Err(None),
        };
        let path = found.unwrap_or_else(|notice| {
            self.unreachable.extend(notice.map(|notice| (id, notice)));
            format!("unreachable:{id:x}").into_bytes()
        });
        self.paths.insert(id, path);
    }

    /// The path of a cgroup that was looked up, below the mount point.
    #[inline]
    pub(super) fn path(&self, id: u64) -> Option<&[u8]> {
        self.paths.get(&id).map(Vec::as_slice)
    }

    /// Notes why a cgroup that is about to be shown has no path: `times` times, or once for
    /// all cgroups with the same reason.
    pub(super) fn show(&mut self, id: u64, times: Option<u64>) {
        let Some(notice) = self.unreachable.get(&id) else { return };
        let times = match times {
            // Notices that iproute2's ss does not give are given once.
            Some(times) if *notice != Notice::CgroupGone => times,
            _ if self.said.contains(notice) => 0,
            _ => {
                self.said.push(notice.clone());
                1
            }
        };
        if times > 0 {
            match self.notices.iter_mut().find(|(said, _)| said == notice) {
                Some((_, before)) => *before += times,
                None => self.notices.push((notice.clone(), times)),
            }
        }
    }

    pub(super) fn has_notices(&self) -> bool {
        !self.notices.is_empty()
    }

    pub(super) fn take_notices(&mut self) -> Vec<(Notice, u64)> {
        std::mem::take(&mut self.notices)
    }

    /// The mount point.  The first call walks the tree below it.
    fn mount(&mut self) -> Mount {
        if let Mount::Unknown = self.mount {
            self.mount = if let Some(mount) = mount_point() {
                self.walk(&mount);
                Mount::At(mount)
            } else {
                self.notices.push((Notice::NoCgroupMount, 1));
                Mount::Nowhere
            };
        }
        self.mount.clone()
    }

    fn walk(&mut self, mount: &Path) {
        let mut left = vec![mount.to_owned()];
        while let Some(dir) = left.pop() {
            if let Some(id) = id_of_path(&dir) {
                self.paths.insert(id, below(mount, dir.as_os_str()));
            }
            let Ok(entries) = fs::read_dir(&dir) else { continue };
            let subdirs = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            left.extend(subdirs.map(|entry| entry.path()));
        }
    }
}

fn id_of_path(path: &Path) -> Option<u64> {
    id_of(None, &CString::new(path.as_os_str().as_bytes()).ok()?).ok()
}

/// The path below the mount point; `/` for the mount point itself.
fn below(mount: &Path, path: &OsStr) -> Vec<u8> {
    let (mount, path) = (mount.as_os_str().as_bytes(), path.as_bytes());
    match path.strip_prefix(mount) {
        Some(b"") => b"/".to_vec(),
        Some(rest) => rest.to_vec(),
        None => path.to_vec(),
    }
}

/// Opens a cgroup by its id to find its path.  The error holds the notice to give, if there
/// is one.
fn path_by_id(mount: &Path, id: u64) -> Result<Vec<u8>, Option<Notice>> {
    let dir = File::open(mount).map_err(|error| Some(Notice::CgroupMount { errno: errno_of(&error) }))?;
    let file = open_id(dir.as_fd(), id).map_err(|error| match errno_of(&error) {
        ESTALE => Some(Notice::CgroupGone),
        errno => Some(Notice::CgroupOpen { errno }),
    })?;
    let path = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(|_| None)?;
    Ok(below(mount, path.as_os_str()))
}

/// The mount point of the first cgroup2 file system.
pub(super) fn mount_point() -> Option<PathBuf> {
    parse_mounts(&fs::read("/proc/mounts").ok()?)
}

fn parse_mounts(text: &[u8]) -> Option<PathBuf> {
    text.split(|byte| *byte == b'\n').find_map(|line| {
        let mut words = line.split(|byte| *byte == b' ');
        let (dir, kind) = (words.nth(1)?, words.next()?);
        (kind == b"cgroup2").then(|| PathBuf::from(std::ffi::OsString::from_vec(scan::unescaped(dir))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cgroup2_mount_counts() {
        let mounts = b"proc /proc proc rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw 0 0\n\
cgroup2 /my\\040cg\\134x cgroup2 rw 0 0\ncgroup2 /second cgroup2 rw 0 0\n";
        assert_eq!(parse_mounts(mounts), Some("/my cg\\x".into()));
        assert_eq!(parse_mounts(b"proc /proc proc rw 0 0\n"), None);
        assert_eq!(parse_mounts(b"cgroup2\nx \n"), None);
    }

    #[test]
    fn paths_begin_at_the_mount_point() {
        let mount = Path::new("/sys/fs/cgroup");
        assert_eq!(below(mount, OsStr::new("/sys/fs/cgroup")), b"/");
        assert_eq!(below(mount, OsStr::new("/sys/fs/cgroup/a/b")), b"/a/b");
        assert_eq!(below(mount, OsStr::new("/elsewhere")), b"/elsewhere");
    }

    #[test]
    fn ids_that_lead_nowhere_say_so() {
        let mut cgroups = Cgroups { mount: Mount::Nowhere, ..Cgroups::new(true) };
        cgroups.prepare(0xbc_614e);
        cgroups.prepare(0);
        cgroups.prepare(0);
        assert_eq!(cgroups.path(0xbc_614e), Some(&b"unreachable:bc614e"[..]));
        assert_eq!(cgroups.path(0), Some(&b"unreachable:0"[..]));
        assert!(cgroups.take_notices().is_empty(), "nothing was shown");
        cgroups.show(0, Some(2));
        cgroups.show(0, Some(1));
        assert_eq!(cgroups.take_notices(), [(Notice::CgroupIdInvalid, 3)]);
        cgroups.show(0, None);
        cgroups.show(0, None);
        assert_eq!(cgroups.take_notices(), [(Notice::CgroupIdInvalid, 1)], "each thing once");
        assert!(cgroups.take_notices().is_empty());
    }

    #[test]
    fn the_root_is_a_slash() {
        let Some(mount) = mount_point() else {
            sockdiag_testkit::skip!("no cgroup2 mount");
        };
        let Some(id) = id_of_path(&mount) else {
            sockdiag_testkit::skip!("{} has no id", mount.display());
        };
        let mut cgroups = Cgroups::default();
        cgroups.prepare(id);
        assert_eq!(cgroups.path(id), Some(&b"/"[..]));
        cgroups.prepare(1 << 60);
        assert_eq!(cgroups.path(1 << 60), Some(&b"unreachable:1000000000000000"[..]));
    }
}
