//! A BPF map of socket-local storage, and the types of its values.
//!
//! A socket's storage is bytes; the map defines their length, and its BTF their meaning.  The
//! BTF comes from the program and can be anything that the kernel accepted.
//!
//! Source: linux/bpf.h, `struct bpf_map_info`; Documentation/bpf/btf.rst.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use std::fmt;

use sockdiag_wire::btf::{BTF_KIND_INT, Btf, Index};

/// Maps by id, all resolved before a row that needs them is shown.
pub trait BpfMapCache: Sync {
    /// The map with this id, if it could be opened.
    fn map(&self, id: u32) -> Option<&BpfMap>;
}

/// One map.
#[derive(Clone, Debug)]
pub struct BpfMap {
    id: u32,
    value_size: u32,
    value_type: u32,
    pointer_size: u32,
    btf: Vec<u8>,
    /// The offset of each type in `btf`.
    offsets: Vec<u32>,
}

/// Names that C compilers for 64-bit and 32-bit machines give to the integer type of pointer
/// size.
const LONGS: &[&[u8]] = &[
    b"long",
    b"long int",
    b"int long",
    b"unsigned long",
    b"long unsigned",
    b"unsigned long int",
    b"unsigned int long",
    b"long unsigned int",
    b"long int unsigned",
    b"int unsigned long",
    b"int long unsigned",
];

impl BpfMap {
    /// Creates a map whose values have `value_size` bytes and the type `value_type` of `btf`;
    /// `None` if `btf` is not valid BTF.
    pub fn new(id: u32, value_size: u32, value_type: u32, btf: Vec<u8>) -> Option<Self> {
        let index = Btf::new(&btf)?.index();
        // The size of `long` shows whether a program was built for a 32-bit machine.
        let longs = (1..=index.len() as u32).filter_map(|id| index.get(id)).filter(|ty| {
            ty.kind == BTF_KIND_INT && LONGS.contains(&ty.name()) && matches!(ty.size_or_type, 4 | 8)
        });
        let pointer_size = longs.map(|ty| ty.size_or_type).next().unwrap_or(8);
        let offsets = index.into_offsets();
        Some(Self { id, value_size, value_type, pointer_size, btf, offsets })
    }

    /// The id of the map.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Size of a value in bytes.
    pub fn value_size(&self) -> u32 {
        self.value_size
    }

    /// The id of the type of its values.
    pub fn value_type(&self) -> u32 {
        self.value_type
    }

    /// Size of the pointers in its values, in bytes: 4 or 8.
    pub fn pointer_size(&self) -> u32 {
        self.pointer_size
    }

    /// Its types, by id.
    pub fn types(&self) -> Option<Index<'_>> {
        Some(Btf::new(&self.btf)?.indexed_by(&self.offsets))
    }
}

/// A defect in the types of a value.  Types are identified by their id in the map's BTF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BpfComplaint {
    /// An integer of up to 16 bytes has an invalid size.
    IntSize {
        /// The size in bytes.
        size: u32,
        /// The integer's type.
        id: u32,
    },
    /// A number has an invalid size.
    NumberSize {
        /// The size in bytes.
        size: u32,
        /// The number's type.
        id: u32,
    },
    /// The type of a bit-field has an invalid size.
    BitFieldSize {
        /// The size in bytes.
        size: u32,
    },
    /// The elements of an array have no size.
    ElementSize {
        /// The array's type.
        id: u32,
    },
    /// A declaration refers to something that is not the type of a value.
    Declaration {
        /// The kind of the type that it refers to (`BTF_KIND_*`).
        kind: u8,
        /// The id of the type that it refers to.
        id: u32,
    },
}

impl fmt::Display for BpfComplaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IntSize { size, id } => write!(f, "type {id} is an integer of {size} bytes"),
            Self::NumberSize { size, id } => write!(f, "type {id} is a number of {size} bytes"),
            Self::BitFieldSize { size } => write!(f, "the type of a bit-field has {size} bytes"),
            Self::ElementSize { id } => write!(f, "the elements of array type {id} have no size"),
            Self::Declaration { kind, id } => {
                write!(
                    f,
                    "a declaration resolves to BTF type {id}, but a type of kind {kind} cannot hold a value"
                )
            }
        }
    }
}
