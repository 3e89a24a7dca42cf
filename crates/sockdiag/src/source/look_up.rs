//! TCP sockets that are known, looked up one by one instead of a dump.
//!
//! A look-up takes a few microseconds however many sockets there are, a dump of all
//! of them a microsecond for each: which of the two is cheaper is for the caller to
//! measure.
//!
//! Invariant: either every socket was found, by its cookie, or nothing is told, unless it
//! was asked for those that are left.
//!
//! Source: `inet_diag_req_v2` without `NLM_F_DUMP` (linux/inet_diag.h).

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use sockdiag_wire::inet_diag::InetDiagMsg;
use sockdiag_wire::inet_req::SockId;
use sockdiag_wire::netlink::{Message, SOCK_DIAG_BY_FAMILY, messages};

use super::access::Access;
use super::contract::{Instead, Query};
use super::request::{id_of, socket_of};
use crate::ending::TIMER_TIME_WAIT;
use crate::model::{Family, MessageKind, Socket, SourceKind, Table, Window};
use crate::notice::NoWalk;
use crate::sys::netlink::Netlink;

/// Requests that are sent at once.  Their answers fit into the socket's buffer.
const AT_ONCE: usize = 50;

/// Which socket it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    family: Family,
    id: SockId,
}

impl Identity {
    /// That of a row; `None` if it cannot be looked up by it.
    pub(crate) fn of(socket: &Socket<'_>) -> Option<Self> {
        let is_tcp = socket.origin.table == Table::Tcp && socket.message_kind() == MessageKind::Inet;
        if !is_tcp || socket.origin.kind != SourceKind::Kernel {
            return None;
        }
        Some(Self { family: socket.family, id: id_of(socket) })
    }

    /// The cookie.
    pub(crate) fn cookie(&self) -> u64 {
        self.id.cookie
    }
}

/// Sockets of one namespace that are looked up.
#[derive(Debug)]
pub(crate) struct LookUps {
    sockets: Vec<Identity>,
    /// Whether all of them were found when they were looked up last.
    found: AtomicBool,
    /// Whether those that are gone are left out, instead of a dump being asked for.
    leaves_out: bool,
}

impl LookUps {
    /// These, in the order in which they will be told.
    pub(crate) fn new(sockets: Vec<Identity>) -> Self {
        Self { sockets, found: AtomicBool::new(false), leaves_out: false }
    }

    /// The same, but those that are gone are left out.
    pub(crate) fn of_those_left(sockets: Vec<Identity>) -> Self {
        Self { leaves_out: true, ..Self::new(sockets) }
    }

    /// Whether all of them were found, so that there was no dump.
    pub(crate) fn found(&self) -> bool {
        self.found.load(Ordering::Relaxed)
    }

    fn ask(&self, query: &Query, access: &mut Access) -> Option<Vec<(Vec<u8>, Window)>> {
        let mut socket = access.socket().ok()?;
        let mut records = Vec::with_capacity(self.sockets.len());
        for part in self.sockets.chunks(AT_ONCE) {
            let mut requests = Vec::new();
            let mut first = None;
            for Identity { family, id } in part {
                let seq = socket.next_seq();
                first.get_or_insert(seq);
                requests.extend(socket_of(query, *family, *id, seq));
            }
            let first = first.unwrap_or_default();
            let mut all = true;
            each_answer(&mut socket, &requests, first, part.len(), |number, message, window| {
                let wanted = part.get(number).map(|wanted| wanted.id.cookie);
                let told = InetDiagMsg::new(message.payload)
                    .filter(|_| message.header.kind == SOCK_DIAG_BY_FAMILY)
                    .filter(|told| Some(told.cookie()) == wanted);
                match told {
                    None => all = false,
                    // A dump would leave it out.
                    Some(told) if !query.states.contains_number(told.state()) => {}
                    Some(_) => records.push((message.payload.to_vec(), window)),
                }
            })?;
            if !all && !self.leaves_out {
                access.keep(socket);
                return None;
            }
        }
        // Each request was answered.
        access.keep(socket);
        Some(records)
    }
}

/// Sends requests, numbered from `first` on, and hands over the answer to each with its
/// place among them; `None` if they cannot be sent or an answer is not whole.
fn each_answer(
    netlink: &mut Netlink,
    requests: &[u8],
    first: u32,
    count: usize,
    mut take: impl FnMut(usize, &Message<'_>, Window),
) -> Option<()> {
    netlink.send(requests).ok()?;
    let (port, mut answers) = (netlink.port(), 0);
    // Each request has one answer: a socket, or an error.
    while answers < count {
        let datagram = netlink.receive().ok()?;
        if !datagram.from_kernel {
            continue;
        }
        for message in messages(datagram.bytes) {
            let number = message.header.seq.wrapping_sub(first) as usize;
            if message.header.pid == port && number < count {
                answers += 1;
                take(number, &message, datagram.window);
            }
        }
        if datagram.cut {
            return None;
        }
    }
    Some(())
}

/// Whether this end of a TCP connection that has ended closed first (`true`) or the
/// other did: whose socket is left in TIME-WAIT, or waits for the other to close.
/// `None` where neither is left here.
///
/// What is left has the cookie of the socket only if that had one, as every socket has
/// `once_seen`.  The other end is looked for in the same namespace.
pub(crate) fn closed_first(socket: &Socket<'_>, once_seen: bool, access: &mut Access) -> Option<bool> {
    let ours = SockId { cookie: if once_seen { socket.cookie } else { u64::MAX }, ..id_of(socket) };
    let theirs = SockId {
        sport: ours.dport,
        dport: ours.sport,
        src: ours.dst,
        dst: ours.src,
        cookie: u64::MAX,
        ..ours
    };
    let query = Query::of(Table::Tcp);
    let mut netlink = access.socket().ok()?;
    let first = netlink.next_seq();
    let mut requests = socket_of(&query, socket.family, ours, first);
    requests.extend(socket_of(&query, socket.family, theirs, netlink.next_seq()));
    let mut left = [false; 2];
    each_answer(&mut netlink, &requests, first, left.len(), |number, message, _| {
        if let Some(left) = left.get_mut(number) {
            *left = message.header.kind == SOCK_DIAG_BY_FAMILY
                && InetDiagMsg::new(message.payload).is_some_and(|told| told.timer() == TIMER_TIME_WAIT);
        }
    })?;
    access.keep(netlink);
    match left {
        [true, _] => Some(true),
        [_, true] => Some(false),
        _ => None,
    }
}

impl Instead for LookUps {
    fn tell(
        &self,
        query: &Query,
        access: &mut Access,
        take: &mut dyn FnMut(&[u8], Window) -> ControlFlow<()>,
    ) -> Result<bool, NoWalk> {
        let records = self.ask(query, access);
        self.found.store(records.is_some(), Ordering::Relaxed);
        let Some(records) = records else { return Ok(false) };
        let _ = records.iter().try_for_each(|(record, window)| take(record, *window));
        Ok(true)
    }
}
