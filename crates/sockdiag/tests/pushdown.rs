//! Filter programs for the kernel: they equal the reference's bytes if no condition is
//! weakened, and lose no wanted socket if one is.

#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

mod filter_support;

use fastrand::Rng;
use filter_support::diag::Diag;
use filter_support::{CTX, Kind, Sense, decode, expr, possible, socket, text, wanted};
use sockdiag::filter::{Dialect, Expr, program};
use sockdiag::model::{Row, SourceKind};
use sockdiag_testkit::bytecode::{audit, run};
use sockdiag_testkit::skip;

/// A program as text: offset, code, `yes`, `no`, argument.
fn listing(program: &[u8]) -> String {
    const NAMES: [&str; 14] = [
        "NOP",
        "JMP",
        "S_GE",
        "S_LE",
        "D_GE",
        "D_LE",
        "AUTO",
        "S_COND",
        "D_COND",
        "DEV_COND",
        "MARK_COND",
        "S_EQ",
        "D_EQ",
        "CGROUP_COND",
    ];
    let mut lines = Vec::new();
    let mut at = 0;
    while let Some([code, yes, a, b]) = program.get(at..).and_then(|rest| rest.first_chunk::<4>()) {
        let no = u16::from_ne_bytes([*a, *b]);
        let end = at + usize::from(*yes).max(4);
        let argument =
            program[at + 4..end].iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        let name = NAMES[usize::from(*code)];
        lines.push(if argument.is_empty() {
            format!("{at} {name} {yes} {no}")
        } else {
            format!("{at} {name} {yes} {no} {argument}")
        });
        at = end;
    }
    lines.join("; ")
}

fn classic(text: &str) -> String {
    program(&expr(text), Dialect::Classic).map_or("none".into(), |program| listing(&program))
}

fn modern(text: &str) -> String {
    program(&expr(text), Dialect::Modern).map_or("none".into(), |program| listing(&program))
}

/// The expected bytes are those that `ss` 7.3 sends, observed in its requests (except for
/// padding, where it sends uninitialized stack).
#[test]
#[cfg(target_endian = "little")]
fn classic_programs_are_the_references() {
    for (text, expect) in [
        ("sport = :80", "0 S_COND 16 20 000000005000000000000000"),
        ("src 1.2.3.0/24:80", "0 S_COND 16 20 021800005000000001020300"),
        ("dst [fe80::/64]:80", "0 D_COND 28 32 0a40000050000000fe800000000000000000000000000000"),
        ("src 0.0.0.0/0", "0 S_COND 16 20 02000000ffffffff00000000"),
        ("src 1.2.3.4/any", "0 S_COND 16 20 02000000ffffffff01020304"),
        ("src inet:any", "0 S_COND 16 20 02000000ffffffff00000000"),
        ("src inet6:any", "0 S_COND 28 32 0a000000ffffffff00000000000000000000000000000000"),
        ("src inet6:*:80", "0 S_COND 16 20 000000005000000000000000"),
        ("dport > 80", "0 D_LE 8 12 00005000; 8 JMP 4 8"),
        ("dport >= 80", "0 D_GE 8 12 00005000"),
        ("sport < 80", "0 S_GE 8 12 00005000; 8 JMP 4 8"),
        ("sport != 80", "0 S_COND 16 20 000000005000000000000000; 16 JMP 4 8"),
        (
            "sport = 1 sport = 2",
            "0 S_COND 16 36 000000000100000000000000; 16 S_COND 16 20 000000000200000000000000",
        ),
        (
            "sport = 1 or sport = 2 and sport = 3",
            "0 S_COND 16 20 000000000100000000000000; 16 JMP 4 20; \
             20 S_COND 16 36 000000000200000000000000; 36 S_COND 16 20 000000000300000000000000",
        ),
        (
            "sport = 1 and sport = 2 or sport = 3",
            "0 S_COND 16 36 000000000100000000000000; 16 S_COND 16 20 000000000200000000000000; \
             32 JMP 4 20; 36 S_COND 16 20 000000000300000000000000",
        ),
        (
            "not ( sport = 1 and sport = 2 )",
            "0 S_COND 16 36 000000000100000000000000; 16 S_COND 16 20 000000000200000000000000; 32 JMP 4 8",
        ),
        (
            "not sport = 1 and sport = 2",
            "0 S_COND 16 20 000000000100000000000000; 16 JMP 4 24; 20 S_COND 16 20 000000000200000000000000",
        ),
        ("autobound", "0 AUTO 4 8"),
        ("! autobound", "0 AUTO 4 8; 4 JMP 4 8"),
        ("fwmark = 0x10/0xff", "0 MARK_COND 12 16 10000000ff000000"),
        ("cgroup = /user", "0 CGROUP_COND 12 16 0700000000000000"),
        (
            "not ( sport = 1 or dport > 2 ) and not not autobound",
            "0 S_COND 16 20 000000000100000000000000; 16 JMP 4 16; 20 D_LE 8 12 00000200; 28 JMP 4 8; \
             32 JMP 4 20; 36 AUTO 4 8; 40 JMP 4 8; 44 JMP 4 8",
        ),
        (
            "src many",
            "0 S_COND 16 20 02200000ffffffff0a000001; 16 JMP 4 52; 20 S_COND 16 20 02200000ffffffff7f000001; \
             36 JMP 4 32; 40 S_COND 28 32 0a800000ffffffff00000000000000000000ffff0a000001",
        ),
        ("dev lo and sport = 1", "0 S_COND 16 20 000000000100000000000000"),
    ] {
        assert_eq!(classic(text), expect, "{text}");
    }
}

#[test]
#[cfg(target_endian = "little")]
fn modern_programs_use_the_cheaper_instructions() {
    for (text, expect) in [
        ("sport = :80", "0 S_EQ 8 12 00005000"),
        ("dport != 80", "0 D_EQ 8 12 00005000; 8 JMP 4 8"),
        ("dev lo", "0 DEV_COND 8 12 01000000"),
        ("dev != lo and sport = 1", "0 DEV_COND 8 12 01000000; 8 JMP 4 16; 12 S_EQ 8 12 00000100"),
    ] {
        assert_eq!(modern(text), expect, "{text}");
    }
}

const NOTHING: &str = "0 JMP 4 8";

/// A condition that the kernel cannot test is left out if that loses no socket.
#[test]
fn weakening_keeps_the_rest() {
    for (text, like) in [
        ("dev lo or sport = 1", "none"),
        ("tcp.rtt_us > 5", "none"),
        ("not tcp.rtt_us > 5", "none"),
        ("tcp.rtt_us > 5 and dport = 1", "dport = 1"),
        ("not ( tcp.rtt_us > 5 or dport = 1 )", "not dport = 1"),
        ("not ( tcp.rtt_us > 5 and dport = 1 )", "none"),
        ("tcp.rtt_us > 5 and autobound and dport = 1", "dport = 1"),
        ("tcp.rtt_us > 5 and fwmark = 1 and dport = 1", "dport = 1"),
        (
            "dport = 1 and ( dport = 2 or dport = 3 and tcp.rtt_us > 1 )",
            "dport = 1 and ( dport = 2 or dport = 3 )",
        ),
        ("sport >= 0", "none"),
        ("sport >= -5", "none"),
        ("sport > -5 and dport = 1", "dport = 1"),
        ("sport <= 65535", "none"),
        ("sport <= 70000", "none"),
        ("sport != 70000", "none"),
        ("sport != -5", "none"),
        ("sport = *", "none"),
        ("src any", "none"),
        ("not sport >= 70000 and dport = 1", "dport = 1"),
        ("sport = 65616 or dport = 1", "dport = 1"),
        ("src unix:x", "none"),
        ("dport = 1 and dport = link:5", "dport = 1"),
        ("sport > 70000", NOTHING),
        ("sport = 70000", NOTHING),
        ("sport >= 65536", NOTHING),
        ("sport < -5", NOTHING),
        ("sport < *", NOTHING),
        ("not sport = *", NOTHING),
        ("not ( sport >= * or tcp.rtt_us > 5 )", NOTHING),
    ] {
        let expect = if ["none", NOTHING].contains(&like) { like.to_owned() } else { classic(like) };
        assert_eq!(classic(text), expect, "{text}");
    }
}

/// A random filter whose conditions do not exclude each other.
fn drawn(rng: &mut Rng, kind: Kind) -> (String, Expr) {
    loop {
        let text = text(rng, kind, 3);
        if let Some(expr) = possible(&text) {
            return (text, expr);
        }
    }
}

/// Tests the programs of a filter in both dialects on sockets; returns how many there were.
fn check(rng: &mut Rng, kind: Kind, sockets: usize) -> usize {
    let (text, expr) = drawn(rng, kind);
    // A printed filter parses back to the same filter, except for hosts with many
    // addresses.
    if !text.contains("many") {
        let printed = expr.to_string();
        let again = filter_support::expr(&printed.replace("cgroup = 0x7", "cgroup /user"));
        assert_eq!(again, expr, "{text} prints as {printed}");
    }
    let programs = [Dialect::Modern, Dialect::Classic].map(|dialect| (dialect, program(&expr, dialect)));
    for (dialect, program) in &programs {
        if let Some(program) = program {
            assert_eq!(audit(program), Ok(()), "{text}: {dialect:?} {}", listing(program));
        }
    }
    for _ in 0..sockets {
        let (bytes, entry) = socket(rng);
        let recorded = decode(&bytes, SourceKind::Recording);
        let dumped = decode(&bytes, SourceKind::Kernel);
        let (recorded, dumped) = (Row::bare(&recorded), Row::bare(&dumped));
        let alone = wanted(&expr, Sense::Program, &entry, &recorded);
        assert_eq!(expr.eval(&recorded, CTX), alone, "{text} on {entry:?}");
        // What the kernel accepts, if the reference sends it a program.
        let half = !expr.reference_compiles() || wanted(&expr, Sense::Kernel, &entry, &dumped);
        for (dialect, program) in &programs {
            let passes = program.as_ref().is_none_or(|program| run(program, &entry));
            let shown = || format!("{text}: {dialect:?} {:?}", program.as_deref().map(listing));
            assert!(passes || !(alone && half), "lost {entry:?} by {}", shown());
            assert_eq!(passes && expr.eval(&dumped, CTX), alone && half, "{entry:?} by {}", shown());
            if expr.reference_compiles() {
                assert_eq!(passes, half, "{entry:?} by {}", shown());
            }
        }
    }
    programs.iter().filter(|(_, program)| program.is_some()).count()
}

#[test]
fn no_wanted_socket_is_lost() {
    let mut rng = Rng::with_seed(0x5eed);
    let programs: usize = (0..10_000).map(|_| check(&mut rng, Kind::Any, 40)).sum();
    assert!(programs > 5_000, "only {programs} programs");
}

#[test]
fn exact_filters_have_exact_programs() {
    let mut rng = Rng::with_seed(0xe4ac7);
    let programs: usize = (0..5_000).map(|_| check(&mut rng, Kind::Exact, 40)).sum();
    assert!(programs > 9_000, "only {programs} programs");
}

#[test]
fn long_filters_are_weakened_not_cut() {
    for count in [100, 3_000, 4_000, 20_000, 100_000] {
        for join in ["or", "and", "and not", "or not"] {
            let mut text = String::from("dport = 1000");
            for at in 0..count {
                text.extend([" ", join, " src 10.0.0.1:", &(at % 60_000).to_string()]);
            }
            for text in [format!("not ( {text} )"), text] {
                let expr = expr(&text);
                let (head, tail) = (&text[..40], &text[text.len() - 40..]);
                for dialect in [Dialect::Modern, Dialect::Classic] {
                    let Some(program) = program(&expr, dialect) else { continue };
                    assert!(program.len() <= 0xf000);
                    // The audit takes quadratic time, in the kernel too.
                    if program.len() < 0x8000 {
                        assert_eq!(audit(&program), Ok(()), "{head} ... {tail}");
                    }
                    let mut rng = Rng::with_seed(count);
                    for _ in 0..50 {
                        let (bytes, entry) = socket(&mut rng);
                        let row = decode(&bytes, SourceKind::Kernel);
                        let wanted = wanted(&expr, Sense::Program, &entry, &Row::bare(&row))
                            && wanted(&expr, Sense::Kernel, &entry, &Row::bare(&row));
                        assert!(!wanted || run(&program, &entry), "{head} ... {tail} on {entry:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn this_kernel_takes_the_programs() {
    const EPERM: i32 = 1;
    // A state in which no socket stays for long.
    const SYN_SENT: u32 = 1 << 2;
    let mut diag = match Diag::open() {
        Ok(diag) => diag,
        Err(error) => skip!("cannot open a netlink socket: {error}"),
    };
    let mut ask = |family, program: &[u8]| diag.dump(family, SYN_SENT, Some(program), &mut |_| {});
    // The kernel must refuse a bad program, or its acceptance of good ones means nothing.
    let nowhere = 12_u16.to_ne_bytes();
    assert_eq!(ask(2, &[6, 4, nowhere[0], nowhere[1]]), 22, "a program that leads nowhere");
    let mut rng = Rng::with_seed(0x11fe);
    let mut sent = 0;
    while sent < 500 {
        let kind = if rng.bool() { Kind::Any } else { Kind::Exact };
        let (text, expr) = drawn(&mut rng, kind);
        for dialect in [Dialect::Modern, Dialect::Classic] {
            let Some(program) = program(&expr, dialect) else { continue };
            sent += 1;
            let family = if rng.bool() { 2 } else { 10 };
            match ask(family, &program) {
                0 => {}
                EPERM if text.contains("fwmark") && !rustix::process::geteuid().is_root() => {}
                errno => panic!("errno {errno} for {text}: {dialect:?} {}", listing(&program)),
            }
        }
    }
}
