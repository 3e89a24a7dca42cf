//! One fact, one row: a field is its accessor and its row in the table.
//!
//! Taking a row out of the table takes its token and its filter operand away
//! and changes nothing else, and no other source file knows its name.

#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

use std::path::Path;

use sockdiag::Sink as _;
use sockdiag::fields::{Catalog, Groups, Style, Text};
use sockdiag::filter::{self, CgroupError, Context, Lookups, Transport};
use sockdiag::model::{
    Addr, Family, Holder, HolderCache, Names, Netns, Origin, Peer, Record, Row, Socket, SourceKind, Table,
    TableSet, Workload,
};
use sockdiag_render::ss::{Look, SsText};
use sockdiag_testkit::recording::{self, Msg, attr};
use sockdiag_testkit::replies;

/// Everything is shown.
const ALL: Groups = Groups::OPTIONS
    .union(Groups::EXTENDED)
    .union(Groups::TOS)
    .union(Groups::CGROUP)
    .union(Groups::SOCKOPT)
    .union(Groups::MEMORY)
    .union(Groups::INFO)
    .union(Groups::TIPCINFO)
    .union(Groups::BPF)
    .union(Groups::PROCESSES)
    .union(Groups::NETNS)
    .union(Groups::PEERS)
    .union(Groups::CONTAINERS)
    .union(Groups::EXPOSURE)
    .union(Groups::CONTEXT)
    .union(Groups::SOCKET_CONTEXT)
    .union(Groups::BPF_MAPS);

/// A process holds every socket.
struct Held;

impl HolderCache for Held {
    fn holders(&self, _: u32, take: &mut dyn FnMut(Holder<'_>)) {
        take(Holder { name: b"holder", pid: 7, tid: 7, fd: 3 });
    }
}

/// Sockets of one table.
struct Sample {
    origin: Origin,
    /// A recording, or lines of /proc text.
    bytes: Vec<u8>,
}

/// What `catalog` prints of a sample's sockets, on one line each.
fn printed(catalog: &Catalog, Sample { origin, bytes }: &Sample) -> String {
    let style = Style { numeric: true, oneline: true, groups: ALL };
    let look = Look {
        style,
        no_header: true,
        netns: true,
        netid: true,
        state: true,
        processes: true,
        ..Look::default()
    };
    let netns = Netns::new(4_026_531_840, None, None);
    let workload = Workload {
        container_name: Some(b"web"[..].into()),
        pod_name: Some(b"front"[..].into()),
        unit: Some(b"web.service"[..].into()),
        ..Workload::default()
    };
    let mut out = Vec::new();
    let mut sink = SsText::new(catalog, look, &mut out).expect("writing to memory");
    let mut show = |record| {
        // The end of a recording is no socket.
        let Some(socket) = Socket::decode(record) else { return };
        let names = Names {
            cgroup: Some(b"/path"),
            interface: Some(b"lo"),
            holders: Some(&Held),
            netns: Some(&netns),
            peer: Some(Peer { inode: 9, netns: None, candidates: 1, claimed_by: None }),
            workload: Some(&workload),
            ..Names::default()
        };
        assert!(sink.row(&Row { names, ..Row::bare(&socket) }).expect("writing to memory").is_continue());
    };
    let origin = *origin;
    match origin.kind {
        SourceKind::Proc => bytes.split(|b| *b == b'\n').for_each(|bytes| show(Record { origin, bytes })),
        _ => recording::messages(bytes).into_iter().for_each(|range| {
            if let Some(bytes) = bytes.get(range.start + 16..range.end) {
                show(Record { origin, bytes });
            }
        }),
    }
    sink.flush().expect("writing to memory");
    drop(sink);
    String::from_utf8_lossy(&out).into_owned()
}

/// A unix socket that reports everything.
fn unix() -> Vec<u8> {
    let attrs = [
        replies::attr(0, b"\0abs"),
        replies::attr(1, &replies::words(&[777, 1])),
        replies::attr(2, &replies::words(&[5])),
        replies::attr(3, &replies::words(&[6])),
        replies::attr(4, &replies::words(&[1, 2])),
        replies::attr(5, &replies::words(&[1, 2, 3, 4, 5, 6, 7, 8, 9])),
        replies::attr(6, &[1]),
    ];
    let fixed = replies::words(&[u32::from_ne_bytes([1, 1, 10, 0]), 4, 7, 0]);
    replies::socket(&[fixed, attrs.concat()].concat())
}

/// Sockets in which every field that is printed occurs.
fn corpus() -> Vec<Sample> {
    let sample = |table, kind, bytes| Sample { origin: Origin::of(table, kind), bytes };
    let random = |seed, rows| recording::random(&mut fastrand::Rng::with_seed(seed), rows);
    let line =
        b"   1: 0100007F:07E8 0200007F:C350 01 00000005:00000007 01:00000014 00000003  1000        9 622 1 \
                 00000000f9d8e10f 20 4 13 10 7 and more";
    // Whole structures whose members are none of them zero.
    let addresses = [2; 128];
    let sctp =
        Msg::v4().with(attr::INFO, [3; 368]).with(attr::LOCALS, addresses).with(attr::PEERS, addresses);
    let sctp = sctp.to_bytes();
    let plain = |bytes: Vec<u8>| recording::retype(&bytes, attr::PROTOCOL, 200);
    vec![
        sample(Table::Tcp, SourceKind::Kernel, plain(random(1, 500))),
        sample(Table::Tcp, SourceKind::Proc, line.to_vec()),
        sample(Table::Sctp, SourceKind::Kernel, sctp),
        sample(Table::Mptcp, SourceKind::Kernel, Msg::v4().with(attr::INFO, [3; 96]).to_bytes()),
        sample(Table::UnixStream, SourceKind::Kernel, unix()),
        sample(Table::VsockStream, SourceKind::Kernel, replies::vsocks()),
        sample(Table::Tipc, SourceKind::Kernel, replies::tipcs()),
        sample(Table::Xdp, SourceKind::Kernel, replies::xdps()),
        sample(Table::Smc, SourceKind::Kernel, replies::smcs()),
        sample(Table::PacketRaw, SourceKind::Kernel, replies::netpkt::packets()),
        sample(Table::Netlink, SourceKind::Kernel, replies::netpkt::netlinks()),
    ]
}

#[test]
fn without_its_row_a_field_prints_nothing() {
    let corpus = corpus();
    let print =
        |catalog: &Catalog| -> Vec<String> { corpus.iter().map(|sample| printed(catalog, sample)).collect() };
    let whole = Catalog::standard();
    let text = print(&whole);
    let mut tokens = 0;
    for field in whole.fields() {
        let rest = Catalog::standard().without(field.name);
        assert!(rest.field(field.name).is_none());
        // A row that tables share may be shown of some of them only.
        let mut of_its_name = whole.fields().filter(|other| other.name == field.name);
        let shown = of_its_name.any(|other| !matches!(other.ss.text, Text::Silent | Text::PartOf(_)));
        assert_eq!(print(&rest) != text, shown, "{} without its row", field.name);
        tokens += usize::from(shown);
    }
    assert!(tokens > 120, "only {tokens} fields print something");
}

#[test]
fn a_row_owns_its_token_and_no_other() {
    let info = {
        let mut info = vec![0_u8; 280];
        info[224..228].copy_from_slice(&7_u32.to_ne_bytes()); // rcv_ooopack
        info[228..232].copy_from_slice(&9_u32.to_ne_bytes()); // snd_wnd
        info
    };
    let message =
        Msg::v4().with(attr::INFO, info).with(attr::MARK, 5_u32.to_ne_bytes()).with(attr::TOS, [16]);
    let origin = Origin::of(Table::Tcp, SourceKind::Kernel);
    let sample = Sample { origin, bytes: message.to_bytes() };
    let whole = printed(&Catalog::standard(), &sample);
    for (name, token) in
        [("tcp.rcv_ooopack", " rcv_ooopack:7"), ("socket.mark", " fwmark:0x5"), ("ip.tos", " tos:0x10")]
    {
        let less = printed(&Catalog::standard().without(name), &sample);
        assert!(whole.contains(token), "{whole}");
        assert_eq!(less, whole.replacen(token, "", 1), "{name}");
    }
}

struct Nobody;

impl Lookups for Nobody {
    fn service(&mut self, _: &[u8], _: Transport) -> Option<u16> {
        None
    }
    fn rpc_service(&mut self, _: &[u8]) -> Option<u16> {
        None
    }
    fn hosts(&mut self, _: &[u8], _: Option<Family>) -> Vec<Addr> {
        Vec::new()
    }
    fn interface(&mut self, _: &[u8]) -> Option<u32> {
        Some(1)
    }
    fn cgroup(&mut self, _: &[u8]) -> Result<u64, CgroupError> {
        Ok(1)
    }
    fn cgroup_condition_supported(&mut self) -> bool {
        true
    }
}

fn is_read(catalog: &Catalog, filter: &str) -> bool {
    let context =
        Context { catalog, preferred: None, tables: TableSet::only(Table::Tcp), lookups: &mut Nobody };
    filter::parse(&[filter.as_bytes()], None, context).is_ok_and(|parsed| parsed.expr.is_some())
}

#[test]
fn without_its_row_a_field_cannot_be_tested() {
    let whole = Catalog::standard();
    let mut tried = 0;
    for field in whole.fields() {
        let rest = Catalog::standard().without(field.name);
        let by_name = format!("{} = 1", field.name);
        if is_read(&whole, &by_name) {
            assert!(!is_read(&rest, &by_name), "{by_name}");
            tried += 1;
        }
        if let Some((keyword, _)) = field.operand {
            let by_keyword = if keyword == "autobound" { keyword.to_owned() } else { format!("{keyword} 1") };
            assert!(is_read(&whole, &by_keyword), "{by_keyword}");
            // What is no keyword any more is a value, and "1 1" is no filter.
            assert!(!is_read(&rest, &by_keyword), "{by_keyword}");
            tried += 1;
        }
    }
    assert!(tried > 100, "only {tried} operands");
}

/// The file that says what a field is and the one that reads it off the wire.
#[test]
fn nothing_else_knows_a_field() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crates' directory");
    let mut knowing = Vec::new();
    for name in ["wire", "facts", "sockdiag", "render", "ss"] {
        look_for("rcv_ooopack", &crates.join(name).join("src"), &mut knowing);
    }
    knowing.sort();
    let knowing: Vec<_> = knowing.iter().map(|path| path.strip_prefix(crates).expect("below it")).collect();
    assert_eq!(
        knowing,
        [Path::new("facts/src/fields/tcp/loss.rs"), Path::new("wire/src/tcp_info.rs")],
        "the files that know rcv_ooopack"
    );
}

fn look_for(word: &str, directory: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("our own sources") {
        let path = entry.expect("our own sources").path();
        if path.is_dir() {
            look_for(word, &path, found);
        } else if std::fs::read_to_string(&path).is_ok_and(|text| text.contains(word)) {
            found.push(path);
        }
    }
}
