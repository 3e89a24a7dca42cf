//! The README's table of answers: every command in it runs, and says something.
//!
//! Commands are read from the table, so what it promises is what is tried.
//! They run in a namespace of their own, since one of them closes sockets.

#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

use std::process::Command;

use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::zoo::Zoo;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
const OURS: &str = env!("CARGO_BIN_EXE_ss");
/// It shows what is said of a wrong filter.
const WRONG: &str = "rtt > 5'";

/// What is wanted and the command of each row of the table.
fn rows() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(README).expect("the README");
    let (_, table) = text.split_once("## What you could not ask ss").expect("the section");
    let (table, _) = table.split_once("\n## ").expect("the next section");
    let rows = table.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let (wanted, command) = (cells.next()?, cells.next()?);
        let command = command.strip_prefix("`ss ")?.split('`').next()?;
        Some((wanted.to_owned(), command.to_owned()))
    });
    rows.collect()
}

#[test]
fn every_command_of_the_table_answers() {
    let rows = rows();
    assert!(rows.len() >= 19, "{} rows", rows.len());
    let Some(namespace) = Namespace::or_skip() else { return };
    let kinds = ["tcp-listen", "tcp-ports", "tcp-established", "tcp-close-wait"];
    let _zoo = Zoo::start(&namespace, &kinds).unwrap_or_else(|why| panic!("{why}"));
    // What closes sockets comes last.
    let (kills, others): (Vec<_>, Vec<_>) = rows.iter().partition(|(_, command)| command.contains('K'));
    assert_eq!(kills.len(), 1);
    for (wanted, command) in others.into_iter().chain(kills) {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec \"$SS\" {command}")]).env("SS", OURS);
        namespace.enter(&mut shell);
        let out = shell.output().unwrap_or_else(|error| panic!("{command}: {error}"));
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
