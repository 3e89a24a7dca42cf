//! How the tables of one network namespace are reached: where sockets and files
//! are opened, and the netlink socket that is kept for the next dump.
//!
//! Invariant: a netlink socket is kept only after an exchange that came to its end, so that
//! no reply of that exchange is left in it.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::PoisonError;

use super::exchange::{Failure, open_failed};
use super::walk::{Slot, Walker};
use crate::notice::NoWalk;
use crate::sys::netlink::{Netlink, Subsystem};
use crate::sys::opener::Opener;

/// Access to the tables of one network namespace.
#[derive(Debug, Default)]
pub struct Access {
    opener: Opener,
    diag: Option<Netlink>,
    walker: Slot,
    /// The last known number of TCP sockets.
    sockets: Option<u64>,
    /// Whether a session will ask again.
    polls_again: bool,
    /// Whether a dump came to its end; after that sockets have cookies.
    has_dumped: bool,
    /// Whether the kernel refused a walk.
    has_refused_walk: bool,
}

impl Access {
    /// Access to the namespace of the calling thread.
    pub fn here() -> Self {
        Self::default()
    }

    /// Access to another namespace.
    pub(crate) fn to(opener: Opener) -> Self {
        Self { opener, ..Self::default() }
    }

    /// Access to another namespace, for a session that may ask again (`polls_again`).
    pub(crate) fn kept(opener: Opener, polls_again: bool) -> Self {
        Self { polls_again, ..Self::to(opener) }
    }

    /// Whether a session will ask again.
    pub(super) fn polls_again(&self) -> bool {
        self.polls_again
    }

    /// The opener for sockets and files of the namespace.
    pub(crate) fn opener(&self) -> &Opener {
        &self.opener
    }

    /// From now on uses this opener, which leads to the same namespace.
    pub(crate) fn open_by(&mut self, opener: Opener) {
        self.opener = opener;
    }

    /// Opens a file; for `/proc/net` that of the namespace.
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

    /// Keeps a socket whose last exchange came to its end.
    pub(super) fn keep(&mut self, socket: Netlink) {
        self.diag = Some(socket);
    }

    /// Whether the namespace exists and may be entered; keeps the netlink socket that was
    /// opened for this check.
    pub(crate) fn is_there(&mut self) -> bool {
        if self.diag.is_none() {
            self.diag = Netlink::open(Subsystem::SockDiag, &self.opener).ok();
        }
        // Without netlink the tables can still be read as text.
        self.diag.is_some() || self.opener.run(|| ()).is_ok()
    }

    /// The number of TCP sockets at the last dump, or as counted before it.
    pub(super) fn sockets(&self) -> Option<u64> {
        self.sockets
    }

    /// How many bytes of rows may be held for look-ups in bulk: a few bytes for each socket
    /// if a session polls again, since it remembers the sockets anyway.
    pub(crate) fn may_wait(&self) -> usize {
        let sockets = self.sockets.filter(|_| self.polls_again).unwrap_or(0);
        usize::try_from(sockets).unwrap_or(0).saturating_mul(32)
    }

    /// Records the number of TCP sockets, so that it need not be counted again.
    pub(crate) fn keep_sockets(&mut self, sockets: u64) {
        self.sockets = Some(sockets);
    }

    /// Records that a dump of TCP sockets came to its end, and their number.
    pub(super) fn keep_dumped(&mut self, sockets: u64) {
        self.keep_sockets(sockets);
        self.has_dumped = true;
    }

    /// Records that the sockets of every namespace in question were dumped.
    pub(crate) fn keep_cookies(&mut self) {
        self.has_dumped = true;
    }

    /// Whether all but new sockets have cookies.
    pub(crate) fn has_dumped(&self) -> bool {
        self.has_dumped
    }

    /// Records whether the kernel refused a walk, so that it is not tried again.
    pub(super) fn keep_refusal(&mut self, why: &NoWalk) {
        self.has_refused_walk |= matches!(why, NoWalk::Program(_) | NoWalk::Differs);
    }

    /// Whether the kernel refused a walk.
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

    /// The slot that keeps the loaded walk, for walks made while this access is in use.
    pub(super) fn slot(&self) -> Slot {
        self.walker.clone()
    }

    /// Closes what was kept.
    pub(crate) fn close(&mut self) {
        self.diag = None;
        self.walker = Slot::default();
    }
}
