//! The columns of a row: the kind of socket, its state, its queues and its two ends.
//!
//! Source: `struct inet_diag_msg` and `struct inet_diag_sockid`
//! (linux/inet_diag.h); state numbers of tcp_states.h.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use sockdiag_wire::ipproto::{
    IPPROTO_DCCP, IPPROTO_ICMPV6, IPPROTO_MPTCP, IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE,
};
use sockdiag_wire::socket::{SOCK_SEQPACKET, SOCK_STREAM};

use super::{Column, Field, Groups, Needs, Operand, Spelling, Text, Unit, plain, text, word};
use crate::model::families::FAMILY_WORDS;
use crate::model::tables::NETIDS;
use crate::model::{Addr, Detail, Family, Row, Socket, Table};
use crate::model::{protocol_names, states};
use crate::number::{put_hex, put_i64, put_name, put_signed, put_start, put_u64};

/// The first columns of sockets of every kind.
pub(super) const IDENTITY: &[Field] = &[
    Field::new(
        "socket.netid",
        word!(NETIDS, |r| Some(netid(r.socket))),
        "Kind of socket: its protocol or type, as ss names it.",
        "idiag protocol, INET_DIAG_PROTOCOL; socket type for other families",
    )
    .spelled(&Spelling::Groups(netid_group))
    .tokens("netid")
    .group(Groups::COLUMNS)
    .text(Text::Column(Column::Netid, |out, r, _| {
        // An association is shown below its endpoint, which has the same kind.
        if r.association {
            return;
        }
        out.extend_from_slice(netid(r.socket).as_bytes());
    })),
    Field::new(
        "socket.state",
        word!(states::SHOWN_WORDS, |r| Some(state_text(r))),
        "State of the connection; connectionless sockets are ESTAB or UNCONN, and SMC has more states than TCP.",
        "idiag_state",
    )
    .state()
    .spelled(&Spelling::Groups(states::shown_group))
    .tokens("state")
    .group(Groups::COLUMNS)
    .text(Text::Column(Column::State, |out, r, _| {
        if r.association {
            out.extend_from_slice(b"`- ");
        }
        out.extend_from_slice(state_text(r).as_bytes());
    })),
    Field::new(
        "socket.recv_q",
        plain!(|r| amount(r.socket.told_recv_q()?)),
        "Received data not yet read. TCP: bytes. Unix stream and seqpacket: bytes of all messages; unix datagram: \
         bytes of the first message only. UDP, raw, netlink, packet and XDP: memory charged, which exceeds the \
         payload. Listener: connections in the accept queue. Zero for vsock and SMC, whose queues the kernel does \
         not report.",
        "idiag_rqueue",
    )
    .gauge(Unit::Bytes)
    .bare()
    .tokens("Recv-Q")
    .group(Groups::COLUMNS)
    .text(Text::Column(Column::RecvQ, |out, r, _| put_queue(out, r.socket.recv_q))),
    Field::new(
        "socket.send_q",
        plain!(|r| amount(r.socket.told_send_q()?)),
        "Sent data still queued. TCP: bytes not yet acknowledged. UDP, raw, netlink: memory of data that has not \
         left the machine. Unix: memory of data that the peer has not read. Listener: limit of the accept queue. \
         Zero for packet, XDP, vsock and SMC, whose queues the kernel does not report.",
        "idiag_wqueue",
    )
    .gauge(Unit::Bytes)
    .bare()
    .tokens("Send-Q")
    .group(Groups::COLUMNS)
    .text(Text::Column(Column::SendQ, |out, r, _| put_queue(out, r.socket.send_q))),
    Field::new(
        "socket.family",
        word!(FAMILY_WORDS, |r| Some(r.socket.family.name())),
        "Address family, as named by -f.",
        "idiag_family",
    )
    .group(Groups::COLUMNS),
];

/// The interface, which XDP and packet sockets print as their endpoint.
pub(super) const INTERFACE: Field = Field::new(
    "local.interface",
    plain!(|r| Some(r.socket.ifindex), unless 0),
    "Index of the interface that the socket is bound to.",
    "idiag_if",
)
.print_needs(Needs::INTERFACES)
.operand(Operand::Device)
.group(Groups::COLUMNS)
.text(Text::PartOf("local.addr"));

/// The name of the interface.
pub(super) const INTERFACE_NAME: Field = Field::new(
    "local.interface_name",
    text!(|r| r.names.interface.filter(|_| r.socket.ifindex != 0)),
    "Name of the interface that the socket is bound to.",
    "idiag_if, if_indextoname(3)",
)
.needs(Needs::INTERFACES)
.group(Groups::COLUMNS);

/// Names that `ss` prints in place of an inet socket's numbers.
pub(super) const NAMES: &[Field] = &[
    INTERFACE_NAME,
    Field::new(
        "local.service",
        text!(|r| r.names.local_service),
        "Service name of the local port, unless -n is given.",
        "services(5)",
    )
    .needs(Needs::SERVICES)
    .spelled(&Spelling::Service)
    .group(Groups::COLUMNS),
    Field::new(
        "remote.service",
        text!(|r| r.names.remote_service),
        "Service name of the remote port, unless -n is given.",
        "services(5)",
    )
    .needs(Needs::SERVICES)
    .spelled(&Spelling::Service)
    .group(Groups::COLUMNS),
    Field::new(
        "local.host",
        text!(|r| r.names.hosts?.host(r.socket.local.addr)),
        "Host name of the local address; resolved only with -r.",
        "getnameinfo(3)",
    )
    .needs(Needs::HOSTS)
    .spelled(&Spelling::HostOf("local.addr"))
    .group(Groups::COLUMNS),
    Field::new(
        "remote.host",
        text!(|r| r.names.hosts?.host(r.socket.remote.addr)),
        "Host name of the remote address; resolved only with -r.",
        "getnameinfo(3)",
    )
    .needs(Needs::HOSTS)
    .spelled(&Spelling::HostOf("remote.addr"))
    .group(Groups::COLUMNS),
];

/// The protocol and type of sockets of inet_diag tables.
pub(super) const PROTOCOL: &[Field] = &[
    Field::new(
        "socket.protocol",
        plain!(|r| Some(r.socket.protocol)),
        "IP protocol of the socket; 262 is MPTCP.",
        "INET_DIAG_PROTOCOL",
    )
    .words(protocol_names::IP)
    .group(Groups::COLUMNS),
    Field::new(
        "sctp.association",
        plain!(|r| (r.socket.protocol == IPPROTO_SCTP).then_some(r.association)),
        "Whether this is an association of the SCTP endpoint listed before it.",
        "idiag_inode",
    )
    .group(Groups::COLUMNS),
];

/// The port of this end.
pub(super) const LOCAL_PORT: Field = Field::new(
    "local.port",
    plain!(|r| u32::try_from(r.socket.local.port).ok()),
    "Local port; zero if there is none, all ones for any vsock port.",
    "idiag_sport",
)
.none(0)
.print_needs(Needs::SERVICES)
.operand(Operand::LocalPort)
.group(Groups::COLUMNS)
.text(Text::Column(Column::LocalPort, |out, r, _| {
    put_port(out, r.socket.local.port, r.names.local_service);
}));

/// The address of the other end.
pub(super) const REMOTE_ADDR: Field = Field::new(
    "remote.addr",
    plain!(|r| Some(r.socket.remote.addr.one_host())),
    "Remote address; all zeros if there is none.  For an IPv6 socket with an IPv4 peer, the IPv4 address.",
    "idiag_dst",
)
.print_needs(Needs::HOSTS)
.operand(Operand::RemoteHost)
.group(Groups::COLUMNS)
.text(Text::Column(Column::RemoteAddr, |out, r, _| {
    put_addr(out, r, r.socket.remote.addr);
    out.push(b':');
}));

/// The port of the other end.
pub(super) const REMOTE_PORT: Field = Field::new(
    "remote.port",
    plain!(|r| u32::try_from(r.socket.remote.port).ok()),
    "Remote port; if there is none, zero, or all ones for vsock.",
    "idiag_dport",
)
.none(0)
.print_needs(Needs::SERVICES)
.operand(Operand::RemotePort)
.group(Groups::COLUMNS)
.text(Text::Column(Column::RemotePort, |out, r, _| {
    put_port(out, r.socket.remote.port, r.names.remote_service);
}));

/// The two ends of an inet socket, in the order of the columns.
pub(super) const COLUMNS: &[Field] = &[
    Field::new(
        "local.addr",
        plain!(|r| Some(r.socket.local.addr.one_host())),
        "Local address; all zeros for any address.  For an IPv6 socket that uses IPv4, the IPv4 address.",
        "idiag_src",
    )
    .print_needs(Needs::HOSTS)
    .operand(Operand::LocalHost)
    .group(Groups::COLUMNS)
    .text(Text::Column(Column::LocalAddr, |out, r, _| {
        put_addr(out, r, r.socket.local.addr);
        if r.socket.ifindex != 0 {
            out.push(b'%');
            put_interface(out, r);
        }
        out.push(b':');
    })),
    INTERFACE,
    LOCAL_PORT,
    REMOTE_ADDR,
    REMOTE_PORT,
    Field::new(
        "local.mapped_addr",
        plain!(|r| mapped(r.socket.local.addr)),
        "Local address in IPv4-mapped form (::ffff:10.0.0.1), for an IPv6 socket that uses IPv4.",
        "idiag_src",
    )
    .group(Groups::COLUMNS)
    .text(Text::PartOf("local.addr")),
    Field::new(
        "remote.mapped_addr",
        plain!(|r| mapped(r.socket.remote.addr)),
        "Remote address in IPv4-mapped form (::ffff:10.0.0.1), for an IPv6 socket that uses IPv4.",
        "idiag_dst",
    )
    .group(Groups::COLUMNS)
    .text(Text::PartOf("remote.addr")),
];

/// An address that contains an IPv4 address.
fn mapped(addr: Addr) -> Option<Addr> {
    addr.mapped_v4().map(|_| addr)
}

/// A queue length or an amount of memory.  The kernel stores both as `int`; a negative number,
/// from a socket that is being destroyed (-1 for UDP with `-E`), is not an amount.
pub(super) fn amount(number: u32) -> Option<u32> {
    i32::try_from(number).is_ok().then_some(number)
}

/// The printed state; SCTP associations and SMC sockets have their own numbering.
pub fn state_text(row: &Row<'_>) -> &'static str {
    match row.socket.detail {
        _ if row.association => states::sctp_text(row.socket.state.into()),
        Detail::Smc(_) => states::smc_text(row.socket.state),
        _ => states::text(row.socket.state),
    }
}

/// The word in the Netid column.
fn netid(socket: &Socket<'_>) -> &'static str {
    match &socket.detail {
        Detail::Inet(_) | Detail::Proc(_) => match (socket.protocol, socket.origin.table) {
            // A raw socket with this protocol has no name.
            (IPPROTO_UDPLITE, Table::UdpLite) => "udplite",
            (protocol, _) => inet_netid(protocol),
        },
        Detail::Netlink(_) => "nl",
        Detail::Packet(packet) if packet.is_raw() => "p_raw",
        Detail::Packet(_) => "p_dgr",
        Detail::Unix(unix) => match unix.kind() {
            SOCK_STREAM => "u_str",
            SOCK_SEQPACKET => "u_seq",
            _ => "u_dgr",
        },
        Detail::Vsock(vsock) => vsock.netid(),
        Detail::Tipc(tipc) => tipc.netid(),
        Detail::Xdp(_) => "xdp",
        Detail::Smc(_) => "smc",
    }
}

/// The kinds of sockets that a word of `-A` for a whole family stands for.
fn netid_group(word: &[u8]) -> Option<Vec<&'static str>> {
    const GROUPS: [(&str, &[&str]); 5] = [
        ("inet", &["tcp", "udp", "raw", "udplite", "dccp", "sctp", "mptcp", "icmp6"]),
        ("unix", &["u_str", "u_dgr", "u_seq"]),
        ("packet", &["p_raw", "p_dgr"]),
        ("vsock", &["v_str", "v_dgr"]),
        ("tipc", &["ti_st", "ti_dg", "ti_rd", "ti_sq"]),
    ];
    let (_, names) = GROUPS.iter().find(|(group, _)| group.as_bytes().eq_ignore_ascii_case(word))?;
    Some(names.to_vec())
}

fn inet_netid(protocol: u16) -> &'static str {
    match protocol {
        0 => "raw",
        IPPROTO_TCP => "tcp",
        IPPROTO_UDP => "udp",
        IPPROTO_DCCP => "dccp",
        IPPROTO_ICMPV6 => "icmp6",
        IPPROTO_SCTP => "sctp",
        IPPROTO_MPTCP => "mptcp",
        _ => "???",
    }
}

/// Formats as `%-6d`: queues are padded before the column engine measures them.
#[inline]
fn put_queue(out: &mut Vec<u8>, amount: u32) {
    if amount < 10 {
        put_start(out, [b'0' + amount as u8, b' ', b' ', b' ', b' ', b' ', b' ', b' '], 6);
    } else {
        put_long_queue(out, amount);
    }
}

#[inline(never)]
fn put_long_queue(out: &mut Vec<u8>, amount: u32) {
    let start = out.len();
    put_signed(out, amount);
    while out.len() < start + 6 {
        out.push(b' ');
    }
}

/// Appends the name of the interface, or `if` and its index.
pub(super) fn put_interface(out: &mut Vec<u8>, row: &Row<'_>) {
    if let Some(name) = row.names.interface {
        put_name(out, name);
    } else {
        out.extend_from_slice(b"if");
        put_u64(out, u64::from(row.socket.ifindex));
    }
}

fn put_port(out: &mut Vec<u8>, port: i64, service: Option<&[u8]>) {
    match (port, service) {
        (0, _) => out.push(b'*'),
        (_, Some(name)) => put_name(out, name),
        (port, None) => put_i64(out, port),
    }
}

/// Appends the address of an endpoint: by name with `-r`, IPv6 in brackets, and the IPv6
/// wildcard as `*` unless the socket accepts only IPv6.
#[inline]
fn put_addr(out: &mut Vec<u8>, row: &Row<'_>, addr: Addr) {
    match addr {
        Addr::V4(octets) if row.names.hosts.is_none() => put_ipv4(out, octets),
        _ => put_any_addr(out, row, addr),
    }
}

#[inline(never)]
fn put_any_addr(out: &mut Vec<u8>, row: &Row<'_>, addr: Addr) {
    if addr == Addr::V6([0; 16]) {
        let v6only = row.socket.family == Family::Inet6
            && row.socket.attrs().and_then(|attrs| attrs.v6only()).is_some_and(|v6only| v6only != 0);
        out.extend_from_slice(if v6only { b"[::]" } else { b"*" });
        return;
    }
    if let Some(name) = row.names.hosts.and_then(|hosts| hosts.host(addr)) {
        put_name(out, name);
        return;
    }
    match addr {
        Addr::V4(octets) => put_ipv4(out, octets),
        Addr::V6(octets) => {
            out.push(b'[');
            put_ipv6(out, octets);
            out.push(b']');
        }
        Addr::Number(number) => put_u64(out, u64::from(number)),
        // An SMC socket that accepts on any address, or that has no remote end.
        Addr::None => out.push(b'*'),
    }
}

/// Appends an address by name if it has one, otherwise without brackets.
pub(super) fn put_bare_addr(out: &mut Vec<u8>, row: &Row<'_>, addr: Addr) {
    match (row.names.hosts.and_then(|hosts| hosts.host(addr)), addr) {
        (Some(name), _) => put_name(out, name),
        (None, Addr::V4(octets)) => put_ipv4(out, octets),
        (None, Addr::V6(octets)) => put_ipv6(out, octets),
        (None, Addr::Number(number)) => put_u64(out, u64::from(number)),
        (None, Addr::None) => {}
    }
}

/// Appends an address without its port, as numbers; appends nothing for [`Addr::None`].
pub fn put_address(out: &mut Vec<u8>, addr: Addr) {
    match addr {
        Addr::V4(octets) => put_ipv4(out, octets),
        Addr::V6(octets) => put_ipv6(out, octets),
        Addr::Number(number) => put_u64(out, u64::from(number)),
        Addr::None => {}
    }
}

#[inline]
fn put_ipv4(out: &mut Vec<u8>, octets: [u8; 4]) {
    // Two halves of at most eight bytes each, combined in registers: a wide load of bytes that
    // were just stored one by one is slow.
    let [a, b, c, d] = octets.map(|octet| OCTETS[usize::from(octet)]);
    let start = u64::from(a.text) | u64::from(b.text) << a.bits;
    let end = u64::from(c.text) | u64::from(d.text) << c.bits;
    let text = u128::from(start) | u128::from(end) << (a.bits + b.bits);
    // The last dot is not part of the address.
    let length = (a.bits + b.bits + c.bits + d.bits) / 8 - 1;
    put_start(out, text.to_le_bytes(), length as usize);
}

/// An octet as text, followed by a dot.
#[derive(Clone, Copy)]
struct Octet {
    /// The text, its first byte in the lowest bits.
    text: u32,
    /// The length of the text in bits.
    bits: u32,
}

static OCTETS: [Octet; 256] = {
    let mut table = [Octet { text: 0, bits: 0 }; 256];
    let mut octet = 0;
    while octet < 256 {
        let digits = [b'0' + (octet / 100) as u8, b'0' + (octet / 10 % 10) as u8, b'0' + (octet % 10) as u8];
        let (text, length) = match octet {
            0..10 => ([digits[2], b'.', 0, 0], 2),
            10..100 => ([digits[1], digits[2], b'.', 0], 3),
            _ => ([digits[0], digits[1], digits[2], b'.'], 4),
        };
        table[octet] = Octet { text: u32::from_le_bytes(text), bits: 8 * length };
        octet += 1;
    }
    table
};

/// Formats like inet_ntop(3): the longest run of at least two zero words becomes `::`, and the
/// last 32 bits after `::` or `::ffff` are dotted.
fn put_ipv6(out: &mut Vec<u8>, octets: [u8; 16]) {
    let mut words = [0_u16; 8];
    for (word, pair) in words.iter_mut().zip(octets.chunks_exact(2)) {
        *word = pair.iter().fold(0, |w, b| w << 8 | u16::from(*b));
    }
    let (mut start, mut len) = (8, 1);
    let mut at = 0;
    while at < 8 {
        let run = words.iter().skip(at).take_while(|w| **w == 0).count();
        if run > len {
            (start, len) = (at, run);
        }
        at += run.max(1);
    }
    let mut at = 0;
    for (index, word) in words.into_iter().enumerate() {
        if index < at {
            continue;
        }
        if index == start {
            out.extend_from_slice(b"::");
            at = start + len;
            continue;
        }
        if index > 0 && index != start + len {
            out.push(b':');
        }
        if index == 6 && start == 0 && (len == 6 || (len == 5 && words[5] == 0xffff)) {
            put_ipv4(out, [octets[12], octets[13], octets[14], octets[15]]);
            return;
        }
        put_hex(out, u64::from(word));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    #[test]
    fn ipv6_is_inet_ntop() {
        for (address, want) in [
            ("::", "::"),
            ("::1", "::1"),
            ("1::", "1::"),
            ("fe80::1", "fe80::1"),
            ("2001:db8:0:1:0:0:0:1", "2001:db8:0:1::1"),
            ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
            ("1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"),
            ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
            ("::1.2.3.4", "::1.2.3.4"),
            ("::1:2", "::0.1.0.2"),
            ("::ffff:0:1", "::ffff:0.0.0.1"),
            ("64:ff9b::102:304", "64:ff9b::102:304"),
            ("0:0:0:0:ffff:0:1:2", "::ffff:0:1:2"),
            ("1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"),
        ] {
            let mut out = Vec::new();
            put_ipv6(&mut out, address.parse::<Ipv6Addr>().unwrap().octets());
            assert_eq!(String::from_utf8(out).unwrap(), want);
        }
    }

    #[test]
    fn octets_are_decimal() {
        for octet in 0..=255 {
            let mut out = Vec::new();
            put_ipv4(&mut out, [octet, 0, octet, 255]);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{octet}.0.{octet}.255"));
        }
    }

    #[test]
    fn queues_are_signed_and_padded() {
        for (amount, want) in
            [(0, "0     "), (9, "9     "), (10, "10    "), (u32::MAX, "-1    "), (1_234_567, "1234567")]
        {
            let mut out = Vec::new();
            put_queue(&mut out, amount);
            assert_eq!(out, want.as_bytes());
        }
    }
}
