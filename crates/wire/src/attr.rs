//! Netlink attributes: type, length, value, padding to four bytes.
//!
//! Parsing stops at an impossible length and keeps the attributes before it.  Of the two flag
//! bits of a type only "nested" is cleared, as `ss` does: no sock_diag attribute is sent in
//! network order, so one with that flag matches no known kind.
//!
//! Source: `struct nlattr` (linux/netlink.h); the reference's behaviour on recordings.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use crate::bytes::{align4, u32_at};
use crate::layout::constants;

/// Length of an attribute's header.
pub(crate) const HEADER: usize = 4;
/// Every attribute begins at a multiple of this.
pub(crate) const ALIGNMENT: usize = 4;

constants! {
    /// Flag bits of an attribute's type.
    TYPE_FLAGS in "linux/netlink.h": u16 {
        /// The value is a list of attributes.
        NLA_F_NESTED = 0x8000;
        /// The value is in network order.
        NLA_F_NET_BYTEORDER = 0x4000;
    }
}

/// One attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attr<'a> {
    /// Its type, without `NLA_F_NESTED`.
    pub kind: u16,
    /// Its value, without padding.
    pub payload: &'a [u8],
}

impl<'a> Attr<'a> {
    /// The value as a C string: up to its first NUL.
    pub fn text(&self) -> &'a [u8] {
        c_text(self.payload)
    }
}

/// Bytes up to the first NUL.
pub(crate) fn c_text(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// The attributes of a message, in order.
#[derive(Clone, Debug)]
pub struct Attrs<'a> {
    rest: &'a [u8],
}

/// Parses bytes as attributes.
#[inline]
pub fn attrs(bytes: &[u8]) -> Attrs<'_> {
    Attrs { rest: bytes }
}

impl Attrs<'_> {
    /// The number of unread bytes; at the end, of the bytes that form no attribute.
    pub fn remnant(&self) -> usize {
        self.rest.len()
    }
}

impl<'a> Iterator for Attrs<'a> {
    type Item = Attr<'a>;

    #[inline]
    fn next(&mut self) -> Option<Attr<'a>> {
        let [len, len_high, kind, kind_high] = *self.rest.first_chunk::<HEADER>()?;
        let len = usize::from(u16::from_ne_bytes([len, len_high]));
        let kind = u16::from_ne_bytes([kind, kind_high]) & !NLA_F_NESTED;
        let payload = self.rest.get(HEADER..len)?;
        self.rest = self.rest.get(align4(len)..).unwrap_or_default();
        Some(Attr { kind, payload })
    }
}

/// How many bytes are left after the last complete attribute.
pub fn unread(bytes: &[u8]) -> usize {
    let mut all = attrs(bytes);
    all.by_ref().for_each(drop);
    all.remnant()
}

/// Attributes indexed by kind.  The first of a kind wins; kinds from `N` on are skipped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Index<'a, const N: usize>([Option<&'a [u8]>; N]);

impl<'a, const N: usize> Index<'a, N> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Self {
        let mut index = [None; N];
        for attr in attrs(bytes) {
            if let Some(slot @ None) = index.get_mut(usize::from(attr.kind)) {
                *slot = Some(attr.payload);
            }
        }
        Self(index)
    }

    pub(crate) fn get(&self, kind: u16) -> Option<&'a [u8]> {
        self.0.get(usize::from(kind)).copied().flatten()
    }

    pub(crate) fn u32(&self, kind: u16) -> Option<u32> {
        u32_at(self.get(kind)?, 0)
    }

    pub(crate) fn flag(&self, kind: u16) -> bool {
        self.get(kind).is_some()
    }
}

/// Appends an attribute with padding.  A payload too long for the 16-bit length is cut.
pub fn put(out: &mut Vec<u8>, kind: u16, payload: &[u8]) {
    let payload = payload.get(..usize::from(u16::MAX) - HEADER).unwrap_or(payload);
    out.extend_from_slice(&((payload.len() + HEADER) as u16).to_ne_bytes());
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(payload);
    out.resize(align4(out.len()), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_before_damage_are_kept() {
        let mut bytes = Vec::new();
        put(&mut bytes, 1, b"one");
        put(&mut bytes, 0x8002, b"two!");
        put(&mut bytes, 3, b"");
        let all: Vec<_> = attrs(&bytes).map(|a| (a.kind, a.payload)).collect();
        assert_eq!(all, [(1, &b"one"[..]), (2, b"two!"), (3, b"")]);
        for cut in 0..bytes.len() {
            let want = [7, 16, 20].iter().filter(|end| cut >= **end).count();
            assert_eq!(attrs(&bytes[..cut]).count(), want, "cut at {cut}");
        }
        bytes[8..10].copy_from_slice(&3_u16.to_ne_bytes());
        let mut left = attrs(&bytes);
        assert_eq!(left.by_ref().count(), 1);
        assert_eq!(left.remnant(), 12);
        assert_eq!(unread(&bytes), 12);
    }
    #[test]
    fn a_type_in_network_order_is_not_the_plain_one() {
        let mut bytes = Vec::new();
        put(&mut bytes, 5 | NLA_F_NESTED, b"");
        put(&mut bytes, 5 | NLA_F_NET_BYTEORDER, b"");
        assert_eq!(attrs(&bytes).map(|a| a.kind).collect::<Vec<_>>(), [5, 0x4005]);
    }

    #[test]
    fn a_value_that_is_too_long_is_cut_so_that_the_next_attribute_is_read() {
        let mut bytes = Vec::new();
        put(&mut bytes, 1, &vec![7; 70_000]);
        put(&mut bytes, 2, b"x");
        let all: Vec<_> = attrs(&bytes).map(|a| (a.kind, a.payload.len())).collect();
        assert_eq!(all, [(1, 65_531), (2, 1)]);
    }
}
