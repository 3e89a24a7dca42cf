//! Checks by exact look-ups whether anything may listen on a port.
//!
//! A dump of listeners walks the kernel's whole table of them, which takes
//! longer than an exact look-up by a factor of some thirty, however few there
//! are.  A listener is found by a look-up only if its address is known, so
//! each address that the namespace had when the probe was made is looked up,
//! and "any".
//!
//! Invariant: what a probe says is a hint.  It does not see listeners that are
//! bound to an interface, or to an address that came later or stands on no
//! interface (127.0.0.2), and it knows nothing of the filter: only a poll tells.
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

/// Addresses that are looked up at most: with more a dump is cheaper.
const MOST: usize = 32;

/// Looks for listeners on one port.
#[derive(Debug)]
pub struct Probe {
    socket: Netlink,
    /// A look-up for each address, behind each other.
    requests: Vec<u8>,
    /// How many they are.
    number: usize,
}

impl Probe {
    pub(super) fn open(port: u16, opener: &Opener) -> Option<Self> {
        let mut places = vec![Addr::V4([0; 4]), Addr::V6([0; 16])];
        for (_, address) in Links::of(opener.clone(), false).addresses() {
            // A socket bound to a link-local address is bound to its interface, too.
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

    /// Whether a listener was found; `None` where the kernel does not answer as
    /// it should, so that the probe is of no more use.
    pub fn finds(&mut self) -> Option<bool> {
        self.socket.send(&self.requests).ok()?;
        let (mut answers, mut found) = (0, false);
        // Each request has one answer: a socket, or an error.
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
