//! When a window is full: accounting that mimics the buffer of the reference.
//!
//! The reference stores tokens in chunks of one mebibyte.  A token takes its text, padded to
//! an even length, plus two bytes, and never spans two chunks.

/// Usable bytes of a chunk.
pub(super) const CHUNK: usize = 1_048_560;
/// A window is printed once it occupies this many chunks.
pub(super) const CHUNKS: u32 = 5;
/// The bytes that a token takes in addition to its text.
const TOKEN_HEADER: usize = 2;

/// The space that a token of this length occupies in a chunk.
#[inline]
pub(super) fn cost(length: usize) -> usize {
    length + (length & 1) + TOKEN_HEADER
}

/// Tracks how much of the buffer is used.
pub(super) struct Chunks {
    /// Bytes used in the current chunk, including the header of the next token.
    used: usize,
    /// Number of chunks, including the current one.
    taken: u32,
}

impl Chunks {
    /// An empty buffer.
    pub(super) const EMPTY: Self = Self { used: TOKEN_HEADER, taken: 1 };

    /// Whether tokens of this total cost certainly fit the current chunk while the window is
    /// not full.
    #[inline]
    pub(super) fn has_room(&self, cost: usize) -> bool {
        self.used + cost <= CHUNK && self.taken < CHUNKS
    }

    /// Accounts for tokens that fit.
    #[inline]
    pub(super) fn take(&mut self, cost: usize) {
        self.used += cost;
    }

    /// Makes room for a token: moves to the next chunk if the current one is too full.
    pub(super) fn begin_token(&mut self, length: usize) {
        if self.used + length >= CHUNK && self.used != TOKEN_HEADER {
            self.next();
        }
    }

    /// Accounts for the token and the header of the next one.
    pub(super) fn end_token(&mut self, length: usize) {
        let padding = length & 1;
        self.used += length;
        if CHUNK.saturating_sub(self.used + padding) < TOKEN_HEADER {
            self.next();
        } else {
            self.used += padding + TOKEN_HEADER;
        }
    }

    /// Whether the window is full.
    pub(super) fn are_all_taken(&self) -> bool {
        self.taken >= CHUNKS
    }

    fn next(&mut self) {
        self.taken += 1;
        self.used = TOKEN_HEADER;
    }
}
