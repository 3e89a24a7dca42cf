//! Destroying sockets, one at a time, each by its cookie.
//!
//! Only the sockets that were listed are destroyed: the kernel compares the whole identity,
//! cookie included, so a socket that has taken the place of another is left alone.
//!
//! Source: `SOCK_DESTROY` (linux/sock_diag.h), sock_diag(7); ss's treatment of
//! the answers.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use sockdiag_wire::errno::{ENOENT, EOPNOTSUPP};
use sockdiag_wire::inet_req::InetDiagReqV2;
use sockdiag_wire::ipproto::IPPROTO_RAW;
use sockdiag_wire::netlink::{
    HEADER_LEN, Header, NLM_F_ACK, NLM_F_REQUEST, NLMSG_ERROR, SOCK_DESTROY, error_code, messages,
};

use super::Access;
use super::request::{id_of, put_protocol, short_protocol};
use crate::model::{Socket, SourceKind};
use crate::notice::{Notice, Tally};
use crate::sys::netlink::{Netlink, ReceiveError};

/// The result for a socket that was to be destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was destroyed.
    Destroyed,
    /// It had already ended.
    Gone,
    /// It was left alone: the kernel cannot destroy this kind of socket, or none at all
    /// (`CONFIG_INET_DIAG_DESTROY`), or it is uncertain whether the filter matches it.
    Spared,
}

/// Destroys sockets.
#[derive(Debug)]
pub struct Destroyer {
    /// The netlink socket, or the notice if it could not be opened.
    netlink: Result<Netlink, Notice>,
    tally: Tally,
}

impl Destroyer {
    /// Opens a netlink socket.
    ///
    /// # Errors
    /// A notice for users, if it cannot be opened.
    pub fn open(access: &mut Access) -> Result<Self, Notice> {
        let destroyer = Self::try_open(access);
        match destroyer.netlink {
            Err(notice) => Err(notice),
            Ok(_) => Ok(destroyer),
        }
    }

    /// Opens a netlink socket if possible.  Without it sockets are listed from other
    /// sources, and those are not destroyed.
    pub(crate) fn try_open(access: &mut Access) -> Self {
        let netlink = access.socket().map_err(|failure| failure.notice.unwrap_or(Notice::Eof));
        Self { netlink, tally: Tally::default() }
    }

    /// A dry run: counts what would be destroyed, and destroys nothing.
    pub fn rehearsal() -> Self {
        Self { netlink: Err(Notice::Eof), tally: Tally { is_rehearsal: true, ..Tally::default() } }
    }

    /// Whether this is a dry run.
    pub fn is_rehearsal(&self) -> bool {
        self.tally.is_rehearsal
    }

    /// Whether sockets of this kind can be destroyed: those from an inet table of the
    /// kernel, not lines of text or of a recording.
    pub fn acts_on(socket: &Socket<'_>) -> bool {
        socket.attrs().is_some() && socket.origin.kind == SourceKind::Kernel
    }

    /// Counts a socket that is left alone, since it is uncertain whether the filter matches
    /// it.
    pub fn leave(&mut self) {
        self.tally.unknown += 1;
    }

    /// Counts a listed socket of a kind that cannot be destroyed.
    pub fn pass(&mut self) {
        self.tally.passed += 1;
    }

    /// The counts so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Destroys one socket.
    ///
    /// # Errors
    /// A notice, if the kernel refuses for a reason other than that the socket has ended or
    /// cannot be destroyed; do not try further sockets then.
    pub fn destroy(&mut self, socket: &Socket<'_>) -> Result<Fate, Notice> {
        if self.is_rehearsal() {
            self.tally.destroyed += 1;
            return Ok(Fate::Destroyed);
        }
        let netlink = self.netlink.as_mut().map_err(|notice| notice.clone())?;
        let seq = netlink.next_seq();
        let failed = |error: ReceiveError| match error {
            ReceiveError::Eof => Notice::Eof,
            ReceiveError::Os(errno) => Notice::ReceiveFailed { errno: errno.raw_os_error() },
        };
        netlink.send(&request(socket, seq)).map_err(|errno| failed(ReceiveError::Os(errno)))?;
        loop {
            let datagram = netlink.receive().map_err(failed)?;
            if !datagram.from_kernel {
                continue;
            }
            let answer = messages(datagram.bytes)
                .find(|message| message.header.seq == seq && message.header.kind == NLMSG_ERROR);
            let Some(answer) = answer else { continue };
            return match -error_code(answer.payload).ok_or(Notice::ErrorTruncated)? {
                0 => {
                    self.tally.destroyed += 1;
                    Ok(Fate::Destroyed)
                }
                ENOENT => {
                    self.tally.gone += 1;
                    Ok(Fate::Gone)
                }
                EOPNOTSUPP => {
                    self.tally.spared += 1;
                    Ok(Fate::Spared)
                }
                errno => Err(Notice::DestroyRefused { errno }),
            };
        }
    }
}

/// The request to destroy a socket.
fn request(socket: &Socket<'_>, seq: u32) -> Vec<u8> {
    let protocol = socket.origin.table.protocol();
    let mut bytes = Vec::with_capacity(128);
    Header { len: 0, kind: SOCK_DESTROY, flags: NLM_F_REQUEST | NLM_F_ACK, seq, pid: 0 }.encode(&mut bytes);
    InetDiagReqV2 {
        family: socket.family.number(),
        protocol: short_protocol(protocol),
        // A raw socket is identified by its IP protocol, too.
        raw_or_pad: if protocol == IPPROTO_RAW {
            socket.attrs().and_then(|attrs| attrs.protocol()).unwrap_or(0)
        } else {
            0
        },
        id: id_of(socket),
        ..InetDiagReqV2::default()
    }
    .encode(&mut bytes);
    put_protocol(&mut bytes, protocol);
    debug_assert!(bytes.len() > HEADER_LEN);
    let length = bytes.len() as u32;
    if let Some(field) = bytes.first_chunk_mut() {
        *field = length.to_ne_bytes();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use sockdiag_wire::inet_req::ReqV2View;

    use super::*;
    use crate::model::{Origin, Record, Table};

    #[test]
    fn a_request_names_the_socket_that_was_listed() {
        let mut bytes = [0_u8; 72];
        (bytes[0], bytes[1]) = (2, 1);
        bytes[4..8].copy_from_slice(&[0, 80, 4, 0]);
        bytes[8..12].copy_from_slice(&[127, 0, 0, 1]);
        bytes[24..28].copy_from_slice(&[127, 0, 0, 2]);
        bytes[40..44].copy_from_slice(&7_u32.to_ne_bytes());
        bytes[44..52].copy_from_slice(&0x1122_3344_5566_7788_u64.to_ne_bytes());
        for (table, protocol) in [(Table::Tcp, 6), (Table::Udp, 17), (Table::Mptcp, 6)] {
            let origin = Origin::of(table, SourceKind::Kernel);
            let socket = Socket::decode(Record { origin, bytes: &bytes }).unwrap();
            assert!(Destroyer::acts_on(&socket));
            let sent = request(&socket, 9);
            let message = messages(&sent).next().unwrap();
            assert_eq!((message.header.kind, message.header.flags, message.header.seq), (21, 5, 9));
            let view = ReqV2View::new(message.payload);
            assert_eq!((view.family(), view.protocol(), view.states()), (Some(2), Some(protocol), Some(0)));
            assert_eq!(view.id().unwrap(), bytes[4..52], "the identity as it came");
            assert_eq!(message.payload.len() > 56, table == Table::Mptcp, "a long protocol is an attribute");
        }
    }
}
