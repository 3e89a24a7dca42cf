//! A filter that was refused, as it was probably meant.
//!
//! Each rule turns the words of a filter into others.  They are tried in turn, each on
//! what the last one made, and what first is a filter is the hint: so no hint is
//! wrong again.

use std::ffi::OsString;
use std::net::Ipv6Addr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use sockdiag::fields::{Catalog, distance};
use sockdiag::filter::{self, CgroupError, FilterError, Lookups, Mismatch, Refused, Transport};
use sockdiag::model::{Addr, Family, StateSet, TableSet};

use super::{PORTS, is_operator, quoted, tokens, value, with};

/// Other words for operators, and for what joins conditions.
const RESPELLED: [(&str, &str); 9] = [
    ("=>", ">="),
    ("=<", "<="),
    ("<>", "!="),
    ("is", "="),
    ("equals", "="),
    ("in", "="),
    ("and", "and"),
    ("or", "or"),
    ("not", "not"),
];

/// Operators of other languages whose value is a part of a text, and ours.
const PATTERNS: [(&str, &str); 7] =
    [("~", "="), ("=~", "="), ("~=", "="), ("like", "="), ("contains", "="), ("matches", "="), ("!~", "!=")];

/// The whole filter as it was probably meant, quoted for a shell.
pub(super) fn mended(refused: &Refused, words: &[OsString], tables: TableSet) -> Option<String> {
    let typed = tokens(words);
    let first = typed.first()?;
    if StateSet::by_word(first.as_bytes()).is_some() {
        let rest = typed.get(1..).unwrap_or_default();
        let rest = rest.strip_prefix(&["and".to_owned()]).unwrap_or(rest);
        let rest = rest.first().map_or_else(String::new, |first| format!(" {}", with(rest, 0, 0, first)));
        return Some(format!("state {}{rest}", first.to_ascii_lowercase()));
    }
    let mut words = typed.clone();
    for rule in [respelled, one_value, nearest, conditions, alternatives, spaced] {
        words = rule(words, refused);
        if words != typed && is_filter(&words, tables) {
            return Some(quoted(&words.join(" ")));
        }
    }
    None
}

/// Whether words are a filter, for names that exist.
fn is_filter(words: &[String], tables: TableSet) -> bool {
    let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
    let context =
        filter::Context { catalog: Catalog::shared(), preferred: None, tables, lookups: &mut Anything };
    filter::parse(&words, None, context).is_ok()
}

/// A world in which every name exists that begins with a letter.
struct Anything;

impl Lookups for Anything {
    fn service(&mut self, name: &[u8], _: Transport) -> Option<u16> {
        name.first()?.is_ascii_alphabetic().then_some(1)
    }

    fn rpc_service(&mut self, _: &[u8]) -> Option<u16> {
        None
    }

    fn hosts(&mut self, name: &[u8], _: Option<Family>) -> Vec<Addr> {
        let is_name = name.first().is_some_and(u8::is_ascii_alphabetic);
        if is_name { vec![Addr::V4([127, 0, 0, 1])] } else { Vec::new() }
    }

    fn interface(&mut self, _: &[u8]) -> Option<u32> {
        Some(1)
    }

    fn user(&mut self, _: &[u8]) -> Option<u32> {
        Some(1)
    }

    fn cgroup(&mut self, _: &[u8]) -> Result<u64, CgroupError> {
        Ok(1)
    }

    fn cgroup_condition_supported(&mut self) -> bool {
        true
    }
}

/// The words of other languages in ours.
fn respelled(words: Vec<String>, _: &Refused) -> Vec<String> {
    let mut new: Vec<String> = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let bare = word.to_ascii_lowercase();
        let of = |table: &[(&str, &'static str)]| {
            table.iter().find(|(theirs, _)| *theirs == bare).map(|(_, ours)| *ours)
        };
        if let Some(operator) = of(&PATTERNS)
            && let Some(value) = words.next()
        {
            let part = value.trim_matches(['"', '\'', '/', '%', '*', '^', '$', '.']);
            new.extend([operator.to_owned(), format!("*{part}*")]);
        } else if let Some(ours) = of(&RESPELLED) {
            new.push(ours.to_owned());
            if bare == "in" {
                let (open, close) = (['(', '[', '{'], [')', ']', '}']);
                let mut list = String::new();
                for part in words.by_ref() {
                    list.push_str(&part);
                    if list.ends_with(close) || !list.starts_with(open) && !list.ends_with(',') {
                        break;
                    }
                }
                new.push(list.trim_start_matches(open).trim_end_matches(close).to_owned());
            }
        } else {
            new.push(word.replace("=>", ">=").replace("=<", "<="));
        }
    }
    new
}

/// Values that blanks, or capital letters, took apart: `5 ms`, `a, b`, `5MS`.
fn one_value(words: Vec<String>, _: &Refused) -> Vec<String> {
    let mut new: Vec<String> = Vec::new();
    for word in words {
        let unit = word.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
        let is_time = unit.len() < word.len() && ["US", "MS", "S", "MIN", "H"].contains(&unit);
        let word = if is_time { word.to_ascii_lowercase() } else { word };
        match new.last_mut() {
            Some(last)
                if last.ends_with(',')
                    || word.starts_with(',')
                    || last.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
                        && word.bytes().all(|byte| byte.is_ascii_alphabetic())
                        && !is_joint(&word) =>
            {
                last.push_str(&word);
            }
            _ => new.push(word),
        }
    }
    new
}

/// The word that a value most resembles, of those that the field has.
fn nearest(mut words: Vec<String>, refused: &Refused) -> Vec<String> {
    if let FilterError::Value { value, why: Mismatch::Words(known), .. } = &refused.error {
        let typed = String::from_utf8_lossy(value);
        let far = |name: &str| distance(&super::bare(&typed), &super::bare(name));
        let near = known.iter().map(|word| (far(word.name()), word.name())).min();
        if let Some((far, name)) = near
            && far <= typed.len() / 3
        {
            let wrong = words.iter_mut().filter(|word| **word == refused.around[1]);
            wrong.for_each(|word| *word = word.replace(&*typed, name));
        }
    }
    words
}

/// Conditions that lack something, or have too much.
fn conditions(words: Vec<String>, refused: &Refused) -> Vec<String> {
    let mut new = Vec::new();
    let mut at = 0;
    while let Some(key) = words.get(at) {
        let (last, mended) = condition(&words, at, refused).unwrap_or_else(|| (at, key.clone()));
        new.push(mended);
        at = last + 1;
    }
    new.iter().flat_map(|words| words.split(' ')).map(str::to_owned).collect()
}

/// The last word of the condition that begins at `at`, and how it was meant.
fn condition(words: &[String], at: usize, refused: &Refused) -> Option<(usize, String)> {
    let key = words.get(at)?;
    let begins = at.checked_sub(1).and_then(|before| words.get(before)).is_none_or(|word| is_joint(word));
    if begins && key.strip_prefix(':').is_some_and(|port| port.parse::<u64>().is_ok_and(|port| port <= PORTS))
    {
        return Some((at, format!("( sport = {key} or dport = {key} )")));
    }
    if let Some(end) = End::of(key) {
        return ends(words, at, end);
    }
    let (last, operator) = value(words, at)?;
    let value = words.get(last)?;
    match key.as_str() {
        "port" => {
            let operator = operator.unwrap_or("=");
            Some((last, format!("( sport {operator} {value} or dport {operator} {value} )")))
        }
        "autobound" if operator.is_some() => {
            let is_no = ["false", "no", "0"].contains(&value.as_str());
            Some((last, if is_no { "not autobound" } else { "autobound" }.to_owned()))
        }
        _ if operator.is_some() => Some((last, range(key, operator, value)?)),
        // A field, and a value without an operator between them.
        _ if *key == refused.around[1] && refused.expected.starts_with("an operator behind") => {
            Some((last, format!("{key} = {value}")))
        }
        _ => None,
    }
}

/// `KEY = A or B` as the list that it was meant to be.
fn alternatives(words: Vec<String>, _: &Refused) -> Vec<String> {
    let mut new: Vec<String> = Vec::new();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        at += 1;
        let follows = new.len().checked_sub(2).and_then(|at| new.get(at)).is_some_and(|word| word == "=");
        let is_last = words.get(at + 1).is_none_or(|word| is_joint(word));
        match (words.get(at), new.last_mut()) {
            (Some(value), Some(last))
                if follows && is_last && matches!(word.as_str(), "or" | "|" | "||") && !is_joint(value) =>
            {
                last.push(',');
                last.push_str(value);
                at += 1;
            }
            _ => new.push(word.clone()),
        }
    }
    new
}

/// Text with blanks in it, between quotes.
fn spaced(words: Vec<String>, _: &Refused) -> Vec<String> {
    let mut new: Vec<String> = Vec::new();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let from = at;
        at += 1;
        if from > 0 && words.get(from - 1).is_some_and(|word| is_equal(word)) {
            let goes_on = |at: usize| {
                words.get(at).is_some_and(|word| !is_joint(word))
                    && !words.get(at + 1).is_some_and(|word| is_operator(word))
            };
            while goes_on(at) {
                at += 1;
            }
        }
        let text = words.get(from..at).unwrap_or_default().join(" ");
        new.push(if at > from + 1 { format!("\"{text}\"") } else { word.clone() });
    }
    new
}

fn is_equal(word: &str) -> bool {
    matches!(word, "=" | "==" | "eq" | "!=" | "ne" | "neq")
}

fn is_joint(word: &str) -> bool {
    matches!(word, "and" | "or" | "not" | "&" | "&&" | "|" | "||" | "(" | ")")
}

/// A keyword for an end of a socket.
#[derive(Clone, Copy)]
pub(super) struct End {
    /// Whether its value is a port.
    pub(super) is_port: bool,
    /// The keyword for the port of the same end.
    port: &'static str,
}

impl End {
    pub(super) fn of(keyword: &str) -> Option<Self> {
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
fn range(key: &str, operator: Option<&str>, value: &str) -> Option<String> {
    let value = value.trim_start_matches(':');
    let (first, last) = ["-", "..", ":"].iter().find_map(|between| value.split_once(between))?;
    let last = last.trim_start_matches(':');
    let begins = |text: &str| text.starts_with(|letter: char| letter.is_ascii_digit());
    match operator {
        _ if !begins(first) || !begins(last) => None,
        None | Some("=" | "==" | "eq") => Some(format!("( {key} >= {first} and {key} <= {last} )")),
        Some("!=" | "ne" | "neq") => Some(format!("( {key} < {first} or {key} > {last} )")),
        Some(_) => None,
    }
}

/// The filter with the pattern that the shell put names of files in place of, where
/// several words beside each other name files.
pub(super) fn replaced_by_shell(words: &[OsString]) -> Option<String> {
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
    use sockdiag::model::Table;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    /// A world without names.
    struct Nothing;

    impl Lookups for Nothing {
        fn service(&mut self, _: &[u8], _: Transport) -> Option<u16> {
            None
        }

        fn rpc_service(&mut self, _: &[u8]) -> Option<u16> {
            None
        }

        fn hosts(&mut self, _: &[u8], _: Option<Family>) -> Vec<Addr> {
            Vec::new()
        }

        fn interface(&mut self, _: &[u8]) -> Option<u32> {
            None
        }

        fn cgroup(&mut self, _: &[u8]) -> Result<u64, CgroupError> {
            Err(CgroupError::NotMounted)
        }

        fn cgroup_condition_supported(&mut self) -> bool {
            true
        }
    }

    fn mend(typed: &str) -> Option<String> {
        let words = words(typed);
        let bytes: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let tables = TableSet::only(Table::Tcp);
        let mut lookups = Nothing;
        let context =
            filter::Context { catalog: Catalog::shared(), preferred: None, tables, lookups: &mut lookups };
        let refused = filter::parse_or_explain(&bytes, None, context).err()?;
        mended(&refused, &words, tables)
    }

    #[test]
    fn what_people_type_is_mended() {
        let mut wrong: Vec<String> = Vec::new();
        for (typed, meant) in [
            ("dst ::1", "'dst [::1]'"),
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
            ("comm ~ web", "'comm = *web*'"),
            ("comm =~ '^web.*'", "'comm = *web*'"),
            ("comm !~ web and pid = 5", "'comm != *web* and pid = 5'"),
            ("comm like %web%", "'comm = *web*'"),
            ("comm contains web", "'comm = *web*'"),
            ("comm in (a,b)", "comm = a,b"),
            ("comm in [ a, b ] and rtt > 5ms", "'comm = a,b and rtt > 5ms'"),
            ("comm in a, b", "comm = a,b"),
            ("comm is web", "comm = web"),
            ("comm = two words", "'comm = \"two words\"'"),
            ("comm = two words and rtt > 5ms", "'comm = \"two words\" and rtt > 5ms'"),
            ("comm = websrv, stuckd", "comm = websrv,stuckd"),
            ("comm = websrv , stuckd", "comm = websrv,stuckd"),
            ("rtt > 5 ms", "'rtt > 5ms'"),
            ("rtt => 5ms", "'rtt >= 5ms'"),
            ("rtt=>5ms", "'rtt>=5ms'"),
            ("rtt > 5MS", "'rtt > 5ms'"),
            ("rtt > 5ms AND cwnd > 3", "'rtt > 5ms and cwnd > 3'"),
            ("rtt => 5MS OR comm ~ web", "'rtt >= 5ms or comm = *web*'"),
            ("autobound = true", "autobound"),
            ("autobound = false", "not autobound"),
            (":8080", "'( sport = :8080 or dport = :8080 )'"),
            ("sport = 8080 or 9000", "sport = 8080,9000"),
            ("sport = 8080 or 9000 or 9001 and pid = 5", "sport = 8080,9000,9001 and pid = 5"),
            ("state = ESTAB or CLOSE-WAIT", "state = ESTAB,CLOSE-WAIT"),
            ("local.port = 8000-9000", "'( local.port >= 8000 and local.port <= 9000 )'"),
            ("rtt != 1ms..5ms", "'( rtt < 1ms or rtt > 5ms )'"),
            ("state = closewait", "state = CLOSE-WAIT"),
            ("state = listn,estab", "state = LISTEN,estab"),
            ("pid 5", "pid = 5"),
        ] {
            let found = mend(typed);
            // Never what was typed.
            if found.as_deref() != Some(meant) || meant == typed {
                wrong.push(format!("{typed}: {found:?}, not {meant}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        for typed in ["sport = http-alt", "foo", "sport > 8000-8999", "dst a:b-c", "sport = 日本"] {
            assert_eq!(mend(typed), None, "{typed}");
        }
    }

    #[test]
    fn a_pattern_that_a_shell_replaced_is_put_back() {
        let directory = env!("CARGO_MANIFEST_DIR");
        let typed = format!("src {directory}/Cargo.toml {directory}/src");
        assert_eq!(replaced_by_shell(&words(&typed)), Some(format!("'src unix:{directory}/*'")));
        assert_eq!(replaced_by_shell(&words("sport = http")), None);
    }
}
