//! One fact, one row: a field consists of its accessor and its row in the table.
//!
//! Removing a row from the table removes its token and its filter operand and changes nothing
//! else, and no other source file contains its name.

#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

use std::path::Path;

use sockdiag::Sink as _;
use sockdiag::fields::{Catalog, Groups, NameError, Named, Operand, Style, Text};
use sockdiag::filter::{self, CgroupError, Context, Lookups, Transport};
use sockdiag::model::{
    Addr, Family, Holder, HolderCache, Names, Netns, Origin, Peer, Record, Row, Socket, SourceKind, Table,
    TableSet, Workload,
};
use sockdiag_render::ss::{Look, SsText};
use sockdiag_testkit::recording::{self, Msg, attr};
use sockdiag_testkit::replies;

/// All groups of fields.
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

/// Reports one process as the holder of every socket.
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

/// The text that `catalog` prints for a sample's sockets, one line each.
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
    let mut workload = Workload {
        container_name: Some(b"web"[..].into()),
        pod_name: Some(b"front"[..].into()),
        unit: Some(b"web.service"[..].into()),
        ..Workload::default()
    };
    workload.entitle();
    let elsewhere = Netns::new(7, Some(b"elsewhere".to_vec()), None);
    let mut out = Vec::new();
    let mut sink = SsText::new(catalog, look, Box::new(&mut out)).expect("writing to memory");
    let mut show = |record| {
        // The end of a recording is not a socket.
        let Some(socket) = Socket::decode(record) else { return };
        let names = Names {
            cgroup: Some(b"/path"),
            interface: Some(b"lo"),
            holders: Some(&Held),
            netns: Some(&netns),
            peer: Some(Peer { inode: 9, netns: Some(&elsewhere), candidates: 1, claimed_by: None }),
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

/// Sockets in which every printed field occurs.
fn corpus() -> Vec<Sample> {
    let sample = |table, kind, bytes| Sample { origin: Origin::of(table, kind), bytes };
    let random = |seed, rows| recording::random(&mut fastrand::Rng::with_seed(seed), rows);
    let line =
        b"   1: 0100007F:07E8 0200007F:C350 01 00000005:00000007 01:00000014 00000003  1000        9 622 1 \
                 00000000f9d8e10f 20 4 13 10 7 and more";
    // Complete structs in which no member is zero.
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
        // A row that several tables share may be printed for only some of them.
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

/// The tokens with which a text shows values: `rtt:`, `sk=`, `umem(`, `send 8bps`, the letters
/// of `skmem:(r0,rb9)`, and `alone`, words without a value.
fn tokens(text: &str, alone: &[&str]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut take = |name: &str| {
        if !name.is_empty() && !found.iter().any(|known| known == name) {
            found.push(name.to_owned());
        }
    };
    // Names of several words count as one.
    let mut text = text.to_owned();
    for name in
        ["rx dropped", "rx invalid", "rx queue full", "rx fill ring empty", "tx invalid", "tx ring empty"]
    {
        text = text.replace(name, &name.replace(' ', "_"));
    }
    // Quoted text is a process's name.
    let text: String = text.split('"').step_by(2).collect::<Vec<_>>().join("");
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
    let words: Vec<&str> = text.split_whitespace().collect();
    for (at, word) in words.iter().enumerate() {
        let next = words.get(at + 1).copied().unwrap_or_default();
        let is_name = word.starts_with(|c: char| c.is_ascii_lowercase()) && word.chars().all(is_letter);
        if alone.contains(word) || is_name && (next.ends_with("bps") || next == "{") {
            take(word);
        }
        if word.starts_with("tcp-ulp-") {
            take("tcp-ulp");
        }
        let memory = word.strip_prefix("skmem:(").or_else(|| word.strip_prefix("mem:("));
        for part in memory.unwrap_or_default().split(',') {
            take(part.trim_end_matches(')').trim_end_matches(|c: char| c.is_ascii_digit()));
        }
        let mut rest = *word;
        while let Some(end) = rest.find(|c: char| !is_letter(c)) {
            let (name, behind) = rest.split_at(end);
            // Addresses have hexadecimal digits before their colons.
            let is_hex = name.chars().all(|c| c.is_ascii_hexdigit());
            let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
            if starts && !is_hex && behind.starts_with([':', '(', '=']) {
                take(name);
            }
            // The next name begins after a bracket or a comma.
            let Some(next) = behind.find(['(', ',']) else { break };
            rest = behind[next..].trim_start_matches(['(', ',']);
        }
    }
    found
}

/// Values that look like names: of an unnamed cipher, and of an interface.
const VALUES: [&str; 2] = ["unknown", "lo"];

#[test]
fn every_token_names_the_field_that_prints_it() {
    let whole = Catalog::standard();
    let alone = whole.fields().filter_map(|field| match field.ss.text {
        Text::Word(word) => Some(word),
        _ => None,
    });
    let alone: Vec<&str> = alone.collect();
    let (mut resolved, mut refused, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
    for sample in corpus().into_iter().chain([listener()]) {
        let text = printed(&whole, &sample);
        let tables = TableSet::only(sample.origin.table);
        let count = |text: &str, token: &str| {
            // A token of several words has blanks in the text.
            let spaced = token.replace('_', " ");
            let token =
                if token.contains('_') && text.contains(&format!("{spaced}:")) { &*spaced } else { token };
            let is_part = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
            let hits = text.match_indices(token);
            // In memory reports, the letter is followed directly by the amount.
            let ends = |rest: &str| {
                rest.starts_with('-')
                    || !rest.starts_with(is_part)
                    || token.len() <= 2 && rest.starts_with(|c: char| c.is_ascii_digit())
            };
            hits.filter(|(at, _)| !text[..*at].ends_with(is_part) && ends(&text[at + token.len()..])).count()
        };
        for token in tokens(&text, &alone) {
            // Whether removing the field, or the one whose token contains it, removes the
            // word.
            let prints = |name: &str| {
                let rows = whole.fields().filter(|field| field.name == name);
                let mut printers = rows.filter_map(|field| match field.ss.text {
                    Text::PartOf(owner) => Some(owner),
                    Text::Silent => None,
                    _ => Some(name),
                });
                printers.any(|printer| {
                    let without = printed(&Catalog::standard().without(printer), &sample);
                    count(&without, &token) < count(&text, &token)
                })
            };
            let in_another = |named: &Named| {
                let rows = whole.descriptions().iter();
                let rows = rows.filter(|rows| rows.message_kind == sample.origin.table.message_kind());
                let mut rows = rows.flat_map(|rows| &rows.parts).flat_map(|part| &part.fields);
                let is_silent =
                    rows.any(|row| row.name == named.field.name && matches!(row.ss.text, Text::Silent));
                // Details of netlink and TIPC are in the Process column, printed by one row
                // for all of them.
                is_silent && matches!(sample.origin.table, Table::Netlink | Table::Tipc)
                // The other end is printed like this one: `peer:((...,pid=7))`.
                || named.field.name.starts_with("socket.") && matches!(&*token, "pid" | "fd" | "sock_ctx" | "proc_ctx")
                // Tokens from netlink and from /proc text have the same names.
                || sample.origin.kind == SourceKind::Proc
            };
            if VALUES.contains(&&*token) {
                continue;
            }
            match whole.named_of(&token, tables) {
                Ok(named) if prints(named.field.name) || in_another(&named) => resolved.push(token),
                // A column has the same name, and takes precedence.
                Ok(named) if named.field.heads_a_column() && token == "state" => {}
                Err(NameError::Ambiguous { fields, .. }) if fields.iter().any(|name| prints(name)) => {
                    refused.push(format!("{token} of {:?}", sample.origin.table));
                }
                other => wrong.push(format!("{token} of {:?}: {other:?}", sample.origin.table)),
            }
        }
    }
    assert!(wrong.is_empty(), "these name no field that prints them:\n{wrong:#?}");
    assert!(resolved.len() > 200, "{} tokens", resolved.len());
    assert!(refused.len() < 30, "{refused:#?}");
    for token in [
        "minrtt",
        "backlog",
        "drops",
        "accepts",
        "scope",
        "sk",
        "uid",
        "peer-netns",
        "container",
        "rb",
        "users",
        "pid",
    ] {
        assert!(resolved.iter().any(|known| known == token), "{token} was never printed");
    }
}

/// A listener with a full queue that has dropped connections.
fn listener() -> Sample {
    let mut msg = Msg::v4();
    (msg.state, msg.sport, msg.rqueue, msg.wqueue) = (10, 80, 3, 2);
    let bytes = msg.with(attr::SKMEMINFO, replies::words(&[1, 2, 3, 4, 5, 6, 7, 8, 9])).to_bytes();
    Sample { origin: Origin::of(Table::Tcp, SourceKind::Kernel), bytes }
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
        if let Some(keyword) = field.operand.map(Operand::keyword) {
            let by_keyword = if keyword == "autobound" { keyword.to_owned() } else { format!("{keyword} 1") };
            assert!(is_read(&whole, &by_keyword), "{by_keyword}");
            // A removed keyword is parsed as a value, and "1 1" is not a filter.
            assert!(!is_read(&rest, &by_keyword), "{by_keyword}");
            tried += 1;
        }
    }
    assert!(tried > 100, "only {tried} operands");
}

/// Only two files may know a field: the one that defines it and the one that reads it from the
/// message.  The walk, which builds messages in the kernel's place, uses the kernel's names
/// for members.  Counters that are kept between looks have rows in the table of counters; this
/// field is not one of them.
#[test]
fn nothing_else_knows_a_field() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crates' directory");
    let mut knowing = Vec::new();
    for name in ["wire", "facts", "sockdiag", "render", "ss"] {
        look_for("rcv_ssthresh", &crates.join(name).join("src"), &mut knowing);
    }
    knowing.sort();
    let knowing = knowing.iter().map(|path| path.strip_prefix(crates).expect("below it"));
    let knowing: Vec<_> = knowing.filter(|path| !path.starts_with("sockdiag/src/source/walk")).collect();
    assert_eq!(
        knowing,
        [Path::new("facts/src/fields/tcp/loss.rs"), Path::new("wire/src/tcp_info.rs")],
        "the files that know rcv_ssthresh"
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
