//! Requests for inet sockets.
//!
//! Source: linux/inet_diag.h, Linux 7.3.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use crate::attr::{self, NLA_F_NESTED};
use crate::bpf_storage::SK_DIAG_BPF_STORAGE_REQ_MAP_FD;
use crate::inet_diag::{
    INET_DIAG_CONG, INET_DIAG_INFO, INET_DIAG_MEMINFO, INET_DIAG_SHUTDOWN, INET_DIAG_SKMEMINFO,
    INET_DIAG_TCLASS, INET_DIAG_TOS, INET_DIAG_VEGASINFO,
};
use crate::layout::{constants, view};

constants! {
    /// Kinds of attributes in a request.
    REQUEST_ATTRIBUTES in "linux/inet_diag.h": u16 {
        /// A filter program.
        INET_DIAG_REQ_BYTECODE = 1;
        /// BPF maps whose values are requested.
        INET_DIAG_REQ_SK_BPF_STORAGES = 2;
        /// An IP protocol that does not fit a byte.
        INET_DIAG_REQ_PROTOCOL = 3;
    }
}

view! {
    /// The bytes of a request.
    ReqV2View = "struct inet_diag_req_v2" in "linux/inet_diag.h" {
        /// Address family.
        family: u8 @ 0 = "sdiag_family";
        /// IP protocol.
        protocol: u8 @ 1 = "sdiag_protocol";
        /// Requested attributes.
        ext: u8 @ 2 = "idiag_ext";
        /// Padding.
        pad: u8 @ 3 = "pad";
        /// Requested states.
        states: u32 @ 4 = "idiag_states";
        /// Requested socket.
        id: [u8; 48] @ 8 = "id";
    }
}

view! {
    /// The bytes of a request in the older format.
    ReqView = "struct inet_diag_req" in "linux/inet_diag.h" {
        /// Address family.
        family: u8 @ 0 = "idiag_family";
        /// Length of the source address.
        src_len: u8 @ 1 = "idiag_src_len";
        /// Length of the destination address.
        dst_len: u8 @ 2 = "idiag_dst_len";
        /// Requested attributes.
        ext: u8 @ 3 = "idiag_ext";
        /// Requested socket.
        id: [u8; 48] @ 4 = "id";
        /// Requested states.
        states: u32 @ 52 = "idiag_states";
        /// Requested tables; unused.
        dbs: u32 @ 56 = "idiag_dbs";
    }
}

/// The request bit of an attribute; only kinds 1 to 8 have one.
const fn ext(kind: u16) -> u8 {
    1 << (kind - 1)
}

/// Requests the memory report of older kernels.
pub const EXT_MEMINFO: u8 = ext(INET_DIAG_MEMINFO);
/// Requests `INET_DIAG_INFO`.
pub const EXT_INFO: u8 = ext(INET_DIAG_INFO);
/// Requests the data of the congestion control algorithm.
pub const EXT_VEGASINFO: u8 = ext(INET_DIAG_VEGASINFO);
/// Requests the name of the congestion control algorithm.
pub const EXT_CONG: u8 = ext(INET_DIAG_CONG);
/// Requests the type of service.
pub const EXT_TOS: u8 = ext(INET_DIAG_TOS);
/// Requests the traffic class; the kernel then also sends the class id.
pub const EXT_TCLASS: u8 = ext(INET_DIAG_TCLASS);
/// Requests the memory report.
pub const EXT_SKMEMINFO: u8 = ext(INET_DIAG_SKMEMINFO);
/// Requests the directions shut down; the kernel sends them even without this bit.
pub const EXT_SHUTDOWN: u8 = ext(INET_DIAG_SHUTDOWN);

/// A socket's identity; all zeros match any socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SockId {
    /// Local port, in host order.
    pub sport: u16,
    /// Remote port, in host order.
    pub dport: u16,
    /// Local address: IPv4 in the first four bytes.
    pub src: [u8; 16],
    /// Remote address: IPv4 in the first four bytes.
    pub dst: [u8; 16],
    /// Interface.
    pub ifindex: u32,
    /// The socket's cookie; all ones for none.
    pub cookie: u64,
}

impl SockId {
    /// Appends the identity as the kernel reads it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.sport.to_be_bytes());
        out.extend_from_slice(&self.dport.to_be_bytes());
        out.extend_from_slice(&self.src);
        out.extend_from_slice(&self.dst);
        out.extend_from_slice(&self.ifindex.to_ne_bytes());
        out.extend_from_slice(&(self.cookie as u32).to_ne_bytes());
        out.extend_from_slice(&((self.cookie >> 32) as u32).to_ne_bytes());
    }
}

/// `struct inet_diag_req_v2`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InetDiagReqV2 {
    /// Address family.
    pub family: u8,
    /// Low byte of the IP protocol.
    pub protocol: u8,
    /// Requested attributes, `EXT_*`.
    pub ext: u8,
    /// Padding; for raw sockets the raw protocol.
    pub raw_or_pad: u8,
    /// Requested states, one bit each.
    pub states: u32,
    /// Requested socket.
    pub id: SockId,
}

impl InetDiagReqV2 {
    /// Appends the request as the kernel reads it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.family, self.protocol, self.ext, self.raw_or_pad]);
        out.extend_from_slice(&self.states.to_ne_bytes());
        self.id.encode(out);
    }
}

/// `struct inet_diag_req`, the older request, which lists both address families in one dump.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InetDiagReq {
    /// Address family.
    pub family: u8,
    /// Length of the source address; unused.
    pub src_len: u8,
    /// Length of the destination address; unused.
    pub dst_len: u8,
    /// Requested attributes, `EXT_*`.
    pub ext: u8,
    /// Requested socket.
    pub id: SockId,
    /// Requested states, one bit each.
    pub states: u32,
    /// Unused.
    pub dbs: u32,
}

impl InetDiagReq {
    /// Appends the request as the kernel reads it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.family, self.src_len, self.dst_len, self.ext]);
        self.id.encode(out);
        out.extend_from_slice(&self.states.to_ne_bytes());
        out.extend_from_slice(&self.dbs.to_ne_bytes());
    }
}

/// Appends the attribute that requests the values of these BPF maps, each an open file
/// descriptor.  An empty list requests all maps.
pub fn put_storages(out: &mut Vec<u8>, maps: impl IntoIterator<Item = i32>) {
    let mut wanted = Vec::new();
    for fd in maps {
        attr::put(&mut wanted, SK_DIAG_BPF_STORAGE_REQ_MAP_FD, &fd.to_ne_bytes());
    }
    attr::put(out, INET_DIAG_REQ_SK_BPF_STORAGES | NLA_F_NESTED, &wanted);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inet_diag::SockIdView;

    const ID: SockId =
        SockId { sport: 80, dport: 1024, src: [1; 16], dst: [2; 16], ifindex: 3, cookie: 5 << 32 | 4 };

    fn id(bytes: Option<[u8; 48]>) -> SockId {
        let bytes = bytes.unwrap();
        let view = SockIdView::new(&bytes);
        SockId {
            sport: view.sport().unwrap(),
            dport: view.dport().unwrap(),
            src: view.src().unwrap(),
            dst: view.dst().unwrap(),
            ifindex: view.ifindex().unwrap(),
            cookie: view.cookie().unwrap(),
        }
    }

    /// `tests/uapi.rs` checks the views' offsets against the headers, so reading through them
    /// checks the encoder.
    #[test]
    fn what_is_encoded_is_read_back() {
        let request = InetDiagReqV2 { family: 2, protocol: 6, ext: 7, raw_or_pad: 8, states: 9, id: ID };
        let mut bytes = vec![0xee];
        request.encode(&mut bytes);
        let view = ReqV2View::new(&bytes[1..]);
        let read = InetDiagReqV2 {
            family: view.family().unwrap(),
            protocol: view.protocol().unwrap(),
            ext: view.ext().unwrap(),
            raw_or_pad: view.pad().unwrap(),
            states: view.states().unwrap(),
            id: id(view.id()),
        };
        assert_eq!((bytes.len() - 1, read), (ReqV2View::LAYOUT.end(), request));

        let request = InetDiagReq { family: 2, src_len: 3, dst_len: 4, ext: 5, id: ID, states: 6, dbs: 7 };
        let mut bytes = vec![0xee];
        request.encode(&mut bytes);
        let view = ReqView::new(&bytes[1..]);
        let read = InetDiagReq {
            family: view.family().unwrap(),
            src_len: view.src_len().unwrap(),
            dst_len: view.dst_len().unwrap(),
            ext: view.ext().unwrap(),
            id: id(view.id()),
            states: view.states().unwrap(),
            dbs: view.dbs().unwrap(),
        };
        assert_eq!((bytes.len() - 1, read), (ReqView::LAYOUT.end(), request));
    }

    #[test]
    fn an_ext_bit_is_one_less_than_its_attribute() {
        assert_eq!((EXT_MEMINFO, EXT_INFO, EXT_TCLASS, EXT_SHUTDOWN), (0x01, 0x02, 0x20, 0x80));
    }

    #[test]
    fn requests_for_storages_are_those_of_the_reference() {
        let mut out = Vec::new();
        put_storages(&mut out, []);
        assert_eq!(out, [4, 0, 2, 0x80]);
        out.clear();
        put_storages(&mut out, [3, 4]);
        assert_eq!(out, [20, 0, 2, 0x80, 8, 0, 1, 0, 3, 0, 0, 0, 8, 0, 1, 0, 4, 0, 0, 0]);
    }
}
