//! The data that TCP reports about a connection.
//!
//! Fields are in the order in which `ss -i` prints them; the silent ones at the end are newer
//! than `ss`.  A kernel sends as much of `struct tcp_info` as it knows.  Members that it did
//! not send are absent and not printed, with one exception that scripts can see: an absent
//! `reordering` is printed as 0.
//!
//! Source: `struct tcp_info` (linux/tcp.h); proc_net_tcp.rst.

pub(super) mod accecn;
mod flow;
mod loss;
mod proc_text;

use super::{Field, Groups, Read, Style, Text, Unit, congestion, info_row as tcp};
use crate::model::Row;
use crate::number::{put_millis, put_u64};

pub(super) use proc_text::PROC_TCP;

macro_rules! info {
    ($method:ident) => {
        $crate::fields::plain!(|r| r.socket.tcp_info()?.$method())
    };
}

/// Reads one of the `TCPI_OPT_*` bits.
macro_rules! option_bit {
    ($bit:literal) => {
        $crate::fields::plain!(|r| Some(r.socket.tcp_info()?.options()? & $bit != 0))
    };
}

use {info, option_bit};

const fn word(
    name: &'static str,
    read: Read,
    doc: &'static str,
    source: &'static str,
    text: &'static str,
) -> Field {
    tcp(name, read, doc, source).only_with(Groups::OPTIONS).text(Text::Word(text))
}

const fn gauge(name: &'static str, read: Read, doc: &'static str, source: &'static str, unit: Unit) -> Field {
    tcp(name, read, doc, source).gauge(unit)
}

const fn counter(
    name: &'static str,
    read: Read,
    doc: &'static str,
    source: &'static str,
    unit: Unit,
) -> Field {
    tcp(name, read, doc, source).counter(unit)
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

/// Fields of `-i` for TCP, including those of the congestion control algorithm.
pub(super) const TCP: &[Field] = rows![
    WORDS,
    &[congestion::NAME],
    PATH,
    congestion::ALGORITHMS,
    flow::FLOW,
    loss::LOSS,
    loss::SILENT,
    accecn::ACCECN
];

/// Options that were negotiated when the connection was established.
const WORDS: &[Field] = &[
    word(
        "tcp.timestamps",
        option_bit!(0x01),
        "Whether both ends send timestamps.",
        "TCPI_OPT_TIMESTAMPS",
        "ts",
    ),
    word(
        "tcp.usec_ts",
        option_bit!(0x40),
        "Whether timestamps are in microseconds.",
        "TCPI_OPT_USEC_TS",
        "usec_ts",
    ),
    word(
        "tcp.sack",
        option_bit!(0x02),
        "Whether selective acknowledgements (SACK) are in use.",
        "TCPI_OPT_SACK",
        "sack",
    ),
    word(
        "tcp.ecn",
        option_bit!(0x08),
        "Whether explicit congestion notification (ECN) was negotiated.",
        "TCPI_OPT_ECN",
        "ecn",
    ),
    word(
        "tcp.ecnseen",
        option_bit!(0x10),
        "Whether a packet marked ECT or CE was received.",
        "TCPI_OPT_ECN_SEEN",
        "ecnseen",
    ),
    word(
        "tcp.fastopen",
        option_bit!(0x20),
        "Whether data in the SYN was acknowledged (TCP Fast Open).",
        "TCPI_OPT_SYN_DATA",
        "fastopen",
    ),
];

/// Path and window.
const PATH: &[Field] = &[
    tcp(
        "tcp.snd_wscale",
        info!(snd_wscale),
        "Window scale of the peer's advertised windows.",
        "tcpi_snd_wscale",
    )
    .shape("wscale:SND,RCV")
    .text(Text::Custom(fmt_wscale)),
    tcp("tcp.rcv_wscale", info!(rcv_wscale), "Window scale of this end's advertised windows.", "tcpi_rcv_wscale")
        .text(Text::PartOf("tcp.snd_wscale")),
    gauge(
        "tcp.rto_us",
        info!(rto_us),
        "Retransmission timeout.",
        "tcpi_rto",
        Unit::Microseconds,
    )
    .shape("rto:MS")
    .text(Text::Custom(|out, r, _| {
        if let Some(rto) =
            r.socket.tcp_info().and_then(|i| i.rto_us()).filter(|v| !matches!(v, 0 | 3_000_000))
        {
            out.extend_from_slice(b" rto:");
            put_millis(out, rto);
        }
    })),
    gauge("tcp.backoff", info!(backoff), "Doublings of the retransmission timeout.", "tcpi_backoff", Unit::Count)
        .size()
        .text(Text::Nonzero("backoff")),
    gauge("tcp.rtt_us", info!(rtt_us), "Smoothed round-trip time.", "tcpi_rtt", Unit::Microseconds)
        .none(0)
        .shape("rtt:MS/MS")
        .text(Text::Custom(fmt_rtt)),
    gauge(
        "tcp.rttvar_us",
        info!(rttvar_us),
        "Mean deviation of the round-trip time.",
        "tcpi_rttvar",
        Unit::Microseconds,
    )
    .text(RTT),
    gauge(
        "tcp.ato_us",
        info!(ato_us),
        "Delayed ACK timeout.",
        "tcpi_ato",
        Unit::Microseconds,
    )
    .text(Text::NonzeroMillis("ato")),
    gauge("tcp.snd_mss", info!(snd_mss), "Maximum segment size (MSS) for sending.", "tcpi_snd_mss", Unit::Bytes)
        .size()
        .text(Text::NonzeroSigned("mss")),
    gauge("tcp.pmtu", info!(pmtu), "Path MTU.", "tcpi_pmtu", Unit::Bytes)
        .size()
        .text(Text::Nonzero("pmtu")),
    gauge(
        "tcp.rcv_mss",
        info!(rcv_mss),
        "Estimated size of received segments.",
        "tcpi_rcv_mss",
        Unit::Bytes,
    )
    .size()
    .text(Text::NonzeroSigned("rcvmss")),
    gauge(
        "tcp.advmss",
        info!(advmss),
        "Maximum segment size (MSS) advertised to the peer.",
        "tcpi_advmss",
        Unit::Bytes,
    )
    .size()
    .text(Text::NonzeroSigned("advmss")),
    gauge("tcp.snd_cwnd", info!(snd_cwnd), "Congestion window.", "tcpi_snd_cwnd", Unit::Packets)
        .level()
        .text(Text::Nonzero("cwnd")),
    gauge(
        "tcp.snd_ssthresh",
        info!(snd_ssthresh),
        "Slow-start threshold; ss hides 65535 and above.",
        "tcpi_snd_ssthresh",
        Unit::Packets,
    )
    .size()
    .unlimited(i32::MAX as i128)
    .shape("ssthresh:N")
    .text(Text::Custom(|out, r, _| {
        if let Some(ssthresh) =
            r.socket.tcp_info().and_then(|i| i.snd_ssthresh()).filter(|v| (1..0xffff).contains(v))
        {
            out.extend_from_slice(b" ssthresh:");
            put_u64(out, u64::from(ssthresh));
        }
    })),
    counter(
        "tcp.bytes_sent",
        info!(bytes_sent),
        "Data bytes sent, including retransmissions.",
        "tcpi_bytes_sent",
        Unit::Bytes,
    )
    .text(Text::Nonzero("bytes_sent")),
    counter(
        "tcp.bytes_retrans",
        info!(bytes_retrans),
        "Data bytes retransmitted.",
        "tcpi_bytes_retrans",
        Unit::Bytes,
    )
    .text(Text::Nonzero("bytes_retrans")),
    counter(
        "tcp.bytes_acked",
        info!(bytes_acked),
        "Bytes acknowledged by the peer; our FIN and, if we opened the connection, our SYN count as one each.",
        "tcpi_bytes_acked",
        Unit::Bytes,
    )
    .text(Text::Nonzero("bytes_acked")),
    counter(
        "tcp.bytes_received",
        info!(bytes_received),
        "Bytes received in order; the peer's FIN counts as one.",
        "tcpi_bytes_received",
        Unit::Bytes,
    )
    .text(Text::Nonzero("bytes_received")),
    counter("tcp.segs_out", info!(segs_out), "Segments sent, with or without data.", "tcpi_segs_out", Unit::Packets)
        .text(Text::Nonzero("segs_out")),
    counter("tcp.segs_in", info!(segs_in), "Segments received, with or without data.", "tcpi_segs_in", Unit::Packets)
        .text(Text::Nonzero("segs_in")),
    counter(
        "tcp.data_segs_out",
        info!(data_segs_out),
        "Data segments sent.",
        "tcpi_data_segs_out",
        Unit::Packets,
    )
    .text(Text::Nonzero("data_segs_out")),
    counter(
        "tcp.data_segs_in",
        info!(data_segs_in),
        "Data segments received.",
        "tcpi_data_segs_in",
        Unit::Packets,
    )
    .text(Text::Nonzero("data_segs_in")),
];

fn fmt_wscale(out: &mut Vec<u8>, row: &Row<'_>, _: Style) {
    let Some(info) = row.socket.tcp_info().filter(|info| info.options().is_some_and(|o| o & 0x04 != 0))
    else {
        return;
    };
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
