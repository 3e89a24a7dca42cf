//! UDP-Lite, for which the reference has no table, on the running kernel.

use std::process::Command;

use sockdiag_testkit::compare::{Case, Ended, run};
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::skip;
use sockdiag_testkit::zoo::Zoo;

const OURS: &str = env!("CARGO_BIN_EXE_ss");

#[test]
fn udp_lite_is_listed_by_name_alone() {
    let Some(namespace) = Namespace::or_skip() else { return };
    let kinds = ["udplite", "udplite6", "udp-unconnected"];
    let zoo = Zoo::start(&namespace, &kinds).unwrap_or_else(|why| panic!("{why}"));
    if let Some((kind, why)) = zoo.absent().first() {
        skip!("{kind}: {why}");
    }
    let listed = |words: &str| {
        let case = Case::new(&words.split(' ').collect::<Vec<_>>()).inside(&namespace);
        let outcome = run(Command::new(OURS), &case).unwrap_or_else(|why| panic!("{words}: {why}"));
        assert_eq!(outcome.ended, Ended::Exit(0), "{words}");
        assert!(outcome.stderr.is_empty(), "{words}: {}", String::from_utf8_lossy(&outcome.stderr));
        String::from_utf8_lossy(&outcome.stdout).into_owned()
    };
    for (words, v4, v6) in [
        ("--udplite -anH", true, true),
        ("-A udplite -anH", true, true),
        ("--udplite -4anH", true, false),
        ("--udplite -nH", false, true),
        ("--udplite -lnH", true, false),
        ("--udplite -anH sport = :6091", true, false),
        ("--udplite -anH dst [::1]", false, true),
        ("--udplite -anH socket.protocol = 136 and mem.rcvbuf > 0", true, true),
        // It is listed only on request.
        ("-uanH", false, false),
        ("-anH -A all", false, false),
        ("-anH", false, false),
        ("-4anH", false, false),
    ] {
        let text = listed(words);
        let has = |end: &str| text.split_whitespace().any(|word| word == end);
        assert_eq!((has("127.0.0.1:6091"), has("[::1]:6092")), (v4, v6), "{words}\n{text}");
    }
    let text = listed("-A udplite,udp -anH");
    let netids: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!((netids.len(), netids.iter().filter(|netid| **netid == "udplite").count()), (3, 2), "{text}");
    // Owners, memory and details as for UDP; -i adds no line.
    let text = listed("--udplite -anHepi sport = :6091");
    assert!(text.contains(" users:((\"sockdiag-zoo\",pid=") && text.contains(" sk:"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(listed("--udplite -anHm").contains("\n\t skmem:(r0,rb"));
}
