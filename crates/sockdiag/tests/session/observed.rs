//! An observer of this machine's sockets: what opens and changes, and every connection that
//! ends.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "small, known numbers; each cast is meant"
)]

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::{set_socket_linger, set_socket_recv_buffer_size};
use sockdiag::observer::Gone;
use sockdiag::{Frame, FrameSink, Observer, Row, Seen, Sockets, StateSet, Table, Value};
use sockdiag_testkit::listener::Listener;
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::until;

use super::{Holder, addr, all, connection, inode, listener, within};

/// What a look reported about a socket.
#[derive(Clone, Debug)]
struct Said {
    seen: Seen,
    cookie: u64,
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
    values: HashMap<&'static str, f64>,
    holders: Vec<String>,
}

const VALUES: [&str; 10] = [
    "rate.bytes_sent_per_s",
    "rate.bytes_sent_per_s_error",
    "rate.bytes_received_per_s",
    "rate.bytes_received_per_s_error",
    "rate.bytes_acked_per_s",
    "tcp.bytes_received",
    "tcp.bytes_acked",
    "age_ms",
    "share.app",
    "age_opening_seen",
];

/// A sink that keeps everything.
#[derive(Default)]
struct Heard {
    rows: Vec<Said>,
    gone: Vec<Gone>,
}

impl FrameSink for Heard {
    type Error = std::convert::Infallible;

    fn row(&mut self, seen: Seen, row: &Row<'_>) -> Result<(), Self::Error> {
        let value = |name| match row.value(name)? {
            Value::F64(number) => Some((name, number)),
            Value::Bool(so) => Some((name, f64::from(u8::from(so)))),
            number => Some((name, number.as_i128()? as f64)),
        };
        self.rows.push(Said {
            seen,
            cookie: row.socket.cookie,
            local: row.local(),
            remote: row.remote(),
            values: VALUES.into_iter().filter_map(value).collect(),
            holders: row.holders().iter().map(|holder| holder.name()).collect(),
        });
        Ok(())
    }

    fn gone(&mut self, gone: &Gone) -> Result<(), Self::Error> {
        self.gone.push(*gone);
        Ok(())
    }
}

fn look(observer: &mut Observer) -> (Frame, Heard) {
    let mut heard = Heard::default();
    let frame = observer.look(&mut heard).unwrap_or_else(|error| panic!("{error}"));
    assert!(frame.failures.is_empty(), "{frame:?}");
    (frame, heard)
}

fn observe(sockets: Sockets) -> Observer {
    Observer::new(sockets.reading(VALUES).open().expect("a question"))
}

#[test]
fn connections_open_change_and_close() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    within(&namespace, || {
        let passive = listener();
        let sockets = Sockets::of(&[Table::Tcp]).filter(format!("dport = {}", addr(&passive).port()));
        let mut observer = observe(sockets);
        assert_eq!(look(&mut observer).0.sockets, 0);
        let mut active = TcpStream::connect(addr(&passive)).expect("loopback");
        let (mut end, _) = passive.accept().expect("it came");
        active.write_all(&[1; 5000]).expect("loopback");
        end.read_exact(&mut [0; 5000]).expect("loopback");
        let (frame, heard) = look(&mut observer);
        let [said] = &heard.rows[..] else { panic!("{heard:?}", heard = heard.rows) };
        assert_eq!((frame.opened, said.seen, said.values["age_opening_seen"] as u8), (1, Seen::Opened, 1));
        let seconds = (frame.window.begin_ns() - frame.before.expect("a look").begin_ns()) as f64 / 1e9;
        assert!(said.values["rate.bytes_sent_per_s"] * seconds > 4000.0, "{said:?} in {seconds} s");
        let cookie = said.cookie;
        // Half closed, its state changes; then it is freed, and TIME-WAIT remains.
        active.shutdown(std::net::Shutdown::Write).expect("it is open");
        let changed = until(|| {
            let (frame, heard) = look(&mut observer);
            frame.changed == 1
                && matches!(heard.rows[0].seen, Seen::Changed(changes) if changes.state_was.is_some())
        });
        assert!(changed, "its state changed");
        end.write_all(&[2; 300]).expect("it is open");
        drop(end);
        active.read_to_end(&mut Vec::new()).expect("loopback");
        drop(active);
        let mut closed = Vec::new();
        assert!(until(|| {
            let (frame, heard) = look(&mut observer);
            assert_eq!((frame.opened, frame.lost), (0, 0));
            closed.extend(heard.rows.into_iter().filter(|said| said.seen == Seen::Closed));
            !closed.is_empty() && observer.remembered() == 0
        }));
        let [said] = &closed[..] else { panic!("{closed:?}") };
        assert_eq!((said.cookie, said.remote), (cookie, Some(addr(&passive))));
        // The kernel counts SYN and FIN as bytes.
        assert_eq!((said.values["tcp.bytes_acked"], said.values["tcp.bytes_received"]), (5002.0, 301.0));
        for _ in 0..3 {
            let (frame, heard) = look(&mut observer);
            assert_eq!((frame.sockets, frame.closed, heard.gone.len()), (0, 0, 0));
        }
    });
}

/// An ended socket is reported without an owner; its holder is that of the last look.
#[test]
fn who_held_a_connection_is_known_at_its_end() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    within(&namespace, || {
        let (_passive, active, end) = connection();
        let remote = end.local_addr().expect("it is connected").port();
        let mut observer =
            observe(Sockets::of(&[Table::Tcp]).filter(format!("dport = {remote}")).with_processes());
        assert_ne!(inode(&active), 0);
        let mut holder = Holder::start(active, "read x; exec >/dev/null; read y");
        let (_, heard) = look(&mut observer);
        assert_eq!(heard.rows[0].holders, ["sh"]);
        holder.go_on();
        drop(end);
        let mut closed = Vec::new();
        assert!(until(|| {
            closed.extend(look(&mut observer).1.rows.into_iter().filter(|said| said.seen == Seen::Closed));
            !closed.is_empty()
        }));
        assert_eq!(closed[0].holders, ["sh"], "{closed:?}");
    });
}

/// Makes short connections, with both ends in the calling thread's namespace.
fn churn(passive: &Listener, count: u64) {
    for number in 0..count {
        let mut active = TcpStream::connect(addr(passive)).expect("loopback");
        let (end, _) = passive.accept().expect("it came");
        active.write_all(&[3; 100]).expect("loopback");
        if number % 2 == 0 {
            // Without a reset, TIME-WAIT would use up the ports.
            set_socket_linger(&active, Some(Duration::ZERO)).expect("a socket");
        }
        drop((end, active));
    }
}

/// The closed sockets that looks show, and those that they count as lost, until all are
/// accounted for and no more come.
fn closings(observer: &mut Observer, made: u64) -> (u64, u64) {
    let (mut shown, mut lost, mut quiet) = (0, 0, 0);
    // The kernel's reports are delayed.
    for _ in 0..300 {
        let (frame, heard) = look(observer);
        let rows = heard.rows.iter().filter(|said| said.seen == Seen::Closed).count() + heard.gone.len();
        assert_eq!(rows as u64, frame.closed);
        (shown, lost) = (shown + frame.closed, lost + frame.lost);
        quiet = if frame.closed + frame.lost == 0 && shown + lost >= made { quiet + 1 } else { 0 };
        if quiet == 3 {
            break;
        }
        thread::sleep(Duration::from_millis(100));
    }
    (shown, lost)
}

#[test]
fn short_connections_are_shown_or_counted_as_lost() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    within(&namespace, || {
        let passive = listener();
        for (small_queue, made) in [(false, 2000), (true, 2000)] {
            let mut observer = observe(Sockets::of(&[Table::Tcp]));
            assert_eq!(look(&mut observer).0.closed, 0);
            // These are known before, and are closed while reports are lost.
            let known: Vec<_> = (0..10)
                .map(|_| (TcpStream::connect(addr(&passive)).expect("loopback"), passive.accept()))
                .collect();
            assert_eq!(look(&mut observer).0.opened, 20);
            if small_queue {
                let descriptors: Vec<_> = observer.descriptors().collect();
                let [queue] = &descriptors[..] else { panic!("{} queues", descriptors.len()) };
                set_socket_recv_buffer_size(queue, 4096).expect("a socket");
            }
            churn(&passive, made);
            drop(known);
            let (shown, lost) = closings(&mut observer, 2 * made + 20);
            eprintln!("figures: churn: {shown} shown + {lost} lost of {}", 2 * made + 20);
            assert_eq!(shown + lost, 2 * made + 20, "{shown} shown, {lost} lost");
            assert_eq!(lost > 0, small_queue, "{lost} lost");
            assert!(shown > 20);
        }
    });
}

/// The same, with looks at random times and a reader that pauses now and then.
#[test]
fn closings_are_accounted_for_under_churn() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    within(&namespace, || {
        let passive = listener();
        let mut observer = observe(Sockets::of(&[Table::Tcp]));
        assert_eq!(look(&mut observer).0.closed, 0);
        {
            let descriptors: Vec<_> = observer.descriptors().collect();
            set_socket_recv_buffer_size(descriptors[0], 1 << 16).expect("a socket");
        }
        let (is_over, made) = (AtomicBool::new(false), 6000);
        let (mut shown, mut lost) = (0, 0);
        thread::scope(|scope| {
            scope.spawn(|| {
                churn(&passive, made);
                is_over.store(true, Ordering::Relaxed);
            });
            let mut looks = 0_u64;
            while !is_over.load(Ordering::Relaxed) {
                let (frame, _) = look(&mut observer);
                (shown, lost, looks) = (shown + frame.closed, lost + frame.lost, looks + 1);
                thread::sleep(Duration::from_millis([0, 1, 5, 100][(looks % 4) as usize]));
            }
        });
        let (late, late_lost) = closings(&mut observer, (2 * made).saturating_sub(shown + lost));
        eprintln!("figures: churn: {} shown + {} lost of {}", shown + late, lost + late_lost, 2 * made);
        assert_eq!(shown + late + lost + late_lost, 2 * made);
    });
}

#[test]
fn sockets_of_tables_without_messages_are_closed_too() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    within(&namespace, || {
        let mut observer = observe(all(&[Table::Udp, Table::UnixStream]).states(StateSet::ALL));
        let before = look(&mut observer).0.sockets;
        let (one, _other) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let udp = UdpSocket::bind("127.0.0.1:0").expect("lo is up");
        let (frame, _) = look(&mut observer);
        assert_eq!((frame.opened, frame.sockets), (3, before + 3));
        drop((one, udp));
        let (mut gone, mut closed) = (0, 0);
        assert!(until(|| {
            let (frame, heard) = look(&mut observer);
            closed += frame.closed;
            gone += heard.gone.len();
            closed == 2
        }));
        assert_eq!(gone, 1, "the unix socket has no row any more");
    });
}

/// A filter on rates is applied to all sockets anew at each look.
#[test]
fn filters_test_rates() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    within(&namespace, || {
        let passive = listener();
        let connect = || {
            let active = TcpStream::connect(addr(&passive)).expect("loopback");
            (active, passive.accept().expect("it came").0)
        };
        let ((mut busy, busy_end), idle) = (connect(), connect());
        let mut observer =
            observe(Sockets::of(&[Table::Tcp]).filter("rate.bytes_sent_per_s > 1000 and share.app >= 0"));
        assert_eq!(look(&mut observer).0.sockets, 0, "nothing is known of them");
        busy.write_all(&[0; 10_000]).expect("loopback");
        thread::sleep(Duration::from_millis(100));
        let (frame, heard) = look(&mut observer);
        assert_eq!((frame.sockets, observer.remembered()), (1, 4));
        assert_eq!(heard.rows[0].local, busy.local_addr().ok());
        assert_eq!(look(&mut observer).0.sockets, 0, "it fell silent");
        drop((busy, busy_end, idle));
        let mut closed = 0;
        assert!(until(|| {
            closed += look(&mut observer).0.closed;
            observer.remembered() == 0
        }));
        assert!(closed <= 1, "one was shown, and others never");
        // A socket that passes the filter only at its end is shown then.
        let ended = "tcp.bytes_acked > 1000 and socket.ended = closed";
        let mut observer = observe(Sockets::of(&[Table::Tcp]).filter(ended));
        let (mut active, end) = connect();
        assert_eq!(look(&mut observer).0.sockets, 0);
        active.write_all(&[0; 2000]).expect("loopback");
        drop((end, active));
        let mut closed = Vec::new();
        assert!(until(|| {
            closed.extend(look(&mut observer).1.rows);
            observer.remembered() == 0
        }));
        assert!(closed.iter().all(|said| said.seen == Seen::Closed), "{closed:?}");
    });
}
