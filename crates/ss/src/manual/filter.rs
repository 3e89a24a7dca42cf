//! The language of filters, in words.
//!
//! Source: the program's own grammar (`sockdiag::filter`).

use sockdiag_options::{EXCLUDE, STATE};

/// A piece of the description.
pub(super) enum Piece {
    /// A paragraph.
    Text(&'static str),
    /// Terms and what they mean.
    Terms(&'static [(&'static str, &'static str)]),
    /// Something to type, and what it does.
    Examples(&'static [(&'static str, &'static str)]),
}

/// The whole of it.
pub(super) const FILTER: &[Piece] = &[
    Piece::Text(
        "A filter chooses rows.  It begins with words about states, then conditions follow, joined by and, or and \
         not, with brackets that stand alone.  And and or bind equally and group to the left: \
         a or b and c means (a or b) and c.  Two conditions side by side are joined by and.  A blank ends a word; \
         a backslash takes the next character as it is.  Mind the shell: quote <, >, !, |, & and brackets.",
    ),
    Piece::Terms(&[
        ("state STATE", STATE.doc),
        ("exclude STATE", EXCLUDE.doc),
        (
            "STATE",
            "established, syn-sent, syn-recv, fin-wait-1, fin-wait-2, time-wait, closed, close-wait, last-ack, \
             listening, closing, bound-inactive; all; connected (all but listening and closed); synchronized (all \
             connected ones but syn-sent); bucket (syn-recv and time-wait, which are kept as small records); big \
             (the others).",
        ),
    ]),
    Piece::Terms(&[
        ("src [=] HOST", "The local address, its port, or both."),
        ("dst [=] HOST", "The address of the other end, its port, or both."),
        (
            "sport OP PORT",
            "The local port; OP is =, !=, <, <=, >, >= or eq, ne, lt, le, gt, ge.  Without OP it is =.",
        ),
        ("dport OP PORT", "The port of the other end."),
        ("dev OP DEVICE", "The interface that the socket is bound to, by name or index; OP is = or !=."),
        ("fwmark OP MARK[/MASK]", "The mark of the socket; OP is = or !=."),
        ("cgroup OP PATH", "The cgroup (version 2) of the socket; OP is = or !=."),
        ("autobound", "The local port was chosen by the kernel (it lies in ip_local_port_range)."),
        (
            "FIELD OP VALUE",
            "Any field by its name (see FIELDS); a comparison has to follow.  A socket that does not report the \
             field fails every comparison, != included.",
        ),
    ]),
    Piece::Terms(&[
        (
            "HOST",
            "ADDRESS[/PREFIX][:PORT]; an IPv6 address with a port stands in square brackets; * is any.  Missing \
             octets are zero (10.8/16).  A name is looked up.  PORT is a number or the name of a service.",
        ),
        ("unix:PATTERN", "The name of a unix socket, as a shell pattern."),
        ("link:PROTOCOL[:DEVICE]", "A packet socket's protocol and interface."),
        ("netlink:PROTOCOL[:PORT]", "A netlink socket's protocol and port id, or kernel."),
        ("vsock:CID[:PORT]", "A vsock address."),
        (
            "inet:HOST, inet6:HOST",
            "An address of this family alone.  A prefix of any kind also narrows the listing to that family.",
        ),
    ]),
    Piece::Examples(&[
        (
            "ss -tn state established '( dport = :443 or sport = :443 )'",
            "Established connections from or to port 443.",
        ),
        ("ss -tn dst 10.0.0.0/8", "Connections to a network."),
        ("ss -tl 'sport < :1024'", "Who listens on privileged ports."),
        ("ss -x src unix:/run/\\*", "Unix sockets with names below /run."),
        (
            "ss -tn src 192.0.2.7:443 dst 198.51.100.9:50123",
            "One connection: asked for directly, at any number of sockets.",
        ),
        ("ss -ti 'tcp.rtt_us > 100000'", "Connections with a round trip of more than a tenth of a second."),
    ]),
];
