//! COMPAT.md's tables of every option, value, state, condition and variable are complete, and
//! the tests that they name exist and contain what the row is about.
//!
//! A row reads `| SPELLINGS | TESTS |`: spellings between backquotes; tests as a file and an
//! item in it, which is a function or a list of command lines.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use sockdiag::model::families::FAMILIES;
use sockdiag::model::states::WORDS;
use sockdiag::model::tables::{GROUPS, TABLES};

use sockdiag_options::{OPTIONS, Opt};

/// Letters whose argument is the rest of their word, or the next word.
const TAKE: &[u8] = b"fADFN";

fn file_of(path: &str) -> Option<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).ok()
}

fn read(path: &str) -> String {
    file_of(path).unwrap_or_else(|| panic!("{path} cannot be read"))
}

/// A row of a table.
struct Row {
    spellings: Vec<String>,
    tests: Vec<(String, String)>,
}

/// The rows below each heading.
fn tables() -> BTreeMap<String, Vec<Row>> {
    let text = read("COMPAT.md");
    let (_, part) = text.split_once("\n## Every option").expect("the part is there");
    let part = part.split("\n## ").next().unwrap_or_default();
    let mut tables = BTreeMap::new();
    for table in part.split("\n### ").skip(1) {
        let (heading, rows) = table.split_once('\n').expect("a heading is a line");
        // The line of dashes ends the table's header.
        let (_, rows) = rows.split_once("--- |\n").expect("a table follows");
        let rows = rows.lines().filter(|line| line.starts_with('|')).map(row).collect();
        tables.insert(heading.to_owned(), rows);
    }
    tables
}

fn row(line: &str) -> Row {
    const BAR: &str = "\u{1}";
    let line = line.replace("\\|", BAR);
    let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
    let (Some(first), Some(last)) = (cells.first(), cells.last()) else { panic!("{line}") };
    let tests = spans(last);
    let (pairs, odd) = tests.as_chunks::<2>();
    assert!(odd.is_empty() && !pairs.is_empty(), "tests are a file and an item each: {line}");
    Row {
        spellings: spans(first).into_iter().map(|span| span.replace(BAR, "|")).collect(),
        tests: pairs.iter().map(|[file, item]| (file.clone(), item.clone())).collect(),
    }
}

/// The texts between backquotes.
fn spans(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The text of a top-level function or list of a Rust file, or the whole of a script that
/// contains this function.
fn item(file: &str, name: &str) -> Option<String> {
    if file.starts_with("tools/") {
        return file_of(file).filter(|text| text.contains(&format!("\n{name}() {{")));
    }
    let path = if file.starts_with("crates/") { file.to_owned() } else { format!("crates/ss/tests/{file}") };
    let text = file_of(&path)?;
    let begins = |line: &str| {
        let line = line.strip_prefix("pub(super) ").unwrap_or(line);
        let line = ["fn ", "const ", "static "].iter().find_map(|kind| line.strip_prefix(kind));
        let rest = line.and_then(|line| line.strip_prefix(name));
        rest.is_some_and(|rest| rest.starts_with(['(', ':', '<']))
    };
    let lines: Vec<&str> = text.lines().collect();
    let start = lines.iter().position(|line| begins(line))?;
    let ends =
        |line: &&str| matches!(*line, "}" | "];") || (line.starts_with("const ") && line.ends_with("];"));
    let length = lines.get(start..)?.iter().position(ends)? + 1;
    Some(lines.get(start..start + length)?.join("\n"))
}

/// The texts between quotes, as words.
fn command_lines(text: &str) -> Vec<Vec<&str>> {
    text.split('"').skip(1).step_by(2).map(|literal| literal.split_whitespace().collect()).collect()
}

/// If a word is a cluster of letters with this one, the rest of the word after it.
fn in_cluster(word: &str, letter: u8) -> Option<&str> {
    let letters = word.strip_prefix('-').filter(|letters| !letters.starts_with('-'))?;
    let end = letters.bytes().position(|byte| TAKE.contains(&byte)).map_or(letters.len(), |at| at + 1);
    let at = letters.bytes().take(end).position(|byte| byte == letter)?;
    letters.get(at + 1..)
}

/// Whether an option is given on a command line.
fn gives(line: &[&str], spelling: &str) -> bool {
    let (option, value) =
        spelling.split_once(' ').map_or((spelling, None), |(option, value)| (option, Some(value)));
    line.iter().enumerate().any(|(at, word)| {
        let next = line.get(at + 1).copied().unwrap_or_default();
        let given = match option.as_bytes() {
            [b'-', b'-', ..] => match word.strip_prefix(option) {
                Some("") => Some(next),
                Some(rest) => rest.strip_prefix('='),
                None => None,
            },
            [b'-', letter] => in_cluster(word, *letter).map(|rest| if rest.is_empty() { next } else { rest }),
            _ => None,
        };
        given.is_some_and(|given| value.is_none_or(|value| given.split(',').any(|item| item == value)))
    })
}

/// Whether the text of a test contains what a row is about.
fn holds(text: &str, spelling: &str) -> bool {
    // An escaped quote does not end a literal.
    let text = &text.replace("\\\"", "");
    if spelling.starts_with('-') {
        return command_lines(text).iter().any(|line| gives(line, spelling));
    }
    if spelling.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_') {
        // A whole word: PROC_NET_TCP is not PROC_NET_TCP6.
        return text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == spelling);
    }
    command_lines(text).iter().flatten().any(|word| *word == spelling)
}

fn spellings(rows: &[Row]) -> BTreeSet<&str> {
    rows.iter().flat_map(|row| row.spellings.iter().map(String::as_str)).collect()
}

/// Checks that a table has exactly these rows.
fn complete<'a>(tables: &BTreeMap<String, Vec<Row>>, heading: &str, all: impl Iterator<Item = &'a str>) {
    let rows = tables.get(heading).unwrap_or_else(|| panic!("no table {heading}"));
    let all: BTreeSet<&str> = all.collect();
    let has = spellings(rows);
    let missing: Vec<_> = all.difference(&has).collect();
    let strange: Vec<_> = has.difference(&all).collect();
    assert!(missing.is_empty(), "{heading}: without a row: {missing:?}");
    assert!(strange.is_empty(), "{heading}: rows of nothing: {strange:?}");
}

/// The broken rows of a document's tables: rows without a heading above them (an empty line
/// ends a table), and rows with a different number of cells.
fn broken_rows(text: &str) -> Vec<&str> {
    let cells = |line: &str| line.replace("\\|", "").matches('|').count();
    let is_row = |line: &&str| line.starts_with('|');
    let lines: Vec<&str> = text.lines().collect();
    let tables = lines.chunk_by(|a, b| is_row(a) == is_row(b)).filter(|chunk| chunk.iter().all(is_row));
    let mut broken = Vec::new();
    for table in tables {
        match table {
            [heading, dashes, rows @ ..] if dashes.starts_with("| --- |") => {
                let wrong = |line: &&&str| cells(line) != cells(heading) || !line.ends_with('|');
                broken.extend([dashes].into_iter().chain(rows).filter(wrong).copied());
            }
            headless => broken.extend(headless.iter().copied()),
        }
    }
    broken
}

#[test]
fn every_row_stands_in_a_table() {
    let text = read("COMPAT.md");
    assert_eq!(broken_rows(&text), [""; 0]);
    assert!(text.matches("\n| --- |").count() >= 9, "the tables are there");
    for (text, broken) in [
        ("| a | b |\n| --- | --- |\n| c | `d\\|e` |\n", &[][..]),
        ("| a | b |\n| --- | --- |\n| c | d |\n\n| e | f |\n| g | h |\n", &["| e | f |", "| g | h |"]),
        ("| a | b |\n| --- | --- |\n| c |\n", &["| c |"]),
        ("| a | b |\n| --- | --- |\n| c | d\n", &["| c | d"]),
    ] {
        assert_eq!(broken_rows(text), broken, "{text}");
    }
}

#[test]
fn every_option_has_a_row() {
    let tables = tables();
    let mut options: Vec<String> = vec!["-f help".into()];
    // Our own options have rows under "Added", except one that the reference once had.
    let theirs =
        |option: &&Opt| !option.is_extension() || option.long == ["dccp"] || option.long == ["explain"];
    for option in OPTIONS.iter().filter(theirs) {
        options.extend(option.short.chars().map(|letter| format!("-{letter}")));
        options.extend(option.long.iter().map(|name| format!("--{name}")));
    }
    complete(&tables, "Options", options.iter().map(String::as_str));
    let families = FAMILIES.iter().map(|facts| format!("-f {}", facts.name));
    let names = TABLES.iter().flat_map(|facts| facts.names).chain(GROUPS.iter().map(|(name, _)| name));
    let values: Vec<String> = families.chain(names.map(|name| format!("-A {name}"))).collect();
    complete(&tables, "Values of -f and -A", values.iter().map(String::as_str));
}

#[test]
fn every_variable_has_a_row() {
    let mut read_by_us = BTreeSet::new();
    let sources =
        ["crates/sockdiag/src/source/sources.rs", "crates/ss/src/run.rs", "crates/ss/src/terminal.rs"];
    let texts = sources.map(read);
    for text in &texts {
        let names = text.split("var_os(\"").skip(1).filter_map(|rest| rest.split('"').next());
        // Variables of our own are documented elsewhere.
        read_by_us.extend(names.filter(|name| !name.starts_with("SOCKDIAG_")));
    }
    assert!(read_by_us.len() > 15, "{read_by_us:?}");
    complete(&tables(), "Environment", read_by_us.into_iter());
}

#[test]
fn every_state_and_every_table_has_a_row() {
    let tables = tables();
    let verbs = ["state", "exclude", "excl"];
    complete(&tables, "States", WORDS.iter().map(|(word, _)| *word).chain(verbs));
    let families = read("COMPAT.md");
    for facts in &TABLES {
        // One row covers all tables of a family.
        let name = facts.names.first().and_then(|name| name.split('_').next()).unwrap_or_default();
        assert!(families.contains(&format!("\n| {name} | ")), "no row for {name}");
    }
}

#[test]
fn tests_that_are_named_are_there_and_hold_what_the_row_is_about() {
    let mut checked = 0;
    for (heading, rows) in &tables() {
        for row in rows {
            let named = row.tests.iter().filter_map(|(file, name)| {
                let text = item(file, name);
                assert!(text.is_some(), "{heading}: no {name} in {file}");
                text
            });
            let texts: Vec<String> = named.collect();
            checked += texts.len();
            if matches!(heading.as_str(), "Families" | "Exit status") {
                continue;
            }
            for spelling in &row.spellings {
                let held = texts.iter().any(|text| holds(text, spelling));
                assert!(held, "{heading}: {spelling} is in none of {:?}", row.tests);
            }
        }
    }
    assert!(checked > 100, "only {checked}");
}

#[test]
fn command_lines_are_read_as_getopt_reads_them() {
    for (line, spelling, want) in [
        ("-tan", "-a", true),
        ("-tan", "-x", false),
        ("-fxn", "-n", false),
        ("-tfx -n", "-n", true),
        ("-f inet", "-f inet", true),
        ("-f inet6", "-f inet", false),
        ("-Atcp,udp", "-A udp", true),
        ("-A !tcp", "-A tcp", false),
        ("--tcp", "--tcp", true),
        ("--tcpx", "--tcp", false),
        ("--tcp", "-t", false),
        ("--diag=x", "--diag", true),
        ("sport = -t", "-t", true),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(gives(&words, spelling), want, "{line}: {spelling}");
    }
    assert!(!holds("PROC_NET_TCP6", "PROC_NET_TCP") && holds("(\"PROC_NET_TCP\")", "PROC_NET_TCP"));
    assert!(item("differential/live.rs", "LINES").is_some_and(|text| text.contains("\"-tan\"")));
    assert!(
        item("differential/live.rs", "NOTHING").is_none() && item("differential/live.rs", "LINE").is_none()
    );
}
