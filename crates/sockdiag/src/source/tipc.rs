//! The TIPC table: one dump, with no other source.
//!
//! Source: linux/tipc_sockets_diag.h; ss's behaviour.

use sockdiag_wire::tipc_diag::TipcSockDiagReq;

use super::access::Access;
use super::contract::{DumpError, Query, Visit};
use super::one_dump;
use super::sources::Sources;
use crate::model::Family;
use crate::notice::Notice;

/// Reads the table.
pub(super) fn dump(
    query: &Query,
    _: &Sources,
    access: &mut Access,
    visit: &mut dyn Visit,
    notices: &mut dyn FnMut(Notice),
) -> Result<(), DumpError> {
    let mut body = Vec::new();
    TipcSockDiagReq { family: Family::Tipc.number(), states: query.states.bits() }.encode(&mut body);
    one_dump::dump(query, access, &body, |_| true, visit, notices)
}
