//! Tests the ladder on this machine's kernel, with loopback sockets made for it.

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]

use std::net::{TcpListener, TcpStream};

use sockdiag_testkit::skip;
use sockdiag_wire::bytecode::{INET_DIAG_BC_S_COND, INET_DIAG_BC_S_GE, Op};
use sockdiag_wire::inet_diag::InetDiagMsg;

use super::*;
use crate::filter::Pinned;
use crate::model::{FamilySet, SourceKind, State};
use crate::source::Exact;

/// Listeners and connections of both families, kept while a test runs.
struct Sockets {
    _listeners: Vec<TcpListener>,
    _streams: Vec<TcpStream>,
    ports: Vec<u16>,
}

/// `None` if there is no loopback device or no netlink.
fn sockets() -> Option<Sockets> {
    let (mut listeners, mut streams, mut ports) = (Vec::new(), Vec::new(), Vec::new());
    for addr in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"] {
        let made = TcpListener::bind(addr).and_then(|listener| {
            let local = listener.local_addr()?;
            for _ in 0..20 {
                streams.push(TcpStream::connect(local)?);
            }
            ports.push(local.port());
            listeners.push(listener);
            Ok(())
        });
        if let Err(error) = made {
            skip::report(format_args!("part of it: {addr}: {error}"));
        }
    }
    if let Err(failure) = Access::here().socket() {
        skip::report(format_args!("{failure:?}"));
        return None;
    }
    (!ports.is_empty()).then_some(Sockets { _listeners: listeners, _streams: streams, ports })
}

fn query(states: StateSet, ext: u8) -> Query {
    Query { states, ext, ..Query::of(Table::Tcp) }
}

const BOTH: Families = Families { inet: true, inet6: true };

/// The records of our sockets that a request returns.
fn records(
    query: &Query,
    ports: &[u16],
    ask: impl FnOnce(&mut Run<'_, '_>) -> Result<(), Failure>,
) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    let mut visit = |record: Record<'_>| {
        let msg = InetDiagMsg::new(record.bytes).expect("the kernel sends whole messages");
        if ports.contains(&msg.sport()) || ports.contains(&msg.dport()) {
            records.push(record.bytes.to_vec());
        }
        ControlFlow::Continue(())
    };
    let mut notices = |notice: Notice| panic!("{notice}");
    let mut access = Access::here();
    let mut run = Run::new(query, &mut access, &mut visit, &mut notices);
    ask(&mut run).expect("this kernel answers");
    records
}

/// A record without the parts that change by themselves: the timer, and the contents of
/// attributes that hold times.  Attribute types and lengths stay.
fn steady(record: &[u8]) -> (Vec<u8>, Vec<(u16, Vec<u8>)>) {
    let (head, tail) = record.split_at_checked(72).expect("a whole message");
    let mut head = head.to_vec();
    head[2..4].fill(0);
    head[52..56].fill(0);
    let attrs = sockdiag_wire::attr::attrs(tail).map(|attr| {
        let timed = matches!(attr.kind, 2 | 3 | 9 | 16);
        (attr.kind, if timed { vec![0; attr.payload.len()] } else { attr.payload.to_vec() })
    });
    (head, attrs.collect())
}

/// The one walk may replace two dumps only because it gives the same records in the same
/// order.
#[test]
fn one_walk_gives_what_two_dumps_give() {
    let Some(sockets) = sockets() else { return };
    for (states, ext) in [
        (StateSet::ALL, 0),
        (StateSet::ALL, 0xff),
        (StateSet::CONN, 0x0e),
        (StateSet::LISTENING, 0x41),
        (StateSet::of(&[crate::model::State::BoundInactive]), 0),
    ] {
        let query = query(states, ext);
        let walked = records(&query, &sockets.ports, |run| run.one_walk(ASIDE_BYTES));
        let dumped = records(&query, &sockets.ports, |run| run.by_family(BOTH));
        let steadied = |records: &[Vec<u8>]| records.iter().map(|r| steady(r)).collect::<Vec<_>>();
        assert_eq!(steadied(&walked), steadied(&dumped), "{states:?} {ext:#x}");
        if ext == 0 {
            let static_part = |records: &[Vec<u8>]| {
                records
                    .iter()
                    .map(|r| (r[..2].to_vec(), r[4..52].to_vec(), r[56..].to_vec()))
                    .collect::<Vec<_>>()
            };
            assert_eq!(static_part(&walked), static_part(&dumped), "byte for byte");
        }
        assert_eq!(walked.is_empty(), states == StateSet::of(&[crate::model::State::BoundInactive]));
    }
}

#[test]
fn too_many_records_aside_are_asked_for_again() {
    let Some(sockets) = sockets() else { return };
    let query = query(StateSet::ALL, 0);
    let walked = records(&query, &sockets.ports, |run| run.one_walk(1000));
    let dumped = records(&query, &sockets.ports, |run| run.by_family(BOTH));
    let [walked, dumped] = [walked, dumped].map(|all| all.iter().map(|r| steady(r)).collect::<Vec<_>>());
    assert_eq!(walked.len(), dumped.len());
    assert_eq!(walked, dumped);
}

#[test]
fn a_visitor_can_end_a_dump_at_any_record() {
    if sockets().is_none() {
        return;
    }
    let query = query(StateSet::ALL, 0);
    for limit in 1..10_u64 {
        let mut seen = 0;
        let mut visit = |_: Record<'_>| {
            seen += 1;
            if seen == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        dump(&query, &Sources::default(), &mut Access::here(), &mut visit, &mut |_| {})
            .expect("stopping is no error");
        assert!(seen <= limit, "{seen} after a stop at {limit}");
    }
}

/// A program of two slots that accepts ports from `port` on.
fn port_at_least(port: u16) -> Vec<u8> {
    let mut program = Vec::new();
    Op { code: INET_DIAG_BC_S_GE, yes: 8, no: 12 }.encode(&mut program);
    Op { code: 0, yes: 0, no: port }.encode(&mut program);
    program
}

/// A condition on an address of a family that no kernel knows.
fn malformed() -> Vec<u8> {
    let mut program = Vec::new();
    Op { code: INET_DIAG_BC_S_COND, yes: 4, no: 4 }.encode(&mut program);
    program
}

#[test]
fn a_program_that_the_kernel_does_not_know_gives_way_to_the_classic_one() {
    let Some(sockets) = sockets() else { return };
    let mut query = query(StateSet::LISTENING, 0);
    query.programs = Programs { modern: Some(malformed()), classic: Some(port_at_least(1)) };
    let rows = records(&query, &sockets.ports, |run| run.netlink(BOTH, ASIDE_BYTES));
    assert_eq!(rows.len(), sockets.ports.len());
    // A classic program is the last resort: its `EINVAL` is returned.
    query.programs = Programs { modern: None, classic: Some(malformed()) };
    let (mut visit, mut notices) = (|_: Record<'_>| ControlFlow::Continue(()), |_: Notice| {});
    let mut access = Access::here();
    let failure =
        Run::new(&query, &mut access, &mut visit, &mut notices).netlink(BOTH, ASIDE_BYTES).unwrap_err();
    assert!(failure.is_invalid(), "{failure:?}");
}

#[test]
#[expect(clippy::redundant_closure_for_method_calls, reason = "the method is not general enough")]
fn the_kernel_filters_one_walk_as_it_does_two_dumps() {
    let Some(sockets) = sockets() else { return };
    let highest = sockets.ports.iter().copied().max().unwrap_or(0);
    let mut query = query(StateSet::LISTENING, 0);
    query.programs.classic = Some(port_at_least(highest));
    for rows in [
        records(&query, &sockets.ports, |run| run.one_walk(ASIDE_BYTES)),
        records(&query, &sockets.ports, |run| run.by_family(BOTH)),
        records(&query, &sockets.ports, |run| run.legacy()),
    ] {
        assert_eq!(rows.len(), 1);
    }
}

/// Asking for closed sockets finds none, so leaving that state out loses none.
#[test]
fn closed_sockets_are_in_no_table_of_tcp() {
    let Some(sockets) = sockets() else { return };
    let asked_for = |states| {
        let query = query(states, 0);
        let sent = by_family(&query, Family::Inet, None, 1);
        let mut visit = |_: Record<'_>| ControlFlow::Continue(());
        let mut notices = |notice: Notice| panic!("{notice}");
        let mut access = Access::here();
        let mut run = Run::new(&query, &mut access, &mut visit, &mut notices);
        run.by_family(BOTH).expect("this kernel answers");
        (u32::from_ne_bytes(*sent[20..].first_chunk().unwrap()), run.rows)
    };
    let (mask, rows) = asked_for(StateSet::only(State::Close));
    assert_eq!((mask, rows), (0, 0));
    let (mask, rows) = asked_for(StateSet::LISTENING);
    assert_eq!(mask, StateSet::only(State::Listen).bits());
    assert!(rows >= sockets.ports.len() as u64);
    // The request as the reference sends it, with all bits: the same rows.
    let mut request = by_family(&query(StateSet::LISTENING, 0), Family::Inet, None, 7);
    request[20..24].copy_from_slice(&StateSet::LISTENING.bits().to_ne_bytes());
    let mut theirs = Vec::new();
    let mut take = |bytes: &[u8], _| {
        theirs.push(bytes.to_vec());
        ControlFlow::Continue(())
    };
    exchange(&mut Access::here().socket().unwrap(), &request, 7, &mut take, &mut |_| {}).unwrap();
    let query = query(StateSet::LISTENING, 0);
    let ours = records(&query, &sockets.ports, |run| run.one_family(Family::Inet).map(|_| ()));
    theirs.retain(|record| ours.contains(record));
    assert_eq!(ours, theirs);
}

/// A request by identity returns the same record as a dump with a filter.
#[test]
fn one_connection_is_found_by_its_identity() {
    let Some(sockets) = sockets() else { return };
    let links = crate::enrich::Links::default().indices_of_one_domain().expect("there is no VRF here");
    let mut seen = 0;
    for record in records(&query(StateSet::ALL, 0), &sockets.ports, |run| run.by_family(BOTH)) {
        let origin = Origin::of(Table::Tcp, SourceKind::Kernel);
        let socket = crate::model::Socket::decode(Record { origin, bytes: &record }).unwrap();
        let (Ok(local_port), Ok(remote_port @ 1..)) =
            (u16::try_from(socket.local.port), u16::try_from(socket.remote.port))
        else {
            continue;
        };
        let pinned = Pinned { local: socket.local.addr, local_port, remote: socket.remote.addr, remote_port };
        let mut query = query(StateSet::ALL, 0);
        query.exact = Some(Exact { pinned, interfaces: links.clone() });
        let mut ours = None;
        let found = records(&query, &sockets.ports, |run| {
            ours = run.exactly_one(BOTH);
            Ok(())
        });
        assert!(found.is_empty());
        let ours = ours.expect("it is there");
        assert_eq!(steady(&ours.0), steady(&record));
        assert_eq!(records(&query, &sockets.ports, |run| run.netlink(BOTH, 0)).len(), 1);
        // A socket outside the wanted states or families is not returned: a dump must
        // follow.
        query.states = StateSet::LISTENING;
        let mut visit = |_: Record<'_>| ControlFlow::Continue(());
        let mut notices = |notice: Notice| panic!("{notice}");
        let mut access = Access::here();
        let mut run = Run::new(&query, &mut access, &mut visit, &mut notices);
        assert_eq!(run.exactly_one(BOTH), None);
        assert_eq!(run.exactly_one(Families { inet: false, inet6: false }), None);
        seen += 1;
    }
    assert!(seen >= 40, "{seen}");
}

#[test]
fn a_connection_that_is_not_there_is_left_to_a_dump() {
    let Some(_sockets) = sockets() else { return };
    let pinned = Pinned {
        local: crate::model::Addr::V4([127, 0, 0, 1]),
        local_port: 1,
        remote: crate::model::Addr::V4([127, 9, 9, 9]),
        remote_port: 1,
    };
    let mut query = query(StateSet::ALL, 0);
    query.exact = Some(Exact { pinned, interfaces: Vec::new() });
    let mut visit = |_: Record<'_>| ControlFlow::Continue(());
    let mut notices = |notice: Notice| panic!("{notice}");
    let mut access = Access::here();
    let mut run = Run::new(&query, &mut access, &mut visit, &mut notices);
    assert_eq!(run.exactly_one(BOTH), None);
    run.netlink(BOTH, ASIDE_BYTES).expect("a dump answers");
    assert!(run.rows >= 40);
}

#[test]
fn a_preferred_family_excludes_the_other() {
    let mut query = query(StateSet::ALL, 0);
    for (preferred, inet, inet6) in [
        (None, true, true),
        (Some(Family::Inet), true, false),
        (Some(Family::Inet6), false, true),
        (Some(Family::Unix), true, true),
    ] {
        query.preferred = preferred;
        assert_eq!(Families::of(&query), Families { inet, inet6 });
    }
    query.families = FamilySet::of(&[Family::Inet]);
    query.preferred = Some(Family::Unix);
    assert_eq!(Families::of(&query), Families { inet: true, inet6: false });
    assert_eq!(Families::preferred(&query), BOTH);
}

#[test]
fn what_waits_is_bounded_and_comes_back_in_order() {
    let mut aside = Aside { limit: 30, ..Aside::default() };
    let (early, late) = (Window::new(1, 5), Window::new(5, 9));
    aside.push(b"one", early);
    aside.push(b"", early);
    aside.push(b"three", late);
    assert_eq!(aside.records().collect::<Vec<_>>(), [(&b"one"[..], early), (b"", early), (b"three", late)]);
    aside.push(b"0123456789", late);
    assert!(aside.overflowed && aside.pieces.is_empty() && aside.windows.is_empty());
    aside.push(b"x", late);
    assert_eq!(aside.records().count(), 0);
    // More records than a piece holds, and one that is larger than a piece.
    let mut aside = Aside { limit: usize::MAX, ..Aside::default() };
    let waiting: Vec<Vec<u8>> =
        (0..1000).map(|n| vec![n as u8; if n == 500 { 2 * PIECE } else { n }]).collect();
    for record in &waiting {
        aside.push(record, early);
    }
    assert!(aside.records().map(|(record, _)| record).eq(&waiting) && aside.pieces.len() > 5);
}
