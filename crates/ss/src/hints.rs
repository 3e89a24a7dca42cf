//! What was probably meant: for people, below an error or before a listing.
//!
//! The library shows where a filter is wrong and mends what follows from its
//! grammar; here is what people take from other programs, from the output of `ss`
//! and from their shell.  There is one hint at most.
//!
//! Nothing here decides what is listed, and nothing is looked up but whether files
//! exist.

use std::ffi::OsString;
use std::net::Ipv6Addr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use sockdiag::filter::Refused;
use sockdiag::model::StateSet;
use sockdiag::model::states;
use sockdiag_options::{OPTIONS, STATE};

/// The largest port.
const PORTS: u64 = 65535;

/// Where a filter is wrong, and how it was probably meant.
pub(crate) fn picture(refused: &Refused, words: &[OsString]) -> String {
    let mut text = refused.picture();
    if refused.mended.is_none()
        && let Some(mended) = replaced_by_shell(words).or_else(|| mended(refused, words))
    {
        text.push_str(&tried(&mended));
    }
    text
}

/// A sentence on a filter that is right and rarely meant so, and how it was probably
/// meant; without the last newline.
pub(crate) fn rarely_meant(words: &[OsString]) -> Option<String> {
    let tokens = tokens(words);
    tokens.iter().enumerate().find_map(|(at, key)| {
        let end = End::of(key)?;
        let (value_at, operator) = value(&tokens, at)?;
        let value = tokens.get(value_at)?;
        let (said, mended) = if end.is_port {
            let port: u64 = value.trim_start_matches(':').parse().ok().filter(|port| *port > PORTS)?;
            let colon = if value.starts_with(':') { ":" } else { "" };
            let less = format!("{key} {} {colon}{}", operator.unwrap_or("="), port / 10);
            (format!("{port} is not a port: the largest is {PORTS}"), less)
        } else if value.parse::<u64>().is_ok_and(|number| number <= PORTS) {
            (format!("{value} is read as an address, not as a port"), format!("{key} :{value}"))
        } else {
            value.parse::<Ipv6Addr>().ok()?;
            let (address, port) = value.rsplit_once(':')?;
            let said = format!("{value} is read as the address {address} and the port {port}");
            (said, format!("{key} [{value}]"))
        };
        Some(format!("ss: {said}{}", tried(&with(&tokens, at, value_at, &mended))))
    })
}

/// What the first word that is no state is probably meant to be, of words before a
/// filter; with a line break before it.
pub(crate) fn states(words: &[OsString]) -> String {
    let wrong = words.chunks_exact(2).find_map(|pair| match pair {
        [_, name] if StateSet::by_word(name.as_bytes()).is_none() => Some(name),
        _ => None,
    });
    wrong.map_or_else(String::new, |word| state(word.as_bytes()))
}

/// A state that a word is probably meant to be.
fn state(word: &[u8]) -> String {
    let bare = |text: &str| -> String {
        text.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
    };
    let typed = bare(&String::from_utf8_lossy(word));
    let mut names = states::WORDS.iter().map(|(name, _)| *name);
    let meant = names.clone().find(|name| typed.len() > 1 && bare(name).starts_with(&typed));
    if let Some(name) = meant {
        return tried(&format!("{} {name}", STATE.names.first().copied().unwrap_or_default()));
    }
    let last = names.next_back().unwrap_or_default();
    format!("\n    expected {} or {last}", names.collect::<Vec<_>>().join(", "))
}

/// An option that an unknown one is probably meant to be, and whether it is ours.
/// `words` are those of the command line, one of which has it behind a single dash.
pub(crate) fn option(unknown: &str, words: &[OsString]) -> Option<(&'static str, bool)> {
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
        let steps = if begins { 0 } else { sockdiag::fields::distance(&typed, name) };
        (steps <= far).then_some((steps, name, is_ours))
    });
    near.min_by_key(|(steps, ..)| *steps).map(|(_, name, is_ours)| (name, is_ours))
}

/// A line with what was probably meant.
fn tried(mended: &str) -> String {
    format!("\n    try: {mended}")
}

/// The words of a filter as the parser takes them apart.
fn tokens(words: &[OsString]) -> Vec<String> {
    let text: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    text.iter()
        .flat_map(|word| word.split([' ', '\t']))
        .filter(|token| !token.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The tokens with others in place of those from `first` to `last`, quoted for a shell.
fn with(tokens: &[String], first: usize, last: usize, mended: &str) -> String {
    let before = tokens.get(..first).unwrap_or_default();
    let behind = tokens.get(last + 1..).unwrap_or_default();
    let words = before.iter().map(String::as_str).chain([mended]).chain(behind.iter().map(String::as_str));
    let text = printable(&words.collect::<Vec<_>>().join(" "));
    let is_special = |letter: char| !letter.is_alphanumeric() && !" =:.,/%_-+@".contains(letter);
    if text.contains(is_special) { format!("'{}'", text.replace('\'', "'\\''")) } else { text }
}

/// A text in which nothing acts on a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

fn is_operator(token: &str) -> bool {
    ["=", "==", "!=", ">", "<", ">=", "<=", "eq", "ne", "neq", "gt", "lt", "ge", "geq", "le", "leq"]
        .contains(&token)
}

/// The index of the value of the condition that begins at `at`, and the operator.
fn value(tokens: &[String], at: usize) -> Option<(usize, Option<&str>)> {
    let next = tokens.get(at + 1)?;
    if is_operator(next) { Some((at + 2, Some(next))) } else { Some((at + 1, None)) }
}

/// A keyword for an end of a socket.
#[derive(Clone, Copy)]
struct End {
    /// Whether its value is a port.
    is_port: bool,
    /// The keyword for the port of the same end.
    port: &'static str,
}

impl End {
    fn of(keyword: &str) -> Option<Self> {
        let (is_port, port) = match keyword {
            "src" => (false, "sport"),
            "dst" => (false, "dport"),
            "sport" => (true, "sport"),
            "dport" => (true, "dport"),
            _ => return None,
        };
        Some(Self { is_port, port })
    }
}

/// The whole filter as it was probably meant.
fn mended(refused: &Refused, words: &[OsString]) -> Option<String> {
    let tokens = tokens(words);
    for (at, token) in tokens.iter().enumerate() {
        let found = match End::of(token) {
            Some(end) => ends(&tokens, at, end),
            None if token == "port" => {
                let (last, operator) = value(&tokens, at)?;
                let (port, operator) = (tokens.get(last)?, operator.unwrap_or("="));
                Some((last, format!("( sport {operator} {port} or dport {operator} {port} )")))
            }
            None => None,
        };
        if let Some((last, mended)) = found {
            return Some(with(&tokens, at, last, &mended));
        }
    }
    let first = tokens.first()?;
    if StateSet::by_word(first.as_bytes()).is_some() {
        let rest = tokens.get(1..).unwrap_or_default();
        let rest = rest.strip_prefix(&["and".to_owned()]).unwrap_or(rest);
        let quoted =
            if rest.is_empty() { String::new() } else { format!(" {}", with(rest, 0, 0, rest.first()?)) };
        return Some(format!("state {}{quoted}", first.to_ascii_lowercase()));
    }
    // A field, and a value without an operator between them.
    let [before, wrong, behind] = &refused.around;
    let lacks_operator = refused.expected.starts_with("an operator behind the field") && !behind.is_empty();
    let typed = format!("{before}{wrong} = {}", behind.trim_start());
    lacks_operator.then(|| with(std::slice::from_ref(&typed), 0, 0, &typed))
}

/// What a condition on an end was probably meant to be, and its last token.
fn ends(tokens: &[String], at: usize, end: End) -> Option<(usize, String)> {
    let key = tokens.get(at)?;
    let (last, operator) = value(tokens, at)?;
    let value = tokens.get(last)?;
    if end.is_port {
        return Some((last, range(end.port, operator, value)?));
    }
    let is_equal = operator.is_none_or(|operator| ["=", "==", "eq"].contains(&operator));
    if !is_equal {
        let is_unequal = operator.is_some_and(|operator| ["!=", "ne", "neq"].contains(&operator));
        return is_unequal
            .then(|| (last, format!("not {key} {}", bracketed(value).unwrap_or_else(|| value.clone()))));
    }
    if let Some(address) = bracketed(value) {
        return Some((last, format!("{key} {address}")));
    }
    if let Some((address, device, port)) = with_device(value) {
        return Some((last, format!("{key} {address}{port} and dev = {device}")));
    }
    if let Some((address, port)) = value.rsplit_once(':')
        && let Some(range) = range(end.port, None, port)
    {
        let host = if address.is_empty() { String::new() } else { format!("{key} {address} and ") };
        return Some((last, format!("{host}{range}")));
    }
    // HOST PORT.
    let port = tokens.get(last + 1)?;
    let is_port = port.trim_start_matches(':').parse::<u64>().is_ok_and(|port| port <= PORTS);
    let is_bare = value.starts_with('[') == value.ends_with(']') && !value.contains('/');
    (is_port && is_bare).then(|| (last + 1, format!("{key} {value}:{}", port.trim_start_matches(':'))))
}

/// An IPv6 address in the brackets that it lacks, its prefix within them.
fn bracketed(value: &str) -> Option<String> {
    let (address, rest) = match value.strip_prefix('[').and_then(|inside| inside.split_once(']')) {
        Some((address, rest)) => (address, rest.strip_prefix('/').map(|rest| format!("/{rest}"))?),
        None => match value.split_once('/') {
            Some((address, prefix)) => (address, format!("/{prefix}")),
            None => (value, String::new()),
        },
    };
    address.parse::<Ipv6Addr>().ok()?;
    let (prefix, port) = rest.split_once(':').unwrap_or((&rest, ""));
    let colon = if port.is_empty() { "" } else { ":" };
    Some(format!("[{address}{prefix}]{colon}{port}"))
}

/// The address, the interface and the port, with its colon, of what `ss` prints as
/// `127.0.0.53%lo:53` or `[fe80::1]%eth0:22`.
fn with_device(value: &str) -> Option<(String, String, String)> {
    let (address, rest) = value.split_once('%')?;
    let (device, port) = match rest.split_once(':') {
        Some((device, port)) => (device, format!(":{port}")),
        None => (rest, String::new()),
    };
    let device = device.trim_end_matches(']');
    let address = address.trim_start_matches('[').trim_end_matches(']');
    let address = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
    (!device.is_empty()).then(|| (address, device.to_owned(), port))
}

/// A condition for `8000-8999`, `8000:8999` or `8000..8999`.
fn range(port: &str, operator: Option<&str>, value: &str) -> Option<String> {
    let value = value.trim_start_matches(':');
    let (first, last) = ["-", "..", ":"].iter().find_map(|between| value.split_once(between))?;
    let number = |text: &str| text.trim_start_matches(':').parse::<u64>().ok().filter(|port| *port <= PORTS);
    let (first, last) = (number(first)?, number(last)?);
    match operator {
        None | Some("=" | "==" | "eq") => Some(format!("( {port} >= {first} and {port} <= {last} )")),
        Some("!=" | "ne" | "neq") => Some(format!("( {port} < {first} or {port} > {last} )")),
        Some(_) => None,
    }
}

/// The filter with the pattern that the shell put names of files in place of, where
/// several words beside each other name files.
fn replaced_by_shell(words: &[OsString]) -> Option<String> {
    let exists = |word: &OsString| {
        let bytes = word.as_bytes();
        !bytes.is_empty() && !bytes.contains(&b' ') && Path::new(word).symlink_metadata().is_ok()
    };
    // The first word is a keyword, whatever files there are.
    let first = words.iter().skip(1).position(exists)? + 1;
    let run = words.get(first..)?.iter().take_while(|word| exists(word)).count();
    if run < 2 {
        return None;
    }
    let names: Vec<_> = words.get(first..first + run)?.iter().map(|word| word.to_string_lossy()).collect();
    let (one, other) = (names.iter().min()?, names.iter().max()?);
    // What the least and the greatest have in common, all between them have.
    let common: String =
        one.chars().zip(other.chars()).take_while(|(a, b)| a == b).map(|(letter, _)| letter).collect();
    let of_path = matches!(words.get(first - 1)?.to_str()?, "src" | "dst") && common.starts_with('/');
    let pattern = format!("{}{common}*", if of_path { "unix:" } else { "" });
    let before = words.get(..first)?.iter().map(|word| word.to_string_lossy().into_owned());
    let behind = words.get(first + run..)?.iter().map(|word| word.to_string_lossy().into_owned());
    let all: Vec<String> = before.chain([pattern]).chain(behind).collect();
    let pattern_at = first;
    Some(with(&all, pattern_at, pattern_at, all.get(pattern_at)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    fn refused() -> Refused {
        Refused {
            error: sockdiag::filter::FilterError::Syntax,
            around: [String::new(), String::new(), String::new()],
            expected: String::new(),
            mended: None,
        }
    }

    #[test]
    fn what_people_type_is_mended() {
        for (typed, meant) in [
            ("dst ::1", "'dst [::1]'"),
            ("dst = 2001:db8::/32 and sport = 80", "'dst [2001:db8::/32] and sport = 80'"),
            ("src [::]/64:25", "'src [::/64]:25'"),
            ("dst != 10.0.0.1", "not dst 10.0.0.1"),
            ("dst ne ::1", "'not dst [::1]'"),
            ("src 127.0.0.53%lo:53", "src 127.0.0.53:53 and dev = lo"),
            ("src [fe80::1]%eth0:22", "'src [fe80::1]:22 and dev = eth0'"),
            ("src [fe80::1%eth0]:22", "'src [fe80::1]:22 and dev = eth0'"),
            ("sport = 8000-8999", "'( sport >= 8000 and sport <= 8999 )'"),
            ("sport = :8000-:8999", "'( sport >= 8000 and sport <= 8999 )'"),
            ("dport 53..60", "'( dport >= 53 and dport <= 60 )'"),
            ("dport != 53:60", "'( dport < 53 or dport > 60 )'"),
            ("dst 10.0.0.1:80-90", "'dst 10.0.0.1 and ( dport >= 80 and dport <= 90 )'"),
            ("src :80-90", "'( sport >= 80 and sport <= 90 )'"),
            ("dst 10.0.0.1 443", "dst 10.0.0.1:443"),
            ("port = 80", "'( sport = 80 or dport = 80 )'"),
            ("established", "state established"),
            ("ESTABLISHED and dport = 443", "state established dport = 443"),
        ] {
            assert_eq!(mended(&refused(), &words(typed)).as_deref(), Some(meant), "{typed}");
        }
        for typed in
            ["dst 10.0.0.1", "sport = http-alt", "foo", "sport > 8000-8999", "dst a:b-c", "sport = 日本"]
        {
            assert_eq!(mended(&refused(), &words(typed)), None, "{typed}");
        }
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
            assert!(said.starts_with("ss: ") && said.ends_with(meant), "{typed}: {said}");
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
            ("--colums", Some(("columns", true))),
            ("--colum=rtt", Some(("columns", true))),
            ("--expl", Some(("explain", true))),
            ("--groupby", Some(("group-by", true))),
            ("--lisening", Some(("listening", false))),
            ("--bogus", None),
            ("--x", None),
        ] {
            assert_eq!(option(typed, &[]), meant, "{typed}");
        }
        assert_eq!(option("c", &words("-tn -columns rtt")), Some(("columns", true)));
        assert_eq!(option("Y", &words("-tnY state")), None);
    }

    #[test]
    fn a_pattern_that_a_shell_replaced_is_put_back() {
        let directory = env!("CARGO_MANIFEST_DIR");
        let typed = format!("src {directory}/Cargo.toml {directory}/src");
        assert_eq!(replaced_by_shell(&words(&typed)), Some(format!("'src unix:{directory}/*'")));
        assert_eq!(replaced_by_shell(&words("sport = http")), None);
    }
}
