//! What `ss` asks of the system itself: the one signal that C programs leave
//! to its default.
//!
//! Like the library's `sys/`, this is the only file of its crate with `unsafe`,
//! one operation a block.

#![allow(unsafe_code)]

/// Lets the process end by `SIGPIPE` when its reader goes away, as C programs
/// do: Rust's runtime has set the signal to be ignored.
pub(crate) fn die_of_broken_pipes() {
    // SAFETY: signal(2) with SIG_DFL installs no handler, so no code of ours
    // ever runs in signal context; SIGPIPE is a valid signal number.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}
