//! Names of hosts (`-r`).
//!
//! A resolver may take seconds to answer that it knows no name, so many addresses are
//! resolved in parallel, each only once.  A v4-mapped IPv6 address is resolved as its IPv4
//! address; the IPv6 wildcard, which is always shown as `*` or `[::]`, is not resolved.
//!
//! A single listing waits for the names.  Repeated polls do not: separate threads look up
//! the names, and rows have a name from the first poll after its answer.
//!
//! Invariant: between two polls at most [`MOST`] names are kept, and a session resolves a
//! name again once it is older than [`LIFETIME`].
//!
//! Source: getnameinfo(3); ss's behaviour.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::model::{Addr, HostCache};
use crate::sys::jobs::{self, Jobs};
use crate::sys::names::host_name;

/// How many queries to the resolver may run in parallel.
const WORKERS: usize = 32;
/// How many may run in parallel in the background.
const BACKGROUND: usize = 4;
/// How many names are kept from one poll to the next.
const MOST: usize = 16 << 10;
/// How long a name is considered valid.
const LIFETIME: Duration = Duration::from_mins(10);

/// Names by address; `None` if there is no name, or no answer yet.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    names: HashMap<Key, Option<Vec<u8>>>,
    background: Option<Background>,
}

/// Addresses and their names.
type Answers = Vec<(Key, Option<Vec<u8>>)>;

/// Threads that resolve names in the background.
#[derive(Debug)]
struct Background {
    resolver: fn(Addr) -> Option<Vec<u8>>,
    questions: Jobs,
    answers: Arc<Mutex<Answers>>,
    /// When each address was last resolved.
    asked: HashMap<Key, Instant>,
    /// How many addresses have no answer yet.
    open: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    V4([u8; 4]),
    V6([u8; 16]),
}

impl Key {
    /// `None` for an address that is not resolved.
    fn of(addr: Addr) -> Option<Self> {
        match (addr, addr.mapped_v4()) {
            (Addr::V4(octets), _) | (_, Some(octets)) => Some(Self::V4(octets)),
            (Addr::V6(octets), None) => (octets != [0; 16]).then_some(Self::V6(octets)),
            (Addr::Number(_) | Addr::None, None) => None,
        }
    }

    fn addr(self) -> Addr {
        match self {
            Self::V4(octets) => Addr::V4(octets),
            Self::V6(octets) => Addr::V6(octets),
        }
    }
}

impl Background {
    /// Starts threads that resolve with `ask`; `None` if no thread could be started.
    fn start(ask: fn(Addr) -> Option<Vec<u8>>) -> Option<Self> {
        let (questions, inbox) = jobs::queue();
        let mut started = 0;
        for _ in 0..BACKGROUND {
            let inbox = inbox.clone();
            let work = move || {
                while let Some(job) = inbox.next() {
                    job();
                }
            };
            // These threads are not joined at the end: the resolver may take long.
            let builder = thread::Builder::new().name("hosts".to_owned()).stack_size(2 << 20);
            started += usize::from(builder.spawn(work).is_ok());
        }
        let answers = Arc::new(Mutex::new(Vec::new()));
        (started > 0).then(|| Self { resolver: ask, questions, answers, asked: HashMap::new(), open: 0 })
    }

    fn take_answers(&mut self) -> Answers {
        std::mem::take(&mut *self.answers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn ask(&mut self, key: Key) {
        let now = Instant::now();
        let due = |asked: &Instant| now.duration_since(*asked) >= LIFETIME;
        if self.open < MOST && self.asked.get(&key).is_none_or(due) {
            let (resolver, answers) = (self.resolver, Arc::downgrade(&self.answers));
            self.questions.add(Box::new(move || {
                let answer = resolver(key.addr());
                if let Some(answers) = answers.upgrade() {
                    answers.lock().unwrap_or_else(PoisonError::into_inner).push((key, answer));
                }
            }));
            self.open += 1;
            self.asked.insert(key, now);
        }
    }
}

impl Hosts {
    /// Starts without names.  With `background` no row waits for names.
    pub(super) fn new(background: bool) -> Self {
        let background = if background { Background::start(host_name) } else { None };
        Self { names: HashMap::new(), background }
    }

    /// Takes the answers that arrived, and clears the names if there are too many.
    pub(super) fn begin_poll(&mut self) {
        if self.names.len() > MOST {
            self.names.clear();
            self.background.iter_mut().for_each(|background| background.asked.clear());
        }
        if let Some(background) = &mut self.background {
            for (key, name) in background.take_answers() {
                background.open = background.open.saturating_sub(1);
                self.names.insert(key, name);
            }
        }
    }

    /// Looks one address up, unless it is known.
    pub(super) fn prepare(&mut self, addr: Addr) {
        let Some(key) = Key::of(addr) else { return };
        match &mut self.background {
            Some(background) => background.ask(key),
            None => {
                self.names.entry(key).or_insert_with(|| host_name(key.addr()));
            }
        }
    }

    /// Looks up the addresses that are not known yet.
    pub(super) fn prepare_all(&mut self, addrs: impl Iterator<Item = Addr>) {
        match &mut self.background {
            Some(background) => addrs.filter_map(Key::of).for_each(|key| background.ask(key)),
            None => self.ask_all(addrs, &host_name),
        }
    }

    fn ask_all(&mut self, addrs: impl Iterator<Item = Addr>, ask: &(dyn Fn(Addr) -> Option<Vec<u8>> + Sync)) {
        let mut wanted = Vec::new();
        for key in addrs.filter_map(Key::of) {
            // Until the answer comes, it has no name.
            if let Entry::Vacant(entry) = self.names.entry(key) {
                entry.insert(None);
                wanted.push(key);
            }
        }
        let workers = wanted.len().min(WORKERS);
        if workers <= 1 {
            self.names.extend(wanted.into_iter().map(|key| (key, ask(key.addr()))));
            return;
        }
        let questions = Mutex::new(wanted.into_iter());
        let answers = Mutex::new(&mut self.names);
        let work = || {
            // The locks are held only to take a question or store an answer, never while
            // resolving.
            while let Some(key) = questions.lock().ok().and_then(|mut left| left.next()) {
                let answer = ask(key.addr());
                if let Ok(mut names) = answers.lock() {
                    names.insert(key, answer);
                }
            }
        };
        thread::scope(|scope| {
            let mut started = 0;
            for _ in 0..workers {
                let builder = thread::Builder::new().stack_size(2 << 20);
                started += usize::from(builder.spawn_scoped(scope, work).is_ok());
            }
            if started == 0 {
                work();
            }
        });
    }
}

impl HostCache for Hosts {
    fn host(&self, addr: Addr) -> Option<&[u8]> {
        self.names.get(&Key::of(addr)?)?.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[test]
    fn many_addresses_are_asked_about_at_once_and_each_once() {
        let (asked, now, most) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        let ask = |addr: Addr| {
            asked.fetch_add(1, Ordering::SeqCst);
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(5));
            now.fetch_sub(1, Ordering::SeqCst);
            match addr {
                Addr::V4([.., last]) if last % 2 == 0 => Some(format!("host{last}").into_bytes()),
                _ => None,
            }
        };
        let mut hosts = Hosts::default();
        let addrs = || (0..200).chain(0..100).map(|n| Addr::V4([10, 0, 0, n]));
        hosts.ask_all(addrs(), &ask);
        hosts.ask_all(addrs(), &ask);
        assert_eq!(asked.load(Ordering::SeqCst), 200);
        let most = most.load(Ordering::SeqCst);
        assert!((2..=WORKERS).contains(&most), "{most} at once");
        assert_eq!(hosts.host(Addr::V4([10, 0, 0, 4])), Some(&b"host4"[..]));
        assert_eq!(hosts.host(Addr::V4([10, 0, 0, 5])), None);
    }

    #[test]
    fn in_the_background_nobody_waits_and_the_next_poll_knows() {
        #[allow(clippy::unnecessary_wraps)] // The resolver may know no name.
        fn ask(addr: Addr) -> Option<Vec<u8>> {
            thread::sleep(Duration::from_millis(20));
            Some(format!("{addr:?}").into_bytes())
        }
        let mut hosts = Hosts { names: HashMap::new(), background: Background::start(ask) };
        let addrs = || (0..20).map(|n| Addr::V4([10, 0, 0, n]));
        let begun = Instant::now();
        hosts.prepare_all(addrs());
        hosts.prepare(Addr::V4([10, 0, 0, 0]));
        assert!(begun.elapsed() < Duration::from_millis(15), "nobody waits");
        assert_eq!(hosts.background.as_ref().map(|background| background.open), Some(20), "each once");
        let end = Instant::now() + Duration::from_secs(20);
        while hosts.names.len() < 20 && Instant::now() < end {
            thread::sleep(Duration::from_millis(1));
            hosts.begin_poll();
        }
        assert!(addrs().all(|addr| hosts.host(addr) == Some(format!("{addr:?}").as_bytes())));
        hosts.names.extend((0..MOST as u32).map(|n| (Key::V4(n.to_be_bytes()), None)));
        hosts.begin_poll();
        assert!(hosts.names.is_empty(), "too many to keep");
    }

    #[test]
    fn mapped_addresses_are_asked_about_as_ipv4() {
        let mut hosts = Hosts::default();
        let mapped = Addr::V6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 4]);
        let asked = Mutex::new(Vec::new());
        let ask = |addr| {
            asked.lock().unwrap().push(addr);
            Some(b"four".to_vec())
        };
        hosts.ask_all([mapped, Addr::V4([10, 0, 0, 4]), Addr::V6([0; 16])].into_iter(), &ask);
        assert_eq!(*asked.lock().unwrap(), [Addr::V4([10, 0, 0, 4])]);
        assert_eq!(hosts.host(mapped), Some(&b"four"[..]));
        assert_eq!(hosts.host(Addr::V6([0; 16])), None);
    }
}
