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

mod held;

use std::ops::ControlFlow;

use crate::enrich::{self, Enricher};
use crate::fields::Needs;
use crate::filter::{self, EvalContext, Expr};
use crate::model::{Family, FamilySet, Record, Row, Socket, SourceKind, Table, TableSet};
use crate::notice::Notice;
use crate::order::Order;
use crate::sink::Rows;
use crate::source::{self, Access, Destroyer, DumpError, Exact, Fate, Query, Sources, Visit};

pub(crate) use held::Held;
use held::{Mark, Next};

/// Bytes of records that may wait for names, unless there are very many sockets.
const HELD_BYTES: usize = 4 << 20;

/// Bytes of records that wait where everything is known already: a few hundred
/// rows, which the fastest cache holds beside their holders.
const BATCH_BYTES: usize = 32 << 10;

/// Which rows are wanted.
#[derive(Clone, Copy)]
pub(crate) struct Gate<'p> {
    /// Families that are shown.
    pub(crate) families: FamilySet,
    /// What must hold of a row.
    pub(crate) filter: Option<&'p Expr>,
    /// What the filter asks its surroundings for.
    pub(crate) context: EvalContext,
}

/// What has to be looked up for a row before a filter can test it.
const TESTED_NAMES: Needs = Needs::CGROUPS
    .union(Needs::INTERFACES)
    .union(Needs::SERVICES)
    .union(Needs::NETLINK_NAMES)
    .union(Needs::USERS)
    .union(Needs::COMMANDS)
    .union(Needs::CONTEXTS)
    .union(Needs::PEERS)
    .union(Needs::WORKLOADS)
    .union(Needs::PORT_RANGE)
    .union(Needs::PORTS)
    .union(Needs::ADDRESSES);

impl Gate<'_> {
    /// What the filter needs.
    fn needs(&self) -> Needs {
        self.filter.map_or(Needs::NONE, Expr::needs)
    }

    /// Whether the filter tests what has to be looked up for a row first.
    pub(crate) fn tests_names(&self) -> bool {
        self.needs().intersects(TESTED_NAMES)
    }

    /// Whether a row is wanted.  A recording is shown whole: only the filter
    /// chooses from it.
    #[inline]
    pub(crate) fn wants(&self, enricher: &mut Enricher, socket: &Socket<'_>, tests_names: bool) -> bool {
        let shown = matches!(socket.origin.kind, SourceKind::Recording)
            // TIPC is listed whatever the families are.
            || socket.family == Family::Tipc
            || self.families.contains(socket.family);
        match self.filter {
            Some(filter) if shown => self.passes(enricher, filter, socket, tests_names),
            _ => shown,
        }
    }

    #[inline(never)]
    fn passes(&self, enricher: &mut Enricher, filter: &Expr, socket: &Socket<'_>, tests_names: bool) -> bool {
        enricher.count_tested(socket);
        if tests_names {
            enricher.prepare_names(socket);
            return filter.eval(&enricher.tested_row(socket), self.context);
        }
        let mut row = Row::bare(socket);
        row.names.holders = enricher.holders();
        row.names.netns = enricher.netns();
        row.names.arrival = enricher.arrival();
        filter.eval(&row, self.context)
    }
}

/// What is done with the records of every table.
pub(crate) struct Pipeline<'p> {
    /// Sources to read.
    pub(crate) sources: &'p Sources,
    /// Which rows are wanted.
    pub(crate) gate: Gate<'p>,
    /// What is looked up for a row.
    pub(crate) needs: Needs,
    /// Names.
    pub(crate) enricher: &'p mut Enricher,
    /// Where rows go.
    pub(crate) sink: &'p dyn Rows,
    /// Rows that wait; none to begin with.
    pub(crate) held: &'p mut Held,
    /// In which order rows are shown, and how many of them.
    pub(crate) order: &'p mut Order,
    /// Destroys the inet sockets that are listed, and lists those it destroyed.
    pub(crate) destroyer: Option<&'p mut Destroyer>,
    /// Tables of which sockets came from /proc text.
    pub(crate) texts: TableSet,
}

/// Hands over every row that waited and the number of its namespace.
type Waiting<'w> = &'w dyn Fn(&mut dyn FnMut(&Socket<'_>, u32));

impl<'p> Pipeline<'p> {
    /// Says that the tables of another namespace follow, tested in this way.
    pub(crate) fn enter(&mut self, scope: u32, gate: Gate<'p>) {
        self.gate = gate;
        self.held.enter(scope);
        self.enricher.enter(scope);
    }

    /// Remembers the sockets of a table of the current namespace as other ends
    /// of those that will be listed.  What cannot be read has no sockets here;
    /// the listing will say so.
    pub(crate) fn learn_peers(&mut self, query: &Query, access: &mut Access) {
        let _ = self.learn(query, access, Enricher::learn_peer);
    }

    /// Counts the ephemeral ports in use of the TCP sockets of the current namespace.
    pub(crate) fn learn_ports(&mut self, query: &Query, access: &mut Access) {
        if !self.learn(query, access, |enricher, socket| enricher.learn_port(Some(socket))) {
            self.enricher.learn_port(None);
        }
    }

    /// Hands the sockets of a table on before any is shown; whether all of them came.
    #[cold]
    fn learn(&mut self, query: &Query, access: &mut Access, each: fn(&mut Enricher, &Socket<'_>)) -> bool {
        let enricher = &mut *self.enricher;
        let mut learn = |record: Record<'_>| {
            if let Some(socket) = Socket::decode(record) {
                each(enricher, &socket);
            }
            ControlFlow::Continue(())
        };
        let mut is_whole = true;
        let result = source::dump(query, self.sources, access, &mut learn, &mut |notice| {
            is_whole &= !notice.leaves_holes();
        });
        result.is_ok() && is_whole
    }

    /// Lists one table.  Rows may be held until [`Pipeline::finish`].
    ///
    /// # Errors
    /// See [`source::dump`].
    #[inline(never)]
    pub(crate) fn list(&mut self, query: &Query, access: &mut Access) -> Result<(), DumpError> {
        let tests_names = self.gate.tests_names();
        if self.order.is_full() {
            return Ok(());
        }
        let tests_holders = self.gate.needs().has(Needs::PROCESSES);
        self.enricher.expect_tests(tests_holders);
        // Where there were many sockets, there will be many again: they need not wait.
        let most_held = access.may_wait().max(HELD_BYTES);
        let are_many = self.held.waited_before() >= most_held;
        if tests_holders || are_many || self.order.needs().has(Needs::PROCESSES) {
            self.enricher.prepare_all_holders();
        }
        let services = self.enricher.begin(query.table);
        let query = &Query { exact: self.exact(query), services, ..query.clone() };
        let (sources, sink) = (self.sources, self.sink);
        let mut listing = Listing {
            pipeline: self,
            tests_names,
            most_held,
            refused: None,
            began: None,
            again: None,
            taken: 0,
        };
        let result = source::dump(query, sources, access, &mut listing, &mut |notice| sink.notice(notice));
        // What is said of rows comes before what is said of the source's end.
        let refused = listing.refused;
        refused.into_iter().chain(self.enricher.take_notices()).for_each(|notice| sink.notice(notice));
        result
    }

    /// The one connection that the filter can want of this table.
    fn exact(&mut self, query: &Query) -> Option<Exact> {
        let pinned = self.gate.filter.filter(|_| query.table == Table::Tcp).and_then(filter::pinned)?;
        Some(Exact { pinned, interfaces: self.enricher.links()?.indices_of_one_domain()? })
    }

    /// Destroys a socket, if that was asked for and it is of a kind for it.
    fn destroy(&mut self, socket: &Socket<'_>) -> Result<Fate, Notice> {
        match &mut self.destroyer {
            Some(destroyer)
                if Destroyer::acts_on(socket) && self.enricher.decided_without_processes(socket) =>
            {
                destroyer.leave();
                Ok(Fate::Spared)
            }
            Some(destroyer) if Destroyer::acts_on(socket) => destroyer.destroy(socket),
            // As the reference, which lists it as if it were.
            Some(destroyer) => {
                destroyer.pass();
                Ok(if destroyer.is_rehearsal() { Fate::Spared } else { Fate::Destroyed })
            }
            None => Ok(Fate::Destroyed),
        }
    }

    /// Hands on what is held and ends the listing.
    #[inline(never)]
    pub(crate) fn finish(&mut self) {
        let _ = self.release();
        let _ = self.release_kept();
        let tally = self.destroyer.as_ref().map(|destroyer| Notice::Destroyed(destroyer.tally()));
        let tables = self.texts.iter().map(|table| table.facts().title).collect::<Vec<_>>();
        let texts = (!tables.is_empty()).then_some(Notice::ProcText { tables });
        let missing = self.enricher.take_missing();
        self.enricher
            .take_notices()
            .chain(missing)
            .chain(texts)
            .chain(tally)
            .for_each(|notice| self.sink.notice(notice));
        self.sink.flush();
    }

    /// Keeps a row until its place is known.
    #[inline(never)]
    fn keep(&mut self, record: Record<'_>, socket: &Socket<'_>) {
        self.enricher.prepare_names(socket);
        let row = self.enricher.row(socket);
        self.order.keep(record, &row, self.held.scope());
    }

    /// Hands on what was kept, in order.
    #[inline(never)]
    fn release_kept(&mut self) -> ControlFlow<()> {
        let kept = self.order.take();
        self.prepare_waiting(&|take| {
            for kept in &kept {
                if let Some(socket) = Socket::decode(kept.record()) {
                    take(&socket, kept.scope);
                }
            }
        });
        kept.iter().try_for_each(|kept| {
            let Some(socket) = Socket::decode(kept.record()) else { return ControlFlow::Continue(()) };
            self.enricher.enter(kept.scope);
            self.show(&socket)
        })
    }

    /// Looks up what rows waited for.
    #[inline(never)]
    fn prepare_waiting(&mut self, each: Waiting<'_>) {
        if self.enricher.holders().is_some() {
            let mut inodes = Vec::new();
            each(&mut |socket, scope| {
                inodes.push(socket.inode);
                if self.enricher.wants_peers() {
                    inodes.push(self.enricher.peer_inode(socket, scope));
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

    #[inline]
    fn wants(&mut self, socket: &Socket<'_>, tests_names: bool) -> bool {
        self.gate.wants(self.enricher, socket, tests_names)
    }

    #[inline]
    fn show(&mut self, socket: &Socket<'_>) -> ControlFlow<()> {
        self.enricher.prepare(socket);
        self.sink.row(&self.enricher.row(socket))
    }

    /// Looks up what all held rows wait for and hands the rows on.
    #[inline(never)]
    fn release(&mut self) -> ControlFlow<()> {
        let scope = self.held.scope();
        let mut held = std::mem::take(self.held);
        if self.needs.has(Needs::HOSTS) || self.enricher.wants_peers() {
            self.prepare_waiting(&|take| held.sockets(take));
        } else {
            self.enricher.prepare_holders(held.inodes().collect());
        }
        let flow = held.each(|next| match next {
            Next::Row(socket) => self.show(&socket),
            Next::Enter(scope) => {
                self.enricher.enter(scope);
                ControlFlow::Continue(())
            }
        });
        self.enricher.enter(scope);
        if held.bytes() > BATCH_BYTES && self.all_is_known() {
            // No more than a batch waits from here on.
            held.give_back();
        }
        // What follows is of the same namespace as the last of these.
        held.begin(scope);
        *self.held = held;
        flow
    }
}

/// What becomes of the records of a table.
struct Listing<'l, 'p> {
    pipeline: &'l mut Pipeline<'p>,
    tests_names: bool,
    /// Bytes of rows that may wait.
    most_held: usize,
    /// Why no further socket is destroyed.
    refused: Option<Notice>,
    /// Where the rows of the dump begin among those that wait, while all of
    /// them do.
    began: Option<Mark>,
    /// How many rows counted before the dump.
    taken: u64,
    /// Where those of its repetition begin, and how many counted until then.
    again: Option<(Mark, u64)>,
}

impl Listing<'_, '_> {
    /// From now on the dump has an effect that cannot be taken back.
    fn pass(&mut self) {
        if let (Some(from), Some((to, _))) = (self.began.take(), self.again.take()) {
            self.pipeline.held.remove(from, to);
        }
    }
}

impl Visit for Listing<'_, '_> {
    fn record(&mut self, record: Record<'_>) -> ControlFlow<()> {
        // Not moved out: it is large.
        let decoded = Socket::decode(record);
        let Some(socket) = &decoded else { return ControlFlow::Continue(()) };
        if !self.pipeline.wants(socket, self.tests_names) {
            return ControlFlow::Continue(());
        }
        if record.origin.kind == SourceKind::Proc {
            self.pipeline.texts = self.pipeline.texts.union(TableSet::only(record.origin.table));
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
        if self.pipeline.enricher.tells_namespaces() {
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
                let sink = self.pipeline.sink;
                self.pipeline.enricher.take_row_notices().for_each(|notice| sink.notice(notice));
            }
            return if self.pipeline.order.is_full() { ControlFlow::Break(()) } else { flow };
        }
        self.pipeline.held.push(record, socket.inode);
        if self.pipeline.order.is_full() {
            return ControlFlow::Break(());
        }
        let most = if self.pipeline.all_is_known() { BATCH_BYTES } else { self.most_held };
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
        self.taken = self.pipeline.order.taken();
    }

    fn may_replace(&mut self) -> bool {
        let Self { pipeline, began, taken, .. } = self;
        self.again = began.map(|_| (pipeline.held.end(), pipeline.order.recount(*taken)));
        began.is_some()
    }

    fn replaced(&mut self, failed: bool) {
        if let (Some(from), Some((to, taken))) = (self.began, self.again.take()) {
            if failed {
                self.pipeline.held.truncate(to);
                self.pipeline.order.recount(taken);
            } else {
                self.pipeline.held.remove(from, to);
            }
        }
    }
}
