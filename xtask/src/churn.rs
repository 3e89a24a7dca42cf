//! `cargo xtask churn`: listings while connections come and go.
//!
//! Very many connections stand still in a namespace made for the run, while
//! others beside them are opened and closed.  Every socket that stands still
//! has to be in every listing exactly once, with the process that the
//! reference names before the first connection moves.
//!
//! The kernel's own dump makes no promise about what moves while it is read:
//! where its buffer is full it leaves a chain of sockets, and comes back to the
//! same number down the chain, which is one too far if one before it is gone.
//! So what the kernel sent is recorded below each listing, and a socket that is
//! missing is the kernel's to answer for where it was never sent.
//!
//! Invariant: what is counted against a program was in its own dump.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::process::Command;

use sockdiag_testkit::Why;
use sockdiag_testkit::holders::{Churn, Holder};
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::reference::Reference;
use sockdiag_wire::inet_diag::InetDiagMsg;
use sockdiag_wire::netlink::{SOCK_DIAG_BY_FAMILY, TCPDIAG_GETSOCK, messages};

use crate::bench::{build, printed};
use crate::tap::{self, Tapped, Way};

pub(crate) const WORDS: &str = "[--runs R] [--sockets N] [--rate PER-SECOND]";

/// For the list of chores.
pub(crate) const DOC: &str = "\
List sockets while others come and go, and count in how many listings a socket
that stands still is missing, comes twice or has another process; and in how
many the kernel itself left it out.
--runs R         listings of each kind (50)
--sockets N      sockets that stand still (100000)
--rate N         connections opened and closed each second (2000).";

/// Does the chore.
pub(crate) fn run(words: &[String]) -> Result<(), Why> {
    let (mut runs, mut sockets, mut rate) = (50, 100_000, 2_000);
    for pair in words.chunks(2) {
        let value = pair.get(1).and_then(|value| value.parse::<u32>().ok());
        match (pair.first().map(String::as_str), value) {
            (Some("--runs"), Some(value)) => runs = value,
            (Some("--sockets"), Some(value)) => sockets = value,
            (Some("--rate"), Some(value)) => rate = value,
            _ => return Err(Why::new(format!("{} is not understood; usage: {WORDS}", pair.join(" ")))),
        }
    }
    let reference = Reference::get()?;
    let ours = build()?;
    let namespace = Namespace::new()?;
    let _holder = Holder::start(&namespace, sockets / 2, 0)?;
    let stable = stable(&printed(&mut in_namespace(reference.command(), &namespace, "-tanpH"))?)?;
    let churn = Churn::start(&namespace, rate)?;
    println!("{} sockets stand still, {rate} connections come and go each second", stable.len());
    let tapped = Tapped::new("churn")?;
    let mut counts: Vec<(Kind, Count)> = KINDS.iter().map(|kind| (*kind, Count::default())).collect();
    for _ in 0..runs {
        for (kind, count) in &mut counts {
            let command = if kind.ours { Command::new(&ours) } else { reference.command() };
            let mut command = in_namespace(command, &namespace, kind.words);
            command.env("SOCKDIAG_PROCESSES", kind.way);
            let (text, sent) = printed_and_sent(&tapped, &mut command)?;
            count.rows += text.lines().count();
            count.faults.add(&Faults::of(&text, &sent, &stable));
        }
    }
    for (kind, Count { rows, faults }) in &counts {
        println!("{}: {faults} in {runs} listings of {} rows", kind.title, rows / runs.max(1) as usize);
    }
    println!("{} connections came and went", churn.end()?);
    match counts.iter().filter(|(kind, count)| kind.ours && count.faults.own() > 0).count() {
        0 => Ok(()),
        kinds => Err(Why::new(format!("{kinds} kinds of listing are not what the kernel sent"))),
    }
}

/// A kind of listing.
#[derive(Clone, Copy)]
struct Kind {
    title: &'static str,
    ours: bool,
    way: &'static str,
    words: &'static str,
}

const KINDS: &[Kind] = &[
    Kind { title: "reference -tanH", ours: false, way: "", words: "-tanH" },
    Kind { title: "ours -tanH", ours: true, way: "", words: "-tanH" },
    Kind { title: "ours -tanpH by the iterator", ours: true, way: "bpf", words: "-tanpH" },
    Kind { title: "ours -tanpH by /proc", ours: true, way: "proc", words: "-tanpH" },
];

/// What came of the listings of a kind.
#[derive(Default)]
struct Count {
    rows: usize,
    faults: Faults,
}

/// What a program printed, and how often the kernel sent it which socket.
fn printed_and_sent(tapped: &Tapped, command: &mut Command) -> Result<(String, HashMap<String, u64>), Why> {
    let (text, recording) = tapped.run(command)?;
    Ok((text, sent(&recording)))
}

/// The IPv4 sockets of a recording by their two ends, as a listing has them,
/// and how often each was sent.
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

/// A row's two ends, which no other row has, and its holders, if shown.
fn parts(line: &str) -> Option<(String, &str)> {
    let mut words = line.split_whitespace().skip(3);
    let ends = format!("{} {}", words.next()?, words.next()?);
    Some((ends, words.next().unwrap_or_default()))
}

/// The sockets that stand still, each with its holders.
fn stable(text: &str) -> Result<HashMap<String, String>, Why> {
    let all: HashMap<String, String> =
        text.lines().filter_map(parts).map(|(ends, holders)| (ends, holders.to_owned())).collect();
    let held = |holders: &String| holders.starts_with("users:((");
    if all.len() != text.lines().count() || !all.values().all(held) {
        return Err(Why::new("sockets that stand still are not told apart by their ends, or not held"));
    }
    Ok(all)
}

/// What is wrong in listings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Faults {
    /// Sockets that the kernel did not send, or more than once.
    unsent: u64,
    resent: u64,
    /// Sockets that it sent, and that are not listed.
    lost: u64,
    /// Sockets that it sent once, and that are listed more often.
    doubled: u64,
    /// Sockets whose holders are others.
    foreign: u64,
    /// Listings with any of these.
    listings: u64,
}

impl Faults {
    /// Those of one listing; holders are compared where it shows any.
    fn of(text: &str, sent: &HashMap<String, u64>, stable: &HashMap<String, String>) -> Self {
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
            let (sent, seen) = (times(sent.get(ends)), times(seen.get(ends.as_str())));
            faults.unsent += u64::from(sent == 0);
            faults.resent += u64::from(sent > 1);
            faults.lost += u64::from(sent > 0 && seen == 0);
            faults.doubled += u64::from(seen > 1 && seen > sent);
        }
        faults.listings = u64::from(faults.own() + faults.unsent + faults.resent > 0);
        faults
    }

    /// Those that no dump explains.
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
        assert_eq!(Faults::of(text, &sent(1, 1), &all), Faults::default());
        let moved = text.replace("fd=4", "fd=5") + "SYN-SENT 0 1 c:3 d:4\n";
        let found = Faults::of(&moved, &sent(1, 1), &all);
        assert_eq!(found, Faults { foreign: 1, listings: 1, ..Faults::default() });
        let twice = format!("{}\n", text.lines().next().expect("the first socket")).repeat(2);
        let found = Faults::of(&twice, &sent(1, 1), &all);
        assert_eq!(found, Faults { lost: 1, doubled: 1, listings: 1, ..Faults::default() });
        let found = Faults::of(&twice, &sent(2, 0), &all);
        assert_eq!(found, Faults { unsent: 1, resent: 1, listings: 1, ..Faults::default() });
        assert_eq!(found.own(), 0);
        let bare = text.replace("users:((", "").replace("\"x\",pid=1,fd=", "").replace("))", "");
        assert_eq!(Faults::of(&bare, &sent(1, 1), &all), Faults::default(), "holders are not shown");
        assert!(stable(&bare).is_err());
        assert!(stable(&text.repeat(2)).is_err());
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
