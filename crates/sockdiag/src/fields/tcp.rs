//! What TCP tells of a connection.
//!
//! Rows in the order in which `ss -i` prints them; the silent ones at the end
//! are newer than `ss`.  A kernel sends as much of `struct tcp_info` as it
//! knows: what it did not send is absent, and printed as nothing (with one
//! exception that scripts see: an absent `reordering` prints as 0).
//!
//! Source: `struct tcp_info` (linux/tcp.h); proc_net_tcp.rst.

use super::{Accessor, Field, Groups, Metric, Needs, Style, Text, Unit, Value, congestion};
use crate::model::Row;
use crate::model::proc_line::USER_HZ;
use crate::number::{put_g, put_i64, put_millis, put_rate, put_signed, put_u64};

macro_rules! info {
    ($method:ident) => {
        |r| Some(r.socket.tcp_info()?.$method()?.into())
    };
}

/// Reads one of the `TCPI_OPT_*` bits.
macro_rules! option_bit {
    ($bit:literal) => {
        |r| Some((r.socket.tcp_info()?.options()? & $bit != 0).into())
    };
}

const fn tcp(name: &'static str, get: Accessor, doc: &'static str, source: &'static str) -> Field {
    Field::new(name, get, doc, source).needs(Needs::INFO).group(Groups::INFO)
}

const fn word(name: &'static str, get: Accessor, doc: &'static str, source: &'static str, text: &'static str) -> Field {
    tcp(name, get, doc, source).only_with(Groups::OPTIONS).text(Text::Word(text))
}

const fn gauge(name: &'static str, get: Accessor, doc: &'static str, source: &'static str, unit: Unit) -> Field {
    tcp(name, get, doc, source).unit(unit)
}

const fn counter(name: &'static str, get: Accessor, doc: &'static str, source: &'static str, unit: Unit) -> Field {
    let mut field = tcp(name, get, doc, source).unit(unit);
    field.metric = Metric::Counter;
    field
}

const RTT: Text = Text::PartOf("tcp.rtt_us");

macro_rules! rows {
    ($($list:expr),* $(,)?) => {{
        const LISTS: &[&[Field]] = &[$($list),*];
        const LEN: usize = { let mut n = 0; let mut i = 0; while i < LISTS.len() { n += LISTS[i].len(); i += 1; } n };
        const ROWS: [Field; LEN] = {
            let mut rows = [congestion::NAME; LEN];
            let (mut at, mut i) = (0, 0);
            while i < LISTS.len() {
                let mut j = 0;
                while j < LISTS[i].len() { rows[at] = LISTS[i][j]; at += 1; j += 1; }
                i += 1;
            }
            rows
        };
        &ROWS
    }};
}

/// Rows of `-i` for TCP, congestion control in its place among them.
pub(super) const TCP: &[Field] = rows![WORDS, &[congestion::NAME], PATH, congestion::ALGORITHMS, FLOW, LOSS, SILENT];

/// What was agreed on when the connection was made.
const WORDS: &[Field] = &[
    word("tcp.timestamps", option_bit!(0x01), "Whether both ends send timestamps.", "TCPI_OPT_TIMESTAMPS", "ts"),
    word("tcp.usec_ts", option_bit!(0x40), "Whether timestamps count microseconds.", "TCPI_OPT_USEC_TS", "usec_ts"),
    word("tcp.sack", option_bit!(0x02), "Whether selective acknowledgements are in use.", "TCPI_OPT_SACK", "sack"),
    word("tcp.ecn", option_bit!(0x08), "Whether explicit congestion notification was agreed on.", "TCPI_OPT_ECN", "ecn"),
    word("tcp.ecnseen", option_bit!(0x10), "Whether a packet with an ECN mark arrived.", "TCPI_OPT_ECN_SEEN", "ecnseen"),
    word("tcp.fastopen", option_bit!(0x20), "Whether data in the SYN was acknowledged.", "TCPI_OPT_SYN_DATA", "fastopen"),
];

/// Path and window.
const PATH: &[Field] = &[
    tcp("tcp.snd_wscale", info!(snd_wscale), "Scale of the windows that the peer announces.", "tcpi_snd_wscale")
        .text(Text::Custom(fmt_wscale)),
    tcp("tcp.rcv_wscale", info!(rcv_wscale), "Scale of the windows that we announce.", "tcpi_rcv_wscale")
        .text(Text::PartOf("tcp.snd_wscale")),
    gauge("tcp.rto_us", info!(rto_us), "Time until an unacknowledged segment is sent again.", "tcpi_rto", Unit::Microseconds)
        .text(Text::Custom(|out, r, _| {
            if let Some(rto) = r.socket.tcp_info().and_then(|i| i.rto_us()).filter(|v| !matches!(v, 0 | 3_000_000)) {
                out.extend_from_slice(b" rto:");
                put_millis(out, rto);
            }
        })),
    gauge("tcp.backoff", info!(backoff), "How often the timeout was doubled.", "tcpi_backoff", Unit::Count)
        .text(Text::Nonzero("backoff")),
    gauge("tcp.rtt_us", info!(rtt_us), "Smoothed round-trip time.", "tcpi_rtt", Unit::Microseconds)
        .text(Text::Custom(fmt_rtt)),
    gauge("tcp.rttvar_us", info!(rttvar_us), "Deviation of the round-trip time.", "tcpi_rttvar", Unit::Microseconds)
        .text(RTT),
    gauge("tcp.ato_us", info!(ato_us), "Longest time that an acknowledgement is delayed.", "tcpi_ato", Unit::Microseconds)
        .text(Text::NonzeroMillis("ato")),
    gauge("tcp.snd_mss", info!(snd_mss), "Largest segment that we send.", "tcpi_snd_mss", Unit::Bytes)
        .text(Text::NonzeroSigned("mss")),
    gauge("tcp.pmtu", info!(pmtu), "Largest packet that the path takes.", "tcpi_pmtu", Unit::Bytes)
        .text(Text::Nonzero("pmtu")),
    gauge("tcp.rcv_mss", info!(rcv_mss), "Size of the segments that arrive, estimated.", "tcpi_rcv_mss", Unit::Bytes)
        .text(Text::NonzeroSigned("rcvmss")),
    gauge("tcp.advmss", info!(advmss), "Largest segment that we announced to take.", "tcpi_advmss", Unit::Bytes)
        .text(Text::NonzeroSigned("advmss")),
    gauge("tcp.snd_cwnd", info!(snd_cwnd), "Congestion window.", "tcpi_snd_cwnd", Unit::Packets)
        .text(Text::Nonzero("cwnd")),
    gauge("tcp.snd_ssthresh", info!(snd_ssthresh), "Window at which slow start ends; ss hides 65535 and more.", "tcpi_snd_ssthresh", Unit::Packets)
        .text(Text::Custom(|out, r, _| {
            if let Some(ssthresh) = r.socket.tcp_info().and_then(|i| i.snd_ssthresh()).filter(|v| (1..0xffff).contains(v)) {
                out.extend_from_slice(b" ssthresh:");
                put_u64(out, u64::from(ssthresh));
            }
        })),
    counter("tcp.bytes_sent", info!(bytes_sent), "Bytes of data sent, repeats included.", "tcpi_bytes_sent", Unit::Bytes)
        .text(Text::Nonzero("bytes_sent")),
    counter("tcp.bytes_retrans", info!(bytes_retrans), "Bytes of data sent again.", "tcpi_bytes_retrans", Unit::Bytes)
        .text(Text::Nonzero("bytes_retrans")),
    counter("tcp.bytes_acked", info!(bytes_acked), "Bytes that the peer acknowledged.", "tcpi_bytes_acked", Unit::Bytes)
        .text(Text::Nonzero("bytes_acked")),
    counter("tcp.bytes_received", info!(bytes_received), "Bytes of data received in order.", "tcpi_bytes_received", Unit::Bytes)
        .text(Text::Nonzero("bytes_received")),
    counter("tcp.segs_out", info!(segs_out), "Segments sent, all kinds.", "tcpi_segs_out", Unit::Packets)
        .text(Text::Nonzero("segs_out")),
    counter("tcp.segs_in", info!(segs_in), "Segments received, all kinds.", "tcpi_segs_in", Unit::Packets)
        .text(Text::Nonzero("segs_in")),
    counter("tcp.data_segs_out", info!(data_segs_out), "Segments with data sent.", "tcpi_data_segs_out", Unit::Packets)
        .text(Text::Nonzero("data_segs_out")),
    counter("tcp.data_segs_in", info!(data_segs_in), "Segments with data received.", "tcpi_data_segs_in", Unit::Packets)
        .text(Text::Nonzero("data_segs_in")),
];

/// Rates and times.
const FLOW: &[Field] = &[
    gauge("tcp.send_rate", |r| Some(Value::F64(send_rate(r)? / 8.0)), "Rate that window and round-trip time allow: cwnd times mss in each rtt.", "tcpi_snd_cwnd, tcpi_snd_mss, tcpi_rtt", Unit::BytesPerSecond)
        .text(Text::Custom(|out, r, style| {
            if let Some(bits) = send_rate(r) {
                put_rate_token(out, b" send ", bits, style);
            }
        })),
    gauge("tcp.last_data_sent_ms", info!(last_data_sent_ms), "Time since data was sent.", "tcpi_last_data_sent", Unit::Milliseconds)
        .text(Text::Nonzero("lastsnd")),
    gauge("tcp.last_data_recv_ms", info!(last_data_recv_ms), "Time since data arrived.", "tcpi_last_data_recv", Unit::Milliseconds)
        .text(Text::Nonzero("lastrcv")),
    gauge("tcp.last_ack_recv_ms", info!(last_ack_recv_ms), "Time since an acknowledgement arrived.", "tcpi_last_ack_recv", Unit::Milliseconds)
        .text(Text::Nonzero("lastack")),
    gauge("tcp.pacing_rate", info!(pacing_rate), "Rate that sending is paced to; all ones is unlimited.", "tcpi_pacing_rate", Unit::BytesPerSecond)
        .text(Text::Custom(fmt_pacing)),
    gauge("tcp.max_pacing_rate", info!(max_pacing_rate), "Most that pacing allows (SO_MAX_PACING_RATE); all ones is unlimited.", "tcpi_max_pacing_rate", Unit::BytesPerSecond)
        .text(Text::PartOf("tcp.pacing_rate")),
    gauge("tcp.delivery_rate", info!(delivery_rate), "Rate at which data lately reached the peer.", "tcpi_delivery_rate", Unit::BytesPerSecond)
        .text(Text::Custom(|out, r, style| {
            if let Some(rate) = r.socket.tcp_info().and_then(|i| i.delivery_rate()).filter(|v| *v != 0) {
                put_rate_token(out, b" delivery_rate ", bits(rate), style);
            }
        })),
    counter("tcp.delivered", info!(delivered), "Segments that reached the peer.", "tcpi_delivered", Unit::Packets)
        .text(Text::Nonzero("delivered")),
    counter("tcp.delivered_ce", info!(delivered_ce), "Segments that reached the peer with a congestion mark.", "tcpi_delivered_ce", Unit::Packets)
        .text(Text::Nonzero("delivered_ce")),
    tcp("tcp.app_limited", |r| Some((r.socket.tcp_info()?.delivery_rate_app_limited()? != 0).into()), "Whether the delivery rate is limited by the sender having had nothing to send.", "tcpi_delivery_rate_app_limited")
        .text(Text::Word("app_limited")),
    counter("tcp.busy_time_us", info!(busy_time_us), "Time in which data was waiting to be sent or acknowledged.", "tcpi_busy_time", Unit::Microseconds)
        .text(Text::Custom(fmt_busy)),
    counter("tcp.rwnd_limited_us", info!(rwnd_limited_us), "Part of the busy time in which the peer's window was the limit.", "tcpi_rwnd_limited", Unit::Microseconds)
        .text(Text::PartOf("tcp.busy_time_us")),
    counter("tcp.sndbuf_limited_us", info!(sndbuf_limited_us), "Part of the busy time in which our send buffer was the limit.", "tcpi_sndbuf_limited", Unit::Microseconds)
        .text(Text::PartOf("tcp.busy_time_us")),
];

/// Losses, repairs and buffers.
const LOSS: &[Field] = &[
    gauge("tcp.unacked", info!(unacked), "Segments sent and not acknowledged; for a listener, connections waiting.", "tcpi_unacked", Unit::Packets)
        .text(Text::Nonzero("unacked")),
    gauge("tcp.retrans", info!(retrans), "Segments sent again and not acknowledged.", "tcpi_retrans", Unit::Packets)
        .text(Text::Custom(fmt_retrans)),
    counter("tcp.total_retrans", info!(total_retrans), "Segments sent again since the start.", "tcpi_total_retrans", Unit::Packets)
        .text(Text::PartOf("tcp.retrans")),
    gauge("tcp.lost", info!(lost), "Segments believed lost.", "tcpi_lost", Unit::Packets).text(Text::Nonzero("lost")),
    gauge("tcp.sacked", info!(sacked), "Segments acknowledged selectively; for a listener, the backlog limit.", "tcpi_sacked", Unit::Packets)
        .text(Text::Custom(|out, r, _| {
            let sacked = r.socket.tcp_info().and_then(|i| i.sacked());
            if let Some(sacked) = sacked.filter(|v| *v != 0 && r.socket.state != LISTEN) {
                out.extend_from_slice(b" sacked:");
                put_u64(out, u64::from(sacked));
            }
        })),
    counter("tcp.dsack_dups", info!(dsack_dups), "Segments that the peer reported as received twice.", "tcpi_dsack_dups", Unit::Packets)
        .text(Text::Nonzero("dsack_dups")),
    gauge("tcp.fackets", info!(fackets), "Segments up to the highest that was acknowledged selectively.", "tcpi_fackets", Unit::Packets)
        .text(Text::Nonzero("fackets")),
    gauge("tcp.reordering", info!(reordering), "How far segments may be out of order before one counts as lost.", "tcpi_reordering", Unit::Packets)
        .text(Text::Custom(|out, r, _| {
            if let Some(info) = r.socket.tcp_info() {
                let reordering = info.reordering().unwrap_or(0);
                if reordering != 3 {
                    out.extend_from_slice(b" reordering:");
                    put_signed(out, reordering);
                }
            }
        })),
    counter("tcp.reord_seen", info!(reord_seen), "Segments that were seen out of order.", "tcpi_reord_seen", Unit::Packets)
        .text(Text::NonzeroSigned("reord_seen")),
    gauge("tcp.rcv_rtt_us", info!(rcv_rtt_us), "Round-trip time estimated by the receiver.", "tcpi_rcv_rtt", Unit::Microseconds)
        .text(Text::NonzeroMillis("rcv_rtt")),
    gauge("tcp.rcv_space", info!(rcv_space), "Receive buffer that the application's reading asks for.", "tcpi_rcv_space", Unit::Bytes)
        .text(Text::NonzeroSigned("rcv_space")),
    gauge("tcp.rcv_ssthresh", info!(rcv_ssthresh), "Largest window that we announce at present.", "tcpi_rcv_ssthresh", Unit::Bytes)
        .text(Text::Nonzero("rcv_ssthresh")),
    gauge("tcp.notsent_bytes", info!(notsent_bytes), "Bytes written and not yet sent.", "tcpi_notsent_bytes", Unit::Bytes)
        .text(Text::Nonzero("notsent")),
    gauge("tcp.min_rtt_us", info!(min_rtt_us), "Smallest round-trip time seen lately; all ones is none yet.", "tcpi_min_rtt", Unit::Microseconds)
        .text(Text::Custom(|out, r, _| {
            if let Some(rtt) = r.socket.tcp_info().and_then(|i| i.min_rtt_us()).filter(|v| !matches!(v, 0 | &u32::MAX)) {
                out.extend_from_slice(b" minrtt:");
                put_millis(out, rtt);
            }
        })),
    counter("tcp.rcv_ooopack", info!(rcv_ooopack), "Segments that arrived out of order and were queued.", "tcpi_rcv_ooopack", Unit::Packets)
        .text(Text::Nonzero("rcv_ooopack")),
    gauge("tcp.snd_wnd", info!(snd_wnd), "Window that the peer announced.", "tcpi_snd_wnd", Unit::Bytes)
        .text(Text::Nonzero("snd_wnd")),
    gauge("tcp.rcv_wnd", info!(rcv_wnd), "Window that we announced.", "tcpi_rcv_wnd", Unit::Bytes)
        .text(Text::Nonzero("rcv_wnd")),
    counter("tcp.rehash", info!(rehash), "Path changes tried after timeouts (PLB or new flow hash).", "tcpi_rehash", Unit::Count)
        .text(Text::Nonzero("rehash")),
];

/// What `ss` does not print.
const SILENT: &[Field] = &[
    gauge("tcp.ca_state", info!(ca_state), "Congestion state: 0 open, 1 disorder, 2 window reduced, 3 recovery, 4 loss.", "tcpi_ca_state", Unit::None),
    gauge("tcp.retransmits", info!(retransmits), "Timeouts in a row without an answer.", "tcpi_retransmits", Unit::Count),
    gauge("tcp.probes", info!(probes), "Window or keepalive probes without an answer.", "tcpi_probes", Unit::Count),
    gauge("tcp.fastopen_client_fail", info!(fastopen_client_fail), "Why fast open failed: 1 no cookie, 2 data not acknowledged, 3 SYN sent again.", "tcpi_fastopen_client_fail", Unit::None),
    tcp("tcp.tfo_child", option_bit!(0x80), "Whether the connection was accepted by fast open.", "TCPI_OPT_TFO_CHILD"),
    counter("tcp.total_rto", info!(total_rto), "Retransmission timeouts.", "tcpi_total_rto", Unit::Count),
    counter("tcp.total_rto_recoveries", info!(total_rto_recoveries), "Recoveries from retransmission timeouts.", "tcpi_total_rto_recoveries", Unit::Count),
    counter("tcp.total_rto_time_ms", info!(total_rto_time_ms), "Time spent in recovery from retransmission timeouts.", "tcpi_total_rto_time", Unit::Milliseconds),
    counter("tcp.received_ce", info!(received_ce), "Segments received with a congestion mark.", "tcpi_received_ce", Unit::Packets),
    counter("tcp.delivered_e1_bytes", info!(delivered_e1_bytes), "Bytes that reached the peer marked ECT(1).", "tcpi_delivered_e1_bytes", Unit::Bytes),
    counter("tcp.delivered_e0_bytes", info!(delivered_e0_bytes), "Bytes that reached the peer marked ECT(0).", "tcpi_delivered_e0_bytes", Unit::Bytes),
    counter("tcp.delivered_ce_bytes", info!(delivered_ce_bytes), "Bytes that reached the peer with a congestion mark.", "tcpi_delivered_ce_bytes", Unit::Bytes),
    counter("tcp.received_e1_bytes", info!(received_e1_bytes), "Bytes received marked ECT(1).", "tcpi_received_e1_bytes", Unit::Bytes),
    counter("tcp.received_e0_bytes", info!(received_e0_bytes), "Bytes received marked ECT(0).", "tcpi_received_e0_bytes", Unit::Bytes),
    counter("tcp.received_ce_bytes", info!(received_ce_bytes), "Bytes received with a congestion mark.", "tcpi_received_ce_bytes", Unit::Bytes),
    tcp("tcp.accecn_word", info!(accecn_word), "State of accurate ECN; the layout of its bits changed between Linux 6.18 and 7.0.", "tcpi_ecn_mode, tcpi_accecn_opt_seen, tcpi_accecn_fail_mode, tcpi_options2"),
];

/// What `-i` shows of a line of /proc/net/tcp; times are in seconds there.
pub(super) const PROC_TCP: &[Field] = &[
    proc("proc.rto_ticks", |r| Some(Value::I64(r.socket.proc_line()?.rto_ticks().into())), "Retransmission timeout in clock ticks; ss prints seconds.")
        .text(Text::Custom(|out, r, _| {
            put_ticks(out, b" rto:", r.socket.proc_line().map_or(0, |l| l.rto_ticks()), 3 * USER_HZ as i32);
        })),
    proc("proc.ato_ticks", |r| Some(Value::I64(r.socket.proc_line()?.ato_ticks().into())), "Delayed-ack timeout in clock ticks; ss prints seconds.")
        .text(Text::Custom(|out, r, _| {
            put_ticks(out, b" ato:", r.socket.proc_line().map_or(0, |l| l.ato_ticks()), 0);
        })),
    proc("proc.qack", |r| Some(Value::I64(r.socket.proc_line()?.qack_raw().into())), "Quick-ack counter, doubled, and a bit for interactive sessions.")
        .text(Text::Custom(|out, r, _| {
            let qack = r.socket.proc_line().map_or(0, |l| l.qack_raw()) / 2;
            if qack != 0 {
                out.extend_from_slice(b" qack:");
                put_i64(out, qack.into());
            }
            if qack & 1 != 0 {
                out.extend_from_slice(b" bidir");
            }
        })),
    proc("proc.cwnd", |r| Some(r.socket.proc_line()?.cwnd().into()), "Congestion window, in segments.")
        .unit(Unit::Packets)
        .text(Text::Nonzero("cwnd")),
    proc("proc.ssthresh", |r| Some(Value::I64(r.socket.proc_line()?.ssthresh().into())), "Window at which slow start ends; -1 is none.")
        .unit(Unit::Packets)
        .text(Text::Custom(|out, r, _| {
            let ssthresh = r.socket.proc_line().map_or(-1, |l| l.ssthresh());
            if !matches!(ssthresh, -1 | 0) {
                out.extend_from_slice(b" ssthresh:");
                put_i64(out, ssthresh.into());
            }
        })),
    proc("proc.retrans", |r| Some(r.socket.timer.retrans.into()), "Retransmissions or probes without an answer.")
        .unit(Unit::Count)
        .text(Text::Custom(|out, r, _| {
            if r.socket.timer.retrans != 0 {
                out.extend_from_slice(b" retrans:");
                put_u64(out, u64::from(r.socket.timer.retrans));
                out.extend_from_slice(b"/0");
            }
            out.extend_from_slice(b" reordering:0");
        })),
];

const fn proc(name: &'static str, get: Accessor, doc: &'static str) -> Field {
    Field::new(name, get, doc, "/proc/net/tcp").group(Groups::INFO)
}

/// State number of a listener.
const LISTEN: u8 = 10;

/// A time in clock ticks as seconds, unless it is zero or `hidden`.
fn put_ticks(out: &mut Vec<u8>, name: &[u8], ticks: i32, hidden: i32) {
    if ticks != 0 && ticks != hidden {
        out.extend_from_slice(name);
        put_g(out, f64::from(ticks) / f64::from(USER_HZ), 6);
    }
}

fn fmt_wscale(out: &mut Vec<u8>, row: &Row<'_>, _: Style) {
    let Some(info) = row.socket.tcp_info().filter(|info| info.options().is_some_and(|o| o & 0x04 != 0)) else { return };
    out.extend_from_slice(b" wscale:");
    put_u64(out, u64::from(info.snd_wscale().unwrap_or(0)));
    out.push(b',');
    put_u64(out, u64::from(info.rcv_wscale().unwrap_or(0)));
}

fn fmt_rtt(out: &mut Vec<u8>, row: &Row<'_>, _: Style) {
    let Some(info) = row.socket.tcp_info() else { return };
    if let Some(rtt) = info.rtt_us().filter(|rtt| *rtt != 0) {
        out.extend_from_slice(b" rtt:");
        put_millis(out, rtt);
        out.push(b'/');
        put_millis(out, info.rttvar_us().unwrap_or(0));
    }
}

/// Bits per second that one window in each round trip makes; `None` if
/// nothing can be said.
fn send_rate(row: &Row<'_>) -> Option<f64> {
    let info = row.socket.tcp_info()?;
    let vegas = row.socket.attrs().and_then(|attrs| attrs.vegas());
    let vegas_rtt = vegas
        .filter(|vegas| vegas.enabled().unwrap_or(0) != 0)
        .and_then(|vegas| vegas.rtt_us())
        .filter(|rtt| !matches!(*rtt, 0 | 0x7fff_ffff));
    let rtt = vegas_rtt.or(info.rtt_us())?;
    let (cwnd, mss) = (info.snd_cwnd()?, info.snd_mss()?);
    (rtt != 0 && cwnd != 0 && mss != 0).then(|| f64::from(cwnd) * f64::from(mss) * 8_000_000.0 / f64::from(rtt))
}

/// Bytes as bits, in the arithmetic of the reference.
fn bits(bytes: u64) -> f64 {
    bytes as f64 * 8.0
}

fn put_rate_token(out: &mut Vec<u8>, name: &[u8], bits: f64, style: Style) {
    out.extend_from_slice(name);
    put_rate(out, bits, style.numeric);
    out.extend_from_slice(b"bps");
}

fn fmt_pacing(out: &mut Vec<u8>, row: &Row<'_>, style: Style) {
    let Some(info) = row.socket.tcp_info() else { return };
    let limited = |rate: &u64| !matches!(*rate, 0 | u64::MAX);
    if let Some(rate) = info.pacing_rate().filter(limited) {
        put_rate_token(out, b" pacing_rate ", bits(rate), style);
        if let Some(most) = info.max_pacing_rate().filter(limited) {
            put_rate_token(out, b"/", bits(most), style);
        }
    }
}

fn fmt_busy(out: &mut Vec<u8>, row: &Row<'_>, _: Style) {
    let Some(info) = row.socket.tcp_info() else { return };
    let Some(busy) = info.busy_time_us().filter(|busy| *busy != 0) else { return };
    out.extend_from_slice(b" busy:");
    put_u64(out, busy / 1000);
    out.extend_from_slice(b"ms");
    for (name, part) in [(&b" rwnd_limited:"[..], info.rwnd_limited_us()), (b" sndbuf_limited:", info.sndbuf_limited_us())] {
        if let Some(part) = part.filter(|part| *part != 0) {
            use std::io::Write as _;
            out.extend_from_slice(name);
            put_u64(out, part / 1000);
            let _ = write!(out, "ms({:.1}%)", 100.0 * part as f64 / busy as f64);
        }
    }
}

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
