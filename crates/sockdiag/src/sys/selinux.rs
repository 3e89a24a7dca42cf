//! Whether SELinux is on.
//!
//! It is on if its file system is mounted writable and a policy is configured.  The first
//! such mount point decides: `/sys/fs/selinux`, `/selinux`, else the first file system of
//! that type in the list of mounts, with the path as the list spells it.
//!
//! Source: selinux(8); the places and their order were observed in the reference's system
//! calls.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "kernel integers are narrow; each cast is meant"
)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statfs, statvfs};

/// `SELINUX_MAGIC` of linux/magic.h.
const MAGIC: u32 = 0xf97c_ff8c;
/// Where the file system is searched first.
const PLACES: [&str; 2] = ["/sys/fs/selinux", "/selinux"];
/// The file that names the policy; only its existence matters.
const CONFIG: &str = "/etc/selinux/config";

/// The mount point of selinuxfs, if SELinux is on.
pub fn mount_point() -> Option<PathBuf> {
    let listed = || {
        is_known(&fs::read("/proc/filesystems").ok()?).then_some(())?;
        mounted_at(&fs::read("/proc/mounts").ok()?).map(Path::to_owned)
    };
    let mount = PLACES.into_iter().map(PathBuf::from).find(|place| holds_it(place));
    let mount = mount.or_else(|| listed().filter(|place| holds_it(place)))?;
    (may_be_written(&mount) && Path::new(CONFIG).exists()).then_some(mount)
}

fn holds_it(place: &Path) -> bool {
    // A magic number has 32 bits, however wide and signed the field is.
    statfs(place).is_ok_and(|stat| stat.f_type as u32 == MAGIC)
}

fn may_be_written(place: &Path) -> bool {
    statvfs(place).is_ok_and(|stat| !stat.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Whether the kernel's list of file systems contains selinuxfs.
fn is_known(filesystems: &[u8]) -> bool {
    filesystems.split(|byte| *byte == b'\n').any(|line| line == b"nodev\tselinuxfs")
}

/// The mount point of the first selinuxfs in a list of mounts.
fn mounted_at(mounts: &[u8]) -> Option<&Path> {
    mounts.split(|byte| *byte == b'\n').find_map(|line| {
        let mut words = line.split(|byte| *byte == b' ');
        let (_, place, kind) = (words.next()?, words.next()?, words.next()?);
        (kind == b"selinuxfs").then(|| Path::new(OsStr::from_bytes(place)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_is_found_by_its_type() {
        assert!(is_known(b"nodev\tsysfs\nnodev\tselinuxfs\n\text4\n"));
        assert!(!is_known(b"nodev\tsysfs\nnodev\tselinuxfs2\n") && !is_known(b""));
        for (mounts, want) in [
            (&b"x / ext4 rw 0 0\nx /a selinuxfs rw 0 0\ny /b selinuxfs rw 0 0\n"[..], Some("/a")),
            (b"x /a\\040b selinuxfs rw 0 0\n", Some("/a\\040b")),
            (b"selinuxfs /selinuxfs tmpfs rw 0 0\n", None),
            (b"x /a selinuxfs", Some("/a")),
            (b"x\n\n", None),
            (b"", None),
        ] {
            assert_eq!(mounted_at(mounts), want.map(Path::new));
        }
    }

    #[test]
    fn other_file_systems_are_not_it() {
        assert!(!holds_it(Path::new("/")) && !holds_it(Path::new("/nonexistent")));
        assert!(may_be_written(Path::new("/dev/shm")) || !Path::new("/dev/shm").exists());
    }
}
