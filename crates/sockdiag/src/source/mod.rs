//! Where sockets come from: the kernel's sock_diag, a recording, or /proc text.
//!
//! [`dump`] passes every record of one table to a visitor, in the order of the source.  For
//! a table of the kernel it tries these sources in turn:
//!
//! ```text
//! one walk (tcp, both families) -> a dump per family -> the legacy request -> /proc/net text
//! ```
//!
//! Invariant: a source is replaced by the next only if it has delivered no record, so a
//! socket is never shown twice; a later failure is an error with the number of records
//! delivered.
//!
//! The same holds for a dump during which the table changed (`NLM_F_DUMP_INTR`): it is
//! repeated, up to three times, as long as the visitor can still drop its records.
//!
//! Source: sock_diag(7), linux/inet_diag.h, and ss's order of sources.

mod access;
mod contract;
mod destroy;
mod events;
mod exchange;
mod ladder;
mod look_up;
mod missing;
mod netlink;
mod one_dump;
mod packet;
mod proc_net;
mod record;
mod replay;
mod request;
mod smc;
mod sources;
mod summary;
mod tipc;
mod unix;
mod vsock;
mod walk;
mod xdp;

use std::sync::Arc;

use sockdiag_wire::ipproto::IPPROTO_TCP;

use crate::filter::Pinned;
use crate::model::{MessageKind, Table};
use crate::notice::Notice;

pub use access::Access;
pub use contract::{
    DumpError, DumpErrorKind, Exact, Instead, LONGEST_MESSAGE, Programs, Query, Storages, Visit,
};
pub use destroy::{Destroyer, Fate};
pub use events::groups as event_groups;
pub(crate) use events::{Arrived, Events};
pub(crate) use exchange::open_notice;
pub(crate) use ladder::kernel_knows_cgroup_condition;
pub(crate) use look_up::{Identity, LookUps, closed_first};
pub(crate) use missing::bound_inactive;
pub use missing::missing;
pub use record::{RecordError, record};
pub use replay::deficit;
pub(crate) use sources::ports_listed;
pub use sources::{Sources, Way};
pub use summary::{Summary, summary, summary_in};
pub(crate) use walk::{ActiveWalk, NO_BUCKET, OF_THE_SOCKET, Passage, Watched};

/// A request for the TCP socket with this identity that is bound to no interface; its only
/// reply has sequence number 0.
pub(crate) fn listener_request(pinned: &Pinned) -> Option<Vec<u8>> {
    request::one_socket(&Query::of(Table::Tcp), pinned, 0, 0)
}

/// Reads the TCP sockets of these namespaces, by inode, in a single walk of the kernel's
/// tables, in place of a dump in each; empty if dumps are better.
pub(crate) fn ahead(
    query: &Query,
    sources: &Sources,
    inodes: &[u64],
    is_weighed: bool,
    access: &mut Access,
    notices: &mut dyn FnMut(Notice),
) -> Vec<(u64, Arc<dyn Instead>)> {
    let is_live = sources.tcpdiag_file.is_none() && !sources.text_is_forced(query.table);
    if !is_live || !matches!(sources.way, Way::Walk | Way::Best) {
        return Vec::new();
    }
    let is_chosen = match sources.way {
        Way::Best if !is_weighed => walk::pays_for(inodes.len(), query, access),
        _ => Ok(()),
    };
    match is_chosen.and_then(|()| walk::ahead(query, inodes, access)) {
        Ok(shares) => shares,
        Err(why) => {
            access.keep_refusal(&why);
            if sources.tells_refusal(&why) {
                notices(Notice::NotWalked { why });
            }
            Vec::new()
        }
    }
}

/// Passes every record of one table to `visit`, from the best available source.
///
/// For tcp a recording comes first (`TCPDIAG_FILE`), then /proc text if the environment
/// asks for it, then the kernel.  A recording is passed on whole: states and families do
/// not apply.
///
/// # Errors
/// If no source was left, or one failed after its first record.
pub fn dump(
    query: &Query,
    sources: &Sources,
    access: &mut Access,
    visit: &mut dyn Visit,
    notices: &mut dyn FnMut(Notice),
) -> Result<(), DumpError> {
    match query.table.message_kind() {
        MessageKind::Inet => {}
        MessageKind::Unix => return unix::dump(query, sources, access, visit, notices),
        MessageKind::Netlink => return netlink::dump(query, sources, access, visit, notices),
        MessageKind::Packet => return packet::dump(query, sources, access, visit, notices),
        MessageKind::Vsock => return vsock::dump(query, sources, access, visit, notices),
        MessageKind::Tipc => return tipc::dump(query, sources, access, visit, notices),
        MessageKind::Xdp => return xdp::dump(query, sources, access, visit, notices),
        MessageKind::Smc => return smc::dump(query, sources, access, visit, notices),
    }
    let is_tcp = query.table.protocol() == IPPROTO_TCP;
    if is_tcp && let Some(file) = &sources.tcpdiag_file {
        return replay::replay(file, query, visit, notices);
    }
    if sources.text_is_forced(query.table) {
        return proc_net::dump(query, sources, access, visit);
    }
    ladder::dump(query, sources, access, visit, notices)
}
