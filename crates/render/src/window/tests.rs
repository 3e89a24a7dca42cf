//! The form of tables, and that early padding prints the same as laying out every window when
//! it is printed.

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]

use super::chunks::{CHUNK, CHUNKS};
use super::spans::MOST_BLANKS;
use super::*;
use crate::layout::{PROC, widths};

fn table(rows: &[[&str; COLUMNS]], enabled: [bool; COLUMNS], screen: Option<usize>, header: bool) -> String {
    let mut out = Vec::new();
    let mut window = Window::new(Box::new(&mut out), enabled, screen);
    if header {
        window.header().unwrap();
    }
    for row in rows {
        window.begin_row().unwrap();
        for (column, text) in row.iter().enumerate() {
            if enabled[column] || column == EXT {
                window.token().extend_from_slice(text.as_bytes());
                if column != EXT {
                    window.end_token();
                }
            }
        }
    }
    window.finish().unwrap();
    drop(window);
    String::from_utf8(out).unwrap().replace(' ', "·")
}

const A: [&str; COLUMNS] =
    ["", "", "LISTEN", "0     ", "128   ", "127.0.0.1:", "8080", "0.0.0.0:", "*", "", ""];
const B: [&str; COLUMNS] =
    ["", "", "ESTAB", "0     ", "36    ", "192.168.100.200:", "22", "10.20.30.40:", "54321", "", ""];
const TAN: [bool; COLUMNS] = [false, false, true, true, true, true, true, true, true, false, true];

#[test]
fn compact() {
    assert_eq!(
        table(&[A, B], TAN, None, true),
        "State··Recv-Q·Send-Q···Local·Address:Port·Peer·Address:Port\n\
         LISTEN·0······128··········127.0.0.1:8080······0.0.0.0:*\n\
         ESTAB··0······36·····192.168.100.200:22····10.20.30.40:54321\n"
    );
}

/// The example in the documentation of `window.rs`.
#[test]
fn a_row_is_padded_with_the_widths_known_when_it_ends() {
    let mut out = Vec::new();
    let mut enabled = [false; COLUMNS];
    (enabled[2], enabled[3]) = (true, true);
    let mut window = Window::new(Box::new(&mut out), enabled, None);
    let mut longest = Vec::new();
    for row in [["ESTAB", "0"], ["LISTEN", "128"], ["CLOSE", "1"]] {
        window.begin_row().unwrap();
        for token in row {
            window.token().extend_from_slice(token.as_bytes());
            window.end_token();
        }
        window.end_row(false).unwrap();
        longest.push([window.longest[0], window.longest[1]]);
    }
    let lines = |text: &[u8]| String::from_utf8(text.to_vec()).unwrap().replace(' ', ".");
    assert_eq!(longest, [[5, 1], [6, 3], [6, 3]]);
    assert_eq!(lines(&window.text), "ESTAB.0\nLISTEN.128\nCLOSE..1..\n");
    assert_eq!(window.spans.iter(0, 0).count(), 3, "one before the first row, which has none");
    window.print().unwrap();
    drop(window);
    assert_eq!(lines(&out), "ESTAB..0..\nLISTEN.128\nCLOSE..1..\n");
}

#[test]
fn details_are_measured_from_every_row_but_the_last() {
    let mut a = A;
    a[EXT] = " ino:4000000001 sk:1001";
    let mut b = B;
    b[EXT] = " uid:1000 ino:4000000002 sk:2";
    assert_eq!(
        table(&[a, b], TAN, None, true),
        "State··Recv-Q·Send-Q···Local·Address:Port·Peer·Address:Port·······················\n\
         LISTEN·0······128··········127.0.0.1:8080······0.0.0.0:*·ino:4000000001·sk:1001\n\
         ESTAB··0······36·····192.168.100.200:22····10.20.30.40:54321·uid:1000·ino:4000000002·sk:2\n"
    );
    assert_eq!(
        table(&[b], TAN, None, true),
        "State·Recv-Q·Send-Q···Local·Address:Port·Peer·Address:Port\n\
         ESTAB·0······36·····192.168.100.200:22····10.20.30.40:54321·uid:1000·ino:4000000002·sk:2\n"
    );
}

#[test]
fn screens_spread_what_they_have_to_spare() {
    assert_eq!(
        table(&[A, B], TAN, Some(80), true),
        "State····Recv-Q····Send-Q·········Local·Address:Port·······Peer·Address:Port····\n\
         LISTEN···0·········128················127.0.0.1:8080············0.0.0.0:*·······\n\
         ESTAB····0·········36···········192.168.100.200:22··········10.20.30.40:54321···\n"
    );
    assert_eq!(
        table(&[A, B], TAN, Some(60), true),
        "State··Recv-Q·Send-Q···Local·Address:Port·Peer·Address:Port·\n\
         LISTEN·0······128··········127.0.0.1:8080······0.0.0.0:*····\n\
         ESTAB··0······36·····192.168.100.200:22····10.20.30.40:54321\n"
    );
    assert_eq!(
        table(&[A, B], TAN, Some(59), true).lines().map(|line| line.chars().count()).collect::<Vec<_>>(),
        [118, 118, 118]
    );
    assert_eq!(
        table(&[A, B], TAN, Some(10), true),
        "State······Recv-Q····Send-Q····Local·Address:Port·······Peer·Address:Port······\n\
         LISTEN·····0·········128·······127.0.0.1:8080········0.0.0.0:*·········\n\
         ESTAB······0·········36········192.168.100.200:22·········10.20.30.40:54321·····\n"
    );
}

#[test]
fn rows_without_owner_keep_the_blank_of_the_port() {
    let mut enabled = TAN;
    enabled[PROC] = true;
    assert_eq!(
        table(&[A, B], enabled, None, true),
        "State··Recv-Q·Send-Q···Local·Address:Port·Peer·Address:Port·Process\n\
         LISTEN·0······128··········127.0.0.1:8080······0.0.0.0:*····\n\
         ESTAB··0······36·····192.168.100.200:22····10.20.30.40:54321\n"
    );
}

#[test]
fn the_namespace_comes_first() {
    let (mut a, mut b) = (A, B);
    (a[0], a[1], b[0], b[1]) = ("web", "tcp", "4026532201", "tcp");
    let mut enabled = TAN;
    (enabled[0], enabled[1]) = (true, true);
    assert_eq!(
        table(&[a, b], enabled, None, true),
        "Netns······Netid·State··Recv-Q·Send-Q···Local·Address:Port·Peer·Address:Port\n\
         web········tcp···LISTEN·0······128··········127.0.0.1:8080······0.0.0.0:*\n\
         4026532201·tcp···ESTAB··0······36·····192.168.100.200:22····10.20.30.40:54321\n"
    );
}

#[test]
fn nothing_prints_nothing() {
    assert_eq!(table(&[], TAN, None, false), "");
    assert_eq!(table(&[], TAN, None, true), "State·Recv-Q·Send-Q·Local·Address:Port·Peer·Address:Port\n");
}

#[test]
fn a_token_is_cut_and_a_window_ends_at_five_chunks() {
    let long = "x".repeat(70_000);
    let mut row = A;
    row[EXT] = &long;
    let rows = vec![row; 200];
    let text = table(&rows, TAN, None, false);
    let lengths: Vec<usize> = text.lines().map(|line| line.chars().filter(|c| *c == 'x').count()).collect();
    assert!(lengths.iter().all(|length| *length == TOKEN_MAX), "cut at {TOKEN_MAX}");
    assert_eq!(lengths.len(), 200);
}

/// The reference algorithm: stores a window's texts and lays them out when it is printed.  The
/// engine may work in any way that prints the same.
fn by_the_book(rows: &[[String; COLUMNS]], enabled: [bool; COLUMNS], screen: Option<usize>) -> String {
    let columns: Vec<usize> = (0..COLUMNS).filter(|column| enabled[*column]).collect();
    let (mut longest, mut out) = ([0_u16; LANES], String::new());
    let (mut window, mut used, mut chunks) = (Vec::new(), 2, 1);
    for (number, row) in rows.iter().enumerate() {
        for (at, column) in columns.iter().enumerate() {
            let text = &row[*column][..row[*column].len().min(TOKEN_MAX)];
            if used + text.len() >= CHUNK && used != 2 {
                (used, chunks) = (2, chunks + 1);
            }
            window.push((at, text));
            if *column == EXT && (number + 1 == rows.len() || chunks >= CHUNKS) {
                let widths = widths(&columns, &longest, screen);
                window.drain(..).for_each(|(at, text)| put(&mut out, &columns, at, text, widths[at], screen));
                (used, chunks) = (2, 1);
                continue;
            }
            longest[at] = longest[at].max(text.len() as u16);
            used += text.len();
            if CHUNK.saturating_sub(used + text.len() % 2) < 2 {
                (used, chunks) = (2, chunks + 1);
            } else {
                used += text.len() % 2 + 2;
            }
        }
    }
    out
}

fn put(out: &mut String, columns: &[usize], at: usize, text: &str, width: usize, screen: Option<usize>) {
    let column = columns[at];
    let last = if columns.contains(&PROC) { PROC } else { 8 };
    let blank = matches!(column, 1..=5 | 7) && at > 0;
    let width = if screen.is_none() && column == last { 0 } else { width.saturating_sub(usize::from(blank)) };
    out.push_str(if blank { " " } else { "" });
    if matches!(column, 5 | 7) {
        out.push_str(&" ".repeat(width.saturating_sub(text.len())));
        out.push_str(text);
    } else {
        out.push_str(text);
        out.push_str(&" ".repeat(width.saturating_sub(text.len())));
    }
    out.push_str(if column == EXT { "\n" } else { "" });
}

/// What the engine did while printing a table.
#[derive(Default)]
struct Seen {
    windows: usize,
    /// Rows that were not padded when written.
    waiting: usize,
    /// Such rows in windows that hold too many blanks.
    blank: usize,
}

/// Prints a table and compares the output with that of [`by_the_book`].
fn check(rows: &[[String; COLUMNS]], enabled: [bool; COLUMNS], screen: Option<usize>, seen: &mut Seen) {
    let mut out = Vec::new();
    let mut window = Window::new(Box::new(&mut out), enabled, screen);
    for row in rows {
        window.begin_row().unwrap();
        for column in (0..COLUMNS).filter(|column| enabled[*column]) {
            window.token().extend_from_slice(row[column].as_bytes());
            if column != EXT {
                window.end_token();
            }
        }
        seen.windows += usize::from(window.row == 0);
        seen.waiting += usize::from(*window.spans.now() == Layout::none(&window.columns));
        seen.blank += usize::from(window.spans.blanks() > MOST_BLANKS);
    }
    window.finish().unwrap();
    drop(window);
    let out = String::from_utf8(out).unwrap();
    assert!(out == by_the_book(rows, enabled, screen), "{enabled:?}, screen {screen:?}, {rows:?}");
}

#[test]
fn rows_that_are_laid_out_at_once_look_the_same() {
    let mut seed = 1_u64;
    let mut below = |limit: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize % limit
    };
    let (mut cases, mut seen) = (0, Seen::default());
    for case in 0..240 {
        let enabled: [bool; COLUMNS] = std::array::from_fn(|column| column == EXT || below(4) != 0);
        let count = below([3, 100, 2500][case % 3]);
        let screen = [None, None, Some(1 + below(300)), Some(1 + below(3_000_000 / (count + 30)))][below(4)];
        // Texts of equal, growing or arbitrary lengths; details that are long once, or always.
        let (least, growth, any) = (below(20), below(3), [1, 3, 30][below(3)]);
        let (details, once, huge) = ([3, 400, 9000][below(3)], below(3) == 0, below(3) == 0);
        let rows: Vec<[String; COLUMNS]> = (0..count)
            .map(|row| {
                std::array::from_fn(|column| {
                    let length = match column {
                        _ if huge && below(2000) == 0 => below(70_000),
                        EXT if once && row > 0 => least,
                        EXT => details / 2 + below(details),
                        _ => (least + growth * row / 16).min(200) + below(any),
                    };
                    let letter = char::from(b'a' + ((row + column) % 26) as u8);
                    letter.to_string().repeat(length)
                })
            })
            .collect();
        cases += usize::from(!rows.is_empty());
        check(&rows, enabled, screen, &mut seen);
    }
    let Seen { windows, waiting, .. } = seen;
    assert!(
        windows > cases + 20 && waiting > 1000,
        "{windows} windows of {cases} tables, {waiting} rows waited"
    );
}

#[test]
fn blanks_are_not_kept_without_bound() {
    let row =
        |details: usize| std::array::from_fn(|column| "x".repeat(if column == EXT { details } else { 3 }));
    let rows: Vec<[String; COLUMNS]> = (0..3000).map(|at| row(if at == 0 { 3000 } else { at % 5 })).collect();
    let mut seen = Seen::default();
    check(&rows, TAN, None, &mut seen);
    let first = MOST_BLANKS / 3000;
    assert_eq!((seen.windows, seen.waiting), (1, seen.blank));
    assert!((3000 - first - 50..3000 - first).contains(&seen.blank), "{}", seen.blank);
}
