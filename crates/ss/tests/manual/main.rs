//! The documents of `--generate`: the pages in docs/ are current, manual pages are well formed
//! with working examples, and shell completions work.

#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

mod completions;

use std::fs;
use std::path::Path;
use std::process::Command;

use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::skip;

const OURS: &str = env!("CARGO_BIN_EXE_ss");

fn made(what: &str) -> String {
    let out = Command::new(OURS).arg(format!("--generate={what}")).output().expect("our own program");
    assert!(out.status.success(), "{what}: {out:?}");
    String::from_utf8(out.stdout).expect("texts are UTF-8")
}

#[test]
fn the_pages_are_those_of_this_program() {
    for what in ["options", "fields"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(format!("{what}.md"));
        let page = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(page == made(what), "docs/{what}.md is out of date: run `cargo xtask docs`");
    }
}

#[test]
fn what_cannot_be_made_is_an_error() {
    let out = Command::new(OURS).arg("--generate=poem").output().expect("our own program");
    assert_eq!(out.status.code(), Some(255));
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(
        said.starts_with("ss: --generate cannot make \"poem\", only man, ") && said.lines().count() == 1,
        "{said}"
    );
}

const PAGES: [&str; 3] = ["man", "man-filter", "man-fields"];

/// What a program prints about a page; `None` after reporting a skip if the program is
/// missing.
fn said_of(page: &str, program: &str, arguments: &[&str]) -> Option<String> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{program}-{}.roff", page.len()));
    fs::write(&path, page).expect("the test's own file");
    match Command::new(program).args(arguments).arg(&path).output() {
        Ok(out) => Some(String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned()),
        Err(why) => {
            skip::report(format_args!("no {program}: {why}"));
            None
        }
    }
}

#[test]
fn nothing_is_wrong_with_a_manual_page() {
    for page in PAGES {
        if let Some(said) = said_of(&made(page), "mandoc", &["-T", "lint", "-W", "warning"]) {
            assert!(said.is_empty(), "{page}: {said}");
        }
    }
}

#[test]
fn groff_formats_the_manual_pages() {
    for page in PAGES {
        let Some(said) = said_of(&made(page), "troff", &["-man", "-Tutf8", "-ww", "-z"]) else { return };
        assert!(said.is_empty(), "{page}: {said}");
    }
}

/// The first lines of a section's items, with roff escapes undone.
fn items(page: &str, section: &str) -> Vec<String> {
    let (_, text) = page.split_once(&format!(".SH {section}\n")).expect("the section");
    let text = text.split("\n.SH ").next().unwrap_or_default();
    let items = text.split(".TP\n").skip(1).filter_map(|item| item.lines().next());
    items
        .map(|line| line.replace("\\fB", "").replace("\\fR", "").replace("\\-", "-").replace("\\&", ""))
        .collect()
}

/// In a namespace of the test: one example closes connections, another waits for sockets to
/// end.
#[test]
fn every_example_of_the_manual_pages_is_taken() {
    let Some(namespace) = Namespace::or_skip() else { return };
    for page in ["man", "man-filter"] {
        let examples = items(&made(page), "EXAMPLES");
        assert!(examples.len() >= 10, "{page}: {examples:?}");
        for example in examples {
            let words = example.strip_prefix("ss ").unwrap_or_else(|| panic!("{example}"));
            // Its process and second namespace do not exist.
            let words = words.replace("web,pid:4711", "all");
            let waits = words.starts_with("-E");
            let limit = if waits { "timeout 1 " } else { "" };
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("exec {limit}\"$SS\" {words}")]).env("SS", OURS);
            namespace.enter(&mut shell);
            let out = shell.output().unwrap_or_else(|error| panic!("{example}: {error}"));
            let status = if waits { 124 } else { 0 };
            assert_eq!(
                out.status.code(),
                Some(status),
                "{example}: {}",
                String::from_utf8_lossy(&out.stderr)
            );
        }
    }
}
