//! Looks up known TCP sockets one by one instead of in a dump.
//!
//! A look-up takes a few microseconds however many sockets there are; a dump takes one
//! microsecond for each socket of the machine.  The caller measures which is cheaper.
//!
//! Invariant: either every socket was found, by its cookie, or none is reported, unless
//! only the remaining sockets were requested.
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

/// How many requests are sent at once; their replies fit into the socket's buffer.
const AT_ONCE: usize = 50;

/// The identity of a socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    family: Family,
    id: SockId,
}

impl Identity {
    /// The identity of a row's socket; `None` if it cannot be looked up.
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

/// Sockets of one namespace to look up.
#[derive(Debug)]
pub(crate) struct LookUps {
    sockets: Vec<Identity>,
    /// Whether the last look-up found all of them.
    found: AtomicBool,
    /// Whether ended sockets are left out; otherwise they make a dump necessary.
    leaves_out: bool,
}

impl LookUps {
    /// Looks these sockets up, and reports them in this order.
    pub(crate) fn new(sockets: Vec<Identity>) -> Self {
        Self { sockets, found: AtomicBool::new(false), leaves_out: false }
    }

    /// The same, but leaves out sockets that have ended.
    pub(crate) fn of_those_left(sockets: Vec<Identity>) -> Self {
        Self { leaves_out: true, ..Self::new(sockets) }
    }

    /// Whether all were found, so that no dump was made.
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
                    // A dump would leave this state out.
                    Some(told) if !query.states.contains_number(told.state()) => {}
                    Some(_) => records.push((message.payload.to_vec(), window)),
                }
            })?;
            if !all && !self.leaves_out {
                access.keep(socket);
                return None;
            }
        }
        // Every request was answered, so the socket can be used again.
        access.keep(socket);
        Some(records)
    }
}

/// Sends requests, numbered from `first` on, and passes on the reply to each with its
/// index; `None` if they cannot be sent or a reply is incomplete.
fn each_answer(
    netlink: &mut Netlink,
    requests: &[u8],
    first: u32,
    count: usize,
    mut take: impl FnMut(usize, &Message<'_>, Window),
) -> Option<()> {
    netlink.send(requests).ok()?;
    let (port, mut answers) = (netlink.port(), 0);
    // Each request has one reply: a socket, or an error.
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

/// Whether this end of an ended TCP connection closed first (`true`) or the other did: the
/// end that closed first leaves a socket in TIME-WAIT.  `None` if neither is found here.
///
/// That socket has the cookie of the connection only if a look had seen it (`once_seen`).
/// The other end is searched in the same namespace.
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
