//! A block of fields that one part of the text line shows together.
//!
//! The files of the families define their blocks, and the [`Catalog`](super::Catalog) orders
//! them, so neither depends on the other.

use super::{Field, Groups};
use crate::model::{Row, TableSet};

/// The text before a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lead {
    /// Nothing: the tokens follow on the same line.
    None,
    /// A line break and a tab, unless `-O` joins lines.
    Line,
}

/// Whether a condition holds for a row in a listing of these groups.
pub type Test = fn(&Row<'_>, Groups) -> bool;

/// Fields that are shown together.
pub struct Block {
    pub(super) shown_by: Groups,
    pub(super) of: fn(&Row<'_>) -> bool,
    pub(super) tables: Option<TableSet>,
    pub(super) applies: Test,
    pub(super) lead: Lead,
    pub(super) fields: &'static [&'static [Field]],
}

impl Block {
    /// Fields in print order.  They are shown if any of these options is given, or always if
    /// `shown_by` is empty.
    pub(super) const fn new(shown_by: Groups, fields: &'static [&'static [Field]]) -> Self {
        Self { shown_by, of: |_| true, tables: None, applies: |_, _| true, lead: Lead::None, fields }
    }

    /// Only sockets that match this condition can report these fields.
    pub(super) const fn of(mut self, of: fn(&Row<'_>) -> bool) -> Self {
        self.of = of;
        self
    }

    /// Only sockets of these tables can report these fields.
    pub(super) const fn only(mut self, tables: TableSet) -> Self {
        self.tables = Some(tables);
        self
    }

    /// The text shows the block only if this condition holds as well.
    pub(super) const fn applies(mut self, applies: Test) -> Self {
        self.applies = applies;
        self
    }

    /// Shows the block on a line of its own.
    pub(super) const fn line(mut self) -> Self {
        self.lead = Lead::Line;
        self
    }
}
