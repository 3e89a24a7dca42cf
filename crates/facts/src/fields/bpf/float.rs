//! Formats floating-point numbers of three sizes as `printf("%f")` does.
//!
//! Each number is a mantissa of up to 64 bits times a power of two, so its decimal digits
//! follow from integer arithmetic: six decimals, rounded to nearest, ties to even, as in
//! glibc.
//!
//! Source: printf(3); IEEE 754; the x87 format of `long double`.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use std::io::Write as _;

/// Appends a `float`, a `double` or an x87 `long double`, depending on its size.  Returns
/// `false` for other sizes.
pub(super) fn put(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    match *bytes {
        [a, b, c, d] => put_double(out, f32::from_ne_bytes([a, b, c, d]).into()),
        [a, b, c, d, e, f, g, h] => put_double(out, f64::from_ne_bytes([a, b, c, d, e, f, g, h])),
        _ => match <[u8; 16]>::try_from(bytes) {
            Ok(bytes) => put_long_double(out, u128::from_le_bytes(bytes)),
            Err(_) => return false,
        },
    }
    true
}

fn put_double(out: &mut Vec<u8>, value: f64) {
    let bits = value.to_bits();
    let (exponent, fraction) = ((bits >> 52 & 0x7ff) as i32, bits & ((1 << 52) - 1));
    put_sign(out, value.is_sign_negative());
    match exponent {
        0x7ff => out.extend_from_slice(if fraction == 0 { b"inf" } else { b"nan" }),
        0 => put_fixed(out, fraction, -1074),
        _ => put_fixed(out, fraction | 1 << 52, exponent - 1075),
    }
}

/// This format stores the mantissa's highest bit; without it, the number is invalid.
fn put_long_double(out: &mut Vec<u8>, bits: u128) {
    const WHOLE: u64 = 1 << 63;
    let (mantissa, exponent) = (bits as u64, (bits >> 64) as i32 & 0x7fff);
    put_sign(out, bits >> 79 & 1 == 1);
    match exponent {
        0x7fff if mantissa == WHOLE => out.extend_from_slice(b"inf"),
        0x7fff => out.extend_from_slice(b"nan"),
        0 => put_fixed(out, mantissa, -16_445),
        _ if mantissa < WHOLE => out.extend_from_slice(b"nan"),
        _ => put_fixed(out, mantissa, exponent - 16_446),
    }
}

fn put_sign(out: &mut Vec<u8>, negative: bool) {
    if negative {
        out.push(b'-');
    }
}

/// Appends `mantissa * 2^exponent` with six decimals.
fn put_fixed(out: &mut Vec<u8>, mantissa: u64, exponent: i32) {
    const PLACES: u128 = 1_000_000;
    let Ok(left) = u32::try_from(exponent) else {
        // In millionths, fewer than 2^84.
        let scaled = u128::from(mantissa) * PLACES;
        let rounded = match exponent.unsigned_abs() {
            right @ ..=100 => {
                let (whole, rest, half) = (scaled >> right, scaled & ((1 << right) - 1), 1 << (right - 1));
                whole + u128::from(rest > half || rest == half && whole & 1 == 1)
            }
            _ => 0,
        };
        let _ = write!(out, "{}.{:06}", rounded / PLACES, rounded % PLACES);
        return;
    };
    // Nine digits per limb, the lowest limb first.
    const LIMB: u64 = 1_000_000_000;
    let mut limbs = vec![mantissa % LIMB, mantissa / LIMB % LIMB, mantissa / LIMB / LIMB];
    let mut shifts = left;
    while shifts > 0 {
        let shift = shifts.min(29);
        let mut carry = 0;
        for limb in &mut limbs {
            let shifted = (*limb << shift) + carry;
            (*limb, carry) = (shifted % LIMB, shifted / LIMB);
        }
        limbs.extend((carry > 0).then_some(carry));
        shifts -= shift;
    }
    let mut limbs = limbs.iter().rev().skip_while(|limb| **limb == 0);
    let _ = write!(out, "{}", limbs.next().unwrap_or(&0));
    limbs.for_each(|limb| {
        let _ = write!(out, "{limb:09}");
    });
    out.extend_from_slice(b".000000");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        assert!(put(&mut out, bytes));
        String::from_utf8(out).expect("digits")
    }

    /// Expected output from glibc 2.41's `printf("%f")`.
    #[test]
    fn doubles_are_printf_s() {
        for (value, want) in [
            (0.0, "0.000000"),
            (-0.0, "-0.000000"),
            (1.5, "1.500000"),
            (1.0 / 3.0, "0.333333"),
            (1.0 / 128.0, "0.007812"),
            (3.0 / 128.0, "0.023438"),
            (5.0 / 128.0, "0.039062"),
            (5e-7, "0.000000"),
            (5e-324, "0.000000"),
            (0.999_999_6, "1.000000"),
            (9.999_999_5, "9.999999"),
            (1e22, "10000000000000000000000.000000"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(text(&value.to_ne_bytes()), want);
        }
        assert_eq!(text(&0.1_f32.to_ne_bytes()), "0.100000");
        assert_eq!(text(&3e38_f32.to_ne_bytes()), "300000000549775575777803994281145270272.000000");
        assert!(!put(&mut Vec::new(), &[0; 12]));
    }

    /// The standard library prints exact digits too.
    #[test]
    fn random_doubles_agree_with_the_standard_library() {
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..20_000 {
            let value = f64::from_bits(rng.u64(..));
            let value = if rng.bool() { value } else { rng.f64() * 1e9 };
            if value.is_finite() {
                assert_eq!(text(&value.to_ne_bytes()), format!("{value:.6}"));
            }
        }
    }

    #[test]
    fn long_doubles_are_x87_s() {
        for (bits, want) in [
            (0x3fff_8000_0000_0000_0000, "1.000000"),
            (0xbfff_8000_0000_0000_0000, "-1.000000"),
            (0x4000_c90f_daa2_2168_c235, "3.141593"),
            (0x7fff_8000_0000_0000_0000, "inf"),
            (0xffff_8000_0000_0000_0000, "-inf"),
            (0x7fff_c000_0000_0000_0000, "nan"),
            (0x7fff_0000_0000_0000_0000, "nan"),
            (0x4001_0000_0000_0000_0001, "nan"),
            (0x0000_ffff_ffff_ffff_ffff, "0.000000"),
            (0x403e_ffff_ffff_ffff_ffff, "18446744073709551615.000000"),
            (0x403f_8000_0000_0000_0001, "18446744073709551618.000000"),
        ] {
            assert_eq!(text(&u128::to_le_bytes(bits)), want, "{bits:x}");
        }
        let greatest = text(&0x7ffe_ffff_ffff_ffff_ffff_u128.to_le_bytes());
        assert!(greatest.starts_with("118973149535723176502126385303097020516906332229462420044"));
        assert!(greatest.len() == 4_933 + 7 && greatest.ends_with("86811989770240.000000"), "{greatest}");
    }
}
