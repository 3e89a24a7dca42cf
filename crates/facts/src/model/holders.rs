//! The holders of a socket: descriptors of tasks that refer to it.
//!
//! A socket may have many holders (a descriptor copied, inherited, sent, or shared by threads)
//! or none (a kernel socket, a connection that is not accepted yet, or a process that we may
//! not inspect).

/// One descriptor of one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder<'a> {
    /// The task's command name as the kernel stores it, arbitrary bytes; empty if it could not
    /// be read.
    pub name: &'a [u8],
    /// The process.
    pub pid: i32,
    /// The thread; equal to the process id for the main thread.
    pub tid: i32,
    /// The descriptor.
    pub fd: i32,
}

/// SELinux contexts, all read before a row that shows them.  `None` if there is no context or
/// if it may not be read.
pub trait ContextCache: Sync {
    /// The context of the kernel's own sockets.
    fn kernel(&self) -> Option<&[u8]>;
    /// The context of a task.
    fn task(&self, tid: i32) -> Option<&[u8]>;
    /// The context of the row's socket, read through a descriptor of a task.
    fn socket(&self, tid: i32, fd: i32) -> Option<&[u8]>;
}

/// Holders of sockets, all collected before a row that needs them is shown.
pub trait HolderCache: Sync {
    /// Passes the holders of a socket to `take` in the order of `ss`: the one found last comes
    /// first.  Inode 0 has none, since no descriptor can refer to such a socket.
    fn holders(&self, inode: u32, take: &mut dyn FnMut(Holder<'_>));
}
