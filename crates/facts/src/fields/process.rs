//! The processes that hold a socket.
//!
//! The user who runs a process chooses its name.  In text output, a name can end neither its
//! quotes nor the line: quotes and backslashes are escaped with a backslash, and control
//! characters and non-ASCII bytes are replaced.  A context comes from the kernel, so only
//! control characters are replaced.
//!
//! Source: proc_pid_fd(5), proc_pid_stat(5); format as in `ss -p`, `-Z` and `-z`.

#![allow(clippy::cast_sign_loss, reason = "kernel integers are narrow; each cast is meant")]

use super::{
    Column, Field, Groups, Int, Item, Kind, List, Member, Needs, Read, Spelling, Style, Text, Unit, Value,
    text,
};
use crate::escape;
use crate::model::{Holder, Row};
use crate::number::{self, put_signed};

/// The list of processes, in its own column.
pub(super) const PROCESSES: &[Field] = &[
    HOLDERS,
    Field::new(
        "socket.process_context",
        text!(|r| Some(r.names.contexts?.task(newest(r)?.0)?)),
        "SELinux context of the first process listed.",
        "/proc/PID/attr/current",
    )
    .tokens("proc_ctx")
    .needs(Needs::PROCESSES.union(Needs::CONTEXTS))
    .group(Groups::CONTEXT)
    .only_with(Groups::PROCESSES)
    .text(Text::PartOf("socket.processes")),
    Field::new(
        "socket.context",
        text!(|r| {
            let (tid, fd) = newest(r)?;
            r.names.contexts?.socket(tid, fd)
        }),
        "SELinux context of the socket, as reported through the first process listed.",
        "security.selinux",
    )
    .tokens("sock_ctx")
    .needs(Needs::PROCESSES.union(Needs::CONTEXTS))
    .group(Groups::SOCKET_CONTEXT)
    .only_with(Groups::PROCESSES)
    .text(Text::PartOf("socket.processes")),
];

/// The descriptors that refer to a socket.
pub(super) const HOLDERS: Field = Field::new(
    "socket.processes",
    Read::of(Kind::Records(HOLDER), |r| r.names.holders.map(|_| Value::List(List::Of(r, each_holder)))),
    "File descriptors that refer to the socket, in all processes that may be inspected; newest first.",
    "/proc/PID/fd",
)
.tokens("users")
.gauge(Unit::Count)
.needs(Needs::PROCESSES)
.group(Groups::PROCESSES)
.text(Text::Column(Column::Process, put_processes));

/// The kind of process ids and descriptors, which are never negative.
const NUMBER: Kind = Kind::Int(Int::of::<u32>());

/// The data about a descriptor and its process.
pub(super) const HOLDER: &[Member] = &[
    brief(member("pid", NUMBER, "Process ID of the descriptor's holder.", Needs::NONE)),
    member("tid", NUMBER, "Thread ID of the holder; without -T, the process ID.", Needs::NONE),
    brief(member("fd", NUMBER, "File descriptor number.", Needs::NONE)),
    spelled(
        brief(member("comm", Kind::Text, "Command name of the process, at most 15 bytes.", Needs::NONE)),
        &Spelling::Cut(15),
    ),
    member(
        "cmdline",
        Kind::Texts,
        "Command line, one text per argument; a condition tests each argument and all joined by spaces.",
        Needs::COMMANDS,
    ),
    spelled(
        member(
            "uid",
            Kind::Int(Int::of::<u32>()),
            "User that the process runs as; the owner of the socket is socket.uid.",
            Needs::COMMANDS,
        ),
        &Spelling::User,
    ),
    spelled(
        member("user", Kind::Text, "Name of the user that the process runs as.", Needs::COMMANDS),
        &Spelling::UserOf("uid"),
    ),
];

const fn member(name: &'static str, kind: Kind, doc: &'static str, needs: Needs) -> Member {
    Member { name, kind, unit: Unit::None, doc, needs, brief: false, spelling: None }
}

const fn spelled(mut member: Member, spelling: &'static Spelling) -> Member {
    member.spelling = Some(spelling);
    member
}

const fn brief(mut member: Member) -> Member {
    member.brief = true;
    member
}

fn each_holder(row: &Row<'_>, take: &mut dyn FnMut(Item<'_>)) {
    each_holder_of(row, row.socket.inode, take);
}

/// Passes the data about the descriptors that refer to a socket, by inode, to `take`.
pub(super) fn each_holder_of(row: &Row<'_>, inode: u32, take: &mut dyn FnMut(Item<'_>)) {
    let Some(book) = row.names.holders else { return };
    book.holders(inode, &mut |holder| {
        let Identity { cmdline, uid, user } = Identity::of(row, holder.pid);
        let number = |number: i32| u64::try_from(number).ok().map(Value::U64);
        take(Item::Record(&[
            number(holder.pid),
            number(holder.tid),
            number(holder.fd),
            Some(Value::Text(holder.name)).filter(|_| !holder.name.is_empty()),
            cmdline.map(|words| Value::List(List::Words(words))),
            uid.map(Value::from),
            user.map(Value::Text),
        ]));
    });
}

/// The data about a process apart from its name, if requested.
pub struct Identity<'a> {
    /// Its command line, each word terminated by NUL.
    pub cmdline: Option<&'a [u8]>,
    /// The user that it runs as.
    pub uid: Option<u32>,
    /// The name of that user.
    pub user: Option<&'a [u8]>,
}

impl<'a> Identity<'a> {
    /// The data about a process that holds the row's socket or the other end.
    pub fn of(row: &Row<'a>, pid: i32) -> Self {
        let known = row.names.identities;
        let process = known.and_then(|known| known.process(pid));
        let uid = process.and_then(|process| process.uid);
        let user = known.and_then(|known| known.user(uid?));
        Self { cmdline: process.map(|process| process.cmdline), uid, user }
    }
}

/// Task and descriptor of the first listed holder.
fn newest(row: &Row<'_>) -> Option<(i32, i32)> {
    let mut first = None;
    row.names.holders?.holders(row.socket.inode, &mut |holder| {
        first.get_or_insert((holder.tid, holder.fd));
    });
    first
}

/// Appends ` users:(("NAME",pid=P,fd=F),...)`, the newest first; nothing if no holder is
/// known.
fn put_processes(out: &mut Vec<u8>, row: &Row<'_>, style: Style) {
    put_holders(out, row, b" users:(", row.socket.inode, style);
}

/// Appends the holders of a socket, by inode, after `words`, which end in an opening bracket.
pub(super) fn put_holders(out: &mut Vec<u8>, row: &Row<'_>, words: &[u8], inode: u32, style: Style) {
    let Some(book) = row.names.holders else { return };
    let start = out.len();
    book.holders(inode, &mut |holder| {
        out.extend_from_slice(if out.len() == start { words } else { b"," });
        put_holder(out, holder, row, style.groups);
    });
    if out.len() > start {
        out.push(b')');
    }
}

fn put_holder(out: &mut Vec<u8>, holder: Holder<'_>, row: &Row<'_>, groups: Groups) {
    let contexts = row.names.contexts;
    out.extend_from_slice(b"(\"");
    put_name(out, holder.name);
    out.extend_from_slice(b"\",pid=");
    put_signed(out, holder.pid as u32);
    if groups.intersects(Groups::THREADS) {
        out.extend_from_slice(b",tid=");
        put_signed(out, holder.tid as u32);
    }
    if groups.intersects(Groups::CONTEXT) {
        out.extend_from_slice(b",proc_ctx=");
        put_context(out, contexts.and_then(|contexts| contexts.task(holder.tid)));
    }
    out.extend_from_slice(b",fd=");
    put_signed(out, holder.fd as u32);
    if groups.intersects(Groups::SOCKET_CONTEXT) {
        out.extend_from_slice(b",sock_ctx=");
        put_context(out, contexts.and_then(|contexts| contexts.socket(holder.tid, holder.fd)));
    }
    out.push(b')');
}

/// Appends a context with control characters as octal escapes; `unavailable` if there is none.
pub(super) fn put_context(out: &mut Vec<u8>, context: Option<&[u8]>) {
    number::put_name(out, context.unwrap_or(b"unavailable"));
}

/// Appends the name of a process.  The limit is above the kernel's, so no name is cut.
pub(super) fn put_name(out: &mut Vec<u8>, name: &[u8]) {
    for byte in name.iter().take(escape::LONGEST) {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            0..=0x1f | 0x7f => out.push(b'.'),
            0x80.. => out.push(b'?'),
            _ => out.push(*byte),
        }
    }
    if name.len() > escape::LONGEST {
        out.extend_from_slice(b"...");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ContextCache, HolderCache, Origin, Record, Socket, SourceKind, Table};

    /// These holders of inode 621.
    struct Book(&'static [Holder<'static>]);

    impl HolderCache for Book {
        fn holders(&self, inode: u32, take: &mut dyn FnMut(Holder<'_>)) {
            self.0.iter().filter(|_| inode == 621).for_each(|holder| take(*holder));
        }
    }

    /// Contexts of the two tasks below, of the kernel, and of one descriptor.
    struct Contexts;

    impl ContextCache for Contexts {
        fn kernel(&self) -> Option<&[u8]> {
            Some(b"kernel")
        }

        fn task(&self, tid: i32) -> Option<&[u8]> {
            match tid {
                100 => Some(b"u:r:t:s0-s0:c0,c1"),
                103 => Some(b"odd\n\x1b\x7f\xc3\xa9"),
                _ => None,
            }
        }

        fn socket(&self, tid: i32, fd: i32) -> Option<&[u8]> {
            ((tid, fd) == (103, 200)).then_some(b"u:r:socket")
        }
    }

    fn text(holders: &'static [Holder<'static>], groups: Groups) -> String {
        const LINE: &[u8] =
            b"   0: 0100007F:0016 0200007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 621";
        let origin = Origin::of(Table::Tcp, SourceKind::Proc);
        let socket = Socket::decode(Record { origin, bytes: LINE }).expect("a whole line");
        let book = Book(holders);
        let mut row = Row::bare(&socket);
        let mut out = Vec::new();
        put_processes(&mut out, &row, Style::default());
        assert!(out.is_empty(), "nothing was looked up");
        row.names.holders = Some(&book);
        row.names.contexts = Some(&Contexts);
        put_processes(&mut out, &row, Style { groups, ..Style::default() });
        String::from_utf8(out).expect("names are made ASCII")
    }

    const TWO: &[Holder<'static>] = &[
        Holder { name: b"b", pid: 101, tid: 103, fd: 200 },
        Holder { name: b"", pid: 100, tid: 100, fd: 0 },
    ];

    #[test]
    fn threads_are_told_apart_if_asked_for() {
        assert_eq!(text(TWO, Groups::PROCESSES), " users:((\"b\",pid=101,fd=200),(\"\",pid=100,fd=0))");
        assert_eq!(
            text(TWO, Groups::THREADS),
            " users:((\"b\",pid=101,tid=103,fd=200),(\"\",pid=100,tid=100,fd=0))"
        );
        assert_eq!(text(&[], Groups::PROCESSES), "");
    }

    #[test]
    fn contexts_stand_where_the_reference_puts_them() {
        const THREE: &[Holder<'static>] = &[TWO[0], TWO[1], Holder { name: b"c", pid: 7, tid: 7, fd: 3 }];
        assert_eq!(
            text(THREE, Groups::CONTEXT),
            " users:((\"b\",pid=101,proc_ctx=odd\\012\\033\\177\u{e9},fd=200),\
             (\"\",pid=100,proc_ctx=u:r:t:s0-s0:c0,c1,fd=0),(\"c\",pid=7,proc_ctx=unavailable,fd=3))"
        );
        assert_eq!(
            text(&THREE[..1], Groups::CONTEXT.union(Groups::SOCKET_CONTEXT).union(Groups::THREADS)),
            " users:((\"b\",pid=101,tid=103,proc_ctx=odd\\012\\033\\177\u{e9},fd=200,sock_ctx=u:r:socket))"
        );
        assert_eq!(
            text(&THREE[2..], Groups::SOCKET_CONTEXT),
            " users:((\"c\",pid=7,fd=3,sock_ctx=unavailable))"
        );
    }

    #[test]
    fn names_cannot_leave_their_quotes() {
        const ODD: &[Holder<'static>] = &[
            Holder { name: b"x\",pid=1,fd=9", pid: 7, tid: 7, fd: 1 },
            Holder { name: b"a)b(\\", pid: 7, tid: 7, fd: 2 },
            Holder { name: b"new\nline\x1b[31m\x7f\0\xc3\xa9", pid: 7, tid: 7, fd: 3 },
        ];
        assert_eq!(
            text(ODD, Groups::PROCESSES),
            " users:((\"x\\\",pid=1,fd=9\",pid=7,fd=1),(\"a)b(\\\\\",pid=7,fd=2),\
             (\"new.line.[31m..??\",pid=7,fd=3))"
        );
    }
}
