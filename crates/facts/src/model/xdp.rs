//! XDP sockets.
//!
//! They are always in the state CLOSE, and their only endpoint is a queue of an interface.
//!
//! Source: linux/xdp_diag.h.

use sockdiag_wire::xdp_diag::{XdpDiagMsg, XdpInfo};

use super::families::Family;
use super::socket::{Addr, Detail, Endpoint, Record, Socket, Timer};
use super::states::State;

/// The details that only XDP sockets report.
#[derive(Clone, Copy, Debug)]
pub struct XdpSocket<'a>(pub XdpDiagMsg<'a>);

impl XdpSocket<'_> {
    /// The queue that it is bound to; `None` if it is not bound.
    pub fn queue_id(&self) -> Option<u32> {
        let info = self.0.info().filter(|info| info.ifindex().is_some_and(|index| index != 0))?;
        info.queue_id()
    }
}

/// Decodes a reply; `None` if its fixed part is incomplete.
pub(super) fn decode(record: Record<'_>) -> Option<Socket<'_>> {
    let msg = XdpDiagMsg::new(record.bytes)?;
    let info = msg.info();
    Some(Socket {
        origin: record.origin,
        bytes: record.bytes,
        family: Family::Xdp,
        protocol: 0,
        state: State::Close as u8,
        recv_q: msg.mem_info().and_then(|mem| mem.rmem_alloc()).unwrap_or(0),
        send_q: 0,
        local: Endpoint { addr: Addr::None, port: info.and_then(XdpInfo::queue_id).unwrap_or(0).into() },
        remote: Endpoint::NONE,
        ifindex: info.and_then(XdpInfo::ifindex).unwrap_or(0),
        uid: msg.uid().unwrap_or(0),
        inode: msg.ino(),
        cookie: msg.cookie(),
        timer: Timer::default(),
        detail: Detail::Xdp(XdpSocket(msg)),
    })
}

#[cfg(test)]
mod tests {
    use sockdiag_wire::attr::put;
    use sockdiag_wire::xdp_diag::{XDP_DIAG_INFO, XDP_DIAG_MEMINFO};

    use super::super::socket::{Origin, SourceKind};
    use super::super::tables::Table;
    use super::*;

    fn words(values: &[u32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_ne_bytes()).collect()
    }

    #[test]
    fn a_socket_is_bound_to_a_queue_or_not_at_all() {
        let origin = Origin::of(Table::Xdp, SourceKind::Kernel);
        let fixed = [vec![44, 3, 0, 0], words(&[9, 5, 6])].concat();
        assert!(Socket::decode(Record { origin, bytes: &fixed[..15] }).is_none());
        for (info, ifindex, queue) in
            [(&[][..], 0, None), (&[0, 3], 0, None), (&[2, 3], 2, Some(3)), (&[2], 2, None)]
        {
            let mut bytes = fixed.clone();
            put(&mut bytes, XDP_DIAG_MEMINFO, &words(&[70, 71]));
            put(&mut bytes, XDP_DIAG_INFO, &words(info));
            let socket = Socket::decode(Record { origin, bytes: &bytes }).expect("a whole reply");
            let Detail::Xdp(xdp) = socket.detail else { panic!("{socket:?}") };
            assert_eq!((socket.ifindex, xdp.queue_id()), (ifindex, queue), "{info:?}");
            assert_eq!((socket.state, socket.recv_q, socket.inode), (7, 70, 9));
            assert_eq!(socket.cookie, 6 << 32 | 5);
        }
    }
}
