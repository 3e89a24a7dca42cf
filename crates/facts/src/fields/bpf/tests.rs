//! Values whose text in the reference is known, and random values.

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]

use fastrand::Rng;
use sockdiag_testkit::btf::{Btf, Id, SIGNED};
use sockdiag_testkit::maps::values::{self, Value};

use super::put_value;
use crate::model::{BpfComplaint, BpfMap};

/// The text of a value, and the complaints about its types.
fn dump(value: &Value, oneline: bool) -> (String, Vec<BpfComplaint>) {
    let size = value.bytes.len() as u32;
    let map = BpfMap::new(1, size, value.ty, value.btf.to_bytes()).expect("BTF");
    let (mut out, mut said) = (Vec::new(), Vec::new());
    let mut say = |complaint| said.push(complaint);
    if let Err(errno) = put_value(&mut out, &map, &value.bytes, oneline, &mut say) {
        out.extend_from_slice(format!("!{errno}").as_bytes());
    }
    (String::from_utf8_lossy(&out).into_owned(), said)
}

fn value(bytes: &[u8], ty: impl FnOnce(&mut Btf, Id) -> Id) -> Value {
    let mut btf = Btf::new();
    let int = btf.key();
    let ty = ty(&mut btf, int);
    Value { name: String::new(), btf, ty, bytes: bytes.to_vec() }
}

fn named(name: &str) -> Value {
    values::all().into_iter().find(|value| value.name == name).unwrap_or_else(|| panic!("no value {name}"))
}

/// The output of ss 7.3 for these values.
#[test]
fn values_read_as_the_reference_writes_them() {
    for (name, want) in [
        ("2 bytes, 1, ones", "(T)-1"),
        ("16 bytes, 1, A", "(T)0x41"),
        ("no values", "(enum E)1"),
        ("in a struct", "(struct S){.a = (enum E)7.b = (int)-7,}"),
        ("null", "(int *)(nil)"),
        ("pointer to qualified", "(int **)0xffff8880deadbeef"),
        ("pointer to array of pointers to array", "(int(*(**)[3])[5])0xffff8880deadbeef"),
        ("pointer to function that returns an array", "(int(* (*)(int x))[5])0xffff8880deadbeef"),
        ("numbers", "(int[3])[1,0,-3,]"),
        ("of no elements", "(struct s){.a = (int)1,.f = (int[0])[],.g = (int[0][3])[],}"),
        ("char of a\\x00b\\x00c\\x00", "(char[6])['a','\\0',]"),
        ("enumerations of a byte", "(enum E[6])[A,98,C,0,0,0,]"),
        ("union", "(union U){.a = (int)0,.d = (double)1.500000,}"),
        ("empty", "(struct S){.e = (struct E){},.m = (int)1,.f = (struct E___2){},}"),
        (
            "characters before bytes: ab\\x00B\\x01\\x00\\x02\\x00",
            "(struct S){.t = (char[2])['a','b',],.x = (char)'\\0',.y = (char).r = (short[2])[1,2,],}",
        ),
        ("empty section", "SEC(\".data\") "),
    ] {
        assert_eq!(dump(&named(name), true).0, want, "{name}");
    }
    let (text, said) = dump(&named("in a struct in a struct"), true);
    assert_eq!(text, "(struct S){.a = (int)-2071756159,.i = (struct I){.x = (f2)!-22");
    assert_eq!(said, [BpfComplaint::NumberSize { size: 2, id: 2 }]);
    let (text, said) = dump(&named("elements without size"), true);
    assert_eq!(text, "(struct X){.q = (at)!-22");
    assert_eq!(said, [BpfComplaint::ElementSize { id: 4 }]);
}

#[test]
fn lines_are_indented_below_the_map() {
    let text = dump(&named("of structs without name"), false).0;
    assert_eq!(
        text,
        "\t\t(union[1])[\n\t\t\t{\n\t\t\t\t.a = -2071756159,\n\t\t\t\t.p = 0x8887868584838281,\n\t\t\t},\n\t\t]"
    );
}

/// The kernel accepts a function type that takes itself as a parameter; the reference then
/// loops forever.
#[test]
fn types_that_name_themselves_end() {
    let endless = value(&[1; 8], |b, int| {
        let pointer = b.ptr(3);
        b.proto(int, &[("a", pointer), ("b", pointer)]);
        pointer
    });
    let (text, _) = dump(&endless, true);
    assert!(
        text.starts_with("(int (*)(int (*a)(int (*a)(") && text.ends_with("...)0x101010101010101"),
        "{text}"
    );
    assert!(text.len() < 5000, "{}", text.len());
}

#[test]
fn names_of_types_hold_no_control_characters() {
    let odd = value(&[1; 4], |b, _| b.int("a\n\x1b[2J", 4, SIGNED));
    assert_eq!(dump(&odd, true).0, "(a\\012\\033[2J)16843009");
}

/// Types that no kernel accepts: printing terminates whatever they refer to.
#[test]
fn cycles_and_giants_end() {
    for (bytes, ty) in [
        (&b""[..], (|b, _| b.structure("S", 0, &[("a", 2, 0, 0), ("b", 2, 0, 0)])) as fn(&mut Btf, Id) -> Id),
        (b"", |b, _| b.typedef("t", 2)),
        (b"", |b, _| b.array(2, 5, 1)),
        (b"abcd", |b, int| b.array(int, u32::MAX, int)),
        (b"abcd", |b, _| b.var("v", 2, true)),
        (b"abcd", |b, _| b.section("s", 4, &[(2, 0, 4), (2, 0, 4)])),
        (b"abcd", |b, _| b.ptr(2)),
        (b"abcd", |b, _| b.constant(2)),
        (b"abcd", |_, _| 99),
        (b"abcd", |_, _| 0),
        (b"", |b, int| {
            let mut ty = b.structure("none", 0, &[]);
            for _ in 0..40 {
                ty = b.structure("S", 0, &[("a", ty, 0, 0), ("b", ty, 0, 0), ("c", ty, 0, 0)]);
            }
            let _ = int;
            ty
        }),
    ] {
        let (text, _) = dump(&value(bytes, ty), true);
        assert!(text.contains('!') && text.len() < 5 << 20, "{}", text.get(..100).unwrap_or(&text));
    }
}

/// Damaged types, values of other types, and random bytes: nothing panics, and everything
/// terminates.
#[test]
fn no_types_and_no_bytes_panic() {
    let values = values::all();
    let mut rng = Rng::with_seed(2026);
    let (mut shown, mut failed) = (0, 0);
    for round in 0..10_000 {
        let value = &values[rng.usize(..values.len())];
        let mut btf = value.btf.to_bytes();
        let mut bytes = value.bytes.clone();
        match round % 4 {
            // Replaces words of the types, many of which are type ids, sizes and counts.
            0 | 1 => {
                for _ in 0..rng.usize(1..4) {
                    let at = 24 + 4 * rng.usize(..(btf.len() - 24) / 4);
                    let word = if rng.bool() { rng.u32(..12) } else { rng.u32(..) };
                    if let Some(place) = btf.get_mut(at..at + 4) {
                        place.copy_from_slice(&word.to_ne_bytes());
                    }
                }
            }
            2 => {
                for _ in 0..rng.usize(1..8) {
                    let at = rng.usize(..btf.len());
                    btf[at] = rng.u8(..);
                }
            }
            _ => {
                btf.truncate(rng.usize(24..=btf.len()));
                let length = rng.usize(..64);
                bytes = std::iter::repeat_with(|| rng.u8(..)).take(length).collect();
            }
        }
        let ty = if rng.bool() { value.ty } else { rng.u32(..16) };
        let Some(map) = BpfMap::new(1, bytes.len() as u32, ty, btf) else { continue };
        let mut out = Vec::new();
        match put_value(&mut out, &map, &bytes, rng.bool(), &mut |_| {}) {
            Ok(()) => shown += 1,
            Err(_) => failed += 1,
        }
    }
    assert!(shown > 2_000 && failed > 1_000, "{shown} shown, {failed} failed");
}
