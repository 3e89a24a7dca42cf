//! One socket, as its source reported it.
//!
//! A [`Record`] is the bytes of one socket (a netlink message payload or a
//! line of /proc text) together with where it came from; a [`Socket`] is the
//! decoded, still borrowed form.  Decoding is pure, so whoever has to hold a
//! row keeps the bytes and decodes again.  Nothing here knows names, options
//! or text, and nothing is lost on the way: what a source did not report is
//! absent (`None`), never zero.
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

/// What kind of bytes a record holds.
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

/// Where a record came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The table that was asked.
    pub table: Table,
    /// The kind of source that answered.
    pub kind: SourceKind,
    /// How the kernel that answered lays out its structs.
    pub abi: Abi,
    /// When it was read; `None` for a recording, which has no clock.
    pub window: Option<Window>,
    /// The protocol whose service names its ports have; 0 for those of any.
    pub services: u16,
}

impl Origin {
    /// An answer of an unknown kernel at an unknown time.
    pub const fn of(table: Table, kind: SourceKind) -> Self {
        let services = match kind {
            // Of a destroyed socket the kernel does not tell the table.
            SourceKind::Event => 0,
            _ => table.services(),
        };
        Self { table, kind, abi: Abi::Unknown, window: None, services }
    }
}

/// The bytes of one socket and where they came from.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Where the bytes came from, which tells how to read them.
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
    /// A number that stands where an address does: the protocol of a netlink
    /// or packet socket, the context id of a vsock one, the node of a TIPC one.
    Number(u32),
    /// No address: unix and XDP sockets, and an end of an SMC socket that the
    /// kernel gives none for.
    None,
}

impl Addr {
    /// The embedded IPv4 address of a v4-mapped IPv6 one (`::ffff:a.b.c.d`).
    pub fn mapped_v4(self) -> Option<[u8; 4]> {
        match self {
            Addr::V6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]) => Some([a, b, c, d]),
            _ => None,
        }
    }

    /// The host that it is an address of: of a v4-mapped address the IPv4 address
    /// in it, else the address itself.
    #[must_use]
    pub fn one_host(self) -> Self {
        self.mapped_v4().map_or(self, Self::V4)
    }

    /// Whether it is of the host that asks: 127.0.0.0/8, `::1`, or the former as a
    /// v4-mapped address.
    pub fn is_loopback(self) -> bool {
        match self.one_host() {
            Self::V4([first, ..]) => first == 127,
            Self::V6(octets) => octets == std::net::Ipv6Addr::LOCALHOST.octets(),
            Self::Number(_) | Self::None => false,
        }
    }

    /// Whether it is the wildcard of its version: all zero.
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
    /// The address; all zero is the wildcard.
    pub addr: Addr,
    /// The port in host order; zero is "none".  For families without ports the
    /// number that stands there: an inode, a port id, an interface, a queue.
    pub port: i64,
}

impl Endpoint {
    /// No end at all.
    pub const NONE: Self = Self { addr: Addr::None, port: 0 };
}

/// The timer that a socket waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Timer {
    /// Which one: 0 none, 1 retransmit, 2 keepalive, 3 time-wait, 4 zero-window
    /// probe, 5 delayed ack.
    pub kind: u8,
    /// Time until it fires, in milliseconds.
    pub expires_ms: u32,
    /// Retransmissions or probes so far.
    pub retrans: u32,
}

/// What only one kind of source reports.
///
/// One lives at a time, on the stack: boxing the larger would cost every row
/// an allocation.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::large_enum_variant)]
pub enum Detail<'a> {
    /// The attributes of an inet_diag reply.
    Inet(InetAttrs<'a>),
    /// The further words of a `/proc/net` line of an inet table.
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

/// Which part of the table of facts describes a socket.
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
    /// Where it came from.
    pub origin: Origin,
    /// What it was decoded from: whoever keeps a socket keeps these.
    pub bytes: &'a [u8],
    /// `inet` or `inet6`, as the source says.
    pub family: Family,
    /// IP protocol: the `INET_DIAG_PROTOCOL` attribute, else the table's own.
    pub protocol: u16,
    /// State number as sent (`enum` in the kernel's tcp_states.h; SMC has its own).
    pub state: u8,
    /// Unread bytes, or the accept queue of a listener.
    pub recv_q: u32,
    /// Unacknowledged bytes, or the backlog limit of a listener.
    pub send_q: u32,
    /// This end.
    pub local: Endpoint,
    /// The other end.
    pub remote: Endpoint,
    /// Interface that the socket is bound to; 0 is "none".
    pub ifindex: u32,
    /// Owner.
    pub uid: u32,
    /// Inode on sockfs; 0 for a socket that no process holds.
    pub inode: u32,
    /// The kernel's identity of this socket; 0 where the source has none.
    pub cookie: u64,
    /// The pending timer.
    pub timer: Timer,
    /// What only this kind of source reports.
    pub detail: Detail<'a>,
}

impl Socket<'static> {
    /// No socket: what a row is about that is about a namespace or a process.
    pub fn nothing() -> Option<Self> {
        // A reply of inet_diag without any number.
        const NOTHING: &[u8] = &{
            let mut bytes = [0; 72];
            bytes[0] = AF_INET;
            bytes
        };
        Self::decode(Record { origin: Origin::of(Table::Tcp, SourceKind::Recording), bytes: NOTHING })
    }
}

impl Socket<'_> {
    /// Whether both ends are of one host, as far as their addresses tell.
    pub fn has_local_ends(&self) -> bool {
        self.remote.addr.is_loopback() || self.remote.addr.one_host() == self.local.addr.one_host()
    }
}

impl<'a> Socket<'a> {
    /// Decodes a record; `None` if it is too short to be a socket at all or
    /// names a family that its table cannot hold.
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

    /// What waits to be read, where the source tells.
    pub fn told_recv_q(&self) -> Option<u32> {
        let tells = match &self.detail {
            Detail::Unix(unix) => unix.tells_queues(),
            _ => true,
        };
        tells.then_some(self.recv_q)
    }

    /// What was sent and is not done with, where the source tells: of a
    /// listener /proc tells how many wait, and not how many may.
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

    /// The table that a socket belongs to by its type, where one dump brings
    /// the sockets of several tables; `None` if it belongs to all of them.
    pub fn sub_table(&self) -> Option<Table> {
        match &self.detail {
            Detail::Packet(packet) if packet.is_raw() => Some(Table::PacketRaw),
            Detail::Packet(_) => Some(Table::PacketDgram),
            Detail::Unix(unix) => unix.table(),
            Detail::Vsock(vsock) => super::vsock::table_of(vsock.kind),
            _ => None,
        }
    }

    /// Which part of the table of facts describes it.
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

    /// Directions that were shut down: 1 receiving, 2 sending.
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

    /// `tcp_info`, where the reply carries one and the protocol gives the
    /// attribute that meaning (MPTCP and SCTP put their own structs there).
    #[inline]
    pub fn tcp_info(&self) -> Option<TcpInfo<'a>> {
        match self.protocol {
            IPPROTO_SCTP | IPPROTO_MPTCP => None,
            _ => self.attrs()?.tcp_info(),
        }
    }
}

/// The IPv4 address that the kernel puts first in a place for either kind.
pub(super) fn v4([a, b, c, d, ..]: [u8; 16]) -> Addr {
    Addr::V4([a, b, c, d])
}
