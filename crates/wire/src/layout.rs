//! Where the members of kernel structures lie, said once.
//!
//! [`view!`] makes of one list both the accessors of a view and a [`Layout`]
//! that `tests/uapi.rs` compares with the kernel's own headers; [`constants!`]
//! does the same for numbers.
//!
//! Invariant: no offset and no number of the kernel's is typed outside these
//! two macros.

/// One member of a kernel structure.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Its name in C.
    pub name: &'static str,
    /// Where it begins, in bytes.
    pub offset: usize,
    /// How long it is, in bytes.
    pub size: usize,
}

/// Bits of a kernel structure that have a name but no address.
#[derive(Clone, Copy, Debug)]
pub struct BitField {
    /// Its name in C.
    pub name: &'static str,
    /// The byte that holds its lowest bit.
    pub offset: usize,
    /// Its lowest bit in that byte.
    pub shift: u32,
    /// How many bits it has.
    pub bits: u32,
}

/// What a view believes of a kernel structure.
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

/// A number of the kernel's.
#[derive(Clone, Copy, Debug)]
pub struct Constant {
    /// Its name in C.
    pub name: &'static str,
    /// Its value.
    pub value: u64,
}

/// Numbers that one header declares.
#[derive(Clone, Copy, Debug)]
pub struct Constants {
    /// The header that declares them.
    pub header: &'static str,
    /// The numbers.
    pub list: &'static [Constant],
}

/// Makes a borrowed view of a kernel structure, and its [`Layout`].
///
/// Each accessor returns `None` where the structure that was sent ends before
/// the member does.
macro_rules! view {
    (
        $(#[$meta:meta])*
        $name:ident = $c_type:literal in $header:literal {
            $( $(#[$field_meta:meta])* $field:ident: $ty:tt @ $offset:literal = $member:literal; )*
        }
        bits {
            $( $(#[$bit_meta:meta])* $bit:ident: $at:literal . $shift:literal + $bits:literal = $bit_member:literal; )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name<'a>(&'a [u8]);

        impl<'a> $name<'a> {
            /// Wraps what the kernel sent.  Any length is valid, even zero.
            #[inline]
            pub fn new(bytes: &'a [u8]) -> Self {
                Self(bytes)
            }

            /// The bytes as they were sent.
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
                pub fn $bit(self) -> Option<u8> {
                    let byte = $crate::bytes::u8_at(self.0, $at)?;
                    Some((byte >> $shift) & (0xff_u16 >> (8 - $bits)) as u8)
                }
            )*

            /// What this view believes of the structure.
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
    (@type [u8; $n:literal]) => { [u8; $n] };
    (@type $ty:ident) => { $ty };
    (@read $bytes:expr, $offset:literal, u8) => { $crate::bytes::u8_at($bytes, $offset) };
    (@read $bytes:expr, $offset:literal, u16) => { $crate::bytes::u16_at($bytes, $offset) };
    (@read $bytes:expr, $offset:literal, be16) => { $crate::bytes::be16_at($bytes, $offset) };
    (@read $bytes:expr, $offset:literal, u32) => { $crate::bytes::u32_at($bytes, $offset) };
    (@read $bytes:expr, $offset:literal, u64) => { $crate::bytes::u64_at($bytes, $offset) };
    (@read $bytes:expr, $offset:literal, [u8; $n:literal]) => { $crate::bytes::array_at::<$n>($bytes, $offset) };
}

/// Makes constants, and a table of them.
macro_rules! constants {
    (
        $(#[$table_meta:meta])*
        $table:ident in $header:literal: $ty:ty {
            $( $(#[$meta:meta])* $name:ident = $value:expr; )*
        }
    ) => {
        $( $(#[$meta])* pub const $name: $ty = $value; )*

        $(#[$table_meta])*
        pub const $table: $crate::layout::Constants = $crate::layout::Constants {
            header: $header,
            list: &[ $( $crate::layout::Constant { name: stringify!($name), value: $name as u64 }, )* ],
        };
    };
}

pub(crate) use {constants, view};

/// Every structure that has a view.
pub const LAYOUTS: &[Layout] = &[
    crate::netlink::HeaderView::LAYOUT,
    crate::inet_diag::FixedPart::LAYOUT,
    crate::inet_req::SockIdView::LAYOUT,
    crate::inet_req::ReqV2View::LAYOUT,
    crate::inet_req::ReqView::LAYOUT,
    crate::tcp_info::TcpInfo::LAYOUT,
    crate::cc_info::VegasInfo::LAYOUT,
    crate::cc_info::DctcpInfo::LAYOUT,
    crate::cc_info::BbrInfo::LAYOUT,
    crate::mem_info::MemInfo::LAYOUT,
    crate::md5sig::Md5Sig::LAYOUT,
    crate::sockopt::SockOpt::LAYOUT,
    crate::bytecode::OpView::LAYOUT,
    crate::bytecode::HostCondView::LAYOUT,
    crate::bytecode::MarkCondView::LAYOUT,
];

/// Every table of numbers.
pub const CONSTANTS: &[Constants] = &[
    crate::netlink::NETLINK_CONSTANTS,
    crate::netlink::SOCK_DIAG_CONSTANTS,
    crate::netlink::INET_DIAG_TYPES,
    crate::inet_diag::ATTRIBUTES,
    crate::inet_diag::REQUEST_ATTRIBUTES,
    crate::mem_info::SK_MEMINFO,
    crate::tcp_info::OPTION_BITS,
    crate::ulp::ULP_ATTRIBUTES,
    crate::ulp::TLS_ATTRIBUTES,
    crate::ulp::MPTCP_ATTRIBUTES,
    crate::bytecode::CODES,
];
