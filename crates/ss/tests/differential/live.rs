//! Live sockets of every state, in a namespace whose sockets do not change.
//!
//! Timers and the counters of `-i` do change: they are compared in a recording of the same
//! sockets.

use std::path::Path;
use std::process::Command;

use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::recording;
use sockdiag_testkit::reference::Reference;
use sockdiag_testkit::zoo::Zoo;

use sockdiag_testkit::compare::run_cases;
use sockdiag_testkit::skip;

use super::{Case, case, check, rest, temporary};

/// Every option whose output does not change, and every way to select sockets.
const LINES: &[&str] = &[
    "-tan",
    "-ta",
    "-t",
    "-tn",
    "-tl",
    "-tln",
    "-tB",
    "-tBn",
    "-uan",
    "-ua",
    "-u",
    "-un",
    "-ul",
    "-uln",
    "-uB",
    "-tu",
    "-tua",
    "-tuan",
    "-tul",
    "-tuln",
    "-tuanH",
    "-tuanQ",
    "-tuanHQ",
    "-tuanO",
    "-tlne",
    "-tBne",
    "-uaneO",
    "-tlneO",
    "-tanm",
    "-uanm",
    "-tan --tos",
    "-uan --tos",
    "-tan --cgroup",
    "-uane --cgroup",
    "-tan --inet-sockopt",
    "-uan --inet-sockopt",
    "-tlnOe --inet-sockopt --tos --cgroup",
    "-t4an",
    "-t6an",
    "-4tun",
    "-6tuan",
    "-t -4 -6 -a",
    "-t -6 -4 -a",
    "-t -f inet -an",
    "-tan -f inet6",
    "-A tcp -n",
    "-A tcp -an",
    "-A udp -n",
    "-A udp,tcp -an",
    "-A tcp -A udp -n",
    "-t -A udp -an",
    "-A udp -t -an",
    "-A tcp,udp,!tcp -an",
    "--tcp --all --numeric",
    "--udp --listening --numeric",
    "--tc --li --num",
    "--query=tcp -an",
    "--socket tcp -an",
    "-uanb",
    "-tlnb",
    "-tanT",
    "--inet -tan",
    "-tn state all",
    "-tn state connected",
    "-tn state synchronized",
    "-tn state bucket",
    "-tn state big",
    "-tn state established",
    "-tn state syn-sent",
    "-tn state syn-recv",
    "-tn state syn-rcv",
    "-tn state fin-wait-1",
    "-tn state fin-wait-2",
    "-tn state time-wait",
    "-tn state close-wait",
    "-tn state last-ack",
    "-tn state listening",
    "-tn state closing",
    "-tn state bound-inactive",
    "-tn state closed",
    "-tn state close",
    "-tn state unconnected",
    "-tn state unknown",
    "-tn state ESTABLISHED",
    "-tn state established state listening",
    "-tn exclude established",
    "-tn exclude all",
    "-tn exclude listening excl time-wait",
    "-un state all",
    "-un state unconnected",
    "-tan state established",
    "-tln state established",
    "-tn state established exclude established",
    // Filters in all spellings.
    "-tanH sport = :443",
    "-tanH sport = 443",
    "-tanH sport = [443]",
    "-tanH sport = [443]x",
    "-tanH sport = []",
    "-tanH dport = [*]",
    "-tanH sport = [:https]",
    "-tanH src 127.0x1",
    "-tanH sport eq 443",
    "-tanH sport == 443",
    "-tanH dport != 443",
    "-tanH dport ne 443",
    "-tanH dport neq :443",
    "-tanH sport > 1000",
    "-tanH sport gt 1000",
    "-tanH sport < 1000",
    "-tanH sport lt :1000",
    "-tanH sport >= 1000",
    "-tanH sport ge 1000",
    "-tanH sport geq 1000",
    "-tanH sport <= 1000",
    "-tanH sport le 1000",
    "-tanH sport leq 1000",
    "-tanH sport = :https",
    "-tanH dport = :https or sport = :ssh",
    "-uanH sport = :ntp",
    "-tuanH sport = :domain",
    "-tanH src 127.0.0.1",
    "-tanH src 127.0.0.0/8",
    "-tanH src 127.1",
    "-tanH dst 127.0.0.1:443",
    "-tanH src 0.0.0.0",
    "-tanH src [::1]",
    "-tanH src [::]",
    "-tanH dst [::1]:80",
    "-tanH src ::1/128",
    "-tanH src [fe80::]/10",
    "-tanH src [::ffff:127.0.0.1]",
    "-tanH dst [::ffff:0:0]/96",
    "-tanH src inet:127.0.0.1",
    "-tanH src inet6:[::1]",
    "-tanH src any",
    "-tanH src *",
    "-tanH dst *:443",
    "-tanH src 127.0.0.0/255.0.0.0",
    "-tanH src localhost",
    "-tanH src 192.0.2.0/24",
    "-tanH dst 0x7f.1",
    "-tanH 127.0.0.1",
    "-tanH dev lo",
    "-tanH dev = lo",
    "-tanH dev != lo",
    "-tanH dev 1",
    "-tanH dev if1",
    "-uanH dev = veth0",
    "-tanH not dev lo",
    "-tanH fwmark = 42",
    "-tanH fwmark 0x2a",
    "-tanH fwmark = 0x2/0xf",
    "-tanH fwmark != 0",
    "-uanH fwmark != 0",
    "-tanH fwmark 1junk",
    "-tanH cgroup /sys/fs/cgroup",
    "-tanH cgroup .",
    "-tanH cgroup != /proc",
    "-tanH autobound",
    "-tanH ! autobound",
    "-uanH autobound",
    "-tanH not autobound and sport > 1000",
    "-tanH autobound or dev lo",
    "-tanH not ( autobound or sport = 22 )",
    "-uanH not autobound",
    "-tanH sport = 22 or sport = 80 and sport = 443",
    "-tanH sport = 22 and sport = 22 or sport = 80",
    "-tanH ! sport = 22 && ! sport = 80",
    "-tanH not ( sport = 22 | sport = 80 )",
    "-tanH ( sport = 22 or ( sport = 80 or sport = 443 ) )",
    "-tanH sport = 22 or sport = 80 or sport = 443",
    "-tanH sport > 1000 dport > 1000",
    "-tanH sport > 70000",
    "-tanH sport >= -1",
    "-tanH sport = 0",
    "-tanH dst 127.0.0.1 and not dport = 443",
    "-tuanH sport = 443 or dev lo and not fwmark = 42",
    "-tanH src 10.0.0.1 or src 127.0.0.1",
    "-tanH dev lo or src 127.0.0.1",
    "-tanH ( dev lo or sport = 22 ) and not dport = 80",
    "-tanH src [::]/0",
    "-tanH src 0.0.0.0/0",
    "-tanH src 0.0.0.0/1",
    "-tanH src [a00:1::]/32",
    "-tanH not src 127.0.0.1",
    "dst 127.0.0.1 -tan",
    "-tan -- dst 127.0.0.1",
    "-ta dst 127.0.0.1",
    "-tan sport = 443 -H -Q",
    // Names.
    "-tar",
    "-tanr",
    "-tur",
    "-tlr src localhost",
    "-uar",
];

/// A namespace with every kind of socket that does not change, at rest.
fn frozen() -> Option<(Namespace, Zoo)> {
    let namespace = Namespace::or_skip()?;
    let kinds: Vec<&str> = sockdiag_testkit::zoo::kinds()
        .map(|(kind, _)| kind)
        // TIME-WAIT ends during the run; a deferred connect has a random queue.
        .filter(|kind| {
            !kind.starts_with("tcp-time-wait") && *kind != "tcp-defer-connect" && !kind.starts_with("raw")
        })
        .collect();
    let zoo = Zoo::start(&namespace, &kinds).unwrap_or_else(|why| panic!("{why}"));
    rest(&namespace);
    Some((namespace, zoo))
}

pub(super) fn sockets() -> Option<usize> {
    let (namespace, _zoo) = frozen()?;
    let mut cases: Vec<Case<'_>> = LINES.iter().map(|line| case(line).inside(&namespace)).collect();
    let nested = sockdiag_testkit::netns::Namespace::new().ok();
    if let Some(other) = &nested {
        cases.push(case("-tuan").inside(other));
        cases.push(case("-tuan -r").inside(other));
    }
    for (text, line) in [
        ("sport = :443\n", "-tanH"),
        ("# comment\n\nsport = :443\nor sport = :22\n", "-tanH"),
        ("0 sport = :1\nsport = :22", "-tanH"),
        ("= :443\n", "-tanH"),
        ("\tsport  =   22  \n", "-tanH"),
    ] {
        let words = if text.starts_with('=') { format!("{line} -F - sport") } else { format!("{line} -F -") };
        cases.push(case(&words).stdin(text).inside(&namespace));
    }
    for width in [40, 80, 132, 200] {
        cases.push(case("-uane").inside(&namespace).width(width));
    }
    cases.push(case("dst 127.0.0.1 -tan").env("POSIXLY_CORRECT", "1").inside(&namespace));
    cases.push(case("-tan dst 127.0.0.1").env("POSIXLY_CORRECT", "1").inside(&namespace));
    Some(check(cases))
}

/// The same sockets read by walking of the kernel's tables, without conditions that only the
/// kernel can evaluate.
pub(super) fn walked() -> Option<usize> {
    use std::os::unix::fs::PermissionsExt as _;

    let (namespace, _zoo) = frozen()?;
    let program = format!("#!/bin/bash\nexec -a ss '{}' --source walk \"$@\"\n", super::OURS);
    let program = temporary("live-walk", program.as_bytes());
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&program, mode).expect("it is ours");
    let mut look = Command::new(&program);
    namespace.enter(look.args(["-tan", "--explain"]));
    let said = look.output().expect("it runs").stderr;
    let said = String::from_utf8_lossy(&said);
    if !said.contains("read by walking") {
        (|| skip!("no walk here: {said}"))();
        return None;
    }
    let lines = LINES.iter().filter(|line| line.contains('t') && !line.contains("autobound"));
    let more = ["-tanp", "-tlnep", "-tanmO", "-tanm --tos --cgroup --inet-sockopt", "-tanOp"];
    let cases = lines.chain(&more).map(|line| case(line).inside(&namespace));
    let report = run_cases(cases, &program).unwrap_or_else(|why| panic!("{why}"));
    assert!(report.is_clean(), "{report}");
    Some(report.agreed)
}

/// Options for the recording: everything that changes with time.
const RECORDED: &[&str] = &[
    "-tano",
    "-tane",
    "-tani",
    "-tanm",
    "-tanemoi",
    "-tanOemoi",
    "-taemoi",
    "-tanemoi --tos --cgroup --inet-sockopt",
    "-tanOemoi --tos --cgroup --inet-sockopt",
    "-tanHQi",
    "-ti state established",
    "-tani sport > 1024",
];

/// Recordings of the same sockets made by ours and by the reference: equal except for what
/// changes with time, and shown alike.
pub(super) fn recorded() -> Option<usize> {
    let (namespace, _zoo) = frozen()?;
    let path = |name: &str| Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let reference = Reference::get().unwrap_or_else(|why| panic!("{why}"));
    let record = |mut command: Command, options: &[&str], file: &Path| {
        namespace.enter(&mut command);
        let status = command.args(options).arg("-D").arg(file).status().expect("it runs");
        assert!(status.success(), "{status}");
        std::fs::read(file).expect("it was just written")
    };
    let (theirs, ours) = (path("live-theirs"), path("live-ours"));
    for options in [&["-ta"][..], &["-tami", "--tos"], &["-4t"], &["-6t"], &["-tn", "state", "listening"]] {
        let left = record(reference.command(), options, &theirs);
        let right = record(Command::new(super::OURS), options, &ours);
        let ticking = options.contains(&"-tami");
        let (left, right) = (still(&left, ticking), still(&right, ticking));
        assert_eq!(left.len(), right.len(), "-D with {options:?}: messages");
        for (at, (left, right)) in left.iter().zip(&right).enumerate() {
            assert_eq!(left, right, "-D with {options:?}: message {at}");
        }
    }
    record(Command::new(super::OURS), &["-tami", "--tos"], &ours);
    let bytes = std::fs::read(&ours).expect("it was just written");
    let both = temporary("live-both", &recording::cut_done(&bytes));
    let cases =
        RECORDED.iter().flat_map(|look| [&ours, &both].map(|file| case(look).env("TCPDIAG_FILE", file)));
    Some(check(cases))
}

/// A recording without its maker's port id and without what changes with time: timers, and if
/// `internals`, the contents (but not the lengths) of `tcp_info` and the like.
fn still(bytes: &[u8], internals: bool) -> Vec<Vec<u8>> {
    const PORT_ID: std::ops::Range<usize> = 12..16;
    const RETRANS: std::ops::Range<usize> = 16 + 3..16 + 4;
    const EXPIRES: std::ops::Range<usize> = 16 + 52..16 + 56;
    const ATTRIBUTES: usize = 16 + 72;
    let blank = |message: &mut Vec<u8>, range: std::ops::Range<usize>| {
        if let Some(bytes) = message.get_mut(range) {
            bytes.fill(0);
        }
    };
    let mut messages = Vec::new();
    for range in recording::messages(bytes) {
        let mut message = bytes[range].to_vec();
        blank(&mut message, PORT_ID);
        blank(&mut message, RETRANS);
        blank(&mut message, EXPIRES);
        let mut at = ATTRIBUTES;
        while internals && at + 4 <= message.len() {
            let length = usize::from(u16::from_ne_bytes([message[at], message[at + 1]]));
            blank(&mut message, at + 4..at + length.max(4));
            at += (length.max(4) + 3) & !3;
        }
        messages.push(message);
    }
    messages
}
