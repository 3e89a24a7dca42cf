//! Output that cannot be written: a full disk, and a reader that went away.
//!
//! In text format `ss` behaves like the reference, which reports neither.  Every format of our
//! own reports a failed write and exits with 1, except if the reader went away, which needs no
//! report.

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]
#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use sockdiag_options::{Key, Kind, OPTIONS};
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::recording::{Msg, append_done};
use sockdiag_testkit::reference::Reference;
use sockdiag_testkit::zoo::Zoo;
use sockdiag_testkit::{skip, until};

const OURS: &str = env!("CARGO_BIN_EXE_ss");
const FULL: &str = "ss: cannot write the output: No space left on device\n";
const SIGPIPE: i32 = 13;
/// A small number of rows is buffered until the listing ends; the largest fills the buffers of
/// our formats several times before.
const ROWS: [u16; 3] = [0, 3, 5_000];

/// Listings in our own formats that print something even without rows.
const FORMS: &[&str] = &[
    "-tan -j",
    "-tan --pretty",
    "-tanp -j",
    "-tan --csv",
    "-tan --tsv",
    "-tan --columns local.port,remote.addr",
    "-tan --csv --columns local.port",
    "-tan --group-by state",
    "-tan --group-by remote.addr --csv",
    "-s -j",
    "-s --jsonl",
    "-s --csv",
    "-s -tan --columns local.port",
];
/// Listings that print nothing if there are no rows.
const BARE_FORMS: &[&str] =
    &["-tan --jsonl", "-tanH --csv", "-tanH --tsv", "-tanH --columns local.port", "-tanH --group-by state"];
/// The reference's own formats.
const TEXT: &[&str] =
    &["-tan", "-tanH", "-tani", "-tanO", "-tanem", "-s", "-s -tan", "-h", "-V", "-tan -D -", "-tan bogus"];

/// A recording of this many connections.
fn recording(rows: u16) -> PathBuf {
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _held = ONE_AT_A_TIME.lock();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("unwritten-{rows}"));
    let mut bytes = Vec::new();
    for port in 0..rows {
        let mut msg = Msg::v4();
        (msg.sport, msg.dst) = (port + 1, [10, 0, (port >> 8) as u8, port as u8].into());
        bytes.extend(msg.to_bytes());
    }
    append_done(&mut bytes);
    let new = path.with_extension("new");
    fs::write(&new, bytes).expect("the test's own file");
    fs::rename(&new, &path).expect("the test's own file");
    path
}

/// The destination of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    FullDisk,
    /// A pipe whose reader has closed it.
    ClosedPipe,
}

impl To {
    fn stdout(self) -> Stdio {
        match self {
            Self::FullDisk => File::options().write(true).open("/dev/full").expect("/dev/full").into(),
            Self::ClosedPipe => {
                let (_reader, writer) = std::io::pipe().expect("a pipe");
                OwnedFd::from(writer).into()
            }
        }
    }
}

/// How a program ended, and its stderr.
#[derive(Debug, PartialEq, Eq)]
struct End {
    status: Option<i32>,
    signal: Option<i32>,
    said: String,
}

impl End {
    fn of(status: i32, said: &str) -> Self {
        Self { status: Some(status), signal: None, said: said.to_owned() }
    }
}

/// A command that starts with `SIGPIPE` ignored, as systemd starts services.
fn ignoring_sigpipe(command: &Command) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "trap '' PIPE; exec \"$@\"", "sh"]);
    shell.arg(command.get_program()).args(command.get_args());
    shell
}

fn run(mut command: Command, words: &str, recording: &Path, to: To) -> End {
    command.args(words.split(' ')).env("TCPDIAG_FILE", recording).env_remove("COLUMNS");
    let out = command.stdin(Stdio::null()).stdout(to.stdout()).stderr(Stdio::piped()).output();
    let out = out.unwrap_or_else(|error| panic!("{words}: {error}"));
    End {
        status: out.status.code(),
        signal: out.status.signal(),
        said: String::from_utf8_lossy(&out.stderr).into_owned(),
    }
}

fn ours() -> Command {
    let mut command = Command::new(OURS);
    command.arg0("ss");
    command
}

#[test]
fn forms_of_ours_say_that_the_disk_is_full() {
    for rows in ROWS {
        let recording = recording(rows);
        for words in FORMS {
            let end = run(ours(), words, &recording, To::FullDisk);
            assert_eq!(end, End::of(1, FULL), "{words}, {rows} rows");
        }
        for words in BARE_FORMS {
            let end = run(ours(), words, &recording, To::FullDisk);
            let wanted = if rows == 0 { End::of(0, "") } else { End::of(1, FULL) };
            assert_eq!(end, wanted, "{words}, {rows} rows");
        }
    }
}

#[test]
fn texts_of_ours_say_that_the_disk_is_full() {
    let generate = OPTIONS.iter().find(|option| option.key == Key::Generate).expect("an option");
    let Some(Kind::Word(documents)) = generate.argument.map(|argument| argument.kind) else {
        panic!("--generate takes one of several words");
    };
    assert!(documents.contains(&"man"));
    let documents = documents.iter().map(|word| format!("--generate={word}"));
    let recording = recording(3);
    for words in documents.chain(["--json-schema", "--columns help"].map(str::to_owned)) {
        assert_eq!(run(ours(), &words, &recording, To::FullDisk), End::of(1, FULL), "{words}");
        assert_eq!(end_of_ignored(&words, &recording), End::of(0, ""), "{words}");
    }
}

/// How ours ends if `SIGPIPE` is ignored and the reader went away.
fn end_of_ignored(words: &str, recording: &Path) -> End {
    run(ignoring_sigpipe(&ours()), words, recording, To::ClosedPipe)
}

#[test]
fn a_reader_that_went_away_is_told_nothing() {
    for rows in ROWS {
        let recording = recording(rows);
        for words in FORMS.iter().chain(BARE_FORMS) {
            assert_eq!(end_of_ignored(words, &recording), End::of(0, ""), "{words}, {rows} rows");
            let end = run(ours(), words, &recording, To::ClosedPipe);
            let is_silent = rows == 0 && BARE_FORMS.contains(words);
            let signal = (!is_silent).then_some(SIGPIPE);
            let status = is_silent.then_some(0);
            assert_eq!(end, End { status, signal, said: String::new() }, "{words}, {rows} rows");
        }
    }
}

#[test]
fn text_ends_as_the_references_does() {
    let reference = match Reference::get() {
        Ok(reference) => reference,
        Err(why) => skip!("{why}"),
    };
    for rows in ROWS {
        let recording = recording(rows);
        for words in TEXT {
            for to in [To::FullDisk, To::ClosedPipe] {
                let theirs = run(reference.command(), words, &recording, to);
                assert_eq!(run(ours(), words, &recording, to), theirs, "{words}, {rows} rows, {to:?}");
            }
            let theirs = run(ignoring_sigpipe(&reference.command()), words, &recording, To::ClosedPipe);
            assert_eq!(end_of_ignored(words, &recording), theirs, "{words}, {rows} rows, SIGPIPE ignored");
        }
    }
}

#[test]
fn a_pipeline_ends_as_the_references_does_whatever_sigpipe_was() {
    let reference = match Reference::get() {
        Ok(reference) => reference,
        Err(why) => skip!("{why}"),
    };
    if Command::new("bash").arg("--version").output().is_err() {
        skip!("no bash, whose pipefail this takes");
    }
    let recording = recording(5_000);
    for before in ["", "trap '' PIPE; ", "trap - PIPE; "] {
        for (words, reader) in
            [("-tan", "head -1"), ("-tanH", "grep -q 10.0"), ("-tani", "true"), ("-tan", "sed -n 2q")]
        {
            let end = |command: Command| {
                let mut shell = Command::new("bash");
                let script = format!("{before}set -o pipefail; \"$@\" {words} | {reader} >/dev/null");
                shell.args(["-c", &script, "bash"]).arg(command.get_program()).args(command.get_args());
                let out = shell.env("TCPDIAG_FILE", &recording).stdin(Stdio::null()).output();
                let out = out.expect("bash runs");
                (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
            };
            let theirs = end(reference.command());
            assert_eq!(
                theirs.0,
                Some(if before.contains("''") { 0 } else { 128 + SIGPIPE }),
                "{before}{words}"
            );
            assert_eq!(end(ours()), theirs, "{before}{words} | {reader}");
        }
    }
}

/// An `ss -E`; stopped by its process id.
struct Follower(Child);

impl Follower {
    fn start(namespace: &Namespace, mut command: Command, words: &str, to: To) -> Self {
        namespace.enter(&mut command);
        command.args(words.split(' ')).stdin(Stdio::null()).stdout(to.stdout()).stderr(Stdio::piped());
        Self(command.spawn().expect("it starts"))
    }

    fn is_running(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    /// How it ended by itself; `None` if it still runs.
    fn end(&mut self) -> Option<End> {
        let status = self.0.try_wait().ok()??;
        let mut said = String::new();
        self.0.stderr.take()?.read_to_string(&mut said).ok()?;
        Some(End { status: status.code(), signal: status.signal(), said })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // Both fail only if it has already ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Ends a socket while all followers listen, if this user may listen.
fn end_a_socket(namespace: &Namespace, zoo: Zoo, followers: &mut [Follower]) {
    let listening = || namespace.followers().map_or(0, |followers| followers.len());
    let all = until(|| {
        let nobody_runs = followers.iter_mut().all(|follower| !follower.is_running());
        nobody_runs || listening() == followers.len()
    });
    assert!(all, "{} of {} follow", listening(), followers.len());
    drop(zoo);
}

#[test]
fn events_in_forms_of_ours_say_that_the_disk_is_full() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let zoo = || Zoo::start(&namespace, &["tcp-established"]).unwrap_or_else(|why| panic!("{why}"));
    let mut probe = Follower::start(&namespace, ours(), "-tnE --jsonl --limit 1", To::FullDisk);
    end_a_socket(&namespace, zoo(), std::slice::from_mut(&mut probe));
    assert!(until(|| !probe.is_running()), "it followed on");
    if probe.end().is_some_and(|end| end.status == Some(255)) {
        skip!("this user may not listen to the kernel");
    }
    let forms = ["-j", "--jsonl", "--csv", "--tsvH", "--columns local.port"].map(|form| match form {
        "--tsvH" => "-tnEH --tsv".to_owned(),
        form => format!("-tnE {form}"),
    });
    for (to, ignored, wanted) in
        [(To::FullDisk, false, End::of(1, FULL)), (To::ClosedPipe, true, End::of(0, ""))]
    {
        let command = || if ignored { ignoring_sigpipe(&ours()) } else { ours() };
        let zoo = zoo();
        let mut followers: Vec<_> =
            forms.iter().map(|words| Follower::start(&namespace, command(), words, to)).collect();
        end_a_socket(&namespace, zoo, &mut followers);
        for (follower, words) in followers.iter_mut().zip(&forms) {
            assert!(until(|| !follower.is_running()), "{words} {to:?}: it followed on");
            assert_eq!(follower.end().as_ref(), Some(&wanted), "{words} {to:?}");
        }
    }
}

#[test]
fn events_as_text_go_on_as_the_references_do() {
    let reference = match Reference::get() {
        Ok(reference) => reference,
        Err(why) => skip!("{why}"),
    };
    let Some(namespace) = Namespace::or_skip() else { return };
    let zoo = || Zoo::start(&namespace, &["tcp-established"]).unwrap_or_else(|why| panic!("{why}"));
    // Only our JSON follower ends at its first event, which shows that the event has arrived.
    for command in [reference.command(), ours()] {
        let first = zoo();
        let mut follower = [Follower::start(&namespace, command, "-tnE", To::FullDisk)];
        end_a_socket(&namespace, first, &mut follower);
        let [follower] = &mut follower;
        if let Some(end) = follower.end() {
            assert_eq!(end.status, Some(255), "{end:?}");
            skip!("this user may not listen to the kernel");
        }
        let mut heard = [Follower::start(&namespace, ours(), "-tnE --jsonl", To::FullDisk)];
        // It may have received an event already, and have ended.
        let both = || namespace.followers().is_ok_and(|followers| followers.len() == 2);
        let mut listens = || both() || !heard[0].is_running();
        assert!(until(&mut listens), "the second does not listen");
        drop(zoo());
        assert!(until(|| !heard[0].is_running()), "no socket ended");
        std::thread::sleep(std::time::Duration::from_millis(200));
        assert_eq!(follower.end(), None, "it ended");
    }
}
