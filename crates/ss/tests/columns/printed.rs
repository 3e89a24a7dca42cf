//! What is printed can be asked for: every value that any form prints of a field
//! is taken in a condition on it, and holds for the socket that it came from.
//!
//! Values come from recordings of real kernels and from live sockets, never from
//! the parser.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use sockdiag::fields::{Catalog, Field, Needs};
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::zoo::Zoo;

use super::OURS;

/// Where sockets are.
enum Source<'s> {
    Recording(&'s Path),
    Live(&'s Namespace),
}

impl Source<'_> {
    /// What a run prints on stdout; what it says on stderr where it fails.
    fn run(&self, words: &[&str]) -> Result<String, String> {
        let mut command = match self {
            Self::Recording(path) => {
                let mut command = Command::new(OURS);
                command.env_clear().env("TCPDIAG_FILE", path);
                command
            }
            Self::Live(namespace) => namespace.command(OURS),
        };
        let out = command.args(words).output().map_err(|error| error.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if out.status.success() { Ok(text(&out.stdout)) } else { Err(text(&out.stderr)) }
    }

    /// Options that list all there is, with all that is known of it.
    fn options(&self) -> &'static [&'static str] {
        match self {
            Self::Recording(_) => &["-tanemioH", "--tos", "--cgroup", "--inet-sockopt", "--exposure"],
            Self::Live(..) => &["-anemiopH", "--tos", "--cgroup", "--inet-sockopt", "--exposure"],
        }
    }

    fn listing(&self, more: &[&str]) -> Result<Vec<String>, String> {
        let words = [self.options(), more].concat();
        Ok(self.run(&words)?.lines().map(str::to_owned).collect())
    }
}

/// A condition as it would be pasted, and the field that it tests.
type Condition = (String, String);

/// A text between quotes; `escaped`: what it holds are escapes already.
fn quoted(text: &str, escaped: bool) -> String {
    let text = if escaped { text.to_owned() } else { text.replace('\\', "\\\\") };
    format!("\"{}\"", text.replace('"', "\\\""))
}

/// A value as it is pasted: with quotes only where it needs them.
fn pasted(text: &str, escaped: bool) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "_./:@%+-*".contains(letter);
    if text.chars().all(plain) && !text.is_empty() && text != "-" {
        text.to_owned()
    } else {
        quoted(text, escaped)
    }
}

/// The conditions that the members of a JSON object are.
fn of_json(prefix: &str, object: &serde_json::Map<String, Value>, conditions: &mut Vec<Condition>) {
    for (key, value) in object {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        if key.ends_with("_hex") || object.contains_key(&format!("{key}_hex")) {
            // The bytes of a text that no string can hold.
            if let (Some(hex), Some(name)) = (value.as_str(), name.strip_suffix("_hex")) {
                let byte = |pair: &[u8]| [r"\x", std::str::from_utf8(pair).expect("hex")].concat();
                let text: String = hex.as_bytes().chunks(2).map(byte).collect();
                conditions.push((name.to_owned(), format!("{name} = \"{text}\"")));
            }
            continue;
        }
        match value {
            Value::Object(object) => of_json(&name, object, conditions),
            Value::Array(elements) => {
                for element in elements {
                    match element {
                        Value::Object(record) => of_json(&name, record, conditions),
                        Value::Null => {}
                        element => conditions.push((name.clone(), format!("{name} = {}", scalar(element)))),
                    }
                }
            }
            Value::Null => {}
            value => conditions.push((name.clone(), format!("{name} = {}", scalar(value)))),
        }
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => pasted(text, false),
        other => other.to_string(),
    }
}

/// The cells of a line of CSV.
fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut cell, mut inside) = (Vec::new(), String::new(), false);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if inside && letters.peek() == Some(&'"') => {
                letters.next();
                cell.push('"');
            }
            '"' => inside = !inside,
            ',' if !inside => cells.push(std::mem::take(&mut cell)),
            letter => cell.push(letter),
        }
    }
    cells.push(cell);
    cells
}

/// Whether every value of a row holds for it, and which do not: `again` finds the
/// row among those that a filter leaves.
fn wrong(
    source: &Source<'_>,
    form: &[&str],
    row: &str,
    conditions: &[Condition],
    found: &mut BTreeSet<String>,
) -> Vec<String> {
    let holds = |filter: &str| {
        let words = [form, &["--", filter]].concat();
        source.listing(&words).map(|lines| lines.iter().any(|line| line == row))
    };
    found.extend(conditions.iter().map(|(field, _)| field.clone()));
    let all: Vec<&str> = conditions.iter().map(|(_, condition)| condition.as_str()).collect();
    if holds(&all.join(" and ")) == Ok(true) {
        return Vec::new();
    }
    let mut wrong = Vec::new();
    for condition in all {
        match holds(condition) {
            Ok(true) => {}
            Ok(false) => wrong.push(format!("{condition}: does not hold")),
            Err(error) => wrong.push(format!("{condition}: {}", error.lines().next().unwrap_or_default())),
        }
    }
    wrong
}

/// Names of all fields, and of the members of their records, each once.
fn names() -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    // What needs two looks is refused.
    let of_one_look = |field: &&Field| !field.needs.has(Needs::TWO_LOOKS);
    for field in Catalog::shared().fields().filter(of_one_look) {
        let members = field.kind.members().iter().map(|member| format!("{}.{}", field.name, member.name));
        for name in std::iter::once(field.name.to_owned()).chain(members) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

/// What is wrong with the values of a recording, and the fields that had some.
fn check(source: &Source<'_>, report: &mut String, found: &mut BTreeSet<String>) {
    let mut complain = |form: &str, row: usize, wrong: Vec<String>| {
        for line in wrong {
            let _ = writeln!(report, "{form}, row {row}: {line}");
        }
    };
    // JSON.
    let json = ["--jsonl"];
    let lines = source.listing(&json).expect("a listing");
    let rows = lines.iter().filter(|line| line.contains("\"socket\":{"));
    for (at, line) in rows.enumerate().step_by(11) {
        let Ok(Value::Object(object)) = serde_json::from_str(line) else { panic!("{line}") };
        let mut conditions = Vec::new();
        of_json("", &object, &mut conditions);
        complain("json", at, wrong(source, &json, line, &conditions, found));
    }
    // CSV and columns: all fields that say anything.
    let all = names().join(",");
    let lines = source.listing(&["--csv", "--columns", &all]).expect("a listing");
    let names: Vec<String> = names()
        .into_iter()
        .enumerate()
        .filter(|(at, _)| lines.iter().any(|line| cells(line).get(*at).is_some_and(|cell| !cell.is_empty())))
        .map(|(_, name)| name)
        .collect();
    let csv = ["--csv", "--columns", &names.join(",")];
    let lines = source.listing(&csv).expect("a listing");
    let aligned: BTreeMap<&String, Vec<String>> = names
        .iter()
        .map(|name| (name, source.listing(&["--columns", name.as_str()]).expect("a column")))
        .collect();
    for (at, line) in lines.iter().enumerate().step_by(9) {
        let condition =
            |name: &String, cell: &str| (name.clone(), format!("{name} = {}", pasted(cell, true)));
        let of_csv: Vec<Condition> = names
            .iter()
            .zip(cells(line))
            .filter(|(_, cell)| !cell.is_empty())
            .map(|(name, cell)| condition(name, &cell))
            .collect();
        complain("csv", at, wrong(source, &csv, line, &of_csv, found));
        let of_columns: Vec<Condition> = aligned
            .iter()
            .filter_map(|(name, column)| Some((*name, column.get(at)?.trim())))
            .filter(|(_, cell)| *cell != "-")
            .map(|(name, cell)| condition(name, cell))
            .collect();
        complain("columns", at, wrong(source, &csv, line, &of_columns, found));
    }
}

#[test]
fn what_recordings_print_holds_for_their_sockets() {
    let golden = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"));
    let (mut report, mut found) = (String::new(), BTreeSet::new());
    for kernel in fs::read_dir(golden).expect("golden").map(|entry| entry.expect("an entry").path()) {
        let recordings =
            fs::read_dir(&kernel).into_iter().flatten().map(|entry| entry.expect("an entry").path());
        for path in recordings.filter(|path| path.extension().is_some_and(|end| end == "rec")) {
            let mut wrong = String::new();
            check(&Source::Recording(&path), &mut wrong, &mut found);
            if !wrong.is_empty() {
                let _ = writeln!(report, "{}:\n{wrong}", path.display());
            }
        }
    }
    assert!(report.is_empty(), "{report}");
    assert!(found.len() > 150, "only {} fields were told: {found:?}", found.len());
}

/// Sockets of every family that this kernel has, with the processes that hold them.
/// Some facts change from one listing to the next: only what two listings agree in
/// has to hold.
#[test]
fn what_live_sockets_print_holds_for_them() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let _zoo = Zoo::start(&namespace, &[]).unwrap_or_else(|why| panic!("{why}"));
    let source = Source::Live(&namespace);
    // The identity of a socket, and what is known of it.
    let rows = || {
        let mut rows: BTreeMap<String, Vec<Condition>> = BTreeMap::new();
        for line in source.listing(&["--jsonl"]).expect("a listing") {
            let Ok(Value::Object(object)) = serde_json::from_str(&line) else { panic!("{line}") };
            if let Some(socket) = object.get("socket") {
                let mut conditions = Vec::new();
                of_json("", &object, &mut conditions);
                rows.insert(identity(socket), conditions);
            }
        }
        rows
    };
    let holds = |filter: &str, identity_of: &str| {
        let words = ["--jsonl", "--", filter];
        let lines = source.listing(&words)?;
        let found = lines.iter().any(|line| {
            let value: Value = serde_json::from_str(line).unwrap_or_default();
            value.get("socket").is_some_and(|socket| identity(socket) == identity_of)
        });
        Ok::<bool, String>(found)
    };
    let before = rows();
    let mut tried: BTreeSet<(String, String)> = BTreeSet::new();
    let (mut report, mut found) = (String::new(), BTreeSet::new());
    for (identity, conditions) in &before {
        // What no other row has said yet.
        let new: Vec<&Condition> =
            conditions.iter().filter(|condition| tried.insert((*condition).clone())).collect();
        found.extend(new.iter().map(|(field, _)| field.clone()));
        let all: Vec<&str> = new.iter().map(|(_, condition)| condition.as_str()).collect();
        if all.is_empty() || holds(&all.join(" and "), identity) == Ok(true) {
            continue;
        }
        for condition in all {
            let outcome = holds(condition, identity);
            let is_still_so =
                || rows().get(identity).is_some_and(|now| now.iter().any(|(_, known)| known == condition));
            if outcome != Ok(true) && (outcome.is_err() || is_still_so()) {
                let _ = writeln!(report, "{identity}: {condition}: {outcome:?}");
            }
        }
    }
    assert!(report.is_empty(), "{report}");
    assert!(found.len() > 100, "only {} fields were told: {found:?}", found.len());
}

/// What tells a socket from the others of a listing.
fn identity(socket: &Value) -> String {
    format!("{} {} {}", socket["netid"], socket["inode"], socket["cookie"])
}
