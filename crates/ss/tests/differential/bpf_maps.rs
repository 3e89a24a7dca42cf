//! BPF storage: values of every type on live sockets, and in recordings.
//!
//! Maps belong to the whole machine, sockets to a namespace: a namespace of the test shows
//! only values put there by the test.

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]

use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};

use sockdiag_testkit::Why;
use sockdiag_testkit::btf::Btf;
use sockdiag_testkit::maps::{Map, values};
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::recording::{self, Msg, attr};
use sockdiag_testkit::skip::{self, Privilege};

use super::{Case, case, check, temporary};

/// A listener in a namespace, to attach values to.
pub(super) struct Stored {
    namespace: Namespace,
    listener: TcpListener,
}

impl Stored {
    fn inside(namespace: Namespace) -> Result<Self, Why> {
        let listener = namespace.with(|| TcpListener::bind("127.0.0.1:8000"))?;
        let listener = listener.map_err(|error| Why::new(format!("a listener: {error}")))?;
        // Checks that bpf(2) exists and is permitted.
        ints(&[0])?;
        Ok(Self { namespace, listener })
    }

    pub(super) fn or_skip() -> Option<Self> {
        let stored = Namespace::new().and_then(Self::inside);
        stored.inspect_err(|why| skip::report(why)).ok()
    }
}

/// Maps of `int`, one for each number; no value is attached yet.
fn ints(numbers: &[i32]) -> Result<Vec<Map>, Why> {
    let mut btf = Btf::new();
    let int = btf.key();
    numbers.iter().map(|_| Map::storage(&btf, int, 4)).collect()
}

/// A map of a struct with two numbers.
fn pair() -> Result<Map, Why> {
    let mut btf = Btf::new();
    let int = btf.key();
    let pair = btf.structure("pair", 8, &[("a", int, 0, 0), ("b", int, 32, 0)]);
    Map::storage(&btf, pair, 8)
}

/// An empty directory in place of /proc, so that `-p` need not read every process; only for
/// recordings, because it switches netlink off.
fn no_processes() -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bpf-no-processes/");
    std::fs::create_dir_all(&path).expect("the test's own directory");
    path
}

/// Values of every type, one map each.
pub(super) fn types() -> Option<usize> {
    let stored = Stored::or_skip()?;
    let mut cases = Vec::new();
    let mut maps = Vec::new();
    let (mut aligned, mut refused) = (Vec::new(), Vec::new());
    for value in values::all() {
        let made = Map::storage(&value.btf, value.ty, value.bytes.len() as u32)
            .and_then(|map| map.set(&stored.listener, &value.bytes).map(|()| map));
        match made {
            Ok(map) if value.is_aligned() => aligned.push(map),
            Ok(map) => maps.push(map),
            Err(why) => refused.push(format!("{}: {why}", value.name)),
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    // Several maps per run, since starting takes longer than the output.
    for maps in maps.chunks(24).chain(aligned.chunks(24)) {
        let ids: Vec<String> = maps.iter().map(|map| format!("--bpf-map-id={}", map.id)).collect();
        for look in ["-tlnH", "-tlnHO"] {
            cases.push(case(&format!("{look} {}", ids.join(" "))).inside(&stored.namespace));
        }
    }
    assert!(maps.len() > 300 && aligned.len() > 30, "{} and {} values", maps.len(), aligned.len());
    Some(check(cases))
}

/// Combinations with other options, several maps, and ids that are not such maps.
pub(super) fn options() -> Option<usize> {
    let stored = Stored::or_skip()?;
    let Stored { namespace, listener } = &stored;
    let sockets = namespace.with(|| {
        let udp = UdpSocket::bind("127.0.0.1:8001").expect("a socket");
        let second = TcpListener::bind("[::1]:8002").expect("a listener");
        (udp, second)
    });
    let (udp, second) = sockets.expect("the namespace");
    let wide = pair().expect("a map");
    let one = ints(&[0]).expect("a map").pop().expect("one map");
    let unused = ints(&[0]).expect("a map").pop().expect("one map");
    one.set(listener, &7_i32.to_ne_bytes()).expect("a value");
    one.set(&second, &8_i32.to_ne_bytes()).expect("a value");
    one.set(&udp, &9_i32.to_ne_bytes()).expect("a value");
    wide.set(listener, &[1; 8]).expect("a value");
    let other = Map::other().expect("a map");
    let (a, b, c, d) = (one.id, wide.id, unused.id, other.id);
    let mut lines: Vec<String> = Vec::new();
    for look in [
        "-tln",
        "-tlnO",
        "-tlni",
        "-tlniO",
        "-tlnem",
        "-tlnemOi",
        "-tlnp",
        "-tlno",
        "-tlnQ",
        "-6tlnH",
        "-uan",
        "-tuanO",
        "-wMSan",
        "-tlnbO",
        "-tln --tos --cgroup --inet-sockopt",
        "-tln sport = :8000",
        "-xan src /nonexistent",
        "-lnA inet",
    ] {
        lines.push(format!("--bpf-maps {look}"));
        lines.push(format!("--bpf-map-id={b} --bpf-map-id={a} {look}"));
    }
    for look in ["-tln", "-tlnOi"] {
        lines.push(format!("--bpf-map-id={a} {look}"));
        lines.push(format!("--bpf-map-id={c} {look}"));
        lines.push(format!("--bpf-map-id={a} --bpf-map-id={a} --bpf-map-id {c} --bpf-map-id={a} {look}"));
    }
    for wrong in [
        format!("-tln --bpf-map-id={d}"),
        "-tln --bpf-map-id=4294967294".to_owned(),
        format!("-tln --bpf-map-id={a} --bpf-map-id=4294967294"),
        format!("-tln --bpf-map-id={a} --bpf-map-id={d}"),
        format!("-tln --bpf-map-id={a} --bpf-maps"),
        format!("-tln --bpf-maps --bpf-map-id={a}"),
        format!("--bpf-map-id={a} -N nonexistent"),
        format!("-N nonexistent --bpf-map-id={d}"),
        format!("--bpf-map-id={d} --nonsense"),
        format!("--nonsense --bpf-map-id={d}"),
    ] {
        lines.push(wrong);
    }
    let mut cases: Vec<Case<'_>> = lines.iter().map(|line| case(line).inside(namespace)).collect();
    // The largest allowed number of maps, and more; in another namespace, without
    // `--bpf-maps`.
    let crowd = Stored::or_skip()?;
    let many = ints(&[0; 34]).expect("maps");
    for map in &many {
        map.set(&crowd.listener, &map.id.to_ne_bytes()).expect("a value");
    }
    let ids: Vec<String> = many.iter().map(|map| format!("--bpf-map-id={}", map.id)).collect();
    for line in [
        format!("-tlnO {}", ids[..32].join(" ")),
        format!("-tlnO {}", ids.join(" ")),
        format!("-tln {} --bpf-map-id={d} --bpf-map-id={a}", ids[..32].join(" ")),
    ] {
        cases.push(case(&line).inside(&crowd.namespace));
    }
    Some(check(cases))
}

/// A user who may not read maps.
pub(super) fn unprivileged() -> Option<usize> {
    let stored = Namespace::made_by(Privilege::UserNamespace).and_then(Stored::inside);
    let Ok(stored) = stored.inspect_err(|why| skip::report(why)) else { return None };
    let map = ints(&[0]).expect("a map").pop().expect("one map");
    map.set(&stored.listener, &[1; 4]).expect("a value");
    let id = map.id;
    let recorded = one(&storage(Some(id), Some(&[1; 4])));
    let path = temporary("bpf-unprivileged", &recorded);
    let mut cases: Vec<Case<'_>> = Vec::new();
    for line in [
        "-tln --bpf-maps".to_owned(),
        "-tlniemO --bpf-maps".to_owned(),
        "-uan --bpf-maps".to_owned(),
        "-lnA inet --bpf-maps".to_owned(),
        format!("-tln --bpf-map-id={id}"),
        "-tln --bpf-map-id=4294967294".to_owned(),
    ] {
        cases.push(case(&line).inside(&stored.namespace));
    }
    for line in ["-tan", "-tanO", "-tani --bpf-maps"] {
        cases.push(case(line).env("TCPDIAG_FILE", &path).inside(&stored.namespace));
    }
    Some(check(cases))
}

/// An attribute with its padding.
fn nested(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u16 + 4).to_ne_bytes().to_vec();
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// One storage attribute, with an optional id and value.
fn storage(id: Option<u32>, value: Option<&[u8]>) -> Vec<u8> {
    let id = id.map(|id| nested(2, &id.to_ne_bytes())).unwrap_or_default();
    nested(1, &[id, value.map(|value| nested(3, value)).unwrap_or_default()].concat())
}

/// A recording of one socket with these storages.
fn one(storages: &[u8]) -> Vec<u8> {
    two(storages, None)
}

/// A recording of two sockets.
fn two(first: &[u8], second: Option<&[u8]>) -> Vec<u8> {
    let sockets = [Some(first), second].into_iter().flatten();
    let mut bytes: Vec<u8> =
        sockets.flat_map(|storages| Msg::v4().with(attr::SK_BPF_STORAGES, storages).to_bytes()).collect();
    recording::append_done(&mut bytes);
    bytes
}

/// Storage in a recording is shown even without the option, using the maps of this machine.
pub(super) fn recorded() -> usize {
    const NONE: u32 = u32::MAX - 1;
    let mut recordings = vec![
        one(b""),
        one(&storage(None, None)),
        one(&storage(None, Some(b"abcd"))),
        one(&storage(Some(NONE), Some(b"abcd"))),
        one(&storage(Some(0), Some(b"abcd"))),
        one(&storage(Some(u32::MAX), Some(b""))),
        two(&storage(Some(NONE), Some(b"abcd")), Some(&storage(Some(NONE - 1), Some(b"abcd")))),
        one(&[storage(Some(NONE), Some(b"a")), storage(Some(NONE - 1), Some(b"b"))].concat()),
    ];
    let maps = ints(&[0]).and_then(|mut ints| Ok((ints.remove(0), pair()?)));
    if let Ok((int, pair)) = maps.as_ref().inspect_err(|why| skip::report(why)) {
        let (int, pair) = (int.id, pair.id);
        let value = |id, bytes: &[u8]| storage(Some(id), Some(bytes));
        let mut swapped = nested(3, &[1; 4]);
        swapped.extend(nested(2, &int.to_ne_bytes()));
        swapped.extend(nested(3, &[2; 4]));
        swapped.extend(nested(2, &pair.to_ne_bytes()));
        let mut damaged = nested(2, &int.to_ne_bytes());
        damaged.extend(nested(3, &[9; 4]));
        damaged.extend([40, 0, 1, 0]);
        recordings.extend([
            one(&value(int, &[1; 4])),
            two(&value(int, &[1; 4]), Some(&value(pair, &[2; 8]))),
            one(&[value(int, &[1; 4]), value(pair, &[2; 8]), value(int, &[3; 4])].concat()),
            one(&[value(NONE, &[1; 4]), value(int, &[2; 4])].concat()),
            one(&[value(int, &[1; 8]), value(pair, &[2; 4]), value(int, b""), value(int, &[3; 4])].concat()),
            one(&[storage(None, Some(&[1; 4])), value(pair, &[2; 8])].concat()),
            one(&[nested(2, b"abcd"), nested(0x8001, &nested(0x8002, &int.to_ne_bytes()))[..4].to_vec()]
                .concat()),
            one(&nested(1, &swapped)),
            one(&[nested(1, &damaged), value(pair, &[1; 8])].concat()),
            one(&[value(int, &[1; 4]), vec![40, 0, 1, 0]].concat()),
        ]);
    }
    let mut cases: Vec<Case<'_>> = Vec::new();
    for (at, bytes) in recordings.iter().enumerate() {
        let path = temporary(&format!("bpf-{at}"), bytes);
        let look = ["-tani", "-tanp", "-tan --bpf-maps", "-tanHieO", "-ta sport = 40000"][at % 5];
        for look in ["-tan", "-tanO", look] {
            cases.push(case(look).env("TCPDIAG_FILE", &path).env("PROC_ROOT", no_processes()));
        }
    }
    check(cases)
}
