//! Unix sockets: rows from the specification, without needing the reference, and deliberate
//! differences from it, which are rows of COMPAT.md.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sockdiag_testkit::compare::{Case, Ended, Outcome, run, run_every_search};
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::reference::Reference;
use sockdiag_testkit::replies::{self, Talk, attr, done, words};
use sockdiag_testkit::skip;
use sockdiag_testkit::zoo::Zoo;

const OURS: &str = env!("CARGO_BIN_EXE_ss");
const NUM: &str = "Num       RefCount Protocol Flags    Type St Inode Path";
const PEER: &str = "Peer      RcvQueue WcvQueue Flags    Type St Inode Path";

fn case(words: &str) -> Case<'static> {
    Case::new(&words.split(' ').collect::<Vec<_>>())
}

fn ours(case: &Case<'_>) -> Outcome {
    run_every_search(Path::new(OURS), case).unwrap_or_else(|why| panic!("{case}: {why}"))
}

/// The outcomes of the reference and ours for a case; `None` after reporting a skip.
fn both(case: &Case<'_>) -> Option<(Outcome, Outcome)> {
    let reference = match Reference::get() {
        Ok(reference) => reference,
        Err(why) => {
            skip::report(format_args!("no reference: {why}"));
            return None;
        }
    };
    let theirs = run(reference.command(), case).unwrap_or_else(|why| panic!("{case}: {why}"));
    Some((theirs, ours(case)))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The text with runs of blanks replaced by one.
fn squeezed(bytes: &[u8]) -> String {
    let words: Vec<String> = text(bytes)
        .lines()
        .map(|line| line.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "))
        .collect();
    words.join("\n")
}

fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("unix-sockets-{name}"));
    std::fs::write(&path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path
}

fn reply(kind: u8, state: u8, inode: u32, attrs: &[Vec<u8>]) -> Vec<u8> {
    let fixed = words(&[u32::from_ne_bytes([1, kind, state, 0]), inode, 7, 0]);
    replies::socket(&[fixed, attrs.concat()].concat())
}

/// A case that is answered with these rows; `None` after reporting a skip.
fn answered(name: &str, words: &str, rows: &[Vec<u8>]) -> Option<Case<'static>> {
    let path = file(name, b"");
    let talk = Talk::new().sockets(1, &[rows.concat(), done(0)]);
    talk.write(&path).unwrap_or_else(|why| panic!("{why}"));
    replies::with(case(words), &path).inspect_err(|why| skip::report(why)).ok()
}

#[test]
fn rows_are_those_of_the_specification() {
    let memory = words(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let listener = reply(
        1,
        10,
        100,
        &[
            attr(0, b"/run/x.sock"),
            attr(4, &words(&[3, 128])),
            attr(1, &words(&[777, 8 << 20 | 1])),
            attr(3, &words(&[11, 12, 13])),
            attr(5, &memory),
            attr(6, &[0]),
        ],
    );
    let Some(case) = answered("listener", "-xaHem", &[listener]) else { return };
    assert_eq!(
        text(&ours(&case).stdout),
        "u_str LISTEN 3      128    /run/x.sock 100 * 0 skmem:(r1,rb2,t3,tb4,f5,w6,o7,bl8,d9) <-> \
         ino:777 dev:0/2049 peers: 11 12 13\n"
    );
    let dgram = reply(2, 7, 101, &[attr(0, b"\0abs\0tract"), attr(2, &words(&[999])), attr(6, &[3])]);
    let Some(case) = answered("dgram", "-xaHe", &[dgram]) else { return };
    assert_eq!(text(&ours(&case).stdout), "u_dgr UNCONN 0      0      @abs@tract 101 * 999 ---\n");
}

#[test]
fn fields_that_ss_does_not_show_can_be_tested() {
    let rows = [1000_u32, 0].map(|uid| reply(1, 1, 100 + uid, &[attr(0, b"/x"), attr(7, &words(&[uid]))]));
    for (filter, inodes) in [
        ("socket.uid = 1000", &[" 1100 "][..]),
        ("socket.uid < 1000", &[" 100 "]),
        ("unix.name = /x", &[" 1100 ", " 100 "]),
        ("unix.abstract = 1", &[]),
        ("unix.vfs_inode >= 0", &[]),
        ("tcp.rtt_us = 0", &[]),
    ] {
        let Some(case) = answered("fields", &format!("-xanH {filter}"), &rows) else { return };
        let shown = text(&ours(&case).stdout);
        assert_eq!(shown.lines().count(), inodes.len(), "{filter}: {shown}");
        assert!(inodes.iter().all(|inode| shown.contains(inode)), "{filter}: {shown}");
    }
}

#[test]
fn control_characters_in_names_are_escaped() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let _zoo = Zoo::start(&namespace, &["unix-control"]).unwrap_or_else(|why| panic!("{why}"));
    let Some((theirs, ours)) = both(&case("-xanH").inside(&namespace)) else { return };
    let (theirs, ours) = (squeezed(&theirs.stdout), squeezed(&ours.stdout));
    assert_eq!(theirs.lines().count(), 3, "a name forges a row: {theirs}");
    assert_eq!(ours.lines().count(), 2, "{ours}");
    let mut raw = ours;
    for (escape, byte) in [
        ("\\012", "\n"),
        ("\\033", "\x1b"),
        ("\\177", "\x7f"),
        ("\\011", "\t"),
        ("\\007", "\x07"),
        ("\\001", "\x01"),
    ] {
        assert_eq!(raw.matches(escape).count(), 1, "{escape}: {raw}");
        raw = raw.replace(escape, byte);
    }
    assert_eq!(raw, theirs, "nothing else differs");
    // The filter compares the unescaped name.
    let bell = Case::new(&["-xanH", "src", "unix:@bell\x07*"]).inside(&namespace);
    let Some((theirs, ours)) = both(&bell) else { return };
    assert_eq!((text(&theirs.stdout).lines().count(), text(&ours.stdout).lines().count()), (1, 1));
}

#[test]
fn peers_in_old_proc_text_have_their_names() {
    let lines = format!("{PEER}\n2: 0 0 0 1 03 1 /one\n1: 0 0 0 1 03 2 /two\n");
    let path = file("peers", lines.as_bytes());
    let Some((theirs, ours)) = both(&case("-xanH").env("PROC_NET_UNIX", &path)) else { return };
    assert!(!squeezed(&theirs.stdout).contains("/two 2 /one 1"), "the reference shows freed memory");
    assert_eq!(squeezed(&ours.stdout), "u_str ESTAB 0 0 /one 1 ? 2\nu_str ESTAB 0 0 /two 2 /one 1");
    let Some((theirs, ours)) = both(&case("-xanH dst unix:/one").env("PROC_NET_UNIX", &path)) else { return };
    assert!(theirs.stdout.is_empty());
    assert_eq!(squeezed(&ours.stdout), "u_str ESTAB 0 0 /two 2 /one 1");
}

#[test]
fn states_of_proc_text_beyond_the_mask_are_left_out() {
    let lines = format!("{NUM}\n0: 2 0 0 1 21 1 /x\n0: 2 0 0 1 03 2 /y\n");
    let path = file("states", lines.as_bytes());
    let Some((theirs, ours)) = both(&case("-xnH state established").env("PROC_NET_UNIX", &path)) else {
        return;
    };
    assert_eq!(text(&theirs.stdout).lines().count(), 2, "33 is taken for 1");
    assert_eq!(squeezed(&ours.stdout), "u_str 0 0 /y 2 * 0");
}

#[test]
fn filtered_proc_text_is_sorted_as_it_is_without_a_filter() {
    let mut lines = format!("{NUM}\n");
    for inode in (1..=4000).rev() {
        let _ = writeln!(lines, "0: 2 0 0 1 03 {inode} /{inode}");
    }
    let path = file("sorted", lines.as_bytes());
    let Some((theirs, ours)) = both(&case("-xanH src unix:*[02468]").env("PROC_NET_UNIX", &path)) else {
        return;
    };
    let rows = |bytes: &[u8]| squeezed(bytes).lines().map(str::to_owned).collect::<Vec<_>>();
    let (mut theirs, mut ours) = (rows(&theirs.stdout), rows(&ours.stdout));
    assert_ne!(theirs, ours);
    theirs.sort_unstable();
    ours.sort_unstable();
    assert_eq!(theirs, ours);
    assert_eq!(ours.len(), 2000);
}

#[test]
fn replies_that_no_kernel_sends_are_harmless() {
    // A name longer than a unix address can hold: the reference overruns its buffer.
    let long = reply(1, 1, 5, &[attr(0, &[b'n'; 5000])]);
    let Some(case) = answered("long-name", "-xanH", &[long]) else { return };
    let Some((theirs, ours)) = both(&case) else { return };
    assert!(!matches!(theirs.ended, Ended::Exit(0)), "{:?}", theirs.ended);
    assert_eq!(squeezed(&ours.stdout), format!("u_str ESTAB 0 0 {} 5 * 0", "n".repeat(5000)));
    // A reply too short for a socket.
    let rows = [replies::socket(&[1, 1, 1, 0, 9]), reply(1, 1, 6, &[])];
    let Some(case) = answered("short", "-xanH", &rows) else { return };
    assert_eq!(squeezed(&self::ours(&case).stdout), "u_str ESTAB 0 0 * 6 * 0");
}
