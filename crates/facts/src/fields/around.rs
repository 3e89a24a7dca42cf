//! Counters and settings of a network namespace, and the data for diagnosing a process.
//!
//! These fields exist only in the [extended](super::Catalog::extended) table.  They read the
//! surroundings that the doctor attaches to a row ([`Around`]); counters have the kernel's
//! names, so `nstat` shows the same ones.
//!
//! Invariant: a counter that this kernel lacks is absent.

#![allow(clippy::cast_precision_loss, reason = "counters and limits are far below 2^53")]

use super::{Field, Needs, Unit, judged, plain, text};
use crate::model::{Around, Row};

fn around<'a>(row: &'a Row<'a>) -> Option<&'a dyn Around> {
    row.names.around
}

fn gained(row: &Row<'_>, group: &str, name: &str) -> Option<u64> {
    around(row)?.gained(group, name)
}

fn sum(row: &Row<'_>, counters: &[(&str, &str)]) -> Option<u64> {
    // Some of these counters may not exist on this kernel.
    let known = counters.iter().filter_map(|(group, name)| gained(row, group, name));
    known.fold(None, |all: Option<u64>, gained| Some(all.unwrap_or(0).saturating_add(gained)))
}

fn per_min(row: &Row<'_>, gained: u64) -> Option<f64> {
    let seconds = around(row)?.seconds().filter(|seconds| *seconds > 0.0)?;
    Some((gained as f64 * 60.0 / seconds).round())
}

fn share(part: u64, whole: f64) -> Option<f64> {
    judged::share(part as f64, whole)
}

fn setting(row: &Row<'_>, name: &str, place: usize) -> Option<u64> {
    u64::try_from(around(row)?.setting(name, place)?).ok()
}

fn level(row: &Row<'_>, group: &str, name: &str) -> Option<u64> {
    around(row)?.level(group, name)
}

const fn count(name: &'static str, read: super::Read, doc: &'static str, source: &'static str) -> Field {
    Field::new(name, read, doc, source).gauge(Unit::Count).size().needs(Needs::AROUND)
}

const fn part(name: &'static str, read: super::Read, doc: &'static str, source: &'static str) -> Field {
    Field::new(name, read, doc, source).gauge(Unit::Share).needs(Needs::AROUND)
}

/// Two fields for each counter or sum of counters: its gain, and its gain per minute.
macro_rules! counters {
    ($($name:literal $doc:literal $(($group:literal $counter:literal))+;)*) => {
        /// Gains of the namespace's counters.
        pub(super) const COUNTERS: &[Field] = &[$(
            count(
                concat!("net.", $name, "_delta"),
                plain!(|r| sum(r, &[$(($group, $counter)),+])),
                concat!($doc, ": gain between the first and the last look."),
                concat!($($group, $counter, " "),+, "of /proc/net/netstat, snmp or snmp6"),
            ),
            count(
                concat!("net.", $name, "_per_min"),
                plain!(|r| sum(r, &[$(($group, $counter)),+]).and_then(|gained| per_min(r, gained))),
                concat!($doc, ": gain in a minute."),
                concat!($($group, $counter, " "),+, "of /proc/net/netstat, snmp or snmp6"),
            ),
        )*];
    };
}

counters! {
    "ListenOverflows" "Connections dropped since the accept queue was full" ("TcpExt" "ListenOverflows");
    "ListenDrops" "Connections dropped at a listener, for whichever reason" ("TcpExt" "ListenDrops");
    "TCPReqQFullDoCookies" "Connections answered with SYN cookies since the queue of requests was full" ("TcpExt" "TCPReqQFullDoCookies");
    "TCPReqQFullDrop" "Requests for a connection dropped since their queue was full" ("TcpExt" "TCPReqQFullDrop");
    "TCPSynRetrans" "SYN and SYN-ACK segments sent again" ("TcpExt" "TCPSynRetrans");
    "TCPTimeouts" "Timeouts of TCP" ("TcpExt" "TCPTimeouts");
    "TCPSpuriousRtxHostQueues" "Segments that were to be sent again while the first copy waited in a queue of the host" ("TcpExt" "TCPSpuriousRtxHostQueues");
    "TCPToZeroWindowAdv" "Times that a window was closed" ("TcpExt" "TCPToZeroWindowAdv");
    "TCPWantZeroWindowAdv" "Times that a window was to be closed" ("TcpExt" "TCPWantZeroWindowAdv");
    "TCPRcvQDrop" "Segments dropped since the receive queue had no memory" ("TcpExt" "TCPRcvQDrop");
    "RcvPruned" "Segments thrown away from receive queues that were full" ("TcpExt" "RcvPruned");
    "OfoPruned" "Times that segments out of order were thrown away" ("TcpExt" "OfoPruned");
    "TCPOFODrop" "Segments out of order that were dropped for lack of memory" ("TcpExt" "TCPOFODrop");
    "TCPZeroWindowDrop" "Segments dropped since they came while the window was closed" ("TcpExt" "TCPZeroWindowDrop");
    "TCPBacklogDrop" "Segments dropped since the backlog of a busy socket was full" ("TcpExt" "TCPBacklogDrop");
    "tcp_received_dropped" "Segments that arrived and were thrown away for lack of room"
        ("TcpExt" "TCPRcvQDrop") ("TcpExt" "RcvPruned") ("TcpExt" "OfoPruned") ("TcpExt" "TCPOFODrop")
        ("TcpExt" "TCPZeroWindowDrop") ("TcpExt" "TCPBacklogDrop");
    "PruneCalled" "Times that a receive queue had to be made smaller" ("TcpExt" "PruneCalled");
    "TCPRcvCollapsed" "Segments that were copied together to save memory" ("TcpExt" "TCPRcvCollapsed");
    "tcp_collapsed" "Segments copied together, and calls for that" ("TcpExt" "TCPRcvCollapsed") ("TcpExt" "PruneCalled");
    "TCPMemoryPressures" "Times that TCP came under memory pressure" ("TcpExt" "TCPMemoryPressures");
    "TCPAbortOnMemory" "Connections aborted for lack of memory" ("TcpExt" "TCPAbortOnMemory");
    "TCPAbortOnClose" "Connections aborted since they were closed with data unread" ("TcpExt" "TCPAbortOnClose");
    "TCPAbortOnData" "Connections aborted since data came after they were closed" ("TcpExt" "TCPAbortOnData");
    "TCPAbortOnTimeout" "Connections given up after timeouts" ("TcpExt" "TCPAbortOnTimeout");
    "TCPTimeWaitOverflow" "Connections closed without TIME-WAIT since there were too many" ("TcpExt" "TCPTimeWaitOverflow");
    "TCPMTUPSuccess" "Probes that found the size of packets that the path takes" ("TcpExt" "TCPMTUPSuccess");
    "TCPFastOpenActiveFail" "Fast opens of ours that failed" ("TcpExt" "TCPFastOpenActiveFail");
    "TCPFastOpenBlackhole" "Times that fast open was given up for a while" ("TcpExt" "TCPFastOpenBlackhole");
    "TCPSACKReorder" "Segments found out of order by selective acknowledgements" ("TcpExt" "TCPSACKReorder");
    "ActiveOpens" "Connections begun by us" ("Tcp" "ActiveOpens");
    "PassiveOpens" "Connections begun by others" ("Tcp" "PassiveOpens");
    "AttemptFails" "Connections that failed before they were made" ("Tcp" "AttemptFails");
    "EstabResets" "Connections that were reset" ("Tcp" "EstabResets");
    "OutRsts" "Resets sent" ("Tcp" "OutRsts");
    "OutSegs" "Segments sent" ("Tcp" "OutSegs");
    "RetransSegs" "Segments sent again" ("Tcp" "RetransSegs");
    "UdpNoPorts" "Datagrams to a port without a socket" ("Udp" "NoPorts") ("Udp6" "NoPorts");
    "UdpRcvbufErrors" "Datagrams dropped since a receive buffer was full" ("Udp" "RcvbufErrors") ("Udp6" "RcvbufErrors");
    "UdpSndbufErrors" "Datagrams not sent since a send buffer was full" ("Udp" "SndbufErrors") ("Udp6" "SndbufErrors");
}

/// Ratios of the namespace's counters, and its levels and settings.
pub(super) const LEVELS: &[Field] = &[
    part(
        "net.syn_retrans_share",
        plain!(|r| {
            let opens = sum(r, &[("Tcp", "ActiveOpens"), ("Tcp", "PassiveOpens")])?;
            share(gained(r, "TcpExt", "TCPSynRetrans")?, opens as f64)
        }),
        "SYN and SYN-ACK segments sent again for each connection: D(TCPSynRetrans) / D(ActiveOpens + PassiveOpens).",
        "TcpExtTCPSynRetrans, TcpActiveOpens, TcpPassiveOpens at two looks",
    ),
    part(
        "net.reset_share",
        plain!(|r| {
            let opens = sum(r, &[("Tcp", "ActiveOpens"), ("Tcp", "PassiveOpens")])?;
            share(gained(r, "Tcp", "OutRsts")?, opens as f64 + 1.0)
        }),
        "Resets sent for each connection begun: D(OutRsts) / (D(ActiveOpens + PassiveOpens) + 1).",
        "TcpOutRsts, TcpActiveOpens, TcpPassiveOpens at two looks",
    ),
    part(
        "net.abort_share",
        plain!(|r| {
            let opens = sum(r, &[("Tcp", "ActiveOpens"), ("Tcp", "PassiveOpens")])?;
            let aborts = sum(r, &[("TcpExt", "TCPAbortOnClose"), ("TcpExt", "TCPAbortOnData")])?;
            share(aborts, opens as f64 + 1.0)
        }),
        "Connections aborted with data unread or unwanted, for each begun: D(TCPAbortOnClose + TCPAbortOnData) / \
         (D(ActiveOpens + PassiveOpens) + 1).",
        "TcpExtTCPAbortOnClose, TcpExtTCPAbortOnData, TcpActiveOpens, TcpPassiveOpens at two looks",
    ),
    count(
        "net.aborts_delta",
        plain!(|r| sum(r, &[("TcpExt", "TCPAbortOnClose"), ("TcpExt", "TCPAbortOnData")])),
        "Connections aborted with data unread or unwanted: gain between the first and the last look.",
        "TcpExtTCPAbortOnClose, TcpExtTCPAbortOnData at two looks",
    ),
    count(
        "net.opens_delta",
        plain!(|r| sum(r, &[("Tcp", "ActiveOpens"), ("Tcp", "PassiveOpens")])),
        "Connections begun by us and by others: gain between the first and the last look.",
        "TcpActiveOpens, TcpPassiveOpens at two looks",
    ),
    count(
        "sockstat.tcp_inuse",
        plain!(|r| level(r, "TCP", "inuse")),
        "TCP sockets of the namespace over IPv4, those in TIME-WAIT left out.",
        "TCP: inuse of /proc/net/sockstat",
    ),
    count(
        "sockstat.tcp_orphan",
        plain!(|r| level(r, "TCP", "orphan")),
        "TCP sockets that no process holds and that still have to be closed, of the whole host.",
        "TCP: orphan of /proc/net/sockstat",
    ),
    count(
        "sockstat.tcp_tw",
        plain!(|r| level(r, "TCP", "tw")),
        "Connections in TIME-WAIT.",
        "TCP: tw of /proc/net/sockstat",
    ),
    count(
        "sockstat.tcp_mem_pages",
        plain!(|r| level(r, "TCP", "mem")),
        "Pages of memory that TCP takes, of the whole host.",
        "TCP: mem of /proc/net/sockstat",
    ),
    part(
        "sockstat.tcp_orphan_share",
        plain!(|r| share(level(r, "TCP", "orphan")?, setting(r, "net.ipv4.tcp_max_orphans", 0)? as f64)),
        "Orphans as a share of those that may be: orphan / tcp_max_orphans.",
        "TCP: orphan of /proc/net/sockstat, net.ipv4.tcp_max_orphans",
    ),
    part(
        "sockstat.tcp_tw_share",
        plain!(|r| share(level(r, "TCP", "tw")?, setting(r, "net.ipv4.tcp_max_tw_buckets", 0)? as f64)),
        "Connections in TIME-WAIT as a share of those that may be: tw / tcp_max_tw_buckets.",
        "TCP: tw of /proc/net/sockstat, net.ipv4.tcp_max_tw_buckets",
    ),
    part(
        "sockstat.tcp_mem_share",
        plain!(|r| share(level(r, "TCP", "mem")?, setting(r, "net.ipv4.tcp_mem", 2)? as f64)),
        "Memory of TCP as a share of the most that it may take: mem / tcp_mem[2]. From tcp_mem[1] on it is under \
         pressure, at 1 connections are aborted.",
        "TCP: mem of /proc/net/sockstat, net.ipv4.tcp_mem",
    ),
    part(
        "sockstat.tcp_pressure_share",
        plain!(|r| share(level(r, "TCP", "mem")?, setting(r, "net.ipv4.tcp_mem", 1)? as f64)),
        "Memory of TCP as a share of that from which on it is under pressure: mem / tcp_mem[1].",
        "TCP: mem of /proc/net/sockstat, net.ipv4.tcp_mem",
    ),
    count(
        "sysctl.ephemeral_ports",
        plain!(|r| around(r)?.ephemeral_ports()),
        "Ephemeral ports that the namespace gives away, less the reserved ones.",
        "net.ipv4.ip_local_port_range, net.ipv4.ip_local_reserved_ports",
    ),
    count(
        "sysctl.somaxconn",
        plain!(|r| setting(r, "net.core.somaxconn", 0)),
        "Most connections that may wait to be accepted at a listener, whatever it asks for.",
        "net.core.somaxconn",
    ),
    count(
        "sysctl.tcp_max_syn_backlog",
        plain!(|r| setting(r, "net.ipv4.tcp_max_syn_backlog", 0)),
        "Most requests for a connection at a listener.",
        "net.ipv4.tcp_max_syn_backlog",
    ),
    count(
        "sysctl.tcp_max_tw_buckets",
        plain!(|r| setting(r, "net.ipv4.tcp_max_tw_buckets", 0)),
        "Most connections in TIME-WAIT.",
        "net.ipv4.tcp_max_tw_buckets",
    ),
    count(
        "sysctl.tcp_max_orphans",
        plain!(|r| setting(r, "net.ipv4.tcp_max_orphans", 0)),
        "Most TCP sockets that no process holds.",
        "net.ipv4.tcp_max_orphans",
    ),
    count(
        "sysctl.tcp_mem_pages",
        plain!(|r| setting(r, "net.ipv4.tcp_mem", 2)),
        "Most pages of memory that TCP may take.",
        "net.ipv4.tcp_mem",
    ),
    count(
        "sysctl.tcp_slow_start_after_idle",
        plain!(|r| setting(r, "net.ipv4.tcp_slow_start_after_idle", 0)),
        "Whether a connection begins slowly again after it was idle: 1 if so.",
        "net.ipv4.tcp_slow_start_after_idle",
    ),
    count(
        "sysctl.tcp_mtu_probing",
        plain!(|r| setting(r, "net.ipv4.tcp_mtu_probing", 0)),
        "Whether the size of packets that a path takes is probed: 0 never, 1 once packets vanish, 2 always.",
        "net.ipv4.tcp_mtu_probing",
    ),
    count(
        "looks.unseen",
        plain!(|r| around(r)?.unseen()),
        "Things that could not be seen: tables, namespaces, processes, counters.",
        "looks",
    ),
];

/// The data for diagnosing a process.
pub(super) const PROCESS: &[Field] = &[
    Field::new(
        "process.id",
        plain!(|r| Some(around(r)?.descriptors()?.pid)),
        "Process that the row is about.",
        "/proc/PID",
    )
    .needs(Needs::AROUND),
    Field::new(
        "process.name",
        text!(|r| Some(around(r)?.descriptors()?.comm)),
        "Name of the process that the row is about.",
        "/proc/PID/comm",
    )
    .needs(Needs::AROUND),
    count(
        "process.fds",
        plain!(|r| Some(around(r)?.descriptors()?.open)),
        "Descriptors that the process has open.",
        "/proc/PID/fd",
    ),
    count(
        "process.fds_most",
        plain!(|r| around(r)?.descriptors()?.most),
        "Descriptors that the process may have open.",
        "/proc/PID/limits",
    ),
    part(
        "process.fds_share",
        plain!(|r| {
            let descriptors = around(r)?.descriptors()?;
            share(descriptors.open, descriptors.most? as f64)
        }),
        "Share of the descriptors that a process may have that it has open.",
        "/proc/PID/fd, /proc/PID/limits",
    ),
];
