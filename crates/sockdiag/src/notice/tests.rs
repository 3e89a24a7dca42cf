//! Tests of sentences that contain numbers or quoted bytes.

use super::*;

/// Numbers agree with their nouns, and quoted bytes cannot control a terminal.
#[test]
fn sentences_count_right_and_quote_safely() {
    let of = |processes: &[i32]| Unseen { processes: processes.to_vec(), ..Unseen::default() };
    let tally =
        |destroyed, gone, spared, passed| Tally { destroyed, gone, spared, passed, ..Tally::default() };
    for (notice, want) in [
        (Notice::Destroyed(tally(1, 0, 0, 0)), "1 socket closed"),
        (
            Notice::Destroyed(tally(0, 1, 2, 3)),
            "0 sockets closed, 1 already gone, 2 not supported by this kernel, \
             3 skipped (not an inet socket)",
        ),
        (Notice::PeersLeftOut { sockets: 1 }, "the peer table is full: 1 socket not matched"),
        (
            Notice::HoldersHidden { sockets: 2, tested: 0, why: of(&[7]) },
            "no process found for 2 sockets: process 7 cannot be inspected",
        ),
        (
            Notice::HoldersHidden { sockets: 0, tested: 1, why: of(&[7, 8]) },
            "no process found for 1 socket that the filter tested: \
             2 processes cannot be inspected (7, 8)",
        ),
        (
            Notice::Ownerless { why: Ownerless::TimeWait, sockets: 2, examples: Vec::new() },
            "no process for 2 sockets, in TIME-WAIT: closed at both ends, kept by the kernel for late \
             segments",
        ),
        (
            Notice::HeldByThreads { sockets: 1, threads: vec![(4, 5)] },
            "1 socket held only by a thread other than the main one; -T lists threads (process 4, thread 5)",
        ),
        (
            Notice::NamespacesUnseen {
                refused: vec![b"a".to_vec(), b"\x1b".to_vec()],
                errno: 13,
                why: of(&[3, 4]),
            },
            "2 network namespaces cannot be entered (a, \\x1b): Permission denied; \
             2 processes cannot be inspected (3, 4), so network namespaces may be missing",
        ),
        (
            Notice::NamespacesUnseen { refused: Vec::new(), errno: 0, why: of(&[3]) },
            "process 3 cannot be inspected, so network namespaces may be missing",
        ),
        (
            Notice::EventsLost { times: 1 },
            "the netlink receive queue overflowed 1 time, so some destroyed sockets were not reported",
        ),
        (
            Notice::EndsUnheard { errno: 1 },
            "the kernel does not report closed sockets (Operation not permitted): short-lived connections \
             are missed",
        ),
        (
            Notice::WithoutCookies { sockets: 2 },
            "no rates for 2 sockets from /proc text, which has no cookies",
        ),
        (Notice::Deficit { bytes: -68, attr_len: 0 }, "a reply is 68 bytes shorter than its fixed part"),
        (
            Notice::Deficit { bytes: 1, attr_len: 9 },
            "1 byte after the last attribute cannot be parsed (claimed length: 9)",
        ),
        (
            Notice::Explained { text: b"No \x1btable\xff".to_vec() },
            "the kernel refused the request: No \u{fffd}table\u{fffd}",
        ),
        (
            Notice::DatabaseCorrupted { path: "/x".into(), line: b"a\n".to_vec() },
            "/x has a line without a number and a name: a",
        ),
    ] {
        assert_eq!(notice.to_string(), want);
    }
}
