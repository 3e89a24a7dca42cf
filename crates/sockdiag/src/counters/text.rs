//! The text formats in which the kernel reports its counters.
//!
//! Invariant: any bytes are accepted.  A line that cannot be parsed gives no counter and
//! does not affect the lines around it; a number is read whole or not at all.
//!
//! Source: proc_net(5): `netstat`, `snmp` (a line of names, then one of numbers, both
//! after the section's name), `snmp6` (a name and a number a line), `sockstat` (a key,
//! then words and numbers in turn).

use std::str;

use sockdiag_facts::sort::sort_by;

use super::HostCounters;
use super::read::SETTINGS;
use crate::model::Window;

/// Numbers with their names, in the order of the text.
type Numbers = Vec<(Box<str>, u64)>;

/// Reads texts, each with the path of its file below `/proc`.
pub(super) fn parse<'a>(
    texts: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    window: Window,
) -> HostCounters {
    let (mut counters, mut sockstat, mut settings) = (Numbers::new(), Numbers::new(), Vec::new());
    for (path, text) in texts {
        match path {
            "net/netstat" | "net/snmp" => take_sections(text, &mut counters),
            "net/snmp6" => take_lines(text, &mut counters),
            "net/sockstat" | "net/sockstat6" => take_sockstat(text, &mut sockstat),
            _ => {
                let setting = SETTINGS.iter().find(|setting| path.strip_prefix("sys/") == Some(setting.path));
                settings.extend(setting.map(|setting| (setting.path, text.trim_ascii().into())));
            }
        }
    }
    HostCounters {
        window,
        netns_inode: 0,
        counters: ordered(counters),
        sockstat: ordered(sockstat),
        settings,
        unread: Vec::new(),
    }
}

/// Sorts by name; of two numbers with one name the first is kept.
fn ordered(mut numbers: Numbers) -> Numbers {
    sort_by(&mut numbers, &mut |one, other| one.0.cmp(&other.0));
    numbers.dedup_by(|later, first| later.0 == first.0);
    numbers
}

/// Parses sections: a line of names followed by a line of numbers.
fn take_sections(text: &[u8], numbers: &mut Numbers) {
    let mut names: Option<(&str, &str)> = None;
    for line in lines(text) {
        let Some((section, rest)) = line.split_once(':') else {
            names = None;
            continue;
        };
        match names.take() {
            Some((of, words)) if of == section => {
                for (name, number) in words.split_ascii_whitespace().zip(rest.split_ascii_whitespace()) {
                    add(&[section, name], number, numbers);
                }
            }
            _ => names = Some((section, rest)),
        }
    }
}

/// Parses lines of one name and one number.
fn take_lines(text: &[u8], numbers: &mut Numbers) {
    for line in lines(text) {
        let mut words = line.split_ascii_whitespace();
        if let (Some(name), Some(number), None) = (words.next(), words.next(), words.next()) {
            add(&[name], number, numbers);
        }
    }
}

/// Parses lines of a key, then words and numbers in turn.
fn take_sockstat(text: &[u8], numbers: &mut Numbers) {
    for line in lines(text) {
        let Some((key, rest)) = line.split_once(':') else { continue };
        let mut words = rest.split_ascii_whitespace();
        while let (Some(word), Some(number)) = (words.next(), words.next()) {
            add(&[key, word], number, numbers);
        }
    }
}

/// Adds a number; a negative one means "none" (`MaxConn`: no limit) and is skipped.
fn add(name: &[&str], number: &str, numbers: &mut Numbers) {
    // `parse` alone would accept a `+`.
    if number.starts_with(|first: char| first.is_ascii_digit())
        && let Ok(number) = number.parse()
    {
        numbers.push((name.concat().into(), number));
    }
}

/// The lines that are valid UTF-8.
fn lines(text: &[u8]) -> impl Iterator<Item = &str> {
    text.split(|byte| *byte == b'\n').filter_map(|line| str::from_utf8(line).ok())
}
