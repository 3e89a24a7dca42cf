//! Filters: from text to an answer, and from an answer to a kernel's program.
//!
//! What must hold: an expression prints as text that reads as the same
//! expression; a filter and its opposite disagree; the kernel takes every
//! program, and no program loses a socket that the filter wants.

#![allow(clippy::cast_precision_loss, reason = "small, known numbers; each cast is meant")]

use sockdiag::fields::Choice;
use sockdiag::filter::{
    Comparison, Dialect, End, Expr, FieldTest, FilterError, HostCondition, Mismatch, Node, Prefix, Test,
    program as kernel_program,
};
use sockdiag::model::{Family, Origin, Record, Row, Socket, SourceKind, Table};
use sockdiag_testkit::bytecode::{Entry, audit, run};
use sockdiag_wire::bytecode::{HostCond, MarkCond, OP_LEN, Op};

use super::good;
use super::world::{self, CONTEXT, Known};

/// Programs that are longer are not audited: that takes quadratic time.
const AUDITED: usize = 0x2000;

/// The text of a filter: words apart by NULs, and behind a newline a file.
pub(crate) fn text(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let preferred =
        [None, None, None, None, None, Some(Family::Inet), Some(Family::Inet6), Some(Family::Unix)];
    let others = [Family::Packet, Family::Netlink, Family::Vsock, Family::Tipc];
    let preferred = match usize::from(*first) {
        at @ 0..8 => preferred[at],
        at => (at < 16).then(|| others[at % 4]),
    };
    let (words, file) = match rest.iter().position(|byte| *byte == b'\n') {
        Some(at) => (rest.get(..at).unwrap_or_default(), rest.get(at + 1..)),
        None => (rest, None),
    };
    // No word of a command line is empty of itself, and an empty list is none.
    let words: Vec<&[u8]> =
        if words.is_empty() { Vec::new() } else { words.split(|byte| *byte == 0).collect() };
    world::with(|known| {
        let mut lines = file.unwrap_or_default();
        let file = file.map(|_| &mut lines as &mut dyn std::io::BufRead);
        match world::read_for(&known.catalog, preferred, &words, file) {
            Ok(parsed) => {
                if let Some(expr) = &parsed.expr {
                    reads_as_it_prints(known, expr, rest);
                    answers(expr, rest);
                }
            }
            Err(error) => {
                let text = error.to_string();
                assert!(!text.is_empty() && !text.contains(char::is_control), "{text:?}");
            }
        }
    });
}

/// Whether text can say a condition: patterns are any bytes, lists of
/// addresses have no word of their own.
fn has_words(test: &Test) -> bool {
    let plain = |text: &[u8]| {
        !text.is_empty() && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"/*_.".contains(byte))
    };
    match test {
        Test::Host(_, HostCondition::Unix(pattern)) => plain(pattern),
        Test::Host(_, HostCondition::Inet { prefixes, .. }) => prefixes.len() == 1,
        Test::Field(test) => plain(test.typed()),
        _ => true,
    }
}

fn reads_as_it_prints(known: &Known, expr: &Expr, input: &[u8]) {
    // Brackets, which an expression did not need to be written, count as depth.
    if expr.nodes().len() > 1000 || !expr.tests().all(has_words) {
        return;
    }
    let printed = expr.to_string();
    let again = world::read(&known.catalog, &[printed.as_bytes()], None);
    // What was put together from bytes may be what no socket can have.
    if let Err(FilterError::Value { why: Mismatch::Contrary(_), .. }) = again {
        return;
    }
    let again = again.unwrap_or_else(|why| panic!("{} prints as {printed}: {why}", input.escape_ascii()));
    assert_eq!(again.expr.as_ref(), Some(expr), "{} prints as {printed}", input.escape_ascii());
}

/// A filter's answers to sockets of all families, and its programs.
fn answers(expr: &Expr, seed: &[u8]) {
    let mut nodes = expr.nodes().to_vec();
    nodes.push(Node::Not);
    let opposite = Expr::new(nodes).expect("a whole expression");
    assert_eq!(expr.needs(), opposite.needs());
    assert_eq!(expr.reference_compiles(), opposite.reference_compiles());
    for table in [
        Table::Tcp,
        Table::UnixStream,
        Table::Netlink,
        Table::PacketRaw,
        Table::VsockStream,
        Table::Tipc,
        Table::Xdp,
        Table::Smc,
    ] {
        for bytes in &good::payloads(table) {
            let origin = Origin::of(table, SourceKind::Recording);
            let socket = Socket::decode(Record { origin, bytes });
            let Some(socket) = socket else { panic!("{table:?}: a good message is none") };
            let row = Row::bare(&socket);
            let [yes, no] = [expr, &opposite].map(|expr| expr.eval_alone(&row, CONTEXT));
            assert_ne!(yes, no, "{expr}");
            if table != Table::Tipc {
                assert_eq!(expr.eval(&row, CONTEXT), yes, "{expr}");
            }
        }
    }
    let mut source = Source(seed);
    programs(expr, &mut source);
    programs(&opposite, &mut source);
}

/// Bytes that decide something; zeros behind the end.
struct Source<'a>(&'a [u8]);

impl Source<'_> {
    fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *byte
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::from(self.byte()) % all.len()]
    }
}

/// Addresses that filters and sockets are made of, so that they meet often.
const V4: [[u8; 4]; 5] = [[0; 4], [10, 0, 0, 1], [10, 0, 0, 3], [127, 0, 0, 1], [255; 4]];
const V6: [[u8; 16]; 5] = [
    [0; 16],
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1],
    [10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
];
const PORTS: [u16; 8] = [0, 1, 22, 80, 1024, 32768, 40000, 65535];

/// A socket of inet_diag and what the kernel knows of it.
fn socket(source: &mut Source<'_>) -> (Vec<u8>, Entry) {
    let mut entry = Entry {
        family: source.of(&[2, 10]),
        sport: source.of(&PORTS),
        dport: source.of(&PORTS),
        ifindex: u32::from(source.byte() % 3),
        mark: u32::from(source.byte() % 8),
        cgroup_id: u64::from(source.byte() % 4),
        userlocks_bindport: source.byte().is_multiple_of(2),
        ..Entry::default()
    };
    for addr in [&mut entry.saddr, &mut entry.daddr] {
        if entry.family == 2 {
            addr[..4].copy_from_slice(&source.of(&V4));
        } else {
            *addr = source.of(&V6);
        }
    }
    let mut bytes = vec![entry.family, 1, 0, 0];
    bytes.extend_from_slice(&entry.sport.to_be_bytes());
    bytes.extend_from_slice(&entry.dport.to_be_bytes());
    bytes.extend_from_slice(&entry.saddr);
    bytes.extend_from_slice(&entry.daddr);
    bytes.extend_from_slice(&entry.ifindex.to_ne_bytes());
    bytes.resize(72, 0);
    sockdiag_wire::attr::put(&mut bytes, 15, &entry.mark.to_ne_bytes());
    sockdiag_wire::attr::put(&mut bytes, 21, &entry.cgroup_id.to_ne_bytes());
    (bytes, entry)
}

/// The programs of a filter, run on sockets.
fn programs(expr: &Expr, source: &mut Source<'_>) {
    let programs = [Dialect::Modern, Dialect::Classic].map(|dialect| kernel_program(expr, dialect));
    for program in programs.iter().flatten() {
        assert!(!program.is_empty() && program.len() <= 0xffff && program.len().is_multiple_of(4), "{expr}");
        if program.len() <= AUDITED {
            assert_eq!(audit(program), Ok(()), "{expr}");
        }
        reads_back(program);
    }
    for _ in 0..4 {
        let (bytes, entry) = socket(source);
        let origin = Origin::of(Table::Tcp, SourceKind::Kernel);
        let socket = Socket::decode(Record { origin, bytes: &bytes }).expect("a whole message");
        let row = Row::bare(&socket);
        let (wanted, alone) = (expr.eval(&row, CONTEXT), expr.eval_alone(&row, CONTEXT));
        for program in &programs {
            let passes = [true, false].map(|userlocks_bindport| {
                let entry = Entry { userlocks_bindport, ..entry };
                program.as_ref().is_none_or(|program| run(program, &entry))
            });
            // Whether the port was asked for, no row shows.
            assert!(!wanted || passes[0] || passes[1], "{expr} loses {entry:?}");
            if !expr.reference_compiles() {
                assert!(!wanted || passes[0] && passes[1], "{expr} loses {entry:?}");
            } else if programs.iter().flatten().all(|program| program.len() < AUDITED) {
                // Nothing was left out: both halves of the reference.
                for passes in passes {
                    assert!(!(passes && alone) || wanted, "{expr} refuses {entry:?}");
                }
            }
        }
    }
}

/// The operations of a program, each with what follows it.
fn operations(program: &[u8]) -> Vec<(Op, &[u8])> {
    let mut found = Vec::new();
    let mut rest = program;
    while let Some(op) = Op::parse(rest) {
        let mut bytes = Vec::new();
        op.encode(&mut bytes);
        assert!(rest.starts_with(&bytes), "{op:?} is read from {}", rest.escape_ascii());
        found.push((op, rest.get(OP_LEN..).unwrap_or_default()));
        rest = rest.get(usize::from(op.yes).max(OP_LEN)..).unwrap_or_default();
    }
    found
}

/// What a program of ours says is read by the views of its operands.
fn reads_back(program: &[u8]) {
    for (op, operand) in operations(program) {
        let mut bytes = Vec::new();
        match op.code {
            7 | 8 => HostCond::parse(operand).expect("a whole condition").encode(&mut bytes),
            10 => MarkCond::parse(operand).expect("a whole condition").encode(&mut bytes),
            _ => {}
        }
        assert!(operand.starts_with(&bytes), "{op:?} of {}", program.escape_ascii());
    }
}

/// A filter whose shape and values the bytes decide.
pub(crate) fn program(data: &[u8]) {
    let mut source = Source(data);
    world::with(|known| {
        if let Some(expr) = expression(known, &mut source) {
            reads_as_it_prints(known, &expr, data);
            answers(&expr, data);
        }
        // Any bytes are read to an end as a program, too.
        let entry = Entry { family: 2, sport: 22, ..Entry::default() };
        operations(data);
        if data.len() <= AUDITED {
            let _ = audit(data);
        }
        run(data, &entry);
    });
}

fn expression(known: &Known, source: &mut Source<'_>) -> Option<Expr> {
    let mut nodes = Vec::new();
    // The last node of each expression that waits for an operator.
    let mut waiting: Vec<usize> = Vec::new();
    while !source.0.is_empty() && nodes.len() < 2000 {
        match source.byte() % 16 {
            0..=2 if waiting.len() > 1 => {
                waiting.pop();
                nodes.push(Node::And(waiting.pop()?));
            }
            3..=5 if waiting.len() > 1 => {
                waiting.pop();
                nodes.push(Node::Or(waiting.pop()?));
            }
            6 | 7 if !waiting.is_empty() => {
                waiting.pop();
                nodes.push(Node::Not);
            }
            kind => nodes.push(Node::Test(test(known, kind, source))),
        }
        waiting.push(nodes.len() - 1);
    }
    while waiting.len() > 1 {
        waiting.pop();
        nodes.push(Node::And(waiting.pop()?));
        waiting.push(nodes.len() - 1);
    }
    if nodes.is_empty() {
        return None;
    }
    Some(Expr::new(nodes).expect("every operator has its operands"))
}

fn test(known: &Known, kind: u8, source: &mut Source<'_>) -> Test {
    let field = |name| known.catalog.operand(name).expect("an operand");
    let end = source.of(&[End::Local, End::Remote]);
    match kind {
        0..=10 => {
            let port = match source.byte() % 8 {
                0..=3 => None,
                4..=6 => Some(i64::from(source.of(&PORTS))),
                _ => Some(source.of(&[-5, 65536, 70000, i64::MAX])),
            };
            let prefix = match source.byte() % 8 {
                0 => Prefix::Any,
                1..=3 => Prefix::V4(source.of(&V4), source.byte() % 33),
                _ => Prefix::V6(source.of(&V6), source.byte() % 129),
            };
            // A name may stand for several addresses.
            let more = Prefix::V4(source.of(&V4), 32);
            let prefixes = if kind == 10 { vec![prefix, more] } else { vec![prefix] };
            Test::Host(end, HostCondition::Inet { prefixes, port })
        }
        11 => Test::PortAtLeast(end, i64::from(source.of(&PORTS)) + i64::from(source.byte() % 2)),
        12 => Test::PortAtMost(end, i64::from(source.of(&PORTS)) - i64::from(source.byte() % 2)),
        13 => match source.byte() % 3 {
            0 => Test::Device(field(b"dev"), u32::from(source.byte() % 3)),
            1 => {
                let (mark, mask) = (u32::from(source.byte() % 8), u32::from(source.byte() % 8));
                Test::Mark { field: field(b"fwmark"), mark, mask }
            }
            _ => Test::Cgroup(field(b"cgroup"), u64::from(source.byte() % 4)),
        },
        14 => Test::Autobound,
        _ => {
            let number = i128::from(source.byte() % 3);
            let field = Choice::new(&known.catalog, "tcp.rtt_us").expect("a field");
            let comparison = source.of(&[Comparison::Eq, Comparison::Ne, Comparison::Lt, Comparison::Ge]);
            // Text cannot say that it is below zero: that is refused.
            let number = number + i128::from(comparison == Comparison::Lt);
            Test::Field(FieldTest::with_number(field, comparison, number))
        }
    }
}
