//! Files whose path or content another user may have chosen.
//!
//! Opening a file can have effects: a pipe waits for a writer, a device acts, a symbolic
//! link leads anywhere.  So a file is first opened as a location only (`O_PATH`), which
//! neither waits nor acts; it is opened for reading only if it is a regular file of the
//! expected owner.
//!
//! Invariant: nothing below a [`Dir`] is reached through a symbolic link or `..`; only
//! regular files are read, and each up to its limit.
//!
//! Source: openat2(2), open(2), fifo(7).

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    CWD, FileType, FsWord, Mode, OFlags, ResolveFlags, Stat, fcntl_setfl, fstat, fstatfs, open, openat,
    openat2,
};
use rustix::io::Errno;

use crate::notice::Refusal;

/// Flags to locate a file without opening it.
const PLACE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Flags to read without waiting and without acquiring a controlling terminal.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
/// How often a look-up is repeated while directories on its path are being moved.
const REPEATS: usize = 8;
/// The magic number of /proc, whose files no user chooses.
const PROC: FsWord = 0x9fa0;
/// The magic number of the file system with the files of namespaces.
const NSFS: FsWord = 0x6e73_6673;

/// A directory below which files are read.
#[derive(Debug)]
pub(crate) struct Dir {
    fd: OwnedFd,
    /// Its path, for messages.
    path: PathBuf,
    /// Whether file systems that are mounted below belong to it.
    mounts: bool,
}

impl Dir {
    /// Opens a directory at a path that the caller or root chose.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn open(path: &Path) -> Result<Self, Errno> {
        let fd = open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { fd, path: path.to_owned(), mounts: true })
    }

    /// Opens a directory at a path that root chose; it may contain links and mounts, which
    /// cannot lead above this one.  With `mounts`, file systems that are mounted below
    /// belong to it.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn chosen_by_root(&self, path: &Path, mounts: bool) -> Result<Self, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let relative = path.strip_prefix("/").unwrap_or(path);
        let relative = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
        let fd = match openat2(&self.fd, relative, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
            Err(Errno::NOSYS | Errno::PERM) => self.walk(relative, true)?,
            other => other?,
        };
        Ok(Self { fd, path: self.path.join(relative), mounts })
    }

    /// The full path of a path below it.
    pub(crate) fn called(&self, path: &Path) -> PathBuf {
        self.path.join(path)
    }

    /// The whole content of a regular file that belongs to one of these users; `None` if
    /// there is no file.
    ///
    /// # Errors
    /// Why the file was refused.
    pub(crate) fn read(
        &self,
        path: &Path,
        owner: impl Fn(u32) -> bool,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, Refusal> {
        let place = match self.place(path) {
            Ok(place) => place,
            Err(error) => return absent(error),
        };
        let stat = fstat(&place).map_err(denied)?;
        regular(&stat)?;
        if !owner(stat.st_uid) {
            return Err(Refusal::Owner { uid: stat.st_uid });
        }
        if u64::try_from(stat.st_size).unwrap_or(u64::MAX) > limit {
            return Err(Refusal::TooLong { limit });
        }
        let file = reopened(&place, || openat(&self.fd, path, READ | OFlags::NOFOLLOW, Mode::empty()))
            .map_err(denied)?;
        let mut bytes = Vec::new();
        // The file may grow meanwhile.
        File::from(file).take(limit + 1).read_to_end(&mut bytes).map_err(|error| from_io(&error))?;
        if bytes.len() as u64 > limit {
            return Err(Refusal::TooLong { limit });
        }
        Ok(Some(bytes))
    }

    /// The owner of the file at a path; `None` if there is none, or it lies behind a link.
    pub(crate) fn owner_of(&self, path: &Path) -> Option<u32> {
        Some(fstat(self.place(path).ok()?).ok()?.st_uid)
    }

    /// The names in a directory, up to `most`.
    pub(crate) fn names(&self, path: &Path, most: usize) -> Vec<OsString> {
        let Ok(place) = self.place(path) else { return Vec::new() };
        let flags = READ | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let Ok(directory) = openat(&place, ".", flags, Mode::empty()) else { return Vec::new() };
        let Ok(entries) = rustix::fs::Dir::new(directory) else { return Vec::new() };
        let names = entries.flatten().map(|entry| entry.file_name().to_bytes().to_vec());
        names.filter(|name| name != b"." && name != b"..").take(most).map(OsString::from_vec).collect()
    }

    /// Locates the file at a path that contains no link and does not lead above this
    /// directory.
    fn place(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        if !self.mounts {
            resolve |= ResolveFlags::NO_XDEV;
        }
        for _ in 0..REPEATS {
            match openat2(&self.fd, path, PLACE, Mode::empty(), resolve) {
                Err(Errno::AGAIN) => {}
                // Before Linux 5.6, and in sandboxes that do not know openat2.
                Err(Errno::NOSYS | Errno::PERM) => break,
                other => return other,
            }
        }
        self.walk(path, self.mounts)
    }

    /// The same without openat2, one name after the other.
    fn walk(&self, path: &Path, mounts: bool) -> Result<OwnedFd, Errno> {
        let device = fstat(&self.fd)?.st_dev;
        let mut at = self.fd.try_clone().map_err(|_| Errno::MFILE)?;
        for component in path.components() {
            let name = match component {
                Component::Normal(name) => name,
                Component::CurDir => continue,
                _ => return Err(Errno::XDEV),
            };
            // A link is not a directory, so the next name would not be found in it.
            if FileType::from_raw_mode(fstat(&at)?.st_mode) == FileType::Symlink {
                return Err(Errno::LOOP);
            }
            at = openat(&at, name, PLACE, Mode::empty())?;
            if !mounts && fstat(&at)?.st_dev != device {
                return Err(Errno::XDEV);
            }
        }
        Ok(at)
    }
}

/// The beginning of a file below a directory of processes: any file of the kernel's own
/// /proc, but only regular files elsewhere.
///
/// # Errors
/// Why the file was refused.
pub(crate) fn beginning(root: impl AsFd, path: &str, limit: u64) -> Result<Vec<u8>, Refusal> {
    let file = if is_proc(root.as_fd()) {
        openat(&root, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(denied)?
    } else {
        let place = openat(&root, path, PLACE, Mode::empty()).map_err(denied)?;
        regular(&fstat(&place).map_err(denied)?)?;
        reopened(&place, || openat(&root, path, READ | OFlags::NOFOLLOW, Mode::empty())).map_err(denied)?
    };
    let mut bytes = Vec::new();
    // If reading fails midway, the part read so far counts as a shorter file.
    let _ = File::from(file).take(limit).read_to_end(&mut bytes);
    Ok(bytes)
}

/// The beginning of the regular file at a path; links are refused.
///
/// # Errors
/// Why the file was refused.
pub(crate) fn beginning_at(path: &Path, limit: u64) -> Result<Vec<u8>, Refusal> {
    let file = regular_at(path, OFlags::NOFOLLOW)?;
    let mut bytes = Vec::new();
    let _ = file.take(limit).read_to_end(&mut bytes);
    Ok(bytes)
}

/// Opens the regular file at a path for reading; with `NOFOLLOW` among the flags links are
/// refused.
///
/// # Errors
/// Why the file was refused.
pub(crate) fn regular_at(path: &Path, flags: OFlags) -> Result<File, Refusal> {
    let place = open(path, OFlags::PATH | OFlags::CLOEXEC | flags, Mode::empty()).map_err(denied)?;
    regular(&fstat(&place).map_err(denied)?)?;
    Ok(reopened(&place, || open(path, READ | flags, Mode::empty())).map_err(denied)?.into())
}

/// Opens a file of a tree that replaces /proc, as the kernel's own would be opened. A pipe
/// without a writer is empty, and so is a device.
///
/// # Errors
/// The system's error.
pub(crate) fn of_tree(path: &Path) -> io::Result<File> {
    let place = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let file = match FileType::from_raw_mode(fstat(&place)?.st_mode) {
        FileType::RegularFile | FileType::Directory => reopened(&place, || open(path, READ, Mode::empty()))?,
        FileType::Fifo => {
            let pipe = reopened(&place, || open(path, READ, Mode::empty()))?;
            // From here on, reading waits for a writer that has the pipe open.
            fcntl_setfl(&pipe, OFlags::empty())?;
            pipe
        }
        FileType::Socket => return Err(Errno::NXIO.into()),
        _ => io::pipe()?.0.into(),
    };
    Ok(file.into())
}

/// Whether a directory belongs to the kernel's own /proc.
fn is_proc(directory: BorrowedFd<'_>) -> bool {
    fstatfs(directory).is_ok_and(|stat| stat.f_type == PROC)
}

/// Opens the file of a namespace.
///
/// # Errors
/// The error of the look-up, as if the file were opened for reading; `EINVAL` if it is not
/// a namespace, as setns(2) reports.
pub(crate) fn namespace(path: &Path) -> Result<File, NotOpened> {
    let place = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(NotOpened::Open)?;
    if fstatfs(&place).map_err(NotOpened::Open)?.f_type == NSFS {
        let file = reopened(&place, || open(path, READ, Mode::empty())).map_err(NotOpened::Open)?;
        return Ok(file.into());
    }
    let stat = fstat(&place).map_err(NotOpened::Open)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile | FileType::Directory => {
            // Opening it for reading gives the right error.
            reopened(&place, || open(path, READ, Mode::empty())).map_err(NotOpened::Open)?;
        }
        FileType::Socket => return Err(NotOpened::Open(Errno::NXIO)),
        _ => {
            let read = rustix::fs::Access::READ_OK;
            rustix::fs::accessat(CWD, path, read, rustix::fs::AtFlags::EACCESS).map_err(NotOpened::Open)?;
        }
    }
    Err(NotOpened::NoNamespace)
}

/// Why the file of a namespace was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotOpened {
    /// The system's error.
    Open(Errno),
    /// It is not the file of a namespace.
    NoNamespace,
}

/// Opens a located file for reading; without /proc by calling `again`, if that still leads
/// to the same file.
fn reopened(place: &OwnedFd, again: impl FnOnce() -> Result<OwnedFd, Errno>) -> Result<OwnedFd, Errno> {
    match open(format!("/proc/self/fd/{}", place.as_raw_fd()).as_str(), READ, Mode::empty()) {
        Err(Errno::NOENT | Errno::NOTDIR) => {}
        other => return other,
    }
    let file = again()?;
    let (before, now) = (fstat(place)?, fstat(&file)?);
    if (before.st_dev, before.st_ino) == (now.st_dev, now.st_ino) { Ok(file) } else { Err(Errno::STALE) }
}

fn regular(stat: &Stat) -> Result<(), Refusal> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(()),
        FileType::Fifo => Err(Refusal::Fifo),
        FileType::Socket => Err(Refusal::Socket),
        FileType::Directory => Err(Refusal::Directory),
        FileType::Symlink => Err(Refusal::Link),
        _ => Err(Refusal::Device),
    }
}

/// The meaning of an error in a look-up.
fn absent<T>(error: Errno) -> Result<Option<T>, Refusal> {
    match error {
        Errno::NOENT | Errno::NOTDIR => Ok(None),
        Errno::LOOP => Err(Refusal::Link),
        Errno::XDEV => Err(Refusal::Outside),
        error => Err(denied(error)),
    }
}

fn denied(error: Errno) -> Refusal {
    Refusal::Denied { errno: error.raw_os_error() }
}

fn from_io(error: &io::Error) -> Refusal {
    Refusal::Denied { errno: error.raw_os_error().unwrap_or(0) }
}

#[cfg(test)]
mod tests;
