//! Offsets of the members of kernel structures, each stated once.
//!
//! `view!` generates from one list both the accessors of a view and a [`Layout`] that
//! `tests/uapi.rs` compares with the kernel's headers; `constants!` does the same for numbers.
//! [`crate::registry`] lists all of them.
//!
//! Invariant: no offset and no kernel constant is written outside these two macros.
//!
//! Invariant: an accessor returns `Some` exactly if the bytes reach the end of its member; a
//! test of the registry checks every accessor of every view.

/// One member of a kernel structure.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Its name in C.
    pub name: &'static str,
    /// Its offset in bytes.
    pub offset: usize,
    /// Its size in bytes.
    pub size: usize,
}

/// A bit-field of a kernel structure, which C cannot take the address of.
///
/// Bits are counted as C allots them: from the lowest of the first byte on a
/// little-endian machine, from the highest on a big-endian one.
#[derive(Clone, Copy, Debug)]
pub struct BitField {
    /// Its name in C.
    pub name: &'static str,
    /// Offset of the integer that contains it, in bytes.
    pub offset: usize,
    /// Number of bits of that integer that precede it.
    pub shift: u32,
    /// Number of its bits.
    pub bits: u32,
}

/// The right shift that moves a bit-field of an integer of `width` bits to its lowest bits.
pub(crate) const fn right_shift(width: u32, shift: u32, bits: u32) -> u32 {
    if cfg!(target_endian = "big") { width - shift - bits } else { shift }
}

/// The layout that a view assumes of a kernel structure.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// The C name, `struct` included.
    pub c_type: &'static str,
    /// The header that declares it.
    pub header: &'static str,
    /// Its members.
    pub members: &'static [Member],
    /// Its bit-fields.
    pub bit_fields: &'static [BitField],
}

impl Layout {
    /// The offset of a member or bit-field, for constants; an unknown name does not compile.
    pub const fn offset(&self, name: &str) -> usize {
        let mut i = 0;
        while i < self.members.len() {
            if same(self.members[i].name, name) {
                return self.members[i].offset;
            }
            i += 1;
        }
        let mut i = 0;
        while i < self.bit_fields.len() {
            if same(self.bit_fields[i].name, name) {
                return self.bit_fields[i].offset;
            }
            i += 1;
        }
        panic!("no such member")
    }

    /// The end of the last member, which is the size of the structure, since views list its
    /// members up to the end.
    pub const fn end(&self) -> usize {
        let (mut end, mut i) = (0, 0);
        while i < self.members.len() {
            let member = self.members[i].offset + self.members[i].size;
            end = if member > end { member } else { end };
            i += 1;
        }
        let mut i = 0;
        while i < self.bit_fields.len() {
            let field = self.bit_fields[i];
            let last = field.offset + (field.shift + field.bits).div_ceil(8) as usize;
            end = if last > end { last } else { end };
            i += 1;
        }
        end
    }
}

/// Whether two names are equal; `==` is not available in a `const fn`.
const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

/// A kernel constant.
#[derive(Clone, Copy, Debug)]
pub struct Constant {
    /// Its name in C.
    pub name: &'static str,
    /// Its value.
    pub value: u64,
}

/// The constants of one header.
#[derive(Clone, Copy, Debug)]
pub struct Constants {
    /// The header that declares them.
    pub header: &'static str,
    /// The numbers.
    pub list: &'static [Constant],
}

/// Defines a borrowed view of a kernel structure, and its [`Layout`].
///
/// Each accessor returns `None` if the bytes sent end before the member does.
macro_rules! view {
    (
        $(#[$meta:meta])*
        $name:ident = $c_type:literal in $header:literal {
            $( $(#[$field_meta:meta])* $field:ident: $ty:tt @ $offset:literal = $member:literal; )*
        }
        bits {
            $( $(#[$bit_meta:meta])*
               $bit:ident: $bit_ty:ident @ $at:literal . $shift:literal + $bits:literal = $bit_member:literal; )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name<'a>(&'a [u8]);

        impl<'a> $name<'a> {
            /// Wraps the bytes from the kernel.  Any length is valid, even zero.
            #[inline]
            pub fn new(bytes: &'a [u8]) -> Self {
                Self(bytes)
            }

            /// The bytes as sent.
            #[inline]
            pub fn bytes(self) -> &'a [u8] {
                self.0
            }

            $(
                $(#[$field_meta])*
                #[inline]
                pub fn $field(self) -> Option<$crate::layout::view!(@type $ty)> {
                    $crate::layout::view!(@read self.0, $offset, $ty)
                }
            )*
            $(
                $(#[$bit_meta])*
                #[inline]
                pub fn $bit(self) -> Option<$bit_ty> {
                    const SHIFT: u32 = $crate::layout::right_shift($bit_ty::BITS, $shift, $bits);
                    let word = $crate::layout::view!(@read self.0, $at, $bit_ty)?;
                    Some((word >> SHIFT) & ($bit_ty::MAX >> ($bit_ty::BITS - $bits)))
                }
            )*

            /// The end of each accessor's bytes, and whether the accessor returned a value.
            #[cfg(test)]
            pub(crate) fn found(self) -> Vec<(&'static str, usize, bool)> {
                vec![
                    $( ($member, $offset + size_of::<$crate::layout::view!(@type $ty)>(), self.$field().is_some()), )*
                    $( ($bit_member, $at + size_of::<$bit_ty>(), self.$bit().is_some()), )*
                ]
            }

            /// The layout that this view assumes of the structure.
            pub const LAYOUT: $crate::layout::Layout = $crate::layout::Layout {
                c_type: $c_type,
                header: $header,
                members: &[ $( $crate::layout::Member {
                    name: $member,
                    offset: $offset,
                    size: size_of::<$crate::layout::view!(@type $ty)>(),
                }, )* ],
                bit_fields: &[ $( $crate::layout::BitField {
                    name: $bit_member, offset: $at, shift: $shift, bits: $bits,
                }, )* ],
            };
        }
    };
    (
        $(#[$meta:meta])*
        $name:ident = $c_type:literal in $header:literal { $($fields:tt)* }
    ) => {
        $crate::layout::view! { $(#[$meta])* $name = $c_type in $header { $($fields)* } bits {} }
    };
    (@type be16) => { u16 };
    (@type cookie) => { u64 };
    (@type [u8; $n:literal]) => { [u8; $n] };
    (@type $ty:ident) => { $ty };
    (@read $bytes:expr, $offset:literal, u8) => { $crate::bytes::u8_at($bytes, $offset) };
    (@read $bytes:expr, $offset:literal, u16) => { $crate::bytes::u16_at($bytes, $offset) };
    (@read $bytes:expr, $offset:literal, be16) => { $crate::bytes::be16_at($bytes, $offset) };
    (@read $bytes:expr, $offset:literal, i32) => { $crate::bytes::i32_at($bytes, $offset) };
    (@read $bytes:expr, $offset:literal, cookie) => { $crate::bytes::cookie_at($bytes, $offset) };
    (@read $bytes:expr, $offset:literal, u32) => { $crate::bytes::u32_at($bytes, $offset) };
    (@read $bytes:expr, $offset:literal, u64) => { $crate::bytes::u64_at($bytes, $offset) };
    (@read $bytes:expr, $offset:literal, [u8; $n:literal]) => { $crate::bytes::array_at::<$n>($bytes, $offset) };
}

/// Defines constants, and a table of them.
macro_rules! constants {
    (
        $(#[$table_meta:meta])*
        $table:ident in $header:literal: $ty:ty {
            $( $(#[$meta:meta])* $name:ident = $value:expr $(, $c_name:literal)?; )*
        }
    ) => {
        $( $(#[$meta])* pub const $name: $ty = $value; )*

        $(#[$table_meta])*
        pub const $table: $crate::layout::Constants = $crate::layout::Constants {
            header: $header,
            list: &[ $( $crate::layout::Constant {
                name: $crate::layout::c_name!($name $(, $c_name)?),
                value: $name as u64,
            }, )* ],
        };
    };
}

/// The C name of a constant, if it differs from the Rust name.
macro_rules! c_name {
    ($name:ident) => {
        stringify!($name)
    };
    ($name:ident, $c_name:literal) => {
        $c_name
    };
}

/// Defines accessors that always return a value: the named field of the receiver holds all
/// bytes of the structure.
macro_rules! whole {
    ($view:ident of $field:tt: $( $(#[$meta:meta])* $name:ident: $ty:ty; )*) => {
        $(
            $(#[$meta])*
            #[inline]
            pub fn $name(&self) -> $ty {
                $view::new(self.$field).$name().unwrap_or_default()
            }
        )*
    };
}

pub(crate) use {c_name, constants, view, whole};
