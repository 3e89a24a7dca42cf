//! `cargo xtask over-time`: measures the costs of `sockdiag top`, `watch` and `wait`, each
//! against a limit.
//!
//! Frames are compared with a dump by `ss` on the same sockets, in turns.  The cost of a frame
//! is the difference between a run of several and a run of one, so that start-up does not
//! count; for `watch` and `wait` everything counts.  Processor time is measured, except for
//! how soon a new listener is seen.
//!
//! Invariant: a figure above its limit is a failure, and so is one that cannot be measured.

#![allow(clippy::cast_precision_loss, reason = "small, known numbers; each cast is meant")]

use std::fmt;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};
use sockdiag_testkit::Why;
use sockdiag_testkit::holders::Holder;
use sockdiag_testkit::measure::{self, Cost};
use sockdiag_testkit::netns::Namespace;

use crate::active;
use crate::bench::{build_shipped, load};

pub(crate) const WORDS: &str = "[--runs R] [--sockets N] [--seconds S] [--races N]";

/// The help text.
pub(crate) const DOC: &str = "\
Measure what sockdiag costs over time, and fail above the limits: a frame of
`top`, of 20 rows and of all with who holds them, 1.3 times the processor time of
`ss -tani` on the same sockets; `doctor --for 2s` 1.3 times that of two; memory of
top, doctor and watch 15 MiB and 100 bytes a socket; watch on 1,000 idle sockets, and wait, half a
per cent of a core, with nothing written; a listener seen within 20 ms in 99 of
100 races of bind and listen, without a connection to it.  With one socket in a hundred
used every second a frame of `top --limit 20` takes 0.25 of a dump, with processes too;
from half a million sockets on 0.15.
--runs R         runs of each kind, in turns (5)
--sockets N      sockets of the frames (100000)
--seconds S      how long to watch and to wait (60)
--races N        races of bind and listen (1000).";

/// Number of frames of the longer runs.
const FRAMES: u32 = 5;
/// Number of sockets that are watched while nothing happens.
const IDLE: u32 = 1_000;
/// Limit of a frame's processor time, relative to the dump's.
const FRAME: f64 = 1.3;
/// Limits of the memory that does not depend on the number of sockets, and of that per socket.
const MEMORY_KIB: u64 = 15 << 10;
const SOCKET_BYTES: u64 = 100;
/// Limit of the share of a core, in per cent.
const SHARE: f64 = 0.5;
/// Limit of the time until a listener is seen, in milliseconds.
const SEEN_MS: f64 = 20.0;

/// The parsed arguments.
struct Plan {
    runs: u32,
    sockets: u32,
    seconds: u32,
    races: u32,
}

/// A measured value with its limit.
pub(crate) struct Figure {
    pub(crate) what: String,
    pub(crate) value: f64,
    pub(crate) limit: f64,
    pub(crate) unit: &'static str,
}

impl Figure {
    pub(crate) fn is_above(&self) -> bool {
        // NaN counts as above every limit.
        !matches!(self.value.partial_cmp(&self.limit), Some(order) if order.is_le())
    }
}

/// Formats a figure as a row of the table.
impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, value, limit, unit } = self;
        let verdict = if self.is_above() { "ABOVE" } else { "holds" };
        write!(f, "| {what} | {value:.2} {unit} | {limit:.2} {unit} | {verdict} |")
    }
}

/// Runs the chore.
pub(crate) fn run(words: &[String]) -> Result<(), Why> {
    let mut plan = Plan { runs: 5, sockets: 100_000, seconds: 60, races: 1_000 };
    for pair in words.chunks(2) {
        let value = pair.get(1).and_then(|value| value.parse::<u32>().ok()).filter(|value| *value > 0);
        match (pair.first().map(String::as_str), value) {
            (Some("--runs"), Some(value)) => plan.runs = value,
            (Some("--sockets"), Some(value)) => plan.sockets = value,
            (Some("--seconds"), Some(value)) => plan.seconds = value,
            (Some("--races"), Some(value)) => plan.races = value,
            _ => return Err(Why::new(format!("{} is not a valid argument; usage: {WORDS}", pair.join(" ")))),
        }
    }
    let [ss, sockdiag] = build_shipped()?;
    let tools = Tools { ss, sockdiag };
    println!("Load averages {}.\n", load());
    println!("| Figure | measured | limit | |");
    println!("| --- | ---: | ---: | --- |");
    let mut above = Vec::new();
    let mut show = |figures: Vec<Figure>| {
        for figure in figures {
            println!("{figure}");
            if figure.is_above() {
                above.push(figure.what);
            }
        }
    };
    show(tools.frames(&plan)?);
    show(active::figures(&tools.ss, &tools.sockdiag, plan.sockets, plan.runs)?);
    show(tools.idle(&plan)?);
    show(vec![tools.races(&plan)?]);
    println!("\nLoad averages at the end {}.", load());
    if above.is_empty() { Ok(()) } else { Err(Why::new(format!("above the limit: {}", above.join(", ")))) }
}

/// The dump that figures are compared with; without `--source`, `ss` may walk the tables.
pub(crate) const DUMP: &str = "--source netlink -tani";

/// A kind of frame, and the dump with the same facts.
struct Kind {
    name: &'static str,
    words: &'static str,
    dump: &'static str,
    /// Whether every row is shown, and so has to be kept until all can be sorted.
    shows_all: bool,
}

const KINDS: [Kind; 2] = [
    Kind { name: "top --limit 20", words: " --limit 20", dump: DUMP, shows_all: false },
    // The holders of each socket are looked up and printed, too.
    Kind { name: "top", words: "", dump: DUMP, shows_all: true },
];

/// A whole run of the doctor: two samples or more.
const DOCTOR: &str = "doctor --for 2s";

/// The results of a kind: processor time in seconds, and the greatest resident size.
#[derive(Default)]
struct Costs {
    dumps: Vec<f64>,
    frames: Vec<f64>,
    memory_kib: u64,
}

/// The measured programs.
struct Tools {
    ss: PathBuf,
    sockdiag: PathBuf,
}

/// A command in the namespace, with its output discarded.
pub(crate) fn command(program: &Path, words: &str, namespace: &Namespace) -> Command {
    let mut command = namespace.command(program);
    command.args(words.split(' ')).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// The median.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Tools {
    /// Frames of `top` against a dump, and the memory of `top` and `watch`.
    fn frames(&self, plan: &Plan) -> Result<Vec<Figure>, Why> {
        let namespace = Namespace::new()?;
        let holder = Holder::start(&namespace, plan.sockets / 2, 0)?;
        let sockets = 2 * u64::from(holder.connections());
        let cost = |program: &Path, words: &str| measure::run(&mut command(program, words, &namespace));
        let words =
            |kind: &Kind, frames: u32| format!("top --interval 1ms --iterations {frames}{}", kind.words);
        let mut costs = KINDS.map(|_| Costs::default());
        let mut doctor = Costs::default();
        for run in 0..plan.runs {
            for (kind, costs) in KINDS.iter().zip(&mut costs) {
                let mut dump = || {
                    costs.dumps.push(cost(&self.ss, kind.dump)?.cpu().as_secs_f64());
                    Ok::<_, Why>(())
                };
                if run % 2 == 0 {
                    dump()?;
                }
                let one = cost(&self.sockdiag, &words(kind, 1))?;
                let several = cost(&self.sockdiag, &words(kind, 1 + FRAMES))?;
                let more = several.cpu().saturating_sub(one.cpu());
                costs.frames.push(more.as_secs_f64() / f64::from(FRAMES));
                costs.memory_kib = several.max_rss_kib.max(costs.memory_kib);
                if run % 2 == 1 {
                    dump()?;
                }
            }
        }
        for _ in 0..plan.runs {
            doctor.dumps.push(cost(&self.ss, DUMP)?.cpu().as_secs_f64());
            // The doctor's exit status depends on its findings, so any status is fine.
            let run = measure::run_any(&mut command(&self.sockdiag, DOCTOR, &namespace))?;
            doctor.frames.push(run.cpu().as_secs_f64());
            doctor.memory_kib = run.max_rss_kib.max(doctor.memory_kib);
        }
        let limit = (MEMORY_KIB + sockets * SOCKET_BYTES / 1024) as f64 / 1024.0;
        let mut figures = Vec::new();
        for (kind, costs) in KINDS.iter().zip(costs) {
            let (frame, dump) = (median(costs.frames), median(costs.dumps));
            let what = format!(
                "a frame of `{}` ({:.0} ms) in `ss {}` ({:.0} ms), {sockets} sockets",
                kind.name,
                frame * 1e3,
                kind.dump,
                dump * 1e3
            );
            figures.push(Figure { what, value: frame / dump, limit: FRAME, unit: "" });
            let shown = if kind.shows_all {
                quiet(command(&self.sockdiag, &words(kind, 1), &namespace))?.1
            } else {
                0
            };
            figures.push(Figure {
                what: format!(
                    "memory of `{}`{}",
                    kind.name,
                    if kind.shows_all { ", beside the rows of a frame" } else { "" }
                ),
                value: (costs.memory_kib as f64 - shown as f64 / 1024.0) / 1024.0,
                limit,
                unit: "MiB",
            });
        }
        let (run, dump) = (median(doctor.frames), 2.0 * median(doctor.dumps));
        figures.push(Figure {
            what: format!(
                "`{DOCTOR}` ({:.0} ms) in two `ss {DUMP}` ({:.0} ms), {sockets} sockets",
                run * 1e3,
                dump * 1e3
            ),
            value: run / dump,
            limit: FRAME,
            unit: "",
        });
        let value = doctor.memory_kib as f64 / 1024.0;
        figures.push(Figure { what: format!("memory of `{DOCTOR}`"), value, limit, unit: "MiB" });
        let watch = cost(&self.sockdiag, "watch --for 3s")?;
        let value = watch.max_rss_kib as f64 / 1024.0;
        figures.push(Figure { what: "memory of `watch`".to_owned(), value, limit, unit: "MiB" });
        Ok(figures)
    }

    /// The cost of watching, and of waiting, while nothing happens.
    fn idle(&self, plan: &Plan) -> Result<Vec<Figure>, Why> {
        let namespace = Namespace::new()?;
        let _holder = Holder::start(&namespace, IDLE / 2, 0)?;
        let seconds = plan.seconds;
        let lines = [
            (format!("watch --for {seconds}s"), format!("`watch` on {IDLE} idle sockets for {seconds} s")),
            (format!("wait --timeout {seconds}s sport = :9"), format!("`wait` for {seconds} s")),
        ];
        let costs: Vec<Result<(Cost, u64), Why>> = std::thread::scope(|scope| {
            let threads: Vec<_> = lines
                .iter()
                .map(|(words, _)| scope.spawn(|| quiet(command(&self.sockdiag, words, &namespace))))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        });
        let mut figures = Vec::new();
        for ((_, what), cost) in lines.into_iter().zip(costs) {
            let (cost, written) = cost?;
            let share = cost.cpu().as_secs_f64() * 100.0 / cost.wall.as_secs_f64();
            figures.push(Figure { what: what.clone(), value: share, limit: SHARE, unit: "% of a core" });
            figures.push(Figure {
                what: format!("{what}: written"),
                value: written as f64,
                limit: 0.0,
                unit: "bytes",
            });
        }
        Ok(figures)
    }

    /// How soon a listener is seen.
    fn races(&self, plan: &Plan) -> Result<Figure, Why> {
        let namespace = Namespace::new()?;
        let mut took = Vec::new();
        for race in 0..plan.races {
            took.push(self.race(&namespace, Duration::from_millis(u64::from(20 + race * 37 % 60)))?);
        }
        took.sort();
        let p99 = took.get(took.len() * 99 / 100).or(took.last()).copied().unwrap_or(Duration::MAX);
        let half = took.get(took.len() / 2).copied().unwrap_or_default();
        Ok(Figure {
            what: format!(
                "99 of 100 of {} races of bind and listen (median {half:.1?}), none connected",
                plan.races
            ),
            value: p99.as_secs_f64() * 1e3,
            limit: SEEN_MS,
            unit: "ms",
        })
    }

    /// The time from listen(2), called `after` this long since the start of `wait`, to its
    /// end.
    fn race(&self, namespace: &Namespace, after: Duration) -> Result<Duration, Why> {
        let failed = |error: std::io::Error| Why::new(format!("a race: {error}"));
        // Bound, so that the port is known; it does not listen yet.
        let socket = namespace.with(|| {
            let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
            bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
            Ok(TcpListener::from(socket))
        })?;
        let socket = socket.map_err(|error: rustix::io::Errno| failed(error.into()))?;
        let port = socket.local_addr().map_err(failed)?.port();
        let words = format!("wait --timeout 20s sport = :{port}");
        let mut child = command(&self.sockdiag, &words, namespace).spawn().map_err(failed)?;
        std::thread::sleep(after);
        listen(&socket, 5).map_err(|error| failed(error.into()))?;
        let begun = Instant::now();
        let status = child.wait().map_err(failed)?;
        let took = begun.elapsed();
        if !status.success() {
            return Err(Why::new(format!("`wait` ended with {status}")));
        }
        socket.set_nonblocking(true).map_err(failed)?;
        match socket.accept() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(took),
            Err(error) => Err(failed(error)),
            Ok(_) => Err(Why::new("`wait` made a connection")),
        }
    }
}

/// Runs a command to its end; returns its cost and the number of bytes written.
fn quiet(mut command: Command) -> Result<(Cost, u64), Why> {
    let failed = |error: std::io::Error| Why::new(format!("running sockdiag: {error}"));
    let (mut reader, writer) = std::io::pipe().map_err(failed)?;
    // `wait` reports on standard error that its time is up; that is expected, so it is discarded.
    if command.get_args().next().is_some_and(|word| word == "wait") {
        command.stderr(Stdio::null());
    } else {
        command.stderr(writer.try_clone().map_err(failed)?);
    }
    command.stdout(writer);
    let count = std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    let cost = measure::run_any(&mut command);
    // Dropping the command closes its ends of the pipe.
    drop(command);
    let written = count.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map_err(failed)?;
    Ok((cost?, written))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_above_its_limit_is_told() {
        let figure = |value| Figure { what: "x".into(), value, limit: 1.3, unit: "" };
        assert!(!figure(1.3).is_above() && figure(1.31).is_above() && figure(f64::NAN).is_above());
        assert!(figure(2.0).to_string().ends_with("| ABOVE |"), "{}", figure(2.0));
        assert!(median(Vec::new()).is_nan());
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_written_is_counted() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo 1234; echo 56 >&2"]);
        assert_eq!(quiet(shell).map(|(_, written)| written), Ok(8));
    }
}
