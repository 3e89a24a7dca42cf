//! The options of `ss` and `sockdiag`, as data: how each is written, what
//! follows it, and what help and manuals say about it.
//!
//! The two programs parse their command lines in different ways and do
//! different things with an option, so neither parsers nor actions are here.
//! A program attaches its actions with a `match` over [`Key`], which does not
//! compile while one of them is missing.
//!
//! Invariant: every key has exactly one entry in [`OPTIONS`]; one list makes
//! both.
//!
//! Invariant: this crate depends on nothing.

#![forbid(unsafe_code)]

mod examples;
mod table;

pub use examples::{EXAMPLES, Example};
pub use table::{Key, OPTIONS};

/// An option.
#[derive(Debug)]
pub struct Opt {
    /// Which one.
    pub key: Key,
    /// Its letters; help shows the first.  May be empty.
    pub short: &'static str,
    /// Its names, without dashes; help shows the first.
    pub long: &'static [&'static str],
    /// What follows it; `None` if nothing does.
    pub argument: Option<Argument>,
    /// What help says; may be empty.
    pub help: &'static str,
    /// Further lines of help, each with its newline; may be empty.
    pub more: &'static str,
    /// What manuals say: sentences.
    pub doc: &'static str,
    /// Where the help of `ss` lists it.
    pub section: Section,
    /// What it is about.
    pub topic: Topic,
}

impl Opt {
    /// Whether the reference, `ss` of iproute2 7.3, lacks it.  `ss` matches
    /// such an option only when it is spelled in full.
    pub const fn is_extension(&self) -> bool {
        matches!(self.section, Section::Extension)
    }

    /// Whether it means the same in `ss` and in `sockdiag`.
    pub const fn is_shared(&self) -> bool {
        !matches!(self.topic, Topic::Ss)
    }
}

/// What follows an option.
#[derive(Clone, Copy, Debug)]
pub struct Argument {
    /// How help calls it: `FIELD[,FIELD]`.
    pub shown: &'static str,
    /// What it can be.
    pub kind: Kind,
}

/// What an argument can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The path of a file; `-` is a standard stream.
    File,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Such words with commas between them.
    Words(&'static [&'static str]),
    /// Names of fields with commas between them.
    Fields,
    /// The same, with `-` before a name whose largest values come first.
    SortKeys,
    /// A number that is not negative.
    Number,
    /// A network namespace: a name of ip-netns(8), a path, or a word with a colon.
    Namespace,
    /// Network namespaces with commas between them, each one of these.
    Namespaces(&'static [&'static str]),
}

impl Kind {
    /// The words that it can be; none if it is no word of a list.  Those in capitals,
    /// `NAME` or the last of `pid:PID`, stand for what the user names.
    pub const fn words(self) -> &'static [&'static str] {
        match self {
            Self::Word(words) | Self::Words(words) | Self::Namespaces(words) => words,
            _ => &[],
        }
    }
}

/// A part of the help text of `ss`; an empty line stands between two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// What is shown and how.
    General,
    /// Which sockets are listed.
    Sockets,
    /// What is done to them, and the form of rows.
    Output,
    /// The list of tables.
    Query,
    /// Files, and the language of filters.
    Files,
    /// What the reference lacks.
    Extension,
}

/// What an option is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Which sockets: families, tables, states and filters.
    Selection,
    /// In which network namespaces.
    Namespaces,
    /// Whether numbers and addresses are shown by name.
    Names,
    /// What is shown of a socket beyond its columns.
    Details,
    /// Which fields are columns, in what order rows come, and how many.
    Columns,
    /// In what form rows are written.
    Form,
    /// What only `ss` has.
    Ss,
}

/// A word before a filter that selects states; the name of a state follows it.
#[derive(Clone, Copy, Debug)]
pub struct StateWord {
    /// Its spellings; manuals show the first.
    pub names: &'static [&'static str],
    /// What manuals say: sentences.
    pub doc: &'static str,
}

impl StateWord {
    /// Whether this is one of its spellings.
    pub fn is(&self, word: &[u8]) -> bool {
        self.names.iter().any(|name| name.as_bytes() == word)
    }
}

/// Adds a state to the selection.
pub const STATE: StateWord = StateWord {
    names: &["state"],
    doc: "Lists sockets of this state.  The first such word replaces -a and -l; further ones add to it.",
};

/// Takes a state out of the selection.
pub const EXCLUDE: StateWord =
    StateWord { names: &["exclude", "excl"], doc: "Lists sockets in every state except this one." };

/// The option of a key.
pub fn option(key: Key) -> &'static Opt {
    // In range: the list that makes the keys makes their entries, in order.
    &OPTIONS[key as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn nothing_is_depended_on() {
        let (_, dependencies) = include_str!("../Cargo.toml").split_once("[dependencies]").unwrap();
        assert_eq!(dependencies.trim(), "");
    }

    #[test]
    fn a_key_leads_to_its_entry() {
        for entry in OPTIONS {
            assert!(std::ptr::eq(option(entry.key), entry), "{:?}", entry.key);
        }
    }

    #[test]
    fn no_spelling_is_used_twice() {
        let (mut letters, mut names) = (HashSet::new(), HashSet::new());
        for option in OPTIONS {
            assert!(!option.long.is_empty(), "{option:?}");
            assert!(
                option.short.bytes().all(|letter| letter.is_ascii_alphanumeric() && letters.insert(letter))
            );
            assert!(option.long.iter().all(|name| names.insert(name)), "{option:?}");
        }
    }

    #[test]
    fn every_option_is_explained() {
        for option in OPTIONS {
            assert!(option.doc.ends_with('.') && option.doc.len() > 10, "{option:?}");
            assert!(option.more.is_empty() || option.more.ends_with('\n'), "{option:?}");
        }
    }

    #[test]
    fn arguments_are_of_a_kind_that_their_names_tell() {
        for (option, argument) in OPTIONS.iter().filter_map(|option| Some((option, option.argument?))) {
            assert!(!argument.shown.is_empty(), "{option:?}");
            let fields = matches!(argument.kind, Kind::Fields | Kind::SortKeys);
            assert_eq!(argument.shown.contains("FIELD"), fields, "{option:?}");
            assert_eq!(argument.shown == "FILE", argument.kind == Kind::File, "{option:?}");
            let words: HashSet<_> = argument.kind.words().iter().collect();
            assert_eq!(words.len(), argument.kind.words().len(), "{option:?}");
        }
    }

    /// What a program without the habits of `ss` has to offer to ask the same questions.
    #[test]
    fn what_both_programs_share_selects_shows_and_writes() {
        let shared = |topic| OPTIONS.iter().filter(move |option| option.topic == topic);
        for (topic, name) in [
            (Topic::Selection, "tcp"),
            (Topic::Selection, "query"),
            (Topic::Selection, "family"),
            (Topic::Namespaces, "netns"),
            (Topic::Names, "numeric"),
            (Topic::Details, "processes"),
            (Topic::Columns, "columns"),
            (Topic::Columns, "sort"),
            (Topic::Columns, "limit"),
            (Topic::Columns, "group-by"),
            (Topic::Form, "json"),
            (Topic::Form, "csv"),
        ] {
            assert!(shared(topic).any(|option| option.long.contains(&name) && option.is_shared()), "{name}");
        }
        for name in ["help", "kill", "diag", "generate"] {
            assert!(
                shared(Topic::Ss).any(|option| option.long.contains(&name) && !option.is_shared()),
                "{name}"
            );
        }
    }
}
