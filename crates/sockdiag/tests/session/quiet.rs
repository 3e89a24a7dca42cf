//! The system calls of later polls: they open nothing that the first one opened.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use sockdiag_testkit::bins;
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::skip;
use sockdiag_testkit::zoo::Zoo;

use super::{Holder, listener, within};

/// Calls that open, start or load something, or search for it.
const CALLS: &str = "socket,bpf,openat,openat2,open,getdents64,getdents,clone,clone3,fork,vfork,socketpair,\
                     pipe2,eventfd2,setns,write";
const POLLS: usize = 6;

/// The lines of strace between the first and the last poll, one list per poll; `None` if
/// strace is not installed.
fn traced(namespace: &Namespace, words: &str) -> Option<Vec<Vec<String>>> {
    static TRACES: AtomicU32 = AtomicU32::new(0);
    if Command::new("strace").arg("-V").stdin(Stdio::null()).output().is_err() {
        skip::report("there is no strace");
        return None;
    }
    let example = bins::example("poll").unwrap_or_else(|why| panic!("{why}"));
    // Tests run in parallel, so file names must differ.
    let number = TRACES.fetch_add(1, Ordering::Relaxed);
    let name = format!("sockdiag-{}-{number}.strace", std::process::id());
    let file: PathBuf = std::env::temp_dir().join(name);
    let mut command = namespace.command("strace");
    command.arg("-fqq").arg("-e").arg(format!("trace=?{}", CALLS.replace(',', ",?"))).arg("-o").arg(&file);
    command.arg(example).arg(POLLS.to_string()).args(words.split_whitespace()).stdin(Stdio::null());
    let out = command.output().expect("strace is there");
    let lines = fs::read_to_string(&file).unwrap_or_default();
    let _ = fs::remove_file(&file);
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    if !out.status.success() && stdout.is_empty() && stderr.contains("ptrace") {
        skip::report(format_args!("strace may not trace here: {stderr}"));
        return None;
    }
    assert!(out.status.success() && stderr.is_empty(), "{words}: {stderr}");
    assert_eq!(stdout.lines().count(), POLLS, "{words}: {stdout}");
    assert!(stdout.lines().all(|line| !line.contains(": 0 rows")), "{words}: {stdout}");
    // The program prints a line at the end of each poll.
    let mut polls = vec![Vec::new()];
    for line in lines.lines() {
        if line.contains("write(1, \"poll ") {
            polls.push(Vec::new());
        } else if !line.contains(" write(") {
            polls.last_mut().expect("one at least").push(line.to_owned());
        }
    }
    assert_eq!(polls.len(), POLLS + 1, "{lines}");
    let (first, last) = (polls.remove(0), polls.pop());
    // Otherwise the trace would show nothing at all.
    assert!(first.iter().any(|line| line.contains("socket(AF_NETLINK")), "{first:?}");
    drop(last);
    Some(polls)
}

/// The calls of a poll with one of these names.
fn calls<'p>(poll: &'p [String], names: &[&str]) -> Vec<&'p String> {
    let is_one = |line: &&String| names.iter().any(|name| line.contains(&format!(" {name}(")));
    poll.iter().filter(is_one).collect()
}

#[test]
fn later_polls_open_nothing() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    let _zoo =
        Zoo::start(&namespace, &["tcp-established", "tcp-listen6"]).unwrap_or_else(|why| panic!("{why}"));
    let mut filters =
        vec!["", "sport > :0", "not dport = :1", "rtt > 0 or sport > :0", "cgroup / or sport > :0"];
    filters.push("dev lo or sport > :0");
    for words in filters {
        let Some(polls) = traced(&namespace, words) else { return };
        for poll in polls {
            assert!(poll.is_empty(), "{words}: {poll:#?}");
        }
    }
}

#[test]
fn later_polls_load_no_program_and_pass_over_the_files_once() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    let held = within(&namespace, listener);
    let _holder = Holder::start(held, "read x");
    for words in ["--processes", "--processes sport > :0"] {
        let Some(polls) = traced(&namespace, words) else { return };
        for poll in polls {
            assert!(
                calls(&poll, &["socket", "clone", "clone3", "fork", "vfork", "setns"]).is_empty(),
                "{poll:#?}"
            );
            let bpf = calls(&poll, &["bpf"]);
            assert!(bpf.len() == 1 && bpf[0].contains("bpf(BPF_ITER_CREATE"), "{words}: {bpf:#?}");
            assert!(calls(&poll, &["getdents", "getdents64"]).is_empty(), "{poll:#?}");
        }
    }
}

#[test]
fn later_polls_over_namespaces_make_no_sockets_and_no_threads() {
    let Some((home, _)) = Namespace::to_look_into() else { return };
    let Some((one, first)) = Namespace::to_look_into() else { return };
    let Some((two, second)) = Namespace::to_look_into() else { return };
    let _held = [&one, &two].map(|namespace| within(namespace, listener));
    // `--dumps`: if the machine has very many sockets, a walk would be loaded.
    for words in [format!("--dumps --netns {first},{second}"), format!("--netns {second} --processes")] {
        let Some(polls) = traced(&home, &words) else { return };
        for poll in polls {
            assert!(calls(&poll, &["socket", "clone", "clone3", "fork", "setns"]).is_empty(), "{poll:#?}");
            // Namespaces were requested by name, so /proc need not be listed.  (Listing a
            // directory opens it with O_NONBLOCK.)
            let is_walk = |call: &String| call.contains("\"/proc\", O_RDONLY|O_NONBLOCK");
            assert!(!poll.iter().any(is_walk), "{poll:#?}");
            let bpf = calls(&poll, &["bpf"]);
            let passes = usize::from(words.contains("--processes"));
            assert!(bpf.len() == passes && bpf.iter().all(|call| call.contains("ITER_CREATE")), "{bpf:#?}");
        }
    }
}
