//! `struct netlink_diag_msg` and its attributes: one netlink socket.
//!
//! The fixed part must be complete; the first attribute of a kind wins and unknown kinds are
//! skipped.
//!
//! Source: linux/netlink_diag.h, Linux 7.3.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use crate::attr::Index;
use crate::bytes::{u32_at, u64_at};
use crate::layout::{constants, view, whole};
use crate::mem_info::SkMemInfo;

constants! {
    /// Kinds of attributes in a reply.
    ATTRIBUTES in "linux/netlink_diag.h": u16 {
        /// Memory report.
        NETLINK_DIAG_MEMINFO = 0;
        /// Multicast groups, one bit each.
        NETLINK_DIAG_GROUPS = 1;
        /// Ring of received messages; gone since Linux 4.6.
        NETLINK_DIAG_RX_RING = 2;
        /// Ring of sent messages; gone since Linux 4.6.
        NETLINK_DIAG_TX_RING = 3;
        /// Flags; since Linux 4.12.
        NETLINK_DIAG_FLAGS = 4;
    }
}

constants! {
    /// Attributes that a request can ask for.
    SHOW in "linux/netlink_diag.h": u32 {
        /// The memory report.
        NDIAG_SHOW_MEMINFO = 1;
        /// The groups.
        NDIAG_SHOW_GROUPS = 2;
        /// The flags.
        NDIAG_SHOW_FLAGS = 8;
    }
}

constants! {
    /// Flags of a socket.
    FLAGS in "linux/netlink_diag.h": u32 {
        /// A dump is in progress.
        NDIAG_FLAG_CB_RUNNING = 0x01;
        /// Each message carries its group as ancillary data.
        NDIAG_FLAG_PKTINFO = 0x02;
        /// A failed broadcast is reported to its sender.
        NDIAG_FLAG_BROADCAST_ERROR = 0x04;
        /// Messages may be lost without an error.
        NDIAG_FLAG_NO_ENOBUFS = 0x08;
        /// Messages of all network namespaces arrive.
        NDIAG_FLAG_LISTEN_ALL_NSID = 0x10;
        /// Acknowledgements omit the request.
        NDIAG_FLAG_CAP_ACK = 0x20;
    }
}

constants! {
    /// Values of a request that match anything.
    ANY in "linux/netlink_diag.h": u8 {
        /// Every protocol.
        NDIAG_PROTO_ALL = 255;
    }
}

/// State of a connected socket (`ndiag_state`).  This is the kernel's internal
/// `NETLINK_CONNECTED`, which no UAPI header declares.
pub const NETLINK_CONNECTED: u8 = 1;

view! {
    /// The bytes of a request.
    NetlinkReqView = "struct netlink_diag_req" in "linux/netlink_diag.h" {
        /// Address family.
        family: u8 @ 0 = "sdiag_family";
        /// Netlink protocol.
        protocol: u8 @ 1 = "sdiag_protocol";
        /// Padding.
        pad: u16 @ 2 = "pad";
        /// Requested inode; unused.
        ino: u32 @ 4 = "ndiag_ino";
        /// Requested attributes.
        show: u32 @ 8 = "ndiag_show";
        /// Requested socket; unused.
        cookie: cookie @ 12 = "ndiag_cookie";
    }
}

/// Length of a request.
const REQ_LEN: usize = NetlinkReqView::LAYOUT.end();

/// Appends a request for all sockets of a family.  Netlink and packet sockets use the same
/// layout (`struct netlink_diag_req`, `struct packet_diag_req`).
pub fn put_request(out: &mut Vec<u8>, family: u8, protocol: u8, show: u32) {
    let start = out.len();
    out.extend_from_slice(&[family, protocol, 0, 0, 0, 0, 0, 0]);
    out.extend_from_slice(&show.to_ne_bytes());
    out.resize(start + REQ_LEN, 0);
}

view! {
    /// The fixed part of a reply.
    NetlinkFixed = "struct netlink_diag_msg" in "linux/netlink_diag.h" {
        /// Address family.
        family: u8 @ 0 = "ndiag_family";
        /// Socket type.
        kind: u8 @ 1 = "ndiag_type";
        /// Netlink protocol.
        protocol: u8 @ 2 = "ndiag_protocol";
        /// Whether the socket is connected.
        state: u8 @ 3 = "ndiag_state";
        /// Port id of the socket.
        portid: u32 @ 4 = "ndiag_portid";
        /// Port id that it sends to.
        dst_portid: u32 @ 8 = "ndiag_dst_portid";
        /// Multicast group that it sends to.
        dst_group: u32 @ 12 = "ndiag_dst_group";
        /// Inode.
        ino: u32 @ 16 = "ndiag_ino";
        /// Cookie, low word first.
        cookie: cookie @ 20 = "ndiag_cookie";
    }
}

/// Length of the fixed part of a reply.
pub const MSG_LEN: usize = NetlinkFixed::LAYOUT.end();

/// One netlink socket.
#[derive(Clone, Copy, Debug)]
pub struct NetlinkDiagMsg<'a> {
    fixed: &'a [u8; MSG_LEN],
    attrs: Index<'a, KINDS>,
}

/// Kinds that are indexed: 0 to 4.
const KINDS: usize = NETLINK_DIAG_FLAGS as usize + 1;

impl<'a> NetlinkDiagMsg<'a> {
    /// Wraps a message's payload; `None` if the fixed part is incomplete.
    pub fn new(payload: &'a [u8]) -> Option<Self> {
        let (fixed, rest) = payload.split_first_chunk()?;
        Some(Self { fixed, attrs: Index::parse(rest) })
    }

    whole! {
        NetlinkFixed of fixed:
        /// Address family, always 16.
        family: u8;
        /// Socket type: 2 is dgram, 3 is raw; the kernel treats them alike.
        kind: u8;
        /// Netlink protocol.
        protocol: u8;
        /// [`NETLINK_CONNECTED`] or 0.
        state: u8;
        /// Port id of the socket: 0 for the kernel's own sockets; negative (as a signed
        /// number) if the kernel chose it because the process id was taken.
        portid: u32;
        /// Port id that it sends to; 0 is the kernel.
        dst_portid: u32;
        /// Multicast group that it sends to, as a number; 0 for none.
        dst_group: u32;
        /// Inode; 0 for the kernel's own sockets.
        ino: u32;
        /// The socket's cookie.
        cookie: u64;
    }

    /// The memory report.
    pub fn mem_info(&self) -> Option<SkMemInfo<'a>> {
        self.attrs.get(NETLINK_DIAG_MEMINFO).map(SkMemInfo::new)
    }

    /// Groups that it has joined: bit n-1 of this array of longs is group n.
    pub fn groups(&self) -> Option<&'a [u8]> {
        self.attrs.get(NETLINK_DIAG_GROUPS)
    }

    /// The first 32 groups, one bit each; `None` if fewer were sent.
    pub fn first_groups(&self) -> Option<u32> {
        let groups = self.groups()?;
        // An array of longs: on a big-endian machine the low half comes second.
        if cfg!(target_endian = "big") && size_of::<usize>() == 8 {
            return u64_at(groups, 0).map(|word| word as u32);
        }
        u32_at(groups, 0)
    }

    /// Flags; `None` before Linux 4.12 or if not requested.
    pub fn flags(&self) -> Option<u32> {
        u32_at(self.attrs.get(NETLINK_DIAG_FLAGS)?, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr::put;

    #[test]
    fn fixed_part_is_all_or_nothing() {
        let bytes: Vec<u8> = (0..60).collect();
        for len in 0..bytes.len() {
            assert_eq!(NetlinkDiagMsg::new(&bytes[..len]).is_some(), len >= MSG_LEN, "len {len}");
        }
        let msg = NetlinkDiagMsg::new(&bytes).unwrap();
        assert_eq!((msg.family(), msg.kind(), msg.protocol(), msg.state()), (0, 1, 2, 3));
        assert_eq!(msg.portid(), u32::from_ne_bytes([4, 5, 6, 7]));
        assert_eq!(msg.dst_group(), u32::from_ne_bytes([12, 13, 14, 15]));
        assert_eq!((msg.cookie() >> 32) as u32, u32::from_ne_bytes([24, 25, 26, 27]));
    }

    #[test]
    fn the_first_attribute_of_a_kind_wins() {
        let mut bytes = vec![0; MSG_LEN];
        put(&mut bytes, 77, b"unknown");
        put(&mut bytes, NETLINK_DIAG_GROUPS, &0x8000_0001_u64.to_ne_bytes());
        put(&mut bytes, NETLINK_DIAG_GROUPS, &7_u64.to_ne_bytes());
        put(&mut bytes, NETLINK_DIAG_FLAGS, &[1, 2]);
        put(&mut bytes, NETLINK_DIAG_MEMINFO, &[9; 36]);
        let msg = NetlinkDiagMsg::new(&bytes).unwrap();
        assert_eq!(msg.first_groups(), Some(0x8000_0001));
        assert_eq!(msg.flags(), None, "half a word");
        assert_eq!(msg.mem_info().and_then(|mem| mem.drops()), Some(0x0909_0909));
        for len in MSG_LEN..bytes.len() {
            let msg = NetlinkDiagMsg::new(&bytes[..len]).unwrap();
            assert_eq!(msg.groups().is_some(), len >= MSG_LEN + 24, "{len}");
        }
    }

    #[test]
    fn a_request_is_what_its_view_reads() {
        let mut bytes = Vec::new();
        put_request(&mut bytes, 16, NDIAG_PROTO_ALL, NDIAG_SHOW_MEMINFO | NDIAG_SHOW_GROUPS);
        let view = NetlinkReqView::new(&bytes);
        assert_eq!(bytes.len(), REQ_LEN);
        assert_eq!((view.family(), view.protocol(), view.show()), (Some(16), Some(255), Some(3)));
        assert_eq!((view.ino(), view.cookie()), (Some(0), Some(0)));
    }
}
