//! Parses numbers at the beginning of text, as C's `scanf` does.
//!
//! Leading white space and a sign are accepted, text after the digits is ignored, and numbers
//! that are too large are truncated to the width of the result: the reference reads all files
//! of /proc this way.
//!
//! Source: scanf(3), strtol(3).

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

/// `%d` with 64 bits: the number, and the text after it.
pub fn integer(text: &[u8]) -> Option<(i64, &[u8])> {
    let (negative, digits) = sign(blanks(text));
    let (magnitude, rest) = magnitude(digits)?;
    let value = i64::try_from(magnitude).unwrap_or(i64::MAX);
    let least = if magnitude > i64::MAX as u64 { i64::MIN } else { -value };
    Some((if negative { least } else { value }, rest))
}

/// `%d`: an `int`.
pub fn int(text: &[u8]) -> Option<i32> {
    integer(text).map(|(value, _)| value as i32)
}

/// `%u`: an `unsigned int`, which may have a sign.
pub fn unsigned(text: &[u8]) -> Option<u32> {
    let (negative, digits) = sign(blanks(text));
    let (magnitude, _) = magnitude(digits)?;
    // A number that overflows 64 bits becomes the largest one, even after a minus sign.
    let value = if negative && magnitude != u64::MAX { magnitude.wrapping_neg() } else { magnitude };
    Some(value as u32)
}

/// The text after leading white space.
pub fn blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t'..=b'\r')).count();
    text.get(blanks..).unwrap_or_default()
}

/// `%*s`: the text after the next word; `None` if there is no word.
pub fn skip_word(text: &[u8]) -> Option<&[u8]> {
    let text = blanks(text);
    let word = text.iter().take_while(|byte| !matches!(byte, b' ' | b'\t'..=b'\r')).count();
    if word == 0 { None } else { text.get(word..) }
}

/// Decodes the octal escapes of blanks and backslashes in mount tables.
pub fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let digits = after
            .first_chunk::<3>()
            .filter(|digits| byte == b'\\' && digits.iter().all(|digit| (b'0'..=b'7').contains(digit)));
        match digits {
            Some(digits) => {
                let value = digits.iter().fold(0_u32, |value, digit| value * 8 + u32::from(digit - b'0'));
                out.push(value as u8);
                rest = after.get(3..).unwrap_or_default();
            }
            None => out.push(byte),
        }
    }
    out
}

fn sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    }
}

/// Parses digits, clamping at the maximum; `None` if there are none.
fn magnitude(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(digits)?;
    if digits.is_empty() {
        return None;
    }
    let value = digits.iter().fold(0_u64, |value, digit| {
        value.checked_mul(10).and_then(|value| value.checked_add(u64::from(digit - b'0'))).unwrap_or(u64::MAX)
    });
    Some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_three_octal_digits() {
        assert_eq!(unescaped(b"/my\\040cg\\134x"), b"/my cg\\x");
        assert_eq!(unescaped(b"\\04\\9\\"), b"\\04\\9\\");
    }

    #[test]
    fn numbers_are_cut_as_scanf_cuts_them() {
        for (text, want) in [
            ("12", Some(12)),
            (" \n\t-5x", Some(-5)),
            ("+7", Some(7)),
            ("0x10", Some(0)),
            ("99999999999", Some(1_215_752_191)),
            ("4294967297", Some(1)),
            ("99999999999999999999", Some(-1)),
            ("-99999999999999999999", Some(0)),
            ("", None),
            ("-", None),
            ("x1", None),
            ("- 1", None),
        ] {
            assert_eq!(int(text.as_bytes()), want, "{text:?}");
        }
        for (text, want) in [
            ("222", Some(222)),
            ("4294967518", Some(222)),
            ("-4294967074", Some(222)),
            ("+222]", Some(222)),
            ("99999999999999999999", Some(u32::MAX)),
            ("-99999999999999999999", Some(u32::MAX)),
            ("]", None),
        ] {
            assert_eq!(unsigned(text.as_bytes()), want, "{text:?}");
        }
    }

    #[test]
    fn words_end_at_white_space() {
        assert_eq!(skip_word(b"  inuse\t4"), Some(&b"\t4"[..]));
        assert_eq!(skip_word(b"last"), Some(&b""[..]));
        assert_eq!(skip_word(b" \n"), None);
        assert_eq!(integer(b" 4 rest"), Some((4, &b" rest"[..])));
    }
}
