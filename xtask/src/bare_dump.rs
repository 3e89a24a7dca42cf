//! `cargo xtask bare-dump`: measures the kernel's dump alone.
//!
//! It sends requests, receives the replies and discards them without parsing more than is
//! needed to find their end.  No listing can be cheaper.
//!
//! The request is the legacy one of `ss`, which walks the table of TCP sockets once for both
//! families.  To compare with another program, pass a file with that program's requests.
//!
//! Source: linux/inet_diag.h (`TCPDIAG_GETSOCK`), netlink(7).

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use rustix::time::{ClockId, clock_gettime};
use sockdiag_testkit::Why;
use sockdiag_wire::inet_req::InetDiagReq;
use sockdiag_wire::netlink::{
    HEADER_LEN, Header, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, TCPDIAG_GETSOCK, messages,
};

pub(crate) const NAME: &str = "bare-dump";
pub(crate) const WORDS: &str = "[REQUESTS DUMPS [NETNS]...]";

/// The help text.
pub(crate) const DOC: &str = "\
Dump every TCP socket once and discard the reply: the lower bound of every
listing, against which bench measures ours.
With a file of REQUESTS: send these instead, DUMPS times, on sockets that stay
open, one in each namespace (files like /proc/PID/ns/net; none for this one), and
say how many rows came and what each dump but the first took.";

/// All states, as `-a` requests.
const STATES: u32 = 0x3fff;
/// Larger than the datagrams that the kernel fills.
const BUFFER: usize = 64 << 10;

/// Runs the chore.
pub(crate) fn run(words: &[String]) -> Result<(), Why> {
    let failed = |error| Why::new(format!("a bare dump: {error}"));
    let [file, dumps, namespaces @ ..] = words else {
        let mut socket = KeptSocket::open().map_err(failed)?;
        return socket.dump(&request(), |_| ()).map_err(failed);
    };
    let dumps: u32 = dumps.parse().map_err(|_| Why::new(format!("{dumps} is no number of dumps")))?;
    let requests = fs::read(file).map_err(|error| Why::new(format!("reading {file}: {error}")))?;
    let requests = split(&requests).ok_or_else(|| Why::new(format!("{file} holds no requests")))?;
    let mut sockets = if namespaces.is_empty() {
        vec![KeptSocket::open().map_err(failed)?]
    } else {
        let opened = namespaces.iter().map(|path| KeptSocket::open_in(path).map_err(failed));
        opened.collect::<Result<Vec<_>, _>>()?
    };
    let mut rows = 0;
    all(&mut sockets, &requests, |datagram| rows += sockets_in(datagram)).map_err(failed)?;
    let before = cpu_us();
    for _ in 1..dumps {
        all(&mut sockets, &requests, |_| ()).map_err(failed)?;
    }
    println!("{rows} rows\ncpu {} us a dump", (cpu_us() - before) / i64::from(dumps.max(2) - 1));
    Ok(())
}

/// Sends every request in every namespace.
fn all(sockets: &mut [KeptSocket], requests: &[&[u8]], mut seen: impl FnMut(&[u8])) -> io::Result<()> {
    for socket in sockets {
        for request in requests {
            socket.dump(request, &mut seen)?;
        }
    }
    Ok(())
}

/// The processor time of this process, in microseconds.
fn cpu_us() -> i64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1000
}

/// A netlink socket and its buffer.
struct KeptSocket {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl KeptSocket {
    fn open() -> io::Result<Self> {
        let socket =
            socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(SOCK_DIAG))?;
        Ok(Self { socket, buffer: vec![0; BUFFER] })
    }

    /// Opens a socket in the namespace that a file refers to.
    fn open_in(namespace: &str) -> io::Result<Self> {
        let namespace = File::open(namespace)?;
        let enter = || move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network));
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                enter()?;
                Self::open()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Sends a request and receives the whole reply.
    fn dump(&mut self, request: &[u8], mut seen: impl FnMut(&[u8])) -> io::Result<()> {
        sendto(&self.socket, request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        loop {
            let (received, length) = match recv(&self.socket, self.buffer.as_mut_slice(), RecvFlags::empty())
            {
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
                Ok(received) => received,
            };
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let datagram = self.buffer.get(..received).unwrap_or_default();
            seen(datagram);
            if ends(datagram)? {
                return Ok(());
            }
        }
    }
}

fn request() -> Vec<u8> {
    let mut body = Vec::new();
    InetDiagReq { states: STATES, ..InetDiagReq::default() }.encode(&mut body);
    let mut request = Vec::new();
    let flags = NLM_F_REQUEST | NLM_F_DUMP;
    let len = (HEADER_LEN + body.len()) as u32;
    Header { len, kind: TCPDIAG_GETSOCK, flags, seq: 0, pid: 0 }.encode(&mut request);
    request.extend(body);
    request
}

/// Splits a file into its requests; `None` if it does not consist of whole requests.
fn split(mut file: &[u8]) -> Option<Vec<&[u8]>> {
    let mut requests = Vec::new();
    while !file.is_empty() {
        let length = Header::parse(file)?.len as usize;
        let (request, rest) = file.split_at_checked(length.max(HEADER_LEN))?;
        requests.push(request);
        file = rest;
    }
    (!requests.is_empty()).then_some(requests)
}

/// The number of sockets in a datagram.
fn sockets_in(datagram: &[u8]) -> usize {
    messages(datagram).filter(|message| message.header.kind != NLMSG_DONE).count()
}

/// Whether the dump is complete; its end comes in a datagram of its own, or after the last
/// sockets.
fn ends(datagram: &[u8]) -> io::Result<bool> {
    match messages(datagram).last().map(|message| message.header.kind) {
        Some(NLMSG_DONE) => Ok(true),
        Some(NLMSG_ERROR) => Err(io::ErrorKind::Unsupported.into()),
        _ => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_found_behind_sockets() {
        let message = |kind: u16| {
            let mut bytes = Vec::new();
            Header { len: 20, kind, flags: 0, seq: 0, pid: 0 }.encode(&mut bytes);
            bytes.resize(20, 0);
            bytes
        };
        let ends = |datagram: &[u8]| ends(datagram).map_err(|error| error.kind());
        assert_eq!(ends(&[message(18), message(18)].concat()), Ok(false));
        assert_eq!(ends(&[message(18), message(NLMSG_DONE)].concat()), Ok(true));
        assert_eq!(ends(&message(NLMSG_ERROR)), Err(io::ErrorKind::Unsupported));
        assert_eq!(ends(&[0; 5]), Ok(false));
        assert_eq!(sockets_in(&[message(18), message(18), message(NLMSG_DONE)].concat()), 2);
        let request = request();
        assert_eq!(Header::parse(&request).map(|header| header.len as usize), Some(request.len()));
    }
    #[test]
    fn a_file_holds_whole_requests() {
        let two = [request(), request()].concat();
        assert_eq!(split(&two), Some(vec![&request()[..]; 2]));
        assert_eq!(split(&two[..two.len() - 1]), None);
        assert_eq!(split(&[]), None);
        // An impossible length must not stop the splitting.
        assert_eq!(split(&[0; HEADER_LEN]), Some(vec![&[0; HEADER_LEN][..]]));
    }
}
