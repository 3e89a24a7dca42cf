//! The column engine: a stream of tokens, a window of rows, widths, lines.
//!
//! `ss` buffers about four mebibytes of text, measures its columns, prints these rows with the
//! resulting widths and starts the next window.  Its output shows where a window ends
//! (`chunks.rs`), which tokens are measured (not the details of a window's last row), that
//! widths only grow, and how they are spread over a terminal.  This module reproduces all of
//! it.
//!
//! Widths soon stop growing.  So a row is padded as it is written, with the widths known at
//! that time, and only rows whose widths have grown since are padded again when the window is
//! printed (`spans.rs`).  An example of three rows with two columns, where `.` is a blank:
//!
//! ```text
//! tokens        1 measured:    2 in the window's text,     3 printed
//!               longest        a span for each layout
//! ESTAB  0      5 1            span 1  |ESTAB.0            |ESTAB..0..
//! LISTEN 128    6 3            span 2  |LISTEN.128         |LISTEN.128
//! CLOSE  1      6 3                    |CLOSE..1..         |CLOSE..1..
//! ```
//!
//! 1. The end of a row measures it.  The first and second rows are longer than any before, so
//!    each causes a new layout.
//! 2. Such a row begins a span and is immediately padded again.  The third row was padded
//!    correctly as it was written.
//! 3. At the end of the window, spans of the last layout are copied as they are (span 2);
//!    spans of older layouts are read back and padded again (span 1).
//!
//! Invariant: lengths are in bytes, nothing is escaped, and widths never shrink.  Memory is
//! bounded by the window and the limits of spans, however wide a row or the terminal is.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

mod chunks;
mod spans;

use std::io::{self, Write};

use crate::Out;
use crate::layout::{COLUMNS, EXT, LANES, Layout, PIECE, may_exceed};
use chunks::Chunks;
use spans::Spans;

/// Longer tokens are cut to this length.
const TOKEN_MAX: usize = 65_535;

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

/// Text in columns, buffered until a window is printed.
pub(crate) struct Window<'w> {
    out: Out<'w>,
    /// The columns that are printed; [`EXT`] is the last of them.
    columns: Vec<usize>,
    /// Width of the terminal; `None` prints compactly.
    screen: Option<usize>,
    /// Longest text of each printed column since the start.
    longest: [u16; LANES],
    /// The layout that follows from `longest`.
    layout: Layout,

    /// The lines of the window; the last one is the row being written.
    text: Vec<u8>,
    /// The offsets of the row being written and of its current token.
    row: usize,
    start: usize,
    /// Starts and lengths of the finished tokens of this row, and their number.
    starts: [usize; COLUMNS],
    lengths: [u16; LANES],
    ended: usize,
    /// The space that these tokens occupy in a chunk.
    cost: usize,
    /// Whether a row has been begun.
    begun: bool,

    /// Tracks when the window is full.
    chunks: Chunks,
    /// The layouts of the window's lines.
    spans: Spans,
    /// The lengths of the window's tokens, row after row.
    all_lengths: Vec<u16>,
    /// A buffer for output lines that had to be laid out again.
    page: Vec<u8>,
}

impl<'w> Window<'w> {
    /// An empty window; `screen` is the width of the terminal, if there is one.
    pub(crate) fn new(out: Out<'w>, enabled: [bool; COLUMNS], screen: Option<usize>) -> Self {
        let columns: Vec<usize> = (0..COLUMNS).filter(|column| enabled[*column] || *column == EXT).collect();
        let layout = Layout::of(&columns, &[0; LANES], screen);
        Self {
            out,
            screen,
            longest: [0; LANES],
            layout,
            columns,
            text: Vec::new(),
            row: 0,
            start: 0,
            starts: [0; COLUMNS],
            lengths: [0; LANES],
            ended: 0,
            cost: 0,
            begun: false,
            chunks: Chunks::EMPTY,
            spans: Spans::new(&layout),
            all_lengths: Vec::new(),
            page: Vec::new(),
        }
    }

    /// Writes the names of the columns.
    pub(crate) fn header(&mut self) -> io::Result<()> {
        self.begin_row()?;
        for at in 0..self.columns.len() - 1 {
            self.text.extend_from_slice(HEADERS[self.columns[at]].as_bytes());
            self.end_token();
        }
        Ok(())
    }

    /// Begins a row.  First ends the previous row, which may print the window.
    #[inline]
    pub(crate) fn begin_row(&mut self) -> io::Result<()> {
        if self.begun {
            self.end_row(false)?;
        }
        self.begun = true;
        Ok(())
    }

    /// The text of the current token, to append to.
    #[inline]
    pub(crate) fn token(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    /// Ends the current token and continues with the next printed column.  The last token is
    /// ended by the next call of [`Self::begin_row`].
    // Called eight times for each row, but not inlined by the compiler on its own.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    pub(crate) fn end_token(&mut self) {
        let at = self.ended;
        if at >= COLUMNS {
            return;
        }
        let mut length = self.text.len() - self.start;
        if length > TOKEN_MAX {
            length = TOKEN_MAX;
            self.text.truncate(self.start + length);
        }
        self.lengths[at] = length as u16;
        self.starts[at] = self.start;
        self.cost += chunks::cost(length);
        self.ended = at + 1;
        self.start = self.spans.now().pad(at, &mut self.text, self.start, length);
    }

    /// Prints the remaining rows and flushes the output.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        if self.begun {
            self.end_row(true)?;
        }
        self.out.flush()
    }

    /// Accounts for the row and lays it out; prints the window if this was its last row.
    #[inline]
    fn end_row(&mut self, is_last: bool) -> io::Result<()> {
        while self.ended < self.columns.len() {
            self.end_token();
        }
        self.text.push(b'\n');
        self.spans.now().align(&mut self.text, &self.starts, &self.lengths);
        self.begun = false;
        self.ended = 0;
        let cost = std::mem::take(&mut self.cost);
        // Nearly every row is no wider than earlier ones and fits easily into its chunk.
        let is_odd = may_exceed(&self.lengths, &self.longest) || is_last || !self.chunks.has_room(cost);
        let is_full = is_odd && self.account(is_last)?;
        if !is_odd {
            self.chunks.take(cost);
        }
        // All lanes are copied at once; then the lanes past the last column are removed.
        self.all_lengths.extend_from_slice(&self.lengths);
        self.all_lengths.truncate(self.all_lengths.len() + self.columns.len() - LANES);
        self.spans.add_blanks((self.text.len() - self.row).saturating_sub(cost));
        self.row = self.text.len();
        self.start = self.row;
        if is_full {
            self.print()
        } else {
            if self.spans.hold_too_many_blanks() {
                self.begin_span();
            }
            Ok(())
        }
    }

    /// Accounts for a row that exceeds all earlier ones in some column or may not fit its
    /// chunk.  Returns whether the window is full after it.
    #[cold]
    fn account(&mut self, is_last: bool) -> io::Result<bool> {
        let mut is_full = false;
        let mut longest = self.longest;
        for ((column, length), longest) in self.columns.iter().zip(&self.lengths).zip(&mut longest) {
            let bytes = usize::from(*length);
            self.chunks.begin_token(bytes);
            is_full = *column == EXT && (is_last || self.chunks.are_all_taken());
            if is_full {
                // The last row's details are not measured.
                break;
            }
            *longest = (*longest).max(*length);
            self.chunks.end_token(bytes);
        }
        if longest != self.longest {
            self.longest = longest;
            self.layout = Layout::of(&self.columns, &self.longest, self.screen);
            let before = *self.spans.now();
            self.begin_span();
            if *self.spans.now() != before {
                self.lay_row_anew(&before)?;
            }
        }
        Ok(is_full)
    }

    /// Lays the current row, which was written with the layout `before`, out again with that
    /// of the current span.
    fn lay_row_anew(&mut self, before: &Layout) -> io::Result<()> {
        let lengths = self.lengths.get(..self.columns.len()).unwrap_or_default();
        let (mut row, mut rest) = (Vec::new(), Vec::new());
        let line = self.text.get(self.row..).unwrap_or_default();
        before.lay_anew(line, lengths, self.spans.now(), &mut rest, &mut row)?;
        self.text.truncate(self.row);
        self.text.append(&mut row);
        self.text.append(&mut rest);
        Ok(())
    }

    /// Begins a span with the current row, if its layout differs.
    fn begin_span(&mut self) {
        self.spans.begin(self.row, self.all_lengths.len(), &self.layout, &self.columns);
    }

    /// Prints the window with the widths known by now, and empties it.
    fn print(&mut self) -> io::Result<()> {
        for (layout, text, lengths) in self.spans.iter(self.text.len(), self.all_lengths.len()) {
            let lines = self.text.get(text).unwrap_or_default();
            let lengths = self.all_lengths.get(lengths).unwrap_or_default();
            if *layout != self.layout {
                layout.lay_anew(lines, lengths, &self.layout, &mut self.page, &mut self.out)?;
                continue;
            }
            if self.page.len() + lines.len() > PIECE {
                self.out.write_all(&self.page)?;
                self.page.clear();
            }
            if lines.len() > PIECE {
                self.out.write_all(lines)?;
            } else {
                self.page.extend_from_slice(lines);
            }
        }
        self.out.write_all(&self.page)?;
        self.page.clear();
        self.all_lengths.clear();
        self.text.clear();
        (self.row, self.start) = (0, 0);
        self.chunks = Chunks::EMPTY;
        self.spans.clear();
        self.begin_span();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
