//! A row as one line, identical to the output of serde.
//!
//! A busy machine lists a hundred values of each of a million sockets, nearly all of them
//! small numbers with the same keys.  So keys are escaped once, and numbers, addresses,
//! booleans and plain ASCII texts are written directly; everything else goes through serde.  A
//! test compares the two.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use std::io;

use sockdiag::escape;
use sockdiag::fields::{Kind, Value, put_address};
use sockdiag::model::Addr;
use sockdiag::number::{put_i64, put_start, put_u64};

use super::safe::Room;
use super::value::Member;
use super::{Entry, Object, put};

/// A key of at most this many bytes is copied with a fixed length, which is faster.
const SHORT: usize = 32;

/// A key as it is written, with the comma before it, its quotes and its colon.
pub(super) struct Key {
    whole: Box<[u8]>,
    /// The first bytes of `whole`; all of them if the key is short.
    start: [u8; SHORT],
}

impl Key {
    pub(super) fn new(key: &str) -> Self {
        let mut whole = vec![b','];
        // Serializing a string cannot fail.
        let _ = put(&mut whole, key);
        whole.push(b':');
        let mut start = [0; SHORT];
        for (to, from) in start.iter_mut().zip(&whole) {
            *to = *from;
        }
        Self { whole: whole.into(), start }
    }

    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        if self.whole.len() <= SHORT {
            put_start(out, self.start, self.whole.len());
        } else {
            out.extend_from_slice(&self.whole);
        }
    }
}

/// Appends a row as an object.
pub(super) fn put_row(out: &mut Vec<u8>, object: &Object<'_>) -> io::Result<()> {
    let start = out.len();
    for subject in object.subjects {
        let before = out.len();
        subject.written.put(out);
        let empty = out.len();
        for entry in subject.entries(object.row) {
            put_member(out, object, entry)?;
        }
        // An object without known values is left out.
        if out.len() == empty {
            out.truncate(before);
        } else {
            close(out, empty);
        }
    }
    close(out, start);
    Ok(())
}

/// Turns the members from `start` on into an object: the comma before the first becomes the
/// opening brace.
fn close(out: &mut Vec<u8>, start: usize) {
    match out.get_mut(start) {
        Some(comma) => *comma = b'{',
        None => out.push(b'{'),
    }
    out.push(b'}');
}

/// Appends a field under its key, if the row reports it.
///
/// The value is matched in place: copying it as a whole would stall until the few bytes that
/// were just stored have reached the cache.
#[inline]
fn put_member(out: &mut Vec<u8>, object: &Object<'_>, entry: &Entry) -> io::Result<()> {
    match entry.field.value(object.row) {
        None | Some(Value::Addr(Addr::None)) => {}
        Some(Value::U64(number)) if !matches!(entry.field.kind, Kind::Wide(_)) => {
            entry.written.put(out);
            put_u64(out, number);
        }
        Some(Value::I64(number)) if !matches!(entry.field.kind, Kind::Wide(_)) => {
            entry.written.put(out);
            put_i64(out, number);
        }
        Some(Value::Bool(so)) => {
            entry.written.put(out);
            out.extend_from_slice(if so { b"true" } else { b"false" });
        }
        Some(Value::U64(number)) => {
            entry.written.put(out);
            out.push(b'"');
            put_u64(out, number);
            out.push(b'"');
        }
        Some(Value::Text(text)) if text.len() <= escape::SHORT && is_plain(text) => {
            entry.written.put(out);
            out.push(b'"');
            out.extend_from_slice(text);
            out.push(b'"');
        }
        Some(Value::F64(number)) => {
            entry.written.put(out);
            put(out, &number)?;
        }
        Some(Value::Addr(addr)) => {
            entry.written.put(out);
            out.push(b'"');
            put_address(out, addr);
            out.push(b'"');
        }
        Some(value) => put_odd(out, entry, &value, object.room)?,
    }
    Ok(())
}

/// Like [`put_member`] but through serde, for rare values and text with escapes.
#[inline(never)]
fn put_odd(out: &mut Vec<u8>, entry: &Entry, value: &Value<'_>, room: &Room) -> io::Result<()> {
    // Serialized as an object of one to three members, from which the braces are removed.
    let at = out.len();
    let member = Member { key: entry.key, hex: &entry.hex, kind: entry.field.kind, value: *value, room };
    put(out, &member)?;
    if let Some(brace) = out.get_mut(at) {
        *brace = b',';
    }
    out.pop();
    Ok(())
}

/// Whether a text needs no escapes in a JSON string.
fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'))
}

#[cfg(test)]
mod tests {
    use sockdiag::fields::{Catalog, Groups};
    use sockdiag::model::{Origin, Record, Row, Socket, SourceKind, Table};

    use super::super::subjects;
    use super::*;

    /// A reply of inet_diag with every attribute; lengths and bytes depend on `seed`.
    fn reply(seed: u8) -> Vec<u8> {
        let mut bytes = vec![seed; 72];
        bytes[0] = if seed.is_multiple_of(2) { 2 } else { 10 };
        for kind in 1..=22_u16 {
            let payload = vec![seed.wrapping_mul(7).wrapping_add(kind as u8); usize::from(seed) * 3 % 300];
            bytes.extend_from_slice(&(4 + payload.len() as u16).to_ne_bytes());
            bytes.extend_from_slice(&kind.to_ne_bytes());
            bytes.extend_from_slice(&payload);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    const TABLES: [Table; 5] = [Table::Tcp, Table::Sctp, Table::Mptcp, Table::UnixStream, Table::Netlink];

    /// Calls `see` with rows of each table in [`TABLES`].
    fn each_row(mut see: impl FnMut(&Row<'_>, &str)) {
        for (table, seed) in TABLES.into_iter().flat_map(|table| (0..=255_u8).map(move |seed| (table, seed)))
        {
            let mut bytes = reply(seed);
            match table {
                Table::UnixStream => bytes[0] = 1,
                Table::Netlink => bytes[0] = 16,
                _ => {}
            }
            let origin = Origin::of(table, SourceKind::Kernel);
            if let Some(socket) = Socket::decode(Record { origin, bytes: &bytes }) {
                see(&Row::bare(&socket), &format!("{table:?} {seed}"));
            }
        }
    }

    /// Every group of details that a listing can show.
    fn all_groups() -> Groups {
        let groups = [Groups::INFO, Groups::MEMORY, Groups::EXTENDED, Groups::SOCKOPT, Groups::TOS];
        groups.into_iter().fold(Groups::NONE, Groups::union)
    }

    #[test]
    fn nothing_is_lost_of_sockets_that_a_part_is_not_of() {
        let catalog = Catalog::standard();
        let (mut passed, mut left_out) = (0, 0);
        each_row(|row, which| {
            for part in catalog.values(row.socket.message_kind(), all_groups()) {
                if (part.of)(row) {
                    passed += part.fields.iter().filter(|field| (field.get)(row).is_some()).count();
                    continue;
                }
                for field in &part.fields {
                    assert_eq!((field.get)(row), None, "{} of {which}", field.name);
                    left_out += 1;
                }
            }
        });
        assert!(passed > 50_000 && left_out > 50_000, "{passed} values, {left_out} left out");
    }

    #[test]
    fn the_bytes_are_serde_s() {
        let catalog = Catalog::standard();
        let mut longest = 0;
        each_row(|row, which| {
            let subjects = subjects(&catalog.values(row.socket.message_kind(), all_groups()));
            let mut ours = Vec::new();
            let rooms = [Room::new(), Room::new()];
            let [object, same] = rooms.each_ref().map(|room| Object { row, subjects: &subjects, room });
            put_row(&mut ours, &object).unwrap();
            let mut serde = Vec::new();
            put(&mut serde, &same).unwrap();
            let serde = String::from_utf8(serde).unwrap();
            assert_eq!(String::from_utf8(ours).unwrap(), serde, "{which}");
            longest = longest.max(serde.len());
        });
        assert!(longest > 2000, "rows with next to nothing in them");
    }
}
