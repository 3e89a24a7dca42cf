//! The syntax of values in our own conditions: quotes, escapes, lists and patterns.
//!
//! A value ends at a blank, at `&` or `|`, and at a closing bracket that it did not open
//! itself.  Commas outside quotes separate the elements of a list.  Quotes open at the
//! beginning of an element; a backslash means the same inside and outside them: `\n`, `\t`,
//! `\r`, `\xNN`, `\NNN` and `\u{N}` are the characters that the output prints that way, and
//! any other character after a backslash is literal.
//!
//! `*`, `?` and `[` outside quotes form a pattern.  `i"..."` is text that is compared
//! regardless of case.

use crate::escape;

/// An element of a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    /// The text, without quotes and escapes.
    pub(super) text: Vec<u8>,
    /// The text as a pattern, if it is one.
    pub(super) pattern: Option<Vec<u8>>,
    /// Whether case is ignored.
    pub(super) fold: bool,
    /// Whether any of it was quoted.
    pub(super) quoted: bool,
    /// Whether it is the mark of an absent value.
    pub(super) absent: bool,
    /// The positions of unescaped commas inside its quotes.
    commas: Vec<usize>,
}

impl Element {
    /// Splits it at these commas, for a list that was quoted as a whole; empty if there are
    /// none.
    pub(super) fn parts(&self) -> impl Iterator<Item = Self> {
        let ends = self.commas.iter().copied().chain((!self.commas.is_empty()).then_some(self.text.len()));
        ends.scan(0, |start, end| {
            let mut piece = Piece::default();
            let part = self.text.get(*start..end).unwrap_or_default();
            for byte in part {
                piece.push(*byte, true);
            }
            *start = end + 1;
            // Only the last part can contain the mark of truncation.
            let raw: &[u8] = if end == self.text.len() && self.pattern.is_some() { part } else { b"" };
            Some(Self { fold: self.fold, quoted: true, ..piece.finish(raw) })
        })
    }
}

/// A whole value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Typed {
    /// The elements; at least one.
    pub(super) elements: Vec<Element>,
    /// The value as a single element, including its commas.
    pub(super) whole: Element,
    /// The text as typed.
    pub(super) raw: Vec<u8>,
}

/// Why a value cannot be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// There is no value.
    Missing,
    /// A quote is not closed.
    Quote,
    /// A closing bracket has no opening one.
    Bracket,
}

/// Collects the bytes of an element.
#[derive(Default)]
struct Piece {
    /// The start of the element.
    start: usize,
    element: Element,
    pattern: Vec<u8>,
    is_pattern: bool,
}

impl Piece {
    fn push(&mut self, byte: u8, literal: bool) {
        self.element.text.push(byte);
        let special = matches!(byte, b'*' | b'?' | b'[' | b'\\' | b']');
        if special && literal {
            self.pattern.push(b'\\');
        }
        self.is_pattern |= !literal && matches!(byte, b'*' | b'?' | b'[');
        self.pattern.push(byte);
    }

    /// Finishes the element, which was typed as `raw`.
    fn finish(mut self, raw: &[u8]) -> Element {
        // Output marks truncated text this way; in other text, the character is escaped.
        let end = raw.strip_suffix(b"\"").or_else(|| raw.strip_suffix(b"'")).unwrap_or(raw);
        if end.ends_with(escape::CUT.as_bytes()) {
            self.is_pattern = true;
            self.pattern.truncate(self.pattern.len() - escape::CUT.len());
            self.pattern.push(b'*');
        }
        let pattern = self.is_pattern.then_some(self.pattern);
        Element { pattern, absent: raw == escape::ABSENT, ..self.element }
    }
}

/// Parses a value at the beginning of `raw`, which does not begin with a blank.  `in_brackets`
/// tells whether an open bracket may be closed after it.
pub(super) fn value(raw: &[u8], in_brackets: bool) -> Result<Typed, Wrong> {
    let mut elements = Vec::new();
    let mut piece = Piece::default();
    let mut whole = Piece::default();
    let (mut at, mut depth, mut begins) = (0, 0_usize, true);
    while let Some(byte) = raw.get(at).copied() {
        let rest = raw.get(at..).unwrap_or_default();
        let quote = match rest {
            [b'i', quote @ (b'"' | b'\''), ..] if begins => Some((*quote, true)),
            [quote @ (b'"' | b'\''), ..] if begins => Some((*quote, false)),
            _ => None,
        };
        begins = false;
        if let Some((quote, fold)) = quote {
            let start = at + 1 + usize::from(fold);
            let len = quoted(raw.get(start..).unwrap_or_default(), quote, &mut |byte, escaped| {
                if byte == b',' && !escaped {
                    piece.element.commas.push(piece.element.text.len());
                }
                piece.push(byte, true);
                whole.push(byte, true);
            });
            at = start + len.ok_or(Wrong::Quote)?;
            for piece in [&mut piece, &mut whole] {
                piece.element.quoted = true;
                piece.element.fold |= fold;
            }
            continue;
        }
        match byte {
            b' ' | b'\t' | b'&' | b'|' => break,
            b')' if depth == 0 && in_brackets => break,
            b')' if depth == 0 => return Err(Wrong::Bracket),
            b')' => depth -= 1,
            b'(' => depth += 1,
            b',' => {
                let next = Piece { start: at + 1, ..Piece::default() };
                let done = std::mem::replace(&mut piece, next);
                let start = done.start;
                elements.push(done.finish(raw.get(start..at).unwrap_or_default()));
                whole.push(b',', true);
                begins = true;
                at += 1;
                continue;
            }
            b'\\' => {
                at += escape(rest, &mut |byte| {
                    piece.push(byte, true);
                    whole.push(byte, true);
                });
                continue;
            }
            _ => {}
        }
        piece.push(byte, false);
        whole.push(byte, false);
        at += 1;
    }
    if at == 0 {
        return Err(Wrong::Missing);
    }
    let start = piece.start;
    elements.push(piece.finish(raw.get(start..at).unwrap_or_default()));
    let raw = raw.get(..at).unwrap_or_default().to_vec();
    Ok(Typed { elements, whole: whole.finish(&raw), raw })
}

/// Parses up to and including the closing quote; returns the number of bytes, or `None` if
/// there is no closing quote.  Calls `put` for each character, with whether a backslash
/// preceded it.
fn quoted(raw: &[u8], quote: u8, put: &mut dyn FnMut(u8, bool)) -> Option<usize> {
    let mut at = 0;
    loop {
        match *raw.get(at)? {
            byte if byte == quote => return Some(at + 1),
            b'\\' => at += escape(raw.get(at..)?, &mut |byte| put(byte, true)),
            byte => {
                put(byte, false);
                at += 1;
            }
        }
    }
}

/// Decodes an escape at the beginning of `rest`; returns its length in bytes.
fn escape(rest: &[u8], put: &mut dyn FnMut(u8)) -> usize {
    let number = |digits: &[u8], base| u32::from_str_radix(std::str::from_utf8(digits).ok()?, base).ok();
    match rest {
        [_, b'n', ..] => put(b'\n'),
        [_, b't', ..] => put(b'\t'),
        [_, b'r', ..] => put(b'\r'),
        [_, b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
            if let Some(Ok(byte)) = number(&[*high, *low], 16).map(u8::try_from) {
                put(byte);
            }
            return 4;
        }
        [_, a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] => {
            put((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
            return 4;
        }
        [_, b'u', b'{', digits @ ..] => {
            let end = digits.iter().take(8).position(|byte| *byte == b'}');
            let letter = end.and_then(|end| char::from_u32(number(digits.get(..end)?, 16)?));
            let (Some(letter), Some(end)) = (letter, end) else {
                put(b'u');
                return 2;
            };
            letter.encode_utf8(&mut [0; 4]).bytes().for_each(put);
            return end + 4;
        }
        [_, byte, ..] => put(*byte),
        // A trailing backslash is dropped, as the reference does.
        _ => return 1,
    }
    2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Vec<String>, usize), Wrong> {
        let typed = value(text.as_bytes(), true)?;
        let shown = |element: &Element| {
            let pattern = element.pattern.as_ref().map(|pattern| format!("~{}", pattern.escape_ascii()));
            let fold = if element.fold { "i:" } else { "" };
            format!("{fold}{}{}", element.text.escape_ascii(), pattern.unwrap_or_default())
        };
        Ok((typed.elements.iter().map(shown).collect(), typed.raw.len()))
    }

    #[test]
    fn values_end_where_they_should() {
        for (text, want, len) in [
            ("nginx", &["nginx"][..], 5),
            ("nginx and x", &["nginx"], 5),
            ("20ms)", &["20ms"], 4),
            ("x))", &["x"], 1),
            ("(sd-pam) or", &["(sd-pam)"], 8),
            ("(a(b)))", &["(a(b))"], 6),
            ("a&&b", &["a"], 1),
            ("a|b", &["a"], 1),
            ("80,443", &["80", "443"], 6),
            ("\"a b\",'c, d'", &["a b", "c, d"], 12),
            ("\"a)b\")", &["a)b"], 5),
            ("i\"AB\",c", &["i:AB", "c"], 7),
            ("ib", &["ib"], 2),
            ("it's", &["it\\'s"], 4),
            ("a\\ b", &["a b"], 4),
            ("\\x1b\\n\\\\\\012\\u{202e}", &["\\x1b\\n\\\\\\n\\xe2\\x80\\xae"], 20),
            ("\"a\\\"b\"", &["a\\\"b"], 6),
            ("a\\,b", &["a,b"], 4),
            ("py*", &["py*~py*"], 3),
            ("\"py*\"", &["py*"], 5),
            ("\\*y*", &["*y*~\\\\*y*"], 4),
            ("a,", &["a", ""], 2),
            ("ab…", &["ab\\xe2\\x80\\xa6~ab*"], 5),
            ("a\\u{2026}", &["a\\xe2\\x80\\xa6"], 9),
            ("a*b…,c", &["a*b\\xe2\\x80\\xa6~a*b*", "c"], 8),
            ("\"\"", &[""], 2),
            ("a\\", &["a"], 2),
        ] {
            let want = (want.iter().map(|text| (*text).to_owned()).collect(), len);
            assert_eq!(read(text), Ok(want), "{text}");
        }
    }

    #[test]
    fn the_cell_of_a_list_has_parts() {
        for (text, want) in [
            ("\"a\"", &[][..]),
            ("\"a,b\"", &["a", "b"]),
            (r#""a\,b""#, &[]),
            (r#""a\,b,\x2c,c""#, &["a,b", ",", "c"]),
            ("\"a,\"", &["a", ""]),
            ("\"a*,b…\"", &["a*", "b…~b*"]),
            ("\"a…,b\"", &["a…", "b"]),
            ("'a,…'", &["a", "…~*"]),
        ] {
            let typed = value(text.as_bytes(), false).expect(text);
            let shown = |part: Element| {
                let pattern = part.pattern.map(|pattern| format!("~{}", String::from_utf8_lossy(&pattern)));
                String::from_utf8_lossy(&part.text).into_owned() + &pattern.unwrap_or_default()
            };
            assert_eq!(typed.elements[0].parts().map(shown).collect::<Vec<_>>(), want, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for (text, want) in
            [("", Wrong::Missing), (")", Wrong::Missing), ("\"a", Wrong::Quote), ("i'a\"", Wrong::Quote)]
        {
            assert_eq!(read(text), Err(want), "{text}");
        }
        assert_eq!(value(b"x)", false), Err(Wrong::Bracket));
        assert_eq!(value(b"a,b", false).map(|typed| typed.whole.text), Ok(b"a,b".to_vec()));
    }

    /// Any bytes can be typed as a filter.
    #[test]
    fn no_bytes_are_too_odd() {
        for a in 0..=u8::MAX {
            for b in [b'\\', b'x', b'u', b'{', b'"', b'7', 0xff] {
                let _ = value(&[b'\\', a, b, b'{', a, b'}'], a & 1 == 0);
                let _ = value(&[a, b, b'\\'], false);
            }
        }
    }
}
