//! The inet tables other than TCP and UDP: raw, MPTCP, SCTP.
//!
//! This machine's kernel may not offer any of them over netlink.  SCTP is compared in
//! recordings (the protocol in a reply decides how it is shown, whichever table it came from),
//! raw in /proc text and live, MPTCP live.

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]

use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::recording::{self, Msg, attr};
use sockdiag_testkit::replies::{self, Talk, done, refusal};
use sockdiag_testkit::zoo::Zoo;

use super::{Case, case, check, rest, temporary};

/// `IPPROTO_SCTP`.
const SCTP: u8 = 132;

/// Options for recordings that contain SCTP sockets among others.
const RECORDED: &[&str] = &[
    "-tan",
    "-tanHO",
    "-tano",
    "-tane",
    "-tanm",
    "-tani",
    "-tanmi",
    "-tanemoi",
    "-tanOemoi",
    "-taemoi --tos --cgroup --inet-sockopt",
    "-taiHO sport > 1024",
    "-tBn -i",
    "-tan -i state established",
    "-6tani",
];

fn sctp(state: u8, inode: u32) -> Msg {
    let mut msg = Msg::v4().with(attr::PROTOCOL, [SCTP]);
    (msg.state, msg.inode) = (state, inode);
    msg
}

/// A `struct sockaddr_storage`.
fn storage(family: u16, rest: &[u8]) -> Vec<u8> {
    let mut bytes = family.to_ne_bytes().to_vec();
    bytes.extend_from_slice(rest);
    bytes.resize(128, 0);
    bytes
}

/// Endpoints and associations, to compare which row is nested below which.
fn trees() -> Vec<(&'static str, Vec<Msg>)> {
    let tcp = |inode| {
        let mut msg = Msg::v4();
        msg.inode = inode;
        msg
    };
    let other_port = |mut msg: Msg| {
        msg.sport = 9;
        msg
    };
    let mut six = Msg::v6().with(attr::PROTOCOL, [SCTP]);
    six.inode = 5;
    vec![
        ("tree", vec![sctp(10, 5), sctp(3, 5), sctp(3, 5), sctp(10, 6), sctp(1, 5)]),
        ("mixed", vec![tcp(5), sctp(3, 5), tcp(5), sctp(3, 5), tcp(6), sctp(3, 5), tcp(5)]),
        (
            "filtered",
            vec![sctp(10, 5), other_port(sctp(1, 6)), sctp(3, 5), other_port(sctp(10, 7)), sctp(3, 7)],
        ),
        ("no-inode", vec![sctp(10, 0), sctp(3, 0)]),
        ("families", vec![sctp(10, 5), six, sctp(3, 5)]),
        ("states", (0..8).flat_map(|state| [sctp(7, 5), sctp(state, 5)]).collect()),
    ]
}

/// Address lists, complete but partly of unknown families.
fn lists() -> Vec<(&'static str, Vec<Msg>)> {
    let v4 = |octets: [u8; 4]| storage(2, &[&[0x12, 0x34][..], &octets].concat());
    let v6 = |octets: [u8; 16]| storage(10, &[&[0x12, 0x34, 0, 0, 0, 0][..], &octets].concat());
    let link_local = v6([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    let mapped = v6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1]);
    let loopback = v6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    let one = |locals: &[Vec<u8>], peers: &[Vec<u8>]| {
        vec![sctp(1, 5).with(attr::LOCALS, locals.concat()).with(attr::PEERS, peers.concat())]
    };
    vec![
        ("lists", one(&[v4([10, 0, 0, 1]), link_local], &[v4([127, 0, 0, 3]), mapped, loopback.clone()])),
        ("unknown", one(&[storage(7, &[1; 20]), v4([9, 9, 9, 9])], &[v4([1, 2, 3, 4]), storage(0, &[])])),
        ("any", one(&[v6([0; 16]), v4([0; 4])], &[v6([0; 16])])),
        ("empty", one(&[], &[])),
        // For another protocol, the lists have no meaning.
        ("tcp-lists", vec![Msg::v4().with(attr::LOCALS, loopback)]),
    ]
}

/// `sctp_info` of every length at which a member ends, and timers.
fn details() -> Vec<(&'static str, Vec<Msg>)> {
    let mut infos = Vec::new();
    for length in
        [0, 4, 8, 12, 14, 16, 18, 20, 40, 52, 53, 54, 168, 344, 348, 356, 357, 358, 359, 360, 368, 400]
    {
        for fill in [0_u8, 1, 0xff] {
            let mut info = vec![fill; length];
            info.iter_mut().skip(4).zip(4_u32.to_ne_bytes()).for_each(|(old, new)| *old = new);
            infos.push(sctp(1, infos.len() as u32).with(attr::INFO, info));
        }
    }
    let timer = |kind, expires| {
        let mut msg = sctp(1, 0);
        (msg.timer, msg.expires, msg.retrans) = (kind, expires, 200);
        msg
    };
    vec![
        ("infos", infos),
        ("timers", (0..=6).map(|kind| timer(kind, 61_000)).chain([timer(255, 9_999)]).collect()),
        (
            "tcp-attributes",
            vec![
                sctp(1, 1)
                    .with(attr::MEMINFO, [1; 16])
                    .with(attr::CONG, *b"cubic\0")
                    .with(attr::BBRINFO, [1; 20])
                    .with(attr::SHUTDOWN, [3]),
            ],
        ),
    ]
}

/// Gives every socket a state that SCTP associations also have; otherwise the reference reads
/// past the end of its table of names.
fn keep_named_states(bytes: &mut [u8]) {
    const STATE: usize = 16 + 1;
    for range in recording::messages(bytes) {
        if range.len() > 72
            && let Some(state) = bytes.get_mut(range.start + STATE)
        {
            *state = (*state).min(7);
        }
    }
}

pub(super) fn recordings() -> usize {
    // In a namespace without a network, so that name look-ups do not wait.
    let namespace = Namespace::or_skip();
    let mut cases: Vec<Case<'_>> = Vec::new();
    for seed in 300..320 {
        let bytes = recording::random(&mut fastrand::Rng::with_seed(seed), 100);
        let mut bytes = recording::cut_done(&bytes);
        keep_named_states(&mut bytes);
        let path = temporary(&format!("sctp-{seed}"), &bytes);
        let looks = RECORDED.iter().enumerate().filter(|(at, _)| seed < 304 || at % 4 == seed as usize % 4);
        cases.extend(looks.map(|(_, look)| case(look).env("TCPDIAG_FILE", &path)));
    }
    for (name, msgs) in trees().into_iter().chain(lists()).chain(details()) {
        let mut bytes: Vec<u8> = msgs.iter().flat_map(Msg::to_bytes).collect();
        recording::append_done(&mut bytes);
        let path = temporary(&format!("sctp-{name}"), &bytes);
        for look in ["-tan", "-tanHO sport = :40000", "-tano", "-taneim", "-taO", "-4tan"] {
            cases.push(case(look).env("TCPDIAG_FILE", &path));
        }
        if let Some(namespace) = &namespace {
            cases.push(case("-tair").env("TCPDIAG_FILE", &path).inside(namespace));
        }
    }
    check(cases)
}

/// Options for crafted replies; the letter of the table precedes them.
const ANSWERED: &[&str] =
    &["an", "a", "anHO", "ane", "ani", "anm", "anmi", "anemoi", "aOemoi", "4an", "6ane", "an sport > 1024"];

/// A reply for each of the tables: `-M`, `-S` and `-w`.
fn answers() -> Vec<(char, u8, Vec<Msg>)> {
    let mut mptcp = Vec::new();
    for length in [0, 1, 6, 8, 12, 16, 24, 40, 41, 43, 48, 80, 81, 82, 84, 88, 92, 96, 104] {
        for fill in [0_u8, 1, 2, 7, 0xff] {
            mptcp.push(Msg::v4().with(attr::INFO, vec![fill; length]).with(attr::SKMEMINFO, [1; 36]));
        }
    }
    // Every member has a different value.
    mptcp.push(Msg::v4().with(attr::INFO, (1..=96).collect::<Vec<u8>>()).with(attr::CONG, *b"cubic\0"));
    let mut raw = vec![Msg::v4().with(attr::INFO, [1; 104]).with(attr::MEMINFO, [1; 16])];
    for protocol in [0, 1, 6, 17, 33, 58, SCTP, 200, 255] {
        let mut msg = Msg::v4().with(attr::PROTOCOL, [protocol]).with(attr::SHUTDOWN, [1]);
        (msg.sport, msg.dport, msg.inode) = (protocol.into(), 0, 77);
        raw.push(msg);
    }
    // An endpoint before each tree separates it from the last.
    let groups = trees().into_iter().chain(lists());
    let sctp = groups.flat_map(|(_, msgs)| std::iter::once(sctp(10, 99)).chain(msgs));
    vec![('M', 6, mptcp), ('S', SCTP, sctp.collect()), ('w', 255, raw)]
}

/// Replies as another machine's kernel may send them.
pub(super) fn crafted() -> usize {
    let mut cases: Vec<Case<'_>> = Vec::new();
    let mut add = |name: &str, words: &str, talk: &Talk| {
        let path = temporary(&format!("inet4-{name}"), b"");
        talk.write(&path).unwrap_or_else(|why| panic!("{why}"));
        cases.push(replies::with(case(words), &path).unwrap_or_else(|why| panic!("{why}")));
    };
    for (letter, protocol, msgs) in answers() {
        let rows: Vec<u8> = msgs.iter().filter(|msg| msg.family == 2).flat_map(Msg::to_bytes).collect();
        let six = Msg::v6().with(attr::SKV6ONLY, [1]).with(attr::SHUTDOWN, [0]).to_bytes();
        let talk =
            Talk::new().inet(2, protocol, &[rows.clone(), done(0)]).inet(10, protocol, &[six, done(0)]);
        for look in ANSWERED {
            add(&format!("{letter}"), &format!("-{letter}{look}"), &talk);
        }
        // Raw sockets would then be read from /proc, which is not frozen here.
        for errno in [1, 2, 12, 22, 95].into_iter().filter(|_| letter != 'w') {
            let words = format!("-{letter}an");
            add(
                &format!("{letter}-refused-{errno}"),
                &words,
                &Talk::new().inet(2, protocol, &[refusal(errno)]),
            );
            add(&format!("{letter}-done-{errno}"), &words, &Talk::new().inet(2, protocol, &[done(errno)]));
            let late = Talk::new().inet(2, protocol, &[rows.clone(), done(errno)]);
            add(&format!("{letter}-late-{errno}"), &words, &late);
            let half =
                Talk::new().inet(2, protocol, &[rows.clone(), done(0)]).inet(10, protocol, &[refusal(errno)]);
            add(&format!("{letter}-half-{errno}"), &words, &half);
        }
    }
    check(cases)
}

const HEADER: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops";

const RAW: &[&str] = &[
    "   1: 00000000:0001 00000000:0000 07 00000000:00000600 00:00000000 00000000     0        0 31201 2 00000000f9d8e10f 0",
    "   1: 0100007F:0001 0200007F:0000 01 00000000:00000000 00:00000000 00000000  1000        0 31202 2 00000000f9d8e10f 3",
    "  47: 00000000:002F 00000000:0000 07 00000005:00000000 00:00000000 00000000     0        0 31203 2 00000000f9d8e10f 0",
    " 253: 00000000:00FD 00000000:0000 07 FFFFFFFF:80000000 01:00000014 00000003     0        9 31204 2 00000000f9d8e10f 0",
    " 255: 00000000:00FF 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 31205 2 00000000f9d8e10f 0",
    "   6: 0100007F:0006 00000000:0050 0A 00000000:00000000 00:00000000 00000000     0        0 31205 2 00000000f9d8e10f 0",
];

const RAW6: &[&str] = &[
    "  58: 00000000000000000000000000000000:003A 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 31206 2 00000000f9d8e10f 0",
    "  89: 00000000000000000000000001000000:0059 00000000000000000000000001000000:0000 01 00000000:00000000 00:00000000 00000000     0        0 31207 2 00000000f9d8e10f 0",
];

const RAW_LOOKS: &[&str] = &[
    "-wan",
    "-wa",
    "-w",
    "-wl",
    "-wB",
    "-wanH",
    "-wanQ",
    "-wane",
    "-wanemoi",
    "-wanOemoi --tos --cgroup --inet-sockopt",
    "-war",
    "-4wan",
    "-6wan",
    "-A raw",
    "-A raw -an",
    "-wan sport = 1",
    "-wan sport > 47",
    "-wan src 127.0.0.1",
    "-wan dst 127.0.0.0/8",
    "-wan src [::1]",
    "-wan dev lo",
    "-wan fwmark = 0",
    "-wan autobound",
    "-wn state established",
    "-wn state listening",
    "-wn exclude unconnected",
];

/// Tables without /proc text: their variable empties them.
const TEXTLESS: &[(&str, &str)] = &[
    ("PROC_NET_MPTCP", "-Man"),
    ("PROC_NET_SCTP", "-San"),
    ("PROC_NET_MPTCP", "-tMan"),
    ("PROC_ROOT", "-MSwan"),
];

pub(super) fn proc_text() -> usize {
    let lines = |lines: &[&str]| format!("{HEADER}\n{}\n", lines.join("\n"));
    let raw = temporary("proc-raw", lines(RAW).as_bytes());
    let raw6 = temporary("proc-raw6", lines(RAW6).as_bytes());
    let empty = temporary("proc-raw-none", lines(&[]).as_bytes());
    let mut cases: Vec<Case<'_>> = Vec::new();
    for look in RAW_LOOKS {
        cases.push(case(look).env("PROC_NET_RAW", &raw).env("PROC_NET_RAW6", &raw6));
    }
    for look in ["-wan", "-wane"] {
        cases.push(case(look).env("PROC_NET_RAW", &raw).env("PROC_NET_RAW6", "/nonexistent"));
        cases.push(case(look).env("PROC_NET_RAW", "/nonexistent").env("PROC_NET_RAW6", &raw6));
    }
    // Port names depend on the table listed before.
    for look in ["-twa", "-wMa", "-wSa", "-wuMa"] {
        cases.push(
            case(look)
                .env("PROC_NET_RAW", &raw)
                .env("PROC_NET_RAW6", &raw6)
                .env("PROC_NET_TCP", &empty)
                .env("PROC_NET_TCP6", &empty)
                .env("PROC_NET_UDP", &empty)
                .env("PROC_NET_UDP6", &empty)
                .env("PROC_NET_MPTCP", "")
                .env("PROC_NET_SCTP", ""),
        );
    }
    for (variable, look) in TEXTLESS {
        cases.push(case(look).env(*variable, "/nonexistent").env("PROC_NET_TCP", &empty));
    }
    check(cases)
}

/// Options for MPTCP and raw sockets whose output does not change, or is masked.
const LIVE: &[&str] = &[
    "-M",
    "-Mn",
    "-Man",
    "-Ma",
    "-Ml",
    "-MBn",
    "-ManeO",
    "-Mane",
    "-Manm",
    "-Mani",
    "-Manemi",
    "-ManemoiO",
    "-Man --tos --cgroup --inet-sockopt",
    "-Mar",
    "-4Man",
    "-6Man",
    "-Man -H -Q",
    "-ManT",
    "-Manb",
    "-A mptcp -n",
    "-A mptcp,tcp -an",
    "--mptcp -an",
    "-tMan",
    "-tMa",
    "-taneM",
    "-taneMi",
    "-tuMa",
    "-uMa",
    "-Man sport = :443",
    "-Man dport = 443 or sport = 53",
    "-tMa sport = :https",
    "-Man sport > 7105",
    "-Man dst 127.0.0.1",
    "-Man src [::1]",
    "-Man dev lo",
    "-Man not dev lo",
    "-Man fwmark = 7",
    "-Man autobound",
    "-Man state listening",
    "-Mn state all exclude established",
    "-w",
    "-wa",
    "-wan",
    "-wanemoi",
    "-war",
    "-4wan",
    "-6wan",
    "-wan sport = 58",
    "-wan dst 127.0.0.2",
    "-wMan",
    "-wMa",
    "-wMSa",
    "-tuwMSa",
    "-tuwMSan",
    "-San",
    "-Sa",
    "-A sctp,raw,mptcp -an",
];

/// Masks the times since something happened, the only values that change here.
fn blot_times(bytes: &mut Vec<u8>) {
    const NAMES: [&str; 6] =
        ["last_data_sent:", "last_data_recv:", "last_ack_recv:", "lastsnd:", "lastrcv:", "lastack:"];
    let mut words: Vec<Vec<u8>> = bytes.split(|byte| *byte == b' ').map(<[u8]>::to_vec).collect();
    for word in &mut words {
        if let Some(name) = NAMES.iter().find(|name| word.starts_with(name.as_bytes())) {
            let end = word.iter().position(|byte| *byte == b'\n').unwrap_or(word.len());
            word.splice(name.len()..end, *b"N");
        }
    }
    // The padding of columns depends on the width of the times.
    words.retain(|word| !word.is_empty());
    *bytes = words.join(&b' ');
}

pub(super) fn live() -> Option<usize> {
    let namespace = Namespace::or_skip()?;
    let kinds = [
        "mptcp-established",
        "mptcp-established6",
        "mptcp-listen6",
        "mptcp-listen6-v6only",
        "mptcp-fallback",
        "mptcp-bound",
        "mptcp-pending",
        "mptcp-shutdown",
        "mptcp-device",
        "mptcp-services",
        "raw-icmp",
        "raw-icmp6",
        "raw-gre",
    ];
    let zoo = Zoo::start(&namespace, &kinds).unwrap_or_else(|why| panic!("{why}"));
    if let [(kind, reason), ..] = zoo.absent() {
        sockdiag_testkit::skip::report(format_args!("{kind} cannot be made: {reason}"));
    }
    rest(&namespace);
    let cases = LIVE.iter().map(|line| {
        let case = case(line).inside(&namespace);
        // Only `-i` prints values that change.
        if line.contains('i') { case.blot(blot_times) } else { case }
    });
    Some(check(cases))
}
