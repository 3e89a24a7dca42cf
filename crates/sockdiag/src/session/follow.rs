//! A stream of sockets as they end.
//!
//! The kernel reports each TCP and UDP socket that is destroyed, in one network namespace.
//! If we read too slowly, it drops messages and says so, which is an event like the others.
//!
//! Source: `SKNLGRP_*` (linux/sock_diag.h), sock_diag(7).

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{AskError, Session};
use crate::enrich::{self, Enricher};
use crate::fields::Needs;
use crate::filter::{EvalContext, Expr};
use crate::model::{Arrival, FamilySet, Netns, Row, Socket, Window};
use crate::notice::Notice;
use crate::pipeline::Gate;
use crate::source::{Arrived, DumpError, DumpErrorKind, Events};
use crate::sys::clock;
use crate::sys::stop::{Stopper, Woken};

/// How long a name that was looked up is considered valid.
const REFRESH: Duration = Duration::from_secs(1);

/// Reports sockets as they end, one after the other.
///
/// Its descriptor ([`AsFd`]) can be polled together with others: when it is readable, call
/// [`Follow::next`] with a wait of zero until it returns [`Event::Nothing`].
#[derive(Debug)]
pub struct Follow {
    events: Events,
    enricher: Enricher,
    filter: Option<Arc<Expr>>,
    context: EvalContext,
    families: FamilySet,
    /// The namespace, if it was named; otherwise empty.
    netns: Vec<Netns>,
    /// When names were last refreshed.
    refreshed: Instant,
    tests_names: bool,
    /// How many sockets may still be reported.
    left: Option<u64>,
    stopper: Stopper,
    /// Notices from before the first event.
    early: Vec<Notice>,
}

/// The result of a wait.
// Boxing is not worth it: an event lives briefly on the stack.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'f> {
    /// A socket ended.
    Ended(Ended<'f>),
    /// The kernel dropped messages because we read too slowly.
    Lost {
        /// How many times so far, this one included.
        times: u64,
    },
    /// A notice for users.
    Notice(Notice),
    /// Nothing ended within the wait.
    Nothing,
    /// Another thread stopped the wait, or the limit of sockets was reached.
    Stopped,
}

/// A socket that ended.
#[derive(Debug)]
pub struct Ended<'f> {
    socket: Socket<'f>,
    enricher: &'f Enricher,
    /// When the kernel's message arrived.
    pub arrived: Window,
    /// The network namespace, if it was requested by name.
    pub netns: Option<&'f Netns>,
}

impl Ended<'_> {
    /// The socket as a row, with the requested values.
    pub fn row(&self) -> Row<'_> {
        self.enricher.row(&self.socket)
    }
}

impl Follow {
    pub(super) fn new(mut session: Session, events: Events) -> Result<Self, AskError> {
        let no_stopper = |errno: rustix::io::Errno| {
            let kind = DumpErrorKind::Socket(errno.into());
            AskError::Follow(DumpError { request: "socket events".to_owned(), rows_delivered: 0, kind })
        };
        let stopper = Stopper::new().map_err(no_stopper)?;
        let mut early = session.take_early();
        let netns = session.scopes.facts();
        let scope = session.scopes.only()?;
        let filter = scope.shared_filter();
        let context = scope.context();
        if filter.as_deref().is_some_and(|filter| filter.needs().has(Needs::PROCESSES)) {
            early.push(Notice::EventsWithoutHolders);
        }
        let gate = Gate { families: session.selected.families, filter: filter.as_deref(), context };
        let tests_names = gate.tests_names();
        // Notices are popped from the end.
        early.reverse();
        Ok(Self {
            events,
            enricher: session.enricher,
            filter,
            context,
            families: session.selected.families,
            netns,
            refreshed: Instant::now(),
            tests_names,
            left: session.order.limit(),
            stopper,
            early,
        })
    }

    /// A handle with which another thread can end a wait.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Waits for the next event; `None` waits without a limit.  Sockets that the filter
    /// refuses do not extend the wait.  After a stop nothing else is reported, even if more
    /// sockets ended.
    ///
    /// # Errors
    /// If the kernel's reports can no longer be received.
    #[inline(never)]
    pub fn next(&mut self, wait: Option<Duration>) -> Result<Event<'_>, DumpError> {
        if let Some(notice) = self.early.pop() {
            return Ok(Event::Notice(notice));
        }
        if self.left == Some(0) {
            return Ok(Event::Stopped);
        }
        // A wait beyond the range of the clock is unlimited.
        let end = wait.and_then(|wait| Instant::now().checked_add(wait));
        let mut is_ready = false;
        loop {
            if self.stopper.is_stopped() {
                return Ok(Event::Stopped);
            }
            while self.events.next_record() {
                if self.wants_this() {
                    return Ok(self.ended());
                }
            }
            match self.events.receive(std::mem::take(&mut is_ready))? {
                Arrived::Messages => self.refresh(),
                Arrived::Lost(times) => return Ok(Event::Lost { times }),
                Arrived::Nothing => match self.stopper.wait(self.events.as_fd(), end) {
                    Ok(Woken::Ready) => is_ready = true,
                    Ok(Woken::TimedOut) => return Ok(Event::Nothing),
                    Ok(Woken::Stopped) => return Ok(Event::Stopped),
                    Err(errno) => {
                        let kind = DumpErrorKind::Receive(errno.into());
                        let request = "socket events".to_owned();
                        return Err(DumpError { request, rows_delivered: 0, kind });
                    }
                },
            }
        }
    }

    /// Forgets names that may have changed, once per [`REFRESH`].
    fn refresh(&mut self) {
        if self.refreshed.elapsed() >= REFRESH {
            self.refreshed = Instant::now();
            let links = self.enricher.take_links();
            self.enricher.begin_poll(self.netns.clone(), links);
        }
    }

    /// Whether the filter accepts the socket that was read last.
    fn wants_this(&mut self) -> bool {
        let Some(socket) = Socket::decode(self.events.record()) else { return false };
        self.enricher.arrived(Arrival::at(clock::unix_ns_of(self.events.arrived().end_ns())));
        let filter = self.filter.as_deref();
        let gate = Gate { families: self.families, filter, context: self.context };
        if !gate.wants(&mut self.enricher, &socket, self.tests_names) {
            return false;
        }
        self.enricher.prepare_hosts(enrich::addresses(&socket));
        self.enricher.prepare(&socket);
        true
    }

    /// The socket that was read last.
    fn ended(&mut self) -> Event<'_> {
        if let Some(left) = &mut self.left {
            *left -= 1;
        }
        match Socket::decode(self.events.record()) {
            Some(socket) => Event::Ended(Ended {
                socket,
                enricher: &self.enricher,
                arrived: self.events.arrived(),
                netns: self.netns.first(),
            }),
            // Cannot happen: it was decoded a moment ago.
            None => Event::Nothing,
        }
    }

    /// The notices since the last call.
    pub fn notices(&mut self) -> Vec<Notice> {
        self.enricher.take_notices().collect()
    }
}

impl AsFd for Follow {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}
