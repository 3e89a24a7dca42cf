//! Where a filter is wrong, and what was expected there.
//!
//! A picture for people at a terminal, to be shown below the error itself.

use std::fmt::Write as _;

use super::error::FilterError;
use crate::columns::width;

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
    /// The whole filter as it was probably meant, where that is known.
    pub mended: Option<String>,
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
        let carets = "^".repeat(width(wrong).max(1));
        let _ = write!(text, "{}{carets} expected {}", " ".repeat(width(&head)), self.expected);
        if let Some(mended) = &self.mended {
            let _ = write!(text, "\n    try: {mended}");
        }
        text
    }
}

/// A filter with blanks around the operators and brackets of its wrong word and of
/// those behind it; `None` where that one has no need of any, or where the brackets
/// would not match.
pub(super) fn with_blanks(before: &str, wrong: &str, behind: &str) -> Option<String> {
    let mut words: Vec<String> = before.split_whitespace().map(str::to_owned).collect();
    let parts = apart(wrong);
    let changed = parts.len() > 1;
    words.extend(parts);
    words.extend(behind.split_whitespace().flat_map(apart));
    let depth = words.iter().try_fold(0_usize, |depth, word| match word.as_str() {
        "(" => Some(depth + 1),
        ")" => depth.checked_sub(1),
        _ => Some(depth),
    });
    (changed && depth == Some(0)).then(|| words.join(" "))
}

/// A word as the words it was meant to be.
fn apart(word: &str) -> Vec<String> {
    const JOINTS: [&str; 4] = ["&&", "||", "&", "|"];
    let mut parts = Vec::new();
    let mut rest = word;
    while let Some(bracket) = rest.get(..1).filter(|first| matches!(*first, "(" | "!") && rest.len() > 1) {
        if rest.starts_with("!=") {
            break;
        }
        parts.push(bracket.to_owned());
        rest = rest.get(1..).unwrap_or_default();
    }
    // The first of each matters: what a value has inside is its own.
    let joints = JOINTS.iter().filter_map(|joint| Some((rest.find(joint)?, *joint)));
    if let Some((at, joint)) = joints.min_by_key(|(at, joint)| (*at, std::cmp::Reverse(joint.len()))) {
        let (left, right) = rest.split_at(at);
        let right = right.get(joint.len()..).unwrap_or_default();
        if !left.is_empty() {
            parts.extend(apart(left));
        }
        parts.push(joint.to_owned());
        if !right.is_empty() {
            parts.extend(apart(right));
        }
        return parts;
    }
    let closing = rest.len() - rest.trim_end_matches(')').len();
    let opened = rest.matches('(').count();
    let closing = if rest.len() == closing { closing } else { closing.saturating_sub(opened) };
    let (rest, brackets) = rest.split_at(rest.len() - closing);
    let is_operator = |letter: char| matches!(letter, '=' | '!' | '<' | '>');
    match rest.find(is_operator) {
        Some(at) if rest.len() > at => {
            let (left, right) = rest.split_at(at);
            let end = right.find(|letter| !is_operator(letter)).unwrap_or(right.len()).min(2);
            let (operator, right) = right.split_at(end);
            parts.extend(
                [left, operator, right].iter().filter(|part| !part.is_empty()).map(|part| (*part).to_owned()),
            );
        }
        _ if rest.is_empty() => {}
        _ => parts.push(rest.to_owned()),
    }
    parts.extend(brackets.chars().map(String::from));
    parts
}

/// How `state WORD` is meant where it stands in a filter: as words of their own,
/// before it.
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
