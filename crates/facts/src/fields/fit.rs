//! A test that reads every field from sockets of every table: whatever bytes a source sends,
//! each value has the kind that the table declares.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use std::collections::HashSet;

use sockdiag_wire::attr::{attrs, put};
use sockdiag_wire::inet_diag::{
    INET_DIAG_CGROUP_ID, INET_DIAG_INFO, INET_DIAG_MARK, INET_DIAG_PROTOCOL, INET_DIAG_SHUTDOWN,
    INET_DIAG_SOCKOPT, INET_DIAG_ULP_INFO, MSG_LEN,
};
use sockdiag_wire::smc_diag::SMC_DIAG_FALLBACK;
use sockdiag_wire::tipc_diag::{TIPC_NLA_SOCK, TIPC_NLA_SOCK_CON, TIPC_NLA_SOCK_STAT};
use sockdiag_wire::ulp::{INET_ULP_INFO_MPTCP, INET_ULP_INFO_TLS};

use super::*;
use crate::model::families::Family;
use crate::model::surroundings::QOS_CLASSES;
use crate::model::tables::TABLES;
use crate::model::{
    Abi, Addr, AddressCache, Arrival, ContextCache, Holder, HolderCache, HostCache, IdentityCache,
    MessageKind, Named, Names, Netns, Origin, Peer, PortShare, Process, Record, Socket, SourceKind, Table,
    UserNamespace, Window, Workload,
};
use crate::past::{CounterSet, Earlier, MOST_WORDS, Past, Slots};

/// Pseudo-random numbers, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> usize {
        (self.next() % limit) as usize
    }

    /// Bytes that are all equal, all small, or arbitrary.
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let form = self.below(4);
        (0..len)
            .map(|_| match form {
                0 => 0xff,
                1 => (self.next() % 8) as u8,
                2 => 0,
                _ => self.next() as u8,
            })
            .collect()
    }
}

/// Attributes of kinds below `kinds`, complete and cut; some contain nested ones.
fn attributes(
    numbers: &mut Numbers,
    kinds: u16,
    longest: u64,
    nested: &mut dyn FnMut(u16, &mut Numbers) -> Option<Vec<u8>>,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    for kind in 0..kinds {
        let payload = nested(kind, numbers).unwrap_or_else(|| {
            let len = if numbers.below(3) == 0 { numbers.below(longest) } else { longest as usize };
            numbers.bytes(len)
        });
        put(&mut bytes, kind, &payload);
    }
    bytes
}

/// The attributes of a protocol layered on TCP.
fn ulp(numbers: &mut Numbers) -> Vec<u8> {
    attributes(numbers, 4, 8, &mut |kind, numbers| match kind {
        INET_ULP_INFO_TLS | INET_ULP_INFO_MPTCP => Some(attributes(numbers, 12, 8, &mut |_, _| None)),
        _ => None,
    })
}

/// The offset in `sctp_info` of the family of the primary path's address.
const PRIMARY: usize = 168;
/// A reason for falling back to TCP that has a word.
const NO_DEVICE: u32 = 0x0303_0000;

/// A message of the table's family with attributes of all kinds.
fn reply(table: Table, numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = numbers.bytes(match table.message_kind() {
        MessageKind::Inet => 72,
        MessageKind::Unix | MessageKind::Packet | MessageKind::Xdp => 16,
        MessageKind::Netlink => 28,
        MessageKind::Vsock => 32,
        MessageKind::Smc => 64,
        MessageKind::Tipc => {
            // A reply with truncated numbers would not be a socket.
            let mut whole = |_: u16, numbers: &mut Numbers| Some(numbers.bytes(4));
            let socket = attributes(numbers, 13, 8, &mut |kind, numbers| match kind {
                TIPC_NLA_SOCK_STAT | TIPC_NLA_SOCK_CON => Some(attributes(numbers, 6, 4, &mut whole)),
                _ => Some(numbers.bytes(8)),
            });
            let mut bytes = Vec::new();
            put(&mut bytes, TIPC_NLA_SOCK, &socket);
            return bytes;
        }
    });
    bytes[0] = match table.message_kind() {
        MessageKind::Inet => [2, 10][numbers.below(2)],
        MessageKind::Unix => Family::Unix.number(),
        MessageKind::Netlink => Family::Netlink.number(),
        MessageKind::Packet => Family::Packet.number(),
        MessageKind::Vsock => Family::Vsock.number(),
        MessageKind::Xdp => Family::Xdp.number(),
        MessageKind::Smc => Family::Smc.number(),
        MessageKind::Tipc => Family::Tipc.number(),
    };
    // States and types that mostly exist.
    if numbers.below(4) > 0 {
        bytes[1] = numbers.below(13) as u8;
        bytes[2] = numbers.below(6) as u8;
    }
    let longest = [8, 44, 280, 400][numbers.below(4)];
    bytes.extend(attributes(numbers, 25, longest, &mut |kind, numbers| match (table.message_kind(), kind) {
        // Another protocol would move the socket to another table.
        (MessageKind::Inet, INET_DIAG_PROTOCOL) => Some(Vec::new()),
        (MessageKind::Inet, INET_DIAG_ULP_INFO) => Some(ulp(numbers)),
        (MessageKind::Inet, INET_DIAG_INFO) if table == Table::Sctp && numbers.below(2) == 0 => {
            let mut info = numbers.bytes(368);
            info[PRIMARY..PRIMARY + 2].copy_from_slice(&2_u16.to_ne_bytes());
            Some(info)
        }
        (MessageKind::Smc, SMC_DIAG_FALLBACK) if numbers.below(2) == 0 => {
            Some([NO_DEVICE, 0].map(u32::to_ne_bytes).concat())
        }
        _ => None,
    }));
    bytes
}

/// A line of /proc text of a table.
fn line(table: Table, numbers: &mut Numbers) -> Vec<u8> {
    let mut number = |most: u64| [0, 1, numbers.next() % most, most - 1][numbers.below(4)];
    let wide = 1 << 32;
    let text = match table.message_kind() {
        MessageKind::Unix => format!(
            "{:016x}: {:08X} 00000000 {:08X} {:04X} {:02X} {} /run/x\n/run/peer",
            number(u64::MAX),
            number(9),
            number(wide),
            number(6),
            number(5),
            number(wide)
        ),
        MessageKind::Netlink => format!(
            "{:016x} {} {} {:08x} {} {} {} {} {} {}",
            number(u64::MAX),
            number(256),
            number(wide) as i32,
            number(wide),
            number(wide),
            number(wide),
            number(2),
            number(9),
            number(wide),
            number(wide)
        ),
        MessageKind::Packet => format!(
            "{:016x} {} {} {:04x} {} {} {} {} {}",
            number(u64::MAX),
            number(9),
            number(11),
            number(1 << 16),
            number(wide),
            number(2),
            number(wide),
            number(wide),
            number(wide)
        ),
        _ => format!(
            "{:4}: {:08X}:{:04X} {:08X}:{:04X} {:02X} {:08X}:{:08X} {:02X}:{:08X} {:08X} {} {} {} {} {:016x} {} {} {} {} {} rest",
            number(99),
            number(wide),
            number(1 << 16),
            number(wide),
            number(1 << 16),
            number(256),
            number(wide),
            number(wide),
            number(8),
            number(wide),
            number(wide),
            number(wide),
            number(wide) as i32,
            number(wide),
            number(wide),
            number(u64::MAX),
            number(wide) as i32,
            number(wide) as i32,
            number(wide) as i32,
            number(wide),
            number(wide) as i32,
        ),
    };
    text.into_bytes()
}

/// A machine on which everything has a name.
struct Everything;

impl HostCache for Everything {
    fn host(&self, _: Addr) -> Option<&[u8]> {
        Some(b"host")
    }
}

impl AddressCache for Everything {
    fn addresses(&self, _: u32, take: &mut dyn FnMut(Addr)) {
        take(Addr::V4([10, 0, 0, 1]));
    }
}

impl HolderCache for Everything {
    fn holders(&self, _: u32, take: &mut dyn FnMut(Holder<'_>)) {
        take(Holder { name: b"name", pid: 7, tid: 7, fd: 3 });
    }
}

impl ContextCache for Everything {
    fn kernel(&self) -> Option<&[u8]> {
        Some(b"kernel")
    }

    fn task(&self, _: i32) -> Option<&[u8]> {
        Some(b"task")
    }

    fn socket(&self, _: i32, _: i32) -> Option<&[u8]> {
        Some(b"socket")
    }
}

impl IdentityCache for Everything {
    fn process(&self, _: i32) -> Option<Process<'_>> {
        Some(Process { cmdline: b"a\0b\0", uid: Some(0) })
    }

    fn user(&self, _: u32) -> Option<&[u8]> {
        Some(b"user")
    }
}

fn check(name: &str, kind: Kind, value: Value<'_>) {
    let fits = match (kind, value) {
        (Kind::Int(int) | Kind::Wide(int) | Kind::Enum(int, _) | Kind::Flags(int, _), number) => {
            let is_signed = matches!(number, Value::I64(_));
            let in_range = number.as_i128().is_some_and(|number| (int.min()..=int.max()).contains(&number));
            is_signed == int.signed && in_range && matches!(number, Value::U64(_) | Value::I64(_))
        }
        (Kind::EnumText(words), Value::Text(text)) => words.iter().any(|word| word.name().as_bytes() == text),
        (Kind::Integers(int), Value::List(list)) => {
            list.each(&mut |item| match item {
                Item::Value(value) => check(name, Kind::Int(int), value),
                Item::Record(_) => panic!("{name} has records"),
            });
            true
        }
        (Kind::Texts | Kind::Addrs, Value::List(list)) => {
            let kind = if kind == Kind::Texts { Kind::Text } else { Kind::Addr };
            list.each(&mut |item| match item {
                Item::Value(value) => check(name, kind, value),
                Item::Record(_) => panic!("{name} has records"),
            });
            true
        }
        (Kind::Records(members), Value::List(list)) => {
            list.each(&mut |item| match item {
                Item::Record(values) => {
                    assert_eq!(values.len(), members.len(), "{name}");
                    for (member, value) in members.iter().zip(values) {
                        if let Some(value) = value {
                            check(&format!("{name}.{}", member.name), member.kind, *value);
                        }
                    }
                }
                Item::Value(_) => panic!("{name} has no records"),
            });
            true
        }
        (Kind::Ratio, Value::F64(_))
        | (Kind::Bool, Value::Bool(_))
        | (Kind::Text, Value::Text(_) | Value::Marked(..))
        | (Kind::Addr, Value::Addr(_)) => true,
        _ => false,
    };
    assert!(fits, "{name} of {kind:?} is {value:?}");
}

#[test]
fn every_value_is_of_the_kind_that_its_row_tells() {
    let catalog = Catalog::shared();
    let mut netns = Netns::new(u64::MAX, Some(b"name".to_vec()), Some(b"/run/netns/name".to_vec()));
    netns.owner = Some(UserNamespace { inode: 1, uid: u32::MAX });
    let text = || Some(Named::new(b"text", b"(uid 5)"));
    let mut workload = Workload {
        cgroup: b"/x".to_vec(),
        runtime: Some("docker"),
        container_id: text(),
        container_name: text(),
        pod_uid: text(),
        pod_name: text(),
        pod_namespace: text(),
        pod_qos: QOS_CLASSES.first().map(Word::name),
        unit: text(),
        slice: text(),
        session: Some(b"4".to_vec()),
        owner_uid: Some(u32::MAX),
        ..Workload::default()
    };
    workload.entitle();
    let arrival = Arrival::at(1_795_927_350_350_123_456);
    let everything = Names {
        hosts: Some(&Everything),
        local_service: Some(b"http"),
        remote_service: Some(b"http"),
        interface: Some(b"eth0"),
        protocol: Some(b"rtnl"),
        port_owner: Some(b"name"),
        cgroup: Some(b"/x"),
        arrival: Some(&arrival),
        netns: Some(&netns),
        peer: Some(Peer { inode: 7, netns: Some(&netns), candidates: 1, claimed_by: None }),
        workload: Some(&workload),
        addresses: Some(&Everything),
        port_range: Some((32768, 60999)),
        ports: PortShare::of(7, 28_232),
        holders: Some(&Everything),
        contexts: Some(&Everything),
        bpf_maps: None,
        identities: Some(&Everything),
        around: None,
    };
    let every_need = catalog.fields().fold(Needs::NONE, |needs, field| needs.union(field.needs));
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut told = HashSet::new();
    let rounds = 400;
    for (table, round) in TABLES.iter().flat_map(|facts| (0..rounds).map(|round| (facts.table, round))) {
        let kinds = [SourceKind::Kernel, SourceKind::Event, SourceKind::Recording, SourceKind::Proc];
        let kind = kinds[round % kinds.len()];
        let abi = [Abi::Linux7, Abi::Linux6_18, Abi::Unknown][round / kinds.len() % 3];
        let mut bytes =
            if kind == SourceKind::Proc { line(table, &mut numbers) } else { reply(table, &mut numbers) };
        if kind != SourceKind::Proc && table.message_kind() == MessageKind::Inet && round % 5 == 0 {
            // An IPv6 socket with IPv4 addresses, which random addresses would not produce.
            for end in [8, 24] {
                bytes[end..end + 12].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);
            }
            bytes[0] = 10;
        }
        let origin = Origin { abi, ..Origin::of(table, kind) };
        let Some(socket) = Socket::decode(Record { origin, bytes: &bytes }) else { continue };
        let slots = Slots::of(every_need.counters());
        let mut words = [0; MOST_WORDS];
        let had = socket.tcp_info().map_or(CounterSet::EMPTY, |info| slots.keep(info, &mut words));
        // Since the previous observation, every counter has increased.
        for word in &mut words {
            *word = word.saturating_sub(round as u32 % 2);
        }
        let earlier = Earlier { window: Window::new(5, 6), slots: &slots, words: &words, had };
        let window = Window::new(1_000_000, 1_000_001);
        let past = Past { window, first_seen_ns: 3, opening_seen: true, earlier: Some(earlier), ended: None };
        let (association, past) = (round % 2 == 0, Some(&past));
        let mut row = Row { names: everything, association, past, ..Row::bare(&socket) };
        // If the other end could be faked, fewer fields are reported.
        row.names.peer = everything.peer.map(|peer| Peer { claimed_by: [None, Some(5)][round % 2], ..peer });
        let descriptions = catalog.descriptions().iter();
        let of_kind = descriptions.filter(|description| description.message_kind == socket.message_kind());
        for field in of_kind.flat_map(|description| &description.parts).flat_map(|part| &part.fields) {
            if let Some(value) = (field.get)(&row) {
                check(field.name, field.kind, value);
                told.insert(field.name);
                let (special, number) = (field.read(&row), value.as_i128());
                let is_special = matches!(special, Reading::None | Reading::Unlimited);
                let specials = [field.none_number(), field.unlimited_number()];
                if special == Reading::Absent {
                    assert_eq!((field.value(&row), field.records == Records::All), (None, false));
                    continue;
                }
                assert_eq!(is_special, number.is_some() && specials.contains(&number), "{}", field.name);
            }
        }
    }
    let names: HashSet<&str> = catalog.fields().map(|field| field.name).collect();
    let mut untold: Vec<&&str> = names.difference(&told).collect();
    untold.sort();
    // This field never has a value, since packet sockets have no other end.
    assert_eq!(untold, [&"packet.peer"], "never told");
}

/// An inet_diag reply without one of the parts that a walk of the kernel's tables omits if
/// they are not needed.
fn without(reply: &[u8], part: Needs) -> Vec<u8> {
    let (mut fixed, rest) = (reply[..MSG_LEN].to_vec(), &reply[MSG_LEN..]);
    let (begin, end) = match part {
        Needs::TIMER => (2, 4),
        Needs::COOKIE => (44, 52),
        Needs::OWNER => (64, 72),
        _ => (0, 0),
    };
    fixed[begin..end].fill(0);
    if part == Needs::TIMER {
        fixed[52..56].fill(0);
    }
    let unasked = [INET_DIAG_SHUTDOWN, INET_DIAG_MARK, INET_DIAG_CGROUP_ID, INET_DIAG_SOCKOPT];
    for attr in attrs(rest).filter(|attr| part != Needs::UNASKED || !unasked.contains(&attr.kind)) {
        put(&mut fixed, attr.kind, attr.payload);
    }
    fixed
}

#[test]
fn a_row_tells_which_parts_of_a_reply_it_reads() {
    let catalog = Catalog::shared();
    let names = Names { holders: Some(&Everything), identities: Some(&Everything), ..Names::default() };
    let names = Names { contexts: Some(&Everything), cgroup: Some(b"/x"), ..names };
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut untold = std::collections::BTreeSet::new();
    let mut found = 0;
    // Fields with further needs get complete replies.
    let whole = Needs::CGROUPS.union(Needs::USERS).union(Needs::CONTEXTS).union(Needs::COMMANDS);
    let whole = whole.union(Needs::ENDING);
    for round in 0..400 {
        let mut bytes = reply(Table::Tcp, &mut numbers);
        bytes[0] = [2, 10][round % 2];
        // The value, and the text that `ss` prints.
        let text_of = |bytes: &[u8], field: &Field| {
            let origin = Origin::of(Table::Tcp, SourceKind::Kernel);
            let socket = Socket::decode(Record { origin, bytes }).expect("a socket");
            let row = Row { names, ..Row::bare(&socket) };
            let mut text = Vec::new();
            match (field.get)(&row) {
                Some(Value::List(list)) => {
                    list.each(&mut |item| text.extend_from_slice(format!("{item:?}").as_bytes()));
                }
                value => text.extend_from_slice(format!("{value:?}").as_bytes()),
            }
            if let Text::Custom(put) | Text::Column(_, put) = field.ss.text {
                put(&mut text, &row, Style::default());
            }
            text
        };
        for part in [Needs::TIMER, Needs::COOKIE, Needs::OWNER, Needs::UNASKED] {
            let lean = without(&bytes, part);
            // Fields of /proc text are only printed for lines of /proc.
            let rows = catalog.descriptions().iter().filter(|rows| rows.message_kind == MessageKind::Inet);
            let rows = rows.flat_map(|rows| &rows.parts).flat_map(|part| &part.fields);
            for field in rows.filter(|field| !field.name.starts_with("proc.")) {
                let told = match part {
                    Needs::OWNER => field.needs.intersects(part.union(Needs::PROCESSES).union(whole)),
                    _ => field.needs.intersects(part.union(whole)),
                };
                if !told && text_of(&bytes, field) != text_of(&lean, field) {
                    untold.insert((field.name, format!("{part:?}")));
                }
                found +=
                    usize::from(field.needs.has(part) && text_of(&bytes, field) != text_of(&lean, field));
            }
        }
    }
    assert!(untold.is_empty(), "{untold:?}");
    assert!(found > 1000, "{found}");
}
