//! Losses, retransmissions and buffers, and fields that `ss` does not print.
//!
//! Source: `struct tcp_info` (linux/tcp.h).

use sockdiag_wire::socket::TCP_LISTEN;
use sockdiag_wire::tcp_info::{
    TCP_CA_CWR, TCP_CA_DISORDER, TCP_CA_LOSS, TCP_CA_OPEN, TCP_CA_RECOVERY, TFO_COOKIE_UNAVAILABLE,
    TFO_DATA_NOT_ACKED, TFO_STATUS_UNSPEC, TFO_SYN_RETRANSMITTED,
};

use super::{counter, gauge, info, option_bit, tcp};
use crate::fields::{Field, Style, Text, Unit, Word};
use crate::model::Row;
use crate::number::{put_millis, put_signed, put_u64};

/// The kernel's number for a round-trip time that was not measured yet.
const NO_MIN_RTT: u32 = u32::MAX;

const CONGESTION_STATES: &[Word] = &[
    Word::new(TCP_CA_OPEN as u32, "open"),
    Word::new(TCP_CA_DISORDER as u32, "disorder"),
    Word::new(TCP_CA_CWR as u32, "cwr"),
    Word::new(TCP_CA_RECOVERY as u32, "recovery"),
    Word::new(TCP_CA_LOSS as u32, "loss"),
];

const FASTOPEN_FAILURES: &[Word] = &[
    Word::new(TFO_STATUS_UNSPEC as u32, "unspec|none"),
    Word::new(TFO_COOKIE_UNAVAILABLE as u32, "cookie-unavailable"),
    Word::new(TFO_DATA_NOT_ACKED as u32, "data-not-acked"),
    Word::new(TFO_SYN_RETRANSMITTED as u32, "syn-retransmitted"),
];

/// Losses, retransmissions and buffers.
pub(super) const LOSS: &[Field] = &[
    gauge(
        "tcp.unacked",
        info!(unacked),
        "Segments sent and not acknowledged; for a listener, connections in the accept queue.",
        "tcpi_unacked",
        Unit::Packets,
    )
    .text(Text::Nonzero("unacked")),
    gauge(
        "tcp.retrans",
        info!(retrans),
        "Segments retransmitted and not yet acknowledged.",
        "tcpi_retrans",
        Unit::Packets,
    )
    .shape("retrans:NOW/TOTAL")
    .text(Text::Custom(fmt_retrans)),
    counter(
        "tcp.total_retrans",
        info!(total_retrans),
        "Segments retransmitted since the start of the connection.",
        "tcpi_total_retrans",
        Unit::Packets,
    )
    .text(Text::PartOf("tcp.retrans")),
    gauge("tcp.lost", info!(lost), "Segments presumed lost.", "tcpi_lost", Unit::Packets)
        .text(Text::Nonzero("lost")),
    gauge(
        "tcp.sacked",
        info!(sacked),
        "Segments acknowledged by SACK; for a listener, the limit of the accept queue.",
        "tcpi_sacked",
        Unit::Packets,
    )
    .shape("sacked:N")
    .text(Text::Custom(|out, r, _| {
        let sacked = r.socket.tcp_info().and_then(|i| i.sacked());
        if let Some(sacked) = sacked.filter(|v| *v != 0 && r.socket.state != TCP_LISTEN) {
            out.extend_from_slice(b" sacked:");
            put_u64(out, u64::from(sacked));
        }
    })),
    counter(
        "tcp.dsack_dups",
        info!(dsack_dups),
        "Duplicate segments reported by the peer (DSACK).",
        "tcpi_dsack_dups",
        Unit::Packets,
    )
    .text(Text::Nonzero("dsack_dups")),
    gauge(
        "tcp.fackets",
        info!(fackets),
        "Segments up to the highest one acknowledged by SACK.",
        "tcpi_fackets",
        Unit::Packets,
    )
    .size()
    .text(Text::Nonzero("fackets")),
    gauge(
        "tcp.reordering",
        info!(reordering),
        "Reordering distance tolerated before a segment is presumed lost.",
        "tcpi_reordering",
        Unit::Packets,
    )
    .size()
    .shape("reordering:N")
    .text(Text::Custom(|out, r, _| {
        if let Some(info) = r.socket.tcp_info() {
            let reordering = info.reordering().unwrap_or(0);
            if reordering != 3 {
                out.extend_from_slice(b" reordering:");
                put_signed(out, reordering);
            }
        }
    })),
    counter(
        "tcp.reord_seen",
        info!(reord_seen),
        "Reordering events detected.",
        "tcpi_reord_seen",
        Unit::Packets,
    )
    .text(Text::NonzeroSigned("reord_seen")),
    gauge(
        "tcp.rcv_rtt_us",
        info!(rcv_rtt_us),
        "Round-trip time estimated by the receiver.",
        "tcpi_rcv_rtt",
        Unit::Microseconds,
    )
    .none(0)
    .text(Text::NonzeroMillis("rcv_rtt")),
    gauge(
        "tcp.rcv_space",
        info!(rcv_space),
        "Bytes read by the application per round trip, estimated for receive buffer auto-tuning.",
        "tcpi_rcv_space",
        Unit::Bytes,
    )
    .level()
    .text(Text::NonzeroSigned("rcv_space")),
    gauge(
        "tcp.rcv_ssthresh",
        info!(rcv_ssthresh),
        "Largest receive window that this end currently advertises.",
        "tcpi_rcv_ssthresh",
        Unit::Bytes,
    )
    .level()
    .text(Text::Nonzero("rcv_ssthresh")),
    gauge(
        "tcp.notsent_bytes",
        info!(notsent_bytes),
        "Bytes written and not yet sent.",
        "tcpi_notsent_bytes",
        Unit::Bytes,
    )
    .text(Text::Nonzero("notsent")),
    gauge(
        "tcp.min_rtt_us",
        info!(min_rtt_us),
        "Recent minimum round-trip time.",
        "tcpi_min_rtt",
        Unit::Microseconds,
    )
    .none(NO_MIN_RTT as i128)
    .shape("minrtt:MS")
    .text(Text::Custom(|out, r, _| {
        if let Some(rtt) =
            r.socket.tcp_info().and_then(|i| i.min_rtt_us()).filter(|v| !matches!(*v, 0 | NO_MIN_RTT))
        {
            out.extend_from_slice(b" minrtt:");
            put_millis(out, rtt);
        }
    })),
    counter(
        "tcp.rcv_ooopack",
        info!(rcv_ooopack),
        "Segments received out of order and queued.",
        "tcpi_rcv_ooopack",
        Unit::Packets,
    )
    .text(Text::Nonzero("rcv_ooopack")),
    gauge(
        "tcp.snd_wnd",
        info!(snd_wnd),
        "Receive window advertised by the peer.",
        "tcpi_snd_wnd",
        Unit::Bytes,
    )
    .level()
    .text(Text::Nonzero("snd_wnd")),
    gauge(
        "tcp.rcv_wnd",
        info!(rcv_wnd),
        "Receive window advertised by this end.",
        "tcpi_rcv_wnd",
        Unit::Bytes,
    )
    .level()
    .text(Text::Nonzero("rcv_wnd")),
    counter(
        "tcp.rehash",
        info!(rehash),
        "Flow rehashes, which may change the path, after timeouts or by PLB.",
        "tcpi_rehash",
        Unit::Count,
    )
    .text(Text::Nonzero("rehash")),
];

/// Fields that `ss` does not print.
pub(super) const SILENT: &[Field] = &[
    tcp("tcp.wscale", option_bit!(0x04), "Whether window scaling is in use.", "TCPI_OPT_WSCALE"),
    tcp(
        "tcp.ca_state",
        info!(ca_state),
        "Congestion control state; cwr means that the congestion window is being reduced.",
        "tcpi_ca_state",
    )
    .words(CONGESTION_STATES)
    .state(),
    gauge(
        "tcp.retransmits",
        info!(retransmits),
        "Consecutive retransmission timeouts without an acknowledgement.",
        "tcpi_retransmits",
        Unit::Count,
    ),
    gauge(
        "tcp.probes",
        info!(probes),
        "Unanswered zero-window or keepalive probes.",
        "tcpi_probes",
        Unit::Count,
    ),
    tcp(
        "tcp.fastopen_client_fail",
        info!(fastopen_client_fail),
        "Why TCP Fast Open failed, if it did.",
        "tcpi_fastopen_client_fail",
    )
    .words(FASTOPEN_FAILURES)
    .state(),
    tcp(
        "tcp.tfo_child",
        option_bit!(0x80),
        "Whether the connection was accepted by TCP Fast Open.",
        "TCPI_OPT_TFO_CHILD",
    ),
    counter("tcp.total_rto", info!(total_rto), "Retransmission timeouts.", "tcpi_total_rto", Unit::Count),
    counter(
        "tcp.total_rto_recoveries",
        info!(total_rto_recoveries),
        "Recoveries from retransmission timeouts.",
        "tcpi_total_rto_recoveries",
        Unit::Count,
    ),
    counter(
        "tcp.total_rto_time_ms",
        info!(total_rto_time_ms),
        "Time spent in recovery from retransmission timeouts.",
        "tcpi_total_rto_time",
        Unit::Milliseconds,
    ),
    counter(
        "tcp.received_ce",
        info!(received_ce),
        "Segments received with a CE mark.",
        "tcpi_received_ce",
        Unit::Packets,
    ),
    counter(
        "tcp.delivered_e1_bytes",
        info!(delivered_e1_bytes),
        "Bytes delivered to the peer marked ECT(1).",
        "tcpi_delivered_e1_bytes",
        Unit::Bytes,
    ),
    counter(
        "tcp.delivered_e0_bytes",
        info!(delivered_e0_bytes),
        "Bytes delivered to the peer marked ECT(0).",
        "tcpi_delivered_e0_bytes",
        Unit::Bytes,
    ),
    counter(
        "tcp.delivered_ce_bytes",
        info!(delivered_ce_bytes),
        "Bytes delivered to the peer with a CE mark.",
        "tcpi_delivered_ce_bytes",
        Unit::Bytes,
    ),
    counter(
        "tcp.received_e1_bytes",
        info!(received_e1_bytes),
        "Bytes received marked ECT(1).",
        "tcpi_received_e1_bytes",
        Unit::Bytes,
    ),
    counter(
        "tcp.received_e0_bytes",
        info!(received_e0_bytes),
        "Bytes received marked ECT(0).",
        "tcpi_received_e0_bytes",
        Unit::Bytes,
    ),
    counter(
        "tcp.received_ce_bytes",
        info!(received_ce_bytes),
        "Bytes received with a CE mark.",
        "tcpi_received_ce_bytes",
        Unit::Bytes,
    ),
    tcp(
        "tcp.accecn_word",
        info!(accecn_word),
        "Raw state of accurate ECN; the following fields are decoded from it.",
        "tcpi_ecn_mode, tcpi_accecn_opt_seen, tcpi_accecn_fail_mode, tcpi_options2",
    )
    .flags(&[]),
];

fn fmt_retrans(out: &mut Vec<u8>, row: &Row<'_>, _: Style) {
    let Some(info) = row.socket.tcp_info() else { return };
    let (now, total) = (info.retrans().unwrap_or(0), info.total_retrans().unwrap_or(0));
    if now != 0 || total != 0 {
        out.extend_from_slice(b" retrans:");
        put_u64(out, u64::from(now));
        out.push(b'/');
        put_u64(out, u64::from(total));
    }
}
