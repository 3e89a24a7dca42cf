//! `struct mptcp_info`: the payload of `INET_DIAG_INFO` of an MPTCP socket.
//!
//! Like `tcp_info`, the struct only ever grows, so members past the end were not reported.
//! Accessors use the names that `ss` prints; where the kernel has since renamed a member, the
//! new name follows in parentheses.
//!
//! Source: linux/mptcp.h, Linux 7.3.

use crate::layout::{constants, view};

constants! {
    /// Bits of `flags`.
    FLAGS in "linux/mptcp.h": u32 {
        /// The connection fell back to plain TCP.
        MPTCP_INFO_FLAG_FALLBACK = 1;
        /// The peer's key arrived.
        MPTCP_INFO_FLAG_REMOTE_KEY_RECEIVED = 2;
    }
}

view! {
    /// A borrowed view of one `mptcp_info`; holds whatever the kernel sent.
    MptcpInfo = "struct mptcp_info" in "linux/mptcp.h" {
        /// Subflows beyond the first (`extra_subflows`).
        subflows: u8 @ 0 = "mptcpi_subflows";
        /// Addresses announced to the peer.
        add_addr_signal: u8 @ 1 = "mptcpi_add_addr_signal";
        /// Addresses of the peer that were accepted.
        add_addr_accepted: u8 @ 2 = "mptcpi_add_addr_accepted";
        /// Limit of `subflows` (`limit_extra_subflows`).
        subflows_max: u8 @ 3 = "mptcpi_subflows_max";
        /// Endpoints that may be announced (`endp_signal_max`).
        add_addr_signal_max: u8 @ 4 = "mptcpi_add_addr_signal_max";
        /// Limit of `add_addr_accepted` (`limit_add_addr_accepted`).
        add_addr_accepted_max: u8 @ 5 = "mptcpi_add_addr_accepted_max";
        /// Flags, `MPTCP_INFO_FLAG_*`.
        flags: u32 @ 8 = "mptcpi_flags";
        /// Token of this end, which identifies the connection.
        token: u32 @ 12 = "mptcpi_token";
        /// Next data sequence number to be written.
        write_seq: u64 @ 16 = "mptcpi_write_seq";
        /// First data sequence number that is not acknowledged.
        snd_una: u64 @ 24 = "mptcpi_snd_una";
        /// Next data sequence number expected.
        rcv_nxt: u64 @ 32 = "mptcpi_rcv_nxt";
        /// Local addresses used for subflows.
        local_addr_used: u8 @ 40 = "mptcpi_local_addr_used";
        /// Endpoints that may be used for subflows (`endp_subflow_max`).
        local_addr_max: u8 @ 41 = "mptcpi_local_addr_max";
        /// Whether data is checksummed (0 or 1).
        csum_enabled: u8 @ 42 = "mptcpi_csum_enabled";
        /// Retransmissions at the MPTCP level.
        retransmits: u32 @ 44 = "mptcpi_retransmits";
        /// Bytes retransmitted at the MPTCP level.
        bytes_retrans: u64 @ 48 = "mptcpi_bytes_retrans";
        /// Bytes sent, without retransmissions.
        bytes_sent: u64 @ 56 = "mptcpi_bytes_sent";
        /// Bytes received in order.
        bytes_received: u64 @ 64 = "mptcpi_bytes_received";
        /// Bytes acknowledged by the peer.
        bytes_acked: u64 @ 72 = "mptcpi_bytes_acked";
        /// Subflows, the first included.
        subflows_total: u8 @ 80 = "mptcpi_subflows_total";
        /// Endpoints marked laminar; since Linux 6.18.
        endp_laminar_max: u8 @ 81 = "mptcpi_endp_laminar_max";
        /// Endpoints marked fullmesh; since Linux 6.19.
        endp_fullmesh_max: u8 @ 82 = "mptcpi_endp_fullmesh_max";
        /// Time since data was sent, in milliseconds.
        last_data_sent_ms: u32 @ 84 = "mptcpi_last_data_sent";
        /// Time since data arrived, in milliseconds.
        last_data_recv_ms: u32 @ 88 = "mptcpi_last_data_recv";
        /// Time since an acknowledgement arrived, in milliseconds.
        last_ack_recv_ms: u32 @ 92 = "mptcpi_last_ack_recv";
    }
}
