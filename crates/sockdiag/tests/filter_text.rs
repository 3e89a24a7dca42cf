//! Hostile filters: any text gives a result or an error, on a small stack and in little
//! time.

#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

mod filter_support;

use std::thread;

use fastrand::Rng;
use filter_support::{CTX, Kind, World, decode, read, socket, text};
use sockdiag::fields::Catalog;
use sockdiag::filter::{Context, Dialect, FilterError, parse, program};
use sockdiag::model::{Row, SourceKind, TableSet};

/// Far less than one stack frame per bracket would need.
const STACK: usize = 128 * 1024;

/// Parses a filter and, if it is valid, runs every operation on it; returns whether it is
/// valid.
fn live_through(words: &[&[u8]], row: &Row<'_>) -> Result<bool, FilterError> {
    let parsed = read(words)?;
    if let Some(expr) = parsed.expr {
        let wanted = expr.eval(row, CTX);
        let printed = expr.to_string();
        assert!(!printed.is_empty());
        assert!(format!("{expr:?}").len() > printed.len() / 2);
        expr.needs();
        for dialect in [Dialect::Modern, Dialect::Classic] {
            if let Some(program) = program(&expr, dialect) {
                assert!(program.len() <= 0xf000);
            }
        }
        let copy = expr.clone();
        assert_eq!(copy.eval(row, CTX), wanted);
        return Ok(true);
    }
    Ok(false)
}

/// Runs a test on a thread with a small stack.
fn on_a_small_stack(test: impl FnOnce(&Row<'_>) + Send + 'static) {
    let run = move || {
        let (bytes, _) = socket(&mut Rng::with_seed(1));
        let socket = decode(&bytes, SourceKind::Kernel);
        test(&Row::bare(&socket));
    };
    thread::Builder::new().stack_size(STACK).spawn(run).expect("a thread").join().expect("no panic");
}

const SOUP: &[&str] = &[
    "src",
    "dst",
    "sport",
    "dport",
    "dev",
    "fwmark",
    "cgroup",
    "autobound",
    "and",
    "or",
    "not",
    "!",
    "(",
    ")",
    "=",
    "!=",
    ">",
    "<=",
    "&&",
    "||",
    ":80",
    "80",
    "1.2.3.4",
    "[::1]",
    "*",
    "any",
    "unix:*",
    "link:ip",
    "netlink:genl:5",
    "vsock:1:2",
    "inet:1.2.3.4",
    "inet6:[::1]/64",
    "lo",
    "if1",
    "5/0xff",
    "/user",
    "tcp.rtt_us",
    "local.port",
    "many",
    "localhost/8",
    "-1",
    "99999999999999999999",
    "\\",
    "\\\\",
    "0x",
    "[",
    "]",
    ":",
    "/",
    "",
];

#[test]
fn random_texts_are_read_or_refused() {
    on_a_small_stack(|row| {
        let mut rng = Rng::with_seed(0xbad);
        let mut good = 0;
        for round in 0..10_000 {
            let bytes: Vec<u8> = match round % 4 {
                // Noise.
                0 => (0..rng.usize(..200)).map(|_| rng.u8(..)).collect(),
                // Keyword soup.
                1 => {
                    let words = (0..rng.usize(..20)).map(|_| SOUP[rng.usize(..SOUP.len())]);
                    words.collect::<Vec<_>>().join(" ").into_bytes()
                }
                // A filter with some bytes changed.
                2 => {
                    let mut bytes = text(&mut rng, Kind::Any, 3).into_bytes();
                    for _ in 0..rng.usize(..3) {
                        let at = rng.usize(..bytes.len());
                        bytes[at] = rng.u8(..);
                    }
                    bytes
                }
                // A filter whose words were cut out, doubled or swapped.
                _ => {
                    let text = text(&mut rng, Kind::Any, 3);
                    let mut words: Vec<&str> = text.split(' ').collect();
                    for _ in 0..rng.usize(..2) {
                        let (a, b) = (rng.usize(..words.len()), rng.usize(..words.len()));
                        words.swap(a, b);
                        words.insert(a, words[b]);
                    }
                    if rng.bool() {
                        words.truncate(rng.usize(1..=words.len()));
                    }
                    words.join(" ").into_bytes()
                }
            };
            good += usize::from(live_through(&[&bytes], row).is_ok_and(|filter| filter));
        }
        assert!(good > 500, "only {good} filters were right");
    });
}

#[test]
fn depth_is_bounded() {
    on_a_small_stack(|row| {
        for (open, depth) in
            [("( ", 100_000), ("! ", 100_000), ("( ! ", 60_000), ("sport = 1 or ! ( ", 100_000)]
        {
            let text = format!("{}autobound", open.repeat(depth));
            assert_eq!(live_through(&[text.as_bytes()], row), Err(FilterError::TooDeep), "{open}");
        }
        for (open, close, depth) in
            [("( ", " )", 9_996), ("! ", "", 9_997), ("autobound or ! ( ", " )", 2_499)]
        {
            let text = format!("{}autobound{}", open.repeat(depth), close.repeat(depth));
            assert_eq!(live_through(&[text.as_bytes()], row), Ok(true), "{open}");
        }
    });
}

#[test]
fn breadth_is_not_depth() {
    on_a_small_stack(|row| {
        for term in
            ["autobound ", "autobound or autobound and ", "! autobound or ", "sport != 5 and dport > 1 or "]
        {
            let text = format!("{}autobound", term.repeat(100_000));
            assert_eq!(live_through(&[text.as_bytes()], row), Ok(true), "{term}");
        }
        let endless = "autobound ".repeat(600_000);
        assert_eq!(live_through(&[endless.as_bytes()], row), Err(FilterError::TooDeep));
    });
}

#[test]
fn a_filter_file_is_read_line_by_line() {
    on_a_small_stack(|_| {
        // Sixteen megabytes of comments, of which only one line is held at a time.
        let mut comments = std::io::Read::take(Endless { at: 0 }, 1 << 24);
        let mut file = std::io::BufReader::new(&mut comments);
        let catalog = Catalog::standard();
        let ctx =
            Context { catalog: &catalog, preferred: None, tables: TableSet::EMPTY, lookups: &mut World };
        let parsed = parse(&[], Some(&mut file), ctx);
        assert_eq!(parsed.map(|parsed| parsed.expr), Ok(None));
    });
}

/// An endless file of comment lines.
struct Endless {
    at: usize,
}

impl std::io::Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        for byte in buffer.iter_mut() {
            *byte = if self.at % 64 == 63 { b'\n' } else { b'#' };
            self.at += 1;
        }
        Ok(buffer.len())
    }
}
