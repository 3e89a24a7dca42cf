//! Recordings that are odd or unreadable: rows, messages and status equal the reference's,
//! byte for byte.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sockdiag_testkit::recording::odd::{Odd, odd};
use sockdiag_testkit::reference::Reference;
use sockdiag_testkit::skip;

fn read(mut program: Command, path: &Path) -> Output {
    let program = program.arg("-tanH").env_clear().env("TCPDIAG_FILE", path);
    program.output().unwrap_or_else(|error| panic!("{program:?}: {error}"))
}

fn ours(path: &Path) -> Output {
    read(Command::new(env!("CARGO_BIN_EXE_ss")), path)
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

#[test]
fn recordings_read_as_the_reference_reads_them() {
    let reference = match Reference::get() {
        Ok(reference) => reference,
        Err(why) => skip!("{why}"),
    };
    let path: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join("odd-recording.nl");
    for Odd { name, bytes, rows } in odd() {
        fs::write(&path, bytes).expect("the test's own file");
        let theirs = read(reference.command(), &path);
        assert!(theirs.status.success(), "{name}: {theirs:?}");
        let ours = ours(&path);
        assert_eq!(ours.status.code(), Some(0), "{name}");
        assert_eq!(text(&ours.stdout), text(&theirs.stdout), "{name}");
        assert_eq!(ours.stdout.split_inclusive(|byte| *byte == b'\n').count(), rows, "{name}");
        // The reference parses the attributes of a shown row twice, and prints the message
        // twice.
        let times = if ours.stderr.starts_with(b"!!!Deficit") { 2 } else { 1 };
        assert_eq!(text(&ours.stderr).repeat(times), text(&theirs.stderr), "{name}");
    }
}

#[test]
fn files_that_cannot_be_read_are_named_as_the_reference_names_them() {
    let reference = Reference::get();
    for (path, want) in [
        ("/nonexistent", "fopen($TCPDIAG_FILE): No such file or directory\n"),
        ("", "fopen($TCPDIAG_FILE): No such file or directory\n"),
        ("/", "Reading header from $TCPDIAG_FILE: Is a directory\n"),
    ] {
        let path = Path::new(path);
        let ours = ours(path);
        assert_eq!((text(&ours.stdout), ours.status.code()), (String::new(), Some(0)), "{path:?}");
        assert_eq!(text(&ours.stderr), text(want.as_bytes()), "{path:?}");
        if let Ok(reference) = &reference {
            let theirs = read(reference.command(), path);
            assert_eq!(text(&theirs.stderr), text(&ours.stderr), "{path:?}");
            assert_eq!(theirs.status.code(), ours.status.code(), "{path:?}");
        }
    }
}
