//! Shell patterns as in `fnmatch(3)`, optionally ignoring case.
//!
//! `*` matches any bytes, including `/` and a leading dot; `?` matches one byte; `[a-z]`,
//! `[!a-z]`, `[^a-z]` and `[[:digit:]]` match one byte of a set; `\` makes the next byte
//! literal.  Case is only ignored for ASCII letters, since the reference runs in the C locale.
//! An unclosed bracket is literal.
//!
//! Invariant: the run time is bounded by the product of both lengths, because only the last
//! `*` is ever retried.
//!
//! Source: POSIX.1-2017, XCU 2.13 (pattern matching notation).

/// Whether the pattern matches the whole text, ignoring case.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    matches_in(pattern, text, Case::Folded)
}

/// Whether case matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    /// Case is ignored.
    Folded,
    /// Case matters.
    Kept,
}

impl Case {
    fn of(self, byte: u8) -> u8 {
        match self {
            Self::Folded => byte.to_ascii_lowercase(),
            Self::Kept => byte,
        }
    }

    /// Whether two texts are equal.
    pub(super) fn is_same(self, a: &[u8], b: &[u8]) -> bool {
        match self {
            Self::Folded => a.eq_ignore_ascii_case(b),
            Self::Kept => a == b,
        }
    }
}

/// Whether the pattern matches the whole text.
pub(super) fn matches_in(pattern: &[u8], text: &[u8], case: Case) -> bool {
    let (mut p, mut t) = (pattern, text);
    // Where to retry after a failure: after the last star, one byte further in the text.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        let step = match p.split_first() {
            Some((b'*', rest)) => {
                p = rest;
                retry = Some((rest, t));
                continue;
            }
            None if t.is_empty() => return true,
            None => None,
            Some(_) => t.split_first().and_then(|(byte, after)| Some((one(p, *byte, case)?, after))),
        };
        if let Some(next) = step {
            (p, t) = next;
        } else {
            let Some((after_star, from)) = retry else { return false };
            let Some((_, shorter)) = from.split_first() else { return false };
            retry = Some((after_star, shorter));
            (p, t) = (after_star, shorter);
        }
    }
}

/// Matches one byte against the head of a pattern, which is not a star; returns the rest of
/// the pattern.
fn one(pattern: &[u8], byte: u8, case: Case) -> Option<&[u8]> {
    let (head, rest) = pattern.split_first()?;
    match head {
        b'?' => Some(rest),
        b'\\' => {
            // A trailing backslash matches nothing.
            let (literal, rest) = rest.split_first()?;
            (case.of(*literal) == case.of(byte)).then_some(rest)
        }
        b'[' => match bracket(rest, byte, case) {
            Some((true, rest)) => Some(rest),
            Some((false, _)) => None,
            None => (byte == b'[').then_some(rest),
        },
        literal => (case.of(*literal) == case.of(byte)).then_some(rest),
    }
}

/// Matches a byte against a bracket expression without its `[`; `None` if the bracket is not
/// closed.
fn bracket(set: &[u8], byte: u8, case: Case) -> Option<(bool, &[u8])> {
    let (negated, mut set) = match set {
        [b'!' | b'^', rest @ ..] => (true, rest),
        _ => (false, set),
    };
    let byte = case.of(byte);
    let (mut found, mut first) = (false, true);
    loop {
        if let [b']', rest @ ..] = set
            && !first
        {
            return Some((found != negated, rest));
        }
        first = false;
        if let [b'[', b':', rest @ ..] = set
            && let Some(end) = rest.windows(2).position(|w| w == b":]")
        {
            found |= in_class(rest.get(..end)?, byte, case)?;
            set = rest.get(end + 2..)?;
            continue;
        }
        let (low, rest) = element(set)?;
        let (high, rest) = match rest {
            [b'-', after @ ..] if !matches!(after, [b']', ..] | []) => element(after)?,
            _ => (low, rest),
        };
        found |= (case.of(low)..=case.of(high)).contains(&byte);
        set = rest;
    }
}

/// One end of a range: a plain or escaped byte.
fn element(set: &[u8]) -> Option<(u8, &[u8])> {
    match set {
        [b'\\', byte, rest @ ..] | [byte, rest @ ..] => Some((*byte, rest)),
        [] => None,
    }
}

/// Whether a byte (in lower case if case is ignored) belongs to a named class; `None` if no
/// class has this name.
fn in_class(name: &[u8], byte: u8, case: Case) -> Option<bool> {
    Some(match name {
        b"alnum" => byte.is_ascii_alphanumeric(),
        // If case is ignored, `lower` and `upper` match both cases.
        b"lower" | b"upper" if case == Case::Folded => byte.is_ascii_alphabetic(),
        b"lower" => byte.is_ascii_lowercase(),
        b"upper" => byte.is_ascii_uppercase(),
        b"alpha" => byte.is_ascii_alphabetic(),
        b"blank" => matches!(byte, b' ' | b'\t'),
        b"cntrl" => byte.is_ascii_control(),
        b"digit" => byte.is_ascii_digit(),
        b"graph" => byte.is_ascii_graphic(),
        b"print" => byte.is_ascii_graphic() || byte == b' ',
        b"punct" => byte.is_ascii_punctuation(),
        b"space" => matches!(byte, b' ' | b'\t'..=b'\r'),
        b"xdigit" => byte.is_ascii_hexdigit(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_the_shell() {
        for (pattern, text, expect) in [
            ("", "", true),
            ("", "a", false),
            ("a", "", false),
            ("*", "", true),
            ("*", "/run/.x", true),
            ("/run/*", "/run/a/b", true),
            ("/RUN/*", "/run/a", true),
            ("*sock", "/run/x.SOCK", true),
            ("*sock", "/run/x.sock2", false),
            ("a*b*c", "aXbYbc", true),
            ("a*b*c", "aXbYbcd", false),
            ("**?", "", false),
            ("**?", "x", true),
            ("?", "/", true),
            ("[abc]x", "Bx", true),
            ("[!abc]x", "bx", false),
            ("[^abc]x", "dx", true),
            ("[a-c]", "B", true),
            ("[A-C]", "b", true),
            ("[a-c]", "d", false),
            ("[a-]", "-", true),
            ("[]a]", "]", true),
            ("[!]a]", "]", false),
            ("[", "[", true),
            ("[a", "[a", true),
            ("[a", "a", false),
            ("[[:digit:]x]", "7", true),
            ("[[:digit:]x]", "y", false),
            ("[[:upper:]]", "q", true),
            ("[\\]]", "]", true),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("a\\", "a\\", false),
            ("@*", "@00003", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expect, "{pattern:?} on {text:?}");
        }
    }

    #[test]
    fn case_is_kept_where_it_counts() {
        for (pattern, text, expect) in [
            ("Py*", "Python", true),
            ("py*", "Python", false),
            ("[a-c]", "B", false),
            ("[A-C]", "B", true),
            ("[[:upper:]]x", "Bx", true),
            ("[[:upper:]]x", "bx", false),
            ("[[:alpha:]]", "b", true),
            ("\\P", "p", false),
        ] {
            assert_eq!(
                matches_in(pattern.as_bytes(), text.as_bytes(), Case::Kept),
                expect,
                "{pattern} on {text}"
            );
        }
    }

    #[test]
    fn many_stars_stay_cheap() {
        let pattern = b"*a".repeat(2000);
        let text = b"a".repeat(1999);
        assert!(!matches(&pattern, &text));
        assert!(matches(&pattern, &b"ba".repeat(2000)));
    }
}
