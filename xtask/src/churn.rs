//! `cargo xtask churn`: checks listings while connections come and go.
//!
//! Very many idle connections exist in a namespace made for the run, while others beside them
//! are opened and closed.  Every idle socket must be in every listing exactly once, with the
//! process that the reference reported before the first connection moved.
//!
//! The kernel's own dump guarantees nothing about changes during the dump: when its buffer is
//! full it leaves a hash chain and later resumes at the same position in the chain, which
//! skips a socket if one before it has gone.  So each listing's netlink traffic is recorded,
//! and a missing socket that the kernel never sent counts as the kernel's fault.  A walk of
//! the kernel's tables is itself responsible for every socket.
//!
//! Invariant: a fault counts against a program only if the socket was in its own dump, or in
//! the table that it walked.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use sockdiag_testkit::Why;
use sockdiag_testkit::holders::{Churn, Holder};
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::reference::Reference;
use sockdiag_wire::inet_diag::InetDiagMsg;
use sockdiag_wire::netlink::{SOCK_DIAG_BY_FAMILY, TCPDIAG_GETSOCK, messages};

use crate::bench::{build, printed};
use crate::tap::{self, Tapped, Way};

pub(crate) const WORDS: &str =
    "[--runs R] [--seconds S] [--sockets N] [--rate PER-SECOND] [--processes P] [--walks]";

/// The help text.
pub(crate) const DOC: &str = "\
List sockets while others open and close, and count the listings in which an idle
socket is missing, duplicated or has another process, and those in which the
kernel itself omitted it.
--runs R         listings of each kind, at least (50)
--seconds S      minimum duration of the listings (0)
--sockets N      idle sockets (100000)
--rate N         connections opened and closed each second (2000), by each of
--processes P    processes (1)
--walks          only listings by a walk of the kernel's tables.";

/// The parsed arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Options {
    runs: u32,
    seconds: u32,
    sockets: u32,
    rate: u32,
    processes: u32,
    walks: bool,
}

impl Options {
    fn parse(words: &[String]) -> Result<Self, Why> {
        let mut options =
            Self { runs: 50, seconds: 0, sockets: 100_000, rate: 2_000, processes: 1, walks: false };
        let mut words = words.iter().map(String::as_str);
        while let Some(word) = words.next() {
            let number = match word {
                "--runs" => &mut options.runs,
                "--seconds" => &mut options.seconds,
                "--sockets" => &mut options.sockets,
                "--rate" => &mut options.rate,
                "--processes" => &mut options.processes,
                "--walks" => {
                    options.walks = true;
                    continue;
                }
                _ => return Err(Why::new(format!("{word} is not a valid argument; usage: {WORDS}"))),
            };
            let value = words.next().and_then(|value| value.parse().ok());
            *number = value.ok_or_else(|| Why::new(format!("{word} needs a number; usage: {WORDS}")))?;
        }
        Ok(options)
    }
}

/// Runs the chore.
pub(crate) fn run(words: &[String]) -> Result<(), Why> {
    let options = Options::parse(words)?;
    let reference = Reference::get()?;
    let ours = build()?;
    let namespace = Namespace::new()?;
    let _holder = Holder::start(&namespace, options.sockets / 2, 0)?;
    let stable = stable(&printed(&mut in_namespace(reference.command(), &namespace, "-tanpH"))?)?;
    let churns: Vec<Churn> =
        (0..options.processes).map(|_| Churn::start(&namespace, options.rate)).collect::<Result<_, _>>()?;
    println!(
        "{} idle sockets; {} x {} connections open and close each second",
        stable.len(),
        options.processes,
        options.rate
    );
    let tapped = Tapped::new("churn")?;
    let is_chosen = |kind: &&Kind| !options.walks || kind.from.is_walk();
    let mut counts: Vec<(Kind, Count)> =
        KINDS.iter().filter(is_chosen).map(|kind| (*kind, Count::default())).collect();
    let begin = Instant::now();
    let until = Duration::from_secs(options.seconds.into());
    let mut runs = 0;
    while runs < options.runs || begin.elapsed() < until {
        runs += 1;
        for (kind, count) in &mut counts {
            let command = if kind.from == From::Theirs { reference.command() } else { Command::new(&ours) };
            let mut command = in_namespace(command, &namespace, kind.words);
            command.env("SOCKDIAG_PROCESSES", kind.way);
            let (text, sent) = printed_and_sent(&tapped, &mut command)?;
            count.rows += text.lines().count();
            // A walk dumps only a few of the idle sockets, to check itself.
            let is_walk = kind.from.is_walk()
                && sent.keys().filter(|ends| stable.contains_key(*ends)).count() < stable.len() / 2;
            count.walked += u32::from(is_walk);
            count.faults.add(&Faults::of(&text, (!is_walk).then_some(&sent), &stable));
        }
    }
    println!("{runs} listings of each kind in {:.1} s", begin.elapsed().as_secs_f64());
    for (kind, Count { rows, walked, faults }) in &counts {
        let by = if kind.from.is_walk() { format!("; {walked} walked") } else { String::new() };
        println!("{}: {faults} in {runs} listings of {} rows{by}", kind.title, rows / runs.max(1) as usize);
    }
    let moved = churns.into_iter().map(Churn::end).sum::<Result<u64, Why>>()?;
    println!("{moved} connections opened and closed");
    let unwalked = counts.iter().filter(|(kind, count)| kind.from == From::Walk && count.walked < runs);
    if let Some((kind, count)) = unwalked.clone().next() {
        return Err(Why::new(format!("{}: {} of {runs} were dumped", kind.title, runs - count.walked)));
    }
    match counts.iter().filter(|(kind, count)| kind.from != From::Theirs && count.faults.own() > 0).count() {
        0 => Ok(()),
        kinds => Err(Why::new(format!("{kinds} kinds of listing are not what the kernel sent"))),
    }
}

/// A kind of listing.
#[derive(Clone, Copy)]
struct Kind {
    title: &'static str,
    from: From,
    way: &'static str,
    words: &'static str,
}

/// The program and the method of a listing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// The reference.
    Theirs,
    /// Ours, by dumps.
    Dump,
    /// Ours, by walks.
    Walk,
    /// Ours, by its own choice: walks if there are many sockets.
    Best,
}

impl From {
    fn is_walk(self) -> bool {
        matches!(self, Self::Walk | Self::Best)
    }
}

const KINDS: &[Kind] = &[
    Kind { title: "reference -tanH", from: From::Theirs, way: "", words: "-tanH" },
    Kind { title: "ours -tanH", from: From::Dump, way: "", words: "-tanH --source netlink" },
    Kind {
        title: "ours -tanpH by the iterator",
        from: From::Dump,
        way: "bpf",
        words: "-tanpH --source netlink",
    },
    Kind { title: "ours -tanpH by /proc", from: From::Dump, way: "proc", words: "-tanpH --source netlink" },
    Kind { title: "ours -tanH, as it chooses", from: From::Best, way: "", words: "-tanH" },
    Kind { title: "ours -tanH, walked", from: From::Walk, way: "", words: "-tanH --source walk" },
    Kind { title: "ours -tanimoHO, walked", from: From::Walk, way: "", words: "-tanimoHO --source walk" },
    Kind {
        title: "ours -tanpH, walked, by the iterator",
        from: From::Walk,
        way: "bpf",
        words: "-tanpH --source walk",
    },
    Kind {
        title: "ours -tanpH, walked, by /proc",
        from: From::Walk,
        way: "proc",
        words: "-tanpH --source walk",
    },
];

/// The results of a kind of listing.
#[derive(Default)]
struct Count {
    rows: usize,
    /// Listings by a walk.
    walked: u32,
    faults: Faults,
}

/// A program's output, and how often the kernel sent it each socket.
fn printed_and_sent(tapped: &Tapped, command: &mut Command) -> Result<(String, HashMap<String, u64>), Why> {
    let (text, recording) = tapped.run(command)?;
    Ok((text, sent(&recording)))
}

/// The IPv4 sockets of a recording by their two ends, formatted as in a listing, and how often
/// each was sent.
fn sent(recording: &[u8]) -> HashMap<String, u64> {
    let mut sent = HashMap::new();
    let received = tap::datagrams(recording).filter(|(way, _)| *way == Way::Received);
    for message in received.flat_map(|(_, datagram)| messages(datagram)) {
        let socket = InetDiagMsg::new(message.payload).filter(|socket| socket.family() == 2);
        let Some(socket) = socket else { continue };
        if let TCPDIAG_GETSOCK | SOCK_DIAG_BY_FAMILY = message.header.kind {
            let end = |[a, b, c, d, ..]: [u8; 16], port| SocketAddr::from(([a, b, c, d], port));
            let (local, remote) = (end(socket.src(), socket.sport()), end(socket.dst(), socket.dport()));
            *sent.entry(format!("{local} {remote}")).or_default() += 1;
        }
    }
    sent
}

fn in_namespace(mut command: Command, namespace: &Namespace, words: &str) -> Command {
    command.args(words.split(' '));
    namespace.enter(&mut command);
    command
}

/// A row's two ends, which identify it, and its holders, if shown.
fn parts(line: &str) -> Option<(String, &str)> {
    let mut words = line.split_whitespace().skip(3);
    let ends = format!("{} {}", words.next()?, words.next()?);
    Some((ends, words.next().unwrap_or_default()))
}

/// The idle sockets, each with its holders.
fn stable(text: &str) -> Result<HashMap<String, String>, Why> {
    let all: HashMap<String, String> =
        text.lines().filter_map(parts).map(|(ends, holders)| (ends, holders.to_owned())).collect();
    let held = |holders: &String| holders.starts_with("users:((");
    if all.len() != text.lines().count() || !all.values().all(held) {
        return Err(Why::new("sockets that stand still are not told apart by their ends, or not held"));
    }
    Ok(all)
}

/// The faults in listings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Faults {
    /// Sockets that the kernel did not send, or sent more than once.
    unsent: u64,
    resent: u64,
    /// Sockets that the kernel sent but that are not listed.
    lost: u64,
    /// Sockets that are listed more often than the kernel sent them.
    doubled: u64,
    /// Sockets with wrong holders.
    foreign: u64,
    /// Listings with any of these faults.
    listings: u64,
}

impl Faults {
    /// The faults of one listing, given what the kernel sent; `None` for a walk, which reads
    /// the tables itself.  Holders are compared if the listing shows any.
    fn of(text: &str, sent: Option<&HashMap<String, u64>>, stable: &HashMap<String, String>) -> Self {
        let shows_holders = text.contains("users:((");
        let mut seen: HashMap<&str, u64> = HashMap::with_capacity(stable.len());
        let mut faults = Self::default();
        for (ends, holders) in text.lines().filter_map(parts) {
            let Some((ends, wanted)) = stable.get_key_value(&ends) else { continue };
            *seen.entry(ends).or_default() += 1;
            faults.foreign += u64::from(shows_holders && holders != wanted);
        }
        for ends in stable.keys() {
            let times = |all: Option<&u64>| all.copied().unwrap_or_default();
            let sent = sent.map_or(1, |sent| times(sent.get(ends)));
            let seen = times(seen.get(ends.as_str()));
            faults.unsent += u64::from(sent == 0);
            faults.resent += u64::from(sent > 1);
            faults.lost += u64::from(sent > 0 && seen == 0);
            faults.doubled += u64::from(seen > 1 && seen > sent);
        }
        faults.listings = u64::from(faults.own() + faults.unsent + faults.resent > 0);
        faults
    }

    /// The faults that the kernel's dump does not explain.
    fn own(&self) -> u64 {
        self.lost + self.doubled + self.foreign
    }

    fn add(&mut self, other: &Self) {
        self.unsent += other.unsent;
        self.resent += other.resent;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.foreign += other.foreign;
        self.listings += other.listings;
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unsent, resent, lost, doubled, foreign, listings } = self;
        write!(
            f,
            "{lost} lost, {doubled} doubled, {foreign} with other holders; not sent by the kernel {unsent}, \
             sent twice {resent}: {listings} faulty"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockdiag_wire::netlink::Header;

    #[test]
    fn every_fault_is_counted_and_the_kernels_are_its_own() {
        let text =
            "ESTAB 0 0 a:1 b:2 users:((\"x\",pid=1,fd=3))\nESTAB 0 0 b:2 a:1 users:((\"x\",pid=1,fd=4))\n";
        let all = stable(text).expect("two sockets");
        let sent = |one: u64, other: u64| {
            HashMap::from([("a:1 b:2".to_owned(), one), ("b:2 a:1".to_owned(), other)])
        };
        assert_eq!(Faults::of(text, Some(&sent(1, 1)), &all), Faults::default());
        let moved = text.replace("fd=4", "fd=5") + "SYN-SENT 0 1 c:3 d:4\n";
        let found = Faults::of(&moved, Some(&sent(1, 1)), &all);
        assert_eq!(found, Faults { foreign: 1, listings: 1, ..Faults::default() });
        let twice = format!("{}\n", text.lines().next().expect("the first socket")).repeat(2);
        let found = Faults::of(&twice, Some(&sent(1, 1)), &all);
        assert_eq!(found, Faults { lost: 1, doubled: 1, listings: 1, ..Faults::default() });
        let found = Faults::of(&twice, Some(&sent(2, 0)), &all);
        assert_eq!(found, Faults { unsent: 1, resent: 1, listings: 1, ..Faults::default() });
        assert_eq!(found.own(), 0);
        let found = Faults::of(&twice, None, &all);
        assert_eq!(found, Faults { lost: 1, doubled: 1, listings: 1, ..Faults::default() }, "a walk");
        let bare = text.replace("users:((", "").replace("\"x\",pid=1,fd=", "").replace("))", "");
        assert_eq!(Faults::of(&bare, Some(&sent(1, 1)), &all), Faults::default(), "holders are not shown");
        assert!(stable(&bare).is_err());
        assert!(stable(&text.repeat(2)).is_err());
    }

    #[test]
    fn words_are_numbers_but_one() {
        let parse = |line: &str| Options::parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let options = parse("--rate 5000 --walks --seconds 60 --processes 2").expect("all are known");
        assert_eq!((options.rate, options.seconds, options.processes), (5000, 60, 2));
        assert!(options.walks && options.runs == 50 && options.sockets == 100_000);
        for wrong in ["--rate", "--rate x", "--walks 3", "rate 3"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ends_are_as_a_listing_has_them() {
        let mut payload = vec![2, 1, 0, 0];
        payload.extend([0x1f, 0x90, 0, 80, 127, 0, 0, 1]);
        payload.resize(24, 0);
        payload.extend([10, 0, 0, 2]);
        payload.resize(72, 0);
        let mut datagram = Vec::new();
        Header { len: 88, kind: TCPDIAG_GETSOCK, flags: 0, seq: 0, pid: 0 }.encode(&mut datagram);
        datagram.extend(payload);
        let recording = [tap::record(b'S', &datagram), tap::record(b'R', &datagram.repeat(2))].concat();
        assert_eq!(sent(&recording), HashMap::from([("127.0.0.1:8080 10.0.0.2:80".to_owned(), 2)]));
    }
}
