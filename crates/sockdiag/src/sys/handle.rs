//! File handles: a cgroup's id is the 8-byte handle of its directory.
//!
//! Source: name_to_handle_at(2); kernfs handles (a 64-bit node id).
#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// The length of a cgroup's handle, in bytes.
const ID_LEN: usize = 8;
/// `FILEID_INO32_GEN`, which kernfs of every release accepts for an id.
const ID_TYPE: libc::c_int = 1;

/// `struct file_handle` with room for a cgroup's id.
#[repr(C)]
struct Handle {
    len: libc::c_uint,
    kind: libc::c_int,
    id: [u8; ID_LEN],
}

/// Why an id could not be read.
#[derive(Debug)]
pub(crate) enum IdError {
    /// The system call failed.
    Os(io::Error),
    /// The file has a handle of another size, so it is not a cgroup.
    Size,
}

/// The 8-byte handle of the file at `path`, seen from `dir` (or the working directory).
pub(crate) fn id_of(dir: Option<BorrowedFd<'_>>, path: &CStr) -> Result<u64, IdError> {
    let mut handle = Handle { len: ID_LEN as libc::c_uint, kind: 0, id: [0; ID_LEN] };
    let mut mount_id: libc::c_int = 0;
    let dir = dir.map_or(libc::AT_FDCWD, |dir| dir.as_raw_fd());
    // SAFETY: `path` ends in a NUL; `handle` has the layout of struct
    // file_handle with `len` bytes of room behind its fixed part, and
    // the kernel writes no more than that (name_to_handle_at(2)).
    let failed = unsafe {
        libc::name_to_handle_at(dir, path.as_ptr(), (&raw mut handle).cast(), &raw mut mount_id, 0)
    } != 0;
    if failed {
        return Err(IdError::Os(io::Error::last_os_error()));
    }
    if handle.len as usize != ID_LEN {
        return Err(IdError::Size);
    }
    Ok(u64::from_ne_bytes(handle.id))
}

/// Opens the file that has this 8-byte handle on the file system of `mount`.
pub(crate) fn open_id(mount: BorrowedFd<'_>, id: u64) -> io::Result<OwnedFd> {
    let mut handle = Handle { len: ID_LEN as libc::c_uint, kind: ID_TYPE, id: id.to_ne_bytes() };
    // SAFETY: `handle` has the layout of struct file_handle and holds the
    // `len` bytes that it says it does; the kernel checks the rest.
    let fd = unsafe {
        libc::open_by_handle_at(mount.as_raw_fd(), (&raw mut handle).cast(), libc::O_RDONLY | libc::O_CLOEXEC)
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has just returned this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_missing_file_has_no_id() {
        let missing = id_of(None, c"/nonexistent");
        assert!(
            matches!(&missing, Err(IdError::Os(e)) if e.raw_os_error() == Some(libc::ENOENT)),
            "{missing:?}"
        );
    }

    #[test]
    fn an_id_leads_back_to_its_directory() {
        let Some(mount) = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
            .into_iter()
            .find(|path| std::path::Path::new(path).join("cgroup.procs").exists())
        else {
            sockdiag_testkit::skip!("no cgroup2 mount");
        };
        let dir = std::fs::File::open(mount).expect("a mount point can be opened");
        let id = id_of(Some(dir.as_fd()), c".").expect("cgroup directories have ids");
        match open_id(dir.as_fd(), id) {
            Ok(fd) => {
                let path = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).expect("open");
                assert_eq!(path.to_str(), Some(mount));
            }
            Err(e) => sockdiag_testkit::skip!("{e} (needs CAP_DAC_READ_SEARCH)"),
        }
    }
}
