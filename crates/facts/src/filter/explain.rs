//! Shows where a filter is wrong, and what was expected there, as a picture below the error
//! message at a terminal.

use std::fmt::Write as _;

use super::error::FilterError;
use crate::columns::width;

/// The number of characters to show before and after the wrong word.
const AROUND: usize = 40;

/// A rejected filter, and the position of the error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The error.
    pub error: FilterError,
    /// The words before the wrong one, the wrong word, and the words after it.
    pub around: [String; 3],
    /// What was expected in its place.
    pub expected: String,
    /// The whole filter as it was probably meant, if that can be guessed.
    pub mended: Option<String>,
}

impl Refused {
    /// The expression with a caret under the wrong word, and what was expected there; without
    /// a trailing newline.
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
        let carets = "^".repeat(width(wrong).max(1));
        let _ = write!(text, "{}{carets} expected {}", " ".repeat(width(&head)), self.expected);
        if let Some(mended) = &self.mended {
            let _ = write!(text, "\n    try: {mended}");
        }
        text
    }
}

/// Inserts blanks around the operators and brackets of the wrong word and the words after it.
/// `None` if the wrong word needs none, or if the brackets would not match.
pub(super) fn with_blanks(before: &str, wrong: &str, behind: &str) -> Option<String> {
    let apart = apart(wrong);
    let text = format!("{before}{apart}{}", self::apart(behind));
    let mut depth = 0_i32;
    let closes_too_soon = text.bytes().any(|byte| {
        depth += i32::from(byte == b'(') - i32::from(byte == b')');
        depth < 0
    });
    (apart != wrong && !closes_too_soon && depth == 0).then_some(text)
}

/// Puts single blanks around operators, `and`/`or` signs and brackets.
fn apart(text: &str) -> String {
    let class = |letter: char| match letter {
        '=' | '!' | '<' | '>' => 1,
        '&' | '|' => 2,
        '(' | ')' => 3,
        ' ' => 4,
        _ => 0,
    };
    let mut new = String::new();
    let mut last = 4;
    for letter in text.chars() {
        let class = class(letter);
        if (class != last || class == 3) && class != 4 && last != 4 && !new.is_empty() {
            new.push(' ');
        }
        new.push(letter);
        last = class;
    }
    new
}

/// Rewrites `state WORD` inside a filter as separate words before the filter, which is
/// probably what was meant.
pub(super) fn state_first(word: &str, behind: &str) -> Option<String> {
    let mut words = behind.split_whitespace();
    let state = words.next()?;
    let mut rest: Vec<&str> = words.collect();
    if rest.first().is_some_and(|word| matches!(*word, "and" | "&" | "&&")) {
        rest.remove(0);
    }
    if rest.iter().any(|word| matches!(*word, "state" | "exclude" | "excl")) {
        return None;
    }
    let rest = rest.join(" ");
    let quoted = if rest.is_empty() { rest } else { format!(" '{}'", rest.replace('\'', "'\\''")) };
    Some(format!("{word} {state}{quoted}"))
}

/// Joins words to one line, escaped so that it cannot control a terminal.
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
