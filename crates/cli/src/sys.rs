//! What the standard library does not tell: whether the standard output was closed.
//!
//! It opens /dev/null in the place of an output that was closed, before `main` runs, and
//! writing then succeeds.  So it is looked at before that.
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

// SAFETY: the loader calls each function of this section once before `main`, as System V's
// ABI has it.  This one needs nothing that is set up later, and does not unwind.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;
