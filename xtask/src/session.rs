//! `cargo xtask session`: compares the cost of later polls of a session with a bare dump of
//! the same requests.
//!
//! A session opens everything in its first poll.  Later polls cost the kernel's dump, which a
//! bare dump costs as well, plus our own work: decoding, the window of each row, and finding
//! holders or namespaces.  The ratio of the two is the figure.
//!
//! The example `poll` runs once with a preloaded library that records its requests, and the
//! bare dump sends those of the second poll.  Both run in turns, taking turns to go first,
//! each as one process that dumps many times; the table shows medians of their processor time.
//!
//! Invariant: a figure exists only if both saw the same number of rows.

#![allow(clippy::cast_precision_loss, reason = "small, known numbers; each cast is meant")]

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sockdiag_testkit::Why;
use sockdiag_testkit::holders::Holder;
use sockdiag_testkit::netns::Namespace;

use crate::bench::{build_bare_dump, build_example, load, printed};
use crate::fail::failed;
use crate::tap::{self, Tapped, Way};

pub(crate) const WORDS: &str = "[--runs R] [--polls N]";

/// The help text.
pub(crate) const DOC: &str = "\
Compare the processor time of a session's later polls with that of a bare dump
of the same requests on sockets that stay open, and fail above the limits:
800 TCP sockets 1.15, with the processes that hold them 1.8, and ten namespaces
of 100 to 800 sockets 1.2 times all their dumps.
--runs R         processes of each kind, in turns (11)
--polls N        polls that each of them makes (200).";

/// Number of sockets in the namespace that is polled alone.
const SOCKETS: u32 = 800;
/// Number of namespaces that are polled together.
const NAMESPACES: u32 = 10;
/// Number of sockets in the first of them; the last has [`SOCKETS`].
const FEWEST: u32 = 100;

/// A kind of poll.
struct Kind {
    title: &'static str,
    limit: f64,
    /// Whether all namespaces are polled, rather than one.
    everywhere: bool,
    words: &'static [&'static str],
}

const KINDS: [Kind; 3] = [
    Kind { title: "800 sockets", limit: 1.15, everywhere: false, words: &[] },
    Kind { title: "800 sockets, with processes", limit: 1.8, everywhere: false, words: &["--processes"] },
    Kind { title: "ten namespaces", limit: 1.2, everywhere: true, words: &[] },
];

/// Runs the chore.
pub(crate) fn run(words: &[String]) -> Result<(), Why> {
    let (mut runs, mut polls) = (11, 200);
    for pair in words.chunks(2) {
        let value = pair.get(1).and_then(|value| value.parse::<u32>().ok()).filter(|value| *value > 1);
        match (pair.first().map(String::as_str), value) {
            (Some("--runs"), Some(value)) => runs = value,
            (Some("--polls"), Some(value)) => polls = value,
            _ => return Err(Why::new(format!("{} is not a valid argument; usage: {WORDS}", pair.join(" ")))),
        }
    }
    let bare = build_bare_dump()?;
    let poll = build_example("poll")?;
    let tapped = Tapped::new("session")?;
    println!("{runs} runs of {polls} polls each; load averages {}.\n", load());
    println!("| Polled | rows | bare dump, us | poll, us | ratio | limit |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    let mut above = Vec::new();
    for kind in &KINDS {
        let sockets = if kind.everywhere { places()? } else { vec![Place::new(SOCKETS)?] };
        let mut contest =
            Contest { kind, bare: &bare, poll: &poll, places: &sockets, requests: PathBuf::new() };
        contest.record(&tapped)?;
        let measured = contest.measure(runs, polls)?;
        println!("{measured}");
        if measured.ratio() > kind.limit {
            above.push(kind.title);
        }
    }
    println!("\nLoad averages at the end: {}.", load());
    if above.is_empty() { Ok(()) } else { Err(Why::new(format!("above the limit: {}", above.join(", ")))) }
}

/// A namespace with its sockets, which are closed first.
struct Place {
    _sockets: Holder,
    namespace: Namespace,
}

impl Place {
    fn new(sockets: u32) -> Result<Self, Why> {
        let namespace = Namespace::new()?;
        let sockets = Holder::start(&namespace, sockets / 2, 0)?;
        Ok(Self { _sockets: sockets, namespace })
    }
}

/// All namespaces, each with more sockets than the one before.
fn places() -> Result<Vec<Place>, Why> {
    let step = (SOCKETS - FEWEST) / (NAMESPACES - 1);
    (0..NAMESPACES).map(|number| Place::new(FEWEST + number * step)).collect()
}

/// One comparison of a session with a bare dump.
struct Contest<'c> {
    kind: &'c Kind,
    bare: &'c Path,
    poll: &'c Path,
    places: &'c [Place],
    /// The file with the requests that a poll sends in each namespace.
    requests: PathBuf,
}

impl Contest<'_> {
    /// A command that polls; it runs inside the namespace if there is only one.
    fn poll(&self, polls: u32) -> Command {
        let mut command = Command::new(self.poll);
        command.args([&polls.to_string(), "--cpu", "--dumps"]).args(self.kind.words);
        if self.kind.everywhere {
            let pids = self.places.iter().map(|place| format!("pid:{}", place.namespace.pid()));
            command.arg("--netns").arg(pids.collect::<Vec<_>>().join(","));
        } else if let [only] = self.places {
            only.namespace.enter(&mut command);
        }
        command
    }

    fn bare(&self, dumps: u32) -> Command {
        let mut command = Command::new(self.bare);
        command.arg(crate::bare_dump::NAME).arg(&self.requests).arg(dumps.to_string());
        command.args(self.places.iter().map(|place| format!("/proc/{}/ns/net", place.namespace.pid())));
        command
    }

    /// Records the requests that a later poll sends in each namespace.
    fn record(&mut self, tapped: &Tapped) -> Result<(), Why> {
        const POLLS: u32 = 3;
        let (_, recording) = tapped.run(&mut self.poll(POLLS))?;
        let sent = tap::datagrams(&recording).filter(|(way, _)| *way == Way::Sent);
        let sent: Vec<&[u8]> = sent.map(|(_, datagram)| datagram).collect();
        let rounds = POLLS as usize * self.places.len();
        if sent.is_empty() || !sent.len().is_multiple_of(rounds) {
            return Err(Why::new(format!("{} requests in {rounds} rounds of requests", sent.len())));
        }
        let last = sent.get(sent.len() - sent.len() / rounds..).unwrap_or_default();
        self.requests = tapped.directory().join("requests");
        fs::write(&self.requests, last.concat()).map_err(|error| failed(&self.requests, &error))
    }

    fn measure(&self, runs: u32, polls: u32) -> Result<Measured<'_>, Why> {
        let (mut rows, mut bare, mut ours) = (None, Vec::new(), Vec::new());
        for run in 0..runs {
            for turn in 0..2 {
                let (costs, mut command) = if (run + turn) % 2 == 0 {
                    (&mut bare, self.bare(polls))
                } else {
                    (&mut ours, self.poll(polls))
                };
                let text = printed(&mut command)?;
                let said = |what: &str| Why::new(format!("no {what} in {text:?}"));
                costs.push(cpu(&text).ok_or_else(|| said("processor time"))?);
                let seen = last_rows(&text).ok_or_else(|| said("rows"))?;
                if *rows.get_or_insert(seen) != seen {
                    return Err(Why::new(format!("{}: {seen} rows, and {rows:?} before", self.kind.title)));
                }
            }
        }
        let rows = rows.unwrap_or_default();
        Ok(Measured { kind: self.kind, rows, bare: median(bare), ours: median(ours) })
    }
}

/// Medians of both programs, in microseconds.
struct Measured<'c> {
    kind: &'c Kind,
    rows: u64,
    bare: u64,
    ours: u64,
}

impl Measured<'_> {
    fn ratio(&self) -> f64 {
        self.ours as f64 / self.bare.max(1) as f64
    }
}

/// Formats the result as a row of the table.
impl fmt::Display for Measured<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, rows, bare, ours } = self;
        let ratio = self.ratio();
        write!(f, "| {} | {rows} | {bare} | {ours} | {ratio:.2} | {:.2} |", kind.title, kind.limit)
    }
}

/// The number in the line `cpu N us a ...`.
fn cpu(text: &str) -> Option<u64> {
    let mut words = text.lines().rev().find_map(|line| line.strip_prefix("cpu "))?.split(' ');
    words.next()?.parse().ok()
}

/// The number before `rows` in the last line that has one.
fn last_rows(text: &str) -> Option<u64> {
    text.lines().rev().find_map(|line| {
        let words: Vec<&str> = line.split([' ', ',']).collect();
        let at = words.iter().position(|word| *word == "rows")?;
        words.get(at.checked_sub(1)?)?.parse().ok()
    })
}

fn median(mut numbers: Vec<u64>) -> u64 {
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_say_is_read() {
        let polls = "poll 0: 801 rows, window 1 to 2 ns, 5 us\npoll 1: 802 rows, window 3 to 4 ns, 5 us\n\
                     cpu 740 us a poll\n";
        assert_eq!((last_rows(polls), cpu(polls)), (Some(802), Some(740)));
        assert_eq!((last_rows("7 rows\ncpu 33 us a dump\n"), cpu("cpu 33 us a dump\n")), (Some(7), Some(33)));
        assert_eq!((last_rows("rows\n"), cpu("no cpu\n")), (None, None));
    }

    #[test]
    fn a_ratio_is_that_of_the_medians() {
        let measured = |bare, ours| Measured { kind: &KINDS[0], rows: 801, bare, ours };
        assert_eq!(measured(100, 115).to_string(), "| 800 sockets | 801 | 100 | 115 | 1.15 | 1.15 |");
        assert!(measured(0, 5).ratio().is_finite());
        assert_eq!(median(vec![9, 1, 5]), 5);
        assert_eq!(median(Vec::new()), 0);
    }
}
