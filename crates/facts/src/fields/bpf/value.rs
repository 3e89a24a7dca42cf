//! Prints a value according to its type: `(struct flow){.packets = (u64)7,}`.
//!
//! The text is C's notation with a cast before each value, except inside arrays.  Arrays of
//! one-byte integers are printed as characters up to the first NUL.  As in the reference,
//! three states leak beyond their purpose:
//!
//! * after the first array of one-byte integers, every one-byte integer is printed as a
//!   character; after a NUL among these outside an array, further ones are empty;
//! * if an element of an array cannot be printed, the array continues, one indentation level
//!   deeper for each unfinished struct;
//! * a signed value of an enumeration that has no name is printed without the comma that
//!   separates it from the next value.
//!
//! Invariant: printing terminates for any types and bytes, after at most [`STEPS`] values and
//! [`LONGEST`] bytes.
//!
//! Source: the text of ss 7.3 with libbpf for maps made for this purpose;
//! Documentation/bpf/btf.rst.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "kernel integers are narrow; each cast is meant"
)]

use std::io::Write as _;

use sockdiag_wire::btf::{
    Array, BTF_INT_SIGNED, BTF_KIND_CONST, BTF_KIND_DATASEC, BTF_KIND_ENUM, BTF_KIND_ENUM64, BTF_KIND_FLOAT,
    BTF_KIND_INT, BTF_KIND_PTR, BTF_KIND_RESTRICT, BTF_KIND_STRUCT, BTF_KIND_TYPE_TAG, BTF_KIND_TYPEDEF,
    BTF_KIND_UNION, BTF_KIND_VAR, BTF_KIND_VOLATILE, BTF_VAR_STATIC, Index, Type,
};
use sockdiag_wire::errno;

use super::float;
use super::names::Names;
use crate::model::{BpfComplaint, BpfMap};
use crate::number::{put_i64, put_name, put_u64};

/// Why a value cannot be printed, as the negative error number that appears in the output.
type Errno = i32;
const E2BIG: Errno = -errno::E2BIG;
const EINVAL: Errno = -errno::EINVAL;

/// The maximum number of nested values in one value, and of bytes in its text.
const STEPS: u32 = 1 << 20;
const LONGEST: usize = 4 << 20;
/// The maximum nesting depth of values; the kernel allows 32.
const DEEPEST: usize = 64;
/// The maximum number of typedefs and qualifiers before the underlying type.
const FARTHEST: usize = 64;
/// The number of tabs before the outermost value.
const INDENT: usize = 2;

/// Appends the text of a value from a map.
///
/// # Errors
/// The negative error number to print after the part that could be printed.
pub fn put_value(
    out: &mut Vec<u8>,
    map: &BpfMap,
    value: &[u8],
    oneline: bool,
    said: &mut dyn FnMut(BpfComplaint),
) -> Result<(), Errno> {
    let types = map.types().ok_or(EINVAL)?;
    let end = out.len() + LONGEST;
    let mut dump = Dump {
        types: &types,
        pointer_size: map.pointer_size(),
        names: Names::new(&types),
        out,
        said,
        oneline,
        data: value,
        depth: 0,
        level: 0,
        in_array: false,
        chars: false,
        ended: false,
        steps: STEPS,
        end,
    };
    dump.value(b"", map.value_type(), Place::default())
}

/// The position of a value.
#[derive(Clone, Copy, Default)]
struct Place {
    /// Number of bytes before it.
    byte: usize,
    /// Number of bits before it in its first byte.
    bit: u32,
    /// Number of bits of a bit-field; 0 for other values.
    bits: u32,
}

impl Place {
    fn at(byte: usize) -> Self {
        Self { byte, ..Self::default() }
    }
}

/// The traversal of one value.
struct Dump<'d, 'a> {
    types: &'d Index<'a>,
    pointer_size: u32,
    names: Names<'d, 'a>,
    out: &'d mut Vec<u8>,
    said: &'d mut dyn FnMut(BpfComplaint),
    oneline: bool,
    data: &'d [u8],
    /// The indentation level of the text.
    depth: usize,
    /// The number of enclosing values.
    level: usize,
    /// Whether the current values are elements of an array, which have no casts.
    in_array: bool,
    /// Whether one-byte integers are printed as characters.
    chars: bool,
    /// Whether a NUL character was met.
    ended: bool,
    /// The number of values that may still be printed.
    steps: u32,
    /// The maximum length of the output.
    end: usize,
}

impl<'a> Dump<'_, 'a> {
    /// Appends the value at a position, with the text before it.
    fn value(&mut self, name: &[u8], id: u32, place: Place) -> Result<(), Errno> {
        if self.is_spent() || self.level >= DEEPEST {
            return Err(E2BIG);
        }
        self.steps -= 1;
        let ty = self.resolve(id).ok_or(EINVAL)?;
        let size = match place.bits {
            0 => self.size_of(&ty).ok_or(EINVAL)?,
            bits => u64::from((place.bit + bits).div_ceil(8)),
        };
        if size.saturating_add(place.byte as u64) > self.data.len() as u64 {
            return Err(E2BIG);
        }
        self.put_indent();
        if let BTF_KIND_VAR | BTF_KIND_DATASEC = ty.kind {
            self.level += 1;
            let result = if ty.kind == BTF_KIND_VAR { self.variable(&ty, place) } else { self.section(&ty) };
            self.level -= 1;
            return result;
        }
        if !name.is_empty() {
            self.out.push(b'.');
            put_name(self.out, name);
            self.out.extend_from_slice(b" = ");
        }
        if !self.in_array {
            self.out.push(b'(');
            self.names.put(self.out, id, self.said);
            self.out.push(b')');
        }
        match ty.kind {
            BTF_KIND_INT => self.int(&ty, id, place),
            BTF_KIND_ENUM | BTF_KIND_ENUM64 => self.enumeration(&ty, place),
            BTF_KIND_PTR => {
                self.pointer(place);
                Ok(())
            }
            BTF_KIND_FLOAT => self.float(&ty, id, place),
            _ => {
                self.level += 1;
                let result = match ty.array() {
                    Some(array) => self.array(array, id, place),
                    None => self.members(&ty, place),
                };
                self.level -= 1;
                result
            }
        }
    }

    fn is_spent(&self) -> bool {
        self.steps == 0 || self.out.len() >= self.end
    }

    /// Resolves typedefs and qualifiers to the underlying type.
    fn resolve(&self, mut id: u32) -> Option<Type<'a>> {
        for _ in 0..FARTHEST {
            let ty = self.types.get(id)?;
            match ty.kind {
                BTF_KIND_TYPEDEF | BTF_KIND_CONST | BTF_KIND_VOLATILE | BTF_KIND_RESTRICT
                | BTF_KIND_TYPE_TAG => id = ty.size_or_type,
                _ => return Some(ty),
            }
        }
        None
    }

    /// The size of a value in bytes; `None` if the type has no values.
    fn size_of(&self, ty: &Type<'a>) -> Option<u64> {
        let mut ty = *ty;
        let mut count = 1_u64;
        for _ in 0..FARTHEST {
            let of = match ty.kind {
                BTF_KIND_INT | BTF_KIND_FLOAT | BTF_KIND_ENUM | BTF_KIND_ENUM64 | BTF_KIND_STRUCT
                | BTF_KIND_UNION | BTF_KIND_DATASEC => {
                    return Some(count.saturating_mul(ty.size_or_type.into()));
                }
                BTF_KIND_PTR => return Some(count.saturating_mul(self.pointer_size.into())),
                BTF_KIND_VAR => ty.size_or_type,
                _ => {
                    let array = ty.array()?;
                    count = count.saturating_mul(array.nelems.into());
                    array.type_id
                }
            };
            ty = self.resolve(of)?;
        }
        None
    }

    fn put_indent(&mut self) {
        if !self.oneline {
            let length = self.out.len() + INDENT + self.depth;
            self.out.resize(length, b'\t');
        }
    }

    fn put_line_end(&mut self) {
        if !self.oneline {
            self.out.push(b'\n');
        }
    }

    /// Appends the separator after a value; the outermost value has none.
    fn put_comma(&mut self) {
        if self.depth > 0 {
            self.out.push(b',');
            self.put_line_end();
        }
    }

    /// The bytes of a value; [`Dump::value`] has checked that they exist.
    fn bytes(&self, place: Place, size: usize) -> &[u8] {
        let from = self.data.get(place.byte..).unwrap_or_default();
        from.get(..size).unwrap_or(from)
    }

    /// Reads an unsigned number of 1, 2, 4 or 8 bytes.
    fn unsigned(&self, place: Place, size: u32) -> Option<u64> {
        let bytes = self.bytes(place, size as usize);
        match *bytes {
            [byte] => Some(byte.into()),
            [a, b] => Some(u16::from_ne_bytes([a, b]).into()),
            [a, b, c, d] => Some(u32::from_ne_bytes([a, b, c, d]).into()),
            _ => Some(u64::from_ne_bytes(bytes.try_into().ok()?)),
        }
    }

    /// Reads a signed number of these sizes.
    fn signed(&self, place: Place, size: u32) -> Option<i64> {
        let unused = 64 - 8 * size.min(8);
        Some((self.unsigned(place, size)? << unused) as i64 >> unused)
    }

    /// Reads an unsigned bit-field.  Only as many bytes as its type has are read; bits beyond
    /// them are zero.
    fn bit_field(&mut self, size: u32, place: Place) -> Result<u64, Errno> {
        if !matches!(size, 1 | 2 | 4 | 8) {
            (self.said)(BpfComplaint::BitFieldSize { size });
            return Err(EINVAL);
        }
        let mut bytes = [0; 8];
        for (to, from) in bytes.iter_mut().zip(self.bytes(place, size as usize)) {
            *to = *from;
        }
        let word = u64::from_le_bytes(bytes);
        // If the bit-field exceeds 64 bits, the shift amount wraps as it does on the
        // processor.
        let left = 64_u32.wrapping_sub(place.bit + place.bits);
        Ok(word.wrapping_shl(left).wrapping_shr(64_u32.wrapping_sub(place.bits)))
    }

    fn int(&mut self, ty: &Type<'a>, id: u32, place: Place) -> Result<(), Errno> {
        let size = ty.size_or_type;
        if place.bits > 0 {
            let value = self.bit_field(size, place)?;
            let _ = write!(self.out, "{value:#x}");
            self.put_comma();
            return Ok(());
        }
        let signed = ty.int().is_some_and(|int| int.encoding & BTF_INT_SIGNED != 0);
        match size {
            1 if self.chars && self.ended => return Ok(()),
            1 | 2 | 4 | 8 => match self.unsigned(place, size).unwrap_or(0) {
                0 if size == 1 && self.chars => {
                    self.ended = true;
                    self.out.extend_from_slice(b"'\\0'");
                }
                byte @ 0x20..=0x7e if size == 1 && self.chars => {
                    self.out.extend_from_slice(&[b'\'', byte as u8, b'\'']);
                }
                _ if signed => put_i64(self.out, self.signed(place, size).unwrap_or(0)),
                value => put_u64(self.out, value),
            },
            16 => {
                let value = self.bytes(place, 16).try_into().map_or(0, u128::from_ne_bytes);
                let _ = write!(self.out, "{value:#x}");
            }
            1..16 => {
                (self.said)(BpfComplaint::IntSize { size, id });
                return Err(EINVAL);
            }
            _ => {
                (self.said)(BpfComplaint::NumberSize { size, id });
                return Err(EINVAL);
            }
        }
        self.put_comma();
        Ok(())
    }

    fn float(&mut self, ty: &Type<'a>, id: u32, place: Place) -> Result<(), Errno> {
        let from = self.data.get(place.byte..).unwrap_or_default();
        let bytes = from.get(..ty.size_or_type as usize).unwrap_or_default();
        if !float::put(self.out, bytes) {
            (self.said)(BpfComplaint::NumberSize { size: ty.size_or_type, id });
            return Err(EINVAL);
        }
        self.put_comma();
        Ok(())
    }

    fn pointer(&mut self, place: Place) {
        match self.unsigned(place, self.pointer_size).unwrap_or(0) {
            0 => self.out.extend_from_slice(b"(nil)"),
            value => {
                let _ = write!(self.out, "{value:#x}");
            }
        }
        self.put_comma();
    }

    fn enumeration(&mut self, ty: &Type<'a>, place: Place) -> Result<(), Errno> {
        let (size, signed, wide) = (ty.size_or_type, ty.kind_flag, ty.kind == BTF_KIND_ENUM64);
        let value = if place.bits > 0 {
            self.bit_field(size, place)? as i64
        } else if signed {
            self.signed(place, size).ok_or(EINVAL)?
        } else {
            self.unsigned(place, size).ok_or(EINVAL)? as i64
        };
        // Values of up to 32 bits are compared as signed, whatever the type says.
        let named = ty.values().find(|named| {
            let known = if wide { named.value } else { i64::from(named.value as i32) };
            known == value
        });
        if let Some(named) = named {
            put_name(self.out, named.name);
        } else {
            match (signed, wide) {
                (true, false) => put_i64(self.out, i64::from(value as i32)),
                (true, true) => put_i64(self.out, value),
                (false, false) => put_u64(self.out, u64::from(value as u32)),
                (false, true) => put_u64(self.out, value as u64),
            }
            if wide {
                self.out.extend_from_slice(if signed { b"LL" } else { b"ULL" });
            }
            if signed {
                return Ok(());
            }
        }
        self.put_comma();
        Ok(())
    }

    fn members(&mut self, ty: &Type<'a>, place: Place) -> Result<(), Errno> {
        self.out.push(b'{');
        self.put_line_end();
        self.depth += 1;
        for member in ty.members() {
            let bit = member.bit_offset;
            let place = Place {
                byte: place.byte.saturating_add(bit as usize / 8),
                bit: bit % 8,
                bits: member.bitfield_bits.into(),
            };
            self.value(member.name(), member.type_id, place)?;
        }
        self.depth -= 1;
        self.put_indent();
        self.out.push(b'}');
        self.put_comma();
        Ok(())
    }

    fn array(&mut self, array: Array, id: u32, place: Place) -> Result<(), Errno> {
        let element = self.resolve(array.type_id).ok_or(EINVAL)?;
        let size = self.size_of(&element).ok_or(EINVAL)?;
        if size == 0 {
            (self.said)(BpfComplaint::ElementSize { id });
            return Err(EINVAL);
        }
        self.chars |= element.kind == BTF_KIND_INT && size == 1;
        self.out.push(b'[');
        self.put_line_end();
        self.depth += 1;
        let outside = (std::mem::replace(&mut self.in_array, true), std::mem::take(&mut self.ended));
        let mut byte = place.byte;
        for _ in 0..array.nelems {
            if self.ended {
                break;
            }
            // An element that cannot be printed does not prevent printing the others.
            let _ = self.value(b"", array.type_id, Place::at(byte));
            if self.is_spent() {
                return Err(E2BIG);
            }
            byte = byte.saturating_add(size as usize);
        }
        (self.in_array, self.ended) = outside;
        self.depth -= 1;
        self.put_indent();
        self.out.push(b']');
        self.put_comma();
        Ok(())
    }

    fn variable(&mut self, ty: &Type<'a>, place: Place) -> Result<(), Errno> {
        if ty.linkage() == Some(BTF_VAR_STATIC) {
            self.out.extend_from_slice(b"static ");
        }
        self.names.put(self.out, ty.size_or_type, self.said);
        self.out.push(b' ');
        put_name(self.out, ty.name());
        self.out.extend_from_slice(b" = ");
        self.value(b"", ty.size_or_type, place)
    }

    fn section(&mut self, ty: &Type<'a>) -> Result<(), Errno> {
        self.out.extend_from_slice(b"SEC(\"");
        put_name(self.out, ty.name());
        self.out.extend_from_slice(b"\") ");
        for variable in ty.variables() {
            self.value(b"", variable.type_id, Place::at(variable.offset as usize))?;
            self.out.push(b';');
        }
        Ok(())
    }
}
