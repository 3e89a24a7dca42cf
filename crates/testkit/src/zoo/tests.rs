//! Tests of the zoo: the reference lists what the zoo says it made.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::*;
use crate::compare::{Case, Ended, run};
use crate::reference::Reference;
use crate::skip;

/// A row of `ss -H`, with everything after the addresses.
#[derive(Clone, Debug)]
struct Row {
    state: String,
    queues: (i64, i64),
    ports: (u16, u16),
    local: String,
    extra: String,
}

/// All listings that the tests use, made once.
struct Sight {
    made: Vec<Made>,
    absent: Vec<(String, String)>,
    second_device: bool,
    tcp: Vec<Row>,
    udp: Vec<Row>,
    raw: Vec<Row>,
}

/// A complete zoo as the reference lists it; `None` after reporting a skip.
fn sight() -> Option<&'static Sight> {
    static SIGHT: OnceLock<Result<Sight, Why>> = OnceLock::new();
    SIGHT.get_or_init(look).as_ref().inspect_err(|why| skip::report(why)).ok()
}

fn look() -> Result<Sight, Why> {
    let reference = Reference::get()?;
    // No namespaces: a skip.  A zoo that does not start: a failure.
    let namespace = Namespace::new()?;
    let zoo = Zoo::start(&namespace, &[]).unwrap();
    let list = |args: &[&str]| {
        let out = run(reference.command(), &Case::new(args).inside(&namespace)).unwrap();
        assert_eq!(out.ended, Ended::Exit(0));
        String::from_utf8(out.stdout).unwrap().lines().map(row).collect::<Vec<_>>()
    };
    let more = ["--tos", "--inet-sockopt"];
    let list = |options: &str| list(&[&[options][..], &more].concat());
    Ok(Sight {
        made: zoo.made().to_vec(),
        absent: zoo.absent().to_vec(),
        second_device: namespace.second_device().is_some(),
        tcp: list("-tanoeimHO"),
        udp: list("-uanoemHO"),
        raw: list("-wanoemHO"),
    })
}

fn row(line: &str) -> Row {
    let mut words = line.split_whitespace();
    let mut next = || words.next().unwrap().to_owned();
    let state = next();
    let queues = (next().parse().unwrap(), next().parse().unwrap());
    let (local, peer) = (next(), next());
    Row {
        state,
        queues,
        ports: (port(&local), port(&peer)),
        local,
        extra: words.collect::<Vec<_>>().join(" "),
    }
}

impl Sight {
    fn table(&self, kind: &str) -> &[Row] {
        match kind.get(..3) {
            Some("udp") => &self.udp,
            Some("raw") => &self.raw,
            _ => &self.tcp,
        }
    }

    /// The rows of the sockets of a kind.
    fn rows(&self, kind: &str) -> Vec<&Row> {
        let ports: Vec<_> =
            self.made.iter().filter(|m| m.kind == kind).map(|m| (m.local_port(), m.peer_port())).collect();
        self.table(kind).iter().filter(|row| ports.contains(&row.ports)).collect()
    }

    fn is_absent(&self, kind: &str) -> bool {
        self.absent.iter().any(|(absent, _)| absent == kind)
    }
}

#[test]
fn every_kind_is_made_or_absent_for_a_reason_of_the_machine() {
    let Some(sight) = sight() else { return };
    for (name, _) in kinds() {
        let made = sight.made.iter().any(|made| made.kind == name);
        assert_ne!(made, sight.is_absent(name), "{name}");
    }
    for (kind, reason) in &sight.absent {
        assert!(may_be_absent(kind, reason, sight.second_device), "{kind} cannot be made: {reason}");
    }
}

/// Kinds that depend on the kernel or on our privileges, each with its expected error.
fn may_be_absent(kind: &str, reason: &str, second_device: bool) -> bool {
    match kind {
        "tcp-listen-linklocal" | "udp-linklocal" => !second_device,
        "tcp-cc-dctcp" | "tcp-cc-vegas" | "tcp-cc-bbr" => reason.contains("tcp_available_congestion_control"),
        // CONFIG_TCP_MD5SIG
        "tcp-md5" | "tcp-md5-6" => reason.starts_with("TCP_MD5SIG: Protocol not available"),
        // Fails in a user namespace that maps only one user ID.
        "tcp-owner" => reason.starts_with("becoming user 1000: Invalid argument"),
        _ => false,
    }
}

#[test]
fn a_user_namespace_holds_a_zoo_as_well() {
    let namespace = match Namespace::made_by(skip::Privilege::UserNamespace) {
        Ok(namespace) => namespace,
        Err(why) => crate::skip!("{why}"),
    };
    let zoo = Zoo::start(&namespace, &[]).unwrap();
    for (kind, reason) in zoo.absent() {
        let expected = may_be_absent(kind, reason, namespace.second_device().is_some());
        assert!(expected, "{kind} cannot be made: {reason}");
    }
    assert!(zoo.made().len() > 100, "{}", zoo.made().len());
}

#[test]
fn every_socket_made_is_listed_once() {
    let Some(sight) = sight() else { return };
    let mut wanted = BTreeMap::<_, usize>::new();
    for made in &sight.made {
        *wanted.entry((made.kind.get(..3), made.local_port(), made.peer_port())).or_default() += 1;
    }
    for (table, rows) in [("tcp", &sight.tcp), ("udp", &sight.udp), ("raw", &sight.raw)] {
        assert!(!rows.is_empty(), "{table}");
        for row in rows {
            let count = wanted.get_mut(&(Some(table), row.ports.0, row.ports.1));
            let count = count.unwrap_or_else(|| panic!("nobody made {row:?}"));
            *count = count.checked_sub(1).unwrap_or_else(|| panic!("{row:?} is listed too often"));
        }
    }
    wanted.retain(|_, count| *count > 0);
    assert!(wanted.is_empty(), "not listed: {wanted:?}");
}

#[test]
fn no_two_kinds_share_a_port() {
    let Some(sight) = sight() else { return };
    let mut owners = BTreeMap::new();
    for made in sight.made.iter().filter(|made| !["tcp-ports", "tcp-service"].contains(&made.kind.as_str())) {
        let key = (made.kind.get(..3), made.local_port());
        let owner = owners.entry(key).or_insert(&made.kind);
        assert_eq!(*owner, &made.kind, "port {}", made.local_port());
    }
}

#[test]
fn every_state_is_there() {
    let Some(sight) = sight() else { return };
    for (kind, state) in [
        ("tcp-listen", "LISTEN"),
        ("tcp-idle", "ESTAB"),
        ("tcp-syn-sent", "SYN-SENT"),
        ("tcp-syn-sent6", "SYN-SENT"),
        ("tcp-syn-recv", "SYN-RECV"),
        ("tcp-syn-recv6", "SYN-RECV"),
        ("tcp-fin-wait-1", "FIN-WAIT-1"),
        ("tcp-fin-wait-2", "FIN-WAIT-2"),
        ("tcp-close-wait", "CLOSE-WAIT"),
        ("tcp-last-ack", "LAST-ACK"),
        ("tcp-closing", "CLOSING"),
        ("tcp-time-wait", "TIME-WAIT"),
        ("tcp-time-wait6", "TIME-WAIT"),
        ("tcp-bound", "UNCONN"),
        ("tcp-bound6", "UNCONN"),
        ("tcp-orphan", "FIN-WAIT-1"),
        ("tcp-shutdown-read", "ESTAB"),
        ("tcp-shutdown-both", "FIN-WAIT-2"),
        ("tcp-defer-connect", "SYN-SENT"),
        ("tcp-listen-full", "SYN-SENT"),
        ("udp-connected", "ESTAB"),
        ("udp-unconnected", "UNCONN"),
        ("raw-icmp", "ESTAB"),
    ] {
        let rows = sight.rows(kind);
        assert!(rows.iter().any(|row| row.state == state), "{kind}: no {state} in {rows:?}");
    }
}

#[test]
fn queues_hold_what_was_put_in() {
    let Some(sight) = sight() else { return };
    for (kind, queues) in [
        ("tcp-listen", (0, 128)),
        ("tcp-listen-partial", (3, 16)),
        ("tcp-listen-full", (2, 1)),
        ("tcp-established", (3000, 0)),
        ("tcp-established", (0, 500)),
        ("tcp-established6", (3000, 0)),
        ("tcp-established6", (0, 500)),
        ("tcp-established-mapped", (3000, 0)),
        ("tcp-established-mapped", (0, 500)),
        ("tcp-retransmit", (0, 100)),
        // The FIN counts as a byte.
        ("tcp-close-wait", (701, 0)),
        ("tcp-orphan", (0, 901)),
    ] {
        let rows = sight.rows(kind);
        assert!(rows.iter().any(|row| row.queues == queues), "{kind}: {queues:?} in {rows:?}");
    }
    let unread = |kind| sight.rows(kind).iter().map(|row| row.queues.0).max().unwrap();
    assert!(unread("udp-queued") >= 5000);
    assert!(sight.rows("tcp-persist").iter().any(|row| row.queues.1 > 0));
}

#[test]
fn marks_keys_timers_and_owners_show() {
    let Some(sight) = sight() else { return };
    for (kind, token) in [
        ("tcp-keepalive", "timer:(keepalive,116min,0)"),
        ("tcp-persist", "timer:(persist,"),
        ("tcp-retransmit", "timer:(on,"),
        ("tcp-time-wait", "timer:(timewait,"),
        ("tcp-mark", "fwmark:0x1234"),
        ("tcp-mark", "fwmark:0xfffffffe"),
        ("tcp-tos", "tos:0x10"),
        ("tcp-tos", "class_id:0x6"),
        ("tcp-tclass", "tclass:0x28"),
        ("tcp-pacing", "/10Mbps"),
        ("tcp-pacing", "/100000000000bps"),
        ("tcp-cc", "cubic"),
        ("tcp-cc", "reno"),
        ("tcp-md5", "md5keys:10.1.0.0/16=\\001\\177\\377\\054,127.0.0.1/32=a\\040key\\134x"),
        ("tcp-md5-6", "md5keys:2001:db8::/32=\\001\\177\\377\\054,::1/128=a\\040key\\134x"),
        ("tcp-owner", "uid:1000"),
        (
            "tcp-sockopt-on",
            "( recverr is_icsk freebind mc_loop transparent mc_all bind_addr_no_port recverr_rfc4884)",
        ),
        ("tcp-sockopt-off", "inet-sockopt: ( is_icsk)"),
        ("tcp-defer-connect", "defer_connect"),
        ("tcp-orphan", "ino:0"),
        ("tcp-shutdown-read", "-->"),
        ("tcp-shutdown-both", "---"),
        ("tcp-listen-v6only", "v6only:1"),
        ("tcp-listen-dual", "v6only:0"),
        ("udp-device", "fwmark:0x4d"),
        ("udp-shutdown", "---"),
        ("udp6-v6only", "v6only:1"),
        ("udp-sockopt", "( recverr freebind transparent bind_addr_no_port recverr_rfc4884)"),
    ] {
        if sight.is_absent(kind) {
            continue;
        }
        // The test lists with -n, where rates are plain; without it they would read 10Mbps.
        let token = if token == "/10Mbps" { "/10000000bps" } else { token };
        let rows = sight.rows(kind);
        assert!(rows.iter().any(|row| row.extra.contains(token)), "{kind}: no {token} in {rows:#?}");
    }
    let drops = sight.rows("udp-drops");
    assert!(drops.iter().any(|row| !row.extra.contains(",d0)")), "{drops:?}");
    assert!(sight.rows("tcp-listen-device").iter().all(|row| row.local == "0.0.0.0%lo:5106"));
    assert!(sight.rows("tcp-listen6-device").iter().all(|row| row.local == "*%lo:5107"));
    if sight.second_device {
        assert!(sight.rows("udp-linklocal").iter().all(|row| row.local.starts_with("[fe80::1]%")));
    }
}

#[test]
fn only_what_was_asked_for_is_made_and_it_goes_away() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let zoo = Zoo::start(&namespace, &["udp-any", "tcp-listen"]).unwrap();
    let made: Vec<_> = zoo.made().iter().map(|made| (made.kind.as_str(), made.local.as_str())).collect();
    assert_eq!(made, [("tcp-listen", "127.0.0.1:5101"), ("udp-any", "0.0.0.0:6002")]);
    let lines = || {
        let out = namespace.command("cat").args(["/proc/net/tcp", "/proc/net/udp"]).output().unwrap();
        String::from_utf8(out.stdout).unwrap().lines().count()
    };
    assert_eq!(lines(), 4, "two headings and two sockets");
    drop(zoo);
    assert_eq!(lines(), 2);
    let unknown = Zoo::start(&namespace, &["unicorn"]).unwrap_err();
    assert!(unknown.to_string().contains("ended before"), "{unknown}");
}

#[test]
fn kinds_are_fit_to_list() {
    let mut seen = BTreeSet::new();
    for (name, doc) in kinds() {
        assert!(seen.insert(name), "{name} is there twice");
        assert!(doc.ends_with('.'), "{name}: not a sentence");
        assert!(["tcp", "udp", "raw"].iter().any(|protocol| name.starts_with(protocol)), "{name}");
    }
}
