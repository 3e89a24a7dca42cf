//! What can be reached from where: every TCP listener and bound UDP socket with the
//! farthest place it can be reached from, its process and the user that the process runs as
//! (which may differ from the user who made the socket: servers bind as root and then drop
//! privileges).
//!
//!     cargo run -p sockdiag --example listening_audit
//!     cargo run -p sockdiag --example listening_audit -- --allow private --netns all
//!
//! With `--allow`, shows only what is reachable from farther away than that
//! (loopback, link-local, private, multicast, global, in this order) and ends
//! with 1 if there is any; 2 means that it could not look.  Firewalls are not
//! considered.

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use sockdiag::{OwnedRow, Sockets, StateSet, Table};

const USAGE: &str = "usage: listening_audit [--allow SCOPE] [--netns NAME[,NAME...]|all]";

/// Nearest first; `any` is a wildcard whose addresses are not known.
const SCOPES: [&str; 6] = ["loopback", "link-local", "private", "multicast", "global", "any"];

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("listening_audit: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let mut listeners = Sockets::of(&[Table::Tcp, Table::Udp])
        .states(StateSet::LISTENING)
        // A UDP socket that is bound to no port receives nothing.
        .filter("sport != :0")
        .reading(["listen.scope", "listen.reach", "listen.accepts", "socket.processes.user", "netns.title"])
        .with_processes();
    let mut allowed = None;
    let mut args = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned());
    while let Some(arg) = args.next() {
        let value = args.next().ok_or(USAGE)?;
        match arg.as_str() {
            "--allow" => allowed = Some(SCOPES.iter().position(|scope| *scope == value).ok_or(USAGE)?),
            "--netns" => listeners = listeners.netns(value),
            _ => return Err(USAGE.into()),
        }
    }

    let (rows, outcome) = listeners.collect()?;
    outcome.notices.iter().for_each(|notice| eprintln!("{notice}"));
    outcome.complete()?;
    let mut found: Vec<(usize, OwnedRow)> = rows
        .into_iter()
        .filter_map(|row| Some((reach(&row)?, row)))
        .filter(|(reach, _)| allowed.is_none_or(|allowed| *reach > allowed))
        .collect();
    // Sockets that are reachable from farthest away come first.
    found.sort_by_key(|(reach, row)| (std::cmp::Reverse(*reach), row.local()));

    let text =
        |row: &OwnedRow, name| row.value(name).map_or_else(|| "-".to_owned(), |value| value.to_string());
    let mut out = std::io::stdout().lock();
    for (reach, row) in &found {
        let holders = row.holders();
        let holder = holders.first();
        let user = holder.and_then(|holder| holder.user_name()).unwrap_or_else(|| "-".to_owned());
        let holder = holder.map_or_else(|| "-".to_owned(), |h| format!("{}[{}]", h.name(), h.pid));
        let local = row.local().map_or_else(String::new, |local| local.to_string());
        write!(out, "{:10} {:9} {} {local:24}", SCOPES[*reach], text(row, "listen.accepts"), kind(row))?;
        write!(out, " {holder} user {user}")?;
        match row.value("netns.title") {
            Some(netns) => writeln!(out, " in {netns}")?,
            None => writeln!(out)?,
        }
    }
    Ok(if allowed.is_some() && !found.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// How far away a row can be reached from; a wildcard address counts as the
/// farthest-reaching address of its interfaces.
fn reach(row: &OwnedRow) -> Option<usize> {
    let scope = row.value("listen.reach").or_else(|| row.value("listen.scope"))?.to_string();
    SCOPES.iter().position(|known| *known == scope)
}

fn kind(row: &OwnedRow) -> &'static str {
    if row.table() == Table::Udp { "udp" } else { "tcp" }
}
