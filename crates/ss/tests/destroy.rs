//! `-K` and `-E` in namespaces of the tests: which sockets are closed, which are left alone,
//! and what is reported.

#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sockdiag_testkit::compare::{Case, Ended, Outcome, run};
use sockdiag_testkit::holders::Holder;
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::reference::Reference;
use sockdiag_testkit::zoo::Zoo;
use sockdiag_testkit::{skip, until};

#[path = "destroy/refused.rs"]
mod refused;

const OURS: &str = env!("CARGO_BIN_EXE_ss");

fn outcome(program: Command, namespace: &Namespace, words: &str) -> Outcome {
    let case = Case::new(&words.split(' ').collect::<Vec<_>>()).inside(namespace);
    run(program, &case).unwrap_or_else(|why| panic!("{words}: {why}"))
}

fn ours(namespace: &Namespace, words: &str) -> Outcome {
    outcome(Command::new(OURS), namespace, words)
}

fn lines(bytes: &[u8]) -> Vec<String> {
    let mut lines: Vec<String> = String::from_utf8_lossy(bytes)
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    // The order of a table differs between namespaces.
    lines.sort();
    lines
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A condition on processes must not close a socket whose processes are hidden.
#[test]
fn a_socket_whose_processes_are_not_seen_is_left_alone() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    let _zoo = Zoo::start(&namespace, &["tcp-established"]).unwrap_or_else(|why| panic!("{why}"));
    let left = || lines(&ours(&namespace, "-tnH state established").stdout).len();
    let there = left();
    assert!(there >= 2, "{there}");
    // The zoo's processes are outside this pid namespace.
    let inside = |words: &[&str]| {
        let mut command = namespace.command("unshare");
        command.args(["--pid", "--fork", "--kill-child", "--mount-proc", OURS]).args(words);
        let out = command.stdin(Stdio::null()).output().expect("unshare");
        text(&out.stderr)
    };
    for filter in ["not comm = x", "not pid = 1", "not process.user = nobody"] {
        for how in ["-K", "--kill-dry-run"] {
            let said = inside(&["-tnH", how, "--explain", "state", "established", filter]);
            assert!(said.contains(&format!("{there} skipped (the filter")), "{how} {filter}: {said}");
            assert_eq!(left(), there, "{how} {filter}: {said}");
        }
    }
    let said = inside(&["-tnH", "-K", "state", "established", "sport > :0"]);
    assert_eq!(left(), 0, "{said}");
}

/// The connections of a listing, each as its two ends in a fixed order: closing one end closes
/// the other, and which comes first differs between namespaces.
fn ends(bytes: &[u8]) -> HashSet<(String, String)> {
    lines(bytes)
        .iter()
        .filter_map(|line| {
            let mut ends = line.split(' ').filter(|word| word.contains(':') && !word.contains("sk:"));
            let (a, b) = (ends.next()?.to_owned(), ends.next()?.to_owned());
            Some(if a < b { (a, b) } else { (b, a) })
        })
        .collect()
}

/// The kinds whose sockets look alike in every namespace.
const KINDS: &[&str] = &[
    "tcp-established",
    "tcp-established6",
    "tcp-idle",
    "tcp-close-wait",
    "tcp-fin-wait-2",
    "tcp-listen",
    "tcp-listen6",
    "tcp-syn-sent",
    "tcp-bound",
    "tcp-ports",
    "udp-connected",
    "udp-unconnected",
    "udp6-connected",
];

#[test]
fn the_same_sockets_are_closed_as_by_the_reference() {
    let reference = match Reference::get() {
        Ok(reference) => reference,
        Err(why) => skip!("no reference: {why}"),
    };
    for words in [
        "-tanHK state established",
        "-tanHK state connected",
        "-tanHK src [::1]",
        "-tanHK sport = :443",
        "-uanHK dst 127.0.0.1",
        "-tnHK state syn-sent",
        "-tanHK",
        "-tlnHK",
        "-tBnHK",
        "-tuanHK state established",
        "-tanHKe dport = :1",
        "-tanH --kill src [::1]",
    ] {
        let [Some(left), Some(right)] = [Namespace::or_skip(), Namespace::or_skip()] else { return };
        let start = |namespace| Zoo::start(namespace, KINDS).unwrap_or_else(|why| panic!("{why}"));
        let _zoos = std::thread::scope(|scope| {
            [&left, &right]
                .map(|namespace| scope.spawn(move || start(namespace)))
                .map(|started| started.join().expect("a zoo"))
        });
        let theirs = outcome(reference.command(), &left, words);
        let ours_said = ours(&right, words);
        assert_eq!(ends(&ours_said.stdout), ends(&theirs.stdout), "{words}: closed");
        assert_eq!((ours_said.stderr, ours_said.ended), (theirs.stderr, theirs.ended), "{words}");
        let rest = |namespace| lines(&outcome(reference.command(), namespace, "-tuanH").stdout);
        assert_eq!(rest(&right), rest(&left), "{words}: what is left");
    }
}

#[test]
fn ten_thousand_connections_are_closed_and_the_others_live() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let v4 = Holder::start(&namespace, 10_000, 0).unwrap_or_else(|why| panic!("{why}"));
    let v6 = Holder::start(&namespace, 500, 100).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!((v4.connections(), v6.connections()), (10_000, 500));
    let before = lines(&ours(&namespace, "-6tnH state established").stdout);
    assert_eq!(before.len(), 1000);
    let closed = ours(&namespace, "-tnHK state established src 127.0.0.0/8");
    assert_eq!(closed.ended, Ended::Exit(0));
    let named = ends(&closed.stdout);
    assert_eq!(named.len(), 10_000, "connections");
    assert!(lines(&ours(&namespace, "-4tnH state established").stdout).is_empty());
    assert_eq!(lines(&ours(&namespace, "-6tnH state established").stdout), before, "the others live");
}

#[test]
fn who_may_not_close_is_told_once_and_nothing_looks_closed() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let _zoo = Zoo::start(&namespace, &["tcp-idle", "udp-connected"]).unwrap_or_else(|why| panic!("{why}"));
    if Command::new("setpriv").arg("--version").output().is_err() {
        skip!("no setpriv");
    }
    let mut command = Command::new("setpriv");
    namespace.enter(&mut command);
    let program = command
        .args(["--bounding-set=-all", "--inh-caps=-all", "--reuid=65534", "--regid=65534", "--clear-groups"])
        .args([OURS, "-tuanHK"])
        .output()
        .expect("setpriv runs");
    let errors = String::from_utf8_lossy(&program.stderr).into_owned();
    if errors.contains("setpriv") {
        skip!("{}", errors.trim());
    }
    assert!(program.stdout.is_empty(), "{}", String::from_utf8_lossy(&program.stdout));
    assert_eq!(
        errors.lines().collect::<HashSet<_>>(),
        HashSet::from(["SOCK_DESTROY answers: Operation not permitted"])
    );
}

/// An `ss -E` in a namespace; stopped by its process id.
struct Follower(Child);

impl Follower {
    fn start(mut program: Command, namespace: &Namespace, words: &[&str]) -> Self {
        let already = namespace.followers().map_or(0, |followers| followers.len());
        namespace.enter(&mut program);
        let child =
            program.args(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut follower = Self(child);
        let joined = || namespace.followers().map_or(0, |followers| followers.len()) > already;
        assert!(until(|| joined() || follower.has_ended()), "it never joined the groups");
        follower
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    /// The first lines of its output, and its stderr.
    fn read(mut self, count: usize) -> (Vec<String>, String) {
        let pipe = BufReader::new(self.0.stdout.take().expect("piped"));
        let reader =
            std::thread::spawn(move || pipe.lines().map_while(Result::ok).take(count).collect::<Vec<_>>());
        let start = Instant::now();
        while !reader.is_finished() && start.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let lines = reader.join().expect("the reader ends with the pipe");
        let mut errors = String::new();
        let _ = self.0.stderr.take().expect("piped").read_to_string(&mut errors);
        (lines, errors)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn every_destroyed_socket_is_shown_once() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let holder = Holder::start(&namespace, 5_000, 20).unwrap_or_else(|why| panic!("{why}"));
    let live = lines(&ours(&namespace, "-tneH state established").stdout);
    assert_eq!(live.len(), 10_000);
    let follower = Follower::start(Command::new(OURS), &namespace, &["-tEHne"]);
    // A socket is destroyed when its last holder closes it.
    let closer = std::thread::spawn(move || drop(holder));
    let (shown, errors) = follower.read(10_000);
    closer.join().expect("it closed them");
    // Addresses are partly cleared by then, so the cookie identifies a socket.
    let cookie =
        |line: &String| line.split_whitespace().find(|word| word.starts_with("sk:")).map(str::to_owned);
    let distinct: HashSet<String> = shown.iter().filter_map(cookie).collect();
    if errors.is_empty() {
        assert_eq!((shown.len(), distinct.len()), (10_000, 10_000), "each once");
        let listed: HashSet<String> = live.iter().filter_map(cookie).collect();
        assert_eq!(distinct, listed);
    } else {
        assert!(errors.contains("overflowed"), "{errors}");
    }
}

#[test]
fn events_look_as_the_reference_shows_them() {
    let reference = match Reference::get() {
        Ok(reference) => reference,
        Err(why) => skip!("no reference: {why}"),
    };
    for words in [
        &["-tEn"][..],
        &["-tuE"],
        &["-EnHQ"],
        &["-tEneO"],
        &["--events", "--tcp", "--numeric"],
        &["-4tE", "sport", ">", ":1"],
    ] {
        let Some(namespace) = Namespace::or_skip() else { return };
        let zoo =
            Zoo::start(&namespace, &["tcp-idle", "udp-connected"]).unwrap_or_else(|why| panic!("{why}"));
        let left = Follower::start(reference.command(), &namespace, words);
        let right = Follower::start(Command::new(OURS), &namespace, words);
        drop(zoo);
        let (theirs, ours) = read_both(left, right);
        assert!(theirs.len() > 1, "{words:?}");
        assert_eq!(ours, theirs, "{words:?}");
    }
}

/// The output of two followers of the same events, once neither has printed anything for a
/// while and both have printed the same amount, or after half a minute.
fn read_both(left: Follower, right: Follower) -> (Vec<String>, Vec<String>) {
    const QUIET: Duration = Duration::from_millis(100);
    let [left, right] = [left, right].map(Reading::of);
    let (mut before, mut since) = (0, Instant::now());
    until(|| {
        let (theirs, ours) = (left.count(), right.count());
        if theirs + ours != before {
            (before, since) = (theirs + ours, Instant::now());
        }
        theirs == ours && theirs > 1 && since.elapsed() > QUIET
    });
    (left.stop(), right.stop())
}

/// A follower and its output so far.
struct Reading {
    follower: Follower,
    text: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Reading {
    fn of(mut follower: Follower) -> Self {
        let mut pipe = follower.0.stdout.take().expect("piped");
        let text = Arc::new(Mutex::new(Vec::new()));
        let read = Arc::clone(&text);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                read.lock().expect("no panic").extend_from_slice(&buffer[..length]);
            }
        });
        Self { follower, text, reader }
    }

    fn count(&self) -> usize {
        lines(&self.text.lock().expect("no panic")).len()
    }

    /// The lines in the order in which they were printed.
    fn stop(self) -> Vec<String> {
        drop(self.follower);
        self.reader.join().expect("the reader ends with the pipe");
        text(&self.text.lock().expect("no panic")).lines().map(str::to_owned).collect()
    }
}

#[test]
fn without_a_group_there_is_nothing_to_follow() {
    let Some(namespace) = Namespace::or_skip() else { return };
    for words in ["-ES", "-EM", "-Ex", "-E0"] {
        let said = ours(&namespace, words);
        assert_eq!(said.ended, Ended::Exit(255), "{words}");
        assert!(said.stdout.is_empty() && said.stderr.is_empty(), "{words}");
    }
}

#[test]
fn a_document_lists_what_was_closed_and_a_limit_bounds_it() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let _zoo = Zoo::start(&namespace, &["tcp-listen", "tcp-ports"]).unwrap_or_else(|why| panic!("{why}"));
    let listening = |outcome: Outcome| lines(&outcome.stdout).len();
    let before = listening(ours(&namespace, "-tlnH"));
    let document = ours(&namespace, "-tlnK --limit 1 -j");
    let document: serde_json::Value = serde_json::from_slice(&document.stdout).expect("JSON");
    let closed = document["sockets"].as_array().expect("a list").len();
    if document["notes"][0].as_str().is_some_and(|note| note.starts_with("SOCK_DESTROY answers")) {
        skip!("this kernel or this user cannot close sockets");
    }
    assert_eq!(closed, 1);
    assert_eq!(listening(ours(&namespace, "-tlnH")), before - 1);
    let refused = ours(&namespace, "-tlnK --sort recv_q");
    assert_eq!(refused.ended, Ended::Exit(255));
    assert_eq!(listening(ours(&namespace, "-tlnH")), before - 1, "nothing was closed");
}

#[test]
fn who_asks_is_told_what_became_of_the_sockets() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let kinds = ["tcp-established", "udp-connected", "unix-stream"];
    let _zoo = Zoo::start(&namespace, &kinds).unwrap_or_else(|why| panic!("{why}"));
    let said = |words: &str| {
        let outcome = ours(&namespace, words);
        (lines(&outcome.stdout).len(), text(&outcome.stderr))
    };
    let unix = said("-xanHK --explain");
    let wanted = format!("ss: 0 sockets closed, {} skipped (not an inet socket)\n", unix.0);
    assert!(unix.0 > 0);
    assert_eq!(unix.1, wanted);
    let (listed, told) = said("-tnHK --explain state established");
    if told.starts_with("SOCK_DESTROY answers") {
        skip!("this kernel or this user cannot close sockets");
    }
    // Closing one end of a connection closes the other.
    let gone = 2 - listed;
    let wanted = if gone == 0 { String::new() } else { format!(", {gone} already gone") };
    let plural = if listed == 1 { "" } else { "s" };
    assert_eq!(told, format!("ss: {listed} socket{plural} closed{wanted}\n"));
    assert_eq!(said("-tnHK --explain state established"), (0, "ss: 0 sockets closed\n".to_owned()));
    assert_eq!(said("-unHK").1, "", "a script sees what the reference says");
}

#[test]
fn events_are_lines_of_json() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let zoo = Zoo::start(&namespace, &["tcp-established"]).unwrap_or_else(|why| panic!("{why}"));
    let mut command = namespace.command(OURS);
    command.args(["-tnE", "--jsonl", "--limit", "1"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut watching = command.spawn().expect("ours runs");
    // It ends with its first event, which closing the zoo causes once it listens.
    let listens = || namespace.followers().is_ok_and(|followers| !followers.is_empty());
    assert!(until(|| listens() || !matches!(watching.try_wait(), Ok(None))), "it never joined the groups");
    drop(zoo);
    let mut line = String::new();
    let mut out = BufReader::new(watching.stdout.take().expect("a pipe"));
    out.read_line(&mut line).expect("a line");
    if line.is_empty() {
        watching.wait().expect("it ended");
        skip!("this user may not listen to the kernel");
    }
    let event: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(event["socket"]["netid"], "tcp");
    line.clear();
    assert_eq!(out.read_line(&mut line).expect("the end"), 0, "{line}");
    watching.wait().expect("it ended");
}

#[test]
fn what_is_closed_does_not_depend_on_the_output() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let full = || Stdio::from(std::fs::File::options().write(true).open("/dev/full").expect("/dev/full"));
    let unread = || Stdio::from(std::io::pipe().expect("a pipe").1);
    let forms =
        ["", "-j", "--pretty", "--jsonl", "--csv", "--tsv", "--columns local.port", "--group-by state"];
    for form in forms {
        for (is_full, stdout) in [(true, full()), (false, unread())] {
            let holder = Holder::start(&namespace, 1_000, 0).unwrap_or_else(|why| panic!("{why}"));
            let mut command = Command::new(OURS);
            namespace.enter(&mut command);
            let words = format!("-tnK {form} state established");
            let out = command.args(words.split_whitespace()).stdout(stdout).output().expect("ours runs");
            let said = String::from_utf8_lossy(&out.stderr).into_owned();
            let left = ours(&namespace, "-tnH state established");
            assert!(left.stdout.is_empty(), "{form} {is_full}: {said}{} left", lines(&left.stdout).len());
            // In text format SIGPIPE kills ours as it kills the reference, but only after all
            // are closed.
            let wanted = match (form, is_full) {
                ("", false) => None,
                ("", true) | (_, false) => Some(0),
                (_, true) => Some(1),
            };
            assert_eq!(out.status.code(), wanted, "{form} {is_full}: {said}");
            assert_eq!(
                said.contains("cannot write the output"),
                wanted == Some(1),
                "{form} {is_full}: {said}"
            );
            drop(holder);
        }
    }
}

#[test]
fn events_say_when_they_arrived() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let now = || {
        let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        u64::try_from(time.expect("after 1970").as_nanos()).expect("before the end of time")
    };
    let before = now();
    for words in [
        &["-tnEH", "--jsonl"][..],
        &["-tnEH", "--csv", "--columns", "event.time_unix_ns,event.time"],
        &["-tnEH", "--csv"],
        &["-tnEH", "--columns", "event.time,event.time_unix_ns", "event.time_unix_ns > 1000000"],
    ] {
        let zoo = Zoo::start(&namespace, &["tcp-established"]).unwrap_or_else(|why| panic!("{why}"));
        let follower = Follower::start(Command::new(OURS), &namespace, words);
        drop(zoo);
        let (lines, errors) = follower.read(1);
        let [line] = lines.as_slice() else { panic!("{words:?}: {errors}") };
        let text = if line.starts_with('{') {
            let json: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let at = json["event"]["time_unix_ns"]
                .as_str()
                .and_then(|digits| digits.parse().ok())
                .expect("digits");
            assert!((before..=now()).contains(&at), "{line}");
            json["event"]["time"].as_str().expect("a time").to_owned()
        } else {
            let is_time = |word: &&str| word.contains('T') && word.ends_with('Z');
            line.split([',', ' ']).find(is_time).unwrap_or_else(|| panic!("{line}")).to_owned()
        };
        // 2026-11-29T04:42:30.350123456Z
        assert_eq!((text.len(), text.get(4..5), text.get(19..20)), (30, Some("-"), Some(".")), "{line}");
    }
    // The duration of a connection is not reported, but its busy and silent times are.
    let zoo = Zoo::start(&namespace, &["tcp-established"]).unwrap_or_else(|why| panic!("{why}"));
    let columns =
        ["-tnEH", "--csv", "--columns", "event.time,busy_time_us,tcp.last_data_sent_ms,tcp.last_ack_recv_ms"];
    let follower = Follower::start(Command::new(OURS), &namespace, &columns);
    drop(zoo);
    let (lines, errors) = follower.read(1);
    let [line] = lines.as_slice() else { panic!("{errors}") };
    let numbers: Vec<Option<u64>> = line.split(',').skip(1).map(|cell| cell.parse().ok()).collect();
    assert!(numbers.len() == 3 && numbers.iter().all(Option::is_some), "{line}");
    // A listed socket is not an event.
    let _zoo = Zoo::start(&namespace, &["tcp-idle"]).unwrap_or_else(|why| panic!("{why}"));
    let listed = text(&ours(&namespace, "-tanH --columns event.time,local.port").stdout);
    assert!(listed.lines().all(|line| line.trim_start().starts_with("- ")), "{listed}");
    let asked = Follower::start(Command::new(OURS), &namespace, &["-tnE", "comm = x", "--explain"]);
    let mut asked = asked;
    std::thread::sleep(Duration::from_millis(300));
    let _ = asked.0.kill();
    let mut said = String::new();
    let _ = asked.0.stderr.take().expect("piped").read_to_string(&mut said);
    assert!(said.contains("a destroyed socket has no processes"), "{said}");
}
