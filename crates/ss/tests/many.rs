//! So many sockets that the listing is printed in several windows: the outputs of the
//! reference and ours must be equal to the last byte.
//!
//! A window holds about five mebibytes of text, and column widths only grow from one to the
//! next, so small listings cannot show a difference here.  Values that change with time are
//! compared in a recording of the same sockets.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use sockdiag_testkit::compare::{Case, run_cases};
use sockdiag_testkit::holders::Holder;
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::recording::{self, attr};
use sockdiag_testkit::reference::Reference;
use sockdiag_testkit::skip;

/// The program under test.
const OURS: &str = env!("CARGO_BIN_EXE_ss");
/// More text than one window holds.
const WINDOW: u64 = 5 << 20;

fn case(words: &str) -> Case<'static> {
    Case::new(&words.split(' ').collect::<Vec<_>>())
}

/// A file of this test run.
fn temporary(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Asserts that every case can be compared and agrees.
#[track_caller]
fn check<const N: usize>(cases: [Case<'_>; N]) {
    let report = run_cases(cases, Path::new(OURS)).unwrap_or_else(|why| panic!("{why}"));
    assert!(report.is_clean() && report.agreed == N, "{report}");
}

#[test]
fn forty_thousand_live_sockets() {
    const CONNECTIONS: u32 = 20_000;
    let reference = match Reference::get() {
        Ok(reference) => reference,
        Err(why) => skip!("no reference: {why}"),
    };
    let Some(namespace) = Namespace::or_skip() else { return };
    let holder = Holder::start(&namespace, CONNECTIONS, 30).unwrap();
    assert_eq!(holder.connections(), CONNECTIONS);
    check(
        ["-tan", "-tane", "-tanm", "-ta4n", "-tan dport > 40000"].map(|line| case(line).inside(&namespace)),
    );

    let path = temporary("many-live");
    let mut command = reference.command();
    command.args(["-tanemoi", "-D"]).arg(&path).stdin(Stdio::null());
    namespace.enter(&mut command);
    let out = command.output().unwrap();
    assert!(out.status.success(), "{out:?}");
    drop(holder);
    let both = recording::cut_done(&fs::read(&path).unwrap());
    // Both ends of each connection, and the end message.
    assert_eq!(recording::messages(&both).len(), 2 * CONNECTIONS as usize + 1);
    fs::write(&path, both).unwrap();
    check(["-tan", "-tani", "-tanemoi", "-tanOi"].map(|line| case(line).env("TCPDIAG_FILE", &path)));
    fs::remove_file(&path).unwrap();
}

#[test]
fn a_hundred_and_fifty_thousand_recorded_sockets_of_every_shape() {
    const ROWS: usize = 150_000;
    if let Err(why) = Reference::get() {
        skip!("no reference: {why}");
    }
    let random = recording::random(&mut fastrand::Rng::with_seed(2026), ROWS);
    // Other protocols' layouts have their own tests.
    let random = recording::retype(&random, attr::PROTOCOL, 200);
    let both = recording::cut_done(&random);
    assert_eq!(recording::messages(&both).len(), ROWS + 1);
    let path = temporary("many-recorded");
    fs::write(&path, both).unwrap();
    // Even the shortest listing exceeds one window, not counting padding.
    let shortest = ROWS as u64 * "ESTAB0     0     0.0.0.0:10.0.0.0:1".len() as u64;
    assert!(shortest > WINDOW);
    let lines = ["-tan", "-tane", "-tani", "-tanemoi --tos", "-tanHQO -i"];
    check(lines.map(|line| case(line).env("TCPDIAG_FILE", &path)));
    check(["-tan", "-tane", "-tani"].map(|line| case(line).env("TCPDIAG_FILE", &path).env("COLUMNS", "100")));
    fs::remove_file(&path).unwrap();
}
