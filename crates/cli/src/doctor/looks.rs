//! The looks: two at all sockets, and a third at the suspects.
//!
//! The user's filter is applied here and not by the session, because the doctor has to
//! learn from all sockets (counts per listener, peers) before it judges some of them.
//!
//! Invariant: everything that a look could not see is reported to the doctor.

use std::convert::Infallible;
use std::ffi::OsString;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use sockdiag::counters::HostCounters;
use sockdiag::fields::Needs;
use sockdiag::filter::{EvalContext, Expr};
use sockdiag::model::{Row, Selected, Socket, StateSet, Table, TableSet, Window};
use sockdiag::notice::Notice;
use sockdiag::observer::{FrameSink, Seen};
use sockdiag::session::Question;
use sockdiag::source::DumpError;
use sockdiag::{Observer, PollError, Session, Sink, descriptors};
use sockdiag_doctor::{Doctor, Event, Numbers, Process};

use super::needs_of;
use crate::end::End;
use crate::options::Asked;
use crate::question;

/// The share of the time that is kept for the third look, and its upper bound.
const LAST_PART: u32 = 10;
const LONGEST_LAST: Duration = Duration::from_secs(1);
/// A process with fewer file descriptors is far from any limit.
const FEW_DESCRIPTORS: u64 = 16;
/// The range of ephemeral ports for rows that do not report one.
const CONTEXT: EvalContext = EvalContext { ports: (32_768, 60_999) };
/// If one of these requests fails, the doctor counts as blind.
const IMPORTANT: [&str; 3] = ["tcp", "udp", "unix"];

/// The outcome of the looks.
#[derive(Debug, Default)]
pub(super) struct Looks {
    /// Time between the first and the second look, in seconds.
    pub(super) seconds: f64,
    pub(super) namespaces: u64,
    /// Whether counters of some namespace were read.
    pub(super) has_counters: bool,
    /// Whether too much was hidden to say that the system is healthy.
    pub(super) is_blind: bool,
}

/// Adapts the counters of a namespace to the trait that the doctor reads.
struct Counted(HostCounters);

impl Numbers for Counted {
    fn counter(&self, group: &str, name: &str) -> Option<u64> {
        self.0.counter(group, name)
    }
    fn level(&self, group: &str, name: &str) -> Option<u64> {
        self.0.sockstat(group, name)
    }
    fn setting(&self, name: &str, place: usize) -> Option<i64> {
        self.0.sysctl(name, place)
    }
    fn setting_text(&self, name: &str) -> Option<&[u8]> {
        self.0.sysctl_text(name).map(str::as_bytes)
    }
    fn ephemeral_ports(&self) -> Option<u32> {
        u32::try_from(self.0.ephemeral_ports()?).ok()
    }
    fn window(&self) -> Window {
        self.0.window()
    }
}

/// Passes the rows of the first two samples to the doctor.
struct Looking<'d> {
    doctor: &'d mut Doctor,
    /// Whether this is the first look.
    learns: bool,
    /// The user's filter.
    filter: Option<Expr>,
    /// The states that the user chose, if any.
    states: Option<StateSet>,
    /// Names of namespaces.
    titles: Vec<(u64, Vec<u8>)>,
    last_title: u64,
    is_blind: bool,
}

impl Looking<'_> {
    fn is_wanted(&self, event: Event, row: &Row<'_>) -> bool {
        // A closed socket has no state, so no state filter matches it.
        let is_in = |states: StateSet| event != Event::Closed && states.contains_number(row.socket.state);
        self.states.is_none_or(is_in) && self.filter.as_ref().is_none_or(|filter| filter.eval(row, CONTEXT))
    }
}

/// The doctor's name for what happened to the socket of a row.
pub(super) fn event(seen: Seen) -> Event {
    match seen {
        Seen::Closed => Event::Closed,
        Seen::Opened => Event::Opened,
        _ => Event::Live,
    }
}

impl FrameSink for Looking<'_> {
    type Error = Infallible;

    fn row(&mut self, seen: Seen, row: &Row<'_>) -> Result<(), Infallible> {
        if let Some(netns) = row.names.netns
            && netns.inode != self.last_title
        {
            self.last_title = netns.inode;
            if !self.titles.iter().any(|(inode, _)| *inode == netns.inode) {
                self.titles.push((netns.inode, netns.title.clone()));
            }
        }
        if self.learns {
            if seen != Seen::Closed {
                self.doctor.learn(row);
            }
            return Ok(());
        }
        let event = event(seen);
        if self.is_wanted(event, row) {
            self.doctor.judge(event, row);
        }
        Ok(())
    }

    fn notice(&mut self, notice: Notice) -> Option<Notice> {
        self.is_blind |= notice.leaves_holes();
        self.doctor.could_not_see(notice.to_string());
        None
    }

    fn failure(&mut self, failure: &DumpError) {
        // Other requests may fail because the kernel was built without the family, which
        // then has no sockets.
        if IMPORTANT.iter().any(|of| failure.request.starts_with(of)) {
            self.is_blind = true;
            self.doctor.could_not_see(failure.to_string());
        }
    }
}

/// Passes the rows of the third look to the doctor.
struct Confirming<'d>(&'d mut Doctor);

impl Sink for Confirming<'_> {
    type Error = Infallible;

    fn row(&mut self, row: &Row<'_>) -> Result<ControlFlow<()>, Infallible> {
        self.0.confirm(row);
        Ok(ControlFlow::Continue(()))
    }

    fn notice(&mut self, notice: Notice) -> Option<Notice> {
        self.0.could_not_see(notice.to_string());
        None
    }
}

pub(super) fn failed(error: PollError<Infallible>) -> End {
    match error {
        PollError::Ask(error) => error.into(),
        error => End::unseen(error.to_string()),
    }
}

/// The user's filter, if there is one.
fn filter_of(asked: &Asked, selected: Selected) -> Result<Option<Expr>, End> {
    if !asked.has_filter() {
        return Ok(None);
    }
    let session = question::open(asked, selected, Needs::NONE)?;
    Ok(session.filter().cloned())
}

/// A question for all selected sockets, without the user's filter.
pub(super) fn question_of_all(netns: Option<&OsString>, selected: Selected, needs: Needs) -> Question {
    let mut question = Question::new(selected);
    question.needs = needs;
    question.numeric = true;
    question.netns = netns.cloned();
    question.explain = false;
    question
}

/// Passes the counters of the namespaces to the doctor.  Returns how many namespaces there are,
/// and whether counters of any were read.
pub(super) fn count(doctor: &mut Doctor, observer: &Observer) -> (u64, bool) {
    let all = observer.counters();
    let (number, mut has_counters) = (u64::try_from(all.len()).unwrap_or(u64::MAX), false);
    for counters in all {
        let unread = counters.unread().len();
        if counters.counters().next().is_some() {
            has_counters = true;
        } else if unread > 0 {
            doctor.could_not_see(format!(
                "the counters of a network namespace could not be read ({unread} files)"
            ));
        }
        doctor.numbers(counters.netns_inode(), Box::new(Counted(counters)));
    }
    (number, has_counters)
}

/// Time from the middle of one window to the middle of another, in seconds.
#[allow(clippy::cast_precision_loss, reason = "nanoseconds of a run are exact as a double")]
pub(super) fn between(first: Window, second: Window) -> f64 {
    second.middle_ns().saturating_sub(first.middle_ns()) as f64 / 1e9
}

/// Looks once more at the suspect sockets, with their processes.
pub(super) fn third(
    doctor: &mut Doctor,
    netns: Option<&OsString>,
    selected: Selected,
    visited: &[u64],
) -> Result<(), End> {
    let mut session = {
        let suspects = doctor.suspects();
        let sockets: Vec<(u64, Socket<'_>)> =
            suspects.iter().filter_map(|suspect| Some((suspect.netns, suspect.socket()?))).collect();
        let tables = sockets.iter().fold(TableSet::EMPTY, |all, (_, socket)| {
            all.union(TableSet::only(socket.sub_table().unwrap_or(socket.origin.table)))
        });
        if tables.is_empty() {
            return Ok(());
        }
        let needs = needs_of(doctor).union(Needs::PROCESSES);
        let selected = Selected { tables, ..selected };
        let mut session = Session::open(question_of_all(netns, selected, needs))?;
        let is_tcp = |(_, socket): &(u64, Socket<'_>)| socket.origin.table == Table::Tcp;
        session.look_up(visited, sockets.into_iter().filter(is_tcp));
        session
    };
    // Findings whose sockets could not be queried again are reported without a third look.
    let outcome = session.poll(&mut Confirming(doctor)).map_err(failed)?;
    for failure in outcome.failures {
        doctor.could_not_see(failure.to_string());
    }
    Ok(())
}

/// Makes the looks.
pub(super) fn look(
    doctor: &mut Doctor,
    asked: &Asked,
    selected: Selected,
    states: Option<StateSet>,
    time: Duration,
) -> Result<Looks, End> {
    let filter = filter_of(asked, selected)?;
    let mut needs = needs_of(doctor);
    if let Some(filter) = &filter {
        if [Needs::AROUND, Needs::FINDINGS].iter().any(|needs| filter.field_with(*needs).is_some()) {
            return Err(End::usage(
                "this field is computed by the doctor and cannot be used in a filter; \
                use it in a rule (--rules FILE)",
            ));
        }
        needs = needs.union(filter.needs());
    }
    let end = Instant::now() + time;
    let mut observer = Observer::new(Session::open(question_of_all(asked.netns.as_ref(), selected, needs))?);
    let mut looking =
        Looking { doctor, learns: true, filter, states, titles: Vec::new(), last_title: 0, is_blind: false };
    let first = observer.look(&mut looking).map_err(failed)?;
    let looked = Instant::now();
    looking.doctor.learned();
    count(looking.doctor, &observer);
    let last = (time / LAST_PART).min(LONGEST_LAST);
    std::thread::sleep(end.saturating_duration_since(Instant::now()).saturating_sub(last));
    let (namespaces, has_counters) = count(looking.doctor, &observer);
    looking.doctor.begin(Some(looked.elapsed().as_secs_f64()));
    looking.learns = false;
    let second = observer.look(&mut looking).map_err(failed)?;
    let seconds = between(first.window, second.window);
    looking.doctor.begin(Some(seconds));
    let Looking { titles, is_blind, .. } = looking;
    let (mut processes, unknown) = descriptors::all(FEW_DESCRIPTORS);
    if unknown > 0 {
        doctor.could_not_see(format!("the file descriptors of {unknown} processes could not be counted"));
    }
    // Processes of namespaces that were not looked at are left out.
    let own = sockdiag::sys::netns::inode();
    processes.retain(|of| match of.netns_inode {
        Some(inode) if titles.is_empty() => own == Some(inode),
        Some(inode) => titles.iter().any(|(known, _)| *known == inode),
        None => false,
    });
    if asked.has_filter() || states.is_some() {
        doctor.could_not_see(
            "sockets that do not match the filter, so a cause among them is not reported".to_owned(),
        );
        processes.clear();
    }
    let processes: Vec<Process> = processes
        .into_iter()
        .map(|of| Process { pid: of.pid, comm: of.comm, open: of.open, most: of.most })
        .collect();
    doctor.judge_others(&processes, &titles);
    std::thread::sleep(end.saturating_duration_since(Instant::now()));
    let visited: Vec<u64> = titles.iter().map(|(inode, _)| *inode).chain([0]).collect();
    third(doctor, asked.netns.as_ref(), selected, &visited)?;
    Ok(Looks { seconds, namespaces, has_counters, is_blind })
}
