//! The licences of third-party code in the programs: a line for each package, then each text
//! once, with the packages that use it.
//!
//! The packages are those that cargo builds into the programs; texts come from the packages'
//! own directories.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use sockdiag_testkit::Why;

/// Whether a file of a package contains a licence or a required notice.
fn is_licence(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE", "COPYRIGHT"]
        .iter()
        .any(|word| name.starts_with(word))
}

/// A package that the programs contain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// The licence, as in its manifest.
    pub(crate) licence: String,
    /// The address of its repository.
    pub(crate) address: String,
}

/// The third-party packages that the programs contain, by name.
pub(crate) fn packages() -> Result<BTreeSet<Package>, Why> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let out = Command::new(cargo)
        .args(["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none"])
        .args(["--package", "sockdiag-ss", "--package", "sockdiag-cli", "--format", "{p}\t{l}\t{r}"])
        .args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
        .output()
        .map_err(|error| Why::new(format!("running cargo tree: {error}")))?;
    if !out.status.success() {
        return Err(Why::new(format!("cargo tree: {}", String::from_utf8_lossy(&out.stderr))));
    }
    Ok(String::from_utf8_lossy(&out.stdout).lines().filter_map(third_party).collect())
}

/// The text to install.
pub(crate) fn of_third_parties() -> Result<String, Why> {
    let mut text = String::from(
        "ss and sockdiag contain the Rust standard library (MIT OR Apache-2.0) and these packages, under the\n\
         licences named; the texts follow.\n\n",
    );
    let packages = packages()?;
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for Package { name, version, licence, address } in packages {
        let package = format!("{name} v{version}");
        let _ = writeln!(text, "{package} ({licence}) {address}");
        let directory = directory_of(&package)?;
        let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
        for file in entries.filter(|entry| is_licence(&entry.file_name().to_string_lossy())) {
            if let Ok(licence) = fs::read_to_string(file.path()) {
                texts.entry(licence).or_default().push(package.clone());
            }
        }
    }
    for (licence, packages) in texts {
        let _ = write!(text, "\n---- {} ----\n\n{licence}", packages.join(", "));
    }
    Ok(text)
}

/// Parses a package; `None` if it is ours.
fn third_party(line: &str) -> Option<Package> {
    let mut parts = line.split('\t');
    let (package, licence, address) = (parts.next()?, parts.next()?, parts.next()?);
    // Packages of this workspace are followed by their path; `(*)` marks a repetition.
    let is_ours = package.contains('(') || package.starts_with("sockdiag");
    let package = package.trim_end_matches(" (*)").trim_end_matches(" (proc-macro)");
    let (name, version) = package.split_once(" v").filter(|_| !is_ours)?;
    Some(Package {
        name: name.to_owned(),
        version: version.to_owned(),
        licence: licence.to_owned(),
        address: address.trim_end_matches(" (*)").to_owned(),
    })
}

/// The directory where cargo unpacked `NAME vVERSION`.
fn directory_of(package: &str) -> Result<PathBuf, Why> {
    let sources = crate::bench::cargo_home().map(|home| home.join("registry/src"));
    let name = package.replacen(" v", "-", 1);
    let registries = sources.iter().flat_map(fs::read_dir).flatten().flatten();
    let mut directories = registries.map(|registry| registry.path().join(&name));
    let found = directories.find(|directory| directory.is_dir());
    found.ok_or_else(|| Why::new(format!("the sources of {package} are not there: run cargo fetch")))
}
