//! Cells in lines: aligned for people, or separated for programs.
//!
//! Cells come escaped, as [`sockdiag::escape`] writes them, so that none can
//! forge a line, break UTF-8 or reach the terminal, whatever the shape.
//!
//! Aligned lines are held until the widths are known, up to [`HELD`] of them
//! or [`HELD_BYTES`]; widths only grow.  What is padded there is no wider than
//! [`WIDEST`]; the last column is not padded and not cut.
//!
//! CSV quotes what has to be (RFC 4180).  A text there that begins with `=`, `+`, `-`
//! or `@` has that letter as `\xNN`, so that no spreadsheet takes it for a formula.
//! A cell without a value is `-` in aligned lines and empty in CSV and TSV; where it
//! is all that a line of TSV has, it is `-` too, so that no line is blank.

use std::io::{self, Write};

use csv_core::{QuoteStyle, WriteResult, Writer, WriterBuilder};
use sockdiag::escape::{self, letters};
use sockdiag::number::put_start;

use crate::Out;

/// How cells are separated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// By blanks, in columns.
    Aligned,
    /// By commas.
    Csv,
    /// By tabs.
    Tsv,
}

/// Aligned lines that are held.
const HELD: usize = 4096;
/// Bytes of cells that are held.
const HELD_BYTES: usize = 1 << 20;
/// Letters that a padded cell may have.
const WIDEST: usize = 256;
/// Bytes that are collected before they are written.
const BUFFER: usize = 64 << 10;

/// Writes lines of cells.
pub(crate) struct Sheet<'w> {
    out: Out<'w>,
    buffer: Vec<u8>,
    shape: Shape,
    /// For each column, whether its cells are numbers.
    right: Vec<bool>,
    widths: Vec<usize>,
    /// Cells of the lines that are held, where each ends, and its letters.
    cells: Vec<u8>,
    ends: Vec<(usize, usize)>,
    csv: Writer,
    /// Cells before those of each separated line.
    lead: Vec<(Vec<u8>, bool)>,
}

impl<'w> Sheet<'w> {
    /// An empty sheet whose columns hold numbers, to the right, or text.
    pub(crate) fn new(out: Out<'w>, shape: Shape, right: Vec<bool>) -> Self {
        let widths = vec![0; right.len()];
        let csv = WriterBuilder::new().quote_style(QuoteStyle::Necessary).build();
        Self {
            out,
            buffer: Vec::new(),
            shape,
            right,
            widths,
            cells: Vec::new(),
            ends: Vec::new(),
            csv,
            lead: Vec::new(),
        }
    }

    /// From now on separated lines begin with these cells; some are numbers.
    pub(crate) fn lead<'c>(&mut self, cells: impl Iterator<Item = (&'c [u8], bool)>) {
        self.lead = cells.map(|(cell, is_number)| (cell.to_vec(), is_number)).collect();
    }

    /// Appends a line; a cell without a value is `None`.
    pub(crate) fn line<'c>(&mut self, cells: impl Iterator<Item = Option<&'c [u8]>>) -> io::Result<()> {
        match self.shape {
            Shape::Aligned => {
                for (at, cell) in cells.enumerate() {
                    let cell = cell.unwrap_or(escape::ABSENT);
                    let start = self.cells.len();
                    match escape::shortened(cell, WIDEST) {
                        Some(beginning) if at + 1 < self.right.len() => {
                            self.cells.extend_from_slice(beginning);
                            self.cells.extend_from_slice(escape::CUT.as_bytes());
                        }
                        _ => self.cells.extend_from_slice(cell),
                    }
                    let letters = letters(self.cells.get(start..).unwrap_or_default());
                    self.ends.push((self.cells.len(), letters));
                }
                if self.ends.len() >= HELD * self.right.len().max(1) || self.cells.len() >= HELD_BYTES {
                    self.release()?;
                }
            }
            Shape::Csv => {
                let lead = std::mem::take(&mut self.lead);
                for (cell, is_number) in &lead {
                    self.csv_field(cell, *is_number);
                    self.csv_delimiter();
                }
                self.lead = lead;
                for (at, cell) in cells.enumerate() {
                    if at > 0 {
                        self.csv_delimiter();
                    }
                    let is_number = self.right.get(at).copied().unwrap_or_default();
                    self.csv_field(cell.unwrap_or_default(), is_number);
                }
                self.csv_end();
            }
            Shape::Tsv => {
                for (cell, _) in &self.lead {
                    self.buffer.extend_from_slice(cell);
                    self.buffer.push(b'\t');
                }
                for (at, cell) in cells.enumerate() {
                    if at > 0 {
                        self.buffer.push(b'\t');
                    }
                    let absent = if self.right.len() == 1 { escape::ABSENT } else { b"" };
                    self.buffer.extend_from_slice(cell.unwrap_or(absent));
                }
                self.buffer.push(b'\n');
            }
        }
        if self.buffer.len() >= BUFFER { self.write() } else { Ok(()) }
    }

    /// Writes everything.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.release()?;
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        self.out.flush()
    }

    /// Lays out and writes the lines that are held.
    fn release(&mut self) -> io::Result<()> {
        let columns = self.right.len().max(1);
        let is_last = |at: usize| at + 1 == columns;
        for line in self.ends.chunks(columns) {
            for (at, (width, (_, letters))) in self.widths.iter_mut().zip(line).enumerate() {
                // A number in the last column is padded before it.
                let is_padded = !is_last(at) || self.right.get(at).copied().unwrap_or_default();
                *width = (*width).max(if is_padded { (*letters).min(WIDEST) } else { 0 });
            }
        }
        let mut from = 0;
        for line in self.ends.chunks(columns) {
            for (at, (((to, letters), width), right)) in
                line.iter().zip(&self.widths).zip(&self.right).enumerate()
            {
                if at > 0 {
                    self.buffer.extend_from_slice(b"  ");
                }
                let padding = width.saturating_sub(*letters);
                if *right {
                    put_blanks(&mut self.buffer, padding);
                }
                self.buffer.extend_from_slice(self.cells.get(from..*to).unwrap_or_default());
                from = *to;
                if !*right && !is_last(at) {
                    put_blanks(&mut self.buffer, padding);
                }
            }
            self.buffer.push(b'\n');
            if self.buffer.len() >= BUFFER {
                self.out.write_all(&self.buffer)?;
                self.buffer.clear();
            }
        }
        self.cells.clear();
        self.ends.clear();
        Ok(())
    }

    fn csv_field(&mut self, cell: &[u8], is_number: bool) {
        let mut defused = Vec::new();
        let mut cell = cell;
        if !is_number && matches!(cell.first(), Some(b'=' | b'+' | b'-' | b'@')) {
            escape::put_defused(&mut defused, cell);
            cell = &defused;
        }
        // Repeats until the output has room for the last byte, quotes included.
        let mut room = [0; 256];
        loop {
            let (result, read, written) = self.csv.field(cell, &mut room);
            self.buffer.extend_from_slice(room.get(..written).unwrap_or_default());
            cell = cell.get(read..).unwrap_or_default();
            if result == WriteResult::InputEmpty {
                return;
            }
        }
    }

    fn csv_delimiter(&mut self) {
        self.csv_piece(Writer::delimiter);
    }

    fn csv_end(&mut self) {
        self.csv_piece(Writer::terminator);
    }

    fn csv_piece(&mut self, piece: fn(&mut Writer, &mut [u8]) -> (WriteResult, usize)) {
        let mut room = [0; 16];
        let (_, written) = piece(&mut self.csv, &mut room);
        self.buffer.extend_from_slice(room.get(..written).unwrap_or_default());
    }
}

/// Appends blanks: few, as a rule, which are copied without a call.
fn put_blanks(out: &mut Vec<u8>, count: usize) {
    const FEW: usize = 16;
    if count <= FEW {
        put_start(out, [b' '; FEW], count);
    } else {
        out.resize(out.len() + count, b' ');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(shape: Shape, lines: &[[Option<&str>; 3]]) -> String {
        let mut out = Vec::new();
        let mut sheet = Sheet::new(Box::new(&mut out), shape, vec![false, true, false]);
        for line in lines {
            sheet.line(line.iter().map(|cell| cell.map(str::as_bytes))).expect("memory takes all");
        }
        sheet.finish().expect("memory takes all");
        drop(sheet);
        String::from_utf8(out).expect("all of it is UTF-8")
    }

    const LINES: &[[Option<&str>; 3]] = &[
        [Some("name"), Some("n"), Some("end")],
        [Some("a,b\"c\\n\\té"), Some("-1000"), None],
        [Some("\\x1b[2J\\u{9b}"), None, Some("x y")],
        [Some(""), Some("7"), Some("@back\\\\slash")],
        [Some("=1+1"), Some("7"), Some("\\-")],
    ];

    #[test]
    fn aligned_cells_stand_in_columns() {
        let want = [
            "name               n  end",
            "a,b\"c\\n\\té     -1000  -",
            "\\x1b[2J\\u{9b}      -  x y",
            "                   7  @back\\\\slash",
            "=1+1               7  \\-",
            "",
        ]
        .join("\n");
        assert_eq!(sheet(Shape::Aligned, LINES), want);
    }

    #[test]
    fn csv_and_tsv_have_no_formula_and_no_blank_line() {
        let want = "name,n,end\n\"a,b\"\"c\\n\\té\",-1000,\n\\x1b[2J\\u{9b},,x y\n,7,\\x40back\\\\slash\n\
                    \\x3d1+1,7,\\-\n";
        assert_eq!(sheet(Shape::Csv, LINES), want);
        let want = "name\tn\tend\na,b\"c\\n\\té\t-1000\t\n\\x1b[2J\\u{9b}\t\tx y\n\t7\t@back\\\\slash\n\
                    =1+1\t7\t\\-\n";
        assert_eq!(sheet(Shape::Tsv, LINES), want);
        let long = "\"".repeat(1000);
        let got = sheet(Shape::Csv, &[[Some(&long), None, None]]);
        assert_eq!(got, format!("\"{}\",,\n", "\"".repeat(2000)));
        for (shape, want) in [(Shape::Csv, "\"\"\n"), (Shape::Tsv, "-\n"), (Shape::Aligned, "-\n")] {
            let mut out = Vec::new();
            let mut sheet = Sheet::new(Box::new(&mut out), shape, vec![false]);
            sheet.line([None].into_iter()).expect("memory takes all");
            sheet.finish().expect("memory takes all");
            drop(sheet);
            assert_eq!(String::from_utf8(out).expect("ASCII"), want);
        }
    }

    /// Counts what is written, and keeps the last pieces.
    #[derive(Default)]
    struct Written {
        all: usize,
        last: Vec<u8>,
    }

    impl Write for &mut Written {
        fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
            self.all += piece.len();
            self.last.drain(..self.last.len().saturating_sub(BUFFER));
            self.last.extend_from_slice(piece);
            Ok(piece.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn long_cells_are_neither_held_nor_padded_without_bound() {
        let long = "x".repeat(escape::LONGEST);
        let mut written = Written::default();
        let mut sheet = Sheet::new(Box::new(&mut written), Shape::Aligned, vec![false, true, false]);
        for _ in 0..10_000 {
            let line = [&long, "1", &long].map(|cell| Some(cell.as_bytes()));
            sheet.line(line.into_iter()).expect("it takes all");
            assert!(sheet.cells.capacity() < 4 * HELD_BYTES, "held bytes are bounded");
            assert!(sheet.buffer.capacity() < 8 * BUFFER);
        }
        sheet.line([Some(&b"short"[..]), None, None].into_iter()).expect("it takes all");
        sheet.finish().expect("it takes all");
        drop(sheet);
        let line = WIDEST + 2 + 2 + 1 + 2 + 2;
        assert!(written.all < 10_001 * (line + escape::LONGEST + 1), "{}", written.all);
        let last = String::from_utf8_lossy(&written.last);
        assert!(last.ends_with(&format!("short{}  -  -\n", " ".repeat(WIDEST - 5))), "{last}");
        let cut = format!("{}…  1  xxx", "x".repeat(WIDEST - 1));
        assert!(last.contains(&cut), "{last}");
    }
}
