//! The options that `sockdiag` shares with `ss`, as clap arguments made from the table in
//! `sockdiag-options`.
//!
//! Invariant: options act in the order in which they were given, as in `ss`: `-A` discards the
//! tables chosen before it.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use clap::builder::NonEmptyStringValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint, value_parser};
use sockdiag::model::{BadState, Family, Selection, StateSet, Table};
use sockdiag_guide::hints;
use sockdiag_options::{EXCLUDE, Key, Kind, OPTIONS, Opt, STATE, Topic, option};

use crate::complete;
use crate::end::End;
use crate::question;

/// The name of the argument that contains the filter's words.
pub(crate) const FILTER: &str = "FILTER";

/// The second option that selects a separated format; the first is `csv`.
const TSV: &str = "tsv";

/// The short help text of the filter.
const FILTER_HELP: &str =
    "Sockets to select, in the filter language of ss: 'sport = :8080', 'dst 10.0.0.0/8 and rtt > 5ms'";
/// The long help text of the filter.
const FILTER_DOC: &str = "Sockets to select, in the filter language of ss: first states (state \
    established, exclude \
    time-wait), then conditions such as 'sport = :8080', 'dst 10.0.0.0/8' or 'rtt > 5ms and comm = nginx'.  \
    Any field can be tested by its name.  `sockdiag generate man filter` describes the language, `sockdiag \
    generate man fields` the fields.";

/// Whether an option selects sockets or network namespaces.
fn selects(option: &Opt) -> bool {
    // -N would move the whole program into a namespace, which --netns makes unnecessary.
    matches!(option.topic, Topic::Selection) || option.key == Key::Netns
}

/// Whether a selecting option selects states.
fn selects_states(option: &Opt) -> bool {
    matches!(option.key, Key::All | Key::Listening | Key::BoundInactive)
}

/// Adds the filter and the options that select sockets, those that select states only if
/// `states`.
pub(crate) fn with_selection(command: Command, states: bool) -> Command {
    let wanted = |option: &&Opt| selects(option) && (states || !selects_states(option));
    let options = OPTIONS.iter().filter(wanted).map(|option| {
        let heading = if option.key == Key::Netns { "Namespaces" } else { "Socket selection" };
        arg(option).help_heading(heading)
    });
    command.args(options).arg(
        Arg::new(FILTER)
            .help(FILTER_HELP)
            .long_help(FILTER_DOC)
            .num_args(0..)
            .value_parser(value_parser!(OsString))
            .add(complete::filter_words()),
    )
}

/// A clap argument for an option of the table.
pub(crate) fn arg(option: &'static Opt) -> Arg {
    let mut names = option.long.iter();
    let mut letters = option.short.chars();
    let first = names.next().copied().unwrap_or_default();
    let help = if option.help.is_empty() { first_sentence(option.doc) } else { option.help };
    let mut arg = Arg::new(first)
        .long(first)
        .visible_aliases(names.copied())
        .help(help)
        .long_help(option.doc)
        .action(ArgAction::Append);
    if let Some(letter) = letters.next() {
        arg = arg.short(letter).visible_short_aliases(letters);
    }
    if option.key == Key::Csv {
        arg = arg.conflicts_with(TSV);
    }
    let Some(argument) = option.argument else {
        // Append, so that clap records the position of each use.
        return arg.num_args(0).value_parser(value_parser!(bool)).default_missing_value("true");
    };
    arg = arg.value_name(argument.shown);
    match argument.kind {
        // A negative number is then rejected as a number, not as an option.
        Kind::Number => {
            arg.value_parser(value_parser!(u64)).action(ArgAction::Set).allow_negative_numbers(true)
        }
        Kind::Fields | Kind::SortKeys => arg
            .value_parser(NonEmptyStringValueParser::new())
            .action(ArgAction::Set)
            // A - before a name reverses the order.
            .allow_hyphen_values(argument.kind == Kind::SortKeys)
            .add(complete::fields(argument.kind)),
        Kind::File => {
            arg.value_parser(value_parser!(OsString)).action(ArgAction::Set).value_hint(ValueHint::FilePath)
        }
        Kind::Namespace | Kind::Namespaces(_) | Kind::Word(_) | Kind::Words(_) => {
            let arg = arg.value_parser(value_parser!(OsString));
            match option.key {
                Key::Netns => arg.action(ArgAction::Set).add(complete::namespaces()),
                Key::Query => arg.add(complete::words(argument.kind.words(), true)),
                _ => arg.add(complete::words(argument.kind.words(), false)),
            }
        }
    }
}

fn first_sentence(doc: &'static str) -> &'static str {
    doc.split_once(". ").map_or(doc, |(first, _)| first).trim_end_matches('.')
}

/// The sockets that the command line selects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// Tables, families and states.
    pub(crate) selection: Selection,
    /// Whether a table was named, or a family that implies tables.
    pub(crate) names_tables: bool,
    /// Whether an option or a word chose states.
    pub(crate) names_states: bool,
    /// Whether a filter of only a port would mean a listener's port.
    pub(crate) is_about_listeners: bool,
    /// Network namespaces.
    pub(crate) netns: Option<OsString>,
    /// The words of the filter, without leading state words.
    pub(crate) words: Vec<Vec<u8>>,
    /// The content of the filter file.
    pub(crate) file: Option<Vec<u8>>,
}

impl Asked {
    /// Reads the options in the order in which they were given.
    ///
    /// # Errors
    /// Words that cannot be parsed, and a file that cannot be read.
    pub(crate) fn of(matches: &ArgMatches) -> Result<Self, End> {
        let mut given: Vec<(usize, Key, OsString)> = Vec::new();
        for option in OPTIONS.iter().filter(|option| selects(option)) {
            let Some(name) = option.long.first() else { continue };
            // Not every sub-command has the options that select states.
            if !matches!(matches.try_contains_id(name), Ok(true)) {
                continue;
            }
            let Some(places) = matches.indices_of(name) else { continue };
            if option.argument.is_none() {
                given.extend(places.map(|place| (place, option.key, OsString::new())));
            } else if let Some(values) = matches.get_many::<OsString>(name) {
                given.extend(places.zip(values).map(|(place, value)| (place, option.key, value.clone())));
            }
        }
        given.sort_by_key(|(place, ..)| *place);
        let mut asked = Self::default();
        for (_, key, argument) in given {
            asked.apply(key, argument)?;
        }
        let words = matches.get_many::<OsString>(FILTER).into_iter().flatten();
        asked.words = words.map(|word| word.as_bytes().to_vec()).collect();
        asked.take_state_words()?;
        question::refuse_unknown_fields(&asked.words)?;
        Ok(asked)
    }

    /// Whether there is a filter.
    pub(crate) fn has_filter(&self) -> bool {
        !self.words.is_empty() || self.file.is_some()
    }

    /// The same sockets with the filter of a line: leading state words, then the filter.
    ///
    /// # Errors
    /// If a state is unknown.
    pub(crate) fn filtered(&self, line: &str) -> Result<Self, End> {
        let mut rest = line.trim();
        let mut words: Vec<Vec<u8>> = Vec::new();
        while let Some((word, behind)) = rest.split_once(' ') {
            if !STATE.is(word.as_bytes()) && !EXCLUDE.is(word.as_bytes()) {
                break;
            }
            let behind = behind.trim_start();
            let (state, behind) = behind.split_once(' ').unwrap_or((behind, ""));
            words.extend([word, state].map(|word| word.as_bytes().to_vec()));
            rest = behind.trim_start();
        }
        words.extend((!rest.is_empty()).then(|| rest.as_bytes().to_vec()));
        let mut asked = Self { words, file: None, ..self.clone() };
        asked.take_state_words()?;
        question::refuse_unknown_fields(&asked.words)?;
        Ok(asked)
    }

    fn apply(&mut self, key: Key, argument: OsString) -> Result<(), End> {
        let inet = key == Key::Family && matches!(argument.as_bytes(), b"inet" | b"inet6");
        self.names_tables |= !inet
            && !matches!(
                key,
                Key::Ipv4
                    | Key::Ipv6
                    | Key::All
                    | Key::Listening
                    | Key::BoundInactive
                    | Key::Netns
                    | Key::Filter
            );
        let selection = &mut self.selection;
        match key {
            Key::All => self.states(StateSet::ALL),
            Key::Listening => self.states(StateSet::LISTENING),
            Key::BoundInactive => self.states(StateSet::BOUND_INACTIVE),
            Key::Ipv4 => selection.add_family(Family::Inet),
            Key::Ipv6 => selection.add_family(Family::Inet6),
            Key::Packet => selection.add_family(Family::Packet),
            Key::Unix => selection.add_family(Family::Unix),
            Key::Tipc => selection.add_family(Family::Tipc),
            Key::Vsock => selection.add_family(Family::Vsock),
            Key::Xdp => selection.add_family(Family::Xdp),
            Key::Smc => selection.add_family(Family::Smc),
            Key::Tcp => selection.add_table(Table::Tcp),
            Key::Mptcp => selection.add_table(Table::Mptcp),
            Key::Sctp => selection.add_table(Table::Sctp),
            Key::Udp => selection.add_table(Table::Udp),
            Key::Raw => selection.add_table(Table::Raw),
            Key::Dccp => selection.add_table(Table::Dccp),
            Key::UdpLite => selection.add_table(Table::UdpLite),
            Key::Family | Key::Query if argument == "help" => {
                let words = option(key).argument.map_or(&[][..], |argument| argument.kind.words());
                return Err(End::listed(format!("{}\n", words.join("\n"))));
            }
            Key::Family => {
                let wrong = || {
                    End::usage(format!(
                        "there is no address family \"{}\": -f help lists them",
                        argument.display()
                    ))
                };
                selection.add_family(Family::by_name(argument.as_bytes()).ok_or_else(wrong)?);
            }
            Key::Query => selection.query(argument.as_bytes()).map_err(|bad| End::usage(bad.to_string()))?,
            Key::Netns => self.netns = Some(argument),
            Key::Filter => self.file = Some(read_file(argument)?),
            // No other option selects sockets.
            _ => {}
        }
        Ok(())
    }

    fn states(&mut self, states: StateSet) {
        self.selection.request(states);
        self.names_states = true;
    }

    /// Moves leading `state X` and `exclude X` from the filter to the selection.
    fn take_state_words(&mut self) -> Result<(), End> {
        let mut taken = 0;
        while let Some(word) = self.words.get(taken) {
            let add: fn(&mut Selection, &[u8]) -> Result<(), BadState> = match word {
                word if STATE.is(word) => Selection::state_word,
                word if EXCLUDE.is(word) => Selection::exclude_word,
                _ => break,
            };
            let word = String::from_utf8_lossy(word);
            let name = self.words.get(taken + 1);
            let name =
                name.ok_or_else(|| End::usage(format!("{word:?} must be followed by the name of a state")))?;
            add(&mut self.selection, name).map_err(|bad| {
                End::usage(format!("{bad}{}", hints::states(&crate::question::words(self))))
            })?;
            self.names_states = true;
            taken += 2;
        }
        self.words.drain(..taken);
        Ok(())
    }
}

/// The content of a file; `-` is standard input.
fn read_file(name: OsString) -> Result<Vec<u8>, End> {
    let read = if name == "-" {
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut text).map(|_| text)
    } else {
        std::fs::read(&name)
    };
    let name = String::from_utf8_lossy(&name.into_vec()).into_owned();
    read.map_err(|error| End::usage(format!("cannot read the filter file {name:?}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockdiag::model::Selected;

    fn asked(words: &[&str]) -> Result<Asked, End> {
        let command = with_selection(Command::new("test").no_binary_name(true), true);
        Asked::of(&command.try_get_matches_from(words).unwrap_or_else(|error| panic!("{error}")))
    }

    fn selected(words: &[&str]) -> Selected {
        asked(words).expect("it makes sense").selection.resolve().expect("something is left")
    }

    #[test]
    fn options_act_in_their_order() {
        assert!(selected(&["-u", "-A", "tcp"]).tables.iter().eq([Table::Tcp]));
        assert_eq!(selected(&["-A", "tcp", "-u"]).tables.iter().count(), 2);
        assert_eq!(selected(&["-4", "-6", "-t"]).preferred, Some(Family::Inet6));
        assert_eq!(selected(&["-6", "-4", "-t"]).preferred, Some(Family::Inet));
        assert_eq!(selected(&["-t", "-a", "-l"]).states, StateSet::LISTENING);
        assert_eq!(selected(&["-tt", "--tcp"]).tables, selected(&["-t"]).tables);
        assert_eq!(selected(&["--socket", "udp"]).tables, selected(&["-u"]).tables);
    }

    #[test]
    fn every_option_of_the_table_chooses_something() {
        let nothing = format!("{:?}", Asked::default());
        for option in OPTIONS.iter().filter(|option| selects(option)) {
            let file = "/dev/null";
            let value = match option.argument.map(|argument| argument.kind) {
                None => None,
                Some(Kind::File) => Some(file),
                Some(kind) => Some(kind.words()[1]),
            };
            let name = format!("--{}", option.long[0]);
            let words: Vec<&str> = [name.as_str()].into_iter().chain(value).collect();
            let asked = asked(&words).unwrap_or_else(|end| panic!("{words:?}: {end:?}"));
            assert_ne!(format!("{asked:?}"), nothing, "{words:?}");
        }
    }

    #[test]
    fn words_of_states_come_before_the_filter() {
        let asked = asked(&["-t", "state", "established", "exclude", "listening", "sport", "=", ":1"]);
        let asked = asked.expect("it makes sense");
        assert_eq!(asked.words, [&b"sport"[..], b"=", b":1"]);
        assert!(asked.names_states && asked.has_filter());
        for wrong in
            [&["state"][..], &["state", "open"], &["-A", "tpc"], &["-f", "inte"], &["-F", "/nowhere"]]
        {
            assert_eq!(super::tests::asked(wrong).expect_err("nonsense").code, 2, "{wrong:?}");
        }
    }
}
