//! What a look sees: how many sockets match, and what may be hidden.

use std::collections::HashSet;
use std::convert::Infallible;
use std::io;
use std::ops::ControlFlow;

use sockdiag::fields::Choice;
use sockdiag::model::Row;
use sockdiag::notice::Notice;
use sockdiag::{Outcome, PollError, Session, Sink};
use sockdiag_render::columns::{Columns, Shape};

use crate::end::End;

/// What a look saw.
#[derive(Debug, Default)]
pub(super) struct Sight {
    /// Sockets that match, counted up to what decides.
    pub(super) rows: u64,
    /// Why a table could not be read to its end.
    pub(super) failure: Option<String>,
    /// A namespace that was asked for and is not there any more.
    pub(super) gone: Option<String>,
    /// What may hide further sockets that match.
    pub(super) unseen: Option<String>,
    /// Whether the table changed while it was read.
    interrupted: bool,
    /// What is worth saying.
    said: Vec<String>,
}

impl Sight {
    /// Looks until `enough` sockets match.
    pub(super) fn look(session: &mut Session, enough: u64) -> Result<Self, End> {
        let mut counted = Counted { rows: 0, enough };
        let outcome = match session.poll(&mut counted) {
            Ok(outcome) => outcome,
            Err(PollError::Ask(error)) => return Err(End::unseen(error.to_string())),
            Err(PollError::Sink(never)) => match never {},
            Err(error) => return Err(End::unseen(error.to_string())),
        };
        Ok(Self::of(counted.rows, outcome))
    }

    fn of(rows: u64, outcome: Outcome) -> Self {
        let mut sight = Self { rows, ..Self::default() };
        sight.failure = outcome.failures.first().map(ToString::to_string);
        for notice in outcome.notices {
            let text = notice.to_string();
            match notice {
                Notice::DumpInterrupted => sight.interrupted = true,
                Notice::NamespaceGone { .. } => sight.gone = Some(text),
                Notice::NamespacesUnseen { .. } | Notice::HoldersHidden { .. } => {
                    sight.unseen = Some(text.clone());
                    sight.said.push(text);
                }
                _ => sight.said.push(text),
            }
        }
        sight
    }

    /// Whether everything was seen.
    pub(super) fn is_whole(&self) -> bool {
        self.failure.is_none() && self.gone.is_none() && self.unseen.is_none() && !self.interrupted
    }

    /// Says on standard error what was not said before.
    pub(super) fn tell(&self, told: &mut Vec<String>) {
        for text in &self.said {
            if !told.contains(text) {
                eprintln!("sockdiag: {text}");
                told.push(text.clone());
            }
        }
    }
}

/// Counts rows, until there are enough.
struct Counted {
    rows: u64,
    enough: u64,
}

impl Sink for Counted {
    type Error = Infallible;

    fn row(&mut self, _: &Row<'_>) -> Result<ControlFlow<()>, Infallible> {
        self.rows += 1;
        Ok(if self.rows < self.enough { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    }
}

/// What a second look confirmed.
#[derive(Debug)]
pub(super) struct Answer {
    /// Sockets that match, all of them.
    pub(super) rows: u64,
    /// Whether everything was seen.
    pub(super) is_whole: bool,
    /// Of how many services they are: places with a port or a name of their own.
    pub(super) services: usize,
    /// The sockets, as they are shown.
    pub(super) report: Vec<u8>,
}

impl Answer {
    /// Looks at all that match.
    pub(super) fn look(
        session: &mut Session,
        choices: Vec<Choice>,
        shape: Shape,
        told: &mut Vec<String>,
    ) -> Result<Self, End> {
        let mut report = Vec::new();
        let columns = Columns::new(choices, shape, true, Box::new(&mut report))
            .map_err(|error| End::unwritten(&error))?;
        let mut shown = Shown { rows: 0, services: HashSet::new(), columns };
        let outcome = match session.poll(&mut shown) {
            Ok(outcome) => outcome,
            Err(PollError::Sink(error)) => return Err(End::unwritten(&error)),
            Err(error) => return Err(End::unseen(error.to_string())),
        };
        shown.columns.flush().map_err(|error| End::unwritten(&error))?;
        let (rows, services) = (shown.rows, shown.services.len());
        drop(shown);
        let sight = Sight::of(rows, outcome);
        if rows > 0 {
            sight.tell(told);
        }
        Ok(Self { rows, is_whole: sight.is_whole(), services, report })
    }
}

/// Shows rows, and tells services apart.
struct Shown<'r> {
    rows: u64,
    services: HashSet<(Option<i128>, Service)>,
    columns: Columns<'r>,
}

/// Where a service is reached, within its namespace.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Service {
    /// At whatever addresses: one for each address family, or several, are one service.
    Port(u16),
    /// By the name of a unix socket, or whatever else names one.
    Name(String),
    /// A socket without a name.
    Inode(Option<u32>),
}

impl Service {
    fn of(row: &Row<'_>) -> Self {
        if let Some(local) = row.local() {
            return Self::Port(local.port());
        }
        let name = row.value("local.addr").map(|name| name.to_string()).filter(|name| !name.is_empty());
        let port = row.value("local.port").map(|port| port.to_string()).unwrap_or_default();
        name.map_or(Self::Inode(row.inode()), |name| Self::Name(format!("{name}:{port}")))
    }
}

impl Sink for Shown<'_> {
    type Error = io::Error;

    fn row(&mut self, row: &Row<'_>) -> io::Result<ControlFlow<()>> {
        self.rows += 1;
        self.services.insert((row.number("netns.inode"), Service::of(row)));
        self.columns.row(row)
    }
}
