//! The manual page ss(8): options, files and exit statuses.
//!
//! The filter language is described in ss-filter(7), the fields in ss-fields(7).

use roff::{Inline, bold, italic, roman};
use sockdiag_options::{EXAMPLES, OPTIONS, Opt, Section};

use sockdiag_guide::page::{Page, Piece, synopsis};

/// The whole page.
pub(super) fn page() -> String {
    let mut page =
        Page::new("ss", "8", "list the sockets of this machine and what the kernel knows about them");
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
                "These options have to be written in full, so that every abbreviation means what it means in \
                 iproute2.  A shell completes them.",
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
        "ss lists sockets: TCP, UDP, raw, MPTCP, SCTP, DCCP, unix, netlink, packet, vsock, TIPC, XDP, SMC and UDP-Lite \
         ones.  It asks the kernel over sock_diag(7); where the kernel cannot answer, it reads the text below /proc/net.",
    ),
    Piece::Text(
        "Without options, ss lists the open sockets of every family that are not listening.  A filter narrows the \
         listing: see ss-filter(7).  The options and the output are those of ss from iproute2 7.3, byte for byte; \
         COMPAT.md in the source lists the deliberate differences.",
    ),
];

const OUTPUT: &[Piece] = &[
    Piece::Text(
        "Every fact about a socket is a field with one name, such as tcp.rtt_us, which --columns, --sort, --group-by, \
         filters and JSON share.  ss-fields(7) lists them; --columns help does too, for the tables that are asked for.  \
         A shorter name works where it can mean one field only: rtt, or cwnd as -i prints it.",
    ),
    Piece::Text(
        "At a terminal, with --explain, and in the forms that iproute2 lacks, ss also says on standard error what it \
         could not see and why, and shows where a filter is wrong.  Otherwise standard error is that of iproute2.",
    ),
];

const MORE_EXAMPLES: &[(&str, &str)] = &[
    ("ss -tuan", "Every TCP and UDP socket, with numbers instead of names."),
    ("ss -tlnp", "Listeners and their processes."),
    ("ss -tio state established", "Connections with timers and everything that TCP knows about them."),
    ("ss -s", "How many sockets there are of each kind."),
    ("ss -tanp --group-by comm,state", "Sockets of each program, counted by state."),
    ("ss -tan --group-by remote.addr/24", "Connections counted by network of the other end."),
    (
        "ss -tn --group-by comm --columns 'avg(rtt),max(rtt),p95(rtt),sum(bytes_sent)'",
        "Round-trip times and amounts of data by program.  Without a word before it, an amount is summed up and everything \
         else is shown at its largest; the title of the column says which.",
    ),
    (
        "ss -tn -j --columns remote.addr,rtt",
        "A JSON document with these fields alone; --group-by works, too.",
    ),
    ("ss -s --csv", "The summary for a spreadsheet; also with -j, --tsv and --netns."),
    ("ss -tan --netns all --group-by netns,state", "States counted by network namespace."),
    ("ss -tan --kill-dry-run state close-wait", "What -K would close with the same filter."),
    ("ss --netns web,pid:4711 -tan", "TCP sockets of two network namespaces, one of them that of a process."),
    ("ss -tn --jsonl 'dport = :443'", "One JSON object a line, for a program that reads them as they come."),
    ("ss -tn --tsv --columns local.port,remote.addr,state", "Columns with tabs between them."),
    ("ss -E -t", "TCP sockets as they are closed, until it is interrupted."),
    (
        "ss -K dst 192.0.2.7 dport = :1022",
        "Close the connections to one port of one host.  Without the filter it \
     would close every connection of the machine.",
    ),
];

const ENVIRONMENT: &[(&str, &str)] = &[
    ("COLUMNS", "The width of the output, also where it is not a terminal."),
    ("PROC_ROOT", "Stands in for /proc; the kernel is then not asked."),
    (
        "PROC_NET_TCP, PROC_NET_TCP6, PROC_NET_UDP, PROC_NET_UDP6, PROC_NET_RAW, PROC_NET_RAW6, PROC_NET_UNIX, \
         PROC_NET_PACKET, PROC_NET_NETLINK, PROC_NET_MPTCP, PROC_NET_SCTP, PROC_NET_DCCP, PROC_NET_SOCKSTAT, \
         PROC_NET_SOCKSTAT6, PROC_NET_SNMP",
        "Files that stand in for those below /proc/net; a table so replaced is not asked of the kernel.",
    ),
    ("PROC_IP_LOCAL_PORT_RANGE", "Stands in for /proc/sys/net/ipv4/ip_local_port_range."),
    ("TCPDIAG_FILE", "A recording (-D) that TCP sockets are read from."),
    ("POSIXLY_CORRECT", "If it is set, the first word that is not an option ends the options."),
];

const EXIT: &[(&str, &str)] = &[
    ("0", "Sockets were listed, or there were none, or a table could not be read."),
    (
        "1",
        "A word of the filter or the value of an option makes no sense, a reply was damaged, or, with --exit-code, no \
         socket was shown.",
    ),
    ("255", "The command line is wrong, a file cannot be opened, or -E ended."),
];

const FILES: &[(&str, &str)] = &[
    ("/proc/net/*, /proc/PID/fd", "What is read where the kernel cannot be asked otherwise."),
    ("/etc/services", "Names of ports."),
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
