//! Values that outlive their row, and their text for people.
//!
//! The text never controls a terminal or breaks a line, whatever bytes a process chose for its
//! name.

use std::fmt;

use super::{Item, List, Value, put_address};
use crate::model::Addr;

/// A [`Value`] that borrows nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum OwnedValue {
    /// A count, an amount or an identifier.
    U64(u64),
    /// A number that may be negative.
    I64(i64),
    /// A ratio.
    F64(f64),
    /// A boolean.
    Bool(bool),
    /// Text, in the encoding in which the kernel stores it.
    Text(Vec<u8>),
    /// An address.
    Addr(Addr),
    /// Several values, in order.
    List(Vec<OwnedItem>),
}

/// An element of a list.
#[derive(Clone, Debug, PartialEq)]
pub enum OwnedItem {
    /// A value.
    Value(OwnedValue),
    /// Values of members, in the order of [`Kind::members`](super::Kind::members).
    Record(Vec<Option<OwnedValue>>),
}

impl OwnedValue {
    /// The value as an integer, if it is one; the length of a list.
    pub fn as_i128(&self) -> Option<i128> {
        match self {
            Self::U64(v) => Some((*v).into()),
            Self::I64(v) => Some((*v).into()),
            Self::Bool(v) => Some((*v).into()),
            Self::List(items) => Some(items.len() as i128),
            _ => None,
        }
    }
}

impl From<Value<'_>> for OwnedValue {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::U64(v) => Self::U64(v),
            Value::I64(v) => Self::I64(v),
            Value::F64(v) => Self::F64(v),
            Value::Bool(v) => Self::Bool(v),
            Value::Text(text) => Self::Text(text.to_vec()),
            Value::Marked(..) => Self::Text(value.text().unwrap_or_default().into_owned()),
            Value::Addr(addr) => Self::Addr(addr),
            Value::List(list) => {
                let mut items = Vec::new();
                list.each(&mut |item| items.push(item.into()));
                Self::List(items)
            }
        }
    }
}

impl From<Item<'_>> for OwnedItem {
    fn from(item: Item<'_>) -> Self {
        match item {
            Item::Value(value) => Self::Value(value.into()),
            Item::Record(members) => {
                Self::Record(members.iter().map(|member| member.map(OwnedValue::from)).collect())
            }
        }
    }
}

/// Numbers are decimal, control characters in text are escaped, elements of lists are
/// separated by commas, members of records by slashes, and `-` stands for an absent value.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The list is iterated without being built.
            Value::List(list) => fmt_list(f, *list),
            value => OwnedValue::from(*value).fmt(f),
        }
    }
}

/// Formats like [`Value`].
impl fmt::Display for OwnedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::U64(v) => v.fmt(f),
            Self::I64(v) => v.fmt(f),
            Self::F64(v) => v.fmt(f),
            Self::Bool(v) => v.fmt(f),
            Self::Text(text) => f.pad(&printable(text)),
            Self::Addr(addr) => addr.fmt(f),
            Self::List(items) => {
                for (at, item) in items.iter().enumerate() {
                    f.write_str(if at > 0 { "," } else { "" })?;
                    match item {
                        OwnedItem::Value(value) => write!(f, "{value}")?,
                        OwnedItem::Record(members) => fmt_record(f, members.iter().map(Option::as_ref))?,
                    }
                }
                Ok(())
            }
        }
    }
}

fn fmt_list(f: &mut fmt::Formatter<'_>, list: List<'_>) -> fmt::Result {
    let (mut first, mut result) = (true, Ok(()));
    list.each(&mut |item| {
        result = result.and_then(|()| {
            f.write_str(if std::mem::take(&mut first) { "" } else { "," })?;
            match item {
                Item::Value(value) => write!(f, "{value}"),
                Item::Record(members) => fmt_record(f, members.iter().map(Option::as_ref)),
            }
        });
    });
    result
}

fn fmt_record<'v, V: fmt::Display + 'v>(
    f: &mut fmt::Formatter<'_>,
    members: impl Iterator<Item = Option<&'v V>>,
) -> fmt::Result {
    for (at, member) in members.enumerate() {
        f.write_str(if at > 0 { "/" } else { "" })?;
        match member {
            Some(value) => write!(f, "{value}")?,
            None => f.write_str("-")?,
        }
    }
    Ok(())
}

/// The usual notation of the address; nothing for [`Addr::None`].
impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        put_address(&mut text, *self);
        f.pad(&String::from_utf8_lossy(&text))
    }
}

/// Converts untrusted bytes to text: invalid UTF-8 is replaced, and control characters and
/// marks of text direction are escaped (`\n`, `\u{1b}`, `\u{202e}`).
pub fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for letter in String::from_utf8_lossy(bytes).chars() {
        if crate::escape::is_unsafe(letter) {
            text.extend(letter.escape_default());
        } else {
            text.push(letter);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Origin, Record, Row, Socket, SourceKind, Table};

    #[test]
    fn values_read_as_people_write_them() {
        for (value, want) in [
            (Value::U64(u64::MAX), "18446744073709551615"),
            (Value::I64(-3), "-3"),
            (Value::F64(0.5), "0.5"),
            (Value::Bool(true), "true"),
            (Value::Text(b"a\x1b[2J\n\xff"), "a\\u{1b}[2J\\n\u{fffd}"),
            (Value::Addr(Addr::V4([192, 0, 2, 1])), "192.0.2.1"),
            (Value::Addr(Addr::V6([0; 16])), "::"),
            (Value::List(List::Words(b"ls\0-l a\0")), "ls,-l a"),
        ] {
            assert_eq!(value.to_string(), want);
            let owned = OwnedValue::from(value);
            assert_eq!((owned.to_string(), owned.as_i128()), (want.to_owned(), value.as_i128()));
        }
        assert_eq!(format!("[{:>4}|{:<6}]", Value::U64(7), Value::Text(b"tcp")), "[   7|tcp   ]");
    }

    #[test]
    fn records_have_slashes_and_gaps() {
        let origin = Origin::of(Table::Tcp, SourceKind::Proc);
        let bytes =
            b"   0: 0100007F:0016 0200007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 621";
        let socket = Socket::decode(Record { origin, bytes }).expect("a whole line");
        let row = Row::bare(&socket);
        let list = List::Of(&row, |_, take| {
            take(Item::Record(&[Some(Value::U64(1)), None]));
            take(Item::Record(&[None, Some(Value::Text(b"x"))]));
        });
        let value = Value::List(list);
        assert_eq!(value.to_string(), "1/-,-/x");
        assert_eq!(OwnedValue::from(value).to_string(), "1/-,-/x");
    }
}
