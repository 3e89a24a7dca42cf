//! Tests of recordings; the last ones compare with how the reference reads them.

use fastrand::Rng;

use super::*;
use crate::compare::{Case, Ended, run};
use crate::reference::Reference;

#[test]
fn a_message_lies_as_the_header_says() {
    let msg =
        Msg { cookie: 0x1122_3344_5566_7788, inode: 9, ifindex: 3, ..Msg::v4() }.with(attr::TOS, [0x10]);
    let bytes = msg.to_bytes();
    assert_eq!(bytes.len(), 16 + 72 + 8);
    assert_eq!(nl::header(&bytes), Some((bytes.len(), 20)));
    let body = &bytes[16..];
    assert_eq!(body[..8], [2, 1, 0, 0, 0x9c, 0x40, 0xc3, 0x50]);
    assert_eq!(body[8..12], [127, 0, 0, 1]);
    assert_eq!(body[24..28], [127, 0, 0, 2]);
    assert_eq!(body[40..44], 3_u32.to_ne_bytes());
    assert_eq!(body[44..48], 0x5566_7788_u32.to_ne_bytes());
    assert_eq!(body[68..72], 9_u32.to_ne_bytes());
    assert_eq!(body[72..76], [5_u16.to_ne_bytes(), 5_u16.to_ne_bytes()].concat());
    assert_eq!(body[76..], [0x10, 0, 0, 0]);
}

#[test]
fn cutting_takes_out_the_first_end_alone() {
    let whole = record(&[Msg::v4()], &[Msg::v6()]);
    assert_eq!(messages(&whole).len(), 4);
    let cut = cut_done(&whole);
    assert_eq!(cut.len(), whole.len() - 20);
    assert_eq!(
        cut,
        [Msg::v4().to_bytes(), Msg::v6().to_bytes(), whole[whole.len() - 20..].to_vec()].concat()
    );
    assert_eq!(cut_done(&Msg::v4().to_bytes()), Msg::v4().to_bytes());
    assert_eq!(cut_done(b"xyz"), b"xyz");
}

#[test]
fn a_seed_gives_the_same_recording_and_damage_again() {
    let make = |seed| {
        let mut rng = Rng::with_seed(seed);
        let bytes = random(&mut rng, 20);
        let damaged = mutate(&mut rng, &bytes);
        (bytes, damaged)
    };
    assert_eq!(make(7), make(7));
    assert_ne!(make(7).0, make(8).0);
    let changed = (0..100).filter(|seed| make(*seed).0 != make(*seed).1).count();
    assert!(changed >= 95, "only {changed} of 100 were damaged");
}

#[test]
fn every_attribute_comes_in_every_family() {
    let mut rng = Rng::with_seed(1);
    let bytes = random(&mut rng, 400);
    let mut seen = std::collections::BTreeSet::new();
    for range in messages(&bytes) {
        let message = &bytes[range];
        let family = message[16];
        let mut at = 16 + INET_DIAG_MSG;
        while at + 4 <= message.len() {
            let (len, kind) = (&message[at..at + 2], &message[at + 2..at + 4]);
            seen.insert((family, u16::from_ne_bytes(kind.try_into().unwrap())));
            at += usize::from(u16::from_ne_bytes(len.try_into().unwrap())).next_multiple_of(4);
        }
    }
    for kind in attr::MEMINFO..=attr::SOCKOPT {
        assert!(seen.contains(&(2, kind)) && seen.contains(&(10, kind)), "attribute {kind}");
    }
}

#[test]
fn anything_can_be_damaged_again() {
    let mut rng = Rng::with_seed(2);
    for start in [vec![], vec![0], vec![0xff; 90], random(&mut rng, 3)] {
        let mut bytes = start;
        for _ in 0..500 {
            bytes = mutate(&mut rng, &bytes);
            bytes.truncate(4000);
            cut_done(&bytes);
        }
    }
}

/// Writes a recording and returns what the reference prints for it.
fn printed(name: &str, bytes: &[u8], args: &[&str]) -> Option<crate::compare::Outcome> {
    let reference = Reference::get().inspect_err(|why| crate::skip::report(why)).ok()?;
    let path = std::env::temp_dir().join(format!("sockdiag-{}-{name}", std::process::id()));
    std::fs::write(&path, bytes).unwrap();
    let outcome = run(reference.command(), &Case::new(args).env("TCPDIAG_FILE", &path));
    std::fs::remove_file(&path).unwrap();
    Some(outcome.unwrap())
}

#[test]
fn the_reference_reads_what_was_built() {
    let v4 = Msg { timer: 1, expires: 1500, retrans: 7, ..Msg::v4() };
    let v6 = Msg { uid: 1000, inode: 5, cookie: 0x1_0000_0002, ..Msg::v6() }
        .with(attr::MARK, 0x12_u32.to_ne_bytes());
    let bytes = cut_done(&record(&[v4], &[v6]));
    let Some(out) = printed("built", &bytes, &["-tHeOQ"]) else { return };
    let text = String::from_utf8(out.stdout).unwrap();
    let lines: Vec<Vec<_>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0][1..4], ["127.0.0.1:40000", "127.0.0.2:50000", "timer:(on,1.500sec,7)"]);
    let expected = ["[::1]:40000", "[2001:db8::2]:50000", "uid:1000", "ino:5", "sk:100000002", "fwmark:0x12"];
    assert_eq!(lines[1][1..], expected);
    assert_eq!(lines.len(), 2);
}

#[test]
fn an_error_is_reported_by_the_reference() {
    let mut bytes = Vec::new();
    append_error(&mut bytes, libc::EPERM);
    let Some(out) = printed("error", &bytes, &["-tH"]) else { return };
    assert_eq!(String::from_utf8_lossy(&out.stderr), "TCPDIAG answered: Operation not permitted\n");
}

#[test]
fn the_reference_prints_every_random_socket() {
    let mut rng = Rng::with_seed(3);
    for round in 0..20 {
        let bytes = cut_done(&random(&mut rng, 100));
        let name = format!("random{round}");
        let Some(out) = printed(&name, &bytes, &["-tanHO"]) else { return };
        assert_eq!(out.ended, Ended::Exit(0));
        // Socket storage adds line breaks even with -O.
        let rows = String::from_utf8(out.stdout).unwrap();
        let rows = rows.lines().filter(|line| !line.starts_with('\t') && !line.is_empty()).count();
        assert_eq!(rows, 100, "round {round}");
    }
}

/// The reference's output must depend on the recording alone, not on uninitialised memory:
/// only such recordings can be compared.
#[test]
fn the_reference_says_the_same_of_a_random_recording_twice() {
    let mut rng = Rng::with_seed(4);
    for round in 0..20 {
        let bytes = cut_done(&random(&mut rng, 100));
        for args in [&["-taioem", "--tos", "--inet-sockopt", "--cgroup"][..], &["-tanOeom"], &["-tal4"]] {
            let Some(first) = printed(&format!("twice{round}"), &bytes, args) else { return };
            assert_eq!(first.ended, Ended::Exit(0), "round {round}: {args:?}");
            assert_eq!(
                printed(&format!("twice{round}"), &bytes, args),
                Some(first),
                "round {round}: {args:?}"
            );
        }
    }
}
