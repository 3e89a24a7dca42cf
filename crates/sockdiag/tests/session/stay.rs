//! An observer that follows the sockets of one look: few are looked up one by one, with the
//! same results as a dump.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use sockdiag::fields::{Catalog, Needs};
use sockdiag::model::TableSet;
use sockdiag::observer::Gone;
use sockdiag::{Frame, FrameSink, Observer, Row, Seen, Sockets, Table};
use sockdiag_testkit::holders::Holder;
use sockdiag_testkit::listener::Listener;
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::until;

use super::{addr, listener, within};

/// All values of rows, by cookie and name.
#[derive(Default)]
pub(super) struct Facts {
    names: Vec<&'static str>,
    order: Vec<u64>,
    pub(super) rows: HashMap<u64, (Seen, BTreeMap<&'static str, String>)>,
    gone: Vec<u64>,
}

impl Facts {
    /// The same rows in the same order, with the same values except for clocks.
    pub(super) fn assert_is(&self, wanted: &Self) {
        assert_eq!(self.order, wanted.order);
        for (cookie, (_, facts)) in &wanted.rows {
            let (_, others) = &self.rows[cookie];
            assert!(facts.keys().eq(others.keys()), "{facts:?}\n{others:?}");
            for (name, fact) in facts.iter().filter(|(name, _)| !is_clock(name)) {
                assert_eq!(Some(fact), others.get(name), "{name}");
            }
        }
    }
}

impl FrameSink for Facts {
    type Error = std::convert::Infallible;

    fn row(&mut self, seen: Seen, row: &Row<'_>) -> Result<(), Self::Error> {
        let facts = self.names.iter().filter_map(|name| Some((*name, format!("{:?}", row.value(name)?))));
        let cookie = row.cookie().expect("the kernel gives one");
        self.order.push(cookie);
        assert!(self.rows.insert(cookie, (seen, facts.collect())).is_none(), "told once");
        Ok(())
    }

    fn gone(&mut self, gone: &Gone) -> Result<(), Self::Error> {
        self.gone.push(gone.cookie);
        Ok(())
    }
}

/// Fields that a single look can fill in.
pub(super) fn names() -> Vec<&'static str> {
    let catalog = Catalog::shared();
    // Left out: BPF map values, which need a dump, and host names, which are resolved
    // asynchronously.
    let of_one_look =
        |needs: Needs| !needs.intersects(Needs::TWO_LOOKS.union(Needs::BPF_STORAGES).union(Needs::HOSTS));
    let fields = catalog.fields().filter(|field| catalog.reports(TableSet::only(Table::Tcp), field));
    fields.filter(|field| of_one_look(catalog.needs_of(field.name))).map(|field| field.name).collect()
}

pub(super) fn look(observer: &mut Observer, names: &[&'static str]) -> (Frame, Facts) {
    let mut facts = Facts { names: names.to_vec(), ..Facts::default() };
    let frame = observer.look(&mut facts).unwrap_or_else(|error| panic!("{error}"));
    assert!(frame.failures.is_empty(), "{frame:?}");
    (frame, facts)
}

/// Whether a field is a clock, which differs from one look to the next.
fn is_clock(name: &str) -> bool {
    ["_ms", "_us", "_ns"].iter().any(|unit| name.ends_with(unit))
}

pub(super) struct Made {
    _listeners: [Listener; 2],
    pub(super) ends: Vec<TcpStream>,
}

/// Both ends of IPv4 and IPv6 connections in several states, with data in queues.
pub(super) fn sockets() -> Made {
    let listeners = [listener(), Listener::bind("[::1]:0").expect("loopback")];
    let mut ends = Vec::new();
    for number in 0..70 {
        let passive = &listeners[number % 2];
        let mut active = TcpStream::connect(addr(passive)).expect("loopback");
        let end = passive.accept().expect("it came").0;
        active.write_all(&vec![7; number * 100]).expect("loopback");
        if number % 5 == 0 {
            active.shutdown(Shutdown::Write).expect("it is connected");
        }
        ends.extend([active, end]);
    }
    Made { _listeners: listeners, ends }
}

#[test]
fn look_ups_tell_what_a_dump_tells() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    within(&namespace, || {
        let names = names();
        assert!(names.len() > 100, "{names:?}");
        let made = sockets();
        // Until delayed acknowledgements were sent.
        std::thread::sleep(Duration::from_millis(500));
        let question = Sockets::of(&[Table::Tcp]).reading(names.iter().copied());
        let mut observer = Observer::new(question.open().expect("a question"));
        observer.stay();
        let (dumped, dump) = look(&mut observer, &names);
        let (frame, looked_up) = look(&mut observer, &names);
        assert_eq!((dumped.looked_up, frame.looked_up), (false, true), "both are tried");
        assert_eq!(dumped.sockets, frame.sockets);
        assert!(dump.rows.len() >= made.ends.len(), "{}", dump.rows.len());
        assert!(looked_up.rows.values().all(|(seen, _)| *seen == Seen::Known));
        looked_up.assert_is(&dump);
    });
}

#[test]
fn what_ends_is_told_and_what_opens_is_not() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    within(&namespace, || {
        let names = ["tcp.bytes_sent"];
        let mut made = sockets();
        let question = Sockets::of(&[Table::Tcp]).reading(names);
        let mut observer = Observer::new(question.open().expect("a question"));
        observer.stay();
        let before = look(&mut observer, &names).0.sockets;
        let more = sockets();
        assert_eq!(look(&mut observer, &names).0.sockets, before);
        // Both ends of an established connection.
        made.ends.drain(2..4);
        let (mut closed, mut opened) = (0, 0);
        assert!(until(|| {
            let (frame, facts) = look(&mut observer, &names);
            closed += frame.closed;
            opened += frame.opened;
            assert!(facts.gone.is_empty() && frame.lost == 0);
            assert!(frame.sockets <= before);
            closed == 2 && frame.sockets == before - 2
        }));
        drop(more);
        // Afterwards the rest is looked up one by one again.
        assert!(until(|| {
            let (frame, _) = look(&mut observer, &names);
            (closed, opened) = (closed + frame.closed, opened + frame.opened);
            frame.looked_up
        }));
        assert_eq!((closed, opened), (2, 0));
    });
}

/// A few among many sockets are looked up, since that was measured to be cheaper.
#[test]
fn few_of_many_are_looked_up() {
    let Some((namespace, _)) = Namespace::to_look_into() else { return };
    let _many = Holder::start(&namespace, 5_000, 0).unwrap_or_else(|why| panic!("{why}"));
    within(&namespace, || {
        let made = sockets();
        let port = made.ends[0].local_addr().expect("it is connected").port();
        let question = Sockets::of(&[Table::Tcp]).filter(format!("sport = :{port}"));
        let question = question.open().expect("a question");
        let mut observer = Observer::new(question);
        observer.stay();
        let looks = (0..40).filter(|_| look(&mut observer, &[]).0.looked_up).count();
        println!("{looks} of 40 looks were look-ups");
        assert!(looks >= 30, "{looks} of 40");
    });
}
