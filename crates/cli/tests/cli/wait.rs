//! `sockdiag wait`: every exit status, the processes found, how soon, and at what cost.
//!
//! With `SOCKDIAG_WAIT_RACES=1000` and `SOCKDIAG_WAIT_SECONDS=60` the last two tests check the
//! promised limits (use a release build on an idle machine).

use std::io::ErrorKind;
use std::net::{TcpStream, UdpSocket};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};
use sockdiag_testkit::listener::Listener;
use sockdiag_testkit::measure;
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::skip;

use super::over_time::within;
use super::{OURS, code, run, text};

/// A `sockdiag wait` command in the namespace.
fn wait(namespace: &Namespace, words: &str) -> Command {
    let mut command = namespace.command(OURS);
    command.arg("wait").args(words.split(' ')).stdin(Stdio::null());
    command
}

fn ended(namespace: &Namespace, words: &str) -> Output {
    wait(namespace, words).output().unwrap_or_else(|error| panic!("{words}: {error}"))
}

fn started(namespace: &Namespace, words: &str) -> Child {
    let mut command = wait(namespace, words);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap_or_else(|error| panic!("{words}: {error}"))
}

fn listener(namespace: &Namespace) -> (Listener, u16) {
    within(namespace, || {
        let listener = Listener::bind("127.0.0.1:0").expect("lo is up");
        let port = listener.local_addr().expect("it is bound").port();
        (listener, port)
    })
}

fn connection(namespace: &Namespace, port: u16) -> TcpStream {
    within(namespace, || TcpStream::connect(("127.0.0.1", port)).expect("somebody listens"))
}

#[track_caller]
fn assert_ends(namespace: &Namespace, words: &str, status: i32) -> Output {
    let out = ended(namespace, words);
    assert_eq!(code(&out), status, "{words}: {}{}", text(&out.stdout), text(&out.stderr));
    out
}

#[test]
fn it_says_who_listens() {
    let Some(namespace) = super::namespace() else { return };
    let (listener, port) = listener(&namespace);
    let out = assert_ends(&namespace, &format!("sport = :{port}"), 0);
    let said = text(&out.stdout);
    assert!(said.contains("  processes\n") && said.contains(&port.to_string()), "{said}");
    let csv = assert_ends(&namespace, &format!("--csv --columns local.addr,local.port sport = :{port}"), 0);
    assert_eq!(text(&csv.stdout), format!("local.addr,local.port\n127.0.0.1,{port}\n"));
    assert!(assert_ends(&namespace, &format!("-q sport = :{port}"), 0).stdout.is_empty());
    drop(listener);
    let out = assert_ends(&namespace, &format!("--timeout 0 sport = :{port}"), 1);
    assert!(text(&out.stderr).contains("no socket listens"), "{}", text(&out.stderr));
    // A child of known name and descriptor: the output must name both.
    let mut server = namespace.command("python3");
    server.args(["-c", "import socket,sys;s=socket.socket();s.bind(('127.0.0.1',0));s.listen();print(s.getsockname()[1],flush=True);sys.stdin.read()"]);
    let Ok(mut server) = server.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() else {
        skip!("no python3")
    };
    let mut line = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(server.stdout.take().expect("a pipe")),
        &mut line,
    )
    .expect("a port");
    let out = assert_ends(&namespace, &format!("sport = :{}", line.trim()), 0);
    assert!(text(&out.stdout).contains(&format!("{}/3/python3", server.id())), "{}", text(&out.stdout));
    drop(server.stdin.take());
    let _ = server.wait();
}

#[test]
fn conditions_hold_when_they_should() {
    let Some(namespace) = super::namespace() else { return };
    let (listener, port) = listener(&namespace);
    let of = |what: &str| format!("--timeout 0 {what} sport = :{port}");
    assert_ends(&namespace, &of("--established 1"), 1);
    assert_ends(&namespace, &of("--drained"), 0);
    assert_ends(&namespace, &of("--gone"), 1);
    let first = connection(&namespace, port);
    let accepted = listener.accept().expect("it came").0;
    assert_ends(&namespace, &of("--established 1"), 0);
    let out = assert_ends(&namespace, &of("--established 2"), 1);
    assert!(text(&out.stderr).contains("1 of 2 connections"), "{}", text(&out.stderr));
    assert_ends(&namespace, &of("--drained"), 1);
    // Events wake the waits, each long before its timeout.
    let second = started(&namespace, &format!("--established 2 --timeout 20s sport = :{port}"));
    std::thread::sleep(Duration::from_millis(300));
    let other = connection(&namespace, port);
    assert_eq!(code(&second.wait_with_output().expect("it ends")), 0);
    let drained = started(&namespace, &format!("--drained --timeout 20s sport = :{port}"));
    let gone = started(&namespace, &format!("--gone --timeout 20s sport = :{port}"));
    std::thread::sleep(Duration::from_millis(300));
    let began = Instant::now();
    // The client closes first, so TIME-WAIT is on the client's side, not on this port.
    drop((first, other));
    drop(accepted);
    drop(listener);
    for child in [drained, gone] {
        let out = child.wait_with_output().expect("it ends");
        assert_eq!((code(&out), out.stdout.len()), (0, 0), "{}", text(&out.stderr));
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn other_tables_can_be_waited_for() {
    let Some(namespace) = super::namespace() else { return };
    let socket = within(&namespace, || UdpSocket::bind("127.0.0.1:0").expect("lo is up"));
    let port = socket.local_addr().expect("it is bound").port();
    assert_ends(&namespace, &format!("--timeout 0 sport = :{port}"), 1);
    assert_ends(&namespace, &format!("--timeout 0 -u sport = :{port}"), 0);
    assert_ends(&namespace, &format!("--timeout 0 -tu sport = :{port}"), 0);
    assert_ends(&namespace, &format!("--timeout 0 -u --gone sport = :{port}"), 1);
    let path = std::env::temp_dir().join(format!("sockdiag-wait-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let unix = within(&namespace, || std::os::unix::net::UnixListener::bind(&path).expect("a new name"));
    assert_ends(&namespace, &format!("--timeout 0 -x src {}", path.display()), 0);
    drop(unix);
    let _ = std::fs::remove_file(&path);
    assert_ends(&namespace, &format!("--timeout 0 -x src {}", path.display()), 1);
}

#[test]
fn more_than_one_service_is_a_status_of_its_own() {
    let Some(namespace) = super::namespace() else { return };
    let (one, two) = (listener(&namespace), listener(&namespace));
    let both = format!("sport = :{} or sport = :{}", one.1, two.1);
    let out = assert_ends(&namespace, &both, 4);
    let said = text(&out.stdout);
    assert!(said.contains(&one.1.to_string()) && said.contains(&two.1.to_string()), "{said}");
    assert_ends(&namespace, &format!("--any {both}"), 0);
    // Listeners on one port at several addresses are one service.
    let again = within(&namespace, || Listener::bind(("127.0.0.2", one.1)).expect("lo has all of 127/8"));
    assert_ends(&namespace, &format!("sport = :{}", one.1), 0);
    drop(again);
}

#[test]
fn what_makes_no_sense_is_said_at_once() {
    for (words, said) in [
        (&["wait"][..], "needs a filter"),
        (&["wait", "sport", "="], "^"),
        (&["wait", "nonsense", "=", "1"], "no field \"nonsense\""),
        (&["wait", "--established", "0", "sport", "=", ":1"], "0"),
        (&["wait", "--gone", "--drained", "sport", "=", ":1"], "--gone"),
        (&["wait", "--timeout", "soon", "sport", "=", ":1"], "500ms"),
        (&["wait", "state", "established", "sport", "=", ":1"], "--gone"),
        (&["wait", "--columns", "nothing", "sport", "=", ":1"], "nothing"),
        (&["wait", "rate.bytes_sent_per_s", ">", "1"], "top"),
        (&["wait", "--columns", "rate.bytes_sent_per_s", "sport", "=", ":1"], "top"),
        (&["wait", "-A", "nothing", "sport", "=", ":1"], "nothing"),
    ] {
        let out = run(words);
        assert_eq!(code(&out), 2, "{words:?}: {}", text(&out.stderr));
        assert!(text(&out.stderr).contains(said), "{words:?}: {}", text(&out.stderr));
    }
}

#[test]
fn a_command_takes_its_place() {
    let Some(namespace) = super::namespace() else { return };
    let (_listener, port) = listener(&namespace);
    let run = |command: &[&str]| {
        let mut wait = wait(&namespace, &format!("sport = :{port} --"));
        wait.args(command).output().expect("it runs")
    };
    let out = run(&["sh", "-c", "echo out; exit 7"]);
    assert_eq!((code(&out), text(&out.stdout).as_str()), (7, "out\n"));
    assert!(text(&out.stderr).contains(&port.to_string()), "{}", text(&out.stderr));
    assert_eq!(code(&run(&["/no/such/program"])), 127);
    assert_eq!(code(&run(&["/dev/null"])), 126);
    // The command does not run when the time is up.
    let out = ended(&namespace, &format!("--timeout 0 sport = :{} -- echo run", port ^ 1));
    assert_eq!((code(&out), out.stdout.len()), (1, 0));
}

#[test]
fn what_cannot_be_seen_is_a_status_of_its_own() {
    let out = run(&["wait", "--netns", "no-such-namespace", "sport", "=", ":1"]);
    assert_eq!(code(&out), 3, "{}", text(&out.stderr));
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    let words = format!("wait --netns pid:{} --timeout 20s sport = :1", namespace.pid());
    let mut children: Vec<Child> =
        [words.clone(), words.replace("wait", "wait --gone").replace("= :1", ">= :0")]
            .iter()
            .map(|words| {
                let mut command = Command::new(OURS);
                command.args(words.split(' ')).stdout(Stdio::piped()).stderr(Stdio::piped());
                command.spawn().expect("it runs")
            })
            .collect();
    // The condition `gone` holds before the namespace ends.
    let gone = children.pop().expect("two").wait_with_output().expect("it ends");
    assert_eq!(code(&gone), 0, "{}", text(&gone.stderr));
    std::thread::sleep(Duration::from_millis(500));
    drop(namespace);
    let out = children.pop().expect("one").wait_with_output().expect("it ends");
    assert_eq!(code(&out), 3, "{}", text(&out.stderr));
    assert!(text(&out.stderr).contains("network namespace"), "{}", text(&out.stderr));
}

#[test]
fn without_privilege_it_sees_sockets_and_says_what_it_cannot_see() {
    if !rustix::process::geteuid().is_root() {
        skip!("it is run without privilege anyway");
    }
    let Some(namespace) = super::namespace() else { return };
    let (_listener, port) = listener(&namespace);
    // The user nobody may lack access to the directory where root builds the program.
    let program = std::env::temp_dir().join(format!("sockdiag-nobody-{}", std::process::id()));
    std::fs::copy(OURS, &program).expect("a copy");
    let mut command = namespace.command("setpriv");
    command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).arg(&program);
    let out = command.args(["wait", &format!("sport = :{port}")]).output();
    let _ = std::fs::remove_file(&program);
    let out = out.expect("it runs");
    assert_eq!(code(&out), 0, "{}", text(&out.stderr));
    assert!(text(&out.stdout).contains(&port.to_string()));
    assert!(text(&out.stderr).contains("cannot be inspected"), "{}", text(&out.stderr));
}

#[test]
fn an_output_that_fails_or_stands_still_is_said_in_time() {
    let Some(namespace) = super::namespace() else { return };
    let (_listener, port) = listener(&namespace);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("it is there");
    let out = wait(&namespace, &format!("sport = :{port}")).stdout(full).output().expect("it runs");
    assert_eq!(code(&out), 5, "{}", text(&out.stderr));
    assert!(text(&out.stderr).contains("No space left"), "{}", text(&out.stderr));
    // A full pipe whose reader does not read.
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).expect("a pipe");
    while rustix::io::write(&writer, &[0; 4096]).is_ok() {}
    let began = Instant::now();
    let mut command = wait(&namespace, &format!("--timeout 1s sport = :{port}"));
    let out = command.stdout(writer.try_clone().expect("a copy")).output().expect("it runs");
    assert_eq!(code(&out), 5, "{}", text(&out.stderr));
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    // If the reader went away, that is success.
    drop(reader);
    let mut command = wait(&namespace, &format!("sport = :{port}"));
    let out = command.stdout(writer).output().expect("it runs");
    assert_eq!((code(&out), text(&out.stderr).as_str()), (0, ""));
}

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn who_binds_and_listens_is_seen_soon_and_never_connected_to() {
    let Some(namespace) = super::namespace() else { return };
    let races = number("SOCKDIAG_WAIT_RACES");
    let mut took: Vec<Duration> = Vec::new();
    for race in 0..races.unwrap_or(25) {
        // A bound socket, so that the port is known; it does not listen yet.
        let (socket, port) = within(&namespace, || {
            let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None);
            let socket = socket.expect("a socket");
            bind(&socket, &"127.0.0.1:0".parse::<std::net::SocketAddrV4>().expect("an address"))
                .expect("free");
            let listener = std::net::TcpListener::from(socket);
            let port = listener.local_addr().expect("it is bound").port();
            (listener, port)
        });
        let child = started(&namespace, &format!("--timeout 20s sport = :{port}"));
        std::thread::sleep(Duration::from_millis(20 + race * 37 % 60));
        listen(&socket, 5).expect("it is bound");
        let began = Instant::now();
        let out = child.wait_with_output().expect("it ends");
        took.push(began.elapsed());
        assert_eq!(code(&out), 0, "{}", text(&out.stderr));
        assert!(text(&out.stdout).contains(&port.to_string()));
        socket.set_nonblocking(true).expect("an open socket");
        assert_eq!(socket.accept().map(|_| ()).map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
    }
    took.sort_unstable();
    let at = |share: usize| took.get((took.len() * share / 100).min(took.len() - 1)).copied();
    println!("{} races: median {:?}, p99 {:?}", took.len(), at(50), at(99));
    let limit = if races.is_some() { Duration::from_millis(20) } else { Duration::from_secs(2) };
    assert!(at(99) <= Some(limit), "p99 {:?}", at(99));
}

#[test]
fn to_wait_takes_less_than_half_a_per_cent_of_a_core() {
    let Some(namespace) = super::namespace() else { return };
    let full = number("SOCKDIAG_WAIT_SECONDS");
    let seconds = full.unwrap_or(4);
    for words in ["sport = :9", "--gone sport = :9 or dport = :1", "comm = nobody"] {
        // A socket that stays, so that --gone keeps waiting.
        let _stays = within(&namespace, || UdpSocket::bind("127.0.0.1:9").expect("it is free"));
        let words = words.replace("--gone", "--gone -u");
        let mut command = wait(&namespace, &format!("--timeout {seconds}s {words}"));
        let cost = measure::run_any(&mut command).unwrap_or_else(|why| panic!("{why}"));
        // For a short wait, the credit spent at the start counts in full.
        let ahead = if full.is_some() { 0 } else { 150 };
        let limit = Duration::from_millis(seconds * 5 + ahead);
        println!("{words}: {:?} in {seconds} s", cost.cpu());
        assert!(cost.cpu() <= limit, "{words}: {:?} in {seconds} s", cost.cpu());
    }
}
