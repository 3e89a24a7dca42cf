//! The lines of a list: sorted rows, and groups of them.
//!
//! A small number of sockets is sorted immediately.  For many, sorting takes longer than a key
//! press should, so another thread runs it as a [`Job`]; until then the old order stays.

use std::collections::HashSet;
use std::sync::Arc;

use crate::fit::ENDED;
use crate::group::{self, Group, GroupBy};
use crate::shot::{Mark, Shot};
use crate::state::{COUNT, Line};

/// Up to this number of sockets are sorted immediately.
pub(crate) const FEW: usize = 20_000;

/// A shot to sort.
#[derive(Debug)]
pub struct Job {
    pub(crate) shot: Arc<Shot>,
    pub(crate) sort: Option<(String, bool)>,
    /// Rows in which this number is larger come after the others.
    pub(crate) last: Option<(String, u32)>,
    pub(crate) by: Option<GroupBy>,
    pub(crate) unfolded: HashSet<String>,
}

/// The result of a job.
#[derive(Debug)]
pub struct Ordered {
    pub(crate) shot: Arc<Shot>,
    pub(crate) lines: Vec<Line>,
    pub(crate) groups: Vec<Group>,
}

impl Job {
    /// Runs the job.
    pub fn run(self) -> Ordered {
        let Self { shot, sort, last, by, unfolded } = self;
        let column = sort.as_ref().and_then(|(name, _)| shot.column(name));
        let down = sort.as_ref().is_some_and(|(_, down)| *down);
        let last = last.and_then(|(name, most)| Some((shot.column(&name)?, f64::from(most))));
        let order = match column {
            // Sorting by `ended` mixes them in; otherwise ended sockets come after the others.
            Some(column) if sort.as_ref().is_some_and(|(name, _)| name == ENDED) => shot.sorted(column, down),
            Some(column) => {
                let is_gone = |row: &u32| {
                    let entry = shot.entries().get(*row as usize);
                    entry.is_some_and(|entry| matches!(entry.mark, Mark::Gone(_)))
                };
                let is_late = |row: &u32| {
                    let number = |(column, most)| Some(shot.number(*row as usize, column)? > most);
                    last.and_then(number).unwrap_or(false)
                };
                let (gone, there): (Vec<u32>, Vec<u32>) =
                    shot.sorted(column, down).into_iter().partition(is_gone);
                let (late, mut first): (Vec<u32>, Vec<u32>) = there.into_iter().partition(is_late);
                first.extend(late);
                first.extend(gone);
                first
            }
            None => (0..u32::try_from(shot.entries().len()).unwrap_or(u32::MAX)).collect(),
        };
        let (mut lines, mut groups) = (Vec::new(), Vec::new());
        match by {
            None => lines = order.into_iter().map(Line::Row).collect(),
            // A new field is known only from the next look on.
            Some(by) if by.columns.iter().any(|name| shot.column(name).is_none()) => {}
            Some(by) => {
                groups = group::groups(&shot, &by, &order);
                group::sort(&shot, &mut groups, column, down);
                if sort.is_some_and(|(name, down)| name == COUNT && !down) {
                    groups.reverse();
                }
                for (at, group) in (0..).zip(&groups) {
                    lines.push(Line::Group(at));
                    if unfolded.contains(&group.name) {
                        lines.extend(group.rows.iter().map(|row| Line::Row(*row)));
                    }
                }
            }
        }
        Ordered { shot, lines, groups }
    }
}
