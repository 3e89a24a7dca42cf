//! Chosen values of a row as one flat object.
//!
//! Keys are the full names of fields (`tcp.rtt_us`), in the order in which they
//! were chosen.  A member of a list (`socket.processes.pid`) is a list with a value
//! for each of its elements, `null` where one has none, so that the lists of several
//! members go together.  What a row does not report has no key.

use serde::ser::{SerializeMap, SerializeSeq as _};
use serde::{Serialize, Serializer};
use sockdiag::fields::{Choice, Item, Kind, List, Value};
use sockdiag::model::Row;

use super::value::{Typed, hex_key, is_there, put_entry};

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
                    map.serialize_entry(key, &Members { list, member, kind: choice.named().kind() })?;
                }
                (Some(Value::Addr(_)), _) if choice.is_network() => {
                    let mut text = Vec::new();
                    if choice.put(&mut text, self.row) {
                        // Digits, letters, points, colons and a slash.
                        map.serialize_entry(key, std::str::from_utf8(&text).unwrap_or_default())?;
                    }
                }
                (Some(value), _) if is_there(value) => {
                    put_entry(&mut map, key, hex, choice.named().field.kind, value)?;
                }
                _ => {}
            }
        }
        map.end()
    }
}

/// A member of each element of a list.
struct Members<'m> {
    list: List<'m>,
    member: usize,
    kind: Kind,
}

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(None)?;
        let mut result = Ok(());
        self.list.each(&mut |item| {
            if let (Ok(()), Item::Record(values)) = (&result, item) {
                let value = values.get(self.member).copied().flatten().filter(|value| is_there(*value));
                let value = value.map(|value| Typed { kind: self.kind, value });
                result = seq.serialize_element(&value);
            }
        });
        result?;
        seq.end()
    }
}
