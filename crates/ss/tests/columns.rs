//! Columns, order, limits, groups and conditions of any fields.

#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sockdiag_testkit::compare::{Case, Ended, Outcome, run};
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::recording::{self, Msg, attr};
use sockdiag_testkit::reference::Reference;
use sockdiag_testkit::skip;
use sockdiag_testkit::zoo::Zoo;

#[path = "columns/printed.rs"]
mod printed;

const OURS: &str = env!("CARGO_BIN_EXE_ss");

/// Sockets with these ports, peers, queues and round-trip times.
const SOCKETS: [(u16, [u8; 4], u32, u32); 5] = [
    (1001, [10, 0, 0, 1], 5, 200_000),
    (1002, [10, 0, 0, 2], 9, 300),
    (1003, [10, 0, 1, 1], 5, 50_000),
    (1001, [10, 0, 0, 9], 0, 0),
    (1005, [192, 168, 0, 1], 70_000, 1_500_000),
];

/// A recording of them; the fourth has no internals.
fn sockets(name: &str) -> PathBuf {
    let mut bytes = Vec::new();
    for (port, peer, queue, rtt) in SOCKETS {
        let mut msg = Msg::v4();
        (msg.sport, msg.dst, msg.rqueue) = (port, peer.into(), queue);
        if rtt > 0 {
            let mut info = vec![0_u8; 280];
            info[68..72].copy_from_slice(&rtt.to_ne_bytes());
            msg = msg.with(attr::INFO, info).with(attr::CONG, b"cubic\0".to_vec());
        }
        bytes.extend(msg.to_bytes());
    }
    recording::append_done(&mut bytes);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("columns-{name}"));
    fs::write(&path, bytes).expect("the test's own file");
    path
}

fn outcome(path: &Path, words: &[&str]) -> Outcome {
    let case = Case::new(words).env("TCPDIAG_FILE", path);
    run(Command::new(OURS), &case).unwrap_or_else(|why| panic!("{case}: {why}"))
}

fn printed(path: &Path, words: &str) -> String {
    let outcome = outcome(path, &words.split(' ').collect::<Vec<_>>());
    assert_eq!(outcome.ended, Ended::Exit(0), "{words}: {}", String::from_utf8_lossy(&outcome.stderr));
    String::from_utf8(outcome.stdout).expect("no odd bytes")
}

#[test]
fn columns_are_fields_by_name() {
    let path = sockets("names");
    let want = "local.port  rtt_us  congestion  remote.addr\n      \
                      1001  200000  cubic       10.0.0.1\n      \
                      1002     300  cubic       10.0.0.2\n      \
                      1003   50000  cubic       10.0.1.1\n      \
                      1001       -  -           10.0.0.9\n      \
                      1005 1500000  cubic       192.168.0.1\n";
    let got = printed(&path, "-tan --columns local.port,rtt_us,congestion,remote.addr");
    let squeeze = |text: &str| text.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(squeeze(&got), squeeze(want));
    let widths: Vec<usize> = got.lines().map(|line| line.find("cubic").unwrap_or(0)).collect();
    assert_eq!((widths[1], widths[2], widths[5]), (widths[1], widths[1], widths[1]), "aligned: {got}");
    assert_eq!(
        printed(&path, "-tanH --csv --columns state,rtt,remote.addr/24"),
        "CLOSE,200000,10.0.0.0/24\nCLOSE,300,10.0.0.0/24\nCLOSE,50000,10.0.1.0/24\nCLOSE,,10.0.0.0/24\n\
         CLOSE,1500000,192.168.0.0/24\n"
            .replace("CLOSE", printed(&path, "-tanH --csv --columns state").lines().next().expect("a row"))
    );
    assert!(
        printed(&path, "-tan --tsv --columns rtt,state").starts_with("tcp.rtt_us\tsocket.state\n200000\t")
    );
    assert!(printed(&path, "-tan --csv").starts_with("socket.netid,socket.state,socket.recv_q,"));
}

#[test]
fn every_field_is_listed_with_its_unit() {
    let help = printed(Path::new("/dev/null"), "--columns help");
    // Of a name that layouts share, the first row is listed.
    let mut seen = std::collections::HashSet::new();
    for field in sockdiag::fields::Catalog::standard().fields().filter(|field| seen.insert(field.name)) {
        let line = help.lines().find(|line| line.split(' ').next() == Some(field.name));
        let line = line.unwrap_or_else(|| panic!("{} is not listed", field.name));
        let meaning = field.meaning().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(line.ends_with(&meaning), "{line}");
        assert!(field.unit.name().is_none_or(|unit| line.contains(unit)), "{line}");
        for said in [field.kind.name().as_str(), field.metric.name()] {
            assert!(line.contains(said), "{said}: {line}");
        }
    }
    assert!(help.contains("socket.processes.cmdline"));
}

#[test]
fn rows_come_in_the_order_of_any_field() {
    let path = sockets("order");
    let ports = |words: &str| {
        let text = printed(&path, &format!("-tanH --columns local.port,remote.addr {words}"));
        text.lines()
            .map(|line| line.split_ascii_whitespace().last().expect("two").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(ports("--sort rtt"), ["10.0.0.2", "10.0.1.1", "10.0.0.1", "192.168.0.1", "10.0.0.9"]);
    assert_eq!(ports("--sort -rtt"), ["192.168.0.1", "10.0.0.1", "10.0.1.1", "10.0.0.2", "10.0.0.9"]);
    assert_eq!(ports("--sort -recv_q,remote.addr --limit 2"), ["192.168.0.1", "10.0.0.2"]);
    assert_eq!(
        ports("--sort remote.addr/24,-recv_q"),
        ["10.0.0.2", "10.0.0.1", "10.0.0.9", "10.0.1.1", "192.168.0.1"]
    );
    assert_eq!(ports("--limit 2"), ["10.0.0.1", "10.0.0.2"]);
    assert!(ports("--limit 0").is_empty());
    // The text of ss, too: whole rows, details and all.
    let text = printed(&path, "-taniH --sort -recv_q");
    let mut blocks: Vec<&str> = text.split_inclusive('\n').collect();
    blocks.retain(|line| !line.starts_with('\t'));
    let plain = printed(&path, "-taniH");
    let mut want: Vec<&str> = plain.lines().collect();
    let mut have: Vec<&str> = text.lines().collect();
    assert!(have[0].contains("192.168.0.1"), "{text}");
    want.sort_unstable();
    have.sort_unstable();
    assert_eq!(have.len(), want.len());
}

#[test]
fn groups_count_and_add_up() {
    let path = sockets("groups");
    assert_eq!(
        printed(&path, "-tan --group-by local.port --csv"),
        "local.port,count,sum(socket.recv_q),sum(socket.send_q)\n1001,2,5,0\n1002,1,9,0\n1003,1,5,0\n1005,1,70000,0\n"
            .replace(",0\n", &format!(",{}\n", 0))
    );
    assert_eq!(
        printed(&path, "-tanH --group-by remote.address/24 --columns rtt --sort -rtt --limit 2 --csv"),
        "192.168.0.0/24,1,70000,0,1500000\n10.0.0.0/24,3,14,0,200000\n"
    );
    let text = printed(&path, "-tan --group-by congestion");
    assert_eq!(
        text.lines().map(|line| line.split_ascii_whitespace().next()).collect::<Vec<_>>(),
        [Some("congestion"), Some("cubic"), Some("-")]
    );
}

#[test]
fn wrong_names_are_refused_before_anything_is_listed() {
    let path = sockets("wrong");
    for (words, want) in [
        ("--columns nothing", "ss: there is no field \"nothing\"; --columns help lists all\n"),
        ("--columns addr", "ss: \"addr\" may be local.addr, remote.addr; --columns help lists all\n"),
        (
            "--columns rtt/24",
            "ss: \"rtt/24\" is no network: say ADDRESS/BITS or ADDRESS/BITS:BITS6; --columns help lists all\n",
        ),
        (
            "--sort -tcp.rtt",
            "ss: there is no field \"tcp.rtt\" (is it tcp.rtt_us?); --columns help lists all\n",
        ),
        ("--group-by state --columns congestion", "ss: congestion is not numeric, so it cannot be summed\n"),
        (
            "--group-by state --sort rtt",
            "ss: groups are not ordered by \"rtt\", but by one of state, count, sum(recv_q), sum(send_q)\n",
        ),
        (
            "--columns remote.addr,rate.bytes_sent_per_s",
            "ss: rate.bytes_sent_per_s needs two looks at each socket: use sockdiag top\n",
        ),
        ("--sort -goodput", "ss: goodput needs two looks at each socket: use sockdiag top\n"),
        (
            "--group-by state --columns goodput",
            "ss: goodput needs two looks at each socket: use sockdiag top\n",
        ),
        ("share.app > 0.5", "ss: share.app needs two looks at each socket: use sockdiag top\n"),
        ("--limit x", "ss: \"x\" is not a number to limit by\n"),
    ] {
        let outcome = outcome(&path, &format!("-tan {words}").split(' ').collect::<Vec<_>>());
        assert_eq!(String::from_utf8_lossy(&outcome.stderr), want, "{words}");
        assert_eq!((outcome.ended, outcome.stdout.len()), (Ended::Exit(255), 0), "{words}");
    }
}

/// Short names, units and patterns, where the reference refuses the words.
#[test]
fn conditions_take_short_names_units_and_patterns() {
    let path = sockets("conditions");
    let reference = Reference::get();
    for (filter, rows) in [
        ("rtt > 100ms", 2),
        ("rtt >= 0.3ms", 4),
        ("rtt = 1.5s", 1),
        ("rtt_us > 200000", 1),
        ("recv_q > 0", 4),
        ("recv_q >= 68K", 1),
        ("recv_q > 70kB", 0),
        ("congestion = cub*", 4),
        ("congestion = cub", 0),
        ("congestion != c?bic", 0),
        ("not congestion = cubic", 1),
        ("sport = 1001 and rtt < 1s", 1),
        ("remote.addr = 10.0.0.2", 1),
        ("( rtt > 1s or recv_q = 9 )", 2),
        ("ecn = false", 4),
        ("pid = 1", 0),
    ] {
        if let Ok(reference) = &reference {
            let case = Case::new(&["-tanH", filter]).env("TCPDIAG_FILE", &path);
            let theirs = run(reference.command(), &case).unwrap_or_else(|why| panic!("{why}"));
            assert_ne!(theirs.ended, Ended::Exit(0), "{filter}: the reference knows this");
        }
        let ours = outcome(&path, &["-tanH", filter]);
        let errors = String::from_utf8_lossy(&ours.stderr).into_owned();
        assert_eq!(ours.ended, Ended::Exit(0), "{filter}: {errors}");
        assert_eq!(String::from_utf8_lossy(&ours.stdout).lines().count(), rows, "{filter}");
    }
    for (filter, want) in [
        ("rtt > 100", "ss: \"100\" has no unit: add one, or compare tcp.rtt_us instead of rtt\n"),
        ("rtt > 5x", "ss: \"5x\" is not a number, so tcp.rtt_us cannot be compared with it\n"),
        ("congestion > x", "ss: tcp.congestion has no order: compare it by = or !=\n"),
    ] {
        let ours = outcome(&path, &["-tanH", filter]);
        assert_eq!(String::from_utf8_lossy(&ours.stderr), want, "{filter}");
        assert_eq!(ours.ended, Ended::Exit(1), "{filter}");
    }
}

#[test]
fn holders_can_be_asked_for_by_name() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let zoo = Zoo::start(&namespace, &["tcp-listen"]).unwrap_or_else(|why| panic!("{why}"));
    let rows = |filter: &str| {
        let case = Case::new(&["-tlnH", filter]).inside(&namespace);
        let outcome = run(Command::new(OURS), &case).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(outcome.ended, Ended::Exit(0), "{filter}: {}", String::from_utf8_lossy(&outcome.stderr));
        String::from_utf8_lossy(&outcome.stdout).lines().count()
    };
    let all = rows("recv_q >= 0");
    assert!(all > 0);
    if rows(&format!("pid = {}", zoo.pid())) == 0 {
        skip!("the namespace's user may not look into the zoo");
    }
    for (filter, want) in [
        ("comm = sockdiag-zoo", all),
        ("comm = sockdiag*", all),
        ("comm = SOCKDIAG-ZOO", 0),
        ("comm != sockdiag-zoo", 0),
        ("comm != nginx", all),
        ("cmdline = *tcp-listen*", all),
        ("cmdline = tcp-listen", all),
        ("fd > 100000", 0),
    ] {
        assert_eq!(rows(filter), want, "{filter}");
    }
    let case = Case::new(&["-tlnH", "--csv", "--columns", "pid,comm"]).inside(&namespace);
    let outcome = run(Command::new(OURS), &case).unwrap_or_else(|why| panic!("{why}"));
    let want = format!("{},sockdiag-zoo\n", zoo.pid()).repeat(all);
    assert_eq!(String::from_utf8_lossy(&outcome.stdout), want);
}

/// For people: the expression, a caret, and what was expected.
#[test]
fn a_terminal_shows_where_a_filter_is_wrong() {
    let path = sockets("caret");
    let shell = |filter: &str| {
        let command = format!("exec {OURS} -tanH {filter}");
        let out = Command::new("script")
            .args(["-qec", &command, "/dev/null"])
            .env("TCPDIAG_FILE", &path)
            .stdin(std::process::Stdio::null())
            .output();
        out.map(|out| String::from_utf8_lossy(&out.stdout).replace('\r', ""))
    };
    for (filter, want) in [
        ("'sport = 80 and recvq \\> 5'", "    sport = 80 and recvq > 5\n                   ^^^^^ expected "),
        ("'rtt \\> 5x'", "    rtt > 5x\n          ^^ expected a time such as 500us, 100ms, 2s or 5m\n"),
        ("'sport = 80 and'", "    sport = 80 and\n                   ^ expected a condition: "),
        ("'src'", "    src\n        ^ expected a value\n"),
        (
            "'sport\\>1000'",
            "    ^^^^^^^^^^ expected blanks around operators and brackets\n    try: sport > 1000\n",
        ),
        ("'(dst 10.0.0.1 or rtt\\>1ms)'", "    try: ( dst 10.0.0.1 or rtt > 1ms )\n"),
        ("'state close-wait and lastrcv \\> 30s'", "    try: state close-wait 'lastrcv > 30s'\n"),
        ("'state = foo'", "            ^^^ expected ESTAB, SYN-SENT, "),
    ] {
        let asked = ["'--explain' '-tanH' ", filter].concat().replace("\\>", ">");
        let words: Vec<&str> = asked.split('\'').filter(|word| !word.trim().is_empty()).collect();
        let out = Command::new(OURS).args(&words).env("TCPDIAG_FILE", &path).output().expect("our program");
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(said.contains(want), "{words:?}: {said}");
        let Ok(got) = shell(filter) else { skip!("no script(1) here") };
        assert!(got.contains(want), "{filter}: {got}");
        let lines: Vec<&str> = got.lines().collect();
        let message = lines.iter().rposition(|line| line.starts_with("Error: ") || line.starts_with("ss: "));
        assert!(
            message.is_some_and(|at| at + 4 >= lines.len()),
            "the message, then the picture, last: {got}"
        );
    }
}

#[test]
fn the_status_tells_whether_a_socket_was_shown() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let _zoo =
        Zoo::start(&namespace, &["tcp-listen", "udp-unconnected"]).unwrap_or_else(|why| panic!("{why}"));
    let forms = [
        "",
        "-H",
        "-j",
        "--pretty",
        "--jsonl",
        "--csv",
        "--tsv",
        "--columns local.port",
        "--group-by state",
        "--sort local.port",
        "--limit 1",
        "-p",
        "-s",
        "-O",
    ];
    for form in forms {
        for (words, shown) in [
            ("-tan sport = :5101", true),
            ("-tan sport = :1", false),
            ("-uan local.port = 6001", true),
            ("-uan local.port = 1", false),
            ("-wan", false),
        ] {
            let end = |words: String| {
                let mut command = namespace.command(env!("CARGO_BIN_EXE_ss"));
                let out = command.args(words.split_whitespace()).output().expect("ours runs");
                (out.status.code(), out.stderr)
            };
            let (status, stderr) = end(format!("{form} --exit-code {words}"));
            assert_eq!(
                status,
                Some(i32::from(!shown)),
                "{form} {words}: {}",
                String::from_utf8_lossy(&stderr)
            );
            let (without, said) = end(format!("{form} {words}"));
            assert_eq!((without, said), (Some(0), stderr), "{form} {words}");
        }
    }
}
