//! Measures frames of `sockdiag top` with very many sockets of which few are used, relative to
//! dumps by `ss`.
//!
//! These are rows of `cargo xtask over-time`.  The cost of a frame is the difference between a
//! longer and a shorter run, so that start-up and the first looks do not count.  Every
//! thirtieth look reports all sockets; its cost is included as it occurs.

use std::path::Path;

use sockdiag_testkit::Why;
use sockdiag_testkit::holders::Holder;
use sockdiag_testkit::measure;
use sockdiag_testkit::netns::Namespace;

use crate::over_time::{DUMP, Figure, command, median};

/// Per cent of the sockets that are used in each second.
const USED: u8 = 1;
/// Frames before the measured ones: the first look is a dump, and the next two report all
/// sockets too.
const BEFORE: u32 = 4;
/// Frames that are measured.
const FRAMES: u32 = 10;
/// From this number of sockets on, the cost of walking the kernel's hash buckets, whose number
/// does not depend on the sockets, no longer matters.
const MANY: u64 = 500_000;

/// The measured frames, and the limits of their processor time relative to that of the dump,
/// with many sockets and with fewer.  Holders are searched for among all open files.
const KINDS: [(&str, &str, [f64; 2]); 2] = [
    (
        " without holders",
        " --columns local.port,remote.port,goodput --sort -goodput_bytes_per_s",
        [0.15, 0.25],
    ),
    ("", "", [0.15, 0.25]),
];

/// The cost of a frame relative to a dump.
pub(crate) fn figures(ss: &Path, sockdiag: &Path, sockets: u32, runs: u32) -> Result<Vec<Figure>, Why> {
    let namespace = Namespace::new()?;
    let holder = Holder::using(&namespace, sockets / 2, 0, USED)?;
    let sockets = 2 * u64::from(holder.connections());
    let cost = |program: &Path, words: &str| measure::run(&mut command(program, words, &namespace));
    let mut figures = Vec::new();
    for (name, words, [many, fewer]) in KINDS {
        let (mut frames, mut dumps) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            dumps.push(cost(ss, DUMP)?.cpu().as_secs_f64());
            let top = |frames: u32| {
                let words = format!("top --batch --limit 20 --iterations {frames}{words}");
                Ok::<_, Why>(cost(sockdiag, &words)?.cpu().as_secs_f64())
            };
            let before = top(BEFORE)?;
            frames.push((top(BEFORE + FRAMES)? - before) / f64::from(FRAMES));
        }
        let (frame, dump) = (median(frames), median(dumps));
        figures.push(Figure {
            what: format!(
                "a frame of `top --limit 20`{name} ({:.0} ms) in `ss {DUMP}` ({:.0} ms), {sockets} sockets, \
                 {USED} in a hundred used every second",
                frame * 1e3,
                dump * 1e3
            ),
            value: frame / dump,
            limit: if sockets < MANY { fewer } else { many },
            unit: "",
        });
    }
    Ok(figures)
}
