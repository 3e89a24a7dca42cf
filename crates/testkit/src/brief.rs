//! `sockdiag-brief`: connections of a few milliseconds, to check what a watcher reports when
//! they end.
//!
//! It makes thousands a second on the loopback.  They are spread over many listeners, so that
//! ephemeral ports suffice although closed connections keep theirs for a while.  Two of three
//! are closed orderly, by either end first, which leaves a TIME-WAIT; the third is aborted by
//! its client.  The listener determines how much each end sends, so the last counters of each
//! socket can be checked one by one.
//!
//! The program prints `ready` when its listeners are open, makes the connections when it reads
//! a line, and prints `made CONNECTIONS MILLISECONDS`.  It keeps the listeners open until its
//! input ends: closing them earlier would add closings.
//!
//! Invariant: [`Account::wrong`] is empty only if the closings shown and the closings counted
//! as lost add up to exactly those that were made.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small, known numbers; each cast is meant"
)]

mod account;

use std::collections::VecDeque;
use std::io::{self, BufRead as _, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

pub use account::{Account, Plan};

use crate::{Doing, Why};

/// The name of the program.
pub const PROGRAM: &str = "sockdiag-brief";
/// The last line that `--beside` prints if all is well.
pub const ADDS_UP: &str = "closings add up";
/// How long a connection stays open.
const LIFE: Duration = Duration::from_millis(3);
/// Open connections of a thread, at most: a process may have 1024 open files.
const MOST_OPEN: usize = 96;
/// Threads that make connections.
const THREADS: u16 = 2;
/// Listeners of a thread.
const LISTENERS: u16 = 24;
/// The port of the first listener.
const FIRST_PORT: u16 = 7000;

/// How the connections of a listener end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The client closes first, so it is left in TIME-WAIT.
    Client,
    /// The server closes first.
    Server,
    /// The client resets the connection, and has then lost its counters.
    Abort,
}

/// What the connections of a listener have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    ending: Ending,
    /// Bytes that the client sends, and bytes that the server sends.
    client: usize,
    server: usize,
}

impl Kind {
    /// The kind of a listener's connections, by its port.
    fn of(port: u16) -> Option<Self> {
        let number = port.checked_sub(FIRST_PORT).filter(|number| *number < THREADS * LISTENERS)?;
        let ending = match number % 3 {
            0 => Ending::Client,
            1 => Ending::Server,
            _ => Ending::Abort,
        };
        let number = usize::from(number);
        Some(Self { ending, client: 100 + number, server: 1000 + 3 * number })
    }
}

/// The program's main function; see the module.
pub fn main(args: &[String]) -> ExitCode {
    let done = match args {
        [word, rest @ ..] if word == "--beside" => beside(rest),
        _ => make(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{PROGRAM}: {why}");
            ExitCode::FAILURE
        }
    }
}

fn number(text: &str) -> Result<u32, Why> {
    text.parse().doing(format_args!("number {text}"))
}

/// `--beside SOCKDIAG CONNECTIONS PER-SECOND`: runs the whole check twice, with a reader that
/// keeps reading and with one that stops for two seconds.
fn beside(args: &[String]) -> Result<(), Why> {
    let [program, connections, per_second] = args else {
        return Err(Why::new(format!("usage: {PROGRAM} --beside SOCKDIAG CONNECTIONS PER-SECOND")));
    };
    let (connections, per_second) = (number(connections)?, number(per_second)?);
    let maker = std::env::current_exe().doing("finding this program")?;
    let mut wrong = Vec::new();
    for stalled in [Duration::ZERO, Duration::from_secs(2)] {
        let plan = Plan { connections, per_second, stalled };
        let account = Account::of(&maker, Path::new(program), plan)?;
        println!("{account}");
        wrong.extend(account.wrong());
    }
    if !wrong.is_empty() {
        return Err(Why::new(wrong.join("; ")));
    }
    println!("{ADDS_UP}");
    Ok(())
}

/// `CONNECTIONS PER-SECOND`: only makes the connections.
fn make(args: &[String]) -> Result<(), Why> {
    let [connections, per_second] = args else {
        return Err(Why::new(format!("usage: {PROGRAM} CONNECTIONS PER-SECOND")));
    };
    let (connections, per_second) = (number(connections)?, number(per_second)?.max(1));
    let listeners: Vec<Vec<Listener>> = (0..THREADS)
        .map(|thread| (0..LISTENERS).map(|at| Listener::new(thread * LISTENERS + at)).collect())
        .collect::<Result<_, Why>>()?;
    let say = |line: &str| {
        let mut out = io::stdout().lock();
        writeln!(out, "{line}").and_then(|()| out.flush()).doing("printing")
    };
    say("ready")?;
    let mut lines = io::stdin().lock().lines();
    lines.next().transpose().doing("waiting for the word")?;
    let begun = Instant::now();
    let parts: Vec<Result<(), Why>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..)
            .zip(&listeners)
            .map(|(thread, listeners)| {
                let all = u32::from(THREADS);
                let share = connections / all + u32::from(thread < connections % all);
                let pace = f64::from(per_second) / f64::from(all);
                scope.spawn(move || come_and_go(listeners, share, pace))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    parts.into_iter().collect::<Result<(), Why>>()?;
    say(&format!("made {connections} {}", begun.elapsed().as_millis()))?;
    // Keeps the listeners open until the input ends.
    lines.for_each(drop);
    drop(listeners);
    Ok(())
}

/// A listening socket, its address, and the kind of its connections.
struct Listener {
    fd: OwnedFd,
    address: SocketAddr,
    kind: Kind,
}

impl Listener {
    fn new(number: u16) -> Result<Self, Why> {
        let port = FIRST_PORT + number;
        let address = SocketAddr::from((Ipv4Addr::new(127, 80, 0, number as u8), port));
        let fd = stream()?;
        net::bind(&fd, &address).doing(format_args!("binding to {address}"))?;
        net::listen(&fd, 64).doing("listening")?;
        let kind = Kind::of(port).ok_or_else(|| Why::new("a listener of no kind"))?;
        Ok(Self { fd, address, kind })
    }

    /// Makes a connection and sends data both ways.
    fn connection(&self) -> Result<(OwnedFd, OwnedFd), Why> {
        let client = stream()?;
        net::connect(&client, &self.address).doing(format_args!("connecting to {}", self.address))?;
        let server = net::accept_with(&self.fd, SocketFlags::CLOEXEC).doing("accepting")?;
        send(&client, &server, self.kind.client)?;
        send(&server, &client, self.kind.server)?;
        Ok((client, server))
    }

    /// Closes both ends, as the listener's kind demands.
    fn close(&self, (client, server): (OwnedFd, OwnedFd)) -> Result<(), Why> {
        match self.kind.ending {
            Ending::Client => {
                drop(client);
                drop(server);
            }
            Ending::Server => {
                drop(server);
                drop(client);
            }
            Ending::Abort => {
                sockopt::set_socket_linger(&client, Some(Duration::ZERO)).doing("SO_LINGER")?;
                drop(client);
                drop(server);
            }
        }
        Ok(())
    }
}

fn stream() -> Result<OwnedFd, Why> {
    net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .doing("making a socket")
}

/// Sends this many bytes and waits until they arrive.
fn send(from: impl AsFd, to: impl AsFd, number: usize) -> Result<(), Why> {
    let mut bytes = [7; 2048];
    let bytes = bytes.get_mut(..number).ok_or_else(|| Why::new("too many bytes"))?;
    let sent = net::send(&from, bytes, SendFlags::empty()).doing("sending")?;
    if sent != number {
        return Err(Why::new(format!("{sent} bytes of {number} were sent")));
    }
    let received = net::recv(&to, bytes, RecvFlags::WAITALL).doing("receiving")?.1;
    if received == number { Ok(()) } else { Err(Why::new(format!("{received} bytes of {number} came"))) }
}

/// Makes connections at this rate and closes each after [`LIFE`].
fn come_and_go(listeners: &[Listener], connections: u32, per_second: f64) -> Result<(), Why> {
    let begun = Instant::now();
    let mut open = VecDeque::new();
    let mut listeners = listeners.iter().cycle();
    let mut made = 0;
    while made < connections || !open.is_empty() {
        let due = ((begun.elapsed().as_secs_f64() * per_second).ceil() as u32).min(connections);
        while made < due && open.len() < MOST_OPEN {
            let listener = listeners.next().ok_or_else(|| Why::new("no listener"))?;
            open.push_back((Instant::now(), listener, listener.connection()?));
            made += 1;
        }
        while let Some((_, listener, ends)) = open.pop_front_if(|(since, ..)| since.elapsed() >= LIFE) {
            listener.close(ends)?;
        }
        if made >= due {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ending_has_its_listeners_and_its_bytes() {
        let kinds: Vec<Kind> =
            (FIRST_PORT..).map_while(Kind::of).take(usize::from(THREADS * LISTENERS) + 1).collect();
        assert_eq!(kinds.len(), usize::from(THREADS * LISTENERS));
        for ending in [Ending::Client, Ending::Server, Ending::Abort] {
            assert_eq!(kinds.iter().filter(|kind| kind.ending == ending).count(), kinds.len() / 3);
        }
        let ends: Vec<usize> = kinds.iter().flat_map(|kind| [kind.client, kind.server]).collect();
        assert!(ends.iter().all(|bytes| (1..2048).contains(bytes)), "{ends:?}");
        assert_eq!(Kind::of(FIRST_PORT - 1), None);
    }
}
