//! Deliberate differences from the reference: each test here is named by its
//! row of COMPAT.md and shows both sides, the reference first.

use std::path::{Path, PathBuf};
use std::process::Command;

use sockdiag_testkit::compare::{Case, Ended, Outcome, run};
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::recording::{self, Msg, attr};
use sockdiag_testkit::reference::Reference;
use sockdiag_testkit::skip;
use sockdiag_testkit::zoo::Zoo;

const OURS: &str = env!("CARGO_BIN_EXE_ss");

/// What the reference and ours make of a case.
fn both(case: &Case<'_>) -> Option<(Outcome, Outcome)> {
    let reference = match Reference::get() {
        Ok(reference) => reference,
        Err(why) => {
            sockdiag_testkit::skip::report(format_args!("no reference: {why}"));
            return None;
        }
    };
    let theirs = run(reference.command(), case).unwrap_or_else(|why| panic!("{case}: {why}"));
    let ours = run(Command::new(OURS), case).unwrap_or_else(|why| panic!("{case}: {why}"));
    Some((theirs, ours))
}

fn case(words: &str) -> Case<'static> {
    Case::new(&words.split(' ').collect::<Vec<_>>())
}

fn ours(case: &Case<'_>) -> Outcome {
    run(Command::new(OURS), case).unwrap_or_else(|why| panic!("{case}: {why}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("compat-{name}"));
    std::fs::write(&path, bytes).expect("the test's own file");
    path
}

fn done(mut bytes: Vec<u8>) -> Vec<u8> {
    recording::append_done(&mut bytes);
    bytes
}

#[test]
fn version_adds_a_line() {
    for words in ["-V", "-v", "--version"] {
        let Some((theirs, ours)) = both(&case(words)) else { return };
        let own = format!("sockdiag {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(text(&ours.stdout), text(&theirs.stdout) + &own);
        assert_eq!(ours.ended, Ended::Exit(0));
    }
}

#[test]
fn help_adds_a_section() {
    for words in ["-h", "--help", "-f help"] {
        let Some((theirs, ours)) = both(&case(words)) else { return };
        let (theirs, ours) = (text(&theirs.stdout), text(&ours.stdout));
        let own = ours.strip_prefix(&theirs).expect("the reference's help comes first");
        assert!(own.starts_with('\n') && own.contains("--dccp"), "{own}");
    }
    let Some((theirs, ours)) = both(&case("-Y")) else { return };
    assert_eq!(text(&ours.stderr), text(&theirs.stderr), "a usage error prints the reference's help alone");
}

#[test]
fn dccp_is_an_option_again() {
    for words in ["-dan", "--dccp -an", "-an -A dccp"] {
        let Some((theirs, ours)) = both(&case(words)) else { return };
        assert_eq!(theirs.ended, Ended::Exit(255));
        assert_eq!(ours.ended, Ended::Exit(3), "not listed yet");
        assert!(text(&ours.stderr).contains("DCCP"), "{}", text(&ours.stderr));
    }
    // Abbreviations stay the reference's.
    for words in ["--d", "--dc", "--dcc"] {
        let Some((theirs, ours)) = both(&case(words)) else { return };
        assert_eq!((ours.stderr, ours.ended), (theirs.stderr, theirs.ended), "{words}");
    }
}

#[test]
fn absent_families_are_named() {
    for words in [
        "-w",
        "-x",
        "-0",
        "-M",
        "-S",
        "--vsock",
        "--tipc",
        "--xdp",
        "-f unix",
        "-f netlink",
        "-f link",
        "-A raw",
        "-A packet",
        "-A unix_stream",
        "-A tcp,u_dgr",
        "-tx",
        "-tan src unix:*",
        "-tan dst vsock:2",
    ] {
        let ours = ours(&case(words));
        assert_eq!(ours.ended, Ended::Exit(3), "{words}");
        assert!(ours.stdout.is_empty(), "{words}: nothing that looks like an answer");
        assert!(text(&ours.stderr).contains("not there yet"), "{words}: {}", text(&ours.stderr));
    }
    for words in ["-an", "-ln", "-n", "-4n", "-n -A inet", "-n -A all"] {
        let ours = ours(&case(words));
        assert_eq!(ours.ended, Ended::Exit(0), "{words}");
        assert!(text(&ours.stderr).contains("left out"), "{words}: {}", text(&ours.stderr));
        assert!(text(&ours.stdout).starts_with("Netid"), "{words}");
    }
}

#[test]
fn absent_modes_are_named() {
    // In a namespace of its own: the reference's -K closes what it sees.
    let Some(namespace) = Namespace::or_skip() else { return };
    for words in ["-s", "-tE", "-tK", "-tp", "-t --bpf-maps", "-t --bpf-map-id=1"] {
        let ours = ours(&case(words).inside(&namespace));
        assert_eq!(ours.ended, Ended::Exit(3), "{words}");
        assert!(ours.stdout.is_empty() && text(&ours.stderr).contains("not there yet"), "{words}");
    }
}

#[test]
fn ports_beyond_16_bits_are_compared_as_they_are() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let _zoo = Zoo::start(&namespace, &["tcp-listen", "tcp-ports"]).unwrap_or_else(|why| panic!("{why}"));
    let Some((all, _)) = both(&case("-tanH").inside(&namespace)) else { return };
    for words in ["-tanH sport < 70000", "-tanH not sport >= 70000"] {
        // The kernel compares with 70000 - 65536: every socket above 4464 is lost.
        let Some((theirs, ours)) = both(&case(words).inside(&namespace)) else { return };
        assert!(theirs.stdout.len() < all.stdout.len(), "{words}");
        assert_eq!(text(&ours.stdout), text(&all.stdout), "{words}");
    }
}

#[test]
fn fields_can_be_tested_by_name() {
    let mut info = vec![0_u8; 280];
    info[68..72].copy_from_slice(&250_000_u32.to_ne_bytes()); // rtt
    let mut slow = Msg::v4().with(attr::INFO, info.clone());
    slow.sport = 1111;
    info[68..72].copy_from_slice(&30_u32.to_ne_bytes());
    let mut fast = Msg::v4().with(attr::INFO, info);
    fast.sport = 2222;
    let bytes = done([slow.to_bytes(), fast.to_bytes()].concat());
    let path = file("by-name", &bytes);
    let case = case("-tanH tcp.rtt_us >= 100000").env("TCPDIAG_FILE", &path);
    let Some((theirs, ours)) = both(&case) else { return };
    assert_eq!(theirs.ended, Ended::Exit(1), "the reference takes the name for an address");
    assert_eq!(ours.ended, Ended::Exit(0), "{}", text(&ours.stderr));
    assert!(text(&ours.stdout).contains(":1111") && !text(&ours.stdout).contains(":2222"));
}

#[test]
fn damaged_recordings_end_with_a_message() {
    let whole = Msg::v4().to_bytes();
    let long = Msg::v4().with(attr::CONG, vec![b'x'; 20_000]).to_bytes();
    let mut short = Msg::v4().to_bytes();
    short[0..4].copy_from_slice(&8_u32.to_ne_bytes());
    for (name, damage) in [("long", long), ("short", short)] {
        let path = file(name, &done([whole.clone(), damage].concat()));
        let Some((theirs, ours)) = both(&case("-tanH").env("TCPDIAG_FILE", &path)) else { return };
        assert!(!matches!(theirs.ended, Ended::Exit(_)), "{name}: the reference is killed");
        assert_eq!(ours.ended, Ended::Exit(255), "{name}");
        assert!(text(&ours.stderr).contains("damaged recording"), "{}", text(&ours.stderr));
        assert!(text(&ours.stdout).contains("127.0.0.1:40000"), "{name}: the row before is shown");
    }
    // A body too short for a socket: the reference prints what was in memory before.
    let mut cut = whole[..40].to_vec();
    cut[0..4].copy_from_slice(&40_u32.to_ne_bytes());
    let path = file("cut", &done([cut, whole].concat()));
    let Some((_, ours)) = both(&case("-tanH").env("TCPDIAG_FILE", &path)) else { return };
    assert_eq!(text(&ours.stdout).lines().count(), 1, "what cannot be read is left out");
}

#[test]
fn unreadable_attributes_are_reported_once_a_socket() {
    let mut bytes = Msg::v4().to_bytes();
    bytes.extend_from_slice(&[40, 0, 5, 0, 0, 0, 0, 0]);
    let length = bytes.len() as u32;
    bytes[0..4].copy_from_slice(&length.to_ne_bytes());
    let path = file("deficit", &done(bytes));
    let Some((theirs, ours)) = both(&case("-tanH").env("TCPDIAG_FILE", &path)) else { return };
    assert_eq!(text(&ours.stdout), text(&theirs.stdout));
    assert_eq!(text(&ours.stderr), "!!!Deficit 8, rta_len=40\n");
    assert_eq!(text(&theirs.stderr), text(&ours.stderr).repeat(2));
}

#[test]
fn states_without_a_name_are_unknown() {
    let mut odd = Msg::v4();
    odd.state = 14;
    let path = file("state", &done(odd.to_bytes()));
    let Some((theirs, ours)) = both(&case("-tanH").env("TCPDIAG_FILE", &path)) else { return };
    assert_ne!(theirs.stdout, ours.stdout, "the reference reads past its table");
    assert!(text(&ours.stdout).starts_with("UNKNOWN "), "{}", text(&ours.stdout));
}

#[test]
fn members_that_are_cut_are_absent() {
    let mut info = vec![0_u8; 70];
    info[68] = 200; // two of four bytes of rtt
    let path = file("cut-member", &done(Msg::v4().with(attr::INFO, info).to_bytes()));
    let Some((theirs, ours)) = both(&case("-tanHi").env("TCPDIAG_FILE", &path)) else { return };
    assert!(text(&theirs.stdout).contains("rtt:0.2/0"), "{}", text(&theirs.stdout));
    assert!(!text(&ours.stdout).contains("rtt:"), "{}", text(&ours.stdout));
}

#[test]
fn md5_keys_end_with_their_record() {
    let mut key = vec![b'k'; 100];
    key[0] = 2;
    key[1] = 32;
    key[2..4].copy_from_slice(&90_u16.to_ne_bytes());
    let path = file("md5", &done(Msg::v4().with(attr::MD5SIG, key).to_bytes()));
    let Some((_, ours)) = both(&case("-tanHi").env("TCPDIAG_FILE", &path)) else { return };
    assert!(text(&ours.stdout).contains(&format!("={}\n", "k".repeat(80))), "{}", text(&ours.stdout));
}

#[test]
fn services_of_udp_alone_have_their_own_port() {
    // With both tables shown, the reference takes the port of another line of /etc/services.
    let Some(namespace) = Namespace::or_skip() else { return };
    let _zoo = Zoo::start(&namespace, &["udp-ports"]).unwrap_or_else(|why| panic!("{why}"));
    let Some((one, _)) = both(&case("-uanH sport = :ntp").inside(&namespace)) else { return };
    if one.stdout.is_empty() {
        skip!("this machine does not know the service ntp");
    }
    let Some((theirs, ours)) = both(&case("-tuanH sport = :ntp").inside(&namespace)) else { return };
    assert!(!text(&theirs.stdout).contains(":ntp") && !text(&theirs.stdout).contains(":123"));
    assert!(text(&ours.stdout).contains(":123"), "{}", text(&ours.stdout));
}
