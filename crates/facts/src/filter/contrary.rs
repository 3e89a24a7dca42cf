//! Conditions that no socket can pass together: `rtt > 1ms and rtt < 100us`.
//!
//! What is found cannot hold; what is not found may not hold all the same.  Of a list
//! each condition may hold for another element, so only fields with one value count,
//! and lengths of lists.

#![allow(clippy::cast_precision_loss, reason = "both ends of a span are rounded alike")]

use super::expr::{Comparison, Node, Test};
use super::field_test::{FieldTest, Wanted};
use crate::fields::Kind;

/// So many nodes are looked at for each that is added, so that a long filter stays
/// cheap to read.
const MOST: usize = 64;

/// Of the conditions that the last node joins by `and`, one of the left side and one
/// of the right that exclude each other.
pub(super) fn find(nodes: &[Node]) -> Option<(&FieldTest, &FieldTest)> {
    let last = nodes.len().checked_sub(1)?;
    let Some(Node::And(left)) = nodes.get(last) else { return None };
    let left = conjuncts(nodes, *left);
    let excludes = |right: &'_ &FieldTest| left.iter().find(|left| exclude(left, right)).copied();
    conjuncts(nodes, last - 1).into_iter().find_map(|right| Some((excludes(&right)?, right)))
}

/// The comparisons that have to hold where a node does.
fn conjuncts(nodes: &[Node], root: usize) -> Vec<&FieldTest> {
    let (mut found, mut todo) = (Vec::new(), vec![root]);
    for _ in 0..MOST {
        let Some(at) = todo.pop() else { break };
        match nodes.get(at) {
            Some(Node::Test(Test::Field(test))) => found.push(test),
            Some(Node::And(left)) => todo.extend([*left, at - 1]),
            _ => {}
        }
    }
    found
}

/// Whether two comparisons of one field are never true together.
fn exclude(a: &FieldTest, b: &FieldTest) -> bool {
    let named = a.field().named();
    let is_single = named.member.is_none() && !named.kind().is_list();
    if a.field().named() != b.field().named() || !(is_single || a.is_counting() && b.is_counting()) {
        return false;
    }
    let all_in =
        |some: &FieldTest, of: &FieldTest| some.wanted().iter().all(|wanted| of.wanted().contains(wanted));
    match (a.comparison(), b.comparison()) {
        (Comparison::Eq, Comparison::Ne) => all_in(a, b),
        (Comparison::Ne, Comparison::Eq) => all_in(b, a),
        (Comparison::Ne, _) | (_, Comparison::Ne) => false,
        _ => {
            let meet = |x: &Wanted, y: &Wanted| match (x, y) {
                (Wanted::Text(x), Wanted::Text(y)) => x == y || !matches!(named.kind(), Kind::EnumText(_)),
                _ => match (span(a, x), span(b, y)) {
                    (Some((from, to)), Some((least, most))) => from <= most && least <= to,
                    _ => true,
                },
            };
            !a.wanted().iter().any(|x| b.wanted().iter().any(|y| meet(x, y)))
        }
    }
}

/// The first and the last number that pass a comparison, where it is with a number.
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
