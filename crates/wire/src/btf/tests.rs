//! Tests on made-up BTF, on the running kernel's, and on damaged bytes.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small, known numbers; each cast is meant"
)]

use super::*;

/// BTF under construction.
#[derive(Default)]
pub(crate) struct Made {
    types: Vec<u8>,
    strings: Vec<u8>,
    layouts: Vec<u8>,
}

impl Made {
    pub(crate) fn new() -> Self {
        Self { strings: vec![0], ..Self::default() }
    }

    pub(crate) fn name(&mut self, name: &str) -> u32 {
        if name.is_empty() {
            return 0;
        }
        let at = self.strings.len() as u32;
        self.strings.extend(name.as_bytes());
        self.strings.push(0);
        at
    }

    /// Adds a type; the tuple holds its kind, its number of elements and its flag.
    pub(crate) fn ty(
        &mut self,
        name: &str,
        (kind, vlen, flag): (u8, u32, bool),
        size_or_type: u32,
        tail: &[u32],
    ) {
        let name = self.name(name);
        let info = u32::from(flag) << 31 | u32::from(kind) << 24 | vlen;
        for word in [name, info, size_or_type].iter().chain(tail) {
            self.types.extend(word.to_ne_bytes());
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
        let mut all = BTF_MAGIC.to_ne_bytes().to_vec();
        all.extend([1, 0]);
        let header = if self.layouts.is_empty() { 24 } else { 32 };
        let words = [header, 0, types, types, strings, types + strings, self.layouts.len() as u32];
        for word in words.iter().take(if header == 24 { 5 } else { 7 }) {
            all.extend(word.to_ne_bytes());
        }
        [all, self.types.clone(), self.strings.clone(), self.layouts.clone()].concat()
    }
}

/// One type of every kind.
fn every_kind() -> Vec<u8> {
    let mut made = Made::new();
    made.ty("int", (BTF_KIND_INT, 0, false), 4, &[u32::from(BTF_INT_SIGNED) << 24 | 32]);
    made.ty("", (BTF_KIND_PTR, 0, false), 1, &[]);
    made.ty("", (BTF_KIND_ARRAY, 0, false), 0, &[1, 1, 7]);
    let (a, b) = (made.name("a"), made.name("bits"));
    made.ty("pair", (BTF_KIND_STRUCT, 2, true), 8, &[a, 1, 0, b, 1, 0x0300_0025]);
    made.ty("both", (BTF_KIND_UNION, 1, false), 4, &[a, 1, 0x0100_0000]);
    let (low, high) = (made.name("LOW"), made.name("HIGH"));
    made.ty("signs", (BTF_KIND_ENUM, 2, true), 4, &[low, -5_i32 as u32, high, 5]);
    made.ty("plain", (BTF_KIND_ENUM, 1, false), 4, &[high, u32::MAX]);
    made.ty("later", (BTF_KIND_FWD, 0, true), 0, &[]);
    made.ty("int_t", (BTF_KIND_TYPEDEF, 0, false), 1, &[]);
    made.ty("", (BTF_KIND_VOLATILE, 0, false), 1, &[]);
    made.ty("", (BTF_KIND_CONST, 0, false), 1, &[]);
    made.ty("", (BTF_KIND_RESTRICT, 0, false), 2, &[]);
    made.ty("", (BTF_KIND_FUNC_PROTO, 2, false), 1, &[a, 1, 0, 0]);
    made.ty("call", (BTF_KIND_FUNC, 1, false), 13, &[]);
    made.ty("var", (BTF_KIND_VAR, 0, false), 1, &[0]);
    made.ty(".data", (BTF_KIND_DATASEC, 1, false), 4, &[15, 0, 4]);
    made.ty("double", (BTF_KIND_FLOAT, 0, false), 8, &[]);
    made.ty("tag", (BTF_KIND_DECL_TAG, 0, false), 4, &[0]);
    made.ty("user", (BTF_KIND_TYPE_TAG, 0, false), 1, &[]);
    made.ty("wide", (BTF_KIND_ENUM64, 1, false), 8, &[high, 1, 2]);
    made.bytes()
}

/// The types of the running kernel; if they cannot be read, prints the reason.
pub(crate) fn running_kernel() -> Option<Vec<u8>> {
    match std::fs::read("/sys/kernel/btf/vmlinux") {
        Ok(bytes) => Some(bytes),
        Err(why) if std::env::var_os("SOCKDIAG_NO_SKIP").is_some_and(|value| value == "1") => {
            panic!("the kernel's types cannot be read: {why}")
        }
        Err(why) => {
            println!("SKIP btf: {why}");
            None
        }
    }
}

#[test]
fn every_kind_is_passed_over_by_its_own_length() {
    let bytes = every_kind();
    let btf = Btf::new(&bytes).expect("well made");
    let kinds: Vec<(u32, u8)> = btf.types().map(|(id, ty)| (id, ty.kind)).collect();
    let want = [1, 2, 3, 4, 5, 6, 6, 7, 8, 9, 10, 11, 13, 12, 14, 15, 16, 17, 18, 19];
    assert_eq!(kinds, (1..).zip(want).collect::<Vec<_>>());
    let index = btf.index();
    assert_eq!(index.len(), kinds.len());
    for (id, ty) in btf.types() {
        let same = index.get(id).expect("in the list");
        assert_eq!((same.kind, same.name(), same.tail), (ty.kind, ty.name(), ty.tail));
    }
    assert!(index.get(0).is_none() && index.get(21).is_none() && index.get(u32::MAX).is_none());
}

#[test]
fn types_say_what_they_are_made_of() {
    let bytes = every_kind();
    let index = Btf::new(&bytes).expect("well made").index();
    let get = |id| index.get(id).expect("in the list");
    assert_eq!(get(1).int(), Some(Int { encoding: BTF_INT_SIGNED, bit_offset: 0, bits: 32 }));
    assert_eq!(get(2).int(), None);
    assert_eq!(get(3).array(), Some(Array { type_id: 1, index_type_id: 1, nelems: 7 }));
    assert_eq!(get(4).array(), None);
    let members = |id: u32| -> Vec<_> {
        get(id).members().map(|m| (m.name(), m.type_id, m.bit_offset, m.bitfield_bits)).collect()
    };
    assert_eq!(members(4), [(&b"a"[..], 1, 0, 0), (b"bits", 1, 37, 3)]);
    assert_eq!(members(5), [(&b"a"[..], 1, 0x0100_0000, 0)], "without the flag all bits are the offset");
    assert_eq!(members(6), []);
    let values = |id: u32| -> Vec<_> { get(id).values().map(|v| (v.name, v.value)).collect() };
    assert_eq!(values(6), [(&b"LOW"[..], -5), (b"HIGH", 5)]);
    assert_eq!(values(7), [(&b"HIGH"[..], i64::from(u32::MAX))]);
    assert_eq!(values(20), [(&b"HIGH"[..], 0x2_0000_0001)]);
    assert_eq!(values(4), []);
    let params: Vec<_> = get(13).params().collect();
    assert_eq!(params, [Param { name: b"a", type_id: 1 }, Param { name: b"", type_id: 0 }]);
    assert!(get(8).kind_flag && get(8).is_named(b"later") && !get(8).is_named(b"late"));
    assert!(!get(8).is_named(b"later\0tail") && get(2).name().is_empty());
    assert!(get(4).members().any(|m| m.is_named(b"bits")) && !get(4).members().any(|m| m.is_named(b"bit")));
}

#[test]
fn a_kind_that_is_not_known_is_passed_over_where_its_length_is() {
    let mut made = Made::new();
    made.ty("int", (BTF_KIND_INT, 0, false), 4, &[32]);
    made.ty("new", (20, 2, false), 0, &[9, 9, 9, 9, 9]);
    made.ty("after", (BTF_KIND_FLOAT, 0, false), 8, &[]);
    assert_eq!(Btf::new(&made.bytes()).expect("well made").types().count(), 1);
    made.layouts = vec![0; 20 * 4];
    made.layouts.extend([4, 8, 0, 0]);
    let bytes = made.bytes();
    let last = Btf::new(&bytes).expect("well made").types().last().expect("three");
    assert_eq!((last.0, last.1.name()), (3, &b"after"[..]));
    // An older header is shorter; bytes that follow it are not layouts.
    made.layouts.clear();
    let bytes = made.bytes();
    assert!(Btf::new(&bytes).expect("well made").layouts.is_empty());
}

#[test]
fn what_is_no_btf_is_refused() {
    let good = every_kind();
    assert!(Btf::new(&good).is_some());
    assert!(Btf::new(&[]).is_none());
    for (at, byte) in [(0, 0), (1, 0), (2, 2), (7, 0x7f), (15, 0x7f), (11, 0x7f), (19, 0x7f), (23, 0x7f)] {
        let mut bad = good.clone();
        bad[at] = byte;
        assert!(Btf::new(&bad).is_none(), "byte {at}");
    }
    for len in 0..good.len() {
        assert!(Btf::new(&good[..len]).is_none(), "{len} bytes");
    }
}

/// Reads everything that the types hold, and counts it.
fn read_all(bytes: &[u8]) -> usize {
    let Some(btf) = Btf::new(bytes) else { return 0 };
    let mut seen = 0;
    for (_, ty) in btf.types() {
        seen += 1 + ty.name().len() + ty.members().map(|m| m.name().len()).sum::<usize>();
        seen += ty.values().count() + ty.params().count();
        let _ = (ty.int(), ty.array());
    }
    let index = btf.index();
    (0..=index.len() as u32 + 1).filter_map(|id| index.get(id)).count() + seen
}

#[test]
#[cfg_attr(miri, ignore = "takes Miri many minutes")]
fn damaged_bytes_are_read_to_an_end() {
    let good = every_kind();
    let whole = read_all(&good);
    assert!(whole > 40);
    for at in 0..good.len() {
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert!(read_all(&bad) < 100 * whole, "byte {at}");
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "reads a file of the system, which Miri keeps apart")]
fn the_kernel_s_own_types_are_read_to_their_end() {
    let Some(bytes) = running_kernel() else { return };
    let btf = Btf::new(&bytes).expect("the kernel's BTF");
    let end = btf.types().last().expect("many types");
    assert_eq!(btf.index().len() as u32, end.0);
    let mut types = btf.types();
    while types.next().is_some() {}
    assert_eq!(types.at, btf.types.len(), "nothing is left over");
    let (_, file) = btf
        .types()
        .find(|(_, ty)| ty.kind == BTF_KIND_STRUCT && ty.is_named(b"file"))
        .expect("every kernel has files");
    assert!(file.members().any(|member| member.is_named(b"f_inode") && member.bit_offset % 64 == 0));
}
