//! `sockdiag top`: a screen on a terminal ([`live`]), else batch output: frames of sockets
//! with their rates.
//!
//! Invariant: a frame is written completely before the next look, and includes the sockets
//! that ended since the previous look, so that its sums are complete.

mod key_bytes;
mod live;
mod preset;
mod rank;

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use sockdiag::Sink as _;
use sockdiag::fields::{Catalog, Choice, Needs};
use sockdiag::model::{Row, Selected};
use sockdiag::notice::Notice;
use sockdiag::observer::{Frame, FrameSink, Seen, Unless};
use sockdiag::past::CounterSet;
use sockdiag::source::DumpError;
use sockdiag_options::{Key, option};
use sockdiag_render::columns::{Columns, Shape};
use sockdiag_render::groups::{Grouping, Groups, Total, totals};
use sockdiag_render::json::{Form, Header, Json, Opening, Trailer};
use sockdiag_render::lead::Lead;
use sockdiag_screen::{COUNT, counted};

use crate::doctor::rounds::{Known, Rounds, Subject, lent};
use crate::end::End;
use crate::options::{self, Asked};
use crate::output::{Stdout, write_all};
use crate::over_time::{self, Clock, Told};
use preset::{PRESETS, WHO, columns_of};
use rank::Rank;

/// Examples for the help text.
pub(crate) const EXAMPLES: &[(&str, &str)] = &[
    ("sockdiag top --batch --limit 10", "The ten busiest connections, every second."),
    ("sockdiag top --batch --group-by comm", "Throughput by program."),
    (
        "sockdiag top --batch --preset latency --limit 10",
        "Connections with the longest round-trip times first.",
    ),
    (
        "sockdiag top --iterations 2 --interval 10s --preset loss dport = :443",
        "Connections that lose packets, over ten seconds.",
    ),
    (
        "sockdiag top --batch 'ended = reset,timeout,aborted,failed'",
        "Connections that end with a reset, a timeout or another error.",
    ),
    (
        "sockdiag top --jsonl --columns remote.addr,goodput,comm 'goodput > 1Mbit'",
        "Busy connections, as JSON lines for a program.",
    ),
];

/// The help text about cells.
const CELLS: &str = "Aligned text shows units: rates in bit/s, times in us, ms or s, bytes in kB or MB (of \
     1000), shares in percent.  --csv, --tsv and --jsonl have plain numbers under full names, which end in \
     the unit.  A cell is - if the value is unknown: the first frame has no rates, and a socket that counts \
     no bytes never has any.  A process is shown as PID/DESCRIPTOR/NAME; it is - without the privilege to \
     inspect other users' processes, and for a socket that opened and closed between two frames.  `drops` \
     counts segments and datagrams that the socket discarded on receive; a healthy connection has some, \
     too, such as duplicate segments, and a listener also counts resets from clients.";

/// The sub-command.
pub(crate) fn command() -> Command {
    let shown = [Key::Columns, Key::Sort, Key::Limit, Key::GroupBy, Key::Csv, Key::Tsv];
    let shown = shown.map(|key| {
        let arg = options::arg(option(key)).help_heading("Output");
        match key {
            Key::Columns => arg.help(COLUMNS).long_help(COLUMNS),
            _ => arg,
        }
    });
    let presets = PRESETS.iter().map(|preset| format!("{} ({})", preset.name, preset.doc));
    let command = Command::new("top")
        .about("Show throughput, latency and loss of sockets and processes, continuously updated")
        .long_about(format!(
            "Polls the sockets repeatedly and shows a frame (a snapshot) for each poll, with rates, shares \
             and ratios since the previous frame.  On a terminal it is a live screen, which lists its keys \
             when ? is pressed and ignores --limit, since it scrolls.  In a pipe, and with --batch, --once, \
             --iterations, --csv, --tsv or --jsonl, it writes frames one after another.  A frame includes \
             the sockets that ended since the previous frame, so that sums are complete: `ended` says how \
             they and the connections in TIME-WAIT ended, and is - for all others.  Without a table option \
             it shows TCP; sockets of other tables count no bytes.\n\n{CELLS}\n\nbytes_sent counts \
             retransmitted bytes each time they are sent; bytes_acked and bytes_received count a SYN and a \
             FIN as one byte each, as the kernel does.",
        ))
        .arg(over_time::interval())
        .arg(over_time::stay())
        .arg(
            Arg::new("iterations")
                .long("iterations")
                .value_name("N")
                .help("Stop after N frames (default: run until interrupted)")
                .value_parser(value_parser!(u64).range(1..))
                .allow_negative_numbers(true)
                .help_heading(over_time::WHEN),
        )
        .arg(
            Arg::new("once")
                .long("once")
                .help("Show one frame without rates, which need two frames: same as --iterations 1")
                .action(ArgAction::SetTrue)
                .conflicts_with("iterations")
                .help_heading(over_time::WHEN),
        )
        .arg(
            Arg::new("preset")
                .long("preset")
                .value_name("NAME")
                .help(format!(
                    "Use the fields and the order of a preset: {}",
                    presets.collect::<Vec<_>>().join(", ")
                ))
                .conflicts_with("columns")
                .value_parser(PossibleValuesParser::new(PRESETS.iter().map(|preset| preset.name)))
                .help_heading("Output"),
        )
        .args(shown)
        .arg(
            Arg::new("jsonl")
                .long("jsonl")
                .help("Write one JSON object per line, with `frame` and `time`")
                .action(ArgAction::SetTrue)
                .conflicts_with_all(["csv", "tsv"])
                .help_heading("Output"),
        );
    options::with_selection(command.args(live::args()), true)
}

/// Runs the sub-command.
pub(crate) fn run(matches: &ArgMatches) -> Result<(), End> {
    let mut asked = Asked::of(matches)?;
    let selected = over_time::selected(&mut asked)?;
    over_time::list_on_help(matches.get_one::<String>("sort").map_or("", String::as_str), &selected)?;
    if live::is_wanted(matches) {
        return live::run(matches, &asked, selected);
    }
    let mut told = Told::default();
    let mut plan = Plan::new(matches, &asked, &selected, &mut told)?;
    let needs = plan.needs();
    let mut observer =
        over_time::observer(matches, &asked, selected, needs.minus(Needs::FINDINGS), Vec::new())?;
    if plan.groups.is_none() && plan.rank.needs_no_idle() {
        observer.pass_over(Some(Unless::Counters));
    }
    let rounds = needs.has(Needs::FINDINGS).then(|| Rounds::start(Subject::new(&asked, selected)));
    let iterations =
        if matches.get_flag("once") { Some(1) } else { matches.get_one::<u64>("iterations").copied() };
    let mut clock = Clock::of(matches);
    for number in 0.. {
        let lead = Lead::default().number("frame", number).text("time", &over_time::time());
        let sheet = plan.open(number == 0, &lead).map_err(|error| End::unwritten(&error))?;
        let found = match rounds.as_ref().and_then(|rounds| rounds.desk().known()) {
            Some(Ok(known)) => Some(known),
            Some(Err(why)) => return Err(End::unseen(format!("the doctor failed: {why}"))),
            None => None,
        };
        let mut page = Page { sheet, rank: &mut plan.rank, told: &mut told, found };
        let frame = observer.look(&mut page).map_err(over_time::failed)?;
        if number == 0
            && frame.sockets == 0
            && let Some(failure) = frame.failures.first()
        {
            return Err(End::unseen(failure.to_string()));
        }
        if frame.lost > 0 {
            let sockets = counted(frame.lost, "socket");
            page.told.text(format!("{sockets} closed unreported before frame {number}"));
        }
        if frame.missed > 0 {
            let sockets = counted(frame.missed, "socket");
            page.told.text(format!(
                "{sockets} would have been omitted from frame {number} as idle although something had \
                 changed: this is a bug in sockdiag, please report it"
            ));
        }
        page.told.unheld(&frame);
        let is_headed = plan.shape == Shape::Aligned && !plan.json;
        let heading = is_headed.then(|| heading(&frame, plan.has_rates, iterations == Some(1)));
        page.end(heading.as_deref()).map_err(|error| End::unwritten(&error))?;
        if iterations.is_some_and(|iterations| number + 1 >= iterations) {
            break;
        }
        clock.wait();
    }
    Ok(())
}

/// The layout of frames.
struct Plan {
    shape: Shape,
    json: bool,
    columns: Vec<Choice>,
    /// The fields to group by, the totals, and the column to sort by.
    groups: Option<Grouped>,
    rank: Rank,
    /// Whether a column compares two frames.
    has_rates: bool,
}

/// The setup of groups, which are built again for each frame.
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
            // Cells of these sockets are empty, which is not zero.
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
            // Report errors in them before the first look.
            let _: Grouping = groups.grouping()?;
        }
        let sort = match (&groups, sort) {
            (Some(_), _) => None,
            (None, Some(sort)) => Some(sort),
            // With chosen columns but no `--sort`, rows keep the order of the dump.
            (None, None) => text("columns").is_none().then_some(preset.sort),
        };
        let limit = if groups.is_some() { None } else { limit };
        let mut rank = Rank::new(sort, limit, selected.tables)?;
        if sort.is_some_and(|sort| sort == preset.sort)
            && let Some((name, most)) = preset.last
        {
            let choice = over_time::choices(name, selected)?.into_iter().next();
            rank = rank.last(choice.map(|choice| (choice, most.into())));
        }
        let columns = over_time::choices(&columns, selected)?;
        let mut plan =
            Self { shape, json: matches.get_flag("jsonl"), columns, groups, rank, has_rates: false };
        plan.has_rates = plan.compares();
        Ok(plan)
    }

    /// What the session must collect.
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

    /// Whether a shown number compares two frames.
    fn compares(&self) -> bool {
        let compares = |choice: &Choice| choice.is_number() && choice.needs().counters() != CounterSet::EMPTY;
        match &self.groups {
            None => self.columns.iter().any(compares),
            Some(groups) => groups.totals().unwrap_or_default().iter().any(|total| compares(total.choice())),
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
        // The count is a separate column.
        let names: Vec<&str> = self.names.split(',').filter(|name| name.trim() != COUNT).collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let totals = totals(Catalog::shared(), &names.join(","), self.selected.tables);
        let totals = totals.map_err(|error| End::usage(error.to_string()))?;
        Ok(totals.into_iter().map(Total::with_units).collect())
    }

    fn grouping(&self) -> Result<Grouping, End> {
        let mut grouping =
            Grouping { by: self.by.clone(), totals: self.totals()?, order: None, limit: self.limit };
        // By default the group with the largest first total comes first.
        let first = grouping.by.len() + 1;
        grouping.order = match self.sort.as_deref() {
            None => (!grouping.totals.is_empty()).then_some((first, true)),
            Some(name) => {
                let (name, down) = name.strip_prefix('-').map_or((name, false), |name| (name, true));
                let column = grouping.column(name).ok_or_else(|| {
                    let names: Vec<String> = grouping.names().collect();
                    End::usage(format!("groups can be sorted by one of {}", names.join(", ")))
                })?;
                Some((column, down))
            }
        };
        Ok(grouping)
    }
}

/// The help text of the columns.
const COLUMNS: &str = "Shows these fields instead of a preset; for groups also FUNCTION(FIELD) with sum, \
     avg, min, max or p95.  --columns help lists the fields of the selected tables, with unit and meaning.";

/// The line above a frame.
fn heading(frame: &Frame, has_rates: bool, is_only: bool) -> String {
    let Frame { number, sockets, opened, closed, brief, lost, .. } = *frame;
    let gap = if number > 0 { "\n" } else { "" };
    let (time, sockets) = (over_time::time(), counted(sockets, "socket"));
    let rates = match () {
        () if number > 0 || !has_rates => "",
        () if is_only => "; rates need two frames",
        () => "; rates start with frame 1",
    };
    let changes =
        if number > 0 { format!(", {} opened, {closed} closed", opened + brief) } else { String::new() };
    let brief = if brief > 0 { format!(" ({brief} did both)") } else { String::new() };
    let lost = if lost > 0 { format!(", {lost} more closed unreported") } else { String::new() };
    format!("{gap}{time} frame {number}: {sockets}{rates}{changes}{brief}{lost}\n")
}

/// Receives the rows of a frame.
enum Sheet {
    Columns(Box<Columns<'static>>),
    Json(Box<Json<'static>>),
    Groups(Box<Groups<'static>>),
}

/// A frame under construction.
struct Page<'p> {
    sheet: Sheet,
    rank: &'p mut Rank,
    told: &'p mut Told,
    /// The doctor's findings, if they are shown.
    found: Option<Arc<Known>>,
}

impl Page<'_> {
    /// Writes a line about the frame, then the kept rows.
    fn end(mut self, heading: Option<&str>) -> io::Result<()> {
        if let Some(heading) = heading {
            write_all(heading.as_bytes())?;
        }
        let sheet = &mut self.sheet;
        self.rank.drain(|mut rows| match sheet {
            Sheet::Columns(columns) => columns.put_all(rows),
            Sheet::Json(json) => rows.try_for_each(|kept| json.put_kept(kept)),
            Sheet::Groups(_) => Ok(()),
        })?;
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
        let row = &lent(self.found.as_deref(), row);
        match &mut self.sheet {
            Sheet::Columns(columns) => self.rank.take(row, |out| {
                columns.keep(row, out);
                Ok(())
            }),
            Sheet::Json(json) => self.rank.take(row, |out| json.keep(row, out)),
            Sheet::Groups(groups) => {
                let _: ControlFlow<()> = groups.row(row)?;
                Ok(())
            }
        }
    }

    fn is_enough(&mut self) -> bool {
        self.rank.is_enough()
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
