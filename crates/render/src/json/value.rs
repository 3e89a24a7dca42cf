//! A value of the table as JSON.

use std::fmt::Write as _;

use serde::ser::{Error as _, SerializeMap, SerializeSeq as _};
use serde::{Serialize, Serializer};
use sockdiag::fields::{self, Item, Kind, List, Value, put_address};
use sockdiag::model::Addr;

use super::safe::Room;

/// Whether the value is present: the address `None` counts as absent.
pub(super) fn is_there(value: Value<'_>) -> bool {
    !matches!(value, Value::Addr(Addr::None))
}

/// Writes a value under its key.  Text that is not UTF-8 adds a key for its raw bytes, and
/// truncated text adds a key that says so.
pub(super) fn put_entry<M: SerializeMap>(
    map: &mut M,
    key: &str,
    hex: &str,
    kind: Kind,
    value: Value<'_>,
    room: &Room,
) -> Result<(), M::Error> {
    if let Value::Marked(..) = value {
        let text = value.text().unwrap_or_default();
        return put_entry(map, key, hex, kind, Value::Text(&text), room);
    }
    let is_cut = match value {
        Value::Text(text) => {
            let part = room.of(text);
            map.serialize_entry(key, &Typed { kind, value: Value::Text(part), room })?;
            if std::str::from_utf8(part).is_err() {
                map.serialize_entry(hex, &Hex(part))?;
            }
            part.len() < text.len()
        }
        Value::List(list) if super::has_hex(kind) => {
            let texts = Texts::of(list, room);
            map.serialize_entry(key, &texts)?;
            if texts.iter().any(|text| std::str::from_utf8(text).is_err()) {
                map.serialize_entry(hex, &HexTexts(&texts))?;
            }
            texts.is_cut
        }
        value => {
            map.serialize_entry(key, &Typed { kind, value, room })?;
            false
        }
    };
    if is_cut { map.serialize_entry(&truncated_key(key), &true) } else { Ok(()) }
}

/// An object with one value, and its raw bytes where it needs them.
pub(super) struct Member<'m> {
    pub(super) key: &'static str,
    pub(super) hex: &'m str,
    pub(super) kind: Kind,
    pub(super) value: Value<'m>,
    pub(super) room: &'m Room,
}

impl Serialize for Member<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        put_entry(&mut map, self.key, self.hex, self.kind, self.value, self.room)?;
        map.end()
    }
}

/// A value with the kind of its field.
struct Typed<'t> {
    kind: Kind,
    value: Value<'t>,
    room: &'t Room,
}

impl Serialize for Typed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.value, self.kind) {
            (Value::U64(number), Kind::Wide(_)) => {
                serializer.serialize_str(itoa::Buffer::new().format(number))
            }
            (Value::I64(number), Kind::Wide(_)) => {
                serializer.serialize_str(itoa::Buffer::new().format(number))
            }
            (Value::U64(number), _) => serializer.serialize_u64(number),
            (Value::I64(number), _) => serializer.serialize_i64(number),
            (Value::F64(number), _) => serializer.serialize_f64(number),
            (Value::Bool(so), _) => serializer.serialize_bool(so),
            (Value::Text(text), _) => serializer.serialize_str(&String::from_utf8_lossy(text)),
            (value @ Value::Marked(..), kind) => {
                let text = value.text().unwrap_or_default();
                Typed { kind, value: Value::Text(&text), room: self.room }.serialize(serializer)
            }
            (Value::Addr(addr), _) => {
                let mut text = Vec::with_capacity(40);
                put_address(&mut text, addr);
                // Always valid UTF-8: digits, letters, dots and colons.
                serializer.serialize_str(std::str::from_utf8(&text).unwrap_or_default())
            }
            (Value::List(list), kind) => Elements { list, kind, room: self.room }.serialize(serializer),
        }
    }
}

/// The kind that decides the form of list elements: any kind but [`Kind::Wide`] will do, since
/// no element is a 64-bit identifier.
const ELEMENT: Kind = Kind::Text;

/// The elements of a list.
struct Elements<'e> {
    list: List<'e>,
    kind: Kind,
    room: &'e Room,
}

impl Serialize for Elements<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(None)?;
        let mut result = Ok(());
        let room = self.room;
        self.list.each(&mut |item| {
            if result.is_ok() {
                result = match item {
                    // An unknown address becomes `null`, so that later elements keep their
                    // position.
                    Item::Value(value) if !is_there(value) => seq.serialize_element(&()),
                    Item::Value(value) => seq.serialize_element(&Typed { kind: ELEMENT, value, room }),
                    Item::Record(values) => {
                        seq.serialize_element(&Record { members: self.kind.members(), values, room })
                    }
                };
            }
        });
        result?;
        seq.end()
    }
}

/// An element with members.
struct Record<'r> {
    members: &'static [fields::Member],
    values: &'r [Option<Value<'r>>],
    room: &'r Room,
}

impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (member, value) in self.members.iter().zip(self.values) {
            if let Some(value) = value.filter(|value| is_there(*value)) {
                // The key is built on demand: members are few, and only text needs it.
                let hex = if super::has_hex(member.kind) { hex_key(member.name) } else { String::new() };
                put_entry(&mut map, member.name, &hex, member.kind, value, self.room)?;
            }
        }
        map.end()
    }
}

/// The key of a text's raw bytes.
pub(crate) fn hex_key(key: &str) -> String {
    format!("{key}_hex")
}

/// The key of the flag for truncated text.
pub(crate) fn truncated_key(key: &str) -> String {
    format!("{key}_truncated")
}

/// The texts of a list, cut to the budget.
struct Texts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    is_cut: bool,
}

impl Texts {
    fn of(list: List<'_>, room: &Room) -> Self {
        let mut texts = Self { bytes: Vec::new(), ends: Vec::new(), is_cut: list.is_cut() };
        let mut several = room.of_several();
        list.each(&mut |item| {
            let Item::Value(Value::Text(text)) = item else { return };
            let part = several.of(text);
            texts.is_cut |= part.is_none_or(|part| part.len() < text.len());
            if let Some(part) = part {
                texts.bytes.extend_from_slice(part);
                texts.ends.push(texts.bytes.len());
            }
        });
        texts
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(from, to)| self.bytes.get(from..*to).unwrap_or_default())
    }
}

impl Serialize for Texts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(String::from_utf8_lossy))
    }
}

/// Bytes as hexadecimal digits.
struct Hex<'h>(&'h [u8]);

impl Serialize for Hex<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(2 * self.0.len());
        for byte in self.0 {
            write!(text, "{byte:02x}").map_err(S::Error::custom)?;
        }
        serializer.serialize_str(&text)
    }
}

/// Texts as hexadecimal digits.
struct HexTexts<'h>(&'h Texts);

impl Serialize for HexTexts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Hex))
    }
}

#[cfg(test)]
mod tests {
    use sockdiag::fields::Int;

    use super::*;

    #[test]
    fn values_keep_all_that_they_hold() {
        let cut = format!("{{\"x\":\"{}\",\"x_truncated\":true}}", "y".repeat(4096));
        for (kind, value, want) in [
            (Kind::Int(Int::of::<u64>()), Value::U64(u64::MAX), r#"{"x":18446744073709551615}"#),
            (Kind::Int(Int::of::<i64>()), Value::I64(-5), r#"{"x":-5}"#),
            (Kind::Wide(Int::of::<u64>()), Value::U64(u64::MAX), r#"{"x":"18446744073709551615"}"#),
            (Kind::Ratio, Value::F64(12.5), r#"{"x":12.5}"#),
            (Kind::Bool, Value::Bool(true), r#"{"x":true}"#),
            (Kind::Text, Value::Text(b"a\"\n\0\xc3\xa9"), "{\"x\":\"a\\\"\\n\\u0000\u{e9}\"}"),
            (Kind::Text, Value::Text(b"a\xff\0b"), "{\"x\":\"a\u{fffd}\\u0000b\",\"x_hex\":\"61ff0062\"}"),
            (Kind::Addr, Value::Addr(Addr::V4([127, 0, 0, 1])), r#"{"x":"127.0.0.1"}"#),
            (Kind::Addr, Value::Addr(Addr::V6([0; 16])), r#"{"x":"::"}"#),
            (Kind::Texts, Value::List(List::Words(b"a\0b c\0")), r#"{"x":["a","b c"]}"#),
            (
                Kind::Texts,
                Value::List(List::Words(b"a\0\xfe\0")),
                "{\"x\":[\"a\",\"\u{fffd}\"],\"x_hex\":[\"61\",\"fe\"]}",
            ),
            (
                Kind::Texts,
                Value::List(List::Words(b"a\0cut")),
                "{\"x\":[\"a\",\"cut\"],\"x_truncated\":true}",
            ),
            (Kind::Text, Value::Text(&[b'y'; 5000]), &*cut),
        ] {
            assert_eq!(
                serde_json::to_string(&Member { key: "x", hex: "x_hex", kind, value, room: &Room::new() })
                    .unwrap(),
                want,
                "{value:?}"
            );
        }
    }
}
