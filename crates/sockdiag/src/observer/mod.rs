//! Sockets over time: repeats a question and joins the results.
//!
//! An [`Observer`] makes looks.  Each look hands over every socket that was asked for, as a
//! poll of its [`Session`] does, with a [`Past`](crate::past::Past) in the row: so fields
//! that need two looks (rates, shares, ages) have values, in filters too.  Each row is
//! marked as new, known or changed, and sockets that ended since the previous look are
//! handed over as well.
//!
//! ```no_run
//! use std::convert::Infallible;
//! use sockdiag::observer::{FrameSink, Observer, Seen};
//! use sockdiag::{Row, Sockets, Table};
//!
//! /// Prints who sends more than 1 MB/s, and what ended.
//! struct Busy;
//!
//! impl FrameSink for Busy {
//!     type Error = Infallible;
//!
//!     fn row(&mut self, seen: Seen, row: &Row<'_>) -> Result<(), Infallible> {
//!         println!("{seen:?} {:?} {:?}", row.remote(), row.value("rate.bytes_sent_per_s"));
//!         Ok(())
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sockets = Sockets::of(&[Table::Tcp]).filter("rate.bytes_sent_per_s > 1M");
//! let mut observer = Observer::new(sockets.open()?);
//! for _ in 0..10 {
//!     let frame = observer.look(&mut Busy)?;
//!     println!("{} sockets, {} closed unseen", frame.sockets, frame.lost);
//!     std::thread::sleep(std::time::Duration::from_secs(1));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Namespace and cookie *identify a socket*; no two sockets share them. *Closed* means that
//! the kernel freed it.  What remains of a connection in TIME-WAIT has its cookie and is
//! neither open nor new; nor is a connection request (SYN-RECV), which opens when the
//! connection is made.
//!
//! *Ends* of TCP and UDP sockets come from the destroy groups of `sock_diag`, with the last
//! counters of each; so connections that live between two looks are seen.  If the receive
//! queue overflowed, [`Frame::lost`] has the kernel's own count of what it dropped.  If the
//! kernel does not let us listen (some do only with `CAP_NET_ADMIN`), and for other tables,
//! a socket is closed when its table was read to its end without it; its last counters are
//! those of the previous look.
//!
//! Invariant: a table that was not read to its end closes no socket, and times come from a
//! monotonic clock.
//!
//! Source: sock_diag(7), linux/sock_diag.h, linux/inet_diag.h.

mod active;
mod memory;
mod orphans;
mod stay;
mod table;
#[cfg(test)]
mod tests;

use std::os::fd::BorrowedFd;

use crate::counters::HostCounters;
use crate::fields::{Choice, Needs};
use crate::model::{Row, TableSet, Window};
use crate::notice::Notice;
use crate::session::{PollError, Session};
use crate::source::DumpError;
use crate::sys::clock;

use memory::{Look, MOST_WATCHED, Memory};

/// How a row relates to the previous look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Seen {
    /// It appeared since the previous look.
    Opened,
    /// It existed before, or this is the first look, or it is a connection request.
    Known,
    /// As `Known`, and a watched value changed.
    Changed(Changes),
    /// It ended since the previous look; the row has its last counters, and rates since
    /// that look.  The kernel then reports neither state nor owner, and for an aborted
    /// connection no addresses either.
    Closed,
    /// It is the TIME-WAIT remainder of a closed connection.
    TimeWait,
    /// It cannot be followed over time: its source has no cookies.
    Untracked,
}

/// Which parts of a socket changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The number of its previous state, if the state changed.
    pub state_was: Option<u8>,
    /// Which watched fields changed; bit *n* stands for field *n*.
    pub fields: u32,
}

/// A closed socket whose end the kernel did not report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gone {
    /// Its cookie, as its rows had it.
    pub cookie: u64,
    /// The inode of its namespace; 0 if only our own is read.
    pub netns_inode: u64,
    /// The number of its last known state.
    pub state: u8,
    /// The time since it was first seen, in milliseconds.
    pub age_ms: u64,
    /// Whether it opened between two looks.
    pub opening_seen: bool,
}

/// Which values must be unchanged for looks to skip a socket: see [`Observer::pass_over`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unless {
    /// Its identity, its state, the counters behind rates, and what the filter reads.
    Counters,
    /// The same, and the fields with these needs.
    Fields(Needs),
}

/// Receives the results of a look: first the sockets that ended, then those of the dump in
/// its order, then those that are gone.
pub trait FrameSink {
    /// Why a row could not be taken.
    type Error;

    /// Takes a socket; the row is only borrowed.
    ///
    /// # Errors
    /// The error of the sink; the look stops there and returns it.
    fn row(&mut self, seen: Seen, row: &Row<'_>) -> Result<(), Self::Error>;

    /// Takes a closed socket that has no row.
    ///
    /// # Errors
    /// As [`FrameSink::row`].
    fn gone(&mut self, gone: &Gone) -> Result<(), Self::Error> {
        let _ = gone;
        Ok(())
    }

    /// Whether a look that skipped unchanged sockets ([`Observer::pass_over`]) was enough;
    /// if not, the remaining sockets follow in the same look.
    fn is_enough(&mut self) -> bool {
        true
    }

    /// Receives a notice, as [`Sink::notice`](crate::Sink::notice) does.
    fn notice(&mut self, notice: Notice) -> Option<Notice> {
        Some(notice)
    }

    /// Receives the failure of a table that could not be read, or not to its end.
    fn failure(&mut self, failure: &DumpError) {
        let _ = failure;
    }
}

/// The result of a look, besides the rows.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub struct Frame {
    /// How many looks were made before.
    pub number: u64,
    /// When the look was made.
    pub window: Window,
    /// When the previous look was made.
    pub before: Option<Window>,
    /// Open sockets that match the question.
    pub sockets: u64,
    /// How many of `sockets` opened since the previous look.
    pub opened: u64,
    /// How many of `sockets` changed.
    pub changed: u64,
    /// Sockets that ended since the previous look and were handed over.
    pub closed: u64,
    /// TCP and UDP sockets that ended without being handed over, since the kernel dropped
    /// the messages.  Whether they would have passed the filter is unknown.
    pub lost: u64,
    /// How many of `closed` also opened since the previous look, so that no look saw them;
    /// they are not counted in `opened`.
    pub brief: u64,
    /// If processes are asked for: how many of `closed` have unknown processes, since no
    /// look saw them.
    pub unheld: u64,
    /// Sockets that were not handed over for the same reason, when the filter has a
    /// condition on processes.
    pub untested: u64,
    /// Sockets that cannot be followed over time.
    pub untracked: u64,
    /// Whether TCP sockets were looked up one by one instead of being picked from a dump of
    /// all: see [`Observer::stay`].
    pub looked_up: bool,
    /// Sockets that were not handed over because they did not change since the previous
    /// look: see [`Observer::pass_over`].  Those that match the question are counted in
    /// `sockets`.
    pub passed_over: u64,
    /// Whether the look reported all sockets to check whether any changed socket would have
    /// been skipped.
    pub checked: bool,
    /// How many would have been: always 0, unless this library has a bug.
    pub missed: u64,
    /// As [`Outcome::notices`](crate::Outcome::notices).
    pub notices: Vec<Notice>,
    /// How many more notices there were than are kept.
    pub more_notices: u64,
    /// Tables that could not be read, or not to their end.
    pub failures: Vec<DumpError>,
}

/// A question that is asked repeatedly, with joined results: see the module.
#[derive(Debug)]
pub struct Observer {
    session: Session,
    memory: Memory,
    tables: TableSet,
    number: u64,
    /// Notices from before the first look.
    early: Vec<Notice>,
    /// Whether the notice about rows without cookies was given.
    said_untracked: bool,
    /// State of the looks that skip unchanged sockets.
    active: active::Active,
}

impl Observer {
    /// Observes the sockets that a session asks for.  Rows come in the order of the dump: a
    /// sort order or limit of the session is left to the caller, since every socket has to
    /// be seen.  From now on closed sockets are recorded.
    pub fn new(session: Session) -> Self {
        Self::of(session, Vec::new())
    }

    /// Like [`Self::new`], but also marks a socket as changed if one of these fields changed;
    /// only the first 32 fields are watched.  The session's query must already read these fields.
    pub fn watching(session: Session, mut fields: Vec<Choice>) -> Self {
        fields.truncate(MOST_WATCHED);
        Self::of(session, fields)
    }

    fn of(mut session: Session, watched: Vec<Choice>) -> Self {
        let (tables, asked) = (session.tables(), session.states());
        let hidden = session.observe();
        let mut memory = Memory::new(session.needs(), watched, asked, hidden);
        let mut early = Vec::new();
        session.listen(&mut memory.told, &mut |notice| early.push(notice));
        Self {
            session,
            memory,
            tables,
            number: 0,
            early,
            said_untracked: false,
            active: active::Active::default(),
        }
    }

    /// From the next look on, follows only the sockets that it shows: sockets that open
    /// later are ignored.  If the followed sockets are few, they are looked up one by one,
    /// whose cost does not depend on all other sockets; the result is the same, and the
    /// cheaper way is measured.
    pub fn stay(&mut self) {
        self.memory.stay = Some(stay::Stay::default());
    }

    /// From the next look on, asks another session about the same sockets, such as one that
    /// reads more fields.  What is known is kept: when each was first seen, and the
    /// counters that both sessions read, so that only rates of new counters need two more
    /// looks.
    pub fn ask(&mut self, mut session: Session) {
        let (tables, asked) = (session.tables(), session.states());
        let hidden = session.observe();
        let watched = std::mem::take(&mut self.memory.watched);
        let mut memory = Memory::new(session.needs(), watched, asked, hidden);
        std::mem::swap(&mut self.memory, &mut memory);
        self.memory.take_over(memory);
        session.take_ends(&mut self.session);
        let early = &mut self.early;
        session.listen(&mut self.memory.told, &mut |notice| early.push(notice));
        (self.session, self.tables) = (session, tables);
        self.active = active::Active::default();
    }

    /// Lets the next looks skip TCP sockets that did not change since the previous look,
    /// apart from the times since an event.  Skipped sockets get no row;
    /// [`Frame::passed_over`] counts them.  If only few of very many sockets are active,
    /// such a look costs a fraction.
    ///
    /// For callers that need no row of an unchanged socket, or ask for the rest when they
    /// do ([`FrameSink::is_enough`]).  Ignored if the filter's result can change while the
    /// socket does not (it reads a time since an event, a rate or a process), or if the
    /// kernel's tables cannot be walked.
    ///
    /// Every half minute all sockets are handed over as a check ([`Frame::missed`]).
    /// Sockets that are bound but neither listen nor connect are found only then.
    pub fn pass_over(&mut self, unless: Option<Unless>) {
        self.active.unless = unless;
    }

    /// The counters of the question's namespaces: see [`Session::counters`].
    pub fn counters(&self) -> Vec<HostCounters> {
        self.session.counters()
    }

    /// Makes a look, and hands over its results.
    ///
    /// # Errors
    /// As for [`Session::poll`]: the sink's first error, or an error if the query can no longer
    /// be sent to the kernel.  The next look is compared with the last complete one.
    pub fn look<S: FrameSink>(&mut self, sink: &mut S) -> Result<Frame, PollError<S::Error>> {
        let begin = clock::since(clock::now_ns());
        let Self { session, memory, active, .. } = self;
        let mut notices = Vec::new();
        for notice in self.early.drain(..) {
            notices.extend(sink.notice(notice));
        }
        memory.begin();
        // Ended sockets come first: their holders are known from the previous poll.
        session.tests(&mut memory.tests);
        memory.leave();
        let mut result = Ok(());
        session.ends(|session, scope, netns, told| {
            if result.is_ok() {
                result = memory.told(session, scope, netns, told, begin, sink);
            }
        });
        result.map_err(PollError::Sink)?;
        memory.begin_poll();
        memory.prune_stay();
        let asked = match &mut memory.stay {
            Some(stay) => stay.look_ups(&session.course().visited),
            None => Vec::new(),
        };
        session.ask_instead(match active.plan(session, memory, begin) {
            Some(active) => active,
            None => stay::instead(&asked),
        });
        let begin_cpu_ns = clock::cpu_ns();
        let mut look = Look { memory, sink };
        let mut outcome = match session.poll_observed(&mut look, |session, look| {
            session.tests(&mut look.memory.tests);
            look.memory.holders_before = session.holders_before();
            look.memory.leave();
        }) {
            Ok(outcome) => outcome,
            Err(error) => {
                active.forget();
                memory.give_up();
                return Err(error);
            }
        };
        active.take(memory, outcome.failures.is_empty());
        if active.is_short(sink.is_enough()) && memory.passed.is_partial() {
            active.complete(memory);
            let more = session.poll(&mut Look { memory, sink });
            memory.passed.completes = false;
            match more {
                Ok(more) => {
                    outcome.window = outcome.window.cover(more.window);
                    outcome.notices.extend(more.notices);
                    outcome.failures.extend(more.failures);
                }
                Err(error) => {
                    active.forget();
                    memory.give_up();
                    return Err(error);
                }
            }
            active.take(memory, outcome.failures.is_empty());
        }
        let cpu_ns = clock::cpu_ns().saturating_sub(begin_cpu_ns);
        let looked_up = memory.stay.as_mut().is_some_and(|stay| stay.learn(&asked, cpu_ns));
        notices.extend(outcome.notices);
        let before = memory.latest;
        let window = begin.cover(outcome.window);
        if let Err(error) = memory.sweep(session.course(), self.tables, window, sink) {
            active.forget();
            memory.give_up();
            return Err(PollError::Sink(error));
        }
        if memory.count.has_holes {
            active.forget();
        }
        memory.latest = Some(window);
        if outcome.failures.is_empty() && !memory.count.has_holes {
            memory.set_stay();
        }
        let mut said = Vec::new();
        session.listen(&mut memory.told, &mut |notice| said.push(notice));
        let untracked = memory.count.untracked;
        if untracked > 0 && !std::mem::replace(&mut self.said_untracked, true) {
            said.push(Notice::WithoutCookies { sockets: untracked });
        }
        let (checked, missed) = memory.passed.checked();
        notices.extend(said.into_iter().filter_map(|notice| sink.notice(notice)));
        let number = self.number;
        self.number += 1;
        let count = &memory.count;
        Ok(Frame {
            number,
            window,
            before,
            sockets: count.sockets,
            opened: count.opened,
            changed: count.changed,
            closed: count.closed,
            lost: count.lost(),
            brief: count.brief,
            unheld: count.unheld,
            untested: count.untested,
            untracked,
            looked_up,
            passed_over: count.passed_over,
            checked,
            missed,
            notices,
            more_notices: outcome.more_notices,
            failures: outcome.failures,
        })
    }

    /// Descriptors that become readable when a socket ends, one for each namespace in which
    /// the kernel reports that; a look reads the reports.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.session.ends_descriptors()
    }

    /// The values requested from the kernel and from look-ups.
    pub fn needs(&self) -> Needs {
        self.session.needs()
    }

    /// Whether the next looks search for the holders of sockets, as
    /// [`Session::look_for_holders`].
    pub fn look_for_holders(&mut self, look: bool) {
        self.session.look_for_holders(look);
    }

    /// How many sockets are remembered.
    pub fn remembered(&self) -> usize {
        self.memory.known.len()
    }

    /// How much memory the remembered sockets take, in bytes.
    pub fn memory(&self) -> usize {
        self.memory.known.bytes()
    }
}
