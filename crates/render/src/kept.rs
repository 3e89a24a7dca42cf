//! The cells of a row, stored to be laid out later.
//!
//! Each cell is preceded by four bytes: 0 for a cell without a value, otherwise its length
//! plus one, with the flag [`NOT_ASCII`] if its characters have to be counted.

use sockdiag::escape::{self, letters};

/// Set if a cell has bytes that are not ASCII.
const NOT_ASCII: u32 = 1 << 31;

/// A stored cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell<'k> {
    /// Its text.
    pub(crate) bytes: &'k [u8],
    /// Its width in characters.
    pub(crate) letters: usize,
}

/// The text of a cell without a value.
pub(crate) const ABSENT: Cell<'_> = Cell { bytes: escape::ABSENT, letters: escape::ABSENT.len() };

/// Appends a cell; `write` appends its text and returns whether there is a value.
pub(crate) fn put(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> bool) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let is_known = write(out);
    let Some((place, cell)) = out.get_mut(start..).and_then(|kept| kept.split_first_chunk_mut()) else {
        return;
    };
    match u32::try_from(cell.len() + 1) {
        Ok(length) if is_known && length < NOT_ASCII => {
            *place = (length | if cell.is_ascii() { 0 } else { NOT_ASCII }).to_ne_bytes();
        }
        _ => out.truncate(start + 4),
    }
}

/// The cells of a row.
pub(crate) fn cells(mut kept: &[u8]) -> impl Iterator<Item = Option<Cell<'_>>> {
    std::iter::from_fn(move || {
        let (head, behind) = kept.split_first_chunk()?;
        let head = u32::from_ne_bytes(*head);
        let Some(length) = (head & !NOT_ASCII).checked_sub(1) else {
            kept = behind;
            return Some(None);
        };
        let (bytes, behind) = behind.split_at_checked(length as usize)?;
        kept = behind;
        let letters = if head & NOT_ASCII == 0 { bytes.len() } else { letters(bytes) };
        Some(Some(Cell { bytes, letters }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_come_back_as_they_were_kept() {
        let all: [Option<&str>; 5] = [Some("ab"), None, Some(""), Some("é…"), Some("-")];
        let mut kept = Vec::new();
        for cell in all {
            put(&mut kept, |out| {
                out.extend_from_slice(cell.unwrap_or("not shown").as_bytes());
                cell.is_some()
            });
        }
        let want =
            all.map(|cell| cell.map(|cell| Cell { bytes: cell.as_bytes(), letters: cell.chars().count() }));
        assert!(cells(&kept).eq(want));
        for end in 0..kept.len() {
            // A truncated row has fewer cells.
            assert!(cells(&kept[..end]).zip(want).all(|(cell, want)| cell == want));
            assert!(cells(&kept[..end]).count() < want.len());
        }
    }
}
