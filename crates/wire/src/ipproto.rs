//! Numbers of IP protocols.
//!
//! Most are the IANA's and fit a byte.  Those from 256 on are Linux's own: they
//! name a kind of socket and never appear in a packet.
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
        /// Raw sockets, all of them.
        IPPROTO_RAW = 255;
        /// MPTCP.
        IPPROTO_MPTCP = 262;
    }
}

constants! {
    /// IP protocols of IPv6 alone that have sockets.
    IPV6_PROTOCOLS in "linux/in6.h": u16 {
        /// ICMP for IPv6.
        IPPROTO_ICMPV6 = 58;
    }
}
