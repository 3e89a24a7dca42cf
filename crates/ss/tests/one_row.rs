//! One fact, one row: a field is its accessor and its row in the table.
//!
//! Taking a row out of the table takes its token and its filter operand away
//! and changes nothing else, and no other source file knows its name.

use std::path::Path;

use sockdiag::fields::{Catalog, Groups, Style, Text};
use sockdiag::filter::{self, Context, Lookups, Transport};
use sockdiag::model::{Addr, Family, Names, Origin, Record, Row, Socket, SourceKind, Table, TableSet};
use sockdiag::pipeline::Sink as _;
use sockdiag_render::ss::{Look, SsText};
use sockdiag_testkit::recording::{self, Msg, attr};

/// Everything is shown.
const ALL: Groups = Groups::OPTIONS
    .and(Groups::EXTENDED)
    .and(Groups::TOS)
    .and(Groups::CGROUP)
    .and(Groups::SOCKOPT)
    .and(Groups::MEMORY)
    .and(Groups::INFO);

/// What `catalog` prints of a recording's sockets, on one line each.
fn printed(catalog: &Catalog, bytes: &[u8], kind: SourceKind) -> String {
    let style = Style { numeric: true, oneline: true, groups: ALL };
    let look = Look { style, no_header: true, netid: true, state: true, ..Look::default() };
    let mut out = Vec::new();
    let mut sink = SsText::new(catalog, look, &mut out).expect("writing to memory");
    let mut show = |record| {
        let socket = Socket::decode(record).expect("whole messages");
        let names = Names { cgroup: Some(b"/path"), interface: Some(b"lo"), ..Names::default() };
        sink.row(&Row { socket: &socket, names }).expect("writing to memory");
    };
    let origin = Origin { table: Table::Tcp, kind };
    match kind {
        SourceKind::Proc => bytes.split(|b| *b == b'\n').for_each(|bytes| show(Record { origin, bytes })),
        _ => recording::messages(bytes).into_iter().for_each(|range| {
            if let Some(bytes) = bytes.get(range.start + 16..range.end).filter(|bytes| bytes.len() >= 72) {
                show(Record { origin, bytes });
            }
        }),
    }
    sink.finish().expect("writing to memory");
    drop(sink);
    String::from_utf8_lossy(&out).into_owned()
}

/// Sockets in which every field that is printed occurs.
fn corpus() -> (Vec<u8>, &'static [u8]) {
    let mut bytes = recording::random(&mut fastrand::Rng::with_seed(1), 500);
    bytes = recording::retype(&bytes, attr::PROTOCOL, 200);
    let line =
        b"   1: 0100007F:07E8 0200007F:C350 01 00000005:00000007 01:00000014 00000003  1000        9 622 1 \
                 00000000f9d8e10f 20 4 13 10 7 and more";
    (bytes, line)
}

#[test]
fn without_its_row_a_field_prints_nothing() {
    let (bytes, line) = corpus();
    let whole = Catalog::standard();
    let (sockets, text) =
        (printed(&whole, &bytes, SourceKind::Kernel), printed(&whole, line, SourceKind::Proc));
    let mut tokens = 0;
    for field in whole.fields() {
        let rest = Catalog::standard().without(field.name);
        assert!(rest.field(field.name).is_none());
        let less = (printed(&rest, &bytes, SourceKind::Kernel), printed(&rest, line, SourceKind::Proc));
        let shown = !matches!(field.text, Text::Silent | Text::PartOf(_));
        assert_eq!(less != (sockets.clone(), text.clone()), shown, "{} without its row", field.name);
        tokens += usize::from(shown);
    }
    assert!(tokens > 80, "only {tokens} fields print something");
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
    let bytes = message.to_bytes();
    let whole = printed(&Catalog::standard(), &bytes, SourceKind::Kernel);
    for (name, token) in
        [("tcp.rcv_ooopack", " rcv_ooopack:7"), ("socket.mark", " fwmark:0x5"), ("ip.tos", " tos:0x10")]
    {
        let less = printed(&Catalog::standard().without(name), &bytes, SourceKind::Kernel);
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
    fn cgroup(&mut self, _: &[u8]) -> Result<u64, String> {
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
    for name in ["wire", "sockdiag", "render", "ss"] {
        look_for("rcv_ooopack", &crates.join(name).join("src"), &mut knowing);
    }
    knowing.sort();
    let knowing: Vec<_> = knowing.iter().map(|path| path.strip_prefix(crates).expect("below it")).collect();
    assert_eq!(
        knowing,
        [Path::new("sockdiag/src/fields/tcp/loss.rs"), Path::new("wire/src/tcp_info.rs")],
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
