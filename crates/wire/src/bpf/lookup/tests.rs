//! Lookups in made-up types, in malformed types, and in the running kernel's own.

use super::*;
use crate::btf::tests::{Made, running_kernel};
use crate::btf::{BTF_INT_SIGNED, BTF_KIND_ENUM, BTF_KIND_FLOAT};

fn integer(bits: u32) -> [u32; 1] {
    [u32::from(BTF_INT_SIGNED) << 24 | bits]
}

/// A struct with a member of every kind; comments give the ids of the types.
fn made() -> Vec<u8> {
    let mut made = Made::new();
    made.ty("int", (BTF_KIND_INT, 0, false), 4, &integer(32)); // 1
    made.ty("char", (BTF_KIND_INT, 0, false), 1, &integer(8)); // 2
    made.ty("long", (BTF_KIND_INT, 0, false), 8, &integer(64)); // 3
    made.ty("pid_t", (BTF_KIND_TYPEDEF, 0, false), 1, &[]); // 4
    made.ty("", (BTF_KIND_CONST, 0, false), 4, &[]); // 5
    made.ty("", (BTF_KIND_PTR, 0, false), 0, &[]); // 6
    made.ty("", (BTF_KIND_ARRAY, 0, false), 0, &[1, 1, 4]); // 7
    let [x, y, w] = ["x", "y", "w"].map(|name| made.name(name));
    made.ty("inner", (BTF_KIND_STRUCT, 2, false), 16, &[x, 1, 0, y, 3, 64]); // 8
    made.ty("", (BTF_KIND_STRUCT, 1, false), 8, &[w, 6, 0]); // 9
    let u = made.name("u");
    // An anonymous union that contains an anonymous struct.
    made.ty("", (BTF_KIND_UNION, 2, false), 8, &[u, 3, 0, 0, 9, 0]); // 10
    let names = ["pid", "in", "array", "odd", "low", "wide", "real", "plain", "old", "crossing", "split"];
    let [pid, inner, array, odd, low, wide, real, plain, old, crossing, split] =
        names.map(|name| made.name(name));
    made.ty("double", (BTF_KIND_FLOAT, 0, false), 8, &[]); // 11
    // An old-style bit-field: three bits at bit offset 2 of its int.
    made.ty("", (BTF_KIND_INT, 0, false), 4, &[u32::from(BTF_INT_SIGNED) << 24 | 2 << 16 | 3]); // 12
    let bits = |bits: u32, at: u32| bits << 24 | at;
    made.ty(
        "outer",
        (BTF_KIND_STRUCT, 12, true),
        200,
        &[
            [pid, 5, 32],
            [inner, 8, 64],
            [0, 10, 192],
            [array, 7, 256],
            [low, 2, bits(4, 384)],
            [odd, 2, bits(3, 388)],
            [wide, 1, bits(32, 416)],
            [crossing, 3, bits(6, 436)],
            [split, 3, bits(6, 445)],
            [real, 11, 512],
            [plain, 3, 580],
            [old, 12, 608],
        ]
        .concat(),
    ); // 13
    let [first, second] = ["sk", "state"].map(|name| made.name(name));
    made.ty("", (BTF_KIND_FUNC_PROTO, 3, false), 0, &[[0, 6], [first, 6], [second, 1]].concat()); // 14
    made.ty("changes", (BTF_KIND_FUNC, 1, false), 14, &[]); // 15
    made.ty("int", (BTF_KIND_FUNC, 1, false), 99, &[]); // 16
    made.bytes()
}

const OUTER: Wanted = Wanted::structure("outer");

fn looked_up(bytes: &[u8]) -> Lookup<'_> {
    let wanted = [
        OUTER,
        Wanted::structure("none"),
        Wanted::function("changes"),
        Wanted::function("int"),
        Wanted::typedef("pid_t"),
    ];
    Lookup::new(Btf::new(bytes).expect("well made"), &wanted)
}

#[test]
fn members_are_found_with_their_offset_and_width() {
    let bytes = made();
    let lookup = looked_up(&bytes);
    let at = |path| lookup.member("outer", path).map(|member| (member.offset, member.width, member.bits));
    assert_eq!(at("pid"), Ok((4, Some(Width::U32), None)), "through const and typedef");
    assert_eq!(at("in"), Ok((8, None, None)), "a struct has an address alone");
    assert_eq!(at("in.x"), Ok((8, Some(Width::U32), None)));
    assert_eq!(at("in.y"), Ok((16, Some(Width::U64), None)));
    assert_eq!(at("u"), Ok((24, Some(Width::U64), None)), "in a union without a name");
    assert_eq!(at("w"), Ok((24, Some(Width::U64), None)), "a pointer, two levels down");
    assert_eq!(lookup.member("outer", "array").map(|array| (array.offset, array.bytes)), Ok((32, 16)));
    assert_eq!(at("array"), Ok((32, None, None)));
    assert_eq!(at("real"), Err(NotFound::Member { structure: "outer", path: "real" }));
    assert_eq!(lookup.member("outer", "in").map(|inner| (inner.bytes, inner.type_id)), Ok((16, 8)));
    assert_eq!(lookup.member("outer", "pid").map(|pid| pid.type_id), Ok(1));
}

#[test]
fn bit_fields_are_loaded_with_the_fewest_bytes_that_have_them() {
    let bytes = made();
    let lookup = looked_up(&bytes);
    let at = |path| {
        let member = lookup.member("outer", path)?;
        assert_eq!(member.width.map(Width::bytes), Some(member.bytes));
        Ok((member.offset, member.bytes, member.bits.map(|bits| (bits.shift, bits.count))))
    };
    assert_eq!(at("low"), Ok((48, 1, Some((0, 4)))));
    assert_eq!(at("odd"), Ok((48, 1, Some((4, 3)))));
    assert_eq!(at("wide"), Ok((52, 4, None)), "all bits of a number are no bit-field to load");
    assert_eq!(at("crossing"), Ok((54, 2, Some((4, 6)))));
    let split = NotFound::Member { structure: "outer", path: "split" };
    assert_eq!(at("split"), Err(split), "no load has both of its words");
    assert_eq!(at("old"), Ok((76, 1, Some((2, 3)))));
    let plain = NotFound::Member { structure: "outer", path: "plain" };
    assert_eq!(at("plain"), Err(plain), "no bit-field, and not at a whole byte");
}

#[test]
fn what_is_not_there_is_named() {
    let bytes = made();
    let lookup = looked_up(&bytes);
    let says = |error: NotFound| error.to_string();
    assert_eq!(lookup.structure("outer"), Ok(13));
    assert_eq!(lookup.function("changes"), Ok(15));
    assert_eq!(lookup.typedef("pid_t"), Ok(4));
    assert_eq!(lookup.structure("none").map_err(says), Err("the kernel's types have no struct none".into()));
    // It exists, but was not in the list of wanted names.
    assert!(lookup.structure("inner").is_err() && lookup.function("pid_t").is_err());
    for path in ["", ".", "in.", ".x", "in.z", "pid.x", "array.x", "in..x", "x"] {
        let error = lookup.member("outer", path).map_err(says);
        assert_eq!(error, Err(format!("the kernel's struct outer has no member {path}")));
    }
    assert!(lookup.member("none", "x").is_err());
}

#[test]
fn arguments_are_found_by_their_names() {
    let bytes = made();
    let lookup = looked_up(&bytes);
    assert_eq!(lookup.argument("changes", "sk"), Ok(1));
    assert_eq!(lookup.argument("changes", "state"), Ok(2));
    for (function, name) in [("changes", ""), ("changes", "x"), ("int", "sk")] {
        assert_eq!(lookup.argument(function, name), Err(NotFound::Argument { function, name }));
    }
    assert!(lookup.argument("none", "sk").is_err());
}

#[test]
fn the_first_struct_that_has_a_member_answers() {
    let mut made = Made::new();
    made.ty("int", (BTF_KIND_INT, 0, false), 4, &integer(32));
    let [a, b] = ["a", "b"].map(|name| made.name(name));
    made.ty("twice", (BTF_KIND_STRUCT, 1, false), 4, &[a, 1, 0]);
    made.ty("twice", (BTF_KIND_STRUCT, 2, false), 8, &[a, 1, 32, b, 1, 0]);
    made.ty("last", (BTF_KIND_STRUCT, 0, false), 0, &[]);
    let bytes = made.bytes();
    let wanted = [Wanted::structure("twice"), Wanted::structure("last")];
    let lookup = Lookup::new(Btf::new(&bytes).expect("well made"), &wanted);
    assert_eq!(lookup.structure("twice"), Ok(2));
    assert_eq!(lookup.member("twice", "a").map(|a| a.offset), Ok(0));
    assert_eq!(lookup.member("twice", "b").map(|b| b.offset), Ok(0));
}

#[test]
#[cfg_attr(miri, ignore = "takes Miri many minutes")]
fn types_that_lead_in_circles_end() {
    let mut made = Made::new();
    let [a, b] = ["a", "b"].map(|name| made.name(name));
    made.ty("round", (BTF_KIND_TYPEDEF, 0, false), 2, &[]); // 1
    made.ty("", (BTF_KIND_CONST, 0, false), 1, &[]); // 2
    made.ty("", (BTF_KIND_ARRAY, 0, false), 0, &[3, 3, 2]); // 3
    made.ty("s", (BTF_KIND_STRUCT, 4, false), 4, &[a, 1, 0, b, 3, 0, 0, 4, 0, 0, 4, 8]); // 4
    made.ty("p", (BTF_KIND_FUNC, 0, false), 5, &[]); // 5
    made.ty("e", (BTF_KIND_ENUM, 0, false), 3, &[]); // 6
    let bytes = made.bytes();
    let wanted = [Wanted::structure("s"), Wanted::function("p")];
    let lookup = Lookup::new(Btf::new(&bytes).expect("well made"), &wanted);
    for path in ["a", "b", "c", "a.b"] {
        assert!(lookup.member("s", path).is_err(), "{path}");
    }
    assert!(lookup.argument("p", "x").is_err());
}

#[test]
fn damaged_types_are_looked_up_to_an_end() {
    let good = made();
    let paths = ["pid", "in.y", "u", "w", "array", "odd", "old", "crossing", "plain"];
    let mut found = 0;
    // Under Miri, changing every byte would take an hour.
    for at in (0..good.len()).step_by(if cfg!(miri) { 97 } else { 1 }) {
        for byte in if cfg!(miri) { &[0xff_u8][..] } else { &[0, 1, 4, 0x7f, 0x80, 0xff] } {
            let mut bad = good.clone();
            bad[at] = *byte;
            if Btf::new(&bad).is_some() {
                let lookup = looked_up(&bad);
                found += paths.iter().filter(|path| lookup.member("outer", path).is_ok()).count();
                found += usize::from(lookup.argument("changes", "sk").is_ok());
            }
        }
    }
    assert!(cfg!(miri) || found > good.len(), "most damage leaves the rest readable: {found}");
}

#[test]
#[cfg(target_pointer_width = "64")]
#[cfg_attr(miri, ignore = "reads a file of the system, which Miri keeps apart")]
fn the_running_kernel_is_understood() {
    let Some(bytes) = running_kernel() else { return };
    let wanted = ["sock", "tcp_sock", "inet_connection_sock", "file"].map(Wanted::structure);
    let function = Wanted::function("bpf_iter_task_file");
    let lookup = Lookup::new(Btf::new(&bytes).expect("BTF"), &[&wanted[..], &[function]].concat());
    let at = |structure, path| lookup.member(structure, path).unwrap_or_else(|error| panic!("{error}"));
    // The beginning of these structures has not changed for years.
    for (path, offset, width) in
        [("skc_daddr", 0, Width::U32), ("skc_rcv_saddr", 4, Width::U32), ("skc_family", 16, Width::U16)]
    {
        let member = at("sock", ["__sk_common.", path].concat().leak());
        assert_eq!((member.offset, member.width, member.bits), (offset, Some(width), None), "{path}");
    }
    assert_eq!(at("tcp_sock", "inet_conn.icsk_inet.sk.__sk_common.skc_family").offset, 16);
    let state = at("inet_connection_sock", "icsk_ca_state");
    assert_eq!(state.bits.map(|bits| bits.count), Some(5), "{state:?}");
    assert_eq!(at("file", "f_inode").width, Some(Width::U64));
    let arguments = lookup.argument("bpf_iter_task_file", "task");
    assert_eq!(arguments, Ok(1), "(meta, task, fd, file)");
    // An index of all types finds the same type for each id.
    let index = Btf::new(&bytes).expect("BTF").index();
    let name = |id| index.get(id).expect("a type").name();
    assert_eq!(lookup.structure("sock").map(name), Ok(&b"sock"[..]));
    assert_eq!(lookup.function("bpf_iter_task_file").map(name), Ok(&b"bpf_iter_task_file"[..]));
}
