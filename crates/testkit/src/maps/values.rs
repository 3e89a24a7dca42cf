//! Values of every kind of type, as maps may hold them: what compilers write,
//! and what else the kernel accepts.
//!
//! Invariant: the kernel (Linux 6.18) accepts each, and the first type is `int`.

use crate::btf::{BOOL, Btf, CHAR, Id, SIGNED};

/// A value with its type.
#[derive(Clone, Debug)]
pub struct Value {
    /// What is special about it.
    pub name: String,
    /// The types.
    pub btf: Btf,
    /// The type of the value among them.
    pub ty: Id,
    /// The value.
    pub bytes: Vec<u8>,
}

/// The list that is being made.
struct List(Vec<Value>);

impl List {
    /// Adds a value; the function gets the types and the number of `int`.
    fn add(&mut self, name: impl Into<String>, bytes: &[u8], ty: impl FnOnce(&mut Btf, Id) -> Id) {
        let mut btf = Btf::new();
        let int = btf.key();
        let ty = ty(&mut btf, int);
        self.0.push(Value { name: name.into(), btf, ty, bytes: bytes.to_vec() });
    }
}

/// Numbers from 0x81 on: every byte another.
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
    structs(&mut list);
    bit_fields(&mut list);
    names(&mut list);
    characters_that_last(&mut list);
    mistakes(&mut list);
    variables(&mut list);
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

fn structs(list: &mut List) {
    list.add("struct", &ODD, |b, int| {
        let (long, char) = (b.int("u64", 8, 0), b.int("char", 1, SIGNED));
        let text = b.array(char, 4, int);
        b.structure(
            "val",
            24,
            &[("a", int, 0, 0), ("bb", long, 64, 0), ("c", text, 128, 0), ("d", int, 160, 0)],
        )
    });
    list.add("inside another", &ODD[..8], |b, int| {
        let deep = b.structure("deep", 4, &[("z", int, 0, 0)]);
        let deep = b.constant(deep);
        let inner = b.structure("in", 8, &[("x", int, 0, 0), ("y", deep, 32, 0)]);
        b.structure("o", 8, &[("i", inner, 0, 0)])
    });
    list.add("twenty deep", &ODD[..8], |b, _| {
        let mut ty = b.int("l", 8, 0);
        for level in 0..20 {
            ty = b.structure(&format!("s{level}"), 8, &[("m", ty, 0, 0)]);
        }
        ty
    });
    for named in ["", "n"] {
        list.add(format!("members without types' names, {named}"), &ODD[..12], |b, int| {
            let short = b.int("short", 2, SIGNED);
            let inner = b.structure("", 8, &[("x", int, 0, 0), ("y", int, 32, 0)]);
            let either = b.union("", 4, &[("u", int, 0, 0), ("v", short, 0, 0)]);
            b.structure("o", 12, &[(named, inner, 0, 0), (named, either, 64, 0)])
        });
    }
    list.add("members without names", &ODD[..20], |b, int| {
        let (inner, row) = (b.structure("Q", 8, &[("a", int, 0, 0)]), b.array(int, 2, int));
        let inner = b.typedef("t", inner);
        b.structure("S", 20, &[("", int, 0, 0), ("", inner, 32, 0), ("", row, 96, 0)])
    });
    list.add("union", &1.5_f64.to_ne_bytes(), |b, int| {
        let double = b.float("double", 8);
        b.union("U", 8, &[("a", int, 0, 0), ("d", double, 0, 0)])
    });
    list.add("empty", &[1, 0, 0, 0], |b, int| {
        let (one, two) = (b.structure("E", 0, &[]), b.structure("E", 0, &[]));
        b.structure("S", 4, &[("e", one, 0, 0), ("m", int, 0, 0), ("f", two, 32, 0)])
    });
    list.add("without name", &[1, 0, 0, 0], |b, int| b.structure("", 4, &[("x", int, 0, 0)]));
    list.add("typedef", &[1, 0, 0, 0], |b, int| {
        let ty = b.structure("", 4, &[("x", int, 0, 0)]);
        let ty = b.typedef("S_t", ty);
        b.structure("T", 4, &[("m", ty, 0, 0)])
    });
    list.add("packed", &ODD, |b, int| {
        let (long, wide, pointer) = (b.int("long", 8, SIGNED), b.int("u128", 16, 0), b.ptr(int));
        b.structure(
            "P",
            24,
            &[("i", int, 8, 0), ("l", long, 24, 0), ("w", wide, 40, 0), ("p", pointer, 56, 0)],
        )
    });
}

fn bit_fields(list: &mut List) {
    for fill in [[0; 16], [0xff; 16], ODD[..16].try_into().expect("16 bytes")] {
        list.add("bit-fields", &fill, |b, int| {
            let (unsigned, long, byte) = (b.int("unsigned", 4, 0), b.int("u64", 8, 0), b.int("u8", 1, 0));
            let truth = b.int("_Bool", 1, BOOL);
            let ty = b.typedef("tt", int);
            let ty = b.constant(ty);
            b.structure(
                "BF",
                16,
                &[
                    ("a", unsigned, 0, 3),
                    ("", int, 3, 5),
                    ("c", int, 8, 0),
                    ("d", long, 40, 20),
                    ("e", byte, 64, 1),
                    ("f", byte, 65, 7),
                    ("g", truth, 72, 1),
                    ("h", ty, 73, 4),
                    ("i", int, 96, 32),
                ],
            )
        });
        for (size, at, bits) in [
            (4, 30, 5),
            (4, 7, 30),
            (4, 7, 25),
            (1, 6, 5),
            (1, 15, 7),
            (2, 15, 15),
            (8, 7, 64),
            (8, 7, 60),
            (8, 100, 20),
            (8, 124, 4),
            (2, 124, 4),
            (1, 127, 1),
            (16, 0, 100),
        ] {
            list.add(format!("{bits} bits of {size} bytes at {at}"), &fill, |b, _| {
                let ty = b.int("T", size, SIGNED);
                b.structure("BF", 16, &[("x", ty, at, bits)])
            });
        }
        for signed in [false, true] {
            list.add("enumerations in bit-fields", &fill[..8], |b, _| {
                let narrow = b.enumeration("E", 4, signed, &[("Z", 0), ("A", 1), ("N", -1)]);
                let wide = b.enumeration64("W", 8, signed, &[("Z", 0), ("A", 1), ("N", -1)]);
                b.structure(
                    "BF",
                    8,
                    &[("a", narrow, 0, 1), ("b", narrow, 1, 3), ("c", wide, 4, 1), ("d", wide, 5, 5)],
                )
            });
        }
        list.add("bit-fields the old way", &fill[..8], |b, int| {
            let old = |b: &mut Btf, encoding: u32| b.add("i", 1, 0, false, 4, &[encoding << 24 | 5]);
            let (signed, unsigned) = (old(b, SIGNED), old(b, 0));
            b.structure("S", 8, &[("x", signed, 3, 0), ("y", unsigned, 12, 0), ("z", int, 32, 0)])
        });
    }
}

fn names(list: &mut List) {
    fn flow(b: &mut Btf, int: Id) -> Id {
        let ty = b.structure("F", 4, &[("a", int, 0, 0)]);
        b.ptr(ty)
    }
    let mut add = |name: &str, kinds: &[fn(&mut Btf, Id) -> Id]| {
        let size = 8 * kinds.len() as u32;
        list.add(format!("one name, {name}"), &ODD[..size as usize], |b, int| {
            let members: Vec<_> =
                kinds.iter().enumerate().map(|(at, kind)| (at as u32 * 64, kind(b, int))).collect();
            let members: Vec<_> = members.iter().map(|(at, ty)| ("m", *ty, *at, 0)).collect();
            b.structure("X", size, &members)
        });
    };
    add("three structs", &[flow, flow, flow]);
    add(
        "of a type that is named only",
        &[
            flow,
            |b, _| {
                let ty = b.fwd("F", false);
                b.ptr(ty)
            },
            flow,
        ],
    );
    add(
        "kinds",
        &[
            |b, int| {
                let ty = b.union("F", 4, &[("a", int, 0, 0)]);
                b.ptr(ty)
            },
            |b, _| {
                let ty = b.enumeration("F", 4, false, &[("a", 1)]);
                b.ptr(ty)
            },
            |b, _| {
                let ty = b.enumeration64("F", 8, false, &[("a", 1)]);
                b.ptr(ty)
            },
        ],
    );
    add(
        "enumerations without values",
        &[
            |b, _| {
                let ty = b.enumeration("F", 4, false, &[]);
                b.ptr(ty)
            },
            |b, _| {
                let ty = b.enumeration64("F", 8, false, &[]);
                b.ptr(ty)
            },
            flow,
        ],
    );
    add(
        "typedefs",
        &[
            |b, int| {
                let ty = b.typedef("F", int);
                b.ptr(ty)
            },
            flow,
            |b, int| {
                let ty = b.typedef("F", int);
                b.ptr(ty)
            },
        ],
    );
    add(
        "with a number",
        &[
            flow,
            |b, int| {
                let ty = b.structure("F___2", 4, &[("a", int, 0, 0)]);
                b.ptr(ty)
            },
            flow,
        ],
    );
    add(
        "in parameters",
        &[
            |b, int| {
                let (one, two) = (flow(b, int), flow(b, int));
                let ty = b.proto(0, &[("a", one), ("b", two)]);
                b.ptr(ty)
            },
            flow,
        ],
    );
    add(
        "in an array",
        &[
            |b, int| {
                let inner = b.structure("X", 4, &[("a", int, 0, 0)]);
                let ty = b.structure("F", 8, &[("x", inner, 0, 0), ("y", inner, 32, 0)]);
                b.array(ty, 1, int)
            },
            flow,
            |b, int| b.structure("X", 4, &[("a", int, 0, 0)]),
        ],
    );
    add(
        "the outer struct's",
        &[|b, int| {
            let ty = b.structure("X", 4, &[("a", int, 0, 0)]);
            b.array(ty, 2, int)
        }],
    );
}

/// Once characters were met, bytes stay characters; after a NUL among them the
/// others are left empty.
fn characters_that_last(list: &mut List) {
    for bytes in [b"abAB\x01\0\x02\0", b"a\0A\0\x01\0\x02\0", b"ab\0B\x01\0\x02\0", b"\0\0\0\0\x01\0\0\0"] {
        let text = bytes.escape_ascii();
        list.add(format!("characters before bytes: {text}"), bytes, |b, int| {
            let (char, short) = (b.int("char", 1, SIGNED), b.int("short", 2, 0));
            let (text, row) = (b.array(char, 2, int), b.array(short, 2, int));
            b.structure(
                "S",
                8,
                &[("t", text, 0, 0), ("x", char, 16, 0), ("y", char, 24, 0), ("r", row, 32, 0)],
            )
        });
        list.add(format!("bytes before characters: {text}"), bytes, |b, int| {
            let (char, truth) = (b.int("char", 1, SIGNED), b.int("_Bool", 1, BOOL));
            let none = b.array(char, 0, int);
            let text = b.array(char, 4, int);
            let members = [("x", char, 0, 0), ("n", none, 8, 0), ("y", truth, 8, 0), ("z", char, 16, 0)];
            let inner = b.structure("I", 4, &members);
            b.structure("S", 8, &[("i", inner, 0, 0), ("t", text, 32, 0)])
        });
        list.add(format!("structs with characters: {text}"), bytes, |b, int| {
            let char = b.int("char", 1, SIGNED);
            let text = b.array(char, 2, int);
            let ty = b.structure("E", 4, &[("d", text, 0, 0), ("e", char, 16, 0), ("f", char, 24, 0)]);
            let row = b.array(ty, 1, int);
            b.array(row, 2, int)
        });
        list.add(format!("structs of bytes after characters: {text}"), bytes, |b, int| {
            let (char, byte) = (b.int("char", 1, SIGNED), b.enumeration("E", 1, false, &[]));
            let text = b.array(char, 4, int);
            let ty = b.structure("E", 2, &[("e", char, 0, 0), ("f", byte, 8, 0)]);
            let row = b.array(ty, 2, int);
            b.structure("X", 8, &[("n", text, 0, 0), ("m", row, 32, 0)])
        });
    }
}

/// What cannot be shown.
fn mistakes(list: &mut List) {
    for size in [3, 5, 7, 9, 12, 15, 17, 24] {
        list.add(format!("integer of {size}"), &ODD[..size], |b, _| {
            let ty = b.int("T", size as u32, SIGNED);
            let ty = b.constant(ty);
            b.typedef("t", ty)
        });
    }
    list.add("integer of 0", &ODD[..4], |b, int| {
        let none = b.add("z", 1, 0, false, 0, &[0]);
        b.structure("S", 4, &[("z", none, 0, 0), ("k", int, 0, 0)])
    });
    list.add("in a struct in a struct", &ODD[..16], |b, int| {
        let odd = b.float("f2", 2);
        let inner = b.structure("I", 8, &[("x", odd, 0, 0)]);
        b.structure("S", 16, &[("a", int, 0, 0), ("i", inner, 32, 0), ("k", int, 96, 0)])
    });
    list.add("in arrays", &ODD[..12], |b, int| {
        let odd = b.float("f2", 2);
        let odd = b.array(odd, 2, int);
        let odd = b.array(odd, 2, int);
        b.structure("Q", 12, &[("arr", odd, 0, 0), ("z", int, 64, 0)])
    });
    list.add("in structs in an array", &ODD[..16], |b, int| {
        let odd = b.int("i24", 3, 0);
        let odd = b.typedef("t24", odd);
        let char = b.int("char", 1, 0);
        let none = b.array(char, 0, int);
        let inner = b.structure("T", 4, &[("f", odd, 0, 0)]);
        let inners = b.array(inner, 1, int);
        let ty = b.structure("S", 8, &[("a", inners, 0, 0), ("c", inners, 32, 0), ("b", none, 64, 0)]);
        b.array(ty, 2, int)
    });
    list.add("elements without size", &ODD[..8], |b, int| {
        let none = b.structure("E", 0, &[]);
        let none = b.array(none, 3, int);
        let none = b.typedef("at", none);
        b.structure("X", 8, &[("q", none, 0, 0), ("z", int, 0, 0)])
    });
    list.add("rows without size", &ODD[..8], |b, int| {
        let none = b.array(int, 0, int);
        let none = b.array(none, 3, int);
        b.structure("X", 8, &[("q", none, 0, 0), ("z", int, 0, 0)])
    });
    list.add("beyond the end", &ODD[..8], |b, int| {
        let old = b.add("int", 1, 0, false, 4, &[SIGNED << 24 | 7]);
        let ty = b.structure("S", 4, &[("x", int, 0, 0), ("f", old, 16, 0)]);
        b.array(ty, 2, int)
    });
    list.add("beyond the end of a struct", &ODD[..4], |b, _| {
        let old = b.add("int", 1, 0, false, 4, &[SIGNED << 24 | 7]);
        b.structure("S", 4, &[("f", old, 0, 0), ("g", old, 16, 0), ("h", old, 24, 0)])
    });
    list.add("pointers to a function's name", &ODD, |b, int| {
        let ty = b.proto(int, &[]);
        let ty = b.func("f1", ty);
        let ty = b.ptr(ty);
        let row = b.array(ty, 1, int);
        let taken = b.proto(int, &[("z", int), ("x", ty), ("y", int)]);
        let taken = b.ptr(taken);
        b.structure("X", 24, &[("f", ty, 0, 0), ("r", row, 64, 0), ("t", taken, 128, 0)])
    });
}

fn variables(list: &mut List) {
    list.add("variable", &ODD[..8], |b, int| {
        let row = b.array(int, 1, int);
        let ty = b.structure("S", 8, &[("a", int, 0, 0), ("b", row, 32, 0)]);
        b.var("v", ty, false)
    });
    list.add("variable of pointers", &ODD[..8], |b, int| {
        let ty = b.proto(int, &[]);
        let ty = b.ptr(ty);
        let ty = b.array(ty, 1, int);
        b.var("v", ty, true)
    });
    list.add("section", &ODD[..16], |b, int| {
        let ty = b.enumeration("E", 4, true, &[]);
        let (one, row) = (b.var("v", ty, false), b.array(int, 2, int));
        let two = b.var("w", row, true);
        b.section(".data.x", 16, &[(one, 0, 4), (two, 8, 8)])
    });
    list.add("section with a mistake", &ODD[..16], |b, int| {
        let odd = b.int("i24", 3, 0);
        let (one, two) = (b.var("v", odd, true), b.var("w", int, true));
        b.section(".data", 16, &[(two, 0, 4), (one, 4, 3), (two, 8, 4)])
    });
    list.add("empty section", &ODD[..8], |b, _| b.section(".data", 8, &[]));
}
