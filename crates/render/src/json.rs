//! Rows as JSON: one document, or one object per line.
//!
//! One rule determines the keys: a field's stable name, nested at its dot, so `tcp.rtt_us` is
//! `.tcp.rtt_us`.  Fields that a row does not report are absent; numbers are numbers, but a
//! 64-bit identifier is a string of digits (see [`Kind::Wide`]).  Text is a string; where its
//! bytes are not UTF-8, invalid ones become U+FFFD and a second key, with the suffix `_hex`,
//! holds all bytes.  Text that is too long is cut, and a key with the suffix `_truncated` is
//! true: a text is at most 4 KiB as written, and all long texts of a row together about 32
//! KiB.
//!
//! Rows are serialized as they arrive, straight from the table of fields, so memory does not
//! grow with their number.  Errors come last, since they are known last.
//!
//! [`mod@schema`] generates the JSON Schema of this format from the same table.

mod chosen;
mod compact;
mod document;
mod safe;
pub mod schema;
mod value;

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::rc::Rc;

use serde::{Serialize, Serializer, ser::SerializeMap as _};
use sockdiag::Sink;
use sockdiag::fields::{self, Catalog, Choice, Field, Groups, Kind, Needs, Value};
use sockdiag::model::{MessageKind, Row};

use crate::Out;
use crate::lead::Lead;
use chosen::Chosen;
use document::Counts;
pub use document::{Counted, Header, Trailer, counts};
use safe::{Room, Safe};
pub(crate) use value::{hex_key, truncated_key};

/// The version of the format: it increases when a key changes its meaning or is removed, not
/// when a key is added.
pub const SCHEMA_VERSION: u32 = 1;

/// The layout of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One document, with each socket on its own line.
    Document,
    /// One document, indented.
    Pretty,
    /// One object per line, without an enclosing document.
    Lines,
}

/// Bytes that are collected before they are written.
const BUFFER: usize = 64 << 10;

/// A field and its keys.
struct Entry {
    field: &'static Field,
    key: &'static str,
    /// The key of the raw bytes, for fields that may need it.
    hex: String,
    /// The key with its JSON syntax.
    written: compact::Key,
}

impl Entry {
    fn new(field: &'static Field) -> Self {
        let (_, key) = split(field);
        Self { field, key, hex: value::hex_key(key), written: compact::Key::new(key) }
    }
}

/// The fields nested under one key.
struct Subject {
    key: &'static str,
    /// The key with its JSON syntax.
    written: compact::Key,
    parts: Vec<Part>,
}

/// The fields of a subject that one kind of socket reports.
struct Part {
    /// Whether a row can report any of these fields; if not, none of them is read.
    of: fn(&Row<'_>) -> bool,
    entries: Vec<Entry>,
}

impl Subject {
    /// The entries that a row may have.
    fn entries(&self, row: &Row<'_>) -> impl Iterator<Item = &Entry> {
        self.parts.iter().filter(|part| (part.of)(row)).flat_map(|part| &part.entries)
    }
}

/// The content to write for a row.
enum Content {
    /// The fields that the options show, nested by the dots in names, for each kind of message.
    Shown(Vec<(MessageKind, Vec<Subject>)>),
    /// Values that were chosen, flat.
    Chosen(Chosen),
}

/// The part of the document before the first row.
pub struct Opening<'o> {
    /// Where, when and how the listing was made.
    pub header: &'o Header,
    /// The counts of `-s`: one entry, or one for each namespace.
    pub summary: &'o [Counted],
}

/// A sink that writes rows as JSON.
pub struct Json<'w> {
    out: Out<'w>,
    buffer: Vec<u8>,
    form: Form,
    content: Rc<Content>,
    rows: u64,
    /// The members that begin each object in JSON lines.
    lead: Vec<u8>,
    /// The start of the current item.
    item: usize,
}

impl<'w> Json<'w> {
    /// Begins a document of the fields in `catalog`, with these groups.  Fields with any of the
    /// needs in `unmet` are left out: no row has them.
    ///
    /// # Errors
    /// When writing to the output fails.
    pub fn new(
        catalog: &Catalog,
        groups: Groups,
        unmet: Needs,
        form: Form,
        opening: &Opening<'_>,
        out: Out<'w>,
    ) -> io::Result<Self> {
        let plan = |message_kind| {
            let mut parts = catalog.values(message_kind, groups);
            for part in &mut parts {
                part.fields.retain(|field| !field.needs.intersects(unmet));
            }
            (message_kind, subjects(&parts))
        };
        let plans = catalog.descriptions().iter().map(|description| plan(description.message_kind)).collect();
        Self::begin(Content::Shown(plans), "sockets", form, opening, out)
    }

    /// A listing of chosen values, each under the full name of its field.
    ///
    /// # Errors
    /// When writing to the output fails.
    pub fn chosen(choices: Vec<Choice>, form: Form, opening: &Opening<'_>, out: Out<'w>) -> io::Result<Self> {
        Self::begin(Content::Chosen(Chosen::new(choices)), "sockets", form, opening, out)
    }

    /// Starts a listing of the fields of chosen values, nested like those that options show;
    /// the `_error` field of a chosen field is listed too.
    ///
    /// # Errors
    /// When writing to the output fails.
    pub fn nested(
        catalog: &Catalog,
        choices: &[Choice],
        form: Form,
        opening: &Opening<'_>,
        out: Out<'w>,
    ) -> io::Result<Self> {
        let wanted = |field: &&'static Field| {
            let name = field.name.strip_suffix("_error").unwrap_or(field.name);
            choices.iter().any(|choice| [field.name, name].contains(&choice.named().field.name))
        };
        let plan = |message_kind| {
            let mut seen: Vec<&str> = Vec::new();
            let of_kind = catalog.descriptions().iter().filter(|known| known.message_kind == message_kind);
            let mut parts: Vec<fields::Part> = of_kind.flat_map(|known| &known.parts).cloned().collect();
            for part in &mut parts {
                part.fields.retain(|field| wanted(field) && !seen.contains(&field.name));
                seen.extend(part.fields.iter().map(|field| field.name));
            }
            (message_kind, subjects(&parts))
        };
        let plans = catalog.descriptions().iter().map(|description| plan(description.message_kind)).collect();
        Self::begin(Content::Shown(plans), "sockets", form, opening, out)
    }

    /// Sets the members that begin each object in JSON lines from now on.
    pub fn lead(&mut self, lead: &Lead) {
        self.lead = lead.members();
    }

    /// Appends the line of a row to `out`, to be printed later.
    ///
    /// # Errors
    /// When writing to the output fails.
    pub fn keep(&mut self, row: &Row<'_>, out: &mut Vec<u8>) -> io::Result<()> {
        self.write_out()?;
        let _: ControlFlow<()> = self.row(row)?;
        out.extend_from_slice(&self.buffer);
        self.buffer.clear();
        Ok(())
    }

    /// Prints rows that [`Self::keep`] stored.
    ///
    /// # Errors
    /// When writing to the output fails.
    pub fn put_kept(&mut self, kept: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(kept);
        if self.buffer.len() >= BUFFER { self.write_out() } else { Ok(()) }
    }

    /// Starts a document whose items are groups.
    ///
    /// # Errors
    /// When writing to the output fails.
    pub fn groups(form: Form, opening: &Opening<'_>, out: Out<'w>) -> io::Result<Self> {
        Self::begin(Content::Shown(Vec::new()), "groups", form, opening, out)
    }

    fn begin(
        content: Content,
        list: &str,
        form: Form,
        opening: &Opening<'_>,
        out: Out<'w>,
    ) -> io::Result<Self> {
        let mut json = Self {
            out,
            buffer: Vec::with_capacity(2 * BUFFER),
            form,
            content: Rc::new(content),
            rows: 0,
            lead: Vec::new(),
            item: 0,
        };
        if form == Form::Lines {
            for counted in opening.summary {
                json.put(&document::Line(counted), 0)?;
                json.buffer.push(b'\n');
            }
            return Ok(json);
        }
        json.buffer.extend_from_slice(b"{");
        json.member("schema_version", &SCHEMA_VERSION)?;
        json.buffer.push(b',');
        json.member("header", opening.header)?;
        match opening.summary {
            [] => {}
            [Counted { netns: None, summary }] => {
                json.buffer.push(b',');
                json.member("summary", &Counts(summary))?;
            }
            several => {
                json.buffer.push(b',');
                json.member("summaries", &several.iter().map(document::Line).collect::<Vec<_>>())?;
            }
        }
        json.buffer.push(b',');
        json.line(1);
        json.put(list, 0)?;
        json.buffer.extend_from_slice(if form == Form::Pretty { b": [" } else { b":[" });
        Ok(json)
    }

    /// Writes an item that is not a row.
    pub(crate) fn item<T: Serialize + ?Sized>(&mut self, item: &T) -> io::Result<()> {
        self.separate();
        let depth = if self.form == Form::Pretty { 2 } else { 0 };
        self.put(item, depth)?;
        self.end_item();
        if self.buffer.len() >= BUFFER { self.write_out() } else { Ok(()) }
    }

    /// Writes the separator that precedes an item.
    fn separate(&mut self) {
        self.item = self.buffer.len();
        if self.form != Form::Lines {
            if self.rows > 0 {
                self.buffer.push(b',');
            }
            self.buffer.push(b'\n');
            if self.form == Form::Pretty {
                self.buffer.extend_from_slice(b"    ");
            }
        }
    }

    fn end_item(&mut self) {
        if self.form == Form::Lines {
            self.put_lead();
            self.buffer.push(b'\n');
        }
        self.rows += 1;
    }

    /// Inserts the lead at the beginning of the last written object.
    fn put_lead(&mut self) {
        let Self { buffer, lead, item, .. } = self;
        if lead.is_empty() || buffer.get(*item) != Some(&b'{') {
            return;
        }
        let at = *item + 1;
        let is_empty = buffer.get(at) == Some(&b'}');
        let members = lead.get(..lead.len() - usize::from(is_empty)).unwrap_or_default();
        buffer.splice(at..at, members.iter().copied());
    }

    /// Ends the document with notes and errors.
    ///
    /// # Errors
    /// When writing to the output fails.
    pub fn end(&mut self, trailer: &Trailer) -> io::Result<()> {
        if self.form != Form::Lines {
            if self.rows > 0 {
                self.buffer.push(b'\n');
                if self.form == Form::Pretty {
                    self.buffer.extend_from_slice(b"  ");
                }
            }
            self.buffer.push(b']');
            for (key, list) in [("notes", &trailer.notes), ("failures", &trailer.failures)] {
                self.buffer.push(b',');
                self.member(key, list)?;
            }
            if self.form == Form::Pretty {
                self.buffer.push(b'\n');
            }
            self.buffer.extend_from_slice(b"}\n");
        }
        self.flush()
    }

    /// Writes a member of the document, on its own line.
    fn member(&mut self, key: &str, value: &impl Serialize) -> io::Result<()> {
        self.line(1);
        self.put(key, 0)?;
        self.buffer.extend_from_slice(if self.form == Form::Pretty { b": " } else { b":" });
        self.put(value, 1)
    }

    /// Begins a line, if the form is indented.
    fn line(&mut self, depth: usize) {
        if self.form == Form::Pretty {
            self.buffer.push(b'\n');
            self.buffer.extend(std::iter::repeat_n(b' ', 2 * depth));
        }
    }

    /// Appends a value; `depth` is the indentation level of its lines.
    fn put<T: Serialize + ?Sized>(&mut self, value: &T, depth: usize) -> io::Result<()> {
        if self.form != Form::Pretty {
            return put(&mut self.buffer, value);
        }
        let mut lines = Vec::new();
        serialize(&mut lines, Safe::pretty(), value)?;
        // JSON escapes line breaks inside strings, so every newline here ends a line.
        for (at, line) in lines.split(|byte| *byte == b'\n').enumerate() {
            if at > 0 {
                self.line(depth);
            }
            self.buffer.extend_from_slice(line);
        }
        Ok(())
    }

    fn write_out(&mut self) -> io::Result<()> {
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        self.out.flush()
    }
}

/// Appends a value as JSON on one line.
pub(crate) fn put<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> io::Result<()> {
    serialize(out, Safe::COMPACT, value)
}

/// Appends a value as JSON.
fn serialize<T: Serialize + ?Sized>(out: &mut Vec<u8>, form: Safe, value: &T) -> io::Result<()> {
    value.serialize(&mut serde_json::Serializer::with_formatter(out, form)).map_err(io::Error::from)
}

impl Sink for Json<'_> {
    type Error = io::Error;

    fn row(&mut self, row: &Row<'_>) -> io::Result<ControlFlow<()>> {
        let message_kind = row.socket.message_kind();
        // Shared while the row is written, so that `self` can be borrowed.
        let content = Rc::clone(&self.content);
        match &*content {
            // The catalog describes every kind of message that has rows.
            Content::Shown(plans) => plans
                .iter()
                .find(|(of, _)| *of == message_kind)
                .map_or(Ok(()), |(_, subjects)| self.object(&Object { row, subjects, room: &Room::new() })),
            Content::Chosen(chosen) => self.item(&chosen::Object { row, chosen, room: &Room::new() }),
        }?;
        if self.buffer.len() >= BUFFER {
            self.write_out()?;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_out()
    }
}

impl Json<'_> {
    fn object(&mut self, object: &Object<'_>) -> io::Result<()> {
        self.separate();
        if self.form == Form::Pretty {
            self.put(object, 2)?;
        } else {
            compact::put_row(&mut self.buffer, object)?;
        }
        self.end_item();
        Ok(())
    }
}

/// The two parts of a field's name, before and after the dot.
fn split(field: &Field) -> (&'static str, &'static str) {
    field.name.split_once('.').unwrap_or(("socket", field.name))
}

/// Groups fields by the part of their name before the dot, in order of appearance.
fn subjects(parts: &[fields::Part]) -> Vec<Subject> {
    let mut subjects: Vec<Subject> = Vec::new();
    for part in parts {
        for run in part.fields.chunk_by(|one, next| split(one).0 == split(next).0) {
            let key = run.first().map_or("", |field| split(field).0);
            let of_part = Part { of: part.of, entries: run.iter().copied().map(Entry::new).collect() };
            match subjects.iter_mut().find(|known| known.key == key) {
                Some(known) => known.parts.push(of_part),
                None => subjects.push(Subject { key, written: compact::Key::new(key), parts: vec![of_part] }),
            }
        }
    }
    subjects
}

/// A row as an object.
struct Object<'o> {
    row: &'o Row<'o>,
    subjects: &'o [Subject],
    room: &'o Room,
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for subject in self.subjects {
            let nested = Nested { row: self.row, subject, room: self.room };
            // An object without known values is left out.
            if nested.values().next().is_some() {
                map.serialize_entry(subject.key, &nested)?;
            }
        }
        map.end()
    }
}

/// The values of one subject.
struct Nested<'n> {
    row: &'n Row<'n>,
    subject: &'n Subject,
    room: &'n Room,
}

impl<'n> Nested<'n> {
    fn values(&self) -> impl Iterator<Item = (&'n Entry, Value<'n>)> {
        let row = self.row;
        let value = move |entry: &'n Entry| Some((entry, entry.field.value(row)?));
        self.subject.entries(row).filter_map(value).filter(|(_, value)| value::is_there(*value))
    }
}

impl Serialize for Nested<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (entry, value) in self.values() {
            value::put_entry(&mut map, entry.key, &entry.hex, entry.field.kind, value, self.room)?;
        }
        map.end()
    }
}

/// Whether values of this kind may need a key for their raw bytes.
const fn has_hex(kind: Kind) -> bool {
    matches!(kind, Kind::Text | Kind::Texts)
}
