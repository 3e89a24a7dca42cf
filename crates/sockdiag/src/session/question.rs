//! A question in full detail: which sockets, which of their values, and how to ask.
//!
//! Made by [`Sockets`](crate::Sockets) from its settings, or by a program from its command
//! line; a [`Session`](super::Session) asks it.

use std::ffi::OsString;
use std::fmt;
use std::io::Write;

use super::AskError;
use crate::enrich::{BpfMaps, HolderSearch, Quirks, Threads};
use crate::fields::{Catalog, Needs};
use crate::filter::{self, Lookups, Parsed, Refused};
use crate::model::{Family, Selected, Table, TableSet};
use crate::namespaces::Entered;
use crate::notice::Notice;
use crate::order::Order;
use crate::source::{self, Access, Query, RecordError, Sources, Storages};
use crate::sys::opener::Opener;

/// Parses a filter; called again for each namespace, and before a poll if the names in the
/// filter may have other numbers by then.
pub type Parse = Box<dyn FnMut(filter::Context<'_>) -> Result<Parsed, Box<Refused>> + Send>;

/// The question that a session asks.
#[non_exhaustive]
pub struct Question {
    /// Tables, families and states.
    pub selected: Selected,
    /// The needs of the fields that are read; those of the filter and the sort order are
    /// added.
    pub needs: Needs,
    /// Whether rows are read only through fields whose needs are in `needs`: other values
    /// of a reply may then be missing, even owner, cookie and timer.
    pub lean: bool,
    /// The order of rows, and how many are shown.
    pub order: Order,
    /// The condition on rows.
    pub filter: Option<Parse>,
    /// Files that replace the kernel.
    pub sources: Sources,
    /// Network namespaces, as [`Sockets::netns`](crate::Sockets::netns) takes them.
    pub netns: Option<OsString>,
    /// The namespace that counts as ours, if it is not the calling thread's.
    pub inside: Option<Entered>,
    /// Ports and netlink protocols stay numbers (`-n`).
    pub numeric: bool,
    /// Names of hosts, and of RPC services unless `numeric`, are looked up (`-r`).
    pub resolve: bool,
    /// Which threads of a process count as holders of sockets; if a condition tests
    /// holders, at least threads with descriptors of their own count.
    pub threads: Threads,
    /// How the holders of sockets are searched.
    pub holder_search: HolderSearch,
    /// The BPF maps whose values are wanted; if none is open, all are.
    pub bpf_maps: BpfMaps,
    /// The program's own behaviour, where it differs from the library's.
    pub quirks: Option<Box<dyn Quirks>>,
    /// Whether to report what a listing lacks: tables requested by name that the kernel
    /// does not list, processes that were not seen.
    pub explain: bool,
    /// Whether to report why sockets have no process, too.
    pub reasons: bool,
}

impl Question {
    /// Asks for every socket of these tables, with the values that every reply has.
    pub fn new(selected: Selected) -> Self {
        Self {
            selected,
            needs: Needs::NONE,
            lean: false,
            order: Order::default(),
            filter: None,
            sources: Sources::default(),
            netns: None,
            inside: None,
            numeric: false,
            resolve: false,
            threads: Threads::default(),
            holder_search: HolderSearch::default(),
            bpf_maps: BpfMaps::default(),
            quirks: None,
            explain: true,
            reasons: false,
        }
    }

    /// Opens sockets in our own namespace.
    pub(super) fn home(&self) -> Opener {
        self.inside.as_ref().map_or_else(Opener::here, |inside| inside.opener.clone())
    }

    /// The filter with its parser.
    pub(super) fn reader(&mut self, polls_again: bool) -> Reader {
        Reader {
            polls_again,
            parse: self.filter.take(),
            preferred: self.selected.preferred,
            tables: self.selected.tables,
            with_rpc: self.resolve && !self.numeric,
        }
    }

    /// The query for one table, without the filter.
    pub(super) fn query(&self, table: Table) -> Query {
        let storages = match self.bpf_maps.descriptors() {
            _ if !self.needs.has(Needs::BPF_STORAGES) => Storages::None,
            maps if maps.is_empty() => Storages::All,
            maps => Storages::Of(maps),
        };
        Query { storages, ..query(&self.selected, self.needs, table) }
    }

    /// Writes the kernel's raw replies about TCP sockets to `out`.  The needs choose what
    /// is written, the filter does not.
    ///
    /// # Errors
    /// If the kernel's reply was incomplete, or `out` could not be written.
    pub fn record(&self, out: &mut dyn Write, say: &mut dyn FnMut(Notice)) -> Result<(), RecordError> {
        source::record(&self.query(Table::Tcp), &mut Access::to(self.home()), out, say)
    }
}

/// The query for one table, without the filter and BPF maps.
pub(super) fn query(selected: &Selected, needs: Needs, table: Table) -> Query {
    Query {
        tables: selected.tables,
        needs,
        families: selected.families,
        preferred: selected.preferred,
        states: selected.states,
        ext: needs.inet_ext(),
        ..Query::of(table)
    }
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question")
            .field("selected", &self.selected)
            .field("needs", &self.needs)
            .field("netns", &self.netns)
            .finish_non_exhaustive()
    }
}

/// A filter that can be parsed repeatedly.
pub(super) struct Reader {
    parse: Option<Parse>,
    preferred: Option<Family>,
    tables: TableSet,
    /// Whether RPC services have names.
    pub(super) with_rpc: bool,
    /// Whether it will be parsed again, so that resources are kept.
    pub(super) polls_again: bool,
}

impl Reader {
    /// A reader without a filter.
    pub(super) fn of_all(&self) -> Self {
        Self { parse: None, tables: TableSet::EMPTY, ..*self }
    }

    /// Parses the filter with these look-ups.
    pub(super) fn read(&mut self, lookups: &mut dyn Lookups) -> Result<Parsed, AskError> {
        let Some(parse) = &mut self.parse else {
            return Ok(Parsed { expr: None, family: None, remarks: Vec::new() });
        };
        let context = filter::Context {
            catalog: Catalog::shared(),
            preferred: self.preferred,
            tables: self.tables,
            lookups,
        };
        parse(context).map_err(AskError::Filter)
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("tables", &self.tables).finish_non_exhaustive()
    }
}
