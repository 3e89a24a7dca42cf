//! vsock sockets: between a virtual machine and its host.
//!
//! An address consists of a context id and a port, both 32-bit numbers; all ones means any.
//! vsock sockets report neither queues nor an owner.
//!
//! Source: linux/vm_sockets_diag.h; names of types as in `ss`.

use sockdiag_wire::socket::{SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM};
use sockdiag_wire::vsock_diag::VsockDiagMsg;

use super::families::Family;
use super::socket::{Addr, Detail, Endpoint, Record, Socket, Timer};
use super::tables::Table;
use super::words::Word;

/// Socket types.
pub const TYPES: &[Word] = &[
    Word::new(SOCK_STREAM, "stream"),
    Word::new(SOCK_DGRAM, "dgram|datagram"),
    Word::new(SOCK_SEQPACKET, "seqpacket"),
];

/// The details that only vsock sockets report.
#[derive(Clone, Copy, Debug)]
pub struct VsockSocket {
    /// Socket type: 1 is stream, 2 is datagram, 5 is sequenced packets.
    pub kind: u8,
    /// Directions that were shut down: 1 is receiving, 2 is sending.
    pub shutdown: u8,
}

impl VsockSocket {
    /// The word in the Netid column, where sequenced packets have no name.
    pub fn netid(&self) -> &'static str {
        match u32::from(self.kind) {
            SOCK_STREAM => "v_str",
            SOCK_DGRAM => "v_dgr",
            _ => "???",
        }
    }
}

/// The table for sockets of a type; `None` for types that both tables show.
pub fn table_of(kind: u8) -> Option<Table> {
    match u32::from(kind) {
        SOCK_STREAM => Some(Table::VsockStream),
        SOCK_DGRAM => Some(Table::VsockDgram),
        _ => None,
    }
}

/// Decodes a reply; `None` if it is incomplete.
pub(super) fn decode(record: Record<'_>) -> Option<Socket<'_>> {
    let msg = VsockDiagMsg::new(record.bytes)?;
    Some(Socket {
        origin: record.origin,
        bytes: record.bytes,
        family: Family::Vsock,
        protocol: 0,
        state: msg.state(),
        recv_q: 0,
        send_q: 0,
        local: Endpoint { addr: Addr::Number(msg.src_cid()), port: msg.src_port().into() },
        remote: Endpoint { addr: Addr::Number(msg.dst_cid()), port: msg.dst_port().into() },
        ifindex: 0,
        uid: 0,
        inode: msg.ino(),
        cookie: msg.cookie(),
        timer: Timer::default(),
        detail: Detail::Vsock(VsockSocket { kind: msg.kind(), shutdown: msg.shutdown() }),
    })
}

#[cfg(test)]
mod tests {
    use super::super::socket::{MessageKind, Origin, SourceKind};
    use super::*;

    #[test]
    fn a_reply_is_a_socket_if_it_is_whole() {
        let mut bytes = vec![40, 1, 10, 3];
        for word in [3, 1024, u32::MAX, u32::MAX, 4_000_000_001, 7, 8] {
            bytes.extend_from_slice(&u32::to_ne_bytes(word));
        }
        let origin = Origin::of(Table::VsockDgram, SourceKind::Kernel);
        assert!(Socket::decode(Record { origin, bytes: &bytes[..31] }).is_none());
        let socket = Socket::decode(Record { origin, bytes: &bytes }).expect("a whole reply");
        assert_eq!((socket.message_kind(), socket.state), (MessageKind::Vsock, 10));
        assert_eq!(socket.local, Endpoint { addr: Addr::Number(3), port: 1024 });
        assert_eq!(socket.remote, Endpoint { addr: Addr::Number(u32::MAX), port: 4_294_967_295 });
        assert_eq!((socket.inode, socket.cookie), (4_000_000_001, 8 << 32 | 7));
        assert_eq!(socket.sub_table(), Some(Table::VsockStream), "by its type, not by what was asked");
        bytes[1] = 5;
        let socket = Socket::decode(Record { origin, bytes: &bytes }).expect("a whole reply");
        assert_eq!(socket.sub_table(), None);
    }
}
