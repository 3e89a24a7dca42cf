//! Names chosen by others: of cgroups and interfaces, and any text in a recording or in a file
//! that stands in for /proc.  The reference prints them unchanged, so a name can add rows to a
//! listing, control the terminal or reverse the direction of the text after it.  Ours escapes
//! control characters (C0, C1, DEL, bytes 0x80 to 0x9f outside UTF-8) and direction marks, and
//! changes nothing else.  (Found by `fuzz/`.)

#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

#[path = "chosen_names/any_bytes.rs"]
mod any_bytes;
#[path = "chosen_names/bounds.rs"]
mod bounds;
#[path = "chosen_names/others.rs"]
mod others;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sockdiag_testkit::compare::{Case, Outcome, run};
use sockdiag_testkit::recording::{self, Msg, attr};
use sockdiag_testkit::reference::Reference;
use sockdiag_testkit::replies::{self, Talk};
use sockdiag_testkit::skip;

/// Escapes with the bytes that they stand for.
const ESCAPES: [(&str, &str); 8] = [
    ("\\012", "\n"),
    ("\\033", "\x1b"),
    ("\\177", "\x7f"),
    ("\\007", "\x07"),
    ("\\302\\233", "\u{9b}"),
    ("\\342\\200\\256", "\u{202e}"),
    ("\\342\\201\\246", "\u{2066}"),
    ("\\233", "\u{fffd}"),
];

fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("chosen-{name}"));
    fs::write(&path, bytes).expect("the test's own file");
    path
}

fn squeezed(outcome: &Outcome) -> String {
    let text = String::from_utf8_lossy(&outcome.stdout);
    text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Runs both; ours must print these escapes where the reference prints the bytes.
fn escaped(case: &Case<'_>, escapes: &[&str]) {
    let reference = match Reference::get() {
        Ok(reference) => reference,
        Err(why) => skip!("no reference: {why}"),
    };
    let theirs = run(reference.command(), case).unwrap_or_else(|why| panic!("{case}: {why}"));
    let ours = Command::new(env!("CARGO_BIN_EXE_ss"));
    let ours = run(ours, case).unwrap_or_else(|why| panic!("{case}: {why}"));
    let (theirs, mut raw) = (squeezed(&theirs), squeezed(&ours));
    let indent = |byte: char| byte.is_ascii_control() && !matches!(byte, '\n' | '\t');
    assert!(theirs.contains(indent), "the reference prints them as they are: {theirs:?}");
    assert!(!raw.contains(indent), "{raw:?}");
    for escape in escapes {
        assert!(raw.contains(escape), "{escape}: {raw:?}");
    }
    for (escape, byte) in ESCAPES {
        raw = raw.replace(escape, byte);
    }
    assert_eq!(raw, theirs, "nothing else differs");
}

#[test]
fn control_characters_in_names_of_algorithms_are_escaped() {
    let mut ulp = Vec::new();
    ulp.extend(replies::attr(1, b"u\x1b[2J\n\x7f\0"));
    let msg = Msg::v4()
        .with(attr::CONG, *b"c\nESTAB\x1b[1m\x07\0")
        .with(attr::INFO, [1; 104])
        .with(attr::ULP_INFO, ulp);
    let mut bytes = msg.to_bytes();
    recording::append_done(&mut bytes);
    let path = file("algorithms", &bytes);
    escaped(&Case::new(&["-taniH"]).env("TCPDIAG_FILE", &path), &["\\012", "\\033", "\\177", "\\007"]);
}

#[test]
fn control_characters_at_the_end_of_a_line_of_proc_are_escaped() {
    const LINE: &[u8] =
        b"   0: 0100007F:0016 0200007F:C350 01 00000000:00000000 00:00000000 00000000  1000        \
        0 621 1 0000000000000001 20 4 30 10 -1 a\x1b[1m\x7f\x07\n";
    let path = file("proc", &[b"  sl\n", LINE].concat());
    let case = Case::new(&["-4taneH"]).env("PROC_NET_TCP", &path);
    escaped(&case, &["\\033", "\\177", "\\007"]);
}

/// A case whose requests are answered from this file.
fn answered<'a>(words: &[&str], name: &str, talk: &Talk) -> Case<'a> {
    let path = file(name, b"");
    talk.write(&path).unwrap_or_else(|why| panic!("{why}"));
    replies::with(Case::new(words), &path).unwrap_or_else(|why| panic!("{why}"))
}

#[test]
fn control_characters_in_names_of_cgroups_are_escaped() {
    if let Err(why) = replies::library() {
        skip!("{why}");
    }
    let msg = Msg::v4().with(attr::CGROUP_ID, 77_u64.to_ne_bytes());
    let talk = Talk::new().inet(2, 6, &[msg.to_bytes(), replies::done(0)]).inet(10, 6, &[replies::done(0)]);
    // Both remove the hierarchy's own path from the front.
    let mounts = fs::read_to_string("/proc/mounts").expect("Linux");
    let mut lines = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let Some(mount) = lines.find_map(|words| (words.get(2)? == &"cgroup2").then(|| words[1])) else {
        skip!("no cgroup2 file system")
    };
    let cgroups =
        file("cgroups", format!("1 {mount}\n77 {mount}/a\x1b[1mb\x7f\u{9b}\u{202e}\u{2066}é\n").as_bytes());
    for words in [["-4tanH", "--cgroup"], ["-4tanH", "-e"]] {
        let case = answered(&words, "inet", &talk).env("NLPLAY_CGROUPS", &cgroups);
        escaped(&case, &["\\033", "\\177", "\\302\\233", "\\342\\200\\256", "\\342\\201\\246"]);
    }
}

#[test]
fn control_characters_in_names_of_interfaces_are_escaped() {
    if let Err(why) = replies::library() {
        skip!("{why}");
    }
    let links = [(7, "l\x1bo\x07\u{9b}")];
    let memory = replies::attr(6, &replies::words(&[1, 2, 3, 4, 5, 6, 7, 8, 9]));
    let info = replies::attr(0, &replies::words(&[7, 2, 0, 100, 0, 0]));
    let rows = replies::netpkt::packet(3, 3, &[info, memory]);
    let talk = Talk::new().links(&links).sockets(17, &[rows, replies::done(0)]);
    escaped(&answered(&["-0anH"], "packet", &talk), &["\\033", "\\007", "\\302\\233"]);
}

/// Any user can bind a unix socket to such a name.
#[test]
fn marks_of_direction_and_c1_in_names_of_unix_sockets_are_escaped() {
    let names = ["a\u{202e}b", "c\u{9b}2Jd", "é\u{2066}"].map(str::as_bytes);
    let names = [&names[..], &[b"e\x9b2Jf\xff\xa0"]].concat();
    let lines = names
        .iter()
        .enumerate()
        .map(|(at, name)| [format!("0: 2 0 0 1 03 {} /", at + 1).as_bytes(), name, b"\n"].concat());
    let head = b"Num RefCount Protocol Flags Type St Inode Path\n".to_vec();
    let path = file("unix", &std::iter::once(head).chain(lines).collect::<Vec<_>>().concat());
    let case = Case::new(&["-xanH"]).env("PROC_NET_UNIX", &path);
    let ours = run(Command::new(env!("CARGO_BIN_EXE_ss")), &case).unwrap_or_else(|why| panic!("{why}"));
    let shown = [
        &b"/a\\342\\200\\256b "[..],
        b"/c\\302\\2332Jd ",
        b"/\xc3\xa9\\342\\201\\246 ",
        b"/e\\2332Jf\xff\xa0 ",
    ];
    for name in shown {
        let is_there = ours.stdout.windows(name.len()).any(|part| part == name);
        assert!(is_there, "{}: {}", name.escape_ascii(), ours.stdout.escape_ascii());
    }
    let theirs = match Reference::get() {
        Ok(reference) => run(reference.command(), &case).unwrap_or_else(|why| panic!("{why}")),
        Err(why) => skip!("no reference: {why}"),
    };
    for name in names {
        let is_there = theirs.stdout.windows(name.len()).any(|part| part == name);
        assert!(is_there, "the reference prints them as they are: {}", theirs.stdout.escape_ascii());
    }
}
