//! `cargo xtask screen`: measures `sockdiag top` on a terminal, each figure against a limit:
//! processor time relative to a dump of `ss`, bytes written, and how soon a key is answered.
//!
//! The terminal is tmux, 80 by 24; the bytes written are those that the kernel counts for the
//! process (/proc/PID/io).

#![allow(clippy::cast_precision_loss, reason = "figures that people read")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sockdiag_testkit::Why;
use sockdiag_testkit::holders::Holder;
use sockdiag_testkit::measure;
use sockdiag_testkit::netns::Namespace;

use crate::bench::build_shipped;
use crate::over_time::{DUMP, Figure, median};
use crate::tmux::Tmux;

/// What may follow the chore's name.
pub(crate) const WORDS: &str = "[--sockets N] [--seconds S]";
/// The help text.
pub(crate) const DOC: &str = "\
Measure what sockdiag top costs on a terminal of 80 by 24, and fail above the limits: a
second of it 1.3 times the processor time of `ss -tani` on the same sockets; nothing
written while nothing changes; 4 kB a second while all that is visible does; a key
answered within 50 ms.  Takes tmux.
--sockets N      sockets (100000)
--seconds S      how long each is watched (25).";

/// Limit of the processor time per second, relative to the dump's.
const SECOND: f64 = 1.3;
/// Limit of the bytes written per second.
const WRITTEN: f64 = 4000.0;
/// Limit of the time to answer a key, in milliseconds.
const ANSWER_MS: f64 = 50.0;
/// Ticks of /proc a second (USER_HZ).
const TICKS: f64 = 100.0;
/// Number of connections that transfer data.
const BUSY: usize = 40;

/// Runs the chore.
pub(crate) fn run(words: &[String]) -> Result<(), Why> {
    // Processes are searched for every five of these seconds.
    let (mut sockets, mut seconds) = (100_000_u32, 25_u64);
    for pair in words.chunks(2) {
        match (pair.first().map(String::as_str), pair.get(1).and_then(|value| value.parse().ok())) {
            (Some("--sockets"), Some(value)) => sockets = value,
            (Some("--seconds"), Some(value)) => seconds = value.into(),
            _ => return Err(Why::new(format!("{} is not a valid argument; usage: {WORDS}", pair.join(" ")))),
        }
    }
    let [ss, sockdiag] = build_shipped()?;
    let namespace = Namespace::new()?;
    let busy = connections(&namespace)?;
    let holder = Holder::start(&namespace, sockets / 2, 0)?;
    let all = 2 * u64::from(holder.connections());
    let mut dumps = Vec::new();
    for _ in 0..5 {
        let mut command = namespace.command(&ss);
        command.args(DUMP.split(' ')).stdin(Stdio::null()).stdout(Stdio::null());
        dumps.push(measure::run(&mut command)?.cpu().as_secs_f64());
    }
    let dump = median(dumps);
    let mut figures = Vec::new();
    let which =
        "--columns state,local.addr,local.port,remote.addr,remote.port,bytes_sent_per_s,bytes_received_per_s";
    for (name, words) in [("top", ""), ("top without processes", which)] {
        let tmux = Watched::start(&namespace, &sockdiag, words)?;
        tmux.until_drawn()?;
        if words.is_empty() {
            // With many sockets, processes are searched for separately; wait until the first
            // is shown.
            tmux.until("holders", |screen| screen.contains("sockdiag-holder"))?;
        }
        let (idle, written) = tmux.over(Duration::from_secs(seconds))?;
        figures.push(Figure {
            what: format!(
                "a second of `{name}` ({:.0} ms) in dumps of `ss {DUMP}` ({:.0} ms), {all} sockets",
                idle * 1e3,
                dump * 1e3
            ),
            value: idle / dump,
            limit: SECOND,
            unit: "",
        });
        figures.push(Figure {
            what: format!("`{name}` while nothing changes"),
            value: written,
            limit: 0.0,
            unit: "bytes/s",
        });
        let stop = AtomicBool::new(false);
        let moving = std::thread::scope(|scope| {
            scope.spawn(|| move_bytes(&busy, &stop));
            std::thread::sleep(Duration::from_secs(3));
            let moving = tmux.over(Duration::from_secs(seconds));
            stop.store(true, Ordering::Relaxed);
            moving
        })?;
        figures.push(Figure {
            what: format!("`{name}` while {BUSY} connections move bytes"),
            value: moving.1,
            limit: WRITTEN,
            unit: "bytes/s",
        });
        let (answer, look) = tmux.answers(60)?;
        figures.push(Figure {
            what: format!("a key answered in 95 of 100, {look:.1} ms of it tmux's"),
            value: answer,
            limit: ANSWER_MS,
            unit: "ms",
        });
    }
    println!("| Figure | measured | limit | |");
    println!("| --- | ---: | ---: | --- |");
    for figure in &figures {
        println!("{figure}");
    }
    let above: Vec<String> = figures.into_iter().filter(Figure::is_above).map(|figure| figure.what).collect();
    if above.is_empty() { Ok(()) } else { Err(Why::new(format!("above the limit: {}", above.join(", ")))) }
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: std::io::Error) -> Why {
    Why::new(format!("measuring the screen: {error}"))
}

fn connections(namespace: &Namespace) -> Result<Vec<(TcpStream, TcpStream)>, Why> {
    namespace
        .with(|| {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let pair = || {
                let client = TcpStream::connect(listener.local_addr()?)?;
                Ok((client, listener.accept()?.0))
            };
            (0..BUSY).map(|_| pair()).collect::<std::io::Result<Vec<_>>>()
        })?
        .map_err(failed)
}

/// Transfers amounts that differ from one look to the next.
fn move_bytes(pairs: &[(TcpStream, TcpStream)], stop: &AtomicBool) {
    let mut turn = 1_usize;
    let mut room = vec![0; 20_000];
    while !stop.load(Ordering::Relaxed) {
        for (at, (client, server)) in pairs.iter().enumerate() {
            let amount = 1 + (turn * 7919 + at * 104_729) % 20_000;
            let Some(piece) = room.get_mut(..amount) else { continue };
            let sent = (&*client).write_all(piece);
            if sent.and_then(|()| (&*server).read_exact(piece)).is_err() {
                return;
            }
            turn += 1;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The program in a terminal of 80 by 24.
struct Watched<'n>(Tmux<'n>);

impl Watched<'_> {
    fn start<'n>(namespace: &'n Namespace, sockdiag: &Path, words: &str) -> Result<Watched<'n>, Why> {
        let shell = format!("exec {} top {words}", sockdiag.display());
        Tmux::start(namespace, (80, 24), &shell).map(Watched)
    }

    fn until_drawn(&self) -> Result<(), Why> {
        self.until("sockets", |screen| {
            screen.contains(" sockets") && !screen.contains("rates after") && !screen.contains(" 0 sockets")
        })
    }

    fn until(&self, what: &str, is_so: impl Fn(&str) -> bool) -> Result<(), Why> {
        for _ in 0..300 {
            if is_so(&self.0.does(&["capture-pane", "-p"])?) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err(Why::new(format!("the screen shows no {what}")))
    }

    /// Processor seconds used so far, and bytes written.
    fn spent(&self) -> Result<(f64, u64), Why> {
        let read = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", self.0.pid())).map_err(failed);
        let stat = read("stat")?;
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        // utime and stime are fields 14 and 15; the name, field 2, was cut off.
        let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
        let io = read("io")?;
        let written = io.lines().find_map(|line| line.strip_prefix("wchar: "));
        let written = written.and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok((ticks / TICKS, written))
    }

    /// Both per second, averaged over a time.
    fn over(&self, time: Duration) -> Result<(f64, f64), Why> {
        let (begun, (cpu, written)) = (Instant::now(), self.spent()?);
        std::thread::sleep(time);
        let (cpu_then, written_then) = self.spent()?;
        let seconds = begun.elapsed().as_secs_f64();
        Ok(((cpu_then - cpu) / seconds, (written_then - written) as f64 / seconds))
    }

    /// How soon after a key the screen changes, as the 95th percentile, and how long the check
    /// itself takes; in milliseconds.
    fn answers(&self, times: u32) -> Result<(f64, f64), Why> {
        let mut took = Vec::new();
        let mut looks = Vec::new();
        for turn in 0..times {
            std::thread::sleep(Duration::from_millis(37));
            let begun = Instant::now();
            self.0.does(&["display-message", "-p", ""])?;
            looks.push(begun.elapsed().as_secs_f64() * 1e3);
            let (_, written) = self.spent()?;
            self.0.does(&["send-keys", if turn % 2 == 0 { "Down" } else { "Up" }])?;
            let begun = Instant::now();
            while self.spent()?.1 == written && begun.elapsed() < Duration::from_secs(2) {
                std::thread::sleep(Duration::from_micros(200));
            }
            took.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        took.sort_by(f64::total_cmp);
        let at = took.len() * 95 / 100;
        Ok((took.get(at).copied().unwrap_or(f64::NAN), median(looks)))
    }
}
