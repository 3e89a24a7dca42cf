//! Checks by exact look-ups whether anything may listen on a port.
//!
//! A dump of listeners walks the kernel's whole table, which takes some thirty times longer
//! than an exact look-up, however few listeners there are.  A look-up finds a listener only
//! by its address, so the probe looks up each address that the namespace had when it was
//! made, and the wildcard.
//!
//! Invariant: a probe's result is a hint.  It does not see listeners that are bound to an
//! interface, or to an address that was added later or belongs to no interface (127.0.0.2),
//! and it ignores the filter: only a poll is reliable.
//!
//! Source: `inet_diag_req_v2` without `NLM_F_DUMP` (linux/inet_diag.h).

use crate::enrich::Links;
use crate::filter::Pinned;
use crate::model::{Addr, State};
use crate::source::listener_request;
use crate::sys::netlink::{Netlink, Subsystem};
use crate::sys::opener::Opener;
use sockdiag_wire::inet_diag::InetDiagMsg;
use sockdiag_wire::netlink::{SOCK_DIAG_BY_FAMILY, messages};

/// How many addresses are looked up at most: with more, a dump is cheaper.
const MOST: usize = 32;

/// Searches for listeners on one port.
#[derive(Debug)]
pub struct Probe {
    socket: Netlink,
    /// The look-up requests for all addresses, one after the other.
    requests: Vec<u8>,
    /// How many requests there are.
    number: usize,
}

impl Probe {
    pub(super) fn open(port: u16, opener: &Opener) -> Option<Self> {
        let mut places = vec![Addr::V4([0; 4]), Addr::V6([0; 16])];
        for (_, address) in Links::of(opener.clone(), false).addresses() {
            // A socket bound to a link-local address is bound to its interface as well, so
            // it would not be found.
            let is_local = matches!(address, Addr::V6([0xfe, 0x80..=0xbf, ..]));
            if matches!(address, Addr::V4(_) | Addr::V6(_)) && !is_local && !places.contains(&address) {
                places.push(address);
            }
        }
        if places.len() > MOST {
            return None;
        }
        let mut requests = Vec::new();
        for local in &places {
            let remote = if matches!(local, Addr::V6(_)) { Addr::V6([0; 16]) } else { Addr::V4([0; 4]) };
            let pinned = Pinned { local: *local, local_port: port, remote, remote_port: 0 };
            requests.extend(listener_request(&pinned)?);
        }
        let socket = Netlink::open(Subsystem::SockDiag, opener).ok()?;
        Some(Self { socket, requests, number: places.len() })
    }

    /// Whether a listener was found; `None` if the kernel's replies are unusable, so that
    /// the probe should be dropped.
    pub fn finds(&mut self) -> Option<bool> {
        self.socket.send(&self.requests).ok()?;
        let (mut answers, mut found) = (0, false);
        // Each request has one reply: a socket, or an error.
        while answers < self.number {
            let datagram = self.socket.receive().ok()?;
            if !datagram.from_kernel {
                continue;
            }
            for message in messages(datagram.bytes) {
                answers += 1;
                found |= message.header.kind == SOCK_DIAG_BY_FAMILY
                    && InetDiagMsg::new(message.payload)
                        .is_some_and(|msg| msg.state() == State::Listen as u8);
            }
        }
        Some(found)
    }
}
