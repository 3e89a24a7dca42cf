//! The model of sockets and their selection, independent of sources and of text.
//!
//! [`states`], [`tables`] and [`families`] are the vocabulary, each a single table of
//! properties; [`select`] turns the user's options into the three sets that a listing needs.
//! [`socket`] is a socket as its source reported it, [`row`] adds what was found elsewhere,
//! and [`proc_line`] is the older text format of `/proc/net`.
//!
//! Nothing here does I/O.

pub mod around;
pub mod arrival;
pub mod bpf_map;
pub mod families;
pub mod holders;
pub mod identities;
pub mod moment;
pub mod netlink;
pub mod packet;
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
pub mod words;
pub mod xdp;

pub use around::{Around, Descriptors, Diagnosed, Join};
pub use arrival::Arrival;
pub use bpf_map::{BpfComplaint, BpfMap, BpfMapCache};
pub use families::{Family, FamilySet};
pub use holders::{ContextCache, Holder, HolderCache};
pub use identities::{IdentityCache, Process};
pub use moment::{Abi, Window};
pub use proc_line::ProcLine;
pub use row::{HostCache, Names, PortShare, Row};
pub use select::{BadState, BadTable, Empty, Selected, Selection};
pub use socket::{Addr, Detail, Endpoint, MessageKind, Origin, Record, Socket, SourceKind, Timer};
pub use states::{State, StateSet};
pub use surroundings::{AddressCache, Named, Netns, Peer, UserNamespace, Workload};
pub use tables::{Table, TableSet};
