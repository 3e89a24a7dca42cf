//! Presets of `top`: fields that answer one question, and the order that goes
//! with them.

use sockdiag::model::Selected;

use crate::options::Asked;
use crate::over_time;

/// A preset.
pub(super) struct Preset {
    pub(super) name: &'static str,
    /// What it answers.
    pub(super) doc: &'static str,
    /// The fields behind those that say which socket it is.
    pub(super) fields: &'static str,
    /// The order of rows.
    pub(super) sort: &'static str,
    /// Rows in which the number of this field is larger come after the others.
    pub(super) last: Option<(&'static str, u32)>,
    /// What is made of the numbers of a group.
    pub(super) totals: &'static str,
}

/// What says which socket a row is about.
pub(super) const WHICH: &str = "netid,state,ended,local.addr,local.port,remote.addr,remote.port";
/// And in which namespace.
pub(super) const NETNS: &str = "netns.title";
/// And who holds it.
pub(super) const WHO: &str = "processes";

/// What a socket measured that was idle for longer, in milliseconds, says little of now.
const IDLE_MS: u32 = 5000;

/// Every preset; the first is that of sockets that count bytes.
pub(super) const PRESETS: &[Preset] = &[
    Preset {
        name: "traffic",
        doc: "who sends and receives how much; goodput leaves out what was sent again",
        fields: "bytes_sent_per_s,bytes_received_per_s,goodput",
        sort: "-goodput_bytes_per_s",
        last: None,
        totals: "sum(bytes_sent_per_s),sum(bytes_received_per_s)",
    },
    Preset {
        name: "latency",
        doc: "whose round trips are long, and how much of that is a queue; of packets, not of requests and their answers",
        // Round trips of an idle connection are as old as its last data.
        fields: "rtt,rttvar,min_rtt,queue,idle",
        sort: "-rtt",
        last: Some(("idle_ms", IDLE_MS)),
        totals: "max(rtt),max(queue),min(idle)",
    },
    Preset {
        name: "loss",
        doc: "who sends again, and how much of that the peer had already",
        fields: "rate.segs_out_per_s,rate.retrans_per_s,ratio.retransmit,ratio.spurious",
        sort: "-rate.retrans_per_s",
        last: None,
        totals: "sum(rate.segs_out_per_s),sum(rate.retrans_per_s)",
    },
    Preset {
        name: "queues",
        doc: "what waits to be read or to be sent, and what was dropped; of a listener, the connections that wait to be \
              accepted and how many may",
        fields: "recv_q,send_q,drops",
        sort: "-socket.recv_q,-socket.send_q",
        last: None,
        totals: "sum(recv_q),sum(send_q),sum(drops)",
    },
    Preset {
        name: "memory",
        doc: "whose buffers take how much memory",
        fields: "mem.rmem_alloc,mem.rcvbuf,mem.wmem_queued,mem.sndbuf",
        sort: "-mem.rmem_alloc,-mem.wmem_queued",
        last: None,
        totals: "sum(mem.rmem_alloc),sum(mem.wmem_queued)",
    },
    Preset {
        name: "limits",
        doc: "who keeps the sender waiting: program, network, receiver or send buffer",
        fields: "share.app,share.network,share.receiver,share.sndbuf",
        sort: "-share.receiver,-share.network",
        last: None,
        totals: "avg(share.app),avg(share.network),avg(share.receiver),avg(share.sndbuf)",
    },
    Preset {
        name: "endings",
        doc: "what ended, how, and after how much",
        fields: "age_ms,tcp.bytes_sent,tcp.bytes_received,tcp.total_retrans",
        // Those that did not end say nothing here, so they come last.
        sort: "socket.ended",
        last: None,
        totals: "sum(tcp.bytes_sent),sum(tcp.bytes_received)",
    },
    Preset {
        name: "findings",
        doc: "what the doctor finds wrong with a socket: 3 is critical, 2 a warning; first after two of its looks",
        fields: "doctor.severity,doctor.finding",
        sort: "-doctor.severity",
        last: None,
        totals: "max(doctor.severity)",
    },
];

/// The preset of this name; without one that which the sockets have something for.
pub(super) fn preset(name: Option<&str>, selected: &Selected) -> Option<&'static Preset> {
    let name = name.unwrap_or(if over_time::count_bytes(selected) { "traffic" } else { "queues" });
    PRESETS.iter().find(|preset| preset.name == name)
}

/// The columns of a preset, with these for who holds a socket.
pub(super) fn columns_of(preset: &Preset, asked: &Asked, who: &str) -> String {
    let netns = if asked.netns.is_some() { format!("{NETNS},") } else { String::new() };
    format!("{netns}{WHICH},{},{who}", preset.fields)
}
