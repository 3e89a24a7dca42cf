//! What people are told beside results, in `ss` and in `sockdiag`: how a filter was
//! probably meant, and the manual pages of the language of filters and of fields.
//!
//! No program's name is in a hint: who shows one puts its own before it.

#![forbid(unsafe_code)]

pub mod field_page;
pub mod filter_page;
pub mod hints;
pub mod page;
