//! This package's programs and the library's examples, for tests of any package.
//!
//! Cargo tells only a package's own integration tests where its programs are, so they are
//! built here on first use: into the target directory and with the profile of the running
//! test, where an up-to-date program costs a tenth of a second.  On machines without cargo, and
//! where they are built already, `SOCKDIAG_TESTKIT_BINS` names a directory with the programs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::{Doing, Why};

/// The path of `sockdiag-zoo` or another program of this package.
pub fn program(name: &str) -> Result<PathBuf, Why> {
    static DIRECTORY: OnceLock<Result<PathBuf, Why>> = OnceLock::new();
    let build = || directory("the test kit's programs", &["--package", "sockdiag-testkit", "--bins"]);
    existing(DIRECTORY.get_or_init(build).clone()?.join(name))
}

/// The path of one of the library's examples.
pub fn example(name: &str) -> Result<PathBuf, Why> {
    static DIRECTORY: OnceLock<Result<PathBuf, Why>> = OnceLock::new();
    let build = || directory("the examples", &["--package", "sockdiag", "--examples"]);
    existing(DIRECTORY.get_or_init(build).clone()?.join("examples").join(name))
}

/// A program of another package of the workspace, built like the running test.
pub fn of(package: &str, name: &str) -> Result<PathBuf, Why> {
    existing(directory(package, &["--package", package, "--bin", name])?.join(name))
}

fn existing(path: PathBuf) -> Result<PathBuf, Why> {
    if path.is_file() {
        return Ok(path);
    }
    Err(Why::new(format!("there is no program {}", path.display())))
}

fn directory(what: &str, choice: &[&str]) -> Result<PathBuf, Why> {
    if let Some(ready) = std::env::var_os("SOCKDIAG_TESTKIT_BINS") {
        return Ok(ready.into());
    }
    let exe = std::env::current_exe().doing("finding the running program")?;
    let (target, profile) = place(&exe)
        .ok_or_else(|| Why::new(format!("{} does not lie in a target directory", exe.display())))?;
    let flag = match profile {
        "debug" => "dev",
        other => other,
    };
    // Cargo sets CARGO for the tests it runs.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let out = Command::new(cargo)
        .args(["build", "--quiet", "--profile", flag])
        .args(choice)
        .arg("--manifest-path")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        .stdin(Stdio::null())
        .output()
        .doing(format_args!("running cargo build for {what}"))?;
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr);
        return Err(Why::new(format!("cargo build of {what} failed:\n{said}")));
    }
    Ok(target.join(profile))
}

/// Splits `TARGET/PROFILE[/deps]/PROGRAM` into the target directory and the profile.
fn place(exe: &Path) -> Option<(&Path, &str)> {
    let mut profile = exe.parent()?;
    if profile.file_name()? == "deps" {
        profile = profile.parent()?;
    }
    Some((profile.parent()?, profile.file_name()?.to_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_directory_is_read_off_the_path() {
        let at =
            |path| place(Path::new(path)).map(|(target, profile)| (target.to_owned(), profile.to_owned()));
        assert_eq!(at("/t/debug/deps/x-1"), Some(("/t".into(), "debug".into())));
        assert_eq!(at("/t/release/x"), Some(("/t".into(), "release".into())));
        assert_eq!(at("x"), None);
    }

    #[test]
    fn the_programs_are_there() {
        let names = [
            "sockdiag-zoo",
            "sockdiag-holder",
            "sockdiag-owners",
            "sockdiag-churn",
            "sockdiag-brief",
            "sockdiag-noise",
            "sockdiag-actor",
        ];
        for name in names {
            assert!(program(name).unwrap().is_file());
        }
        assert!(program("sockdiag-none").is_err());
        assert!(example("top_talkers").is_ok_and(|path| path.is_file()));
    }
}
