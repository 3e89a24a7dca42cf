//! How the program ends before there is anything to list.
//!
//! An [`Exit`] names the text that is asked for and does not make it: help and
//! manuals are made of the table of options, on which the command line itself
//! depends.  `last_words.rs` makes the texts.

use sockdiag::model::TableSet;
use sockdiag::sys::netns::EnterError;

use crate::words::reference;

/// The end of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Help was asked for.
    Help,
    /// The version was asked for.
    Version,
    /// The list of the fields that sockets of these tables, or of all, can report was
    /// asked for, by `--columns help`.
    Fields(Option<TableSet>),
    /// The JSON Schema was asked for.
    Schema,
    /// A document was asked for.
    Generate(Document),
    /// A wrong option: a message without its newline, which help follows.
    Usage(Vec<u8>),
    /// The same for an option that there is not.
    Unknown {
        /// The message.
        message: Vec<u8>,
        /// The option as typed: a letter, or a name with its dashes.
        option: String,
    },
    /// Any other end.
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
    /// The status of a listing without a socket, where it tells (`--exit-code`).
    pub(crate) const NONE_SHOWN: u8 = 1;

    /// An end without a word.
    pub(crate) fn silent(code: u8) -> Self {
        Self::Error { code, stderr: Vec::new() }
    }

    /// An error: `message` (without its newline) on stderr.
    pub(crate) fn error(code: u8, message: impl Into<Vec<u8>>) -> Self {
        let mut stderr = message.into();
        stderr.push(b'\n');
        Self::Error { code, stderr }
    }

    /// The same with more behind the message, which says nothing that scripts of the
    /// reference know.
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

    /// A wrong option: `message` and then the reference's help on stderr.
    pub(crate) fn usage(message: impl Into<Vec<u8>>) -> Self {
        Self::Usage(message.into())
    }
}

/// A namespace that is not there or may not be entered.
impl From<EnterError> for Exit {
    fn from(error: EnterError) -> Self {
        Self::error(1, reference::enter(&error))
    }
}

/// What `--generate` makes.
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
    /// Every document with its word.
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

    /// The document that a word stands for.
    pub(crate) fn by_name(word: &[u8]) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| name.as_bytes() == word).map(|(_, document)| *document)
    }
}

/// A message that quotes what the user wrote, whatever bytes that is.
pub(crate) fn quoting(before: &str, quoted: &[u8], after: &str) -> Vec<u8> {
    [before.as_bytes(), quoted, after.as_bytes()].concat()
}
