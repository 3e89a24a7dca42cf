//! `cargo xtask bench --against COMMIT`: runs our program at a former commit and the present
//! one, in turns on the same sockets.
//!
//! A line got slower if the present program takes over a tenth more CPU time by both the
//! median and the minimum of the runs.  Each alone can be wrong: a burst of other work moves
//! the median of few runs, a single lucky run the minimum.  A line that looks slower is
//! measured again with more runs, and fails only if it is slower every time.

use std::fmt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use sockdiag_testkit::Why;
use sockdiag_testkit::measure;

use super::lines::{Compare, Line, Place, Theirs};
use super::options::Options;
use super::stage::Stage;
use super::table::{self, Same};
use super::{build, former};

/// The allowed ratio of the present program's time to the former's.
const MOST: f64 = 1.10;
/// How often a line that looks slower is measured in total.
const ATTEMPTS: usize = 3;

/// The former or the present program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Former,
    Present,
}

/// Runs the chore.
pub(super) fn run(options: &Options, commit: &str) -> Result<(), Why> {
    let former = former::build(commit)?;
    let mut against = Against {
        former: former.program,
        present: build()?,
        stage: Stage::new(options)?,
        dearer: Vec::new(),
    };
    for options in options.tables() {
        against.table(&options, &former.commit)?;
    }
    if options.keep {
        println!("Kept in {}", against.stage.keep().display());
    }
    if against.dearer.is_empty() {
        return Ok(());
    }
    Err(Why::new(format!("over {MOST:.2} times the CPU time of {commit}: {}", against.dearer.join(", "))))
}

/// The two programs and the namespaces they run in.
struct Against {
    former: PathBuf,
    present: PathBuf,
    stage: Stage,
    /// The lines that got slower.
    dearer: Vec<String>,
}

impl Against {
    /// Measures one table and prints it.
    fn table(&mut self, options: &Options, commit: &str) -> Result<(), Why> {
        self.stage.clear();
        let lines = distinct(options.lines());
        let (before, after): (Vec<_>, Vec<_>) =
            lines.into_iter().partition(|line| line.place == Place::Empty);
        let short = commit.get(..12).unwrap_or(commit);
        println!(
            "{} sockets, {} % IPv6; commit {short} and the present tree in turns, {} runs and more of each.\n\
             Load average before: {}.  CPU times in ms.\n\n\
             | Command | CPU at {short} | CPU now | ratio of medians | of minima | runs | output |\n\
             | --- | ---: | ---: | ---: | ---: | ---: | --- |",
            options.sockets,
            options.v6_percent,
            options.runs,
            table::load()
        );
        for line in before {
            self.line(line, options)?;
        }
        if !after.is_empty() {
            let present = self.present.clone();
            self.stage.make_sockets(options, &after, &|| Command::new(&present))?;
        }
        for line in after {
            self.line(line, options)?;
        }
        println!("\nLoad average at the end: {}.\n", table::load());
        Ok(())
    }

    /// Compares and measures one command line.
    fn line(&mut self, line: &'static Line, options: &Options) -> Result<(), Why> {
        let same = match line.compare {
            Compare::Bytes => self.stage.compare(line, [When::Former, When::Present], |when, output| {
                self.command(line, when, output)
            })?,
            // These lines print the values of `-i`, whose clocks tick.
            Compare::Unasked(_) if matches!(line.theirs, Theirs::Ours(_)) => Same::Unasked("clocks tick"),
            Compare::Unasked(why) => Same::Unasked(why),
        };
        let mut rounds = options.runs * line.repeats;
        let mut turns = self.turns(line, rounds)?;
        for _ in 1..ATTEMPTS {
            if !turns.is_dearer() {
                break;
            }
            rounds *= 2;
            turns = self.turns(line, rounds)?;
        }
        println!("| {} | {turns} | {same} |", line.asked());
        if turns.is_dearer() {
            self.dearer.push(format!("{} ({:.2})", line.name, turns.of_medians()));
        }
        Ok(())
    }

    /// Runs both programs this often, in turns, taking turns to go first.
    fn turns(&self, line: &Line, rounds: usize) -> Result<Turns, Why> {
        let mut turns = Turns::default();
        for round in 0..rounds {
            let mut whens = [When::Former, When::Present];
            whens.rotate_left(round % 2);
            for when in whens {
                let cost = measure::run(self.command(line, when, Stdio::null())?.stderr(Stdio::null()))?;
                match when {
                    When::Former => turns.former.push(cost.cpu()),
                    When::Present => turns.present.push(cost.cpu()),
                }
            }
        }
        Ok(turns)
    }

    fn command(&self, line: &Line, when: When, output: Stdio) -> Result<Command, Why> {
        let mut command = Command::new(match when {
            When::Former => &self.former,
            When::Present => &self.present,
        });
        command.args(line.args(self.stage.one()));
        self.stage.place(&mut command, line, line.env)?;
        command.stdin(Stdio::null()).stdout(output);
        Ok(command)
    }
}

/// The lines that run our program, without duplicates.
fn distinct(lines: impl Iterator<Item = &'static Line>) -> Vec<&'static Line> {
    let mut all: Vec<&'static Line> = Vec::new();
    for line in lines {
        let is_ours = !matches!(line.theirs, Theirs::Neighbour(..) | Theirs::BareDump);
        let asks_the_same =
            |other: &&Line| (other.words, other.env, other.place) == (line.words, line.env, line.place);
        if is_ours && !all.iter().any(asks_the_same) {
            all.push(line);
        }
    }
    all
}

/// CPU times of both programs, from the same number of runs.
#[derive(Debug, Default)]
struct Turns {
    former: Vec<Duration>,
    present: Vec<Duration>,
}

impl Turns {
    fn of_medians(&self) -> f64 {
        ratio(median(&self.present), median(&self.former))
    }

    fn of_minima(&self) -> f64 {
        let least = |times: &[Duration]| times.iter().min().copied().unwrap_or_default();
        ratio(least(&self.present), least(&self.former))
    }

    fn is_dearer(&self) -> bool {
        self.of_medians() > MOST && self.of_minima() > MOST
    }
}

impl fmt::Display for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |times: &[Duration]| table::millis(median(times));
        write!(f, "{} | {} | ", millis(&self.former), millis(&self.present))?;
        write!(f, "{:.2} | {:.2} | {}", self.of_medians(), self.of_minima(), self.former.len())?;
        if self.is_dearer() { f.write_str(", **dearer**") } else { Ok(()) }
    }
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// The ratio of two times; 1 if the divisor is zero.
fn ratio(one: Duration, other: Duration) -> f64 {
    if other.is_zero() { 1.0 } else { one.as_secs_f64() / other.as_secs_f64() }
}

#[cfg(test)]
mod tests {
    use super::super::lines::LINES;
    use super::*;

    fn turns(former: &[u64], present: &[u64]) -> Turns {
        let micros = |times: &[u64]| times.iter().copied().map(Duration::from_micros).collect();
        Turns { former: micros(former), present: micros(present) }
    }

    #[test]
    fn a_line_is_dearer_by_medians_and_minima() {
        assert!(turns(&[100, 105, 100], &[112, 115, 130]).is_dearer());
        assert!(!turns(&[100, 105, 100], &[109, 109, 200]).is_dearer(), "just below a tenth");
        assert!(!turns(&[100, 101, 102], &[101, 150, 160]).is_dearer(), "a burst beside the present one");
        assert!(!turns(&[50, 101, 102], &[100, 101, 102]).is_dearer(), "a lucky run of the former one");
        assert!(!turns(&[100], &[50]).is_dearer());
        assert!(!Turns::default().is_dearer());
        assert_eq!(
            turns(&[1000, 3000, 2000], &[1000, 1500, 9000]).to_string(),
            "2.00 | 1.50 | 0.75 | 1.00 | 3"
        );
    }

    #[test]
    fn each_way_to_run_our_program_is_measured_once() {
        let lines = distinct(LINES.iter());
        let names: Vec<&str> = lines.iter().map(|line| line.name).collect();
        for wanted in ["version", "tan", "tanp", "tanp-proc", "json", "jsonl", "replay-tani", "tunlp"] {
            assert!(names.contains(&wanted), "{wanted}");
        }
        for unwanted in ["bare", "tanp-tan", "tanp-proc-tan", "lsof", "netstat-tan"] {
            assert!(!names.contains(&unwanted), "{unwanted}");
        }
    }
}
