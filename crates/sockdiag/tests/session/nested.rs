//! Questions asked while another is being answered, by threads in other namespaces: each is
//! answered in the namespace where it was asked.

use std::cell::Cell;
use std::net::UdpSocket;
use std::ops::ControlFlow::Continue;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, ipproto, socket};
use sockdiag::namespaces::{self, Entered};
use sockdiag::{Event, Session, Sockets, Table, Verdict};
use sockdiag_testkit::listener::Listener;
use sockdiag_testkit::netns::Namespace;

use super::{addr, all, connection, inode, inodes, listener, within};

/// The home namespace, where questions are asked, and two others, with a listener in each
/// of the three.
struct Places {
    home: Namespace,
    away: [Namespace; 2],
    words: [String; 2],
    /// The listeners: at home, then in the others.
    listeners: [Listener; 3],
}

impl Places {
    fn new() -> Option<Self> {
        let ((home, _), (one, first), (two, second)) =
            (Namespace::to_look_into()?, Namespace::to_look_into()?, Namespace::to_look_into()?);
        let listeners = [&home, &one, &two].map(|namespace| within(namespace, listener));
        Some(Self { home, away: [one, two], words: [first, second], listeners })
    }

    /// The inode of the listener at home (0) or away (1, 2).
    fn listener(&self, place: usize) -> u32 {
        inode(&self.listeners[place])
    }

    fn entered(&self, away: usize) -> Entered {
        let every = namespaces::chosen(self.words[away].as_ref()).expect("it is there");
        every.list[0].enter().expect("root may")
    }
}

fn listening() -> Sockets {
    Sockets::of(&[Table::Tcp]).states(sockdiag::StateSet::LISTENING)
}

/// The kinds of questions.
#[derive(Clone, Copy, Debug)]
enum Ask {
    Here,
    Named(usize),
    Inside(usize),
    Open,
    Destroy(usize),
    Follow(usize),
}

const ASKS: [Ask; 9] = [
    Ask::Here,
    Ask::Named(0),
    Ask::Named(1),
    Ask::Inside(0),
    Ask::Inside(1),
    Ask::Open,
    Ask::Destroy(0),
    Ask::Destroy(1),
    Ask::Follow(0),
];

/// Asks, checks the answer, and calls `then` in the middle of it.
fn ask(places: &Places, what: Ask, open: &mut Session, then: &mut dyn FnMut()) {
    let mut each = |question: &Sockets, place: usize| {
        let mut found = Vec::new();
        let outcome = question.each(|row| {
            found.push(row.socket.inode);
            then();
            Continue(())
        });
        assert!(outcome.expect("a question").is_complete());
        assert_eq!(found, [places.listener(place)], "{what:?}");
    };
    match what {
        Ask::Here => each(&listening(), 0),
        Ask::Named(away) => each(&listening().netns(&places.words[away]), away + 1),
        Ask::Inside(away) => each(&listening().inside(&places.entered(away)), away + 1),
        Ask::Open => {
            assert_eq!(inodes(open), [places.listener(2)], "{what:?}");
            then();
        }
        Ask::Destroy(away) => {
            let (passive, client, server) = within(&places.away[away], connection);
            let port = addr(&passive).port();
            drop(passive);
            let question = Sockets::of(&[Table::Tcp]).filter(format!("dport = :{port}"));
            let mut destroyed = Vec::new();
            let outcome = question.netns(&places.words[away]).destroy(|row, verdict| {
                then();
                destroyed.push((row.socket.inode, verdict));
                Continue(())
            });
            assert!(outcome.expect("a question").is_complete());
            assert_eq!(destroyed, [(inode(&client), Verdict::Destroyed)], "{what:?}");
            drop(server);
        }
        Ask::Follow(away) => {
            let question = Sockets::of(&[Table::Tcp]).netns(&places.words[away]);
            let mut follow = question.open().and_then(Session::follow).expect("root may");
            then();
            // Ignored: this connection ends in another namespace.
            drop(within(&places.home, connection));
            let (passive, client, server) = within(&places.away[away], connection);
            let port = addr(&passive).port();
            drop((server, client, passive));
            loop {
                match follow.next(Some(Duration::from_secs(20))).expect("it listens") {
                    // Sockets that other questions used in the same namespace end too.
                    Event::Ended(ended) => {
                        let inode = places.away[away].inode().ok();
                        assert_eq!(ended.netns.map(|netns| netns.inode), inode, "{what:?}");
                        if ended.row().socket.remote.port == i64::from(port) {
                            break;
                        }
                    }
                    other => panic!("{what:?}: {other:?}"),
                }
            }
        }
    }
}

#[test]
fn every_question_inside_every_other_is_answered_from_where_it_was_asked() {
    let Some(places) = Places::new() else { return };
    within(&places.home, || {
        let mut open = listening().netns(&places.words[1]).open().expect("a question");
        let mut inner_open = listening().netns(&places.words[1]).open().expect("a question");
        let [one, two] = &places.words;
        for words in [format!("{one},{two}"), format!("{two},{one}")] {
            for outer in ASKS {
                // Within that, ask each kind in turn.
                let turn = Cell::new(0);
                let mut seen = Vec::new();
                let rounds = ASKS.len().div_ceil(2);
                for _ in 0..rounds {
                    let outcome = listening().netns(&words).each(|row| {
                        seen.push(row.socket.inode);
                        ask(&places, outer, &mut open, &mut || {
                            let inner = ASKS[turn.get() % ASKS.len()];
                            turn.set(turn.get() + 1);
                            ask(&places, inner, &mut inner_open, &mut || {});
                        });
                        Continue(())
                    });
                    assert!(outcome.expect("a question").is_complete());
                }
                assert!(turn.get() >= ASKS.len(), "{outer:?}: each was asked");
                let mut both = [places.listener(1), places.listener(2)];
                if words.starts_with(two.as_str()) {
                    both.reverse();
                }
                assert_eq!(seen, both.repeat(rounds), "{outer:?} in {words}");
            }
        }
    });
}

#[test]
fn several_namespaces_are_entered_at_a_time_by_one_thread() {
    let Some(places) = Places::new() else { return };
    let entered = [places.entered(0), places.entered(1)];
    within(&places.home, || {
        let mut sessions: Vec<(Session, usize)> = Vec::new();
        for round in 0..3 {
            for (away, entered) in entered.iter().enumerate() {
                assert_eq!(Some(entered.facts().inode), places.away[away].inode().ok());
                let session = listening().inside(entered).open().expect("a question");
                sessions.push((session, away + 1));
            }
            sessions.push((listening().open().expect("a question"), 0));
            sessions.rotate_left(round);
            for (session, place) in &mut sessions {
                assert_eq!(inodes(session), [places.listener(*place)]);
            }
        }
    });
}

#[test]
fn a_session_is_answered_from_where_it_was_opened() {
    let Some(places) = Places::new() else { return };
    let [one, two] = &places.away;
    let (mut here, mut named, mut both) = within(&places.home, || {
        let open = |question: Sockets| question.open().expect("a question");
        let words = format!("{},pid:{}", places.words[0], places.home.pid());
        (open(listening()), open(listening().netns(&places.words[0])), open(listening().netns(&words)))
    });
    let home = [places.listener(0)];
    let mut wanted = [places.listener(1), places.listener(0)];
    wanted.sort_unstable();
    for namespace in [two, &places.home, one, two] {
        within(namespace, || {
            assert_eq!(inodes(&mut here), home);
            assert_eq!(inodes(&mut named), [places.listener(1)]);
            assert_eq!(inodes(&mut both), wanted);
        });
    }
    // Another question follows sockets meanwhile.
    let mut follow = within(two, || {
        let mut follow = here.follow().expect("root may");
        drop(connection());
        assert!(matches!(follow.next(Some(Duration::from_millis(50))), Ok(Event::Nothing)), "elsewhere");
        follow
    });
    drop(within(&places.home, connection));
    within(one, || {
        let event = follow.next(Some(Duration::from_secs(20))).expect("it listens");
        assert!(matches!(event, Event::Ended(_)), "{event:?}");
    });
}

#[test]
fn a_poll_from_elsewhere_reads_text_where_it_was_opened() {
    let Some(places) = Places::new() else { return };
    let mut home = within(&places.home, || all(&[Table::Raw, Table::Udp]).open().expect("a question"));
    let (udp, raw) = within(&places.home, || {
        let raw = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP)).expect("root may");
        (UdpSocket::bind("127.0.0.1:0").expect("lo is up"), raw)
    });
    let mut made = [inode(&udp), inode(&raw)];
    made.sort_unstable();
    // If the kernel lacks raw_diag, raw sockets come from /proc/net.
    for namespace in [&places.away[0], &places.home, &places.away[1]] {
        assert_eq!(within(namespace, || inodes(&mut home)), made);
    }
}
