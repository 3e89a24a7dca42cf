//! What is printed can be pasted into a filter: every value that any format prints for a field
//! is accepted in a condition on the field, which matches the socket it came from.
//!
//! Values come from recordings of real kernels, from crafted replies and from live sockets,
//! never from the parser.  Each row is queried once, with all values from all formats
//! together; only if that fails are the conditions tried one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use sockdiag::fields::{Catalog, Field, Kind, NameError, Needs, Spelling, Unit};
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::skip;
use sockdiag_testkit::zoo::{self, Zoo};

use super::sources::{self, Source};

/// A condition as a user would paste it, and the field that it tests.
type Condition = (String, String);

/// A socket, and the values that the formats print for it.
struct Row {
    /// Its line of JSON.
    line: String,
    /// The values that distinguish it from other sockets.
    identity: String,
    conditions: BTreeSet<Condition>,
}

/// Quotes a text; `escaped` if it contains escapes already.
fn quoted(text: &str, escaped: bool) -> String {
    // An argument cannot contain a NUL.
    let text = if escaped { text.to_owned() } else { text.replace('\\', "\\\\").replace('\0', "\\x00") };
    format!("\"{}\"", text.replace('"', "\\\""))
}

/// A value as a user would paste it: quoted only if necessary.
fn pasted(text: &str, escaped: bool) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "_./:@%+-*".contains(letter);
    if text.chars().all(plain) && !text.is_empty() && text != "-" {
        text.to_owned()
    } else {
        quoted(text, escaped)
    }
}

/// Adds the conditions for the members of a JSON object.
fn of_json(prefix: &str, object: &serde_json::Map<String, Value>, conditions: &mut BTreeSet<Condition>) {
    for (key, value) in object {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        // A truncated text is only a prefix of the value.
        if key.ends_with("_truncated") || object.contains_key(&format!("{key}_truncated")) {
            continue;
        }
        match name.strip_suffix("_hex") {
            // A text that is not valid UTF-8 is written as its raw bytes, under the `_hex` key.
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

/// Splits a line of CSV into cells.
pub(super) fn cells(line: &str) -> Vec<String> {
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

/// A column that every row has, put between any two aligned columns, to find where each begins
/// and ends.
const BETWEEN: &str = "netid";

/// The cells of aligned columns, where every second one, from the first on, is [`BETWEEN`].
fn aligned(lines: &[String]) -> Vec<Vec<String>> {
    let Some((header, rows)) = lines.split_first() else { return Vec::new() };
    let starts: Vec<usize> = header
        .match_indices(BETWEEN)
        .map(|(at, _)| at)
        .filter(|at| header[..*at].ends_with(' ') || *at == 0)
        .filter(|at| matches!(header.as_bytes().get(at + BETWEEN.len()), None | Some(b' ')))
        .collect();
    // By terminal column: some characters take two.
    let spread = |line: &String| -> Vec<char> {
        let wide = |letter: char| matches!(letter, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{d7a3}' | '\u{ff00}'..='\u{ff60}');
        line.chars().flat_map(|letter| std::iter::once(letter).chain(wide(letter).then_some('\0'))).collect()
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

/// The names of all fields and of their records' members, each once; and short names, for
/// which columns have units.
pub(super) fn names() -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let catalog = Catalog::shared();
    // Fields that need two looks are rejected.
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

/// The condition for a cell, as pasted.
fn of_cell(name: &str, cell: &str) -> Condition {
    (name.to_owned(), format!("{name} = {}", pasted(cell, true)))
}

/// Fields that identify a socket and that every format prints.
const IDENTITY: [&str; 3] = ["socket.netid", "socket.inode", "socket.cookie"];

/// The identity in a line of JSON.
fn identity_of(line: &str) -> String {
    let Ok(Value::Object(object)) = serde_json::from_str(line) else { panic!("{line}") };
    IDENTITY.map(|name| plain(&object["socket"][&name["socket.".len()..]])).join(" ")
}

/// The rows of the JSON format, with the values from all formats.
fn rows(source: &Source<'_>) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for line in source.json(&[]).unwrap_or_else(|why| panic!("{}: {why}", source.name)) {
        let Ok(Value::Object(object)) = serde_json::from_str(&line) else { panic!("{line}") };
        let mut conditions = BTreeSet::new();
        of_json("", &object, &mut conditions);
        rows.push(Row { identity: identity_of(&line), line, conditions });
    }
    let listed =
        |words: &[&str]| source.lines(words).unwrap_or_else(|why| panic!("{} {words:?}: {why}", source.name));
    // Find the fields that have a value in some row.
    let all = names();
    let mut said = vec![false; all.len()];
    for line in listed(&["-H", "--csv", "--columns", &all.join(",")]) {
        said.iter_mut().zip(cells(&line)).for_each(|(said, cell)| *said |= !cell.is_empty());
    }
    let mut names: Vec<String> = IDENTITY.map(str::to_owned).to_vec();
    let reported = all.into_iter().zip(said).filter(|(_, said)| *said).map(|(name, _)| name);
    names.extend(reported.filter(|name| !IDENTITY.contains(&name.as_str())));
    // In formats for programs, short names have the same cells as full ones.
    let full: Vec<String> = names.iter().filter(|name| name.contains('.')).cloned().collect();
    let columns = full.join(",");
    // Adds the conditions of one format, by the identity of the rows; several rows with the
    // same identity are matched in order.
    let count_of_rows = rows.len();
    let mut add = |form: Vec<(String, BTreeSet<Condition>)>| {
        assert!(!source.is_steady() || form.len() == count_of_rows, "{}: a form lacks rows", source.name);
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
    // A cell is empty exactly if the field is not reported.
    add(csv
        .iter()
        .map(|line| {
            let cells = cells(line);
            let says = |(name, cell): (&String, &String)| {
                let not = if cell.is_empty() { "not " } else { "" };
                (name.clone(), format!("{not}{name} = *"))
            };
            (cells[..IDENTITY.len()].join(" "), full.iter().zip(&cells).map(says).collect())
        })
        .collect());
    add(csv.iter().map(|line| of_row(&full, &cells(line), "")).collect());
    let tsv = listed(&["-H", "--tsv", "--columns", &columns]);
    let parts = |line: &String| line.split('\t').map(str::to_owned).collect::<Vec<_>>();
    add(tsv.iter().map(|line| of_row(&full, &parts(line), "")).collect());
    let flat = listed(&["-H", "--jsonl", "--columns", &columns]);
    let of_flat = |line: &String| {
        let Ok(Value::Object(row)) = serde_json::from_str(line) else { panic!("{line}") };
        let mut conditions = BTreeSet::new();
        // Keys that are not fields occur only in groups.
        let row = row.into_iter().filter(|(name, _)| name.contains('.') && !name.contains('(')).collect();
        of_json("", &row, &mut conditions);
        (IDENTITY.map(|name| plain(row.get(name).unwrap_or(&Value::Null))).join(" "), conditions)
    };
    add(flat.iter().filter(|line| line.contains(IDENTITY[0])).map(of_flat).collect());
    // Grouping by everything gives the rows again, unless some have the same identity.
    let groups = listed(&["-H", "--csv", "--group-by", &columns]);
    let groups: Vec<_> = groups.iter().map(|line| of_row(&full, &cells(line), "")).collect();
    let flat = listed(&["-H", "--jsonl", "--group-by", &columns]);
    let flat: Vec<_> = flat.iter().filter(|line| line.contains(IDENTITY[0])).map(of_flat).collect();
    let count = flat.iter().map(|(identity, _)| identity).collect::<BTreeSet<_>>().len();
    let flat_count = flat.len();
    if groups.len() == count {
        add(groups);
        add(flat);
    }
    let people = names[1..].iter().flat_map(|name| [BETWEEN, name]);
    let people: Vec<&str> = people.chain([BETWEEN]).collect();
    let mut options = vec!["--columns"];
    options.extend((flat_count == count).then_some("--group-by"));
    for option in options {
        let people = aligned(&listed(&[option, &people.join(",")]));
        add(people.iter().map(|cells| of_row(&names, cells, "-")).collect());
    }
    for (row, line) in rows.iter_mut().zip(text_of_each(source, count)) {
        row.conditions.extend(tokens(&line));
    }
    rows
}

/// The lines of the text format, if their number is right.
fn text_of_each(source: &Source<'_>, count: usize) -> Vec<String> {
    let lines = source.lines(&["-H", "-O"]).unwrap_or_else(|why| panic!("{}: {why}", source.name));
    if lines.len() == count { lines } else { Vec::new() }
}

/// Conditions for the tokens `NAME:VALUE` of a line that have a single value.
fn tokens(line: &str) -> Vec<Condition> {
    // Quoted text is a process's name.
    let line: String = line.split('"').step_by(2).collect::<Vec<_>>().join("");
    let catalog = Catalog::shared();
    let of_word = |word: &str| {
        let (name, value) = word.split_once(':')?;
        let is_one = !value.is_empty() && !value.contains(['(', ')', '/', ',']) || value.starts_with('/');
        // Without a cookie, the reference prints this word all the same.  Where a row has a
        // state of its protocol as well, the name refers to the column.  And text shows the
        // flags of a subflow as letters, while conditions use words.
        let is_other = word == "sk:0" || name == "state" || name == "flags";
        // Text shows times without units, which a condition needs (`rtt = 20ms`).
        let unit = match catalog.named(name) {
            Err(NameError::Unknown { .. }) => return None,
            Ok(named)
                if named.without_unit
                    && named.unit().is_time()
                    && value.ends_with(|c: char| c.is_ascii_digit()) =>
            {
                match named.unit() {
                    Unit::Seconds => "s",
                    _ => "ms",
                }
            }
            _ => "",
        };
        (is_one && !is_other).then(|| of_cell(name, &format!("{value}{unit}")))
    };
    line.split_ascii_whitespace().filter_map(of_word).collect()
}

/// A value as CSV prints it.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The conditions that do not match although all together should, with the result of each.
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

/// The identity of a row, and the conditions that must match it.
type Asked<'r> = (&'r str, Vec<&'r str>);
/// Returns the identities of the rows that a filter leaves.
type List<'l> = dyn Fn(&str) -> Result<Vec<String>, String> + 'l;

/// The rows that do not match all of their conditions.  Queries many rows at once.
fn missed<'a, 'r>(rows: &'a [Asked<'r>], list: &List<'_>) -> Vec<&'a Asked<'r>> {
    // Less than the kernel accepts as one argument.
    const MOST: usize = 100_000;
    let mut missed = Vec::new();
    let mut rest = rows;
    while !rest.is_empty() {
        let mut filter = String::new();
        let mut count = 0;
        for (_, conditions) in rest {
            let all = format!("( {} )", conditions.join(" and "));
            if count > 0 && filter.len() + all.len() > MOST {
                break;
            }
            filter.push_str(if count > 0 { " or " } else { "" });
            filter.push_str(&all);
            count += 1;
        }
        let (some, others) = rest.split_at(count);
        rest = others;
        let found: BTreeSet<String> = list(&filter).unwrap_or_default().into_iter().collect();
        missed.extend(some.iter().filter(|(row, _)| !found.contains(*row)));
    }
    missed
}

/// The conditions that do not match their rows.
fn failures<'r>(rows: &[Asked<'r>], list: &List<'_>) -> Vec<(&'r str, &'r str, Result<bool, String>)> {
    let of_row = |(row, conditions): &Asked<'r>| {
        let (row, holds) =
            (*row, |filter: &str| list(filter).map(|lines| lines.iter().any(|line| line == row)));
        wrong(&holds, conditions)
            .into_iter()
            .map(move |(condition, why)| (row, condition, why))
            .collect::<Vec<_>>()
    };
    missed(rows, list).into_iter().flat_map(of_row).collect()
}

/// The conditions, as field and value, for which `!=` is not the complement of `=` among the
/// sockets that report the field.
fn impossible(source: &Source<'_>, conditions: &[[&str; 2]]) -> Vec<String> {
    let catalog = Catalog::shared();
    let against = |[field, value]: &[&str; 2]| {
        // The reference's own keywords keep its semantics.  A user without a name counts as
        // reported if the number is.
        let named = catalog.named(field).ok()?;
        let is_own = !catalog
            .fields()
            .any(|field_of| field_of.operand.is_some_and(|operand| operand.keyword() == *field));
        let reported = match (named.spelling(), field.rsplit_once('.')) {
            (Some(Spelling::UserOf(number)), Some((list, _))) if named.member.is_some() => {
                format!("{list}.{number} = *")
            }
            (Some(Spelling::UserOf(number) | Spelling::HostOf(number)), _) => format!("{number} = *"),
            _ => format!("{field} = *"),
        };
        let (is, differs) = (format!("{field} = {value}"), format!("{field} != {value}"));
        // `*` has no complement.
        let asked = is_own && *value != "*";
        // A plain `and` would be rejected as a contradiction.
        let both = format!("not ( not {is} or not {differs} )");
        let neither = format!("{reported} and not {is} and not {differs}");
        let absent = format!("not {reported} and ( {is} or {differs} )");
        let mut filter = format!("( {both} ) or ( {neither} ) or ( {absent} )");
        // A number is below or not below any other.  Zero may be a time that was not measured.
        let has_order = matches!(named.kind(), Kind::Int(_)) && named.member.is_none() && *value != "0";
        if has_order && value.bytes().all(|byte| byte.is_ascii_digit()) {
            let (below, above) = (format!("{field} < {value}"), format!("{field} >= {value}"));
            // Phrased so that it is not rejected as a contradiction.
            let on_both = format!("not ( not {below} or not {above} )");
            let on_neither = format!("{field} > 0 and not {below} and not {above}");
            filter = format!("{filter} or ( {on_both} ) or ( {on_neither} )");
        }
        asked.then_some(filter)
    };
    let filters: Vec<String> = conditions.iter().filter_map(against).collect();
    let mut found = Vec::new();
    let mut parts: Vec<&[String]> = filters.chunks(300).collect();
    while let Some(part) = parts.pop() {
        match (source.lines(&["-H", "--csv", "--columns", "socket.inode", "--", &part.join(" or ")]), part) {
            (Ok(lines), _) if lines.is_empty() => {}
            (outcome, [filter]) => found.push(format!("{filter}: {outcome:?}")),
            _ => parts.extend([&part[..part.len() / 2], &part[part.len() / 2..]]),
        }
    }
    found
}

/// A report of what is wrong with a source's values, and the fields that had values.
fn check(source: &Source<'_>) -> (String, BTreeSet<String>) {
    let (mut report, mut found) = (String::new(), BTreeSet::new());
    let rows = rows(source);
    found.extend(rows.iter().flat_map(|row| &row.conditions).map(|(field, _)| field.clone()));
    let asked: Vec<(&str, Vec<&str>)> = rows.iter().map(|row| (&*row.line, words(&row.conditions))).collect();
    for (line, condition, outcome) in failures(&asked, &|filter| source.json(&["--", filter])) {
        let _ = writeln!(report, "{}: {}: {condition}: {outcome:?}", source.name, identity_of(line));
    }
    let all: BTreeSet<&str> = rows.iter().flat_map(|row| words(&row.conditions)).collect();
    let all: Vec<[&str; 2]> =
        all.iter().filter_map(|condition| condition.split_once(" = ")).map(<[&str; 2]>::from).collect();
    for line in impossible(source, &all) {
        let _ = writeln!(report, "{}: {line}", source.name);
    }
    (report, found)
}

/// The text of the conditions.
fn words(conditions: &BTreeSet<Condition>) -> Vec<&str> {
    conditions.iter().map(|(_, condition)| condition.as_str()).collect()
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
    // SCTP associations have the inode and cookie of their socket, so their rows have no identity
    // of their own; `sctp_sockets_and_associations_tell_what_is_theirs` (tests/fixtures.rs)
    // tests them.
    sources.retain(|source| !source.name.ends_with("sctp-everything"));
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

/// Sockets of every family that this kernel has, with the processes that hold them.  Some
/// facts change between listings: only those in which the listings before and after agree must
/// match.
#[test]
fn what_live_sockets_print_holds_for_them() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let _zoo = Zoo::start(&namespace, &zoo::all_kinds()).unwrap_or_else(|why| panic!("{why}"));
    let source = Source::live(&namespace, "-A all,mptcp -p --peers --containers");
    let listed = || -> BTreeMap<String, BTreeSet<Condition>> {
        rows(&source).into_iter().map(|row| (row.identity, row.conditions)).collect()
    };
    let agreed = |mut some: BTreeMap<String, BTreeSet<Condition>>, others: &BTreeMap<_, _>| {
        some.retain(|identity, conditions| {
            others.get(identity).is_some_and(|others| {
                conditions.retain(|condition| BTreeSet::contains(others, condition));
                true
            })
        });
        some
    };
    let mut left = agreed(listed(), &listed());
    let count = left.len();
    let found: BTreeSet<String> = left.values().flatten().map(|(field, _)| field.clone()).collect();
    let list =
        |filter: &str| Ok(source.json(&["--", filter])?.iter().map(|line| identity_of(line)).collect());
    // Conditions that fail are tried again, as far as they are still printed.
    for _ in 0..5 {
        let asked: Vec<Asked<'_>> = left.iter().map(|(row, all)| (row.as_str(), words(all))).collect();
        let missed: BTreeSet<String> =
            missed(&asked, &list).iter().map(|(row, _)| (*row).to_owned()).collect();
        if missed.is_empty() {
            left.clear();
            break;
        }
        left.retain(|row, _| missed.contains(row));
        left = agreed(left, &listed());
    }
    let asked: Vec<Asked<'_>> = left.iter().map(|(row, all)| (row.as_str(), words(all))).collect();
    let failed = failures(&asked, &list);
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(count > 150 && found.len() > 250, "{count} sockets, {} fields: {found:?}", found.len());
}
