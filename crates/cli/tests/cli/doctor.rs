//! `sockdiag doctor`: what it reports for healthy sockets and for some with problems.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use sockdiag_testkit::netns::Namespace;

use super::over_time::{objects, within};
use super::screen::Tmux;
use super::{OURS, code, run, text};

/// Runs the doctor in a namespace.
fn asked(namespace: &Namespace, words: &[&str]) -> Output {
    let mut command = namespace.command(OURS);
    command.arg("doctor").args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.output().unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

/// The JSON document of a run, in schema version 1.
fn document(out: &Output) -> Value {
    let value: Value = serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", text(&out.stdout), text(&out.stderr)));
    assert_eq!(value["schema_version"], 1);
    value
}

fn found<'v>(document: &'v Value, id: &str) -> Option<&'v Value> {
    document["findings"].as_array()?.iter().find(|finding| finding["id"] == id)
}

#[test]
fn a_namespace_where_nothing_happens_is_well() {
    let Some(namespace) = super::namespace() else { return };
    let _listener = within(&namespace, || TcpListener::bind("127.0.0.1:0").expect("lo is up"));
    let out = asked(&namespace, &["--for", "300ms"]);
    let said = text(&out.stdout);
    assert_eq!(code(&out), 0, "{said}{}", text(&out.stderr));
    assert!(said.contains("1 network namespace,"), "{said}");
    let document = document(&asked(&namespace, &["--for", "300ms", "--json"]));
    let severe =
        document["findings"].as_array().expect("a list").iter().filter(|of| of["severity"] != "info");
    assert_eq!(severe.count(), 0, "{document}");
    assert!(document["looked_at"]["sockets"].as_u64().is_some_and(|sockets| sockets >= 1), "{document}");
}

/// How many sockets are judged.
fn judged(namespace: &Namespace, filter: &[&str]) -> Option<u64> {
    let out = asked(namespace, &[&["--for", "300ms", "--json", "-t"], filter].concat());
    document(&out)["looked_at"]["sockets"].as_u64()
}

#[test]
fn words_about_states_are_conditions_too() {
    let Some(namespace) = super::namespace() else { return };
    let _held = within(&namespace, || {
        let listener = TcpListener::bind("127.0.0.1:0").expect("lo is up");
        let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
        (listener.accept().expect("it came"), client, listener)
    });
    for (filter, count) in [
        (&[][..], 3),
        (&["state", "listening"], 1),
        (&["exclude", "listening"], 2),
        (&["state", "close-wait"], 0),
        (&["state", "established", "dport > 0"], 2),
    ] {
        assert_eq!(judged(&namespace, filter), Some(count), "{filter:?}");
    }
}

/// A listener that accepts nobody and whose queue is full, and clients that keep connecting.
pub(super) struct FullQueue {
    pub(super) addr: SocketAddr,
    listener: Option<TcpListener>,
    _first: Vec<TcpStream>,
    /// Threads that wait for the answer to a SYN that the kernel drops.
    more: Vec<JoinHandle<std::io::Result<TcpStream>>>,
}

impl FullQueue {
    pub(super) fn new(namespace: &Namespace) -> Self {
        within(namespace, || {
            let listener = TcpListener::bind("127.0.0.1:0").expect("lo is up");
            rustix::net::listen(&listener, 2).expect("it listens already");
            let addr = listener.local_addr().expect("bound");
            let first = (0..3).map(|_| TcpStream::connect(addr).expect("there is room")).collect();
            let connect = move || TcpStream::connect_timeout(&addr, Duration::from_secs(20));
            let more = (0..4).map(|_| std::thread::spawn(connect)).collect();
            Self { addr, listener: Some(listener), _first: first, more }
        })
    }
}

impl Drop for FullQueue {
    fn drop(&mut self) {
        // From now on the kernel refuses SYNs, so the threads end.
        self.listener = None;
        for thread in self.more.drain(..) {
            let _ = thread.join();
        }
    }
}

#[test]
fn a_full_accept_queue_is_critical_and_has_an_owner() {
    let Some(namespace) = super::namespace() else { return };
    let queue = FullQueue::new(&namespace);
    let out = asked(&namespace, &["--for", "3s", "--json"]);
    let document = document(&out);
    let finding = found(&document, "accept-queue-overflow").unwrap_or_else(|| panic!("{document}"));
    assert_eq!((code(&out), &finding["severity"]), (2, &Value::from("critical")), "{document}");
    assert_eq!(document["findings"][0]["id"], "accept-queue-overflow", "{document}");
    assert_eq!(finding["subject"]["fields"]["local.port"], queue.addr.port(), "{finding}");
    let pid = std::process::id().to_string();
    let holders = finding["subject"]["holders"].as_array().expect("a list");
    assert!(
        holders.iter().any(|holder| holder.as_str().is_some_and(|text| text.ends_with(&pid))),
        "{finding}"
    );
    let explained = finding["explains"].as_array().expect("a list");
    assert!(explained.iter().any(|of| of["id"] == "listen-drops"), "{finding}");
    let out = asked(&namespace, &["--for", "500ms"]);
    assert!(text(&out.stdout).contains("The accept queue of 127.0.0.1"), "{}", text(&out.stdout));
    // This filter excludes the listener, so there is no finding.
    let out = asked(&namespace, &["--for", "300ms", "--json", "sport = :9"]);
    assert!(found(&self::document(&out), "accept-queue-overflow").is_none());
}

#[test]
fn top_shows_what_was_found_of_each_socket() {
    let Some(namespace) = super::namespace() else { return };
    let queue = FullQueue::new(&namespace);
    let _well = within(&namespace, || TcpListener::bind("127.0.0.1:0").expect("lo is up"));
    let words = "top -l --iterations 5 --interval 1s --jsonl --sort -doctor.severity \
                 --columns local.port,doctor.severity,doctor.finding,doctor.findings";
    let out = namespace.command(OURS).args(words.split_whitespace()).stdin(Stdio::null()).output();
    let out = out.expect("it runs");
    assert_eq!(code(&out), 0, "{}", text(&out.stderr));
    let rows = objects(&text(&out.stdout));
    let of = |frame: u64| rows.iter().filter(move |row| row["frame"] == frame);
    assert!(of(0).count() == 2 && of(0).all(|row| row["doctor"].is_null()), "{rows:?}");
    let last: Vec<&Value> = of(4).collect();
    assert_eq!((last.len(), &last[0]["local"]["port"]), (2, &Value::from(queue.addr.port())), "{rows:?}");
    assert_eq!(
        (&last[0]["doctor"]["severity"], &last[0]["doctor"]["finding"]),
        (&Value::from(3), &Value::from("accept-queue-overflow")),
        "{rows:?}"
    );
    assert!(last[1]["doctor"].is_null(), "{rows:?}");
    // Findings are computed after filtering, and only top can show them.
    for (words, why) in [
        (
            "top --once doctor.severity = 3",
            "cannot be used in a filter, since it is computed after filtering",
        ),
        ("watch --fields doctor.finding", "only sockdiag top can show the doctor's findings"),
    ] {
        let out = namespace.command(OURS).args(words.split(' ')).stdin(Stdio::null()).output();
        let out = out.expect("it runs");
        assert!(code(&out) == 2 && text(&out.stderr).contains(why), "{words}: {}", text(&out.stderr));
    }
}

/// The same on a terminal: the preset shows findings, and a socket's details say more.
#[test]
fn the_screen_shows_what_was_found() {
    let Some(namespace) = super::namespace() else { return };
    let _queue = FullQueue::new(&namespace);
    let words = format!("{OURS} top -l --preset findings");
    let Some(tmux) = Tmux::start(&namespace, "findings", (120, 40), &words) else { return };
    tmux.shows("accept-queue-overflow");
    tmux.keys(&["Enter"]);
    tmux.shows("critical: accept-queue-overflow");
    tmux.shows("next");
    tmux.keys(&["Escape", "1", "Enter"]);
    // The details show findings also with a preset that has none.
    tmux.shows("critical: accept-queue-overflow");
}

#[test]
fn datagrams_that_are_dropped_are_blamed_on_their_socket() {
    let Some(namespace) = super::namespace() else { return };
    let (receiver, sender) = within(&namespace, || {
        let receiver = UdpSocket::bind("127.0.0.1:0").expect("lo is up");
        rustix::net::sockopt::set_socket_recv_buffer_size(&receiver, 4096).expect("it may be small");
        let sender = UdpSocket::bind("127.0.0.1:0").expect("lo is up");
        sender.connect(receiver.local_addr().expect("bound")).expect("it is there");
        (receiver, sender)
    });
    let sends = std::thread::spawn(move || {
        for _ in 0..100 {
            let _ = sender.send(&[7; 1000]);
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let out = asked(&namespace, &["--for", "1500ms", "--json", "-u"]);
    let document = document(&out);
    let finding = found(&document, "udp-receive-drops").unwrap_or_else(|| panic!("{document}"));
    let port = receiver.local_addr().expect("bound").port();
    assert_eq!(
        (code(&out), &finding["subject"]["fields"]["local.port"]),
        (2, &Value::from(port)),
        "{finding}"
    );
    let left = document["not_judged"].as_array().expect("a list");
    assert!(left.iter().any(|of| of["id"] == "retransmits"), "TCP was not asked for: {document}");
    sends.join().expect("it ends");
}

#[test]
fn rules_are_listed_and_explained() {
    let list = run(&["doctor", "--list"]);
    let lines = text(&list.stdout);
    assert_eq!(code(&list), 0);
    assert!(lines.lines().count() >= 70, "{lines}");
    for line in lines.lines() {
        let id = line.split(' ').next().expect("a word");
        let out = run(&["doctor", "--explain", id]);
        let explained = text(&out.stdout);
        assert!(code(&out) == 0 && explained.starts_with(id) && explained.contains("Thresholds:"), "{id}");
    }
    assert!(text(&run(&["doctor", "--explain", "A1"]).stdout).contains("accept-queue-overflow (A1)"));
    let out = run(&["doctor", "--explain", "accept-queue-overfow"]);
    let said = text(&out.stderr);
    assert!(code(&out) == 3 && said.contains("the most similar id is accept-queue-overflow"), "{said}");
    let schema: Value =
        serde_json::from_slice(&run(&["doctor", "--json-schema"]).stdout).expect("it is JSON");
    assert_eq!(schema["properties"]["schema_version"]["const"], 1);
}

#[test]
fn rules_of_a_user_are_judged_and_wrong_ones_refused_with_the_place() {
    let own = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../doctor/examples/rules.toml");
    let own = own.to_str().expect("text");
    let list = text(&run(&["doctor", "--rules", own, "--list"]).stdout);
    assert!(list.lines().any(|line| line.starts_with("telnet ")), "{list}");
    if let Some(namespace) = super::namespace() {
        let _telnet = within(&namespace, || TcpListener::bind("127.0.0.1:23").expect("lo is up"));
        let out = asked(&namespace, &["--for", "200ms", "--json", "--rules", own]);
        let document = document(&out);
        assert!(found(&document, "telnet").is_some() && code(&out) == 2, "{document}");
    }
    let wrong = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("wrong-rules.toml");
    let rules = std::fs::read_to_string(own).expect("it is there").replace("min_rtt > 5ms", "min_rrt > 5ms");
    std::fs::File::create(&wrong)
        .and_then(|mut file| file.write_all(rules.as_bytes()))
        .expect("it is written");
    let wrong = wrong.to_str().expect("text");
    let out = run(&["doctor", "--rules", wrong]);
    let said = text(&out.stderr);
    assert!(code(&out) == 3 && out.stdout.is_empty(), "{said}");
    for part in [&format!("{wrong}:9: rule database-far-away: when:")[..], "min_rrt", "^^^^^^^ expected"] {
        assert!(said.contains(part), "{said}\nhas no {part}");
    }
    assert_eq!(code(&run(&["doctor", "--rules", "/nowhere"])), 3);
}

/// The doctor exits with 3 for invalid arguments; top and wait exit with 2 for fields that
/// only the doctor computes.
#[test]
fn who_asks_wrongly_has_seen_nothing() {
    for words in [&["doctor", "--fro", "1s"][..], &["doctor", "sport", "=", "="], &["doctor", "--for", "0"]] {
        let out = run(words);
        assert_eq!((code(&out), out.stdout.len()), (3, 0), "{words:?}: {}", text(&out.stderr));
    }
    for words in
        [&["top", "--once", "--columns", "net.ListenOverflows_delta"][..], &["wait", "peer.present = true"]]
    {
        let out = run(words);
        assert!(code(&out) == 2 && text(&out.stderr).contains("doctor"), "{words:?}: {}", text(&out.stderr));
    }
}

#[test]
fn without_privilege_it_says_what_it_could_not_see() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("lo is up");
    let SocketAddr::V4(addr) = listener.local_addr().expect("bound") else { return };
    let filter = format!("sport = :{}", addr.port());
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        OURS,
        "doctor",
        "--for",
        "200ms",
        &filter,
    ]);
    let Ok(out) = command.output() else { return };
    if !out.status.success() && text(&out.stderr).contains("setpriv") {
        return;
    }
    let said = text(&out.stdout);
    assert!(said.contains("Not seen:"), "{said}{}", text(&out.stderr));
}

const BEGIN: &str = "<!-- begin: sockdiag generate diagnoses -->\n";
const END: &str = "<!-- end -->\n";

/// `SOCKDIAG_WRITE_GOLDENS=1` writes the page again.
#[test]
fn the_page_of_diagnoses_is_current() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/diagnoses.md");
    let page = std::fs::read_to_string(&path).expect("docs/diagnoses.md is there");
    let out = run(&["generate", "diagnoses"]);
    assert_eq!(code(&out), 0, "{}", text(&out.stderr));
    let (before, rest) = page.split_once(BEGIN).expect("where it begins");
    let (there, after) = rest.split_once(END).expect("where it ends");
    let now = text(&out.stdout);
    if std::env::var_os("SOCKDIAG_WRITE_GOLDENS").is_some() {
        std::fs::write(&path, [before, BEGIN, &now, END, after].concat()).expect("it is written");
        return;
    }
    assert!(there == now, "docs/diagnoses.md is not what `sockdiag generate diagnoses` prints");
}
