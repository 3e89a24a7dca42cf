//! The reference: the real `ss`, run as a black box.
//!
//! `tools/reference-ss` fetches it from Debian's archive on first use and prints the command
//! that runs it: the archive's program with its own C library and an argument 0 of exactly
//! `ss` (messages about options start with it).  The version is pinned (`tools/pins`).  If the
//! archive has dropped it, that is an error which names the available versions; no other
//! version is ever used.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use crate::pins::{self, Kind};
use crate::{Doing, Why};

/// The Debian suites whose `ss` serves as reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// The newest release, without DCCP; the default reference.
    Sid,
    /// The previous release, with DCCP.
    Forky,
}

impl Suite {
    /// The suite's name, as `SS_REFERENCE_SUITE` expects it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sid => "sid",
            Self::Forky => "forky",
        }
    }

    /// The pinned version of iproute2.
    pub fn expected_version(self) -> Result<String, Why> {
        Ok(pins::of(Kind::Reference, self.name())?.upstream().to_owned())
    }
}

/// The command that runs one reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    words: Vec<String>,
    version: String,
}

impl Reference {
    /// The default reference: [`Suite::Sid`].
    pub fn get() -> Result<Self, Why> {
        Self::of(Suite::Sid)
    }

    /// The reference of a suite, fetched if necessary.  The result, or the failure, is cached
    /// for the life of the process.
    pub fn of(suite: Suite) -> Result<Self, Why> {
        static SID: OnceLock<Result<Reference, Why>> = OnceLock::new();
        static FORKY: OnceLock<Result<Reference, Why>> = OnceLock::new();
        let known = match suite {
            Suite::Sid => &SID,
            Suite::Forky => &FORKY,
        };
        known.get_or_init(|| Self::find(suite)).clone()
    }

    fn find(suite: Suite) -> Result<Self, Why> {
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/reference-ss");
        let shown = tool.display();
        let out = Command::new(&tool)
            .arg("--print-command")
            .env("SS_REFERENCE_SUITE", suite.name())
            .output()
            .doing(format_args!("running {shown}"))?;
        if !out.status.success() {
            let said = String::from_utf8_lossy(&out.stderr);
            return Err(Why::new(format!(
                "{shown} cannot get the reference of {} ({}): {}",
                suite.name(),
                out.status,
                said.trim_end()
            )));
        }
        let printed = String::from_utf8(out.stdout).doing(format_args!("output of {shown}"))?;
        let words: Vec<String> = printed.split_whitespace().map(str::to_owned).collect();
        if !words.first().is_some_and(|program| Path::new(program).is_file()) {
            return Err(Why::new(format!("{shown} printed no command (a path with blanks?): {printed:?}")));
        }
        let mut reference = Self { words, version: String::new() };
        let out = reference.command().arg("-V").output().doing("running the reference")?;
        let said = String::from_utf8_lossy(&out.stdout);
        reference.version = check_version(&suite.expected_version()?, said.trim_end())?;
        Ok(reference)
    }

    /// A command that runs the reference, with argument 0 `ss`.
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.words.first().map_or("", String::as_str));
        command.args(self.words.iter().skip(1));
        command
    }

    /// The reference's version, e.g. `7.3.0`.
    pub fn version(&self) -> &str {
        &self.version
    }
}

/// Parses the line that `-V` prints; returns the version if it is the expected one.
fn check_version(expected: &str, line: &str) -> Result<String, Why> {
    match line.strip_prefix("ss utility, iproute2-") {
        Some(version) if version == expected => Ok(version.to_owned()),
        Some(version) => {
            Err(Why::new(format!("the reference is iproute2 {version}, although {expected} was asked for")))
        }
        None => Err(Why::new(format!("the reference's -V printed {line:?}, not a version of ss"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_refused_with_both_named() {
        assert_eq!(check_version("7.3.0", "ss utility, iproute2-7.3.0"), Ok("7.3.0".to_owned()));
        let moved = check_version("7.3.0", "ss utility, iproute2-7.4.0").unwrap_err().to_string();
        assert!(moved.contains("7.4.0") && moved.contains("7.3.0"), "{moved}");
        assert!(check_version("7.3.0", "ss utility, iproute2-ss200127").is_err());
        assert!(check_version("7.2.0", "").is_err());
    }

    #[test]
    fn the_reference_calls_itself_ss() {
        let reference = match Reference::get() {
            Ok(reference) => reference,
            Err(why) => crate::skip!("{why}"),
        };
        assert_eq!(reference.version(), Suite::Sid.expected_version().unwrap());
        let out = reference.command().arg("-Y").output().unwrap();
        assert!(out.stderr.starts_with(b"ss: invalid option -- 'Y'\n"), "{out:?}");
        assert_eq!(out.status.code(), Some(255));
    }
}
