//! Two things that the standard library lacks: whether standard output was closed, and a
//! function that GCC's unwinder needs and glibc 2.34 does not have.
//!
//! The standard library opens /dev/null in place of a closed output before `main` runs, and
//! writing to it then succeeds.  So `look` checks earlier.
#![allow(unsafe_code, reason = "a function that runs before main is named in a section of the file")]

use std::sync::atomic::{AtomicBool, Ordering};

static WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether the program was started without a standard output.
pub(crate) fn is_output_closed() -> bool {
    WAS_CLOSED.load(Ordering::Relaxed)
}

extern "C" fn look() {
    let flags = rustix::io::fcntl_getfd(rustix::stdio::stdout());
    WAS_CLOSED.store(flags == Err(rustix::io::Errno::BADF), Ordering::Relaxed);
}

// SAFETY: the loader calls each function of this section once before `main`, as System V's ABI
// requires.  This one needs nothing that is set up later, and does not unwind.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

/// GCC's unwinder calls this function of glibc 2.35.  It is defined here so that the program
/// runs on glibc 2.34, too; it reports that no object is known, which ends the unwinding.
///
/// Only where panics abort: nothing is unwound there, and a program without symbols
/// has no names to show in a backtrace.
// SAFETY: only glibc defines this name too, and may give the same answer; the answer needs
// neither argument, and nothing is written.
#[cfg(all(target_env = "gnu", panic = "abort"))]
#[unsafe(no_mangle)]
extern "C" fn _dl_find_object(_: *mut std::ffi::c_void, _: *mut std::ffi::c_void) -> std::ffi::c_int {
    -1
}
