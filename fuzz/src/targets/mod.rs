//! What is fuzzed: one function of bytes for each family and subject.
//!
//! Each goes the whole way that such bytes go in the program and panics where
//! something is wrong.  Nothing here knows a fuzzer: `cargo fuzz` calls the
//! functions with new inputs, `crates/ss/tests/corpus.rs` with those that were
//! kept.
//!
//! Invariant: an input alone decides what happens; nothing is kept from one to
//! the next but what never changes.

#![allow(unreachable_pub, reason = "a crate's library here, a test's module there")]

mod check;
mod conditions;
mod good;
mod lines;
mod world;

use sockdiag::model::Table;

/// A function of bytes that panics where something is wrong.
pub type Target = fn(&[u8]);

/// Every target by its name, which its corpus has too.
pub const TARGETS: &[(&str, Target)] = &[
    ("inet", inet),
    ("unix", unix),
    ("netlink", netlink),
    ("packet", packet),
    ("vsock", vsock),
    ("tipc", tipc),
    ("xdp", xdp),
    ("smc", smc),
    ("proc_text", proc_text),
    ("recording", recording),
    ("filter", filter),
    ("bytecode", bytecode),
];

/// The tables that inet_diag reports, in the order of an input's first byte.
pub const INET: [Table; 6] = [Table::Tcp, Table::Udp, Table::Raw, Table::Sctp, Table::Dccp, Table::Mptcp];

/// A message of inet_diag.
pub fn inet(data: &[u8]) {
    check::message(&INET, data);
}

/// A message about a unix socket.
pub fn unix(data: &[u8]) {
    check::message(&[Table::UnixDgram, Table::UnixStream, Table::UnixSeqpacket], data);
}

/// A message about a netlink socket.
pub fn netlink(data: &[u8]) {
    check::message(&[Table::Netlink], data);
}

/// A message about a packet socket.
pub fn packet(data: &[u8]) {
    check::message(&[Table::PacketDgram, Table::PacketRaw], data);
}

/// A message about a vsock socket.
pub fn vsock(data: &[u8]) {
    check::message(&[Table::VsockStream, Table::VsockDgram], data);
}

/// A message about a TIPC socket.
pub fn tipc(data: &[u8]) {
    check::message(&[Table::Tipc], data);
}

/// A message about an XDP socket.
pub fn xdp(data: &[u8]) {
    check::message(&[Table::Xdp], data);
}

/// A message about an SMC socket.
pub fn smc(data: &[u8]) {
    check::message(&[Table::Smc], data);
}

/// Lines of a file of `/proc/net`.
pub fn proc_text(data: &[u8]) {
    lines::proc_text(data);
}

/// A recording (`TCPDIAG_FILE`), and datagrams.
pub fn recording(data: &[u8]) {
    lines::recording(data);
}

/// The text of a filter.
pub fn filter(data: &[u8]) {
    conditions::text(data);
}

/// A filter made of the bytes, as a program of the kernel's.
pub fn bytecode(data: &[u8]) {
    conditions::program(data);
}
