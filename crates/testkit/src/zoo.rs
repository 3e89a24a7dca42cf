//! The zoo: sockets of named kinds, made in the current namespace and held.
//!
//! `sockdiag-zoo` makes them; [`Zoo::start`] runs it in a namespace.  It prints lines:
//!
//! ```text
//! KIND LOCAL PEER       a socket was made; `-` where there is no address
//! absent KIND REASON    a kind that cannot be made here
//! ready                 all sockets exist; they stay until stdin ends
//! ```
//!
//! Ports and addresses are fixed, and every kind has its own ports, so that outputs can be
//! compared between runs.  Transient states are frozen by a filter that makes one end receive
//! nothing (`make::deafen`): whatever the other end sends is never answered.
//!
//! Invariant: a kind is either made completely or reported absent, never silently left out.

mod make;
mod mptcp;
mod netlink;
mod options;
mod packet;
mod states;
mod tcp;
mod udp;
mod unix;

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, BufReader, Write};
use std::process::{Child, ExitCode, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use make::{Kind, Maker};

use crate::netns::{self, Namespace};
use crate::{Doing, Why, bins};

/// How long making all sockets may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// Delayed acknowledgements (40 ms or more) have been sent after this long.
const SETTLE: Duration = Duration::from_millis(300);

fn tables() -> impl Iterator<Item = &'static Kind> {
    [tcp::KINDS, states::KINDS, options::KINDS, udp::KINDS].into_iter().flatten()
}

/// Kinds that are made only by name: their sockets are also listed in further tables, or in
/// tables other than those of TCP and UDP.
fn on_request() -> impl Iterator<Item = &'static Kind> {
    [states::ON_REQUEST, udp::ON_REQUEST, mptcp::KINDS, unix::KINDS, netlink::KINDS, packet::KINDS]
        .into_iter()
        .flatten()
}

/// Every kind that is made by default, as name and description, in the order of making.
pub fn kinds() -> impl Iterator<Item = (&'static str, &'static str)> {
    tables().map(|kind| (kind.name, kind.doc))
}

/// The names of all kinds, including those made only by name.
pub fn all_kinds() -> Vec<&'static str> {
    tables().chain(on_request()).map(|kind| kind.name).collect()
}

/// One socket that the zoo holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Name of its kind.
    pub kind: String,
    /// Local address and port, e.g. `127.0.0.1:5101` or `[::]:5103`.
    pub local: String,
    /// Peer address and port; `-` if not connected.
    pub peer: String,
}

impl Made {
    /// The local port; zero if the address has none.
    pub fn local_port(&self) -> u16 {
        port(&self.local)
    }

    /// The peer's port; zero if there is no peer.
    pub fn peer_port(&self) -> u16 {
        port(&self.peer)
    }
}

fn port(address: &str) -> u16 {
    address.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(0)
}

/// A running zoo; dropping it closes its sockets.
#[derive(Debug)]
pub struct Zoo {
    keeper: Child,
    made: Vec<Made>,
    absent: Vec<(String, String)>,
}

impl Zoo {
    /// Makes sockets of these kinds (of every kind if none is named) in the namespace, and
    /// returns when all exist.
    ///
    /// First sets retransmissions to continue for long, so that frozen states last.
    pub fn start(namespace: &Namespace, kinds: &[&str]) -> Result<Self, Why> {
        for (name, value) in
            [("tcp_syn_retries", "127"), ("tcp_synack_retries", "255"), ("tcp_retries2", "255")]
        {
            namespace.sysctl(&format!("net/ipv4/{name}"), value)?;
        }
        let mut command = namespace.command(bins::program("sockdiag-zoo")?);
        command.args(kinds).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut zoo =
            Self { keeper: command.spawn().doing("starting the zoo")?, made: Vec::new(), absent: Vec::new() };
        for line in lines_until_ready(&mut zoo.keeper, PATIENCE)? {
            let mut words = line.splitn(3, ' ').map(str::to_owned);
            match (words.next(), words.next(), words.next()) {
                (Some(word), Some(kind), Some(reason)) if word == "absent" => zoo.absent.push((kind, reason)),
                (Some(kind), Some(local), Some(peer)) => zoo.made.push(Made { kind, local, peer }),
                _ => return Err(Why::new(format!("the zoo printed {line:?}"))),
            }
        }
        Ok(zoo)
    }

    /// The sockets that were made.
    pub fn made(&self) -> &[Made] {
        &self.made
    }

    /// Kinds that cannot be made here, with the reasons.
    pub fn absent(&self) -> &[(String, String)] {
        &self.absent
    }

    /// The process that holds the sockets.
    pub fn pid(&self) -> u32 {
        self.keeper.id()
    }
}

impl Drop for Zoo {
    fn drop(&mut self) {
        netns::stop(&mut self.keeper);
    }
}

/// Reads a helper's lines up to `ready`, which is not returned; a line that starts with `ready
/// ` ends the reading too, but is returned.
pub(crate) fn lines_until_ready(child: &mut Child, patience: Duration) -> Result<Vec<String>, Why> {
    let stdout = child.stdout.take().ok_or_else(|| Why::new("a helper without an output"))?;
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            if line.is_err() || sender.send(line).is_err() {
                break;
            }
        }
    });
    let deadline = Instant::now() + patience;
    let mut lines = Vec::new();
    loop {
        match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Ok(line)) if line == "ready" => return Ok(lines),
            Ok(Ok(line)) => {
                let last = line.starts_with("ready ");
                lines.push(line);
                if last {
                    return Ok(lines);
                }
            }
            Ok(Err(error)) => return Err(Why::new(format!("reading a helper's output: {error}"))),
            Err(RecvTimeoutError::Timeout) => {
                return Err(Why::new(format!(
                    "a helper was not ready after {patience:?}; it said {lines:?}"
                )));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Why::new(format!("a helper ended before it was ready; it said {lines:?}")));
            }
        }
    }
}

/// The program `sockdiag-zoo`: its arguments are kinds, or `-l`.
pub fn main(args: &[String]) -> ExitCode {
    match run(args, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("sockdiag-zoo: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String], out: &mut impl Write) -> Result<(), Why> {
    let print = "printing";
    if args.iter().any(|arg| arg == "-l") {
        for Kind { name, doc, .. } in tables().chain(on_request()) {
            writeln!(out, "{name:24} {doc}").doing(print)?;
        }
        return Ok(());
    }
    let known: BTreeSet<_> = tables().chain(on_request()).map(|kind| kind.name).collect();
    if let Some(unknown) = args.iter().find(|arg| !known.contains(arg.as_str())) {
        return Err(Why::new(format!("there is no kind {unknown}; -l lists them")));
    }
    let mut kept = Vec::new();
    let named = |kind: &&Kind| args.iter().any(|arg| arg == kind.name);
    let chosen = tables().filter(|kind| args.is_empty() || named(kind));
    for kind in chosen.chain(on_request().filter(named)) {
        let mut maker = Maker::new();
        let result = (kind.make)(&mut maker);
        // Absent parts of a kind whose other parts exist.
        for (part, why) in &maker.absent {
            writeln!(out, "absent {part} {why}").doing(print)?;
        }
        if let Err(why) = result {
            writeln!(out, "absent {} {}", kind.name, why.to_string().replace('\n', " ")).doing(print)?;
            continue;
        }
        for (local, peer) in &maker.lines {
            writeln!(out, "{} {local} {peer}", kind.name).doing(print)?;
        }
        kept.push(maker);
    }
    thread::sleep(SETTLE);
    writeln!(out, "ready").doing(print)?;
    out.flush().doing(print)?;
    io::copy(&mut io::stdin().lock(), &mut io::sink()).doing("waiting for the end of the input")?;
    Ok(())
}

#[cfg(test)]
mod tests;
