//! Packet sockets: types, protocols, options, rings, groups, filters.
//!
//! The link-layer address to bind to is learnt from a packet sent through the loopback
//! interface, which is the only traffic there.  Only root of the namespace may make packet
//! sockets.  They have no IP address, so the zoo prints `-`.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "small, known numbers; each cast is meant"
)]

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::net::{
    self, AddressFamily, Protocol, RecvFlags, SendFlags, SocketAddrAny, SocketFlags, SocketType, eth,
};

use super::make::{Kind, Maker, address, deafen, set, set_bytes, udp};
use crate::{Doing, Why};

/// The kinds of this file.
pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "packet-raw",
        doc: "Every packet with its header, until a filter; no packet and a filter.",
        make: raw,
    },
    Kind { name: "packet-dgram", doc: "Packets of one protocol each, without header.", make: dgram },
    Kind { name: "packet-none", doc: "No packets at all.", make: none },
    Kind { name: "packet-bound", doc: "IP packets of lo.", make: bound },
    Kind { name: "packet-options", doc: "Every option that is reported.", make: options },
    Kind { name: "packet-rings", doc: "Rings of two versions, both ways.", make: rings },
    Kind { name: "packet-fanout", doc: "Groups of every type that needs no program.", make: fanout },
];

/// `SOL_PACKET`
const PACKET: i32 = libc::SOL_PACKET;

fn socket(kind: SocketType, protocol: Option<Protocol>) -> Result<OwnedFd, Why> {
    net::socket_with(AddressFamily::PACKET, kind, SocketFlags::CLOEXEC, protocol)
        .doing("making a packet socket")
}

fn keep(m: &mut Maker, fd: OwnedFd) {
    m.keep_as(fd, "-", "-");
}

/// The address of lo for IP packets.
fn lo() -> Result<SocketAddrAny, Why> {
    let watcher = socket(SocketType::DGRAM, Some(eth::IP))?;
    let to: SocketAddr = address("127.0.0.1:9")?;
    net::sendto(udp(to)?, b"here", SendFlags::empty(), &to).doing("sending to lo")?;
    let mut buffer = [0_u8; 64];
    let (_, _, from) = net::recvfrom(&watcher, &mut buffer[..], RecvFlags::empty()).doing("watching lo")?;
    from.ok_or_else(|| Why::new("a packet from nowhere"))
}

fn on_lo(kind: SocketType) -> Result<OwnedFd, Why> {
    let fd = socket(kind, None)?;
    net::bind(&fd, &lo()?).doing("binding to lo")?;
    Ok(fd)
}

/// A socket that received one exchange over lo and is deaf from then on, because interfaces
/// that come up send packets of their own.
fn heard(kind: SocketType, protocol: Protocol) -> Result<OwnedFd, Why> {
    let fd = socket(kind, Some(protocol))?;
    lo()?;
    deafen(&fd)?;
    Ok(fd)
}

fn raw(m: &mut Maker) -> Result<(), Why> {
    keep(m, heard(SocketType::RAW, eth::ALL)?);
    let deaf = socket(SocketType::RAW, None)?;
    deafen(&deaf)?;
    keep(m, deaf);
    Ok(())
}

fn dgram(m: &mut Maker) -> Result<(), Why> {
    for protocol in [eth::ALL, eth::IP, eth::IPV6] {
        keep(m, heard(SocketType::DGRAM, protocol)?);
    }
    for protocol in [eth::ARP, eth::LLDP, eth::P_8021Q, eth::MPLS_UC, eth::CAN, eth::TDLS] {
        keep(m, socket(SocketType::DGRAM, Some(protocol))?);
    }
    Ok(())
}

fn none(m: &mut Maker) -> Result<(), Why> {
    for kind in [SocketType::RAW, SocketType::DGRAM] {
        keep(m, socket(kind, None)?);
    }
    Ok(())
}

fn bound(m: &mut Maker) -> Result<(), Why> {
    for kind in [SocketType::RAW, SocketType::DGRAM] {
        keep(m, on_lo(kind)?);
    }
    Ok(())
}

fn options(m: &mut Maker) -> Result<(), Why> {
    for (name, option, value) in [
        ("PACKET_AUXDATA", libc::PACKET_AUXDATA, 1),
        ("PACKET_ORIGDEV", libc::PACKET_ORIGDEV, 1),
        ("PACKET_VNET_HDR", libc::PACKET_VNET_HDR, 1),
        ("PACKET_LOSS", libc::PACKET_LOSS, 1),
        ("PACKET_COPY_THRESH", libc::PACKET_COPY_THRESH, 100),
        ("PACKET_VERSION", libc::PACKET_VERSION, 1),
    ] {
        // One bound, and thereby running, and one not.
        for fd in [on_lo(SocketType::RAW)?, socket(SocketType::RAW, None)?] {
            set(&fd, name, (PACKET, option), value)?;
            keep(m, fd);
        }
    }
    Ok(())
}

fn rings(m: &mut Maker) -> Result<(), Why> {
    // struct tpacket_req3: block_size, block_nr, frame_size, frame_nr, retire_blk_tov,
    // sizeof_priv, feature_req_word; version 1 has the first four.
    let request = [4096_u32, 2, 2048, 4, 60, 8, 1].map(u32::to_ne_bytes).concat();
    for (version, lengths) in [(0, 16), (2, 28)] {
        let fd = on_lo(SocketType::RAW)?;
        set(&fd, "PACKET_VERSION", (PACKET, libc::PACKET_VERSION), version)?;
        set_bytes(&fd, "PACKET_RX_RING", (PACKET, libc::PACKET_RX_RING), &request[..lengths])?;
        if version == 0 {
            set_bytes(&fd, "PACKET_TX_RING", (PACKET, libc::PACKET_TX_RING), &request[..lengths])?;
        }
        keep(m, fd);
    }
    Ok(())
}

fn fanout(m: &mut Maker) -> Result<(), Why> {
    // hash, lb, cpu, rollover, random, queue mapping; the last two with flags.
    for (id, kind) in [0, 1, 2, 3, 4, 5, 0x1000, 0x8001].into_iter().enumerate() {
        for _ in 0..2 {
            let fd = on_lo(SocketType::RAW)?;
            set(&fd, "PACKET_FANOUT", (PACKET, libc::PACKET_FANOUT), kind << 16 | (70 + id as i32))?;
            keep(m, fd);
        }
    }
    Ok(())
}
