//! The data about a connection in a line of /proc/net/tcp.
//!
//! Source: proc_net_tcp.rst.

#![allow(clippy::cast_possible_wrap, reason = "kernel integers are narrow; each cast is meant")]

use crate::fields::{Field, Groups, Read, Text, Unit, plain};
use crate::model::proc_line::{ProcLine, USER_HZ};
use crate::model::{Row, Table};
use crate::number::{put_g, put_i64, put_u64};

/// The line of a TCP socket; lines of other tables have other columns.
fn line<'r>(row: &'r Row<'r>) -> Option<&'r ProcLine<'r>> {
    row.socket.proc_line().filter(|_| row.socket.origin.table == Table::Tcp)
}

/// Fields of `-i` from a line of /proc/net/tcp; times are printed in seconds.
pub(in crate::fields) const PROC_TCP: &[Field] = &[
    proc(
        "proc.rto_ticks",
        plain!(|r| Some(line(r)?.rto_ticks())),
        "Retransmission timeout in clock ticks; ss prints seconds.",
    )
    .gauge(Unit::Ticks)
    .shape("rto:S")
    .text(Text::Custom(|out, r, _| {
        put_ticks(out, b" rto:", r.socket.proc_line().map_or(0, |l| l.rto_ticks()), 3 * USER_HZ as i32);
    })),
    proc(
        "proc.ato_ticks",
        plain!(|r| Some(line(r)?.ato_ticks())),
        "Delayed ACK timeout in clock ticks; ss prints seconds.",
    )
    .gauge(Unit::Ticks)
    .shape("ato:S")
    .text(Text::Custom(|out, r, _| {
        put_ticks(out, b" ato:", r.socket.proc_line().map_or(0, |l| l.ato_ticks()), 0);
    })),
    proc(
        "proc.qack",
        plain!(|r| Some(line(r)?.qack_raw())),
        "Quick-ACK counter times two, plus a bit for interactive mode.",
    )
    .shape("qack:N [bidir]")
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
    proc("proc.cwnd", plain!(|r| Some(line(r)?.cwnd())), "Congestion window, in segments.")
        .gauge(Unit::Packets)
        .level()
        .text(Text::Nonzero("cwnd")),
    proc("proc.ssthresh", plain!(|r| Some(line(r)?.ssthresh())), "Slow-start threshold.")
        .unlimited(-1)
        .gauge(Unit::Packets)
        .size()
        .shape("ssthresh:N")
        .text(Text::Custom(|out, r, _| {
            let ssthresh = r.socket.proc_line().map_or(-1, |l| l.ssthresh());
            if !matches!(ssthresh, -1 | 0) {
                out.extend_from_slice(b" ssthresh:");
                put_i64(out, ssthresh.into());
            }
        })),
    proc(
        "proc.retrans",
        plain!(|r| line(r).map(|_| r.socket.timer.retrans)),
        "Unanswered retransmissions or probes.",
    )
    .gauge(Unit::Count)
    .shape("retrans:N")
    .text(Text::Custom(|out, r, _| {
        if r.socket.timer.retrans != 0 {
            out.extend_from_slice(b" retrans:");
            put_u64(out, u64::from(r.socket.timer.retrans));
            out.extend_from_slice(b"/0");
        }
        out.extend_from_slice(b" reordering:0");
    })),
];

const fn proc(name: &'static str, read: Read, doc: &'static str) -> Field {
    Field::new(name, read, doc, "/proc/net/tcp").group(Groups::INFO)
}

/// Appends a time in clock ticks as seconds, unless it is zero or `hidden`.
fn put_ticks(out: &mut Vec<u8>, name: &[u8], ticks: i32, hidden: i32) {
    if ticks != 0 && ticks != hidden {
        out.extend_from_slice(name);
        put_g(out, f64::from(ticks) / f64::from(USER_HZ), 6);
    }
}
