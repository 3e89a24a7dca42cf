//! A walk for repeated looks: it reports only the connections that may have changed since
//! the previous look.
//!
//! The BPF program decides that for each bucket ([`super::prints`]).  A bucket that is
//! skipped has the same sockets as before, and all their values are the same, except for
//! times that count up to now.
//!
//! Sockets that are bound but neither listen nor connect are reported only at looks that
//! report all sockets: finding them would mean reading every connected socket again, and
//! their values do not change.
//!
//! Invariant: sockets whose report failed or was not read to its end are reported again at
//! the next look; if a walk cannot answer, a dump does.

use std::cell::Cell;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sockdiag_wire::inet_diag::InetDiagMsg;

use super::dump::{Run, Take, Walker, asked, can_tell, walker_for, wanted};
use super::load::{Done, Refused, Scope, Table};
use super::members::{COUNTED, Kind, Member, ROWS, Row};
use super::message::Message;
use super::pass::Wanted;
use super::prints::{Reading, Watch};
use crate::fields::Needs;
use crate::model::Window;
use crate::notice::NoWalk;
use crate::past::{Counter, CounterSet};
use crate::source::access::Access;
use crate::source::contract::{Instead, Query};
use crate::source::ladder::Families;

/// The bucket number of sockets that are bound but neither listen nor connect.
pub(crate) const BOUND: u32 = u32::MAX - 1;
/// The bucket number of a socket that is never skipped.
pub(crate) const NO_BUCKET: u32 = u32::MAX;

/// The values that are watched: a socket is reported again once one of them changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Watched {
    /// Fields with these needs; `None` if no fields are watched.
    pub(crate) fields: Option<Needs>,
    /// These counters.
    pub(crate) counters: CounterSet,
}

impl Watched {
    /// The members that have to be read to watch these values.
    fn members(self) -> Vec<Member> {
        let wants = self.fields.map(|needs| {
            asked(&Query { needs, ext: needs.inet_ext(), lean: true, ..Query::of(crate::model::Table::Tcp) })
                .wants()
        });
        let is_read = |row: &&Row| {
            let is_field = wants.is_some_and(|wants| row.wants.is_wanted(wants));
            let counts = |(counter, member): &(Counter, Member)| {
                *member == row.member && self.counters.contains(*counter)
            };
            row.kinds.contains(Kind::Full) && (is_field || COUNTED.iter().any(counts))
        };
        ROWS.iter().filter(is_read).map(|row| row.member).collect()
    }
}

/// A walk that is repeated for each look.
pub(crate) struct ActiveWalk {
    watched: Watched,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    walker: Option<Box<Walker>>,
    watch: Option<Watch>,
    /// Whether the next look reports all sockets.
    whole: bool,
    passage: Option<Passage>,
    /// Whether walks are impossible here.
    is_refused: bool,
}

/// What a look skipped.
#[derive(Debug, Default)]
pub(crate) struct Passage {
    reading: Reading,
    /// Cookies of the reported sockets, and the bucket of each.
    told: Vec<(u64, u32)>,
    /// Whether all sockets were reported.
    is_whole: bool,
    /// Whether the walk ended early, so that sockets are missing.
    pub(crate) is_broken: bool,
}

impl Passage {
    /// Cookies of the reported sockets, and the bucket of each.
    pub(crate) fn told(&self) -> &[(u64, u32)] {
        &self.told
    }

    /// Forgets these cookies, to free memory.
    pub(crate) fn forget_told(&mut self) {
        self.told = Vec::new();
    }

    /// Whether all sockets were reported.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Whether a bucket was skipped.
    pub(crate) fn passed_over(&self, bucket: u32) -> bool {
        !self.is_whole && bucket != NO_BUCKET && !self.reading.changed.contains(bucket)
    }

    /// Whether a bucket whose sockets were reported could have been skipped.
    pub(crate) fn is_same(&self, bucket: u32) -> bool {
        self.reading.same.contains(bucket)
    }

    /// When a bucket was read.
    pub(crate) fn window(&self, bucket: u32) -> Option<Window> {
        let behind = self.reading.steps.partition_point(|(first, _)| *first <= bucket);
        // A step that did not finish its first bucket left the bucket to the next step.
        Some(self.reading.steps.get(behind.checked_sub(1)?)?.1)
    }
}

impl fmt::Debug for ActiveWalk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActiveWalk").field("watched", &self.watched).finish_non_exhaustive()
    }
}

impl Instead for ActiveWalk {
    fn tell(&self, query: &Query, access: &mut Access, take: &mut Take<'_>) -> Result<bool, NoWalk> {
        let mut state = self.state();
        state.passage = None;
        if state.is_refused {
            return Ok(false);
        }
        match state.tell(self.watched, query, access, take) {
            Ok(()) => Ok(true),
            Err(Failed { why, has_delivered }) => {
                *state = State { is_refused: !has_delivered, ..State::default() };
                // A dump would report some sockets twice.
                if has_delivered { Err(why) } else { Ok(false) }
            }
        }
    }
}

/// Why a walk did not reach its end, and whether it had passed on messages.
struct Failed {
    why: NoWalk,
    has_delivered: bool,
}

impl<W: Into<NoWalk>> From<W> for Failed {
    fn from(why: W) -> Self {
        Self { why: why.into(), has_delivered: false }
    }
}

impl ActiveWalk {
    /// A walk that reports a socket again when one of these values changes.
    pub(crate) fn new(watched: Watched) -> Self {
        Self { watched, state: Mutex::default() }
    }

    /// The watched values.
    pub(crate) fn watched(&self) -> Watched {
        self.watched
    }

    /// Sets whether the next look reports all sockets.
    pub(crate) fn be_whole(&self, whole: bool) {
        self.state().whole = whole;
    }

    /// Reports all sockets at the next look, since the last report was not processed.
    pub(crate) fn forget(&self) {
        if let Some(watch) = &mut self.state().watch {
            watch.forget();
        }
    }

    /// What the last look skipped; `None` if another source reported all sockets.
    pub(crate) fn take_passage(&self) -> Option<Passage> {
        self.state().passage.take()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Passes the messages of one poll on to the pipeline.
    ///
    /// # Errors
    /// Why not all messages were passed on.
    fn tell(
        &mut self,
        watched: Watched,
        query: &Query,
        access: &mut Access,
        take: &mut Take<'_>,
    ) -> Result<(), Failed> {
        can_tell(query)?;
        if query.programs.modern.is_some() || query.programs.classic.is_some() {
            return Err(NoWalk::Dearer("the kernel evaluates the filter").into());
        }
        let ask = asked(query);
        let walker = if let Some(walker) = self.walker.take().filter(|walker| walker.ask == ask) {
            walker
        } else {
            self.watch = None;
            walker_for(ask, access)?
        };
        let walker = self.walker.insert(walker);
        let wanted = wanted(query, Families::of(query), Scope::Own);
        if !wanted.tables().any(|asked| asked.table == Table::Established) {
            return Err(NoWalk::Asked("no connections").into());
        }
        let Some(watch) = &mut self.watch else {
            self.watch = first(walker, watched, wanted, query, access, take)?;
            return Ok(());
        };
        let bucket = Cell::new(NO_BUCKET);
        let mut passage = Passage { is_whole: self.whole || watch.is_stale(), ..Passage::default() };
        let told = &mut passage.told;
        if passage.is_whole {
            told.reserve_exact(usize::try_from(access.sockets().unwrap_or(0)).unwrap_or(0));
        }
        let mut take = |message: &[u8], window: Window| {
            if let Some(msg) = InetDiagMsg::new(message) {
                told.push((msg.cookie(), bucket.get()));
            }
            take(message, window)
        };
        let mut run = Run::at_once(query, access, &mut take);
        let result = walked(walker, watch, wanted, passage.is_whole, &bucket, &mut run);
        let has_delivered = run.has_delivered();
        passage.reading = result.map_err(|why| Failed { why: why.into(), has_delivered })?;
        // After a walk that ended early, the remaining sockets cannot be told from ended
        // ones.
        passage.is_broken = watch.is_stale();
        self.passage = Some(passage);
        Ok(())
    }
}

/// Reports all sockets, after a check that messages equal the kernel's; returns the watch
/// over them, if the kernel supports one.
fn first(
    walker: &mut Walker,
    watched: Watched,
    wanted: Wanted,
    query: &Query,
    access: &mut Access,
    take: &mut Take<'_>,
) -> Result<Option<Watch>, Failed> {
    let mut run = Run::with_a_check(query, access, take, walker.ask);
    let done = walker.pass(wanted, &mut run);
    let has_delivered = run.has_delivered();
    match run.end(done) {
        Ok(_) => Ok(Watch::new(&walker.walk, &watched.members()).ok()),
        Err(why) => Err(Failed { why, has_delivered }),
    }
}

/// Reports the sockets that may have changed.
fn walked(
    walker: &mut Walker,
    watch: &mut Watch,
    wanted: Wanted,
    whole: bool,
    bucket: &Cell<u32>,
    run: &mut Run<'_, '_>,
) -> Result<Reading, Refused> {
    let Walker { walk, composer, .. } = walker;
    let mut message = Message::new();
    let mut reading = Reading::default();
    for asked in wanted.tables() {
        let table = asked.table;
        if table == Table::Bound && !whole {
            // These sockets take longer than all the others, and their values do not
            // change.
            continue;
        }
        if table != Table::Established {
            bucket.set(if table == Table::Bound { BOUND } else { NO_BUCKET });
            let Done { stopped, .. } = walk.steps(asked, &mut |record, window| {
                let composed = composer.compose(record, &mut message);
                run.told(message.bytes(), composed, window)
            })?;
            if stopped {
                break;
            }
            continue;
        }
        reading = watch.look(walk.layout(), asked, whole, &mut |record, of, window| {
            bucket.set(of);
            let composed = composer.compose(record, &mut message);
            run.told(message.bytes(), composed, window)
        })?;
    }
    Ok(reading)
}
