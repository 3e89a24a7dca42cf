//! Writes standard output within a time limit.
//!
//! A pipe whose reader is stopped accepts nothing; a user who set a timeout must not wait
//! longer because of that.

use std::io;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::{stderr, stdout};

use crate::sys;

/// How many bytes a ready pipe accepts without blocking (`PIPE_BUF`).
const PIECE: usize = 4096;

/// The output stream of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// Writes all bytes, or fails with `TimedOut` at `end`; without an `end` it waits as long as
/// necessary.
///
/// # Errors
/// If the bytes cannot be written.
pub(crate) fn write_by(stream: Stream, bytes: &[u8], end: Option<Instant>) -> io::Result<()> {
    if stream == Stream::Out {
        is_open()?;
    }
    for mut piece in bytes.chunks(PIECE) {
        while !piece.is_empty() {
            if !is_ready(stream, end)? {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the reader has stopped reading"));
            }
            let written = match stream {
                Stream::Out => rustix::io::retry_on_intr(|| rustix::io::write(stdout(), piece))?,
                Stream::Err => rustix::io::retry_on_intr(|| rustix::io::write(stderr(), piece))?,
            };
            piece = piece.get(written..).unwrap_or_default();
        }
    }
    Ok(())
}

/// Fails if there is no standard output.
///
/// # Errors
/// If standard output was closed.
pub(crate) fn is_open() -> io::Result<()> {
    if sys::is_output_closed() { Err(rustix::io::Errno::BADF.into()) } else { Ok(()) }
}

/// Waits until the stream accepts bytes; false at `end`.
fn is_ready(stream: Stream, end: Option<Instant>) -> io::Result<bool> {
    loop {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        let descriptor = match stream {
            Stream::Out => stdout(),
            Stream::Err => stderr(),
        };
        let mut ready = [PollFd::from_borrowed_fd(descriptor, PollFlags::OUT)];
        match poll(&mut ready, timeout.as_ref()) {
            Ok(0) if left.is_some_and(|left| left.is_zero()) => return Ok(false),
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            // Also if the stream reports an error: the write will return it.
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

/// How long the output may block after an answer was found, even if the timeout was shorter.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// Writes all bytes to standard output, however long that takes.
///
/// # Errors
/// If they cannot be written.
pub(crate) fn write_all(bytes: &[u8]) -> io::Result<()> {
    io::Write::write_all(&mut Stdout, bytes)
}

/// The standard output, unbuffered: its users buffer.
pub(crate) struct Stdout;

impl io::Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        is_open()?;
        Ok(rustix::io::retry_on_intr(|| rustix::io::write(stdout(), bytes))?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
