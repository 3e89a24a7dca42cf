//! Fields of XDP sockets.
//!
//! Source: linux/xdp_diag.h.

use sockdiag_wire::xdp_diag::{XDP_DU_F_ZEROCOPY, XdpDiagMsg, XdpRing, XdpUmem};

use super::block::Block;
use super::{
    Column, Field, Groups, Read, Style, Text, Unit, Word, endpoint, extended, memory, plain, process,
};
use crate::model::xdp::XdpSocket;
use crate::model::{Detail, Row};
use crate::number::put_u64;

/// All fields of an XDP socket, in print order.
pub(super) const XDP: &[Block] = &[
    Block::new(Groups::COLUMNS, &[endpoint::IDENTITY, COLUMNS, process::PROCESSES]),
    Block::new(Groups::EXTENDED, &[extended::OWNER, RINGS, STATS]),
    Block::new(Groups::MEMORY, &[memory::SK]),
];

/// The socket as an XDP one.
fn xdp<'r>(row: &Row<'r>) -> Option<&'r XdpSocket<'r>> {
    match &row.socket.detail {
        Detail::Xdp(xdp) => Some(xdp),
        _ => None,
    }
}

fn msg<'r>(row: &Row<'r>) -> Option<&'r XdpDiagMsg<'r>> {
    xdp(row).map(|xdp| &xdp.0)
}

/// The only endpoint, in the order of the columns.
const COLUMNS: &[Field] = &[
    endpoint::INTERFACE.text(Text::Column(Column::LocalAddr, |out, r, _| {
        if r.socket.ifindex == 0 {
            out.push(b'*');
        } else {
            endpoint::put_interface(out, r);
            out.push(b':');
        }
    })),
    Field::new(
        "xdp.queue_id",
        plain!(|r| xdp(r)?.queue_id()),
        "Queue of the interface that the socket is bound to; absent if it is not bound.",
        "queue_id",
    )
    .group(Groups::COLUMNS)
    .text(Text::Column(Column::LocalPort, |out, r, _| {
        if r.socket.ifindex != 0 {
            out.push(b'q');
            put_u64(out, xdp(r).and_then(XdpSocket::queue_id).unwrap_or(0).into());
        }
    })),
    endpoint::REMOTE_ADDR.text(Text::Column(Column::RemoteAddr, |out, _, _| out.push(b'*'))),
    endpoint::INTERFACE_NAME,
];

macro_rules! umem {
    ($method:ident) => {
        plain!(|r| msg(r)?.umem()?.$method())
    };
}

macro_rules! stats {
    ($method:ident) => {
        plain!(|r| msg(r)?.stats()?.$method())
    };
}

const fn of(name: &'static str, read: Read, doc: &'static str, source: &'static str, text: Text) -> Field {
    Field::new(name, read, doc, source).group(Groups::EXTENDED).text(text)
}

const UMEM: Text = Text::PartOf("xdp.umem_id");
const COUNTERS: Text = Text::PartOf("xdp.rx_dropped");

/// Flags of the packet memory.
const UMEM_FLAGS: &[Word] = &[Word::new(XDP_DU_F_ZEROCOPY, "zerocopy")];

/// Rings and packet memory, for `-e`.
const RINGS: &[Field] = &[
    of(
        "xdp.rx_entries",
        plain!(|r| msg(r)?.rx_ring()?.entries()),
        "Capacity of the receive ring in descriptors; absent if there is no such ring.",
        "XDP_DIAG_RX_RING",
        Text::Custom(|out, r, style| put_ring(out, b"rx", msg(r).and_then(XdpDiagMsg::rx_ring), style)),
    )
    .tokens("entries")
    .gauge(Unit::Count)
    .shape("rx(entries:N)"),
    of(
        "xdp.tx_entries",
        plain!(|r| msg(r)?.tx_ring()?.entries()),
        "Capacity of the transmit ring in descriptors; absent if there is no such ring.",
        "XDP_DIAG_TX_RING",
        Text::Custom(|out, r, style| put_ring(out, b"tx", msg(r).and_then(XdpDiagMsg::tx_ring), style)),
    )
    .tokens("entries")
    .gauge(Unit::Count)
    .shape("tx(entries:N)"),
    of("xdp.umem_id", umem!(id), "ID of the UMEM, the packet memory.", "id", Text::Custom(fmt_umem))
        .tokens("id tumem")
        .shape("umem(id:N,size:N,...)"),
    of("xdp.umem_bytes", umem!(size), "Size of the UMEM.", "size", UMEM).tokens("size").gauge(Unit::Bytes),
    of("xdp.umem_pages", umem!(num_pages), "Number of pages in the UMEM.", "num_pages", UMEM)
        .tokens("num_pages")
        .gauge(Unit::Count),
    of("xdp.umem_chunk_bytes", umem!(chunk_size), "Size of a UMEM chunk (frame).", "chunk_size", UMEM)
        .tokens("chunk_size")
        .gauge(Unit::Bytes)
        .size(),
    of(
        "xdp.umem_headroom_bytes",
        umem!(headroom),
        "Headroom before the packet in a chunk.",
        "headroom",
        UMEM,
    )
    .tokens("headroom")
    .gauge(Unit::Bytes)
    .size(),
    of(
        "xdp.umem_ifindex",
        umem!(ifindex),
        "Index of the interface that the UMEM is bound to.",
        "ifindex",
        UMEM,
    )
    .tokens("ifindex")
    .none(0),
    of("xdp.umem_queue_id", umem!(queue_id), "Interface queue that the UMEM is bound to.", "queue_id", UMEM)
        .tokens("qid"),
    of(
        "xdp.umem_zerocopy",
        plain!(|r| zerocopy(msg(r)?.umem()?)),
        "Whether the driver uses the UMEM in zero-copy mode.",
        "XDP_DU_F_ZEROCOPY",
        UMEM,
    )
    .tokens("zc"),
    of("xdp.umem_flags", umem!(flags), "Flags of the UMEM: 1 zero-copy.", "flags", Text::Silent)
        .flags(UMEM_FLAGS),
    of("xdp.umem_refs", umem!(refs), "Sockets that use the UMEM.", "refs", UMEM)
        .tokens("refs")
        .gauge(Unit::Count)
        .size(),
    of(
        "xdp.fill_entries",
        plain!(|r| msg(r)?.fill_ring()?.entries()),
        "Capacity of the fill ring in descriptors; absent if there is no such ring.",
        "XDP_DIAG_UMEM_FILL_RING",
        Text::Custom(|out, r, style| {
            put_ring(out, b"fr", with_umem(r).and_then(XdpDiagMsg::fill_ring), style);
        }),
    )
    .tokens("entries")
    .gauge(Unit::Count)
    .shape("fr(entries:N)"),
    of(
        "xdp.completion_entries",
        plain!(|r| msg(r)?.completion_ring()?.entries()),
        "Capacity of the completion ring in descriptors; absent if there is no such ring.",
        "XDP_DIAG_UMEM_COMPLETION_RING",
        Text::Custom(|out, r, style| {
            put_ring(out, b"cr", with_umem(r).and_then(XdpDiagMsg::completion_ring), style);
        }),
    )
    .tokens("entries")
    .gauge(Unit::Count)
    .shape("cr(entries:N)"),
];

/// Counters, for `-e`.
const STATS: &[Field] = &[
    of(
        "xdp.rx_dropped",
        stats!(rx_dropped),
        "Received packets dropped for reasons other than rx_invalid and rx_full.",
        "n_rx_dropped",
        Text::Custom(fmt_stats),
    )
    .tokens("rx_dropped")
    .shape("stats(rx dropped:N,...)")
    .counter(Unit::Packets),
    of(
        "xdp.rx_invalid",
        stats!(rx_invalid),
        "Packets dropped because a descriptor in the fill ring was invalid.",
        "n_rx_invalid",
        COUNTERS,
    )
    .counter(Unit::Packets),
    of(
        "xdp.rx_full",
        stats!(rx_full),
        "Packets dropped because the receive ring was full.",
        "n_rx_full",
        COUNTERS,
    )
    .tokens("rx_queue_full")
    .counter(Unit::Packets),
    of(
        "xdp.fill_ring_empty",
        stats!(fill_ring_empty),
        "Times that the fill ring was empty.",
        "n_fill_ring_empty",
        COUNTERS,
    )
    .tokens("rx_fill_ring_empty")
    .counter(Unit::Count),
    of(
        "xdp.tx_invalid",
        stats!(tx_invalid),
        "Packets not sent because of an invalid descriptor.",
        "n_tx_invalid",
        COUNTERS,
    )
    .counter(Unit::Packets),
    of(
        "xdp.tx_ring_empty",
        stats!(tx_ring_empty),
        "Times that the transmit ring was empty.",
        "n_tx_ring_empty",
        COUNTERS,
    )
    .counter(Unit::Count),
];

fn zerocopy(umem: XdpUmem<'_>) -> Option<bool> {
    Some(umem.flags()? & XDP_DU_F_ZEROCOPY != 0)
}

/// Begins a new line, or appends a blank with `-O`.
fn begin(out: &mut Vec<u8>, style: Style) {
    out.extend_from_slice(if style.oneline { b" " } else { b"\n\t" });
}

fn put_ring(out: &mut Vec<u8>, name: &[u8], ring: Option<XdpRing<'_>>, style: Style) {
    let Some(ring) = ring else { return };
    begin(out, style);
    out.extend_from_slice(name);
    out.extend_from_slice(b"(entries:");
    put_u64(out, ring.entries().unwrap_or(0).into());
    out.push(b')');
}

/// The message, if it has packet memory; without it, the rings of that memory are not shown.
fn with_umem<'r>(row: &Row<'r>) -> Option<&'r XdpDiagMsg<'r>> {
    msg(row).filter(|msg| msg.umem().is_some())
}

fn fmt_umem(out: &mut Vec<u8>, row: &Row<'_>, style: Style) {
    let Some(umem) = msg(row).and_then(XdpDiagMsg::umem) else { return };
    // With `-O`, the reference leaves the `t` of the tab in the text.
    out.extend_from_slice(if style.oneline { b" tumem(id:" } else { b"\n\tumem(id:" });
    let word = |word: Option<u32>| u64::from(word.unwrap_or(0));
    put_u64(out, word(umem.id()));
    for (name, value) in [
        (&b",size:"[..], umem.size().unwrap_or(0)),
        (b",num_pages:", word(umem.num_pages())),
        (b",chunk_size:", word(umem.chunk_size())),
        (b",headroom:", word(umem.headroom())),
        (b",ifindex:", word(umem.ifindex())),
        (b",qid:", word(umem.queue_id())),
        (b",zc:", zerocopy(umem).unwrap_or(false).into()),
        (b",refs:", word(umem.refs())),
    ] {
        out.extend_from_slice(name);
        put_u64(out, value);
    }
    out.push(b')');
}

fn fmt_stats(out: &mut Vec<u8>, row: &Row<'_>, style: Style) {
    let Some(stats) = msg(row).and_then(XdpDiagMsg::stats) else { return };
    begin(out, style);
    let counters: [(&[u8], Option<u64>); 6] = [
        (b"stats(rx dropped:", stats.rx_dropped()),
        (b",rx invalid:", stats.rx_invalid()),
        (b",rx queue full:", stats.rx_full()),
        (b",rx fill ring empty:", stats.fill_ring_empty()),
        (b",tx invalid:", stats.tx_invalid()),
        (b",tx ring empty:", stats.tx_ring_empty()),
    ];
    for (name, counter) in counters {
        out.extend_from_slice(name);
        put_u64(out, counter.unwrap_or(0));
    }
    out.push(b')');
}
