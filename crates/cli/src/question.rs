//! From what was asked for to a question that the library can be asked.

use std::io::BufRead;

use sockdiag::fields::Needs;
use sockdiag::filter;
use sockdiag::model::Selected;
use sockdiag::session::{Parse, Question};

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

/// Reads the filter; a session does so in each namespace.
fn parse(asked: &Asked) -> Parse {
    let (words, file) = (asked.words.clone(), asked.file.clone());
    Box::new(move |context| {
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let mut file = file.as_deref();
        let file = file.as_mut().map(|text| text as &mut dyn BufRead);
        let filter::Context { catalog, preferred, tables, lookups } = context;
        filter::parse_or_explain(&words, file, filter::Context { catalog, preferred, tables, lookups })
    })
}
