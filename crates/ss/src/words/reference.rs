//! The reference's messages, byte for byte.
//!
//! Names, paths and lines are printed as raw bytes.  A notice has a newline where the
//! reference prints one; a message that ends the program has none.
//!
//! Source: the program's behaviour.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use sockdiag::filter::{CgroupError, FilterError, HostError};
use sockdiag::model::{BadState, BadTable, BpfComplaint, Empty};
use sockdiag::notice::Notice;
use sockdiag::sys::errno_text;
use sockdiag::sys::netns::EnterError;

/// Joins the parts of a message, some of which may be any bytes.
fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// What the reference prints for a notice; `None` if it prints nothing there, or never gets
/// there.
pub(crate) fn notice(notice: &Notice) -> Option<Vec<u8>> {
    let text = |text: &str| text.as_bytes().to_vec();
    let failed = |what: &str, errno: &i32| format!("{what}: {}\n", errno_text(*errno)).into_bytes();
    Some(match notice {
        Notice::DumpInterrupted => text("Dump was interrupted and may be inconsistent.\n"),
        Notice::MessageTruncated => text("Message truncated\n"),
        Notice::Answer { errno } => failed("RTNETLINK answers", errno),
        Notice::Explained { text } => {
            let dot: &[u8] = if text.last() == Some(&b'.') { b"" } else { b"." };
            joined(&[b"Error: ", text, dot, b"\n"])
        }
        Notice::BufferTooSmall => text("Error: Buffer too small for object.\n"),
        Notice::SocketFailed { errno } => failed("Cannot open netlink socket", errno),
        Notice::SendBufferFailed { errno } => failed("SO_SNDBUF", errno),
        Notice::ReceiveBufferFailed { errno } => failed("SO_RCVBUF", errno),
        Notice::BindSocketFailed { errno } => failed("Cannot bind netlink socket", errno),
        Notice::ReceiveFailed { errno } => {
            format!("netlink receive error {} ({errno})\n", errno_text(*errno)).into_bytes()
        }
        Notice::Eof => text("EOF on netlink\n"),
        Notice::DoneTruncated => text("DONE truncated\n"),
        Notice::ErrorTruncated => text("ERROR truncated\n"),
        Notice::Remnant { bytes } => format!("!!!Remnant of size {bytes}\n").into_bytes(),
        Notice::Deficit { bytes, attr_len } => {
            format!("!!!Deficit {bytes}, rta_len={attr_len}\n").into_bytes()
        }
        Notice::RecordingOpen { errno } => failed("fopen($TCPDIAG_FILE)", errno),
        // No newline.
        Notice::RecordingEof => text("Unexpected EOF reading $TCPDIAG_FILE"),
        Notice::RecordingAnswer { errno } => failed("TCPDIAG answered", errno),
        Notice::RecordingHeader { errno } => failed("Reading header from $TCPDIAG_FILE", errno),
        Notice::RecordingBody { errno } => failed("Reading $TCPDIAG_FILE", errno),
        // The line contains its newline, unless it is the last one of the file.
        Notice::DatabaseCorrupted { path, line } => {
            joined(&[b"Database ", path.as_os_str().as_bytes(), b" is corrupted at ", line, b"\n"])
        }
        Notice::NoCgroupMount => text("Failed to find cgroup2 mount\n"),
        Notice::CgroupMount { .. } => text("Failed to open cgroup2 mount\n"),
        Notice::CgroupIdInvalid => text("Invalid cgroup2 ID\n"),
        Notice::CgroupOpen { .. } => text("Failed to open cgroup2 by ID\n"),
        Notice::SockstatFailed { errno } => failed("ss: get_sockstat", errno),
        Notice::SnmpFailed { errno } => failed("ss: get_snmpstat", errno),
        Notice::DestroyRefused { errno } => failed("SOCK_DESTROY answers", errno),
        Notice::MapOpen { id, errno } => {
            const EPERM: i32 = 1;
            let lacking = match *errno {
                EPERM => ": missing root permissions, CAP_BPF, or CAP_SYS_ADMIN",
                _ => "",
            };
            format!("ss: cannot get fd for BPF map ID {id}{lacking}\n").into_bytes()
        }
        Notice::MapInfo { id, .. } => format!("ss: failed to get info for BPF map ID {id}\n").into_bytes(),
        Notice::MapKind { id, kind } => {
            format!("ss: BPF map with ID {id} has type ID {kind}, expecting 24 ('sk_storage')\n").into_bytes()
        }
        Notice::MapTypes { id } => format!("ss: failed to load BTF for map ID {id}\n").into_bytes(),
        Notice::MapsTooMany { id } => {
            format!("ss: too many (> 32) BPF socket-local storage maps found, skipping map ID {id}\n")
                .into_bytes()
        }
        Notice::MapValueSize { id, expected, got } => {
            let id = id.cast_signed();
            format!("map_id: {id}: invalid value size, expecting {expected}, got {got}\n").into_bytes()
        }
        Notice::MapComplaint(complaint) => format!("libbpf: {}\n", libbpf(*complaint)?).into_bytes(),
        Notice::BindFailed { from, to, errno } => joined(&[
            b"Bind ",
            from.as_os_str().as_bytes(),
            b" -> ",
            to.as_os_str().as_bytes(),
            b" failed: ",
            errno_text(*errno).as_bytes(),
            b"\n",
        ]),
        // The reference prints nothing for these: `HoldersHidden`, `Missing`,
        // `HoldersRefused`, `NamespacesUnseen`, `PeersLeftOut`, `Destroyed` and `EventsLost`.
        _ => return None,
    })
}

/// The complaint about a value's type of libbpf, which the reference prints values with.
fn libbpf(complaint: BpfComplaint) -> Option<String> {
    Some(match complaint {
        BpfComplaint::IntSize { size, id } => format!("unexpected sz {size} for id [{id}]"),
        BpfComplaint::NumberSize { size, id } => format!("unexpected size {size} for id [{id}]"),
        BpfComplaint::BitFieldSize { size } => format!("unexpected bitfield size {size}"),
        BpfComplaint::ElementSize { id } => format!("unexpected elem size 0 for array type [{id}]"),
        BpfComplaint::Declaration { kind, id } => {
            format!("unexpected type in decl chain, kind:{kind}, id:[{id}]")
        }
        _ => return None,
    })
}

/// What the reference prints for a filter error, in one or more lines; `None` for conditions
/// that it lacks.
pub(crate) fn filter(error: &FilterError) -> Option<Vec<u8>> {
    Some(match error {
        FilterError::Syntax => b"ss: bison bellows (while parsing filter): \"syntax error!\" Sorry.".to_vec(),
        FilterError::TooDeep => {
            b"ss: bison bellows (while parsing filter): \"memory exhausted!\" Sorry.".to_vec()
        }
        FilterError::Host(reason) => {
            let mut lines = match reason {
                None => Vec::new(),
                Some(HostError::Address(word)) => {
                    joined(&[b"Error: an inet prefix is expected rather than \"", word, b"\".\n"])
                }
                Some(HostError::Port(word)) => {
                    joined(&[b"Error: \"", word, b"\" does not look like a port.\n"])
                }
                Some(_) => return None,
            };
            lines.extend_from_slice(b"Cannot parse dst/src address.");
            lines
        }
        FilterError::Device => b"Cannot parse device.".to_vec(),
        FilterError::Mark(value) => joined(&[b"Cannot parse mark ", value, b"."]),
        FilterError::Cgroup { path, reason } => {
            joined(&[cgroup(*reason)?.as_bytes(), b"\nCannot parse cgroup ", path, b"."])
        }
        FilterError::CgroupUnsupported => {
            b"It looks like such filter is not supported! Too old kernel?".to_vec()
        }
        FilterError::LineTooLong => b"Too long line in filter".to_vec(),
        FilterError::InvalidLine => b"Invalid line".to_vec(),
        _ => return None,
    })
}

/// Why a path has no cgroup id.
fn cgroup(error: CgroupError) -> Option<String> {
    Some(match error {
        CgroupError::NoId { errno } => format!("Failed to get cgroup2 ID: {}", errno_text(errno)),
        CgroupError::IdSize => "Invalid size of cgroup2 ID".to_owned(),
        CgroupError::NotMounted => "Failed to find cgroup2 mount".to_owned(),
        CgroupError::MountPoint { .. } => "Failed to open cgroup2 mount".to_owned(),
        CgroupError::EmptyPath => "Invalid cgroup2 path".to_owned(),
        _ => return None,
    })
}

/// What the reference prints for an item of `-A` that is not a table.
pub(crate) fn bad_table(bad: &BadTable) -> Vec<u8> {
    joined(&[b"ss: \"", &bad.0, b"\" is illegal socket table id"])
}

/// What the reference prints for a word that is not a state.
pub(crate) fn bad_state(bad: &BadState) -> Vec<u8> {
    joined(&[b"ss: wrong state name: ", &bad.0])
}

/// What the reference prints for a selection that leaves nothing.
pub(crate) fn empty(empty: Empty) -> &'static str {
    match empty {
        Empty::Tables => "ss: no socket tables to show with such filter.",
        Empty::Families => "ss: no families to show with such filter.",
        Empty::States => "ss: no socket states to show with such filter.",
    }
}

/// What the reference prints for a namespace that it cannot enter.
pub(crate) fn enter(error: &EnterError) -> Vec<u8> {
    let named = |before: &str, name: &OsStr, after: &str, errno: i32| {
        joined(&[before.as_bytes(), name.as_bytes(), after.as_bytes(), errno_text(errno).as_bytes()])
    };
    let failed = |what: &str, errno: i32| format!("{what} failed: {}", errno_text(errno)).into_bytes();
    match error {
        EnterError::Open { name, errno } => named("Cannot open network namespace \"", name, "\": ", *errno),
        EnterError::Set { name, errno } => {
            named("setting the network namespace \"", name, "\" failed: ", *errno)
        }
        EnterError::Unshare { errno } => failed("unshare", *errno),
        EnterError::Slave { errno } => failed("\"mount --make-rslave /\"", *errno),
        EnterError::Sys { errno } => failed("mount of /sys", *errno),
        _ => format!("ss: {error}").into_bytes(),
    }
}
