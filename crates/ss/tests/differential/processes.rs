//! The holders of sockets: several holders, threads, short-lived processes, and made-up /proc
//! directories.
//!
//! Names with quotes, backslashes and `)` are covered by COMPAT.md.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::owners::Owners;
use sockdiag_testkit::zoo::Zoo;

use super::{Case, case, check, temporary};

const LINES: &[&str] = &[
    "-tanp",
    "-tlnp",
    "-uanp",
    "-tuanp",
    "-tanpT",
    "-tuanpT",
    "-tanT",
    "-tap",
    "-tanpH",
    "-tanpQ",
    "-tanpHQ",
    "-tlnpO",
    "-tlnpOe",
    "-uanpe",
    "-uanpem",
    "-tanpm",
    "-tanpr",
    "-tanp --tos",
    "-tuanpT --cgroup --inet-sockopt",
    "-tanp sport = :5901",
    "-tanp dport = :5901 or sport = :22",
    "-tanp sport = :1",
    "-tanp state established",
    "-tanp state listening",
    "-tuanp exclude listening",
    "-4tuanp",
    "-6tuanp",
    "--processes -tan",
    "--threads --processes -uan",
    "-A tcp,udp -anp",
    "-A udp -A tcp -anpT",
    "-tanpp",
];

pub(super) fn live() -> Option<usize> {
    let namespace = Namespace::or_skip()?;
    let names: &[&[u8]] =
        &[b"plain", b"two words", b"", b"new\nline", b"\x1b[31m\x7f", b"\xc3\xa9\xff", b"(("];
    let names: Vec<&OsStr> = names.iter().map(|name| OsStr::from_bytes(name)).collect();
    let _owners = Owners::start(&namespace, &names).unwrap_or_else(|why| panic!("{why}"));
    let kinds = ["tcp-listen", "tcp-ports", "udp-unconnected"];
    let zoo = Zoo::start(&namespace, &kinds).unwrap_or_else(|why| panic!("{why}"));
    assert!(zoo.absent().is_empty(), "{:?}", zoo.absent());
    let mut cases: Vec<Case<'_>> = LINES.iter().map(|line| case(line).inside(&namespace)).collect();
    for width in [40, 80, 132, 200] {
        cases.push(case("-tuanpT").inside(&namespace).width(width));
    }
    // Processes come and go meanwhile; they hold none of these sockets.
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let child = Command::new("true").stdin(Stdio::null()).stdout(Stdio::null()).spawn();
                let _ = child.and_then(|mut child| child.wait());
            }
        });
        // Sets the flag when the comparison ends, even by a panic: the scope waits for the
        // other thread.
        let _stop = Stop(&stop);
        Some(check(cases))
    })
}

/// Sets a flag when dropped.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1 0000000000000000 100 0 0 10 0
   2: 0100007F:1F92 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 0 1 0000000000000000 100 0 0 10 0
";

/// A /proc directory of the test.
struct Proc(PathBuf);

impl Proc {
    fn new(name: &str) -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("net")).expect("the test's own directory");
        fs::write(root.join("net/tcp"), TCP).expect("the test's own file");
        Self(root)
    }

    fn task(&self, entry: &str, stat: &[u8], fds: &[(&str, &str)]) {
        let task = self.0.join(entry);
        fs::create_dir_all(task.join("fd")).expect("the test's own directory");
        fs::write(task.join("stat"), stat).expect("the test's own file");
        for (fd, link) in fds {
            symlink(link, task.join("fd").join(fd)).expect("the test's own link");
        }
    }

    fn thread(&self, pid: &str, tid: &str) {
        fs::create_dir_all(self.0.join(pid).join("task").join(tid)).expect("the test's own directory");
    }
}

pub(super) fn made_up() -> usize {
    let odd = Proc::new("proc-odd");
    odd.task("100", b"100 (plain) S 1", &[("3", "socket:[111]"), ("4", "socket:[111]"), ("5", "socket:[0]")]);
    odd.task(
        "108",
        b"108 (links) S 1",
        &[
            ("1", "socket:[222]"),
            ("3x", "socket:[222]"),
            ("4", "socket:[222"),
            ("5", "socket:[222]junk"),
            ("6", "socket:[222x"),
            ("7", "socket: [222]"),
            ("8", "socket:[ 222]"),
            ("9", "socket:[4294967518]"),
            ("10", "socket:[+222]"),
            ("11", "socket:[]"),
            ("12", "socket:[-4294967074]"),
            ("13", "/dev/null"),
            ("14", "socket:[99999999999999999999]"),
            ("15", "pipe:[222]"),
        ],
    );
    let fds =
        [("-5", "socket:[222]"), ("+6", "socket:[222]"), ("007", "socket:[222]"), ("7", "socket:[111]")];
    odd.task("109", b"109 (descriptors) S 1", &fds);
    odd.task("107", b"107 (twice) S 1", &[("5", "socket:[111]")]);
    odd.task("107x", b"107 (unread) S 1", &[("3", "socket:[111]")]);
    odd.task("x9", b"9 (no number) S 1", &[("3", "socket:[111]")]);
    odd.task("4294967297", b"1 (too large) S 1", &[("3", "socket:[111]")]);
    odd.task("0", b"0 (zero) S 1", &[("3", "socket:[222]")]);
    odd.task("-118", b"118 (negative) S 1", &[("3", "socket:[222]")]);
    let stats: &[&[u8]] = &[
        b"garbage",
        b"112 (unclosed",
        b"113 no paren)",
        b"",
        b"x (y) S",
        b" 116   (  sp ) S",
        b"117(tight) S",
        b"118 () S",
        b"119 (new\nline\x1b[31m\xff\x7f) S",
        b"120 (123456789012345) S",
    ];
    for (number, stat) in (120..).zip(stats) {
        odd.task(&number.to_string(), stat, &[("3", "socket:[222]")]);
    }
    fs::create_dir_all(odd.0.join("119/fd")).expect("the test's own directory");
    symlink("socket:[111]", odd.0.join("119/fd/3")).expect("the test's own link");

    let threads = Proc::new("proc-threads");
    threads.task("100", b"100 (main) S", &[("3", "socket:[111]"), ("4", "socket:[222]")]);
    for tid in ["100", "101", "102", "0103", "104x", "50"] {
        threads.thread("100", tid);
    }
    threads.task("101", b"101 (one) S", &[("3", "socket:[111]")]);
    threads.task("102", b"102 (two) S", &[("5", "socket:[111]")]);
    threads.task("103", b"103 (three) S", &[("5", "socket:[222]")]);
    threads.thread("103", "100");
    threads.task("104", b"104 (four) S", &[("5", "socket:[222]")]);

    let mut cases = Vec::new();
    for root in [&odd.0, &threads.0, Path::new("/nonexistent"), Path::new("")] {
        for line in
            ["-tanp", "-tanpT", "-tanT", "-tanpHQ", "-tanpeO", "-tan", "-tuanp", "-tanp sport = :8080"]
        {
            cases.push(case(line).env("PROC_ROOT", root));
        }
        cases.push(case("-tanpT").env("PROC_ROOT", root).width(100));
    }
    // More rows than are buffered: the rest is streamed.
    let row = |n: u32| {
        let (port, inode) = (n % 65536, if n.is_multiple_of(3) { 111 + 111 * (n % 2) } else { n });
        format!(
            "{n:4}: 0100007F:{port:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 \
             {inode} 1 0000000000000000 100 0 0 10 0\n"
        )
    };
    let many: String =
        TCP.lines().take(1).map(|line| format!("{line}\n")).chain((0..50_000).map(row)).collect();
    let many = temporary("proc-many", many.as_bytes());
    for line in ["-tanpH", "-tanpTH sport > :1000", "-tuanp state listening"] {
        cases.push(case(line).env("PROC_ROOT", &threads.0).env("PROC_NET_TCP", &many));
    }
    // A file in place of every directory.
    let file = temporary("proc-file", TCP.as_bytes());
    cases.push(case("-tanp").env("PROC_ROOT", &file).env("PROC_NET_TCP", &file));
    check(cases)
}
