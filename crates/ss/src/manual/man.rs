//! The manual page ss(8).

use roff::{Inline, Roff, bold, italic, roman};
use sockdiag::fields::Catalog;
use sockdiag_options::{OPTIONS, Opt, Section};

use super::filter::{FILTER, Piece};
use super::sections;
use crate::cli::shown_by;

/// The whole page.
pub(super) fn page() -> String {
    let mut page = Roff::new();
    let version = format!("sockdiag {}", env!("CARGO_PKG_VERSION"));
    page.control("TH", ["SS", "8", "", &version, "System administration"]);
    section(&mut page, "NAME");
    page.text([roman("ss - what the kernel knows about its sockets")]);
    section(&mut page, "SYNOPSIS");
    page.text([bold("ss"), roman(" [ "), italic("OPTIONS"), roman(" ] [ "), italic("FILTER"), roman(" ]")]);
    section(&mut page, "DESCRIPTION");
    for text in DESCRIPTION {
        paragraph(&mut page, text);
    }
    section(&mut page, "OPTIONS");
    let mut added = false;
    for option in OPTIONS {
        if option.section == Section::Extension && !added {
            added = true;
            page.control("SS", ["Beyond iproute2"]);
            paragraph(
                &mut page,
                "These options are matched only in full, so that every abbreviation means what it always meant.",
            );
        }
        describe(&mut page, option);
    }
    section(&mut page, "FILTER");
    for piece in FILTER {
        put(&mut page, piece);
    }
    fields(&mut page);
    for (name, terms) in
        [("ENVIRONMENT", ENVIRONMENT), ("EXIT STATUS", EXIT), ("EXAMPLES", EXAMPLES), ("FILES", FILES)]
    {
        section(&mut page, name);
        put(&mut page, &Piece::Terms(terms));
    }
    section(&mut page, "SEE ALSO");
    page.text([roman(
        "ip(8), lsof(8), sock_diag(7), tcp(7), unix(7), netlink(7), packet(7), vsock(7), cgroups(7)",
    )]);
    page.to_roff()
}

const DESCRIPTION: &[&str] = &[
    "ss lists sockets: TCP, UDP, raw, MPTCP, SCTP, DCCP, unix, netlink, packet, vsock, TIPC, XDP, SMC and UDP-Lite \
     ones.  The kernel is asked over sock_diag(7); where it cannot answer, the text below /proc/net is read.",
    "Without options, open sockets of every family that are not listening are listed.  The options and the output \
     are those of iproute2's ss 7.3, byte for byte; what is different on purpose is in COMPAT.md of the source.",
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
    ("POSIXLY_CORRECT", "Options end at the first word that is none."),
];

const EXIT: &[(&str, &str)] = &[
    ("0", "Sockets were listed, or there were none, or a table could not be read."),
    ("1", "A word of the filter or the value of an option makes no sense, or a reply was damaged."),
    ("255", "The command line is wrong, a file cannot be opened, or -E ended."),
];

const EXAMPLES: &[(&str, &str)] = &[
    ("ss -tuan", "Every TCP and UDP socket, with numbers."),
    ("ss -tlnp", "Who listens."),
    ("ss -tio state established", "Connections with timers and everything that TCP knows of them."),
    ("ss -s", "How many there are."),
    ("ss -K dst 192.0.2.7 dport = :1022", "Close the connections to one port of one host."),
];

const FILES: &[(&str, &str)] = &[
    ("/proc/net/*, /proc/PID/fd", "What is read where the kernel cannot be asked otherwise."),
    ("/etc/services", "Names of ports."),
    ("/etc/iproute2/nl_protos", "Names of netlink protocols."),
    ("/run/netns", "Named network namespaces."),
];

fn section(page: &mut Roff, name: &str) {
    page.control("SH", [name]);
}

fn paragraph(page: &mut Roff, text: &str) {
    page.control("PP", []);
    page.text([roman(text)]);
}

fn term(page: &mut Roff, term: Vec<Inline>, text: &str) {
    page.control("TP", []);
    page.text(term);
    page.text([roman(text)]);
}

fn put(page: &mut Roff, piece: &Piece) {
    match piece {
        Piece::Text(text) => paragraph(page, text),
        Piece::Terms(terms) | Piece::Examples(terms) => {
            for (name, text) in *terms {
                term(page, vec![bold(*name)], text);
            }
        }
    }
}

/// `-m, --memory`, and what it does.
fn describe(page: &mut Roff, option: &Opt) {
    let mut names: Vec<Inline> = Vec::new();
    let value = super::pages::value(option);
    let spellings = super::pages::spellings(option);
    for (at, spelling) in spellings.iter().enumerate() {
        if at > 0 {
            names.push(roman(", "));
        }
        names.push(bold(spelling));
    }
    if let Some(value) = value {
        names.extend([roman("="), italic(value)]);
    }
    term(page, names, option.doc);
}

fn fields(page: &mut Roff) {
    section(page, "FIELDS");
    paragraph(
        page,
        "What is shown of a socket, in print order: the token as it is printed, the name that a filter tests it by, \
         its unit, and where the kernel has it from.  A token whose number is zero is mostly left out.",
    );
    let catalog = Catalog::standard();
    for section in sections(&catalog) {
        let title = format!("{}: {}", section.message_kind, section.shown_by);
        page.control("SS", [title.as_str()]);
        for field in &section.fields {
            let token = field.token();
            let mut names = Vec::new();
            if let Some(token) = &token {
                names.extend([bold(token), roman("  ")]);
            }
            names.push(italic(field.name));
            if let Some(unit) = field.unit.name() {
                names.push(roman(format!(", {unit}")));
            }
            let own = shown_by(field.groups);
            let only = if own.is_empty() || own == section.shown_by {
                String::new()
            } else {
                format!("  Asked for by {own}.")
            };
            term(page, names, &format!("{}{only}  [{}]", field.meaning(), field.source));
        }
    }
}

/// A text as it stands in the page.
#[cfg(test)]
pub(super) fn escaped(text: &str) -> String {
    text.replace('-', "\\-")
}
