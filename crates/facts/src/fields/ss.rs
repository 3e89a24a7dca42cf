//! The parts of a field that only concern the text of `ss`: its format, its conditions and its
//! needs.
//!
//! Code that reads values does not use this, and nothing here changes a value.

use super::{Groups, Needs};
use crate::model::Row;

/// The user's choices that affect the text of tokens.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// `-n`: bandwidths as plain integers.
    pub numeric: bool,
    /// `-O`: no line breaks inside a row.
    pub oneline: bool,
    /// The groups to show.
    pub groups: Groups,
}

/// Appends a token of a row to a line.
pub type Format = fn(&mut Vec<u8>, &Row<'_>, Style);

/// The columns of an `ss` row before the details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Column {
    Netns,
    Netid,
    State,
    RecvQ,
    SendQ,
    LocalAddr,
    LocalPort,
    RemoteAddr,
    RemotePort,
    Process,
}

/// How `ss` prints a field.
#[derive(Clone, Copy)]
pub enum Text {
    /// It does not print it.
    Silent,
    /// In a column of its own.
    Column(Column, Format),
    /// Inside the token of the field of this name.
    PartOf(&'static str),
    /// ` NAME:VALUE` if the number is not zero.
    Nonzero(&'static str),
    /// ` NAME:VALUE` if the number is not zero, printed as signed 32 bits.
    NonzeroSigned(&'static str),
    /// ` NAME:VALUE` if not zero, microseconds printed as milliseconds (`%g`).
    NonzeroMillis(&'static str),
    /// ` NAME` if true.
    Word(&'static str),
    /// Whatever the function appends.
    Custom(Format),
}

/// A field in the text of `ss`.
#[derive(Clone, Copy)]
pub struct SsText {
    /// What its text needs in addition to the value: names for its numbers.
    pub needs: Needs,
    /// Printed only if all of these are shown as well.
    pub only_with: Groups,
    /// How it is printed.
    pub text: Text,
    /// The form of the text, if `text` does not determine it: `retrans:NOW/TOTAL`.
    pub shape: &'static str,
    /// Further words before its value, separated by blanks.
    pub words: &'static str,
}

impl SsText {
    /// Not printed.
    pub const SILENT: Self =
        Self { needs: Needs::NONE, only_with: Groups::NONE, text: Text::Silent, shape: "", words: "" };

    /// The words before its value.
    pub(super) fn words(&self) -> impl Iterator<Item = &'static str> {
        let own = match self.text {
            Text::Nonzero(name)
            | Text::NonzeroSigned(name)
            | Text::NonzeroMillis(name)
            | Text::Word(name) => name,
            Text::Custom(_) => {
                let end =
                    |byte: &u8| !byte.is_ascii_lowercase() && !byte.is_ascii_digit() && !b"_-".contains(byte);
                let end = self.shape.bytes().position(|byte| end(&byte)).unwrap_or(self.shape.len());
                self.shape.get(..end).unwrap_or_default().trim_end_matches('-')
            }
            Text::Silent | Text::PartOf(_) | Text::Column(..) => "",
        };
        std::iter::once(own).chain(self.words.split(' ')).filter(|word| !word.is_empty())
    }

    /// The form of its token; `None` if it has none of its own.
    pub fn token(&self) -> Option<String> {
        match self.text {
            Text::Nonzero(name) | Text::NonzeroSigned(name) => Some(format!("{name}:N")),
            Text::NonzeroMillis(name) => Some(format!("{name}:MS")),
            Text::Word(word) => Some(word.to_owned()),
            Text::Custom(_) => Some(self.shape.to_owned()),
            Text::Silent | Text::PartOf(_) | Text::Column(..) => None,
        }
    }
}
