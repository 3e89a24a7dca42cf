//! Fields of netlink sockets.
//!
//! The address of a netlink socket is its protocol; its port is the port id.  Most processes
//! use their process id as port id, which is why `ss` prints the name of that process before
//! it.  `ss` prints all details of a netlink socket in the Process column, so they only appear
//! with `-p`.
//!
//! Source: linux/netlink_diag.h; `/proc/net/netlink`.

use sockdiag_wire::netlink_diag::{
    NDIAG_FLAG_BROADCAST_ERROR, NDIAG_FLAG_CAP_ACK, NDIAG_FLAG_CB_RUNNING, NDIAG_FLAG_LISTEN_ALL_NSID,
    NDIAG_FLAG_NO_ENOBUFS, NDIAG_FLAG_PKTINFO,
};

use super::process::put_context;
use super::{
    Block, Column, Field, Groups, Int, Item, Kind, List, Needs, Read, Spelling, Style, Text, Value, Word,
    endpoint, extended, memory, plain, process, text,
};
use crate::model::netlink::NetlinkSocket;
use crate::model::{Addr, Detail, Row, SourceKind, protocol_names};
use crate::number::{put_hex, put_i64, put_name, put_signed};

/// All fields of a netlink socket, in print order.
pub(super) const BLOCKS: &[Block] =
    &[Block::new(Groups::COLUMNS, &[endpoint::IDENTITY, ADDRESSES, DETAILS, memory::SILENT])];

fn netlink<'r>(row: &'r Row<'_>) -> Option<&'r NetlinkSocket<'r>> {
    match &row.socket.detail {
        Detail::Netlink(netlink) => Some(netlink),
        _ => None,
    }
}

const ADDRESSES: &[Field] = &[
    Field::new(
        "netlink.protocol",
        plain!(|r| netlink(r).map(|_| protocol(r))),
        "Netlink protocol (NETLINK_*): the kernel subsystem that the socket communicates with.",
        "ndiag_protocol",
    )
    .words(protocol_names::NETLINK)
    .needs(Needs::NETLINK_NAMES)
    .group(Groups::COLUMNS)
    .text(Text::Column(Column::LocalAddr, |out, r, _| {
        match r.names.protocol {
            Some(name) => put_name(out, name),
            None => put_signed(out, protocol(r)),
        }
        out.push(b':');
    })),
    Field::new(
        "netlink.portid",
        plain!(|r| netlink(r).and_then(|_| i32::try_from(r.socket.local.port).ok())),
        "Port ID of the socket: zero for the kernel, otherwise usually a process ID, or negative.",
        "ndiag_portid",
    )
    .needs(Needs::NETLINK_NAMES)
    .group(Groups::COLUMNS)
    .text(Text::Column(Column::LocalPort, put_portid)),
    Field::new(
        "netlink.dst_group",
        plain!(|r| Some(netlink(r)?.peer()?.group)),
        "Multicast group that a connected socket sends to.",
        "ndiag_dst_group",
    )
    .none(0)
    .group(Groups::COLUMNS)
    .text(Text::Column(Column::RemoteAddr, |out, r, _| match netlink(r).and_then(NetlinkSocket::peer) {
        Some(peer) => {
            put_signed(out, peer.group);
            out.push(b':');
        }
        None => out.push(b'*'),
    })),
    Field::new(
        "netlink.dst_portid",
        plain!(|r| Some(netlink(r)?.peer()?.portid)),
        "Port ID that a connected socket sends to; zero is the kernel.",
        "ndiag_dst_portid",
    )
    .group(Groups::COLUMNS)
    .text(Text::Column(Column::RemotePort, |out, r, _| {
        if let Some(peer) = netlink(r).and_then(NetlinkSocket::peer) {
            put_i64(out, peer.portid.into());
        }
    })),
];

/// Names for the numbers, and settings that `ss` does not show.
const DETAILS: &[Field] = &[
    // `ss` guesses the process from the port id; the inode identifies it reliably.
    process::HOLDERS.text(Text::Silent),
    extended::INODE.in_every_reply().text(Text::Silent),
    extended::COOKIE.in_every_reply().text(Text::Silent),
    Field::new(
        "netlink.process_context",
        text!(|r| context(r)),
        "SELinux context of the process whose PID equals the port ID, or of the kernel.",
        "/proc/PID/attr/current",
    ).tokens("proc_ctx")
    .needs(Needs::CONTEXTS)
    .group(Groups::CONTEXT)
    .only_with(Groups::PROCESSES)
    .text(Text::Column(Column::Process, |out, r, style| {
        if style.groups.intersects(Groups::CONTEXT) {
            out.extend_from_slice(b" proc_ctx=");
            put_context(out, context(r));
        }
    })),
    Field::new(
        "netlink.groups",
        plain!(|r| netlink(r)?.groups()),
        "Multicast groups 1 to 32 that the socket has joined, one bit each.",
        "NETLINK_DIAG_GROUPS",
    ).tokens("groups")
    .flags(&[])
    .group(Groups::EXTENDED)
    .text(Text::Column(Column::Process, put_details)),
    Field::new(
        "netlink.sk",
        plain!(|r| netlink(r)?.address()),
        "Kernel address of the socket; reported only by /proc.",
        "/proc/net/netlink",
    ).tokens("sk")
    .spelled(&Spelling::Hex)
    .wide()
    .none(0)
    .group(Groups::EXTENDED)
    .text(Text::PartOf("netlink.groups")),
    Field::new(
        "netlink.cb",
        plain!(|r| netlink(r)?.callback()),
        "Whether a dump is in progress, or the kernel address of its state; reported only by /proc.",
        "/proc/net/netlink",
    ).tokens("cb")
    .spelled(&Spelling::Hex)
    .wide()
    .group(Groups::EXTENDED)
    .text(Text::PartOf("netlink.groups")),
    Field::new(
        "netlink.flags",
        plain!(|r| netlink(r)?.flags()),
        "Flags (NDIAG_FLAG_*): 1 dump in progress, 2 packet info, 4 broadcast errors, 8 no ENOBUFS, 16 listens to \
         all namespaces, 32 capped acknowledgements, 64 extended acknowledgements, 128 strict checks.",
        "NETLINK_DIAG_FLAGS",
    )
    .flags(FLAGS)
    .needs(Needs::NETLINK_FLAGS)
    .group(Groups::EXTENDED),
    Field::new(
        "netlink.joined",
        Read::of(Kind::Integers(Int::of::<u64>()), |r| {
            netlink(r)?.group_words()?;
            Some(Value::List(List::Of(r, each_group)))
        }),
        "Numbers of the multicast groups that the socket has joined, including those above 32.",
        "NETLINK_DIAG_GROUPS",
    )
    .group(Groups::EXTENDED),
    Field::new(
        "netlink.protocol_name",
        text!(|r| r.names.protocol),
        "Name of the netlink protocol, unless -n is given.",
        "nl_protos",
    )
    .needs(Needs::NETLINK_NAMES)
    .group(Groups::COLUMNS),
    Field::new(
        "netlink.port_owner",
        text!(|r| r.names.port_owner),
        "Command name of the process whose PID equals the port ID, unless -n is given.",
        "/proc/PID/stat",
    )
    .needs(Needs::NETLINK_NAMES)
    .group(Groups::COLUMNS),
];

/// Flags of a socket.
const FLAGS: &[Word] = &[
    Word::new(NDIAG_FLAG_CB_RUNNING, "cb-running"),
    Word::new(NDIAG_FLAG_PKTINFO, "pktinfo"),
    Word::new(NDIAG_FLAG_BROADCAST_ERROR, "broadcast-error"),
    Word::new(NDIAG_FLAG_NO_ENOBUFS, "no-enobufs"),
    Word::new(NDIAG_FLAG_LISTEN_ALL_NSID, "listen-all-nsid"),
    Word::new(NDIAG_FLAG_CAP_ACK, "cap-ack"),
];

fn each_group(row: &Row<'_>, take: &mut dyn FnMut(Item<'_>)) {
    let Some(words) = netlink(row).and_then(NetlinkSocket::group_words) else { return };
    let words = words.chunks_exact(size_of::<usize>()).filter_map(|word| word.try_into().ok());
    for (first, word) in (0_u64..).step_by(usize::BITS as usize).zip(words.map(usize::from_ne_bytes)) {
        (0..usize::BITS).filter(|bit| word >> bit & 1 != 0).for_each(|bit| {
            take(Item::Value((first + u64::from(bit) + 1).into()));
        });
    }
}

/// The netlink protocol; 0 if the address is not a number.
fn protocol(row: &Row<'_>) -> u32 {
    match row.socket.local.addr {
        Addr::Number(number) => number,
        _ => 0,
    }
}

/// Appends `*` for port id -1.  Unless names are disabled, appends `kernel` for 0, and the
/// process's name and the number for a process.
fn put_portid(out: &mut Vec<u8>, row: &Row<'_>, style: Style) {
    match (row.socket.local.port, row.names.port_owner) {
        (-1, _) => out.push(b'*'),
        (0, _) if !style.numeric => out.extend_from_slice(b"kernel"),
        (portid, name) => {
            if let Some(name) = name {
                put_name(out, name);
                out.push(b'/');
            }
            put_i64(out, portid);
        }
    }
}

/// The context of the kernel, or of the process that the port id identifies.
fn context<'r>(row: &'r Row<'_>) -> Option<&'r [u8]> {
    let contexts = row.names.contexts.filter(|_| netlink(row).is_some())?;
    match i32::try_from(row.socket.local.port).ok()? {
        0 => contexts.kernel(),
        pid => contexts.task(pid),
    }
}

/// Appends ` sk=0 cb=0 groups=0x00000000` with `-e`, and a tab and the memory with `-m`.
fn put_details(out: &mut Vec<u8>, row: &Row<'_>, style: Style) {
    let Some(netlink) = netlink(row) else { return };
    if style.groups.intersects(Groups::EXTENDED) {
        out.extend_from_slice(b" sk=");
        put_hex(out, netlink.address().unwrap_or(0));
        out.extend_from_slice(b" cb=");
        put_hex(out, netlink.callback().unwrap_or(0));
        out.extend_from_slice(b" groups=0x");
        put_word(out, netlink.groups().unwrap_or(0));
    }
    if style.groups.intersects(Groups::MEMORY) && row.socket.origin.kind != SourceKind::Proc {
        out.push(b'\t');
        memory::fmt_skmem(out, row, style);
    }
}

/// Appends eight hexadecimal digits (`%08x`).
fn put_word(out: &mut Vec<u8>, word: u32) {
    for shift in (0..8).rev() {
        put_hex(out, (word >> (4 * shift) & 15).into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Names, Origin, Record, Socket, Table};

    #[allow(clippy::large_types_passed_by_value, reason = "each row is shown once")]
    fn shown(
        kind: SourceKind,
        bytes: &[u8],
        names: Names<'_>,
        groups: Groups,
        format: super::super::Format,
    ) -> String {
        let origin = Origin::of(Table::Netlink, kind);
        let socket = Socket::decode(Record { origin, bytes }).expect("a socket");
        let mut out = Vec::new();
        let row = Row { names, ..Row::bare(&socket) };
        format(&mut out, &row, Style { groups, ..Style::default() });
        String::from_utf8(out).expect("ASCII")
    }

    fn reply(portid: i32, attrs: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![16, 3, 0, 0];
        bytes.extend(portid.to_ne_bytes());
        bytes.extend([0; 20]);
        for (kind, payload) in attrs {
            sockdiag_wire::attr::put(&mut bytes, *kind, payload);
        }
        bytes
    }

    #[test]
    fn details_are_those_of_the_source() {
        let all = Groups::EXTENDED.union(Groups::MEMORY);
        let details = |kind, bytes: &[u8], groups| shown(kind, bytes, Names::default(), groups, put_details);
        let whole = reply(0, &[(0, &[1; 36]), (1, &0x41_u64.to_ne_bytes())]);
        let word = "16843009";
        let memory =
            format!("\t skmem:(r{word},rb{word},t{word},tb{word},f{word},w{word},o{word},bl{word},d{word})");
        let groups = " sk=0 cb=0 groups=0x00000041";
        assert_eq!(details(SourceKind::Kernel, &whole, all), format!("{groups}{memory}"));
        assert_eq!(details(SourceKind::Kernel, &whole, Groups::EXTENDED), groups);
        assert_eq!(details(SourceKind::Kernel, &whole, Groups::MEMORY), memory);
        assert_eq!(details(SourceKind::Kernel, &whole, Groups::INFO), "");
        // The tab is always printed; an incomplete word of groups counts as none.
        let bare = reply(0, &[(1, &[1, 2])]);
        assert_eq!(details(SourceKind::Kernel, &bare, all), " sk=0 cb=0 groups=0x00000000\t");
        let line = b"ffff888003a5c000 4 0 ffffffff 0 0 1 2 0 17";
        assert_eq!(details(SourceKind::Proc, line, all), " sk=ffff888003a5c000 cb=1 groups=0xffffffff");
    }

    #[test]
    fn the_context_is_that_of_the_port_id() {
        struct Contexts;
        impl crate::model::ContextCache for Contexts {
            fn kernel(&self) -> Option<&[u8]> {
                Some(b"u:r:kernel")
            }
            fn task(&self, tid: i32) -> Option<&[u8]> {
                (tid == 7).then_some(b"u:r:seven")
            }
            fn socket(&self, _: i32, _: i32) -> Option<&[u8]> {
                panic!("netlink rows show no context of the socket")
            }
        }
        let field = DETAILS.iter().find(|field| field.name == "netlink.process_context").expect("a field");
        let Text::Column(Column::Process, put) = field.ss.text else { panic!("{field:?}") };
        for (portid, want) in [(0, "u:r:kernel"), (7, "u:r:seven"), (8, "unavailable"), (-7, "unavailable")] {
            let names = Names { contexts: Some(&Contexts), ..Names::default() };
            let shown_with = |groups| shown(SourceKind::Kernel, &reply(portid, &[]), names, groups, put);
            assert_eq!(shown_with(Groups::CONTEXT), format!(" proc_ctx={want}"));
            assert_eq!(shown_with(Groups::EXTENDED), "");
        }
    }

    #[test]
    fn a_port_id_is_a_process_or_a_number() {
        let port = |portid, owner: Option<&'static [u8]>| {
            let names = Names { port_owner: owner, ..Names::default() };
            shown(SourceKind::Kernel, &reply(portid, &[]), names, Groups::NONE, put_portid)
        };
        assert_eq!(port(-1, None), "*");
        assert_eq!(port(0, None), "kernel");
        assert_eq!(port(7, Some(b"a)\n\x1b\x7f\xc3\xa9")), "a)\\012\\033\\177\u{e9}/7");
        assert_eq!(port(7, None), "7");
        assert_eq!(port(i32::MIN, None), "-2147483648");
    }
}
