//! What is said about filters that are wrong: the reference's words and exit
//! status, for two hundred of them.
//!
//! The words stand here once more; each test holds one program to them.

use std::process::Command;

use sockdiag_testkit::reference::Reference;
use sockdiag_testkit::skip;
use sockdiag_testkit::wrong_filters::{WRONG, Wrong};

/// What is written before the help, and the exit status.
fn said(wrong: Wrong) -> (String, i32) {
    const HOST: &str = "Cannot parse dst/src address.";
    let text = match wrong {
        Wrong::Syntax => "ss: bison bellows (while parsing filter): \"syntax error!\" Sorry.".to_owned(),
        Wrong::Address(word) => format!("Error: an inet prefix is expected rather than \"{word}\".\n{HOST}"),
        Wrong::Port(word) => format!("Error: \"{word}\" does not look like a port.\n{HOST}"),
        Wrong::Host => HOST.to_owned(),
        Wrong::Device => "Cannot parse device.".to_owned(),
        Wrong::Mark(word) => format!("Cannot parse mark {word}."),
        Wrong::Cgroup(path) => {
            format!("Failed to get cgroup2 ID: No such file or directory\nCannot parse cgroup {path}.")
        }
    };
    (text, if wrong == Wrong::Syntax { 255 } else { 1 })
}

fn says_so(program: impl Fn() -> Command) {
    for (filter, wrong) in WRONG {
        let mut command = program();
        command.args(["-tunaH", "--", filter]).env_clear().env("TCPDIAG_FILE", "/dev/null");
        let out = command.output().unwrap_or_else(|error| panic!("{filter:?}: {error}"));
        let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
        let message = stderr.find("Usage: ss").map_or(&stderr[..], |usage| &stderr[..usage]);
        let (text, status) = said(*wrong);
        assert_eq!(message, format!("{text}\n"), "{filter:?}");
        assert_eq!(out.status.code(), Some(status), "{filter:?}");
        assert_eq!(stderr.contains("Usage: ss"), status == 255, "{filter:?}");
        assert!(out.stdout.is_empty(), "{filter:?}");
    }
}

#[test]
fn the_reference_says_this() {
    let reference = match Reference::get() {
        Ok(reference) => reference,
        Err(why) => skip!("{why}"),
    };
    says_so(|| reference.command());
}

/// Of a word that is a field's name ours may know a condition, so it says more
/// to people only: stderr is no terminal here.
#[test]
fn ours_says_the_same() {
    says_so(|| Command::new(env!("CARGO_BIN_EXE_ss")));
}
