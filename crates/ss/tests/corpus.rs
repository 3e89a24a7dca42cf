//! Inputs that the fuzzers kept, each given to its target again.
//!
//! The targets are those of `fuzz/`, compiled here as they stand; how the
//! corpus came about is told in `docs/fuzzing.md`.

use std::fs;
use std::io::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "../../../fuzz/src/targets/mod.rs"]
mod targets;

use targets::TARGETS;

/// Unpacks the corpus: a directory for each target.
fn unpacked() -> PathBuf {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("corpus");
    let _ = fs::remove_dir_all(&scratch);
    fs::create_dir_all(&scratch).unwrap_or_else(|why| panic!("{}: {why}", scratch.display()));
    // Python's library reads xz by itself.
    let output = Command::new("python3")
        .args(["-c", "import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus.tar.xz"))
        .arg(&scratch)
        .output()
        .expect("python3 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    scratch
}

#[test]
fn every_kept_input_passes() {
    let corpus = unpacked();
    let (mut inputs, mut bad) = (0, Vec::new());
    for (name, target) in TARGETS {
        let directory = corpus.join(name);
        let entries = fs::read_dir(&directory).unwrap_or_else(|why| panic!("{}: {why}", directory.display()));
        let mut count = 0;
        for entry in entries {
            let path = entry.expect("it can be listed").path();
            let bytes = fs::read(&path).expect("it was just unpacked");
            if catch_unwind(AssertUnwindSafe(|| target(&bytes))).is_err() {
                bad.push(path);
            }
            count += 1;
        }
        assert!(count >= 5, "{name}: only {count} inputs");
        inputs += count;
    }
    assert!(bad.is_empty(), "{} inputs fail, the first: {}", bad.len(), bad[0].display());
    let _ = writeln!(io::stderr(), "corpus: {inputs} inputs of {} targets", TARGETS.len());
}

/// A target without a program is never run, nor one that the manifest lacks.
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
