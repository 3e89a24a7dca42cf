//! Looks that skip unchanged sockets: every field of a skipped socket equals the value in a
//! full dump.
//!
//! Sockets are used at random all the time.  Dumps before and after a look show which
//! fields of a socket did not change meanwhile; those are compared with the values last
//! reported for the socket.
//!
//! `SOCKDIAG_ACTIVITY_SECONDS` sets the duration (3).

#![allow(clippy::cast_precision_loss, reason = "small, known numbers; each cast is meant")]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::net::sockopt;
use sockdiag::fields::{Catalog, Needs};
use sockdiag::observer::{Gone, Unless};
use sockdiag::source::{Sources, Way};
use sockdiag::{Frame, FrameSink, Observer, Row, Seen, Sockets, StateSet, Table};
use sockdiag_testkit::listener::Listener;
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::{skip, until};

use super::stay::names;
use super::{addr, listener, within};

/// Connections at the beginning, each with two sockets.
const CONNECTIONS: usize = 500;

fn observer(way: Way, names: &[&'static str], states: StateSet) -> Observer {
    let sources = Sources { way, ..Sources::default() };
    let question = Sockets::of(&[Table::Tcp]).states(states).reading(names.iter().copied()).sources(sources);
    Observer::new(question.open().expect("a question"))
}

fn needs(names: &[&'static str]) -> Needs {
    let catalog = Catalog::shared();
    names.iter().fold(Needs::NONE, |needs, name| needs.union(catalog.needs_of(name)))
}

/// Whether a field comes from the kernel's reply alone.  State of a congestion control is
/// left out: a socket that has any is never skipped.
fn is_of_the_kernel(name: &str) -> bool {
    let told = [
        Needs::MEMINFO,
        Needs::INFO,
        Needs::CONG,
        Needs::TOS,
        Needs::TCLASS,
        Needs::SKMEMINFO,
        Needs::NET_ADMIN,
        Needs::SERVICES,
        Needs::PARTS,
        Needs::CLOCK,
    ];
    let needs = told.into_iter().fold(Catalog::shared().needs_of(name), Needs::minus);
    needs == Needs::NONE
}

/// Fields whose value changes with time alone.
fn is_clock(name: &str) -> bool {
    Catalog::shared().needs_of(name).has(Needs::CLOCK)
}

/// The reported values of sockets, by cookie.
type Told = HashMap<u64, BTreeMap<&'static str, String>>;

/// The results of a look.
struct Heard<'n> {
    names: &'n [&'static str],
    there: Told,
    ended: Vec<u64>,
    /// Whether the reported sockets are enough.
    enough: bool,
}

impl FrameSink for Heard<'_> {
    type Error = std::convert::Infallible;

    fn row(&mut self, seen: Seen, row: &Row<'_>) -> Result<(), Self::Error> {
        let Some(cookie) = row.cookie() else { return Ok(()) };
        match seen {
            // It has the cookie of the connection that it remains of.
            Seen::TimeWait => {}
            Seen::Closed => self.ended.push(cookie),
            _ => {
                let facts =
                    self.names.iter().filter_map(|name| Some((*name, format!("{:?}", row.value(name)?))));
                // A socket that connects after it was bound may be found in both tables.
                self.there.insert(cookie, facts.collect());
            }
        }
        Ok(())
    }

    fn gone(&mut self, gone: &Gone) -> Result<(), Self::Error> {
        self.ended.push(gone.cookie);
        Ok(())
    }

    fn is_enough(&mut self) -> bool {
        self.enough
    }
}

fn look<'n>(observer: &mut Observer, names: &'n [&'static str]) -> (Frame, Heard<'n>) {
    look_for(observer, names, true)
}

fn look_for<'n>(observer: &mut Observer, names: &'n [&'static str], enough: bool) -> (Frame, Heard<'n>) {
    let mut heard = Heard { names, there: Told::new(), ended: Vec::new(), enough };
    let frame = observer.look(&mut heard).unwrap_or_else(|error| panic!("{error}"));
    assert!(frame.failures.is_empty(), "{frame:?}");
    (frame, heard)
}

/// Connections that the test uses.
struct Used {
    listeners: Vec<Listener>,
    addresses: Vec<SocketAddr>,
    pairs: Vec<[TcpStream; 2]>,
}

impl Used {
    fn new(connections: usize) -> Self {
        let listeners = vec![listener(), Listener::bind("[::1]:0").expect("loopback")];
        let addresses = listeners.iter().map(addr).collect();
        let mut used = Self { listeners, addresses, pairs: Vec::new() };
        (0..connections).for_each(|number| used.connect(number));
        used
    }

    fn connect(&mut self, number: usize) {
        let at = number % self.listeners.len();
        let active = TcpStream::connect(self.addresses[at]).expect("loopback");
        let passive = self.listeners[at].accept().expect("it came").0;
        for end in [&active, &passive] {
            end.set_nonblocking(true).expect("a socket");
        }
        self.pairs.push([active, passive]);
    }

    /// Does one random thing with one of them; failures are ignored.
    fn use_one(&mut self, random: &mut fastrand::Rng) {
        let number = random.usize(..self.pairs.len());
        let side = random.usize(..2);
        let end = &mut self.pairs[number][side];
        match random.u32(..100) {
            0..30 => drop(end.write(&vec![7; random.usize(1..3000)])),
            // The queue gets shorter without a packet.
            30..60 => drop(end.read(&mut vec![0; random.usize(1..2000)])),
            60..64 => drop(end.set_nodelay(random.bool())),
            64..68 => {
                let _ = sockopt::set_ip_tos(end.as_fd(), random.u8(..) & 0xfc);
            }
            68..72 => {
                let _ = sockopt::set_socket_keepalive(end.as_fd(), random.bool());
            }
            72..75 => {
                let _ = sockopt::set_socket_recv_buffer_size(end.as_fd(), random.usize(5000..90_000));
            }
            75..78 => {
                let _ = sockopt::set_socket_send_buffer_size(end.as_fd(), random.usize(5000..90_000));
            }
            78..80 => drop(end.shutdown(Shutdown::Write)),
            80..82 => drop(end.shutdown(Shutdown::Read)),
            82..84 => {
                let name = ["cubic", "reno", "bbr"][random.usize(..3)];
                let _ = sockopt::set_tcp_congestion(end.as_fd(), name);
            }
            84..92 => {
                self.pairs.swap_remove(number);
                self.connect(random.usize(..2));
            }
            _ => {
                // Writes enough to fill the peer's receive window.
                while end.write(&[7; 10_000]).is_ok_and(|written| written > 0) && random.u32(..4) > 0 {}
            }
        }
    }
}

/// Uses sockets at random while `work` runs.
fn while_used<T>(used: &mut Used, per_s: u64, work: impl FnOnce(&AtomicUsize) -> T) -> T {
    /// Stops the use of sockets even if `work` panics.
    struct End<'e>(&'e AtomicBool);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let (ends, things) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let _end = End(&ends);
        scope.spawn(|| {
            let mut random = fastrand::Rng::with_seed(9);
            while !ends.load(Ordering::Relaxed) {
                used.use_one(&mut random);
                things.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_micros(1_000_000 / per_s));
            }
        });
        work(&things)
    })
}

#[test]
fn of_sockets_that_are_passed_over_every_field_is_what_a_dump_says() {
    let names: Vec<&str> = names().into_iter().filter(|name| is_of_the_kernel(name)).collect();
    assert!(names.len() > 100, "{names:?}");
    compare(&names);
}

/// With few watched words, a change in one is not hidden by another.
#[test]
fn queues_that_move_without_packets_are_a_change() {
    compare(&["recv_q", "send_q", "state"]);
}

fn compare(names: &[&'static str]) {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    let seconds = std::env::var("SOCKDIAG_ACTIVITY_SECONDS").ok().and_then(|text| text.parse().ok());
    let time = Duration::from_secs(seconds.unwrap_or(3));
    within(&namespace, || {
        let mut used = Used::new(CONNECTIONS);
        let states = StateSet::ALL;
        let [mut active, mut dumps] = [Way::Walk, Way::Netlink].map(|way| observer(way, names, states));
        active.pass_over(Some(Unless::Fields(needs(names))));
        let begin = Instant::now();
        let (mut kept, mut wrong) = (Told::new(), Vec::new());
        let (mut looks, mut compared, mut passed, mut checks) = (0_u64, 0_u64, 0_u64, 0_u64);
        let things = while_used(&mut used, 150, |things| {
            while begin.elapsed() < time || looks < 8 {
                let (_, before) = look(&mut dumps, names);
                let (frame, seen) = look(&mut active, names);
                let (_, after) = look(&mut dumps, names);
                looks += 1;
                passed += frame.passed_over;
                checks += u64::from(frame.checked);
                assert_eq!(frame.missed, 0, "{frame:?}");
                let told: HashSet<u64> = seen.there.keys().copied().collect();
                kept.retain(|cookie, _| !seen.ended.contains(cookie));
                kept.extend(seen.there);
                for (cookie, first) in before.there.iter().filter(|(cookie, _)| !told.contains(cookie)) {
                    let Some(last) = after.there.get(cookie) else { continue };
                    let Some(facts) = kept.get(cookie) else {
                        // A bound socket that is not connected is reported later.
                        if !first.get("state").is_some_and(|state| state.contains("UNCONN")) {
                            wrong.push(format!("{cookie} was never told of: {first:?}"));
                        }
                        continue;
                    };
                    for (name, value) in first.iter().filter(|(name, _)| !is_clock(name)) {
                        if last.get(name) == Some(value) {
                            compared += 1;
                            if facts.get(name) != Some(value) {
                                let told = facts.get(name);
                                wrong.push(format!(
                                    "{cookie}: {name} is {value}, was {told:?} when told of, look {looks}"
                                ));
                            }
                        }
                    }
                }
                assert!(wrong.len() < 20, "{}", wrong.join("\n"));
            }
            things.load(Ordering::Relaxed)
        });
        println!(
            "{things} things in {looks} looks: {passed} sockets passed over, {compared} fields compared, {checks} checks, {} wrong",
            wrong.len()
        );
        if passed == 0 {
            skip!("no walk here");
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(looks > 3 && compared > 1_000, "{looks} looks, {compared} compared");
    });
}

/// The numbers of sockets, of opened and of closed ones equal those of looks that skip
/// nothing.
#[test]
fn what_is_counted_is_what_full_looks_count() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    within(&namespace, || {
        let names = ["rate.bytes_sent_per_s", "state"];
        let mut used = Used::new(100);
        let [mut active, mut full] = [Way::Walk, Way::Walk].map(|way| observer(way, &names, StateSet::CONN));
        active.pass_over(Some(Unless::Counters));
        let mut sums = [[0_u64; 2]; 2];
        let mut passed = 0;
        let mut both = |used: &mut Used, things: u64, random: &mut fastrand::Rng| {
            (0..things).for_each(|_| used.use_one(random));
            for (observer, sum) in [&mut active, &mut full].into_iter().zip(&mut sums) {
                let (frame, facts) = look(observer, &names);
                passed += frame.passed_over;
                if frame.before.is_some() {
                    *sum = [sum[0] + frame.opened + frame.brief, sum[1] + frame.closed];
                }
                let told = facts.there.len() as u64;
                assert!(frame.passed_over > 0 || frame.sockets == told, "{frame:?}");
                assert!(frame.sockets <= told + frame.passed_over, "{frame:?}");
            }
            sums
        };
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..60 {
            both(&mut used, 20, &mut random);
        }
        // Until closing connections have ended.
        let mut last = Default::default();
        assert!(
            until(|| {
                last = both(&mut used, 0, &mut random);
                last[0] == last[1]
            }),
            "{last:?}"
        );
        let sockets = [&mut active, &mut full].map(|observer| look(observer, &names).0.sockets);
        assert_eq!(sockets[0], sockets[1]);
        println!("{last:?} opened and closed, {sockets:?} sockets, {passed} passed over");
        if passed == 0 {
            skip!("no walk here");
        }
    });
}

/// If the changed sockets are not enough, the rest follows; each socket is reported once,
/// and the rates of the first ones are since the previous look.
#[test]
fn the_rest_follows_where_what_changed_is_not_enough() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    within(&namespace, || {
        let names = ["rate.bytes_sent_per_s", "tcp.bytes_sent"];
        let mut used = Used::new(50);
        let mut observer = observer(Way::Walk, &names, StateSet::CONN);
        observer.pass_over(Some(Unless::Counters));
        let mut completed = 0;
        for number in 0..12 {
            std::thread::sleep(Duration::from_millis(50));
            let [one, _] = &mut used.pairs[number];
            let sent = one.write(&[7; 10_000]).expect("it is open") as f64;
            let is_enough = number % 3 != 0;
            let (frame, heard) = look_for(&mut observer, &names, is_enough);
            let told = heard.there.len() as u64;
            if number > 3 && is_enough && number % 3 == 2 {
                assert!(frame.passed_over > 80 && told + frame.passed_over == frame.sockets, "{frame:?}");
            }
            if !is_enough {
                assert_eq!((told, frame.passed_over, frame.sockets), (100, 0, 100), "{frame:?}");
                completed += u64::from(number > 3);
            }
            // In earlier looks programs are loaded, which takes most of the time between
            // two looks.
            let Some(before) = frame.before.filter(|_| number > 3) else { continue };
            let seconds = (frame.window.begin_ns() - before.begin_ns()) as f64 / 1e9;
            let rates = heard.there.values().filter_map(|facts| {
                facts.get(names[0])?.strip_prefix("F64(")?.trim_end_matches(')').parse::<f64>().ok()
            });
            let largest = rates.fold(0.0, f64::max) * seconds;
            assert!(largest > sent * 0.3 && largest < sent * 3.0, "{largest} of {sent} bytes, look {number}");
        }
        println!("{completed} looks were completed");
    });
}
