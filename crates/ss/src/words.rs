//! What `ss` says on stderr, byte for byte, and the status it ends with.
//!
//! The library reports typed notices and errors.  What the reference says of
//! them stands in [`mod@reference`]; scripts read it.  What the reference has no
//! words for is the library's sentence behind the program's name.

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

/// The bytes that a notice puts on stderr, with the newline where there is one.
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

/// What the kernel's verifier says of a program that it refused; empty where
/// there is none.
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

/// Whether a notice is for people alone: the reference is silent where it
/// arises, so scripts must not see it.
pub(crate) fn is_for_people(notice: &Notice) -> bool {
    match notice {
        // The reference ends where events are lost, so whoever reads ours has
        // to know; the others arise only where they are asked for: by
        // `SOCKDIAG_PROCESSES`, `--source` or `--explain`.
        Notice::EventsLost { .. }
        | Notice::HoldersRefused { .. }
        | Notice::Walked { .. }
        | Notice::NotWalked { .. } => false,
        notice => reference::notice(notice).is_none(),
    }
}

/// How the program ends because of a notice: with `code`, after its words.
pub(crate) fn ending(code: u8, notice: &Notice) -> Exit {
    Exit::Error { code, stderr: words(notice) }
}

/// The status that the program ends with, at once, because of a table that
/// could not be read; `None` where the reference carries on with the next
/// table and ends with 0.
fn status(error: &DumpError) -> Option<u8> {
    match error.kind {
        DumpErrorKind::Remnant { .. } => Some(1),
        // The reference is killed here: by its own guard, after it has overrun
        // its buffer.
        DumpErrorKind::DamagedRecording { .. } => Some(Exit::USAGE),
        _ => None,
    }
}

/// How the program ends at once because of a table that could not be read, if
/// it does.
pub(crate) fn fatal(error: &DumpError) -> Option<Exit> {
    status(error).map(|code| Exit::error(code, error.to_string()))
}

/// What is said of a table that could not be read to its end, where a source that the
/// reference lacks failed; what others fail of is told in notices.
pub(crate) fn failed(error: &DumpError) -> Option<String> {
    matches!(error.kind, DumpErrorKind::Walk(_)).then(|| format!("ss: {error}"))
}

/// How the program ends because its output could not be written, in a form that
/// the reference lacks; `None` where the reader went away.
pub(crate) fn unwritten(error: &io::Error) -> Option<Exit> {
    let message =
        || format!("ss: cannot write the output: {}", errno_text(error.raw_os_error().unwrap_or(0)));
    (error.kind() != io::ErrorKind::BrokenPipe).then(|| Exit::error(1, message()))
}

/// Whether what is ours is said on stderr: to people, and to whoever asks for it
/// with one of these words of the command line.
pub(crate) fn are_for_people(words: &[OsString]) -> bool {
    io::stderr().is_terminal() || words.iter().any(|word| word == "--explain")
}

/// How the program ends because of a question that cannot be asked; `people` are
/// shown where the filter of these words is wrong.
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

/// How the program ends because of a field that one look at a socket cannot tell.
pub(crate) fn two_looks(name: &str) -> Exit {
    let name = name.escape_debug();
    Exit::error(
        Exit::USAGE,
        format!(
            "ss: {name} needs two looks at each socket, and ss takes one: the program sockdiag takes more (sockdiag top)"
        ),
    )
}

/// How the program ends because the kernel cannot be asked about what a filter
/// names.  The reference does not get to what is wrong with the filter, unless
/// that follows from it.
fn look_up(notice: &Notice, filter: Option<Exit>) -> Exit {
    match filter {
        Some(Exit::Error { code: Exit::USAGE, stderr }) => {
            Exit::Error { code: Exit::USAGE, stderr: [words(notice), stderr].concat() }
        }
        _ => ending(1, notice),
    }
}

/// How the program ends when a selection leaves nothing to list.
pub(crate) fn nothing_to_list(empty: Empty) -> Exit {
    Exit::error(0, reference::empty(empty))
}

/// How the program ends because of a filter; `picture` shows people where it
/// is wrong.
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
