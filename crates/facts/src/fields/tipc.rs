//! Fields of TIPC sockets.
//!
//! The fields of `-e` are in the Process column, as in the reference.
//!
//! Source: linux/tipc_netlink.h.

use super::block::Block;
use super::{Column, Field, Groups, Style, Text, Unit, Word, endpoint, extended, plain, process, word};
use crate::model::tipc::{TYPES, TipcSocket};
use crate::model::{Addr, Detail, Endpoint, Row};
use crate::number::{put_i64, put_signed, put_u64};

/// All fields of a TIPC socket, in print order.
pub(super) const TIPC: &[Block] = &[
    Block::new(Groups::COLUMNS, &[endpoint::IDENTITY, COLUMNS]),
    Block::new(Groups::EXTENDED, &[OWNER]),
    Block::new(Groups::COLUMNS, &[process::PROCESSES]),
    Block::new(Groups::TIPCINFO, &[INFO]),
];

/// The socket as a TIPC one.
fn tipc<'r>(row: &Row<'r>) -> Option<&'r TipcSocket<'r>> {
    match &row.socket.detail {
        Detail::Tipc(tipc) => Some(tipc),
        _ => None,
    }
}

/// The node of an end; `None` if there is no such end, or if the socket is not TIPC.
fn node(row: &Row<'_>, end: Endpoint) -> Option<u32> {
    match (tipc(row), end.addr) {
        (Some(_), Addr::Number(node)) => Some(node),
        _ => None,
    }
}

/// The two ends, in the order of the columns.
const COLUMNS: &[Field] = &[
    Field::new(
        "tipc.node",
        plain!(|r| node(r, r.socket.local)),
        "Local node; zero on a node that has not joined a network.",
        "TIPC_NLA_SOCK_ADDR",
    )
    .none(0)
    .group(Groups::COLUMNS)
    .text(Text::Column(Column::LocalAddr, |out, r, _| put_node(out, node(r, r.socket.local)))),
    Field::new(
        "tipc.ref",
        plain!(|r| node(r, r.socket.local).and_then(|_| u32::try_from(r.socket.local.port).ok())),
        "Port identifier of the local socket, unique on its node.",
        "TIPC_NLA_SOCK_REF",
    )
    .group(Groups::COLUMNS)
    .text(Text::Column(Column::LocalPort, |out, r, _| put_i64(out, r.socket.local.port))),
    Field::new(
        "tipc.peer_node",
        plain!(|r| node(r, r.socket.remote)),
        "Remote node; absent if there is no connection.",
        "TIPC_NLA_CON_NODE",
    )
    .group(Groups::COLUMNS)
    .text(Text::Column(Column::RemoteAddr, |out, r, _| put_node(out, node(r, r.socket.remote)))),
    Field::new(
        "tipc.peer_ref",
        plain!(|r| node(r, r.socket.remote).and_then(|_| u32::try_from(r.socket.remote.port).ok())),
        "Port identifier of the remote socket, unique on its node; absent if there is no connection.",
        "TIPC_NLA_CON_SOCK",
    )
    .group(Groups::COLUMNS)
    .text(Text::Column(Column::RemotePort, |out, r, _| {
        if node(r, r.socket.remote).is_some() {
            put_i64(out, r.socket.remote.port);
        }
    })),
];

/// The fields of `-e`, before the list of processes.
const OWNER: &[Field] = &[
    extended::UID.in_every_reply().text(Text::Column(Column::Process, extended::put_uid)),
    extended::INODE.in_every_reply().text(Text::Column(Column::Process, extended::put_inode)),
    extended::COOKIE.in_every_reply().text(Text::Column(Column::Process, extended::put_cookie)),
    extended::USER,
];

/// Fields of `--tipcinfo`.
const INFO: &[Field] = &[
    Field::new(
        "tipc.type",
        word!(TYPES, |r| Some(tipc(r)?.type_name())),
        "Type of the socket.",
        "TIPC_NLA_SOCK_TYPE",
    )
    .group(Groups::TIPCINFO)
    .shape("type:NAME")
    .text(Text::Custom(|out, r, style| {
        let Some(tipc) = tipc(r) else { return };
        out.extend_from_slice(if style.oneline { b" type:" } else { b"\n type:" });
        out.extend_from_slice(tipc.type_name().as_bytes());
    })),
    Field::new(
        "tipc.congested",
        word!(CONGESTED, |r| Some(congested(tipc(r)?))),
        "What blocks sending: congestion of the link, of conn (the other end), or none.",
        "TIPC_NLA_SOCK_STAT_LINK_CONG, TIPC_NLA_SOCK_STAT_CONN_CONG",
    )
    .state()
    .group(Groups::TIPCINFO)
    .shape("cong:[link] [conn]")
    .text(Text::Custom(|out, r, _| {
        let Some(tipc) = tipc(r) else { return };
        out.extend_from_slice(b" cong:");
        out.extend_from_slice(congested(tipc).as_bytes());
        out.push(b' ');
    })),
    Field::new(
        "tipc.drops",
        plain!(|r| tipc(r)?.stat().drop()),
        "Messages dropped because the receive queue was full.",
        "TIPC_NLA_SOCK_STAT_DROP",
    )
    .counter(Unit::Packets)
    .group(Groups::TIPCINFO)
    .shape("drop:N")
    .text(Text::Custom(|out, r, _| {
        let Some(drops) = tipc(r).and_then(|tipc| tipc.stat().drop()) else { return };
        out.extend_from_slice(b" drop:");
        put_signed(out, drops);
        out.push(b' ');
    })),
    Field::new(
        "tipc.published",
        plain!(|r| Some(tipc(r)?.has_publ())),
        "Whether the socket is bound to a service.",
        "TIPC_NLA_SOCK_HAS_PUBL",
    )
    .group(Groups::TIPCINFO)
    .text(Text::Word("publ")),
    Field::new(
        "tipc.via_type",
        plain!(|r| Some(tipc(r)?.via()?.0)),
        "Type of the service address through which the connection was made.",
        "TIPC_NLA_CON_TYPE",
    )
    .group(Groups::TIPCINFO)
    .shape("via {TYPE,INSTANCE}")
    .text(Text::Custom(fmt_via)),
    Field::new(
        "tipc.via_instance",
        plain!(|r| Some(tipc(r)?.via()?.1)),
        "Instance of the service address through which the connection was made.",
        "TIPC_NLA_CON_INST",
    )
    .group(Groups::TIPCINFO)
    .text(Text::PartOf("tipc.via_type")),
    Field::new(
        "tipc.in_group",
        plain!(|r| Some(tipc(r)?.in_group())),
        "Whether the socket is a member of a communication group; ss does not show it.",
        "TIPC_NLA_SOCK_GROUP",
    )
    .group(Groups::TIPCINFO),
];

/// The words of [`congested`].
const CONGESTED: &[Word] = &[Word::text("link"), Word::text("conn"), Word::text("none")];

fn congested(tipc: &TipcSocket<'_>) -> &'static str {
    let stat = tipc.stat();
    if stat.link_cong() {
        "link"
    } else if stat.conn_cong() {
        "conn"
    } else {
        "none"
    }
}

/// Appends a node and a colon, or a dash for a missing end.
fn put_node(out: &mut Vec<u8>, node: Option<u32>) {
    match node {
        Some(node) => {
            put_u64(out, node.into());
            out.push(b':');
        }
        None => out.push(b'-'),
    }
}

fn fmt_via(out: &mut Vec<u8>, row: &Row<'_>, _: Style) {
    let Some((kind, instance)) = tipc(row).and_then(TipcSocket::via) else { return };
    out.extend_from_slice(b" via {");
    put_u64(out, kind.into());
    out.push(b',');
    put_u64(out, instance.into());
    out.extend_from_slice(b"} ");
}
