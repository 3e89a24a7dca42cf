//! What one part of the text line shows together: a block of rows.
//!
//! The families build their blocks with this, and the [`Catalog`](super::Catalog)
//! puts the blocks in order, so neither needs the other's file.

use super::{Field, Groups};
use crate::model::{Row, TableSet};

/// What is written before a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lead {
    /// Nothing: its tokens follow what is there.
    None,
    /// A line break and a tab, unless `-O` joins lines.
    Line,
}

/// Whether something holds of a row in a listing that shows these groups.
pub type Test = fn(&Row<'_>, Groups) -> bool;

/// Rows that are shown together.
pub struct Block {
    pub(super) shown_by: Groups,
    pub(super) of: fn(&Row<'_>) -> bool,
    pub(super) tables: Option<TableSet>,
    pub(super) applies: Test,
    pub(super) lead: Lead,
    pub(super) fields: &'static [&'static [Field]],
}

impl Block {
    /// Rows in print order, shown of every socket if any of these options is
    /// given; always, if there are none.
    pub(super) const fn new(shown_by: Groups, fields: &'static [&'static [Field]]) -> Self {
        Self { shown_by, of: |_| true, tables: None, applies: |_, _| true, lead: Lead::None, fields }
    }

    /// These are facts of no other sockets.
    pub(super) const fn of(mut self, of: fn(&Row<'_>) -> bool) -> Self {
        self.of = of;
        self
    }

    /// These are facts of sockets of these tables alone.
    pub(super) const fn only(mut self, tables: TableSet) -> Self {
        self.tables = Some(tables);
        self
    }

    /// Printed only where this holds, too.
    pub(super) const fn applies(mut self, applies: Test) -> Self {
        self.applies = applies;
        self
    }

    /// Printed in a line of its own.
    pub(super) const fn line(mut self) -> Self {
        self.lead = Lead::Line;
        self
    }
}
