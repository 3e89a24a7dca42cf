//! `cargo xtask churn`: listings while connections come and go.
//!
//! Very many connections stand still in a namespace made for the run, while
//! others beside them are opened and closed.  Every socket that stands still
//! has to be in every listing exactly once, with the process that the
//! reference names before the first connection moves.
//!
//! The kernel's own dump makes no promise about what moves while it is read:
//! it leaves a chain where the buffer is full and comes back to the same number
//! of sockets down the chain, which is one too far if one before it is gone.
//! So the same is asked of bare dumps, in turns with the listings: what is
//! missing there as often is not ours to mend.  No dump explains a socket that
//! is there twice with a stable place, or that has another process.

use std::collections::HashMap;
use std::fmt;
use std::process::Command;

use sockdiag_testkit::Why;
use sockdiag_testkit::holders::{Churn, Holder};
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::reference::Reference;

use crate::bench::{build, printed, this_program};

pub(crate) const WORDS: &str = "[--runs R] [--sockets N] [--rate PER-SECOND]";

/// For the list of chores.
pub(crate) const DOC: &str = "\
List sockets while others come and go, and count in how many listings a socket
that stands still is missing, comes twice or has another process.
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
    let mut counts: Vec<(Kind, Count)> = KINDS.iter().map(|kind| (*kind, Count::default())).collect();
    for _ in 0..runs {
        for (kind, count) in &mut counts {
            let command = match kind.who {
                Who::Kernel => Command::new(this_program()?),
                Who::Reference => reference.command(),
                Who::Ours => Command::new(&ours),
            };
            let mut command = in_namespace(command, &namespace, kind.words);
            command.env("SOCKDIAG_PROCESSES", kind.way);
            let text = printed(&mut command)?;
            count.rows += text.lines().count();
            count.faults.add(&Faults::of(&text, &stable));
        }
    }
    for (kind, Count { rows, faults }) in &counts {
        println!("{}: {faults} in {runs} listings of {} rows", kind.title, rows / runs.max(1) as usize);
    }
    println!("{} connections came and went", churn.end()?);
    let of = |ours: bool| counts.iter().filter(move |(kind, _)| (kind.who == Who::Ours) == ours);
    let dumps_miss = of(false).any(|(_, count)| count.faults.missing > 0);
    let wrong = |faults: &Faults| faults.doubled + faults.foreign > 0 || (faults.missing > 0 && !dumps_miss);
    match of(true).filter(|(_, count)| wrong(&count.faults)).count() {
        0 => Ok(()),
        kinds => Err(Why::new(format!("{kinds} kinds of listing have faults that a bare dump has not"))),
    }
}

/// Who lists.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Kernel,
    Reference,
    Ours,
}

/// A kind of listing.
#[derive(Clone, Copy)]
struct Kind {
    title: &'static str,
    who: Who,
    way: &'static str,
    words: &'static str,
}

const KINDS: &[Kind] = &[
    Kind { title: "bare dump of the kernel", who: Who::Kernel, way: "", words: "bare-dump --ends" },
    Kind { title: "reference -tanH", who: Who::Reference, way: "", words: "-tanH" },
    Kind { title: "ours -tanH", who: Who::Ours, way: "", words: "-tanH" },
    Kind { title: "ours -tanpH by the iterator", who: Who::Ours, way: "bpf", words: "-tanpH" },
    Kind { title: "ours -tanpH by /proc", who: Who::Ours, way: "proc", words: "-tanpH" },
];

/// What came of the listings of a kind.
#[derive(Default)]
struct Count {
    rows: usize,
    faults: Faults,
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
    missing: u64,
    doubled: u64,
    /// Sockets whose holders are others.
    foreign: u64,
    /// Listings with any of these.
    listings: u64,
}

impl Faults {
    /// Those of one listing; holders are compared where it shows any.
    fn of(text: &str, stable: &HashMap<String, String>) -> Self {
        let shows_holders = text.contains("users:((");
        let mut seen: HashMap<&str, u64> = HashMap::with_capacity(stable.len());
        let mut faults = Self::default();
        for (ends, holders) in text.lines().filter_map(parts) {
            let Some((ends, wanted)) = stable.get_key_value(&ends) else { continue };
            *seen.entry(ends).or_default() += 1;
            faults.foreign += u64::from(shows_holders && holders != wanted);
        }
        faults.missing = (stable.len() - seen.len()) as u64;
        faults.doubled = seen.values().filter(|times| **times > 1).count() as u64;
        faults.listings = u64::from(faults.sum() > 0);
        faults
    }

    fn sum(&self) -> u64 {
        self.missing + self.doubled + self.foreign
    }

    fn add(&mut self, other: &Self) {
        self.missing += other.missing;
        self.doubled += other.doubled;
        self.foreign += other.foreign;
        self.listings += other.listings;
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { missing, doubled, foreign, listings } = self;
        write!(f, "{missing} missing, {doubled} twice, {foreign} with other holders: {listings} faulty")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_counted() {
        let text =
            "ESTAB 0 0 a:1 b:2 users:((\"x\",pid=1,fd=3))\nESTAB 0 0 b:2 a:1 users:((\"x\",pid=1,fd=4))\n";
        let all = stable(text).expect("two sockets");
        assert_eq!(Faults::of(text, &all), Faults::default());
        let moved = text.replace("fd=4", "fd=5") + "SYN-SENT 0 1 c:3 d:4\n";
        assert_eq!(Faults::of(&moved, &all), Faults { foreign: 1, listings: 1, ..Faults::default() });
        let twice = format!("{}\n", text.lines().next().expect("the first socket")).repeat(2);
        let found = Faults::of(&twice, &all);
        assert_eq!(found, Faults { missing: 1, doubled: 1, foreign: 0, listings: 1 });
        let bare = text.replace("users:((", "").replace("\"x\",pid=1,fd=", "").replace("))", "");
        assert_eq!(Faults::of(&bare, &all), Faults::default(), "holders are not shown");
        assert!(stable(&bare).is_err());
        assert!(stable(&text.repeat(2)).is_err());
    }
}
