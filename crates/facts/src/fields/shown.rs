//! Formats numbers for people: with a unit, and at most three digits.
//!
//! A number with fewer than four digits in some unit is printed exactly; others are rounded.
//! Conditions accept the same notation: `rtt > 95.2ms`, `delivery_rate > 143Mbit/s`.  Bytes
//! use powers of 1000 (kB, MB), rates use bits, shares percent, and factors two decimals.
//!
//! Source: units of the filter language (`filter/quantity.rs`); tc(8) for rates.

use std::io::Write as _;

use super::Unit;

/// Units of one quantity, each with its size in the field's unit, the largest first.
type Scale = &'static [(&'static str, f64)];

const MICROSECONDS: Scale = &[("h", 3600e6), ("s", 1e6), ("ms", 1e3), ("us", 1.0)];
const MILLISECONDS: Scale = &[("h", 3600e3), ("s", 1e3), ("ms", 1.0)];
const SECONDS: Scale = &[("h", 3600.0), ("s", 1.0)];
const BYTES: Scale = &[("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1.0)];
/// Bytes per second, printed as bits per second.
const RATE: Scale =
    &[("Gbit/s", 1e9 / 8.0), ("Mbit/s", 1e6 / 8.0), ("kbit/s", 1e3 / 8.0), ("bit/s", 1.0 / 8.0)];
/// Segments per second.
const PACE: Scale = &[("M/s", 1e6), ("k/s", 1e3), ("/s", 1.0)];

/// Fractions of 1.
const SHARE: Scale = &[("%", 0.01)];

/// Appends a number in `unit` for people.  Appends nothing and returns false for units that
/// are printed as plain numbers: counts, identifiers, ticks.
pub fn put_amount(out: &mut Vec<u8>, number: f64, unit: Unit) -> bool {
    let scale = match unit {
        Unit::Microseconds => MICROSECONDS,
        Unit::Milliseconds => MILLISECONDS,
        Unit::Seconds => SECONDS,
        Unit::Bytes => BYTES,
        Unit::BytesPerSecond => RATE,
        Unit::PacketsPerSecond => PACE,
        Unit::Per256 => return put_factor(out, number / 256.0),
        Unit::Per1024 => return put_factor(out, number / 1024.0),
        Unit::Share => SHARE,
        Unit::None | Unit::Count | Unit::Packets | Unit::Ticks => return false,
    };
    let fits = |(_, size): &&(&str, f64)| number.abs() >= *size;
    let Some((name, size)) = scale.iter().find(fits).or(scale.last()) else { return false };
    put_digits(out, number / size);
    out.extend_from_slice(name.as_bytes());
    true
}

/// The name of a field without its unit, for headers of columns whose values print their unit.
pub fn without_unit(name: &str) -> Option<&str> {
    ["_us", "_ms", "_bytes"].iter().find_map(|unit| name.strip_suffix(unit))
}

/// Appends three significant digits of a number without trailing zeros; more if the integer
/// part is longer.
pub fn put_digits(out: &mut Vec<u8>, number: f64) {
    // Of idle sockets, most numbers are zero.
    if number == 0.0 {
        out.push(b'0');
        return;
    }
    let places = match number.abs() {
        ..10.0 => 2,
        10.0..100.0 => 1,
        _ => 0,
    };
    let start = out.len();
    // Writing to memory does not fail.
    let _ = write!(out, "{number:.places$}");
    if places > 0 {
        while out.len() > start && out.ends_with(b"0") {
            out.pop();
        }
        if out.ends_with(b".") {
            out.pop();
        }
    }
}

fn put_factor(out: &mut Vec<u8>, factor: f64) -> bool {
    // Writing to memory does not fail.
    let _ = write!(out, "{factor:.2}");
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_units_and_three_digits() {
        for (number, unit, want) in [
            (95_219.0, Unit::Microseconds, "95.2ms"),
            (95.0, Unit::Microseconds, "95us"),
            (300.0, Unit::Microseconds, "300us"),
            (1_500_000.0, Unit::Microseconds, "1.5s"),
            (0.0, Unit::Microseconds, "0us"),
            (200_000.0, Unit::Microseconds, "200ms"),
            (4.0, Unit::Milliseconds, "4ms"),
            (90_000.0, Unit::Milliseconds, "90s"),
            (7_200_000.0, Unit::Milliseconds, "2h"),
            (17_875_000.0, Unit::BytesPerSecond, "143Mbit/s"),
            (1.0, Unit::BytesPerSecond, "8bit/s"),
            (0.0, Unit::BytesPerSecond, "0bit/s"),
            (2e12, Unit::BytesPerSecond, "16000Gbit/s"),
            (999.0, Unit::Bytes, "999B"),
            (65_536.0, Unit::Bytes, "65.5kB"),
            (1_048_576.0, Unit::Bytes, "1.05MB"),
            (256.0, Unit::Per256, "1.00"),
            (739.0, Unit::Per256, "2.89"),
            (512.0, Unit::Per1024, "0.50"),
            (1.0, Unit::Share, "100%"),
            (0.0123, Unit::Share, "1.23%"),
            (0.0, Unit::Share, "0%"),
        ] {
            let mut out = Vec::new();
            assert!(put_amount(&mut out, number, unit));
            assert_eq!(String::from_utf8(out).expect("ASCII"), want, "{number} {unit:?}");
        }
        for unit in [Unit::None, Unit::Count, Unit::Packets, Unit::Ticks] {
            let mut out = Vec::new();
            assert!(!put_amount(&mut out, 5.0, unit) && out.is_empty(), "{unit:?}");
        }
    }
}
