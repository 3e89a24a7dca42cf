//! The XDP table: one dump, with no other source.
//!
//! Everything is always requested, as the reference does: the interface is a column, and
//! the receive queue is part of the memory report.
//!
//! Source: linux/xdp_diag.h; ss's behaviour.

use sockdiag_wire::xdp_diag::{
    XDP_SHOW_INFO, XDP_SHOW_MEMINFO, XDP_SHOW_RING_CFG, XDP_SHOW_STATS, XDP_SHOW_UMEM, XdpDiagReq,
};

use super::access::Access;
use super::contract::{DumpError, Query, Visit};
use super::one_dump;
use super::sources::Sources;
use crate::model::Family;
use crate::notice::Notice;

/// All attributes.
const SHOW: u32 = XDP_SHOW_INFO | XDP_SHOW_RING_CFG | XDP_SHOW_UMEM | XDP_SHOW_MEMINFO | XDP_SHOW_STATS;

/// Reads the table.
pub(super) fn dump(
    query: &Query,
    _: &Sources,
    access: &mut Access,
    visit: &mut dyn Visit,
    notices: &mut dyn FnMut(Notice),
) -> Result<(), DumpError> {
    let mut body = Vec::new();
    XdpDiagReq { family: Family::Xdp.number(), show: SHOW }.encode(&mut body);
    one_dump::dump(query, access, &body, |_| true, visit, notices)
}
