//! The column engine: a stream of tokens, a window of rows, widths, padding.
//!
//! `ss` buffers about four mebibytes of text, measures its columns, prints the
//! rows with these widths and starts the next window, whose widths can only
//! grow.  All that scripts can see of this is kept: where a window ends
//! (five chunks of a mebibyte, a token costing two bytes more than its text,
//! rounded up), what is measured (the details of a window's last row are not),
//! and how widths spread over a screen.
//!
//! Invariant: lengths are bytes, nothing is escaped, and the text never
//! changes, only the blanks between.  Widths never shrink.

use std::io::{self, Write};

/// How many columns a row has; the last holds the details.
pub const COLUMNS: usize = 10;
/// The column of the details.
pub const EXT: usize = 9;
/// The column of the owners.
pub const PROC: usize = 8;
/// The column of the remote port.
pub const RSERV: usize = 7;

/// Usable bytes of a chunk.
const CHUNK: usize = 1_048_560;
/// A window is printed when it takes this many chunks.
const CHUNKS: u32 = 5;
/// A token is cut here.
const TOKEN_MAX: usize = 65_535;
/// Output is handed on in pieces of about this size.
const PIECE: usize = 128 * 1024;

const HEADERS: [&str; COLUMNS] =
    ["Netid", "State", "Recv-Q", "Send-Q", "Local Address:", "Port", "Peer Address:", "Port", "Process", ""];
/// Columns before which a blank is printed.
const DELIMITED: [bool; COLUMNS] = [false, true, true, true, true, false, true, false, false, false];
/// Columns whose text stands at their right edge.
const RIGHT: [bool; COLUMNS] = [false, false, false, false, true, false, true, false, false, false];

/// Text in columns, on its way to `W`.
pub struct Window<W> {
    out: W,
    /// Which columns are printed.
    enabled: [bool; COLUMNS],
    /// Width of the terminal; `None` prints compactly.
    screen: Option<usize>,
    /// Longest text of each column since the start.
    longest: [usize; COLUMNS],
    /// Texts of the closed tokens and of the current one, end to end.
    text: Vec<u8>,
    /// Lengths of the closed tokens.
    lengths: Vec<u16>,
    /// Where the current token begins in `text`.
    start: usize,
    /// The column of the current token.
    column: usize,
    /// Whether anything was written since the last print.
    begun: bool,
    /// Bytes taken of the current chunk, and chunks taken.
    used: usize,
    chunks: u32,
    /// Printed text on its way out.
    page: Vec<u8>,
}

impl<W: Write> Window<W> {
    /// An empty window; `screen` is the width of the terminal, if there is one.
    pub fn new(out: W, enabled: [bool; COLUMNS], screen: Option<usize>) -> Self {
        let mut window = Self {
            out,
            enabled,
            screen,
            longest: [0; COLUMNS],
            text: Vec::new(),
            lengths: Vec::new(),
            start: 0,
            column: 0,
            begun: false,
            used: 2,
            chunks: 1,
            page: Vec::new(),
        };
        window.column = window.first_enabled();
        window
    }

    fn first_enabled(&self) -> usize {
        self.enabled.iter().position(|on| *on).unwrap_or(EXT)
    }

    /// Whether this column is printed.
    #[inline]
    pub fn is_enabled(&self, column: usize) -> bool {
        self.enabled.get(column).copied().unwrap_or(false)
    }

    /// The text of the current token, to append to.
    #[inline]
    pub fn token(&mut self) -> &mut Vec<u8> {
        self.begun = true;
        &mut self.text
    }

    /// Writes the names of the columns.
    pub fn header(&mut self) -> io::Result<()> {
        for (column, name) in HEADERS.iter().enumerate().take(EXT) {
            if self.is_enabled(column) {
                self.token().extend_from_slice(name.as_bytes());
                self.end_token()?;
            }
        }
        Ok(())
    }

    /// Begins a row: ends the one before, which may print the window.
    #[inline]
    pub fn begin_row(&mut self) -> io::Result<()> {
        if self.begun && self.column == EXT {
            self.end_token()?;
        }
        Ok(())
    }

    /// Ends the current token and goes to the next printed column.
    #[inline]
    pub fn end_token(&mut self) -> io::Result<()> {
        let length = self.seal();
        if self.column == EXT && self.chunks >= CHUNKS {
            return self.print();
        }
        if let Some(longest) = self.longest.get_mut(self.column) {
            *longest = (*longest).max(length);
        }
        self.close(length);
        let mut column = self.column;
        loop {
            column = if column == EXT { 0 } else { column + 1 };
            if self.is_enabled(column) {
                break;
            }
        }
        self.column = column;
        Ok(())
    }

    /// Cuts the current token to what fits, and takes a new chunk if it does
    /// not fit the one it is in.
    #[inline]
    fn seal(&mut self) -> usize {
        let length = (self.text.len() - self.start).min(TOKEN_MAX);
        self.text.truncate(self.start + length);
        if self.used + length >= CHUNK && self.used != 2 {
            self.chunks += 1;
            self.used = 2;
        }
        length
    }

    /// Accounts for the current token and starts an empty one behind it.
    #[inline]
    fn close(&mut self, length: usize) {
        self.lengths.push(length as u16);
        self.start = self.text.len();
        let padding = length & 1;
        self.used += length;
        if CHUNK.saturating_sub(self.used + padding) < 2 {
            self.chunks += 1;
            self.used = 2;
        } else {
            self.used += padding + 2;
        }
    }

    /// Prints what is left and hands everything on.
    pub fn finish(&mut self) -> io::Result<()> {
        if self.begun {
            self.seal();
            self.print()?;
        }
        self.out.flush()
    }

    /// Prints the window with the widths known by now, and empties it.  The
    /// current token is printed too but was not measured.
    fn print(&mut self) -> io::Result<()> {
        let length = self.text.len() - self.start;
        self.lengths.push(length as u16);
        let widths = widths(&self.longest, &self.enabled, self.screen);
        let last_visible = if self.is_enabled(PROC) { PROC } else { RSERV };
        let first = self.first_enabled();
        let compact = self.screen.is_none();
        // Per column: blank before, alignment, width (zero: do not pad).
        let mut steps = [(false, false, 0); COLUMNS];
        for (column, step) in steps.iter_mut().enumerate() {
            let padded = !(compact && column == last_visible);
            *step = (
                DELIMITED[column] && column != first,
                RIGHT[column],
                if padded || RIGHT[column] { widths[column] } else { 0 },
            );
        }
        let mut column = first;
        let mut at = 0;
        for length in &self.lengths {
            let length = usize::from(*length);
            let token = self.text.get(at..at + length).unwrap_or_default();
            at += length;
            let (delimited, right, width) = steps[column];
            let taken = length + usize::from(delimited);
            if delimited {
                self.page.push(b' ');
            }
            if right {
                pad(&mut self.page, width, taken);
                self.page.extend_from_slice(token);
            } else {
                self.page.extend_from_slice(token);
                pad(&mut self.page, width, taken);
            }
            loop {
                if column == EXT {
                    self.page.push(b'\n');
                    column = 0;
                } else {
                    column += 1;
                }
                if self.enabled[column] {
                    break;
                }
            }
            if self.page.len() >= PIECE {
                self.out.write_all(&self.page)?;
                self.page.clear();
            }
        }
        if column != first {
            self.page.push(b'\n');
        }
        self.out.write_all(&self.page)?;
        self.page.clear();
        self.text.clear();
        self.lengths.clear();
        self.start = 0;
        self.column = first;
        self.begun = false;
        self.used = 2;
        self.chunks = 1;
        Ok(())
    }
}

#[inline]
fn pad(page: &mut Vec<u8>, width: usize, taken: usize) {
    const BLANKS: [u8; 64] = [b' '; 64];
    let mut missing = width.saturating_sub(taken);
    while missing > 0 {
        let piece = missing.min(BLANKS.len());
        page.extend_from_slice(&BLANKS[..piece]);
        missing -= piece;
    }
}

/// The width of each column, the blank before it included.
///
/// With a screen the columns are laid out in lines of its width, and what a
/// line has to spare is spread over its columns, the rightmost first.
fn widths(longest: &[usize; COLUMNS], enabled: &[bool; COLUMNS], screen: Option<usize>) -> [usize; COLUMNS] {
    let mut widths = [0; COLUMNS];
    let mut any = false;
    for column in 0..COLUMNS {
        if enabled[column] && longest[column] > 0 {
            let width = longest[column] + usize::from(DELIMITED[column] && any);
            widths[column] = screen.map_or(width, |screen| width.min(screen));
            any = true;
        }
    }
    let Some(screen) = screen else { return widths };
    let mut line: Vec<usize> = Vec::with_capacity(COLUMNS);
    let mut sum = 0;
    for column in 0..COLUMNS {
        let width = widths[column];
        if width == 0 {
            continue;
        }
        if sum + width > screen {
            spread(&mut widths, &line, screen - sum);
            line.clear();
            sum = 0;
        }
        line.push(column);
        sum += width;
        if sum == screen {
            line.clear();
            sum = 0;
        }
    }
    spread(&mut widths, &line, screen - sum);
    widths
}

fn spread(widths: &mut [usize; COLUMNS], line: &[usize], spare: usize) {
    if line.is_empty() {
        return;
    }
    let (each, rest) = (spare / line.len(), spare % line.len());
    for (at, column) in line.iter().enumerate() {
        widths[*column] += each + usize::from(at >= line.len() - rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(
        rows: &[[&str; COLUMNS]],
        enabled: [bool; COLUMNS],
        screen: Option<usize>,
        header: bool,
    ) -> String {
        let mut out = Vec::new();
        let mut window = Window::new(&mut out, enabled, screen);
        if header {
            window.header().unwrap();
        }
        for row in rows {
            window.begin_row().unwrap();
            for (column, text) in row.iter().enumerate() {
                if window.is_enabled(column) {
                    window.token().extend_from_slice(text.as_bytes());
                    if column != EXT {
                        window.end_token().unwrap();
                    }
                }
            }
        }
        window.finish().unwrap();
        String::from_utf8(out).unwrap().replace(' ', "·")
    }

    const A: [&str; COLUMNS] =
        ["", "LISTEN", "0     ", "128   ", "127.0.0.1:", "8080", "0.0.0.0:", "*", "", ""];
    const B: [&str; COLUMNS] =
        ["", "ESTAB", "0     ", "36    ", "192.168.100.200:", "22", "10.20.30.40:", "54321", "", ""];
    const TAN: [bool; COLUMNS] = [false, true, true, true, true, true, true, true, false, true];

    #[test]
    fn compact() {
        assert_eq!(
            table(&[A, B], TAN, None, true),
            "State··Recv-Q·Send-Q···Local·Address:Port·Peer·Address:Port\n\
             LISTEN·0······128··········127.0.0.1:8080······0.0.0.0:*\n\
             ESTAB··0······36·····192.168.100.200:22····10.20.30.40:54321\n"
        );
    }

    #[test]
    fn details_are_measured_from_every_row_but_the_last() {
        let mut a = A;
        a[EXT] = " ino:4000000001 sk:1001";
        let mut b = B;
        b[EXT] = " uid:1000 ino:4000000002 sk:2";
        assert_eq!(
            table(&[a, b], TAN, None, true),
            "State··Recv-Q·Send-Q···Local·Address:Port·Peer·Address:Port·······················\n\
             LISTEN·0······128··········127.0.0.1:8080······0.0.0.0:*·ino:4000000001·sk:1001\n\
             ESTAB··0······36·····192.168.100.200:22····10.20.30.40:54321·uid:1000·ino:4000000002·sk:2\n"
        );
        assert_eq!(
            table(&[b], TAN, None, true),
            "State·Recv-Q·Send-Q···Local·Address:Port·Peer·Address:Port\n\
             ESTAB·0······36·····192.168.100.200:22····10.20.30.40:54321·uid:1000·ino:4000000002·sk:2\n"
        );
    }

    #[test]
    fn screens_spread_what_they_have_to_spare() {
        assert_eq!(
            table(&[A, B], TAN, Some(80), true),
            "State····Recv-Q····Send-Q·········Local·Address:Port·······Peer·Address:Port····\n\
             LISTEN···0·········128················127.0.0.1:8080············0.0.0.0:*·······\n\
             ESTAB····0·········36···········192.168.100.200:22··········10.20.30.40:54321···\n"
        );
        assert_eq!(
            table(&[A, B], TAN, Some(60), true),
            "State··Recv-Q·Send-Q···Local·Address:Port·Peer·Address:Port·\n\
             LISTEN·0······128··········127.0.0.1:8080······0.0.0.0:*····\n\
             ESTAB··0······36·····192.168.100.200:22····10.20.30.40:54321\n"
        );
        assert_eq!(
            table(&[A, B], TAN, Some(59), true).lines().map(|line| line.chars().count()).collect::<Vec<_>>(),
            [118, 118, 118]
        );
        assert_eq!(
            table(&[A, B], TAN, Some(10), true),
            "State······Recv-Q····Send-Q····Local·Address:Port·······Peer·Address:Port······\n\
             LISTEN·····0·········128·······127.0.0.1:8080········0.0.0.0:*·········\n\
             ESTAB······0·········36········192.168.100.200:22·········10.20.30.40:54321·····\n"
        );
    }

    #[test]
    fn rows_without_owner_keep_the_blank_of_the_port() {
        let mut enabled = TAN;
        enabled[PROC] = true;
        assert_eq!(
            table(&[A, B], enabled, None, true),
            "State··Recv-Q·Send-Q···Local·Address:Port·Peer·Address:Port·Process\n\
             LISTEN·0······128··········127.0.0.1:8080······0.0.0.0:*····\n\
             ESTAB··0······36·····192.168.100.200:22····10.20.30.40:54321\n"
        );
    }

    #[test]
    fn nothing_prints_nothing() {
        assert_eq!(table(&[], TAN, None, false), "");
        assert_eq!(table(&[], TAN, None, true), "State·Recv-Q·Send-Q·Local·Address:Port·Peer·Address:Port\n");
    }

    #[test]
    fn a_token_is_cut_and_a_window_ends_at_five_chunks() {
        let long = "x".repeat(70_000);
        let mut row = A;
        row[EXT] = &long;
        let rows = vec![row; 200];
        let text = table(&rows, TAN, None, false);
        let lengths: Vec<usize> =
            text.lines().map(|line| line.chars().filter(|c| *c == 'x').count()).collect();
        assert!(lengths.iter().all(|length| *length == TOKEN_MAX), "cut at {TOKEN_MAX}");
        assert_eq!(lengths.len(), 200);
    }
}
