//! Fields that are derived from other facts, of one observation or of two.
//!
//! Fields of two observations read the [`Past`] of a row and are absent without it.  Each
//! defines the counters to keep from one observation to the next ([`Needs`]).  Each has a
//! companion field with the suffix `_error`, the maximum error of its value: the times at
//! which counters are read are only known to lie in windows (see [`crate::rate`]).  Both parts
//! of a `ratio` are read at once, so it has no error.
//!
//! In formulas, `D(x)` is the gain of the counter `x` since the previous observation, and `T`
//! the time between the two.  All are formulas on `struct tcp_info` (linux/tcp.h); those of
//! the shares are from RFC 4898 (`tcpEStatsPerfSndLimTime*`).
//!
//! Invariant: no rate is negative, every share or ratio lies between 0 and 1, and values that
//! a socket or kernel does not report are absent.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "estimates of positive amounts, which a double holds closely enough"
)]

use sockdiag_wire::tcp_info::TcpInfo;

use super::{Field, Needs, Read, Unit, plain, word};
use crate::ending::{ENDINGS, Ending, is_time_wait};
use crate::model::{Row, State};
use crate::past::{Counter, Past};
use crate::rate::{Estimate, ratio};

/// The past and the current `tcp_info` of a row.
fn looks<'a>(row: &'a Row<'a>) -> Option<(&'a Past<'a>, TcpInfo<'a>)> {
    Some((row.past?, row.socket.tcp_info()?))
}

pub(super) fn gain(row: &Row<'_>, counter: Counter) -> Option<u64> {
    let (past, info) = looks(row)?;
    past.gain(counter, info)
}

/// `D(counter) / T`.
pub(super) fn rate(row: &Row<'_>, counter: Counter) -> Option<Estimate> {
    let (past, info) = looks(row)?;
    past.rate(counter, info)
}

/// `(D(bytes_acked) + D(bytes_received)) / T`.
fn goodput(row: &Row<'_>) -> Option<Estimate> {
    let both = gain(row, Counter::BytesAcked)?.saturating_add(gain(row, Counter::BytesReceived)?);
    Some(Estimate::per_second(both, row.past?.span()?))
}

/// The fraction of `T` that remains of a counter of microseconds after subtracting others.
fn share(row: &Row<'_>, of: Counter, without: &[Counter]) -> Option<Estimate> {
    let whole = gain(row, of)?;
    let part = without.iter().try_fold(whole, |left, part| Some(left.saturating_sub(gain(row, *part)?)))?;
    Some(Estimate::share(part, row.past?.span()?))
}

/// `D(bytes_retrans) / D(bytes_sent)`, or in segments before Linux 4.19.
fn retransmit_ratio(row: &Row<'_>) -> Option<f64> {
    let (past, info) = looks(row)?;
    let (part, whole) = match Counter::BytesSent.read(info) {
        Some(_) => (Counter::BytesRetrans, Counter::BytesSent),
        None => (Counter::TotalRetrans, Counter::DataSegsOut),
    };
    ratio(past.gain(part, info)?, past.gain(whole, info)?)
}

/// What every field of two observations needs in addition to its own counters: the counters
/// that reveal the reuse of a socket.
pub(super) const LOOKS: Needs =
    Needs::TWO_LOOKS.union(Needs::INFO).union(Needs::KEEP_BYTES_ACKED).union(Needs::KEEP_BYTES_RECEIVED);

/// A field of two observations that keeps these counters.
pub(super) const fn looked(
    name: &'static str,
    read: Read,
    doc: &'static str,
    source: &'static str,
    unit: Unit,
    keep: Needs,
) -> Field {
    Field::new(name, read, doc, source).gauge(unit).needs(LOOKS).needs(keep)
}

/// The error of a field of two observations.
const fn error(name: &'static str, read: Read, source: &'static str, unit: Unit, keep: Needs) -> Field {
    const DOC: &str = "Maximum error of the field named before _error, because a dump is not instantaneous.";
    looked(name, read, DOC, source, unit, keep).size()
}

/// The number of decimals: a thousandth of a byte or segment per second, or a hundredth of a
/// percent.
const fn digits(unit: Unit) -> i32 {
    if matches!(unit, Unit::Share) { 4 } else { 3 }
}

/// Defines a field of two observations and the field of its error, both from one estimate.
macro_rules! estimates {
    ($($name:literal, $doc:literal, $source:literal, $unit:ident, $keep:expr, |$row:ident| $estimate:expr;)*) => {
        &[$(
            {
                let row = looked(
                    $name,
                    plain!(|$row| Some(($estimate)?.rounded(digits(Unit::$unit)).value)),
                    $doc,
                    $source,
                    Unit::$unit,
                    $keep,
                );
                if matches!(Unit::$unit, Unit::Share) { row } else { row.sum() }
            },
            error(
                concat!($name, "_error"),
                plain!(|$row| Some(($estimate)?.rounded(digits(Unit::$unit)).error)),
                $source,
                Unit::$unit,
                $keep,
            ),
        )*]
    };
}

/// Rates and shares of the time between two observations.
pub(super) const ESTIMATES: &[Field] = estimates! {
    "rate.bytes_sent_per_s",
    "Data bytes sent per second, including retransmissions and data refused by a full device queue: D(bytes_sent) / \
     T.",
    "tcpi_bytes_sent in two samples", BytesPerSecond, Needs::KEEP_BYTES_SENT,
    |r| rate(r, Counter::BytesSent);

    "rate.bytes_received_per_s",
    "Bytes received in order per second: D(bytes_received) / T.",
    "tcpi_bytes_received in two samples", BytesPerSecond, Needs::KEEP_BYTES_RECEIVED,
    |r| rate(r, Counter::BytesReceived);

    "rate.bytes_acked_per_s",
    "Bytes acknowledged by the peer per second: D(bytes_acked) / T.",
    "tcpi_bytes_acked in two samples", BytesPerSecond, Needs::KEEP_BYTES_ACKED,
    |r| rate(r, Counter::BytesAcked);

    "rate.segs_out_per_s",
    "Segments sent per second: D(segs_out) / T.",
    "tcpi_segs_out in two samples", PacketsPerSecond, Needs::KEEP_SEGS_OUT,
    |r| rate(r, Counter::SegsOut);

    "rate.segs_in_per_s",
    "Segments received per second: D(segs_in) / T.",
    "tcpi_segs_in in two samples", PacketsPerSecond, Needs::KEEP_SEGS_IN,
    |r| rate(r, Counter::SegsIn);

    "rate.retrans_per_s",
    "Segments retransmitted per second: D(total_retrans) / T.",
    "tcpi_total_retrans in two samples", PacketsPerSecond, Needs::KEEP_TOTAL_RETRANS,
    |r| rate(r, Counter::TotalRetrans);

    "goodput_bytes_per_s",
    "Bytes acknowledged or received in order per second, both directions: (D(bytes_acked) + D(bytes_received)) / T.",
    "tcpi_bytes_acked, tcpi_bytes_received in two samples", BytesPerSecond,
    Needs::KEEP_BYTES_ACKED.union(Needs::KEEP_BYTES_RECEIVED),
    |r| goodput(r);

    "share.app",
    "Share of the time limited by the application, with nothing to send and nothing unacknowledged: \
     1 - D(busy_time) / T. Absent for a socket that never sent data.",
    "tcpi_busy_time in two samples, tcpi_data_segs_out", Share, Needs::KEEP_BUSY_TIME,
    |r| app_share(r);

    "share.network",
    "Share of the time limited by the congestion window or with data in flight: (D(busy_time) - D(rwnd_limited) - \
     D(sndbuf_limited)) / T.",
    "tcpi_busy_time, tcpi_rwnd_limited, tcpi_sndbuf_limited in two samples", Share,
    Needs::KEEP_BUSY_TIME.union(Needs::KEEP_RWND_LIMITED).union(Needs::KEEP_SNDBUF_LIMITED),
    |r| share(r, Counter::BusyTime, &[Counter::RwndLimited, Counter::SndbufLimited]);

    "share.receiver",
    "Share of the time limited by the peer's receive window: D(rwnd_limited) / T.",
    "tcpi_rwnd_limited in two samples", Share, Needs::KEEP_RWND_LIMITED,
    |r| share(r, Counter::RwndLimited, &[]);

    "share.sndbuf",
    "Share of the time limited by the local send buffer: D(sndbuf_limited) / T.",
    "tcpi_sndbuf_limited in two samples", Share, Needs::KEEP_SNDBUF_LIMITED,
    |r| share(r, Counter::SndbufLimited, &[]);
};

/// Ratios of the gains of two counters in the same time.
pub(super) const RATIOS: &[Field] = &[
    looked(
        "ratio.retransmit",
        plain!(|r| retransmit_ratio(r)),
        "Share of the bytes sent that were retransmissions: D(bytes_retrans) / D(bytes_sent); before Linux 4.19, of \
         the data segments: D(total_retrans) / D(data_segs_out).  Absent if nothing was sent.",
        "tcpi_bytes_retrans, tcpi_bytes_sent in two samples",
        Unit::Share,
        Needs::KEEP_BYTES_RETRANS
            .union(Needs::KEEP_BYTES_SENT)
            .union(Needs::KEEP_TOTAL_RETRANS)
            .union(Needs::KEEP_DATA_SEGS_OUT),
    ),
    looked(
        "ratio.spurious",
        plain!(|r| ratio(gain(r, Counter::DsackDups)?, gain(r, Counter::TotalRetrans)?)),
        "Share of the retransmitted segments that the peer already had: D(dsack_dups) / D(total_retrans).  Absent \
         if nothing was retransmitted.",
        "tcpi_dsack_dups, tcpi_total_retrans in two samples",
        Unit::Share,
        Needs::KEEP_DSACK_DUPS.union(Needs::KEEP_TOTAL_RETRANS),
    ),
];

/// A field of one observation.
const fn told(name: &'static str, read: Read, doc: &'static str, source: &'static str, unit: Unit) -> Field {
    Field::new(name, read, doc, source).gauge(unit).needs(Needs::INFO)
}

/// The current and the minimum round-trip time in microseconds, if both were measured.
pub(super) fn round_trips(row: &Row<'_>) -> Option<(u32, u32)> {
    let info = row.socket.tcp_info()?;
    let rtt = info.rtt_us().filter(|rtt| *rtt != 0)?;
    let least = info.min_rtt_us().filter(|least| !matches!(*least, 0 | u32::MAX))?;
    Some((rtt, least))
}

/// The rate at which data reaches the peer, if it was measured.
pub(super) fn delivery_rate(row: &Row<'_>) -> Option<u64> {
    row.socket.tcp_info()?.delivery_rate().filter(|rate| *rate != 0)
}

/// `notsent_bytes / delivery_rate`; zero if nothing is unsent.
fn notsent_us(row: &Row<'_>) -> Option<u64> {
    match row.socket.tcp_info()?.notsent_bytes()? {
        0 => Some(0),
        notsent => Some((f64::from(notsent) * 1e6 / delivery_rate(row)? as f64) as u64),
    }
}

/// Whether data may flow; for a listener, the kernel reports times of zero.
pub(super) fn is_connection(row: &Row<'_>) -> bool {
    State::from_number(row.socket.state) != Some(State::Listen)
}

/// Fields that are derived from one observation.
pub(super) const ONE_LOOK: &[Field] = &[
    told(
        "delay.queue_us",
        plain!(|r| round_trips(r).map(|(rtt, least)| rtt.saturating_sub(least))),
        "Estimated queueing delay on the path: rtt - min_rtt.",
        "tcpi_rtt, tcpi_min_rtt",
        Unit::Microseconds,
    ),
    told(
        "bdp_bytes",
        plain!(|r| Some((delivery_rate(r)? as f64 * f64::from(round_trips(r)?.1) / 1e6) as u64)),
        "Bandwidth-delay product of the path: delivery_rate * min_rtt.",
        "tcpi_delivery_rate, tcpi_min_rtt",
        Unit::Bytes,
    ),
    told(
        "notsent_us",
        plain!(|r| notsent_us(r)),
        "Time needed to send the unsent data in the send buffer: notsent_bytes / delivery_rate.",
        "tcpi_notsent_bytes, tcpi_delivery_rate",
        Unit::Microseconds,
    ),
    told(
        "idle_ms",
        plain!(|r| {
            let info = r.socket.tcp_info().filter(|_| is_connection(r))?;
            Some(info.last_data_sent_ms()?.min(info.last_data_recv_ms()?))
        }),
        "Time since data was last sent or received: min(last_data_sent, last_data_recv).",
        "tcpi_last_data_sent, tcpi_last_data_recv",
        Unit::Milliseconds,
    )
    .needs(Needs::CLOCK),
];

/// Fields that are derived from the whole table.
pub(super) const PORTS: &[Field] = &[Field::new(
    "ports.used_share",
    plain!(|r| Some(r.names.ports?.share())),
    "Share of the ephemeral ports in use from the socket's local address to its remote address and port: distinct \
     local ports in the range used by TCP connections between them, in any state including TIME-WAIT, / size of the \
     range without the reserved ports. At 1, no further connection can be opened there. Absent if the socket's own \
     port is outside the range.",
    "idiag_src, idiag_sport, idiag_dst, idiag_dport of all TCP sockets of the namespace; ip_local_port_range, \
     ip_local_reserved_ports",
)
.gauge(Unit::Share)
.needs(Needs::PORTS)];

/// Fields of a socket of any kind that is observed repeatedly.
pub(super) const AGE: &[Field] = &[
    Field::new(
        "age_ms",
        plain!(|r| r.past?.age_ms()),
        "Time since the socket was first seen: now - first_seen. If age_opening_seen is true, this is its age to \
         within one sampling interval; otherwise it is a lower bound. Absent for a socket that was seen only at its \
         end.",
        "samples since the first",
    )
    .gauge(Unit::Milliseconds)
    .needs(Needs::TWO_LOOKS)
    .needs(Needs::CLOCK),
    Field::new(
        "age_opening_seen",
        plain!(|r| Some(r.past?.opening_seen)),
        "Whether the socket opened between two samples; if not, it already existed at the first sample.",
        "samples since the first",
    )
    .state()
    .needs(Needs::TWO_LOOKS),
    Field::new(
        "socket.ended",
        word!(ENDINGS, |r| Some(ending(r)?.word())),
        "How the socket ended; absent if it has not. closed-by-us, closed-by-peer: closed in order, and which side \
         closed first, judged by the last state seen, the absence of a FIN from the peer, or the side left in \
         TIME-WAIT. closed: closed in order, by an unknown side; for a connection from another machine with no \
         TIME-WAIT left here, usually the peer. reset: by either side. timeout: retransmissions or probes were no \
         longer answered. aborted: dropped by this side without a FIN (SO_LINGER with zero timeout). A socket \
         destroyed by ss -K, or closed with unread data, is reset or timeout, as the kernel does not report the \
         error. failed: never connected: refused, unanswered or given up. ended: the last report does not show how, \
         as for a short connection that this side opened and the peer reset.",
        "SKNLGRP_INET_TCP_DESTROY: tcpi_bytes_acked + idiag_wqueue - (tcpi_bytes_sent - tcpi_bytes_retrans) - \
         tcpi_notsent_bytes, tcpi_delivered, tcpi_retransmits, tcpi_probes, tcpi_snd_wnd, tcpi_min_rtt; the last \
         state seen, D(bytes_received) since then, and a lookup of a remaining TIME-WAIT socket",
    )
    .state()
    .needs(LOOKS)
    .needs(Needs::ENDING),
];

/// The share limited by the application; `None` if it never sent anything.
fn app_share(row: &Row<'_>) -> Option<Estimate> {
    if row.socket.tcp_info()?.data_segs_out() == Some(0) {
        return None;
    }
    Some(share(row, Counter::BusyTime, &[])?.rest())
}

/// How the socket ended, if it did.
fn ending(row: &Row<'_>) -> Option<Ending> {
    if is_time_wait(row.socket) {
        return Some(Ending::ByUs);
    }
    let past = row.past?;
    Some(Ending::of(row.socket, past.ended?, gain(row, Counter::BytesReceived)))
}

#[cfg(test)]
mod tests;
