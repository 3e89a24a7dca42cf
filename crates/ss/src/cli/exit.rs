//! How the program ends before there is anything to list.
//!
//! Texts are whole lines as they are written; only `main` writes them.

use sockdiag::sys::netns::EnterError;

use super::help;
use crate::words::reference;

/// The end of the program: its status and its last words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exit {
    /// Exit status.
    pub(crate) code: u8,
    /// What is left to write to stdout; may be empty.
    pub(crate) stdout: Vec<u8>,
    /// What is left to write to stderr; may be empty.
    pub(crate) stderr: Vec<u8>,
    /// Whether what goes to stdout is a form that the reference lacks: then it
    /// is said where that cannot be written.
    pub(crate) is_ours: bool,
}

impl Exit {
    /// The status of every usage error: `exit(-1)`.
    pub(crate) const USAGE: u8 = 255;

    /// An error: `message` (without its newline) on stderr.
    pub(crate) fn error(code: u8, message: impl Into<Vec<u8>>) -> Self {
        let mut stderr = message.into();
        stderr.push(b'\n');
        Self { code, stdout: Vec::new(), stderr, is_ours: false }
    }

    /// A wrong option: `message` and then the reference's help on stderr.
    pub(crate) fn usage(message: impl Into<Vec<u8>>) -> Self {
        let mut exit = Self::error(Self::USAGE, message);
        exit.stderr.extend(help::reference().bytes());
        exit
    }

    /// The end that was asked for (`-h`, `-V`): `text` on stdout, status 0.
    pub(crate) fn done(text: String) -> Self {
        Self { code: 0, stdout: text.into_bytes(), stderr: Vec::new(), is_ours: false }
    }

    /// The same for a text that the reference lacks.
    pub(crate) fn ours(text: String) -> Self {
        Self { is_ours: true, ..Self::done(text) }
    }
}

/// A namespace that is not there or may not be entered.
impl From<EnterError> for Exit {
    fn from(error: EnterError) -> Self {
        Self::error(1, reference::enter(&error))
    }
}

/// A message that quotes what the user wrote, whatever bytes that is.
pub(crate) fn quoting(before: &str, quoted: &[u8], after: &str) -> Vec<u8> {
    [before.as_bytes(), quoted, after.as_bytes()].concat()
}
