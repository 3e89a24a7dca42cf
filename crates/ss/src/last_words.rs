//! The last output of a program that exits before it lists anything.
//!
//! Only `main` writes them.

use std::ffi::OsString;

use sockdiag::fields::Catalog;
use sockdiag_guide::hints;
use sockdiag_render::{field_list, json};

use crate::cli::Exit;
use crate::{help, manual, terminal};

/// An exit status and the remaining output.
#[derive(Debug, Default)]
pub(crate) struct LastWords {
    /// Exit status.
    pub(crate) code: u8,
    /// Remaining output for stdout; may be empty.
    pub(crate) stdout: Vec<u8>,
    /// Remaining output for stderr; may be empty.
    pub(crate) stderr: Vec<u8>,
    /// Whether the text is ours: then a failed write is reported, which the reference does not
    /// do.
    pub(crate) is_ours: bool,
}

impl From<Exit> for LastWords {
    fn from(exit: Exit) -> Self {
        Self::new(exit, None)
    }
}

impl LastWords {
    /// Builds the remaining output.  `people` holds the words of the command line if a person
    /// reads the output: then the message comes last, where it is seen, with a suggestion.
    /// Otherwise stderr is the reference's.
    pub(crate) fn new(exit: Exit, people: Option<&[OsString]>) -> Self {
        match exit {
            Exit::Help => Self::asked(help::full()),
            Exit::Version => Self::asked(help::version()),
            Exit::Fields(tables) => {
                Self::ours(field_list::text(&Catalog::standard(), tables, terminal::width()))
            }
            Exit::Schema => Self::ours(json::schema::text(&Catalog::standard())),
            Exit::Generate(document) => Self::ours(manual::generate(document)),
            Exit::Usage(message) => Self::usage(&message, people.is_some()),
            Exit::Unknown { message, option } => {
                match hints::option(&option, people.unwrap_or_default()) {
                    // A near miss of one of our options gets a hint even in a pipe, after the
                    // reference's text.
                    Some((name, true, far)) if people.is_none() && far < 2 && option.len() > 5 => {
                        let mut usage = Self::usage(&message, false);
                        usage.stderr.extend(format!("ss: did you mean --{name}?\n").bytes());
                        usage
                    }
                    Some((name, is_ours, _)) if people.is_some() => {
                        let advice = format!("\n    did you mean --{name}?");
                        let message = [&*message, advice.as_bytes()].concat();
                        // The reference's help does not list our options.
                        let stderr = || [&*message, b"\n"].concat();
                        if is_ours {
                            Self { code: Exit::USAGE, stderr: stderr(), ..Self::default() }
                        } else {
                            Self::usage(&message, true)
                        }
                    }
                    _ => Self::usage(&message, people.is_some()),
                }
            }
            Exit::Error { code, stderr } => Self { code, stderr, ..Self::default() },
        }
    }

    /// A message and the reference's help; `message_last` decides their order.
    fn usage(message: &[u8], message_last: bool) -> Self {
        let help = help::reference();
        let stderr = if message_last {
            [help.as_bytes(), b"\n", message, b"\n"].concat()
        } else {
            [message, b"\n", help.as_bytes()].concat()
        };
        Self { code: Exit::USAGE, stderr, ..Self::default() }
    }

    /// A text that was asked for: it goes to stdout, and the status is 0.
    fn asked(text: String) -> Self {
        Self { stdout: text.into_bytes(), ..Self::default() }
    }

    /// The same for a text that the reference lacks.
    fn ours(text: String) -> Self {
        Self { is_ours: true, ..Self::asked(text) }
    }
}
