//! Protocols on top of TCP, and its protection: MD5 keys, kernel TLS, MPTCP subflows.
//!
//! Source: `struct tcp_diag_md5sig` (linux/tcp.h), `TLS_INFO_*`
//! (linux/tls.h), `MPTCP_SUBFLOW_ATTR_*` (linux/mptcp.h).

use std::io::Write as _;

use sockdiag_wire::ulp::{
    MPTCP_SUBFLOW_FLAG_BKUP_LOC, MPTCP_SUBFLOW_FLAG_BKUP_REM, MPTCP_SUBFLOW_FLAG_CONNECTED,
    MPTCP_SUBFLOW_FLAG_FULLY_ESTABLISHED, MPTCP_SUBFLOW_FLAG_JOIN_LOC, MPTCP_SUBFLOW_FLAG_JOIN_REM,
    MPTCP_SUBFLOW_FLAG_MAPVALID, MPTCP_SUBFLOW_FLAG_MCAP_LOC, MPTCP_SUBFLOW_FLAG_MCAP_REM, Mptcp,
    TLS_1_2_VERSION, TLS_1_3_VERSION, TLS_CIPHER_AES_CCM_128, TLS_CIPHER_AES_GCM_128, TLS_CIPHER_AES_GCM_256,
    TLS_CIPHER_ARIA_GCM_128, TLS_CIPHER_ARIA_GCM_256, TLS_CIPHER_CHACHA20_POLY1305, TLS_CIPHER_SM4_CCM,
    TLS_CIPHER_SM4_GCM, TLS_CONF_BASE, TLS_CONF_HW, TLS_CONF_HW_RECORD, TLS_CONF_SW, Tls,
};

use super::endpoint::put_bare_addr;
use super::{
    Field, Int, Item, Kind, List, Member, Needs, Read, Spelling, Style, Text, Unit, Value, Word,
    info_row as row, plain, text,
};
use crate::model::words;
use crate::model::{Addr, Row};
use crate::number::{put_name, put_octal, put_u64};

macro_rules! ulp {
    ($part:ident . $method:ident) => {
        plain!(|r| r.socket.attrs()?.ulp()?.$part()?.$method())
    };
}

/// Whether a socket has any of these fields.
pub(super) fn is_there(row: &Row<'_>) -> bool {
    row.socket.attrs().is_some_and(|attrs| attrs.ulp().is_some() || attrs.md5sigs().is_some())
}

const TLS: Text = Text::PartOf("ulp.name");

/// Fields in print order.
pub(super) const ULP: &[Field] = &[
    row(
        "tcp.md5_keys",
        Read::of(Kind::Records(MD5_KEY), |r| {
            r.socket.attrs()?.md5sigs()?;
            Some(Value::List(List::Of(r, each_key)))
        }),
        "TCP MD5 signature keys in clear text, as ss prints them; reported only with CAP_NET_ADMIN.",
        "INET_DIAG_MD5SIG",
    )
    .gauge(Unit::Count)
    .needs(Needs::NET_ADMIN)
    .print_needs(Needs::HOSTS)
    .shape("md5keys:ADDR/PREFIX=KEY,...")
    .text(Text::Custom(fmt_md5)),
    row(
        "ulp.name",
        text!(|r| r.socket.attrs()?.ulp()?.name()),
        "Protocol on top of TCP: tls, mptcp, espintcp.",
        "INET_ULP_INFO_NAME",
    )
    .shape("tcp-ulp-NAME ...")
    .text(Text::Custom(fmt_ulp)),
    row("tls.version", ulp!(tls.version), "TLS version.", "TLS_INFO_VERSION")
        .tokens("version")
        .words(VERSIONS)
        .text(TLS),
    row("tls.cipher", ulp!(tls.cipher), "Cipher.", "TLS_INFO_CIPHER")
        .tokens("cipher")
        .words(CIPHERS)
        .text(TLS),
    row(
        "tls.rxconf",
        ulp!(tls.rxconf),
        "Where records are decrypted: in user space (none), the kernel (sw) or the network card (hw).",
        "TLS_INFO_RXCONF",
    )
    .tokens("rxconf")
    .words(CONFIGURATIONS)
    .text(TLS),
    row(
        "tls.txconf",
        ulp!(tls.txconf),
        "Where records are encrypted: in user space (none), the kernel (sw) or the network card (hw).",
        "TLS_INFO_TXCONF",
    )
    .tokens("txconf")
    .words(CONFIGURATIONS)
    .text(TLS),
    row(
        "tls.zc_ro_tx",
        plain!(|r| Some(r.socket.attrs()?.ulp()?.tls()?.zc_ro_tx())),
        "Whether sendfile(2) is zero-copy.",
        "TLS_INFO_ZC_RO_TX",
    )
    .tokens("zc_ro_tx")
    .text(TLS),
    row(
        "tls.rx_no_pad",
        plain!(|r| Some(r.socket.attrs()?.ulp()?.tls()?.rx_no_pad())),
        "Whether records are expected to be unpadded (TLS_RX_EXPECT_NO_PAD).",
        "TLS_INFO_RX_NO_PAD",
    )
    .tokens("no_pad_rx")
    .text(TLS),
    row(
        "tls.tx_max_payload_len",
        ulp!(tls.tx_max_payload_len),
        "Maximum payload of a sent record.",
        "TLS_INFO_TX_MAX_PAYLOAD_LEN",
    )
    .gauge(Unit::Bytes)
    .size(),
    row(
        "subflow.flags",
        ulp!(mptcp.flags),
        "Flags of the MPTCP subflow; rem refers to the peer, loc to this end.",
        "MPTCP_SUBFLOW_ATTR_FLAGS",
    )
    .tokens("flags")
    .flags(SUBFLOW_FLAGS)
    .state()
    .text(TLS),
    row("subflow.token_rem", ulp!(mptcp.token_rem), "Token of the peer.", "MPTCP_SUBFLOW_ATTR_TOKEN_REM")
        .spelled(&Spelling::Hex)
        .tokens("token")
        .text(TLS),
    row("subflow.token_loc", ulp!(mptcp.token_loc), "Token of this end.", "MPTCP_SUBFLOW_ATTR_TOKEN_LOC")
        .spelled(&Spelling::Hex)
        .tokens("token")
        .text(TLS),
    row("subflow.id_rem", ulp!(mptcp.id_rem), "Address ID of the peer.", "MPTCP_SUBFLOW_ATTR_ID_REM")
        .tokens("id")
        .text(TLS),
    row("subflow.id_loc", ulp!(mptcp.id_loc), "Address ID of this end.", "MPTCP_SUBFLOW_ATTR_ID_LOC")
        .tokens("id")
        .text(TLS),
    row(
        "subflow.map_seq",
        ulp!(mptcp.map_seq),
        "Data sequence number of the current mapping.",
        "MPTCP_SUBFLOW_ATTR_MAP_SEQ",
    )
    .tokens("seq")
    .wide()
    .text(TLS),
    row(
        "subflow.map_sfseq",
        ulp!(mptcp.map_sfseq),
        "Subflow sequence number of the current mapping.",
        "MPTCP_SUBFLOW_ATTR_MAP_SFSEQ",
    )
    .tokens("sfseq")
    .text(TLS),
    row(
        "subflow.ssn_offset",
        ulp!(mptcp.ssn_offset),
        "Offset of the subflow sequence number.",
        "MPTCP_SUBFLOW_ATTR_SSN_OFFSET",
    )
    .tokens("ssnoff")
    .text(TLS),
    row(
        "subflow.map_datalen",
        ulp!(mptcp.map_datalen),
        "Length of the current mapping.",
        "MPTCP_SUBFLOW_ATTR_MAP_DATALEN",
    )
    .tokens("maplen")
    .gauge(Unit::Bytes)
    .size()
    .text(TLS),
    row(
        "subflow.relwrite_seq",
        ulp!(mptcp.relwrite_seq),
        "Next sequence number to be written, relative to the start.",
        "MPTCP_SUBFLOW_ATTR_RELWRITE_SEQ",
    ),
];

/// Versions of TLS.
const VERSIONS: &[Word] =
    &[Word::new(TLS_1_2_VERSION as u32, "1.2|TLSv1.2"), Word::new(TLS_1_3_VERSION as u32, "1.3|TLSv1.3")];

/// Ciphers of TLS.  `ss` has words for the first two.
const CIPHERS: &[Word] = &[
    Word::new(TLS_CIPHER_AES_GCM_128 as u32, "aes-gcm-128"),
    Word::new(TLS_CIPHER_AES_GCM_256 as u32, "aes-gcm-256"),
    Word::new(TLS_CIPHER_AES_CCM_128 as u32, "aes-ccm-128"),
    Word::new(TLS_CIPHER_CHACHA20_POLY1305 as u32, "chacha20-poly1305"),
    Word::new(TLS_CIPHER_SM4_GCM as u32, "sm4-gcm"),
    Word::new(TLS_CIPHER_SM4_CCM as u32, "sm4-ccm"),
    Word::new(TLS_CIPHER_ARIA_GCM_128 as u32, "aria-gcm-128"),
    Word::new(TLS_CIPHER_ARIA_GCM_256 as u32, "aria-gcm-256"),
];

/// Where encryption and decryption are done.
const CONFIGURATIONS: &[Word] = &[
    Word::new(TLS_CONF_BASE as u32, "none|base"),
    Word::new(TLS_CONF_SW as u32, "sw|kernel"),
    Word::new(TLS_CONF_HW as u32, "hw|hardware"),
    Word::new(TLS_CONF_HW_RECORD as u32, "hw-record"),
];

/// The state of a subflow.
const SUBFLOW_FLAGS: &[Word] = &[
    Word::new(MPTCP_SUBFLOW_FLAG_MCAP_REM, "mcap-rem"),
    Word::new(MPTCP_SUBFLOW_FLAG_MCAP_LOC, "mcap-loc"),
    Word::new(MPTCP_SUBFLOW_FLAG_JOIN_REM, "join-rem"),
    Word::new(MPTCP_SUBFLOW_FLAG_JOIN_LOC, "join-loc"),
    Word::new(MPTCP_SUBFLOW_FLAG_BKUP_REM, "bkup-rem"),
    Word::new(MPTCP_SUBFLOW_FLAG_BKUP_LOC, "bkup-loc"),
    Word::new(MPTCP_SUBFLOW_FLAG_FULLY_ESTABLISHED, "fully-established"),
    Word::new(MPTCP_SUBFLOW_FLAG_CONNECTED, "connected"),
    Word::new(MPTCP_SUBFLOW_FLAG_MAPVALID, "mapvalid"),
];

/// The members of an MD5 key.
const MD5_KEY: &[Member] = &[
    Member {
        name: "addr",
        kind: Kind::Addr,
        unit: Unit::None,
        doc: "Address or prefix of the peers that use the key.",
        needs: Needs::NONE,
        brief: true,
        spelling: None,
    },
    Member {
        name: "prefixlen",
        kind: Kind::Int(Int::of::<u8>()),
        unit: Unit::None,
        doc: "Prefix length of the address.",
        needs: Needs::NONE,
        brief: true,
        spelling: None,
    },
    Member {
        name: "key",
        kind: Kind::Text,
        unit: Unit::None,
        doc: "The key.",
        needs: Needs::NONE,
        brief: false,
        spelling: None,
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
            // The kernel pads with zeros if keys disappear while it copies them.
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

/// Appends a word after its name, or `unknown(N)` for a number without a word.
fn put_word(out: &mut Vec<u8>, name: &str, words: &'static [Word], number: u32) {
    let _ = match words::by_number(words, number) {
        Some(word) => write!(out, "{name}{}", word.name()),
        None => write!(out, "{name}unknown({number})"),
    };
}

fn put_tls(out: &mut Vec<u8>, tls: Tls<'_>) {
    if let Some(version) = tls.version() {
        put_word(out, " version: ", VERSIONS, version.into());
    }
    let has_word = |cipher: &u16| matches!(*cipher, TLS_CIPHER_AES_GCM_128 | TLS_CIPHER_AES_GCM_256);
    if let Some(cipher) = tls.cipher().filter(has_word) {
        put_word(out, " cipher: ", CIPHERS, cipher.into());
    }
    for (name, conf) in [(" rxconf: ", tls.rxconf()), (" txconf: ", tls.txconf())] {
        if let Some(conf) = conf {
            put_word(out, name, CONFIGURATIONS, conf.into());
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
        let letters = SUBFLOW_FLAGS.iter().zip(b"MmJjBbecv");
        out.extend(
            letters.filter(|(word, _)| flags & word.number.unwrap_or(0) != 0).map(|(_, letter)| *letter),
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
