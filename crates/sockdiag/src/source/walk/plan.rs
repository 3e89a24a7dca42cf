//! Decides whether a walk is better than a dump.
//!
//! Loading a program takes some milliseconds, in which a dump reports thousands of sockets;
//! for each socket a walk costs half as much as a dump.  A filter program in the request
//! makes a dump cheaper, since few sockets then leave the kernel, while a walk returns all
//! of them.
//!
//! Source: proc_pid_net(5), `/proc/net/sockstat` and `sockstat6`.

use std::io::Read as _;
use std::path::Path;

use super::dump::can_tell;
use crate::model::{State, StateSet};
use crate::notice::NoWalk;
use crate::source::access::Access;
use crate::source::contract::Query;

/// With fewer sockets than this, a dump costs less than loading a program.
const FEW: u64 = 25_000;
/// The reason not to try a walk that was refused before.
const REFUSED: &str = "this kernel refused an earlier walk";
/// How much of a file of counters is read.
const LONGEST: u64 = 16 << 10;

/// Whether a walk can answer the query, and the sockets either have cookies or need none.
fn can_pay(query: &Query, access: &Access) -> Result<(), NoWalk> {
    can_tell(query)?;
    match () {
        () if access.has_refused_walk() => Err(NoWalk::Dearer(REFUSED)),
        () if query.lean || access.has_dumped() => Ok(()),
        () => Err(NoWalk::NoCookies),
    }
}

/// Whether a dump for this query skips all connections: only listeners are requested.
/// (Closed sockets do not matter: no table holds any.)
fn is_about_listeners(query: &Query) -> bool {
    let listening = StateSet::only(State::Listen).union(StateSet::only(State::Close));
    query.states.minus(listening).is_empty()
}

/// Whether a walk can answer the query, and costs less than a dump.
///
/// # Errors
/// Why a dump is better; [`NoWalk::NoCookies`] only if there is no other reason.
pub(in crate::source) fn pays(query: &Query, access: &mut Access) -> Result<(), NoWalk> {
    let can = can_pay(query, access);
    if !matches!(can, Ok(()) | Err(NoWalk::NoCookies)) {
        return can;
    }
    if query.programs.modern.is_some() || query.programs.classic.is_some() {
        return Err(NoWalk::Dearer("the kernel evaluates the filter"));
    }
    if is_about_listeners(query) {
        return Err(NoWalk::Dearer("a dump of listeners skips connections"));
    }
    let sockets = access.sockets().unwrap_or_else(|| counted(access));
    access.keep_sockets(sockets);
    if sockets < FEW { Err(NoWalk::Few { sockets }) } else { can }
}

/// Whether one walk costs less than dumps in this many namespaces, each of which reads the
/// sockets of all of them.
///
/// # Errors
/// Why dumps are better.
pub(in crate::source) fn pays_for(namespaces: usize, query: &Query, access: &Access) -> Result<(), NoWalk> {
    can_pay(query, access)?;
    let text = read(access, "/proc/net/sockstat");
    let sockets = counted_as(&["alloc"], &text);
    // Costs in microseconds.  Each dump: a fixed part, and a little for every socket of
    // other namespaces (more if bound sockets are read).  The walk: loading the programs,
    // and a part for every socket.
    let bound = if query.states.intersects(StateSet::BOUND_INACTIVE) { sockets / 5 } else { 0 };
    let passed_over = if is_about_listeners(query) { bound } else { sockets / 18 + bound };
    let dumps = (namespaces as u64).saturating_mul(200 + passed_over);
    if dumps < 10_000 + sockets / 2 { Err(NoWalk::Few { sockets }) } else { Ok(()) }
}

/// The number of TCP sockets in a namespace; 0 if it cannot be read.
fn counted(access: &Access) -> u64 {
    let ipv4 = sockets(&read(access, "/proc/net/sockstat"));
    if ipv4 < FEW { ipv4 + sockets(&read(access, "/proc/net/sockstat6")) } else { ipv4 }
}

/// The text of a file of counters; empty if it cannot be read.
fn read(access: &Access, name: &str) -> String {
    let mut text = String::new();
    match access.open(Path::new(name)).and_then(|file| file.take(LONGEST).read_to_string(&mut text)) {
        Ok(_) => text,
        Err(_) => String::new(),
    }
}

/// The number of sockets in a file of counters: those in the tables, and those in
/// TIME-WAIT.
fn sockets(text: &str) -> u64 {
    counted_as(&["inuse", "tw"], text)
}

/// The sum of TCP's counters with these names.
fn counted_as(names: &[&str], text: &str) -> u64 {
    let line =
        text.lines().find_map(|line| line.strip_prefix("TCP: ").or_else(|| line.strip_prefix("TCP6: ")));
    let mut words = line.unwrap_or_default().split_ascii_whitespace();
    let mut count = 0_u64;
    while let (Some(name), Some(number)) = (words.next(), words.next()) {
        if names.contains(&name) {
            count = count.saturating_add(number.parse().unwrap_or(0));
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Table;
    use crate::source::Programs;

    #[test]
    fn sockets_are_counted_as_the_kernel_counts_them() {
        let text = "sockets: used 9\nTCP: inuse 5 orphan 1 tw 7 alloc 13 mem 2\nUDP: inuse 3 mem 0\n";
        assert_eq!(sockets(text), 12);
        assert_eq!(sockets("TCP6: inuse 40000\nUDP6: inuse 2\n"), 40_000);
        for odd in ["", "TCP:", "TCP: inuse", "TCP: inuse x tw", "UDP: inuse 3"] {
            assert_eq!(sockets(odd), 0, "{odd}");
        }
    }

    #[test]
    fn a_small_table_is_dumped_and_so_is_what_the_kernel_filters() {
        let access = &mut Access::here();
        let query = Query { lean: true, ..Query::of(Table::Tcp) };
        assert!(matches!(pays(&query, access), Err(NoWalk::Few { sockets }) if sockets < FEW));
        // A known number is not counted again.
        access.keep_sockets(FEW);
        assert!(pays(&query, access).is_ok());
        let whole = Query { lean: false, ..query.clone() };
        assert!(matches!(pays(&whole, access), Err(NoWalk::NoCookies)));
        // After a complete dump, sockets have cookies.
        access.keep_dumped(FEW);
        assert!(pays(&whole, access).is_ok());
        let programs = Programs { modern: None, classic: Some(vec![0; 8]) };
        assert!(matches!(pays(&Query { programs, ..query.clone() }, access), Err(NoWalk::Dearer(_))));
        let states = StateSet::only(State::Listen);
        assert!(matches!(pays(&Query { states, ..query.clone() }, access), Err(NoWalk::Dearer(_))));
        assert!(matches!(pays(&Query { table: Table::Udp, ..query.clone() }, access), Err(NoWalk::Asked(_))));
        access.keep_refusal(&NoWalk::Differs);
        assert!(matches!(pays(&query, access), Err(NoWalk::Dearer(REFUSED))));
    }
}
