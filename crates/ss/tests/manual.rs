//! What `--generate` makes: the pages in docs/ are current, and a shell can
//! read its completions.

#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

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
    assert!(String::from_utf8_lossy(&out.stderr).starts_with("ss: nothing is made by --generate=poem\n"));
}

/// The words that bash offers after these.
fn offered(script: &Path, words: &[&str]) -> Option<Vec<String>> {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let text = format!(
        ". {}; COMP_WORDS=({}); COMP_CWORD={}; _ss; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.display(),
        quoted.join(" "),
        words.len() - 1
    );
    let out = match Command::new("bash").args(["-c", &text]).stdin(Stdio::null()).output() {
        Ok(out) => out,
        Err(why) => {
            skip::report(format_args!("no bash: {why}"));
            return None;
        }
    };
    assert!(out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
    Some(String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect())
}

#[test]
fn bash_offers_options_states_and_fields() {
    let script = Path::new(env!("CARGO_TARGET_TMPDIR")).join("completion.bash");
    fs::write(&script, made("bash")).expect("the test's own file");
    let Some(words) = offered(&script, &["ss", "--inet-s"]) else { return };
    assert_eq!(words, ["--inet-sockopt"]);
    for (words, wanted) in [
        (&["ss", "-t", "state", "estab"][..], "established"),
        (&["ss", "--family", "=", "vs"], "vsock"),
        (&["ss", "-A", "unix_s"], "unix_stream"),
        (&["ss", "tcp.rtt_"], "tcp.rtt_us"),
        (&["ss", "spo"], "sport"),
    ] {
        let offered = offered(&script, words).unwrap_or_default();
        assert!(offered.iter().any(|word| word == wanted), "{words:?}: {offered:?}");
    }
}
