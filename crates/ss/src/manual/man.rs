//! The manual page ss(8): options, files and exit statuses.
//!
//! The filter language is described in ss-filter(7), the fields in ss-fields(7).

use roff::{Inline, bold, italic, roman};
use sockdiag_options::{EXAMPLES, OPTIONS, Opt, Section};

use sockdiag_guide::page::{Page, Piece, synopsis};

/// The whole page.
pub(super) fn page() -> String {
    let mut page = Page::new("ss", "8", "list the sockets of this machine and their kernel state");
    synopsis(&mut page, "ss [ OPTIONS ] [ FILTER ]");
    page.section("DESCRIPTION");
    page.put(DESCRIPTION);
    page.section("OPTIONS");
    let mut added = false;
    for option in OPTIONS {
        if option.section == Section::Extension && !added {
            added = true;
            page.heading("Beyond iproute2");
            page.paragraph(
                "These options must be written in full, so that abbreviations have the same meaning as in \
                 iproute2.  Shell completion is available.",
            );
        }
        describe(&mut page, option);
    }
    page.section("OUTPUT");
    page.put(OUTPUT);
    page.section("EXAMPLES");
    for example in EXAMPLES {
        page.term(vec![bold(example.command)], &sentence(example.wanted));
    }
    page.terms(MORE_EXAMPLES);
    for (name, terms) in [("ENVIRONMENT", ENVIRONMENT), ("EXIT STATUS", EXIT), ("FILES", FILES)] {
        page.section(name);
        page.terms(terms);
    }
    page.see_also(&[
        "ss-filter(7)",
        "ss-fields(7)",
        "ip(8)",
        "lsof(8)",
        "sock_diag(7)",
        "tcp(7)",
        "unix(7)",
        "netlink(7)",
        "packet(7)",
        "vsock(7)",
        "cgroups(7)",
    ]);
    page.end()
}

/// Turns the description of an example into a sentence.
fn sentence(wanted: &str) -> String {
    let mut letters = wanted.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}.", letters.as_str())
}

const DESCRIPTION: &[Piece] = &[
    Piece::Text(
        "ss lists TCP, UDP, raw, MPTCP, SCTP, DCCP, unix, netlink, packet, vsock, TIPC, XDP, SMC and \
         UDP-Lite sockets.  It queries the kernel over sock_diag(7); if the kernel does not support a \
         query, it reads the text files in /proc/net.",
    ),
    Piece::Text(
        "Without options, ss lists the non-listening sockets of every family.  A filter restricts the \
         listing: see ss-filter(7).  The options and the output are those of ss from iproute2 7.3, byte for \
         byte; COMPAT.md in the source lists the deliberate differences.",
    ),
];

const OUTPUT: &[Piece] = &[
    Piece::Text(
        "Every fact about a socket is a field with one name, such as tcp.rtt_us, which --columns, --sort, --group-by, \
         filters and JSON share.  ss-fields(7) lists them; --columns help does, too, for the selected \
         tables.  A shorter name works if it is unambiguous: rtt, or cwnd as -i prints it.",
    ),
    Piece::Text(
        "On a terminal, with --explain, and in output formats that iproute2 lacks, ss also reports on \
         standard error what it could not read and why, and marks errors in a filter.  Otherwise standard \
         error is the same as with iproute2.",
    ),
];

const MORE_EXAMPLES: &[(&str, &str)] = &[
    ("ss -tuan", "Every TCP and UDP socket, with numbers instead of names."),
    ("ss -tlnp", "Listeners and their processes."),
    ("ss -tio state established", "Connections with timers and internal TCP information."),
    ("ss -s", "The number of sockets of each kind."),
    ("ss -tanp --group-by comm,state", "Sockets of each program, counted by state."),
    ("ss -tan --group-by remote.addr/24", "Connections counted by the peer's network."),
    (
        "ss -tn --group-by comm --columns 'avg(rtt),max(rtt),p95(rtt),sum(bytes_sent)'",
        "Round-trip times and amounts of data by program.  Without a function, an amount is summed up and \
         any other field shows its maximum; the column title names the function.",
    ),
    ("ss -tn -j --columns remote.addr,rtt", "A JSON document with only these fields; --group-by works, too."),
    ("ss -s --csv", "The summary for a spreadsheet; also with -j, --tsv and --netns."),
    ("ss -tan --netns all --group-by netns,state", "States counted by network namespace."),
    ("ss -tan --kill-dry-run state close-wait", "What -K would close with the same filter."),
    ("ss --netns web,pid:4711 -tan", "TCP sockets of two network namespaces, one given by a process."),
    ("ss -tn --jsonl 'dport = :443'", "One JSON object per line, for a program that reads a stream."),
    ("ss -tn --tsv --columns local.port,remote.addr,state", "Tab-separated columns."),
    ("ss -E -t", "TCP sockets as they are closed, until interrupted."),
    (
        "ss -K dst 192.0.2.7 dport = :1022",
        "Close the connections to one port of one host.  Without the filter it \
     would close every connection of the machine.",
    ),
];

const ENVIRONMENT: &[(&str, &str)] = &[
    ("COLUMNS", "The width of the output, even if it is not a terminal."),
    ("PROC_ROOT", "Replaces /proc; the kernel is then not queried."),
    (
        "PROC_NET_TCP, PROC_NET_TCP6, PROC_NET_UDP, PROC_NET_UDP6, PROC_NET_RAW, PROC_NET_RAW6, PROC_NET_UNIX, \
         PROC_NET_PACKET, PROC_NET_NETLINK, PROC_NET_MPTCP, PROC_NET_SCTP, PROC_NET_DCCP, PROC_NET_SOCKSTAT, \
         PROC_NET_SOCKSTAT6, PROC_NET_SNMP",
        "Files that replace those in /proc/net; the kernel is not queried for a replaced table.",
    ),
    ("PROC_IP_LOCAL_PORT_RANGE", "Replaces /proc/sys/net/ipv4/ip_local_port_range."),
    ("TCPDIAG_FILE", "A recording (-D) from which TCP sockets are read."),
    ("POSIXLY_CORRECT", "If set, the first argument that is not an option ends the options."),
];

const EXIT: &[(&str, &str)] = &[
    ("0", "Sockets were listed, no sockets were found, or a table could not be read."),
    (
        "1",
        "The filter or the value of an option is invalid, a reply was malformed, or, with --exit-code, no \
         socket was shown.",
    ),
    ("255", "The command line is wrong, a file cannot be opened, or -E ended."),
];

const FILES: &[(&str, &str)] = &[
    ("/proc/net/*, /proc/PID/fd", "Read if the kernel does not support a query."),
    ("/etc/services", "Service names of ports."),
    ("/etc/iproute2/nl_protos", "Names of netlink protocols."),
    ("/run/netns", "Named network namespaces."),
];

/// Adds an option: its spellings, such as `-m, --memory`, and its description.
fn describe(page: &mut Page, option: &Opt) {
    let mut names: Vec<Inline> = Vec::new();
    for (at, spelling) in super::pages::spellings(option).iter().enumerate() {
        if at > 0 {
            names.push(roman(", "));
        }
        names.push(bold(spelling));
    }
    if let Some(argument) = option.argument {
        names.extend([roman("="), italic(argument.shown)]);
    }
    page.term(names, option.doc);
}
