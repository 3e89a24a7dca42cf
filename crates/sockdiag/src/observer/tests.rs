//! Looks at made-up sockets without a kernel: which are opened, closed and changed, and
//! with which rates.

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]

use sockdiag_wire::attr::put;
use sockdiag_wire::inet_diag::INET_DIAG_INFO;
use sockdiag_wire::socket::{TCP_ESTABLISHED, TCP_FIN_WAIT1, TCP_SYN_RECV, TCP_TIME_WAIT};

use super::memory::{Look, Memory, Places};
use super::{FrameSink, Gone, Seen};
use crate::fields::{Catalog, Choice, Needs};
use crate::filter::EvalContext;
use crate::model::{Origin, Record, Row, Socket, SourceKind, StateSet, Table, TableSet, Window};
use crate::notice::Notice;
use crate::session::{Course, Session, Test, Told};
use crate::sink::Sink as _;
use crate::{Sockets, Value};

const SECOND: u64 = 1_000_000_000;

/// A made-up socket: cookie, state, segments and bytes sent.
#[derive(Clone, Copy)]
struct Made {
    cookie: u64,
    state: u8,
    timer: u8,
    segs_out: u32,
    acked: u64,
}

fn made(cookie: u64, segs_out: u32, acked: u64) -> Made {
    Made { cookie, state: TCP_ESTABLISHED, timer: 0, segs_out, acked }
}

impl Made {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; 72];
        bytes[..4].copy_from_slice(&[2, self.state, self.timer, 0]);
        bytes[4..6].copy_from_slice(&(self.cookie as u16).to_be_bytes());
        // The remote port.
        bytes[7] = 80;
        bytes[44..52].copy_from_slice(&self.cookie.to_ne_bytes());
        if self.timer != 3 {
            let mut info = vec![0; 280];
            info[120..128].copy_from_slice(&self.acked.to_ne_bytes());
            info[136..140].copy_from_slice(&self.segs_out.to_ne_bytes());
            put(&mut bytes, INET_DIAG_INFO, &info);
        }
        bytes
    }
}

/// What a look reported about a socket: cookie, kind, and both rates.
type Said = (u64, &'static str, Option<f64>, Option<f64>);

#[derive(Default)]
struct Heard(Vec<Said>);

impl FrameSink for Heard {
    type Error = &'static str;

    fn row(&mut self, seen: Seen, row: &Row<'_>) -> Result<(), Self::Error> {
        let name = match seen {
            Seen::Opened => "opened",
            Seen::Known => "known",
            Seen::Changed(changes) if changes.fields != 0 => "changed field",
            Seen::Changed(_) => "changed state",
            Seen::Closed => "closed",
            Seen::TimeWait => "time-wait",
            Seen::Untracked => "untracked",
        };
        let rate = |name| match row.value(name) {
            Some(Value::F64(rate)) => Some(rate.round()),
            _ => None,
        };
        let both = (rate("rate.segs_out_per_s"), rate("rate.bytes_acked_per_s"));
        self.0.push((row.socket.cookie, name, both.0, both.1));
        if row.socket.cookie == 666 { Err("full") } else { Ok(()) }
    }

    fn gone(&mut self, gone: &Gone) -> Result<(), Self::Error> {
        self.0.push((gone.cookie, "gone", None, None));
        Ok(())
    }
}

/// An observer for which the test plays the kernel.
struct World {
    memory: Memory,
    session: Session,
    at: u64,
    course: Course,
    /// By how much the clock advances before the next look.
    step: u64,
}

impl World {
    fn new(watched: &[&str]) -> Self {
        let choice = |name: &&str| Choice::new(Catalog::shared(), name).expect("a field");
        let rates = ["rate.segs_out_per_s", "rate.bytes_acked_per_s"];
        let needs = rates.iter().map(choice).fold(Needs::NONE, |needs, choice| needs.union(choice.needs()));
        let watched = watched.iter().map(choice).collect();
        Self {
            memory: Memory::new(needs, watched, StateSet::CONN, StateSet::EMPTY),
            session: Sockets::of(&[Table::Tcp]).open().expect("a question"),
            at: 10 * SECOND,
            course: Course { visited: vec![0], failed: Vec::new() },
            step: SECOND,
        }
    }

    fn record(made: &[u8], kind: SourceKind, at: u64) -> Record<'_> {
        let window = Some(Window::new(at, at + 1000));
        Record { origin: Origin { window, ..Origin::of(Table::Tcp, kind) }, bytes: made }
    }

    /// Makes a look: sockets that ended, the number of lost reports, then the open sockets.
    fn look(&mut self, ended: &[Made], lost: u32, there: &[Made]) -> Result<Vec<Said>, &'static str> {
        self.look_with(ended, lost, there, None)
    }

    fn look_with(
        &mut self,
        ended: &[Made],
        lost: u32,
        there: &[Made],
        notice: Option<Notice>,
    ) -> Result<Vec<Said>, &'static str> {
        self.at += self.step;
        let mut heard = Heard::default();
        let (memory, session) = (&mut self.memory, &mut self.session);
        let context = EvalContext { ports: (0, 0) };
        memory.tests = vec![Test { netns: 0, filter: None, context }];
        memory.begin();
        memory.leave();
        let begin = Window::new(self.at, self.at);
        for made in ended {
            let bytes = Made { state: 7, ..*made }.bytes();
            let told = Told::Ended(Self::record(&bytes, SourceKind::Event, self.at));
            memory.told(session, 0, 0, told, begin, &mut heard)?;
        }
        if lost > 0 {
            memory.told(session, 0, 0, Told::Lost(lost), begin, &mut heard)?;
        }
        memory.begin_poll();
        memory.leave();
        let mut look = Look { memory, sink: &mut heard };
        let _ = notice.map(|notice| look.notice(notice));
        for made in there {
            let bytes = made.bytes();
            let record = Self::record(&bytes, SourceKind::Kernel, self.at + SECOND / 100);
            let socket = Socket::decode(record).expect("a socket");
            if let Err(error) = look.row(&Row::bare(&socket)) {
                memory.give_up();
                return Err(error);
            }
        }
        let window = Window::new(self.at, self.at + SECOND / 50);
        memory.sweep(&self.course, TableSet::only(Table::Tcp), window, &mut heard)?;
        memory.latest = Some(window);
        heard.0.sort_by_key(|said| said.0);
        Ok(heard.0)
    }

    fn names(&mut self, ended: &[Made], lost: u32, there: &[Made]) -> Vec<(u64, &'static str)> {
        let said = self.look(ended, lost, there).expect("it is taken");
        said.into_iter().map(|(cookie, name, ..)| (cookie, name)).collect()
    }
}

#[test]
fn rates_begin_with_the_second_look_and_with_an_opening() {
    let mut world = World::new(&[]);
    assert_eq!(world.look(&[], 0, &[made(1, 100, 5000)]), Ok(vec![(1, "known", None, None)]));
    let said = world.look(&[], 0, &[made(1, 350, 9000), made(2, 50, 700)]);
    let opened = (2, "opened", Some(50.0), Some(700.0));
    let Ok([known, new]) = said.as_deref() else { panic!("{said:?}") };
    assert_eq!(*known, (1, "known", Some(250.0), Some(4000.0)));
    assert_eq!((new.0, new.1), (opened.0, opened.1));
    // It may have opened at any time during the previous look, which took 20 ms.
    assert!(new.2.is_some_and(|rate| (rate - 50.0).abs() <= 2.0), "{new:?}");
    assert_eq!(world.memory.known.len(), 2);
}

#[test]
fn counters_wrap_and_start_anew() {
    let mut world = World::new(&[]);
    let _ = world.look(&[], 0, &[made(1, u32::MAX - 9, 1 << 40), made(2, 5000, 1 << 40)]);
    // The counter of the first wrapped; the second was disconnected and then connected
    // again.
    let said = world.look(&[], 0, &[made(1, 90, (1 << 40) + 7), made(2, 30, 1000)]);
    assert_eq!(said, Ok(vec![(1, "known", Some(100.0), Some(7.0)), (2, "known", None, None)]));
    let said = world.look(&[], 0, &[made(1, 90, (1 << 40) + 7), made(2, 130, 3000)]);
    assert_eq!(said, Ok(vec![(1, "known", Some(0.0), Some(0.0)), (2, "known", Some(100.0), Some(2000.0))]));
    // The next look is late: the process was suspended for an hour.
    world.step = 3600 * SECOND;
    let said = world.look(&[], 0, &[made(1, 3690, (1 << 40) + 7), made(2, 130, 3000)]);
    assert_eq!(said, Ok(vec![(1, "known", Some(1.0), Some(0.0)), (2, "known", Some(0.0), Some(0.0))]));
    // The clock stands still: no rates.
    world.step = 0;
    let said = world.look(&[], 0, &[made(1, 3691, (1 << 40) + 8), made(2, 131, 3001)]);
    assert_eq!(said, Ok(vec![(1, "known", None, None), (2, "known", None, None)]));
}

#[test]
fn an_end_has_the_last_counters() {
    let mut world = World::new(&[]);
    world.memory.told = vec![0];
    let _ = world.look(&[], 0, &[made(1, 10, 1000), made(2, 10, 1000)]);
    let said = world.look(&[made(1, 40, 9000), made(3, 7, 300)], 0, &[made(2, 10, 1000)]);
    let Ok([first, second, third]) = said.as_deref() else { panic!("{said:?}") };
    assert_eq!((first.0, first.1, second.1, third.1), (1, "closed", "known", "closed"));
    // From the dump of the previous look to the beginning of this one.
    assert!(first.3.is_some_and(|rate| (rate - 8081.0).abs() < 1.0), "{first:?}");
    assert!(third.3.is_some_and(|rate| (rate - 303.0).abs() < 1.0), "it was nothing before: {third:?}");
    assert_eq!(world.names(&[], 0, &[made(2, 10, 1000)]), [(2, "known")]);
    assert_eq!((world.memory.count.closed, world.memory.known.len()), (0, 1));
}

/// If the kernel reports ends, a socket that is missing without a report no longer matches.
#[test]
fn what_is_missing_is_closed_where_nobody_tells_of_ends() {
    let (both, one) = ([made(1, 1, 1), made(2, 1, 1)], [made(2, 1, 1)]);
    let mut untold = World::new(&[]);
    untold.names(&[], 0, &both);
    assert_eq!(untold.names(&[], 0, &one), [(1, "gone"), (2, "known")]);
    assert_eq!(untold.names(&[], 0, &one), [(2, "known")]);
    let mut told = World::new(&[]);
    told.memory.told = vec![0];
    told.names(&[], 0, &both);
    for second in 0..12 {
        assert_eq!(told.memory.known.len(), if second < 11 { 2 } else { 1 }, "second {second}");
        assert_eq!(told.names(&[], 0, &one), [(2, "known")]);
    }
    assert_eq!((told.memory.known.len(), told.memory.count.closed), (1, 0), "it was forgotten");
    // Socket 1 comes back: it was forgotten, so it counts as opened.
    assert_eq!(told.names(&[], 0, &both), [(1, "opened"), (2, "known")]);
    // Its report comes only after the look that missed it.
    assert_eq!(told.names(&[], 0, &one), [(2, "known")]);
    assert_eq!(told.names(&[made(1, 5, 5)], 0, &one), [(1, "closed"), (2, "known")]);
}

/// The shown and the lost ones add up to all that ended, even if reports come late.
#[test]
fn lost_ends_are_counted_once() {
    let mut world = World::new(&[]);
    world.memory.told = vec![0];
    let all: Vec<Made> = (1..=5).map(|cookie| made(cookie, 1, 1)).collect();
    world.names(&[], 0, &all);
    // Sockets 1 to 3 ended, and four reports were lost.  Number 3's report is only late, so
    // two of the lost ones were about connections that no look saw.
    assert_eq!(
        world.names(&[], 4, &all[3..]),
        [(1, "gone"), (2, "gone"), (3, "gone"), (4, "known"), (5, "known")]
    );
    assert_eq!((world.memory.count.closed, world.memory.count.lost()), (3, 1));
    assert_eq!(world.names(&[all[2]], 0, &all[3..]), [(4, "known"), (5, "known")]);
    assert_eq!((world.memory.count.closed, world.memory.count.lost()), (0, 1));
    assert_eq!(world.names(&[], 0, &all[3..]), [(4, "known"), (5, "known")]);
    assert_eq!((world.memory.known.len(), world.memory.count.lost()), (4, 0));
    world.step = 60 * SECOND;
    assert_eq!(world.names(&[], 0, &all[3..]), [(4, "known"), (5, "known")]);
    assert_eq!((world.memory.known.len(), world.memory.count.lost()), (2, 0));
    // More sockets are missing than reports were lost.
    assert_eq!(world.names(&[], 1, &[]), [(4, "gone")]);
    assert_eq!(world.memory.count.lost(), 0);
    assert_eq!(world.names(&[all[4]], 0, &[]), [(5, "closed")]);
}

#[test]
fn a_table_that_was_not_read_to_its_end_closes_nothing() {
    let both = [made(1, 10, 10), made(2, 10, 10)];
    let mut world = World::new(&[]);
    world.names(&[], 0, &both);
    world.course.failed = vec![(0, Table::Tcp)];
    assert_eq!(world.names(&[], 0, &both[..1]), [(1, "known")]);
    world.course.failed.clear();
    // Socket 3 is not new: it may have existed at the look that was incomplete.
    let said = world.look(&[], 0, &[both[0], made(2, 210, 10), made(3, 7, 7)]);
    let want =
        [(1, "known", Some(0.0), Some(0.0)), (2, "known", Some(100.0), Some(0.0)), (3, "known", None, None)];
    assert_eq!(said, Ok(want.to_vec()), "of two seconds");
    let said = world.look_with(&[], 0, &[], Some(Notice::DumpInterrupted));
    assert_eq!(said, Ok(Vec::new()));
    assert_eq!(world.memory.known.len(), 3);
    // A failing sink ends the look; the next look is compared with the last complete one.
    assert_eq!(world.look(&[], 0, &[made(1, 20, 10), made(666, 1, 1)]), Err("full"));
    let said = world.look(&[], 0, &[made(1, 30, 10), made(2, 510, 10), made(3, 7, 7)]).expect("it is taken");
    assert_eq!(said[1], (2, "known", Some(100.0), Some(0.0)), "of three seconds");
    assert_eq!(said[0], (1, "known", Some(10.0), Some(0.0)), "of one");
    let names: Vec<_> = said.iter().map(|said| (said.0, said.1)).collect();
    assert_eq!(names, [(1, "known"), (2, "known"), (3, "known"), (666, "gone")]);
    // The namespace can no longer be entered, so its sockets are forgotten.
    world.course.visited.clear();
    assert_eq!(world.names(&[], 0, &[]), []);
    assert_eq!(world.memory.known.len(), 0);
}

#[test]
fn what_is_left_in_time_wait_is_neither_open_nor_new() {
    let mut world = World::new(&[]);
    world.memory.told = vec![0];
    world.names(&[], 0, &[made(1, 1, 1)]);
    let left = Made { state: TCP_TIME_WAIT, timer: 3, ..made(1, 0, 0) };
    assert_eq!(world.names(&[made(1, 9, 9)], 0, &[left]), [(1, "closed"), (1, "time-wait")]);
    assert_eq!((world.memory.known.len(), world.memory.count.opened), (0, 0));
    assert_eq!(world.names(&[], 0, &[left]), [(1, "time-wait")]);
}

#[test]
fn a_request_is_no_socket_yet() {
    let mut world = World::new(&[]);
    world.memory.told = vec![0];
    assert_eq!(world.names(&[], 0, &[]), []);
    // A request mostly has the cookie of its later connection; its end is not reported.
    let request = |cookie| Made { state: TCP_SYN_RECV, ..made(cookie, 0, 0) };
    assert_eq!(world.names(&[], 0, &[request(5), request(6)]), [(5, "known"), (6, "known")]);
    assert_eq!(world.names(&[], 0, &[made(5, 3, 3), made(7, 3, 3)]), [(5, "opened"), (7, "opened")]);
    assert_eq!(world.names(&[made(7, 4, 4)], 0, &[made(5, 3, 3)]), [(5, "known"), (7, "closed")]);
    assert_eq!(world.memory.known.len(), 1);
    // A request that is gone does not account for a lost report.
    assert_eq!(world.names(&[], 0, &[made(5, 3, 3), request(8)]), [(5, "known"), (8, "known")]);
    assert_eq!(world.names(&[], 1, &[made(5, 3, 3)]), [(5, "known")]);
    assert_eq!(world.memory.count.lost(), 1);
}

#[test]
fn states_and_watched_fields_change() {
    let mut world = World::new(&["tcp.segs_out"]);
    let first = made(1, 10, 10);
    assert_eq!(world.names(&[], 0, &[first]), [(1, "known")]);
    assert_eq!(world.names(&[], 0, &[first]), [(1, "known")]);
    assert_eq!(world.names(&[], 0, &[made(1, 11, 10)]), [(1, "changed field")]);
    let closing = Made { state: TCP_FIN_WAIT1, ..made(1, 11, 10) };
    assert_eq!(world.names(&[], 0, &[closing]), [(1, "changed state")]);
    assert_eq!(world.names(&[], 0, &[made(1, 11, 99)]), [(1, "changed state")]);
    assert_eq!(world.memory.count.changed, 1);
}

/// The same sockets are kept when other counters are read.
#[test]
fn what_is_known_stays_where_more_is_read() {
    let mut world = World::new(&[]);
    world.memory.told = vec![0];
    let _ = world.look(&[], 0, &[made(1, 100, 5000), made(2, 100, 5000)]);
    let needs = |names: &[&str]| {
        let choices = names.iter().map(|name| Choice::new(Catalog::shared(), name).expect("a field"));
        choices.fold(Needs::NONE, |needs, choice| needs.union(choice.needs()))
    };
    let ask = |world: &mut World, names: &[&str]| {
        let mut memory = Memory::new(needs(names), Vec::new(), StateSet::CONN, StateSet::EMPTY);
        std::mem::swap(&mut world.memory, &mut memory);
        world.memory.take_over(memory);
        world.memory.told = vec![0];
    };
    let other = "rate.segs_in_per_s";
    ask(&mut world, &[other, "rate.segs_out_per_s", "rate.retrans_per_s"]);
    let said = world.look(&[], 0, &[made(1, 350, 9000), made(2, 100, 5000), made(3, 1, 1)]).expect("taken");
    // Byte counts are always kept: they show whether a counter restarted.
    assert_eq!(said[..2], [(1, "known", Some(250.0), Some(4000.0)), (2, "known", Some(0.0), Some(0.0))]);
    assert_eq!((said[2].1, world.memory.known.len()), ("opened", 3));
    ask(&mut world, &["rate.bytes_acked_per_s", "rate.segs_out_per_s", other]);
    let said = world.look(&[made(2, 100, 5000)], 0, &[made(1, 450, 9900)]).expect("taken");
    assert_eq!(said[..2], [(1, "known", Some(100.0), Some(900.0)), (2, "closed", Some(0.0), Some(0.0))]);
    let said = world.look(&[], 0, &[made(1, 450, 9950)]).expect("taken");
    assert_eq!(said[0], (1, "known", Some(0.0), Some(50.0)));
}

/// The kernel reports an aborted connection without its ports and local address.
#[test]
fn an_aborted_connection_is_told_where_it_was() {
    let local = [192, 0, 2, 7];
    let mut live = made(5, 1, 1).bytes();
    live[8..12].copy_from_slice(&local);
    live[24..28].copy_from_slice(&[192, 0, 2, 9]);
    let mut cut = live.clone();
    cut[4..8].fill(0);
    cut[8..12].fill(0);
    let socket = |bytes| Socket::decode(World::record(bytes, SourceKind::Kernel, SECOND)).expect("a socket");
    let mut places = Places::default();
    let mut words = [0; Places::WORDS];
    places.keep(&socket(&live), &mut words);
    let mut ended = socket(&cut);
    assert!(places.restore(&mut ended, Some(&words)));
    assert_eq!((ended.local, ended.remote), (socket(&live).local, socket(&live).remote));
    // Complete reports stay as they are, and for a connection never seen nothing is
    // restored.
    let mut whole = socket(&live);
    assert!(!places.restore(&mut whole, Some(&words)));
    assert!(!places.restore(&mut socket(&cut), Some(&[0; Places::WORDS])));
}

#[test]
fn looks_at_the_same_sockets_need_no_more_memory() {
    let mut world = World::new(&[]);
    let all: Vec<Made> = (0..5000).map(|cookie| made(cookie + 1000, 1, 1)).collect();
    let _ = world.look(&[], 0, &all);
    let _ = world.look(&[], 0, &all);
    let first = world.memory.known.bytes();
    for _ in 0..5 {
        let _ = world.look(&[], 0, &all[..4990]);
        let _ = world.look(&[], 0, &all);
    }
    assert_eq!(world.memory.known.bytes(), first);
    assert!(first < 5000 * 100, "{} bytes a socket", first / 5000);
}
