//! Families whose sockets come in one dump, with no other source.
//!
//! The families differ only in the request: replies and failures are handled alike.
//!
//! Source: sock_diag(7); ss's treatment of errors: unlike for inet tables they are
//! reported, unless the kernel does not know the family.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use std::ops::ControlFlow;

use sockdiag_wire::errno::{ENOENT, EOPNOTSUPP};
use sockdiag_wire::netlink::{Header, NLM_F_DUMP, NLM_F_REQUEST, SOCK_DIAG_BY_FAMILY};

use super::access::Access;
use super::contract::{DumpError, DumpErrorKind, Query, Visit, live_origin};
use super::exchange::{Consumer, Ended, Failure, Take, exchange, repeatedly};
use crate::model::{Origin, Record};
use crate::notice::Notice;

/// Sends a request with this body, and passes on the sockets that `wanted` accepts.
pub(super) fn dump(
    query: &Query,
    access: &mut Access,
    body: &[u8],
    wanted: impl Fn(&[u8]) -> bool,
    visit: &mut dyn Visit,
    notices: &mut dyn FnMut(Notice),
) -> Result<(), DumpError> {
    let origin = live_origin(query);
    let mut consumer = (visit, notices);
    let (result, rows_delivered) = repeatedly(&mut consumer, |(visit, notices)| {
        let mut rows = 0;
        let mut take = |bytes: &[u8], window| {
            if !wanted(bytes) {
                return ControlFlow::Continue(());
            }
            rows += 1;
            visit.record(Record { origin: Origin { window: Some(window), ..origin }, bytes })
        };
        let result = converse(access, body, &mut take, *notices);
        (result, rows)
    });
    match result {
        Ok(_) => Ok(()),
        Err(failure) => {
            if let Some(notice) = notice_of(&failure) {
                consumer.say(notice);
            }
            let request = format!("{} sockets", query.table.facts().title);
            Err(DumpError { request, rows_delivered, kind: failure.kind })
        }
    }
}

fn converse(
    access: &mut Access,
    body: &[u8],
    take: &mut Take<'_>,
    notices: &mut dyn FnMut(Notice),
) -> Result<Ended, Failure> {
    let mut socket = access.socket()?;
    socket.expect_long(false);
    let seq = socket.next_seq();
    let ended = exchange(&mut socket, &request(body, seq), seq, take, notices)?;
    if !ended.stopped {
        access.keep(socket);
    }
    Ok(ended)
}

fn request(body: &[u8], seq: u32) -> Vec<u8> {
    let len = (sockdiag_wire::netlink::HEADER_LEN + body.len()) as u32;
    let mut request = Vec::with_capacity(len as usize);
    Header { len, kind: SOCK_DIAG_BY_FAMILY, flags: NLM_F_REQUEST | NLM_F_DUMP, seq, pid: 0 }
        .encode(&mut request);
    request.extend_from_slice(body);
    request
}

/// The notice for a failure: a refusal is reported by its number, unless it means that
/// there are no such sockets here.
fn notice_of(failure: &Failure) -> Option<Notice> {
    match (&failure.notice, &failure.kind) {
        (Some(notice), _) => Some(notice.clone()),
        (None, DumpErrorKind::Kernel(errno)) if !matches!(*errno, ENOENT | EOPNOTSUPP) => {
            Some(Notice::Answer { errno: *errno })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_reported_unless_there_are_no_such_sockets() {
        for (errno, said) in [(2, None), (95, None), (22, Some(22)), (1, Some(1)), (0, Some(0))] {
            let failure = Failure { kind: DumpErrorKind::Kernel(errno), notice: None };
            assert_eq!(notice_of(&failure), said.map(|errno| Notice::Answer { errno }), "{errno}");
        }
        let explained = Failure { kind: DumpErrorKind::Kernel(2), notice: Some(Notice::ErrorTruncated) };
        assert_eq!(notice_of(&explained), Some(Notice::ErrorTruncated));
        assert_eq!(notice_of(&Failure { kind: DumpErrorKind::Eof, notice: None }), None);
    }

    #[test]
    fn a_request_is_a_header_and_its_body() {
        let bytes = request(&[40, 0, 0, 0], 7);
        let header = Header::parse(&bytes).expect("a header");
        assert_eq!((header.len, header.kind, header.flags, header.seq), (20, 20, 0x301, 7));
        assert_eq!(bytes[16..], [40, 0, 0, 0]);
    }
}
