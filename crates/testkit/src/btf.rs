//! BTF made by hand: types one after the other, each known by its number.
//!
//! Written from linux/btf.h and Documentation/bpf/btf.rst, apart from
//! `sockdiag-wire`, so that it can check it.  Anything can be built, also what
//! no kernel accepts.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small, known numbers; each cast is meant"
)]

/// `BTF_INT_SIGNED`.
pub const SIGNED: u32 = 1;
/// `BTF_INT_CHAR`.
pub const CHAR: u32 = 2;
/// `BTF_INT_BOOL`.
pub const BOOL: u32 = 4;

/// A type's number; 0 is `void`.
pub type Id = u32;

/// A member of a struct or union: name, type, bits before it, and its own
/// bits if it is a bit-field.
pub type Member<'n> = (&'n str, Id, u32, u32);

/// Types, numbered from 1 in the order in which they were added.
#[derive(Clone, Debug)]
pub struct Btf {
    types: Vec<u8>,
    strings: Vec<u8>,
    count: u32,
}

impl Default for Btf {
    fn default() -> Self {
        Self { types: Vec::new(), strings: vec![0], count: 0 }
    }
}

impl Btf {
    /// Without types.
    pub fn new() -> Self {
        Self::default()
    }

    fn string(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let at = self.strings.len() as u32;
        self.strings.extend_from_slice(text.as_bytes());
        self.strings.push(0);
        at
    }

    /// Adds a type of any kind: `word` is its size or another type, `rest`
    /// what follows the common part.
    pub fn add(&mut self, name: &str, kind: u32, vlen: u32, flag: bool, word: u32, rest: &[u32]) -> Id {
        let name = self.string(name);
        for word in [name, vlen | kind << 24 | u32::from(flag) << 31, word].iter().chain(rest) {
            self.types.extend_from_slice(&word.to_ne_bytes());
        }
        self.count += 1;
        self.count
    }

    /// An integer of `size` bytes, [`SIGNED`] or not.
    pub fn int(&mut self, name: &str, size: u32, encoding: u32) -> Id {
        self.add(name, 1, 0, false, size, &[encoding << 24 | (8 * size).min(128)])
    }

    /// `int`, which the key of every storage map is.
    pub fn key(&mut self) -> Id {
        self.int("int", 4, SIGNED)
    }

    /// A pointer.
    pub fn ptr(&mut self, to: Id) -> Id {
        self.add("", 2, 0, false, to, &[])
    }

    /// An array; `index` is the type of its index.
    pub fn array(&mut self, of: Id, count: u32, index: Id) -> Id {
        self.add("", 3, 0, false, 0, &[of, index, count])
    }

    /// A struct of `size` bytes.
    pub fn structure(&mut self, name: &str, size: u32, members: &[Member<'_>]) -> Id {
        self.record(4, name, size, members)
    }

    /// A union of `size` bytes.
    pub fn union(&mut self, name: &str, size: u32, members: &[Member<'_>]) -> Id {
        self.record(5, name, size, members)
    }

    fn record(&mut self, kind: u32, name: &str, size: u32, members: &[Member<'_>]) -> Id {
        let flag = members.iter().any(|member| member.3 != 0);
        let mut rest = Vec::new();
        for (name, ty, offset, bits) in members {
            rest.extend([self.string(name), *ty, offset | bits << 24]);
        }
        self.add(name, kind, members.len() as u32, flag, size, &rest)
    }

    /// An enumeration of up to 32 bits.
    pub fn enumeration(&mut self, name: &str, size: u32, signed: bool, values: &[(&str, i32)]) -> Id {
        let rest: Vec<u32> =
            values.iter().flat_map(|(name, value)| [self.string(name), *value as u32]).collect();
        self.add(name, 6, values.len() as u32, signed, size, &rest)
    }

    /// An enumeration of 64 bits.
    pub fn enumeration64(&mut self, name: &str, size: u32, signed: bool, values: &[(&str, i64)]) -> Id {
        let rest: Vec<u32> = values
            .iter()
            .flat_map(|(name, value)| [self.string(name), *value as u32, (*value >> 32) as u32])
            .collect();
        self.add(name, 19, values.len() as u32, signed, size, &rest)
    }

    /// A struct (or union) that is only named.
    pub fn fwd(&mut self, name: &str, union: bool) -> Id {
        self.add(name, 7, 0, union, 0, &[])
    }

    /// A typedef.
    pub fn typedef(&mut self, name: &str, of: Id) -> Id {
        self.add(name, 8, 0, false, of, &[])
    }

    /// `volatile`.
    pub fn volatile(&mut self, of: Id) -> Id {
        self.add("", 9, 0, false, of, &[])
    }

    /// `const`.
    pub fn constant(&mut self, of: Id) -> Id {
        self.add("", 10, 0, false, of, &[])
    }

    /// `restrict`.
    pub fn restrict(&mut self, of: Id) -> Id {
        self.add("", 11, 0, false, of, &[])
    }

    /// A function.
    pub fn func(&mut self, name: &str, proto: Id) -> Id {
        self.add(name, 12, 0, false, proto, &[])
    }

    /// What a function returns and takes; a last parameter of type 0 is `...`.
    pub fn proto(&mut self, returns: Id, params: &[(&str, Id)]) -> Id {
        let rest: Vec<u32> = params.iter().flat_map(|(name, ty)| [self.string(name), *ty]).collect();
        self.add("", 13, params.len() as u32, false, returns, &rest)
    }

    /// A variable, seen outside its file or not.
    pub fn var(&mut self, name: &str, of: Id, global: bool) -> Id {
        self.add(name, 14, 0, false, of, &[global.into()])
    }

    /// A section: variables with their offsets and sizes.
    pub fn section(&mut self, name: &str, size: u32, variables: &[(Id, u32, u32)]) -> Id {
        let rest: Vec<u32> = variables.iter().flat_map(|(var, at, size)| [*var, *at, *size]).collect();
        self.add(name, 15, variables.len() as u32, false, size, &rest)
    }

    /// A floating-point number.
    pub fn float(&mut self, name: &str, size: u32) -> Id {
        self.add(name, 16, 0, false, size, &[])
    }

    /// A tag of a type.
    pub fn type_tag(&mut self, name: &str, of: Id) -> Id {
        self.add(name, 18, 0, false, of, &[])
    }

    /// Everything as the kernel reads it.
    pub fn to_bytes(&self) -> Vec<u8> {
        const HEADER: u32 = 24;
        let mut bytes = 0xeb9f_u16.to_ne_bytes().to_vec();
        bytes.extend([1, 0]);
        let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
        for word in [HEADER, 0, types, types, strings] {
            bytes.extend_from_slice(&word.to_ne_bytes());
        }
        bytes.extend_from_slice(&self.types);
        bytes.extend_from_slice(&self.strings);
        bytes
    }
}
