//! One request and all replies to it.
//!
//! Replies of another conversation (another sequence number, port, or sender)
//! are skipped.  What the reference would print of a failure comes along with
//! it, for the ladder to say or to keep quiet about.
//!
//! Source: netlink(7); ss's treatment of errors for inet tables: every
//! `NLMSG_ERROR` is silent, a dump that ends in an error is not.

use std::io;
use std::ops::ControlFlow;

use sockdiag_wire::netlink::{
    Message, NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, error_code, ext_ack, messages,
};

use super::DumpErrorKind;
use crate::notes::Note;
use crate::sys::netlink::{Netlink, OpenStep, ReceiveError, Subsystem};

const ENOENT: i32 = 2;
const EMSGSIZE: i32 = 90;
const EOPNOTSUPP: i32 = 95;

/// How a dump that did not fail ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// Whether the visitor ended it.
    pub stopped: bool,
    /// Whether the table changed while it was read.
    pub interrupted: bool,
}

/// A dump that failed.
#[derive(Debug)]
pub(super) struct Failure {
    /// Why.
    pub kind: DumpErrorKind,
    /// What the reference says of it; `None` if it keeps quiet.
    pub note: Option<Note>,
}

impl Failure {
    /// Whether the kernel found the request malformed, as one of an older
    /// release does a program with instructions that it does not know.
    pub(super) fn is_invalid(&self) -> bool {
        matches!(self.kind, DumpErrorKind::Kernel(22))
    }
}

/// Opens a socket for inet tables.
pub(super) fn open() -> Result<Netlink, Failure> {
    Netlink::open(Subsystem::SockDiag).map_err(|(step, error)| {
        let errno = error.raw_os_error();
        let note = match step {
            OpenStep::Socket => Note::SocketFailed { errno },
            OpenStep::SendBuffer => Note::SendBufferFailed { errno },
            OpenStep::ReceiveBuffer => Note::ReceiveBufferFailed { errno },
            OpenStep::Bind => Note::BindSocketFailed { errno },
        };
        Failure { kind: DumpErrorKind::Socket(error.into()), note: Some(note) }
    })
}

/// Sends a dump request and hands every reply's payload to `take`.
///
/// After a failure or a stop the socket may hold further replies, and the
/// kernel may refuse another dump on it: open a new one.
pub(super) fn exchange(
    socket: &mut Netlink,
    request: &[u8],
    seq: u32,
    take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    notes: &mut dyn FnMut(Note),
) -> Result<Ended, Failure> {
    socket.send(request).map_err(|error| Failure { kind: receive_kind(error.raw_os_error()), note: None })?;
    let port = socket.port();
    let mut ended = Ended { stopped: false, interrupted: false };
    let mut said_truncated = false;
    loop {
        let datagram = socket.receive().map_err(|error| match error {
            ReceiveError::Eof => Failure { kind: DumpErrorKind::Eof, note: Some(Note::Eof) },
            ReceiveError::Os(error) => {
                let errno = error.raw_os_error();
                Failure { kind: receive_kind(errno), note: Some(Note::ReceiveFailed { errno }) }
            }
        })?;
        if !datagram.from_kernel {
            continue;
        }
        if datagram.cut && !said_truncated {
            said_truncated = true;
            notes(Note::MessageTruncated);
        }
        match read_datagram(datagram.bytes, datagram.cut, seq, port, &mut ended, take)? {
            ControlFlow::Continue(()) => {}
            ControlFlow::Break(()) => return Ok(ended),
        }
    }
}

fn receive_kind(errno: i32) -> DumpErrorKind {
    DumpErrorKind::Receive(io::Error::from_raw_os_error(errno))
}

/// Reads the messages of one datagram; `Break` if the dump is over.
pub(super) fn read_datagram(
    bytes: &[u8],
    cut: bool,
    seq: u32,
    port: u32,
    ended: &mut Ended,
    take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Failure> {
    let mut rest = messages(bytes);
    for message in rest.by_ref() {
        if message.header.seq != seq || message.header.pid != port {
            continue;
        }
        ended.interrupted |= message.header.flags & NLM_F_DUMP_INTR != 0;
        match message.header.kind {
            NLMSG_NOOP => {}
            NLMSG_DONE => return done(&message).map(ControlFlow::Break),
            NLMSG_ERROR => return Err(refusal(&message)),
            _ => {
                if take(message.payload).is_break() {
                    ended.stopped = true;
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
    }
    match rest.remnant() {
        0 => {}
        _ if cut => {}
        bytes => {
            let kind = DumpErrorKind::Remnant { bytes };
            return Err(Failure { kind, note: Some(Note::Remnant { bytes }) });
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// The end of a dump, which may carry an error.
fn done(message: &Message<'_>) -> Result<(), Failure> {
    let Some(code) = error_code(message.payload) else {
        return Err(Failure { kind: DumpErrorKind::Kernel(0), note: Some(Note::DoneTruncated) });
    };
    if code >= 0 {
        return Ok(());
    }
    let errno = code.saturating_neg();
    let note = match (errno, ext_ack(message).msg) {
        (ENOENT | EOPNOTSUPP, _) => None,
        (_, Some(text)) if !text.is_empty() => Some(Note::Explained { text: text.to_vec() }),
        (EMSGSIZE, _) => Some(Note::BufferTooSmall),
        _ => Some(Note::Answer { errno }),
    };
    Err(Failure { kind: DumpErrorKind::Kernel(errno), note })
}

/// A refusal, of which inet tables say nothing.
fn refusal(message: &Message<'_>) -> Failure {
    // An error number and the header of the request that it is about.
    const WHOLE: usize = 20;
    match error_code(message.payload) {
        Some(code) if message.payload.len() >= WHOLE => {
            Failure { kind: DumpErrorKind::Kernel(code.saturating_neg()), note: None }
        }
        _ => Failure { kind: DumpErrorKind::Kernel(0), note: Some(Note::ErrorTruncated) },
    }
}
