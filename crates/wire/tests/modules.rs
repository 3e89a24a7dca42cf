//! The modules of this crate must not depend on each other in a cycle.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends with what it did not expect")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The modules that each module uses, except in tests and comments.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let paths = files.map(|file| file.unwrap().path()).filter(|path| path.extension() == Some("rs".as_ref()));
    let module = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    paths
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            let named = lines.flat_map(|line| line.split("crate::").skip(1)).map(|rest| {
                rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default()
            });
            let own = module(&path);
            let others = named.filter(|name| *name != own && !name.is_empty()).map(str::to_owned);
            let others = others.collect();
            (own, others)
        })
        .collect()
}

#[test]
fn imports_form_no_circle() {
    let mut left = imports();
    assert!(left.len() > 25 && left["inet_diag"].contains("tcp_info"), "{left:?}");
    // Repeatedly removes modules that depend on no remaining one; a cycle would remain.
    while !left.is_empty() {
        let names: BTreeSet<String> = left.keys().cloned().collect();
        left.retain(|_, others| others.iter().any(|other| names.contains(other)));
        assert!(left.len() < names.len(), "these are in a circle, or depend on one: {left:#?}");
    }
}
