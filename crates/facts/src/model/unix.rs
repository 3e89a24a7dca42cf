//! Unix sockets: a reply of unix_diag, or a line of `/proc/net/unix`.
//!
//! ```text
//! Num       RefCount Protocol Flags    Type St Inode Path
//! 0000000000000000: 00000002 00000000 00010000 0001 01 18561 /run/x.sock
//! ```
//!
//! Very old kernels titled the first columns `Peer`, `RcvQueue` and `WcvQueue` and stored the
//! peer's inode and the queues there.  A record of such a line is followed by a newline and
//! the peer's name, which distinguishes the two formats (see `source/unix.rs`).  Missing
//! numbers are zero, as for a program that reads the line with `scanf`.
//!
//! A name is a path or abstract.  An abstract name begins with a NUL, printed as `@`; in /proc
//! text it already begins with `@`.
//!
//! Source: linux/unix_diag.h, unix(7), proc_pid_net(5); the states and flags of /proc are
//! `enum socket_state` and `__SO_ACCEPTCON` of linux/net.h.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use std::borrow::Cow;

use sockdiag_wire::mem_info::SkMemInfo;
use sockdiag_wire::socket::{SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM};
use sockdiag_wire::unix_diag::{UnixDiagMsg, Vfs};

use super::families::Family;
use super::proc_line::Scan;
use super::socket::{Detail, Endpoint, Record, Socket, SourceKind};
use super::states::State;
use super::tables::Table;

/// The flag of a listener in `/proc/net/unix`.
const ACCEPTS: u32 = 0x1_0000;

/// The name of a unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name<'a> {
    /// Whether it is abstract: not a path, but a name in a separate name space.
    pub is_abstract: bool,
    /// The path, or the bytes after the NUL of an abstract name.
    pub bytes: &'a [u8],
}

impl<'a> Name<'a> {
    /// A name in the form of unix_diag.
    fn sent(bytes: &'a [u8]) -> Self {
        match bytes.split_first() {
            Some((0, rest)) => Self { is_abstract: true, bytes: rest },
            _ => {
                Self { is_abstract: false, bytes: bytes.split(|byte| *byte == 0).next().unwrap_or_default() }
            }
        }
    }

    /// A name in the form of /proc; `None` if it is empty.
    fn shown(bytes: &'a [u8]) -> Option<Self> {
        match bytes.split_first() {
            None => None,
            Some((b'@', rest)) => Some(Self { is_abstract: true, bytes: rest }),
            Some(_) => Some(Self { is_abstract: false, bytes }),
        }
    }

    /// The name as `ss` matches it and, apart from control characters, prints it: with `@` for
    /// each NUL of an abstract name.
    pub fn text(self) -> Cow<'a, [u8]> {
        if !self.is_abstract {
            return Cow::Borrowed(self.bytes);
        }
        let at = |byte: &u8| if *byte == 0 { b'@' } else { *byte };
        Cow::Owned(std::iter::once(b'@').chain(self.bytes.iter().map(at)).collect())
    }

    /// Whether the name looks chosen by the kernel: abstract, with five hexadecimal digits.
    pub fn is_autobound(self) -> bool {
        let digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        self.is_abstract && self.bytes.len() == 5 && self.bytes.iter().all(digit)
    }
}

/// The details that only unix sockets report.
#[derive(Clone, Copy, Debug)]
pub struct UnixSocket<'a>(Source<'a>);

/// Not boxed: boxing the larger variant would cost an allocation for every row.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::large_enum_variant)]
enum Source<'a> {
    Reply(UnixDiagMsg<'a>),
    Line(UnixLine<'a>),
}

impl<'a> UnixSocket<'a> {
    /// Socket type (`SOCK_*`): 1 is stream, 2 is datagram, 5 is sequenced packets.
    pub fn kind(&self) -> u32 {
        match &self.0 {
            Source::Reply(msg) => msg.kind.into(),
            Source::Line(line) => line.kind,
        }
    }

    /// The table of its type; `None` if its type has no table.
    pub fn table(&self) -> Option<Table> {
        table_of(self.kind())
    }

    /// Its name; `None` if it is not bound.
    pub fn name(&self) -> Option<Name<'a>> {
        match &self.0 {
            Source::Reply(msg) => msg.name().map(Name::sent),
            Source::Line(line) => line.name,
        }
    }

    /// Its whole name.  In a line of /proc, `ss` prints a name only up to its first blank.
    pub fn whole_name(&self) -> Option<Name<'a>> {
        match &self.0 {
            Source::Reply(msg) => msg.name().map(Name::sent),
            Source::Line(line) => line.whole.or(line.name),
        }
    }

    /// Whether the source reports the queues; of /proc lines, only very old ones do.
    pub fn tells_queues(&self) -> bool {
        match &self.0 {
            Source::Reply(msg) => msg.rqlen().is_some(),
            Source::Line(line) => line.old,
        }
    }

    /// The peer's inode; `None` if there is no peer, or if the source does not report it.
    pub fn peer(&self) -> Option<u32> {
        match &self.0 {
            Source::Reply(msg) => msg.peer(),
            Source::Line(line) => line.tells_peer().then_some(line.peer as u32),
        }
    }

    /// The peer's name, which only lines of very old kernels contain; `?` if the peer's line
    /// does not precede this line.  `None` if the peer has no name.
    pub fn peer_name(&self) -> Option<Name<'a>> {
        match &self.0 {
            Source::Reply(_) => None,
            Source::Line(line) => line.peer_name,
        }
    }

    /// The file that its path is bound to; `None` if not requested.
    pub fn vfs(&self) -> Option<Vfs<'a>> {
        self.reply()?.vfs()
    }

    /// Inodes of the connections waiting to be accepted; `None` if not requested.
    pub fn icons(&self) -> Option<impl Iterator<Item = u32> + use<'a>> {
        self.reply()?.icons()
    }

    /// Directions shut down: 1 is receiving, 2 is sending.
    pub fn shutdown(&self) -> Option<u8> {
        self.reply()?.shutdown()
    }

    /// Its owner; `None` if not requested.
    pub fn uid(&self) -> Option<u32> {
        self.reply()?.uid()
    }

    /// Its memory report; `None` if not requested.
    pub fn mem_info(&self) -> Option<SkMemInfo<'a>> {
        self.reply()?.sk_mem_info()
    }

    fn reply(&self) -> Option<&UnixDiagMsg<'a>> {
        match &self.0 {
            Source::Reply(msg) => Some(msg),
            Source::Line(_) => None,
        }
    }
}

/// The table for sockets of a type; `None` if the type has no table.
pub fn table_of(kind: u32) -> Option<Table> {
    match kind {
        SOCK_STREAM => Some(Table::UnixStream),
        SOCK_DGRAM => Some(Table::UnixDgram),
        SOCK_SEQPACKET => Some(Table::UnixSeqpacket),
        _ => None,
    }
}

/// A parsed line of `/proc/net/unix`.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnixLine<'a> {
    /// The peer's inode, if the column is titled `Peer`; otherwise an address that recent
    /// kernels hash.
    pub peer: u64,
    recv_q: u32,
    send_q: u32,
    /// `SOCK_*`.
    pub kind: u32,
    /// State, in TCP's numbering.
    pub state: u32,
    /// Inode on sockfs.
    pub inode: u32,
    /// Its name up to the first blank, as `ss` parses it.
    pub name: Option<Name<'a>>,
    /// Its whole name, after one blank.
    whole: Option<Name<'a>>,
    peer_name: Option<Name<'a>>,
    old: bool,
}

impl<'a> UnixLine<'a> {
    /// Parses a line and, after a newline, the peer's name.  Any bytes give a socket; missing
    /// numbers are zero.
    pub fn parse(bytes: &'a [u8]) -> Self {
        let (line, peer_name) = match bytes.iter().position(|byte| *byte == b'\n') {
            Some(at) => (bytes.get(..at).unwrap_or_default(), bytes.get(at + 1..)),
            None => (bytes, None),
        };
        let mut parsed =
            Self { old: peer_name.is_some(), peer_name: peer_name.and_then(Name::shown), ..Self::default() };
        let (mut flags, mut state) = (0, 0);
        // Fails where the text is not a number; the fields before that are kept.
        let _ = parsed.read(&mut Scan { text: line }, &mut flags, &mut state);
        parsed.state = parsed.tcp_state(flags, state);
        parsed
    }

    fn read(&mut self, scan: &mut Scan<'a>, flags: &mut u32, state: &mut u32) -> Option<()> {
        self.peer = scan.hex()?;
        scan.colon()?;
        self.recv_q = scan.hex()? as u32;
        self.send_q = scan.hex()? as u32;
        *flags = scan.hex()? as u32;
        self.kind = scan.hex()? as u32;
        *state = scan.hex()? as u32;
        self.inode = scan.decimal()? as u32;
        // White space as in C; Rust does not include the vertical tab.
        let blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
        self.whole = scan.text.strip_prefix(b" ").and_then(Name::shown);
        self.name = scan.text.split(blank).find(|word| !word.is_empty()).and_then(Name::shown);
        Some(())
    }

    /// The state in TCP's numbering: /proc contains `SS_*` and a flag for listeners.
    fn tcp_state(&self, flags: u32, state: u32) -> u32 {
        // A datagram socket with a peer still has `SS_UNCONNECTED`.
        let connected = self.kind == SOCK_DGRAM && self.peer != 0;
        let named = |state: State| state as u32;
        match state {
            _ if flags & ACCEPTS != 0 => named(State::Listen),
            1 if connected => named(State::Established),
            1 => named(State::Close),
            2 => named(State::SynSent),
            3 => named(State::Established),
            4 => named(State::Closing),
            other => other,
        }
    }

    fn tells_peer(&self) -> bool {
        self.old && self.peer != 0
    }
}

pub(super) fn decode(record: Record<'_>) -> Option<Socket<'_>> {
    let bare = |detail| Socket {
        origin: record.origin,
        bytes: record.bytes,
        family: Family::Unix,
        protocol: 0,
        state: 0,
        recv_q: 0,
        send_q: 0,
        local: Endpoint::NONE,
        remote: Endpoint::NONE,
        ifindex: 0,
        uid: 0,
        inode: 0,
        cookie: 0,
        timer: super::Timer::default(),
        detail: Detail::Unix(UnixSocket(detail)),
    };
    if record.origin.kind == SourceKind::Proc {
        let line = UnixLine::parse(record.bytes);
        let queue = |amount| if line.old { amount } else { 0 };
        // Filters find no ports in a /proc line.
        return Some(Socket {
            state: line.state.try_into().unwrap_or(u8::MAX),
            recv_q: queue(line.recv_q),
            send_q: queue(line.send_q),
            inode: line.inode,
            ..bare(Source::Line(line))
        });
    }
    let msg = UnixDiagMsg::new(record.bytes)?;
    let queues = msg.rqlen();
    Some(Socket {
        state: msg.state,
        recv_q: queues.and_then(|queues| queues.rqueue()).unwrap_or(0),
        send_q: queues.and_then(|queues| queues.wqueue()).unwrap_or(0),
        local: Endpoint { port: msg.inode.into(), ..Endpoint::NONE },
        remote: Endpoint { port: msg.peer().unwrap_or(0).into(), ..Endpoint::NONE },
        uid: msg.uid().unwrap_or(0),
        inode: msg.inode,
        cookie: msg.cookie,
        ..bare(Source::Reply(msg))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Origin;

    fn line(bytes: &[u8]) -> (Socket<'_>, UnixSocket<'_>) {
        let origin = Origin::of(Table::UnixStream, SourceKind::Proc);
        let socket = Socket::decode(Record { origin, bytes }).expect("any line is a socket");
        let Detail::Unix(unix) = socket.detail else { panic!("{socket:?}") };
        (socket, unix)
    }

    #[test]
    fn names_are_paths_or_abstract() {
        for (sent, text, autobound) in [
            (&b"/run/x\0"[..], &b"/run/x"[..], false),
            (b"/run/x\0y", b"/run/x", false),
            (b"", b"", false),
            (b"\0", b"@", false),
            (b"\0abs\0tract", b"@abs@tract", false),
            (b"\x000012f", b"@0012f", true),
            (b"\x000012F", b"@0012F", false),
            (b"\x0000123a", b"@00123a", false),
            (b"@0012f", b"@0012f", false),
        ] {
            let name = Name::sent(sent);
            assert_eq!((&*name.text(), name.is_autobound()), (text, autobound), "{sent:?}");
        }
        assert_eq!(Name::shown(b""), None);
        assert!(Name::shown(b"@0012f").unwrap().is_autobound());
        assert_eq!(&*Name::shown(b"@a").unwrap().text(), b"@a");
    }

    #[test]
    fn a_line_is_read_as_far_as_it_goes() {
        let (socket, unix) = line(b"ffff8880: 00000002 00000000 00010000 0001 01 621 /run/a b");
        assert_eq!((socket.state, socket.inode, socket.recv_q), (10, 621, 0));
        assert_eq!((socket.local.port, unix.kind(), unix.peer()), (0, 1, None));
        assert_eq!(&*unix.name().unwrap().text(), b"/run/a");
        for (text, kind, inode, name) in [
            (&b""[..], 0, 0, None),
            (b"nonsense", 0, 0, None),
            (b"0 : 2 0 0 1 03 20 space", 0, 0, None),
            (b"0: 2 0 0", 0, 0, None),
            (b"0: 2 0 0 5", 5, 0, None),
            (b"0:2 0 0 1 03 19", 1, 19, None),
            (b"0: 2 0 0 1 03 21junk", 1, 21, Some(&b"junk"[..])),
            (b"0x0: 0x2 0 0 0x1 03 0x12 y", 1, 0, Some(b"x12")),
            (b"0: 2 0 0 1 03 -5 \x0b@\x0bz", 1, u32::MAX - 4, Some(b"@")),
            (b"0: 2 0 0 10001 03 99999999999", 0x1_0001, 1_215_752_191, None),
        ] {
            let (socket, unix) = line(text);
            assert_eq!((unix.kind(), socket.inode), (kind, inode), "{}", text.escape_ascii());
            assert_eq!(unix.name().map(|name| name.text().into_owned()).as_deref(), name);
        }
    }

    /// Flags and state of a line, and the state that the reference prints.
    #[test]
    fn states_of_proc_become_those_of_tcp() {
        for (first, flags, kind, st, state) in [
            ("0", "0", "1", "1", 7),
            ("9", "0", "1", "1", 7),
            ("0", "0", "2", "1", 7),
            ("9", "0", "2", "1", 1),
            ("100000000", "0", "2", "1", 1),
            ("0", "0", "1", "2", 2),
            ("0", "0", "1", "3", 1),
            ("0", "0", "1", "4", 11),
            ("0", "0", "1", "5", 5),
            ("0", "0", "1", "0", 0),
            ("0", "10000", "1", "3", 10),
            ("0", "10000", "2", "1", 10),
            ("0", "110000000", "1", "3", 1),
            ("0", "0", "1", "101", 255),
        ] {
            let text = format!("{first}: 2 0 {flags} {kind} {st} 7");
            assert_eq!(line(text.as_bytes()).0.state, state, "{text}");
        }
    }

    #[test]
    fn the_old_form_tells_peer_and_queues() {
        let (socket, unix) = line(b"2: 5 ffffffff 0 1 03 1 /one\n/two");
        assert_eq!((socket.recv_q, socket.send_q, socket.remote.port), (5, u32::MAX, 0));
        assert_eq!(unix.peer(), Some(2));
        assert_eq!(&*unix.peer_name().unwrap().text(), b"/two");
        let (_, unix) = line(b"0: 5 6 0 1 03 1 /one\n");
        assert_eq!((unix.peer(), unix.peer_name()), (None, None));
    }
}
