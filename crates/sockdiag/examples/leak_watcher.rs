//! Sockets that a program forgot to close: the other end has closed the
//! connection, and ours stays in CLOSE-WAIT.
//!
//!     cargo run -p sockdiag --example leak_watcher
//!     cargo run -p sockdiag --example leak_watcher -- --seconds 300 --limit 20 --netns all
//!
//! Looks twice, `--seconds` apart; a socket that was in CLOSE-WAIT both times is counted as
//! leaked.  Ends with 0 if there are at most `--limit` of them, with 1 if there are more,
//! and with 2 if it could not look.

use std::collections::{BTreeMap, HashSet};
use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use sockdiag::{OwnedRow, Sockets, State, StateSet, Table};

const USAGE: &str = "usage: leak_watcher [--seconds SECONDS] [--limit SOCKETS] [--netns NAME[,NAME...]|all]";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("leak_watcher: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let (mut pause, mut limit) = (Duration::from_secs(30), 0);
    let mut waiting = Sockets::of(&[Table::Tcp]).states(StateSet::only(State::CloseWait));
    let mut args = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned());
    while let Some(arg) = args.next() {
        let value = args.next().ok_or(USAGE)?;
        match arg.as_str() {
            "--seconds" => {
                let seconds = value.parse().map_err(|_| USAGE)?;
                pause = Duration::try_from_secs_f64(seconds).map_err(|_| USAGE)?;
            }
            "--limit" => limit = value.parse::<usize>().map_err(|_| USAGE)?,
            "--netns" => waiting = waiting.netns(value),
            _ => return Err(USAGE.into()),
        }
    }

    let before: HashSet<u64> = look(&waiting)?.iter().filter_map(OwnedRow::cookie).collect();
    if !before.is_empty() {
        std::thread::sleep(pause);
    }
    // Processes are searched only if there is something to report: the search is slow.
    let mut leaks: BTreeMap<String, Vec<OwnedRow>> = BTreeMap::new();
    let mut count = 0;
    if !before.is_empty() {
        for row in look(&waiting.with_processes())? {
            if row.cookie().is_some_and(|cookie| before.contains(&cookie)) {
                let holders = row.holders();
                let holder = holders.first().map(|holder| format!("{}[{}]", holder.name(), holder.pid));
                leaks.entry(holder.unwrap_or_else(|| "unknown".to_owned())).or_default().push(row);
                count += 1;
            }
        }
    }

    let mut out = std::io::stdout().lock();
    for (holder, rows) in &leaks {
        writeln!(out, "{holder}: {} in CLOSE-WAIT for more than {pause:?}", rows.len())?;
        for row in rows {
            if let (Some(local), Some(remote)) = (row.local(), row.remote()) {
                writeln!(out, "    {local} -> {remote}  {} bytes unread", row.recv_q())?;
            }
        }
    }
    writeln!(out, "{count} sockets, {limit} allowed")?;
    Ok(if count > limit { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Reads every socket, or returns why they could not all be read.
fn look(sockets: &Sockets) -> Result<Vec<OwnedRow>, Box<dyn Error>> {
    let (rows, outcome) = sockets.collect()?;
    outcome.notices.iter().for_each(|notice| eprintln!("{notice}"));
    outcome.complete()?;
    Ok(rows)
}
