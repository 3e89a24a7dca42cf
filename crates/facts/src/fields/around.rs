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
                concat!($doc, ": increase between the first and the last sample."),
                concat!($($group, $counter, " "),+, "of /proc/net/netstat, snmp or snmp6"),
            ),
            count(
                concat!("net.", $name, "_per_min"),
                plain!(|r| sum(r, &[$(($group, $counter)),+]).and_then(|gained| per_min(r, gained))),
                concat!($doc, ": increase per minute."),
                concat!($($group, $counter, " "),+, "of /proc/net/netstat, snmp or snmp6"),
            ),
        )*];
    };
}

counters! {
    "ListenOverflows" "Connections dropped because the accept queue was full" ("TcpExt" "ListenOverflows");
    "ListenDrops" "Connections dropped at a listener for any reason" ("TcpExt" "ListenDrops");
    "TCPReqQFullDoCookies" "SYN cookies sent because the SYN queue was full" ("TcpExt" "TCPReqQFullDoCookies");
    "TCPReqQFullDrop" "SYNs dropped because the SYN queue was full" ("TcpExt" "TCPReqQFullDrop");
    "TCPSynRetrans" "SYN and SYN-ACK segments retransmitted" ("TcpExt" "TCPSynRetrans");
    "TCPTimeouts" "TCP retransmission timeouts" ("TcpExt" "TCPTimeouts");
    "TCPSpuriousRtxHostQueues" "Retransmissions skipped because the original was still queued on this host" ("TcpExt" "TCPSpuriousRtxHostQueues");
    "TCPToZeroWindowAdv" "Times that a receive window shrank to zero" ("TcpExt" "TCPToZeroWindowAdv");
    "TCPWantZeroWindowAdv" "Times that the receive window should have shrunk to zero" ("TcpExt" "TCPWantZeroWindowAdv");
    "TCPRcvQDrop" "Segments dropped for lack of receive queue memory" ("TcpExt" "TCPRcvQDrop");
    "RcvPruned" "Segments pruned from full receive queues" ("TcpExt" "RcvPruned");
    "OfoPruned" "Times that the out-of-order queue was pruned" ("TcpExt" "OfoPruned");
    "TCPOFODrop" "Out-of-order segments dropped for lack of memory" ("TcpExt" "TCPOFODrop");
    "TCPZeroWindowDrop" "Segments dropped because they arrived at a zero receive window" ("TcpExt" "TCPZeroWindowDrop");
    "TCPBacklogDrop" "Segments dropped because the socket backlog was full" ("TcpExt" "TCPBacklogDrop");
    "tcp_received_dropped" "Received segments dropped for lack of buffer space"
        ("TcpExt" "TCPRcvQDrop") ("TcpExt" "RcvPruned") ("TcpExt" "OfoPruned") ("TcpExt" "TCPOFODrop")
        ("TcpExt" "TCPZeroWindowDrop") ("TcpExt" "TCPBacklogDrop");
    "PruneCalled" "Times that a receive queue had to be pruned" ("TcpExt" "PruneCalled");
    "TCPRcvCollapsed" "Segments collapsed in receive queues to save memory" ("TcpExt" "TCPRcvCollapsed");
    "tcp_collapsed" "Segments collapsed, and times that a receive queue was pruned" ("TcpExt" "TCPRcvCollapsed") ("TcpExt" "PruneCalled");
    "TCPMemoryPressures" "Times that TCP entered memory pressure" ("TcpExt" "TCPMemoryPressures");
    "TCPAbortOnMemory" "Connections aborted for lack of memory" ("TcpExt" "TCPAbortOnMemory");
    "TCPAbortOnClose" "Connections reset because they were closed with unread data" ("TcpExt" "TCPAbortOnClose");
    "TCPAbortOnData" "Connections reset because data arrived after the close, or by SO_LINGER 0" ("TcpExt" "TCPAbortOnData");
    "TCPAbortOnTimeout" "Connections aborted after too many timeouts" ("TcpExt" "TCPAbortOnTimeout");
    "TCPTimeWaitOverflow" "Connections closed without TIME-WAIT because its limit was reached" ("TcpExt" "TCPTimeWaitOverflow");
    "TCPMTUPSuccess" "Successful path MTU probes" ("TcpExt" "TCPMTUPSuccess");
    "TCPFastOpenActiveFail" "Outgoing TCP Fast Open attempts that failed" ("TcpExt" "TCPFastOpenActiveFail");
    "TCPFastOpenBlackhole" "Times that outgoing TCP Fast Open was paused (blackhole)" ("TcpExt" "TCPFastOpenBlackhole");
    "TCPSACKReorder" "Reordering events detected by SACK" ("TcpExt" "TCPSACKReorder");
    "ActiveOpens" "Outgoing connection attempts" ("Tcp" "ActiveOpens");
    "PassiveOpens" "Incoming connections" ("Tcp" "PassiveOpens");
    "AttemptFails" "Connection attempts that failed" ("Tcp" "AttemptFails");
    "EstabResets" "Established connections that were reset" ("Tcp" "EstabResets");
    "OutRsts" "Resets sent" ("Tcp" "OutRsts");
    "OutSegs" "Segments sent" ("Tcp" "OutSegs");
    "RetransSegs" "Segments retransmitted" ("Tcp" "RetransSegs");
    "UdpNoPorts" "Datagrams received for a port without a socket" ("Udp" "NoPorts") ("Udp6" "NoPorts");
    "UdpRcvbufErrors" "Datagrams dropped because a receive buffer was full" ("Udp" "RcvbufErrors") ("Udp6" "RcvbufErrors");
    "UdpSndbufErrors" "Datagrams not sent because a send buffer was full" ("Udp" "SndbufErrors") ("Udp6" "SndbufErrors");
}

/// Ratios of the namespace's counters, and its levels and settings.
pub(super) const LEVELS: &[Field] = &[
    part(
        "net.syn_retrans_share",
        plain!(|r| {
            let opens = sum(r, &[("Tcp", "ActiveOpens"), ("Tcp", "PassiveOpens")])?;
            share(gained(r, "TcpExt", "TCPSynRetrans")?, opens as f64)
        }),
        "SYN and SYN-ACK retransmissions per connection: D(TCPSynRetrans) / D(ActiveOpens + PassiveOpens).",
        "TcpExtTCPSynRetrans, TcpActiveOpens, TcpPassiveOpens in two samples",
    ),
    part(
        "net.reset_share",
        plain!(|r| {
            let opens = sum(r, &[("Tcp", "ActiveOpens"), ("Tcp", "PassiveOpens")])?;
            share(gained(r, "Tcp", "OutRsts")?, opens as f64 + 1.0)
        }),
        "Resets sent per connection opened: D(OutRsts) / (D(ActiveOpens + PassiveOpens) + 1).",
        "TcpOutRsts, TcpActiveOpens, TcpPassiveOpens in two samples",
    ),
    part(
        "net.abort_share",
        plain!(|r| {
            let opens = sum(r, &[("Tcp", "ActiveOpens"), ("Tcp", "PassiveOpens")])?;
            let aborts = sum(r, &[("TcpExt", "TCPAbortOnClose"), ("TcpExt", "TCPAbortOnData")])?;
            share(aborts, opens as f64 + 1.0)
        }),
        "Connections reset with unread or late data, per connection opened: D(TCPAbortOnClose + TCPAbortOnData) / \
         (D(ActiveOpens + PassiveOpens) + 1).",
        "TcpExtTCPAbortOnClose, TcpExtTCPAbortOnData, TcpActiveOpens, TcpPassiveOpens in two samples",
    ),
    count(
        "net.aborts_delta",
        plain!(|r| sum(r, &[("TcpExt", "TCPAbortOnClose"), ("TcpExt", "TCPAbortOnData")])),
        "Connections reset with unread or late data: increase between the first and the last sample.",
        "TcpExtTCPAbortOnClose, TcpExtTCPAbortOnData in two samples",
    ),
    count(
        "net.opens_delta",
        plain!(|r| sum(r, &[("Tcp", "ActiveOpens"), ("Tcp", "PassiveOpens")])),
        "Connections opened, outgoing and incoming: increase between the first and the last sample.",
        "TcpActiveOpens, TcpPassiveOpens in two samples",
    ),
    count(
        "sockstat.tcp_inuse",
        plain!(|r| level(r, "TCP", "inuse")),
        "IPv4 TCP sockets in the namespace, without TIME-WAIT.",
        "TCP: inuse of /proc/net/sockstat",
    ),
    count(
        "sockstat.tcp_orphan",
        plain!(|r| level(r, "TCP", "orphan")),
        "Orphaned TCP sockets (held by no process, not yet closed) on the whole host.",
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
        "Memory pages used by TCP on the whole host.",
        "TCP: mem of /proc/net/sockstat",
    ),
    part(
        "sockstat.tcp_orphan_share",
        plain!(|r| share(level(r, "TCP", "orphan")?, setting(r, "net.ipv4.tcp_max_orphans", 0)? as f64)),
        "Orphaned TCP sockets as a share of their limit: orphan / tcp_max_orphans.",
        "TCP: orphan of /proc/net/sockstat, net.ipv4.tcp_max_orphans",
    ),
    part(
        "sockstat.tcp_tw_share",
        plain!(|r| share(level(r, "TCP", "tw")?, setting(r, "net.ipv4.tcp_max_tw_buckets", 0)? as f64)),
        "Connections in TIME-WAIT as a share of their limit: tw / tcp_max_tw_buckets.",
        "TCP: tw of /proc/net/sockstat, net.ipv4.tcp_max_tw_buckets",
    ),
    part(
        "sockstat.tcp_mem_share",
        plain!(|r| share(level(r, "TCP", "mem")?, setting(r, "net.ipv4.tcp_mem", 2)? as f64)),
        "TCP memory as a share of its limit: mem / tcp_mem[2]. Above tcp_mem[1] TCP is under memory pressure; at 1, \
         connections are aborted.",
        "TCP: mem of /proc/net/sockstat, net.ipv4.tcp_mem",
    ),
    part(
        "sockstat.tcp_pressure_share",
        plain!(|r| share(level(r, "TCP", "mem")?, setting(r, "net.ipv4.tcp_mem", 1)? as f64)),
        "TCP memory as a share of the memory pressure threshold: mem / tcp_mem[1].",
        "TCP: mem of /proc/net/sockstat, net.ipv4.tcp_mem",
    ),
    count(
        "sysctl.ephemeral_ports",
        plain!(|r| around(r)?.ephemeral_ports()),
        "Ephemeral ports of the namespace, without the reserved ones.",
        "net.ipv4.ip_local_port_range, net.ipv4.ip_local_reserved_ports",
    ),
    count(
        "sysctl.somaxconn",
        plain!(|r| setting(r, "net.core.somaxconn", 0)),
        "Upper limit of any listener's accept queue (backlog).",
        "net.core.somaxconn",
    ),
    count(
        "sysctl.tcp_max_syn_backlog",
        plain!(|r| setting(r, "net.ipv4.tcp_max_syn_backlog", 0)),
        "Maximum pending connection requests (SYN-RECV) per listener.",
        "net.ipv4.tcp_max_syn_backlog",
    ),
    count(
        "sysctl.tcp_max_tw_buckets",
        plain!(|r| setting(r, "net.ipv4.tcp_max_tw_buckets", 0)),
        "Maximum number of connections in TIME-WAIT.",
        "net.ipv4.tcp_max_tw_buckets",
    ),
    count(
        "sysctl.tcp_max_orphans",
        plain!(|r| setting(r, "net.ipv4.tcp_max_orphans", 0)),
        "Maximum number of orphaned TCP sockets.",
        "net.ipv4.tcp_max_orphans",
    ),
    count(
        "sysctl.tcp_mem_pages",
        plain!(|r| setting(r, "net.ipv4.tcp_mem", 2)),
        "Maximum memory of TCP, in pages.",
        "net.ipv4.tcp_mem",
    ),
    count(
        "sysctl.tcp_slow_start_after_idle",
        plain!(|r| setting(r, "net.ipv4.tcp_slow_start_after_idle", 0)),
        "Whether a connection returns to slow start after an idle period: 1 if so.",
        "net.ipv4.tcp_slow_start_after_idle",
    ),
    count(
        "sysctl.tcp_mtu_probing",
        plain!(|r| setting(r, "net.ipv4.tcp_mtu_probing", 0)),
        "Whether TCP probes the path MTU: 0 never, 1 after a blackhole is detected, 2 always.",
        "net.ipv4.tcp_mtu_probing",
    ),
    count(
        "looks.unseen",
        plain!(|r| around(r)?.unseen()),
        "Number of tables, namespaces, processes or counters that could not be read.",
        "sockdiag doctor",
    ),
];

/// The data for diagnosing a process.
pub(super) const PROCESS: &[Field] = &[
    Field::new(
        "process.id",
        plain!(|r| Some(around(r)?.descriptors()?.pid)),
        "PID of the diagnosed process.",
        "/proc/PID",
    )
    .needs(Needs::AROUND),
    Field::new(
        "process.name",
        text!(|r| Some(around(r)?.descriptors()?.comm)),
        "Command name of the diagnosed process.",
        "/proc/PID/comm",
    )
    .needs(Needs::AROUND),
    count(
        "process.fds",
        plain!(|r| Some(around(r)?.descriptors()?.open)),
        "File descriptors that the process has open.",
        "/proc/PID/fd",
    ),
    count(
        "process.fds_most",
        plain!(|r| around(r)?.descriptors()?.most),
        "Limit of open file descriptors of the process (RLIMIT_NOFILE).",
        "/proc/PID/limits",
    ),
    part(
        "process.fds_share",
        plain!(|r| {
            let descriptors = around(r)?.descriptors()?;
            share(descriptors.open, descriptors.most? as f64)
        }),
        "Open file descriptors of the process as a share of its limit.",
        "/proc/PID/fd, /proc/PID/limits",
    ),
];
