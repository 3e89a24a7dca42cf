//! How a field is read, which also determines the type of its values.
//!
//! [`plain!`] and [`text!`] derive both from one expression: the sign and width of a number
//! are those of the expression's type, which is the type of the member in the view of the
//! kernel's structure.  So a field cannot declare a type other than that of its values.

use super::kind::{Int, Kind, Special, Whole};
use super::value::Value;
use crate::model::{Addr, Row};

/// Reads a field from a row; `None` if the source did not report it.
pub type Accessor = for<'r> fn(&'r Row<'r>) -> Option<Value<'r>>;

/// How a field is read, and the type of its values.
#[derive(Clone, Copy)]
pub struct Read {
    pub(super) get: Accessor,
    pub(super) kind: Kind,
    /// The number that the accessor treats as absent.
    pub(super) none: Option<Special>,
}

impl Read {
    /// For kinds that do not follow from a Rust type, such as lists.
    pub(super) const fn of(kind: Kind, get: Accessor) -> Self {
        Self { get, kind, none: None }
    }

    /// The result of [`plain!`].
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

/// A type of field values that determines their kind.
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

/// Reads a number, a boolean or an address from an expression over the row that returns an
/// `Option`.  With `unless N`, the field is absent if the source reports `N`, its number for
/// "none".
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

/// Reads a text from an expression over the row that returns an `Option<&[u8]>`.
macro_rules! text {
    (|$row:ident| $value:expr) => {
        $crate::fields::read::Read::of($crate::fields::Kind::Text, |$row| {
            ($value).map($crate::fields::Value::Text)
        })
    };
}

/// Reads one word of a table from an expression over the row that returns an `Option<&'static
/// str>`.
macro_rules! word {
    ($words:expr, |$row:ident| $value:expr) => {
        $crate::fields::read::Read::of($crate::fields::Kind::EnumText($words), |$row| {
            let word: Option<&'static str> = $value;
            word.map(|word| $crate::fields::Value::Text(word.as_bytes()))
        })
    };
}

pub(super) use {plain, text, word};
