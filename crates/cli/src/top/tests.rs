//! Groups of a frame: their rates add up to those of the rows, including sockets that ended.

#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

use std::convert::Infallible;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value as Object;
use sockdiag::model::{Named, Names, Origin, Record, Socket, SourceKind, Table, Window, Workload};
use sockdiag::past::{Earlier, Past, Slots};
use sockdiag::{Observer, Sockets, Value};
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::until;

use super::*;

const RATES: [&str; 2] = ["rate.bytes_sent_per_s", "rate.bytes_received_per_s"];

/// Adds each row of a frame to several groupings, and sums the rates of all rows.
struct Sums<'s> {
    groups: Vec<Groups<'s>>,
    rates: [f64; 2],
    closed: [f64; 2],
    rows: u64,
}

impl FrameSink for Sums<'_> {
    type Error = Infallible;

    fn row(&mut self, seen: Seen, row: &Row<'_>) -> Result<(), Infallible> {
        for groups in &mut self.groups {
            let _: ControlFlow<()> = groups.row(row).expect("it is kept");
        }
        for (at, name) in RATES.iter().enumerate() {
            if let Some(Value::F64(rate)) = row.value(name) {
                self.rates[at] += rate;
                self.closed[at] += if seen == Seen::Closed { rate } else { 0.0 };
            }
        }
        self.rows += 1;
        Ok(())
    }
}

/// The groupings of a frame by each of these fields.
fn grouped(by: &[&str]) -> Vec<Grouped> {
    let selected = over_time::selected(&mut Asked::default()).expect("TCP");
    let grouped = |by: &&str| Grouped {
        by: over_time::choices(by, &selected).expect("a field"),
        names: PRESETS[0].totals.to_owned(),
        selected,
        sort: None,
        limit: None,
    };
    by.iter().map(grouped).collect()
}

/// Feeds a frame to these groupings and checks that each adds up to the rows' total.
fn check(by: &[&str], feed: impl FnOnce(&mut Sums<'_>)) -> (Vec<Vec<Object>>, [f64; 2], [f64; 2]) {
    let grouped = grouped(by);
    let mut texts: Vec<Vec<u8>> = vec![Vec::new(); by.len()];
    let opening = Opening { header: &Header::default(), summary: &[] };
    let (rates, closed, rows) = {
        let groups = grouped.iter().zip(&mut texts).map(|(grouped, text)| {
            let json = Json::groups(Form::Lines, &opening, Box::new(text)).expect("it is written");
            Groups::json(grouped.grouping().expect("it makes sense"), json)
        });
        let mut sums = Sums { groups: groups.collect(), rates: [0.0; 2], closed: [0.0; 2], rows: 0 };
        feed(&mut sums);
        sums.groups.iter_mut().for_each(|groups| groups.end(&Trailer::default()).expect("it is written"));
        (sums.rates, sums.closed, sums.rows)
    };
    let objects = texts.iter().map(|text| {
        let lines = std::str::from_utf8(text).expect("text").lines();
        lines.map(|line| serde_json::from_str(line).expect("JSON")).collect::<Vec<Object>>()
    });
    let objects: Vec<Vec<Object>> = objects.collect();
    for (by, groups) in by.iter().zip(&objects) {
        let sum = |name: &str| groups.iter().filter_map(|group| group[name].as_f64()).sum::<f64>();
        assert_eq!(groups.iter().filter_map(|group| group["count"].as_u64()).sum::<u64>(), rows, "{by}");
        for (name, rate) in RATES.iter().zip(rates) {
            let sum = sum(&format!("sum({name})"));
            // Rates are printed with three decimal places.
            let most = 0.001 * f64::from(u32::try_from(groups.len()).unwrap_or(u32::MAX)) + 0.001;
            assert!((sum - rate).abs() <= most, "{by}: {name} {sum} of {rate}: {groups:?}");
        }
    }
    (objects, rates, closed)
}

/// A connection to an address of the loopback network, and both its ends.
fn connection(last: u8) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::new(127, 0, last, 1), 0)).expect("lo is up");
    let active = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
    (active, listener.accept().expect("it came").0)
}

/// A process that holds a socket and does nothing.
fn holder(socket: TcpStream) -> Child {
    let mut command = std::process::Command::new("sleep");
    command.arg("60").stdin(OwnedFd::from(socket)).stdout(Stdio::null()).spawn().expect("it runs")
}

#[test]
fn sums_of_groups_are_those_of_the_rows() {
    let (Some((one, first)), Some((other, second))) = (Namespace::to_look_into(), Namespace::to_look_into())
    else {
        return;
    };
    let pairs = |namespace: &Namespace| {
        namespace.with(|| (1..=4).map(connection).collect::<Vec<_>>()).unwrap_or_else(|why| panic!("{why}"))
    };
    let (mut pairs, mut held) = ([pairs(&one), pairs(&other)], Vec::new());
    for pairs in &mut pairs {
        let (active, end) = pairs.remove(0);
        held.push((holder(active), end));
        let (active, end) = pairs.remove(0);
        held.push((holder(active), end));
    }
    // A holder has the name of its program only once `exec` is done.
    for (child, _) in &held {
        let name = format!("/proc/{}/comm", child.id());
        assert!(until(|| std::fs::read(&name).is_ok_and(|name| name == b"sleep\n")));
    }
    let sockets = Sockets::of(&[Table::Tcp]).netns(format!("{first},{second}")).with_processes();
    let mut observer = Observer::new(sockets.reading(RATES).open().expect("a question"));
    let look = |observer: &mut Observer, sums: &mut Sums<'_>| {
        let frame = observer.look(sums).unwrap_or_else(|error| panic!("{error}"));
        assert!(frame.failures.is_empty(), "{frame:?}");
    };
    let by = ["comm", "comm,pid", "remote.addr/24", "netns.title", "netns.title,comm", "state"];
    let (_, rates, _) = check(&by, |sums| look(&mut observer, sums));
    assert!(rates.iter().all(|rate| *rate == 0.0), "nothing is known of them: {rates:?}");
    // Each connection moves a different amount; then a process and a pair of ends go away.
    for (number, (_, end)) in held.iter_mut().enumerate() {
        end.write_all(&vec![1; 3000 * (number + 1)]).expect("there is room");
    }
    for (number, (active, end)) in pairs.iter_mut().flatten().enumerate() {
        active.write_all(&vec![2; 700 * (number + 1)]).expect("there is room");
        end.read_exact(&mut vec![0; 700 * (number + 1)]).expect("it was sent");
        end.write_all(&[3; 500]).expect("there is room");
        active.read_exact(&mut [0; 500]).expect("it was sent");
    }
    let (mut child, end) = held.swap_remove(0);
    child.kill().expect("it is ours");
    child.wait().expect("it ended");
    drop(end);
    pairs[0].truncate(1);
    std::thread::sleep(Duration::from_millis(200));
    let (groups, rates, closed) = check(&by, |sums| look(&mut observer, sums));
    assert!(
        rates.iter().zip(closed).all(|(all, closed)| *all > closed && closed > 0.0),
        "{rates:?} {closed:?}"
    );
    let names = |at: usize, name: &str| -> Vec<String> {
        groups[at].iter().map(|group| group[name].to_string()).collect()
    };
    assert!(names(0, "socket.processes.comm").iter().any(|name| name.contains("sleep")), "{:?}", groups[0]);
    assert!(names(2, "remote.addr/24").len() >= 4, "{:?}", groups[2]);
    assert_eq!(names(3, "netns.title").len(), 2, "{:?}", groups[3]);
    // The killed process had 3000 bytes; the group of sockets without a process has none of
    // them.
    let of_sleep =
        groups[0].iter().find(|group| group["socket.processes.comm"].to_string().contains("sleep"));
    assert_eq!(of_sleep.expect("it is there")["count"], 4, "{:?}", groups[0]);
    for (mut child, _) in held {
        child.kill().expect("it is ours");
        child.wait().expect("it ended");
    }
}

/// A reply about a socket that has sent and received this many bytes.
fn reply(sent: u64, received: u64) -> Vec<u8> {
    // struct inet_diag_msg, then INET_DIAG_INFO (2) with struct tcp_info.
    let mut bytes = vec![0; 72];
    (bytes[0], bytes[1]) = (2, 1);
    bytes.extend_from_slice(&284_u16.to_ne_bytes());
    bytes.extend_from_slice(&2_u16.to_ne_bytes());
    let mut info = [0; 280];
    info[120..128].copy_from_slice(&sent.to_ne_bytes());
    info[128..136].copy_from_slice(&received.to_ne_bytes());
    info[200..208].copy_from_slice(&sent.to_ne_bytes());
    bytes.extend_from_slice(&info);
    bytes
}

#[test]
fn sums_of_containers_are_those_of_the_rows() {
    let workload = |name: &[u8]| {
        let mut work = Workload {
            container_name: Some(Named::from(name)),
            cgroup: name.to_vec(),
            ..Workload::default()
        };
        work.entitle();
        work
    };
    let (shop, bank) = (workload(b"shop"), workload(b"bank"));
    let grouped = &grouped(&["container"])[0];
    let needs = over_time::needs(grouped.totals().expect("they make sense").iter().map(Total::choice));
    let slots = Slots::of(needs.counters());
    let second = 1_000_000_000;
    let rows = [
        (Some(&shop), 1000, 500, Seen::Known),
        (Some(&shop), 70_000, 1, Seen::Closed),
        (Some(&bank), 40, 3_000_000, Seen::Known),
        (None, 5, 7, Seen::Closed),
    ];
    let (groups, rates, closed) = check(&["container", "container,state"], |sums| {
        for (work, sent, received, seen) in rows {
            let (before, now) = (reply(9000, 900), reply(9000 + sent, 900 + received));
            let record = |bytes| Record { origin: Origin::of(Table::Tcp, SourceKind::Kernel), bytes };
            let [before, now] = [&before, &now].map(|bytes| Socket::decode(record(bytes)).expect("a socket"));
            let mut words = vec![0; slots.words()];
            let had = slots.keep(before.tcp_info().expect("it has it"), &mut words);
            let window = |at| Window::new(at * second, at * second);
            let earlier = Some(Earlier { window: window(10), slots: &slots, words: &words, had });
            let past =
                Past { window: window(12), first_seen_ns: second, opening_seen: true, earlier, ended: None };
            let names = Names { workload: work, ..Names::default() };
            let row = Row { names, past: Some(&past), ..Row::bare(&now) };
            sums.row(seen, &row).expect("it is taken");
        }
    });
    assert_eq!((rates, closed), ([35_522.5, 1_500_254.0], [35_002.5, 4.0]));
    let of =
        |name: &str| groups[0].iter().find(|group| group["container.title"] == name).expect("it is there");
    assert_eq!(of("shop")["sum(rate.bytes_sent_per_s)"], 35_500.0, "{groups:?}");
    assert_eq!(of("bank")["sum(rate.bytes_received_per_s)"], 1_500_000.0, "{groups:?}");
}
