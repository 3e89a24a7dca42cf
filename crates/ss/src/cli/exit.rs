//! How the program exits before there is anything to list.
//!
//! An [`Exit`] names the text that was asked for but does not build it: help and manuals are
//! built from the table of options, which the command line itself depends on.  `last_words.rs`
//! builds the texts.

use sockdiag::model::TableSet;
use sockdiag::sys::netns::EnterError;

use crate::words::reference;

/// How the program exits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Help was asked for.
    Help,
    /// The version was asked for.
    Version,
    /// `--columns help` asked for the list of fields that sockets of these tables report;
    /// `None` stands for all tables.
    Fields(Option<TableSet>),
    /// The JSON Schema was asked for.
    Schema,
    /// A document was asked for.
    Generate(Document),
    /// An invalid option: a message without its newline, followed by the help.
    Usage(Vec<u8>),
    /// The same for an option that does not exist.
    Unknown {
        /// The message.
        message: Vec<u8>,
        /// The option as typed: a letter, or a name with its dashes.
        option: String,
    },
    /// Any other exit.
    Error {
        /// The exit status.
        code: u8,
        /// What is left to write to stderr, newlines included; may be empty.
        stderr: Vec<u8>,
    },
}

impl Exit {
    /// The status of every usage error: `exit(-1)`.
    pub(crate) const USAGE: u8 = 255;
    /// The status of a listing that showed no socket, under `--exit-code`.
    pub(crate) const NONE_SHOWN: u8 = 1;

    /// An exit that prints nothing.
    pub(crate) fn silent(code: u8) -> Self {
        Self::Error { code, stderr: Vec::new() }
    }

    /// An error: `message` (without its newline) on stderr.
    pub(crate) fn error(code: u8, message: impl Into<Vec<u8>>) -> Self {
        let mut stderr = message.into();
        stderr.push(b'\n');
        Self::Error { code, stderr }
    }

    /// The same with advice after the message.  The advice is ours, so scripts written for the
    /// reference do not know it.
    pub(crate) fn advised(mut self, advice: &str) -> Self {
        match &mut self {
            Self::Usage(message) => message.extend(advice.bytes()),
            Self::Error { stderr, .. } => {
                let newline = stderr.pop();
                stderr.extend(advice.bytes().chain(newline));
            }
            _ => {}
        }
        self
    }

    /// An invalid option: `message`, then the reference's help, on stderr.
    pub(crate) fn usage(message: impl Into<Vec<u8>>) -> Self {
        Self::Usage(message.into())
    }
}

/// A namespace that does not exist or may not be entered.
impl From<EnterError> for Exit {
    fn from(error: EnterError) -> Self {
        Self::error(1, reference::enter(&error))
    }
}

/// The document that `--generate` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Document {
    /// The manual page ss(8).
    Man,
    /// The manual page ss-filter(7).
    ManFilter,
    /// The manual page ss-fields(7).
    ManFields,
    /// The reference page of options.
    Options,
    /// The reference page of fields.
    Fields,
    /// Completions for bash.
    Bash,
    /// Completions for zsh.
    Zsh,
    /// Completions for fish.
    Fish,
}

impl Document {
    /// Every document with the word that selects it.
    pub(crate) const ALL: [(&str, Self); 8] = [
        ("man", Self::Man),
        ("man-filter", Self::ManFilter),
        ("man-fields", Self::ManFields),
        ("options", Self::Options),
        ("fields", Self::Fields),
        ("bash", Self::Bash),
        ("zsh", Self::Zsh),
        ("fish", Self::Fish),
    ];

    /// The document that a word selects.
    pub(crate) fn by_name(word: &[u8]) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| name.as_bytes() == word).map(|(_, document)| *document)
    }
}

/// A message that quotes what the user wrote, which may be any bytes.
pub(crate) fn quoting(before: &str, quoted: &[u8], after: &str) -> Vec<u8> {
    [before.as_bytes(), quoted, after.as_bytes()].concat()
}
