//! The same command lines through the reference and through ours: stdout,
//! stderr and exit status must be equal, byte for byte.
//!
//! Sockets are frozen (a namespace whose sockets do not change, or a
//! recording); what ticks is only compared in recordings.  The reference runs
//! before and after ours, and a case on which it differs from itself is a
//! wrong test.  Deliberate differences are rows of COMPAT.md, tested in
//! `tests/compat.rs`.

mod bpf_maps;
mod errors;
mod inet4;
mod live;
mod netpkt;
mod options;
mod proc_text;
mod processes;
mod recordings;
mod replies;
mod summary;
mod unix;
mod widths;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sockdiag_testkit::compare::{Case, run_cases};
use sockdiag_testkit::reference::Reference;
use sockdiag_testkit::skip;

/// The program under test.
const OURS: &str = env!("CARGO_BIN_EXE_ss");

/// A group of cases, and what came of it.
struct Group {
    name: &'static str,
    /// How many there must be.
    least: usize,
    /// How many agreed.
    ran: usize,
    /// What is wrong with the others.
    wrong: Option<String>,
}

impl Group {
    /// A group that cannot run here, which was reported.
    fn none(name: &'static str) -> Self {
        Self { name, least: 0, ran: 0, wrong: None }
    }
}

/// Runs a group.
fn check<'a>(name: &'static str, least: usize, cases: impl IntoIterator<Item = Case<'a>>) -> Group {
    let report = run_cases(cases, Path::new(OURS)).unwrap_or_else(|why| panic!("{name}: {why}"));
    let wrong = if !report.is_clean() {
        Some(format!("{name}: {report}"))
    } else if report.agreed < least {
        Some(format!("{name}: only {} command lines, not {least}", report.agreed))
    } else {
        None
    };
    Group { name, least, ran: report.agreed, wrong }
}

/// Words of a command line, separated by blanks.
fn case(words: &str) -> Case<'static> {
    Case::new(&words.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>())
}

/// A file of this test run.
fn temporary(name: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path
}

/// One test at a time: between `fork` and `exec` a child of the other has this
/// one's sockets, and is listed as a holder of them.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn ours_does_as_the_reference_does() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(why) = Reference::get() {
        skip!("no reference: {why}");
    }
    judge(
        400,
        &[
            errors::run(),
            options::run(),
            recordings::run(),
            recordings::damaged(),
            widths::run(),
            proc_text::run(),
            processes::live(),
            processes::made_up(),
            summary::run(),
            live::run(),
            netpkt::live(),
            netpkt::proc_text(),
            netpkt::answers(),
            replies::run(),
            replies::owners(),
            replies::failures(),
            inet4::recordings(),
            inet4::crafted(),
            inet4::proc_text(),
            inet4::live(),
            unix::live(),
            unix::proc_text(),
            unix::replied(),
        ],
    );
}

#[test]
fn bpf_storage_is_shown_as_the_reference_shows_it() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(why) = Reference::get() {
        skip!("no reference: {why}");
    }
    // Without bpf(2) there is nothing to show but what recordings hold.
    let least = if bpf_maps::Stored::or_skip().is_some() { 110 } else { 24 };
    judge(least, &[bpf_maps::recorded(), bpf_maps::unprivileged(), bpf_maps::options(), bpf_maps::types()]);
}

/// Says what agreed, and fails if something did not.
fn judge(least: usize, groups: &[Group]) {
    let mut text = String::new();
    let mut total = 0;
    for group in groups {
        let _ = writeln!(text, "  {:6} {} (at least {})", group.ran, group.name, group.least);
        total += group.ran;
    }
    // Past the harness, which hides what a passing test prints.
    let _ = writeln!(std::io::stderr(), "differential: {total} command lines agree\n{text}");
    let wrong: Vec<&str> = groups.iter().filter_map(|group| group.wrong.as_deref()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(total >= least, "only {total} command lines");
}
