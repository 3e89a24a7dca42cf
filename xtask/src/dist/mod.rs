//! `cargo xtask dist`: makes all downloads of a release, in `target/dist`.
//!
//! Programs are built once, placed below a directory as `install` does, and packed: a package
//! contains exactly what `install` installs.  Every timestamp in an archive is that of the
//! commit, every path is relative, and files are sorted by name, so that the same commit gives
//! the same bytes.

mod checks;
mod image;
mod packages;
mod sbom;
mod sums;
mod tarball;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sockdiag_testkit::Why;

use crate::install::of_third_parties;
use tree::Tree;

/// What may follow the chore's name.
pub(crate) const WORDS: &str = "[deb|rpm|tarball|static|image|sbom]...";
/// The help text.
pub(crate) const DOC: &str = "\
Make what is downloaded, in target/dist: a .deb (cargo-deb), a .rpm
(cargo-generate-rpm), tarballs with install.sh, of the static programs too, an OCI
image that holds the static programs alone, a list of what the programs are made of
(SBOM, CycloneDX), the licences of third parties, and SHA256SUMS.  Only those that
are named, or all.  The packagers are built when they are missing, and kept beside what
else is fetched.";

/// The parts of a release.
const PARTS: &[(&str, Make)] = &[
    ("deb", packages::deb),
    ("rpm", packages::rpm),
    ("tarball", tarball::shared),
    ("static", tarball::of_static),
    ("image", image::image),
    ("sbom", sbom::sbom),
];

type Make = fn(&mut Dist) -> Result<PathBuf, Why>;

/// A release under construction.
struct Dist {
    /// The output directory.
    directory: PathBuf,
    version: &'static str,
    /// The time of the commit, in seconds since 1970.
    time: u64,
    /// The licences of third-party code.
    third_parties: String,
    shared: Option<Tree>,
    alone: Option<Tree>,
}

/// Runs the chore.
pub(crate) fn run(words: &[String]) -> Result<(), Why> {
    for word in words {
        if !PARTS.iter().any(|(name, _)| name == word) {
            return Err(Why::new(format!("{word} is not a valid argument; usage: {WORDS}")));
        }
    }
    // The package manifests name files there, whatever the target directory is.
    let directory = crate::bench::workspace()?.join("target/dist");
    let _ = fs::remove_dir_all(&directory);
    make_directory(&directory)?;
    let mut dist = Dist {
        directory,
        version: env!("CARGO_PKG_VERSION"),
        time: time()?,
        third_parties: of_third_parties()?,
        shared: None,
        alone: None,
    };
    let mut made = Vec::new();
    for (name, make) in PARTS {
        if words.is_empty() || words.iter().any(|word| word == name) {
            made.push(make(&mut dist)?);
        }
    }
    made.push(dist.third_parties()?);
    made.push(sums::write(&dist.directory, &made)?);
    for path in made {
        println!("{}", path.display());
    }
    Ok(())
}

impl Dist {
    /// The dynamically linked programs and their accompanying files.
    fn shared(&mut self) -> Result<&Tree, Why> {
        if self.shared.is_none() {
            self.shared = Some(Tree::shared(&self.directory.join("tree"), &self.third_parties)?);
        }
        self.shared.as_ref().ok_or_else(|| Why::new("there are no programs"))
    }

    /// The same with statically linked programs.
    fn alone(&mut self) -> Result<&Tree, Why> {
        if self.alone.is_none() {
            let shared = self.shared()?.clone();
            self.alone = Some(Tree::alone(&self.directory.join("static"), &shared)?);
        }
        self.alone.as_ref().ok_or_else(|| Why::new("there are no programs"))
    }

    /// A file with only the licences.
    fn third_parties(&self) -> Result<PathBuf, Why> {
        let path = self.directory.join("THIRD-PARTY");
        fs::write(&path, &self.third_parties).map_err(failed(&path))?;
        Ok(path)
    }

    /// The path of an output file for this version.
    fn file(&self, ending: &str) -> PathBuf {
        self.directory.join(format!("sockdiag-{}-{ending}", self.version))
    }
}

/// The time of the commit; `SOURCE_DATE_EPOCH` overrides it.
fn time() -> Result<u64, Why> {
    if let Some(time) = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|time| time.parse().ok()) {
        return Ok(time);
    }
    let out = Command::new("git").args(["log", "-1", "--format=%ct"]).output();
    let out = out.map_err(|error| Why::new(format!("running git: {error}")))?;
    String::from_utf8_lossy(&out.stdout)
        .trim()
        .parse()
        .map_err(|_| Why::new("there is no commit and no SOURCE_DATE_EPOCH"))
}

fn make_directory(path: &Path) -> Result<(), Why> {
    fs::create_dir_all(path).map_err(failed(path))
}

/// Turns an I/O error on a file into a sentence.
fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> Why + use<> {
    let path = path.to_owned();
    move |error| crate::fail::failed(&path, &error)
}

/// Runs a command that prints its own errors.
pub(crate) fn done(command: &mut Command) -> Result<(), Why> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().map_err(|error| Why::new(format!("running {name}: {error}")))?;
    if status.success() { Ok(()) } else { Err(Why::new(format!("{name} ended with {status}"))) }
}
