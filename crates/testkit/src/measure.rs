//! What one run of a program costs: wall-clock time, processor time, memory.
//!
//! The figures are those that wait4(2) reports for this one child, so runs do not add up.
//! Processor time is the figure to trust on a busy machine.
//!
//! The greatest resident size is never below that of the measuring process, whose memory the
//! child shares until it calls `exec`: the measuring program should be small.
//!
//! Source: wait4(2), getrusage(2).

use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use crate::{Doing, Why, sys};

/// What one run cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// From before the start until the end was noticed.
    pub wall: Duration,
    /// Processor time of the program itself.
    pub user: Duration,
    /// Processor time of the kernel on its behalf.
    pub system: Duration,
    /// Greatest resident size, in KiB; never below that of the measuring process.
    pub max_rss_kib: u64,
}

impl Cost {
    /// User and system time together.
    pub fn cpu(&self) -> Duration {
        self.user + self.system
    }

    /// The median of each figure on its own; of an even number of runs the upper one, of no
    /// runs zeros.
    pub fn median(runs: &[Self]) -> Self {
        fn middle<T: Ord + Default>(runs: &[Cost], figure: impl Fn(&Cost) -> T) -> T {
            let mut figures: Vec<T> = runs.iter().map(figure).collect();
            figures.sort();
            figures.into_iter().nth(runs.len() / 2).unwrap_or_default()
        }
        // User and system time are those of one run: the one whose sum is the median.
        let mut by_cpu: Vec<&Self> = runs.iter().collect();
        by_cpu.sort_by_key(|cost| cost.cpu());
        let (user, system) =
            by_cpu.get(runs.len() / 2).map(|cost| (cost.user, cost.system)).unwrap_or_default();
        Self {
            wall: middle(runs, |cost| cost.wall),
            user,
            system,
            max_rss_kib: middle(runs, |cost| cost.max_rss_kib),
        }
    }
}

/// Runs a command to its end, which must be exit status 0.
///
/// The command sets where its input and output go; it would block for ever on a pipe that
/// nobody reads.
pub fn run(command: &mut Command) -> Result<Cost, Why> {
    let (status, cost) = run_to_end(command)?;
    if !status.success() {
        return Err(Why::new(format!("{} ended with {status}", command.get_program().display())));
    }
    Ok(cost)
}

/// The same, for any exit status.
pub fn run_any(command: &mut Command) -> Result<Cost, Why> {
    run_to_end(command).map(|(_, cost)| cost)
}

fn run_to_end(command: &mut Command) -> Result<(ExitStatus, Cost), Why> {
    let program = command.get_program().to_owned();
    let shown = program.display();
    let start = Instant::now();
    let child = command.spawn().doing(format_args!("running {shown}"))?;
    let (status, usage) = sys::reap(child).doing(format_args!("waiting for {shown}"))?;
    let wall = start.elapsed();
    let cost = Cost { wall, user: usage.user, system: usage.system, max_rss_kib: usage.max_rss_kib };
    Ok((status, cost))
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    fn shell(script: &str) -> Result<Cost, Why> {
        run(Command::new("/bin/sh").args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::null()))
    }

    #[test]
    fn work_is_counted_and_sleep_is_not() {
        let work = shell("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done").unwrap();
        assert!(work.cpu() > Duration::from_millis(20), "{work:?}");
        let sleep = shell("sleep 0.3").unwrap();
        assert!(sleep.wall >= Duration::from_millis(300), "{sleep:?}");
        assert!(sleep.cpu() < Duration::from_millis(100), "an earlier child was counted: {sleep:?}");
        assert!(sleep.max_rss_kib > 100, "{sleep:?}");
    }

    #[test]
    fn a_failure_is_no_figure() {
        assert!(shell("exit 3").unwrap_err().to_string().contains('3'));
        assert!(run(&mut Command::new("/nonexistent")).is_err());
    }

    #[test]
    fn the_median_is_of_each_figure_by_itself() {
        let cost = |wall, user, system| Cost {
            wall: Duration::from_millis(wall),
            user: Duration::from_millis(user),
            system: Duration::from_millis(system),
            max_rss_kib: wall,
        };
        let runs = [cost(9, 1, 1), cost(1, 5, 5), cost(5, 2, 2)];
        assert_eq!(Cost::median(&runs), cost(5, 2, 2));
        assert_eq!(Cost::median(&[cost(9, 1, 1), cost(1, 9, 0), cost(5, 2, 2)]), cost(5, 2, 2));
        assert_eq!(Cost::median(&[]), Cost::default());
    }
}
