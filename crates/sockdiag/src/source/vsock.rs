//! The vsock tables: one dump for both, with no other source.
//!
//! The kernel filters by state but not by type, so sockets of tables that are not listed
//! are dropped here; a type without a table (sequenced packets) is always passed on.
//!
//! Source: linux/vm_sockets_diag.h; ss's behaviour.

use sockdiag_wire::vsock_diag::{VsockDiagMsg, VsockDiagReq};

use super::access::Access;
use super::contract::{DumpError, Query, Visit};
use super::one_dump;
use super::sources::Sources;
use crate::model::{Family, vsock};
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
    VsockDiagReq { family: Family::Vsock.number(), states: query.states.bits() }.encode(&mut body);
    let wanted = |bytes: &[u8]| {
        let table = VsockDiagMsg::new(bytes).and_then(|msg| vsock::table_of(msg.kind()));
        table.is_none_or(|table| query.tables.contains(table))
    };
    one_dump::dump(query, access, &body, wanted, visit, notices)
}
