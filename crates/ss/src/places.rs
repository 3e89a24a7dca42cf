//! `--netns`: the network namespaces that are listed, and the visits to them.
//!
//! A filter is read once in each namespace, since the name of an interface is
//! another number there.  A namespace that has no interface of that name can
//! have no such socket and is passed over.

use std::ffi::OsStr;
use std::io::{self, BufRead, Read as _};

use sockdiag::filter::Parsed;
use sockdiag::model::{Layout, Netns, Selected, State, StateSet, Table, TableSet};
use sockdiag::namespaces::{self, Namespace};
use sockdiag::notes::Note;
use sockdiag::pipeline::Pipeline;
use sockdiag::source::{Query, Sources};
use sockdiag::sys::elsewhere::Inside;
use sockdiag::sys::netns::EnterError;

use crate::cli::{Args, Exit};

/// One namespace, and what holds there.
pub(crate) struct Visit {
    /// `None` stands for the only one, ours.
    pub(crate) namespace: Option<Namespace>,
    /// The filter as it reads there.
    pub(crate) parsed: Parsed,
    /// The range of ephemeral ports there.
    pub(crate) ports: (u16, u16),
    /// Whether its sockets are listed, rather than only known as other ends.
    pub(crate) listed: bool,
}

impl Visit {
    /// What rows say of it.
    pub(crate) fn facts(&self) -> Option<Netns> {
        self.namespace.as_ref().map(|namespace| namespace.facts.clone())
    }

    /// Goes there, until the result is dropped.
    pub(crate) fn enter(&self) -> io::Result<Option<Inside>> {
        self.namespace.as_ref().map_or(Ok(None), Namespace::enter)
    }
}

/// Ends for what cannot go together with several namespaces.
pub(crate) fn check(args: &Args, sources: &Sources) -> Result<(), Exit> {
    if args.netns.is_none() {
        return Ok(());
    }
    let clash =
        |what| Err(Exit::error(Exit::USAGE, format!("ss: --netns and {what} cannot be used together")));
    let range = sources.ip_local_port_range.clone();
    if args.kill {
        // Whoever closes sockets should name their namespace, once.
        return clash("--kill");
    }
    if args.events {
        return clash("--events");
    }
    if args.summary {
        return clash("--summary");
    }
    if *sources != (Sources { ip_local_port_range: range, ..Sources::default() }) {
        return clash("files in place of the kernel (PROC_ROOT, PROC_NET_*, TCPDIAG_FILE)");
    }
    Ok(())
}

/// The text of the filter file, which is read several times.
pub(crate) fn whole(file: Option<Box<dyn BufRead>>) -> Result<Option<Vec<u8>>, Exit> {
    let Some(mut file) = file else { return Ok(None) };
    let mut text = Vec::new();
    file.read_to_end(&mut text)
        .map_err(|error| Exit::error(Exit::USAGE, format!("ss: filter file: {error}")))?;
    Ok(Some(text))
}

/// Goes to each namespace of the list for the first time, to see what holds
/// there; with `peers` the other namespaces follow, where other ends may be.
pub(crate) fn visits(
    list: &OsStr,
    peers: bool,
    sources: &Sources,
    parse: impl Fn() -> Result<Parsed, Exit>,
    say: &mut dyn FnMut(Note),
) -> Result<Vec<Visit>, Exit> {
    let mut found = namespaces::chosen(list).map_err(|error| Exit::error(1, error.message()))?;
    let listed = found.list.len();
    if peers {
        for other in namespaces::all().list {
            if found.list.iter().all(|had| had.facts.inode != other.facts.inode) {
                found.list.push(other);
            }
        }
    }
    let mut visits: Vec<Visit> = Vec::new();
    let mut wrong = None;
    let (mut refused, mut errno) = (Vec::new(), 0);
    for (number, namespace) in found.list.into_iter().enumerate() {
        let listed = number < listed;
        let inside = match namespace.enter() {
            Ok(inside) => inside,
            Err(error) if namespace.is_chosen => {
                let name = OsStr::new(&*String::from_utf8_lossy(&namespace.facts.title)).to_owned();
                let error = EnterError::Set { name, errno: error.raw_os_error().unwrap_or(0) };
                return Err(Exit::error(1, error.message()));
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
            Err(exit) if listed => {
                wrong = wrong.or(Some(exit));
                continue;
            }
            Err(_) => Parsed { expr: None, family: None },
        };
        let ports = sources.port_range();
        drop(inside);
        visits.push(Visit { namespace: Some(namespace), parsed, ports, listed });
    }
    if !refused.is_empty() || found.hidden > 0 {
        say(Note::NamespacesUnseen { refused, errno, processes: found.hidden });
    }
    match wrong {
        Some(exit) if !visits.iter().any(|visit| visit.listed) => Err(exit),
        _ => Ok(visits),
    }
}

/// Remembers all sockets that may be the other end of one that is listed.
pub(crate) fn learn_peers(pipeline: &mut Pipeline<'_>, visits: &[Visit], selected: &Selected) {
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
            Layout::Unix if visits.len() > 1 => tables.push((table, StateSet::ALL)),
            _ => {}
        }
    }
    for (place, visit) in visits.iter().enumerate() {
        let Ok(_inside) = visit.enter() else { continue };
        pipeline.enricher.enter(place as u32);
        for (table, states) in &tables {
            pipeline.learn_peers(&Query { tables: TableSet::ALL, states: *states, ..Query::of(*table) });
        }
    }
    pipeline.enricher.have_peers();
    pipeline.enricher.enter(0);
}
