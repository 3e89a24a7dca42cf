//! When a window is full: the accounting of the reference's buffer.
//!
//! The reference keeps tokens in chunks of a mebibyte.  A token costs two bytes
//! more than its text, which is rounded up to an even length, and never crosses
//! from one chunk into the next.

/// Usable bytes of a chunk.
pub(super) const CHUNK: usize = 1_048_560;
/// A window is printed when it takes this many chunks.
pub(super) const CHUNKS: u32 = 5;
/// Bytes of a chunk that a token takes beside its text.
const TOKEN_HEADER: usize = 2;

/// The space that a token of this length takes in a chunk.
#[inline]
pub(super) fn cost(length: usize) -> usize {
    length + (length & 1) + TOKEN_HEADER
}

/// Tracks how much of the buffer is used.
pub(super) struct Chunks {
    /// Bytes of the current chunk, the next token's header included.
    used: usize,
    /// Chunks, the current one included.
    taken: u32,
}

impl Chunks {
    /// An empty buffer.
    pub(super) const EMPTY: Self = Self { used: TOKEN_HEADER, taken: 1 };

    /// Whether tokens that cost this much together surely fit the current
    /// chunk, and the window is not full.
    #[inline]
    pub(super) fn has_room(&self, cost: usize) -> bool {
        self.used + cost <= CHUNK && self.taken < CHUNKS
    }

    /// Takes tokens for which there is room.
    #[inline]
    pub(super) fn take(&mut self, cost: usize) {
        self.used += cost;
    }

    /// Makes room for a token: goes to the next chunk if this one is too full.
    pub(super) fn begin_token(&mut self, length: usize) {
        if self.used + length >= CHUNK && self.used != TOKEN_HEADER {
            self.next();
        }
    }

    /// Takes the token, and the header of the next one.
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
