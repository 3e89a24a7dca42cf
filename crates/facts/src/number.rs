//! Formats numbers as C's printf does.
//!
//! Integers go through `itoa`.  `%g` has an integer fast path for the usual values of sockets
//! and an exact fallback to the standard library's correctly rounded formatting; both produce
//! the bytes of glibc.  Nothing here allocates, except for growing the output.
//!
//! Source: printf(3).

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    clippy::cast_lossless,
    reason = "kernel integers are narrow; each cast is meant"
)]

use std::io::Write as _;

pub use crate::escape::put_name;

/// Appends an unsigned integer (`%u`).
#[inline]
pub fn put_u64(out: &mut Vec<u8>, value: u64) {
    if value < 10 {
        out.push(b'0' + value as u8);
    } else if value < 100_000 {
        let value = value as u32;
        let (above, below) = (value / 10_000, value % 10_000);
        let pair = |pair: u32| u64::from(PAIRS[pair as usize % PAIRS.len()]);
        let digits =
            (u64::from(b'0') + u64::from(above)) | (pair(below / 100) << 8) | (pair(below % 100) << 24);
        // Computed without the digits, so that the processor does not have to wait for them.
        let length = 2 + u32::from(value > 99) + u32::from(value > 999) + u32::from(value > 9999);
        put_start(out, (digits >> (40 - 8 * length)).to_le_bytes(), length as usize);
    } else {
        put_long(out, value);
    }
}

fn put_long(out: &mut Vec<u8>, value: u64) {
    if value < 100_000_000 {
        let digits = eight_digits(value as u32);
        let zeros = digits.trailing_zeros() / 8;
        put_start(out, ((ASCII_ZEROS + digits) >> (8 * zeros)).to_le_bytes(), 8 - zeros as usize);
    } else {
        out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }
}

/// The two digits of every number below 100, the first digit in the lowest byte.
static PAIRS: [u16; 100] = {
    let mut pairs = [0; 100];
    let mut pair = 0;
    while pair < 100 {
        pairs[pair] = u16::from_le_bytes([b'0' + (pair / 10) as u8, b'0' + (pair % 10) as u8]);
        pair += 1;
    }
    pairs
};

/// Eight ASCII zeros.
const ASCII_ZEROS: u64 = 0x3030_3030_3030_3030;

/// The decimal digits of a number below 10^8, one per byte, the first digit in the lowest
/// byte.  Each step divides all lanes of a word at once.
#[inline]
fn eight_digits(value: u32) -> u64 {
    let fours = u64::from(value / 10_000) | u64::from(value % 10_000) << 32;
    // Below 10^4 and 10^2: x / 100 = x * 10486 >> 20, x / 10 = x * 103 >> 10.
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | (fours - 100 * hundreds) << 16;
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | (twos - 10 * tens) << 8
}

/// Appends the first `length` bytes of a short text: copies all of them and truncates the
/// surplus, which is cheaper than a copy of variable length.
#[inline]
pub fn put_start<const N: usize>(out: &mut Vec<u8>, text: [u8; N], length: usize) {
    out.extend_from_slice(&text);
    out.truncate(out.len() - N.saturating_sub(length));
}

/// Appends a signed integer (`%d`).
#[inline]
pub fn put_i64(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    put_u64(out, value.unsigned_abs());
}

/// Appends a 32-bit word as C's `%d` would print it.
#[inline]
pub fn put_signed(out: &mut Vec<u8>, word: u32) {
    put_i64(out, i64::from(word as i32));
}

/// Appends lower-case hexadecimal without prefix (`%x`).
pub fn put_hex(out: &mut Vec<u8>, value: u64) {
    let digits = (16 - (value.leading_zeros() / 4)).max(1);
    for at in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(value >> (4 * at)) as usize & 15]);
    }
}

/// Appends a byte as a backslash and three octal digits.
pub fn put_octal(out: &mut Vec<u8>, byte: u8) {
    out.extend_from_slice(&[b'\\', b'0' + (byte >> 6), b'0' + (byte >> 3 & 7), b'0' + (byte & 7)]);
}

/// Appends hexadecimal with the prefix `0x`; zero has no prefix (`%#x`).
pub fn put_alt_hex(out: &mut Vec<u8>, value: u64) {
    if value != 0 {
        out.extend_from_slice(b"0x");
    }
    put_hex(out, value);
}

/// Appends `value / 1000` as `%g` would: microseconds shown as milliseconds.
#[inline]
pub fn put_millis(out: &mut Vec<u8>, value: u32) {
    // Up to 999.999 the quotient has at most six significant digits, so `%g`
    // rounds nothing and only drops trailing zeros.
    if value < 1_000_000 {
        put_u64(out, u64::from(value / 1000));
        let mut part = value % 1000;
        if part != 0 {
            let digits =
                [b'.', b'0' + (part / 100) as u8, b'0' + (part / 10 % 10) as u8, b'0' + (part % 10) as u8];
            let mut len = 4;
            while part.is_multiple_of(10) {
                part /= 10;
                len -= 1;
            }
            put_start(out, digits, len);
        }
    } else {
        put_g(out, f64::from(value) / 1000.0, 6);
    }
}

/// Appends a finite number as `%.*g` would, with a `precision` of 1 to 17.
pub fn put_g(out: &mut Vec<u8>, value: f64, precision: usize) {
    if value == 0.0 {
        out.push(b'0');
        return;
    }
    let start = out.len();
    // "d.ddde-7": correctly rounded digits and the decimal exponent.
    let _ = write!(out, "{value:.*e}", precision.saturating_sub(1));
    let exponent_at = out.iter().skip(start).position(|b| *b == b'e').map_or(out.len(), |at| start + at);
    let exponent: i32 = out
        .get(exponent_at + 1..)
        .and_then(|e| std::str::from_utf8(e).ok())
        .and_then(|e| e.parse().ok())
        .unwrap_or(0);
    out.truncate(exponent_at);
    if exponent < -4 || exponent >= precision as i32 {
        trim_fraction(out, start);
        let _ = write!(out, "e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs());
    } else {
        out.truncate(start);
        let _ = write!(out, "{value:.*}", (precision as i32 - 1 - exponent).max(0) as usize);
        trim_fraction(out, start);
    }
}

/// Removes trailing zeros of a fraction, and then a trailing decimal point.
fn trim_fraction(out: &mut Vec<u8>, start: usize) {
    if out.iter().skip(start).any(|b| *b == b'.') {
        while out.last() == Some(&b'0') {
            out.pop();
        }
        if out.last() == Some(&b'.') {
            out.pop();
        }
    }
}

/// Appends `value` without fraction (`%.0f`).
pub fn put_rounded(out: &mut Vec<u8>, value: f64) {
    if (0.0..9e18).contains(&value) {
        put_u64(out, value.round_ties_even() as u64);
    } else {
        let _ = write!(out, "{value:.0}");
    }
}

/// Appends a rate in bits per second, without `bps`: as a plain number if `numeric`, otherwise
/// with three digits and `k`, `M`, `G` or `T`.
pub fn put_rate(out: &mut Vec<u8>, bits: f64, numeric: bool) {
    if numeric {
        put_rounded(out, bits);
        return;
    }
    let (scaled, suffix) = match bits {
        b if b >= 1e12 => (b / 1e12, b'T'),
        b if b >= 1e9 => (b / 1e9, b'G'),
        b if b >= 1e6 => (b / 1e6, b'M'),
        b if b >= 1e3 => (b / 1e3, b'k'),
        b => return put_g(out, b, 6),
    };
    put_three_digits(out, scaled);
    out.push(suffix);
}

/// `%.3g` for numbers of at least 1.
fn put_three_digits(out: &mut Vec<u8>, value: f64) {
    let (scale, decimals) = match value {
        v if v < 10.0 => (100.0, 2),
        v if v < 100.0 => (10.0, 1),
        _ => (1.0, 0),
    };
    let scaled = value * scale;
    let rounded = scaled.round_ties_even();
    // Near a tie, rounding of the product could change the result, so use the exact method.
    if rounded >= 1000.0 || ((scaled - scaled.floor()) - 0.5).abs() < 1e-6 {
        return put_g(out, value, 3);
    }
    let digits = rounded as u32;
    match decimals {
        2 => {
            put_u64(out, u64::from(digits / 100));
            put_fraction(out, &[digits / 10 % 10, digits % 10]);
        }
        1 => {
            put_u64(out, u64::from(digits / 10));
            put_fraction(out, &[digits % 10]);
        }
        _ => put_u64(out, u64::from(digits)),
    }
}

fn put_fraction(out: &mut Vec<u8>, digits: &[u32]) {
    let kept = digits.iter().rposition(|d| *d != 0).map_or(0, |at| at + 1);
    if kept > 0 {
        out.push(b'.');
        out.extend(digits.iter().take(kept).map(|d| b'0' + *d as u8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(f: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = b"x".to_vec();
        f(&mut out);
        String::from_utf8(out).unwrap()[1..].to_owned()
    }

    #[test]
    fn integers_are_whole() {
        let powers = (0..20).map(|n| 10_u64.pow(n)).flat_map(|power| [power - 1, power, power + 1]);
        let mut seed = 1_u64;
        let random = (0..200_000).map(|n| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            seed >> (n % 64)
        });
        for value in (0..=20_000).chain(powers).chain(random).chain([u64::MAX]) {
            assert_eq!(text(|o| put_u64(o, value)), value.to_string());
        }
        for lane in 0..10_000 {
            assert_eq!(text(|o| put_u64(o, 9999 * 10_000 + lane)), (99_990_000 + lane).to_string());
        }
    }

    #[test]
    fn g_is_printf_g() {
        for (value, precision, want) in [
            (0.0, 6, "0"),
            (2.5, 6, "2.5"),
            (100_000.0, 6, "100000"),
            (1_000_000.0, 6, "1e+06"),
            (1_234_567.0, 6, "1.23457e+06"),
            (0.0001, 6, "0.0001"),
            (0.000_012, 6, "1.2e-05"),
            (999.6, 3, "1e+03"),
            (999.4, 3, "999"),
            (2.886_718_75, 6, "2.88672"),
            (-1.5, 6, "-1.5"),
        ] {
            assert_eq!(text(|o| put_g(o, value, precision)), want);
        }
    }

    #[test]
    fn millis_agree_with_the_exact_way() {
        for value in (0..2_000_000).step_by(7).chain([999_999, 1_000_000, u32::MAX]) {
            let exact = text(|o| put_g(o, f64::from(value) / 1000.0, 6));
            assert_eq!(text(|o| put_millis(o, value)), exact, "{value}");
        }
    }

    #[test]
    fn rates_agree_with_the_exact_way() {
        let mut seed = 1_u64;
        for _ in 0..200_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let value = 1.0 + (seed >> 40) as f64 / (1 << 14) as f64;
            if value < 1000.0 {
                assert_eq!(text(|o| put_three_digits(o, value)), text(|o| put_g(o, value, 3)), "{value}");
            }
        }
        assert_eq!(text(|o| put_rate(o, 999_600.0, false)), "1e+03k");
        assert_eq!(text(|o| put_rate(o, 999.0, false)), "999");
        assert_eq!(text(|o| put_rate(o, 2.5, true)), "2");
        assert_eq!(text(|o| put_rate(o, 1.8e20, true)), "180000000000000000000");
    }

    #[test]
    fn hex_is_printf_x() {
        assert_eq!(text(|o| put_hex(o, 0)), "0");
        assert_eq!(text(|o| put_hex(o, 0x1_dead_beef)), "1deadbeef");
        assert_eq!(text(|o| put_alt_hex(o, 0)), "0");
        assert_eq!(text(|o| put_alt_hex(o, 16)), "0x10");
        assert_eq!(text(|o| put_signed(o, u32::MAX)), "-1");
    }
}
