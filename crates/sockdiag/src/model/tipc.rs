//! tipc sockets.

use super::socket::{Record, Socket};

/// What only tipc sockets report.
#[derive(Clone, Copy, Debug)]
pub struct TipcSocket<'a>(pub &'a [u8]);

pub(super) fn decode(_: Record<'_>) -> Option<Socket<'_>> {
    None
}
