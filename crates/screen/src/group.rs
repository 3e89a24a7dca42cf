//! Groups rows with a common value: their number and their totals.
//!
//! Amounts are added; for other fields the largest value is shown.  A socket that ended some
//! looks ago still belongs to its group, but its changes between two samples do not count again:
//! they were counted at the look when it ended.

use std::collections::HashMap;

use sockdiag_facts::fields::Needs;

use crate::shot::{Mark, Shot, adds_up};

/// A way to group rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupBy {
    /// Its name for users.
    pub title: String,
    /// The full names of the fields.
    pub columns: Vec<String>,
}

/// Rows with a common value.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// The common value of its rows, as escaped text.
    pub(crate) name: String,
    pub(crate) count: usize,
    /// Totals by column of the shot.
    pub(crate) numbers: Vec<Option<f64>>,
    /// The rows, in list order.
    pub(crate) rows: Vec<u32>,
}

/// How a group shows a column.
struct Kind {
    is_number: bool,
    adds: bool,
    /// Whether the column compares two samples.
    is_of_two: bool,
}

/// The groups of these rows, which are in list order.
pub(crate) fn groups(shot: &Shot, by: &GroupBy, order: &[u32]) -> Vec<Group> {
    let columns: Vec<Option<usize>> = by.columns.iter().map(|name| shot.column(name)).collect();
    let kinds: Vec<Kind> = shot
        .columns()
        .iter()
        .map(|choice| Kind {
            is_number: choice.is_number(),
            adds: adds_up(choice),
            is_of_two: choice.needs().intersects(Needs::TWO_LOOKS),
        })
        .collect();
    let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    let mut name = Vec::new();
    for &row in order {
        let at = row as usize;
        let is_past = shot.entries().get(at).is_some_and(|entry| matches!(entry.mark, Mark::Gone(1..)));
        name.clear();
        for (number, column) in columns.iter().enumerate() {
            if number > 0 {
                name.push(b' ');
            }
            if !column.is_some_and(|column| shot.put(&mut name, at, column)) {
                name.push(b'-');
            }
        }
        let known = places.get(&name).copied();
        let place = known.unwrap_or(groups.len());
        if known.is_none() {
            let text = String::from_utf8_lossy(&name).into_owned();
            groups.push(Group { name: text, count: 0, numbers: vec![None; kinds.len()], rows: Vec::new() });
            places.insert(name.clone(), place);
        }
        let Some(group) = groups.get_mut(place) else { continue };
        group.count += 1;
        group.rows.push(row);
        for (column, (kind, sofar)) in kinds.iter().zip(&mut group.numbers).enumerate() {
            let is_read = kind.is_number && !(is_past && kind.is_of_two);
            let number = if is_read { shot.number(at, column) } else { None };
            let Some(number) = number else { continue };
            *sofar = Some(match *sofar {
                None => number,
                Some(sofar) if kind.adds => sofar + number,
                Some(sofar) => sofar.max(number),
            });
        }
    }
    groups
}

/// Sorts groups by a column, or by count and name if the column is not numeric.
pub(crate) fn sort(shot: &Shot, groups: &mut [Group], column: Option<usize>, down: bool) {
    let is_number = column.and_then(|column| shot.choice(column)).is_some_and(|choice| choice.is_number());
    groups.sort_by(|a, b| {
        let number = |group: &Group| {
            column.filter(|_| is_number).and_then(|column| group.numbers.get(column).copied().flatten())
        };
        let order = match (number(a), number(b)) {
            (Some(a), Some(b)) if down => b.total_cmp(&a),
            (Some(a), Some(b)) => a.total_cmp(&b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        };
        order.then(b.count.cmp(&a.count)).then_with(|| a.name.cmp(&b.name))
    });
}

/// A total of a group, formatted for people.
pub(crate) fn text(shot: &Shot, group: &Group, column: usize) -> Option<String> {
    let number = group.numbers.get(column).copied().flatten()?;
    let choice = shot.choice(column)?;
    let mut text = Vec::new();
    if choice.has_unit() {
        choice.put_amount(&mut text, number);
    } else if number.fract() == 0.0 {
        text.extend_from_slice(format!("{number:.0}").as_bytes());
    } else {
        text.extend_from_slice(format!("{number:.3}").as_bytes());
    }
    String::from_utf8(text).ok()
}
