//! Cells in lines: aligned for people, or separated for programs.
//!
//! Callers escape cells as [`sockdiag::escape`] writes them, so that no cell can forge a line,
//! break UTF-8 or control the terminal, in any shape.
//!
//! Aligned lines are buffered until the widths are known, at most [`HELD`] lines or
//! [`HELD_BYTES`]; after that, widths only grow.  Padded cells are at most [`WIDEST`] wide;
//! the last column is neither padded nor cut.
//!
//! CSV quotes cells as RFC 4180 requires.  If a text in CSV begins with `=`, `+`, `-` or `@`,
//! this character is written as `\xNN`, so that spreadsheets do not read a formula.  A cell
//! without a value is `-` in aligned lines and empty in CSV and TSV; if it is the only cell of
//! a TSV line, it is `-` too, so that no line is blank.

use std::io::{self, Write};

use csv_core::{QuoteStyle, WriteResult, Writer, WriterBuilder};
use sockdiag::escape::{self, letters};
use sockdiag::number::put_start;

use crate::Out;
use crate::kept::{self, Cell};

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

/// The maximum number of buffered aligned lines.
const HELD: usize = 4096;
/// The maximum number of buffered bytes of cells.
const HELD_BYTES: usize = 1 << 20;
/// The maximum number of characters of a padded cell.
const WIDEST: usize = 256;
/// Bytes that are collected before they are written.
const BUFFER: usize = 64 << 10;

/// Writes lines of cells.
pub(crate) struct Sheet<'w> {
    out: Out<'w>,
    buffer: Vec<u8>,
    shape: Shape,
    /// For each column, whether its cells are numbers, which are aligned to the right.
    right: Vec<bool>,
    widths: Vec<usize>,
    /// The cells of the buffered lines; `ends` holds the end and the width of each in
    /// characters.
    cells: Vec<u8>,
    ends: Vec<(usize, usize)>,
    csv: Writer,
    /// Cells before those of each separated line.
    lead: Vec<(Vec<u8>, bool)>,
}

impl<'w> Sheet<'w> {
    /// Creates an empty sheet; `right` holds, for each column, whether its cells are numbers.
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

    /// Sets the cells that begin each CSV or TSV line from now on, and whether each is a
    /// number.
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

    /// Writes everything that is buffered.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.release()?;
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        self.out.flush()
    }

    /// Lays out and writes the buffered lines.
    fn release(&mut self) -> io::Result<()> {
        let columns = self.right.len().max(1);
        let padded = self.padded();
        for line in self.ends.chunks(columns) {
            for (width, (_, letters)) in self.widths.iter_mut().take(padded).zip(line) {
                *width = (*width).max((*letters).min(WIDEST));
            }
        }
        let mut from = 0;
        for line in self.ends.chunks(columns) {
            for (at, ((to, letters), width)) in line.iter().zip(&self.widths).enumerate() {
                let bytes = self.cells.get(from..*to).unwrap_or_default();
                from = *to;
                let right = self.right.get(at).copied().unwrap_or_default();
                put_cell(&mut self.buffer, at, Cell { bytes, letters: *letters }, *width, right);
            }
            end_line(&mut self.buffer, &mut self.out)?;
        }
        self.cells.clear();
        self.ends.clear();
        Ok(())
    }

    /// The number of padded columns: all, except that a last column of text is not padded.
    fn padded(&self) -> usize {
        self.right.len() - usize::from(self.right.last() == Some(&false))
    }

    /// Appends kept rows.  All rows are known, so aligned columns are as wide as their
    /// widest cell.
    pub(crate) fn put_all<'k>(&mut self, mut rows: impl Iterator<Item = &'k [u8]> + Clone) -> io::Result<()> {
        if self.shape != Shape::Aligned {
            return rows.try_for_each(|row| self.line(kept::cells(row).map(|cell| Some(cell?.bytes))));
        }
        let padded = self.padded();
        for row in rows.clone() {
            for (width, cell) in self.widths.iter_mut().take(padded).zip(kept::cells(row)) {
                *width = (*width).max(cell.unwrap_or(kept::ABSENT).letters.min(WIDEST));
            }
        }
        self.release()?;
        for row in rows {
            let columns = self.widths.iter().zip(&self.right).zip(kept::cells(row));
            for (at, ((width, right), cell)) in columns.enumerate() {
                let cell = cell.unwrap_or(kept::ABSENT);
                if cell.letters > WIDEST && at + 1 < self.right.len() {
                    let mut bytes = escape::shortened(cell.bytes, WIDEST).unwrap_or(cell.bytes).to_vec();
                    bytes.extend_from_slice(escape::CUT.as_bytes());
                    let cell = Cell { bytes: &bytes, letters: letters(&bytes) };
                    put_cell(&mut self.buffer, at, cell, *width, *right);
                } else {
                    put_cell(&mut self.buffer, at, cell, *width, *right);
                }
            }
            end_line(&mut self.buffer, &mut self.out)?;
        }
        Ok(())
    }

    fn csv_field(&mut self, cell: &[u8], is_number: bool) {
        let mut defused = Vec::new();
        let mut cell = cell;
        if !is_number && matches!(cell.first(), Some(b'=' | b'+' | b'-' | b'@')) {
            escape::put_defused(&mut defused, cell);
            cell = &defused;
        }
        // csv-core quotes an empty cell that is alone in its record, so this is for two columns or
        // more.
        if self.right.len() > 1 && cell.iter().copied().all(is_never_quoted) {
            self.buffer.extend_from_slice(cell);
            return;
        }
        // `field` is called again until its whole output, with quotes, has been copied.
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

/// Whether a byte of a CSV cell never causes quotes, such as those of numbers and addresses.
fn is_never_quoted(byte: u8) -> bool {
    matches!(byte, b'-'..=b':' | b'A'..=b'Z' | b'_' | b'a'..=b'z')
}

/// Appends a cell of an aligned line, padded to its column's width; the last column has
/// width 0 and is not padded.
fn put_cell(out: &mut Vec<u8>, at: usize, cell: Cell<'_>, width: usize, right: bool) {
    if at > 0 {
        out.extend_from_slice(b"  ");
    }
    let padding = width.saturating_sub(cell.letters);
    if right {
        put_blanks(out, padding);
    }
    out.extend_from_slice(cell.bytes);
    if !right {
        put_blanks(out, padding);
    }
}

/// Ends an aligned line; writes the buffer to `out` once it is full.
fn end_line(buffer: &mut Vec<u8>, out: &mut Out<'_>) -> io::Result<()> {
    buffer.push(b'\n');
    if buffer.len() >= BUFFER {
        out.write_all(buffer)?;
        buffer.clear();
    }
    Ok(())
}

/// Appends blanks; the usual short run is copied without a call.
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

    #[test]
    fn rows_that_were_kept_look_as_others() {
        let long = "é".repeat(2 * WIDEST);
        let more =
            [[Some(long.as_str()), Some("1"), Some(long.as_str())], [Some("\\-"), Some(long.as_str()), None]];
        let lines: Vec<[Option<&str>; 3]> = LINES.iter().chain(&more).copied().collect();
        let keep = |line: &[Option<&str>; 3]| {
            let mut row = Vec::new();
            for cell in line {
                kept::put(&mut row, |out| {
                    out.extend_from_slice(cell.unwrap_or_default().as_bytes());
                    cell.is_some()
                });
            }
            row
        };
        let rows: Vec<Vec<u8>> = lines.iter().skip(1).map(keep).collect();
        for shape in [Shape::Aligned, Shape::Csv, Shape::Tsv] {
            for right in [[false, true, false], [false, true, true]] {
                let show = |is_kept: bool| {
                    let mut out = Vec::new();
                    let mut sheet = Sheet::new(Box::new(&mut out), shape, right.to_vec());
                    for line in lines.iter().take(if is_kept { 1 } else { lines.len() }) {
                        sheet
                            .line(line.iter().map(|cell| cell.map(str::as_bytes)))
                            .expect("memory takes all");
                    }
                    if is_kept {
                        sheet.put_all(rows.iter().map(Vec::as_slice)).expect("memory takes all");
                    }
                    sheet.finish().expect("memory takes all");
                    drop(sheet);
                    String::from_utf8(out).expect("UTF-8")
                };
                assert_eq!(show(true), show(false), "{shape:?} {right:?}");
            }
        }
    }

    /// Counts the bytes written, and keeps the last pieces.
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
