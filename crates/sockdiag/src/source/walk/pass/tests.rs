//! Compares passes over the sockets of a fresh namespace with the kernel's own dumps.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketType, bind, socket, sockopt};
use sockdiag_testkit::holders::{Churn, Holder};
use sockdiag_testkit::netns::Namespace;
use sockdiag_wire::inet_diag::InetDiagMsg;

use super::*;
use crate::model::{Record as Message, Table as Asked};
use crate::notice::NoWalk;
use crate::source::walk::members::Wants;
use crate::source::{Access, Query, Sources, dump};

/// Family, local and remote port, addresses: as the kernel reports them.
type Row = (u8, u16, u16, [u8; 32]);

fn row(record: Record<'_>) -> Row {
    let record = record.held();
    let family = record.get32(Member::Family) as u8;
    let mut addresses = [0; 32];
    if family == Family::Inet.number() {
        addresses[..4].copy_from_slice(&record.get32(Member::Local4).to_ne_bytes());
        addresses[16..20].copy_from_slice(&record.get32(Member::Remote4).to_ne_bytes());
    } else {
        addresses[..16].copy_from_slice(&record.sixteen(Member::Local6));
        addresses[16..].copy_from_slice(&record.sixteen(Member::Remote6));
    }
    let remote = record.get32(Member::RemotePort) as u16;
    (family, record.get32(Member::LocalPort) as u16, u16::from_be(remote), addresses)
}

/// The messages of dumps: IPv4, then IPv6.
pub(in super::super) fn dumped_bytes(states: StateSet) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    for family in [Family::Inet, Family::Inet6] {
        let query = Query { states, preferred: Some(family), ..Query::of(Asked::Tcp) };
        let mut take = |record: Message<'_>| {
            messages.push(record.bytes.to_vec());
            ControlFlow::Continue(())
        };
        dump(&query, &Sources::default(), &mut Access::here(), &mut take, &mut |_| {}).expect("a dump");
    }
    messages
}

fn dumped(states: StateSet) -> Vec<Row> {
    let row = |message: &Vec<u8>| {
        let msg = InetDiagMsg::new(message).expect("a whole message");
        let mut addresses = [0; 32];
        addresses.copy_from_slice(&msg.id_bytes()[4..36]);
        (msg.family(), msg.sport(), msg.dport(), addresses)
    };
    dumped_bytes(states).iter().map(row).collect()
}

fn passed(walk: &mut Walk, wanted: Wanted, limit: usize) -> (Vec<Row>, Done) {
    let mut rows = Vec::new();
    let mut take = |record: Record<'_>, _: Window| {
        rows.push(row(record));
        ControlFlow::Continue(())
    };
    let done = walk.pass_with(wanted, limit, &mut take).unwrap_or_else(|why| panic!("{why:?}"));
    (rows, done)
}

/// A loaded walk; `None` if this kernel does not allow one.
fn opened(wants: Wants) -> Option<Walk> {
    match Walk::open(wants) {
        Ok(walk) => Some(walk),
        Err(Refused::Load(error)) if !error.log.is_empty() => panic!("{error}"),
        Err(why) => {
            sockdiag_testkit::skip::report(format_args!("no walk here: {why:?}"));
            None
        }
    }
}

/// Reports why there is no walk here; fails if root gets none.
pub(in super::super) fn is_refused(why: &NoWalk) {
    assert!(!rustix::process::geteuid().is_root(), "{why:?}");
    sockdiag_testkit::skip::report(format_args!("no walk here: {why:?}"));
}

/// Sockets of every table, in both families.
pub(in super::super) struct Held {
    _listeners: Vec<TcpListener>,
    _connections: Vec<[TcpStream; 2]>,
    _bound: Vec<OwnedFd>,
}

impl Held {
    pub(in super::super) fn some(connections: u16) -> Self {
        let addresses = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let (mut listeners, mut pairs, mut bound) = (Vec::new(), Vec::new(), Vec::new());
        for address in addresses {
            for _ in 0..8 {
                let listener = TcpListener::bind((address, 0)).expect("a listener");
                let to = listener.local_addr().expect("an address");
                for number in 0..connections / 8 {
                    let stream = TcpStream::connect(to).expect("a connection");
                    let (other, _) = listener.accept().expect("a connection");
                    // Every fifth connection is closed and leaves a socket in TIME-WAIT.
                    if number % 5 != 0 {
                        pairs.push([stream, other]);
                    }
                }
                listeners.push(listener);
            }
            for number in 0..20 {
                let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
                let one = socket(family, SocketType::STREAM, None).expect("a socket");
                sockopt::set_socket_reuseaddr(&one, true).expect("an option");
                // Some share their port with others.
                let port = if number % 2 == 0 { 0 } else { 4100 + number % 4 };
                bind(&one, &SocketAddr::new(address, port)).expect("a free address");
                bound.push(one);
            }
        }
        Self { _listeners: listeners, _connections: pairs, _bound: bound }
    }
}

const ALL: Wanted = Wanted { states: StateSet::ALL, inet: true, inet6: true, scope: Scope::Own };

/// Compares passes with dumps, with this many connections in the thread's namespace.
pub(in super::super) fn compare_with_dumps(connections: u16) {
    let Some(mut walk) = opened(Wants::QUEUES) else { return };
    let _held = Held::some(connections);
    let listening = StateSet::only(State::Listen);
    let bound = StateSet::only(State::BoundInactive);
    let established = StateSet::only(State::Established);
    for states in [StateSet::ALL, listening, bound, established, listening.union(bound)] {
        let want = dumped(states);
        assert!(want.len() >= 16, "{states:?}: {}", want.len());
        for limit in [ASIDE, 4096, 0] {
            let (got, done) = passed(&mut walk, Wanted { states, ..ALL }, limit);
            assert_eq!(done.records, got.len() as u64, "{states:?}");
            assert!(got == want, "{states:?}, {limit}: {} for {}", got.len(), want.len());
        }
        for family in [Family::Inet, Family::Inet6] {
            let is = |wanted| family == wanted;
            let wanted =
                Wanted { states, inet: is(Family::Inet), inet6: is(Family::Inet6), scope: Scope::Own };
            let (got, _) = passed(&mut walk, wanted, ASIDE);
            let want: Vec<Row> = want.iter().filter(|row| row.0 == family.number()).copied().collect();
            assert!(got == want, "{states:?}, {family:?}: {} for {}", got.len(), want.len());
        }
    }
}

#[test]
fn a_pass_tells_what_dumps_tell_in_the_same_order() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    namespace.with(|| compare_with_dumps(400)).expect("a namespace that was made");
}

/// Makes passes while connections come and go beside sockets that stay: each of those must
/// be reported once, in the same order.
fn beside(more: u32, paces: &[u32], for_so_long: Duration) {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    let _more = Holder::start(&namespace, more, 30).unwrap_or_else(|why| panic!("{why}"));
    let looked = namespace.with(|| {
        let mut walk = opened(Wants::QUEUES)?;
        let held = Held::some(400);
        // TIME-WAIT sockets end by themselves.
        let states = StateSet::from_bits(StateSet::ALL.bits() & !(1 << State::TimeWait as u8));
        let wanted = Wanted { states, ..ALL };
        let still = dumped(states);
        let is_still: BTreeSet<Row> = still.iter().copied().collect();
        let churns: Vec<Churn> = paces
            .iter()
            .map(|pace| Churn::start(&namespace, *pace).unwrap_or_else(|why| panic!("{why}")))
            .collect();
        let begin = Instant::now();
        let (mut passes, mut all) = (0, Done::default());
        while begin.elapsed() < for_so_long {
            let (mut rows, done) = passed(&mut walk, wanted, ASIDE);
            rows.retain(|row| is_still.contains(row));
            assert!(rows == still, "pass {passes}: {} for {}, {done:?}", rows.len(), still.len());
            all.add(done);
            passes += 1;
        }
        let moved: u64 =
            churns.into_iter().map(|churn| churn.end().unwrap_or_else(|why| panic!("{why}"))).sum();
        println!("{passes} passes beside {moved} connections: {all:?}");
        drop(held);
        Some((passes, moved))
    });
    if let Some((passes, moved)) = looked.expect("a namespace that was made") {
        assert!(passes > 5 && moved > 100, "{passes} passes beside {moved} connections");
    }
}

#[test]
fn sockets_that_stand_still_are_in_every_pass_once() {
    beside(800, &[3000], Duration::from_secs(2));
}

#[test]
#[ignore = "it takes more than a minute, and both processors"]
fn sockets_that_stand_still_are_in_every_pass_once_whatever_comes_and_goes() {
    beside(50_000, &[5000], Duration::from_mins(1));
    beside(2000, &[1_000_000, 1_000_000], Duration::from_secs(10));
}
