//! Rows of socket facts as bytes.
//!
//! Nothing here asks the kernel, the clock or the environment: the width of the terminal and
//! whether names are numeric are arguments.

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

/// The output of a sink.  Each sink has its own buffer, so `out` needs none; a single type
/// lets each sink be compiled only once.
pub type Out<'w> = Box<dyn std::io::Write + 'w>;
