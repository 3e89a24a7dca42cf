//! The kernel's error numbers that replies are checked for.
//!
//! Netlink messages carry them negated; here they are positive, as in errno(3).
//!
//! Source: asm-generic/errno.h, which every architecture but Alpha, MIPS,
//! PA-RISC and SPARC uses.

use crate::layout::constants;

constants! {
    /// Error numbers.
    ERRNO in "linux/errno.h": i32 {
        /// A privilege is missing.
        EPERM = 1;
        /// No such file, socket or socket table.
        ENOENT = 2;
        /// There is no such process.
        ESRCH = 3;
        /// An argument is too large.
        E2BIG = 7;
        /// Access is denied.
        EACCES = 13;
        /// The request is malformed, or has a part that this kernel does not know.
        EINVAL = 22;
        /// A result does not fit its buffer.
        ERANGE = 34;
        /// A message is too long.
        EMSGSIZE = 90;
        /// The kernel does not have this protocol.
        EPROTONOSUPPORT = 93;
        /// The kernel does not have this operation.
        EOPNOTSUPP = 95;
        /// The kernel does not have this address family.
        EAFNOSUPPORT = 97;
        /// Messages were dropped because they were not read in time.
        ENOBUFS = 105;
        /// A file handle names a file that is gone.
        ESTALE = 116;
    }
}
