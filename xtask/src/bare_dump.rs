//! `cargo xtask bare-dump`: what the kernel's dump itself costs.
//!
//! One legacy request walks the table of TCP sockets for both families; the
//! replies are received and thrown away unread, but for the search for their
//! end.  No listing can be cheaper.
//!
//! Source: linux/inet_diag.h (`TCPDIAG_GETSOCK`), netlink(7).

use std::io;

use rustix::io::Errno;
use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};
use sockdiag_testkit::Why;
use sockdiag_wire::inet_req::InetDiagReq;
use sockdiag_wire::netlink::{
    Header, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, TCPDIAG_GETSOCK, messages,
};

pub(crate) const NAME: &str = "bare-dump";
/// For the list of chores.
pub(crate) const DOC: &str = "\
Ask the kernel once for every TCP socket and throw the answer away: the floor
under every listing of them, which bench measures ours against.";

/// Every state, as `-a` asks for.
const STATES: u32 = 0x3fff;
/// More than the kernel fills at a time.
const BUFFER: usize = 64 << 10;

/// Does the chore.
pub(crate) fn run(_: &[String]) -> Result<(), Why> {
    dump().map_err(|error| Why::new(format!("a bare dump: {error}")))
}

fn dump() -> io::Result<()> {
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
        if ends(buffer.get(..received).unwrap_or_default())? {
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

/// Whether the dump is over; an end comes in a datagram of its own, or behind
/// the last sockets.
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
        let request = request();
        assert_eq!(Header::parse(&request).map(|header| header.len as usize), Some(request.len()));
    }
}
