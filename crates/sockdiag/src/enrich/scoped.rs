//! Facts about the network namespaces of a question: names and addresses of
//! interfaces, and the names of the namespaces.
//!
//! Lifetime: names and addresses live for one poll; the netlink sockets that fetch them are
//! kept.
//!
//! Invariant: namespaces are numbered in the order in which the query lists them.

use crate::model::Netns;

use super::interfaces::{Interfaces, Links};

/// The namespaces of a question; one of them is current.
#[derive(Debug, Default)]
pub(super) struct Scoped {
    interfaces: Vec<Interfaces>,
    /// The namespaces' facts for rows; empty if only our own is listed.
    facts: Vec<Netns>,
    /// First and last ephemeral port of each namespace, if requested.
    port_ranges: Vec<(u16, u16)>,
    current: u32,
}

impl Scoped {
    /// Replaces the namespaces and forgets what was looked up.
    pub(super) fn begin_poll(&mut self, facts: Vec<Netns>, links: Vec<Links>) {
        self.interfaces = links.into_iter().map(Interfaces::new).collect();
        (self.facts, self.current) = (facts, 0);
    }

    /// Sets the ephemeral port ranges, in the order of the namespaces.
    pub(super) fn have_port_ranges(&mut self, port_ranges: Vec<(u16, u16)>) {
        self.port_ranges = port_ranges;
    }

    /// The ephemeral port range of the current namespace.
    pub(super) fn port_range(&self) -> Option<(u16, u16)> {
        self.port_ranges.get(self.current as usize).copied()
    }

    /// The netlink access of each namespace, in order; pass it to [`Scoped::begin_poll`]
    /// again.
    pub(super) fn take_links(&mut self) -> Vec<Links> {
        std::mem::take(&mut self.interfaces).into_iter().map(Interfaces::into_links).collect()
    }

    /// Sets the namespace of the rows that follow.
    #[inline]
    pub(super) fn enter(&mut self, scope: u32) {
        self.current = scope;
    }

    /// The number of the current namespace.
    #[inline]
    pub(super) fn current(&self) -> u32 {
        self.current
    }

    /// Whether rows report their namespace: there are several, or one was named.
    #[inline]
    pub(super) fn are_told(&self) -> bool {
        !self.facts.is_empty()
    }

    /// The current namespace, if namespaces are reported.
    #[inline]
    pub(super) fn netns(&self) -> Option<&Netns> {
        self.netns_of(self.current)
    }

    /// A namespace, if namespaces are reported.
    #[inline]
    pub(super) fn netns_of(&self, scope: u32) -> Option<&Netns> {
        self.facts.get(scope as usize)
    }

    /// The known interfaces of the current namespace.
    #[inline]
    pub(super) fn interfaces(&self) -> Option<&Interfaces> {
        self.interfaces.get(self.current as usize)
    }

    /// The same, for further look-ups.
    pub(super) fn interfaces_mut(&mut self) -> Option<&mut Interfaces> {
        self.interfaces.get_mut(self.current as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::names::interface_index;
    use crate::sys::opener::Opener;

    #[test]
    fn each_namespace_has_names_of_its_own_and_each_poll_looks_again() {
        let Some(lo) = interface_index(b"lo", &Opener::here()) else {
            sockdiag_testkit::skip!("no loopback interface here");
        };
        let mut scoped = Scoped::default();
        let facts = || (1..=3).map(|inode| Netns { inode, ..Netns::default() }).collect();
        scoped.begin_poll(facts(), (0..3).map(|_| Links::default()).collect());
        let name = |scoped: &Scoped| scoped.interfaces().and_then(|known| known.name(lo)).map(<[u8]>::to_vec);
        scoped.enter(1);
        scoped.interfaces_mut().expect("the second").prepare(lo);
        assert_eq!((name(&scoped), scoped.netns().map(|netns| netns.inode)), (Some(b"lo".to_vec()), Some(2)));
        scoped.enter(2);
        assert_eq!((name(&scoped), scoped.current()), (None, 2));
        scoped.enter(1);
        assert_eq!(name(&scoped), Some(b"lo".to_vec()));
        let links = scoped.take_links();
        assert_eq!(links.len(), 3);
        scoped.begin_poll(facts(), links);
        scoped.enter(1);
        assert_eq!(name(&scoped), None, "of the poll before");
        scoped.enter(9);
        assert!(name(&scoped).is_none() && scoped.netns().is_none() && scoped.are_told());
    }
}
