//! Amounts, formatted for sentences.

use sockdiag_facts::fields::{Unit, put_amount, put_digits};

/// Formats an amount with its unit.  A share is printed in percent, or as a factor above one
/// and a half.
pub(crate) fn text(amount: f64, unit: Unit) -> String {
    if unit == Unit::Share {
        return if amount.abs() <= 1.5 {
            format!("{} %", digits(amount * 100.0))
        } else {
            format!("{} times", digits(amount))
        };
    }
    let mut out = Vec::new();
    if put_amount(&mut out, amount, unit) {
        return String::from_utf8_lossy(&out).into_owned();
    }
    digits(amount)
}

/// The error of an amount, formatted like the amount itself.
pub(crate) fn error_text(error: f64, amount: f64, unit: Unit) -> String {
    match unit {
        Unit::Share if amount.abs() <= 1.5 => format!("{} %", digits(error * 100.0)),
        Unit::Share => digits(error),
        _ => text(error, unit),
    }
}

/// Three digits, without trailing zeros after the point; whole numbers unchanged.
pub(crate) fn digits(amount: f64) -> String {
    let mut out = Vec::new();
    put_digits(&mut out, amount);
    String::from_utf8_lossy(&out).into_owned()
}

/// The unit named in a rule.
pub(crate) fn unit(word: &str) -> Option<Unit> {
    Some(match word {
        "share" => Unit::Share,
        "count" => Unit::Count,
        "bytes" => Unit::Bytes,
        "ms" => Unit::Milliseconds,
        "us" => Unit::Microseconds,
        "s" => Unit::Seconds,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_aloud() {
        for (amount, unit, want) in [
            (0.0734, Unit::Share, "7.34 %"),
            (1.0, Unit::Share, "100 %"),
            (3.25, Unit::Share, "3.25 times"),
            (28_232.0, Unit::Count, "28232"),
            (1500.0, Unit::Microseconds, "1.5ms"),
            (125_000.0, Unit::BytesPerSecond, "1Mbit/s"),
            (0.0, Unit::Count, "0"),
        ] {
            assert_eq!(text(amount, unit), want);
        }
        assert_eq!(error_text(0.01, 0.5, Unit::Share), "1 %");
    }
}
