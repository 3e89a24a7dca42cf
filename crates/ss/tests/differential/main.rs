//! Runs the same command lines through the reference and ours: stdout, stderr and exit status
//! must be equal, byte for byte.
//!
//! Sockets are frozen (in a namespace whose sockets do not change, or in a recording); values
//! that change with time are compared only in recordings.  The reference runs before and after
//! ours, and a case on which it differs from itself is a wrong test.  Deliberate differences
//! are rows of COMPAT.md, tested in `tests/compat.rs`.
//!
//! A group of cases is a test: `cargo test -p sockdiag-ss --test differential unix_live` runs
//! one. Each must compare at least as many command lines as its row of [`groups!`] says, or
//! report a skip.

#![allow(clippy::expect_used, reason = "a test ends with what it did not expect")]

mod bpf_maps;
mod errors;
mod inet4;
mod live;
mod netpkt;
mod options;
mod proc_text;
mod processes;
mod recordings;
mod refused;
mod replies;
mod summary;
mod unix;
mod widths;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use sockdiag_testkit::compare::{Case, run, run_cases};
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::reference::Reference;
use sockdiag_testkit::skip;

/// The program under test.
const OURS: &str = env!("CARGO_BIN_EXE_ss");

/// Makes a test of each group, and [`LEAST`], the numbers that they must reach.
///
/// `alone` marks a group whose sockets belong to this process: a child of another test also
/// has them between `fork` and `exec`, and would be listed as a holder.
macro_rules! groups {
    ($($name:ident: $run:path, $least:literal $($alone:ident)?;)*) => {
        $(#[test] fn $name() { run_group(stringify!($name), $least, $run, &[$(stringify!($alone))?]); })*
        /// How many command lines each group has to compare.
        const LEAST: &[usize] = &[$($least),*];
    };
}

groups! {
    bpf_options: bpf_maps::options, 55 alone;
    bpf_recorded: bpf_maps::recorded, 24;
    bpf_types: bpf_maps::types, 26;
    bpf_unprivileged: bpf_maps::unprivileged, 9;
    errors: errors::run, 200;
    inet_crafted: inet4::crafted, 76;
    inet_live: inet4::live, 57;
    inet_proc_text: inet4::proc_text, 38;
    inet_recorded: inet4::recordings, 190;
    live_sockets: live::sockets, 200;
    live_walked: live::walked, 170;
    live_recorded: live::recorded, 24;
    netpkt_answers: netpkt::answers, 220;
    netpkt_live: netpkt::live, 220;
    netpkt_proc_text: netpkt::proc_text, 160;
    options: options::run, 330;
    proc_text: proc_text::run, 76;
    processes_live: processes::live, 36;
    processes_made_up: processes::made_up, 40;
    recordings: recordings::run, 440;
    recordings_damaged: recordings::damaged, 30;
    refused: refused::run, 840;
    replies: replies::run, 600;
    replies_failures: replies::failures, 190;
    replies_owners: replies::owners, 28;
    summary: summary::run, 59;
    unix_live: unix::live, 128;
    unix_proc_text: unix::proc_text, 270;
    unix_replies: unix::replied, 109;
    widths: widths::run, 105;
}

/// Neither a case nor a group can be removed unnoticed.
#[test]
fn the_groups_compare_thousands_of_command_lines() {
    let all: usize = LEAST.iter().sum();
    assert!(LEAST.len() >= 28 && all >= 3900, "{} groups of {all} command lines", LEAST.len());
}

/// Held for reading by every group, and for writing by a group that runs alone.
static ALONE: RwLock<()> = RwLock::new(());

/// Runs a group, which returns the number of command lines that agree, or `None` after
/// reporting a skip.
fn run_group<T: Into<Option<usize>>>(name: &str, least: usize, run: fn() -> T, marks: &[&str]) {
    let (_alone, _beside) = match marks {
        [] => (None, Some(ALONE.read().unwrap_or_else(PoisonError::into_inner))),
        _ => (Some(ALONE.write().unwrap_or_else(PoisonError::into_inner)), None),
    };
    if let Err(why) = Reference::get() {
        skip!("no reference: {why}");
    }
    let begun = Instant::now();
    let Some(agreed) = run().into() else { return };
    let seconds = begun.elapsed().as_secs_f64();
    // Writes directly: the test harness hides what a passing test prints.
    let line =
        format!("differential {name}: {agreed} command lines agree (at least {least}), {seconds:.1} s\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    assert!(agreed >= least, "{name}: only {agreed} command lines, not {least}");
}

/// Compares cases, all of which must agree; returns their number.
#[track_caller]
fn check<'a>(cases: impl IntoIterator<Item = Case<'a>>) -> usize {
    let report = run_cases(cases, Path::new(OURS)).unwrap_or_else(|why| panic!("{why}"));
    assert!(report.is_clean(), "{report}");
    report.agreed
}

/// A case from the words of a command line, separated by blanks.
fn case(words: &str) -> Case<'static> {
    Case::new(&words.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>())
}

/// A file of this test run.  Groups run at the same time, so each must use its own names.
fn temporary(name: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path
}

/// Waits until the sockets of a namespace are at rest: the reference's listing has not changed
/// for longer than an acknowledgement may be delayed.
fn rest(namespace: &Namespace) {
    /// The kernel's longest delay of an acknowledgement is 200 ms (`TCP_DELACK_MAX`).
    const STILL: Duration = Duration::from_millis(250);
    let reference = Reference::get().unwrap_or_else(|why| panic!("{why}"));
    let look = case("-anmOH -A inet").inside(namespace);
    let look = || run(reference.command(), &look).unwrap_or_else(|why| panic!("{why}"));
    let begun = Instant::now();
    let (mut seen, mut since) = (look(), begun);
    while since.elapsed() < STILL {
        assert!(begun.elapsed() < Duration::from_secs(10), "never at rest: {seen:?}");
        std::thread::sleep(Duration::from_millis(25));
        let now = look();
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
    }
}
