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
        "A filter selects the sockets that ss lists, or closes with -K.  State words come first, then an \
         expression.  -F reads the expression, or the rest of it, from a file.",
    ),
    Piece::Text(
        "The conditions of iproute2 are parsed as in iproute2.  Conditions on fields are an addition: a \
         name, an operator and a value.",
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
        ("connected", "All states except listening and closed."),
        ("synchronized", "All connected states except syn-sent."),
        ("bucket", "syn-recv and time-wait, for which the kernel keeps only small structures (minisockets)."),
        ("big", "All states not in bucket."),
    ]),
    Piece::Text(
        "These words come before the expression, each as a separate argument.  Within an expression, use \
         the field: state = close-wait.",
    ),
];

const EXPRESSIONS: &[Piece] = &[
    Piece::Terms(&[
        ("A and B, A && B, A & B, A B", "Both conditions hold.  Adjacent conditions are joined by and."),
        ("A or B, A || B, A | B", "At least one of them holds."),
        ("not A, ! A", "The condition does not hold.  Not binds tighter than and and or."),
        ("( A )", "Brackets group conditions."),
    ]),
    Piece::Text(
        "And and or have the same precedence and group to the left: a or b and c means (a or b) and c.  Use \
         brackets where both occur.",
    ),
];

const CONDITIONS: &[Piece] = &[
    Piece::Terms(&[
        ("src [=] HOST", "The local address, its port, or both."),
        (
            "dst [=] HOST",
            "The peer's address, its port, or both.  There is no dst != HOST: write not dst HOST.",
        ),
        (
            "sport [OP] PORT",
            "The local port.  OP is =, !=, <, <=, >, >= or eq, ne, lt, le, gt, ge; without it, =.  A colon before the \
             port is allowed.",
        ),
        ("dport [OP] PORT", "The peer's port."),
        ("dev [OP] DEVICE", "The interface that the socket is bound to, by name or index; OP is = or !=."),
        ("fwmark [OP] MARK[/MASK]", "The firewall mark of the socket (SO_MARK); OP is = or !=."),
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
            "An IPv6 address stands in square brackets, its prefix inside them: [::1]:25, \
             [2001:db8::/32]:443.  Without brackets the text after the last colon is taken as the port.",
        ),
        (":PORT", "A port alone.  Without the colon a number after src or dst is an address."),
        ("PORT", "A number from 0 to 65535, or the name of a service."),
        ("unix:PATTERN", "The name of a unix socket, as a shell pattern."),
        ("link:PROTOCOL[:DEVICE]", "The protocol and interface of a packet socket."),
        ("netlink:PROTOCOL[:PORT]", "The protocol and port id of a netlink socket; kernel is port id 0."),
        ("vsock:CID[:PORT]", "A vsock address."),
        (
            "inet:HOST, inet6:HOST",
            "An address of this family.  Every prefix of this kind also limits the listing to its family.",
        ),
    ]),
    Piece::Text(
        "A port range takes two conditions: sport >= 8000 and sport <= 8999.  An interface is a separate \
         condition: src 127.0.0.53:53 and dev = lo.",
    ),
];

const FIELDS: &[Piece] = &[
    Piece::Terms(&[
        (
            "FIELD OP VALUE",
            "OP is =, !=, <, <=, >, >= or the word for it (eq, ne, lt, le, gt, ge).  <, <=, > and >= need a \
             number.",
        ),
        ("FIELD OP FIELD", "Two fields of a socket with the same unit: rtt > min_rtt, recv_q > send_q."),
        (
            "FIELD = VALUE,VALUE",
            "A list: one of the values is equal.  With !=, none of them is.  The other operators take a \
             single value.",
        ),
    ]),
    Piece::Text(
        "FIELD is a name from ss-fields(7), in full (tcp.rtt_us) or in a short form where it is \
         unambiguous: the word that ss prints before the value (cwnd), which takes precedence, or the part \
         after the dot (rtt_us), also without its unit (rtt).  Fields of the socket itself take precedence \
         over those of its environment.  Of several fields, the one that the listed tables can report is \
         used: bytes_sent with -t is tcp.bytes_sent.  If several remain, ss lists them and exits.",
    ),
    Piece::Text(
        "Of each process that has the socket open, pid, comm, cmdline, uid, user, tid and fd can be compared; \
         socket.processes is the number of processes.  cmdline is compared with each word of the command \
         line and with the whole line.  A condition on a list holds if it holds for one of its elements; != \
         holds if none of them is equal.",
    ),
    Piece::Heading("Absent values"),
    Piece::Text(
        "A socket that does not report a field fails every comparison with it, including !=.  To find such \
         sockets, negate: not rtt = *.  For sockets that report the field, not FIELD = VALUE is the same as \
         FIELD != VALUE.  An amount that the kernel marks as unlimited or as not measured is absent; \
         ssthresh = unlimited and mark = none match it.  A time that was not measured is zero, but <, <=, > \
         and >= never match it: rtt < 1ms does not match a listener.",
    ),
];

const VALUES: &[Piece] = &[
    Piece::Terms(&[
        (
            "times: rtt > 100ms",
            "Units are us, ms, s, m and h.  A unit is required if the name does not include it: rtt > \
             100ms, or rtt_us > 100000.",
        ),
        (
            "bytes: recv_q >= 64K",
            "K or k, M, G and T, or KiB and so on, are powers of 1024; kB or KB, MB, GB and TB are powers of 1000; B is one byte.",
        ),
        (
            "rates: delivery_rate > 20Mbit",
            "kbit, Mbit and Gbit (powers of 1000) for bits per second, or the units of bytes for bytes per \
             second.",
        ),
        ("counts: segs_out > 10k", "k, M and G are powers of 1000."),
        ("truth values: v6only = true", "true and false, also written yes and no, on and off, 1 and 0."),
        (
            "words: timer.kind = keepalive",
            "One of the words that ss prints for the field or accepts in options, in upper or lower case.",
        ),
        (
            "addresses: remote.addr = 10.0.0.0/8",
            "With or without brackets, prefix and interface (fe80::1%eth0); a name is looked up.  An \
             IPv4-mapped address of an IPv6 socket is compared as the IPv4 address; remote.mapped_addr has \
             the mapped address.",
        ),
        (
            "users: process.user = www-data",
            "A name or a number.  user and uid alone are the owner of the socket; process.user and \
             process.uid are the user of the processes that have it open.",
        ),
        (
            "services: remote.port = https",
            "A port is a number or the name of a service.  Names are accepted with -n, too.",
        ),
        (
            "process names: comm = systemd-resolved",
            "The kernel keeps only 15 bytes of a name, so only these are compared; --explain reports that.",
        ),
        (
            "patterns: comm = nginx*",
            "In text, * matches any characters, ? one character, [a-z] one of a set and [!a-z] one outside \
             it; the pattern must match the whole text.  FIELD = * matches every socket that reports the \
             field.",
        ),
        (
            "quotes: comm = \"tokio worker\"",
            "Between double or single quotes, blanks, commas and * are literal.  Outside quotes a value \
         ends at a blank, at & or |, and at a closing bracket.  A backslash makes the next character \
         literal; \\n, \\t, \\xNN, \\NNN and \\u{N} stand for the characters that ss prints this way, so \
         output of ss can be pasted.",
        ),
        (
            "case: comm = i\"nginx*\"",
            "Text is compared case-sensitively, except in i\"...\" and for fields with a fixed set of words.",
        ),
    ]),
    Piece::Text(
        "An amount with a unit or a decimal point is compared with the precision in which it is written: \
         rtt = 20ms matches values that round to 20 milliseconds.  A value that the field can never have is \
         an error, whose message gives the possible values; a field that none of the listed sockets reports \
         and two conditions that exclude each other are errors, too.  With -K or --kill-dry-run, an \
         ambiguous value is also an error, as is a filter on fields that mixes and and or without brackets.",
    ),
];

const BLANKS: &[Piece] = &[
    Piece::Text(
        "The conditions of iproute2 need blanks around operators and brackets: ( sport = :80 ), not (sport=:80).  \
         Conditions on fields do not: rtt>20ms.  In both, a backslash makes the next character literal.",
    ),
    Piece::Text(
        "Most shells interpret <, >, !, |, &, *, ? and brackets.  Put the whole expression in single \
         quotes: ss -tn 'rtt > 100ms and not dst [::1]'.  State words stay outside the quotes.",
    ),
];

const ERRORS: &[Piece] = &[Piece::Text(
    "At a terminal, or with --explain, ss shows the expression, a caret under the wrong word, what was \
     expected there and, where possible, a corrected filter.  It also warns about valid filters that are \
     rarely intended: src 7404 is an address, and dst 2001:db8::1:25 includes a port.",
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
    ("ss -tn 'recv_q > 64K and comm = java*'", "Connections whose received data a program does not read."),
    (
        "ss -tan 'local.port >= 8000 and local.port <= 8999 and process.user = root'",
        "A range of ports, and a user.",
    ),
    ("ss -tan 'local.port = 80,443,8080 and rtt > 2s'", "A list of ports."),
    (
        "ss -tan 'comm = \"tokio worker\" or comm = i\"NGINX*\"'",
        "A name with a blank, and a case-insensitive pattern.",
    ),
    ("ss -tn 'rtt > 100ms and cwnd < 10'", "Slow connections with a small congestion window."),
    ("ss -tn 'rcv_rtt > rtt'", "One field compared with another."),
    ("ss -tan 'not socket.processes >= 1'", "Sockets for which no process was found."),
])];
