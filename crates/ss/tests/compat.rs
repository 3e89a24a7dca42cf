//! Deliberate differences from the reference: each test is named after its row of COMPAT.md
//! and shows both sides, the reference first.

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]
#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use sockdiag_testkit::compare::{Case, Ended, Outcome, run, run_every_search};
use sockdiag_testkit::holders::Holder;
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::owners::Owners;
use sockdiag_testkit::recording::{self, Msg, attr};
use sockdiag_testkit::reference::{Reference, Suite};
use sockdiag_testkit::replies::{self, Talk};
use sockdiag_testkit::skip;
use sockdiag_testkit::zoo::Zoo;

const OURS: &str = env!("CARGO_BIN_EXE_ss");

/// The outcomes of the reference and ours for a case.
fn both(case: &Case<'_>) -> Option<(Outcome, Outcome)> {
    let reference = match Reference::get() {
        Ok(reference) => reference,
        Err(why) => {
            sockdiag_testkit::skip::report(format_args!("no reference: {why}"));
            return None;
        }
    };
    let theirs = run(reference.command(), case).unwrap_or_else(|why| panic!("{case}: {why}"));
    Some((theirs, ours(case)))
}

fn case(words: &str) -> Case<'static> {
    Case::new(&words.split(' ').collect::<Vec<_>>())
}

fn ours(case: &Case<'_>) -> Outcome {
    run_every_search(Path::new(OURS), case).unwrap_or_else(|why| panic!("{case}: {why}"))
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
        assert!(own.starts_with('\n') && own.contains("--dccp") && own.contains("\nYou want "), "{own}");
    }
    let Some((theirs, ours)) = both(&case("-Y")) else { return };
    assert_eq!(text(&ours.stderr), text(&theirs.stderr), "a usage error prints the reference's help alone");
}

#[test]
fn dccp_is_an_option_again() {
    // Kernels since 6.16 have no DCCP; tools/kernels/replay.py replays recordings of older
    // ones.
    let before = Reference::of(Suite::Forky);
    for words in ["-dan", "--dccp -an", "-an -A dccp", "-dln", "-dn state all"] {
        let Some((theirs, ours)) = both(&case(words)) else { return };
        assert_eq!(theirs.ended, Ended::Exit(255), "{words}");
        assert_eq!(ours.ended, Ended::Exit(0), "{words}: {}", text(&ours.stderr));
        let before = match &before {
            Ok(before) => run(before.command(), &case(words)).unwrap_or_else(|why| panic!("{words}: {why}")),
            Err(why) => skip!("no reference with DCCP: {why}"),
        };
        assert_eq!(text(&ours.stdout), text(&before.stdout), "{words}");
        assert_eq!(text(&ours.stderr), text(&before.stderr), "{words}");
    }
    // DCCP has no /proc text, so the variable empties the table.
    let Ok(forky) = &before else { return };
    let emptied = case("-dan").env("PROC_NET_DCCP", "/nonexistent");
    let theirs = run(forky.command(), &emptied).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(ours(&emptied), theirs);
    // A kernel that supports it, with either request.
    let rows: Vec<u8> = [Msg::v4().with(attr::SHUTDOWN, [2]), Msg::v4().with(attr::INFO, [1; 104])]
        .iter()
        .flat_map(Msg::to_bytes)
        .collect();
    let answer = [rows, replies::done(0)];
    let (newer, older) = (Talk::new().inet(2, 33, &answer), Talk::new().legacy(19, &answer));
    for (name, talk) in [("newer", newer), ("older", older)] {
        let path = file(&format!("dccp-{name}"), b"");
        talk.write(&path).unwrap_or_else(|why| panic!("{why}"));
        for words in ["-dan", "-danemoi", "-6dan"] {
            let case = replies::with(case(words), &path).unwrap_or_else(|why| panic!("{why}"));
            let Ok(before) = &before else { return };
            let before = run(before.command(), &case).unwrap_or_else(|why| panic!("{case}: {why}"));
            let ours = ours(&case);
            assert_eq!(text(&ours.stdout), text(&before.stdout), "{name} {words}");
            assert_eq!(ours.stderr, before.stderr, "{name} {words}");
            assert_eq!(text(&ours.stdout).lines().count() > 1, !words.contains('6'), "{name} {words}");
        }
    }
    // Abbreviations behave as in the reference.
    for words in ["--d", "--dc", "--dcc"] {
        let Some((theirs, ours)) = both(&case(words)) else { return };
        assert_eq!((ours.stderr, ours.ended), (theirs.stderr, theirs.ended), "{words}");
    }
}

/// Families that some kernels lack; the reference prints nothing about it.
const MAY_BE_MISSING: &[(&str, &str)] = &[
    ("-S", "SCTP"),
    ("--sctp -a", "SCTP"),
    ("-A sctp,tcp -an", "SCTP"),
    ("-4 -6 -San", "SCTP"),
    ("-f vsock", "vsock"),
    ("--vsock -an", "vsock"),
    ("-A v_str,v_dgr -an", "vsock"),
    ("-an src vsock:3", "vsock"),
    ("-f xdp", "XDP"),
    ("--tipc", "TIPC"),
    ("-A tipc -a", "TIPC"),
];

#[test]
fn what_the_kernel_lacks_is_explained_to_people() {
    let mut explained = 0;
    for (words, title) in MAY_BE_MISSING {
        let Some((theirs, piped)) = both(&case(words)) else { return };
        assert_eq!(piped, theirs, "{words}: a pipe gets the reference's");
        let asked = ours(&case(&format!("--explain {words}")));
        let shown = ours(&case(words).errors_to_terminal());
        assert_eq!((&asked.stdout, asked.ended), (&theirs.stdout, theirs.ended), "{words}");
        assert_eq!((&shown.stdout, shown.ended), (&theirs.stdout, theirs.ended), "{words}");
        assert_eq!(text(&shown.stderr), text(&asked.stderr), "{words}: a terminal is asked enough");
        let said = text(&asked.stderr);
        let lines: Vec<_> = said.lines().collect();
        if let [line] = lines.as_slice() {
            assert!(
                line.starts_with("ss: ") && line.contains(&format!("{title} sockets")),
                "{words}: {line}"
            );
            explained += 1;
        } else {
            assert!(lines.is_empty(), "{words}: one line: {said}");
        }
    }
    if explained == 0 {
        skip!("this kernel lacks none of these families");
    }
}

#[test]
fn what_was_not_named_or_has_text_is_not_explained() {
    for words in [
        "-a",
        "-an",
        "-l",
        "-A all -an",
        "-A inet -an",
        "-f inet -an",
        "-4an",
        "-wan",
        "-tuwxan",
        "-0an",
        "-s",
    ] {
        let said = ours(&case(&format!("--explain {words}")));
        assert!(said.stderr.is_empty(), "{words}: {}", text(&said.stderr));
    }
    // A table emptied by the environment is not reported as missing in the kernel.
    for (variable, words) in [("PROC_NET_SCTP", "-San"), ("PROC_NET_RAW", "-wan"), ("PROC_ROOT", "-Man")] {
        let said = ours(&case(&format!("--explain {words}")).env(variable, "/nonexistent"));
        assert!(said.stderr.is_empty(), "{words}: {}", text(&said.stderr));
    }
    // Abbreviations behave as in the reference.
    for words in ["--e", "--ex", "--exp", "--expl", "--explai", "--explain=1"] {
        let Some((theirs, ours)) = both(&case(words)) else { return };
        let name = |outcome: &Outcome| text(&outcome.stderr).lines().next().map(str::to_owned);
        if words == "--explain=1" {
            assert_eq!(name(&ours).as_deref(), Some("ss: option '--explain' doesn't allow an argument"));
        } else {
            assert_eq!((name(&ours), ours.ended), (name(&theirs), theirs.ended), "{words}");
        }
    }
}

/// Whatever prevents a walk, the rows are those of a dump.
#[test]
fn what_cannot_be_walked_is_dumped() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let _holder = Holder::start(&namespace, 10, 0).unwrap_or_else(|why| panic!("{why}"));
    let run = |words: &[&str], unprivileged: bool| {
        let mut command = if unprivileged {
            let mut command = namespace.command("setpriv");
            command.args(["--bounding-set=-bpf,-sys_admin,-perfmon", OURS]);
            command
        } else {
            namespace.command(OURS)
        };
        command.args(words).output().expect("it runs")
    };
    let name = |way| ["-tan", "--source", way];
    let [walk, netlink, proc] = ["walk", "netlink", "proc"].map(|way| run(&name(way), false));
    assert_eq!((text(&walk.stdout), text(&netlink.stderr)), (text(&netlink.stdout), String::new()));
    assert!(text(&netlink.stdout).lines().count() > 1, "{}", text(&netlink.stdout));
    assert!(proc.status.success() && proc.stderr.is_empty());
    // A condition that only the kernel can evaluate.
    let asked = run(&["-tan", "--source", "walk", "autobound"], false);
    let said = text(&asked.stderr);
    assert!(said.contains("read by dumps, not by a walk") && said.contains("autobound"), "{said}");
    let wrong = run(&["-tan", "--source", "fast"], false);
    assert!(!wrong.status.success(), "{wrong:?}");
    assert_eq!(text(&wrong.stderr), "ss: --source cannot be \"fast\", only walk, netlink, proc\n");
    if rustix::process::geteuid().is_root() && Command::new("setpriv").arg("--version").output().is_ok() {
        let refused = run(&["-tan", "--source", "walk"], true);
        let said = text(&refused.stderr);
        assert_eq!(said, "ss: TCP sockets are read by dumps, not by a walk: needs CAP_BPF and CAP_PERFMON\n");
        assert_eq!(text(&refused.stdout), text(&netlink.stdout));
        let hidden = format!("mount -t tmpfs none /sys/kernel/btf && exec {OURS} -tan --source walk");
        let untyped =
            namespace.command("unshare").args(["-m", "sh", "-c", &hidden]).output().expect("it runs");
        let said = text(&untyped.stderr);
        assert!(said.ends_with("the kernel provides no type information (BTF)\n"), "{said}");
        assert_eq!(text(&untyped.stdout), text(&netlink.stdout));
    }
}

#[test]
fn who_may_not_ask_is_told_so() {
    for (words, family, protocol, title) in [("-San", 2, 132, "SCTP"), ("--vsock -an", 40, 0, "vsock")] {
        for errno in [1, 13] {
            let refused = [replies::refusal(errno)];
            let talk = match protocol {
                0 => Talk::new().sockets(family, &refused),
                protocol => Talk::new().inet(family, protocol, &refused),
            };
            let path = file(&format!("refused-{title}-{errno}"), b"");
            talk.write(&path).unwrap_or_else(|why| panic!("{why}"));
            let asked = |words: &str| replies::with(case(words), &path).unwrap_or_else(|why| panic!("{why}"));
            let Some((theirs, plain)) = both(&asked(words)) else { return };
            assert_eq!(plain, theirs, "{words}");
            let said = ours(&asked(&format!("--explain {words}")));
            let own = text(&said.stderr);
            let own = own.strip_prefix(&text(&theirs.stderr)).expect("the reference's words come first");
            assert!(
                own.starts_with(&format!("ss: listing {title} sockets is not permitted here: ")),
                "{own}"
            );
            assert_eq!(own.lines().count(), 1, "{own}");
        }
    }
}

#[test]
fn nobody_is_told_why_as_root_is() {
    let root = ours(&case("--explain -San"));
    let out = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", OURS, "--explain", "-San"])
        .output();
    let out = match out {
        Ok(out) if !text(&out.stderr).contains("setpriv") => out,
        Ok(out) => skip!("{}", text(&out.stderr).trim_end()),
        Err(error) => skip!("no setpriv: {error}"),
    };
    assert_eq!(text(&out.stderr), text(&root.stderr));
    assert_eq!((out.stdout, out.status.code()), (root.stdout, Some(0)));
}

#[test]
fn process_names_cannot_forge_output() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let names = ["x\",pid=1,fd=9", "a)b(c", "back\\slash", "new\nESTAB", ")"];
    let _owners = Owners::start(&namespace, &names).unwrap_or_else(|why| panic!("{why}"));
    let Some((theirs, ours)) = both(&case("-uanpH sport = :5902").inside(&namespace)) else { return };
    let (theirs, ours) = (text(&theirs.stdout), text(&ours.stdout));
    for (raw, whole) in [
        ("(\"x\",pid=1,fd=9\",pid=", "(\"x\\\",pid=1,fd=9\",pid="),
        ("(\"a\",pid=", "(\"a)b(c\",pid="),
        ("(\"back\\slash\",pid=", "(\"back\\\\slash\",pid="),
        ("(\"\",pid=", "(\")\",pid="),
        ("(\"new.ESTAB\",pid=", "(\"new.ESTAB\",pid="),
    ] {
        assert!(theirs.contains(raw), "{raw} is not in {theirs}");
        assert!(ours.contains(whole), "{whole} is not in {ours}");
    }
    // With names printed as the reference prints them, the rows are the same.
    let mut alike = ours.clone();
    for (whole, raw) in [("x\\\",", "x\","), ("a)b(c\"", "a\""), ("k\\\\s", "k\\s"), ("\")\"", "\"\"")] {
        alike = alike.replace(whole, raw);
    }
    assert_eq!(alike, theirs);
    assert_eq!(ours.lines().count(), 1);
}

#[test]
fn long_process_names_are_whole() {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compat-long-name");
    let _ = std::fs::remove_dir_all(&root);
    std::fs::create_dir_all(root.join("7/fd")).expect("the test's own directory");
    let name = "kworker/u16:3-events_unbound";
    std::fs::write(root.join("7/stat"), format!("7 ({name}) S")).expect("the test's own file");
    std::os::unix::fs::symlink("socket:[621]", root.join("7/fd/3")).expect("the test's own link");
    let line = "   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 621\n";
    let tcp = file("long-name-tcp", format!("header\n{line}").as_bytes());
    let case = case("-tanpH").env("PROC_ROOT", &root).env("PROC_NET_TCP", &tcp);
    let Some((theirs, ours)) = both(&case) else { return };
    let holder = format!("users:((\"{name}\",pid=7,fd=3))");
    assert!(text(&ours.stdout).contains(&holder), "{}", text(&ours.stdout));
    assert!(!text(&theirs.stdout).contains(&holder), "the reference overruns 16 bytes");
}

#[test]
fn a_summary_without_currestab_says_so() {
    let snmp = file("no-currestab", b"Tcp: RtoMin RtoMax\nTcp: 1 200\n");
    let Some((theirs, ours)) = both(&case("-s").env("PROC_NET_SNMP", &snmp)) else { return };
    assert!(text(&theirs.stdout).contains("(estab 200,"), "{}", text(&theirs.stdout));
    assert!(text(&ours.stdout).contains("(estab 0,"), "{}", text(&ours.stdout));
    assert_eq!(text(&ours.stderr), "ss: get_snmpstat: No such process\n");
}

#[test]
fn holders_can_be_counted_in_a_condition() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let _owners = Owners::start(&namespace, &["one", "two"]).unwrap_or_else(|why| panic!("{why}"));
    // Each of four processes has four descriptors of the listener.  The fourth has lost its
    // first thread, so the text format shows none of its descriptors.
    for (words, rows) in [
        ("-tanH socket.processes = 16", 1),
        ("-tanH socket.processes = 4", 2),
        ("-tanpH socket.processes > 4", 1),
        ("-tuanH socket.processes < 5", 3),
    ] {
        let ours = ours(&case(words).inside(&namespace));
        assert_eq!(text(&ours.stdout).lines().count(), rows, "{words}: {}", text(&ours.stdout));
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
    // A message too short for a socket: the reference prints uninitialised memory.
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
fn sctp_states_without_a_name_are_unknown() {
    let endpoint = |state: u8| {
        let mut msg = Msg::v4().with(attr::PROTOCOL, [132]);
        (msg.state, msg.inode) = (state, 5);
        msg
    };
    // An association with an unknown state, in its column or in its internals.
    let mut info = vec![0_u8; 368];
    info[4] = 8;
    for (name, last) in [("column", endpoint(8)), ("info", endpoint(3).with(attr::INFO, info))] {
        let bytes = done([endpoint(10).to_bytes(), last.to_bytes()].concat());
        let path = file(&format!("sctp-state-{name}"), &bytes);
        let Some((theirs, ours)) = both(&case("-tanHi").env("TCPDIAG_FILE", &path)) else { return };
        assert_ne!(theirs.stdout, ours.stdout, "{name}: the reference reads past its table, or crashes");
        assert_eq!(ours.ended, Ended::Exit(0), "{name}");
        assert!(text(&ours.stdout).contains("UNKNOWN"), "{name}: {}", text(&ours.stdout));
    }
}

#[test]
fn members_that_are_cut_are_absent() {
    let mut info = vec![0_u8; 70];
    info[68] = 200; // two of four bytes of rtt
    let path = file("cut-member", &done(Msg::v4().with(attr::INFO, info).to_bytes()));
    let Some((theirs, ours)) = both(&case("-tanHi").env("TCPDIAG_FILE", &path)) else { return };
    assert!(text(&theirs.stdout).contains("rtt:0.2/0"), "{}", text(&theirs.stdout));
    assert!(!text(&ours.stdout).contains("rtt:"), "{}", text(&ours.stdout));
    // A truncated member of sctp_info, and a truncated address of an association.
    let mut peers = vec![0_u8; 133];
    peers[..8].copy_from_slice(&[2, 0, 0, 0, 10, 0, 0, 1]);
    peers[128] = 2;
    let info = [1, 1, 1, 1, 4, 0];
    let msg = Msg::v4().with(attr::PROTOCOL, [132]).with(attr::INFO, info).with(attr::PEERS, peers);
    let path = file("cut-sctp", &done(msg.to_bytes()));
    let Some((theirs, ours)) = both(&case("-tanHi").env("TCPDIAG_FILE", &path)) else { return };
    let cut = "peers:10.0.0.1,0.0.0.0 tag:1010101 state:SHUTDOWN_PENDING";
    assert!(text(&theirs.stdout).contains(cut), "{}", text(&theirs.stdout));
    assert!(text(&ours.stdout).ends_with("peers:10.0.0.1 tag:1010101\n"), "{}", text(&ours.stdout));
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
    // With both tables shown, the reference uses the port from another line of /etc/services.
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

#[test]
fn rows_of_no_inet_family_are_left_out() {
    let mut odd = Msg::v4();
    odd.family = 38;
    let path = file("family", &done([odd.to_bytes(), Msg::v4().to_bytes()].concat()));
    let Some((theirs, ours)) = both(&case("-tanH").env("TCPDIAG_FILE", &path)) else { return };
    assert_eq!((text(&theirs.stdout).lines().count(), text(&ours.stdout).lines().count()), (2, 1));
}

/// Lists the TCP listeners of a namespace without a filter, and with a filter from a file by
/// the reference and by ours.
fn listening(filter: &str) -> Option<(Outcome, Outcome, Outcome)> {
    let namespace = Namespace::or_skip()?;
    let _zoo =
        Zoo::start(&namespace, &["tcp-listen-partial", "tcp-ports"]).unwrap_or_else(|why| panic!("{why}"));
    let (all, _) = both(&case("-tlnH").inside(&namespace))?;
    let (theirs, ours) = both(&case("-tlnH -F -").stdin(filter).inside(&namespace))?;
    Some((all, theirs, ours))
}

#[test]
fn very_long_filters_still_ask_the_kernel() {
    let mut filter = String::from("sport = :1\n");
    for port in 2..=5000 {
        let _ = writeln!(filter, "or sport = :{port}");
    }
    filter += "or sport > :5000\n";
    let Some((all, theirs, ours)) = listening(&filter) else { return };
    assert_ne!(text(&theirs.stdout), text(&all.stdout), "/proc text knows no backlog");
    assert_eq!(text(&ours.stdout), text(&all.stdout));
}

#[test]
fn conditions_that_always_hold_are_not_sent() {
    // The library sends the kernel no filter for these, which this test does not check.
    let Some((all, _, ours)) = listening("fwmark = 0 or src any\n") else { return };
    assert_eq!(text(&ours.stdout), text(&all.stdout));
}

/// The outcomes of both for a crafted kernel reply, on a kernel with one interface.
fn both_of_replies(name: &str, family: u8, rows: &[Vec<u8>], words: &str) -> Option<(Outcome, Outcome)> {
    let path = file(&format!("replies-{name}"), b"");
    let talk = Talk::new().links(&[(1, "lo")]).sockets(family, &[rows.concat(), replies::done(0)]);
    talk.write(&path).unwrap_or_else(|why| panic!("{why}"));
    match replies::with(case(words), &path) {
        Ok(case) => both(&case),
        Err(why) => {
            sockdiag_testkit::skip::report(why);
            None
        }
    }
}

#[test]
fn vsock_contexts_are_compared() {
    let rows = [
        replies::vsock(1, 1, 0, (3, 1024), (2, 22)),
        replies::vsock(1, 1, 0, (4, 1024), (2, 22)),
        replies::vsock(1, 1, 0, (3, 1025), (5, 22)),
    ];
    for (words, theirs_count, ours_count) in [
        ("--vsock -H src vsock:3", 3, 2),
        ("--vsock -H src vsock:3:1024", 2, 1),
        ("--vsock -H dst vsock:2:22", 3, 2),
        ("--vsock -H not src 3", 0, 1),
    ] {
        let Some((theirs, ours)) = both_of_replies("cid", 40, &rows, words) else { return };
        assert_eq!(text(&theirs.stdout).lines().count(), theirs_count, "{words}");
        assert_eq!(text(&ours.stdout).lines().count(), ours_count, "{words}");
    }
}

#[test]
fn replies_that_lack_something_are_left_out() {
    let queues = [(0, 5), (1, 6), (4, 9)].map(|(kind, word)| replies::attr(kind, &replies::words(&[word])));
    let whole = replies::tipc(1, 1, 0, &[replies::attr(5, &queues.concat())]);
    let lacking = replies::tipc(1, 1, 0, &[replies::attr(5, &queues[..2].concat())]);
    let rows = [lacking, whole];
    let Some((theirs, ours)) = both_of_replies("tipc", 30, &rows, "--tipc -H --tipcinfo") else { return };
    assert!(!matches!(theirs.ended, Ended::Exit(_)), "the reference is killed");
    assert_eq!(text(&ours.stdout).matches("16781314:1234").count(), 1, "{}", text(&ours.stdout));
    // A reply too short for a socket: the reference prints uninitialised memory.
    let short = replies::socket(&[40, 1, 1, 0, 77, 0, 0, 0, 78, 0, 0, 0, 79, 0, 0, 0]);
    let rows = [replies::vsock(1, 1, 0, (3, 1024), (2, 22)), short];
    let Some((theirs, ours)) = both_of_replies("vsock", 40, &rows, "--vsock -H") else { return };
    assert!(text(&theirs.stdout).contains("77:78"), "{}", text(&theirs.stdout));
    assert_eq!(text(&ours.stdout).lines().count(), 1, "{}", text(&ours.stdout));
}

#[test]
fn tipc_types_without_a_name_are_unknown() {
    let queues = [(0, 5), (1, 6), (4, 9)].map(|(kind, word)| replies::attr(kind, &replies::words(&[word])));
    let rows = [replies::tipc(3, 1, 0, &[replies::attr(5, &queues.concat())])];
    let Some((theirs, ours)) = both_of_replies("type", 30, &rows, "--tipc -H --tipcinfo") else { return };
    assert!(text(&theirs.stdout).contains(" type:(null) "), "{}", text(&theirs.stdout));
    assert!(text(&ours.stdout).contains(" type:UNKNOWN "), "{}", text(&ours.stdout));
}

#[test]
fn xdp_members_that_are_cut_are_zero() {
    let rows = [replies::xdp(7, 8, &[replies::attr(3, &[1, 2]), replies::attr(2, &replies::words(&[1000]))])];
    let Some((theirs, ours)) = both_of_replies("xdp", 44, &rows, "--xdp -He") else { return };
    assert!(!text(&theirs.stdout).contains("rx(entries:0)"), "{}", text(&theirs.stdout));
    assert!(text(&ours.stdout).contains("rx(entries:0)"), "{}", text(&ours.stdout));
}

#[test]
fn a_first_line_of_proc_text_that_is_too_long_costs_one_file() {
    let heading =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
    let line = |addr: &str| {
        format!(
            "   0: {addr}:0016 {addr}:0000 0A 00000000:00000000 00:00000000 00000000 0 0 621 1 f9 100 0 0 10 0\n"
        )
    };
    let six = file("long-first-6", format!("{heading}{}", line(&"0".repeat(32))).as_bytes());
    for length in [1, 254, 255, 509, 510, 5_000] {
        let text = format!("{}\n{}", "x".repeat(length), line("00000000"));
        let four = file("long-first-4", text.as_bytes());
        let case = case("-tanH").env("PROC_NET_TCP", &four).env("PROC_NET_TCP6", &six);
        let Some((theirs, ours)) = both(&case) else { return };
        let rows = |outcome: &Outcome| text_of_rows(outcome);
        let (theirs, ours) = (rows(&theirs), rows(&ours));
        if length > 509 {
            assert!(theirs.is_empty(), "{length}: {theirs:?}");
            assert_eq!(ours, ["LISTEN 0 0 *:22 *:*"], "{length}");
        } else {
            assert_eq!(ours, theirs, "{length}");
            assert_eq!(ours.len(), if length > 254 { 1 } else { 2 }, "{length}: {ours:?}");
        }
    }
}

/// Rows with runs of blanks replaced by one.
fn text_of_rows(outcome: &Outcome) -> Vec<String> {
    let blanks = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text(&outcome.stdout).lines().map(blanks).collect()
}

#[test]
fn sockets_are_listed_without_a_list_of_interfaces() {
    let path = file("no-links", b"");
    let rows = replies::xdp(7, 8, &[replies::attr(1, &replies::words(&[2_000_000_000, 3]))]);
    let talk = Talk::new().sockets(44, &[rows, replies::done(0)]);
    talk.write(&path).unwrap_or_else(|why| panic!("{why}"));
    let case = match replies::with(case("--xdp -H"), &path) {
        Ok(case) => case,
        Err(why) => skip!("{why}"),
    };
    let Some((theirs, ours)) = both(&case) else { return };
    assert_eq!(theirs.ended, Ended::Exit(1), "{}", text(&theirs.stdout));
    assert_eq!(ours.ended, Ended::Exit(0), "{}", text(&ours.stderr));
    assert!(text(&ours.stdout).contains("if2000000000:q3"), "{}", text(&ours.stdout));
}

#[test]
fn names_of_netlink_owners_are_whole_and_add_no_rows() {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compat-netlink-owners");
    let heading = "sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode";
    let names: [&[u8]; 4] = [b"plain name", b"a)b", b"x\nUNCONN 0 0 rtnl:x/1 *", b"\x1b[2J\x7f"];
    let mut lines = vec![heading.to_owned()];
    for (number, name) in names.iter().enumerate() {
        let stat = [format!("{number} (").as_bytes(), name, b") S 1 1 1"].concat();
        let directory = root.join((number + 1).to_string());
        std::fs::create_dir_all(&directory).expect("the test's own directory");
        std::fs::write(directory.join("stat"), stat).expect("the test's own file");
        lines.push(format!("1 0 {} 0 0 0 0 0 0 0", number + 1));
    }
    std::fs::create_dir_all(root.join("net")).expect("the test's own directory");
    std::fs::write(root.join("net/netlink"), lines.join("\n")).expect("the test's own file");
    let Some((theirs, ours)) = both(&case("-f netlink -aH").env("PROC_ROOT", &root)) else { return };
    assert!(text(&theirs.stdout).contains("rtnl:a/2"), "{}", text(&theirs.stdout));
    assert!(theirs.stdout.contains(&0x1b) && text(&theirs.stdout).lines().count() > names.len());
    let rows: Vec<String> = text(&ours.stdout).lines().map(str::to_owned).collect();
    assert_eq!(rows.len(), names.len(), "{rows:#?}");
    for (row, owner) in rows.iter().zip([
        "rtnl:plain name/1",
        "rtnl:a)b/2",
        "rtnl:x\\012UNCONN 0 0 rtnl:x/1 */3",
        "rtnl:\\033[2J\\177/4",
    ]) {
        assert!(row.contains(owner), "{owner}: {rows:#?}");
    }
}

#[test]
fn lines_of_proc_that_lack_fields_are_left_out() {
    for (words, variable, whole, short) in [
        ("-f netlink -anH", "PROC_NET_NETLINK", "1 6 3 2 1 1 0 1 0 0", "1 9 3"),
        ("-0anH", "PROC_NET_PACKET", "1 3 2 0800 0 1 0 0 5", "1 3 3 0003 0 1"),
    ] {
        let path = file(variable, format!("heading\n{short}\n{whole}\n").as_bytes());
        let Some((theirs, ours)) = both(&case(words).env(variable, &path)) else { return };
        assert_eq!(text(&theirs.stdout).lines().count(), 2, "{words}: it shows what was in memory");
        assert_eq!(text(&ours.stdout).lines().count(), 1, "{words}: {}", text(&ours.stdout));
    }
}

#[test]
fn packet_sockets_are_shown_without_the_names_of_interfaces() {
    let path = file("packet-no-links", b"");
    let packet = replies::netpkt::packet;
    let rows = packet(
        3,
        3,
        &[replies::attr(0, &replies::words(&[1_000_000, 0, 0, 0, 0, 0])), replies::attr(6, &[0; 36])],
    );
    let talk = replies::Talk::new().sockets(17, &[rows, replies::done(0)]);
    talk.write(&path).unwrap_or_else(|why| panic!("{why}"));
    let case = match replies::with(case("-0anH"), &path) {
        Ok(case) => case,
        Err(why) => skip!("{why}"),
    };
    let Some((theirs, ours)) = both(&case) else { return };
    assert_eq!((theirs.ended, theirs.stdout.len()), (Ended::Exit(1), 0), "{}", text(&theirs.stderr));
    assert_eq!((ours.ended, text(&ours.stderr)), (Ended::Exit(0), String::new()));
    assert!(text(&ours.stdout).contains("*:if1000000"), "{}", text(&ours.stdout));
}
