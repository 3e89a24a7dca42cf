//! Follows sockets as they end: every wait ends, by an event, a timeout or a stop.

#![allow(clippy::cast_sign_loss, reason = "small, known numbers; each cast is meant")]

use std::net::UdpSocket;
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::time::{ClockId, clock_gettime};
use sockdiag::{AskError, Event, Follow, Session, Sockets, Table};
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::until;

use super::{addr, all, connection, listener, within};

const LONG: Option<Duration> = Some(Duration::from_secs(20));
const AT_ONCE: Option<Duration> = Some(Duration::ZERO);

fn udp() -> Sockets {
    all(&[Table::Udp])
}

/// Opens and closes one UDP socket, and returns its port.
fn one_more() -> i64 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("lo is up");
    i64::from(socket.local_addr().expect("it is bound").port())
}

fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Whether the descriptor is readable now.
fn is_readable(follow: &Follow) -> bool {
    let mut fds = [PollFd::new(follow, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).expect("a descriptor") == 1
}

/// The port of the next socket, which must come.
fn next(follow: &mut Follow) -> i64 {
    match follow.next(LONG).expect("it listens") {
        Event::Ended(ended) => ended.row().socket.local.port,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_wait_ends_in_time_and_a_socket_comes_with_its_moment() {
    let Some((namespace, name)) = Namespace::to_look_into() else { return };
    let inode = namespace.inode().expect("it has one");
    for named in [false, true] {
        let question = if named { udp().netns(&name) } else { udp() };
        within(&namespace, || {
            let mut follow = question.open().and_then(Session::follow).expect("root may");
            for wait in [0, 1, 150] {
                let (wait, begun) = (Duration::from_millis(wait), Instant::now());
                assert!(matches!(follow.next(Some(wait)), Ok(Event::Nothing)));
                assert!(begun.elapsed() >= wait, "{:?}", begun.elapsed());
            }
            assert!(!is_readable(&follow));
            let begin = now_ns();
            let port = one_more();
            assert!(until(|| is_readable(&follow)), "its end is something to read");
            let before_read = now_ns();
            let Ok(Event::Ended(ended)) = follow.next(AT_ONCE) else { panic!("a socket ended") };
            let (arrived, end) = (ended.arrived, now_ns());
            assert!(begin < arrived.begin_ns() && arrived.begin_ns() <= arrived.end_ns());
            assert!((before_read..=end).contains(&arrived.end_ns()), "{before_read} {arrived:?} {end}");
            assert_eq!(ended.row().socket.origin.window, Some(arrived));
            assert_eq!(ended.row().socket.local.port, port);
            let told = ended.netns.map(|netns| netns.inode);
            assert_eq!(told, named.then_some(inode));
            assert_eq!(ended.row().value("netns.inode").is_some(), named);
            assert!(matches!(follow.next(AT_ONCE), Ok(Event::Nothing)) && !is_readable(&follow));
        });
    }
}

#[test]
fn a_stopper_of_another_thread_ends_the_wait_and_all_that_follow() {
    let Some((namespace, name)) = Namespace::to_look_into() else { return };
    let mut follow = udp().netns(&name).open().and_then(Session::follow).expect("root may");
    let stopper = follow.stopper();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(50));
            stopper.stop();
        });
        assert!(matches!(follow.next(None), Ok(Event::Stopped)));
    });
    // After a stop nothing else is reported, however many sockets ended.
    within(&namespace, || (0..10).for_each(|_| _ = one_more()));
    for wait in [None, AT_ONCE, LONG] {
        let event = follow.next(wait);
        assert!(matches!(event, Ok(Event::Stopped)), "{event:?}");
    }
}

/// Sets the flag when dropped, even in a panic.
struct Over<'o>(&'o AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs something while sockets end continuously.
fn meanwhile(namespace: &Namespace, work: impl FnOnce()) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            within(namespace, || {
                while !over.load(Ordering::Relaxed) {
                    one_more();
                }
            });
        });
        let _over = Over(&over);
        work();
    });
}

#[test]
fn what_the_filter_refuses_does_not_make_a_wait_longer() {
    let Some((namespace, name)) = Namespace::to_look_into() else { return };
    let question = udp().filter("sport = :1").netns(&name);
    let mut follow = question.open().and_then(Session::follow).expect("root may");
    let stopper = follow.stopper();
    meanwhile(&namespace, || {
        for _ in 0..3 {
            let begun = Instant::now();
            // Messages may be lost, which is an event too.
            while begun.elapsed() < Duration::from_millis(100) {
                let left = Duration::from_millis(100).saturating_sub(begun.elapsed());
                let event = follow.next(Some(left)).expect("it listens");
                assert!(matches!(event, Event::Nothing | Event::Lost { .. }), "{event:?}");
            }
            assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        }
        stopper.stop();
        assert!(matches!(follow.next(None), Ok(Event::Stopped)));
    });
}

#[test]
fn a_stop_is_heard_while_sockets_end_without_a_pause() {
    let Some((namespace, name)) = Namespace::to_look_into() else { return };
    let mut follow = udp().netns(&name).open().and_then(Session::follow).expect("root may");
    let stopper = follow.stopper();
    meanwhile(&namespace, || {
        next(&mut follow);
        thread::sleep(Duration::from_millis(20));
        stopper.stop();
        let event = follow.next(None);
        assert!(matches!(event, Ok(Event::Stopped)), "{event:?}");
    });
}

#[test]
fn a_limit_ends_it_and_a_filter_chooses() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    within(&namespace, || {
        let mut follow = udp().limit(2).open().and_then(Session::follow).expect("root may");
        let ports = [one_more(), one_more(), one_more()];
        assert_eq!([next(&mut follow), next(&mut follow)], ports[..2]);
        assert!(matches!(follow.next(None), Ok(Event::Stopped)));
        let mut none = udp().limit(0).open().and_then(Session::follow).expect("root may");
        assert!(matches!(none.next(None), Ok(Event::Stopped)));

        let passive = listener();
        let port = addr(&passive).port();
        let question = all(&[Table::Tcp]).filter(format!("sport = :{port}"));
        let mut chosen = question.open().and_then(Session::follow).expect("root may");
        drop(connection());
        one_more();
        drop(passive);
        assert_eq!(next(&mut chosen), i64::from(port));
        assert!(matches!(chosen.next(AT_ONCE), Ok(Event::Nothing)));
    });
}

#[test]
fn what_was_lost_is_told_and_the_rest_comes() {
    let Some((namespace, name)) = Namespace::to_look_into() else { return };
    let mut follow = udp().netns(&name).open().and_then(Session::follow).expect("root may");
    // The smallest queue that the kernel allows, which holds a few messages.
    set_socket_recv_buffer_size(follow.as_fd(), 1).expect("a socket");
    let (mut ports, mut seen, mut lost) = (Vec::new(), Vec::new(), 0);
    let dropped = || namespace.followers().unwrap_or_else(|why| panic!("{why}")).iter().sum::<u64>();
    for round in 1..=2 {
        let dropped_before = dropped();
        ports.extend(within(&namespace, || (0..200).map(|_| one_more()).collect::<Vec<_>>()));
        // The kernel reports sockets some time after they end.
        assert!(until(|| dropped() > dropped_before));
        let before = lost;
        loop {
            let wait = if lost == before { LONG } else { Some(Duration::from_millis(200)) };
            match follow.next(wait).expect("it listens on") {
                Event::Ended(ended) => seen.push(ended.row().socket.local.port),
                Event::Lost { times } => {
                    assert!(times == lost + 1, "{times} after {lost}");
                    lost = times;
                }
                Event::Nothing => break,
                other => panic!("{other:?}"),
            }
        }
        assert!(lost > before, "round {round}");
    }
    assert!(!seen.is_empty() && seen.len() < ports.len(), "{} came", seen.len());
    let mut rest = ports.iter();
    assert!(seen.iter().all(|port| rest.any(|other| other == port)), "in order, each once: {seen:?}");
    let port = within(&namespace, one_more);
    while next(&mut follow) != port {}
}

#[test]
fn what_cannot_be_followed_is_refused() {
    let refused = |question: Sockets| question.open().and_then(Session::follow);
    assert!(matches!(refused(Sockets::of(&[Table::UnixStream])), Err(AskError::NothingToFollow)));
    let Some((namespace, name)) = Namespace::to_look_into() else { return };
    let Some((_other, other_name)) = Namespace::to_look_into() else { return };
    let both = udp().netns(format!("{name},{other_name}"));
    assert!(matches!(refused(both), Err(AskError::SeveralNamespaces)));
    drop(namespace);
    assert!(matches!(refused(udp().netns(&name)), Err(AskError::Namespace(_))));
}
