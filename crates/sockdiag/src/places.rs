//! The network namespaces of a listing, and the visits to them.
//!
//! A listing visits one place after the other: it enters the namespace, dumps
//! every table there and leaves.  A filter is read once in each place, since
//! the name of an interface is another number there.
//!
//! Invariant: places are numbered as [`Places::facts`] lists them, which is
//! what an [`Enricher`](crate::enrich::Enricher) is made with.

use std::ffi::OsStr;
use std::io;
use std::ops::ControlFlow;

use crate::fields::Needs;
use crate::filter::{EvalContext, Expr, Parsed};
use crate::model::{Layout, Netns, Selected, State, StateSet, Table, TableSet};
use crate::namespaces::{self, Namespace};
use crate::notice::Notice;
use crate::pipeline::Pipeline;
use crate::source::{DumpError, Programs, Query, Sources, Storages};
use crate::sys::elsewhere::Inside;
use crate::sys::netns::EnterError;

/// One namespace, and what holds there.
#[derive(Debug)]
pub struct Place {
    /// `None` stands for the only one, ours.
    pub namespace: Option<Namespace>,
    /// The filter as it reads there.
    pub parsed: Parsed,
    /// The range of ephemeral ports there.
    pub ports: (u16, u16),
    /// Whether its sockets are listed, rather than only known as other ends.
    pub listed: bool,
}

impl Place {
    /// The condition on its rows.
    pub fn filter(&self) -> Option<&Expr> {
        self.parsed.expr.as_ref()
    }

    /// What the filter asks its surroundings for.
    pub fn context(&self) -> EvalContext {
        EvalContext { ports: self.ports }
    }

    /// Goes there, until the result is dropped.
    ///
    /// # Errors
    /// As [`Namespace::enter`].
    pub fn enter(&self) -> io::Result<Option<Inside>> {
        self.namespace.as_ref().map_or(Ok(None), Namespace::enter)
    }
}

/// What is asked of the tables of every place.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Tables, families and states.
    pub selected: Selected,
    /// What the fields that are read need.
    pub needs: Needs,
    /// The BPF maps whose values are wanted.
    pub storages: Storages,
}

impl Asked {
    /// What is asked of one table, without a filter.
    pub fn query(&self, table: Table) -> Query {
        Query {
            tables: self.selected.tables,
            needs: self.needs,
            families: self.selected.families,
            preferred: self.selected.preferred,
            states: self.selected.states,
            ext: self.needs.inet_ext(),
            storages: self.storages.clone(),
            ..Query::of(table)
        }
    }
}

/// What is done after each table: see [`Places::list`].
pub type Listed<'l> =
    dyn FnMut(Result<(), DumpError>, &Query, &mut dyn FnMut(Notice)) -> ControlFlow<()> + 'l;

/// The places that a listing visits.
#[derive(Debug, Default)]
pub struct Places(Vec<Place>);

impl Places {
    /// The namespace that we are in, alone.
    pub fn here(parsed: Parsed, sources: &Sources) -> Self {
        Self(vec![Place { namespace: None, parsed, ports: sources.port_range(), listed: true }])
    }

    /// The namespaces that words between commas stand for (see
    /// [`namespaces::chosen`]).  Each is entered, to read the filter and what
    /// else holds there; with `peers` the other namespaces of the machine
    /// follow, where other ends may be.
    ///
    /// A namespace in which the filter cannot be read is passed over: one that
    /// has no interface of some name has no socket bound to it.
    ///
    /// # Errors
    /// A namespace asked for by itself that is not there or may not be
    /// entered; a filter that cannot be read in any of those listed.
    pub fn find<E: From<EnterError>>(
        words: &OsStr,
        peers: bool,
        sources: &Sources,
        mut parse: impl FnMut() -> Result<Parsed, E>,
        say: &mut dyn FnMut(Notice),
    ) -> Result<Self, E> {
        let every = namespaces::all();
        let mut found = namespaces::chosen(words, &every)?;
        let listed = found.list.len();
        if peers {
            for other in every.list {
                if found.list.iter().all(|had| had.facts.inode != other.facts.inode) {
                    found.list.push(other);
                }
            }
        }
        let mut places: Vec<Place> = Vec::new();
        let mut wrong = None;
        let (mut refused, mut errno) = (Vec::new(), 0);
        for (number, namespace) in found.list.into_iter().enumerate() {
            let listed = number < listed;
            let inside = match namespace.enter() {
                Ok(inside) => inside,
                Err(error) if namespace.is_chosen => {
                    let name = OsStr::new(&*String::from_utf8_lossy(&namespace.facts.title)).to_owned();
                    return Err(EnterError::Set { name, errno: error.raw_os_error().unwrap_or(0) }.into());
                }
                // Its last process ended meanwhile.
                Err(error) if matches!(error.raw_os_error(), Some(2 | 3)) => continue,
                Err(error) => {
                    refused.push(namespace.facts.title.clone());
                    errno = error.raw_os_error().unwrap_or(0);
                    continue;
                }
            };
            let parsed = match parse() {
                Ok(parsed) => parsed,
                Err(error) if listed => {
                    wrong = wrong.or(Some(error));
                    continue;
                }
                Err(_) => Parsed { expr: None, family: None },
            };
            let ports = sources.port_range();
            drop(inside);
            places.push(Place { namespace: Some(namespace), parsed, ports, listed });
        }
        if !refused.is_empty() || found.hidden > 0 {
            say(Notice::NamespacesUnseen { refused, errno, processes: found.hidden });
        }
        match wrong {
            Some(error) if !places.iter().any(|place| place.listed) => Err(error),
            _ => Ok(Self(places)),
        }
    }

    /// The place visited first, whose filter tells what every filter needs;
    /// `None` where every namespace has ended meanwhile.
    pub fn first(&self) -> Option<&Place> {
        self.0.first()
    }

    /// The places whose sockets are listed.
    pub fn listed(&self) -> impl Iterator<Item = &Place> {
        self.0.iter().filter(|place| place.listed)
    }

    /// What rows say of each place; nothing where there is only ours.
    pub fn facts(&self) -> Vec<Netns> {
        self.0.iter().filter_map(|place| Some(place.namespace.as_ref()?.facts.clone())).collect()
    }

    /// Remembers all sockets that may be the other end of one that is listed.
    pub fn learn_peers(&self, pipeline: &mut Pipeline<'_>, selected: &Selected) {
        let mut tables: Vec<(Table, StateSet)> = Vec::new();
        for table in selected.dumps() {
            match table.layout() {
                Layout::Inet => {
                    let states = match table {
                        Table::Raw => continue,
                        Table::Udp => StateSet::only(State::Established),
                        _ => StateSet::CONN,
                    };
                    tables.push((table, states));
                }
                // The kernel names the peer, but not its namespace.
                Layout::Unix if self.0.len() > 1 => tables.push((table, StateSet::ALL)),
                _ => {}
            }
        }
        for (number, place) in self.0.iter().enumerate() {
            let Ok(_inside) = place.enter() else { continue };
            pipeline.enricher.enter(number as u32);
            for (table, states) in &tables {
                let query = Query { tables: TableSet::ALL, states: *states, ..Query::of(*table) };
                pipeline.learn_peers(&query);
            }
        }
        pipeline.enricher.have_peers();
        pipeline.enricher.enter(0);
    }

    /// Lists the tables of every listed place; [`Pipeline::finish`] is left to
    /// the caller.  `listed` is told how each table came out, with what was
    /// asked and a way to say more, and breaks off or not.
    pub fn list<'p>(
        &'p self,
        pipeline: &mut Pipeline<'p>,
        asked: &Asked,
        say: &mut dyn FnMut(Notice),
        listed: &mut Listed<'_>,
    ) {
        if asked.needs.has(Needs::PEERS) {
            self.learn_peers(pipeline, &asked.selected);
        }
        for (number, place) in self.0.iter().enumerate().filter(|(_, place)| place.listed) {
            // A namespace that is gone by now has no sockets.
            let Ok(_inside) = place.enter() else { continue };
            if place.namespace.is_some() {
                pipeline.enter(number as u32, place.filter(), place.context());
            }
            let programs = Programs::of(place.filter());
            for table in asked.selected.dumps() {
                let query = Query { programs: programs.clone(), ..asked.query(table) };
                let result = pipeline.list(&query, say);
                if listed(result, &query, say).is_break() {
                    return;
                }
            }
        }
    }
}
