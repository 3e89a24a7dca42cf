//! `sockdiag top`: on a terminal a screen ([`live`]), else in batch form: frames of
//! sockets with their rates.
//!
//! Invariant: a frame is written whole before the next look, and has the sockets
//! that ended since the look before, so that sums over it leave nothing out.

mod live;
mod preset;
mod rank;

use std::io::{self, Write as _};
use std::ops::ControlFlow;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use sockdiag::Sink as _;
use sockdiag::fields::{Catalog, Choice, Needs};
use sockdiag::model::{Row, Selected};
use sockdiag::notice::Notice;
use sockdiag::observer::{Frame, FrameSink, Seen};
use sockdiag::source::DumpError;
use sockdiag_options::{Key, option};
use sockdiag_render::columns::{self, Columns, Shape};
use sockdiag_render::groups::{Grouping, Groups, Total, totals};
use sockdiag_render::json::{Form, Header, Json, Opening, Trailer};
use sockdiag_render::lead::Lead;

use crate::end::End;
use crate::options::{self, Asked};
use crate::output::{Stdout, write_all};
use crate::over_time::{self, Clock, Told};
use preset::{PRESETS, WHO, columns_of};
use rank::Rank;

/// The sub-command.
pub(crate) fn command() -> Command {
    let shown = [Key::Columns, Key::Sort, Key::Limit, Key::GroupBy, Key::Csv, Key::Tsv];
    let shown = shown.map(|key| options::arg(option(key)).help_heading("What is shown"));
    let presets = PRESETS.iter().map(|preset| format!("{} ({})", preset.name, preset.doc));
    let command = Command::new("top")
        .about("Show sockets with their rates, a frame after each look")
        .long_about(
            "Shows sockets again and again, each time with what they did since the look before: rates, shares, ratios.  On a \
             terminal that is a screen, which lists its keys when ? is pressed and on which --limit has no meaning, as it can be scrolled; \
             in a pipe, and with --batch, --once, --iterations, --csv, --tsv or --jsonl, it is a frame after each look.  The \
             first frame has no rates, as nothing was seen before it.  A frame also has the sockets that ended \
             since the look before, so that sums leave nothing out: `ended` says how, of those and of connections in \
             TIME-WAIT, and is empty for all others.  Without a table option it is about TCP; \
             sockets of other tables count no bytes.",
        )
        .arg(over_time::interval())
        .arg(over_time::stay())
        .arg(
            Arg::new("iterations")
                .long("iterations")
                .value_name("N")
                .help("End after N frames (else it goes on until it is stopped)")
                .value_parser(value_parser!(u64).range(1..))
                .help_heading("When to look"),
        )
        .arg(
            Arg::new("once")
                .long("once")
                .help("One frame, without rates: --iterations 1")
                .action(ArgAction::SetTrue)
                .conflicts_with("iterations")
                .help_heading("When to look"),
        )
        .arg(
            Arg::new("preset")
                .long("preset")
                .value_name("NAME")
                .help(format!("Fields and order for a question: {}", presets.collect::<Vec<_>>().join(", ")))
                .value_parser(PossibleValuesParser::new(PRESETS.iter().map(|preset| preset.name)))
                .help_heading("What is shown"),
        )
        .args(shown)
        .arg(
            Arg::new("jsonl")
                .long("jsonl")
                .help("Write a JSON object a line, with `frame` and `time`")
                .action(ArgAction::SetTrue)
                .conflicts_with_all(["csv", "tsv"])
                .help_heading("What is shown"),
        );
    options::with_selection(command.args(live::args()), true)
}

/// Does it.
pub(crate) fn run(matches: &ArgMatches) -> Result<(), End> {
    let mut asked = Asked::of(matches)?;
    let selected = over_time::selected(&mut asked)?;
    if live::is_wanted(matches) {
        return live::run(matches, &asked, selected);
    }
    let mut told = Told::default();
    let mut plan = Plan::new(matches, &asked, &selected, &mut told)?;
    let mut observer = over_time::observer(matches, &asked, selected, plan.needs(), Vec::new())?;
    let iterations =
        if matches.get_flag("once") { Some(1) } else { matches.get_one::<u64>("iterations").copied() };
    let mut clock = Clock::of(matches);
    for number in 0.. {
        let lead = Lead::default().number("frame", number).text("time", &over_time::time());
        let sheet = plan.open(number == 0, &lead).map_err(|error| End::unwritten(&error))?;
        let mut page = Page { sheet, rank: &mut plan.rank, told: &mut told };
        let frame = observer.look(&mut page).map_err(over_time::failed)?;
        if number == 0
            && frame.sockets == 0
            && let Some(failure) = frame.failures.first()
        {
            return Err(End::unseen(failure.to_string()));
        }
        if frame.lost > 0 {
            page.told.text(format!("{} sockets ended unseen by frame {number}", frame.lost));
        }
        page.end(&frame, plan.shape == Shape::Aligned && !plan.json)
            .map_err(|error| End::unwritten(&error))?;
        if iterations.is_some_and(|iterations| number + 1 >= iterations) {
            break;
        }
        clock.wait();
    }
    Ok(())
}

/// How frames are shown.
struct Plan {
    shape: Shape,
    json: bool,
    columns: Vec<Choice>,
    /// What groups are made by, their totals, and the column of their order.
    groups: Option<Grouped>,
    rank: Rank<Kept>,
}

/// How groups are made; made anew for each frame.
struct Grouped {
    by: Vec<Choice>,
    names: String,
    selected: Selected,
    sort: Option<String>,
    limit: Option<u64>,
}

impl Plan {
    fn new(matches: &ArgMatches, asked: &Asked, selected: &Selected, told: &mut Told) -> Result<Self, End> {
        let text = |name: &str| matches.get_one::<String>(name).map(String::as_str);
        let named = text("preset");
        let Some(preset) = preset::preset(named, selected) else {
            return Err(End::usage("there is no such preset"));
        };
        if named.is_none() && text("columns").is_none() && over_time::some_do_not_count_bytes(selected) {
            // Their cells stay empty, which is not zero.
            told.text(
                if over_time::count_bytes(selected) {
                    "only TCP and MPTCP sockets count bytes: the others have no rates"
                } else {
                    "these sockets do not count bytes: queues and drops are shown instead of rates"
                }
                .to_owned(),
            );
        }
        let limit = matches.get_one::<u64>("limit").copied();
        let shape = match (matches.contains_id("csv"), matches.contains_id("tsv")) {
            (true, _) => Shape::Csv,
            (_, true) => Shape::Tsv,
            _ => Shape::Aligned,
        };
        let columns = text("columns").map_or_else(|| columns_of(preset, asked, WHO), str::to_owned);
        let sort = text("sort");
        let groups = match text("group-by") {
            None => None,
            Some(by) => Some(Grouped {
                by: over_time::choices(by, selected)?,
                names: text("columns").unwrap_or(preset.totals).to_owned(),
                selected: *selected,
                sort: sort.map(str::to_owned),
                limit,
            }),
        };
        if let Some(groups) = &groups {
            // What is wrong with them is said before the first look.
            let _: Grouping = groups.grouping()?;
        }
        let sort = match (&groups, sort) {
            (Some(_), _) => None,
            (None, Some(sort)) => Some(sort),
            // Where the columns are chosen, their order is that of the dump.
            (None, None) => text("columns").is_none().then_some(preset.sort),
        };
        let limit = if groups.is_some() { None } else { limit };
        let rank = Rank::new(sort, limit, selected.tables)?;
        let columns = over_time::choices(&columns, selected)?;
        Ok(Self { shape, json: matches.get_flag("jsonl"), columns, groups, rank })
    }

    /// What has to be asked for.
    fn needs(&self) -> Needs {
        let sorted = over_time::needs(self.rank.choices());
        match &self.groups {
            None => over_time::needs(&self.columns).union(sorted),
            Some(groups) => {
                let totals = groups.totals().unwrap_or_default();
                over_time::needs(&groups.by).union(over_time::needs(totals.iter().map(Total::choice)))
            }
        }
    }

    /// Begins a frame.
    fn open(&self, is_first: bool, lead: &Lead) -> io::Result<Sheet> {
        let opening = Opening { header: &Header::default(), summary: &[] };
        let header = is_first || self.shape == Shape::Aligned;
        if let Some(groups) = &self.groups {
            let grouping = groups.grouping().map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
            if self.json {
                let mut json = Json::groups(Form::Lines, &opening, Box::new(Stdout))?;
                json.lead(lead);
                return Ok(Sheet::Groups(Box::new(Groups::json(grouping, json))));
            }
            let groups = Groups::led(grouping, self.shape, header, lead, Box::new(Stdout))?;
            return Ok(Sheet::Groups(Box::new(groups)));
        }
        if self.json {
            let mut json =
                Json::nested(Catalog::shared(), &self.columns, Form::Lines, &opening, Box::new(Stdout))?;
            json.lead(lead);
            return Ok(Sheet::Json(Box::new(json)));
        }
        let columns = Columns::led(self.columns.clone(), self.shape, header, lead, Box::new(Stdout))?;
        Ok(Sheet::Columns(Box::new(columns)))
    }
}

impl Grouped {
    fn totals(&self) -> Result<Vec<Total>, End> {
        totals(Catalog::shared(), &self.names, self.selected.tables)
            .map_err(|error| End::usage(error.to_string()))
    }

    fn grouping(&self) -> Result<Grouping, End> {
        let mut grouping =
            Grouping { by: self.by.clone(), totals: self.totals()?, order: None, limit: self.limit };
        // Without another order the group whose first total is the largest comes first.
        let first = grouping.by.len() + 1;
        grouping.order = match self.sort.as_deref() {
            None => (!grouping.totals.is_empty()).then_some((first, true)),
            Some(name) => {
                let (name, down) = name.strip_prefix('-').map_or((name, false), |name| (name, true));
                let column = grouping.column(name).ok_or_else(|| {
                    let names: Vec<String> = grouping.names().collect();
                    End::usage(format!("groups are sorted by one of {}", names.join(", ")))
                })?;
                Some((column, down))
            }
        };
        Ok(grouping)
    }
}

/// A row that waits for its place.
enum Kept {
    Cells(columns::Kept),
    Line(Box<[u8]>),
}

/// Where the rows of a frame go.
enum Sheet {
    Columns(Box<Columns<'static>>),
    Json(Box<Json<'static>>),
    Groups(Box<Groups<'static>>),
}

/// A frame while it is made.
struct Page<'p> {
    sheet: Sheet,
    rank: &'p mut Rank<Kept>,
    told: &'p mut Told,
}

impl Page<'_> {
    /// Writes what is kept; `headed` with a line about the frame before it.
    fn end(mut self, frame: &Frame, headed: bool) -> io::Result<()> {
        if headed {
            let mut line = Vec::new();
            if frame.number > 0 {
                line.push(b'\n');
            }
            let Frame { number, sockets, opened, closed, lost, .. } = frame;
            write!(
                line,
                "{} frame {number}: {sockets} sockets, {opened} opened, {closed} closed",
                over_time::time()
            )?;
            if *lost > 0 {
                write!(line, ", {lost} more ended unseen")?;
            }
            line.push(b'\n');
            write_all(&line)?;
        }
        for kept in self.rank.drain() {
            match (&mut self.sheet, &kept) {
                (Sheet::Columns(columns), Kept::Cells(kept)) => columns.put(kept)?,
                (Sheet::Json(json), Kept::Line(kept)) => json.put_kept(kept)?,
                _ => {}
            }
        }
        match &mut self.sheet {
            Sheet::Columns(columns) => columns.flush(),
            Sheet::Json(json) => json.flush(),
            Sheet::Groups(groups) => groups.end(&Trailer::default()),
        }
    }
}

impl FrameSink for Page<'_> {
    type Error = io::Error;

    fn row(&mut self, _: Seen, row: &Row<'_>) -> io::Result<()> {
        match &mut self.sheet {
            Sheet::Columns(columns) => self.rank.take(row, || Ok(Kept::Cells(columns.keep(row)))),
            Sheet::Json(json) => self.rank.take(row, || Ok(Kept::Line(json.keep(row)?))),
            Sheet::Groups(groups) => {
                let _: ControlFlow<()> = groups.row(row)?;
                Ok(())
            }
        }
    }

    fn notice(&mut self, notice: Notice) -> Option<Notice> {
        self.told.notice(&notice);
        None
    }

    fn failure(&mut self, failure: &DumpError) {
        self.told.failure(failure);
    }
}

#[cfg(test)]
mod tests;
