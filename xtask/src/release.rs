//! `cargo xtask release`: runs the checklist of docs/releasing.md, step by step.
//!
//! A step is a row of [`STEPS`]; the first failing step ends the run.  The steps left to a
//! person (tag, signature, upload) are printed at the end and never done.

use std::fs;
use std::process::Command;

use sockdiag_testkit::Why;

use crate::bench::{cargo, printed, workspace};
use crate::dist::done;

/// What may follow the chore's name.
pub(crate) const WORDS: &str = "[version|committed|ci|publish|reproduce|deb|files]...";
/// The help text.
pub(crate) const DOC: &str = "\
Walk through what docs/releasing.md asks for before a release, or through those
steps that are named, and stop at the first that fails.  Nothing is tagged,
signed or uploaded.  All of it takes an hour, root and the network.";

/// A condition for a release.
struct Step {
    name: &'static str,
    doc: &'static str,
    check: fn() -> Result<(), Why>,
}

const STEPS: &[Step] = &[
    Step {
        name: "version",
        doc: "Cargo.toml, CHANGELOG.md and packaging/deb/changelog have the same version, and CHANGELOG.md has a date.",
        check: version,
    },
    Step {
        name: "committed",
        doc: "The working tree has no uncommitted changes to tracked files.",
        check: committed,
    },
    Step { name: "ci", doc: "`.ci/run` passes.", check: || done(Command::new("bash").arg(".ci/run")) },
    Step {
        name: "publish",
        doc: "The crates are ready to publish: `cargo publish --workspace --dry-run`.",
        check: || done(cargo().args(["publish", "--workspace", "--dry-run", "--locked"])),
    },
    Step {
        name: "reproduce",
        doc: "Two builds in two directories give the same files: `cargo xtask reproduce`.",
        check: || crate::reproduce::run(&[]),
    },
    Step {
        name: "deb",
        doc: "The package is installed, upgraded and removed in Debian 12 and 13: `tools/try-deb`.",
        check: deb,
    },
    Step {
        name: "files",
        doc: "Tarballs, static programs, image, rpm and checksums are correct: `tools/try-dist`.",
        check: || done(&mut Command::new("tools/try-dist")),
    },
];

/// The remaining steps.
const BY_HAND: &str = "\
Left to do by hand:
  git tag --sign v{} && git push --tags
  gpg --armor --detach-sign target/dist/SHA256SUMS
  upload target/dist/* but its directories
  cargo publish --workspace";

/// Runs the chore.
pub(crate) fn run(words: &[String]) -> Result<(), Why> {
    for word in words {
        if !STEPS.iter().any(|step| step.name == word) {
            return Err(Why::new(format!("{word} is not a valid argument; usage: {WORDS}")));
        }
    }
    std::env::set_current_dir(workspace()?).map_err(|error| Why::new(format!("the workspace: {error}")))?;
    for Step { name, doc, check } in STEPS {
        if words.is_empty() || words.iter().any(|word| word == name) {
            println!("== {name}: {doc}");
            check().map_err(|why| Why::new(format!("{name}: {why}")))?;
        }
    }
    println!("{}", BY_HAND.replace("{}", env!("CARGO_PKG_VERSION")));
    Ok(())
}

fn version() -> Result<(), Why> {
    let read = |name: &str| fs::read_to_string(name).map_err(|error| Why::new(format!("{name}: {error}")));
    dated(env!("CARGO_PKG_VERSION"), &read("CHANGELOG.md")?, &read("packaging/deb/changelog")?)
        .map_err(Why::new)
}

/// Whether both changelogs begin with this version, and the first has a date.
fn dated(version: &str, changelog: &str, debian: &str) -> Result<(), String> {
    let heading = changelog.lines().find_map(|line| line.strip_prefix("## ")).unwrap_or_default();
    let date = heading.strip_prefix(version).map(|rest| rest.trim().trim_matches(['(', ')']));
    let is_date = |text: &str| {
        let parts: Vec<&str> = text.split('-').collect();
        parts.iter().map(|part| part.len()).eq([4, 2, 2])
            && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if !date.is_some_and(is_date) {
        return Err(format!(
            "CHANGELOG.md begins with {heading:?}, not with {version} and a date (YYYY-MM-DD)"
        ));
    }
    let heading = debian.lines().next().unwrap_or_default();
    if !heading.starts_with(&format!("sockdiag ({version}-")) {
        return Err(format!("packaging/deb/changelog begins with {heading:?}, not with {version}"));
    }
    Ok(())
}

/// Fails if a tracked file has changed since the last commit.
pub(crate) fn committed() -> Result<(), Why> {
    let changed = printed(Command::new("git").args(["status", "--porcelain", "--untracked-files=no"]))?;
    if changed.is_empty() {
        return Ok(());
    }
    Err(Why::new(format!("not everything is committed:\n{}", changed.trim_end())))
}

fn deb() -> Result<(), Why> {
    let package = format!("target/dist/sockdiag_{}-1_amd64.deb", env!("CARGO_PKG_VERSION"));
    for suite in ["bookworm", "trixie"] {
        done(Command::new("tools/try-deb").args([&package, suite]))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checklist_and_the_steps_are_the_same() {
        let listed: Vec<String> = include_str!("../../docs/releasing.md")
            .lines()
            .filter_map(|line| line.split_once(". **")?.1.split_once("** "))
            .map(|(name, doc)| format!("{name}: {doc}"))
            .collect();
        let steps: Vec<String> = STEPS.iter().map(|step| format!("{}: {}", step.name, step.doc)).collect();
        assert_eq!(listed, steps);
        let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        assert_eq!(WORDS, format!("[{}]...", names.join("|")));
    }

    #[test]
    fn a_release_has_a_date_and_one_version() {
        let debian = "sockdiag (1.2.0-1) unstable; urgency=medium\n";
        assert_eq!(dated("1.2.0", "# Changelog\n\n## 1.2.0 (2026-11-29)\n## 1.1.0 (x)\n", debian), Ok(()));
        for (changelog, debian, want) in [
            ("## 1.2.0 (unreleased)", debian, "CHANGELOG.md"),
            ("## 1.2.0", debian, "CHANGELOG.md"),
            ("## 1.1.0 (2026-11-29)", debian, "CHANGELOG.md"),
            ("", debian, "CHANGELOG.md"),
            ("## 1.2.0 (2026-11-29)", "sockdiag (1.1.0-1) unstable", "packaging/deb/changelog"),
        ] {
            let why = dated("1.2.0", changelog, debian).expect_err(changelog);
            assert!(why.starts_with(want), "{why}");
        }
    }
}
