//! A walk for whoever looks again and again: of the connections only those are told of
//! that may have changed since the look before.
//!
//! Which these are the kernel decides, bucket by bucket ([`super::prints`]).  A bucket that
//! is passed over has the sockets that it had, and every number that is told of them is
//! the same, apart from times until now.
//!
//! Sockets that are bound and neither listen nor connect are told of only at looks that tell
//! of all: to find them among those that are connected, each of these has to be looked at
//! once more, and they have nothing to tell.
//!
//! Invariant: what came to nothing, or was not taken to its end, is told again at the next
//! look; where a walk cannot tell, a dump does.

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

/// Stands for the bucket of sockets that are bound and neither listen nor connect.
pub(crate) const BOUND: u32 = u32::MAX - 1;
/// Stands for the bucket of a socket that no look passes over.
pub(crate) const NO_BUCKET: u32 = u32::MAX;

/// What is read of sockets that are passed over: they are told of again once it says
/// something else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Watched {
    /// Fields with these needs; of none if there are none.
    pub(crate) fields: Option<Needs>,
    /// Counters.
    pub(crate) counters: CounterSet,
}

impl Watched {
    /// The members that are read for it.
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

/// Walks the tables, again and again.
pub(crate) struct ActiveWalk {
    watched: Watched,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    walker: Option<Box<Walker>>,
    watch: Option<Watch>,
    /// Whether the next look is to tell of all sockets.
    whole: bool,
    passage: Option<Passage>,
    /// Whether walks are refused here.
    is_refused: bool,
}

/// What a look passed over.
#[derive(Debug, Default)]
pub(crate) struct Passage {
    reading: Reading,
    /// Cookies of the sockets that were told of, and the bucket of each.
    told: Vec<(u64, u32)>,
    /// Whether all sockets were told of.
    is_whole: bool,
    /// Whether the walk was ended early, so that sockets are missing.
    pub(crate) is_broken: bool,
}

impl Passage {
    /// Cookies of the sockets that were told of, and the bucket of each.
    pub(crate) fn told(&self) -> &[(u64, u32)] {
        &self.told
    }

    /// Forgets them.
    pub(crate) fn forget_told(&mut self) {
        self.told = Vec::new();
    }

    /// Whether all sockets were told of.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Whether a bucket was passed over.
    pub(crate) fn passed_over(&self, bucket: u32) -> bool {
        !self.is_whole && bucket != NO_BUCKET && !self.reading.changed.contains(bucket)
    }

    /// Whether a bucket that was told of would have been passed over otherwise.
    pub(crate) fn is_same(&self, bucket: u32) -> bool {
        self.reading.same.contains(bucket)
    }

    /// When a bucket was read.
    pub(crate) fn window(&self, bucket: u32) -> Option<Window> {
        let behind = self.reading.steps.partition_point(|(first, _)| *first <= bucket);
        // A step that did not get through its first bucket left that to the next one.
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
                // A dump would double what was delivered.
                if has_delivered { Err(why) } else { Ok(false) }
            }
        }
    }
}

/// Why a walk did not come to its end, and whether messages were handed on.
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
    /// One that tells of sockets again when this says something else of them.
    pub(crate) fn new(watched: Watched) -> Self {
        Self { watched, state: Mutex::default() }
    }

    /// What is watched.
    pub(crate) fn watched(&self) -> Watched {
        self.watched
    }

    /// Whether the next look is to tell of all sockets.
    pub(crate) fn be_whole(&self, whole: bool) {
        self.state().whole = whole;
    }

    /// What was told at the last look is not known to anybody.
    pub(crate) fn forget(&self) {
        if let Some(watch) = &mut self.state().watch {
            watch.forget();
        }
    }

    /// What the last look passed over; `None` if another source told of all sockets.
    pub(crate) fn take_passage(&self) -> Option<Passage> {
        self.state().passage.take()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Hands messages on.
    ///
    /// # Errors
    /// Why there are more than were handed on.
    fn tell(
        &mut self,
        watched: Watched,
        query: &Query,
        access: &mut Access,
        take: &mut Take<'_>,
    ) -> Result<(), Failed> {
        can_tell(query)?;
        if query.programs.modern.is_some() || query.programs.classic.is_some() {
            return Err(NoWalk::Dearer("the kernel filters").into());
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
        // What is left of a walk that was ended early cannot be told apart from what is gone.
        passage.is_broken = watch.is_stale();
        self.passage = Some(passage);
        Ok(())
    }
}

/// Tells of all sockets, once messages were found to be the kernel's; what watches them
/// from then on, if this kernel lets it.
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

/// Tells of the sockets that may have changed.
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
            // That takes longer than all the rest, and none of them moves anything.
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
