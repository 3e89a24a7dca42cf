//! Constants that apply to all sockets: address families, types and states.
//!
//! Source: the C library's sys/socket.h for families and types, since no kernel header exports
//! them; linux/bpf.h for states, whose numbers match the kernel's include/net/tcp_states.h.

use crate::layout::constants;

constants! {
    /// Address families.
    ADDRESS_FAMILIES in "sys/socket.h": u8 {
        /// Unspecified.
        AF_UNSPEC = 0;
        /// Unix.
        AF_UNIX = 1;
        /// IPv4.
        AF_INET = 2;
        /// IPv6.
        AF_INET6 = 10;
        /// Netlink.
        AF_NETLINK = 16;
        /// Packet sockets.
        AF_PACKET = 17;
        /// TIPC.
        AF_TIPC = 30;
        /// Sockets between a virtual machine and its host.
        AF_VSOCK = 40;
        /// Shared memory communications (SMC).
        AF_SMC = 43;
        /// XDP sockets.
        AF_XDP = 44;
    }
}

constants! {
    /// Types of sockets.
    TYPES in "sys/socket.h": u32 {
        /// A stream of bytes.
        SOCK_STREAM = 1;
        /// Datagrams.
        SOCK_DGRAM = 2;
        /// Raw packets.
        SOCK_RAW = 3;
        /// Reliable datagrams.
        SOCK_RDM = 4;
        /// Sequenced packets over a connection.
        SOCK_SEQPACKET = 5;
    }
}

constants! {
    /// States of sockets; all families use TCP's numbers.
    STATES in "linux/bpf.h": u8 {
        /// Connected; for datagrams, a default peer is set.
        TCP_ESTABLISHED = 1, "BPF_TCP_ESTABLISHED";
        /// SYN sent, no answer yet.
        TCP_SYN_SENT = 2, "BPF_TCP_SYN_SENT";
        /// SYN received, not yet acknowledged.
        TCP_SYN_RECV = 3, "BPF_TCP_SYN_RECV";
        /// Closed locally, FIN not yet acknowledged.
        TCP_FIN_WAIT1 = 4, "BPF_TCP_FIN_WAIT1";
        /// Closed locally, still open at the peer.
        TCP_FIN_WAIT2 = 5, "BPF_TCP_FIN_WAIT2";
        /// Closed by both ends, waiting for delayed segments.
        TCP_TIME_WAIT = 6, "BPF_TCP_TIME_WAIT";
        /// Not connected.
        TCP_CLOSE = 7, "BPF_TCP_CLOSE";
        /// Closed by the peer, still open locally.
        TCP_CLOSE_WAIT = 8, "BPF_TCP_CLOSE_WAIT";
        /// Closed by the peer, then locally; FIN not yet acknowledged.
        TCP_LAST_ACK = 9, "BPF_TCP_LAST_ACK";
        /// Waiting for connections.
        TCP_LISTEN = 10, "BPF_TCP_LISTEN";
        /// Closed by both ends at once, FIN not yet acknowledged.
        TCP_CLOSING = 11, "BPF_TCP_CLOSING";
        /// A connection request that only the kernel sees.
        TCP_NEW_SYN_RECV = 12, "BPF_TCP_NEW_SYN_RECV";
        /// Bound, neither listening nor connected.
        TCP_BOUND_INACTIVE = 13, "BPF_TCP_BOUND_INACTIVE";
    }
}
