//! The result of a look: how many sockets match, and what may be hidden.

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

/// The result of a look.
#[derive(Debug, Default)]
pub(super) struct Sight {
    /// Matching sockets, counted only up to the number that decides.
    pub(super) rows: u64,
    /// Why a table could not be read to its end.
    pub(super) failure: Option<String>,
    /// A selected namespace that no longer exists.
    pub(super) gone: Option<String>,
    /// Why further matching sockets may be hidden.
    pub(super) unseen: Option<String>,
    /// Whether the table changed while it was read.
    interrupted: bool,
    /// Messages to print.
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

    /// Whether everything was visible.
    pub(super) fn is_whole(&self) -> bool {
        self.failure.is_none() && self.gone.is_none() && self.unseen.is_none() && !self.interrupted
    }

    /// Prints the messages that were not printed before, on standard error.
    pub(super) fn tell(&self, told: &mut Vec<String>) {
        for text in &self.said {
            if !told.contains(text) {
                eprintln!("sockdiag: {text}");
                told.push(text.clone());
            }
        }
    }
}

/// Counts rows until there are enough.
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

/// The result of the second look, which confirms the first.
#[derive(Debug)]
pub(super) struct Answer {
    /// All matching sockets, fully counted.
    pub(super) rows: u64,
    /// Whether everything was seen.
    pub(super) is_whole: bool,
    /// The number of services: different ports or names.
    pub(super) services: usize,
    /// The sockets, formatted for output.
    pub(super) report: Vec<u8>,
}

impl Answer {
    /// Looks at all matching sockets.
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

/// Formats rows and counts distinct services.
struct Shown<'r> {
    rows: u64,
    services: HashSet<(Option<i128>, Service)>,
    columns: Columns<'r>,
}

/// What identifies a service within its namespace.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Service {
    /// A port at any address: sockets of both families or several addresses are one service.
    Port(u16),
    /// The name of a unix socket, or another name.
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
