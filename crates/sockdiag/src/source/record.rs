//! `-D FILE`: keeps the kernel's replies, to be read later.
//!
//! A recording is the datagrams as they came, each padded to a multiple of four bytes: the
//! messages of one dump, its `NLMSG_DONE`, then the same for the other family. Nothing is
//! filtered, and the two families are never read in one walk, so that the file is what the
//! reference would have written.
//!
//! Source: ss's behaviour (`-D`).

use std::fmt;
use std::io::{self, Write};
use std::ops::ControlFlow;

use super::access::Access;
use super::contract::{DumpErrorKind, Query, Storages};
use super::exchange::{Ended, Failure, read_datagram};
use super::ladder::Families;
use super::request::{by_family, legacy, legacy_type};
use crate::model::Family;
use crate::notice::Notice;
use crate::sys::errno_text;
use crate::sys::netlink::{Netlink, ReceiveError};

/// A recording that could not be made.
#[derive(Debug)]
pub enum RecordError {
    /// The kernel could not be asked, or its reply was incomplete; the part that came is in
    /// the file.
    Dump(DumpErrorKind),
    /// The file could not be written.
    Write(io::Error),
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dump(DumpErrorKind::Kernel(errno)) => {
                write!(f, "the kernel refused to list sockets: {}", errno_text(*errno))
            }
            Self::Dump(_) => f.write_str("the dump of sockets is incomplete"),
            Self::Write(error) => write!(f, "cannot write the recording: {error}"),
        }
    }
}

impl std::error::Error for RecordError {}

/// Writes all replies to the query's requests, family by family.  Programs and the shown
/// families are ignored; a preferred family is not.
///
/// # Errors
/// If the table could not be recorded completely.
pub fn record(
    query: &Query,
    access: &mut Access,
    out: &mut dyn Write,
    notices: &mut dyn FnMut(Notice),
) -> Result<(), RecordError> {
    let mut failure = match by_families(query, access, out) {
        Ok(()) => return out.flush().map_err(RecordError::Write),
        Err(failure) => failure,
    };
    if let Failed::Dump(Failure { notice, kind }) = &mut failure
        && !matches!(kind, DumpErrorKind::Socket(_))
    {
        notice.take().into_iter().for_each(&mut *notices);
        // Like the reference, tries the legacy request even after rows were written.
        if let Some(kind) = legacy_type(query) {
            failure = match access.socket().map_err(Failed::Dump).and_then(|mut socket| {
                let seq = SEQUENCE;
                one(&mut socket, &legacy(query, kind, None, seq), seq, out)
            }) {
                Ok(()) => return out.flush().map_err(RecordError::Write),
                Err(failure) => failure,
            };
        }
    }
    Err(match failure {
        Failed::Dump(Failure { kind, notice }) => {
            notice.into_iter().for_each(notices);
            RecordError::Dump(kind)
        }
        Failed::Write(error) => RecordError::Write(error),
    })
}

/// What went wrong with one request.
enum Failed {
    Dump(Failure),
    Write(io::Error),
}

/// The sequence number of every request, as in the reference's recordings.  Each request is
/// answered to the end before the next is sent.
const SEQUENCE: u32 = 123_456;

fn by_families(query: &Query, access: &mut Access, out: &mut dyn Write) -> Result<(), Failed> {
    let families = Families::preferred(query);
    let mut socket = access.socket().map_err(Failed::Dump)?;
    socket.expect_long(query.storages != Storages::None);
    for (wanted, family) in [(families.inet, Family::Inet), (families.inet6, Family::Inet6)] {
        if wanted {
            let seq = SEQUENCE;
            one(&mut socket, &by_family(query, family, None, seq), seq, out)?;
        }
    }
    Ok(())
}

/// Sends one request and writes every datagram until the dump has ended.
fn one(socket: &mut Netlink, request: &[u8], seq: u32, out: &mut dyn Write) -> Result<(), Failed> {
    let refused = |errno: i32| {
        let kind = DumpErrorKind::Receive(io::Error::from_raw_os_error(errno));
        Failed::Dump(Failure { kind, notice: Some(Notice::ReceiveFailed { errno }) })
    };
    socket.send(request).map_err(|error| refused(error.raw_os_error()))?;
    let port = socket.port();
    let mut ended = Ended { stopped: false, interrupted: false };
    loop {
        let datagram = socket.receive().map_err(|error| match error {
            ReceiveError::Eof => {
                Failed::Dump(Failure { kind: DumpErrorKind::Eof, notice: Some(Notice::Eof) })
            }
            ReceiveError::Os(error) => refused(error.raw_os_error()),
        })?;
        if !datagram.from_kernel {
            continue;
        }
        let padding = datagram.bytes.len().next_multiple_of(4) - datagram.bytes.len();
        out.write_all(datagram.bytes).map_err(Failed::Write)?;
        out.write_all([0; 3].get(..padding).unwrap_or_default()).map_err(Failed::Write)?;
        let mut take = |_: &[u8], _| ControlFlow::Continue(());
        let flow = read_datagram(&datagram, seq, port, &mut ended, &mut take);
        if flow.map_err(Failed::Dump)?.is_break() {
            return Ok(());
        }
    }
}
