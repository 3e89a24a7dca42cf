//! Lengths of time on the command line: `30s`, `500ms`, `2m`, `1.5h`; a number
//! alone is in seconds.

use std::time::Duration;

/// Units; a unit comes before its own suffix, as `ms` before `s`.
const UNITS: [(&str, f64); 5] = [("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];

/// The error message for a text that is not a time.
const EXPECTED: &str = "expected a time such as 500ms, 30s, 2m or 1h";

/// Parses a length of time; zero is allowed.
///
/// # Errors
/// The error message.
pub(crate) fn parse(text: &str) -> Result<Duration, &'static str> {
    let unit = UNITS.iter().find(|(unit, _)| {
        let number = text.strip_suffix(unit);
        number.is_some_and(|number| number.ends_with(|last: char| last.is_ascii_digit() || last == '.'))
    });
    let (number, seconds) = match unit {
        Some((unit, seconds)) => (text.strip_suffix(unit).unwrap_or(text), *seconds),
        None => (text, 1.0),
    };
    // Reject signs, exponents, `inf` and `nan`, which f64 would accept.
    if !number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(EXPECTED);
    }
    let number: f64 = number.parse().map_err(|_| EXPECTED)?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| EXPECTED)
}

/// The same, but zero is an error.
///
/// # Errors
/// The error message.
pub(crate) fn parse_some(text: &str) -> Result<Duration, &'static str> {
    parse(text).and_then(|time| if time.is_zero() { Err("it must be more than 0") } else { Ok(time) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_units() {
        for (text, want) in [
            ("30s", Some(30_000_000)),
            ("30", Some(30_000_000)),
            ("500ms", Some(500_000)),
            ("250us", Some(250)),
            ("2m", Some(120_000_000)),
            ("1.5h", Some(5_400_000_000)),
            (".5", Some(500_000)),
            ("0", Some(0)),
            ("0s", Some(0)),
            ("", None),
            ("s", None),
            ("-1s", None),
            ("1x", None),
            ("1 s", None),
            ("1e3", None),
            ("inf", None),
            ("nan", None),
            (".", None),
            ("99999999999999999999999h", None),
        ] {
            let want = want.map(Duration::from_micros);
            assert_eq!(parse(text).ok(), want, "{text:?}");
        }
    }
}
