//! The tables of answers in the README and in docs/ss.md: every command in them runs and
//! prints something.
//!
//! Commands are read from the tables, so the documented commands are what is tested.  They run
//! in a namespace of the test, because one of them closes sockets.
//!
//! The README's table is the one in the help and in the manual page.

#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Output};
use std::time::Duration;

use sockdiag_options::{EXAMPLES, Example};
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::zoo::Zoo;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
const CHAPTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/ss.md");
const OURS: &str = env!("CARGO_BIN_EXE_ss");
/// An invalid filter on purpose, to show the error message.
const WRONG: &str = "rtt > 5'";

/// Description and command of each row of the table.
fn rows() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(CHAPTER).expect("the chapter");
    let (_, table) = text.split_once("| You want | Command | Output |").expect("the table");
    let (table, _) = table.split_once("\n## ").expect("the next section");
    let rows = table.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let (wanted, command) = (cells.next()?, cells.next()?);
        let command = command.strip_prefix("`ss ")?.split('`').next()?;
        Some((wanted.to_owned(), command.to_owned()))
    });
    rows.collect()
}

/// Runs the words after `ss` in a shell in the namespace.
fn typed(namespace: &Namespace, words: &str) -> Output {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec \"$SS\" {words}")]).env("SS", OURS);
    namespace.enter(&mut shell);
    shell.output().unwrap_or_else(|error| panic!("{words}: {error}"))
}

#[test]
fn the_readme_has_the_table_of_help() {
    let mut table = String::from("| You want | Command |\n| --- | --- |\n");
    for Example { wanted, command } in EXAMPLES {
        table.extend([format!("| {wanted} | `{command}` |\n")]);
    }
    let text = std::fs::read_to_string(README).expect("the README");
    assert!(text.contains(&format!("\n{table}\n")), "the README has to hold\n{table}");
}

/// A socket whose queue is full and that drops datagrams.
fn dropping() -> std::io::Result<(UdpSocket, UdpSocket)> {
    let (deaf, loud) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    for _ in 0..2000 {
        loud.send_to(&[0; 1400], deaf.local_addr()?)?;
    }
    Ok((deaf, loud))
}

/// A listener whose accept queue is full: it holds one connection more than the backlog.
fn full() -> std::io::Result<(std::os::fd::OwnedFd, Vec<TcpStream>)> {
    use rustix::net::{AddressFamily, SocketType, bind, listen, socket};
    let listener = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&listener, &"127.0.0.1:7001".parse::<SocketAddr>().expect("an address"))?;
    listen(&listener, 1)?;
    let address = "127.0.0.1:7001".parse().expect("an address");
    let waiting = (0..2).map(|_| TcpStream::connect_timeout(&address, Duration::from_secs(5)));
    let waiting = waiting.collect::<Result<_, _>>()?;
    Ok((listener, waiting))
}

/// What no test can set up in a namespace: a round trip of 100 ms, a program called nginx, a
/// process that root may not inspect.
const NOT_MADE: [&str; 3] = ["rtt > 100ms", "nginx", "socket.processes = 0"];

#[test]
fn every_command_of_help_finds_what_it_is_for() {
    let Some(namespace) = Namespace::or_skip() else { return };
    namespace
        .add_address(1, "10.99.0.1".parse().expect("an address"), 24)
        .unwrap_or_else(|why| panic!("{why}"));
    let kinds = ["tcp-listen-any", "tcp-established", "tcp-close-wait", "tcp-retransmit"];
    let _zoo = Zoo::start(&namespace, &kinds).unwrap_or_else(|why| panic!("{why}"));
    let made = namespace.with(|| {
        // Bound, but neither listening nor connected, as its own listing shows.
        Ok::<_, std::io::Error>((dropping()?, full()?, TcpListener::bind("127.0.0.1:8080")?))
    });
    let _made = made.unwrap_or_else(|why| panic!("{why}")).expect("sockets of the test");
    for Example { wanted, command } in EXAMPLES {
        let out = typed(&namespace, command.strip_prefix("ss ").expect("it runs ss"));
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{wanted}, {command}: {said}");
        if NOT_MADE.iter().any(|what| command.contains(what)) {
            assert!(!said.contains('^'), "{command}: {said}");
            continue;
        }
        let lines = String::from_utf8_lossy(&out.stdout).lines().count();
        assert!(lines > 1, "{wanted}, {command}: nothing was listed; {said}");
    }
}

#[test]
fn every_command_of_the_table_answers() {
    let rows = rows();
    assert!(rows.len() >= 10, "{} rows", rows.len());
    let Some(namespace) = Namespace::or_skip() else { return };
    let kinds = ["tcp-listen", "tcp-ports", "tcp-established", "tcp-close-wait"];
    let _zoo = Zoo::start(&namespace, &kinds).unwrap_or_else(|why| panic!("{why}"));
    // The command that closes sockets runs last.
    let kills = |command: &str| command.split(' ').any(|word| word.starts_with('-') && word.contains('K'));
    let (kills, others): (Vec<_>, Vec<_>) = rows.iter().partition(|(_, command)| kills(command));
    assert_eq!(kills.len(), 1);
    for (wanted, command) in others.into_iter().chain(kills) {
        let out = typed(&namespace, command);
        let said = String::from_utf8_lossy(&out.stderr);
        if command.ends_with(WRONG) {
            assert!(!out.status.success() && said.contains('^'), "{command}: {said}");
            continue;
        }
        assert!(out.status.success(), "{wanted}, {command}: {said}");
        let bare = ["H ", "--json", "--generate", " help"].iter().any(|word| command.contains(word));
        let lines = String::from_utf8_lossy(&out.stdout).lines().count();
        let header = usize::from(!bare && !command.ends_with('H'));
        assert!(lines > header, "{wanted}, {command}: nothing was listed; {said}");
    }
}
