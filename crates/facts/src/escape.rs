//! Escapes text from untrusted sources for cells and terminals.
//!
//! Cells of columns, CSV, TSV and groups use one set of escapes, at a terminal and in a pipe
//! alike; [`unescaped`] restores the original bytes:
//!
//! | in a cell | stands for |
//! | --- | --- |
//! | `\\` | a backslash |
//! | `\n` `\t` `\r` | line break, tab, carriage return |
//! | `\xNN` | any other ASCII control character, and a byte that is not UTF-8 |
//! | `\u{N}` | a non-ASCII control character, a mark of text direction, and `…` |
//! | `\,` `\/` `\ ` | comma, slash or blank, in cells where these are separators |
//! | `\-` | the text `-`, which unescaped means that no value is known |
//! | `…` at the end | text that was cut |
//!
//! The text that `ss` shares with the reference escapes fewer characters, as octal digits: see
//! [`put_name`].
//!
//! Invariant: escaped text never adds a line, moves the cursor or changes the direction of the
//! text after it.  Different texts that are not cut produce different cells.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hasher as _};

use crate::number::put_octal;

/// The maximum length of a text's cell in bytes; longer text is cut.
pub const LONGEST: usize = 4096;

/// The number of bytes to store of a text: more than is printed, so that the printing code
/// notices that it was cut.
pub const KEPT: usize = LONGEST + 1;

/// The part of a text to store.
pub fn kept(text: &[u8]) -> &[u8] {
    text.get(..KEPT).unwrap_or(text)
}

/// The mark at the end of text that was cut.
pub const CUT: &str = "…";

/// The cell of an unknown value.
pub const ABSENT: &[u8] = b"-";

/// A shared limit for several texts: each is cut at [`LONGEST`] bytes until the limit is used
/// up, and at [`SHORT`] bytes after that.
#[derive(Clone, Debug)]
pub struct Budget(usize);

/// The length up to which a text is never cut, even when the budget is used up: enough for the
/// command name of a process with any bytes.
pub const SHORT: usize = 64;

impl Budget {
    /// A budget of this many bytes in total.
    pub const fn new(all: usize) -> Self {
        Self(all)
    }

    /// The bytes that the next text may take.
    pub fn next(&self) -> usize {
        self.0.clamp(SHORT, LONGEST)
    }

    /// Subtracts the bytes that a text used.
    pub fn take(&mut self, bytes: usize) {
        self.0 = self.0.saturating_sub(bytes);
    }
}

/// Whether a character could control a terminal: a control character (C0, DEL, C1), a mark of
/// text direction, or a separator of lines or paragraphs.
pub const fn is_unsafe(letter: char) -> bool {
    matches!(
        letter,
        '\0'..='\x1f'
            | '\x7f'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    )
}

/// Appends a text as a cell, cut at [`LONGEST`] bytes.
pub fn put(out: &mut Vec<u8>, text: &[u8]) {
    if text == ABSENT {
        out.push(b'\\');
    }
    put_part(out, text, b"", LONGEST);
}

/// Appends a text as one part of a cell whose parts are separated by `separators`.  It takes
/// at most `room` bytes, or just the mark of truncation if not even that fits.  Returns false
/// if it was cut.
pub fn put_part(out: &mut Vec<u8>, text: &[u8], separators: &[u8], room: usize) -> bool {
    // Nearly every text is short and stays as it is.
    if text.len() <= SHORT.min(room) && text.iter().all(|byte| is_plain(*byte, separators)) {
        out.extend_from_slice(text);
        return true;
    }
    put_long_part(out, text, separators, room)
}

/// Whether a byte needs no escape.
#[inline]
fn is_plain(byte: u8, separators: &[u8]) -> bool {
    // Comparing these few bytes one by one is cheaper than a search.
    matches!(byte, b' '..=b'~') && byte != b'\\' && separators.iter().all(|separator| *separator != byte)
}

#[inline(never)]
fn put_long_part(out: &mut Vec<u8>, text: &[u8], separators: &[u8], room: usize) -> bool {
    let start = out.len();
    // The end of the last character after which the mark of truncation still fits.
    let mut kept = start;
    let mut fits = |out: &mut Vec<u8>| {
        let length = out.len() - start;
        if length + CUT.len() <= room {
            kept = out.len();
        }
        length <= room
    };
    let mut rest = text;
    let whole = 'all: {
        while !rest.is_empty() {
            // Looks at no more bytes than fit, however long the text is.
            let plain = rest.iter().take(room + 1).take_while(|byte| is_plain(**byte, separators)).count();
            if plain > 0 {
                let (part, behind) = rest.split_at(plain);
                // Plain text may be cut at any byte.
                let spare = (start + room).saturating_sub(out.len());
                if part.len() > spare {
                    let spare = spare.saturating_sub(CUT.len());
                    out.extend_from_slice(part.get(..spare).unwrap_or_default());
                    let _ = fits(out);
                    break 'all false;
                }
                let before = part.len().min(spare.saturating_sub(CUT.len()));
                out.extend_from_slice(part.get(..before).unwrap_or_default());
                let _ = fits(out);
                out.extend_from_slice(part.get(before..).unwrap_or_default());
                rest = behind;
                continue;
            }
            rest = put_letter(out, rest, separators);
            if !fits(out) {
                break 'all false;
            }
        }
        true
    };
    if !whole {
        out.truncate(kept);
        out.extend_from_slice(CUT.as_bytes());
    }
    whole
}

/// Appends the first character of a text, which is not plain, and returns the rest.
fn put_letter<'t>(out: &mut Vec<u8>, text: &'t [u8], separators: &[u8]) -> &'t [u8] {
    // A UTF-8 character has at most four bytes.
    let first = text.get(..4).unwrap_or(text);
    let chunk = first.utf8_chunks().next();
    let letter = chunk.as_ref().and_then(|chunk| chunk.valid().chars().next());
    let Some(letter) = letter else {
        let (byte, rest) = text.split_first().unwrap_or((&0, &[]));
        put_hex_byte(out, *byte);
        return rest;
    };
    let rest = text.get(letter.len_utf8()..).unwrap_or_default();
    match letter {
        '\n' => out.extend_from_slice(b"\\n"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\0'..='\x1f' | '\x7f' => put_hex_byte(out, letter as u8),
        '\\' => out.extend_from_slice(b"\\\\"),
        '…' => put_scalar(out, letter),
        letter if is_unsafe(letter) => put_scalar(out, letter),
        letter => {
            let mut bytes = [0; 4];
            let bytes = letter.encode_utf8(&mut bytes).as_bytes();
            if matches!(bytes, [byte] if separators.contains(byte)) {
                out.push(b'\\');
            }
            out.extend_from_slice(bytes);
        }
    }
    rest
}

fn put_hex_byte(out: &mut Vec<u8>, byte: u8) {
    let digit = |four: u8| if four < 10 { b'0' + four } else { b'a' + four - 10 };
    out.extend_from_slice(&[b'\\', b'x', digit(byte >> 4), digit(byte & 15)]);
}

fn put_scalar(out: &mut Vec<u8>, letter: char) {
    out.extend_from_slice(b"\\u{");
    crate::number::put_hex(out, u32::from(letter).into());
    out.push(b'}');
}

/// Appends a cell with its first byte written as `\xNN`, so that no program reads the cell as
/// anything but text.
pub fn put_defused(out: &mut Vec<u8>, cell: &[u8]) {
    if let Some((first, rest)) = cell.split_first() {
        put_hex_byte(out, *first);
        out.extend_from_slice(rest);
    }
}

/// Returns a value that is equal for equal texts only: the text itself, or, if it is longer
/// than `most` bytes, its beginning and two hashes of the whole.
pub fn digest(text: &[u8], most: usize) -> Cow<'_, [u8]> {
    match text.get(..most) {
        Some(start) if text.len() > most => Cow::Owned([start, &hashes(text)].concat()),
        _ => Cow::Borrowed(text),
    }
}

/// Two hashes of a text; equal texts have equal hashes.
pub fn hashes(text: &[u8]) -> [u8; 16] {
    let hash = |seed| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(seed);
        hasher.write(text);
        u128::from(hasher.finish())
    };
    (hash(0) << 64 | hash(1)).to_be_bytes()
}

/// Restores the bytes of a cell or of a part of one; `None` if a backslash begins no escape.
/// A mark of truncation is kept.
pub fn unescaped(cell: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(cell.len());
    let mut rest = cell;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let (&kind, behind) = rest.split_first()?;
        rest = behind;
        match kind {
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'r' => out.push(b'\r'),
            b'\\' | b',' | b'/' | b' ' | b'-' => out.push(kind),
            b'x' => {
                let (digits, behind) = rest.split_at_checked(2)?;
                out.push(u8::try_from(hex(digits)?).ok()?);
                rest = behind;
            }
            b'u' => {
                let inner = rest.strip_prefix(b"{")?;
                let end = inner.iter().take(7).position(|byte| *byte == b'}')?;
                let (digits, behind) = inner.split_at_checked(end)?;
                let letter = char::from_u32(hex(digits)?)?;
                out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                rest = behind.get(1..)?;
            }
            _ => return None,
        }
    }
    Some(out)
}

/// Parses hexadecimal digits, at least one.
fn hex(digits: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(digits).ok()?;
    u32::from_str_radix(digits, 16).ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Splits a cell at separators that no backslash precedes; the parts remain escaped.
pub fn parts(cell: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut escaped = false;
    cell.split(move |byte| {
        let is_end = *byte == separator && !escaped;
        escaped = *byte == b'\\' && !escaped;
        is_end
    })
}

/// The number of characters of a cell.
pub fn letters(cell: &[u8]) -> usize {
    if cell.is_ascii() { cell.len() } else { cell.iter().filter(|byte| **byte & 0xc0 != 0x80).count() }
}

/// The beginning of a cell that has at most `most` characters including the mark of
/// truncation; `None` if the whole cell fits.  No escape is split.
pub fn shortened(cell: &[u8], most: usize) -> Option<&[u8]> {
    if cell.len() <= most || letters(cell) <= most {
        return None;
    }
    let mut end = 0;
    let mut wide = 1;
    while let Some(byte) = cell.get(end) {
        let rest = cell.get(end..).unwrap_or_default();
        let length = match (byte, rest.get(1)) {
            (b'\\', Some(b'x')) => 4,
            (b'\\', Some(b'u')) => rest.iter().position(|byte| *byte == b'}').map_or(2, |at| at + 1),
            (b'\\', _) => 2,
            _ => 1 + rest.iter().skip(1).take_while(|byte| **byte & 0xc0 == 0x80).count(),
        };
        wide += if *byte == b'\\' { length } else { 1 };
        if wide > most {
            break;
        }
        end += length;
    }
    cell.get(..end)
}

/// Appends an untrusted name to the text that `ss` shares with the reference, which prints
/// names unchanged.  Every byte of a character that could control a terminal ([`is_unsafe`]),
/// and every byte from 0x80 to 0x9f that is not UTF-8, becomes a backslash and three octal
/// digits.
pub fn put_name(out: &mut Vec<u8>, name: &[u8]) {
    if name.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        out.extend_from_slice(name);
    } else {
        put_odd_name(out, name);
    }
}

#[cold]
fn put_odd_name(out: &mut Vec<u8>, name: &[u8]) {
    for chunk in name.utf8_chunks() {
        for letter in chunk.valid().chars() {
            let mut bytes = [0; 4];
            let bytes = letter.encode_utf8(&mut bytes).as_bytes();
            if is_unsafe(letter) {
                for byte in bytes {
                    put_octal(out, *byte);
                }
            } else {
                out.extend_from_slice(bytes);
            }
        }
        for byte in chunk.invalid() {
            if matches!(byte, 0x80..=0x9f) {
                put_octal(out, *byte);
            } else {
                out.push(*byte);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(text: &[u8]) -> String {
        let mut out = Vec::new();
        put(&mut out, text);
        String::from_utf8(out).expect("cells are UTF-8")
    }

    #[test]
    fn a_cell_says_what_it_stands_for() {
        for (text, want) in [
            (&b"plain, text/-"[..], "plain, text/-"),
            (b"a\\b\n\t\r\0\x1b[2J\x7f", "a\\\\b\\n\\t\\r\\x00\\x1b[2J\\x7f"),
            (b"\xff\xc3\xa9\xc3", "\\xff\u{e9}\\xc3"),
            (b"\x9b\xc2\x9b\xc2\x85", "\\x9b\\u{9b}\\u{85}"),
            (
                "\u{202e}x\u{2028}\u{61c}\u{200f}\u{2069}…".as_bytes(),
                "\\u{202e}x\\u{2028}\\u{61c}\\u{200f}\\u{2069}\\u{2026}",
            ),
            (b"-", "\\-"),
            (b"--", "--"),
            (b"", ""),
            (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),
        ] {
            assert_eq!(cell(text), want);
            assert_eq!(unescaped(want.as_bytes()).as_deref(), Some(text));
        }
    }

    /// Pseudo-random numbers: splitmix64, <https://prng.di.unimi.it/splitmix64.c>.
    fn random(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Texts of arbitrary bytes, of characters that need escapes, and of pieces of escapes.
    fn texts() -> impl Iterator<Item = Vec<u8>> {
        const ODD: &[&str] = &[
            "\\",
            "\\x",
            "\\u{",
            "}",
            "-",
            ",",
            "/",
            " ",
            "\n",
            "\u{9b}",
            "\u{202e}",
            "…",
            "é",
            "\u{2028}",
            "x4",
            "\u{10ffff}",
            "\u{7f}",
            "n",
        ];
        let mut state = 13;
        (0..4000).map(move |number| {
            let length = random(&mut state) % 40;
            let mut text = Vec::new();
            for _ in 0..length {
                let next = random(&mut state);
                if (number + next).is_multiple_of(3) {
                    text.push(next.to_le_bytes()[1]);
                } else {
                    text.extend_from_slice(ODD[usize::from(next.to_le_bytes()[1]) % ODD.len()].as_bytes());
                }
            }
            text
        })
    }

    #[test]
    fn any_bytes_come_back_and_nothing_reaches_a_terminal() {
        let mut seen = std::collections::HashMap::new();
        for text in texts() {
            let cell = cell(&text);
            assert!(!cell.chars().any(is_unsafe), "{cell:?}");
            assert_eq!(unescaped(cell.as_bytes()).as_deref(), Some(&text[..]), "{cell}");
            assert!(!cell.ends_with(CUT) && cell.as_bytes() != ABSENT);
            let before = seen.insert(cell, text.clone());
            assert!(before.is_none_or(|before| before == text));
        }
    }

    #[test]
    fn parts_come_back_from_their_list() {
        let all: Vec<Vec<u8>> = texts().collect();
        for chunk in all.chunks(7) {
            let mut list = Vec::new();
            for (at, text) in chunk.iter().enumerate() {
                if at > 0 {
                    list.push(b',');
                }
                assert!(put_part(&mut list, text, b",/ ", LONGEST));
            }
            let back: Vec<Vec<u8>> = parts(&list, b',').map(|part| unescaped(part).expect("whole")).collect();
            assert_eq!(back, chunk);
        }
    }

    #[test]
    fn cuts_are_marked_and_leave_escapes_whole() {
        for text in texts().filter(|text| text.len() > 4) {
            let mut whole = Vec::new();
            put_part(&mut whole, &text, b",", usize::MAX - 8);
            for room in 3..whole.len() + 2 {
                let mut out = b"before".to_vec();
                let fits = put_part(&mut out, &text, b",", room);
                let out = &out[6..];
                assert_eq!(fits, whole.len() <= room);
                assert!(out.len() <= room);
                if fits {
                    assert_eq!(out, whole);
                } else {
                    let kept = out.strip_suffix(CUT.as_bytes()).expect("a mark");
                    let kept = unescaped(kept).expect("no escape is cut");
                    assert!(text.starts_with(&kept));
                }
                let wide = letters(&whole);
                match shortened(&whole, room) {
                    None => assert!(wide <= room),
                    Some(part) => {
                        assert!(wide > room && letters(part) < room);
                        assert!(text.starts_with(&unescaped(part).expect("no escape is cut")));
                    }
                }
            }
        }
        let mut out = Vec::new();
        assert!(!put_part(&mut out, &vec![b'x'; 2 << 20], b"", LONGEST));
        assert_eq!((out.len(), out.ends_with(CUT.as_bytes())), (LONGEST, true));
        assert!(out.capacity() < 4 * LONGEST);
    }

    #[test]
    fn what_is_no_escape_is_refused() {
        for cell in [
            "\\",
            "\\x",
            "\\x4",
            "\\x+4",
            "\\xg0",
            "\\u",
            "\\u{",
            "\\u{}",
            "\\u{d800}",
            "\\u{110000}",
            "\\u{0000041}",
            "\\q",
            "\\012",
        ] {
            assert_eq!(unescaped(cell.as_bytes()), None, "{cell}");
        }
        assert_eq!(unescaped(b"\\u{41}\\x41\\ ").as_deref(), Some(&b"AA "[..]));
        let mut out = Vec::new();
        put_defused(&mut out, b"=1+1");
        assert_eq!(out, b"\\x3d1+1");
        put_defused(&mut out, b"");
        assert_eq!(unescaped(&out).as_deref(), Some(&b"=1+1"[..]));
    }

    #[test]
    fn names_in_the_reference_s_text_keep_what_is_harmless() {
        for (name, want) in [
            (&b"plain \\012"[..], &b"plain \\012"[..]),
            (b"a\n\x1b\x7f\0", b"a\\012\\033\\177\\000"),
            (b"\x9b\xc2\x9b\xff\xa0\x85", b"\\233\\302\\233\xff\xa0\\205"),
            ("é\u{202e}\u{2029}…".as_bytes(), "é\\342\\200\\256\\342\\200\\251…".as_bytes()),
            (b"\xe2\x80", b"\xe2\\200"),
        ] {
            let mut out = Vec::new();
            put_name(&mut out, name);
            assert_eq!(out, want, "{name:?}");
        }
        for text in texts() {
            let mut out = Vec::new();
            put_name(&mut out, &text);
            let raw = out.utf8_chunks().any(|chunk| {
                chunk.valid().chars().any(is_unsafe) || chunk.invalid().iter().any(|byte| *byte < 0xa0)
            });
            assert!(!raw, "{text:?}");
        }
    }
}
