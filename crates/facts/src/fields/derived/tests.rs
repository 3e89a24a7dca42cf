//! Every derived field on made-up pairs of observations.  All numbers of a pair differ, so
//! that no other formula gives the same value.

use sockdiag_wire::attr::put;
use sockdiag_wire::inet_diag::INET_DIAG_INFO;
use sockdiag_wire::tcp_info::TcpInfo;

use super::*;
use crate::ending::LastSeen;
use crate::fields::{Catalog, Choice, Together, Value};
use crate::model::{Names, Origin, PortShare, Record, Socket, SourceKind, Table, Window};
use crate::past::{Earlier, MOST_WORDS, Slots};

/// Members of `tcp_info`, by name.
fn info(members: &[(&str, u64)]) -> Vec<u8> {
    let mut bytes = vec![0; 280];
    for (name, number) in members {
        let member = TcpInfo::LAYOUT.members.iter().find(|member| member.name == *name).expect("a member");
        let number = number.to_ne_bytes();
        let low = if cfg!(target_endian = "big") { 8 - member.size } else { 0 };
        bytes[member.offset..member.offset + member.size].copy_from_slice(&number[low..low + member.size]);
    }
    bytes
}

/// A reply about a TCP socket in this state.
fn reply(state: u8, info: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 72];
    (bytes[0], bytes[1]) = (2, state);
    put(&mut bytes, INET_DIAG_INFO, info);
    bytes
}

const SECOND: u64 = 1_000_000_000;

/// The observations are 1.9 to 2.1 seconds apart.
const THEN: Window = Window::new(10 * SECOND, 10 * SECOND + SECOND / 10);
const NOW: Window = Window::new(12 * SECOND, 12 * SECOND + SECOND / 10);

/// The value of a field for a socket that was observed twice, keeping only the counters that
/// the field needs.
fn of_two(name: &str, before: &[u8], now: &[u8]) -> Option<f64> {
    let choice = Choice::new(Catalog::shared(), name).expect("a field");
    let slots = Slots::of(choice.needs().counters());
    let mut words = [0; MOST_WORDS];
    let words = &mut words[..slots.words()];
    let had = slots.keep(TcpInfo::new(before), words);
    let earlier = Some(Earlier { window: THEN, slots: &slots, words, had });
    let past = Past { window: NOW, first_seen_ns: 5 * SECOND, opening_seen: true, earlier, ended: None };
    of_row(name, 1, now, Some(&past))
}

fn of_row(name: &str, state: u8, info: &[u8], past: Option<&Past<'_>>) -> Option<f64> {
    let bytes = reply(state, info);
    let record = Record { origin: Origin::of(Table::Tcp, SourceKind::Kernel), bytes: &bytes };
    let socket = Socket::decode(record).expect("a socket");
    let row = Row { past, ..Row::bare(&socket) };
    match row.value(name)? {
        Value::U64(number) => Some(number as f64),
        Value::F64(number) => Some(number),
        Value::Bool(so) => Some(f64::from(u8::from(so))),
        other => panic!("{name} is {other:?}"),
    }
}

const BEFORE: &[(&str, u64)] = &[
    ("tcpi_total_retrans", 3),
    ("tcpi_bytes_acked", 1 << 33),
    ("tcpi_bytes_received", 700),
    ("tcpi_segs_out", u32::MAX as u64 - 9),
    ("tcpi_segs_in", 21),
    ("tcpi_data_segs_out", 11),
    ("tcpi_busy_time", 5_000_000),
    ("tcpi_rwnd_limited", 300_000),
    ("tcpi_sndbuf_limited", 20_000),
    ("tcpi_bytes_sent", 1 << 34),
    ("tcpi_bytes_retrans", 400),
    ("tcpi_dsack_dups", 1),
];

/// The gain of each counter in the two seconds.
const GAINED: &[(&str, u64)] = &[
    ("tcpi_total_retrans", 40),
    ("tcpi_bytes_acked", 1_000_000),
    ("tcpi_bytes_received", 300_000),
    ("tcpi_segs_out", 5000),
    ("tcpi_segs_in", 1200),
    ("tcpi_data_segs_out", 800),
    ("tcpi_busy_time", 1_600_000),
    ("tcpi_rwnd_limited", 500_000),
    ("tcpi_sndbuf_limited", 100_000),
    ("tcpi_bytes_sent", 1_200_000),
    ("tcpi_bytes_retrans", 60_000),
    ("tcpi_dsack_dups", 10),
];

fn pair() -> (Vec<u8>, Vec<u8>) {
    let now: Vec<(&str, u64)> =
        BEFORE.iter().zip(GAINED).map(|((name, before), (_, gained))| (*name, before + gained)).collect();
    (info(BEFORE), info(&now))
}

/// The values and errors over two seconds, whose windows leave a tenth of a second open on
/// both sides.
const WANT: &[(&str, f64, f64)] = &[
    ("rate.bytes_sent_per_s", 600_000.0, 1_200_000.0 / 1.9 - 600_000.0),
    ("rate.bytes_received_per_s", 150_000.0, 300_000.0 / 1.9 - 150_000.0),
    ("rate.bytes_acked_per_s", 500_000.0, 1_000_000.0 / 1.9 - 500_000.0),
    ("rate.segs_out_per_s", 2500.0, 5000.0 / 1.9 - 2500.0),
    ("rate.segs_in_per_s", 600.0, 1200.0 / 1.9 - 600.0),
    ("rate.retrans_per_s", 20.0, 40.0 / 1.9 - 20.0),
    ("goodput_bytes_per_s", 650_000.0, 1_300_000.0 / 1.9 - 650_000.0),
    ("share.app", 0.2, 1.61 / 1.9 - 0.8),
    ("share.network", 0.5, 1.01 / 1.9 - 0.5),
    ("share.receiver", 0.25, 0.51 / 1.9 - 0.25),
    ("share.sndbuf", 0.05, 0.11 / 1.9 - 0.05),
    ("ratio.retransmit", 0.05, 0.0),
    ("ratio.spurious", 0.25, 0.0),
];

#[test]
fn every_row_of_two_looks_has_its_formula() {
    let (before, now) = pair();
    let mut tested = Vec::new();
    for (name, value, error) in WANT {
        let near = |got: Option<f64>, want: f64| {
            got.is_some_and(|got| (got - want).abs() < 0.002_f64.min(want.max(0.001)))
        };
        let got = of_two(name, &before, &now);
        assert!(near(got, *value), "{name} is {got:?}, not {value}");
        tested.push((*name).to_owned());
        let name = format!("{name}_error");
        match Catalog::shared().field(&name) {
            None => assert!(error.abs() < 1e-12, "{name} is no field"),
            Some(field) => {
                let got = of_two(&name, &before, &now);
                assert!(near(got, *error), "{name} is {got:?}, not {error}");
                assert_eq!(field.unit, Catalog::shared().field(&name).expect("a field").unit);
                tested.push(name);
            }
        }
    }
    tested.extend(["age_ms", "age_opening_seen", "socket.ended"].map(str::to_owned));
    for field in Catalog::shared().fields().filter(|field| field.needs.has(Needs::TWO_LOOKS)) {
        assert!(tested.iter().any(|name| name == field.name), "{} is not tested", field.name);
    }
    assert_eq!(of_two("age_ms", &before, &now), Some(7100.0));
    assert_eq!(of_two("age_opening_seen", &before, &now), Some(1.0));
}

/// Before Linux 4.19 the kernel counts retransmitted segments, but not bytes.
#[test]
fn an_old_kernel_has_what_its_counters_tell() {
    let (before, now) = pair();
    let old = |bytes: &[u8]| bytes[..192].to_vec();
    assert_eq!(of_two("ratio.retransmit", &old(&before), &old(&now)), Some(0.05), "40 of 800 segments");
    let with =
        |gained: u64| info(&[("tcpi_data_segs_out", 100 + gained), ("tcpi_total_retrans", gained / 5)]);
    assert_eq!(of_two("ratio.retransmit", &old(&with(0)), &old(&with(100))), Some(0.2));
    for name in ["rate.bytes_sent_per_s", "ratio.spurious"] {
        assert_eq!(of_two(name, &old(&before), &old(&now)), None, "{name}");
    }
    assert_eq!(of_two("rate.bytes_acked_per_s", &old(&before), &old(&now)), Some(500_000.0));
}

#[test]
fn one_look_and_a_socket_used_anew_have_no_rate() {
    let (before, now) = pair();
    let anew = info(&[("tcpi_segs_out", 5), ("tcpi_bytes_acked", 9), ("tcpi_busy_time", 70)]);
    for (name, ..) in WANT {
        assert_eq!(of_row(name, 1, &now, None), None, "{name} of one look");
        let first = Past { window: NOW, first_seen_ns: 1, opening_seen: false, earlier: None, ended: None };
        assert_eq!(of_row(name, 1, &now, Some(&first)), None, "{name} of a first look");
        assert_eq!(of_two(name, &before, &anew), None, "{name} of a socket used anew");
        let same = of_two(name, &now, &now);
        let idle = if name.starts_with("ratio") { None } else { Some(f64::from(*name == "share.app")) };
        assert_eq!(same, idle, "{name} of an idle socket");
    }
}

#[test]
fn rows_of_one_look_have_their_formulas() {
    let all = [
        ("tcpi_rtt", 25_000),
        ("tcpi_min_rtt", 10_000),
        ("tcpi_delivery_rate", 2_000_000),
        ("tcpi_notsent_bytes", 500_000),
        ("tcpi_last_data_sent", 900),
        ("tcpi_last_data_recv", 400),
    ];
    let of = |name, members: &[(&str, u64)]| of_row(name, 1, &info(members), None);
    for (name, want) in
        [("delay.queue_us", 15_000.0), ("bdp_bytes", 20_000.0), ("notsent_us", 250_000.0), ("idle_ms", 400.0)]
    {
        assert_eq!(of(name, &all), Some(want), "{name}");
    }
    let less = |name: &str, number: u64| {
        let mut members = all.to_vec();
        members.iter_mut().filter(|(member, _)| *member == name).for_each(|(_, old)| *old = number);
        members
    };
    assert_eq!(of("idle_ms", &less("tcpi_last_data_sent", 7)), Some(7.0));
    assert_eq!(of("delay.queue_us", &less("tcpi_rtt", 9_000)), Some(0.0), "never negative");
    assert_eq!(of("delay.queue_us", &less("tcpi_rtt", 0)), None, "nothing measured");
    for nothing in [0, u64::from(u32::MAX)] {
        let members = less("tcpi_min_rtt", nothing);
        assert_eq!((of("delay.queue_us", &members), of("bdp_bytes", &members)), (None, None));
    }
    let members = less("tcpi_delivery_rate", 0);
    assert_eq!((of("bdp_bytes", &members), of("notsent_us", &members)), (None, None));
    assert_eq!(of("notsent_us", &less("tcpi_notsent_bytes", 0)), Some(0.0));
    assert_eq!(of_row("idle_ms", 10, &info(&all), None), None, "a listener moves no data");
}

/// The formula of every derived field is tested: those of two observations are counted above,
/// the others are listed here.
#[test]
fn every_other_derived_row_is_tested() {
    let tested = ["delay.queue_us", "bdp_bytes", "notsent_us", "idle_ms", "ports.used_share"];
    let rows = [ONE_LOOK, PORTS].into_iter().flatten().map(|field| field.name);
    assert_eq!(rows.collect::<Vec<_>>(), tested);
    let of_two = [ESTIMATES, RATIOS, AGE].into_iter().flatten();
    assert!(of_two.into_iter().all(|field| field.needs.has(Needs::TWO_LOOKS)));
}

#[test]
fn ports_are_a_share_of_those_there_are() {
    let bytes = reply(1, &info(&[]));
    let record = Record { origin: Origin::of(Table::Tcp, SourceKind::Kernel), bytes: &bytes };
    let socket = Socket::decode(record).expect("a socket");
    let share = |ports: Option<PortShare>| {
        let names = Names { ports, ..Names::default() };
        let row = Row { names, ..Row::bare(&socket) };
        match row.value("ports.used_share") {
            Some(Value::F64(share)) => Some(share),
            other => other.map(|other| panic!("{other:?}")),
        }
    };
    let of = |used, all| share(PortShare::of(used, all));
    assert_eq!((of(7, 28), of(0, 28_232), of(1, 28_232)), (Some(0.25), Some(0.0), Some(0.0)));
    assert_eq!((of(28_000, 28_232), of(90, 80)), (Some(0.9918), Some(1.0)), "never more than all");
    assert_eq!((of(0, 0), share(None)), (None, None), "all are reserved, or none is known");
}

/// `ending.rs` tests the words themselves; this tests which rows have one.
#[test]
fn only_what_ended_says_how() {
    let counters =
        |received| info(&[("tcpi_bytes_acked", 2), ("tcpi_delivered", 2), ("tcpi_bytes_received", received)]);
    let slots =
        Slots::of(Choice::new(Catalog::shared(), "socket.ended").expect("a field").needs().counters());
    let mut words = [0; MOST_WORDS];
    let had = slots.keep(TcpInfo::new(&counters(40)), &mut words);
    let ended_with = |timer: u8, past: Option<LastSeen>, received: u64| {
        // The remote port, which an aborted socket has lost, and the timer.
        let mut bytes = reply(7, &counters(received));
        (bytes[2], bytes[7]) = (timer, 80);
        let record = Record { origin: Origin::of(Table::Tcp, SourceKind::Event), bytes: &bytes };
        let socket = Socket::decode(record).expect("a socket");
        let earlier = Some(Earlier { window: THEN, slots: &slots, words: &words, had });
        let past = Past { window: NOW, first_seen_ns: 1, opening_seen: true, earlier, ended: past };
        let row = Row { past: Some(&past), ..Row::bare(&socket) };
        match row.value("socket.ended") {
            Some(Value::Text(word)) => Some(String::from_utf8_lossy(word).into_owned()),
            other => other.map(|other| panic!("{other:?}")),
        }
    };
    let ended = |timer, past| ended_with(timer, past, 41);
    let seen = |state: Option<State>| {
        Some(LastSeen { state: state.map(|state| state as u8), connected: Some(true), ..LastSeen::default() })
    };
    assert_eq!(ended(0, None), None, "it is there");
    assert_eq!(ended(0, seen(None)).as_deref(), Some("closed"));
    assert_eq!(ended(0, seen(Some(State::CloseWait))).as_deref(), Some("closed-by-peer"));
    assert_eq!(ended(3, None).as_deref(), Some("closed-by-us"), "a TIME-WAIT");
    let open = seen(Some(State::Established));
    assert_eq!(ended(0, open).as_deref(), Some("closed"), "a byte or a FIN came since");
    assert_eq!(ended_with(0, open, 40).as_deref(), Some("closed-by-us"), "nothing did");
}

/// The short names of these fields, and how groups combine them.
#[test]
fn they_are_rows_like_the_others() {
    let catalog = Catalog::shared();
    for (name, want) in [
        ("age", "age_ms"),
        ("idle", "idle_ms"),
        ("bdp", "bdp_bytes"),
        ("goodput", "goodput_bytes_per_s"),
        ("queue", "delay.queue_us"),
        ("bytes_sent_per_s", "rate.bytes_sent_per_s"),
        ("notsent_us", "notsent_us"),
        ("notsent", "tcp.notsent_bytes"),
        ("retransmit", "ratio.retransmit"),
        ("receiver", "share.receiver"),
    ] {
        assert_eq!(catalog.named(name).map(|named| named.field.name), Ok(want), "{name}");
    }
    for field in catalog.fields().filter(|field| field.name.ends_with("_per_s")) {
        let is_rate = field.needs.has(Needs::TWO_LOOKS);
        let is_one = matches!(field.unit, Unit::BytesPerSecond | Unit::PacketsPerSecond);
        assert!(is_one && is_rate == (field.together == Together::Sum), "{}", field.name);
    }
}

/// Code that omits unchanged sockets from a listing relies on this.
#[test]
fn a_field_changes_with_the_time_if_it_needs_the_clock() {
    let reply = |ago: u64| {
        let members: Vec<(&str, u64)> = TcpInfo::LAYOUT
            .members
            .iter()
            .map(|member| (member.name, if member.name.starts_with("tcpi_last_") { ago } else { 1 }))
            .collect();
        let mut bytes = reply(1, &info(&members));
        bytes[2] = 1;
        bytes[52..56].copy_from_slice(&u32::try_from(ago).expect("small").to_ne_bytes());
        bytes
    };
    let [first, second] = [reply(700), reply(900)];
    let socket = |bytes| {
        let record = Record { origin: Origin::of(Table::Tcp, SourceKind::Kernel), bytes };
        Socket::decode(record).expect("a socket")
    };
    let [first, second] = [socket(&first), socket(&second)];
    let catalog = crate::fields::Catalog::shared();
    let mut clocks = Vec::new();
    for field in catalog.fields() {
        let name = field.name;
        let [before, after] = [&first, &second].map(|socket| format!("{:?}", Row::bare(socket).value(name)));
        let needs = catalog.needs_of(name);
        assert!(before == after || needs.has(Needs::CLOCK), "{name}: {before}, {after}");
        if before != after {
            clocks.push(name);
        }
    }
    assert!(clocks.len() >= 5, "{clocks:?}");
}
