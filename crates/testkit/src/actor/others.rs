//! Roles with sockets other than TCP.

use std::net::UdpSocket;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use rustix::net::{
    self, AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, eth, netlink, sockopt,
};

use super::{Words, beside, forever};
use crate::{Doing, Why, sys};

pub(super) fn udp_listen(words: &Words<'_>) -> Result<(), Why> {
    let socket = UdpSocket::bind(words.address()?).doing("a socket")?;
    if words.has("rcvbuf") {
        let size = words.number("rcvbuf", 0)? as u32;
        sys::set_opt(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, &size.to_ne_bytes())
            .doing("SO_RCVBUF")?;
    }
    let is_deaf = words.has("deaf");
    beside(move || {
        let mut room = [0; 2048];
        while !is_deaf && socket.recv(&mut room).is_ok() {}
        forever()
    })
}

pub(super) fn udp_send(words: &Words<'_>) -> Result<(), Why> {
    let to = words.address()?;
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).doing("a socket")?;
    let every = Duration::from_millis(words.number("every", 10)?);
    let count = words.number("n", 1)?;
    let size = usize::try_from(words.number("size", 200)?).unwrap_or(200);
    beside(move || {
        let bytes = vec![0; size];
        loop {
            for _ in 0..count {
                // Nobody may be listening; the next send would report that.
                let _ = socket.send_to(&bytes, to);
            }
            thread::sleep(every);
        }
    })
}

pub(super) fn unix_listen(words: &Words<'_>) -> Result<(), Why> {
    let _ = std::fs::remove_file(words.path());
    let at = SocketAddrUnix::new(words.path()).doing("a path")?;
    let fd = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .doing("a socket")?;
    net::bind(&fd, &at).doing("binding")?;
    net::listen(&fd, words.number("backlog", 8)? as i32).doing("listening")?;
    std::mem::forget(fd);
    Ok(())
}

pub(super) fn unix_connect(words: &Words<'_>) -> Result<(), Why> {
    for _ in 0..words.number("n", 1)? {
        let path = words.path().to_owned();
        beside(move || {
            let _held = UnixStream::connect(path);
            forever()
        })?;
    }
    Ok(())
}

/// One socket sends to a multicast group; another is a member and never reads.
pub(super) fn netlink() -> Result<(), Why> {
    let socket = || {
        net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(netlink::USERSOCK),
        )
        .doing("a socket")
    };
    let (reader, writer) = (socket()?, socket()?);
    sockopt::set_socket_recv_buffer_size(&reader, 2304).doing("SO_RCVBUF")?;
    net::bind(&reader, &netlink::SocketAddrNetlink::new(0, 1)).doing("binding")?;
    net::bind(&writer, &netlink::SocketAddrNetlink::new(0, 0)).doing("binding")?;
    beside(move || {
        let _reader = reader;
        let to = netlink::SocketAddrNetlink::new(0, 1);
        // struct nlmsghdr of a message without a meaning: length, type, flags.
        let mut message = [0_u8; 216];
        message[..4].copy_from_slice(&216_u32.to_ne_bytes());
        message[4] = 0x20;
        loop {
            let _ = net::sendto(&writer, &message, SendFlags::empty(), &to);
            thread::sleep(Duration::from_millis(5));
        }
    })
}

/// Captures every packet, and does not read any.
pub(super) fn packet() -> Result<(), Why> {
    let fd = net::socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, Some(eth::ALL))
        .doing("a socket")?;
    sockopt::set_socket_recv_buffer_size(&fd, 2304).doing("SO_RCVBUF")?;
    std::mem::forget(fd);
    Ok(())
}
