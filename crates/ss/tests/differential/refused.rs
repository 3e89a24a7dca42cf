//! Kernels that refuse netlink sockets, as sandboxes do (Termux, gVisor, WSL 1): the error
//! messages, and listings from /proc text.
//!
//! The lines with `-K` destroy nothing: that would need netlink.

use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::zoo::Zoo;

use super::{Case, case, check, rest};

/// Protocols of netlink: of interfaces, and of sockets.
const ROUTE: u32 = 0;
const SOCK_DIAG: u32 = 4;

const KINDS: &[&str] = &[
    "tcp-listen",
    "tcp-listen6",
    "tcp-listen-device",
    "tcp-listen6-device",
    "tcp-idle",
    "udp-unconnected",
    "udp-connected",
    "udp-device",
    "unix-stream",
];

/// Tables and families, each shown in several ways.
const TABLES: &[&str] = &[
    "", "-t", "-u", "-w", "-x", "-0", "-S", "-M", "-tu", "-4", "-6", "-4t", "-6u", "--vsock", "--tipc",
    "--xdp",
];
const LOOKS: &[&str] = &[
    "", "-a", "-an", "-ln", "-anH", "-ane", "-ani", "-anO", "-anm", "-ano", "-anp", "-Bn", "-anK", "-K",
    "-nE",
];
/// Conditions, including those that need a look-up.
const FILTERS: &[&str] = &[
    "state established",
    "src 127.0.0.1",
    "sport = :443 or dport > :1",
    "fwmark = 3",
    "autobound",
    "dev lo",
    "dev = 1",
    "dev != lo",
    "dev if1",
    "dev nonesuch",
    "dev lo or dev nonesuch",
    "not dev lo and sport = :1",
    "bogus dev lo",
    "dev lo bogus",
    "cgroup /",
    "cgroup / and dev lo",
    "dev lo and cgroup /",
    "cgroup /nonesuch",
];

pub(super) fn run() -> Option<usize> {
    let namespace = Namespace::or_skip()?;
    let _zoo = Zoo::start(&namespace, KINDS).unwrap_or_else(|why| panic!("{why}"));
    rest(&namespace);
    let mut cases: Vec<Case<'_>> = Vec::new();
    for look in LOOKS {
        for table in TABLES {
            cases.push(case(&format!("{table} {look}")).refuse(&[SOCK_DIAG]));
            // COMPAT.md: without a list of interfaces, the reference shows no packet or XDP
            // sockets.
            let packets = matches!(*table, "" | "-0" | "--xdp");
            if !packets {
                cases.push(case(&format!("{table} {look}")).refuse(&[ROUTE, SOCK_DIAG]));
            }
            let stands_still = !look.contains(['K', 'E', 'i']);
            if !packets && stands_still {
                cases.push(case(&format!("{table} {look}")).refuse(&[ROUTE]));
            }
        }
    }
    for filter in FILTERS {
        for refused in [&[ROUTE][..], &[SOCK_DIAG], &[ROUTE, SOCK_DIAG]] {
            for look in ["-tan", "-una", "-tunlp", "-x -a"] {
                cases.push(case(&format!("{look} {filter}")).refuse(refused));
            }
        }
        cases.push(case(&format!("-tanK {filter}")).refuse(&[SOCK_DIAG]));
        cases.push(case(&format!("-tuK {filter}")).refuse(&[ROUTE, SOCK_DIAG]));
        cases.push(case(&format!("-tE {filter}")).refuse(&[SOCK_DIAG]));
    }
    for words in ["-tan -D -", "-D - -u", "-xE", "-A all", "-A inet,unix -p", "-r -t", "-f link", "-tanZ"] {
        cases.push(case(words).refuse(&[SOCK_DIAG]));
    }
    Some(check(cases.into_iter().map(|case| case.inside(&namespace))))
}
