//! The SMC table: one dump for all sockets, with no other source.
//!
//! The kernel applies no conditions, so the states are tested here.  Values of a connection
//! and its devices are requested only if wanted.
//!
//! Source: linux/smc_diag.h.

use sockdiag_wire::smc_diag::{EXT_CONNINFO, EXT_DMBINFO, EXT_LGRINFO, SmcDiagMsg, SmcDiagReq};

use super::access::Access;
use super::contract::{DumpError, Query, Visit};
use super::one_dump;
use super::sources::Sources;
use crate::fields::Needs;
use crate::model::{Family, states};
use crate::notice::Notice;

/// Optional attributes and the needs that request them; other attributes always come.
const EXTENSIONS: [(Needs, u8); 3] = [
    (Needs::SMC_CONNINFO, EXT_CONNINFO),
    (Needs::SMC_LGRINFO, EXT_LGRINFO),
    (Needs::SMC_DMBINFO, EXT_DMBINFO),
];

/// Reads the table.
pub(super) fn dump(
    query: &Query,
    _: &Sources,
    access: &mut Access,
    visit: &mut dyn Visit,
    notices: &mut dyn FnMut(Notice),
) -> Result<(), DumpError> {
    let mut body = Vec::new();
    SmcDiagReq { family: Family::Smc.number(), ext: extensions(query.needs) }.encode(&mut body);
    let wanted = |bytes: &[u8]| {
        SmcDiagMsg::new(bytes).is_none_or(|msg| states::smc_chosen_by(msg.state()).intersects(query.states))
    };
    one_dump::dump(query, access, &body, wanted, visit, notices)
}

fn extensions(needs: Needs) -> u8 {
    let wanted = EXTENSIONS.iter().filter(|(need, _)| needs.has(*need));
    wanted.fold(0, |all, (_, bit)| all | bit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::{Catalog, Groups};

    #[test]
    fn details_are_asked_for_where_they_are_shown() {
        let catalog = Catalog::standard();
        for (groups, bits) in
            [(Groups::COLUMNS, 0), (Groups::EXTENDED.union(Groups::MEMORY), 0), (Groups::INFO, 0b1011)]
        {
            assert_eq!(extensions(catalog.needs(groups)), bits, "{groups:?}");
        }
        assert_eq!(extensions(catalog.needs_of("smc.conn_token")), EXT_CONNINFO);
    }
}
