//! The thread that looks, and the results it passes on.
//!
//! Invariant: at most one look waits to be drawn, however slow the terminal is.

use std::convert::Infallible;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use sockdiag::fields::{Choice, Needs};
use sockdiag::model::{Row, Selected};
use sockdiag::notice::Notice;
use sockdiag::observer::{Frame, FrameSink, Seen};
use sockdiag::source::DumpError;
use sockdiag::{Observer, Session};
use sockdiag_screen::{Builder, Detail, Head, Id, Late, Mark, Shot, State};

use super::Event;
use crate::doctor::rounds::{self, Known};
use crate::over_time;

/// How long an ended socket stays in the list.
const STAY: Duration = Duration::from_secs(5);
/// The shortest time between two samples: rates over a shorter time are unreliable.
const NEAREST: Duration = Duration::from_millis(250);
/// Up to this number of sockets, everything that any preset shows is kept, so that it is
/// available when needed, for past looks, too.
pub(super) const FEW: usize = 20_000;
/// For how many looks a one-time message stays visible.
const SAID_FOR: u64 = 10;
/// The largest number of messages shown.
const MOST_SAID: usize = 20;

/// How often to read columns that need a look at all processes, if there are many sockets.
const LATE: Duration = Duration::from_secs(5);
/// The same as a multiple of the time that one such look takes, if that is more.
const LATE_SHARE: u32 = 10;

/// The values to read at each look.
pub(super) struct Plan {
    wanted: Vec<Choice>,
    all: Vec<Choice>,
    detail: Option<Id>,
}

impl Plan {
    /// The values that a state needs.
    pub(super) fn of(state: &State, selected: Selected) -> Self {
        let choices = |names: Vec<String>| -> Vec<Choice> {
            let one = |name: &String| over_time::choices(name, &selected).ok();
            names.iter().filter_map(one).flatten().collect()
        };
        let detail = state.detailed();
        Self { wanted: choices(state.wanted()), all: choices(state.all_fields()), detail }
    }
}

/// A message to the poller.
pub(super) enum Said {
    /// Read these values from now on.
    Plan(Plan),
    /// Where the doctor puts its findings from now on.
    Found(Option<rounds::Desk>),
    /// Use this session and plan from now on; true if the selected sockets are the same.
    Session(Box<Session>, Plan, bool),
}

/// A look, and everything about the socket whose details are wanted.
type Look = (Arc<Shot>, Option<Detail>);

/// The place where a look waits for the screen.
#[derive(Clone)]
pub(super) struct Desk {
    look: Arc<Mutex<Option<Look>>>,
    events: Sender<Event>,
}

impl Desk {
    pub(super) fn new(events: Sender<Event>) -> Self {
        Self { look: Arc::default(), events }
    }

    fn put(&self, shot: Arc<Shot>, detail: Option<Detail>) -> bool {
        let mut look = self.look.lock().unwrap_or_else(PoisonError::into_inner);
        // A newer look replaces one that was not taken yet.
        look.replace((shot, detail)).is_some() || self.events.send(Event::Look).is_ok()
    }

    /// The newest look, if it was not taken yet.
    pub(super) fn take(&self) -> Option<Look> {
        self.look.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Starts the thread; it handles messages between looks.
pub(super) fn start(session: Session, plan: Plan, interval: Duration, desk: Desk) -> Sender<Said> {
    let (tell, inbox) = mpsc::channel();
    thread::spawn(move || {
        let observer = Observer::new(session);
        let previous = Arc::new(Shot::empty());
        let stays = (STAY.as_millis() / interval.as_millis().max(1)).clamp(2, 50);
        let poller = Poller {
            observer,
            plan,
            interval,
            desk,
            found: None,
            previous,
            stays: u8::try_from(stays).unwrap_or(5),
            begun: Instant::now(),
            number: 0,
            lost: 0,
            said: Vec::new(),
            late: None,
        };
        poller.serve(&inbox);
    });
    tell
}

struct Poller {
    observer: Observer,
    plan: Plan,
    interval: Duration,
    desk: Desk,
    /// Where the doctor puts its findings, if they are shown.
    found: Option<rounds::Desk>,
    previous: Arc<Shot>,
    stays: u8,
    begun: Instant,
    number: u64,
    /// Sockets that ended unseen.
    lost: u64,
    /// The messages, each with the number of the look that reported it.
    said: Vec<(String, u64)>,
    /// With many sockets: their processes at the last look that searched for them, and
    /// when the next search is due.
    late: Option<(Arc<Late>, Instant)>,
}

impl Poller {
    fn serve(mut self, inbox: &Receiver<Said>) {
        let mut due = Instant::now();
        loop {
            let begun = Instant::now();
            let goes_on = self.look();
            if !goes_on {
                return;
            }
            due += self.interval;
            if !self.previous.head.has_rates {
                // The first rates should appear as early as possible.
                due = due.min(begun + NEAREST);
            }
            // Skip the looks whose time has already passed.
            due = due.max(Instant::now());
            loop {
                match inbox.recv_timeout(due.saturating_duration_since(Instant::now())) {
                    Ok(Said::Plan(plan)) => self.plan = plan,
                    Ok(Said::Found(desk)) => self.found = desk,
                    Ok(Said::Session(session, plan, are_same)) => {
                        self.plan = plan;
                        // Old messages belong to the old session.
                        self.said.clear();
                        if !are_same {
                            self.late = None;
                            self.observer = Observer::new(*session);
                            self.previous = Arc::new(Shot::empty());
                            due = Instant::now();
                            continue;
                        }
                        self.observer.ask(*session);
                    }
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                due = due.min(begun + NEAREST);
            }
        }
    }

    /// Looks once; returns false if the screen is gone.
    fn look(&mut self) -> bool {
        let begun = Instant::now();
        let needs = self.observer.needs();
        let few = self.previous.entries().len() <= FEW;
        let columns = if few { &self.plan.all } else { &self.plan.wanted };
        // A value that was not read would show as absent, but it is unknown.
        let known = columns.iter().filter(|it| needs.has(it.needs())).cloned();
        let (dear, mut columns): (Vec<Choice>, Vec<Choice>) = known.partition(is_dear);
        if self.late.as_ref().is_some_and(|(late, due)| few || begun >= *due || !late.has(&dear)) {
            self.late = None;
        }
        self.observer.look_for_holders(self.late.is_none());
        let late = self.late.as_ref().map(|(late, _)| (dear.len(), Arc::clone(late)));
        columns.extend(dear);
        let mut gather = Gather {
            builder: Builder::new(columns, Some(Arc::clone(&self.previous)), self.stays).late(late),
            wanted: self.plan.detail,
            detail: None,
            said: Vec::new(),
            found: None,
        };
        match self.found.as_ref().and_then(rounds::Desk::known) {
            Some(Ok(known)) => gather.found = Some(known),
            Some(Err(why)) => gather.said.push(format!("the doctor failed: {why}")),
            None => {}
        }
        let frame = match self.observer.look(&mut gather) {
            Ok(frame) => frame,
            Err(error) => return self.desk.events.send(Event::Trouble(error.to_string())).is_ok(),
        };
        let Gather { builder, detail, said, .. } = gather;
        let took = begun.elapsed();
        let head = self.head(&frame, said, took);
        let shot = Arc::new(builder.end(head));
        if self.late.is_none() && shot.entries().len() > FEW {
            let late = Arc::new(Late::of(Arc::clone(&shot)));
            self.late = Some((late, Instant::now() + LATE.max(begun.elapsed() * LATE_SHARE)));
        }
        self.previous = Arc::clone(&shot);
        self.number += 1;
        self.desk.put(shot, detail)
    }

    fn head(&mut self, frame: &Frame, said: Vec<String>, took: Duration) -> Head {
        let number = self.number;
        for text in said {
            // Of two messages one of which extends the other, only the longer is kept.
            let is_same = |known: &str| known.starts_with(&text) || text.starts_with(known);
            if let Some((known, at)) = self.said.iter_mut().find(|(known, _)| is_same(known)) {
                *at = number;
                if known.len() < text.len() {
                    *known = text;
                }
            } else if self.said.len() < MOST_SAID {
                self.said.push((text, number));
            }
        }
        self.said.retain(|(_, at)| number - at < SAID_FOR);
        self.lost += frame.lost;
        let mut unseen = Vec::new();
        if self.lost > 0 {
            unseen.push(format!("{} sockets closed unreported", self.lost));
        }
        if took > self.interval {
            unseen.push(format!("a poll took {:.1}s, longer than the interval", took.as_secs_f64()));
        }
        unseen.extend(self.said.iter().map(|(text, _)| sockdiag_screen::clean(text)));
        Head {
            number,
            time: over_time::time(),
            seconds: self.begun.elapsed().as_secs_f64(),
            has_rates: frame.before.is_some(),
            sockets: frame.sockets,
            opened: frame.opened,
            closed: frame.closed,
            unseen,
        }
    }
}

/// Whether a column requires a look at all processes.
fn is_dear(choice: &Choice) -> bool {
    choice.needs().has(Needs::PROCESSES)
}

/// Collects the rows of a look.
struct Gather {
    builder: Builder,
    /// The socket whose details are shown.
    wanted: Option<Id>,
    detail: Option<Detail>,
    said: Vec<String>,
    /// The doctor's findings, if they are shown.
    found: Option<Arc<Known>>,
}

impl FrameSink for Gather {
    type Error = Infallible;

    fn row(&mut self, seen: Seen, row: &Row<'_>) -> Result<(), Infallible> {
        let mark = match seen {
            Seen::Opened => Mark::New,
            Seen::Changed(_) => Mark::Changed,
            Seen::Closed => Mark::Gone(0),
            _ => Mark::Known,
        };
        let row = &rounds::lent(self.found.as_deref(), row);
        self.builder.row(mark, row);
        if let Some(id) = self.wanted
            && row.cookie() == Some(id.cookie)
            && row.names.netns.map_or(0, |netns| netns.inode) == id.netns
        {
            self.detail = Some(Detail::of(id, row));
        }
        Ok(())
    }

    fn notice(&mut self, notice: Notice) -> Option<Notice> {
        self.said.push(notice.to_string());
        None
    }

    fn failure(&mut self, failure: &DumpError) {
        self.said.push(failure.to_string());
    }
}
