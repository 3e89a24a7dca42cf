//! Polls N times and prints, per poll, rows, window and time: what a session
//! costs once it is open.
//!
//! ```text
//! cargo run --release -p sockdiag --example poll -- N [--processes] [--netns LIST] [--dumps] [FILTER]
//! ```
//!
//! With `--dumps` the kernel is asked for dumps, however many sockets there are.
//!
//! With `--cpu`, one more line prints the CPU time of all polls but the first, in
//! microseconds per poll; `cargo xtask session` compares it with a bare dump.

use std::convert::Infallible;
use std::error::Error;
use std::ops::ControlFlow;

use rustix::time::{ClockId, clock_gettime};
use sockdiag::source::{Sources, Way};
use sockdiag::{PollError, Row, Sink, Sockets, StateSet, Table};

/// A sink that counts rows and keeps none.
struct Counted(u64);

impl Sink for Counted {
    type Error = Infallible;

    fn row(&mut self, row: &Row<'_>) -> Result<ControlFlow<()>, Infallible> {
        self.0 += u64::from(row.socket.origin.window.is_some());
        Ok(ControlFlow::Continue(()))
    }
}

/// The CPU time of this process, in microseconds.
fn cpu_us() -> i64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1000
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let polls: u64 =
        words.next().ok_or("usage: poll N [--processes] [--netns LIST] [--dumps] [FILTER]")?.parse()?;
    let mut sockets = Sockets::of(&[Table::Tcp]).states(StateSet::ALL);
    let (mut tells_cpu, mut filter) = (false, Vec::new());
    while let Some(word) = words.next() {
        match word.as_str() {
            "--processes" => sockets = sockets.with_processes(),
            "--netns" => sockets = sockets.netns(words.next().ok_or("--netns takes a list")?),
            "--dumps" => {
                sockets = sockets.sources(Sources { way: Way::Netlink, ..Sources::default() });
            }
            "--cpu" => tells_cpu = true,
            _ => filter.push(word),
        }
    }
    let mut session = sockets.filter(filter.join(" ")).open()?;
    let mut after_first = 0;
    for poll in 0..polls {
        let mut sink = Counted(0);
        let outcome = session.poll(&mut sink).map_err(|error| match error {
            PollError::Ask(error) => error,
            PollError::Sink(never) => match never {},
            error => unreachable!("{error}"),
        })?;
        for notice in &outcome.notices {
            eprintln!("{notice}");
        }
        let window = outcome.window;
        println!(
            "poll {poll}: {} rows, window {} to {} ns, {} us",
            outcome.rows,
            window.begin_ns(),
            window.end_ns(),
            window.length().as_micros()
        );
        if outcome.rows != sink.0 {
            return Err("a row without a window".into());
        }
        if poll == 0 {
            after_first = cpu_us();
        }
    }
    if tells_cpu && polls > 1 {
        println!("cpu {} us a poll", (cpu_us() - after_first) / i64::try_from(polls - 1)?);
    }
    Ok(())
}
