//! The unix tables: one dump for all three, else `/proc/net/unix`.
//!
//! The kernel filters by state but not by type, so sockets of tables that are not listed
//! are dropped here; a type that has no table is always passed on.
//!
//! Lines of /proc are passed on sorted by type and inode, in batches as large as the
//! reference's.  A line of the old format (its heading begins with `Peer`) gets a newline
//! and the peer's name appended, if the peer comes before it and is listed too, else `?`; a
//! peer without a name adds nothing.  `model/unix.rs` parses such records.
//!
//! Source: linux/unix_diag.h, proc_pid_net(5), and ss's behaviour.

use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;

use sockdiag_facts::sort::sort_by;
use sockdiag_wire::unix_diag::{
    UDIAG_SHOW_ICONS, UDIAG_SHOW_MEMINFO, UDIAG_SHOW_NAME, UDIAG_SHOW_PEER, UDIAG_SHOW_RQLEN, UDIAG_SHOW_UID,
    UDIAG_SHOW_VFS, UnixDiagMsg, UnixDiagReq,
};

use super::access::Access;
use super::contract::{DumpError, DumpErrorKind, Query, Visit};
use super::one_dump;
use super::sources::Sources;
use crate::fields::Needs;
use crate::model::unix::{UnixLine, table_of};
use crate::model::{Origin, Record};
use crate::notice::Notice;

/// How many bytes of a line are read at once; the rest counts as another line.
const LONGEST_LINE: u64 = 255;
/// How many lines are sorted at once.
const AT_ONCE: usize = 1660;

/// Reads the table.
pub(super) fn dump(
    query: &Query,
    sources: &Sources,
    access: &mut Access,
    visit: &mut dyn Visit,
    notices: &mut dyn FnMut(Notice),
) -> Result<(), DumpError> {
    if !sources.text_is_forced(query.table) {
        let mut body = Vec::new();
        UnixDiagReq { states: query.states.bits(), show: show(query.needs) }.encode(&mut body);
        let wanted =
            |bytes: &[u8]| UnixDiagMsg::kind_of(bytes).is_some_and(|kind| is_listed(query, kind.into()));
        match one_dump::dump(query, access, &body, wanted, visit, notices) {
            Err(error) if error.may_fall_back() => {}
            result => return result,
        }
    }
    let path = sources.unix_text();
    let result = sources.open(&path, access).and_then(|file| text(&mut BufReader::new(file), query, visit));
    result.map_err(|error| DumpError {
        request: "unix sockets".to_owned(),
        rows_delivered: 0,
        kind: DumpErrorKind::File { path, error },
    })
}

/// The attributes to request for these needs.
fn show(needs: Needs) -> u32 {
    [
        (Needs::UNIX_VFS, UDIAG_SHOW_VFS),
        (Needs::UNIX_ICONS, UDIAG_SHOW_ICONS),
        (Needs::UNIX_MEMINFO, UDIAG_SHOW_MEMINFO),
        (Needs::UNIX_UID, UDIAG_SHOW_UID),
    ]
    .into_iter()
    .filter(|(need, _)| needs.has(*need))
    .fold(UDIAG_SHOW_NAME | UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN, |show, (_, bit)| show | bit)
}

fn is_listed(query: &Query, kind: u32) -> bool {
    table_of(kind).is_none_or(|table| query.tables.contains(table))
}

/// A line that is waiting to be sorted.
struct Waiting {
    kind: u32,
    inode: u32,
    bytes: Vec<u8>,
}

/// Passes the lines of a file to `visit`.
fn text(file: &mut dyn BufRead, query: &Query, visit: &mut dyn Visit) -> io::Result<()> {
    let mut line = Vec::new();
    if !next(file, &mut line)? {
        return Ok(());
    }
    let old = line.starts_with(b"Peer");
    let origin = super::contract::text_origin(query);
    let mut waiting: Vec<Waiting> = Vec::new();
    while next(file, &mut line)? {
        let parsed = UnixLine::parse(&line);
        let wanted = u8::try_from(parsed.state).is_ok_and(|state| query.states.contains_number(state));
        if !wanted || !is_listed(query, parsed.kind) {
            continue;
        }
        let (kind, inode, peer) = (parsed.kind, parsed.inode, parsed.peer);
        if old {
            line.push(b'\n');
            if peer != 0 {
                put_name_of(&mut line, &waiting, peer);
            }
        }
        waiting.push(Waiting { kind, inode, bytes: line.clone() });
        if waiting.len() == AT_ONCE && hand_on(&mut waiting, &origin, visit).is_break() {
            return Ok(());
        }
    }
    let _ = hand_on(&mut waiting, &origin, visit);
    Ok(())
}

/// Appends the name of the socket with this inode, if it has one; `?` if there is no such
/// socket.
fn put_name_of(out: &mut Vec<u8>, known: &[Waiting], inode: u64) {
    match known.iter().find(|line| u64::from(line.inode) == inode) {
        None => out.push(b'?'),
        Some(line) => {
            if let Some(name) = UnixLine::parse(&line.bytes).name {
                out.extend_from_slice(&name.text());
            }
        }
    }
}

fn hand_on(
    waiting: &mut Vec<Waiting>,
    origin: &dyn Fn() -> Origin,
    visit: &mut dyn Visit,
) -> ControlFlow<()> {
    sort_by(waiting, &mut |a, b| (a.kind, a.inode).cmp(&(b.kind, b.inode)));
    waiting.drain(..).try_for_each(|line| visit.record(Record { origin: origin(), bytes: &line.bytes }))
}

/// Reads the next line as C would see it: without its newline, and up to a NUL. Returns
/// `false` at the end.
fn next(file: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    if file.take(LONGEST_LINE).read_until(b'\n', line)? == 0 {
        return Ok(false);
    }
    let end = line.iter().position(|byte| matches!(byte, 0 | b'\n')).unwrap_or(line.len());
    line.truncate(end);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::{Catalog, Groups};
    use crate::model::{StateSet, Table, TableSet};

    fn query(tables: TableSet, states: StateSet) -> Query {
        Query { tables, states, ..Query::of(Table::UnixDgram) }
    }

    /// The records that these lines produce, as text.
    fn records(lines: &[&str], tables: TableSet, states: StateSet) -> Vec<String> {
        let mut records = Vec::new();
        let mut visit = |record: Record<'_>| {
            assert_eq!(record.origin.kind, crate::model::SourceKind::Proc);
            records.push(String::from_utf8(record.bytes.to_vec()).unwrap());
            if record.bytes.ends_with(b"stop") { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        text(&mut lines.join("\n").as_bytes(), &query(tables, states), &mut visit).unwrap();
        records
    }

    #[test]
    fn requests_are_those_of_the_reference() {
        let catalog = Catalog::standard();
        for (groups, bits) in [
            (Groups::COLUMNS, 0x15),
            (Groups::EXTENDED.union(Groups::OPTIONS), 0x1f),
            (Groups::MEMORY, 0x35),
            (Groups::INFO.union(Groups::TOS), 0x15),
        ] {
            assert_eq!(show(catalog.needs(groups)), bits, "{groups:?}");
        }
        assert_eq!(show(Needs::UNIX_UID), 0x55);
    }

    #[test]
    fn lines_are_sorted_by_type_and_inode_and_ties_stay() {
        let lines = ["Num", "0: 2 0 0 2 01 1", "0: 2 0 0 1 03 9 b", "0: 2 0 0 1 03 9 a", "0: 2 0 0 1 03 3"];
        let sorted = ["0: 2 0 0 1 03 3", "0: 2 0 0 1 03 9 b", "0: 2 0 0 1 03 9 a", "0: 2 0 0 2 01 1"];
        assert_eq!(records(&lines, TableSet::UNIX, StateSet::ALL), sorted);
        let stop = ["Num", "0: 2 0 0 1 03 9 a", "0: 2 0 0 1 03 3 stop"];
        assert_eq!(records(&stop, TableSet::UNIX, StateSet::ALL), ["0: 2 0 0 1 03 3 stop"]);
    }

    #[test]
    fn states_and_tables_choose_and_a_type_without_a_table_is_always_listed() {
        let lines = ["Num", "0: 2 0 0 2 01 1", "0: 2 0 0 1 03 2", "0: 2 0 0 3 03 3", "0: 2 0 0 1 0e 4", "0"];
        let stream = TableSet::only(Table::UnixStream);
        assert_eq!(records(&lines, stream, StateSet::ALL), ["0", "0: 2 0 0 1 03 2", "0: 2 0 0 3 03 3"]);
        let close = StateSet::only(crate::model::State::Close);
        assert_eq!(records(&lines, TableSet::UNIX, close), ["0: 2 0 0 2 01 1"]);
    }

    #[test]
    fn the_old_form_gets_the_names_of_peers_that_stand_above() {
        let lines = [
            "Peer",
            "0: 0 0 0 1 03 1 /a",
            "1: 0 0 0 1 03 2",
            "2: 0 0 0 1 03 3",
            "9: 0 0 0 1 03 4 /b",
            "4: 0 0 0 1 02 5",
        ];
        let got = records(&lines, TableSet::UNIX, StateSet::ALL);
        let ends: Vec<&str> = got.iter().map(|record| record.split_once('\n').unwrap().1).collect();
        assert_eq!(ends, ["", "/a", "", "?", "/b"]);
        let syn_sent = StateSet::only(crate::model::State::SynSent);
        assert_eq!(
            records(&lines, TableSet::UNIX, syn_sent),
            ["4: 0 0 0 1 02 5\n?"],
            "not listed: not known"
        );
    }

    #[test]
    fn long_lines_are_read_in_pieces_and_end_at_a_nul() {
        let long = format!("0: 2 0 0 1 03 7 /{}", "x".repeat(400));
        let got = records(&["Num", &long, "0: 2 0 0 1 03 8 /y\0z"], TableSet::UNIX, StateSet::ALL);
        assert_eq!(got.iter().map(String::len).collect::<Vec<_>>(), [417 - 255, 255, 18]);
        let many: Vec<String> = (0..=AT_ONCE).rev().map(|inode| format!("0: 2 0 0 1 03 {inode}")).collect();
        let mut lines = vec!["Num"];
        lines.extend(many.iter().map(String::as_str));
        let got = records(&lines, TableSet::UNIX, StateSet::ALL);
        assert_eq!(got.len(), AT_ONCE + 1);
        assert_eq!((got[0].as_str(), got[AT_ONCE].as_str()), ("0: 2 0 0 1 03 1", "0: 2 0 0 1 03 0"));
    }
}
