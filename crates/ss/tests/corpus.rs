//! Runs the inputs that the fuzzers kept through their targets again.
//!
//! The targets are those of `fuzz/`, compiled here unchanged; `docs/fuzzing.md` describes how
//! the corpus was made.

#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

use std::fs;
use std::io::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;

#[path = "../../../fuzz/src/targets/mod.rs"]
mod targets;

use targets::TARGETS;

/// A kept input: its target, its file name, its bytes.
struct Kept {
    target: String,
    name: String,
    bytes: Vec<u8>,
}

/// Everything in the archive.
fn kept() -> Vec<Kept> {
    // Python's standard library can read xz.
    let output = Command::new("python3")
        .args(["-c", "import lzma, sys; sys.stdout.buffer.write(lzma.open(sys.argv[1]).read())"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus.tar.xz"))
        .output()
        .expect("python3 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = |field: &[u8]| {
        String::from_utf8_lossy(field.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
    };
    let mut kept = Vec::new();
    let mut rest = output.stdout.as_slice();
    // A file's header takes one block, its content whole blocks; a header without a name ends
    // the archive.
    while let Some((head, after)) = rest.split_first_chunk::<BLOCK>().filter(|(head, _)| head[0] != 0) {
        let size = usize::from_str_radix(text(&head[124..136]).trim(), 8).expect("a size in octal");
        let name = text(&head[..100]);
        let (target, name) = name.split_once('/').unwrap_or_else(|| panic!("{name} is of no target"));
        let (target, name) = (target.to_owned(), name.to_owned());
        kept.push(Kept { target, name, bytes: after[..size].to_vec() });
        rest = &after[size.next_multiple_of(BLOCK)..];
    }
    kept
}

/// Size of a block of a tar archive.
const BLOCK: usize = 512;

#[test]
fn every_kept_input_passes() {
    let kept = kept();
    let mut bad = Vec::new();
    for Kept { target, name, bytes } in &kept {
        let known = TARGETS.iter().find(|(name, _)| name == target);
        let (_, run) = known.unwrap_or_else(|| panic!("{target}: no such target"));
        if catch_unwind(AssertUnwindSafe(|| run(bytes))).is_err() {
            bad.push(format!("{target}/{name}"));
        }
    }
    for (target, _) in TARGETS {
        let count = kept.iter().filter(|kept| kept.target == *target).count();
        assert!(count >= 5, "{target}: only {count} inputs");
    }
    assert!(bad.is_empty(), "{} inputs fail: {bad:?}", bad.len());
    let _ = writeln!(io::stderr(), "corpus: {} inputs of {} targets", kept.len(), TARGETS.len());
}

/// Every target has a program and a manifest entry; otherwise it would never run.
#[test]
fn every_target_has_its_program() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).expect("a file of the repository");
    for (name, _) in TARGETS {
        let program = fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs"))).unwrap_or_default();
        assert!(program.contains(&format!("targets::{name}(data)")), "{name} has no program");
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name} is not built");
    }
}
