//! One socket, as its source reported it.
//!
//! A [`Record`] holds the bytes of one socket (the payload of a netlink message, or a line of
//! /proc text) and their origin; a [`Socket`] is the decoded form, which borrows them.
//! Decoding is pure, so code that stores a row keeps the bytes and decodes again.  Nothing
//! here depends on names, options or output text, and no information is lost: what a source
//! did not report is absent (`None`), never zero.
//!
//! Source: `include/uapi/linux/inet_diag.h`; proc_net_tcp.rst.

use sockdiag_wire::inet_diag::{InetAttrs, InetDiagMsg};
use sockdiag_wire::ipproto::{IPPROTO_MPTCP, IPPROTO_SCTP};
use sockdiag_wire::mem_info::SkMemInfo;
use sockdiag_wire::sctp_info::SockAddr;
use sockdiag_wire::socket::{AF_INET, AF_INET6};
use sockdiag_wire::tcp_info::TcpInfo;

use super::families::Family;
use super::moment::{Abi, Window};
use super::netlink::NetlinkSocket;
use super::packet::PacketSocket;
use super::proc_line::ProcLine;
use super::smc::SmcSocket;
use super::states::State;
use super::tables::Table;
use super::tipc::TipcSocket;
use super::unix::UnixSocket;
use super::vsock::VsockSocket;
use super::xdp::XdpSocket;

/// The kind of source, which determines the format of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// A sock_diag reply of this machine's kernel.
    Kernel,
    /// A sock_diag reply kept in a recording (`TCPDIAG_FILE`).
    Recording,
    /// A message about a socket that was just destroyed.
    Event,
    /// A line of a `/proc/net` table.
    Proc,
}

/// The origin of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The requested table.
    pub table: Table,
    /// The kind of source that answered.
    pub kind: SourceKind,
    /// The layout of structs in the kernel that answered.
    pub abi: Abi,
    /// When it was read; `None` for a recording, which has no clock.
    pub window: Option<Window>,
    /// The protocol whose service names apply to its ports; 0 if those of any protocol do.
    pub services: u16,
}

impl Origin {
    /// A record from an unknown kernel at an unknown time.
    pub const fn of(table: Table, kind: SourceKind) -> Self {
        let services = match kind {
            // For a destroyed socket the kernel does not report the table.
            SourceKind::Event => 0,
            _ => table.services(),
        };
        Self { table, kind, abi: Abi::Unknown, window: None, services }
    }
}

/// The bytes of one socket, and their origin.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The origin, which determines how to decode the bytes.
    pub origin: Origin,
    /// A netlink message's payload, or a line of text without its newline.
    pub bytes: &'a [u8],
}

/// The address half of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addr {
    /// An IPv4 address, in network order.
    V4([u8; 4]),
    /// An IPv6 address, in network order.
    V6([u8; 16]),
    /// A number that serves as the address: the protocol of a netlink or packet socket, the
    /// context id of a vsock socket, the node of a TIPC socket.
    Number(u32),
    /// No address: unix and XDP sockets, and an end of an SMC socket without an address from
    /// the kernel.
    None,
}

impl Addr {
    /// The IPv4 address inside a v4-mapped IPv6 address (`::ffff:a.b.c.d`).
    pub fn mapped_v4(self) -> Option<[u8; 4]> {
        match self {
            Addr::V6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]) => Some([a, b, c, d]),
            _ => None,
        }
    }

    /// The host's address in a single form: the IPv4 address of a v4-mapped address, otherwise
    /// the address itself.
    #[must_use]
    pub fn one_host(self) -> Self {
        self.mapped_v4().map_or(self, Self::V4)
    }

    /// Whether it is a loopback address: 127.0.0.0/8, also v4-mapped, or `::1`.
    pub fn is_loopback(self) -> bool {
        match self.one_host() {
            Self::V4([first, ..]) => first == 127,
            Self::V6(octets) => octets == std::net::Ipv6Addr::LOCALHOST.octets(),
            Self::Number(_) | Self::None => false,
        }
    }

    /// Whether it is the wildcard address of its family: all zeros.
    pub fn is_unspecified(self) -> bool {
        match self {
            Self::V4(octets) => octets == [0; 4],
            Self::V6(octets) => octets == [0; 16],
            Self::Number(_) | Self::None => false,
        }
    }
}

impl From<SockAddr> for Addr {
    fn from(address: SockAddr) -> Self {
        match address {
            SockAddr::Inet { addr, .. } => Self::V4(addr),
            SockAddr::Inet6 { addr, .. } => Self::V6(addr),
        }
    }
}

/// One end of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address; all zeros is the wildcard.
    pub addr: Addr,
    /// The port in host order; zero if there is none.  For families without ports, the number
    /// that serves as one: an inode, a port id, an interface, a queue.
    pub port: i64,
}

impl Endpoint {
    /// No endpoint.
    pub const NONE: Self = Self { addr: Addr::None, port: 0 };
}

/// The pending timer of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Timer {
    /// Its kind: 0 none, 1 retransmission, 2 keepalive, 3 time-wait, 4 zero-window probe, 5
    /// delayed ACK.
    pub kind: u8,
    /// Time until it fires, in milliseconds.
    pub expires_ms: u32,
    /// Retransmissions or probes so far.
    pub retrans: u32,
}

/// The details that only one kind of source reports.
///
/// Only one exists at a time, on the stack: boxing the larger variants would cost an
/// allocation for every row.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::large_enum_variant)]
pub enum Detail<'a> {
    /// The attributes of an inet_diag reply.
    Inet(InetAttrs<'a>),
    /// The remaining fields of a `/proc/net` line of an inet table.
    Proc(ProcLine<'a>),
    /// A unix socket.
    Unix(UnixSocket<'a>),
    /// A netlink socket.
    Netlink(NetlinkSocket<'a>),
    /// A packet socket.
    Packet(PacketSocket<'a>),
    /// A vsock socket.
    Vsock(VsockSocket),
    /// A TIPC socket.
    Tipc(TipcSocket<'a>),
    /// An XDP socket.
    Xdp(XdpSocket<'a>),
    /// An SMC socket.
    Smc(SmcSocket<'a>),
}

/// The part of the table of fields that describes a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum MessageKind {
    Inet,
    Unix,
    Netlink,
    Packet,
    Vsock,
    Tipc,
    Xdp,
    Smc,
}

/// A decoded socket; borrows the record's bytes.
#[derive(Clone, Copy, Debug)]
pub struct Socket<'a> {
    /// The origin of the socket.
    pub origin: Origin,
    /// The bytes that it was decoded from; code that stores a socket stores these.
    pub bytes: &'a [u8],
    /// The address family, as the source reports it.
    pub family: Family,
    /// IP protocol: that of the `INET_DIAG_PROTOCOL` attribute, otherwise that of the table.
    pub protocol: u16,
    /// State number as sent (`enum` in the kernel's tcp_states.h; SMC has its own numbering).
    pub state: u8,
    /// Unread bytes; for a listener, the length of the accept queue.
    pub recv_q: u32,
    /// Unacknowledged bytes; for a listener, the backlog limit.
    pub send_q: u32,
    /// This end.
    pub local: Endpoint,
    /// The other end.
    pub remote: Endpoint,
    /// Interface that the socket is bound to; 0 for none.
    pub ifindex: u32,
    /// Owner, as a uid.
    pub uid: u32,
    /// Inode on sockfs; 0 if no process holds the socket.
    pub inode: u32,
    /// The socket's cookie; 0 if the source does not report it.
    pub cookie: u64,
    /// The pending timer.
    pub timer: Timer,
    /// Details that only this kind of source reports.
    pub detail: Detail<'a>,
}

impl Socket<'static> {
    /// A placeholder for rows that describe a namespace or a process instead of a socket.
    pub fn nothing() -> Option<Self> {
        // An inet_diag reply in which everything but the family is zero.
        const NOTHING: &[u8] = &{
            let mut bytes = [0; 72];
            bytes[0] = AF_INET;
            bytes
        };
        Self::decode(Record { origin: Origin::of(Table::Tcp, SourceKind::Recording), bytes: NOTHING })
    }
}

impl Socket<'_> {
    /// Whether both ends are on the same host, judged by their addresses.
    pub fn has_local_ends(&self) -> bool {
        self.remote.addr.is_loopback() || self.remote.addr.one_host() == self.local.addr.one_host()
    }
}

impl<'a> Socket<'a> {
    /// Decodes a record; `None` if it is too short to be a socket, or if its family does not
    /// belong to its table.
    pub fn decode(record: Record<'a>) -> Option<Self> {
        match (record.origin.table.message_kind(), record.origin.kind) {
            (MessageKind::Inet, SourceKind::Proc) => ProcLine::parse(record.bytes)?.socket(record.origin),
            (MessageKind::Inet, _) => Self::from_inet_diag(record),
            (MessageKind::Unix, _) => super::unix::decode(record),
            (MessageKind::Netlink, _) => super::netlink::decode(record),
            (MessageKind::Packet, _) => super::packet::decode(record),
            (MessageKind::Vsock, _) => super::vsock::decode(record),
            (MessageKind::Tipc, _) => super::tipc::decode(record),
            (MessageKind::Xdp, _) => super::xdp::decode(record),
            (MessageKind::Smc, _) => super::smc::decode(record),
        }
    }

    /// The receive queue; `None` if the source does not report it.
    pub fn told_recv_q(&self) -> Option<u32> {
        let tells = match &self.detail {
            Detail::Unix(unix) => unix.tells_queues(),
            _ => true,
        };
        tells.then_some(self.recv_q)
    }

    /// The send queue; `None` if the source does not report it: for a listener, /proc reports
    /// the number of waiting connections but not the limit.
    pub fn told_send_q(&self) -> Option<u32> {
        let tells = match &self.detail {
            Detail::Unix(unix) => unix.tells_queues(),
            Detail::Proc(_) => self.state != State::Listen as u8,
            _ => true,
        };
        tells.then_some(self.send_q)
    }

    fn from_inet_diag(record: Record<'a>) -> Option<Self> {
        let msg = InetDiagMsg::new(record.bytes)?;
        let attrs = msg.attrs();
        let (family, src, dst) = match msg.family() {
            AF_INET => (Family::Inet, v4(msg.src()), v4(msg.dst())),
            AF_INET6 => (Family::Inet6, Addr::V6(msg.src()), Addr::V6(msg.dst())),
            _ => return None,
        };
        let protocol = attrs.protocol().map_or(record.origin.table.protocol(), u16::from);
        Some(Self {
            origin: record.origin,
            bytes: record.bytes,
            family,
            protocol,
            state: msg.state(),
            recv_q: msg.rqueue(),
            send_q: msg.wqueue(),
            local: Endpoint { addr: src, port: msg.sport().into() },
            remote: Endpoint { addr: dst, port: msg.dport().into() },
            ifindex: msg.ifindex(),
            uid: msg.uid(),
            inode: msg.inode(),
            cookie: msg.cookie(),
            timer: Timer {
                kind: msg.timer(),
                expires_ms: msg.expires_ms(),
                retrans: u32::from(msg.retrans()),
            },
            detail: Detail::Inet(attrs),
        })
    }

    /// The table that a socket belongs to by its type, if one dump returns the sockets of
    /// several tables; `None` if it belongs to all of them.
    pub fn sub_table(&self) -> Option<Table> {
        match &self.detail {
            Detail::Packet(packet) if packet.is_raw() => Some(Table::PacketRaw),
            Detail::Packet(_) => Some(Table::PacketDgram),
            Detail::Unix(unix) => unix.table(),
            Detail::Vsock(vsock) => super::vsock::table_of(vsock.kind),
            _ => None,
        }
    }

    /// The part of the table of fields that describes the socket.
    #[inline]
    pub fn message_kind(&self) -> MessageKind {
        match self.detail {
            Detail::Inet(_) | Detail::Proc(_) => MessageKind::Inet,
            Detail::Unix(_) => MessageKind::Unix,
            Detail::Netlink(_) => MessageKind::Netlink,
            Detail::Packet(_) => MessageKind::Packet,
            Detail::Vsock(_) => MessageKind::Vsock,
            Detail::Tipc(_) => MessageKind::Tipc,
            Detail::Xdp(_) => MessageKind::Xdp,
            Detail::Smc(_) => MessageKind::Smc,
        }
    }

    /// The attributes of an inet_diag reply; `None` for a row of /proc text.
    #[inline]
    pub fn attrs(&self) -> Option<&InetAttrs<'a>> {
        match &self.detail {
            Detail::Inet(attrs) => Some(attrs),
            _ => None,
        }
    }

    /// The memory report (`SK_MEMINFO_*`), whatever the family calls it.
    #[inline]
    pub fn sk_mem_info(&self) -> Option<SkMemInfo<'a>> {
        match &self.detail {
            Detail::Inet(attrs) => attrs.sk_mem_info(),
            Detail::Netlink(netlink) => netlink.mem_info(),
            Detail::Packet(packet) => packet.mem_info(),
            Detail::Unix(unix) => unix.mem_info(),
            Detail::Xdp(xdp) => xdp.0.mem_info(),
            _ => None,
        }
    }

    /// Directions that were shut down: 1 is receiving, 2 is sending.
    pub fn shutdown(&self) -> Option<u8> {
        match &self.detail {
            Detail::Inet(attrs) => attrs.shutdown(),
            Detail::Unix(unix) => unix.shutdown(),
            Detail::Vsock(vsock) => Some(vsock.shutdown),
            Detail::Smc(smc) => smc.0.shutdown(),
            _ => None,
        }
    }

    /// The line of /proc text; `None` for an inet_diag reply.
    pub fn proc_line(&self) -> Option<&ProcLine<'a>> {
        match &self.detail {
            Detail::Proc(line) => Some(line),
            _ => None,
        }
    }

    /// `tcp_info`, if the reply contains it and the protocol gives the attribute this meaning
    /// (MPTCP and SCTP send their own structs in it).
    #[inline]
    pub fn tcp_info(&self) -> Option<TcpInfo<'a>> {
        match self.protocol {
            IPPROTO_SCTP | IPPROTO_MPTCP => None,
            _ => self.attrs()?.tcp_info(),
        }
    }
}

/// The IPv4 address in a 16-byte field, where the kernel stores it in the first four bytes.
pub(super) fn v4([a, b, c, d, ..]: [u8; 16]) -> Addr {
    Addr::V4([a, b, c, d])
}
