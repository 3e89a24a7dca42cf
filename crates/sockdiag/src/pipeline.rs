//! From tables to a sink: dump, decode, filter, enrich, hand on.
//!
//! Rows reach the sink in the order of the dump.  Where something is better
//! looked up for many rows at once (names that the network knows, the holders
//! of sockets), rows are held as the bytes they came in until there are
//! [`HELD_BYTES`] of them or the last table is read; then they go on in order.
//! Once every holder on the machine is known, rows go on in small batches, so
//! that memory is asked for the holders of many at once.
//!
//! Invariant: a row is handed on at most once, and what the filter refuses
//! costs no look-up.

use std::cell::RefCell;
use std::io;
use std::ops::ControlFlow;

use crate::enrich::{self, Enricher};
use crate::fields::Needs;
use crate::filter::{self, EvalContext, Expr};
use crate::model::{Family, FamilySet, Origin, Record, Row, Socket, SourceKind, Table};
use crate::notice::Notice;
use crate::order::Order;
use crate::source::{self, Destroyer, DumpError, Exact, Fate, Query, Sources, Visit};

/// Where rows go.
pub trait Sink {
    /// Takes one row, which it may not keep.
    ///
    /// # Errors
    /// What writing brought about; the listing ends there.
    fn row(&mut self, row: &Row<'_>) -> io::Result<()>;

    /// Hands on what was buffered.
    ///
    /// # Errors
    /// What writing brought about.
    fn finish(&mut self) -> io::Result<()>;
}

/// Bytes of records that may wait for names.
pub const HELD_BYTES: usize = 4 << 20;

/// Bytes of records that wait where everything is known already: a few hundred
/// rows, which the fastest cache holds beside their holders.
const BATCH_BYTES: usize = 32 << 10;

/// What is done with the records of every table.
pub struct Pipeline<'p> {
    /// Sources to read.
    pub sources: &'p Sources,
    /// Families that are shown.
    pub families: FamilySet,
    /// What must hold of a row.
    pub filter: Option<&'p Expr>,
    /// What the filter asks its surroundings for.
    pub context: EvalContext,
    /// What is looked up for a row.
    pub needs: Needs,
    /// Names.
    pub enricher: &'p mut Enricher,
    /// Where rows go.
    pub sink: &'p mut dyn Sink,
    /// Rows that wait; none to begin with.
    pub held: Held,
    /// In which order rows are shown, and how many of them.
    pub order: Order,
    /// Destroys the inet sockets that are listed, and lists those it destroyed.
    pub destroyer: Option<Destroyer>,
}

/// Hands over every row that waited and the number of its namespace.
type Waiting<'w> = &'w dyn Fn(&mut dyn FnMut(&Socket<'_>, u32));

/// What a row has to have looked up before a filter can test it.
const TESTED_NAMES: &[Needs] = &[
    Needs::CGROUPS,
    Needs::INTERFACES,
    Needs::SERVICES,
    Needs::NETLINK_NAMES,
    Needs::USERS,
    Needs::COMMANDS,
    Needs::CONTEXTS,
    Needs::PEERS,
    Needs::WORKLOADS,
    Needs::ADDRESSES,
];

impl<'p> Pipeline<'p> {
    /// Says that the tables of another namespace follow, tested in this way.
    pub fn enter(&mut self, place: u32, filter: Option<&'p Expr>, context: EvalContext) {
        (self.filter, self.context) = (filter, context);
        self.held.steps.push(Step::Enter(place));
        self.held.place = place;
        self.enricher.enter(place);
    }

    /// Remembers the sockets of a table of the current namespace as other ends
    /// of those that will be listed.  What cannot be read has no sockets here;
    /// the listing will say so.
    pub fn learn_peers(&mut self, query: &Query) {
        let enricher = &mut *self.enricher;
        let _ = source::dump(
            query,
            self.sources,
            &mut |record: Record<'_>| {
                if let Some(socket) = Socket::decode(record) {
                    enricher.learn_peer(&socket);
                }
                ControlFlow::Continue(())
            },
            &mut |_| {},
        );
    }

    /// Lists one table.  Rows may be held until [`Pipeline::finish`].
    ///
    /// # Errors
    /// See [`source::dump`].  The sink's own errors end the listing quietly,
    /// as a reader that went away should.
    pub fn list(&mut self, query: &Query, notices: &mut dyn FnMut(Notice)) -> Result<(), DumpError> {
        let sources = self.sources;
        let by_name = self.filters_by_name();
        if self.order.is_full() {
            return Ok(());
        }
        let tested = self.filter.map_or(Needs::NONE, Expr::needs).union(self.order.needs());
        if tested.has(Needs::PROCESSES) {
            self.enricher.prepare_all_holders();
        }
        if self.waits() {
            self.held.steps.push(Step::Begin(query.table));
        } else {
            self.enricher.begin(query.table);
        }
        let query = &Query { exact: self.exact(query), ..query.clone() };
        // What is said of rows comes before what is said of the source's end.
        let notices = RefCell::new(notices);
        let say = |notice| (notices.borrow_mut())(notice);
        let mut listing =
            Listing { pipeline: self, by_name, say: &say, refused: None, began: None, again: None };
        let result = source::dump(query, sources, &mut listing, &mut |notice| say(notice));
        let refused = listing.refused;
        refused.into_iter().chain(self.enricher.take_notices()).for_each(say);
        result
    }

    /// The one connection that the filter can want of this table.
    fn exact(&self, query: &Query) -> Option<Exact> {
        let pinned = self.filter.filter(|_| query.table == Table::Tcp).and_then(filter::pinned)?;
        Some(Exact { pinned, interfaces: enrich::indices_of_one_domain()? })
    }

    /// Shows sockets as they are destroyed, each at once, without an end.
    ///
    /// # Errors
    /// When the kernel cannot be listened to, or not any longer.
    pub fn follow(&mut self, groups: u32, notices: &mut dyn FnMut(Notice)) -> Result<(), DumpError> {
        let by_name = self.filters_by_name();
        source::follow(
            groups,
            &mut |record: Record<'_>| {
                let Some(socket) = Socket::decode(record) else { return ControlFlow::Continue(()) };
                // What is gone already cannot be destroyed: as the reference.
                if self.destroyer.is_some() || !self.wants(&socket, by_name) {
                    return ControlFlow::Continue(());
                }
                self.order.count();
                let flow = self.show(&socket);
                match self.sink.finish() {
                    Ok(()) if !self.order.is_full() => flow,
                    _ => ControlFlow::Break(()),
                }
            },
            notices,
        )
    }

    /// Destroys a socket, if that was asked for and it is of a kind for it.
    fn destroy(&mut self, socket: &Socket<'_>) -> Result<Fate, Notice> {
        match &mut self.destroyer {
            Some(destroyer) if Destroyer::acts_on(socket) => destroyer.destroy(socket),
            // As the reference, which lists it as if it were.
            Some(destroyer) => {
                destroyer.pass();
                Ok(Fate::Destroyed)
            }
            None => Ok(Fate::Destroyed),
        }
    }

    /// Hands on what is held and ends the listing.
    ///
    /// # Errors
    /// What writing brought about.
    pub fn finish(&mut self, notices: &mut dyn FnMut(Notice)) -> io::Result<()> {
        let _ = self.release();
        let _ = self.release_kept();
        let tally = self.destroyer.as_ref().map(|destroyer| Notice::Destroyed(destroyer.tally()));
        self.enricher.take_notices().chain(tally).for_each(notices);
        self.sink.finish()
    }

    /// Keeps a row until its place is known.
    fn keep(&mut self, record: Record<'_>, socket: &Socket<'_>) {
        self.enricher.prepare_names(socket);
        let row = self.enricher.row(socket);
        self.order.keep(record, &row, self.enricher.services_of(), self.held.place);
    }

    /// Hands on what was kept, in order.
    fn release_kept(&mut self) -> ControlFlow<()> {
        let kept = self.order.take();
        self.prepare_waiting(&|take| {
            for kept in &kept {
                if let Some(socket) = Socket::decode(kept.record()) {
                    take(&socket, kept.place);
                }
            }
        });
        kept.iter().try_for_each(|kept| {
            let Some(socket) = Socket::decode(kept.record()) else { return ControlFlow::Continue(()) };
            self.enricher.set_services_of(kept.services_of);
            self.enricher.enter(kept.place);
            self.show(&socket)
        })
    }

    /// Looks up what rows waited for.
    fn prepare_waiting(&mut self, each: Waiting<'_>) {
        if self.enricher.holders().is_some() {
            let mut inodes = Vec::new();
            each(&mut |socket, place| {
                inodes.push(socket.inode);
                if self.enricher.wants_peers() {
                    inodes.push(self.enricher.peer_inode(socket, place));
                }
            });
            self.enricher.prepare_holders(inodes);
        }
        if self.needs.has(Needs::HOSTS) {
            let mut addrs = Vec::new();
            each(&mut |socket, _| addrs.extend(enrich::addresses(socket)));
            self.enricher.prepare_hosts(addrs.into_iter());
        }
    }

    /// Whether the next row is held.
    fn waits(&self) -> bool {
        self.needs.has(Needs::HOSTS) || self.enricher.holders().is_some()
    }

    /// Whether what is held waits for company only.
    fn all_is_known(&self) -> bool {
        !self.needs.has(Needs::HOSTS) && !self.enricher.waits_for_holders()
    }

    /// Whether the filter tests what has to be looked up for a row first.
    fn filters_by_name(&self) -> bool {
        let needs = self.filter.map_or(Needs::NONE, Expr::needs);
        TESTED_NAMES.iter().any(|name| needs.has(*name))
    }

    /// A recording is shown whole: only the filter chooses from it.
    #[inline]
    fn wants(&mut self, socket: &Socket<'_>, by_name: bool) -> bool {
        let shown = matches!(socket.origin.kind, SourceKind::Recording)
            // TIPC is listed whatever the families are.
            || socket.family == Family::Tipc
            || self.families.contains(socket.family);
        match self.filter {
            Some(filter) if shown => self.passes(filter, socket, by_name),
            _ => shown,
        }
    }

    #[inline(never)]
    fn passes(&mut self, filter: &Expr, socket: &Socket<'_>, by_name: bool) -> bool {
        if by_name {
            self.enricher.prepare_names(socket);
            return filter.eval(&self.enricher.row(socket), self.context);
        }
        filter.eval(&self.bare(socket), self.context)
    }

    /// The row as the filter sees it.
    fn bare<'r>(&'r self, socket: &'r Socket<'r>) -> Row<'r> {
        let mut row = Row::bare(socket);
        row.names.holders = self.enricher.holders();
        row.names.netns = self.enricher.netns();
        row
    }

    #[inline]
    fn show(&mut self, socket: &Socket<'_>) -> ControlFlow<()> {
        self.enricher.prepare(socket);
        match self.sink.row(&self.enricher.row(socket)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }

    /// Looks up what all held rows wait for and hands the rows on.
    fn release(&mut self) -> ControlFlow<()> {
        let place = self.held.place;
        // What follows is of the same namespace as the last of these.
        let rest = Held { steps: vec![Step::Enter(place)], place, ..Held::default() };
        let held = std::mem::replace(&mut self.held, rest);
        self.prepare_waiting(&|take| held.sockets(take));
        let flow = held.each(|next| match next {
            Next::Row(socket) => self.show(&socket),
            Next::Begin(table) => {
                self.enricher.begin(table);
                ControlFlow::Continue(())
            }
            Next::Enter(place) => {
                self.enricher.enter(place);
                ControlFlow::Continue(())
            }
        });
        self.enricher.enter(place);
        flow
    }
}

/// What becomes of the records of a table.
struct Listing<'l, 'p> {
    pipeline: &'l mut Pipeline<'p>,
    by_name: bool,
    say: &'l dyn Fn(Notice),
    /// Why no further socket is destroyed.
    refused: Option<Notice>,
    /// Where the rows of the dump begin among those that wait, while all of
    /// them do.
    began: Option<Place>,
    /// Where those of its repetition begin.
    again: Option<Place>,
}

impl Listing<'_, '_> {
    /// From now on the dump has an effect that cannot be taken back.
    fn pass(&mut self) {
        if let (Some(from), Some(to)) = (self.began.take(), self.again.take()) {
            self.pipeline.held.remove(from, to);
        }
    }
}

impl Visit for Listing<'_, '_> {
    fn record(&mut self, record: Record<'_>) -> ControlFlow<()> {
        // Not moved out: it is large.
        let decoded = Socket::decode(record);
        let Some(socket) = &decoded else { return ControlFlow::Continue(()) };
        if !self.pipeline.wants(socket, self.by_name) {
            return ControlFlow::Continue(());
        }
        // What is not listed is not destroyed.
        if self.pipeline.order.is_full() {
            return ControlFlow::Break(());
        }
        if self.pipeline.destroyer.is_some() || self.pipeline.order.keeps() {
            self.pass();
        }
        match self.pipeline.destroy(socket) {
            Ok(Fate::Destroyed) => {}
            Ok(Fate::Gone | Fate::Spared) => return ControlFlow::Continue(()),
            Err(notice) => {
                self.refused = Some(notice);
                return ControlFlow::Break(());
            }
        }
        if self.pipeline.enricher.has_places() {
            self.pipeline.enricher.prepare_interfaces(socket);
        }
        if self.pipeline.order.keeps() {
            self.pipeline.keep(record, socket);
            return ControlFlow::Continue(());
        }
        self.pipeline.order.count();
        if !self.pipeline.waits() {
            self.pass();
            let flow = self.pipeline.show(socket);
            if self.pipeline.enricher.has_row_notices() {
                self.pipeline.enricher.take_row_notices().for_each(self.say);
            }
            return if self.pipeline.order.is_full() { ControlFlow::Break(()) } else { flow };
        }
        self.pipeline.held.push(record);
        if self.pipeline.order.is_full() {
            return ControlFlow::Break(());
        }
        let most = if self.pipeline.all_is_known() { BATCH_BYTES } else { HELD_BYTES };
        if self.pipeline.held.bytes() < most {
            return ControlFlow::Continue(());
        }
        self.pass();
        // More will come: better to know every holder than to ask again.
        self.pipeline.enricher.prepare_all_holders();
        self.pipeline.release()
    }

    fn begin(&mut self) {
        self.began = Some(self.pipeline.held.end());
        self.again = None;
    }

    fn may_replace(&mut self) -> bool {
        self.again = self.began.map(|_| self.pipeline.held.end());
        self.began.is_some()
    }

    fn replaced(&mut self, failed: bool) {
        if let (Some(from), Some(to)) = (self.began, self.again.take()) {
            if failed {
                self.pipeline.held.truncate(to);
            } else {
                self.pipeline.held.remove(from, to);
            }
        }
    }
}

/// Rows that wait for what can only be looked up for many at once, as the
/// bytes they came in, and where their tables begin.
#[derive(Debug, Default)]
pub struct Held {
    records: Vec<u8>,
    steps: Vec<Step>,
    /// The namespace of the rows that will come.
    place: u32,
}

/// A place between rows that wait.
#[derive(Clone, Copy, Debug)]
struct Place {
    byte: usize,
    step: usize,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The rows of this table follow.
    Begin(Table),
    /// The rows of this namespace follow.
    Enter(u32),
    /// A row of that many bytes.
    Row(Origin, u32),
}

/// A step, decoded; it lives on the stack, for as long as it is looked at.
#[allow(clippy::large_enum_variant)]
enum Next<'h> {
    Begin(Table),
    Enter(u32),
    Row(Socket<'h>),
}

impl Held {
    fn push(&mut self, record: Record<'_>) {
        self.records.extend_from_slice(record.bytes);
        self.steps.push(Step::Row(record.origin, record.bytes.len() as u32));
    }

    /// Where the next row will be.
    fn end(&self) -> Place {
        Place { byte: self.records.len(), step: self.steps.len() }
    }

    /// Drops the rows from there on.
    fn truncate(&mut self, place: Place) {
        self.records.truncate(place.byte);
        self.steps.truncate(place.step);
    }

    /// Drops the rows between two places.
    fn remove(&mut self, from: Place, to: Place) {
        self.records.drain(from.byte..to.byte);
        self.steps.drain(from.step..to.step);
    }

    /// The memory that the rows take.
    fn bytes(&self) -> usize {
        self.records.len() + size_of_val(self.steps.as_slice())
    }

    /// Hands over every row and the number of its namespace.
    fn sockets(&self, take: &mut dyn FnMut(&Socket<'_>, u32)) {
        let mut at = 0;
        for next in self.decoded() {
            match next {
                Next::Row(socket) => take(&socket, at),
                Next::Begin(_) => {}
                Next::Enter(place) => at = place,
            }
        }
    }

    /// Rows, tables and namespaces that begin, in order, until one breaks off.
    fn each(&self, take: impl FnMut(Next<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        self.decoded().try_for_each(take)
    }

    fn decoded(&self) -> impl Iterator<Item = Next<'_>> {
        let mut rest = self.records.as_slice();
        self.steps.iter().filter_map(move |step| match *step {
            Step::Begin(table) => Some(Next::Begin(table)),
            Step::Enter(place) => Some(Next::Enter(place)),
            Step::Row(origin, length) => {
                let (bytes, after) = rest.split_at_checked(length as usize)?;
                rest = after;
                Socket::decode(Record { origin, bytes }).map(Next::Row)
            }
        })
    }
}
