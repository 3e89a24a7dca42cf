//! Numbers that every socket has: address family, type and state.
//!
//! Source: the C library's sys/socket.h for families and types, since the
//! kernel exports no header with them; linux/bpf.h for states, whose numbers
//! are those of the kernel's include/net/tcp_states.h.

use crate::layout::constants;

constants! {
    /// Address families.
    ADDRESS_FAMILIES in "sys/socket.h": u8 {
        /// None.
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
        /// Shared memory communications.
        AF_SMC = 43;
        /// Express data path.
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
        /// Datagrams that are delivered reliably.
        SOCK_RDM = 4;
        /// Datagrams in order over a connection.
        SOCK_SEQPACKET = 5;
    }
}

constants! {
    /// States of sockets: one numbering, TCP's, serves every family.
    STATES in "linux/bpf.h": u8 {
        /// Connected, or for datagrams: has a default peer.
        TCP_ESTABLISHED = 1, "BPF_TCP_ESTABLISHED";
        /// Connecting, nothing heard yet.
        TCP_SYN_SENT = 2, "BPF_TCP_SYN_SENT";
        /// Being connected to, not yet confirmed.
        TCP_SYN_RECV = 3, "BPF_TCP_SYN_RECV";
        /// Closed here, not yet confirmed.
        TCP_FIN_WAIT1 = 4, "BPF_TCP_FIN_WAIT1";
        /// Closed here, still open there.
        TCP_FIN_WAIT2 = 5, "BPF_TCP_FIN_WAIT2";
        /// Closed at both ends, waiting for strays.
        TCP_TIME_WAIT = 6, "BPF_TCP_TIME_WAIT";
        /// Not connected.
        TCP_CLOSE = 7, "BPF_TCP_CLOSE";
        /// Closed there, still open here.
        TCP_CLOSE_WAIT = 8, "BPF_TCP_CLOSE_WAIT";
        /// Closed there, then here, not yet confirmed.
        TCP_LAST_ACK = 9, "BPF_TCP_LAST_ACK";
        /// Waiting for connections.
        TCP_LISTEN = 10, "BPF_TCP_LISTEN";
        /// Closed at both ends at once, not yet confirmed.
        TCP_CLOSING = 11, "BPF_TCP_CLOSING";
        /// A connection request inside the kernel.
        TCP_NEW_SYN_RECV = 12, "BPF_TCP_NEW_SYN_RECV";
        /// Bound, neither listening nor connected.
        TCP_BOUND_INACTIVE = 13, "BPF_TCP_BOUND_INACTIVE";
    }
}
