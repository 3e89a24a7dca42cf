//! Notices for users, besides the rows of a listing.
//!
//! A table that cannot be read completely is still listed as far as it was read; a
//! [`Notice`] reports what is missing and why.  Notices arrive between the rows where they
//! arose.
//!
//! Invariant: a notice holds numbers, raw bytes and error numbers, so that a program can
//! word it as it likes.  Its `Display` is one plain sentence without newlines or control
//! characters.

mod missing;
mod refusal;
mod unseen;

use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use sockdiag_facts::errno_text;

use crate::filter::Remark;
use crate::model::BpfComplaint;

pub use missing::{Missing, NoIterator, NoWalk};
pub use refusal::Refusal;
pub(crate) use refusal::Refusals;
pub use unseen::{Ownerless, Unseen};

/// Something that users should know.  `errno` is a system error number.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
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
    /// A netlink socket could not be opened.
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
    /// The last bytes of a datagram form no message.
    Remnant { bytes: usize },
    /// A socket's attributes end in bytes that form none; negative where the
    /// message ends before its attributes begin.  `attr_len` is the length
    /// that these bytes claim.
    Deficit { bytes: i64, attr_len: u16 },
    /// The recording cannot be opened.
    RecordingOpen { errno: i32 },
    /// The recording ends without an end marker.
    RecordingEof,
    /// The recording holds an error of the recorded kernel.
    RecordingAnswer { errno: i32 },
    /// The recording cannot be read where a message begins.
    RecordingHeader { errno: i32 },
    /// The recording cannot be read inside a message.
    RecordingBody { errno: i32 },
    /// A file of names has a malformed line; the line keeps its newline.
    DatabaseCorrupted { path: PathBuf, line: Vec<u8> },
    /// No cgroup2 file system is mounted.
    NoCgroupMount,
    /// The cgroup2 mount point cannot be opened.
    CgroupMount { errno: i32 },
    /// A socket has a cgroup id that cannot exist.
    CgroupIdInvalid,
    /// A cgroup exists but cannot be opened by its id.
    CgroupOpen { errno: i32 },
    /// A socket has the id of a cgroup that is not there: it was removed, or belongs to
    /// another machine.
    CgroupGone,
    /// The file with the socket counters cannot be opened.
    SockstatFailed { errno: i32 },
    /// The number of connections cannot be read (`ESRCH`: the file does not hold it).
    SnmpFailed { errno: i32 },
    /// These shown sockets have no known process, and `why` says why a process may hold
    /// them nevertheless.  `tested` counts the sockets, shown or not, on which a condition
    /// on processes was tested.
    HoldersHidden { sockets: u64, tested: u64, why: Unseen },
    /// This many shown sockets have no process, for this reason; if the socket does not
    /// show the reason, some of them are listed by table and port.
    Ownerless { why: Ownerless, sockets: u64, examples: Vec<(&'static str, u32)> },
    /// Only these threads, listed with their processes, have some sockets open that were
    /// shown without a process.
    HeldByThreads { sockets: u64, threads: Vec<(i32, i32)> },
    /// Conditions on processes were tested on destroyed sockets, which no process holds any
    /// more.
    EventsWithoutHolders,
    /// Sockets of these tables were read from /proc text, which has fewer values than
    /// netlink replies.
    ProcText { tables: Vec<&'static str> },
    /// The other ends of this many connections are not in this network namespace, and
    /// others were not searched.
    PeersElsewhere { sockets: u64 },
    /// No process has the other ends of this many connections within this machine open:
    /// they are not accepted yet, or closed.
    PeersUnheld { sockets: u64 },
    /// The kernel lists no sockets of a table that was requested by name.
    Missing { title: &'static str, why: Missing },
    /// The kernel refused the program that searches for holders, so they were
    /// searched for in /proc.
    HolderProgramRejected { why: NoIterator },
    /// The kernel's verifier refused the BPF program that reads whole descriptor tables, so
    /// holders were searched by a program that runs for every open file.
    HolderTablesRejected { why: NoIterator },
    /// The only search method that was requested is unavailable, so holders are unknown.
    HoldersRefused { why: NoIterator },
    /// TCP sockets were read by walking the kernel's tables; `looked_up` of them had to be
    /// looked up one by one.
    Walked { sockets: u64, looked_up: u64 },
    /// TCP sockets were dumped, not walked.
    NotWalked { why: NoWalk },
    /// Network namespaces that may not be entered, by their titles, and why namespaces of
    /// some processes may be missing too.
    NamespacesUnseen { refused: Vec<Vec<u8>>, errno: i32, why: Unseen },
    /// A network namespace that was requested by itself existed in an earlier poll, and is
    /// gone or may not be entered any more.
    NamespaceGone { name: Vec<u8>, errno: i32 },
    /// This many sockets did not fit into the table in which the other ends of
    /// connections are looked up.
    PeersLeftOut { sockets: u64 },
    /// The results for the sockets to be destroyed.
    Destroyed(Tally),
    /// A field that was requested by name is only reported with this privilege or option.
    Withheld { field: String, without: &'static str },
    /// A value in the filter is compared in another form than it was typed.
    Filter(Remark),
    /// The kernel refused to destroy a socket.
    DestroyRefused { errno: i32 },
    /// The receive queue overflowed, so the kernel dropped messages about
    /// destroyed sockets.  `times`: how many times so far, this one included.
    EventsLost { times: u64 },
    /// The kernel does not report closed sockets to us (`EPERM` without `CAP_NET_ADMIN`),
    /// so sockets that live between two looks are not seen.
    EndsUnheard { errno: i32 },
    /// Rows without a cookie (lines of /proc text) cannot be followed over time, so they
    /// have no rates.
    WithoutCookies { sockets: u64 },
    /// A BPF map cannot be opened.
    MapOpen { id: u32, errno: i32 },
    /// The kernel does not report the info of a BPF map.
    MapInfo { id: u32, errno: i32 },
    /// A BPF map is not socket-local storage.
    MapKind { id: u32, kind: u32 },
    /// The types of a BPF map cannot be read.
    MapTypes { id: u32 },
    /// More BPF maps than may be open at once.
    MapsTooMany { id: u32 },
    /// The size of a value differs from the value size of its BPF map.
    MapValueSize { id: u32, expected: u32, got: u32 },
    /// A static program, which has no name service switch, did not find some names.  Each
    /// place is a kind of name with the source that could not be queried, or with a missing
    /// file: `users in sss`.
    NamesUnasked { places: Vec<Vec<u8>> },
    /// The types of a BPF map contradict themselves.
    MapComplaint(BpfComplaint),
    /// A file that another user may have chosen was not read, nor were this many others for
    /// the same reason.
    FileRefused { path: PathBuf, why: Refusal, others: u64 },
    /// A file of `/etc/netns` could not be mounted over its namesake in `/etc`.
    BindFailed { from: PathBuf, to: PathBuf, errno: i32 },
}

impl Notice {
    /// Whether rows may be missing for the reason that the notice reports.
    pub fn leaves_holes(&self) -> bool {
        matches!(
            self,
            Self::DumpInterrupted
                | Self::MessageTruncated
                | Self::BufferTooSmall
                | Self::ReceiveFailed { .. }
                | Self::Eof
                | Self::DoneTruncated
                | Self::ErrorTruncated
                | Self::Remnant { .. }
        )
    }
}

/// Counts of the results for the sockets to be destroyed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Destroyed.
    pub destroyed: u64,
    /// Already ended.
    pub gone: u64,
    /// Of a kind that this kernel cannot destroy.
    pub spared: u64,
    /// Listed, but of a kind that is never destroyed: not from one of the kernel's inet
    /// tables.
    pub passed: u64,
    /// Left alone: the condition asks for processes, and the socket may have some that we
    /// cannot see.
    pub unknown: u64,
    /// Whether this is a dry run: nothing was destroyed, and the counts say what would have
    /// been.
    pub is_rehearsal: bool,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DumpInterrupted => {
                f.write_str("the table changed while it was read, so the listing may be inconsistent")
            }
            Self::MessageTruncated => {
                f.write_str("a reply was larger than the receive buffer and was truncated")
            }
            Self::Answer { errno } => write!(f, "the kernel refused the request: {}", errno_text(*errno)),
            Self::Explained { text } => {
                let text = Printable(text.strip_suffix(b".").unwrap_or(text));
                write!(f, "the kernel refused the request: {text}")
            }
            Self::BufferTooSmall => f.write_str("a socket did not fit into one kernel message"),
            Self::SocketFailed { errno } => {
                write!(f, "cannot open a netlink socket: {}", errno_text(*errno))
            }
            Self::SendBufferFailed { errno } => {
                write!(f, "cannot set the size of the send buffer: {}", errno_text(*errno))
            }
            Self::ReceiveBufferFailed { errno } => {
                write!(f, "cannot set the size of the receive buffer: {}", errno_text(*errno))
            }
            Self::BindSocketFailed { errno } => {
                write!(f, "cannot bind the netlink socket: {}", errno_text(*errno))
            }
            Self::ReceiveFailed { errno } => {
                write!(f, "cannot receive the kernel's replies: {}", errno_text(*errno))
            }
            Self::Eof => f.write_str("the kernel closed the netlink socket"),
            Self::DoneTruncated => f.write_str("the message that ends the dump is too short"),
            Self::ErrorTruncated => f.write_str("a message that reports an error is too short"),
            Self::Remnant { bytes } => {
                write!(f, "a datagram has {} left after its last message", Counted(*bytes as u64, "byte"))
            }
            Self::Deficit { bytes, .. } if *bytes < 0 => {
                let short = Counted(bytes.unsigned_abs(), "byte");
                write!(f, "a reply is {short} shorter than its fixed part")
            }
            Self::Deficit { bytes, attr_len } => {
                let left = Counted(bytes.unsigned_abs(), "byte");
                write!(f, "{left} after the last attribute cannot be parsed (claimed length: {attr_len})")
            }
            Self::RecordingOpen { errno } => write!(f, "cannot open the recording: {}", errno_text(*errno)),
            Self::RecordingEof => f.write_str("the recording is truncated"),
            Self::RecordingAnswer { errno } => {
                write!(f, "the recording contains an error reply: {}", errno_text(*errno))
            }
            Self::RecordingHeader { errno } => write!(f, "cannot read the recording: {}", errno_text(*errno)),
            Self::RecordingBody { errno } => {
                write!(f, "cannot read a message of the recording: {}", errno_text(*errno))
            }
            Self::DatabaseCorrupted { path, line } => {
                let line = Printable(line.trim_ascii_end());
                write!(f, "{} has a line without a number and a name: {line}", path_of(path))
            }
            Self::NoCgroupMount => f.write_str("no cgroup2 file system is mounted"),
            Self::CgroupMount { errno } => {
                write!(f, "cannot open the cgroup2 mount point: {}", errno_text(*errno))
            }
            Self::CgroupIdInvalid => f.write_str("a socket has cgroup id 0, which is invalid"),
            Self::CgroupOpen { errno } => write!(f, "cannot open a cgroup by its id: {}", errno_text(*errno)),
            Self::CgroupGone => {
                f.write_str("the cgroup of a socket was removed or cannot be found, so its path is not known")
            }
            Self::SockstatFailed { errno } => {
                write!(f, "cannot read the socket counters (sockstat): {}", errno_text(*errno))
            }
            Self::SnmpFailed { errno } => {
                write!(f, "cannot read the number of connections (snmp): {}", errno_text(*errno))
            }
            Self::HoldersHidden { sockets, tested: 0, why } => {
                write!(f, "no process found for {}: {why}", Counted(*sockets, "socket"))
            }
            Self::HoldersHidden { tested, why, .. } => {
                let tested = Counted(*tested, "socket");
                write!(f, "no process found for {tested} that the filter tested: {why}")
            }
            Self::Ownerless { why, sockets, examples } => {
                write!(f, "no process for {}, {why}", Counted(*sockets, "socket"))?;
                for (at, (table, port)) in examples.iter().enumerate() {
                    write!(f, "{}{table} port {port}", if at == 0 { " (" } else { ", " })?;
                }
                let more = *sockets > examples.len() as u64;
                f.write_str(if examples.is_empty() {
                    ""
                } else if more {
                    ", ...)"
                } else {
                    ")"
                })
            }
            Self::HeldByThreads { sockets, threads } => {
                write!(
                    f,
                    "{} held only by a thread other than the main one; -T lists threads",
                    Counted(*sockets, "socket")
                )?;
                for (at, (pid, tid)) in threads.iter().enumerate() {
                    write!(f, "{}process {pid}, thread {tid}", if at == 0 { " (" } else { "; " })?;
                }
                f.write_str(if threads.is_empty() { "" } else { ")" })
            }
            Self::EventsWithoutHolders => {
                f.write_str("a destroyed socket has no processes, so conditions on processes fail")
            }
            Self::ProcText { tables } => {
                write!(f, "{}: read from /proc text, which lacks some values", tables.join(", "))
            }
            Self::PeersElsewhere { sockets } => {
                write!(
                    f,
                    "the other ends of {} are not in this network namespace (--netns all searches all of \
                     them)",
                    Counted(*sockets, "connection")
                )
            }
            Self::PeersUnheld { sockets } => {
                let count = Counted(*sockets, "connection");
                write!(f, "no process holds the other end of {count}: it is not accepted yet, or closed")
            }
            Self::Missing { title, why } => why.tell(title, f),
            Self::HolderProgramRejected { why } => {
                write!(f, "processes are looked up in /proc instead of with BPF: {why}")
            }
            Self::HolderTablesRejected { why } => {
                write!(f, "BPF reads open files one by one instead of whole descriptor tables: {why}")
            }
            Self::HoldersRefused { why } => write!(f, "no BPF iterator over open files: {why}"),
            Self::Walked { sockets, looked_up: 0 } => {
                write!(f, "{} read by walking the kernel's tables", Counted(*sockets, "TCP socket"))
            }
            Self::Walked { sockets, looked_up } => {
                let count = Counted(*sockets, "TCP socket");
                write!(
                    f,
                    "{count} read by walking the kernel's tables, {looked_up} of them looked up one by one"
                )
            }
            Self::NotWalked { why } => write!(f, "TCP sockets are read by dumps, not by a walk: {why}"),
            Self::NamespacesUnseen { refused, errno, why } => {
                if !refused.is_empty() {
                    let count = Counted(refused.len() as u64, "network namespace");
                    write!(f, "{count} cannot be entered (")?;
                    for (at, name) in refused.iter().enumerate() {
                        let separator = if at == 0 { "" } else { ", " };
                        write!(f, "{separator}{}", name.escape_ascii())?;
                    }
                    write!(f, "): {}", errno_text(*errno))?;
                }
                if why.is_any() {
                    let separator = if refused.is_empty() { "" } else { "; " };
                    write!(f, "{separator}{why}, so network namespaces may be missing")?;
                }
                Ok(())
            }
            Self::NamespaceGone { name, errno } => {
                write!(f, "network namespace {}: {}", name.escape_ascii(), errno_text(*errno))
            }
            Self::PeersLeftOut { sockets } => {
                write!(f, "the peer table is full: {} not matched", Counted(*sockets, "socket"))
            }
            Self::Destroyed(tally) => tally.fmt(f),
            Self::Filter(remark) => remark.fmt(f),
            Self::DestroyRefused { errno } => {
                write!(f, "the kernel refused to close a socket: {}", errno_text(*errno))
            }
            Self::EventsLost { times } => {
                let times = Counted(*times, "time");
                write!(
                    f,
                    "the netlink receive queue overflowed {times}, so some destroyed sockets were not reported"
                )
            }
            Self::EndsUnheard { errno } => {
                let why = errno_text(*errno);
                write!(
                    f,
                    "the kernel does not report closed sockets ({why}): short-lived connections are missed"
                )
            }
            Self::WithoutCookies { sockets } => {
                write!(
                    f,
                    "no rates for {} from /proc text, which has no cookies",
                    Counted(*sockets, "socket")
                )
            }
            Self::MapOpen { id, errno } => write!(f, "cannot open BPF map {id}: {}", errno_text(*errno)),
            Self::MapInfo { id, errno } => write!(f, "cannot inspect BPF map {id}: {}", errno_text(*errno)),
            Self::MapKind { id, kind } => {
                write!(f, "BPF map {id} is of type {kind}, not socket-local storage")
            }
            Self::MapTypes { id } => write!(f, "cannot read the types of BPF map {id}"),
            Self::Withheld { field, without } => write!(f, "{field} is not reported without {without}"),
            Self::MapsTooMany { id } => write!(f, "BPF map {id} is omitted: too many are open"),
            Self::MapValueSize { id, expected, got } => {
                write!(f, "a value of BPF map {id} has {}, not {expected}", Counted((*got).into(), "byte"))
            }
            Self::NamesUnasked { places } => {
                f.write_str("names are looked up without NSS:")?;
                for (at, place) in places.iter().enumerate() {
                    let separator = if at == 0 { "" } else { "," };
                    write!(f, "{separator} no {}", place.escape_ascii())?;
                }
                Ok(())
            }
            Self::MapComplaint(complaint) => write!(f, "cannot show a value of a BPF map: {complaint}"),
            Self::FileRefused { path, why, others } => {
                write!(f, "{} is not read: {why}", path_of(path))?;
                match others {
                    0 => Ok(()),
                    _ => write!(f, " ({} likewise)", Counted(*others, "more file")),
                }
            }
            Self::BindFailed { from, to, errno } => {
                let (from, to) = (path_of(from), path_of(to));
                write!(f, "cannot mount {from} over {to}: {}", errno_text(*errno))
            }
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { destroyed, gone, spared, passed, unknown, is_rehearsal } = *self;
        let closed = if is_rehearsal { "would be closed" } else { "closed" };
        write!(f, "{} {closed}", Counted(destroyed, "socket"))?;
        for (count, what) in [
            (gone, "already gone"),
            (spared, "not supported by this kernel"),
            (passed, "skipped (not an inet socket)"),
            (unknown, "skipped (the filter tests processes, and theirs are not visible)"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}

/// A number with a noun in the singular or plural.
struct Counted(u64, &'static str);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, what) = self;
        let plural = match *count {
            1 => "",
            _ if what.ends_with('s') => "es",
            _ => "s",
        };
        write!(f, "{count} {what}{plural}")
    }
}

/// Bytes as text, with control characters replaced.
struct Printable<'b>(&'b [u8]);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        let text = String::from_utf8_lossy(self.0);
        text.chars()
            .try_for_each(|letter| f.write_char(if letter.is_control() { '\u{fffd}' } else { letter }))
    }
}

fn path_of(path: &Path) -> Printable<'_> {
    Printable(path.as_os_str().as_bytes())
}

#[cfg(test)]
mod tests;
