//! `struct inet_diag_msg` and its attributes: one socket of an inet table.
//!
//! The fixed part must be complete; the attributes are indexed in one pass, where the first of
//! a kind wins and unknown kinds are skipped.
//!
//! Source: linux/inet_diag.h, Linux 7.3.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use crate::attr::{ALIGNMENT, attrs, c_text};
use crate::bpf_storage::BpfStorages;
use crate::bytes::{array_at, u8_at, u32_at, u64_at};
use crate::cc_info::{BbrInfo, DctcpInfo, VegasInfo};
use crate::layout::{constants, view, whole};
use crate::md5sig::Md5Sigs;
use crate::mem_info::{MemInfo, SkMemInfo};
use crate::mptcp_info::MptcpInfo;
use crate::sctp_info::{SctpInfo, SockAddrs};
use crate::sockopt::SockOpt;
use crate::tcp_info::TcpInfo;
use crate::ulp::Ulp;

constants! {
    /// Kinds of attributes in a reply.
    ATTRIBUTES in "linux/inet_diag.h": u16 {
        /// Memory report of older kernels.
        INET_DIAG_MEMINFO = 1;
        /// `tcp_info`, or its counterpart of another protocol.
        INET_DIAG_INFO = 2;
        /// Data of Vegas.
        INET_DIAG_VEGASINFO = 3;
        /// Name of the congestion control algorithm.
        INET_DIAG_CONG = 4;
        /// Type of service.
        INET_DIAG_TOS = 5;
        /// Traffic class.
        INET_DIAG_TCLASS = 6;
        /// Memory report.
        INET_DIAG_SKMEMINFO = 7;
        /// Directions shut down.
        INET_DIAG_SHUTDOWN = 8;
        /// Data of DCTCP.
        INET_DIAG_DCTCPINFO = 9;
        /// IP protocol.
        INET_DIAG_PROTOCOL = 10;
        /// Whether the socket is IPv6 only.
        INET_DIAG_SKV6ONLY = 11;
        /// SCTP: local addresses.
        INET_DIAG_LOCALS = 12;
        /// SCTP: the peer's addresses.
        INET_DIAG_PEERS = 13;
        /// Padding.
        INET_DIAG_PAD = 14;
        /// Firewall mark.
        INET_DIAG_MARK = 15;
        /// Data of BBR.
        INET_DIAG_BBRINFO = 16;
        /// Class id or priority.
        INET_DIAG_CLASS_ID = 17;
        /// MD5 keys.
        INET_DIAG_MD5SIG = 18;
        /// Protocol layered on TCP.
        INET_DIAG_ULP_INFO = 19;
        /// BPF storage.
        INET_DIAG_SK_BPF_STORAGES = 20;
        /// Cgroup v2 id.
        INET_DIAG_CGROUP_ID = 21;
        /// Socket options.
        INET_DIAG_SOCKOPT = 22;
    }
}

constants! {
    /// Values of `idiag_timer`.
    TIMERS in "linux/inet_diag.h": u8 {
        /// None.
        IDIAG_TIMER_OFF = 0;
        /// Retransmission.
        IDIAG_TIMER_ON = 1;
        /// Keepalive.
        IDIAG_TIMER_KEEPALIVE = 2;
        /// Time-wait.
        IDIAG_TIMER_TIMEWAIT = 3;
        /// Probe of a closed window.
        IDIAG_TIMER_PROBE0 = 4;
        /// Delayed acknowledgement; since Linux 7.1.
        IDIAG_TIMER_DELACK = 5;
    }
}

view! {
    /// The bytes of a socket's identity.
    SockIdView = "struct inet_diag_sockid" in "linux/inet_diag.h" {
        /// Source port.
        sport: be16 @ 0 = "idiag_sport";
        /// Destination port.
        dport: be16 @ 2 = "idiag_dport";
        /// Source address.
        src: [u8; 16] @ 4 = "idiag_src";
        /// Destination address.
        dst: [u8; 16] @ 20 = "idiag_dst";
        /// Interface.
        ifindex: u32 @ 36 = "idiag_if";
        /// Cookie.
        cookie: cookie @ 40 = "idiag_cookie";
    }
}

/// Length of the fixed part of a message.
pub const MSG_LEN: usize = FixedPart::LAYOUT.end();
/// Where the socket's identity begins in the fixed part.
const ID: usize = FixedPart::LAYOUT.offset("id.idiag_sport");
/// Length of the socket's identity.
const ID_LEN: usize = SockIdView::LAYOUT.end();

view! {
    /// The fixed part of a message; [`InetDiagMsg`] decodes it.
    FixedPart = "struct inet_diag_msg" in "linux/inet_diag.h" {
        /// Address family.
        family: u8 @ 0 = "idiag_family";
        /// State.
        state: u8 @ 1 = "idiag_state";
        /// Which timer runs.
        timer: u8 @ 2 = "idiag_timer";
        /// Retransmissions or probes.
        retrans: u8 @ 3 = "idiag_retrans";
        /// Source port.
        sport: be16 @ 4 = "id.idiag_sport";
        /// Destination port.
        dport: be16 @ 6 = "id.idiag_dport";
        /// Source address.
        src: [u8; 16] @ 8 = "id.idiag_src";
        /// Destination address.
        dst: [u8; 16] @ 24 = "id.idiag_dst";
        /// Interface.
        ifindex: u32 @ 40 = "id.idiag_if";
        /// Cookie, low word first.
        cookie: cookie @ 44 = "id.idiag_cookie";
        /// Time until the timer fires, in milliseconds.
        expires_ms: u32 @ 52 = "idiag_expires";
        /// Receive queue.
        rqueue: u32 @ 56 = "idiag_rqueue";
        /// Send queue.
        wqueue: u32 @ 60 = "idiag_wqueue";
        /// Owner.
        uid: u32 @ 64 = "idiag_uid";
        /// Inode.
        inode: u32 @ 68 = "idiag_inode";
    }
}

/// One socket, as an inet table reports it.
#[derive(Clone, Copy, Debug)]
pub struct InetDiagMsg<'a> {
    fixed: &'a [u8; MSG_LEN],
    rest: &'a [u8],
}

impl<'a> InetDiagMsg<'a> {
    /// Wraps a message's payload; `None` if the fixed part is incomplete.
    #[inline]
    pub fn new(payload: &'a [u8]) -> Option<Self> {
        let (fixed, rest) = payload.split_first_chunk()?;
        Some(Self { fixed, rest })
    }

    whole! {
        FixedPart of fixed:
        /// Address family: 2 is inet, 10 is inet6.
        family: u8;
        /// State number.
        state: u8;
        /// Which timer runs; 0 for none.
        timer: u8;
        /// Unanswered retransmissions or probes.
        retrans: u8;
        /// Local port, in host order.
        sport: u16;
        /// Remote port, in host order.
        dport: u16;
        /// Local address as sent: IPv4 in the first four bytes.
        src: [u8; 16];
        /// Remote address as sent: IPv4 in the first four bytes.
        dst: [u8; 16];
        /// Interface that the socket is bound to; 0 for none.
        ifindex: u32;
        /// Time until the timer fires, in milliseconds.
        expires_ms: u32;
        /// Receive queue in bytes; for a listener, the number of waiting connections.
        rqueue: u32;
        /// Send queue in bytes; for a listener, the backlog limit.
        wqueue: u32;
        /// Owner, as a uid.
        uid: u32;
        /// Inode; 0 if no process holds the socket.
        inode: u32;
        /// The socket's cookie, an id that the kernel does not reuse; the second word is the
        /// high one.
        cookie: u64;
    }

    /// The 48 bytes of ports, addresses, interface and cookie as sent, for use in a later
    /// request.
    pub fn id_bytes(self) -> &'a [u8] {
        self.fixed.get(ID..ID + ID_LEN).unwrap_or_default()
    }

    /// The attributes.
    #[inline]
    pub fn attrs(self) -> InetAttrs<'a> {
        InetAttrs::parse(self.rest)
    }
}

/// Offsets of the first attribute of each kind, in units of [`ALIGNMENT`]: one byte per kind,
/// zero if the offset does not fit.
///
/// The bytes are kept in three words rather than an array: a decoded row is copied, and
/// copying what was just stored byte by byte is slow.
#[derive(Clone, Copy, Debug, Default)]
struct Offsets {
    /// Kinds 0 to 7, 8 to 15 and 16 to 23.
    low: u64,
    middle: u64,
    high: u64,
}

const _: () = assert!(INET_DIAG_SOCKOPT < 24, "every kind has an offset");

impl Offsets {
    #[inline]
    fn get(self, kind: u16) -> u8 {
        let word = match kind {
            0..8 => self.low,
            8..16 => self.middle,
            16..24 => self.high,
            _ => 0,
        };
        (word >> (8 * (kind % 8))) as u8
    }

    /// Records the offset of the first attribute of a kind.
    #[inline]
    fn note(&mut self, kind: u16, begin: usize) {
        let word = match kind {
            0..8 => &mut self.low,
            8..16 => &mut self.middle,
            16..24 => &mut self.high,
            _ => return,
        };
        *word |= u64::from(u8::try_from(begin / ALIGNMENT).unwrap_or(0)) << (8 * (kind % 8));
    }
}

/// Up to this many bytes of attributes, a linear search beats building the index.
const FEW: usize = 64;

/// The attributes of a message, by kind.
///
/// `INET_DIAG_INFO`, which every detail of a TCP row reads, is also stored as a slice.
#[derive(Clone, Copy, Debug)]
pub struct InetAttrs<'a> {
    bytes: &'a [u8],
    /// A bit for each kind of attribute in the message.
    sent: u32,
    /// Empty if there are at most [`FEW`] bytes of attributes, which are searched instead.
    offsets: Offsets,
    info: Option<&'a [u8]>,
}

/// The bit of a kind; 0 for unknown kinds.
#[inline]
const fn bit(kind: u16) -> u32 {
    if kind <= INET_DIAG_SOCKOPT { 1 << kind } else { 0 }
}

impl<'a> InetAttrs<'a> {
    /// Indexes attributes; the first of a kind wins.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Self {
        let (mut sent, mut offsets) = (0, Offsets::default());
        let mut list = attrs(bytes);
        if bytes.len() <= FEW {
            list.for_each(|attr| sent |= bit(attr.kind));
        } else {
            loop {
                let begin = bytes.len() - list.remnant();
                let Some(attr) = list.next() else { break };
                if sent & bit(attr.kind) == 0 {
                    offsets.note(attr.kind, begin);
                }
                sent |= bit(attr.kind);
            }
        }
        let mut attrs = Self { bytes, sent, offsets, info: None };
        attrs.info = attrs.get(INET_DIAG_INFO);
        attrs
    }

    /// The value of an attribute; `None` if it was not sent.
    #[inline]
    pub fn get(&self, kind: u16) -> Option<&'a [u8]> {
        if self.sent & bit(kind) == 0 {
            return None;
        }
        // The offset is zero if it is not known, so the search then starts at the first
        // attribute.
        let begin = usize::from(self.offsets.get(kind)) * ALIGNMENT;
        attrs(self.bytes.get(begin..)?).find(|attr| attr.kind == kind).map(|attr| attr.payload)
    }

    /// `tcp_info`; the caller checks that the protocol gives `INFO` this meaning.
    #[inline]
    pub fn tcp_info(&self) -> Option<TcpInfo<'a>> {
        self.info.map(TcpInfo::new)
    }

    /// `mptcp_info`; the caller checks that the protocol is MPTCP.
    pub fn mptcp_info(&self) -> Option<MptcpInfo<'a>> {
        self.get(INET_DIAG_INFO).map(MptcpInfo::new)
    }

    /// `sctp_info`; the caller checks that the protocol is SCTP.
    pub fn sctp_info(&self) -> Option<SctpInfo<'a>> {
        self.get(INET_DIAG_INFO).map(SctpInfo::new)
    }

    /// SCTP: the local addresses.
    pub fn locals(&self) -> Option<SockAddrs<'a>> {
        self.get(INET_DIAG_LOCALS).map(SockAddrs::new)
    }

    /// SCTP: the addresses of the peer.
    pub fn peers(&self) -> Option<SockAddrs<'a>> {
        self.get(INET_DIAG_PEERS).map(SockAddrs::new)
    }

    /// The memory report of older kernels.
    pub fn mem_info(&self) -> Option<MemInfo<'a>> {
        self.get(INET_DIAG_MEMINFO).map(MemInfo::new)
    }

    /// The memory report.
    pub fn sk_mem_info(&self) -> Option<SkMemInfo<'a>> {
        self.get(INET_DIAG_SKMEMINFO).map(SkMemInfo::new)
    }

    /// Name of the congestion control algorithm.
    pub fn congestion(&self) -> Option<&'a [u8]> {
        self.get(INET_DIAG_CONG).map(c_text)
    }

    /// Type of service.
    pub fn tos(&self) -> Option<u8> {
        u8_at(self.get(INET_DIAG_TOS)?, 0)
    }

    /// Traffic class.
    pub fn tclass(&self) -> Option<u8> {
        u8_at(self.get(INET_DIAG_TCLASS)?, 0)
    }

    /// Class id, or the priority if no class is set.
    pub fn class_id(&self) -> Option<u32> {
        u32_at(self.get(INET_DIAG_CLASS_ID)?, 0)
    }

    /// Directions shut down: 1 receiving, 2 sending.
    pub fn shutdown(&self) -> Option<u8> {
        u8_at(self.get(INET_DIAG_SHUTDOWN)?, 0)
    }

    /// IP protocol.
    #[inline]
    pub fn protocol(&self) -> Option<u8> {
        u8_at(self.get(INET_DIAG_PROTOCOL)?, 0)
    }

    /// Whether the socket accepts IPv6 only (0 or 1).
    #[inline]
    pub fn v6only(&self) -> Option<u8> {
        u8_at(self.get(INET_DIAG_SKV6ONLY)?, 0)
    }

    /// Firewall mark.
    pub fn mark(&self) -> Option<u32> {
        u32_at(self.get(INET_DIAG_MARK)?, 0)
    }

    /// Cgroup v2 id.
    #[inline]
    pub fn cgroup_id(&self) -> Option<u64> {
        u64_at(self.get(INET_DIAG_CGROUP_ID)?, 0)
    }

    /// Socket options; `None` unless both bytes were sent.
    pub fn sockopt(&self) -> Option<SockOpt<'a>> {
        let bytes = self.get(INET_DIAG_SOCKOPT)?;
        array_at::<2>(bytes, 0)?;
        Some(SockOpt::new(bytes))
    }

    /// The data of Vegas.
    pub fn vegas(&self) -> Option<VegasInfo<'a>> {
        self.get(INET_DIAG_VEGASINFO).map(VegasInfo::new)
    }

    /// The data of DCTCP.
    pub fn dctcp(&self) -> Option<DctcpInfo<'a>> {
        self.get(INET_DIAG_DCTCPINFO).map(DctcpInfo::new)
    }

    /// The data of BBR.
    pub fn bbr(&self) -> Option<BbrInfo<'a>> {
        self.get(INET_DIAG_BBRINFO).map(BbrInfo::new)
    }

    /// MD5 keys.
    pub fn md5sigs(&self) -> Option<Md5Sigs<'a>> {
        self.get(INET_DIAG_MD5SIG).map(Md5Sigs::new)
    }

    /// The protocol layered on TCP.
    pub fn ulp(&self) -> Option<Ulp<'a>> {
        self.get(INET_DIAG_ULP_INFO).map(Ulp::new)
    }

    /// Values of BPF maps.
    #[inline]
    pub fn bpf_storages(&self) -> Option<BpfStorages<'a>> {
        self.get(INET_DIAG_SK_BPF_STORAGES).map(BpfStorages::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr::put;

    #[test]
    fn fixed_part_is_all_or_nothing() {
        let bytes: Vec<u8> = (0..100).collect();
        for len in 0..bytes.len() {
            assert_eq!(InetDiagMsg::new(&bytes[..len]).is_some(), len >= MSG_LEN, "len {len}");
        }
        let msg = InetDiagMsg::new(&bytes).unwrap();
        assert_eq!((msg.family(), msg.state(), msg.timer(), msg.retrans()), (0, 1, 2, 3));
        assert_eq!((msg.sport(), msg.dport()), (0x0405, 0x0607));
        assert_eq!(msg.cookie() as u32, u32::from_ne_bytes([44, 45, 46, 47]));
        assert_eq!((msg.cookie() >> 32) as u32, u32::from_ne_bytes([48, 49, 50, 51]));
        assert_eq!(msg.id_bytes(), &bytes[4..52]);
        assert_eq!(msg.inode(), u32::from_ne_bytes([68, 69, 70, 71]));
    }

    #[test]
    fn the_first_attribute_of_a_kind_wins_and_unknown_ones_are_passed_over() {
        let mut bytes = Vec::new();
        put(&mut bytes, 900, b"unknown");
        put(&mut bytes, INET_DIAG_TOS, &[7]);
        put(&mut bytes, INET_DIAG_TOS, &[8]);
        put(&mut bytes, INET_DIAG_CONG, b"cubic\0junk");
        put(&mut bytes, INET_DIAG_SOCKOPT, &[1]);
        put(&mut bytes, INET_DIAG_CGROUP_ID, &[0; 7]);
        assert!(bytes.len() <= FEW, "looked through");
        let (mut many, mut far) = (bytes.clone(), Vec::new());
        put(&mut many, 901, &[0; FEW]);
        put(&mut far, 901, &[0; 1000]);
        far.extend_from_slice(&bytes);
        for bytes in [bytes, many, far] {
            let attrs = InetAttrs::parse(&bytes);
            assert_eq!(attrs.tos(), Some(7));
            assert_eq!(attrs.congestion(), Some(&b"cubic"[..]));
            assert!(attrs.sockopt().is_none() && attrs.cgroup_id().is_none() && attrs.mark().is_none());
            assert_eq!((attrs.get(4000), attrs.get(901), attrs.get(32)), (None, None, None));
        }
    }
}
