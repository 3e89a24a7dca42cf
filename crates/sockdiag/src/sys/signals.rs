//! What a program of the shell's kind does about signals.

#![allow(unsafe_code)]

/// Lets the process end by `SIGPIPE` when its reader goes away, as C programs
/// do: Rust's runtime has set the signal to be ignored.
///
/// Meant for the start of `main`; a library's caller decides for itself.
pub fn die_of_broken_pipes() {
    // SAFETY: signal(2) with SIG_DFL installs no handler, so no code of ours
    // ever runs in signal context; SIGPIPE is a valid signal number.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}
