//! The messages for invalid filters: the reference's wording and exit status for two hundred
//! of them, and what ours adds for people.
//!
//! The wording is repeated here, so each test checks one program against it.

#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

use std::process::Command;

use sockdiag_testkit::reference::Reference;
use sockdiag_testkit::skip;
use sockdiag_testkit::wrong_filters::{WRONG, Wrong};

/// The message before the help, and the exit status.
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

/// If an unknown word is the name of a field, ours says more, but only to people: stderr is
/// not a terminal here.
#[test]
fn ours_says_the_same() {
    says_so(|| Command::new(env!("CARGO_BIN_EXE_ss")));
}

/// The messages of ours on a terminal, and in a pipe.
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
        let is_ours = pipe.contains("--colums");
        assert!(!pipe.contains("try: ") && (is_ours || !pipe.contains("did you mean")), "{pipe}");
        assert!(!pipe.contains('^'), "{pipe}");
    }
    // The shell expanded the pattern above to names of files in this crate.
    assert!(std::path::Path::new("src").exists() && std::path::Path::new("tests").exists());
}

#[test]
fn what_is_rarely_meant_is_told_to_people() {
    for (words, want) in [
        ("-tan src 7404", "ss: 7404 is read as an address, not as a port\n    try: src :7404\n"),
        ("-tan sport = :70000", "ss: 70000 is not a port: the highest is 65535\n    try: sport = :7000\n"),
        (
            "-tan dst 2001:db8::1:25",
            "ss: 2001:db8::1:25 is read as the address 2001:db8::1 and the port 25\n    try: 'dst [2001:db8::1:25]'\n",
        ),
    ] {
        let [people, pipe] = told(&words.split(' ').collect::<Vec<_>>());
        assert_eq!((people.as_str(), pipe.as_str()), (want, ""), "{words}");
    }
}

/// Conditions that make no sense or never match are rejected, with a suggestion.
#[test]
fn what_cannot_be_meant_is_refused() {
    for (words, want) in [
        (
            "-tan~bytes_sent > -1",
            "ss: tcp.bytes_sent is between 0 and 18446744073709551615, so comparing it with \"-1\" has the same result for all sockets\n",
        ),
        (
            "-tan~pid > -1",
            "ss: socket.processes.pid is between 0 and 4294967295, so comparing it with \"-1\" has the same result for all sockets\n",
        ),
        (
            "-tan~rtt > 10h",
            "ss: tcp.rtt_us is between 0 and 4294967295 (1.19h), so comparing it with \"10h\" has the same result for all sockets\n",
        ),
        (
            "-tan~rtt > 1ms and rtt < 100us",
            "ss: no socket can match both tcp.rtt_us > 1ms and tcp.rtt_us < 100us\n",
        ),
        ("-tan~comm = \"abc", "ss: the quote before \"abc\" is not closed\n"),
        ("-uan~rtt > 5ms", "ss: none of the listed sockets reports tcp.rtt_us\n"),
        ("-uan~cwnd > 5", "ss: none of the listed sockets reports tcp.snd_cwnd\n"),
        (
            "-tan~age > 10s",
            "ss: age_ms needs two samples of each socket, and ss takes only one: use sockdiag top\n",
        ),
        (
            "-tan~--columns~rtt,",
            "ss: the name of a field is missing (is there a comma too many?); --columns help lists all\n",
        ),
        (
            "-tan~--sort~,rtt",
            "ss: the name of a field is missing (is there a comma too many?); --columns help lists all\n",
        ),
        (
            "-s~-t~--csv",
            "ss: --summary, a list of sockets and --csv or --tsv cannot be used together: they are two tables, so ask for each by itself\n",
        ),
        ("-t~-j~--csv", "ss: JSON (-j, --jsonl, --pretty) and --csv or --tsv cannot be used together\n"),
        (
            "-t~--group-by~state~--sort~rtt",
            "ss: groups cannot be sorted by \"rtt\", only by state, count, sum(recv_q), sum(send_q)\n",
        ),
    ] {
        let [people, pipe] = told(&words.split('~').collect::<Vec<_>>());
        assert!(people.starts_with(want), "{words}: {people}");
        assert_eq!(pipe, want, "{words}");
    }
    let [people, _] = told(&["-tan", "name = x"]);
    assert!(people.contains("an unambiguous field: \"name\" may be netns.name, container.name"), "{people}");
    let [people, _] = told(&["-tan", "state established"]);
    assert!(
        people.contains("as separate arguments outside quotes\n    try: state established\n"),
        "{people}"
    );
    for words in ["--sort --limit 2", "--columns --csv", "--group-by --sort rtt"] {
        let [_, pipe] = told(&words.split(' ').collect::<Vec<_>>());
        let name = words.split(' ').next().unwrap_or_default();
        assert!(pipe.ends_with(&format!("option '{name}' requires an argument\n")), "{words}: {pipe}");
    }
}

/// If nothing is shown, people get a hint why.
#[test]
fn why_nothing_is_shown_is_told_to_people() {
    let narrow = "ss: only established sockets were requested: -a lists all states, -l listeners\n";
    let text =
        |mended: &str| format!("ss: text is compared as a whole and case-sensitively\n    try: '{mended}'\n");
    for (words, want) in [
        ("-tn~state = LISTEN", narrow.to_owned()),
        ("-un~drops > 0", narrow.to_owned()),
        ("-tn~backlog_use >= 1", narrow.to_owned()),
        ("-tan~state = LISTEN", String::new()),
        ("-tln~backlog_use >= 1", String::new()),
        ("-tn~state~established~cwnd > 0", String::new()),
        ("-tan~comm = Websrv", text("comm = i\"Websrv\"*")),
        ("-tan~comm = web", text("comm = i\"web\"*")),
        ("-tan~comm=~web", text("comm = i\"web\"*")),
        ("-xan~unix.name = a", text("unix.name = i\"a\"*")),
        ("-tan~comm = web*", String::new()),
        ("-tan~comm != web", String::new()),
        (
            "-tan~uid = 4711",
            "ss: this is the owner of the socket, not the user of the process\n    try: process.uid = \
             4711\n"
                .to_owned(),
        ),
        (
            "-tan~user = root",
            "ss: this is the owner of the socket, not the user of the process\n    try: process.uid = \
             0\n"
            .to_owned(),
        ),
        ("-tan~process.user = root", String::new()),
    ] {
        let words: Vec<&str> = words.split('~').collect();
        let [people, pipe] = told(&words);
        let own = |text: &str| text.lines().filter(|line| !line.contains("process")).count();
        assert!(people.ends_with(&want), "{words:?}: {people}");
        assert!(!pipe.contains("try: ") && !pipe.contains("were requested"), "{words:?}: {pipe}");
        assert!(!want.is_empty() || own(&people) == 0, "{words:?}: {people}");
    }
}

/// A near miss of one of our options gets a hint even in a pipe, after the reference's
/// message; abbreviations get only the reference's error.
#[test]
fn options_of_ours_that_are_almost_right_are_known_in_pipes() {
    for (words, meant) in [
        ("--container", Some("containers")),
        ("--peer", Some("peers")),
        ("--groupby comm", Some("group-by")),
        ("--colums rtt", Some("columns")),
        ("--col rtt", None),
        ("--pre", None),
        ("--lisening", None),
    ] {
        let [_, pipe] = told(&words.split(' ').collect::<Vec<_>>());
        let advice = meant.map(|name| format!("\nss: did you mean --{name}?\n"));
        assert!(pipe.contains("unrecognized option") && pipe.contains("Usage: ss"), "{words}: {pipe}");
        assert_eq!(pipe.contains("did you mean"), meant.is_some(), "{words}: {pipe}");
        assert!(advice.is_none_or(|advice| pipe.ends_with(&advice)), "{words}: {pipe}");
    }
}

/// The reference's help does not list our options, and would only hide the error message.
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
        // A name that the reference lacks as well gets the reference's error.
        assert_eq!(pipe.contains("Usage: ss"), words == "--colums", "{words}: {pipe}");
    }
    // The reference's own errors include the help: for people before the message, for scripts
    // after it.
    let [people, pipe] = told(&["-f", "nothing"]);
    assert!(
        people.starts_with("Usage: ss") && people.ends_with("ss: \"nothing\" is invalid family\n"),
        "{people}"
    );
    assert!(pipe.starts_with("ss: \"nothing\" is invalid family\nUsage: ss"), "{pipe}");
}
