//! Where rows go: which sink the options choose, and what it is told besides.
//!
//! What is said on stderr beside a listing is said there in every form; a
//! document holds it as well.

use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::ControlFlow;
use std::time::{SystemTime, UNIX_EPOCH};

use sockdiag::Sink;
use sockdiag::fields::{Catalog, Choice, ChoiceError, Groups as FieldGroups, Needs};
use sockdiag::model::Row;
use sockdiag::notice::Notice;
use sockdiag::order::Order;
use sockdiag::source::{DumpError, Sources, Summary};
use sockdiag::sys::netns;
use sockdiag_render::columns::{self, Columns, Shape};
use sockdiag_render::groups::{Grouping, Groups};
use sockdiag_render::json::{self, Header, Json, Trailer};
use sockdiag_render::ss::{Look, SsText};

use crate::cli::{Args, Exit, Form};
use crate::terminal::{Lossy, Stdout};
use crate::words;

/// Notes that a document holds; more are counted.
const MOST_NOTES: usize = 1000;

/// The columns of `--csv` and `--tsv` where none are named.
const COLUMNS: &str =
    "socket.netid,socket.state,socket.recv_q,socket.send_q,local.addr,local.port,remote.addr,remote.port";
/// And with `-p`.
const PROCESSES: &str = ",socket.processes";
/// What groups are told of besides what `--columns` names.
const SUMS: &str = "recv_q,send_q";

/// The sink of a listing.
pub(crate) enum Listing {
    Text(Box<SsText<Lossy>>),
    Json(Box<Json<Stdout>>),
    Columns(Box<Columns<Stdout>>),
    Groups(Box<Groups<Stdout>>),
}

/// What the options make of rows, before there is one.
pub(crate) struct Plan {
    form: Form,
    chosen: Chosen,
    needs: Needs,
}

/// The fields of a listing.
enum Chosen {
    /// Those that the options show.
    Shown,
    /// These.
    Columns(Vec<Choice>),
    /// Rows are counted.
    Groups(Grouping),
}

/// What a listing is made with.
pub(crate) struct Opening<'o> {
    pub(crate) catalog: &'o Catalog,
    pub(crate) look: Look,
    /// The words of the command line.
    pub(crate) words: &'o [OsString],
    pub(crate) sources: &'o Sources,
    /// What `-s` counted.
    pub(crate) summary: Option<&'o Summary>,
}

impl Plan {
    /// Reads the names in the options.
    pub(crate) fn new(args: &Args, catalog: &Catalog, shown: FieldGroups) -> Result<Self, Exit> {
        let form = &args.form;
        check(args)?;
        let choices = |names: &str| {
            let choices = columns::choices(catalog, names).map_err(|error| bad_name(&error))?;
            match choices.iter().find(|choice| choice.needs().intersects(Needs::TWO_LOOKS)) {
                Some(choice) => Err(words::two_looks(choice.name())),
                None => Ok(choices),
            }
        };
        let (chosen, needs) = if let Some(by) = &form.group_by {
            let by = choices(by)?;
            let mut sums = choices(SUMS)?;
            for sum in form.columns.as_deref().map(choices).transpose()?.unwrap_or_default() {
                if !sum.is_number() {
                    let message = format!("ss: {} is not numeric, so it cannot be summed", sum.name());
                    return Err(Exit::error(Exit::USAGE, message));
                }
                if !sums.iter().any(|known| known.named() == sum.named()) {
                    sums.push(sum);
                }
            }
            let needs = needs_of(by.iter().chain(&sums));
            let mut grouping = Grouping { by, sums, order: None, limit: form.limit };
            grouping.order = form.sort.as_deref().map(|name| column(&grouping, name)).transpose()?;
            (Chosen::Groups(grouping), needs)
        } else if form.is_columns() {
            let processes = if args.show.processes { PROCESSES } else { "" };
            let names = form.columns.clone().unwrap_or_else(|| format!("{COLUMNS}{processes}"));
            let choices = choices(&names)?;
            let needs = needs_of(choices.iter());
            (Chosen::Columns(choices), needs)
        } else if form.is_json() {
            (Chosen::Shown, catalog.value_needs(shown))
        } else {
            (Chosen::Shown, catalog.needs(shown.union(FieldGroups::COLUMNS)))
        };
        Ok(Self { form: form.clone(), chosen, needs })
    }

    /// What has to be asked for.
    pub(crate) fn needs(&self) -> Needs {
        self.needs
    }

    /// The order of rows, and how many of them.
    pub(crate) fn order(&self, catalog: &Catalog) -> Result<Order, Exit> {
        if matches!(self.chosen, Chosen::Groups(_)) {
            return Ok(Order::default());
        }
        let order = Order::new(catalog, self.form.sort.as_deref(), self.form.limit);
        let order = order.map_err(|error| bad_name(&error))?;
        match order.name_with(Needs::TWO_LOOKS) {
            Some(name) => Err(words::two_looks(name)),
            None => Ok(order),
        }
    }

    /// Begins the listing; `endless` is one whose rows come as long as the program runs.
    pub(crate) fn open(self, opening: &Opening<'_>, endless: bool) -> io::Result<Listing> {
        let shape = self.form.separated.unwrap_or(Shape::Aligned);
        let header = !opening.look.no_header;
        let catalog = opening.catalog;
        match self.chosen {
            Chosen::Columns(choices) => {
                let columns = Columns::new(choices, shape, header, Stdout)?;
                return Ok(Listing::Columns(Box::new(columns)));
            }
            Chosen::Groups(grouping) => {
                let groups = Groups::new(grouping, shape, header, Stdout)?;
                return Ok(Listing::Groups(Box::new(groups)));
            }
            Chosen::Shown => {}
        }
        if !self.form.is_json() {
            return Ok(Listing::Text(Box::new(SsText::new(catalog, opening.look, Lossy)?)));
        }
        let form = match &self.form {
            // A document would never end.
            _ if endless => json::Form::Lines,
            Form { json_lines: true, .. } => json::Form::Lines,
            Form { pretty: true, .. } => json::Form::Pretty,
            _ => json::Form::Document,
        };
        let header = json_header(opening.words, opening.sources);
        let groups = opening.look.style.groups;
        let json = Json::new(catalog, groups, form, &header, opening.summary, Stdout)?;
        Ok(Listing::Json(Box::new(json)))
    }
}

fn needs_of<'c>(choices: impl Iterator<Item = &'c Choice>) -> Needs {
    choices.fold(Needs::NONE, |needs, choice| needs.union(choice.needs()))
}

fn bad_name(error: &ChoiceError) -> Exit {
    Exit::error(Exit::USAGE, format!("ss: {error}; --columns help lists all"))
}

/// The column of groups that `--sort` names, and whether the largest comes first.
fn column(grouping: &Grouping, name: &str) -> Result<(usize, bool), Exit> {
    let (name, down) = name.strip_prefix('-').map_or((name, false), |name| (name, true));
    let at = grouping.names().position(|known| known == name);
    let names: Vec<&str> = grouping.names().collect();
    let wrong = || format!("ss: groups are not ordered by \"{name}\", but by one of {}", names.join(", "));
    Ok((at.ok_or_else(|| Exit::error(Exit::USAGE, wrong()))?, down))
}

impl Sink for Listing {
    type Error = io::Error;

    #[inline]
    fn row(&mut self, row: &Row<'_>) -> io::Result<ControlFlow<()>> {
        match self {
            Self::Text(text) => text.row(row),
            Self::Json(json) => json.row(row),
            Self::Columns(columns) => columns.row(row),
            Self::Groups(groups) => groups.row(row),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Text(text) => text.flush(),
            Self::Json(json) => json.flush(),
            Self::Columns(columns) => columns.flush(),
            Self::Groups(groups) => groups.flush(),
        }
    }
}

impl Listing {
    /// Writes what comes after the last row.
    pub(crate) fn end(&mut self, said: &Said) -> io::Result<()> {
        match self {
            Self::Text(_) | Self::Columns(_) => Ok(()),
            Self::Json(json) => json.end(&said.trailer()),
            Self::Groups(groups) => groups.end(),
        }
    }
}

/// Ends for options that cannot go together.
fn check(args: &Args) -> Result<(), Exit> {
    let form = &args.form;
    let clashes = [
        (form.json_lines && form.pretty, "--jsonl and --pretty"),
        (form.is_json() && form.is_columns(), "JSON and --columns, --csv, --tsv or --group-by"),
        // What is destroyed is shown as it is destroyed.
        (args.kill && form.sort.is_some() && form.group_by.is_none(), "--kill and --sort"),
        (args.events && form.sort.is_some(), "--events and --sort: there is no last row"),
        (args.events && form.group_by.is_some(), "--events and --group-by: there is no last row"),
    ];
    match clashes.iter().find(|(clash, _)| *clash) {
        None => Ok(()),
        Some((_, what)) => Err(Exit::error(Exit::USAGE, format!("ss: cannot be used together: {what}"))),
    }
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

    /// Keeps a notice.
    pub(crate) fn notice(&mut self, notice: &Notice) {
        if !self.keep {
        } else if self.notes.len() < MOST_NOTES {
            self.notes.push(words::line(notice));
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

fn json_header(words: &[OsString], sources: &Sources) -> Header {
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
