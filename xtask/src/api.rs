//! `cargo xtask api`: lists the public items of the library `sockdiag` and compares the list
//! with docs/api.txt.
//!
//! rustdoc reports them as JSON, for the library and for the crate whose items it re-exports.
//! A module or item hidden from the documentation is meant for this repository's programs and
//! not counted.  A re-exported item is counted where it is re-exported.
//!
//! Invariant: a variant or field belongs to its type, and is listed but not counted.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use sockdiag_testkit::Why;

use crate::bench::{cargo, workspace};
use crate::dist;
use crate::fail::failed;

/// What may follow the chore's name.
pub(crate) const WORDS: &str = "[--write]";
/// The help text.
pub(crate) const DOC: &str = "\
Compare the public items of the library with docs/api.txt, and fail if they differ or
if there are more than 317.
--write          write docs/api.txt anew.";

/// The largest allowed number of items: a third of 951.
const MOST: usize = 317;
/// The crates and their file names in rustdoc's output; the first is the library.
const CRATES: [(&str, &str); 2] = [("sockdiag", "sockdiag"), ("sockdiag-facts", "sockdiag_facts")];
/// The supported format version of rustdoc's JSON.
const FORMAT: u64 = 57;

/// Runs the chore.
pub(crate) fn run(words: &[String]) -> Result<(), Why> {
    let writes = match words {
        [] => false,
        [word] if word == "--write" => true,
        _ => return Err(Why::new(format!("{} is not a valid argument; usage: {WORDS}", words.join(" ")))),
    };
    let Some(crates) = documents()? else { return Ok(()) };
    let mut items = Items { crates: &crates, found: BTreeMap::new() };
    items.walk()?;
    let lines: Vec<String> = items.found.iter().map(|(path, kind)| format!("{path} {kind}\n")).collect();
    let text = lines.concat();
    let counted = items.found.values().filter(|kind| !matches!(**kind, "field" | "variant")).count();
    println!("{counted} public items, {} with fields and variants", items.found.len());
    let path = workspace()?.join("docs/api.txt");
    if writes {
        return fs::write(&path, text).map_err(|error| failed(&path, &error));
    }
    let known = fs::read_to_string(&path).map_err(|error| failed(&path, &error))?;
    let differing = differing(&known, &text);
    if !differing.is_empty() {
        return Err(Why::new(format!(
            "docs/api.txt differs, `cargo xtask api --write` writes it anew:\n{}",
            differing.join("\n")
        )));
    }
    if counted > MOST {
        return Err(Why::new(format!("more than {MOST} public items")));
    }
    Ok(())
}

/// The lines that only one of the two texts contains.
fn differing(known: &str, found: &str) -> Vec<String> {
    let lacks = |sign: char, of: &str, other: &str| -> Vec<String> {
        let others: Vec<&str> = other.lines().collect();
        of.lines().filter(|line| !others.contains(line)).map(|line| format!("{sign}{line}")).collect()
    };
    [lacks('-', known, found), lacks('+', found, known)].concat()
}

/// rustdoc's JSON by crate; `None` if this rustdoc writes another format version.
fn documents() -> Result<Option<BTreeMap<&'static str, Value>>, Why> {
    let mut documents = BTreeMap::new();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || workspace().map(|workspace| workspace.join("target")),
        |target| Ok(PathBuf::from(target)),
    )?;
    for (package, name) in CRATES {
        let mut command = cargo();
        command.args(["rustdoc", "--quiet", "--package", package, "--lib", "--"]);
        command.args(["-Z", "unstable-options", "--output-format", "json", "--document-hidden-items"]);
        // The JSON format is unstable, so it needs RUSTC_BOOTSTRAP.
        dist::done(command.env("RUSTC_BOOTSTRAP", "1"))?;
        let path = target.join(format!("doc/{name}.json"));
        let bytes = fs::read(&path).map_err(|error| failed(&path, &error))?;
        let document: Value = serde_json::from_slice(&bytes)
            .map_err(|error| Why::new(format!("{} is not understood: {error}", path.display())))?;
        if document["format_version"] != FORMAT {
            println!("PASSED OVER this rustdoc writes form {}, not {FORMAT}", document["format_version"]);
            return Ok(None);
        }
        documents.insert(name, document);
    }
    Ok(Some(documents))
}

/// An item and the crate whose document contains it.
#[derive(Clone, Copy)]
struct Item<'d> {
    of: &'d str,
    value: &'d Value,
}

struct Items<'d> {
    crates: &'d BTreeMap<&'static str, Value>,
    /// Kinds of items by path.
    found: BTreeMap<String, &'static str>,
}

/// An item's id, as a key of the index.
fn key(id: &Value) -> String {
    id.as_u64().map_or_else(String::new, |id| id.to_string())
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().map_or(&[][..], Vec::as_slice).iter()
}

impl<'d> Item<'d> {
    fn name(self) -> &'d str {
        self.value["name"].as_str().unwrap_or_default()
    }

    fn is_public(self) -> bool {
        self.value["visibility"] == "public"
    }

    fn is_hidden(self) -> bool {
        list(&self.value["attrs"]).any(|attr| attr.to_string().contains("doc(hidden)"))
    }

    /// The kind of the item, and its details.
    fn inner(self) -> (&'d str, &'d Value) {
        let inner = self.value["inner"].as_object().and_then(|inner| inner.iter().next());
        inner.map_or(("", &Value::Null), |(kind, value)| (kind.as_str(), value))
    }
}

impl<'d> Items<'d> {
    fn walk(&mut self) -> Result<(), Why> {
        let (of, document) =
            self.crates.get_key_value("sockdiag").ok_or_else(|| Why::new("nothing is documented"))?;
        let root = &document["index"][key(&document["root"])];
        self.item(Item { of, value: root }, "sockdiag");
        if self.found.is_empty() { Err(Why::new("nothing is public")) } else { Ok(()) }
    }

    /// The item with this id, if it is documented.
    fn find(&self, of: &'d str, id: &Value) -> Option<Item<'d>> {
        let crates: &'d BTreeMap<&'static str, Value> = self.crates;
        let document = crates.get(of)?;
        let id = key(id);
        if let Some(value) = document["index"].get(&id) {
            return Some(Item { of, value });
        }
        // An item of another crate is found by its path.
        let named = document["paths"].get(&id)?;
        let other = document["external_crates"][key(&named["crate_id"])]["name"].as_str()?;
        let (of, document) = crates.get_key_value(other)?;
        let mut paths = document["paths"].as_object()?.iter();
        let (id, _) = paths.find(|(_, known)| {
            known["path"] == named["path"] && known["kind"] == named["kind"] && known["crate_id"] == 0
        })?;
        Some(Item { of, value: document["index"].get(id)? })
    }

    fn each(&mut self, of: &'d str, ids: &Value, take: &mut dyn FnMut(&mut Self, Item<'d>)) {
        for id in list(ids) {
            if let Some(item) = self.find(of, id).filter(|item| !item.is_hidden()) {
                take(self, item);
            }
        }
    }

    fn put(&mut self, path: &str, item: Item<'_>, kind: &'static str) {
        self.found.insert(format!("{path}::{}", item.name()), kind);
    }

    /// Adds a public item at a path, and its members.
    fn item(&mut self, item: Item<'d>, path: &str) {
        let (kind, inner) = item.inner();
        let kind = match kind {
            "module" => "module",
            "struct" | "union" => "struct",
            "enum" => "enum",
            "trait" => "trait",
            "function" => "function",
            "constant" => "constant",
            "static" => "static",
            "type_alias" => "type",
            "macro" => "macro",
            _ => return,
        };
        self.found.insert(path.to_owned(), kind);
        self.each(item.of, &inner["variants"], &mut |all, variant| all.put(path, variant, "variant"));
        for fields in [&inner["kind"]["plain"]["fields"], &inner["kind"]["tuple"]] {
            self.each(item.of, fields, &mut |all, field| {
                if field.is_public() {
                    all.put(path, field, "field");
                }
            });
        }
        self.each(item.of, &inner["impls"], &mut |all, block| {
            let (_, block_of) = block.inner();
            if block_of["trait"].is_null() {
                all.each(block.of, &block_of["items"], &mut |all, method| {
                    if method.is_public() {
                        all.put(path, method, "method");
                    }
                });
            }
        });
        let (is_trait, is_module) = (kind == "trait", kind == "module");
        self.each(item.of, &inner["items"], &mut |all, member| match member.inner() {
            _ if is_trait => all.put(path, member, "method"),
            ("use", used) if is_module => {
                if let Some(target) = all.find(member.of, &used["id"]).filter(|_| member.is_public()) {
                    all.item(target, &format!("{path}::{}", used["name"].as_str().unwrap_or_default()));
                }
            }
            _ if is_module && member.is_public() => all.item(member, &format!("{path}::{}", member.name())),
            _ => {}
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_left_out_and_what_is_used_is_where_it_is_used() {
        let of = |text: &str| -> Value { serde_json::from_str(text).expect("JSON") };
        let library = of(r##"{"root": 0, "external_crates": {"1": {"name": "sockdiag_facts"}},
            "paths": {"9": {"crate_id": 1, "path": ["sockdiag_facts", "Row"], "kind": "struct"}},
            "index": {
            "0": {"name": "sockdiag", "visibility": "public", "attrs": [],
                  "inner": {"module": {"items": [1, 2, 3]}}},
            "1": {"name": "sys", "visibility": "public", "attrs": [{"other": "#[doc(hidden)]"}],
                  "inner": {"module": {"items": [4]}}},
            "2": {"name": null, "visibility": "public", "attrs": [],
                  "inner": {"use": {"name": "Line", "id": 9, "is_glob": false}}},
            "3": {"name": "Sink", "visibility": "public", "attrs": [], "inner": {"trait": {"items": [5]}}},
            "4": {"name": "text", "visibility": "public", "attrs": [], "inner": {"function": {}}},
            "5": {"name": "row", "visibility": "default", "attrs": [], "inner": {"function": {}}}}}"##);
        let facts = of(r#"{"root": 7, "external_crates": {},
            "paths": {"8": {"crate_id": 0, "path": ["sockdiag_facts", "Row"], "kind": "struct"}},
            "index": {
            "8": {"name": "Row", "visibility": "public", "attrs": [],
                  "inner": {"struct": {"kind": {"plain": {"fields": [1, 2]}}, "impls": [3, 6]}}},
            "1": {"name": "names", "visibility": "public", "attrs": [], "inner": {"struct_field": {}}},
            "2": {"name": "past", "visibility": "default", "attrs": [], "inner": {"struct_field": {}}},
            "3": {"name": null, "visibility": "default", "attrs": [],
                  "inner": {"impl": {"trait": null, "items": [4, 5]}}},
            "4": {"name": "value", "visibility": "public", "attrs": [], "inner": {"function": {}}},
            "5": {"name": "own", "visibility": "crate", "attrs": [], "inner": {"function": {}}},
            "6": {"name": null, "visibility": "default", "attrs": [],
                  "inner": {"impl": {"trait": {"path": "Clone"}, "items": [4]}}}}}"#);
        let crates = BTreeMap::from([("sockdiag", library), ("sockdiag_facts", facts)]);
        let mut items = Items { crates: &crates, found: BTreeMap::new() };
        items.walk().expect("it is documented");
        let found: Vec<String> = items.found.iter().map(|(path, kind)| format!("{path} {kind}")).collect();
        let want = [
            "sockdiag module",
            "sockdiag::Line struct",
            "sockdiag::Line::names field",
            "sockdiag::Line::value method",
            "sockdiag::Sink trait",
            "sockdiag::Sink::row method",
        ];
        assert_eq!(found, want);
        assert_eq!(differing("a x\nb x\n", "b x\nc x\n"), ["-a x", "+c x"]);
    }
}
