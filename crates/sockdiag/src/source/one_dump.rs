//! Families whose sockets come in one dump and from nowhere else.
//!
//! The request differs by family; what the replies mean, and what is said of
//! a failure, does not.
//!
//! Source: sock_diag(7); ss's treatment of errors, which other than for inet
//! tables are reported unless the kernel does not know the family.

use std::ops::ControlFlow;

use sockdiag_wire::netlink::{Header, NLM_F_DUMP, NLM_F_REQUEST, SOCK_DIAG_BY_FAMILY};

use super::exchange::{Ended, Failure, Taker, exchange, open, repeatedly};
use super::{DumpError, DumpErrorKind, Query, Visit};
use crate::model::{Record, SourceKind};
use crate::notice::Notice;

const ENOENT: i32 = 2;
const EOPNOTSUPP: i32 = 95;

/// Asks for the sockets of a family by the body of a request, and hands on
/// those that `wanted` accepts.
pub(super) fn dump(
    query: &Query,
    body: &[u8],
    wanted: impl Fn(&[u8]) -> bool,
    visit: &mut dyn Visit,
    notices: &mut dyn FnMut(Notice),
) -> Result<(), DumpError> {
    let origin = super::live_origin(query.table, SourceKind::Kernel);
    let mut taker = (visit, notices);
    let (result, rows_delivered) = repeatedly(&mut taker, |(visit, notices)| {
        let mut rows = 0;
        let mut take = |bytes: &[u8]| {
            if !wanted(bytes) {
                return ControlFlow::Continue(());
            }
            rows += 1;
            visit.record(Record { origin, bytes })
        };
        let result = converse(body, &mut take, *notices);
        (result, rows)
    });
    match result {
        Ok(_) => Ok(()),
        Err(failure) => {
            if let Some(notice) = said_of(&failure) {
                taker.say(notice);
            }
            let request = format!("{} sockets", query.table.facts().title);
            Err(DumpError { request, rows_delivered, kind: failure.kind })
        }
    }
}

fn converse(
    body: &[u8],
    take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    notices: &mut dyn FnMut(Notice),
) -> Result<Ended, Failure> {
    let mut socket = open()?;
    let seq = socket.next_seq();
    exchange(&mut socket, &request(body, seq), seq, take, notices)
}

fn request(body: &[u8], seq: u32) -> Vec<u8> {
    let len = (sockdiag_wire::netlink::HEADER_LEN + body.len()) as u32;
    let mut request = Vec::with_capacity(len as usize);
    Header { len, kind: SOCK_DIAG_BY_FAMILY, flags: NLM_F_REQUEST | NLM_F_DUMP, seq, pid: 0 }
        .encode(&mut request);
    request.extend_from_slice(body);
    request
}

/// What the reference says of a failure: of a refusal its number, unless it
/// means that there are no such sockets here.
fn said_of(failure: &Failure) -> Option<Notice> {
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
            assert_eq!(said_of(&failure), said.map(|errno| Notice::Answer { errno }), "{errno}");
        }
        let explained = Failure { kind: DumpErrorKind::Kernel(2), notice: Some(Notice::ErrorTruncated) };
        assert_eq!(said_of(&explained), Some(Notice::ErrorTruncated));
        assert_eq!(said_of(&Failure { kind: DumpErrorKind::Eof, notice: None }), None);
    }

    #[test]
    fn a_request_is_a_header_and_its_body() {
        let bytes = request(&[40, 0, 0, 0], 7);
        let header = Header::parse(&bytes).expect("a header");
        assert_eq!((header.len, header.kind, header.flags, header.seq), (20, 20, 0x301, 7));
        assert_eq!(bytes[16..], [40, 0, 0, 0]);
    }
}
