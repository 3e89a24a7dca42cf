//! Views over the kernel's sock_diag messages.
//!
//! Any bytes are valid input: missing members are absent, extra bytes are ignored, and nothing
//! panics, allocates or does I/O.  The macros of [`layout`] state each offset and constant
//! once, and `tests/uapi.rs` compares them with the kernel's headers.

#![forbid(unsafe_code)]

pub mod attr;
pub mod bpf;
pub mod bpf_storage;
pub mod btf;
pub mod bytecode;
pub mod bytes;
pub mod cc_info;
pub mod errno;
pub mod inet_diag;
pub mod inet_fixed;
pub mod inet_req;
pub mod ipproto;
pub mod layout;
pub mod md5sig;
pub mod mem_info;
pub mod mptcp_info;
pub mod netlink;
pub mod netlink_diag;
pub mod packet_diag;
pub mod registry;
pub mod rtnetlink;
pub mod sctp_info;
pub mod smc_diag;
pub mod socket;
pub mod sockopt;
pub mod tcp_info;
pub mod tipc_diag;
pub mod ulp;
pub mod unix_diag;
pub mod vsock_diag;
pub mod xdp_diag;
