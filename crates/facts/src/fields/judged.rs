//! Fields for diagnosing sockets: shares, and gains since the previous observation.
//!
//! These fields exist only in the [extended](super::Catalog::extended) table, since `ss` does
//! not use them.  In formulas, `D(x)` is the gain of `x` since the previous observation, and
//! `T` the time between the two (see [`super::derived`]).
//!
//! Invariant: a share of zero is absent, and nothing is divided by zero.

#![allow(
    clippy::cast_precision_loss,
    reason = "amounts of 53 bits are exact as doubles, and shares of larger ones are close enough"
)]

use super::derived::{delivery_rate, gain, is_connection, looked, rate, round_trips};
use super::{Field, Needs, Read, Unit, Word, plain, word};
use crate::model::{Addr, Endpoint, Join, Row};
use crate::past::Counter;

/// A part of a whole, rounded to 1/10000; `None` if the whole is zero.
pub(super) fn share(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0 && part.is_finite()).then(|| (part / whole * 1e4).round() / 1e4)
}

fn is_listener(row: &Row<'_>) -> bool {
    !is_connection(row)
}

/// The fraction of the accept queue in use.
fn queue_share(row: &Row<'_>) -> Option<f64> {
    let (waits, limit) = (row.socket.told_recv_q()?, row.socket.told_send_q()?);
    is_listener(row).then(|| share(waits.into(), f64::from(limit) + 1.0)).flatten()
}

/// The ratio of two numbers of the memory report; `None` for a listener.
fn memory_share(row: &Row<'_>, part: Option<u32>, whole: Option<u32>) -> Option<f64> {
    if is_listener(row) {
        return None;
    }
    share(part?.into(), whole?.into())
}

/// Whether both ends of a connection are on this host, judged by their addresses.
fn is_local(row: &Row<'_>) -> Option<bool> {
    let Endpoint { addr, port } = row.socket.remote;
    let is_connected = port != 0 && matches!(addr, Addr::V4(_) | Addr::V6(_));
    is_connected.then(|| row.socket.has_local_ends())
}

/// `delivery_rate * min_rtt`, in bytes.
fn bdp(row: &Row<'_>) -> Option<f64> {
    Some(delivery_rate(row)? as f64 * f64::from(round_trips(row)?.1) / 1e6)
}

/// `min(sndbuf / 2, snd_wnd) / bdp`.
fn buffer_share(row: &Row<'_>) -> Option<f64> {
    let sndbuf = f64::from(row.socket.sk_mem_info()?.sndbuf()?) / 2.0;
    let window =
        row.socket.tcp_info()?.snd_wnd().filter(|window| *window > 0).map_or(f64::INFINITY, f64::from);
    share(sndbuf.min(window), bdp(row)?)
}

/// `snd_wnd / (snd_cwnd * snd_mss)`.
fn peer_window_share(row: &Row<'_>) -> Option<f64> {
    let info = row.socket.tcp_info()?;
    share(info.snd_wnd()?.into(), f64::from(info.snd_cwnd()?) * f64::from(info.snd_mss()?))
}

/// `wmem_alloc / (send_q - notsent)`.
fn local_queue_share(row: &Row<'_>) -> Option<f64> {
    let sent = row.socket.told_send_q()?.checked_sub(row.socket.tcp_info()?.notsent_bytes()?)?;
    memory_share(row, row.socket.sk_mem_info()?.wmem_alloc(), Some(sent))
}

/// The time between the observations, in seconds.
fn seconds(row: &Row<'_>) -> Option<f64> {
    Some(row.past?.span()?.middle_s())
}

fn gained(row: &Row<'_>, counter: Counter) -> Option<u64> {
    row.past?.gain_of(counter, row.socket)
}

/// The time since anything arrived from the peer.
fn quiet_ms(row: &Row<'_>) -> Option<u32> {
    let info = row.socket.tcp_info()?;
    Some(info.last_data_recv_ms()?.min(info.last_ack_recv_ms()?))
}

/// The change of the receive queue since the previous observation.
fn recv_q_gain(row: &Row<'_>) -> Option<i64> {
    let was = i64::try_from(row.past?.was(Counter::RecvQ)?).ok()?;
    Some(i64::from(row.socket.told_recv_q()?) - was)
}

/// `(D(bytes_received) - D(recv_q)) / T`.
fn read_rate(row: &Row<'_>) -> Option<f64> {
    let received = i64::try_from(gain(row, Counter::BytesReceived)?).ok()?;
    let read = received.saturating_sub(recv_q_gain(row)?).max(0);
    Some((read as f64 / seconds(row)?).round())
}

/// `D(bytes_received) / T * rcv_rtt`, in bytes.
fn received_bdp(row: &Row<'_>) -> Option<f64> {
    let rtt = row.socket.tcp_info()?.rcv_rtt_us().filter(|rtt| *rtt > 0)?;
    Some(rate(row, Counter::BytesReceived)?.value * f64::from(rtt) / 1e6)
}

/// `D(bytes_acked) / T / (1.22 * mss / (rtt * sqrt(p)))`, where p is the retransmitted
/// fraction.
///
/// Source: Mathis, Semke, Mahdavi, Ott: The macroscopic behavior of the TCP congestion
/// avoidance algorithm, 1997.
fn loss_rate_share(row: &Row<'_>) -> Option<f64> {
    let info = row.socket.tcp_info()?;
    let part = gain(row, Counter::BytesRetrans)? as f64 / gain(row, Counter::BytesSent)? as f64;
    let rtt_s = f64::from(info.rtt_us().filter(|rtt| *rtt > 0)?) / 1e6;
    let most = 1.22 * f64::from(info.snd_mss()?) / (rtt_s * part.sqrt());
    share(rate(row, Counter::BytesAcked)?.value, Some(most).filter(|most| most.is_finite())?)
}

/// Whether a connection uses timestamps, selective acknowledgements and window scaling.
pub fn has_options(row: &Row<'_>) -> Option<bool> {
    const ALL: u8 = 0x07;
    Some(row.socket.tcp_info()?.options()? & ALL == ALL)
}

const MEMORY: Needs = Needs::INFO.union(Needs::SKMEMINFO);

/// A field of one observation.
const fn of_one(
    name: &'static str,
    read: Read,
    doc: &'static str,
    source: &'static str,
    unit: Unit,
) -> Field {
    Field::new(name, read, doc, source).gauge(unit)
}

/// Fields of sockets with an accept queue.
pub(super) const LISTENER: Field = of_one(
    "listener.queue_share",
    plain!(|r| queue_share(r)),
    "Share of the accept queue in use: recv_q / (send_q + 1). The kernel queues one connection more than the limit; \
     at 1 it drops the next.",
    "idiag_rqueue, idiag_wqueue, UNIX_DIAG_RQLEN",
    Unit::Share,
);

/// Fields of any socket with its own memory.
pub(super) const MEMORIES: &[Field] = &[
    LISTENER,
    of_one(
        "listener.next_place",
        plain!(|r| r.socket.told_recv_q().filter(|_| is_listener(r)).map(|waits| u64::from(waits) + 1)),
        "Position that the next connection will get in the accept queue: recv_q + 1.",
        "idiag_rqueue, UNIX_DIAG_RQLEN",
        Unit::Count,
    ),
    of_one(
        "socket.recv_share",
        plain!(|r| memory_share(r, r.socket.sk_mem_info()?.rmem_alloc(), r.socket.sk_mem_info()?.rcvbuf())),
        "Share of the receive buffer used by unread data, overhead included: rmem_alloc / rcvbuf.",
        "SK_MEMINFO_RMEM_ALLOC, SK_MEMINFO_RCVBUF",
        Unit::Share,
    )
    .needs(Needs::SKMEMINFO)
    .needs(Needs::UNIX_MEMINFO),
    of_one(
        "socket.send_share",
        plain!(|r| memory_share(r, r.socket.sk_mem_info()?.wmem_queued(), r.socket.sk_mem_info()?.sndbuf())),
        "Share of the send buffer in use: wmem_queued / sndbuf.",
        "SK_MEMINFO_WMEM_QUEUED, SK_MEMINFO_SNDBUF",
        Unit::Share,
    )
    .needs(Needs::SKMEMINFO)
    .needs(Needs::UNIX_MEMINFO),
    Field::new(
        "delta.drops",
        plain!(|r| gained(r, Counter::Drops)),
        "Received packets that the socket dropped since the previous sample: D(drops). For a TCP listener, not only \
         connections that overflowed the accept queue: resets from clients count, too.",
        "SK_MEMINFO_DROPS in two samples",
    )
    .gauge(Unit::Packets)
    .needs(Needs::TWO_LOOKS)
    .needs(Needs::SKMEMINFO)
    .needs(Needs::KEEP_DROPS),
    Field::new(
        "delta.drops_per_min",
        plain!(|r| Some((gained(r, Counter::Drops)? as f64 * 60.0 / seconds(r)?).round())),
        "Received packets that the socket dropped per minute: 60 s * D(drops) / T.",
        "SK_MEMINFO_DROPS in two samples",
    )
    .gauge(Unit::Count)
    .needs(Needs::TWO_LOOKS)
    .needs(Needs::SKMEMINFO)
    .needs(Needs::KEEP_DROPS),
    Field::new(
        "delta.recv_q_bytes",
        plain!(|r| recv_q_gain(r)),
        "Growth of the receive queue since the previous sample, negative if it shrank: recv_q - previous recv_q.",
        "idiag_rqueue in two samples",
    )
    .gauge(Unit::Bytes)
    .needs(Needs::TWO_LOOKS)
    .needs(Needs::KEEP_RECV_Q),
];

/// Fields of connections.
pub(super) const ONE_LOOK: &[Field] = &[
    Field::new(
        "socket.is_local",
        plain!(|r| is_local(r)),
        "Whether both ends are on this host, judged by addresses: the remote address is loopback or equals the \
         local one.",
        "idiag_src, idiag_dst",
    ),
    of_one(
        "tcp.rtt_growth",
        plain!(|r| round_trips(r).and_then(|(rtt, least)| share(rtt.into(), least.into()))),
        "Round-trip time as a multiple of its minimum: rtt / min_rtt.",
        "tcpi_rtt, tcpi_min_rtt",
        Unit::Share,
    )
    .needs(Needs::INFO),
    of_one(
        "tcp.jitter_share",
        plain!(|r| share(r.socket.tcp_info()?.rttvar_us()?.into(), round_trips(r)?.1.into())),
        "Round-trip time deviation as a multiple of the minimum round-trip time: rttvar / min_rtt.",
        "tcpi_rttvar, tcpi_min_rtt",
        Unit::Share,
    )
    .needs(Needs::INFO),
    of_one(
        "tcp.peer_window_share",
        plain!(|r| peer_window_share(r)),
        "Receive window advertised by the peer, as a share of the congestion window: snd_wnd / (snd_cwnd * \
         snd_mss). Below 1, the peer is the limit.",
        "tcpi_snd_wnd, tcpi_snd_cwnd, tcpi_snd_mss",
        Unit::Share,
    )
    .needs(Needs::INFO),
    of_one(
        "tcp.local_queue_share",
        plain!(|r| local_queue_share(r)),
        "Share of the sent, unacknowledged data that is still queued on this host: wmem_alloc / (send_q - notsent).",
        "SK_MEMINFO_WMEM_ALLOC, idiag_wqueue, tcpi_notsent_bytes",
        Unit::Share,
    )
    .needs(MEMORY),
    of_one(
        "tcp.buffer_bdp_share",
        plain!(|r| buffer_share(r)),
        "Smaller of usable send buffer and peer window, as a share of the bandwidth-delay product: min(sndbuf / 2, \
         snd_wnd) / (delivery_rate * min_rtt).",
        "SK_MEMINFO_SNDBUF, tcpi_snd_wnd, tcpi_delivery_rate, tcpi_min_rtt",
        Unit::Share,
    )
    .needs(MEMORY),
    of_one(
        "tcp.pacing_share",
        plain!(|r| {
            let most = r.socket.tcp_info()?.max_pacing_rate().filter(|most| *most != u64::MAX)?;
            share(delivery_rate(r)? as f64, most as f64)
        }),
        "Delivery rate as a share of the application's maximum pacing rate: delivery_rate / max_pacing_rate.",
        "tcpi_delivery_rate, tcpi_max_pacing_rate",
        Unit::Share,
    )
    .needs(Needs::INFO),
    of_one(
        "tcp.bbr_share",
        plain!(|r| share(delivery_rate(r)? as f64, r.socket.attrs()?.bbr()?.bw()? as f64)),
        "Delivery rate as a share of the bandwidth estimated by BBR: delivery_rate / bbr.bw.",
        "tcpi_delivery_rate, bbr_bw_lo, bbr_bw_hi",
        Unit::Share,
    )
    .needs(Needs::INFO)
    .needs(Needs::VEGASINFO),
    of_one(
        "tcp.rcv_wnd_segments",
        plain!(|r| share(r.socket.tcp_info()?.rcv_wnd()?.into(), r.socket.tcp_info()?.rcv_mss()?.into())),
        "Advertised receive window in segments of the estimated receive MSS: rcv_wnd / rcv_mss.",
        "tcpi_rcv_wnd, tcpi_rcv_mss",
        Unit::Packets,
    )
    .needs(Needs::INFO),
    of_one(
        "tcp.quiet_ms",
        plain!(|r| quiet_ms(r).filter(|_| is_connection(r))),
        "Time since anything was received from the peer: min(last_data_recv, last_ack_recv).",
        "tcpi_last_data_recv, tcpi_last_ack_recv",
        Unit::Milliseconds,
    )
    .needs(Needs::INFO)
    .needs(Needs::CLOCK),
    Field::new(
        "tcp.has_options",
        plain!(|r| has_options(r)),
        "Whether timestamps, SACK and window scaling are all in use.",
        "tcpi_options",
    )
    .state()
    .needs(Needs::INFO),
];

/// Defines fields for the gains of counters.
macro_rules! gains {
    ($($name:literal $counter:ident $unit:ident $keep:ident $of:literal $source:literal;)*) => {
        &[$(looked(
            $name,
            plain!(|r| gained(r, Counter::$counter)),
            concat!($of, " since the previous sample."),
            concat!($source, " in two samples"),
            Unit::$unit,
            Needs::$keep,
        )),*]
    };
}

/// Gains of connections since the previous observation.
pub(super) const GAINS: &[Field] = gains! {
    "delta.bytes_sent" BytesSent Bytes KEEP_BYTES_SENT "Data bytes sent, retransmissions included," "tcpi_bytes_sent";
    "delta.bytes_retrans" BytesRetrans Bytes KEEP_BYTES_RETRANS "Data bytes retransmitted" "tcpi_bytes_retrans";
    "delta.bytes_acked" BytesAcked Bytes KEEP_BYTES_ACKED "Bytes acknowledged by the peer" "tcpi_bytes_acked";
    "delta.bytes_received" BytesReceived Bytes KEEP_BYTES_RECEIVED "Bytes received in order" "tcpi_bytes_received";
    "delta.data_segs_out" DataSegsOut Packets KEEP_DATA_SEGS_OUT "Data segments sent" "tcpi_data_segs_out";
    "delta.retrans" TotalRetrans Packets KEEP_TOTAL_RETRANS "Segments retransmitted" "tcpi_total_retrans";
    "delta.dsack_dups" DsackDups Packets KEEP_DSACK_DUPS "Duplicate segments reported by the peer (DSACK)" "tcpi_dsack_dups";
    "delta.delivered_ce" DeliveredCe Packets KEEP_DELIVERED_CE "Segments delivered to the peer with a CE mark" "tcpi_delivered_ce";
    "delta.reord_seen" ReordSeen Packets KEEP_REORD_SEEN "Reordering events detected" "tcpi_reord_seen";
    "delta.rcv_ooopack" RcvOoopack Packets KEEP_RCV_OOOPACK "Segments received out of order" "tcpi_rcv_ooopack";
};

/// Fields that are derived from two observations of a connection.
pub(super) const TWO_LOOKS: &[Field] = &[
    looked(
        "rate.bytes_read_per_s",
        plain!(|r| read_rate(r)),
        "Bytes read by the application per second: (D(bytes_received) - D(recv_q)) / T.",
        "tcpi_bytes_received, idiag_rqueue in two samples",
        Unit::BytesPerSecond,
        Needs::KEEP_BYTES_RECEIVED.union(Needs::KEEP_RECV_Q),
    ),
    looked(
        "unread_us",
        plain!(|r| {
            let rate = read_rate(r).filter(|rate| *rate > 0.0)?;
            Some((f64::from(r.socket.told_recv_q()?) * 1e6 / rate).round())
        }),
        "Time the application needs to read the receive queue: recv_q / rate.bytes_read. Absent if it reads nothing.",
        "idiag_rqueue, tcpi_bytes_received in two samples",
        Unit::Microseconds,
        Needs::KEEP_BYTES_RECEIVED.union(Needs::KEEP_RECV_Q),
    ),
    looked(
        "ratio.out_of_order",
        plain!(|r| {
            let bytes = gained(r, Counter::RcvOoopack)? as f64 * f64::from(r.socket.tcp_info()?.rcv_mss()?);
            share(bytes, gain(r, Counter::BytesReceived)? as f64)
        }),
        "Approximate share of the received data that arrived out of order: D(rcv_ooopack) * rcv_mss / \
         D(bytes_received).",
        "tcpi_rcv_ooopack, tcpi_rcv_mss, tcpi_bytes_received in two samples",
        Unit::Share,
        Needs::KEEP_BYTES_RECEIVED.union(Needs::KEEP_RCV_OOOPACK),
    ),
    looked(
        "ratio.dropped",
        plain!(|r| {
            let dropped = gained(r, Counter::Drops)? as f64;
            let segment = f64::from(r.socket.tcp_info()?.rcv_mss().filter(|mss| *mss > 0)?);
            share(dropped, dropped + gain(r, Counter::BytesReceived)? as f64 / segment)
        }),
        "Approximate share of the received segments that the socket dropped: D(drops) / (D(drops) + \
         D(bytes_received) / rcv_mss).",
        "SK_MEMINFO_DROPS, tcpi_bytes_received in two samples, tcpi_rcv_mss",
        Unit::Share,
        Needs::KEEP_DROPS.union(Needs::SKMEMINFO),
    ),
    looked(
        "ratio.congestion_marks",
        plain!(|r| share(gained(r, Counter::DeliveredCe)? as f64, gain(r, Counter::DataSegsOut)? as f64)),
        "Share of the data segments sent that the network marked CE: D(delivered_ce) / D(data_segs_out).",
        "tcpi_delivered_ce, tcpi_data_segs_out in two samples",
        Unit::Share,
        Needs::KEEP_DELIVERED_CE.union(Needs::KEEP_DATA_SEGS_OUT),
    ),
    looked(
        "share.timeouts",
        plain!(|r| share(gained(r, Counter::TotalRtoTime)? as f64 / 1e3, seconds(r)?)),
        "Share of the time spent recovering from retransmission timeouts, counted once recovery ends: \
         D(total_rto_time) / T.",
        "tcpi_total_rto_time in two samples",
        Unit::Share,
        Needs::KEEP_TOTAL_RTO_TIME,
    ),
    looked(
        "share.receiver_of_busy",
        plain!(|r| share(gain(r, Counter::RwndLimited)? as f64, gain(r, Counter::BusyTime)? as f64)),
        "Share of the busy time limited by the peer's receive window: D(rwnd_limited) / D(busy_time).",
        "tcpi_rwnd_limited, tcpi_busy_time in two samples",
        Unit::Share,
        Needs::KEEP_RWND_LIMITED.union(Needs::KEEP_BUSY_TIME),
    ),
    looked(
        "share.sndbuf_of_busy",
        plain!(|r| share(gain(r, Counter::SndbufLimited)? as f64, gain(r, Counter::BusyTime)? as f64)),
        "Share of the busy time limited by the local send buffer: D(sndbuf_limited) / D(busy_time).",
        "tcpi_sndbuf_limited, tcpi_busy_time in two samples",
        Unit::Share,
        Needs::KEEP_SNDBUF_LIMITED.union(Needs::KEEP_BUSY_TIME),
    ),
    looked(
        "tcp.window_use",
        plain!(|r| share(rate(r, Counter::BytesAcked)?.value * f64::from(round_trips(r)?.1) / 1e6, 65_535.0)),
        "Data in flight as a share of the largest unscaled window: D(bytes_acked) / T * min_rtt / 65535.",
        "tcpi_bytes_acked in two samples, tcpi_min_rtt",
        Unit::Share,
        Needs::KEEP_BYTES_ACKED,
    ),
    looked(
        "tcp.rcv_wnd_bdp_share",
        plain!(|r| share(r.socket.tcp_info()?.rcv_wnd()?.into(), received_bdp(r)?)),
        "Advertised receive window as a share of the data received per round trip: rcv_wnd / (D(bytes_received) / T \
         * rcv_rtt).",
        "tcpi_rcv_wnd, tcpi_rcv_rtt, tcpi_bytes_received in two samples",
        Unit::Share,
        Needs::KEEP_BYTES_RECEIVED,
    ),
    looked(
        "tcp.rmem_bdp_share",
        plain!(|r| share(r.socket.sk_mem_info()?.rmem_alloc()?.into(), received_bdp(r)?)),
        "Memory of unread data as a share of the data received per round trip: rmem_alloc / (D(bytes_received) / T \
         * rcv_rtt).",
        "SK_MEMINFO_RMEM_ALLOC, tcpi_rcv_rtt, tcpi_bytes_received in two samples",
        Unit::Share,
        Needs::KEEP_BYTES_RECEIVED.union(Needs::SKMEMINFO),
    ),
    looked(
        "tcp.loss_rate_share",
        plain!(|r| loss_rate_share(r)),
        "Rate as a share of the maximum at this loss rate (Mathis): D(bytes_acked) / T / (1.22 * snd_mss / (rtt * \
         sqrt(p))), where p is D(bytes_retrans) / D(bytes_sent).",
        "tcpi_bytes_acked, tcpi_bytes_retrans, tcpi_bytes_sent in two samples, tcpi_rtt, tcpi_snd_mss",
        Unit::Share,
        Needs::KEEP_BYTES_ACKED.union(Needs::KEEP_BYTES_RETRANS).union(Needs::KEEP_BYTES_SENT),
    ),
];

fn joined(row: &Row<'_>, join: Join) -> Option<f64> {
    row.names.around?.joined(join, row.socket)
}

fn listener_joined(row: &Row<'_>, join: Join) -> Option<f64> {
    if is_listener(row) { joined(row, join) } else { None }
}

/// `syn_recv / min(send_q, tcp_max_syn_backlog)`.
fn syn_recv_share(row: &Row<'_>) -> Option<f64> {
    let most = row.names.around?.setting("net.ipv4.tcp_max_syn_backlog", 0)? as f64;
    share(listener_joined(row, Join::SynRecv)?, most.min(row.socket.told_send_q()?.into()))
}

/// Whether the application or the sysctl set the backlog limit.
fn limited_by(row: &Row<'_>) -> Option<&'static str> {
    let most = row.names.around?.setting("net.core.somaxconn", 0)?;
    let limit = i64::from(row.socket.told_send_q()?);
    is_listener(row).then_some(if limit < most { "application" } else { "somaxconn" })
}

const LIMITED_BY: &[Word] = &[Word::text("application"), Word::text("somaxconn")];

/// The serving end of a connection: this one, if its port has a listener.
fn service(row: &Row<'_>) -> Option<(bool, Endpoint)> {
    let is_served = joined(row, Join::Served)? > 0.0;
    let end = if is_served { row.socket.local } else { row.socket.remote };
    (row.socket.remote.port != 0).then_some((is_served, end))
}

const SIDES: &[Word] = &[Word::text("server"), Word::text("client")];

/// Aggregates over the other sockets of the namespace.
pub(super) const JOINS: &[Field] = &[
    Field::new(
        "service.side",
        word!(SIDES, |r| service(r).map(|(is_served, _)| if is_served { "server" } else { "client" })),
        "Whether this end of the connection is the server or the client: the server if a socket listens on the \
         local port.",
        "idiag_state, idiag_sport of all sockets of the namespace",
    )
    .needs(Needs::AROUND),
    Field::new(
        "service.addr",
        plain!(|r| Some(service(r)?.1.addr.one_host())),
        "Address of the connection's server end.",
        "idiag_src, idiag_dst; idiag_state, idiag_sport of all sockets of the namespace",
    )
    .needs(Needs::AROUND),
    Field::new(
        "service.port",
        plain!(|r| u16::try_from(service(r)?.1.port).ok()),
        "Port of the connection's server end.",
        "idiag_sport, idiag_dport; idiag_state of all sockets of the namespace",
    )
    .needs(Needs::AROUND),
    of_one(
        "listener.syn_recv",
        plain!(|r| listener_joined(r, Join::SynRecv)),
        "Connection requests in SYN-RECV at the listener's port.",
        "idiag_state, idiag_sport of all sockets of the namespace",
        Unit::Count,
    )
    .needs(Needs::AROUND),
    of_one(
        "listener.syn_recv_again",
        plain!(|r| listener_joined(r, Join::SynRecvAgain)),
        "Connection requests in SYN-RECV at the listener's port whose SYN-ACK was retransmitted.",
        "idiag_state, idiag_sport, idiag_retrans of all sockets of the namespace",
        Unit::Count,
    )
    .needs(Needs::AROUND),
    of_one(
        "listener.syn_recv_share",
        plain!(|r| syn_recv_share(r)),
        "Connection requests in SYN-RECV as a share of their limit: syn_recv / min(send_q, tcp_max_syn_backlog).",
        "idiag_state, idiag_sport of all sockets of the namespace; idiag_wqueue, tcp_max_syn_backlog",
        Unit::Share,
    )
    .needs(Needs::AROUND),
    of_one(
        "listener.abandoned",
        plain!(|r| listener_joined(r, Join::Abandoned)),
        "Connections at the listener's port that the peer closed before they were accepted: in CLOSE-WAIT, held by \
         no process.",
        "idiag_state, idiag_sport, idiag_inode of all sockets of the namespace",
        Unit::Count,
    )
    .needs(Needs::AROUND),
    of_one(
        "listener.abandoned_share",
        plain!(|r| share(listener_joined(r, Join::Abandoned)?, f64::from(r.socket.told_send_q()?) + 1.0)),
        "Connections closed by the peer before they were accepted, as a share of the accept queue: abandoned / \
         (send_q + 1).",
        "idiag_state, idiag_sport, idiag_inode of all sockets of the namespace; idiag_wqueue",
        Unit::Share,
    )
    .needs(Needs::AROUND),
    Field::new(
        "listener.limited_by",
        word!(LIMITED_BY, |r| limited_by(r)),
        "What limits the accept queue: the application's listen(2), or net.core.somaxconn if the application \
         requested as many or more.",
        "idiag_wqueue, net.core.somaxconn",
    )
    .needs(Needs::AROUND),
    Field::new(
        "local.is_served",
        plain!(|r| joined(r, Join::Served).map(|served| served > 0.0)),
        "Whether a socket listens on the local port.",
        "idiag_state, idiag_sport of all sockets of the namespace",
    )
    .needs(Needs::AROUND),
    Field::new(
        "peer.present",
        plain!(|r| joined(r, Join::PeerPresent).map(|there| there > 0.0)),
        "Whether the other end exists, for a connection between two sockets of this host.",
        "swapped addresses and ports among all sockets of the namespace",
    )
    .needs(Needs::AROUND),
    of_one(
        "ports.towards_share",
        plain!(|r| share(joined(r, Join::Towards)?, r.names.around?.ephemeral_ports()?.into())),
        "Upper estimate of the share of ephemeral ports used by connections with the same addresses and remote \
         port; ports.used_share is exact.",
        "idiag_src, idiag_sport, idiag_dst, idiag_dport of all TCP sockets of the namespace; ip_local_port_range",
        Unit::Share,
    )
    .needs(Needs::AROUND),
    of_one(
        "netns.options_share",
        plain!(|r| joined(r, Join::WithOptions)),
        "Share of the namespace's connections with other hosts that use timestamps, SACK and window scaling.",
        "tcpi_options of all TCP sockets of the namespace",
        Unit::Share,
    )
    .needs(Needs::AROUND)
    .needs(Needs::INFO),
    of_one(
        "tcp.fin_timeout_share",
        plain!(|r| {
            let quiet_ms = quiet_ms(r)?;
            let timeout_s = r.names.around?.setting("net.ipv4.tcp_fin_timeout", 0)?;
            share(quiet_ms.into(), timeout_s as f64 * 1e3)
        }),
        "Time since anything was received from the peer, as a share of the timeout of orphaned connections: \
         min(last_data_recv, last_ack_recv) / tcp_fin_timeout.",
        "tcpi_last_data_recv, tcpi_last_ack_recv, net.ipv4.tcp_fin_timeout",
        Unit::Share,
    )
    .needs(Needs::AROUND)
    .needs(Needs::INFO)
    .needs(Needs::CLOCK),
    Field::new(
        "tcp.congestion_is_default",
        plain!(|r| {
            let default = r.names.around?.setting_text("net.ipv4.tcp_congestion_control")?;
            let used = r.socket.attrs()?.congestion()?;
            Some(used == default)
        }),
        "Whether the congestion control is the namespace's default.",
        "INET_DIAG_CONG, net.ipv4.tcp_congestion_control",
    )
    .needs(Needs::AROUND)
    .needs(Needs::CONG),
];
