//! `/proc/net/{tcp,udp,raw}` and their IPv6 halves: text, the last resort.
//!
//! Only states and families select lines; a line is passed on unchanged.  The quirks are
//! the reference's: a line that is too long, or a last line without a newline, ends the
//! table; a line without endpoints silently ends its file; if the IPv4 file is missing, the
//! IPv6 file is not read; a missing IPv6 file is ignored.
//!
//! Source: proc_net_tcp.rst, and ss's behaviour.

use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;

use super::access::Access;
use super::contract::{DumpError, DumpErrorKind, Query, Visit};
use super::sources::Sources;
use crate::model::proc_line::state_digit;
use crate::model::{Family, Record};

/// The longest line that is read, without its newline, in bytes.
const LONGEST_LINE: usize = 254;

/// Passes the lines of a table's files to `visit`.  A table without such files has no
/// sockets.
pub(super) fn dump(
    query: &Query,
    sources: &Sources,
    access: &Access,
    visit: &mut dyn Visit,
) -> Result<(), DumpError> {
    let mut rows = 0;
    for family in [Family::Inet, Family::Inet6] {
        let Some(path) = sources.text_of(query.table, family).filter(|_| query.families.contains(family))
        else {
            continue;
        };
        let result = match sources.open(&path, access) {
            Ok(file) => read(&mut BufReader::new(file), query, visit, &mut rows),
            Err(error) if family == Family::Inet6 && error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => Err(Bad::Read(error)),
        };
        match result {
            Ok(Ended::Quietly) => {}
            Ok(Ended::Stopped) => return Ok(()),
            Err(bad) => {
                let kind = bad.into_kind(path);
                return Err(DumpError { request: query.name(), rows_delivered: rows, kind });
            }
        }
    }
    Ok(())
}

enum Ended {
    Quietly,
    Stopped,
}

enum Bad {
    Read(io::Error),
    Line(u64),
}

impl Bad {
    fn into_kind(self, path: PathBuf) -> DumpErrorKind {
        match self {
            Self::Read(error) => DumpErrorKind::File { path, error },
            Self::Line(line) => DumpErrorKind::BadLine { path, line },
        }
    }
}

fn read(file: &mut dyn BufRead, query: &Query, visit: &mut dyn Visit, rows: &mut u64) -> Result<Ended, Bad> {
    let origin = super::contract::text_origin(query);
    let mut line = Vec::with_capacity(LONGEST_LINE + 1);
    // The heading.  A longer one ends the file: its rest would be a line without endpoints.
    match next(file, &mut line).map_err(Bad::Read)? {
        Line::End | Line::Bad => return Ok(Ended::Quietly),
        Line::Whole => {}
    }
    for number in 2.. {
        match next(file, &mut line).map_err(Bad::Read)? {
            Line::End => break,
            Line::Bad => return Err(Bad::Line(number)),
            Line::Whole => {}
        }
        let Some(state) = state_digit(&line) else { break };
        if query.states.contains_number(state) {
            *rows += 1;
            if visit.record(Record { origin: origin(), bytes: &line }).is_break() {
                return Ok(Ended::Stopped);
            }
        }
    }
    Ok(Ended::Quietly)
}

pub(super) enum Line {
    End,
    Whole,
    /// Too long, without a newline, or with a NUL, which ends a string in C.
    Bad,
}

/// Reads the next line, without its newline.
pub(super) fn next(file: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<Line> {
    line.clear();
    file.take(LONGEST_LINE as u64 + 1).read_until(b'\n', line)?;
    if line.is_empty() {
        return Ok(Line::End);
    }
    Ok(if line.pop() == Some(b'\n') && !line.contains(&0) { Line::Whole } else { Line::Bad })
}
