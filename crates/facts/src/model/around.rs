//! What is so around a socket: the counters and settings of its network namespace,
//! and what the other sockets of the namespace add up to for it.
//!
//! Who judges sockets ([`Needs::AROUND`](crate::fields::Needs::AROUND)) lends this to
//! a row; fields read it by the kernel's own words.  A namespace or a process that is
//! judged by itself is a row without a socket ([`Socket::nothing`](super::Socket::nothing))
//! with this around it.
//!
//! Invariant: what was not read, or does not exist on this kernel, is `None` and never
//! zero.

use super::socket::Socket;

/// What the other sockets of a namespace add up to for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// Requests for a connection (SYN-RECV) that a listener has.
    SynRecv,
    /// Those of them whose SYN-ACK was sent again.
    SynRecvAgain,
    /// Connections at a listener's port that the peer closed and that no process holds.
    Abandoned,
    /// Whether there is a listener at the local port: 1 or 0.
    Served,
    /// Whether the other end is there, of a connection of the host with itself: 1 or 0.
    PeerPresent,
    /// Connections from the ephemeral range between the same addresses towards the same
    /// port, at most.
    Towards,
    /// Share of the connections with other hosts that have timestamps, selective
    /// acknowledgements and scaled windows.
    WithOptions,
}

/// A process that holds descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors<'a> {
    /// The process.
    pub pid: u32,
    /// Its name.
    pub comm: &'a [u8],
    /// Descriptors that it has open.
    pub open: u64,
    /// How many it may have (the soft limit of `RLIMIT_NOFILE`); `None` for no limit.
    pub most: Option<u64>,
}

/// What the doctor found of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Diagnosed<'a> {
    /// The worst finding.
    pub id: &'a str,
    /// How bad that is: 1 is informational, 2 a warning, 3 critical.
    pub severity: u8,
    /// How many findings there are.
    pub count: u32,
}

/// What is so around a socket.  Whoever lends it answers what it knows; the rest is `None`.
pub trait Around: Sync {
    /// What a counter of the namespace gained between its two readings, by its group
    /// and name in /proc/net/netstat, snmp or snmp6 (`TcpExt`, `ListenOverflows`).
    fn gained(&self, _group: &str, _name: &str) -> Option<u64> {
        None
    }

    /// The time between the two readings, in seconds.
    fn seconds(&self) -> Option<f64> {
        None
    }

    /// A number of /proc/net/sockstat, by its line and word (`TCP`, `orphan`).
    fn level(&self, _group: &str, _name: &str) -> Option<u64> {
        None
    }

    /// A number of a sysctl, by its name and its place among several.
    fn setting(&self, _name: &str, _place: usize) -> Option<i64> {
        None
    }

    /// The text of a sysctl.
    fn setting_text(&self, _name: &str) -> Option<&[u8]> {
        None
    }

    /// Ephemeral ports that the namespace gives away, less the reserved ones.
    fn ephemeral_ports(&self) -> Option<u32> {
        None
    }

    /// What the other sockets add up to for one.
    fn joined(&self, _join: Join, _socket: &Socket<'_>) -> Option<f64> {
        None
    }

    /// The process that the row is about, where it is about one.
    fn descriptors(&self) -> Option<Descriptors<'_>> {
        None
    }

    /// How many things could not be seen.
    fn unseen(&self) -> Option<u64> {
        None
    }

    /// What was found of the socket of this cookie, in the namespace of this inode; `None`
    /// for nothing, and where nobody has judged yet.
    fn diagnosed(&self, _netns: u64, _cookie: u64) -> Option<Diagnosed<'_>> {
        None
    }
}
