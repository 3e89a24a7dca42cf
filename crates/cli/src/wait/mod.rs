//! `sockdiag wait`: waits until the kernel's socket tables meet a condition, without
//! connecting to anything.
//!
//! The kernel sends no event when a socket starts listening, so `wait` polls, as often
//! as its CPU share allows.  If the filter leaves a single TCP port, it makes exact
//! look-ups between two polls; they are so cheap that one is made every few
//! milliseconds.  The kernel does report closed sockets to processes it allows to
//! subscribe; a wait for an end uses that event, and polls otherwise.
//!
//! Invariant: an answer is given only when a second look, on its own netlink sockets,
//! confirms it.
//!
//! Invariant: `wait` reports that nothing is there only if it could see everything.

mod condition;
mod news;
mod pace;
mod sight;

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::time::{Duration, Instant};

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, value_parser};
use sockdiag::Session;
use sockdiag::fields::{Choice, Needs};
use sockdiag::model::{Selected, Table};
use sockdiag_options::{Key, option};
use sockdiag_render::columns::Shape;

use crate::end::{End, Status};
use crate::options::{self, Asked};
use crate::output::{PATIENCE, Stream, write_by};
use crate::over_time;
use crate::question::{self, question};
use crate::time_span;
use condition::Condition;
use news::News;
use pace::Pace;
use sight::{Answer, Sight};

/// The columns of the sockets that were found.
const COLUMNS: &str = "netid,state,local.addr,local.port,remote.addr,remote.port,processes";
/// The same for listeners, which have no peer.
const LISTENER_COLUMNS: &str = "netid,local.addr,local.port,processes";
/// Further columns with several namespaces.
const NETNS_COLUMN: &str = "netns.name,netns.inode,";
/// For how long consecutive looks may fail.
const FAILING: Duration = Duration::from_secs(1);

/// Examples for the help text.
pub(crate) const EXAMPLES: &[(&str, &str)] = &[
    ("sockdiag wait sport = :8080", "Wait until a process listens on port 8080, and print it."),
    (
        "sockdiag wait --timeout 5s sport = :5432 -- psql -c 'select 1'",
        "Wait until PostgreSQL listens, then run psql.",
    ),
    ("sockdiag wait --established 4 dport = :6379", "Wait until there are 4 connections to port 6379."),
    (
        "sockdiag wait --drained --timeout 2m sport = :443",
        "Wait until the connections to port 443 have ended.",
    ),
    ("sockdiag wait --gone -u sport = :53", "Wait until UDP port 53 is free."),
];

/// The sub-command.
pub(crate) fn command() -> Command {
    let flag = |id: &'static str, name: &'static str, help: &'static str| {
        Arg::new(id).long(name).help(help).action(ArgAction::SetTrue).help_heading("What to wait for")
    };
    let shown =
        [Key::Columns, Key::Csv, Key::Tsv].map(|key| options::arg(option(key)).help_heading("Output"));
    let command = Command::new("wait")
        .about("Wait until a socket listens, is connected or is gone, without connecting to it")
        .long_about(
            "Waits until the kernel's socket tables meet the condition.  It only queries the kernel and \
             never connects, so no server sees a connection from it.  It prints the listener that it found, \
             with its process if permissions allow.  Without a table option it waits for TCP.\n\nIt uses at \
             most half a per cent of a core while it waits: the more a query costs, the less often it \
             queries.  It usually detects a new listener on a port within about 10 ms.",
        )
        .arg(flag("until-listening", "listening", "Wait until a socket listens (default)"))
        .arg(
            Arg::new("until-established")
                .long("established")
                .value_name("N")
                .help("Wait until there are at least N connections")
                .value_parser(value_parser!(u64).range(1..))
                .allow_negative_numbers(true)
                .help_heading("What to wait for"),
        )
        .arg(flag("until-gone", "gone", "Wait until no socket is left; TIME-WAIT does not count"))
        .arg(flag(
            "until-drained",
            "drained",
            "Wait until no connection is left; listeners and TIME-WAIT do not count",
        ))
        .group(ArgGroup::new("condition").args([
            "until-listening",
            "until-established",
            "until-gone",
            "until-drained",
        ]))
        .arg(
            Arg::new("any")
                .long("any")
                .help("Accept several listeners on different ports (otherwise status 4)")
                .action(ArgAction::SetTrue)
                .conflicts_with_all(["until-established", "until-gone", "until-drained"])
                .help_heading("What to wait for"),
        )
        .arg(
            Arg::new("timeout")
                .long("timeout")
                .value_name("TIME")
                .help("How long to wait: 500ms, 30s, 2m, inf; 0 checks once")
                .default_value("30s")
                .allow_negative_numbers(true)
                .value_parser(timeout)
                .help_heading("What to wait for"),
        )
        .arg(
            Arg::new("quiet")
                .long("quiet")
                .short('q')
                .help("Do not print the sockets that were found; only set the exit status")
                .action(ArgAction::SetTrue)
                .help_heading("Output"),
        )
        .args(shown);
    // The filter comes first of the two positional arguments.
    options::with_selection(command, false).arg(
        Arg::new("COMMAND")
            .last(true)
            .num_args(1..)
            .help(
                "Command to run once the condition holds, replacing this program; the sockets found are \
                    then printed to stderr",
            )
            .value_parser(value_parser!(OsString)),
    )
}

/// How long to wait; `None` for no limit.
fn timeout(text: &str) -> Result<Option<Duration>, &'static str> {
    if text == "inf" { Ok(None) } else { time_span::parse(text).map(Some) }
}

/// Runs the sub-command.
pub(crate) fn run(matches: &ArgMatches) -> Result<(), End> {
    let wait = Wait::of(matches)?;
    let answer = wait.answer()?;
    wait.finish(&answer, matches.get_many::<OsString>("COMMAND").into_iter().flatten())
}

/// The wait that the command line asks for.
struct Wait {
    condition: Condition,
    asked: Asked,
    selected: Selected,
    any: bool,
    quiet: bool,
    /// How long to wait, and when that is over.
    timeout: Option<Duration>,
    end: Option<Instant>,
    columns: String,
    shape: Shape,
}

impl Wait {
    fn of(matches: &ArgMatches) -> Result<Self, End> {
        let condition = Condition::of(matches);
        let mut asked = Asked::of(matches)?;
        asked.is_about_listeners = condition == Condition::Listening;
        let lists_fields = matches.get_one::<String>("columns").is_some_and(|names| names == "help");
        if !asked.has_filter() && !lists_fields {
            return Err(End::usage("wait needs a filter, such as: sockdiag wait sport = :8080"));
        }
        if asked.names_states && condition != Condition::Gone {
            return Err(End::usage(
                "states can only be given with --gone; the other conditions imply their states",
            ));
        }
        if !asked.names_tables {
            asked.selection.add_table(Table::Tcp);
        }
        let mut selected = asked.selection.resolve().map_err(|empty| End::usage(empty.to_string()))?;
        if !asked.names_states {
            selected.states = condition.states(selected.tables);
        }
        let columns = matches.get_one::<String>("columns").cloned().unwrap_or_else(|| {
            let netns = if asked.netns.is_some() { NETNS_COLUMN } else { "" };
            let columns = if condition == Condition::Listening { LISTENER_COLUMNS } else { COLUMNS };
            format!("{netns}{columns}")
        });
        let shape = match (matches.contains_id("csv"), matches.contains_id("tsv")) {
            (true, _) => Shape::Csv,
            (_, true) => Shape::Tsv,
            _ => Shape::Aligned,
        };
        let timeout = matches.get_one::<Option<Duration>>("timeout").copied().flatten();
        // A timeout beyond the clock's range means no limit.
        let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let (any, quiet) = (matches.get_flag("any"), matches.get_flag("quiet"));
        Ok(Self { condition, asked, selected, any, quiet, timeout, end, columns, shape })
    }

    /// Waits until the condition holds or the time is up.
    fn answer(&self) -> Result<Answer, End> {
        // Report errors in them before waiting.
        let choices = over_time::choices(&self.columns, &self.selected)?;
        let mut session = question::open(&self.asked, self.selected, Needs::NONE)?;
        over_time::refuse_judged(&session)?;
        let of_two_looks = session.filter().and_then(|filter| filter.field_with(Needs::TWO_LOOKS));
        let shown = choices.iter().find(|choice| choice.needs().intersects(Needs::TWO_LOOKS));
        if let Some(name) =
            of_two_looks.map(|field| field.name).or(shown.map(|choice| choice.named().field.name))
        {
            return Err(End::usage(format!("\"{name}\" compares two polls: use sockdiag top or watch")));
        }
        let mut news = self.news(&mut session);
        let mut looks = news.looks();
        let mut pace = Pace::begin();
        let mut failing_since: Option<Instant> = None;
        let (mut told, mut is_first, mut who) = (Vec::new(), true, None);
        loop {
            let sight = Sight::look(&mut session, self.condition.enough())?;
            sight.tell(&mut told);
            let holds = self.condition.holds(sight.rows);
            match &sight.failure {
                // Rows read before a failure still count.
                Some(_) if holds && !self.condition.is_of_absence() => {}
                Some(why) => {
                    let since = *failing_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= FAILING || self.is_over() {
                        return Err(End::unseen(why));
                    }
                }
                None => failing_since = None,
            }
            if let Some(gone) = &sight.gone {
                return Err(End::unseen(gone));
            }
            if let Some(unseen) = sight.unseen.as_ref().filter(|_| self.condition.is_of_absence()) {
                return Err(End::unseen(format!("cannot tell whether any socket is left: {unseen}")));
            }
            if holds && (sight.is_whole() || !self.condition.is_of_absence()) {
                let answer = self.confirm(&mut who, &choices, &mut told)?;
                if self.condition.holds(answer.rows) && (answer.is_whole || !self.condition.is_of_absence()) {
                    return Ok(answer);
                }
            }
            if self.is_over() {
                return Err(self.time_is_up(&sight));
            }
            if is_first {
                // Prepare now, while waiting anyway: it takes longer than a look.
                let mut session = self.who(&choices)?;
                session.prepare();
                who = Some(session);
            }
            let mut cost = pace.lap();
            if std::mem::take(&mut is_first) {
                // The first look also opened and read what later ones reuse.
                cost = Duration::ZERO;
            }
            let left = self.end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
            let pause = looks.pause(cost, pace.has_credit()).max(pace.owed());
            news.wait(&mut pace, pause.min(left));
        }
    }

    /// Makes a second look, which also finds the processes to report.
    fn confirm(
        &self,
        who: &mut Option<Session>,
        choices: &[Choice],
        told: &mut Vec<String>,
    ) -> Result<Answer, End> {
        let mut opened = match who {
            Some(_) => None,
            None => Some(self.who(choices)?),
        };
        let Some(session) = who.as_mut().or(opened.as_mut()) else {
            return Err(End::unseen("no session is open"));
        };
        Answer::look(session, choices.to_vec(), self.shape, told)
    }

    /// The session of the second look.
    fn who(&self, choices: &[Choice]) -> Result<Session, End> {
        let mut needs = Needs::NONE;
        if !self.quiet && !self.condition.is_of_absence() {
            needs = choices.iter().fold(needs, |needs, choice| needs.union(choice.needs()));
        }
        Ok(Session::open(question(&self.asked, self.selected, needs))?)
    }

    /// The events that can trigger an early look.
    fn news(&self, session: &mut Session) -> News {
        if !self.condition.is_of_absence() {
            return session.probe().map_or(News::None, News::of_listeners);
        }
        // The kernel reports closed sockets without their holders.
        if session.needs().has(Needs::PROCESSES) {
            return News::None;
        }
        // With several namespaces, or if the kernel refuses to report, polling must do.
        let follow =
            Session::once(question(&self.asked, self.selected, Needs::NONE)).and_then(Session::follow);
        follow.map_or(News::None, News::of_ends)
    }

    fn is_over(&self) -> bool {
        self.end.is_some_and(|end| end <= Instant::now())
    }

    fn time_is_up(&self, sight: &Sight) -> End {
        let missed = self.condition.missed(sight.rows);
        let time = self.timeout.unwrap_or_default();
        let said = format!("{missed} after {time:?}");
        match &sight.unseen {
            // The socket may be somewhere that could not be inspected.
            Some(unseen) => End::unseen(format!("{said}, as far as can be seen: {unseen}")),
            None => End::new(Status::TimeUp, said),
        }
    }

    /// Prints what was found, and runs the command, if there is one.
    fn finish<'c>(
        &self,
        answer: &Answer,
        mut command: impl Iterator<Item = &'c OsString>,
    ) -> Result<(), End> {
        let several = self.condition == Condition::Listening && !self.any && answer.services > 1;
        let program = command.next();
        let stream = if program.is_some() { Stream::Err } else { Stream::Out };
        let mut written = Ok(());
        if !self.quiet && !self.condition.is_of_absence() {
            let patience = Instant::now() + PATIENCE;
            written = write_by(stream, &answer.report, self.end.map(|end| end.max(patience)));
        }
        if several {
            let services = answer.services;
            return Err(End::new(
                Status::Several,
                format!("{services} services match, but only one is expected; --any accepts several"),
            ));
        }
        let Some(program) = program else {
            return written.map_err(|error| End::unwritten(&error));
        };
        // The standard library restores SIGPIPE for programs that it runs.
        let error = std::process::Command::new(program).args(command).exec();
        let status = match error.kind() {
            io::ErrorKind::NotFound => Status::NotFound,
            _ => Status::NotExecutable,
        };
        Err(End::new(status, format!("cannot run {}: {error}", program.display())))
    }
}
