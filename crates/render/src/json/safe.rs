//! JSON strings of bounded length, without characters that could control a terminal.
//!
//! JSON itself requires escapes for ASCII control characters; this module also escapes DEL, C1
//! controls and marks of text direction (`\u009b`), which every JSON parser decodes.

use std::cell::RefCell;
use std::io::{self, Write};

use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};
use sockdiag::escape::{Budget, SHORT, is_unsafe};

/// The budget in bytes for the texts of a row; beyond it, texts are cut short.
const MOST_OF_A_ROW: usize = 32 << 10;

/// The remaining budget for the texts of a row, in bytes as written, including
/// hexadecimal digits.
pub(super) struct Room(RefCell<Budget>);

impl Room {
    /// The budget of a row without texts so far.
    pub(super) fn new() -> Self {
        Self(RefCell::new(Budget::new(MOST_OF_A_ROW)))
    }

    /// The bytes that the next text may take.
    fn next(&self) -> usize {
        self.0.borrow().next()
    }

    /// The part of a text to write: all of it, or as much as fits.
    pub(super) fn of<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        // A short text is never cut, even if the budget is used up.
        if text.len() <= SHORT {
            return text;
        }
        let (length, cost) = fitting(text, self.next());
        self.0.borrow_mut().take(cost);
        text.get(..length).unwrap_or(text)
    }

    /// Like [`Self::of`], for the texts of a list, given one by one.
    pub(super) fn of_several(&self) -> Several<'_> {
        Several { room: self, left: self.next() }
    }
}

/// The remaining budget for a list of texts.
pub(super) struct Several<'r> {
    room: &'r Room,
    left: usize,
}

impl Several<'_> {
    /// The part of the next text to write; `None` if neither it nor any later one fits.
    pub(super) fn of<'t>(&mut self, text: &'t [u8]) -> Option<&'t [u8]> {
        // The quotes and the comma, for both the text and its hexadecimal digits.
        let frame = 6;
        let (length, cost) = fitting(text, self.left.checked_sub(frame)?);
        self.left -= cost + frame;
        self.room.0.borrow_mut().take(cost + frame);
        let start = text.get(..length)?;
        if length < text.len() {
            self.left = 0;
        }
        Some(start)
    }
}

/// Returns how many bytes of a text fit and what they cost.  No character is split.
fn fitting(text: &[u8], room: usize) -> (usize, usize) {
    // Each byte costs at least one, so no more than `room` bytes can fit.
    let looked_at = text.get(..room).unwrap_or(text);
    let is_part = looked_at.len() < text.len();
    // Each byte of text that is not UTF-8 also needs two hexadecimal digits; a character that
    // is incomplete only because the part ends there is not an error.
    let digits = match std::str::from_utf8(looked_at) {
        Err(error) if error.error_len().is_some() || !is_part => 2,
        _ => 0,
    };
    let (mut length, mut cost) = (0, 0);
    let mut fits = |bytes: usize, takes: usize| {
        let takes = takes + digits * bytes;
        let fits = cost + takes <= room;
        if fits {
            (length, cost) = (length + bytes, cost + takes);
        }
        fits
    };
    let mut chunks = looked_at.utf8_chunks().peekable();
    'all: while let Some(chunk) = chunks.next() {
        for letter in chunk.valid().chars() {
            let takes = match letter {
                '"' | '\\' | '\n' | '\t' | '\r' => 2,
                letter if is_unsafe(letter) => 6,
                letter => letter.len_utf8(),
            };
            if !fits(letter.len_utf8(), takes) {
                break 'all;
            }
        }
        let wrong = chunk.invalid();
        let is_cut = is_part
            && chunks.peek().is_none()
            && std::str::from_utf8(wrong).is_err_and(|error| error.error_len().is_none());
        // U+FFFD
        if !wrong.is_empty() && (is_cut || !fits(wrong.len(), 3)) {
            break;
        }
    }
    (length, cost)
}

/// A formatter whose strings hold no character that could control a terminal.
///
/// It is one type, so that what is written is compiled once for both layouts.
pub(super) enum Safe {
    /// On one line.
    Compact(CompactFormatter),
    /// On indented lines.
    Pretty(PrettyFormatter<'static>),
}

impl Safe {
    pub(super) const COMPACT: Self = Self::Compact(CompactFormatter);

    pub(super) fn pretty() -> Self {
        Self::Pretty(PrettyFormatter::new())
    }
}

macro_rules! hand_on {
    ($($name:ident($($argument:ident: $type:ty)?),)*) => {
        $(fn $name<W: ?Sized + Write>(&mut self, writer: &mut W $(, $argument: $type)?) -> io::Result<()> {
            match self {
                Self::Compact(form) => form.$name(writer $(, $argument)?),
                Self::Pretty(form) => form.$name(writer $(, $argument)?),
            }
        })*
    };
}

impl Formatter for Safe {
    hand_on! {
        begin_array(),
        end_array(),
        begin_array_value(first: bool),
        end_array_value(),
        begin_object(),
        end_object(),
        begin_object_key(first: bool),
        end_object_key(),
        begin_object_value(),
        end_object_value(),
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        if text.bytes().all(|byte| byte < 0x7f) {
            return writer.write_all(text.as_bytes());
        }
        let mut rest = text;
        while let Some((at, letter)) = rest.char_indices().find(|(_, letter)| is_unsafe(*letter)) {
            let (before, behind) = rest.split_at(at);
            writer.write_all(before.as_bytes())?;
            // All unsafe characters fit 16 bits.
            write!(writer, "\\u{:04x}", u32::from(letter))?;
            rest = behind.get(letter.len_utf8()..).unwrap_or_default();
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &[u8], room: &Room) -> (usize, usize) {
        let part = room.of(text);
        assert!(text.starts_with(part));
        let string = String::from_utf8_lossy(part);
        let mut out = Vec::new();
        super::super::serialize(&mut out, Safe::COMPACT, &string).expect("memory takes all");
        let back: String = serde_json::from_slice(&out).expect("JSON");
        assert_eq!(back, string);
        let raw = std::str::from_utf8(&out).expect("JSON is UTF-8");
        assert!(!raw.chars().any(is_unsafe), "{raw}");
        let digits = if std::str::from_utf8(part).is_ok() { 0 } else { 2 * part.len() };
        (part.len(), out.len() - 2 + digits)
    }

    #[test]
    fn texts_are_cut_by_what_they_take() {
        let long = 2 << 20;
        for (text, most) in [
            (b"x".repeat(long), 4096),
            ("\u{9b}\u{202e}".repeat(long).into_bytes(), 4096),
            ("é".repeat(long).into_bytes(), 4096),
            ("€".repeat(long).into_bytes(), 4095),
            (b"\xff".repeat(long), 4095),
            (b"\x00\xe2\x80".repeat(long), 4095),
            (b"\"\\\n".repeat(long), 4096),
        ] {
            let room = Room::new();
            let (_, took) = written(&text, &room);
            assert!((most - 12..=most).contains(&took), "{took}: {}", text[..3].escape_ascii());
            let all: usize = took + (0..100).map(|_| written(&text, &room).1).sum::<usize>();
            assert!(all <= MOST_OF_A_ROW + 4096 + 100 * SHORT, "{all}");
        }
        let room = Room::new();
        for text in [&b"x".repeat(4096)[..], b"", &b"\xff\xe2\x80".repeat(21), "é".repeat(2048).as_bytes()] {
            assert_eq!(written(text, &room).0, text.len());
        }
        let mut several = room.of_several();
        let words: Vec<usize> = (0..3000).map_while(|_| several.of(b"ab").map(<[u8]>::len)).collect();
        assert_eq!(words.len(), 4096 / 8);
    }
}
