//! The surroundings of a socket for diagnosis: counters and settings of its network namespace,
//! and aggregates over the other sockets of the namespace.
//!
//! The doctor ([`Needs::AROUND`](crate::fields::Needs::AROUND)) attaches this to a row; fields
//! read it by the kernel's names.  A finding about a namespace or a process is a row without a
//! socket ([`Socket::nothing`](super::Socket::nothing)) with these surroundings.
//!
//! Invariant: a value that was not read, or that this kernel lacks, is `None` and never zero.

use super::socket::Socket;

/// An aggregate over the other sockets of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// The listener's connection requests (SYN-RECV).
    SynRecv,
    /// Of these, the requests whose SYN-ACK was retransmitted.
    SynRecvAgain,
    /// Connections at the listener's port that the peer has closed and that no process holds.
    Abandoned,
    /// Whether the local port has a listener: 1 or 0.
    Served,
    /// Whether the other end of a connection within the host exists: 1 or 0.
    PeerPresent,
    /// Connections from ephemeral ports between the same two addresses to the same remote
    /// port; an upper bound.
    Towards,
    /// Fraction of the connections with other hosts that negotiated timestamps, selective
    /// acknowledgements and window scaling.
    WithOptions,
}

/// A process that holds descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors<'a> {
    /// The process.
    pub pid: u32,
    /// Its name.
    pub comm: &'a [u8],
    /// The number of its open descriptors.
    pub open: u64,
    /// The maximum number of them (soft limit of `RLIMIT_NOFILE`); `None` for no limit.
    pub most: Option<u64>,
}

/// The doctor's findings about a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Diagnosed<'a> {
    /// The id of the most severe finding.
    pub id: &'a str,
    /// Its severity: 1 is informational, 2 a warning, 3 critical.
    pub severity: u8,
    /// The number of findings.
    pub count: u32,
}

/// The surroundings of a socket.  An implementation returns what it knows and `None` for the
/// rest.
pub trait Around: Sync {
    /// The gain of a counter of the namespace between its two readings, by its group and name
    /// in /proc/net/netstat, snmp or snmp6 (`TcpExt`, `ListenOverflows`).
    fn gained(&self, _group: &str, _name: &str) -> Option<u64> {
        None
    }

    /// The time between the two readings, in seconds.
    fn seconds(&self) -> Option<f64> {
        None
    }

    /// A number in /proc/net/sockstat, by its line and word (`TCP`, `orphan`).
    fn level(&self, _group: &str, _name: &str) -> Option<u64> {
        None
    }

    /// A number of a sysctl, by its name and its index if the sysctl has several numbers.
    fn setting(&self, _name: &str, _place: usize) -> Option<i64> {
        None
    }

    /// The text of a sysctl.
    fn setting_text(&self, _name: &str) -> Option<&[u8]> {
        None
    }

    /// The number of ephemeral ports of the namespace, without the reserved ones.
    fn ephemeral_ports(&self) -> Option<u32> {
        None
    }

    /// An aggregate over the other sockets, for this socket.
    fn joined(&self, _join: Join, _socket: &Socket<'_>) -> Option<f64> {
        None
    }

    /// The process that the row describes, if it describes one.
    fn descriptors(&self) -> Option<Descriptors<'_>> {
        None
    }

    /// The number of things that could not be inspected.
    fn unseen(&self) -> Option<u64> {
        None
    }

    /// The findings about the socket with this cookie in the namespace with this inode; `None`
    /// if there are none, or if nothing was diagnosed yet.
    fn diagnosed(&self, _netns: u64, _cookie: u64) -> Option<Diagnosed<'_>> {
        None
    }
}
