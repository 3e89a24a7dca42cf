//! Numbers of IP protocols.
//!
//! Most are assigned by IANA and fit a byte.  Numbers from 256 on are Linux's own: they name a
//! kind of socket and never appear in a packet.
//!
//! Source: linux/in.h and linux/in6.h, Linux 7.3.

use crate::layout::constants;

constants! {
    /// IP protocols that have sockets.
    PROTOCOLS in "linux/in.h": u16 {
        /// ICMP.
        IPPROTO_ICMP = 1;
        /// TCP.
        IPPROTO_TCP = 6;
        /// UDP.
        IPPROTO_UDP = 17;
        /// DCCP.
        IPPROTO_DCCP = 33;
        /// SCTP.
        IPPROTO_SCTP = 132;
        /// UDP-Lite.
        IPPROTO_UDPLITE = 136;
        /// Raw sockets of all protocols.
        IPPROTO_RAW = 255;
        /// MPTCP.
        IPPROTO_MPTCP = 262;
    }
}

constants! {
    /// IP protocols that only IPv6 has sockets of.
    IPV6_PROTOCOLS in "linux/in6.h": u16 {
        /// ICMP for IPv6.
        IPPROTO_ICMPV6 = 58;
    }
}
