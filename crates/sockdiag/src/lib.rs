//! What the kernel knows about every socket: dump it, filter it, name it.
//!
//! Data flows one way: bytes of a [`source`] become a [`model::Socket`], the
//! [`filter`] keeps or drops it, [`enrich`] adds names, and a
//! [`pipeline::Sink`] takes the row.  What a socket can report, and what each
//! fact costs, is said once, in the table of [`fields`].
//!
//! Rows are borrowed and pushed; whoever keeps one copies what it keeps.

#![deny(unsafe_code)]

pub mod enrich;
pub mod fields;
pub mod filter;
pub mod model;
pub mod namespaces;
pub mod notes;
pub mod number;
pub mod order;
pub mod pipeline;
pub mod places;
mod scan;
pub mod sockets;
pub mod source;
pub mod sys;

pub use fields::{OwnedValue, Value};
pub use model::{Family, Row, State, StateSet, Table};
pub use sockets::{AskError, Holding, Outcome, OwnedRow, Sockets, Verdict};
