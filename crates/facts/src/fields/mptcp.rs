//! The data that MPTCP reports about a connection, for all its subflows together.
//!
//! Fields are in the order in which `ss -i` prints them; the silent one at the end is newer
//! than `ss`.  A kernel sends as much of `struct mptcp_info` as it knows.  Members that it did
//! not send are absent; like zeros, they are not printed.
//!
//! Source: `struct mptcp_info` (linux/mptcp.h).

use sockdiag_wire::ipproto::IPPROTO_MPTCP;
use sockdiag_wire::mptcp_info::{MPTCP_INFO_FLAG_FALLBACK, MPTCP_INFO_FLAG_REMOTE_KEY_RECEIVED, MptcpInfo};

use super::{Field, Read, Spelling, Text, Unit, info_row as row, plain};
use crate::model::Row;
use crate::model::words::FALSE_TRUE;
use crate::number::put_hex;

/// `mptcp_info`, if the reply contains it and the protocol gives the attribute this meaning.
fn info<'a>(row: &Row<'a>) -> Option<MptcpInfo<'a>> {
    row.socket.attrs().filter(|_| row.socket.protocol == IPPROTO_MPTCP)?.mptcp_info()
}

macro_rules! get {
    ($method:ident) => {
        plain!(|r| info(r)?.$method())
    };
}

/// Reads one of the `MPTCP_INFO_FLAG_*` bits.
macro_rules! flag {
    ($bit:ident) => {
        plain!(|r| Some(info(r)?.flags()? & $bit != 0))
    };
}

const fn count(
    name: &'static str,
    read: Read,
    doc: &'static str,
    source: &'static str,
    token: &'static str,
) -> Field {
    row(name, read, doc, source).gauge(Unit::Count).text(Text::Nonzero(token))
}

/// Fields in print order.
pub(super) const MPTCP: &[Field] = &[
    count("mptcp.subflows", get!(subflows), "Subflows beyond the first.", "mptcpi_subflows", "subflows"),
    count(
        "mptcp.add_addr_signal",
        get!(add_addr_signal),
        "Addresses advertised to the peer.",
        "mptcpi_add_addr_signal",
        "add_addr_signal",
    ),
    count(
        "mptcp.add_addr_accepted",
        get!(add_addr_accepted),
        "Addresses of the peer that were accepted.",
        "mptcpi_add_addr_accepted",
        "add_addr_accepted",
    ),
    count(
        "mptcp.subflows_max",
        get!(subflows_max),
        "Maximum number of subflows beyond the first.",
        "mptcpi_subflows_max",
        "subflows_max",
    )
    .level(),
    count(
        "mptcp.add_addr_signal_max",
        get!(add_addr_signal_max),
        "Maximum number of addresses advertised to the peer.",
        "mptcpi_add_addr_signal_max",
        "add_addr_signal_max",
    )
    .level(),
    count(
        "mptcp.add_addr_accepted_max",
        get!(add_addr_accepted_max),
        "Maximum number of the peer's addresses that are accepted.",
        "mptcpi_add_addr_accepted_max",
        "add_addr_accepted_max",
    )
    .level(),
    row(
        "mptcp.fallback",
        flag!(MPTCP_INFO_FLAG_FALLBACK),
        "Whether the connection fell back to plain TCP.",
        "MPTCP_INFO_FLAG_FALLBACK",
    )
    .state()
    .text(Text::Word("fallback")),
    row(
        "mptcp.remote_key",
        flag!(MPTCP_INFO_FLAG_REMOTE_KEY_RECEIVED),
        "Whether the peer's key was received.",
        "MPTCP_INFO_FLAG_REMOTE_KEY_RECEIVED",
    )
    .state()
    .text(Text::Word("remote_key")),
    row("mptcp.token", get!(token), "Local token, which identifies the connection.", "mptcpi_token")
        .none(0)
        .spelled(&Spelling::Hex)
        .shape("token:HEX")
        .text(Text::Custom(|out, r, _| {
            if let Some(token) = info(r).and_then(MptcpInfo::token).filter(|token| *token != 0) {
                out.extend_from_slice(b" token:");
                put_hex(out, u64::from(token));
            }
        })),
    row("mptcp.write_seq", get!(write_seq), "Next data sequence number to be written.", "mptcpi_write_seq")
        .wide()
        .text(Text::Nonzero("write_seq")),
    row("mptcp.snd_una", get!(snd_una), "First data sequence number not yet acknowledged.", "mptcpi_snd_una")
        .wide()
        .text(Text::Nonzero("snd_una")),
    row("mptcp.rcv_nxt", get!(rcv_nxt), "Next data sequence number expected.", "mptcpi_rcv_nxt")
        .wide()
        .text(Text::Nonzero("rcv_nxt")),
    count(
        "mptcp.local_addr_used",
        get!(local_addr_used),
        "Local addresses used for subflows.",
        "mptcpi_local_addr_used",
        "local_addr_used",
    ),
    count(
        "mptcp.local_addr_max",
        get!(local_addr_max),
        "Maximum number of local addresses used for subflows.",
        "mptcpi_local_addr_max",
        "local_addr_max",
    )
    .level(),
    row(
        "mptcp.csum_enabled",
        get!(csum_enabled),
        "Whether DSS checksums are in use (1 or 0).",
        "mptcpi_csum_enabled",
    )
    .words(FALSE_TRUE)
    .text(Text::Nonzero("csum_enabled")),
    count(
        "mptcp.retransmits",
        get!(retransmits),
        "Consecutive unacknowledged retransmissions at the MPTCP level.",
        "mptcpi_retransmits",
        "retransmits",
    ),
    bytes(
        "mptcp.bytes_retrans",
        get!(bytes_retrans),
        "Bytes retransmitted at the MPTCP level.",
        "mptcpi_bytes_retrans",
        "bytes_retrans",
    ),
    bytes(
        "mptcp.bytes_sent",
        get!(bytes_sent),
        "Bytes sent, without retransmissions.",
        "mptcpi_bytes_sent",
        "bytes_sent",
    ),
    bytes(
        "mptcp.bytes_received",
        get!(bytes_received),
        "Bytes received in order.",
        "mptcpi_bytes_received",
        "bytes_received",
    ),
    bytes(
        "mptcp.bytes_acked",
        get!(bytes_acked),
        "Bytes acknowledged by the peer.",
        "mptcpi_bytes_acked",
        "bytes_acked",
    ),
    count(
        "mptcp.subflows_total",
        get!(subflows_total),
        "Subflows, including the first.",
        "mptcpi_subflows_total",
        "subflows_total",
    ),
    count(
        "mptcp.endp_laminar_max",
        get!(endp_laminar_max),
        "Endpoints with the laminar flag.",
        "mptcpi_endp_laminar_max",
        "endp_laminar_max",
    )
    .level(),
    since(
        "mptcp.last_data_sent_ms",
        get!(last_data_sent_ms),
        "Time since data was last sent.",
        "mptcpi_last_data_sent",
    )
    .text(Text::Nonzero("last_data_sent")),
    since(
        "mptcp.last_data_recv_ms",
        get!(last_data_recv_ms),
        "Time since data was last received.",
        "mptcpi_last_data_recv",
    )
    .text(Text::Nonzero("last_data_recv")),
    since(
        "mptcp.last_ack_recv_ms",
        get!(last_ack_recv_ms),
        "Time since an acknowledgement was last received.",
        "mptcpi_last_ack_recv",
    )
    .text(Text::Nonzero("last_ack_recv")),
    row(
        "mptcp.endp_fullmesh_max",
        get!(endp_fullmesh_max),
        "Endpoints with the fullmesh flag.",
        "mptcpi_endp_fullmesh_max",
    )
    .gauge(Unit::Count)
    .level(),
];

const fn bytes(
    name: &'static str,
    read: Read,
    doc: &'static str,
    source: &'static str,
    token: &'static str,
) -> Field {
    row(name, read, doc, source).counter(Unit::Bytes).text(Text::Nonzero(token))
}

const fn since(name: &'static str, read: Read, doc: &'static str, source: &'static str) -> Field {
    row(name, read, doc, source).gauge(Unit::Milliseconds)
}
