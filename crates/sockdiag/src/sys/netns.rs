//! `-N NAME`: moves the process into a network namespace.
//!
//! A name is a file in `/run/netns`; as in the reference it may lead elsewhere
//! (`../../proc/1/ns/net`).  If there is no such file, `pid:N` is the namespace of a
//! process, and anything with a slash is a path.
//!
//! Afterwards the process sees that namespace's sockets, its `/sys`, and its own versions
//! of files in `/etc` (`/etc/netns/NAME/*`), as with `ip netns exec`. Only the calling
//! thread moves, so this must happen before other threads start.
//!
//! Source: ss(8), ip-netns(8), setns(2), mount_namespaces(7).
#![allow(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statvfs};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, unmount,
};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use super::chosen::{self, NotOpened};
use super::errno_text;
use crate::model::UserNamespace;
use crate::notice::Notice;

/// The inode that identifies the network namespace of the calling thread; `None` if neither
/// /proc nor the kernel shows it (the latter needs `CAP_NET_ADMIN`).
pub fn inode() -> Option<u64> {
    match fs::metadata(OWN) {
        Ok(meta) => Some(meta.ino()),
        Err(_) => Some(of_new_socket().ok()?.metadata().ok()?.ino()),
    }
}

/// The namespace of a new socket of the calling thread.
fn of_new_socket() -> io::Result<File> {
    /// `SIOCGSKNS` (linux/sockios.h).
    const SIOCGSKNS: libc::Ioctl = 0x894c;
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::DGRAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?;
    // SAFETY: the request takes no argument, so the kernel reads and writes no
    // memory of ours.
    let fd = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), SIOCGSKNS) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call returned a new descriptor, which nobody else has.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// The network namespace of the calling thread.
pub(crate) const OWN: &str = "/proc/thread-self/ns/net";

/// Inode of the first user namespace (`PROC_USER_INIT_INO`).
const FIRST_USER: u64 = 0xefff_fffd;
/// The uid that the kernel reports for a user who has none in our user namespace.
const UNMAPPED: u32 = 65534;

/// The user namespace that owns a network namespace; `None` if that is ours or the first
/// one, if it is above ours, and before Linux 4.9.
pub(crate) fn owner_of(netns: &File) -> Option<UserNamespace> {
    let descriptor = netns.as_raw_fd();
    // SAFETY: the request takes no argument, and the descriptor is open.
    let user = unsafe { libc::ioctl(descriptor, libc::NS_GET_USERNS) };
    if user < 0 {
        return None;
    }
    // SAFETY: the kernel has just opened it for us, and nobody else knows it.
    let user = File::from(unsafe { OwnedFd::from_raw_fd(user) });
    let inode = user.metadata().ok()?.ino();
    let is_ours = || fs::metadata("/proc/self/ns/user").is_ok_and(|ours| ours.ino() == inode);
    if inode == FIRST_USER || is_ours() {
        return None;
    }
    let mut uid: libc::uid_t = UNMAPPED;
    let descriptor = user.as_raw_fd();
    // SAFETY: the request writes one uid_t where the pointer points, which is
    // ours and lives longer than the call.  Where it fails nothing is written.
    let _ = unsafe { libc::ioctl(descriptor, libc::NS_GET_OWNER_UID, &raw mut uid) };
    Some(UserNamespace { inode, uid })
}

/// The directory of named namespaces.
const NAMES: &str = "/run/netns";
/// The same directory by its older name.
const OLD_NAMES: &str = "/var/run/netns";
/// The directory with their versions of files in `/etc`.
const FILES: &str = "/etc/netns";

/// Why a namespace could not be entered.  The process may already have been moved in part.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum EnterError {
    /// There is no such namespace, or its file may not be opened.
    Open { name: OsString, errno: i32 },
    /// The file is not a network namespace, or it may not be entered.
    Set { name: OsString, errno: i32 },
    /// No running container has this name, or an id that begins with it.
    NoContainer { name: OsString },
    /// Several containers have this name, or ids that begin with it.
    SeveralContainers { name: OsString, candidates: Vec<Vec<u8>> },
    /// A mount namespace of our own could not be created.
    Unshare { errno: i32 },
    /// Mount propagation to the parent namespace could not be turned off.
    Slave { errno: i32 },
    /// `/sys` of the namespace could not be mounted.
    Sys { errno: i32 },
}

impl fmt::Display for EnterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { name, errno } => {
                let name = name.to_string_lossy();
                write!(f, "cannot open the network namespace {name:?}: {}", errno_text(*errno))
            }
            Self::Set { name, errno } => {
                let name = name.to_string_lossy();
                write!(f, "cannot enter the network namespace {name:?}: {}", errno_text(*errno))
            }
            Self::NoContainer { name } => {
                let name = name.to_string_lossy();
                write!(f, "no running container has the name {name:?} or an id that begins with it")
            }
            Self::SeveralContainers { name, candidates } => {
                write!(f, "several containers match {:?}: ", name.to_string_lossy())?;
                for (at, candidate) in candidates.iter().enumerate() {
                    let separator = if at == 0 { "" } else { ", " };
                    write!(f, "{separator}{}", candidate.escape_ascii())?;
                }
                Ok(())
            }
            Self::Unshare { errno } => write!(f, "cannot create a mount namespace: {}", errno_text(*errno)),
            Self::Slave { errno } => {
                write!(f, "cannot disable mount propagation: {}", errno_text(*errno))
            }
            Self::Sys { errno } => {
                write!(f, "cannot mount /sys of the network namespace: {}", errno_text(*errno))
            }
        }
    }
}

impl std::error::Error for EnterError {}

/// Moves the calling thread into the network namespace `name`: a name, a path
/// or `pid:N`.
///
/// If a file in `/etc/netns/NAME` cannot be mounted over the file of the same name in `/etc`,
/// a notice is given and the file is skipped.  A namespace that was not named (a path, a
/// process) has no such files.
///
/// # Errors
/// The error of the step that failed.
pub fn enter(name: &OsStr, notices: &mut dyn FnMut(Notice)) -> Result<(), EnterError> {
    let (file, files) = open(name)?;
    move_to(name, &file, files.as_deref(), notices)
}

/// The same for a namespace file that is already open.
pub(crate) fn enter_by(name: &OsStr, file: &File, notices: &mut dyn FnMut(Notice)) -> Result<(), EnterError> {
    move_to(name, file, None, notices)
}

fn open(name: &OsStr) -> Result<(File, Option<PathBuf>), EnterError> {
    find(name).map_err(|why| not_entered(name, why))
}

/// The error for a namespace file that was not opened.
pub(crate) fn not_entered(name: &OsStr, why: NotOpened) -> EnterError {
    let name = name.to_owned();
    match why {
        NotOpened::Open(errno) => EnterError::Open { name, errno: errno.raw_os_error() },
        NotOpened::NoNamespace => EnterError::Set { name, errno: Errno::INVAL.raw_os_error() },
    }
}

fn move_to(
    name: &OsStr,
    file: &File,
    files: Option<&Path>,
    notices: &mut dyn FnMut(Notice),
) -> Result<(), EnterError> {
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|e| EnterError::Set { name: name.to_owned(), errno: e.raw_os_error() })?;
    // SAFETY: NEWNS gives this thread its own mounts and leaves the table of
    // file descriptors shared, which is all that unshare_unsafe asks for.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }
        .map_err(|e| EnterError::Unshare { errno: e.raw_os_error() })?;
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .map_err(|e| EnterError::Slave { errno: e.raw_os_error() })?;
    remount_sys(name).map_err(|e| EnterError::Sys { errno: e.raw_os_error() })?;
    if let Some(files) = files {
        bind_files(files, notices);
    }
    Ok(())
}

/// The file of a namespace, and the directory of its files in `/etc` if it has a name.
///
/// Only files of namespaces are opened: in their place there may be a pipe, which waits, or
/// a device, which acts.
fn find(name: &OsStr) -> Result<(File, Option<PathBuf>), NotOpened> {
    let error = match chosen::namespace(&joined(NAMES, name)) {
        Ok(file) => return Ok((file, Some(joined(FILES, name)))),
        Err(error) => error,
    };
    if !matches!(error, NotOpened::Open(Errno::NOENT | Errno::NOTDIR)) {
        return Err(error);
    }
    let Some(path) = path_of(name) else { return Err(error) };
    match chosen::namespace(&path) {
        Ok(file) => Ok((file, name_of(&path).map(|name| joined(FILES, name)))),
        // No such file either: report it as a name, like the reference.
        Err(NotOpened::Open(Errno::NOENT)) => Err(error),
        Err(other) => Err(other),
    }
}

/// The path that a word other than a name stands for.
fn path_of(name: &OsStr) -> Option<PathBuf> {
    if let Some(pid) = name.as_bytes().strip_prefix(b"pid:") {
        let is_number = !pid.is_empty() && pid.iter().all(u8::is_ascii_digit);
        let pid = is_number.then_some(OsStr::from_bytes(pid))?;
        return Some(Path::new("/proc").join(pid).join("ns/net"));
    }
    name.as_bytes().contains(&b'/').then(|| name.into())
}

/// The name of the namespace at a path, if the path is in the directory of names.
fn name_of(path: &Path) -> Option<&OsStr> {
    let below = [NAMES, OLD_NAMES].into_iter().find_map(|names| path.strip_prefix(names).ok())?;
    below.file_name().filter(|name| Path::new(name) == below)
}

/// Mounts the namespace's own `/sys`, read-only if it was.
fn remount_sys(name: &OsStr) -> Result<(), Errno> {
    let read_only = statvfs("/sys").is_ok_and(|stat| stat.f_flag.contains(StatVfsMountFlags::RDONLY));
    // Failure is fine: nothing was mounted there.
    let _ = unmount("/sys", UnmountFlags::DETACH);
    let flags = if read_only { MountFlags::RDONLY } else { MountFlags::empty() };
    mount(name, "/sys", "sysfs", flags, None)
}

fn bind_files(files: &Path, notices: &mut dyn FnMut(Notice)) {
    let Ok(entries) = fs::read_dir(files) else { return };
    for entry in entries.flatten() {
        let (from, to) = (entry.path(), Path::new("/etc").join(entry.file_name()));
        if let Err(e) = mount_bind(&from, &to) {
            notices(Notice::BindFailed { from, to, errno: e.raw_os_error() });
        }
    }
}

/// `DIR/NAME`, even if the name begins with a slash.
fn joined(dir: &str, name: &OsStr) -> PathBuf {
    let mut path = OsString::from(dir);
    path.push("/");
    path.push(name);
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_does_not_exist_is_named_as_it_was_written() {
        let names = ["no-such-ns", "../no/such", "/no", "pid:", "pid:x", "pid:4194305", "pid:1/x"];
        let names = names.iter().map(OsStr::new).chain([OsStr::from_bytes(b"\xff\n")]);
        for name in names {
            let error = enter(name, &mut |notice| panic!("{notice}")).unwrap_err();
            assert_eq!(error, EnterError::Open { name: name.to_owned(), errno: 2 });
            assert!(!error.to_string().contains(char::is_control), "{error}");
        }
    }

    #[test]
    fn what_is_no_name_is_a_path_or_a_process() {
        for (name, path) in [
            ("pid:1", Some("/proc/1/ns/net")),
            ("pid:-1", None),
            ("pid:1/..", None),
            ("/run/netns/x", Some("/run/netns/x")),
            ("./x", Some("./x")),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(path_of(OsStr::new(name)), path.map(PathBuf::from), "{name}");
        }
        for (path, name) in [
            ("/run/netns/x", Some("x")),
            ("/var/run/netns/x", Some("x")),
            ("/run/netns/x/y", None),
            ("/run/netns/..", None),
            ("/run/netns", None),
            ("/proc/1/ns/net", None),
            ("x", None),
        ] {
            assert_eq!(name_of(Path::new(path)), name.map(OsStr::new), "{path}");
        }
    }
}
