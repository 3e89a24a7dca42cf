//! One walk for the sockets of many network namespaces.
//!
//! Most namespaces share one table, which a dump in each of them would read from end to
//! end.  Instead the table is walked once, before the first namespace is visited, and each
//! namespace gets its share.
//!
//! Messages are held until their namespace is visited.  If there are too many, those of the
//! namespaces visited last are dropped, and the tables are walked again when the first of
//! these is visited.  A namespace that alone has too many is walked when it is visited.
//!
//! Invariant: a namespace gets the messages that a dump in it would return, in the same
//! order; a namespace for which that is uncertain is dumped.

use std::fmt;
use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use sockdiag_facts::sort::sort_by;

use super::compose::{Ask, Composed};
use super::dump::{Run, Slot, Take, Walker, asked, can_tell, walker_for, wanted};
use super::load::{Done, Refused, Scope};
use super::members::{Member, Wants};
use super::message::Message;
use super::pass::Wanted;
use crate::model::{Family, Window};
use crate::notice::NoWalk;
use crate::source::access::Access;
use crate::source::contract::{Instead, Query};
use crate::source::ladder::Families;

/// How many bytes of messages may be held.
const MOST: usize = 24 << 20;
/// The size of a buffer for held messages, in bytes.
const PIECE: usize = 16 << 10;
/// Flag in a message's length: this socket must be looked up in the kernel.
const ASK: u32 = 1 << 31;

/// The share of each namespace, by inode.
pub(in crate::source) type Shares = Vec<(u64, Arc<dyn Instead>)>;

/// Messages that are held, one after the other in many small buffers: each follows its
/// length and the number of its window.
#[derive(Default)]
struct Rows {
    pieces: Vec<Vec<u8>>,
}

/// Takes a message, how it was composed, and the number of its window.
type TakeRow<'t> = dyn FnMut(&[u8], Composed, u32) -> ControlFlow<()> + 't;

impl Rows {
    fn push(&mut self, message: &[u8], composed: Composed, window: u32) {
        let ask = if composed == Composed::Ask { ASK } else { 0 };
        let length = u32::try_from(message.len()).unwrap_or(ASK - 1) | ask;
        let room = 8 + message.len();
        let fits = |piece: &&mut Vec<u8>| piece.len() + room <= PIECE;
        let piece = match self.pieces.last_mut().filter(fits) {
            Some(piece) => piece,
            None => self.pieces.push_mut(Vec::new()),
        };
        piece.extend_from_slice(&length.to_ne_bytes());
        piece.extend_from_slice(&window.to_ne_bytes());
        piece.extend_from_slice(message);
    }

    /// Passes on each message, how it was composed, and the number of its window.
    fn each(&self, take: &mut TakeRow<'_>) -> ControlFlow<()> {
        for mut rest in self.pieces.iter().map(Vec::as_slice) {
            while let Some((head, more)) = rest.split_first_chunk::<8>() {
                let [a, b, c, d, window @ ..] = *head;
                let length = u32::from_ne_bytes([a, b, c, d]);
                let composed = if length & ASK == 0 { Composed::Whole } else { Composed::Ask };
                let Some((message, more)) = more.split_at_checked((length & !ASK) as usize) else { break };
                take(message, composed, u32::from_ne_bytes(window))?;
                rest = more;
            }
        }
        ControlFlow::Continue(())
    }
}

/// The share of one namespace.
#[derive(Default)]
struct Found {
    inode: u64,
    /// Its address in the kernel.
    address: u64,
    /// Its position in the order in which namespaces are visited.
    turn: usize,
    /// Messages for IPv4, and for IPv6.
    rows: [Rows; 2],
    bytes: usize,
    sockets: usize,
    /// How many of these sockets must be looked up in the kernel.
    look_ups: usize,
    /// Whether its messages were passed on.
    is_taken: bool,
}

impl Found {
    /// Resets the share to its state before a walk.
    fn forget(&mut self) {
        *self = Self { inode: self.inode, address: self.address, turn: self.turn, ..Self::default() };
    }

    /// Whether a dump is better, since too many sockets would have to be looked up.
    fn has_many_look_ups(&self) -> bool {
        self.look_ups > 32.max(self.sockets / 16)
    }
}

/// The result of the last walk.
struct Pass {
    /// The shares, sorted by inode.
    found: Vec<Found>,
    windows: Arc<Vec<Window>>,
    /// The positions whose messages are held: there was no room for later ones.
    turns: Range<usize>,
}

/// What the namespaces of one question share.
struct Common {
    pass: Mutex<Pass>,
    walker: Slot,
    wanted: Wanted,
    ask: Ask,
    /// How many bytes of messages may be held.
    most: usize,
    /// Whether a message of this walk was already compared with the kernel's.
    is_known: AtomicBool,
}

impl Common {
    /// Walks the tables for the namespaces from this position on, as many as there is room
    /// for.
    fn collect(&self, pass: &mut Pass, turn: usize) -> Result<(), NoWalk> {
        let Pass { found, turns, .. } = &mut *pass;
        found.iter_mut().for_each(Found::forget);
        *turns = turn..usize::MAX;
        let mut windows: Vec<Window> = Vec::new();
        let (mut bytes, mut last) = (0, 0);
        let mut slot = self.walker.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(walker) = slot.as_deref_mut() else { return Err(NoWalk::Table) };
        let Walker { walk, composer, .. } = walker;
        let mut message = Message::new();
        // Load all programs before the first record is passed on.
        self.wanted.tables().try_for_each(|asked| walk.prepare(asked.table))?;
        for asked in self.wanted.tables() {
            walk.steps(asked, &mut |record, window| {
                let inode = record.get(Member::NamespaceInode);
                // Neighbouring records often belong to the same namespace.
                if found.get(last).is_none_or(|found| found.inode != inode) {
                    match found.binary_search_by_key(&inode, |found| found.inode) {
                        Ok(place) => last = place,
                        Err(_) => return ControlFlow::Continue(()),
                    }
                }
                let is_due = |one: &&mut Found| turns.contains(&one.turn);
                let Some(one) = found.get_mut(last).filter(is_due) else {
                    return ControlFlow::Continue(());
                };
                if windows.last() != Some(&window) {
                    windows.push(window);
                }
                let composed = composer.compose(record, &mut message);
                let is_inet6 = record.get(Member::Family) == u64::from(Family::Inet6.number());
                let [inet, inet6] = &mut one.rows;
                let rows = if is_inet6 { inet6 } else { inet };
                rows.push(message.bytes(), composed, u32::try_from(windows.len() - 1).unwrap_or(u32::MAX));
                one.sockets += 1;
                one.look_ups += usize::from(composed == Composed::Ask);
                one.bytes += message.bytes().len();
                bytes += message.bytes().len();
                let holds = |one: &&mut Found| one.bytes > 0;
                while bytes > self.most
                    && let Some(latest) = found.iter_mut().filter(holds).max_by_key(|one| one.turn)
                {
                    bytes -= latest.bytes;
                    turns.end = latest.turn;
                    latest.forget();
                }
                ControlFlow::Continue(())
            })?;
        }
        pass.windows = Arc::new(windows);
        Ok(())
    }

    /// Walks the tables for one namespace, whose messages are too many to hold.
    fn stream(&self, inode: u64, address: u64, run: &mut Run<'_, '_>) -> Result<Done, Refused> {
        let mut slot = self.walker.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(walker) = slot.as_deref_mut() else { return Ok(Done::default()) };
        let Walker { walk, composer, .. } = walker;
        let mut message = Message::new();
        let wanted = Wanted { scope: Scope::Of(address), ..self.wanted };
        walk.pass(wanted, &mut |record, window| {
            // Another namespace may have been allocated at this address.
            if record.get(Member::NamespaceInode) != inode {
                return ControlFlow::Continue(());
            }
            let composed = composer.compose(record, &mut message);
            run.told(message.bytes(), composed, window)
        })
    }
}

/// The source for one namespace's sockets.
struct Share {
    inode: u64,
    common: Arc<Common>,
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share").field("inode", &self.inode).finish_non_exhaustive()
    }
}

impl Instead for Share {
    fn tell(&self, query: &Query, access: &mut Access, take: &mut Take<'_>) -> Result<bool, NoWalk> {
        let Some(due) = self.due() else { return Ok(false) };
        let common = &*self.common;
        let mut run = if common.is_known.load(Relaxed) {
            Run::at_once(query, access, take)
        } else {
            Run::with_a_check(query, access, take, common.ask)
        };
        let done = match &due {
            Due::Rows(rows, windows) => Ok(each(rows, windows, &mut run)),
            Due::Stream(address) => common.stream(self.inode, *address, &mut run),
        };
        let has_delivered = run.has_delivered();
        match run.end(done) {
            Ok(walked) => {
                common.is_known.fetch_or(walked.sockets > walked.looked_up, Relaxed);
                Ok(true)
            }
            // A dump would report some sockets twice.
            Err(why) if has_delivered => Err(why),
            Err(_) => Ok(false),
        }
    }
}

/// How a namespace's sockets are reported.
enum Due {
    /// From the messages that were held.
    Rows([Rows; 2], Arc<Vec<Window>>),
    /// By a walk of its own, since there are too many to hold: the namespace's address in
    /// the kernel.
    Stream(u64),
}

impl Share {
    /// How this namespace's sockets are reported; `None` if a dump is better.
    fn due(&self) -> Option<Due> {
        let mut pass = self.common.pass.lock().unwrap_or_else(PoisonError::into_inner);
        let place = pass.found.binary_search_by_key(&self.inode, |found| found.inode).ok()?;
        let Found { turn, is_taken, address, .. } = *pass.found.get(place)?;
        if is_taken || !pass.turns.contains(&turn) {
            self.common.collect(&mut pass, turn).ok()?;
        }
        if !pass.turns.contains(&turn) {
            return Some(Due::Stream(address));
        }
        let windows = pass.windows.clone();
        let one = pass.found.get_mut(place).filter(|one| !one.has_many_look_ups())?;
        one.is_taken = true;
        Some(Due::Rows(std::mem::take(&mut one.rows), windows))
    }
}

/// Passes on the messages that were held.
fn each(rows: &[Rows; 2], windows: &[Window], run: &mut Run<'_, '_>) -> Done {
    let mut done = Done::default();
    for rows in rows {
        let flow = rows.each(&mut |message, composed, window| {
            let Some(window) = windows.get(window as usize) else { return ControlFlow::Continue(()) };
            run.told(message, composed, *window)
        });
        if flow.is_break() {
            done.stopped = true;
            break;
        }
    }
    done
}

/// Walks the tables once for the namespaces with these inodes, in the order of their
/// visits; again if their messages are too many to hold.
///
/// # Errors
/// Why there was no walk; in that case no socket was reported.
pub(in crate::source) fn ahead(query: &Query, inodes: &[u64], access: &mut Access) -> Result<Shares, NoWalk> {
    ahead_with(query, inodes, access, MOST)
}

fn ahead_with(query: &Query, inodes: &[u64], access: &mut Access, most: usize) -> Result<Shares, NoWalk> {
    can_tell(query)?;
    let mut ask = asked(query);
    ask.rest = ask.rest | Wants::NAMESPACE;
    let mut walker = walker_for(ask, access)?;
    let wanted = wanted(query, Families::of(query), Scope::All);
    let found = walker.namespaces(inodes)?;
    access.keep_walker(walker);
    let common = Common {
        pass: Mutex::new(Pass { found, windows: Arc::default(), turns: 0..0 }),
        walker: access.slot(),
        wanted,
        ask,
        most,
        is_known: AtomicBool::new(false),
    };
    let inodes: Vec<u64> = {
        let mut pass = common.pass.lock().unwrap_or_else(PoisonError::into_inner);
        common.collect(&mut pass, 0)?;
        let told = pass.found.iter().filter(|one| !one.has_many_look_ups());
        told.map(|one| one.inode).collect()
    };
    let common = Arc::new(common);
    let share = |inode: u64| -> (u64, Arc<dyn Instead>) {
        (inode, Arc::new(Share { inode, common: common.clone() }))
    };
    Ok(inodes.into_iter().map(share).collect())
}

impl Walker {
    /// Those of these namespaces that share the calling thread's tables, sorted by inode.
    fn namespaces(&mut self, inodes: &[u64]) -> Result<Vec<Found>, NoWalk> {
        let nets = self.walk.namespaces()?;
        let tables = nets.first().map(|net| net.tables);
        let mut found: Vec<Found> = nets
            .iter()
            .filter(|net| Some(net.tables) == tables)
            .filter_map(|net| {
                let turn = inodes.iter().position(|inode| *inode == net.inode)?;
                Some(Found { inode: net.inode, address: net.address, turn, ..Found::default() })
            })
            .collect();
        sort_by(&mut found, &mut |one, other| one.inode.cmp(&other.inode));
        // Two namespaces with the same inode cannot be told apart; keep one.
        found.dedup_by_key(|found| found.inode);
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
