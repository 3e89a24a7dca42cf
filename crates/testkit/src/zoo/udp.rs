//! UDP.  Ports 6000 to 6099.

use std::net::Ipv4Addr;

use rustix::net::{self, AddressFamily, SendFlags, Shutdown, SocketType, ipproto, sockopt};

use super::make::{Kind, Maker, address, bind, client_of, connect, send, set, to_device, udp};
use crate::{Doing, Why};

/// The kinds of this file.
pub(super) const KINDS: &[Kind] = &[
    Kind { name: "udp-unconnected", doc: "Bound to 127.0.0.1.", make: |m| bound(m, "127.0.0.1:6001") },
    Kind { name: "udp-any", doc: "Bound to 0.0.0.0.", make: |m| bound(m, "0.0.0.0:6002") },
    Kind { name: "udp-connected", doc: "Bound and connected.", make: |m| connected(m, "127.0.0.1:6003") },
    Kind { name: "udp6", doc: "Bound to ::, both families.", make: |m| v6only(m, "[::]:6004", false) },
    Kind { name: "udp6-v6only", doc: "Bound to ::, IPv6 alone.", make: |m| v6only(m, "[::]:6005", true) },
    Kind {
        name: "udp6-connected",
        doc: "Bound and connected over IPv6.",
        make: |m| connected(m, "[::1]:6006"),
    },
    Kind {
        name: "udp-linklocal",
        doc: "Bound to fe80::1 of device 100.",
        make: |m| bound(m, "[fe80::1%100]:6007"),
    },
    Kind { name: "udp-queued", doc: "Datagrams that nobody reads, 5 of them.", make: queued },
    Kind { name: "udp-drops", doc: "A queue too small for what came.", make: drops },
    Kind { name: "udp-multicast", doc: "Bound to a group and joined it on lo.", make: multicast },
    Kind { name: "udp-device", doc: "Bound to lo and marked.", make: device },
    Kind { name: "udp-shutdown", doc: "Connected, both halves closed.", make: shutdown },
    Kind {
        name: "udp-sockopt",
        doc: "recverr, freebind and more; no mc_loop, no mc_all.",
        make: sockopt_flags,
    },
    Kind { name: "udp-ports", doc: "Bound to ports 53 and 123.", make: ports },
];

/// UDP-Lite: the reference has no table for it, and Linux removed it in 7.1.
pub(super) const ON_REQUEST: &[Kind] = &[
    Kind {
        name: "udplite",
        doc: "UDP-Lite, bound to 127.0.0.1.",
        make: |m| lite(m, "127.0.0.1:6091", false),
    },
    Kind { name: "udplite6", doc: "UDP-Lite over IPv6, connected.", make: |m| lite(m, "[::1]:6092", true) },
];

fn lite(m: &mut Maker, at: &str, connected: bool) -> Result<(), Why> {
    let at = address(at)?;
    let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let fd =
        net::socket(family, SocketType::DGRAM, Some(ipproto::UDPLITE)).doing("opening a UDP-Lite socket")?;
    bind(&fd, at)?;
    if connected {
        connect(&fd, client_of(at))?;
    }
    m.keep(fd)
}

fn bound(m: &mut Maker, at: &str) -> Result<(), Why> {
    let at = address(at)?;
    let fd = udp(at)?;
    bind(&fd, at)?;
    m.keep(fd)
}

fn connected(m: &mut Maker, to: &str) -> Result<(), Why> {
    let to = address(to)?;
    let fd = udp(to)?;
    bind(&fd, client_of(to))?;
    connect(&fd, to)?;
    m.keep(fd)
}

fn v6only(m: &mut Maker, at: &str, only: bool) -> Result<(), Why> {
    let at = address(at)?;
    let fd = udp(at)?;
    sockopt::set_ipv6_v6only(&fd, only).doing("IPV6_V6ONLY")?;
    bind(&fd, at)?;
    m.keep(fd)
}

/// Sends this many datagrams to a socket that does not read.
fn unread(m: &mut Maker, at: &str, buffer: Option<i32>, count: u32) -> Result<(), Why> {
    let at = address(at)?;
    let (receiver, sender) = (udp(at)?, udp(at)?);
    if let Some(size) = buffer {
        set(&receiver, "SO_RCVBUF", (libc::SOL_SOCKET, libc::SO_RCVBUF), size)?;
    }
    bind(&receiver, at)?;
    bind(&sender, client_of(at))?;
    connect(&sender, at)?;
    for _ in 0..count {
        send(&sender, 1000)?;
    }
    m.keep(receiver)?;
    m.keep(sender)
}

fn queued(m: &mut Maker) -> Result<(), Why> {
    unread(m, "127.0.0.1:6008", None, 5)
}

fn drops(m: &mut Maker) -> Result<(), Why> {
    unread(m, "127.0.0.1:6009", Some(2048), 20)
}

fn multicast(m: &mut Maker) -> Result<(), Why> {
    let group = Ipv4Addr::new(224, 0, 0, 251);
    let at = address("224.0.0.251:6010")?;
    let fd = udp(at)?;
    bind(&fd, at)?;
    sockopt::set_ip_add_membership(&fd, &group, &Ipv4Addr::LOCALHOST).doing("IP_ADD_MEMBERSHIP")?;
    m.keep(fd)
}

fn device(m: &mut Maker) -> Result<(), Why> {
    for at in ["0.0.0.0:6011", "[::]:6012"] {
        let at = address(at)?;
        let fd = udp(at)?;
        to_device(&fd, "lo")?;
        set(&fd, "SO_MARK", (libc::SOL_SOCKET, libc::SO_MARK), 77)?;
        bind(&fd, at)?;
        m.keep(fd)?;
    }
    Ok(())
}

fn shutdown(m: &mut Maker) -> Result<(), Why> {
    let to = address("127.0.0.1:6013")?;
    let fd = udp(to)?;
    bind(&fd, client_of(to))?;
    connect(&fd, to)?;
    net::send(&fd, b"x", SendFlags::NOSIGNAL).doing("sending")?;
    net::shutdown(&fd, Shutdown::Both).doing("shutdown")?;
    m.keep(fd)
}

fn sockopt_flags(m: &mut Maker) -> Result<(), Why> {
    let at = address("127.0.0.1:6014")?;
    let fd = udp(at)?;
    for (name, option, value) in [
        ("IP_RECVERR", libc::IP_RECVERR, 1),
        ("IP_FREEBIND", libc::IP_FREEBIND, 1),
        ("IP_TRANSPARENT", libc::IP_TRANSPARENT, 1),
        ("IP_BIND_ADDRESS_NO_PORT", libc::IP_BIND_ADDRESS_NO_PORT, 1),
        ("IP_RECVERR_RFC4884", 26, 1),
        ("IP_MULTICAST_LOOP", libc::IP_MULTICAST_LOOP, 0),
        ("IP_MULTICAST_ALL", libc::IP_MULTICAST_ALL, 0),
    ] {
        set(&fd, name, (libc::IPPROTO_IP, option), value)?;
    }
    bind(&fd, at)?;
    m.keep(fd)
}

fn ports(m: &mut Maker) -> Result<(), Why> {
    bound(m, "127.0.0.1:53")?;
    bound(m, "127.0.0.1:123")
}
