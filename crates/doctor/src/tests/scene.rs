//! Scenes: sockets and counters in two samples and a third, written as text.
//!
//! ```text
//! tcp established 10.0.0.1:40000 10.0.0.2:80 tcpi_rtt=900 drops=3>40 *20 vary=rport
//! net TcpExt.ListenOverflows=3>40
//! sysctl net.core.somaxconn=4096
//! sockstat TCP.orphan=10
//! process nginx pid=4711 open=900 most=1000
//! seconds 5
//! ```
//! A row exists at all three looks unless `opened`, `closed` or `first` precedes it. `a>b>c`
//! gives a value for each look; if there are fewer values, the last one repeats.
//! otherwise.  Of `a>b>c` each look has one, and the last one where there are fewer.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "seconds of a scene are few and never negative"
)]

use std::collections::HashMap;

use sockdiag_facts::Row;
use sockdiag_facts::ending::LastSeen;
use sockdiag_facts::fields::Needs;
use sockdiag_facts::model::{Origin, Record, Socket, SourceKind, StateSet, Table, TableSet, Window};
use sockdiag_facts::past::{Earlier, MOST_WORDS, Past, Slots};
use sockdiag_wire::attr::put;
use sockdiag_wire::inet_diag::{
    INET_DIAG_BBRINFO, INET_DIAG_CONG, INET_DIAG_INFO, INET_DIAG_SKMEMINFO, INET_DIAG_SKV6ONLY,
};
use sockdiag_wire::tcp_info::TcpInfo;

use crate::{Doctor, Event, Finding, Numbers, Process};

const SECOND: u64 = 1_000_000_000;
/// When the first look was made.
const THEN: u64 = 100_000 * SECOND;

/// The values of an established connection unless the scene sets others.
const CONNECTION: &str = "options=7 tcpi_snd_mss=1448 tcpi_pmtu=1500 tcpi_rcv_mss=1448 tcpi_rtt=1000 \
    tcpi_rttvar=100 tcpi_min_rtt=1000 tcpi_snd_cwnd=10 tcpi_snd_wnd=65535 tcpi_rcv_wnd=65535 cong=cubic rcvbuf=131072 \
    sndbuf=87040 inode=1000 uid=7 recv_q=0 send_q=0";

/// The values of a key, one for each look.
type Values = HashMap<String, Vec<String>>;

#[derive(Clone, Debug)]
struct Line {
    when: String,
    table: Table,
    state: u8,
    local: (String, u16),
    remote: (String, u16),
    values: Values,
    times: u16,
}

/// A scene.
#[derive(Debug, Default)]
pub(super) struct Scene {
    lines: Vec<Line>,
    counters: HashMap<String, [u64; 2]>,
    levels: HashMap<String, u64>,
    settings: HashMap<String, String>,
    ports: Option<u32>,
    processes: Vec<Process>,
    unseen: Vec<String>,
    seconds: f64,
}

fn end(text: &str) -> (String, u16) {
    let (addr, port) = text.rsplit_once(':').unwrap_or_else(|| panic!("no port: {text}"));
    (addr.trim_matches(['[', ']']).to_owned(), port.parse().unwrap_or_else(|_| panic!("no port: {text}")))
}

fn keys(words: &str, values: &mut Values) {
    for word in words.split_whitespace() {
        let (key, value) = word.split_once('=').unwrap_or_else(|| panic!("no value: {word}"));
        values.insert(key.to_owned(), value.split('>').map(str::to_owned).collect());
    }
}

impl Scene {
    pub(super) fn parse(text: &str) -> Self {
        let mut scene = Self { seconds: 5.0, ports: Some(28_232), ..Self::default() };
        for (name, value) in [
            ("net.core.somaxconn", "4096"),
            ("net.ipv4.tcp_max_syn_backlog", "1024"),
            ("net.ipv4.tcp_congestion_control", "cubic"),
        ] {
            scene.settings.insert(name.to_owned(), value.to_owned());
        }
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
            match first {
                "net" => {
                    for word in rest.split_whitespace() {
                        let (name, values) = word.split_once('=').expect("a value");
                        let (before, after) = values.split_once('>').expect("two values");
                        let both = [before, after].map(|value| value.parse().expect("a number"));
                        scene.counters.insert(name.to_owned(), both);
                    }
                }
                "sysctl" => {
                    let (name, value) = rest.split_once('=').expect("a value");
                    scene.settings.insert(name.to_owned(), value.to_owned());
                }
                "sockstat" => {
                    let (name, value) = rest.split_once('=').expect("a value");
                    scene.levels.insert(name.to_owned(), value.parse().expect("a number"));
                }
                "ports" => scene.ports = Some(rest.parse().expect("a number")),
                "seconds" => scene.seconds = rest.parse().expect("a number"),
                "unseen" => scene.unseen.push(rest.to_owned()),
                "process" => {
                    let (comm, rest) = rest.split_once(' ').expect("a name");
                    let mut values = Values::new();
                    keys(rest, &mut values);
                    let number = |key: &str| values[key][0].parse::<u64>().ok();
                    scene.processes.push(Process {
                        pid: u32::try_from(number("pid").expect("a pid")).expect("a pid"),
                        comm: comm.as_bytes().to_vec(),
                        open: number("open").expect("a number"),
                        most: number("most"),
                    });
                }
                _ => scene.lines.push(Line::parse(line)),
            }
        }
        scene
    }

    fn numbers(&self, at: usize) -> Box<dyn Numbers> {
        let seconds = if at == 0 { 0.0 } else { self.seconds };
        let now = THEN + (seconds * 1e9) as u64;
        Box::new(Counted {
            counters: self.counters.iter().map(|(name, both)| (name.clone(), both[at])).collect(),
            levels: self.levels.clone(),
            settings: self.settings.clone(),
            ports: self.ports,
            window: Window::new(now, now),
        })
    }

    /// The findings of a doctor in this scene.
    pub(super) fn examine(&self, doctor: &mut Doctor) -> Vec<Finding> {
        let needs = doctor.needs();
        self.show(needs, 0, &mut |_, row| doctor.learn(row));
        doctor.learned();
        doctor.numbers(0, self.numbers(0));
        doctor.numbers(0, self.numbers(1));
        doctor.begin(Some(self.seconds));
        for what in &self.unseen {
            doctor.could_not_see(what.clone());
        }
        self.show(needs, 1, &mut |event, row| doctor.judge(event, row));
        doctor.judge_others(&self.processes, &[]);
        self.show(needs, 2, &mut |_, row| doctor.confirm(row));
        doctor.findings()
    }

    /// Passes the rows of a look to `take`.
    fn show(&self, needs: Needs, look: usize, take: &mut dyn FnMut(Event, &Row<'_>)) {
        let mut cookie = 100;
        for line in &self.lines {
            for at in 0..line.times {
                cookie += 1;
                let event = match (line.when.as_str(), look) {
                    ("", _) | ("first", 0) => Event::Live,
                    ("opened", 1) => Event::Opened,
                    ("closed", 1) => Event::Closed,
                    _ => continue,
                };
                line.show(needs, look, at, cookie, self.seconds, &mut |row| take(event, row));
            }
        }
    }
}

struct Counted {
    counters: HashMap<String, u64>,
    levels: HashMap<String, u64>,
    settings: HashMap<String, String>,
    ports: Option<u32>,
    window: Window,
}

impl Numbers for Counted {
    fn counter(&self, group: &str, name: &str) -> Option<u64> {
        self.counters.get(&format!("{group}.{name}")).copied()
    }
    fn level(&self, group: &str, name: &str) -> Option<u64> {
        self.levels.get(&format!("{group}.{name}")).copied()
    }
    fn setting(&self, name: &str, place: usize) -> Option<i64> {
        self.settings.get(name)?.split(',').nth(place)?.parse().ok()
    }
    fn setting_text(&self, name: &str) -> Option<&[u8]> {
        self.settings.get(name).map(|text| text.as_bytes())
    }
    fn ephemeral_ports(&self) -> Option<u32> {
        self.ports
    }
    fn window(&self) -> Window {
        self.window
    }
}

impl Line {
    fn parse(line: &str) -> Self {
        let mut words = line.split_whitespace().peekable();
        let is_when = |word: &&str| matches!(*word, "opened" | "closed" | "first");
        let when = words.next_if(is_when).unwrap_or("").to_owned();
        let table = words.next().expect("a table");
        let table = TableSet::by_name(table.as_bytes()).unwrap_or_else(|| panic!("no table: {line}"));
        let state = words.next().expect("a state");
        let states = StateSet::by_word(state.as_bytes()).unwrap_or_else(|| panic!("no state: {line}"));
        let state = (0..16).find(|number| states.contains_number(*number)).expect("a number");
        let local = end(words.next().expect("an end"));
        let remote = match words.next_if(|word| word.contains(':') && !word.contains('=')) {
            Some(remote) => end(remote),
            None => ("0.0.0.0".to_owned(), 0),
        };
        let mut values = Values::new();
        if !matches!(state, 10 | 6 | 3 | 7) {
            keys(CONNECTION, &mut values);
        }
        let mut times = 1;
        for word in words {
            match word.strip_prefix('*') {
                Some(number) => times = number.parse().expect("a number"),
                None => keys(word, &mut values),
            }
        }
        let table = table.iter().next().expect("a table");
        Self { when, table, state, local, remote, values, times }
    }

    fn text(&self, key: &str, look: usize) -> Option<&str> {
        let values = self.values.get(key)?;
        values.get(look.min(values.len() - 1)).map(String::as_str)
    }

    fn number(&self, key: &str, look: usize) -> Option<u64> {
        self.text(key, look).map(|text| text.parse().unwrap_or_else(|_| panic!("no number: {key}={text}")))
    }

    fn low(&self, key: &str, look: usize) -> u32 {
        u32::try_from(self.number(key, look).unwrap_or(0)).expect("32 bits")
    }

    fn byte(&self, key: &str, look: usize) -> u8 {
        u8::try_from(self.number(key, look).unwrap_or(0)).expect("8 bits")
    }

    /// Both ends of the socket number `at` that a line stands for.
    fn ends(&self, at: u16) -> ((String, u16), (String, u16)) {
        let (mut local, mut remote) = (self.local.clone(), self.remote.clone());
        let further = |addr: &str| {
            let mut octets: [u8; 4] = addr.parse::<std::net::Ipv4Addr>().expect("IPv4").octets();
            let number = u32::from_be_bytes(octets) + u32::from(at);
            octets = number.to_be_bytes();
            std::net::Ipv4Addr::from(octets).to_string()
        };
        match self.text("vary", 0) {
            Some("lport") => local.1 += at,
            Some("rport") => remote.1 += at,
            Some("raddr") => remote.0 = further(&remote.0),
            Some(other) => panic!("nothing varies by {other}"),
            None => {}
        }
        (local, remote)
    }

    fn bytes(&self, look: usize, at: u16, cookie: u64) -> Vec<u8> {
        match self.table {
            Table::UnixStream | Table::UnixDgram | Table::UnixSeqpacket => self.unix(look, cookie),
            Table::Netlink => self.netlink(look, cookie),
            _ => self.inet(look, at, cookie),
        }
    }

    fn memory(&self, look: usize) -> Vec<u8> {
        let names = ["rmem", "rcvbuf", "wmem", "sndbuf", "fwd", "wqueued", "optmem", "backlog", "drops"];
        names.iter().flat_map(|name| self.low(name, look).to_ne_bytes()).collect()
    }

    fn info(&self, look: usize) -> Vec<u8> {
        let mut bytes = vec![0; 280];
        for (key, _) in self.values.iter().filter(|(key, _)| key.starts_with("tcpi_")) {
            let member = TcpInfo::LAYOUT.members.iter().find(|member| member.name == key);
            let member = member.unwrap_or_else(|| panic!("no member: {key}"));
            let number = self.number(key, look).expect("a number").to_ne_bytes();
            let low = if cfg!(target_endian = "big") { 8 - member.size } else { 0 };
            bytes[member.offset..member.offset + member.size]
                .copy_from_slice(&number[low..low + member.size]);
        }
        bytes[5] = self.byte("options", look);
        bytes[7] = self.byte("byte7", look);
        bytes
    }

    fn inet(&self, look: usize, at: u16, cookie: u64) -> Vec<u8> {
        let mut bytes = vec![0; 72];
        let (local, remote) = self.ends(at);
        let is_v6 = local.0.contains(':');
        bytes[0] = if is_v6 { 10 } else { 2 };
        bytes[1] = self.state;
        bytes[2] = self.byte("timer", look);
        bytes[3] = self.byte("retrans", look);
        bytes[4..6].copy_from_slice(&local.1.to_be_bytes());
        bytes[6..8].copy_from_slice(&remote.1.to_be_bytes());
        let mut place = |from: usize, addr: &str| {
            let addr = if addr == "0.0.0.0" && is_v6 { "::" } else { addr };
            match addr.parse().unwrap_or_else(|_| panic!("no address: {addr}")) {
                std::net::IpAddr::V4(addr) => bytes[from..from + 4].copy_from_slice(&addr.octets()),
                std::net::IpAddr::V6(addr) => bytes[from..from + 16].copy_from_slice(&addr.octets()),
            }
        };
        place(8, &local.0);
        place(24, &remote.0);
        bytes[44..52].copy_from_slice(&cookie.to_ne_bytes());
        bytes[52..56].copy_from_slice(&self.low("expires", look).to_ne_bytes());
        bytes[56..60].copy_from_slice(&self.low("recv_q", look).to_ne_bytes());
        bytes[60..64].copy_from_slice(&self.low("send_q", look).to_ne_bytes());
        let uid = self.low("uid", look) + if self.text("each_uid", 0).is_some() { u32::from(at) } else { 0 };
        bytes[64..68].copy_from_slice(&uid.to_ne_bytes());
        bytes[68..72].copy_from_slice(&self.low("inode", look).to_ne_bytes());
        put(&mut bytes, INET_DIAG_SKMEMINFO, &self.memory(look));
        if self.table == Table::Mptcp {
            let mut info = vec![0; 80];
            info[8..12].copy_from_slice(&self.low("flags", look).to_ne_bytes());
            put(&mut bytes, INET_DIAG_INFO, &info);
        } else if self.state != 6 && self.table == Table::Tcp {
            put(&mut bytes, INET_DIAG_INFO, &self.info(look));
        }
        if let Some(name) = self.text("cong", look) {
            put(&mut bytes, INET_DIAG_CONG, &[name.as_bytes(), &[0]].concat());
        }
        if let Some(bandwidth) = self.number("bbr_bw", look) {
            let mut info = bandwidth.to_le_bytes().to_vec();
            info.resize(20, 0);
            put(&mut bytes, INET_DIAG_BBRINFO, &info);
        }
        if is_v6 {
            put(&mut bytes, INET_DIAG_SKV6ONLY, &[1]);
        }
        bytes
    }

    fn unix(&self, look: usize, cookie: u64) -> Vec<u8> {
        let mut bytes = vec![1, 1, self.state, 0];
        bytes.extend_from_slice(&77_u32.to_ne_bytes());
        bytes.extend_from_slice(&cookie.to_ne_bytes());
        put(&mut bytes, 0, b"/run/app.sock\0");
        let queues = [self.low("recv_q", look), self.low("send_q", look)];
        put(&mut bytes, 4, &queues.map(u32::to_ne_bytes).concat());
        put(&mut bytes, 5, &self.memory(look));
        bytes
    }

    fn netlink(&self, look: usize, cookie: u64) -> Vec<u8> {
        let mut bytes = vec![16, 3, 0, 0];
        bytes.extend_from_slice(&4711_u32.to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&99_u32.to_ne_bytes());
        bytes.extend_from_slice(&cookie.to_ne_bytes());
        put(&mut bytes, 0, &self.memory(look));
        bytes
    }

    fn show(
        &self,
        needs: Needs,
        look: usize,
        at: u16,
        cookie: u64,
        seconds: f64,
        take: &mut dyn FnMut(&Row<'_>),
    ) {
        let (before, now) = (self.bytes(0, at, cookie), self.bytes(look, at, cookie));
        let then = Window::new(THEN, THEN);
        let later = THEN + (seconds * 1e9) as u64 * u64::from(look > 0);
        let window = Window::new(later, later);
        let origin = |window| Origin { window: Some(window), ..Origin::of(self.table, SourceKind::Kernel) };
        let decode = |bytes, window| Socket::decode(Record { origin: origin(window), bytes });
        let earlier = decode(before.as_slice(), then).expect("a socket");
        let socket = decode(now.as_slice(), window).expect("a socket");
        let slots = Slots::of(needs.counters());
        let mut words = [0; MOST_WORDS];
        let had = slots.keep_of(&earlier, &mut words);
        let is_new = self.when == "opened" || self.when == "closed";
        let had = if is_new { slots.wanted() } else { had };
        let words = if is_new { [0; MOST_WORDS] } else { words };
        let words = &words[..slots.words()];
        let age_ms = self.number("age", look).unwrap_or(0);
        let past = Past {
            window,
            first_seen_ns: later - age_ms * 1_000_000,
            opening_seen: is_new,
            earlier: (look == 1).then_some(Earlier { window: then, slots: &slots, words, had }),
            ended: (self.when == "closed").then(LastSeen::default),
        };
        take(&Row { past: Some(&past), ..Row::bare(&socket) });
    }
}
