//! The counters of a network namespace's protocols, its number of sockets, and the
//! settings (sysctl) that limit them.
//!
//! [`Session::counters`](crate::Session::counters) reads them in the namespaces of a
//! question; two readings of one namespace give [`Gains`].  Everything has the name
//! that the kernel gives it.  A name that this kernel does not have is absent, which is
//! not zero.
//!
//! Some numbers belong to the whole machine, whichever namespace they are read in: in
//! `sockstat` the `mem` of TCP and UDP (in pages) and `orphan`, and the settings that bound
//! them (`tcp_mem`, `udp_mem`, `tcp_max_orphans`).  The kernel shows these settings in the
//! first namespace only: for other namespaces they are copied from our own, and absent
//! where our own is not the first either.
//!
//! Invariant: a counter is the kernel's number or absent, and a gain is never negative: if
//! the counters of a namespace restarted, there is no gain.
//!
//! Source: proc_net(5), tcp(7), Documentation/networking/snmp_counter.rst,
//! Documentation/networking/ip-sysctl.rst.

mod read;
#[cfg(test)]
mod tests;
mod text;

use std::str;

use crate::model::Window;
use crate::rate::{Estimate, Span};
use crate::source;

pub(crate) use read::{Place, read};

/// The counters and settings of one network namespace, read at some moment within a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostCounters {
    window: Window,
    netns_inode: u64,
    /// Counters by section and name, joined; sorted, without duplicates.
    counters: Vec<(Box<str>, u64)>,
    /// Values from sockstat, in the same form.
    sockstat: Vec<(Box<str>, u64)>,
    /// Settings, by their path below `/proc/sys`.
    settings: Vec<(&'static str, Box<[u8]>)>,
    /// The files that could not be read, with the error number.
    unread: Vec<(&'static str, i32)>,
}

impl HostCounters {
    /// Parses the kernel's texts, live or recorded: each with the file's path below
    /// `/proc`, as `net/netstat` or `sys/net/core/somaxconn`.  An unknown file is ignored.
    pub fn of_texts<'a>(texts: impl IntoIterator<Item = (&'a str, &'a [u8])>, window: Window) -> Self {
        text::parse(texts, window)
    }

    /// When the counters were read.
    pub const fn window(&self) -> Window {
        self.window
    }

    /// The inode of the namespace, as in rows; 0 if only our own namespace is read.
    pub const fn netns_inode(&self) -> u64 {
        self.netns_inode
    }

    /// A counter by its section and name, as `/proc/net/netstat`, `snmp` and `snmp6` spell
    /// them: `("TcpExt", "ListenOverflows")`, `("Tcp", "ActiveOpens")`, `("Udp6",
    /// "RcvbufErrors")`.  `None` if this kernel does not report it.
    pub fn counter(&self, section: &str, name: &str) -> Option<u64> {
        found(&self.counters, [section, name])
    }

    /// A current level, by key and word of `/proc/net/sockstat` and `sockstat6`: `("TCP",
    /// "orphan")`, `("TCP6", "inuse")`.
    pub fn sockstat(&self, key: &str, word: &str) -> Option<u64> {
        found(&self.sockstat, [key, word])
    }

    /// A number in a setting, such as `("net.core.somaxconn", 0)`, or `("net.ipv4.tcp_mem",
    /// 1)` for the second of several numbers.
    pub fn sysctl(&self, name: &str, place: usize) -> Option<i64> {
        self.sysctl_text(name)?.split_ascii_whitespace().nth(place)?.parse().ok()
    }

    /// The text of a setting, such as `net.ipv4.tcp_congestion_control`.
    pub fn sysctl_text(&self, name: &str) -> Option<&str> {
        let is_it =
            |path: &str| path.bytes().eq(name.bytes().map(|byte| if byte == b'.' { b'/' } else { byte }));
        let (_, text) = self.settings.iter().find(|(path, _)| is_it(path))?;
        str::from_utf8(text).ok()
    }

    /// How many ports the kernel can assign to sockets that ask for none: the size of
    /// `ip_local_port_range` less the ports in `ip_local_reserved_ports`.
    pub fn ephemeral_ports(&self) -> Option<u64> {
        let end = |place| u16::try_from(self.sysctl("net.ipv4.ip_local_port_range", place)?).ok();
        let (first, last) = (end(0)?, end(1)?);
        let reserved = self.sysctl_text("net.ipv4.ip_local_reserved_ports").unwrap_or_default();
        let size = (u64::from(last) + 1).saturating_sub(first.into());
        Some(size.saturating_sub(source::ports_listed(reserved.as_bytes(), &(first..=last)).into()))
    }

    /// Every counter, with section and name joined as `nstat` prints them:
    /// `TcpExtListenOverflows`.
    pub fn counters(&self) -> impl Iterator<Item = (&str, u64)> {
        self.counters.iter().map(|(name, number)| (&**name, *number))
    }

    /// The files that could not be read, by their path below `/proc`, each with the error
    /// number.  A file that this kernel or this namespace lacks is not listed.
    pub fn unread(&self) -> &[(&'static str, i32)] {
        &self.unread
    }

    /// The gains since an earlier reading; `None` if that reading is of another namespace,
    /// if no time passed, or if the counters restarted in between.
    pub fn since<'a>(&'a self, before: &'a Self) -> Option<Gains<'a>> {
        let span = Span::between(before.window, self.window)?;
        if self.netns_inode != before.netns_inode {
            return None;
        }
        let gains = Gains { before, now: self, span };
        // A namespace may get the inode of one that is gone.
        let fell = |(section, name): &(&str, &str)| {
            let both = before.counter(section, name).zip(self.counter(section, name));
            both.is_some() && gains.of(section, name).is_none()
        };
        (!ALWAYS_RISING.iter().any(fell)).then_some(gains)
    }
}

/// Finds a number by its name, given in parts.
fn found(numbers: &[(Box<str>, u64)], name: [&str; 2]) -> Option<u64> {
    let of = |had: &str| had.bytes().cmp(name.iter().flat_map(|part| part.bytes()));
    let at = numbers.binary_search_by(|(had, _)| of(had)).ok()?;
    numbers.get(at).map(|(_, number)| *number)
}

/// Counters that every kernel has; any traffic raises at least one of them.
const ALWAYS_RISING: [(&str, &str); 6] = [
    ("Ip", "InReceives"),
    ("Ip", "OutRequests"),
    ("Tcp", "InSegs"),
    ("Tcp", "OutSegs"),
    ("Tcp", "ActiveOpens"),
    ("Udp", "InDatagrams"),
];

/// The growth of counters from one reading to a later one.
#[derive(Clone, Copy, Debug)]
pub struct Gains<'a> {
    before: &'a HostCounters,
    now: &'a HostCounters,
    span: Span,
}

impl Gains<'_> {
    /// How much a counter grew; `None` if it is not a counter, if either reading lacks
    /// it, or if it decreased for a reason other than overflow.
    pub fn of(&self, section: &str, name: &str) -> Option<u64> {
        if !is_counter(section, name) {
            return None;
        }
        let (before, now) = (self.before.counter(section, name)?, self.now.counter(section, name)?);
        if let Some(gain) = now.checked_sub(before) {
            return Some(gain);
        }
        // A counter is a `long`; on a machine of 32 bits it wraps, from its last quarter
        // to its first.
        let wraps = (WRAP - WRAP / 4..WRAP).contains(&before) && now < WRAP / 4;
        wraps.then(|| now + (WRAP - before))
    }

    /// The gain per second.
    pub fn per_second(&self, section: &str, name: &str) -> Option<Estimate> {
        Some(Estimate::per_second(self.of(section, name)?, self.span))
    }

    /// The time between the two readings.
    pub const fn span(&self) -> Span {
        self.span
    }
}

const WRAP: u64 = 1 << 32;

/// Whether a number in these files counts events; otherwise it is a current level.
pub fn is_counter(section: &str, name: &str) -> bool {
    !GAUGES.contains(&(section, name))
}

/// The numbers in these files that are not counters.
///
/// Source: RFC 4022 (tcpRtoAlgorithm, tcpMaxConn, tcpCurrEstab), RFC 4293
/// (ipForwarding, ipDefaultTTL), linux/snmp.h.
const GAUGES: [(&str, &str); 8] = [
    ("Ip", "DefaultTTL"),
    ("Ip", "Forwarding"),
    ("MPTcpExt", "MPCurrEstab"),
    ("Tcp", "CurrEstab"),
    ("Tcp", "MaxConn"),
    ("Tcp", "RtoAlgorithm"),
    ("Tcp", "RtoMax"),
    ("Tcp", "RtoMin"),
];
