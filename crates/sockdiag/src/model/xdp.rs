//! xdp sockets.

use super::socket::{Record, Socket};

/// What only xdp sockets report.
#[derive(Clone, Copy, Debug)]
pub struct XdpSocket<'a>(pub &'a [u8]);

pub(super) fn decode(_: Record<'_>) -> Option<Socket<'_>> {
    None
}
