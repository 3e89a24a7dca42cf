//! Hand-made BTF: types added one by one, each identified by its number; and the kernel's own
//! BTF with a few changes ([`Edited`]).
//!
//! Written from linux/btf.h and Documentation/bpf/btf.rst, independently of `sockdiag-wire`,
//! so that it can check it.  It can build anything, even BTF that no kernel accepts.

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
    /// BTF without types.
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

    /// Adds a type of any kind: `word` is its size or the type it refers to, `rest` the words
    /// after the common part.
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

    /// `int`, the key type of every storage map.
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

    /// A forward declaration of a struct or union.
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

    /// A function prototype: return type and parameters; a last parameter of type 0 is `...`.
    pub fn proto(&mut self, returns: Id, params: &[(&str, Id)]) -> Id {
        let rest: Vec<u32> = params.iter().flat_map(|(name, ty)| [self.string(name), *ty]).collect();
        self.add("", 13, params.len() as u32, false, returns, &rest)
    }

    /// A variable, global or static.
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

    /// A type tag.
    pub fn type_tag(&mut self, name: &str, of: Id) -> Id {
        self.add(name, 18, 0, false, of, &[])
    }

    /// The whole BTF in the kernel's format.
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

/// BTF from elsewhere, changed in a few places; the type numbers stay the same.
#[derive(Clone, Debug)]
pub struct Edited(Vec<u8>);

/// Where a type begins, its kind, and how many members it has.
#[derive(Clone, Copy, Debug)]
struct Place {
    at: usize,
    kind: u32,
    vlen: usize,
}

const STRUCT: u32 = 4;
const FUNC: u32 = 12;

impl Edited {
    /// The running kernel's BTF, if it exposes it.
    pub fn of_kernel() -> std::io::Result<Self> {
        std::fs::read("/sys/kernel/btf/vmlinux").map(Self)
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn word(&self, at: usize) -> u32 {
        let word = self.0.get(at..).and_then(|bytes| bytes.first_chunk());
        word.map_or(0, |word| u32::from_ne_bytes(*word))
    }

    fn set(&mut self, at: usize, word: u32) {
        self.0[at..at + 4].copy_from_slice(&word.to_ne_bytes());
    }

    /// Where the types and the names begin and end.
    fn parts(&self) -> [std::ops::Range<usize>; 2] {
        let [header, types, types_length, names, names_length] =
            [4, 8, 12, 16, 20].map(|at| self.word(at) as usize);
        [header + types..header + types + types_length, header + names..header + names + names_length]
    }

    fn types(&self) -> impl Iterator<Item = Place> {
        let [types, _] = self.parts();
        let mut at = types.start;
        std::iter::from_fn(move || {
            if at >= types.end {
                return None;
            }
            let info = self.word(at + 4);
            let place = Place { at, kind: info >> 24 & 31, vlen: (info & 0xffff) as usize };
            let rest = match place.kind {
                1 | 14 | 17 => 4,
                3 => 12,
                STRUCT | 5 | 15 | 19 => 12 * place.vlen,
                6 | 13 => 8 * place.vlen,
                _ => 0,
            };
            at += 12 + rest;
            Some(place)
        })
    }

    fn name(&self, at: u32) -> &[u8] {
        let [_, names] = self.parts();
        let rest = self.0.get(names.start + at as usize..names.end).unwrap_or_default();
        rest.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    fn find(&self, kind: u32, name: &str) -> Place {
        let found = self
            .types()
            .find(|place| place.kind == kind && self.name(self.word(place.at)) == name.as_bytes());
        found.unwrap_or_else(|| panic!("no type {name} of kind {kind}"))
    }

    /// Swaps the names of two functions.
    ///
    /// # Panics
    /// If a function does not exist.  The other methods panic likewise.
    pub fn swap_functions(&mut self, one: &str, other: &str) {
        let [one, other] = [one, other].map(|name| self.find(FUNC, name).at);
        let names = (self.word(one), self.word(other));
        self.set(one, names.1);
        self.set(other, names.0);
    }

    /// Removes the first letter of a function's name.
    pub fn lose_function(&mut self, name: &str) {
        let at = self.find(FUNC, name).at;
        // BTF lets a name begin inside another one.
        self.set(at, self.word(at) + 1);
    }

    /// Removes the first letter of the name of a struct's member.
    pub fn lose_member(&mut self, structure: &str, member: &str) {
        let place = self.find(STRUCT, structure);
        let members = (0..place.vlen).map(|number| place.at + 12 + 12 * number);
        let found = members.into_iter().find(|at| self.name(self.word(*at)) == member.as_bytes());
        let at = found.unwrap_or_else(|| panic!("{structure} has no {member}"));
        self.set(at, self.word(at) + 1);
    }

    /// Makes a struct larger by this many bytes.
    pub fn grow(&mut self, structure: &str, bytes: u32) {
        let at = self.find(STRUCT, structure).at + 8;
        self.set(at, self.word(at) + bytes);
    }

    /// Keeps only the first `percent` per cent of the bytes.
    pub fn cut(&mut self, percent: usize) {
        self.0.truncate(self.0.len() * percent / 100);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_edited_is_called_otherwise_and_the_rest_stays() {
        let mut made = Btf::new();
        let int = made.int("int", 4, SIGNED);
        let pair = made.structure("pair", 8, &[("one", int, 0, 0), ("two", int, 32, 0)]);
        let proto = made.proto(int, &[("of", pair)]);
        made.func("first", proto);
        made.func("second", proto);
        let whole = Edited(made.to_bytes());
        let mut edited = whole.clone();
        edited.swap_functions("first", "second");
        assert!(edited.find(FUNC, "first").at > edited.find(FUNC, "second").at);
        edited.swap_functions("second", "first");
        assert_eq!(edited.bytes(), whole.bytes());
        edited.lose_function("second");
        assert_eq!(edited.name(edited.word(edited.find(FUNC, "econd").at)), b"econd");
        edited.lose_member("pair", "two");
        let pair = edited.find(STRUCT, "pair").at;
        assert_eq!(edited.name(edited.word(pair + 24)), b"wo");
        edited.grow("pair", 4);
        assert_eq!(edited.word(pair + 8), 12);
        edited.cut(50);
        assert_eq!(edited.bytes().len(), whole.bytes().len() / 2);
    }
}
