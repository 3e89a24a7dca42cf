//! `struct packet_diag_msg` and its attributes: one packet socket.
//!
//! The fixed part must be complete; the first attribute of a kind wins and unknown kinds are
//! skipped.
//!
//! Source: linux/packet_diag.h, linux/filter.h, linux/if_packet.h, Linux 7.3.

use crate::attr::Index;
use crate::bytes::u32_at;
use crate::layout::{constants, view, whole};
use crate::mem_info::SkMemInfo;

constants! {
    /// Kinds of attributes in a reply.
    ATTRIBUTES in "linux/packet_diag.h": u16 {
        /// Settings.
        PACKET_DIAG_INFO = 0;
        /// Link-layer addresses joined.
        PACKET_DIAG_MCLIST = 1;
        /// Receive ring.
        PACKET_DIAG_RX_RING = 2;
        /// Transmit ring.
        PACKET_DIAG_TX_RING = 3;
        /// Fanout group.
        PACKET_DIAG_FANOUT = 4;
        /// Owner.
        PACKET_DIAG_UID = 5;
        /// Memory report.
        PACKET_DIAG_MEMINFO = 6;
        /// Filter program.
        PACKET_DIAG_FILTER = 7;
    }
}

constants! {
    /// Attributes that a request can ask for.
    SHOW in "linux/packet_diag.h": u32 {
        /// Settings.
        PACKET_SHOW_INFO = 0x01;
        /// Link-layer addresses joined.
        PACKET_SHOW_MCLIST = 0x02;
        /// Rings.
        PACKET_SHOW_RING_CFG = 0x04;
        /// Fanout group.
        PACKET_SHOW_FANOUT = 0x08;
        /// The memory report.
        PACKET_SHOW_MEMINFO = 0x10;
        /// The filter program.
        PACKET_SHOW_FILTER = 0x20;
    }
}

constants! {
    /// Flags of a socket (`pdi_flags`).
    FLAGS in "linux/packet_diag.h": u32 {
        /// Packets are being received.
        PDI_RUNNING = 0x01;
        /// Packets carry auxiliary data.
        PDI_AUXDATA = 0x02;
        /// Packets report the device that originally received them.
        PDI_ORIGDEV = 0x04;
        /// Packets begin with a virtio header.
        PDI_VNETHDR = 0x08;
        /// A packet that cannot be sent is dropped, not retried.
        PDI_LOSS = 0x10;
    }
}

constants! {
    /// How a fanout group distributes packets over its sockets.
    FANOUT_TYPES in "linux/if_packet.h": u16 {
        /// By flow.
        PACKET_FANOUT_HASH = 0;
        /// Round robin.
        PACKET_FANOUT_LB = 1;
        /// By CPU.
        PACKET_FANOUT_CPU = 2;
        /// To the next socket once one is full.
        PACKET_FANOUT_ROLLOVER = 3;
        /// At random.
        PACKET_FANOUT_RND = 4;
        /// By the device's queue.
        PACKET_FANOUT_QM = 5;
        /// By a classic BPF program.
        PACKET_FANOUT_CBPF = 6;
        /// By a BPF program.
        PACKET_FANOUT_EBPF = 7;
    }
}

constants! {
    /// Values of `PacketInfo::version`, `PacketMclist::kind` and `PacketRing::features`.
    PACKET_VALUES in "linux/if_packet.h": u32 {
        /// The first format of headers in rings.
        TPACKET_V1 = 0;
        /// The second format.
        TPACKET_V2 = 1;
        /// The third format.
        TPACKET_V3 = 2;
        /// A multicast group.
        PACKET_MR_MULTICAST = 0;
        /// All packets (promiscuous mode).
        PACKET_MR_PROMISC = 1;
        /// All multicast groups.
        PACKET_MR_ALLMULTI = 2;
        /// A unicast address.
        PACKET_MR_UNICAST = 3;
        /// Ring feature: the flow hash of each packet.
        TP_FT_REQ_FILL_RXHASH = 1;
    }
}

view! {
    /// The bytes of a request; [`crate::netlink_diag::put_request`] writes it.
    PacketReqView = "struct packet_diag_req" in "linux/packet_diag.h" {
        /// Address family.
        family: u8 @ 0 = "sdiag_family";
        /// Protocol; 0 is any.
        protocol: u8 @ 1 = "sdiag_protocol";
        /// Padding.
        pad: u16 @ 2 = "pad";
        /// Requested inode; unused.
        ino: u32 @ 4 = "pdiag_ino";
        /// Requested attributes.
        show: u32 @ 8 = "pdiag_show";
        /// Requested socket; unused.
        cookie: cookie @ 12 = "pdiag_cookie";
    }
}

view! {
    /// The fixed part of a reply.
    PacketFixed = "struct packet_diag_msg" in "linux/packet_diag.h" {
        /// Address family.
        family: u8 @ 0 = "pdiag_family";
        /// Socket type.
        kind: u8 @ 1 = "pdiag_type";
        /// Link-layer protocol, in host order.
        num: u16 @ 2 = "pdiag_num";
        /// Inode.
        ino: u32 @ 4 = "pdiag_ino";
        /// Cookie, low word first.
        cookie: cookie @ 8 = "pdiag_cookie";
    }
}

view! {
    /// `PACKET_DIAG_INFO`.
    PacketInfo = "struct packet_diag_info" in "linux/packet_diag.h" {
        /// Interface; 0 for all.
        index: u32 @ 0 = "pdi_index";
        /// Version of the ring's header format, counted from 0 (`TPACKET_V1`).
        version: u32 @ 4 = "pdi_version";
        /// Space reserved before each packet in a ring, in bytes.
        reserve: u32 @ 8 = "pdi_reserve";
        /// The number of packets longer than a ring's frame that may also wait in the queue; 0
        /// disables this.
        copy_thresh: u32 @ 12 = "pdi_copy_thresh";
        /// Source of the time stamps; 0 is software.
        tstamp: u32 @ 16 = "pdi_tstamp";
        /// `PDI_*`.
        flags: u32 @ 20 = "pdi_flags";
    }
}

view! {
    /// `PACKET_DIAG_RX_RING`, `PACKET_DIAG_TX_RING`.
    PacketRing = "struct packet_diag_ring" in "linux/packet_diag.h" {
        /// Length of a block, in bytes.
        block_size: u32 @ 0 = "pdr_block_size";
        /// Number of blocks.
        block_nr: u32 @ 4 = "pdr_block_nr";
        /// Length of a frame, in bytes.
        frame_size: u32 @ 8 = "pdr_frame_size";
        /// Number of frames.
        frame_nr: u32 @ 12 = "pdr_frame_nr";
        /// Timeout after which a block is handed over before it is full, in milliseconds.
        retire_tmo_ms: u32 @ 16 = "pdr_retire_tmo";
        /// Space reserved for the application in each block, in bytes.
        sizeof_priv: u32 @ 20 = "pdr_sizeof_priv";
        /// Requested features (`TP_FT_*`).
        features: u32 @ 24 = "pdr_features";
    }
}

view! {
    /// A link-layer address that a socket joined on an interface.
    PacketMclist = "struct packet_diag_mclist" in "linux/packet_diag.h" {
        /// Interface.
        index: u32 @ 0 = "pdmc_index";
        /// How many times it was joined.
        count: u32 @ 4 = "pdmc_count";
        /// Its type (`PACKET_MR_*`): a single address, or all of some kind.
        kind: u16 @ 8 = "pdmc_type";
        /// The number of significant bytes of the address.
        alen: u16 @ 10 = "pdmc_alen";
        /// The address.
        addr: [u8; 32] @ 12 = "pdmc_addr";
    }
}

view! {
    /// One instruction of a classic BPF program.
    SockFilter = "struct sock_filter" in "linux/filter.h" {
        /// Operation.
        code: u16 @ 0 = "code";
        /// Instructions to skip if the comparison holds.
        jt: u8 @ 2 = "jt";
        /// Instructions to skip if the comparison fails.
        jf: u8 @ 3 = "jf";
        /// Operand.
        k: u32 @ 4 = "k";
    }
}

/// Length of the fixed part of a reply.
pub const MSG_LEN: usize = PacketFixed::LAYOUT.end();
/// Length of a joined address.
const MCLIST_LEN: usize = PacketMclist::LAYOUT.end();
/// Length of an instruction.
const FILTER_LEN: usize = SockFilter::LAYOUT.end();
/// Kinds that are indexed: 0 to 7.
const KINDS: usize = PACKET_DIAG_FILTER as usize + 1;

/// A classic BPF program.
#[derive(Clone, Copy, Debug)]
pub struct FilterProgram<'a>(&'a [u8]);

impl<'a> FilterProgram<'a> {
    /// Wraps an attribute's value; trailing bytes that form no instruction are ignored.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// How many instructions it has.
    #[allow(clippy::len_without_is_empty, reason = "the kernel sends none that is empty")]
    pub fn len(self) -> usize {
        self.0.len() / FILTER_LEN
    }

    /// The instructions, in order.
    pub fn instructions(self) -> impl Iterator<Item = SockFilter<'a>> {
        self.0.chunks_exact(FILTER_LEN).map(SockFilter::new)
    }
}

/// One packet socket.
#[derive(Clone, Copy, Debug)]
pub struct PacketDiagMsg<'a> {
    fixed: &'a [u8; MSG_LEN],
    attrs: Index<'a, KINDS>,
}

impl<'a> PacketDiagMsg<'a> {
    /// Wraps a message's payload; `None` if the fixed part is incomplete.
    pub fn new(payload: &'a [u8]) -> Option<Self> {
        let (fixed, rest) = payload.split_first_chunk()?;
        Some(Self { fixed, attrs: Index::parse(rest) })
    }

    whole! {
        PacketFixed of fixed:
        /// Address family, always 17.
        family: u8;
        /// Socket type: 2 is without link header, 3 is with it.
        kind: u8;
        /// Link-layer protocol, in host order; 0 before one is set, 3 for all.
        num: u16;
        /// Inode; 0 if no process holds the socket.
        ino: u32;
        /// The socket's cookie.
        cookie: u64;
    }

    /// Settings.
    pub fn info(&self) -> Option<PacketInfo<'a>> {
        self.attrs.get(PACKET_DIAG_INFO).map(PacketInfo::new)
    }

    /// Joined link-layer addresses, in order; `None` if not requested.
    pub fn mclist(&self) -> Option<impl Iterator<Item = PacketMclist<'a>> + use<'a>> {
        let bytes = self.attrs.get(PACKET_DIAG_MCLIST)?;
        Some(bytes.chunks_exact(MCLIST_LEN).map(PacketMclist::new))
    }

    /// Receive ring.
    pub fn rx_ring(&self) -> Option<PacketRing<'a>> {
        self.attrs.get(PACKET_DIAG_RX_RING).map(PacketRing::new)
    }

    /// Transmit ring.
    pub fn tx_ring(&self) -> Option<PacketRing<'a>> {
        self.attrs.get(PACKET_DIAG_TX_RING).map(PacketRing::new)
    }

    /// The fanout group: its id in the low half, its type and flags in the high half.
    pub fn fanout(&self) -> Option<u32> {
        u32_at(self.attrs.get(PACKET_DIAG_FANOUT)?, 0)
    }

    /// Owner; since Linux 3.10.
    pub fn uid(&self) -> Option<u32> {
        u32_at(self.attrs.get(PACKET_DIAG_UID)?, 0)
    }

    /// The memory report; since Linux 3.10.
    pub fn mem_info(&self) -> Option<SkMemInfo<'a>> {
        self.attrs.get(PACKET_DIAG_MEMINFO).map(SkMemInfo::new)
    }

    /// The filter program; since Linux 3.10, and only if the caller is privileged to see it.
    pub fn filter(&self) -> Option<FilterProgram<'a>> {
        self.attrs.get(PACKET_DIAG_FILTER).map(FilterProgram::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr::put;

    #[test]
    fn fixed_part_is_all_or_nothing() {
        let bytes: Vec<u8> = (0..40).collect();
        for len in 0..bytes.len() {
            assert_eq!(PacketDiagMsg::new(&bytes[..len]).is_some(), len >= MSG_LEN, "len {len}");
        }
        let msg = PacketDiagMsg::new(&bytes).unwrap();
        assert_eq!((msg.family(), msg.kind()), (0, 1));
        assert_eq!(msg.num(), u16::from_ne_bytes([2, 3]));
        assert_eq!(msg.ino(), u32::from_ne_bytes([4, 5, 6, 7]));
        assert_eq!((msg.cookie() >> 32) as u32, u32::from_ne_bytes([12, 13, 14, 15]));
    }

    #[test]
    fn attributes_are_found_by_kind_and_the_first_wins() {
        let mut bytes = vec![0; MSG_LEN];
        put(&mut bytes, 99, b"unknown");
        put(&mut bytes, PACKET_DIAG_INFO, &[1; 24]);
        put(&mut bytes, PACKET_DIAG_INFO, &[2; 24]);
        put(&mut bytes, PACKET_DIAG_FANOUT, &0x0002_0007_u32.to_ne_bytes());
        put(&mut bytes, PACKET_DIAG_UID, &[1, 2, 3]);
        put(&mut bytes, PACKET_DIAG_MCLIST, &[6; 2 * MCLIST_LEN + 1]);
        let msg = PacketDiagMsg::new(&bytes).unwrap();
        assert_eq!(
            msg.mclist().unwrap().filter_map(PacketMclist::index).collect::<Vec<_>>(),
            [0x0606_0606; 2]
        );
        assert_eq!(msg.info().and_then(PacketInfo::flags), Some(0x0101_0101));
        assert_eq!(msg.fanout(), Some(0x0002_0007));
        assert_eq!(msg.uid(), None, "half a word");
        assert!(msg.rx_ring().is_none() && msg.tx_ring().is_none() && msg.mem_info().is_none());
    }

    #[test]
    fn a_program_is_whole_instructions() {
        let mut bytes = vec![0x28, 0, 0, 0, 12, 0, 0, 0, 6, 0, 1, 2];
        bytes.extend([0xff; 4]);
        bytes.extend([7; 7]);
        let program = FilterProgram::new(&bytes);
        assert_eq!((program.len(), program.instructions().count()), (2, 2));
        let last = program.instructions().last().unwrap();
        assert_eq!((last.jt(), last.jf(), last.k()), (Some(1), Some(2), Some(u32::MAX)));
        assert_eq!(FilterProgram::new(&[]).len(), 0);
    }
}
