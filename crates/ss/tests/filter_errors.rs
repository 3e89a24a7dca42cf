//! What is said about filters that are wrong: the reference's words and exit
//! status, for two hundred of them; and what ours adds for people.
//!
//! The words stand here once more; each test holds one program to them.

#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

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

/// What ours says to a person, and in a pipe.
fn told(words: &[&str]) -> [String; 2] {
    let run = |words: &[&str]| {
        let out = Command::new(env!("CARGO_BIN_EXE_ss"))
            .args(words)
            .env("PROC_ROOT", "/nonexistent")
            .output()
            .expect("our program");
        String::from_utf8_lossy(&out.stderr).into_owned()
    };
    [run(&[&["--explain"], words].concat()), run(words)]
}

#[test]
fn an_error_ends_with_one_hint() {
    for (words, want) in [
        ("-tan state LISTEN", "ss: wrong state name: LISTEN\n    try: state listening\n"),
        (
            "-tan src ::1",
            "    src ::1\n        ^^^ expected an address, a prefix or a host name\n    try: 'src [::1]'\n",
        ),
        ("-tan dst != 10.0.0.1", "\n    try: not dst 10.0.0.1\n"),
        ("-tan src 127.0.0.53%lo:53", "\n    try: src 127.0.0.53:53 and dev = lo\n"),
        ("-tan sport = 8000-8999", "\n    try: '( sport >= 8000 and sport <= 8999 )'\n"),
        ("-tan src [::]/64:25", "\n    try: 'src [::/64]:25'\n"),
        ("-tan established", "\n    try: state established\n"),
        ("-tan pid 1", "\n    try: pid = 1\n"),
        ("-tan src src tests", "\n    try: 'src *'\n"),
        ("--colums rtt", "unrecognized option '--colums'\n    did you mean --columns?\n"),
        ("--lisening", "unrecognized option '--lisening'\n    did you mean --listening?\n"),
        ("-columns rtt", "invalid option -- 'c'\n    did you mean --columns?\n"),
        (
            "-tan sport = 日本",
            "    sport = 日本\n            ^^^^ expected a port: a number or the name of a service\n",
        ),
    ] {
        let [people, pipe] = told(&words.split(' ').collect::<Vec<_>>());
        assert!(people.ends_with(want), "{words}: {people}");
        assert!(
            people.matches("    try: ").count() + people.matches("did you mean").count() <= 1,
            "{people}"
        );
        assert!(!pipe.contains("try: ") && !pipe.contains("did you mean") && !pipe.contains('^'), "{pipe}");
    }
    // A shell made names of files of the pattern above: those of this crate.
    assert!(std::path::Path::new("src").exists() && std::path::Path::new("tests").exists());
}

#[test]
fn what_is_rarely_meant_is_told_to_people() {
    for (words, want) in [
        ("-tan src 7404", "ss: 7404 is read as an address, not as a port\n    try: src :7404\n"),
        ("-tan sport = :70000", "ss: 70000 is not a port: the largest is 65535\n    try: sport = :7000\n"),
        (
            "-tan dst 2001:db8::1:25",
            "ss: 2001:db8::1:25 is read as the address 2001:db8::1 and the port 25\n    try: 'dst [2001:db8::1:25]'\n",
        ),
    ] {
        let [people, pipe] = told(&words.split(' ').collect::<Vec<_>>());
        assert_eq!((people.as_str(), pipe.as_str()), (want, ""), "{words}");
    }
}

/// The reference's help says nothing of them, so it does not hide what is wrong.
#[test]
fn errors_of_our_own_options_print_no_help() {
    for words in [
        "--columns",
        "--sort",
        "--explain=1",
        "--generate=poem",
        "--columns nothing",
        "--limit x",
        "--netns=",
        "--colums",
    ] {
        let [people, pipe] = told(&words.split(' ').collect::<Vec<_>>());
        assert!(!people.is_empty() && !people.contains("Usage: ss"), "{words}: {people}");
        // A name that the reference lacks as well is its error, in its words.
        assert_eq!(pipe.contains("Usage: ss"), words == "--colums", "{words}: {pipe}");
    }
    // Its own errors have it: before what is wrong for people, behind it for scripts.
    let [people, pipe] = told(&["-f", "nothing"]);
    assert!(
        people.starts_with("Usage: ss") && people.ends_with("ss: \"nothing\" is invalid family\n"),
        "{people}"
    );
    assert!(pipe.starts_with("ss: \"nothing\" is invalid family\nUsage: ss"), "{pipe}");
}
