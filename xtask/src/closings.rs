//! `cargo xtask closings`: makes connections of a few milliseconds beside `sockdiag watch
//! --jsonl`, and checks that the closings it shows and those it counts as lost are exactly
//! those that were made.
//!
//! Three runs: the reader keeps reading, it is stopped for two seconds, and it is stopped for
//! so long that the kernel's queue may overflow.  (When the queue is half full, the kernel
//! worker that fills it yields to other tasks: on a busy machine messages wait there instead
//! of being lost.)

use std::time::Duration;

use sockdiag_testkit::Why;
use sockdiag_testkit::brief::{Account, Plan};

use crate::bench::build_sockdiag;

pub(crate) const WORDS: &str = "[--connections N] [--rate PER-SECOND]";

/// The help text.
pub(crate) const DOC: &str = "\
Make connections of a few milliseconds beside `sockdiag watch --jsonl`, and fail
unless the closings shown and those counted as lost are exactly those made, each
shown one with its exact last counters; also with a reader that is stopped for
two and for twelve seconds.
--connections N  how many are made each time (100000)
--rate N         how many a second, if the machine can (7500).";

/// How long the reader is stopped in each run.
const STALLED: [Duration; 3] = [Duration::ZERO, Duration::from_secs(2), Duration::from_secs(12)];

/// Runs the chore.
pub(crate) fn run(words: &[String]) -> Result<(), Why> {
    let mut plan = Plan { connections: 100_000, per_second: 7_500, stalled: Duration::ZERO };
    for pair in words.chunks(2) {
        let value = pair.get(1).and_then(|value| value.parse::<u32>().ok()).filter(|value| *value > 0);
        match (pair.first().map(String::as_str), value) {
            (Some("--connections"), Some(value)) => plan.connections = value,
            (Some("--rate"), Some(value)) => plan.per_second = value,
            _ => return Err(Why::new(format!("{} is not a valid argument; usage: {WORDS}", pair.join(" ")))),
        }
    }
    let sockdiag = build_sockdiag()?;
    let mut wrong = Vec::new();
    for stalled in STALLED {
        let account = Account::beside(&sockdiag, Plan { stalled, ..plan })?;
        println!("{account}");
        wrong.extend(account.wrong());
    }
    if wrong.is_empty() { Ok(()) } else { Err(Why::new(wrong.join("; "))) }
}
