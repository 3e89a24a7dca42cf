//! Where a filter is wrong, and what was expected there.
//!
//! A picture for people at a terminal, to be shown below the error itself.

use std::fmt::Write as _;

use super::error::FilterError;

/// Letters that are shown before and behind the wrong word.
const AROUND: usize = 40;

/// A filter that was refused, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub error: FilterError,
    /// The words before the wrong one, that word, and those behind it.
    pub around: [String; 3],
    /// What would have been right.
    pub expected: String,
}

impl Refused {
    /// The expression, a caret under the wrong word, and what was expected
    /// there; lines without a last newline.
    pub fn picture(&self) -> String {
        let [before, wrong, behind] = &self.around;
        let head: String = {
            let skip = before.chars().count().saturating_sub(AROUND);
            let rest: String = before.chars().skip(skip).collect();
            if skip > 0 { format!("...{rest}") } else { rest }
        };
        let mut tail: String = behind.chars().take(AROUND).collect();
        if tail.len() < behind.len() {
            tail.push_str("...");
        }
        let line = format!("    {head}{wrong}{tail}");
        let mut text = format!("{}\n    ", line.trim_end());
        let carets = "^".repeat(wrong.chars().count().max(1));
        let _ = write!(text, "{}{carets} expected {}", " ".repeat(head.chars().count()), self.expected);
        text
    }
}

/// Words as one line in which nothing acts on a terminal.
pub(super) fn line<'w>(words: impl Iterator<Item = &'w [u8]>) -> String {
    let mut text = String::new();
    for word in words {
        if !text.is_empty() {
            text.push(' ');
        }
        for letter in String::from_utf8_lossy(word).chars() {
            if letter.is_control() {
                text.push('\u{fffd}');
            } else {
                text.push(letter);
            }
        }
    }
    text
}
