//! Counters from recorded texts, from arbitrary bytes, and from namespaces made for a test.

use std::fs;

use super::*;
use crate::{Sockets, Table};

/// The files of `/proc` in a fresh Debian kernel of each version, one after the other, each
/// after a line `==> PATH`.
const RECORDED: [(&str, &str); 4] = [
    ("5.10", include_str!("texts/5.10.txt")),
    ("6.1", include_str!("texts/6.1.txt")),
    ("6.12", include_str!("texts/6.12.txt")),
    ("7.3", include_str!("texts/7.3.txt")),
];

fn parts(recorded: &str) -> Vec<(&str, &[u8])> {
    let files = recorded.split("==> ").filter_map(|file| file.split_once('\n'));
    files.map(|(path, text)| (path, text.as_bytes())).collect()
}

fn window(begin_ns: u64) -> Window {
    Window::new(begin_ns, begin_ns + 1000)
}

fn of(texts: &[(&str, &str)], at_ns: u64) -> HostCounters {
    HostCounters::of_texts(texts.iter().map(|(path, text)| (*path, text.as_bytes())), window(at_ns))
}

#[test]
fn every_kernel_tells_what_it_has_and_no_more() {
    for (version, recorded) in RECORDED {
        let counters = HostCounters::of_texts(parts(recorded), window(1));
        let all: Vec<_> = counters.counters().collect();
        // One counter for each number in the text; a negative number (MaxConn) is skipped.
        let mut expected = 0;
        for (path, text) in parts(recorded) {
            let lines = str::from_utf8(text).expect("text").lines();
            match path {
                "net/netstat" | "net/snmp" => {
                    expected +=
                        lines.skip(1).step_by(2).map(|line| line.split(' ').count() - 1).sum::<usize>();
                }
                "net/snmp6" => expected += lines.count(),
                _ => {}
            }
        }
        assert_eq!(all.len(), expected - 1, "{version}");
        assert_eq!(counters.counter("Tcp", "MaxConn"), None);
        assert_eq!(counters.counter("Tcp", "RtoMin"), Some(200), "{version}");
        assert_eq!(counters.counter("TcpExt", "ListenOverflows"), Some(0), "{version}");
        assert_eq!(counters.counter("Udp6", "RcvbufErrors"), Some(0), "{version}");
        assert_eq!(counters.sockstat("TCP", "orphan"), Some(0), "{version}");
        assert_eq!(counters.sockstat("TCP6", "inuse"), Some(0), "{version}");
        assert_eq!(counters.sysctl("net.core.somaxconn", 0), Some(4096), "{version}");
        assert_eq!(counters.sysctl("net.core.somaxconn", 1), None);
        assert_eq!(counters.sysctl_text("net.ipv4.tcp_congestion_control"), Some("cubic"), "{version}");
        let [low, pressure, high] = [0, 1, 2].map(|place| counters.sysctl("net.ipv4.tcp_mem", place));
        assert!(low.is_some() && low < pressure && pressure < high, "{version}");
        assert_eq!(counters.ephemeral_ports(), Some(28_232), "{version}");
        let beyond = counters.counter("TcpExt", "BeyondWindow").is_some();
        assert_eq!(beyond, version == "7.3", "{version}: absent is not zero");
    }
}

#[test]
fn what_is_not_understood_hides_nothing_around_it() {
    let texts = [
        (
            "net/netstat",
            "odd\nTcpExt: A B C\nTcpExt: 1 x 3 4\nIpExt: D\nMPTcpExt: E\nMPTcpExt: 5\nTcpExt: F\n",
        ),
        (
            "net/snmp",
            "Tcp: A A MaxConn\nTcp: 7 8 -1\n\n:\n: \nUdp: Big Huge\nUdp: 18446744073709551615 18446744073709551616",
        ),
        ("net/snmp6", "Ip6A 1\nIp6B\nIp6C 2 3\nIp6D +4\nIp6E\t\t5\n"),
        ("net/sockstat", "TCP: inuse 1 orphan\nUDP inuse 2\nRAW: inuse 3\n"),
        ("sys/net/ipv4/ip_local_port_range", "100 199"),
        ("sys/net/ipv4/ip_local_reserved_ports", "150-159,200\n"),
        ("sys/net/ipv4/tcp_mem", "1 2"),
        ("etc/passwd", "A 1"),
    ];
    let counters = of(&texts, 1);
    let all: Vec<_> = counters.counters().collect();
    let expected = [
        ("Ip6A", 1),
        ("Ip6E", 5),
        ("MPTcpExtE", 5),
        ("TcpA", 7),
        ("TcpExtA", 1),
        ("TcpExtC", 3),
        ("UdpBig", u64::MAX),
    ];
    assert_eq!(all, expected);
    assert_eq!(counters.sockstat("TCP", "inuse"), Some(1));
    assert_eq!(counters.sockstat("RAW", "inuse"), Some(3));
    assert_eq!(counters.sockstat("UDP", "inuse"), None);
    assert_eq!(counters.ephemeral_ports(), Some(90));
    assert_eq!(counters.sysctl("net.ipv4.tcp_mem", 1), Some(2));
    assert_eq!(counters.sysctl("net.ipv4.tcp_mem", 2), None);
    assert_eq!(of(&texts[..4], 1).ephemeral_ports(), None);
}

#[test]
fn any_bytes_are_taken() {
    let mut random = fastrand::Rng::with_seed(16);
    for _ in 0..400 {
        let (_, recorded) = RECORDED[random.usize(..RECORDED.len())];
        let mut texts: Vec<(&str, Vec<u8>)> =
            parts(recorded).into_iter().map(|(path, text)| (path, text.to_vec())).collect();
        for (_, text) in &mut texts {
            for _ in 0..random.usize(..8) {
                let at = random.usize(..=text.len());
                match random.u8(..4) {
                    0 => text.truncate(at),
                    1 => text.insert(at, random.u8(..)),
                    2 => text.insert(at, b" :\n0-"[random.usize(..5)]),
                    _ if at < text.len() => drop(text.remove(at)),
                    _ => {}
                }
            }
        }
        let counters = HostCounters::of_texts(texts.iter().map(|(path, text)| (*path, &**text)), window(1));
        // Sorted and without duplicates, so that each is found by its name.
        let all: Vec<_> = counters.counters().collect();
        assert!(all.is_sorted_by(|one, other| one.0 < other.0));
        for (name, number) in all {
            let (section, rest) =
                name.split_at(name.char_indices().nth(random.usize(..3)).map_or(0, |c| c.0));
            assert_eq!(counters.counter(section, rest), Some(number));
        }
        let _ = (counters.ephemeral_ports(), counters.sysctl("net.ipv4.tcp_mem", random.usize(..4)));
    }
}

#[test]
fn a_gain_is_told_only_where_there_is_one() {
    let tcp = |opens: u64, estab: u64, overflows: &str, at_ns| {
        let snmp = format!("Tcp: ActiveOpens CurrEstab\nTcp: {opens} {estab}\n");
        of(&[("net/snmp", &snmp), ("net/netstat", overflows)], at_ns)
    };
    let second = 1_000_000_000;
    let before = tcp(10, 9, "TcpExt: Old Same\nTcpExt: 1 4\n", 1);
    let now = tcp(30, 2, "TcpExt: New Same\nTcpExt: 1 4\n", 2 * second);
    let gains = now.since(&before).expect("the same namespace");
    assert_eq!(gains.of("Tcp", "ActiveOpens"), Some(20));
    assert_eq!(gains.of("TcpExt", "Same"), Some(0));
    assert_eq!(gains.of("TcpExt", "Old"), None);
    assert_eq!(gains.of("TcpExt", "New"), None, "absent is not zero");
    assert_eq!(gains.of("Tcp", "CurrEstab"), None, "it tells how many there are");
    let rate = gains.per_second("Tcp", "ActiveOpens").expect("a rate");
    assert!((rate.value - 10.0).abs() < 0.01 && rate.error < 0.01, "{rate:?}");
    assert!(before.since(&now).is_none() && now.since(&now).is_none(), "no time passed");
    // All counters fell: the inode was reused by another namespace.
    assert!(tcp(29, 2, "", 3 * second).since(&now).is_none());
    // A counter that falls alone has no gain, but does not mean that the namespace is new.
    let odd = tcp(31, 2, "TcpExt: Same\nTcpExt: 3\n", 3 * second);
    assert_eq!(odd.since(&now).expect("the same").of("TcpExt", "Same"), None);
    // A 32-bit counter wraps.
    let high = tcp(u64::from(u32::MAX), 0, "", second);
    assert_eq!(tcp(4, 0, "", 2 * second).since(&high).expect("wrapped").of("Tcp", "ActiveOpens"), Some(5));
    let other = HostCounters { netns_inode: 7, ..now.clone() };
    assert!(other.since(&before).is_none());
}

#[test]
fn gains_are_what_was_added_modulo_the_width() {
    let mut random = fastrand::Rng::with_seed(17);
    for _ in 0..2000 {
        let width = if random.bool() { u64::from(u32::MAX) } else { u64::MAX };
        let start = random.u64(0..=width);
        let most = 1 << random.u32(1..30);
        let gain = random.u64(0..most);
        let end = start.wrapping_add(gain) & width;
        let text = |number| format!("TcpExt: A\nTcpExt: {number}\n");
        let (before, now) = (text(start), text(end));
        let (before, now) = (of(&[("net/netstat", &before)], 1), of(&[("net/netstat", &now)], 1_000_000));
        // A counter of 64 bits never wraps: at a thousand million a second it takes 584 years.
        let expected = (end >= start || width == u64::from(u32::MAX)).then_some(gain);
        assert_eq!(now.since(&before).expect("the same").of("TcpExt", "A"), expected, "{start} {gain}");
    }
}

#[test]
fn a_namespace_has_counters_of_its_own() {
    let Some((namespace, word)) = sockdiag_testkit::netns::Namespace::to_look_into() else { return };
    namespace.sysctl("net/ipv4/tcp_max_tw_buckets", "77").expect("it may be set");
    let session = Sockets::of(&[Table::Tcp]).netns(&word).open().expect("a question");
    let read = || {
        let mut all = session.counters();
        assert_eq!(all.len(), 1);
        all.remove(0)
    };
    let before = read();
    assert_eq!(before.unread(), []);
    assert_eq!(before.sysctl("net.ipv4.tcp_max_tw_buckets", 0), Some(77));
    assert_eq!(before.netns_inode(), namespace.inode().expect("it has one"));
    // A machine-wide setting, which only the first namespace shows.
    let limit = fs::read_to_string("/proc/sys/net/ipv4/tcp_max_orphans").ok();
    assert_eq!(before.sysctl("net.ipv4.tcp_max_orphans", 0), limit.and_then(|text| text.trim().parse().ok()));
    namespace
        .with(|| {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
            let address = listener.local_addr().expect("its address");
            (0..3).for_each(|_| drop(std::net::TcpStream::connect(address).expect("a connection")));
        })
        .expect("root may enter it");
    let now = read();
    let gains = now.since(&before).expect("the same namespace");
    assert_eq!(gains.of("Tcp", "ActiveOpens"), Some(3));
    assert_eq!(gains.of("TcpExt", "ListenOverflows"), Some(0));
    // No file of the namespace stays open here.
    let open = fs::read_dir("/proc/self/fd").expect("ours").flatten();
    let links: Vec<_> = open.filter_map(|entry| fs::read_link(entry.path()).ok()).collect();
    assert!(!links.iter().any(|link| link.ends_with("net/snmp")), "{links:?}");
}
