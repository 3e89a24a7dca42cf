//! `sockdiag-noise`: activity of other programs on the machine while tests run.
//!
//! Sockets whose names are not valid text, connections, network namespaces, BPF maps and
//! processes with odd names: some stay, others appear and vanish several times a second, until
//! the program's input ends.  A test that looks at anything it did not make itself fails
//! beside it; `.ci/run` runs the tests beside it.
//!
//! Anything that cannot be made here (for lack of a privilege or a protocol) is skipped
//! silently: noise need not be complete.
//!
//! Invariant: nothing outlives the program except TIME-WAIT sockets, and the program does not
//! outlive its input.

#![allow(clippy::cast_possible_wrap, reason = "small, known numbers; each cast is meant")]

use std::ffi::CString;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use fastrand::Rng;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::btf::Btf;
use crate::maps::Map;
use crate::netns::{self, Namespace};
use crate::{Doing, Why};

/// Time between the starts of two short-lived processes.
const PACE: Duration = Duration::from_millis(125);
/// The longest life of such a process, in milliseconds.
const STAY_MS: u64 = 250;
/// The number of processes after which their shared namespace is replaced.
const MOVE: u64 = 16;

/// Names of sockets and processes that are not valid UTF-8, or that would end a word, a line
/// or a list if printed unescaped.
const NAMES: &[&[u8]] = &[
    b"\xff\xfe",
    b"\x80\x00\x80",
    b"two words",
    b"a\nb 0 0 *:22 *:* users:((\"x\",pid=1,fd=0))",
    b"\x1b[2J\x1b[31m",
    b"\",pid=1,fd=2)",
    b"))) S 1 1",
    b"\xed\xa0\x80\xf5",
    b"%s%n",
    b"",
];

/// The program's main function.  With arguments, it is one of the short-lived processes.
pub fn main(args: &[String]) -> ExitCode {
    let done = match args {
        [] => run(),
        [part, seed] if part == "--pass" => pass(seed.parse().unwrap_or(0)),
        _ => Err(Why::new("usage: sockdiag-noise, which ends with its input")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("sockdiag-noise: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Why> {
    let program = std::env::current_exe().doing("finding the running program")?;
    let _stay = stay(&mut Rng::with_seed(0));
    let mut passing: Vec<Child> = Vec::new();
    let mut elsewhere = None;
    let mut seed = 1;
    while !input_ended(PACE)? {
        if seed % MOVE == 1 {
            elsewhere = Namespace::new().ok();
        }
        let mut command = Command::new(&program);
        command.args(["--pass", &seed.to_string()]).stdin(Stdio::null());
        if let Some(namespace) = elsewhere.as_ref().filter(|_| seed % 3 == 0) {
            namespace.enter(&mut command);
        }
        // The next line reaps the children that have exited, this one in a later round.
        passing.extend(command.spawn().ok());
        passing.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        seed += 1;
    }
    for child in &mut passing {
        netns::stop(child);
    }
    Ok(())
}

/// Waits, at most until the input ends; returns whether it ended.
fn input_ended(wait: Duration) -> Result<bool, Why> {
    let deadline = Instant::now() + wait;
    let input = io::stdin();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        if poll(&mut [PollFd::new(&input, PollFlags::IN)], Some(&left)).doing("waiting for the input")? == 0 {
            return Ok(false);
        }
        let mut buffer = [0; 64];
        if rustix::io::read(&input, &mut buffer).doing("reading the input")? == 0 {
            return Ok(true);
        }
    }
}

/// A short-lived process with sockets.
fn pass(seed: u64) -> Result<(), Why> {
    let mut rng = Rng::with_seed(seed);
    let name: Vec<u8> = name(&mut rng).iter().copied().filter(|byte| *byte != 0).take(15).collect();
    let name = CString::new(name).doing("a name")?;
    rustix::thread::set_name(&name).doing("setting a name")?;
    let _stay = stay(&mut rng);
    std::thread::sleep(Duration::from_millis(rng.u64(..STAY_MS)));
    Ok(())
}

fn name(rng: &mut Rng) -> &'static [u8] {
    rng.choice(NAMES).copied().unwrap_or_default()
}

/// Sockets and maps that stay until this is dropped.
#[derive(Default)]
struct Stay {
    sockets: Vec<OwnedFd>,
    maps: Vec<Map>,
}

fn stay(rng: &mut Rng) -> Stay {
    let mut stay = Stay::default();
    for name in NAMES {
        for kind in [SocketType::STREAM, SocketType::DGRAM, SocketType::SEQPACKET] {
            stay.sockets.extend(unix(kind, &[name, &rng.u16(..).to_ne_bytes()[..]].concat()));
        }
    }
    // This exact name once broke a test; add it unless it is taken.
    stay.sockets.extend(unix(SocketType::STREAM, b"\xff\xfe"));
    for local in ["127.0.0.1:0", "[::1]:0"] {
        let local: SocketAddr = local.parse().unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 0)));
        stay.sockets.extend(connection(local, rng.bool()).unwrap_or_default());
        let udp = UdpSocket::bind(local).and_then(|udp| udp.connect(udp.local_addr()?).map(|()| udp));
        stay.sockets.extend(udp.ok().map(OwnedFd::from));
    }
    stay.sockets.extend(netlink(rng.u32(..)));
    let raw = net::socket_with(
        AddressFamily::INET,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(net::ipproto::ICMP),
    );
    let packet = net::socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None);
    stay.sockets.extend([raw, packet].into_iter().filter_map(Result::ok));
    stay.maps.extend(map(&stay.sockets));
    stay
}

fn unix(kind: SocketType, name: &[u8]) -> Option<OwnedFd> {
    let fd = net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).ok()?;
    net::bind(&fd, &SocketAddrUnix::new_abstract_name(name).ok()?).ok()?;
    if kind != SocketType::DGRAM {
        net::listen(&fd, 1).ok()?;
    }
    Some(fd)
}

/// A listener and both ends of a connection, or a listener and a TIME-WAIT.
fn connection(local: SocketAddr, ended: bool) -> io::Result<Vec<OwnedFd>> {
    let listener = TcpListener::bind(local)?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    let ends: Vec<OwnedFd> = if ended { Vec::new() } else { vec![client.into(), server.into()] };
    Ok(ends.into_iter().chain([listener.into()]).collect())
}

fn netlink(groups: u32) -> Option<OwnedFd> {
    let fd = net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None).ok()?;
    net::bind(&fd, &SocketAddrNetlink::new(0, groups)).ok()?;
    Some(fd)
}

/// A map of socket-local storage with a value for each of these sockets.
fn map(sockets: &[OwnedFd]) -> Option<Map> {
    let mut btf = Btf::new();
    let int = btf.key();
    let map = Map::storage(&btf, int, 4).ok()?;
    for socket in sockets {
        // Some kinds of sockets reject a value.
        let _ = map.set(&socket.as_fd(), &[0xff; 4]);
    }
    Some(map)
}

/// Noise that runs beside a test until this is dropped.
#[derive(Debug)]
pub struct Noise(Child);

impl Noise {
    /// Starts the noise in the test's own namespaces.
    pub fn start() -> Result<Self, Why> {
        let mut command = Command::new(crate::bins::program("sockdiag-noise")?);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        command.spawn().map(Self).doing("starting sockdiag-noise")
    }
}

impl Drop for Noise {
    fn drop(&mut self) {
        // Closing its input ends it and all that it started.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{Case, Ended, run};
    use crate::reference::Reference;

    #[test]
    fn strangers_come_and_go_until_the_input_ends() {
        let reference = match Reference::get() {
            Ok(reference) => reference,
            Err(why) => crate::skip!("no reference: {why}"),
        };
        let Some(namespace) = Namespace::or_skip() else { return };
        let mut command = namespace.command(crate::bins::program("sockdiag-noise").unwrap());
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let noise = Noise(child);
        let listed = || {
            let said = run(reference.command(), &Case::new(&["-xanH"]).inside(&namespace)).unwrap();
            assert_eq!(said.ended, Ended::Exit(0));
            said.stdout
        };
        let odd = |text: &[u8]| text.windows(3).any(|bytes| bytes == b"@\xff\xfe");
        let begun = Instant::now();
        let mut seen: Vec<Vec<u8>> = Vec::new();
        while seen.len() < 4 {
            assert!(begun.elapsed() < Duration::from_secs(20), "{} listings differ", seen.len());
            let now = listed();
            if odd(&now) && !seen.contains(&now) {
                seen.push(now);
            }
        }
        drop(noise);
        assert!(!odd(&listed()), "nothing stays");
    }
}
