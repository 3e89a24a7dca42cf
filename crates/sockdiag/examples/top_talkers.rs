//! Who sends and receives most: looks twice at every TCP connection and shows
//! the rates between, the busiest first.
//!
//!     cargo run -p sockdiag --example top_talkers
//!     cargo run -p sockdiag --example top_talkers -- --by-process --top 5 --seconds 10 'dst 10.0.0.0/8'
//!
//! Connections are identified by the kernel's cookie, so a reused port counts as a new
//! connection.  A connection that began and ended between the two looks is not seen.

#![allow(clippy::cast_precision_loss, reason = "small, known numbers; each cast is meant")]

use std::collections::HashMap;
use std::error::Error;
use std::io::Write as _;
use std::ops::ControlFlow::Continue;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use sockdiag::{Row, Sockets, Table};

const USAGE: &str = "usage: top_talkers [--by-process] [--top ROWS] [--seconds SECONDS] [FILTER...]";

/// Bytes that the peer acknowledged, and bytes received from it.
type Bytes = (u64, u64);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("top_talkers: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let (mut by_process, mut top, mut pause) = (false, 10, Duration::from_secs(1));
    let mut filter = Vec::new();
    let mut args = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned());
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(USAGE);
        match arg.as_str() {
            "--by-process" => by_process = true,
            "--top" => top = value()?.parse::<usize>().map_err(|_| USAGE)?,
            "--seconds" => {
                let seconds = value()?.parse().map_err(|_| USAGE)?;
                pause = Duration::try_from_secs_f64(seconds).map_err(|_| USAGE)?;
            }
            option if option.starts_with('-') => return Err(USAGE.into()),
            _ => filter.push(arg),
        }
    }
    let connections = Sockets::of(&[Table::Tcp])
        .filter(filter.join(" "))
        .reading(["tcp.bytes_acked", "tcp.bytes_received"]);

    let mut before: HashMap<u64, Bytes> = HashMap::new();
    let began = Instant::now();
    let first = connections.each(|row| {
        before.extend(row.cookie().map(|cookie| (cookie, bytes(row))));
        Continue(())
    })?;
    first.complete()?;
    std::thread::sleep(pause);

    let mut rates: HashMap<String, Bytes> = HashMap::new();
    let seconds = began.elapsed().as_secs_f64();
    let again = connections.with_processes().each(|row| {
        let (sent, received) = bytes(row);
        // A connection that is new since the first look started from zero.
        let had = row.cookie().and_then(|cookie| before.get(&cookie)).copied().unwrap_or_default();
        let rate = rates.entry(name(row, by_process)).or_default();
        rate.0 += sent.saturating_sub(had.0);
        rate.1 += received.saturating_sub(had.1);
        Continue(())
    })?;
    again.notices.iter().for_each(|notice| eprintln!("{notice}"));
    again.complete()?;

    let mut rates: Vec<(String, Bytes)> = rates.into_iter().collect();
    rates.sort_by(|(a, (s, r)), (b, (t, u))| (t + u).cmp(&(s + r)).then_with(|| a.cmp(b)));
    let per_second = |bytes: u64| bytes as f64 / seconds / 1000.0;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{:>12} {:>12}", "sent kB/s", "received")?;
    for (name, (sent, received)) in rates.iter().take(top) {
        writeln!(out, "{:12.1} {:12.1}  {name}", per_second(*sent), per_second(*received))?;
    }
    Ok(())
}

fn bytes(row: &Row<'_>) -> Bytes {
    // For a connection in TIME-WAIT the kernel reports neither number.
    let number = |name| row.number(name).and_then(|number| u64::try_from(number).ok()).unwrap_or(0);
    (number("tcp.bytes_acked"), number("tcp.bytes_received"))
}

fn name(row: &Row<'_>, by_process: bool) -> String {
    let process =
        row.holders().first().map_or_else(|| "-".to_owned(), |h| format!("{}[{}]", h.name(), h.pid));
    match (by_process, row.local(), row.remote()) {
        (false, Some(local), Some(remote)) => format!("{local} -> {remote} {process}"),
        _ => process,
    }
}
