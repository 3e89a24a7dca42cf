//! Candidates for each position of a command line, for shell completion.
//!
//! A shell's completion script runs this program with the variable [`VARIABLE`] set, so the
//! candidates match this build and this machine: fields, states, and the current network
//! namespaces.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};

use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use sockdiag::fields::{Catalog, without_unit};
use sockdiag::model::states;
use sockdiag_options::{EXCLUDE, Kind, STATE};

use crate::command;

/// Contains the name of the shell that asks.
pub(crate) const VARIABLE: &str = "SOCKDIAG_COMPLETE";

/// The directory where `ip netns` keeps named namespaces.
const NAMED_NAMESPACES: &str = "/run/netns";

/// Prints candidates if a shell asks for them; returns whether one did.
///
/// # Errors
/// If the shell is unknown or the output cannot be written.
pub(crate) fn answer(words: &[OsString]) -> clap::error::Result<bool> {
    if words.is_empty() {
        return Ok(false);
    }
    let directory = std::env::current_dir().ok();
    CompleteEnv::with_factory(command::command)
        .var(VARIABLE)
        .try_complete(words.iter().cloned(), directory.as_deref())
}

/// Completes words of a fixed list; a comma-separated list of them if `several`.
pub(crate) fn words(words: &'static [&'static str], several: bool) -> ArgValueCompleter {
    ArgValueCompleter::new(move |current: &OsStr| {
        let words = words.iter().map(|word| Candidate::new(*word, ""));
        if several { listed(current, words) } else { begun(current, words) }
    })
}

/// Completes field names separated by commas; sort keys may be preceded by `-`.
pub(crate) fn fields(kind: Kind) -> ArgValueCompleter {
    ArgValueCompleter::new(move |current: &OsStr| {
        let dash = kind == Kind::SortKeys && last_item(current).1.starts_with('-');
        let mut names = field_names();
        if dash {
            for candidate in &mut names {
                candidate.word.insert(0, '-');
            }
        }
        listed(current, names)
    })
}

/// Completes network namespaces separated by commas.
pub(crate) fn namespaces() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let named = std::fs::read_dir(NAMED_NAMESPACES).into_iter().flatten().flatten();
        let mut names: Vec<String> = named.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        let names = names.into_iter().map(|name| Candidate::new(name, ""));
        listed(
            current,
            [Candidate::new("all", "all network namespaces of this machine")].into_iter().chain(names),
        )
    })
}

/// Completes words of a filter: those about states, operators, fields.
pub(crate) fn filter_words() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| begun(current, filter_candidates()))
}

/// The words of a filter, without help, in alphabetical order.
pub(crate) fn filter_word_list() -> Vec<String> {
    let mut words: Vec<String> = filter_candidates().into_iter().map(|candidate| candidate.word).collect();
    words.sort_unstable();
    words
}

fn filter_candidates() -> Vec<Candidate> {
    let first = STATE.names.iter().chain(EXCLUDE.names).chain(&["and", "or", "not"]);
    let first = first.map(|word| Candidate::new(*word, ""));
    let states = states::WORDS.iter().map(|(word, _)| Candidate::new(*word, "a state"));
    let operands = Catalog::shared().fields().filter_map(|field| {
        let word = field.operand?.keyword();
        Some(Candidate::new(word, field.doc))
    });
    let mut seen = HashSet::new();
    let all = first.chain(operands).chain(states).chain(field_names()).chain(short_names());
    all.filter(|candidate| seen.insert(candidate.word.clone())).collect()
}

/// A possible completion.
struct Candidate {
    word: String,
    help: &'static str,
}

impl Candidate {
    fn new(word: impl Into<String>, help: &'static str) -> Self {
        Self { word: word.into(), help }
    }

    fn with(self, before: &str) -> CompletionCandidate {
        let help = (!self.help.is_empty()).then(|| self.help.into());
        CompletionCandidate::new(format!("{before}{}", self.word)).help(help)
    }
}

/// Every field name once, in the order of the table.
fn field_names() -> Vec<Candidate> {
    let mut seen = HashSet::new();
    let fields = Catalog::shared().fields().filter(|field| seen.insert(field.name));
    fields.map(|field| Candidate::new(field.name, field.doc)).collect()
}

/// The last parts of the names of fields and list members, if they identify one field.
fn short_names() -> Vec<Candidate> {
    let catalog = Catalog::shared();
    let mut seen = HashSet::new();
    let names = catalog.fields().flat_map(|field| {
        let members = field.kind.members().iter().map(|member| member.name);
        field.name.rsplit('.').next().into_iter().chain(members)
    });
    let mut short = Vec::new();
    for name in names.filter(|name| seen.insert(*name)) {
        // Also without the unit, as the help writes it.
        for name in [Some(name), without_unit(name)].into_iter().flatten() {
            if let Ok(named) = catalog.named(name) {
                short.push(Candidate::new(name, named.field.doc));
            }
        }
    }
    short
}

/// The candidates that start with the current word.
fn begun(current: &OsStr, candidates: impl IntoIterator<Item = Candidate>) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    let fit = candidates.into_iter().filter(|candidate| candidate.word.starts_with(&*current));
    fit.map(|candidate| candidate.with("")).collect()
}

/// The candidates that start with the last item of a list, prefixed with the items before it.
fn listed(current: &OsStr, candidates: impl IntoIterator<Item = Candidate>) -> Vec<CompletionCandidate> {
    let (before, last) = last_item(current);
    let fit = candidates.into_iter().filter(|candidate| candidate.word.starts_with(&last));
    fit.map(|candidate| candidate.with(&before)).collect()
}

/// Splits a list after its last comma.
fn last_item(current: &OsStr) -> (String, String) {
    let current = current.to_string_lossy();
    let at = current.rfind(',').map_or(0, |comma| comma + 1);
    let (before, last) = current.split_at_checked(at).unwrap_or(("", &current));
    (before.to_owned(), last.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(completer: &ArgValueCompleter, current: &str) -> Vec<String> {
        let offered = completer.complete(OsStr::new(current));
        offered.iter().map(|candidate| candidate.get_value().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn fields_are_offered_one_by_one_behind_the_last_comma() {
        let columns = fields(Kind::Fields);
        assert_eq!(offered(&columns, "tcp.rtt_u"), ["tcp.rtt_us"]);
        assert_eq!(offered(&columns, "local.port,tcp.rtt_u"), ["local.port,tcp.rtt_us"]);
        assert!(offered(&columns, "-tcp.rtt_u").is_empty());
        assert_eq!(offered(&fields(Kind::SortKeys), "local.port,-tcp.rtt_u"), ["local.port,-tcp.rtt_us"]);
    }

    #[test]
    fn states_and_operands_are_words_of_a_filter() {
        let filter = filter_words();
        assert_eq!(offered(&filter, "established"), ["established"]);
        assert_eq!(offered(&filter, "sport"), ["sport"]);
        assert!(offered(&filter, "").len() > 100);
        for short in ["rtt", "comm", "recv_q"] {
            assert!(offered(&filter, short).contains(&short.to_owned()), "{short}");
        }
        assert!(filter_word_list().contains(&"rtt".to_owned()));
    }

    #[test]
    fn lists_of_words_are_completed_at_their_end() {
        assert_eq!(offered(&words(&["tcp", "udp"], true), "tcp,u"), ["tcp,udp"]);
        assert!(offered(&words(&["tcp", "udp"], false), "tcp,u").is_empty());
        assert_eq!(offered(&namespaces(), "al"), ["all"]);
    }
}
