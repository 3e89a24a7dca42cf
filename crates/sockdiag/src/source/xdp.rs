//! The xdp tables.

use super::{DumpError, Query, Sources, Visit};
use crate::notes::Note;

/// Reads the table.
pub(super) fn dump(
    _query: &Query,
    _sources: &Sources,
    _visit: &mut dyn Visit,
    _notes: &mut dyn FnMut(Note),
) -> Result<(), DumpError> {
    Ok(())
}
