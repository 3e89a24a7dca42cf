//! Unix sockets: live ones of every kind, and /proc text in both its formats.
//!
//! Names with control characters are printed differently, so they are tested in
//! `tests/compat.rs` instead.

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]

use std::fmt::Write as _;

use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::replies::{self, Talk, attr, done, refusal, words};
use sockdiag_testkit::zoo::Zoo;

use super::{Case, case, check, temporary};

/// Every way to select and to show them.
const LINES: &[&str] = &[
    "-x",
    "-xa",
    "-xn",
    "-xan",
    "-xl",
    "-xln",
    "-xB",
    "-xane",
    "-xanm",
    "-xanem",
    "-xaneO",
    "-xanemoi",
    "-xanemoiO",
    "-xaneQ",
    "-xanH",
    "-xanHQ",
    "-xanb",
    "-xan --tos --cgroup --inet-sockopt --tipcinfo",
    "--unix -a",
    "--unix --all --extended --memory",
    "-f unix -an",
    "-f unix -n",
    "-A unix -n",
    "-A unix -an",
    "-an -A unix_stream",
    "-an -A unix_dgram",
    "-an -A unix_seqpacket",
    "-an -A u_str",
    "-an -A u_dgr",
    "-an -A u_seq",
    "-an -A u_str,u_seq",
    "-an -A unix,!u_dgr",
    "-n -A u_dgr",
    "-ln -A u_seq",
    "-x -A u_dgr -an",
    "-tux -an",
    "-xt -n",
    "-4x -an",
    "-xn state established",
    "-xn state close",
    "-xn state listening",
    "-xn state unknown",
    "-xn state connected",
    "-xn state all",
    "-xn exclude established",
    "-xln state all",
    "-xln exclude listening",
];

/// Every kind of condition.  Without a family, ports are inodes.
const FILTERS: &[&str] = &[
    "-xanH src *zoo*",
    "-xanH src unix:*",
    "-xanH src unix:",
    "-xanH src unix:/*",
    "-xanH src unix:@*",
    "-xanH src unix:*.SOCK",
    "-xanH src unix:*stream.soc[a-z]",
    "-xanH src unix:\\\\**",
    "-xanH src unix:*\\ *",
    "-xanH src unix:@zoo@pending",
    "-xanH dst unix:*",
    "-xanH dst unix:",
    "-xanH dst unix:?*",
    "-xanH not src unix:/*",
    "-xanH src unix:/* or src unix:@*",
    "-xanH sport = unix:@*",
    "-xanH sport = /*",
    "-xanH dport = unix:",
    "-xanH sport != unix:@*",
    "-xanH autobound",
    "-xanH ! autobound",
    "-xanH autobound and state",
    "-anH -A unix sport = 0",
    "-anH -A unix dport = 0",
    "-anH -A unix dport != 0",
    "-anH -A unix sport > 0",
    "-anH -A unix sport >= 70000",
    "-anH -A unix sport < 4000000000",
    "-anH -A unix src 0.0.0.0",
    "-anH -A unix dst 0.0.0.0",
    "-anH -A unix not src 0.0.0.0",
    "-anH -A unix src 10.0.0.1",
    "-anH -A unix src [::]",
    "-anH -A unix src *",
    "-anH -A unix src *:0",
    "-anH -A unix dst 0.0.0.0/0",
    "-anH -A unix dev 0",
    "-anH -A unix dev lo",
    "-anH -A unix dev != lo",
    "-anH -A unix fwmark = 0",
    "-anH -A unix fwmark = 1",
    "-anH -A unix autobound",
    "-anH -A unix,tcp src unix:*",
    "-anH -A unix,tcp src unix:* or src unix:/*",
    "-tan src unix:@*",
    "-xan src inet:0.0.0.0",
];

/// Unix sockets of this machine's kernel.
pub(super) fn live() -> Option<usize> {
    let namespace = Namespace::or_skip()?;
    let kinds = [
        "unix-stream",
        "unix-pending",
        "unix-seqpacket",
        "unix-dgram",
        "unix-pairs",
        "unix-shutdown",
        "unix-autobound",
        "unix-names",
        "unix-fresh",
    ];
    let zoo = Zoo::start(&namespace, &kinds).unwrap_or_else(|why| panic!("{why}"));
    assert!(zoo.absent().is_empty(), "{:?}", zoo.absent());
    let mut cases: Vec<Case<'_>> = Vec::new();
    for words in LINES.iter().chain(FILTERS) {
        cases.push(case(words).inside(&namespace));
    }
    for words in ["-xan", "-xanem", "-xanemO", "-xlnQ"] {
        for columns in ["20", "80", "100", "200"] {
            cases.push(case(words).env("COLUMNS", columns).inside(&namespace));
        }
        for columns in [0, 50, 80, 132, 250] {
            cases.push(case(words).width(columns).inside(&namespace));
        }
    }
    Some(check(cases))
}

const NUM: &str = "Num       RefCount Protocol Flags    Type St Inode Path";
const PEER: &str = "Peer      RcvQueue WcvQueue Flags    Type St Inode Path";

const LOOKS: &[&str] = &[
    "-xan",
    "-xn",
    "-xln",
    "-xanemoi",
    "-xanO",
    "-xanHQ",
    "-an -A u_str",
    "-an -A u_dgr",
    "-an -A u_seq",
    "-xan state close",
    "-xan state established",
    "-xan exclude established",
    "-xan autobound",
    "-xan ! autobound",
    "-xan src unix:*",
    "-xan src unix:/*",
    "-xan src unix:",
    "-xan dst unix:",
    "-xan dst unix:*",
    "-xan dst unix:\\\\?",
    "-an -A unix sport = 0",
    "-an -A unix sport = 100",
    "-an -A unix dport = 0",
    "-an -A unix src 0.0.0.0",
    "-an -A unix dst 0.0.0.0",
    "-an -A unix dev 0",
];

/// Lines as kernels print them and lines that none prints, below a header.
fn texts() -> Vec<(&'static str, String)> {
    let text = |heading: &str, lines: &[&str]| format!("{heading}\n{}\n", lines.join("\n"));
    let long = |count| format!("0: 2 0 0 1 03 {count} /{}", "x".repeat(count));
    let mut many = format!("{NUM}\n");
    for inode in (1..4000).rev() {
        let _ = writeln!(many, "0: 2 0 0 {} 03 {inode}", 1 + inode % 2);
    }
    vec![
        (
            "kernel",
            text(
                NUM,
                &[
                    "0000000000000000: 00000002 00000000 00010000 0001 01 18561 /run/x.sock",
                    "0000000000000000: 00000003 00000000 00000000 0001 03 102",
                    "0000000000000000: 00000002 00000000 00000000 0002 01 50 @abc",
                    "ffff8880f9d8e10f: 00000002 00000000 00000000 0002 01 40 /run/with blank",
                    "0000000000000000: 00000002 00000000 00010000 0005 01 41 @0badf",
                    "0000000000000000: 00000003 00000000 00000000 0005 03 42",
                    "0000000000000000: 00000002 00000000 00000000 0001 02 43",
                    "0000000000000000: 00000002 00000000 00000000 0001 04 44 @",
                    "0000000000000000: 00000002 00000000 00000000 0002 01 0",
                ],
            ),
        ),
        (
            "odd",
            text(
                NUM,
                &[
                    "nonsense",
                    "",
                    "0: 2 0",
                    "0 : 2 0 0 1 03 20 /space",
                    "0:2 0 0 1 03 19 /nospace",
                    "0: 2 0 0 1 03 21junk",
                    "0: 2 0 0 1 03 +22 /plus",
                    "0: 2 0 0 1 03 -5 @00003",
                    "0: 2 0 0 1 03 99999999999 /huge",
                    " 0x0: 0x2 0 0 0x1 03 0x12 /hex",
                    "100000000: 2 0 0 2 01 1 /low",
                    "0: 2 0 ffffffff 1 03 4 /listens",
                    "0: 2 0 110000000 1 03 5 /listensnot",
                    "0: 2 0 10000 2 01 6 /dgram",
                    "0: 2 0 0 10001 3 8 /bigtype",
                    "0: 2 0 0 102 3 9 /type",
                    "0: 2 0 0 3 05 43 /three",
                    "0: 2 0 0 0 00 44 *",
                    "0: 2 0 0 1 0d 45 /thirteen",
                    "0: 2 0 0 1 03 14 /tie2",
                    "0: 2 0 0 1 03 14 /tie1",
                    "0: 2 0 0 1 03 23 /nul\0x",
                    "0: 2 0 0 1 03 24 \u{b}/vertical\u{b}x",
                    "0: 2 0 0 1 03 25 /\u{e9}",
                ],
            ),
        ),
        (
            "long",
            text(NUM, &[&long(107), &long(239), &long(240), &long(241), &long(600), "0: 2 0 0 1 03 1 /y"]),
        ),
        ("many", many),
        // Peers with names only below their sockets; otherwise the reference's output is
        // wrong.
        (
            "peer",
            text(
                PEER,
                &[
                    "2: 5 6 0 1 03 1 /one",
                    "0: 7 ffffffff 0 1 03 2",
                    "2: 0 0 0 1 03 3 /unnamed-peer",
                    "33: 0 0 0 1 03 33 /self",
                    "100000002: 0 0 0 1 03 4 /wide",
                    "100000000: 0 0 0 1 03 5 /wider",
                    "-1: 0 0 0 2 01 6 /minus",
                    "0: 0 0 10000 1 01 7 /listens",
                ],
            ),
        ),
        ("heading-only", format!("{NUM}\n")),
        ("nothing", String::new()),
        ("no-newline", format!("{NUM}\n0: 2 0 0 1 03 1 /x")),
        ("no-heading", "0: 2 0 0 1 03 1 /x\n0: 2 0 0 1 03 2 /y\n".to_owned()),
        ("blank-peer", text(" Peer", &["2: 5 6 0 1 03 1 /one"])),
        ("peerless", text("Peerless", &["2: 5 6 0 1 03 1 /one"])),
    ]
}

/// /proc/net/unix in place of the kernel.
pub(super) fn proc_text() -> usize {
    let mut cases: Vec<Case<'_>> = Vec::new();
    for (name, text) in texts() {
        let file = temporary(&format!("unix-{name}"), text.as_bytes());
        for look in LOOKS {
            // If a filter hides a peer, the reference shows no name for it; and how many lines
            // it sorts at once depends on how many it shows.
            let filters = ["src", "dst", "autobound"].iter().any(|word| look.contains(word));
            if (name == "peer" || name == "many") && filters {
                continue;
            }
            cases.push(case(look).env("PROC_NET_UNIX", &file));
        }
    }
    cases.push(case("-xan").env("PROC_NET_UNIX", "/nonexistent"));
    cases.push(case("-xan").env("PROC_ROOT", "/nonexistent"));
    let file = temporary("unix-root", texts().first().map_or("", |(_, text)| text).as_bytes());
    let root = file.parent().expect("a file is in a directory").join("unix-proc-root");
    std::fs::create_dir_all(root.join("net")).expect("the test's own directory");
    std::fs::copy(&file, root.join("net/unix")).expect("the test's own file");
    for look in ["-xan", "-xln", "-an -A u_dgr"] {
        cases.push(case(look).env("PROC_ROOT", &root));
    }
    check(cases)
}

/// A reply about one socket.
fn reply(kind: u8, state: u8, inode: u32, attrs: &[Vec<u8>]) -> Vec<u8> {
    let mut payload = vec![1, kind, state, 0];
    payload.extend(words(&[inode, 7, 0]));
    payload.extend(attrs.concat());
    replies::socket(&payload)
}

/// Replies with every combination of attributes, complete as a kernel sends them.
fn mixtures() -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(4);
    let names: [&[u8]; 9] = [
        b"/run/x.sock\0",
        b"/run/x.sock",
        b"",
        b"\0",
        b"\0abs\0tract",
        b"\x000badf",
        b"\x000BADF",
        b"a b\0c",
        b"*",
    ];
    let mut bytes = Vec::new();
    for row in 0..300 {
        let mut word = || if random.bool() { random.u32(..) } else { random.u32(..2000) };
        let mut attrs = [
            attr(0, names[word() as usize % names.len()]),
            attr(1, &words(&[word(), word()])),
            attr(2, &words(&[word()])),
            attr(3, &words(&[word(), 0, word()][..word() as usize % 4])),
            attr(4, &words(&[word(), word()])),
            attr(5, &words(&[word(); 9][..[8, 9, 9][word() as usize % 3]])),
            attr(6, &[(word() % 5) as u8]),
            attr(7, &words(&[word()])),
            attr(200, b"unknown"),
        ]
        .to_vec();
        let (state, inode, kind) = (1 + word() % 13, word(), [1, 2, 5, 1, 2, 3, 0, 255][row % 8]);
        attrs.retain(|_| random.u8(..5) > 0);
        random.shuffle(&mut attrs);
        bytes.extend(reply(kind, state as u8, inode, &attrs));
    }
    bytes
}

/// Crafted replies, and refusals, after which the kernel's /proc text is read.
pub(super) fn replied() -> Option<usize> {
    const UNIX: u8 = 1;
    let namespace = Namespace::or_skip()?;
    if let Err(why) = replies::library() {
        sockdiag_testkit::skip::report(why);
        return None;
    }
    let kinds = ["unix-stream", "unix-pending", "unix-dgram", "unix-pairs", "unix-autobound"];
    let _zoo = Zoo::start(&namespace, &kinds).unwrap_or_else(|why| panic!("{why}"));
    let row = || reply(1, 10, 100, &[attr(0, b"/run/x.sock")]);
    let files = [
        ("mixtures", vec![mixtures(), done(0)]),
        ("nothing", vec![done(0)]),
        ("interrupted", vec![replies::interrupted(row()), done(0)]),
        ("refused", vec![refusal(1)]),
        ("invalid", vec![refusal(22)]),
        ("unknown", vec![refusal(2)]),
        ("unsupported", vec![refusal(95)]),
        ("short", vec![replies::short_refusal()]),
        ("ends-badly", vec![done(12)]),
        ("ends-too-big", vec![done(90)]),
        ("ends-unknown", vec![done(2)]),
    ];
    let looks =
        ["-xan", "-xn", "-xanemO", "-xanem", "-xane", "-xanm", "-xln", "-an -A u_dgr", "-an -A u_str,u_seq"];
    let filters = [
        "-xanH src unix:*x*",
        "-xanH src unix:",
        "-xanH dst unix:",
        "-xanH autobound",
        "-xanH ! autobound",
        "-anH -A unix sport >= 1000",
        "-anH -A unix dport < 1000",
        "-anH -A unix dport = 0",
        "-anH -A unix src 0.0.0.0",
        "-anH -A unix not dst 0.0.0.0",
    ];
    let mut cases: Vec<Case<'_>> = Vec::new();
    for (name, datagrams) in files {
        let talk = Talk::new().sockets(UNIX, &datagrams);
        let path = temporary(&format!("unix-replies-{name}"), b"");
        talk.write(&path).unwrap_or_else(|why| panic!("{why}"));
        let mixed = name == "mixtures";
        for look in looks.iter().chain(filters.iter().filter(|_| mixed)) {
            let case = replies::with(case(look), &path).unwrap_or_else(|why| panic!("{why}"));
            cases.push(case.inside(&namespace));
        }
    }
    Some(check(cases))
}
