//! Terminals of every width, `COLUMNS`, pipes.

use super::{case, check, recordings::recorded, temporary};

/// Widths of terminals; zero is a terminal that reports no width.
const WIDTHS: &[u16] = &[
    0, 1, 2, 3, 5, 7, 8, 10, 13, 16, 20, 24, 25, 30, 33, 37, 40, 45, 50, 55, 57, 58, 59, 60, 61, 62, 63, 64,
    65, 66, 70, 72, 75, 77, 79, 80, 81, 90, 99, 100, 101, 120, 132, 160, 200, 255, 300, 500, 1000, 5000,
];

const COLUMNS: &[&str] = &[
    "",
    "0",
    "-1",
    "1",
    "10",
    "40",
    "59",
    "60",
    "80",
    "100",
    "133",
    "1000",
    "80x",
    " 80",
    "x80",
    "4294967376",
];

pub(super) fn run() -> usize {
    let path = temporary("widths", &recorded(50, 25, true));
    let mut cases = Vec::new();
    for (at, width) in WIDTHS.iter().enumerate() {
        let look = ["-tan", "-tane", "-tanemoi", "-tanHQ", "-tan state established", "-tu -an"][at % 6];
        cases.push(case("-tan").env("TCPDIAG_FILE", &path).width(*width));
        if at % 6 != 0 && look != "-tu -an" {
            cases.push(case(look).env("TCPDIAG_FILE", &path).width(*width));
        }
    }
    for columns in COLUMNS {
        cases.push(case("-tane").env("TCPDIAG_FILE", &path).env("COLUMNS", columns));
    }
    cases.push(case("-tan").env("TCPDIAG_FILE", &path).env("COLUMNS", "40").width(100));
    cases.push(case("-tan").env("TCPDIAG_FILE", &path).env("COLUMNS", "40").width(0));
    // Only a header, and no output at all.
    let empty = temporary("widths-empty", &recorded(1, 0, false));
    for width in [0, 10, 80] {
        cases.push(case("-tan").env("TCPDIAG_FILE", &empty).width(width));
        cases.push(case("-tanH").env("TCPDIAG_FILE", &empty).width(width));
    }
    check(cases)
}
