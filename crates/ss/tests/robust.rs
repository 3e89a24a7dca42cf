//! Damaged recordings and odd filters: whatever the bytes, the listing ends by itself, soon,
//! without a panic and in bounded memory.
//!
//! The inputs are the recordings of `tests/golden` and random sockets, damaged by the test
//! kit's `mutate`.  Every case has a number, which seeds its random values and is printed if
//! it fails.
//!
//! The limit on output follows from the layout of `ss`: all rows of a window are as wide as
//! the widest, so the limit is the number of rows times the longest message times
//! [`EXPANSION`], plus the width of the screen for each row.

#![allow(clippy::cast_precision_loss, reason = "small, known numbers; each cast is meant")]
#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Seek as _, Write};
use std::ops::ControlFlow;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use rustix::fs::{MemfdFlags, memfd_create};
use sockdiag::enrich::HolderSearch;
use sockdiag::fields::{Catalog, Groups, Style};
use sockdiag::filter::{
    self, CgroupError, Context, Dialect, EvalContext, Expr, FilterError, Lookups, Mismatch, Parsed, Transport,
};
use sockdiag::model::{Addr, Family, Origin, Record, Row, Selection, Socket, SourceKind, Table, TableSet};
use sockdiag::session::{Question, Session};
use sockdiag::source::{self, Access, Query, Sources};
use sockdiag_render::ss::{Look, SsText};
use sockdiag_testkit::compare::{Case, Ended, run};
use sockdiag_testkit::recording;

/// Bytes of text per byte of a message, beyond [`ROW`].  The test prints the measured value,
/// which is about a tenth of this.
const EXPANSION: usize = 4;
/// Further bytes of a row: column titles and padding.
const ROW: usize = 1024;
/// How long one case may take.
const PATIENCE: Duration = Duration::from_secs(10);

// ---- Bases and damage ------------------------------------------------------

/// All recordings of real kernels.
fn real() -> Vec<Vec<u8>> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let list = |directory: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(directory).unwrap_or_else(|why| panic!("{}: {why}", directory.display()));
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
        paths.sort();
        paths
    };
    let kernels = list(&golden).into_iter().filter(|path| path.is_dir());
    let files = kernels.flat_map(|kernel| list(&kernel));
    let recordings: Vec<_> = files
        .filter(|path| path.extension() == Some("rec".as_ref()))
        .map(|path| fs::read(&path).expect("a file of the repository"))
        .collect();
    assert!(recordings.len() > 20, "{} recordings of real kernels", recordings.len());
    recordings
}

/// Some sockets, with damage.
fn damaged(rng: &mut Rng, real: &[Vec<u8>]) -> Vec<u8> {
    let base = if let Some(whole) = rng.choice(real).filter(|_| rng.bool()) {
        let messages = recording::messages(whole);
        let first = rng.usize(..messages.len());
        let last = (first + rng.usize(0..30)).min(messages.len() - 1);
        let mut some = whole[messages[first].start..messages[last].end].to_vec();
        recording::append_done(&mut some);
        some
    } else {
        let rows = rng.usize(0..30);
        let bytes = recording::random(rng, rows);
        if rng.bool() { recording::cut_done(&bytes) } else { bytes }
    };
    recording::mutate(rng, &base)
}

/// A file in memory, which can be opened by its path as long as this lives.
///
/// A file on disk would do, but some file systems flush it each time it is replaced.
struct Scratch(File);

impl Scratch {
    fn new() -> Self {
        Self(memfd_create("recording", MemfdFlags::CLOEXEC).expect("memory for a file").into())
    }

    fn path(&self) -> OsString {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd()).into()
    }

    fn put(&mut self, bytes: &[u8]) {
        self.0.set_len(0).expect("a file of our own");
        self.0.rewind().expect("a file of our own");
        self.0.write_all(bytes).expect("a file of our own");
    }
}

/// Runs all cases in a separate thread, and reports the one that panics or does not end.
fn each_ends(cases: std::ops::Range<u64>, work: impl FnOnce(&Sender<u64>) + Send + 'static) {
    let (done, finished) = channel();
    let worker = thread::spawn(move || work(&done));
    let mut next = cases.start;
    loop {
        match finished.recv_timeout(PATIENCE) {
            Ok(case) => next = case + 1,
            Err(RecvTimeoutError::Timeout) => panic!("case {next}: no end within {PATIENCE:?}"),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    assert!(worker.join().is_ok(), "case {next} panics");
    assert_eq!(next, cases.end, "cases left undone");
}

// ---- The whole path --------------------------------------------------------

/// Discards output, and counts its bytes.
struct Nowhere<'a>(&'a mut usize);

impl Write for Nowhere<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        *self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const CONTEXT: EvalContext = EvalContext { ports: (32768, 60999) };

/// Random options, mostly with everything on.
fn look(rng: &mut Rng) -> Look {
    let all = [
        Groups::OPTIONS,
        Groups::EXTENDED,
        Groups::TOS,
        Groups::CGROUP,
        Groups::SOCKOPT,
        Groups::MEMORY,
        Groups::INFO,
    ];
    let whole = rng.u8(0..4) > 0;
    let shown = all.into_iter().filter(|_| whole || rng.bool());
    let groups = shown.fold(Groups::NONE, Groups::union);
    let mut yes = || rng.bool();
    Look {
        style: Style { numeric: yes(), oneline: yes(), groups },
        no_header: yes(),
        no_queues: yes(),
        netid: yes(),
        state: yes(),
        processes: false,
        netns: false,
        width: match rng.u8(0..6) {
            0..=2 => None,
            3 => Some(rng.usize(1..10)),
            4 => Some(rng.usize(10..300)),
            _ => Some(rng.usize(300..5000)),
        },
    }
}

/// The result of one listing.
#[derive(Default)]
struct Listed {
    rows: usize,
    bytes: usize,
    failed: bool,
}

fn list(catalog: &Catalog, look: Look, filter: Option<Expr>, sources: &Sources) -> Listed {
    let mut bytes = 0;
    let mut text = SsText::new(catalog, look, Box::new(Nowhere(&mut bytes))).expect("nowhere takes all");
    let mut selection = Selection::default();
    selection.add_table(Table::Tcp);
    let mut question = Question::new(selection.resolve().expect("a table is left"));
    question.sources = sources.clone();
    question.needs = catalog.needs(look.style.groups.union(Groups::COLUMNS));
    question.numeric = look.style.numeric;
    question.holder_search = HolderSearch::Proc;
    question.filter =
        Some(Box::new(move |_| Ok(Parsed { expr: filter.clone(), family: None, remarks: Vec::new() })));
    let mut session = Session::once(question).expect("nothing is wrong with it");
    let outcome = session.poll(&mut text).expect("nowhere takes all");
    outcome.notices.iter().for_each(|notice| drop(notice.to_string()));
    drop(text);
    let rows = usize::try_from(outcome.rows).expect("they were counted");
    Listed { rows, bytes, failed: !outcome.is_complete() }
}

/// The peak memory use of this process, in KiB.
fn peak_kib() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn damaged_recordings_are_listed_to_an_end() {
    const CASES: std::ops::Range<u64> = 0..10_000;
    let before = peak_kib();
    each_ends(CASES, |done| {
        let (real, catalog) = (real(), Catalog::standard());
        let mut file = Scratch::new();
        let sources = Sources { tcpdiag_file: Some(file.path()), ..Sources::default() };
        let (mut rows, mut failures, mut most) = (0, 0, 0.0_f64);
        {
            for case in CASES {
                let mut rng = Rng::with_seed(case);
                let bytes = damaged(&mut rng, &real);
                file.put(&bytes);
                let look = look(&mut rng);
                let filter = rng.bool().then(|| read(&condition(&mut rng, &catalog), &catalog));
                let listed = list(&catalog, look, filter, &sources);
                let longest = longest(&bytes);
                let wide = listed.rows * (ROW + look.width.unwrap_or(0)) + 2 * ROW + look.width.unwrap_or(0);
                let room = wide + listed.rows * longest * EXPANSION;
                assert!(listed.bytes <= room, "case {case}: {} bytes of at most {room}", listed.bytes);
                let beyond = listed.bytes.saturating_sub(wide) as f64;
                most = most.max(beyond / (listed.rows * longest).max(1) as f64);
                rows += listed.rows;
                failures += usize::from(listed.failed);
                done.send(case).expect("the test waits");
            }
        }
        assert!(rows > 10_000, "only {rows} rows were shown");
        assert!(failures > 1000, "only {failures} recordings could not be read to the end");
        let _ = writeln!(
            io::stderr(),
            "robust: {} damaged recordings, {rows} rows, {failures} ended early, {most:.1} bytes a byte",
            CASES.end
        );
    });
    // Other tests of this binary run at the same time.
    let grown = peak_kib().saturating_sub(before);
    let _ = writeln!(io::stderr(), "robust: peak of memory {grown} KiB above the start");
    assert!(grown < 16 << 10, "{grown} KiB more than at the start");
}

/// The length of the longest message, or of the whole input if no message can be found.
fn longest(bytes: &[u8]) -> usize {
    let mut longest = 0;
    let mut end = 0;
    for range in recording::messages(bytes) {
        longest = longest.max(range.len());
        end = range.end;
    }
    longest.max(bytes.len() - end)
}

// ---- The program -----------------------------------------------------------

/// Runs a program with 64 MiB of address space, five seconds and no core file.
const LIMITED: &str = "ulimit -v 65536 && ulimit -t 5 && ulimit -c 0 && exec \"$0\" \"$@\"";

#[test]
fn the_program_ends_by_itself() {
    let real = real();
    let mut file = Scratch::new();
    let mut ends = [0, 0, 0];
    for case in 20_000..20_300 {
        let bytes = damaged(&mut Rng::with_seed(case), &real);
        file.put(&bytes);
        let words =
            ["-c", LIMITED, env!("CARGO_BIN_EXE_ss"), "-tanemoi", "--tos", "--cgroup", "--inet-sockopt"];
        // In the test's own namespace: this process's files cannot be opened from another user
        // namespace.
        let words = Case::new(&words).env("TCPDIAG_FILE", file.path()).here();
        let outcome = run(Command::new("sh"), &words).unwrap_or_else(|why| panic!("case {case}: {why}"));
        match outcome.ended {
            Ended::Exit(0) => ends[0] += 1,
            Ended::Exit(1) => ends[1] += 1,
            Ended::Exit(255) => ends[2] += 1,
            other => panic!("case {case}: {other}: {}", outcome.stderr.escape_ascii()),
        }
        assert!(outcome.stdout.starts_with(b"State"), "case {case}: no header");
    }
    assert!(ends[0] > 100 && ends[2] > 10, "exit status 0, 1, 255: {ends:?}");
    let _ = writeln!(io::stderr(), "robust: exit status 0, 1, 255 of the program: {ends:?}");
}

// ---- Filters ---------------------------------------------------------------

/// Look-ups with one device and one cgroup.
struct World;

impl Lookups for World {
    fn service(&mut self, name: &[u8], _: Transport) -> Option<u16> {
        (name == b"ssh").then_some(22)
    }

    fn rpc_service(&mut self, _: &[u8]) -> Option<u16> {
        None
    }

    fn hosts(&mut self, name: &[u8], _: Option<Family>) -> Vec<Addr> {
        if name == b"localhost" { vec![Addr::V4([127, 0, 0, 1])] } else { Vec::new() }
    }

    fn interface(&mut self, name: &[u8]) -> Option<u32> {
        (name == b"lo").then_some(1)
    }

    fn cgroup(&mut self, _: &[u8]) -> Result<u64, CgroupError> {
        Ok(1)
    }

    fn cgroup_condition_supported(&mut self) -> bool {
        true
    }
}

fn read(text: &str, catalog: &Catalog) -> Expr {
    try_read(text, catalog).unwrap_or_else(|| panic!("{text:?} is no filter"))
}

/// The same; `None` if conditions contradict each other, as random ones may.
fn possible(text: &str, catalog: &Catalog) -> Option<Expr> {
    match parsed(text, catalog) {
        Ok(Parsed { expr: Some(expr), .. }) => Some(expr),
        Err(FilterError::Value { why: Mismatch::Contrary(_), .. }) => None,
        other => panic!("{text:?}: {other:?}"),
    }
}

fn try_read(text: &str, catalog: &Catalog) -> Option<Expr> {
    parsed(text, catalog).ok()?.expr
}

fn parsed(text: &str, catalog: &Catalog) -> Result<Parsed, FilterError> {
    let tables = TableSet::ALL.union(TableSet::of(&[Table::Tipc, Table::Smc, Table::UdpLite]));
    let context = Context { catalog, preferred: None, tables, lookups: &mut World };
    filter::parse(&[text.as_bytes()], None, context)
}

fn pick(rng: &mut Rng, words: &[&'static str]) -> &'static str {
    rng.choice(words).copied().unwrap_or_default()
}

/// One condition: a keyword, or any field by its name.
fn condition(rng: &mut Rng, catalog: &Catalog) -> String {
    let compare = pick(rng, &["=", "!=", "<", ">", "<=", ">=", "eq", "ne", "gt", "lt", "ge", "le"]);
    let equal = pick(rng, &["", "= ", "!= "]);
    let end = pick(rng, &["src", "dst"]);
    match rng.u8(0..12) {
        0 => format!("{}port {compare} {}", pick(rng, &["s", "d"]), rng.u32(0..70_000)),
        1 => format!("{end} {}/{}", std::net::Ipv4Addr::from_bits(rng.u32(..)), rng.u8(0..=32)),
        2 => format!("{end} [{}/{}]", std::net::Ipv6Addr::from_bits(rng.u128(..)), rng.u8(0..=128)),
        3 => format!(
            "{end} {}{}",
            pick(rng, &["", "= "]),
            pick(rng, &["any", "*", "localhost", "[::]", "0.0.0.0", "127.0.0.0/8", "[::1]:40000", "*:ssh"])
        ),
        4 => format!("dev {equal}{}", pick(rng, &["lo", "1", "0", "if7"])),
        5 => format!("fwmark {equal}{:#x}/{:#x}", rng.u32(..), rng.u32(..)),
        6 => pick(rng, &["autobound", "cgroup /x", "cgroup != /x", "sport = :ssh"]).to_owned(),
        _ => {
            // Only values that the field accepts.
            let fields: Vec<_> = catalog.fields().collect();
            loop {
                let field = rng.choice(&fields).expect("a table with rows");
                let value = match rng.u8(0..5) {
                    0 => "0".to_owned(),
                    1 => rng.u32(0..100).to_string(),
                    2 => rng.u64(..).to_string(),
                    3 => format!("-{}", rng.u32(..)),
                    _ => pick(
                        rng,
                        &[
                            "cubic",
                            "127.0.0.1",
                            "tcp",
                            "established",
                            "ESTAB,LISTEN",
                            "*",
                            "1",
                            "0",
                            "lo",
                            "yes",
                        ],
                    )
                    .to_owned(),
                };
                let text = format!("{} {compare} {value}", field.name);
                if try_read(&text, catalog).is_some() {
                    return text;
                }
            }
        }
    }
}

/// Conditions, combined and nested.
fn expression(rng: &mut Rng, catalog: &Catalog, depth: u8) -> String {
    let mut text = String::new();
    for at in 0..=rng.u8(0..4) {
        if at > 0 {
            text.push_str(pick(rng, &[" and ", " or ", " ", " && ", " | "]));
        }
        text.push_str(pick(rng, &["", "", "", "not ", "! ", "! not "]));
        if depth > 0 && rng.u8(0..3) == 0 {
            let inner = expression(rng, catalog, depth - 1);
            text.extend(["( ", &inner, " )"]);
        } else {
            text.push_str(&condition(rng, catalog));
        }
    }
    text
}

/// The records of a recording, as far as it can be parsed.
fn records(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut file = Scratch::new();
    file.put(bytes);
    let sources = Sources { tcpdiag_file: Some(file.path()), ..Sources::default() };
    let mut records = Vec::new();
    let mut visit = |record: Record<'_>| {
        records.push(record.bytes.to_vec());
        ControlFlow::Continue(())
    };
    let _ = source::dump(&Query::of(Table::Tcp), &sources, &mut Access::here(), &mut visit, &mut drop);
    records
}

/// For any row, a filter and its negation disagree, and `and` and `or` agree with their
/// operands.
#[test]
fn filters_keep_the_laws_of_logic_on_damaged_rows() {
    const CASES: std::ops::Range<u64> = 40_000..50_000;
    each_ends(CASES, |done| {
        let (real, catalog) = (real(), Catalog::standard());
        let mut answers = [0_u64, 0];
        let mut rows = Vec::new();
        for case in CASES {
            let mut rng = Rng::with_seed(case);
            if case % 20 == 0 {
                rows = records(&damaged(&mut rng, &real));
            }
            let (a, b, [yes, other, no, both, either]) = loop {
                let [a, b] = [2, 1].map(|depth| expression(&mut rng, &catalog, depth));
                let filters = [
                    a.clone(),
                    b.clone(),
                    format!("not ( {a} )"),
                    format!("( {a} ) and ( {b} )"),
                    format!("( {a} ) or ( {b} )"),
                ]
                .map(|text| possible(&text, &catalog));
                if let [Some(yes), Some(other), Some(no), Some(both), Some(either)] = filters {
                    break (a, b, [yes, other, no, both, either]);
                }
            };
            for dialect in [Dialect::Classic, Dialect::Modern] {
                let program = filter::program(&both, dialect).unwrap_or_default();
                assert!(
                    program.len() <= 0xffff && program.len().is_multiple_of(4),
                    "case {case}: {a} and {b}"
                );
            }
            for bytes in &rows {
                let origin = Origin::of(Table::Tcp, SourceKind::Recording);
                let Some(socket) = Socket::decode(Record { origin, bytes }) else { continue };
                let row = Row::bare(&socket);
                let [yes, other, no, both, either] =
                    [&yes, &other, &no, &both, &either].map(|filter| filter.eval(&row, CONTEXT));
                assert_ne!(yes, no, "case {case}: not ( {a} )");
                assert_eq!(both, yes && other, "case {case}: ( {a} ) and ( {b} )");
                assert_eq!(either, yes || other, "case {case}: ( {a} ) or ( {b} )");
                answers[usize::from(yes)] += 1;
            }
            done.send(case).expect("the test waits");
        }
        assert!(answers.iter().all(|count| *count > 1000), "no and yes: {answers:?}");
        let _ =
            writeln!(io::stderr(), "robust: {} filters, no and yes: {answers:?}", CASES.end - CASES.start);
    });
}
