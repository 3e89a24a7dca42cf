//! Shared by the tests of filters: a fixed world of names, random filters and random
//! sockets.

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]
// Every test file is a crate of its own and uses only a part of this module.
#![allow(dead_code, unreachable_pub)]

pub mod diag;

use fastrand::Rng;
use sockdiag::fields::{Catalog, Reading};
use sockdiag::filter::{
    CgroupError, Comparison, Context, End, EvalContext, Expr, FieldTest, FilterError, HostCondition, Lookups,
    Mismatch, Node, Parsed, Prefix, Test, Transport, Wanted, parse,
};
use sockdiag::model::{Addr, Family, Origin, Record, Row, Socket, SourceKind, Table, TableSet};
use sockdiag_testkit::bytecode::Entry;

/// The ephemeral range of every test.
pub const CTX: EvalContext = EvalContext { ports: (32768, 60999) };

/// Names that exist: `lo`, `localhost`, `many` (three addresses), `ssh`,
/// `domain`, the cgroup `/user`.
pub struct World;

impl Lookups for World {
    fn service(&mut self, name: &[u8], transport: Transport) -> Option<u16> {
        match (name, transport) {
            (b"domain", _) => Some(53),
            (b"ssh", Transport::Tcp) => Some(22),
            _ => None,
        }
    }

    fn rpc_service(&mut self, _: &[u8]) -> Option<u16> {
        None
    }

    fn hosts(&mut self, name: &[u8], family: Option<Family>) -> Vec<Addr> {
        let v4 = [Addr::V4([10, 0, 0, 1]), Addr::V4([127, 0, 0, 1])];
        let v6 = [Addr::V6(MAPPED)];
        match (name, family) {
            (b"many", None) => v4.into_iter().chain(v6).collect(),
            (b"many", Some(Family::Inet)) => v4.to_vec(),
            (b"many", Some(Family::Inet6)) => v6.to_vec(),
            (b"localhost", None | Some(Family::Inet)) => vec![Addr::V4([127, 0, 0, 1])],
            _ => Vec::new(),
        }
    }

    fn interface(&mut self, name: &[u8]) -> Option<u32> {
        (name == b"lo").then_some(1)
    }

    fn cgroup(&mut self, path: &[u8]) -> Result<u64, CgroupError> {
        if path == b"/user" {
            return Ok(7);
        }
        Err(CgroupError::NoId { errno: 2 })
    }

    fn cgroup_condition_supported(&mut self) -> bool {
        true
    }
}

/// Parses words in the fixed world, with the tcp and udp tables shown.
pub fn read(words: &[&[u8]]) -> Result<Parsed, FilterError> {
    let catalog = Catalog::standard();
    let tables = TableSet::of(&[Table::Tcp, Table::Udp]);
    parse(words, None, Context { catalog: &catalog, preferred: None, tables, lookups: &mut World })
}

/// Parses one word.
pub fn read_line(text: &[u8]) -> Result<Parsed, FilterError> {
    read(&[text])
}

/// Parses a filter that is valid and not empty.
pub fn expr(text: &str) -> Expr {
    possible(text).unwrap_or_else(|| panic!("{text:?} can never hold"))
}

/// The same; `None` if conditions exclude each other, as random ones may.
pub fn possible(text: &str) -> Option<Expr> {
    match read_line(text.as_bytes()) {
        Ok(Parsed { expr: Some(expr), .. }) => Some(expr),
        Err(FilterError::Value { why: Mismatch::Contrary(_), .. }) => None,
        other => panic!("{text:?}: {other:?}"),
    }
}

/// `::ffff:10.0.0.1`.
pub const MAPPED: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1];

/// The addresses of all filters and sockets, few so that they match often: some differ in
/// one bit only, some only in their family.
const V4: [[u8; 4]; 6] = [[0; 4], [10, 0, 0, 1], [10, 0, 0, 3], [127, 0, 0, 1], [1, 2, 3, 4], [255; 4]];
const V6: [[u8; 16]; 7] = [
    [0; 16],
    MAPPED,
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4],
    [10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    [1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9],
];
const PORTS: [u16; 10] = [0, 1, 22, 53, 80, 1024, 32768, 40000, 60999, 65535];

/// A port in some notation; with `wild` also a number that is not a port.
fn port(rng: &mut Rng, wild: bool) -> String {
    let port = PORTS[rng.usize(..PORTS.len())];
    match rng.u8(..if wild { 12 } else { 6 }) {
        0 => format!(":{port}"),
        1 => format!("{port:#x}"),
        2 => "domain".into(),
        3..=5 => port.to_string(),
        6 => "*".into(),
        7 => "70000".into(),
        8 => "-5".into(),
        9 => "4294967376".into(),
        10 => "65536".into(),
        _ => (i64::from(port) + 65536).to_string(),
    }
}

fn host(rng: &mut Rng) -> String {
    let addr = match rng.u8(..12) {
        0 => "*".into(),
        1 => "any".into(),
        2 => "many".into(),
        3..=6 => {
            let addr = std::net::Ipv4Addr::from(V4[rng.usize(..V4.len())]);
            if rng.bool() { addr.to_string() } else { format!("{addr}/{}", rng.u8(..=32)) }
        }
        _ => {
            let addr = std::net::Ipv6Addr::from(V6[rng.usize(..V6.len())]);
            if rng.bool() { format!("[{addr}]") } else { format!("[{addr}/{}]", rng.u8(..=128)) }
        }
    };
    if rng.u8(..3) == 0 { format!("{addr}:{}", PORTS[rng.usize(..PORTS.len())]) } else { addr }
}

/// Which conditions a random filter may contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only conditions that the reference sends to the kernel, with valid ports and without
    /// `autobound`.
    Exact,
    /// Everything in the language, and fields by name.
    Any,
}

fn condition(rng: &mut Rng, kind: Kind) -> String {
    let compare =
        |rng: &mut Rng| *rng.choice(["=", "!=", "<", ">", "<=", ">=", "ge", "neq"].iter()).unwrap_or(&"=");
    let equal = |rng: &mut Rng| *rng.choice(["", "= ", "!= "].iter()).unwrap_or(&"");
    let any = kind == Kind::Any;
    match rng.u8(..if any { 13 } else { 8 }) {
        0 | 1 => format!("sport {} {}", compare(rng), port(rng, any)),
        2 => format!("dport {} {}", compare(rng), port(rng, any)),
        3 | 4 => format!("src {}", host(rng)),
        5 => format!("dst = {}", host(rng)),
        6 => format!("fwmark {}{}/{:#x}", equal(rng), rng.u8(..4), rng.u8(..8)),
        7 => format!("cgroup {}/user", equal(rng)),
        8 | 9 => format!("dev {}{}", equal(rng), rng.u8(..3)),
        10 => "autobound".into(),
        11 => format!("tcp.rtt_us {} {}", compare(rng), rng.u8(1..4)),
        _ => {
            // A comparison that no port can satisfy is refused, so avoid both limits.
            let port = PORTS[rng.usize(..PORTS.len())].clamp(1, 65534);
            format!("local.port {} {port}", compare(rng))
        }
    }
}

/// A random filter that parses.
pub fn text(rng: &mut Rng, kind: Kind, depth: u8) -> String {
    let mut text = String::new();
    for at in 0..=rng.u8(..4) {
        if at > 0 {
            text.push_str([" and ", " or ", " ", " || ", " & "][rng.usize(..5)]);
        }
        if rng.u8(..4) == 0 {
            text.push_str(["! ", "not ", "! ! "][rng.usize(..3)]);
        }
        if depth > 0 && rng.u8(..3) == 0 {
            let inner = self::text(rng, kind, depth - 1);
            text.extend(["( ", &inner, " )"]);
        } else {
            text.push_str(&condition(rng, kind));
        }
    }
    text
}

/// A random socket: the bytes of its reply, and the kernel's facts about it.
pub fn socket(rng: &mut Rng) -> (Vec<u8>, Entry) {
    let mut entry = Entry {
        family: if rng.bool() { 2 } else { 10 },
        sport: PORTS[rng.usize(..PORTS.len())],
        dport: PORTS[rng.usize(..PORTS.len())],
        ifindex: rng.u32(..3),
        mark: rng.u32(..8),
        cgroup_id: rng.u64(5..9),
        ..Entry::default()
    };
    for addr in [&mut entry.saddr, &mut entry.daddr] {
        if entry.family == 2 {
            addr[..4].copy_from_slice(&V4[rng.usize(..V4.len())]);
        } else {
            *addr = V6[rng.usize(..V6.len())];
        }
    }
    entry.userlocks_bindport = rng.bool();
    let mut bytes = vec![entry.family, 1, 0, 0];
    bytes.extend_from_slice(&entry.sport.to_be_bytes());
    bytes.extend_from_slice(&entry.dport.to_be_bytes());
    bytes.extend_from_slice(&entry.saddr);
    bytes.extend_from_slice(&entry.daddr);
    bytes.extend_from_slice(&entry.ifindex.to_ne_bytes());
    bytes.resize(72, 0);
    let mut attr = |kind: u16, payload: &[u8]| {
        bytes.extend_from_slice(&(4 + payload.len() as u16).to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(payload);
    };
    attr(15, &entry.mark.to_ne_bytes());
    attr(21, &entry.cgroup_id.to_ne_bytes());
    if rng.bool() {
        let mut tcp_info = [0; 72];
        tcp_info[68] = rng.u8(..3);
        attr(2, &tcp_info);
    }
    (bytes, entry)
}

/// Decodes a reply as a record from this kind of source.
pub fn decode(bytes: &[u8], kind: SourceKind) -> Socket<'_> {
    Socket::decode(Record { origin: Origin::of(Table::Tcp, kind), bytes })
        .unwrap_or_else(|| panic!("no socket: {bytes:?}"))
}

/// Whose rules a condition is tested by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sense {
    /// The program's rules: bits, in any family; `autobound` by the range.
    Program,
    /// The kernel's rules.
    Kernel,
}

/// Whether a socket should match: a second, plain implementation of the rules, which uses
/// the kernel's facts and not the row.
pub fn wanted(expr: &Expr, sense: Sense, entry: &Entry, row: &Row<'_>) -> bool {
    let mut values: Vec<bool> = Vec::new();
    for (at, node) in expr.nodes().iter().enumerate() {
        let value = match node {
            Node::Test(test) => holds(test, sense, entry, row),
            Node::Not => !values[at - 1],
            Node::And(left) => values[*left] && values[at - 1],
            Node::Or(left) => values[*left] || values[at - 1],
        };
        values.push(value);
    }
    values[values.len() - 1]
}

fn holds(test: &Test, sense: Sense, entry: &Entry, row: &Row<'_>) -> bool {
    let port_of = |end: End| i64::from(if end == End::Local { entry.sport } else { entry.dport });
    match test {
        Test::PortAtLeast(end, port) => port_of(*end) >= *port,
        Test::PortAtMost(end, port) => port_of(*end) <= *port,
        Test::Device(_, index) => entry.ifindex == *index,
        Test::Mark { mark, mask, .. } => entry.mark & mask == *mark,
        Test::Cgroup(_, id) => entry.cgroup_id == *id,
        Test::Autobound if sense == Sense::Kernel => !entry.userlocks_bindport,
        Test::Autobound => entry.sport >= CTX.ports.0 && entry.sport <= CTX.ports.1,
        Test::Field(test) => field_holds(test, row),
        Test::Host(end, HostCondition::Inet { prefixes, port }) => {
            let addr = if *end == End::Local { &entry.saddr } else { &entry.daddr };
            port.is_none_or(|port| port == port_of(*end))
                && prefixes.iter().any(|prefix| prefix_holds(*prefix, sense, entry.family, addr))
        }
        Test::Host(..) => panic!("no filter here holds other families"),
    }
}

fn prefix_holds(prefix: Prefix, sense: Sense, family: u8, addr: &[u8; 16]) -> bool {
    // Compares the first `len` bits.
    let same = |rule: &[u8], addr: &[u8], len: u8| {
        let number = |bytes: &[u8]| {
            let mut all = [0; 16];
            all[..bytes.len()].copy_from_slice(bytes);
            u128::from_be_bytes(all)
        };
        len == 0 || (number(rule) ^ number(addr)) >> (128 - u32::from(len)) == 0
    };
    let mapped = family == 10 && addr[..12] == MAPPED[..12];
    match prefix {
        Prefix::Any | Prefix::V4(_, 0) | Prefix::V6(_, 0) if sense == Sense::Program => true,
        Prefix::Any => true,
        Prefix::V4(rule, len) => {
            let own = (sense == Sense::Program || family == 2) && same(&rule, &addr[..4], len);
            own || mapped && same(&rule, &addr[12..], len)
        }
        Prefix::V6(rule, len) => (sense == Sense::Program || family == 10) && same(&rule, addr, len),
    }
}

fn field_holds(test: &FieldTest, row: &Row<'_>) -> bool {
    let value = match test.field().read(row) {
        Reading::Value(value) => value.as_i128(),
        // A time without a value is neither less nor greater.
        Reading::None
            if test.field().unit().is_time()
                && !matches!(test.comparison(), Comparison::Eq | Comparison::Ne) =>
        {
            None
        }
        // A missing port is shown as zero, and compared as zero.
        Reading::None => Some(0),
        _ => None,
    };
    let (Some(value), [Wanted::Whole(wanted)]) = (value, test.wanted()) else { return false };
    match test.comparison() {
        Comparison::Eq => value == *wanted,
        Comparison::Ne => value != *wanted,
        Comparison::Lt => value < *wanted,
        Comparison::Le => value <= *wanted,
        Comparison::Gt => value > *wanted,
        Comparison::Ge => value >= *wanted,
    }
}
