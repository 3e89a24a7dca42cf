//! Looks up the kernel's types, members and functions by name.
//!
//! Offsets of members and ids of functions differ between kernels, so a program is built for
//! the running one.  All names are found in one pass over the types, which stops at the last
//! match; references between types are followed afterwards.
//!
//! Invariant: following references always terminates, even in malformed BTF, because every
//! walk counts its steps.
//!
//! Source: Documentation/bpf/btf.rst.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use std::error::Error;
use std::fmt;
use std::ops::ControlFlow;

use super::insn::Width;
use crate::btf::{
    BTF_KIND_ARRAY, BTF_KIND_CONST, BTF_KIND_ENUM, BTF_KIND_ENUM64, BTF_KIND_FUNC, BTF_KIND_FUNC_PROTO,
    BTF_KIND_INT, BTF_KIND_PTR, BTF_KIND_RESTRICT, BTF_KIND_STRUCT, BTF_KIND_TYPE_TAG, BTF_KIND_TYPEDEF,
    BTF_KIND_UNION, BTF_KIND_VOLATILE, Btf, Marks, Type,
};

/// Maximum length of a chain of typedefs and qualifiers; no compiler emits longer ones.
const ALIASES: u32 = 32;
/// Maximum number of members searched for a name; the kernel's largest structures have
/// hundreds.
const MEMBERS: u32 = 1 << 16;

/// The kind of entity that a name denotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A struct.
    Struct = BTF_KIND_STRUCT,
    /// A union.
    Union = BTF_KIND_UNION,
    /// A typedef; each tracepoint has one, `btf_trace_NAME`.
    Typedef = BTF_KIND_TYPEDEF,
    /// A function: a kfunc, an iterator target, or an attach target.
    Function = BTF_KIND_FUNC,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Struct => "struct",
            Self::Union => "union",
            Self::Typedef => "typedef",
            Self::Function => "function",
        })
    }
}

/// A name to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The kind of entity.
    pub kind: Kind,
    /// The name.
    pub name: &'static str,
}

impl Wanted {
    /// A struct.
    pub const fn structure(name: &'static str) -> Self {
        Self { kind: Kind::Struct, name }
    }

    /// A function.
    pub const fn function(name: &'static str) -> Self {
        Self { kind: Kind::Function, name }
    }

    /// A typedef.
    pub const fn typedef(name: &'static str) -> Self {
        Self { kind: Kind::Typedef, name }
    }
}

/// A name that the kernel's types lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotFound {
    /// No entity has this name, or it was not in the list given to [`Lookup::new`].
    Name(Wanted),
    /// A struct has no such member, or none that can be addressed.
    Member {
        /// The struct.
        structure: &'static str,
        /// The member.
        path: &'static str,
    },
    /// A function has no argument of that name.
    Argument {
        /// The function.
        function: &'static str,
        /// The argument.
        name: &'static str,
    },
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(Wanted { kind, name }) => write!(f, "the kernel's types have no {kind} {name}"),
            Self::Member { structure, path } => {
                write!(f, "the kernel's struct {structure} has no member {path}")
            }
            Self::Argument { function, name } => {
                write!(f, "the kernel's function {function} has no argument {name}")
            }
        }
    }
}

impl Error for NotFound {}

/// The position of a member of a structure, and how it is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Its offset in bytes; for a bit-field, the offset of the bytes that contain it.
    pub offset: u32,
    /// Its size in bytes; for a bit-field, the number of bytes to load.
    pub bytes: u32,
    /// The width of the load; `None` for a structure or an array, which has an address but
    /// cannot be loaded.
    pub width: Option<Width>,
    /// The bits of the loaded number that belong to a bit-field.
    pub bits: Option<Bits>,
    /// The id of its type, with typedefs and qualifiers resolved.
    pub type_id: u32,
}

/// A range of bits of a number, counted from the lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bits {
    /// The number of lower bits before it.
    pub shift: u8,
    /// The number of its bits.
    pub count: u8,
}

/// The kernel's types, with the results of a search by name.
#[derive(Clone, Debug)]
pub struct Lookup<'a> {
    types: Marks<'a>,
    /// In the order of the types; a name may occur several times.
    found: Vec<(Wanted, u32, Type<'a>)>,
}

impl<'a> Lookup<'a> {
    /// Searches for all these names in one pass, which ends once each was found.  A missing
    /// name is reported only by the method that needs it.
    pub fn new(btf: Btf<'a>, wanted: &[Wanted]) -> Self {
        // Most types are skipped by their kind, most of the rest by the first byte of their
        // name.
        let (mut kinds, mut kinds_by_letter) = (0_u32, [0_u32; 256]);
        for Wanted { kind, name } in wanted {
            if let Some(first) = name.bytes().next() {
                kinds |= 1 << *kind as u8;
                kinds_by_letter[usize::from(first)] |= 1 << *kind as u8;
            }
        }
        let mut left: Vec<Wanted> = wanted.to_vec();
        let mut found = Vec::with_capacity(wanted.len());
        let types = Marks::scan(btf, |id, ty| {
            let kind = 1_u32.checked_shl(ty.kind.into()).unwrap_or(0);
            if kinds & kind == 0 || kinds_by_letter[usize::from(btf.first_letter(ty.name_off))] & kind == 0 {
                return ControlFlow::Continue(());
            }
            let is_it = |one: &&Wanted| one.kind as u8 == ty.kind && ty.is_named(one.name.as_bytes());
            if let Some(one) = wanted.iter().find(is_it).copied() {
                found.push((one, id, *ty));
                left.retain(|other| *other != one);
            }
            if left.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        Self { types, found }
    }

    /// All entities with this name.
    fn named(&self, wanted: Wanted) -> impl Iterator<Item = (u32, &Type<'a>)> {
        self.found.iter().filter(move |(one, ..)| *one == wanted).map(|(_, id, ty)| (*id, ty))
    }

    fn id(&self, wanted: Wanted) -> Result<u32, NotFound> {
        self.named(wanted).next().map(|(id, _)| id).ok_or(NotFound::Name(wanted))
    }

    /// The BTF id of a struct, as `bpf_rdonly_cast` expects it.
    pub fn structure(&self, name: &'static str) -> Result<u32, NotFound> {
        self.id(Wanted::structure(name))
    }

    /// The size of a struct in bytes.
    pub fn bytes(&self, name: &'static str) -> Result<u32, NotFound> {
        let wanted = Wanted::structure(name);
        self.named(wanted).next().map(|(_, ty)| ty.size_or_type).ok_or(NotFound::Name(wanted))
    }

    /// The BTF id of a function, to call it or attach to it.
    pub fn function(&self, name: &'static str) -> Result<u32, NotFound> {
        self.id(Wanted::function(name))
    }

    /// The BTF id of a typedef; a program attaches to a tracepoint through the id of
    /// `btf_trace_NAME`.
    pub fn typedef(&self, name: &'static str) -> Result<u32, NotFound> {
        self.id(Wanted::typedef(name))
    }

    /// The position of a member of a struct.  A dot in the path enters a member that is itself
    /// a structure; members of anonymous structures count as members of the enclosing one.
    ///
    /// If several structs have the same name, the first that has the member is used.
    pub fn member(&self, structure: &'static str, path: &'static str) -> Result<Member, NotFound> {
        let wanted = Wanted::structure(structure);
        self.id(wanted)?;
        self.named(wanted)
            .find_map(|(_, ty)| self.along(ty, path))
            .ok_or(NotFound::Member { structure, path })
    }

    /// The positions of members, each given by its struct and path.
    ///
    /// # Errors
    /// The first member that was not found.
    pub fn members<const N: usize>(
        &self,
        names: &[(&'static str, &'static str); N],
    ) -> Result<[Member; N], NotFound> {
        let mut found = [Member::default(); N];
        self.fill(names, &mut found)?;
        Ok(found)
    }

    fn fill(&self, names: &[(&'static str, &'static str)], found: &mut [Member]) -> Result<(), NotFound> {
        for ((structure, path), place) in names.iter().zip(found) {
            *place = self.member(structure, path)?;
        }
        Ok(())
    }

    /// The BTF ids of types and functions.
    ///
    /// # Errors
    /// The first name that was not found.
    pub fn ids<const N: usize>(&self, wanted: [Wanted; N]) -> Result<[u32; N], NotFound> {
        let mut found = [0; N];
        for (wanted, place) in wanted.into_iter().zip(&mut found) {
            *place = self.id(wanted)?;
        }
        Ok(found)
    }

    /// The index of the function's argument with this name.
    pub fn argument(&self, function: &'static str, name: &'static str) -> Result<usize, NotFound> {
        let wanted = Wanted::function(function);
        self.id(wanted)?;
        let position = |ty: &Type<'_>| {
            let prototype = self.types.get(ty.size_or_type)?;
            let is_prototype = prototype.kind == BTF_KIND_FUNC_PROTO && !name.is_empty();
            is_prototype.then(|| prototype.params().position(|param| param.name == name.as_bytes()))?
        };
        self.named(wanted).find_map(|(_, ty)| position(ty)).ok_or(NotFound::Argument { function, name })
    }

    /// Resolves typedefs and qualifiers to the underlying type.
    fn behind(&self, mut id: u32) -> Option<(u32, Type<'a>)> {
        for _ in 0..ALIASES {
            let ty = self.types.get(id)?;
            match ty.kind {
                BTF_KIND_TYPEDEF | BTF_KIND_VOLATILE | BTF_KIND_CONST | BTF_KIND_RESTRICT
                | BTF_KIND_TYPE_TAG => id = ty.size_or_type,
                _ => return Some((id, ty)),
            }
        }
        None
    }

    /// Follows a path of members from a structure.
    fn along(&self, structure: &Type<'a>, path: &str) -> Option<Member> {
        let mut steps = path.split('.');
        let (mut bit, mut member) = self.step(structure, steps.next()?)?;
        for step in steps {
            let (_, inner) = self.behind(member.type_id)?;
            let (further, next) = self.step(&inner, step)?;
            bit = bit.checked_add(further)?;
            member = next;
        }
        self.located(bit, &member)
    }

    /// Finds a member by name, also within anonymous structures, and returns it with its bit
    /// offset.
    fn step(&self, structure: &Type<'a>, name: &str) -> Option<(u32, crate::btf::Member<'a>)> {
        if name.is_empty() {
            return None;
        }
        let mut left = MEMBERS;
        let mut structures = vec![(0_u32, *structure)];
        while let Some((bit, structure)) = structures.pop() {
            for member in structure.members() {
                left = left.checked_sub(1)?;
                let bit = bit.checked_add(member.bit_offset)?;
                if member.is_named(name.as_bytes()) {
                    return Some((bit, member));
                }
                if member.name().is_empty()
                    && let Some((_, inner)) = self.behind(member.type_id)
                {
                    structures.push((bit, inner));
                }
            }
        }
        None
    }

    /// Computes how to load a member that begins at bit offset `bit`.
    fn located(&self, bit: u32, member: &crate::btf::Member<'_>) -> Option<Member> {
        let (type_id, ty) = self.behind(member.type_id)?;
        let bytes = self.size(&ty)?;
        let is_loadable = matches!(ty.kind, BTF_KIND_INT | BTF_KIND_PTR | BTF_KIND_ENUM | BTF_KIND_ENUM64);
        // Older compilers give each bit-field its own integer type.
        let int = ty.int().filter(|int| bytes.checked_mul(8) != Some(int.bits.into()));
        let (bit, count) = match (member.bitfield_bits, int) {
            (0, Some(int)) => (bit.checked_add(int.bit_offset.into())?, u32::from(int.bits)),
            (bits, _) => (bit, u32::from(bits)),
        };
        if count == 0 {
            let width = Width::of(bytes).filter(|_| is_loadable);
            let offset = bit.is_multiple_of(8).then_some(bit / 8)?;
            return Some(Member { offset, bytes, width, bits: None, type_id });
        }
        // The narrowest naturally aligned integer that contains all bits.
        let last = bit.checked_add(count - 1)?;
        let width = [Width::U8, Width::U16, Width::U32, Width::U64]
            .into_iter()
            .find(|width| bit / (8 * width.bytes()) == last / (8 * width.bytes()))?;
        let bytes = width.bytes();
        let (shift, count) = ((bit % (8 * bytes)) as u8, count as u8);
        let bits = (u32::from(count) != 8 * bytes).then_some(Bits { shift, count });
        Some(Member { offset: bit / (8 * bytes) * bytes, bytes, width: Some(width), bits, type_id })
    }

    /// The size of a type in bytes; `None` for typedefs and qualifiers.
    fn size(&self, ty: &Type<'a>) -> Option<u32> {
        let (mut ty, mut count) = (*ty, 1_u32);
        for _ in 0..ALIASES {
            let bytes = match ty.kind {
                BTF_KIND_ARRAY => {
                    let array = ty.array()?;
                    count = count.checked_mul(array.nelems)?;
                    ty = self.behind(array.type_id)?.1;
                    continue;
                }
                // Only the BTF of 64-bit kernels is read.
                BTF_KIND_PTR => Width::U64.bytes(),
                BTF_KIND_INT | BTF_KIND_ENUM | BTF_KIND_ENUM64 | BTF_KIND_STRUCT | BTF_KIND_UNION => {
                    ty.size_or_type
                }
                _ => return None,
            };
            return count.checked_mul(bytes);
        }
        None
    }
}

#[cfg(test)]
mod tests;
