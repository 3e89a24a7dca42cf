//! Who is behind a number: processes and users, by name.

/// What a process is, beyond its number and command name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process<'a> {
    /// Its command line, each word ended by NUL, any bytes, without empty words at
    /// its end; the last word lacks the NUL where the line was cut (at 4 KiB, and
    /// shorter where very many are kept).  Empty for a thread of the kernel and for a
    /// process that ended.
    pub cmdline: &'a [u8],
    /// The user that it acts as; `None` if it ended before that could be read.
    pub uid: Option<u32>,
}

/// Processes and users, all looked up before a row that needs them is shown.
pub trait IdentityCache: Sync {
    /// A process, by its number.
    fn process(&self, pid: i32) -> Option<Process<'_>>;

    /// The name of a user; `None` for one that has none.
    fn user(&self, uid: u32) -> Option<&[u8]>;
}
