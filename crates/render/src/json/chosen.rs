//! Chosen values of a row as one flat object.
//!
//! Keys are the full names of fields (`tcp.rtt_us`), in the order in which they were chosen.
//! A member of a list (`socket.processes.pid`) becomes a list with a value for each element,
//! `null` where an element lacks it, so that the lists of several members stay parallel.
//! Fields that a row does not report have no key.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use sockdiag::fields::{Choice, Item, Kind, List, Value};
use sockdiag::model::Row;

use super::safe::Room;
use super::value::{Member, hex_key, is_there, put_entry, truncated_key};

/// The chosen values, with the keys of each.
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

/// A row as a JSON object of its chosen values.
pub(super) struct Object<'o> {
    pub(super) row: &'o Row<'o>,
    pub(super) chosen: &'o Chosen,
    pub(super) room: &'o Room,
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (at, (choice, key, hex)) in self.chosen.0.iter().enumerate() {
            // A key is written once, even if it was chosen several times.
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
                        // Always valid UTF-8: digits, letters, dots, colons and a slash.
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

/// Writes one member of all elements of a list under its key.  As for a single value, raw
/// bytes and the truncation flag have their own keys.
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
        // Serialized as the only member of an object, the value shows its JSON form.
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
