//! The value of a field in one row.
//!
//! A value borrows from the row.  A list is not built but iterated over the row's data; as a
//! single number, it counts as its length.

use std::borrow::Cow;

use crate::model::{Addr, Row};

/// The value of a field in one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// A count, an amount or an identifier.
    U64(u64),
    /// A number that may be negative.
    I64(i64),
    /// A ratio.
    F64(f64),
    /// A boolean.
    Bool(bool),
    /// Text, in the encoding in which the kernel stores it.
    Text(&'a [u8]),
    /// Text after a mark, such as `@`, that the kernel stores in another form.
    Marked(u8, &'a [u8]),
    /// An address.
    Addr(Addr),
    /// Several values.
    List(List<'a>),
}

/// An element of a list.
#[derive(Clone, Copy, Debug)]
pub enum Item<'i> {
    /// A value.
    Value(Value<'i>),
    /// Values of members, in the order of [`Kind::members`](super::Kind::members).
    Record(&'i [Option<Value<'i>>]),
}

/// Passes the elements of a list in a row to a callback, in order.
pub type Each = for<'r, 't> fn(&'r Row<'r>, &'t mut dyn FnMut(Item<'_>));

/// A list of values.
#[derive(Clone, Copy)]
pub enum List<'a> {
    /// The elements that this function finds in this row.
    Of(&'a Row<'a>, Each),
    /// Words that each end in NUL, as command lines are stored; the last one has no NUL if it
    /// or later words were cut.
    Words(&'a [u8]),
}

impl List<'_> {
    /// Passes every element to `take`, in order.
    pub fn each(&self, take: &mut dyn FnMut(Item<'_>)) {
        match self {
            Self::Of(row, each) => each(row, take),
            Self::Words(bytes) => {
                let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
                if !bytes.is_empty() {
                    bytes.split(|byte| *byte == 0).for_each(|word| take(Item::Value(Value::Text(word))));
                }
            }
        }
    }

    /// Whether the list was cut.
    pub fn is_cut(&self) -> bool {
        matches!(self, Self::Words(bytes) if bytes.last().is_some_and(|byte| *byte != 0))
    }

    /// The number of elements.
    pub fn len(&self) -> u64 {
        let mut count = 0;
        self.each(&mut |_| count += 1);
        count
    }

    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl std::fmt::Debug for List<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut list = f.debug_list();
        self.each(&mut |item| {
            list.entry(&item);
        });
        list.finish()
    }
}

/// Lists are compared by their lengths, as the filter language compares them.
impl PartialEq for List<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
    }
}

impl<'a> Value<'a> {
    /// The value as text, if it is text.
    pub fn text(self) -> Option<Cow<'a, [u8]>> {
        match self {
            Value::Text(text) => Some(Cow::Borrowed(text)),
            Value::Marked(mark, text) => Some(Cow::Owned([&[mark], text].concat())),
            _ => None,
        }
    }

    /// The value as an integer, if it is one; the length of a list.
    pub fn as_i128(self) -> Option<i128> {
        match self {
            Value::U64(v) => Some(v.into()),
            Value::I64(v) => Some(v.into()),
            Value::Bool(v) => Some(v.into()),
            Value::List(list) => Some(list.len().into()),
            _ => None,
        }
    }
}

macro_rules! from {
    ($($type:ident as $variant:ident,)*) => {
        $(impl From<$type> for Value<'_> {
            fn from(value: $type) -> Self {
                Value::$variant(value.into())
            }
        })*
    };
}

from! {
    u8 as U64,
    u16 as U64,
    u32 as U64,
    u64 as U64,
    i8 as I64,
    i16 as I64,
    i32 as I64,
    i64 as I64,
    f64 as F64,
    bool as Bool,
    Addr as Addr,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_are_words() {
        for (bytes, want) in
            [(&b""[..], &[][..]), (b"a\0", &["a"]), (b"a", &["a"]), (b"a\0b c\0\0", &["a", "b c", ""])]
        {
            let mut words = Vec::new();
            let list = List::Words(bytes);
            list.each(&mut |item| match item {
                Item::Value(Value::Text(word)) => words.push(String::from_utf8_lossy(word).into_owned()),
                other => panic!("{other:?}"),
            });
            assert_eq!(words, want);
            assert_eq!(Value::List(list).as_i128(), Some(want.len() as i128));
        }
    }
}
