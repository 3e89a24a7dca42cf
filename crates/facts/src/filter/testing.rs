//! Lookups with fixed answers, for this module's tests.

use super::{CgroupError, Context, FilterError, Lookups, Parsed, Transport, parse};
use crate::fields::Catalog;
use crate::model::{Addr, Family, Table, TableSet};

/// A small, fixed set of names.
pub(super) struct World {
    /// Whether the kernel supports conditions on cgroups.
    pub(super) cgroups: bool,
    /// How many times this was queried.
    pub(super) asked: usize,
}

impl World {
    pub(super) fn new() -> Self {
        Self { cgroups: true, asked: 0 }
    }
}

/// The bytes of `::1`.
pub(super) const LOOPBACK6: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

impl Lookups for World {
    fn service(&mut self, name: &[u8], transport: Transport) -> Option<u16> {
        match (name, transport) {
            (b"domain", _) => Some(53),
            (b"ssh", Transport::Tcp) => Some(22),
            (b"ntp", Transport::Udp) => Some(123),
            (b"split", Transport::Tcp) => Some(512),
            (b"split", Transport::Udp) => Some(513),
            _ => None,
        }
    }

    fn rpc_service(&mut self, name: &[u8]) -> Option<u16> {
        (name == b"rpc.nfs").then_some(2049)
    }

    fn hosts(&mut self, name: &[u8], family: Option<Family>) -> Vec<Addr> {
        let v4 = [Addr::V4([10, 0, 0, 1]), Addr::V4([10, 0, 0, 2])];
        let v6 = [Addr::V6(LOOPBACK6)];
        match (name, family) {
            (b"many", None) => v4.into_iter().chain(v6).collect(),
            (b"many", Some(Family::Inet)) => v4.to_vec(),
            (b"many", Some(Family::Inet6)) => v6.to_vec(),
            (b"localhost", None | Some(Family::Inet)) => vec![Addr::V4([127, 0, 0, 1])],
            _ => Vec::new(),
        }
    }

    fn interface(&mut self, name: &[u8]) -> Option<u32> {
        match name {
            b"lo" => Some(1),
            b"eth0" | b"uplink" => Some(2),
            _ => None,
        }
    }

    fn user(&mut self, name: &[u8]) -> Option<u32> {
        match name {
            b"root" => Some(0),
            b"www-data" => Some(33),
            _ => None,
        }
    }

    fn cgroup(&mut self, path: &[u8]) -> Result<u64, CgroupError> {
        match path {
            b"/user" => Ok(7),
            _ => Err(CgroupError::NoId { errno: 2 }),
        }
    }

    fn cgroup_condition_supported(&mut self) -> bool {
        self.asked += 1;
        self.cgroups
    }
}

/// Parses one line with these fixed names, with every table listed.
pub(super) fn read_for(text: &[u8], preferred: Option<Family>) -> Result<Parsed, FilterError> {
    let catalog = Catalog::standard();
    let tables = TableSet::ALL.union(TableSet::of(&[Table::Tipc, Table::Smc]));
    let mut world = World::new();
    let ctx = Context { catalog: &catalog, preferred, tables, lookups: &mut world };
    parse(&[text], None, ctx)
}

/// Like [`read_for`], without a preferred family.
pub(super) fn read(text: &str) -> Result<Parsed, FilterError> {
    read_for(text.as_bytes(), None)
}
