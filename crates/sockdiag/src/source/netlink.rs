//! The netlink table: one dump, else `/proc/net/netlink`.
//!
//! Source: linux/netlink_diag.h, proc_pid_net(5), and ss's behaviour.

use std::io::{self, BufRead, BufReader, Read};

use sockdiag_wire::netlink_diag::{
    NDIAG_PROTO_ALL, NDIAG_SHOW_FLAGS, NDIAG_SHOW_GROUPS, NDIAG_SHOW_MEMINFO, put_request,
};

use super::access::Access;
use super::contract::{DumpError, DumpErrorKind, Query, Visit};
use super::one_dump;
use super::sources::Sources;
use crate::fields::Needs;
use crate::model::{Family, Record};
use crate::notice::Notice;

/// How many bytes of a line are read.
const LONGEST_LINE: u64 = 4096;

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
        let flags = if query.needs.has(Needs::NETLINK_FLAGS) { NDIAG_SHOW_FLAGS } else { 0 };
        let show = NDIAG_SHOW_MEMINFO | NDIAG_SHOW_GROUPS | flags;
        put_request(&mut body, Family::Netlink.number(), NDIAG_PROTO_ALL, show);
        match one_dump::dump(query, access, &body, |_| true, visit, notices) {
            Err(error) if error.may_fall_back() => {}
            result => return result,
        }
    }
    let path = sources.netlink_text();
    let result = sources.open(&path, access).and_then(|file| text(&mut BufReader::new(file), query, visit));
    result.map_err(|error| DumpError {
        request: query.name(),
        rows_delivered: 0,
        kind: DumpErrorKind::File { path, error },
    })
}

/// Passes the lines of a file to `visit`, except for the heading.
fn text(file: &mut dyn BufRead, query: &Query, visit: &mut dyn Visit) -> io::Result<()> {
    let origin = super::contract::text_origin(query);
    let mut line = Vec::new();
    let mut heading = true;
    loop {
        line.clear();
        if file.take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let end = line.iter().position(|byte| matches!(byte, 0 | b'\n')).unwrap_or(line.len());
        line.truncate(end);
        if !std::mem::take(&mut heading) && visit.record(Record { origin: origin(), bytes: &line }).is_break()
        {
            return Ok(());
        }
    }
}
