//! What an [`Observer`](crate::observer::Observer) needs from a session besides rows: which
//! tables were read to the end, and which sockets ended.
//!
//! A netlink socket for ended sockets is opened once in each namespace and kept as long as
//! the namespace exists.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Outcome, PollError, Session};
use crate::enrich::HoldersBefore;
use crate::filter::{EvalContext, Expr};
use crate::model::{Record, Row, Socket, State, StateSet, Table, TableSet};
use crate::notice::Notice;
use crate::order::Order;
use crate::sink::{Guard, Sink};
use crate::source::{self, Arrived, DumpErrorKind, Events, Instead};

/// How long reports are read before the tables are, even if more reports wait.
const LONGEST_READ: Duration = Duration::from_secs(2);

/// The states of a connection from its establishment until it is freed.
const LIFE: StateSet = StateSet::CONN.minus(StateSet::BOUND_INACTIVE).union(StateSet::only(State::Close));

/// The course of a poll, by the inodes of the namespaces that it visited.
#[derive(Debug, Default)]
pub(crate) struct Course {
    /// Inodes of the namespaces whose tables were read; 0 if only our own is.
    pub(crate) visited: Vec<u64>,
    /// The tables that could not be read to their end, with their namespaces.
    pub(crate) failed: Vec<(u64, Table)>,
}

/// The subscription to ended sockets in a namespace.
#[derive(Debug)]
pub(super) struct Ends {
    /// `None` if the kernel does not let us listen.
    events: Option<Events>,
    /// Messages that the kernel has dropped so far.
    drops: u32,
}

/// The filter of a namespace.
#[derive(Debug)]
pub(crate) struct Test {
    /// The inode of the namespace; 0 if only our own is read.
    pub(crate) netns: u64,
    /// The condition on rows.
    pub(crate) filter: Option<Arc<Expr>>,
    /// The facts besides the row that the filter tests.
    pub(crate) context: EvalContext,
}

/// The result of reading one namespace's reports of closed sockets.
#[derive(Clone, Copy)]
pub(crate) enum Told<'t> {
    /// A socket that ended.
    Ended(Record<'t>),
    /// The number of messages dropped since the last time.
    Lost(u32),
}

impl Session {
    /// From now on passes on every socket that the kernel's part of the filter accepts, in
    /// every state that it may enter; the observer tests the rest of the question.  Returns
    /// the states that are read in addition.
    pub(crate) fn observe(&mut self) -> StateSet {
        self.order = Order::default();
        self.observed = true;
        self.enricher.keep_holders();
        let asked = self.selected.states;
        if asked.intersects(LIFE) {
            self.selected.states = asked.union(LIFE);
        }
        self.selected.states.minus(asked)
    }

    /// The requested tables.
    pub(crate) fn tables(&self) -> TableSet {
        self.selected.tables
    }

    /// The requested states.
    pub(crate) fn states(&self) -> StateSet {
        self.selected.states
    }

    /// [`Session::poll`], but calls `ready` once the namespaces are known.
    pub(crate) fn poll_observed<S: Sink>(
        &mut self,
        sink: &mut S,
        ready: impl FnOnce(&Self, &mut S),
    ) -> Result<Outcome, PollError<S::Error>> {
        let guard = Guard::new(sink, false);
        let begun = self.begin(&guard);
        let seen = guard.into_seen();
        begun.map_err(PollError::Ask)?;
        self.begun = true;
        ready(self, sink);
        let mut outcome = self.poll(sink)?;
        outcome.notices.splice(0..0, seen.notices);
        outcome.more_notices += seen.more_notices;
        Ok(outcome)
    }

    /// The only namespace whose TCP sockets are read: that of the calling thread, from the
    /// running kernel, with no part of the filter in the kernel.  Otherwise `None`.
    pub(crate) fn only_netns(&self) -> Option<u64> {
        let is_live = self.sources.tcpdiag_file.is_none() && !self.sources.text_is_forced(Table::Tcp);
        let is_open = matches!(self.sources.way, source::Way::Walk | source::Way::Best);
        let [scope] = self.scopes.all() else { return None };
        let is_here = scope.access.opener().is_where_we_are();
        let filters = scope.programs.modern.is_some() || scope.programs.classic.is_some();
        (is_live && is_open && is_here && !filters).then(|| scope.inode().unwrap_or(0))
    }

    /// Whether walks were requested, however few sockets there are.
    pub(crate) fn is_to_walk(&self) -> bool {
        self.sources.way == source::Way::Walk
    }

    /// In the next polls, reads TCP sockets from these instead of a dump, where possible.
    pub(crate) fn ask_instead(&mut self, instead: Vec<(u64, Arc<dyn Instead>)>) {
        self.instead = instead;
    }

    /// In the next polls, reports only these TCP sockets, each looked up by itself; those
    /// that have ended are left out.  Each comes with the inode of its namespace, as in its
    /// row: 0 if only our own is read.  Nothing changes in namespaces that are not among
    /// `netns`.
    ///
    /// Sockets that do not come from this machine's kernel are ignored.
    pub fn look_up<'s>(&mut self, netns: &[u64], sockets: impl IntoIterator<Item = (u64, Socket<'s>)>) {
        let known: Vec<(u64, source::Identity)> = sockets
            .into_iter()
            .filter_map(|(netns, socket)| Some((netns, source::Identity::of(&socket)?)))
            .collect();
        let of = |netns: u64| {
            let these = known.iter().filter(|(at, _)| *at == netns).map(|(_, identity)| *identity);
            let asked: Arc<dyn Instead> = Arc::new(source::LookUps::of_those_left(these.collect()));
            (netns, asked)
        };
        self.instead = netns.iter().map(|netns| of(*netns)).collect();
    }

    /// Collects the filter of each namespace.
    pub(crate) fn tests(&self, into: &mut Vec<Test>) {
        into.clear();
        into.extend(self.scopes.all().iter().map(|scope| Test {
            netns: scope.inode().unwrap_or(0),
            filter: scope.shared_filter(),
            context: scope.context(),
        }));
    }

    /// The processes of each socket at the previous poll.
    pub(crate) fn holders_before(&self) -> Option<HoldersBefore> {
        self.enricher.holders_before()
    }

    /// The course of the last poll.
    pub(crate) fn course(&self) -> &Course {
        &self.course
    }

    /// Subscribes to ended sockets in namespaces without a subscription; `told` receives
    /// the namespaces in which the kernel reports them now.
    pub(crate) fn listen(&mut self, told: &mut Vec<u64>, say: &mut dyn FnMut(Notice)) {
        told.clear();
        let groups = source::event_groups(self.selected.tables, self.selected.families);
        // Files that replace the kernel do not report ended sockets.
        if groups == 0 || self.sources.tcpdiag_file.is_some() {
            return;
        }
        let most = super::scopes::most_kept();
        for scope in self.scopes.all_mut().iter_mut().filter(|scope| scope.listed).take(most) {
            let ends = scope.ends.get_or_insert_with(|| match Events::open(groups, &scope.access) {
                Ok(events) => Ends { drops: events.drops().unwrap_or(0), events: Some(events) },
                Err(error) => {
                    let errno = match &error.kind {
                        DumpErrorKind::Socket(error) | DumpErrorKind::Bind(error) => {
                            error.raw_os_error().unwrap_or(0)
                        }
                        _ => 0,
                    };
                    say(Notice::EndsUnheard { errno });
                    Ends { events: None, drops: 0 }
                }
            });
            if ends.events.is_some() {
                told.push(scope.namespace.as_ref().map_or(0, |namespace| namespace.facts.inode));
            }
        }
    }

    /// Takes over another session's subscription, so that no report is missed in between.
    pub(crate) fn take_ends(&mut self, from: &mut Self) {
        for scope in self.scopes.all_mut() {
            let inode = scope.inode();
            let old = from.scopes.all_mut().iter_mut().find(|old| old.inode() == inode);
            if let Some(ends) = old.and_then(|old| old.ends.take()) {
                scope.ends = Some(ends);
            }
        }
    }

    /// File descriptors that become readable when sockets end, one for each namespace.
    pub(crate) fn ends_descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let ends = self.scopes.all().iter().filter_map(|scope| scope.ends.as_ref()?.events.as_ref());
        ends.map(AsFd::as_fd)
    }

    /// Passes on the kernel's reports of closed sockets since the last call, by namespace.
    /// The sockets of a namespace come before the number of its lost reports.
    pub(crate) fn ends(&mut self, mut each: impl FnMut(&mut Self, u32, u64, Told<'_>)) {
        let until = Instant::now().checked_add(LONGEST_READ);
        for number in 0..self.scopes.all().len() {
            let Some(scope) = self.scopes.all_mut().get_mut(number) else { continue };
            let netns = scope.inode().unwrap_or(0);
            let Some(mut ends) = scope.ends.take() else { continue };
            let scope_number = u32::try_from(number).unwrap_or(u32::MAX);
            if let Some(events) = &mut ends.events {
                let mut overflows = 0;
                let mut is_over = false;
                while until.is_none_or(|until| Instant::now() < until) {
                    while events.next_record() {
                        each(self, scope_number, netns, Told::Ended(events.record()));
                    }
                    match events.receive(false) {
                        Ok(Arrived::Messages) => {}
                        Ok(Arrived::Lost(_)) => overflows += 1,
                        Ok(Arrived::Nothing) => break,
                        Err(_) => {
                            is_over = true;
                            break;
                        }
                    }
                }
                // Kernels before 4.12 do not report how many: at least one each time.
                let drops = events.drops().unwrap_or(ends.drops.wrapping_add(overflows));
                let lost = drops.wrapping_sub(ends.drops);
                ends.drops = drops;
                if lost > 0 {
                    each(self, scope_number, netns, Told::Lost(lost));
                }
                if is_over {
                    // The next poll subscribes again.
                    continue;
                }
            }
            if let Some(scope) = self.scopes.all_mut().get_mut(number) {
                scope.ends = Some(ends);
            }
        }
    }

    /// Whether this end of an ended connection closed first, if its TIME-WAIT remainder
    /// shows it.  `once_seen`: a look saw the connection, so it has a cookie.
    pub(crate) fn closed_first(&mut self, scope: u32, socket: &Socket<'_>, once_seen: bool) -> Option<bool> {
        let scope = self.scopes.all_mut().get_mut(usize::try_from(scope).ok()?)?;
        source::closed_first(socket, once_seen, &mut scope.access)
    }

    /// Passes a socket that ended to `look`, with the names that the last poll knew.
    pub(crate) fn show_ended<T>(
        &mut self,
        scope: u32,
        socket: &Socket<'_>,
        look: impl FnOnce(&Row<'_>) -> T,
    ) -> T {
        self.enricher.enter(scope);
        self.enricher.prepare_hosts(crate::enrich::addresses(socket));
        self.enricher.prepare(socket);
        look(&self.enricher.row(socket))
    }
}
