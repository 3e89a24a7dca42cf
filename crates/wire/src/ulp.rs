//! Protocols layered on TCP: `INET_DIAG_ULP_INFO`, nested attributes.
//!
//! Source: linux/inet_diag.h, linux/tls.h, linux/mptcp_pm.h, Linux 7.3.

use crate::attr::{attrs, c_text};
use crate::bytes::{u8_at, u16_at, u32_at, u64_at};
use crate::layout::constants;

constants! {
    /// Kinds of attributes at the first level.
    ULP_ATTRIBUTES in "linux/inet_diag.h": u16 {
        /// Name of the protocol.
        INET_ULP_INFO_NAME = 1;
        /// Kernel TLS.
        INET_ULP_INFO_TLS = 2;
        /// MPTCP subflow.
        INET_ULP_INFO_MPTCP = 3;
    }
}

constants! {
    /// Kinds of attributes of kernel TLS.
    TLS_ATTRIBUTES in "linux/tls.h": u16 {
        /// Protocol version.
        TLS_INFO_VERSION = 1;
        /// Cipher.
        TLS_INFO_CIPHER = 2;
        /// Where encryption is done.
        TLS_INFO_TXCONF = 3;
        /// Where decryption is done.
        TLS_INFO_RXCONF = 4;
        /// Zero-copy sendfile.
        TLS_INFO_ZC_RO_TX = 5;
        /// The peer does not pad records.
        TLS_INFO_RX_NO_PAD = 6;
        /// Maximum size of a sent record.
        TLS_INFO_TX_MAX_PAYLOAD_LEN = 7;
    }
}

constants! {
    /// Values of the TLS attributes.
    TLS_VALUES in "linux/tls.h": u16 {
        /// TLS 1.2.
        TLS_1_2_VERSION = 0x303;
        /// TLS 1.3.
        TLS_1_3_VERSION = 0x304;
        /// AES-128 in Galois/counter mode.
        TLS_CIPHER_AES_GCM_128 = 51;
        /// AES-256 in Galois/counter mode.
        TLS_CIPHER_AES_GCM_256 = 52;
        /// AES-128 in counter mode with CBC-MAC.
        TLS_CIPHER_AES_CCM_128 = 53;
        /// ChaCha20-Poly1305.
        TLS_CIPHER_CHACHA20_POLY1305 = 54;
        /// SM4 in Galois/counter mode.
        TLS_CIPHER_SM4_GCM = 55;
        /// SM4 in counter mode with CBC-MAC.
        TLS_CIPHER_SM4_CCM = 56;
        /// ARIA-128 in Galois/counter mode.
        TLS_CIPHER_ARIA_GCM_128 = 57;
        /// ARIA-256 in Galois/counter mode.
        TLS_CIPHER_ARIA_GCM_256 = 58;
        /// The application encrypts.
        TLS_CONF_BASE = 1;
        /// The kernel encrypts.
        TLS_CONF_SW = 2;
        /// The network card encrypts.
        TLS_CONF_HW = 3;
        /// The network card builds whole records.
        TLS_CONF_HW_RECORD = 4;
    }
}

constants! {
    /// Kinds of attributes of an MPTCP subflow.
    MPTCP_ATTRIBUTES in "linux/mptcp.h": u16 {
        /// Token of the peer.
        MPTCP_SUBFLOW_ATTR_TOKEN_REM = 1;
        /// Token of this end.
        MPTCP_SUBFLOW_ATTR_TOKEN_LOC = 2;
        /// Write sequence, relative to the start.
        MPTCP_SUBFLOW_ATTR_RELWRITE_SEQ = 3;
        /// Data sequence of the mapping.
        MPTCP_SUBFLOW_ATTR_MAP_SEQ = 4;
        /// Subflow sequence of the mapping.
        MPTCP_SUBFLOW_ATTR_MAP_SFSEQ = 5;
        /// Offset of the subflow sequence.
        MPTCP_SUBFLOW_ATTR_SSN_OFFSET = 6;
        /// Length of the mapping.
        MPTCP_SUBFLOW_ATTR_MAP_DATALEN = 7;
        /// State bits.
        MPTCP_SUBFLOW_ATTR_FLAGS = 8;
        /// Address id of the peer.
        MPTCP_SUBFLOW_ATTR_ID_REM = 9;
        /// Address id of this end.
        MPTCP_SUBFLOW_ATTR_ID_LOC = 10;
        /// Padding.
        MPTCP_SUBFLOW_ATTR_PAD = 11;
    }
}

constants! {
    /// Bits of [`Mptcp::flags`].
    SUBFLOW_FLAGS in "linux/mptcp.h": u32 {
        /// The peer sent MP_CAPABLE.
        MPTCP_SUBFLOW_FLAG_MCAP_REM = 1;
        /// We sent MP_CAPABLE.
        MPTCP_SUBFLOW_FLAG_MCAP_LOC = 2;
        /// The peer sent MP_JOIN.
        MPTCP_SUBFLOW_FLAG_JOIN_REM = 4;
        /// We sent MP_JOIN.
        MPTCP_SUBFLOW_FLAG_JOIN_LOC = 8;
        /// The peer requested backup use.
        MPTCP_SUBFLOW_FLAG_BKUP_REM = 0x10;
        /// We requested backup use.
        MPTCP_SUBFLOW_FLAG_BKUP_LOC = 0x20;
        /// The MPTCP handshake is complete.
        MPTCP_SUBFLOW_FLAG_FULLY_ESTABLISHED = 0x40;
        /// The TCP connection is established.
        MPTCP_SUBFLOW_FLAG_CONNECTED = 0x80;
        /// The mapping is valid.
        MPTCP_SUBFLOW_FLAG_MAPVALID = 0x100;
    }
}

/// The value of the first attribute of this kind.
fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attrs(bytes).find(|attr| attr.kind == kind).map(|attr| attr.payload)
}

/// The protocol layered on a TCP socket.
#[derive(Clone, Copy, Debug)]
pub struct Ulp<'a>(&'a [u8]);

impl<'a> Ulp<'a> {
    /// Wraps the nested attributes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Name of the protocol: `tls`, `mptcp`, `espintcp`.
    pub fn name(self) -> Option<&'a [u8]> {
        find(self.0, INET_ULP_INFO_NAME).map(c_text)
    }

    /// Kernel TLS.
    pub fn tls(self) -> Option<Tls<'a>> {
        find(self.0, INET_ULP_INFO_TLS).map(Tls)
    }

    /// MPTCP subflow.
    pub fn mptcp(self) -> Option<Mptcp<'a>> {
        find(self.0, INET_ULP_INFO_MPTCP).map(Mptcp)
    }
}

/// State of kernel TLS.
#[derive(Clone, Copy, Debug)]
pub struct Tls<'a>(&'a [u8]);

impl Tls<'_> {
    /// Protocol version: 0x303 is 1.2, 0x304 is 1.3.
    pub fn version(self) -> Option<u16> {
        u16_at(find(self.0, TLS_INFO_VERSION)?, 0)
    }

    /// Cipher: 51 AES-GCM-128, 52 AES-GCM-256, 53 AES-CCM-128, 54 ChaCha20-Poly1305, ...
    pub fn cipher(self) -> Option<u16> {
        u16_at(find(self.0, TLS_INFO_CIPHER)?, 0)
    }

    /// Where encryption is done: 1 nowhere in TCP, 2 software, 3 hardware, 4 hardware records.
    pub fn txconf(self) -> Option<u16> {
        u16_at(find(self.0, TLS_INFO_TXCONF)?, 0)
    }

    /// Where decryption is done; values as for [`Self::txconf`].
    pub fn rxconf(self) -> Option<u16> {
        u16_at(find(self.0, TLS_INFO_RXCONF)?, 0)
    }

    /// Whether sendfile is zero-copy.
    pub fn zc_ro_tx(self) -> bool {
        find(self.0, TLS_INFO_ZC_RO_TX).is_some()
    }

    /// Whether the peer promised not to pad records.
    pub fn rx_no_pad(self) -> bool {
        find(self.0, TLS_INFO_RX_NO_PAD).is_some()
    }

    /// Maximum plaintext of a sent record, in bytes; since Linux 6.19.
    pub fn tx_max_payload_len(self) -> Option<u16> {
        u16_at(find(self.0, TLS_INFO_TX_MAX_PAYLOAD_LEN)?, 0)
    }
}

/// State of an MPTCP subflow.
#[derive(Clone, Copy, Debug)]
pub struct Mptcp<'a>(&'a [u8]);

impl Mptcp<'_> {
    /// Token of the peer.
    pub fn token_rem(self) -> Option<u32> {
        u32_at(find(self.0, MPTCP_SUBFLOW_ATTR_TOKEN_REM)?, 0)
    }

    /// Token of this end.
    pub fn token_loc(self) -> Option<u32> {
        u32_at(find(self.0, MPTCP_SUBFLOW_ATTR_TOKEN_LOC)?, 0)
    }

    /// Next sequence number to be written, relative to the start.
    pub fn relwrite_seq(self) -> Option<u32> {
        u32_at(find(self.0, MPTCP_SUBFLOW_ATTR_RELWRITE_SEQ)?, 0)
    }

    /// Data sequence number of the mapping.
    pub fn map_seq(self) -> Option<u64> {
        u64_at(find(self.0, MPTCP_SUBFLOW_ATTR_MAP_SEQ)?, 0)
    }

    /// Subflow sequence number of the mapping.
    pub fn map_sfseq(self) -> Option<u32> {
        u32_at(find(self.0, MPTCP_SUBFLOW_ATTR_MAP_SFSEQ)?, 0)
    }

    /// Offset of the subflow sequence number.
    pub fn ssn_offset(self) -> Option<u32> {
        u32_at(find(self.0, MPTCP_SUBFLOW_ATTR_SSN_OFFSET)?, 0)
    }

    /// Length of the mapping, in bytes.
    ///
    /// The kernel sends 16 bits.  `ss` reads 32 bits, and so does this method if they were
    /// sent.
    pub fn map_datalen(self) -> Option<u32> {
        let bytes = find(self.0, MPTCP_SUBFLOW_ATTR_MAP_DATALEN)?;
        u32_at(bytes, 0).or_else(|| u16_at(bytes, 0).map(u32::from))
    }

    /// State bits: 1 and 2 MP_CAPABLE (peer, us), 4 and 8 MP_JOIN, 16 and 32 backup, 64 fully
    /// established, 128 connected, 256 mapping valid.
    pub fn flags(self) -> Option<u32> {
        u32_at(find(self.0, MPTCP_SUBFLOW_ATTR_FLAGS)?, 0)
    }

    /// Address id of the peer.
    pub fn id_rem(self) -> Option<u8> {
        u8_at(find(self.0, MPTCP_SUBFLOW_ATTR_ID_REM)?, 0)
    }

    /// Address id of this end.
    pub fn id_loc(self) -> Option<u8> {
        u8_at(find(self.0, MPTCP_SUBFLOW_ATTR_ID_LOC)?, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr::put;

    #[test]
    fn nested_attributes_are_found_and_short_ones_are_absent() {
        let (mut tls, mut mptcp, mut ulp) = (Vec::new(), Vec::new(), Vec::new());
        put(&mut tls, TLS_INFO_VERSION, &0x304_u16.to_ne_bytes());
        put(&mut tls, TLS_INFO_CIPHER, &[1]);
        put(&mut tls, TLS_INFO_ZC_RO_TX, &[]);
        put(&mut mptcp, MPTCP_SUBFLOW_ATTR_MAP_SEQ, &7_u64.to_ne_bytes());
        put(&mut mptcp, MPTCP_SUBFLOW_ATTR_FLAGS, &[1, 2, 3]);
        put(&mut ulp, INET_ULP_INFO_NAME, b"tls\0");
        put(&mut ulp, INET_ULP_INFO_TLS | 0x8000, &tls);
        put(&mut ulp, INET_ULP_INFO_MPTCP | 0x8000, &mptcp);
        let view = Ulp::new(&ulp);
        assert_eq!(view.name(), Some(&b"tls"[..]));
        let tls = view.tls().unwrap();
        assert_eq!(
            (tls.version(), tls.cipher(), tls.zc_ro_tx(), tls.rx_no_pad()),
            (Some(0x304), None, true, false)
        );
        let mptcp = view.mptcp().unwrap();
        assert_eq!((mptcp.map_seq(), mptcp.flags(), mptcp.id_loc()), (Some(7), None, None));
        // The attributes end at 8 (name), 32 (TLS) and 56 bytes (MPTCP).
        for len in 0..=ulp.len() {
            let view = Ulp::new(&ulp[..len]);
            let found = (view.name().is_some(), view.tls().is_some(), view.mptcp().is_some());
            assert_eq!(found, (len >= 8, len >= 32, len >= 56), "len {len}");
        }
    }

    #[test]
    fn the_length_of_a_mapping_is_read_as_ss_reads_it() {
        for (payload, want) in
            [(&9_u16.to_ne_bytes()[..], Some(9)), (&0x1_2345_u32.to_ne_bytes(), Some(0x1_2345)), (&[1], None)]
        {
            let mut bytes = Vec::new();
            put(&mut bytes, MPTCP_SUBFLOW_ATTR_MAP_DATALEN, payload);
            assert_eq!(Mptcp(&bytes).map_datalen(), want);
        }
    }
}
