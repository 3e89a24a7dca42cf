//! The processes that hold a socket.
//!
//! A process name is chosen by whoever runs the process.  In the text it can
//! neither end its quotes nor a line: quotes and backslashes get a backslash,
//! control characters and bytes above ASCII are replaced.
//!
//! Source: proc_pid_fd(5), proc_pid_stat(5); form as `ss -p` prints it.

use super::{Column, Field, Groups, Item, Kind, List, Member, Needs, Style, Text, Unit, Value};
use crate::model::{Holder, Row};
use crate::number::put_signed;

/// The owner list, in the column of its own.
pub(super) const PROCESSES: &[Field] = &[HOLDERS];

/// The descriptors that refer to a socket.
pub(super) const HOLDERS: Field = Field::new(
    "socket.processes",
    |r| r.names.holders.map(|_| Value::List(List::Of(r, each_holder))),
    "Descriptors, of all processes that we may look into, that refer to the socket; newest first.",
    "/proc/PID/fd",
)
.kind(Kind::Records(HOLDER))
.unit(Unit::Count)
.needs(Needs::PROCESSES)
.group(Groups::PROCESSES)
.text(Text::Column(Column::Process, put_processes));

/// What is known of a descriptor and of its process.
pub(super) const HOLDER: &[Member] = &[
    brief(member("pid", Kind::Integer, "Process that has the descriptor.", Needs::NONE)),
    member("tid", Kind::Integer, "Thread of it; the process itself without -T.", Needs::NONE),
    brief(member("fd", Kind::Integer, "Number of the descriptor.", Needs::NONE)),
    brief(member("comm", Kind::Text, "Command name as the kernel holds it, at most 15 bytes.", Needs::NONE)),
    member("cmdline", Kind::Texts, "Command line, a text for each word.", Needs::COMMANDS),
    member("uid", Kind::Integer, "User that the process acts as.", Needs::COMMANDS),
    member("user", Kind::Text, "Name of that user.", Needs::COMMANDS),
];

const fn member(name: &'static str, kind: Kind, doc: &'static str, needs: Needs) -> Member {
    Member { name, kind, unit: Unit::None, doc, needs, brief: false }
}

const fn brief(mut member: Member) -> Member {
    member.brief = true;
    member
}

fn each_holder(row: &Row<'_>, take: &mut dyn FnMut(Item<'_>)) {
    each_holder_of(row, row.socket.inode, take);
}

/// Hands over what is known of the descriptors that refer to any socket.
pub(super) fn each_holder_of(row: &Row<'_>, inode: u32, take: &mut dyn FnMut(Item<'_>)) {
    let Some(book) = row.names.holders else { return };
    book.holders(inode, &mut |holder| {
        let people = row.names.people;
        let process = people.and_then(|people| people.process(holder.pid));
        let uid = process.and_then(|process| process.uid);
        let number = |number: i32| Some(Value::I64(number.into()));
        take(Item::Record(&[
            number(holder.pid),
            number(holder.tid),
            number(holder.fd),
            Some(Value::Text(holder.name)).filter(|_| !holder.name.is_empty()),
            process.map(|process| Value::List(List::Words(process.cmdline))),
            uid.map(Value::from),
            people.and_then(|people| people.user(uid?)).map(Value::Text),
        ]));
    });
}

/// ` users:(("NAME",pid=P,fd=F),...)`, newest first; nothing if nobody is known.
fn put_processes(out: &mut Vec<u8>, row: &Row<'_>, style: Style) {
    put_holders(out, row, b" users:(", row.socket.inode, style);
}

/// The holders of any socket behind these words, which end in a bracket.
pub(super) fn put_holders(out: &mut Vec<u8>, row: &Row<'_>, words: &[u8], inode: u32, style: Style) {
    let Some(book) = row.names.holders else { return };
    let start = out.len();
    book.holders(inode, &mut |holder| {
        out.extend_from_slice(if out.len() == start { words } else { b"," });
        put_holder(out, holder, style.groups.has(Groups::THREADS));
    });
    if out.len() > start {
        out.push(b')');
    }
}

fn put_holder(out: &mut Vec<u8>, holder: Holder<'_>, thread: bool) {
    out.extend_from_slice(b"(\"");
    put_name(out, holder.name);
    out.extend_from_slice(b"\",pid=");
    put_signed(out, holder.pid as u32);
    if thread {
        out.extend_from_slice(b",tid=");
        put_signed(out, holder.tid as u32);
    }
    out.extend_from_slice(b",fd=");
    put_signed(out, holder.fd as u32);
    out.push(b')');
}

pub(super) fn put_name(out: &mut Vec<u8>, name: &[u8]) {
    for byte in name {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            0..=0x1f | 0x7f => out.push(b'.'),
            0x80.. => out.push(b'?'),
            _ => out.push(*byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{HolderBook, Origin, Record, Socket, SourceKind, Table};

    /// Inode 621 is held by these.
    struct Book(&'static [Holder<'static>]);

    impl HolderBook for Book {
        fn holders(&self, inode: u32, take: &mut dyn FnMut(Holder<'_>)) {
            self.0.iter().filter(|_| inode == 621).for_each(|holder| take(*holder));
        }
    }

    fn text(holders: &'static [Holder<'static>], groups: Groups) -> String {
        const LINE: &[u8] =
            b"   0: 0100007F:0016 0200007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 621";
        let origin = Origin { table: Table::Tcp, kind: SourceKind::Proc };
        let socket = Socket::decode(Record { origin, bytes: LINE }).expect("a whole line");
        let book = Book(holders);
        let mut row = Row::bare(&socket);
        let mut out = Vec::new();
        put_processes(&mut out, &row, Style::default());
        assert!(out.is_empty(), "nothing was looked up");
        row.names.holders = Some(&book);
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
