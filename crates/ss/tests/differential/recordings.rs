//! Recordings: every token of `-i`, `-e`, `-m`, `-o` and similar options, from sockets that a
//! kernel could have sent, and damaged files.

use sockdiag_testkit::recording::{self, attr};

use super::{Case, case, check, temporary};

/// Options for each recording.
const LOOKS: &[&str] = &[
    "-tan",
    "-tanH",
    "-tanQ",
    "-tanO",
    "-tanHQO",
    "-tano",
    "-tane",
    "-tanm",
    "-tani",
    "-tanoi",
    "-tanei",
    "-tanmi",
    "-tanemoi",
    "-tanOemoi",
    "-tanHOemoi --tos --cgroup --inet-sockopt",
    "-tan --tos",
    "-tan --cgroup",
    "-tanO --inet-sockopt",
    "-tan --inet-sockopt -i",
    "-tan --tipcinfo",
    "-tanb",
    "-tanT",
    "-ta",
    "-tai",
    "-taiO",
    "-tam",
    "-t4anei",
    "-t6anei",
    "-tln",
    "-tBn",
    "-tn state established -i",
    "-tu -an",
    "-tan exclude listening -o",
];

/// Filters for the recordings.
const FILTERS: &[&str] = &[
    "sport = :40000",
    "dport = 50000",
    "sport > 1024",
    "sport >= :1024 and dport < 1024",
    "sport != 40000",
    "not sport = 40000",
    "sport < 100 or dport > 60000",
    "src 127.0.0.0/8",
    "dst 10.0.0.0/8",
    "src [::1]",
    "dst [2001:db8::]/32",
    "src 0.0.0.0",
    "src 0.0.0.0/0",
    "dst any",
    "dst *:50000",
    "dev = 1",
    "dev != 1",
    "dev lo",
    "fwmark = 0",
    "fwmark = 1/1",
    "fwmark != 0",
    "autobound",
    "! autobound",
    "( sport = 1 or sport = 2 ) and dport = 3 or src 127.0.0.1",
    "src [::ffff:0:0]/96",
    "sport gt 5 dport lt 60000",
    "dst [::]/0",
    "src [fe80::]/10:40000",
];

pub(super) fn recorded(seed: u64, rows: usize, cut: bool) -> Vec<u8> {
    let bytes = recording::random(&mut fastrand::Rng::with_seed(seed), rows);
    // Other protocols' layouts have their own tests.
    let bytes = recording::retype(&bytes, attr::PROTOCOL, 200);
    if cut { recording::cut_done(&bytes) } else { bytes }
}

pub(super) fn run() -> usize {
    let mut cases: Vec<Case<'_>> = Vec::new();
    for seed in 0..6 {
        let path = temporary(&format!("recording-{seed}"), &recorded(seed, 60, seed % 3 != 0));
        cases.extend(LOOKS.iter().map(|look| case(look).env("TCPDIAG_FILE", &path)));
        cases.extend(
            FILTERS.iter().map(|filter| case(&format!("-tanHOe {filter}")).env("TCPDIAG_FILE", &path)),
        );
    }
    for seed in 100..140 {
        let path = temporary(&format!("recording-{seed}"), &recorded(seed, 300, true));
        cases.push(case("-tanemoi --tos --inet-sockopt").env("TCPDIAG_FILE", &path));
        cases.push(case("-tamoiO --tos").env("TCPDIAG_FILE", &path));
    }
    check(cases)
}

/// Files with unexpected content.
pub(super) fn damaged() -> usize {
    let whole = recorded(7, 10, false);
    let mut cases =
        vec![case("-tan").env("TCPDIAG_FILE", "/nonexistent"), case("-tan").env("TCPDIAG_FILE", "/")];
    let mut add = |name: &str, bytes: &[u8]| {
        let path = temporary(&format!("damaged-{name}"), bytes);
        cases.push(case("-tane").env("TCPDIAG_FILE", &path));
    };
    add("empty", b"");
    add("no-end", &whole[..recording::messages(&whole)[3].end]);
    for cut in [1, 8, 15, 16, 17, 30, 87, 88, 89, 120] {
        add(&format!("cut-{cut}"), &whole[..cut]);
        let second = recording::messages(&whole)[1].start;
        add(&format!("second-{cut}"), &whole[..second + cut]);
    }
    for errno in [0, 1, 2, 13, 22, 95] {
        let mut bytes = whole[..recording::messages(&whole)[2].end].to_vec();
        recording::append_error(&mut bytes, errno);
        add(&format!("error-{errno}"), &bytes);
    }
    check(cases)
}
