//! Names of hosts (`-r`).
//!
//! A resolver may take seconds to say that it does not know, so many addresses
//! are asked about at once; each is asked about once.  A v4-mapped IPv6
//! address is asked about as the IPv4 address that it stands for, and the IPv6
//! wildcard, which is always shown as `*` or `[::]`, not at all.
//!
//! Source: getnameinfo(3); ss's behaviour.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::thread;

use crate::model::{Addr, HostBook};
use crate::sys::names::host_name;

/// How many addresses are asked about at the same time.
const WORKERS: usize = 32;

/// Names of hosts by address; `None` for those that have no name.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    names: HashMap<Key, Option<String>>,
}

/// The address that is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    V4([u8; 4]),
    V6([u8; 16]),
}

impl Key {
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

impl Hosts {
    /// Looks an address up, unless it is known.
    pub(super) fn prepare(&mut self, addr: Addr) {
        if let Some(key) = Key::of(addr) {
            self.names.entry(key).or_insert_with(|| host_name(key.addr()));
        }
    }

    /// Looks up all addresses that are not known, [`WORKERS`] at a time.
    pub(super) fn prepare_all(&mut self, addrs: impl Iterator<Item = Addr>) {
        self.ask_all(addrs, &host_name);
    }

    fn ask_all(&mut self, addrs: impl Iterator<Item = Addr>, ask: &(dyn Fn(Addr) -> Option<String> + Sync)) {
        let wanted: HashSet<Key> =
            addrs.filter_map(Key::of).filter(|key| !self.names.contains_key(key)).collect();
        let workers = wanted.len().min(WORKERS);
        if workers <= 1 {
            self.names.extend(wanted.into_iter().map(|key| (key, ask(key.addr()))));
            return;
        }
        let questions = Mutex::new(wanted.into_iter());
        let answers = Mutex::new(&mut self.names);
        let work = || {
            // A lock is held only to take or to give, never while asking.
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

impl HostBook for Hosts {
    fn host(&self, addr: Addr) -> Option<&str> {
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
                Addr::V4([.., last]) if last % 2 == 0 => Some(format!("host{last}")),
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
        assert_eq!(hosts.host(Addr::V4([10, 0, 0, 4])), Some("host4"));
        assert_eq!(hosts.host(Addr::V4([10, 0, 0, 5])), None);
    }

    #[test]
    fn mapped_addresses_are_asked_about_as_ipv4() {
        let mut hosts = Hosts::default();
        let mapped = Addr::V6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 4]);
        let asked = Mutex::new(Vec::new());
        let ask = |addr| {
            asked.lock().unwrap().push(addr);
            Some("four".to_owned())
        };
        hosts.ask_all([mapped, Addr::V4([10, 0, 0, 4]), Addr::V6([0; 16])].into_iter(), &ask);
        assert_eq!(*asked.lock().unwrap(), [Addr::V4([10, 0, 0, 4])]);
        assert_eq!(hosts.host(mapped), Some("four"));
        assert_eq!(hosts.host(Addr::V6([0; 16])), None);
    }
}
