//! Texts for people, shared by `ss` and `sockdiag`: suggested corrections of filters, and the
//! manual pages of the filter language and of the fields.
//!
//! Hints contain no program name: the caller adds its own.

#![forbid(unsafe_code)]

pub mod field_page;
pub mod filter_page;
pub mod hints;
pub mod page;
