//! The layout of a window's lines: runs of rows that share a layout.
//!
//! Invariant: the blanks that a window holds are bounded.  Once there are too
//! many, or too many spans, or a layout is too wide, further rows are kept as
//! texts end to end and are padded when the window is printed.

use std::ops::Range;

use crate::layout::Layout;

/// A window holds about this many blanks at most.
pub(super) const MOST_BLANKS: usize = 3 << 20;
/// And this many spans.
const MOST_SPANS: usize = 64;
/// Rows that would be padded to more than this are padded when printed.
const WIDE: usize = 4096;

/// Rows that are laid out alike.
struct Span {
    /// The start of their lines in the window's text.
    text: usize,
    /// The start of their lengths in the window's lengths.
    lengths: usize,
    layout: Layout,
}

/// The spans of a window, in order.
pub(super) struct Spans {
    list: Vec<Span>,
    /// The layout of the last span, which the current row is written by.
    now: Layout,
    /// The number of padding bytes in the window's lines.
    blanks: usize,
}

impl Spans {
    /// One span, without rows.
    pub(super) fn new(layout: &Layout) -> Self {
        Self { list: vec![Span { text: 0, lengths: 0, layout: *layout }], now: *layout, blanks: 0 }
    }

    /// The layout by which the current row is written.
    // A part of what is inlined for every token.
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

    /// Whether no further blanks may be added.
    #[inline]
    pub(super) fn hold_too_many_blanks(&self) -> bool {
        self.blanks > MOST_BLANKS
    }

    /// Begins rows of this layout, or of none where no more blanks may be
    /// added; their lines and lengths begin at these offsets.
    pub(super) fn begin(&mut self, text: usize, lengths: usize, layout: &Layout, columns: &[usize]) {
        let waits = self.hold_too_many_blanks() || self.list.len() >= MOST_SPANS || layout.surplus() > WIDE;
        let layout = if waits { Layout::none(columns) } else { *layout };
        if self.list.last().is_none_or(|span| span.layout != layout) {
            self.list.push(Span { text, lengths, layout });
            self.now = layout;
        }
    }

    /// The layout of each span with its part of the window's text and lengths,
    /// which are this long.
    pub(super) fn iter(
        &self,
        text: usize,
        lengths: usize,
    ) -> impl Iterator<Item = (&Layout, Range<usize>, Range<usize>)> {
        let nexts = self.list.iter().skip(1).map(|next| (next.text, next.lengths)).chain([(text, lengths)]);
        let spans = self.list.iter().zip(nexts);
        spans.map(|(span, (text, lengths))| (&span.layout, span.text..text, span.lengths..lengths))
    }

    /// Forgets all spans; another one has to begin.
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
