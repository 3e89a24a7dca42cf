//! How a field is read, and with that what its values are.
//!
//! [`plain!`] and [`text!`] make both of one expression: the sign and the width
//! of a number are those of the expression's type, which is the type that the
//! view of the kernel's structure has for the member.  So no row can say that it
//! is of another kind than it reads.

use super::kind::{Int, Kind, Special, Whole};
use super::value::Value;
use crate::model::{Addr, Row};

/// Reads a field from a row; `None` where the source did not report it.
pub type Accessor = for<'r> fn(&'r Row<'r>) -> Option<Value<'r>>;

/// How a field is read, and what its values are.
#[derive(Clone, Copy)]
pub struct Read {
    pub(super) get: Accessor,
    pub(super) kind: Kind,
    /// The number that the accessor takes for absent.
    pub(super) none: Option<Special>,
}

impl Read {
    /// Values of a kind that no type tells: lists.
    pub(super) const fn of(kind: Kind, get: Accessor) -> Self {
        Self { get, kind, none: None }
    }

    /// What [`plain!`] makes.
    pub(super) const fn plain<T: Plain>(
        get: Accessor,
        _: for<'r> fn(&'r Row<'r>) -> Option<T>,
        none: Option<i128>,
    ) -> Self {
        let kind = T::KIND;
        let none = match none {
            Some(number) => Some(Special::of(number, kind)),
            None => None,
        };
        Self { get, kind, none }
    }
}

/// A type that values of fields have, which tells their kind.
pub(super) trait Plain {
    const KIND: Kind;
}

impl<T: Whole> Plain for T {
    const KIND: Kind = Kind::Int(Int::of::<T>());
}

impl Plain for bool {
    const KIND: Kind = Kind::Bool;
}

impl Plain for f64 {
    const KIND: Kind = Kind::Ratio;
}

impl Plain for Addr {
    const KIND: Kind = Kind::Addr;
}

/// Reads a number, a truth value or an address: an expression over the row that
/// gives an `Option`.  `unless N`: that number is the source's way to say that
/// there is none, and the field is absent then.
macro_rules! plain {
    (|$row:ident| $value:expr) => {
        $crate::fields::read::Read::plain(
            |$row| ($value).map($crate::fields::Value::from),
            |$row| $value,
            None,
        )
    };
    (|$row:ident| $value:expr, unless $none:literal) => {
        $crate::fields::read::Read::plain(
            |$row| ($value).filter(|number| *number != $none).map($crate::fields::Value::from),
            |$row| $value,
            Some($none),
        )
    };
}

/// Reads a text: an expression over the row that gives an `Option<&[u8]>`.
macro_rules! text {
    (|$row:ident| $value:expr) => {
        $crate::fields::read::Read::of($crate::fields::Kind::Text, |$row| {
            ($value).map($crate::fields::Value::Text)
        })
    };
}

/// Reads one of a table's words: an expression over the row that gives an
/// `Option<&'static str>`.
macro_rules! word {
    ($words:expr, |$row:ident| $value:expr) => {
        $crate::fields::read::Read::of($crate::fields::Kind::EnumText($words), |$row| {
            let word: Option<&'static str> = $value;
            word.map(|word| $crate::fields::Value::Text(word.as_bytes()))
        })
    };
}

pub(super) use {plain, text, word};
