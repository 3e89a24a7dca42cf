//! Cells in lines: aligned for people, or separated for programs.
//!
//! Aligned lines are held, up to [`HELD`] at a time, until the widths are
//! known; widths only grow.  A cell cannot forge a line or reach the terminal:
//! control characters and bytes that are no UTF-8 become octal escapes.
//! Separated cells hold every byte: CSV quotes what has to be (RFC 4180), TSV
//! writes tab, line break, carriage return and backslash as `\t`, `\n`, `\r`
//! and `\\`.

use std::io::{self, Write};

use csv_core::{QuoteStyle, WriteResult, Writer, WriterBuilder};
use sockdiag::number::put_octal;

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
/// Bytes that are collected before they are written.
const BUFFER: usize = 64 << 10;

/// Writes lines of cells.
pub(crate) struct Sheet<W> {
    out: W,
    buffer: Vec<u8>,
    shape: Shape,
    /// For each column, whether its cells are numbers.
    right: Vec<bool>,
    widths: Vec<usize>,
    /// Cells of the lines that are held, and where each ends.
    cells: Vec<u8>,
    ends: Vec<usize>,
    csv: Writer,
}

impl<W: Write> Sheet<W> {
    /// An empty sheet whose columns hold numbers, to the right, or text.
    pub(crate) fn new(out: W, shape: Shape, right: Vec<bool>) -> Self {
        let widths = vec![0; right.len()];
        let csv = WriterBuilder::new().quote_style(QuoteStyle::Necessary).build();
        Self { out, buffer: Vec::new(), shape, right, widths, cells: Vec::new(), ends: Vec::new(), csv }
    }

    /// Appends a line; a cell without a value is `None`.
    pub(crate) fn line<'c>(&mut self, cells: impl Iterator<Item = Option<&'c [u8]>>) -> io::Result<()> {
        match self.shape {
            Shape::Aligned => {
                for cell in cells {
                    put_safe(&mut self.cells, cell.unwrap_or(b"-"));
                    self.ends.push(self.cells.len());
                }
                if self.ends.len() >= HELD * self.right.len().max(1) {
                    self.release();
                }
            }
            Shape::Csv => {
                for (at, cell) in cells.enumerate() {
                    if at > 0 {
                        self.csv_delimiter();
                    }
                    self.csv_field(cell.unwrap_or_default());
                }
                self.csv_end();
            }
            Shape::Tsv => {
                for (at, cell) in cells.enumerate() {
                    if at > 0 {
                        self.buffer.push(b'\t');
                    }
                    put_tsv(&mut self.buffer, cell.unwrap_or_default());
                }
                self.buffer.push(b'\n');
            }
        }
        if self.buffer.len() >= BUFFER { self.write() } else { Ok(()) }
    }

    /// Writes everything.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.release();
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        self.out.flush()
    }

    /// Lays out and writes the lines that are held.
    fn release(&mut self) {
        let columns = self.right.len().max(1);
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let cells: Vec<&[u8]> =
            starts.zip(&self.ends).map(|(from, to)| self.cells.get(from..*to).unwrap_or_default()).collect();
        for line in cells.chunks(columns) {
            for (width, cell) in self.widths.iter_mut().zip(line) {
                *width = (*width).max(letters(cell));
            }
        }
        for line in cells.chunks(columns) {
            for (at, ((cell, width), right)) in line.iter().zip(&self.widths).zip(&self.right).enumerate() {
                if at > 0 {
                    self.buffer.extend_from_slice(b"  ");
                }
                let padding = width - letters(cell);
                if *right {
                    self.buffer.extend(std::iter::repeat_n(b' ', padding));
                }
                self.buffer.extend_from_slice(cell);
                if !*right && at + 1 < columns {
                    self.buffer.extend(std::iter::repeat_n(b' ', padding));
                }
            }
            self.buffer.push(b'\n');
        }
        self.cells.clear();
        self.ends.clear();
    }

    fn csv_field(&mut self, mut cell: &[u8]) {
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

/// How many letters wide a cell is.
fn letters(cell: &[u8]) -> usize {
    cell.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

/// Appends text in which nothing can act on a terminal.
pub(crate) fn put_safe(out: &mut Vec<u8>, text: &[u8]) {
    for chunk in text.utf8_chunks() {
        for letter in chunk.valid().chars() {
            let mut bytes = [0; 4];
            let bytes = letter.encode_utf8(&mut bytes).as_bytes();
            if letter.is_control() {
                for byte in bytes {
                    put_octal(out, *byte);
                }
            } else {
                out.extend_from_slice(bytes);
            }
        }
        for byte in chunk.invalid() {
            put_octal(out, *byte);
        }
    }
}

fn put_tsv(out: &mut Vec<u8>, cell: &[u8]) {
    for byte in cell {
        match byte {
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\\' => out.extend_from_slice(b"\\\\"),
            _ => out.push(*byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(shape: Shape, lines: &[[Option<&str>; 3]]) -> String {
        let mut out = Vec::new();
        let mut sheet = Sheet::new(&mut out, shape, vec![false, true, false]);
        for line in lines {
            sheet.line(line.iter().map(|cell| cell.map(str::as_bytes))).expect("memory takes all");
        }
        sheet.finish().expect("memory takes all");
        drop(sheet);
        String::from_utf8(out).expect("all of it is UTF-8")
    }

    const LINES: &[[Option<&str>; 3]] = &[
        [Some("name"), Some("n"), Some("end")],
        [Some("a,b\"c\n\té"), Some("1000"), None],
        [Some("\x1b[2J\u{9b}"), None, Some("x y")],
        [Some(""), Some("7"), Some("back\\slash")],
    ];

    #[test]
    fn aligned_cells_cannot_forge_lines() {
        let want = "name                      n  end\n\
                    a,b\"c\\012\\011é         1000  -\n\
                    \\033[2J\\302\\233          -  x y\n\
                    \u{20}                        7  back\\slash\n";
        let got = sheet(Shape::Aligned, LINES);
        assert_eq!(squeeze(&got), squeeze(want));
        let columns: Vec<usize> = got.lines().map(|line| line.chars().count()).collect();
        assert_eq!(columns[1], columns[2] - 2, "{got}");
    }

    fn squeeze(text: &str) -> String {
        text.lines()
            .map(|line| line.split(' ').filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ") + "\n")
            .collect()
    }

    #[test]
    fn csv_and_tsv_hold_every_byte() {
        let want = "name,n,end\n\"a,b\"\"c\n\té\",1000,\n\x1b[2J\u{9b},,x y\n,7,back\\slash\n";
        assert_eq!(sheet(Shape::Csv, LINES), want);
        let want = "name\tn\tend\na,b\"c\\n\\té\t1000\t\n\x1b[2J\u{9b}\t\tx y\n\t7\tback\\\\slash\n";
        assert_eq!(sheet(Shape::Tsv, LINES), want);
        let long = "\"".repeat(1000);
        let got = sheet(Shape::Csv, &[[Some(&long), None, None]]);
        assert_eq!(got, format!("\"{}\",,\n", "\"".repeat(2000)));
    }
}
