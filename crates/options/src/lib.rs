//! The options of `ss` and `sockdiag`, as data: their spellings, their arguments, and their
//! texts in help and manuals.
//!
//! The two programs parse their command lines in different ways and do
//! different things with an option, so neither parsers nor actions are here.
//! A program attaches its actions with a `match` over [`Key`], which does not compile until it
//! handles every key.
//!
//! Invariant: every key has exactly one entry in [`OPTIONS`], because one macro call generates
//! the keys and the entries.
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
    /// The key that names this option.
    pub key: Key,
    /// Its one-letter spellings; help shows the first.  May be empty.
    pub short: &'static str,
    /// Its names, without dashes; help shows the first.
    pub long: &'static [&'static str],
    /// The argument; `None` if the option takes none.
    pub argument: Option<Argument>,
    /// Its line in the help text; may be empty.
    pub help: &'static str,
    /// Further lines of help, each with its newline; may be empty.
    pub more: &'static str,
    /// Its description in the manuals: full sentences.
    pub doc: &'static str,
    /// The section of the help of `ss` that lists it.
    pub section: Section,
    /// Its topic, such as names or columns.
    pub topic: Topic,
}

impl Opt {
    /// Whether `ss` of iproute2 7.3 lacks this option.  `ss` accepts an extension only when it
    /// is spelled in full.
    pub const fn is_extension(&self) -> bool {
        matches!(self.section, Section::Extension)
    }

    /// Whether `sockdiag` has this option too, with the same meaning as in `ss`.
    pub const fn is_shared(&self) -> bool {
        !matches!(self.topic, Topic::Ss)
    }
}

/// The argument of an option.
#[derive(Clone, Copy, Debug)]
pub struct Argument {
    /// Its placeholder in help: `FIELD[,FIELD]`.
    pub shown: &'static str,
    /// The values it accepts.
    pub kind: Kind,
}

/// The values that an argument accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The path of a file; `-` is a standard stream.
    File,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Several of these words, separated by commas.
    Words(&'static [&'static str]),
    /// Names of fields, separated by commas.
    Fields,
    /// Names of fields, separated by commas; `-` before a name sorts in descending order.
    SortKeys,
    /// A number that is not negative.
    Number,
    /// A network namespace: a name of ip-netns(8), a path, or a word with a colon.
    Namespace,
    /// Network namespaces, separated by commas, each in one of these forms.
    Namespaces(&'static [&'static str]),
}

impl Kind {
    /// The words to choose from; empty if the argument is not a word of a list.  Words in
    /// capitals, such as `NAME` or the second half of `pid:PID`, stand for a value from the
    /// user.
    pub const fn words(self) -> &'static [&'static str] {
        match self {
            Self::Word(words) | Self::Words(words) | Self::Namespaces(words) => words,
            _ => &[],
        }
    }
}

/// A section of the help text of `ss`; an empty line separates sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// What to show, and how.
    General,
    /// Which sockets are listed.
    Sockets,
    /// Actions on the listed sockets, and the output format.
    Output,
    /// The list of tables.
    Query,
    /// Files, and the language of filters.
    Files,
    /// Options that the reference lacks.
    Extension,
}

/// The topic of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Which sockets: families, tables, states and filters.
    Selection,
    /// Which network namespaces to list.
    Namespaces,
    /// Whether numbers and addresses are shown by name.
    Names,
    /// Details of a socket beyond its columns.
    Details,
    /// Which fields are columns, in what order rows come, and how many.
    Columns,
    /// The output format.
    Form,
    /// Options that only `ss` has.
    Ss,
}

/// A word before a filter that selects states; the name of a state follows it.
#[derive(Clone, Copy, Debug)]
pub struct StateWord {
    /// Its spellings; manuals show the first.
    pub names: &'static [&'static str],
    /// Its description in the manuals: full sentences.
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
    // In range: the macro that generates the keys generates their entries in the same order.
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

    /// The options that both programs share cover every topic, so `sockdiag` answers the same
    /// questions as `ss`.
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
