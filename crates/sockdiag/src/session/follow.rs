//! Sockets as they end: a stream.
//!
//! The kernel tells of each TCP and UDP socket that is destroyed, of one
//! network namespace.  Where we read too slowly it drops messages and says so,
//! which is an event like the others.
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

/// How long a name that was looked up is taken to be right.
const REFRESH: Duration = Duration::from_secs(1);

/// Sockets as they end, one after the other.
///
/// Its descriptor ([`AsFd`]) can be waited for together with others: when it is
/// readable, call [`Follow::next`] with no time to wait until that gives
/// [`Event::Nothing`].
#[derive(Debug)]
pub struct Follow {
    events: Events,
    enricher: Enricher,
    filter: Option<Arc<Expr>>,
    context: EvalContext,
    families: FamilySet,
    /// The namespace, where it was named: alone, or none.
    netns: Vec<Netns>,
    /// When names were looked up anew last.
    refreshed: Instant,
    tests_names: bool,
    /// How many sockets may still come.
    left: Option<u64>,
    stopper: Stopper,
    /// Notices from before the first event.
    early: Vec<Notice>,
}

/// The result of a wait.
// It lives on the stack, for as long as it is looked at.
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
    /// Something worth saying.
    Notice(Notice),
    /// Nothing ended in the time that was given.
    Nothing,
    /// Another thread said stop, or as many sockets came as were asked for.
    Stopped,
}

/// A socket that ended.
#[derive(Debug)]
pub struct Ended<'f> {
    socket: Socket<'f>,
    enricher: &'f Enricher,
    /// When the kernel's message arrived.
    pub arrived: Window,
    /// The network namespace, where it was asked for by name.
    pub netns: Option<&'f Netns>,
}

impl Ended<'_> {
    /// The socket, with what was asked for about it.
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
        // They are taken from the end.
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

    /// Waits for the next event; `None` waits for as long as that takes.  What
    /// the filter refuses meanwhile makes the wait no longer, and once somebody
    /// said stop nothing else comes, however much there is.
    ///
    /// # Errors
    /// When the kernel cannot be listened to any longer.
    #[inline(never)]
    pub fn next(&mut self, wait: Option<Duration>) -> Result<Event<'_>, DumpError> {
        if let Some(notice) = self.early.pop() {
            return Ok(Event::Notice(notice));
        }
        if self.left == Some(0) {
            return Ok(Event::Stopped);
        }
        // A wait too long for the clock has no end.
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

    /// Forgets names that may have changed, from time to time.
    fn refresh(&mut self) {
        if self.refreshed.elapsed() >= REFRESH {
            self.refreshed = Instant::now();
            let links = self.enricher.take_links();
            self.enricher.begin_poll(self.netns.clone(), links);
        }
    }

    /// Whether the socket that was read last is one of those asked for.
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
            // It was decoded a moment ago.
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
