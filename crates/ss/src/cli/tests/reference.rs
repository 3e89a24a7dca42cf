//! Wrong command lines compared with the reference: status and stderr, byte for byte.
//!
//! The reference is run only with lines that our parser rejects before it does anything, and
//! never with one that could kill, follow events, or open a file if our parser were mistaken.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

use sockdiag_testkit::{reference::Reference, skip};

use super::{CASES, Recorder, parsed, words};
use crate::last_words::LastWords;

/// Whether none of the words, read as an option or as part of one, kills
/// sockets, waits for events, or opens a file.
fn harmless(line: &[OsString]) -> bool {
    line.iter().all(|word| match word.as_bytes() {
        [b'-', b'-', written @ ..] => {
            let name = written.split(|byte| *byte == b'=').next().unwrap_or_default();
            // A prefix of a name acts like the name, unless it is ambiguous.
            let ambiguous = matches!(name, b"" | b"e" | b"f");
            ambiguous
                || ["kill", "events", "diag", "filter"].iter().all(|bad| !bad.as_bytes().starts_with(name))
        }
        // The reference has no -j.
        [b'-', letters @ ..] => !letters.iter().any(|letter| b"KEDFj".contains(letter)),
        _ => true,
    })
}

#[test]
fn lines_that_could_do_harm_are_told() {
    for line in [
        "-K",
        "-tK",
        "--k",
        "--ki",
        "-t --kill",
        "-E",
        "--ev",
        "--events=1",
        "-tnD",
        "--d=x",
        "--fi=x",
        "-F x",
    ] {
        assert!(!harmless(&words(line)), "{line}");
    }
    assert!(harmless(&words("-tan --e --f --=x kill -- events")));
}

/// Runs the reference and our parser on a line.  False if the line cannot be compared: it is
/// valid, harmful, answered with help, or depends on the machine.
fn ends_as_the_references(reference_ss: &Reference, line: &[OsString], posix: bool) -> bool {
    let mut recorder = Recorder::default();
    let Err(ours) = parsed(line, posix, &mut recorder) else { return false };
    let ours = LastWords::from(ours);
    if ours.code == 0 || !recorder.log.is_empty() || !harmless(line) {
        return false;
    }
    let mut command = reference_ss.command();
    command.args(line).env_remove("POSIXLY_CORRECT");
    if posix {
        command.env("POSIXLY_CORRECT", "1");
    }
    let theirs = command.output().expect("the reference runs");
    let ours = (Some(i32::from(ours.code)), ours.stderr);
    let theirs = (theirs.status.code(), theirs.stderr);
    let shown = |(code, stderr): &(Option<i32>, Vec<u8>)| {
        let start: Vec<_> = stderr.split(|byte| *byte == b'\n').take(2).map(<[u8]>::escape_ascii).collect();
        format!("{code:?} {}", start.iter().map(ToString::to_string).collect::<Vec<_>>().join(" / "))
    };
    assert!(ours == theirs, "ss {line:?}\nours:   {}\ntheirs: {}", shown(&ours), shown(&theirs));
    true
}

#[test]
fn wrong_lines_of_the_table_end_as_the_references() {
    let reference_ss = match Reference::get() {
        Ok(reference_ss) => reference_ss,
        Err(why) => skip!("{why}"),
    };
    // The reference does not know `--dccp` at all.
    let lines = CASES.iter().map(|(line, _)| words(line)).filter(|line| line != &words("--dccp=1"));
    let compared = lines.filter(|line| ends_as_the_references(&reference_ss, line, false)).count();
    assert!(compared > 75, "only {compared}");
}

/// Words to build lines from: options in full, abbreviated, clustered and misspelt, and
/// arguments right and wrong.
const PIECES: &str = "\
    -t -tan -u -x -4 -6 -0 -w -S -M -l -a -B -n -o -e -m -i -H -Q -O -s -b -r -nY -3 -t- -J -tf -tA -f -A -N \
    -finet -fbogus -Atcp -A!tcp,!x -- --n --nu --no --b --bpf --bpf-m --bpf-map- --bpf-map-id=0 \
    --bpf-map-id=x --bpf-maps --s --so --su --t --ti --tip --tipc --tipc= --tipci --c --co --cg --e --ex --f \
    --fa --fam=x --fam=unix --i --ip --ipv4 --ine --inf=1 --l --a --al=l --m --me --o --on --p --pr --r --q \
    --q= --q=tcp, --q=udp,raw --u --ud --v --vs --x --z --dc --= --=tcp --net --- --tcp- tcp inet help \
    udp,tcp all,!bogus '' state exclude excl established estab BIG bucket syn-rcv new-syn-recv - é --é=x -tü";

#[test]
fn random_wrong_lines_end_as_the_references() {
    let reference_ss = match Reference::get() {
        Ok(reference_ss) => reference_ss,
        Err(why) => skip!("{why}"),
    };
    let pieces = words(PIECES);
    let mut random = fastrand::Rng::with_seed(73);
    let mut compared = 0;
    while compared < 300 {
        let line: Vec<_> = (0..random.usize(1..7)).filter_map(|_| random.choice(&pieces)).cloned().collect();
        let posix = random.u8(..4) == 0;
        compared += usize::from(ends_as_the_references(&reference_ss, &line, posix));
    }
}
