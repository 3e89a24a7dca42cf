//! The command line: what may be written, and what it asks for.
//!
//! Nothing here opens, prints or reads the environment: what an option does at once goes
//! through [`Actions`], and what ends the program is returned as an [`Exit`], which only names
//! the text to print.

use std::ffi::{OsStr, OsString};

use sockdiag_options::OPTIONS;

pub(crate) mod args;
pub(crate) mod exit;
pub(crate) mod getopt;
pub(crate) mod options;
pub(crate) mod shown;

#[cfg(test)]
mod tests;

pub(crate) use args::{Actions, Args, Form};
pub(crate) use exit::{Document, Exit};
pub(crate) use shown::{groups, shown_by};

use getopt::{Getopt, Item};

/// Reads the words after the program's name; `posix` is whether the variable
/// `POSIXLY_CORRECT` is set, and `program` the name as invoked.
pub(crate) fn parse(
    program: &OsStr,
    words: &[OsString],
    posix: bool,
    actions: &mut dyn Actions,
) -> Result<Args, Exit> {
    let mut args = Args::default();
    for item in Getopt::new(OPTIONS, words, posix) {
        match item.map_err(|wrong| wrong.exit(program))? {
            Item::Option(option, argument) => options::apply(option.key, &mut args, argument, actions)?,
            Item::Word(word) => args.words.push(word.to_owned()),
        }
    }
    // Only after the last option is it known which tables were selected.
    if args.form.columns.as_deref() == Some("help") {
        let selected = args.selection.resolve().ok().filter(|_| !args.selection.is_default());
        return Err(Exit::Fields(selected.map(|selected| selected.tables)));
    }
    Ok(args)
}
