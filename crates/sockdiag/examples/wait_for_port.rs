//! Waits until something listens on a port, without connecting to it.
//!
//!     cargo run -p sockdiag --example wait_for_port -- 8080
//!     cargo run -p sockdiag --example wait_for_port -- 53 --udp --timeout 5 --netns web
//!
//! Ends with 0 and prints who listens; with 1 if nobody did in time; with 2 if it could not
//! look.  The kernel does not announce new listeners, so this polls: the table of listeners
//! is small, and the pause between two polls grows from 5 ms to a fifth of a second.

use std::error::Error;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use sockdiag::{Sockets, StateSet, Table};

const USAGE: &str = "usage: wait_for_port PORT [--udp] [--timeout SECONDS] [--netns NAME]";
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("wait_for_port: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let (mut port, mut table) = (None, Table::Tcp);
    let (mut timeout, mut netns) = (Duration::from_mins(1), None);
    let mut args = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned());
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(USAGE);
        match arg.as_str() {
            "--udp" => table = Table::Udp,
            "--timeout" => {
                let seconds = value()?.parse().map_err(|_| USAGE)?;
                timeout = Duration::try_from_secs_f64(seconds).map_err(|_| USAGE)?;
            }
            "--netns" => netns = Some(value()?),
            number if port.is_none() => port = Some(number.parse::<u16>().map_err(|_| USAGE)?),
            _ => return Err(USAGE.into()),
        }
    }
    let port = port.filter(|port| *port != 0).ok_or(USAGE)?;
    let mut listener =
        Sockets::of(&[table]).states(StateSet::LISTENING).filter(format!("sport = :{port}")).limit(1);
    if let Some(netns) = netns {
        listener = listener.netns(netns);
    }

    let began = Instant::now();
    let mut pause = Duration::from_millis(5);
    loop {
        let (rows, outcome) = listener.collect()?;
        if !rows.is_empty() {
            break;
        }
        outcome.complete()?;
        let left = timeout.saturating_sub(began.elapsed());
        if left.is_zero() {
            eprintln!("wait_for_port: nobody listens on port {port} after {timeout:?}");
            return Ok(ExitCode::FAILURE);
        }
        thread::sleep(pause.min(left));
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    // Finding the process means searching every process, so do it once, at the end.
    for row in listener.with_processes().collect()?.0 {
        let Some(local) = row.local() else { continue };
        match row.holders().first() {
            Some(holder) => println!("{local} {}[{}]", holder.name(), holder.pid),
            None => println!("{local}"),
        }
    }
    Ok(ExitCode::SUCCESS)
}
