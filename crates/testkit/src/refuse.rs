//! Runs a command whose system calls of one kind fail from a chosen call on.
//!
//! seccomp(2) passes each such call of the command and its children to a thread of the test,
//! which counts it and either lets it continue or makes it fail with this error.  A test can
//! so make every call of a program fail in turn, even in the middle of its work.
//!
//! Source: seccomp_unotify(2).

use std::os::fd::OwnedFd;
use std::process::{Command, Output};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::{Doing, Why, sys};

/// The system calls to refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// bpf(2) with this command (`BPF_MAP_CREATE` and the like).
    Bpf(u32),
    /// mmap(2) of shared, writable memory.
    SharedMemory,
}

impl Call {
    /// The system call's number, and the arguments that must have given values.
    fn conditions(self) -> (u32, Vec<(u32, u32)>) {
        match self {
            Self::Bpf(command) => (sys::BPF, vec![(0, command)]),
            Self::SharedMemory => (sys::MMAP, vec![(2, sys::READ_AND_WRITE), (3, sys::SHARED)]),
        }
    }
}

/// Which calls fail, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The kind of call.
    pub call: Call,
    /// How many calls succeed first.
    pub after: usize,
    /// How many calls then fail; later ones succeed.
    pub times: usize,
    /// The error of the failing calls.
    pub errno: i32,
}

impl Refusal {
    /// Refuses all calls of this kind.
    pub fn of(call: Call, errno: i32) -> Self {
        Self { call, after: 0, times: usize::MAX, errno }
    }

    /// The error for the call with this number, counted from 0; `None` lets it continue.
    fn answer(self, number: usize) -> Option<i32> {
        let refused = self.after..self.after.saturating_add(self.times);
        refused.contains(&number).then_some(self.errno)
    }

    /// Runs a command to its end; returns its output and the number of such calls.
    pub fn run(self, mut command: Command) -> Result<(Output, usize), Why> {
        let (ours, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .doing("making a pair of sockets")?;
        let (number, conditions) = self.call.conditions();
        sys::hand_over_calls_before_exec(&mut command, number, &conditions, theirs);
        let judge = thread::spawn(move || self.judge(&ours));
        let output = command.output();
        // Dropping the command closes its end of the pair.
        drop(command);
        let calls = judge.join().map_err(|_| Why::new("a thread that answers system calls panicked"))??;
        Ok((output.doing("running a command")?, calls))
    }

    /// Answers calls until no process can make them any more; returns their number.
    fn judge(self, from: &OwnedFd) -> Result<usize, Why> {
        let Some(calls) = sys::receive_descriptor(from).doing("receiving the calls of a command")? else {
            return Ok(0);
        };
        let mut count = 0;
        loop {
            let mut polled = [PollFd::new(&calls, PollFlags::IN)];
            poll(&mut polled, None).doing("waiting for a system call")?;
            if !polled.iter().any(|polled| polled.revents().contains(PollFlags::IN)) {
                return Ok(count);
            }
            if sys::answer_call(&calls, self.answer(count)).doing("answering a system call")? {
                count += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPERM: i32 = 1;

    #[test]
    fn calls_fail_from_the_chosen_one_on() {
        // BPF_MAP_GET_NEXT_ID, four times.
        let script = "for (1..4) { my $attr = \"\\0\" x 12; \
            my $got = syscall($ARGV[0], 12, $attr, 12); print $got < 0 ? 0 + $! : 0, \"\\n\" }";
        let run = |after, times| {
            let mut perl = Command::new("perl");
            perl.args(["-e", script, &sys::BPF.to_string()]);
            Refusal { call: Call::Bpf(12), after, times, errno: 77 }.run(perl)
        };
        let lines = |output: &Output| -> Vec<bool> {
            String::from_utf8_lossy(&output.stdout).lines().map(|line| line == "77").collect()
        };
        let (all, calls) = match run(0, usize::MAX) {
            Ok(ran) => ran,
            Err(why) => crate::skip!("{why}"),
        };
        assert_eq!((lines(&all), calls), (vec![true; 4], 4), "{all:?}");
        let (one, calls) = run(2, 1).expect("as before");
        assert_eq!((lines(&one), calls), (vec![false, false, true, false], 4), "{one:?}");
        // Calls that are never made are never refused.
        let other = Refusal::of(Call::Bpf(0), EPERM).run(Command::new("true")).expect("as before");
        assert_eq!((other.0.status.success(), other.1), (true, 0));
        assert!(Refusal::of(Call::SharedMemory, EPERM).run(Command::new("/nonexistent")).is_err());
    }
}
