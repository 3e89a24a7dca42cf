//! Filters that can match only one connection: it is requested by its identity, and shown as
//! in a full listing.

use std::path::Path;
use std::process::Command;

use sockdiag_testkit::compare::{Case, Outcome, run, run_cases};
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::reference::Reference;
use sockdiag_testkit::skip;
use sockdiag_testkit::zoo::Zoo;

const OURS: &str = env!("CARGO_BIN_EXE_ss");

fn both(namespace: &Namespace, words: &str) -> Option<[Outcome; 3]> {
    let reference =
        Reference::get().inspect_err(|why| skip::report(format_args!("no reference: {why}"))).ok()?;
    let case = Case::new(&words.split(' ').collect::<Vec<_>>()).inside(namespace);
    let result = |command| run(command, &case).unwrap_or_else(|why| panic!("{case}: {why}"));
    Some([result(reference.command()), result(Command::new(OURS)), result(reference.command())])
}

fn rows(outcome: &Outcome) -> usize {
    String::from_utf8_lossy(&outcome.stdout).lines().count()
}

/// Connections of every state and both families, identified in several ways.
#[test]
fn a_pinned_connection_is_shown_as_in_a_listing() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let zoo = Zoo::start(&namespace, &[]).expect("a zoo");
    let mut cases = Vec::new();
    for made in zoo.made().iter().filter(|made| made.kind.starts_with("tcp") && made.peer_port() != 0) {
        for words in ["-tane", "-tn", "-4tan", "-6tan", "-tln", "-xtan"] {
            let words = format!("{words} src {} dst {}", made.local, made.peer);
            cases.push(Case::new(&words.split(' ').collect::<Vec<_>>()).inside(&namespace).blot(timers));
        }
    }
    assert!(cases.len() > 300, "{}", cases.len());
    match run_cases(cases, Path::new(OURS)) {
        Ok(report) => assert!(report.is_clean(), "{report}"),
        Err(why) => skip::report(why),
    }
}

/// Removes `timer:(...)`, which changes with time.
fn timers(bytes: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let mut rest = text.as_str();
    bytes.clear();
    while let Some((before, after)) = rest.split_once("timer:(") {
        bytes.extend_from_slice(before.as_bytes());
        rest = after.split_once(')').map_or("", |(_, after)| after);
    }
    bytes.extend_from_slice(rest.as_bytes());
}

/// The row of COMPAT.md: a second socket with the same identity is not shown.
#[test]
fn a_connection_is_asked_for_by_its_identity() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let zoo = Zoo::start(&namespace, &["tcp-twins"]).expect("a zoo");
    if let Some((kind, why)) = zoo.absent().first() {
        skip::report(format_args!("{kind}: {why}"));
        return;
    }
    let pinned = "-tanH src 127.0.0.1:15218 dst 127.0.0.1:5218";
    let Some([theirs, ours, _]) = both(&namespace, pinned) else { return };
    assert_eq!((rows(&theirs), rows(&ours)), (2, 1));
    assert!(!String::from_utf8_lossy(&ours.stdout).contains("%lo"), "the newer one");
    // A filter that could match another connection shows both.
    for open in ["-tanH src 127.0.0.1:15218 dst 127.0.0.1", "-tanH sport = 15218"] {
        let Some([theirs, ours, _]) = both(&namespace, open) else { return };
        assert_eq!(rows(&theirs), 2);
        assert_eq!(theirs.stdout, ours.stdout);
    }
}
