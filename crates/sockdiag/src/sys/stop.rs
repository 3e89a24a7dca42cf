//! Waits for a descriptor, or for another thread to call stop.
//!
//! Source: eventfd(2), poll(2).

use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::{Errno, write};

/// Stops a waiting thread; all clones stop the same one.
#[derive(Clone, Debug)]
pub struct Stopper(Arc<Said>);

#[derive(Debug)]
struct Said {
    /// Checked between two events, where a system call would be expensive.
    stop: AtomicBool,
    /// Wakes the waiting thread.
    wake: OwnedFd,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// There is something to read, or reading returns an error.
    Ready,
    /// The time is up.
    TimedOut,
    /// Another thread called stop.
    Stopped,
}

impl Stopper {
    pub(crate) fn new() -> Result<Self, Errno> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self(Arc::new(Said { stop: AtomicBool::new(false), wake })))
    }

    /// Ends the present wait and every later one at once.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::Release);
        // Fails only if the counter is full, and then the wait ends anyway.
        let _ = write(&self.0.wake, &1_u64.to_ne_bytes());
    }

    /// Whether stop was called.
    pub(crate) fn is_stopped(&self) -> bool {
        self.0.stop.load(Ordering::Acquire)
    }

    /// Waits until there is something to read from `fd`, or until `end`; `None` waits
    /// without a limit.
    pub(crate) fn wait(&self, fd: BorrowedFd<'_>, end: Option<Instant>) -> Result<Woken, Errno> {
        loop {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            let mut fds =
                [PollFd::from_borrowed_fd(fd, PollFlags::IN), PollFd::new(&self.0.wake, PollFlags::IN)];
            match poll(&mut fds, left.as_ref()) {
                Ok(_) => {
                    let [ready, stopped] = fds.map(|fd| !fd.revents().is_empty());
                    return Ok(match (stopped, ready) {
                        (true, _) => Woken::Stopped,
                        (_, true) => Woken::Ready,
                        _ => Woken::TimedOut,
                    });
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn a_wait_ends_by_each_of_its_ends() {
        let stopper = Stopper::new().expect("an eventfd");
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        let brief = Instant::now().checked_add(Duration::from_millis(1));
        assert_eq!(stopper.wait(ours.as_fd(), brief), Ok(Woken::TimedOut));
        assert_eq!(stopper.wait(ours.as_fd(), brief), Ok(Woken::TimedOut), "and is over by now");
        theirs.write_all(b"x").expect("room");
        assert_eq!(stopper.wait(ours.as_fd(), None), Ok(Woken::Ready));
        assert_eq!(stopper.wait(ours.as_fd(), brief), Ok(Woken::Ready), "also at its end");
        let other = stopper.clone();
        let (idle, _kept) = UnixStream::pair().expect("a pair");
        let said = thread::spawn(move || other.stop());
        assert_eq!(stopper.wait(idle.as_fd(), None), Ok(Woken::Stopped));
        said.join().expect("it said so");
        assert!(stopper.is_stopped());
        assert_eq!(stopper.wait(ours.as_fd(), None), Ok(Woken::Stopped), "and stays stopped");
    }
}
