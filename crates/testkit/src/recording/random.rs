//! Random sockets that a kernel could have sent.
//!
//! Invariant: every attribute has a size that some kernel uses for it, so a reader that checks
//! no lengths still reads only what was sent.  Values cover every magnitude; they are not
//! distributed realistically.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small, known numbers; each cast is meant"
)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fastrand::Rng;

use super::{Msg, append_done, attr};
use crate::nl;

/// Lengths of `struct tcp_info` that kernels have sent.
const TCP_INFO: [usize; 14] = [104, 120, 136, 144, 152, 160, 168, 192, 200, 224, 232, 240, 248, 280];

const SCTP: u8 = 132;

/// A recording of this many sockets, divided at random between the families, each half with
/// its `NLMSG_DONE`.
pub fn random(rng: &mut Rng, rows: usize) -> Vec<u8> {
    let first = rng.usize(0..=rows);
    let mut bytes = Vec::new();
    for (count, v6) in [(first, false), (rows - first, true)] {
        for _ in 0..count {
            bytes.extend_from_slice(&socket(rng, v6).to_bytes());
        }
        append_done(&mut bytes);
    }
    bytes
}

/// A number of any magnitude: 0, 1, small, large, the maximum.
fn number(rng: &mut Rng) -> u32 {
    match rng.u8(0..10) {
        0..=1 => 0,
        2 => 1,
        3..=5 => rng.u32(2..100),
        6 => rng.u32(100..100_000),
        7..=8 => rng.u32(..),
        _ => u32::MAX,
    }
}

fn wide(rng: &mut Rng) -> u64 {
    match rng.u8(0..6) {
        0 => 0,
        1 => 1,
        2 => u64::from(number(rng)),
        3 => rng.u64(..),
        // Below 2^53, as rates and byte counts are.
        4 => rng.u64(..1 << 53),
        _ => u64::MAX,
    }
}

fn byte(rng: &mut Rng) -> u8 {
    *rng.choice(&[0, 1, 2, 3, 0x10, 0x7f, 0x88, 0xff]).unwrap_or(&0)
}

fn port(rng: &mut Rng) -> u16 {
    *rng.choice(&[0, 1, 22, 53, 80, 443, 8080, 32767, 32768, 40000, 60999, 61000, 65535]).unwrap_or(&0)
}

fn address(rng: &mut Rng, v6: bool) -> IpAddr {
    if !v6 {
        return match rng.u8(0..4) {
            0 => Ipv4Addr::UNSPECIFIED.into(),
            1 => Ipv4Addr::LOCALHOST.into(),
            2 => Ipv4Addr::BROADCAST.into(),
            _ => Ipv4Addr::from_bits(rng.u32(..)).into(),
        };
    }
    match rng.u8(0..7) {
        0..=1 => Ipv6Addr::UNSPECIFIED.into(),
        2 => Ipv6Addr::LOCALHOST.into(),
        3 => Ipv4Addr::from_bits(rng.u32(..)).to_ipv6_mapped().into(),
        4 => Ipv6Addr::from_bits(0xfe80 << 112 | rng.u128(..) >> 64).into(),
        // Runs of zeros at random places.
        5 => {
            let mut groups = [0; 8];
            groups.fill_with(|| if rng.bool() { 0 } else { rng.u16(..) });
            Ipv6Addr::from(groups).into()
        }
        _ => Ipv6Addr::from_bits(rng.u128(..)).into(),
    }
}

fn socket(rng: &mut Rng, v6: bool) -> Msg {
    let mut msg = if v6 { Msg::v6() } else { Msg::v4() };
    msg.state = rng.u8(1..=12);
    msg.timer = if rng.bool() { 0 } else { rng.u8(1..=6) };
    msg.retrans = byte(rng);
    (msg.sport, msg.dport) = (port(rng), port(rng));
    (msg.src, msg.dst) = (address(rng, v6), address(rng, v6));
    msg.ifindex = *rng.choice(&[0, 0, 0, 1]).unwrap_or(&0);
    msg.cookie = wide(rng);
    let times =
        [0, 1, 9, 500, 999, 1000, 1010, 9999, 10_000, 59_999, 60_000, 61_000, 599_999, 600_000, 7_200_000];
    msg.expires = if rng.u8(0..4) == 0 { number(rng) } else { *rng.choice(&times).unwrap_or(&0) };
    (msg.rqueue, msg.wqueue) = (number(rng), number(rng));
    (msg.uid, msg.inode) = (number(rng), number(rng));
    // Mostly TCP; SCTP has a layout of its own.
    let protocol = *rng.choice(&[6, 6, 6, 6, SCTP, 17, 33, 58, 0, 255]).unwrap_or(&6);
    // Kernels send some attributes for every socket, others only on request.
    let density = rng.u8(1..=10);
    for kind in attr::MEMINFO..=attr::SOCKOPT {
        if rng.u8(0..10) < density {
            let mut payload = if kind == attr::PROTOCOL { vec![protocol] } else { payload(rng, kind, v6) };
            if kind == attr::INFO && protocol == SCTP {
                // `sctpi_state`: the reference indexes its table of names with it, unchecked.
                let state = u32::from(rng.u8(0..=7)).to_ne_bytes();
                payload.iter_mut().skip(4).zip(state).for_each(|(old, new)| *old = new);
            }
            msg.attrs.push((kind, payload));
        }
    }
    if rng.u8(0..8) == 0 {
        rng.shuffle(&mut msg.attrs);
    }
    msg
}

fn words(rng: &mut Rng, count: usize) -> Vec<u8> {
    (0..count).flat_map(|_| number(rng).to_ne_bytes()).collect()
}

fn payload(rng: &mut Rng, kind: u16, v6: bool) -> Vec<u8> {
    match kind {
        attr::MEMINFO | attr::VEGASINFO => words(rng, 4),
        attr::INFO => info(rng),
        attr::CONG => {
            let names = ["cubic", "reno", "bbr", "dctcp", "vegas", "a_name_of_16_chr", ""];
            let mut name = rng.choice(&names).map_or(Vec::new(), |name| name.as_bytes().to_vec());
            name.push(0);
            name
        }
        attr::SKMEMINFO => {
            let count = rng.usize(7..=9);
            words(rng, count)
        }
        attr::SHUTDOWN => vec![rng.u8(0..=3)],
        attr::DCTCPINFO => {
            let mut bytes = [u16::from(rng.bool()), rng.u16(..2)].map(u16::to_ne_bytes).concat();
            bytes.extend(words(rng, 3));
            bytes
        }
        attr::SKV6ONLY => vec![u8::from(v6 && rng.bool())],
        attr::LOCALS | attr::PEERS => {
            let count = rng.usize(1..=3);
            (0..count).flat_map(|_| storage(rng)).collect()
        }
        attr::PAD => Vec::new(),
        attr::MARK | attr::CLASS_ID => number(rng).to_ne_bytes().to_vec(),
        attr::BBRINFO => words(rng, 5),
        attr::MD5SIG => {
            let count = rng.usize(1..=3);
            (0..count).flat_map(|_| md5sig(rng)).collect()
        }
        attr::ULP_INFO => ulp(rng),
        attr::SK_BPF_STORAGES => storages(rng),
        attr::CGROUP_ID => rng.choice(&[1_u64, 1, 0xffff_ffff_0000]).unwrap_or(&1).to_ne_bytes().to_vec(),
        attr::SOCKOPT => vec![rng.u8(..), rng.u8(..)],
        _ => vec![byte(rng)],
    }
}

/// A `tcp_info` of any length that a kernel has sent, or of another one.
fn info(rng: &mut Rng) -> Vec<u8> {
    // Multiples of eight never cut a field: a kernel sends whole fields.
    let len = if rng.u8(0..4) == 0 { 8 * rng.usize(0..=46) } else { *rng.choice(&TCP_INFO).unwrap_or(&280) };
    let mut bytes = words(rng, 26.min(len / 4));
    while bytes.len() < len {
        // From 104 on most fields are 64 bits wide, or pairs of 32.
        bytes.extend(if rng.bool() { wide(rng).to_ne_bytes().to_vec() } else { words(rng, 2) });
    }
    bytes.truncate(len);
    bytes
}

/// A `struct sockaddr_storage`.
fn storage(rng: &mut Rng) -> Vec<u8> {
    let v6 = rng.bool();
    let mut bytes = (if v6 { libc::AF_INET6 } else { libc::AF_INET } as u16).to_ne_bytes().to_vec();
    bytes.extend_from_slice(&port(rng).to_be_bytes());
    match address(rng, v6) {
        IpAddr::V4(v4) => bytes.extend_from_slice(&v4.octets()),
        IpAddr::V6(v6) => {
            bytes.extend_from_slice(&[0; 4]);
            bytes.extend_from_slice(&v6.octets());
        }
    }
    bytes.resize(128, 0);
    bytes
}

/// A `struct tcp_diag_md5sig`; the key may hold any byte.
fn md5sig(rng: &mut Rng) -> Vec<u8> {
    let v6 = rng.bool();
    let mut bytes = vec![if v6 { libc::AF_INET6 } else { libc::AF_INET } as u8, rng.u8(0..=128)];
    let len = rng.u16(0..=80);
    bytes.extend_from_slice(&len.to_ne_bytes());
    let octets = match address(rng, v6) {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    bytes.extend_from_slice(&octets);
    bytes.resize(20, 0);
    let printable = rng.bool();
    bytes.extend((0..len).map(|_| if printable { rng.u8(b' '..=b'~') } else { rng.u8(..) }));
    bytes.resize(100, 0);
    bytes
}

fn ulp(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut inner = Vec::new();
    match rng.u8(0..3) {
        0 => {
            nl::attr(&mut bytes, 1, b"tls\0");
            for (kind, values) in
                [(1, [0x303_u16, 0x304, 0]), (2, [51, 58, 99]), (3, [1, 2, 5]), (4, [3, 4, 0])]
            {
                if rng.u8(0..4) > 0 {
                    nl::attr(&mut inner, kind, &rng.choice(&values).unwrap_or(&0).to_ne_bytes());
                }
            }
            for flag in [5, 6] {
                if rng.bool() {
                    nl::attr(&mut inner, flag, &[]);
                }
            }
            nl::attr(&mut bytes, nested(rng, 2), &inner);
        }
        1 => {
            nl::attr(&mut bytes, 1, b"mptcp\0");
            for (kind, size) in
                [(1, 4), (2, 4), (3, 4), (4, 8), (5, 4), (6, 4), (7, 2), (8, 4), (9, 1), (10, 1)]
            {
                let value = wide(rng).to_le_bytes();
                if rng.u8(0..5) > 0 {
                    nl::attr(&mut inner, kind, value.get(..size).unwrap_or(&value));
                }
            }
            nl::attr(&mut bytes, nested(rng, 3), &inner);
        }
        _ => nl::attr(&mut bytes, 1, b"espintcp\0"),
    }
    bytes
}

/// Some kernels set `NLA_F_NESTED`, some do not.
fn nested(rng: &mut Rng, kind: u16) -> u16 {
    if rng.bool() { kind | 0x8000 } else { kind }
}

/// A storage of a map id that no machine has.
fn storages(rng: &mut Rng) -> Vec<u8> {
    let mut inner = Vec::new();
    nl::attr(&mut inner, 2, &(u32::MAX - 1).to_ne_bytes());
    nl::attr(&mut inner, 3, &wide(rng).to_ne_bytes());
    let mut bytes = Vec::new();
    nl::attr(&mut bytes, nested(rng, 1), &inner);
    bytes
}
