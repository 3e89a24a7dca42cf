//! Many polls need no more descriptors, threads and memory than a few.
//!
//! The test binary runs again for each case, so that no other test is counted.

use std::collections::VecDeque;
use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use rustix::process::{Resource, Rlimit, setrlimit};
use sockdiag::{Session, Table, namespaces};
use sockdiag_testkit::until;

use sockdiag_testkit::netns::Namespace;

use super::{Holder, addr, all, connection, listener, poll, world};

/// The number of polls; `SOCKDIAG_POLLS` overrides it.
fn polls() -> usize {
    let asked = std::env::var("SOCKDIAG_POLLS").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(2000)
}

/// The resources of this process: descriptors, threads, and resident memory in KiB.
#[derive(Clone, Copy, Debug)]
struct Had {
    descriptors: usize,
    threads: usize,
    resident_kib: usize,
}

impl Had {
    fn now() -> Self {
        let count = |path| fs::read_dir(path).expect("/proc").count();
        let status = fs::read_to_string("/proc/self/status").expect("/proc");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
        Self {
            descriptors: count("/proc/self/fd"),
            threads: count("/proc/self/task"),
            resident_kib: resident.trim().trim_end_matches(" kB").parse().expect("a number"),
        }
    }
}

/// Polls many times, with a change before each poll, and compares the resources after a
/// quarter of the polls with those at the end, each time in the same situation.
fn stays_flat(name: &str, session: &mut Session, mut change: impl FnMut(usize), mut settle: impl FnMut()) {
    let polls = polls();
    let mut after = Vec::new();
    for round in 0..polls {
        change(round);
        let rows = poll(session).0.len();
        assert!((1..100).contains(&rows), "{rows} rows");
        if round + 1 == polls / 4 || round + 1 == polls {
            settle();
            assert!(!poll(session).0.is_empty());
            // The kernel lists a thread for a moment after it was joined.
            std::thread::sleep(Duration::from_millis(100));
            after.push(Had::now());
        }
    }
    let [early, late] = after[..] else { panic!("{after:?}") };
    eprintln!("figures: {name}: {polls} polls: {early:?}, then {late:?}");
    assert_eq!((late.descriptors, late.threads), (early.descriptors, early.threads));
    assert!(late.resident_kib <= early.resident_kib + 2048, "{early:?} {late:?}");
}

#[test]
fn many_polls_need_no_more_than_a_few() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    world::run(&namespace, "flat::while_sockets_and_processes_change", false);
    world::run(&namespace, "flat::while_namespaces_come_and_go", true);
}

#[test]
#[ignore = "run by many_polls_need_no_more_than_a_few"]
fn while_sockets_and_processes_change() {
    if !world::is_own() {
        return;
    }
    let question = all(&[Table::Tcp, Table::Udp]).with_processes();
    let question = question.reading(["socket.processes.cmdline", "local.interface_name", "local.service"]);
    let mut session = question.open().expect("a question");
    let passive = listener();
    let (mut streams, mut holders) = (VecDeque::new(), VecDeque::new());
    let change = |round: usize| {
        let stream = TcpStream::connect(addr(&passive)).expect("loopback");
        // It ends at once, without TIME-WAIT, so that the number of rows stays the same.
        set_socket_linger(&stream, Some(Duration::ZERO)).expect("a socket");
        streams.push_back(stream);
        drop(passive.accept());
        if streams.len() > 20 {
            streams.pop_front();
        }
        if round.is_multiple_of(25) {
            holders.push_back(Holder::start(passive.try_clone().expect("a copy"), "read x"));
            if holders.len() > 3 {
                holders.pop_front();
            }
        }
    };
    stays_flat("sockets and processes", &mut session, change, || {});
}

/// A process in its own network namespace, with a socket there.
fn away() -> Child {
    let mut command = Command::new("unshare");
    command.args(["--net", "cat"]).stdin(Stdio::piped()).stdout(Stdio::null());
    command.spawn().expect("unshare is there")
}

fn end(mut child: Child) {
    drop(child.stdin.take());
    child.wait().expect("a child");
}

#[test]
#[ignore = "run by many_polls_need_no_more_than_a_few"]
fn while_namespaces_come_and_go() {
    if !world::is_own() {
        return;
    }
    let question = all(&[Table::Tcp, Table::Udp]).with_processes().netns("all");
    let question = question.reading(["socket.processes.cmdline", "local.interface_name", "netns.name"]);
    let mut session = question.open().expect("a question");
    let (passive, _client, _server) = connection();
    let _holder = Holder::start(passive, "read x");
    let children = std::cell::RefCell::new(VecDeque::new());
    let change = |round: usize| {
        if round.is_multiple_of(10) {
            let mut children = children.borrow_mut();
            children.push_back(away());
            if children.len() > 4 {
                children.pop_front().into_iter().for_each(end);
            }
        }
    };
    let settle = || children.borrow_mut().drain(..).for_each(end);
    stays_flat("namespaces", &mut session, change, settle);
}

#[test]
fn there_may_be_more_namespaces_than_descriptors() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    world::run(&namespace, "flat::while_descriptors_are_few", true);
}

#[test]
#[ignore = "run by there_may_be_more_namespaces_than_descriptors"]
fn while_descriptors_are_few() {
    const NAMESPACES: usize = 70;
    if !world::is_own() {
        return;
    }
    let (passive, _client, _server) = connection();
    let mut many = Command::new("sh");
    let script = format!("for i in $(seq {NAMESPACES}); do unshare --net sleep 300 & done; wait");
    // They end with the first process of this pid namespace.
    let mut many = many.args(["-c", &script]).stdin(Stdio::null()).spawn().expect("a shell");
    assert!(until(|| namespaces::all().list.len() == NAMESPACES + 1));
    let few = Rlimit { current: Some(40), maximum: Some(40) };
    setrlimit(Resource::Nofile, few).expect("fewer are always allowed");
    let question = all(&[Table::Tcp]).reading(["local.interface_name", "netns.name"]).netns("all");
    let filtered = question.clone().filter("dev lo or sport > :0");
    for question in [question.clone(), filtered.clone(), filtered.with_peers(), question.with_processes()] {
        let mut session = question.open().expect("a question");
        for _ in 0..3 {
            let (rows, outcome) = poll(&mut session);
            let notices = outcome.notices.iter().filter(|notice| !world::is_said(notice));
            assert!(rows.len() == 3 && notices.count() == 0, "{rows:?} {outcome:?}");
        }
    }
    drop(passive);
    many.kill().expect("a child");
    many.wait().expect("a child");
}
