//! Map values of every kind of type: those that compilers emit, and others that the kernel
//! accepts.
//!
//! Invariant: the kernel (Linux 6.18) accepts each, and the first type is `int`.

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]
#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

mod records;

use crate::btf::{BOOL, Btf, CHAR, Id, SIGNED};

/// A value with its type.
///
/// The kernel aligns values in its messages to four bytes only.  The reference prints pointers
/// and enumerations that are not aligned to their size differently, or wrongly: see
/// [`Value::is_aligned`].
#[derive(Clone, Debug)]
pub struct Value {
    /// What is special about it.
    pub name: String,
    /// The BTF types.
    pub btf: Btf,
    /// The type of the value, in `btf`.
    pub ty: Id,
    /// The value.
    pub bytes: Vec<u8>,
}

impl Value {
    /// Whether the reference prints the value correctly only at an aligned offset.  These
    /// values have 8 bytes; the reference prints them right only after others of that size.
    pub fn is_aligned(&self) -> bool {
        self.bytes.len() == 8 && (self.name.starts_with("enumeration of 8,") || self.name == "null")
    }
}

/// The list under construction.
struct List(Vec<Value>);

impl List {
    /// Adds a value; the closure gets the types and the number of `int`, and returns the type.
    fn add(&mut self, name: impl Into<String>, bytes: &[u8], ty: impl FnOnce(&mut Btf, Id) -> Id) {
        let mut btf = Btf::new();
        let int = btf.key();
        let ty = ty(&mut btf, int);
        self.0.push(Value { name: name.into(), btf, ty, bytes: bytes.to_vec() });
    }
}

/// Bytes from 0x81 on, all different.
const ODD: [u8; 24] = {
    let mut bytes = [0; 24];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = 0x81 + at as u8;
        at += 1;
    }
    bytes
};

/// Every value.
pub fn all() -> Vec<Value> {
    let mut list = List(Vec::new());
    integers(&mut list);
    floats(&mut list);
    enumerations(&mut list);
    pointers(&mut list);
    arrays(&mut list);
    records::structs(&mut list);
    records::bit_fields(&mut list);
    records::names(&mut list);
    records::characters_that_last(&mut list);
    records::mistakes(&mut list);
    records::variables(&mut list);
    list.0
}

fn integers(list: &mut List) {
    for size in [1, 2, 4, 8, 16] {
        for encoding in [0, SIGNED, CHAR, BOOL] {
            for (fill, value) in [("ones", [0xff; 16]), ("odd", ODD[..16].try_into().expect("16 bytes")), {
                let mut one = [0; 16];
                one[0] = b'A';
                ("A", one)
            }] {
                list.add(format!("{size} bytes, {encoding}, {fill}"), &value[..size], |b, _| {
                    b.int("T", size as u32, encoding)
                });
            }
        }
    }
    list.add("high half of 128 bits", &(1_u128 << 64).to_ne_bytes(), |b, _| b.int("T", 16, SIGNED));
    list.add("zero of 128 bits", &[0; 16], |b, _| b.int("T", 16, 0));
    list.add("no name", &5_i32.to_ne_bytes(), |b, _| b.int("", 4, SIGNED));
    list.add("qualified", &7_i32.to_ne_bytes(), |b, int| {
        let inner = b.typedef("inner", int);
        let inner = b.volatile(inner);
        let inner = b.constant(inner);
        b.type_tag("user", inner)
    });
    list.add("typedef", &7_i32.to_ne_bytes(), |b, int| {
        let inner = b.constant(int);
        let inner = b.typedef("inner", inner);
        b.typedef("outer", inner)
    });
    for (bits, at) in [(3, 0), (3, 2), (31, 1), (0, 0), (16, 16)] {
        list.add(format!("{bits} bits at {at}, the old way"), &0xfedc_ba98_u32.to_ne_bytes(), |b, _| {
            b.add("T", 1, 0, false, 4, &[SIGNED << 24 | at << 16 | bits])
        });
    }
}

fn floats(list: &mut List) {
    let doubles = [0.0, -0.0, 1.5, 1e300, f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.0 / 3.0];
    let ties = [1.0 / 128.0, 3.0 / 128.0, 5.0 / 128.0, 5e-7, 0.999_999_6, 9.999_999_5, 5e-324, 1e22];
    for value in doubles.into_iter().chain(ties) {
        list.add(format!("double {value}"), &value.to_ne_bytes(), |b, _| b.float("double", 8));
    }
    for value in [0.0, 1.5, 3e38, f32::NAN, 0.1, 1e-45] {
        list.add(format!("float {value}"), &value.to_ne_bytes(), |b, _| b.float("float", 4));
    }
    for (exponent, mantissa) in [
        (0x3fff_u16, 1_u64 << 63),
        (0xbfff, 1 << 63),
        (0x4000, 0xc90f_daa2_2168_c235),
        (0x7fff, 1 << 63),
        (0xffff, 3 << 62),
        (0x7fff, 0),
        (0x4001, 1),
        (0, u64::MAX),
        (1, u64::MAX),
        (0x403e, u64::MAX),
        (0x7ffe, u64::MAX),
        (0x3fe9, 0x8637_bd05_af6c_69b6),
    ] {
        let bytes = (u128::from(exponent) << 64 | u128::from(mantissa)).to_le_bytes();
        list.add(format!("long double {exponent:x}:{mantissa:x}"), &bytes, |b, _| b.float("long double", 16));
    }
    for size in [2, 12] {
        list.add(format!("float of {size}"), &ODD[..size], |b, _| b.float("odd", size as u32));
    }
}

fn enumerations(list: &mut List) {
    const VALUES: &[(&str, i32)] = &[("ZERO", 0), ("ONE", 1), ("NEG", -1), ("UNO", 1)];
    const WIDE: &[(&str, i64)] = &[("ONE", 1), ("NEG", -1), ("BIG", 1 << 40), ("LOW", 0xffff_fff0)];
    for size in [1, 2, 4, 8] {
        for signed in [false, true] {
            for value in [0_i64, 1, 7, -1, -7, -16, 1 << 40, 3 << 32 | 5] {
                let bytes = &value.to_ne_bytes()[..size];
                let name = format!("enumeration of {size}, {signed}, {value}");
                list.add(&name, bytes, |b, _| b.enumeration("E", size as u32, signed, VALUES));
                list.add(&name, bytes, |b, _| b.enumeration64("E", size as u32, signed, WIDE));
            }
        }
    }
    list.add("no name", &[1, 0, 0, 0], |b, _| b.enumeration("", 4, false, VALUES));
    list.add("no values", &[1, 0, 0, 0], |b, _| b.enumeration("E", 4, false, &[]));
    list.add("typedef of no name", &[1, 0, 0, 0], |b, _| {
        let no_name = b.enumeration("", 4, false, VALUES);
        b.typedef("te", no_name)
    });
    list.add("in a struct", &[7, 0, 0, 0, 0xf9, 0xff, 0xff, 0xff], |b, int| {
        let signed = b.enumeration("E", 4, true, VALUES);
        b.structure("S", 8, &[("a", signed, 0, 0), ("b", int, 32, 0)])
    });
    for signed in [false, true] {
        list.add("in an array", &[1, 0, 0, 0, 7, 0, 0, 0, 0xf9, 0xff, 0xff, 0xff], |b, int| {
            let element = b.enumeration("E", 4, signed, VALUES);
            b.array(element, 3, int)
        });
    }
}

fn pointers(list: &mut List) {
    let at = 0xffff_8880_dead_beef_u64.to_ne_bytes();
    let mut add = |name: &str, ty: fn(&mut Btf, Id) -> Id| list.add(format!("pointer to {name}"), &at, ty);
    add("int", |b, int| b.ptr(int));
    add("void", |b, _| b.ptr(0));
    add("qualified", |b, int| {
        let ty = b.constant(int);
        let ty = b.ptr(ty);
        let ty = b.restrict(ty);
        let ty = b.volatile(ty);
        b.ptr(ty)
    });
    add("struct", |b, int| {
        let ty = b.structure("S", 4, &[("a", int, 0, 0)]);
        b.ptr(ty)
    });
    add("no name", |b, int| {
        let ty = b.union("", 4, &[("a", int, 0, 0)]);
        let ty = b.ptr(ty);
        b.ptr(ty)
    });
    add("no name's enumeration", |b, _| {
        let ty = b.enumeration("", 4, false, &[("A", 1)]);
        b.ptr(ty)
    });
    add("named only", |b, _| {
        let ty = b.fwd("F", true);
        b.ptr(ty)
    });
    add("typedef", |b, int| {
        let ty = b.typedef("td", int);
        b.ptr(ty)
    });
    add("array", |b, int| {
        let ty = b.array(int, 4, int);
        let ty = b.array(ty, 3, int);
        b.ptr(ty)
    });
    add("array of pointers to array", |b, int| {
        let ty = b.array(int, 5, int);
        let ty = b.ptr(ty);
        let ty = b.array(ty, 3, int);
        let ty = b.ptr(ty);
        b.ptr(ty)
    });
    add("array of functions", |b, int| {
        let ty = b.proto(int, &[]);
        let ty = b.ptr(ty);
        let ty = b.array(ty, 3, int);
        b.ptr(ty)
    });
    add("function", |b, int| {
        let ty = b.proto(0, &[("a", int), ("", int), ("", 0)]);
        b.ptr(ty)
    });
    add("function of nothing", |b, _| {
        let ty = b.proto(0, &[]);
        let ty = b.ptr(ty);
        b.ptr(ty)
    });
    add("function of anything", |b, int| {
        let ty = b.proto(int, &[("", 0)]);
        b.ptr(ty)
    });
    add("function that returns a function", |b, int| {
        let out = b.ptr(int);
        let ty = b.proto(int, &[("z", out)]);
        let ty = b.ptr(ty);
        let ty = b.ptr(ty);
        let ty = b.proto(ty, &[("x", int)]);
        b.ptr(ty)
    });
    add("function that returns an array", |b, int| {
        let ty = b.array(int, 5, int);
        let ty = b.ptr(ty);
        let ty = b.proto(ty, &[("x", int)]);
        b.ptr(ty)
    });
    add("function with all kinds of parameters", |b, int| {
        let text = b.constant(int);
        let text = b.ptr(text);
        let callback = b.proto(text, &[("x", int), ("", 0)]);
        let callback = b.ptr(callback);
        let array = b.array(int, 2, int);
        let to_array = b.ptr(array);
        let of_pointers = b.array(text, 3, int);
        let to_of_pointers = b.ptr(of_pointers);
        let of_callbacks = b.array(callback, 2, int);
        let grid = b.array(array, 3, int);
        let no_name = b.structure("", 4, &[("a", int, 0, 0)]);
        let params =
            [text, callback, array, to_array, of_pointers, to_of_pointers, of_callbacks, grid, no_name];
        let named: Vec<(&str, Id)> =
            ["s", "cb", "a", "pa", "op", "pop", "oc", "g", "n"].into_iter().zip(params).collect();
        let unnamed: Vec<(&str, Id)> = params.iter().map(|id| ("", *id)).collect();
        let inner = b.proto(int, &unnamed);
        let inner = b.ptr(inner);
        let ty = b.proto(inner, &named);
        b.ptr(ty)
    });
    list.add("null", &[0; 8], |b, int| b.ptr(int));
    list.add("itself", &ODD[..16], |b, int| {
        let node = b.structure("node", 16, &[("next", 3, 0, 0), ("v", int, 64, 0)]);
        b.ptr(node);
        node
    });
    for (name, size) in
        [("long", 4), ("unsigned long", 4), ("long", 8), ("long", 2), ("long long", 4), ("int long", 4)]
    {
        list.add(format!("beside a {name} of {size}"), &ODD, |b, int| {
            let long = b.int(name, size, SIGNED);
            let pointer = b.ptr(int);
            let pointers = b.array(pointer, 1, int);
            b.structure("S", 24, &[("l", long, 0, 0), ("p", pointer, 64, 0), ("a", pointers, 128, 0)])
        });
    }
}

fn arrays(list: &mut List) {
    for text in [
        &b"abc\0\0\0"[..],
        b"abcdef",
        b"\0\0\0\0\0\0",
        b"a\0b\0c\0",
        b"\n\t\x7f\xff\x1b'",
        b"\\\"'\r\x08\x80",
    ] {
        for (name, encoding) in [("char", SIGNED), ("u8", 0), ("c", CHAR), ("_Bool", BOOL)] {
            list.add(format!("{name} of {}", text.escape_ascii()), text, |b, int| {
                let element = b.int(name, 1, encoding);
                b.array(element, 6, int)
            });
        }
        list.add("enumerations of a byte", text, |b, int| {
            let element = b.enumeration("E", 1, false, &[("A", 97), ("C", 99)]);
            b.array(element, 6, int)
        });
        list.add("rows of characters", text, |b, int| {
            let element = b.int("char", 1, SIGNED);
            let row = b.constant(element);
            let row = b.typedef("tc", row);
            let row = b.array(row, 3, int);
            b.array(row, 2, int)
        });
    }
    list.add("numbers", &[1, 0, 0, 0, 0, 0, 0, 0, 0xfd, 0xff, 0xff, 0xff], |b, int| b.array(int, 3, int));
    list.add("three dimensions", &[1; 16], |b, int| {
        let ty = b.array(int, 1, int);
        let ty = b.array(ty, 2, int);
        b.array(ty, 2, int)
    });
    list.add("of no elements", &[1, 0, 0, 0], |b, int| {
        let none = b.array(int, 0, int);
        let row = b.array(int, 3, int);
        let rows = b.array(row, 0, int);
        b.structure("s", 4, &[("a", int, 0, 0), ("f", none, 32, 0), ("g", rows, 32, 0)])
    });
    list.add("typedef", &[1; 8], |b, int| {
        let ty = b.array(int, 1, int);
        let ty = b.constant(ty);
        let ty = b.typedef("ta", ty);
        b.array(ty, 2, int)
    });
    for (name, size) in [("pointer", 8), ("double", 8), ("128 bits", 16)] {
        list.add(format!("of {name}"), &ODD[..size], |b, int| {
            let element = match name {
                "pointer" => b.ptr(int),
                "double" => b.float("double", 8),
                _ => b.int("u128", 16, 0),
            };
            b.array(element, 1, int)
        });
    }
    list.add("of structs", &ODD[..16], |b, int| {
        let inner = b.structure("", 4, &[("z", int, 0, 0)]);
        let row = b.array(int, 1, int);
        let ty = b.structure("s", 8, &[("a", row, 0, 0), ("", inner, 32, 0)]);
        b.array(ty, 2, int)
    });
    list.add("of structs without name", &ODD[..8], |b, int| {
        let pointer = b.ptr(int);
        let ty = b.union("", 8, &[("a", int, 0, 0), ("p", pointer, 0, 0)]);
        b.array(ty, 1, int)
    });
}
