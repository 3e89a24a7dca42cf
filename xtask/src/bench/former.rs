//! Builds our program at a former commit.
//!
//! Its sources are extracted below the target directory, into a folder named after the commit,
//! and built with a target directory of their own, so that the next run finds them built.
//! This does not use a git worktree, which would have to be registered in the repository and
//! unregistered again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sockdiag_testkit::Why;

use super::{cargo, printed, selected, target};
use crate::install::PROGRAMS;

/// A built program and its commit.
#[derive(Debug)]
pub(super) struct Former {
    /// The commit's full name.
    pub commit: String,
    /// Its `ss`.
    pub program: PathBuf,
}

/// Resolves a commit, given as for git(1), and extracts its files into a folder of the target
/// directory.  Returns its full name and the folder.
pub(crate) fn tree(commit: &str, folder: &str) -> Result<(String, PathBuf), Why> {
    let name = format!("{commit}^{{commit}}");
    let commit =
        printed(Command::new("git").args(["rev-parse", "--quiet", "--verify", "--end-of-options", &name]))
            .map_err(|why| Why::new(format!("{commit:?} is no commit here: {why}")))?;
    let commit = commit.trim().to_owned();
    let folder = target()?.join(folder).join(&commit);
    let tree = folder.join("tree");
    if !tree.is_dir() {
        write_tree(&commit, &folder, &tree)?;
    }
    Ok((commit, tree))
}

/// Builds the program of a commit, given as for git(1).
pub(super) fn build(commit: &str) -> Result<Former, Why> {
    let (commit, tree) = tree(commit, "against")?;
    let built = tree.with_file_name("target");
    // Both programs, as ours are built; early commits have one.
    let programs = if tree.join("crates/cli").is_dir() { &PROGRAMS[..] } else { &PROGRAMS[..1] };
    let status = cargo()
        .args(["build", "--quiet", "--locked", "--release"])
        .args(selected(programs))
        .arg("--manifest-path")
        .arg(tree.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&built)
        .status()
        .map_err(|error| Why::new(format!("running cargo build: {error}")))?;
    if !status.success() {
        return Err(Why::new(format!("cargo build failed in {}", tree.display())));
    }
    Ok(Former { commit, program: built.join("release").join("ss") })
}

/// Extracts the files of a commit; the folder gets its final name only once it is complete.
fn write_tree(commit: &str, folder: &Path, tree: &Path) -> Result<(), Why> {
    let failed = |error| Why::new(format!("making {}: {error}", folder.display()));
    let root = printed(Command::new("git").args(["rev-parse", "--show-toplevel"]))?;
    let (index, half) = (folder.join("index"), folder.join("tree.half"));
    let _ = fs::remove_dir_all(&half);
    fs::create_dir_all(&half).map_err(failed)?;
    // Uses a separate index, so that the repository's own does not change.
    let git = |words: &[&str]| {
        let mut git = Command::new("git");
        git.current_dir(root.trim_end()).env("GIT_INDEX_FILE", &index).args(words);
        printed(&mut git)
    };
    git(&["read-tree", commit])?;
    git(&["checkout-index", "--all", &format!("--prefix={}/", half.display())])?;
    fs::rename(&half, tree).map_err(failed)?;
    fs::remove_file(&index).map_err(failed)
}
