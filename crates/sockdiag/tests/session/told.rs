//! Facts about live connections that the kernel does not report directly: how they ended,
//! and how many ports are in use towards their remote end.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::{set_socket_linger, set_tcp_user_timeout};
use sockdiag::{
    FrameSink, Observer, OwnedRow, OwnedValue, Row, Seen, Sockets, State, StateSet, Table, Value,
};
use sockdiag_testkit::listener::Listener;
use sockdiag_testkit::netns::{LO, Namespace};
use sockdiag_testkit::until;

use super::{addr, listener, within};

/// How sockets ended, by local address; TIME-WAIT remainders are kept apart.
#[derive(Default)]
struct Ends {
    ended: HashMap<SocketAddr, String>,
    waiting: HashMap<SocketAddr, String>,
    live: usize,
}

impl FrameSink for Ends {
    type Error = std::convert::Infallible;

    fn row(&mut self, seen: Seen, row: &Row<'_>) -> Result<(), Self::Error> {
        let word = match row.value("socket.ended") {
            Some(Value::Text(word)) => Some(String::from_utf8_lossy(word).into_owned()),
            _ => None,
        };
        let local = row.local().expect("it has an address");
        match seen {
            Seen::Closed => _ = self.ended.insert(local, word.expect("it ended")),
            Seen::TimeWait => _ = self.waiting.insert(local, word.expect("it is left of one that ended")),
            _ => {
                assert_eq!(word, None, "{seen:?} {local}");
                self.live += 1;
            }
        }
        Ok(())
    }
}

fn pair(passive: &Listener) -> (TcpStream, TcpStream) {
    let active = TcpStream::connect(addr(passive)).expect("loopback");
    (active, passive.accept().expect("it came").0)
}

fn local(stream: &TcpStream) -> SocketAddr {
    stream.local_addr().expect("it is bound")
}

/// The local and remote address of a connection.
fn ends(stream: &TcpStream) -> [SocketAddr; 2] {
    [local(stream), stream.peer_addr().expect("it is connected")]
}

/// Waits until the kernel has processed the change.
fn settle() {
    thread::sleep(Duration::from_millis(30));
}

#[test]
fn how_a_connection_ended_is_told() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    within(&namespace, || {
        let passive = listener();
        let sockets = Sockets::of(&[Table::Tcp]).states(StateSet::ALL).reading(["socket.ended"]);
        let mut observer = Observer::new(sockets.open().expect("a question"));
        let mut look = |ends: &mut Ends| {
            let frame = observer.look(ends).unwrap_or_else(|error| panic!("{error}"));
            assert!(frame.failures.is_empty() && frame.lost == 0, "{frame:?}");
        };
        let mut ends = Ends::default();
        look(&mut ends);
        assert_eq!((ends.live, ends.ended.len()), (1, 0));
        // Each of these is seen while it is open, and while it is half closed.
        let (ours, theirs) = pair(&passive);
        let aborted = pair(&passive);
        let unread = pair(&passive);
        let silent = pair(&passive);
        look(&mut ends);
        ours.shutdown(Shutdown::Write).expect("it is open");
        std::io::Write::write_all(&mut &unread.0, b"unread").expect("there is room");
        settle();
        look(&mut ends);
        let mut want = HashMap::from([
            (local(&ours), vec!["closed-by-us"]),
            (local(&theirs), vec!["closed-by-peer"]),
            (local(&aborted.0), vec!["aborted"]),
        ]);
        let reset = [local(&aborted.1), local(&unread.0), local(&unread.1)];
        let [of_aborted, of_unread, with_unread] = reset;
        // All accepted ends have the same local address, so look after each one.
        drop((theirs, ours));
        settle();
        look(&mut ends);
        for (local, words) in want.drain() {
            if let Some(word) = ends.ended.remove(&local) {
                assert!(words.contains(&word.as_str()), "{local}: {word}");
            } else {
                assert_eq!(words, ["aborted"], "{local} has not ended");
            }
        }
        assert!(!ends.waiting.is_empty() && ends.waiting.values().all(|word| word == "closed-by-us"));
        set_socket_linger(&aborted.0, Some(Duration::ZERO)).expect("a socket");
        let address = local(&aborted.0);
        drop(aborted.0);
        settle();
        look(&mut ends);
        // The report lacks the address; the port is restored.
        let port = address.port();
        let word = ends.ended.drain().find(|(local, _)| local.port() == port).expect("it ended").1;
        assert_eq!(word, "aborted");
        drop(aborted.1);
        settle();
        look(&mut ends);
        assert_eq!(ends.ended.remove(&of_aborted).as_deref(), Some("reset"));
        // Closing a socket with unread data sends a reset.
        drop(unread.1);
        settle();
        look(&mut ends);
        assert_eq!(ends.ended.remove(&with_unread).as_deref(), Some("reset"));
        drop(unread.0);
        settle();
        look(&mut ends);
        assert_eq!(ends.ended.remove(&of_unread).as_deref(), Some("reset"));
        // No look sees a short connection; its TIME-WAIT shows which end closed first.
        let (active, end) = pair(&passive);
        let [active_at, end_at] = [local(&active), local(&end)];
        drop(active);
        settle();
        drop(end);
        settle();
        look(&mut ends);
        assert_eq!(ends.ended.remove(&active_at).as_deref(), Some("closed-by-us"));
        assert_eq!(ends.ended.remove(&end_at).as_deref(), Some("closed-by-peer"));
        // The peer no longer answers.
        set_tcp_user_timeout(&silent.0, 300).expect("a socket");
        let silent_at = local(&silent.0);
        namespace.down(LO).unwrap_or_else(|why| panic!("{why}"));
        std::io::Write::write_all(&mut &silent.0, b"hello").expect("there is room");
        assert!(until(|| silent.0.take_error().is_ok_and(|error| error.is_some())), "it times out");
        drop(silent.0);
        settle();
        look(&mut ends);
        assert_eq!(ends.ended.remove(&silent_at).as_deref(), Some("timeout"));
        // The listener closes.
        let at = addr(&passive);
        drop((passive, silent.1));
        settle();
        look(&mut ends);
        assert!(ends.ended.contains_key(&at), "{:?}", ends.ended);
    });
}

/// The share of ports in use in the rows of a question, by connection.
fn shares(sockets: &Sockets) -> HashMap<[SocketAddr; 2], Option<f64>> {
    let (rows, outcome) = sockets.clone().reading(["ports.used_share"]).collect().expect("an answer");
    assert!(outcome.is_complete(), "{outcome:?}");
    rows.iter().filter_map(|row| Some(([row.local()?, row.remote()?], share(row)))).collect()
}

fn share(row: &OwnedRow) -> Option<f64> {
    match row.value("ports.used_share") {
        Some(OwnedValue::F64(share)) => Some(share),
        _ => None,
    }
}

#[test]
fn ports_in_use_are_counted_by_where_they_lead() {
    let (Some((one, first)), Some((other, second))) = (Namespace::to_look_into(), Namespace::to_look_into())
    else {
        return;
    };
    for (namespace, reserved) in [(&one, "40090-40099"), (&other, "")] {
        for (name, value) in [("ip_local_port_range", "40000 40099"), ("ip_local_reserved_ports", reserved)] {
            namespace.sysctl(&format!("net/ipv4/{name}"), value).unwrap_or_else(|why| panic!("{why}"));
        }
    }
    let listen = |last: u8| Listener::bind((Ipv4Addr::new(127, 0, 0, last), 80)).expect("a free port");
    within(&one, || {
        let (busy, quiet) = (listen(2), listen(3));
        let mut pairs: Vec<_> = (0..9).map(|_| pair(&busy)).collect();
        let others: Vec<_> = (0..3).map(|_| pair(&quiet)).collect();
        // Two connections end, and each leaves a TIME-WAIT.
        for (active, end) in pairs.drain(..2) {
            drop(active);
            settle();
            drop(end);
        }
        settle();
        let there = within(&other, || {
            let quiet = listen(2);
            let pair = pair(&quiet);
            (quiet, pair)
        });
        // The whole table is counted, even if a filter lists only one of the nine rows.
        let here = Sockets::of(&[Table::Tcp]);
        let one = here.clone().filter(format!("sport = {} and dst 127.0.0.2", local(&pairs[0].0).port()));
        assert_eq!(shares(&one), HashMap::from([(ends(&pairs[0].0), Some(0.1))]));
        let of = |sockets: &Sockets, stream: &TcpStream| shares(sockets)[&ends(stream)];
        assert_eq!(of(&here, &others[0].0), Some(0.0333));
        assert_eq!(of(&here, &pairs[0].1), None, "port 80 is none of the range");
        let chosen = here.clone().filter("ports.used_share >= 0.1").collect().expect("an answer").0;
        assert_eq!(chosen.len(), 7);
        let waiting = here.clone().states(StateSet::only(State::TimeWait)).filter("ports.used_share = 0.1");
        let waiting = waiting.collect().map(|(rows, _)| rows.len());
        assert_eq!(waiting.ok(), Some(2), "a TIME-WAIT has its port");
        // The same address in another namespace is counted separately.
        let both = Sockets::of(&[Table::Tcp]).netns(format!("{first},{second}"));
        assert_eq!(of(&both, &there.1.0), Some(0.01));
        assert_eq!(of(&both, &pairs[0].0), Some(0.1));
        // Each poll counts the used ports from scratch.
        let mut session = here.reading(["ports.used_share"]).open().expect("a question");
        let (before, _) = super::poll(&mut session);
        drop(pairs.pop());
        let more: Vec<_> = (0..2).map(|_| pair(&quiet)).collect();
        let (after, _) = super::poll(&mut session);
        let share = |rows: &[OwnedRow], of: &TcpStream| {
            share(
                rows.iter()
                    .find(|row| row.local() == Some(ends(of)[0]) && row.remote() == Some(ends(of)[1]))
                    .expect("it is there"),
            )
        };
        assert_eq!((share(&before, &others[0].0), share(&after, &more[0].0)), (Some(0.0333), Some(0.0556)));
    });
}
