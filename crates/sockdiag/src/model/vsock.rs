//! vsock sockets.

use super::socket::{Record, Socket};

/// What only vsock sockets report.
#[derive(Clone, Copy, Debug)]
pub struct VsockSocket;

pub(super) fn decode(_: Record<'_>) -> Option<Socket<'_>> {
    None
}
