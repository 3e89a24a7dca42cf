//! Fields of vsock sockets.
//!
//! Context ids and ports of all ones mean any.  The reference prints only their columns.
//!
//! Source: linux/vm_sockets_diag.h.

use sockdiag_wire::vsock_diag::{VMADDR_CID_ANY, VMADDR_PORT_ANY};

use super::block::Block;
use super::{Column, Field, Groups, Text, endpoint, extended, plain, process};
use crate::model::vsock::TYPES;
use crate::model::{Addr, Detail, Endpoint, Row};
use crate::number::{put_i64, put_u64};

/// All fields of a vsock socket, in print order.
pub(super) const VSOCK: &[Block] = &[
    Block::new(Groups::COLUMNS, &[endpoint::IDENTITY, COLUMNS, process::PROCESSES]),
    Block::new(Groups::EXTENDED, &[DETAILS]),
];

/// The two ends, in the order of the columns.
const COLUMNS: &[Field] = &[
    Field::new(
        "vsock.src_cid",
        plain!(|r| cid(r, r.socket.local)),
        "Local context ID (CID): a virtual machine, or 2 for the host; all ones accepts from any.",
        "vdiag_src_cid",
    )
    .none(VMADDR_CID_ANY as i128)
    .group(Groups::COLUMNS)
    .text(Text::Column(Column::LocalAddr, |out, r, _| put_cid(out, r, r.socket.local))),
    endpoint::LOCAL_PORT
        .none(VMADDR_PORT_ANY as i128)
        .text(Text::Column(Column::LocalPort, |out, r, _| put_port(out, r.socket.local.port))),
    Field::new(
        "vsock.dst_cid",
        plain!(|r| cid(r, r.socket.remote)),
        "Remote context ID (CID); all ones if there is none.",
        "vdiag_dst_cid",
    )
    .none(VMADDR_CID_ANY as i128)
    .group(Groups::COLUMNS)
    .text(Text::Column(Column::RemoteAddr, |out, r, _| put_cid(out, r, r.socket.remote))),
    endpoint::REMOTE_PORT
        .none(VMADDR_PORT_ANY as i128)
        .text(Text::Column(Column::RemotePort, |out, r, _| put_port(out, r.socket.remote.port))),
];

/// Fields that `ss` prints for other sockets but not for these.
const DETAILS: &[Field] = &[
    extended::INODE.text(Text::Silent),
    extended::COOKIE.text(Text::Silent),
    Field::new(
        "vsock.type",
        plain!(|r| match r.socket.detail {
            Detail::Vsock(vsock) => Some(vsock.kind),
            _ => None,
        }),
        "Type of the socket.",
        "vdiag_type",
    )
    .words(TYPES)
    .group(Groups::EXTENDED),
    // All of vsock's details are silent.
    extended::SHUTDOWN_MASK.text(Text::Silent),
];

fn cid(row: &Row<'_>, end: Endpoint) -> Option<u32> {
    match (row.socket.detail, end.addr) {
        (Detail::Vsock(_), Addr::Number(cid)) => Some(cid),
        _ => None,
    }
}

fn put_cid(out: &mut Vec<u8>, row: &Row<'_>, end: Endpoint) {
    match cid(row, end) {
        None | Some(VMADDR_CID_ANY) => out.push(b'*'),
        Some(cid) => put_u64(out, cid.into()),
    }
    out.push(b':');
}

/// Appends a port; unlike for other families, 0 is a valid port.
fn put_port(out: &mut Vec<u8>, port: i64) {
    if port == i64::from(VMADDR_PORT_ANY) {
        out.push(b'*');
    } else {
        put_i64(out, port);
    }
}
