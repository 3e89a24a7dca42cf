//! The standard output and its width.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::stdio::stdout;

/// Whether a write failed because the reader went away, which is noticed only if `SIGPIPE` is
/// ignored.
static READER_IS_GONE: AtomicBool = AtomicBool::new(false);

/// Whether the reader of the standard output went away.
pub(crate) fn reader_is_gone() -> bool {
    READER_IS_GONE.load(Ordering::Relaxed)
}

/// The standard output, unbuffered: its users buffer.
pub(crate) struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(stdout(), bytes));
        if written == Err(rustix::io::Errno::PIPE) {
            READER_IS_GONE.store(true, Ordering::Relaxed);
        }
        Ok(written?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The same for output that the reference prints too.  As in the reference, a failed write is
/// dropped silently and the listing goes on, so that `-K` destroys every socket it was asked
/// to and `-E` follows to its end.
pub(crate) struct Lossy;

impl Write for Lossy {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(Stdout.write(bytes).unwrap_or(bytes.len()))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The width of the standard output: the terminal's, else `COLUMNS` if that is a positive
/// number, else `None` and rows are compact.
pub(crate) fn width() -> Option<usize> {
    let terminal = rustix::termios::isatty(stdout())
        .then(|| rustix::termios::tcgetwinsize(stdout()).ok())
        .flatten()
        .map(|size| usize::from(size.ws_col))
        .filter(|columns| *columns > 0);
    terminal.or_else(|| columns(std::env::var_os("COLUMNS")?.as_os_str()))
}

/// Parses a number as `atoi` does; `None` unless it is positive.
fn columns(text: &OsStr) -> Option<usize> {
    let text = text.as_bytes().trim_ascii_start();
    let digits = text.strip_prefix(b"+").unwrap_or(text);
    let number = digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0_i64, |number, digit| number.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    // atoi truncates the result of strtol to an int.
    usize::try_from(number as i32).ok().filter(|columns| *columns > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_is_read_as_atoi_reads() {
        for (text, want) in [
            ("80", Some(80)),
            (" \t80x", Some(80)),
            ("+7", Some(7)),
            ("", None),
            ("-3", None),
            ("0", None),
            ("x", None),
            ("4294967297", Some(1)),
            ("99999999999999999999", None),
        ] {
            assert_eq!(columns(OsStr::new(text)), want, "{text:?}");
        }
    }
}
