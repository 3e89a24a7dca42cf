//! TCP: listeners, established connections, timers.  Ports 5100 to 5199.

use super::make::{
    Kind, Maker, accept, address, bind, client_of, connect, deafen, listen, listener, pair, pair_from, send,
    set, start_connecting, tcp, to_device, would_block,
};
use crate::{Doing, Why};

use rustix::net::{self, SendFlags, sockopt};

/// The kinds of this file.
pub(super) const KINDS: &[Kind] = &[
    Kind { name: "tcp-listen", doc: "Listens on 127.0.0.1, nobody waits.", make: listen_v4 },
    Kind {
        name: "tcp-listen-any",
        doc: "Listens on 0.0.0.0.",
        make: |m| m.keep(listener("0.0.0.0:5102", 9)?),
    },
    Kind { name: "tcp-listen6", doc: "Listens on ::1.", make: |m| m.keep(listener("[::1]:5103", 9)?) },
    Kind {
        name: "tcp-listen-dual",
        doc: "Listens on :: for both families.",
        make: |m| v6only(m, "[::]:5104", false),
    },
    Kind {
        name: "tcp-listen-v6only",
        doc: "Listens on :: for IPv6 alone.",
        make: |m| v6only(m, "[::]:5105", true),
    },
    Kind { name: "tcp-listen-device", doc: "Listens on any address of lo.", make: listen_device },
    Kind { name: "tcp-listen6-device", doc: "Listens on any IPv6 address of lo.", make: listen6_device },
    Kind { name: "tcp-listen-linklocal", doc: "Listens on fe80::1 of device 100.", make: listen_linklocal },
    Kind { name: "tcp-listen-partial", doc: "Listens with 3 of 16 waiting.", make: listen_partial },
    Kind {
        name: "tcp-listen-full",
        doc: "Listens with a full queue; one more in SYN-SENT.",
        make: listen_full,
    },
    Kind { name: "tcp-listen-reuseport", doc: "Two sockets listen on one port.", make: listen_reuseport },
    Kind { name: "tcp-listen-fastopen", doc: "Listens with TCP_FASTOPEN.", make: listen_fastopen },
    Kind {
        name: "tcp-established",
        doc: "Unread data one way, unacknowledged too.",
        make: |m| busy(m, "127.0.0.1:5121"),
    },
    Kind { name: "tcp-established6", doc: "The same over IPv6.", make: |m| busy(m, "[::1]:5122") },
    Kind { name: "tcp-established-mapped", doc: "The same, IPv4 on IPv6 sockets.", make: established_mapped },
    Kind {
        name: "tcp-idle",
        doc: "A connection that carried nothing.",
        make: |m| m.keep_pair(pair("127.0.0.1:5124")?),
    },
    Kind { name: "tcp-keepalive", doc: "Keepalive timers on both ends.", make: keepalive },
    Kind { name: "tcp-persist", doc: "A peer with a closed window.", make: persist },
    Kind { name: "tcp-retransmit", doc: "A peer that acknowledges nothing.", make: retransmit },
    Kind { name: "tcp-ports", doc: "Listens on ports 22, 80 and 443.", make: ports },
    Kind {
        name: "tcp-service",
        doc: "A connection to port 443.",
        make: |m| m.keep_pair(pair("127.0.0.7:443")?),
    },
];

fn listen_v4(m: &mut Maker) -> Result<(), Why> {
    m.keep(listener("127.0.0.1:5101", 128)?)
}

fn v6only(m: &mut Maker, at: &str, only: bool) -> Result<(), Why> {
    let at = address(at)?;
    let fd = tcp(at)?;
    sockopt::set_ipv6_v6only(&fd, only).doing("IPV6_V6ONLY")?;
    listen(&fd, at, 9)?;
    m.keep(fd)
}

fn on_lo(m: &mut Maker, at: &str) -> Result<(), Why> {
    let at = address(at)?;
    let fd = tcp(at)?;
    to_device(&fd, "lo")?;
    listen(&fd, at, 7)?;
    m.keep(fd)
}

fn listen_device(m: &mut Maker) -> Result<(), Why> {
    on_lo(m, "0.0.0.0:5106")
}

fn listen6_device(m: &mut Maker) -> Result<(), Why> {
    on_lo(m, "[::]:5107")
}

fn listen_linklocal(m: &mut Maker) -> Result<(), Why> {
    m.keep(listener("[fe80::1%100]:5108", 7)?)
}

/// Connections that are never accepted; their server ends have no file.
fn waiting(m: &mut Maker, server: &str, count: u16) -> Result<(), Why> {
    let to = address(server)?;
    for index in 0..count {
        let mut from = client_of(to);
        from.set_port(from.port() + 1000 * index);
        let client = tcp(from)?;
        bind(&client, from)?;
        connect(&client, to)?;
        m.keep(client)?;
        m.note(server, &from.to_string());
    }
    Ok(())
}

fn listen_partial(m: &mut Maker) -> Result<(), Why> {
    m.keep(listener("127.0.0.1:5109", 16)?)?;
    waiting(m, "127.0.0.1:5109", 3)
}

/// The kernel queues one connection more than the backlog.
fn listen_full(m: &mut Maker) -> Result<(), Why> {
    m.keep(listener("127.0.0.1:5110", 1)?)?;
    waiting(m, "127.0.0.1:5110", 2)?;
    let from = address("127.0.0.1:20110")?;
    let late = tcp(from)?;
    bind(&late, from)?;
    start_connecting(&late, address("127.0.0.1:5110")?)?;
    m.keep_as(late, "127.0.0.1:20110", "127.0.0.1:5110");
    Ok(())
}

fn listen_reuseport(m: &mut Maker) -> Result<(), Why> {
    let at = address("127.0.0.1:5111")?;
    for _ in 0..2 {
        let fd = tcp(at)?;
        sockopt::set_socket_reuseport(&fd, true).doing("SO_REUSEPORT")?;
        listen(&fd, at, 5)?;
        m.keep(fd)?;
    }
    Ok(())
}

fn listen_fastopen(m: &mut Maker) -> Result<(), Why> {
    let at = address("127.0.0.1:5112")?;
    let fd = tcp(at)?;
    set(&fd, "TCP_FASTOPEN", (libc::IPPROTO_TCP, libc::TCP_FASTOPEN), 5)?;
    set(&fd, "TCP_DEFER_ACCEPT", (libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT), 3)?;
    listen(&fd, at, 5)?;
    m.keep(fd)
}

/// Leaves 3000 bytes unread at the server, then 500 unacknowledged at the client.
fn busy(m: &mut Maker, at: &str) -> Result<(), Why> {
    let pair = pair(at)?;
    send(&pair.client, 3000)?;
    deafen(&pair.server)?;
    send(&pair.client, 500)?;
    m.keep_pair(pair)
}

fn established_mapped(m: &mut Maker) -> Result<(), Why> {
    let (any, at) = (address("[::]:5123")?, address("[::ffff:127.0.0.1]:5123")?);
    let (server, client) = (tcp(any)?, tcp(at)?);
    listen(&server, any, 5)?;
    let pair = pair_from(server, client, at)?;
    send(&pair.client, 3000)?;
    deafen(&pair.server)?;
    send(&pair.client, 500)?;
    m.keep_pair(pair)
}

fn keepalive(m: &mut Maker) -> Result<(), Why> {
    let pair = pair("127.0.0.1:5125")?;
    for (fd, idle) in [(&pair.client, 7000), (&pair.server, 30)] {
        set(fd, "TCP_KEEPIDLE", (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE), idle)?;
        set(fd, "SO_KEEPALIVE", (libc::SOL_SOCKET, libc::SO_KEEPALIVE), 1)?;
    }
    m.keep_pair(pair)
}

/// Fills the window of a receiver that does not read.
fn persist(m: &mut Maker) -> Result<(), Why> {
    let at = address("127.0.0.1:5126")?;
    let server = tcp(at)?;
    set(&server, "SO_RCVBUF", (libc::SOL_SOCKET, libc::SO_RCVBUF), 8192)?;
    listen(&server, at, 5)?;
    let client = tcp(at)?;
    bind(&client, client_of(at))?;
    connect(&client, at)?;
    let accepted = accept(&server)?;
    rustix::io::ioctl_fionbio(&client, true).doing("FIONBIO")?;
    let mut sent = 0_usize;
    while sent < 1 << 26 {
        match net::send(&client, &[b'x'; 4096], SendFlags::NOSIGNAL) {
            Ok(count) => sent += count,
            Err(error) if would_block(error) => break,
            Err(error) => return Err(error).doing("filling a window"),
        }
    }
    m.keep(server)?;
    m.keep(client)?;
    m.keep(accepted)
}

fn retransmit(m: &mut Maker) -> Result<(), Why> {
    let pair = pair("127.0.0.1:5127")?;
    deafen(&pair.server)?;
    send(&pair.client, 100)?;
    m.keep_pair(pair)
}

fn ports(m: &mut Maker) -> Result<(), Why> {
    for at in ["127.0.0.1:22", "127.0.0.1:80", "127.0.0.1:443"] {
        m.keep(listener(at, 5)?)?;
    }
    Ok(())
}
