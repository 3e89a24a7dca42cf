//! GNU `getopt_long`: which words are options, and how it complains.
//!
//! Words and options come out in the order in which they were written; a caller that collects
//! the words apart gets GNU's permuted order.  Our own options match only when spelled in
//! full, so every abbreviation keeps its meaning, and its error message, of the reference.
//!
//! Source: getopt(3); messages and the order of possibilities as `ss` 7.3
//! prints them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use sockdiag_options::{OPTIONS, Opt};

use super::exit::{Exit, quoting};

/// What a word of the command line turned out to be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Item<'a> {
    /// An option, with its argument (empty for one that takes none).
    Option(&'static Opt, &'a OsStr),
    /// A word that is not an option.
    Word(&'a OsStr),
}

/// A word that looks like an option but is not a valid one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// `-Y`: no such letter.
    Letter(u8),
    /// `--bogus`: no such name; as written, without the dashes.
    Name(Vec<u8>),
    /// `--n=x`: the start of several names; as written, without the dashes.
    Ambiguous(Vec<u8>, Vec<&'static str>),
    /// `-f` as the last word.
    LetterNeedsArgument(u8),
    /// `--family` as the last word.
    NameNeedsArgument(&'static str),
    /// `--numeric=x`.
    NameTakesNone(&'static str),
}

impl Wrong {
    /// How the program exits because of it.
    pub(super) fn exit(&self, program: &OsStr) -> Exit {
        let message = self.message(program);
        let is_ours =
            |name: &str| OPTIONS.iter().any(|option| option.is_extension() && option.long.contains(&name));
        match self {
            Self::Letter(letter) => Exit::Unknown { message, option: char::from(*letter).to_string() },
            Self::Name(written) => {
                Exit::Unknown { message, option: format!("--{}", String::from_utf8_lossy(written)) }
            }
            // The reference's help does not list our options, so it would not help.
            Self::NameNeedsArgument(name) | Self::NameTakesNone(name) if is_ours(name) => {
                Exit::error(Exit::USAGE, message)
            }
            _ => Exit::usage(message),
        }
    }

    /// The error message, which starts with the name of the program as invoked.
    pub(crate) fn message(&self, program: &OsStr) -> Vec<u8> {
        let text = match self {
            Self::Letter(letter) => quoting("invalid option -- '", &[*letter], "'"),
            Self::Name(written) => quoting("unrecognized option '--", written, "'"),
            Self::Ambiguous(written, names) => {
                let mut text = quoting("option '--", written, "' is ambiguous; possibilities:");
                for name in names {
                    text.extend(format!(" '--{name}'").bytes());
                }
                text
            }
            Self::LetterNeedsArgument(letter) => quoting("option requires an argument -- '", &[*letter], "'"),
            Self::NameNeedsArgument(name) => format!("option '--{name}' requires an argument").into_bytes(),
            Self::NameTakesNone(name) => format!("option '--{name}' doesn't allow an argument").into_bytes(),
        };
        [program.as_bytes(), b": ", &text].concat()
    }
}

/// Reads the words after the program's name, one item at a time.
#[derive(Debug)]
pub(crate) struct Getopt<'a> {
    options: &'static [Opt],
    words: std::slice::Iter<'a, OsString>,
    /// The unread letters of a cluster like `-tan`.
    cluster: &'a [u8],
    /// Whether the first word that is not an option ends the options.
    posix: bool,
    /// Whether the options have ended.
    ended: bool,
}

impl<'a> Getopt<'a> {
    /// Starts reading; `posix` is whether `POSIXLY_CORRECT` is set.
    pub(crate) fn new(options: &'static [Opt], words: &'a [OsString], posix: bool) -> Self {
        Self { options, words: words.iter(), cluster: &[], posix, ended: false }
    }

    fn word(&mut self) -> Option<Result<Item<'a>, Wrong>> {
        let word = self.words.next()?;
        if self.ended {
            return Some(Ok(Item::Word(word)));
        }
        match word.as_bytes() {
            b"--" => {
                self.ended = true;
                self.words.next().map(|word| Ok(Item::Word(word)))
            }
            [b'-', b'-', written @ ..] => Some(self.long(written)),
            [b'-', first, rest @ ..] => {
                self.cluster = rest;
                Some(self.short(*first))
            }
            _ => {
                self.ended = self.posix;
                Some(Ok(Item::Word(word)))
            }
        }
    }

    fn short(&mut self, letter: u8) -> Result<Item<'a>, Wrong> {
        let option = self
            .options
            .iter()
            .find(|option| option.short.as_bytes().contains(&letter))
            .ok_or(Wrong::Letter(letter))?;
        if option.argument.is_none() {
            return Ok(Item::Option(option, OsStr::new("")));
        }
        let argument = match std::mem::take(&mut self.cluster) {
            [] => self.words.next().ok_or(Wrong::LetterNeedsArgument(letter))?.as_os_str(),
            attached => OsStr::from_bytes(attached),
        };
        Ok(Item::Option(option, argument))
    }

    fn long(&mut self, written: &'a [u8]) -> Result<Item<'a>, Wrong> {
        let mut parts = written.splitn(2, |byte| *byte == b'=');
        let (start, attached) = (parts.next().unwrap_or_default(), parts.next());
        let (option, name) = self.named(start, written)?;
        let argument = match (option.argument.is_some(), attached) {
            (false, Some(_)) => return Err(Wrong::NameTakesNone(name)),
            (false, None) => OsStr::new(""),
            (true, Some(attached)) => OsStr::from_bytes(attached),
            (true, None) => {
                let next = self.words.next().ok_or(Wrong::NameNeedsArgument(name))?;
                // No value of our options begins with `--`: the argument was left out.
                if option.is_extension() && next.as_bytes().starts_with(b"--") {
                    return Err(Wrong::NameNeedsArgument(name));
                }
                next
            }
        };
        Ok(Item::Option(option, argument))
    }

    /// The option with this name, or else the only one whose name starts with it.  A prefix
    /// shared by several names of one option is not ambiguous.
    fn named(&self, start: &[u8], written: &[u8]) -> Result<(&'static Opt, &'static str), Wrong> {
        let spelled = |name: &[u8]| {
            self.options.iter().find_map(|option| {
                let long = option.long.iter().find(|long| long.as_bytes() == name)?;
                Some((option, *long))
            })
        };
        if let Some(exact) = spelled(start) {
            return Ok(exact);
        }
        let mut found = reference_long_names()
            .filter(|name| name.as_bytes().starts_with(start))
            .filter_map(|name| spelled(name.as_bytes()));
        let first = found.next().ok_or_else(|| Wrong::Name(written.to_vec()))?;
        let mut names: Vec<_> =
            found.filter(|(option, _)| !std::ptr::eq(*option, first.0)).map(|(_, name)| name).collect();
        if names.is_empty() {
            return Ok(first);
        }
        names.insert(0, first.1);
        Err(Wrong::Ambiguous(written.to_vec(), names))
    }
}

impl<'a> Iterator for Getopt<'a> {
    type Item = Result<Item<'a>, Wrong>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.cluster {
            [] => self.word(),
            [first, rest @ ..] => {
                self.cluster = rest;
                Some(self.short(*first))
            }
        }
    }
}

/// The long names of the reference's options, in the order of its "possibilities:" message,
/// which differs from the order of its help.
pub(crate) fn reference_long_names() -> impl Iterator<Item = &'static str> {
    "numeric resolve options extended memory info processes threads bpf events tcp sctp udp raw unix tipc vsock \
     all listening bound-inactive ipv4 ipv6 packet family socket query summary diag filter version help context \
     contexts net tipcinfo tos cgroup kill no-header no-queues xdp mptcp oneline inet-sockopt bpf-maps bpf-map-id"
        .split_ascii_whitespace()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_references_names_are_those_of_its_options() {
        let theirs = OPTIONS.iter().filter(|option| !option.is_extension());
        let theirs: BTreeSet<_> = theirs.flat_map(|option| option.long).copied().collect();
        assert_eq!(reference_long_names().collect::<BTreeSet<_>>(), theirs);
        assert_eq!(reference_long_names().count(), theirs.len());
    }
}
