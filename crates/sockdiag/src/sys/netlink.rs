//! A netlink socket: send a request, receive datagrams.
//!
//! One buffer is reused for every datagram, and a datagram is borrowed until the next one
//! is received.  The kernel fills at most 32 KiB of a dump at a time, so the buffer of 64
//! KiB is large enough for a dump; a larger single message arrives cut, is reported as
//! such, and the buffer grows for the next one.
//!
//! All calls go through the C library, so that tools that record or replay netlink traffic
//! by LD_PRELOAD see them.
//!
//! Source: netlink(7); sizes and options as ss sets them.
#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]
#![allow(unsafe_code)]

use std::io::IoSliceMut;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvFlags, ReturnFlags, SendFlags, SocketFlags, SocketType, bind,
    getsockname, recvmsg, sendto, socket_with, sockopt,
};

use super::clock;
use super::opener::Opener;
use crate::model::Window;

const SEND_BUFFER: usize = 32 * 1024;
const RECEIVE_BUFFER: usize = 1024 * 1024;
const DATAGRAM: usize = 64 * 1024;
/// The limit for the size of a datagram.
const LONGEST: usize = 64 * 1024 * 1024;
/// The receive queue for multicast messages: some seconds of a busy machine.
const EVENT_BUFFER: usize = 32 << 20;

/// How many numbers `SO_MEMINFO` returns, and the index of the drop count
/// (linux/sock_diag.h).
const SK_MEMINFO_VARS: usize = 9;
const SK_MEMINFO_DROPS: usize = 8;

/// The kernel subsystem that a socket talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subsystem {
    /// `NETLINK_SOCK_DIAG`: sockets.
    SockDiag,
    /// `NETLINK_ROUTE`: interfaces.
    Route,
}

/// The step at which a socket could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenStep {
    /// `socket`.
    Socket,
    /// `SO_SNDBUF`.
    SendBuffer,
    /// `SO_RCVBUF`.
    ReceiveBuffer,
    /// `bind`, or reading back the assigned port.
    Bind,
}

/// Why nothing was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReceiveError {
    /// `recvmsg` failed; `ENOBUFS` means that the kernel had to drop replies.
    Os(Errno),
    /// The kernel closed the socket.
    Eof,
}

/// One datagram, until the next is received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Datagram<'a> {
    /// The bytes received.
    pub bytes: &'a [u8],
    /// Whether the kernel sent it; other processes may send to our port too.
    pub from_kernel: bool,
    /// Whether its end did not fit into the buffer.
    pub cut: bool,
    /// When the kernel wrote it.
    pub window: Window,
}

/// A bound netlink socket with its buffer and its sequence numbers.
#[derive(Debug)]
pub(crate) struct Netlink {
    fd: OwnedFd,
    port: u32,
    seq: u32,
    buffer: Vec<u8>,
    /// Whether to query a datagram's length before receiving it.
    peeks: bool,
    /// When the last two steps (a request, a datagram) ended, the older first, in
    /// nanoseconds since boot.
    steps: [u64; 2],
}

impl Netlink {
    /// Opens a socket (close-on-exec) in a namespace and lets the kernel choose
    /// its port.
    pub(crate) fn open(subsystem: Subsystem, opener: &Opener) -> Result<Self, (OpenStep, Errno)> {
        opener.run(move || Self::open_here(subsystem)).unwrap_or_else(|error| Err(not_there(&error)))
    }

    fn open_here(subsystem: Subsystem) -> Result<Self, (OpenStep, Errno)> {
        let protocol = match subsystem {
            Subsystem::SockDiag => Some(netlink::SOCK_DIAG),
            Subsystem::Route => None,
        };
        let fd = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)
            .map_err(|e| (OpenStep::Socket, e))?;
        sockopt::set_socket_send_buffer_size(&fd, SEND_BUFFER).map_err(|e| (OpenStep::SendBuffer, e))?;
        sockopt::set_socket_recv_buffer_size(&fd, RECEIVE_BUFFER)
            .map_err(|e| (OpenStep::ReceiveBuffer, e))?;
        ask_for_error_texts(&fd);
        Self::bound(fd, 0).map_err(|e| (OpenStep::Bind, e))
    }

    /// Opens a socket in a namespace, subscribed to these multicast groups of sock_diag,
    /// with as large a receive queue as we may have.
    pub(crate) fn open_for(groups: u32, opener: &Opener) -> Result<Self, (OpenStep, Errno)> {
        opener.run(move || Self::open_here_for(groups)).unwrap_or_else(|error| Err(not_there(&error)))
    }

    fn open_here_for(groups: u32) -> Result<Self, (OpenStep, Errno)> {
        let flags = SocketFlags::CLOEXEC;
        let fd = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(netlink::SOCK_DIAG))
            .map_err(|e| (OpenStep::Socket, e))?;
        sockopt::set_socket_recv_buffer_size(&fd, RECEIVE_BUFFER)
            .map_err(|e| (OpenStep::ReceiveBuffer, e))?;
        // This needs a privilege; without it the queue stays smaller.
        let _ = sockopt::set_socket_recv_buffer_size_force(&fd, EVENT_BUFFER);
        Self::bound(fd, groups).map_err(|e| (OpenStep::Bind, e))
    }

    /// Binds a socket to multicast groups, with a port that the kernel chooses.
    fn bound(fd: OwnedFd, groups: u32) -> Result<Self, Errno> {
        bind(&fd, &SocketAddrNetlink::new(0, groups))?;
        let port = getsockname(&fd).and_then(SocketAddrNetlink::try_from)?.pid();
        Ok(Self {
            fd,
            port,
            seq: 123_455,
            buffer: vec![0; DATAGRAM],
            peeks: false,
            steps: [clock::now_ns(); 2],
        })
    }

    /// The port number in replies to this socket.
    pub(crate) fn port(&self) -> u32 {
        self.port
    }

    /// How many messages the kernel has dropped so far because they did not fit into
    /// the queue (`SO_MEMINFO`, since Linux 4.12).
    pub(crate) fn drops(&self) -> Option<u32> {
        let mut info = [0_u32; SK_MEMINFO_VARS];
        let mut length = size_of::<[u32; SK_MEMINFO_VARS]>() as libc::socklen_t;
        // SAFETY: the descriptor is open while `self` is borrowed, and the kernel
        // writes no more than `length` bytes, which `info` has.
        let result = unsafe {
            libc::getsockopt(
                self.fd.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_MEMINFO,
                info.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        let has_drops = length as usize > SK_MEMINFO_DROPS * size_of::<u32>();
        (result == 0 && has_drops).then_some(info[SK_MEMINFO_DROPS])
    }

    /// The next sequence number of this socket.
    pub(crate) fn next_seq(&mut self) -> u32 {
        self.seq = self.seq.wrapping_add(1).max(1);
        self.seq
    }

    /// Sends a request to the kernel.
    pub(crate) fn send(&mut self, request: &[u8]) -> Result<(), Errno> {
        // The reply was written after this time.
        self.steps = [clock::now_ns(); 2];
        loop {
            match sendto(&self.fd, request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0)) {
                Err(Errno::INTR) => {}
                Err(e) => return Err(e),
                Ok(_) => return Ok(()),
            }
        }
    }

    /// Sets whether the length of each datagram is queried first: one socket may have more
    /// attributes than fit into the buffer.
    pub(crate) fn expect_long(&mut self, expects: bool) {
        self.peeks = expects;
    }

    /// Grows the buffer for the next datagram, if needed.
    fn make_room(&mut self) {
        let mut nothing = [IoSliceMut::new(&mut [])];
        let mut control = RecvAncillaryBuffer::default();
        let flags = RecvFlags::PEEK | RecvFlags::TRUNC;
        // The same error will be returned when the datagram is received.
        if let Ok(message) = recvmsg(&self.fd, &mut nothing, &mut control, flags)
            && message.bytes > self.buffer.len()
        {
            self.buffer.resize(message.bytes.min(LONGEST), 0);
        }
    }

    /// Waits for the next datagram.
    pub(crate) fn receive(&mut self) -> Result<Datagram<'_>, ReceiveError> {
        self.receive_with(RecvFlags::empty())
    }

    /// The next datagram, if it has already arrived.
    pub(crate) fn try_receive(&mut self) -> Result<Option<Datagram<'_>>, ReceiveError> {
        match self.receive_with(RecvFlags::DONTWAIT) {
            Err(ReceiveError::Os(Errno::AGAIN)) => Ok(None),
            result => result.map(Some),
        }
    }

    fn receive_with(&mut self, flags: RecvFlags) -> Result<Datagram<'_>, ReceiveError> {
        if self.peeks {
            self.make_room();
        }
        let message = loop {
            let mut parts = [IoSliceMut::new(&mut self.buffer)];
            let mut control = RecvAncillaryBuffer::default();
            // TRUNC: the returned length is the datagram's own, even if it did not fit.
            match recvmsg(&self.fd, &mut parts, &mut control, RecvFlags::TRUNC | flags) {
                Err(Errno::INTR) => {}
                Err(e) => return Err(ReceiveError::Os(e)),
                Ok(message) => break message,
            }
        };
        if message.bytes == 0 {
            return Err(ReceiveError::Eof);
        }
        let from = message.address.and_then(|address| SocketAddrNetlink::try_from(address).ok());
        let had = self.buffer.len();
        let cut = message.flags.contains(ReturnFlags::TRUNC) || message.bytes > had;
        if cut {
            // A datagram of this size will fit next time; the end of this one is lost.
            self.buffer.resize(message.bytes.max(had.saturating_mul(2)).min(RECEIVE_BUFFER), 0);
        }
        let bytes = self.buffer.get(..message.bytes.min(had)).unwrap_or_default();
        // The kernel fills the next datagram of a dump while one is received.
        let [before_last, last] = self.steps;
        let now = clock::now_ns();
        self.steps = [last, now];
        let window = Window::new(before_last, now);
        Ok(Datagram { bytes, from_kernel: from.is_none_or(|from| from.pid() == 0), cut, window })
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The error that the namespace of a socket could not be entered.
fn not_there(error: &std::io::Error) -> (OpenStep, Errno) {
    (OpenStep::Socket, Errno::from_io_error(error).unwrap_or(Errno::SRCH))
}

/// Requests an explanation with every error; kernels before 4.12 give none.
fn ask_for_error_texts(fd: &OwnedFd) {
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open while `fd` is borrowed, and the option's
    // value is an int that outlives the call, passed with its own size.
    unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_NETLINK,
            libc::NETLINK_EXT_ACK,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_answers_a_request_that_makes_no_sense_with_an_error() {
        let mut socket = match Netlink::open(Subsystem::SockDiag, &Opener::here()) {
            Ok(socket) => socket,
            Err(e) => {
                sockdiag_testkit::skip!("no netlink socket here: {e:?}");
            }
        };
        let seq = socket.next_seq();
        assert_ne!(seq, socket.next_seq());
        // A header alone: type 99, REQUEST | ACK.
        let mut request = 16_u32.to_ne_bytes().to_vec();
        request.extend(99_u16.to_ne_bytes());
        request.extend(5_u16.to_ne_bytes());
        request.extend(seq.to_ne_bytes());
        request.extend(0_u32.to_ne_bytes());
        socket.send(&request).expect("the kernel takes any bytes");
        let port = socket.port();
        let reply = socket.receive().expect("an error is an answer");
        assert!(reply.from_kernel && !reply.cut);
        assert_eq!(reply.bytes.get(4..6), Some(&2_u16.to_ne_bytes()[..]));
        assert_eq!(reply.bytes.get(8..12), Some(&seq.to_ne_bytes()[..]));
        assert_eq!(reply.bytes.get(12..16), Some(&port.to_ne_bytes()[..]));
        assert_eq!(reply.bytes.get(16..20), Some(&(-22_i32).to_ne_bytes()[..]));
    }
}
