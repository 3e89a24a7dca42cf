//! Reading the counters of one network namespace.
//!
//! All files are opened and read in one visit, since entering another namespace costs
//! more than any of them.  None stays open: an open file would keep the namespace alive.
//!
//! Invariant: no more of a file is read than its limit, and a text that was cut there
//! ends with its last whole line.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use sockdiag_wire::errno::ENOENT;

use super::{HostCounters, text};
use crate::source::Sources;
use crate::sys::opener::{Opener, seen_here};
use crate::sys::{chosen, clock, errno_of};

/// Files of counters: path below `/proc`, and whether every kernel has it.
const FILES: [(&str, bool); 5] = [
    ("net/netstat", true),
    ("net/snmp", true),
    // A kernel without IPv6 lacks these.
    ("net/snmp6", false),
    ("net/sockstat", true),
    ("net/sockstat6", false),
];

/// A setting that is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    /// Its path below `/proc/sys`.
    pub(super) path: &'static str,
    /// Whether the setting is machine-wide and shown in the first namespace only.
    is_machine: bool,
}

const fn own(path: &'static str) -> Setting {
    Setting { path, is_machine: false }
}

const fn of_machine(path: &'static str) -> Setting {
    Setting { path, is_machine: true }
}

/// Every setting that is read.
///
/// Source: Documentation/networking/ip-sysctl.rst, Documentation/admin-guide/sysctl/net.rst.
pub(super) const SETTINGS: &[Setting] = &[
    own("net/core/somaxconn"),
    own("net/core/rmem_max"),
    own("net/core/wmem_max"),
    of_machine("net/core/netdev_max_backlog"),
    own("net/ipv4/ip_local_port_range"),
    own("net/ipv4/ip_local_reserved_ports"),
    own("net/ipv4/tcp_abort_on_overflow"),
    own("net/ipv4/tcp_congestion_control"),
    own("net/ipv4/tcp_ecn"),
    own("net/ipv4/tcp_fastopen"),
    own("net/ipv4/tcp_fin_timeout"),
    own("net/ipv4/tcp_keepalive_time"),
    of_machine("net/ipv4/tcp_max_orphans"),
    own("net/ipv4/tcp_max_syn_backlog"),
    own("net/ipv4/tcp_max_tw_buckets"),
    of_machine("net/ipv4/tcp_mem"),
    own("net/ipv4/tcp_moderate_rcvbuf"),
    own("net/ipv4/tcp_mtu_probing"),
    own("net/ipv4/tcp_notsent_lowat"),
    own("net/ipv4/tcp_retries2"),
    own("net/ipv4/tcp_rmem"),
    own("net/ipv4/tcp_sack"),
    own("net/ipv4/tcp_slow_start_after_idle"),
    own("net/ipv4/tcp_syn_retries"),
    own("net/ipv4/tcp_synack_retries"),
    own("net/ipv4/tcp_syncookies"),
    own("net/ipv4/tcp_timestamps"),
    own("net/ipv4/tcp_tw_reuse"),
    own("net/ipv4/tcp_window_scaling"),
    own("net/ipv4/tcp_wmem"),
    of_machine("net/ipv4/udp_mem"),
    own("net/unix/max_dgram_qlen"),
];

/// Longer than any of these files: 500 counters of 20 digits take 24 KiB, and a list of
/// every second port 190 KiB.
const LONGEST: u64 = 256 << 10;

/// The place to read counters from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// The files that replace the kernel's.
    pub(crate) sources: &'a Sources,
    /// Opens files of the namespace.
    pub(crate) opener: &'a Opener,
    /// The inode of the namespace; 0 if only our own is read.
    pub(crate) netns_inode: u64,
}

/// The contents of one file, or the error number.
type Text = Result<Vec<u8>, i32>;

/// Reads all counters and settings.
///
/// # Errors
/// If the namespace is gone or may not be entered: see [`Opener::run`].
pub(crate) fn read(place: Place<'_>) -> io::Result<HostCounters> {
    let mut paths: Vec<String> = FILES.iter().map(|file| file.0.to_owned()).collect();
    paths.extend(SETTINGS.iter().map(|setting| format!("sys/{}", setting.path)));
    let begin_ns = clock::now_ns();
    let texts: Vec<Text> = if place.sources.proc_root.is_some() {
        let text = |path: &String| contents(chosen::of_tree(&place.sources.proc_file(path)));
        paths.iter().map(text).collect()
    } else {
        let paths = paths.clone();
        place.opener.run(move || {
            paths.iter().map(|path| contents(File::open(seen_here(&Path::new("/proc").join(path))))).collect()
        })?
    };
    let window = clock::since(begin_ns);
    let said = paths.iter().zip(&texts).filter_map(|(path, text)| Some((&**path, &**text.as_ref().ok()?)));
    let mut counters = text::parse(said, window);
    counters.netns_inode = place.netns_inode;
    let expected = FILES.iter().copied().chain(SETTINGS.iter().map(|setting| (setting.path, false)));
    for ((path, is_everywhere), text) in expected.zip(&texts) {
        match text {
            Err(errno) if is_everywhere || *errno != ENOENT => counters.unread.push((path, *errno)),
            _ => {}
        }
    }
    Ok(counters)
}

impl HostCounters {
    /// Whether machine-wide settings are missing because this is not the first namespace.
    pub(crate) fn lacks_machine(&self) -> bool {
        let has = |path| self.settings.iter().any(|(had, _)| *had == path);
        SETTINGS.iter().any(|setting| setting.is_machine && !has(setting.path))
    }

    /// Copies machine-wide settings, which only the first namespace shows, from a reading
    /// made there.
    pub(crate) fn take_machine(&mut self, home: &Self) {
        for setting in SETTINGS.iter().filter(|setting| setting.is_machine) {
            let of = |all: &Self| all.settings.iter().find(|(path, _)| *path == setting.path).cloned();
            if of(self).is_none() {
                self.settings.extend(of(home));
            }
        }
    }
}

/// The contents of a file, up to the limit.
fn contents(file: io::Result<File>) -> Text {
    let mut text = Vec::new();
    let read = file.and_then(|file| file.take(LONGEST).read_to_end(&mut text));
    read.map_err(|error| errno_of(&error))?;
    if text.len() as u64 == LONGEST {
        let whole = text.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
        text.truncate(whole);
    }
    Ok(text)
}
