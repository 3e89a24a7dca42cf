//! One walk for the sockets of many network namespaces.
//!
//! Most namespaces share one table, which a dump in each of them would read from
//! end to end.  It is walked once, before the first namespace is visited, and each
//! is handed what was found of it.
//!
//! Messages wait until their namespace is visited.  Where they are more than may
//! wait, those of the namespaces that are visited last are forgotten, and the
//! tables are walked again when the first of these is visited.  A namespace that
//! alone has more than may wait is walked when it is visited.
//!
//! Invariant: what is handed on for a namespace is what a dump in it would bring, in
//! the same order; a namespace of which this is not certain is asked for its dump.

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

/// Bytes of messages that may wait.
const MOST: usize = 24 << 20;
/// Bytes of a buffer in which they do.
const PIECE: usize = 16 << 10;
/// Set in a message's length if the kernel has to be asked.
const ASK: u32 = 1 << 31;

/// What is told of each namespace, by its inode.
pub(in crate::source) type Shares = Vec<(u64, Arc<dyn Instead>)>;

/// Messages that wait, one after the other in many small buffers: each behind its
/// length and the number of its window.
#[derive(Default)]
struct Rows {
    pieces: Vec<Vec<u8>>,
}

/// Takes a message, what became of it, and the number of its window.
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

    /// Each message, what became of it, and the number of its window.
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

/// What there is of a namespace.
#[derive(Default)]
struct Found {
    inode: u64,
    /// Its address in the kernel.
    address: u64,
    /// Its place among the namespaces that are visited.
    turn: usize,
    /// Of IPv4, and of IPv6.
    rows: [Rows; 2],
    bytes: usize,
    sockets: usize,
    /// Of these, those that the kernel has to be asked for.
    look_ups: usize,
    /// Whether its rows were handed on.
    is_taken: bool,
}

impl Found {
    /// As it was before a walk.
    fn forget(&mut self) {
        *self = Self { inode: self.inode, address: self.address, turn: self.turn, ..Self::default() };
    }

    /// Whether a dump is the better way, since many would have to be looked up one by one.
    fn has_many_look_ups(&self) -> bool {
        self.look_ups > 32.max(self.sockets / 16)
    }
}

/// What was found at the last walk.
struct Pass {
    /// By inode.
    found: Vec<Found>,
    windows: Arc<Vec<Window>>,
    /// The turns of which there are rows: there was no room for later ones.
    turns: Range<usize>,
}

/// What the namespaces of one question have in common.
struct Common {
    pass: Mutex<Pass>,
    walker: Slot,
    wanted: Wanted,
    ask: Ask,
    /// Bytes of messages that may wait.
    most: usize,
    /// Whether a message of this walk was compared with the kernel's.
    is_known: AtomicBool,
}

impl Common {
    /// Walks the tables for the namespaces whose turn is this or a later one, as many
    /// as there is room for.
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
        // All programs, before the first record is handed on.
        self.wanted.tables().try_for_each(|asked| walk.prepare(asked.table))?;
        for asked in self.wanted.tables() {
            walk.steps(asked, &mut |record, window| {
                let inode = record.get(Member::NamespaceInode);
                // Neighbours are often of the same one.
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

    /// Walks the tables for the sockets of one namespace, which are too many to wait.
    fn stream(&self, inode: u64, address: u64, run: &mut Run<'_, '_>) -> Result<Done, Refused> {
        let mut slot = self.walker.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(walker) = slot.as_deref_mut() else { return Ok(Done::default()) };
        let Walker { walk, composer, .. } = walker;
        let mut message = Message::new();
        let wanted = Wanted { scope: Scope::Of(address), ..self.wanted };
        walk.pass(wanted, &mut |record, window| {
            // Another may have the address by now.
            if record.get(Member::NamespaceInode) != inode {
                return ControlFlow::Continue(());
            }
            let composed = composer.compose(record, &mut message);
            run.told(message.bytes(), composed, window)
        })
    }
}

/// What is told of a namespace.
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
            // A dump would double what was delivered.
            Err(why) if has_delivered => Err(why),
            Err(_) => Ok(false),
        }
    }
}

/// How a namespace is told of.
enum Due {
    /// These waited.
    Rows([Rows; 2], Arc<Vec<Window>>),
    /// They are too many to wait: its address in the kernel.
    Stream(u64),
}

impl Share {
    /// What there is of it; `None` where a dump is the better way.
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

/// Hands on what waited.
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

/// Walks the tables once for the namespaces with these inodes, in the order in which
/// they are visited; again where their sockets are more than may wait.
///
/// # Errors
/// Why there was no walk; nothing was told then.
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
    /// Those of these namespaces that use the same tables as the calling thread's,
    /// sorted.
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
        // Two of one number, and it is not known whose sockets are whose.
        found.dedup_by_key(|found| found.inode);
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
