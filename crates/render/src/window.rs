//! The column engine: a stream of tokens, a window of rows, widths, lines.
//!
//! `ss` buffers about four mebibytes of text, measures its columns, prints the
//! rows with these widths and starts the next window, whose widths can only
//! grow.  All that scripts can see of this is kept: where a window ends
//! (five chunks of a mebibyte, a token costing two bytes more than its text,
//! rounded up), what is measured (the details of a window's last row are not),
//! and how widths spread over a screen.
//!
//! Widths soon stop growing.  So a row is laid out at once, with the widths
//! known by then, and only rows whose widths have grown since are laid out
//! again when the window is printed.
//!
//! Invariant: lengths are bytes, nothing is escaped, and widths never shrink.
//! Memory is bounded by the window, [`WAITING`] and [`SPANS`], whatever a row or
//! a screen is wide.

use std::io::{self, Write};

use crate::layout::{COLUMNS, EXT, LANES, Layout, PIECE};

/// Usable bytes of a chunk.
const CHUNK: usize = 1_048_560;
/// A window is printed when it takes this many chunks.
const CHUNKS: u32 = 5;
/// A token is cut here.
const TOKEN_MAX: usize = 65_535;
/// So many blanks may wait in a window; further rows are laid out when it is
/// printed.
const WAITING: usize = 3 << 20;
/// And so often the widths may grow in it.
const SPANS: usize = 64;
/// Rows that would be padded to more than this are laid out when printed.
const WIDE: usize = 4096;

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

/// Rows of a window that are laid out alike.
struct Span {
    /// Where their lines begin.
    text: usize,
    /// Where their lengths begin.
    lengths: usize,
    layout: Layout,
}

/// Text in columns, on its way to `W`.
pub(crate) struct Window<W> {
    out: W,
    /// The columns that are printed; [`EXT`] is the last of them.
    columns: Vec<usize>,
    /// Width of the terminal; `None` prints compactly.
    screen: Option<usize>,
    /// Longest text of each printed column since the start.
    longest: [u16; LANES],
    /// The layout that follows from these.
    layout: Layout,

    /// The lines of the window, the row that is written as the last of them.
    text: Vec<u8>,
    /// Where that row begins, and where its current token does.
    row: usize,
    start: usize,
    /// Beginnings and lengths of its tokens that are ended, and how many these
    /// are.
    starts: [usize; COLUMNS],
    lengths: [u16; LANES],
    ended: usize,
    /// What these tokens cost of a chunk.
    cost: usize,
    /// Whether a row is written.
    begun: bool,
    /// How the row is laid out: as the last span.
    now: Layout,

    /// Bytes taken of the current chunk, and chunks taken.
    used: usize,
    chunks: u32,
    /// How many bytes of the lines are more than the rows' texts.
    blanks: usize,
    /// Lengths of the tokens of the window.
    all_lengths: Vec<u16>,
    spans: Vec<Span>,
    /// Lines on their way out that had to be laid out again.
    page: Vec<u8>,
}

impl<W: Write> Window<W> {
    /// An empty window; `screen` is the width of the terminal, if there is one.
    pub(crate) fn new(out: W, enabled: [bool; COLUMNS], screen: Option<usize>) -> Self {
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
            now: layout,
            used: 2,
            chunks: 1,
            blanks: 0,
            all_lengths: Vec::new(),
            spans: vec![Span { text: 0, lengths: 0, layout }],
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

    /// Begins a row: ends the one before, which may print the window.
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

    /// Ends the current token and goes to the next printed column; the last
    /// one is ended by the next row.
    // A row has eight of these, and the compiler would call them.
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
        self.cost += length + (length & 1) + 2;
        self.ended = at + 1;
        self.start = self.now.pad(at, &mut self.text, self.start, length);
    }

    /// Prints what is left and hands everything on.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        if self.begun {
            self.end_row(true)?;
        }
        self.out.flush()
    }

    /// Accounts for the row and lays it out; prints the window behind its last
    /// row.
    #[inline]
    fn end_row(&mut self, is_last: bool) -> io::Result<()> {
        while self.ended < self.columns.len() {
            self.end_token();
        }
        self.text.push(b'\n');
        self.now.align(&mut self.text, &self.starts, &self.lengths);
        self.begun = false;
        self.ended = 0;
        // What is not printed has no length.
        let excess = |(length, longest): (&u16, &u16)| length.saturating_sub(*longest);
        let excess = self.lengths.iter().zip(&self.longest).map(excess).fold(0, |all, excess| all | excess);
        let cost = std::mem::take(&mut self.cost);
        // Nearly every row is as narrow as those before, and well within its
        // chunk.
        let is_odd = excess != 0 || is_last || self.used + cost > CHUNK || self.chunks >= CHUNKS;
        let is_full = is_odd && self.account(is_last)?;
        if !is_odd {
            self.used += cost;
        }
        self.all_lengths.extend_from_slice(&self.lengths);
        self.all_lengths.truncate(self.all_lengths.len() + self.columns.len() - LANES);
        self.blanks += (self.text.len() - self.row).saturating_sub(cost);
        self.row = self.text.len();
        self.start = self.row;
        if is_full {
            self.print()
        } else {
            if self.blanks > WAITING {
                self.begin_span();
            }
            Ok(())
        }
    }

    /// Accounts for a row that is out of the ordinary; whether the window is
    /// full behind it.
    #[cold]
    fn account(&mut self, is_last: bool) -> io::Result<bool> {
        let mut is_full = false;
        let mut longest = self.longest;
        for ((column, length), longest) in self.columns.iter().zip(&self.lengths).zip(&mut longest) {
            let bytes = usize::from(*length);
            if self.used + bytes >= CHUNK && self.used != 2 {
                self.chunks += 1;
                self.used = 2;
            }
            is_full = *column == EXT && (is_last || self.chunks >= CHUNKS);
            if is_full {
                // The last row's details are not measured.
                break;
            }
            *longest = (*longest).max(*length);
            let padding = bytes & 1;
            self.used += bytes;
            if CHUNK.saturating_sub(self.used + padding) < 2 {
                self.chunks += 1;
                self.used = 2;
            } else {
                self.used += padding + 2;
            }
        }
        if longest != self.longest {
            self.longest = longest;
            self.layout = Layout::of(&self.columns, &self.longest, self.screen);
            let before = self.now;
            self.begin_span();
            if self.now != before {
                self.lay_row_anew(&before)?;
            }
        }
        Ok(is_full)
    }

    /// Lays the row out as the current span, which it was not when it was
    /// written.
    fn lay_row_anew(&mut self, before: &Layout) -> io::Result<()> {
        let lengths = self.lengths.get(..self.columns.len()).unwrap_or_default();
        let (mut row, mut rest) = (Vec::new(), Vec::new());
        let line = self.text.get(self.row..).unwrap_or_default();
        before.lay_anew(line, lengths, &self.now, &mut rest, &mut row)?;
        self.text.truncate(self.row);
        self.text.append(&mut row);
        self.text.append(&mut rest);
        Ok(())
    }

    /// Begins rows that are laid out in another way than those before.
    fn begin_span(&mut self) {
        let waits = self.blanks > WAITING || self.spans.len() >= SPANS || self.layout.surplus() > WIDE;
        let layout = if waits { Layout::none(&self.columns) } else { self.layout };
        if self.spans.last().is_none_or(|span| span.layout != layout) {
            self.spans.push(Span { text: self.row, lengths: self.all_lengths.len(), layout });
            self.now = layout;
        }
    }

    /// Prints the window with the widths known by now, and empties it.
    fn print(&mut self) -> io::Result<()> {
        let mut ends = self.spans.iter().skip(1).map(|next| (next.text, next.lengths));
        for span in &self.spans {
            let (text, lengths) = ends.next().unwrap_or((self.text.len(), self.all_lengths.len()));
            let lines = self.text.get(span.text..text).unwrap_or_default();
            let lengths = self.all_lengths.get(span.lengths..lengths).unwrap_or_default();
            if span.layout != self.layout {
                span.layout.lay_anew(lines, lengths, &self.layout, &mut self.page, &mut self.out)?;
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
        self.spans.clear();
        self.all_lengths.clear();
        self.text.clear();
        (self.row, self.start, self.blanks) = (0, 0, 0);
        (self.used, self.chunks) = (2, 1);
        self.begin_span();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
