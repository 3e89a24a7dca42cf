//! What the program and the pure crates are made of, by `cargo tree`: `ss` stays
//! as small as it was, and what does no I/O depends on nothing that does.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends with what it did not expect")]

use std::collections::BTreeSet;
use std::process::Command;

use sockdiag_testkit::skip;

/// Everything outside the workspace that the program is made of.
const SS: &[&str] = &[
    "adler2",
    "bitflags",
    "cfg-if",
    "crc32fast",
    "csv-core",
    "errno",
    "flate2",
    "itoa",
    "libc",
    "linux-raw-sys",
    "memchr",
    "miniz_oxide",
    "roff",
    "rustix",
    "serde",
    "serde_core",
    "serde_json",
    "simd-adler32",
    "zmij",
];

/// Crates without I/O, and all that each may depend on.
const PURE: &[(&str, &[&str])] =
    &[("sockdiag-wire", &[]), ("sockdiag-options", &[]), ("sockdiag-facts", &["itoa", "sockdiag-wire"])];

/// The packages that a package is made of, as it is built to be shipped, or
/// `None` after reporting a skip.
fn made_of(package: &str) -> Option<BTreeSet<String>> {
    // Set for the tests that cargo runs; others may have no cargo.
    let Some(cargo) = std::env::var_os("CARGO") else {
        skip::report("no cargo here");
        return None;
    };
    let out = Command::new(cargo)
        .args(["tree", "--locked", "--offline", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(["--package", package, "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"))
        .output()
        .expect("cargo runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let names = text.lines().filter_map(|line| line.split(' ').next()).filter(|name| *name != package);
    Some(names.map(str::to_owned).collect())
}

#[test]
fn ss_has_gained_no_dependency() {
    let Some(parts) = made_of("sockdiag-ss") else { return };
    let outside = parts.iter().map(String::as_str).filter(|name| !name.starts_with("sockdiag"));
    let (outside, known): (BTreeSet<&str>, BTreeSet<&str>) =
        (outside.collect(), SS.iter().copied().collect());
    let gained: Vec<_> = outside.difference(&known).collect();
    let lost: Vec<_> = known.difference(&outside).collect();
    assert!(gained.is_empty(), "a dependency that ss must not have: {gained:?}");
    assert!(lost.is_empty(), "no longer a dependency, so take it off the list: {lost:?}");
}

#[test]
fn what_does_no_io_depends_on_nothing_that_does() {
    for (package, may) in PURE {
        let Some(parts) = made_of(package) else { return };
        let strange: Vec<_> = parts.iter().filter(|name| !may.contains(&name.as_str())).collect();
        assert!(strange.is_empty(), "{package} depends on {strange:?}");
    }
}
