//! How the program ends: an exit status, and a last message.
//!
//! Invariant: the table of statuses is [`STATUSES`]; help, manual pages and
//! docs/sockdiag.md print it.

use std::io;

use sockdiag::{AskError, source::DumpError, sys::errno_text};

/// The exit statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Done = 0,
    TimeUp = 1,
    Usage = 2,
    Unseen = 3,
    Several = 4,
    Unwritten = 5,
    NotExecutable = 126,
    NotFound = 127,
}

/// Every status with its meaning, in order; a status with several meanings has several rows.
pub(crate) const STATUSES: &[Meaning] = &[
    Meaning { status: Status::Done, of: &["top", "watch", "generate"], doc: "The command succeeded." },
    Meaning { status: Status::Done, of: WAIT, doc: "The condition holds." },
    Meaning { status: Status::Done, of: DOCTOR, doc: "Nothing is wrong, or there is only information." },
    Meaning { status: Status::TimeUp, of: WAIT, doc: "The timeout expired before the condition held." },
    Meaning { status: Status::TimeUp, of: DOCTOR, doc: "There are warnings, but nothing is critical." },
    Meaning {
        status: Status::Usage,
        of: ASKED,
        doc: "The command line or the filter is wrong.  The kernel was not queried.",
    },
    Meaning { status: Status::Usage, of: DOCTOR, doc: "Something is critical." },
    Meaning {
        status: Status::Unseen,
        of: DOCTOR,
        doc: "Too much was hidden to say that nothing is wrong; or the command line, the filter or a rule \
              is wrong, and the kernel was not queried.",
    },
    Meaning {
        status: Status::Unseen,
        of: SEEING,
        doc: "No result could be obtained: the kernel refused, a network namespace is gone or may not be \
              entered, or the filter needs processes that may not be inspected.",
    },
    Meaning {
        status: Status::Several,
        of: WAIT,
        doc: "More than one service matches, and --any was not given.",
    },
    Meaning {
        status: Status::Unwritten,
        of: ALL,
        doc: "The output could not be written.  A reader that closed the pipe does not count.",
    },
    Meaning {
        status: Status::NotExecutable,
        of: WAIT,
        doc: "COMMAND was found but could not be run.  If it runs, the exit status is its own.",
    },
    Meaning { status: Status::NotFound, of: WAIT, doc: "COMMAND was not found." },
];

/// The meaning of a status, and the sub-commands that exit with it.
pub(crate) struct Meaning {
    pub(crate) status: Status,
    /// Names of sub-commands.
    pub(crate) of: &'static [&'static str],
    /// One or more sentences.
    pub(crate) doc: &'static str,
}

const ALL: &[&str] = &["top", "watch", "wait", "doctor", "generate"];
/// The sub-commands that exit with 2 after a usage error.
const ASKED: &[&str] = &["top", "watch", "wait", "generate"];
const DOCTOR: &[&str] = &["doctor"];
const SEEING: &[&str] = &["top", "watch", "wait"];
const WAIT: &[&str] = &["wait"];

/// The statuses of a sub-command, or of all of them, each with its meaning.
pub(crate) fn statuses(subcommand: Option<&str>) -> Vec<(u8, String)> {
    let known = STATUSES.iter().filter(|known| subcommand.is_none_or(|name| known.of.contains(&name)));
    let all = subcommand.is_none();
    let doc = |known: &Meaning| match known.of {
        [one] if all => format!("{one}: {}", known.doc),
        _ => known.doc.to_owned(),
    };
    known.map(|known| (known.status as u8, doc(known))).collect()
}

/// How the program ends.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct End {
    /// The status.
    pub(crate) code: u8,
    /// Text for standard error, with its newline.
    pub(crate) text: Option<String>,
    /// Text for standard output, such as a list or help.
    pub(crate) list: Option<String>,
}

impl End {
    /// Success, without a message.
    pub(crate) fn done() -> Self {
        Self { code: Status::Done as u8, text: None, list: None }
    }

    /// Success, with text that was asked for.
    pub(crate) fn listed(list: String) -> Self {
        Self { list: Some(list), ..Self::done() }
    }

    /// An exit with a message, which is prefixed with the program's name.
    pub(crate) fn new(status: Status, sentence: impl AsRef<str>) -> Self {
        let text = Some(format!("sockdiag: {}\n", sentence.as_ref()));
        Self { code: status as u8, text, list: None }
    }

    /// The command line is invalid.
    pub(crate) fn usage(sentence: impl AsRef<str>) -> Self {
        Self::new(Status::Usage, sentence)
    }

    /// The answer could not be determined.
    pub(crate) fn unseen(sentence: impl AsRef<str>) -> Self {
        Self::new(Status::Unseen, sentence)
    }

    /// The output could not be written.  A reader that went away got what it wanted, so that
    /// is success.
    pub(crate) fn unwritten(error: &io::Error) -> Self {
        let why = match error.raw_os_error() {
            Some(errno) => errno_text(errno),
            None => error.to_string(),
        };
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::done(),
            _ => Self::new(Status::Unwritten, format!("cannot write the output: {why}")),
        }
    }
}

/// A question that cannot be asked is a usage error, unless the kernel refused it.
impl From<AskError> for End {
    fn from(error: AskError) -> Self {
        match error {
            AskError::LookUp { notice, filter: None } => Self::unseen(notice.to_string()),
            AskError::LookUp { notice, filter: Some(wrong) } => {
                let Self { code, text, list } = Self::from(*wrong);
                Self { code, text: Some(format!("sockdiag: {notice}\n{}", text.unwrap_or_default())), list }
            }
            AskError::Namespace(_)
            | AskError::Enter(_)
            | AskError::Follow(_)
            | AskError::Destroy(_)
            | AskError::Record(_) => Self::unseen(error.to_string()),
            error => Self::usage(error.to_string()),
        }
    }
}

impl From<DumpError> for End {
    fn from(error: DumpError) -> Self {
        Self::unseen(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_one_number_and_a_sentence() {
        for (before, after) in STATUSES.iter().zip(STATUSES.iter().skip(1)) {
            assert!(before.status as u8 <= after.status as u8, "{:?}", after.status);
        }
        assert!(STATUSES.iter().all(|known| known.doc.ends_with('.')));
        let numbers = |name| statuses(Some(name)).iter().map(|(number, _)| *number).collect::<Vec<_>>();
        assert_eq!((numbers("top"), numbers("generate")), (vec![0, 2, 3, 5], vec![0, 2, 5]));
    }

    #[test]
    fn the_chapter_has_every_status() {
        let chapter = include_str!("../../../docs/sockdiag.md");
        for Meaning { status, doc, .. } in STATUSES {
            let number = (*status as u8).to_string();
            let rows = chapter.lines().filter(|line| line.starts_with("| "));
            let row = rows.into_iter().find(|row| {
                row.split(" | ").next().is_some_and(|cell| cell.split([' ', ',']).any(|word| word == number))
            });
            let row = row.unwrap_or_else(|| panic!("{number} is not in docs/sockdiag.md"));
            // The first sentence, without markup.
            let first = doc.split_once('.').map_or(*doc, |(first, _)| first);
            let said = *status as u8 > 100 || row.replace('`', "").contains(first);
            assert!(said, "{number}: {row}");
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        assert_eq!(End::unwritten(&io::ErrorKind::BrokenPipe.into()), End::done());
        let full = End::unwritten(&io::Error::from_raw_os_error(28));
        assert_eq!(full.code, 5);
        assert_eq!(
            full.text.as_deref(),
            Some("sockdiag: cannot write the output: No space left on device\n")
        );
    }
}
