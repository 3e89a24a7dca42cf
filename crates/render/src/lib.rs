//! Rows of socket facts as bytes.
//!
//! No kernel, no clock and no environment: what a terminal is wide and
//! whether names are numbers are arguments.

#![forbid(unsafe_code)]

pub mod columns;
pub mod field_list;
pub mod groups;
pub mod json;
mod kept;
mod layout;
pub mod lead;
mod sheet;
pub mod ss;
pub mod summary;
mod window;

/// The output of a sink.  The sink buffers by itself, so `out` needs no buffer;
/// one type for all of them lets each sink be compiled once.
pub type Out<'w> = Box<dyn std::io::Write + 'w>;
