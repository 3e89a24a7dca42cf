//! MPTCP.  Ports 7100 to 7199.
//!
//! The first subflow of each connection is listed as a TCP socket too, so these kinds are made
//! only by name.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::net::{self, AddressFamily, Shutdown, SocketFlags, SocketType, ipproto, sockopt};

use super::make::{
    Kind, Maker, Pair, address, bind, client_of, connect, listen, pair_from, send, set, tcp, to_device,
};
use crate::{Doing, Why};

/// The kinds of this file.
pub(super) const KINDS: &[Kind] = &[
    Kind { name: "mptcp-established", doc: "Connected, 100 bytes unread.", make: established },
    Kind {
        name: "mptcp-established6",
        doc: "Connected over IPv6.",
        make: |m| m.keep_pair(pair("[::1]:7102")?),
    },
    Kind {
        name: "mptcp-listen6",
        doc: "Listens at ::, both families.",
        make: |m| any6(m, "[::]:7103", false),
    },
    Kind {
        name: "mptcp-listen6-v6only",
        doc: "Listens at ::, IPv6 alone.",
        make: |m| any6(m, "[::]:7104", true),
    },
    Kind { name: "mptcp-fallback", doc: "A listener that a TCP socket connected to.", make: fallback },
    Kind { name: "mptcp-bound", doc: "Bound, nothing else.", make: bound },
    Kind { name: "mptcp-pending", doc: "A connection that waits to be accepted.", make: pending },
    Kind { name: "mptcp-shutdown", doc: "One end was closed for sending.", make: shutdown },
    Kind { name: "mptcp-device", doc: "Listens on lo, marked 7.", make: device },
    Kind { name: "mptcp-services", doc: "Connected to the ports 443 and 53.", make: services },
];

fn mptcp(at: SocketAddr) -> Result<OwnedFd, Why> {
    let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let fd = net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, Some(ipproto::MPTCP))
        .doing("making an MPTCP socket")?;
    sockopt::set_socket_reuseaddr(&fd, true).doing("SO_REUSEADDR")?;
    Ok(fd)
}

fn pair(at: &str) -> Result<Pair, Why> {
    let at = address(at)?;
    let (server, client) = (mptcp(at)?, mptcp(at)?);
    listen(&server, at, 16)?;
    pair_from(server, client, at)
}

fn established(m: &mut Maker) -> Result<(), Why> {
    let pair = pair("127.0.0.1:7101")?;
    send(&pair.client, 100)?;
    m.keep_pair(pair)
}

fn any6(m: &mut Maker, at: &str, only: bool) -> Result<(), Why> {
    let at = address(at)?;
    let fd = mptcp(at)?;
    sockopt::set_ipv6_v6only(&fd, only).doing("IPV6_V6ONLY")?;
    listen(&fd, at, 3)?;
    m.keep(fd)
}

fn fallback(m: &mut Maker) -> Result<(), Why> {
    let at = address("127.0.0.1:7105")?;
    let (listener, client) = (mptcp(at)?, tcp(at)?);
    listen(&listener, at, 16)?;
    m.keep_pair(pair_from(listener, client, at)?)
}

fn bound(m: &mut Maker) -> Result<(), Why> {
    let at = address("127.0.0.1:7106")?;
    let fd = mptcp(at)?;
    bind(&fd, at)?;
    m.keep(fd)
}

fn pending(m: &mut Maker) -> Result<(), Why> {
    let at = address("127.0.0.1:7107")?;
    let (listener, client) = (mptcp(at)?, mptcp(at)?);
    listen(&listener, at, 16)?;
    bind(&client, client_of(at))?;
    connect(&client, at)?;
    m.keep(listener)?;
    m.keep(client)
}

fn shutdown(m: &mut Maker) -> Result<(), Why> {
    let pair = pair("127.0.0.1:7108")?;
    net::shutdown(&pair.client, Shutdown::Write).doing("shutdown")?;
    m.keep_pair(pair)
}

fn device(m: &mut Maker) -> Result<(), Why> {
    let at = address("0.0.0.0:7109")?;
    let fd = mptcp(at)?;
    to_device(&fd, "lo")?;
    set(&fd, "SO_MARK", (libc::SOL_SOCKET, libc::SO_MARK), 7)?;
    listen(&fd, at, 1)?;
    m.keep(fd)
}

/// Ports whose service names TCP and another protocol share.
fn services(m: &mut Maker) -> Result<(), Why> {
    m.keep_pair(pair("127.0.0.1:443")?)?;
    m.keep_pair(pair("127.0.0.1:53")?)
}
