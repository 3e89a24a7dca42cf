//! The command line: sub-commands, and which one was given.

use std::ffi::OsString;

use clap::{ArgMatches, Command};

use crate::end::{End, Status, statuses};
use crate::output::is_open;
use crate::{doctor, generate, top, wait, watch};

/// A sub-command.
pub(crate) struct Subcommand {
    /// Its name, options and help.
    pub(crate) command: fn() -> Command,
    /// Command lines that the help shows, each with a description.
    pub(crate) examples: &'static [(&'static str, &'static str)],
    run: fn(&ArgMatches) -> Result<(), End>,
}

/// Every sub-command, in the order of help.
pub(crate) const SUBCOMMANDS: &[Subcommand] = &[
    Subcommand { command: top::command, examples: top::EXAMPLES, run: top::run },
    Subcommand { command: watch::command, examples: watch::EXAMPLES, run: watch::run },
    Subcommand { command: wait::command, examples: wait::EXAMPLES, run: wait::run },
    Subcommand { command: doctor::command, examples: doctor::EXAMPLES, run: doctor::run },
    Subcommand { command: generate::command, examples: generate::EXAMPLES, run: generate::run },
];

/// The whole command line.
pub(crate) fn command() -> Command {
    Command::new("sockdiag")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Track sockets over time: throughput, state changes, conditions and diagnoses")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .max_term_width(100)
        .after_help("For examples of a command, see sockdiag help COMMAND.")
        .after_long_help(format!(
            "For examples of a command, see sockdiag help COMMAND.\n\n{}",
            status_list(None)
        ))
        .subcommands(SUBCOMMANDS.iter().map(|known| {
            let command = (known.command)();
            let examples: Vec<String> =
                known.examples.iter().map(|(line, what)| format!("\n  {line}\n      {what}")).collect();
            let examples = examples.concat();
            let statuses = status_list(Some(command.get_name()));
            command.after_long_help(format!("Examples:{examples}\n\n{statuses}"))
        }))
}

/// The table of exit statuses, for the help text.
fn status_list(subcommand: Option<&str>) -> String {
    let statuses = statuses(subcommand);
    let lines: Vec<String> = statuses.iter().map(|(status, doc)| format!("\n  {status:>3}  {doc}")).collect();
    format!("Exit status:{}", lines.concat())
}

/// Runs the command line.
pub(crate) fn run(words: Vec<OsString>) -> End {
    // The doctor's status 2 means a critical finding, so its usage errors use another status.
    let is_doctor = words.get(1).is_some_and(|word| word == "doctor");
    let matches = match command().try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(told) => {
            let status = match told.use_stderr() {
                true if is_doctor => Status::Unseen,
                true => Status::Usage,
                false => Status::Done,
            };
            let printed = if told.use_stderr() { Ok(()) } else { is_open() };
            return match printed.and_then(|()| told.print()) {
                Err(error) if status == Status::Done => End::unwritten(&error),
                // An error on standard error cannot be reported anywhere.
                _ => End { code: status as u8, ..End::done() },
            };
        }
    };
    let Some((name, matches)) = matches.subcommand() else { return End::done() };
    match SUBCOMMANDS.iter().find(|known| (known.command)().get_name() == name) {
        Some(known) => (known.run)(matches).err().unwrap_or_else(End::done),
        None => End::done(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::end::STATUSES;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_option_is_explained() {
        for known in SUBCOMMANDS {
            let command = (known.command)();
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for arg in command.get_arguments() {
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.len() > 10, "{}: {}", command.get_name(), arg.get_id());
            }
        }
    }

    #[test]
    fn help_names_the_statuses_of_each_subcommand() {
        let whole = command().render_long_help().to_string();
        for known in STATUSES {
            let first: String = known.doc.chars().take(20).collect();
            assert!(whole.contains(&first), "{:?}: {whole}", known.status);
            for subcommand in command().get_subcommands() {
                let help = subcommand.clone().render_long_help().to_string();
                let has = help.contains(&first);
                assert_eq!(
                    has,
                    known.of.contains(&subcommand.get_name()),
                    "{}: {first}",
                    subcommand.get_name()
                );
            }
        }
    }

    /// Each example must be a valid command line with a valid filter.
    #[test]
    fn examples_are_right() {
        for known in SUBCOMMANDS {
            assert!(known.examples.len() > 1);
            let name = (known.command)().get_name().to_owned();
            for (line, what) in known.examples {
                assert!(
                    what.ends_with('.') && format!("{line} ").starts_with(&format!("sockdiag {name} ")),
                    "{line}: {what}"
                );
                let words = line.split('\'').enumerate().flat_map(|(at, part)| match at % 2 {
                    0 => part.split_whitespace().map(str::to_owned).collect(),
                    _ => vec![part.to_owned()],
                });
                let matches =
                    command().try_get_matches_from(words).unwrap_or_else(|why| panic!("{line}: {why}"));
                let (_, matches) = matches.subcommand().expect("one");
                if name != "generate" {
                    let mut asked =
                        crate::options::Asked::of(matches).unwrap_or_else(|end| panic!("{line}: {end:?}"));
                    let selected = crate::over_time::selected(&mut asked).expect("some sockets");
                    asked.netns = None;
                    let question = crate::question::question(&asked, selected, sockdiag::fields::Needs::NONE);
                    sockdiag::Session::open(question).unwrap_or_else(|why| panic!("{line}: {why}"));
                }
            }
        }
    }
}
