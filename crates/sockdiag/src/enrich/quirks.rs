//! Points where a program can change how the library looks up names, or how it reports
//! missing ones.

use crate::model::{Socket, Table};

/// Choices that depend on more than the socket at hand.  Every method has the
/// library's own choice for its default.
pub trait Quirks: Send + Sync + std::fmt::Debug {
    /// The protocol whose service names the ports of a table have; 0 for those
    /// of any.  Asked once for each table of a poll, in the order of the dumps.
    fn services(&mut self, table: Table) -> u16 {
        table.services()
    }

    /// Whether the cgroup with id 0, which there is not, is looked up.
    fn looks_up_cgroup_zero(&self) -> bool {
        false
    }

    /// How often to report that the cgroup of a row has no path; `None` reports each once
    /// per poll.
    fn cgroup_notices(&self, id: u64) -> Option<u64> {
        let _ = id;
        None
    }

    /// Whether an SCTP socket that is shown next is an association; the inode of
    /// the inet socket shown `before` it is told, 0 if there was none.
    fn is_association(&self, socket: &Socket<'_>, before: u32) -> bool {
        let _ = before;
        has_peers(socket)
    }
}

/// Whether a socket lists the addresses of another end: of SCTP only an
/// association does.
pub(super) fn has_peers(socket: &Socket<'_>) -> bool {
    socket.attrs().is_some_and(|attrs| attrs.peers().is_some())
}
