//! The outcome of a question: why it cannot be asked, and its result besides the rows.

use std::fmt;
use std::io;

use crate::fields::{ChoiceError, NameError};
use crate::filter::{Refused, Remark};
use crate::model::{Empty, Window};
use crate::notice::Notice;
use crate::source::{DumpError, RecordError};
use crate::sys::netns::EnterError;

/// The result of a question, besides the rows.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub struct Outcome {
    /// The number of rows that were passed on.
    pub rows: u64,
    /// When the poll was made.
    pub window: Window,
    /// Notices for users: processes that may not be inspected, lost replies, families that
    /// the kernel lacks.
    pub notices: Vec<Notice>,
    /// How many more notices there were than are kept.
    pub more_notices: u64,
    /// Tables that could not be read, or not to their end; for tables requested by name,
    /// `notices` says what the kernel lacks.
    pub failures: Vec<DumpError>,
}

impl Outcome {
    /// Whether every requested table was read to its end.
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty()
    }

    /// The number of rows, for callers that need every table.
    ///
    /// # Errors
    /// The first failure, if there is one.
    pub fn complete(mut self) -> Result<u64, DumpError> {
        if self.failures.is_empty() { Ok(self.rows) } else { Err(self.failures.swap_remove(0)) }
    }
}

/// The result of destroying a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It was destroyed: the processes that use it get `ECONNABORTED`.
    Destroyed,
    /// It had already ended; a socket that took its place is left alone.
    Gone,
    /// The kernel cannot destroy this socket: it is not from an inet table, or is a line of
    /// a recording or of /proc, or the kernel was built without `CONFIG_INET_DIAG_DESTROY`.
    Unsupported,
    /// The kernel refused (`EPERM` without `CAP_NET_ADMIN`), or the request could not be
    /// made.
    Refused(Notice),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Destroyed => f.pad("destroyed"),
            Self::Gone => f.pad("already gone"),
            Self::Unsupported => f.pad("the kernel cannot destroy it"),
            Self::Refused(notice) => write!(f, "refused: {notice}"),
        }
    }
}

/// Why a poll failed or was incomplete.
#[derive(Debug)]
#[non_exhaustive]
pub enum PollError<E> {
    /// The question cannot be asked any more: something that its filter names is gone.
    Ask(AskError),
    /// The sink's first error.
    Sink(E),
}

impl<E: fmt::Display> fmt::Display for PollError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ask(error) => error.fmt(f),
            Self::Sink(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for PollError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Ask(error) => Some(error),
            Self::Sink(error) => Some(error),
        }
    }
}

/// A question that cannot be asked.
///
/// An unreadable table is not an error but one of [`Outcome::failures`]: the other tables
/// are still read.
#[derive(Debug)]
#[non_exhaustive]
pub enum AskError {
    /// No socket can match: no table, family or state is left.
    Empty(Empty),
    /// A filter cannot be parsed; the text has a caret under the wrong word.
    Filter(Box<Refused>),
    /// Something that a filter names could not be looked up in the kernel.
    LookUp {
        /// What went wrong.
        notice: Notice,
        /// An error in the filter, in addition or as a consequence.
        filter: Option<Box<AskError>>,
    },
    /// A name to read matches no field, or several.
    Name(NameError),
    /// A name to order by cannot be used.
    Order(ChoiceError),
    /// A network namespace does not exist, or may not be entered.
    Namespace(EnterError),
    /// The only namespace of the question cannot be entered any more.
    Enter(io::Error),
    /// Destroying, following and recording work in one namespace only.
    SeveralNamespaces,
    /// Namespaces were combined with a recording or other files, which belong to none.
    FilesAndNamespaces,
    /// Destroying sockets needs a filter.
    DestroyWithoutFilter,
    /// The filter could have been meant in another way, so nothing is destroyed.
    DestroyInDoubt(Remark),
    /// Nothing to follow: the kernel only reports the end of TCP and UDP sockets.
    NothingToFollow,
    /// Only TCP sockets can be recorded.
    NothingToRecord,
    /// The kernel cannot be asked to destroy sockets.
    Destroy(Notice),
    /// The kernel's reports cannot be received, or no longer.
    Follow(DumpError),
    /// A recording could not be written, or not completely.
    Record(RecordError),
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty(empty) => empty.fmt(f),
            Self::Filter(refused) => write!(f, "{}\n{}", refused.error, refused.picture()),
            Self::Name(error) => error.fmt(f),
            Self::Order(error) => error.fmt(f),
            Self::Namespace(error) => error.fmt(f),
            Self::Enter(error) => write!(f, "cannot enter the network namespace: {error}"),
            Self::SeveralNamespaces => f.write_str("this works in only one network namespace at a time"),
            Self::FilesAndNamespaces => {
                f.write_str("files read in place of the kernel belong to no network namespace")
            }
            Self::DestroyWithoutFilter => f.write_str("destroying sockets needs a filter"),
            Self::DestroyInDoubt(remark) => write!(f, "nothing is closed: {remark}"),
            Self::NothingToFollow => f.write_str("only TCP and UDP sockets can be followed"),
            Self::NothingToRecord => f.write_str("only TCP sockets can be recorded"),
            Self::Destroy(notice) | Self::LookUp { notice, .. } => notice.fmt(f),
            Self::Follow(error) => error.fmt(f),
            Self::Record(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AskError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Enter(error) => Some(error),
            Self::Follow(error) => Some(error),
            Self::Record(error) => Some(error),
            _ => None,
        }
    }
}

impl From<EnterError> for AskError {
    fn from(error: EnterError) -> Self {
        Self::Namespace(error)
    }
}
