//! What the engine adds to a row: counters and settings of its namespace, facts from other
//! sockets, or the process that the row is about.

use std::collections::HashMap;

use sockdiag_facts::model::{Around, Descriptors, Join, Socket, Window};
use sockdiag_facts::rate::gain;

use crate::joins::Joins;

/// Numbers of a network namespace, as they were read at one moment.
pub trait Numbers: Sync {
    /// A counter, by its group and name in /proc/net/netstat, snmp or snmp6.
    fn counter(&self, group: &str, name: &str) -> Option<u64>;
    /// A number in /proc/net/sockstat, by its line and word.
    fn level(&self, group: &str, name: &str) -> Option<u64>;
    /// A number in a sysctl, by name and position.
    fn setting(&self, name: &str, place: usize) -> Option<i64>;
    /// The text of a sysctl.
    fn setting_text(&self, name: &str) -> Option<&[u8]>;
    /// The number of ephemeral ports, without the reserved ones.
    fn ephemeral_ports(&self) -> Option<u32>;
    /// When the numbers were read.
    fn window(&self) -> Window;
}

/// A process, as it is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its process id.
    pub pid: u32,
    /// Its name.
    pub comm: Vec<u8>,
    /// The number of open file descriptors.
    pub open: u64,
    /// The limit on open file descriptors; `None` if there is none.
    pub most: Option<u64>,
}

/// Two readings of the numbers of a namespace.
#[derive(Default)]
pub(crate) struct Readings {
    pub(crate) first: Option<Box<dyn Numbers>>,
    pub(crate) last: Option<Box<dyn Numbers>>,
    /// Cached, since many rows read it.
    ports: Option<u32>,
    congestion: Option<Vec<u8>>,
}

/// The sysctl that names the congestion control of new connections.
const CONGESTION: &str = "net.ipv4.tcp_congestion_control";

impl Readings {
    /// Adds a reading.
    pub(crate) fn take(&mut self, numbers: Box<dyn Numbers>) {
        self.ports = numbers.ephemeral_ports();
        self.congestion = numbers.setting_text(CONGESTION).map(<[u8]>::to_vec);
        match &self.first {
            None => self.first = Some(numbers),
            Some(_) => self.last = Some(numbers),
        }
    }

    fn latest(&self) -> Option<&dyn Numbers> {
        self.last.as_deref().or(self.first.as_deref())
    }

    /// The time between the middles of the two readings, in seconds.
    #[allow(clippy::cast_precision_loss, reason = "nanoseconds of a run are exact as a double")]
    pub(crate) fn seconds(&self) -> Option<f64> {
        let (first, last) = (self.first.as_ref()?.window(), self.last.as_ref()?.window());
        let ns = last.middle_ns().checked_sub(first.middle_ns()).filter(|ns| *ns > 0)?;
        Some(ns as f64 / 1e9)
    }
}

/// The context of a row.
pub(crate) struct Scene<'s> {
    pub(crate) readings: &'s Readings,
    pub(crate) joins: &'s Joins,
    pub(crate) process: Option<&'s Process>,
    pub(crate) unseen: u64,
}

impl Around for Scene<'_> {
    fn gained(&self, group: &str, name: &str) -> Option<u64> {
        let first = self.readings.first.as_ref()?.counter(group, name)?;
        let last = self.readings.last.as_ref()?.counter(group, name)?;
        gain(u64::BITS, first, last, u64::MAX / 2)
    }

    fn seconds(&self) -> Option<f64> {
        self.readings.seconds()
    }

    fn level(&self, group: &str, name: &str) -> Option<u64> {
        self.readings.latest()?.level(group, name)
    }

    fn setting(&self, name: &str, place: usize) -> Option<i64> {
        self.readings.latest()?.setting(name, place)
    }

    fn setting_text(&self, name: &str) -> Option<&[u8]> {
        if name == CONGESTION {
            return self.readings.congestion.as_deref();
        }
        self.readings.latest()?.setting_text(name)
    }

    fn ephemeral_ports(&self) -> Option<u32> {
        self.readings.ports
    }

    fn joined(&self, join: Join, socket: &Socket<'_>) -> Option<f64> {
        self.joins.of(join, socket)
    }

    fn descriptors(&self) -> Option<Descriptors<'_>> {
        let process = self.process?;
        Some(Descriptors { pid: process.pid, comm: &process.comm, open: process.open, most: process.most })
    }

    fn unseen(&self) -> Option<u64> {
        Some(self.unseen)
    }
}

/// Values by the inode of a network namespace.
pub(crate) type ByNetns<T> = HashMap<u64, T>;
