//! Help and version texts, made from the table of options.
//!
//! [`fn@reference`] is byte for byte what `ss` 7.3 prints.  Our additions follow it only where
//! help was asked for: a script that passes an invalid option sees exactly the reference's
//! stderr.
//!
//! Source: `ss -h` of iproute2 7.3.

use std::fmt::Write as _;

use sockdiag_options::{Argument, EXAMPLES, Example, Key, Kind, OPTIONS, Opt, Section};

/// The reference's help text.
pub(crate) fn reference() -> String {
    let mut text = String::from("Usage: ss [ OPTIONS ]\n       ss [ OPTIONS ] [ FILTER ]\n");
    let mut section = Section::General;
    for option in OPTIONS.iter().filter(|option| !option.is_extension()) {
        if option.section != section {
            section = option.section;
            text.push('\n');
        }
        describe(&mut text, option);
    }
    text
}

/// The text of `-h` and `-f help`: the reference's, then our additions and example commands.
pub(crate) fn full() -> String {
    let mut text = reference();
    text.push_str("\nAdded by sockdiag:\n");
    for option in OPTIONS.iter().filter(|option| option.is_extension()) {
        describe(&mut text, option);
    }
    text.push_str(WIDER);
    examples(&mut text);
    text
}

/// The table of examples, and where to read more.
fn examples(text: &mut String) {
    let width = EXAMPLES.iter().map(|example| example.wanted.len()).max().unwrap_or(0);
    _ = writeln!(text, "\n{:<width$}  Command", "You want");
    for Example { wanted, command } in EXAMPLES {
        _ = writeln!(text, "{wanted:<width$}  {command}");
    }
    text.push_str("Conditions: man 7 ss-filter.  Fields: man 7 ss-fields, or ss --columns help.\n");
}

/// Arguments of the reference's options that only ours accepts.
const WIDER: &str =
    "   -N, --net           also takes a path, pid:PID for the namespace of a process, or container:NAME\n";

/// The text of `-V`: the reference release that we match, then our own version.
pub(crate) fn version() -> String {
    format!("ss utility, iproute2-7.3.0\nsockdiag {}\n", env!("CARGO_PKG_VERSION"))
}

/// Adds the lines of one option: names, padding, and text from the 24th column on.
fn describe(text: &mut String, option: &Opt) {
    let start = text.len();
    match option.short.chars().next() {
        Some(short) => _ = write!(text, "   -{short}, "),
        None => text.push_str("       "),
    }
    let long = option.long.first().map_or(String::new(), |long| format!("--{long}{}", value(option)));
    _ = write!(text, "{long:<15} {}", option.help);
    text.truncate(start + text.get(start..).unwrap_or_default().trim_end().len());
    text.push('\n');
    text.push_str(option.more);
    if let Some(Argument { shown, kind }) = option.argument {
        let words = kind.words().join("|");
        _ = match kind {
            Kind::Word(_) => writeln!(text, "       {shown} := {{{words}}}"),
            Kind::Words(_) | Kind::Namespaces(_) => writeln!(text, "       {shown} := {{{words}}}[,{shown}]"),
            _ => Ok(()),
        };
    }
}

/// What follows the name of an option.  The exceptions are the reference's: all names, blanks
/// that do not fill the column, or nothing at all.
fn value(option: &Opt) -> String {
    match (option.key, option.argument) {
        (_, None) | (Key::Net, _) => String::new(),
        (Key::Query, Some(Argument { shown, .. })) => format!("={shown}, --socket={shown}"),
        (Key::BpfMapId, Some(Argument { shown, .. })) => format!("={shown}   "),
        (_, Some(Argument { shown, .. })) => format!("={shown}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockdiag::model::{Family, StateSet, TableSet};
    use sockdiag_testkit::{reference::Reference, skip};

    #[test]
    fn help_is_the_references() {
        let reference_ss = match Reference::get() {
            Ok(reference_ss) => reference_ss,
            Err(why) => skip!("{why}"),
        };
        let theirs = reference_ss.command().arg("-h").output().expect("the reference runs");
        assert_eq!(reference(), String::from_utf8(theirs.stdout).expect("its help is ASCII"));
    }

    #[test]
    fn help_has_the_known_size() {
        assert_eq!((reference().lines().count(), reference().len()), (60, 3349));
    }

    #[test]
    fn asked_for_help_adds_a_section() {
        let full = full();
        let added = full.strip_prefix(&reference()).expect("it starts with the reference's");
        assert!(added.starts_with("\nAdded by sockdiag:\n"));
        assert!(added.contains("\n   -d, --dccp          display only DCCP sockets\n"), "{added}");
    }

    #[test]
    fn help_ends_with_a_short_table_of_commands() {
        let full = full();
        let (_, table) = full.split_once("\n\nYou want ").expect("a table behind an empty line");
        assert!(table.lines().count() <= 20, "{table}");
        for example in EXAMPLES {
            assert!(table.contains(&format!("  {}\n", example.command)), "{example:?}");
        }
    }

    /// The words of a list in braces like `FAMILY := {inet|inet6|help}`.
    fn listed(name: &str) -> Vec<String> {
        let text = reference();
        let (_, rest) = text.split_once(&format!("{name} := {{")).expect("the list is there");
        let (list, _) = rest.split_once('}').expect("it ends");
        list.split('|').map(str::to_owned).collect()
    }

    #[test]
    fn the_lists_name_only_what_is_accepted() {
        for name in listed("FAMILY") {
            assert!(name == "help" || Family::by_name(name.as_bytes()).is_some(), "{name}");
        }
        for name in listed("QUERY") {
            assert!(TableSet::by_name(name.as_bytes()).is_some(), "{name}");
        }
        for name in listed("bucket") {
            assert!(StateSet::by_word(name.as_bytes()).is_some(), "{name}");
        }
    }
}
