//! What a source is asked, who receives the records, and how a dump fails.
//!
//! Source: sock_diag(7), linux/inet_diag.h.

use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::sync::Arc;

use super::access::Access;
use crate::fields::Needs;
use crate::filter::{self, Dialect, Expr, Pinned};
use crate::model::{Family, FamilySet, Origin, Record, SourceKind, StateSet, Table, TableSet, Window};
use crate::notice::NoWalk;
use crate::sys::{self, clock, errno_text};

/// The longest message that a recording may hold, header included, in bytes.
pub const LONGEST_MESSAGE: usize = 16 * 1024;

/// Programs for the kernel to filter with, each a sequence of inet_diag bytecode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Programs {
    /// A program that may use every instruction; tried first.
    pub modern: Option<Vec<u8>>,
    /// A program with only the instructions that every kernel knows, used if the kernel
    /// answers `EINVAL` to the modern one.
    pub classic: Option<Vec<u8>>,
}

impl Programs {
    /// Programs that test as much of a filter as the kernel can.
    pub fn of(filter: Option<&Expr>) -> Self {
        let program = |dialect| filter.and_then(|filter| filter::program(filter, dialect));
        Self { modern: program(Dialect::Modern), classic: program(Dialect::Classic) }
    }
}

/// A query for one table, or for the tables of one family.
#[derive(Clone, Debug)]
pub struct Query {
    /// The table; for families whose tables are dumped together, any one of them.
    pub table: Table,
    /// All tables that are listed, for families whose tables are dumped together.
    pub tables: TableSet,
    /// The needs of the shown fields.
    pub needs: Needs,
    /// Whether rows are read only through fields whose needs are in `needs`, so that other
    /// parts of a reply may be missing.
    pub lean: bool,
    /// Families whose records are wanted.
    pub families: FamilySet,
    /// The last family option; if it is `inet` or `inet6`, only that family is requested.
    pub preferred: Option<Family>,
    /// States to request.
    pub states: StateSet,
    /// Attributes to request (`idiag_ext`): bit n-1 is attribute n.
    pub ext: u8,
    /// The filter for the kernel.
    pub programs: Programs,
    /// The only connection that the filter can match, if there is only one.  Its socket
    /// alone is requested where that certainly gives the same result as a dump.
    pub exact: Option<Exact>,
    /// A source to use instead of a dump, if it can answer.
    pub instead: Option<Arc<dyn Instead>>,
    /// The BPF maps whose values are wanted.
    pub storages: Storages,
    /// The protocol whose service names are used for the ports; 0 stands for any.
    pub services: u16,
}

impl Query {
    /// Every socket of a table, of both inet families and in every state, with the values
    /// that every reply has.
    pub fn of(table: Table) -> Self {
        Self {
            table,
            tables: TableSet::only(table),
            needs: Needs::NONE,
            lean: false,
            families: FamilySet::INET,
            preferred: None,
            states: StateSet::ALL,
            ext: 0,
            programs: Programs::default(),
            exact: None,
            instead: None,
            storages: Storages::None,
            services: table.services(),
        }
    }

    /// The name of the table in an error.
    pub(super) fn name(&self) -> String {
        format!("{:?} sockets", self.table).to_lowercase()
    }
}

/// A source that can replace a dump.
pub trait Instead: fmt::Debug + Send + Sync {
    /// Passes the records to `take` until it breaks; returns `false`, without any record,
    /// if only a dump can answer.
    ///
    /// # Errors
    /// Why not all records were passed on.
    fn tell(
        &self,
        query: &Query,
        access: &mut Access,
        take: &mut dyn FnMut(&[u8], Window) -> ControlFlow<()>,
    ) -> Result<bool, NoWalk>;
}

/// The origin of a message from this machine's kernel.
pub(super) fn live_origin(query: &Query) -> Origin {
    Origin { abi: sys::abi(), services: query.services, ..Origin::of(query.table, SourceKind::Kernel) }
}

/// Returns the origin of a line of /proc text, whose window begins with this call.
pub(super) fn text_origin(query: &Query) -> impl Fn() -> Origin + use<> {
    let begin = clock::now_ns();
    let origin = Origin { services: query.services, ..Origin::of(query.table, SourceKind::Proc) };
    move || Origin { window: Some(clock::since(begin)), ..origin }
}

/// One connection, and the interfaces on which to look for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exact {
    /// Its identity.
    pub pinned: Pinned,
    /// The interfaces that a socket may be bound to, by index; none of them is a routing
    /// domain.
    pub interfaces: Vec<u32>,
}

/// The BPF maps whose values a dump of inet sockets includes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Storages {
    /// No map.
    #[default]
    None,
    /// Every map of socket-local storage.
    All,
    /// These maps, by file descriptors that stay open during the dump.
    Of(Vec<RawFd>),
}

/// Receives the records of a dump.
pub trait Visit {
    /// Takes one record, whose bytes are only borrowed.  `Break` ends the dump at once,
    /// without an error.
    fn record(&mut self, record: Record<'_>) -> ControlFlow<()>;

    /// Called when a dump of the kernel begins.
    fn begin(&mut self) {}

    /// Called when the table changed during the dump.  `true` has the dump repeated: the
    /// visitor has passed on none of its records, so the following ones may replace them.
    fn may_replace(&mut self) -> bool {
        false
    }

    /// Called when a repeated dump has ended.  Its records count, or the previous ones if
    /// it `failed`.
    fn replaced(&mut self, failed: bool) {
        let _ = failed;
    }
}

impl<F: FnMut(Record<'_>) -> ControlFlow<()>> Visit for F {
    fn record(&mut self, record: Record<'_>) -> ControlFlow<()> {
        self(record)
    }
}

/// A table that could not be read, or not completely.
///
/// Notices about it have already been given.
#[derive(Debug)]
pub struct DumpError {
    /// What was requested, e.g. `tcp over inet6`.
    pub request: String,
    /// Records delivered before the failure.
    pub rows_delivered: u64,
    /// Why it stopped.
    pub kind: DumpErrorKind,
}

/// Why a dump stopped.
#[derive(Debug)]
#[non_exhaustive]
pub enum DumpErrorKind {
    /// The kernel answered with this error number; `ENOENT` means "no such protocol here".
    /// 0 if the answer was too short to hold a number.
    Kernel(i32),
    /// A netlink socket could not be opened.
    Socket(io::Error),
    /// A netlink socket was opened, but could not be bound.
    Bind(io::Error),
    /// Replies were lost or the socket failed (`ENOBUFS`: the kernel dropped some).
    Receive(io::Error),
    /// The kernel closed the netlink socket.
    Eof,
    /// A datagram ended in bytes that form no message.
    Remnant {
        /// How many bytes.
        bytes: usize,
    },
    /// A file could not be read.
    File {
        /// The file.
        path: PathBuf,
        /// The error.
        error: io::Error,
    },
    /// A line of a /proc file was too long or had no end.
    BadLine {
        /// The file.
        path: PathBuf,
        /// The line's number, counted from 1.
        line: u64,
    },
    /// A walk of the kernel's tables did not reach its end.
    Walk(NoWalk),
    /// A recording holds an error of the recorded kernel, by its number.
    Recorded(i32),
    /// A recording ended without an end marker, or inside a message.
    RecordingEof,
    /// A recording's message has an impossible length.  (The reference crashes.)
    DamagedRecording {
        /// Where the message begins in the file, in bytes.
        offset: u64,
        /// The length that it claims, in bytes.
        length: u32,
    },
}

impl DumpError {
    /// Whether another source may be tried: no record was delivered, which would otherwise
    /// come twice, and the failure was not broken bytes.
    pub fn may_fall_back(&self) -> bool {
        let is_sound =
            !matches!(self.kind, DumpErrorKind::Remnant { .. } | DumpErrorKind::DamagedRecording { .. });
        self.rows_delivered == 0 && is_sound
    }
}

impl fmt::Display for DumpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.request)?;
        let os = |error: &io::Error| errno_text(error.raw_os_error().unwrap_or(0));
        match &self.kind {
            DumpErrorKind::Kernel(errno) => write!(f, "the kernel refused: {}", errno_text(*errno))?,
            DumpErrorKind::Socket(error) => write!(f, "cannot open a netlink socket: {}", os(error))?,
            DumpErrorKind::Bind(error) => write!(f, "cannot bind the netlink socket: {}", os(error))?,
            DumpErrorKind::Receive(error) => write!(f, "cannot receive the kernel's replies: {}", os(error))?,
            DumpErrorKind::Eof => f.write_str("the kernel closed the netlink socket")?,
            DumpErrorKind::Remnant { bytes } => {
                write!(f, "a datagram has {bytes} bytes left after its last message")?;
            }
            DumpErrorKind::File { path, error } => write!(f, "{}: {}", path.display(), os(error))?,
            DumpErrorKind::BadLine { path, line } => {
                write!(f, "{}: line {line} is too long or has no newline", path.display())?;
            }
            DumpErrorKind::Walk(why) => write!(f, "the walk of its table ended early: {why}")?,
            DumpErrorKind::Recorded(errno) => write!(f, "recorded error: {}", errno_text(*errno))?,
            DumpErrorKind::RecordingEof => f.write_str("the recording is truncated")?,
            DumpErrorKind::DamagedRecording { offset, length } => {
                let longest = LONGEST_MESSAGE;
                write!(
                    f,
                    "damaged recording: the message at offset {offset} claims a length of {length} bytes, \
                     outside 16 to {longest}"
                )?;
            }
        }
        if self.rows_delivered > 0 {
            write!(f, " (after {} sockets)", self.rows_delivered)?;
        }
        Ok(())
    }
}

impl std::error::Error for DumpError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            DumpErrorKind::Socket(error)
            | DumpErrorKind::Bind(error)
            | DumpErrorKind::Receive(error)
            | DumpErrorKind::File { error, .. } => Some(error),
            _ => None,
        }
    }
}
