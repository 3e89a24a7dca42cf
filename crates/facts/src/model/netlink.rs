//! Netlink sockets: a reply of netlink_diag, or a line of `/proc/net/netlink`.
//!
//! ```text
//! sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode
//! 0000000000000000 0   2829       00000440 0        0        0     2        0        100
//! ```
//!
//! The address of a netlink socket is its protocol; its port is the port id, a signed number:
//! the kernel assigns negative port ids to further sockets of a process.  A line of /proc with
//! fewer than seven fields, or with something other than numbers in them, is not a socket.
//!
//! Source: linux/netlink_diag.h, netlink(7), proc_pid_net(5).

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "kernel integers are narrow; each cast is meant"
)]

use sockdiag_wire::mem_info::SkMemInfo;
use sockdiag_wire::netlink_diag::{NETLINK_CONNECTED, NetlinkDiagMsg};

use super::families::Family;
use super::proc_line::Scan;
use super::socket::{Addr, Detail, Endpoint, Record, Socket, SourceKind, Timer};
use super::states::State;

/// The details that only netlink sockets report.
#[derive(Clone, Copy, Debug)]
pub struct NetlinkSocket<'a>(Source<'a>);

#[derive(Clone, Copy, Debug)]
#[allow(clippy::large_enum_variant, reason = "boxing it would cost every row an allocation")]
enum Source<'a> {
    Reply(NetlinkDiagMsg<'a>),
    Line(Line),
}

/// The destination of a connected socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Multicast group, as a number; 0 for none.
    pub group: u32,
    /// Port id, signed; 0 for the kernel.
    pub portid: i32,
}

/// A line of /proc/net/netlink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    sk: u64,
    protocol: u32,
    portid: i32,
    groups: u32,
    rmem: u32,
    wmem: u32,
    cb: u64,
    /// 0 on kernels that do not report it.
    inode: u32,
}

impl<'a> NetlinkSocket<'a> {
    /// Its memory report; `None` from /proc.
    pub fn mem_info(&self) -> Option<SkMemInfo<'a>> {
        self.reply()?.mem_info()
    }

    /// Groups 1 to 32 that it has joined, one bit each; `None` if no groups were sent.
    pub fn groups(&self) -> Option<u32> {
        match &self.0 {
            Source::Reply(msg) => msg.first_groups(),
            Source::Line(line) => Some(line.groups),
        }
    }

    /// All groups: bit n-1 of this array of longs is group n; `None` from /proc.
    pub fn group_words(&self) -> Option<&'a [u8]> {
        self.reply()?.groups()
    }

    /// Flags (`NDIAG_FLAG_*`); `None` from /proc and from old kernels.
    pub fn flags(&self) -> Option<u32> {
        self.reply()?.flags()
    }

    /// The default destination; `None` if the socket is not connected, or from /proc.
    pub fn peer(&self) -> Option<Peer> {
        let msg = self.reply()?;
        let connected = msg.state() == NETLINK_CONNECTED;
        connected.then(|| Peer { group: msg.dst_group(), portid: msg.dst_portid() as i32 })
    }

    /// The socket's address in kernel memory; only in /proc, else `None`.
    pub fn address(&self) -> Option<u64> {
        self.line().map(|line| line.sk)
    }

    /// Whether a dump is in progress (1); on older kernels, the address of its state.  Only in
    /// /proc, else `None`.
    pub fn callback(&self) -> Option<u64> {
        self.line().map(|line| line.cb)
    }

    fn reply(&self) -> Option<&NetlinkDiagMsg<'a>> {
        match &self.0 {
            Source::Reply(msg) => Some(msg),
            Source::Line(_) => None,
        }
    }

    fn line(&self) -> Option<&Line> {
        match &self.0 {
            Source::Reply(_) => None,
            Source::Line(line) => Some(line),
        }
    }
}

impl Line {
    fn parse(text: &[u8]) -> Option<Self> {
        let mut scan = Scan { text };
        let mut line = Self {
            sk: scan.hex()?,
            protocol: scan.decimal()? as u32,
            portid: scan.decimal()? as i32,
            groups: scan.hex()? as u32,
            rmem: scan.decimal()? as u32,
            wmem: scan.decimal()? as u32,
            cb: scan.hex()?,
            inode: 0,
        };
        // The locks, drops and inode fields.
        let inode = scan.decimal().and_then(|_| scan.decimal()).and_then(|_| scan.decimal());
        line.inode = inode.unwrap_or(0) as u32;
        Some(line)
    }
}

pub(super) fn decode(record: Record<'_>) -> Option<Socket<'_>> {
    let socket = |source| Socket {
        origin: record.origin,
        bytes: record.bytes,
        family: Family::Netlink,
        protocol: 0,
        state: State::Close as u8,
        recv_q: 0,
        send_q: 0,
        local: Endpoint::NONE,
        // The remote end that filters see, connected or not.
        remote: Endpoint { addr: Addr::Number(0), port: -1 },
        ifindex: 0,
        uid: 0,
        inode: 0,
        cookie: 0,
        timer: Timer::default(),
        detail: Detail::Netlink(NetlinkSocket(source)),
    };
    if record.origin.kind == SourceKind::Proc {
        let line = Line::parse(record.bytes)?;
        return Some(Socket {
            recv_q: line.rmem,
            send_q: line.wmem,
            local: Endpoint { addr: Addr::Number(line.protocol), port: line.portid.into() },
            inode: line.inode,
            ..socket(Source::Line(line))
        });
    }
    let msg = NetlinkDiagMsg::new(record.bytes).filter(|msg| msg.family() == Family::Netlink.number())?;
    let mem = msg.mem_info();
    Some(Socket {
        recv_q: mem.and_then(SkMemInfo::rmem_alloc).unwrap_or(0),
        send_q: mem.and_then(SkMemInfo::wmem_alloc).unwrap_or(0),
        local: Endpoint { addr: Addr::Number(msg.protocol().into()), port: (msg.portid() as i32).into() },
        inode: msg.ino(),
        cookie: msg.cookie(),
        ..socket(Source::Reply(msg))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Origin, Table};

    fn decode_as(kind: SourceKind, bytes: &[u8]) -> Option<Socket<'_>> {
        Socket::decode(Record { origin: Origin::of(Table::Netlink, kind), bytes })
    }

    fn netlink<'a>(socket: &Socket<'a>) -> NetlinkSocket<'a> {
        match socket.detail {
            Detail::Netlink(netlink) => netlink,
            _ => panic!("{socket:?}"),
        }
    }

    /// A reply for a genl socket with port id -5 that sends to group 7 and port id -6.
    fn reply(state: u8) -> Vec<u8> {
        let mut bytes = vec![16, 3, 16, state];
        bytes.extend((-5_i32).to_ne_bytes());
        bytes.extend((-6_i32).to_ne_bytes());
        bytes.extend([7_u32, 100, 0x11, 0x22].map(u32::to_ne_bytes).concat());
        sockdiag_wire::attr::put(&mut bytes, 0, &[1_u32, 2, 3].map(u32::to_ne_bytes).concat());
        sockdiag_wire::attr::put(&mut bytes, 1, &0x41_u64.to_ne_bytes());
        bytes
    }

    #[test]
    fn port_ids_are_signed_and_only_a_connected_socket_has_a_peer() {
        for (state, peer) in [(0, None), (1, Some(Peer { group: 7, portid: -6 })), (2, None)] {
            let bytes = reply(state);
            let socket = decode_as(SourceKind::Kernel, &bytes).unwrap();
            assert_eq!(socket.local, Endpoint { addr: Addr::Number(16), port: -5 });
            assert_eq!((socket.recv_q, socket.send_q, socket.state), (1, 3, 7));
            assert_eq!((socket.inode, socket.cookie), (100, 0x22_0000_0011));
            let own = netlink(&socket);
            assert_eq!((own.peer(), own.groups()), (peer, Some(0x41)));
            assert_eq!((own.address(), own.callback()), (None, None));
            // Filters compare with this port, connected or not.
            assert_eq!(socket.remote.port, -1);
        }
    }

    #[test]
    fn a_line_is_read_by_its_fields() {
        let line = b"ffff888003a5c000 4   4294967295 00000440 -3       5        1     2        0        17";
        let socket = decode_as(SourceKind::Proc, line).unwrap();
        assert_eq!(socket.local, Endpoint { addr: Addr::Number(4), port: -1 });
        assert_eq!((socket.recv_q as i32, socket.send_q, socket.inode), (-3, 5, 17));
        let own = netlink(&socket);
        assert_eq!((own.address(), own.callback()), (Some(0xffff_8880_03a5_c000), Some(1)));
        assert_eq!((own.groups(), own.peer()), (Some(0x440), None));
        assert!(own.mem_info().is_none());
        // Kernels before 2.6.31 did not report the inode.
        assert_eq!(decode_as(SourceKind::Proc, b"1 6 3 2 1 1 0 1").map(|socket| socket.inode), Some(0));
        for short in [&b"1 6 3 2 1 1"[..], b"", b"zz 6 3 2 1 1 0", b"1 6 3 2 x 1 0"] {
            assert!(decode_as(SourceKind::Proc, short).is_none(), "{short:?}");
        }
    }

    #[test]
    fn another_family_or_a_short_reply_is_no_socket() {
        let bytes = reply(0);
        for len in 0..28 {
            assert!(decode_as(SourceKind::Kernel, &bytes[..len]).is_none(), "{len}");
        }
        let mut other = reply(0);
        other[0] = 17;
        assert!(decode_as(SourceKind::Kernel, &other).is_none());
    }
}
