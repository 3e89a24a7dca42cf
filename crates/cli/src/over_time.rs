//! Code shared by `top` and `watch`: the observer, its interval, and messages about the
//! looks.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::{Arg, ArgAction, ArgMatches};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::low_level::{self, pipe};
use sockdiag::civil;
use sockdiag::fields::{Catalog, Choice, Needs};
use sockdiag::model::{Selected, Table, TableSet};
use sockdiag::notice::Notice;
use sockdiag::observer::Frame;
use sockdiag::source::DumpError;
use sockdiag::{Observer, PollError, Session};
use sockdiag_render::field_list;

use crate::end::End;
use crate::options::Asked;
use crate::question;
use crate::time_span;

/// Tables whose sockets count bytes.
const COUNTING: TableSet = TableSet::of(&[Table::Tcp, Table::Mptcp]);
/// The help heading of the options about polling.
pub(crate) const WHEN: &str = "Timing";
/// How many messages are remembered so that each is printed once; further ones repeat.
const MOST_TOLD: usize = 1000;

/// The option that sets the time between looks.
pub(crate) fn interval() -> Arg {
    Arg::new("interval")
        .long("interval")
        .value_name("TIME")
        .help("Polling interval: 500ms, 1s, 1m")
        .default_value("1s")
        .allow_negative_numbers(true)
        .value_parser(time_span::parse_some)
        .help_heading(WHEN)
}

/// The option that ignores new sockets.
pub(crate) fn stay() -> Arg {
    Arg::new("stay")
        .long("stay")
        .help("Show only the sockets of the first poll, not those that open later")
        .long_help(
            "Show only the sockets of the first poll, not those that open later.  If they are few, only \
             they are queried, however many other sockets the machine has.",
        )
        .action(ArgAction::SetTrue)
        .help_heading("Socket selection")
}

/// The selected sockets; those of TCP if no table was named.
pub(crate) fn selected(asked: &mut Asked) -> Result<Selected, End> {
    if !asked.names_tables {
        asked.selection.add_table(Table::Tcp);
    }
    asked.selection.resolve().map_err(|empty| End::usage(empty.to_string()))
}

/// Whether some of the selected tables have sockets that count bytes.
pub(crate) fn count_bytes(selected: &Selected) -> bool {
    selected.tables.intersects(COUNTING)
}

/// Whether some of the selected tables have sockets that do not count bytes.
pub(crate) fn some_do_not_count_bytes(selected: &Selected) -> bool {
    !selected.tables.minus(COUNTING).is_empty()
}

/// Parses field names into columns that print units for people.  `help` lists the fields of
/// the selected tables instead.
pub(crate) fn choices(names: &str, selected: &Selected) -> Result<Vec<Choice>, End> {
    list_on_help(names, selected)?;
    let choices = Choice::list(Catalog::shared(), names, selected.tables);
    let choices = choices.map_err(|error| End::usage(error.to_string()))?;
    Ok(choices.into_iter().map(Choice::with_units).collect())
}

/// Ends the program with the list of fields if `names` is `help`.
pub(crate) fn list_on_help(names: &str, selected: &Selected) -> Result<(), End> {
    if names == "help" {
        return Err(End::listed(field_list::text(Catalog::shared(), Some(selected.tables), None)));
    }
    Ok(())
}

/// What the session must collect for these fields.
pub(crate) fn needs<'c>(choices: impl IntoIterator<Item = &'c Choice>) -> Needs {
    choices.into_iter().fold(Needs::NONE, |needs, choice| needs.union(choice.needs()))
}

/// An observer that reads these fields and reports changes of the watched ones.
pub(crate) fn observer(
    matches: &ArgMatches,
    asked: &Asked,
    selected: Selected,
    needs: Needs,
    watched: Vec<Choice>,
) -> Result<Observer, End> {
    refuse_judged_fields(needs)?;
    if needs.intersects(Needs::FINDINGS) {
        return Err(End::usage("only sockdiag top can show the doctor's findings"));
    }
    let session = question::open(asked, selected, needs)?;
    refuse_judged(&session)?;
    let mut observer =
        if watched.is_empty() { Observer::new(session) } else { Observer::watching(session, watched) };
    if matches.get_flag("stay") {
        observer.stay();
    }
    Ok(observer)
}

/// Refuses to show fields that only the doctor can compute.
pub(crate) fn refuse_judged_fields(needs: Needs) -> Result<(), End> {
    if needs.intersects(Needs::AROUND) {
        return Err(judged_elsewhere("one of the fields for columns, sorting or grouping"));
    }
    Ok(())
}

/// Refuses a filter on fields that only the doctor can compute.
pub(crate) fn refuse_judged(session: &Session) -> Result<(), End> {
    let field_with = |needs| session.filter().and_then(|filter| filter.field_with(needs));
    match (field_with(Needs::AROUND), field_with(Needs::FINDINGS)) {
        (Some(field), _) => Err(judged_elsewhere(field.name)),
        (_, Some(field)) => Err(End::usage(format!(
            "{} cannot be used in a filter, since it is computed after filtering; sockdiag top can show it \
             and sort by it",
            field.name
        ))),
        (None, None) => Ok(()),
    }
}

/// The error for a field that only the doctor can compute, because it depends on the namespace
/// or on other sockets.
pub(crate) fn judged_elsewhere(what: &str) -> End {
    End::usage(format!(
        "{what} is computed from the counters of the namespace or from other sockets; it is only available \
         in rules of sockdiag doctor (--rules FILE)"
    ))
}

/// The error of a look: the output failed, or the question cannot be asked.
pub(crate) fn failed(error: PollError<io::Error>) -> End {
    match error {
        PollError::Sink(error) => End::unwritten(&error),
        PollError::Ask(error) => error.into(),
        error => End::unseen(error.to_string()),
    }
}

/// Schedules looks at equal intervals, however long each look takes.
pub(crate) struct Clock {
    interval: Duration,
    next: Instant,
}

impl Clock {
    /// The first look is due now.
    pub(crate) fn of(matches: &ArgMatches) -> Self {
        let interval = matches.get_one::<Duration>("interval").copied().unwrap_or(Duration::from_secs(1));
        Self { interval, next: Instant::now() }
    }

    /// Waits until the next look is due; missed looks are skipped.
    pub(crate) fn wait(&mut self) {
        let left = self.due();
        std::thread::sleep(left);
    }

    /// The same, but returns early: if one of these descriptors is readable once this part of
    /// the interval has passed; at `end`; and at once if `stop` is readable.
    pub(crate) fn wait_or_read(
        &mut self,
        early: Duration,
        end: Option<Instant>,
        stop: Option<BorrowedFd<'_>>,
        descriptors: &[BorrowedFd<'_>],
    ) {
        let due = self.due();
        let left = end.map_or(due, |end| due.min(end.saturating_duration_since(Instant::now())));
        let first = early.min(left);
        let stop = stop.as_slice();
        if !is_woken(first, stop) && is_woken(left.saturating_sub(first), &[stop, descriptors].concat()) {
            self.next = Instant::now();
        }
    }

    /// The time until the next look, which is scheduled one interval after the last.
    fn due(&mut self) -> Duration {
        let now = Instant::now();
        self.next += self.interval;
        if self.next < now {
            self.next = now;
        }
        self.next.saturating_duration_since(now)
    }
}

/// Waits this long, or until one of the descriptors is readable.
fn is_woken(time: Duration, descriptors: &[BorrowedFd<'_>]) -> bool {
    if descriptors.is_empty() {
        std::thread::sleep(time);
        return false;
    }
    let mut ready: Vec<PollFd<'_>> =
        descriptors.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    // If poll is interrupted or fails, the next look comes early.
    matches!(poll(&mut ready, Timespec::try_from(time).ok().as_ref()), Ok(ready) if ready > 0)
}

/// Catches the signals that end a program, so that it can print a last line first.
pub(crate) struct Stop {
    woken: UnixStream,
    signal: Arc<AtomicUsize>,
}

impl Stop {
    /// Catches signals from now on; a second one ends the program at once.
    ///
    /// # Errors
    /// If the system refuses.
    pub(crate) fn listen() -> io::Result<Self> {
        let (woken, wake) = UnixStream::pair()?;
        let (signal, is_second) = (Arc::default(), Arc::default());
        for number in [SIGINT, SIGTERM] {
            flag::register_conditional_default(number, Arc::clone(&is_second))?;
            flag::register(number, Arc::clone(&is_second))?;
            flag::register_usize(number, Arc::clone(&signal), usize::try_from(number).unwrap_or(0))?;
            pipe::register(number, wake.try_clone()?)?;
        }
        Ok(Self { woken, signal })
    }

    /// Whether a signal came.
    pub(crate) fn is_due(&self) -> bool {
        self.signal.load(Ordering::Relaxed) != 0
    }

    /// Ends the program as the signal would have, if one came.
    pub(crate) fn pass_on(&self) {
        if let Ok(number @ 1..) = i32::try_from(self.signal.load(Ordering::Relaxed)) {
            // If that fails, the program ends normally.
            let _ = low_level::emulate_default_handler(number);
        }
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.woken.as_fd()
    }
}

/// The time of day, in UTC.
pub(crate) fn time() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = civil::rfc3339(now.as_secs(), None);
    // Milliseconds suffice: a look takes longer than that.
    format!("{}.{:03}Z", seconds.trim_end_matches('Z'), now.subsec_millis())
}

/// Prints messages on standard error, each only once.
#[derive(Debug, Default)]
pub(crate) struct Told(Vec<String>);

impl Told {
    /// Prints a notice.
    pub(crate) fn notice(&mut self, notice: &Notice) {
        self.text(notice.to_string());
    }

    /// Prints that a table could not be read.
    pub(crate) fn failure(&mut self, failure: &DumpError) {
        self.text(failure.to_string());
    }

    /// Prints what is unknown about sockets that opened and closed between two samples.
    pub(crate) fn unheld(&mut self, frame: &Frame) {
        const SEEN: &str = "sockets that open and close between two polls are seen only when they end, \
                            without their processes";
        if frame.untested > 0 {
            self.text(format!("{SEEN}, so the filter's condition on processes excludes them"));
        }
        if frame.unheld > 0 {
            self.text(format!("{SEEN} (shown as -)"));
        }
    }

    /// Prints a message, unless it was printed before.
    pub(crate) fn text(&mut self, text: String) {
        if self.0.contains(&text) {
            return;
        }
        // A failure here cannot be reported anywhere.
        let _ = io::Write::write_all(&mut io::stderr(), format!("sockdiag: {text}\n").as_bytes());
        if self.0.len() < MOST_TOLD {
            self.0.push(text);
        }
    }
}
