//! The doctor's findings about a socket.
//!
//! These fields exist only in the [extended](super::Catalog::extended) table.  The doctor runs
//! on its own schedule, so its findings are older than the row.
//!
//! Invariant: a socket without findings has none of these fields.

use super::{Field, Needs, Unit, Word, plain, text};
use crate::model::{Diagnosed, Row};

fn found<'a>(row: &'a Row<'a>) -> Option<Diagnosed<'a>> {
    let netns = row.names.netns.map_or(0, |netns| netns.inode);
    row.names.around?.diagnosed(netns, row.cookie()?)
}

const SOURCE: &str = "sockdiag doctor";

const SEVERITIES: &[Word] = &[Word::new(1, "info"), Word::new(2, "warning"), Word::new(3, "critical")];

/// The findings.
pub(super) const FOUND: &[Field] = &[
    Field::new(
        "doctor.severity",
        plain!(|r| Some(found(r)?.severity)),
        "Severity of the socket's worst finding.",
        SOURCE,
    )
    .words(SEVERITIES)
    .needs(Needs::FINDINGS),
    Field::new(
        "doctor.finding",
        text!(|r| Some(found(r)?.id.as_bytes())),
        "ID of the socket's worst finding; sockdiag doctor --explain ID describes it.",
        SOURCE,
    )
    .needs(Needs::FINDINGS),
    Field::new(
        "doctor.findings",
        plain!(|r| Some(found(r)?.count)),
        "Number of findings that involve the socket.",
        SOURCE,
    )
    .gauge(Unit::Count)
    .size()
    .needs(Needs::FINDINGS),
];
