//! `struct xdp_diag_msg` and its attributes: one XDP socket, and the request
//! for all of them.
//!
//! The fixed part must be complete; the first attribute of a kind wins and unknown kinds are
//! skipped.
//!
//! Source: linux/xdp_diag.h, Linux 7.3.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use crate::attr::Index;
use crate::bytes::u32_at;
use crate::layout::{constants, view};
use crate::mem_info::SkMemInfo;

constants! {
    /// Kinds of attributes in a reply.
    XDP_ATTRIBUTES in "linux/xdp_diag.h": u16 {
        /// Interface and queue that the socket is bound to.
        XDP_DIAG_INFO = 1;
        /// Owner.
        XDP_DIAG_UID = 2;
        /// Receive ring.
        XDP_DIAG_RX_RING = 3;
        /// Transmit ring.
        XDP_DIAG_TX_RING = 4;
        /// Packet memory (UMEM).
        XDP_DIAG_UMEM = 5;
        /// Fill ring: frames free for reception.
        XDP_DIAG_UMEM_FILL_RING = 6;
        /// Completion ring: frames that were sent.
        XDP_DIAG_UMEM_COMPLETION_RING = 7;
        /// Memory report.
        XDP_DIAG_MEMINFO = 8;
        /// Counters.
        XDP_DIAG_STATS = 9;
    }
}

constants! {
    /// Bits of a request and of a reply.
    XDP_BITS in "linux/xdp_diag.h": u32 {
        /// Requests the binding and the owner.
        XDP_SHOW_INFO = 1;
        /// Requests the rings.
        XDP_SHOW_RING_CFG = 2;
        /// Requests the packet memory and its rings.
        XDP_SHOW_UMEM = 4;
        /// Requests the memory report.
        XDP_SHOW_MEMINFO = 8;
        /// Requests the counters.
        XDP_SHOW_STATS = 16;
        /// Packet memory: the driver uses it without copying.
        XDP_DU_F_ZEROCOPY = 1;
    }
}

view! {
    /// The bytes of a request.
    XdpDiagReqView = "struct xdp_diag_req" in "linux/xdp_diag.h" {
        /// Address family.
        family: u8 @ 0 = "sdiag_family";
        /// Always 0.
        protocol: u8 @ 1 = "sdiag_protocol";
        /// Padding.
        pad: u16 @ 2 = "pad";
        /// Requested inode; 0 for any.
        ino: u32 @ 4 = "xdiag_ino";
        /// Requested attributes.
        show: u32 @ 8 = "xdiag_show";
        /// Requested cookie; 0 for any.
        cookie: cookie @ 12 = "xdiag_cookie";
    }
}

view! {
    /// The bytes of the fixed part of a message.
    XdpDiagMsgView = "struct xdp_diag_msg" in "linux/xdp_diag.h" {
        /// Address family.
        family: u8 @ 0 = "xdiag_family";
        /// Type of the socket.
        kind: u8 @ 1 = "xdiag_type";
        /// Padding.
        pad: u16 @ 2 = "pad";
        /// Inode.
        ino: u32 @ 4 = "xdiag_ino";
        /// Cookie, low word first.
        cookie: cookie @ 8 = "xdiag_cookie";
    }
}

view! {
    /// Interface and queue that an XDP socket is bound to.
    XdpInfo = "struct xdp_diag_info" in "linux/xdp_diag.h" {
        /// Index of the interface; 0 if it is not bound.
        ifindex: u32 @ 0 = "ifindex";
        /// Queue of the interface.
        queue_id: u32 @ 4 = "queue_id";
    }
}

view! {
    /// A ring.
    XdpRing = "struct xdp_diag_ring" in "linux/xdp_diag.h" {
        /// The number of descriptors it can hold.
        entries: u32 @ 0 = "entries";
    }
}

view! {
    /// Packet memory (UMEM), which several sockets may share.
    XdpUmem = "struct xdp_diag_umem" in "linux/xdp_diag.h" {
        /// Its size, in bytes.
        size: u64 @ 0 = "size";
        /// Id of the packet memory.
        id: u32 @ 8 = "id";
        /// Number of its pages.
        num_pages: u32 @ 12 = "num_pages";
        /// Size of a frame, in bytes.
        chunk_size: u32 @ 16 = "chunk_size";
        /// Space before the packet in a frame, in bytes.
        headroom: u32 @ 20 = "headroom";
        /// Index of the interface that uses it.
        ifindex: u32 @ 24 = "ifindex";
        /// Queue of that interface.
        queue_id: u32 @ 28 = "queue_id";
        /// Flags: see [`XDP_DU_F_ZEROCOPY`].
        flags: u32 @ 32 = "flags";
        /// Number of sockets that use it.
        refs: u32 @ 36 = "refs";
    }
}

view! {
    /// Counters of a socket.
    XdpStats = "struct xdp_diag_stats" in "linux/xdp_diag.h" {
        /// Packets dropped for reasons other than those below.
        rx_dropped: u64 @ 0 = "n_rx_dropped";
        /// Packets dropped because a descriptor of the fill ring was invalid.
        rx_invalid: u64 @ 8 = "n_rx_invalid";
        /// Packets dropped because the receive ring was full.
        rx_full: u64 @ 16 = "n_rx_full";
        /// Number of times the fill ring had no free frame.
        fill_ring_empty: u64 @ 24 = "n_fill_ring_empty";
        /// Packets not sent because a descriptor was invalid.
        tx_invalid: u64 @ 32 = "n_tx_invalid";
        /// Number of times the transmit ring was empty.
        tx_ring_empty: u64 @ 40 = "n_tx_ring_empty";
    }
}

/// Length of the fixed part of a message.
pub const MSG_LEN: usize = XdpDiagMsgView::LAYOUT.end();
/// Kinds that are indexed: 1 to 9.
const KINDS: usize = XDP_DIAG_STATS as usize + 1;

/// One XDP socket.
#[derive(Clone, Copy, Debug)]
pub struct XdpDiagMsg<'a> {
    fixed: &'a [u8; MSG_LEN],
    attrs: Index<'a, KINDS>,
}

impl<'a> XdpDiagMsg<'a> {
    /// Wraps a message's payload; `None` if the fixed part is incomplete.
    pub fn new(payload: &'a [u8]) -> Option<Self> {
        let (fixed, rest) = payload.split_first_chunk()?;
        Some(Self { fixed, attrs: Index::parse(rest) })
    }

    fn view(&self) -> XdpDiagMsgView<'a> {
        XdpDiagMsgView::new(self.fixed)
    }

    /// Address family: 44.
    pub fn family(&self) -> u8 {
        self.view().family().unwrap_or_default()
    }

    /// Type of the socket: always 3, raw.
    pub fn kind(&self) -> u8 {
        self.view().kind().unwrap_or_default()
    }

    /// Inode; 0 if no process holds the socket.
    pub fn ino(&self) -> u32 {
        self.view().ino().unwrap_or_default()
    }

    /// The socket's cookie.
    pub fn cookie(&self) -> u64 {
        self.view().cookie().unwrap_or_default()
    }

    /// Interface and queue that the socket is bound to.
    pub fn info(&self) -> Option<XdpInfo<'a>> {
        self.attrs.get(XDP_DIAG_INFO).map(XdpInfo::new)
    }

    /// Owner.
    pub fn uid(&self) -> Option<u32> {
        u32_at(self.attrs.get(XDP_DIAG_UID)?, 0)
    }

    /// Receive ring; `None` if the socket has none.
    pub fn rx_ring(&self) -> Option<XdpRing<'a>> {
        self.attrs.get(XDP_DIAG_RX_RING).map(XdpRing::new)
    }

    /// Transmit ring; `None` if the socket has none.
    pub fn tx_ring(&self) -> Option<XdpRing<'a>> {
        self.attrs.get(XDP_DIAG_TX_RING).map(XdpRing::new)
    }

    /// Packet memory; `None` before the socket is bound.
    pub fn umem(&self) -> Option<XdpUmem<'a>> {
        self.attrs.get(XDP_DIAG_UMEM).map(XdpUmem::new)
    }

    /// Fill ring of the packet memory.
    pub fn fill_ring(&self) -> Option<XdpRing<'a>> {
        self.attrs.get(XDP_DIAG_UMEM_FILL_RING).map(XdpRing::new)
    }

    /// Completion ring of the packet memory.
    pub fn completion_ring(&self) -> Option<XdpRing<'a>> {
        self.attrs.get(XDP_DIAG_UMEM_COMPLETION_RING).map(XdpRing::new)
    }

    /// The memory report.
    pub fn mem_info(&self) -> Option<SkMemInfo<'a>> {
        self.attrs.get(XDP_DIAG_MEMINFO).map(SkMemInfo::new)
    }

    /// Counters; since Linux 5.9.
    pub fn stats(&self) -> Option<XdpStats<'a>> {
        self.attrs.get(XDP_DIAG_STATS).map(XdpStats::new)
    }
}

/// `struct xdp_diag_req`, a request for all sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct XdpDiagReq {
    /// Address family: 44.
    pub family: u8,
    /// Requested attributes, `XDP_SHOW_*`.
    pub show: u32,
}

impl XdpDiagReq {
    /// Appends the request as the kernel reads it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.family, 0, 0, 0, 0, 0, 0, 0]);
        out.extend_from_slice(&self.show.to_ne_bytes());
        out.extend_from_slice(&[0; 8]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr::put;

    #[test]
    fn fixed_part_is_all_or_nothing_and_the_first_of_a_kind_wins() {
        let mut bytes: Vec<u8> = (0..16).collect();
        for len in 0..bytes.len() {
            assert!(XdpDiagMsg::new(&bytes[..len]).is_none(), "len {len}");
        }
        put(&mut bytes, 900, b"unknown");
        put(&mut bytes, XDP_DIAG_UID, &7_u32.to_ne_bytes());
        put(&mut bytes, XDP_DIAG_UID, &8_u32.to_ne_bytes());
        put(&mut bytes, XDP_DIAG_UMEM, &[1; 20]);
        let msg = XdpDiagMsg::new(&bytes).unwrap();
        assert_eq!((msg.family(), msg.kind()), (0, 1));
        assert_eq!(msg.ino(), u32::from_ne_bytes([4, 5, 6, 7]));
        assert_eq!(msg.cookie() as u32, u32::from_ne_bytes([8, 9, 10, 11]));
        assert_eq!(msg.uid(), Some(7));
        let umem = msg.umem().unwrap();
        assert_eq!((umem.chunk_size(), umem.headroom()), (Some(0x0101_0101), None));
        assert!(msg.info().is_none() && msg.stats().is_none() && msg.mem_info().is_none());
    }

    #[test]
    fn a_request_reads_back() {
        let mut bytes = Vec::new();
        XdpDiagReq { family: 44, show: 0x1f }.encode(&mut bytes);
        assert_eq!(bytes.len(), XdpDiagReqView::LAYOUT.end());
        let view = XdpDiagReqView::new(&bytes);
        assert_eq!((view.family(), view.ino(), view.show()), (Some(44), Some(0), Some(0x1f)));
    }
}
