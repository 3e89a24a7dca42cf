//! Netlink and packet sockets as a kernel would report them, with everything that a kernel may
//! send and some things that none does.
//!
//! Source: linux/netlink_diag.h, linux/packet_diag.h.

#![allow(clippy::cast_sign_loss, reason = "small, known numbers; each cast is meant")]

use super::{attr, socket, words};

/// A packet socket of inode 4000000005: type, protocol, attributes.
pub fn packet(kind: u8, protocol: u16, attrs: &[Vec<u8>]) -> Vec<u8> {
    let head = [17, kind].into_iter().chain(protocol.to_ne_bytes());
    socket(&[head.collect(), words(&[4_000_000_005, 0x2a, 1]), attrs.concat()].concat())
}

/// Packet sockets, with and without each attribute.
pub fn packets() -> Vec<u8> {
    let memory = || attr(6, &words(&[1, 2, 3, 4, 5, 6, 7, 8, 9]));
    let info = |index: u32, flags: u32| attr(0, &words(&[index, 2, 0, 100, 0, flags]));
    let fanout = |id: u32, kind: u32| attr(4, &words(&[kind << 16 | id]));
    let ring = |kind: u16| attr(kind, &words(&[4096, 2, 256, 8, 60, 0, 1]));
    let program: Vec<u8> = [(0x28_u16, 0, 0, 12), (6, 1, 2, u32::MAX), (0x15, 255, 0, 1)]
        .into_iter()
        .flat_map(|(code, jt, jf, k): (u16, u8, u8, u32)| {
            [&code.to_ne_bytes()[..], &[jt, jf], &k.to_ne_bytes()].concat()
        })
        .collect();
    let uid = || attr(5, &words(&[1000]));
    let odd_ring = attr(3, &words(&[1, 2, 3, u32::MAX, 5, 6, 0x8000_0000]));
    // A multicast membership, an all-multicast one, and half a membership.
    let group = [words(&[1, 2, 6 << 16]), vec![1, 0, 0x5e, 0, 0, 0xfb], vec![0; 26]].concat();
    let all = [words(&[77, 1, 1]), vec![0; 32]].concat();
    let mclist = [&group[..], &all, &group[..20]].concat();
    let mut rows = vec![
        packet(3, 3, &[info(1, 0x1f), uid(), ring(2), ring(3), fanout(7, 2), attr(7, &program), memory()]),
        packet(2, 0x88cc, &[info(0, 2), memory()]),
        packet(10, 0x800, &[memory(), info(2, 0x20), uid(), attr(7, &program)]),
        // Only the memory; a filter program without instructions, and a short memory report.
        packet(2, 0x1234, &[memory()]),
        packet(3, 0, &[attr(7, &[]), attr(6, &words(&[9, 2, 3, 4, 5, 6, 7]))]),
        packet(3, 0, &[odd_ring, attr(6, &words(&[9, 2, 3, 4, 5, 6, 7, 8]))]),
        // An interface without a name; unknown attributes, and an attribute sent twice.
        packet(3, 3, &[info(77, 1), memory(), attr(40, b"?"), info(1, 0), attr(1, &mclist)]),
    ];
    rows.extend((0..32).map(|flags| packet(3, 3, &[info(0, flags), memory()])));
    let kinds = [0, 1, 2, 3, 4, 5, 6, 7, 8, 0x1000, 0x2001, 0x8000, 0xffff];
    rows.extend(kinds.map(|kind| packet(3, 3, &[memory(), fanout(kind, kind)])));
    let protocols = [
        0x60, 0x200, 0x201, 0x800, 0x805, 0x806, 0x8ff, 0xa00, 0xa01, 0x6000, 0x6001, 0x6002, 0x6003, 0x6004,
        0x6005, 0x6006, 0x6007, 0x8035, 0x809b, 0x80f3, 0x8137, 0x86dd, 0x8863, 0x8864, 0x884c, 0x8884, 1, 2,
        4, 5, 6, 7, 8, 9, 0xb, 0xc, 0x10, 0x11, 0x15, 0x16, 0x17, 0x18, 0x88ca, 0x8892, 0x88a2, 0x88a4,
        0x8100, 0x88a8, 0x8847, 0x8848, 0x6558, 0x8902, 0xffff,
    ];
    rows.extend(protocols.map(|protocol| packet(2, protocol, &[memory()])));
    rows.concat()
}

/// A netlink socket of inode 7: protocol, whether connected, port id, destination, attributes.
pub fn netlink(protocol: u8, state: u8, portid: i32, peer: (i32, u32), attrs: &[Vec<u8>]) -> Vec<u8> {
    let rest = words(&[portid as u32, peer.0 as u32, peer.1, 7, 0x11, 0]);
    socket(&[vec![16, 3, protocol, state], rest, attrs.concat()].concat())
}

/// Netlink sockets, with and without each attribute.
pub fn netlinks() -> Vec<u8> {
    let memory = |rmem: u32| attr(0, &words(&[rmem, 2, 3, 4, 5, 6, 7, 8, 9]));
    let groups = |low: u32| attr(1, &words(&[low, 15]));
    let mut rows = vec![
        netlink(0, 0, 0, (0, 0), &[memory(1), groups(0x41)]),
        netlink(16, 1, 1, (-5, 7), &[memory(u32::MAX)]),
        netlink(4, 0, -1, (0, 0), &[]),
        netlink(22, 0, -2, (0, 0), &[groups(1), groups(2)]),
        netlink(17, 1, 99_999_999, (5, 0), &[]),
        netlink(31, 2, i32::MAX, (5, 0x8000_0001), &[memory(0), attr(4, &words(&[1])), attr(9, b"?")]),
        netlink(
            255,
            1,
            i32::MIN,
            (i32::MIN, u32::MAX),
            &[attr(1, &words(&[0x80])), attr(0, &words(&[1; 7]))],
        ),
    ];
    rows.extend((0..24).map(|protocol| netlink(protocol, 0, 0, (0, 0), &[memory(0), groups(0)])));
    rows.concat()
}
