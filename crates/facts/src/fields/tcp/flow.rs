//! Rates and times of a connection.
//!
//! Source: `struct tcp_info` (linux/tcp.h).

#![allow(clippy::cast_precision_loss, reason = "kernel integers are narrow; each cast is meant")]

use super::{counter, gauge, info, tcp};
use crate::fields::{Field, Needs, Style, Text, Unit, plain};
use crate::model::Row;
use crate::number::{put_rate, put_u64};

/// The pacing rate of a socket without a limit.
const UNLIMITED: u64 = u64::MAX;

/// Rates and times.
pub(super) const FLOW: &[Field] = &[
    gauge(
        "tcp.send_rate_bytes_per_s",
        plain!(|r| Some(send_rate(r)? / 8.0)),
        "Rate allowed by the congestion window and round-trip time: cwnd * mss / rtt.",
        "tcpi_snd_cwnd, tcpi_snd_mss, tcpi_rtt",
        Unit::BytesPerSecond,
    )
    .shape("send RATE")
    .text(Text::Custom(|out, r, style| {
        if let Some(bits) = send_rate(r) {
            put_rate_token(out, b" send ", bits, style);
        }
    })),
    gauge(
        "tcp.last_data_sent_ms",
        info!(last_data_sent_ms),
        "Time since data was last sent.",
        "tcpi_last_data_sent",
        Unit::Milliseconds,
    )
    .needs(Needs::CLOCK)
    .text(Text::Nonzero("lastsnd")),
    gauge(
        "tcp.last_data_recv_ms",
        info!(last_data_recv_ms),
        "Time since data was last received.",
        "tcpi_last_data_recv",
        Unit::Milliseconds,
    )
    .needs(Needs::CLOCK)
    .text(Text::Nonzero("lastrcv")),
    gauge(
        "tcp.last_ack_recv_ms",
        info!(last_ack_recv_ms),
        "Time since an acknowledgement was last received.",
        "tcpi_last_ack_recv",
        Unit::Milliseconds,
    )
    .needs(Needs::CLOCK)
    .text(Text::Nonzero("lastack")),
    gauge(
        "tcp.pacing_rate_bytes_per_s",
        info!(pacing_rate),
        "Pacing rate.",
        "tcpi_pacing_rate",
        Unit::BytesPerSecond,
    )
    .unlimited(UNLIMITED as i128)
    .shape("pacing_rate RATE[/RATE]")
    .text(Text::Custom(fmt_pacing)),
    gauge(
        "tcp.max_pacing_rate_bytes_per_s",
        info!(max_pacing_rate),
        "Maximum pacing rate (SO_MAX_PACING_RATE).",
        "tcpi_max_pacing_rate",
        Unit::BytesPerSecond,
    )
    .unlimited(UNLIMITED as i128)
    .text(Text::PartOf("tcp.pacing_rate_bytes_per_s")),
    gauge(
        "tcp.delivery_rate_bytes_per_s",
        info!(delivery_rate),
        "Most recent rate of delivery to the peer.",
        "tcpi_delivery_rate",
        Unit::BytesPerSecond,
    )
    .none(0)
    .shape("delivery_rate RATE")
    .text(Text::Custom(|out, r, style| {
        if let Some(rate) = r.socket.tcp_info().and_then(|i| i.delivery_rate()).filter(|v| *v != 0) {
            put_rate_token(out, b" delivery_rate ", bits(rate), style);
        }
    })),
    counter(
        "tcp.delivered",
        info!(delivered),
        "Segments delivered to the peer.",
        "tcpi_delivered",
        Unit::Packets,
    )
    .text(Text::Nonzero("delivered")),
    counter(
        "tcp.delivered_ce",
        info!(delivered_ce),
        "Segments delivered to the peer with a CE mark.",
        "tcpi_delivered_ce",
        Unit::Packets,
    )
    .text(Text::Nonzero("delivered_ce")),
    tcp(
        "tcp.app_limited",
        plain!(|r| Some(r.socket.tcp_info()?.delivery_rate_app_limited()? != 0)),
        "Whether the delivery rate was limited by the application having nothing to send.",
        "tcpi_delivery_rate_app_limited",
    )
    .state()
    .text(Text::Word("app_limited")),
    counter(
        "tcp.busy_time_us",
        info!(busy_time_us),
        "Time with data waiting to be sent or acknowledged.",
        "tcpi_busy_time",
        Unit::Microseconds,
    )
    .shape("busy:MSms [rwnd_limited:MSms(P%)] [sndbuf_limited:MSms(P%)]")
    .text(Text::Custom(fmt_busy)),
    counter(
        "tcp.rwnd_limited_us",
        info!(rwnd_limited_us),
        "Part of the busy time limited by the peer's receive window.",
        "tcpi_rwnd_limited",
        Unit::Microseconds,
    )
    .text(Text::PartOf("tcp.busy_time_us")),
    counter(
        "tcp.sndbuf_limited_us",
        info!(sndbuf_limited_us),
        "Part of the busy time limited by the local send buffer.",
        "tcpi_sndbuf_limited",
        Unit::Microseconds,
    )
    .text(Text::PartOf("tcp.busy_time_us")),
];

/// The rate of one window per round trip, in bits per second; `None` if a factor is unknown.
fn send_rate(row: &Row<'_>) -> Option<f64> {
    let info = row.socket.tcp_info()?;
    let vegas = row.socket.attrs().and_then(|attrs| attrs.vegas());
    let vegas_rtt = vegas
        .filter(|vegas| vegas.enabled().unwrap_or(0) != 0)
        .and_then(|vegas| vegas.rtt_us())
        .filter(|rtt| !matches!(*rtt, 0 | 0x7fff_ffff));
    let rtt = vegas_rtt.or(info.rtt_us())?;
    let (cwnd, mss) = (info.snd_cwnd()?, info.snd_mss()?);
    (rtt != 0 && cwnd != 0 && mss != 0)
        .then(|| f64::from(cwnd) * f64::from(mss) * 8_000_000.0 / f64::from(rtt))
}

/// Converts bytes to bits, with the arithmetic of the reference.
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
    let limited = |rate: &u64| !matches!(*rate, 0 | UNLIMITED);
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
    for (name, part) in
        [(&b" rwnd_limited:"[..], info.rwnd_limited_us()), (b" sndbuf_limited:", info.sndbuf_limited_us())]
    {
        if let Some(part) = part.filter(|part| *part != 0) {
            use std::io::Write as _;
            out.extend_from_slice(name);
            put_u64(out, part / 1000);
            let _ = write!(out, "ms({:.1}%)", 100.0 * part as f64 / busy as f64);
        }
    }
}
