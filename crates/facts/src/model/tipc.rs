//! TIPC sockets.
//!
//! A reply consists only of attributes.  If it lacks one that every kernel sends, it is not a
//! socket: the reference crashes on such replies.
//!
//! Source: linux/tipc_netlink.h; names of types as in `ss`.

use sockdiag_wire::socket::{SOCK_DGRAM, SOCK_RDM, SOCK_SEQPACKET, SOCK_STREAM};
use sockdiag_wire::tipc_diag::{TipcCon, TipcDiagMsg, TipcStat};

use super::families::Family;
use super::socket::{Addr, Detail, Endpoint, Record, Socket, Timer};
use super::words::{self, Word};

/// Socket types.
pub const TYPES: &[Word] = &[
    Word::new(SOCK_STREAM, "STREAM"),
    Word::new(SOCK_DGRAM, "DGRAM|datagram"),
    Word::new(SOCK_RDM, "RDM"),
    Word::new(SOCK_SEQPACKET, "SEQPACKET"),
    UNKNOWN,
];

/// Printed for an unknown type.
const UNKNOWN: Word = Word::text("UNKNOWN");

/// The details that only TIPC sockets report.
#[derive(Clone, Copy, Debug)]
pub struct TipcSocket<'a> {
    msg: TipcDiagMsg<'a>,
    con: Option<TipcCon<'a>>,
    stat: TipcStat<'a>,
    kind: u32,
}

impl<'a> TipcSocket<'a> {
    /// Socket type: 1 is stream, 2 is datagram, 4 is reliable datagram, 5 is sequenced
    /// packets.
    pub fn kind(&self) -> u32 {
        self.kind
    }

    /// The word in the Netid column.
    pub fn netid(&self) -> &'static str {
        match self.kind {
            SOCK_STREAM => "ti_st",
            SOCK_DGRAM => "ti_dg",
            SOCK_RDM => "ti_rd",
            SOCK_SEQPACKET => "ti_sq",
            _ => "???",
        }
    }

    /// The name of its type.
    pub fn type_name(&self) -> &'static str {
        words::by_number(TYPES, self.kind).map_or(UNKNOWN.name(), |word| word.name())
    }

    /// Its connection; `None` if there is none.
    pub fn con(&self) -> Option<&TipcCon<'a>> {
        self.con.as_ref()
    }

    /// Type and instance of the service through which its connection was made; `None` if it
    /// was made without a service, or if there is no connection.
    pub fn via(&self) -> Option<(u32, u32)> {
        let con = self.con.as_ref().filter(|con| con.flag())?;
        Some((con.service_type()?, con.service_instance()?))
    }

    /// Its queues.
    pub fn stat(&self) -> &TipcStat<'a> {
        &self.stat
    }

    /// Whether it is bound to a service.
    pub fn has_publ(&self) -> bool {
        self.msg.has_publ()
    }

    /// Whether it is a member of a communication group.
    pub fn in_group(&self) -> bool {
        self.msg.group().is_some()
    }
}

/// Decodes a reply; `None` if it lacks an attribute that every kernel sends.
pub(super) fn decode(record: Record<'_>) -> Option<Socket<'_>> {
    let msg = TipcDiagMsg::new(record.bytes)?;
    let (con, stat) = (msg.con(), msg.stat()?);
    stat.drop()?;
    let remote = match &con {
        None => Endpoint::NONE,
        Some(con) => {
            if con.flag() {
                con.service_type().and(con.service_instance())?;
            }
            Endpoint { addr: Addr::Number(con.node()?), port: con.sock()?.into() }
        }
    };
    Some(Socket {
        origin: record.origin,
        bytes: record.bytes,
        family: Family::Tipc,
        protocol: 0,
        // A number too large for `u8` remains unknown to every table of names.
        state: u8::try_from(msg.tipc_state()?).unwrap_or(u8::MAX),
        recv_q: stat.rcvq()?,
        send_q: stat.sendq()?,
        local: Endpoint { addr: Addr::Number(msg.addr()?), port: msg.reference()?.into() },
        remote,
        ifindex: 0,
        uid: msg.uid()?,
        inode: msg.ino()?,
        cookie: msg.cookie()?,
        timer: Timer::default(),
        detail: Detail::Tipc(TipcSocket { kind: msg.kind()?, msg, con, stat }),
    })
}

#[cfg(test)]
mod tests {
    use sockdiag_wire::attr::put;
    use sockdiag_wire::tipc_diag::*;

    use super::super::socket::{Origin, SourceKind};
    use super::super::tables::Table;
    use super::*;

    /// A list of attributes, without the one at index `skip`.
    fn list(attrs: &[(u16, Vec<u8>)], skip: Option<usize>) -> Vec<u8> {
        let mut out = Vec::new();
        for (at, (kind, payload)) in attrs.iter().enumerate() {
            if skip != Some(at) {
                put(&mut out, *kind, payload);
            }
        }
        out
    }

    fn word(value: u32) -> Vec<u8> {
        value.to_ne_bytes().to_vec()
    }

    fn stat(skip: Option<usize>) -> Vec<u8> {
        let attrs = [
            (TIPC_NLA_SOCK_STAT_RCVQ, word(5)),
            (TIPC_NLA_SOCK_STAT_SENDQ, word(6)),
            (TIPC_NLA_SOCK_STAT_DROP, word(9)),
        ];
        list(&attrs, skip)
    }

    fn con(skip: Option<usize>) -> Vec<u8> {
        let attrs = [
            (TIPC_NLA_CON_FLAG, Vec::new()),
            (TIPC_NLA_CON_NODE, word(7)),
            (TIPC_NLA_CON_SOCK, word(8)),
            (TIPC_NLA_CON_TYPE, word(18)),
            (TIPC_NLA_CON_INST, word(19)),
        ];
        list(&attrs, skip)
    }

    fn reply(con: Vec<u8>, stat: Vec<u8>, skip: Option<usize>) -> Vec<u8> {
        let sock = [
            (TIPC_NLA_SOCK_ADDR, word(1)),
            (TIPC_NLA_SOCK_REF, word(2)),
            (TIPC_NLA_SOCK_TYPE, word(1)),
            (TIPC_NLA_SOCK_INO, word(3)),
            (TIPC_NLA_SOCK_UID, word(4)),
            (TIPC_NLA_SOCK_TIPC_STATE, word(257)),
            (TIPC_NLA_SOCK_COOKIE, 10_u64.to_ne_bytes().to_vec()),
            (TIPC_NLA_SOCK_STAT, stat),
            (TIPC_NLA_SOCK_CON, con),
        ];
        let mut out = Vec::new();
        put(&mut out, TIPC_NLA_SOCK, &list(&sock, skip));
        out
    }

    fn decode(bytes: &[u8]) -> Option<Socket<'_>> {
        let origin = Origin::of(Table::Tipc, SourceKind::Kernel);
        Socket::decode(Record { origin, bytes })
    }

    #[test]
    fn a_reply_without_what_every_kernel_sends_is_no_socket() {
        let bytes = reply(con(None), stat(None), None);
        let socket = decode(&bytes).expect("a whole reply");
        assert_eq!((socket.recv_q, socket.send_q, socket.state), (5, 6, 255));
        assert_eq!(socket.local, Endpoint { addr: Addr::Number(1), port: 2 });
        assert_eq!(socket.remote, Endpoint { addr: Addr::Number(7), port: 8 });
        assert_eq!((socket.uid, socket.inode, socket.cookie), (4, 3, 10));
        let Detail::Tipc(tipc) = socket.detail else { panic!("{socket:?}") };
        assert_eq!(tipc.via(), Some((18, 19)));
        for skip in 0..9 {
            let bytes = reply(con(None), stat(None), Some(skip));
            // Only the connection may be missing.
            assert_eq!(decode(&bytes).is_some(), skip == 8, "attribute {skip}");
        }
        for skip in 0..3 {
            assert!(decode(&reply(con(None), stat(Some(skip)), None)).is_none(), "queue {skip}");
        }
        for skip in 0..5 {
            let bytes = reply(con(Some(skip)), stat(None), None);
            // Without the flag, the connection was made without a service.
            assert_eq!(decode(&bytes).is_some(), skip == 0, "connection {skip}");
        }
    }
}
