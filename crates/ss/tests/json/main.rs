//! JSON: sockets of every family match the schema, TCP's text can be rebuilt from it, and the
//! document reports what happened.

#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

mod schema;
mod text;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use sockdiag_testkit::compare::{Case, Ended, Outcome, run};
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::recording::{self, Msg, attr};
use sockdiag_testkit::reference::Reference;
use sockdiag_testkit::skip;
use sockdiag_testkit::zoo::Zoo;

const OURS: &str = env!("CARGO_BIN_EXE_ss");

fn ours(case: &Case<'_>) -> Outcome {
    let outcome = run(Command::new(OURS), case).unwrap_or_else(|why| panic!("{case}: {why}"));
    assert_eq!(outcome.ended, Ended::Exit(0), "{case}: {}", String::from_utf8_lossy(&outcome.stderr));
    outcome
}

fn case(words: &str) -> Case<'static> {
    Case::new(&words.split(' ').collect::<Vec<_>>())
}

fn document(case: &Case<'_>) -> Value {
    let outcome = ours(case);
    let value = serde_json::from_slice(&outcome.stdout).unwrap_or_else(|error| panic!("{case}: {error}"));
    if let Some(error) = schema::of_documents().iter_errors(&value).next() {
        panic!("{case}: {error} at {}", error.instance_path());
    }
    value
}

/// A namespace with sockets of every default kind and of other families.
fn zoo() -> Option<(Zoo, Namespace)> {
    let namespace = Namespace::or_skip()?;
    let zoo = Zoo::start(&namespace, &[]).unwrap_or_else(|why| panic!("{why}"));
    Some((zoo, namespace))
}

#[test]
fn the_schema_in_the_documents_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema.json");
    let kept: Value = serde_json::from_slice(&fs::read(&path).expect("docs/schema.json")).expect("JSON");
    assert_eq!(kept, schema::schema(), "make it again: cargo run -- --json-schema > docs/schema.json");
}

#[test]
fn live_sockets_fit_the_schema_and_are_all_there() {
    let Some((_zoo, namespace)) = zoo() else { return };
    let lines = schema::of_lines();
    for (words, plain) in [
        ("-an", "-an"),
        ("-aneimop --tos --cgroup --inet-sockopt --tipcinfo -b", "-an"),
        ("-tuwxae", "-tuwxa"),
        ("-f netlink -aep", "-f netlink -a"),
        ("-tanTp", "-tan"),
        ("-an sport > :1000", "-an sport > :1000"),
    ] {
        let json = ours(&case(&format!("--jsonl {words}")).inside(&namespace));
        let sockets = schema::lines(&lines, &json.stdout, words);
        // Without details, a socket is one line.
        let text = ours(&case(&format!("-HO {plain}")).inside(&namespace));
        let rows = text.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
        // The program's own netlink sockets come and go.
        assert!(sockets.len().abs_diff(rows) <= 2 && rows > 0, "{words}: {} of {rows}", sockets.len());
    }
    let document = document(&case("-tane -j").inside(&namespace));
    for socket in document["sockets"].as_array().expect("a list") {
        for (path, value) in [("cookie", &socket["socket"]["cookie"]), ("id", &socket["cgroup"]["id"])] {
            assert!(value.is_string() || path == "id" && value.is_null(), "{path}: {socket}");
        }
    }
}

#[test]
fn sockets_of_other_families_fit_the_schema() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let kinds = "unix-stream unix-pending unix-seqpacket unix-names unix-control netlink-ports netlink-groups \
                 packet-options packet-rings packet-fanout mptcp-established";
    let kinds: Vec<&str> = kinds.split_ascii_whitespace().collect();
    let zoo = Zoo::start(&namespace, &kinds).unwrap_or_else(|why| panic!("{why}"));
    let json = ours(&case("--jsonl -aneimopb").inside(&namespace));
    let sockets = schema::lines(&schema::of_lines(), &json.stdout, "zoo");
    let has = |path: &str| sockets.iter().any(|socket| socket.pointer(path).is_some());
    assert!(has("/unix/pending/0") && has("/unix/vfs_inode") && has("/unix/abstract"));
    assert!(has("/netlink/joined/0") && has("/netlink/flags") && has("/mem/rmem_alloc"));
    for kind in ["packet-rings", "mptcp-established"] {
        let absent = zoo.absent().iter().any(|(absent, _)| absent == kind);
        let path = if kind == "packet-rings" { "/packet/rx_block_size" } else { "/mptcp/token" };
        assert!(absent || has(path), "{kind}");
    }
    // Every unix socket reports its owner, whatever the kernel calls the attribute.
    let unix = sockets.iter().filter(|socket| socket["socket"]["family"] == "unix");
    assert!(unix.clone().count() > 5 && unix.into_iter().all(|socket| socket["socket"]["uid"].is_u64()));
}

#[test]
fn the_text_of_tcp_can_be_made_from_json() {
    let Some((_zoo, namespace)) = zoo() else { return };
    // Both are made from one recorded reply, since live sockets change.
    let path = file("zoo", b"");
    let recorded = case("-tanie -D").inside(&namespace);
    let recorded = Case { args: [recorded.args, vec![path.clone().into()]].concat(), ..recorded };
    ours(&recorded);
    let mut bytes = fs::read(&path).expect("it was recorded");
    bytes = recording::cut_done(&bytes);
    fs::write(&path, bytes).expect("the test's own file");
    let with = |words: &str| ours(&case(words).inside(&namespace).env("TCPDIAG_FILE", &path));
    let json = with("-tanie --jsonl");
    let sockets = schema::lines(&schema::of_lines(), &json.stdout, "the zoo");
    for (words, info) in [("-tanHO", false), ("-taniHO", true)] {
        let text = String::from_utf8(with(words).stdout).expect("TCP has no odd bytes");
        let want: Vec<String> = text.lines().map(squeeze_queues).collect();
        let made: Vec<String> = sockets.iter().map(|socket| text::line(socket, info)).collect();
        assert!(made.len() > 20 && made.len() == want.len(), "{} of {}", made.len(), want.len());
        for (made, want) in made.iter().zip(&want) {
            assert_eq!(made, want, "{words}");
        }
    }
}

/// A line with single blanks, in which a queue below zero is `none`, because JSON omits it.
fn squeeze_queues(line: &str) -> String {
    let queue = |(at, word): (usize, &'_ str)| -> String {
        if matches!(at, 1 | 2) && word.starts_with('-') { "none".to_owned() } else { word.to_owned() }
    };
    line.split_ascii_whitespace().enumerate().map(queue).collect::<Vec<_>>().join(" ")
}

fn file(name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("json-{name}"));
    fs::write(&path, bytes).expect("the test's own file");
    path
}

#[test]
fn the_document_says_what_happened() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let document = document(&case("-tan -j").inside(&namespace));
    let header = &document["header"];
    assert_eq!(header["argv"], serde_json::json!(["-tan", "-j"]));
    assert_eq!(header["netns_inode"].as_u64(), namespace.inode().ok());
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("Linux");
    assert_eq!(header["kernel"], release.trim());
    assert_eq!(document["schema_version"], 1);
    assert_eq!(document["sockets"], serde_json::json!([]));
    // A damaged recording: the rows before the damage, and the reason why there are no more.
    let mut bytes = Msg::v4().to_bytes();
    let mut short = Msg::v4().to_bytes();
    short[0..4].copy_from_slice(&8_u32.to_ne_bytes());
    bytes.extend(short);
    let path = file("damaged", &bytes);
    let case = case("-tan -j").env("TCPDIAG_FILE", &path);
    let outcome = run(Command::new(OURS), &case).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(outcome.ended, Ended::Exit(255), "as without -j");
    let document: Value = serde_json::from_slice(&outcome.stdout).expect("it ends as JSON");
    assert_eq!(document["sockets"].as_array().map(Vec::len), Some(1));
    assert!(document["failures"][0].as_str().is_some_and(|why| why.contains("damaged recording")));
    assert_eq!(document["header"]["recording"], path.to_string_lossy().as_ref());
}

#[test]
fn text_that_is_no_utf8_is_whole() {
    let mut bytes = Msg::v4().with(attr::CONG, b"x\xff\x1by\0".to_vec()).to_bytes();
    recording::append_done(&mut bytes);
    let path = file("odd", &bytes);
    let json = ours(&case("-tani --jsonl").env("TCPDIAG_FILE", &path));
    let sockets = schema::lines(&schema::of_lines(), &json.stdout, "odd");
    assert_eq!(sockets[0]["tcp"]["congestion"], "x\u{fffd}\u{1b}y");
    assert_eq!(sockets[0]["tcp"]["congestion_hex"], "78ff1b79");
}

#[test]
fn the_three_forms_hold_the_same() {
    let mut bytes: Vec<u8> = (0..300_u16)
        .flat_map(|port| {
            let mut msg = Msg::v4().with(attr::INFO, vec![7; 280]);
            msg.sport = port;
            msg.to_bytes()
        })
        .collect();
    recording::append_done(&mut bytes);
    let path = file("forms", &bytes);
    let with = |words: &str| case(words).env("TCPDIAG_FILE", &path);
    let (compact, pretty) = (document(&with("-tani -j")), document(&with("-tani --pretty")));
    let lines = ours(&with("-tani --jsonl"));
    let lines = schema::lines(&schema::of_lines(), &lines.stdout, "forms");
    assert_eq!(compact["sockets"].as_array().map(Vec::len), Some(300));
    assert_eq!(compact["sockets"], pretty["sockets"]);
    assert_eq!(compact["sockets"].as_array(), Some(&lines));
}

#[test]
fn processes_are_whole() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let zoo = Zoo::start(&namespace, &["tcp-listen"]).unwrap_or_else(|why| panic!("{why}"));
    let document = document(&case("-tlnp -j").inside(&namespace));
    let holder = &document["sockets"][0]["socket"]["processes"][0];
    if holder["pid"] != zoo.pid() {
        skip!("the namespace's user may not look into the zoo");
    }
    assert_eq!(holder["comm"], "sockdiag-zoo");
    let cmdline = fs::read(format!("/proc/{}/cmdline", zoo.pid())).expect("it runs");
    let words: Vec<String> = cmdline
        .strip_suffix(b"\0")
        .expect("each word ends so")
        .split(|byte| *byte == 0)
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    assert_eq!(holder["cmdline"], serde_json::json!(words));
    assert!(holder["uid"].is_u64() && holder["fd"].is_u64());
}

#[test]
fn the_summary_is_there_too() {
    let sockstat = file("sockstat", b"sockets: used 100\nTCP: inuse 5 orphan 1 tw 2 alloc 10 mem 3\n");
    let with = |words: &str| case(words).env("PROC_NET_SOCKSTAT", &sockstat);
    let document = document(&with("-s -j"));
    assert_eq!(document["summary"]["used"], 100);
    assert_eq!(document["summary"]["tcp_time_wait"], 2);
    let lines = schema::lines(&schema::of_lines(), &ours(&with("-s --jsonl")).stdout, "-s");
    assert_eq!(lines[0]["summary"]["tcp_allocated"], 10);
    assert_eq!(lines.len(), 1);
}

/// An abbreviation of our options gets the reference's error.
#[test]
fn abbreviations_stay_the_reference_s() {
    let reference = match Reference::get() {
        Ok(reference) => reference,
        Err(why) => skip!("no reference: {why}"),
    };
    for word in [
        "--j", "--js", "--jso", "--json-", "--pre", "--col", "--cs", "--ts", "--sor", "--lim", "--gr", "--c",
        "--s", "--p", "--t", "--l", "--sm", "--u", "--ud", "--udpl", "--udplit",
    ] {
        let case = case(word);
        let theirs = run(reference.command(), &case).unwrap_or_else(|why| panic!("{why}"));
        let ours = run(Command::new(OURS), &case).unwrap_or_else(|why| panic!("{why}"));
        // A near miss gets a hint after the reference's error.
        let more: &[u8] = if word == "--udplit" { b"ss: did you mean --udplite?\n" } else { b"" };
        assert!(ours.stderr == [&*theirs.stderr, more].concat(), "{word}");
        assert_eq!(ours.ended, theirs.ended, "{word}");
    }
}

#[test]
fn options_that_cannot_go_together_are_refused() {
    for words in
        ["--jsonl --pretty", "-j --csv", "--tsv --jsonl", "-s -t --csv", "-E --sort uid", "-E --group-by uid"]
    {
        let outcome = run(Command::new(OURS), &case(words)).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(outcome.ended, Ended::Exit(255), "{words}");
        assert!(outcome.stdout.is_empty());
        let said = String::from_utf8_lossy(&outcome.stderr);
        assert!(said.starts_with("ss: ") && said.contains(" cannot be used together"), "{words}: {said}");
    }
}
