//! What comes from files: `/proc/net` text, and recordings.
//!
//! The bytes under test stand behind a good line or message, and lines also
//! before one, which must come out as they went in.

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs::File as Stored;
use std::io::{Seek as _, Write as _};
use std::ops::ControlFlow;
use std::os::fd::AsRawFd as _;

use rustix::fs::{MemfdFlags, memfd_create};
use sockdiag::model::{MessageKind, Origin, ProcLine, Record, Socket, SourceKind, Table, TableSet};
use sockdiag::source::{self, Access, LONGEST_MESSAGE, Query, Sources};
use sockdiag_wire::netlink::{HEADER_LEN, Header, error_code, ext_ack, messages};

use super::check::{self, Choices};
use super::good::{self, File};
use super::world;

/// Records of an input that are looked at one by one.
const LOOKED_AT: usize = 40;

/// Files in memory, to be opened by their paths as long as this lives.
struct Scratch([Stored; 2]);

impl Scratch {
    fn new() -> Self {
        Self([(); 2].map(|()| memfd_create("fuzz", MemfdFlags::CLOEXEC).expect("memory for a file").into()))
    }

    /// Puts text into the first file; the second stays empty.
    fn put(&mut self, parts: &[&[u8]]) {
        let file = &mut self.0[0];
        file.set_len(0).expect("a file of our own");
        file.rewind().expect("a file of our own");
        file.write_all(&parts.concat()).expect("a file of our own");
    }

    fn paths(&self) -> [Option<OsString>; 2] {
        self.0.each_ref().map(|file| Some(format!("/proc/self/fd/{}", file.as_raw_fd()).into()))
    }
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::new());
}

/// The records of a table that stands in files.
fn dump(
    table: Table,
    parts: &[&[u8]],
    place: impl FnOnce(&mut Sources, [Option<OsString>; 2]),
) -> Vec<Vec<u8>> {
    let query = Query { tables: TableSet::ALL, ..Query::of(table) };
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.put(parts);
        let mut sources = Sources::default();
        place(&mut sources, scratch.paths());
        let mut records = Vec::new();
        let mut visit = |record: Record<'_>| {
            records.push(record.bytes.to_vec());
            ControlFlow::Continue(())
        };
        let result = source::dump(&query, &sources, &mut Access::here(), &mut visit, &mut |notice| {
            drop(notice.to_string());
        });
        if let Err(error) = result {
            assert!(error.rows_delivered as usize <= records.len(), "{error}");
        }
        records
    })
}

/// Lines of a file that the first byte chooses.
pub(crate) fn proc_text(data: &[u8]) {
    let Some((choices, text)) = Choices::split(data) else { return };
    let Some(file) = choices.one_of(&File::ALL) else { return };
    let [head, before, after] = good::lines(file);
    let table = file.table();
    let parts: [&[u8]; 8] = [head, b"\n", before, b"\n", text, b"\n", after, b"\n"];
    let records = dump(table, &parts, |sources, [full, empty]| match file {
        File::Tcp => (sources.proc_net_tcp, sources.proc_net_tcp6) = (full, empty),
        File::Tcp6 => (sources.proc_net_tcp, sources.proc_net_tcp6) = (empty, full),
        File::Udp => (sources.proc_net_udp, sources.proc_net_udp6) = (full, empty),
        File::Udp6 => (sources.proc_net_udp, sources.proc_net_udp6) = (empty, full),
        File::Raw => (sources.proc_net_raw, sources.proc_net_raw6) = (full, empty),
        File::Raw6 => (sources.proc_net_raw, sources.proc_net_raw6) = (empty, full),
        File::Unix | File::OldUnix => sources.proc_net_unix = full,
        File::Netlink => sources.proc_net_netlink = full,
        File::Packet => sources.proc_net_packet = full,
    });
    // Behind a line of the old unix form stands what is known of its peer.
    let begins =
        |record: Option<&Vec<u8>>, line: &[u8]| record.is_some_and(|record| record.starts_with(line));
    assert!(begins(records.first(), before), "the line before is lost");
    let single = text.len() <= 254 && !text.iter().any(|byte| matches!(byte, b'\n' | 0));
    let goes_on = table.message_kind() != MessageKind::Inet || ProcLine::parse(text).is_some();
    if single && goes_on {
        assert!(begins(records.last(), after), "the line behind is lost");
    }
    let origin = Origin::of(table, SourceKind::Proc);
    let around = [before, after].map(|bytes| Record { origin, bytes });
    world::with(|known| {
        for bytes in records.iter().take(LOOKED_AT) {
            check::record(known, choices, Record { origin, bytes }, around);
        }
        // And what no file says so.
        check::record(known, choices, Record { origin, bytes: text }, around);
    });
}

/// A recording, of a table that is TCP's; the same bytes as datagrams.
pub(crate) fn recording(data: &[u8]) {
    let Some((choices, bytes)) = Choices::split(data) else { return };
    let table = Table::Tcp;
    let [before, after] = good::payloads(table);
    let mut first = Vec::new();
    let len = (HEADER_LEN + before.len()) as u32;
    Header { len, kind: 20, flags: 2, seq: 1, pid: 1 }.encode(&mut first);
    first.extend_from_slice(&before);
    let records = dump(table, &[&first, bytes], |sources, [full, _]| sources.tcpdiag_file = full);
    assert_eq!(records.first(), Some(&before), "the message before is lost");
    let most = bytes.len() / HEADER_LEN + 1;
    assert!(records.len() <= most, "{} records of at most {most}", records.len());
    let origin = Origin::of(table, SourceKind::Recording);
    let around = [before.as_slice(), after.as_slice()].map(|bytes| Record { origin, bytes });
    world::with(|known| {
        for bytes in records.iter().skip(1).take(LOOKED_AT) {
            assert!(bytes.len() <= LONGEST_MESSAGE);
            check::record(known, choices, Record { origin, bytes }, around);
        }
    });
    datagram(bytes);
}

/// Messages are cut where they say, and what they say lies inside.
fn datagram(bytes: &[u8]) {
    let mut rest = messages(bytes);
    let mut total = 0;
    for message in rest.by_ref() {
        total += HEADER_LEN + message.payload.len();
        let _ = error_code(message.payload);
        let ack = ext_ack(&message);
        assert!(ack.msg.is_none_or(|text| text.len() <= message.payload.len() && !text.contains(&0)));
        let origin = Origin::of(Table::Tcp, SourceKind::Kernel);
        let _ = Socket::decode(Record { origin, bytes: message.payload });
    }
    assert!(total + rest.remnant() <= bytes.len(), "more than there was");
    assert!(rest.next().is_none(), "what ended goes on");
}
