//! Adds up what `sockdiag watch --jsonl` reported of connections made beside it.
//!
//! Invariant: each line is one closing, or a count of lost ones, or neither.

use std::fmt;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Ending, Kind, PROGRAM};
use crate::netns::{self, Namespace};
use crate::{Doing, Why, bins};

/// How long no line may arrive before missing closings count as missing.  A watcher has this
/// long to infer that a socket ended unseen.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long to wait for closings in excess of those made.
const MORE: Duration = Duration::from_millis(1500);

/// The connections to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Connections, each of two sockets.
    pub connections: u32,
    /// Connections a second, if the machine can.
    pub per_second: u32,
    /// How long the watcher's reader is stopped once the first socket has ended.
    pub stalled: Duration,
}

/// The result of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Sockets that were made and closed: both ends of every connection.
    pub made: u64,
    /// Connections a second actually made.
    pub per_second: u64,
    /// How long the reader was stopped.
    pub stalled: Duration,
    /// What the watcher reported.
    pub said: Said,
    /// Processor time of the watcher, user and system, in milliseconds.
    pub cpu_ms: u64,
}

/// What a watcher reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Closings shown.
    pub closed: u64,
    /// Closings counted as lost.
    pub lost: u64,
    /// Closings of sockets that aborted, whose counters the kernel forgets.
    pub aborted: u64,
    /// Closings without counters: the kernel did not report them and the watcher inferred
    /// them.
    pub bare: u64,
    /// Closings whose last counters are right.
    pub exact: u64,
    /// Closings whose last counters are wrong.
    pub inexact: u64,
}

impl Account {
    /// Makes the connections in a new namespace, watched by this `sockdiag`.
    pub fn beside(sockdiag: &Path, plan: Plan) -> Result<Self, Why> {
        Self::of(&bins::program(PROGRAM)?, sockdiag, plan)
    }

    pub(super) fn of(maker: &Path, sockdiag: &Path, plan: Plan) -> Result<Self, Why> {
        let namespace = Namespace::new()?;
        let mut making = namespace.command(maker);
        making.args([plan.connections.to_string(), plan.per_second.to_string()]);
        making.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut making = Stopped(making.spawn().doing("starting what makes connections")?);
        let mut says = BufReader::new(making.0.stdout.take().ok_or_else(|| Why::new("no output"))?);
        words(&mut says, "ready")?;
        let mut watch = namespace.command(sockdiag);
        watch.args(["watch", "--jsonl"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut watch = Stopped(watch.spawn().doing("starting a watcher")?);
        listens(&mut watch.0)?;
        let said = Hearing::of(&mut watch.0, plan.stalled)?;
        let input = making.0.stdin.as_mut().ok_or_else(|| Why::new("no input"))?;
        input.write_all(b"go\n").doing("saying go")?;
        let [connections, millis] = words(&mut says, "made")?[..] else {
            return Err(Why::new(format!("{PROGRAM} said something else than was made")));
        };
        let made = 2 * connections;
        said.settle(made);
        let cpu_ms = cpu_ms(watch.0.id());
        drop(watch);
        let said = said.end()?;
        Ok(Self { made, per_second: connections * 1000 / millis.max(1), stalled: plan.stalled, said, cpu_ms })
    }

    /// What does not add up, one sentence each.
    pub fn wrong(&self) -> Vec<String> {
        let Self { made, said: Said { closed, lost, inexact, bare, .. }, .. } = *self;
        let mut wrong = Vec::new();
        if closed + lost != made {
            wrong.push(format!("{closed} closings shown and {lost} lost are not the {made} that were made"));
        }
        if inexact > 0 {
            wrong.push(format!("{inexact} closings have wrong counters"));
        }
        if bare > lost {
            wrong.push(format!("{bare} closings have no counters although {lost} were lost"));
        }
        wrong
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { made, per_second, stalled, said, cpu_ms } = self;
        let Said { closed, lost, aborted, bare, exact, inexact } = said;
        write!(f, "{made} sockets ended, {per_second} connections a second")?;
        if !stalled.is_zero() {
            write!(f, ", the reader stopped for {stalled:?}")?;
        }
        write!(
            f,
            ": {closed} shown + {lost} lost = {} ({exact} with exact counters, {inexact} with others, \
             {aborted} aborted, {bare} inferred); {cpu_ms} ms of the watcher's processor time",
            closed + lost
        )
    }
}

/// A child process that is killed when this is dropped.
struct Stopped(Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        netns::stop(&mut self.0);
    }
}

/// Waits until a watcher has joined the multicast groups of sock_diag.
fn listens(watch: &mut Child) -> Result<(), Why> {
    const SOCK_DIAG: &str = "4";
    let begun = Instant::now();
    let file = format!("/proc/{}/net/netlink", watch.id());
    while begun.elapsed() < PATIENCE {
        let text = fs::read_to_string(&file).doing(format_args!("reading {file}"))?;
        let joined = text.lines().any(|line| {
            let mut words = line.split_whitespace().skip(1);
            words.next() == Some(SOCK_DIAG) && words.nth(1).is_some_and(|groups| groups != "00000000")
        });
        if joined {
            return Ok(());
        }
        if let Some(status) = watch.try_wait().doing("asking for a watcher")? {
            return Err(Why::new(format!("the watcher ended with {status}")));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(Why::new("the watcher does not listen to the ends of sockets"))
}

/// The numbers on the program's next line, which must begin with this word.
fn words(says: &mut BufReader<ChildStdout>, word: &str) -> Result<Vec<u64>, Why> {
    let mut line = String::new();
    says.read_line(&mut line).doing(format_args!("reading what {PROGRAM} says"))?;
    let mut words = line.split_whitespace();
    if words.next() != Some(word) {
        return Err(Why::new(format!("{PROGRAM} said {line:?} instead of {word}")));
    }
    words.map(|word| word.parse().doing(format_args!("number {word}"))).collect()
}

/// Processor time of a process so far, in milliseconds; 0 if it cannot be read.
fn cpu_ms(pid: u32) -> u64 {
    // Clock ticks are hundredths of seconds (USER_HZ).
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<u64>().ok());
    ticks.sum::<u64>() * 10
}

/// A thread that reads the watcher's output.
struct Hearing {
    thread: std::thread::JoinHandle<()>,
    said: Arc<Mutex<Result<Said, Why>>>,
    /// Closings and losses so far.
    heard: Arc<AtomicU64>,
}

impl Hearing {
    fn of(watch: &mut Child, stalled: Duration) -> Result<Self, Why> {
        let out = watch.stdout.take().ok_or_else(|| Why::new("no output"))?;
        let said = Arc::new(Mutex::new(Ok(Said::default())));
        let heard = Arc::new(AtomicU64::new(0));
        let (into, counted) = (Arc::clone(&said), Arc::clone(&heard));
        let thread = std::thread::spawn(move || {
            let read = read(out, stalled, &counted);
            *into.lock().unwrap_or_else(PoisonError::into_inner) = read;
        });
        Ok(Self { thread, said, heard })
    }

    /// Waits until this many closings were reported, or nothing more arrives; then a little
    /// longer, for closings in excess.
    fn settle(&self, made: u64) {
        let (mut last, mut since) = (0, Instant::now());
        while since.elapsed() < PATIENCE {
            let heard = self.heard.load(Ordering::Relaxed);
            if heard >= made {
                break;
            }
            if heard != last {
                (last, since) = (heard, Instant::now());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(MORE);
    }

    /// What the watcher reported; call this once it has ended.
    fn end(self) -> Result<Said, Why> {
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reads lines to the end; pauses once, after the first closing.
fn read(out: ChildStdout, stalled: Duration, heard: &AtomicU64) -> Result<Said, Why> {
    let mut said = Said::default();
    let mut stalled = Some(stalled);
    let mut out = BufReader::new(out);
    let mut line = String::new();
    loop {
        line.clear();
        if out.read_line(&mut line).doing("reading what a watcher says")? == 0 || !line.ends_with('\n') {
            // A watcher that is killed may leave an incomplete line.
            return Ok(said);
        }
        said.take(&line)?;
        heard.store(said.closed + said.lost, Ordering::Relaxed);
        if said.closed > 0
            && let Some(stalled) = stalled.take()
        {
            std::thread::sleep(stalled);
        }
    }
}

impl Said {
    /// Counts one line.
    fn take(&mut self, line: &str) -> Result<(), Why> {
        if line.contains("\"change\":\"lost\"") {
            self.lost += number(line, "\"lost\":").ok_or_else(|| Why::new(format!("no number: {line}")))?;
            return Ok(());
        }
        if !line.contains("\"change\":\"closed\"") {
            return Ok(());
        }
        self.closed += 1;
        let port = |end: &str| {
            let (_, end) = line.split_once(end)?;
            number(end.split('}').next()?, "\"port\":").and_then(|port| u16::try_from(port).ok())
        };
        let (local, remote) = (port("\"local\":{"), port("\"remote\":{"));
        let Some(sent) = number(line, "\"bytes_sent\":") else {
            self.bare += 1;
            return Ok(());
        };
        let of = |port: Option<u16>| port.and_then(Kind::of);
        // The port of the listener is the local one at the server and the remote one at the
        // client.
        let wanted = match (of(local), of(remote)) {
            (Some(kind), _) => Some(kind.server),
            (None, Some(kind)) if kind.ending != Ending::Abort => Some(kind.client),
            _ => None,
        };
        match wanted {
            Some(wanted) if sent == wanted as u64 => self.exact += 1,
            // The kernel forgets the counters of an aborted client; the watcher's last look
            // may know them.
            None if sent == 0 || of(remote).is_some_and(|kind| sent == kind.client as u64) => {
                self.aborted += 1;
            }
            _ => self.inexact += 1,
        }
        Ok(())
    }
}

/// The number after a word.
fn number(text: &str, word: &str) -> Option<u64> {
    let (_, rest) = text.split_once(word)?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(lines: &[String]) -> Said {
        let mut said = Said::default();
        for line in lines {
            said.take(line).unwrap();
        }
        said
    }

    fn closed(local: u16, remote: u16, sent: u64) -> String {
        format!(
            "{{\"change\":\"closed\",\"local\":{{\"addr\":\"127.0.0.1\",\"port\":{local}}},\
             \"remote\":{{\"addr\":\"127.80.0.0\",\"port\":{remote}}},\"tcp\":{{\"bytes_sent\":{sent}}}}}\n"
        )
    }

    #[test]
    fn each_closing_is_right_or_wrong() {
        let right = said(&[
            closed(7000, 40000, 1000),
            closed(40000, 7000, 100),
            closed(7002, 40000, 1006),
            closed(0, 0, 0),
            closed(40000, 7002, 102),
        ]);
        assert_eq!(right, Said { closed: 5, exact: 3, aborted: 2, ..Said::default() });
        let wrong = said(&[closed(7000, 40000, 999), closed(40000, 7000, 0), closed(0, 0, 5)]);
        assert_eq!(wrong, Said { closed: 3, inexact: 3, ..Said::default() });
        let others = [
            "{\"change\":\"lost\",\"lost\":17}\n".to_owned(),
            "{\"change\":\"opened\"}\n".to_owned(),
            "{\"change\":\"closed\",\"state_was\":\"ESTAB\"}\n".to_owned(),
        ];
        assert_eq!(said(&others), Said { closed: 1, lost: 17, bare: 1, ..Said::default() });
        assert!(Said::default().take("{\"change\":\"lost\"}\n").is_err());
    }

    #[test]
    fn what_does_not_add_up_is_said() {
        let of = |said| Account { made: 10, said, ..Account::default() }.wrong().len();
        assert_eq!(of(Said { closed: 8, lost: 2, exact: 8, ..Said::default() }), 0);
        assert_eq!(of(Said { closed: 8, lost: 2, exact: 6, bare: 2, ..Said::default() }), 0);
        assert_eq!(of(Said { closed: 8, lost: 1, ..Said::default() }), 1);
        assert_eq!(of(Said { closed: 11, bare: 1, ..Said::default() }), 2);
        assert_eq!(of(Said { closed: 10, inexact: 1, ..Said::default() }), 1);
    }
}
