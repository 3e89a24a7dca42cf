//! Dumps that the kernel reports as interrupted (`NLM_F_DUMP_INTR`).
//!
//! The reference shows the rows it got and prints a warning.  Ours repeats the dump as long as
//! no row has been shown, and prints the warning if that did not help.

#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

use std::path::Path;
use std::process::Command;

use sockdiag_testkit::compare::{Case, Ended, run};
use sockdiag_testkit::reference::Reference;
use sockdiag_testkit::replies::{self, Talk, done, interrupted};
use sockdiag_testkit::skip;

#[path = "interrupted/walks.rs"]
mod walks;

const OURS: &str = env!("CARGO_BIN_EXE_ss");
const NOTE: &str = "Dump was interrupted and may be inconsistent.\n";
const UDP: u8 = 17;
const INET: u8 = 2;
const INET6: u8 = 10;

/// A socket of this family and port, which no process holds.
fn row(family: u8, port: u16) -> Vec<u8> {
    let mut payload = vec![0; 72];
    payload[0] = family;
    payload[1] = 7;
    payload[4..6].copy_from_slice(&port.to_be_bytes());
    replies::socket(&payload)
}

fn rows(ports: &[u16]) -> Vec<u8> {
    ports.iter().flat_map(|port| row(INET, *port)).collect()
}

/// The ports in a listing, and its stderr.
fn listed(program: Command, name: &str, words: &str, talk: &Talk) -> (Vec<u16>, String) {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("interrupted-{name}"));
    talk.write(&path).expect("the test's own file");
    let case = Case::new(&words.split(' ').collect::<Vec<_>>());
    let case = replies::with(case, &path).expect("a library that answers");
    let outcome = run(program, &case).unwrap_or_else(|why| panic!("{name}: {why}"));
    assert_eq!(outcome.ended, Ended::Exit(0), "{name}");
    let ports = String::from_utf8_lossy(&outcome.stdout)
        .lines()
        .filter_map(|line| line.split_whitespace().nth(3)?.rsplit(':').next()?.parse().ok())
        .collect();
    (ports, String::from_utf8_lossy(&outcome.stderr).into_owned())
}

fn ready() -> Option<Reference> {
    if let Err(why) = replies::library() {
        skip::report(why);
        return None;
    }
    Reference::get().inspect_err(|why| skip::report(why)).ok()
}

#[test]
fn interrupted_dumps_are_repeated_before_the_first_row() {
    let Some(reference) = ready() else { return };
    let torn = |talk: Talk, ports: &[u16]| talk.inet(INET, UDP, &[interrupted(rows(ports)), done(0)]);
    let whole = |talk: Talk, ports: &[u16]| talk.inet(INET, UDP, &[rows(ports), done(0)]);
    let late = |talk: Talk, ports: &[u16]| talk.inet(INET, UDP, &[rows(ports), interrupted(done(0))]);
    let once = torn(Talk::new(), &[1, 2]);
    let then_whole = whole(once.clone(), &[3]);
    let late_then_whole = whole(late(Talk::new(), &[1, 2]), &[3]);
    let never = (4..9).fold(once.clone(), |talk, port| torn(talk, &[port]));
    let refused = once.clone().inet(INET, UDP, &[replies::refusal(12)]);
    let twice = whole(torn(torn(Talk::new(), &[1]), &[2]), &[3, 4]);
    for (name, words, talk, ours, note) in [
        // -p holds rows back, so nothing has been shown yet.
        ("held", "-4HOuanp", &then_whole, &[3][..], ""),
        ("held-late", "-4HOuanp", &late_then_whole, &[3], ""),
        ("held-twice", "-4HOuanp", &twice, &[3, 4], ""),
        ("held-never", "-4HOuanp", &never, &[6], NOTE),
        // Without -p the first row has been shown already.
        ("shown", "-4HOuan", &then_whole, &[1, 2], NOTE),
        // A row that the filter rejects does not count as shown.
        ("none-wanted", "-4HOuan sport = 3", &then_whole, &[3], ""),
        // A repetition without rows keeps the rows of the first dump.
        ("refused", "-4HOuanp", &refused, &[1, 2], NOTE),
        ("unanswered", "-4HOuanp", &once, &[1, 2], NOTE),
    ] {
        assert_eq!(listed(Command::new(OURS), name, words, talk), (ours.to_vec(), note.to_owned()), "{name}");
        let (ports, said) = listed(reference.command(), name, words, talk);
        assert_eq!(said, NOTE, "{name}: the reference");
        let wanted = match name {
            "none-wanted" => 0,
            "held-twice" => 1,
            _ => 2,
        };
        assert_eq!(ports.len(), wanted, "{name}: the reference shows the first dump");
    }
}

/// Rows that a repetition replaced do not count.
#[test]
fn a_repeated_dump_has_as_many_rows_as_are_shown() {
    let Some(_) = ready() else { return };
    let torn = Talk::new().inet(INET, UDP, &[interrupted(rows(&[1, 2])), done(0)]);
    let torn_twice = torn.clone().inet(INET, UDP, &[interrupted(rows(&[7])), done(0)]);
    for (name, talk) in [("once", torn), ("twice", torn_twice)] {
        let talk = talk.inet(INET, UDP, &[rows(&[3, 4, 5, 6]), done(0)]);
        let shown = listed(Command::new(OURS), &format!("limited-{name}"), "-4HOuanp --limit 3", &talk);
        assert_eq!(shown, (vec![3, 4, 5], String::new()), "{name}");
    }
}

#[test]
fn a_walk_for_both_families_is_repeated_whole() {
    let Some(_) = ready() else { return };
    let walk = |talk: Talk, ports: [u16; 3], torn: bool| {
        let rows = [row(INET6, ports[0]), row(INET, ports[1]), row(INET6, ports[2])].concat();
        talk.legacy(18, &[if torn { interrupted(rows) } else { rows }, done(0)])
    };
    let once = walk(Talk::new(), [1, 2, 3], true);
    let whole = walk(once.clone(), [4, 5, 6], false);
    let listed = |name, words, talk| listed(Command::new(OURS), name, words, talk);
    assert_eq!(listed("walk", "-HOtanp", &whole), (vec![5, 4, 6], String::new()));
    assert_eq!(listed("walk-shown", "-HOtan", &whole), (vec![2, 1, 3], NOTE.to_owned()));
    assert_eq!(listed("walk-unanswered", "-HOtanp", &once), (vec![2, 1, 3], NOTE.to_owned()));
    let only_v6 = "-HOtan sport = 4 or sport = 6";
    assert_eq!(listed("walk-refused", only_v6, &whole), (vec![4, 6], String::new()));
}
