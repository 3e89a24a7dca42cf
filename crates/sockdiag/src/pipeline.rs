//! From tables to a sink: dump, decode, filter, enrich, pass on.
//!
//! Rows reach the sink in the order of the dump.  If a look-up is better done for many rows
//! at once (names from the network, holders of sockets), rows are held as raw bytes until
//! [`HELD_BYTES`] have accumulated or the last table is read; then they are passed on in
//! order. Once every holder on the machine is known, rows are passed on in small batches,
//! so that the memory accesses for their holders overlap.
//!
//! Invariant: a row is passed on at most once, and a row that the filter refuses costs no
//! look-up.

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

/// How many bytes of records may be held, unless there are very many sockets.
const HELD_BYTES: usize = 4 << 20;

/// How many bytes of records are held once everything is known: a few hundred rows, which
/// fit into the fastest cache together with their holders.
const BATCH_BYTES: usize = 32 << 10;

/// Decides which rows are wanted.
#[derive(Clone, Copy)]
pub(crate) struct Gate<'p> {
    /// The families to show.
    pub(crate) families: FamilySet,
    /// The condition on rows.
    pub(crate) filter: Option<&'p Expr>,
    /// The facts besides the row that the filter tests.
    pub(crate) context: EvalContext,
}

/// What has to be looked up before a filter that tests it can run.
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
    /// The needs of the filter.
    fn needs(&self) -> Needs {
        self.filter.map_or(Needs::NONE, Expr::needs)
    }

    /// Whether the filter tests values that have to be looked up first.
    pub(crate) fn tests_names(&self) -> bool {
        self.needs().intersects(TESTED_NAMES)
    }

    /// Whether a row is wanted.  A recording is shown whole: only the filter applies to it.
    #[inline]
    pub(crate) fn wants(&self, enricher: &mut Enricher, socket: &Socket<'_>, tests_names: bool) -> bool {
        let shown = matches!(socket.origin.kind, SourceKind::Recording)
            // TIPC is listed whichever families are wanted.
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

/// Processes the records of every table.
pub(crate) struct Pipeline<'p> {
    /// Sources to read.
    pub(crate) sources: &'p Sources,
    /// Decides which rows are wanted.
    pub(crate) gate: Gate<'p>,
    /// The needs of the shown fields and of the filter.
    pub(crate) needs: Needs,
    /// Looks up names.
    pub(crate) enricher: &'p mut Enricher,
    /// Where rows go.
    pub(crate) sink: &'p dyn Rows,
    /// Rows that are held; empty at first.
    pub(crate) held: &'p mut Held,
    /// The order of rows, and how many are shown.
    pub(crate) order: &'p mut Order,
    /// Destroys the inet sockets that are listed, and lists those it destroyed.
    pub(crate) destroyer: Option<&'p mut Destroyer>,
    /// Tables whose sockets were read from /proc text.
    pub(crate) texts: TableSet,
}

/// Calls its argument with every held row and the number of its namespace.
type Waiting<'w> = &'w dyn Fn(&mut dyn FnMut(&Socket<'_>, u32));

impl<'p> Pipeline<'p> {
    /// Starts the tables of another namespace, whose rows this gate tests.
    pub(crate) fn enter(&mut self, scope: u32, gate: Gate<'p>) {
        self.gate = gate;
        self.held.enter(scope);
        self.enricher.enter(scope);
    }

    /// Remembers the sockets of a table of the current namespace as possible peers.  A
    /// table that cannot be read adds none; the listing reports the failure.
    pub(crate) fn learn_peers(&mut self, query: &Query, access: &mut Access) {
        let _ = self.learn(query, access, Enricher::learn_peer);
    }

    /// Counts the ephemeral ports in use of the TCP sockets of the current namespace.
    pub(crate) fn learn_ports(&mut self, query: &Query, access: &mut Access) {
        if !self.learn(query, access, |enricher, socket| enricher.learn_port(Some(socket))) {
            self.enricher.learn_port(None);
        }
    }

    /// Passes every socket of a table to `each`, before any is shown; returns whether the
    /// table was read completely.
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
        // If the previous poll had many sockets, this one will too: find all holders now,
        // so that rows need not be held.
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
        // Notices about rows come before notices about the end of the source.
        let refused = listing.refused;
        refused.into_iter().chain(self.enricher.take_notices()).for_each(|notice| sink.notice(notice));
        result
    }

    /// The only connection that the filter can match in this table, if it names one.
    fn exact(&mut self, query: &Query) -> Option<Exact> {
        let pinned = self.gate.filter.filter(|_| query.table == Table::Tcp).and_then(filter::pinned)?;
        Some(Exact { pinned, interfaces: self.enricher.links()?.indices_of_one_domain()? })
    }

    /// Destroys a socket, if that was requested and its kind can be destroyed.
    fn destroy(&mut self, socket: &Socket<'_>) -> Result<Fate, Notice> {
        match &mut self.destroyer {
            Some(destroyer)
                if Destroyer::acts_on(socket) && self.enricher.decided_without_processes(socket) =>
            {
                destroyer.leave();
                Ok(Fate::Spared)
            }
            Some(destroyer) if Destroyer::acts_on(socket) => destroyer.destroy(socket),
            // The reference lists such a socket as if it had been destroyed.
            Some(destroyer) => {
                destroyer.pass();
                Ok(if destroyer.is_rehearsal() { Fate::Spared } else { Fate::Destroyed })
            }
            None => Ok(Fate::Destroyed),
        }
    }

    /// Passes on all held rows and ends the listing.
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

    /// Keeps a row until the sort order is known.
    #[inline(never)]
    fn keep(&mut self, record: Record<'_>, socket: &Socket<'_>) {
        self.enricher.prepare_names(socket);
        let row = self.enricher.row(socket);
        self.order.keep(record, &row, self.held.scope());
    }

    /// Passes on the kept rows, in order.
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

    /// Makes the look-ups for which rows are held.
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

    /// Whether the next row must be held.
    fn waits(&self) -> bool {
        self.needs.has(Needs::HOSTS) || self.enricher.holders().is_some()
    }

    /// Whether rows are held only to form a batch.
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

    /// Makes the look-ups for all held rows and passes the rows on.
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
            // From here on at most a batch is held.
            held.give_back();
        }
        // The next rows belong to the same namespace as the last of these.
        held.begin(scope);
        *self.held = held;
        flow
    }
}

/// The handling of one table's records.
struct Listing<'l, 'p> {
    pipeline: &'l mut Pipeline<'p>,
    tests_names: bool,
    /// How many bytes of rows may be held.
    most_held: usize,
    /// Why no further socket can be destroyed.
    refused: Option<Notice>,
    /// Where this dump's rows begin among the held rows, while all of them are held.
    began: Option<Mark>,
    /// How many rows were counted before the dump.
    taken: u64,
    /// Where the rows of a repeated dump begin, and how many rows were counted before it.
    again: Option<(Mark, u64)>,
}

impl Listing<'_, '_> {
    /// From now on the dump cannot be undone and repeated.
    fn pass(&mut self) {
        if let (Some(from), Some((to, _))) = (self.began.take(), self.again.take()) {
            self.pipeline.held.remove(from, to);
        }
    }
}

impl Visit for Listing<'_, '_> {
    fn record(&mut self, record: Record<'_>) -> ControlFlow<()> {
        // Borrowed, not moved: a socket is large.
        let decoded = Socket::decode(record);
        let Some(socket) = &decoded else { return ControlFlow::Continue(()) };
        if !self.pipeline.wants(socket, self.tests_names) {
            return ControlFlow::Continue(());
        }
        if record.origin.kind == SourceKind::Proc {
            self.pipeline.texts = self.pipeline.texts.union(TableSet::only(record.origin.table));
        }
        // Stop before destroying: a socket that will not be listed is not destroyed.
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
        // More rows will follow: finding every holder once is cheaper than searching again.
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
