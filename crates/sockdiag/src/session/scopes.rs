//! The network namespaces in which a question is asked.
//!
//! A poll visits one after the other.  A filter is parsed in each, since an interface has
//! another index there.  What was opened in a namespace is kept for the next poll, but only
//! while the namespace is found again: a netlink socket would keep alive a namespace that
//! everybody else has left.
//!
//! Invariant: scopes are numbered as [`Scopes::facts`] lists them; an
//! [`Enricher`](crate::enrich::Enricher) uses the same numbers.

use std::ffi::OsStr;
use std::mem;
use std::sync::Arc;

use rustix::process::{Resource, getrlimit};

use super::AskError;
use super::observed::Ends;
use super::question::Reader;
use crate::counters::{self, HostCounters};
use crate::enrich::{Links, PortRange, SystemLookups};
use crate::filter::{EvalContext, Expr, Parsed, Remark};
use crate::model::{Family, Netns};
use crate::namespaces::{Namespace, Search};
use crate::notice::Notice;
use crate::source::{Access, Programs, Sources};
use crate::sys::errno_of;
use crate::sys::netns::{self, EnterError};
use crate::sys::opener::{Opener, Worker};
use sockdiag_wire::errno::{ENOENT, ESRCH};

/// In how many namespaces netlink sockets are kept at most.
const MOST_KEPT: usize = 256;

/// In how many namespaces sockets are kept open: few enough that descriptors do not run
/// out.  Each may have two: for sockets, and for interfaces.
pub(super) fn most_kept() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(limit / 8).unwrap_or(usize::MAX).min(MOST_KEPT)
}

/// One namespace, with its access and its filter.
#[derive(Debug)]
pub(super) struct Scope {
    /// `None` if our own is the only one.
    pub(super) namespace: Option<Namespace>,
    /// The access to its tables.
    pub(super) access: Access,
    /// Access to its interfaces, while it is not lent out.
    pub(super) links: Links,
    /// The filter, parsed in this namespace.
    filter: Option<Arc<Expr>>,
    /// Remarks about the filter.
    pub(super) remarks: Vec<Remark>,
    /// The only family that the filter can match, if there is only one.
    pub(super) family: Option<Family>,
    /// The part of the filter that the kernel can test.
    pub(super) programs: Programs,
    /// Whether the filter names something whose number may change by the next poll.
    volatile: bool,
    /// The facts besides the row that the filter tests.
    context: EvalContext,
    /// Whether its sockets are listed, or only searched for peers.
    pub(super) listed: bool,
    /// The reports of its closed sockets, once they are subscribed to.
    pub(super) ends: Option<Ends>,
}

impl Scope {
    /// Enters a namespace and parses the filter there.
    // Not inlined, like `read`: both have several callers.
    #[inline(never)]
    fn new(
        namespace: Option<Namespace>,
        listed: bool,
        opener: Opener,
        sources: &Sources,
        reader: &mut Reader,
    ) -> Result<Self, AskError> {
        let mut scope = Self {
            namespace,
            access: Access::kept(opener.clone(), reader.polls_again),
            links: Links::of(opener, reader.polls_again),
            filter: None,
            remarks: Vec::new(),
            family: None,
            programs: Programs::default(),
            volatile: true,
            context: EvalContext { ports: (0, 0) },
            listed,
            ends: None,
        };
        scope.read(sources, reader)?;
        Ok(scope)
    }

    /// Parses the filter again, if its names may have other numbers by now.
    #[inline(never)]
    fn read(&mut self, sources: &Sources, reader: &mut Reader) -> Result<(), AskError> {
        if self.volatile {
            let mut lookups = SystemLookups::new(&mut self.links, &mut self.access, reader.with_rpc)
                .telling_namespaces(self.namespace.is_some());
            let read = reader.read(&mut lookups);
            if let Some(notice) = lookups.take_refused() {
                return Err(AskError::LookUp { notice, filter: read.err().map(Box::new) });
            }
            let Parsed { expr, family, remarks } = read?;
            self.remarks = remarks;
            self.volatile = lookups.is_volatile();
            self.programs = Programs::of(expr.as_ref());
            (self.filter, self.family) = (expr.map(Arc::new), family);
        }
        if self.filter().is_some_and(Expr::uses_port_range) {
            self.context.ports = sources.port_range(&self.access);
        }
        Ok(())
    }

    /// The condition on its rows.
    pub(super) fn filter(&self) -> Option<&Expr> {
        self.filter.as_deref()
    }

    /// The same, as a shared reference that can be kept.
    pub(super) fn shared_filter(&self) -> Option<Arc<Expr>> {
        self.filter.clone()
    }

    /// The facts besides the row that the filter tests.
    pub(super) fn context(&self) -> EvalContext {
        self.context
    }

    /// The inode of the namespace; `None` if our own is the only one.
    pub(super) fn inode(&self) -> Option<u64> {
        Some(self.namespace.as_ref()?.facts.inode)
    }

    /// Closes what was kept for the next poll.
    fn close(&mut self) {
        self.access.close();
        self.links.close();
    }
}

/// The namespaces in which a question is asked.
#[derive(Debug)]
pub(super) struct Scopes {
    /// The scopes, by number.
    list: Vec<Scope>,
    /// Opens sockets in our own namespace.
    home: Opener,
    /// Enters the other namespaces.
    worker: Worker,
}

impl Scopes {
    /// Only the namespace in which `home` opens sockets.
    pub(super) fn one(home: Opener, sources: &Sources, reader: &mut Reader) -> Result<Self, AskError> {
        let scope = Scope::new(None, true, home.clone(), sources, reader)?;
        Ok(Self { list: vec![scope], home, worker: Worker::default() })
    }

    /// The namespaces of a comma-separated list: see [`Scopes::find`].
    ///
    /// # Errors
    /// As [`Scopes::find`], and if a namespace that was requested by itself does not exist
    /// or may not be entered.
    pub(super) fn of(
        words: &OsStr,
        peers: bool,
        home: Opener,
        sources: &Sources,
        reader: &mut Reader,
        say: &mut dyn FnMut(Notice),
    ) -> Result<Self, AskError> {
        let mut scopes = Self { list: Vec::new(), home, worker: Worker::default() };
        scopes.find(words, peers, sources, reader, say, true)?;
        Ok(scopes)
    }

    /// Parses the filters again where necessary.
    ///
    /// # Errors
    /// If it can no longer be parsed: an interface that it names is gone.
    pub(super) fn read_again(&mut self, sources: &Sources, reader: &mut Reader) -> Result<(), AskError> {
        self.list.iter_mut().try_for_each(|scope| scope.read(sources, reader))
    }

    /// Finds the namespaces that a comma-separated list names now (see
    /// [`namespaces::chosen`](crate::namespaces::chosen)).  Each is entered to parse the
    /// filter; with `peers`, the other namespaces of the machine follow, since peers may be
    /// there.  Access that was kept is reused if its namespace is found again, and closed
    /// otherwise.
    ///
    /// A namespace in which the filter cannot be parsed is skipped: if it lacks the named
    /// interface, no socket can be bound to it.
    ///
    /// # Errors
    /// A filter that cannot be parsed in any of the listed namespaces.  A namespace that
    /// was requested by itself and does not exist or may not be entered is an error the
    /// `first` time, and a notice later: it may come back.
    pub(super) fn find(
        &mut self,
        words: &OsStr,
        peers: bool,
        sources: &Sources,
        reader: &mut Reader,
        say: &mut dyn FnMut(Notice),
        first: bool,
    ) -> Result<(), AskError> {
        let mut search = Search::seen_from(self.home.inode().or_else(netns::inode));
        let mut gone = Vec::new();
        let mut found = search.chosen(words, &mut |error| {
            if first {
                return Err(error);
            }
            gone.extend(of_one(error));
            Ok(())
        })?;
        let listed = found.list.len();
        if peers {
            for other in search.all().list {
                if found.list.iter().all(|had| had.facts.inode != other.facts.inode) {
                    found.list.push(other);
                }
            }
        }
        let mut before = mem::take(&mut self.list);
        let mut wrong = None;
        let most = most_kept();
        let (mut refused, mut errno) = (Vec::new(), 0);
        for (number, mut namespace) in found.list.into_iter().enumerate() {
            self.close_surplus(most);
            let opener = self.opener_of(&namespace);
            namespace.facts.owner = opener.owner();
            let listed = number < listed;
            let known = before.iter().position(|scope| scope.inode() == Some(namespace.facts.inode));
            let scope = match known {
                Some(at) => kept(before.swap_remove(at), namespace, opener, listed, sources, reader),
                None => entered(namespace, opener, listed, sources, reader),
            };
            match scope {
                Ok(scope) => self.list.push(scope),
                Err(Passed::Filter(error)) => wrong = wrong.or(Some(error)),
                Err(Passed::Chosen(error)) if first => return Err(error.into()),
                Err(Passed::Chosen(error)) => gone.extend(of_one(error)),
                Err(Passed::Refused { title, errno: why }) => {
                    refused.push(title);
                    errno = why;
                }
                Err(Passed::Ended) => {}
            }
        }
        self.close_surplus(most);
        if !before.is_empty() {
            drop(before);
            // The worker may be in one of the namespaces that are gone.
            self.worker.leave();
        }
        for (name, errno) in gone {
            say(Notice::NamespaceGone { name, errno });
        }
        if !refused.is_empty() || found.unseen.is_any() {
            say(Notice::NamespacesUnseen { refused, errno, why: found.unseen });
        }
        match wrong {
            Some(error) if !self.list.iter().any(|scope| scope.listed) => Err(error),
            _ => Ok(()),
        }
    }

    /// Closes what parsing a filter opened in the last namespace, if more than `most` are
    /// open.
    fn close_surplus(&mut self, most: usize) {
        if let Some([.., last]) = self.list.get_mut(most..) {
            last.close();
        }
    }

    fn opener_of(&self, namespace: &Namespace) -> Opener {
        if namespace.is_home { self.home.clone() } else { namespace.opener(&self.worker) }
    }

    /// A new access to our own namespace.
    pub(super) fn home(&self) -> Access {
        Access::to(self.home.clone())
    }

    /// Every scope, by number.
    pub(super) fn all(&self) -> &[Scope] {
        &self.list
    }

    /// The same, for changes.
    pub(super) fn all_mut(&mut self) -> &mut [Scope] {
        &mut self.list
    }

    /// The scope visited first; every filter has the same needs as its filter.  `None` if
    /// every namespace has ended meanwhile.
    pub(super) fn first(&self) -> Option<&Scope> {
        self.list.first()
    }

    /// The only scope that is listed, for operations that work in one namespace only.
    pub(super) fn only(&mut self) -> Result<&mut Scope, AskError> {
        let mut listed = self.list.iter_mut().filter(|scope| scope.listed);
        match (listed.next(), listed.next()) {
            (Some(only), None) => Ok(only),
            _ => Err(AskError::SeveralNamespaces),
        }
    }

    /// The facts of each namespace for rows; empty if there is only our own.
    pub(super) fn facts(&self) -> Vec<Netns> {
        self.list.iter().filter_map(|scope| Some(scope.namespace.as_ref()?.facts.clone())).collect()
    }

    /// First and last ephemeral port of each namespace.
    pub(super) fn port_ranges(&self, sources: &Sources) -> Vec<(u16, u16)> {
        self.list.iter().map(|scope| sources.port_range(&scope.access)).collect()
    }

    /// The same, with the number of reserved ports.
    pub(super) fn all_port_ranges(&self, sources: &Sources) -> Vec<PortRange> {
        let range = |scope: &Scope| {
            let (first, last) = sources.port_range(&scope.access);
            let reserved = sources.reserved_ports(&scope.access, first..=last);
            PortRange { first, last, reserved }
        };
        self.list.iter().map(range).collect()
    }

    /// The counters of each listed namespace; a namespace that has ended is left out.
    pub(super) fn counters(&self, sources: &Sources) -> Vec<HostCounters> {
        let listed = self.list.iter().filter(|scope| scope.listed);
        let place = |scope: &Scope| {
            let (opener, netns_inode) = (scope.access.opener(), scope.inode().unwrap_or(0));
            counters::read(counters::Place { sources, opener, netns_inode }).ok()
        };
        let mut all: Vec<HostCounters> = listed.filter_map(place).collect();
        if all.iter().any(HostCounters::lacks_machine)
            && let Ok(home) = counters::read(counters::Place { sources, opener: &self.home, netns_inode: 0 })
        {
            for counters in &mut all {
                counters.take_machine(&home);
            }
        }
        all
    }

    /// The filters, each with the facts besides the row that it tests.
    pub(super) fn filters(&self) -> Vec<(Option<Arc<Expr>>, EvalContext)> {
        self.list.iter().map(|scope| (scope.filter.clone(), scope.context)).collect()
    }

    /// Lends out the access to the interfaces.
    pub(super) fn take_links(&mut self) -> Vec<Links> {
        self.list.iter_mut().map(|scope| mem::take(&mut scope.links)).collect()
    }

    /// Takes the access to the interfaces back.
    pub(super) fn return_links(&mut self, links: Vec<Links>) {
        for (scope, links) in self.list.iter_mut().zip(links) {
            scope.links = links;
        }
    }
}

/// The scope of a namespace that the last poll visited; its sockets stay open.
fn kept(
    mut scope: Scope,
    namespace: Namespace,
    opener: Opener,
    listed: bool,
    sources: &Sources,
    reader: &mut Reader,
) -> Result<Scope, Passed> {
    // The paths that the old opener uses may be gone.
    scope.access.open_by(opener.clone());
    scope.links.open_by(opener);
    (scope.listed, scope.namespace) = (listed, Some(namespace));
    match scope.read(sources, reader) {
        Ok(()) => {}
        Err(error) if listed => return Err(Passed::Filter(error)),
        Err(_) => (scope.filter, scope.family) = (None, None),
    }
    Ok(scope)
}

/// The scope of a new namespace.
fn entered(
    namespace: Namespace,
    opener: Opener,
    listed: bool,
    sources: &Sources,
    reader: &mut Reader,
) -> Result<Scope, Passed> {
    if let Err(error) = opener.run(|| ()) {
        let title = &namespace.facts.title;
        let errno = errno_of(&error);
        return Err(match errno {
            _ if namespace.is_chosen => {
                let name = OsStr::new(&*String::from_utf8_lossy(title)).to_owned();
                Passed::Chosen(EnterError::Set { name, errno })
            }
            ENOENT | ESRCH => Passed::Ended,
            _ => Passed::Refused { title: title.clone(), errno },
        });
    }
    match Scope::new(Some(namespace.clone()), listed, opener.clone(), sources, reader) {
        Err(error) if listed => Err(Passed::Filter(error)),
        // Peers may be in there nevertheless.
        Err(_) => {
            Scope::new(Some(namespace), listed, opener, sources, &mut reader.of_all()).map_err(Passed::Filter)
        }
        Ok(scope) => Ok(scope),
    }
}

/// Why a namespace is skipped.
enum Passed {
    /// The filter cannot be parsed there.
    Filter(AskError),
    /// It was requested by itself and cannot be entered.
    Chosen(EnterError),
    /// It may not be entered.
    Refused { title: Vec<u8>, errno: i32 },
    /// Its last process ended meanwhile.
    Ended,
}

/// The name that cannot be entered, and why.
fn of_one(error: EnterError) -> Option<(Vec<u8>, i32)> {
    match error {
        EnterError::Open { name, errno } | EnterError::Set { name, errno } => {
            Some((name.into_encoded_bytes(), errno))
        }
        EnterError::NoContainer { name } | EnterError::SeveralContainers { name, .. } => {
            Some((name.into_encoded_bytes(), libc::ENOENT))
        }
        _ => None,
    }
}
