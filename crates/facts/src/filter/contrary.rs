//! Detects conditions that no socket can satisfy together: `rtt > 1ms and rtt < 100us`.
//!
//! The detection is exact in one direction: what it reports is impossible, but it does not
//! find every contradiction.  Two conditions on a list may hold for different elements, so
//! only fields with a single value and lengths of lists are compared.

#![allow(clippy::cast_precision_loss, reason = "both ends of a span are rounded alike")]

use super::error::{FilterError, Mismatch};
use super::expr::{Comparison, Node, Test};
use super::field_test::{FieldTest, Wanted};
use crate::fields::Kind;

/// The maximum number of nodes examined for each added node, so that parsing a long filter
/// stays cheap.
const MOST: usize = 64;

/// Fails if the last node is an `and` whose left and right sides contain conditions that
/// exclude each other.
pub(super) fn check(nodes: &[Node]) -> Result<(), FilterError> {
    let last = nodes.len().saturating_sub(1);
    let Some(Node::And(left)) = nodes.get(last) else { return Ok(()) };
    let firsts = conjuncts(nodes, *left);
    for second in conjuncts(nodes, last.saturating_sub(1)) {
        for first in &firsts {
            if exclude(first, second) || exclude(second, first) {
                return Err(FilterError::Value {
                    field: second.field().full_name(),
                    value: second.typed().to_vec(),
                    why: Mismatch::Contrary(format!("{first} and {second}")),
                });
            }
        }
    }
    Ok(())
}

/// The comparisons that must all hold for a node to hold.
fn conjuncts(nodes: &[Node], root: usize) -> Vec<&FieldTest> {
    let (mut found, mut todo) = (Vec::new(), vec![root]);
    for _ in 0..MOST {
        let Some(at) = todo.pop() else { break };
        match nodes.get(at) {
            Some(Node::Test(Test::Field(test))) => found.push(test),
            Some(Node::And(left)) => {
                todo.push(*left);
                todo.push(at - 1);
            }
            _ => {}
        }
    }
    found
}

/// Whether two comparisons of one field are never true together; the first must not be `!=`.
fn exclude(a: &FieldTest, b: &FieldTest) -> bool {
    let named = a.field().named();
    let is_single = named.member.is_none() && !named.kind().is_list();
    let can_tell = named == b.field().named() && (is_single || a.is_counting() && b.is_counting());
    if !can_tell || a.comparison() == Comparison::Ne {
        return false;
    }
    let is_words = matches!(named.kind(), Kind::EnumText(_));
    for x in a.wanted() {
        if b.comparison() == Comparison::Ne {
            // If `!=` excludes every value that `=` accepts, nothing remains.
            if a.comparison() != Comparison::Eq || !b.wanted().contains(x) {
                return false;
            }
            continue;
        }
        for y in b.wanted() {
            let meet = match (x, y) {
                (Wanted::Text(x), Wanted::Text(y)) => !is_words || x == y,
                _ => match (span(a, x), span(b, y)) {
                    (Some((from, to)), Some((least, most))) => from <= most && least <= to,
                    _ => true,
                },
            };
            if meet {
                return false;
            }
        }
    }
    true
}

/// The smallest and largest number that satisfy a comparison with a number.
fn span(test: &FieldTest, wanted: &Wanted) -> Option<(f64, f64)> {
    let (number, slack) = match wanted {
        Wanted::Whole(number) => (*number as f64, 0.0),
        Wanted::Amount { amount, slack } => (*amount, *slack),
        _ => return None,
    };
    let is_whole = test.field().named().kind() != Kind::Ratio;
    Some(match test.comparison() {
        Comparison::Gt if is_whole => (number.floor() + 1.0, f64::INFINITY),
        Comparison::Gt => (number.next_up(), f64::INFINITY),
        Comparison::Ge => (number, f64::INFINITY),
        Comparison::Lt if is_whole => (f64::NEG_INFINITY, number.ceil() - 1.0),
        Comparison::Lt => (f64::NEG_INFINITY, number.next_down()),
        Comparison::Le => (f64::NEG_INFINITY, number),
        Comparison::Eq | Comparison::Ne => (number - slack, number + slack),
    })
}
