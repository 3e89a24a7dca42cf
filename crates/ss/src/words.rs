//! What `ss` says on stderr, byte for byte, and the status it ends with.
//!
//! The library reports typed notices and errors; here each gets the words of
//! the reference, which scripts read.

use sockdiag::filter::FilterError;
use sockdiag::model::Empty;
use sockdiag::notice::Notice;
use sockdiag::source::DumpError;

use crate::cli::Exit;

/// The bytes that a notice puts on stderr, with the newline where there is one.
pub(crate) fn words(notice: &Notice) -> Vec<u8> {
    notice.to_string().into_bytes()
}

/// A notice as one line of a document, without the newline.
pub(crate) fn line(notice: &Notice) -> String {
    String::from_utf8_lossy(words(notice).trim_ascii_end()).into_owned()
}

/// Whether a notice is for people alone: the reference is silent where it
/// arises, so scripts must not see it.
pub(crate) fn is_for_people(notice: &Notice) -> bool {
    notice.is_ours()
}

/// How the program ends because of a notice: with `code`, after its words.
pub(crate) fn ending(code: u8, notice: &Notice) -> Exit {
    Exit { code, stdout: Vec::new(), stderr: words(notice) }
}

/// How the program ends at once because of a table that could not be read;
/// `None` where the reference carries on with the next table and ends with 0.
pub(crate) fn fatal(error: &DumpError) -> Option<Exit> {
    error.exit_status().map(|code| Exit::error(code, error.to_string()))
}

/// How the program ends when a selection leaves nothing to list.
pub(crate) fn nothing_to_list(empty: &Empty) -> Exit {
    Exit::error(0, empty.to_string())
}

/// How the program ends because of a filter; `picture` shows people where it is wrong.
pub(crate) fn bad_filter(error: &FilterError, picture: Option<&str>) -> Exit {
    let mut message = error.message();
    if let Some(picture) = picture {
        message.push(b'\n');
        message.extend(picture.bytes());
    }
    let code = u8::try_from(error.exit_code()).unwrap_or(Exit::USAGE);
    if error.shows_usage() { Exit::usage(message) } else { Exit::error(code, message) }
}
