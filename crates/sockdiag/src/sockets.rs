//! A question about sockets, in one value: which ones, and what of them.
//!
//! This is the front door of the library.  [`Sockets`] says which tables,
//! states and filter are meant and which fields will be read;
//! [`Sockets::each`] hands over borrowed rows as the kernel sends them,
//! [`Sockets::collect`] owned ones.  The same question can destroy what it
//! finds ([`Sockets::destroy`]), follow sockets as they end
//! ([`Sockets::follow`]), be recorded ([`Sockets::record`]) and be asked of a
//! recording ([`Sockets::recording`]), of another /proc ([`Sockets::sources`])
//! and in other network namespaces ([`Sockets::netns`]).
//!
//! Invariant: what is asked of the kernel, and looked up elsewhere, is what
//! the filter and the fields named here need, and no more.
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

    /// Sockets of these tables, in the states that come with them: for TCP
    /// connections, for UDP those that have a peer.
    pub fn of(tables: &[Table]) -> Self {
        tables.iter().fold(Self::new(), |sockets, table| sockets.table(*table))
    }

    /// Sockets of this table, too.
    #[must_use]
    pub fn table(mut self, table: Table) -> Self {
        self.selection.add_table(table);
        self
    }

    /// Sockets of this family only; of several, each call adds one.
    #[must_use]
    pub fn family(mut self, family: Family) -> Self {
        self.selection.add_family(family);
        self
    }

    /// Sockets in these states, instead of those that come with a table:
    /// [`StateSet::ALL`], [`StateSet::LISTENING`] (which takes in unconnected
    /// UDP sockets), or any.  The last call holds.
    #[must_use]
    pub fn states(mut self, states: StateSet) -> Self {
        self.selection.request(states);
        self
    }

    /// Rows of which this holds, in the language of `ss` (see [`crate::filter`]):
    /// `dport = :443 and tcp.rtt_us > 20000`.  The kernel tests what it can.
    /// If there are several filters, all must match; each is parsed separately, so text from
    /// an untrusted source cannot widen what another filter allows.
    #[must_use]
    pub fn filter(mut self, text: impl AsRef<[u8]>) -> Self {
        self.filters.push(text.as_ref().to_vec());
        self
    }

    /// Says which fields will be read, by full name (`tcp.rtt_us`) or by one
    /// that can mean nothing else (`rtt`), so that they are asked for and
    /// looked up.  Addresses, ports, state, queues, inode and cookie are in
    /// every row.  A member of a list has a name too: `socket.processes.cmdline`.
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

    /// Looks for the processes that hold each socket: by a BPF program where
    /// that is allowed, else in /proc.  See [`Row::holders`].  Of the calling
    /// process only descriptors count that exec does not close, so not those
    /// that the standard library opened.
    #[must_use]
    pub fn with_processes(mut self) -> Self {
        self.needs = self.needs.union(Needs::PROCESSES);
        self
    }

    /// The same for every thread of a process, rather than the first alone.
    #[must_use]
    pub fn with_threads(mut self) -> Self {
        self.threads = true;
        self.with_processes()
    }

    /// Looks for processes in this way only.
    #[must_use]
    pub fn holder_search(mut self, search: HolderSearch) -> Self {
        self.holder_search = search;
        self
    }

    /// Looks for the other end of each connection on this machine and for the process that
    /// holds it: fields `peer.*`, [`Row::peer_holders`].  It dumps the tables
    /// twice.
    #[must_use]
    pub fn with_peers(self) -> Self {
        self.reading(["peer.processes"])
    }

    /// Looks for the container, pod and systemd unit that each socket works
    /// for: fields `container.*`, `pod.*`, `unit.*`.
    #[must_use]
    pub fn with_containers(self) -> Self {
        self.reading_groups(Groups::CONTAINERS)
    }

    /// Orders rows by fields, names with commas between them and a `-` before
    /// one that turns it round: `-tcp.rtt_us,local.port`.  Rows are then kept
    /// until the last one is known.  Sockets are destroyed in this order, too.
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

    /// TCP sockets of this recording, made by [`Sockets::record`] or `ss -D`,
    /// instead of the kernel's.  It is shown whole: neither families nor states
    /// choose from it, only the filter does.
    #[must_use]
    pub fn recording(mut self, file: impl AsRef<Path>) -> Self {
        self.sources.tcpdiag_file = Some(file.as_ref().into());
        self.table(Table::Tcp)
    }

    /// Asks these files instead of this machine's kernel; with another
    /// [`Sources::proc_root`] holders are looked for there.
    #[must_use]
    pub fn sources(mut self, sources: Sources) -> Self {
        self.sources = sources;
        self
    }

    /// Asks in these network namespaces: words between commas, each `all`, a
    /// name as `ip netns` has it, a path, an inode number, `pid:N` or `container:NAME`.  The
    /// calling thread stays where it is.  Fields `netns.*` tell rows apart;
    /// namespaces that may not be entered are a notice of the outcome.
    #[must_use]
    pub fn netns(mut self, words: impl AsRef<OsStr>) -> Self {
        self.netns = Some(words.as_ref().to_owned());
        self
    }

    /// Asks in a namespace that was entered, rather than in that of the calling
    /// thread.
    #[must_use]
    pub fn inside(mut self, entered: &Entered) -> Self {
        self.inside = Some(entered.clone());
        self
    }

    /// Works the question out, to be asked again and again.
    ///
    /// # Errors
    /// If it cannot be asked at all.
    pub fn open(&self) -> Result<Session, AskError> {
        Session::open(self.question()?)
    }

    /// Hands over every row, as it comes, until `take` breaks off: one poll of
    /// a [`Session`].
    ///
    /// # Errors
    /// If the question cannot be asked at all.  A table that cannot be read is
    /// a failure in the outcome: the others are read all the same.
    pub fn each(&self, take: impl FnMut(&Row<'_>) -> ControlFlow<()>) -> Result<Outcome, AskError> {
        poll(&mut Session::once(self.question()?)?, take)
    }

    /// Every row, copied, with what was looked up for it.
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

    /// Destroys every socket that matches, one at a time by its identity, and
    /// hands over each with what became of it, until `take` breaks off.  A dry
    /// run is [`Sockets::each`] of the same question.
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

    /// Hands over TCP and UDP sockets as they end, by whomever, until `take`
    /// breaks off; it waits for the next one for as long as that takes.  Which
    /// states were asked for does not matter.  Calls `notice` when the kernel
    /// dropped messages because we read too slowly.  [`Session::follow`] gives
    /// a stream that can be waited for and stopped.
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

    /// Writes the kernel's raw replies about TCP sockets, to be asked later
    /// through [`Sockets::recording`] or by `ss` (`TCPDIAG_FILE`).  Filters do
    /// not choose what is written; fields to be read have to be said here.
    /// What comes back is worth saying to people.
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

    /// The question, worked out.
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

/// The filters, each read by itself, so that none can reach into another.
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

/// One poll, whose rows a function takes until it breaks off.
fn poll(session: &mut Session, take: impl FnMut(&Row<'_>) -> ControlFlow<()>) -> Result<Outcome, AskError> {
    match session.poll(&mut Each(take)) {
        Ok(outcome) => Ok(outcome),
        Err(PollError::Ask(error)) => Err(error),
        Err(PollError::Sink(never)) => match never {},
    }
}

/// A sink that calls a function, until that breaks off.
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
