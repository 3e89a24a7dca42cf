//! Points where a program can change how the library looks up names, or how it reports
//! missing ones.

use crate::model::{Socket, Table};

/// Choices that depend on more than the socket at hand.  The default of every method is the
/// library's own choice.
pub trait Quirks: Send + Sync + std::fmt::Debug {
    /// The protocol whose service names are used for the ports of a table; 0 stands for any
    /// protocol.  Called once for each table of a poll, in the order of the dumps.
    fn services(&mut self, table: Table) -> u16 {
        table.services()
    }

    /// Whether to look up cgroup id 0, which does not exist.
    fn looks_up_cgroup_zero(&self) -> bool {
        false
    }

    /// How often to report that the cgroup of a row has no path; `None` reports each once
    /// per poll.
    fn cgroup_notices(&self, id: u64) -> Option<u64> {
        let _ = id;
        None
    }

    /// Whether an SCTP socket that is about to be shown is an association; `before` is the
    /// inode of the inet socket shown before it, 0 if there was none.
    fn is_association(&self, socket: &Socket<'_>, before: u32) -> bool {
        let _ = before;
        has_peers(socket)
    }
}

/// Whether a socket lists the addresses of its peers: among SCTP sockets only associations
/// do.
pub(super) fn has_peers(socket: &Socket<'_>) -> bool {
    socket.attrs().is_some_and(|attrs| attrs.peers().is_some())
}
