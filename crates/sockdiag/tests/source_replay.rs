//! `TCPDIAG_FILE` and `-D`: recordings, whole, damaged, and compared with the
//! reference, which reads the same files.

use std::ffi::OsString;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;

use sockdiag::model::{FamilySet, Record, Socket, StateSet, Table};
use sockdiag::notice::Notice;
use sockdiag::source::{DumpError, DumpErrorKind, LONGEST_MESSAGE, Query, Sources, deficit, dump, record};
use sockdiag_testkit::recording::{self, Msg};
use sockdiag_testkit::reference::Reference;
use sockdiag_testkit::skip;

/// A file of this test's own, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("sockdiag-{}-{name}", std::process::id())))
    }

    fn sources(&self) -> Sources {
        Sources { tcpdiag_file: Some(self.0.clone().into()), ..Sources::default() }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Records, standard error as the reference words it, and how it ended.
fn replay(sources: &Sources) -> (Vec<Vec<u8>>, String, Result<(), DumpError>) {
    let (mut rows, mut said) = (Vec::new(), String::new());
    let mut visit = |record: Record<'_>| {
        rows.push(record.bytes.to_vec());
        ControlFlow::Continue(())
    };
    let result =
        dump(&Query::of(Table::Tcp), sources, &mut visit, &mut |notice| said.push_str(&notice.to_string()));
    (rows, said, result)
}

/// A message of any type and claimed length.
fn raw(kind: u16, payload: &[u8], claimed: Option<u32>) -> Vec<u8> {
    let len = claimed.unwrap_or(16 + payload.len() as u32);
    let mut out = len.to_ne_bytes().to_vec();
    out.extend(kind.to_ne_bytes());
    out.extend([2, 0]);
    out.extend(123_456_u32.to_ne_bytes());
    out.extend(77_u32.to_ne_bytes());
    out.extend(payload);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

fn body(msg: &Msg) -> Vec<u8> {
    msg.to_bytes().get(16..).unwrap_or_default().to_vec()
}

/// (name, recording, rows that ours delivers)
fn cases() -> Vec<(&'static str, Vec<u8>, usize)> {
    let row = Msg::v4().to_bytes();
    let done = raw(3, &[0; 4], None);
    let errno = |errno: i32, len: usize| {
        let mut payload = (-errno).to_ne_bytes().to_vec();
        payload.resize(len, 0);
        raw(2, &payload, None)
    };
    let odd_attr = |bytes: &[u8]| raw(20, &[&body(&Msg::v4()), bytes].concat(), None);
    let half = |bytes: &[u8], len: usize| bytes.get(..len).unwrap_or_default().to_vec();
    vec![
        ("whole", [row.clone(), done.clone(), row.clone()].concat(), 1),
        ("no end", row.clone(), 1),
        ("end in header", [row.clone(), half(&done, 7)].concat(), 1),
        ("end after header", [row.clone(), half(&done, 16)].concat(), 1),
        ("end in message", [row.clone(), half(&row, 50)].concat(), 1),
        ("empty", vec![], 0),
        ("error", [row.clone(), errno(13, 20), row.clone()].concat(), 1),
        ("error 0", [row.clone(), errno(0, 20), row.clone()].concat(), 1),
        ("short error", [row.clone(), errno(13, 19), row.clone()].concat(), 1),
        ("empty error", [row.clone(), raw(2, b"", None), row.clone()].concat(), 1),
        ("end with a code", [row.clone(), raw(3, &(-13_i32).to_ne_bytes(), None)].concat(), 1),
        ("empty end", [row.clone(), raw(3, b"", None)].concat(), 1),
        ("legacy type", [raw(18, &body(&Msg::v4()), None), done.clone()].concat(), 1),
        ("unknown type", [raw(99, &body(&Msg::v4()), None), done.clone()].concat(), 1),
        ("both families", [row.clone(), Msg::v6().to_bytes(), done.clone()].concat(), 2),
        (
            "longest",
            [raw(20, &[&body(&Msg::v4())[..], &[0; 16_296]].concat(), None), done.clone()].concat(),
            1,
        ),
        ("odd attribute", [odd_attr(&[0x90, 1, 1, 0, 1, 2, 3, 4]), done.clone()].concat(), 1),
        ("tiny attribute", [odd_attr(&[8, 0, 1, 0, 1, 2, 3, 4, 2, 0, 1, 0]), done.clone()].concat(), 1),
        ("claims too much", [row.clone(), raw(20, &body(&Msg::v4()), Some(5000))].concat(), 1),
    ]
}

#[test]
fn recordings_read_as_the_reference_reads_them() {
    let reference = match Reference::get() {
        Ok(reference) => reference,
        Err(why) => skip!("{why}"),
    };
    for (name, bytes, want) in cases() {
        let file = Scratch::new("golden.nl");
        fs::write(&file.0, bytes).expect("scratch file");
        let theirs = reference
            .command()
            .args(["-tanH"])
            .env_clear()
            .env("TCPDIAG_FILE", &file.0)
            .output()
            .expect("the reference runs");
        assert!(theirs.status.success(), "{name}: {theirs:?}");
        let (rows, mut said, _) = replay(&file.sources());
        assert_eq!(rows.len(), want, "{name}");
        assert_eq!(theirs.stdout.split(|b| *b == b'\n').filter(|l| !l.is_empty()).count(), want, "{name}");
        // The reference looks at the attributes of a shown row twice.
        for notice in rows.iter().filter_map(|row| deficit(row)) {
            said = format!("{notice}{said}");
        }
        assert_eq!(said, String::from_utf8_lossy(&theirs.stderr), "{name}");
    }
}

#[test]
fn files_that_cannot_be_read_are_named_as_the_reference_names_them() {
    for (path, want) in [
        ("/nonexistent", "fopen($TCPDIAG_FILE): No such file or directory\n"),
        ("", "fopen($TCPDIAG_FILE): No such file or directory\n"),
        ("/", "Reading header from $TCPDIAG_FILE: Is a directory\n"),
    ] {
        let sources = Sources { tcpdiag_file: Some(OsString::from(path)), ..Sources::default() };
        let (rows, said, result) = replay(&sources);
        assert!(rows.is_empty());
        assert_eq!(said, want);
        assert_eq!(result.expect_err("unreadable").exit_status(), None);
    }
}

/// The reference overruns its buffer here and is killed by its own guard.
#[test]
fn impossible_lengths_are_an_error_where_the_reference_crashes() {
    let row = Msg::v4().to_bytes();
    for length in [0, 5, 8, 12, 16_385, 16_388, 20_000, u32::MAX - 3, u32::MAX] {
        for kind in [2, 3, 20] {
            let file = Scratch::new("damaged.nl");
            let bytes = [row.clone(), raw(kind, &vec![0; 40_000], Some(length)), row.clone()].concat();
            fs::write(&file.0, bytes).expect("scratch file");
            let (rows, said, result) = replay(&file.sources());
            assert_eq!((rows.len(), said.as_str()), (1, ""));
            let error = result.expect_err("damaged");
            assert_eq!(error.exit_status(), Some(255));
            assert_eq!(error.rows_delivered, 1);
            let offset = row.len() as u64;
            assert!(
                matches!(error.kind, DumpErrorKind::DamagedRecording { offset: at, length: l } if at == offset && l == length),
                "{error:?}"
            );
            let text = error.to_string();
            assert!(
                text.contains(&format!("offset {offset} ")) && text.contains(&format!(" {length} ")),
                "{text}"
            );
            if let (Ok(reference), 20_000) = (Reference::get(), length) {
                let theirs = reference
                    .command()
                    .arg("-tanH")
                    .env_clear()
                    .env("TCPDIAG_FILE", &file.0)
                    .output()
                    .unwrap();
                assert!(theirs.status.signal().is_some(), "the reference copes now: {theirs:?}");
            }
        }
    }
}

#[test]
fn neither_states_nor_families_choose_from_a_recording() {
    let file = Scratch::new("all.nl");
    let listener = Msg { state: 10, ..Msg::v6() };
    fs::write(&file.0, recording::record(&[Msg::v4(), listener], &[])).expect("scratch file");
    let narrow = Query { families: FamilySet::EMPTY, states: StateSet::EMPTY, ..Query::of(Table::Tcp) };
    let mut rows = 0;
    let mut visit = |_: Record<'_>| {
        rows += 1;
        ControlFlow::Continue(())
    };
    dump(&narrow, &file.sources(), &mut visit, &mut |notice| panic!("{notice}")).expect("a whole recording");
    assert_eq!(rows, 2);
}

#[test]
fn damaged_recordings_are_safe_to_open() {
    let file = Scratch::new("mutated.nl");
    let sources = file.sources();
    let mut rng = fastrand::Rng::with_seed(7);
    for round in 0..10_000 {
        let count = rng.usize(1..6);
        let whole = recording::random(&mut rng, count);
        let damaged = recording::mutate(&mut rng, &whole);
        fs::write(&file.0, &damaged).expect("scratch file");
        let (mut rows, mut decoded) = (0, 0);
        let mut visit = |record: Record<'_>| {
            rows += 1;
            assert!(record.bytes.len() <= LONGEST_MESSAGE - 16);
            decoded += usize::from(Socket::decode(record).is_some());
            ControlFlow::Continue(())
        };
        let mut notices = 0;
        let result = dump(&Query::of(Table::Tcp), &sources, &mut visit, &mut |_| notices += 1);
        assert!(rows * 16 <= damaged.len() && decoded <= rows, "round {round}");
        assert!(notices <= rows + 1, "round {round}");
        assert!(result.is_ok() || notices > 0 || result.is_err_and(|e| e.exit_status() == Some(255)));
    }
}

/// Sequence number and port differ from run to run.
fn anonymous(mut bytes: Vec<u8>) -> Vec<Vec<u8>> {
    let ranges = recording::messages(&bytes);
    for range in &ranges {
        bytes[range.start + 8..range.start + 16].fill(0);
    }
    ranges.into_iter().map(|range| bytes[range].to_vec()).collect()
}

#[test]
fn a_recording_holds_what_the_reference_s_would() {
    let (mut sockets, mut ports) = (Vec::new(), Vec::new());
    for addr in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(listener) = TcpListener::bind(addr) else { skip!("no {addr} here") };
        let local = listener.local_addr().expect("bound");
        sockets.push((TcpStream::connect(local).expect("loopback"), listener));
        ports.push(local.port());
    }
    let mut ours = Vec::new();
    record(&Query::of(Table::Tcp), &mut ours, &mut |notice: Notice| panic!("{notice}"))
        .expect("this kernel answers");
    let ours = anonymous(ours);
    let kind = |message: &[u8]| u16::from_ne_bytes([message[4], message[5]]);
    assert_eq!(ours.iter().filter(|m| kind(m) == 3).count(), 2, "one end for each family");
    let of_ours = |messages: &[Vec<u8>]| -> Vec<Vec<u8>> {
        let port = |m: &[u8], at: usize| u16::from_be_bytes([m[at], m[at + 1]]);
        let mine = |m: &[u8]| kind(m) == 20 && (ports.contains(&port(m, 20)) || ports.contains(&port(m, 22)));
        messages.iter().filter(|m| mine(m)).cloned().collect()
    };
    assert_eq!(of_ours(&ours).len(), 6, "a listener and two ends, twice");
    let reference = match Reference::get() {
        Ok(reference) => reference,
        Err(why) => skip!("{why}"),
    };
    let file = Scratch::new("dump.nl");
    let status = reference.command().arg("-tanD").arg(&file.0).env_clear().status().expect("it runs");
    assert!(status.success());
    let theirs = anonymous(fs::read(&file.0).expect("the reference wrote it"));
    assert_eq!(of_ours(&ours), of_ours(&theirs));
    drop(sockets);
}
