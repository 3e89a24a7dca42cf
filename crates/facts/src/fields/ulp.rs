//! What lies on top of TCP or guards it: MD5 keys, kernel TLS, MPTCP subflows.
//!
//! Source: `struct tcp_diag_md5sig` (linux/tcp.h), `TLS_INFO_*`
//! (linux/tls.h), `MPTCP_SUBFLOW_ATTR_*` (linux/mptcp.h).

use std::io::Write as _;

use sockdiag_wire::ulp::{Mptcp, Tls};

use super::endpoint::put_bare_addr;
use super::{Field, Item, Kind, List, Member, Needs, Style, Text, Unit, Value, info_row as row};
use crate::model::{Addr, Row};
use crate::number::{put_name, put_octal, put_u64};

macro_rules! ulp {
    ($part:ident . $method:ident) => {
        |r| Some(r.socket.attrs()?.ulp()?.$part()?.$method()?.into())
    };
}

/// Whether a socket has any of this.
pub(super) fn is_there(row: &Row<'_>) -> bool {
    row.socket.attrs().is_some_and(|attrs| attrs.ulp().is_some() || attrs.md5sigs().is_some())
}

const TLS: Text = Text::PartOf("ulp.name");

/// Rows in print order.
pub(super) const ULP: &[Field] = &[
    row(
        "tcp.md5_keys",
        |r| {
            r.socket.attrs()?.md5sigs()?;
            Some(Value::List(List::Of(r, each_key)))
        },
        "MD5 signature keys, in the clear, as ss prints them to who may see them.",
        "INET_DIAG_MD5SIG",
    )
    .kind(Kind::Records(MD5_KEY))
    .unit(Unit::Count)
    .print_needs(Needs::HOSTS)
    .shape("md5keys:ADDR/PREFIX=KEY,...")
    .text(Text::Custom(fmt_md5)),
    row(
        "ulp.name",
        |r| r.socket.attrs()?.ulp()?.name().map(Value::Text),
        "Protocol on top of TCP: tls, mptcp, espintcp.",
        "INET_ULP_INFO_NAME",
    )
    .kind(Kind::Text)
    .shape("tcp-ulp-NAME ...")
    .text(Text::Custom(fmt_ulp)),
    row("tls.version", ulp!(tls.version), "TLS version: 0x303 is 1.2, 0x304 is 1.3.", "TLS_INFO_VERSION")
        .text(TLS),
    row("tls.cipher", ulp!(tls.cipher), "Number of the cipher.", "TLS_INFO_CIPHER").text(TLS),
    row(
        "tls.rxconf",
        ulp!(tls.rxconf),
        "Who decrypts: 1 none, 2 kernel, 3 hardware, 4 hardware records.",
        "TLS_INFO_RXCONF",
    )
    .text(TLS),
    row(
        "tls.txconf",
        ulp!(tls.txconf),
        "Who encrypts: 1 none, 2 kernel, 3 hardware, 4 hardware records.",
        "TLS_INFO_TXCONF",
    )
    .text(TLS),
    row(
        "tls.zc_ro_tx",
        |r| Some(r.socket.attrs()?.ulp()?.tls()?.zc_ro_tx().into()),
        "Whether sendfile sends without a copy.",
        "TLS_INFO_ZC_RO_TX",
    )
    .kind(Kind::Bool)
    .text(TLS),
    row(
        "tls.rx_no_pad",
        |r| Some(r.socket.attrs()?.ulp()?.tls()?.rx_no_pad().into()),
        "Whether the peer promised not to pad records.",
        "TLS_INFO_RX_NO_PAD",
    )
    .kind(Kind::Bool)
    .text(TLS),
    row(
        "tls.tx_max_payload_len",
        ulp!(tls.tx_max_payload_len),
        "Most data that a sent record holds.",
        "TLS_INFO_TX_MAX_PAYLOAD_LEN",
    )
    .unit(Unit::Bytes),
    row(
        "subflow.flags",
        ulp!(mptcp.flags),
        "State of the MPTCP subflow, a bit each.",
        "MPTCP_SUBFLOW_ATTR_FLAGS",
    )
    .text(TLS),
    row(
        "subflow.token_rem",
        ulp!(mptcp.token_rem),
        "Token of the peer's connection.",
        "MPTCP_SUBFLOW_ATTR_TOKEN_REM",
    )
    .text(TLS),
    row(
        "subflow.token_loc",
        ulp!(mptcp.token_loc),
        "Token of our connection.",
        "MPTCP_SUBFLOW_ATTR_TOKEN_LOC",
    )
    .text(TLS),
    row("subflow.id_rem", ulp!(mptcp.id_rem), "Address id of the peer.", "MPTCP_SUBFLOW_ATTR_ID_REM")
        .text(TLS),
    row("subflow.id_loc", ulp!(mptcp.id_loc), "Address id of this end.", "MPTCP_SUBFLOW_ATTR_ID_LOC")
        .text(TLS),
    row(
        "subflow.map_seq",
        ulp!(mptcp.map_seq),
        "Data sequence number of the current mapping.",
        "MPTCP_SUBFLOW_ATTR_MAP_SEQ",
    )
    .kind(Kind::Wide)
    .text(TLS),
    row(
        "subflow.map_sfseq",
        ulp!(mptcp.map_sfseq),
        "Subflow sequence number of the current mapping.",
        "MPTCP_SUBFLOW_ATTR_MAP_SFSEQ",
    )
    .text(TLS),
    row(
        "subflow.ssn_offset",
        ulp!(mptcp.ssn_offset),
        "Offset of the subflow sequence number.",
        "MPTCP_SUBFLOW_ATTR_SSN_OFFSET",
    )
    .text(TLS),
    row(
        "subflow.map_datalen",
        ulp!(mptcp.map_datalen),
        "Length of the current mapping.",
        "MPTCP_SUBFLOW_ATTR_MAP_DATALEN",
    )
    .unit(Unit::Bytes)
    .text(TLS),
    row(
        "subflow.relwrite_seq",
        ulp!(mptcp.relwrite_seq),
        "Sequence number to be written next, relative to the start.",
        "MPTCP_SUBFLOW_ATTR_RELWRITE_SEQ",
    ),
];

/// What an MD5 key consists of.
const MD5_KEY: &[Member] = &[
    Member {
        name: "addr",
        kind: Kind::Addr,
        unit: Unit::None,
        doc: "Address of the peers that it is for.",
        needs: Needs::NONE,
        brief: true,
    },
    Member {
        name: "prefixlen",
        kind: Kind::Integer,
        unit: Unit::None,
        doc: "How many bits of the address count.",
        needs: Needs::NONE,
        brief: true,
    },
    Member {
        name: "key",
        kind: Kind::Text,
        unit: Unit::None,
        doc: "The key.",
        needs: Needs::NONE,
        brief: false,
    },
];

fn each_key(row: &Row<'_>, take: &mut dyn FnMut(Item<'_>)) {
    let keys = row.socket.attrs().and_then(|attrs| attrs.md5sigs());
    for key in keys.into_iter().flatten() {
        let addr = match (key.family(), key.addr()) {
            (2, [a, b, c, d, ..]) => Some(Value::Addr(Addr::V4([a, b, c, d]))),
            (10, addr) => Some(Value::Addr(Addr::V6(addr))),
            _ => None,
        };
        take(Item::Record(&[addr, Some(key.prefixlen().into()), Some(Value::Text(key.key()))]));
    }
}

fn fmt_md5(out: &mut Vec<u8>, row: &Row<'_>, _: Style) {
    let Some(keys) = row.socket.attrs().and_then(|attrs| attrs.md5sigs()) else { return };
    for (at, key) in keys.enumerate() {
        out.extend_from_slice(if at == 0 { b" md5keys:" } else { b"," });
        match key.family() {
            2 => {
                let [a, b, c, d, ..] = key.addr();
                put_bare_addr(out, row, Addr::V4([a, b, c, d]));
            }
            10 => put_bare_addr(out, row, Addr::V6(key.addr())),
            // The kernel fills up with zeros where keys vanish while it copies them.
            _ => out.extend_from_slice(b"???"),
        }
        out.push(b'/');
        put_u64(out, u64::from(key.prefixlen()));
        out.push(b'=');
        for byte in key.key() {
            match byte {
                b'\\' | b' ' | b',' => put_octal(out, *byte),
                0x21..0x7f => out.push(*byte),
                _ => put_octal(out, *byte),
            }
        }
    }
}

fn fmt_ulp(out: &mut Vec<u8>, row: &Row<'_>, _: Style) {
    let Some(ulp) = row.socket.attrs().and_then(|attrs| attrs.ulp()) else { return };
    if let Some(name) = ulp.name() {
        out.extend_from_slice(b" tcp-ulp-");
        put_name(out, name);
    }
    if let Some(tls) = ulp.tls() {
        put_tls(out, tls);
    }
    if let Some(mptcp) = ulp.mptcp() {
        put_mptcp(out, mptcp);
    }
}

fn put_tls(out: &mut Vec<u8>, tls: Tls<'_>) {
    if let Some(version) = tls.version() {
        match version {
            0x303 => out.extend_from_slice(b" version: 1.2"),
            0x304 => out.extend_from_slice(b" version: 1.3"),
            other => {
                let _ = write!(out, " version: unknown({other})");
            }
        }
    }
    match tls.cipher() {
        Some(51) => out.extend_from_slice(b" cipher: aes-gcm-128"),
        Some(52) => out.extend_from_slice(b" cipher: aes-gcm-256"),
        _ => {}
    }
    for (name, conf) in [(" rxconf: ", tls.rxconf()), (" txconf: ", tls.txconf())] {
        if let Some(conf) = conf {
            out.extend_from_slice(name.as_bytes());
            match conf {
                1 => out.extend_from_slice(b"none"),
                2 => out.extend_from_slice(b"sw"),
                3 => out.extend_from_slice(b"hw"),
                4 => out.extend_from_slice(b"hw-record"),
                other => {
                    let _ = write!(out, "unknown({other})");
                }
            }
        }
    }
    if tls.zc_ro_tx() {
        out.extend_from_slice(b" zc_ro_tx");
    }
    if tls.rx_no_pad() {
        out.extend_from_slice(b" no_pad_rx");
    }
}

fn put_mptcp(out: &mut Vec<u8>, mptcp: Mptcp<'_>) {
    if let Some(flags) = mptcp.flags().filter(|flags| *flags != 0) {
        out.extend_from_slice(b" flags:");
        out.extend(
            b"MmJjBbecv"
                .iter()
                .enumerate()
                .filter(|(bit, _)| flags >> bit & 1 != 0)
                .map(|(_, letter)| *letter),
        );
    }
    if let (Some(token_rem), Some(id_rem), Some(token_loc), Some(id_loc)) =
        (mptcp.token_rem(), mptcp.id_rem(), mptcp.token_loc(), mptcp.id_loc())
    {
        let _ = write!(out, " token:{token_rem:04x}(id:{id_rem})/{token_loc:04x}(id:{id_loc})");
    }
    for (name, value) in [
        (" seq:", mptcp.map_seq()),
        (" sfseq:", mptcp.map_sfseq().map(u64::from)),
        (" ssnoff:", mptcp.ssn_offset().map(u64::from)),
        (" maplen:", mptcp.map_datalen().map(u64::from)),
    ] {
        if let Some(value) = value {
            out.extend_from_slice(name.as_bytes());
            put_u64(out, value);
        }
    }
}
