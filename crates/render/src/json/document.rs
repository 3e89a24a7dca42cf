//! The parts of a document around the sockets.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use std::time::Duration;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use sockdiag::civil;
use sockdiag::model::Netns;
use sockdiag::source::Summary;

/// Where, when and how a listing was made.
#[derive(Clone, Debug, Default)]
pub struct Header {
    /// Name and version of the program.
    pub program: String,
    /// Name of the machine.
    pub host: String,
    /// Release of its kernel.
    pub kernel: String,
    /// Inode of the network namespace; `None` if it cannot be read.
    pub netns_inode: Option<u64>,
    /// The recording that TCP sockets were read from, if the kernel was not asked.
    pub recording: Option<String>,
    /// The time of the listing, since 1970.
    pub time: Duration,
    /// The command-line arguments; bytes that are not UTF-8 are replaced.
    pub argv: Vec<String>,
}

impl Serialize for Header {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("program", &self.program)?;
        map.serialize_entry("host", &self.host)?;
        map.serialize_entry("kernel", &self.kernel)?;
        if let Some(inode) = self.netns_inode {
            map.serialize_entry("netns_inode", &inode)?;
        }
        if let Some(recording) = &self.recording {
            map.serialize_entry("recording", recording)?;
        }
        map.serialize_entry("time", &civil::rfc3339(self.time.as_secs(), None))?;
        map.serialize_entry("time_unix_ms", &(self.time.as_millis() as u64))?;
        map.serialize_entry("argv", &self.argv)?;
        map.end()
    }
}

/// Information available only after the last row.
#[derive(Clone, Debug, Default)]
pub struct Trailer {
    /// The messages for stderr, one line each.
    pub notes: Vec<String>,
    /// Tables that could not be read completely, and why.
    pub failures: Vec<String>,
}

/// The counts of `-s`, and their namespace.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// The network namespace, if several are listed.
    pub netns: Option<Netns>,
    /// The counts.
    pub summary: Summary,
}

/// The counts and their namespace as an object: `{"netns":{...},"summary":{...}}`.
pub(super) struct Line<'l>(pub(super) &'l Counted);

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(netns) = &self.0.netns {
            map.serialize_entry("netns", &Place(netns))?;
        }
        map.serialize_entry("summary", &Counts(&self.0.summary))?;
        map.end()
    }
}

/// A namespace, with the members that its fields have.
struct Place<'p>(&'p Netns);

impl Serialize for Place<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("inode", &self.0.inode)?;
        map.serialize_entry("title", &text(&self.0.title))?;
        if let Some(name) = &self.0.name {
            map.serialize_entry("name", &text(name))?;
        }
        map.end()
    }
}

/// The counts of `-s`.
pub(super) struct Counts<'c>(pub(super) &'c Summary);

impl Serialize for Counts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, _, count) in counts(self.0) {
            if let Some(count) = count {
                map.serialize_entry(key, &count)?;
            }
        }
        map.end()
    }
}

/// All counts: key, meaning and value of each.
pub fn counts(summary: &Summary) -> [(&'static str, &'static str, Option<i64>); 13] {
    [
        ("used", "Sockets of all families.", summary.used),
        ("tcp", "IPv4 TCP sockets in a hash table.", summary.tcp),
        ("tcp_orphans", "TCP sockets of both families that no process holds.", summary.tcp_orphans),
        ("tcp_time_wait", "TCP sockets of both families in TIME-WAIT.", summary.tcp_time_wait),
        ("tcp_allocated", "TCP sockets of both families, in any state.", summary.tcp_allocated),
        ("tcp_established", "Connections in ESTAB or CLOSE-WAIT.", summary.tcp_established),
        ("udp", "IPv4 UDP sockets.", summary.udp),
        ("raw", "IPv4 raw sockets.", summary.raw),
        ("frag", "IPv4 packets that wait for the rest of their fragments.", summary.frag),
        ("tcp6", "IPv6 TCP sockets in a hash table.", summary.tcp6),
        ("udp6", "IPv6 UDP sockets.", summary.udp6),
        ("raw6", "IPv6 raw sockets.", summary.raw6),
        ("frag6", "IPv6 packets that wait for the rest of their fragments.", summary.frag6),
    ]
}
