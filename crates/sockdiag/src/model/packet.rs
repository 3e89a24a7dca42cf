//! packet sockets.

use super::socket::{Record, Socket};

/// What only packet sockets report.
#[derive(Clone, Copy, Debug)]
pub struct PacketSocket<'a>(pub &'a [u8]);

pub(super) fn decode(_: Record<'_>) -> Option<Socket<'_>> {
    None
}
