//! The processes that hold a socket.
//!
//! A process name is chosen by whoever runs the process.  In the text it can
//! neither end its quotes nor a line: quotes and backslashes get a backslash,
//! control characters and bytes above ASCII are replaced.
//!
//! Source: proc_pid_fd(5), proc_pid_stat(5); form as `ss -p` prints it.

use super::{Column, Field, Groups, Needs, Style, Text, Unit};
use crate::model::{Holder, Row};
use crate::number::put_signed;

/// The owner list, in the column of its own.
pub(super) const PROCESSES: &[Field] = &[Field::new(
    "socket.processes",
    |r| {
        let holders = r.names.holders?;
        let mut count = 0_u64;
        holders.holders(r.socket.inode, &mut |_| count += 1);
        Some(count.into())
    },
    "Descriptors, of all processes that we may look into, that refer to the socket.",
    "/proc/PID/fd",
)
.unit(Unit::Count)
.needs(Needs::PROCESSES)
.group(Groups::PROCESSES)
.text(Text::Column(Column::Process, put_processes))];

/// ` users:(("NAME",pid=P,fd=F),...)`, newest first; nothing if nobody is known.
fn put_processes(out: &mut Vec<u8>, row: &Row<'_>, style: Style) {
    let Some(book) = row.names.holders else { return };
    let start = out.len();
    book.holders(row.socket.inode, &mut |holder| {
        out.extend_from_slice(if out.len() == start { b" users:(" } else { b"," });
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

fn put_name(out: &mut Vec<u8>, name: &[u8]) {
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
