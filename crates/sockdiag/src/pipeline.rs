//! From tables to a sink: dump, decode, filter, enrich, hand on.
//!
//! Rows reach the sink in the order of the dump.  Where names have to be asked
//! for over the network (`-r`), rows are held as the bytes they came in, their
//! addresses are looked up at once, and then they go on in order; what is held
//! never exceeds [`HELD_BYTES`].
//!
//! Invariant: a row is handed on at most once, and what the filter refuses
//! costs no look-up.

use std::io;
use std::ops::ControlFlow;

use crate::enrich::{self, Enricher};
use crate::fields::Needs;
use crate::filter::{EvalContext, Expr};
use crate::model::{FamilySet, Origin, Record, Row, Socket, SourceKind, TableSet};
use crate::notes::Note;
use crate::source::{self, DumpError, Query, Sources};

/// Where rows go.
pub trait Sink {
    /// Takes one row, which it may not keep.
    ///
    /// # Errors
    /// What writing brought about; the listing ends there.
    fn row(&mut self, row: &Row<'_>) -> io::Result<()>;

    /// Hands on what was buffered.
    ///
    /// # Errors
    /// What writing brought about.
    fn finish(&mut self) -> io::Result<()>;
}

/// Bytes of records that may wait for names.
pub const HELD_BYTES: usize = 4 << 20;

/// What is done with the records of every table.
pub struct Pipeline<'p> {
    /// Sources to read.
    pub sources: &'p Sources,
    /// Families that are shown.
    pub families: FamilySet,
    /// Tables that are shown, where one dump brings the sockets of several.
    pub tables: TableSet,
    /// What must hold of a row.
    pub filter: Option<&'p Expr>,
    /// What the filter asks its surroundings for.
    pub context: EvalContext,
    /// What is looked up for a row.
    pub needs: Needs,
    /// Names.
    pub enricher: &'p mut Enricher,
    /// Where rows go.
    pub sink: &'p mut dyn Sink,
}

impl Pipeline<'_> {
    /// Lists one table.
    ///
    /// # Errors
    /// See [`source::dump`].  The sink's own errors end the listing quietly,
    /// as a reader that went away should.
    pub fn list(&mut self, query: &Query, notes: &mut dyn FnMut(Note)) -> Result<(), DumpError> {
        let mut held = Held::default();
        let hosts = self.needs.has(Needs::HOSTS);
        let sources = self.sources;
        let result = source::dump(
            query,
            sources,
            &mut |record: Record<'_>| {
                let Some(socket) = Socket::decode(record) else { return ControlFlow::Continue(()) };
                if !self.wants(&socket) {
                    return ControlFlow::Continue(());
                }
                if hosts {
                    held.push(record);
                    if held.bytes.len() >= HELD_BYTES {
                        return self.release(&mut held);
                    }
                    return ControlFlow::Continue(());
                }
                self.show(&socket)
            },
            notes,
        );
        let _ = self.release(&mut held);
        self.enricher.take_notes().into_iter().for_each(notes);
        result
    }

    /// A recording is shown whole: only the filter chooses from it.
    fn wants(&self, socket: &Socket<'_>) -> bool {
        let shown =
            matches!(socket.origin.kind, SourceKind::Recording) || self.families.contains(socket.family);
        shown && self.filter.is_none_or(|filter| filter.eval(&Row::bare(socket), self.context))
    }

    fn show(&mut self, socket: &Socket<'_>) -> ControlFlow<()> {
        self.enricher.prepare(socket);
        match self.sink.row(&self.enricher.row(socket)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }

    /// Looks up the names of all held rows and hands the rows on.
    fn release(&mut self, held: &mut Held) -> ControlFlow<()> {
        if held.rows.is_empty() {
            return ControlFlow::Continue(());
        }
        let mut addrs = Vec::new();
        for socket in held.sockets() {
            addrs.extend(enrich::addresses(&socket));
        }
        self.enricher.prepare_hosts(addrs.into_iter());
        let mut flow = ControlFlow::Continue(());
        for socket in held.sockets() {
            flow = self.show(&socket);
            if flow.is_break() {
                break;
            }
        }
        held.clear();
        flow
    }
}

/// Records that wait, as the bytes they came in.
#[derive(Default)]
struct Held {
    bytes: Vec<u8>,
    rows: Vec<(Origin, usize)>,
}

impl Held {
    fn push(&mut self, record: Record<'_>) {
        self.bytes.extend_from_slice(record.bytes);
        self.rows.push((record.origin, record.bytes.len()));
    }

    fn sockets(&self) -> impl Iterator<Item = Socket<'_>> {
        let mut rest = self.bytes.as_slice();
        self.rows.iter().filter_map(move |(origin, length)| {
            let (bytes, after) = rest.split_at_checked(*length)?;
            rest = after;
            Socket::decode(Record { origin: *origin, bytes })
        })
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.rows.clear();
    }
}
