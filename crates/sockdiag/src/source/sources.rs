//! The files that replace the kernel as a source.
//!
//! Environment variables can replace any table by a file; that is how ss is tested and how
//! another machine's sockets are listed.  Only this module knows the variables.
//!
//! Source: ss(8)'s behaviour: PROC_ROOT, PROC_NET_*, TCPDIAG_FILE,
//! PROC_IP_LOCAL_PORT_RANGE.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use sockdiag_wire::ipproto::{IPPROTO_RAW, IPPROTO_TCP, IPPROTO_UDP};

use super::Access;
use crate::model::{Family, Table};
use crate::notice::NoWalk;
use crate::sys::chosen;
use crate::sys::secure::is_elevated;

/// The ephemeral range that is assumed if none can be read.
const NO_RANGE: (u16, u16) = (1024, 4999);

/// How much of the file with the range is read, in bytes.
const LONGEST_RANGE: u64 = 4 << 10;

/// How much of the list of reserved ports is read; a list of every second port is shorter.
const LONGEST_LIST: u64 = 256 << 10;

/// How the kernel's own tables are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// The best way that can answer the question.
    #[default]
    Best,
    /// A walk of the tables by a BPF program; another way if a walk cannot answer.
    Walk,
    /// Dumps by sock_diag; text for tables without a dump.
    Netlink,
    /// The text of /proc/net, for tables that have it.
    Text,
}

impl Way {
    /// The ways that a user can choose, by name.
    pub const NAMED: [(&'static str, Self); 3] =
        [("walk", Self::Walk), ("netlink", Self::Netlink), ("proc", Self::Text)];
}

/// Files that replace the kernel.  `None` means "not set": a variable with an empty value
/// is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// `PROC_ROOT`: replaces `/proc`, and turns netlink off.
    pub proc_root: Option<OsString>,
    /// `PROC_NET_TCP`; turns netlink off for tcp.  The variables below turn it off for their
    /// tables, except the IPv6 ones.
    pub proc_net_tcp: Option<OsString>,
    /// `PROC_NET_TCP6`.
    pub proc_net_tcp6: Option<OsString>,
    /// `PROC_NET_UDP`.
    pub proc_net_udp: Option<OsString>,
    /// `PROC_NET_UDP6`.
    pub proc_net_udp6: Option<OsString>,
    /// `PROC_NET_RAW`.
    pub proc_net_raw: Option<OsString>,
    /// `PROC_NET_RAW6`.
    pub proc_net_raw6: Option<OsString>,
    /// `PROC_NET_MPTCP`: makes the table empty, since mptcp has no text.
    pub proc_net_mptcp: Option<OsString>,
    /// `PROC_NET_DCCP`: as `PROC_NET_MPTCP`.
    pub proc_net_dccp: Option<OsString>,
    /// `PROC_NET_SCTP`: as `PROC_NET_MPTCP`.
    pub proc_net_sctp: Option<OsString>,
    /// `PROC_NET_UNIX`.
    pub proc_net_unix: Option<OsString>,
    /// `PROC_NET_NETLINK`.
    pub proc_net_netlink: Option<OsString>,
    /// `PROC_NET_PACKET`.
    pub proc_net_packet: Option<OsString>,
    /// `PROC_NET_SOCKSTAT`; it and the next two replace the files that `-s` reads.
    pub proc_net_sockstat: Option<OsString>,
    /// `PROC_NET_SOCKSTAT6`.
    pub proc_net_sockstat6: Option<OsString>,
    /// `PROC_NET_SNMP`.
    pub proc_net_snmp: Option<OsString>,
    /// `PROC_IP_LOCAL_PORT_RANGE`.
    pub ip_local_port_range: Option<OsString>,
    /// `TCPDIAG_FILE`: tcp sockets come from this recording.
    pub tcpdiag_file: Option<OsString>,
    /// The mount point of selinuxfs, if SELinux is on and the program looked for it; no
    /// variable sets it.
    pub selinuxfs: Option<PathBuf>,
    /// How the kernel's tables are read; no variable sets it.
    pub way: Way,
    /// Whether to report which way was chosen, and why not another.
    pub tells_way: bool,
}

impl Sources {
    /// Reads the variables; ignores them if the program has privileges that its caller
    /// lacks (set-user-ID, file capabilities), who could otherwise read forbidden files.
    pub fn from_env() -> Self {
        if is_elevated() {
            return Self::default();
        }
        Self {
            proc_root: env::var_os("PROC_ROOT"),
            proc_net_tcp: env::var_os("PROC_NET_TCP"),
            proc_net_tcp6: env::var_os("PROC_NET_TCP6"),
            proc_net_udp: env::var_os("PROC_NET_UDP"),
            proc_net_udp6: env::var_os("PROC_NET_UDP6"),
            proc_net_raw: env::var_os("PROC_NET_RAW"),
            proc_net_raw6: env::var_os("PROC_NET_RAW6"),
            proc_net_mptcp: env::var_os("PROC_NET_MPTCP"),
            proc_net_dccp: env::var_os("PROC_NET_DCCP"),
            proc_net_sctp: env::var_os("PROC_NET_SCTP"),
            proc_net_unix: env::var_os("PROC_NET_UNIX"),
            proc_net_netlink: env::var_os("PROC_NET_NETLINK"),
            proc_net_packet: env::var_os("PROC_NET_PACKET"),
            proc_net_sockstat: env::var_os("PROC_NET_SOCKSTAT"),
            proc_net_sockstat6: env::var_os("PROC_NET_SOCKSTAT6"),
            proc_net_snmp: env::var_os("PROC_NET_SNMP"),
            ip_local_port_range: env::var_os("PROC_IP_LOCAL_PORT_RANGE"),
            tcpdiag_file: env::var_os("TCPDIAG_FILE"),
            selinuxfs: None,
            way: Way::Best,
            tells_way: false,
        }
    }

    /// Whether to report why there was no walk: always if a walk was requested, otherwise
    /// if one was tried and failed.
    pub(super) fn tells_refusal(&self, why: &NoWalk) -> bool {
        self.way == Way::Walk || (self.tells_way && why.is_refusal())
    }

    /// A file below the root of /proc, e.g. `net/tcp`.
    pub fn proc_file(&self, name: &str) -> PathBuf {
        let mut path = self.proc_root.clone().unwrap_or_else(|| "/proc".into());
        path.push("/");
        path.push(name);
        path.into()
    }

    /// Whether this machine's own kernel is asked: no file replaces it, except that of the
    /// port range.
    pub fn are_live(&self) -> bool {
        let Self { ip_local_port_range, selinuxfs, way, tells_way, .. } = self.clone();
        *self == Self { ip_local_port_range, selinuxfs, way, tells_way, ..Self::default() }
    }

    /// Whether a table must be read as text, even if netlink is available.
    pub(crate) fn text_is_forced(&self, table: Table) -> bool {
        self.way == Way::Text
            || self.proc_root.is_some()
            || match table {
                Table::Mptcp => self.proc_net_mptcp.is_some(),
                Table::Dccp => self.proc_net_dccp.is_some(),
                Table::Sctp => self.proc_net_sctp.is_some(),
                Table::Netlink => self.proc_net_netlink.is_some(),
                Table::PacketDgram | Table::PacketRaw => self.proc_net_packet.is_some(),
                Table::UnixDgram | Table::UnixStream | Table::UnixSeqpacket => self.proc_net_unix.is_some(),
                _ => match table.protocol() {
                    IPPROTO_TCP => self.proc_net_tcp.is_some(),
                    IPPROTO_UDP => self.proc_net_udp.is_some(),
                    IPPROTO_RAW => self.proc_net_raw.is_some(),
                    _ => false,
                },
            }
    }

    /// The file with a table's text for one family; `None` if there is no such text.
    pub(super) fn text_of(&self, table: Table, family: Family) -> Option<PathBuf> {
        let (set, name) = match (table.protocol(), family) {
            (IPPROTO_TCP, Family::Inet) => (&self.proc_net_tcp, "net/tcp"),
            (IPPROTO_TCP, Family::Inet6) => (&self.proc_net_tcp6, "net/tcp6"),
            (IPPROTO_UDP, Family::Inet) => (&self.proc_net_udp, "net/udp"),
            (IPPROTO_UDP, Family::Inet6) => (&self.proc_net_udp6, "net/udp6"),
            (IPPROTO_RAW, Family::Inet) => (&self.proc_net_raw, "net/raw"),
            (IPPROTO_RAW, Family::Inet6) => (&self.proc_net_raw6, "net/raw6"),
            _ => return None,
        };
        Some(set.as_ref().map_or_else(|| self.proc_file(name), PathBuf::from))
    }

    /// The file with the text of the unix tables.
    pub(super) fn unix_text(&self) -> PathBuf {
        self.proc_net_unix.as_ref().map_or_else(|| self.proc_file("net/unix"), PathBuf::from)
    }

    /// The file with the text of the netlink table.
    pub(super) fn netlink_text(&self) -> PathBuf {
        self.proc_net_netlink.as_ref().map_or_else(|| self.proc_file("net/netlink"), PathBuf::from)
    }

    /// The file with the text of the packet tables.
    pub(super) fn packet_text(&self) -> PathBuf {
        self.proc_net_packet.as_ref().map_or_else(|| self.proc_file("net/packet"), PathBuf::from)
    }

    /// Opens a file that one of these methods returned, or one of a network namespace.
    pub(super) fn open(&self, path: &Path, access: &Access) -> io::Result<File> {
        match &self.proc_root {
            Some(root) if path.starts_with(root) => chosen::of_tree(path),
            _ => access.open(path),
        }
    }

    /// The ports that the kernel assigns to sockets that ask for none, first and last; 1024
    /// to 4999 if that cannot be read.
    pub fn port_range(&self, access: &Access) -> (u16, u16) {
        let path = self
            .ip_local_port_range
            .as_ref()
            .map_or_else(|| self.proc_file("sys/net/ipv4/ip_local_port_range"), PathBuf::from);
        let mut text = Vec::new();
        let read = self.open(&path, access).and_then(|file| file.take(LONGEST_RANGE).read_to_end(&mut text));
        read.ok().and_then(|_| parse_range(&text)).unwrap_or(NO_RANGE)
    }

    /// How many ports of a range the kernel never assigns by itself; 0 if that cannot be
    /// read.
    pub(crate) fn reserved_ports(&self, access: &Access, range: RangeInclusive<u16>) -> u32 {
        let path = self.proc_file("sys/net/ipv4/ip_local_reserved_ports");
        let mut text = Vec::new();
        let read = self.open(&path, access).and_then(|file| file.take(LONGEST_LIST).read_to_end(&mut text));
        read.map_or(0, |_| ports_listed(&text, &range))
    }
}

/// How many ports of a range are in a list such as `80,9000-9010`.
pub(crate) fn ports_listed(text: &[u8], range: &RangeInclusive<u16>) -> u32 {
    let each = text.trim_ascii().split(|byte| *byte == b',').filter_map(|part| {
        let (first, last) =
            std::str::from_utf8(part).ok().map(|part| part.split_once('-').unwrap_or((part, part)))?;
        let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
        let (first, last) = (first.max(*range.start()), last.min(*range.end()));
        Some((u32::from(last) + 1).saturating_sub(first.into()))
    });
    // The kernel merges overlapping ranges, so no port is counted twice.
    each.sum()
}

fn parse_range(text: &[u8]) -> Option<(u16, u16)> {
    let mut numbers = std::str::from_utf8(text).ok()?.split_ascii_whitespace();
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_moves_every_file_and_switches_netlink_off() {
        let plain = Sources::default();
        assert_eq!(plain.text_of(Table::Tcp, Family::Inet6), Some("/proc/net/tcp6".into()));
        assert!(!plain.text_is_forced(Table::Tcp));
        let moved = Sources { proc_root: Some("root".into()), ..Sources::default() };
        assert_eq!(moved.text_of(Table::Udp, Family::Inet), Some("root/net/udp".into()));
        assert!(moved.text_is_forced(Table::Udp) && moved.text_is_forced(Table::Mptcp));
        let text = Sources { way: Way::Text, ..Sources::default() };
        assert!(text.text_is_forced(Table::Tcp) && text.text_is_forced(Table::UnixStream));
    }

    #[test]
    fn the_ipv6_file_alone_forces_nothing() {
        let six = Sources { proc_net_tcp6: Some("p6".into()), ..Sources::default() };
        assert!(!six.text_is_forced(Table::Tcp));
        assert_eq!(six.text_of(Table::Tcp, Family::Inet6), Some("p6".into()));
        let four = Sources { proc_net_tcp: Some(OsString::new()), ..Sources::default() };
        assert!(four.text_is_forced(Table::Tcp) && !four.text_is_forced(Table::Udp));
        assert_eq!(four.text_of(Table::Mptcp, Family::Inet), None);
    }

    #[test]
    fn the_port_range_is_two_numbers() {
        assert_eq!(parse_range(b"32768\t60999\n"), Some((32768, 60999)));
        assert_eq!(parse_range(b"32768\n"), None);
        assert_eq!(parse_range(b"x y"), None);
        for (list, want) in [
            ("\n", 0),
            ("100\n", 1),
            ("99,120-130,200\n", 12),
            ("1-65535\n", 101),
            ("150-140,x,1-,199-201", 2),
        ] {
            assert_eq!(ports_listed(list.as_bytes(), &(100..=200)), want, "{list}");
        }
        let missing = Sources { ip_local_port_range: Some("/nonexistent".into()), ..Sources::default() };
        assert_eq!(missing.port_range(&Access::here()), NO_RANGE);
    }
}
