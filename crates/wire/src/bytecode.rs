//! The filter bytecode of inet_diag: opcodes and operand layouts.
//!
//! A program is a sequence of operations of at least four bytes each.  `yes` is the offset of
//! the next operation if the test holds, `no` the offset if it fails, both relative to the
//! operation itself.  A jump exactly to the end accepts the socket; a jump four bytes beyond
//! the end rejects it.
//!
//! Source: linux/inet_diag.h, Linux 7.3.

use crate::layout::{constants, view};

constants! {
    /// Operation codes.
    CODES in "linux/inet_diag.h": u8 {
        /// No operation.
        INET_DIAG_BC_NOP = 0;
        /// Jumps by `no`.
        INET_DIAG_BC_JMP = 1;
        /// Local port >= the `no` of the next slot.
        INET_DIAG_BC_S_GE = 2;
        /// Local port <= the `no` of the next slot.
        INET_DIAG_BC_S_LE = 3;
        /// Remote port >= the `no` of the next slot.
        INET_DIAG_BC_D_GE = 4;
        /// Remote port <= the `no` of the next slot.
        INET_DIAG_BC_D_LE = 5;
        /// Local port assigned by the kernel rather than bound explicitly.
        INET_DIAG_BC_AUTO = 6;
        /// Local address and port; a host condition follows.
        INET_DIAG_BC_S_COND = 7;
        /// Remote address and port; a host condition follows.
        INET_DIAG_BC_D_COND = 8;
        /// Interface, as a 32-bit word; since Linux 4.8.
        INET_DIAG_BC_DEV_COND = 9;
        /// Mark; a mark condition follows.  Since Linux 4.9.
        INET_DIAG_BC_MARK_COND = 10;
        /// Local port = the `no` of the next slot; since Linux 4.16.
        INET_DIAG_BC_S_EQ = 11;
        /// Remote port = the `no` of the next slot; since Linux 4.16.
        INET_DIAG_BC_D_EQ = 12;
        /// Cgroup v2 id, a 64-bit word; since Linux 5.8.
        INET_DIAG_BC_CGROUP_COND = 13;
    }
}

view! {
    /// The bytes of an operation.
    OpView = "struct inet_diag_bc_op" in "linux/inet_diag.h" {
        /// Code.
        code: u8 @ 0 = "code";
        /// Offset if the test holds.
        yes: u8 @ 1 = "yes";
        /// Offset if the test fails.
        no: u16 @ 2 = "no";
    }
}

view! {
    /// The bytes of a host condition; the address follows.
    HostCondView = "struct inet_diag_hostcond" in "linux/inet_diag.h" {
        /// Address family; 0 for any.
        family: u8 @ 0 = "family";
        /// Bits of the address that must match.
        prefix_len: u8 @ 1 = "prefix_len";
        /// Port; -1 for any.
        port: i32 @ 4 = "port";
    }
}

view! {
    /// The bytes of a mark condition.
    MarkCondView = "struct inet_diag_markcond" in "linux/inet_diag.h" {
        /// Mark.
        mark: u32 @ 0 = "mark";
        /// Bits of the mark that must match.
        mask: u32 @ 4 = "mask";
    }
}

/// Length of an operation without operands.
pub const OP_LEN: usize = OpView::LAYOUT.end();
/// Length of a host condition without its address.
pub const HOSTCOND_LEN: usize = HostCondView::LAYOUT.end();
/// Length of a mark condition.
pub const MARKCOND_LEN: usize = MarkCondView::LAYOUT.end();

/// One operation, without its operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op {
    /// Code.
    pub code: u8,
    /// Offset of the next operation if the test holds.
    pub yes: u8,
    /// Offset of the next operation if the test fails.
    pub no: u16,
}

impl Op {
    /// Reads an operation; `None` if fewer than four bytes are left.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let view = OpView::new(bytes);
        Some(Self { code: view.code()?, yes: view.yes()?, no: view.no()? })
    }

    /// Appends the operation.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.code, self.yes]);
        out.extend_from_slice(&self.no.to_ne_bytes());
    }
}

/// A host condition, without its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostCond {
    /// Address family; 0 for any.
    pub family: u8,
    /// Bits of the address that must match.
    pub prefix_len: u8,
    /// Port; -1 for any.
    pub port: i32,
}

impl HostCond {
    /// Reads a host condition; `None` if fewer than eight bytes are left.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let view = HostCondView::new(bytes);
        Some(Self { family: view.family()?, prefix_len: view.prefix_len()?, port: view.port()? })
    }

    /// Appends the condition; the caller appends its address.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.family, self.prefix_len, 0, 0]);
        out.extend_from_slice(&self.port.to_ne_bytes());
    }
}

/// A mark condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkCond {
    /// Mark.
    pub mark: u32,
    /// Bits of the mark that must match.
    pub mask: u32,
}

impl MarkCond {
    /// Reads a mark condition; `None` if fewer than eight bytes are left.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let view = MarkCondView::new(bytes);
        Some(Self { mark: view.mark()?, mask: view.mask()? })
    }

    /// Appends the condition.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.mark.to_ne_bytes());
        out.extend_from_slice(&self.mask.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_read_back_and_nothing_shorter() {
        let op = Op { code: INET_DIAG_BC_S_COND, yes: 16, no: 0x1234 };
        let host = HostCond { family: 2, prefix_len: 24, port: -1 };
        let mark = MarkCond { mark: 0x1234_5678, mask: 0xffff_0000 };
        let mut bytes = Vec::new();
        op.encode(&mut bytes);
        assert_eq!(bytes.len(), OP_LEN);
        for len in 0..=bytes.len() {
            assert_eq!(Op::parse(&bytes[..len]), (len == OP_LEN).then_some(op));
        }
        bytes.clear();
        host.encode(&mut bytes);
        assert_eq!(bytes.len(), HOSTCOND_LEN);
        for len in 0..=bytes.len() {
            assert_eq!(HostCond::parse(&bytes[..len]), (len == HOSTCOND_LEN).then_some(host));
        }
        bytes.clear();
        mark.encode(&mut bytes);
        assert_eq!(bytes.len(), MARKCOND_LEN);
        for len in 0..=bytes.len() {
            assert_eq!(MarkCond::parse(&bytes[..len]), (len == MARKCOND_LEN).then_some(mark));
        }
    }
}
