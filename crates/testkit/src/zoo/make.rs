//! Helpers that make the sockets of all kinds.
//!
//! Invariant: sockets have `SO_REUSEADDR` and are closed on `exec`; an address that is
//! unavailable is an error that names the address.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SendFlags, SocketFlags, SocketType, ipproto, sockopt};

use crate::{Doing, Why, sys};

/// One kind of the zoo.
#[derive(Debug)]
pub(super) struct Kind {
    /// The kind's name; kinds of one protocol share a prefix.
    pub(super) name: &'static str,
    /// A description of the kind, as a sentence.
    pub(super) doc: &'static str,
    /// Makes the kind's sockets.
    pub(super) make: fn(&mut Maker) -> Result<(), Why>,
}

/// The two ends of a connection and the listener it went through.
#[derive(Debug)]
pub(super) struct Pair {
    /// Still listening.
    pub(super) listener: OwnedFd,
    /// The end that connected; its port is the listener's plus 10000.
    pub(super) client: OwnedFd,
    /// The end that was accepted.
    pub(super) server: OwnedFd,
}

/// Collects the sockets of one kind.
#[derive(Debug)]
pub(super) struct Maker {
    kept: Vec<OwnedFd>,
    /// Local address and peer of each socket.
    pub(super) lines: Vec<(String, String)>,
    /// Parts of the kind that cannot be made here, with the reasons.
    pub(super) absent: Vec<(String, String)>,
}

impl Maker {
    /// Starts empty.
    pub(super) fn new() -> Self {
        Self { kept: Vec::new(), lines: Vec::new(), absent: Vec::new() }
    }

    /// Keeps a socket open and records its addresses.
    pub(super) fn keep(&mut self, fd: OwnedFd) -> Result<(), Why> {
        let text = |address: net::SocketAddrAny| {
            SocketAddr::try_from(address).map_or_else(|_| "-".to_owned(), |address| address.to_string())
        };
        let local = text(net::getsockname(&fd).doing("asking for a socket's address")?);
        // A connection that is not established has no peer name.
        let peer = net::getpeername(&fd).ok().flatten().map_or_else(|| "-".to_owned(), text);
        self.keep_as(fd, &local, &peer);
        Ok(())
    }

    /// Records a socket that has no file: not accepted yet, or closed.
    pub(super) fn note(&mut self, local: &str, peer: &str) {
        self.lines.push((local.to_owned(), peer.to_owned()));
    }

    /// Keeps a socket whose peer the system does not report.
    pub(super) fn keep_as(&mut self, fd: OwnedFd, local: &str, peer: &str) {
        // Reset when closed: a deaf peer would keep an orphan, and with it the namespace,
        // alive for minutes.  On UDP and raw sockets the option has no effect.
        let _ = sockopt::set_socket_linger(&fd, Some(std::time::Duration::ZERO));
        self.note(local, peer);
        self.kept.push(fd);
    }

    /// Keeps all three sockets of a connection.
    pub(super) fn keep_pair(&mut self, pair: Pair) -> Result<(), Why> {
        self.keep(pair.listener)?;
        self.keep(pair.client)?;
        self.keep(pair.server)
    }
}

/// Parses an address; the addresses in the kinds' code are valid.
pub(super) fn address(text: &str) -> Result<SocketAddr, Why> {
    text.parse().doing(format_args!("address {text}"))
}

/// A TCP socket of this address's family.
pub(super) fn tcp(at: SocketAddr) -> Result<OwnedFd, Why> {
    socket(at, SocketType::STREAM)
}

/// A UDP socket of this address's family.
pub(super) fn udp(at: SocketAddr) -> Result<OwnedFd, Why> {
    socket(at, SocketType::DGRAM)
}

fn socket(at: SocketAddr, kind: SocketType) -> Result<OwnedFd, Why> {
    let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let fd = net::socket_with(family, kind, SocketFlags::CLOEXEC, None).doing("making a socket")?;
    sockopt::set_socket_reuseaddr(&fd, true).doing("SO_REUSEADDR")?;
    Ok(fd)
}

/// A raw socket of an IP protocol.
pub(super) fn raw(family: AddressFamily, protocol: u8) -> Result<OwnedFd, Why> {
    let protocol = match protocol {
        1 => ipproto::ICMP,
        58 => ipproto::ICMPV6,
        47 => ipproto::GRE,
        255 => ipproto::RAW,
        other => return Err(Why::new(format!("no name for IP protocol {other}"))),
    };
    net::socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, Some(protocol))
        .doing("making a raw socket")
}

/// Binds a socket.
pub(super) fn bind(fd: &OwnedFd, at: SocketAddr) -> Result<(), Why> {
    net::bind(fd, &at).doing(format_args!("binding to {at}"))
}

/// Binds and listens.
pub(super) fn listen(fd: &OwnedFd, at: SocketAddr, backlog: i32) -> Result<(), Why> {
    bind(fd, at)?;
    net::listen(fd, backlog).doing(format_args!("listening at {at}"))
}

/// A listening TCP socket.
pub(super) fn listener(at: &str, backlog: i32) -> Result<OwnedFd, Why> {
    let at = address(at)?;
    let fd = tcp(at)?;
    listen(&fd, at, backlog)?;
    Ok(fd)
}

/// Connects; gives up after five seconds.
pub(super) fn connect(fd: &OwnedFd, to: SocketAddr) -> Result<(), Why> {
    let limit = Some(std::time::Duration::from_secs(5));
    sockopt::set_socket_timeout(fd, sockopt::Timeout::Send, limit).doing("SO_SNDTIMEO")?;
    net::connect(fd, &to).doing(format_args!("connecting to {to}"))
}

/// Starts to connect and does not wait.
pub(super) fn start_connecting(fd: &OwnedFd, to: SocketAddr) -> Result<(), Why> {
    rustix::io::ioctl_fionbio(fd, true).doing("FIONBIO")?;
    match net::connect(fd, &to) {
        Err(Errno::INPROGRESS) => Ok(()),
        other => other.doing(format_args!("starting to connect to {to}")),
    }
}

/// A client's address for a server's: the same with the port plus 10000.
pub(super) fn client_of(mut at: SocketAddr) -> SocketAddr {
    at.set_port(at.port().saturating_add(10_000));
    at
}

/// Connects `client`, which may have options set, through `listener`.
pub(super) fn pair_from(listener: OwnedFd, client: OwnedFd, at: SocketAddr) -> Result<Pair, Why> {
    bind(&client, client_of(at))?;
    connect(&client, at)?;
    let server = accept(&listener)?;
    Ok(Pair { listener, client, server })
}

/// Accepts a connection that is already waiting.
pub(super) fn accept(listener: &OwnedFd) -> Result<OwnedFd, Why> {
    net::accept_with(listener, SocketFlags::CLOEXEC).doing("accepting")
}

/// A connection to a new listener at this address.
pub(super) fn pair(at: &str) -> Result<Pair, Why> {
    let at = address(at)?;
    let (server, client) = (tcp(at)?, tcp(at)?);
    listen(&server, at, 16)?;
    pair_from(server, client, at)
}

/// Sends `count` bytes, all of which must fit in the buffer.
pub(super) fn send(fd: &OwnedFd, count: usize) -> Result<(), Why> {
    let sent = net::send(fd, &vec![b'x'; count], SendFlags::NOSIGNAL).doing("sending")?;
    if sent == count {
        return Ok(());
    }
    Err(Why::new(format!("sent {sent} of {count} bytes")))
}

/// Makes a socket receive nothing from now on, not even acknowledgements.
pub(super) fn deafen(fd: &OwnedFd) -> Result<(), Why> {
    sys::drop_everything(fd.as_fd()).doing("SO_ATTACH_FILTER")
}

/// Sets an option whose value is an `int`.
pub(super) fn set(fd: &OwnedFd, name: &str, (level, option): (i32, i32), value: i32) -> Result<(), Why> {
    set_bytes(fd, name, (level, option), &value.to_ne_bytes())
}

/// Sets an option of any type.
pub(super) fn set_bytes(fd: &OwnedFd, name: &str, option: (i32, i32), value: &[u8]) -> Result<(), Why> {
    sys::set_opt(fd.as_fd(), option.0, option.1, value).doing(name)
}

/// Binds a socket to a device (`SO_BINDTODEVICE`).
pub(super) fn to_device(fd: &OwnedFd, device: &str) -> Result<(), Why> {
    set_bytes(fd, "SO_BINDTODEVICE", (libc::SOL_SOCKET, libc::SO_BINDTODEVICE), device.as_bytes())
}

/// Whether an error means that a non-blocking call would have to wait.
pub(super) fn would_block(error: Errno) -> bool {
    io::Error::from(error).kind() == io::ErrorKind::WouldBlock
}
