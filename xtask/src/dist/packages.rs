//! Distribution packages, made by tools that read the manifest of `sockdiag-cli`
//! (`package.metadata.deb`, `package.metadata.generate-rpm`).

use std::path::PathBuf;
use std::process::{Command, Stdio};

use sockdiag_testkit::Why;

use super::{Dist, done};
use crate::bench::cargo;

/// The packaging tools and their versions.
const CARGO_DEB: (&str, &str) = ("cargo-deb", "3.8.0");
const CARGO_GENERATE_RPM: (&str, &str) = ("cargo-generate-rpm", "0.21.1");

/// The package revision of this version.
const REVISION: &str = "1";

/// The package for Debian and its derivatives.
pub(super) fn deb(dist: &mut Dist) -> Result<PathBuf, Why> {
    dist.shared()?;
    let path = dist.directory.join(format!("sockdiag_{}-{REVISION}_amd64.deb", dist.version));
    let mut command = Command::new(tool(CARGO_DEB)?);
    command.args(["--quiet", "--package", "sockdiag-cli", "--no-build", "--no-strip"]);
    command.args(["--deb-revision", REVISION, "--output"]).arg(&path);
    // The tool would print the file's name, which this chore prints itself.
    done(command.env("SOURCE_DATE_EPOCH", dist.time.to_string()).stdout(Stdio::null()))?;
    Ok(path)
}

/// The package for Fedora, RHEL and similar distributions.
pub(super) fn rpm(dist: &mut Dist) -> Result<PathBuf, Why> {
    dist.shared()?;
    let path = dist.directory.join(format!("sockdiag-{}-{REVISION}.x86_64.rpm", dist.version));
    let mut command = Command::new(tool(CARGO_GENERATE_RPM)?);
    command.args(["generate-rpm", "--package", "crates/cli", "--source-date"]).arg(dist.time.to_string());
    done(command.arg("--output").arg(&path))?;
    Ok(path)
}

/// A packaging tool of this version, installed if it is missing: in the cache, so that another
/// clone finds it.  Unoptimised it builds in a minute instead of several, and it runs for
/// seconds only.
fn tool((name, version): (&str, &str)) -> Result<PathBuf, Why> {
    let root = fetched()?.join("tools").join(format!("{name}-{version}"));
    let program = root.join("bin").join(name);
    if !program.exists() {
        let mut command = cargo();
        command.args(["install", "--quiet", "--locked", "--debug", "--version", version, "--root"]);
        command.arg(&root).arg(name).env("CARGO_PROFILE_DEV_DEBUG", "false");
        // The variable would redirect this build.
        done(command.env_remove("CARGO_TARGET_DIR"))?;
    }
    Ok(program)
}

/// The cache directory, the same as in tools/reference-ss.
fn fetched() -> Result<PathBuf, Why> {
    let of = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = || of("XDG_CACHE_HOME").or_else(|| Some(of("HOME")?.join(".cache")));
    let place = of("RIG_WORK").or_else(|| Some(cache()?.join("sockdiag-reference")));
    place.ok_or_else(|| Why::new("HOME is not set, so there is no place for the packagers"))
}
