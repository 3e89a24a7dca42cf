//! Netlink framing: datagrams, messages, and the messages that end or reject a dump.
//!
//! A datagram is a sequence of messages, each aligned to four bytes.  Parsing stops at an
//! impossible length and keeps the messages before it.
//!
//! Source: `struct nlmsghdr`, `struct nlmsgerr` (linux/netlink.h),
//! netlink(7), Documentation/userspace-api/netlink/intro.rst.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use crate::attr::attrs;
use crate::bytes::{align4, u32_at};
use crate::layout::{constants, view};

constants! {
    /// Numbers of linux/netlink.h.
    NETLINK_CONSTANTS in "linux/netlink.h": u16 {
        /// A message without content.
        NLMSG_NOOP = 1;
        /// An error, or with code 0 an acknowledgement.
        NLMSG_ERROR = 2;
        /// The end of a dump.
        NLMSG_DONE = 3;
        /// A request.
        NLM_F_REQUEST = 0x01;
        /// One of several messages.
        NLM_F_MULTI = 0x02;
        /// Asks for an acknowledgement.
        NLM_F_ACK = 0x04;
        /// The table changed while it was dumped.
        NLM_F_DUMP_INTR = 0x10;
        /// Asks for the whole table.
        NLM_F_ROOT = 0x100;
        /// Asks for all that match.
        NLM_F_MATCH = 0x200;
        /// Asks for a dump.
        NLM_F_DUMP = NLM_F_ROOT | NLM_F_MATCH;
        /// In an error: only the header of the rejected request is included.
        NLM_F_CAPPED = 0x100;
        /// In an error: attributes follow that explain the error.
        NLM_F_ACK_TLVS = 0x200;
        /// Explanation in words.
        NLMSGERR_ATTR_MSG = 1;
        /// Offset of the offending attribute in the request.
        NLMSGERR_ATTR_OFFS = 2;
    }
}

constants! {
    /// Message types of linux/sock_diag.h.
    SOCK_DIAG_CONSTANTS in "linux/sock_diag.h": u16 {
        /// Requests sockets, or reports one.
        SOCK_DIAG_BY_FAMILY = 20;
        /// Destroys a socket.
        SOCK_DESTROY = 21;
    }
}

constants! {
    /// Multicast groups of destroyed sockets, of linux/sock_diag.h.
    GROUPS in "linux/sock_diag.h": u32 {
        /// TCP sockets over IPv4.
        SKNLGRP_INET_TCP_DESTROY = 1;
        /// UDP sockets over IPv4.
        SKNLGRP_INET_UDP_DESTROY = 2;
        /// TCP sockets over IPv6.
        SKNLGRP_INET6_TCP_DESTROY = 3;
        /// UDP sockets over IPv6.
        SKNLGRP_INET6_UDP_DESTROY = 4;
    }
}

constants! {
    /// The older message types, of linux/inet_diag.h.
    INET_DIAG_TYPES in "linux/inet_diag.h": u16 {
        /// Asks for TCP sockets of both families.
        TCPDIAG_GETSOCK = 18;
        /// Asks for DCCP sockets of both families.
        DCCPDIAG_GETSOCK = 19;
    }
}

view! {
    /// The bytes of a message header.
    HeaderView = "struct nlmsghdr" in "linux/netlink.h" {
        /// Length of the message, header included.
        message_len: u32 @ 0 = "nlmsg_len";
        /// Type of the message.
        kind: u16 @ 4 = "nlmsg_type";
        /// Flags.
        flags: u16 @ 6 = "nlmsg_flags";
        /// Sequence number; a reply repeats that of its request.
        seq: u32 @ 8 = "nlmsg_seq";
        /// Port id; a reply carries that of the requester.
        pid: u32 @ 12 = "nlmsg_pid";
    }
}

view! {
    /// The beginning of an error message.
    ErrorView = "struct nlmsgerr" in "linux/netlink.h" {
        /// Zero, or a negated error number.
        error: i32 @ 0 = "error";
        /// Header of the rejected request.
        request: [u8; 16] @ 4 = "msg";
    }
}

/// Length of the code that begins an error or the end of a dump.
const CODE_LEN: usize = ErrorView::LAYOUT.offset("msg");

/// Length of a complete error: its code and the header of the request.
pub const ERROR_LEN: usize = ErrorView::LAYOUT.end();

/// Length of a message header.
pub const HEADER_LEN: usize = HeaderView::LAYOUT.end();

/// A decoded message header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Length of the message, header included.
    pub len: u32,
    /// Type of the message.
    pub kind: u16,
    /// Flags.
    pub flags: u16,
    /// Sequence number; a reply repeats that of its request.
    pub seq: u32,
    /// Port id; a reply carries that of the requester.
    pub pid: u32,
}

impl Header {
    /// Reads a header; `None` if fewer than 16 bytes are left.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let view = HeaderView::new(bytes);
        let pid = view.pid()?;
        Some(Self {
            len: view.message_len()?,
            kind: view.kind()?,
            flags: view.flags()?,
            seq: view.seq()?,
            pid,
        })
    }

    /// Appends the header as the kernel reads it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.len.to_ne_bytes());
        out.extend_from_slice(&self.kind.to_ne_bytes());
        out.extend_from_slice(&self.flags.to_ne_bytes());
        out.extend_from_slice(&self.seq.to_ne_bytes());
        out.extend_from_slice(&self.pid.to_ne_bytes());
    }
}

/// One message of a datagram.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Its header.
    pub header: Header,
    /// The bytes after the header, without padding.
    pub payload: &'a [u8],
}

/// The messages of a datagram, in order.
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

/// Parses a datagram into messages.
#[inline]
pub fn messages(datagram: &[u8]) -> Messages<'_> {
    Messages { rest: datagram }
}

impl Messages<'_> {
    /// The number of unread bytes; at the end, of the bytes that form no message.
    pub fn remnant(&self) -> usize {
        self.rest.len()
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    #[inline]
    fn next(&mut self) -> Option<Message<'a>> {
        let header = Header::parse(self.rest)?;
        let len = header.len as usize;
        let payload = self.rest.get(HEADER_LEN..len)?;
        self.rest = self.rest.get(align4(len)..).unwrap_or_default();
        Some(Message { header, payload })
    }
}

/// The code that begins an `NLMSG_ERROR` or `NLMSG_DONE`: zero or a negated errno; `None` if
/// the message is too short.
pub fn error_code(payload: &[u8]) -> Option<i32> {
    ErrorView::new(payload).error()
}

/// The kernel's explanation of an error, in addition to its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtAck<'a> {
    /// The explanation in words, without the terminating NUL.
    pub msg: Option<&'a [u8]>,
    /// Offset of the offending attribute in the request.
    pub offset: Option<u32>,
}

/// Reads the explanation from an `NLMSG_ERROR` or `NLMSG_DONE`.
///
/// In an error, it follows the rejected request, or only the request's header if the error is
/// capped; in the end of a dump, it follows the code.
pub fn ext_ack<'a>(message: &Message<'a>) -> ExtAck<'a> {
    let Header { kind, flags, .. } = message.header;
    let start = match kind {
        _ if flags & NLM_F_ACK_TLVS == 0 => return ExtAck::default(),
        NLMSG_ERROR if flags & NLM_F_CAPPED != 0 => CODE_LEN + HEADER_LEN,
        NLMSG_ERROR => {
            CODE_LEN.saturating_add(align4(u32_at(message.payload, CODE_LEN).unwrap_or(0) as usize))
        }
        NLMSG_DONE => CODE_LEN,
        _ => return ExtAck::default(),
    };
    let mut found = ExtAck::default();
    for attr in attrs(message.payload.get(start..).unwrap_or_default()) {
        match attr.kind {
            NLMSGERR_ATTR_MSG => found.msg = found.msg.or(Some(attr.text())),
            NLMSGERR_ATTR_OFFS => found.offset = found.offset.or(u32_at(attr.payload, 0)),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Header { len: (HEADER_LEN + payload.len()) as u32, kind, flags, seq: 7, pid: 9 }.encode(&mut out);
        out.extend_from_slice(payload);
        out.resize(align4(out.len()), 0);
        out
    }

    #[test]
    fn messages_before_damage_are_kept() {
        let mut datagram = message(20, 2, b"abcde");
        datagram.extend(message(20, 2, b"xy"));
        let whole = datagram.len();
        for cut in 0..=whole {
            let count = messages(&datagram[..cut]).count();
            // The last message is complete even without its padding.
            let want = usize::from(cut >= 21) + usize::from(cut >= 42);
            assert_eq!(count, want, "cut at {cut}");
        }
        datagram[24..28].copy_from_slice(&3_u32.to_ne_bytes());
        let mut left = messages(&datagram);
        assert_eq!(left.next().unwrap().payload, b"abcde");
        assert!(left.next().is_none());
        assert_eq!(left.remnant(), whole - 24);
    }

    #[test]
    fn explanations_are_found_behind_what_was_refused() {
        let mut tlv = Vec::new();
        crate::attr::put(&mut tlv, NLMSGERR_ATTR_MSG, b"no such thing\0");
        crate::attr::put(&mut tlv, NLMSGERR_ATTR_OFFS, &20_u32.to_ne_bytes());
        let mut capped = (-22_i32).to_ne_bytes().to_vec();
        capped.extend(message(20, 1, b""));
        capped.extend(&tlv);
        let mut full = (-22_i32).to_ne_bytes().to_vec();
        full.extend(message(20, 1, b"request!"));
        full.extend(&tlv);
        let mut done = (-22_i32).to_ne_bytes().to_vec();
        done.extend(&tlv);
        for (kind, flags, payload) in [
            (NLMSG_ERROR, NLM_F_CAPPED | NLM_F_ACK_TLVS, capped),
            (NLMSG_ERROR, NLM_F_ACK_TLVS, full),
            (NLMSG_DONE, NLM_F_ACK_TLVS, done),
        ] {
            let bytes = message(kind, flags, &payload);
            let message = messages(&bytes).next().unwrap();
            assert_eq!(error_code(message.payload), Some(-22));
            assert_eq!(ext_ack(&message), ExtAck { msg: Some(b"no such thing"), offset: Some(20) });
        }
        let bytes = message(NLMSG_ERROR, 0, &tlv);
        assert_eq!(ext_ack(&messages(&bytes).next().unwrap()), ExtAck::default());
    }
}
