//! The manual page ss-filter(7): the filter language in prose.
//!
//! `crates/ss/tests/manual.rs` runs every example on the page.
//!
//! Source: the program's own grammar (`sockdiag::filter`).

use sockdiag_options::{EXCLUDE, STATE};

use crate::page::{Page, Piece, synopsis};

/// The whole page.
pub fn page() -> String {
    let mut page = Page::new("ss-filter", "7", "the filters of ss(8)");
    synopsis(&mut page, "ss [ OPTIONS ] [ state | exclude STATE ]... [ EXPRESSION ]");
    for (title, pieces) in SECTIONS {
        page.section(title);
        page.put(pieces);
    }
    page.see_also(&["ss(8)", "ss-fields(7)", "services(5)", "glob(7)"]);
    page.end()
}

const SECTIONS: &[(&str, &[Piece])] = &[
    ("DESCRIPTION", DESCRIPTION),
    ("STATES", STATES),
    ("EXPRESSIONS", EXPRESSIONS),
    ("CONDITIONS OF IPROUTE2", CONDITIONS),
    ("CONDITIONS ON FIELDS", FIELDS),
    ("VALUES OF FIELDS", VALUES),
    ("BLANKS AND THE SHELL", BLANKS),
    ("ERRORS", ERRORS),
    ("EXAMPLES", EXAMPLES),
];

const DESCRIPTION: &[Piece] = &[
    Piece::Text(
        "A filter chooses which sockets ss lists, and with -K which it closes.  Words about states come first, then \
         an expression.  -F reads the expression, or the rest of it, from a file.",
    ),
    Piece::Text(
        "The conditions of iproute2 are read as iproute2 reads them.  Conditions on fields are an addition: a name, an \
         operator and a value.",
    ),
];

const STATES: &[Piece] = &[
    Piece::Terms(&[("state STATE", STATE.doc), ("exclude STATE", EXCLUDE.doc)]),
    Piece::Text(
        "A state is one of established, syn-sent, syn-recv, fin-wait-1, fin-wait-2, time-wait, closed, close-wait, \
         last-ack, listening, closing and bound-inactive, or one of these sets:",
    ),
    Piece::Terms(&[
        ("all", "Every state."),
        ("connected", "All but listening and closed."),
        ("synchronized", "All connected ones but syn-sent."),
        ("bucket", "syn-recv and time-wait, which the kernel keeps as small records."),
        ("big", "All that are not in bucket."),
    ]),
    Piece::Text(
        "These words stand before the expression, each an argument of its own.  Within an expression, use the field: \
         state = close-wait.",
    ),
];

const EXPRESSIONS: &[Piece] = &[
    Piece::Terms(&[
        ("A and B, A && B, A & B, A B", "Both hold.  Two conditions side by side are joined by and."),
        ("A or B, A || B, A | B", "One of them holds."),
        ("not A, ! A", "It does not hold.  Not binds closer than and and or."),
        ("( A )", "Brackets group."),
    ]),
    Piece::Text(
        "And and or have the same precedence and group to the left: a or b and c means (a or b) and c.  Write brackets \
         where both occur.",
    ),
];

const CONDITIONS: &[Piece] = &[
    Piece::Terms(&[
        ("src [=] HOST", "The local address, its port, or both."),
        (
            "dst [=] HOST",
            "The address of the other end, its port, or both.  There is no dst != HOST: write not dst HOST.",
        ),
        (
            "sport [OP] PORT",
            "The local port.  OP is =, !=, <, <=, >, >= or eq, ne, lt, le, gt, ge; without it, =.  A colon before the \
             port is allowed.",
        ),
        ("dport [OP] PORT", "The port of the other end."),
        ("dev [OP] DEVICE", "The interface that the socket is bound to, by name or index; OP is = or !=."),
        ("fwmark [OP] MARK[/MASK]", "The mark of the socket; OP is = or !=."),
        ("cgroup [OP] PATH", "The cgroup (version 2) of the socket; OP is = or !=."),
        ("autobound", "The kernel chose the local port: it lies in ip_local_port_range."),
    ]),
    Piece::Heading("Hosts and ports"),
    Piece::Terms(&[
        (
            "ADDRESS[/PREFIX][:PORT]",
            "An IPv4 address; missing octets are zero (10.8/16).  A name is looked up.  * is any address.",
        ),
        (
            "[ADDRESS[/PREFIX]][:PORT]",
            "An IPv6 address stands in square brackets, its prefix inside them: [::1]:25, [2001:db8::/32]:443.  Without \
             brackets the last colon is taken for the one before a port.",
        ),
        (":PORT", "A port alone.  Without the colon a number after src or dst is an address."),
        ("PORT", "A number from 0 to 65535, or the name of a service."),
        ("unix:PATTERN", "The name of a unix socket, as a shell pattern."),
        ("link:PROTOCOL[:DEVICE]", "The protocol and interface of a packet socket."),
        ("netlink:PROTOCOL[:PORT]", "The protocol and port id of a netlink socket; kernel is port id 0."),
        ("vsock:CID[:PORT]", "A vsock address."),
        (
            "inet:HOST, inet6:HOST",
            "An address of this family.  Every prefix of this kind also narrows the listing to its family.",
        ),
    ]),
    Piece::Text(
        "A range of ports is two conditions: sport >= 8000 and sport <= 8999.  An interface is a condition of its own: \
         src 127.0.0.53:53 and dev = lo.",
    ),
];

const FIELDS: &[Piece] = &[
    Piece::Terms(&[
        (
            "FIELD OP VALUE",
            "OP is one of =, !=, <, <=, >, >= and the words for them.  An order (<, >) needs a number.",
        ),
        ("FIELD OP FIELD", "Two fields of a socket that count the same: rtt > min_rtt, recv_q > send_q."),
        (
            "FIELD = VALUE,VALUE",
            "A list: one of the values is equal.  With !=, none of them is.  An order takes one value.",
        ),
    ]),
    Piece::Text(
        "FIELD is a name from ss-fields(7), in full (tcp.rtt_us) or shorter where only one field can be meant: the word \
         that ss prints before the value (cwnd), which goes first, or what stands behind the point (rtt_us), also without \
         its unit (rtt).  Facts about the socket itself go before those of its surroundings.  Among several fields, the one that \
         the listed tables can report is meant: bytes_sent with -t is tcp.bytes_sent.  If several are left, ss names them \
         and ends.",
    ),
    Piece::Text(
        "Of each process that has the socket open, pid, comm, cmdline, uid, user, tid and fd can be compared; \
         socket.processes is their number.  cmdline is each word of the command line, and all of it.  A condition on a list holds if it holds for one of its elements; != holds \
         if none of them is equal.",
    ),
    Piece::Heading("Absent values"),
    Piece::Text(
        "A socket that does not report a field fails every comparison with it, != included.  To find those sockets, \
         negate: not rtt = *.  Among the sockets that report it, not FIELD = VALUE is FIELD != VALUE.  An amount that \
         the kernel marks as unlimited or as not measured is absent; ssthresh = unlimited and mark = none find those.  \
         A time that was not measured is zero, but neither short nor long: a listener is not among rtt < 1ms.",
    ),
];

const VALUES: &[Piece] = &[
    Piece::Terms(&[
        (
            "times: rtt > 100ms",
            "Units are us, ms, s, m and h.  A unit is required where the name leaves out its own: rtt > 100ms, or \
             rtt_us > 100000.",
        ),
        (
            "bytes: recv_q >= 64K",
            "K or k, M, G and T, or KiB and so on, are powers of 1024; kB or KB, MB, GB and TB are powers of 1000; B is one byte.",
        ),
        (
            "rates: delivery_rate > 20Mbit",
            "kbit, Mbit and Gbit (powers of 1000) for bits a second, or the units of bytes for bytes a second.",
        ),
        ("counts: segs_out > 10k", "k, M and G are powers of 1000."),
        ("truth values: v6only = true", "true and false, also written yes and no, on and off, 1 and 0."),
        (
            "words: timer.kind = keepalive",
            "A field with a fixed set of words takes the words that ss prints or accepts, in any case.",
        ),
        (
            "addresses: remote.addr = 10.0.0.0/8",
            "With or without brackets, prefix and interface (fe80::1%eth0); a name is looked up.  An IPv4 host that an \
             IPv6 socket speaks to is that host; remote.mapped_addr has the address as the socket holds it.",
        ),
        (
            "users: process.user = www-data",
            "A name or a number.  user and uid alone are the owner of the socket; process.user and process.uid are whom \
             the processes act as that have it open.",
        ),
        (
            "services: remote.port = https",
            "A port is a number or the name of a service.  Names are known with -n, too.",
        ),
        (
            "process names: comm = systemd-resolved",
            "The kernel keeps 15 bytes of a name, so no more are compared; --explain says so.",
        ),
        (
            "patterns: comm = nginx*",
            "In text, * stands for any characters, ? for one, [a-z] for one of a set and [!a-z] for one outside it; the \
         pattern has to match all of the text.  FIELD = * holds wherever the field is reported.",
        ),
        (
            "quotes: comm = \"tokio worker\"",
            "Between double or single quotes, blanks, commas and * stand for themselves.  Outside quotes a value ends at a \
         blank, at & or |, and at a closing bracket.  A backslash takes the next character as it is; \\n, \\t, \\xNN, \
         \\NNN and \\u{N} stand for the characters that ss prints so: what ss printed can be pasted.",
        ),
        (
            "case: comm = i\"nginx*\"",
            "The case of letters matters in text.  It does not behind i\"...\", nor in the words of fields with a fixed set.",
        ),
    ]),
    Piece::Text(
        "An amount with a unit or a decimal point is as exact as it is written: rtt = 20ms holds for what rounds to 20 \
         milliseconds.  A value that the field can never have is an error that says what it can have; so is a field that none of the \
         listed sockets reports, and are two conditions that exclude each other.  With -K or --kill-dry-run, a value \
         that could be read in two ways is refused, too, and so is a filter with conditions on fields where and stands \
         beside or without brackets.",
    ),
];

const BLANKS: &[Piece] = &[
    Piece::Text(
        "The conditions of iproute2 need blanks around operators and brackets: ( sport = :80 ), not (sport=:80).  \
         Conditions on fields do not: rtt>20ms.  In all of them a backslash takes the next character as it is.",
    ),
    Piece::Text(
        "Most shells give <, >, !, |, &, *, ? and brackets a meaning of their own.  Put the whole expression between \
         single quotes: ss -tn 'rtt > 100ms and not dst [::1]'.  Words about states stay outside the quotes.",
    ),
];

const ERRORS: &[Piece] = &[Piece::Text(
    "At a terminal, or with --explain, ss shows the expression, a caret under the word that is wrong, what was \
         expected there and, where it can tell what was meant, the mended filter.  It also says so where a filter is right \
         but rarely meant: src 7404 is an address, and dst 2001:db8::1:25 has a port.",
)];

const EXAMPLES: &[Piece] = &[Piece::Terms(&[
    (
        "ss -tn state established '( dport = :443 or sport = :443 )'",
        "Established connections from or to port 443.",
    ),
    ("ss -tn dst 10.0.0.0/8", "Connections to a network."),
    ("ss -tn 'not dst 127.0.0.0/8 and not dst [::1]'", "Connections that leave the machine."),
    ("ss -tl 'sport < :1024'", "Listeners on privileged ports."),
    ("ss -x 'src unix:/run/*'", "Unix sockets with names below /run."),
    (
        "ss -tn src 192.0.2.7:443 dst 198.51.100.9:50123",
        "One connection.  The kernel looks it up directly, however many sockets there are.",
    ),
    ("ss -ti 'rtt > 100ms or total_retrans > 100'", "Connections that are slow or lose packets."),
    ("ss -tn 'recv_q > 64K and comm = java*'", "Connections that a program does not read from."),
    (
        "ss -tan 'local.port >= 8000 and local.port <= 8999 and process.user = root'",
        "A range of ports, and a user.",
    ),
    ("ss -tan 'local.port = 80,443,8080 and rtt > 2s'", "A list of ports."),
    (
        "ss -tan 'comm = \"tokio worker\" or comm = i\"NGINX*\"'",
        "A name with a blank, and a pattern in any case.",
    ),
    ("ss -tn 'rtt > 100ms and cwnd < 10'", "Slow connections with a small window."),
    ("ss -tn 'rcv_rtt > rtt'", "One field against another."),
    ("ss -tan 'not socket.processes >= 1'", "Sockets for which no process was found."),
])];
