//! The attributes of a TIPC socket, and the request for all of them.
//!
//! A reply has no fixed part.  One nested attribute holds everything, with two more nested in
//! it for the connection and for the queues.  A flag is an attribute without a value.
//!
//! Source: linux/tipc_sockets_diag.h, linux/tipc_netlink.h, Linux 7.3.

use crate::attr::{Index, attrs};
use crate::bytes::u64_at;
use crate::layout::{constants, view};

constants! {
    /// Kinds of attributes of a reply, of a socket, and of its connection.
    TIPC_ATTRIBUTES in "linux/tipc_netlink.h": u16 {
        /// Reply: the socket.
        TIPC_NLA_SOCK = 2;
        /// Socket: node of this end.
        TIPC_NLA_SOCK_ADDR = 1;
        /// Socket: number of this end on its node.
        TIPC_NLA_SOCK_REF = 2;
        /// Socket: the connection, nested.
        TIPC_NLA_SOCK_CON = 3;
        /// Socket: flag, the socket is bound to a service.
        TIPC_NLA_SOCK_HAS_PUBL = 4;
        /// Socket: the queues, nested.
        TIPC_NLA_SOCK_STAT = 5;
        /// Socket: type.
        TIPC_NLA_SOCK_TYPE = 6;
        /// Socket: inode.
        TIPC_NLA_SOCK_INO = 7;
        /// Socket: owner.
        TIPC_NLA_SOCK_UID = 8;
        /// Socket: state.
        TIPC_NLA_SOCK_TIPC_STATE = 9;
        /// Socket: cookie.
        TIPC_NLA_SOCK_COOKIE = 10;
        /// Socket: padding.
        TIPC_NLA_SOCK_PAD = 11;
        /// Socket: communication group.
        TIPC_NLA_SOCK_GROUP = 12;
        /// Connection: flag, the connection was made through a service address.
        TIPC_NLA_CON_FLAG = 1;
        /// Connection: node of the other end.
        TIPC_NLA_CON_NODE = 2;
        /// Connection: number of the other end on its node.
        TIPC_NLA_CON_SOCK = 3;
        /// Connection: type of the service.
        TIPC_NLA_CON_TYPE = 4;
        /// Connection: instance of the service.
        TIPC_NLA_CON_INST = 5;
        /// Queues: messages received, not yet read.
        TIPC_NLA_SOCK_STAT_RCVQ = 0;
        /// Queues: messages sent, not yet acknowledged.
        TIPC_NLA_SOCK_STAT_SENDQ = 1;
        /// Queues: flag, the link is congested.
        TIPC_NLA_SOCK_STAT_LINK_CONG = 2;
        /// Queues: flag, the connection is congested.
        TIPC_NLA_SOCK_STAT_CONN_CONG = 3;
        /// Queues: messages dropped.
        TIPC_NLA_SOCK_STAT_DROP = 4;
    }
}

view! {
    /// The bytes of a request.
    TipcSockDiagReqView = "struct tipc_sock_diag_req" in "linux/tipc_sockets_diag.h" {
        /// Address family.
        family: u8 @ 0 = "sdiag_family";
        /// Always 0.
        protocol: u8 @ 1 = "sdiag_protocol";
        /// Padding.
        pad: u16 @ 2 = "pad";
        /// Requested states.
        states: u32 @ 4 = "tidiag_states";
    }
}

/// `struct tipc_sock_diag_req`; the members not listed here must be zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TipcSockDiagReq {
    /// Address family: 30.
    pub family: u8,
    /// Requested states: bit *n* for state *n*, in TCP's numbering.
    pub states: u32,
}

impl TipcSockDiagReq {
    /// Appends the request as the kernel reads it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.family, 0, 0, 0]);
        out.extend_from_slice(&self.states.to_ne_bytes());
    }
}

const SOCK_KINDS: usize = TIPC_NLA_SOCK_GROUP as usize + 1;
const CON_KINDS: usize = TIPC_NLA_CON_INST as usize + 1;
const STAT_KINDS: usize = TIPC_NLA_SOCK_STAT_DROP as usize + 1;

/// One TIPC socket.
#[derive(Clone, Copy, Debug)]
pub struct TipcDiagMsg<'a>(Index<'a, SOCK_KINDS>);

impl<'a> TipcDiagMsg<'a> {
    /// Indexes a message's payload; `None` if it contains no socket.
    pub fn new(payload: &'a [u8]) -> Option<Self> {
        let sock = attrs(payload).find(|attr| attr.kind == TIPC_NLA_SOCK)?;
        Some(Self(Index::parse(sock.payload)))
    }

    /// Node address of this end.
    pub fn addr(&self) -> Option<u32> {
        self.0.u32(TIPC_NLA_SOCK_ADDR)
    }

    /// Port reference of this end, unique on its node.
    pub fn reference(&self) -> Option<u32> {
        self.0.u32(TIPC_NLA_SOCK_REF)
    }

    /// The connection; `None` if there is none.
    pub fn con(&self) -> Option<TipcCon<'a>> {
        self.0.get(TIPC_NLA_SOCK_CON).map(|bytes| TipcCon(Index::parse(bytes)))
    }

    /// Whether the socket is bound to a service.
    pub fn has_publ(&self) -> bool {
        self.0.flag(TIPC_NLA_SOCK_HAS_PUBL)
    }

    /// The queues.
    pub fn stat(&self) -> Option<TipcStat<'a>> {
        self.0.get(TIPC_NLA_SOCK_STAT).map(|bytes| TipcStat(Index::parse(bytes)))
    }

    /// Socket type: 1 is stream, 2 is datagram, 4 is reliable datagram, 5 is sequenced
    /// packets.
    pub fn kind(&self) -> Option<u32> {
        self.0.u32(TIPC_NLA_SOCK_TYPE)
    }

    /// Inode; 0 if no process holds the socket.
    pub fn ino(&self) -> Option<u32> {
        self.0.u32(TIPC_NLA_SOCK_INO)
    }

    /// Owner, as a uid.
    pub fn uid(&self) -> Option<u32> {
        self.0.u32(TIPC_NLA_SOCK_UID)
    }

    /// State, in TCP's numbering.
    pub fn tipc_state(&self) -> Option<u32> {
        self.0.u32(TIPC_NLA_SOCK_TIPC_STATE)
    }

    /// The socket's cookie.
    pub fn cookie(&self) -> Option<u64> {
        u64_at(self.0.get(TIPC_NLA_SOCK_COOKIE)?, 0)
    }

    /// The communication group, as nested attributes; `None` if the socket is in none.
    pub fn group(&self) -> Option<&'a [u8]> {
        self.0.get(TIPC_NLA_SOCK_GROUP)
    }
}

/// The connection of a socket.
#[derive(Clone, Copy, Debug)]
pub struct TipcCon<'a>(Index<'a, CON_KINDS>);

impl TipcCon<'_> {
    /// Whether the connection was made through a service address.
    pub fn flag(&self) -> bool {
        self.0.flag(TIPC_NLA_CON_FLAG)
    }

    /// Node address of the other end.
    pub fn node(&self) -> Option<u32> {
        self.0.u32(TIPC_NLA_CON_NODE)
    }

    /// Port reference of the other end, unique on its node.
    pub fn sock(&self) -> Option<u32> {
        self.0.u32(TIPC_NLA_CON_SOCK)
    }

    /// Type of the service through which the connection was made.
    pub fn service_type(&self) -> Option<u32> {
        self.0.u32(TIPC_NLA_CON_TYPE)
    }

    /// Instance of this service.
    pub fn service_instance(&self) -> Option<u32> {
        self.0.u32(TIPC_NLA_CON_INST)
    }
}

/// The queues of a socket.
#[derive(Clone, Copy, Debug)]
pub struct TipcStat<'a>(Index<'a, STAT_KINDS>);

impl TipcStat<'_> {
    /// Messages received, not yet read.
    pub fn rcvq(&self) -> Option<u32> {
        self.0.u32(TIPC_NLA_SOCK_STAT_RCVQ)
    }

    /// Messages sent, not yet acknowledged.
    pub fn sendq(&self) -> Option<u32> {
        self.0.u32(TIPC_NLA_SOCK_STAT_SENDQ)
    }

    /// Whether sending is blocked by a congested link.
    pub fn link_cong(&self) -> bool {
        self.0.flag(TIPC_NLA_SOCK_STAT_LINK_CONG)
    }

    /// Whether sending is blocked by the receiver.
    pub fn conn_cong(&self) -> bool {
        self.0.flag(TIPC_NLA_SOCK_STAT_CONN_CONG)
    }

    /// Messages dropped because the receive queue was full.
    pub fn drop(&self) -> Option<u32> {
        self.0.u32(TIPC_NLA_SOCK_STAT_DROP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr::put;

    #[test]
    fn what_nests_is_found_and_what_is_short_is_absent() {
        let (mut con, mut stat, mut sock, mut payload) = (vec![], vec![], vec![], vec![]);
        put(&mut con, TIPC_NLA_CON_FLAG, b"");
        put(&mut con, TIPC_NLA_CON_NODE, &7_u32.to_ne_bytes());
        put(&mut con, TIPC_NLA_CON_SOCK, &[1, 2, 3]);
        put(&mut stat, TIPC_NLA_SOCK_STAT_RCVQ, &5_u32.to_ne_bytes());
        put(&mut stat, TIPC_NLA_SOCK_STAT_LINK_CONG, b"");
        put(&mut sock, TIPC_NLA_SOCK_CON | 0x8000, &con);
        put(&mut sock, TIPC_NLA_SOCK_STAT, &stat);
        put(&mut sock, TIPC_NLA_SOCK_COOKIE, &9_u64.to_ne_bytes());
        put(&mut sock, TIPC_NLA_SOCK_REF, &1_u32.to_ne_bytes());
        put(&mut sock, TIPC_NLA_SOCK_REF, &2_u32.to_ne_bytes());
        put(&mut payload, 99, b"unknown");
        put(&mut payload, TIPC_NLA_SOCK, &sock);
        let msg = TipcDiagMsg::new(&payload).unwrap();
        let (con, stat) = (msg.con().unwrap(), msg.stat().unwrap());
        assert_eq!((con.flag(), con.node(), con.sock()), (true, Some(7), None));
        assert_eq!((stat.rcvq(), stat.sendq(), stat.drop()), (Some(5), None, None));
        assert!(stat.link_cong() && !stat.conn_cong() && !msg.has_publ());
        assert_eq!((msg.cookie(), msg.reference(), msg.addr()), (Some(9), Some(1), None));
        for len in 0..payload.len() {
            assert!(TipcDiagMsg::new(&payload[..len]).is_none(), "len {len}");
        }
    }

    #[test]
    fn a_request_reads_back() {
        let mut bytes = Vec::new();
        TipcSockDiagReq { family: 30, states: 0x482 }.encode(&mut bytes);
        assert_eq!(bytes.len(), TipcSockDiagReqView::LAYOUT.end());
        let view = TipcSockDiagReqView::new(&bytes);
        assert_eq!((view.family(), view.states()), (Some(30), Some(0x482)));
    }
}
