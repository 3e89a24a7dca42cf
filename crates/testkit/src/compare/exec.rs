//! Runs one program on one case and collects its output.

#![allow(clippy::cast_possible_wrap, reason = "small, known numbers; each cast is meant")]

use std::fmt;
use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, Mode, OFlags, memfd_create};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, OutputModes, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

use super::Case;
use crate::netns::{self, refuse_netlink};
use crate::{Doing, Why};

/// How long a program may run.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this status.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// Not within 30 seconds; it was killed.
    TimedOut,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(status) => write!(f, "exit status {status}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::TimedOut => write!(f, "no end within {} s", PATIENCE.as_secs()),
        }
    }
}

impl From<ExitStatus> for Ended {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exit(code),
            (None, signal) => Self::Signal(signal.unwrap_or(0)),
        }
    }
}

/// A program's output and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Standard output, masked by the case's `blot`.
    pub stdout: Vec<u8>,
    /// Standard error, masked by the case's `blot`.
    pub stderr: Vec<u8>,
    /// How it ended.
    pub ended: Ended,
}

/// Runs a program with argument 0 `ss` and the case's arguments appended.
///
/// The reference's command sets argument 0 by an argument of its own; there `ss` becomes the
/// name of the loader, which ignores it.
pub fn run(command: Command, case: &Case<'_>) -> Result<Outcome, Why> {
    run_within(command, case, PATIENCE)
}

/// [`run`] with another limit.
pub(super) fn run_within(mut command: Command, case: &Case<'_>, patience: Duration) -> Result<Outcome, Why> {
    let deadline = Instant::now() + patience;
    command.arg0("ss").args(&case.args).env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command.envs(case.env.iter().map(|(name, value)| (name, value)));
    command.stdin(match &case.stdin {
        None => Stdio::null(),
        Some(bytes) => Stdio::from(file_of(bytes).doing("making a standard input")?),
    });
    let (output, writer) = match case.width {
        None => pipe()?,
        Some(width) => terminal(width).doing("making a terminal")?,
    };
    let (errors, error_writer) =
        if case.errors_to_terminal { terminal(80).doing("making a terminal")? } else { pipe()? };
    command.stdout(writer).stderr(error_writer);
    if let Some(namespace) = case.place() {
        namespace.enter(&mut command);
    }
    if !case.refused.is_empty() {
        refuse_netlink(&mut command, case.refused);
    }
    let program = command.get_program().to_owned();
    let mut child = command.spawn().doing(format_args!("running {}", program.display()))?;
    // Drops our copy of the write ends, so that reading reaches the end of the output.
    drop(command);
    let mut outcome = Outcome { stdout: Vec::new(), stderr: Vec::new(), ended: Ended::TimedOut };
    match listen(&mut child, [&output, &errors], &mut outcome, deadline) {
        Ok(Some(status)) => outcome.ended = status.into(),
        Ok(None) => netns::stop(&mut child),
        Err(error) => {
            netns::stop(&mut child);
            return Err(Why::new(format!("listening to {}: {error}", program.display())));
        }
    }
    if let Some(blot) = case.blot {
        blot(&mut outcome.stdout);
        blot(&mut outcome.stderr);
    }
    Ok(outcome)
}

/// Both ends of a pipe: our read end and the program's write end.
fn pipe() -> Result<(OwnedFd, OwnedFd), Why> {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).doing("making a pipe")
}

/// An open file with this content, at its start.
fn file_of(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("stdin", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

/// Both ends of a terminal: ours, for reading, and the program's.
fn terminal(width: u16) -> io::Result<(OwnedFd, OwnedFd)> {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    let name = ptsname(&ours, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let theirs = rustix::fs::open(name.as_c_str(), flags, Mode::empty())?;
    let mut modes = tcgetattr(&theirs)?;
    modes.output_modes.remove(OutputModes::OPOST);
    tcsetattr(&theirs, OptionalActions::Now, &modes)?;
    tcsetwinsize(&theirs, Winsize { ws_row: 24, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 })?;
    Ok((ours, theirs))
}

/// Reads both outputs to their ends and waits; `None` when time is up.
fn listen(
    child: &mut Child,
    sources: [&OwnedFd; 2],
    outcome: &mut Outcome,
    deadline: Instant,
) -> io::Result<Option<ExitStatus>> {
    let mut buffer = vec![0; 1 << 16];
    let mut open = [true, true];
    while open != [false, false] {
        let waiting: Vec<(usize, &OwnedFd)> =
            sources.into_iter().enumerate().filter(|(at, _)| open[*at]).collect();
        let mut fds: Vec<_> = waiting.iter().map(|(_, fd)| PollFd::new(*fd, PollFlags::IN)).collect();
        if !wait(&mut fds, deadline)? {
            return Ok(None);
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        for ((at, fd), _) in waiting.into_iter().zip(ready).filter(|(_, ready)| *ready) {
            let count = match rustix::io::read(fd, &mut buffer) {
                Ok(count) => count,
                // The other end of the terminal was closed by every holder.
                Err(Errno::IO) => 0,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let text = if at == 0 { &mut outcome.stdout } else { &mut outcome.stderr };
            text.extend_from_slice(buffer.get(..count).unwrap_or_default());
            open[at] = count > 0;
        }
    }
    let pid = Pid::from_raw(child.id() as i32).ok_or_else(|| io::Error::other("a child without a number"))?;
    let ending = pidfd_open(pid, PidfdFlags::empty())?;
    if !wait(&mut [PollFd::new(&ending.as_fd(), PollFlags::IN)], deadline)? {
        return Ok(None);
    }
    child.wait().map(Some)
}

/// Waits until one of them is readable; false when time is up.
fn wait(fds: &mut [PollFd<'_>], deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        match poll(fds, Some(&left)) {
            Ok(count) => return Ok(count > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
