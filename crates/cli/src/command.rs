//! The command line: sub-commands, and which one was given.

use std::ffi::OsString;
use std::fmt::Write as _;

use clap::{ArgMatches, Command};

use crate::end::{End, STATUSES, Status};
use crate::{doctor, generate, top, wait, watch};

/// A sub-command.
pub(crate) struct Subcommand {
    /// Its words and their help.
    pub(crate) command: fn() -> Command,
    run: fn(&ArgMatches) -> Result<(), End>,
}

/// Every sub-command, in the order of help.
pub(crate) const SUBCOMMANDS: &[Subcommand] = &[
    Subcommand { command: top::command, run: top::run },
    Subcommand { command: watch::command, run: watch::run },
    Subcommand { command: wait::command, run: wait::run },
    Subcommand { command: doctor::command, run: doctor::run },
    Subcommand { command: generate::command, run: generate::run },
];

/// The whole command line.
pub(crate) fn command() -> Command {
    Command::new("sockdiag")
        .version(env!("CARGO_PKG_VERSION"))
        .about("What the kernel knows about its sockets, over time")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .max_term_width(100)
        .after_long_help(statuses())
        .subcommands(SUBCOMMANDS.iter().map(|known| (known.command)().after_long_help(statuses())))
}

/// The table of statuses, for help.
fn statuses() -> String {
    let mut text = String::from("Exit status:\n");
    for (status, doc) in STATUSES {
        let _ = writeln!(text, "  {:>3}  {doc}", *status as u8);
    }
    text
}

/// Does what the words ask for.
pub(crate) fn run(words: Vec<OsString>) -> End {
    // A doctor who was asked wrongly has seen nothing; his 2 says that something is critical.
    let is_doctor = words.get(1).is_some_and(|word| word == "doctor");
    let matches = match command().try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(told) => {
            let status = match told.use_stderr() {
                true if is_doctor => Status::Unseen,
                true => Status::Usage,
                false => Status::Done,
            };
            return match told.print() {
                Err(error) if status == Status::Done => End::unwritten(&error),
                // What goes to standard error has nobody left to tell if it fails.
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
    fn help_names_every_status() {
        let help = command().render_long_help().to_string();
        for (status, doc) in STATUSES {
            let first = doc.split([' ', '.']).next().expect("a word");
            assert!(help.contains(&format!("{:>3}  {first}", *status as u8)), "{status:?}: {help}");
        }
    }
}
