//! The pure half of `sockdiag`: from the bytes of one socket to its facts.
//!
//! [`model`] decodes a record from a source, [`fields`] is the table of everything that a
//! socket can report, [`filter`] parses conditions on these facts, evaluates them and compiles
//! them for the kernel, and [`order`] sorts rows.
//!
//! Invariant: nothing here does I/O, calls the system, or depends on a crate that does; the
//! same bytes give the same facts on every machine.  What depends on the machine (names, the
//! layout of its kernel's structs) is passed in.

#![forbid(unsafe_code)]

#[macro_use]
mod bit_set;
pub mod civil;
mod cnum;
mod columns;
pub mod ending;
mod errno;
pub mod escape;
pub mod fields;
pub mod filter;
pub mod model;
pub mod number;
pub mod order;
pub mod past;
pub mod rate;
mod row;
pub mod scan;
pub mod sort;

pub use errno::errno_text;
pub use fields::{OwnedValue, Value};
pub use model::{Family, Row, State, StateSet, Table};
pub use row::Holding;
