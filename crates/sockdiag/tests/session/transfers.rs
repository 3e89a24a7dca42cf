//! Compares the rates of transfers with the generator's own counts for the same time: over
//! loopback, and over a link of limited rate between two namespaces; with 1 to 200
//! connections, in both directions, and with a generator, a reader or a look that stalls.

#![allow(clippy::cast_precision_loss, reason = "small, known numbers; each cast is meant")]

use std::collections::HashMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rustix::net::connect_unspec;
use rustix::net::sockopt::set_socket_send_buffer_size;
use rustix::process::{Pid, Signal, kill_process};
use sockdiag::model::Window;
use sockdiag::{FrameSink, Observer, Row, Sockets, Table, Value};
use sockdiag_testkit::listener::Listener;
use sockdiag_testkit::netns::{Namespace, SECOND};
use sockdiag_testkit::until;

use super::{Holder, addr, all, listener, within};

/// The local and remote address of a socket.
type Ends = (SocketAddr, SocketAddr);
/// Bytes that each end has written and read.
type Counts = Vec<[u64; 2]>;

/// One end of a connection, and its byte counts.
struct End {
    stream: TcpStream,
    ends: Ends,
    sends: bool,
    written: AtomicU64,
    read: AtomicU64,
}

impl End {
    fn new(stream: TcpStream, sends: bool) -> Self {
        stream.set_nonblocking(true).expect("a socket");
        let ends = (stream.local_addr().expect("connected"), stream.peer_addr().expect("connected"));
        Self { stream, ends, sends, written: AtomicU64::new(0), read: AtomicU64::new(0) }
    }

    /// Writes a chunk, as far as there is room, and reads what is available.
    fn step(&self, chunk: &[u8], buffer: &mut [u8]) {
        let mut stream = &self.stream;
        let count = |counter: &AtomicU64, moved: usize| counter.fetch_add(moved as u64, Ordering::Relaxed);
        if self.sends {
            match stream.write(chunk) {
                Ok(written) => count(&self.written, written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                Err(error) => panic!("{error}"),
            };
        }
        while let Ok(read @ 1..) = stream.read(buffer) {
            count(&self.read, read);
        }
    }

    /// Bytes that were written and read so far.
    fn counts(&self) -> [u64; 2] {
        [&self.written, &self.read].map(|counter| counter.load(Ordering::Relaxed))
    }
}

/// Moves data on all ends until `is_over`.
fn drive(ends: &[End], chunk: usize, tick: Duration, is_over: &AtomicBool) {
    let (chunk, mut buffer) = (vec![7; chunk], vec![0; 1 << 16]);
    while !is_over.load(Ordering::Relaxed) {
        for end in ends {
            end.step(&chunk, &mut buffer);
        }
        thread::sleep(tick);
    }
}

/// The connecting and the accepting ends of this many connections to a listener; in turn
/// they send one way, the other way, and both ways.
fn ends(passive: &Listener, count: usize, connect: impl Fn() -> TcpStream) -> (Vec<End>, Vec<End>) {
    let pair = |number: usize| {
        let active = connect();
        let (accepted, _) = passive.accept().expect("it came");
        (End::new(active, number % 3 != 1), End::new(accepted, !number.is_multiple_of(3)))
    };
    (0..count).map(pair).unzip()
}

const VALUES: [&str; 6] = [
    "rate.bytes_sent_per_s",
    "rate.bytes_sent_per_s_error",
    "rate.bytes_received_per_s",
    "rate.bytes_received_per_s_error",
    "rate.bytes_acked_per_s",
    "tcp.bytes_retrans",
];

/// A sink that keeps the values of rows, with the seconds since the previous look, and
/// pauses at one row.
#[derive(Default)]
struct Heard {
    rows: Vec<(Ends, HashMap<&'static str, f64>)>,
    stall: Option<(usize, Duration)>,
}

impl FrameSink for Heard {
    type Error = std::convert::Infallible;

    fn row(&mut self, _: sockdiag::Seen, row: &Row<'_>) -> Result<(), Self::Error> {
        let value = |name| match row.value(name)? {
            Value::F64(number) => Some((name, number)),
            number => Some((name, number.as_i128()? as f64)),
        };
        let ends = (row.local().expect("connected"), row.remote().expect("connected"));
        if let Some((at, time)) = self.stall
            && at == self.rows.len()
        {
            thread::sleep(time);
        }
        let mut values: HashMap<_, _> = VALUES.into_iter().filter_map(value).collect();
        if let Some(past) = row.past
            && let Some(earlier) = past.earlier
        {
            let middle =
                |window: Window| f64::midpoint(window.begin_ns() as f64, window.end_ns() as f64) / 1e9;
            values.insert("seconds", middle(past.window) - middle(earlier.window));
        }
        self.rows.push((ends, values));
        Ok(())
    }
}

/// How a transfer is observed.
struct Plan {
    name: &'static str,
    looks: usize,
    pause: Duration,
    /// How many bytes the kernel's count may differ from the generator's: one counts
    /// before, the other after the bytes are in a buffer.
    slack: u64,
    /// The row at which a look pauses, and for how long, by the number of the look.
    stall: fn(usize) -> Option<(usize, Duration)>,
}

/// Makes looks at ends that move data; the rates must match the generator's.
fn measure(plan: &Plan, observer: &mut Observer, ends: &[&End]) {
    let numbers: HashMap<_, _> = ends.iter().enumerate().map(|(number, end)| (end.ends, number)).collect();
    let counts = || -> Counts { ends.iter().map(|end| end.counts()).collect() };
    let (mut sums, mut acked) = ([0.0; 2], 0.0);
    let (mut in_error, mut all_rates) = (0, 0);
    let mut begin = [Vec::new(), Vec::new()];
    let mut last: Option<(Window, Counts, Counts)> = None;
    let mut sent_again = HashMap::new();
    for look in 0..=plan.looks {
        let early = counts();
        let mut heard = Heard { stall: (plan.stall)(look), ..Heard::default() };
        let frame = observer.look(&mut heard).unwrap_or_else(|error| panic!("{error}"));
        let late = counts();
        assert!(frame.failures.is_empty() && heard.rows.len() == ends.len(), "{}: {frame:?}", plan.name);
        let Some((before, early_before, late_before)) = last else {
            begin = [early.clone(), late.clone()];
            sent_again.extend(heard.rows.iter().map(|(ends, values)| (*ends, values["tcp.bytes_retrans"])));
            last = Some((frame.window, early, late));
            thread::sleep(plan.pause);
            continue;
        };
        // Each of the two looks read the counter at some moment of its window.
        let most_seconds = (frame.window.end_ns() - before.begin_ns()) as f64 / 1e9;
        let least_seconds = frame.window.begin_ns().saturating_sub(before.end_ns()).max(1) as f64 / 1e9;
        for (ends, values) in &heard.rows {
            let at = numbers[ends];
            let sides = [VALUES[0], VALUES[2]].into_iter().zip([VALUES[1], VALUES[3]]).enumerate();
            for (side, (name, name_of_error)) in sides {
                let (rate, error) = (values[name], values[name_of_error]);
                assert!(rate >= 0.0 && error >= 0.0 && rate < 1e11, "{}: {ends:?} {values:?}", plan.name);
                sums[side] += rate * values["seconds"];
                let least = early[at][side].saturating_sub(late_before[at][side] + plan.slack) as f64;
                let most = (late[at][side] + plan.slack - early_before[at][side]) as f64;
                let is_within = rate + error >= least / most_seconds && rate - error <= most / least_seconds;
                in_error += u64::from(is_within);
                all_rates += 1;
            }
            acked += values["rate.bytes_acked_per_s"] * values["seconds"];
            if look == plan.looks {
                let again = values["tcp.bytes_retrans"] - sent_again[ends];
                sums[0] -= again;
            }
        }
        last = Some((frame.window, early, late));
        if look < plan.looks {
            thread::sleep(plan.pause);
        }
    }
    // The bytes moved between the middle of the first look and of the last one, and the
    // bytes moved during those looks, which are uncertain.
    let (_, early, late) = last.expect("looks were made");
    let sum = |counts: &[[u64; 2]], side: usize| counts.iter().map(|count| count[side]).sum::<u64>() as f64;
    let [made, open] = [f64::midpoint, |early: f64, late: f64| (late - early) / 2.0].map(|of| {
        [0, 1].map(|side| {
            [of(sum(&begin[0], side), sum(&begin[1], side)), of(sum(&early, side), sum(&late, side))]
        })
    });
    let made = made.map(|[begin, end]| end - begin);
    let open = open.map(|[begin, end]| begin + end);
    eprintln!(
        "figures: rates: {}: sent {:.0} of {:.0} bytes, received {:.0} of {:.0}, acknowledged {acked:.0}; \
         {in_error} of {all_rates} within their error",
        plan.name, sums[0], made[0], sums[1], made[1]
    );
    for (sum, side, what) in [(sums[0], 0, "sent"), (sums[1], 1, "received"), (acked, 1, "acknowledged")] {
        let most = 0.02 * made[side] + open[side];
        assert!((sum - made[side]).abs() < most, "{}: {what} {sum} of {}", plan.name, made[side]);
    }
    assert!(in_error * 100 >= all_rates * 95, "{}: {in_error} of {all_rates}", plan.name);
}

fn observe(sockets: Sockets, port: u16) -> Observer {
    let sockets = sockets.filter(format!("sport = {port} or dport = {port}"));
    let session = sockets.states(sockdiag::StateSet::only(sockdiag::State::Established));
    Observer::new(session.reading(VALUES).open().expect("a question"))
}

/// Transfers over loopback; one thread generates all of them.
fn over_loopback(plan: &Plan, count: usize, chunk: usize) {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    within(&namespace, || {
        let passive = listener();
        let (active, accepted) =
            ends(&passive, count, || TcpStream::connect(addr(&passive)).expect("loopback"));
        let both: Vec<End> = active.into_iter().chain(accepted).collect();
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let (both, is_over) = (&both, &is_over);
            scope.spawn(move || drive(both, chunk, Duration::from_millis(10), is_over));
            let _over = Over(is_over);
            thread::sleep(Duration::from_millis(100));
            let mut observer = observe(Sockets::of(&[Table::Tcp]), addr(&passive).port());
            measure(plan, &mut observer, &both.iter().collect::<Vec<_>>());
        });
    });
}

/// Stops a generator, even if the test fails.
struct Over<'o>(&'o AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Transfers in both directions between two namespaces, over a link of 20 Mbit/s.
fn over_a_slow_link(plan: &Plan) {
    let (Some((one, first)), Some((other, second))) = (Namespace::to_look_into(), Namespace::to_look_into())
    else {
        return;
    };
    let address = |last| IpAddr::V4(Ipv4Addr::new(198, 51, 100, last));
    if let Err(why) = one.connect(&other, SECOND + 7, "slow0", [address(1), address(2)]) {
        sockdiag_testkit::skip::report(why);
        return;
    }
    for namespace in [&one, &other] {
        if let Err(why) = namespace.limit(SECOND + 7, 2_500_000) {
            sockdiag_testkit::skip::report(why);
            return;
        }
    }
    let passive = within(&other, || Listener::bind((address(2), 0)).expect("its address"));
    let small = |stream: &TcpStream| set_socket_send_buffer_size(stream, 1 << 14).expect("a socket");
    let (active, accepted) = within(&one, || {
        ends(&passive, 6, || {
            let stream = TcpStream::connect(addr(&passive)).expect("they are connected");
            small(&stream);
            stream
        })
    });
    for end in &accepted {
        small(&end.stream);
    }
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let is_over = &is_over;
        for ends in [&active, &accepted] {
            scope.spawn(move || drive(ends, 1 << 16, Duration::from_millis(2), is_over));
        }
        let _over = Over(is_over);
        thread::sleep(Duration::from_millis(500));
        let sockets = Sockets::of(&[Table::Tcp]).netns(format!("{first},{second}"));
        let mut observer = observe(sockets, addr(&passive).port());
        measure(plan, &mut observer, &active.iter().chain(&accepted).collect::<Vec<_>>());
    });
}

/// The sums of rates times seconds, over ten seconds, equal the generators' counts; each
/// rate is within its error.
#[test]
fn rates_are_those_of_the_generator() {
    let plan =
        |name, slack| Plan { name, looks: 20, pause: Duration::from_millis(500), slack, stall: |_| None };
    thread::scope(|scope| {
        scope.spawn(|| over_loopback(&plan("1 connection", 100_000), 1, 100_000));
        scope.spawn(|| over_loopback(&plan("20 connections", 20_000), 20, 20_000));
        scope.spawn(|| over_loopback(&plan("200 connections", 1000), 200, 1000));
        scope.spawn(|| {
            over_a_slow_link(&Plan {
                looks: 10,
                pause: Duration::from_secs(1),
                // The content of a send buffer of this size, and data in flight.
                ..plan("a link of 20 Mbit/s", 1 << 17)
            });
        });
    });
}

/// Rows after a stall are read later than those before it, and late looks are further
/// apart; neither makes a rate wrong.
#[test]
fn a_look_that_stalls_makes_no_wrong_rate() {
    let plan = Plan {
        name: "looks that stall",
        looks: 8,
        pause: Duration::from_millis(250),
        slack: 1000,
        stall: |look| match look {
            2 => Some((90, Duration::from_millis(700))),
            4 => Some((0, Duration::from_millis(400))),
            6 => Some((399, Duration::from_millis(1200))),
            _ => None,
        },
    };
    over_loopback(&plan, 200, 1000);
}

/// A stopped generator has rate zero, and no byte is counted twice or lost when it goes on.
#[test]
fn a_generator_that_is_suspended_has_no_rate() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    within(&namespace, || {
        let passive = listener();
        let active = TcpStream::connect(addr(&passive)).expect("loopback");
        let end = End::new(passive.accept().expect("it came").0, false);
        let script = "read x; while :; do head -c 50000 /dev/zero; sleep 0.02; done";
        let mut generator = Holder::start(active, script);
        let pid = Pid::from_raw(generator.pid()).expect("a process");
        let mut observer = observe(all(&[Table::Tcp]), addr(&passive).port());
        generator.go_on();
        let (mut phases, mut sum, mut last) = (Vec::new(), 0.0, None);
        let mut buffer = vec![0; 1 << 16];
        for look in 0..12 {
            match look {
                4 => kill_process(pid, Signal::STOP).expect("it is ours"),
                8 => kill_process(pid, Signal::CONT).expect("it is ours"),
                _ => {}
            }
            for _ in 0..20 {
                end.step(&[], &mut buffer);
                thread::sleep(Duration::from_millis(10));
            }
            let mut heard = Heard::default();
            let _ = observer.look(&mut heard).unwrap_or_else(|error| panic!("{error}"));
            end.step(&[], &mut buffer);
            let [_, read] = end.counts();
            let Some(before) = last.replace(read) else { continue };
            let (_, values) = heard.rows.iter().find(|(ends, _)| *ends == end.ends).expect("it is there");
            let rate = values["rate.bytes_received_per_s"];
            assert!((0.0..1e9).contains(&rate), "{rate}");
            sum += rate * values["seconds"];
            phases.push((rate, read - before));
        }
        let made: u64 = phases.iter().map(|(_, read)| read).sum();
        eprintln!("figures: rates: suspended: {sum:.0} of {made} bytes; {phases:?}");
        // It was stopped before the fourth of these; a write in progress may still
        // complete.
        for (rate, read) in &phases[5..7] {
            assert!(*rate == 0.0 && *read == 0, "{phases:?}");
        }
        for moving in [&phases[..3], &phases[8..]] {
            assert!(moving.iter().any(|(rate, _)| *rate > 0.0), "{phases:?}");
        }
        // A chunk may arrive between the generator's count and a look.
        assert!((sum - made as f64).abs() < 0.02 * made as f64 + 100_000.0, "{sum} of {made}");
        let _ = kill_process(pid, Signal::KILL);
    });
}

/// A socket that is disconnected and connected again keeps its cookie but counts from zero:
/// that look has no rate, and the next has the new connection's.
#[test]
fn a_counter_that_starts_anew_gives_no_rate() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    within(&namespace, || {
        let passive = listener();
        let mut active = TcpStream::connect(addr(&passive)).expect("loopback");
        let (mut end, _) = passive.accept().expect("it came");
        let port = addr(&passive).port();
        let sockets = Sockets::of(&[Table::Tcp]).filter(format!("dport = {port}"));
        let mut observer = Observer::new(sockets.reading(VALUES).open().expect("a question"));
        let mut rate = || {
            let mut heard = Heard::default();
            let _ = observer.look(&mut heard).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(heard.rows.len(), 1);
            heard.rows[0].1.get("rate.bytes_sent_per_s").copied()
        };
        let transfer = |active: &mut TcpStream, end: &mut TcpStream, bytes: usize| {
            active.write_all(&vec![1; bytes]).expect("loopback");
            end.read_exact(&mut vec![0; bytes]).expect("loopback");
            thread::sleep(Duration::from_millis(50));
        };
        assert_eq!(rate(), None, "the first look");
        transfer(&mut active, &mut end, 200_000);
        assert!(rate().is_some_and(|rate| rate > 0.0));
        connect_unspec(&active).expect("it is disconnected");
        rustix::net::connect(&active, &addr(&passive)).expect("it is connected again");
        let (mut end, _) = passive.accept().expect("it came");
        transfer(&mut active, &mut end, 300);
        assert_eq!(rate(), None, "it counts from zero");
        transfer(&mut active, &mut end, 5000);
        assert!(rate().is_some_and(|rate| rate > 0.0 && rate <= 5000.0 / 0.05));
        assert!(until(|| rate() == Some(0.0)), "and rests");
    });
}
