//! Fields of a socket's surroundings: namespace, other end, container, pod and unit.
//!
//! Whoever creates a container or namespace chooses its name.  In text output, such names
//! cannot add words or lines: blanks and control characters are replaced.
//!
//! Source: network_namespaces(7), unix_diag, inet_diag, cgroups(7), and the
//! layouts of cgroups and state that container runtimes document.

use super::process::{HOLDER, each_holder_of, put_holders};
use super::{
    Column, Field, Groups, Kind, List, Needs, Read, Spelling, Style, Text, Unit, Value, plain, text, word,
};
use crate::model::surroundings::{QOS_CLASSES, Titles};
use crate::model::{Named, Peer, Row, Workload};
use crate::number::put_u64;

/// The Netns column.
pub(super) const NETNS: &[Field] = &[
    Field::new(
        "netns.inode",
        plain!(|r| Some(r.names.netns?.inode).filter(|inode| *inode != 0)),
        "Inode number of the network namespace; given with --netns.",
        "/proc/PID/ns/net",
    )
    .group(Groups::NETNS)
    .text(Text::Column(Column::Netns, |out, r, _| {
        if let Some(netns) = r.names.netns {
            put_word(out, &netns.title);
        }
    })),
    Field::new(
        "netns.title",
        text!(|r| Some(r.names.netns?.title.as_slice())),
        "Name of the network namespace, or its inode number if it has none.",
        "/run/netns, /proc/PID/ns/net",
    )
    .group(Groups::NETNS)
    .text(Text::PartOf("netns.inode")),
    Field::new(
        "netns.name",
        text!(|r| r.names.netns?.name.as_deref()),
        "Name of the network namespace, as in ip-netns(8).",
        "/run/netns",
    )
    .group(Groups::NETNS)
    .text(Text::PartOf("netns.inode")),
    Field::new(
        "netns.path",
        text!(|r| r.names.netns?.path.as_deref()),
        "A file through which the network namespace can be entered.",
        "/proc/self/mountinfo, /proc/PID/ns/net",
    )
    .group(Groups::NETNS),
    Field::new(
        "netns.owner_uid",
        plain!(|r| Some(r.names.netns?.owner?.uid)),
        "Creator of the user namespace that owns the network namespace, if it is neither ours nor the initial one; \
         that user can assign any address in it.",
        "NS_GET_USERNS, NS_GET_OWNER_UID",
    )
    .group(Groups::NETNS),
];

fn peer<'a>(row: &Row<'a>) -> Option<Peer<'a>> {
    row.names.peer
}

/// The inode of the other end; 0 if the match could be faked, since a column or condition
/// might not show that.
fn peer_inode(row: &Row<'_>) -> u32 {
    peer(row).filter(|peer| peer.claimed_by.is_none()).map_or(0, |peer| peer.inode)
}

/// Fields of `--peers`.
pub(super) const PEERS: &[Field] = &[
    Field::new(
        "peer.processes",
        Read::of(Kind::Records(HOLDER), |r| {
            if peer_inode(r) == 0 {
                return None;
            }
            r.names.holders.map(|_| {
                Value::List(List::Of(r, |r, take| each_holder_of(r, peer_inode(r), take)))
            })
        }),
        "File descriptors that refer to the other end of a unix, TCP or UDP socket, if it is on this machine. For \
         TCP and UDP, it is inferred from addresses and states. Absent if peer.claimed_by_uid is present.",
        "UNIX_DIAG_PEER, swapped addresses and ports, /proc/PID/fd",
    )
    .gauge(Unit::Count)
    .needs(Needs::PEERS.union(Needs::PROCESSES))
    .group(Groups::PEERS)
    .shape("peer:((\"NAME\",pid=N,fd=N))")
    .text(Text::Custom(fmt_peer)),
    Field::new(
        "peer.inode",
        plain!(|r| Some(peer_inode(r)), unless 0),
        "Inode of the other end, if it is a socket of this machine and unambiguous.",
        "UNIX_DIAG_PEER, swapped addresses and ports",
    )
    .needs(Needs::PEERS)
    .group(Groups::PEERS)
    .text(Text::PartOf("peer.processes")),
    Field::new(
        "peer.netns_inode",
        plain!(|r| Some(peer(r)?.netns?.inode)),
        "Inode number of the network namespace that the other end is in; given with --netns.",
        "/proc/PID/ns/net",
    )
    .needs(Needs::PEERS)
    .group(Groups::PEERS)
    .text(Text::PartOf("peer.processes")),
    Field::new(
        "peer.netns_name",
        text!(|r| peer(r)?.netns?.name.as_deref()),
        "Name of the network namespace that the other end is in.",
        "/run/netns",
    )
    .needs(Needs::PEERS)
    .group(Groups::PEERS)
    .text(Text::PartOf("peer.processes")),
    Field::new(
        "peer.netns_title",
        text!(|r| Some(peer(r)?.netns?.title.as_slice())),
        "Name of the network namespace that the other end is in, or its inode number if it has none; the text shows \
         it if it differs from the socket's.",
        "/run/netns, /proc/PID/ns/net",
    )
    .needs(Needs::PEERS)
    .group(Groups::PEERS)
    .tokens("peer-netns")
    .text(Text::PartOf("peer.processes")),
    Field::new(
        "peer.claimed_by_uid",
        plain!(|r| peer(r)?.claimed_by),
        "User who could have faked the other end: one of the two ends is in a network namespace owned by this \
         user's user namespace, where the user can assign any address.",
        "NS_GET_USERNS, NS_GET_OWNER_UID",
    )
    .needs(Needs::PEERS)
    .group(Groups::PEERS)
    .text(Text::PartOf("peer.processes")),
    Field::new(
        "peer.candidates",
        plain!(|r| Some(peer(r)?.candidates)),
        "Sockets of this machine that may be the other end; if there are several, none is chosen.",
        "swapped addresses and ports",
    )
    .gauge(Unit::Count)
    .needs(Needs::PEERS)
    .group(Groups::PEERS)
    .text(Text::PartOf("peer.processes")),
];

/// Appends ` peer:(("NAME",pid=P,fd=F),...)`, and the namespace if it differs from the
/// socket's.
fn fmt_peer(out: &mut Vec<u8>, row: &Row<'_>, style: Style) {
    let Some(peer) = peer(row) else { return };
    put_holders(out, row, b" peer:(", peer.inode, style);
    if let Some(netns) = peer.netns.filter(|netns| Some(netns.inode) != row.names.netns.map(|own| own.inode))
    {
        out.extend_from_slice(b" peer-netns:");
        put_word(out, &netns.title);
        if let Some(uid) = peer.claimed_by {
            out.extend_from_slice(b"(uid ");
            put_u64(out, uid.into());
            out.push(b')');
        }
    }
}

fn workload<'a>(row: &Row<'a>) -> Option<&'a Workload> {
    row.names.workload
}

/// A name with its mark.
fn named(name: Option<&Named>) -> Option<&[u8]> {
    name.map(Named::whole)
}

/// A field that is derived from the path of a cgroup.
const fn told(name: &'static str, read: Read, doc: &'static str, source: &'static str, text: Text) -> Field {
    Field::new(name, read, doc, source)
        .needs(Needs::WORKLOADS.union(Needs::CGROUPS).union(Needs::PROCESSES))
        .group(Groups::CONTAINERS)
        .text(text)
}

const CONTAINER: Text = Text::PartOf("container.title");
const POD: Text = Text::PartOf("pod.title");

/// Fields of `--containers`.
pub(super) const CONTAINERS: &[Field] = &[
    told(
        "container.title",
        text!(|r| named(workload(r)?.titles.container.as_ref())),
        "Container that the socket was created in, or that its process is in: its name, or the first digits of its \
         ID if no name is known. A name, ID, pod, unit or slice that was chosen by a user, or in another container, \
         is labelled: web(uid 1000).",
        "state files of the runtime, cgroup path",
        Text::Custom(|out, r, _| put_token(out, b" container:", r, |titles| titles.container.as_ref())),
    )
    .shape("container:NAME"),
    told(
        "container.name",
        text!(|r| named(workload(r)?.container_name.as_ref())),
        "Name of the container.",
        "state files of the runtime",
        CONTAINER,
    ),
    told(
        "container.id",
        text!(|r| named(workload(r)?.container_id.as_ref())),
        "ID of the container; its name if the runtime has no other ID.",
        "cgroup path",
        CONTAINER,
    ),
    told(
        "container.runtime",
        text!(|r| workload(r)?.runtime.map(str::as_bytes)),
        "Runtime of the container: docker, podman, containerd, cri-o, lxc, nspawn, libvirt, or machine if only \
         systemd-machined(8) knows it. For a user's container, only what that user's files state.",
        "cgroup path",
        Text::Silent,
    ),
    told(
        "pod.title",
        text!(|r| named(workload(r)?.titles.pod.as_ref())),
        "Kubernetes pod: its namespace and name, or its UID if no name is known.",
        "annotations in the container's config.json, cgroup path",
        Text::Custom(|out, r, _| put_token(out, b" pod:", r, |titles| titles.pod.as_ref())),
    )
    .shape("pod:NAMESPACE/NAME"),
    told(
        "pod.name",
        text!(|r| named(workload(r)?.pod_name.as_ref())),
        "Name of the Kubernetes pod.",
        "annotations in the container's config.json",
        POD,
    ),
    told(
        "pod.namespace",
        text!(|r| named(workload(r)?.pod_namespace.as_ref())),
        "Kubernetes namespace of the pod.",
        "annotations in the container's config.json",
        POD,
    ),
    told(
        "pod.uid",
        text!(|r| named(workload(r)?.pod_uid.as_ref())),
        "UID of the Kubernetes pod, or ID of the Podman pod.",
        "cgroup path",
        POD,
    ),
    told(
        "pod.qos",
        word!(QOS_CLASSES, |r| workload(r)?.pod_qos),
        "Quality of service (QoS) class of the pod.",
        "cgroup path",
        Text::Silent,
    ),
    told(
        "unit.title",
        text!(|r| named(workload(r)?.titles.unit.as_ref())),
        "Innermost systemd unit (service, scope or socket) that the socket or its process belongs to; absent if the \
         unit is the container and is named by its ID. A unit of a user's manager, or in a container, is labelled: \
         sshd.service(uid 1000).",
        "cgroup path",
        Text::Custom(|out, r, _| put_token(out, b" unit:", r, |titles| titles.unit.as_ref())),
    )
    .shape("unit:NAME"),
    told(
        "unit.name",
        text!(|r| named(workload(r)?.unit.as_ref())),
        "Innermost systemd unit, including that of a container.",
        "cgroup path",
        Text::PartOf("unit.title"),
    ),
    told(
        "unit.slice",
        text!(|r| named(workload(r)?.slice.as_ref())),
        "Innermost systemd slice.",
        "cgroup path",
        Text::Silent,
    ),
    told(
        "unit.session",
        text!(|r| workload(r)?.session.as_deref()),
        "ID of the login session.",
        "cgroup path",
        Text::Silent,
    ),
    told(
        "unit.owner_uid",
        plain!(|r| workload(r)?.owner_uid),
        "User who owns the login session, the service manager or the delegated cgroup.",
        "cgroup path",
        Text::Silent,
    )
    .spelled(&Spelling::User),
    told(
        "unit.cgroup",
        text!(|r| workload(r).map(|work| work.cgroup.as_slice())),
        "Path of the cgroup from which container and unit were derived.",
        "INET_DIAG_CGROUP_ID, else /proc/PID/cgroup of the newest process",
        Text::Silent,
    ),
];

/// Appends a name and its mark.  The mark has only safe characters.
fn put_token(out: &mut Vec<u8>, words: &[u8], row: &Row<'_>, title: fn(&Titles) -> Option<&Named>) {
    let value = workload(row).and_then(|work| title(&work.titles));
    if let Some(value) = value {
        out.extend_from_slice(words);
        put_word(out, value.name());
        out.extend_from_slice(value.mark());
    }
}

/// Appends a name as one word of text.
fn put_word(out: &mut Vec<u8>, name: &[u8]) {
    out.extend(name.iter().map(|byte| match byte {
        0..=0x20 | 0x7f => b'.',
        0x80.. => b'?',
        _ => *byte,
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Holder, HolderCache, Netns, Origin, Record, Socket, SourceKind, Table};

    struct Book;

    impl HolderCache for Book {
        fn holders(&self, inode: u32, take: &mut dyn FnMut(Holder<'_>)) {
            if inode == 7 {
                take(Holder { name: b"x\"y", pid: 5, tid: 5, fd: 3 });
            }
        }
    }

    fn shown(look: impl FnOnce(&Socket<'_>) -> Vec<u8>) -> String {
        const LINE: &[u8] =
            b"   0: 0100007F:0016 0200007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 621";
        let origin = Origin::of(Table::Tcp, SourceKind::Proc);
        let socket = Socket::decode(Record { origin, bytes: LINE }).expect("a whole line");
        String::from_utf8(look(&socket)).expect("ASCII")
    }

    fn peer_text(own: Option<&Netns>, netns: Option<&Netns>, inode: u32) -> String {
        shown(|socket| {
            let (mut row, mut out) = (Row::bare(socket), Vec::new());
            fmt_peer(&mut out, &row, Style::default());
            assert!(out.is_empty(), "nothing was looked up");
            row.names.holders = Some(&Book);
            row.names.netns = own;
            row.names.peer = Some(Peer { inode, netns, candidates: 1, claimed_by: None });
            fmt_peer(&mut out, &row, Style::default());
            out
        })
    }

    #[test]
    fn a_peer_is_named_with_its_namespace_if_that_is_another() {
        let one = Netns::new(1, None, None);
        let two = Netns::new(2, Some(b"b ns\n".to_vec()), None);
        assert_eq!(peer_text(None, None, 7), " peer:((\"x\\\"y\",pid=5,fd=3))");
        assert_eq!(peer_text(Some(&one), Some(&one), 7), " peer:((\"x\\\"y\",pid=5,fd=3))");
        assert_eq!(peer_text(Some(&one), Some(&two), 7), " peer:((\"x\\\"y\",pid=5,fd=3)) peer-netns:b.ns.");
        assert_eq!(peer_text(Some(&two), Some(&one), 8), " peer-netns:1");
        assert_eq!(peer_text(None, None, 0), "");
    }

    #[test]
    fn containers_and_pods_have_the_best_name_there_is() {
        let text = |work: &Workload| {
            let mut work = work.clone();
            work.entitle();
            shown(|socket| {
                let (mut row, mut out) = (Row::bare(socket), Vec::new());
                row.names.workload = Some(&work);
                for field in CONTAINERS {
                    if let Text::Custom(format) = field.ss.text {
                        format(&mut out, &row, Style::default());
                    }
                }
                out
            })
        };
        let named = |name: &[u8]| Some(Named::from(name));
        let id = [b'a'; 64];
        let mut work = Workload { container_id: named(&id), ..Workload::default() };
        assert_eq!(text(&work), " container:aaaaaaaaaaaa");
        work.pod_uid = named(b"u-1");
        assert_eq!(text(&work), " container:aaaaaaaaaaaa pod:u-1");
        work.container_name = named(b"we b\xff");
        work.pod_name = named(b"p");
        assert_eq!(text(&work), " container:we.b? pod:p");
        work.pod_namespace = named(b"ns");
        assert_eq!(text(&work), " container:we.b? pod:ns/p");
        assert_eq!(text(&Workload::default()), "");
        let unit = [b"docker-", &id[..], b".scope"].concat();
        work.unit = named(&unit);
        assert_eq!(text(&work), " container:we.b? pod:ns/p", "the unit would say the same");
        work.unit = named(b"ssh.service");
        assert_eq!(text(&work), " container:we.b? pod:ns/p unit:ssh.service");
        let name = Workload { container_id: named(b"machine"), ..Workload::default() };
        assert_eq!(text(&name), " container:machine");
        // Names that a user chose.
        let his = |name: &[u8]| Some(Named::new(name, b"(uid 7)"));
        let work = Workload {
            container_id: his(&id),
            pod_namespace: his(b"n s"),
            pod_name: his(b"p"),
            unit: his(b"a b.service"),
            ..Workload::default()
        };
        let want = " container:aaaaaaaaaaaa(uid 7) pod:n.s/p(uid 7) unit:a.b.service(uid 7)";
        assert_eq!(text(&work), want);
        assert_eq!(
            text(&Workload { unit: his(&unit), ..work }),
            " container:aaaaaaaaaaaa(uid 7) pod:n.s/p(uid 7)"
        );
    }

    #[test]
    fn another_end_by_somebody_s_word_alone_is_marked_and_no_value() {
        let netns = Netns::new(2, None, None);
        shown(|socket| {
            let (mut row, mut out) = (Row::bare(socket), Vec::new());
            row.names.holders = Some(&Book);
            row.names.peer =
                Some(Peer { inode: 7, netns: Some(&netns), candidates: 1, claimed_by: Some(5555) });
            fmt_peer(&mut out, &row, Style::default());
            assert!(out.ends_with(b",fd=3)) peer-netns:2(uid 5555)"), "{}", out.escape_ascii());
            for (name, is_there) in [
                ("peer.processes", false),
                ("peer.inode", false),
                ("peer.claimed_by_uid", true),
                ("peer.netns_inode", true),
                ("peer.candidates", true),
            ] {
                let field = PEERS.iter().find(|field| field.name == name).expect("a field");
                assert_eq!((field.get)(&row).is_some(), is_there, "{name}");
            }
            Vec::new()
        });
    }
}
