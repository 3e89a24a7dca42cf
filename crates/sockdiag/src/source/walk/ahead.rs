//! One walk for the sockets of many network namespaces.
//!
//! Most namespaces share one table, which a dump in each of them would read from
//! end to end.  It is walked once, before the first namespace is visited, and each
//! is handed what was found of it.
//!
//! Messages wait until their namespace is visited.  Where they are more than may
//! wait, those of the namespace that has most are forgotten, and its sockets
//! are walked by themselves when it is visited.
//!
//! Invariant: what is handed on for a namespace is what a dump in it would bring, in
//! the same order; a namespace of which this is not certain is asked for its dump.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use sockdiag_facts::sort::sort_by;

use super::compose::{Ask, Composed};
use super::dump::{Run, Take, Walker, asked, can_tell, opened};
use super::load::{Asked, Done, Refused, Scope};
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
    /// Of IPv4, and of IPv6.
    rows: [Rows; 2],
    bytes: usize,
    sockets: usize,
    /// Of these, those that the kernel has to be asked for.
    look_ups: usize,
    /// Whether it had too many.
    forgotten: bool,
}

/// What is told of a namespace.
struct Share {
    found: Found,
    windows: Arc<Vec<Window>>,
    wanted: Wanted,
    walker: Arc<Mutex<Box<Walker>>>,
    ask: Ask,
    /// Whether a message of this walk was compared with the kernel's.
    is_known: Arc<AtomicBool>,
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share").field("inode", &self.found.inode).finish_non_exhaustive()
    }
}

impl Instead for Share {
    fn ask(&self, query: &Query, access: &mut Access) -> Option<Vec<(Vec<u8>, Window)>> {
        let mut all = Vec::new();
        self.tell(query, access, &mut |message, window| {
            all.push((message.to_vec(), window));
            ControlFlow::Continue(())
        })
        .ok()?
        .then_some(all)
    }

    fn tell(&self, query: &Query, access: &mut Access, take: &mut Take<'_>) -> Result<bool, NoWalk> {
        let mut run = if self.is_known.load(Relaxed) {
            Run::at_once(query, access, take)
        } else {
            Run::with_a_check(query, access, take, self.ask)
        };
        let done = if self.found.forgotten { self.walk(&mut run) } else { Ok(self.each(&mut run)) };
        let has_delivered = run.has_delivered();
        match run.end(done) {
            Ok(walked) => {
                self.is_known.fetch_or(walked.sockets > walked.looked_up, Relaxed);
                Ok(true)
            }
            // A dump would double what was delivered.
            Err(why) if has_delivered => Err(why),
            Err(_) => Ok(false),
        }
    }
}

impl Share {
    /// Hands on what waited.
    fn each(&self, run: &mut Run<'_, '_>) -> Done {
        let mut done = Done::default();
        for rows in &self.found.rows {
            let flow = rows.each(&mut |message, composed, window| {
                let Some(window) = self.windows.get(window as usize) else {
                    return ControlFlow::Continue(());
                };
                run.told(message, composed, *window)
            });
            if flow.is_break() {
                done.stopped = true;
                break;
            }
        }
        done
    }

    /// Walks the tables for the sockets of this namespace alone.
    fn walk(&self, run: &mut Run<'_, '_>) -> Result<Done, Refused> {
        let mut walker = self.walker.lock().unwrap_or_else(PoisonError::into_inner);
        let Walker { walk, composer, .. } = &mut **walker;
        let mut message = Message::new();
        let wanted = Wanted { scope: Scope::Of(self.found.address), ..self.wanted };
        walk.pass(wanted, &mut |record, window| {
            let composed = composer.compose(record, &mut message);
            run.told(message.bytes(), composed, window)
        })
    }
}

/// Walks the tables once for the namespaces with these inodes.
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
    let mut walker = match access.walker() {
        Some(walker) if walker.ask == ask => walker,
        _ => Box::new(opened(ask)?),
    };
    let families = Families::of(query);
    let wanted =
        Wanted { states: query.states, inet: families.inet, inet6: families.inet6, scope: Scope::All };
    let mut found = walker.namespaces(inodes)?;
    let mut windows: Vec<Window> = Vec::new();
    let (mut bytes, mut last) = (0, 0);
    let Walker { walk, composer, .. } = &mut *walker;
    let mut message = Message::new();
    for (table, states) in wanted.tables() {
        let asked = Asked { table, states, family: wanted.family(), scope: Scope::All };
        walk.steps(asked, &mut |record, window| {
            let inode = record.get(Member::NamespaceInode);
            // Neighbours are often of the same one.
            if found.get(last).is_none_or(|found| found.inode != inode) {
                match found.binary_search_by_key(&inode, |found| found.inode) {
                    Ok(place) => last = place,
                    Err(_) => return ControlFlow::Continue(()),
                }
            }
            let Some(one) = found.get_mut(last).filter(|one| !one.forgotten) else {
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
            if bytes > most
                && let Some(largest) = found.iter_mut().max_by_key(|one| one.bytes)
            {
                bytes -= largest.bytes;
                let Found { inode, address, .. } = *largest;
                *largest = Found { inode, address, forgotten: true, ..Found::default() };
            }
            ControlFlow::Continue(())
        })?;
    }
    let (walker, is_known) = (Arc::new(Mutex::new(walker)), Arc::new(AtomicBool::new(false)));
    let windows = Arc::new(windows);
    // A dump is the better way where many would have to be asked for one by one.
    found.retain(|one| one.look_ups <= 32.max(one.sockets / 16));
    let share = |found: Found| -> (u64, Arc<dyn Instead>) {
        let (windows, walker, is_known) = (windows.clone(), walker.clone(), is_known.clone());
        let share = Share { found, windows, wanted, walker, ask, is_known };
        (share.found.inode, Arc::new(share))
    };
    Ok(found.into_iter().map(share).collect())
}

impl Walker {
    /// Those of these namespaces that use the same tables as the calling thread's,
    /// sorted.
    fn namespaces(&mut self, inodes: &[u64]) -> Result<Vec<Found>, NoWalk> {
        let nets = self.walk.namespaces()?;
        let tables = nets.first().map(|net| net.tables);
        let mut found: Vec<Found> = nets
            .iter()
            .filter(|net| Some(net.tables) == tables && inodes.contains(&net.inode))
            .map(|net| Found { inode: net.inode, address: net.address, ..Found::default() })
            .collect();
        sort_by(&mut found, &mut |one, other| one.inode.cmp(&other.inode));
        // Two of one number, and it is not known whose sockets are whose.
        found.dedup_by_key(|found| found.inode);
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
