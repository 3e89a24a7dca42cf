//! `cargo xtask reproduce`: checks that the same commit, built and packed in two directories,
//! gives the same bytes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use sockdiag_testkit::Why;

use crate::bench::{cargo, printed, tree, workspace};
use crate::dist;

/// The help text.
pub(crate) const DOC: &str = "\
Make what `dist` makes, here and once more from a copy of the same commit in
another directory, and compare every file.  Nothing that git knows may have
been changed since the commit.";

/// Runs the chore.
pub(crate) fn run(words: &[String]) -> Result<(), Why> {
    let here = workspace()?;
    crate::release::committed()?;
    dist::run(words)?;
    let (commit, there) = tree("HEAD", "reproduce")?;
    let time = printed(Command::new("git").args(["log", "-1", "--format=%ct"]))?;
    let mut command = cargo();
    command.args(["run", "--quiet", "--package", "xtask", "--", "dist"]).args(words).current_dir(&there);
    // The copy has no git repository to take the time from.
    command.env("SOURCE_DATE_EPOCH", time.trim()).env_remove("CARGO_TARGET_DIR");
    dist::done(&mut command)?;
    let (ours, theirs) = (sums(&here)?, sums(&there)?);
    let differing = differing(&ours, &theirs);
    if differing.is_empty() {
        println!(
            "{} files of {commit} are the same in {} and {}",
            ours.len(),
            here.display(),
            there.display()
        );
        return Ok(());
    }
    Err(Why::new(format!("{} and {} differ in {}", here.display(), there.display(), differing.join(", "))))
}

/// Checksums by file name.
type Sums = BTreeMap<String, String>;

/// The checksums that `dist` wrote.
fn sums(workspace: &Path) -> Result<Sums, Why> {
    let path = workspace.join("target/dist/SHA256SUMS");
    let text = fs::read_to_string(&path).map_err(|error| crate::fail::failed(&path, &error))?;
    let sums = text.lines().filter_map(|line| line.split_once("  "));
    Ok(sums.map(|(sum, name)| (name.to_owned(), sum.to_owned())).collect())
}

/// Files that differ, or that exist in only one place.
fn differing<'a>(ours: &'a Sums, theirs: &'a Sums) -> Vec<&'a str> {
    let lacking = theirs.keys().filter(|name| !ours.contains_key(*name));
    let others = ours.iter().filter(|(name, sum)| theirs.get(*name) != Some(*sum));
    others.map(|(name, _)| name).chain(lacking).map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_that_differs_is_named() {
        let of = |pairs: &[(&str, &str)]| -> Sums {
            pairs.iter().map(|(name, sum)| ((*name).to_owned(), (*sum).to_owned())).collect()
        };
        let ours = of(&[("a", "1"), ("b", "2"), ("c", "3")]);
        assert!(differing(&ours, &ours).is_empty());
        assert_eq!(differing(&ours, &of(&[("a", "1"), ("b", "3"), ("d", "4")])), ["b", "c", "d"]);
    }
}
