//! The components of the programs, as a CycloneDX document.
//!
//! Source: CycloneDX 1.5, JSON.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use sockdiag_testkit::Why;

use super::{Dist, failed};

/// The document.
pub(super) fn sbom(dist: &mut Dist) -> Result<PathBuf, Why> {
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock");
    let lock = fs::read_to_string(lock).map_err(|error| Why::new(format!("{lock}: {error}")))?;
    let sums = checksums(&lock);
    let packages = crate::install::packages()?;
    let components: Vec<Value> = packages.iter().map(|package| component(package, &sums)).collect();
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "name": "sockdiag",
                "version": dist.version,
                "licenses": [{ "expression": "MIT OR Apache-2.0" }],
            },
        },
        "components": components,
    });
    let path = dist.file("sbom.cdx.json");
    fs::write(&path, format!("{document:#}\n")).map_err(failed(&path))?;
    Ok(path)
}

fn component(package: &crate::install::Package, sums: &BTreeMap<(String, String), String>) -> Value {
    let (name, version) = (&package.name, &package.version);
    let mut component = json!({
        "type": "library",
        "name": name,
        "version": version,
        "purl": format!("pkg:cargo/{name}@{version}"),
        // Old manifests write a slash for "or".
        "licenses": [{ "expression": package.licence.replace('/', " OR ") }],
    });
    if let Some(sum) = sums.get(&(name.clone(), version.clone())) {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
    }
    component
}

/// The checksums of the packages, from Cargo.lock.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let of_block = |block: &str| {
        let value = |key: &str| {
            let line = block.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""))?;
            Some(line.trim_end_matches('"').to_owned())
        };
        Some(((value("name")?, value("version")?), value("checksum")?))
    };
    lock.split("[[package]]").filter_map(of_block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_lock_file() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0\"\nsource = \"x\"\nchecksum = \"ab\"\n\n\
                    [[package]]\nname = \"ours\"\nversion = \"0.1\"\n";
        let sums = checksums(lock);
        assert_eq!(sums.get(&("a".into(), "1.0".into())).map(String::as_str), Some("ab"));
        assert_eq!(sums.len(), 1);
    }

    #[test]
    fn every_package_has_a_licence_and_a_sum() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock");
        let sums = checksums(&fs::read_to_string(path).expect("the lock file"));
        let packages = crate::install::packages().unwrap_or_else(|why| panic!("{why}"));
        assert!(packages.len() > 20);
        for package in &packages {
            let component = component(package, &sums);
            assert!(
                component["hashes"][0]["content"].as_str().is_some_and(|sum| sum.len() == 64),
                "{component}"
            );
            assert!(component["licenses"][0]["expression"].as_str().is_some_and(|text| !text.is_empty()));
        }
    }
}
