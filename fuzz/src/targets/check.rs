//! One record, the whole way: decoded, read field by field, filtered, printed.
//!
//! What must hold whatever the bytes are: reading twice says the same; a
//! filter and its opposite disagree; a row is one line but for its indented
//! details, without other control characters (C0, C1, DEL) or marks of direction, and no longer than its record
//! explains; and the rows around it stay as they are.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "small, known numbers; each cast is meant"
)]

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use sockdiag::Sink;
use sockdiag::fields::{Groups, Style, Value};
use sockdiag::model::{
    Addr, Holder, HolderCache, HostCache, MessageKind, Names, Origin, Record, Row, Socket, SourceKind, Table,
};
use sockdiag::source::deficit;
use sockdiag_render::ss::{Look, SsText};
use sockdiag_wire::netlink::{Header, messages};

use super::good;
use super::world::{self, CONTEXT, Known};

/// Bytes of text that a byte of a record may become, beyond [`ROW`].
const EXPANSION: usize = 8;
/// What a row holds besides.
const ROW: usize = 4096;

/// What an input's first two bytes choose.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choices {
    first: u8,
    second: u8,
}

impl Choices {
    /// Takes them off an input.
    pub(crate) fn split(data: &[u8]) -> Option<(Self, &[u8])> {
        let ([first, second], rest) = data.split_first_chunk()?;
        Some((Self { first: *first, second: *second }, rest))
    }

    /// One of several, by the low half of the first byte.
    pub(crate) fn one_of<T: Copy>(self, all: &[T]) -> Option<T> {
        all.get(usize::from(self.first & 15) % all.len().max(1)).copied()
    }

    fn kind(self) -> SourceKind {
        match self.first >> 4 & 3 {
            0 | 1 => SourceKind::Kernel,
            2 => SourceKind::Recording,
            _ => SourceKind::Event,
        }
    }

    /// Whether the row is the association of an SCTP endpoint.
    fn association(self) -> bool {
        self.first & 0x40 != 0
    }

    fn look(self) -> Look {
        let yes = |bit: u8| self.second >> bit & 1 != 0;
        let all = [
            (true, Groups::OPTIONS.union(Groups::TOS).union(Groups::CGROUP).union(Groups::SOCKOPT)),
            (true, Groups::PROCESSES.union(Groups::BPF).union(Groups::TIPCINFO)),
            (!yes(0), Groups::EXTENDED),
            (!yes(1), Groups::MEMORY),
            (!yes(2), Groups::INFO),
            (yes(3), Groups::THREADS),
        ];
        let shown = all.into_iter().filter(|(shown, _)| *shown);
        let groups = shown.fold(Groups::NONE, |groups, (_, more)| groups.union(more));
        Look {
            style: Style { numeric: yes(4), oneline: yes(5), groups },
            no_header: true,
            no_queues: false,
            netid: true,
            state: true,
            processes: true,
            netns: false,
            width: yes(6).then_some(100),
        }
    }

    /// Whether names are known for the row's numbers.
    fn named(self) -> bool {
        self.second & 0x80 != 0
    }
}

/// Names that anyone may have chosen: the end of a record.
struct Chosen<'a>(&'a [u8]);

impl HolderCache for Chosen<'_> {
    fn holders(&self, inode: u32, take: &mut dyn FnMut(Holder<'_>)) {
        for fd in 0..(inode % 3) as i32 {
            take(Holder { name: self.0, pid: inode as i32, tid: fd, fd });
        }
    }
}

impl HostCache for Chosen<'_> {
    fn host(&self, addr: Addr) -> Option<&[u8]> {
        matches!(addr, Addr::V4([127, ..])).then_some(&b"localhost"[..])
    }
}

/// What a kernel allows in the name of a device.
fn is_device_name(name: &[u8]) -> bool {
    let bad = |byte: &u8| matches!(byte, 0 | b'/' | b':' | 0x0b) || byte.is_ascii_whitespace();
    !name.is_empty() && name.len() < 16 && !name.iter().any(bad)
}

/// A place where text goes, and from where it is taken.
#[derive(Clone, Default)]
struct Page(Rc<RefCell<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A listing, of which each part can be looked at by itself.
struct Listing {
    text: SsText<'static>,
    page: Page,
    choices: Choices,
}

impl Listing {
    fn new(known: &Known, choices: Choices) -> Self {
        let page = Page::default();
        let text =
            SsText::new(&known.catalog, choices.look(), Box::new(page.clone())).expect("a page takes all");
        Self { text, page, choices }
    }

    /// Rows as text.
    fn list(&mut self, records: &[Record<'_>]) -> Vec<u8> {
        for record in records {
            let Some(socket) = Socket::decode(*record) else { continue };
            let tail = record.bytes.get(record.bytes.len().saturating_sub(15)..).unwrap_or_default();
            let _ = self.text.row(&row(&socket, &Chosen(tail), self.choices)).expect("a page takes all");
        }
        self.text.flush().expect("a page takes all");
        self.page.0.take()
    }
}

/// The row of a socket, with names as an input chose them.
fn row<'a>(socket: &'a Socket<'a>, chosen: &'a Chosen<'a>, choices: Choices) -> Row<'a> {
    let mut row = Row::bare(socket);
    row.association = choices.association();
    if choices.named() {
        let name = chosen.0.split(|byte| *byte == 0).next();
        row.names = Names {
            hosts: Some(chosen),
            local_service: Some(b"ssh"),
            remote_service: None,
            interface: name.filter(|name| is_device_name(name)),
            protocol: Some(b"route"),
            port_owner: name,
            cgroup: name.filter(|name| !name.contains(&b'\n')),
            holders: Some(chosen),
            ..Names::default()
        };
    }
    row
}

/// Everything about one record, between two good ones.
///
/// Returns whether it is a socket at all.
pub(crate) fn record(known: &Known, choices: Choices, record: Record<'_>, around: [Record<'_>; 2]) -> bool {
    let _ = deficit(record.bytes);
    let copy = record.bytes.to_vec();
    let again = Record { bytes: &copy, ..record };
    let (first, second) = (Socket::decode(record), Socket::decode(again));
    assert_eq!(first.is_some(), second.is_some(), "a record is a socket or not");
    if let (Some(first), Some(second)) = (&first, &second) {
        facts(known, choices, first, second);
    }
    let mut listing = Listing::new(known, choices);
    let [before, after] = around;
    let parts = [before, record, after].map(|record| listing.list(&[record]));
    let message_kind = record.origin.table.message_kind();
    if first.is_some() {
        lines(&parts[1], message_kind, choices.look().style.oneline);
        let room = ROW + record.bytes.len() * EXPANSION;
        assert!(parts[1].len() <= room, "{} bytes of at most {room}", parts[1].len());
    } else {
        assert!(parts[1].is_empty(), "no socket, yet a row");
    }
    assert!(!parts[0].is_empty() && !parts[2].is_empty(), "a good row is missing");
    // The widths of columns may differ, and only blanks fill them.
    let together = listing.list(&[before, again, after]);
    let [apart, together] = [parts.concat(), together].map(|mut text| {
        text.retain(|byte| *byte != b' ');
        text
    });
    assert!(
        apart == together,
        "rows depend on their neighbours:\n{}\n{}",
        apart.escape_ascii(),
        together.escape_ascii()
    );
    first.is_some()
}

/// What a socket reports, read twice and tested.
fn facts(known: &Known, choices: Choices, socket: &Socket<'_>, again: &Socket<'_>) {
    let message_kind = socket.message_kind();
    assert_eq!(message_kind, again.message_kind());
    assert_eq!(socket.sub_table(), again.sub_table());
    let chosen = Chosen(b"name");
    let (row, other) = (row(socket, &chosen, choices), row(again, &chosen, choices));
    let (_, fields) =
        known.fields.iter().find(|(of, _)| *of == message_kind).expect("a message_kind with fields");
    for (field, at_least_1) in fields {
        let (value, second) = ((field.get)(&row), (field.get)(&other));
        let nan = |value: Option<Value<'_>>| matches!(value, Some(Value::F64(number)) if number.is_nan());
        assert!(value == second || nan(value) && nan(second), "{}: {value:?}, {second:?}", field.name);
        if let Some(filter) = at_least_1 {
            // What is none or unlimited is no amount.
            let holds = match field.value(&row) {
                Some(Value::F64(number)) => number >= 1.0,
                value => value.and_then(Value::as_i128).is_some_and(|number| number >= 1),
            };
            assert_eq!(filter.eval(&row, CONTEXT), holds, "{filter}: {value:?}");
        }
    }
    for filter in &known.filters {
        let answer = filter.eval(&row, CONTEXT);
        assert_eq!(answer, filter.eval(&other, CONTEXT), "{filter}");
        if socket.origin.kind != SourceKind::Kernel && message_kind != MessageKind::Tipc {
            assert_eq!(answer, filter.eval_alone(&row, CONTEXT), "{filter}");
        }
    }
}

/// A row's text: one line, its details indented, nothing that moves a cursor.
fn lines(text: &[u8], message_kind: MessageKind, oneline: bool) {
    let shown = || text.escape_ascii().to_string();
    assert_eq!(text.last(), Some(&b'\n'), "a row has no end: {}", shown());
    let rest = text.get(..text.len() - 1).unwrap_or_default();
    // The values of BPF maps have lines and depths of their own, on one line too
    // where a map cannot be looked at.
    let storage = message_kind == MessageKind::Inet && text.windows(7).any(|word| word == b"map_id:");
    for (at, byte) in rest.iter().enumerate() {
        let fits = match byte {
            b'\n' | b'\t' if storage => true,
            b'\n' => match rest.get(at + 1) {
                Some(b'\t') => !oneline,
                // TIPC details.
                Some(b' ') => !oneline && message_kind == MessageKind::Tipc,
                _ => false,
            },
            // Netlink and packet details have tabs of their own.
            b'\t' => {
                at > 0 && rest[at - 1] == b'\n'
                    || matches!(message_kind, MessageKind::Netlink | MessageKind::Packet)
            }
            other => !other.is_ascii_control(),
        };
        assert!(fits, "{byte:#04x} at {at} of {}", shown());
    }
    for chunk in text.utf8_chunks() {
        let fits = |letter: char| letter.is_ascii() || !sockdiag::escape::is_unsafe(letter);
        assert!(chunk.valid().chars().all(fits), "{}", shown());
        assert!(!chunk.invalid().iter().any(|byte| (0x80..0xa0).contains(byte)), "{}", shown());
    }
}

/// A netlink payload of one of these tables, between two good ones.
pub(crate) fn message(tables: &[Table], data: &[u8]) {
    let Some((choices, payload)) = Choices::split(data) else { return };
    let Some(table) = choices.one_of(tables) else { return };
    let origin = Origin::of(table, choices.kind());
    let [before, after] = good::payloads(table);
    let mut datagram = Vec::new();
    for part in [before.as_slice(), payload, after.as_slice()] {
        let len = (sockdiag_wire::netlink::HEADER_LEN + part.len()) as u32;
        Header { len, kind: 20, flags: 2, seq: 1, pid: 1 }.encode(&mut datagram);
        datagram.extend_from_slice(part);
        datagram.resize(datagram.len().next_multiple_of(4), 0);
    }
    let records: Vec<_> =
        messages(&datagram).map(|message| Record { origin, bytes: message.payload }).collect();
    let &[before, fuzzed, after] = records.as_slice() else { panic!("{} of 3 messages", records.len()) };
    assert_eq!(fuzzed.bytes, payload, "a message lost its way");
    world::with(|known| record(known, choices, fuzzed, [before, after]));
}
