//! Where rows go: which sink the options choose, and what it is told besides.
//!
//! What is said on stderr beside a listing is said there in every form; a
//! document holds it as well.

use std::ffi::{OsStr, OsString};
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use sockdiag::fields::{Catalog, Groups, Needs};
use sockdiag::notes::Note;
use sockdiag::pipeline::Sink;
use sockdiag::source::{DumpError, Sources, Summary};
use sockdiag::sys::netns;
use sockdiag_render::json::{self, Header, Json, Trailer};
use sockdiag_render::ss::{Look, SsText};

use crate::cli::{Exit, Form};
use crate::terminal::Stdout;

/// Notes that a document holds; more are counted.
const MOST_NOTES: usize = 1000;

/// The sink of a listing.
pub(crate) enum Listing {
    Text(SsText<Stdout>),
    Json(Box<Json<Stdout>>),
}

/// What a listing is made with.
pub(crate) struct Opening<'o> {
    pub(crate) form: &'o Form,
    pub(crate) catalog: &'o Catalog,
    pub(crate) look: Look,
    /// The words of the command line.
    pub(crate) words: &'o [OsString],
    pub(crate) sources: &'o Sources,
    /// What `-s` counted.
    pub(crate) summary: Option<&'o Summary>,
    /// Rows come as long as the program runs.
    pub(crate) endless: bool,
}

impl Opening<'_> {
    /// Begins the listing.
    pub(crate) fn open(&self) -> io::Result<Listing> {
        if !self.form.is_json() {
            return Ok(Listing::Text(SsText::new(self.catalog, self.look, Stdout)?));
        }
        let form = match self.form {
            // A document would never end.
            _ if self.endless => json::Form::Lines,
            Form { json_lines: true, .. } => json::Form::Lines,
            Form { pretty: true, .. } => json::Form::Pretty,
            _ => json::Form::Document,
        };
        let header = header(self.words, self.sources);
        let groups = self.look.style.groups;
        let json = Json::new(self.catalog, groups, form, &header, self.summary, Stdout)?;
        Ok(Listing::Json(Box::new(json)))
    }
}

impl Listing {
    /// The sink.
    pub(crate) fn sink(&mut self) -> &mut dyn Sink {
        match self {
            Self::Text(text) => text,
            Self::Json(json) => json.as_mut(),
        }
    }

    /// Writes what comes after the last row.
    pub(crate) fn end(&mut self, said: &Said) -> io::Result<()> {
        match self {
            Self::Text(_) => Ok(()),
            Self::Json(json) => json.end(&said.trailer()),
        }
    }
}

/// What has to be asked for to show these groups in this form.
pub(crate) fn needs(form: &Form, catalog: &Catalog, groups: Groups) -> Needs {
    if form.is_json() { catalog.value_needs(groups) } else { catalog.needs(groups.and(Groups::COLUMNS)) }
}

/// Ends for options that cannot go together.
pub(crate) fn check(form: &Form) -> Result<(), Exit> {
    let clash = |what| Err(Exit::error(Exit::USAGE, format!("ss: {what} cannot be used together")));
    if form.json_lines && form.pretty {
        return clash("--jsonl and --pretty");
    }
    Ok(())
}

/// What was said beside the rows, as far as a document will hold it.
#[derive(Debug, Default)]
pub(crate) struct Said {
    keep: bool,
    notes: Vec<String>,
    more: usize,
    failures: Vec<String>,
}

impl Said {
    /// Nothing yet; what `keep` is false for is not kept.
    pub(crate) fn new(keep: bool) -> Self {
        Self { keep, ..Self::default() }
    }

    /// Keeps a note.
    pub(crate) fn note(&mut self, note: &Note) {
        if !self.keep {
        } else if self.notes.len() < MOST_NOTES {
            self.notes.push(note.to_string().trim_end().to_owned());
        } else {
            self.more += 1;
        }
    }

    /// Keeps that a table could not be read.
    pub(crate) fn failure(&mut self, failure: &DumpError) {
        if self.keep {
            self.failures.push(failure.to_string());
        }
    }

    fn trailer(&self) -> Trailer {
        let mut notes = self.notes.clone();
        if self.more > 0 {
            notes.push(format!("{} more notes", self.more));
        }
        Trailer { notes, failures: self.failures.clone() }
    }
}

fn header(words: &[OsString], sources: &Sources) -> Header {
    let system = rustix::system::uname();
    let text = |text: &OsStr| text.to_string_lossy().into_owned();
    Header {
        program: format!("sockdiag {}", env!("CARGO_PKG_VERSION")),
        host: system.nodename().to_string_lossy().into_owned(),
        kernel: system.release().to_string_lossy().into_owned(),
        netns_inode: netns::inode(),
        recording: sources.tcpdiag_file.as_deref().map(text),
        time: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        argv: words.iter().map(|word| text(word)).collect(),
    }
}
