//! Finds out what is wrong with sockets, and which process causes it: a table of diagnoses,
//! and the engine that applies them.
//!
//! A [`Rule`] is data: which sockets it looks at (a condition in the filter language of
//! `ss` over the table of facts), what it groups them by, one quantity with thresholds,
//! how much evidence it needs, and the text of its finding.  The built-in rules
//! ([`built_in`]) are in files of the same format as those that users write
//! ([`read`]), and are checked by the same code.
//!
//! The [`Doctor`] receives the rows of two samples: it [learns](Doctor::learn) from the
//! first how sockets relate to each other, and [judges](Doctor::judge) the second.
//! It may ask for a third look at [suspects](Doctor::suspects).  What it
//! [finds](Doctor::findings) is ranked, and consequences are reported with their
//! cause.
//!
//! Invariant: nothing here does I/O or reads a clock; the same rows give the same
//! findings, live, from recordings and in tests.

#![forbid(unsafe_code)]

mod amount;
mod candidates;
mod check;
mod engine;
mod explain;
mod file;
mod finding;
mod joins;
mod json;
mod quantity;
mod rule;
mod scene;

pub use check::{Checked, RuleError};
pub use engine::{Doctor, Event, NotJudged, Suspect};
pub use explain::{explanation, line, markdown};
pub use file::{built_in, merged, read};
pub use finding::{Evidence, Finding, Measured};
pub use json::{About, SCHEMA_VERSION, document, schema};
pub use quantity::Quantity;
pub use rule::{Confidence, Level, Mark, Rule, Severity, Subject, Threshold};
pub use scene::{Numbers, Process};

#[cfg(test)]
mod tests;
