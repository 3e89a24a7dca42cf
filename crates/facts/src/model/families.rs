//! Address families: the values of `-f`, and the defaults that each brings.
//!
//! Source: the manual page ss(8); `ss` 7.3 for names and defaults.

use sockdiag_wire::socket::{
    AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_SMC, AF_TIPC, AF_UNIX, AF_VSOCK, AF_XDP,
};

use super::states::{State, StateSet};
use super::tables::{Table, TableSet};
use super::words::Word;

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Family {
    /// IPv4.
    Inet,
    /// IPv6.
    Inet6,
    /// Packet sockets; users call it `link`.
    Packet,
    /// Unix sockets.
    Unix,
    /// Netlink.
    Netlink,
    /// Sockets between a virtual machine and its host (vsock).
    Vsock,
    /// TIPC.
    Tipc,
    /// XDP sockets.
    Xdp,
    /// Shared memory communications (SMC); the reference does not support it.
    Smc,
}

bit_set! {
    /// A set of families.
    FamilySet(u32) of Family
}

/// The properties of a family.
#[derive(Debug)]
pub struct FamilyFacts {
    /// The family.
    pub family: Family,
    /// Word of `-f`, and prefix of a host value in a filter.
    pub name: &'static str,
    /// States that this option adds.
    pub states: StateSet,
    /// Tables that this option adds, unless a table of this family was requested.
    pub tables: TableSet,
}

/// All families, in the order in which `ss` lists them; extensions last.
pub static FAMILIES: [FamilyFacts; 9] = [
    facts(Family::Inet, "inet", StateSet::CONN, TableSet::INET),
    facts(Family::Inet6, "inet6", StateSet::CONN, TableSet::INET),
    facts(Family::Packet, "link", StateSet::only(State::Close), TableSet::PACKET),
    facts(Family::Unix, "unix", StateSet::CONN, TableSet::UNIX),
    facts(Family::Netlink, "netlink", StateSet::only(State::Close), TableSet::only(Table::Netlink)),
    facts(Family::Vsock, "vsock", StateSet::CONN, TableSet::VSOCK),
    facts(
        Family::Tipc,
        "tipc",
        StateSet::of(&[State::Established, State::Listen, State::Close]),
        TableSet::only(Table::Tipc),
    ),
    facts(Family::Xdp, "xdp", StateSet::only(State::Close), TableSet::only(Table::Xdp)),
    facts(Family::Smc, "smc", StateSet::CONN, TableSet::only(Table::Smc)),
];

const fn facts(family: Family, name: &'static str, states: StateSet, tables: TableSet) -> FamilyFacts {
    FamilyFacts { family, name, states, tables }
}

/// The names of the families, with the kernel's numbers.
pub const FAMILY_WORDS: &[Word] = &{
    let mut words = [Word::text(""); FAMILIES.len()];
    let mut at = 0;
    while at < words.len() {
        words[at] = Word::new(FAMILIES[at].family.number() as u32, FAMILIES[at].name);
        at += 1;
    }
    words
};

impl Family {
    /// The kernel's number of the family (`AF_*`).
    pub const fn number(self) -> u8 {
        match self {
            Self::Unix => AF_UNIX,
            Self::Inet => AF_INET,
            Self::Inet6 => AF_INET6,
            Self::Netlink => AF_NETLINK,
            Self::Packet => AF_PACKET,
            Self::Tipc => AF_TIPC,
            Self::Vsock => AF_VSOCK,
            Self::Smc => AF_SMC,
            Self::Xdp => AF_XDP,
        }
    }

    /// The family with this kernel number.
    pub fn from_number(number: u8) -> Option<Self> {
        FAMILIES.iter().map(|facts| facts.family).find(|family| family.number() == number)
    }

    /// The properties of this family.
    pub fn facts(self) -> &'static FamilyFacts {
        // In range: there is a row for every member, in the same order (tested).
        &FAMILIES[self as usize]
    }

    /// The name of the family, as `-f` accepts it.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// The family with this name; case matters.
    pub fn by_name(name: &[u8]) -> Option<Self> {
        FAMILIES.iter().find(|facts| facts.name.as_bytes() == name).map(|facts| facts.family)
    }

    /// Whether it is `Inet` or `Inet6`.
    pub const fn is_inet(self) -> bool {
        matches!(self, Self::Inet | Self::Inet6)
    }
}

impl FamilySet {
    /// IPv4 and IPv6.
    pub const INET: Self = Self::of(&[Family::Inet, Family::Inet6]);

    /// The families, in the order of [`FAMILIES`].
    pub fn iter(self) -> impl Iterator<Item = Family> {
        FAMILIES.iter().map(|facts| facts.family).filter(move |family| self.contains(*family))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_numbered_as_the_members_are() {
        for (number, facts) in FAMILIES.iter().enumerate() {
            assert_eq!(facts.family as usize, number, "{:?}", facts.family);
            assert_eq!(facts.family.facts().family, facts.family);
        }
        assert_eq!(Family::Smc as usize + 1, FAMILIES.len());
    }

    #[test]
    fn names_are_taken_literally() {
        for facts in &FAMILIES {
            assert_eq!(Family::by_name(facts.name.as_bytes()), Some(facts.family));
        }
        for name in ["", "LINK", "packet", "inet4", "help", "all"] {
            assert_eq!(Family::by_name(name.as_bytes()), None, "{name:?}");
        }
    }

    /// The defaults of families and tables must agree: a family may only add tables that can
    /// hold its sockets.
    #[test]
    fn a_family_brings_only_tables_that_hold_it() {
        for facts in &FAMILIES {
            assert!(!facts.tables.is_empty(), "{}", facts.name);
            for table in facts.tables.iter() {
                assert!(table.facts().families.contains(facts.family), "{} brings {table:?}", facts.name);
            }
        }
    }

    #[test]
    fn defaults_are_those_of_ss() {
        let states = FAMILIES.iter().map(|facts| facts.states.bits());
        assert!(states.eq([0x3b37, 0x3b37, 0x80, 0x3b37, 0x80, 0x3b37, 0x482, 0x80, 0x3b37]));
    }

    #[test]
    fn kernel_numbers_lead_back_to_the_family() {
        for facts in &FAMILIES {
            assert_eq!(Family::from_number(facts.family.number()), Some(facts.family), "{}", facts.name);
        }
        assert_eq!((Family::Inet.number(), Family::Inet6.number()), (2, 10));
        assert_eq!(Family::from_number(0), None);
    }
}
