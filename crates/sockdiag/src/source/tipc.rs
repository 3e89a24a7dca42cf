//! The TIPC table: one dump, which nothing stands in for.
//!
//! Source: linux/tipc_sockets_diag.h; ss's behaviour.

use sockdiag_wire::tipc_diag::TipcSockDiagReq;

use super::{DumpError, Query, Sources, Visit, one_dump};
use crate::model::Family;
use crate::notice::Notice;

/// Reads the table.
pub(super) fn dump(
    query: &Query,
    _: &Sources,
    visit: &mut dyn Visit,
    notices: &mut dyn FnMut(Notice),
) -> Result<(), DumpError> {
    let mut body = Vec::new();
    TipcSockDiagReq { family: Family::Tipc.number(), states: query.states.bits() }.encode(&mut body);
    one_dump::dump(query, &body, |_| true, visit, notices)
}
