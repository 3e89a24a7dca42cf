//! The values that BPF programs store for a socket in `sk_storage` maps.
//!
//! A reply holds one attribute for each map that has a value for the socket:
//! the map's id and the value's bytes.  The map's types ([`crate::btf`]) say
//! what the bytes mean; the message does not.
//!
//! Source: linux/sock_diag.h and linux/bpf.h, Linux 7.3; net/core/bpf_sk_storage.c
//! sends `MAP_ID` and `MAP_VALUE` with every storage.

use crate::attr::{Attrs, attrs, unread};
use crate::bytes::{u16_at, u32_at};
use crate::layout::{constants, view};

constants! {
    /// Kinds of attributes about BPF storage: of a request, of a reply, and of one storage in
    /// a reply.
    STORAGE_ATTRIBUTES in "linux/sock_diag.h": u16 {
        /// Request: file descriptor of a wanted map; without this attribute, all maps.
        SK_DIAG_BPF_STORAGE_REQ_MAP_FD = 1;
        /// Reply: one storage, nested.
        SK_DIAG_BPF_STORAGE = 1;
        /// Storage: padding.
        SK_DIAG_BPF_STORAGE_PAD = 1;
        /// Storage: id of the map.
        SK_DIAG_BPF_STORAGE_MAP_ID = 2;
        /// Storage: the value that the map holds for the socket.
        SK_DIAG_BPF_STORAGE_MAP_VALUE = 3;
    }
}

view! {
    /// The part of the kernel's description of a map that sockets need.
    MapInfo = "struct bpf_map_info" in "linux/bpf.h" {
        /// Type (`BPF_MAP_TYPE_*`).
        kind: u32 @ 0 = "type";
        /// Id of the map.
        id: u32 @ 4 = "id";
        /// Size of a value in bytes.
        value_size: u32 @ 12 = "value_size";
        /// Id of its BTF; 0 if it has none.
        btf_id: u32 @ 64 = "btf_id";
        /// Id of the value's type in that BTF; 0 if it has none.
        btf_value_type_id: u32 @ 72 = "btf_value_type_id";
    }
}

/// The number of bytes of [`MapInfo`] to request.
pub const MAP_INFO_LEN: usize = MapInfo::LAYOUT.end();

/// One storage: the value that a map holds for a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BpfStorage<'a> {
    /// The map's id.
    pub map_id: u32,
    /// The value; as long as every value of the map.
    pub value: &'a [u8],
}

/// The storages of a reply, in order.  Storages without an id or a value are skipped.
#[derive(Clone, Debug)]
pub struct BpfStorages<'a> {
    items: Attrs<'a>,
}

impl<'a> BpfStorages<'a> {
    /// Reads the payload of `INET_DIAG_SK_BPF_STORAGES`.
    pub fn new(payload: &'a [u8]) -> Self {
        Self { items: attrs(payload) }
    }

    /// For each storage with bytes left after its last attribute: the number of these bytes
    /// and the length that the first of them claims.
    pub fn deficits(self) -> impl Iterator<Item = (usize, u16)> + use<'a> {
        self.items.filter(|item| item.kind == SK_DIAG_BPF_STORAGE).filter_map(|item| {
            let left = unread(item.payload);
            let at = item.payload.len().checked_sub(left)?;
            (left > 0).then(|| (left, u16_at(item.payload, at).unwrap_or(0)))
        })
    }
}

impl<'a> Iterator for BpfStorages<'a> {
    type Item = BpfStorage<'a>;

    fn next(&mut self) -> Option<BpfStorage<'a>> {
        self.items.by_ref().filter(|item| item.kind == SK_DIAG_BPF_STORAGE).find_map(|item| {
            let first = |kind| attrs(item.payload).find(|attr| attr.kind == kind).map(|attr| attr.payload);
            Some(BpfStorage {
                map_id: u32_at(first(SK_DIAG_BPF_STORAGE_MAP_ID)?, 0)?,
                value: first(SK_DIAG_BPF_STORAGE_MAP_VALUE)?,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr::{NLA_F_NESTED, put};

    fn storage(id: &[u8], value: &[u8], rest: &[u8]) -> Vec<u8> {
        let mut inner = Vec::new();
        put(&mut inner, 1, b"");
        put(&mut inner, SK_DIAG_BPF_STORAGE_MAP_ID, id);
        put(&mut inner, SK_DIAG_BPF_STORAGE_MAP_VALUE | NLA_F_NESTED, value);
        inner.extend_from_slice(rest);
        inner
    }

    #[test]
    fn storages_that_are_not_whole_are_left_out() {
        let mut bytes = Vec::new();
        put(&mut bytes, SK_DIAG_BPF_STORAGE | NLA_F_NESTED, &storage(&7_u32.to_ne_bytes(), b"abcde", b""));
        put(&mut bytes, 2, &storage(&8_u32.to_ne_bytes(), b"other kind", b""));
        put(&mut bytes, SK_DIAG_BPF_STORAGE, &storage(&[9, 0], b"short id", b""));
        put(&mut bytes, SK_DIAG_BPF_STORAGE, b"");
        put(&mut bytes, SK_DIAG_BPF_STORAGE, &storage(&9_u32.to_ne_bytes(), b"", &[40, 0, 1, 0]));
        let found: Vec<_> = BpfStorages::new(&bytes).map(|item| (item.map_id, item.value)).collect();
        assert_eq!(found, [(7, &b"abcde"[..]), (9, b"")]);
        assert_eq!(BpfStorages::new(&bytes).deficits().collect::<Vec<_>>(), [(4, 40)]);
        for len in 0..bytes.len() {
            assert!(BpfStorages::new(&bytes[..len]).count() <= 2);
        }
    }
}
