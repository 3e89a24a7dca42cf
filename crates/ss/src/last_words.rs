//! The texts with which the program ends before there is anything to list.
//!
//! Only `main` writes them.

use sockdiag::fields::Catalog;
use sockdiag_render::{field_list, json};

use crate::cli::Exit;
use crate::{help, manual, terminal};

/// An exit status and what is left to write.
#[derive(Debug, Default)]
pub(crate) struct LastWords {
    /// Exit status.
    pub(crate) code: u8,
    /// What is left to write to stdout; may be empty.
    pub(crate) stdout: Vec<u8>,
    /// What is left to write to stderr; may be empty.
    pub(crate) stderr: Vec<u8>,
    /// Whether the reference has no such text: then it is said where it cannot
    /// be written.
    pub(crate) is_ours: bool,
}

impl From<Exit> for LastWords {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Help => Self::asked(help::full()),
            Exit::Version => Self::asked(help::version()),
            Exit::Fields(tables) => {
                Self::ours(field_list::text(&Catalog::standard(), tables, terminal::width()))
            }
            Exit::Schema => Self::ours(json::schema::text(&Catalog::standard())),
            Exit::Generate(document) => Self::ours(manual::generate(document)),
            Exit::Usage(message) => {
                let stderr = [&*message, b"\n", help::reference().as_bytes()].concat();
                Self { code: Exit::USAGE, stderr, ..Self::default() }
            }
            Exit::Error { code, stderr } => Self { code, stderr, ..Self::default() },
        }
    }
}

impl LastWords {
    /// A text that was asked for: it goes to stdout, and the status is 0.
    fn asked(text: String) -> Self {
        Self { stdout: text.into_bytes(), ..Self::default() }
    }

    /// The same for a text that the reference lacks.
    fn ours(text: String) -> Self {
        Self { is_ours: true, ..Self::asked(text) }
    }
}
