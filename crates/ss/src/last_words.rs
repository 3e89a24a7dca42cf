//! The texts with which the program ends before there is anything to list.
//!
//! Only `main` writes them.

use sockdiag::fields::Catalog;
use sockdiag_render::{columns, json};

use crate::cli::Exit;
use crate::{help, manual};

/// An exit status and what is left to write.
#[derive(Debug, Default)]
pub(crate) struct LastWords {
    /// Exit status.
    pub(crate) code: u8,
    /// What is left to write to stdout; may be empty.
    pub(crate) stdout: Vec<u8>,
    /// What is left to write to stderr; may be empty.
    pub(crate) stderr: Vec<u8>,
}

impl From<Exit> for LastWords {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Help => Self::asked(help::full()),
            Exit::Version => Self::asked(help::version()),
            Exit::Fields => Self::asked(columns::help(&Catalog::standard())),
            Exit::Schema => Self::asked(json::schema::text(&Catalog::standard())),
            Exit::Generate(document) => Self::asked(manual::generate(document)),
            Exit::Usage(message) => {
                let stderr = [&*message, b"\n", help::reference().as_bytes()].concat();
                Self { code: Exit::USAGE, stdout: Vec::new(), stderr }
            }
            Exit::Error { code, stderr } => Self { code, stdout: Vec::new(), stderr },
        }
    }
}

impl LastWords {
    /// A text that was asked for: it goes to stdout, and the status is 0.
    fn asked(text: String) -> Self {
        Self { stdout: text.into_bytes(), ..Self::default() }
    }
}
