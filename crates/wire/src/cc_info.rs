//! What congestion control algorithms report about themselves.
//!
//! The request bit of Vegas asks for all of these structures; the kernel sends the one of the
//! socket's algorithm, and most algorithms have none.
//!
//! Source: linux/inet_diag.h, Linux 7.3.

use crate::layout::view;

view! {
    /// `INET_DIAG_VEGASINFO`.
    VegasInfo = "struct tcpvegas_info" in "linux/inet_diag.h" {
        /// Whether Vegas is currently active.
        enabled: u32 @ 0 = "tcpv_enabled";
        /// Round-trip measurements in this window.
        rttcnt: u32 @ 4 = "tcpv_rttcnt";
        /// Round-trip time, in microseconds; 0x7fffffff if not measured.
        rtt_us: u32 @ 8 = "tcpv_rtt";
        /// Smallest round-trip time, in microseconds.
        minrtt_us: u32 @ 12 = "tcpv_minrtt";
    }
}

view! {
    /// `INET_DIAG_DCTCPINFO`.
    DctcpInfo = "struct tcp_dctcp_info" in "linux/inet_diag.h" {
        /// Whether DCTCP is in effect; if not, it behaves like Reno.
        enabled: u16 @ 0 = "dctcp_enabled";
        /// Whether the last segment carried a congestion mark.
        ce_state: u16 @ 2 = "dctcp_ce_state";
        /// Estimated fraction of marked bytes, in units of 1/1024.
        alpha: u32 @ 4 = "dctcp_alpha";
        /// Marked bytes acknowledged in this window.
        ab_ecn: u32 @ 8 = "dctcp_ab_ecn";
        /// Bytes acknowledged in this window.
        ab_tot: u32 @ 12 = "dctcp_ab_tot";
    }
}

view! {
    /// `INET_DIAG_BBRINFO`.
    BbrInfo = "struct tcp_bbr_info" in "linux/inet_diag.h" {
        /// Low word of the bandwidth.
        bw_lo: u32 @ 0 = "bbr_bw_lo";
        /// High word of the bandwidth.
        bw_hi: u32 @ 4 = "bbr_bw_hi";
        /// Smallest round-trip time, in microseconds.
        min_rtt_us: u32 @ 8 = "bbr_min_rtt";
        /// Pacing gain, in units of 1/256.
        pacing_gain: u32 @ 12 = "bbr_pacing_gain";
        /// Window gain, in units of 1/256.
        cwnd_gain: u32 @ 16 = "bbr_cwnd_gain";
    }
}

impl BbrInfo<'_> {
    /// Bottleneck bandwidth, in bytes per second.
    pub fn bw(self) -> Option<u64> {
        Some(u64::from(self.bw_hi()?) << 32 | u64::from(self.bw_lo()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bandwidth_is_made_of_two_whole_words() {
        let bytes = [[1_u32, 2].map(u32::to_ne_bytes).concat(), vec![0; 4]].concat();
        for len in 0..=bytes.len() {
            assert_eq!(BbrInfo::new(&bytes[..len]).bw(), (len >= 8).then_some(0x2_0000_0001), "len {len}");
        }
    }
}
