//! `struct sctp_info` and the address lists of an SCTP association.
//!
//! `INET_DIAG_INFO` of an SCTP socket holds this structure; `INET_DIAG_LOCALS` and
//! `INET_DIAG_PEERS` hold arrays of `struct sockaddr_storage`.
//!
//! Invariant: an address is absent unless its family is IPv4 or IPv6.
//!
//! Source: linux/sctp.h, Linux 7.3; sockaddr(3type), ipv6(7).

use crate::layout::{constants, view};
use crate::socket::{AF_INET, AF_INET6};

constants! {
    /// Values of `p_state`.
    PATH_STATES in "linux/sctp.h": u32 {
        /// Not in use.
        SCTP_INACTIVE = 0;
        /// Potentially failed.
        SCTP_PF = 1;
        /// In use.
        SCTP_ACTIVE = 2;
        /// Not yet confirmed by the peer.
        SCTP_UNCONFIRMED = 3;
        /// The state is not known.
        SCTP_UNKNOWN = 0xffff;
    }
}

view! {
    /// A borrowed view of one `sctp_info`; holds whatever the kernel sent.
    ///
    /// The prefix `p_` refers to the primary path, `s_` to the socket.
    SctpInfo = "struct sctp_info" in "linux/sctp.h" {
        /// Verification tag of this end.
        tag: u32 @ 0 = "sctpi_tag";
        /// State of the association (enum in the kernel's sctp/constants.h).
        state: u32 @ 4 = "sctpi_state";
        /// Receive window of this end, in bytes.
        rwnd: u32 @ 8 = "sctpi_rwnd";
        /// Chunks sent and not acknowledged.
        unackdata: u16 @ 12 = "sctpi_unackdata";
        /// Chunks received, not yet read.
        penddata: u16 @ 14 = "sctpi_penddata";
        /// Inbound streams.
        instrms: u16 @ 16 = "sctpi_instrms";
        /// Outbound streams.
        outstrms: u16 @ 18 = "sctpi_outstrms";
        /// Size above which a message is fragmented, in bytes.
        fragmentation_point: u32 @ 20 = "sctpi_fragmentation_point";
        /// Chunks in the receive queue.
        inqueue: u32 @ 24 = "sctpi_inqueue";
        /// Chunks in the send queue.
        outqueue: u32 @ 28 = "sctpi_outqueue";
        /// Consecutive errors on all paths.
        overall_error: u32 @ 32 = "sctpi_overall_error";
        /// Maximum number of packets in a burst.
        max_burst: u32 @ 36 = "sctpi_max_burst";
        /// Largest chunk of user data, in bytes.
        maxseg: u32 @ 40 = "sctpi_maxseg";
        /// Receive window of the peer, in bytes.
        peer_rwnd: u32 @ 44 = "sctpi_peer_rwnd";
        /// Verification tag of the peer.
        peer_tag: u32 @ 48 = "sctpi_peer_tag";
        /// Capabilities of the peer, one bit each.
        peer_capable: u8 @ 52 = "sctpi_peer_capable";
        /// Whether the next packet has to be acknowledged immediately (0 or 1).
        peer_sack: u8 @ 53 = "sctpi_peer_sack";
        /// Selective acknowledgements received.
        isacks: u64 @ 56 = "sctpi_isacks";
        /// Selective acknowledgements sent.
        osacks: u64 @ 64 = "sctpi_osacks";
        /// Packets sent.
        opackets: u64 @ 72 = "sctpi_opackets";
        /// Packets received.
        ipackets: u64 @ 80 = "sctpi_ipackets";
        /// Chunks retransmitted.
        rtxchunks: u64 @ 88 = "sctpi_rtxchunks";
        /// Chunks received beyond the expected sequence number.
        outofseqtsns: u64 @ 96 = "sctpi_outofseqtsns";
        /// Chunks received twice.
        idupchunks: u64 @ 104 = "sctpi_idupchunks";
        /// Gap acknowledgements received.
        gapcnt: u64 @ 112 = "sctpi_gapcnt";
        /// Unordered data chunks sent.
        ouodchunks: u64 @ 120 = "sctpi_ouodchunks";
        /// Unordered data chunks received.
        iuodchunks: u64 @ 128 = "sctpi_iuodchunks";
        /// Ordered data chunks sent.
        oodchunks: u64 @ 136 = "sctpi_oodchunks";
        /// Ordered data chunks received.
        iodchunks: u64 @ 144 = "sctpi_iodchunks";
        /// Control chunks sent.
        octrlchunks: u64 @ 152 = "sctpi_octrlchunks";
        /// Control chunks received.
        ictrlchunks: u64 @ 160 = "sctpi_ictrlchunks";
        /// Address of the primary path, a `sockaddr_storage`: see [`SockAddr`].
        p_address: [u8; 128] @ 168 = "sctpi_p_address";
        /// State of the primary path.
        p_state: i32 @ 296 = "sctpi_p_state";
        /// Congestion window of the primary path, in bytes.
        p_cwnd: u32 @ 300 = "sctpi_p_cwnd";
        /// Smoothed round-trip time of the primary path, in clock ticks of the kernel.
        p_srtt: u32 @ 304 = "sctpi_p_srtt";
        /// Retransmission timeout of the primary path, in milliseconds.
        p_rto: u32 @ 308 = "sctpi_p_rto";
        /// Interval of heartbeats on the primary path, in clock ticks of the kernel.
        p_hbinterval: u32 @ 312 = "sctpi_p_hbinterval";
        /// Number of errors after which the primary path is considered failed.
        p_pathmaxrxt: u32 @ 316 = "sctpi_p_pathmaxrxt";
        /// Maximum delay of an acknowledgement on the primary path, in milliseconds.
        p_sackdelay: u32 @ 320 = "sctpi_p_sackdelay";
        /// Number of packets after which the primary path acknowledges immediately.
        p_sackfreq: u32 @ 324 = "sctpi_p_sackfreq";
        /// Slow-start threshold of the primary path, in bytes.
        p_ssthresh: u32 @ 328 = "sctpi_p_ssthresh";
        /// Bytes acknowledged since the congestion window of the primary path last grew.
        p_partial_bytes_acked: u32 @ 332 = "sctpi_p_partial_bytes_acked";
        /// Bytes sent and not acknowledged on the primary path.
        p_flight_size: u32 @ 336 = "sctpi_p_flight_size";
        /// Consecutive errors on the primary path.
        p_error: u16 @ 340 = "sctpi_p_error";
        /// Idle time after which the association is closed, in seconds; 0 for never.
        s_autoclose_s: u32 @ 344 = "sctpi_s_autoclose";
        /// Adaptation layer indication to send.
        s_adaptation_ind: u32 @ 348 = "sctpi_s_adaptation_ind";
        /// Size at which partial delivery of a message starts, in bytes.
        s_pd_point: u32 @ 352 = "sctpi_s_pd_point";
        /// Whether small chunks are sent immediately (0 or 1).
        s_nodelay: u8 @ 356 = "sctpi_s_nodelay";
        /// Whether messages are never fragmented (0 or 1).
        s_disable_fragments: u8 @ 357 = "sctpi_s_disable_fragments";
        /// Whether IPv4 addresses are mapped to IPv6 (0 or 1).
        s_v4mapped: u8 @ 358 = "sctpi_s_v4mapped";
        /// Whether fragments of different messages may be interleaved.
        s_frag_interleave: u8 @ 359 = "sctpi_s_frag_interleave";
        /// Socket type: 0 is one-to-many, 1 is one-to-many high-bandwidth, 2 is one-to-one.
        s_type: u32 @ 360 = "sctpi_s_type";
        /// Not used by the kernel yet.
        reserved3: u32 @ 364 = "__reserved3";
    }
}

impl SctpInfo<'_> {
    /// Address of the primary path; `None` if it was not sent or is neither
    /// IPv4 nor IPv6.
    pub fn p_sockaddr(self) -> Option<SockAddr> {
        SockAddr::parse(&self.p_address()?)
    }
}

/// Length of a `struct sockaddr_storage`.
pub const SOCKADDR_STORAGE_LEN: usize = 128;

view! {
    /// The bytes of an IPv4 address.
    SockAddrInView = "struct sockaddr_in" in "netinet/in.h" {
        /// Address family.
        family: u16 @ 0 = "sin_family";
        /// Port, in host order.
        port: be16 @ 2 = "sin_port";
        /// Address, in network order.
        addr: [u8; 4] @ 4 = "sin_addr";
        /// Padding.
        zero: [u8; 8] @ 8 = "sin_zero";
    }
}

view! {
    /// The bytes of an IPv6 address.
    SockAddrIn6View = "struct sockaddr_in6" in "netinet/in.h" {
        /// Address family.
        family: u16 @ 0 = "sin6_family";
        /// Port, in host order.
        port: be16 @ 2 = "sin6_port";
        /// Flow label and traffic class.
        flowinfo: u32 @ 4 = "sin6_flowinfo";
        /// Address, in network order.
        addr: [u8; 16] @ 8 = "sin6_addr";
        /// Interface of a link-local address; 0 for none.
        scope_id: u32 @ 24 = "sin6_scope_id";
    }
}

/// An address of an association.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SockAddr {
    /// An IPv4 address.
    Inet {
        /// The address, in network order.
        addr: [u8; 4],
        /// The port, in host order.
        port: u16,
    },
    /// An IPv6 address.
    Inet6 {
        /// The address, in network order.
        addr: [u8; 16],
        /// The port, in host order.
        port: u16,
        /// Interface of a link-local address; 0 for none.
        scope_id: u32,
    },
}

impl SockAddr {
    /// Parses a `struct sockaddr_storage`; `None` if it is too short for its family, or if the
    /// family is neither `AF_INET` nor `AF_INET6`.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (inet, inet6) = (SockAddrInView::new(bytes), SockAddrIn6View::new(bytes));
        match u8::try_from(inet.family()?).ok()? {
            AF_INET => Some(Self::Inet { addr: inet.addr()?, port: inet.port()? }),
            AF_INET6 => {
                Some(Self::Inet6 { addr: inet6.addr()?, port: inet6.port()?, scope_id: inet6.scope_id()? })
            }
            _ => None,
        }
    }
}

/// A list of addresses, in order.  Addresses of unknown families and an incomplete last one
/// are skipped.
#[derive(Clone, Debug)]
pub struct SockAddrs<'a>(std::slice::ChunksExact<'a, u8>);

impl<'a> SockAddrs<'a> {
    /// Splits an attribute's value into addresses.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes.chunks_exact(SOCKADDR_STORAGE_LEN))
    }
}

impl Iterator for SockAddrs<'_> {
    type Item = SockAddr;

    fn next(&mut self) -> Option<SockAddr> {
        self.0.find_map(SockAddr::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storage(family: u16, fill: u8) -> Vec<u8> {
        let mut bytes = family.to_ne_bytes().to_vec();
        bytes.resize(SOCKADDR_STORAGE_LEN, fill);
        bytes
    }

    #[test]
    fn whole_addresses_of_known_families_are_listed() {
        let bytes = [storage(2, 1), storage(7, 2), storage(10, 3), storage(2, 4)].concat();
        let all = [
            SockAddr::Inet { addr: [1; 4], port: 0x0101 },
            SockAddr::Inet6 { addr: [3; 16], port: 0x0303, scope_id: 0x0303_0303 },
            SockAddr::Inet { addr: [4; 4], port: 0x0404 },
        ];
        for len in 0..=bytes.len() {
            let want = [128, 384, 512].iter().filter(|end| len >= **end).count();
            assert_eq!(SockAddrs::new(&bytes[..len]).collect::<Vec<_>>(), all[..want], "len {len}");
        }
    }

    #[test]
    fn the_primary_path_has_an_address_once_all_of_it_is_there() {
        let bytes = [vec![0; 168], storage(2, 9)].concat();
        for len in 0..=bytes.len() {
            assert_eq!(SctpInfo::new(&bytes[..len]).p_sockaddr().is_some(), len == 296, "len {len}");
        }
    }
}
