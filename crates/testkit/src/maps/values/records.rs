//! Values with members, values that share a name, and values that cannot be shown.

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]
#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

use super::{List, ODD};
use crate::btf::{BOOL, Btf, Id, SIGNED};

pub(super) fn structs(list: &mut List) {
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

pub(super) fn bit_fields(list: &mut List) {
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

pub(super) fn names(list: &mut List) {
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

/// In an array, bytes after the first characters are shown as characters too; the elements
/// after a NUL among them are shown empty.
pub(super) fn characters_that_last(list: &mut List) {
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

/// Values that cannot be shown.
pub(super) fn mistakes(list: &mut List) {
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

pub(super) fn variables(list: &mut List) {
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
