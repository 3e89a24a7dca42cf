//! Messages composed from records equal the kernel's own dump of the same sockets, byte for
//! byte.
//!
//! The sockets are idle, but clocks advance: [`CLOCKS`] are the values that differ between
//! reading times.  Those of the walk must lie between those of a dump before it and of one
//! after it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::zoo::Zoo;
use sockdiag_wire::attr::attrs;
use sockdiag_wire::inet_diag::{IDIAG_TIMER_DELACK, INET_DIAG_INFO, InetDiagMsg, MSG_LEN};
use sockdiag_wire::tcp_info::TcpInfo;

use super::compose::{Ask, Composed, tells_delack};
use super::load::{Asked, Scope, Table as Hash, Walk};
use super::message::Message;
use crate::model::{Record, StateSet, Table};
use crate::source::{Access, Query, Sources, dump};

/// The offset of `idiag_expires` in a message.
const EXPIRES: usize = 52;

/// The clocks in `tcp_info`, with offset and length.
const CLOCKS: [(&str, usize, usize); 7] = [
    ("tcpi_last_data_sent", 44, 4),
    ("tcpi_last_data_recv", 52, 4),
    ("tcpi_last_ack_recv", 56, 4),
    ("tcpi_busy_time", 168, 8),
    ("tcpi_rwnd_limited", 176, 8),
    ("tcpi_sndbuf_limited", 184, 8),
    ("tcpi_total_rto_time", 244, 4),
];

/// A message with its clocks set to zero, and the clocks.
fn stopped(bytes: &[u8]) -> (Vec<u8>, Vec<(&'static str, u64)>) {
    let (mut still, mut clocks) = (bytes.to_vec(), Vec::new());
    let mut take = |name, begin: usize, length: usize| {
        let place = &mut still[begin..begin + length];
        let mut number = [0; 8];
        number[..length].copy_from_slice(place);
        place.fill(0);
        clocks.push((name, u64::from_le_bytes(number)));
    };
    take("idiag_expires", EXPIRES, 4);
    let mut at = MSG_LEN;
    for attr in attrs(&bytes[MSG_LEN..]) {
        if attr.kind == INET_DIAG_INFO {
            for (name, begin, length) in CLOCKS {
                if begin + length <= attr.payload.len() {
                    take(name, at + 4 + begin, length);
                }
            }
        }
        at += (attr.payload.len() + 4).next_multiple_of(4);
    }
    (still, clocks)
}

/// Messages by cookie, or by ports and addresses if there is no cookie.
type Messages = BTreeMap<(u64, Vec<u8>), Vec<u8>>;

fn key(bytes: &[u8]) -> (u64, Vec<u8>) {
    let msg = InetDiagMsg::new(bytes).expect("a whole message");
    (msg.cookie(), msg.id_bytes().to_vec())
}

fn dumped(ext: u8) -> Messages {
    let query = Query { ext, states: StateSet::from_bits(0xfff), ..Query::of(Table::Tcp) };
    let mut messages = Messages::new();
    let mut take = |record: Record<'_>| {
        messages.insert(key(record.bytes), record.bytes.to_vec());
        ControlFlow::Continue(())
    };
    dump(&query, &Sources::default(), &mut Access::here(), &mut take, &mut |_| {}).expect("a dump");
    messages
}

fn walked(ask: Ask) -> (Messages, Vec<Vec<u8>>) {
    let (mut walk, composer) = Walk::composing(ask).unwrap_or_else(|why| panic!("{why:?}"));
    let (mut messages, mut left) = (Messages::new(), Vec::new());
    for table in [Hash::Listening, Hash::Established] {
        let asked = Asked { table, states: 0x1fff, family: 0, scope: Scope::Own };
        let mut message = Message::new();
        let mut take = |record: super::record::Record<'_>| {
            let composed = composer.compose(record, &mut message);
            let bytes = message.bytes().to_vec();
            match composed {
                Composed::Whole => assert!(messages.insert(key(&bytes), bytes).is_none()),
                Composed::Ask => left.push(bytes),
            }
            ControlFlow::Continue(())
        };
        walk.each(asked, &mut take).unwrap_or_else(|why| panic!("{why:?}"));
    }
    (messages, left)
}

/// The difference between two messages, for the failure report.
fn difference(ours: &[u8], theirs: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = format!("state {}, ", ours[1]);
    for at in 0..MSG_LEN {
        if ours[at] != theirs[at] {
            let _ = write!(text, "[{at}] {} for {}, ", ours[at], theirs[at]);
        }
    }
    let kinds = |bytes: &[u8]| -> Vec<(u16, Vec<u8>)> {
        attrs(&bytes[MSG_LEN..]).map(|attr| (attr.kind, attr.payload.to_vec())).collect()
    };
    let (ours, theirs) = (kinds(ours), kinds(theirs));
    let order = |list: &[(u16, Vec<u8>)]| list.iter().map(|(kind, _)| *kind).collect::<Vec<_>>();
    if order(&ours) != order(&theirs) {
        let _ = write!(text, "attributes {:?} for {:?}, ", order(&ours), order(&theirs));
    }
    for ((kind, ours), (_, theirs)) in ours.iter().zip(&theirs) {
        if ours == theirs {
            continue;
        }
        if *kind == INET_DIAG_INFO && ours.len() == theirs.len() {
            for member in TcpInfo::LAYOUT.members {
                let range = member.offset..member.offset + member.size;
                let pair = (ours.get(range.clone()), theirs.get(range));
                if pair.0 != pair.1 {
                    let _ = write!(text, "{} {pair:?}, ", member.name);
                }
            }
            let _ = write!(text, "first bytes {:?} for {:?}, ", &ours[..8], &theirs[..8]);
        } else {
            let _ = write!(text, "attribute {kind} {ours:?} for {theirs:?}, ");
        }
    }
    text
}

/// Compares a walk with two dumps; returns how many messages were compared, and how many
/// sockets would have to be looked up.  Sockets that are active between the dumps are
/// compared once they are idle.
fn compare(ext: u8) -> (usize, usize) {
    let mut wrong = Vec::new();
    for _ in 0..20 {
        let (compared, left, found) = compared(ext);
        if found.is_empty() {
            return (compared, left);
        }
        wrong = found;
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("{}", wrong.join("\n"));
}

fn compared(ext: u8) -> (usize, usize, Vec<String>) {
    // The first dump assigns every socket a cookie.
    drop(dumped(0));
    let before = dumped(ext);
    let (walked, left) = walked(Ask::whole(ext, true));
    let after = dumped(ext);
    let mut wrong = Vec::new();
    for (key, theirs) in &after {
        let Some(earlier) = before.get(key) else { continue };
        let Some(ours) = walked.get(key) else {
            if !left.iter().any(|bytes| self::key(bytes) == *key) {
                wrong.push(format!("missing: {:?}", InetDiagMsg::new(theirs)));
            }
            continue;
        };
        let ((ours_still, ours_clocks), (theirs_still, later)) = (stopped(ours), stopped(theirs));
        if ours_still != theirs_still {
            wrong.push(difference(&ours_still, &theirs_still));
        }
        for ((number, first), last) in ours_clocks.iter().zip(stopped(earlier).1).zip(later) {
            let (name, number) = *number;
            let (least, most) = (first.1.min(last.1), first.1.max(last.1));
            if number < least || number > most {
                wrong.push(format!("{name} {number} is not from {least} to {most}"));
            }
        }
    }
    let unknown: Vec<_> = walked.keys().filter(|key| !before.contains_key(key)).collect();
    if !unknown.is_empty() {
        wrong.push(format!("unknown: {unknown:?}"));
    }
    (walked.len(), left.len(), wrong)
}

#[test]
fn messages_are_those_of_the_dump() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    let kinds: Vec<&str> =
        sockdiag_testkit::zoo::all_kinds().into_iter().filter(|kind| kind.starts_with("tcp")).collect();
    let _zoo = Zoo::start(&namespace, &kinds).unwrap_or_else(|why| panic!("{why}"));
    let compared = namespace.with(|| [0_u8, 0xfb, 0xff, 0x40, 0x0a, 0x30].map(compare)).expect("inside");
    let (messages, left) = compared[0];
    assert!(messages > 20 && left == 0, "{compared:?}");
    println!("{compared:?}");
}

/// A delayed acknowledgement lasts only some 40 ms, so this retries.  Since Linux 7.1 its
/// timer is reported.
#[test]
fn delayed_acknowledgements_are_told_as_the_dump_tells_them() {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};

    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    let rounds = || {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let pairs: Vec<(TcpStream, TcpStream)> = [false, true]
            .into_iter()
            .map(|keepalive| {
                let sender = TcpStream::connect(listener.local_addr().expect("bound")).expect("connect");
                let receiver = listener.accept().expect("accept").0;
                rustix::net::sockopt::set_socket_keepalive(&receiver, keepalive).expect("keepalive");
                rustix::net::sockopt::set_tcp_quickack(&receiver, false).expect("no quick answers");
                sender.set_nodelay(true).expect("nodelay");
                (sender, receiver)
            })
            .collect();
        let (mut walk, composer) = Walk::composing(Ask::whole(0, true)).expect("a walk");
        drop(dumped(0));
        let mut compared = 0;
        for _ in 0..50 {
            for (sender, receiver) in &pairs {
                rustix::net::sockopt::set_tcp_quickack(receiver, false).expect("no quick answers");
                (&*sender).write_all(b"x").expect("sent");
            }
            let before = dumped(0);
            let mut walked = Messages::new();
            let asked =
                Asked { table: Hash::Established, states: 0x1fff, family: 0, scope: super::load::Scope::Own };
            walk.each(asked, &mut |record| {
                let mut message = Message::new();
                let _ = composer.compose(record, &mut message);
                walked.insert(key(message.bytes()), message.bytes().to_vec());
                ControlFlow::Continue(())
            })
            .expect("a walk");
            let after = dumped(0);
            for (key, first) in &before {
                let Some((ours, last)) = walked.get(key).zip(after.get(key)) else { continue };
                if stopped(first).0 == stopped(last).0 {
                    let (ours, theirs) = (stopped(ours).0, stopped(first).0);
                    assert!(ours == theirs, "{}", difference(&ours, &theirs));
                    compared += usize::from(first[2] == IDIAG_TIMER_DELACK);
                }
            }
            std::thread::sleep(std::time::Duration::from_millis(60));
        }
        compared
    };
    let compared = namespace.with(rounds).expect("inside");
    println!("{compared} delayed acknowledgements");
    assert_eq!(compared > 0, tells_delack(&crate::sys::release()));
}
