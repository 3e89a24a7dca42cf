//! Packet sockets: a reply of packet_diag, or a line of `/proc/net/packet`.
//!
//! ```text
//! sk               RefCnt Type Proto  Iface R Rmem   User   Inode
//! 0000000000000000 3      3    0003   2     1 0      0      12345
//! ```
//!
//! The address of a packet socket is its link-layer protocol; its port is the interface that
//! it is bound to.  A line of /proc that lacks one of its nine fields is not a socket.  Its
//! first field, an address in kernel memory, is not a cookie.
//!
//! Source: linux/packet_diag.h, packet(7), proc_pid_net(5).

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "kernel integers are narrow; each cast is meant"
)]

use sockdiag_wire::mem_info::SkMemInfo;
use sockdiag_wire::packet_diag::{FilterProgram, PacketDiagMsg, PacketInfo, PacketMclist, PacketRing};
use sockdiag_wire::socket::{SOCK_DGRAM, SOCK_RAW};

use super::families::Family;
use super::proc_line::Scan;
use super::socket::{Addr, Detail, Endpoint, Record, Socket, SourceKind, Timer};
use super::states::State;
use super::tables::Table;

/// The details that only packet sockets report.
#[derive(Clone, Copy, Debug)]
pub struct PacketSocket<'a> {
    kind: u32,
    /// `None` from /proc.
    reply: Option<PacketDiagMsg<'a>>,
}

/// A line of /proc/net/packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketLine {
    kind: u32,
    protocol: u16,
    ifindex: u32,
    rmem: u32,
    uid: u32,
    inode: u32,
}

impl PacketLine {
    /// Parses a line without its newline.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut scan = Scan { text };
        let _address = scan.hex()?;
        let _references = scan.decimal()?;
        let kind = scan.decimal()? as u32;
        let protocol = scan.hex()? as u16;
        let ifindex = scan.decimal()? as u32;
        let _running = scan.decimal()?;
        Some(Self {
            kind,
            protocol,
            ifindex,
            rmem: scan.decimal()? as u32,
            uid: scan.decimal()? as u32,
            inode: scan.decimal()? as u32,
        })
    }

    /// The table of its type; `None` if its type has no table.
    pub fn table(self) -> Option<Table> {
        match self.kind {
            SOCK_DGRAM => Some(Table::PacketDgram),
            SOCK_RAW => Some(Table::PacketRaw),
            _ => None,
        }
    }
}

impl<'a> PacketSocket<'a> {
    /// Whether it receives link-layer headers (`SOCK_RAW`).
    pub fn is_raw(&self) -> bool {
        self.kind == SOCK_RAW
    }

    /// Socket type (`SOCK_*`): 2 is without link-layer headers, 3 is with them, 10 is the
    /// older interface.
    pub fn kind(&self) -> u32 {
        self.kind
    }

    /// Its memory report; `None` from /proc.
    pub fn mem_info(&self) -> Option<SkMemInfo<'a>> {
        self.reply.as_ref()?.mem_info()
    }

    /// Its settings; `None` from /proc.
    pub fn info(&self) -> Option<PacketInfo<'a>> {
        self.reply.as_ref()?.info()
    }

    /// The link-layer addresses that it joined; `None` if not requested.
    pub fn mclist(&self) -> Option<impl Iterator<Item = PacketMclist<'a>> + use<'a>> {
        self.reply.as_ref()?.mclist()
    }

    /// Its receive ring; `None` if it has none.
    pub fn rx_ring(&self) -> Option<PacketRing<'a>> {
        self.reply.as_ref()?.rx_ring()
    }

    /// Its transmit ring; `None` if it has none.
    pub fn tx_ring(&self) -> Option<PacketRing<'a>> {
        self.reply.as_ref()?.tx_ring()
    }

    /// Id of its fanout group; `None` if it is in none.
    pub fn fanout_id(&self) -> Option<u16> {
        Some(self.reply.as_ref()?.fanout()? as u16)
    }

    /// How the fanout group distributes packets (`PACKET_FANOUT_*`), with flags from 0x1000
    /// on.
    pub fn fanout_type(&self) -> Option<u16> {
        Some((self.reply.as_ref()?.fanout()? >> 16) as u16)
    }

    /// Its classic BPF program; `None` if it has none or if we lack the privilege to see it.
    pub fn filter(&self) -> Option<FilterProgram<'a>> {
        self.reply.as_ref()?.filter()
    }
}

pub(super) fn decode(record: Record<'_>) -> Option<Socket<'_>> {
    if record.origin.kind == SourceKind::Proc {
        let line = PacketLine::parse(record.bytes)?;
        let detail = PacketSocket { kind: line.kind, reply: None };
        return Some(socket(record, line, detail));
    }
    let msg = PacketDiagMsg::new(record.bytes).filter(|msg| msg.family() == Family::Packet.number())?;
    let common = PacketLine {
        kind: msg.kind().into(),
        protocol: msg.num(),
        ifindex: msg.info().and_then(PacketInfo::index).unwrap_or(0),
        rmem: msg.mem_info().and_then(SkMemInfo::rmem_alloc).unwrap_or(0),
        uid: msg.uid().unwrap_or(0),
        inode: msg.ino(),
    };
    let detail = PacketSocket { kind: common.kind, reply: Some(msg) };
    Some(Socket { cookie: msg.cookie(), ..socket(record, common, detail) })
}

fn socket<'a>(record: Record<'a>, common: PacketLine, detail: PacketSocket<'a>) -> Socket<'a> {
    Socket {
        origin: record.origin,
        bytes: record.bytes,
        family: Family::Packet,
        protocol: 0,
        state: State::Close as u8,
        recv_q: common.rmem,
        send_q: 0,
        local: Endpoint { addr: Addr::Number(common.protocol.into()), port: common.ifindex.into() },
        remote: Endpoint { addr: Addr::Number(0), port: 0 },
        ifindex: common.ifindex,
        uid: common.uid,
        inode: common.inode,
        cookie: 0,
        timer: Timer::default(),
        detail: Detail::Packet(detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Origin;

    fn decode_as(kind: SourceKind, bytes: &[u8]) -> Option<Socket<'_>> {
        Socket::decode(Record { origin: Origin::of(Table::PacketRaw, kind), bytes })
    }

    /// A reply for a raw socket: LLDP, inode 5, interface 4, user 1000, 77 unread bytes.
    fn reply() -> Vec<u8> {
        let mut bytes = vec![17, 3];
        bytes.extend(0x88cc_u16.to_ne_bytes());
        bytes.extend([5_u32, 0x2a, 1].map(u32::to_ne_bytes).concat());
        sockdiag_wire::attr::put(&mut bytes, 0, &[4_u32, 0, 0, 0, 0, 3].map(u32::to_ne_bytes).concat());
        sockdiag_wire::attr::put(&mut bytes, 4, &0x1002_0007_u32.to_ne_bytes());
        sockdiag_wire::attr::put(&mut bytes, 5, &1000_u32.to_ne_bytes());
        sockdiag_wire::attr::put(&mut bytes, 6, &[77; 4]);
        bytes
    }

    #[test]
    fn a_reply_gives_protocol_and_interface_for_an_address() {
        let bytes = reply();
        let socket = decode_as(SourceKind::Kernel, &bytes).unwrap();
        assert_eq!(socket.local, Endpoint { addr: Addr::Number(0x88cc), port: 4 });
        assert_eq!((socket.ifindex, socket.uid, socket.inode, socket.cookie), (4, 1000, 5, 0x1_0000_002a));
        assert_eq!((socket.recv_q, socket.send_q, socket.state), (0x4d4d_4d4d, 0, 7));
        let Detail::Packet(own) = socket.detail else { panic!("{socket:?}") };
        assert!(own.is_raw() && own.rx_ring().is_none() && own.filter().is_none());
        assert_eq!((own.fanout_id(), own.fanout_type()), (Some(7), Some(0x1002)));
        // A damaged reply loses attributes, but not the socket.
        for len in 16..bytes.len() {
            assert!(decode_as(SourceKind::Kernel, &bytes[..len]).is_some(), "{len}");
        }
        assert!(decode_as(SourceKind::Kernel, &bytes[..15]).is_none());
        let mut other = bytes;
        other[0] = 16;
        assert!(decode_as(SourceKind::Kernel, &other).is_none());
    }

    #[test]
    fn a_line_is_read_by_its_fields() {
        let line = b"ffff888003a5c000 3      2    0800   9     1 -4     1000   12345";
        let socket = decode_as(SourceKind::Proc, line).unwrap();
        assert_eq!(socket.local, Endpoint { addr: Addr::Number(0x800), port: 9 });
        assert_eq!((socket.recv_q as i32, socket.uid, socket.inode, socket.cookie), (-4, 1000, 12345, 0));
        for (kind, table) in
            [("3", Some(Table::PacketRaw)), ("2", Some(Table::PacketDgram)), ("10", None), ("-1", None)]
        {
            let line = format!("1 3 {kind} 0003 0 1 0 0 5");
            assert_eq!(PacketLine::parse(line.as_bytes()).unwrap().table(), table, "{kind}");
        }
        for short in [&b"1 3 3 0003 1 1 0 0"[..], b"", b"zz 3 3 0003 1 1 0 0 5", b"1 3 3 zzzz 1 1 0 0 5"] {
            assert!(decode_as(SourceKind::Proc, short).is_none(), "{short:?}");
        }
    }
}
