//! The table of medians, as Markdown, and what stands above it.

use std::fmt;
use std::fs;
use std::time::Duration;

use sockdiag_testkit::measure::Cost;
use sockdiag_testkit::reference::Reference;

use super::lines::Line;
use super::options::Options;
use super::sockets::Sockets;

/// What came of comparing two outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Same {
    /// They are equal, and this long.
    Yes { bytes: u64, lines: usize },
    /// They differ here first, counted from 1.
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
    /// Medians of the reference.
    pub reference: Cost,
    /// Medians of ours.
    pub ours: Cost,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (theirs, ours) = (self.reference, self.ours);
        write!(f, "| {} ", self.line.shown())?;
        for cost in [theirs, ours] {
            write!(f, "| {} ({}+{}) ", millis(cost.cpu()), millis(cost.user), millis(cost.system))?;
        }
        write!(f, "| {} | {} ", ratio(ours.cpu(), theirs.cpu()), ratio(theirs.cpu(), ours.cpu()))?;
        for cost in [theirs, ours] {
            write!(f, "| {} ", millis(cost.wall))?;
        }
        for cost in [theirs, ours] {
            write!(f, "| {:.1} ", cost.max_rss_kib as f64 / 1024.0)?;
        }
        writeln!(f, "| {} |", self.same)
    }
}

/// Three digits or so, in milliseconds.
fn millis(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1000.0;
    if millis < 10.0 { format!("{millis:.2}") } else { format!("{millis:.0}") }
}

fn ratio(one: Duration, other: Duration) -> String {
    if other.is_zero() { "-".to_owned() } else { format!("{:.2}", one.as_secs_f64() / other.as_secs_f64()) }
}

/// The load averages of 1, 5 and 15 minutes.
pub(super) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// What was measured, on what, and the head of the table.
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
         | Command | CPU ref | CPU ours | ours/ref | ref/ours | wall ref | wall ours | RSS ref | RSS ours | output |\n\
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
            reference: cost(200),
            ours: cost(50),
        };
        assert_eq!(
            row.to_string(),
            "| `-tan` | 200 (100+100) | 50 (25+25) | 0.25 | 4.00 | 400 | 100 | 1.5 | 1.5 | equal, 1 lines, 7 bytes |\n"
        );
        assert_eq!(ratio(Duration::ZERO, Duration::ZERO), "-");
        assert_eq!(millis(Duration::from_micros(1234)), "1.23");
    }
}
