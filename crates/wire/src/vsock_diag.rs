//! `struct vsock_diag_msg`: one vsock socket, and the request for all of them.
//!
//! A message has only a fixed part, which must be complete.  It has no attributes, and members
//! that a later kernel might append are ignored.
//!
//! Source: linux/vm_sockets_diag.h, linux/vm_sockets.h, Linux 7.3.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use crate::layout::{constants, view, whole};

constants! {
    /// Numbers of linux/vm_sockets.h.
    VSOCK_CONSTANTS in "linux/vm_sockets.h": u32 {
        /// Any context id; listeners use it.
        VMADDR_CID_ANY = 0xffff_ffff;
        /// No port assigned.
        VMADDR_PORT_ANY = 0xffff_ffff;
    }
}

view! {
    /// The bytes of a request.
    VsockDiagReqView = "struct vsock_diag_req" in "linux/vm_sockets_diag.h" {
        /// Address family.
        family: u8 @ 0 = "sdiag_family";
        /// Always 0.
        protocol: u8 @ 1 = "sdiag_protocol";
        /// Padding.
        pad: u16 @ 2 = "pad";
        /// Requested states.
        states: u32 @ 4 = "vdiag_states";
        /// Always 0.
        ino: u32 @ 8 = "vdiag_ino";
        /// Always 0.
        show: u32 @ 12 = "vdiag_show";
        /// Always 0.
        cookie: cookie @ 16 = "vdiag_cookie";
    }
}

view! {
    /// The bytes of a message.
    VsockDiagMsgView = "struct vsock_diag_msg" in "linux/vm_sockets_diag.h" {
        /// Address family.
        family: u8 @ 0 = "vdiag_family";
        /// Type of the socket.
        kind: u8 @ 1 = "vdiag_type";
        /// State.
        state: u8 @ 2 = "vdiag_state";
        /// Directions shut down.
        shutdown: u8 @ 3 = "vdiag_shutdown";
        /// Context id of this end.
        src_cid: u32 @ 4 = "vdiag_src_cid";
        /// Port of this end.
        src_port: u32 @ 8 = "vdiag_src_port";
        /// Context id of the other end.
        dst_cid: u32 @ 12 = "vdiag_dst_cid";
        /// Port of the other end.
        dst_port: u32 @ 16 = "vdiag_dst_port";
        /// Inode.
        ino: u32 @ 20 = "vdiag_ino";
        /// Cookie, low word first.
        cookie: cookie @ 24 = "vdiag_cookie";
    }
}

/// Length of a message.
pub const MSG_LEN: usize = VsockDiagMsgView::LAYOUT.end();

/// One vsock socket.
#[derive(Clone, Copy, Debug)]
pub struct VsockDiagMsg<'a>(&'a [u8; MSG_LEN]);

impl<'a> VsockDiagMsg<'a> {
    /// Wraps a message's payload; `None` if it is incomplete.
    #[inline]
    pub fn new(payload: &'a [u8]) -> Option<Self> {
        payload.first_chunk().map(Self)
    }

    whole! {
        VsockDiagMsgView of 0:
        /// Address family: 40.
        family: u8;
        /// Socket type: 1 is stream, 2 is datagram, 5 is sequenced packets.
        kind: u8;
        /// State, in TCP's numbering.
        state: u8;
        /// Directions shut down: 1 is receiving, 2 is sending.
        shutdown: u8;
        /// Context id of this end; [`VMADDR_CID_ANY`] for any.
        src_cid: u32;
        /// Port of this end; [`VMADDR_PORT_ANY`] if none is assigned yet.
        src_port: u32;
        /// Context id of the other end; [`VMADDR_CID_ANY`] for none.
        dst_cid: u32;
        /// Port of the other end; [`VMADDR_PORT_ANY`] for none.
        dst_port: u32;
        /// Inode; 0 if no process holds the socket.
        ino: u32;
        /// The socket's cookie.
        cookie: u64;
    }
}

/// `struct vsock_diag_req`; the members not listed here must be zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VsockDiagReq {
    /// Address family: 40.
    pub family: u8,
    /// Requested states: bit *n* for state *n*.
    pub states: u32,
}

impl VsockDiagReq {
    /// Appends the request as the kernel reads it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.family, 0, 0, 0]);
        out.extend_from_slice(&self.states.to_ne_bytes());
        out.extend_from_slice(&[0; 16]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_whole_or_none() {
        let bytes: Vec<u8> = (0..40).collect();
        for len in 0..bytes.len() {
            assert_eq!(VsockDiagMsg::new(&bytes[..len]).is_some(), len >= 32, "len {len}");
        }
        let msg = VsockDiagMsg::new(&bytes).unwrap();
        assert_eq!((msg.family(), msg.kind(), msg.state(), msg.shutdown()), (0, 1, 2, 3));
        assert_eq!(msg.src_cid(), u32::from_ne_bytes([4, 5, 6, 7]));
        assert_eq!(msg.dst_port(), u32::from_ne_bytes([16, 17, 18, 19]));
        assert_eq!(msg.cookie() as u32, u32::from_ne_bytes([24, 25, 26, 27]));
    }

    #[test]
    fn a_request_reads_back() {
        let mut bytes = Vec::new();
        VsockDiagReq { family: 40, states: 0x3b37 }.encode(&mut bytes);
        assert_eq!(bytes.len(), VsockDiagReqView::LAYOUT.end());
        let view = VsockDiagReqView::new(&bytes);
        assert_eq!((view.family(), view.states(), view.show()), (Some(40), Some(0x3b37), Some(0)));
    }
}
