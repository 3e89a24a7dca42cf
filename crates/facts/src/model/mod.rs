//! What a socket is and how sockets are chosen, apart from any source or text.
//!
//! [`states`], [`tables`] and [`families`] are the vocabulary, each one table
//! that says everything about its subject; [`select`] turns what a user asked
//! for into the three sets that a listing needs.  [`socket`] is one socket as
//! its source reported it, [`row`] the socket with what was looked up
//! elsewhere, [`proc_line`] the older form that `/proc/net` gives.
//!
//! Nothing here does I/O.

/// Defines a set of the members of a field-less enum, as a bit mask in which a
/// member's bit is its number.
macro_rules! bit_set {
    ($(#[$doc:meta])* $set:ident of $item:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
        pub struct $set(u32);

        impl $set {
            /// The set without members.
            pub const EMPTY: Self = Self(0);

            /// The set of these members.
            pub const fn of(items: &[$item]) -> Self {
                let mut set = Self::EMPTY;
                let mut rest = items;
                while let [first, tail @ ..] = rest {
                    set = set.union(Self::only(*first));
                    rest = tail;
                }
                set
            }

            /// The set with one member.
            pub const fn only(item: $item) -> Self {
                Self(1 << item as u32)
            }

            /// The mask: bit *n* stands for member number *n*.
            pub const fn bits(self) -> u32 {
                self.0
            }

            /// How many members it has.
            pub const fn len(self) -> u32 {
                self.0.count_ones()
            }

            /// Whether it has no members.
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// Whether this is a member.
            pub const fn contains(self, item: $item) -> bool {
                self.intersects(Self::only(item))
            }

            /// Whether the two sets have a member in common.
            pub const fn intersects(self, other: Self) -> bool {
                self.0 & other.0 != 0
            }

            /// The members of either set.
            #[must_use]
            pub const fn union(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// The members of both sets.
            #[must_use]
            pub const fn intersection(self, other: Self) -> Self {
                Self(self.0 & other.0)
            }

            /// The members that the other set does not have.
            #[must_use]
            pub const fn minus(self, other: Self) -> Self {
                Self(self.0 & !other.0)
            }
        }
    };
}

pub mod bpf_map;
pub mod families;
pub mod holders;
pub mod moment;
pub mod netlink;
pub mod packet;
pub mod people;
pub mod proc_line;
pub mod protocol_names;
pub mod row;
pub mod select;
pub mod smc;
pub mod socket;
pub mod states;
pub mod surroundings;
pub mod tables;
pub mod tipc;
pub mod unix;
pub mod vsock;
pub mod xdp;

pub use bpf_map::{BpfComplaint, BpfMap, BpfMapBook};
pub use families::{Family, FamilySet};
pub use holders::{ContextBook, Holder, HolderBook};
pub use moment::{Abi, Window};
pub use people::{PeopleBook, Process};
pub use proc_line::ProcLine;
pub use row::{HostBook, Names, Row};
pub use select::{BadState, BadTable, Empty, Selected, Selection};
pub use socket::{Addr, Detail, Endpoint, Layout, Origin, Record, Socket, SourceKind, Timer};
pub use states::{State, StateSet};
pub use surroundings::{AddressBook, Netns, Peer, Workload};
pub use tables::{Table, TableSet};
