//! The data of the congestion control algorithm.
//!
//! `ss` prints these fields among the `tcp_info` tokens, and only for sockets whose reply
//! contains `tcp_info`.
//!
//! Source: `struct tcpvegas_info`, `tcp_dctcp_info`, `tcp_bbr_info`
//! (linux/inet_diag.h).

#![allow(clippy::cast_precision_loss, reason = "kernel integers are narrow; each cast is meant")]

use sockdiag_wire::ipproto::IPPROTO_SCTP;

use super::{Field, Groups, Needs, Read, Style, Text, Unit, plain, text};
use crate::model::Row;
use crate::model::words::FALSE_TRUE;
use crate::number::{put_g, put_millis, put_name, put_rate, put_u64};

const fn cc(name: &'static str, read: Read, doc: &'static str, source: &'static str) -> Field {
    Field::new(name, read, doc, source).needs(Needs::VEGASINFO).group(Groups::INFO)
}

macro_rules! of {
    ($info:ident . $method:ident) => {
        plain!(|r| r.socket.attrs()?.$info()?.$method())
    };
}

/// The name of the algorithm.
pub(super) const NAME: Field = Field::new(
    "tcp.congestion",
    // The kernel reports "reno" for every SCTP association.
    text!(|r| {
        let attrs = r.socket.attrs().filter(|_| r.socket.protocol != IPPROTO_SCTP)?;
        attrs.congestion().filter(|name| !name.is_empty())
    }),
    "Congestion control algorithm.",
    "INET_DIAG_CONG",
)
.needs(Needs::CONG)
.group(Groups::INFO)
.shape("NAME")
.text(Text::Custom(|out, r, _| {
    if let (Some(name), Some(_)) = (r.socket.attrs().and_then(|a| a.congestion()), r.socket.tcp_info())
        && !name.is_empty()
    {
        out.push(b' ');
        put_name(out, name.get(..15).unwrap_or(name));
    }
}));

const DCTCP: Text = Text::PartOf("dctcp.enabled");
const BBR: Text = Text::PartOf("bbr.bw_bytes_per_s");

/// The kernel's number for a round-trip time that was not measured yet.
const NO_MIN_RTT: i128 = u32::MAX as i128;
/// Vegas's number for a round-trip time that was not measured yet.
const NO_VEGAS_RTT: i128 = i32::MAX as i128;

/// Fields in print order.
pub(super) const ALGORITHMS: &[Field] = &[
    cc(
        "dctcp.enabled",
        of!(dctcp.enabled),
        "Whether DCTCP is active; if not, it has fallen back to Reno.",
        "dctcp_enabled",
    )
    .words(FALSE_TRUE)
    .state()
    .shape("dctcp:(ce_state:N,alpha:N,ab_ecn:N,ab_tot:N), or dctcp:fallback_mode")
    .text(Text::Custom(fmt_dctcp)),
    cc(
        "dctcp.ce_state",
        of!(dctcp.ce_state),
        "Whether the last segment received was marked CE.",
        "dctcp_ce_state",
    )
    .words(FALSE_TRUE)
    .state()
    .text(DCTCP),
    cc(
        "dctcp.alpha",
        of!(dctcp.alpha),
        "Estimated share of bytes marked CE, in units of 1/1024.",
        "dctcp_alpha",
    )
    .gauge(Unit::Per1024)
    .text(DCTCP),
    cc(
        "dctcp.ab_ecn",
        of!(dctcp.ab_ecn),
        "Bytes acknowledged with ECN-Echo in the current window.",
        "dctcp_ab_ecn",
    )
    .gauge(Unit::Bytes)
    .text(DCTCP),
    cc("dctcp.ab_tot", of!(dctcp.ab_tot), "Bytes acknowledged in the current window.", "dctcp_ab_tot")
        .gauge(Unit::Bytes)
        .text(DCTCP),
    cc("bbr.bw_bytes_per_s", of!(bbr.bw), "Bottleneck bandwidth estimated by BBR.", "bbr_bw_lo, bbr_bw_hi")
        .tokens("bw")
        .gauge(Unit::BytesPerSecond)
        .shape("bbr:(bw:RATE,mrtt:MS,pacing_gain:N,cwnd_gain:N)")
        .text(Text::Custom(fmt_bbr)),
    cc(
        "bbr.min_rtt_us",
        of!(bbr.min_rtt_us),
        "Recent minimum round-trip time measured by BBR.",
        "bbr_min_rtt",
    )
    .tokens("mrtt")
    .none(NO_MIN_RTT)
    .gauge(Unit::Microseconds)
    .text(BBR),
    cc("bbr.pacing_gain", of!(bbr.pacing_gain), "Pacing gain of BBR.", "bbr_pacing_gain")
        .gauge(Unit::Per256)
        .text(BBR),
    cc("bbr.cwnd_gain", of!(bbr.cwnd_gain), "Congestion window gain of BBR.", "bbr_cwnd_gain")
        .gauge(Unit::Per256)
        .text(BBR),
    cc("vegas.enabled", of!(vegas.enabled), "Whether Vegas is currently active.", "tcpv_enabled")
        .words(FALSE_TRUE)
        .state(),
    cc(
        "vegas.rttcnt",
        of!(vegas.rttcnt),
        "Round-trip time samples taken by Vegas in the current window.",
        "tcpv_rttcnt",
    )
    .gauge(Unit::Count)
    .size(),
    cc(
        "vegas.rtt_us",
        of!(vegas.rtt_us),
        "Round-trip time used by Vegas; ss computes `send` from it.",
        "tcpv_rtt",
    )
    .none(NO_VEGAS_RTT)
    .gauge(Unit::Microseconds)
    .text(Text::PartOf("tcp.send_rate_bytes_per_s")),
    cc(
        "vegas.minrtt_us",
        // Other algorithms that send this structure have all ones here before they measure.
        plain!(|r| r.socket.attrs()?.vegas()?.minrtt_us().filter(|rtt| *rtt != u32::MAX)),
        "Minimum round-trip time measured by Vegas.",
        "tcpv_minrtt",
    )
    .none(NO_VEGAS_RTT)
    .gauge(Unit::Microseconds),
];

fn fmt_dctcp(out: &mut Vec<u8>, row: &Row<'_>, _: Style) {
    let Some(dctcp) = row.socket.attrs().and_then(|attrs| attrs.dctcp()) else { return };
    if row.socket.tcp_info().is_none() {
        return;
    }
    if dctcp.enabled().unwrap_or(0) == 0 {
        out.extend_from_slice(b" dctcp:fallback_mode");
        return;
    }
    for (name, value) in [
        (&b" dctcp:(ce_state:"[..], u32::from(dctcp.ce_state().unwrap_or(0))),
        (b",alpha:", dctcp.alpha().unwrap_or(0)),
        (b",ab_ecn:", dctcp.ab_ecn().unwrap_or(0)),
        (b",ab_tot:", dctcp.ab_tot().unwrap_or(0)),
    ] {
        out.extend_from_slice(name);
        put_u64(out, u64::from(value));
    }
    out.push(b')');
}

fn fmt_bbr(out: &mut Vec<u8>, row: &Row<'_>, style: Style) {
    let Some(bbr) = row.socket.attrs().and_then(|attrs| attrs.bbr()) else { return };
    if row.socket.tcp_info().is_none() {
        return;
    }
    out.extend_from_slice(b" bbr:(bw:");
    put_rate(out, bbr.bw().unwrap_or(0) as f64 * 8.0, style.numeric);
    out.extend_from_slice(b"bps,mrtt:");
    put_millis(out, bbr.min_rtt_us().unwrap_or(0));
    for (name, gain) in [(&b",pacing_gain:"[..], bbr.pacing_gain()), (b",cwnd_gain:", bbr.cwnd_gain())] {
        if let Some(gain) = gain.filter(|gain| *gain != 0) {
            out.extend_from_slice(name);
            if gain.is_multiple_of(256) && gain < 256_000_000 {
                put_u64(out, u64::from(gain / 256));
            } else {
                put_g(out, f64::from(gain) / 256.0, 6);
            }
        }
    }
    out.push(b')');
}
