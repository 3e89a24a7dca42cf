//! Sockets as they are destroyed.
//!
//! The kernel tells of TCP and UDP sockets, one message each, without being
//! asked again; there is no list at the start and no end.  Where we are too
//! slow it drops messages and says so: that is reported, never hidden.
//!
//! Source: `SKNLGRP_*` (linux/sock_diag.h), sock_diag(7).

use std::ops::ControlFlow;

use sockdiag_wire::netlink::{NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, messages};

use super::{DumpError, DumpErrorKind, Visit};
use crate::model::{Family, FamilySet, Record, SourceKind, Table, TableSet};
use crate::notice::Notice;
use crate::sys::netlink::{Netlink, ReceiveError};

const ENOBUFS: i32 = 105;

/// The multicast groups of these tables and families, a bit each; zero if the
/// kernel tells of none of them.
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

/// Hands every destroyed socket to `visit`, until that breaks off.
///
/// # Errors
/// When the kernel cannot be listened to, or not any longer.
pub fn follow(groups: u32, visit: &mut dyn Visit, notices: &mut dyn FnMut(Notice)) -> Result<(), DumpError> {
    let failed =
        |kind, rows_delivered| DumpError { request: "socket events".to_owned(), rows_delivered, kind };
    let mut netlink = Netlink::open_for(groups).map_err(|errno| {
        notices(Notice::BindSocketFailed { errno: errno.raw_os_error() });
        failed(DumpErrorKind::Socket(errno.into()), 0)
    })?;
    let (mut rows, mut overflows) = (0, 0);
    loop {
        let datagram = match netlink.receive() {
            Ok(datagram) => datagram,
            Err(ReceiveError::Os(errno)) if errno.raw_os_error() == ENOBUFS => {
                overflows += 1;
                notices(Notice::EventsLost { times: overflows });
                continue;
            }
            Err(ReceiveError::Os(errno)) => {
                notices(Notice::ReceiveFailed { errno: errno.raw_os_error() });
                return Err(failed(DumpErrorKind::Receive(errno.into()), rows));
            }
            Err(ReceiveError::Eof) => {
                notices(Notice::Eof);
                return Err(failed(DumpErrorKind::Eof, rows));
            }
        };
        if !datagram.from_kernel {
            continue;
        }
        for message in messages(datagram.bytes) {
            if matches!(message.header.kind, NLMSG_NOOP | NLMSG_ERROR | NLMSG_DONE) {
                continue;
            }
            rows += 1;
            let origin = super::live_origin(Table::Tcp, SourceKind::Event);
            if visit.record(Record { origin, bytes: message.payload }) == ControlFlow::Break(()) {
                return Ok(());
            }
        }
    }
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
