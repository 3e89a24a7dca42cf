//! Where rows go: the sink that the options select, and its settings.
//!
//! Messages on stderr are the same for every output format; a JSON document contains them too.

use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::ControlFlow;
use std::time::{SystemTime, UNIX_EPOCH};

use sockdiag::Sink;
use sockdiag::fields::{Catalog, Choice, ChoiceError, Groups as FieldGroups, Needs};
use sockdiag::model::{Netns, Row, TableSet};
use sockdiag::notice::Notice;
use sockdiag::order::Order;
use sockdiag::source::{DumpError, Sources};
use sockdiag::sys::{self, netns};
use sockdiag_render::columns::{self, Columns, Shape};
use sockdiag_render::groups::{self, Grouping, Groups, Total, TotalError};
use sockdiag_render::json::{self, Counted, Header, Json, Trailer};
use sockdiag_render::ss::{Look, SsText};

use crate::cli::{Args, Exit, Form};
use crate::notes::Notes;
use crate::terminal::{Lossy, Stdout};
use crate::words;

/// The columns of `--csv` and `--tsv` if the user names none.
const COLUMNS: &str =
    "socket.netid,socket.state,socket.recv_q,socket.send_q,local.addr,local.port,remote.addr,remote.port";
/// The column that `-E` puts first.
const TIME: &str = "event.time,";
/// The column that comes first when several namespaces are listed.
const NETNS: &str = "netns";
/// The totals of groups if `--columns` names none.
const SUMS: &str = "recv_q,send_q";

/// The sink of a listing.
pub(crate) enum Listing {
    Text(Box<SsText<'static>>),
    Json(Box<Json<'static>>),
    Columns(Box<Columns<'static>>),
    Groups(Box<Groups<'static>>),
}

/// What the options ask for, before the first row.
pub(crate) struct Plan {
    form: Form,
    chosen: Chosen,
    needs: Needs,
    /// Names that the options leave out.
    unmet: Needs,
    /// The tables whose sockets are listed.
    tables: TableSet,
}

/// The fields of a listing.
enum Chosen {
    /// The fields that the options show.
    Shown,
    /// The fields that `--columns` names.
    Columns(Vec<Choice>),
    /// Rows are grouped and counted.
    Groups(Grouping),
}

/// What is needed to open a listing.
pub(crate) struct Opening<'o> {
    pub(crate) catalog: &'o Catalog,
    pub(crate) look: Look,
    /// The words of the command line.
    pub(crate) words: &'o [OsString],
    pub(crate) sources: &'o Sources,
    /// The counts of `-s`.
    pub(crate) summary: &'o [Counted],
}

impl Plan {
    /// Parses the field names in the options, for a listing of these tables.
    pub(crate) fn new(
        args: &Args,
        catalog: &Catalog,
        shown: FieldGroups,
        tables: TableSet,
    ) -> Result<Self, Exit> {
        let form = &args.form;
        check(args)?;
        let choices =
            |names: &str| columns::choices(catalog, names, tables).map_err(|error| bad_name(&error));
        let (chosen, needs) = if let Some(by) = &form.group_by {
            let by = choices(by)?;
            let read =
                |names: &str| groups::totals(catalog, names, tables).map_err(|error| bad_total(&error));
            let mut totals = read(SUMS)?;
            for total in form.columns.as_deref().map(read).transpose()?.unwrap_or_default() {
                if !totals.iter().any(|known| known.is_same(&total)) {
                    totals.push(total);
                }
            }
            let needs = needs_of(by.iter().chain(totals.iter().map(Total::choice)))?;
            let mut grouping = Grouping { by, totals, order: None, limit: form.limit };
            grouping.order = form.sort.as_deref().map(|name| column(&grouping, name)).transpose()?;
            (Chosen::Groups(grouping), needs)
        } else if form.is_columns() {
            let of_options = || {
                let time = if args.events { TIME } else { "" };
                format!("{time}{}", names_of_options(catalog, shown, tables))
            };
            let names = form.columns.clone().unwrap_or_else(of_options);
            let mut choices = choices(&names)?;
            let tells_netns = |choice: &Choice| choice.named().field.groups.intersects(FieldGroups::NETNS);
            if args.netns.is_some() && !choices.iter().any(tells_netns) {
                let netns = Choice::new(catalog, NETNS).map_err(|error| bad_name(&error))?;
                choices.insert(0, netns);
            }
            let needs = needs_of(choices.iter())?;
            (Chosen::Columns(choices), needs)
        } else if form.is_json() {
            (Chosen::Shown, catalog.value_needs(shown))
        } else {
            (Chosen::Shown, catalog.needs(shown.union(FieldGroups::COLUMNS)))
        };
        let mut unmet = Needs::NONE;
        if args.numeric {
            unmet = unmet.union(Needs::SERVICES);
        }
        if !args.resolve {
            unmet = unmet.union(Needs::HOSTS);
        }
        Ok(Self { form: form.clone(), chosen, needs, unmet, tables })
    }

    /// What the listing needs from the kernel and from enrichment.
    pub(crate) fn needs(&self) -> Needs {
        self.needs
    }

    /// The name of the first column or group for which `is_so` holds.
    pub(crate) fn name_of(&self, is_so: &dyn Fn(&Choice) -> bool) -> Option<&str> {
        let choices: Vec<&Choice> = match &self.chosen {
            Chosen::Shown => Vec::new(),
            Chosen::Columns(choices) => choices.iter().collect(),
            Chosen::Groups(grouping) => {
                grouping.by.iter().chain(grouping.totals.iter().map(Total::choice)).collect()
            }
        };
        choices.into_iter().find(|choice| is_so(choice)).map(Choice::name)
    }

    /// A notice for a field asked for by name that no socket can report here: an option or a
    /// privilege is missing.
    pub(crate) fn withheld(&self, args: &Args, order: &Order) -> Option<Notice> {
        let is_netns = |choice: &Choice| choice.named().field.groups.intersects(FieldGroups::NETNS);
        if args.netns.is_none()
            && let Some(field) = self.name_of(&is_netns)
        {
            return Some(Notice::Withheld { field: field.to_owned(), without: "--netns" });
        }
        let named = |needs: Needs| {
            let chosen = self.name_of(&|choice| choice.needs().intersects(needs));
            chosen.or_else(|| order.name_with(needs)).map(str::to_owned)
        };
        sys::withheld(&named)
    }

    /// The order of rows, and their limit.
    pub(crate) fn order(&self, catalog: &Catalog) -> Result<Order, Exit> {
        if matches!(self.chosen, Chosen::Groups(_)) {
            return Ok(Order::default());
        }
        let sort = self.form.sort.as_deref().map(|names| self.as_columns_are_called(names));
        let order = Order::of(catalog, sort.as_deref(), self.form.limit, self.tables);
        let order = order.map_err(|error| bad_name(&error))?;
        match order.name_with(Needs::TWO_LOOKS) {
            Some(name) => Err(words::two_looks(name)),
            None => Ok(order),
        }
    }

    /// Resolves the names of `--sort`: a short name that is the title of a column means that
    /// column, even if its full name depends on the other columns.
    fn as_columns_are_called(&self, names: &str) -> String {
        let Chosen::Columns(choices) = &self.chosen else { return names.to_owned() };
        let called = |name: &str| {
            let (sign, short) = name.strip_prefix('-').map_or(("", name), |short| ("-", short));
            let is_it = |choice: &&Choice| choice.name().strip_prefix("process.") == Some(short);
            format!("{sign}{}", choices.iter().find(is_it).map_or(short, Choice::name))
        };
        names.split(',').map(called).collect::<Vec<_>>().join(",")
    }

    /// Opens the listing; `endless` listings print rows until the program is stopped.
    pub(crate) fn open(self, opening: &Opening<'_>, endless: bool) -> io::Result<Listing> {
        let shape = self.form.separated.unwrap_or(Shape::Aligned);
        let header = !opening.look.no_header;
        let catalog = opening.catalog;
        if self.form.is_json() {
            let form = match &self.form {
                // A document would never end.
                _ if endless => json::Form::Lines,
                Form { json_lines: true, .. } => json::Form::Lines,
                Form { pretty: true, .. } => json::Form::Pretty,
                _ => json::Form::Document,
            };
            let header = json_header(opening.words, opening.sources);
            let before = json::Opening { header: &header, summary: opening.summary };
            return Ok(match self.chosen {
                Chosen::Shown => {
                    let groups = opening.look.style.groups;
                    Listing::Json(Box::new(Json::new(
                        catalog,
                        groups,
                        self.unmet,
                        form,
                        &before,
                        Box::new(Stdout),
                    )?))
                }
                Chosen::Columns(choices) => {
                    Listing::Json(Box::new(Json::chosen(choices, form, &before, Box::new(Stdout))?))
                }
                Chosen::Groups(grouping) => {
                    let json = Json::groups(form, &before, Box::new(Stdout))?;
                    Listing::Groups(Box::new(Groups::json(grouping, json)))
                }
            });
        }
        Ok(match self.chosen {
            Chosen::Columns(choices) => {
                Listing::Columns(Box::new(Columns::new(choices, shape, header, Box::new(Stdout))?))
            }
            Chosen::Groups(grouping) => {
                Listing::Groups(Box::new(Groups::new(grouping, shape, header, Box::new(Stdout))?))
            }
            Chosen::Shown => Listing::Text(Box::new(SsText::new(catalog, opening.look, Box::new(Lossy))?)),
        })
    }
}

/// The columns if the user names none: the standard ones and those that the options ask for,
/// with one column per member where a field is a list of records.
fn names_of_options(catalog: &Catalog, shown: FieldGroups, tables: TableSet) -> String {
    let mut names = vec![COLUMNS.to_owned()];
    for field in catalog.asked(tables, shown) {
        match field.kind.members() {
            [] => names.push(field.name.to_owned()),
            members => names.extend(members.iter().map(|member| format!("{}.{}", field.name, member.name))),
        }
    }
    names.join(",")
}

/// The needs of these choices; an error for a field that two looks are needed for.
fn needs_of<'c>(mut choices: impl Iterator<Item = &'c Choice>) -> Result<Needs, Exit> {
    choices.try_fold(Needs::NONE, |needs, choice| {
        if choice.needs().has(Needs::TWO_LOOKS) {
            return Err(words::two_looks(choice.name()));
        }
        Ok(needs.union(choice.needs()))
    })
}

fn bad_name(error: &ChoiceError) -> Exit {
    Exit::error(Exit::USAGE, format!("ss: {error}; --columns help lists all"))
}

fn bad_total(error: &TotalError) -> Exit {
    match error {
        TotalError::Field(error) => bad_name(error),
        error => Exit::error(Exit::USAGE, format!("ss: {error}")),
    }
}

/// The column of the groups that `--sort` names, and whether it sorts descending.
fn column(grouping: &Grouping, name: &str) -> Result<(usize, bool), Exit> {
    let (name, down) = name.strip_prefix('-').map_or((name, false), |name| (name, true));
    let at = grouping.column(name);
    let names: Vec<String> = grouping.names().collect();
    let wrong = || format!("ss: groups cannot be sorted by \"{name}\", only by {}", names.join(", "));
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
    /// Writes the end of the output, after the last row.
    pub(crate) fn end(&mut self, said: &Said) -> io::Result<()> {
        match self {
            Self::Text(_) | Self::Columns(_) => Ok(()),
            Self::Json(json) => json.end(&said.trailer()),
            Self::Groups(groups) => groups.end(&said.trailer()),
        }
    }
}

/// Returns an error for options that cannot be combined.
fn check(args: &Args) -> Result<(), Exit> {
    let form = &args.form;
    const NO_END: &str = ": there is no last row";
    let clashes = [
        (form.json_lines && form.pretty, "--jsonl and --pretty", ""),
        (form.is_json() && form.separated.is_some(), "JSON (-j, --jsonl, --pretty) and --csv or --tsv", ""),
        (
            args.summary && form.separated.is_some() && !args.only_summary(),
            "--summary, a list of sockets and --csv or --tsv",
            ": they are two tables, so ask for each by itself",
        ),
        // A destroyed socket is shown at the moment it is destroyed, so rows cannot be sorted.
        (args.destroys() && form.sort.is_some() && form.group_by.is_none(), "--kill and --sort", ""),
        (args.events && args.kill_dry_run, "--events and --kill-dry-run", ""),
        (args.events && form.sort.is_some(), "--events and --sort", NO_END),
        (args.events && form.group_by.is_some(), "--events and --group-by", NO_END),
    ];
    match clashes.iter().find(|(clash, ..)| *clash) {
        None => Ok(()),
        Some((_, what, why)) => {
            Err(Exit::error(Exit::USAGE, format!("ss: {what} cannot be used together{why}")))
        }
    }
}

/// The messages printed beside the rows, kept for a document that will contain them.
#[derive(Debug, Default)]
pub(crate) struct Said {
    keep: bool,
    notes: Notes,
    failures: Notes,
}

impl Said {
    /// Starts empty; keeps nothing if `keep` is false.
    pub(crate) fn new(keep: bool) -> Self {
        Self { keep, ..Self::default() }
    }

    /// Sets the network namespace that the next messages are about.
    pub(crate) fn namespace(&mut self, of: Option<&Netns>) {
        self.notes.namespace(of);
        self.failures.namespace(of);
    }

    /// Keeps a notice.
    pub(crate) fn notice(&mut self, notice: &Notice) {
        if self.keep {
            self.notes.add(words::line(notice));
        }
    }

    /// Keeps the error of a table that could not be read.
    pub(crate) fn failure(&mut self, failure: &DumpError) {
        if self.keep {
            self.failures.add(failure.to_string());
        }
    }

    /// Keeps the reason why the program exits.
    pub(crate) fn end(&mut self, exit: &Exit) {
        if let Exit::Error { stderr, .. } = exit
            && self.keep
        {
            self.failures.namespace(None);
            let lines = stderr.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            lines.for_each(|line| self.failures.add(String::from_utf8_lossy(line).into_owned()));
        }
    }

    fn trailer(&self) -> Trailer {
        Trailer { notes: self.notes.lines(), failures: self.failures.lines() }
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
