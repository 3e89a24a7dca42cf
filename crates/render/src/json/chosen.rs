//! Chosen values of a row as one flat object.
//!
//! Keys are the full names of fields (`tcp.rtt_us`), in the order in which they
//! were chosen.  A member of a list (`socket.processes.pid`) is a list with a value
//! for each of its elements, `null` where one has none, so that the lists of several
//! members go together.  What a row does not report has no key.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use sockdiag::fields::{Choice, Item, Kind, List, Value};
use sockdiag::model::Row;

use super::safe::Room;
use super::value::{Member, hex_key, is_there, put_entry, truncated_key};

/// Values, and the keys that they have.
pub(super) struct Chosen(Vec<(Choice, String, String)>);

impl Chosen {
    pub(super) fn new(choices: Vec<Choice>) -> Self {
        let keyed = |choice: Choice| {
            let key = choice.full_name();
            let hex = hex_key(&key);
            (choice, key, hex)
        };
        Self(choices.into_iter().map(keyed).collect())
    }
}

/// A row as an object of them.
pub(super) struct Object<'o> {
    pub(super) row: &'o Row<'o>,
    pub(super) chosen: &'o Chosen,
    pub(super) room: &'o Room,
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (at, (choice, key, hex)) in self.chosen.0.iter().enumerate() {
            // A key is there once, however often it was chosen.
            if self.chosen.0.iter().take(at).any(|(_, before, _)| before == key) {
                continue;
            }
            match (choice.value(self.row), choice.named().member) {
                (Some(Value::List(list)), Some(member)) => {
                    put_members(&mut map, (key, hex), list, (member, choice.named().kind()), self.room)?;
                }
                (Some(Value::Addr(_)), _) if choice.is_network() => {
                    let mut text = Vec::new();
                    if choice.put(&mut text, self.row) {
                        // Digits, letters, points, colons and a slash.
                        map.serialize_entry(key, std::str::from_utf8(&text).unwrap_or_default())?;
                    }
                }
                (Some(value), _) if is_there(value) => {
                    put_entry(&mut map, key, hex, choice.named().field.kind, value, self.room)?;
                }
                _ => {}
            }
        }
        map.end()
    }
}

/// Writes a member of each element of a list under its key; as of a single value, raw
/// bytes and that something was cut have keys of their own.
fn put_members<M: SerializeMap>(
    map: &mut M,
    (key, hex): (&str, &str),
    list: List<'_>,
    (member, kind): (usize, Kind),
    room: &Room,
) -> Result<(), M::Error> {
    let (mut values, mut bytes, mut odd, mut cut) = (Vec::new(), Vec::new(), false, false);
    list.each(&mut |item| {
        let Item::Record(record) = item else { return };
        let value = record.get(member).copied().flatten().filter(|value| is_there(*value));
        // As the only member of an object it says how it would be written.
        let alone = value.map(|value| Member { key: "value", hex: "hex", kind, value, room });
        let mut alone = alone.and_then(|alone| serde_json::to_value(alone).ok()).unwrap_or_default();
        let mut take = |key: &str| alone.get_mut(key).map(serde_json::Value::take);
        values.push(take("value").unwrap_or_default());
        cut |= take("value_truncated").is_some();
        let hex = take("hex");
        odd |= hex.is_some();
        bytes.push(hex.unwrap_or_default());
    });
    map.serialize_entry(key, &values)?;
    if odd {
        map.serialize_entry(hex, &bytes)?;
    }
    if cut { map.serialize_entry(&truncated_key(key), &true) } else { Ok(()) }
}
