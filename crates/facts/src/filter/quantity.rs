//! Amounts with units, as values of fields: `100ms`, `1.5G`, `20Mbit`.
//!
//! A plain number is in the field's own unit.  Times accept `us`, `ms`, `s`, `m`, `h`; bytes
//! accept `K`, `M`, `G`, `T` and `KiB`... (1024), `kB`, `MB`... (1000); rates accept these and
//! `bit`, `kbit`, `Mbit`, `Gbit` (1000), also as `bps`, with or without `/s`; counts accept
//! `k`, `M`, `G` (1000).  A fraction in units of 1/256 or 1/1024 may be written as a decimal
//! fraction of one.  Percentages accept `%`.
//!
//! An amount with a unit or a decimal point is as precise as it was typed: `20ms` matches all
//! values that round to it, since the user saw, or means, no more digits.

use crate::fields::Unit;

/// An amount in a field's own unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Amount {
    /// The amount.
    pub(super) amount: f64,
    /// The value of one unit in its last digit.
    pub(super) step: f64,
}

/// Splits a text into the number, the value of one unit in its last digit, and the unit.
fn split(text: &str) -> Option<(f64, f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '-' | '+')).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let decimals = number.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let step = 0.1_f64.powi(i32::try_from(decimals).ok()?);
    Some((number.parse().ok().filter(|number: &f64| number.is_finite())?, step, unit))
}

/// Parses an amount with a unit, or a decimal fraction; `None` if the text is neither, or if
/// its unit does not suit the field.
pub(super) fn amount(text: &[u8], unit: Unit) -> Option<Amount> {
    let (number, step, suffix) = split(std::str::from_utf8(text).ok()?)?;
    let factor = match unit {
        Unit::Microseconds => microseconds(suffix)?,
        Unit::Milliseconds => microseconds(suffix)? / 1e3,
        Unit::Seconds => microseconds(suffix)? / 1e6,
        Unit::Bytes => bytes(suffix)?,
        Unit::BytesPerSecond => {
            let suffix = suffix.strip_suffix("/s").unwrap_or(suffix);
            bytes(suffix).or_else(|| Some(bits(suffix)? / 8.0))?
        }
        Unit::Count | Unit::Packets | Unit::PacketsPerSecond => match suffix {
            "k" | "K" => 1e3,
            "M" => 1e6,
            "G" => 1e9,
            _ => return None,
        },
        Unit::Per256 if suffix.is_empty() && step < 1.0 => 256.0,
        Unit::Per1024 if suffix.is_empty() && step < 1.0 => 1024.0,
        Unit::Share if suffix == "%" => 0.01,
        Unit::None | Unit::Ticks | Unit::Per256 | Unit::Per1024 | Unit::Share => return None,
    };
    Some(Amount { amount: number * factor, step: step * factor })
}

/// Parses a number with a decimal point and no unit.
pub(super) fn ratio(text: &[u8]) -> Option<Amount> {
    let text = std::str::from_utf8(text).ok()?;
    if let Some((amount, step, "")) = split(text) {
        return Some(Amount { amount, step });
    }
    // A number with an exponent.
    let amount = text.parse().ok().filter(|number: &f64| number.is_finite())?;
    Some(Amount { amount, step: 0.0 })
}

/// The units that a field accepts, for an error message about another unit.
pub(super) fn units(unit: Unit) -> &'static str {
    match unit {
        Unit::Microseconds | Unit::Milliseconds | Unit::Seconds => "a time such as 500us, 100ms, 2s or 5m",
        Unit::Bytes => "bytes such as 512, 64K or 1.5G",
        Unit::BytesPerSecond => "bytes per second such as 100K, or bits such as 20Mbit",
        Unit::Count | Unit::Packets | Unit::PacketsPerSecond => "a number such as 10 or 5k",
        Unit::Share => "a share such as 0.05 or 5%",
        Unit::None | Unit::Ticks | Unit::Per256 | Unit::Per1024 => "a number",
    }
}

fn microseconds(suffix: &str) -> Option<f64> {
    Some(match suffix {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        "m" | "min" => 60e6,
        "h" => 3600e6,
        _ => return None,
    })
}

fn bytes(suffix: &str) -> Option<f64> {
    const BINARY: f64 = 1024.0;
    Some(match suffix {
        "B" => 1.0,
        "K" | "k" | "KiB" => BINARY,
        "M" | "MiB" => BINARY * BINARY,
        "G" | "GiB" => BINARY * BINARY * BINARY,
        "T" | "TiB" => BINARY * BINARY * BINARY * BINARY,
        "kB" | "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "TB" => 1e12,
        _ => return None,
    })
}

fn bits(suffix: &str) -> Option<f64> {
    Some(match suffix {
        "bit" | "bps" => 1.0,
        "kbit" | "Kbit" | "kbps" | "Kbps" => 1e3,
        "Mbit" | "Mbps" => 1e6,
        "Gbit" | "Gbps" => 1e9,
        "Tbit" | "Tbps" => 1e12,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_in_the_field_s_unit() {
        for (text, unit, want) in [
            ("100ms", Unit::Microseconds, Some(100_000.0)),
            ("1.5s", Unit::Milliseconds, Some(1500.0)),
            ("2m", Unit::Milliseconds, Some(120_000.0)),
            ("2m", Unit::Seconds, Some(120.0)),
            ("500ms", Unit::Seconds, Some(0.5)),
            ("1h", Unit::Microseconds, Some(3_600_000_000.0)),
            ("1G", Unit::Bytes, Some(1_073_741_824.0)),
            ("1GB", Unit::Bytes, Some(1e9)),
            ("64KiB", Unit::Bytes, Some(65_536.0)),
            ("20Mbit", Unit::BytesPerSecond, Some(2_500_000.0)),
            ("20Mbps", Unit::BytesPerSecond, Some(2_500_000.0)),
            ("20Mbit/s", Unit::BytesPerSecond, Some(2_500_000.0)),
            ("1.25", Unit::Per256, Some(320.0)),
            ("1", Unit::Per256, None),
            ("1M", Unit::BytesPerSecond, Some(1_048_576.0)),
            ("5k", Unit::Packets, Some(5000.0)),
            ("-1k", Unit::Count, Some(-1000.0)),
            ("100ms", Unit::Bytes, None),
            ("20Mbit", Unit::Bytes, None),
            ("1x", Unit::Microseconds, None),
            ("1", Unit::Microseconds, None),
            ("ms", Unit::Microseconds, None),
            ("1G", Unit::None, None),
            ("..ms", Unit::Microseconds, None),
        ] {
            let found = amount(text.as_bytes(), unit).map(|found| found.amount);
            assert_eq!(found, want, "{text} in {unit:?}");
        }
        assert_eq!(amount(b"\xff", Unit::Bytes), None);
    }

    #[test]
    fn amounts_are_as_exact_as_they_are_typed() {
        for (text, unit, want) in [
            ("95.2ms", Unit::Microseconds, 100.0),
            ("20ms", Unit::Microseconds, 1000.0),
            ("20us", Unit::Microseconds, 1.0),
            ("1.50K", Unit::Bytes, 10.24),
        ] {
            let step = amount(text.as_bytes(), unit).map_or(f64::NAN, |found| found.step);
            assert!((step - want).abs() < 1e-6, "{text}: {step}");
        }
        assert_eq!(ratio(b"0.5").map(|found| found.amount), Some(0.5));
        assert_eq!(ratio(b"1e3").map(|found| found.amount), Some(1000.0));
        assert_eq!((ratio(b"nan"), ratio(b"1x"), ratio(b"")), (None, None, None));
    }
}
