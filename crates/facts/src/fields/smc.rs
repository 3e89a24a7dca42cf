//! Fields of SMC sockets.
//!
//! Every socket has the columns and the fields of `-e`; only connections that really use SMC
//! have those of `-i`.  A cursor is two numbers: how often a ring buffer has wrapped, and the
//! position in it.
//!
//! The reference does not support these sockets: the text format is our own, in the style of
//! `ss`.
//!
//! Source: linux/smc_diag.h; smcss(8) for what the numbers mean.

use sockdiag_wire::smc_diag::{
    SMC_DIAG_MODE_FALLBACK_TCP, SMC_DIAG_MODE_SMCD, SMC_DIAG_MODE_SMCR, SmcConnInfo, SmcDiagMsg,
};

use super::block::Block;
use super::{
    Field, Groups, Needs, Read, Style, Text, Unit, Word, endpoint, extended, plain, process, text, word,
};
use crate::model::families::FAMILY_WORDS;
use crate::model::states::SMC_WORDS;
use crate::model::{Detail, Row, words};
use crate::number::{put_alt_hex, put_hex, put_name, put_u64};

/// All fields of an SMC socket.
pub(super) const SMC: &[Block] = &[
    Block::new(
        Groups::COLUMNS,
        &[endpoint::IDENTITY, endpoint::COLUMNS, endpoint::NAMES, process::PROCESSES],
    ),
    Block::new(Groups::EXTENDED, &[extended::OWNER, EXTENDED, extended::SHUTDOWN]),
    Block::new(Groups::INFO, INFO).applies(uses_smc).line(),
];

/// The fields of `-i`, in order.
const INFO: &[&[Field]] =
    &[SIZES, RX_PROD, RX_CONS, TX_PROD, TX_CONS, TX_PREP, TX_SENT, TX_FIN, FLAGS, GROUP, BUFFERS];

fn msg<'r>(row: &Row<'r>) -> Option<&'r SmcDiagMsg<'r>> {
    match &row.socket.detail {
        Detail::Smc(smc) => Some(&smc.0),
        _ => None,
    }
}

/// Whether the socket has SMC data, rather than only a fallback to TCP.
fn uses_smc(row: &Row<'_>, _: Groups) -> bool {
    msg(row)
        .is_some_and(|msg| msg.conn_info().is_some() || msg.lgr_info().is_some() || msg.dmb_info().is_some())
}

/// The transports of a connection.
const MODES: &[Word] = &[
    Word::new(SMC_DIAG_MODE_SMCR as u32, "smc-r"),
    Word::new(SMC_DIAG_MODE_FALLBACK_TCP as u32, "tcp"),
    Word::new(SMC_DIAG_MODE_SMCD as u32, "smc-d"),
];

/// The transport; `None` for an unknown number, and for sockets without a connection, where
/// the number is zero.
fn mode(row: &Row<'_>) -> Option<&'static str> {
    let mode = msg(row)?.mode();
    let is_agreed = mode != SMC_DIAG_MODE_SMCR || is_connection(row);
    Some(words::by_number(MODES, mode.into()).filter(|_| is_agreed)?.name())
}

/// Whether the socket is connected, or is closing a connection.
fn is_connection(row: &Row<'_>) -> bool {
    !matches!(row.socket.state, 0 | INIT | CLOSED | LISTEN)
}

/// SMC's states before and after a connection.
const INIT: u8 = 2;
const CLOSED: u8 = 7;
const LISTEN: u8 = 10;

/// Names of reasons for falling back to TCP; the kernel may report others.
///
/// Source: `SMC_CLC_DECL_*` of the kernel's net/smc/smc_clc.h; smcss(8).
const REASONS: &[Word] = &[
    Word::new(0x0101_0000, "out-of-memory"),
    Word::new(0x0201_0000, "link-confirm-timeout"),
    Word::new(0x0202_0000, "link-add-timeout"),
    Word::new(0x0300_0000, "configuration"),
    Word::new(0x0301_0000, "peer-without-smc"),
    Word::new(0x0302_0000, "ipsec"),
    Word::new(0x0303_0000, "no-device"),
    Word::new(0x0303_0001, "no-smcd-device"),
    Word::new(0x0303_0002, "no-smcr-device"),
    Word::new(0x0304_0000, "modes-differ"),
    Word::new(0x0305_0000, "eyecatcher"),
    Word::new(0x0306_0000, "socket-option"),
    Word::new(0x0307_0000, "prefixes-differ"),
    Word::new(0x0308_0000, "vlan-unknown"),
    Word::new(0x030a_0000, "no-active-link"),
    Word::new(0x030c_0000, "versions-differ"),
    Word::new(0x0400_0000, "synchronization"),
    Word::new(0x0500_0000, "peer-declined"),
    Word::new(0x0999_0000, "internal"),
];

fn reason(row: &Row<'_>) -> Option<u32> {
    msg(row)?.fallback()?.reason()
}

fn diagnosis(row: &Row<'_>) -> Option<u32> {
    msg(row)?.fallback()?.peer_diagnosis()
}

fn reason_name(reason: u32) -> Option<&'static str> {
    words::by_number(REASONS, reason).map(|word| word.name())
}

const EXTENDED: &[Field] = &[
    Field::new(
        "smc.mode",
        word!(MODES, |r| mode(r)),
        "Transport of the data: smc-r (RDMA), smc-d (shared memory of a device) or tcp; absent without a connection.",
        "diag_mode",
    )
    .state()
    .group(Groups::EXTENDED)
    .shape("mode:NAME")
    .text(Text::Custom(|out, r, _| {
        if let Some(mode) = mode(r) {
            out.extend_from_slice(b" mode:");
            out.extend_from_slice(mode.as_bytes());
        }
    })),
    Field::new(
        "smc.fallback_reason",
        plain!(|r| reason(r)),
        "Why this end fell back to TCP (SMC_CLC_DECL_*); zero if it did not.",
        "SMC_DIAG_FALLBACK",
    )
    .words(REASONS)
    .none(0)
    .group(Groups::EXTENDED)
    .shape("fallback:0xHEX[(WORD)]")
    .text(Text::Custom(|out, r, _| {
        if let Some(number) = reason(r).filter(|number| *number != 0) {
            out.extend_from_slice(b" fallback:");
            put_alt_hex(out, number.into());
            if let Some(word) = reason_name(number) {
                out.push(b'(');
                out.extend_from_slice(word.as_bytes());
                out.push(b')');
            }
        }
    })),
    Field::new(
        "smc.fallback_reason_name",
        word!(REASONS, |r| reason_name(reason(r)?)),
        "Name of smc.fallback_reason, such as no-device or peer-without-smc; absent if the reason has no name.",
        "SMC_DIAG_FALLBACK",
    )
    .group(Groups::EXTENDED)
    .text(Text::PartOf("smc.fallback_reason")),
    Field::new(
        "smc.fallback_peer_diagnosis",
        plain!(|r| diagnosis(r)),
        "Reason for the fallback to TCP reported by the peer (SMC_CLC_DECL_*); zero if none.",
        "SMC_DIAG_FALLBACK",
    )
    .words(REASONS)
    .none(0)
    .group(Groups::EXTENDED)
    .shape("peer_diagnosis:0xHEX")
    .text(Text::Custom(|out, r, _| {
        if let Some(number) = diagnosis(r).filter(|number| *number != 0) {
            out.extend_from_slice(b" peer_diagnosis:");
            put_alt_hex(out, number.into());
        }
    })),
    Field::new(
        "smc.state",
        plain!(|r| Some(msg(r)?.state())),
        "Number of the state; 20 and above while the connection is being closed.",
        "diag_state",
    )
    .words(SMC_WORDS)
    .state()
    .group(Groups::EXTENDED),
    Field::new(
        "smc.family",
        plain!(|r| Some(msg(r)?.family())),
        "Family that the socket was created with: 43 (AF_SMC), or 2 or 10 with protocol SMC.",
        "diag_family",
    )
    .words(FAMILY_WORDS)
    .group(Groups::EXTENDED),
];

const fn info(name: &'static str, read: Read, doc: &'static str, source: &'static str) -> Field {
    Field::new(name, read, doc, source).needs(Needs::SMC_CONNINFO).group(Groups::INFO)
}

macro_rules! conn {
    ($method:ident) => {
        plain!(|r| msg(r)?.conn_info()?.$method())
    };
}

/// Appends ` NAME:NUMBER` with a number of the connection.
fn put_number(out: &mut Vec<u8>, row: &Row<'_>, name: &[u8], of: fn(SmcConnInfo<'_>) -> Option<u32>) {
    if let Some(number) = msg(row).and_then(|msg| of(msg.conn_info()?)) {
        out.push(b' ');
        out.extend_from_slice(name);
        out.push(b':');
        put_u64(out, number.into());
    }
}

/// A size of the connection in bytes, with its own token.
macro_rules! size {
    ($name:literal, $method:ident, $doc:literal, $token:literal) => {
        info($name, conn!($method), $doc, stringify!($method))
            .gauge(Unit::Bytes)
            .shape(concat!($token, ":N"))
            .text(Text::Custom(|out, r, _| put_number(out, r, $token.as_bytes(), |conn| conn.$method())))
    };
}

/// The two fields of a cursor.
macro_rules! cursor {
    ($name:literal, $count:ident, $wrap:ident, $doc:literal) => {
        &[
            info(
                concat!("smc.", $name, "_bytes"),
                conn!($count),
                concat!("Ring buffer offset of data ", $doc, "."),
                concat!($name, ".count"),
            )
            .gauge(Unit::Bytes)
            .size()
            .shape(concat!($name, ":ROUND/N"))
            .text(Text::Custom(|out, r, _| {
                let conn = msg(r).and_then(SmcDiagMsg::conn_info);
                if let Some((count, wrap)) = conn.and_then(|conn| Some((conn.$count()?, conn.$wrap()?))) {
                    out.extend_from_slice(concat!(" ", $name, ":").as_bytes());
                    put_u64(out, wrap.into());
                    out.push(b'/');
                    put_u64(out, count.into());
                }
            })),
            info(
                concat!("smc.", $name, "_wrap"),
                conn!($wrap),
                concat!("Ring buffer wraparounds of data ", $doc, "."),
                concat!($name, ".wrap"),
            )
            .counter(Unit::Count)
            .text(Text::PartOf(concat!("smc.", $name, "_bytes"))),
        ]
    };
}

const SIZES: &[Field] = &[
    info("smc.conn_token", conn!(token), "Token of the connection.", "token").shape("token:0xHEX").text(
        Text::Custom(|out, r, _| {
            if let Some(token) = msg(r).and_then(|msg| msg.conn_info()?.token()) {
                out.extend_from_slice(b" token:");
                put_alt_hex(out, token.into());
            }
        }),
    ),
    size!("smc.sndbuf_bytes", sndbuf_size, "Size of the send buffer.", "sndbuf"),
    size!("smc.rmbe_bytes", rmbe_size, "Size of the receive buffer.", "rmbe"),
    size!("smc.peer_rmbe_bytes", peer_rmbe_size, "Size of the peer's receive buffer.", "peer_rmbe"),
];
const RX_PROD: &[Field] =
    cursor!("rx_prod", rx_prod, rx_prod_wrap, "written by the peer to the local receive buffer");
const RX_CONS: &[Field] = cursor!("rx_cons", rx_cons, rx_cons_wrap, "read from the local receive buffer");
const TX_PROD: &[Field] =
    cursor!("tx_prod", tx_prod, tx_prod_wrap, "written by this end to the peer's receive buffer");
const TX_CONS: &[Field] =
    cursor!("tx_cons", tx_cons, tx_cons_wrap, "read by the peer from its receive buffer");
const TX_PREP: &[Field] = cursor!("tx_prep", tx_prep, tx_prep_wrap, "placed in the send buffer");
const TX_SENT: &[Field] = cursor!("tx_sent", tx_sent, tx_sent_wrap, "sent from the send buffer");
const TX_FIN: &[Field] = cursor!("tx_fin", tx_fin, tx_fin_wrap, "confirmed to have left the send buffer");

const FLAGS: &[Field] = &[
    info(
        "smc.rx_prod_flags",
        conn!(rx_prod_flags),
        "Producer flags of the peer, one bit each.",
        "rx_prod_flags",
    )
    .flags(&[])
    .shape("flags:0xHEX/0xHEX/0xHEX/0xHEX")
    .text(Text::Custom(fmt_flags)),
    info(
        "smc.rx_conn_state_flags",
        conn!(rx_conn_state_flags),
        "Connection state flags of the peer, one bit each.",
        "rx_conn_state_flags",
    )
    .flags(&[])
    .text(OF_FLAGS),
    info(
        "smc.tx_prod_flags",
        conn!(tx_prod_flags),
        "Producer flags of this end, one bit each.",
        "tx_prod_flags",
    )
    .flags(&[])
    .text(OF_FLAGS),
    info(
        "smc.tx_conn_state_flags",
        conn!(tx_conn_state_flags),
        "Connection state flags of this end, one bit each.",
        "tx_conn_state_flags",
    )
    .flags(&[])
    .text(OF_FLAGS),
];

const OF_FLAGS: Text = Text::PartOf("smc.rx_prod_flags");

fn fmt_flags(out: &mut Vec<u8>, row: &Row<'_>, _: Style) {
    let Some(conn) = msg(row).and_then(SmcDiagMsg::conn_info) else { return };
    let flags =
        [conn.rx_prod_flags(), conn.rx_conn_state_flags(), conn.tx_prod_flags(), conn.tx_conn_state_flags()];
    for (at, flags) in flags.into_iter().flatten().enumerate() {
        out.extend_from_slice(if at == 0 { b" flags:" } else { b"/" });
        put_alt_hex(out, flags.into());
    }
}

const fn link(name: &'static str, read: Read, doc: &'static str, source: &'static str) -> Field {
    Field::new(name, read, doc, source).needs(Needs::SMC_LGRINFO).group(Groups::INFO)
}

fn ib_name<'r>(row: &Row<'r>) -> Option<&'r [u8]> {
    msg(row)?.link_info()?.ib_name()
}

fn gid<'r>(row: &Row<'r>) -> Option<&'r [u8]> {
    msg(row)?.link_info()?.gid_text()
}

fn peer_gid<'r>(row: &Row<'r>) -> Option<&'r [u8]> {
    msg(row)?.link_info()?.peer_gid_text()
}

/// Roles of an end in its link group.
const ROLES: &[Word] = &[Word::new(0, "client"), Word::new(1, "server")];

fn role(row: &Row<'_>) -> Option<&'static str> {
    Some(words::by_number(ROLES, msg(row)?.lgr_info()?.role()?.into())?.name())
}

/// Appends a token with a text.
fn put_text(out: &mut Vec<u8>, name: &str, text: Option<&[u8]>) {
    if let Some(text) = text {
        out.push(b' ');
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        put_name(out, text);
    }
}

const GROUP: &[Field] = &[
    link(
        "smc.role",
        word!(ROLES, |r| role(r)),
        "Role of this end in the link group: client or server.",
        "role",
    )
    .shape("role:NAME")
    .text(Text::Custom(|out, r, _| put_text(out, "role", role(r).map(str::as_bytes)))),
    link("smc.link_id", plain!(|r| msg(r)?.link_info()?.link_id()), "ID of the SMC-R link.", "link_id")
        .shape("link:N")
        .text(Text::Custom(|out, r, _| {
            if let Some(id) = msg(r).and_then(|msg| msg.link_info()?.link_id()) {
                out.extend_from_slice(b" link:");
                put_u64(out, id.into());
            }
        })),
    link("smc.ib_name", text!(|r| ib_name(r)), "Name of the RDMA device.", "ibname")
        .shape("ib:NAME/PORT")
        .text(Text::Custom(|out, r, _| {
            put_text(out, "ib", ib_name(r));
            if let Some(port) = msg(r).and_then(|msg| msg.link_info()?.ibport()) {
                out.push(b'/');
                put_u64(out, port.into());
            }
        })),
    link("smc.ib_port", plain!(|r| msg(r)?.link_info()?.ibport()), "Port of the RDMA device.", "ibport")
        .text(Text::PartOf("smc.ib_name")),
    link("smc.gid", text!(|r| gid(r)), "GID of the local RDMA port.", "gid")
        .shape("gid:TEXT")
        .text(Text::Custom(|out, r, _| put_text(out, "gid", gid(r)))),
    link("smc.peer_gid", text!(|r| peer_gid(r)), "GID of the peer's RDMA port.", "peer_gid")
        .shape("peer_gid:TEXT")
        .text(Text::Custom(|out, r, _| put_text(out, "peer_gid", peer_gid(r)))),
];

const fn dmb(name: &'static str, read: Read, doc: &'static str, source: &'static str) -> Field {
    Field::new(name, read, doc, source).needs(Needs::SMC_DMBINFO).group(Groups::INFO)
}

macro_rules! dmb {
    ($method:ident) => {
        plain!(|r| msg(r)?.dmb_info()?.$method())
    };
}

const OF_DMB: Text = Text::PartOf("smcd.linkid");

const BUFFERS: &[Field] = &[
    dmb("smcd.linkid", dmb!(linkid), "ID of the SMC-D link.", "linkid")
        .shape("smcd:(linkid:N,gid:HEX,peer_gid:HEX,token:HEX,peer_token:HEX)")
        .text(Text::Custom(fmt_dmb)),
    dmb("smcd.gid", dmb!(my_gid), "GID of the local device.", "my_gid").tokens("gid").wide().text(OF_DMB),
    dmb("smcd.peer_gid", dmb!(peer_gid), "GID of the peer's device.", "peer_gid")
        .tokens("peer_gid")
        .wide()
        .text(OF_DMB),
    dmb("smcd.dmb_token", dmb!(token), "Token of the local DMB (receive buffer).", "token")
        .tokens("token")
        .wide()
        .text(OF_DMB),
    dmb("smcd.peer_dmb_token", dmb!(peer_token), "Token of the peer's DMB (receive buffer).", "peer_token")
        .tokens("peer_token")
        .wide()
        .text(OF_DMB),
    dmb(
        "smcd.gid_ext",
        dmb!(my_gid_ext),
        "High half of the local device's GID; since Linux 6.8.",
        "my_gid_ext",
    )
    .wide(),
    dmb(
        "smcd.peer_gid_ext",
        dmb!(peer_gid_ext),
        "High half of the peer device's GID; since Linux 6.8.",
        "peer_gid_ext",
    )
    .wide(),
];

fn fmt_dmb(out: &mut Vec<u8>, row: &Row<'_>, _: Style) {
    let Some(dmb) = msg(row).and_then(SmcDiagMsg::dmb_info) else { return };
    let Some(linkid) = dmb.linkid() else { return };
    out.extend_from_slice(b" smcd:(linkid:");
    put_u64(out, linkid.into());
    let numbers = [
        (",gid:", dmb.my_gid()),
        (",peer_gid:", dmb.peer_gid()),
        (",token:", dmb.token()),
        (",peer_token:", dmb.peer_token()),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            out.extend_from_slice(name.as_bytes());
            put_hex(out, number);
        }
    }
    out.push(b')');
}
