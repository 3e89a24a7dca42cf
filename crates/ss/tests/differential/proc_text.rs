//! /proc/net text in place of the kernel: real lines, edited ones, broken ones.

use super::{Case, case, check, temporary};

const HEADER: &str =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";

const TCP: &[&str] = &[
    "   0: 0100007F:07E8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 621 1 00000000f9d8e10f 100 0 0 10 0",
    "   1: 0100007F:07E8 0200007F:C350 01 00000005:00000007 01:00000014 00000003  1000        9 622 1 00000000f9d8e10f 20 4 13 10 7",
    "   2: 0100007F:0016 0200007F:C351 01 00000000:00000000 02:0000EA60 00000000  1000        4 623 2 ffff8880f9d8e10f 300 4 12 10 -1",
    "   3: 00000000:0000 0200007F:0050 06 00000000:00000000 03:00001770 00000000     0        0 0 3 0000000000000000",
    "   4: 0100007F:1F90 0200007F:C352 04 00000001:00000000 04:00000001 00000002     0        1 0 1 00000000f9d8e10f 40 0 0 2 2 extra words here",
    "   5: 0100007F:1F91 0200007F:C353 08 00000000:00000001 05:00000063 00000000     5        0 99 1 00000000f9d8e10f 21 4 31 10 5",
];

const TCP6: &[&str] = &[
    "   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 700 1 00000000f9d8e10f 100 0 0 10 0",
    "   1: 00000000000000000000000001000000:0016 00000000000000000000000001000000:C350 01 00000000:00000000 00:00000000 00000000     0        0 701 1 00000000f9d8e10f 20 4 30 10 -1",
    "   2: 0000000000000000FFFF00000100007F:0016 0000000000000000FFFF00000200007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 702 1 00000000f9d8e10f 20 4 30 10 -1",
];

const UDP: &[&str] = &[
    "  10: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 800 2 00000000f9d8e10f 0",
    "  11: 0100007F:0035 0200007F:C350 01 00000100:00000200 00:00000000 00000000     7        0 801 2 00000000f9d8e10f 3",
];

const LOOKS: &[&str] = &[
    "-tan",
    "-tane",
    "-tanei",
    "-tani",
    "-tano",
    "-tanm",
    "-tanemoi",
    "-tanOemoi",
    "-ta",
    "-tl",
    "-tn",
    "-tan sport = :22",
    "-tan dst 127.0.0.2",
    "-tan fwmark = 0",
    "-tan fwmark = 1",
    "-tan dev lo",
    "-tan src [::1]",
    "-4tan",
    "-6tan",
    "-tn state time-wait -o",
    "-tan --tos --cgroup --inet-sockopt",
    "-tan src 0.0.0.0",
];

fn text(lines: &[&str]) -> String {
    let mut text = format!("{HEADER}\n");
    for line in lines {
        text += line;
        text.push('\n');
    }
    text
}

pub(super) fn run() -> usize {
    let tcp = temporary("proc-tcp", text(TCP).as_bytes());
    let tcp6 = temporary("proc-tcp6", text(TCP6).as_bytes());
    let udp = temporary("proc-udp", text(UDP).as_bytes());
    let mut cases: Vec<Case<'_>> = Vec::new();
    for look in LOOKS {
        cases.push(case(look).env("PROC_NET_TCP", &tcp).env("PROC_NET_TCP6", &tcp6));
    }
    for look in ["-uan", "-uanemoi", "-ua", "-un", "-ul", "-uan sport = :53", "-uan dst 127.0.0.2", "-tuan"] {
        cases.push(
            case(look)
                .env("PROC_NET_UDP", &udp)
                .env("PROC_NET_UDP6", "/nonexistent")
                .env("PROC_NET_TCP", &tcp)
                .env("PROC_NET_TCP6", &tcp6),
        );
    }
    for range in ["1024 65535\n", "22 80\n", "", "junk"] {
        let file = temporary(&format!("range-{}", range.len()), range.as_bytes());
        for look in ["-ta", "-tanH autobound", "-tanH ! autobound"] {
            cases.push(
                case(look)
                    .env("PROC_NET_TCP", &tcp)
                    .env("PROC_NET_TCP6", &tcp6)
                    .env("PROC_IP_LOCAL_PORT_RANGE", &file),
            );
        }
    }
    let root = tcp.parent().expect("a file is in a directory").join("proc-root");
    std::fs::create_dir_all(root.join("net")).expect("the test's own directory");
    for (name, lines) in [("tcp", TCP), ("tcp6", TCP6), ("udp", UDP)] {
        std::fs::write(root.join("net").join(name), text(lines)).expect("the test's own file");
    }
    for look in ["-tan", "-tuan", "-ua", "-tanei"] {
        cases.push(case(look).env("PROC_ROOT", &root));
        cases.push(case(look).env("PROC_ROOT", "/nonexistent"));
    }
    let line = TCP[1];
    let edits: &[(&str, String)] = &[
        ("no-newline", text(TCP).trim_end().to_owned()),
        ("long-line", text(&[TCP[0], &format!("{line}{}", "x".repeat(254 - line.len())), TCP[2]])),
        ("just-fits", text(&[TCP[0], &format!("{line}{}", "x".repeat(253 - line.len())), TCP[2]])),
        ("no-colon", text(&[TCP[0], "nonsense", TCP[2]])),
        ("one-colon", text(&[TCP[0], "   1: 0100007F", TCP[2]])),
        ("empty-line", text(&[TCP[0], "", TCP[2]])),
        ("short", text(&[TCP[0], "   1: 0100007F:07E8 0200007F:C350 01", TCP[2]])),
        (
            "no-rto",
            text(&[
                TCP[0],
                "   1: 0100007F:07E8 0200007F:C350 01 00000005:00000007 01:00000014 00000003  1000        9 622 1 00000000f9d8e10f",
            ]),
        ),
        (
            "some-rto",
            text(&[
                TCP[0],
                "   1: 0100007F:07E8 0200007F:C350 01 00000005:00000007 01:00000014 00000003  1000        9 622 1 00000000f9d8e10f 20 4",
            ]),
        ),
        ("only-header", format!("{HEADER}\n")),
        ("nothing", String::new()),
        (
            "state-0",
            text(&[
                "   1: 0100007F:07E8 0200007F:C350 00 00000005:00000007 00:00000000 00000000  1000        9 622 1 00000000f9d8e10f",
            ]),
        ),
        (
            "big-queues",
            text(&[
                "   1: 0100007F:07E8 0200007F:C350 01 FFFFFFFF:80000000 00:00000000 00000000  1000        9 622 1 00000000f9d8e10f",
            ]),
        ),
    ];
    for (name, text) in edits {
        let file = temporary(&format!("proc-{name}"), text.as_bytes());
        cases.push(case("-tanei").env("PROC_NET_TCP", &file).env("PROC_NET_TCP6", &tcp6));
        cases.push(case("-tanoO").env("PROC_NET_TCP", &file).env("PROC_NET_TCP6", "/nonexistent"));
    }
    check(cases)
}
