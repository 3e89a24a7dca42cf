//! netlink sockets.

use super::socket::{Record, Socket};

/// What only netlink sockets report.
#[derive(Clone, Copy, Debug)]
pub struct NetlinkSocket<'a>(pub &'a [u8]);

pub(super) fn decode(_: Record<'_>) -> Option<Socket<'_>> {
    None
}
