//! `struct smc_diag_msg` and its attributes: one SMC socket, and the request
//! for all of them.
//!
//! The fixed part must be complete; the first attribute of a kind wins and unknown kinds are
//! skipped.  Addresses and ports are those of the TCP socket that the kernel keeps beneath
//! each SMC socket.
//!
//! Source: linux/smc_diag.h, Linux 7.3.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use crate::attr::Index;
use crate::bytes::u8_at;
use crate::layout::{constants, view, whole};

constants! {
    /// Kinds of attributes in a reply; a request asks for kind *n* by bit *n* - 1.
    SMC_ATTRIBUTES in "linux/smc_diag.h": u16 {
        /// The connection: its buffers, and the positions of both ends in them.
        SMC_DIAG_CONNINFO = 1;
        /// The link group of a connection over RDMA (SMC-R).
        SMC_DIAG_LGRINFO = 2;
        /// Directions shut down; always sent.
        SMC_DIAG_SHUTDOWN = 3;
        /// The buffers of a connection over shared memory (SMC-D).
        SMC_DIAG_DMBINFO = 4;
        /// Why the socket fell back to TCP; always sent, since Linux 4.19.
        SMC_DIAG_FALLBACK = 5;
    }
}

constants! {
    /// The transport of a connection.
    SMC_MODES in "linux/smc_diag.h": u8 {
        /// Remote direct memory access.
        SMC_DIAG_MODE_SMCR = 0;
        /// Plain TCP: the two ends did not agree on SMC.
        SMC_DIAG_MODE_FALLBACK_TCP = 1;
        /// Shared memory through an ISM device.
        SMC_DIAG_MODE_SMCD = 2;
    }
}

view! {
    /// The bytes of a request.
    SmcDiagReqView = "struct smc_diag_req" in "linux/smc_diag.h" {
        /// Address family: 43.
        family: u8 @ 0 = "diag_family";
        /// Padding.
        pad: [u8; 2] @ 1 = "pad";
        /// Requested attributes.
        ext: u8 @ 3 = "diag_ext";
        /// Requested socket; the kernel ignores it.
        id: [u8; 48] @ 4 = "id";
    }
}

view! {
    /// The bytes of the fixed part of a message.
    SmcDiagMsgView = "struct smc_diag_msg" in "linux/smc_diag.h" {
        /// Address family.
        family: u8 @ 0 = "diag_family";
        /// State.
        state: u8 @ 1 = "diag_state";
        /// The transport, `SMC_DIAG_MODE_*`.
        mode: u8 @ 2 = "diag_mode";
        /// Directions shut down; the kernel sends an attribute instead.
        shutdown: u8 @ 3 = "diag_shutdown";
        /// Source port.
        sport: be16 @ 4 = "id.idiag_sport";
        /// Destination port.
        dport: be16 @ 6 = "id.idiag_dport";
        /// Source address.
        src: [u8; 16] @ 8 = "id.idiag_src";
        /// Destination address.
        dst: [u8; 16] @ 24 = "id.idiag_dst";
        /// Interface.
        ifindex: u32 @ 40 = "id.idiag_if";
        /// Cookie, low word first.
        cookie: cookie @ 44 = "id.idiag_cookie";
        /// Owner.
        uid: u32 @ 52 = "diag_uid";
        /// Inode.
        inode: u64 @ 56 = "diag_inode";
    }
}

view! {
    /// The connection.  A cursor is a position in a ring buffer: an offset in bytes (`count`)
    /// and the number of times the buffer has wrapped (`wrap`).
    SmcConnInfo = "struct smc_diag_conninfo" in "linux/smc_diag.h" {
        /// Id of the connection.
        token: u32 @ 0 = "token";
        /// Size of the send buffer, in bytes.
        sndbuf_size: u32 @ 4 = "sndbuf_size";
        /// Size of the receive buffer, in bytes.
        rmbe_size: u32 @ 8 = "rmbe_size";
        /// Size of the peer's receive buffer, in bytes.
        peer_rmbe_size: u32 @ 12 = "peer_rmbe_size";
        /// Padding that the kernel leaves unset.
        rx_prod_reserved: u16 @ 16 = "rx_prod.reserved";
        /// Wraps of the peer's write cursor in our receive buffer.
        rx_prod_wrap: u16 @ 18 = "rx_prod.wrap";
        /// The peer's write cursor in our receive buffer.
        rx_prod: u32 @ 20 = "rx_prod.count";
        /// Padding that the kernel leaves unset.
        rx_cons_reserved: u16 @ 24 = "rx_cons.reserved";
        /// Wraps of our read cursor in our receive buffer.
        rx_cons_wrap: u16 @ 26 = "rx_cons.wrap";
        /// Our read cursor in our receive buffer.
        rx_cons: u32 @ 28 = "rx_cons.count";
        /// Padding that the kernel leaves unset.
        tx_prod_reserved: u16 @ 32 = "tx_prod.reserved";
        /// Wraps of our write cursor in the peer's buffer.
        tx_prod_wrap: u16 @ 34 = "tx_prod.wrap";
        /// Our write cursor in the peer's buffer.
        tx_prod: u32 @ 36 = "tx_prod.count";
        /// Padding that the kernel leaves unset.
        tx_cons_reserved: u16 @ 40 = "tx_cons.reserved";
        /// Wraps of the peer's read cursor in its buffer.
        tx_cons_wrap: u16 @ 42 = "tx_cons.wrap";
        /// The peer's read cursor in its buffer.
        tx_cons: u32 @ 44 = "tx_cons.count";
        /// The peer's flags as a producer.
        rx_prod_flags: u8 @ 48 = "rx_prod_flags";
        /// The peer's flags about the connection state.
        rx_conn_state_flags: u8 @ 49 = "rx_conn_state_flags";
        /// Our flags as a producer.
        tx_prod_flags: u8 @ 50 = "tx_prod_flags";
        /// Our flags about the connection state.
        tx_conn_state_flags: u8 @ 51 = "tx_conn_state_flags";
        /// Padding that the kernel leaves unset.
        tx_prep_reserved: u16 @ 52 = "tx_prep.reserved";
        /// Wraps of the cursor of data put into the send buffer.
        tx_prep_wrap: u16 @ 54 = "tx_prep.wrap";
        /// Cursor of data put into the send buffer.
        tx_prep: u32 @ 56 = "tx_prep.count";
        /// Padding that the kernel leaves unset.
        tx_sent_reserved: u16 @ 60 = "tx_sent.reserved";
        /// Wraps of the cursor of data sent from the send buffer.
        tx_sent_wrap: u16 @ 62 = "tx_sent.wrap";
        /// Cursor of data sent from the send buffer.
        tx_sent: u32 @ 64 = "tx_sent.count";
        /// Padding that the kernel leaves unset.
        tx_fin_reserved: u16 @ 68 = "tx_fin.reserved";
        /// Wraps of the cursor of data confirmed as sent.
        tx_fin_wrap: u16 @ 70 = "tx_fin.wrap";
        /// Cursor of data confirmed as sent.
        tx_fin: u32 @ 72 = "tx_fin.count";
    }
}

view! {
    /// An RDMA link, the first member of a link group.
    SmcLinkInfo = "struct smc_diag_linkinfo" in "linux/smc_diag.h" {
        /// Id of the link.
        link_id: u8 @ 0 = "link_id";
        /// Name of the device, NUL-terminated.
        ibname: [u8; 64] @ 1 = "ibname";
        /// Port of the device.
        ibport: u8 @ 65 = "ibport";
        /// GID of this end, as NUL-terminated text.
        gid: [u8; 40] @ 66 = "gid";
        /// GID of the peer, as NUL-terminated text.
        peer_gid: [u8; 40] @ 106 = "peer_gid";
    }
}

impl<'a> SmcLinkInfo<'a> {
    /// The text of a member, without its NUL.
    fn text<const N: usize>(self, member: &str, whole: Option<[u8; N]>) -> Option<&'a [u8]> {
        whole?;
        let at = Self::LAYOUT.offset(member);
        self.bytes().get(at..at + N)?.split(|byte| *byte == 0).next()
    }

    /// Name of the device.
    pub fn ib_name(self) -> Option<&'a [u8]> {
        self.text("ibname", self.ibname())
    }

    /// GID of this end.
    pub fn gid_text(self) -> Option<&'a [u8]> {
        self.text("gid", self.gid())
    }

    /// GID of the peer.
    pub fn peer_gid_text(self) -> Option<&'a [u8]> {
        self.text("peer_gid", self.peer_gid())
    }
}

view! {
    /// A link group of SMC-R.
    SmcLgrInfo = "struct smc_diag_lgrinfo" in "linux/smc_diag.h" {
        /// Its first link: see [`SmcLinkInfo`].
        lnk: [u8; 146] @ 0 = "lnk";
        /// Role of this end: 0 client, 1 server.
        role: u8 @ 146 = "role";
    }
}

view! {
    /// Why the socket fell back to TCP.
    SmcFallback = "struct smc_diag_fallback" in "linux/smc_diag.h" {
        /// Reason code of this end; zero if it has none.
        reason: u32 @ 0 = "reason";
        /// Reason code that the peer sent; zero if it sent none.
        peer_diagnosis: u32 @ 4 = "peer_diagnosis";
    }
}

view! {
    /// The buffers of a connection over shared memory.
    SmcdDmbInfo = "struct smcd_diag_dmbinfo" in "linux/smc_diag.h" {
        /// Id of the link.
        linkid: u32 @ 0 = "linkid";
        /// GID of the peer's device.
        peer_gid: u64 @ 8 = "peer_gid";
        /// GID of our device.
        my_gid: u64 @ 16 = "my_gid";
        /// Token of our buffer.
        token: u64 @ 24 = "token";
        /// Token of the peer's buffer.
        peer_token: u64 @ 32 = "peer_token";
        /// High half of the peer's GID; since Linux 6.8.
        peer_gid_ext: u64 @ 40 = "peer_gid_ext";
        /// High half of our GID; since Linux 6.8.
        my_gid_ext: u64 @ 48 = "my_gid_ext";
    }
}

/// The request bit of an attribute.
const fn ext(kind: u16) -> u8 {
    1 << (kind - 1)
}

/// Requests the connection.
pub const EXT_CONNINFO: u8 = ext(SMC_DIAG_CONNINFO);
/// Requests the link group.
pub const EXT_LGRINFO: u8 = ext(SMC_DIAG_LGRINFO);
/// Requests the buffers of SMC-D.
pub const EXT_DMBINFO: u8 = ext(SMC_DIAG_DMBINFO);

/// Length of the fixed part of a message.
pub const MSG_LEN: usize = SmcDiagMsgView::LAYOUT.end();
/// Kinds that are indexed: 1 to 5.
const KINDS: usize = SMC_DIAG_FALLBACK as usize + 1;

/// One SMC socket.
#[derive(Clone, Copy, Debug)]
pub struct SmcDiagMsg<'a> {
    fixed: &'a [u8; MSG_LEN],
    attrs: Index<'a, KINDS>,
}

impl<'a> SmcDiagMsg<'a> {
    /// Wraps a message's payload; `None` if the fixed part is incomplete.
    pub fn new(payload: &'a [u8]) -> Option<Self> {
        let (fixed, rest) = payload.split_first_chunk()?;
        Some(Self { fixed, attrs: Index::parse(rest) })
    }

    whole! {
        SmcDiagMsgView of fixed:
        /// Address family: 43; 2 or 10 for a socket created as an inet socket with the
        /// protocol SMC.
        family: u8;
        /// State, in SMC's own numbering.
        state: u8;
        /// The transport, `SMC_DIAG_MODE_*`.
        mode: u8;
        /// Local port, in host order.
        sport: u16;
        /// Remote port, in host order.
        dport: u16;
        /// Local address as sent: IPv4 in the first four bytes.
        src: [u8; 16];
        /// Remote address as sent: IPv4 in the first four bytes.
        dst: [u8; 16];
        /// Interface that the socket is bound to; 0 for none.
        ifindex: u32;
        /// The socket's cookie.
        cookie: u64;
        /// Owner, as a uid.
        uid: u32;
        /// Inode; 0 if no process holds the socket.
        inode: u64;
    }

    /// Directions shut down: 1 is receiving, 2 is sending.
    pub fn shutdown(&self) -> Option<u8> {
        u8_at(self.attrs.get(SMC_DIAG_SHUTDOWN)?, 0)
    }

    /// The connection; `None` if there is no SMC connection.
    pub fn conn_info(&self) -> Option<SmcConnInfo<'a>> {
        self.attrs.get(SMC_DIAG_CONNINFO).map(SmcConnInfo::new)
    }

    /// The link group of SMC-R.
    pub fn lgr_info(&self) -> Option<SmcLgrInfo<'a>> {
        self.attrs.get(SMC_DIAG_LGRINFO).map(SmcLgrInfo::new)
    }

    /// The first link of the link group.
    pub fn link_info(&self) -> Option<SmcLinkInfo<'a>> {
        self.attrs.get(SMC_DIAG_LGRINFO).map(SmcLinkInfo::new)
    }

    /// The buffers of SMC-D.
    pub fn dmb_info(&self) -> Option<SmcdDmbInfo<'a>> {
        self.attrs.get(SMC_DIAG_DMBINFO).map(SmcdDmbInfo::new)
    }

    /// Why the socket fell back to TCP, if it did.
    pub fn fallback(&self) -> Option<SmcFallback<'a>> {
        self.attrs.get(SMC_DIAG_FALLBACK).map(SmcFallback::new)
    }
}

/// `struct smc_diag_req`, a request for all sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SmcDiagReq {
    /// Address family: 43.
    pub family: u8,
    /// Requested attributes, `EXT_*`.
    pub ext: u8,
}

impl SmcDiagReq {
    /// Appends the request as the kernel reads it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.family, 0, 0, self.ext]);
        out.extend_from_slice(&[0; 48]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr::put;

    #[test]
    fn fixed_part_is_all_or_nothing_and_the_first_of_a_kind_wins() {
        let mut bytes: Vec<u8> = (0..64).collect();
        for len in 0..bytes.len() {
            assert!(SmcDiagMsg::new(&bytes[..len]).is_none(), "len {len}");
        }
        put(&mut bytes, 900, b"unknown");
        put(&mut bytes, SMC_DIAG_SHUTDOWN, &[3]);
        put(&mut bytes, SMC_DIAG_SHUTDOWN, &[1]);
        put(&mut bytes, SMC_DIAG_FALLBACK, &7_u32.to_ne_bytes());
        put(&mut bytes, SMC_DIAG_LGRINFO, &[5; 147]);
        let msg = SmcDiagMsg::new(&bytes).unwrap();
        assert_eq!((msg.family(), msg.state(), msg.mode()), (0, 1, 2));
        assert_eq!((msg.sport(), msg.dport()), (0x0405, 0x0607));
        assert_eq!((msg.src()[0], msg.dst()[15]), (8, 39));
        assert_eq!(msg.cookie() as u32, u32::from_ne_bytes([44, 45, 46, 47]));
        assert_eq!(msg.inode(), u64::from_ne_bytes([56, 57, 58, 59, 60, 61, 62, 63]));
        assert_eq!(msg.shutdown(), Some(3));
        let fallback = msg.fallback().unwrap();
        assert_eq!((fallback.reason(), fallback.peer_diagnosis()), (Some(7), None));
        assert_eq!(msg.link_info().unwrap().peer_gid(), Some([5; 40]));
        assert_eq!(msg.lgr_info().unwrap().role(), Some(5));
        assert!(msg.conn_info().is_none() && msg.dmb_info().is_none());
    }

    #[test]
    fn a_request_reads_back() {
        let mut bytes = Vec::new();
        SmcDiagReq { family: 43, ext: EXT_CONNINFO | EXT_LGRINFO | EXT_DMBINFO }.encode(&mut bytes);
        assert_eq!(bytes.len(), SmcDiagReqView::LAYOUT.end());
        let view = SmcDiagReqView::new(&bytes);
        assert_eq!((view.family(), view.ext(), view.id()), (Some(43), Some(0b1011), Some([0; 48])));
    }
}
