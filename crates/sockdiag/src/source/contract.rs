//! What is asked of a source, who takes the records, and how a dump fails.
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
    /// One that may use every instruction; tried first.
    pub modern: Option<Vec<u8>>,
    /// One of the instructions that every kernel knows, for where the kernel
    /// answers `EINVAL` to the modern one.
    pub classic: Option<Vec<u8>>,
}

impl Programs {
    /// Those that test as much of a filter as the kernel can.
    pub fn of(filter: Option<&Expr>) -> Self {
        let program = |dialect| filter.and_then(|filter| filter::program(filter, dialect));
        Self { modern: program(Dialect::Modern), classic: program(Dialect::Classic) }
    }
}

/// What is asked of one table, or of the tables of one family.
#[derive(Clone, Debug)]
pub struct Query {
    /// The table; of a family whose tables are dumped together, any of them.
    pub table: Table,
    /// All tables that are listed, for families whose tables are dumped together.
    pub tables: TableSet,
    /// What the shown fields need.
    pub needs: Needs,
    /// Whether nothing is read of a row but by fields whose needs are in `needs`,
    /// so that the rest of a reply may be missing.
    pub lean: bool,
    /// Families whose records are wanted.
    pub families: FamilySet,
    /// The family option that was given last; `inet` or `inet6` here means
    /// that only this one is asked for.
    pub preferred: Option<Family>,
    /// States to ask for.
    pub states: StateSet,
    /// Attributes to ask for (`idiag_ext`): bit n-1 is attribute n.
    pub ext: u8,
    /// What the kernel filters by.
    pub programs: Programs,
    /// The only connection that can be wanted, if the filter leaves room for
    /// no other.  Then its socket alone is asked for, where that is certain
    /// to give what a dump would.
    pub exact: Option<Exact>,
    /// What tells of the sockets in place of a dump, if it can.
    pub instead: Option<Arc<dyn Instead>>,
    /// The BPF maps whose values are wanted.
    pub storages: Storages,
    /// The protocol whose service names the ports have; 0 for those of any.
    pub services: u16,
}

impl Query {
    /// Every socket of a table, of both inet families and in every state, with
    /// what is in every reply.
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

    /// What the table is called in an error.
    pub(super) fn name(&self) -> String {
        format!("{:?} sockets", self.table).to_lowercase()
    }
}

/// Another way to what a dump would bring.
pub trait Instead: fmt::Debug + Send + Sync {
    /// Hands the records to `take`, until that wants no more; `false`, with nothing
    /// handed over, where only a dump can tell.
    ///
    /// # Errors
    /// Why there are more records than were handed over.
    fn tell(
        &self,
        query: &Query,
        access: &mut Access,
        take: &mut dyn FnMut(&[u8], Window) -> ControlFlow<()>,
    ) -> Result<bool, NoWalk>;
}

/// Where a message of this machine's kernel comes from.
pub(super) fn live_origin(query: &Query) -> Origin {
    Origin { abi: sys::abi(), services: query.services, ..Origin::of(query.table, SourceKind::Kernel) }
}

/// Where a line of /proc text comes from that was read between now and then.
pub(super) fn text_origin(query: &Query) -> impl Fn() -> Origin + use<> {
    let begin = clock::now_ns();
    let origin = Origin { services: query.services, ..Origin::of(query.table, SourceKind::Proc) };
    move || Origin { window: Some(clock::since(begin)), ..origin }
}

/// One connection, and where to look for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exact {
    /// Its identity.
    pub pinned: Pinned,
    /// The interfaces that a socket may be bound to, by index; none of them a
    /// routing domain.
    pub interfaces: Vec<u32>,
}

/// The BPF maps whose values a dump of inet sockets brings along.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Storages {
    /// None is asked for.
    #[default]
    None,
    /// Every map of socket-local storage.
    All,
    /// These, by file descriptors that stay open during the dump.
    Of(Vec<RawFd>),
}

/// Takes the records of a dump.
pub trait Visit {
    /// Takes one record, whose bytes are only lent.  `Break` ends the dump
    /// there and then, without an error.
    fn record(&mut self, record: Record<'_>) -> ControlFlow<()>;

    /// A dump of the kernel begins.
    fn begin(&mut self) {}

    /// The table changed under the dump.  `true` asks for it again: none of
    /// its records went on from here, and those that follow may replace them.
    fn may_replace(&mut self) -> bool {
        false
    }

    /// The dump that was asked for again is over.  Its records stand, or those
    /// before it if it `failed`.
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
/// What there was to tell of it on the way has gone out as notices.
#[derive(Debug)]
pub struct DumpError {
    /// What was being asked for, e.g. `tcp over inet6`.
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
    /// The kernel answered with this error number; `ENOENT` means "no such
    /// protocol here".  0 where its answer was too short to hold one.
    Kernel(i32),
    /// A netlink socket could not be opened.
    Socket(io::Error),
    /// A netlink socket was there, but could not be bound.
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
        /// What happened.
        error: io::Error,
    },
    /// A line of a /proc file was too long or had no end.
    BadLine {
        /// The file.
        path: PathBuf,
        /// The line's number, counted from 1.
        line: u64,
    },
    /// A walk of the kernel's tables did not come to its end.
    Walk(NoWalk),
    /// A recording holds an error of the recorded kernel, by its number.
    Recorded(i32),
    /// A recording ended without saying so, or inside a message.
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
    /// Whether another source may stand in: no record was delivered, so none
    /// would come twice, and what was read was not broken bytes.
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
            DumpErrorKind::Socket(error) => write!(f, "no netlink socket: {}", os(error))?,
            DumpErrorKind::Bind(error) => write!(f, "the netlink socket was not bound: {}", os(error))?,
            DumpErrorKind::Receive(error) => write!(f, "replies were lost: {}", os(error))?,
            DumpErrorKind::Eof => f.write_str("the kernel closed the netlink socket")?,
            DumpErrorKind::Remnant { bytes } => write!(f, "a datagram ends in {bytes} stray bytes")?,
            DumpErrorKind::File { path, error } => write!(f, "{}: {}", path.display(), os(error))?,
            DumpErrorKind::BadLine { path, line } => {
                write!(f, "{}: line {line} is too long or has no end", path.display())?;
            }
            DumpErrorKind::Walk(why) => write!(f, "the walk of its table ended early: {why}")?,
            DumpErrorKind::Recorded(errno) => write!(f, "recorded error: {}", errno_text(*errno))?,
            DumpErrorKind::RecordingEof => f.write_str("the recording ends early")?,
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
