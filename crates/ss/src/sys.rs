//! What `ss` asks of the system itself: `SIGPIPE`, which Rust's runtime changes and C programs
//! leave as they inherit it.
//!
//! Like the library's `sys/`, this is the only file of its crate with `unsafe`, one operation
//! a block.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the parent process had `SIGPIPE` ignored, as systemd does for services.
static IGNORED_BY_PARENT: AtomicBool = AtomicBool::new(false);

/// Runs [`look`] before `main`: Rust's runtime ignores `SIGPIPE` before `main` starts, so the
/// inherited action has to be read earlier.
// SAFETY: the C library calls each pointer in .init_array once, before `main`,
// on the only thread, with arguments that a function may leave alone.  `look`
// needs nothing that is set up later: one system call and one atomic.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action sigaction(2) changes nothing; it writes the current action
    // into memory of that type, which is ours.
    let result = unsafe { libc::sigaction(libc::SIGPIPE, ptr::null(), action.as_mut_ptr()) };
    if result == 0 {
        // SAFETY: the call succeeded, so it has written all of it.
        let action = unsafe { action.assume_init() };
        IGNORED_BY_PARENT.store(action.sa_sigaction == libc::SIG_IGN, Ordering::Relaxed);
    }
}

/// GCC's unwinder calls this function of glibc 2.35 or later.  Defining it here lets the
/// program run on glibc 2.34.  It reports that no object is known, which ends the unwinding.
///
/// Only where panics abort: nothing is unwound there, and a program without symbols has no
/// names to show in a backtrace.
// SAFETY: only glibc defines this name too, and may give the same answer; the answer needs
// neither argument, and nothing is written.
#[cfg(all(target_env = "gnu", panic = "abort"))]
#[unsafe(no_mangle)]
extern "C" fn _dl_find_object(_: *mut libc::c_void, _: *mut libc::c_void) -> libc::c_int {
    -1
}

/// Undoes what Rust's runtime does to `SIGPIPE`: the signal kills the process when its reader
/// goes away, unless the parent had it ignored.
pub(crate) fn restore_sigpipe() {
    if IGNORED_BY_PARENT.load(Ordering::Relaxed) {
        return;
    }
    // SAFETY: signal(2) with SIG_DFL installs no handler, so no code of ours
    // ever runs in signal context; SIGPIPE is a valid signal number.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Ignores `SIGPIPE`: destroying sockets continues even if the reader goes away.
pub(crate) fn outlive_readers() {
    // SAFETY: signal(2) with SIG_IGN installs no handler; SIGPIPE is a valid
    // signal number.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Kills the process with `SIGPIPE`, as if a write had failed, unless the parent had the
/// signal ignored.
pub(crate) fn end_by_sigpipe() {
    if IGNORED_BY_PARENT.load(Ordering::Relaxed) {
        return;
    }
    restore_sigpipe();
    // SAFETY: raise(3) takes any signal number; by default this one ends the process.
    unsafe { libc::raise(libc::SIGPIPE) };
}
