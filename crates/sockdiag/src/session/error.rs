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
    /// Rows handed over.
    pub rows: u64,
    /// The time in which the poll was made.
    pub window: Window,
    /// Notices for users: processes that may not be inspected, lost replies, families that
    /// the kernel lacks.
    pub notices: Vec<Notice>,
    /// How many more there were than are kept.
    pub more_notices: u64,
    /// Tables that could not be read, or not to their end; of those asked for
    /// one by one, `notices` says what the kernel would need.
    pub failures: Vec<DumpError>,
}

impl Outcome {
    /// Whether every table that was asked for was read to its end.
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty()
    }

    /// How many rows there were, for whom rows that lack a table are of no use.
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
    /// It was gone before; another one that took its place is left alone.
    Gone,
    /// The kernel cannot destroy such a socket: one that is not of an inet
    /// table, a line of a recording or of /proc, or any where the kernel was
    /// built without `CONFIG_INET_DIAG_DESTROY`.
    Unsupported,
    /// The kernel would not: `EPERM` without `CAP_NET_ADMIN`.  What else was
    /// in the way of asking is said so too.
    Refused(Notice),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Destroyed => f.pad("destroyed"),
            Self::Gone => f.pad("gone before"),
            Self::Unsupported => f.pad("cannot be destroyed"),
            Self::Refused(notice) => write!(f, "refused: {notice}"),
        }
    }
}

/// Why a poll came to nothing, or not to its end.
#[derive(Debug)]
#[non_exhaustive]
pub enum PollError<E> {
    /// The question cannot be asked any more: what its filter names is gone.
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
    /// A filter cannot be read; the text has a caret under the wrong word.
    Filter(Box<Refused>),
    /// The kernel cannot be asked about what a filter names.
    LookUp {
        /// The obstacle.
        notice: Notice,
        /// An error in the filter, besides or because of it.
        filter: Option<Box<AskError>>,
    },
    /// A name to read stands for no field, or for several.
    Name(NameError),
    /// A name to order by cannot be chosen.
    Order(ChoiceError),
    /// A network namespace is not there, or may not be entered.
    Namespace(EnterError),
    /// The one namespace that was asked for cannot be entered any more.
    Enter(io::Error),
    /// More than one namespace where sockets are destroyed, followed or recorded.
    SeveralNamespaces,
    /// Namespaces together with a recording or other files, which are of none.
    FilesAndNamespaces,
    /// Sockets are only destroyed by a filter.
    DestroyWithoutFilter,
    /// Sockets are not destroyed by a filter that may be meant in another way.
    DestroyInDoubt(Remark),
    /// The kernel reports only the end of TCP and UDP sockets.
    NothingToFollow,
    /// Only TCP sockets can be recorded.
    NothingToRecord,
    /// The kernel cannot be asked to destroy sockets.
    Destroy(Notice),
    /// The kernel cannot be listened to, or not any longer.
    Follow(DumpError),
    /// A recording could not be made, or not completely.
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
            Self::SeveralNamespaces => f.write_str("only in one network namespace at a time"),
            Self::FilesAndNamespaces => f.write_str("files in place of the kernel are of no namespace"),
            Self::DestroyWithoutFilter => f.write_str("sockets are only destroyed by a filter"),
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
