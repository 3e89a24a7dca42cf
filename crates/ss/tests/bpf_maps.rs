//! Deliberate differences from the reference about BPF storage: each test is named after its
//! row of COMPAT.md.

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]
#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use sockdiag_testkit::Why;
use sockdiag_testkit::btf::{Btf, Id, SIGNED};
use sockdiag_testkit::compare::{Case, Ended, Outcome, run};
use sockdiag_testkit::maps::Map;
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::recording::{self, Msg, attr};
use sockdiag_testkit::reference::Reference;
use sockdiag_testkit::skip;

const OURS: &str = env!("CARGO_BIN_EXE_ss");

/// The outcomes of the reference and ours for a case.
fn both(case: &Case<'_>) -> Option<(Outcome, Outcome)> {
    let reference = Reference::get().inspect_err(|why| skip::report(why)).ok()?;
    let theirs = run(reference.command(), case).unwrap_or_else(|why| panic!("{case}: {why}"));
    let ours = run(Command::new(OURS), case).unwrap_or_else(|why| panic!("{case}: {why}"));
    Some((theirs, ours))
}

fn case(words: &str) -> Case<'static> {
    Case::new(&words.split(' ').collect::<Vec<_>>())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A listener in a new namespace.
fn listener() -> Option<(Namespace, TcpListener)> {
    let made = Namespace::new().and_then(|namespace| {
        let listener = namespace.with(|| TcpListener::bind("127.0.0.1:8000"))?;
        Ok((namespace, listener.map_err(|error| Why::new(error.to_string()))?))
    });
    made.inspect_err(|why| skip::report(why)).ok()
}

/// A map whose values have this type.
fn map(size: u32, ty: impl FnOnce(&mut Btf, Id) -> Id) -> Option<Map> {
    let mut btf = Btf::new();
    let int = btf.key();
    let ty = ty(&mut btf, int);
    Map::storage(&btf, ty, size).inspect_err(|why| skip::report(why)).ok()
}

fn nested(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u16 + 4).to_ne_bytes().to_vec();
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A case that reads a recording of one socket with these storages.
fn recorded(name: &str, storages: &[u8]) -> Case<'static> {
    let mut bytes = Msg::v4().with(attr::SK_BPF_STORAGES, storages).to_bytes();
    recording::append_done(&mut bytes);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bpf-maps-{name}"));
    std::fs::write(&path, bytes).expect("the test's own file");
    case("-tanHO").env("TCPDIAG_FILE", path)
}

#[test]
fn maps_beyond_32_are_left_out() {
    let Some((namespace, listener)) = listener() else { return };
    let maps: Option<Vec<Map>> = (0..34).map(|_| map(4, |_, int| int)).collect();
    let Some(maps) = maps else { return };
    for map in &maps {
        map.set(&listener, &map.id.to_ne_bytes()).expect("a value");
    }
    let Some((theirs, ours)) = both(&case("-tlnHO --bpf-maps").inside(&namespace)) else { return };
    assert_eq!(text(&ours.stderr), text(&theirs.stderr));
    // Two maps exceed the reference's limit: it shows their values under another map's id.
    let shown = |out: &Outcome| {
        let right = |map: &&Map| text(&out.stdout).contains(&format!(" map_id:{0}(int){0}", map.id));
        maps.iter().filter(right).count()
    };
    assert_eq!((shown(&theirs), shown(&ours)), (32, 32));
    assert_eq!(text(&theirs.stdout).matches("map_id:").count(), 34);
    assert_eq!(text(&ours.stdout).matches("map_id:").count(), 34);
    assert_eq!(text(&ours.stdout).matches("failed to fetch info, skipping").count(), 2);
}

#[test]
fn storage_without_a_value_is_left_out() {
    let Some(map) = map(4, |_, int| int) else { return };
    let without = nested(1, &nested(2, &map.id.to_ne_bytes()));
    let short = nested(1, &[nested(2, &[1, 0]), nested(3, b"abcd")].concat());
    let Some((theirs, ours)) = both(&recorded("no-value", &[without, short].concat())) else { return };
    assert!(!matches!(theirs.ended, Ended::Exit(_)), "the reference is killed");
    assert_eq!(ours.ended, Ended::Exit(0));
    assert!(text(&ours.stdout).starts_with("ESTAB") && !text(&ours.stdout).contains("map_id"));
}

#[test]
fn a_map_of_another_kind_is_named_by_its_number() {
    let Ok(other) = Map::other().inspect_err(|why| skip::report(why)) else { return };
    let storage = nested(1, &[nested(2, &other.id.to_ne_bytes()), nested(3, b"abcd")].concat());
    let Some((theirs, ours)) = both(&recorded("kind", &storage)) else { return };
    assert_eq!(ours.stdout, theirs.stdout);
    let id = other.id.to_string();
    assert_eq!(text(&theirs.stderr).replace("(null)", &id), text(&ours.stderr));
    assert_ne!(theirs.stderr, ours.stderr);
}

#[test]
fn values_are_read_wherever_they_lie() {
    let Some((namespace, listener)) = listener() else { return };
    let packed = map(13, |b, int| {
        let char = b.int("char", 1, SIGNED);
        let kind = b.enumeration("kind", 4, false, &[("NONE", 0), ("SOME", 7)]);
        let pointer = b.ptr(int);
        b.structure("packed", 13, &[("c", char, 0, 0), ("k", kind, 8, 0), ("p", pointer, 40, 0)])
    });
    let Some(packed) = packed else { return };
    packed.set(&listener, &[1, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).expect("a value");
    let line = format!("-tlnHO --bpf-map-id={}", packed.id);
    let Some((theirs, ours)) = both(&case(&line).inside(&namespace)) else { return };
    let shown = "{.c = (char)1,.k = (enum kind)NONE,.p = (int *)0x0,}";
    assert!(text(&theirs.stdout).contains(shown), "{}", text(&theirs.stdout));
    assert_eq!(text(&ours.stdout), text(&theirs.stdout).replace("NONE", "SOME").replace("0x0", "(nil)"));
}

#[test]
fn types_that_name_themselves_end() {
    let Some((namespace, listener)) = listener() else { return };
    let endless = map(8, |b, int| {
        let pointer = b.ptr(3);
        b.proto(int, &[("f", pointer)]);
        pointer
    });
    let Some(endless) = endless else { return };
    endless.set(&listener, &[1; 8]).expect("a value");
    let line = format!("-tlnHO --bpf-map-id={}", endless.id);
    let Some((theirs, ours)) = both(&case(&line).inside(&namespace)) else { return };
    assert!(!matches!(theirs.ended, Ended::Exit(_)), "the reference is killed");
    assert_eq!(ours.ended, Ended::Exit(0));
    let shown = text(&ours.stdout);
    assert!(
        shown.contains("(int (*)(int (*f)(int (*f)(") && shown.contains("...)0x101010101010101"),
        "{shown}"
    );
}

#[test]
fn names_of_types_hold_no_control_characters() {
    let Some((namespace, listener)) = listener() else { return };
    let Some(odd) = map(4, |b, _| b.int("a\nESTAB\x1b[2J", 4, SIGNED)) else { return };
    odd.set(&listener, &[1, 0, 0, 0]).expect("a value");
    let line = format!("-tlnHO --bpf-map-id={}", odd.id);
    let Some((theirs, ours)) = both(&case(&line).inside(&namespace)) else { return };
    assert!(text(&theirs.stdout).contains("(a\nESTAB\x1b[2J)1"));
    assert_eq!(text(&ours.stdout), text(&theirs.stdout).replace("a\nESTAB\x1b", "a\\012ESTAB\\033"),);
}

/// Attributes have 16-bit lengths, and the kernel does not notice if a socket's storage
/// exceeds that in total.
#[test]
fn storage_beyond_64_kib_is_reported_once_a_socket() {
    let Some((namespace, listener)) = listener() else { return };
    let byte = |b: &mut Btf, int| {
        let byte = b.int("u8", 1, 0);
        b.array(byte, 40_000, int)
    };
    let (Some(one), Some(two)) = (map(40_000, byte), map(40_000, byte)) else { return };
    for map in [&one, &two] {
        map.set(&listener, &vec![0; 40_000]).expect("a value");
    }
    let line = format!("-tlnHO --bpf-map-id={} --bpf-map-id={}", one.id, two.id);
    let Some((theirs, ours)) = both(&case(&line).inside(&namespace)) else { return };
    assert_eq!(text(&ours.stdout), text(&theirs.stdout));
    assert_eq!(text(&theirs.stderr), text(&ours.stderr).repeat(2));
    assert!(text(&ours.stderr).starts_with("!!!Deficit "), "{}", text(&ours.stderr));
}

/// A filter makes the kernel report storage, even without the option.
#[test]
fn storage_can_be_counted_in_a_condition() {
    let Some((namespace, listener)) = listener() else { return };
    let Some(map) = map(4, |_, int| int) else { return };
    map.set(&listener, &[1, 0, 0, 0]).expect("a value");
    let rows = |filter: &str| {
        let mut case = case("-tlnH");
        case.args.push(filter.into());
        let out = run(Command::new(OURS), &case.inside(&namespace)).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(out.ended, Ended::Exit(0), "{}", text(&out.stderr));
        text(&out.stdout).matches("LISTEN").count()
    };
    assert_eq!((rows("bpf.storages = 1"), rows("bpf.storages > 1")), (1, 0));
}
