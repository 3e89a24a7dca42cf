//! Relations between two tasks.
//!
//! Source: kcmp(2).
#![allow(clippy::cast_possible_wrap, reason = "kernel integers are narrow; each cast is meant")]
#![allow(unsafe_code)]

use rustix::io::Errno;

/// `KCMP_FILES` (linux/kcmp.h).
const KCMP_FILES: libc::c_int = 2;

/// Whether two tasks share one descriptor table, so that both have the same files open.
pub(crate) fn share_files(one: i32, other: i32) -> Result<bool, Errno> {
    // SAFETY: the call takes numbers alone and touches no memory of ours.
    let order = unsafe {
        libc::syscall(
            libc::SYS_kcmp,
            libc::c_long::from(one),
            libc::c_long::from(other),
            libc::c_long::from(KCMP_FILES),
            0 as libc::c_long,
            0 as libc::c_long,
        )
    };
    if order < 0 {
        return Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL));
    }
    Ok(order == 0)
}

/// Whether a process exists that we may not signal, since it belongs to another user.
pub(crate) fn is_another_s(pid: i32) -> bool {
    rustix::process::Pid::from_raw(pid)
        .is_some_and(|pid| rustix::process::test_kill_process(pid) == Err(Errno::PERM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_share_and_processes_do_not() {
        let own = std::process::id() as i32;
        match share_files(own, own) {
            Ok(shared) => assert!(shared),
            Err(error) => sockdiag_testkit::skip!("no kcmp(2) here: {error}"),
        }
        let thread = std::thread::spawn(move || {
            let tid = rustix::thread::gettid().as_raw_nonzero().get();
            (tid != own, share_files(own, tid))
        });
        assert_eq!(thread.join().expect("a thread"), (true, Ok(true)));
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("a child");
        assert_eq!(share_files(own, child.id() as i32), Ok(false));
        child.kill().expect("our child");
        child.wait().expect("our child");
        assert_eq!(share_files(own, i32::MAX), Err(Errno::SRCH));
    }
}
