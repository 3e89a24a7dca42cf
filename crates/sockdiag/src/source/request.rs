//! The requests that ask for an inet table.
//!
//! Source: `struct inet_diag_req_v2` and `struct inet_diag_req`
//! (linux/inet_diag.h); attributes in ss's order.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "kernel integers are narrow; each cast is meant"
)]

use sockdiag_wire::attr;
use sockdiag_wire::inet_req::{
    INET_DIAG_REQ_BYTECODE, INET_DIAG_REQ_PROTOCOL, InetDiagReq, InetDiagReqV2, SockId, put_storages,
};
use sockdiag_wire::ipproto::{IPPROTO_DCCP, IPPROTO_TCP};
use sockdiag_wire::netlink::{
    DCCPDIAG_GETSOCK, HEADER_LEN, Header, NLM_F_DUMP, NLM_F_REQUEST, SOCK_DIAG_BY_FAMILY, TCPDIAG_GETSOCK,
};

use super::contract::{Query, Storages};
use crate::filter::Pinned;
use crate::model::{Addr, Family, Socket, State, StateSet};

/// The low byte of a protocol, which is all that fits into a request.  MPTCP has the same
/// low byte as TCP; the kernel reads the whole number from an attribute ([`put_protocol`]).
pub(super) fn short_protocol(protocol: u16) -> u8 {
    protocol as u8
}

/// Appends the attribute for a protocol that does not fit into one byte.
pub(super) fn put_protocol(request: &mut Vec<u8>, protocol: u16) {
    if u8::try_from(protocol).is_err() {
        attr::put(request, INET_DIAG_REQ_PROTOCOL, &u32::from(protocol).to_ne_bytes());
    }
}

/// A dump of one family (`SOCK_DIAG_BY_FAMILY`).
pub(super) fn by_family(query: &Query, family: Family, program: Option<&[u8]>, seq: u32) -> Vec<u8> {
    let protocol = query.table.protocol();
    let mut request = begin(SOCK_DIAG_BY_FAMILY, seq);
    InetDiagReqV2 {
        family: family.number(),
        protocol: short_protocol(protocol),
        ext: query.ext,
        states: states(query),
        ..InetDiagReqV2::default()
    }
    .encode(&mut request);
    put_program(&mut request, program);
    put_protocol(&mut request, protocol);
    match &query.storages {
        Storages::None => {}
        Storages::All => put_storages(&mut request, []),
        Storages::Of(maps) => put_storages(&mut request, maps.iter().copied()),
    }
    finish(request)
}

/// The states to request: those that the table can hold.
///
/// The kernel removes a closed TCP socket from its tables before it marks it as closed
/// (`BoundInactive` has a bit of its own), but still searches the whole table of
/// connections if the bit is set.  Without the bit, a listing of listeners (`-l`) does not
/// walk the connections at all.
fn states(query: &Query) -> u32 {
    let closed = StateSet::only(State::Close);
    match query.table.protocol() {
        IPPROTO_TCP => query.states.minus(closed).bits(),
        _ => query.states.bits(),
    }
}

/// A request for the one socket with this identity that is bound to this interface or to
/// none (`SOCK_DIAG_BY_FAMILY` without `NLM_F_DUMP`); `None` for addresses that no inet
/// socket has.
pub(super) fn one_socket(query: &Query, pinned: &Pinned, ifindex: u32, seq: u32) -> Option<Vec<u8>> {
    let family = match pinned.local {
        Addr::V4(_) => Family::Inet,
        Addr::V6(_) => Family::Inet6,
        Addr::Number(_) | Addr::None => return None,
    };
    let id = SockId {
        sport: pinned.local_port,
        dport: pinned.remote_port,
        src: octets(pinned.local),
        dst: octets(pinned.remote),
        ifindex,
        cookie: u64::MAX,
    };
    Some(socket_of(query, family, id, seq))
}

/// A request for the one socket with this identity and cookie (all ones: any cookie).
pub(super) fn socket_of(query: &Query, family: Family, id: SockId, seq: u32) -> Vec<u8> {
    let mut request = Vec::with_capacity(HEADER_LEN + 56);
    Header { len: 0, kind: SOCK_DIAG_BY_FAMILY, flags: NLM_F_REQUEST, seq, pid: 0 }.encode(&mut request);
    InetDiagReqV2 {
        family: family.number(),
        protocol: query.table.protocol() as u8,
        ext: query.ext,
        states: states(query),
        id,
        ..InetDiagReqV2::default()
    }
    .encode(&mut request);
    finish(request)
}

/// The identity by which the kernel finds a socket.
pub(super) fn id_of(socket: &Socket<'_>) -> SockId {
    SockId {
        sport: socket.local.port as u16,
        dport: socket.remote.port as u16,
        src: octets(socket.local.addr),
        dst: octets(socket.remote.addr),
        ifindex: socket.ifindex,
        cookie: socket.cookie,
    }
}

/// An address as inet_diag holds it: four words, unused ones zero.
fn octets(addr: Addr) -> [u8; 16] {
    match addr {
        Addr::V4([a, b, c, d]) => [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        Addr::V6(octets) => octets,
        Addr::Number(_) | Addr::None => [0; 16],
    }
}

/// The message type of the legacy request, which preceded `SOCK_DIAG_BY_FAMILY`, if the
/// table has one.
pub(super) fn legacy_type(query: &Query) -> Option<u16> {
    match query.table.protocol() {
        IPPROTO_TCP => Some(TCPDIAG_GETSOCK),
        IPPROTO_DCCP => Some(DCCPDIAG_GETSOCK),
        _ => None,
    }
}

/// A dump of both families in one walk of the table (`TCPDIAG_GETSOCK`), which
/// asks for no BPF storage.
pub(super) fn legacy(query: &Query, kind: u16, program: Option<&[u8]>, seq: u32) -> Vec<u8> {
    let mut request = begin(kind, seq);
    InetDiagReq {
        family: Family::Inet.number(),
        ext: query.ext,
        states: states(query),
        ..InetDiagReq::default()
    }
    .encode(&mut request);
    put_program(&mut request, program);
    finish(request)
}

/// Appends a program.  A program that is too long for an attribute is left out: the kernel
/// then sends more sockets than wanted, but every row is tested anyway.
fn put_program(request: &mut Vec<u8>, program: Option<&[u8]>) {
    const LONGEST: usize = u16::MAX as usize - 4;
    if let Some(program) = program.filter(|program| program.len() <= LONGEST) {
        attr::put(request, INET_DIAG_REQ_BYTECODE, program);
    }
}

/// A header whose length is filled in later.
fn begin(kind: u16, seq: u32) -> Vec<u8> {
    let mut request = Vec::with_capacity(256);
    Header { len: HEADER_LEN as u32, kind, flags: NLM_F_REQUEST | NLM_F_DUMP, seq, pid: 0 }
        .encode(&mut request);
    request
}

fn finish(mut request: Vec<u8>) -> Vec<u8> {
    let length = (request.len() as u32).to_ne_bytes();
    if let Some(field) = request.first_chunk_mut() {
        *field = length;
    }
    request
}
