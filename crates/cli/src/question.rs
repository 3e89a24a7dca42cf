//! From what was asked for to a question that the library can be asked, and what was
//! probably meant where it cannot.

use std::ffi::OsString;
use std::io::{self, BufRead, IsTerminal as _, Write as _};
use std::os::unix::ffi::OsStringExt as _;

use sockdiag::fields::Needs;
use sockdiag::filter;
use sockdiag::model::{Selected, TableSet};
use sockdiag::session::{Parse, Question};
use sockdiag::{AskError, Session};
use sockdiag_guide::hints::{self, People};

use crate::end::End;
use crate::options::Asked;

/// A question for these sockets, with the asker's filter and namespaces.
pub(crate) fn question(asked: &Asked, selected: Selected, needs: Needs) -> Question {
    let mut question = Question::new(selected);
    question.needs = needs;
    // Names are looked up where somebody reads them.
    question.numeric = !needs.has(Needs::SERVICES);
    question.resolve = needs.has(Needs::HOSTS);
    question.netns.clone_from(&asked.netns);
    question.filter = Some(parse(asked));
    question
}

/// A session that asks it.  At a terminal it is said where the filter is right and
/// rarely meant so.
///
/// # Errors
/// With what was probably meant, where the filter is wrong.
pub(crate) fn open(asked: &Asked, selected: Selected, needs: Needs) -> Result<Session, End> {
    let session = Session::open(question(asked, selected, needs));
    let session = session.map_err(|error| unasked(error, asked, selected.tables))?;
    if io::stderr().is_terminal()
        && let Some(hint) = hints::rarely_meant(&words(asked))
    {
        // Nobody is left to tell if this fails.
        let _ = writeln!(io::stderr(), "sockdiag: {hint}");
    }
    Ok(session)
}

/// Why a question cannot be asked, and how its filter was probably meant.
fn unasked(error: AskError, asked: &Asked, tables: TableSet) -> End {
    let AskError::Filter(refused) = &error else { return error.into() };
    let words = words(asked);
    let picture = match one_port(&words).filter(|_| refused.mended.is_none()) {
        Some(port) if asked.is_about_listeners => format!("{}\n    try: sport = :{port}", refused.picture()),
        Some(port) => format!("{}\n    try: '( sport = :{port} or dport = :{port} )'", refused.picture()),
        None => hints::picture(refused, People { words: &words, tables }),
    };
    End::usage(format!("{}\n{picture}", refused.error))
}

/// The port, where a port is all that was given: `8080` or `:8080`.
fn one_port(words: &[OsString]) -> Option<u16> {
    let [word] = words else { return None };
    let word = word.to_str()?;
    word.strip_prefix(':').unwrap_or(word).parse().ok()
}

/// The words of the filter.
pub(crate) fn words(asked: &Asked) -> Vec<OsString> {
    asked.words.iter().map(|word| OsString::from_vec(word.clone())).collect()
}

/// Reads the filter; a session does so in each namespace.
fn parse(asked: &Asked) -> Parse {
    let (words, file) = (asked.words.clone(), asked.file.clone());
    Box::new(move |context| {
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let mut file = file.as_deref();
        let file = file.as_mut().map(|text| text as &mut dyn BufRead);
        let filter::Context { catalog, preferred, tables, lookups } = context;
        hints::parse(&words, file, filter::Context { catalog, preferred, tables, lookups })
    })
}
