//! A question about sockets as one value: which sockets, and which of their values.
//!
//! The main entry point of the library.  [`Sockets`] sets the tables, states and filter,
//! and the fields that will be read; [`Sockets::each`] passes on borrowed rows as the
//! kernel sends them, [`Sockets::collect`] owned ones.  The same question can destroy the
//! sockets it finds ([`Sockets::destroy`]), follow sockets as they end
//! ([`Sockets::follow`]), be recorded ([`Sockets::record`]), and be asked of a recording
//! ([`Sockets::recording`]), of another /proc ([`Sockets::sources`]) and in other network
//! namespaces ([`Sockets::netns`]).
//!
//! Invariant: the kernel is asked, and look-ups are made, only for what the filter and the
//! fields named here need.
//!
//! Nothing here prints, ends the program or reads its environment.

mod owned;

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

use crate::enrich::{HolderSearch, Threads};
use crate::fields::{Catalog, Groups, Needs};
use crate::filter::{self, FilterError, Parsed, Refused};
use crate::model::{Family, Row, Selection, StateSet, Table};
use crate::namespaces::Entered;
use crate::notice::Notice;
use crate::order::Order;
use crate::session::{AskError, Event, Outcome, PollError, Question, Session, Verdict};
use crate::sink::Sink;
use crate::source::{Destroyer, Fate, Sources};

pub use owned::OwnedRow;
pub use sockdiag_facts::Holding;

use owned::Interner;

/// A question: which sockets, and which values of them.
///
/// The methods add to the question and return it; errors in it are reported when it is
/// asked.  It can be asked repeatedly.
#[derive(Clone, Debug, Default)]
pub struct Sockets {
    selection: Selection,
    filters: Vec<Vec<u8>>,
    names: Vec<String>,
    needs: Needs,
    threads: bool,
    holder_search: HolderSearch,
    order: Option<String>,
    limit: Option<u64>,
    sources: Sources,
    netns: Option<OsString>,
    inside: Option<Entered>,
}

impl Sockets {
    /// Open sockets of every family that are not listening: what `ss` lists
    /// without options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sockets of these tables, in the default states of each table: for TCP connections,
    /// for UDP sockets with a peer.
    pub fn of(tables: &[Table]) -> Self {
        tables.iter().fold(Self::new(), |sockets, table| sockets.table(*table))
    }

    /// Adds the sockets of this table.
    #[must_use]
    pub fn table(mut self, table: Table) -> Self {
        self.selection.add_table(table);
        self
    }

    /// Only sockets of this family; each further call adds a family.
    #[must_use]
    pub fn family(mut self, family: Family) -> Self {
        self.selection.add_family(family);
        self
    }

    /// Sockets in these states, instead of the table's default states: [`StateSet::ALL`],
    /// [`StateSet::LISTENING`] (which includes unconnected UDP sockets), or any others.
    /// The last call wins.
    #[must_use]
    pub fn states(mut self, states: StateSet) -> Self {
        self.selection.request(states);
        self
    }

    /// Only rows that match this filter, in the language of `ss` (see [`crate::filter`]):
    /// `dport = :443 and tcp.rtt_us > 20000`.  The kernel tests what it can. If there are
    /// several filters, all must match; each is parsed separately, so text from an
    /// untrusted source cannot widen what another filter allows.
    #[must_use]
    pub fn filter(mut self, text: impl AsRef<[u8]>) -> Self {
        self.filters.push(text.as_ref().to_vec());
        self
    }

    /// Names the fields that will be read, by full name (`tcp.rtt_us`) or by a unique last
    /// part (`rtt`), so that they are requested and looked up.  Addresses, ports, state,
    /// queues, inode and cookie are in every row.  A member of a list has a name too:
    /// `socket.processes.cmdline`.
    #[must_use]
    pub fn reading<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.names.extend(names.into_iter().map(Into::into));
        self
    }

    /// The same for every field that these options of `ss` show
    /// ([`Groups::INFO`] is `-i`).
    #[must_use]
    pub fn reading_groups(mut self, groups: Groups) -> Self {
        let fields = Catalog::shared().fields().filter(|field| field.groups.intersects(groups));
        self.needs = fields.fold(self.needs, |needs, field| needs.union(field.needs));
        self
    }

    /// Finds the processes that hold each socket: by a BPF program where that is allowed,
    /// else in /proc.  See [`Row::holders`].  For the calling process only descriptors
    /// without close-on-exec count, so not those that the standard library opened.
    #[must_use]
    pub fn with_processes(mut self) -> Self {
        self.needs = self.needs.union(Needs::PROCESSES);
        self
    }

    /// The same for every thread of a process, not only the first.
    #[must_use]
    pub fn with_threads(mut self) -> Self {
        self.threads = true;
        self.with_processes()
    }

    /// Finds processes in this way only.
    #[must_use]
    pub fn holder_search(mut self, search: HolderSearch) -> Self {
        self.holder_search = search;
        self
    }

    /// Finds the other end of each connection on this machine and the process that holds
    /// it: fields `peer.*`, [`Row::peer_holders`].  The tables are dumped twice for that.
    #[must_use]
    pub fn with_peers(self) -> Self {
        self.reading(["peer.processes"])
    }

    /// Finds the container, pod and systemd unit that each socket belongs to: fields
    /// `container.*`, `pod.*`, `unit.*`.
    #[must_use]
    pub fn with_containers(self) -> Self {
        self.reading_groups(Groups::CONTAINERS)
    }

    /// Orders rows by fields: names separated by commas, each with an optional `-` that
    /// reverses its order: `-tcp.rtt_us,local.port`.  Rows are then kept until the last one
    /// is known.  Sockets are destroyed in this order, too.
    #[must_use]
    pub fn order(mut self, names: impl Into<String>) -> Self {
        self.order = Some(names.into());
        self
    }

    /// Limits the number of rows.
    #[must_use]
    pub fn limit(mut self, rows: u64) -> Self {
        self.limit = Some(rows);
        self
    }

    /// Reads TCP sockets from this recording, made by [`Sockets::record`] or `ss -D`,
    /// instead of the kernel.  It is shown whole: families and states do not apply, only
    /// the filter does.
    #[must_use]
    pub fn recording(mut self, file: impl AsRef<Path>) -> Self {
        self.sources.tcpdiag_file = Some(file.as_ref().into());
        self.table(Table::Tcp)
    }

    /// Reads these files instead of asking this machine's kernel; with another
    /// [`Sources::proc_root`], holders are searched there.
    #[must_use]
    pub fn sources(mut self, sources: Sources) -> Self {
        self.sources = sources;
        self
    }

    /// Asks in these network namespaces: words separated by commas, each `all`, a name as
    /// in `ip netns`, a path, an inode number, `pid:N` or `container:NAME`.  The calling
    /// thread stays where it is.  Fields `netns.*` tell rows apart; namespaces that may not
    /// be entered are reported in a notice of the outcome.
    #[must_use]
    pub fn netns(mut self, words: impl AsRef<OsStr>) -> Self {
        self.netns = Some(words.as_ref().to_owned());
        self
    }

    /// Asks in a namespace that was entered, not in that of the calling thread.
    #[must_use]
    pub fn inside(mut self, entered: &Entered) -> Self {
        self.inside = Some(entered.clone());
        self
    }

    /// Prepares the question for repeated polls.
    ///
    /// # Errors
    /// If it cannot be asked at all.
    pub fn open(&self) -> Result<Session, AskError> {
        Session::open(self.question()?)
    }

    /// Passes on every row as it comes, until `take` breaks: one poll of a [`Session`].
    ///
    /// # Errors
    /// If the question cannot be asked at all.  A table that cannot be read is a failure in
    /// the outcome: the other tables are still read.
    pub fn each(&self, take: impl FnMut(&Row<'_>) -> ControlFlow<()>) -> Result<Outcome, AskError> {
        poll(&mut Session::once(self.question()?)?, take)
    }

    /// Copies every row, with its look-ups.
    ///
    /// # Errors
    /// As [`Sockets::each`].
    pub fn collect(&self) -> Result<(Vec<OwnedRow>, Outcome), AskError> {
        let (mut rows, mut interner) = (Vec::new(), Interner::default());
        let outcome = self.each(|row| {
            rows.push(interner.keep(row));
            ControlFlow::Continue(())
        })?;
        Ok((rows, outcome))
    }

    /// Destroys every socket that matches, one at a time by its identity, and passes each
    /// on with the result, until `take` breaks.  For a dry run, ask the same question with
    /// [`Sockets::each`].
    ///
    /// # Errors
    /// As [`Sockets::each`]; without a filter, and with several namespaces;
    /// [`AskError::Destroy`] if the kernel cannot be asked at all.
    pub fn destroy(
        &self,
        mut take: impl FnMut(&Row<'_>, Verdict) -> ControlFlow<()>,
    ) -> Result<Outcome, AskError> {
        let mut session = Session::once(self.question()?)?;
        let mut destroyer = session.destroyer()?;
        poll(&mut session, |row| {
            let verdict = match Destroyer::acts_on(row.socket).then(|| destroyer.destroy(row.socket)) {
                Some(Ok(Fate::Destroyed)) => Verdict::Destroyed,
                Some(Ok(Fate::Gone)) => Verdict::Gone,
                None | Some(Ok(Fate::Spared)) => Verdict::Unsupported,
                Some(Err(notice)) => Verdict::Refused(notice),
            };
            take(row, verdict)
        })
    }

    /// Passes on TCP and UDP sockets as they end, whoever closed them, until `take` breaks;
    /// waits for the next one without a limit.  The requested states do not matter.  Calls
    /// `notice` when we read too slowly and the kernel dropped messages.
    /// [`Session::follow`] returns a stream that can be waited for and stopped.
    ///
    /// # Errors
    /// As [`Sockets::each`]; with several namespaces;
    /// [`AskError::NothingToFollow`]; [`AskError::Follow`], also when the
    /// kernel stops telling.
    pub fn follow(
        &self,
        mut take: impl FnMut(&Row<'_>) -> ControlFlow<()>,
        mut notice: impl FnMut(Notice),
    ) -> Result<(), AskError> {
        let mut follow = Session::once(self.question()?)?.follow()?;
        loop {
            match follow.next(None).map_err(AskError::Follow)? {
                Event::Ended(ended) => {
                    if take(&ended.row()).is_break() {
                        return Ok(());
                    }
                }
                Event::Lost { times } => notice(Notice::EventsLost { times }),
                Event::Notice(said) => notice(said),
                Event::Nothing => {}
                Event::Stopped => return Ok(()),
            }
        }
    }

    /// Writes the kernel's raw replies about TCP sockets, to be read later through
    /// [`Sockets::recording`] or by `ss` (`TCPDIAG_FILE`).  Filters do not choose what is
    /// written; fields that will be read must be named before.  Returns notices for users.
    ///
    /// # Errors
    /// As [`Sockets::each`]; with several namespaces;
    /// [`AskError::NothingToRecord`]; [`AskError::Record`] if the kernel did
    /// not answer to the end, or `out` could not be written.
    pub fn record(&self, mut out: impl Write) -> Result<Vec<Notice>, AskError> {
        let mut session = Session::once(self.question()?)?;
        let mut notices = session.take_early();
        session.record(&mut out, &mut |notice| notices.push(notice))?;
        Ok(notices)
    }

    /// Turns the settings into a question.
    fn question(&self) -> Result<Question, AskError> {
        let catalog = Catalog::shared();
        let mut question = Question::new(self.selection.resolve().map_err(AskError::Empty)?);
        question.needs = self.needs;
        for name in &self.names {
            let named = catalog.named(name).map_err(AskError::Name)?;
            question.needs = question.needs.union(named.needs(catalog));
        }
        question.order = Order::new(catalog, self.order.as_deref(), self.limit).map_err(AskError::Order)?;
        if self.netns.is_some() && !(self.sources.are_live() && self.sources.ip_local_port_range.is_none()) {
            return Err(AskError::FilesAndNamespaces);
        }
        let filters = self.filters.clone();
        question.filter = Some(Box::new(move |context| joined(&filters, context)));
        question.sources = self.sources.clone();
        question.netns.clone_from(&self.netns);
        question.inside.clone_from(&self.inside);
        question.resolve = true;
        question.threads = if self.threads { Threads::All } else { Threads::Own };
        question.holder_search = self.holder_search;
        Ok(question)
    }
}

/// Parses each filter by itself, so that the text of one cannot change another.
fn joined(filters: &[Vec<u8>], context: filter::Context<'_>) -> Result<Parsed, Box<Refused>> {
    let mut all = Parsed { expr: None, family: None, remarks: Vec::new() };
    let filter::Context { catalog, preferred, tables, lookups } = context;
    for filter in filters {
        let context = filter::Context { catalog, preferred, tables, lookups: &mut *lookups };
        let words: &[&[u8]] = &[filter];
        let words = if filter.is_empty() { &[] } else { words };
        let Parsed { expr, family, remarks } = filter::parse_or_explain(words, None, context)?;
        all.remarks.extend(remarks);
        all.family = family.or(all.family);
        all.expr = match (all.expr, expr) {
            (Some(left), Some(right)) => Some(left.and(right).ok_or_else(|| too_long(filter))?),
            (left, right) => left.or(right),
        };
    }
    Ok(all)
}

fn too_long(filter: &[u8]) -> Box<Refused> {
    let around = [String::new(), String::from_utf8_lossy(filter).into_owned(), String::new()];
    let expected = "fewer conditions".to_owned();
    Box::new(Refused { error: FilterError::TooDeep, around, expected, mended: None })
}

/// Makes one poll, and passes the rows to a function until it breaks.
fn poll(session: &mut Session, take: impl FnMut(&Row<'_>) -> ControlFlow<()>) -> Result<Outcome, AskError> {
    match session.poll(&mut Each(take)) {
        Ok(outcome) => Ok(outcome),
        Err(PollError::Ask(error)) => Err(error),
        Err(PollError::Sink(never)) => match never {},
    }
}

/// A sink that calls a function, until that breaks.
struct Each<F>(F);

impl<F: FnMut(&Row<'_>) -> ControlFlow<()>> Sink for Each<F> {
    type Error = Infallible;

    fn row(&mut self, row: &Row<'_>) -> Result<ControlFlow<()>, Infallible> {
        Ok((self.0)(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Expr;

    #[test]
    fn filters_are_joined_as_they_were_read() {
        let read = |filters: &[&str]| {
            let sockets = filters.iter().fold(Sockets::of(&[Table::Tcp]), Sockets::filter);
            let session = sockets.open().map_err(|error| error.to_string())?;
            Ok::<_, String>(session.filter().map(Expr::to_string))
        };
        let text = |filters: &[&str]| read(filters).expect("filters").unwrap_or_default();
        assert_eq!(text(&["", ""]), "");
        assert_eq!(text(&["", "sport = :1"]), text(&["sport = :1"]));
        let (left, right) =
            ("sport = :1 or not dport = :2", "dport = :3 and not ( sport = :4 or sport = :5 )");
        let both = text(&[left, right, "sport = :6"]);
        assert_eq!(
            both,
            format!("( ( {} and {} ) and {} )", text(&[left]), text(&[right]), text(&["sport = :6"]))
        );
        assert!(read(&["sport = :1", "sport ="]).is_err());
    }

    #[test]
    fn only_what_is_read_is_asked_for() {
        let needs = |sockets: &Sockets| sockets.open().map(|session| session.needs()).expect("a question");
        let tcp = Sockets::of(&[Table::Tcp]);
        assert_eq!(needs(&tcp), Needs::NONE);
        assert_eq!(needs(&tcp.clone().reading(["tcp.rtt_us"])), Needs::INFO);
        assert_eq!(needs(&tcp.clone().filter("rtt > 1ms")), Needs::INFO);
        assert_eq!(needs(&tcp.clone().order("-tcp.rtt_us")), Needs::INFO);
        assert_eq!(needs(&tcp.clone().reading(["comm"])), Needs::PROCESSES);
        assert_eq!(needs(&tcp.reading(["process.user"])), Needs::PROCESSES.union(Needs::COMMANDS));
    }
}
