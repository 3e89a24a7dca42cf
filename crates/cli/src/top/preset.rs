//! Presets of `top`: the fields that answer one question, and their sort order.

use sockdiag::model::Selected;

use crate::options::Asked;
use crate::over_time;

/// A preset.
pub(super) struct Preset {
    pub(super) name: &'static str,
    /// The question it answers.
    pub(super) doc: &'static str,
    /// The fields after those that identify the socket.
    pub(super) fields: &'static str,
    /// The order of rows.
    pub(super) sort: &'static str,
    /// Rows with a larger value of this field come after the others.
    pub(super) last: Option<(&'static str, u32)>,
    /// The totals of a group.
    pub(super) totals: &'static str,
}

/// The fields that identify the socket of a row.
pub(super) const WHICH: &str = "netid,state,ended,local.addr,local.port,remote.addr,remote.port";
/// The field that names the namespace.
pub(super) const NETNS: &str = "netns.title";
/// The processes that have the socket open.
pub(super) const WHO: &str = "processes";

/// Measurements of a socket idle for longer than this are out of date, in milliseconds.
const IDLE_MS: u32 = 5000;

/// Every preset; the first is that of sockets that count bytes.
pub(super) const PRESETS: &[Preset] = &[
    Preset {
        name: "traffic",
        doc: "throughput of each socket; goodput excludes retransmitted data",
        fields: "bytes_sent_per_s,bytes_received_per_s,goodput",
        sort: "-goodput_bytes_per_s",
        last: None,
        totals: "sum(bytes_sent_per_s),sum(bytes_received_per_s)",
    },
    Preset {
        name: "latency",
        doc: "round-trip times of packets and how much of each is queueing delay (not times of requests)",
        // Round trips of an idle connection are as old as its last data.
        fields: "rtt,rttvar,min_rtt,queue,idle",
        sort: "-rtt",
        last: Some(("idle_ms", IDLE_MS)),
        totals: "max(rtt),max(queue),min(idle)",
    },
    Preset {
        name: "loss",
        doc: "retransmits, and the share of them that was spurious (already received)",
        fields: "rate.segs_out_per_s,rate.retrans_per_s,ratio.retransmit,ratio.spurious",
        sort: "-rate.retrans_per_s",
        last: None,
        totals: "sum(rate.segs_out_per_s),sum(rate.retrans_per_s)",
    },
    Preset {
        name: "queues",
        doc: "data waiting to be read or sent, and drops; for a listener, its accept queue and backlog",
        fields: "recv_q,send_q,drops",
        sort: "-socket.recv_q,-socket.send_q",
        last: None,
        totals: "sum(recv_q),sum(send_q),sum(drops)",
    },
    Preset {
        name: "memory",
        doc: "memory used by the buffers of each socket",
        fields: "mem.rmem_alloc,mem.rcvbuf,mem.wmem_queued,mem.sndbuf",
        sort: "-mem.rmem_alloc,-mem.wmem_queued",
        last: None,
        totals: "sum(mem.rmem_alloc),sum(mem.wmem_queued)",
    },
    Preset {
        name: "limits",
        doc: "what limits the sender: application, network, receiver or send buffer",
        fields: "share.app,share.network,share.receiver,share.sndbuf",
        sort: "-share.receiver,-share.network",
        last: None,
        totals: "avg(share.app),avg(share.network),avg(share.receiver),avg(share.sndbuf)",
    },
    Preset {
        name: "endings",
        doc: "closed sockets: how they ended and how much they transferred",
        fields: "age_ms,tcp.bytes_sent,tcp.bytes_received,tcp.total_retrans",
        // Rows of sockets that did not end have no value here, so they come last.
        sort: "socket.ended",
        last: None,
        totals: "sum(tcp.bytes_sent),sum(tcp.bytes_received)",
    },
    Preset {
        name: "findings",
        doc: "the doctor's findings about a socket: severity 3 is critical, 2 a warning; available after \
            its second sample",
        fields: "doctor.severity,doctor.finding",
        sort: "-doctor.severity",
        last: None,
        totals: "max(doctor.severity)",
    },
];

/// The preset with this name; without a name, the one that suits the selected sockets.
pub(super) fn preset(name: Option<&str>, selected: &Selected) -> Option<&'static Preset> {
    let name = name.unwrap_or(if over_time::count_bytes(selected) { "traffic" } else { "queues" });
    PRESETS.iter().find(|preset| preset.name == name)
}

/// The columns of a preset; `who` are those for the processes.
pub(super) fn columns_of(preset: &Preset, asked: &Asked, who: &str) -> String {
    let netns = if asked.netns.is_some() { format!("{NETNS},") } else { String::new() };
    format!("{netns}{WHICH},{},{who}", preset.fields)
}
