//! Formats a point in time for people and other programs.
//!
//! Source: RFC 3339; the days of the Gregorian calendar.

/// Formats seconds since 1970 as `2026-11-23T02:00:00Z`, with nanoseconds if they are given.
pub fn rfc3339(seconds: u64, nanoseconds: Option<u32>) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Eras of 400 years that begin on March 1st, so that the leap day ends a year.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) =
        (era * 400 + year + u64::from(month >= 10), if month < 10 { month + 3 } else { month - 9 });
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let fraction = nanoseconds.map_or_else(String::new, |part| format!(".{part:09}"));
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_date() {
        // Expected values from `date -u -d @N +%FT%TZ`.
        for (seconds, want) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds, None), want, "{seconds}");
        }
    }

    #[test]
    fn nanoseconds_have_nine_digits() {
        assert_eq!(rfc3339(0, Some(7)), "1970-01-01T00:00:00.000000007Z");
        assert_eq!(rfc3339(1, Some(999_999_999)), "1970-01-01T00:00:01.999999999Z");
    }
}
