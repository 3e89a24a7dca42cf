//! The data that SCTP reports about an endpoint or an association.
//!
//! Fields are in the order in which `ss -i` prints them; the silent ones at the end are
//! omitted by `ss`: traffic counters and the primary path.  In the structure of an endpoint,
//! only the socket's settings are nonzero; in that of an association, these are zero.
//!
//! Source: `struct sctp_info` (linux/sctp.h), `INET_DIAG_LOCALS` and
//! `INET_DIAG_PEERS` (linux/inet_diag.h).

use sockdiag_wire::inet_diag::{INET_DIAG_LOCALS, INET_DIAG_PEERS};
use sockdiag_wire::ipproto::IPPROTO_SCTP;
use sockdiag_wire::sctp_info::{
    SCTP_ACTIVE, SCTP_INACTIVE, SCTP_PF, SCTP_UNCONFIRMED, SCTP_UNKNOWN, SOCKADDR_STORAGE_LEN, SctpInfo,
    SockAddr,
};

use super::endpoint::put_bare_addr;
use super::{
    Field, Item, Kind, List, Needs, Read, Records, Spelling, Text, Unit, Value, Word, info_row, plain, word,
};
use crate::model::words::FALSE_TRUE;
use crate::model::{Addr, Row, states};
use crate::number::put_hex;

/// `sctp_info`, if the reply contains it and the protocol gives the attribute this meaning.
fn info<'a>(row: &Row<'a>) -> Option<SctpInfo<'a>> {
    row.socket.attrs().filter(|_| row.socket.protocol == IPPROTO_SCTP)?.sctp_info()
}

/// Whether the record describes an association, which has a nonzero tag.
pub(super) fn is_association(row: &Row<'_>) -> Option<bool> {
    Some(info(row)?.tag()? != 0)
}

/// Reads a member of the structure.
macro_rules! get {
    ($method:ident) => {
        plain!(|r| info(r)?.$method())
    };
}

/// A field of an association.
const fn row(name: &'static str, read: Read, doc: &'static str, source: &'static str) -> Field {
    info_row(name, read, doc, source).only_of(Records::Associations)
}

/// A field of an association that is printed as a signed number unless it is zero.
const fn shown(
    name: &'static str,
    read: Read,
    doc: &'static str,
    source: &'static str,
    token: &'static str,
) -> Field {
    row(name, read, doc, source).text(Text::NonzeroSigned(token))
}

/// A counter that `ss` does not print.
const fn counter(name: &'static str, read: Read, doc: &'static str, source: &'static str) -> Field {
    row(name, read, doc, source).counter(Unit::Packets)
}

/// Fields in print order.
pub(super) const SCTP: &[Field] = &[
    info_row(
        "sctp.locals",
        Read::of(Kind::Addrs, |r| {
            addresses(r, INET_DIAG_LOCALS)
                .map(|_| Value::List(List::Of(r, |r, take| each(r, INET_DIAG_LOCALS, take))))
        }),
        "Addresses of this end.",
        "INET_DIAG_LOCALS",
    )
    .gauge(Unit::Count)
    .print_needs(Needs::HOSTS)
    .shape("locals:ADDR,...")
    .text(Text::Custom(|out, r, _| put_addresses(out, r, b" locals:", INET_DIAG_LOCALS))),
    info_row(
        "sctp.peers",
        Read::of(Kind::Addrs, |r| {
            addresses(r, INET_DIAG_PEERS)
                .map(|_| Value::List(List::Of(r, |r, take| each(r, INET_DIAG_PEERS, take))))
        }),
        "Addresses of the peer.",
        "INET_DIAG_PEERS",
    )
    .gauge(Unit::Count)
    .print_needs(Needs::HOSTS)
    .shape("peers:ADDR,...")
    .text(Text::Custom(|out, r, _| put_addresses(out, r, b" peers:", INET_DIAG_PEERS))),
    row("sctp.tag", get!(tag), "Verification tag of this end.", "sctpi_tag")
        .none(0)
        .spelled(&Spelling::Hex)
        .shape("tag:HEX")
        .text(Text::Custom(|out, r, _| put_tag(out, b" tag:", info(r).and_then(SctpInfo::tag)))),
    row(
        "sctp.state",
        word!(states::SCTP_WORDS, |r| Some(states::sctp_text(info(r)?.state()?))),
        "State of the association.",
        "sctpi_state",
    )
    .state()
    .shape("state:NAME")
    .text(Text::Custom(|out, r, _| {
        if let Some(state) = info(r).and_then(SctpInfo::state).filter(|state| *state != 0) {
            out.extend_from_slice(b" state:");
            out.extend_from_slice(states::sctp_text(state).as_bytes());
        }
    })),
    shown("sctp.rwnd", get!(rwnd), "Receive window of this end.", "sctpi_rwnd", "rwnd")
        .gauge(Unit::Bytes)
        .level(),
    shown(
        "sctp.unackdata",
        get!(unackdata),
        "Chunks sent and not acknowledged.",
        "sctpi_unackdata",
        "unackdata",
    )
    .gauge(Unit::Packets),
    shown("sctp.penddata", get!(penddata), "Chunks received and not yet read.", "sctpi_penddata", "penddata")
        .gauge(Unit::Packets),
    shown("sctp.instrms", get!(instrms), "Inbound streams.", "sctpi_instrms", "instrms")
        .gauge(Unit::Count)
        .level(),
    shown("sctp.outstrms", get!(outstrms), "Outbound streams.", "sctpi_outstrms", "outstrms")
        .gauge(Unit::Count)
        .level(),
    shown("sctp.inqueue", get!(inqueue), "Chunks in the receive queue.", "sctpi_inqueue", "inqueue")
        .gauge(Unit::Packets),
    shown("sctp.outqueue", get!(outqueue), "Chunks in the send queue.", "sctpi_outqueue", "outqueue")
        .gauge(Unit::Packets),
    shown(
        "sctp.overall_error",
        get!(overall_error),
        "Consecutive errors on all paths.",
        "sctpi_overall_error",
        "overerr",
    )
    .gauge(Unit::Count),
    shown(
        "sctp.max_burst",
        get!(max_burst),
        "Maximum number of packets sent in one burst.",
        "sctpi_max_burst",
        "maxburst",
    )
    .gauge(Unit::Packets)
    .size(),
    shown("sctp.maxseg", get!(maxseg), "Maximum size of a data chunk.", "sctpi_maxseg", "maxseg")
        .gauge(Unit::Bytes)
        .size(),
    shown("sctp.peer_rwnd", get!(peer_rwnd), "Receive window of the peer.", "sctpi_peer_rwnd", "prwnd")
        .gauge(Unit::Bytes)
        .level(),
    row("sctp.peer_tag", get!(peer_tag), "Verification tag of the peer.", "sctpi_peer_tag")
        .none(0)
        .spelled(&Spelling::Hex)
        .shape("ptag:HEX")
        .text(Text::Custom(|out, r, _| put_tag(out, b" ptag:", info(r).and_then(SctpInfo::peer_tag)))),
    shown(
        "sctp.peer_capable",
        get!(peer_capable),
        "Capabilities of the peer, one bit each.",
        "sctpi_peer_capable",
        "pcapable",
    )
    .flags(&[]),
    shown(
        "sctp.peer_sack",
        get!(peer_sack),
        "Whether the next packet must be acknowledged (bit 0); the other bits are internal to the kernel.",
        "sctpi_peer_sack",
        "psack",
    ),
    shown(
        "sctp.autoclose_s",
        get!(s_autoclose_s),
        "Idle time after which an association closes.",
        "sctpi_s_autoclose",
        "autoclose",
    )
    .only_of(Records::Sockets)
    .gauge(Unit::Seconds)
    .unlimited(0),
    shown(
        "sctp.adaptation_ind",
        get!(s_adaptation_ind),
        "Adaptation layer indication that this end sends.",
        "sctpi_s_adaptation_ind",
        "adapind",
    )
    .only_of(Records::Sockets),
    shown(
        "sctp.pd_point",
        get!(s_pd_point),
        "Message size at which partial delivery starts.",
        "sctpi_s_pd_point",
        "pdpoint",
    )
    .only_of(Records::Sockets)
    .gauge(Unit::Bytes)
    .size(),
    shown(
        "sctp.nodelay",
        get!(s_nodelay),
        "Whether small chunks are sent without delay, i.e. Nagle is off (1 or 0).",
        "sctpi_s_nodelay",
        "nodelay",
    )
    .only_of(Records::Sockets)
    .words(FALSE_TRUE),
    shown(
        "sctp.disable_fragments",
        get!(s_disable_fragments),
        "Whether messages are never fragmented (1 or 0).",
        "sctpi_s_disable_fragments",
        "nofrag",
    )
    .only_of(Records::Sockets)
    .words(FALSE_TRUE),
    shown(
        "sctp.v4mapped",
        get!(s_v4mapped),
        "Whether IPv4 addresses are mapped to IPv6 addresses (1 or 0).",
        "sctpi_s_v4mapped",
        "v4mapped",
    )
    .only_of(Records::Sockets)
    .words(FALSE_TRUE),
    shown(
        "sctp.frag_interleave",
        get!(s_frag_interleave),
        "Level of interleaving of partially delivered messages (SCTP_FRAGMENT_INTERLEAVE).",
        "sctpi_s_frag_interleave",
        "fraginl",
    )
    .only_of(Records::Sockets),
    row(
        "sctp.fragmentation_point",
        get!(fragmentation_point),
        "Message size above which a message is fragmented.",
        "sctpi_fragmentation_point",
    )
    .gauge(Unit::Bytes)
    .size(),
    counter("sctp.isacks", get!(isacks), "Selective acknowledgements received.", "sctpi_isacks"),
    counter("sctp.osacks", get!(osacks), "Selective acknowledgements sent.", "sctpi_osacks"),
    counter("sctp.opackets", get!(opackets), "Packets sent.", "sctpi_opackets"),
    counter("sctp.ipackets", get!(ipackets), "Packets received.", "sctpi_ipackets"),
    counter("sctp.rtxchunks", get!(rtxchunks), "Chunks retransmitted.", "sctpi_rtxchunks"),
    counter(
        "sctp.outofseqtsns",
        get!(outofseqtsns),
        "Chunks received ahead of the expected TSN.",
        "sctpi_outofseqtsns",
    ),
    counter("sctp.idupchunks", get!(idupchunks), "Chunks received twice.", "sctpi_idupchunks"),
    counter("sctp.gapcnt", get!(gapcnt), "Gap acknowledgements received.", "sctpi_gapcnt"),
    counter("sctp.ouodchunks", get!(ouodchunks), "Unordered data chunks sent.", "sctpi_ouodchunks"),
    counter("sctp.iuodchunks", get!(iuodchunks), "Unordered data chunks received.", "sctpi_iuodchunks"),
    counter("sctp.oodchunks", get!(oodchunks), "Ordered data chunks sent.", "sctpi_oodchunks"),
    counter("sctp.iodchunks", get!(iodchunks), "Ordered data chunks received.", "sctpi_iodchunks"),
    counter("sctp.octrlchunks", get!(octrlchunks), "Control chunks sent.", "sctpi_octrlchunks"),
    counter("sctp.ictrlchunks", get!(ictrlchunks), "Control chunks received.", "sctpi_ictrlchunks"),
    row(
        "sctp.primary_addr",
        plain!(|r| Some(Addr::from(info(r)?.p_sockaddr()?))),
        "Address of the primary path.",
        "sctpi_p_address",
    ),
    row("sctp.primary_cwnd", get!(p_cwnd), "Congestion window of the primary path.", "sctpi_p_cwnd")
        .gauge(Unit::Bytes)
        .level(),
    row(
        "sctp.primary_ssthresh",
        get!(p_ssthresh),
        "Slow-start threshold of the primary path.",
        "sctpi_p_ssthresh",
    )
    .gauge(Unit::Bytes)
    .size(),
    row(
        "sctp.primary_flight_size",
        get!(p_flight_size),
        "Bytes sent and not acknowledged on the primary path.",
        "sctpi_p_flight_size",
    )
    .gauge(Unit::Bytes),
    row(
        "sctp.primary_partial_bytes_acked",
        get!(p_partial_bytes_acked),
        "Bytes acknowledged on the primary path since its congestion window last grew.",
        "sctpi_p_partial_bytes_acked",
    )
    .gauge(Unit::Bytes),
    row(
        "sctp.primary_state",
        get!(p_state),
        "State of the primary path; pf means potentially failed.",
        "sctpi_p_state",
    )
    .words(PATH_STATES)
    .state(),
    row(
        "sctp.primary_srtt_ticks",
        get!(p_srtt),
        "Smoothed round-trip time of the primary path, in kernel clock ticks.",
        "sctpi_p_srtt",
    )
    .gauge(Unit::Ticks),
    row("sctp.primary_rto_ms", get!(p_rto), "Retransmission timeout of the primary path.", "sctpi_p_rto")
        .gauge(Unit::Milliseconds),
    row(
        "sctp.primary_hbinterval_ticks",
        get!(p_hbinterval),
        "Heartbeat interval of the primary path, in kernel clock ticks.",
        "sctpi_p_hbinterval",
    )
    .gauge(Unit::Ticks),
    row(
        "sctp.primary_pathmaxrxt",
        get!(p_pathmaxrxt),
        "Consecutive errors after which the primary path is considered failed.",
        "sctpi_p_pathmaxrxt",
    )
    .gauge(Unit::Count)
    .size(),
    row(
        "sctp.primary_sackdelay_ms",
        get!(p_sackdelay),
        "Maximum delay of a SACK on the primary path.",
        "sctpi_p_sackdelay",
    )
    .gauge(Unit::Milliseconds),
    row(
        "sctp.primary_sackfreq",
        get!(p_sackfreq),
        "Packets after which a SACK is sent without delay on the primary path.",
        "sctpi_p_sackfreq",
    )
    .gauge(Unit::Packets)
    .size(),
    row("sctp.primary_error", get!(p_error), "Consecutive errors on the primary path.", "sctpi_p_error")
        .gauge(Unit::Count),
    row(
        "sctp.type",
        get!(s_type),
        "Type of the socket: one-to-many (UDP style) or one-to-one (TCP style).",
        "sctpi_s_type",
    )
    .words(TYPES)
    .only_of(Records::Sockets),
];

/// States of a path.
const PATH_STATES: &[Word] = &[
    Word::new(SCTP_INACTIVE, "inactive"),
    Word::new(SCTP_PF, "pf|potentially-failed"),
    Word::new(SCTP_ACTIVE, "active"),
    Word::new(SCTP_UNCONFIRMED, "unconfirmed"),
    Word::new(SCTP_UNKNOWN, "unknown"),
];

/// Socket types (`enum sctp_socket_type` of the kernel's net/sctp/structs.h).
const TYPES: &[Word] =
    &[Word::new(0, "udp|one-to-many"), Word::new(1, "udp-high-bandwidth"), Word::new(2, "tcp|one-to-one")];

/// The addresses of one end; `None` for an address of an unknown family.
fn addresses<'a>(row: &Row<'a>, kind: u16) -> Option<impl Iterator<Item = Option<SockAddr>> + use<'a>> {
    let bytes = row.socket.attrs().filter(|_| row.socket.protocol == IPPROTO_SCTP)?.get(kind)?;
    Some(bytes.chunks_exact(SOCKADDR_STORAGE_LEN).map(SockAddr::parse))
}

/// The addresses of one end as values; an address of an unknown family is [`Addr::None`].
fn each(row: &Row<'_>, kind: u16, take: &mut dyn FnMut(Item<'_>)) {
    for address in addresses(row, kind).into_iter().flatten() {
        take(Item::Value(Value::Addr(address.map_or(Addr::None, Addr::from))));
    }
}

/// Appends addresses without brackets or ports; an address of an unknown family is empty.
fn put_addresses(out: &mut Vec<u8>, row: &Row<'_>, name: &[u8], kind: u16) {
    let Some(list) = addresses(row, kind) else { return };
    out.extend_from_slice(name);
    for (at, address) in list.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        if let Some(address) = address {
            put_bare_addr(out, row, address.into());
        }
    }
}

fn put_tag(out: &mut Vec<u8>, name: &[u8], tag: Option<u32>) {
    if let Some(tag) = tag.filter(|tag| *tag != 0) {
        out.extend_from_slice(name);
        put_hex(out, u64::from(tag));
    }
}
