//! A socket together with what was found out about it elsewhere.
//!
//! Everything in a row is borrowed and lives only during the call of the sink.  A name that
//! was not requested and a name that does not exist are both `None`; the number is printed
//! instead.

use std::num::NonZeroU16;

use super::around::Around;
use super::arrival::Arrival;
use super::bpf_map::BpfMapCache;
use super::holders::{ContextCache, HolderCache};
use super::identities::IdentityCache;
use super::socket::{Addr, Socket};
use super::surroundings::{AddressCache, Netns, Peer, Workload};
use crate::past::Past;

/// Host names by address, all resolved before a row that needs them is shown.
pub trait HostCache: Sync {
    /// The name of an address, if there is one.
    fn host(&self, addr: Addr) -> Option<&[u8]>;
}

/// The fraction of ephemeral ports in use from one local address to one remote address and
/// port, in units of 1/10000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortShare(NonZeroU16);

impl PortShare {
    /// The number of units in the whole.
    const PARTS: u16 = 10_000;

    /// The fraction `used / all`, at most 1; `None` if `all` is 0.
    pub fn of(used: u32, all: u32) -> Option<Self> {
        let parts = u64::from(used.min(all)) * u64::from(Self::PARTS);
        let rounded = (parts + u64::from(all) / 2).checked_div(all.into())?;
        // Stored plus one, so that a fraction of 0 is not zero.
        NonZeroU16::new(u16::try_from(rounded).ok()? + 1).map(Self)
    }

    /// The fraction, from 0 to 1.
    pub fn share(self) -> f64 {
        f64::from(self.0.get() - 1) / f64::from(Self::PARTS)
    }
}

/// Names for the numbers of one socket.
#[derive(Clone, Copy, Default)]
pub struct Names<'a> {
    /// Host names, if requested.
    pub hosts: Option<&'a dyn HostCache>,
    /// Service name of the local port.
    pub local_service: Option<&'a [u8]>,
    /// Service name of the remote port.
    pub remote_service: Option<&'a [u8]>,
    /// Name of the interface that the socket is bound to (`if7` if it has no name).
    pub interface: Option<&'a [u8]>,
    /// Name of a netlink socket's protocol.
    pub protocol: Option<&'a [u8]>,
    /// Command name of the process whose id is the port id of a netlink socket.
    pub port_owner: Option<&'a [u8]>,
    /// Path of the socket's cgroup below the cgroup2 mount point, or `unreachable:ID`
    /// (hexadecimal) if the path cannot be found.
    pub cgroup: Option<&'a [u8]>,
    /// When the event arrived, if the row is an event.
    pub arrival: Option<&'a Arrival>,
    /// The network namespace, if several are listed.
    pub netns: Option<&'a Netns>,
    /// The other end, if requested.
    pub peer: Option<Peer<'a>>,
    /// The workload that the socket belongs to, if requested and known.
    pub workload: Option<&'a Workload>,
    /// The addresses of its namespace, if requested.
    pub addresses: Option<&'a dyn AddressCache>,
    /// First and last ephemeral port of its namespace, if requested.
    pub port_range: Option<(u16, u16)>,
    /// Fraction of ephemeral ports in use to its remote address and port, if requested.
    pub ports: Option<PortShare>,
    /// The processes that hold it, if requested.
    pub holders: Option<&'a dyn HolderCache>,
    /// SELinux contexts of the socket and its holders, if requested.
    pub contexts: Option<&'a dyn ContextCache>,
    /// The BPF maps that store values for it.
    pub bpf_maps: Option<&'a dyn BpfMapCache>,
    /// Command lines of processes and names of users, if requested.
    pub identities: Option<&'a dyn IdentityCache>,
    /// Its namespace and the other sockets in it, if the socket is diagnosed.
    pub around: Option<&'a dyn Around>,
}

/// The row that a sink receives.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// The socket.
    pub socket: &'a Socket<'a>,
    /// Names for the socket's numbers.
    pub names: Names<'a>,
    /// Whether this is an SCTP association that belongs to the previously shown endpoint: `ss`
    /// shows associations as a tree.
    pub association: bool,
    /// Values from earlier observations, if the listing is repeated.
    pub past: Option<&'a Past<'a>>,
}

impl<'a> Row<'a> {
    /// A row without any further information.
    pub fn bare(socket: &'a Socket<'a>) -> Self {
        Self { socket, names: Names::default(), association: false, past: None }
    }
}
