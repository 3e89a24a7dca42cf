//! What is printed can be asked for: every value that any form prints of a field
//! is taken in a condition on it, and holds for the socket that it came from.
//!
//! Values come from recordings of real kernels, from crafted answers and from live
//! sockets, never from the parser.  Each row is asked for once, by all that all forms
//! say of it together; one condition after the other is tried only where that fails.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use sockdiag::fields::{Catalog, Field, Needs};
use sockdiag_testkit::skip;

use super::sources::{self, Source};

/// A condition as it would be pasted, and the field that it tests.
type Condition = (String, String);

/// A socket, and what forms say of it.
struct Row {
    /// Its line of JSON.
    line: String,
    /// What tells it from the others.
    identity: String,
    conditions: BTreeSet<Condition>,
}

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
fn of_json(prefix: &str, object: &serde_json::Map<String, Value>, conditions: &mut BTreeSet<Condition>) {
    for (key, value) in object {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        // Text that was cut is the beginning of what holds.
        if key.ends_with("_truncated") || object.contains_key(&format!("{key}_truncated")) {
            continue;
        }
        match name.strip_suffix("_hex") {
            // The bytes of a text that no string can hold.
            Some(name) => of_hex(name, value, conditions),
            None if object.contains_key(&format!("{key}_hex")) => {}
            None => of_value(&name, value, conditions),
        }
    }
}

fn of_hex(name: &str, value: &Value, conditions: &mut BTreeSet<Condition>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| of_hex(name, value, conditions)),
        Value::String(hex) => {
            let byte = |pair: &[u8]| [r"\x", std::str::from_utf8(pair).expect("hex")].concat();
            let text: String = hex.as_bytes().chunks(2).map(byte).collect();
            conditions.insert((name.to_owned(), format!("{name} = \"{text}\"")));
        }
        _ => {}
    }
}

fn of_value(name: &str, value: &Value, conditions: &mut BTreeSet<Condition>) {
    let text = match value {
        Value::Object(object) => return of_json(name, object, conditions),
        Value::Array(values) => {
            return values.iter().for_each(|value| of_value(name, value, conditions));
        }
        Value::Null => return,
        Value::String(text) => pasted(text, false),
        other => other.to_string(),
    };
    conditions.insert((name.to_owned(), format!("{name} = {text}")));
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

/// A column that every row has, between any two of aligned columns, so that it is known
/// where each of them begins and ends.
const BETWEEN: &str = "netid";

/// The cells of aligned columns, of which every other is [`BETWEEN`]; the first is that.
fn aligned(lines: &[String]) -> Vec<Vec<String>> {
    let Some((header, rows)) = lines.split_first() else { return Vec::new() };
    let starts: Vec<usize> = header
        .match_indices(BETWEEN)
        .map(|(at, _)| at)
        .filter(|at| header[..*at].ends_with(' ') || *at == 0)
        .filter(|at| matches!(header.as_bytes().get(at + BETWEEN.len()), None | Some(b' ')))
        .collect();
    // By letters, of which some take two columns.
    let spread = |line: &String| -> Vec<char> {
        let wide = |letter: char| matches!(letter, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{d7a3}' | '\u{ff00}'..='\u{ff60}');
        line.chars()
            .flat_map(|letter| std::iter::once(letter).chain(wide(letter).then_some('\0')))
            .collect()
    };
    let rows: Vec<Vec<char>> = rows.iter().map(spread).collect();
    let first = |row: &[char]| row.iter().take_while(|letter| **letter != ' ').count();
    let width = rows.iter().map(|row| first(row)).max().unwrap_or(0).max(BETWEEN.len());
    let cell = |row: &[char], from: usize, to: usize| {
        let part = row.get(from + width..to.min(row.len())).unwrap_or_default();
        let text: String = part.iter().filter(|letter| **letter != '\0').collect();
        text.trim().to_owned()
    };
    let of_row = |row: &Vec<char>| {
        let first = row.iter().take_while(|letter| **letter != ' ').collect();
        let others = starts.windows(2).map(|pair| cell(row, pair[0], pair[1]));
        std::iter::once(first).chain(others).collect()
    };
    rows.iter().map(of_row).collect()
}

/// Names of all fields, and of the members of their records, each once; short ones too,
/// by which columns have units.
fn names() -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let catalog = Catalog::shared();
    // What needs two looks is refused.
    let of_one_look = |field: &&Field| !field.needs.has(Needs::TWO_LOOKS);
    for field in catalog.fields().filter(of_one_look) {
        let members = field.kind.members().iter().map(|member| format!("{}.{}", field.name, member.name));
        let last = field.name.rsplit('.').next().unwrap_or(field.name);
        let short = last.char_indices().filter(|(_, letter)| *letter == '_').map(|(at, _)| &last[..at]);
        let is_it = |short: &&str| {
            catalog.named(short).is_ok_and(|named| named.field.name == field.name && named.without_unit)
        };
        let short = short.filter(is_it).map(str::to_owned);
        for name in std::iter::once(field.name.to_owned()).chain(members).chain(short) {
            if !names.contains(&name) && name != BETWEEN {
                names.push(name);
            }
        }
    }
    names
}

/// A cell, as it is pasted.
fn of_cell(name: &str, cell: &str) -> Condition {
    (name.to_owned(), format!("{name} = {}", pasted(cell, true)))
}

/// What tells a socket from others, by fields that every form has.
const IDENTITY: [&str; 3] = ["socket.netid", "socket.inode", "socket.cookie"];

/// What all forms say of all rows, which are those of JSON.
fn rows(source: &Source<'_>) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for line in source.json(&[]).unwrap_or_else(|why| panic!("{}: {why}", source.name)) {
        let Ok(Value::Object(object)) = serde_json::from_str(&line) else { panic!("{line}") };
        let mut conditions = BTreeSet::new();
        of_json("", &object, &mut conditions);
        let identity = IDENTITY.map(|name| plain(&object["socket"][&name["socket.".len()..]])).join(" ");
        rows.push(Row { line, identity, conditions });
    }
    let listed =
        |words: &[&str]| source.lines(words).unwrap_or_else(|why| panic!("{} {words:?}: {why}", source.name));
    // All fields that say anything.
    let all = names();
    let mut said = vec![false; all.len()];
    for line in listed(&["-H", "--csv", "--columns", &all.join(",")]) {
        said.iter_mut().zip(cells(&line)).for_each(|(said, cell)| *said |= !cell.is_empty());
    }
    let mut names: Vec<String> = IDENTITY.map(str::to_owned).to_vec();
    let reported = all.into_iter().zip(said).filter(|(_, said)| *said).map(|(name, _)| name);
    names.extend(reported.filter(|name| !IDENTITY.contains(&name.as_str())));
    // In forms for programs short names have the cells of full ones.
    let full: Vec<String> = names.iter().filter(|name| name.contains('.')).cloned().collect();
    let columns = full.join(",");
    // What a form says of the rows, with the identity of each; the same as often as there
    // are rows of that identity.
    let mut add = |form: Vec<(String, BTreeSet<Condition>)>| {
        let mut of_form: BTreeMap<String, Vec<BTreeSet<Condition>>> = BTreeMap::new();
        for (identity, conditions) in form {
            of_form.entry(identity).or_default().push(conditions);
        }
        for row in rows.iter_mut().rev() {
            let said = of_form.get_mut(&row.identity).and_then(Vec::pop);
            row.conditions.extend(said.into_iter().flatten());
        }
    };
    let of_row = |names: &[String], cells: &[String], absent: &str| {
        let there = names.iter().zip(cells).filter(|(_, cell)| *cell != absent);
        let conditions = there.map(|(name, cell)| of_cell(name, cell));
        (cells[..IDENTITY.len()].join(" "), conditions.collect::<BTreeSet<_>>())
    };
    let csv = listed(&["-H", "--csv", "--columns", &columns]);
    add(csv.iter().map(|line| of_row(&full, &cells(line), "")).collect());
    let tsv = listed(&["-H", "--tsv", "--columns", &columns]);
    let parts = |line: &String| line.split('\t').map(str::to_owned).collect::<Vec<_>>();
    add(tsv.iter().map(|line| of_row(&full, &parts(line), "")).collect());
    let flat = listed(&["-H", "--jsonl", "--columns", &columns]);
    let of_flat = |line: &String| {
        let Ok(Value::Object(row)) = serde_json::from_str(line) else { panic!("{line}") };
        let mut conditions = BTreeSet::new();
        of_json("", &row, &mut conditions);
        (IDENTITY.map(|name| plain(row.get(name).unwrap_or(&Value::Null))).join(" "), conditions)
    };
    add(flat.iter().filter(|line| line.contains(IDENTITY[0])).map(of_flat).collect());
    let people = names[1..].iter().flat_map(|name| [BETWEEN, name]);
    let people: Vec<&str> = people.chain([BETWEEN]).collect();
    let people = aligned(&listed(&["--columns", &people.join(",")]));
    add(people.iter().map(|cells| of_row(&names, cells, "-")).collect());
    rows
}

/// A value as CSV has it.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Those of the conditions that do not hold where all together should, and what comes of
/// each.
fn wrong<'c>(
    holds: &dyn Fn(&str) -> Result<bool, String>,
    conditions: &[&'c str],
) -> Vec<(&'c str, Result<bool, String>)> {
    let outcome = if conditions.is_empty() { Ok(true) } else { holds(&conditions.join(" and ")) };
    match (outcome, conditions) {
        (Ok(true), _) => Vec::new(),
        (outcome, [condition]) => vec![(condition, outcome)],
        _ => {
            let (some, others) = conditions.split_at(conditions.len() / 2);
            [wrong(holds, some), wrong(holds, others)].concat()
        }
    }
}

/// What is wrong with the values of a source, and the fields that had some.
fn check(source: &Source<'_>) -> (String, BTreeSet<String>) {
    let (mut report, mut found) = (String::new(), BTreeSet::new());
    for row in rows(source) {
        found.extend(row.conditions.iter().map(|(field, _)| field.clone()));
        let holds =
            |filter: &str| source.json(&["--", filter]).map(|lines| lines.contains(&row.line));
        let all: Vec<&str> = row.conditions.iter().map(|(_, condition)| condition.as_str()).collect();
        for (condition, outcome) in wrong(&holds, &all) {
            let _ = writeln!(report, "{}: {}: {condition}: {outcome:?}", source.name, row.identity);
        }
    }
    (report, found)
}

#[test]
fn what_recordings_print_holds_for_their_sockets() {
    let mut sources = sources::golden("printed");
    for more in [sources::families("printed"), sources::crafted("printed")] {
        match more {
            Ok(more) => sources.extend(more),
            Err(why) => skip!("{why}"),
        }
    }
    let all = Mutex::new((String::new(), BTreeSet::new()));
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(source) = sources.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (report, found) = check(source);
                    let mut all = all.lock().expect("no other failed");
                    all.0.push_str(&report);
                    all.1.extend(found);
                }
            });
        }
    });
    let (report, found) = all.into_inner().expect("none failed");
    assert!(report.is_empty(), "{report}");
    assert!(found.len() > 350, "only {} fields were told: {found:?}", found.len());
}
