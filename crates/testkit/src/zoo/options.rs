//! TCP with options that `ss` shows: marks, priorities, congestion control, keys, owners.
//! Ports 5300 to 5399, and 5400 to 5499 for congestion controls.

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]

use std::fs;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, sockopt};
use rustix::process::Uid;
use rustix::thread::set_thread_res_uid;

use super::make::{
    Kind, Maker, Pair, accept, address, bind, client_of, connect, listen, pair, pair_from, raw, send, set,
    set_bytes, tcp,
};
use crate::{Doing, Why};

const SOCKET: i32 = libc::SOL_SOCKET;
const IP: i32 = libc::IPPROTO_IP;
const TCP: i32 = libc::IPPROTO_TCP;

/// The kinds of this file.
pub(super) const KINDS: &[Kind] = &[
    Kind { name: "tcp-mark", doc: "SO_MARK on client and listener.", make: mark },
    Kind { name: "tcp-tos", doc: "IP_TOS and SO_PRIORITY.", make: tos },
    Kind { name: "tcp-tclass", doc: "IPV6_TCLASS and SO_PRIORITY.", make: tclass },
    Kind { name: "tcp-pacing", doc: "SO_MAX_PACING_RATE, 32 and 64 bits wide.", make: pacing },
    Kind { name: "tcp-cc", doc: "Each congestion control, having carried data.", make: congestion },
    Kind { name: "tcp-md5", doc: "TCP_MD5SIG over IPv4: a host, a prefix, odd bytes.", make: md5 },
    Kind { name: "tcp-md5-6", doc: "TCP_MD5SIG over IPv6.", make: md5_v6 },
    Kind { name: "tcp-owner", doc: "A connection that user 1000 made.", make: owner },
    Kind { name: "tcp-sockopt-on", doc: "Every flag of --inet-sockopt that can be set.", make: sockopt_on },
    Kind {
        name: "tcp-sockopt-off",
        doc: "Every flag of --inet-sockopt that can be cleared.",
        make: sockopt_off,
    },
    Kind { name: "raw-icmp", doc: "Raw socket of ICMP, connected.", make: raw_icmp },
    Kind {
        name: "raw-icmp6",
        doc: "Raw socket of ICMPv6.",
        make: |m| m.keep(raw(AddressFamily::INET6, 58)?),
    },
    Kind { name: "raw-gre", doc: "Raw socket of GRE with nodefrag and hdrincl.", make: raw_gre },
];

fn mark(m: &mut Maker) -> Result<(), Why> {
    let pair = pair("127.0.0.1:5301")?;
    set(&pair.listener, "SO_MARK", (SOCKET, libc::SO_MARK), 0x1234)?;
    // As an unsigned number this is 0xfffffffe.
    set(&pair.client, "SO_MARK", (SOCKET, libc::SO_MARK), -2)?;
    m.keep_pair(pair)
}

fn tos(m: &mut Maker) -> Result<(), Why> {
    let pair = pair("127.0.0.1:5302")?;
    set(&pair.client, "IP_TOS", (IP, libc::IP_TOS), 0x10)?;
    set(&pair.client, "SO_PRIORITY", (SOCKET, libc::SO_PRIORITY), 6)?;
    set(&pair.server, "IP_TOS", (IP, libc::IP_TOS), 0x88)?;
    m.keep_pair(pair)
}

fn tclass(m: &mut Maker) -> Result<(), Why> {
    let pair = pair("[::1]:5303")?;
    set(&pair.client, "IPV6_TCLASS", (libc::IPPROTO_IPV6, libc::IPV6_TCLASS), 0x28)?;
    set(&pair.client, "SO_PRIORITY", (SOCKET, libc::SO_PRIORITY), 3)?;
    m.keep_pair(pair)
}

fn pacing(m: &mut Maker) -> Result<(), Why> {
    let pair = pair("127.0.0.1:5304")?;
    let option = (SOCKET, libc::SO_MAX_PACING_RATE);
    set(&pair.client, "SO_MAX_PACING_RATE", option, 1_250_000)?;
    set_bytes(&pair.server, "SO_MAX_PACING_RATE", option, &12_500_000_000_u64.to_ne_bytes())?;
    m.keep_pair(pair)
}

/// Sends bytes through a connection and reads them all.
fn transfer(from: &OwnedFd, to: &OwnedFd, count: usize) -> Result<(), Why> {
    let mut buffer = vec![0; 16384];
    let mut left = count;
    while left > 0 {
        let part = left.min(buffer.len());
        send(from, part)?;
        let mut unread = part;
        while unread > 0 {
            match rustix::io::read(to, &mut buffer).doing("receiving")? {
                0 => return Err(Why::new("a connection ended early")),
                got => unread = unread.saturating_sub(got),
            }
        }
        left -= part;
    }
    Ok(())
}

/// `ss` prints special tokens for some of these, so missing ones are reported.
fn congestion(m: &mut Maker) -> Result<(), Why> {
    let list = fs::read_to_string("/proc/sys/net/ipv4/tcp_available_congestion_control")
        .doing("reading the list of congestion controls")?;
    let names: Vec<_> = list.split_whitespace().collect();
    for (port, name) in (5401..5500).zip(&names) {
        let at = address(&format!("127.0.0.1:{port}"))?;
        let (server, client) = (tcp(at)?, tcp(at)?);
        for fd in [&server, &client] {
            sockopt::set_tcp_congestion(fd, name).doing(format_args!("congestion control {name}"))?;
        }
        listen(&server, at, 5)?;
        let pair = pair_from(server, client, at)?;
        transfer(&pair.client, &pair.server, 300_000)?;
        m.keep_pair(pair)?;
    }
    for name in ["bbr", "dctcp", "vegas"] {
        if !names.contains(&name) {
            let reason = format!("not in tcp_available_congestion_control ({})", names.join(" "));
            m.absent.push((format!("tcp-cc-{name}"), reason));
        }
    }
    Ok(())
}

/// `struct tcp_md5sig` of linux/tcp.h: address of 128 bytes, flags, prefix
/// length, key length, device, key of 80 bytes.
fn key(fd: &OwnedFd, peer: &str, prefix: Option<u8>, secret: &[u8]) -> Result<(), Why> {
    let peer: std::net::IpAddr = peer.parse().doing(peer)?;
    let mut bytes = Vec::with_capacity(216);
    match peer {
        std::net::IpAddr::V4(v4) => {
            bytes.extend_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
            bytes.extend_from_slice(&[0; 2]);
            bytes.extend_from_slice(&v4.octets());
        }
        std::net::IpAddr::V6(v6) => {
            bytes.extend_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
            bytes.extend_from_slice(&[0; 6]);
            bytes.extend_from_slice(&v6.octets());
        }
    }
    bytes.resize(128, 0);
    // TCP_MD5SIG_FLAG_PREFIX is 1.
    bytes.extend_from_slice(&[u8::from(prefix.is_some()), prefix.unwrap_or(0)]);
    bytes.extend_from_slice(&(secret.len() as u16).to_ne_bytes());
    bytes.extend_from_slice(&0_i32.to_ne_bytes());
    bytes.extend_from_slice(secret);
    bytes.resize(216, 0);
    const TCP_MD5SIG_EXT: i32 = 32;
    let option = if prefix.is_some() { TCP_MD5SIG_EXT } else { libc::TCP_MD5SIG };
    set_bytes(fd, "TCP_MD5SIG", (TCP, option), &bytes)
}

fn signed(m: &mut Maker, at: &str, host: &str, net: (&str, u8)) -> Result<(), Why> {
    let at = address(at)?;
    let (server, client) = (tcp(at)?, tcp(at)?);
    let secret = b"a key\\x";
    key(&server, host, None, secret)?;
    key(&server, net.0, Some(net.1), b"\x01\x7f\xff,")?;
    key(&client, host, None, secret)?;
    listen(&server, at, 5)?;
    let pair = pair_from(server, client, at)?;
    m.keep_pair(pair)
}

fn md5(m: &mut Maker) -> Result<(), Why> {
    signed(m, "127.0.0.1:5306", "127.0.0.1", ("10.1.0.0", 16))
}

fn md5_v6(m: &mut Maker) -> Result<(), Why> {
    signed(m, "[::1]:5307", "::1", ("2001:db8::", 32))
}

/// A socket belongs to the user who made it, an accepted one to the user who accepted it.
fn owner(m: &mut Maker) -> Result<(), Why> {
    let at = address("127.0.0.1:5308")?;
    let become_user = |uid| set_thread_res_uid(None, Uid::from_raw(uid), None);
    become_user(1000).doing("becoming user 1000")?;
    let made = tcp(at).and_then(|server| Ok((server, tcp(at)?)));
    become_user(0).doing("becoming root again")?;
    let (server, client) = made?;
    listen(&server, at, 5)?;
    m.keep_pair(pair_from(server, client, at)?)
}

fn sockopt_on(m: &mut Maker) -> Result<(), Why> {
    let at = address("127.0.0.1:5309")?;
    let (server, client) = (tcp(at)?, tcp(at)?);
    for (name, option) in [
        ("IP_RECVERR", libc::IP_RECVERR),
        ("IP_FREEBIND", libc::IP_FREEBIND),
        ("IP_TRANSPARENT", libc::IP_TRANSPARENT),
        ("IP_BIND_ADDRESS_NO_PORT", libc::IP_BIND_ADDRESS_NO_PORT),
        // linux/in.h
        ("IP_RECVERR_RFC4884", 26),
    ] {
        for fd in [&server, &client] {
            set(fd, name, (IP, option), 1)?;
        }
    }
    listen(&server, at, 5)?;
    // IP_BIND_ADDRESS_NO_PORT still binds a port that is given explicitly.
    bind(&client, client_of(at))?;
    connect(&client, at)?;
    let accepted = accept(&server)?;
    m.keep_pair(Pair { listener: server, client, server: accepted })
}

fn sockopt_off(m: &mut Maker) -> Result<(), Why> {
    let pair = pair("127.0.0.1:5310")?;
    for fd in [&pair.client, &pair.server] {
        set(fd, "IP_MULTICAST_LOOP", (IP, libc::IP_MULTICAST_LOOP), 0)?;
        set(fd, "IP_MULTICAST_ALL", (IP, libc::IP_MULTICAST_ALL), 0)?;
    }
    m.keep_pair(pair)
}

fn raw_icmp(m: &mut Maker) -> Result<(), Why> {
    let fd = raw(AddressFamily::INET, 1)?;
    connect(&fd, address("127.0.0.2:0")?)?;
    m.keep(fd)
}

fn raw_gre(m: &mut Maker) -> Result<(), Why> {
    let fd = raw(AddressFamily::INET, 47)?;
    set(&fd, "IP_NODEFRAG", (IP, libc::IP_NODEFRAG), 1)?;
    set(&fd, "IP_HDRINCL", (IP, libc::IP_HDRINCL), 1)?;
    m.keep(fd)
}
