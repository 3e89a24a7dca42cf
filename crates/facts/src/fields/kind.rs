//! The type of a field's values: the width of numbers, the words of enumerations.
//!
//! A kind is what an exporter or an archive has to know before the first row: the type of a
//! column, its range and the names of its values.  It is part of the field's reader
//! ([`Read`](super::read::Read)), so it always matches the values.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use super::{Needs, Unit};
use crate::model::words::{self, Word};

/// Sign and width of integers, as the source stores them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Int {
    /// Whether they can be negative.
    pub signed: bool,
    /// Their number of bits: 8, 16, 32 or 64.
    pub bits: u8,
}

impl Int {
    /// The sign and width of this type.
    pub const fn of<T: Whole>() -> Self {
        T::INT
    }

    /// The minimum.
    pub const fn min(self) -> i128 {
        if self.signed { -(1 << (self.bits - 1)) } else { 0 }
    }

    /// The maximum.
    pub const fn max(self) -> i128 {
        if self.signed { (1 << (self.bits - 1)) - 1 } else { (1 << self.bits) - 1 }
    }

    /// The name of the type in Rust: `u32`.
    pub const fn name(self) -> &'static str {
        match (self.signed, self.bits) {
            (false, 8) => "u8",
            (false, 16) => "u16",
            (false, 32) => "u32",
            (false, _) => "u64",
            (true, 8) => "i8",
            (true, 16) => "i16",
            (true, 32) => "i32",
            (true, _) => "i64",
        }
    }
}

/// Numbers that sources use for something other than a number.  One byte per field; the number
/// itself would take sixteen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Special {
    /// Zero.
    Zero,
    /// All bits are set: the maximum of an unsigned number, or -1.
    AllOnes,
    /// The maximum of a signed 32-bit number.
    MaxI32,
}

impl Special {
    /// The variant for a number; other numbers do not compile.
    pub(super) const fn of(number: i128, kind: Kind) -> Self {
        let Some(int) = kind.int() else { panic!("only whole numbers are special") };
        let all = [Self::Zero, Self::AllOnes, Self::MaxI32];
        let mut at = 0;
        while at < all.len() {
            if all[at].number(int) == number {
                return all[at];
            }
            at += 1;
        }
        panic!("no source uses this number so far")
    }

    pub(super) const fn number(self, int: Int) -> i128 {
        match self {
            Self::Zero => 0,
            Self::AllOnes if int.signed => -1,
            Self::AllOnes => int.max(),
            Self::MaxI32 => i32::MAX as i128,
        }
    }
}

/// An integer type that fields use.
pub trait Whole {
    /// Its sign and width.
    const INT: Int;
}

macro_rules! whole {
    ($($int:ident)*) => {
        $(impl Whole for $int {
            const INT: Int = Int { signed: $int::MIN != 0, bits: $int::BITS as u8 };
        })*
    };
}

whole!(u8 u16 u32 u64 i8 i16 i32 i64);

/// The type of a field's values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Whole numbers.
    Int(Int),
    /// 64-bit identifiers.  JSON readers that store numbers as doubles would round them, so in
    /// JSON they are strings of digits.
    Wide(Int),
    /// Integers that stand for words.  A newer kernel may send one without a word.
    Enum(Int, &'static [Word]),
    /// Integers in which each bit is a flag; known flags have words.
    Flags(Int, &'static [Word]),
    /// Ratios.
    Ratio,
    /// True or false.
    Bool,
    /// Text.
    Text,
    /// One of these words, by its name.
    EnumText(&'static [Word]),
    /// Addresses.
    Addr,
    /// Lists of whole numbers.
    Integers(Int),
    /// Lists of texts.
    Texts,
    /// Lists of addresses.
    Addrs,
    /// Lists of records with these members.
    Records(&'static [Member]),
}

impl Kind {
    /// Whether its values are numbers, which columns align to the right.
    pub const fn is_number(self) -> bool {
        matches!(self, Self::Int(_) | Self::Wide(_) | Self::Enum(..) | Self::Flags(..) | Self::Ratio)
    }

    /// Whether its values are single texts.
    pub const fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::EnumText(_))
    }

    /// Whether its values are lists.
    pub const fn is_list(self) -> bool {
        matches!(self, Self::Integers(_) | Self::Texts | Self::Addrs | Self::Records(_))
    }

    /// Sign and width of its integers, or of the elements of its lists.
    pub const fn int(self) -> Option<Int> {
        match self {
            Self::Int(int)
            | Self::Wide(int)
            | Self::Enum(int, _)
            | Self::Flags(int, _)
            | Self::Integers(int) => Some(int),
            _ => None,
        }
    }

    /// The words of its values or bits.
    pub const fn words(self) -> &'static [Word] {
        match self {
            Self::Enum(_, words) | Self::Flags(_, words) | Self::EnumText(words) => words,
            _ => &[],
        }
    }

    /// The word with this spelling.
    pub fn word(self, spelling: &[u8]) -> Option<&'static Word> {
        words::by_spelling(self.words(), spelling)
    }

    /// The members of its records.
    pub const fn members(self) -> &'static [Member] {
        match self {
            Self::Records(members) => members,
            _ => &[],
        }
    }

    /// The name of the kind, with its width if it has one: `u32`, `enum u8`, `list of u32`.
    pub fn name(self) -> String {
        match self {
            Self::Int(int) | Self::Wide(int) => int.name().to_owned(),
            Self::Enum(int, _) => format!("enum {}", int.name()),
            Self::Flags(int, _) => format!("flags {}", int.name()),
            Self::Integers(int) => format!("list of {}", int.name()),
            Self::Ratio => "ratio".to_owned(),
            Self::Bool => "bool".to_owned(),
            Self::Text => "text".to_owned(),
            Self::EnumText(_) => "word".to_owned(),
            Self::Addr => "address".to_owned(),
            Self::Texts => "list of texts".to_owned(),
            Self::Addrs => "list of addresses".to_owned(),
            Self::Records(_) => "list of records".to_owned(),
        }
    }
}

/// The words of a kind as a sentence: `Words: 0 open, 1 disorder.`  Empty if it has none.
pub(super) fn words_sentence(kind: Kind) -> String {
    let words: Vec<String> = kind
        .words()
        .iter()
        .map(|word| match (kind, word.number) {
            (Kind::Enum(..) | Kind::Flags(..), Some(number)) => format!("{number} {}", word.name()),
            _ => word.name().to_owned(),
        })
        .collect();
    let what = if matches!(kind, Kind::Flags(..)) { "Bits" } else { "Words" };
    if words.is_empty() { String::new() } else { format!("{what}: {}.", words.join(", ")) }
}

/// The values that a condition accepts in addition to those of the field's kind.
#[derive(Clone, Copy, Debug)]
pub enum Spelling {
    /// A uid; names of users are accepted.
    User,
    /// A name for the number in another field, of the same record if this is a member.  The
    /// number is compared, so that no name has to be looked up for each row.
    UserOf(&'static str),
    /// The name of a host; its addresses are compared with the field named here.
    HostOf(&'static str),
    /// The name of a service.
    Service,
    /// A number that `ss` prints in hexadecimal without `0x`.
    Hex,
    /// A text that the kernel truncates to this many bytes.
    Cut(u8),
    /// A number that `ss` prints in its own format, which this function parses.
    Printed(fn(&[u8]) -> Option<u32>),
    /// Words that each stand for several of the field's words.
    Groups(fn(&[u8]) -> Option<Vec<&'static str>>),
}

/// A member of the records of a list.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Stable name, unit last.
    pub name: &'static str,
    /// The type of its values, which is not records again.
    pub kind: Kind,
    /// The unit of the number.
    pub unit: Unit,
    /// Its meaning, in one sentence.
    pub doc: &'static str,
    /// What it needs in addition to the list itself.
    pub needs: Needs,
    /// Whether short forms of the record include it.
    pub brief: bool,
    /// The values that a condition accepts; `None` if it accepts those of the kind and no more.
    pub spelling: Option<&'static Spelling>,
}

/// Members are compared by name, kind and unit.
impl PartialEq for Member {
    fn eq(&self, other: &Self) -> bool {
        (self.name, self.kind, self.unit) == (other.name, other.kind, other.unit)
    }
}

impl Member {
    /// Its description, followed by the words of its numbers.
    pub fn meaning(&self) -> String {
        [self.doc, &words_sentence(self.kind)].join(" ").trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_range_of_their_type() {
        for (int, name, min, max) in [
            (Int::of::<u8>(), "u8", 0, 255),
            (Int::of::<i8>(), "i8", -128, 127),
            (Int::of::<u16>(), "u16", 0, 65535),
            (Int::of::<i32>(), "i32", i32::MIN.into(), i32::MAX.into()),
            (Int::of::<u32>(), "u32", 0, u32::MAX.into()),
            (Int::of::<u64>(), "u64", 0, u64::MAX.into()),
            (Int::of::<i64>(), "i64", i64::MIN.into(), i64::MAX.into()),
        ] {
            assert_eq!((int.name(), int.min(), int.max()), (name, min, max));
        }
    }

    #[test]
    fn kinds_are_called_by_their_width() {
        let words = words::FALSE_TRUE;
        for (kind, name) in [
            (Kind::Int(Int::of::<u32>()), "u32"),
            (Kind::Enum(Int::of::<u8>(), words), "enum u8"),
            (Kind::Integers(Int::of::<u32>()), "list of u32"),
            (Kind::EnumText(words), "word"),
        ] {
            assert_eq!(kind.name(), name);
        }
        assert_eq!(Kind::EnumText(words).word(b"TRUE").map(|word| word.name()), Some("true"));
        assert_eq!(Kind::Text.word(b"yes"), None);
    }
}
