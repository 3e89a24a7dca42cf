//! How the tables of one network namespace are reached: where sockets and files
//! are opened, and the netlink socket that is kept for the next dump.
//!
//! Invariant: a netlink socket is kept only after a conversation that came to
//! its end, so that no reply of an earlier one is left in it.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::PoisonError;

use super::exchange::{Failure, open_failed};
use super::walk::{Slot, Walker};
use crate::notice::NoWalk;
use crate::sys::netlink::{Netlink, Subsystem};
use crate::sys::opener::Opener;

/// The way to the tables of one network namespace.
#[derive(Debug, Default)]
pub struct Access {
    opener: Opener,
    diag: Option<Netlink>,
    walker: Slot,
    /// How many TCP sockets there were, as far as that is known.
    sockets: Option<u64>,
    /// Whether the same will be asked again.
    polls_again: bool,
    /// Whether a dump came to its end, after which sockets have cookies.
    has_dumped: bool,
    /// Whether the kernel refused a walk.
    has_refused_walk: bool,
}

impl Access {
    /// To those of the namespace that the calling thread is in.
    pub fn here() -> Self {
        Self::default()
    }

    /// To those of another namespace.
    pub(crate) fn to(opener: Opener) -> Self {
        Self { opener, ..Self::default() }
    }

    /// Likewise, of which the same will be asked again if a session `polls_again`.
    pub(crate) fn kept(opener: Opener, polls_again: bool) -> Self {
        Self { polls_again, ..Self::to(opener) }
    }

    /// Whether the same will be asked again.
    pub(super) fn polls_again(&self) -> bool {
        self.polls_again
    }

    /// Where things of the namespace are opened.
    pub(crate) fn opener(&self) -> &Opener {
        &self.opener
    }

    /// Opens things of the same namespace in another way from now on.
    pub(crate) fn open_by(&mut self, opener: Opener) {
        self.opener = opener;
    }

    /// Opens a file; one of `/proc/net` is the namespace's.
    pub(super) fn open(&self, path: &Path) -> io::Result<File> {
        self.opener.open(path)
    }

    /// The netlink socket that was kept, or a new one.
    pub(super) fn socket(&mut self) -> Result<Netlink, Failure> {
        if let Some(socket) = self.diag.take() {
            return Ok(socket);
        }
        Netlink::open(Subsystem::SockDiag, &self.opener).map_err(open_failed)
    }

    /// Keeps a socket, whose last conversation came to its end.
    pub(super) fn keep(&mut self, socket: Netlink) {
        self.diag = Some(socket);
    }

    /// Whether the namespace is there and may be entered; a netlink socket that
    /// was opened to see that is kept.
    pub(crate) fn is_there(&mut self) -> bool {
        if self.diag.is_none() {
            self.diag = Netlink::open(Subsystem::SockDiag, &self.opener).ok();
        }
        // Without netlink there is text to read.
        self.diag.is_some() || self.opener.run(|| ()).is_ok()
    }

    /// How many TCP sockets there were at the last dump, or were counted before it.
    pub(super) fn sockets(&self) -> Option<u64> {
        self.sockets
    }

    /// Bytes of rows that may wait for what is looked up for many at once: a little for each
    /// socket that whoever polls again keeps in mind.
    pub(crate) fn may_wait(&self) -> usize {
        let sockets = self.sockets.filter(|_| self.polls_again).unwrap_or(0);
        usize::try_from(sockets).unwrap_or(0).saturating_mul(32)
    }

    /// Keeps how many TCP sockets there are, so that nobody counts them again.
    pub(crate) fn keep_sockets(&mut self, sockets: u64) {
        self.sockets = Some(sockets);
    }

    /// Keeps that a dump of TCP sockets came to its end, and how many there were.
    pub(super) fn keep_dumped(&mut self, sockets: u64) {
        self.keep_sockets(sockets);
        self.has_dumped = true;
    }

    /// Keeps that sockets were dumped in every namespace that is asked.
    pub(crate) fn keep_cookies(&mut self) {
        self.has_dumped = true;
    }

    /// Whether sockets have cookies, but for those that are new.
    pub(crate) fn has_dumped(&self) -> bool {
        self.has_dumped
    }

    /// Keeps whether the kernel refused a walk, so that nobody tries again.
    pub(super) fn keep_refusal(&mut self, why: &NoWalk) {
        self.has_refused_walk |= matches!(why, NoWalk::Program(_) | NoWalk::Differs);
    }

    /// Whether it did.
    pub(super) fn has_refused_walk(&self) -> bool {
        self.has_refused_walk
    }

    /// Takes the loaded walk that was kept, if any.
    pub(super) fn walker(&mut self) -> Option<Box<Walker>> {
        self.walker.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Keeps a loaded walk.
    pub(super) fn keep_walker(&mut self, walker: Box<Walker>) {
        *self.walker.lock().unwrap_or_else(PoisonError::into_inner) = Some(walker);
    }

    /// Where it is kept, for whoever walks while the access is used.
    pub(super) fn slot(&self) -> Slot {
        self.walker.clone()
    }

    /// Closes what was kept.
    pub(crate) fn close(&mut self) {
        self.diag = None;
        self.walker = Slot::default();
    }
}
