//! A socket together with what was found out about it elsewhere.
//!
//! Everything in a row is borrowed and lives only while the sink looks at it.
//! A name that was not asked for and a name that does not exist are both
//! `None`: the number is printed then.

use std::num::NonZeroU16;

use super::around::Around;
use super::arrival::Arrival;
use super::bpf_map::BpfMapCache;
use super::holders::{ContextCache, HolderCache};
use super::identities::IdentityCache;
use super::socket::{Addr, Socket};
use super::surroundings::{AddressCache, Netns, Peer, Workload};
use crate::past::Past;

/// Host names by address, all looked up before a row that needs them is shown.
pub trait HostCache: Sync {
    /// The name of an address, if it has one.
    fn host(&self, addr: Addr) -> Option<&[u8]>;
}

/// The share of the ephemeral ports that is in use from one local address towards one
/// remote address and port, in parts of ten thousand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortShare(NonZeroU16);

impl PortShare {
    /// What one is divided into.
    const PARTS: u16 = 10_000;

    /// So many of all, at most all; `None` of none.
    pub fn of(used: u32, all: u32) -> Option<Self> {
        let parts = u64::from(used.min(all)) * u64::from(Self::PARTS);
        let rounded = (parts + u64::from(all) / 2).checked_div(all.into())?;
        // One more than the parts, so that none of them is not zero.
        NonZeroU16::new(u16::try_from(rounded).ok()? + 1).map(Self)
    }

    /// From 0 to 1.
    pub fn share(self) -> f64 {
        f64::from(self.0.get() - 1) / f64::from(Self::PARTS)
    }
}

/// Names for the numbers of one socket.
#[derive(Clone, Copy, Default)]
pub struct Names<'a> {
    /// Host names, where they were asked for.
    pub hosts: Option<&'a dyn HostCache>,
    /// Service name of the local port.
    pub local_service: Option<&'a [u8]>,
    /// Service name of the remote port.
    pub remote_service: Option<&'a [u8]>,
    /// Name of the interface that the socket is bound to (`if7` where it has none).
    pub interface: Option<&'a [u8]>,
    /// Name of a netlink socket's protocol.
    pub protocol: Option<&'a [u8]>,
    /// Command name of the process whose number a netlink socket's port id is.
    pub port_owner: Option<&'a [u8]>,
    /// Path of the socket's cgroup below the cgroup2 mount, or
    /// `unreachable:ID` (hexadecimal) where it cannot be found.
    pub cgroup: Option<&'a [u8]>,
    /// When the kernel told of it, if that was an event.
    pub arrival: Option<&'a Arrival>,
    /// The network namespace, where several are listed.
    pub netns: Option<&'a Netns>,
    /// The other end, where that was asked for.
    pub peer: Option<Peer<'a>>,
    /// Whom it works for, where that was asked for and something is known.
    pub workload: Option<&'a Workload>,
    /// The addresses of its namespace, where these were asked for.
    pub addresses: Option<&'a dyn AddressCache>,
    /// First and last ephemeral port of its namespace, where that was asked for.
    pub port_range: Option<(u16, u16)>,
    /// Ephemeral ports in use towards where it is connected to, where that was asked for.
    pub ports: Option<PortShare>,
    /// Who holds it, where that was asked for.
    pub holders: Option<&'a dyn HolderCache>,
    /// SELinux contexts of its holders and its own, where that was asked for.
    pub contexts: Option<&'a dyn ContextCache>,
    /// The BPF maps whose values it holds.
    pub bpf_maps: Option<&'a dyn BpfMapCache>,
    /// Command lines of processes and names of users, where they were asked for.
    pub identities: Option<&'a dyn IdentityCache>,
    /// Its namespace and the other sockets there, where it is judged.
    pub around: Option<&'a dyn Around>,
}

/// What a sink sees.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// The socket.
    pub socket: &'a Socket<'a>,
    /// Names for its numbers.
    pub names: Names<'a>,
    /// Whether it is an SCTP association below the endpoint (or the other
    /// association of it) that was shown before: `ss` shows these as a tree.
    pub association: bool,
    /// What earlier looks told of it, where it is looked at again and again.
    pub past: Option<&'a Past<'a>>,
}

impl<'a> Row<'a> {
    /// A row about which nothing else is known.
    pub fn bare(socket: &'a Socket<'a>) -> Self {
        Self { socket, names: Names::default(), association: false, past: None }
    }
}
