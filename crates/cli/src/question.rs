//! Turns the command line into a question for the library, and suggests a correction if it is
//! invalid.

use std::ffi::OsString;
use std::io::{self, BufRead, IsTerminal as _, Write as _};
use std::os::unix::ffi::OsStringExt as _;

use sockdiag::fields::{Catalog, NameError, Needs};
use sockdiag::filter;
use sockdiag::model::{Selected, TableSet};
use sockdiag::session::{Parse, Question};
use sockdiag::{AskError, Session};
use sockdiag_guide::hints::{self, People};

use crate::end::End;
use crate::options::Asked;

/// A question for these sockets, with the user's filter and namespaces.
pub(crate) fn question(asked: &Asked, selected: Selected, needs: Needs) -> Question {
    let mut question = Question::new(selected);
    question.needs = needs;
    // Look up service names only if a field in use needs them.
    question.numeric = !needs.has(Needs::SERVICES);
    question.resolve = needs.has(Needs::HOSTS);
    question.netns.clone_from(&asked.netns);
    question.filter = Some(parse(asked));
    question
}

/// A session that asks this question.  On a terminal it warns if the filter is valid but
/// rarely what the user means.
///
/// # Errors
/// If the filter is wrong, with a suggested correction.
pub(crate) fn open(asked: &Asked, selected: Selected, needs: Needs) -> Result<Session, End> {
    let session = Session::open(question(asked, selected, needs));
    let session = session.map_err(|error| unasked(error, asked, selected.tables))?;
    if io::stderr().is_terminal()
        && let Some(hint) = hints::rarely_meant(&words(asked))
    {
        // A failure here cannot be reported anywhere.
        let _ = writeln!(io::stderr(), "sockdiag: {hint}");
    }
    Ok(session)
}

/// Why a question cannot be asked, with a suggested correction of its filter.
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

/// Refuses an unknown name in front of an operator: it would otherwise be looked up as the
/// name of a host, which may take seconds.
///
/// # Errors
/// If there is such a name.
pub(crate) fn refuse_unknown_fields(words: &[Vec<u8>]) -> Result<(), End> {
    let words: Vec<_> = words.iter().map(|word| String::from_utf8_lossy(word)).collect();
    let text = words.join(" ").replace(['(', ')'], " ( ");
    let tokens: Vec<&str> = text.split_whitespace().collect();
    for (at, name) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| tokens.get(at));
        let begins =
            before.is_none_or(|before| ["(", "!", "&", "&&", "|", "||", "and", "or", "not"].contains(before));
        let is_compared = tokens.get(at + 1).is_some_and(|next| COMPARISONS.contains(next));
        let is_name = name.starts_with(|letter: char| letter.is_ascii_alphabetic())
            && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "_.".contains(letter));
        if !begins || !is_compared || !is_name {
            continue;
        }
        let catalog = Catalog::shared();
        if catalog.operand(name.as_bytes()).is_none()
            && let Err(error @ NameError::Unknown { .. }) = catalog.named(name)
        {
            return Err(End::usage(error.to_string()));
        }
    }
    Ok(())
}

/// Operators between a field and a value.
const COMPARISONS: [&str; 7] = ["=", "==", "!=", ">", "<", ">=", "<="];

/// The port, if the filter is only a port: `8080` or `:8080`.
fn one_port(words: &[OsString]) -> Option<u16> {
    let [word] = words else { return None };
    let word = word.to_str()?;
    word.strip_prefix(':').unwrap_or(word).parse().ok()
}

/// The words of the filter.
pub(crate) fn words(asked: &Asked) -> Vec<OsString> {
    asked.words.iter().map(|word| OsString::from_vec(word.clone())).collect()
}

/// Returns a parser of the filter, which a session calls once per namespace.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compared_is_a_field() {
        let refused = |filter: &str| {
            let words: Vec<Vec<u8>> = filter.split('|').map(|word| word.as_bytes().to_vec()).collect();
            refuse_unknown_fields(&words).err().and_then(|end| end.text)
        };
        for (filter, name) in [
            ("bogus = 3", "bogus"),
            ("rttt > 5ms", "rttt"),
            ("rtt > 5ms and ( not nosuch = 1 )", "nosuch"),
            ("sport = :80|and|rt.t|!=|4", "rt.t"),
        ] {
            let said = refused(filter).unwrap_or_default();
            assert!(said.contains(&format!("there is no field \"{name}\"")), "{filter}: {said}");
        }
        for filter in [
            "sport = :80",
            "src 10.0.0.1 and dport != :443",
            "(rtt > 5ms or comm = nginx) and fwmark = 1",
            "dst example.org",
            "example.org",
            "dev = eth0",
            "cgroup = /a",
            "ended = reset,timeout",
            "tcp.rtt_us > 3",
            "dst = bogus",
            "user = bogus",
        ] {
            assert_eq!(refused(filter), None, "{filter}");
        }
    }
}
