//! `struct tcp_info`: the payload of `INET_DIAG_INFO`.
//!
//! The kernel only appends to this struct, so an old kernel sends a prefix of our layout and a
//! new one appends members that we do not know.  Accessors return `None` past the end of what
//! was sent: "not reported" must never become "zero" before the renderer, which alone knows
//! that `ss` prints neither.  One word changed its meaning but not its offset: see
//! [`TcpInfo::accecn_word`].
//!
//! Source: linux/tcp.h, Linux 7.3.

use crate::bytes::{u16_at, u32_at};
use crate::layout::{constants, view};

constants! {
    /// Bits of `options`.
    OPTION_BITS in "linux/tcp.h": u8 {
        /// Timestamps.
        TCPI_OPT_TIMESTAMPS = 1;
        /// Selective acknowledgements.
        TCPI_OPT_SACK = 2;
        /// Window scaling.
        TCPI_OPT_WSCALE = 4;
        /// Explicit congestion notification.
        TCPI_OPT_ECN = 8;
        /// A packet with an ECN mark arrived.
        TCPI_OPT_ECN_SEEN = 16;
        /// Data in the SYN was acknowledged.
        TCPI_OPT_SYN_DATA = 32;
        /// Timestamps in microseconds.
        TCPI_OPT_USEC_TS = 64;
        /// Accepted through TCP Fast Open.
        TCPI_OPT_TFO_CHILD = 128;
    }
}

constants! {
    /// Values of `ca_state`.
    CA_STATES in "linux/tcp.h": u8 {
        /// Normal operation.
        TCP_CA_OPEN = 0, "TCP_CA_Open";
        /// Duplicate acknowledgements or gaps were seen.
        TCP_CA_DISORDER = 1, "TCP_CA_Disorder";
        /// The window is being reduced, after an ECN echo or local congestion.
        TCP_CA_CWR = 2;
        /// Fast recovery.
        TCP_CA_RECOVERY = 3, "TCP_CA_Recovery";
        /// Recovery from a timeout.
        TCP_CA_LOSS = 4, "TCP_CA_Loss";
    }
}

constants! {
    /// Values of `fastopen_client_fail`.
    FASTOPEN_FAILS in "linux/tcp.h": u8 {
        /// No failure is known.
        TFO_STATUS_UNSPEC = 0;
        /// No cookie was available.
        TFO_COOKIE_UNAVAILABLE = 1;
        /// The peer did not acknowledge the data in the SYN.
        TFO_DATA_NOT_ACKED = 2;
        /// The SYN was retransmitted.
        TFO_SYN_RETRANSMITTED = 3;
    }
}

constants! {
    /// Values of `ecn_mode` and `accecn_opt_seen`.
    ECN_VALUES in "linux/tcp.h": u8 {
        /// No ECN.
        TCPI_ECN_MODE_DISABLED = 0;
        /// ECN of RFC 3168.
        TCPI_ECN_MODE_RFC3168 = 1;
        /// Accurate ECN.
        TCPI_ECN_MODE_ACCECN = 2;
        /// Not negotiated yet.
        TCPI_ECN_MODE_PENDING = 3;
        /// No accurate-ECN option was received.
        TCP_ACCECN_OPT_NOT_SEEN = 0;
        /// An option without counters was received.
        TCP_ACCECN_OPT_EMPTY_SEEN = 1;
        /// An option with counters was received.
        TCP_ACCECN_OPT_COUNTER_SEEN = 2;
        /// A corrupted option was received.
        TCP_ACCECN_OPT_FAIL_SEEN = 3;
    }
}

view! {
    /// A borrowed view of one `tcp_info`; holds whatever the kernel sent.
    TcpInfo = "struct tcp_info" in "linux/tcp.h" {
        /// State of the connection.
        state: u8 @ 0 = "tcpi_state";
        /// Congestion state: 0 open, 1 disorder, 2 CWR, 3 recovery, 4 loss.
        ca_state: u8 @ 1 = "tcpi_ca_state";
        /// Consecutive timeouts.
        retransmits: u8 @ 2 = "tcpi_retransmits";
        /// Unanswered zero-window or keepalive probes.
        probes: u8 @ 3 = "tcpi_probes";
        /// Number of times the timeout was doubled.
        backoff: u8 @ 4 = "tcpi_backoff";
        /// Negotiated options, `TCPI_OPT_*`.
        options: u8 @ 5 = "tcpi_options";
        /// Retransmission timeout, in microseconds.
        rto_us: u32 @ 8 = "tcpi_rto";
        /// Delayed-acknowledgement timeout, in microseconds.
        ato_us: u32 @ 12 = "tcpi_ato";
        /// Maximum segment size for sending, in bytes.
        snd_mss: u32 @ 16 = "tcpi_snd_mss";
        /// Estimated segment size of the peer, in bytes.
        rcv_mss: u32 @ 20 = "tcpi_rcv_mss";
        /// Segments sent and not acknowledged; for a listener, connections waiting.
        unacked: u32 @ 24 = "tcpi_unacked";
        /// Segments acknowledged selectively; for a listener, the backlog limit.
        sacked: u32 @ 28 = "tcpi_sacked";
        /// Segments believed lost.
        lost: u32 @ 32 = "tcpi_lost";
        /// Segments retransmitted and not acknowledged.
        retrans: u32 @ 36 = "tcpi_retrans";
        /// Segments up to the highest selectively acknowledged one.
        fackets: u32 @ 40 = "tcpi_fackets";
        /// Time since data was sent, in milliseconds.
        last_data_sent_ms: u32 @ 44 = "tcpi_last_data_sent";
        /// Never filled in by the kernel: always zero.
        last_ack_sent_ms: u32 @ 48 = "tcpi_last_ack_sent";
        /// Time since data arrived, in milliseconds.
        last_data_recv_ms: u32 @ 52 = "tcpi_last_data_recv";
        /// Time since an acknowledgement arrived, in milliseconds.
        last_ack_recv_ms: u32 @ 56 = "tcpi_last_ack_recv";
        /// Path MTU, in bytes.
        pmtu: u32 @ 60 = "tcpi_pmtu";
        /// Current limit of the announced window, in bytes.
        rcv_ssthresh: u32 @ 64 = "tcpi_rcv_ssthresh";
        /// Smoothed round-trip time, in microseconds; zero before the first measurement.
        rtt_us: u32 @ 68 = "tcpi_rtt";
        /// Deviation of the round-trip time, in microseconds.
        rttvar_us: u32 @ 72 = "tcpi_rttvar";
        /// Slow-start threshold, in segments; 0x7fffffff is none.
        snd_ssthresh: u32 @ 76 = "tcpi_snd_ssthresh";
        /// Congestion window, in segments.
        snd_cwnd: u32 @ 80 = "tcpi_snd_cwnd";
        /// Maximum segment size announced to the peer, in bytes.
        advmss: u32 @ 84 = "tcpi_advmss";
        /// Reordering tolerated before a loss is assumed, in segments.
        reordering: u32 @ 88 = "tcpi_reordering";
        /// Round-trip time estimated by the receiver, in microseconds.
        rcv_rtt_us: u32 @ 92 = "tcpi_rcv_rtt";
        /// Receive buffer that the reading rate calls for, in bytes.
        rcv_space: u32 @ 96 = "tcpi_rcv_space";
        /// Segments retransmitted since the start of the connection.
        total_retrans: u32 @ 100 = "tcpi_total_retrans";
        /// Pacing rate, in bytes per second; all ones if unlimited.
        pacing_rate: u64 @ 104 = "tcpi_pacing_rate";
        /// Limit of the pacing rate, in bytes per second; all ones if there is none.
        max_pacing_rate: u64 @ 112 = "tcpi_max_pacing_rate";
        /// Bytes acknowledged by the peer.
        bytes_acked: u64 @ 120 = "tcpi_bytes_acked";
        /// Bytes received in order.
        bytes_received: u64 @ 128 = "tcpi_bytes_received";
        /// Segments sent.
        segs_out: u32 @ 136 = "tcpi_segs_out";
        /// Segments received.
        segs_in: u32 @ 140 = "tcpi_segs_in";
        /// Bytes written and not yet sent.
        notsent_bytes: u32 @ 144 = "tcpi_notsent_bytes";
        /// Smallest recent round-trip time, in microseconds; all ones before the first
        /// measurement.
        min_rtt_us: u32 @ 148 = "tcpi_min_rtt";
        /// Segments received that carry data.
        data_segs_in: u32 @ 152 = "tcpi_data_segs_in";
        /// Segments sent that carry data.
        data_segs_out: u32 @ 156 = "tcpi_data_segs_out";
        /// Delivery rate, in bytes per second.
        delivery_rate: u64 @ 160 = "tcpi_delivery_rate";
        /// Time with unacknowledged data, in microseconds.
        busy_time_us: u64 @ 168 = "tcpi_busy_time";
        /// Part of the busy time limited by the peer's window, in microseconds.
        rwnd_limited_us: u64 @ 176 = "tcpi_rwnd_limited";
        /// Part of the busy time limited by the send buffer, in microseconds.
        sndbuf_limited_us: u64 @ 184 = "tcpi_sndbuf_limited";
        /// Segments delivered.
        delivered: u32 @ 192 = "tcpi_delivered";
        /// Segments delivered with a congestion mark.
        delivered_ce: u32 @ 196 = "tcpi_delivered_ce";
        /// Bytes of data sent, including retransmissions.
        bytes_sent: u64 @ 200 = "tcpi_bytes_sent";
        /// Bytes of data retransmitted.
        bytes_retrans: u64 @ 208 = "tcpi_bytes_retrans";
        /// Segments that the peer reported as duplicates.
        dsack_dups: u32 @ 216 = "tcpi_dsack_dups";
        /// Reordering events detected.
        reord_seen: u32 @ 220 = "tcpi_reord_seen";
        /// Segments received out of order.
        rcv_ooopack: u32 @ 224 = "tcpi_rcv_ooopack";
        /// Window announced by the peer, in bytes.
        snd_wnd: u32 @ 228 = "tcpi_snd_wnd";
        /// Window announced to the peer, in bytes.
        rcv_wnd: u32 @ 232 = "tcpi_rcv_wnd";
        /// Number of times another path was tried after a timeout.
        rehash: u32 @ 236 = "tcpi_rehash";
        /// Retransmission timeouts.
        total_rto: u16 @ 240 = "tcpi_total_rto";
        /// Number of recoveries from retransmission timeouts.
        total_rto_recoveries: u16 @ 242 = "tcpi_total_rto_recoveries";
        /// Time spent in these recoveries, in milliseconds.
        total_rto_time_ms: u32 @ 244 = "tcpi_total_rto_time";
        /// Segments received with a congestion mark.
        received_ce: u32 @ 248 = "tcpi_received_ce";
        /// Bytes delivered with ECT(1).
        delivered_e1_bytes: u32 @ 252 = "tcpi_delivered_e1_bytes";
        /// Bytes delivered with ECT(0).
        delivered_e0_bytes: u32 @ 256 = "tcpi_delivered_e0_bytes";
        /// Bytes delivered with a congestion mark.
        delivered_ce_bytes: u32 @ 260 = "tcpi_delivered_ce_bytes";
        /// Bytes received with ECT(1).
        received_e1_bytes: u32 @ 264 = "tcpi_received_e1_bytes";
        /// Bytes received with ECT(0).
        received_e0_bytes: u32 @ 268 = "tcpi_received_e0_bytes";
        /// Bytes received with a congestion mark.
        received_ce_bytes: u32 @ 272 = "tcpi_received_ce_bytes";
    }
    bits {
        /// Window scale of the peer.
        snd_wscale: u8 @ 6 . 0 + 4 = "tcpi_snd_wscale";
        /// Window scale of this end.
        rcv_wscale: u8 @ 6 . 4 + 4 = "tcpi_rcv_wscale";
        /// Whether the delivery rate is limited by the application (0 or 1).
        delivery_rate_app_limited: u8 @ 7 . 0 + 1 = "tcpi_delivery_rate_app_limited";
        /// Why fast open failed: 0 unknown, 1 no cookie, 2 data not acknowledged, 3 SYN
        /// retransmitted.
        fastopen_client_fail: u8 @ 7 . 1 + 2 = "tcpi_fastopen_client_fail";
        /// Mode of ECN, since Linux 7.0: 0 off, 1 RFC 3168, 2 accurate, 3 pending.
        ecn_mode: u32 @ 276 . 0 + 2 = "tcpi_ecn_mode";
        /// Accurate-ECN option, since Linux 7.0: 0 not seen, 1 empty, 2 counters, 3 failed.
        accecn_opt_seen: u32 @ 276 . 2 + 2 = "tcpi_accecn_opt_seen";
        /// How accurate ECN failed, since Linux 7.0: 1 ACE sending, 2 ACE receiving, 4 option sending,
        /// 8 option receiving.
        accecn_fail_mode: u32 @ 276 . 4 + 4 = "tcpi_accecn_fail_mode";
        /// Further options, since Linux 7.0; none is defined yet.
        options2: u32 @ 276 . 8 + 24 = "tcpi_options2";
    }
}

/// Offset of the word about accurate ECN.
const ACCECN: usize = TcpInfo::LAYOUT.offset("tcpi_ecn_mode");

impl TcpInfo<'_> {
    /// The word about accurate ECN, as sent.
    ///
    /// Linux 6.18 and 6.19 store two 16-bit numbers here, 7.0 and later store bit-fields; only
    /// the kernel's release tells which.
    pub fn accecn_word(self) -> Option<u32> {
        u32_at(self.bytes(), ACCECN)
    }

    /// How accurate ECN failed, in the layout of Linux 6.18 and 6.19.
    pub fn accecn_fail_mode_6_18(self) -> Option<u16> {
        u16_at(self.bytes(), ACCECN)
    }

    /// State of the accurate-ECN option, in the layout of Linux 6.18 and 6.19.
    pub fn accecn_opt_seen_6_18(self) -> Option<u16> {
        u16_at(self.bytes(), ACCECN + 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_safe_to_read() {
        let bytes = [0xff_u8; 300];
        for len in 0..bytes.len() {
            let info = TcpInfo::new(&bytes[..len]);
            assert_eq!(info.state().is_some(), len >= 1, "len {len}");
            assert_eq!(info.snd_wscale().is_some(), len >= 7, "len {len}");
            assert_eq!(info.rcv_wscale(), (len >= 7).then_some(15), "len {len}");
            assert_eq!(info.fastopen_client_fail(), (len >= 8).then_some(3), "len {len}");
            assert_eq!(info.rtt_us().is_some(), len >= 72, "len {len}");
            assert_eq!(info.bytes_sent().is_some(), len >= 208, "len {len}");
            assert_eq!(info.rcv_ooopack().is_some(), len >= 228, "len {len}");
            assert_eq!(info.total_rto().is_some(), len >= 242, "len {len}");
            assert_eq!(info.ecn_mode(), (len >= 280).then_some(3), "len {len}");
            assert_eq!(info.options2(), (len >= 280).then_some(0xff_ffff), "len {len}");
            assert_eq!(info.accecn_opt_seen_6_18().is_some(), len >= 280, "len {len}");
        }
    }
    #[cfg(target_endian = "little")]
    #[test]
    fn the_word_about_accurate_ecn_reads_both_ways() {
        let mut bytes = [0_u8; 280];
        bytes[276..].copy_from_slice(&[0b1001_0110, 0x34, 0x12, 0x56]);
        let info = TcpInfo::new(&bytes);
        assert_eq!(info.accecn_word(), Some(0x5612_3496));
        assert_eq!(
            (info.ecn_mode(), info.accecn_opt_seen(), info.accecn_fail_mode()),
            (Some(2), Some(1), Some(9))
        );
        assert_eq!(info.options2(), Some(0x56_1234));
        assert_eq!((info.accecn_fail_mode_6_18(), info.accecn_opt_seen_6_18()), (Some(0x3496), Some(0x5612)));
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn bits_of_a_byte_are_told_apart() {
        let bytes = [0, 0, 0, 0, 0, 0, 0x7a, 0b101];
        let info = TcpInfo::new(&bytes);
        assert_eq!((info.snd_wscale(), info.rcv_wscale()), (Some(10), Some(7)));
        assert_eq!((info.delivery_rate_app_limited(), info.fastopen_client_fail()), (Some(1), Some(2)));
    }
}
