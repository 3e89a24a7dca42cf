//! Who holds a socket: a descriptor of a task that refers to it.
//!
//! A socket may have many holders (a descriptor copied, inherited, sent, or
//! shared by threads) and none (the kernel's own, a connection nobody accepted
//! yet, a process that may not be looked into).

/// One descriptor of one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder<'a> {
    /// The task's command name as the kernel holds it, any bytes; empty if it
    /// could not be read.
    pub name: &'a [u8],
    /// The process.
    pub pid: i32,
    /// The thread; that of the main thread is the process's number.
    pub tid: i32,
    /// The descriptor.
    pub fd: i32,
}

/// SELinux contexts, all read before a row that shows them.  `None` is what may
/// not be read, or has none.
pub trait ContextCache: Sync {
    /// The context of the kernel's own sockets.
    fn kernel(&self) -> Option<&[u8]>;
    /// The context of a task.
    fn task(&self, tid: i32) -> Option<&[u8]>;
    /// The context of the row's socket, as one descriptor of a task gives it.
    fn socket(&self, tid: i32, fd: i32) -> Option<&[u8]>;
}

/// Holders of sockets, all found out before a row that needs them is shown.
pub trait HolderCache: Sync {
    /// Hands over the holders of a socket in the order in which `ss` lists
    /// them: the one found last first.  Inode 0, a socket that no descriptor
    /// can refer to, has none.
    fn holders(&self, inode: u32, take: &mut dyn FnMut(Holder<'_>));
}
