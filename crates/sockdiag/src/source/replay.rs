//! `TCPDIAG_FILE`: tcp sockets from a recording (`-D`) instead of the kernel.
//!
//! The file is read message by message: a header of 16 bytes, then the rest of its length,
//! rounded up to a multiple of four.  The first `NLMSG_DONE` ends it, so the IPv6 half of a
//! recording is not shown; any other type but an error is taken for a socket.
//!
//! A recording may come from anyone.  One message is held at a time, in a buffer of fixed
//! size, and a length that does not fit it is an error; the reference overruns its buffer
//! and crashes.
//!
//! Source: ss's behaviour; netlink(7).

#![allow(clippy::cast_possible_wrap, reason = "kernel integers are narrow; each cast is meant")]

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read};

use sockdiag_wire::attr;
use sockdiag_wire::bytes::u16_at;
use sockdiag_wire::inet_diag::MSG_LEN;
use sockdiag_wire::netlink::{ERROR_LEN, HEADER_LEN, Header, NLMSG_DONE, NLMSG_ERROR, error_code};

use super::contract::{DumpError, DumpErrorKind, LONGEST_MESSAGE, Query, Visit};
use crate::model::{Origin, Record, SourceKind};
use crate::notice::Notice;
use crate::sys::errno_of;

/// Passes every record of a recording to `visit`.
pub(super) fn replay(
    path: &OsStr,
    query: &Query,
    visit: &mut dyn Visit,
    notices: &mut dyn FnMut(Notice),
) -> Result<(), DumpError> {
    let mut replay = Replay { query, offset: 0, rows: 0 };
    let result = match File::open(path) {
        Ok(file) => replay.run(&mut BufReader::with_capacity(LONGEST_MESSAGE, file), visit, notices),
        Err(error) => {
            notices(Notice::RecordingOpen { errno: errno_of(&error) });
            Err(DumpErrorKind::File { path: path.into(), error })
        }
    };
    result.map_err(|kind| DumpError {
        request: format!("recording {}", path.display()),
        rows_delivered: replay.rows,
        kind,
    })
}

struct Replay<'q> {
    query: &'q Query,
    /// Bytes read.
    offset: u64,
    /// Records delivered.
    rows: u64,
}

impl Replay<'_> {
    fn run(
        &mut self,
        file: &mut dyn Read,
        visit: &mut dyn Visit,
        notices: &mut dyn FnMut(Notice),
    ) -> Result<(), DumpErrorKind> {
        let origin =
            Origin { services: self.query.services, ..Origin::of(self.query.table, SourceKind::Recording) };
        let mut buffer = vec![0; LONGEST_MESSAGE];
        loop {
            let begins = self.offset;
            let mut head = [0; HEADER_LEN];
            self.fill(file, &mut head, |errno| Notice::RecordingHeader { errno }, notices)?;
            let Some(header) = Header::parse(&head) else { return Err(DumpErrorKind::RecordingEof) };
            let length = header.len as usize;
            let damaged = DumpErrorKind::DamagedRecording { offset: begins, length: header.len };
            let Some(payload_len) = length.checked_sub(HEADER_LEN) else { return Err(damaged) };
            let padded = length.checked_next_multiple_of(4).unwrap_or(usize::MAX) - HEADER_LEN;
            let room = LONGEST_MESSAGE - HEADER_LEN;
            let Some(body) = buffer.get_mut(..padded).filter(|_| padded <= room) else { return Err(damaged) };
            self.fill(file, body, |errno| Notice::RecordingBody { errno }, notices)?;
            let payload = body.get(..payload_len).unwrap_or_default();
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
                    deficit(payload).into_iter().for_each(&mut *notices);
                    self.rows += 1;
                    if visit.record(Record { origin, bytes: payload }).is_break() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Reads exactly as many bytes as the buffer holds.
    fn fill(
        &mut self,
        file: &mut dyn Read,
        buffer: &mut [u8],
        failed: fn(i32) -> Notice,
        notices: &mut dyn FnMut(Notice),
    ) -> Result<(), DumpErrorKind> {
        self.offset += buffer.len() as u64;
        file.read_exact(buffer).map_err(|error| {
            if error.kind() == io::ErrorKind::UnexpectedEof {
                notices(Notice::RecordingEof);
                return DumpErrorKind::RecordingEof;
            }
            notices(failed(errno_of(&error)));
            DumpErrorKind::Receive(error)
        })
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
