//! Walks the kernel's own tables of TCP sockets with a BPF program.
//!
//! | what | where |
//! | --- | --- |
//! | which members of the kernel's structures are copied | [`members`] |
//! | how a record of them is laid out and read | [`record`] |
//! | the message that the kernel would send of a record | [`compose`], [`tcp_info`], [`jiffies`], [`message`] |
//! | where the kernel keeps its tables | [`kernel`] |
//! | the programs, and what they have in common | [`hash`], [`bound`], [`fetch`], [`pieces`] |
//! | a pass over all tables in the dump's order | [`pass`] |
//! | how it is loaded and run | [`load`] |
//! | a walk in place of a dump, and when it is the better way | [`dump`], [`plan`] |
//! | whether this kernel's messages are known | [`check`] |
//! | one walk for many namespaces, and which there are | [`ahead`], [`nets`] |

mod active;
mod ahead;
mod bound;
mod check;
mod compose;
mod dump;
mod fetch;
mod hash;
mod jiffies;
mod kernel;
mod load;
mod members;
mod message;
mod nets;
mod pass;
mod pieces;
mod plan;
mod prints;
mod record;
mod tcp_info;

pub(crate) use active::{ActiveWalk, NO_BUCKET, Passage, Watched};
pub(super) use ahead::ahead;
pub(crate) use dump::OF_THE_SOCKET;
pub(super) use dump::{Slot, Walked, Walker, dump, prepare};
pub(super) use plan::{pays, pays_for};

#[cfg(test)]
mod tests;
