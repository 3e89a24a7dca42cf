//! Tables: the kinds of sockets that are listed one after another.
//!
//! A table is what the user requests (`-t`, `-A tcp`); families and states further restrict
//! which of its sockets are shown.  [`TABLES`] defines all properties of each table.  It also
//! contains tables that this version cannot list yet, since they affect the meaning of a
//! selection (the Netid column, the default states of `-w`).
//!
//! Source: the manual page ss(8); `ss` 7.3 for names, defaults and order.  DCCP, which Linux
//! 6.16 and `ss` 7.3 dropped, is in no group and is only listed when requested by name;
//! likewise SMC and UDP-Lite, which `ss` never supported.

use sockdiag_wire::ipproto::{
    IPPROTO_DCCP, IPPROTO_MPTCP, IPPROTO_RAW, IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE,
};

use super::families::{Family, FamilySet};
use super::socket::MessageKind;
use super::states::{State, StateSet};
use super::words::Word;

/// A table.  The declaration order is the order of the listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Table {
    /// Netlink sockets.
    Netlink,
    /// Packet sockets without the link header.
    PacketDgram,
    /// Packet sockets with the link header.
    PacketRaw,
    /// Unix datagram sockets.
    UnixDgram,
    /// Unix stream sockets.
    UnixStream,
    /// Unix sequenced-packet sockets.
    UnixSeqpacket,
    /// Raw IP sockets.
    Raw,
    /// UDP sockets.
    Udp,
    /// TCP sockets.
    Tcp,
    /// DCCP sockets.
    Dccp,
    /// SCTP sockets.
    Sctp,
    /// Virtual machine stream sockets.
    VsockStream,
    /// Virtual machine datagram sockets.
    VsockDgram,
    /// TIPC sockets.
    Tipc,
    /// Express data path sockets.
    Xdp,
    /// MPTCP sockets.
    Mptcp,
    /// SMC sockets.
    Smc,
    /// UDP-Lite sockets.
    UdpLite,
}

bit_set! {
    /// A set of tables.
    TableSet(u32) of Table
}

/// What must be selected in addition to the table itself so that it is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// One of its families.
    Family,
    /// One of its families, and the state `Close`, in which all its sockets are.
    FamilyAndClose,
    /// Nothing else.
    Open,
}

/// The properties of a table.
#[derive(Debug)]
pub struct TableFacts {
    /// The table.
    pub table: Table,
    /// Words of `-A` that select only this table, the usual one first.
    pub names: &'static [&'static str],
    /// The name of its sockets in messages, before the word "sockets".
    pub title: &'static str,
    /// Default states that requesting it adds.
    pub states: StateSet,
    /// Families that its sockets can have; requesting the table adds them.
    pub families: FamilySet,
    /// The protocol in its inet_diag request; 0 if it is not requested that way.
    pub protocol: u16,
    /// The condition for listing it.
    pub gate: Gate,
}

const ESTABLISHED: StateSet = StateSet::only(State::Established);
const CLOSE: StateSet = StateSet::only(State::Close);

/// A connection-oriented inet table.
const fn inet(
    table: Table,
    names: &'static [&'static str],
    title: &'static str,
    protocol: u16,
) -> TableFacts {
    TableFacts {
        table,
        names,
        title,
        states: StateSet::CONN,
        families: FamilySet::INET,
        protocol,
        gate: Gate::Family,
    }
}

/// A table of another family.
const fn other(
    table: Table,
    names: &'static [&'static str],
    title: &'static str,
    family: Family,
    states: StateSet,
    gate: Gate,
) -> TableFacts {
    TableFacts { table, names, title, states, families: FamilySet::only(family), protocol: 0, gate }
}

/// Every table, in the order of the listing.
#[rustfmt::skip]
pub static TABLES: [TableFacts; 18] = [
    other(Table::Netlink, &["netlink"], "netlink", Family::Netlink, CLOSE, Gate::FamilyAndClose),
    other(Table::PacketDgram, &["packet_dgram", "p_dgr"], "packet", Family::Packet, CLOSE, Gate::FamilyAndClose),
    other(Table::PacketRaw, &["packet_raw", "p_raw"], "packet", Family::Packet, CLOSE, Gate::FamilyAndClose),
    other(Table::UnixDgram, &["unix_dgram", "u_dgr"], "unix", Family::Unix, CLOSE, Gate::Family),
    other(Table::UnixStream, &["unix_stream", "u_str"], "unix", Family::Unix, StateSet::CONN, Gate::Family),
    other(Table::UnixSeqpacket, &["unix_seqpacket", "u_seq"], "unix", Family::Unix, StateSet::CONN, Gate::Family),
    TableFacts { states: ESTABLISHED, ..inet(Table::Raw, &["raw"], "raw", IPPROTO_RAW) },
    TableFacts { states: ESTABLISHED, ..inet(Table::Udp, &["udp"], "UDP", IPPROTO_UDP) },
    inet(Table::Tcp, &["tcp"], "TCP", IPPROTO_TCP),
    inet(Table::Dccp, &["dccp"], "DCCP", IPPROTO_DCCP),
    inet(Table::Sctp, &["sctp"], "SCTP", IPPROTO_SCTP),
    other(Table::VsockStream, &["vsock_stream", "v_str"], "vsock", Family::Vsock, StateSet::CONN, Gate::Family),
    other(Table::VsockDgram, &["vsock_dgram", "v_dgr"], "vsock", Family::Vsock, StateSet::CONN, Gate::Family),
    other(Table::Tipc, &["tipc"], "TIPC", Family::Tipc, ESTABLISHED.union(StateSet::LISTENING), Gate::Open),
    other(Table::Xdp, &["xdp"], "XDP", Family::Xdp, CLOSE, Gate::FamilyAndClose),
    inet(Table::Mptcp, &["mptcp"], "MPTCP", IPPROTO_MPTCP),
    other(Table::Smc, &["smc"], "SMC", Family::Smc, StateSet::CONN, Gate::Family),
    TableFacts { states: ESTABLISHED, ..inet(Table::UdpLite, &["udplite"], "UDP-Lite", IPPROTO_UDPLITE) },
];

/// The words of the Netid column, with the matching words of `-A`.
pub const NETIDS: &[Word] = &[
    Word::text("nl|netlink"),
    Word::text("p_dgr|packet_dgram"),
    Word::text("p_raw|packet_raw"),
    Word::text("u_dgr|unix_dgram"),
    Word::text("u_str|unix_stream"),
    Word::text("u_seq|unix_seqpacket"),
    Word::text("raw"),
    Word::text("udp"),
    Word::text("tcp"),
    Word::text("dccp"),
    Word::text("icmp6"),
    Word::text("sctp"),
    Word::text("v_str|vsock_stream"),
    Word::text("v_dgr|vsock_dgram"),
    Word::text("ti_st"),
    Word::text("ti_dg"),
    Word::text("ti_rd"),
    Word::text("ti_sq"),
    Word::text("xdp"),
    Word::text("mptcp"),
    Word::text("smc"),
    Word::text("udplite"),
    Word::text("???"),
];

/// Words of `-A` that select several tables.
pub const GROUPS: &[(&str, TableSet)] = &[
    ("all", TableSet::ALL),
    ("inet", TableSet::INET),
    ("unix", TableSet::UNIX),
    ("packet", TableSet::PACKET),
    ("vsock", TableSet::VSOCK),
];

impl Table {
    /// The properties of this table.
    pub fn facts(self) -> &'static TableFacts {
        // In range: there is a row for every member, in the same order (tested).
        &TABLES[self as usize]
    }

    /// Its usual name in `-A`.
    pub fn name(self) -> &'static str {
        self.facts().names.first().copied().unwrap_or("")
    }

    /// The protocol in its inet_diag request; 0 if it is not requested that way.
    pub fn protocol(self) -> u16 {
        self.facts().protocol
    }

    /// The protocol whose service names apply to its ports: 255 if a port is the number of a
    /// protocol, 0 if services of any protocol apply.
    pub const fn services(self) -> u16 {
        match self {
            Self::Tcp | Self::Smc => 6,
            Self::Udp | Self::UdpLite => 17,
            Self::Raw => 255,
            _ => 0,
        }
    }

    /// The kind of message that describes its sockets.
    pub fn message_kind(self) -> MessageKind {
        match self {
            Self::UnixDgram | Self::UnixStream | Self::UnixSeqpacket => MessageKind::Unix,
            Self::PacketDgram | Self::PacketRaw => MessageKind::Packet,
            Self::Netlink => MessageKind::Netlink,
            Self::VsockStream | Self::VsockDgram => MessageKind::Vsock,
            Self::Tipc => MessageKind::Tipc,
            Self::Xdp => MessageKind::Xdp,
            Self::Smc => MessageKind::Smc,
            _ => MessageKind::Inet,
        }
    }
}

impl TableSet {
    /// The tables of `-A inet`, and of `-4` and `-6`.
    pub const INET: Self = Self::of(&[Table::Raw, Table::Udp, Table::Tcp, Table::Sctp, Table::Mptcp]);
    /// Unix sockets of every type.
    pub const UNIX: Self = Self::of(&[Table::UnixDgram, Table::UnixStream, Table::UnixSeqpacket]);
    /// Packet sockets of either type.
    pub const PACKET: Self = Self::of(&[Table::PacketDgram, Table::PacketRaw]);
    /// Vsock sockets of either type.
    pub const VSOCK: Self = Self::of(&[Table::VsockStream, Table::VsockDgram]);
    /// The tables of `-A all`, which are also the default.  Without TIPC and tables that the
    /// reference does not support.
    pub const ALL: Self = Self::INET
        .union(Self::UNIX)
        .union(Self::PACKET)
        .union(Self::VSOCK)
        .union(Self::of(&[Table::Netlink, Table::Xdp]));

    /// All tables.
    pub const EVERY: Self = {
        let (mut all, mut at) = (Self::EMPTY, 0);
        while at < TABLES.len() {
            all = all.union(Self::only(TABLES[at].table));
            at += 1;
        }
        all
    };

    /// The tables that a word of `-A` selects; case matters.
    pub fn by_name(name: &[u8]) -> Option<Self> {
        let group = GROUPS.iter().find(|(word, _)| word.as_bytes() == name).map(|(_, set)| *set);
        group.or_else(|| {
            let facts = TABLES.iter().find(|facts| facts.names.iter().any(|word| word.as_bytes() == name))?;
            Some(Self::only(facts.table))
        })
    }

    /// The tables in the order of the listing.
    pub fn iter(self) -> impl Iterator<Item = Table> {
        TABLES.iter().map(|facts| facts.table).filter(move |table| self.contains(*table))
    }

    /// The families that sockets of these tables can have.
    pub fn families(self) -> FamilySet {
        self.iter().fold(FamilySet::EMPTY, |all, table| all.union(table.facts().families))
    }

    /// The default states of these tables.
    pub fn states(self) -> StateSet {
        self.iter().fold(StateSet::EMPTY, |all, table| all.union(table.facts().states))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_numbered_as_the_members_are() {
        for (number, facts) in TABLES.iter().enumerate() {
            assert_eq!(facts.table as usize, number, "{:?}", facts.table);
            assert_eq!(facts.table.facts().table, facts.table);
        }
        assert_eq!(Table::UdpLite as usize + 1, TABLES.len());
    }

    #[test]
    fn every_name_means_one_thing() {
        let mut seen = std::collections::HashSet::new();
        for facts in &TABLES {
            assert_eq!(facts.table.name(), facts.names[0]);
            for name in facts.names {
                assert!(seen.insert(*name), "{name} is listed twice");
                assert_eq!(TableSet::by_name(name.as_bytes()), Some(TableSet::only(facts.table)), "{name}");
            }
        }
        for (name, tables) in GROUPS {
            assert!(seen.insert(name), "{name} is listed twice");
            assert_eq!(TableSet::by_name(name.as_bytes()), Some(*tables), "{name}");
        }
        for name in ["", "TCP", "Tcp", "tcp ", "!tcp", "link", "inet6", "u_dgram", "\u{e9}"] {
            assert_eq!(TableSet::by_name(name.as_bytes()), None, "{name:?}");
        }
    }

    #[test]
    fn groups_hold_what_they_should() {
        assert_eq!(TableSet::ALL.len(), 14);
        let by_name_alone = [Table::Dccp, Table::UdpLite];
        for outside in [Table::Tipc, Table::Smc].into_iter().chain(by_name_alone) {
            assert!(!TableSet::ALL.contains(outside), "{outside:?}");
        }
        for facts in &TABLES {
            let inet = facts.families == FamilySet::INET && !by_name_alone.contains(&facts.table);
            assert_eq!(TableSet::INET.contains(facts.table), inet, "{:?}", facts.table);
        }
    }

    #[test]
    fn defaults_are_those_of_ss() {
        let expect = |names: &str, states: u32| {
            for name in names.split(' ') {
                let tables = TableSet::by_name(name.as_bytes()).expect(name);
                assert_eq!(tables.states().bits(), states, "{name}");
            }
        };
        expect("tcp mptcp sctp dccp smc u_str u_seq vsock v_str v_dgr", 0x3b37);
        expect("udp udplite raw", 0x2);
        expect("u_dgr packet p_raw p_dgr netlink xdp", 0x80);
        expect("tipc", 0x482);
    }

    #[test]
    fn protocols_are_those_of_the_kernel() {
        let expected = [
            (Table::Tcp, 6),
            (Table::Udp, 17),
            (Table::Raw, 255),
            (Table::Dccp, 33),
            (Table::Sctp, 132),
            (Table::Mptcp, 262),
            (Table::UdpLite, 136),
        ];
        for facts in &TABLES {
            let protocol = expected.iter().find(|(table, _)| *table == facts.table).map_or(0, |row| row.1);
            assert_eq!(facts.table.protocol(), protocol, "{:?}", facts.table);
        }
    }
}
