//! Rows that are held back, as the bytes they came in.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use std::ops::ControlFlow;

use crate::model::{Origin, Record, Socket};

/// Rows that are held until look-ups can be made for many at once.
#[derive(Debug, Default)]
pub(crate) struct Held {
    records: Vec<u8>,
    steps: Vec<Step>,
    /// The namespace of the rows that will be added.
    scope: u32,
    /// Total size of the rows held in this poll, and in the previous one.
    waited: usize,
    waited_before: usize,
}

/// A position between held rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    byte: usize,
    step: usize,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The rows that follow belong to this namespace.
    Enter(u32),
    /// A row of this many bytes, and its inode.
    Row(Origin, u32, u32),
}

/// A decoded step; it lives briefly on the stack.
#[allow(clippy::large_enum_variant)]
pub(super) enum Next<'h> {
    Enter(u32),
    Row(Socket<'h>),
}

impl Held {
    /// Begins a poll, in the first namespace.
    pub(crate) fn begin_poll(&mut self) {
        self.waited_before = std::mem::take(&mut self.waited);
        self.begin(0);
    }

    /// The size in bytes of the rows held in the previous poll.
    pub(super) fn waited_before(&self) -> usize {
        self.waited_before
    }

    /// Drops every row; new ones belong to this namespace.  The memory is kept for the next
    /// poll.
    pub(super) fn begin(&mut self, scope: u32) {
        self.records.clear();
        self.steps.clear();
        self.enter(scope);
    }

    /// Frees the memory; call it when no row is held.
    pub(super) fn give_back(&mut self) {
        (self.records, self.steps) = (Vec::new(), Vec::new());
    }

    /// The rows that follow belong to this namespace.
    pub(super) fn enter(&mut self, scope: u32) {
        self.steps.push(Step::Enter(scope));
        self.scope = scope;
    }

    /// The namespace of the rows that will be added.
    pub(super) fn scope(&self) -> u32 {
        self.scope
    }

    /// Adds a row, whose inode is already known.
    pub(super) fn push(&mut self, record: Record<'_>, inode: u32) {
        self.waited += record.bytes.len();
        self.records.extend_from_slice(record.bytes);
        self.steps.push(Step::Row(record.origin, record.bytes.len() as u32, inode));
    }

    /// The inode of every row, without decoding any.
    pub(super) fn inodes(&self) -> impl Iterator<Item = u32> {
        self.steps.iter().filter_map(|step| match step {
            Step::Row(.., inode) => Some(*inode),
            Step::Enter(_) => None,
        })
    }

    /// The position of the next row.
    pub(super) fn end(&self) -> Mark {
        Mark { byte: self.records.len(), step: self.steps.len() }
    }

    /// Drops the rows from this position on.
    pub(super) fn truncate(&mut self, mark: Mark) {
        self.records.truncate(mark.byte);
        self.steps.truncate(mark.step);
    }

    /// Drops the rows between two positions.
    pub(super) fn remove(&mut self, from: Mark, to: Mark) {
        self.records.drain(from.byte..to.byte);
        self.steps.drain(from.step..to.step);
    }

    /// The memory that the rows take.
    pub(super) fn bytes(&self) -> usize {
        self.records.len() + size_of_val(self.steps.as_slice())
    }

    /// Passes on every row with the number of its namespace.
    pub(super) fn sockets(&self, take: &mut dyn FnMut(&Socket<'_>, u32)) {
        let mut at = 0;
        for next in self.decoded() {
            match next {
                Next::Row(socket) => take(&socket, at),
                Next::Enter(scope) => at = scope,
            }
        }
    }

    /// Passes on rows and changes of namespace, in order, until `take` breaks.
    pub(super) fn each(&self, take: impl FnMut(Next<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        self.decoded().try_for_each(take)
    }

    fn decoded(&self) -> impl Iterator<Item = Next<'_>> {
        let mut rest = self.records.as_slice();
        self.steps.iter().filter_map(move |step| match *step {
            Step::Enter(scope) => Some(Next::Enter(scope)),
            Step::Row(origin, length, _) => {
                let (bytes, after) = rest.split_at_checked(length as usize)?;
                rest = after;
                Socket::decode(Record { origin, bytes }).map(Next::Row)
            }
        })
    }
}
