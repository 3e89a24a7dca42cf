//! Counts the sockets of a listing whose processes are missing.

use crate::model::{Detail, MessageKind, Socket, State};
use crate::notice::{Notice, Ownerless, Unseen};

/// How many sockets are named as examples at most.
const EXAMPLES: usize = 4;

/// Sockets whose processes are not known, or that have none.
#[derive(Debug, Default)]
pub(super) struct Missing {
    /// Whether to report every reason for a socket without a process, not only that
    /// processes may be unseen.
    reasons: bool,
    /// Sockets on which a condition was tested.
    pub(super) tested: u64,
    /// Sockets shown that a process may hold, while none is known.
    unknown: u64,
    /// Table and port of some of these sockets.
    examples: Vec<(&'static str, u32)>,
    /// Shown sockets that no process has open, by reason.
    ownerless: [u64; Ownerless::ALL.len()],
    /// Sockets that only a thread has open, and those threads.
    by_threads: u64,
    threads: Vec<(i32, i32)>,
}

impl Missing {
    /// Starts without counts.
    pub(super) fn new(reasons: bool) -> Self {
        Self { reasons, ..Self::default() }
    }

    /// Resets the counts.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.reasons);
    }

    /// Whether there is nothing to report.
    pub(super) fn is_nothing(&self) -> bool {
        let counts = [self.tested, self.unknown, self.by_threads];
        counts.iter().chain(&self.ownerless).all(|count| *count == 0)
    }

    /// Counts a socket that is shown without a process; `thread` is a thread that has it
    /// open.
    pub(super) fn count(&mut self, socket: &Socket<'_>, thread: Option<(i32, i32)>) {
        if let Some(thread) = thread {
            self.by_threads += 1;
            if self.threads.len() < EXAMPLES && !self.threads.contains(&thread) {
                self.threads.push(thread);
            }
            return;
        }
        match reason(socket) {
            Ownerless::Unheld => {
                self.unknown += 1;
                if self.reasons && self.examples.len() < EXAMPLES && has_port(socket) {
                    let port = u32::try_from(socket.local.port).unwrap_or_default();
                    self.examples.push((socket.origin.table.facts().title, port));
                }
            }
            why if self.reasons => {
                let count = Ownerless::ALL.iter().position(|one| *one == why);
                if let Some(count) = count.and_then(|at| self.ownerless.get_mut(at)) {
                    *count += 1;
                }
            }
            _ => {}
        }
    }

    /// Reports the counts, and resets them.
    pub(super) fn tell(&mut self, unseen: Unseen, notices: &mut Vec<Notice>) {
        let reasons = self.reasons;
        let Self { tested, unknown, examples, ownerless, by_threads, threads, .. } = std::mem::take(self);
        self.reasons = reasons;
        if by_threads > 0 {
            notices.push(Notice::HeldByThreads { sockets: by_threads, threads });
        }
        for (why, sockets) in Ownerless::ALL.into_iter().zip(ownerless) {
            if sockets > 0 {
                notices.push(Notice::Ownerless { why, sockets, examples: Vec::new() });
            }
        }
        if unseen.is_any() {
            if tested + unknown > 0 {
                notices.push(Notice::HoldersHidden { sockets: unknown, tested, why: unseen });
            }
        } else if unknown > 0 && reasons {
            notices.push(Notice::Ownerless { why: Ownerless::Unheld, sockets: unknown, examples });
        }
    }
}

fn has_port(socket: &Socket<'_>) -> bool {
    matches!(socket.message_kind(), MessageKind::Inet) && socket.local.port != 0
}

/// Why no process has a socket open.  A socket loses its inode with its file, and a
/// connection gets one when it is accepted.
fn reason(socket: &Socket<'_>) -> Ownerless {
    if socket.inode != 0 {
        return Ownerless::Unheld;
    }
    let Some(state) = State::from_number(socket.state) else { return Ownerless::Kernel };
    match state {
        State::TimeWait => Ownerless::TimeWait,
        State::SynRecv | State::NewSynRecv => Ownerless::Handshake,
        State::Established | State::CloseWait => Ownerless::Unaccepted,
        State::FinWait1 | State::FinWait2 | State::LastAck | State::Closing => Ownerless::Orphan,
        _ if matches!(socket.detail, Detail::Unix(_)) => Ownerless::Unaccepted,
        _ => Ownerless::Kernel,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Origin, Record, SourceKind, Table};

    /// Counts a socket of this state and inode.
    fn count(missing: &mut Missing, state: &str, inode: u32) {
        let line = format!(
            "   0: 0100007F:0016 0200007F:C350 {state} 00000000:00000000 00:00000000 00000000  1000        0 {inode}"
        );
        let origin = Origin::of(Table::Tcp, SourceKind::Proc);
        let socket = Socket::decode(Record { origin, bytes: line.as_bytes() }).expect("a whole line");
        missing.count(&socket, None);
    }

    #[test]
    fn a_socket_without_a_process_tells_why() {
        let mut missing = Missing { reasons: true, ..Missing::default() };
        for (state, inode, want) in [
            ("06", 0, Ownerless::TimeWait),
            ("03", 0, Ownerless::Handshake),
            ("01", 0, Ownerless::Unaccepted),
            ("08", 0, Ownerless::Unaccepted),
            ("04", 0, Ownerless::Orphan),
            ("05", 0, Ownerless::Orphan),
            ("09", 0, Ownerless::Orphan),
            ("0B", 0, Ownerless::Orphan),
            ("0A", 0, Ownerless::Kernel),
            ("07", 0, Ownerless::Kernel),
            ("0A", 621, Ownerless::Unheld),
            ("01", 621, Ownerless::Unheld),
        ] {
            count(&mut missing, state, inode);
            let mut notices = Vec::new();
            missing.tell(Unseen::default(), &mut notices);
            let examples = if want == Ownerless::Unheld { vec![("TCP", 22)] } else { Vec::new() };
            assert_eq!(notices, [Notice::Ownerless { why: want, sockets: 1, examples }], "{state} {inode}");
            assert!(missing.is_nothing());
        }
    }

    #[test]
    fn who_is_not_seen_may_hold_it() {
        let why = Unseen { hidden: true, ..Unseen::default() };
        for reasons in [false, true] {
            let mut missing = Missing { reasons, ..Missing::default() };
            count(&mut missing, "0A", 621);
            count(&mut missing, "06", 0);
            missing.tested = 3;
            let mut notices = Vec::new();
            missing.tell(why.clone(), &mut notices);
            let hidden = Notice::HoldersHidden { sockets: 1, tested: 3, why: why.clone() };
            assert_eq!(notices.pop(), Some(hidden));
            assert_eq!(notices.len(), usize::from(reasons));
        }
    }
}
