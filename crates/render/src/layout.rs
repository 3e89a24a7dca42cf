//! The positions of a row's tokens in its line.
//!
//! A [`Layout`] holds the number of blanks before and after the text of each column.  A row is
//! written with one layout; if widths have grown by the time it is printed, it is read back
//! with that layout and written again with a newer one.
//!
//! Invariant: layouts change only the blanks, never the texts, and a layout can read back what
//! it wrote.

use std::io::{self, Write};

/// The number of columns of a row; the last one contains the details.
pub(crate) const COLUMNS: usize = 11;
/// Column count padded to whole words of four lengths, which are compared at
/// once; the lanes past [`COLUMNS`] stay 0.
pub(crate) const LANES: usize = 12;
/// The column of the details.
pub(crate) const EXT: usize = 10;
/// The column of the processes.
pub(crate) const PROC: usize = 9;
/// The column of the remote port.
const RSERV: usize = 8;

/// Columns before which a blank is printed, unless they are the first.
const DELIMITED: [bool; COLUMNS] = [false, true, true, true, true, true, false, true, false, false, false];
/// Columns that are aligned to the right.
const RIGHT: [bool; COLUMNS] = [false, false, false, false, false, true, false, true, false, false, false];
/// The number of columns that are aligned to the right.
const RIGHT_ONES: usize = 2;

/// Output is written in pieces of about this size.
pub(crate) const PIECE: usize = 128 * 1024;

/// Padding writes this many blanks and then truncates the surplus, which is cheaper than
/// writing the exact number.
const AT_ONCE: usize = 16;

/// [`AT_ONCE`] blanks as a number.
const BLANKS: u128 = u128::from_le_bytes([b' '; AT_ONCE]);

/// Whether a length may exceed the longest of its column.  True whenever one does; otherwise
/// true only if some length is 32 KiB or more.
///
/// Four lanes are subtracted at once: the high bit of each lane, set beforehand, is cleared by
/// a length that exceeds.  A length that has this bit itself is detected separately.
#[inline]
pub(crate) fn may_exceed(lengths: &[u16; LANES], longest: &[u16; LANES]) -> bool {
    const HIGH: u64 = 0x8000_8000_8000_8000;
    let word = |lanes: &[u16]| match *lanes {
        [a, b, c, d] => u64::from(a) | u64::from(b) << 16 | u64::from(c) << 32 | u64::from(d) << 48,
        _ => HIGH,
    };
    let (mut fits, mut any) = (HIGH, 0);
    for (lengths, longest) in lengths.chunks_exact(4).zip(longest.chunks_exact(4)) {
        let lengths = word(lengths);
        fits &= (word(longest) | HIGH).wrapping_sub(lengths);
        any |= lengths;
    }
    fits != HIGH || any & HIGH != 0
}

/// How to print the token of a column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Step {
    /// The length to which the text is padded.
    room: usize,
    /// Whether the padding stands before the text.
    right: bool,
    /// Blanks behind the padded text: 0 or 1.
    gap: usize,
    /// Mask of the bytes that follow the padded text, within the [`AT_ONCE`] bytes that begin
    /// at its start.
    behind: u128,
}

impl Step {
    /// Number of blanks before and behind a text of this length.
    fn blanks(&self, length: usize) -> (usize, usize) {
        let missing = self.room.saturating_sub(length);
        if self.right { (missing, self.gap) } else { (0, missing + self.gap) }
    }
}

/// How to print the tokens of a row: one step for each printed column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    steps: [Step; COLUMNS],
    /// The number of printed columns.
    count: usize,
    /// The printed columns that are aligned to the right, and their number.
    aligned: [usize; RIGHT_ONES],
    aligned_count: usize,
}

impl Layout {
    /// A layout without blanks: the texts of a row end to end.
    pub(crate) fn none(columns: &[usize]) -> Self {
        let steps = [Step::default(); COLUMNS];
        Self { steps, count: columns.len(), aligned: [0; RIGHT_ONES], aligned_count: 0 }
    }

    /// Columns wide enough for texts of these lengths, spread over the terminal width if there
    /// is one.
    pub(crate) fn of(columns: &[usize], longest: &[u16; LANES], screen: Option<usize>) -> Self {
        let mut layout = Self::none(columns);
        let widths = widths(columns, longest, screen);
        let last_visible = if columns.contains(&PROC) { PROC } else { RSERV };
        let nexts = columns.iter().skip(1).map(|next| usize::from(DELIMITED[*next])).chain([0]);
        let mut blank = 0;
        for (((step, column), width), gap) in layout.steps.iter_mut().zip(columns).zip(widths).zip(nexts) {
            let padded = screen.is_some() || *column != last_visible || RIGHT[*column];
            let room = if padded { width.saturating_sub(blank) } else { 0 };
            let behind =
                u32::try_from(8 * room).ok().and_then(|bits| u128::MAX.checked_shl(bits)).unwrap_or(0);
            *step = Step { room, right: RIGHT[*column], gap, behind };
            blank = gap;
        }
        let aligned = layout.steps.iter().enumerate().filter(|(_, step)| step.right);
        for (to, (at, _)) in layout.aligned.iter_mut().zip(aligned) {
            *to = at;
            layout.aligned_count += 1;
        }
        layout
    }

    /// The maximum number of blanks in a row; zero for [`Self::none`].
    pub(crate) fn surplus(&self) -> usize {
        self.steps.iter().map(|step| step.room + step.gap).sum()
    }

    /// Pads the text of a column, which begins at `start` and ends with `line`, and returns
    /// the start of the next column.  Right-aligned columns are first padded after their text
    /// like the rest; [`Self::align`] moves the text later.
    ///
    /// The data flow does not depend on `length`, only predicted branches do, so the processor
    /// need not wait for it.
    // Called eight times for each row, but not inlined by the compiler on its own.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    pub(crate) fn pad(&self, column: usize, line: &mut Vec<u8>, start: usize, length: usize) -> usize {
        let step = &self.steps[column];
        if length > step.room {
            if step.gap != 0 {
                line.push(b' ');
            }
            return line.len();
        }
        let end = start + step.room + step.gap;
        line.extend_from_slice(&[b' '; AT_ONCE]);
        if end > line.len() {
            put_blanks(line, end);
        } else {
            line.truncate(end);
        }
        end
    }

    /// Moves the texts of right-aligned columns to their right edge; `starts` holds their
    /// offsets in `lines`.
    ///
    /// Done once the row is complete, since a wide load stalls while the byte-wise stores to
    /// the same address are still pending.
    #[inline]
    pub(crate) fn align(&self, lines: &mut [u8], starts: &[usize; COLUMNS], lengths: &[u16; LANES]) {
        for at in self.aligned.iter().take(self.aligned_count).copied() {
            let (step, length) = (&self.steps[at], usize::from(lengths[at]));
            let missing = step.room.saturating_sub(length);
            let Some(place) = lines.get_mut(starts[at]..) else { continue };
            match place.first_chunk_mut::<AT_ONCE>() {
                Some(place) if step.room <= AT_ONCE && missing < AT_ONCE => {
                    // The padded text fits a register: shift the text and keep the bytes that
                    // follow it.
                    let all = u128::from_le_bytes(*place);
                    let shifted = all << (8 * missing);
                    let blanks = BLANKS & !(u128::MAX << (8 * missing));
                    *place = ((all & step.behind) | (shifted & !step.behind) | blanks).to_le_bytes();
                }
                _ => move_text(place, length, missing),
            }
        }
    }

    /// Reads rows that this layout wrote and writes them with another layout, in pieces, so
    /// that a wide terminal costs no memory.
    pub(crate) fn lay_anew(
        &self,
        mut text: &[u8],
        lengths: &[u16],
        layout: &Self,
        page: &mut Vec<u8>,
        out: &mut impl Write,
    ) -> io::Result<()> {
        for row in lengths.chunks(self.count.max(1)) {
            for ((from, to), length) in self.steps.iter().zip(&layout.steps).zip(row) {
                let length = usize::from(*length);
                let (before, behind) = from.blanks(length);
                let token = text.get(before..before + length).unwrap_or_default();
                text = text.get(before + length + behind..).unwrap_or_default();
                let (before, behind) = to.blanks(length);
                pad(page, out, before)?;
                page.extend_from_slice(token);
                pad(page, out, behind)?;
            }
            text = text.get(1..).unwrap_or_default();
            page.push(b'\n');
            if page.len() >= PIECE {
                out.write_all(page)?;
                page.clear();
            }
        }
        Ok(())
    }
}

/// Appends blanks until the line is this long.
#[inline(never)]
fn put_blanks(line: &mut Vec<u8>, end: usize) {
    line.resize(end, b' ');
}

/// Moves the text at the beginning of `place` to the right.
#[inline(never)]
fn move_text(place: &mut [u8], length: usize, missing: usize) {
    if let Some(place) = place.get_mut(..length + missing) {
        place.copy_within(..length, missing);
        place[..missing].fill(b' ');
    }
}

/// Appends blanks; writes them to `out` piece by piece if they exceed one piece.
fn pad(page: &mut Vec<u8>, out: &mut impl Write, mut missing: usize) -> io::Result<()> {
    while missing > PIECE {
        page.resize(page.len() + PIECE, b' ');
        out.write_all(page)?;
        page.clear();
        missing -= PIECE;
    }
    page.resize(page.len() + missing, b' ');
    Ok(())
}

/// The width of each printed column, including the blank before it.
///
/// With a terminal width, columns fill lines of this width; the spare blanks of a line are
/// distributed over its columns, the rightmost first.
pub(crate) fn widths(columns: &[usize], longest: &[u16; LANES], screen: Option<usize>) -> [usize; COLUMNS] {
    let mut widths = [0; COLUMNS];
    let mut any = false;
    for (at, column) in columns.iter().enumerate() {
        if longest[at] > 0 {
            let width = usize::from(longest[at]) + usize::from(DELIMITED[*column] && any);
            widths[at] = screen.map_or(width, |screen| width.min(screen));
            any = true;
        }
    }
    let Some(screen) = screen else { return widths };
    let mut line: Vec<usize> = Vec::with_capacity(COLUMNS);
    let mut sum = 0;
    for at in 0..columns.len() {
        let width = widths[at];
        if width == 0 {
            continue;
        }
        if sum + width > screen {
            spread(&mut widths, &line, screen - sum);
            line.clear();
            sum = 0;
        }
        line.push(at);
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

    #[test]
    fn no_length_above_the_longest_is_missed() {
        let edges = [0, 1, 0x7ffe, 0x7fff, 0x8000, 0x8001, 0xffff];
        for at in 0..LANES {
            for longest in edges {
                for length in edges {
                    let (mut lengths, mut most) = ([0; LANES], [0; LANES]);
                    (lengths[at], most[at]) = (length, longest);
                    let said = may_exceed(&lengths, &most);
                    assert!(said || length <= longest, "{at}: {length} of {longest}");
                    assert!(!said || length > longest || length.max(longest) >= 0x8000, "{at}: {length}");
                    // A neighbouring lane that does not exceed must not affect the result.
                    (lengths[(at + 1) % LANES], most[(at + 1) % LANES]) = (3, 4);
                    assert_eq!(may_exceed(&lengths, &most), said);
                }
            }
        }
    }
}
