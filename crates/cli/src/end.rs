//! How the program ends: a status, and what is said last.
//!
//! Invariant: the table of statuses is [`STATUSES`]; help, manual pages and the
//! README print it.

use std::io;

use sockdiag::{AskError, source::DumpError, sys::errno_text};

/// What the status says.
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

/// Every status with its meaning, in order.
pub(crate) const STATUSES: &[(Status, &str)] = &[
    (Status::Done, "It is done; for wait: it is so."),
    (Status::TimeUp, "wait: the time is up, and it is not so.  doctor: there are warnings."),
    (
        Status::Usage,
        "An option or the filter makes no sense.  Nothing was asked.  doctor: something is critical; what makes no \
         sense is 3 there.",
    ),
    (
        Status::Unseen,
        "The answer could not be seen: the kernel refused, a network namespace is gone or may not be entered, or \
         processes that a condition needs may not be inspected.",
    ),
    (Status::Several, "wait: more than one service matches where one was meant."),
    (Status::Unwritten, "The output could not be written.  A reader that went away is no such failure."),
    (
        Status::NotExecutable,
        "wait: COMMAND was found but could not be run.  Else its own status is the last.",
    ),
    (Status::NotFound, "wait: COMMAND was not found."),
];

/// How the program ends.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct End {
    /// The status.
    pub(crate) code: u8,
    /// What goes to standard error, with its newline.
    pub(crate) text: Option<String>,
    /// What was asked for instead of an answer: goes to standard output.
    pub(crate) list: Option<String>,
}

impl End {
    /// Without a word.
    pub(crate) fn done() -> Self {
        Self { code: Status::Done as u8, text: None, list: None }
    }

    /// With a list that was asked for.
    pub(crate) fn listed(list: String) -> Self {
        Self { list: Some(list), ..Self::done() }
    }

    /// With a sentence, which gets the program's name in front.
    pub(crate) fn new(status: Status, sentence: impl AsRef<str>) -> Self {
        let text = Some(format!("sockdiag: {}\n", sentence.as_ref()));
        Self { code: status as u8, text, list: None }
    }

    /// Because what was asked for makes no sense.
    pub(crate) fn usage(sentence: impl AsRef<str>) -> Self {
        Self::new(Status::Usage, sentence)
    }

    /// Because the answer could not be seen.
    pub(crate) fn unseen(sentence: impl AsRef<str>) -> Self {
        Self::new(Status::Unseen, sentence)
    }

    /// Because the output could not be written; a reader that went away has
    /// what it wanted.
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

/// A question that cannot be asked is the asker's fault, or the kernel's.
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
            assert!((before.0 as u8) < after.0 as u8, "{:?}", after.0);
        }
        assert!(STATUSES.iter().all(|(_, doc)| doc.ends_with('.')));
    }

    #[test]
    fn the_readme_has_every_status() {
        let readme = include_str!("../../../README.md");
        for (status, doc) in STATUSES {
            let number = (*status as u8).to_string();
            let rows = readme.lines().filter(|line| line.starts_with("| "));
            let row = rows.into_iter().find(|row| {
                row.split(" | ").next().is_some_and(|cell| cell.split([' ', ',']).any(|word| word == number))
            });
            let row = row.unwrap_or_else(|| panic!("{number} is not in the README"));
            // Up to the first point, but for marks.
            let first = doc.split_once('.').map_or(*doc, |(first, _)| first).trim_start_matches("wait: ");
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
