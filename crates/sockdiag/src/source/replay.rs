//! `TCPDIAG_FILE`: tcp sockets from a recording (`-D`) instead of the kernel.
//!
//! The file is read message by message: a header of 16 bytes, then the rest of its length,
//! rounded up to a multiple of four.  The first `NLMSG_DONE` ends it, so the IPv6 half of a
//! recording is not shown; any other type but an error is taken for a socket.
//!
//! A recording may come from anyone.  It is read in pieces of fixed size, and a message that
//! is longer than the kernel's may be is an error; the reference overruns its buffer and
//! crashes.
//!
//! Source: ss's behaviour; netlink(7).

#![allow(clippy::cast_possible_wrap, reason = "kernel integers are narrow; each cast is meant")]

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;

use sockdiag_wire::attr;
use sockdiag_wire::bytes::u16_at;
use sockdiag_wire::inet_diag::MSG_LEN;
use sockdiag_wire::netlink::{ERROR_LEN, HEADER_LEN, Header, NLMSG_DONE, NLMSG_ERROR, error_code};

use super::contract::{DumpError, DumpErrorKind, LONGEST_MESSAGE, Query, Visit};
use crate::model::{Origin, Record, SourceKind};
use crate::notice::Notice;
use crate::sys::errno_of;

/// How much is read at once: more than a message may have.
const ROOM: usize = 2 * LONGEST_MESSAGE;

/// Passes every record of a recording to `visit`.
pub(super) fn replay(
    path: &OsStr,
    query: &Query,
    visit: &mut dyn Visit,
    notices: &mut dyn FnMut(Notice),
) -> Result<(), DumpError> {
    let mut rows = 0;
    let result = match File::open(path) {
        Ok(file) => run(query, &mut FileBuffer::new(file), &mut rows, visit, notices),
        Err(error) => {
            notices(Notice::RecordingOpen { errno: errno_of(&error) });
            Err(DumpErrorKind::File { path: path.into(), error })
        }
    };
    result.map_err(|kind| DumpError {
        request: format!("recording {}", path.display()),
        rows_delivered: rows,
        kind,
    })
}

/// Passes every record on, and counts them in `rows`.
fn run(
    query: &Query,
    file: &mut FileBuffer,
    rows: &mut u64,
    visit: &mut dyn Visit,
    notices: &mut dyn FnMut(Notice),
) -> Result<(), DumpErrorKind> {
    let origin = Origin { services: query.services, ..Origin::of(query.table, SourceKind::Recording) };
    let mut offset = 0;
    loop {
        let head = file.next(HEADER_LEN);
        let head = head.map_err(|error| ended(error, |errno| Notice::RecordingHeader { errno }, notices))?;
        let Some(header) = Header::parse(head) else { return Err(DumpErrorKind::RecordingEof) };
        let length = header.len as usize;
        let damaged = DumpErrorKind::DamagedRecording { offset, length: header.len };
        let Some(payload_len) = length.checked_sub(HEADER_LEN) else { return Err(damaged) };
        let padded = length.checked_next_multiple_of(4).unwrap_or(usize::MAX);
        if padded > LONGEST_MESSAGE {
            return Err(damaged);
        }
        let body = file.next(padded - HEADER_LEN);
        let body = body.map_err(|error| ended(error, |errno| Notice::RecordingBody { errno }, notices))?;
        let payload = body.get(..payload_len).unwrap_or_default();
        offset += padded as u64;
        match header.kind {
            NLMSG_DONE => return Ok(()),
            NLMSG_ERROR => {
                let errno = match error_code(payload) {
                    Some(code) if payload.len() >= ERROR_LEN => code.wrapping_neg(),
                    _ => {
                        notices(Notice::ErrorTruncated);
                        return Err(DumpErrorKind::Recorded(0));
                    }
                };
                notices(Notice::RecordingAnswer { errno });
                return Err(DumpErrorKind::Recorded(errno));
            }
            _ => {
                if let Some(notice) = deficit(payload) {
                    notices(notice);
                }
                *rows += 1;
                if visit.record(Record { origin, bytes: payload }).is_break() {
                    return Ok(());
                }
            }
        }
    }
}

/// Why reading ended before the message did, after its notice.
fn ended(error: io::Error, failed: fn(i32) -> Notice, notices: &mut dyn FnMut(Notice)) -> DumpErrorKind {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        notices(Notice::RecordingEof);
        return DumpErrorKind::RecordingEof;
    }
    notices(failed(errno_of(&error)));
    DumpErrorKind::Receive(error)
}

/// Reads a file through one buffer.
struct FileBuffer {
    file: File,
    buffer: Vec<u8>,
    /// The bytes that were read and not passed on.
    unread: Range<usize>,
}

impl FileBuffer {
    fn new(file: File) -> Self {
        Self { file, buffer: vec![0; ROOM], unread: 0..0 }
    }

    /// The next `count` bytes, which are no more than a message may have.
    #[inline]
    fn next(&mut self, count: usize) -> io::Result<&[u8]> {
        if self.unread.len() < count {
            self.read(count)?;
        }
        let start = self.unread.start;
        self.unread.start += count;
        Ok(self.buffer.get(start..start + count).unwrap_or_default())
    }

    /// Reads until `count` bytes are there.
    #[cold]
    fn read(&mut self, count: usize) -> io::Result<()> {
        self.buffer.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
        while self.unread.len() < count {
            match self.file.read(self.buffer.get_mut(self.unread.end..).unwrap_or_default()) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => self.unread.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The notice about bytes after the last attribute of a socket; `None` if the attributes
/// end where the message does.
///
/// The reference reads the attributes of a shown row twice, and gives the notice twice;
/// [`super::dump`] gives it once for every row.
pub fn deficit(payload: &[u8]) -> Option<Notice> {
    let Some(bytes) = payload.get(MSG_LEN..) else {
        return Some(Notice::Deficit { bytes: payload.len() as i64 - MSG_LEN as i64, attr_len: 0 });
    };
    let left = attr::unread(bytes);
    if left == 0 {
        return None;
    }
    let attr_len = u16_at(bytes, bytes.len() - left).unwrap_or(0);
    Some(Notice::Deficit { bytes: left as i64, attr_len })
}
