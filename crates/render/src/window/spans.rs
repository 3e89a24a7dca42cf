//! The layout of a window's lines: runs of rows that share a layout.
//!
//! Invariant: the number of padding blanks in a window is bounded.  Once there are too many
//! blanks or spans, or a layout is too wide, further rows are stored unpadded and padded when
//! the window is printed.

use std::ops::Range;

use crate::layout::Layout;

/// Rows are no longer padded early once the window holds this many blanks.
pub(super) const MOST_BLANKS: usize = 3 << 20;
/// Rows are no longer padded early once the window has this many spans.
const MOST_SPANS: usize = 64;
/// Rows that padding would make wider than this are padded only when printed.
const WIDE: usize = 4096;

/// Consecutive rows with the same layout.
struct Span {
    /// The offset of their lines in the window's text.
    text: usize,
    /// The offset of their lengths in the window's list of lengths.
    lengths: usize,
    layout: Layout,
}

/// The spans of a window, in order.
pub(super) struct Spans {
    list: Vec<Span>,
    /// The layout of the last span, which the current row is written with.
    now: Layout,
    /// The number of padding bytes in the window's lines.
    blanks: usize,
}

impl Spans {
    /// One span, without rows.
    pub(super) fn new(layout: &Layout) -> Self {
        Self { list: vec![Span { text: 0, lengths: 0, layout: *layout }], now: *layout, blanks: 0 }
    }

    /// The layout that the current row is written with.
    // Called from code that is inlined for every token.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    pub(super) fn now(&self) -> &Layout {
        &self.now
    }

    /// Counts the blanks of a row.
    #[inline]
    pub(super) fn add_blanks(&mut self, blanks: usize) {
        self.blanks += blanks;
    }

    /// Whether no more padding blanks may be added.
    #[inline]
    pub(super) fn hold_too_many_blanks(&self) -> bool {
        self.blanks > MOST_BLANKS
    }

    /// Begins a span with this layout, or an unpadded one if no more blanks may be added, at
    /// these offsets of its lines and lengths.
    pub(super) fn begin(&mut self, text: usize, lengths: usize, layout: &Layout, columns: &[usize]) {
        let waits = self.hold_too_many_blanks() || self.list.len() >= MOST_SPANS || layout.surplus() > WIDE;
        let layout = if waits { Layout::none(columns) } else { *layout };
        if self.list.last().is_none_or(|span| span.layout != layout) {
            self.list.push(Span { text, lengths, layout });
            self.now = layout;
        }
    }

    /// Each span's layout and its ranges of the window's text and lengths; the arguments are
    /// their total lengths.
    pub(super) fn iter(
        &self,
        text: usize,
        lengths: usize,
    ) -> impl Iterator<Item = (&Layout, Range<usize>, Range<usize>)> {
        let nexts = self.list.iter().skip(1).map(|next| (next.text, next.lengths)).chain([(text, lengths)]);
        let spans = self.list.iter().zip(nexts);
        spans.map(|(span, (text, lengths))| (&span.layout, span.text..text, span.lengths..lengths))
    }

    /// Removes all spans; the caller has to begin a new one.
    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.blanks = 0;
    }
}

#[cfg(test)]
impl Spans {
    /// The number of padding bytes in the window's lines.
    pub(super) fn blanks(&self) -> usize {
        self.blanks
    }
}
