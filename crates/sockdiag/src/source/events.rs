//! Sockets as they are destroyed.
//!
//! The kernel sends one message for each TCP or UDP socket that ends, without further
//! requests; there is no initial list and no end.  If we read too slowly, it drops messages
//! and says so: that is always reported.
//!
//! Source: `SKNLGRP_*` (linux/sock_diag.h), sock_diag(7).

use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};

use sockdiag_wire::errno::ENOBUFS;
use sockdiag_wire::netlink::{HEADER_LEN, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, messages};

use super::access::Access;
use super::contract::{DumpError, DumpErrorKind};
use crate::model::{Family, FamilySet, Origin, Record, SourceKind, Table, TableSet, Window};
use crate::sys::netlink::{Netlink, OpenStep, ReceiveError};
use crate::sys::{self, clock};

/// The multicast groups of these tables and families, one bit each; zero if the kernel
/// reports none of them.
pub fn groups(tables: TableSet, families: FamilySet) -> u32 {
    [
        (Family::Inet, Table::Tcp),
        (Family::Inet, Table::Udp),
        (Family::Inet6, Table::Tcp),
        (Family::Inet6, Table::Udp),
    ]
    .into_iter()
    .enumerate()
    .filter(|(_, (family, table))| families.contains(*family) && tables.contains(*table))
    .fold(0, |groups, (bit, _)| groups | 1 << bit)
}

/// The result of waiting for destroyed sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// Messages; read them with [`Events::next_record`].
    Messages,
    /// We read too slowly and the kernel dropped messages; how many times so far.
    Lost(u64),
    /// Nothing arrived.
    Nothing,
}

/// A netlink socket on which the kernel reports destroyed sockets.
#[derive(Debug)]
pub(crate) struct Events {
    netlink: Netlink,
    /// The last datagram, and how far it was read.
    datagram: Vec<u8>,
    at: usize,
    /// The position, in the datagram, of the socket that was read last.
    payload: Range<usize>,
    window: Window,
    /// How many times messages were dropped.
    lost: u64,
    rows: u64,
}

impl Events {
    /// Subscribes to these groups.
    pub(crate) fn open(groups: u32, access: &Access) -> Result<Self, DumpError> {
        let netlink = Netlink::open_for(groups, access.opener()).map_err(|(step, errno)| match step {
            OpenStep::Bind => failed(DumpErrorKind::Bind(errno.into()), 0),
            _ => failed(DumpErrorKind::Socket(errno.into()), 0),
        })?;
        let window = clock::since(clock::now_ns());
        Ok(Self { netlink, datagram: Vec::new(), at: 0, payload: 0..0, window, lost: 0, rows: 0 })
    }

    /// Receives the next datagram; waits for it only if one is known to be there
    /// (`is_one`).
    pub(crate) fn receive(&mut self, is_one: bool) -> Result<Arrived, DumpError> {
        let received = if is_one { self.netlink.receive().map(Some) } else { self.netlink.try_receive() };
        let datagram = match received {
            Ok(None) => return Ok(Arrived::Nothing),
            Ok(Some(datagram)) => datagram,
            Err(ReceiveError::Os(errno)) if errno.raw_os_error() == ENOBUFS => {
                self.lost += 1;
                return Ok(Arrived::Lost(self.lost));
            }
            Err(ReceiveError::Os(errno)) => {
                return Err(failed(DumpErrorKind::Receive(errno.into()), self.rows));
            }
            Err(ReceiveError::Eof) => return Err(failed(DumpErrorKind::Eof, self.rows)),
        };
        self.datagram.clear();
        self.at = 0;
        if datagram.from_kernel {
            self.datagram.extend_from_slice(datagram.bytes);
            // The socket ended at some time before the message arrived.
            self.window = Window::new(datagram.window.end_ns(), datagram.window.end_ns());
        }
        Ok(Arrived::Messages)
    }

    /// Moves to the next socket of the last datagram; returns whether there is one.
    pub(crate) fn next_record(&mut self) -> bool {
        loop {
            let rest = self.datagram.get(self.at..).unwrap_or_default();
            let Some(message) = messages(rest).next() else { return false };
            let length = message.header.len as usize;
            self.payload = self.at + HEADER_LEN..self.at + length;
            self.at += length.next_multiple_of(4);
            if !matches!(message.header.kind, NLMSG_NOOP | NLMSG_ERROR | NLMSG_DONE) {
                self.rows += 1;
                return true;
            }
        }
    }

    /// The socket that [`Events::next_record`] moved to.
    pub(crate) fn record(&self) -> Record<'_> {
        let origin = Origin {
            abi: sys::abi(),
            window: Some(self.window),
            ..Origin::of(Table::Tcp, SourceKind::Event)
        };
        Record { origin, bytes: self.datagram.get(self.payload.clone()).unwrap_or_default() }
    }

    /// How many messages the kernel has dropped so far because we read too slowly, modulo
    /// 2^32.  `None` if the kernel does not report it.
    pub(crate) fn drops(&self) -> Option<u32> {
        self.netlink.drops()
    }

    /// When the last datagram arrived.
    pub(crate) fn arrived(&self) -> Window {
        self.window
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.netlink.as_fd()
    }
}

fn failed(kind: DumpErrorKind, rows_delivered: u64) -> DumpError {
    DumpError { request: "socket events".to_owned(), rows_delivered, kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_those_of_tables_and_families() {
        let both = FamilySet::INET;
        let (tcp, udp) = (TableSet::only(Table::Tcp), TableSet::only(Table::Udp));
        assert_eq!(groups(tcp, both), 0b0101);
        assert_eq!(groups(udp, both), 0b1010);
        assert_eq!(groups(tcp.union(udp), FamilySet::only(Family::Inet6)), 0b1100);
        assert_eq!(groups(TableSet::only(Table::Sctp), both), 0);
        assert_eq!(groups(TableSet::ALL, FamilySet::only(Family::Unix)), 0);
    }
}
