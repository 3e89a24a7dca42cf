//! Socket memory: the older report of four words, and the newer array of words.
//!
//! Source: linux/inet_diag.h, linux/sock_diag.h, Linux 7.3.

use crate::bytes::u32_at;
use crate::layout::{constants, view};

view! {
    /// `INET_DIAG_MEMINFO`; all sizes in bytes.
    MemInfo = "struct inet_diag_meminfo" in "linux/inet_diag.h" {
        /// Received, not yet read.
        rmem: u32 @ 0 = "idiag_rmem";
        /// Queued for sending.
        wmem: u32 @ 4 = "idiag_wmem";
        /// Reserved for later use.
        fmem: u32 @ 8 = "idiag_fmem";
        /// Handed to lower layers for sending.
        tmem: u32 @ 12 = "idiag_tmem";
    }
}

constants! {
    /// Indexes of the array.
    SK_MEMINFO in "linux/sock_diag.h": usize {
        /// Received, not yet read.
        SK_MEMINFO_RMEM_ALLOC = 0;
        /// Limit of the receive buffer.
        SK_MEMINFO_RCVBUF = 1;
        /// Handed to lower layers for sending.
        SK_MEMINFO_WMEM_ALLOC = 2;
        /// Limit of the send buffer.
        SK_MEMINFO_SNDBUF = 3;
        /// Reserved for later use.
        SK_MEMINFO_FWD_ALLOC = 4;
        /// Queued for sending.
        SK_MEMINFO_WMEM_QUEUED = 5;
        /// Options and filters.
        SK_MEMINFO_OPTMEM = 6;
        /// Arrived while the socket was busy.
        SK_MEMINFO_BACKLOG = 7;
        /// Packets dropped.
        SK_MEMINFO_DROPS = 8;
    }
}

/// `INET_DIAG_SKMEMINFO`: an array of words, which newer kernels extend.
#[derive(Clone, Copy, Debug)]
pub struct SkMemInfo<'a>(&'a [u8]);

macro_rules! words {
    ($( $(#[$meta:meta])* $name:ident = $index:ident; )*) => {
        $(
            $(#[$meta])*
            #[inline]
            pub fn $name(self) -> Option<u32> {
                u32_at(self.0, 4 * $index)
            }
        )*
    };
}

impl<'a> SkMemInfo<'a> {
    /// Wraps the bytes from the kernel.  Any length is valid.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes as sent.
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// The number of bytes sent: `ss` prints as many words as they hold.
    #[allow(clippy::len_without_is_empty, reason = "an empty report is as good as any other")]
    pub fn len(self) -> usize {
        self.0.len()
    }

    words! {
        /// Memory of received data that was not read yet, in bytes.
        rmem_alloc = SK_MEMINFO_RMEM_ALLOC;
        /// Limit of the receive buffer, in bytes.
        rcvbuf = SK_MEMINFO_RCVBUF;
        /// Memory handed to lower layers for sending, in bytes.
        wmem_alloc = SK_MEMINFO_WMEM_ALLOC;
        /// Limit of the send buffer, in bytes.
        sndbuf = SK_MEMINFO_SNDBUF;
        /// Memory reserved but not used, in bytes.
        fwd_alloc = SK_MEMINFO_FWD_ALLOC;
        /// Memory queued for sending, in bytes.
        wmem_queued = SK_MEMINFO_WMEM_QUEUED;
        /// Memory of options and filters, in bytes.
        optmem = SK_MEMINFO_OPTMEM;
        /// Memory of packets that arrived while the socket was busy, in bytes.
        backlog = SK_MEMINFO_BACKLOG;
        /// Packets dropped.
        drops = SK_MEMINFO_DROPS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_safe_to_read() {
        let bytes = [1_u8; 64];
        for len in 0..bytes.len() {
            let mem = SkMemInfo::new(&bytes[..len]);
            assert_eq!(mem.rmem_alloc().is_some(), len >= 4);
            assert_eq!(mem.backlog().is_some(), len >= 32);
            assert_eq!(mem.drops().is_some(), len >= 36);
            assert_eq!(MemInfo::new(&bytes[..len]).tmem().is_some(), len >= 16);
        }
    }
}
