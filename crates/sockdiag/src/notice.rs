//! Things worth saying on standard error that are not failures of the program.
//!
//! A table that cannot be read completely is still shown as far as it was, and
//! the exit status stays 0; what the user is told is a notice.  Each notice's text
//! is exactly what `ss` prints, newline included where it prints one.
//!
//! Source: ss's behaviour (its messages are an interface that scripts see).

use std::fmt;
use std::path::PathBuf;

use crate::model::BpfComplaint;
use crate::source::{Missing, Tally};
use crate::sys::errno_text;

/// Something worth saying on standard error.  `errno` is a system error number.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Notice {
    /// The kernel changed the table while it was being read.
    DumpInterrupted,
    /// A datagram did not fit into the buffer; its end is lost.
    MessageTruncated,
    /// The kernel refused a request.
    Answer { errno: i32 },
    /// The kernel refused a request and said why, in words.
    Explained { text: Vec<u8> },
    /// The kernel could not fit one socket into a message.
    BufferTooSmall,
    /// No netlink socket.
    SocketFailed { errno: i32 },
    /// `SO_SNDBUF` was refused.
    SendBufferFailed { errno: i32 },
    /// `SO_RCVBUF` was refused.
    ReceiveBufferFailed { errno: i32 },
    /// The netlink socket could not be bound.
    BindSocketFailed { errno: i32 },
    /// Replies could not be received; `ENOBUFS` means that some were dropped.
    ReceiveFailed { errno: i32 },
    /// The netlink socket was closed.
    Eof,
    /// The message that ends a dump is too short.
    DoneTruncated,
    /// A message that reports an error is too short.
    ErrorTruncated,
    /// A datagram's last bytes form no message.
    Remnant { bytes: usize },
    /// A socket's attributes end in bytes that form none; negative where the
    /// message ends before its attributes begin.
    Deficit { bytes: i64, attr_len: u16 },
    /// The recording cannot be opened.
    RecordingOpen { errno: i32 },
    /// The recording ends without saying so.
    RecordingEof,
    /// The recording holds an error of the recorded kernel.
    RecordingAnswer { errno: i32 },
    /// The recording cannot be read where a message begins.
    RecordingHeader { errno: i32 },
    /// The recording cannot be read inside a message.
    RecordingBody { errno: i32 },
    /// A file of names has a line that is none; the line keeps its newline.
    DatabaseCorrupted { path: PathBuf, line: Vec<u8> },
    /// No cgroup2 file system is mounted.
    NoCgroupMount,
    /// The cgroup2 mount point cannot be opened.
    CgroupMount,
    /// A cgroup id that cannot exist.
    CgroupIdInvalid,
    /// A cgroup exists but cannot be opened by its id.
    CgroupOpen,
    /// The counters of sockets cannot be opened.
    SockstatFailed { errno: i32 },
    /// The number of connections cannot be read (`ESRCH`: the file does not hold it).
    SnmpFailed { errno: i32 },
    /// Nobody is known to hold these sockets, and there are processes that may
    /// not be looked into.  The reference says nothing: for people alone.
    HoldersHidden { sockets: u64, processes: u32 },
    /// The kernel lists no sockets of a table that was asked for by name.  The
    /// reference says nothing: for people alone.
    Missing { title: &'static str, why: Missing },
    /// The one way to look for holders that was asked for cannot be gone.
    HoldersRefused { why: String },
    /// Network namespaces that may not be entered, by their titles, and
    /// processes that may not be looked into, whose namespaces may be missing
    /// too.  The reference lists one namespace alone: for people alone.
    NamespacesUnseen { refused: Vec<Vec<u8>>, errno: i32, processes: u32 },
    /// There was no room to remember so many sockets as other ends.
    PeersLeftOut { sockets: u64 },
    /// What became of the sockets that were to be destroyed.  The reference
    /// says nothing: for people alone.
    Destroyed(Tally),
    /// The kernel refused to destroy a socket.
    DestroyRefused { errno: i32 },
    /// The kernel dropped messages about destroyed sockets, for the so-manieth
    /// time: the receive queue overflowed.
    EventsLost { times: u64 },
    /// A BPF map cannot be opened.
    MapOpen { id: u32, errno: i32 },
    /// The kernel does not say what a BPF map is.
    MapInfo { id: u32 },
    /// A BPF map is no socket-local storage.
    MapKind { id: u32, kind: u32 },
    /// The types of a BPF map cannot be read.
    MapTypes { id: u32 },
    /// More BPF maps than may be open.
    MapsTooMany { id: u32 },
    /// A value has not the size that the values of its BPF map have.
    MapValueSize { id: u32, expected: u32, got: u32 },
    /// The types of a BPF map say what cannot be.
    MapComplaint(BpfComplaint),
    /// A file of `/etc/netns` could not be put over its namesake.
    BindFailed { from: PathBuf, to: PathBuf, errno: i32 },
}

impl Notice {
    /// Whether the reference has no such message, so that only people should
    /// see it and no script.
    pub fn is_ours(&self) -> bool {
        matches!(
            self,
            Self::HoldersHidden { .. }
                | Self::Missing { .. }
                | Self::NamespacesUnseen { .. }
                | Self::PeersLeftOut { .. }
                | Self::Destroyed(_)
        )
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DumpInterrupted => f.write_str("Dump was interrupted and may be inconsistent.\n"),
            Self::MessageTruncated => f.write_str("Message truncated\n"),
            Self::Answer { errno } => writeln!(f, "RTNETLINK answers: {}", errno_text(*errno)),
            Self::Explained { text } => {
                let dot = if text.last() == Some(&b'.') { "" } else { "." };
                writeln!(f, "Error: {}{dot}", String::from_utf8_lossy(text))
            }
            Self::BufferTooSmall => f.write_str("Error: Buffer too small for object.\n"),
            Self::SocketFailed { errno } => {
                writeln!(f, "Cannot open netlink socket: {}", errno_text(*errno))
            }
            Self::SendBufferFailed { errno } => writeln!(f, "SO_SNDBUF: {}", errno_text(*errno)),
            Self::ReceiveBufferFailed { errno } => writeln!(f, "SO_RCVBUF: {}", errno_text(*errno)),
            Self::BindSocketFailed { errno } => {
                writeln!(f, "Cannot bind netlink socket: {}", errno_text(*errno))
            }
            Self::ReceiveFailed { errno } => {
                writeln!(f, "netlink receive error {} ({errno})", errno_text(*errno))
            }
            Self::Eof => f.write_str("EOF on netlink\n"),
            Self::DoneTruncated => f.write_str("DONE truncated\n"),
            Self::ErrorTruncated => f.write_str("ERROR truncated\n"),
            Self::Remnant { bytes } => writeln!(f, "!!!Remnant of size {bytes}"),
            Self::Deficit { bytes, attr_len } => writeln!(f, "!!!Deficit {bytes}, rta_len={attr_len}"),
            Self::RecordingOpen { errno } => writeln!(f, "fopen($TCPDIAG_FILE): {}", errno_text(*errno)),
            // As the reference has it: no newline.
            Self::RecordingEof => f.write_str("Unexpected EOF reading $TCPDIAG_FILE"),
            Self::RecordingAnswer { errno } => writeln!(f, "TCPDIAG answered: {}", errno_text(*errno)),
            Self::RecordingHeader { errno } => {
                writeln!(f, "Reading header from $TCPDIAG_FILE: {}", errno_text(*errno))
            }
            Self::RecordingBody { errno } => writeln!(f, "Reading $TCPDIAG_FILE: {}", errno_text(*errno)),
            Self::DatabaseCorrupted { path, line } => {
                writeln!(f, "Database {} is corrupted at {}", path.display(), String::from_utf8_lossy(line))
            }
            Self::NoCgroupMount => f.write_str("Failed to find cgroup2 mount\n"),
            Self::CgroupMount => f.write_str("Failed to open cgroup2 mount\n"),
            Self::CgroupIdInvalid => f.write_str("Invalid cgroup2 ID\n"),
            Self::CgroupOpen => f.write_str("Failed to open cgroup2 by ID\n"),
            Self::DestroyRefused { errno } => writeln!(f, "SOCK_DESTROY answers: {}", errno_text(*errno)),
            Self::Destroyed(Tally { destroyed, gone, spared, passed }) => {
                write!(f, "ss: {destroyed} sockets closed")?;
                if *gone > 0 {
                    write!(f, ", {gone} gone before")?;
                }
                if *spared > 0 {
                    write!(f, ", {spared} that this kernel does not close")?;
                }
                if *passed > 0 {
                    write!(f, ", {passed} listed that are never closed: not an internet protocol's")?;
                }
                f.write_str("\n")
            }
            Self::EventsLost { times } => {
                writeln!(f, "ss: the receive queue overflowed {times} times: sockets were destroyed unseen")
            }
            Self::SockstatFailed { errno } => writeln!(f, "ss: get_sockstat: {}", errno_text(*errno)),
            Self::SnmpFailed { errno } => writeln!(f, "ss: get_snmpstat: {}", errno_text(*errno)),
            Self::HoldersHidden { sockets, processes } => {
                writeln!(
                    f,
                    "ss: {sockets} sockets without a process: {processes} processes may not be looked into"
                )
            }
            Self::Missing { title, why } => {
                f.write_str("ss: ")?;
                why.tell(title, f)?;
                f.write_str("\n")
            }
            Self::HoldersRefused { why } => writeln!(f, "ss: no iterator over open files: {why}"),
            Self::MapOpen { id, errno } => {
                const EPERM: i32 = 1;
                let lacking = match *errno {
                    EPERM => ": missing root permissions, CAP_BPF, or CAP_SYS_ADMIN",
                    _ => "",
                };
                writeln!(f, "ss: cannot get fd for BPF map ID {id}{lacking}")
            }
            Self::MapInfo { id } => writeln!(f, "ss: failed to get info for BPF map ID {id}"),
            Self::MapKind { id, kind } => {
                writeln!(f, "ss: BPF map with ID {id} has type ID {kind}, expecting 24 ('sk_storage')")
            }
            Self::MapTypes { id } => writeln!(f, "ss: failed to load BTF for map ID {id}"),
            Self::MapsTooMany { id } => {
                writeln!(f, "ss: too many (> 32) BPF socket-local storage maps found, skipping map ID {id}")
            }
            Self::MapValueSize { id, expected, got } => {
                writeln!(f, "map_id: {}: invalid value size, expecting {expected}, got {got}", *id as i32)
            }
            Self::MapComplaint(complaint) => writeln!(f, "libbpf: {complaint}"),
            Self::NamespacesUnseen { refused, errno, processes } => {
                if !refused.is_empty() {
                    write!(f, "ss: {} network namespaces may not be entered:", refused.len())?;
                    refused.iter().try_for_each(|name| write!(f, " {}", name.escape_ascii()))?;
                    writeln!(f, ": {}", errno_text(*errno))?;
                }
                if *processes > 0 {
                    writeln!(
                        f,
                        "ss: {processes} processes may not be looked into: network namespaces may be missing"
                    )?;
                }
                Ok(())
            }
            Self::PeersLeftOut { sockets } => {
                writeln!(f, "ss: {sockets} sockets too many to be known as peers")
            }
            Self::BindFailed { from, to, errno } => {
                writeln!(f, "Bind {} -> {} failed: {}", from.display(), to.display(), errno_text(*errno))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_the_reference_s() {
        for (notice, want) in [
            (Notice::Answer { errno: 13 }, "RTNETLINK answers: Permission denied\n"),
            (Notice::Explained { text: b"No such table".to_vec() }, "Error: No such table.\n"),
            (Notice::Explained { text: b"Has one.".to_vec() }, "Error: Has one.\n"),
            (Notice::ReceiveFailed { errno: 105 }, "netlink receive error No buffer space available (105)\n"),
            (Notice::Deficit { bytes: -68, attr_len: 0 }, "!!!Deficit -68, rta_len=0\n"),
            (
                Notice::BindFailed { from: "/etc/netns/a/x".into(), to: "/etc/x".into(), errno: 2 },
                "Bind /etc/netns/a/x -> /etc/x failed: No such file or directory\n",
            ),
        ] {
            assert_eq!(notice.to_string(), want);
        }
    }
}
