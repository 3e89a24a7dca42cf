//! `struct unix_diag_msg` and its attributes: one unix socket, and the request for such
//! sockets.
//!
//! The fixed part must be complete; the first attribute of a kind wins and unknown kinds are
//! skipped.  A name is returned as sent: a path may end in a NUL, an abstract name begins with
//! one.
//!
//! Source: linux/unix_diag.h, Linux 7.3.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use crate::attr::Index;
use crate::bytes::{u8_at, u32_at};
use crate::layout::{constants, view};
use crate::mem_info::SkMemInfo;
use crate::socket::AF_UNIX;

constants! {
    /// Attributes that a request can ask for.
    SHOW in "linux/unix_diag.h": u32 {
        /// The name.
        UDIAG_SHOW_NAME = 0x01;
        /// The file that a path is bound to.
        UDIAG_SHOW_VFS = 0x02;
        /// The peer.
        UDIAG_SHOW_PEER = 0x04;
        /// Connections waiting to be accepted.
        UDIAG_SHOW_ICONS = 0x08;
        /// The queues.
        UDIAG_SHOW_RQLEN = 0x10;
        /// The memory report.
        UDIAG_SHOW_MEMINFO = 0x20;
        /// The owner; since Linux 5.3.
        UDIAG_SHOW_UID = 0x40;
    }
}

constants! {
    /// Kinds of attributes in a reply.
    ATTRIBUTES in "linux/unix_diag.h": u16 {
        /// Name.
        UNIX_DIAG_NAME = 0;
        /// The file that a path is bound to.
        UNIX_DIAG_VFS = 1;
        /// Inode of the peer.
        UNIX_DIAG_PEER = 2;
        /// Inodes of the connections waiting to be accepted.
        UNIX_DIAG_ICONS = 3;
        /// Queues.
        UNIX_DIAG_RQLEN = 4;
        /// Memory report.
        UNIX_DIAG_MEMINFO = 5;
        /// Directions shut down.
        UNIX_DIAG_SHUTDOWN = 6;
        /// Owner.
        UNIX_DIAG_UID = 7;
    }
}

/// Number of attribute kinds.
const KINDS: usize = UNIX_DIAG_UID as usize + 1;

view! {
    /// The bytes of a request.
    ReqView = "struct unix_diag_req" in "linux/unix_diag.h" {
        /// Address family.
        family: u8 @ 0 = "sdiag_family";
        /// Protocol; must be zero.
        protocol: u8 @ 1 = "sdiag_protocol";
        /// Padding.
        pad: u16 @ 2 = "pad";
        /// Requested states.
        states: u32 @ 4 = "udiag_states";
        /// Requested inode, unless the request is a dump.
        inode: u32 @ 8 = "udiag_ino";
        /// Requested attributes.
        show: u32 @ 12 = "udiag_show";
        /// Requested cookie, unless the request is a dump.
        cookie: cookie @ 16 = "udiag_cookie";
    }
}

view! {
    /// The fixed part of a message.
    MsgView = "struct unix_diag_msg" in "linux/unix_diag.h" {
        /// Address family.
        family: u8 @ 0 = "udiag_family";
        /// Socket type: 1 is stream, 2 is datagram, 5 is sequenced packets.
        kind: u8 @ 1 = "udiag_type";
        /// State.
        state: u8 @ 2 = "udiag_state";
        /// Padding.
        pad: u8 @ 3 = "pad";
        /// Inode.
        inode: u32 @ 4 = "udiag_ino";
        /// Cookie.
        cookie: cookie @ 8 = "udiag_cookie";
    }
}

view! {
    /// `UNIX_DIAG_VFS`.
    Vfs = "struct unix_diag_vfs" in "linux/unix_diag.h" {
        /// Inode of the file.
        inode: u32 @ 0 = "udiag_vfs_ino";
        /// Device of the file in the kernel's encoding: the minor number in the lower 20 bits,
        /// the major number above.
        dev: u32 @ 4 = "udiag_vfs_dev";
    }
}

view! {
    /// `UNIX_DIAG_RQLEN`.
    RqLen = "struct unix_diag_rqlen" in "linux/unix_diag.h" {
        /// Unread bytes; for a listener, the number of waiting connections.
        rqueue: u32 @ 0 = "udiag_rqueue";
        /// Bytes sent and not yet read; for a listener, the backlog limit.
        wqueue: u32 @ 4 = "udiag_wqueue";
    }
}

/// Length of the fixed part.
pub const MSG_LEN: usize = MsgView::LAYOUT.end();

/// `struct unix_diag_req`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnixDiagReq {
    /// Requested states, one bit each.
    pub states: u32,
    /// Requested attributes, `UDIAG_SHOW_*`.
    pub show: u32,
}

impl UnixDiagReq {
    /// Appends the request as the kernel reads it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[AF_UNIX, 0, 0, 0]);
        out.extend_from_slice(&self.states.to_ne_bytes());
        out.extend_from_slice(&0_u32.to_ne_bytes());
        out.extend_from_slice(&self.show.to_ne_bytes());
        out.extend_from_slice(&[0; 8]);
    }
}

/// One unix socket: its complete fixed part and its attributes.
#[derive(Clone, Copy, Debug)]
pub struct UnixDiagMsg<'a> {
    /// Socket type (`SOCK_*`): 1 is stream, 2 is datagram, 5 is sequenced packets.
    pub kind: u8,
    /// State, in TCP's numbering.
    pub state: u8,
    /// Inode on sockfs; 0 for a connection that is not accepted yet.
    pub inode: u32,
    /// The socket's cookie.
    pub cookie: u64,
    values: Index<'a, KINDS>,
}

impl<'a> UnixDiagMsg<'a> {
    /// Decodes a message; `None` if its fixed part is incomplete.
    pub fn new(payload: &'a [u8]) -> Option<Self> {
        let (fixed, rest) = payload.split_at_checked(MSG_LEN)?;
        let fixed = MsgView::new(fixed);
        Some(Self {
            kind: fixed.kind()?,
            state: fixed.state()?,
            inode: fixed.inode()?,
            cookie: fixed.cookie()?,
            values: Index::parse(rest),
        })
    }

    /// The socket type alone; `None` if the fixed part is incomplete.
    pub fn kind_of(payload: &[u8]) -> Option<u8> {
        MsgView::new(payload.get(..MSG_LEN)?).kind()
    }

    /// The name as sent; `None` if the socket is not bound.
    pub fn name(&self) -> Option<&'a [u8]> {
        self.values.get(UNIX_DIAG_NAME)
    }

    /// The file that a path is bound to; `None` if the name is not a path, or if the file was
    /// not requested.
    pub fn vfs(&self) -> Option<Vfs<'a>> {
        self.values.get(UNIX_DIAG_VFS).map(Vfs::new)
    }

    /// Inode of the peer; `None` if there is none, 0 if it was closed.
    pub fn peer(&self) -> Option<u32> {
        u32_at(self.values.get(UNIX_DIAG_PEER)?, 0)
    }

    /// Inodes of the connections waiting to be accepted, 0 for one without an inode; `None` if
    /// the socket does not listen, or if they were not requested.
    pub fn icons(&self) -> Option<impl Iterator<Item = u32> + use<'a>> {
        let bytes = self.values.get(UNIX_DIAG_ICONS)?;
        Some(bytes.chunks_exact(4).filter_map(|word| u32_at(word, 0)))
    }

    /// The queues.
    pub fn rqlen(&self) -> Option<RqLen<'a>> {
        self.values.get(UNIX_DIAG_RQLEN).map(RqLen::new)
    }

    /// The memory report; `None` if not requested.
    pub fn sk_mem_info(&self) -> Option<SkMemInfo<'a>> {
        self.values.get(UNIX_DIAG_MEMINFO).map(SkMemInfo::new)
    }

    /// Directions shut down: 1 is receiving, 2 is sending.
    pub fn shutdown(&self) -> Option<u8> {
        u8_at(self.values.get(UNIX_DIAG_SHUTDOWN)?, 0)
    }

    /// Owner; `None` if not requested, or before Linux 5.3.
    pub fn uid(&self) -> Option<u32> {
        u32_at(self.values.get(UNIX_DIAG_UID)?, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr::put;

    #[test]
    fn the_request_is_what_its_view_reads() {
        let mut bytes = Vec::new();
        UnixDiagReq { states: 0x3fff, show: UDIAG_SHOW_NAME | UDIAG_SHOW_UID }.encode(&mut bytes);
        assert_eq!(bytes.len(), ReqView::LAYOUT.end());
        let view = ReqView::new(&bytes);
        assert_eq!((view.family(), view.protocol()), (Some(1), Some(0)));
        assert_eq!((view.states(), view.show()), (Some(0x3fff), Some(0x41)));
        assert_eq!((view.inode(), view.cookie()), (Some(0), Some(0)));
    }

    #[test]
    fn fixed_part_is_all_or_nothing() {
        let bytes: Vec<u8> = (0..40).collect();
        for len in 0..bytes.len() {
            let msg = UnixDiagMsg::new(&bytes[..len]);
            assert_eq!(msg.is_some(), len >= MSG_LEN, "len {len}");
            assert_eq!(UnixDiagMsg::kind_of(&bytes[..len]), msg.map(|msg| msg.kind), "len {len}");
        }
        let msg = UnixDiagMsg::new(&bytes).unwrap();
        assert_eq!((msg.kind, msg.state), (1, 2));
        assert_eq!(msg.inode, u32::from_ne_bytes([4, 5, 6, 7]));
        assert_eq!(msg.cookie as u32, u32::from_ne_bytes([8, 9, 10, 11]));
    }

    #[test]
    fn attributes_are_whole_or_absent() {
        let mut bytes = vec![0; MSG_LEN];
        let bare = bytes.clone();
        put(&mut bytes, UNIX_DIAG_NAME, b"\0abs\0tract");
        put(&mut bytes, UNIX_DIAG_NAME, b"second");
        put(&mut bytes, UNIX_DIAG_PEER, &[1, 2, 3]);
        put(&mut bytes, UNIX_DIAG_ICONS, &[7, 0, 0, 0, 8, 0, 0, 0, 9]);
        put(&mut bytes, UNIX_DIAG_VFS, &[1, 0, 0, 0, 2]);
        put(&mut bytes, UNIX_DIAG_RQLEN, &[3, 0, 0, 0, 4, 0, 0, 0, 5]);
        put(&mut bytes, UNIX_DIAG_SHUTDOWN, &[3]);
        put(&mut bytes, 4000, b"unknown");
        let msg = UnixDiagMsg::new(&bytes).unwrap();
        assert_eq!(msg.name(), Some(&b"\0abs\0tract"[..]));
        assert_eq!((msg.peer(), msg.uid(), msg.shutdown()), (None, None, Some(3)));
        let seven = u32::from_ne_bytes([7, 0, 0, 0]);
        assert_eq!(msg.icons().unwrap().next(), Some(seven));
        assert_eq!(msg.icons().unwrap().count(), 2, "a part of a word is no inode");
        assert!(msg.vfs().unwrap().inode().is_some() && msg.vfs().unwrap().dev().is_none());
        assert!(msg.rqlen().unwrap().wqueue().is_some() && msg.sk_mem_info().is_none());
        let bare = UnixDiagMsg::new(&bare).unwrap();
        assert!(bare.name().is_none() && bare.icons().is_none() && bare.rqlen().is_none());
    }

    #[test]
    fn any_bytes_are_read() {
        let mut random = 1_u64;
        // Miri is a thousand times slower.
        for round in 0..if cfg!(miri) { 200 } else { 20_000 } {
            let bytes: Vec<u8> = (0..round % 90)
                .map(|_| {
                    // xorshift
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    (random >> 32) as u8 & if random & 1 == 0 { 0x0f } else { 0xff }
                })
                .collect();
            if let Some(msg) = UnixDiagMsg::new(&bytes) {
                let icons = msg.icons().map_or(0, Iterator::count);
                assert!(4 * icons <= bytes.len());
                let _ = (msg.name(), msg.peer(), msg.uid(), msg.shutdown(), msg.sk_mem_info());
            }
        }
    }
}
