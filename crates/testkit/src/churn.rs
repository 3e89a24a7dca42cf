//! `sockdiag-churn`: TCP connections that are opened and closed at a steady rate.
//!
//! Each is made on the loopback, IPv4 and IPv6 in turn, and both its ends are closed at once,
//! with a reset, so that no TIME-WAIT uses up ports.  The clock sets the rate: if the program
//! falls behind, it catches up.
//!
//! The program prints only at the end: `CONNECTIONS MILLISECONDS`, then the cookie of each
//! destroyed socket in hexadecimal, one per line.  (The cookie tells a socket from a later one
//! with the same ports.)

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small, known numbers; each cast is meant"
)]

use std::collections::HashSet;
use std::io::{self, BufWriter, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};

use crate::netns::Namespace;
use crate::{Doing, Why, bins};

/// How often the rate is checked.
const BEAT: Duration = Duration::from_millis(5);

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Churned {
    /// Connections made and closed, each of two sockets.
    pub connections: u32,
    /// How long that took.
    pub took: Duration,
    /// The cookie of each socket that was destroyed.
    pub cookies: HashSet<u64>,
}

impl Churned {
    /// Connections a second actually made.
    pub fn rate(&self) -> f64 {
        f64::from(self.connections) / self.took.as_secs_f64()
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let (connections, millis) = lines.next()?.split_once(' ')?;
        let cookies: Option<HashSet<u64>> = lines.map(|line| u64::from_str_radix(line, 16).ok()).collect();
        Some(Self {
            connections: connections.parse().ok()?,
            took: Duration::from_millis(millis.parse().ok()?),
            cookies: cookies?,
        })
    }
}

/// Makes and closes connections in a namespace, and returns when all are closed.
pub fn churn(namespace: &Namespace, a_second: u32, seconds: u32) -> Result<Churned, Why> {
    let mut command = namespace.command(bins::program("sockdiag-churn")?);
    command.args([a_second.to_string(), seconds.to_string()]).stdin(Stdio::null());
    let out = command.output().doing("running sockdiag-churn")?;
    let wrong = || Why::new(format!("sockdiag-churn: {}", String::from_utf8_lossy(&out.stderr).trim_end()));
    Churned::parse(&String::from_utf8_lossy(&out.stdout)).filter(|_| out.status.success()).ok_or_else(wrong)
}

/// The program: `sockdiag-churn CONNECTIONS-PER-SECOND SECONDS`.
pub fn main(args: &[String]) -> ExitCode {
    match run(args, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("sockdiag-churn: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String], out: &mut impl Write) -> Result<(), Why> {
    let [a_second, seconds] = args else {
        return Err(Why::new("usage: sockdiag-churn CONNECTIONS-PER-SECOND SECONDS"));
    };
    let number = |text: &String| text.parse::<u32>().doing(format_args!("number {text}"));
    let (a_second, seconds) = (number(a_second)?, number(seconds)?);
    let all = a_second.saturating_mul(seconds);
    let listeners = [listener(Ipv4Addr::new(127, 9, 9, 9).into())?, listener(Ipv6Addr::LOCALHOST.into())?];
    let mut cookies = Vec::with_capacity(all as usize * 2);
    let start = Instant::now();
    let mut made = 0;
    while made < all {
        let due = (start.elapsed().as_secs_f64() * f64::from(a_second)).ceil() as u32;
        for at in made..due.min(all) {
            let [v4, v6] = &listeners;
            come_and_go(if at % 2 == 0 { v4 } else { v6 }, &mut cookies)?;
        }
        made = made.max(due.min(all));
        std::thread::sleep(BEAT);
    }
    let took = start.elapsed();
    drop(listeners);
    let mut print = || {
        let mut out = BufWriter::new(&mut *out);
        writeln!(out, "{made} {}", took.as_millis())?;
        cookies.iter().try_for_each(|cookie| writeln!(out, "{cookie:x}"))?;
        out.flush()
    };
    print().doing("printing")
}

/// A listening socket and its address.
struct Listener {
    fd: OwnedFd,
    family: AddressFamily,
    address: SocketAddr,
}

fn listener(address: IpAddr) -> Result<Listener, Why> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let fd = net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .doing("making a listening socket")?;
    net::bind(&fd, &SocketAddr::new(address, 0)).doing(format_args!("binding to {address}"))?;
    net::listen(&fd, 16).doing("listening")?;
    let address =
        net::getsockname(&fd).and_then(SocketAddr::try_from).doing("asking for a socket's address")?;
    Ok(Listener { fd, family, address })
}

/// One connection, from its beginning to its end.
fn come_and_go(to: &Listener, cookies: &mut Vec<u64>) -> Result<(), Why> {
    let client = net::socket_with(to.family, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .doing("making a socket")?;
    net::connect(&client, &to.address).doing(format_args!("connecting to {}", to.address))?;
    let server = net::accept_with(&to.fd, SocketFlags::CLOEXEC).doing("accepting")?;
    for end in [client, server] {
        sockopt::set_socket_linger(&end, Some(Duration::ZERO)).doing("SO_LINGER")?;
        cookies.push(sockopt::socket_cookie(&end).doing("SO_COOKIE")?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_program_prints_is_read_back() {
        let read = Churned::parse("2 1500\n1\nff\n1000\n4001\n").unwrap();
        assert_eq!((read.connections, read.took.as_millis()), (2, 1500));
        assert_eq!(read.cookies, HashSet::from([1, 255, 4096, 0x4001]));
        for wrong in ["", "2\n", "2 x\n", "2 1\nxyz\n"] {
            assert_eq!(Churned::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn as_many_come_and_go_as_were_asked_for() {
        let Some(namespace) = Namespace::or_skip() else { return };
        let churned = churn(&namespace, 500, 1).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!((churned.connections, churned.cookies.len()), (500, 1000));
        assert!(churned.took >= Duration::from_millis(990), "{churned:?}");
    }
}
