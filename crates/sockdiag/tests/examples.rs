//! Runs every example on sockets in a namespace made for it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use sockdiag_testkit::bins;
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::skip::{self, Privilege};
use sockdiag_testkit::zoo::Zoo;

const EXAMPLES: [&str; 5] =
    ["top_talkers", "leak_watcher", "listening_audit", "wait_for_port", "kill_by_filter"];

/// The output of an example, and how it ended.
#[derive(Debug)]
struct Said {
    out: String,
    err: String,
    code: Option<i32>,
}

fn run(namespace: &Namespace, example: &str, words: &str) -> Said {
    let path = bins::example(example).unwrap_or_else(|why| panic!("{why}"));
    let out = namespace.command(path).args(words.split_whitespace()).stdin(Stdio::null()).output();
    let out = out.unwrap_or_else(|error| panic!("{example}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { out: text(&out.stdout), err: text(&out.stderr), code: out.status.code() }
}

fn zoo(namespace: &Namespace, kinds: &[&str]) -> Zoo {
    Zoo::start(namespace, kinds).unwrap_or_else(|why| panic!("{why}"))
}

#[test]
fn bad_arguments_are_refused_without_a_panic() {
    let Some(namespace) = Namespace::or_skip() else { return };
    for example in EXAMPLES {
        for words in
            ["--no-such-option", "--seconds", "--seconds -1", "--top x", "--timeout 1e99", "dst 300.1.1.1"]
        {
            let said = run(&namespace, example, words);
            assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{example} {words}: {said:?}");
            assert!(said.err.starts_with(&format!("{example}: ")), "{example} {words}: {said:?}");
        }
    }
    for (example, words) in [
        ("wait_for_port", ""),
        ("wait_for_port", "0"),
        ("wait_for_port", "65536"),
        ("listening_audit", "--allow everything"),
        ("kill_by_filter", ""),
        ("kill_by_filter", "--really"),
        ("leak_watcher", "--limit -1"),
        ("leak_watcher", "--seconds 1e300"),
    ] {
        let said = run(&namespace, example, words);
        assert_eq!(said.code, Some(2), "{example} {words}: {said:?}");
        assert!(said.err.contains(&format!("usage: {example}")), "{example} {words}: {said:?}");
    }
}

#[test]
fn top_talkers_finds_the_busiest_connection() {
    let Some(namespace) = Namespace::or_skip() else { return };
    if namespace.privilege() != Privilege::Root {
        skip::report("only root opens sockets in a namespace as it is");
        return;
    }
    let _zoo = zoo(&namespace, &["tcp-established"]);
    let made = namespace.with(|| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let client = TcpStream::connect(listener.local_addr()?)?;
        std::io::Result::Ok((client, listener.accept()?.0))
    });
    let (mut client, mut server) = made.unwrap_or_else(|why| panic!("{why}")).expect("loopback");
    let local = client.local_addr().expect("it is bound");
    let remote = client.peer_addr().expect("it is connected");
    let writer = thread::spawn(move || {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(20) && client.write_all(&[7; 10_000]).is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
    });
    let reader = server.try_clone().expect("a copy");
    let drain = thread::spawn(move || {
        let mut buffer = vec![0; 65536];
        while server.read(&mut buffer).is_ok_and(|length| length > 0) {}
    });
    let said = run(&namespace, "top_talkers", "--seconds 0.5 --top 2");
    let by_process = run(&namespace, "top_talkers", "--seconds 0.1 --by-process");
    let filtered = run(&namespace, "top_talkers", &format!("--seconds 0 dport = :{}", remote.port()));
    reader.shutdown(std::net::Shutdown::Both).expect("an end");
    writer.join().expect("no panic");
    drain.join().expect("no panic");
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(lines.len(), 3, "{said:?}");
    let ends = [format!("{local} -> {remote}"), format!("{remote} -> {local}")];
    for line in &lines[1..] {
        assert!(ends.iter().any(|ends| line.contains(ends.as_str())), "{line}");
        let rates: Vec<f64> = line.split_whitespace().take(2).filter_map(|word| word.parse().ok()).collect();
        assert!(rates.iter().sum::<f64>() > 10.0, "kB/s: {line}");
    }
    assert!(by_process.out.contains("sockdiag-zoo["), "{by_process:?}");
    assert_eq!(filtered.out.lines().count(), 2, "{filtered:?}");
}

#[test]
fn leak_watcher_tells_what_stays_in_close_wait() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let said = run(&namespace, "leak_watcher", "--seconds 600");
    assert_eq!((said.code, said.out.as_str()), (Some(0), "0 sockets, 0 allowed\n"), "at once: {said:?}");
    let zoo = zoo(&namespace, &["tcp-close-wait", "tcp-established"]);
    let said = run(&namespace, "leak_watcher", "--seconds 0.2");
    assert_eq!((said.code, said.err.as_str()), (Some(1), ""), "{said:?}");
    let head = format!("sockdiag-zoo[{}]: 1 in CLOSE-WAIT for more than 200ms\n", zoo.pid());
    assert!(said.out.starts_with(&head), "{said:?}");
    let made = zoo.made().iter().find(|made| made.kind == "tcp-close-wait").expect("it was made");
    assert!(said.out.contains(&format!("    {} -> ", made.local)), "{made:?}: {said:?}");
    assert!(said.out.ends_with("1 sockets, 0 allowed\n"), "{said:?}");
    assert_eq!(run(&namespace, "leak_watcher", "--seconds 0.2 --limit 1").code, Some(0));
}

#[test]
fn listening_audit_tells_from_how_far_a_listener_is_reached() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let zoo = zoo(&namespace, &["tcp-listen", "tcp-listen6", "udp-unconnected"]);
    let said = run(&namespace, "listening_audit", "");
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    let holder = format!("sockdiag-zoo[{}] user ", zoo.pid());
    for made in zoo.made() {
        let line = said.out.lines().find(|line| line.split_whitespace().any(|word| word == made.local));
        let line = line.unwrap_or_else(|| panic!("{made:?}: {said:?}"));
        assert!(line.contains(&holder), "{line}");
        let loopback = made.local.starts_with("127.") || made.local.starts_with("[::1]");
        assert_eq!(line.starts_with("loopback "), loopback, "{line}");
    }
    let reached = said.out.lines().filter(|line| !line.starts_with("loopback ")).count();
    let far = run(&namespace, "listening_audit", "--allow loopback");
    assert_eq!((far.out.lines().count(), far.code), (reached, Some(i32::from(reached > 0))), "{far:?}");
    let any = run(&namespace, "listening_audit", "--allow any");
    assert_eq!((any.out.as_str(), any.code), ("", Some(0)));
}

#[test]
fn wait_for_port_ends_with_the_listener_or_the_time() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let begun = Instant::now();
    let said = run(&namespace, "wait_for_port", "8089 --timeout 0.3");
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:?}");
    assert!(said.err.contains("nobody listens on port 8089"), "{said:?}");
    assert!(begun.elapsed() >= Duration::from_millis(300));
    let waiting = |words: &str| {
        let path = bins::example("wait_for_port").unwrap_or_else(|why| panic!("{why}"));
        let mut command: Command = namespace.command(path);
        command.args(words.split(' ')).stdin(Stdio::null()).stdout(Stdio::piped());
        command.spawn().expect("it starts")
    };
    let kinds = ["tcp-listen", "udp-unconnected"];
    let held = zoo(&namespace, &kinds);
    let port = |kind: &str| held.made().iter().find(|made| made.kind == kind).map(|made| made.local_port());
    let (tcp, udp) = (port(kinds[0]).expect("made"), port(kinds[1]).expect("made"));
    drop(held);
    let [mut early, mut datagrams] =
        [format!("{tcp} --timeout 60"), format!("{udp} --udp --timeout 60")].map(|words| waiting(&words));
    thread::sleep(Duration::from_millis(300));
    assert!(early.try_wait().expect("a child").is_none(), "nobody listens yet");
    let again = zoo(&namespace, &kinds);
    for (child, port) in [(&mut early, tcp), (&mut datagrams, udp)] {
        let mut out = String::new();
        child.stdout.take().expect("a pipe").read_to_string(&mut out).expect("text");
        assert!(child.wait().expect("a child").success(), "{out}");
        assert!(out.ends_with(&format!(":{port} sockdiag-zoo[{}]\n", again.pid())), "{out}");
    }
}

#[test]
fn kill_by_filter_only_shows_unless_it_is_told_to_destroy() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let zoo = zoo(&namespace, &["tcp-established", "tcp-idle"]);
    let idle: Vec<_> = zoo.made().iter().filter(|made| made.kind == "tcp-idle").collect();
    let filter = format!("sport = :{}", idle[0].local_port());
    let dry = run(&namespace, "kill_by_filter", &filter);
    assert_eq!((dry.code, dry.err.as_str()), (Some(0), ""), "{dry:?}");
    let all = run(&namespace, "kill_by_filter", "sport >= :0").out;
    let shown: Vec<&str> = dry.out.lines().filter(|line| line.starts_with("would be destroyed")).collect();
    assert_eq!(shown.len(), 1, "{dry:?}");
    assert!(shown[0].contains(&format!("sockdiag-zoo[{}]", zoo.pid())), "{dry:?}");
    assert!(dry.out.ends_with("1 sockets; say --really to destroy them\n"), "{dry:?}");
    assert_eq!(run(&namespace, "kill_by_filter", "sport >= :0").out, all, "a dry run destroys nothing");
    let done = run(&namespace, "kill_by_filter", &format!("--really {filter}"));
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{done:?}");
    let want = shown[0].replacen("would be destroyed  ", "destroyed           ", 1);
    assert_eq!(done.out, format!("{want}\n1 sockets\n"));
    assert_eq!(run(&namespace, "kill_by_filter", &filter).out, "0 sockets; say --really to destroy them\n");
    let rest = run(&namespace, "kill_by_filter", "sport >= :0").out;
    assert!(rest.lines().count() < all.lines().count(), "{rest}");
    let lives = zoo.made().iter().filter(|made| made.kind == "tcp-established" && made.peer != "-");
    assert!(lives.clone().count() > 0);
    for made in lives {
        assert!(rest.contains(&made.local), "{made:?} lives: {rest}");
    }
}
