//! `cargo xtask bare-dump`: what the kernel's dump itself costs, and holds.
//!
//! One legacy request walks the table of TCP sockets for both families; the
//! replies are received and thrown away unread, but for the search for their
//! end.  No listing can be cheaper.  With `--ends` the two ends of each socket
//! are printed instead, and no listing can hold more.
//!
//! Source: linux/inet_diag.h (`TCPDIAG_GETSOCK`), netlink(7).

use std::io::{self, BufWriter, Write};
use std::net::{Ipv6Addr, SocketAddr};

use rustix::io::Errno;
use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};
use sockdiag_testkit::Why;
use sockdiag_wire::inet_diag::InetDiagMsg;
use sockdiag_wire::inet_req::InetDiagReq;
use sockdiag_wire::netlink::{
    Header, Message, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, TCPDIAG_GETSOCK, messages,
};

pub(crate) const NAME: &str = "bare-dump";
/// The word that has the ends printed.
const ENDS: &str = "--ends";
pub(crate) const WORDS: &str = "[--ends]";
/// For the list of chores.
pub(crate) const DOC: &str = "\
Ask the kernel once for every TCP socket and throw the answer away: the floor
under every listing of them, which bench measures ours against.
--ends           print the two ends of each socket, in the places they have in
                 a listing by ss.";

/// Every state, as `-a` asks for.
const STATES: u32 = 0x3fff;
/// More than the kernel fills at a time.
const BUFFER: usize = 64 << 10;

/// Does the chore.
pub(crate) fn run(words: &[String]) -> Result<(), Why> {
    let mut out = BufWriter::new(io::stdout().lock());
    let done = match words {
        [] => dump(&mut |_| Ok(())),
        [word] if word == ENDS => dump(&mut |message| put_ends(&mut out, message)),
        _ => return Err(Why::new(format!("{} is not understood; usage: {WORDS}", words.join(" ")))),
    };
    done.and_then(|()| out.flush()).map_err(|error| Why::new(format!("a bare dump: {error}")))
}

fn dump(take: &mut dyn FnMut(Message<'_>) -> io::Result<()>) -> io::Result<()> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(SOCK_DIAG))?;
    sendto(&socket, &request(), SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let (received, length) = match recv(&socket, buffer.as_mut_slice(), RecvFlags::empty()) {
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
            Ok(received) => received,
        };
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if read(buffer.get(..received).unwrap_or_default(), take)? {
            return Ok(());
        }
    }
}

fn request() -> Vec<u8> {
    let mut body = Vec::new();
    InetDiagReq { states: STATES, ..InetDiagReq::default() }.encode(&mut body);
    let mut request = Vec::new();
    let flags = NLM_F_REQUEST | NLM_F_DUMP;
    let len = (sockdiag_wire::netlink::HEADER_LEN + body.len()) as u32;
    Header { len, kind: TCPDIAG_GETSOCK, flags, seq: 0, pid: 0 }.encode(&mut request);
    request.extend(body);
    request
}

/// Hands on the sockets of a datagram; `true` if the dump is over.
fn read(datagram: &[u8], take: &mut dyn FnMut(Message<'_>) -> io::Result<()>) -> io::Result<bool> {
    for message in messages(datagram) {
        match message.header.kind {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => return Err(io::ErrorKind::Unsupported.into()),
            _ => take(message)?,
        }
    }
    Ok(false)
}

/// Three words that say nothing, and the ends.
fn put_ends(out: &mut impl Write, message: Message<'_>) -> io::Result<()> {
    let Some(socket) = InetDiagMsg::new(message.payload) else { return Ok(()) };
    let end = |addr: [u8; 16], port| match socket.family() {
        2 => SocketAddr::from(([addr[0], addr[1], addr[2], addr[3]], port)),
        _ => SocketAddr::from((Ipv6Addr::from(addr), port)),
    };
    let (local, remote) = (end(socket.src(), socket.sport()), end(socket.dst(), socket.dport()));
    writeln!(out, "- - - {local} {remote}")
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
        let read = |datagram: &[u8]| {
            let mut sockets = 0;
            let mut take = |_: Message<'_>| {
                sockets += 1;
                Ok(())
            };
            (read(datagram, &mut take).map_err(|error| error.kind()), sockets)
        };
        assert_eq!(read(&[message(18), message(18)].concat()), (Ok(false), 2));
        assert_eq!(read(&[message(18), message(NLMSG_DONE)].concat()), (Ok(true), 1));
        assert_eq!(read(&message(NLMSG_ERROR)), (Err(io::ErrorKind::Unsupported), 0));
        assert_eq!(read(&[0; 5]), (Ok(false), 0));
        let request = request();
        assert_eq!(Header::parse(&request).map(|header| header.len as usize), Some(request.len()));
    }

    #[test]
    fn ends_are_where_a_listing_has_them() {
        let mut payload = vec![2, 1, 0, 0];
        payload.extend([0x1f, 0x90, 0, 80, 127, 0, 0, 1]);
        payload.resize(24, 0);
        payload.extend([10, 0, 0, 2]);
        payload.resize(72, 0);
        let header = Header { len: 88, kind: 18, flags: 0, seq: 0, pid: 0 };
        let mut out = Vec::new();
        put_ends(&mut out, Message { header, payload: &payload }).expect("memory");
        assert_eq!(out, b"- - - 127.0.0.1:8080 10.0.0.2:80\n");
        put_ends(&mut out, Message { header, payload: &payload[..71] }).expect("memory");
        assert_eq!(out.len(), 33, "what is too short is no socket");
    }
}
