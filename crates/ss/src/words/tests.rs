use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt as _;

use sockdiag::filter::{CgroupError, FilterError, HostError, Mismatch, Remark, Reporter};
use sockdiag::model::{BadState, BadTable, BpfComplaint, Empty};
use sockdiag::notice::{Missing, NoIterator, NoWalk, Notice, Ownerless, Refusal, Tally, Unseen};
use sockdiag::source::{DumpError, DumpErrorKind};
use sockdiag::sys::netns::EnterError;

use super::*;
use crate::last_words::LastWords;

/// A sample of every variant, its message, and whether only people see it.
fn samples() -> Vec<(Notice, &'static [u8], bool)> {
    vec![
        (
            Notice::Filter(Remark::Cut { field: "comm".to_owned(), value: b"abcd".to_vec(), kept: 3 }),
            b"ss: the kernel keeps 3 bytes of comm, so it is compared with \"abc\", not \"abcd\"\n",
            true,
        ),
        (
            Notice::EndsUnheard { errno: 1 },
            b"ss: the kernel does not report closed sockets (Operation not permitted): short-lived \
                connections are missed\n",
            true,
        ),
        (
            Notice::WithoutCookies { sockets: 2 },
            b"ss: no rates for 2 sockets from /proc text, which has no cookies\n",
            true,
        ),
        (Notice::DumpInterrupted, b"Dump was interrupted and may be inconsistent.\n", false),
        (Notice::MessageTruncated, b"Message truncated\n", false),
        (Notice::Answer { errno: 13 }, b"RTNETLINK answers: Permission denied\n", false),
        (Notice::Explained { text: b"No \xff table".to_vec() }, b"Error: No \xff table.\n", false),
        (Notice::Explained { text: b"Has one.".to_vec() }, b"Error: Has one.\n", false),
        (Notice::BufferTooSmall, b"Error: Buffer too small for object.\n", false),
        (Notice::SocketFailed { errno: 1 }, b"Cannot open netlink socket: Operation not permitted\n", false),
        (Notice::SendBufferFailed { errno: 1 }, b"SO_SNDBUF: Operation not permitted\n", false),
        (Notice::ReceiveBufferFailed { errno: 1 }, b"SO_RCVBUF: Operation not permitted\n", false),
        (
            Notice::BindSocketFailed { errno: 1 },
            b"Cannot bind netlink socket: Operation not permitted\n",
            false,
        ),
        (
            Notice::ReceiveFailed { errno: 105 },
            b"netlink receive error No buffer space available (105)\n",
            false,
        ),
        (Notice::Eof, b"EOF on netlink\n", false),
        (Notice::DoneTruncated, b"DONE truncated\n", false),
        (Notice::ErrorTruncated, b"ERROR truncated\n", false),
        (Notice::Remnant { bytes: 3 }, b"!!!Remnant of size 3\n", false),
        (Notice::Deficit { bytes: -68, attr_len: 0 }, b"!!!Deficit -68, rta_len=0\n", false),
        (Notice::RecordingOpen { errno: 2 }, b"fopen($TCPDIAG_FILE): No such file or directory\n", false),
        (Notice::RecordingEof, b"Unexpected EOF reading $TCPDIAG_FILE", false),
        (Notice::RecordingAnswer { errno: 13 }, b"TCPDIAG answered: Permission denied\n", false),
        (
            Notice::RecordingHeader { errno: 21 },
            b"Reading header from $TCPDIAG_FILE: Is a directory\n",
            false,
        ),
        (Notice::RecordingBody { errno: 5 }, b"Reading $TCPDIAG_FILE: Input/output error\n", false),
        (
            Notice::DatabaseCorrupted { path: "/etc/x".into(), line: b"\xff y\n".to_vec() },
            b"Database /etc/x is corrupted at \xff y\n\n",
            false,
        ),
        (Notice::NoCgroupMount, b"Failed to find cgroup2 mount\n", false),
        (Notice::CgroupMount { errno: 13 }, b"Failed to open cgroup2 mount\n", false),
        (Notice::CgroupIdInvalid, b"Invalid cgroup2 ID\n", false),
        (Notice::CgroupOpen { errno: 1 }, b"Failed to open cgroup2 by ID\n", false),
        (
            Notice::CgroupGone,
            b"ss: the cgroup of a socket was removed or cannot be found, so its path is not known\n",
            true,
        ),
        (Notice::SockstatFailed { errno: 2 }, b"ss: get_sockstat: No such file or directory\n", false),
        (Notice::SnmpFailed { errno: 3 }, b"ss: get_snmpstat: No such process\n", false),
        (
            Notice::HoldersHidden { sockets: 3, tested: 0, why: process_7() },
            b"ss: no process found for 3 sockets: process 7 cannot be inspected\n",
            true,
        ),
        (
            Notice::HeldByThreads { sockets: 1, threads: vec![(7, 8)] },
            b"ss: 1 socket held only by a thread other than the main one; -T lists threads (process 7, thread 8)\n",
            true,
        ),
        (
            Notice::Ownerless { why: Ownerless::Unaccepted, sockets: 1, examples: Vec::new() },
            b"ss: no process for 1 socket, not yet accepted by the listening process\n",
            true,
        ),
        (
            Notice::EventsWithoutHolders,
            b"ss: a destroyed socket has no processes, so conditions on processes fail\n",
            true,
        ),
        (
            Notice::ProcText { tables: vec!["TCP", "unix stream"] },
            b"ss: TCP, unix stream: read from /proc text, which lacks some values\n",
            true,
        ),
        (
            Notice::PeersElsewhere { sockets: 2 },
            b"ss: the other ends of 2 connections are not in this network namespace (--netns all searches \
                all of them)\n",
            true,
        ),
        (
            Notice::Missing { title: "SMC", why: Missing::Option("CONFIG_SMC") },
            b"ss: this kernel has no support for listing SMC sockets: it was built without CONFIG_SMC\n",
            true,
        ),
        (
            Notice::HolderProgramRejected { why: NoIterator::Rejected { errno: 13, log: "0: no".into() } },
            b"ss: processes are looked up in /proc instead of with BPF: the kernel refused to load the BPF \
                program: Permission denied (0: no)\n  0: no\n",
            true,
        ),
        (
            Notice::HolderTablesRejected { why: NoIterator::Rejected { errno: 22, log: "0: no".into() } },
            b"ss: BPF reads open files one by one instead of whole descriptor tables: the kernel refused to \
                load the BPF program: Invalid argument (0: no)\n  0: no\n",
            true,
        ),
        (
            Notice::NamespaceGone { name: b"a b".to_vec(), errno: 2 },
            b"ss: network namespace a b: No such file or directory\n",
            true,
        ),
        (
            Notice::Walked { sockets: 7, looked_up: 0 },
            b"ss: 7 TCP sockets read by walking the kernel's tables\n",
            false,
        ),
        (
            Notice::Walked { sockets: 1, looked_up: 1 },
            b"ss: 1 TCP socket read by walking the kernel's tables, 1 of them looked up one by one\n",
            false,
        ),
        (
            Notice::NotWalked {
                why: NoWalk::Program(NoIterator::Rejected { errno: 22, log: "0: no".into() }),
            },
            b"ss: TCP sockets are read by dumps, not by a walk: the kernel refused to load the BPF program: \
                Invalid argument (0: no)\n  0: no\n",
            false,
        ),
        (
            Notice::NotWalked { why: NoWalk::Few { sockets: 3 } },
            b"ss: TCP sockets are read by dumps, not by a walk: a dump of 3 sockets costs less\n",
            false,
        ),
        (
            Notice::HoldersRefused { why: NoIterator::Privilege },
            b"ss: no BPF iterator over open files: needs CAP_BPF and CAP_PERFMON\n",
            false,
        ),
        (
            Notice::NamespacesUnseen { refused: vec![b"a".to_vec()], errno: 1, why: Unseen::default() },
            b"ss: 1 network namespace cannot be entered (a): Operation not permitted\n",
            true,
        ),
        (
            Notice::NamesUnasked { places: vec![b"services in /etc/services".to_vec(), b"users in sss".to_vec()] },
            b"ss: names are looked up without NSS: no services in /etc/services, no users in sss\n",
            true,
        ),
        (Notice::PeersLeftOut { sockets: 7 }, b"ss: the peer table is full: 7 sockets not matched\n", true),
        (Notice::Destroyed(Tally { destroyed: 1, ..Tally::default() }), b"ss: 1 socket closed\n", true),
        (Notice::DestroyRefused { errno: 1 }, b"SOCK_DESTROY answers: Operation not permitted\n", false),
        (
            Notice::EventsLost { times: 2 },
            b"ss: the netlink receive queue overflowed 2 times, so some destroyed sockets were not reported\n",
            false,
        ),
        (
            Notice::MapOpen { id: 7, errno: 1 },
            b"ss: cannot get fd for BPF map ID 7: missing root permissions, CAP_BPF, or CAP_SYS_ADMIN\n",
            false,
        ),
        (Notice::MapOpen { id: 7, errno: 2 }, b"ss: cannot get fd for BPF map ID 7\n", false),
        (Notice::MapInfo { id: 7, errno: 22 }, b"ss: failed to get info for BPF map ID 7\n", false),
        (
            Notice::MapKind { id: 7, kind: 1 },
            b"ss: BPF map with ID 7 has type ID 1, expecting 24 ('sk_storage')\n",
            false,
        ),
        (Notice::MapTypes { id: 7 }, b"ss: failed to load BTF for map ID 7\n", false),
        (
            Notice::MapsTooMany { id: 7 },
            b"ss: too many (> 32) BPF socket-local storage maps found, skipping map ID 7\n",
            false,
        ),
        (
            Notice::MapValueSize { id: u32::MAX, expected: 8, got: 3 },
            b"map_id: -1: invalid value size, expecting 8, got 3\n",
            false,
        ),
        (
            Notice::MapComplaint(BpfComplaint::BitFieldSize { size: 3 }),
            b"libbpf: unexpected bitfield size 3\n",
            false,
        ),
        (
            Notice::FileRefused { path: "/home/a/x".into(), why: Refusal::Fifo, others: 2 },
            b"ss: /home/a/x is not read: it is a FIFO (2 more files likewise)\n",
            true,
        ),
        (
            Notice::PeersUnheld { sockets: 1 },
            b"ss: no process holds the other end of 1 connection: it is not accepted yet, or closed\n",
            true,
        ),
        (
            Notice::Withheld { field: "mark".to_owned(), without: "CAP_NET_ADMIN" },
            b"ss: mark is not reported without CAP_NET_ADMIN\n",
            true,
        ),
        (
            Notice::BindFailed { from: "/etc/netns/a/x".into(), to: "/etc/x".into(), errno: 2 },
            b"Bind /etc/netns/a/x -> /etc/x failed: No such file or directory\n",
            false,
        ),
    ]
}

/// The names of an enum's variants, read from its source.
fn variants_of<'s>(source: &'s str, declaration: &str) -> BTreeSet<&'s str> {
    let (_, body) = source.split_once(declaration).unwrap_or_else(|| panic!("no {declaration}"));
    let (body, _) = body.split_once("\n}\n").expect("an end");
    let names = body.lines().filter_map(|line| line.strip_prefix("    "));
    let names = names.filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()));
    names.map(|line| line.split_once(|c: char| !c.is_alphanumeric()).expect("a name").0).collect()
}

fn variant_of(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}").chars().take_while(|letter| letter.is_alphanumeric()).collect()
}

/// A report that process 7 may not be inspected.
fn process_7() -> Unseen {
    let mut unseen = Unseen::default();
    unseen.processes.push(7);
    unseen
}

#[test]
fn every_notice_has_its_words() {
    let mut told = BTreeSet::new();
    for (notice, want, for_people) in samples() {
        let got = words(&notice);
        assert_eq!(got.escape_ascii().to_string(), want.escape_ascii().to_string());
        assert_eq!(is_for_people(&notice), for_people, "{notice:?}");
        told.insert(variant_of(&notice));
    }
    let source = include_str!("../../../sockdiag/src/notice.rs");
    let all = variants_of(source, "pub enum Notice {");
    assert!(all.len() > 40, "{all:?}");
    assert_eq!(told.iter().map(String::as_str).collect::<BTreeSet<_>>(), all);
}

/// The library's own sentences: one line, without the program's name and without the
/// reference's wording.
#[test]
fn a_notice_s_own_sentence_is_plain() {
    for (notice, ..) in samples() {
        let sentence = notice.to_string();
        assert!(!sentence.contains(char::is_control), "{sentence:?}");
        assert!(!sentence.starts_with("ss:") && !sentence.ends_with('.'), "{sentence:?}");
        for word in ["RTNETLINK", "SOCK_DESTROY answers", "!!!", "TCPDIAG", "libbpf"] {
            assert!(!sentence.contains(word), "{sentence:?}");
        }
    }
}

#[test]
fn a_document_has_a_notice_without_its_newline() {
    assert_eq!(line(&Notice::Eof), "EOF on netlink");
    assert_eq!(
        line(&Notice::PeersLeftOut { sockets: 1 }),
        "ss: the peer table is full: 1 socket not \
        matched"
    );
}

#[test]
fn what_libbpf_says_of_types() {
    let cases = [
        (BpfComplaint::IntSize { size: 3, id: 2 }, "unexpected sz 3 for id [2]"),
        (BpfComplaint::NumberSize { size: 3, id: 2 }, "unexpected size 3 for id [2]"),
        (BpfComplaint::BitFieldSize { size: 3 }, "unexpected bitfield size 3"),
        (BpfComplaint::ElementSize { id: 2 }, "unexpected elem size 0 for array type [2]"),
        (BpfComplaint::Declaration { kind: 4, id: 2 }, "unexpected type in decl chain, kind:4, id:[2]"),
    ];
    for (complaint, want) in cases {
        assert_eq!(words(&Notice::MapComplaint(complaint)), format!("libbpf: {want}\n").into_bytes());
    }
    let source = include_str!("../../../facts/src/model/bpf_map.rs");
    let told: BTreeSet<String> = cases.iter().map(|(complaint, _)| variant_of(complaint)).collect();
    let all = variants_of(source, "pub enum BpfComplaint {");
    assert_eq!(told.iter().map(String::as_str).collect::<BTreeSet<_>>(), all);
}

#[test]
fn every_error_of_a_filter_has_its_words_and_its_status() {
    let cgroup = |reason| FilterError::Cgroup { path: b"/x".to_vec(), reason };
    let no_id = "Failed to get cgroup2 ID: No such file or directory\nCannot parse cgroup /x.\n";
    // "+help": the reference's help follows.
    let cases: [(FilterError, u8, &[u8]); 20] = [
        (
            FilterError::Value {
                field: "tcp.rtt_us".to_owned(),
                value: b"-1".to_vec(),
                why: Mismatch::Range(0, 4_294_967_295, sockdiag::fields::Unit::Microseconds),
            },
            1,
            b"ss: tcp.rtt_us is between 0 and 4294967295 (1.19h), so comparing it with \"-1\" has the same result for all sockets\n",
        ),
        (
            FilterError::NotReported { field: "tcp.rtt_us".to_owned(), by: Reporter::Tables },
            1,
            b"ss: none of the listed sockets reports tcp.rtt_us\n",
        ),
        (
            FilterError::Syntax,
            255,
            b"ss: bison bellows (while parsing filter): \"syntax error!\" Sorry.\n+help",
        ),
        (
            FilterError::TooDeep,
            255,
            b"ss: bison bellows (while parsing filter): \"memory exhausted!\" Sorry.\n+help",
        ),
        (FilterError::Host(None), 1, b"Cannot parse dst/src address.\n"),
        (
            FilterError::Host(Some(HostError::Address(b"\xff".to_vec()))),
            1,
            b"Error: an inet prefix is expected rather than \"\xff\".\nCannot parse dst/src address.\n",
        ),
        (
            FilterError::Host(Some(HostError::Port(b"\xff".to_vec()))),
            1,
            b"Error: \"\xff\" does not look like a port.\nCannot parse dst/src address.\n",
        ),
        (FilterError::Device, 1, b"Cannot parse device.\n"),
        (FilterError::Mark(b"\xff".to_vec()), 1, b"Cannot parse mark \xff.\n"),
        (cgroup(CgroupError::NoId { errno: 2 }), 1, no_id.as_bytes()),
        (cgroup(CgroupError::IdSize), 1, b"Invalid size of cgroup2 ID\nCannot parse cgroup /x.\n"),
        (cgroup(CgroupError::NotMounted), 1, b"Failed to find cgroup2 mount\nCannot parse cgroup /x.\n"),
        (
            cgroup(CgroupError::MountPoint { errno: 13 }),
            1,
            b"Failed to open cgroup2 mount\nCannot parse cgroup /x.\n",
        ),
        (cgroup(CgroupError::EmptyPath), 1, b"Invalid cgroup2 path\nCannot parse cgroup /x.\n"),
        (
            FilterError::CgroupUnsupported,
            255,
            b"It looks like such filter is not supported! Too old kernel?\n",
        ),
        (FilterError::LineTooLong, 255, b"Too long line in filter\n"),
        (FilterError::InvalidLine, 255, b"Invalid line\n"),
        (
            FilterError::NoUnit { name: b"rtt".to_vec(), field: "tcp.rtt_us", value: b"5".to_vec() },
            1,
            b"ss: \"5\" has no unit: add one, or compare tcp.rtt_us instead of rtt\n",
        ),
        (
            FilterError::NotANumber { field: "tcp.rtt_us", value: b"x".to_vec() },
            1,
            b"ss: \"x\" is not a number, so tcp.rtt_us cannot be compared with it\n",
        ),
        (
            FilterError::NotANumber { field: "tcp.rtt_us", value: b"\x1b\xff".to_vec() },
            1,
            "ss: \"\\u{1b}\u{fffd}\" is not a number, so tcp.rtt_us cannot be compared with it\n".as_bytes(),
        ),
    ];
    let help = crate::help::reference().into_bytes();
    for (error, code, want) in &cases {
        let exit = LastWords::from(bad_filter(error, None));
        let want = match want.strip_suffix(b"+help") {
            Some(message) => [message, &help].concat(),
            None => want.to_vec(),
        };
        assert_eq!((exit.code, exit.stdout.len()), (*code, 0), "{error:?}");
        assert_eq!(exit.stderr.escape_ascii().to_string(), want.escape_ascii().to_string());
    }
    let told: BTreeSet<String> = cases.iter().map(|(error, ..)| variant_of(error)).collect();
    let all = variants_of(include_str!("../../../facts/src/filter/error.rs"), "pub enum FilterError {");
    assert_eq!(told.iter().map(String::as_str).collect::<BTreeSet<_>>(), all);
    let shown = LastWords::from(bad_filter(&FilterError::Device, Some("    dev x\n        ^ expected")));
    assert_eq!(shown.stderr, b"Cannot parse device.\n    dev x\n        ^ expected\n");
}

#[test]
fn words_that_are_not_text_are_quoted_as_they_are() {
    assert_eq!(reference::bad_table(&BadTable(b"\xff".to_vec())), b"ss: \"\xff\" is illegal socket table id");
    assert_eq!(reference::bad_state(&BadState(b"\xff".to_vec())), b"ss: wrong state name: \xff");
    let name = std::ffi::OsStr::from_bytes(b"\xff\n").to_owned();
    assert_eq!(
        reference::enter(&EnterError::Open { name, errno: 2 }),
        b"Cannot open network namespace \"\xff\n\": No such file or directory"
    );
}

#[test]
fn a_selection_that_leaves_nothing_ends_with_0() {
    let exit = LastWords::from(nothing_to_list(Empty::Tables));
    assert_eq!(exit.code, 0);
    assert_eq!(exit.stderr, b"ss: no socket tables to show with such filter.\n");
}

#[test]
fn each_step_into_a_namespace_has_its_message() {
    for (error, want) in [
        (
            EnterError::Set { name: "plain".into(), errno: 22 },
            "setting the network namespace \"plain\" failed: Invalid argument",
        ),
        (EnterError::Unshare { errno: 1 }, "unshare failed: Operation not permitted"),
        (EnterError::Slave { errno: 1 }, "\"mount --make-rslave /\" failed: Operation not permitted"),
        (EnterError::Sys { errno: 1 }, "mount of /sys failed: Operation not permitted"),
    ] {
        assert_eq!(reference::enter(&error), want.as_bytes());
    }
}

#[test]
fn a_walk_that_ended_early_is_told() {
    let why = || NoWalk::Program(NoIterator::Call { what: "running", errno: 1 });
    let error = |kind| DumpError { request: "tcp sockets".to_owned(), rows_delivered: 9, kind };
    assert_eq!(
        failed(&error(DumpErrorKind::Walk(why()))).as_deref(),
        Some(
            "ss: tcp sockets: the walk of its table ended early: running: Operation not permitted (after 9 sockets)"
        )
    );
    // These errors were reported as notices, in the reference's words.
    assert_eq!(failed(&error(DumpErrorKind::Eof)), None);
}

#[test]
fn only_replies_that_cannot_be_trusted_end_the_program() {
    let error = |kind| DumpError { request: "tcp sockets".to_owned(), rows_delivered: 0, kind };
    for (kind, want) in [
        (DumpErrorKind::Remnant { bytes: 3 }, Some(1)),
        (DumpErrorKind::DamagedRecording { offset: 88, length: 5 }, Some(255)),
        (DumpErrorKind::Kernel(13), None),
        (DumpErrorKind::Eof, None),
        (DumpErrorKind::Recorded(13), None),
        (DumpErrorKind::RecordingEof, None),
        (DumpErrorKind::BadLine { path: "/x".into(), line: 1 }, None),
        (DumpErrorKind::Socket(std::io::Error::from_raw_os_error(1)), None),
        (DumpErrorKind::Receive(std::io::Error::from_raw_os_error(105)), None),
    ] {
        let error = error(kind);
        assert_eq!(fatal(&error).map(|exit| LastWords::from(exit).code), want, "{error}");
        assert_eq!(error.may_fall_back(), want.is_none(), "{error}");
    }
}
