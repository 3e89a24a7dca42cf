//! The part that runs inside the guest.
//!
//! All programs of a line get the same process id where the kernel allows it (`ns_last_pid`):
//! each has a netlink socket whose port is that id, so the listings agree in it.
//!
//! Invariant: everything here runs in a guest made for it.  `-K` can only hit sockets that the
//! zoo opened there.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{ATTEMPTS, How, Line, Plan, Run, Who, masked};
use crate::compare::{Ended, Outcome};
use crate::{Doing as _, Why};

/// Opens sockets; see tools/kernels/gen/zoo.c.
const ZOO: &str = "/bin/zoo";
/// Records netlink traffic; see tools/kernels/gen/nltap.c.
const NLTAP: &str = "/lib/nltap.so";
/// The process id for programs, if the kernel lets us choose it.
const PROCESS_ID: u32 = 20_000;
/// When TIME-WAIT sockets are renewed: the kernel ends them after 60 s.
const RENEW: Duration = Duration::from_secs(35);
/// How long a program may run; emulated kernels are slow.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long an event may take to arrive.
const QUIET: Duration = Duration::from_millis(600);
/// A filter that matches the zoo's victims.
const VICTIMS: &[&str] = &["-tuanH", "sport", ">=", ":5601", "and", "sport", "<=", ":5659"];

/// `sockdiag-beside PLAN RESULTS`.
pub fn main(args: &[String]) -> ExitCode {
    let [plan, results] = args else {
        eprintln!("usage: sockdiag-beside PLAN RESULTS");
        return ExitCode::FAILURE;
    };
    match follow(Path::new(plan), Path::new(results)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("sockdiag-beside: {why}");
            ExitCode::FAILURE
        }
    }
}

fn follow(plan: &Path, results: &Path) -> Result<(), Why> {
    // `-K` must not run on a machine that somebody uses.
    if !Path::new("/rig/main").exists() {
        return Err(Why::new("this is not a guest of the rig"));
    }
    let text = fs::read_to_string(plan).doing(plan.display())?;
    let plan: Plan = text.parse()?;
    let mut results = File::create(results).doing(results.display())?;
    let mut renewed = None;
    for (index, line) in plan.lines.iter().enumerate() {
        if renewed.is_none_or(|at: Instant| at.elapsed() > RENEW) {
            renewed = Some(Instant::now());
            end_zoo(zoo("timewait")?)?;
        }
        for attempt in 0..ATTEMPTS {
            let runs = attempt_line(&plan, line)?;
            let enough = enough(&runs, attempt);
            for (who, (outcome, traffic)) in runs {
                let run = Run { line: index, attempt, who, outcome, traffic };
                results.write_all(&run.encode()).doing("writing results")?;
            }
            if enough {
                break;
            }
        }
    }
    Ok(())
}

type Runs = Vec<(Who, (Outcome, Vec<u8>))>;

/// Whether another attempt is pointless: all outputs are equal but for the time, or ours
/// differed twice from a reference that agrees with itself.
fn enough(runs: &Runs, attempt: u32) -> bool {
    let of = |who| runs.iter().find(|(one, _)| *one == who).map(|(_, (outcome, _))| masked(outcome));
    let (before, ours, after) = (of(Who::Before), of(Who::Ours), of(Who::After));
    // There is nothing to compare with.
    if before.is_none() {
        return true;
    }
    let steady = after.is_none() || before == after;
    steady && (before == ours || attempt > 0)
}

fn attempt_line(plan: &Plan, line: &Line) -> Result<Runs, Why> {
    let judge = plan.program(&line.judge).ok_or_else(|| Why::new(format!("no program {}", line.judge)))?;
    let ours = plan.program("ours").ok_or_else(|| Why::new("no program ours"))?;
    match line.how {
        How::Events => return events(judge, ours, line),
        How::Alone => return Ok(vec![(Who::Ours, (run(ours, line, &[])?, Vec::new()))]),
        How::Plain | How::Tapped | How::Kill => {}
    }
    let mut runs: Runs = Vec::new();
    for (who, program) in [(Who::Before, judge), (Who::Ours, ours), (Who::After, judge)] {
        let victims = if line.how == How::Kill { Some(zoo("victims")?) } else { None };
        let mut outcome = run(program, line, &[])?;
        if let Some(victims) = victims {
            let left = Line {
                how: How::Plain,
                judge: String::new(),
                words: VICTIMS.iter().map(|word| (*word).to_owned()).collect(),
            };
            outcome.stdout.extend_from_slice(b"-- left\n");
            outcome.stdout.extend_from_slice(&run(judge, &left, &[])?.stdout);
            end_zoo(victims)?;
        }
        // If ours equals the judge, the judge need not run again.
        let settled = who == Who::Ours && runs.first().is_some_and(|(_, (first, _))| *first == outcome);
        runs.push((who, (outcome, Vec::new())));
        if settled {
            break;
        }
    }
    if line.how == How::Tapped {
        let file = "/tmp/beside.nl";
        let _ = fs::remove_file(file);
        let outcome = run(ours, line, &[("LD_PRELOAD", NLTAP), ("NLTAP_FILE", file)])?;
        runs.push((Who::Tapped, (outcome, fs::read(file).doing(file)?)));
    }
    Ok(runs)
}

/// Runs a program to its end.
fn run(program: &[String], line: &Line, env: &[(&str, &str)]) -> Result<Outcome, Why> {
    let _ = fs::write("/proc/sys/kernel/ns_last_pid", PROCESS_ID.to_string());
    let started = Started::new(program, line, env, "run")?;
    started.ended(PATIENCE)
}

/// A running program whose outputs go to files.
struct Started {
    child: Child,
    out: String,
    err: String,
}

impl Started {
    fn new(program: &[String], line: &Line, env: &[(&str, &str)], name: &str) -> Result<Self, Why> {
        let (path, words) = program.split_first().ok_or_else(|| Why::new("a program without a path"))?;
        let (variables, args) = line.split();
        let (out, err) = (format!("/tmp/beside-{name}.out"), format!("/tmp/beside-{name}.err"));
        let mut command = Command::new(path);
        command.arg0("ss").args(words).args(args).env_clear().env("PATH", "/bin:/sbin").stdin(Stdio::null());
        command.envs(env.iter().copied()).envs(variables.iter().filter_map(|word| word.split_once('=')));
        command.stdout(File::create(&out).doing(&out)?).stderr(File::create(&err).doing(&err)?);
        Ok(Self { child: command.spawn().doing(path)?, out, err })
    }

    /// Waits until the program ends; kills it at the deadline.
    fn ended(mut self, patience: Duration) -> Result<Outcome, Why> {
        let deadline = Instant::now() + patience;
        let mut pause = Duration::from_millis(1);
        let ended = loop {
            if let Some(status) = self.child.try_wait().doing("waiting")? {
                break ended(status);
            }
            if Instant::now() > deadline {
                self.child.kill().doing("killing")?;
                self.child.wait().doing("waiting")?;
                break Ended::TimedOut;
            }
            sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        };
        Ok(Outcome {
            stdout: fs::read(&self.out).doing(&self.out)?,
            stderr: fs::read(&self.err).doing(&self.err)?,
            ended,
        })
    }
}

fn ended(status: ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Exit(code),
        (None, signal) => Ended::Signal(signal.unwrap_or(0)),
    }
}

/// Runs three programs with `-E` while sockets are opened and closed.
fn events(judge: &[String], ours: &[String], line: &Line) -> Result<Runs, Why> {
    let mut started = Vec::new();
    for (who, program, name) in
        [(Who::Before, judge, "before"), (Who::Ours, ours, "ours"), (Who::After, judge, "after")]
    {
        let before = listeners()?;
        let mut program = Started::new(program, line, &[], name)?;
        // A program that cannot listen exits by itself.
        let deadline = Instant::now() + PATIENCE;
        while listeners()? <= before && program.child.try_wait().doing("waiting")?.is_none() {
            if Instant::now() > deadline {
                return Err(Why::new(format!("{line}: does not listen")));
            }
            sleep(Duration::from_millis(20));
        }
        started.push((who, program));
    }
    end_zoo(zoo("victims")?)?;
    let size = |path: &str| fs::metadata(path).map_or(0, |meta| meta.len());
    let sizes =
        |started: &[(Who, Started)]| started.iter().map(|(_, one)| size(&one.out)).collect::<Vec<_>>();
    let mut last = sizes(&started);
    loop {
        sleep(QUIET);
        let now = sizes(&started);
        if now == last {
            break;
        }
        last = now;
    }
    let mut runs = Vec::new();
    for (who, program) in started {
        let id = Pid::from_child(&program.child);
        if kill_process(id, Signal::TERM).is_err() {
            // The program has ended but was not waited for yet.
        }
        runs.push((who, (program.ended(PATIENCE)?, Vec::new())));
    }
    Ok(runs)
}

/// How many sockets are members of sock_diag's multicast groups.
fn listeners() -> Result<usize, Why> {
    let text = fs::read_to_string("/proc/net/netlink").doing("/proc/net/netlink")?;
    let listens = |line: &&str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.get(1) == Some(&"4") && words.get(3).is_some_and(|groups| !groups.trim_matches('0').is_empty())
    };
    Ok(text.lines().filter(listens).count())
}

/// Opens sockets of a kind; returns the process that holds them.
fn zoo(kind: &str) -> Result<Pid, Why> {
    let out = Command::new(ZOO).arg(kind).output().doing(ZOO)?;
    let said = String::from_utf8_lossy(&out.stdout);
    let failed = || Why::new(format!("zoo {kind}: {said}"));
    if !out.status.success() {
        return Err(failed());
    }
    let id = said.split_whitespace().nth(1).and_then(|word| word.parse().ok()).and_then(Pid::from_raw);
    id.ok_or_else(failed)
}

/// Kills the process that [`zoo`] started.
fn end_zoo(id: Pid) -> Result<(), Why> {
    kill_process(id, Signal::KILL).doing("ending the zoo")?;
    let status = format!("/proc/{}/status", id.as_raw_nonzero());
    let deadline = Instant::now() + PATIENCE;
    // A process that is gone, or a zombie not yet reaped by process 1, holds no sockets.
    let holds = || {
        fs::read_to_string(&status)
            .is_ok_and(|text| !text.lines().any(|line| line.starts_with("State:") && line.contains('Z')))
    };
    while holds() {
        if Instant::now() > deadline {
            return Err(Why::new(format!("{status}: does not end")));
        }
        sleep(Duration::from_millis(5));
    }
    Ok(())
}
