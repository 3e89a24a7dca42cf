//! Requests to `NETLINK_ROUTE` that configure a namespace.
//!
//! Each asks for an acknowledgement.  Source: `linux/rtnetlink.h`,
//! `linux/if_link.h`, `linux/if_addr.h`, `linux/veth.h`, `linux/pkt_sched.h`.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small, known numbers; each cast is meant"
)]

use std::net::IpAddr;

use crate::nl;

const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWQDISC: u16 = 36;
/// `NLM_F_REQUEST | NLM_F_ACK`
const CHANGE: u16 = 1 | 4;
/// `CHANGE | NLM_F_EXCL | NLM_F_CREATE`
const CREATE: u16 = CHANGE | 0x200 | 0x400;
const IFLA_IFNAME: u16 = 3;
const IFLA_TXQLEN: u16 = 13;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_PID: u16 = 19;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_F_NODAD: u8 = 2;
const IFF_UP: u32 = 1;
const TC_H_ROOT: u32 = u32::MAX;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_TBF_PARMS: u16 = 1;
const TCA_TBF_BURST: u16 = 6;
const TC_LINKLAYER_ETHERNET: u8 = 1;

/// `struct ifinfomsg`: family, type, index, flags, mask of flags to change.
fn link(index: u32, flags: u32) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend_from_slice(&index.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes
}

fn named(index: u32, name: &str) -> Vec<u8> {
    let mut bytes = link(index, 0);
    nl::attr(&mut bytes, IFLA_IFNAME, &[name.as_bytes(), b"\0"].concat());
    bytes
}

/// Brings a device up.
pub(super) fn up(index: u32) -> Vec<u8> {
    nl::message(RTM_NEWLINK, CHANGE, 1, &link(index, IFF_UP))
}

/// Takes a device down.
pub(super) fn down(index: u32) -> Vec<u8> {
    let mut bytes = link(index, 0);
    // The mask selects IFF_UP, the flags clear it.
    bytes[12..16].copy_from_slice(&IFF_UP.to_ne_bytes());
    nl::message(RTM_NEWLINK, CHANGE, 1, &bytes)
}

/// Renames a device, which must be down on kernels before 6.2.
pub(super) fn rename(index: u32, name: &str) -> Vec<u8> {
    nl::message(RTM_NEWLINK, CHANGE, 1, &named(index, name))
}

/// Sets a device's transmit queue to this many packets.
pub(super) fn queue(index: u32, packets: u32) -> Vec<u8> {
    let mut bytes = link(index, 0);
    nl::attr(&mut bytes, IFLA_TXQLEN, &packets.to_ne_bytes());
    nl::message(RTM_NEWLINK, CHANGE, 1, &bytes)
}

/// Makes a pair of veth devices with these indices and names.
pub(super) fn add_veth(index: u32, name: &str, peer_index: u32, peer_name: &str) -> Vec<u8> {
    let mut data = Vec::new();
    nl::attr(&mut data, VETH_INFO_PEER, &named(peer_index, peer_name));
    add(index, name, "veth", &data)
}

/// Makes a veth pair whose ends have the same index and name; the peer is in the network
/// namespace of a process.
pub(super) fn add_veth_into(index: u32, name: &str, pid: u32) -> Vec<u8> {
    let mut data = Vec::new();
    let mut peer = named(index, name);
    nl::attr(&mut peer, IFLA_NET_NS_PID, &pid.to_ne_bytes());
    nl::attr(&mut data, VETH_INFO_PEER, &peer);
    add(index, name, "veth", &data)
}

/// Makes a dummy device with this index and name.
pub(super) fn add_dummy(index: u32, name: &str) -> Vec<u8> {
    add(index, name, "dummy", &[])
}

fn add(index: u32, name: &str, kind: &str, data: &[u8]) -> Vec<u8> {
    let mut info = Vec::new();
    nl::attr(&mut info, IFLA_INFO_KIND, kind.as_bytes());
    if !data.is_empty() {
        nl::attr(&mut info, IFLA_INFO_DATA, data);
    }
    let mut bytes = named(index, name);
    nl::attr(&mut bytes, IFLA_LINKINFO, &info);
    nl::message(RTM_NEWLINK, CREATE, 1, &bytes)
}

/// Adds an address to a device; an IPv6 address is usable at once.
pub(super) fn add_address(index: u32, address: IpAddr, prefix: u8) -> Vec<u8> {
    let (family, octets) = match address {
        IpAddr::V4(v4) => (libc::AF_INET, v4.octets().to_vec()),
        IpAddr::V6(v6) => (libc::AF_INET6, v6.octets().to_vec()),
    };
    // struct ifaddrmsg: family, prefix length, flags, scope, index.
    let mut bytes = vec![family as u8, prefix, IFA_F_NODAD, 0];
    bytes.extend_from_slice(&index.to_ne_bytes());
    nl::attr(&mut bytes, IFA_LOCAL, &octets);
    nl::attr(&mut bytes, IFA_ADDRESS, &octets);
    nl::message(RTM_NEWADDR, CREATE, 1, &bytes)
}

/// Limits a device to this many bytes a second (`tc qdisc add ... tbf`).
pub(super) fn limit(index: u32, bytes_per_s: u32) -> Vec<u8> {
    /// Bytes that may be sent at once.
    const BURST: u32 = 32 << 10;
    /// Bytes that may wait: large, because TCP counts packets dropped by a full queue as sent.
    const WAITING: u32 = 4 << 20;
    // struct tc_tbf_qopt: rate and peak rate (struct tc_ratespec: cell_log, linklayer,
    // overhead, cell_align, mpu, rate), limit, buffer, mtu.
    let mut parameters = vec![0; 36];
    parameters[1] = TC_LINKLAYER_ETHERNET;
    parameters[8..12].copy_from_slice(&bytes_per_s.to_ne_bytes());
    parameters[24..28].copy_from_slice(&WAITING.to_ne_bytes());
    let mut options = Vec::new();
    nl::attr(&mut options, TCA_TBF_PARMS, &parameters);
    nl::attr(&mut options, TCA_TBF_BURST, &BURST.to_ne_bytes());
    // struct tcmsg: family, index, handle, parent, info.
    let mut bytes = vec![0; 4];
    for number in [index, 0, TC_H_ROOT, 0] {
        bytes.extend_from_slice(&number.to_ne_bytes());
    }
    nl::attr(&mut bytes, TCA_KIND, b"tbf\0");
    nl::attr(&mut bytes, TCA_OPTIONS, &options);
    nl::message(RTM_NEWQDISC, CREATE, 1, &bytes)
}
