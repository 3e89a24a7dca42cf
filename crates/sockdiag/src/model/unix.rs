//! unix sockets.

use super::socket::{Record, Socket};

/// What only unix sockets report.
#[derive(Clone, Copy, Debug)]
pub struct UnixSocket<'a>(pub &'a [u8]);

pub(super) fn decode(_: Record<'_>) -> Option<Socket<'_>> {
    None
}
