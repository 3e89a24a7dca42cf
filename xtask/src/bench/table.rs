//! The table of medians in Markdown, and the text above it.

#![allow(clippy::cast_precision_loss, reason = "small, known numbers; each cast is meant")]

use std::fmt;
use std::fs;
use std::time::Duration;

use sockdiag_testkit::measure::Cost;
use sockdiag_testkit::reference::Reference;

use super::lines::Line;
use super::options::Options;
use super::sockets::Sockets;

/// The result of comparing two outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Same {
    /// They are equal, and have this size.
    Yes { bytes: u64, lines: usize },
    /// The first difference, counted from 1.
    No { byte: u64, line: usize },
    /// They were not compared, for this reason.
    Unasked(&'static str),
}

impl fmt::Display for Same {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yes { bytes, lines } => write!(f, "equal, {lines} lines, {bytes} bytes"),
            Self::No { byte, line } => write!(f, "**DIFFERS at byte {byte}, line {line}**"),
            Self::Unasked(why) => write!(f, "not compared: {why}"),
        }
    }
}

/// One line of the table.
pub(super) struct Row {
    pub line: &'static Line,
    pub same: Same,
    /// Median cost of iproute2's `ss`; absent if it was not run.
    pub theirs: Option<Cost>,
    /// The estimated cost of the reference, wall-clock and processor time, if its growth is
    /// known.
    pub extrapolated: Option<Cost>,
    /// Median cost of our `ss`.
    pub ours: Cost,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ours = self.ours;
        let about = if self.theirs.is_some() { "" } else { "~" };
        let theirs = self.theirs.or(self.extrapolated);
        write!(f, "| {} ", self.line.shown())?;
        let each = |show: &dyn Fn(Cost) -> String| theirs.map_or_else(|| "-".to_owned(), show);
        write!(f, "| {} ", each(&|cost| format!("{about}{}", cpu(cost))))?;
        write!(f, "| {} ", cpu(ours))?;
        write!(f, "| {} ", each(&|theirs| format!("{about}{}", ratio(ours.cpu(), theirs.cpu()))))?;
        write!(f, "| {} ", each(&|cost| format!("{about}{}", millis(cost.wall))))?;
        write!(f, "| {} ", millis(ours.wall))?;
        write!(f, "| {} ", each(&|theirs| format!("{about}{}", ratio(ours.wall, theirs.wall))))?;
        write!(f, "| {} ", self.theirs.map_or_else(|| "-".to_owned(), mib))?;
        write!(f, "| {} ", mib(ours))?;
        writeln!(f, "| {} |", self.same)
    }
}

pub(super) fn mib(cost: Cost) -> String {
    format!("{:.1}", cost.max_rss_kib as f64 / 1024.0)
}

pub(super) fn cpu(cost: Cost) -> String {
    format!("{} ({}+{})", millis(cost.cpu()), millis(cost.user), millis(cost.system))
}

/// A time in milliseconds, with about three digits.
pub(super) fn millis(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1000.0;
    if millis < 10.0 { format!("{millis:.2}") } else { format!("{millis:.0}") }
}

pub(super) fn ratio(one: Duration, other: Duration) -> String {
    if other.is_zero() {
        return "-".to_owned();
    }
    let ratio = one.as_secs_f64() / other.as_secs_f64();
    if ratio < 0.095 { format!("{ratio:.4}") } else { format!("{ratio:.2}") }
}

/// The load averages of 1, 5 and 15 minutes.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// What was measured on which sockets, and the table's header.
pub(super) fn heading(
    options: &Options,
    sockets: Option<&Sockets>,
    reference: &Reference,
    load: &str,
) -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let made = sockets.map_or_else(
        || "No sockets".to_owned(),
        |sockets| {
            format!(
                "{} TCP connections ({} sockets), {} % IPv6, made in {:.1} s",
                sockets.connections(),
                2 * sockets.connections(),
                options.v6_percent,
                sockets.made_in().as_secs_f64()
            )
        },
    );
    format!(
        "{made}; {} runs, medians.\n\
         Reference: iproute2 {}.  Linux {}, {} x {}.  Load average before: {}.\n\
         Times in ms, CPU as total (user+system); RSS in MiB, not less than this program's own.\n\n\
         | Command | CPU theirs | CPU ours | ratio | wall theirs | wall ours | ratio | RSS theirs | RSS ours | output |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n",
        options.runs,
        reference.version(),
        kernel.trim(),
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        model.map_or("unknown", |(_, model)| model),
        load,
    )
}

#[cfg(test)]
mod tests {
    use super::super::lines::LINES;
    use super::*;

    #[test]
    fn a_row_shows_medians_and_ratios() {
        let cost = |ms: u64| Cost {
            wall: Duration::from_millis(2 * ms),
            user: Duration::from_millis(ms / 2),
            system: Duration::from_millis(ms - ms / 2),
            max_rss_kib: 1536,
        };
        let row = Row {
            line: LINES.iter().find(|line| line.name == "tan").unwrap(),
            same: Same::Yes { bytes: 7, lines: 1 },
            theirs: Some(cost(200)),
            extrapolated: None,
            ours: cost(50),
        };
        assert_eq!(
            row.to_string(),
            "| `-tan` | 200 (100+100) | 50 (25+25) | 0.25 | 400 | 100 | 0.25 | 1.5 | 1.5 | equal, 1 lines, 7 bytes |\n"
        );
        assert_eq!(ratio(Duration::ZERO, Duration::ZERO), "-");
        assert_eq!(millis(Duration::from_micros(1234)), "1.23");
    }
}
