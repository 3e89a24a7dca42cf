//! The packet tables: one dump for both, else `/proc/net/packet`.
//!
//! As in ss, the choice of one of the two tables applies only to the text: what the kernel
//! sends is listed whole.  A kernel that sends no memory report (before Linux 3.10) reports
//! too little, so the text is read instead.
//!
//! Source: linux/packet_diag.h, proc_pid_net(5), and ss's behaviour.

use std::io::{BufRead, BufReader};
use std::ops::ControlFlow;

use sockdiag_wire::netlink_diag::put_request;
use sockdiag_wire::packet_diag::{
    PACKET_SHOW_FANOUT, PACKET_SHOW_FILTER, PACKET_SHOW_INFO, PACKET_SHOW_MCLIST, PACKET_SHOW_MEMINFO,
    PACKET_SHOW_RING_CFG, PacketDiagMsg,
};

use super::access::Access;
use super::contract::{DumpError, DumpErrorKind, Query, Visit};
use super::one_dump;
use super::proc_net::{Line, next};
use super::sources::Sources;
use crate::fields::Needs;
use crate::model::packet::PacketLine;
use crate::model::{Family, Record};
use crate::notice::Notice;

/// Reads the tables.
pub(super) fn dump(
    query: &Query,
    sources: &Sources,
    access: &mut Access,
    visit: &mut dyn Visit,
    notices: &mut dyn FnMut(Notice),
) -> Result<(), DumpError> {
    if !sources.text_is_forced(query.table) {
        match kernel(query, access, visit, notices) {
            Ok(Answer::TooLittle) => {}
            Err(error) if error.may_fall_back() => {}
            Ok(Answer::Whole) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    let path = sources.packet_text();
    let mut rows_delivered = 0;
    let kind = match sources.open(&path, access) {
        Ok(file) => match text(&mut BufReader::new(file), query, visit, &mut rows_delivered) {
            Ok(()) => return Ok(()),
            Err(Bad::Read(error)) => DumpErrorKind::File { path, error },
            Err(Bad::Line(line)) => DumpErrorKind::BadLine { path, line },
        },
        Err(error) => DumpErrorKind::File { path, error },
    };
    Err(DumpError { request: query.name(), rows_delivered, kind })
}

/// The outcome of asking the kernel.
enum Answer {
    Whole,
    /// The first socket has no memory report; nothing was passed on.
    TooLittle,
}

fn kernel(
    query: &Query,
    access: &mut Access,
    visit: &mut dyn Visit,
    notices: &mut dyn FnMut(Notice),
) -> Result<Answer, DumpError> {
    let mut body = Vec::new();
    put_request(&mut body, Family::Packet.number(), 0, show(query.needs));
    let mut unless_too_little = UnlessTooLittle { visit, first: true, answer: Answer::Whole };
    one_dump::dump(query, access, &body, |_| true, &mut unless_too_little, notices)?;
    Ok(unless_too_little.answer)
}

/// The values to request: those that the reference requests, and more only if wanted.
fn show(needs: Needs) -> u32 {
    let mclist = if needs.has(Needs::PACKET_MCLIST) { PACKET_SHOW_MCLIST } else { 0 };
    PACKET_SHOW_INFO
        | PACKET_SHOW_RING_CFG
        | PACKET_SHOW_FANOUT
        | PACKET_SHOW_MEMINFO
        | PACKET_SHOW_FILTER
        | mclist
}

/// Passes on what the kernel sends, unless its first socket has no memory report.
struct UnlessTooLittle<'v> {
    visit: &'v mut dyn Visit,
    first: bool,
    answer: Answer,
}

impl Visit for UnlessTooLittle<'_> {
    fn record(&mut self, record: Record<'_>) -> ControlFlow<()> {
        let told = || PacketDiagMsg::new(record.bytes).is_none_or(|msg| msg.mem_info().is_some());
        if std::mem::take(&mut self.first) && !told() {
            self.answer = Answer::TooLittle;
            return ControlFlow::Break(());
        }
        self.visit.record(record)
    }

    fn begin(&mut self) {
        self.visit.begin();
    }

    fn may_replace(&mut self) -> bool {
        self.visit.may_replace()
    }

    fn replaced(&mut self, failed: bool) {
        self.visit.replaced(failed);
    }
}

enum Bad {
    Read(std::io::Error),
    Line(u64),
}

/// Passes the lines of a file to `visit`, except for the heading.
fn text(file: &mut dyn BufRead, query: &Query, visit: &mut dyn Visit, rows: &mut u64) -> Result<(), Bad> {
    let origin = super::contract::text_origin(query);
    let mut line = Vec::new();
    for number in 1.. {
        match next(file, &mut line).map_err(Bad::Read)? {
            Line::End => break,
            Line::Bad => return Err(Bad::Line(number)),
            Line::Whole => {}
        }
        let Some(parsed) = PacketLine::parse(&line).filter(|_| number > 1) else { continue };
        if parsed.table().is_none_or(|table| query.tables.contains(table)) {
            *rows += 1;
            if visit.record(Record { origin: origin(), bytes: &line }).is_break() {
                break;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::{Catalog, Groups};

    #[test]
    fn addresses_are_asked_for_where_they_are_wanted() {
        let catalog = Catalog::standard();
        let all = Groups::EXTENDED.union(Groups::MEMORY).union(Groups::BPF);
        assert_eq!(show(catalog.needs(all)), 0x3d, "the text asks as the reference does");
        assert_eq!(show(catalog.needs_of("packet.mclist")), 0x3f);
        assert_eq!(show(catalog.value_needs(Groups::EXTENDED)), 0x3f);
        assert_eq!(show(catalog.value_needs(Groups::NONE)), 0x3d);
    }
}
