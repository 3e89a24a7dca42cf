//! Parses numbers as C's `strtoul(..., 0)` and `scanf` do.
//!
//! `0x50`, `0b1010000`, `0120`, `+80` and ` 80` are all eighty.  The C library of the
//! reference supports `0b`.
//!
//! Source: the C standard, 7.24.1.7 (`strtol`) and 7.23.6.2 (`fscanf`).

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "kernel integers are narrow; each cast is meant"
)]

/// A number at the start of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scanned {
    /// The number without its sign, clamped to `u64::MAX`.
    pub magnitude: u64,
    /// Whether it was too large for `u64`.
    pub overflow: bool,
    /// Whether a minus sign preceded it.
    pub negative: bool,
    /// Whether the text is a base prefix (`0x`) without digits: `scanf` fails on it, `strtol`
    /// reads the zero.
    pub bare_prefix: bool,
    /// The number of bytes read, including leading white space.
    pub len: usize,
}

impl Scanned {
    /// The number as a C `long`, clamped to its range.
    pub(super) fn saturated(self) -> i64 {
        match (self.negative, i64::try_from(self.magnitude)) {
            (false, Ok(v)) => v,
            (false, Err(_)) => i64::MAX,
            (true, Ok(v)) => -v,
            (true, Err(_)) => i64::MIN,
        }
    }
}

/// Scans a number; with `base` 0, its prefix determines the base.
pub(super) fn scan(bytes: &[u8], base: u32) -> Option<Scanned> {
    let blanks = bytes.iter().take_while(|b| matches!(b, b' ' | b'\t'..=b'\r')).count();
    let rest = bytes.get(blanks..)?;
    let (negative, sign) = match rest.first()? {
        b'-' => (true, 1),
        b'+' => (false, 1),
        _ => (false, 0),
    };
    let rest = rest.get(sign..)?;
    let is_digit = |b: Option<&u8>, base: u32| b.is_some_and(|b| char::from(*b).is_digit(base));
    let mut bare_prefix = false;
    let (base, prefix) = match (base, rest) {
        (0, [b'0', b'x' | b'X', ..]) if is_digit(rest.get(2), 16) => (16, 2),
        (0, [b'0', b'b' | b'B', ..]) if is_digit(rest.get(2), 2) => (2, 2),
        (0, [b'0', b'x' | b'X' | b'b' | b'B', ..]) => {
            bare_prefix = true;
            (8, 0)
        }
        (0, [b'0', ..]) => (8, 0),
        (0, _) => (10, 0),
        (base, _) => (base, 0),
    };
    let digits = rest.get(prefix..)?;
    let (mut magnitude, mut overflow, mut count) = (0u64, false, 0);
    for byte in digits {
        let Some(digit) = char::from(*byte).to_digit(base) else { break };
        let next = magnitude.checked_mul(base.into()).and_then(|m| m.checked_add(digit.into()));
        overflow |= next.is_none();
        magnitude = if overflow { u64::MAX } else { next.unwrap_or(u64::MAX) };
        count += 1;
    }
    let len = blanks + sign + prefix + count;
    (count > 0).then_some(Scanned { magnitude, overflow, negative, bare_prefix, len })
}

/// Parses a whole word as a signed 64-bit number.
pub(super) fn long(word: &[u8]) -> Option<i64> {
    let n = whole(word)?;
    match i64::try_from(n.magnitude) {
        Ok(v) => Some(if n.negative { -v } else { v }),
        Err(_) => (n.negative && !n.overflow && n.magnitude == 1 << 63).then_some(i64::MIN),
    }
}

/// Parses a whole word as an unsigned number of at most `max`.  As in C, a minus sign negates
/// modulo 2^64.
pub(super) fn unsigned(word: &[u8], max: u64) -> Option<u64> {
    let n = whole(word)?;
    let value = if n.negative { n.magnitude.wrapping_neg() } else { n.magnitude };
    (!n.overflow && value <= max).then_some(value)
}

/// Reads a 32-bit number from the start of the bytes like `scanf("%i")`; returns it and the
/// number of bytes read.
pub(super) fn scanf_i(bytes: &[u8]) -> Option<(u32, usize)> {
    let n = scan(bytes, 0).filter(|n| !n.bare_prefix)?;
    Some((n.saturated() as u32, n.len))
}

/// Reads a 32-bit number from the start of the bytes like `scanf("%u")`.
pub(super) fn scanf_u(bytes: &[u8]) -> Option<u32> {
    let n = scan(bytes, 10)?;
    let value = if n.negative && !n.overflow { n.magnitude.wrapping_neg() } else { n.magnitude };
    Some(value as u32)
}

fn whole(word: &[u8]) -> Option<Scanned> {
    scan(word, 0).filter(|n| n.len == word.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_reads_what_strtol_reads() {
        for (word, value) in [
            ("80", Some(80)),
            ("+80", Some(80)),
            (" \t80", Some(80)),
            ("80 ", None),
            ("0x50", Some(80)),
            ("0X50", Some(80)),
            ("0b1010000", Some(80)),
            ("0120", Some(80)),
            ("-5", Some(-5)),
            ("0", Some(0)),
            ("", None),
            ("-", None),
            ("0x", None),
            ("0xg", None),
            ("08", None),
            ("5x", None),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("-9223372036854775808", Some(i64::MIN)),
            ("-9223372036854775809", None),
            ("99999999999999999999999", None),
        ] {
            assert_eq!(long(word.as_bytes()), value, "{word:?}");
        }
    }

    #[test]
    fn unsigned_wraps_a_sign_and_keeps_its_limit() {
        for (word, value) in [
            ("255", Some(255)),
            ("256", None),
            ("-0", Some(0)),
            ("-1", None),
            ("-18446744073709551615", Some(1)),
            ("18446744073709551616", None),
            ("0x", None),
        ] {
            assert_eq!(unsigned(word.as_bytes(), 255), value, "{word:?}");
        }
    }

    #[test]
    fn scanf_stops_where_it_must() {
        for (word, value) in [
            ("5junk", Some((5, 1))),
            ("5/3", Some((5, 1))),
            ("08/3", Some((0, 1))),
            ("0x", None),
            ("0b", None),
            ("x", None),
            ("0x100000005", Some((5, 11))),
            ("-1", Some((u32::MAX, 2))),
            ("99999999999999999999", Some((u32::MAX, 20))),
            ("-99999999999999999999", Some((0, 21))),
        ] {
            assert_eq!(scanf_i(word.as_bytes()), value, "{word:?}");
        }
        for (word, value) in [
            ("01x", Some(1)),
            ("-4294967295", Some(1)),
            ("99999999999999999999999", Some(u32::MAX)),
            ("x", None),
        ] {
            assert_eq!(scanf_u(word.as_bytes()), value, "{word:?}");
        }
    }
}
