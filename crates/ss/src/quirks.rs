//! Behaviour of the reference that depends on more than the current socket.
//!
//! Source: the program's behaviour.

use sockdiag::enrich::Quirks;
use sockdiag::model::{Socket, Table};

/// Protocols that have service names of their own: TCP, UDP, raw.
const WITH_SERVICES: [u16; 3] = [6, 17, 255];

/// The reference's behaviour.
#[derive(Debug)]
pub(crate) struct Reference {
    /// `-e`, which prints the path of a cgroup.
    extended: bool,
    /// `--cgroup`, which prints it as well, even for cgroup id 0.
    cgroup: bool,
    /// The protocol of the last table listed that has service names of its own.
    services: Option<u16>,
}

impl Reference {
    pub(crate) fn new(extended: bool, cgroup: bool) -> Self {
        Self { extended, cgroup, services: None }
    }
}

impl Quirks for Reference {
    /// Tables without service names of their own (mptcp, sctp, dccp) use those of the last
    /// table listed before them that has some; if there is none, those of any protocol.
    fn services(&mut self, table: Table) -> u16 {
        if WITH_SERVICES.contains(&table.protocol()) {
            self.services = Some(table.protocol());
        }
        match table.services() {
            0 => self.services.unwrap_or(0),
            own => own,
        }
    }

    fn looks_up_cgroup_zero(&self) -> bool {
        self.cgroup
    }

    /// The number of notices if a cgroup has no path: the reference looks the path up each
    /// time it prints it.
    fn cgroup_notices(&self, id: u64) -> Option<u64> {
        Some(u64::from(self.extended && id != 0) + u64::from(self.cgroup))
    }

    /// The reference takes a socket for an SCTP association if it has the inode of the socket
    /// printed before it.
    fn is_association(&self, socket: &Socket<'_>, before: u32) -> bool {
        socket.inode != 0 && socket.inode == before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_follow_the_tables_listed_before() {
        let mut quirks = Reference::new(false, false);
        assert_eq!(quirks.services(Table::Mptcp), 0);
        for (listed, own, of_mptcp) in [
            (Table::Raw, 255, 255),
            (Table::Udp, 17, 17),
            (Table::Tcp, 6, 6),
            (Table::Sctp, 6, 6),
            (Table::UdpLite, 17, 6),
        ] {
            assert_eq!(quirks.services(listed), own, "{listed:?}");
            assert_eq!(quirks.services(Table::Mptcp), of_mptcp, "after {listed:?}");
        }
    }

    #[test]
    fn a_missing_cgroup_is_told_as_often_as_it_is_printed() {
        for (extended, cgroup, of_zero, of_seven) in
            [(false, false, 0, 0), (true, false, 0, 1), (false, true, 1, 1), (true, true, 1, 2)]
        {
            let quirks = Reference::new(extended, cgroup);
            assert_eq!(quirks.cgroup_notices(0), Some(of_zero));
            assert_eq!(quirks.cgroup_notices(7), Some(of_seven));
            assert_eq!(quirks.looks_up_cgroup_zero(), cgroup);
        }
    }
}
