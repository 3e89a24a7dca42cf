//! MD5 signature keys: `INET_DIAG_MD5SIG`, an array of fixed records.
//!
//! Source: linux/tcp.h, Linux 7.3.

use crate::layout::view;

/// Length of one record.
pub const RECORD_LEN: usize = Md5Sig::LAYOUT.end();
/// Where the key begins in a record.
const KEY: usize = Md5Sig::LAYOUT.offset("tcpm_key");

view! {
    /// One key.  The accessors with the prefix `tcpm_` return `None` past the end of the
    /// bytes; those without it are for the complete records of [`Md5Sigs`].
    Md5Sig = "struct tcp_diag_md5sig" in "linux/tcp.h" {
        /// Address family.
        tcpm_family: u8 @ 0 = "tcpm_family";
        /// Prefix length.
        tcpm_prefixlen: u8 @ 1 = "tcpm_prefixlen";
        /// Length of the key.
        tcpm_keylen: u16 @ 2 = "tcpm_keylen";
        /// Address.
        tcpm_addr: [u8; 16] @ 4 = "tcpm_addr";
        /// Key.
        tcpm_key: [u8; 80] @ 20 = "tcpm_key";
    }
}

impl<'a> Md5Sig<'a> {
    /// Address family: 2 inet, 10 inet6.
    pub fn family(self) -> u8 {
        self.tcpm_family().unwrap_or(0)
    }

    /// The number of address bits that must match.
    pub fn prefixlen(self) -> u8 {
        self.tcpm_prefixlen().unwrap_or(0)
    }

    /// The address as sent: IPv4 in the first four bytes.
    pub fn addr(self) -> [u8; 16] {
        self.tcpm_addr().unwrap_or_default()
    }

    /// The key: at most 80 bytes, whatever its length claims.
    pub fn key(self) -> &'a [u8] {
        let room = self.bytes().get(KEY..RECORD_LEN).unwrap_or_default();
        room.get(..usize::from(self.tcpm_keylen().unwrap_or(0))).unwrap_or(room)
    }
}

/// The keys of a socket, in order; an incomplete last record is skipped.
#[derive(Clone, Debug)]
pub struct Md5Sigs<'a>(std::slice::ChunksExact<'a, u8>);

impl<'a> Md5Sigs<'a> {
    /// Splits an attribute's value into keys.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes.chunks_exact(RECORD_LEN))
    }
}

impl<'a> Iterator for Md5Sigs<'a> {
    type Item = Md5Sig<'a>;

    fn next(&mut self) -> Option<Md5Sig<'a>> {
        self.0.next().map(Md5Sig::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_never_reaches_beyond_its_record() {
        let mut bytes = vec![b'k'; 2 * RECORD_LEN + 50];
        bytes[2..4].copy_from_slice(&5_u16.to_ne_bytes());
        let lengths: Vec<usize> = Md5Sigs::new(&bytes).map(|key| key.key().len()).collect();
        assert_eq!(lengths, [5, 80]);
        for len in 0..bytes.len() {
            assert_eq!(Md5Sigs::new(&bytes[..len]).count(), len / RECORD_LEN);
        }
    }
}
