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

pub(crate) const NAME: &str = "bare-dump";
/// For the list of chores.
pub(crate) const DOC: &str = "\
Ask the kernel once for every TCP socket and throw the answer away: the floor
under every listing of them, which bench measures ours against.";

const TCPDIAG_GETSOCK: u16 = 18;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const FLAGS: u16 = 0x301;
const HEADER: usize = 16;
/// `struct inet_diag_req`.
const REQUEST: usize = 60;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// Every state, as `-a` asks for.
const STATES: u32 = 0x3fff;
/// More than the kernel fills at a time.
const BUFFER: usize = 64 << 10;

/// Does the chore.
pub(crate) fn run(_: &[String]) -> Result<(), Why> {
    dump().map(|_| ()).map_err(|error| Why::new(format!("a bare dump: {error}")))
}

/// Gives how many bytes there were.
fn dump() -> io::Result<u64> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(SOCK_DIAG))?;
    sendto(&socket, &request(), SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let mut buffer = vec![0; BUFFER];
    let mut bytes = 0;
    loop {
        let (received, length) = match recv(&socket, buffer.as_mut_slice(), RecvFlags::empty()) {
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
            Ok(received) => received,
        };
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes += length as u64;
        match last_kind(buffer.get(..received).unwrap_or_default()) {
            Some(NLMSG_DONE) => return Ok(bytes),
            Some(NLMSG_ERROR) => return Err(io::ErrorKind::Unsupported.into()),
            _ => {}
        }
    }
}

fn request() -> Vec<u8> {
    let mut request = Vec::with_capacity(HEADER + REQUEST);
    request.extend_from_slice(&((HEADER + REQUEST) as u32).to_ne_bytes());
    request.extend_from_slice(&TCPDIAG_GETSOCK.to_ne_bytes());
    request.extend_from_slice(&FLAGS.to_ne_bytes());
    request.resize(HEADER + 52, 0);
    request.extend_from_slice(&STATES.to_ne_bytes());
    request.resize(HEADER + REQUEST, 0);
    request
}

/// The type of the only message of an end, or of the first of many.  An end
/// comes in a datagram of its own, or behind the last sockets.
fn last_kind(datagram: &[u8]) -> Option<u16> {
    let (mut rest, mut kind) = (datagram, None);
    while let (Some(length), Some(found)) = (rest.first_chunk(), rest.get(4..6)) {
        let length = (u32::from_ne_bytes(*length) as usize).next_multiple_of(4);
        kind = found.try_into().ok().map(u16::from_ne_bytes);
        rest = rest.get(length.max(HEADER)..).unwrap_or_default();
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_found_behind_sockets() {
        let message = |kind: u16| {
            let mut bytes = 20_u32.to_ne_bytes().to_vec();
            bytes.extend(kind.to_ne_bytes());
            bytes.resize(20, 0);
            bytes
        };
        assert_eq!(last_kind(&[message(18), message(18)].concat()), Some(18));
        assert_eq!(last_kind(&[message(18), message(NLMSG_DONE)].concat()), Some(NLMSG_DONE));
        assert_eq!(last_kind(&message(NLMSG_ERROR)[..7]), Some(NLMSG_ERROR));
        assert_eq!(last_kind(&[0; 5]), None);
        assert_eq!(request().len(), HEADER + REQUEST);
    }
}
