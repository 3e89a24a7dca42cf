//! The licences of what others wrote and the programs contain: each package's line,
//! then each text once, with the packages that it comes with.
//!
//! What counts is what cargo builds the programs of; texts are those in the packages'
//! own directories.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sockdiag_testkit::Why;

/// A file of a package that holds a licence or what has to be said besides.
fn is_licence(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE", "COPYRIGHT"]
        .iter()
        .any(|word| name.starts_with(word))
}

/// The text that is installed.
pub(super) fn of_third_parties() -> Result<String, Why> {
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
    let mut text = String::from(
        "ss and sockdiag contain the Rust standard library (MIT OR Apache-2.0) and these packages, under the\n\
         licences named; the texts follow.\n\n",
    );
    let listed = String::from_utf8_lossy(&out.stdout).into_owned();
    let packages: BTreeSet<(&str, &str, &str)> = listed.lines().filter_map(third_party).collect();
    let mut texts: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (package, licence, address) in packages {
        let _ = writeln!(text, "{package} ({licence}) {address}");
        let directory = directory_of(package)?;
        let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
        for file in entries.filter(|entry| is_licence(&entry.file_name().to_string_lossy())) {
            if let Ok(licence) = fs::read_to_string(file.path()) {
                texts.entry(licence).or_default().push(package);
            }
        }
    }
    for (licence, packages) in texts {
        let _ = write!(text, "\n---- {} ----\n\n{licence}", packages.join(", "));
    }
    Ok(text)
}

/// Name with version, licence and address of a package that is not ours.
fn third_party(line: &str) -> Option<(&str, &str, &str)> {
    let mut parts = line.split('\t');
    let (package, licence, address) = (parts.next()?, parts.next()?, parts.next()?);
    // Packages of this workspace have their path behind them; `(*)` was there before.
    let is_ours = package.contains('(') || package.starts_with("sockdiag");
    let package = package.trim_end_matches(" (*)").trim_end_matches(" (proc-macro)");
    (!is_ours && !package.is_empty()).then_some((package, licence, address.trim_end_matches(" (*)")))
}

/// Where cargo unpacked `NAME vVERSION`.
fn directory_of(package: &str) -> Result<PathBuf, Why> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cargo")));
    let sources = home.map(|home| home.join("registry/src"));
    let name = package.replacen(" v", "-", 1);
    let registries = sources.iter().flat_map(fs::read_dir).flatten().flatten();
    let mut directories = registries.map(|registry| registry.path().join(&name));
    let found = directories.find(|directory| directory.is_dir());
    found.ok_or_else(|| Why::new(format!("the sources of {package} are not there: run cargo fetch")))
}
