//! Processes and users behind their numbers.

/// What is known about a process, apart from its id and command name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process<'a> {
    /// Its command line: words terminated by NUL, arbitrary bytes, without trailing empty
    /// words.  If the line was cut (at 4 KiB, or earlier if very many are kept), the last word
    /// has no NUL.  Empty for a kernel thread and for a process that has ended.
    pub cmdline: &'a [u8],
    /// The user that it runs as; `None` if it ended before this could be read.
    pub uid: Option<u32>,
}

/// Processes and users, all resolved before a row that needs them is shown.
pub trait IdentityCache: Sync {
    /// A process, by its id.
    fn process(&self, pid: i32) -> Option<Process<'_>>;

    /// The name of a user; `None` if the user has none.
    fn user(&self, uid: u32) -> Option<&[u8]>;
}
