//! Fields of packet sockets.
//!
//! The address of a packet socket is its link-layer protocol; its port is the interface that
//! it is bound to.  It has no remote end.
//!
//! Source: linux/packet_diag.h, linux/if_packet.h; `/proc/net/packet`.

mod text;

use sockdiag_wire::packet_diag::{
    PACKET_FANOUT_CBPF, PACKET_FANOUT_CPU, PACKET_FANOUT_EBPF, PACKET_FANOUT_HASH, PACKET_FANOUT_LB,
    PACKET_FANOUT_QM, PACKET_FANOUT_RND, PACKET_FANOUT_ROLLOVER, PACKET_MR_ALLMULTI, PACKET_MR_MULTICAST,
    PACKET_MR_PROMISC, PACKET_MR_UNICAST, PDI_AUXDATA, PDI_LOSS, PDI_ORIGDEV, PDI_RUNNING, PDI_VNETHDR,
    TP_FT_REQ_FILL_RXHASH, TPACKET_V1, TPACKET_V2, TPACKET_V3,
};

use super::{
    Block, Column, Field, Groups, Int, Item, Kind, List, Member, Needs, Read, Text, Unit, Value, Word,
    endpoint, extended, memory, plain, process, word,
};
use crate::model::packet::PacketSocket;
use crate::model::protocol_names;
use crate::model::{Addr, Detail, Row};
use crate::number::{put_hex, put_u64};

/// All fields of a packet socket, in print order.
pub(super) const BLOCKS: &[Block] = &[
    Block::new(Groups::COLUMNS, &[endpoint::IDENTITY, ADDRESSES, process::PROCESSES]),
    Block::new(Groups::EXTENDED, &[extended::OWNER, INFO, RINGS, FANOUT, MCLIST]),
    Block::new(Groups::BPF, &[FILTER]),
    Block::new(Groups::MEMORY, &[memory::SK]),
];

fn packet<'r>(row: &'r Row<'_>) -> Option<&'r PacketSocket<'r>> {
    match &row.socket.detail {
        Detail::Packet(packet) => Some(packet),
        _ => None,
    }
}

/// `ETH_P_ALL`.
const ALL: u32 = 3;

const ADDRESSES: &[Field] = &[
    Field::new(
        "packet.protocol",
        plain!(|r| packet(r).and_then(|_| u16::try_from(protocol(r)).ok())),
        "Link protocol (ETH_P_*) of the packets that the socket receives: zero none, 3 all.",
        "pdiag_num",
    )
    .words(protocol_names::LINK)
    .none(0)
    .group(Groups::COLUMNS)
    .text(Text::Column(Column::LocalAddr, |out, r, style| {
        let number = protocol(r);
        match protocol_names::link_name(number).filter(|_| !style.numeric) {
            _ if number == ALL => out.push(b'*'),
            Some(name) => out.extend_from_slice(name.as_bytes()),
            None => {
                out.push(b'[');
                put_u64(out, number.into());
                out.push(b']');
            }
        }
        out.push(b':');
    })),
    Field::new(
        "packet.interface",
        plain!(|r| packet(r).map(|_| r.socket.ifindex), unless 0),
        "Index of the interface that the socket is bound to; absent if it receives from all.",
        "pdi_index",
    )
    .print_needs(Needs::INTERFACES)
    .group(Groups::COLUMNS)
    .text(Text::Column(Column::LocalPort, |out, r, _| {
        if r.socket.ifindex == 0 {
            out.push(b'*');
        } else {
            endpoint::put_interface(out, r);
        }
    })),
    Field::new(
        "packet.peer",
        Read::of(Kind::Addr, |_| None),
        "Always absent, as packet sockets have no peer; ss shows an asterisk.",
        "packet(7)",
    )
    .group(Groups::COLUMNS)
    .text(Text::Column(Column::RemoteAddr, |out, _, _| out.push(b'*'))),
    endpoint::INTERFACE_NAME,
    Field::new(
        "packet.protocol_name",
        word!(protocol_names::LINK, |r| protocol_names::link_name(packet(r).map(|_| protocol(r))?)),
        "Name of the link protocol, if known.",
        "pdiag_num",
    )
    .group(Groups::COLUMNS),
];

/// Header formats of rings.
const VERSIONS: &[Word] = &[
    Word::new(TPACKET_V1, "TPACKET_V1"),
    Word::new(TPACKET_V2, "TPACKET_V2"),
    Word::new(TPACKET_V3, "TPACKET_V3"),
];

/// Flags of a socket.
const FLAGS: &[Word] = &[
    Word::new(PDI_RUNNING, "running"),
    Word::new(PDI_AUXDATA, "auxdata"),
    Word::new(PDI_ORIGDEV, "origdev"),
    Word::new(PDI_VNETHDR, "vnethdr"),
    Word::new(PDI_LOSS, "loss"),
];

/// Features of rings.
const FEATURES: &[Word] = &[Word::new(TP_FT_REQ_FILL_RXHASH, "fill-rxhash")];

/// Ways to distribute packets.  `ss` has no words for the last two.
const FANOUTS: &[Word] = &[
    Word::new(PACKET_FANOUT_HASH as u32, "hash"),
    Word::new(PACKET_FANOUT_LB as u32, "lb"),
    Word::new(PACKET_FANOUT_CPU as u32, "cpu"),
    Word::new(PACKET_FANOUT_ROLLOVER as u32, "roll|rollover"),
    Word::new(PACKET_FANOUT_RND as u32, "random|rnd"),
    Word::new(PACKET_FANOUT_QM as u32, "qm"),
    Word::new(PACKET_FANOUT_CBPF as u32, "cbpf"),
    Word::new(PACKET_FANOUT_EBPF as u32, "ebpf"),
];

/// Types of link-layer addresses that a socket can join.
const MEMBERSHIPS: &[Word] = &[
    Word::new(PACKET_MR_MULTICAST, "multicast"),
    Word::new(PACKET_MR_PROMISC, "promisc"),
    Word::new(PACKET_MR_ALLMULTI, "allmulti"),
    Word::new(PACKET_MR_UNICAST, "unicast"),
];

const fn detail(name: &'static str, read: Read, doc: &'static str, source: &'static str) -> Field {
    Field::new(name, read, doc, source).group(Groups::EXTENDED)
}

macro_rules! info {
    ($method:ident) => {
        plain!(|r| packet(r)?.info()?.$method())
    };
}

const INFO: &[Field] = &[
    detail("packet.version", info!(version), "Version of the ring's packet headers.", "pdi_version")
        .tokens("ver")
        .words(VERSIONS)
        .shape("ver:N cpy_thresh:N flags( WORD... )")
        .text(Text::Custom(text::fmt_info)),
    detail(
        "packet.copy_thresh",
        info!(copy_thresh),
        "If not zero, packets too long for a ring frame are also queued whole (PACKET_COPY_THRESH).",
        "pdi_copy_thresh",
    )
    .tokens("cpy_thresh")
    .gauge(Unit::Packets)
    .size()
    .text(Text::PartOf("packet.version")),
    detail("packet.flags", info!(flags), "Flags of the socket (PDI_*).", "pdi_flags")
        .tokens("flags")
        .flags(FLAGS)
        .text(Text::PartOf("packet.version")),
    detail(
        "packet.reserve",
        info!(reserve),
        "Headroom reserved before each packet in the ring.",
        "pdi_reserve",
    )
    .gauge(Unit::Bytes)
    .size(),
    detail(
        "packet.tstamp",
        info!(tstamp),
        "Time stamps that packets carry (SOF_TIMESTAMPING_*); zero means software time stamps.",
        "pdi_tstamp",
    ),
];

macro_rules! ring {
    ($ring:ident, $method:ident) => {
        plain!(|r| packet(r)?.$ring()?.$method())
    };
}

const RX: Text = Text::PartOf("packet.rx_block_size");
const TX: Text = Text::PartOf("packet.tx_block_size");

const RINGS: &[Field] = &[
    detail(
        "packet.rx_block_size",
        ring!(rx_ring, block_size),
        "Size of a receive ring block.",
        "pdr_block_size",
    )
    .tokens("blk_size")
    .gauge(Unit::Bytes)
    .size()
    .shape("ring_rx(blk_size:N,...)")
    .text(Text::Custom(|out, r, style| {
        text::put_ring(out, b"ring_rx", packet(r).and_then(PacketSocket::rx_ring), style);
    })),
    detail(
        "packet.rx_block_nr",
        ring!(rx_ring, block_nr),
        "Number of blocks in the receive ring.",
        "pdr_block_nr",
    )
    .tokens("blk_nr")
    .gauge(Unit::Count)
    .text(RX),
    detail(
        "packet.rx_frame_size",
        ring!(rx_ring, frame_size),
        "Size of a receive ring frame.",
        "pdr_frame_size",
    )
    .tokens("frm_size")
    .gauge(Unit::Bytes)
    .size()
    .text(RX),
    detail(
        "packet.rx_frame_nr",
        ring!(rx_ring, frame_nr),
        "Number of frames in the receive ring.",
        "pdr_frame_nr",
    )
    .tokens("frm_nr")
    .gauge(Unit::Count)
    .text(RX),
    detail(
        "packet.rx_retire_ms",
        ring!(rx_ring, retire_tmo_ms),
        "Timeout after which a receive ring block is passed to user space even if it is not full.",
        "pdr_retire_tmo",
    )
    .tokens("tmo")
    .gauge(Unit::Milliseconds)
    .text(RX),
    detail(
        "packet.rx_sizeof_priv",
        ring!(rx_ring, sizeof_priv),
        "Private area for the application in each receive ring block.",
        "pdr_sizeof_priv",
    )
    .gauge(Unit::Bytes)
    .size(),
    detail(
        "packet.rx_features",
        ring!(rx_ring, features),
        "Features of the receive ring (TP_FT_*).",
        "pdr_features",
    )
    .tokens("features")
    .flags(FEATURES)
    .text(RX),
    detail(
        "packet.tx_block_size",
        ring!(tx_ring, block_size),
        "Size of a transmit ring block.",
        "pdr_block_size",
    )
    .tokens("blk_size")
    .gauge(Unit::Bytes)
    .size()
    .shape("ring_tx(blk_size:N,...)")
    .text(Text::Custom(|out, r, style| {
        text::put_ring(out, b"ring_tx", packet(r).and_then(PacketSocket::tx_ring), style);
    })),
    detail(
        "packet.tx_block_nr",
        ring!(tx_ring, block_nr),
        "Number of blocks in the transmit ring.",
        "pdr_block_nr",
    )
    .tokens("blk_nr")
    .gauge(Unit::Count)
    .text(TX),
    detail(
        "packet.tx_frame_size",
        ring!(tx_ring, frame_size),
        "Size of a transmit ring frame.",
        "pdr_frame_size",
    )
    .tokens("frm_size")
    .gauge(Unit::Bytes)
    .size()
    .text(TX),
    detail(
        "packet.tx_frame_nr",
        ring!(tx_ring, frame_nr),
        "Number of frames in the transmit ring.",
        "pdr_frame_nr",
    )
    .tokens("frm_nr")
    .gauge(Unit::Count)
    .text(TX),
    detail(
        "packet.tx_retire_ms",
        ring!(tx_ring, retire_tmo_ms),
        "Block timeout of the transmit ring.",
        "pdr_retire_tmo",
    )
    .tokens("tmo")
    .gauge(Unit::Milliseconds)
    .text(TX),
    detail(
        "packet.tx_sizeof_priv",
        ring!(tx_ring, sizeof_priv),
        "Private area for the application in each transmit ring block.",
        "pdr_sizeof_priv",
    )
    .gauge(Unit::Bytes)
    .size(),
    detail(
        "packet.tx_features",
        ring!(tx_ring, features),
        "Features of the transmit ring (TP_FT_*).",
        "pdr_features",
    )
    .tokens("features")
    .flags(FEATURES)
    .text(TX),
];

const FANOUT: &[Field] = &[
    detail(
        "packet.fanout_id",
        plain!(|r| packet(r)?.fanout_id()),
        "ID of the fanout group, whose sockets share the packets.",
        "PACKET_DIAG_FANOUT",
    )
    .tokens("id")
    .shape("fanout(id:N,type:N)")
    .text(Text::Custom(text::fmt_fanout)),
    detail(
        "packet.fanout_type",
        plain!(|r| packet(r)?.fanout_type()),
        "How the fanout group distributes packets, and its flags (PACKET_FANOUT_*).",
        "PACKET_DIAG_FANOUT",
    )
    .tokens("type")
    .words(FANOUTS)
    .text(Text::PartOf("packet.fanout_id")),
];

const MCLIST: &[Field] = &[detail(
    "packet.mclist",
    Read::of(Kind::Records(MEMBERSHIP), |r| {
        packet(r)?.mclist().map(|_| Value::List(List::Of(r, each_membership)))
    }),
    "Link-layer addresses that the socket receives besides the interface's own.",
    "PACKET_DIAG_MCLIST",
)
.gauge(Unit::Count)
.needs(Needs::PACKET_MCLIST)];

const fn member(name: &'static str, kind: Kind, doc: &'static str) -> Member {
    Member { name, kind, unit: Unit::None, doc, needs: Needs::NONE, brief: true, spelling: None }
}

const MEMBERSHIP: &[Member] = &[
    member("interface", Kind::Int(Int::of::<u32>()), "Index of the interface of the membership."),
    member(
        "type",
        Kind::Enum(Int::of::<u16>(), MEMBERSHIPS),
        "Type of the membership (PACKET_MR_*): a multicast group, all packets, all multicast, or a unicast address.",
    ),
    member("addr", Kind::Text, "The address in hexadecimal; empty for promisc and allmulti."),
    member("count", Kind::Int(Int::of::<u32>()), "How many times the membership was added."),
];

fn each_membership(row: &Row<'_>, take: &mut dyn FnMut(Item<'_>)) {
    for one in packet(row).and_then(PacketSocket::mclist).into_iter().flatten() {
        let mut text = Vec::new();
        let addr = one.addr().unwrap_or_default();
        for byte in addr.iter().take(one.alen().unwrap_or(0).into()) {
            if !text.is_empty() {
                text.push(b':');
            }
            put_hex(&mut text, u64::from(byte >> 4));
            put_hex(&mut text, u64::from(byte & 15));
        }
        take(Item::Record(&[
            one.index().map(Value::from),
            one.kind().map(Value::from),
            Some(Value::Text(&text)),
            one.count().map(Value::from),
        ]));
    }
}

/// Fields of `-b`.
const FILTER: &[Field] = &[Field::new(
    "packet.filter_len",
    plain!(|r| Some(packet(r)?.filter()?.len() as u64)),
    "Number of instructions in the classic BPF filter; -b lists them.",
    "PACKET_DIAG_FILTER",
)
.tokens("bpf")
.gauge(Unit::Count)
.size()
.group(Groups::BPF)
.shape("bpf filter (N): CODE JT JF K, ...")
.text(Text::Custom(text::fmt_filter))];

fn protocol(row: &Row<'_>) -> u32 {
    match row.socket.local.addr {
        Addr::Number(number) => number,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Style;
    use crate::model::{Origin, Record, Socket, SourceKind, Table};

    /// All details of a socket that reports every attribute.
    fn details(style: Style) -> String {
        let mut bytes = vec![17, 3, 3, 0];
        bytes.extend([4_000_000_005_u32, 0x2a, 0].map(u32::to_ne_bytes).concat());
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<u8>>();
        let program = [0x28_u16.to_ne_bytes().to_vec(), vec![0, 0], words(&[12])].concat();
        for (kind, payload) in [
            (0, words(&[1, 2, 0, 100, 0, 0x0a])),
            (2, words(&[4096, 2, 256, 8, 60, 0, 1])),
            (4, words(&[0x1002_0007])),
            (5, words(&[1000])),
            (6, words(&[1, 2, 3, 4, 5, 6, 7])),
            (7, program),
        ] {
            sockdiag_wire::attr::put(&mut bytes, kind, &payload);
        }
        let origin = Origin::of(Table::PacketRaw, SourceKind::Kernel);
        let socket = Socket::decode(Record { origin, bytes: &bytes }).expect("a socket");
        let mut out = Vec::new();
        for field in BLOCKS.iter().flat_map(|block| block.fields.iter().copied().flatten()) {
            if let Text::Custom(format) = field.ss.text {
                format(&mut out, &Row::bare(&socket), style);
            }
        }
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn every_part_has_a_line_or_a_blank() {
        let parts = [
            " uid:1000 ino:4000000005 sk:2a",
            "ver:2 cpy_thresh:100 flags(  auxdata vnethdr )",
            "ring_rx(blk_size:4096,blk_nr:2,frm_size:256,frm_nr:8,tmo:60,features:0x1)",
            "fanout(id:7,type:0x1002)",
            "bpf filter (1):  0x28 0 0 12, skmem:(r1,rb2,t3,tb4,f5,w6,o7)",
        ];
        assert_eq!(details(Style::default()), parts.join("\n\t"));
        assert_eq!(details(Style { oneline: true, ..Style::default() }), parts.join(" "));
    }
}
