//! Recordings: complete, odd and damaged, and compared with the reference's.
//!
//! `crates/ss/tests/odd_recordings.rs` tests what `ss` prints for them.

use std::ffi::OsString;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;

use sockdiag::model::{FamilySet, Record, Socket, StateSet, Table};
use sockdiag::notice::Notice;
use sockdiag::source::{Access, DumpError, DumpErrorKind, LONGEST_MESSAGE, Query, Sources, dump, record};
use sockdiag_testkit::recording::odd::{Odd, message, odd};
use sockdiag_testkit::recording::{self, Msg};
use sockdiag_testkit::reference::Reference;
use sockdiag_testkit::skip;

/// A file of this test, removed at the end.
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

/// The records, the notices, and how the replay ended.
fn replay(sources: &Sources) -> (Vec<Vec<u8>>, Vec<Notice>, Result<(), DumpError>) {
    let (mut rows, mut notices) = (Vec::new(), Vec::new());
    let mut visit = |record: Record<'_>| {
        rows.push(record.bytes.to_vec());
        ControlFlow::Continue(())
    };
    let result = dump(&Query::of(Table::Tcp), sources, &mut Access::here(), &mut visit, &mut |notice| {
        notices.push(notice);
    });
    (rows, notices, result)
}

#[test]
fn what_is_odd_in_a_recording_is_told_once() {
    for Odd { name, bytes, rows: want, .. } in odd() {
        let file = Scratch::new("odd.nl");
        fs::write(&file.0, bytes).expect("scratch file");
        let (rows, notices, result) = replay(&file.sources());
        assert_eq!(rows.len(), want, "{name}");
        let told: &[Notice] = match name {
            "no end" | "end in header" | "end after header" | "end in message" | "empty"
            | "claims too much" => &[Notice::RecordingEof],
            "error" => &[Notice::RecordingAnswer { errno: 13 }],
            "error 0" => &[Notice::RecordingAnswer { errno: 0 }],
            "short error" | "empty error" => &[Notice::ErrorTruncated],
            "longest" => &[Notice::Deficit { bytes: 16_296, attr_len: 0 }],
            "odd attribute" => &[Notice::Deficit { bytes: 8, attr_len: 400 }],
            "tiny attribute" => &[Notice::Deficit { bytes: 4, attr_len: 2 }],
            _ => &[],
        };
        assert_eq!(notices, told, "{name}");
        let failed = told.iter().any(|notice| !matches!(notice, Notice::Deficit { .. }));
        assert_eq!(result.is_err(), failed, "{name}");
    }
}

#[test]
fn files_that_cannot_be_read_are_told() {
    for (path, want) in [
        ("/nonexistent", Notice::RecordingOpen { errno: 2 }),
        ("", Notice::RecordingOpen { errno: 2 }),
        ("/", Notice::RecordingHeader { errno: 21 }),
    ] {
        let sources = Sources { tcpdiag_file: Some(OsString::from(path)), ..Sources::default() };
        let (rows, notices, result) = replay(&sources);
        assert!(rows.is_empty());
        assert_eq!(notices, [want]);
        assert!(result.expect_err("unreadable").may_fall_back());
    }
}

/// The reference overruns its buffer here and aborts.
#[test]
fn impossible_lengths_are_an_error_where_the_reference_crashes() {
    let row = Msg::v4().to_bytes();
    for length in [0, 5, 8, 12, 16_385, 16_388, 20_000, u32::MAX - 3, u32::MAX] {
        for kind in [2, 3, 20] {
            let file = Scratch::new("damaged.nl");
            let bytes = [row.clone(), message(kind, &vec![0; 40_000], Some(length)), row.clone()].concat();
            fs::write(&file.0, bytes).expect("scratch file");
            let (rows, notices, result) = replay(&file.sources());
            assert_eq!((rows.len(), notices.as_slice()), (1, &[][..]));
            let error = result.expect_err("damaged");
            assert!(!error.may_fall_back());
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
    dump(&narrow, &file.sources(), &mut Access::here(), &mut visit, &mut |notice| panic!("{notice}"))
        .expect("a whole recording");
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
        let result =
            dump(&Query::of(Table::Tcp), &sources, &mut Access::here(), &mut visit, &mut |_| notices += 1);
        assert!(rows * 16 <= damaged.len() && decoded <= rows, "round {round}");
        assert!(notices <= rows + 1, "round {round}");
        let is_damage = |e: DumpError| matches!(e.kind, DumpErrorKind::DamagedRecording { .. });
        assert!(result.is_ok() || notices > 0 || result.is_err_and(is_damage));
    }
}

/// Clears sequence number and port, which differ from run to run.
fn anonymous(mut bytes: Vec<u8>) -> Vec<Vec<u8>> {
    let ranges = recording::messages(&bytes);
    for range in &ranges {
        bytes[range.start + 8..range.start + 16].fill(0);
    }
    ranges.into_iter().map(|range| bytes[range].to_vec()).collect()
}

#[test]
fn a_recording_holds_what_the_reference_s_would() {
    let (mut sockets, mut ends) = (Vec::new(), Vec::new());
    for addr in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(listener) = TcpListener::bind(addr) else { skip!("no {addr} here") };
        let local = listener.local_addr().expect("bound");
        let client = TcpStream::connect(local).expect("loopback");
        let (here, there) = (client.local_addr().expect("connected").port(), local.port());
        sockets.push((client, listener));
        // Match pairs of ports: other processes may use one of these ports.
        ends.extend([(there, 0), (here, there), (there, here)]);
    }
    let mut ours = Vec::new();
    record(&Query::of(Table::Tcp), &mut Access::here(), &mut ours, &mut |notice: Notice| panic!("{notice}"))
        .expect("this kernel answers");
    let ours = anonymous(ours);
    let kind = |message: &[u8]| u16::from_ne_bytes([message[4], message[5]]);
    assert_eq!(ours.iter().filter(|m| kind(m) == 3).count(), 2, "one end for each family");
    let of_ours = |messages: &[Vec<u8>]| -> Vec<Vec<u8>> {
        let port = |m: &[u8], at: usize| u16::from_be_bytes([m[at], m[at + 1]]);
        let mine = |m: &[u8]| kind(m) == 20 && ends.contains(&(port(m, 20), port(m, 22)));
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
