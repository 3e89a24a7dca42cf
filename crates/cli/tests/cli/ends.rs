//! How sockets end, as `sockdiag watch` reports it.
//!
//! All sockets here open and close between two samples, so the kernel's report of the end, and
//! what remains afterwards, is the only evidence.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::Value;
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::until;

use super::over_time::{connection, ended as output, objects, started, within};
use super::screen::Tmux;
use super::{OURS, code, text};

/// The ends that `watch` reports while `work` runs in the namespace.
pub(super) fn ends(namespace: &Namespace, words: &str, work: impl FnOnce() + Send) -> Vec<Value> {
    let child = started(namespace, &format!("watch --jsonl --interval 10s --for 1s {words}"));
    assert!(until(|| namespace.followers().is_ok_and(|followers| followers.len() == 1)));
    // Gives the first look time to finish.
    std::thread::sleep(Duration::from_millis(300));
    within(namespace, work);
    let out = child.wait_with_output().expect("it ends");
    let mut rows = objects(&text(&out.stdout));
    rows.retain(|row| row["change"] == "closed");
    rows
}

fn ended(row: &Value) -> &str {
    row["socket"]["ended"].as_str().unwrap_or_else(|| panic!("{row}"))
}

/// A connection over which data went both ways.
fn used() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("lo is up");
    let mut client = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
    let mut server = listener.accept().expect("it came").0;
    client.write_all(&[1; 86]).expect("connected");
    server.read_exact(&mut [0; 86]).expect("it was sent");
    server.write_all(&[1; 10]).expect("connected");
    client.read_exact(&mut [0; 10]).expect("it was sent");
    (client, server)
}

#[test]
fn who_closed_first_is_told_of_what_no_look_saw() {
    let Some(namespace) = super::namespace() else { return };
    for client_first in [true, false] {
        let mut port = 0;
        let rows = ends(&namespace, "", || {
            let (client, server) = used();
            port = client.local_addr().expect("bound").port();
            let (first, mut second) = if client_first { (client, server) } else { (server, client) };
            drop(first);
            assert_eq!(second.read(&mut [0; 9]).expect("its end"), 0);
        });
        let of = |is_client: bool| {
            let row = rows.iter().find(|row| (row["local"]["port"] == port) == is_client);
            ended(row.unwrap_or_else(|| panic!("{rows:?}"))).to_owned()
        };
        let want = if client_first {
            ["closed-by-us", "closed-by-peer"]
        } else {
            ["closed-by-peer", "closed-by-us"]
        };
        assert_eq!((rows.len(), [of(true), of(false)]), (2, want.map(str::to_owned)), "{rows:?}");
        // The FIN counts as a byte, and so does the client's SYN.
        let sent = rows.iter().find(|row| row["local"]["port"] == port).expect("found above");
        assert_eq!((&sent["tcp"]["bytes_sent"], &sent["tcp"]["bytes_acked"]), (&86.into(), &88.into()));
    }
}

#[test]
fn a_refused_connection_has_failed() {
    let Some(namespace) = super::namespace() else { return };
    let rows = ends(&namespace, "", || {
        // A port that the kernel gives to nobody else while it is free.
        let free = TcpListener::bind("127.0.0.1:0").expect("lo is up").local_addr().expect("bound");
        TcpStream::connect(free).expect_err("nobody listens");
        // A non-blocking connect: its socket keeps details that the blocking one loses by
        // failing.
        TcpStream::connect_timeout(&free, Duration::from_secs(5)).expect_err("nobody listens");
    });
    assert_eq!(rows.iter().map(ended).collect::<Vec<_>>(), ["failed"; 2], "{rows:?}");
}

/// The states that select which openings are shown also select which ends are shown.
#[test]
fn what_would_not_have_opened_does_not_end() {
    let Some(namespace) = super::namespace() else { return };
    let work = || {
        drop(TcpListener::bind("127.0.0.1:0").expect("lo is up"));
        drop(used());
        // The listener of the connection ends, too.
    };
    for (words, sockets) in [("", 2), ("-l", 2), ("-a", 4), ("state listening", 2), ("state established", 2)]
    {
        let rows = ends(&namespace, words, work);
        assert_eq!(rows.len(), sockets, "{words}: {rows:?}");
        if sockets == 2 {
            let listen = matches!(words, "-l" | "state listening");
            assert!(rows.iter().all(|row| (row["remote"]["port"] == 0) == listen), "{words}: {rows:?}");
        }
    }
}

/// A socket whose processes are unknown does not match a condition on processes; watch says
/// so.
#[test]
fn a_condition_on_processes_says_what_it_leaves_out() {
    let Some(namespace) = super::namespace() else { return };
    for (words, said) in [("comm = sockdiag-none", "excludes them"), ("sport > 1", "(shown as -)")] {
        let child = started(&namespace, &format!("watch --interval 10s --for 1s {words}"));
        assert!(until(|| namespace.followers().is_ok_and(|followers| followers.len() == 1)));
        std::thread::sleep(Duration::from_millis(300));
        // The first end triggers a look, which may still see one or the other alive.
        within(&namespace, || (0..30).for_each(|_| drop(used())));
        let out = child.wait_with_output().expect("it ends");
        let stderr = text(&out.stderr);
        assert!(stderr.contains(said) && stderr.lines().count() == 1, "{words}: {stderr}");
        assert_eq!(out.stdout.is_empty(), words.starts_with("comm"), "{words}");
    }
}

#[test]
fn a_frame_counts_what_came_and_went() {
    let Some(namespace) = super::namespace() else { return };
    let child = started(&namespace, "top --iterations 2 --interval 800ms");
    assert!(until(|| namespace.followers().is_ok_and(|followers| followers.len() == 1)));
    std::thread::sleep(Duration::from_millis(300));
    within(&namespace, || drop(used()));
    let out = text(&child.wait_with_output().expect("it ends").stdout);
    assert!(out.contains(" frame 0: 0 sockets; rates start with frame 1\n"), "{out}");
    assert!(out.contains(" frame 1: 0 sockets, 2 opened, 2 closed (2 did both)\n"), "{out}");
    let (_listener, _client, _server) = connection(&namespace);
    let one = text(&output(&namespace, "top --once --columns state dport > 40000").stdout);
    assert!(one.contains(" frame 0: ") && !one.contains("rates"), "{one}");
    let queues = text(&output(&namespace, "top --once -l --preset queues").stdout);
    assert!(queues.contains(" frame 0: 1 socket\n"), "{queues}");
    let once = text(&output(&namespace, "top --once -l").stdout);
    assert!(once.contains(" frame 0: 1 socket; rates need two frames\n"), "{once}");
}

/// Text output has units for people; the other formats have plain numbers.
#[test]
fn amounts_have_units_in_text_alone() {
    let Some(namespace) = super::namespace() else { return };
    let (_listener, mut client, mut server) = connection(&namespace);
    client.write_all(&[1; 5_000]).expect("connected");
    server.read_exact(&mut [0; 5_000]).expect("it was sent");
    let port = client.local_addr().expect("bound").port();
    let shown = |form: &str| {
        let words = format!("top --once {form} --columns bytes_sent,rtt_us sport = :{port}");
        text(&output(&namespace, words.replace("  ", " ").trim()).stdout)
    };
    let aligned = shown("--limit 9");
    assert!(aligned.contains("5kB") && aligned.trim_end().ends_with('s'), "{aligned}");
    let csv = shown("--csv");
    let row = csv.lines().nth(1).expect("a row").to_owned();
    let last = row.rsplit(',').next().expect("a cell");
    assert!(row.contains(",5000,") && last.parse::<u32>().is_ok(), "{csv}");
    assert_eq!(objects(&shown("--jsonl"))[0]["tcp"]["bytes_sent"], 5_000);
    let group = format!("top --once --preset latency --group-by state sport = :{port}");
    let group = text(&output(&namespace, &group).stdout);
    assert!(group.contains("max(rtt)  max(queue)"), "{group}");
}

/// Interrupted on a terminal, watch prints what it saw.
#[test]
fn a_watch_that_is_stopped_says_what_it_saw() {
    let Some(namespace) = super::namespace() else { return };
    let Some(tmux) = Tmux::start(&namespace, "watch", (140, 20), &format!("{OURS} watch")) else { return };
    assert!(until(|| namespace.followers().is_ok_and(|followers| followers.len() == 1)));
    std::thread::sleep(Duration::from_millis(500));
    let (_listener, client, server) = connection(&namespace);
    tmux.shows(" + tcp");
    drop((client, server));
    tmux.shows(" - tcp");
    tmux.signal(rustix::process::Signal::INT);
    let screen = tmux.shows("ENDED 130");
    assert!(screen.contains("2 sockets opened, 2 closed, "), "{screen}");
}

#[test]
fn what_cannot_go_together_is_refused_and_lists_are_given() {
    for (words, said) in [
        ("top --once --preset loss --columns rtt", "cannot be used with"),
        ("top --once --csv --tsv", "cannot be used with"),
        ("wait --csv --tsv sport = :1", "cannot be used with"),
        ("wait 8080", "try: sport = :8080"),
        ("wait :9001", "try: sport = :9001"),
        ("top --once 8080", "try: '( sport = :8080 or dport = :8080 )'"),
        ("top --once comm ~ web", "try: 'comm = *web*'"),
        ("watch state estab", "try: state established"),
        ("top --once share.network > half", "such as 0.05 or 5%"),
        ("top --interval 0", "more than 0"),
    ] {
        let out = super::run(&words.split(' ').collect::<Vec<_>>());
        assert_eq!((code(&out), out.stdout.len()), (2, 0), "{words}");
        assert!(text(&out.stderr).contains(said), "{words}: {}", text(&out.stderr));
    }
    for (words, listed) in [
        ("top --columns help", "tcp.rtt_us "),
        ("top --sort help", "tcp.rtt_us "),
        ("top --group-by help", "tcp.rtt_us "),
        ("watch --fields help", "tcp.rtt_us "),
        ("wait --columns help", "tcp.rtt_us "),
        ("top -f help", "inet6\n"),
        ("watch -A help", "udp\n"),
        ("help", "sockdiag help COMMAND"),
        ("help watch", "Examples:"),
        ("top --help", "Exit status:"),
        ("generate man filter", "SS-FILTER"),
        ("generate man fields", "SS-FIELDS"),
    ] {
        let out = super::run(&words.split(' ').collect::<Vec<_>>());
        assert_eq!((code(&out), text(&out.stderr).as_str()), (0, ""), "{words}");
        assert!(text(&out.stdout).contains(listed), "{words}: {}", text(&out.stdout));
    }
    // A share may also be given in percent.
    assert_eq!(code(&super::run(&["top", "--once", "share.network > 50%"])), 0);
}
