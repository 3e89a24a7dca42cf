//! `cargo xtask install` and `cargo xtask docs`: the program with everything
//! that goes with it, and the pages that the repository shows.
//!
//! All texts come from the programs themselves (`ss --generate`, `sockdiag
//! generate`), so they say what this build can do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sockdiag_testkit::Why;

use crate::bench::{build, build_sockdiag};

/// For the list of chores.
pub(crate) const WORDS: &str = "[--prefix DIR]";
/// For the list of chores.
pub(crate) const DOC: &str = "\
Build ss and sockdiag as they are shipped and install them below DIR
(/usr/local), with their manual pages and completions for bash, zsh and fish.";
/// For the list of chores.
pub(crate) const DOCS_DOC: &str = "Write docs/options.md and docs/fields.md anew.";

/// What is made, and where it goes below the prefix.
const FILES: &[(&str, &str)] = &[
    ("man", "share/man/man8/ss.8"),
    ("man-filter", "share/man/man7/ss-filter.7"),
    ("man-fields", "share/man/man7/ss-fields.7"),
    ("bash", "share/bash-completion/completions/ss"),
    ("zsh", "share/zsh/site-functions/_ss"),
    ("fish", "share/fish/vendor_completions.d/ss.fish"),
];

/// Does the chore `install`.
pub(crate) fn run(words: &[String]) -> Result<(), Why> {
    let prefix = match words {
        [] => PathBuf::from("/usr/local"),
        [word] if word.starts_with("--prefix=") => PathBuf::from(word.trim_start_matches("--prefix=")),
        [word, directory] if word == "--prefix" => PathBuf::from(directory),
        _ => return Err(Why::new(format!("install knows {WORDS}"))),
    };
    let ours = build()?;
    program(&ours, &prefix.join("bin/ss"))?;
    for (what, place) in FILES {
        let path = prefix.join(place);
        write(&ours, what, &path)?;
        println!("{}", path.display());
    }
    let sockdiag = build_sockdiag()?;
    program(&sockdiag, &prefix.join("bin/sockdiag"))?;
    // It knows where its own files belong, and lists them.
    let status = Command::new(&sockdiag)
        .args(["generate", "all", "--prefix"])
        .arg(&prefix)
        .status()
        .map_err(|error| Why::new(format!("running {}: {error}", sockdiag.display())))?;
    if status.success() { Ok(()) } else { Err(Why::new(format!("sockdiag generate ended with {status}"))) }
}

/// Installs a program: not over a running program's file, but beside it, then in
/// its place.
fn program(built: &Path, place: &Path) -> Result<(), Why> {
    parent(place)?;
    let beside = place.with_extension("new");
    fs::copy(built, &beside)
        .and_then(|_| fs::rename(&beside, place))
        .map_err(|error| Why::new(format!("installing {}: {error}", place.display())))?;
    println!("{}", place.display());
    Ok(())
}

/// Does the chore `docs`.
pub(crate) fn docs(_: &[String]) -> Result<(), Why> {
    let ours = build()?;
    for what in ["options", "fields"] {
        write(&ours, what, Path::new("docs").join(format!("{what}.md")).as_path())?;
    }
    Ok(())
}

fn parent(path: &Path) -> Result<(), Why> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(directory)
        .map_err(|error| Why::new(format!("making {}: {error}", directory.display())))
}

fn write(ours: &Path, what: &str, path: &Path) -> Result<(), Why> {
    let out = Command::new(ours)
        .arg(format!("--generate={what}"))
        .output()
        .map_err(|error| Why::new(format!("running {}: {error}", ours.display())))?;
    if !out.status.success() {
        return Err(Why::new(format!("--generate={what} ended with {}", out.status)));
    }
    parent(path)?;
    fs::write(path, out.stdout).map_err(|error| Why::new(format!("writing {}: {error}", path.display())))
}
