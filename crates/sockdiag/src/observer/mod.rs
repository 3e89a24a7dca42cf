//! Sockets over time: the same question asked again and again, its answers joined.
//!
//! An [`Observer`] makes looks.  Each hands over every socket that was asked for, as
//! a poll of its [`Session`] does, with a [`Past`](crate::past::Past) in the row: so
//! fields that need two looks (rates, shares, ages) have values, in filters too.  It
//! says of each row whether the socket is new, known or changed, and hands over those
//! that ended since the look before.
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
//! Namespace and cookie *identify a socket*; no two sockets share them.
//! *Closed* means that the kernel freed it.  What is left of a connection in TIME-WAIT
//! has its cookie and is neither open nor new; nor is a request for a connection
//! (SYN-RECV), which opens when the connection is made.
//!
//! *Ends* of TCP and UDP sockets come from the destroy groups of `sock_diag`, with the
//! last counters of each; so connections that live between two looks are seen.  Where
//! the queue overflowed, [`Frame::lost`] has the kernel's own count of what it
//! dropped.  Where the kernel does not let us listen (some do only with `CAP_NET_ADMIN`),
//! and of other tables, a socket is closed when its table was read to its end without it;
//! its last counters are those of the look before.
//!
//! Invariant: a table that was not read to its end closes nothing, and time is told by
//! the clock that never jumps.
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
    /// It was not there at the look before, and is now.
    Opened,
    /// It was there before, or this is the first look, or it is a request for a connection.
    Known,
    /// The same, and what is watched of it says something else.
    Changed(Changes),
    /// It ended since the look before; the row has its last counters, and gives rates
    /// for the time between the looks.  The kernel tells neither its state nor its
    /// owner then, and of one that was aborted no addresses either.
    Closed,
    /// It is what is left of a connection that was closed, in TIME-WAIT.
    TimeWait,
    /// It cannot be followed over time: its source has no cookies.
    Untracked,
}

/// Which parts of a socket changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The number of the state that it was in, if that is another one.
    pub state_was: Option<u8>,
    /// Which watched fields say something else, bit *n* standing for number *n*.
    pub fields: u32,
}

/// A closed socket whose end the kernel did not report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gone {
    /// Its cookie, as its rows had it.
    pub cookie: u64,
    /// The inode of its namespace; 0 where there is only ours.
    pub netns_inode: u64,
    /// The number of the state that it was last seen in.
    pub state: u8,
    /// Time since it was first seen, in milliseconds.
    pub age_ms: u64,
    /// Whether it opened between two looks.
    pub opening_seen: bool,
}

/// What must not have changed of a socket for looks to pass over it: see
/// [`Observer::pass_over`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unless {
    /// What identifies it, its state, the counters that rates are made of, and what the filter
    /// reads.
    Counters,
    /// The same, and fields with these needs.
    Fields(Needs),
}

/// Takes what a look brings: first what ended, then the sockets in the order of the
/// dump, then what is gone.
pub trait FrameSink {
    /// Why a row could not be taken.
    type Error;

    /// Takes a socket, which it may not keep.
    ///
    /// # Errors
    /// The error of the sink; the look stops there and returns it.
    fn row(&mut self, seen: Seen, row: &Row<'_>) -> Result<(), Self::Error>;

    /// Takes a socket that is closed, of which there is no row any more.
    ///
    /// # Errors
    /// As [`FrameSink::row`].
    fn gone(&mut self, gone: &Gone) -> Result<(), Self::Error> {
        let _ = gone;
        Ok(())
    }

    /// Whether this is enough of a look that passed over what did not change
    /// ([`Observer::pass_over`]); else the rest of the sockets follows, behind those that
    /// it told of.
    fn is_enough(&mut self) -> bool {
        true
    }

    /// Hears something worth saying, as [`Sink::notice`](crate::Sink::notice) does.
    fn notice(&mut self, notice: Notice) -> Option<Notice> {
        Some(notice)
    }

    /// Hears that a table could not be read, or not to its end.
    fn failure(&mut self, failure: &DumpError) {
        let _ = failure;
    }
}

/// The result of a look, besides the rows.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub struct Frame {
    /// How many looks there were before.
    pub number: u64,
    /// When it was made.
    pub window: Window,
    /// When the look before was made.
    pub before: Option<Window>,
    /// Sockets that there are and that were asked for.
    pub sockets: u64,
    /// Those of them that opened since the look before.
    pub opened: u64,
    /// Those of them of which something changed.
    pub changed: u64,
    /// Sockets that ended since the look before and that were handed over.
    pub closed: u64,
    /// TCP and UDP sockets that ended beside those, unseen, since messages of the
    /// kernel were dropped.  Whether they would have passed the filter is not known.
    pub lost: u64,
    /// Those of the closed ones that opened since the look before, too, so that no look
    /// saw them; they are not among `opened`.
    pub brief: u64,
    /// Those of the closed ones whose processes are not known, since no look saw them:
    /// where processes are asked for.
    pub unheld: u64,
    /// Sockets that were not handed over for the same reason: the filter has a
    /// condition on processes.
    pub untested: u64,
    /// Sockets that cannot be followed over time.
    pub untracked: u64,
    /// Whether TCP sockets were looked up one by one, instead of being searched for in
    /// a dump of all of them: see [`Observer::stay`].
    pub looked_up: bool,
    /// Sockets that were not handed over, since nothing changed of them since the look
    /// before: see [`Observer::pass_over`].  Those of them that were asked for are
    /// among `sockets`.
    pub passed_over: u64,
    /// Whether the look told of all sockets to see whether any of them would have been passed
    /// over although it had changed.
    pub checked: bool,
    /// How many would have been: none, unless there is a mistake in this library.
    pub missed: u64,
    /// As [`Outcome::notices`](crate::Outcome::notices).
    pub notices: Vec<Notice>,
    /// How many more there were than are kept.
    pub more_notices: u64,
    /// Tables that could not be read, or not to their end.
    pub failures: Vec<DumpError>,
}

/// A question that is asked again and again, its answers joined: see the module.
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
    /// Looks that pass over what did not change.
    active: active::Active,
}

impl Observer {
    /// Looks at what a session asks for.  Rows come in the order of the dump: what the
    /// session was told of order and limit is for who shows them, since every socket
    /// has to be seen.  From now on the ends of sockets are listened to.
    pub fn new(session: Session) -> Self {
        Self::of(session, Vec::new())
    }

    /// The same, and says of a socket that it changed where one of these fields does,
    /// of which the first 32 count.  The session has to have been told that they are
    /// read.
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

    /// From the next look on, stays with the sockets that it shows: what opens later
    /// is not looked for.  If they are few, they are then looked up one by one, which
    /// costs nothing for all the others that there are; both ways tell the same, and
    /// which is cheaper is measured.
    pub fn stay(&mut self) {
        self.memory.stay = Some(stay::Stay::default());
    }

    /// From the next look on, asks another session about the same sockets, such as one that
    /// reads more fields.  What is known of them stays: when each was first seen, and the
    /// counters that both sessions read, so that only rates of other counters have to wait
    /// for two looks.
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

    /// The next looks may pass over TCP sockets of which nothing changed since the look before,
    /// apart from the times since something happened.  No row is handed over for those;
    /// [`Frame::passed_over`] has their number.  With very many sockets of which few are used
    /// a look costs a fraction then.
    ///
    /// That is for whoever needs no row of such a socket, or asks for the rest when it turns
    /// out to be needed ([`FrameSink::is_enough`]).  It is ignored where the filter may let a
    /// socket through or refuse it although nothing changed: where it reads a time since, a
    /// rate or a process; and where the kernel does not let its tables be walked.
    ///
    /// Every half minute all sockets are handed over for a check ([`Frame::missed`]).  Those
    /// that are bound and neither listen nor connect are found only then.
    pub fn pass_over(&mut self, unless: Option<Unless>) {
        self.active.unless = unless;
    }

    /// The counters of the question's namespaces: see [`Session::counters`].
    pub fn counters(&self) -> Vec<HostCounters> {
        self.session.counters()
    }

    /// Looks once more, and hands over what there is.
    ///
    /// # Errors
    /// As [`Session::poll`]: with the sink's first error, or if the question cannot be
    /// asked any more.  The next look joins the last one that was whole.
    pub fn look<S: FrameSink>(&mut self, sink: &mut S) -> Result<Frame, PollError<S::Error>> {
        let begin = clock::since(clock::now_ns());
        let Self { session, memory, active, .. } = self;
        let mut notices = Vec::new();
        for notice in self.early.drain(..) {
            notices.extend(sink.notice(notice));
        }
        memory.begin();
        // Those that ended come first: their holders are those that the last poll found.
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

    /// Descriptors that become readable when a socket ends, one for each namespace in
    /// which the kernel tells; a look reads what there is.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.session.ends_descriptors()
    }

    /// The values requested from the kernel and from look-ups.
    pub fn needs(&self) -> Needs {
        self.session.needs()
    }

    /// Whether the next looks look for the holders of sockets, as
    /// [`Session::look_for_holders`].
    pub fn look_for_holders(&mut self, look: bool) {
        self.session.look_for_holders(look);
    }

    /// How many sockets are remembered.
    pub fn remembered(&self) -> usize {
        self.memory.known.len()
    }

    /// Bytes of memory that the sockets remembered take.
    pub fn memory(&self) -> usize {
        self.memory.known.bytes()
    }
}
