//! Packages of distributions, by the packagers that the manifests of `sockdiag-cli`
//! speak to (`package.metadata.deb`, `package.metadata.generate-rpm`).

use std::path::PathBuf;
use std::process::Command;

use sockdiag_testkit::Why;

use super::{Dist, done};
use crate::bench::cargo;

/// The packagers, and their versions.
const CARGO_DEB: (&str, &str) = ("cargo-deb", "3.8.0");
const CARGO_GENERATE_RPM: (&str, &str) = ("cargo-generate-rpm", "0.21.1");

/// The package of Debian and what descends from it.
pub(super) fn deb(dist: &mut Dist) -> Result<PathBuf, Why> {
    dist.shared()?;
    let path = dist.directory.join(format!("sockdiag_{}_amd64.deb", dist.version));
    let mut command = Command::new(tool(CARGO_DEB)?);
    command.args(["--quiet", "--package", "sockdiag-cli", "--no-build", "--no-strip", "--deb-revision", ""]);
    done(command.arg("--output").arg(&path).env("SOURCE_DATE_EPOCH", dist.time.to_string()))?;
    Ok(path)
}

/// The package of Fedora, RHEL and their like.
pub(super) fn rpm(dist: &mut Dist) -> Result<PathBuf, Why> {
    dist.shared()?;
    let path = dist.directory.join(format!("sockdiag-{}-1.x86_64.rpm", dist.version));
    let mut command = Command::new(tool(CARGO_GENERATE_RPM)?);
    command.args(["generate-rpm", "--package", "crates/cli", "--source-date"]).arg(dist.time.to_string());
    done(command.arg("--output").arg(&path))?;
    Ok(path)
}

/// A packager of this version, installed where it is missing.
fn tool((name, version): (&str, &str)) -> Result<PathBuf, Why> {
    let root = crate::bench::target()?.join("tools").join(format!("{name}-{version}"));
    let program = root.join("bin").join(name);
    if !program.exists() {
        let mut command = cargo();
        command.args(["install", "--quiet", "--locked", "--version", version, "--root"]).arg(&root).arg(name);
        // In the way of what builds this.
        done(command.env_remove("CARGO_TARGET_DIR"))?;
    }
    Ok(program)
}
