//! What `ss` prints on stderr, byte for byte, and its exit status.
//!
//! The library reports typed notices and errors.  [`mod@reference`] holds the reference's
//! wording, which scripts parse.  Where the reference has no wording, we print the library's
//! sentence after the program's name.

pub(crate) mod reference;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};

use sockdiag::AskError;
use sockdiag::filter::FilterError;
use sockdiag::model::Empty;
use sockdiag::notice::{NoIterator, NoWalk, Notice};
use sockdiag::source::{DumpError, DumpErrorKind};
use sockdiag::sys::errno_text;
use sockdiag_guide::hints::{self, People};

use crate::cli::Exit;

/// The bytes that a notice prints on stderr, with a newline unless the reference omits it.
pub(crate) fn words(notice: &Notice) -> Vec<u8> {
    reference::notice(notice).unwrap_or_else(|| {
        let mut text = format!("ss: {notice}\n");
        for line in verifier_log(notice).lines() {
            text.push_str("  ");
            text.push_str(line);
            text.push('\n');
        }
        text.into_bytes()
    })
}

/// The verifier's log for a program that it rejected; empty if there is none.
fn verifier_log(notice: &Notice) -> &str {
    match notice {
        Notice::HolderProgramRejected { why: NoIterator::Rejected { log, .. } }
        | Notice::HolderTablesRejected { why: NoIterator::Rejected { log, .. } }
        | Notice::HoldersRefused { why: NoIterator::Rejected { log, .. } }
        | Notice::NotWalked { why: NoWalk::Program(NoIterator::Rejected { log, .. }) } => log,
        _ => "",
    }
}

/// A notice as one line of a document, without the newline.
pub(crate) fn line(notice: &Notice) -> String {
    String::from_utf8_lossy(words(notice).trim_ascii_end()).into_owned()
}

/// Whether only people see a notice: the reference prints nothing there, so scripts must not
/// see it.
pub(crate) fn is_for_people(notice: &Notice) -> bool {
    match notice {
        // The reference exits when events are lost, so our readers have to know.  The other
        // notices arise only where the user asks for them: by `SOCKDIAG_PROCESSES`, `--source`
        // or `--explain`.
        Notice::EventsLost { .. }
        | Notice::HoldersRefused { .. }
        | Notice::Walked { .. }
        | Notice::NotWalked { .. } => false,
        notice => reference::notice(notice).is_none(),
    }
}

/// The exit because of a notice: with status `code`, after printing the notice.
pub(crate) fn ending(code: u8, notice: &Notice) -> Exit {
    Exit::Error { code, stderr: words(notice) }
}

/// The status for exiting at once because of a table that could not be read; `None` where the
/// reference continues with the next table and exits with 0.
fn status(error: &DumpError) -> Option<u8> {
    match error.kind {
        DumpErrorKind::Remnant { .. } => Some(1),
        // The reference overruns its buffer here and is killed by its own stack guard.
        DumpErrorKind::DamagedRecording { .. } => Some(Exit::USAGE),
        _ => None,
    }
}

/// The exit at once because of a table that could not be read, if it is fatal.
pub(crate) fn fatal(error: &DumpError) -> Option<Exit> {
    status(error).map(|code| Exit::error(code, error.to_string()))
}

/// The message for a table that could not be read to its end from a source that the reference
/// lacks.  Other sources report their failures as notices.
pub(crate) fn failed(error: &DumpError) -> Option<String> {
    matches!(error.kind, DumpErrorKind::Walk(_)).then(|| format!("ss: {error}"))
}

/// The exit because a format of our own could not be written; `None` if the reader went away.
pub(crate) fn unwritten(error: &io::Error) -> Option<Exit> {
    let message =
        || format!("ss: cannot write the output: {}", errno_text(error.raw_os_error().unwrap_or(0)));
    (error.kind() != io::ErrorKind::BrokenPipe).then(|| Exit::error(1, message()))
}

/// Whether our own messages are printed on stderr: to people, and if `--explain` is among the
/// words of the command line.
pub(crate) fn are_for_people(words: &[OsString]) -> bool {
    io::stderr().is_terminal() || words.iter().any(|word| word == "--explain")
}

/// The exit because of an invalid question; with `people`, a wrong filter is shown with its
/// error marked.
pub(crate) fn unasked(error: AskError, people: Option<People<'_>>) -> Exit {
    match error {
        AskError::Filter(refused) => {
            bad_filter(&refused.error, people.map(|people| hints::picture(&refused, people)).as_deref())
        }
        AskError::LookUp { notice, filter } => look_up(&notice, filter.map(|error| unasked(*error, people))),
        AskError::Namespace(error) => error.into(),
        AskError::Empty(empty) => nothing_to_list(empty),
        AskError::Destroy(notice) => ending(0, &notice),
        error => Exit::error(Exit::USAGE, format!("ss: {error}")),
    }
}

/// The exit because of a field that one look at a socket cannot report.
pub(crate) fn two_looks(name: &str) -> Exit {
    let name = name.escape_debug();
    Exit::error(
        Exit::USAGE,
        format!("ss: {name} needs two samples of each socket, and ss takes only one: use sockdiag top"),
    )
}

/// The exit because the kernel cannot be asked about a name in the filter.  The reference
/// stops there, so an error in the filter is printed only if it is a consequence.
fn look_up(notice: &Notice, filter: Option<Exit>) -> Exit {
    match filter {
        Some(Exit::Error { code: Exit::USAGE, stderr }) => {
            Exit::Error { code: Exit::USAGE, stderr: [words(notice), stderr].concat() }
        }
        _ => ending(1, notice),
    }
}

/// The exit when a selection leaves nothing to list.
pub(crate) fn nothing_to_list(empty: Empty) -> Exit {
    Exit::error(0, reference::empty(empty))
}

/// The exit because of a filter; `picture` marks the error in it for people.
pub(crate) fn bad_filter(error: &FilterError, picture: Option<&str>) -> Exit {
    let mut message = reference::filter(error).unwrap_or_else(|| format!("ss: {error}").into_bytes());
    if let Some(picture) = picture {
        message.push(b'\n');
        message.extend(picture.bytes());
    }
    match error {
        FilterError::Syntax | FilterError::TooDeep => Exit::usage(message),
        FilterError::CgroupUnsupported | FilterError::LineTooLong | FilterError::InvalidLine => {
            Exit::error(Exit::USAGE, message)
        }
        _ => Exit::error(1, message),
    }
}
