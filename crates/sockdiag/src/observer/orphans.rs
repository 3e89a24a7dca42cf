//! Remembers the holders of sockets that their processes have closed.
//!
//! The kernel keeps a connection alive after its process closed it, and reports its end
//! without an owner.  Such a connection is attributed to the process that had it open last.
//!
//! Invariant: at most [`MOST_ORPHANS`] sockets are remembered.

use std::collections::HashMap;
use std::sync::Arc;

use crate::enrich::HoldersBefore;
use crate::model::{Holder, HolderCache};

/// The last holders of sockets that were closed by them.
#[derive(Debug, Default)]
pub(super) struct Orphans(HashMap<u32, Arc<Held>>);

/// The processes of one socket.
#[derive(Debug, Default)]
pub(super) struct Held(Vec<(Box<[u8]>, [i32; 3])>);

/// How many sockets are remembered; when there are more, all are forgotten.
const MOST_ORPHANS: usize = 1 << 16;

impl Orphans {
    /// The last known holders of a socket.
    pub(super) fn of(&mut self, inode: u32, before: &HoldersBefore) -> Arc<Held> {
        if self.0.len() >= MOST_ORPHANS {
            self.0.clear();
        }
        let held = self.0.entry(inode).or_insert_with(|| {
            let mut held = Held::default();
            before.holders(inode, &mut |holder| {
                held.0.push((holder.name.into(), [holder.pid, holder.tid, holder.fd]));
            });
            Arc::new(held)
        });
        Arc::clone(held)
    }

    /// Removes and returns them.
    pub(super) fn take(&mut self, inode: u32) -> Option<Arc<Held>> {
        if self.0.is_empty() { None } else { self.0.remove(&inode) }
    }
}

impl HolderCache for Held {
    fn holders(&self, _: u32, take: &mut dyn FnMut(Holder<'_>)) {
        for (name, [pid, tid, fd]) in &self.0 {
            take(Holder { name, pid: *pid, tid: *tid, fd: *fd });
        }
    }
}

/// Whether a socket has holders.
pub(super) fn is_held(holders: &dyn HolderCache, inode: u32) -> bool {
    let mut is_held = false;
    holders.holders(inode, &mut |_| is_held = true);
    is_held
}
