//! A walk in place of a dump: the same messages in the same order.
//!
//! A socket whose record lacks a value is looked up by its identity.  Listeners and bound
//! sockets cannot be: several may have the same addresses and ports, and the kernel picks
//! one.  They are found by their inode in a dump of their state.
//!
//! Invariant: nothing is delivered until the first records have shown that few sockets have
//! to be looked up; until then a dump can replace the walk.
//!
//! Source: sock_diag(7); linux/inet_diag.h.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use rustix::io::Errno;
use rustix::thread::CapabilitySet;
use sockdiag_wire::bytecode::INET_DIAG_BC_AUTO;
use sockdiag_wire::inet_diag::InetDiagMsg;
use sockdiag_wire::inet_req::SockId;
use sockdiag_wire::ipproto::IPPROTO_TCP;
use sockdiag_wire::socket::{TCP_CLOSE, TCP_LISTEN, TCP_SYN_RECV, TCP_TIME_WAIT};

use super::check::agree;
use super::compose::{Ask, Composed, Composer, Unfit};
use super::load::{Done, Refused, SHARING, Scope, Walk};
use super::members::Wants;
use super::message::Message;
use super::pass::Wanted;
use crate::fields::Needs;
use crate::model::{Family, State, StateSet, Window};
use crate::notice::{NoIterator, NoWalk};
use crate::source::access::Access;
use crate::source::contract::{Query, Storages};
use crate::source::exchange::{ask_one, exchange};
use crate::source::ladder::Families;
use crate::source::request::{by_family, socket_of};
use crate::sys::bpf::LoadError;

/// How many records are held until it is known whether a walk pays off.
const EARLY: usize = 512;
/// A walk does not pay off if more than one socket in this many has to be looked up.
const LOOKED_UP: usize = 16;

/// How many of the first sockets are compared with the kernel's replies, until one is
/// equal.
const CHECKED: usize = 16;

/// A loaded walk for messages of one kind.
pub(in crate::source) struct Walker {
    pub(super) walk: Walk,
    pub(super) composer: Composer,
    pub(super) ask: Ask,
}

/// Where a loaded walk is kept for the next use.
pub(in crate::source) type Slot = Arc<Mutex<Option<Box<Walker>>>>;

impl std::fmt::Debug for Walker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Walker").field("ask", &self.ask).finish_non_exhaustive()
    }
}

/// The result of a walk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::source) struct Walked {
    /// Sockets reported.
    pub sockets: u64,
    /// How many of these were looked up one by one.
    pub looked_up: u64,
}

/// Takes a message, and the window in which it was read.
pub(in crate::source) type Take<'t> = dyn FnMut(&[u8], Window) -> ControlFlow<()> + 't;

/// Passes the messages that a dump would return to `take`.
///
/// # Errors
/// Why there was no walk, or why it did not reach its end; messages may have been delivered
/// only if the reason is [`NoWalk::Table`] or a failed call.
pub(in crate::source) fn dump(
    query: &Query,
    families: Families,
    access: &mut Access,
    take: &mut Take<'_>,
) -> Result<Walked, NoWalk> {
    can_tell(query)?;
    let ask = asked(query);
    let mut walker = taken(ask, access)?;
    let mut run = Run::with_a_check(query, &mut *access, take, ask);
    let done = walker.pass(wanted(query, families, Scope::Own), &mut run);
    let result = run.end(done);
    access.keep_walker(walker);
    result
}

/// The kept walk, if it composes such messages, or a new one.
fn taken(ask: Ask, access: &mut Access) -> Result<Box<Walker>, NoWalk> {
    if !access.opener().is_where_we_are() {
        return Err(NoWalk::Namespace);
    }
    walker_for(ask, access)
}

/// The same, in whichever namespace the sockets are.
pub(super) fn walker_for(ask: Ask, access: &mut Access) -> Result<Box<Walker>, NoWalk> {
    match access.walker() {
        Some(walker) if walker.ask == ask => Ok(walker),
        _ => {
            let (walk, composer) = Walk::composing(ask)?;
            Ok(Box::new(Walker { walk, composer, ask }))
        }
    }
}

/// What a pass for this query should report.
pub(super) fn wanted(query: &Query, families: Families, scope: Scope) -> Wanted {
    Wanted { states: query.states, inet: families.inet, inet6: families.inet6, scope }
}

impl Walker {
    /// Passes every message of a pass to a run.
    pub(super) fn pass(&mut self, wanted: Wanted, run: &mut Run<'_, '_>) -> Result<Done, Refused> {
        let Self { walk, composer, .. } = self;
        let mut message = Message::new();
        walk.pass(wanted, &mut |record, window| {
            let composed = composer.compose(record, &mut message);
            run.told(message.bytes(), composed, window)
        })
    }
}

/// Loads the walk for the following polls, before this poll uses much memory.
///
/// # Errors
/// Why there is no walk.
pub(in crate::source) fn prepare(query: &Query, access: &mut Access) -> Result<(), NoWalk> {
    let walker = taken(asked(query), access)?;
    access.keep_walker(walker);
    Ok(())
}

/// Whether a walk can answer the query.
pub(super) fn can_tell(query: &Query) -> Result<(), NoWalk> {
    if query.table.protocol() != IPPROTO_TCP {
        return Err(NoWalk::Asked("sockets of tables other than TCP"));
    }
    if query.storages != Storages::None {
        return Err(NoWalk::Asked("values of BPF maps"));
    }
    // Only the kernel can evaluate this instruction.
    let programs = [&query.programs.modern, &query.programs.classic];
    if programs.into_iter().flatten().any(|program| has_auto(program)) {
        return Err(NoWalk::Asked("which ports the kernel chose (autobound)"));
    }
    Ok(())
}

/// Whether a filter program has the instruction for ports that the kernel chose.
fn has_auto(program: &[u8]) -> bool {
    let mut rest = program;
    // The second byte of an instruction is its length.
    while let [code, length, ..] = rest {
        if *code == INET_DIAG_BC_AUTO {
            return true;
        }
        rest = rest.get(usize::from(*length).max(4)..).unwrap_or_default();
    }
    false
}

/// What a dump for this query sends.
pub(super) fn asked(query: &Query) -> Ask {
    let capable = rustix::thread::capabilities(None);
    let net_admin = capable.is_ok_and(|sets| sets.effective.contains(CapabilitySet::NET_ADMIN));
    let whole = Ask::whole(query.ext, net_admin);
    // A look-up by row may read any part of the row.
    if !query.lean || query.needs.minus(READ_BY_FIELDS) != Needs::NONE {
        return whole;
    }
    let parts = [
        (Needs::TIMER, Wants::TIMERS),
        (Needs::OWNER.union(Needs::PROCESSES), Wants::OWNER),
        (Needs::UNASKED, Wants::UNASKED),
    ];
    let wanted = parts.into_iter().filter(|(needs, _)| query.needs.intersects(*needs));
    let rest = wanted.fold(Wants::QUEUES, |wants, (_, part)| wants | part);
    Ask { cookies: query.needs.has(Needs::COOKIE), rest, ..whole }
}

/// Needs for which it is known which parts of a row they read.
const READ_BY_FIELDS: Needs = OF_THE_SOCKET
    .union(Needs::VEGASINFO)
    .union(Needs::HOSTS)
    .union(Needs::INTERFACES)
    .union(Needs::PORT_RANGE)
    .union(Needs::PROCESSES)
    .union(Needs::CLOCK)
    .union(OF_OTHER_FAMILIES);

/// Needs that depend on the socket alone, and not on the time.
pub(crate) const OF_THE_SOCKET: Needs = Needs::MEMINFO
    .union(Needs::INFO)
    .union(Needs::CONG)
    .union(Needs::TOS)
    .union(Needs::TCLASS)
    .union(Needs::SKMEMINFO)
    .union(Needs::NET_ADMIN)
    .union(Needs::SERVICES)
    .union(Needs::PARTS);

/// Needs of rows from other families, which every listing has.
const OF_OTHER_FAMILIES: Needs = Needs::NETLINK_NAMES
    .union(Needs::NETLINK_FLAGS)
    .union(Needs::UNIX_VFS)
    .union(Needs::UNIX_ICONS)
    .union(Needs::UNIX_MEMINFO)
    .union(Needs::UNIX_UID)
    .union(Needs::SMC_CONNINFO)
    .union(Needs::SMC_LGRINFO)
    .union(Needs::SMC_DMBINFO)
    .union(Needs::PACKET_MCLIST);

/// Messages with the windows in which they were read.
type Messages = Vec<(Vec<u8>, Window)>;

/// A message that is held: how it was composed, and the window in which it was read.
type Early = (Vec<u8>, Composed, Window);

/// A walk in progress.
pub(super) struct Run<'r, 't> {
    query: &'r Query,
    access: &'r mut Access,
    take: &'r mut Take<'t>,
    /// The first messages, while they are held, and the request that they answer.
    early: Option<(Ask, Vec<Early>)>,
    /// Dumps by family and state, for sockets that cannot be looked up in another way.
    siblings: Vec<(u8, u8, Messages)>,
    walked: Walked,
    /// Why the walk was ended before it delivered anything.
    refused: Option<NoWalk>,
}

impl<'r, 't> Run<'r, 't> {
    /// A run that delivers messages at once.
    pub(super) fn at_once(query: &'r Query, access: &'r mut Access, take: &'r mut Take<'t>) -> Self {
        let walked = Walked::default();
        Self { query, access, take, early: None, siblings: Vec::new(), walked, refused: None }
    }

    /// A run that first checks whether such messages equal the kernel's.
    pub(super) fn with_a_check(
        query: &'r Query,
        access: &'r mut Access,
        take: &'r mut Take<'t>,
        ask: Ask,
    ) -> Self {
        Self { early: Some((ask, Vec::new())), ..Self::at_once(query, access, take) }
    }

    /// Whether any socket was reported.
    pub(super) fn has_delivered(&self) -> bool {
        self.walked.sockets > 0
    }

    /// Takes a message.
    pub(super) fn told(&mut self, message: &[u8], composed: Composed, window: Window) -> ControlFlow<()> {
        let Some((_, early)) = &mut self.early else { return self.deliver(message, composed, window) };
        early.push((message.to_vec(), composed, window));
        if early.len() < EARLY { ControlFlow::Continue(()) } else { self.decide() }
    }

    /// Delivers the messages that were held, unless a dump is better.
    fn decide(&mut self) -> ControlFlow<()> {
        let Some((ask, early)) = self.early.take() else { return ControlFlow::Continue(()) };
        let sockets = early.iter().filter(|(_, composed, _)| *composed == Composed::Ask).count();
        if sockets > EARLY / LOOKED_UP && early.len() == EARLY {
            self.refused = Some(NoWalk::LookUps { sockets, of: early.len() });
            return ControlFlow::Break(());
        }
        if !self.is_known(&early, ask) {
            self.refused = Some(NoWalk::Differs);
            return ControlFlow::Break(());
        }
        early.iter().try_for_each(|(message, composed, window)| self.deliver(message, *composed, *window))
    }

    /// Whether the kernel's replies confirm the composed messages of some of these sockets:
    /// for connections and for TIME-WAIT sockets; other states are not compared.
    fn is_known(&mut self, early: &[Early], ask: Ask) -> bool {
        [false, true].into_iter().all(|in_time_wait| {
            let of_kind = early.iter().filter(|(message, composed, _)| {
                let state = InetDiagMsg::new(message).map_or(TCP_CLOSE, |msg| msg.state());
                let is_alone = !matches!(state, TCP_LISTEN | TCP_CLOSE | TCP_SYN_RECV);
                *composed == Composed::Whole && is_alone && (state == TCP_TIME_WAIT) == in_time_wait
            });
            let mut compared = 0;
            for (message, ..) in of_kind.take(CHECKED) {
                let Some(told) = InetDiagMsg::new(message).and_then(|asked| self.look_up(asked)) else {
                    continue;
                };
                if agree(message, &told.0, ask) {
                    return true;
                }
                compared += 1;
            }
            compared == 0
        })
    }

    /// Ends the run, and returns its result.
    ///
    /// # Errors
    /// Why a dump is better, or why the walk ended early.
    pub(super) fn end(mut self, done: Result<Done, Refused>) -> Result<Walked, NoWalk> {
        if let Some(refused) = self.refused {
            return Err(refused);
        }
        // A walk that failed before it delivered anything can be replaced by a dump.
        let stopped = done?.stopped;
        if !stopped
            && self.decide().is_break()
            && let Some(refused) = self.refused
        {
            return Err(refused);
        }
        Ok(self.walked)
    }

    fn deliver(&mut self, message: &[u8], composed: Composed, window: Window) -> ControlFlow<()> {
        if composed == Composed::Whole {
            self.walked.sockets += 1;
            return (self.take)(message, window);
        }
        let Some((message, window)) = InetDiagMsg::new(message).and_then(|asked| self.look_up(asked)) else {
            // The socket has ended.
            return ControlFlow::Continue(());
        };
        self.walked.sockets += 1;
        self.walked.looked_up += 1;
        (self.take)(&message, window)
    }

    /// Looks up one socket in the kernel.
    fn look_up(&mut self, asked: InetDiagMsg<'_>) -> Option<(Vec<u8>, Window)> {
        if matches!(asked.state(), TCP_LISTEN | TCP_CLOSE) {
            return self.among_siblings(asked);
        }
        let family = Family::from_number(asked.family())?;
        let mut socket = self.access.socket().ok()?;
        let seq = socket.next_seq();
        let answer = ask_one(&mut socket, &socket_of(self.query, family, identity(asked), seq), seq);
        if answer.is_some() {
            self.access.keep(socket);
        }
        let (message, window) = answer?;
        let told = InetDiagMsg::new(&message)?;
        // Its state may have changed to one that was not requested.
        let is_wanted = told.state() == asked.state() || self.query.states.contains_number(told.state());
        is_wanted.then_some((message, window))
    }

    /// Finds a socket in a dump of its state.
    fn among_siblings(&mut self, asked: InetDiagMsg<'_>) -> Option<(Vec<u8>, Window)> {
        let kind = (asked.family(), asked.state());
        if !self.siblings.iter().any(|(family, state, _)| (*family, *state) == kind) {
            let messages =
                self.dumped(Family::from_number(asked.family())?, asked.state()).unwrap_or_default();
            self.siblings.push((kind.0, kind.1, messages));
        }
        let (.., messages) = self.siblings.iter_mut().find(|(family, state, _)| (*family, *state) == kind)?;
        let found = messages.iter().position(|(message, _)| {
            InetDiagMsg::new(message).is_some_and(|told| {
                let known = [0, told.cookie()].contains(&asked.cookie());
                let same = |msg: InetDiagMsg<'_>| (msg.sport(), msg.src(), msg.ifindex(), msg.inode());
                known && same(told) == same(asked)
            })
        })?;
        Some(messages.remove(found))
    }

    fn dumped(&mut self, family: Family, state: u8) -> Option<Messages> {
        let state = if state == TCP_LISTEN { State::Listen } else { State::BoundInactive };
        let query = Query { states: StateSet::only(state), ..self.query.clone() };
        let mut messages = Vec::new();
        let mut socket = self.access.socket().ok()?;
        let seq = socket.next_seq();
        let mut take = |bytes: &[u8], window| {
            messages.push((bytes.to_vec(), window));
            ControlFlow::Continue(())
        };
        exchange(&mut socket, &by_family(&query, family, None, seq), seq, &mut take, &mut |_| {}).ok()?;
        self.access.keep(socket);
        Some(messages)
    }
}

/// The identity by which the kernel finds a socket; any cookie if it has none.
fn identity(msg: InetDiagMsg<'_>) -> SockId {
    let cookie = match msg.cookie() {
        0 => u64::MAX,
        cookie => cookie,
    };
    SockId {
        sport: msg.sport(),
        dport: msg.dport(),
        src: msg.src(),
        dst: msg.dst(),
        ifindex: msg.ifindex(),
        cookie,
    }
}

impl From<Refused> for NoWalk {
    fn from(refused: Refused) -> Self {
        Self::Program(match refused {
            Refused::Target => NoIterator::Target,
            Refused::NoTypes => NoIterator::NoTypes,
            Refused::Types(lacks) | Refused::Unfit(Unfit::Lacks(lacks)) => {
                NoIterator::Types { what: lacks.to_string() }
            }
            Refused::Unfit(Unfit::Unknown) => {
                NoIterator::Types { what: "the kernel's tcp_info has unknown members".to_owned() }
            }
            Refused::Unfit(Unfit::NoTicks) => {
                NoIterator::Types { what: "the kernel's tick rate is unknown".to_owned() }
            }
            Refused::Program(error) => NoIterator::Types { what: error.to_string() },
            Refused::Call(SHARING, Errno::PERM) | Refused::Load(LoadError { errno: Errno::PERM, .. }) => {
                NoIterator::Privilege
            }
            Refused::Load(LoadError { errno, log }) => {
                NoIterator::Rejected { errno: errno.raw_os_error(), log }
            }
            Refused::Call(what, errno) => NoIterator::Call { what, errno: errno.raw_os_error() },
            Refused::NoTable => {
                NoIterator::Types { what: "the kernel's socket tables were not found".to_owned() }
            }
            Refused::Bucket => return Self::Table,
        })
    }
}
