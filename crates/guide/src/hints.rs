//! Hints for people: what was probably meant, below an error or before a listing.
//!
//! The library shows where a filter is wrong and corrects errors of grammar.  This module
//! handles habits from other programs, from the output of `ss` and from the shell.  At most
//! one hint is given.
//!
//! A hint never changes what is listed, and making one looks up nothing except whether files
//! exist.

mod mended;

use std::ffi::OsString;
use std::io::BufRead;
use std::net::Ipv6Addr;
use std::os::unix::ffi::OsStrExt as _;

use sockdiag::fields::{Kind, distance};
use sockdiag::filter::{self, Comparison, Expr, Refused, Test};
use sockdiag::model::{StateSet, TableSet, states};
use sockdiag_options::{OPTIONS, STATE};

use mended::{mended, replaced_by_shell};

/// The largest port.
const PORTS: u64 = 65535;

/// The typed words, and the selected tables.
#[derive(Clone, Copy)]
pub struct People<'w> {
    /// The words of the filter.
    pub words: &'w [OsString],
    /// The tables.
    pub tables: TableSet,
}

/// Parses a filter, either the user's or a corrected one.  All parsing goes through this one
/// call, so that the parser is instantiated only once in a program.
///
/// # Errors
/// If the filter cannot be used.
#[inline(never)]
pub fn parse<'a>(
    words: &'a [&'a [u8]],
    file: Option<&'a mut dyn BufRead>,
    context: filter::Context<'a>,
) -> Result<filter::Parsed, Box<filter::Refused>> {
    filter::parse_or_explain(words, file, context)
}

/// Shows where a filter is wrong, with a suggested correction.
pub fn picture(refused: &Refused, people: People<'_>) -> String {
    let People { words, tables } = people;
    let mut text = refused.picture();
    if refused.mended.is_none()
        && let Some(mended) = replaced_by_shell(words).or_else(|| mended(refused, words, tables))
    {
        text.push_str(&tried(&mended));
    }
    text
}

/// A warning about a valid filter that rarely does what was meant, with a suggestion; without
/// a final newline.
pub fn rarely_meant(words: &[OsString]) -> Option<String> {
    let tokens = tokens(words);
    tokens.iter().enumerate().find_map(|(at, key)| {
        let is_port = matches!(key.as_str(), "sport" | "dport");
        if !is_port && !matches!(key.as_str(), "src" | "dst") {
            return None;
        }
        let (value_at, operator) = value(&tokens, at)?;
        let value = tokens.get(value_at)?;
        let (said, mended) = if is_port {
            let port: u64 = value.trim_start_matches(':').parse().ok().filter(|port| *port > PORTS)?;
            let colon = if value.starts_with(':') { ":" } else { "" };
            let less = format!("{key} {} {colon}{}", operator.unwrap_or("="), port / 10);
            (format!("{port} is not a port: the highest is {PORTS}"), less)
        } else if value.parse::<u64>().is_ok_and(|number| number <= PORTS) {
            (format!("{value} is read as an address, not as a port"), format!("{key} :{value}"))
        } else {
            value.parse::<Ipv6Addr>().ok()?;
            let (address, port) = value.rsplit_once(':')?;
            let said = format!("{value} is read as the address {address} and the port {port}");
            (said, format!("{key} [{value}]"))
        };
        Some(format!("{said}{}", tried(&with(&tokens, at, value_at, &mended))))
    })
}

/// Hints why nothing was shown: `narrow` means that no states were chosen, and some values in
/// the filter may be in another form than people expect.
pub fn none_shown(narrow: bool, filter: &Expr) -> Vec<String> {
    let mut hints = Vec::new();
    if narrow {
        hints.push("only established sockets were requested: -a lists all states, -l listeners".to_owned());
    }
    for test in filter.tests() {
        let Test::Field(test) = test else { continue };
        let (name, typed) = (test.field().full_name(), String::from_utf8_lossy(test.typed()));
        let is_plain = typed.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./~".contains(&byte));
        let is_text = matches!(test.field().named().kind(), Kind::Text | Kind::Texts);
        let (said, mended) = if test.comparison() != Comparison::Eq {
            continue;
        } else if name == "socket.uid" {
            ("this is the owner of the socket, not the user of the process", format!("process.uid = {typed}"))
        } else if is_text && is_plain {
            let name = name.rsplit("processes.").next().unwrap_or_default();
            let pattern = format!("'{name} = i\"{}\"*'", typed.trim_start_matches('~'));
            ("text is compared as a whole and case-sensitively", pattern)
        } else {
            continue;
        };
        hints.push(format!("{said}{}", tried(&mended)));
        break;
    }
    hints
}

/// A suggestion for the first invalid state among the words before a filter, preceded by a
/// line break.
pub fn states(words: &[OsString]) -> String {
    let wrong = words.chunks_exact(2).find_map(|pair| match pair {
        [_, name] if StateSet::by_word(name.as_bytes()).is_none() => Some(name),
        _ => None,
    });
    wrong.map_or_else(String::new, |word| state(word.as_bytes()))
}

/// A word in lower case, without punctuation.
fn bare(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
}

/// The state that a word probably stands for.
fn state(word: &[u8]) -> String {
    let typed = bare(&String::from_utf8_lossy(word));
    let mut names = states::WORDS.iter().map(|(name, _)| *name);
    let meant = names.clone().find(|name| typed.len() > 1 && bare(name).starts_with(&typed));
    if let Some(name) = meant {
        return tried(&format!("{} {name}", STATE.names.first().copied().unwrap_or_default()));
    }
    let last = names.next_back().unwrap_or_default();
    format!("\n    expected {} or {last}", names.collect::<Vec<_>>().join(", "))
}

/// The option that an unknown one probably stands for, whether it is ours, and how many
/// letters differ.  `words` are those of the command line, in which the option may follow a
/// single dash.
pub fn option(unknown: &str, words: &[OsString]) -> Option<(&'static str, bool, usize)> {
    let name = |word: &str| word.split('=').next().unwrap_or_default().to_owned();
    let dashed = |word: &OsString| word.to_str()?.strip_prefix('-').map(name);
    let long = unknown.strip_prefix("--").map(name);
    let (typed, far) = match &long {
        Some(typed) => (typed.clone(), (typed.len() / 3).min(3)),
        // `-columns` is a cluster of letters, the first of which is unknown.
        None => (
            words.iter().filter_map(dashed).find(|word| {
                OPTIONS.iter().flat_map(|option| option.long).any(|name| name.len() > 2 && name == word)
            })?,
            0,
        ),
    };
    let names =
        OPTIONS.iter().flat_map(|option| option.long.iter().map(move |name| (*name, option.is_extension())));
    let near = names.filter_map(|(name, is_ours)| {
        let begins = typed.len() > 2 && name.starts_with(&typed);
        let steps = distance(&typed, name);
        (begins || steps <= far).then_some((if begins { 0 } else { steps }, name, is_ours, steps))
    });
    near.min_by_key(|(rank, ..)| *rank).map(|(_, name, is_ours, steps)| (name, is_ours, steps))
}

/// A line with a suggested correction.
fn tried(mended: &str) -> String {
    format!("\n    try: {mended}")
}

/// The words of a filter, split as the parser does.
fn tokens(words: &[OsString]) -> Vec<String> {
    let text: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    text.iter()
        .flat_map(|word| word.split([' ', '\t']))
        .filter(|token| !token.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The tokens with those from `first` to `last` replaced, quoted for a shell.
fn with(tokens: &[String], first: usize, last: usize, mended: &str) -> String {
    let before = tokens.get(..first).unwrap_or_default();
    let behind = tokens.get(last + 1..).unwrap_or_default();
    let words = before.iter().map(String::as_str).chain([mended]).chain(behind.iter().map(String::as_str));
    quoted(&words.collect::<Vec<_>>().join(" "))
}

/// Text without control characters, quoted for a shell.
fn quoted(text: &str) -> String {
    let text = printable(text);
    let is_special = |letter: char| !letter.is_alphanumeric() && !" =:.,/%_-+@".contains(letter);
    if text.contains(is_special) { format!("'{}'", text.replace('\'', "'\\''")) } else { text }
}

/// Text without characters that affect a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

fn is_operator(token: &str) -> bool {
    ["=", "==", "!=", ">", "<", ">=", "<=", "eq", "ne", "neq", "gt", "lt", "ge", "geq", "le", "leq"]
        .contains(&token)
}

/// The index of the value in the condition that begins at `at`, and the operator.
fn value(tokens: &[String], at: usize) -> Option<(usize, Option<&str>)> {
    let next = tokens.get(at + 1)?;
    if is_operator(next) { Some((at + 2, Some(next))) } else { Some((at + 1, None)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn what_is_right_and_rarely_meant_is_told() {
        for (typed, meant) in [
            ("src 7404", "try: src :7404"),
            ("dst = 22 and sport = 80", "try: dst :22 and sport = 80"),
            ("sport = :70000", "try: sport = :7000"),
            ("dst 2001:db8::1:25", "try: 'dst [2001:db8::1:25]'"),
        ] {
            let said = rarely_meant(&words(typed)).unwrap_or_default();
            assert!(said.ends_with(meant), "{typed}: {said}");
        }
        for typed in ["src 10.0.0.1", "src :7404", "dst [::1]:25", "sport = :65535", "src 10/8", "dst *"] {
            assert_eq!(rarely_meant(&words(typed)), None, "{typed}");
        }
    }

    #[test]
    fn states_are_known_by_what_ss_prints() {
        for (typed, meant) in [
            ("LISTEN", "state listening"),
            ("ESTAB", "state established"),
            ("UNCONN", "state unconnected"),
            ("SYN_SENT", "state syn-sent"),
            ("timewait", "state time-wait"),
        ] {
            assert_eq!(state(typed.as_bytes()), format!("\n    try: {meant}"), "{typed}");
        }
        assert!(state(b"open").starts_with("\n    expected established, syn-sent, "));
    }

    #[test]
    fn misspelt_options_are_known() {
        for (typed, meant) in [
            ("--colums", Some(("columns", true, 1))),
            ("--colum=rtt", Some(("columns", true, 2))),
            ("--expl", Some(("explain", true, 3))),
            ("--groupby", Some(("group-by", true, 1))),
            ("--lisening", Some(("listening", false, 1))),
            ("--bogus", None),
            ("--x", None),
        ] {
            assert_eq!(option(typed, &[]), meant, "{typed}");
        }
        assert_eq!(option("c", &words("-tn -columns rtt")), Some(("columns", true, 0)));
        assert_eq!(option("Y", &words("-tnY state")), None);
    }
}
