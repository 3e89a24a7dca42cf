//! The table of fields as its users see it: blocks in print order.
//!
//! A [`Block`] is a group of fields that one part of the text line shows together.  The
//! [`Catalog`] is the whole table at run time; tests remove fields from it to prove that
//! nothing else depends on them.

use std::sync::OnceLock;

use sockdiag_wire::ipproto::{IPPROTO_MPTCP, IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP};

use super::block::{Block, Lead, Test};
use super::{Field, Groups, Needs, Text};
use super::{
    around, bpf, derived, diagnosed, endpoint, event, exposure, extended, judged, memory, mptcp, netlink,
    packet, process, sctp, smc, surroundings, tcp, tipc, ulp, unix, vsock, xdp,
};
use crate::model::tables::TABLES;
use crate::model::{MessageKind, Row, Table, TableSet};

/// For a /proc line of any table but TCP's, only the columns are known.
fn has_details(row: &Row<'_>, _: Groups) -> bool {
    row.socket.proc_line().is_none_or(|_| row.socket.protocol == IPPROTO_TCP)
}

/// UDP has no internal details, so `-i` alone starts no line for it; and a /proc line always
/// remains one line.
fn has_info_line(row: &Row<'_>, groups: Groups) -> bool {
    let udp = row.socket.protocol == IPPROTO_UDP || row.socket.origin.table == Table::UdpLite;
    row.socket.proc_line().is_none() && (groups.intersects(Groups::MEMORY) || !udp)
}

/// Protocols that send a `tcp_info`, unlike SCTP and MPTCP, which send their own structs.
fn has_tcp_info(row: &Row<'_>, groups: Groups) -> bool {
    !matches!(row.socket.protocol, IPPROTO_SCTP | IPPROTO_MPTCP) && has_info_line(row, groups)
}

/// Facts found out about sockets of every kind: the column before the others, and the first
/// details.
const AROUND: &[Block] = &[
    Block::new(Groups::IDENTITY, &[event::EVENT]),
    Block::new(Groups::NETNS, &[surroundings::NETNS]),
    Block::new(Groups::PEERS, &[surroundings::PEERS]),
    Block::new(Groups::CONTAINERS, &[surroundings::CONTAINERS]),
    Block::new(Groups::EXPOSURE, &[exposure::EXPOSURE]),
    Block::new(Groups::NONE, &[derived::AGE]),
];

/// The groups of details that `-i` and `-m` start a line for.
const INTERNALS: Groups = Groups::MEMORY.union(Groups::INFO);

/// Tables whose sockets have a `tcp_info`.
const WITH_TCP_INFO: TableSet = TableSet::of(&[Table::Tcp, Table::Dccp]);

/// Everything that an inet socket reports.
const INET: &[Block] = &[
    Block::new(
        Groups::COLUMNS,
        &[endpoint::IDENTITY, endpoint::COLUMNS, endpoint::NAMES, endpoint::PROTOCOL, process::PROCESSES],
    ),
    Block::new(Groups::OPTIONS, &[extended::TIMER]).applies(has_details),
    Block::new(Groups::EXTENDED, &[extended::OWNER, extended::EXTENDED, extended::SHUTDOWN])
        .applies(has_details),
    Block::new(Groups::TOS, &[extended::TOS]).applies(has_details),
    Block::new(Groups::CGROUP, &[extended::CGROUP]).applies(has_details),
    Block::new(Groups::SOCKOPT, &[extended::SOCKOPT]).applies(has_details),
    Block::new(INTERNALS, &[memory::SK, memory::OLD]).applies(has_info_line).line(),
    Block::new(INTERNALS, &[tcp::TCP]).only(WITH_TCP_INFO).applies(has_tcp_info),
    Block::new(INTERNALS, &[ulp::ULP]).of(ulp::is_there).only(WITH_TCP_INFO).applies(has_tcp_info),
    Block::new(INTERNALS, &[sctp::SCTP])
        .of(|row| row.socket.protocol == IPPROTO_SCTP)
        .only(TableSet::only(Table::Sctp)),
    Block::new(INTERNALS, &[mptcp::MPTCP])
        .of(|row| row.socket.protocol == IPPROTO_MPTCP)
        .only(TableSet::only(Table::Mptcp)),
    Block::new(Groups::INFO, &[tcp::PROC_TCP])
        .only(TableSet::only(Table::Tcp))
        .of(|row| row.socket.proc_line().is_some())
        .applies(|row, _| row.socket.protocol == IPPROTO_TCP),
    Block::new(Groups::NONE, &[derived::PORTS]).only(TableSet::only(Table::Tcp)),
    Block::new(Groups::NONE, &[derived::ONE_LOOK]).only(WITH_TCP_INFO),
    Block::new(Groups::NONE, &[derived::ESTIMATES, derived::RATIOS]).only(WITH_TCP_INFO),
    // Always shown; the option only requests it from the kernel.
    Block::new(Groups::NONE, &[bpf::STORAGES]),
];

/// A block of the table at run time.
#[derive(Clone)]
pub struct Part {
    /// Shown with any of these groups; always if empty.
    pub shown_by: Groups,
    /// Whether a socket can report any of these fields; if not, all of them are absent.
    pub of: fn(&Row<'_>) -> bool,
    /// The tables whose sockets can report these fields.
    pub tables: TableSet,
    /// Whether the text shows the block for a socket that can report it.
    pub applies: Test,
    /// The text written first, even if no field prints anything.
    pub lead: Lead,
    /// The fields, in print order.
    pub fields: Vec<&'static Field>,
}

impl Part {
    /// Whether structured output includes the whole part with these groups.  A part of columns
    /// never counts, since several options share a column.
    fn is_whole(&self, groups: Groups) -> bool {
        !self.shown_by.intersects(Groups::COLUMNS) && self.shown_by.intersects(groups)
    }
}

/// The blocks that describe the sockets of one kind, in print order.
#[derive(Clone)]
pub struct Description {
    /// The kind of message.
    pub message_kind: MessageKind,
    /// The blocks.
    pub parts: Vec<Part>,
}

/// The whole table.
#[derive(Clone)]
pub struct Catalog {
    descriptions: Vec<Description>,
}

/// The blocks of each kind of message.
const KINDS: &[(MessageKind, &[Block])] = &[
    (MessageKind::Inet, INET),
    (MessageKind::Unix, unix::UNIX),
    (MessageKind::Netlink, netlink::BLOCKS),
    (MessageKind::Packet, packet::BLOCKS),
    (MessageKind::Vsock, vsock::VSOCK),
    (MessageKind::Tipc, tipc::TIPC),
    (MessageKind::Xdp, xdp::XDP),
    (MessageKind::Smc, smc::SMC),
];

/// The tables whose sockets are reported in messages of this kind.
fn tables_of(message_kind: MessageKind) -> TableSet {
    let of_kind = TABLES.iter().map(|facts| facts.table).filter(|table| table.message_kind() == message_kind);
    of_kind.fold(TableSet::EMPTY, |all, table| all.union(TableSet::only(table)))
}

/// Fields for diagnosing sockets of a kind, in addition to what they report.
const JUDGED: &[(MessageKind, &[Block])] = &[
    (
        MessageKind::Inet,
        &[
            Block::new(Groups::NONE, &[judged::MEMORIES, judged::ONE_LOOK, judged::JOINS]),
            Block::new(Groups::NONE, &[judged::GAINS, judged::TWO_LOOKS]).only(WITH_TCP_INFO),
            Block::new(Groups::NONE, &[around::COUNTERS, around::LEVELS, around::PROCESS, diagnosed::FOUND]),
        ],
    ),
    (MessageKind::Unix, &[Block::new(Groups::NONE, &[judged::MEMORIES, diagnosed::FOUND])]),
    (MessageKind::Netlink, &[Block::new(Groups::NONE, &[judged::MEMORIES, diagnosed::FOUND])]),
    (MessageKind::Packet, &[Block::new(Groups::NONE, &[judged::MEMORIES, diagnosed::FOUND])]),
];

/// The table that the whole program uses.
static CATALOG: OnceLock<Catalog> = OnceLock::new();

/// Converts a block to its form at run time.
fn part(of_kind: TableSet, block: &'static Block) -> Part {
    Part {
        shown_by: block.shown_by,
        of: block.of,
        tables: block.tables.unwrap_or(of_kind),
        applies: block.applies,
        lead: block.lead,
        fields: block.fields.iter().copied().flatten().collect(),
    }
}

impl Catalog {
    /// Every field that `ss` has.
    pub fn standard() -> Self {
        let description = |(message_kind, blocks): &(MessageKind, &'static [Block])| Description {
            message_kind: *message_kind,
            parts: AROUND.iter().chain(*blocks).map(|block| part(tables_of(*message_kind), block)).collect(),
        };
        Self { descriptions: KINDS.iter().map(description).collect() }
    }

    /// Like [`Self::standard`], with the fields for diagnosis.
    pub fn extended() -> Self {
        let mut all = Self::standard();
        for (message_kind, blocks) in JUDGED {
            for description in all.descriptions.iter_mut().filter(|of| of.message_kind == *message_kind) {
                description.parts.extend(blocks.iter().map(|block| part(tables_of(*message_kind), block)));
            }
        }
        all
    }

    /// Makes the [shared](Self::shared) table the [extended](Self::extended) one, unless it
    /// was already used; so a program calls this first.
    pub fn share_extended() {
        CATALOG.get_or_init(Self::extended);
    }

    /// The [standard](Self::standard) table, built once, or the extended one after
    /// [`Catalog::share_extended`].
    pub fn shared() -> &'static Self {
        CATALOG.get_or_init(Self::standard)
    }

    /// The table without the fields of this name.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        for part in self.descriptions.iter_mut().flat_map(|description| &mut description.parts) {
            part.fields.retain(|field| field.name != name);
        }
        self
    }

    /// The descriptions of all kinds of messages.
    pub fn descriptions(&self) -> &[Description] {
        &self.descriptions
    }

    /// Every field, in print order.
    pub fn fields(&self) -> impl Iterator<Item = &'static Field> {
        let parts = self.descriptions.iter().flat_map(|description| &description.parts);
        parts.flat_map(|part| part.fields.iter().copied())
    }

    /// Whether sockets of any of these tables can report a field.
    pub fn reports(&self, tables: TableSet, field: &Field) -> bool {
        let parts = self.descriptions.iter().flat_map(|description| &description.parts);
        parts.into_iter().any(|part| part.tables.intersects(tables) && part.fields.contains(&field))
    }

    /// The first field with this name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields().find(|field| field.name == name)
    }

    /// The field with this name in the description of a kind of message.
    pub fn of_kind(&self, message_kind: MessageKind, name: &str) -> Option<&'static Field> {
        let of = self.descriptions.iter().filter(|description| description.message_kind == message_kind);
        of.flat_map(|description| &description.parts)
            .flat_map(|part| part.fields.iter().copied())
            .find(|field| field.name == name)
    }

    /// The field that a keyword of the filter language compares; [`Field::operand`] holds the
    /// syntax.
    pub fn operand(&self, keyword: &[u8]) -> Option<&'static Field> {
        self.fields()
            .find(|field| field.operand.is_some_and(|operand| operand.keyword().as_bytes() == keyword))
    }

    /// What has to be requested to print these groups.
    pub fn needs(&self, groups: Groups) -> Needs {
        self.fields()
            .filter(|field| {
                field.groups.intersects(groups)
                    && groups.has(field.ss.only_with)
                    && !matches!(field.ss.text, Text::Silent)
            })
            .fold(Needs::NONE, |needs, field| needs.union(field.needs).union(field.ss.needs))
    }

    /// What the values of all fields with this name need, in any kind of message.
    pub fn needs_of(&self, name: &str) -> Needs {
        let rows = self.fields().filter(|field| field.name == name);
        rows.fold(Needs::NONE, |needs, field| needs.union(field.needs))
    }

    /// The parts of a kind of message that structured output includes with these groups, in
    /// print order, each field once: the fields that the options request, the rest of the same
    /// structures, and the identity of the socket.
    pub fn values(&self, message_kind: MessageKind, groups: Groups) -> Vec<Part> {
        let groups = groups.union(Groups::COLUMNS).union(Groups::IDENTITY);
        let mut seen: Vec<&'static Field> = Vec::new();
        let of_kind = self.descriptions.iter().filter(|description| description.message_kind == message_kind);
        let mut parts: Vec<Part> = of_kind.flat_map(|description| &description.parts).cloned().collect();
        for part in &mut parts {
            let whole = part.is_whole(groups);
            part.fields.retain(|field| {
                let new = (whole || field.groups.intersects(groups)) && !seen.contains(field);
                if new {
                    seen.push(field);
                }
                new
            });
        }
        parts
    }

    /// The fields that these options add for sockets of these tables, in print order, each
    /// once.
    pub fn asked(&self, tables: TableSet, groups: Groups) -> Vec<&'static Field> {
        let mut asked: Vec<&'static Field> = Vec::new();
        let parts = self.descriptions.iter().flat_map(|description| &description.parts);
        for part in parts.filter(|part| part.tables.intersects(tables)) {
            let whole = part.is_whole(groups);
            for field in part.fields.iter().copied() {
                if (whole || field.groups.intersects(groups)) && !asked.contains(&field) {
                    asked.push(field);
                }
            }
        }
        asked
    }

    /// What has to be requested for the values of structured output.
    pub fn value_needs(&self, groups: Groups) -> Needs {
        let groups = groups.union(Groups::COLUMNS).union(Groups::IDENTITY);
        let rows = self.descriptions.iter().flat_map(|description| &description.parts).flat_map(|part| {
            let whole = part.is_whole(groups);
            part.fields.iter().filter(move |field| whole || field.groups.intersects(groups))
        });
        rows.fold(Needs::NONE, |needs, field| {
            let members = field.kind.members().iter();
            members.fold(needs.union(field.needs), |needs, member| needs.union(member.needs))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    #[test]
    fn rows_are_fit_to_publish() {
        let catalog = Catalog::standard();
        let mut names = HashMap::new();
        let mut keywords = HashSet::new();
        for field in catalog.fields() {
            // Several kinds of messages may share a field, but a name has a single meaning.
            if let Some(other) = names.insert(field.name, field) {
                let same = (other.doc, other.unit, other.source) == (field.doc, field.unit, field.source);
                assert!(same, "{} means two things", field.name);
                continue;
            }
            assert!(field.doc.ends_with('.'), "{}: doc is not a sentence", field.name);
            assert!(field.doc.starts_with(char::is_uppercase), "{}: doc is not a sentence", field.name);
            assert!(!field.source.is_empty(), "{}: no source", field.name);
            let custom = matches!(field.ss.text, Text::Custom(_));
            assert_eq!(custom, !field.ss.shape.is_empty(), "{}: what does it look like?", field.name);
            if let Some(operand) = field.operand {
                let keyword = operand.keyword();
                assert!(keywords.insert(keyword), "{keyword} tests two fields");
            }
        }
        for keyword in ["src", "dst", "sport", "dport", "dev", "fwmark", "cgroup", "autobound"] {
            assert!(keywords.contains(keyword), "no field is tested by {keyword}");
        }
    }

    #[test]
    fn every_shown_field_is_printed_by_a_row() {
        let catalog = Catalog::standard();
        for field in catalog.fields() {
            if let Text::PartOf(owner) = field.ss.text {
                let owner =
                    catalog.field(owner).unwrap_or_else(|| panic!("{}: no field {owner}", field.name));
                assert!(
                    matches!(owner.ss.text, Text::Custom(_) | Text::Column(..)),
                    "{}: {} prints nothing of its own",
                    field.name,
                    owner.name
                );
            }
        }
    }

    #[test]
    fn requests_are_those_of_the_reference() {
        let catalog = Catalog::standard();
        for (groups, ext) in [
            (Groups::COLUMNS, 0),
            (Groups::EXTENDED.union(Groups::OPTIONS), 0),
            (Groups::INFO, 0x0e),
            (Groups::MEMORY, 0x41),
            (Groups::TOS, 0x30),
            (Groups::CGROUP, 0),
            (Groups::SOCKOPT, 0),
        ] {
            assert_eq!(catalog.needs(groups).inet_ext(), ext, "{groups:?}");
        }
        for groups in [Groups::CONTEXT, Groups::CONTEXT.union(Groups::SOCKET_CONTEXT)] {
            assert_eq!(catalog.needs(groups), Needs::NONE, "without -p nothing is looked for");
            let both = Needs::PROCESSES.union(Needs::CONTEXTS);
            assert_eq!(catalog.needs(groups.union(Groups::PROCESSES)), both);
        }
    }
}
