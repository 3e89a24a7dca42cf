//! Compares drawn frames with those stored in `golden/`.
//!
//! `SOCKDIAG_WRITE_GOLDENS=1 cargo test -p sockdiag-screen` writes them again.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "numbers that a test makes up are small"
)]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use sockdiag_facts::fields::{Catalog, Choice};
use sockdiag_facts::model::{Holder, HolderCache, Names, Origin, Record, Row, Socket, SourceKind, Table};
use sockdiag_facts::past::{CounterSet, Earlier, Past, Slots};

use crate::{Action, Builder, Detail, GroupBy, Head, Id, Key, Mark, Preset, Shot, State, Theme, View, draw};

mod frames;
mod keys;

/// Reports the same holders for every socket.
struct Holders(&'static [&'static [u8]]);

impl HolderCache for Holders {
    fn holders(&self, _: u32, take: &mut dyn FnMut(Holder<'_>)) {
        for (name, pid) in self.0.iter().zip(100..) {
            take(Holder { name, pid, tid: pid, fd: 3 });
        }
    }
}

const WHO: &[&[&[u8]]] = &[&[b"nginx"], &[b"postgres"], &[b"curl"], &[b"nginx", b"nginx"]];
/// Names that would affect a terminal if printed unescaped.
const HOSTILE: &[&[&[u8]]] = &[
    &[b"\x1b[2J\x1b]0;x\x07"],
    &[b"\xff\xfe\x9b31m"],
    &["\u{202e}evil\u{2028}".as_bytes()],
    &[b"\r\n\t\x00-"],
];

/// A made-up socket, and how much data it moved.
struct Made {
    number: u32,
    mark: Mark,
    sent: u64,
    v6: bool,
}

/// An `inet_diag` reply about the socket, with these counters.
fn reply(made: &Made, sent: u64) -> Vec<u8> {
    let mut bytes = vec![0; 72];
    (bytes[0], bytes[1]) = (if made.v6 { 10 } else { 2 }, 1 + u8::from(made.number % 7 == 3) * 7);
    bytes[4..6].copy_from_slice(&443_u16.to_be_bytes());
    bytes[6..8].copy_from_slice(&((40_000 + made.number % 20_000) as u16).to_be_bytes());
    let [_, b, c, d] = made.number.to_be_bytes();
    if made.v6 {
        bytes[8..24].copy_from_slice(&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        bytes[24..40].copy_from_slice(&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 7, 0, 0, 0, 0, 0, b, c, d]);
    } else {
        bytes[8..12].copy_from_slice(&[192, 0, 2, 1]);
        bytes[24..28].copy_from_slice(&[198, 51, 100, d]);
    }
    bytes[44..52].copy_from_slice(&u64::from(made.number + 1).to_ne_bytes());
    // recv_q, send_q, inode.
    bytes[56..60].copy_from_slice(&(made.number % 5).to_ne_bytes());
    bytes[60..64].copy_from_slice(&(made.number % 3 * 1000).to_ne_bytes());
    bytes[68..72].copy_from_slice(&(made.number + 1).to_ne_bytes());
    bytes.extend_from_slice(&284_u16.to_ne_bytes());
    bytes.extend_from_slice(&2_u16.to_ne_bytes());
    let mut info = [0; 280];
    for (at, value) in [(68, 20_000 + made.number * 100), (80, 10), (148, 15_000), (104, 1000)] {
        info[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }
    info[76..80].copy_from_slice(&(2_147_483_647_u32).to_ne_bytes());
    for at in [120, 200] {
        info[at..at + 8].copy_from_slice(&sent.to_ne_bytes());
    }
    info[128..136].copy_from_slice(&(sent / 3).to_ne_bytes());
    bytes.extend_from_slice(&info);
    bytes
}

fn names(list: &str) -> Vec<String> {
    let choices =
        list.split(',').map(|name| Choice::new(Catalog::shared(), name).expect("a field").full_name());
    choices.collect()
}

const WHICH: &str = "socket.netid,socket.state,socket.ended,local.addr,local.port,remote.addr,remote.port";

fn preset(name: &str, fields: &str, sort: &str) -> Preset {
    let columns = names(&format!("{WHICH},{fields},socket.processes"));
    Preset { name: name.to_owned(), columns, sort: Some((sort.to_owned(), true)), last: None }
}

fn view() -> View {
    let group = |title: &str, columns: &str| GroupBy { title: title.to_owned(), columns: names(columns) };
    View {
        title: "tcp".to_owned(),
        interval: "1s".to_owned(),
        presets: vec![
            preset("traffic", "rate.bytes_sent_per_s,rate.bytes_received_per_s", "rate.bytes_sent_per_s"),
            preset("latency", "tcp.rtt_us,tcp.rttvar_us,tcp.min_rtt_us", "tcp.rtt_us"),
            preset("queues", "socket.recv_q,socket.send_q", "socket.send_q"),
        ],
        groups: vec![
            group("process", "socket.processes.comm"),
            group("remote prefix", "remote.addr/24"),
            group("state", "socket.state"),
        ],
        preset: 0,
        grouped: None,
        filter: String::new(),
        fields: [
            ("remote.addr", "Address of the other end."),
            ("remote.port", "Port of the other end."),
            ("socket.state", "State of the connection."),
            ("socket.recv_q", "Bytes that wait to be read."),
            ("tcp.rtt_us", "Round trip time, smoothed."),
            ("tcp.snd_cwnd", "Congestion window, in segments."),
            ("tcp.snd_ssthresh", "Where slow start ends."),
        ]
        .map(|(name, doc)| (name.to_owned(), doc.to_owned()))
        .to_vec(),
        words: ["dport", "dst", "established", "sport", "src", "tcp.rtt_us"].map(str::to_owned).to_vec(),
    }
}

/// A look at these sockets.
fn look(
    state: &State,
    number: u64,
    made: impl Iterator<Item = Made>,
    who: &'static [&'static [&'static [u8]]],
) -> (Shot, Option<Detail>) {
    let fields = state.all_fields();
    let choices: Vec<Choice> =
        fields.iter().map(|name| Choice::new(Catalog::shared(), name).expect("a field")).collect();
    let needs = choices.iter().fold(sockdiag_facts::fields::Needs::NONE, |all, it| all.union(it.needs()));
    let slots = Slots::of(needs.counters());
    let mut builder = Builder::new(choices, Some(Arc::clone(&state.newest)), 5);
    let second = 1_000_000_000;
    let (mut sockets, mut opened, mut closed, mut detail) = (0, 0, 0, None);
    for made in made {
        let (before, now) = (reply(&made, 1000), reply(&made, 1000 + made.sent));
        let record = |bytes| Record { origin: Origin::of(Table::Tcp, SourceKind::Kernel), bytes };
        let [before, now] = [&before, &now].map(|bytes| Socket::decode(record(bytes)).expect("a socket"));
        let mut words = vec![0; slots.words()];
        let had: CounterSet = slots.keep(before.tcp_info().expect("it has it"), &mut words);
        let window = |at: u64| sockdiag_facts::model::Window::new(at * second, at * second);
        let earlier = Some(Earlier { window: window(10), slots: &slots, words: &words, had });
        let past =
            Past { window: window(11), first_seen_ns: second, opening_seen: true, earlier, ended: None };
        let holders = Holders(who[made.number as usize % who.len()]);
        let names = Names { holders: Some(&holders), ..Names::default() };
        let row = Row { names, past: Some(&past), ..Row::bare(&now) };
        builder.row(made.mark, &row);
        let id = Id { netns: 0, cookie: u64::from(made.number + 1) };
        if state.detailed() == Some(id) {
            detail = Some(Detail::of(id, &row));
        }
        match made.mark {
            Mark::Gone(_) => closed += 1,
            mark => {
                sockets += 1;
                opened += u64::from(mark == Mark::New);
            }
        }
    }
    let head = Head {
        number,
        time: format!("12:00:{number:02}Z"),
        seconds: number as f64,
        has_rates: true,
        sockets,
        opened,
        closed,
        unseen: Vec::new(),
    };
    (builder.end(head), detail)
}

fn made(count: u32) -> impl Iterator<Item = Made> {
    (0..count).map(move |number| Made {
        number,
        mark: match number % 10 {
            1 => Mark::New,
            2 => Mark::Changed,
            3 => Mark::Gone(0),
            _ => Mark::Known,
        },
        // A permutation, so that the order by traffic is not that of the numbers.
        sent: u64::from(number * 7919 % 100_003) * 100,
        v6: number % 4 == 2,
    })
}

fn state_of(count: u32) -> State {
    let mut state = State::new(view());
    for number in 0..2 {
        let (shot, detail) = look(&state, number, made(count), WHO);
        state.look(Arc::new(shot), detail);
        settle(&mut state);
    }
    state
}

/// Runs pending sort jobs, as another thread would.
fn settle(state: &mut State) {
    while let Some(job) = state.take_job() {
        state.ordered(job.run());
    }
}

/// The frame of a state.
fn frame(state: &mut State, size: (u16, u16), theme: Theme) -> Buffer {
    let mut buffer = Buffer::empty(Rect::new(0, 0, size.0, size.1));
    let cursor = draw(&mut buffer, state, theme);
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).expect("memory");
    terminal
        .draw(|frame| {
            frame.buffer_mut().merge(&buffer);
            if let Some(cursor) = cursor {
                frame.set_cursor_position(cursor);
            }
        })
        .expect("memory");
    terminal.backend().buffer().clone()
}

/// The frame's text, one line per row.
fn letters(buffer: &Buffer) -> String {
    let mut text = String::new();
    for y in 0..buffer.area.height {
        let mut line = String::new();
        let mut skip = 0;
        for x in 0..buffer.area.width {
            let symbol = buffer.cell((x, y)).expect("inside").symbol();
            if skip == 0 {
                line.push_str(symbol);
                skip = crate::text::width(symbol).saturating_sub(1);
            } else {
                skip -= 1;
            }
        }
        _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// The positions of colours and attributes.
fn styles(buffer: &Buffer) -> String {
    let mut text = String::new();
    for y in 0..buffer.area.height {
        let style = |x| {
            let cell = buffer.cell((x, y)).expect("inside");
            format!("{:?} on {:?} {:?}", cell.fg, cell.bg, cell.modifier)
        };
        let mut x = 0;
        while x < buffer.area.width {
            let from = x;
            let run = style(x);
            while x < buffer.area.width && style(x) == run {
                x += 1;
            }
            if run != "Reset on Reset NONE" {
                _ = writeln!(text, "{y:3} {from}-{}: {run}", x - 1);
            }
        }
    }
    text
}

fn press(state: &mut State, keys: &str) -> Vec<Action> {
    keys.chars()
        .filter_map(|letter| {
            let key = match letter {
                '\n' => Key::Enter,
                '\t' => Key::Tab,
                '\x1b' => Key::Escape,
                'v' => Key::Down,
                '^' => Key::Up,
                'L' => Key::Left,
                'R' => Key::Right,
                letter => Key::Char(letter),
            };
            state.press(key)
        })
        .collect()
}

fn golden(name: &str, got: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/tests/golden").join(format!("{name}.txt"));
    if std::env::var_os("SOCKDIAG_WRITE_GOLDENS").is_some() {
        std::fs::write(&path, got).expect("it can be written");
    }
    let want = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(got == want, "{name} is drawn otherwise:\n{got}\ninstead of\n{want}");
}
