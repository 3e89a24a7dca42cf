//! Recordings in the format of `ss -D`, for `TCPDIAG_FILE`: built, cut, random and damaged.
//!
//! A file contains the kernel's replies to two dumps, one message after the other, each padded
//! to four bytes: IPv4 sockets (type 20), `NLMSG_DONE` (20 bytes), IPv6 sockets, `NLMSG_DONE`.
//! A reader stops at the first `NLMSG_DONE`, so [`cut_done`] removes that one for tests that
//! need the IPv6 half.
//!
//! All numbers are in the machine's byte order except ports and addresses, which are in
//! network order.  Source: `linux/inet_diag.h`.

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]

mod mutate;
pub mod odd;
mod random;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

pub use mutate::mutate;
pub use random::random;

use crate::nl;

/// `SOCK_DIAG_BY_FAMILY`: the type of a message about one socket.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// The sequence number of the dump requests of `ss`.
const SEQUENCE: u32 = 123_456;
/// Size of `struct inet_diag_msg`.
const INET_DIAG_MSG: usize = 72;

/// Attributes of one socket, by number (`INET_DIAG_...`).
pub mod attr {
    /// `struct inet_diag_meminfo`: rmem, wmem, fmem, tmem.
    pub const MEMINFO: u16 = 1;
    /// `struct tcp_info`, or that of MPTCP or SCTP.
    pub const INFO: u16 = 2;
    /// `struct tcpvegas_info`.
    pub const VEGASINFO: u16 = 3;
    /// Name of the congestion control, with a NUL.
    pub const CONG: u16 = 4;
    /// `u8`.
    pub const TOS: u16 = 5;
    /// `u8`.
    pub const TCLASS: u16 = 6;
    /// `u32` each, 7 to 9 of them.
    pub const SKMEMINFO: u16 = 7;
    /// `u8`: 1 receive, 2 send.
    pub const SHUTDOWN: u16 = 8;
    /// `struct tcp_dctcp_info`.
    pub const DCTCPINFO: u16 = 9;
    /// `u8`.
    pub const PROTOCOL: u16 = 10;
    /// `u8`.
    pub const SKV6ONLY: u16 = 11;
    /// `struct sockaddr_storage` each.
    pub const LOCALS: u16 = 12;
    /// `struct sockaddr_storage` each.
    pub const PEERS: u16 = 13;
    /// Nothing.
    pub const PAD: u16 = 14;
    /// `u32`.
    pub const MARK: u16 = 15;
    /// `struct tcp_bbr_info`.
    pub const BBRINFO: u16 = 16;
    /// `u32`.
    pub const CLASS_ID: u16 = 17;
    /// `struct tcp_diag_md5sig` each.
    pub const MD5SIG: u16 = 18;
    /// Nested: 1 name, 2 TLS, 3 MPTCP.
    pub const ULP_INFO: u16 = 19;
    /// Nested.
    pub const SK_BPF_STORAGES: u16 = 20;
    /// `u64`.
    pub const CGROUP_ID: u16 = 21;
    /// Two bytes of flags.
    pub const SOCKOPT: u16 = 22;
}

/// A message about one socket: `struct inet_diag_msg` and attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Msg {
    /// `idiag_family`: 2 or 10, but any value can be written.
    pub family: u8,
    /// `idiag_state`.
    pub state: u8,
    /// `idiag_timer`: 0 none, 1 on, 2 keepalive, 3 time-wait, 4 persist.
    pub timer: u8,
    /// `idiag_retrans`.
    pub retrans: u8,
    /// Local port.
    pub sport: u16,
    /// Port of the peer.
    pub dport: u16,
    /// Local address; an IPv4 one fills the first four of sixteen bytes.
    pub src: IpAddr,
    /// Address of the peer, written likewise.
    pub dst: IpAddr,
    /// Index of the device bound to; zero for none.
    pub ifindex: u32,
    /// Cookie; the low half is written first.
    pub cookie: u64,
    /// `idiag_expires`, in milliseconds.
    pub expires: u32,
    /// `idiag_rqueue`, in bytes, or the number of connections waiting.
    pub rqueue: u32,
    /// `idiag_wqueue`, in bytes, or the backlog limit of a listener.
    pub wqueue: u32,
    /// Owner.
    pub uid: u32,
    /// Inode number; zero without a file.
    pub inode: u32,
    /// Numbers and payloads of the attributes, in order; see [`attr`].
    pub attrs: Vec<(u16, Vec<u8>)>,
}

impl Msg {
    /// An established IPv4 connection 127.0.0.1:40000 to 127.0.0.2:50000;
    /// everything else is zero or absent.
    pub fn v4() -> Self {
        let (src, dst) = (Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2));
        Self::between(libc::AF_INET as u8, src.into(), dst.into())
    }

    /// An established IPv6 connection `[::1]:40000` to `[2001:db8::2]:50000`.
    pub fn v6() -> Self {
        let dst = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
        Self::between(libc::AF_INET6 as u8, Ipv6Addr::LOCALHOST.into(), dst.into())
    }

    fn between(family: u8, src: IpAddr, dst: IpAddr) -> Self {
        Self {
            family,
            state: 1,
            timer: 0,
            retrans: 0,
            sport: 40000,
            dport: 50000,
            src,
            dst,
            ifindex: 0,
            cookie: 0,
            expires: 0,
            rqueue: 0,
            wqueue: 0,
            uid: 0,
            inode: 0,
            attrs: Vec::new(),
        }
    }

    /// Adds an attribute at the end.
    #[must_use]
    pub fn with(mut self, kind: u16, payload: impl Into<Vec<u8>>) -> Self {
        self.attrs.push((kind, payload.into()));
        self
    }

    /// The bytes of the message, padded to a multiple of four.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.family, self.state, self.timer, self.retrans];
        bytes.extend_from_slice(&self.sport.to_be_bytes());
        bytes.extend_from_slice(&self.dport.to_be_bytes());
        for address in [self.src, self.dst] {
            let mut octets = [0; 16];
            match address {
                IpAddr::V4(v4) => octets[..4].copy_from_slice(&v4.octets()),
                IpAddr::V6(v6) => octets = v6.octets(),
            }
            bytes.extend_from_slice(&octets);
        }
        let cookie = [self.cookie as u32, (self.cookie >> 32) as u32];
        for word in
            [self.ifindex, cookie[0], cookie[1], self.expires, self.rqueue, self.wqueue, self.uid, self.inode]
        {
            bytes.extend_from_slice(&word.to_ne_bytes());
        }
        for (kind, payload) in &self.attrs {
            nl::attr(&mut bytes, *kind, payload);
        }
        nl::message(SOCK_DIAG_BY_FAMILY, nl::F_MULTI, SEQUENCE, &bytes)
    }
}

/// A whole recording: the IPv4 half, its end, the IPv6 half, its end.
pub fn record(v4: &[Msg], v6: &[Msg]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for half in [v4, v6] {
        for msg in half {
            bytes.extend_from_slice(&msg.to_bytes());
        }
        append_done(&mut bytes);
    }
    bytes
}

/// Appends `NLMSG_DONE` with its code of zero: 20 bytes.
pub fn append_done(bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&nl::message(nl::DONE, nl::F_MULTI, SEQUENCE, &0_i32.to_ne_bytes()));
}

/// Appends `NLMSG_ERROR` for an errno, with the header that it answers: 36 bytes.
pub fn append_error(bytes: &mut Vec<u8>, errno: i32) {
    let mut payload = (-errno).to_ne_bytes().to_vec();
    payload.resize(4 + nl::HEADER, 0);
    bytes.extend_from_slice(&nl::message(nl::ERROR, 0, SEQUENCE, &payload));
}

/// The recording without its first `NLMSG_DONE`, so that readers continue with the IPv6 half;
/// unchanged if there is none.
pub fn cut_done(bytes: &[u8]) -> Vec<u8> {
    let mut cut = bytes.to_vec();
    let done = messages(bytes).into_iter().find(|range| {
        bytes.get(range.clone()).and_then(nl::header).is_some_and(|(_, kind)| kind == nl::DONE)
    });
    if let Some(range) = done {
        cut.drain(range);
    }
    cut
}

/// The byte range of each message, with padding; stops at the first message whose length is
/// impossible.
pub fn messages(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut at = 0;
    while let Some((len, _)) = bytes.get(at..).and_then(nl::header) {
        if len < nl::HEADER || len > bytes.len() - at {
            break;
        }
        let end = (at + len.next_multiple_of(4)).min(bytes.len());
        ranges.push(at..end);
        at = end;
    }
    ranges
}

/// Changes the kind of every attribute `from` to `to`; an unknown kind hides it from readers.
pub fn retype(bytes: &[u8], from: u16, to: u16) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for message in messages(bytes) {
        let mut at = message.start + nl::HEADER + FIXED;
        while let Some(&[a, b, c, d]) = out.get(at..at + 4).and_then(|head| head.first_chunk()) {
            let (len, kind) = (usize::from(u16::from_ne_bytes([a, b])), u16::from_ne_bytes([c, d]));
            if len < 4 || at + 4 > message.end {
                break;
            }
            if kind & 0x3fff == from {
                out[at + 2..at + 4].copy_from_slice(&to.to_ne_bytes());
            }
            at += (len + 3) & !3;
        }
    }
    out
}

/// Length of the fixed part of a socket's message.
const FIXED: usize = 72;

#[cfg(test)]
mod tests;
