//! BTF: type information of the kernel or of a BPF program.
//!
//! BTF is a header, a list of types and a section of strings.  A type's id is its position in
//! the list, counted from 1; 0 is `void`.  Types are parsed in place: a search of the kernel's
//! five megabytes is one pass without allocation, and only an [`Index`] stores anything.
//!
//! Nothing here follows references between types, so a cycle of types cannot cause an endless
//! loop; callers that follow references have to count their steps.
//!
//! Invariant: the list ends before the first type that is truncated or has an unknown length;
//! the types before it keep their ids.
//!
//! Source: linux/btf.h, Linux 7.3; Documentation/bpf/btf.rst.  The split BTF of modules is not
//! supported.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "kernel integers are narrow; each cast is meant"
)]

use std::borrow::Cow;

use crate::bytes::u32_at;
use crate::layout::{constants, view};

mod marks;

pub use marks::Marks;

constants! {
    /// Constants of the header.
    BTF_CONSTANTS in "linux/btf.h": u16 {
        /// The magic number, in the byte order of the whole data.
        BTF_MAGIC = 0xeb9f;
        /// The only version so far.
        BTF_VERSION = 1;
    }
}

constants! {
    /// Kinds of types.
    BTF_KINDS in "linux/btf.h": u8 {
        /// An integer, a character or a truth value.
        BTF_KIND_INT = 1;
        /// A pointer.
        BTF_KIND_PTR = 2;
        /// An array.
        BTF_KIND_ARRAY = 3;
        /// A struct.
        BTF_KIND_STRUCT = 4;
        /// A union.
        BTF_KIND_UNION = 5;
        /// An enumeration of up to 32 bits.
        BTF_KIND_ENUM = 6;
        /// A forward declaration of a struct or union.
        BTF_KIND_FWD = 7;
        /// A typedef.
        BTF_KIND_TYPEDEF = 8;
        /// `volatile`.
        BTF_KIND_VOLATILE = 9;
        /// `const`.
        BTF_KIND_CONST = 10;
        /// `restrict`.
        BTF_KIND_RESTRICT = 11;
        /// A function.
        BTF_KIND_FUNC = 12;
        /// The parameters and the return type of a function.
        BTF_KIND_FUNC_PROTO = 13;
        /// A variable.
        BTF_KIND_VAR = 14;
        /// A section of variables.
        BTF_KIND_DATASEC = 15;
        /// A floating-point number.
        BTF_KIND_FLOAT = 16;
        /// A tag on a declaration.
        BTF_KIND_DECL_TAG = 17;
        /// A tag on a type.
        BTF_KIND_TYPE_TAG = 18;
        /// An enumeration of 64 bits.
        BTF_KIND_ENUM64 = 19;
    }
}

constants! {
    /// Encodings of an integer.
    BTF_INT_ENCODINGS in "linux/btf.h": u8 {
        /// Signed.
        BTF_INT_SIGNED = 1;
        /// A character.
        BTF_INT_CHAR = 2;
        /// A truth value.
        BTF_INT_BOOL = 4;
    }
}

constants! {
    /// Linkages of a variable.
    BTF_LINKAGES in "linux/btf.h": u32 {
        /// Visible only in its own file.
        BTF_VAR_STATIC = 0;
    }
}

view! {
    /// The header of BTF.
    HeaderView = "struct btf_header" in "linux/btf.h" {
        /// `BTF_MAGIC`.
        magic: u16 @ 0 = "magic";
        /// `BTF_VERSION`.
        version: u8 @ 2 = "version";
        /// Always 0.
        flags: u8 @ 3 = "flags";
        /// Length of this header; offsets count from its end.
        hdr_len: u32 @ 4 = "hdr_len";
        /// Where the types begin.
        type_off: u32 @ 8 = "type_off";
        /// Length of the types in bytes.
        type_len: u32 @ 12 = "type_len";
        /// Where the strings begin.
        str_off: u32 @ 16 = "str_off";
        /// Length of the strings in bytes.
        str_len: u32 @ 20 = "str_len";
        /// Where the layouts of kinds begin; absent in older BTF.
        layout_off: u32 @ 24 = "layout_off";
        /// Length of these layouts in bytes.
        layout_len: u32 @ 28 = "layout_len";
    }
}

view! {
    /// The length of the data that follows a type of some kind.
    KindLayoutView = "struct btf_layout" in "linux/btf.h" {
        /// Bytes that follow every type of this kind.
        info_sz: u8 @ 0 = "info_sz";
        /// Bytes for each of the type's elements.
        elem_sz: u8 @ 1 = "elem_sz";
        /// Unused.
        flags: u16 @ 2 = "flags";
    }
}

view! {
    /// The fixed part of every type.
    TypeView = "struct btf_type" in "linux/btf.h" {
        /// Its name, as an offset into the strings; 0 if it has none.
        name_off: u32 @ 0 = "name_off";
        /// The number of elements, the kind and a flag.
        info: u32 @ 4 = "info";
        /// Its size in bytes, or the id of another type.
        size_or_type: u32 @ 8 = "size";
    }
}

view! {
    /// A member of a struct or union.
    MemberView = "struct btf_member" in "linux/btf.h" {
        /// Its name; 0 for an anonymous struct or union.
        name_off: u32 @ 0 = "name_off";
        /// Id of its type.
        type_id: u32 @ 4 = "type";
        /// Its offset in bits; with `kind_flag`, the lower 24 bits hold the offset and the
        /// upper eight the size in bits.
        offset: u32 @ 8 = "offset";
    }
}

view! {
    /// A value of an enumeration of up to 32 bits.
    EnumView = "struct btf_enum" in "linux/btf.h" {
        /// Its name.
        name_off: u32 @ 0 = "name_off";
        /// The value.
        value: i32 @ 4 = "val";
    }
}

view! {
    /// A value of an enumeration of 64 bits.
    Enum64View = "struct btf_enum64" in "linux/btf.h" {
        /// Its name.
        name_off: u32 @ 0 = "name_off";
        /// The value's low half.
        low: u32 @ 4 = "val_lo32";
        /// The value's high half.
        high: u32 @ 8 = "val_hi32";
    }
}

view! {
    /// An array.
    ArrayView = "struct btf_array" in "linux/btf.h" {
        /// Id of the element type.
        type_id: u32 @ 0 = "type";
        /// Id of the index type.
        index_type_id: u32 @ 4 = "index_type";
        /// How many elements it has.
        nelems: u32 @ 8 = "nelems";
    }
}

view! {
    /// A parameter of a function.
    ParamView = "struct btf_param" in "linux/btf.h" {
        /// Its name; 0 in a function prototype without names.
        name_off: u32 @ 0 = "name_off";
        /// Id of its type; 0 for the `...` at the end.
        type_id: u32 @ 4 = "type";
    }
}

view! {
    /// A variable.
    VarView = "struct btf_var" in "linux/btf.h" {
        /// Its linkage (`BTF_VAR_*`).
        linkage: u32 @ 0 = "linkage";
    }
}

view! {
    /// A variable in a section.
    SectionVarView = "struct btf_var_secinfo" in "linux/btf.h" {
        /// Id of the variable's type, a `VAR`.
        type_id: u32 @ 0 = "type";
        /// Its offset in the section, in bytes.
        offset: u32 @ 4 = "offset";
        /// Its size in bytes.
        size: u32 @ 8 = "size";
    }
}

/// Length of the fixed part of a type.
const TYPE: usize = TypeView::LAYOUT.end();

/// BTF data in memory, parsed in place.
#[derive(Clone, Copy, Debug)]
pub struct Btf<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    layouts: &'a [u8],
}

impl<'a> Btf<'a> {
    /// Parses the header.  Returns `None` if the data is not BTF in this machine's byte order,
    /// or if its sections exceed the data.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let header = HeaderView::new(bytes);
        if header.magic()? != BTF_MAGIC || u16::from(header.version()?) != BTF_VERSION {
            return None;
        }
        let hdr_len = header.hdr_len()? as usize;
        let (_, body) = bytes.split_at_checked(hdr_len)?;
        let section = |offset: u32, length: u32| {
            let (_, from) = body.split_at_checked(offset as usize)?;
            from.get(..length as usize)
        };
        let has_layouts = hdr_len >= HeaderView::LAYOUT.end();
        let layouts = match (header.layout_off(), header.layout_len()) {
            (Some(offset), Some(length)) if has_layouts => section(offset, length)?,
            _ => &[],
        };
        Some(Self {
            types: section(header.type_off()?, header.type_len()?)?,
            strings: section(header.str_off()?, header.str_len()?)?,
            layouts,
        })
    }

    /// All types with their ids, from 1 on.
    pub fn types(self) -> Types<'a> {
        Types { btf: self, at: 0, id: 0 }
    }

    /// The string at an offset; empty for offset 0 and for offsets outside the section.
    pub fn string(self, offset: u32) -> &'a [u8] {
        let from = self.strings.get(offset as usize..).unwrap_or_default();
        let end = from.iter().position(|byte| *byte == 0).unwrap_or(from.len());
        from.get(..end).unwrap_or_default()
    }

    /// Whether the string at an offset is this one; cheaper than reading it.
    #[inline]
    pub fn string_is(self, offset: u32, name: &[u8]) -> bool {
        let from = self.strings.get(offset as usize..).unwrap_or_default();
        // The terminating NUL first: most other names differ in length, so this byte rules them out.
        match from.get(name.len()) {
            Some(0) => from.starts_with(name),
            Some(_) => false,
            None => from == name,
        }
    }

    /// The first byte of the string at an offset; 0 if the string is empty or the offset is
    /// outside the section.
    #[inline]
    pub fn first_letter(self, offset: u32) -> u8 {
        self.strings.get(offset as usize).copied().unwrap_or(0)
    }

    /// Builds an index without a pass over all types; `offsets` are those that
    /// [`Index::into_offsets`] returned for the same bytes.  With other bytes, the index
    /// returns wrong types or `None`.
    pub fn indexed_by(self, offsets: &'a [u32]) -> Index<'a> {
        Index { btf: self, offsets: Cow::Borrowed(offsets) }
    }

    /// Makes one pass over all types, so that each can then be found by its id.
    pub fn index(self) -> Index<'a> {
        let mut types = self.types();
        let mut offsets = Vec::new();
        loop {
            let at = types.at;
            if types.next().is_none() {
                return Index { btf: self, offsets: Cow::Owned(offsets) };
            }
            offsets.push(at as u32);
        }
    }

    /// The type at this offset of the type section.
    #[inline]
    fn type_at(self, at: usize) -> Option<Type<'a>> {
        let (_, from) = self.types.split_at_checked(at)?;
        let view = TypeView::new(from);
        let info = view.info()?;
        let ty = Type {
            btf: self,
            name_off: view.name_off()?,
            kind: (info >> 24 & 0x7f) as u8,
            vlen: info & 0x00ff_ffff,
            kind_flag: info >> 31 == 1,
            size_or_type: view.size_or_type()?,
            tail: &[],
        };
        let length = self.tail_of(ty.kind, ty.vlen)?;
        Some(Type { tail: from.get(TYPE..TYPE.checked_add(length)?)?, ..ty })
    }

    /// The number of bytes that follow the fixed part of a type.
    #[inline]
    fn tail_of(self, kind: u8, vlen: u32) -> Option<usize> {
        let (once, each) = match kind {
            BTF_KIND_INT | BTF_KIND_VAR | BTF_KIND_DECL_TAG => (4, 0),
            BTF_KIND_ARRAY => (12, 0),
            BTF_KIND_STRUCT | BTF_KIND_UNION | BTF_KIND_DATASEC | BTF_KIND_ENUM64 => (0, 12),
            BTF_KIND_ENUM | BTF_KIND_FUNC_PROTO => (0, 8),
            BTF_KIND_PTR | BTF_KIND_FWD | BTF_KIND_TYPEDEF | BTF_KIND_VOLATILE | BTF_KIND_CONST
            | BTF_KIND_RESTRICT | BTF_KIND_FUNC | BTF_KIND_FLOAT | BTF_KIND_TYPE_TAG => (0, 0),
            _ => {
                let layout = self.layouts.get(usize::from(kind) * KindLayoutView::LAYOUT.end()..)?;
                let layout = KindLayoutView::new(layout);
                (layout.info_sz()?, layout.elem_sz()?)
            }
        };
        usize::from(each).checked_mul(vlen as usize)?.checked_add(usize::from(once))
    }
}

/// The types of a [`Btf`], in order.
#[derive(Clone, Debug)]
pub struct Types<'a> {
    btf: Btf<'a>,
    at: usize,
    id: u32,
}

impl<'a> Iterator for Types<'a> {
    type Item = (u32, Type<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let ty = self.btf.type_at(self.at)?;
        // Neither addition overflows: types lie inside a slice, and each takes at least 12
        // bytes.
        self.at += TYPE + ty.tail.len();
        self.id += 1;
        Some((self.id, ty))
    }
}

/// Types by their id.
#[derive(Clone, Debug)]
pub struct Index<'a> {
    btf: Btf<'a>,
    offsets: Cow<'a, [u32]>,
}

impl<'a> Index<'a> {
    /// The type with this id; `None` for 0, which is `void`, and for unknown ids.
    pub fn get(&self, id: u32) -> Option<Type<'a>> {
        let offset = self.offsets.get((id as usize).checked_sub(1)?)?;
        self.btf.type_at(*offset as usize)
    }

    /// Where each type begins, for [`Btf::indexed_by`].
    pub fn into_offsets(self) -> Vec<u32> {
        self.offsets.into_owned()
    }

    /// The number of types, without `void`.
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether there is no type.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }
}

/// One type.
#[derive(Clone, Copy, Debug)]
pub struct Type<'a> {
    btf: Btf<'a>,
    /// Its name, as an offset into the strings; 0 if it has none.
    pub name_off: u32,
    /// Its kind (`BTF_KIND_*`), or one that is not known here.
    pub kind: u8,
    /// The number of its members, values or parameters.
    pub vlen: u32,
    /// For a struct or union: member offsets include sizes in bits.  For an enumeration:
    /// values are signed.  For a forward declaration: it declares a union.
    pub kind_flag: bool,
    /// Its size in bytes (`INT`, `ENUM`, `STRUCT`, `UNION`, `DATASEC`, `FLOAT`, `ENUM64`), or
    /// the id of the type that it refers to.
    pub size_or_type: u32,
    /// The data after the fixed part; its length follows from the kind and `vlen`.
    tail: &'a [u8],
}

impl<'a> Type<'a> {
    /// Its name; empty if it has none.
    pub fn name(&self) -> &'a [u8] {
        self.btf.string(self.name_off)
    }

    /// Whether this is its name; cheaper than reading it.
    #[inline]
    pub fn is_named(&self, name: &[u8]) -> bool {
        self.btf.string_is(self.name_off, name)
    }

    /// The encoding, bit offset and number of bits of an integer; `None` for other kinds.
    pub fn int(&self) -> Option<Int> {
        let word = (self.kind == BTF_KIND_INT).then(|| u32_at(self.tail, 0))??;
        Some(Int {
            encoding: (word >> 24 & 0xf) as u8,
            bit_offset: (word >> 16 & 0xff) as u8,
            bits: (word & 0xff) as u8,
        })
    }

    /// The element type, index type and length of an array; `None` for other kinds.
    pub fn array(&self) -> Option<Array> {
        let array = (self.kind == BTF_KIND_ARRAY).then(|| ArrayView::new(self.tail))?;
        Some(Array {
            type_id: array.type_id()?,
            index_type_id: array.index_type_id()?,
            nelems: array.nelems()?,
        })
    }

    /// The members of a struct or union, in order; none for other kinds.
    pub fn members(&self) -> impl Iterator<Item = Member<'a>> + use<'a> {
        let Self { btf, kind_flag, .. } = *self;
        self.elements(&[BTF_KIND_STRUCT, BTF_KIND_UNION], 12).filter_map(move |bytes| {
            let view = MemberView::new(bytes);
            let (name_off, offset) = (view.name_off()?, view.offset()?);
            let (bit_offset, bitfield_bits) =
                if kind_flag { (offset & 0x00ff_ffff, (offset >> 24) as u8) } else { (offset, 0) };
            Some(Member { btf, name_off, type_id: view.type_id()?, bit_offset, bitfield_bits })
        })
    }

    /// The values of an enumeration, in order; none for other kinds.
    pub fn values(&self) -> impl Iterator<Item = EnumValue<'a>> + use<'a> {
        let Self { btf, kind_flag, .. } = *self;
        let narrow = self.elements(&[BTF_KIND_ENUM], 8).filter_map(move |bytes| {
            let view = EnumView::new(bytes);
            let value = view.value()?;
            let value = if kind_flag { i64::from(value) } else { i64::from(value as u32) };
            Some((view.name_off()?, value))
        });
        let wide = self.elements(&[BTF_KIND_ENUM64], 12).filter_map(|bytes| {
            let view = Enum64View::new(bytes);
            let value = u64::from(view.high()?) << 32 | u64::from(view.low()?);
            Some((view.name_off()?, value as i64))
        });
        narrow.chain(wide).map(move |(name_off, value)| EnumValue { name: btf.string(name_off), value })
    }

    /// The parameters of a function prototype, in order; none for other kinds.
    pub fn params(&self) -> impl Iterator<Item = Param<'a>> + use<'a> {
        let btf = self.btf;
        self.elements(&[BTF_KIND_FUNC_PROTO], 8).filter_map(move |bytes| {
            let view = ParamView::new(bytes);
            Some(Param { name: btf.string(view.name_off()?), type_id: view.type_id()? })
        })
    }

    /// The linkage of a variable (`BTF_VAR_*`); `None` for other kinds.
    pub fn linkage(&self) -> Option<u32> {
        (self.kind == BTF_KIND_VAR).then(|| VarView::new(self.tail).linkage())?
    }

    /// The variables of a section, in order; none for other kinds.
    pub fn variables(&self) -> impl Iterator<Item = SectionVar> + use<'a> {
        self.elements(&[BTF_KIND_DATASEC], 12).filter_map(|bytes| {
            let view = SectionVarView::new(bytes);
            Some(SectionVar { type_id: view.type_id()?, offset: view.offset()?, size: view.size()? })
        })
    }

    fn elements(&self, kinds: &[u8], size: usize) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let tail = if kinds.contains(&self.kind) { self.tail } else { &[] };
        tail.chunks_exact(size)
    }
}

/// How an integer is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Int {
    /// `BTF_INT_SIGNED`, `BTF_INT_CHAR`, `BTF_INT_BOOL`.
    pub encoding: u8,
    /// Number of bits before it, if it is an old-style bit-field.
    pub bit_offset: u8,
    /// Number of its bits.
    pub bits: u8,
}

/// The types and the length of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Array {
    /// Id of the element type.
    pub type_id: u32,
    /// Id of the index type.
    pub index_type_id: u32,
    /// How many elements it has.
    pub nelems: u32,
}

/// A member of a struct or union.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    btf: Btf<'a>,
    name_off: u32,
    /// Id of its type.
    pub type_id: u32,
    /// Its offset from the start of the struct, in bits.
    pub bit_offset: u32,
    /// Number of bits of a bit-field; 0 for other members, and for old-style bit-fields, where
    /// the integer type has it ([`Int::bits`]).
    pub bitfield_bits: u8,
}

impl<'a> Member<'a> {
    /// Its name; empty for an anonymous struct or union.
    pub fn name(&self) -> &'a [u8] {
        self.btf.string(self.name_off)
    }

    /// Whether this is its name; cheaper than reading it.
    #[inline]
    pub fn is_named(&self, name: &[u8]) -> bool {
        self.btf.string_is(self.name_off, name)
    }
}

/// A value of an enumeration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnumValue<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// The value: signed if the type's `kind_flag` is set; otherwise unsigned, so that bit 63
    /// is not a sign.
    pub value: i64,
}

/// A parameter of a function prototype.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param<'a> {
    /// Its name; empty for most parameters.
    pub name: &'a [u8],
    /// Id of its type; 0 for the `...` at the end.
    pub type_id: u32,
}

/// A variable of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectionVar {
    /// Id of the variable's type, a `VAR`.
    pub type_id: u32,
    /// Its offset in the section, in bytes.
    pub offset: u32,
    /// Its size in bytes.
    pub size: u32,
}

#[cfg(test)]
pub(crate) mod tests;
