//! Tries the kernel's sources in turn, the best first.
//!
//! For tcp in both families the first source is one legacy request: it walks the table once
//! for both families, while the newer request needs one walk for each.  Its IPv6 records
//! are set aside and follow the IPv4 ones, which is the order of two dumps.  That request
//! cannot ask for BPF storage.
//!
//! Invariant: once a source has delivered a record, no other source delivers any. Records
//! that are set aside are not delivered yet.
//!
//! Source: inet_diag.c's two entry points; linux/inet_diag.h.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use std::ops::ControlFlow;

use sockdiag_wire::bytecode::{INET_DIAG_BC_CGROUP_COND, Op};
use sockdiag_wire::inet_diag::InetDiagMsg;
use sockdiag_wire::ipproto::IPPROTO_TCP;

use super::access::Access;
use super::contract::{DumpError, DumpErrorKind, Programs, Query, Storages, Visit, live_origin};
use super::exchange::{self, Consumer, Ended, Failure, ask_one, exchange};
use super::proc_net;
use super::replay::deficit;
use super::request::{by_family, legacy, legacy_type, one_socket};
use super::sources::{Sources, Way};
use super::walk;
use crate::model::{Family, Origin, Record, StateSet, Table, Window};
use crate::notice::{NoWalk, Notice};
use crate::sys::netlink::Netlink;

/// How many bytes of IPv6 records may be set aside until the IPv4 ones are done.
const ASIDE_BYTES: usize = 4 << 20;

/// Reads a table from the best source that the kernel offers.
pub(super) fn dump(
    query: &Query,
    sources: &Sources,
    access: &mut Access,
    visit: &mut dyn Visit,
    notices: &mut dyn FnMut(Notice),
) -> Result<(), DumpError> {
    let families = Families::of(query);
    let mut run = Run::new(query, access, visit, notices);
    // Only a dump includes the values of BPF maps.
    if query.storages == Storages::None {
        match run.instead() {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(why) => return run.ended_early(why),
        }
    }
    if matches!(sources.way, Way::Walk | Way::Best) && query.table == Table::Tcp {
        let is_chosen = if sources.way == Way::Best { walk::pays(query, run.access) } else { Ok(()) };
        let is_chosen = match is_chosen {
            Err(NoWalk::NoCookies) if run.access.polls_again() => {
                walk::prepare(query, run.access).and(Err(NoWalk::NoCookies))
            }
            is_chosen => is_chosen,
        };
        match is_chosen.and_then(|()| run.walk(families)) {
            Ok(walked) => {
                let walk::Walked { sockets, looked_up } = walked;
                run.access.keep_sockets(sockets);
                if sources.tells_way {
                    notices(Notice::Walked { sockets, looked_up });
                }
                return Ok(());
            }
            Err(why) if run.rows > 0 && !run.takes_back() => return run.ended_early(why),
            Err(why) => {
                run.access.keep_refusal(&why);
                if sources.tells_refusal(&why) {
                    run.say(Notice::NotWalked { why });
                }
            }
        }
    }
    let failure = match run.netlink(families, ASIDE_BYTES) {
        Ok(()) => {
            if query.table == Table::Tcp {
                run.access.keep_dumped(run.rows);
            }
            return Ok(());
        }
        Err(failure) => failure,
    };
    let error = DumpError { request: query.name(), rows_delivered: run.rows, kind: failure.kind };
    if error.may_fall_back() && sources.text_of(query.table, Family::Inet).is_some() {
        return proc_net::dump(query, sources, access, visit);
    }
    Err(error)
}

/// Tests whether the kernel supports conditions on cgroups, with a request that matches no
/// socket.  Any answer other than `EINVAL` counts as yes.
///
/// # Errors
/// A notice, if the kernel cannot be queried.
pub(crate) fn kernel_knows_cgroup_condition(access: &mut Access) -> Result<bool, Notice> {
    let mut program = Vec::new();
    Op { code: INET_DIAG_BC_CGROUP_COND, yes: 12, no: 16 }.encode(&mut program);
    program.extend_from_slice(&0_u64.to_ne_bytes());
    let query = Query {
        states: StateSet::EMPTY,
        programs: Programs { modern: None, classic: Some(program) },
        ..Query::of(Table::Tcp)
    };
    let mut visit = |_: Record<'_>| ControlFlow::Continue(());
    let mut notices = |_: Notice| {};
    let mut run = Run::new(&query, access, &mut visit, &mut notices);
    match run.one_family(Family::Inet) {
        Err(Failure { kind: DumpErrorKind::Socket(_), notice: Some(notice) }) => Err(notice),
        result => Ok(!matches!(result, Err(failure) if failure.is_invalid())),
    }
}

/// The families to request: a preferred one excludes the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Families {
    pub(super) inet: bool,
    pub(super) inet6: bool,
}

impl Families {
    pub(super) fn of(query: &Query) -> Self {
        let Self { inet, inet6 } = Self::preferred(query);
        Self {
            inet: inet && query.families.contains(Family::Inet),
            inet6: inet6 && query.families.contains(Family::Inet6),
        }
    }

    /// The same, whichever families are shown: a recording ignores those.
    pub(super) fn preferred(query: &Query) -> Self {
        Self { inet: query.preferred != Some(Family::Inet6), inet6: query.preferred != Some(Family::Inet) }
    }
}

/// The state of reading one table.
struct Run<'q, 'v> {
    query: &'q Query,
    access: &'v mut Access,
    visit: &'v mut dyn Visit,
    notices: &'v mut dyn FnMut(Notice),
    /// Records delivered.
    rows: u64,
    /// Whether the modern program is still in use, because no kernel has refused it.
    modern: bool,
}

impl Consumer for Run<'_, '_> {
    fn visit(&mut self) -> &mut dyn Visit {
        self.visit
    }

    fn say(&mut self, notice: Notice) {
        (self.notices)(notice);
    }
}

impl<'q, 'v> Run<'q, 'v> {
    fn new(
        query: &'q Query,
        access: &'v mut Access,
        visit: &'v mut dyn Visit,
        notices: &'v mut dyn FnMut(Notice),
    ) -> Self {
        let modern = query.programs.modern.is_some();
        Self { query, access, visit, notices, rows: 0, modern }
    }

    /// Walks the kernel's tables instead of asking for a dump.
    fn walk(&mut self, families: Families) -> Result<walk::Walked, NoWalk> {
        let Self { query, access, visit, rows, .. } = self;
        let origin = live_origin(query);
        visit.begin();
        walk::dump(query, families, access, &mut |bytes, window| {
            *rows += 1;
            visit.record(Record { origin: Origin { window: Some(window), ..origin }, bytes })
        })
    }

    fn netlink(&mut self, families: Families, aside_bytes: usize) -> Result<(), Failure> {
        // Only a dump includes the values of BPF maps.
        let plain = self.query.storages == Storages::None;
        if plain && let Some((record, window)) = self.exactly_one(families) {
            let _ = self.hand_on(&record, window);
            return Ok(());
        }
        if plain && self.query.table.protocol() == IPPROTO_TCP && families.inet && families.inet6 {
            match self.with_a_program(|run| run.one_walk(aside_bytes)) {
                Err(failure) if self.rows == 0 && !failure.is_of_socket() => {
                    // The kernel is old, or replays other requests: no notice.
                    drop(failure);
                }
                result => return self.conclude(result),
            }
        }
        let result = self.with_a_program(|run| run.by_family(families));
        let Err(failure) = result else { return Ok(()) };
        if self.rows > 0 || failure.is_of_socket() || legacy_type(self.query).is_none() {
            return self.conclude(Err(failure));
        }
        let _ = self.conclude(Err(failure));
        let result = self.with_a_program(Self::legacy);
        self.conclude(result)
    }

    /// Asks the source that replaces a dump; `false` if there is none, or if only a dump
    /// can answer.
    fn instead(&mut self) -> Result<bool, NoWalk> {
        let Self { query, access, visit, rows, .. } = self;
        let Some(instead) = &query.instead else { return Ok(false) };
        let origin = live_origin(query);
        visit.begin();
        let told = instead.tell(query, access, &mut |bytes, window| {
            *rows += 1;
            visit.record(Record { origin: Origin { window: Some(window), ..origin }, bytes })
        });
        match told {
            Err(why) if !self.takes_back() => Err(why),
            told => Ok(told.unwrap_or(false)),
        }
    }

    /// A walk that failed after some of its records were passed on.
    fn ended_early(&self, why: NoWalk) -> Result<(), DumpError> {
        let kind = DumpErrorKind::Walk(why);
        Err(DumpError { request: self.query.name(), rows_delivered: self.rows, kind })
    }

    /// Takes the delivered records back if none was passed on yet: a dump may follow.
    fn takes_back(&mut self) -> bool {
        let may = self.visit.may_replace();
        if may {
            self.visit.replaced(false);
            self.rows = 0;
        }
        may
    }

    /// Requests the only wanted socket by its identity.
    ///
    /// `None` if a dump is needed: there is no such socket (the kernel answers the same if
    /// it lacks TCP), or several, bound to different interfaces.  (A socket bound to an
    /// interface stays hidden behind a newer one with the same identity that is bound to
    /// none: the kernel stops there.)
    fn exactly_one(&mut self, families: Families) -> Option<(Vec<u8>, Window)> {
        let exact = self.query.exact.as_ref().filter(|_| self.query.table.protocol() == IPPROTO_TCP)?;
        let mut socket = self.access.socket().ok()?;
        let mut found: Option<(Vec<u8>, Window)> = None;
        for ifindex in std::iter::once(0).chain(exact.interfaces.iter().copied()) {
            let seq = socket.next_seq();
            let request = one_socket(self.query, &exact.pinned, ifindex, seq)?;
            let Some((record, window)) = ask_one(&mut socket, &request, seq) else { continue };
            let cookie = |record: &[u8]| InetDiagMsg::new(record).map(|msg| msg.cookie());
            match &found {
                Some((first, _)) if cookie(first) != cookie(&record) => return None,
                Some(_) => {}
                None => found = Some((record, window)),
            }
        }
        // Every request was answered, so the socket can be used again.
        self.access.keep(socket);
        let (record, window) = found?;
        let msg = InetDiagMsg::new(&record)?;
        let family = match Family::from_number(msg.family())? {
            Family::Inet => families.inet,
            Family::Inet6 => families.inet6,
            _ => false,
        };
        (family && self.query.states.contains_number(msg.state())).then_some((record, window))
    }

    /// Gives the notice of a failure.
    fn conclude(&mut self, result: Result<(), Failure>) -> Result<(), Failure> {
        if let Err(Failure { notice: Some(notice), .. }) = &result {
            (self.notices)(notice.clone());
        }
        result
    }

    /// Runs a request with the modern program, and again with the classic one if the kernel
    /// does not understand the first.
    fn with_a_program(&mut self, request: impl Fn(&mut Self) -> Result<(), Failure>) -> Result<(), Failure> {
        match request(self) {
            Err(failure) if failure.is_invalid() && self.modern && self.rows == 0 => {
                self.modern = false;
                request(self)
            }
            result => result,
        }
    }

    fn program(&self) -> Option<&'q [u8]> {
        let programs = &self.query.programs;
        if self.modern { programs.modern.as_deref() } else { programs.classic.as_deref() }
    }

    /// Makes one dump for each wanted family.
    fn by_family(&mut self, families: Families) -> Result<(), Failure> {
        for (wanted, family) in [(families.inet, Family::Inet), (families.inet6, Family::Inet6)] {
            if wanted && self.one_family(family)?.stopped {
                break;
            }
        }
        Ok(())
    }

    fn one_family(&mut self, family: Family) -> Result<Ended, Failure> {
        self.repeatedly(|run| {
            let mut socket = run.access.socket()?;
            let seq = socket.next_seq();
            let request = by_family(run.query, family, run.program(), seq);
            run.deliver(socket, &request, seq, |bytes, _| bytes.first() == Some(&family.number()))
        })
    }

    /// Makes the legacy request as the reference does: records are delivered as they come.
    fn legacy(&mut self) -> Result<(), Failure> {
        let families = self.query.families;
        self.repeatedly(|run| {
            let mut socket = run.access.socket()?;
            let seq = socket.next_seq();
            let kind = legacy_type(run.query).unwrap_or_default();
            let request = legacy(run.query, kind, run.program(), seq);
            run.deliver(socket, &request, seq, |bytes, _| {
                let family = bytes.first().copied().and_then(Family::from_number);
                family.is_some_and(|family| families.contains(family))
            })
        })?;
        Ok(())
    }

    /// Makes one legacy request for both families, and delivers the records in the order of
    /// two dumps.
    fn one_walk(&mut self, aside_bytes: usize) -> Result<(), Failure> {
        let mut aside = Aside::default();
        let ended = self.repeatedly(|run| {
            let mut fresh = Aside { limit: aside_bytes, ..Aside::default() };
            let rows = run.rows;
            let mut socket = run.access.socket()?;
            let seq = socket.next_seq();
            let kind = legacy_type(run.query).unwrap_or_default();
            let request = legacy(run.query, kind, run.program(), seq);
            let ended = run.deliver(socket, &request, seq, |bytes, window| match bytes.first() {
                Some(&number) if number == Family::Inet.number() => true,
                Some(&number) if number == Family::Inet6.number() => {
                    fresh.push(bytes, window);
                    false
                }
                _ => false,
            });
            // A repetition that fails without delivering anything is ignored.
            if ended.is_ok() || run.rows > rows {
                aside = fresh;
            }
            ended
        });
        match ended {
            // The walk is abandoned, along with what it set aside.
            Err(failure) if self.rows == 0 => return Err(failure),
            Ok(ended) if ended.stopped => return Ok(()),
            _ => {}
        }
        if aside.overflowed {
            let later = self.one_family(Family::Inet6).map(|_| ());
            return ended.map(|_| ()).and(later);
        }
        for (bytes, window) in aside.records() {
            if self.hand_on(bytes, window).is_break() {
                break;
            }
        }
        ended.map(|_| ())
    }

    /// Makes a dump, and repeats it if the table changed and no record was passed on.
    fn repeatedly(
        &mut self,
        mut request: impl FnMut(&mut Self) -> Result<Ended, Failure>,
    ) -> Result<Ended, Failure> {
        let before = self.rows;
        let (result, rows) = exchange::repeatedly(self, |run| {
            run.rows = before;
            let result = request(run);
            (result, run.rows - before)
        });
        self.rows = before + rows;
        result
    }

    /// Sends a request and delivers the replies that `wanted` accepts; keeps the socket if
    /// the replies came to an end.
    fn deliver(
        &mut self,
        mut socket: Netlink,
        request: &[u8],
        seq: u32,
        mut wanted: impl FnMut(&[u8], Window) -> bool,
    ) -> Result<Ended, Failure> {
        let Self { query, access, visit, notices, rows, .. } = self;
        socket.expect_long(query.storages != Storages::None);
        let origin = live_origin(query);
        // Storage of more than 64 KiB overflows its attribute without an error from the
        // kernel.
        let may_overflow = query.storages != Storages::None;
        let mut deficits = Vec::new();
        let mut take = |bytes: &[u8], window| {
            if !wanted(bytes, window) {
                return ControlFlow::Continue(());
            }
            *rows += 1;
            if may_overflow {
                deficits.extend(deficit(bytes));
            }
            visit.record(Record { origin: Origin { window: Some(window), ..origin }, bytes })
        };
        let ended = exchange(&mut socket, request, seq, &mut take, *notices);
        deficits.into_iter().for_each(notices);
        if let Ok(Ended { stopped: false, .. }) = ended {
            access.keep(socket);
        }
        ended
    }

    fn hand_on(&mut self, bytes: &[u8], window: Window) -> ControlFlow<()> {
        self.rows += 1;
        let origin = Origin { window: Some(window), ..live_origin(self.query) };
        self.visit.record(Record { origin, bytes })
    }
}

/// Records that are set aside: the bytes of each, after their length.
///
/// They lie in many small buffers.  One large buffer would fragment the heap, so
/// that its memory could not be returned to the system.
#[derive(Default)]
struct Aside {
    pieces: Vec<Vec<u8>>,
    /// The windows in which records were read, each with the number of records.
    windows: Vec<(Window, u32)>,
    /// The total size of the pieces.
    length: usize,
    limit: usize,
    /// Whether more records came than may be set aside; then none is kept.
    overflowed: bool,
}

/// The size of a piece, unless a single record is larger.
const PIECE: usize = 64 << 10;

impl Aside {
    fn push(&mut self, record: &[u8], window: Window) {
        if self.overflowed {
            return;
        }
        let length = 4 + record.len();
        self.length += length;
        if self.length > self.limit {
            self.overflowed = true;
            (self.pieces, self.windows) = (Vec::new(), Vec::new());
            return;
        }
        match self.windows.last_mut() {
            Some((last, records)) if *last == window => *records += 1,
            _ => self.windows.push((window, 1)),
        }
        let fits = |piece: &&mut Vec<u8>| piece.capacity() - piece.len() >= length;
        let piece = match self.pieces.last_mut().filter(fits) {
            Some(piece) => piece,
            None => self.pieces.push_mut(Vec::with_capacity(length.max(PIECE))),
        };
        piece.extend_from_slice(&(record.len() as u32).to_ne_bytes());
        piece.extend_from_slice(record);
    }

    fn records(&self) -> impl Iterator<Item = (&[u8], Window)> {
        let windows = self.windows.iter();
        let windows = windows.flat_map(|(window, records)| std::iter::repeat_n(*window, *records as usize));
        let records = self.pieces.iter().flat_map(|piece| {
            let mut rest = piece.as_slice();
            std::iter::from_fn(move || {
                let (length, after) = rest.split_first_chunk()?;
                let (record, after) = after.split_at_checked(u32::from_ne_bytes(*length) as usize)?;
                rest = after;
                Some(record)
            })
        });
        records.zip(windows)
    }
}

#[cfg(test)]
mod tests;
