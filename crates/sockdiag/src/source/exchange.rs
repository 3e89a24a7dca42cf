//! One request and all replies to it.
//!
//! Replies of another exchange (with another sequence number, port, or sender) are skipped.
//! A failure carries its notice, and the ladder decides whether to give it.
//!
//! Source: netlink(7); ss's treatment of errors for inet tables: `NLMSG_ERROR` gives no
//! notice, a dump that ends in an error does.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use std::io;
use std::ops::ControlFlow;

use rustix::io::Errno;
use sockdiag_wire::errno::{EINVAL, EMSGSIZE, ENOENT, EOPNOTSUPP};
use sockdiag_wire::netlink::{
    ERROR_LEN, Message, NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, SOCK_DIAG_BY_FAMILY,
    error_code, ext_ack, messages,
};

use super::contract::{DumpErrorKind, Visit};
use crate::model::Window;
use crate::notice::Notice;
use crate::sys::netlink::{Datagram, Netlink, OpenStep, ReceiveError};

/// How often a dump is repeated if the table changes during it.
const REPEATS: u32 = 3;

/// How a successful dump ended.
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
    /// The reason.
    pub kind: DumpErrorKind,
    /// The notice about it, if there is one.
    pub notice: Option<Notice>,
}

impl Failure {
    /// Whether the kernel found the request malformed, as an older kernel does if the
    /// program has instructions that it does not know.
    pub(super) fn is_invalid(&self) -> bool {
        matches!(self.kind, DumpErrorKind::Kernel(EINVAL))
    }

    /// Whether no netlink socket could be opened, so that other requests would fail too.
    pub(super) fn is_of_socket(&self) -> bool {
        matches!(self.kind, DumpErrorKind::Socket(_))
    }
}

/// The error that a netlink socket could not be opened.
pub(super) fn open_failed(failed: (OpenStep, Errno)) -> Failure {
    Failure { kind: DumpErrorKind::Socket(failed.1.into()), notice: Some(open_notice(failed)) }
}

/// The notice for that error.
pub(crate) fn open_notice((step, error): (OpenStep, Errno)) -> Notice {
    let errno = error.raw_os_error();
    match step {
        OpenStep::Socket => Notice::SocketFailed { errno },
        OpenStep::SendBuffer => Notice::SendBufferFailed { errno },
        OpenStep::ReceiveBuffer => Notice::ReceiveBufferFailed { errno },
        OpenStep::Bind => Notice::BindSocketFailed { errno },
    }
}

/// Takes the payload of a message, and the window in which it was read.
pub(super) type Take<'t> = dyn FnMut(&[u8], Window) -> ControlFlow<()> + 't;

/// Sends a dump request and passes every reply's payload to `take`.
///
/// After a failure or a stop the socket may hold further replies, and the
/// kernel may refuse another dump on it: open a new one.
pub(super) fn exchange(
    socket: &mut Netlink,
    request: &[u8],
    seq: u32,
    take: &mut Take<'_>,
    notices: &mut dyn FnMut(Notice),
) -> Result<Ended, Failure> {
    socket
        .send(request)
        .map_err(|error| Failure { kind: receive_kind(error.raw_os_error()), notice: None })?;
    let port = socket.port();
    let mut ended = Ended { stopped: false, interrupted: false };
    let mut said_truncated = false;
    loop {
        let datagram = socket.receive().map_err(|error| match error {
            ReceiveError::Eof => Failure { kind: DumpErrorKind::Eof, notice: Some(Notice::Eof) },
            ReceiveError::Os(error) => {
                let errno = error.raw_os_error();
                Failure { kind: receive_kind(errno), notice: Some(Notice::ReceiveFailed { errno }) }
            }
        })?;
        if !datagram.from_kernel {
            continue;
        }
        if datagram.cut && !said_truncated {
            said_truncated = true;
            notices(Notice::MessageTruncated);
        }
        match read_datagram(&datagram, seq, port, &mut ended, take)? {
            ControlFlow::Continue(()) => {}
            ControlFlow::Break(()) => return Ok(ended),
        }
    }
}

/// Requests one socket and returns the kernel's reply with its window; `None` if there is
/// no such socket, or the request failed.
pub(super) fn ask_one(socket: &mut Netlink, request: &[u8], seq: u32) -> Option<(Vec<u8>, Window)> {
    socket.send(request).ok()?;
    let port = socket.port();
    loop {
        let datagram = socket.receive().ok()?;
        if !datagram.from_kernel {
            continue;
        }
        let answer =
            messages(datagram.bytes).find(|message| message.header.seq == seq && message.header.pid == port);
        match answer {
            Some(answer) if answer.header.kind == SOCK_DIAG_BY_FAMILY => {
                return Some((answer.payload.to_vec(), datagram.window));
            }
            None if !datagram.cut => {}
            _ => return None,
        }
    }
}

/// Receives the records of a dump, and notices about it.
pub(super) trait Consumer {
    /// The visitor of the records.
    fn visit(&mut self) -> &mut dyn Visit;
    /// Receives a notice.
    fn say(&mut self, notice: Notice);
}

impl Consumer for (&mut dyn Visit, &mut dyn FnMut(Notice)) {
    fn visit(&mut self) -> &mut dyn Visit {
        self.0
    }

    fn say(&mut self, notice: Notice) {
        (self.1)(notice);
    }
}

/// Makes a dump: returns how it ended and how many records it delivered.
///
/// A dump is repeated, up to [`REPEATS`] times, if the table changed while it was read, and
/// if it delivered nothing or its records can be replaced.  If a repetition fails before
/// its first record, the previous dump stands.  A notice is given at the end if the table
/// changed during the dump that stands.
///
/// ```text
/// the table changed | records | may_replace | what follows
/// no                | any     |             | the dump stands
/// yes               | none    |             | it is repeated
/// yes               | some    | true        | it is repeated; the new records replace the old
/// yes               | some    | false       | the dump stands, with a notice
/// (a repetition that failed without a record) | the dump before it stands
/// ```
pub(super) fn repeatedly<T: Consumer>(
    consumer: &mut T,
    mut dump: impl FnMut(&mut T) -> (Result<Ended, Failure>, u64),
) -> (Result<Ended, Failure>, u64) {
    consumer.visit().begin();
    let (mut result, mut rows) = dump(consumer);
    for _ in 0..REPEATS {
        let again = matches!(result, Ok(Ended { interrupted: true, stopped: false }));
        if !again || (rows > 0 && !consumer.visit().may_replace()) {
            break;
        }
        let repeated = dump(consumer);
        let failed = matches!(repeated, (Err(_), 0));
        consumer.visit().replaced(failed);
        if failed {
            break;
        }
        (result, rows) = repeated;
    }
    if matches!(result, Ok(Ended { interrupted: true, .. })) {
        consumer.say(Notice::DumpInterrupted);
    }
    (result, rows)
}

fn receive_kind(errno: i32) -> DumpErrorKind {
    DumpErrorKind::Receive(io::Error::from_raw_os_error(errno))
}

/// Reads the messages of one datagram; `Break` if the dump is over.
pub(super) fn read_datagram(
    datagram: &Datagram<'_>,
    seq: u32,
    port: u32,
    ended: &mut Ended,
    take: &mut Take<'_>,
) -> Result<ControlFlow<()>, Failure> {
    let mut rest = messages(datagram.bytes);
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
                if take(message.payload, datagram.window).is_break() {
                    ended.stopped = true;
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
    }
    match rest.remnant() {
        0 => {}
        _ if datagram.cut => {}
        bytes => {
            let kind = DumpErrorKind::Remnant { bytes };
            return Err(Failure { kind, notice: Some(Notice::Remnant { bytes }) });
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Reads the end of a dump, which may carry an error.
fn done(message: &Message<'_>) -> Result<(), Failure> {
    let Some(code) = error_code(message.payload) else {
        return Err(Failure { kind: DumpErrorKind::Kernel(0), notice: Some(Notice::DoneTruncated) });
    };
    if code >= 0 {
        return Ok(());
    }
    let errno = code.saturating_neg();
    let notice = match (errno, ext_ack(message).msg) {
        (ENOENT | EOPNOTSUPP, _) => None,
        (_, Some(text)) if !text.is_empty() => Some(Notice::Explained { text: text.to_vec() }),
        (EMSGSIZE, _) => Some(Notice::BufferTooSmall),
        _ => Some(Notice::Answer { errno }),
    };
    Err(Failure { kind: DumpErrorKind::Kernel(errno), notice })
}

/// Reads an error message; for inet tables it gives no notice.
fn refusal(message: &Message<'_>) -> Failure {
    match error_code(message.payload) {
        Some(code) if message.payload.len() >= ERROR_LEN => {
            Failure { kind: DumpErrorKind::Kernel(code.saturating_neg()), notice: None }
        }
        _ => Failure { kind: DumpErrorKind::Kernel(0), notice: Some(Notice::ErrorTruncated) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockdiag_wire::attr;
    use sockdiag_wire::netlink::{HEADER_LEN, Header, NLM_F_ACK_TLVS};

    const SEQ: u32 = 7;
    const PORT: u32 = 42;
    const WINDOW: Window = Window::new(3, 8);

    fn message(kind: u16, flags: u16, seq: u32, pid: u32, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Header { len: (HEADER_LEN + payload.len()) as u32, kind, flags, seq, pid }.encode(&mut out);
        out.extend_from_slice(payload);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }

    fn row(text: &[u8]) -> Vec<u8> {
        message(20, 2, SEQ, PORT, text)
    }

    /// The rows of a datagram, its result, and the notices about it.
    fn read(bytes: &[u8], cut: bool) -> (Vec<Vec<u8>>, Result<ControlFlow<()>, Failure>, Ended) {
        let mut rows = Vec::new();
        let mut ended = Ended { stopped: false, interrupted: false };
        let datagram = Datagram { bytes, from_kernel: true, cut, window: WINDOW };
        let mut take = |row: &[u8], at: Window| {
            assert_eq!(at, WINDOW);
            rows.push(row.to_vec());
            if row == b"stop" { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let flow = read_datagram(&datagram, SEQ, PORT, &mut ended, &mut take);
        (rows, flow, ended)
    }

    #[test]
    fn other_conversations_are_skipped() {
        let datagram = [
            row(b"one"),
            message(20, 2, SEQ + 1, PORT, b"other request"),
            message(20, 2, SEQ, PORT + 1, b"other socket"),
            message(NLMSG_DONE, 2, SEQ + 1, PORT, &[0; 4]),
            message(NLMSG_NOOP, 0, SEQ, PORT, b""),
            row(b"two"),
        ]
        .concat();
        let (rows, flow, ended) = read(&datagram, false);
        assert_eq!(rows, [b"one", b"two"]);
        assert!(matches!(flow, Ok(ControlFlow::Continue(()))));
        assert!(!ended.stopped && !ended.interrupted);
    }

    #[test]
    fn a_dump_ends_at_its_end_or_where_the_visitor_says() {
        let datagram = [row(b"one"), message(NLMSG_DONE, 2, SEQ, PORT, &[0; 4]), row(b"late")].concat();
        let (rows, flow, ended) = read(&datagram, false);
        assert_eq!(rows, [b"one"]);
        assert!(matches!(flow, Ok(ControlFlow::Break(()))) && !ended.stopped);
        let (rows, flow, ended) = read(&[row(b"stop"), row(b"late")].concat(), false);
        assert_eq!(rows, [b"stop"]);
        assert!(matches!(flow, Ok(ControlFlow::Break(()))) && ended.stopped);
    }

    #[test]
    fn an_interruption_on_any_message_counts() {
        let datagram = [row(b"one"), message(20, 2 | NLM_F_DUMP_INTR, SEQ, PORT, b"two")].concat();
        assert!(read(&datagram, false).2.interrupted);
    }

    #[test]
    fn failures_are_told_unless_they_mean_that_there_are_no_such_sockets() {
        let refused = |errno: i32, whole: bool| {
            let mut payload = (-errno).to_ne_bytes().to_vec();
            payload.resize(if whole { 20 } else { 19 }, 0);
            message(NLMSG_ERROR, 0, SEQ, PORT, &payload)
        };
        let done = |errno: i32, flags: u16, text: &[u8]| {
            let mut payload = (-errno).to_ne_bytes().to_vec();
            if !text.is_empty() {
                attr::put(&mut payload, 1, text);
            }
            message(NLMSG_DONE, flags, SEQ, PORT, &payload)
        };
        let text = b"Out of luck\0";
        for (datagram, errno, notice) in [
            (refused(2, true), 2, None),
            (refused(22, true), 22, None),
            (refused(22, false), 0, Some(Notice::ErrorTruncated)),
            (done(2, 0, b""), 2, None),
            (done(95, 0, b""), 95, None),
            (done(12, 0, b""), 12, Some(Notice::Answer { errno: 12 })),
            (done(90, 0, b""), 90, Some(Notice::BufferTooSmall)),
            (done(12, NLM_F_ACK_TLVS, text), 12, Some(Notice::Explained { text: b"Out of luck".to_vec() })),
            (done(2, NLM_F_ACK_TLVS, text), 2, None),
            (message(NLMSG_DONE, 0, SEQ, PORT, b"xyz"), 0, Some(Notice::DoneTruncated)),
        ] {
            let (rows, flow, _) = read(&[row(b"one"), datagram].concat(), false);
            assert_eq!(rows, [b"one"]);
            let failure = flow.expect_err("these are failures");
            assert!(matches!(failure.kind, DumpErrorKind::Kernel(got) if got == errno), "{failure:?}");
            assert_eq!(failure.notice, notice);
        }
    }

    #[test]
    fn stray_bytes_are_a_failure_unless_the_datagram_was_cut() {
        let mut datagram = row(b"one");
        datagram.extend([1, 2, 3]);
        let (rows, flow, _) = read(&datagram, false);
        assert_eq!(rows, [b"one"]);
        assert!(matches!(flow, Err(Failure { notice: Some(Notice::Remnant { bytes: 3 }), .. })));
        assert!(matches!(read(&datagram, true).1, Ok(ControlFlow::Continue(()))));
    }

    #[test]
    fn every_truncation_keeps_the_rows_before_it() {
        let datagram =
            [row(b"one"), row(b"two"), row(b"three"), message(NLMSG_DONE, 2, SEQ, PORT, &[0; 4])].concat();
        let ends = [19, 39, 61];
        for len in 0..datagram.len() {
            let (rows, ..) = read(datagram.get(..len).unwrap_or_default(), len % 2 == 0);
            assert_eq!(rows.len(), ends.iter().filter(|end| len >= **end).count(), "{len}");
        }
        let mut random = 1_u64;
        for _ in 0..20_000 {
            let mut damaged = datagram.clone();
            for _ in 0..3 {
                // xorshift
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let at = (random >> 32) as usize % damaged.len();
                if let Some(byte) = damaged.get_mut(at) {
                    *byte = random as u8;
                }
            }
            let (rows, ..) = read(&damaged, false);
            assert!(rows.iter().map(Vec::len).sum::<usize>() <= damaged.len());
        }
    }
}
