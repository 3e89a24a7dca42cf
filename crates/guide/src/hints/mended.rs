//! Suggests corrections for a filter that was refused.
//!
//! Rules rewrite the words of a filter.  They are applied in turn, each to the result of the
//! one before, and the first result that is a valid filter becomes the hint: so a hint is
//! never itself invalid.

use std::ffi::OsString;
use std::net::Ipv6Addr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use sockdiag::fields::{Catalog, distance};
use sockdiag::filter::{self, CgroupError, FilterError, Lookups, Mismatch, Refused, Transport};
use sockdiag::model::words::Word;
use sockdiag::model::{Addr, Family, StateSet, TableSet};

use super::{PORTS, is_operator, quoted, tokens, with};

/// The rules: a pattern and its replacement.  A capital letter matches a word and captures
/// what [`take`] returns for it; `$1` is the first capture.  `^` matches where a condition may
/// begin, `;` where one may end, and `=?` an optional equals sign.
const RULES: [(&str, &str); 46] = [
    // Operators of other languages.
    ("and", "and"),
    ("or", "or"),
    ("not", "not"),
    ("E", "$1"),
    ("<>", "!="),
    ("is", "="),
    ("equals", "="),
    ("~ T", "= *$1*"),
    ("=~ T", "= *$1*"),
    ("= ~ T", "= *$1*"),
    ("like T", "= *$1*"),
    ("contains T", "= *$1*"),
    ("matches T", "= *$1*"),
    ("!~ T", "!= *$1*"),
    // Lists that blanks or capital letters split.
    ("K ,", "$1,"),
    ("C K", "$1$2"),
    ("in ( K )", "= $1"),
    ("in [ K ]", "= $1"),
    ("in L", "= $1"),
    ("D U", "$1$2"),
    ("S", "$1"),
    // The ends of sockets.
    ("src|dst =? B", "$1 $2"),
    ("src|dst != B", "not $1 $2"),
    ("src|dst != K", "not $1 $2"),
    ("src|dst =? V", "$1 $2 and dev = $3"),
    ("src =? A", "src $1 and ( sport >= $2 and sport <= $3 )"),
    ("dst =? A", "dst $1 and ( dport >= $2 and dport <= $3 )"),
    ("src =? R", "( sport >= $1 and sport <= $2 )"),
    ("dst =? R", "( dport >= $1 and dport <= $2 )"),
    ("src|dst =? K N", "$1 $2:$3"),
    ("port O K", "( sport $1 $2 or dport $1 $2 )"),
    ("port K", "( sport = $1 or dport = $1 )"),
    ("^ P", "( sport = $1 or dport = $1 )"),
    ("sport|dport R", "( $1 >= $2 and $1 <= $3 )"),
    ("K = R", "( $1 >= $2 and $1 <= $3 )"),
    ("K != R", "( $1 < $2 or $1 > $3 )"),
    // Conditions with superfluous or missing parts.
    ("autobound = false", "not autobound"),
    ("autobound = no", "not autobound"),
    ("autobound = K", "autobound"),
    ("= K or K ;", "= $1,$2"),
    ("= K || K ;", "= $1,$2"),
    ("^ F K ;", "$1 = $2"),
    ("= K K K ;", "= \"$1 $2 $3\""),
    ("!= K K K ;", "!= \"$1 $2 $3\""),
    ("= K K ;", "= \"$1 $2\""),
    ("!= K K ;", "!= \"$1 $2\""),
];

/// How often a rule is applied to its own result.
const MOST: usize = 8;

/// The whole corrected filter, quoted for a shell.
pub(super) fn mended(refused: &Refused, words: &[OsString], tables: TableSet) -> Option<String> {
    let words = tokens(words);
    let first = words.first()?;
    if StateSet::by_word(first.as_bytes()).is_some() {
        let rest = words.get(1..).unwrap_or_default();
        let rest = rest.strip_prefix(&["and".to_owned()]).unwrap_or(rest);
        let rest = rest.first().map_or_else(String::new, |first| format!(" {}", with(rest, 0, 0, first)));
        return Some(format!("state {}{rest}", first.to_ascii_lowercase()));
    }
    let typed = words.join(" ");
    let mut text = nearest(&words, refused);
    let mut rules = RULES.iter();
    while text == typed || !is_filter(&text, tables) {
        text = rewritten(&text, *rules.next()?);
    }
    Some(quoted(&text))
}

/// Whether a text is a valid filter, assuming that all names exist.
fn is_filter(text: &str, tables: TableSet) -> bool {
    let context =
        filter::Context { catalog: Catalog::shared(), preferred: None, tables, lookups: &mut Anything };
    super::parse(&[text.as_bytes()], None, context).is_ok()
}

/// A look-up that accepts every name that starts with a letter.
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

/// The words, with an unknown value replaced by the most similar word that the field allows.
fn nearest(words: &[String], refused: &Refused) -> String {
    let mut words = words.to_vec();
    if let FilterError::Value { value, why: Mismatch::Words(known), .. } = &refused.error
        && let Some(wrong) = words.iter_mut().find(|word| **word == refused.around[1])
    {
        let typed = String::from_utf8_lossy(value);
        let bare = super::bare(&typed);
        let mut least = typed.len() / 3 + 1;
        for name in known.iter().map(Word::name) {
            let far = distance(&bare, &super::bare(name));
            if far < least {
                least = far;
                *wrong = refused.around[1].replace(&*typed, name);
            }
        }
    }
    words.join(" ")
}

/// The text with a rule applied wherever it matches.
fn rewritten(text: &str, (pattern, template): (&str, &str)) -> String {
    let mut text = text.to_owned();
    for _ in 0..MOST {
        let words: Vec<&str> = text.split(' ').collect();
        let mut new = String::new();
        let mut at = 0;
        while let Some(word) = words.get(at) {
            if at > 0 {
                new.push(' ');
            }
            let mut taken = Vec::new();
            if let Some(behind) = fit(&words, at, pattern, &mut taken) {
                for part in template.split('$') {
                    let digit = part.bytes().next().filter(u8::is_ascii_digit);
                    let taken = digit.and_then(|digit| taken.get(usize::from(digit.wrapping_sub(b'1'))));
                    new.push_str(taken.map_or("", String::as_str));
                    new.push_str(if taken.is_some() { part.get(1..).unwrap_or_default() } else { part });
                }
                at = behind;
            } else {
                new.push_str(word);
                at += 1;
            }
        }
        if new == text {
            break;
        }
        text = new;
    }
    text
}

/// The end of a pattern that matches at `at`; appends its captures to `taken`.
fn fit(words: &[&str], mut at: usize, pattern: &str, taken: &mut Vec<String>) -> Option<usize> {
    for piece in pattern.split(' ') {
        let word = words.get(at).copied();
        let before = at.checked_sub(1).and_then(|at| words.get(at));
        match (piece, word) {
            ("^", _) if before.is_none_or(|word| is_joint(word)) => continue,
            ("=?" | "=", Some("=" | "==" | "eq")) | ("!=", Some("!=" | "ne" | "neq")) => {}
            ("=?", _) | (";", None | Some("and" | "or" | "&" | "&&" | "|" | "||" | ")")) => continue,
            (_, Some(word)) if piece.contains('|') && piece.split('|').any(|known| known == word) => {
                taken.push(word.to_owned());
            }
            (_, Some(word))
                if piece.len() == 1 && piece.as_bytes().first().is_some_and(u8::is_ascii_uppercase) =>
            {
                if !take(piece, word, taken) {
                    return None;
                }
            }
            (_, Some(word)) if word.eq_ignore_ascii_case(piece) => {}
            _ => return None,
        }
        at += 1;
    }
    Some(at)
}

/// Captures the part of a word that a pattern's letter stands for; false if it does not match.
fn take(class: &str, word: &str, taken: &mut Vec<String>) -> bool {
    let is_word = !is_joint(word) && !is_operator(word);
    let kept = match class {
        // A name or a value; a field that needs an operator; an operator.
        "K" if is_word && !word.contains('"') => word,
        "F" if is_word && !["src", "dst", "sport", "dport"].contains(&word) => word,
        "O" if is_operator(word) => word,
        // A text without quotes and wildcards; a list without brackets.
        "T" => trimmed(word, "\"'/%*^$."),
        "L" => trimmed(word, "()[]{}"),
        // A word that ends with a comma; a number; letters only.
        "C" if word.ends_with(',') => word,
        "D" if trimmed(word, DIGITS).is_empty() => word,
        "U" if is_word && word.bytes().all(|byte| byte.is_ascii_alphabetic()) => word,
        "P" if word.starts_with(':') && is_port(trimmed(word, ":")) => word,
        "N" if is_port(trimmed(word, ":")) => trimmed(word, ":"),
        // A time in capital letters.
        "S" if ["US", "MS", "S", "MIN", "H"].contains(&trimmed(word, DIGITS)) => {
            taken.push(word.to_ascii_lowercase());
            return true;
        }
        // An operator with its characters swapped.
        "E" => {
            taken.push(word.replace("=>", ">=").replace("=<", "<="));
            return true;
        }
        "B" => {
            let count = taken.len();
            taken.extend(bracketed(word));
            return taken.len() > count;
        }
        "V" => return with_device(word, taken).is_some(),
        "R" => return range(word, taken).is_some(),
        // An address, and a range of ports.
        "A" => {
            return match word.rsplit_once(':') {
                Some((address, ports)) if !address.is_empty() => {
                    taken.push(address.to_owned());
                    range(ports, taken).is_some()
                }
                _ => false,
            };
        }
        _ => return false,
    };
    taken.push(kept.to_owned());
    true
}

/// The characters of numbers.
const DIGITS: &str = "0123456789.";

/// A word without these characters at its ends.
fn trimmed<'w>(word: &'w str, letters: &str) -> &'w str {
    word.trim_matches(|letter| letters.contains(letter))
}

fn is_port(text: &str) -> bool {
    text.parse::<u64>().is_ok_and(|port| port <= PORTS)
}

/// Captures both ends of `8000-8999`, `8000:8999` or `8000..8999`.
fn range(value: &str, taken: &mut Vec<String>) -> Option<()> {
    let value = trimmed(value, ":");
    let (first, last) = ["-", "..", ":"].iter().find_map(|between| value.split_once(between))?;
    for end in [first, trimmed(last, ":")] {
        if !end.starts_with(|letter: char| letter.is_ascii_digit()) {
            return None;
        }
        taken.push(end.to_owned());
    }
    Some(())
}

fn is_joint(word: &str) -> bool {
    matches!(word, "and" | "or" | "not" | "&" | "&&" | "|" | "||" | "(" | ")")
}

/// An IPv6 address with the missing brackets added, its prefix length inside them.
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

/// Captures the address with port, and the interface, of the form in which `ss` prints
/// `127.0.0.53%lo:53` or `[fe80::1]%eth0:22`.
fn with_device(value: &str, taken: &mut Vec<String>) -> Option<()> {
    let (address, rest) = value.split_once('%')?;
    let (device, port) = rest.split_once(':').map_or((rest, ""), |(device, port)| (device, port));
    let device = trimmed(device, "]");
    let address = trimmed(address, "[]");
    let (open, close) = if address.contains(':') { ("[", "]") } else { ("", "") };
    let colon = if port.is_empty() { "" } else { ":" };
    taken.extend([[open, address, close, colon, port].concat(), device.to_owned()]);
    (!device.is_empty()).then_some(())
}

/// If several adjacent words name files, the filter with the pattern that the shell probably
/// expanded into them.
pub(super) fn replaced_by_shell(words: &[OsString]) -> Option<String> {
    let exists = |word: &OsString| {
        let bytes = word.as_bytes();
        !bytes.is_empty() && !bytes.contains(&b' ') && Path::new(word).symlink_metadata().is_ok()
    };
    // The first word is a keyword, even if a file has that name.
    let first = words.iter().skip(1).position(exists)? + 1;
    let run = words.get(first..)?.iter().take_while(|word| exists(word)).count();
    if run < 2 {
        return None;
    }
    let names: Vec<_> = words.get(first..first + run)?.iter().map(|word| word.to_string_lossy()).collect();
    let (one, other) = (names.iter().min()?, names.iter().max()?);
    // The common prefix of the first and the last name is common to all names between them.
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

    /// A look-up that knows no names.
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
            // A hint must never repeat what was typed.
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
