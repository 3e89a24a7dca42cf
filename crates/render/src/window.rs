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
pub const COLUMNS: usize = 11;
/// The column of the details.
pub const EXT: usize = 10;
/// The column of the owners.
pub const PROC: usize = 9;
/// The column of the remote port.
pub const RSERV: usize = 8;

/// Usable bytes of a chunk.
const CHUNK: usize = 1_048_560;
/// A window is printed when it takes this many chunks.
const CHUNKS: u32 = 5;
/// A token is cut here.
const TOKEN_MAX: usize = 65_535;
/// Output is handed on in pieces of about this size.
const PIECE: usize = 128 * 1024;

const HEADERS: [&str; COLUMNS] = [
    "Netns",
    "Netid",
    "State",
    "Recv-Q",
    "Send-Q",
    "Local Address:",
    "Port",
    "Peer Address:",
    "Port",
    "Process",
    "",
];
/// Columns before which a blank is printed, unless they are the first.
const DELIMITED: [bool; COLUMNS] = [false, true, true, true, true, true, false, true, false, false, false];
/// Columns whose text stands at their right edge.
const RIGHT: [bool; COLUMNS] = [false, false, false, false, false, true, false, true, false, false, false];

/// Text in columns, on its way to `W`.
pub struct Window<W> {
    out: W,
    /// Which columns are printed.
    enabled: [bool; COLUMNS],
    /// The printed column that follows each.
    next: [usize; COLUMNS],
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
            next: next_enabled(&enabled),
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
    // A row has eight of these, and the compiler would call them.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    pub fn end_token(&mut self) -> io::Result<()> {
        let length = self.text.len() - self.start;
        let cost = length + (length & 1) + 2;
        // Nearly every token is no details, and fits well into its chunk.
        if self.column == EXT || length > TOKEN_MAX || self.used + cost > CHUNK {
            return self.end_odd_token();
        }
        if let (Some(longest), Some(next)) = (self.longest.get_mut(self.column), self.next.get(self.column)) {
            *longest = (*longest).max(length);
            self.column = *next;
        }
        self.lengths.push(length as u16);
        self.start = self.text.len();
        self.used += cost;
        Ok(())
    }

    fn end_odd_token(&mut self) -> io::Result<()> {
        let length = self.seal();
        if self.column == EXT && self.chunks >= CHUNKS {
            return self.print();
        }
        if let Some(longest) = self.longest.get_mut(self.column) {
            *longest = (*longest).max(length);
        }
        self.close(length);
        self.column = self.next.get(self.column).copied().unwrap_or(EXT);
        Ok(())
    }

    /// Cuts the current token to what fits, and takes a new chunk if it does
    /// not fit the one it is in.
    fn seal(&mut self) -> usize {
        let mut length = self.text.len() - self.start;
        if length > TOKEN_MAX {
            length = TOKEN_MAX;
            self.text.truncate(self.start + length);
        }
        if self.used + length >= CHUNK && self.used != 2 {
            self.chunks += 1;
            self.used = 2;
        }
        length
    }

    /// Accounts for the current token and starts an empty one behind it.
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
        let mut steps = [Step::default(); COLUMNS];
        for (column, step) in steps.iter_mut().enumerate() {
            let padded = !(compact && column == last_visible);
            *step = Step {
                delimited: DELIMITED[column] && column != first,
                right: RIGHT[column],
                width: if padded || RIGHT[column] { widths[column] } else { 0 },
                ends_row: column == EXT,
                next: self.next[column],
            };
        }
        let mut column = first;
        let mut rest = self.text.as_slice();
        for length in &self.lengths {
            let length = usize::from(*length);
            let step = steps[column];
            let missing = step.width.saturating_sub(length + usize::from(step.delimited));
            if step.delimited {
                self.page.push(b' ');
            }
            if step.right {
                put_blanks(&mut self.page, &mut self.out, missing)?;
                put_token(&mut self.page, rest, length);
            } else {
                put_token(&mut self.page, rest, length);
                put_blanks(&mut self.page, &mut self.out, missing)?;
            }
            rest = rest.get(length..).unwrap_or_default();
            if step.ends_row {
                self.page.push(b'\n');
                if self.page.len() >= PIECE {
                    self.out.write_all(&self.page)?;
                    self.page.clear();
                }
            }
            column = step.next;
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

/// What is done with a token of a column.
#[derive(Clone, Copy, Default)]
struct Step {
    /// A blank comes first.
    delimited: bool,
    /// The text stands at the right edge.
    right: bool,
    /// The width, that blank included; zero does not pad.
    width: usize,
    /// A line ends behind it.
    ends_row: bool,
    /// The column of the next token.
    next: usize,
}

/// The printed column after each, around the end; [`EXT`] always is one.
fn next_enabled(enabled: &[bool; COLUMNS]) -> [usize; COLUMNS] {
    let mut next = [EXT; COLUMNS];
    for (column, next) in next.iter_mut().enumerate() {
        let after = (1..=COLUMNS).map(|steps| (column + steps) % COLUMNS);
        *next = after.into_iter().find(|column| enabled[*column]).unwrap_or(EXT);
    }
    next
}

/// Sixteen bytes at once and the surplus taken back: for the short texts that
/// most tokens are, cheaper than a call that copies as many as there are.
const AT_ONCE: usize = 16;

/// Appends the first `length` bytes of `text`, which holds at least as many.
#[inline]
fn put_token(page: &mut Vec<u8>, text: &[u8], length: usize) {
    match text.first_chunk::<AT_ONCE>() {
        Some(chunk) if length <= AT_ONCE => {
            page.extend_from_slice(chunk);
            page.truncate(page.len() - (AT_ONCE - length));
        }
        _ => page.extend_from_slice(text.get(..length).unwrap_or(text)),
    }
}

/// Appends blanks; more of them than a piece go out as they are made, so that
/// no width of a terminal costs memory.
#[inline]
fn put_blanks(page: &mut Vec<u8>, out: &mut impl Write, missing: usize) -> io::Result<()> {
    match missing {
        0 => Ok(()),
        1..=AT_ONCE => {
            page.extend_from_slice(&[b' '; AT_ONCE]);
            page.truncate(page.len() - (AT_ONCE - missing));
            Ok(())
        }
        _ => put_many_blanks(page, out, missing),
    }
}

fn put_many_blanks(page: &mut Vec<u8>, out: &mut impl Write, mut missing: usize) -> io::Result<()> {
    while missing > PIECE {
        page.resize(page.len() + PIECE, b' ');
        out.write_all(page)?;
        page.clear();
        missing -= PIECE;
    }
    page.resize(page.len() + missing, b' ');
    Ok(())
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
        ["", "", "LISTEN", "0     ", "128   ", "127.0.0.1:", "8080", "0.0.0.0:", "*", "", ""];
    const B: [&str; COLUMNS] =
        ["", "", "ESTAB", "0     ", "36    ", "192.168.100.200:", "22", "10.20.30.40:", "54321", "", ""];
    const TAN: [bool; COLUMNS] = [false, false, true, true, true, true, true, true, true, false, true];

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
    fn the_namespace_comes_first() {
        let (mut a, mut b) = (A, B);
        (a[0], a[1], b[0], b[1]) = ("web", "tcp", "4026532201", "tcp");
        let mut enabled = TAN;
        (enabled[0], enabled[1]) = (true, true);
        assert_eq!(
            table(&[a, b], enabled, None, true),
            "Netns······Netid·State··Recv-Q·Send-Q···Local·Address:Port·Peer·Address:Port\n\
             web········tcp···LISTEN·0······128··········127.0.0.1:8080······0.0.0.0:*\n\
             4026532201·tcp···ESTAB··0······36·····192.168.100.200:22····10.20.30.40:54321\n"
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
