//! Whether the program has privileges that its caller lacks.
//!
//! Source: getauxval(3) (`AT_SECURE`), execve(2).
#![allow(unsafe_code)]

/// Whether exec gave the program more privileges than its caller has, by set-user-ID or
/// file capabilities: then the caller's environment must not choose which files are read.
pub(crate) fn is_elevated() -> bool {
    // SAFETY: the call takes a number, and has no conditions.
    let secure = unsafe { libc::getauxval(libc::AT_SECURE) };
    secure != 0
}
