//! The JSON Schema of the output, made from the table of fields.
//!
//! The schema describes a socket as the union of the fields of all kinds of sockets: the keys
//! that appear depend on the options and on what the kernel sent, so only the members of every
//! socket are required.  Unknown keys are errors.
//!
//! Source: JSON Schema, draft 2020-12.

use std::collections::HashSet;

use serde_json::{Map, Value};
use sockdiag::fields::{Catalog, Field, Int, Kind, Member, Word};
use sockdiag::source::Summary;

use super::document::counts;
use super::value::{hex_key, truncated_key};
use super::{SCHEMA_VERSION, Safe, has_hex};

/// The members that every socket has.
const REQUIRED: [&str; 3] = ["netid", "state", "family"];

/// Returns the schema of a document as text that ends with a newline; its definition
/// `#/$defs/line` describes one line of `--jsonl`.
pub fn text(catalog: &Catalog) -> String {
    let mut text = Vec::new();
    // Writing to memory does not fail.
    let _ = super::serialize(&mut text, Safe::pretty(), &schema(catalog));
    text.push(b'\n');
    String::from_utf8(text).unwrap_or_default()
}

/// Key, type and meaning of the members of a header.  A count is a number that is not negative,
/// `strings` is a list of them.
const HEADER: [(&str, &str, &str); 8] = [
    ("program", "string", "Name and version of the program."),
    ("host", "string", "Name of the machine."),
    ("kernel", "string", "Release of its kernel."),
    ("netns_inode", "count", "Inode of the network namespace."),
    ("recording", "string", "File that TCP sockets come from, not the kernel."),
    ("time", "string", "When the listing began, UTC (RFC 3339)."),
    ("time_unix_ms", "count", "The same in milliseconds since 1970."),
    ("argv", "strings", "Words of the command line behind the program's name."),
];

/// The same of a network namespace.
const NETNS: [(&str, &str, &str); 3] = [
    ("inode", "count", "Inode number of the network namespace."),
    ("title", "string", "Its name, or its inode number where it has none."),
    ("name", "string", "Its name, as ip-netns(8) gives it."),
];

const TITLE: &str = "Sockets as ss --json lists them";
const DESCRIPTION: &str = "Keys are the names of fields, nested by the point: tcp.rtt_us is .tcp.rtt_us. Units stand last in a \
     key (_us, _ms, _s, _bytes_per_s); amounts without one are what x-unit says. What a socket does not \
     report is absent. x-type is the sign and width that a number has in the kernel; x-none and \
     x-unlimited are the numbers by which it says that there is none, or no limit: where that is not zero, the \
     key is absent then. x-metric: a gauge goes up \
     and down, a counter only up, beyond its maximum to zero again; a state is one of a few; anything else \
     describes (info). x-words are the words of numbers and all their spellings, x-flags those of bits; \
     newer kernels may send numbers that have none.";

/// The schema.
pub fn schema(catalog: &Catalog) -> Value {
    let header = object(simple(&HEADER), &["program", "host", "kernel", "time", "time_unix_ms", "argv"]);
    let counts = counts(&Summary::default()).map(|(key, doc, _)| (key, "integer", doc));
    let counted =
        object(map(vec![("netns", reference("netns")), ("summary", reference("summary"))]), &["summary"]);
    // Full names contain a dot, which distinguishes them from the nested keys of a socket.
    let name = r"[a-z0-9_]+(\.[a-z0-9_]+)+(/[0-9]+(:[0-9]+)?)?";
    let chosen = flat(
        &format!("^{name}$"),
        "What --columns names, by the full names of fields. A member of a list is a list, null where it is not known.",
    );
    let mut group = flat(
        &format!("^({name}|count|[a-z0-9]+\\({name}\\))$"),
        "What --group-by names, how many sockets, and what is made of other fields: sum(tcp.bytes_sent). Null where \
         the sockets do not report it.",
    );
    insert(&mut group, "required", texts(&["count"]));
    let definitions = vec![
        ("header", header),
        ("summary", object(simple(&counts), &[])),
        ("netns", object(simple(&NETNS), &["inode", "title"])),
        ("counted", counted),
        ("socket", socket(catalog)),
        ("chosen", chosen),
        ("group", group),
        ("line", any_of(&["socket", "counted", "chosen", "group"])),
    ];
    let members = vec![
        ("schema_version", map(vec![("const", SCHEMA_VERSION.into())])),
        ("header", reference("header")),
        ("summary", reference("summary")),
        ("summaries", described(list_of(reference("counted")), "With --netns.")),
        ("sockets", list_of(any_of(&["socket", "chosen"]))),
        ("groups", described(list_of(reference("group")), "With --group-by.")),
        ("notes", described(of_type("strings"), "What was worth saying about the listing.")),
        (
            "failures",
            described(of_type("strings"), "Tables that could not be read, or not completely, and why."),
        ),
    ];
    let mut root = object(map(members), &["schema_version", "header", "notes", "failures"]);
    insert(&mut root, "$schema", "https://json-schema.org/draft/2020-12/schema");
    insert(&mut root, "title", TITLE);
    insert(&mut root, "description", DESCRIPTION);
    insert(&mut root, "$defs", map(definitions));
    root
}

/// Every field, nested as rows are.
fn socket(catalog: &Catalog) -> Value {
    let mut subjects: Map<String, Value> = Map::new();
    let mut seen = HashSet::new();
    // Several layouts may contain a field of the same name; it is described once.
    for field in catalog.fields().filter(|field| seen.insert(field.name)) {
        let (subject, key) = field.name.split_once('.').unwrap_or(("socket", field.name));
        let required: &[&str] = if subject == "socket" { &REQUIRED } else { &[] };
        let nested = subjects.entry(subject).or_insert_with(|| object(Map::new(), required));
        if let Some(properties) = nested.get_mut("properties").and_then(Value::as_object_mut) {
            put(properties, key, field.kind, of_field(field), field.doc);
        }
    }
    object(subjects, &["socket"])
}

/// Adds a property, and the property of its raw bytes if it may need one.
fn put(properties: &mut Map<String, Value>, key: &str, kind: Kind, schema: Value, doc: &str) {
    if has_hex(kind) {
        let mut hex = typed("string");
        insert(&mut hex, "pattern", "^([0-9a-f]{2})*$");
        let hex = if kind == Kind::Texts { list_of(hex) } else { hex };
        let doc = format!("All bytes of {key}, in hexadecimal; only where they are no UTF-8.");
        properties.insert(hex_key(key), described(hex, &doc));
        let doc = format!("Whether there is more of {key} than is written; only where it is so.");
        properties.insert(truncated_key(key), described(map(vec![("const", true.into())]), &doc));
    }
    properties.insert(key.into(), described(schema, doc));
}

fn of_field(field: &Field) -> Value {
    let mut schema = of_kind(field.kind);
    insert(&mut schema, "x-source", field.source);
    insert(&mut schema, "x-metric", field.metric.name());
    if let Some(unit) = field.unit.name() {
        insert(&mut schema, "x-unit", unit);
    }
    for (key, special) in [("x-none", field.none_number()), ("x-unlimited", field.unlimited_number())] {
        if let Some(number) = special {
            insert(&mut schema, key, whole(number));
        }
    }
    schema
}

fn of_kind(kind: Kind) -> Value {
    match kind {
        Kind::Int(int) => integer(int),
        // A string of digits.
        Kind::Wide(int) => {
            let mut schema = typed("string");
            insert(&mut schema, "pattern", if int.signed { "^-?[0-9]+$" } else { "^[0-9]+$" });
            insert(&mut schema, "x-type", int.name());
            schema
        }
        Kind::Enum(int, words) => with_words(integer(int), "x-words", words),
        Kind::Flags(int, words) => with_words(integer(int), "x-flags", words),
        Kind::Ratio => typed("number"),
        Kind::Bool => typed("boolean"),
        Kind::Text | Kind::Addr => typed("string"),
        Kind::EnumText(words) => {
            let mut schema = typed("string");
            insert(&mut schema, "enum", words.iter().map(|word| word.name()).collect::<Value>());
            with_words(schema, "x-words", words)
        }
        Kind::Integers(int) => list_of(integer(int)),
        Kind::Texts => list_of(typed("string")),
        // Null stands for an address of an unknown family.
        Kind::Addrs => list_of(map(vec![("type", texts(&["string", "null"]))])),
        Kind::Records(members) => list_of(record(members)),
    }
}

fn integer(int: Int) -> Value {
    let mut schema = typed("integer");
    insert(&mut schema, "minimum", whole(int.min()));
    insert(&mut schema, "maximum", whole(int.max()));
    insert(&mut schema, "x-type", int.name());
    schema
}

/// A number that fits an unsigned or a signed integer of 64 bits.
fn whole(number: i128) -> Value {
    match u64::try_from(number) {
        Ok(number) => number.into(),
        Err(_) => i64::try_from(number).unwrap_or(i64::MIN).into(),
    }
}

/// Adds the names of numbers, bits or texts.
fn with_words(mut schema: Value, key: &str, words: &[Word]) -> Value {
    let listed = words.iter().map(|word| {
        let mut listed = Value::Object(Map::new());
        insert(&mut listed, "name", word.name());
        if let Some(number) = word.number {
            insert(&mut listed, "number", number);
        }
        if word.spellings().nth(1).is_some() {
            insert(&mut listed, "also", word.spellings().skip(1).collect::<Value>());
        }
        listed
    });
    if !words.is_empty() {
        insert(&mut schema, key, listed.collect::<Value>());
    }
    schema
}

fn typed(name: &str) -> Value {
    map(vec![("type", name.into())])
}

fn list_of(items: Value) -> Value {
    let mut schema = typed("array");
    insert(&mut schema, "items", items);
    schema
}

fn insert(schema: &mut Value, key: &str, value: impl Into<Value>) {
    if let Some(map) = schema.as_object_mut() {
        map.insert(key.to_owned(), value.into());
    }
}

fn record(members: &[Member]) -> Value {
    let mut properties = Map::new();
    for member in members {
        let mut schema = of_kind(member.kind);
        if let Some(unit) = member.unit.name() {
            insert(&mut schema, "x-unit", unit);
        }
        put(&mut properties, member.name, member.kind, schema, member.doc);
    }
    of_members(properties)
}

/// An object with these members and no others.
fn of_members(members: impl Into<Value>) -> Value {
    let mut schema = typed("object");
    insert(&mut schema, "properties", members);
    insert(&mut schema, "additionalProperties", false);
    schema
}

/// The same, with those of its members that are always there.
fn object(members: impl Into<Value>, required: &[&str]) -> Value {
    let mut schema = of_members(members);
    insert(&mut schema, "required", texts(required));
    schema
}

/// An object with any members whose keys have this pattern.
fn flat(pattern: &str, doc: &str) -> Value {
    let mut schema = typed("object");
    insert(&mut schema, "propertyNames", map(vec![("pattern", pattern.into())]));
    described(schema, doc)
}

/// Members, each of a type by its name and with its meaning.
fn simple(members: &[(&str, &str, &str)]) -> Value {
    map(members.iter().map(|(key, of, doc)| (*key, described(of_type(of), doc))).collect())
}

fn of_type(name: &str) -> Value {
    match name {
        "count" => {
            let mut schema = typed("integer");
            insert(&mut schema, "minimum", 0);
            schema
        }
        "strings" => list_of(typed("string")),
        name => typed(name),
    }
}

fn reference(name: &str) -> Value {
    map(vec![("$ref", format!("#/$defs/{name}").into())])
}

fn any_of(names: &[&str]) -> Value {
    map(vec![("anyOf", names.iter().map(|name| reference(name)).collect())])
}

fn map(members: Vec<(&str, Value)>) -> Value {
    let mut map = Map::new();
    for (key, value) in members {
        map.insert(key.to_owned(), value);
    }
    Value::Object(map)
}

fn texts(texts: &[&str]) -> Value {
    texts.iter().copied().collect()
}

fn described(mut schema: Value, doc: &str) -> Value {
    insert(&mut schema, "description", doc);
    schema
}
