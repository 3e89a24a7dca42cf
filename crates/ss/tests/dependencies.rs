//! The allowed dependencies of each crate, checked with `cargo tree`: crates without I/O
//! depend on no crate with I/O, and `ss` on no further external crate.
//!
//! An external crate is added to these lists only with a reason.

#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use sockdiag_testkit::skip;

/// The direct and indirect dependencies of each crate, on one platform and with all features.
/// None of the crates before `sockdiag` does I/O.
const MAY_HAVE: [(&str, &[&str]); 5] = [
    ("sockdiag-wire", &[]),
    ("sockdiag-options", &[]),
    ("sockdiag-facts", &["itoa", "sockdiag-wire"]),
    ("sockdiag", &SOCKDIAG),
    ("sockdiag-ss", &SS),
];

const SOCKDIAG: [&str; 10] = [
    "adler2",
    "bitflags",
    "errno",
    "itoa",
    "libc",
    "linux-raw-sys",
    "miniz_oxide",
    "rustix",
    "sockdiag-facts",
    "sockdiag-wire",
];

const SS: [&str; 21] = [
    "adler2",
    "bitflags",
    "csv-core",
    "errno",
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
    "sockdiag",
    "sockdiag-facts",
    "sockdiag-guide",
    "sockdiag-options",
    "sockdiag-render",
    "sockdiag-wire",
    "zmij",
];

/// On other platforms rustix has other dependencies.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The dependencies that cargo reports for a package, or why it cannot.
fn built_from(package: &str) -> Result<BTreeSet<String>, String> {
    // Cargo sets CARGO for the tests it runs; there may be no other cargo.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let out = Command::new(cargo)
        .args(["tree", "--offline", "--locked", "--all-features", "--edges", "normal,build"])
        .args(["--prefix", "none", "--format", "{p}", "--package", package, "--target", TARGET])
        .args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("no cargo here: {error}"))?;
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "cargo tree for {package}: {said}");
    let text = String::from_utf8(out.stdout).expect("names of packages");
    let names = text.lines().filter_map(|line| line.split(' ').next()).filter(|name| !name.is_empty());
    let mut names: BTreeSet<String> = names.map(str::to_owned).collect();
    assert!(names.remove(package), "{package} is not in its own tree: {text}");
    Ok(names)
}

/// Crates that draw on terminals, and the packages that may depend on them.
const OF_THE_SCREEN: [&str; 3] = ["ratatui", "crossterm", "signal-hook"];

#[test]
fn only_the_screen_draws_on_terminals() {
    for package in ["sockdiag-ss", "sockdiag", "sockdiag-render", "sockdiag-screen", "sockdiag-cli"] {
        let found = match built_from(package) {
            Ok(found) => found,
            Err(why) => skip!("{why}"),
        };
        let drawing: Vec<_> = OF_THE_SCREEN.iter().filter(|name| found.contains(**name)).collect();
        match package {
            "sockdiag-cli" => assert_eq!(drawing.len(), OF_THE_SCREEN.len()),
            // It makes frames but does not access a terminal.
            "sockdiag-screen" => assert_eq!(drawing, [&"ratatui"]),
            _ => assert!(drawing.is_empty(), "{package} is built from {drawing:?}"),
        }
        let reads_kernel = found.contains("sockdiag") || found.contains("rustix");
        assert!(package != "sockdiag-screen" || !reads_kernel, "the screen asks no kernel");
    }
}

#[test]
fn crates_depend_on_what_they_may() {
    for (package, allowed) in MAY_HAVE {
        let found = match built_from(package) {
            Ok(found) => found,
            Err(why) => skip!("{why}"),
        };
        let allowed: BTreeSet<String> = allowed.iter().map(|name| (*name).to_owned()).collect();
        let new: Vec<_> = found.difference(&allowed).collect();
        assert!(new.is_empty(), "{package} depends on {new:?} by now");
        // Lists must not allow dependencies that nobody needs any more.
        let gone: Vec<_> = allowed.difference(&found).collect();
        assert!(gone.is_empty(), "{package} depends on {gone:?} no more");
    }
}

/// The newest glibc that a program may need: that of RHEL 9.
const GLIBC: (u32, u32) = (2, 34);

/// The glibc symbol versions that a program needs.
fn versions(program: &std::path::Path) -> Result<BTreeSet<(u32, u32)>, String> {
    let out = Command::new("readelf").args(["--version-info", "--wide"]).arg(program).output();
    let out = out.map_err(|error| format!("no readelf here: {error}"))?;
    assert!(out.status.success(), "{out:?}");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let needed = text.split("Name: GLIBC_").skip(1).filter_map(|rest| rest.split_whitespace().next());
    let parsed = needed.filter_map(|version| {
        let mut numbers = version.split('.').map(|number| number.parse().ok());
        Some((numbers.next()??, numbers.next()??))
    });
    Ok(parsed.collect())
}

/// `.ci/run` checks the release builds, which it makes.
#[test]
fn no_newer_glibc_is_needed() {
    if !cfg!(target_env = "gnu") {
        skip!("this is no glibc");
    }
    let found = match versions(std::path::Path::new(env!("CARGO_BIN_EXE_ss"))) {
        Ok(found) => found,
        Err(why) => skip!("{why}"),
    };
    assert!(found.len() > 2, "{found:?}");
    let newer: Vec<_> = found.iter().filter(|version| **version > GLIBC).collect();
    assert!(newer.is_empty(), "needs GLIBC {newer:?}");
}
