//! Netlink and packet sockets: live ones of the zoo, lines of /proc text, and replies with
//! everything that a kernel could send.
//!
//! A program that lists netlink sockets has one itself, named after its process id, so live
//! listings leave out its protocol.

use std::path::Path;

use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::replies::netpkt::{netlinks, packet, packets};
use sockdiag_testkit::replies::{self, Talk, done, interrupted, refusal, short_refusal};
use sockdiag_testkit::zoo::Zoo;

use super::{Case, case, check, temporary};

const NETLINK_HEADER: &str =
    "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode";

const NETLINK: &[&str] = &[
    "0000000000000000 0   1          00000440 0        0        0     2        0        100",
    "ffff888003a5c000 4   0          00000000 -3       5        1     2        0        17",
    "0000000012345678 16  4294967295 ffffffff 7        8        ffff8880deadbeef 2 0    18",
    "00000000abcd     15  -77        1        1        1        0     2        0        18",
    "1 300 3 1 1 1 0 2 0 18",
    "1 -5 2 1 1 1 0",
    "\t1 6 3 2 1 1 0",
];

const PACKET_HEADER: &str = "sk               RefCnt Type Proto  Iface R Rmem   User   Inode";

const PACKET: &[&str] = &[
    "ffff888003a5c000 3      3    0003   1     1 0      0      12345",
    "00000000abcdef01 3      2    0800   0     1 77     1000   12346",
    "00000000abcdef01 3      10   88cc   9     0 -5     1000   0",
    "1 3 3 0003 1 1 -4 4294967295 4294967295 more",
    "1 3 3 10003 7 1 0 -1 5",
    "1 3 3 0x3 1 1 0 0 5",
    "   1 3 3 3 1 1 7 0 5",
    "1\t3\t3\t3\t1\t1\t7\t0\t5",
    "1 3 -1 0 0 0 0 0 0",
];

/// Conditions on netlink sockets.
const NETLINK_FILTERS: &[&str] = &[
    "autobound",
    "not autobound",
    "sport = :0",
    "sport = :-1",
    "sport = netlink:kernel",
    "sport < :0",
    "sport >= :1",
    "dport = :-1",
    "dport < :0",
    "dport = netlink:5",
    "src netlink:genl",
    "src netlink:GENL",
    "src netlink:*:kernel",
    "src netlink:0:0",
    "src netlink:16:1000000000",
    "src netlink:300",
    "src netlink:0x10",
    "dst netlink:0",
    "dst netlink:*",
    "dev 0",
    "fwmark = 0",
    "fwmark = 1",
    "sport = :1000000000 or src netlink:rtnl",
];

/// Conditions on packet sockets.
const PACKET_FILTERS: &[&str] = &[
    "dev lo",
    "dev != lo",
    "dev 0",
    "dev if1",
    "src link:*",
    "src link:ip",
    "src link:IP",
    "src link:0x88cc",
    "src link:ip:lo",
    "src link:*:1",
    "dst link:*",
    "dst link:0",
    "sport = :1",
    "sport = link:lo",
    "sport >= :1",
    "sport < :1",
    "dport = :0",
    "dport = :1",
    "autobound",
    "not autobound",
    "fwmark = 0",
    "not dev lo",
    "( sport = :1 and dev lo ) or autobound",
];

const NETLINK_LOOKS: &[&str] = &["-a", "-an", "-ae", "-am", "-anemoi", "-aH", "-aQ", "-aO", "", "-l", "-ar"];

const PACKET_LOOKS: &[&str] = &[
    "-a",
    "-an",
    "-ae",
    "-ab",
    "-am",
    "-aem",
    "-aebm",
    "-aebmO",
    "-abO",
    "-amO",
    "-aQ",
    "-aH",
    "-aneHQ",
    "-ao",
    "-ai",
    "-aebmoi",
    "",
    "-l",
    "-ar",
    "-ane --tos --cgroup --inet-sockopt",
];

fn text(header: &str, lines: &[&str]) -> String {
    let lines = [header].into_iter().chain(lines.iter().copied());
    lines.fold(String::new(), |text, line| text + line + "\n")
}

/// Live sockets.
pub(super) fn live() -> Option<usize> {
    let namespace = Namespace::or_skip()?;
    let kinds = [
        "packet-raw",
        "packet-dgram",
        "packet-none",
        "packet-bound",
        "packet-options",
        "packet-rings",
        "packet-fanout",
        "netlink-unbound",
        "netlink-ports",
        "netlink-groups",
        "netlink-protocols",
        "netlink-connected",
        "netlink-unread",
    ];
    let zoo = Zoo::start(&namespace, &kinds).unwrap_or_else(|why| panic!("{why}"));
    let whole: Vec<_> = zoo.absent().iter().filter(|(kind, _)| kinds.contains(&kind.as_str())).collect();
    assert!(whole.is_empty(), "{whole:?}");
    let mut lines: Vec<String> = Vec::new();
    for tables in ["-0", "-f link", "-A packet", "-A p_raw", "-A packet_dgram"] {
        let looks = PACKET_LOOKS.iter().chain(&["-ap", "-aebmp", "-anpT"]);
        lines.extend(looks.map(|look| format!("{tables} {look}")));
    }
    lines.extend(PACKET_FILTERS.iter().map(|filter| format!("-0an {filter}")));
    for tables in ["-f netlink", "-A netlink", "-A netlink,packet"] {
        let looks = NETLINK_LOOKS.iter().chain(&["-aep", "-anemp"]);
        lines.extend(looks.map(|look| format!("{tables} {look} not src netlink:tcpdiag")));
    }
    for filter in NETLINK_FILTERS {
        lines.push(format!("-f netlink -a not src netlink:tcpdiag and ( {filter} )"));
        lines.push(format!("-f netlink -an not src netlink:tcpdiag and ( {filter} )"));
    }
    Some(check(lines.iter().map(|line| case(line).inside(&namespace))))
}

/// Lines of /proc text.
pub(super) fn proc_text() -> usize {
    let netlink = temporary("proc-netlink", text(NETLINK_HEADER, NETLINK).as_bytes());
    let packet = temporary("proc-packet", text(PACKET_HEADER, PACKET).as_bytes());
    let with = |words: &str, netlink: &Path, packet: &Path| -> Case<'static> {
        case(words).env("PROC_NET_NETLINK", netlink).env("PROC_NET_PACKET", packet)
    };
    let mut cases: Vec<Case<'_>> = Vec::new();
    for look in NETLINK_LOOKS {
        for tables in ["-f netlink", "-A netlink", "-A netlink,packet"] {
            cases.push(with(&format!("{tables} {look}"), &netlink, &packet));
        }
    }
    for look in PACKET_LOOKS {
        for tables in ["-0", "-A p_raw", "-A p_dgr"] {
            cases.push(with(&format!("{tables} {look}"), &netlink, &packet));
        }
    }
    for filter in NETLINK_FILTERS {
        cases.push(with(&format!("-f netlink -an {filter}"), &netlink, &packet));
    }
    for filter in PACKET_FILTERS {
        cases.push(with(&format!("-0an {filter}"), &netlink, &packet));
    }
    let first = PACKET[0];
    let edits = [
        ("nothing", String::new()),
        ("only-header", format!("{PACKET_HEADER}\n")),
        ("no-newline", text(PACKET_HEADER, PACKET).trim_end().to_owned()),
        ("just-fits", text(PACKET_HEADER, &[&format!("{first:254}"), PACKET[1]])),
        ("too-long", text(PACKET_HEADER, &[&format!("{first:255}"), PACKET[1]])),
        ("header-alone", "no newline".to_owned()),
    ];
    for (name, text) in &edits {
        let file = temporary(&format!("proc-packet-{name}"), text.as_bytes());
        cases.push(with("-0ane", &file, &file));
    }
    let unended = text(NETLINK_HEADER, NETLINK).trim_end().to_owned();
    for (name, text) in [("empty", ""), ("heading", "one line"), ("unended", &unended)] {
        let file = temporary(&format!("proc-netlink-{name}"), text.as_bytes());
        cases.push(with("-f netlink -an", &file, &file));
    }
    for nowhere in ["/nonexistent", "", "/"] {
        let nowhere = Path::new(nowhere);
        cases.push(with("-f netlink -an", nowhere, nowhere));
        cases.push(with("-0an", nowhere, nowhere));
        cases.push(case("-A netlink,packet -an").env("PROC_ROOT", nowhere));
    }
    let root = netlink.parent().expect("a file is in a directory").join("proc-root-netlink");
    for (name, text) in [
        (
            "net/netlink",
            text(NETLINK_HEADER, &["1 0 1 0 0 0 0 0 0 0", "1 0 2 0 0 0 0 0 0 0", "1 9 3 0 0 0 0 0 0 0"]),
        ),
        ("net/packet", text(PACKET_HEADER, PACKET)),
        ("1/stat", "1 (init) S 0".to_owned()),
        ("2/stat", "2 (two words) S 0".to_owned()),
        ("3/stat", String::new()),
    ] {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().expect("a file is in a directory"))
            .and_then(|()| std::fs::write(&path, text))
            .expect("the test's own file");
    }
    for words in ["-f netlink -a", "-f netlink -an", "-0a", "-A netlink,packet -ane"] {
        cases.push(case(words).env("PROC_ROOT", &root));
    }
    check(cases)
}

/// Replies that no kernel here sends.
pub(super) fn answers() -> Option<usize> {
    let links = [(1, "lo"), (2, "a-longer-name")];
    let write = |name: &str, family: u8, datagrams: &[Vec<u8>]| {
        let talk = Talk::new().links(&links).links(&links).sockets(family, datagrams);
        let path = temporary(&format!("netpkt-{name}"), b"");
        talk.write(&path).unwrap_or_else(|why| panic!("{why}"));
        path
    };
    // After a refusal the namespace's /proc text is read: a new namespace has only the
    // kernel's own netlink sockets.
    let namespace = Namespace::or_skip()?;
    let asked = |words: &str, talk: &Path| {
        replies::with(case(words), talk).unwrap_or_else(|why| panic!("{why}")).inside(&namespace)
    };
    let mut cases = Vec::new();
    let talk = write("packets", 17, &[packets(), done(0)]);
    for tables in ["-0", "-A p_raw", "-A p_dgr", "-f link"] {
        for look in PACKET_LOOKS.iter().chain(&["-ap", "-aep", "-aebmpO"]) {
            cases.push(asked(&format!("{tables} {look}"), &talk));
        }
    }
    for filter in
        PACKET_FILTERS.iter().filter(|filter| !filter.contains("dev 0") && !filter.contains("dev if"))
    {
        cases.push(asked(&format!("-0an {filter}"), &talk));
    }
    let talk = write("netlinks", 16, &[netlinks(), done(0)]);
    for tables in ["-f netlink", "-A netlink"] {
        for look in NETLINK_LOOKS {
            cases.push(asked(&format!("{tables} {look}"), &talk));
        }
        for look in ["-ap", "-aep", "-amp", "-aemp", "-aempO", "-anemoip", "-aepHQ", "-ep", "-aempT"] {
            cases.push(asked(&format!("{tables} {look}"), &talk));
        }
    }
    for filter in NETLINK_FILTERS.iter().filter(|filter| !filter.contains("dev")) {
        cases.push(asked(&format!("-f netlink -an {filter}"), &talk));
    }
    for errno in [1, 2, 12, 13, 22, 90, 93, 95, 97, 105] {
        for (name, datagram) in [("refused", refusal(errno)), ("ended", done(errno))] {
            for (family, words) in [(17, "-0an"), (16, "-f netlink -an src netlink:fiblookup")] {
                let talk =
                    write(&format!("{name}-{family}-{errno}"), family, std::slice::from_ref(&datagram));
                cases.push(asked(words, &talk));
            }
        }
    }
    for (name, family, datagrams) in [
        ("short", 17, vec![short_refusal()]),
        ("interrupted", 17, vec![interrupted(packets()), done(0)]),
        ("interrupted", 16, vec![interrupted(netlinks()), done(0)]),
        ("nothing", 17, vec![done(0)]),
        ("nothing", 16, vec![done(0)]),
        // A reply without a memory report is not accepted.
        ("too-little", 17, vec![packet(3, 3, &[]), packets(), done(0)]),
    ] {
        let talk = write(&format!("{name}-{family}"), family, &datagrams);
        cases.push(asked(if family == 17 { "-0ane" } else { "-f netlink -an" }, &talk));
    }
    Some(check(cases))
}
