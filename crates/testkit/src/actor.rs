//! `sockdiag-actor`: a program that misuses sockets in a chosen way.
//!
//! An actor plays one role, such as a server that accepts nothing or a client that never
//! closes, so that a fault has a process to blame.  It prints `ready` when its sockets are
//! open, and ends when its input does.
//!
//! ```text
//! sockdiag-actor listen 127.0.0.1:80 backlog=8 accept=none
//! sockdiag-actor connect 127.0.0.1:80 n=40 every=20 then=send:10000
//! ```
//!
//! | role | what it does | words |
//! | --- | --- | --- |
//! | `listen ADDRESS` | accepts TCP connections | `n` listeners (reuseport), `backlog`, `accept=all\|none\|every:MS`, `then` |
//! | `connect ADDRESS` | makes TCP connections | `n`, `every=MS`, `burst` each time, `endless`, `from=ADDRESS`, `then` |
//! | `udp-listen ADDRESS` | receives datagrams, or with `deaf` never reads | |
//! | `udp-send ADDRESS` | sends datagrams | `every=MS`, `n` each time, `size` |
//! | `unix-listen PATH`, `unix-connect PATH` | likewise, stream sockets | `backlog`, `n` |
//! | `netlink`, `packet` | never reads such a socket | |
//!
//! `then` is a [deed](deeds), performed on each connection.  Options of any TCP socket are
//! `rcvbuf`, `sndbuf`, `mss`, `pacing` (bytes a second), `cc` (congestion control), `uid` (its
//! owner), `mptcp`, `fastopen` and `v6only`; the process has `nofile` (its limit of open files).

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "small, known numbers; each cast is meant"
)]

pub mod deeds;
mod others;

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Child, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, ipproto, sockopt};
use rustix::process::{Pid, Resource, Rlimit, Signal, Uid, getrlimit, kill_process, setrlimit};

use crate::netns::{self, Namespace};
use crate::zoo::lines_until_ready;
use crate::{Doing, Why, bins, sys};
use deeds::Deed;

/// A running `sockdiag-actor`; dropping it closes its sockets.
#[derive(Debug)]
pub struct Actor(Child);

impl Actor {
    /// Starts an actor in a namespace with the words of a line, and returns when it is ready.
    pub fn start(namespace: &Namespace, line: &str) -> Result<Self, Why> {
        let mut command = namespace.command(bins::program("sockdiag-actor")?);
        command.args(line.split(' ')).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut actor = Self(command.spawn().doing("starting an actor")?);
        lines_until_ready(&mut actor.0, Duration::from_secs(20)).doing(line)?;
        Ok(actor)
    }

    /// The actor's process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Stops the actor (`SIGSTOP`); its sockets stay open.
    pub fn pause(&self) -> Result<(), Why> {
        kill_process(Pid::from_child(&self.0), Signal::STOP).doing("stopping an actor")
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        netns::stop(&mut self.0);
    }
}

/// The program's main function: parses a role, an address, and words.
pub fn main(args: &[String]) -> ExitCode {
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("sockdiag-actor: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<(), Why> {
    let words = Words(args);
    if words.has("nofile") {
        let (current, maximum) = (Some(words.number("nofile", 0)?), getrlimit(Resource::Nofile).maximum);
        setrlimit(Resource::Nofile, Rlimit { current, maximum }).doing("RLIMIT_NOFILE")?;
    }
    match args.first().map_or("", String::as_str) {
        "listen" => listen(&words),
        "connect" => connect(&words),
        "udp-listen" => others::udp_listen(&words),
        "udp-send" => others::udp_send(&words),
        "unix-listen" => others::unix_listen(&words),
        "unix-connect" => others::unix_connect(&words),
        "netlink" => others::netlink(),
        "packet" => others::packet(),
        other => Err(Why::new(format!("there is no role {other:?}"))),
    }?;
    println!("ready");
    io::stdout().flush().doing("saying so")?;
    io::stdin().read_to_end(&mut Vec::new()).doing("waiting for the end")?;
    Ok(())
}

/// The actor's arguments.
struct Words<'a>(&'a [String]);

impl Words<'_> {
    fn address(&self) -> Result<SocketAddr, Why> {
        self.path().parse().doing(format_args!("address {:?}", self.path()))
    }

    fn path(&self) -> &str {
        self.0.get(1).map_or("", String::as_str)
    }

    /// The value of a key; empty if the key has none.
    fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().skip(1).find_map(|word| {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            (name == key).then_some(value)
        })
    }

    fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    fn number(&self, key: &str, default: u64) -> Result<u64, Why> {
        self.get(key).map_or(Ok(default), |value| value.parse().doing(format_args!("{key}={value}")))
    }

    fn deed(&self) -> Result<Deed, Why> {
        self.get("then").unwrap_or("hold").parse()
    }
}

/// A TCP socket of the address's family, with the options from the arguments.
fn tcp(at: SocketAddr, words: &Words<'_>) -> Result<OwnedFd, Why> {
    let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let protocol = if words.has("mptcp") { ipproto::MPTCP } else { ipproto::TCP };
    let fd = net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, Some(protocol))
        .doing("a socket")?;
    sockopt::set_socket_reuseaddr(&fd, true).doing("SO_REUSEADDR")?;
    // The FORCE options ignore the system's limits on buffer sizes.
    let numbers = [
        ("rcvbuf", libc::SOL_SOCKET, libc::SO_RCVBUFFORCE),
        ("sndbuf", libc::SOL_SOCKET, libc::SO_SNDBUFFORCE),
        ("mss", libc::IPPROTO_TCP, libc::TCP_MAXSEG),
        ("pacing", libc::SOL_SOCKET, libc::SO_MAX_PACING_RATE),
    ];
    if words.has("v6only") {
        sockopt::set_ipv6_v6only(&fd, true).doing("IPV6_V6ONLY")?;
    }
    for (key, level, name) in numbers {
        if words.has(key) {
            let value = words.number(key, 0)? as u32;
            sys::set_opt(fd.as_fd(), level, name, &value.to_ne_bytes()).doing(key)?;
        }
    }
    if let Some(name) = words.get("cc") {
        sockopt::set_tcp_congestion(&fd, name).doing(format_args!("congestion control {name}"))?;
    }
    Ok(fd)
}

/// Sleeps until the process ends.
fn forever() -> ! {
    loop {
        thread::sleep(Duration::from_hours(1));
    }
}

/// Runs something in a thread with a small stack.
fn beside(work: impl FnOnce() + Send + 'static) -> Result<(), Why> {
    thread::Builder::new().stack_size(128 << 10).spawn(work).doing("a thread").map(|_| ())
}

fn listen(words: &Words<'_>) -> Result<(), Why> {
    let at = words.address()?;
    let deed = words.deed()?;
    let pause = match words.get("accept").unwrap_or("all") {
        "all" => Some(Duration::ZERO),
        "none" => None,
        other => {
            let ms = other.strip_prefix("every:").and_then(|ms| ms.parse().ok());
            Some(Duration::from_millis(ms.ok_or_else(|| Why::new(format!("accept={other}")))?))
        }
    };
    let count = words.number("n", 1)?;
    for _ in 0..count {
        let fd = tcp(at, words)?;
        if count > 1 || words.has("shared") {
            sockopt::set_socket_reuseport(&fd, true).doing("SO_REUSEPORT")?;
        }
        if words.has("fastopen") {
            sys::set_opt(fd.as_fd(), libc::IPPROTO_TCP, libc::TCP_FASTOPEN, &64_u32.to_ne_bytes())
                .doing("TCP_FASTOPEN")?;
        }
        net::bind(&fd, &at).doing(format_args!("binding to {at}"))?;
        net::listen(&fd, words.number("backlog", 128)? as i32).doing("listening")?;
        if words.has("uid") {
            let uid = Uid::from_raw(words.number("uid", 0)? as u32);
            rustix::fs::fchown(&fd, Some(uid), None).doing("giving a socket away")?;
        }
        beside(move || {
            let Some(pause) = pause else {
                let _listener = fd;
                forever()
            };
            while let Ok(accepted) = net::accept(&fd) {
                if beside(move || deed.act(accepted)).is_err() {
                    break;
                }
                thread::sleep(pause);
            }
            forever()
        })?;
    }
    Ok(())
}

fn connect(words: &Words<'_>) -> Result<(), Why> {
    let (to, deed) = (words.address()?, words.deed()?);
    let from =
        words.get("from").map(|from| format!("{from}:0").parse::<SocketAddr>().doing(from)).transpose()?;
    let every = Duration::from_millis(words.number("every", 0)?);
    let mut left = if words.has("endless") { u64::MAX } else { words.number("n", 1)? };
    let burst = words.number("burst", 1)?;
    let open = move |words: &Words<'_>| -> Result<(), Why> {
        let fd = tcp(to, words)?;
        if let Some(from) = from {
            net::bind(&fd, &from).doing(format_args!("binding to {from}"))?;
        }
        if words.has("fastopen") {
            // TCP_FASTOPEN_CONNECT of linux/tcp.h: the first write connects.
            sys::set_opt(fd.as_fd(), libc::IPPROTO_TCP, 30, &1_u32.to_ne_bytes())
                .doing("TCP_FASTOPEN_CONNECT")?;
        }
        if matches!(deed, Deed::Hold) {
            rustix::io::ioctl_fionbio(&fd, true).doing("FIONBIO")?;
            match net::connect(&fd, &to) {
                Ok(()) | Err(Errno::INPROGRESS) => std::mem::forget(fd),
                // Expected: ports may run out, or nobody may listen.
                Err(_) => {}
            }
            return Ok(());
        }
        beside(move || {
            if net::connect(&fd, &to).is_ok() {
                deed.act(fd);
            }
        })
    };
    if every.is_zero() {
        for _ in 0..left {
            open(words)?;
        }
        return Ok(());
    }
    let kept = words.0.to_vec();
    thread::Builder::new()
        .spawn(move || {
            let words = Words(&kept);
            while left > 0 {
                for _ in 0..burst {
                    let _ = open(&words);
                }
                left -= 1;
                thread::sleep(every);
            }
        })
        .doing("a thread")
        .map(|_| ())
}
