//! `sockdiag-holder`: a very large number of TCP connections, both ends held open.
//!
//! A process may open 20000 files on our test machines, so the connections are divided among
//! workers, copies of the program, of at most [`SHARE`] each.  Every worker has its own
//! listening socket for each family, so only the ports of its own clients must differ; IPv4
//! workers listen on addresses of their own within 127.0.0.0/8.  All sockets are set to be
//! reset when closed, so that a million of them leave no TIME-WAIT.
//!
//! The program prints `ready TOTAL` (connections, each of two sockets) and ends, with its
//! workers, when its input ends.  With `--churn` it opens and closes connections all the time
//! instead of holding them.

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read as _, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::netns::{self, Namespace};
use crate::zoo::lines_until_ready;
use crate::{Doing, Why, bins};

/// Connections that one process holds at most.
pub const SHARE: u32 = 9_000;
/// How long a million connections may take.
const PATIENCE: Duration = Duration::from_mins(10);

/// A running `sockdiag-holder`; dropping it closes its connections.
#[derive(Debug)]
pub struct Holder {
    parent: Child,
    connections: u32,
}

impl Holder {
    /// Makes this many connections in the namespace, `v6_percent` per cent of them over IPv6,
    /// and returns when all are established.
    pub fn start(namespace: &Namespace, connections: u32, v6_percent: u8) -> Result<Self, Why> {
        Self::using(namespace, connections, v6_percent, 0)
    }

    /// The same, and uses `used_percent` per cent of them every second, in turn: one end sends
    /// a hundred bytes, which the other one reads.
    pub fn using(
        namespace: &Namespace,
        connections: u32,
        v6_percent: u8,
        used_percent: u8,
    ) -> Result<Self, Why> {
        let mut command = namespace.command(bins::program("sockdiag-holder")?);
        command.args([connections.to_string(), v6_percent.to_string(), used_percent.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = Self { parent: command.spawn().doing("starting a holder")?, connections: 0 };
        holder.connections = ready(&mut holder.parent)?;
        Ok(holder)
    }

    /// The number of connections.  There are two sockets for each, and one or two listeners
    /// per [`SHARE`].
    pub fn connections(&self) -> u32 {
        self.connections
    }
}

impl Drop for Holder {
    /// Waits, so that the workers' sockets are closed when this returns.
    fn drop(&mut self) {
        drop(self.parent.stdin.take());
        for _ in 0..600 {
            if !matches!(self.parent.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        netns::stop(&mut self.parent);
    }
}

/// A running `sockdiag-holder --churn`.
#[derive(Debug)]
pub struct Churn {
    child: Child,
}

impl Churn {
    /// Opens and closes this many connections a second in the namespace until this is dropped;
    /// returns after the first of them.
    pub fn start(namespace: &Namespace, per_second: u32) -> Result<Self, Why> {
        let mut command = namespace.command(bins::program("sockdiag-holder")?);
        command.arg("--churn").arg(per_second.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().doing("starting what comes and goes")?;
        ready(&mut child)?;
        Ok(Self { child })
    }

    /// Ends the program and returns the number of connections it made.
    pub fn end(mut self) -> Result<u64, Why> {
        drop(self.child.stdin.take());
        let mut said = String::new();
        let errors = self.child.stderr.take().ok_or_else(|| Why::new("a program without errors"))?;
        io::BufReader::new(errors).read_to_string(&mut said).doing("reading how many came and went")?;
        said.trim().parse().doing(format_args!("number {said:?}"))
    }
}

impl Drop for Churn {
    fn drop(&mut self) {
        netns::stop(&mut self.child);
    }
}

/// The number in the line `ready N`.
fn ready(child: &mut Child) -> Result<u32, Why> {
    let lines = lines_until_ready(child, PATIENCE)?;
    let number = lines.last().and_then(|line| line.strip_prefix("ready ")).map(str::parse);
    match number {
        Some(Ok(number)) => Ok(number),
        _ => Err(Why::new(format!("a holder said {lines:?}"))),
    }
}

/// The connections of one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Share {
    /// The worker's number, from zero.
    worker: u16,
    v4: u32,
    v6: u32,
}

/// Divides connections evenly among workers, with the same share of IPv6 in each.
fn shares(connections: u32, v6_percent: u8) -> Vec<Share> {
    let workers = connections.div_ceil(SHARE);
    let all_v6 = (u64::from(connections) * u64::from(v6_percent.min(100)) / 100) as u32;
    (0..workers)
        .map(|worker| {
            let upto = |all: u32, n: u32| (u64::from(all) * u64::from(n) / u64::from(workers)) as u32;
            let part = |all| upto(all, worker + 1) - upto(all, worker);
            let v6 = part(all_v6);
            Share { worker: worker as u16, v4: part(connections).saturating_sub(v6), v6 }
        })
        .collect()
}

/// The program: `sockdiag-holder CONNECTIONS [V6-PERCENT [USED-PERCENT]]`.
pub fn main(args: &[String]) -> ExitCode {
    match run(args, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("sockdiag-holder: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String], out: &mut impl Write) -> Result<(), Why> {
    let number = |at: usize| {
        args.get(at).map(|arg| arg.parse::<u32>().doing(format_args!("number {arg}"))).transpose()
    };
    let held = match args.first().map(String::as_str) {
        None => return Err(Why::new("usage: sockdiag-holder CONNECTIONS [V6-PERCENT [USED-PERCENT]]")),
        Some("--worker") => {
            let missing = || Why::new("--worker needs four numbers");
            let share = Share {
                worker: number(1)?.ok_or_else(missing)? as u16,
                v4: number(2)?.ok_or_else(missing)?,
                v6: number(3)?.ok_or_else(missing)?,
            };
            let used_percent = number(4)?.ok_or_else(missing)?;
            Held::Sockets(used(hold(share)?, used_percent)?)
        }
        Some("--churn") => {
            let per_second = number(1)?.ok_or_else(|| Why::new("--churn needs a number"))?;
            return come_and_go(per_second, out);
        }
        Some(_) => {
            let percent = number(1)?.unwrap_or(0).min(100) as u8;
            let used_percent = number(2)?.unwrap_or(0).min(100);
            Held::Workers(hire(number(0)?.unwrap_or(0), percent, used_percent)?)
        }
    };
    writeln!(out, "ready {held}").and_then(|()| out.flush()).doing("printing")?;
    io::copy(&mut io::stdin().lock(), &mut io::sink()).doing("waiting for the end of the input")?;
    drop(held);
    Ok(())
}

/// What a process holds until its input ends.
enum Held {
    /// In a worker: listeners, then both ends of each connection.
    Sockets(Arc<Vec<(OwnedFd, OwnedFd)>>),
    /// In the parent: workers, each with its number of connections.
    Workers(Vec<(Child, u32)>),
}

/// The number of connections.
impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sockets(pairs) => write!(f, "{}", pairs.len()),
            Self::Workers(workers) => write!(f, "{}", workers.iter().map(|(_, count)| count).sum::<u32>()),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Self::Workers(workers) = self {
            // Close all inputs first, so that the workers end in parallel.
            for (worker, _) in &mut *workers {
                drop(worker.stdin.take());
            }
            for (worker, _) in workers {
                let _ = worker.wait();
            }
        }
    }
}

/// Opens and closes connections until the input ends, then reports their number.
///
/// About sixteen of them are open at a time, and the oldest is closed first; every second one
/// is closed orderly, which leaves a TIME-WAIT.
fn come_and_go(per_second: u32, out: &mut impl Write) -> Result<(), Why> {
    let over = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&over);
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        ended.store(true, Ordering::Relaxed);
    });
    let stream = || {
        net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .doing("making a socket")
    };
    let mut open = VecDeque::new();
    let mut count = 0_u64;
    let start = Instant::now();
    let mut listeners = Vec::new();
    // Several listeners, because closed connections keep their ports for a minute.
    for last in 1..=16 {
        let listener = stream()?;
        let at = SocketAddr::from((Ipv4Addr::new(127, 200, 0, last), 0));
        net::bind(&listener, &at).doing("binding")?;
        net::listen(&listener, 16).doing("listening")?;
        let to = net::getsockname(&listener).doing("asking for a socket's address")?;
        listeners.push((listener, to));
    }
    for (listener, to) in listeners.iter().cycle() {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let client = stream()?;
        net::connect(&client, to).doing("connecting")?;
        let server = net::accept_with(listener, SocketFlags::CLOEXEC).doing("accepting")?;
        if count.is_multiple_of(2) {
            sockopt::set_socket_linger(&client, Some(Duration::ZERO)).doing("SO_LINGER")?;
        }
        open.push_back((client, server));
        if open.len() > 16 {
            open.pop_front();
        }
        count += 1;
        if count == 1 {
            writeln!(out, "ready 1").and_then(|()| out.flush()).doing("printing")?;
        }
        let due = start + Duration::from_secs(count) / per_second.max(1);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    // Nobody reads stdout after `ready`.
    writeln!(io::stderr(), "{count}").doing("printing")
}

/// Starts the workers and waits for all of them.
fn hire(connections: u32, v6_percent: u8, used_percent: u32) -> Result<Vec<(Child, u32)>, Why> {
    let program = std::env::current_exe().doing("finding this program")?;
    let mut held = Held::Workers(Vec::new());
    let Held::Workers(workers) = &mut held else { return Ok(Vec::new()) };
    for share in shares(connections, v6_percent) {
        let numbers =
            [u32::from(share.worker), share.v4, share.v6, used_percent].map(|number| number.to_string());
        let mut command = Command::new(&program);
        command.arg("--worker").args(numbers).stdin(Stdio::piped()).stdout(Stdio::piped());
        workers.push((command.spawn().doing("starting a worker")?, 0));
    }
    for (worker, count) in &mut *workers {
        *count = ready(worker)?;
    }
    Ok(std::mem::take(workers))
}

/// Uses this many per cent of the connections each second, a tenth of them at a time.
fn used(pairs: Vec<(OwnedFd, OwnedFd)>, percent: u32) -> Result<Arc<Vec<(OwnedFd, OwnedFd)>>, Why> {
    const STEP: Duration = Duration::from_millis(100);
    let pairs = Arc::new(pairs);
    let at_once = (pairs.len() * percent as usize).div_ceil(1_000);
    if at_once > 0 {
        let pairs = Arc::clone(&pairs);
        let work = move || {
            let mut next = pairs.iter().cycle();
            loop {
                let begun = Instant::now();
                for (one, other) in next.by_ref().take(at_once) {
                    // The connection may have been closed by somebody, so errors are ignored.
                    let _ = net::send(one, &[7; 100], SendFlags::empty());
                    let _ = net::recv(other, &mut [0; 200], RecvFlags::DONTWAIT);
                }
                std::thread::sleep(STEP.saturating_sub(begun.elapsed()));
            }
        };
        std::thread::Builder::new().spawn(work).doing("starting a thread")?;
    }
    Ok(pairs)
}

/// Makes a worker's connections.
fn hold(share: Share) -> Result<Vec<(OwnedFd, OwnedFd)>, Why> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .doing("raising the number of open files")?;
    let mut pairs = Vec::new();
    // 127.1.1.1, 127.1.2.1 and so on: never an address that something else uses.
    let own = Ipv4Addr::new(127, 1 + (share.worker / 250) as u8, 1 + (share.worker % 250) as u8, 1);
    for (address, count) in [(IpAddr::V4(own), share.v4), (Ipv6Addr::LOCALHOST.into(), share.v6)] {
        connect(address, count, &mut pairs)?;
    }
    Ok(pairs)
}

/// Closes its listener at the end; accepted connections stay open.
fn connect(address: IpAddr, count: u32, pairs: &mut Vec<(OwnedFd, OwnedFd)>) -> Result<(), Why> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket =
        || net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None).doing("making a socket");
    let listener = socket()?;
    net::bind(&listener, &SocketAddr::new(address, 0)).doing(format_args!("binding to {address}"))?;
    net::listen(&listener, 128).doing("listening")?;
    let to = net::getsockname(&listener).doing("asking for a socket's address")?;
    for _ in 0..count {
        let client = socket()?;
        net::connect(&client, &to).doing(format_args!("connecting to {address}"))?;
        let server = net::accept_with(&listener, SocketFlags::CLOEXEC).doing("accepting")?;
        for end in [&client, &server] {
            sockopt::set_socket_linger(end, Some(Duration::ZERO)).doing("SO_LINGER")?;
        }
        pairs.push((client, server));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_fit_a_process() {
        for (connections, percent) in [(0, 0), (1, 50), (9_000, 100), (9_001, 30), (1_000_000, 33)] {
            let shares = shares(connections, percent as u8);
            assert_eq!(shares.iter().map(|share| share.v4 + share.v6).sum::<u32>(), connections);
            assert_eq!(shares.iter().map(|share| share.v6).sum::<u32>(), connections * percent / 100);
            assert!(shares.iter().all(|share| share.v4 + share.v6 <= SHARE), "{shares:?}");
            if percent == 100 {
                assert!(shares.iter().all(|share| share.v4 == 0));
            }
        }
        assert_eq!(shares(1_000_000, 0).len(), 112);
    }

    #[test]
    fn twenty_thousand_connections_stand_until_dropped() {
        let Some(namespace) = Namespace::or_skip() else { return };
        let in_use = |file: &str, key: &str| {
            let out = namespace.command("cat").arg(format!("/proc/net/{file}")).output().unwrap();
            let text = String::from_utf8(out.stdout).unwrap();
            let line = text.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
            line.split_whitespace().nth(2).unwrap().parse::<u32>().unwrap()
        };
        let holder = Holder::start(&namespace, 20_000, 30).unwrap();
        assert_eq!(holder.connections(), 20_000);
        assert_eq!(in_use("sockstat", "TCP:"), 2 * 14_000);
        assert_eq!(in_use("sockstat6", "TCP6:"), 2 * 6_000);
        drop(holder);
        assert_eq!((in_use("sockstat", "TCP:"), in_use("sockstat6", "TCP6:")), (0, 0));
    }
}
