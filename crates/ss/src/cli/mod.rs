//! The command line: what may be written, and what it asks for.
//!
//! Nothing here opens, prints or looks at the environment: what an option does
//! at once goes through [`Actions`], and what ends the program comes back as
//! an [`Exit`], texts included.

pub(crate) mod args;
pub(crate) mod exit;
pub(crate) mod getopt;
pub(crate) mod help;
pub(crate) mod options;
pub(crate) mod shown;

#[cfg(test)]
mod tests;

pub(crate) use args::{Actions, Args, Form, parse};
pub(crate) use exit::Exit;
pub(crate) use shown::{groups, shown_by};
