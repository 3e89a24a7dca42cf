//! Encodes the fixed part of an inet_diag message, for sources other than netlink that imitate
//! the kernel's messages.
//!
//! Source: linux/inet_diag.h.

use crate::inet_diag::{FixedPart, MSG_LEN};
use crate::inet_req::SockId;

/// The fixed part of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InetDiagFixed {
    /// Address family.
    pub family: u8,
    /// State.
    pub state: u8,
    /// Which timer runs.
    pub timer: u8,
    /// Retransmissions or probes.
    pub retrans: u8,
    /// Ports, addresses, interface and cookie.
    pub id: SockId,
    /// Time until the timer fires, in milliseconds.
    pub expires_ms: u32,
    /// Receive queue.
    pub rqueue: u32,
    /// Send queue.
    pub wqueue: u32,
    /// Owner.
    pub uid: u32,
    /// Inode.
    pub inode: u32,
}

impl InetDiagFixed {
    /// Encodes the fixed part as the kernel sends it.
    #[inline]
    pub fn bytes(&self) -> [u8; MSG_LEN] {
        let mut bytes = [0; MSG_LEN];
        let Self { id, .. } = self;
        let mut put = |offset: usize, value: &[u8]| {
            if let Some(place) = bytes.get_mut(offset..offset + value.len()) {
                place.copy_from_slice(value);
            }
        };
        macro_rules! put {
            ($($name:literal = $value:expr;)+) => {
                $(put(const { FixedPart::LAYOUT.offset($name) }, &$value);)+
            };
        }
        put! {
            "idiag_family" = [self.family];
            "idiag_state" = [self.state];
            "idiag_timer" = [self.timer];
            "idiag_retrans" = [self.retrans];
            "id.idiag_sport" = id.sport.to_be_bytes();
            "id.idiag_dport" = id.dport.to_be_bytes();
            "id.idiag_src" = id.src;
            "id.idiag_dst" = id.dst;
            "id.idiag_if" = id.ifindex.to_ne_bytes();
            "id.idiag_cookie" = id.cookie.rotate_left(if cfg!(target_endian = "big") { 32 } else { 0 }).to_ne_bytes();
            "idiag_expires" = self.expires_ms.to_ne_bytes();
            "idiag_rqueue" = self.rqueue.to_ne_bytes();
            "idiag_wqueue" = self.wqueue.to_ne_bytes();
            "idiag_uid" = self.uid.to_ne_bytes();
            "idiag_inode" = self.inode.to_ne_bytes();
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inet_diag::InetDiagMsg;

    #[test]
    fn what_is_written_is_read_back() {
        let id = SockId { sport: 1, dport: 2, src: [3; 16], dst: [4; 16], ifindex: 5, cookie: 7 << 32 | 6 };
        let fixed = InetDiagFixed {
            family: 10,
            state: 11,
            timer: 12,
            retrans: 13,
            id,
            expires_ms: 14,
            rqueue: 15,
            wqueue: 16,
            uid: 17,
            inode: 18,
        };
        let bytes = fixed.bytes();
        let msg = InetDiagMsg::new(&bytes).unwrap();
        let read = InetDiagFixed {
            family: msg.family(),
            state: msg.state(),
            timer: msg.timer(),
            retrans: msg.retrans(),
            id: SockId {
                sport: msg.sport(),
                dport: msg.dport(),
                src: msg.src(),
                dst: msg.dst(),
                ifindex: msg.ifindex(),
                cookie: msg.cookie(),
            },
            expires_ms: msg.expires_ms(),
            rqueue: msg.rqueue(),
            wqueue: msg.wqueue(),
            uid: msg.uid(),
            inode: msg.inode(),
        };
        assert_eq!(read, fixed);
    }
}
