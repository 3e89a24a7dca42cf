//! A session: one question, asked repeatedly.
//!
//! What one poll sets up is reused by the next: netlink sockets in each network namespace,
//! the parsed filter, the BPF program that finds holders and its link, and look-ups, while
//! they stay valid (see [`crate::enrich`]).  A second poll opens nothing that the first one
//! opened.
//!
//! Invariant: a poll reports the current state.  Whatever may change between two polls (the
//! holders of a socket, the name of an interface, the list of namespaces) is read again.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

mod error;
mod follow;
mod observed;
mod probe;
mod question;
mod scopes;

use std::sync::Arc;

use crate::counters::HostCounters;
use crate::enrich::{EnrichConfig, Enricher, Threads};
use crate::fields::Needs;
use crate::filter::{self, EvalContext, Expr, Remark};
use crate::model::{MessageKind, Selected, State, StateSet, Table, TableSet};
use crate::notice::Notice;
use crate::order::Order;
use crate::pipeline::{Gate, Held, Pipeline};
use crate::sink::{Guard, Rows, Seen, Sink};
use crate::source::{self, Access, Destroyer, DumpError, Instead, Query, Sources, Storages};
use crate::sys::clock;
use crate::sys::opener::{Opener, Worker};
use crate::sys::selinux;

pub use error::{AskError, Outcome, PollError, Verdict};
pub use follow::{Ended, Event, Follow};
pub use probe::Probe;
pub use question::{Parse, Question};

pub(crate) use observed::{Course, Test, Told};
use question::Reader;
use scopes::{Scope, Scopes};

/// A question that can be asked repeatedly.
#[derive(Debug)]
pub struct Session {
    selected: Selected,
    needs: Needs,
    storages: Storages,
    order: Order,
    sources: Sources,
    /// The words that name the namespaces, and whether peers in other namespaces are
    /// searched.
    netns: Option<(std::ffi::OsString, bool)>,
    explain: bool,
    /// See [`Question::lean`].
    lean: bool,
    reader: Reader,
    scopes: Scopes,
    enricher: Enricher,
    destroyer: Option<Destroyer>,
    /// Memory for rows that are held.
    held: Held,
    /// Notices from before the first poll.
    early: Vec<Notice>,
    /// Whether one walk reads several namespaces; `None` until decided.
    walks_ahead: Option<bool>,
    /// The access for that walk, once it was tried.
    ahead: Option<Access>,
    /// Whether holders are searched, if they were requested.
    looks_for_holders: bool,
    /// Whether a poll was made.
    polled: bool,
    /// Whether an observer tests the filter instead.
    observed: bool,
    /// Whether the next poll has already begun.
    begun: bool,
    /// The course of the last poll.
    course: Course,
    /// The source of TCP sockets in the next poll instead of a dump, by namespace.
    instead: Vec<(u64, Arc<dyn Instead>)>,
}

impl Session {
    /// Prepares a question for many polls.
    ///
    /// # Errors
    /// If it cannot be asked at all.
    pub fn open(question: Question) -> Result<Self, AskError> {
        // Later polls may come from threads in other namespaces.
        let home = match &question.inside {
            Some(inside) => inside.opener.clone(),
            None => Opener::pinned(&Worker::default()).unwrap_or_default(),
        };
        Self::new(question, home, true)
    }

    /// Prepares a question for one poll.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub fn once(question: Question) -> Result<Self, AskError> {
        let home = question.home();
        Self::new(question, home, false)
    }

    fn new(mut question: Question, home: Opener, polls_again: bool) -> Result<Self, AskError> {
        let mut reader = question.reader(polls_again);
        let mut early = Vec::new();
        let order_needs = question.order.needs();
        let needs = question.needs.union(order_needs);
        let mut scopes = match &question.netns {
            None => Scopes::one(home, &question.sources, &mut reader)?,
            Some(words) => {
                let mut say = |notice| early.push(notice);
                let peers = needs.has(Needs::PEERS);
                Scopes::of(words, peers, home, &question.sources, &mut reader, &mut say)?
            }
        };
        let first = scopes.first();
        early.extend(
            first
                .into_iter()
                .flat_map(|scope| scope.remarks.clone())
                .filter(Remark::is_told)
                .map(Notice::Filter),
        );
        let mut selected = question.selected;
        if let Some(family) = first.and_then(|scope| scope.family) {
            selected.narrow(family);
        }
        // Names in a filter may stand for other numbers in another namespace, but its needs
        // are the same.
        let tested = first.and_then(Scope::filter).map_or(Needs::NONE, Expr::needs);
        let mut needs = needs.union(tested);
        if !question.resolve {
            needs = needs.minus(Needs::HOSTS);
        }
        let mut sources = question.sources.clone();
        if needs.has(Needs::CONTEXTS) && sources.selinuxfs.is_none() {
            sources.selinuxfs = selinux::mount_point();
        }
        if question.explain {
            early.extend(source::bound_inactive(&selected, &sources));
        }
        question.needs = needs;
        let storages = question.query(Table::Tcp).storages;
        let Question { numeric, resolve, mut threads, holder_search, reasons, .. } = question;
        // If the filter tests processes, report the processes that it could not see.
        let tests = tested.has(Needs::PROCESSES);
        if tests && threads == Threads::First {
            threads = Threads::Own;
        }
        let explains = question.explain || tests;
        let config = EnrichConfig {
            needs,
            tested,
            numeric,
            resolve,
            threads,
            holder_search,
            polls_again,
            explains,
            reasons,
            sources: &sources,
        };
        let home = scopes.home();
        let mut enricher = Enricher::new(&config, question.bpf_maps, question.quirks, &home);
        enricher.begin_poll(scopes.facts(), scopes.take_links());
        if needs.has(Needs::PORT_RANGE) {
            enricher.have_port_ranges(scopes.port_ranges(&sources));
        }
        let peers = needs.has(Needs::PEERS);
        Ok(Self {
            selected,
            needs,
            storages,
            order: question.order,
            sources,
            netns: question.netns.map(|words| (words, peers)),
            explain: question.explain,
            lean: question.lean && !polls_again,
            reader,
            scopes,
            enricher,
            destroyer: None,
            held: Held::default(),
            early,
            walks_ahead: None,
            ahead: None,
            looks_for_holders: true,
            polled: false,
            observed: false,
            begun: false,
            course: Course::default(),
            instead: Vec::new(),
        })
    }

    /// Asks the question, and passes every row to `sink` as it comes, until the sink has
    /// enough.
    ///
    /// # Errors
    /// [`PollError::Sink`] with the sink's first error; [`PollError::Ask`] if the question
    /// cannot be asked any more.  A table that cannot be read is a failure in the outcome:
    /// the other tables are still read.
    pub fn poll<S: Sink>(&mut self, sink: &mut S) -> Result<Outcome, PollError<S::Error>> {
        let begin_ns = clock::now_ns();
        // Destroying must not depend on whether the output can be written.
        let goes_on = self.destroyer.is_some();
        let guard = Guard::new(sink, goes_on);
        let failures = self.ask(&guard).map_err(PollError::Ask)?;
        let Seen { rows, error, notices, more_notices } = guard.into_seen();
        match error {
            Some(error) => Err(PollError::Sink(error)),
            None => Ok(Outcome { rows, notices, more_notices, failures, window: clock::since(begin_ns) }),
        }
    }

    /// From now on, sockets that are listed are destroyed, and only those that were
    /// destroyed are listed.
    ///
    /// # Errors
    /// With several namespaces.  Without access to the kernel the rows come from another
    /// source, and nothing is destroyed.
    pub fn destroy_listed(&mut self) -> Result<(), AskError> {
        let scope = self.scopes.only()?;
        no_doubt(scope)?;
        self.destroyer = Some(Destroyer::try_open(&mut scope.access));
        Ok(())
    }

    /// From now on only sockets are listed that [`Session::destroy_listed`] would have
    /// destroyed, as far as that can be known without trying.
    ///
    /// # Errors
    /// As [`Session::destroy_listed`], without the kernel's errors.
    pub fn rehearse_destroying(&mut self) -> Result<(), AskError> {
        let scope = self.scopes.only()?;
        no_doubt(scope)?;
        self.destroyer = Some(Destroyer::rehearsal());
        Ok(())
    }

    /// Returns a destroyer for the only namespace, which destroys sockets one at a time.
    pub(crate) fn destroyer(&mut self) -> Result<Destroyer, AskError> {
        let scope = self.scopes.only()?;
        if scope.filter().is_none() {
            return Err(AskError::DestroyWithoutFilter);
        }
        no_doubt(scope)?;
        Destroyer::open(&mut scope.access).map_err(AskError::Destroy)
    }

    /// Reports TCP and UDP sockets as they end, whoever closed them.  The requested states
    /// do not matter.
    ///
    /// # Errors
    /// [`AskError::NothingToFollow`], [`AskError::Follow`]; with several namespaces.
    pub fn follow(mut self) -> Result<Follow, AskError> {
        let groups = source::event_groups(self.selected.tables, self.selected.families);
        if groups == 0 {
            return Err(AskError::NothingToFollow);
        }
        let scope = self.scopes.only()?;
        let events = source::Events::open(groups, &scope.access).map_err(AskError::Follow)?;
        Follow::new(self, events)
    }

    /// Loads what the search for holders needs, which otherwise happens at the first row
    /// that needs it.
    pub fn prepare(&mut self) {
        if self.needs.has(Needs::PROCESSES) {
            // No socket has this inode; any other result is forgotten.
            self.enricher.prepare_holders(vec![u32::MAX]);
            self.polled = true;
        }
    }

    /// A fast check, between two polls, whether a listener may have appeared; `None` if the
    /// question can match more than TCP listeners on one port of one namespace.
    pub fn probe(&mut self) -> Option<Probe> {
        let is_tcp = self.selected.tables == TableSet::only(Table::Tcp);
        let is_live = self.sources.are_live() && self.sources.ip_local_port_range.is_none();
        if !is_tcp || !is_live || !self.selected.states.contains(State::Listen) {
            return None;
        }
        let scope = self.scopes.only().ok()?;
        let port = scope.filter().and_then(filter::local_port)?;
        Probe::open(port, scope.access.opener())
    }

    /// Records the kernel's raw replies about TCP sockets.
    pub(crate) fn record(
        &mut self,
        out: &mut dyn std::io::Write,
        say: &mut dyn FnMut(Notice),
    ) -> Result<(), AskError> {
        if !self.selected.tables.contains(Table::Tcp) {
            return Err(AskError::NothingToRecord);
        }
        let query = Query {
            storages: self.storages.clone(),
            ..question::query(&self.selected, self.needs, Table::Tcp)
        };
        let scope = self.scopes.only()?;
        source::record(&query, &mut scope.access, out, say).map_err(AskError::Record)
    }

    /// The current counters of the question's namespaces, as the last poll found them and
    /// in that order.  A namespace that has ended since is left out.
    pub fn counters(&self) -> Vec<HostCounters> {
        self.scopes.counters(&self.sources)
    }

    /// The values requested from the kernel and from look-ups.
    pub fn needs(&self) -> Needs {
        self.needs
    }

    /// Whether the next polls search for the holders of sockets, if they were requested;
    /// with many sockets the search is expensive.  In a poll without it, rows have no
    /// holders, and no notice says that they are missing.  If the filter or the sort order
    /// reads holders, they are searched anyway.
    pub fn look_for_holders(&mut self, look: bool) {
        self.looks_for_holders = look;
    }

    /// The condition on rows, as parsed in the first namespace.
    pub fn filter(&self) -> Option<&Expr> {
        self.scopes.first().and_then(Scope::filter)
    }

    /// The notices from before the first poll.
    pub(crate) fn take_early(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.early)
    }

    /// Refreshes what was kept, for another poll.
    fn begin(&mut self, sink: &dyn Rows) -> Result<(), AskError> {
        self.take_early().into_iter().for_each(|notice| sink.notice(notice));
        let tested = self.filter().map_or(Needs::NONE, Expr::needs).union(self.order.needs());
        self.enricher.look_for_holders(self.looks_for_holders || tested.has(Needs::PROCESSES));
        if !std::mem::replace(&mut self.polled, true) {
            return Ok(());
        }
        self.order.begin();
        self.scopes.return_links(self.enricher.take_links());
        let read = match &self.netns {
            None => self.scopes.read_again(&self.sources, &mut self.reader),
            Some((words, peers)) => {
                let mut say = |notice| sink.notice(notice);
                self.scopes.find(words, *peers, &self.sources, &mut self.reader, &mut say, false)
            }
        };
        self.enricher.begin_poll(self.scopes.facts(), self.scopes.take_links());
        if self.needs.has(Needs::PORT_RANGE) {
            self.enricher.have_port_ranges(self.scopes.port_ranges(&self.sources));
        }
        read
    }

    fn ask(&mut self, sink: &dyn Rows) -> Result<Vec<DumpError>, AskError> {
        if !std::mem::take(&mut self.begun) {
            self.begin(sink)?;
        }
        self.held.begin_poll();
        let mut failures = Vec::new();
        // Copied from the scopes, which are borrowed mutably while tables are read.
        let filters = self.scopes.filters();
        let families = self.selected.families;
        let observed = self.observed;
        let course = &mut self.course;
        course.visited.clear();
        course.failed.clear();
        let gate = |at: usize| {
            let none = &(None, EvalContext { ports: (0, 0) });
            let (filter, context) = filters.get(at).filter(|_| !observed).unwrap_or(none);
            Gate { families, filter: filter.as_deref(), context: *context }
        };
        let mut pipeline = Pipeline {
            sources: &self.sources,
            gate: gate(0),
            needs: self.needs,
            enricher: &mut self.enricher,
            sink,
            held: &mut self.held,
            order: &mut self.order,
            destroyer: self.destroyer.as_mut(),
            texts: TableSet::EMPTY,
        };
        if self.needs.has(Needs::PEERS) {
            learn_peers(&mut pipeline, &mut self.scopes, &self.selected);
        }
        if self.needs.has(Needs::PORTS) {
            learn_ports(&mut pipeline, &mut self.scopes);
        }
        let ahead = match self.instead.as_slice() {
            [] if self.walks_ahead != Some(false) => {
                let query = Query {
                    lean: self.lean,
                    storages: self.storages.clone(),
                    ..question::query(&self.selected, self.needs, Table::Tcp)
                };
                let is_weighed = self.walks_ahead.is_some();
                let access = self.ahead.get_or_insert_with(|| self.scopes.home());
                walked_ahead(&self.scopes, &self.selected, query, is_weighed, access, pipeline.sources, sink)
            }
            _ => Vec::new(),
        };
        let are_several = self.scopes.all().len() > 1;
        // Until dumps have assigned cookies, the decision is left to the next poll.
        let has_cookies = self.ahead.as_ref().is_some_and(Access::has_dumped);
        if are_several && self.walks_ahead.is_none() && (self.lean || has_cookies) {
            self.walks_ahead = Some(!ahead.is_empty());
        }
        let most = scopes::most_kept();
        'scopes: for (number, scope) in self.scopes.all_mut().iter_mut().enumerate() {
            if !scope.listed {
                continue;
            }
            if let Some(namespace) = &scope.namespace {
                sink.namespace(Some(&namespace.facts));
                let is_known = ahead.iter().any(|(inode, _)| *inode == namespace.facts.inode);
                // A namespace that has ended has no sockets.
                if !is_known && !scope.access.is_there() {
                    continue;
                }
                if are_several && !is_known {
                    // One walk for all was more expensive than dumps, so single walks are
                    // not tried either.
                    scope.access.keep_sockets(0);
                }
                pipeline.enter(number as u32, gate(number));
            }
            let netns = scope.inode().unwrap_or(0);
            course.visited.push(netns);
            for table in self.selected.dumps() {
                let instead = self.instead.iter().chain(&ahead).filter(|_| table == Table::Tcp);
                let query = Query {
                    instead: instead.into_iter().find_map(|(at, ask)| (*at == netns).then(|| ask.clone())),
                    programs: scope.programs.clone(),
                    storages: self.storages.clone(),
                    lean: self.lean,
                    ..question::query(&self.selected, self.needs, table)
                };
                if let Err(error) = pipeline.list(&query, &mut scope.access) {
                    let flow = sink.failure(&error);
                    if flow.is_continue()
                        && self.explain
                        && self.selected.names(table)
                        && let Some(notice) = source::missing(&error, &query, &self.sources)
                    {
                        sink.notice(notice);
                    }
                    failures.push(error);
                    course.failed.push((netns, table));
                    if flow.is_break() {
                        break 'scopes;
                    }
                }
                if sink.has_enough() {
                    break 'scopes;
                }
            }
            if number >= most {
                scope.access.close();
                pipeline.enricher.close_links();
            }
        }
        if let Some(access) = self.ahead.as_mut().filter(|_| are_several && failures.is_empty()) {
            access.keep_cookies();
        }
        sink.namespace(None);
        // Rows read before a failure are still shown.
        pipeline.finish();
        Ok(failures)
    }
}

/// Fails if a filter could have been meant in another way: such a filter must not destroy.
fn no_doubt(scope: &Scope) -> Result<(), AskError> {
    match scope.remarks.iter().find(|remark| remark.is_doubtful()) {
        Some(remark) => Err(AskError::DestroyInDoubt(remark.clone())),
        None => Ok(()),
    }
}

/// Walks the TCP sockets of all listed namespaces at once, if there are several.
fn walked_ahead(
    scopes: &Scopes,
    selected: &Selected,
    query: Query,
    is_weighed: bool,
    home: &mut Access,
    sources: &Sources,
    sink: &dyn Rows,
) -> Vec<(u64, Arc<dyn Instead>)> {
    let listed = || scopes.all().iter().filter(|scope| scope.listed);
    let inodes: Vec<u64> = listed().filter_map(Scope::inode).collect();
    if inodes.len() < 2 || !selected.dumps().any(|table| table == Table::Tcp) {
        return Vec::new();
    }
    // The kernel's part of the filter is in all programs or in none, so any one of them
    // will do.
    let programs = listed().next().map(|scope| scope.programs.clone()).unwrap_or_default();
    let query = Query { programs, ..query };
    source::ahead(&query, sources, &inodes, is_weighed, home, &mut |notice| sink.notice(notice))
}

/// Counts the ephemeral ports in use in all namespaces that are listed.
#[cold]
fn learn_ports(pipeline: &mut Pipeline<'_>, scopes: &mut Scopes) {
    pipeline.enricher.begin_ports(scopes.all_port_ranges(pipeline.sources));
    let states = StateSet::CONN.union(StateSet::only(State::TimeWait)).minus(StateSet::BOUND_INACTIVE);
    let query = Query { tables: TableSet::ALL, states, ..Query::of(Table::Tcp) };
    let most = scopes::most_kept();
    for (number, scope) in scopes.all_mut().iter_mut().enumerate().filter(|(_, scope)| scope.listed) {
        pipeline.enricher.enter(number as u32);
        pipeline.learn_ports(&query, &mut scope.access);
        if number >= most {
            scope.access.close();
        }
    }
    pipeline.enricher.have_ports();
    pipeline.enricher.enter(0);
}

/// Remembers all sockets that may be the peer of a listed one.
#[cold]
fn learn_peers(pipeline: &mut Pipeline<'_>, scopes: &mut Scopes, selected: &Selected) {
    let several = scopes.all().len() > 1;
    let mut tables: Vec<(Table, StateSet)> = Vec::new();
    for table in selected.dumps() {
        match table.message_kind() {
            MessageKind::Inet => {
                let states = match table {
                    Table::Raw => continue,
                    Table::Udp => StateSet::only(State::Established),
                    _ => StateSet::CONN,
                };
                tables.push((table, states));
            }
            // The kernel reports the peer's inode, but not its namespace.
            MessageKind::Unix if several => tables.push((table, StateSet::ALL)),
            _ => {}
        }
    }
    let most = scopes::most_kept();
    // Room goes first to namespaces whose owners cannot give themselves any address.
    for is_ours in [true, false] {
        for (number, scope) in scopes.all_mut().iter_mut().enumerate() {
            let owner = scope.namespace.as_ref().and_then(|namespace| namespace.facts.owner);
            if owner.is_none() != is_ours {
                continue;
            }
            pipeline.enricher.enter(number as u32);
            for (table, states) in &tables {
                let query = Query { tables: TableSet::ALL, states: *states, ..Query::of(*table) };
                pipeline.learn_peers(&query, &mut scope.access);
            }
            if number >= most {
                scope.access.close();
            }
        }
    }
    pipeline.enricher.have_peers();
    pipeline.enricher.enter(0);
}
