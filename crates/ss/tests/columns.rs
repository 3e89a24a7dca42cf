//! Columns, sorting, limits, groups and conditions on arbitrary fields.

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

#[path = "columns/catalogue.rs"]
mod catalogue;
#[path = "columns/printed.rs"]
mod printed;
#[path = "columns/sources.rs"]
mod sources;
#[allow(dead_code, reason = "hosts are unpacked here, and looked at elsewhere")]
#[path = "containers/tree.rs"]
mod tree;

const OURS: &str = env!("CARGO_BIN_EXE_ss");

/// Sockets with these ports, peers, queues and round-trip times.
const SOCKETS: [(u16, [u8; 4], u32, u32); 5] = [
    (1001, [10, 0, 0, 1], 5, 200_000),
    (1002, [10, 0, 0, 2], 9, 300),
    (1003, [10, 0, 1, 1], 5, 50_000),
    (1001, [10, 0, 0, 9], 0, 0),
    (1005, [192, 168, 0, 1], 70_000, 1_500_000),
];

/// A recording of these sockets; the fourth has no `tcp_info`.
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
    // If several layouts share a name, the first row is listed.
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
    // The text of ss is sorted too, as whole rows with their details.
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

/// A column's header names its aggregate; only amounts are summed.
#[test]
fn groups_sum_what_adds_up_and_show_the_most_of_the_rest() {
    let path = sockets("totals");
    let csv = |columns: &str| {
        let words = ["-tan", "--csv", "--group-by", "remote.addr/8", "--columns", columns];
        let outcome = outcome(&path, &words);
        assert_eq!(outcome.ended, Ended::Exit(0), "{columns}: {}", String::from_utf8_lossy(&outcome.stderr));
        let text = String::from_utf8(outcome.stdout).expect("no odd bytes");
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let last = |line: &str| line.splitn(5, ',').last().expect("five cells").to_owned();
        (last(&lines[0]), last(&lines[1]))
    };
    // Round-trip times of three of the four sockets in 10.0.0.0/8: 200, 0.3 and 50 ms.
    for (columns, header, value) in [
        ("rtt", "max(tcp.rtt_us)", "200000"),
        ("min(rtt)", "min(tcp.rtt_us)", "300"),
        ("p50(rtt)", "p50(tcp.rtt_us)", "50000"),
        ("p95(rtt)", "p95(tcp.rtt_us)", "200000"),
        ("avg(rtt)", "avg(tcp.rtt_us)", "83433.333333"),
        ("avg(recv_q)", "avg(socket.recv_q)", "4.75"),
        ("max(recv_q),sum(recv_q)", "max(socket.recv_q)", "9"),
    ] {
        assert_eq!(csv(columns), (header.to_owned(), value.to_owned()), "{columns}");
    }
    let people = printed(&path, "-tan --group-by remote.addr/8 --columns rtt,avg(rtt) --sort -max(rtt)");
    let rows: Vec<Vec<&str>> = people.lines().map(|line| line.split_ascii_whitespace().collect()).collect();
    assert_eq!(rows[0], ["remote.addr/8", "count", "sum(recv_q)", "sum(send_q)", "max(rtt)", "avg(rtt)"]);
    assert_eq!(rows[1], ["192.0.0.0/8", "1", "70000", "0", "1.5s", "1.5s"]);
    assert_eq!(rows[2], ["10.0.0.0/8", "4", "19", "0", "200ms", "83.4ms"]);
    for (columns, want) in [
        ("sum(rtt)", "ss: a sum of tcp.rtt_us is meaningless: use max(rtt), min(rtt) or p95(rtt)\n"),
        ("avg(sport)", "ss: local.port is not an amount, so it has no avg: use max(sport) or min(sport)\n"),
        ("mean(rtt)", "ss: there is no function \"mean\": use sum, avg, min, max or p95\n"),
    ] {
        let outcome = outcome(&path, &["-tan", "--group-by", "state", "--columns", columns]);
        assert_eq!((outcome.ended, &*String::from_utf8_lossy(&outcome.stderr)), (Ended::Exit(255), want));
    }
}

/// People see units; programs get full names and the kernel's numbers.
#[test]
fn units_are_in_cells_for_people_and_in_names_for_programs() {
    let mut info = vec![0_u8; 280];
    // tcpi_rtt, tcpi_snd_ssthresh, tcpi_pacing_rate, tcpi_min_rtt, tcpi_delivery_rate.
    info[68..72].copy_from_slice(&95_219_u32.to_ne_bytes());
    info[76..80].copy_from_slice(&0x7fff_ffff_u32.to_ne_bytes());
    info[104..112].copy_from_slice(&u64::MAX.to_ne_bytes());
    info[148..152].copy_from_slice(&u32::MAX.to_ne_bytes());
    info[160..168].copy_from_slice(&17_875_000_u64.to_ne_bytes());
    // BBR: bandwidth, smallest round trip, gains of one.
    let bbr: Vec<u8> = [1000_u32, 0, 95_219, 256, 512].iter().flat_map(|word| word.to_ne_bytes()).collect();
    let mut bytes = Msg::v4().with(attr::INFO, info).with(16, bbr).to_bytes();
    recording::append_done(&mut bytes);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("columns-units");
    fs::write(&path, bytes).expect("the test's own file");
    let columns = "rtt,rtt_us,delivery_rate,pacing_gain,mrtt,ssthresh,pacing_rate,minrtt,bytes_sent";
    let cells = |form: &str, at: usize| {
        let text = printed(&path, &format!("-tan {form} --columns {columns}"));
        let line = text.lines().nth(at).expect("two lines").replace(',', " , ");
        line.split_ascii_whitespace().filter(|cell| *cell != ",").map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(cells("", 0).join(","), columns);
    assert_eq!(
        cells("", 1),
        ["95.2ms", "95219", "143Mbit/s", "1.00", "95.2ms", "-", "-", "-", "0B"],
        "sentinels are absent"
    );
    assert_eq!(
        cells("--csv", 0).join(" "),
        "tcp.rtt_us tcp.rtt_us tcp.delivery_rate_bytes_per_s bbr.pacing_gain bbr.min_rtt_us tcp.snd_ssthresh \
         tcp.pacing_rate_bytes_per_s tcp.min_rtt_us tcp.bytes_sent"
    );
    let csv = printed(&path, &format!("-tanH --csv --columns {columns}"));
    assert_eq!(csv, "95219,95219,17875000,256,95219,,,,0\n");
    let json = printed(&path, &format!("-tan --jsonl --columns {columns}"));
    assert_eq!(
        json,
        "{\"tcp.rtt_us\":95219,\"tcp.delivery_rate_bytes_per_s\":17875000,\"bbr.pacing_gain\":256,\
         \"bbr.min_rtt_us\":95219,\"tcp.bytes_sent\":0}\n"
    );
    // A condition does not match a value that is not an amount.
    for filter in ["ssthresh > 1k", "minrtt > 1s", "pacing_rate > 1Gbit"] {
        let outcome = outcome(&path, &["-tanH", filter]);
        assert_eq!((outcome.ended, outcome.stdout.len()), (Ended::Exit(0), 0), "{filter}");
    }
}

/// CSV and TSV contain what the options ask for, as JSON does, and the namespace.
#[test]
fn separated_forms_carry_what_the_options_ask_for() {
    let path = sockets("options");
    let header = |words: &str| printed(&path, words).lines().next().expect("a header").to_owned();
    for (words, want) in [
        ("-tan --csv -i", "tcp.rtt_us"),
        ("-tan --csv -i", "bbr.pacing_gain"),
        ("-tan --tsv -o", "timer.expires_ms"),
        ("-tan --csv -m", "mem.rmem_alloc"),
        ("-tan --csv -e", "socket.cookie"),
        ("-tan --csv --exposure", "listen.backlog_use"),
        ("-tan --tsv --peers", "peer.processes.cmdline"),
        ("-tan --csv --containers", "container.title"),
        ("-tanp --csv", "socket.processes.user"),
    ] {
        let header = header(words);
        assert!(header.split([',', '\t']).any(|name| name == want), "{words}: no {want} in {header}");
        assert!(header.starts_with("socket.netid"), "{words}: {header}");
    }
    let header = header("-tan --csv -i");
    assert!(!header.contains("unix.") && !header.contains("mptcp."), "of other tables: {header}");
    let with = printed(&path, "-tanH --csv -i").lines().next().expect("a row").split(',').count();
    assert_eq!(with, header.split(',').count(), "a cell for each name");
    // Every format that lists several namespaces names them.
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    let _listener = namespace.with(|| std::net::TcpListener::bind("127.0.0.1:0")).expect("a listener");
    let inode = namespace.inode().expect("it has one").to_string();
    for words in [
        "--csv",
        "--tsv",
        "--columns local.port",
        "--csv --columns local.port",
        "--jsonl --columns local.port",
    ] {
        let words = format!("--netns pid:{} -tlnH {words}", namespace.pid());
        let out = Command::new(OURS).args(words.split(' ')).output().expect("ours runs");
        let text = String::from_utf8_lossy(&out.stdout);
        assert!(out.status.success() && text.contains(&inode), "{words}: {out:?}");
    }
}

/// `-j` with `--columns` and `--group-by`: flat objects under the full names.
#[test]
fn json_has_chosen_columns_and_groups() {
    let path = sockets("json");
    let json = |words: &str| -> serde_json::Value {
        serde_json::from_str(&printed(&path, words)).unwrap_or_else(|error| panic!("{words}: {error}"))
    };
    let document = json("-tan -j --columns sport,rtt,remote.addr/24,congestion");
    assert_eq!(
        document["sockets"][0],
        serde_json::json!({
            "local.port": 1001, "tcp.rtt_us": 200_000, "remote.addr/24": "10.0.0.0/24", "tcp.congestion": "cubic"
        })
    );
    assert_eq!(
        document["sockets"][3],
        serde_json::json!({ "local.port": 1001, "remote.addr/24": "10.0.0.0/24" })
    );
    assert_eq!(document["sockets"].as_array().map(Vec::len), Some(SOCKETS.len()));
    let document = json("-tan -j --group-by sport,congestion --columns rtt --sort -rtt --limit 1");
    assert_eq!(
        document["groups"],
        serde_json::json!([{
            "local.port": 1005, "tcp.congestion": "cubic", "count": 1, "sum(socket.recv_q)": 70_000,
            "sum(socket.send_q)": 0, "max(tcp.rtt_us)": 1_500_000
        }])
    );
    assert!(document["notes"].is_array() && document["sockets"].is_null());
    let lines = printed(&path, "-tan --jsonl --group-by congestion");
    let absent = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    assert!(
        absent.into_iter().any(|group| group["tcp.congestion"].is_null() && group["count"] == 1),
        "{lines}"
    );
}

/// A JSON document is written even if nothing is selected.
#[test]
fn a_document_is_written_of_nothing_too() {
    for words in
        ["-j -A !tcp", "--pretty -A !tcp", "-j --columns state -A !tcp", "-j --group-by state -A !tcp"]
    {
        let out = Command::new(OURS).args(words.split(' ')).output().expect("ours runs");
        let document: serde_json::Value =
            serde_json::from_slice(&out.stdout).unwrap_or_else(|error| panic!("{words}: {error}: {out:?}"));
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(document["failures"], serde_json::json!([said.trim_end()]), "{words}");
        assert!(!said.is_empty(), "{words}");
    }
}

/// `-s` in every format, and with several namespaces.
#[test]
fn the_summary_has_every_form() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    let _listener = namespace.with(|| std::net::TcpListener::bind("127.0.0.1:0")).expect("a listener");
    let (inode, pid) = (namespace.inode().expect("it has one"), namespace.pid());
    let run = |words: &str| {
        let out = Command::new(OURS).args(words.split(' ')).output().expect("ours runs");
        assert!(out.status.success(), "{words}: {out:?}");
        String::from_utf8(out.stdout).expect("ASCII")
    };
    let two = format!("-s --netns pid:{pid},pid:{}", std::process::id());
    let text = run(&two);
    assert!(text.starts_with(&format!("Netns: {inode}\nTotal: ")), "{text}");
    assert_eq!(text.matches("Transport Total").count(), 2, "{text}");
    let csv = run(&format!("{two} --csv"));
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 3, "{csv}");
    assert!(lines[0].starts_with("netns.title,used,tcp,"), "{csv}");
    let cells: Vec<&str> = lines[1].split(',').collect();
    assert_eq!((cells[0], cells[2]), (&*inode.to_string(), "1"), "the namespace's own listener: {csv}");
    assert_eq!(cells.len(), lines[0].split(',').count());
    let document: serde_json::Value = serde_json::from_str(&run(&format!("{two} -j"))).expect("JSON");
    let summaries = document["summaries"].as_array().expect("two of them");
    assert_eq!(summaries.len(), 2);
    assert_eq!(
        (&summaries[0]["netns"]["inode"], &summaries[0]["summary"]["tcp"]),
        (&inode.into(), &1.into())
    );
    let jsonl = run(&format!("{two} --jsonl"));
    assert_eq!(jsonl.lines().filter(|line| line.starts_with("{\"netns\":{\"inode\":")).count(), 2, "{jsonl}");
    assert!(run("-s --tsv").starts_with("used\ttcp\t"));
    let document: serde_json::Value = serde_json::from_str(&run("-s -j")).expect("JSON");
    assert!(document["summary"]["used"].is_u64() && document["summaries"].is_null());
}

/// A queue below zero is reported as none, and dropped connections of a full queue are shown.
#[test]
fn a_full_listener_and_a_dying_socket_are_told_as_they_are() {
    let mut dying = Msg::v4();
    (dying.rqueue, dying.wqueue) = (0, u32::MAX);
    let mut full = Msg::v4();
    (full.state, full.sport, full.rqueue, full.wqueue) = (10, 80, 3, 2);
    let memory: Vec<u8> =
        [0_u32, 1, 2, 3, u32::MAX, 5, 6, 7, 8].iter().flat_map(|word| word.to_ne_bytes()).collect();
    let full = full.with(attr::SKMEMINFO, memory);
    let mut bytes = [dying.to_bytes(), full.to_bytes()].concat();
    recording::append_done(&mut bytes);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("columns-full");
    fs::write(&path, bytes).expect("the test's own file");
    let csv = printed(
        &path,
        "-tanH --csv --columns recv_q,send_q,backlog,backlog_limit,backlog_use,drops,mem.fwd_alloc",
    );
    assert_eq!(csv, "0,,,,,,\n3,2,3,2,1.5,8,\n");
    assert!(printed(&path, "-tanH --exposure").contains(" backlog:3/2 drops:8"));
    let outcome = outcome(&path, &["-tanH", "send_q > 1k"]);
    assert_eq!((outcome.ended, outcome.stdout.len()), (Ended::Exit(0), 0));
    assert!(!printed(&path, "-tan --jsonl -aniem").contains("4294967295"));
}

/// With process columns, `user` and `uid` are those of the process; the socket's are its
/// owner.
#[test]
fn beside_a_process_the_user_is_its_own() {
    let Some(namespace) = Namespace::or_skip() else { return };
    // Root binds the socket and a process of user nobody keeps it, as servers do.
    let script = "import os,socket,time\ns=socket.socket()\ns.bind(('127.0.0.1',0))\ns.listen(5)\n\
                  os.setresuid(65534,65534,65534)\nprint('ready',flush=True)\ntime.sleep(60)";
    let mut command = Command::new("python3");
    command.args(["-c", script]).stdout(std::process::Stdio::piped());
    namespace.enter(&mut command);
    let Ok(mut server) = command.spawn() else { skip!("no python3 here") };
    let mut ready = [0; 6];
    let read = std::io::Read::read_exact(server.stdout.as_mut().expect("a pipe"), &mut ready);
    let run = |words: &str| {
        let case = Case::new(&words.split(' ').collect::<Vec<_>>()).inside(&namespace);
        let outcome = run(Command::new(OURS), &case).unwrap_or_else(|why| panic!("{why}"));
        String::from_utf8_lossy(&outcome.stdout).into_owned()
    };
    let pid = server.id();
    let csv = run("-tlnH --csv --columns pid,uid,socket.uid");
    let header = run("-tln --columns uid,comm,user").lines().next().unwrap_or_default().to_owned();
    let (alone, owner) = (run("-tlnH --csv --columns uid"), run("-tlnH --csv --columns owner.uid,comm"));
    let groups = run("-tln --csv --group-by comm,uid");
    let _ = server.kill();
    let _ = server.wait();
    if read.is_err() || !csv.starts_with(&pid.to_string()) {
        skip!("the namespace's user may not look into the server");
    }
    assert_eq!(csv, format!("{pid},65534,0\n"));
    assert_eq!(header.split_ascii_whitespace().collect::<Vec<_>>(), ["process.uid", "comm", "process.user"]);
    assert_eq!(alone, "0\n", "alone it is what -e prints: the socket's");
    assert!(owner.starts_with("0,python"), "{owner}");
    assert!(groups.contains(",65534,1,"), "{groups}");
}

#[test]
fn wrong_names_are_refused_before_anything_is_listed() {
    let path = sockets("wrong");
    for (words, want) in [
        ("--columns nothing", "ss: there is no field \"nothing\"; --columns help lists all\n"),
        ("--columns addr", "ss: \"addr\" may be local.addr, remote.addr; --columns help lists all\n"),
        (
            "--columns rtt/24",
            "ss: \"rtt/24\" is not a network: use ADDRESS/BITS or ADDRESS/BITS:BITS6; --columns help lists \
             all\n",
        ),
        (
            "--sort -tcp.rtt",
            "ss: there is no field \"tcp.rtt\" (is it tcp.rtt_us?); --columns help lists all\n",
        ),
        ("--group-by state --columns congestion", "ss: congestion is not numeric, so it cannot be summed\n"),
        (
            "--group-by state --sort rtt",
            "ss: groups cannot be sorted by \"rtt\", only by state, count, sum(recv_q), sum(send_q)\n",
        ),
        (
            "--columns remote.addr,rate.bytes_sent_per_s",
            "ss: rate.bytes_sent_per_s needs two samples of each socket, and ss takes only one: use sockdiag top\n",
        ),
        (
            "--sort -goodput",
            "ss: goodput needs two samples of each socket, and ss takes only one: use sockdiag top\n",
        ),
        (
            "--group-by state --columns goodput",
            "ss: goodput needs two samples of each socket, and ss takes only one: use sockdiag top\n",
        ),
        (
            "share.app > 0.5",
            "ss: share.app needs two samples of each socket, and ss takes only one: use sockdiag top\n",
        ),
        ("--limit x", "ss: \"x\" is not a number to limit by\n"),
    ] {
        let outcome = outcome(&path, &format!("-tan {words}").split(' ').collect::<Vec<_>>());
        assert_eq!(String::from_utf8_lossy(&outcome.stderr), want, "{words}");
        assert_eq!((outcome.ended, outcome.stdout.len()), (Ended::Exit(255), 0), "{words}");
    }
}

/// An IPv6 socket with an IPv4-mapped peer counts as talking to that IPv4 host.
#[test]
fn v4_and_v4_mapped_are_one_host() {
    let mut bytes = Vec::new();
    let hosts =
        ["127.0.0.9", "::ffff:127.0.0.9", "::ffff:127.0.0.9", "127.0.0.9", "::ffff:127.0.0.9", "2001:db8::9"];
    for host in hosts {
        let host: std::net::IpAddr = host.parse().expect("an address");
        let mut msg = if host.is_ipv4() { Msg::v4() } else { Msg::v6() };
        msg.dst = host;
        bytes.extend(msg.to_bytes());
    }
    recording::append_done(&mut bytes);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("columns-mapped");
    fs::write(&path, bytes).expect("the test's own file");
    let groups = printed(&path, "-tanH --csv --group-by remote.addr");
    let counts: Vec<&str> =
        groups.lines().map(|line| line.rsplitn(3, ',').nth(2).expect("a group")).collect();
    assert_eq!(counts, ["127.0.0.9,5", "2001:db8::9,1"], "{groups}");
    for filter in ["dst 127.0.0.9", "remote.addr = 127.0.0.9", "remote.addr = ::ffff:127.0.0.9"] {
        let outcome = outcome(&path, &["-tanH", filter]);
        assert_eq!(String::from_utf8_lossy(&outcome.stdout).lines().count(), 5, "{filter}");
    }
    let mapped = printed(&path, "-tanH --csv --columns remote.mapped_addr");
    assert_eq!(mapped.lines().filter(|line| *line == "::ffff:127.0.0.9").count(), 3, "{mapped}");
}

/// Short names, units and patterns are accepted where the reference rejects the words.
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
        ("congestion > x", "ss: tcp.congestion cannot be ordered: use = or !=\n"),
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

/// On a terminal: the expression, a caret, and what was expected.
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
            message.is_some_and(|at| at + 5 >= lines.len()),
            "the message, then the picture and a hint, last: {got}"
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
