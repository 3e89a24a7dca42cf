//! Netlink sockets: port ids, protocols, groups, connections.
//!
//! None of their addresses is an IP address, so the zoo prints `-`.

use std::os::fd::OwnedFd;

use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{self, AddressFamily, Protocol, SendFlags, SocketFlags, SocketType};

use super::make::{Kind, Maker};
use crate::{Doing, Why};

/// The kinds of this file.
pub(super) const KINDS: &[Kind] = &[
    Kind { name: "netlink-unbound", doc: "A socket that was only made.", make: unbound },
    Kind {
        name: "netlink-ports",
        doc: "Port ids: the process's, a chosen one, one that is free.",
        make: ports,
    },
    Kind { name: "netlink-groups", doc: "Groups of routing and uevents.", make: groups },
    Kind { name: "netlink-protocols", doc: "One socket each of several protocols.", make: protocols },
    Kind { name: "netlink-connected", doc: "Connected to the kernel and to a group.", make: connected },
    Kind { name: "netlink-unread", doc: "An answer that nobody reads.", make: unread },
];

fn socket(protocol: Option<Protocol>) -> Result<OwnedFd, Why> {
    net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)
        .doing("making a netlink socket")
}

fn bound(protocol: Option<Protocol>, portid: u32, groups: u32) -> Result<OwnedFd, Why> {
    let fd = socket(protocol)?;
    net::bind(&fd, &SocketAddrNetlink::new(portid, groups)).doing("binding a netlink socket")?;
    Ok(fd)
}

fn keep(m: &mut Maker, fd: OwnedFd) {
    m.keep_as(fd, "-", "-");
}

fn unbound(m: &mut Maker) -> Result<(), Why> {
    keep(m, socket(Some(netlink::USERSOCK))?);
    Ok(())
}

fn ports(m: &mut Maker) -> Result<(), Why> {
    // The second port id that the kernel chooses is negative.
    for portid in [0, 0, 1_000_000_000, u32::MAX - 76] {
        keep(m, bound(Some(netlink::GENERIC), portid, 0)?);
    }
    Ok(())
}

fn groups(m: &mut Maker) -> Result<(), Why> {
    for groups in [0x41, 0x8000_0000, u32::MAX] {
        keep(m, bound(None, 0, groups)?);
    }
    keep(m, bound(Some(netlink::KOBJECT_UEVENT), 0, 1)?);
    Ok(())
}

fn protocols(m: &mut Maker) -> Result<(), Why> {
    for protocol in
        [netlink::AUDIT, netlink::FIB_LOOKUP, netlink::NETFILTER, netlink::CONNECTOR, netlink::XFRM]
    {
        // The module of some protocols may be missing.
        match socket(Some(protocol)) {
            Ok(fd) => {
                net::bind(&fd, &SocketAddrNetlink::new(0, 0)).doing("binding a netlink socket")?;
                keep(m, fd);
            }
            Err(why) => m.absent.push((format!("netlink-{protocol:?}"), why.to_string())),
        }
    }
    Ok(())
}

fn connected(m: &mut Maker) -> Result<(), Why> {
    for (portid, groups) in [(0, 0), (1_000_000_000, 0), (u32::MAX - 76, 0), (0, 1 << 3)] {
        let fd = bound(Some(netlink::USERSOCK), 0, 0)?;
        net::connect(&fd, &SocketAddrNetlink::new(portid, groups)).doing("connecting a netlink socket")?;
        keep(m, fd);
    }
    Ok(())
}

fn unread(m: &mut Maker) -> Result<(), Why> {
    let fd = bound(None, 0, 0)?;
    // The kernel refuses a request of an unknown type, which counts as an answer.
    let mut request = 16_u32.to_ne_bytes().to_vec();
    request.extend([99_u16, 5].map(u16::to_ne_bytes).concat());
    request.extend([7_u32, 0].map(u32::to_ne_bytes).concat());
    net::sendto(&fd, &request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0)).doing("asking")?;
    keep(m, fd);
    Ok(())
}
