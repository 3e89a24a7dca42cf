//! SMC sockets: TCP sockets that transfer data through shared memory if both ends support it
//! (RDMA, or a device of the machine), and otherwise through TCP.
//!
//! A reply does not tell whether its addresses are IPv4 or IPv6.  An IPv4 address occupies the
//! first of four words, so a nonzero value in the other three words of either end means IPv6.
//! If both ends are all zero, the family is unknown and the socket has no addresses.  (An IPv6
//! address whose last three words are zero would be taken for IPv4, but no host has such an
//! address.)  Sockets that were created as inet sockets with the protocol SMC do report their
//! family.
//!
//! Source: linux/smc_diag.h; af_smc(7), smcss(8).

use sockdiag_wire::smc_diag::SmcDiagMsg;
use sockdiag_wire::socket::{AF_INET, AF_INET6};

use super::families::Family;
use super::socket::{Addr, Detail, Endpoint, Record, Socket, Timer, v4};

/// The details that only SMC sockets report.
#[derive(Clone, Copy, Debug)]
pub struct SmcSocket<'a>(pub SmcDiagMsg<'a>);

/// Decodes a reply; `None` if its fixed part is incomplete.
pub(super) fn decode(record: Record<'_>) -> Option<Socket<'_>> {
    let msg = SmcDiagMsg::new(record.bytes)?;
    let (local, remote) = addresses(&msg);
    Some(Socket {
        origin: record.origin,
        bytes: record.bytes,
        family: Family::Smc,
        protocol: 0,
        state: msg.state(),
        recv_q: 0,
        send_q: 0,
        local: Endpoint { addr: local, port: msg.sport().into() },
        remote: Endpoint { addr: remote, port: msg.dport().into() },
        ifindex: msg.ifindex(),
        uid: msg.uid(),
        // The kernel's inodes of sockets have 32 bits; a larger number would be invalid.
        inode: u32::try_from(msg.inode()).unwrap_or(0),
        cookie: msg.cookie(),
        timer: Timer::default(),
        detail: Detail::Smc(SmcSocket(msg)),
    })
}

/// The addresses of the two ends.
fn addresses(msg: &SmcDiagMsg<'_>) -> (Addr, Addr) {
    let ends = [msg.src(), msg.dst()];
    let [local, remote] = match msg.family() {
        AF_INET => ends.map(v4),
        AF_INET6 => ends.map(Addr::V6),
        _ if ends == [[0; 16]; 2] => [Addr::None; 2],
        _ if ends.iter().any(|end| end.iter().skip(4).any(|byte| *byte != 0)) => ends.map(Addr::V6),
        _ => ends.map(v4),
    };
    (local, remote)
}

#[cfg(test)]
mod tests {
    use super::super::socket::{MessageKind, Origin, SourceKind};
    use super::super::tables::Table;
    use super::*;

    const ORIGIN: Origin = Origin::of(Table::Smc, SourceKind::Kernel);

    fn ends(family: u8, src: &[u8], dst: &[u8]) -> (Addr, Addr) {
        let mut bytes = vec![0; 64];
        bytes[0] = family;
        bytes[8..8 + src.len()].copy_from_slice(src);
        bytes[24..24 + dst.len()].copy_from_slice(dst);
        let socket = Socket::decode(Record { origin: ORIGIN, bytes: &bytes }).expect("a whole reply");
        (socket.local.addr, socket.remote.addr)
    }

    #[test]
    fn what_fills_an_address_tells_its_family() {
        let loopback6 = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1];
        let (any4, any6) = (Addr::V4([0; 4]), Addr::V6([0; 16]));
        assert_eq!(ends(43, &[127, 0, 0, 1], &[]), (Addr::V4([127, 0, 0, 1]), any4));
        assert_eq!(ends(43, &loopback6, &[]), (Addr::V6(loopback6), any6));
        assert_eq!(ends(43, &mapped, &mapped), (Addr::V6(mapped), Addr::V6(mapped)));
        assert_eq!(ends(43, &[], &loopback6), (any6, Addr::V6(loopback6)));
        assert_eq!(ends(43, &[], &[]), (Addr::None, Addr::None));
        assert_eq!((ends(2, &[], &[]), ends(10, &[], &[])), ((any4, any4), (any6, any6)));
    }

    #[test]
    fn a_reply_is_a_socket_if_it_is_whole() {
        let mut bytes: Vec<u8> = (1..65).collect();
        bytes[60..].fill(0);
        assert!(Socket::decode(Record { origin: ORIGIN, bytes: &bytes[..63] }).is_none());
        let socket = Socket::decode(Record { origin: ORIGIN, bytes: &bytes }).expect("a whole reply");
        assert_eq!((socket.message_kind(), socket.state, socket.family), (MessageKind::Smc, 2, Family::Smc));
        assert_eq!((socket.local.port, socket.remote.port), (0x0506, 0x0708));
        assert_eq!((socket.uid, socket.inode), (0x3837_3635, 0x3c3b_3a39));
        bytes[60] = 1;
        let socket = Socket::decode(Record { origin: ORIGIN, bytes: &bytes }).expect("a whole reply");
        assert_eq!(socket.inode, 0, "an inode of more than 32 bits is no inode");
    }
}
