//! Why processes that hold sockets may be missing, and why a socket has none.
//!
//! There are three reasons for a socket without a process: no process has it open (and its
//! state usually shows why), a process has it open that we may not inspect, or its holder is
//! not a process that can be named.

use std::fmt;

use super::Counted;

/// How many process ids are listed.
const TOLD: usize = 6;

/// Why processes may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unseen {
    /// Processes that may not be inspected, by number.
    pub processes: Vec<i32>,
    /// No /proc is mounted.
    pub no_proc: bool,
    /// /proc does not list the processes of others (`hidepid`).
    pub hidden: bool,
    /// We are in an inner pid namespace and do not see the processes outside.
    pub inner: bool,
}

impl Unseen {
    /// Whether there is a reason at all.
    pub fn is_any(&self) -> bool {
        !self.processes.is_empty() || self.no_proc || self.hidden || self.inner
    }
}

impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        let mut part = |f: &mut fmt::Formatter<'_>| f.write_str(std::mem::replace(&mut between, ", and "));
        match self.processes.as_slice() {
            [] => {}
            [one] => {
                part(f)?;
                write!(f, "process {one} cannot be inspected")?;
            }
            several => {
                part(f)?;
                write!(f, "{} cannot be inspected (", Counted(several.len() as u64, "process"))?;
                for (at, pid) in several.iter().take(TOLD).enumerate() {
                    write!(f, "{}{pid}", if at == 0 { "" } else { ", " })?;
                }
                f.write_str(if several.len() > TOLD { ", ...)" } else { ")" })?;
            }
        }
        for (is_so, what) in [
            (self.no_proc, "no /proc is mounted"),
            (self.hidden, "/proc hides the processes of other users (hidepid)"),
            (self.inner, "processes outside this pid namespace are not seen"),
        ] {
            if is_so {
                part(f)?;
                f.write_str(what)?;
            }
        }
        Ok(())
    }
}

/// Why no process holds a socket, as its inode and state show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Ownerless {
    /// Closed at both ends; the kernel keeps it for late segments.
    TimeWait,
    /// A connection whose handshake is not complete.
    Handshake,
    /// A connection that waits for its listener to accept it.
    Unaccepted,
    /// Closed by its process; the kernel still sends the remaining data.
    Orphan,
    /// A socket of the kernel's own, which never had a descriptor.
    Kernel,
    /// It has a file that no process has open: a socket of the kernel's own, or one that is
    /// being passed between processes.
    Unheld,
}

impl Ownerless {
    /// Every reason, in the order in which they are reported.
    pub const ALL: [Self; 6] =
        [Self::TimeWait, Self::Handshake, Self::Unaccepted, Self::Orphan, Self::Kernel, Self::Unheld];

    /// The reason in words.
    fn because(self) -> &'static str {
        match self {
            Self::TimeWait => "in TIME-WAIT: closed at both ends, kept by the kernel for late segments",
            Self::Handshake => {
                "in SYN-RECV: the handshake is incomplete, so no process has accepted the connection"
            }
            Self::Unaccepted => "not yet accepted by the listening process",
            Self::Orphan => {
                "orphaned: closed by its process, while the kernel still shuts down the connection"
            }
            Self::Kernel => "created by the kernel: no process ever had a descriptor for it",
            Self::Unheld => {
                "not open in any process: created by the kernel (VXLAN and other tunnels, WireGuard, NFS), \
                 in flight between processes (SCM_RIGHTS), or held only by io_uring"
            }
        }
    }
}

impl fmt::Display for Ownerless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.because())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_named_up_to_a_few() {
        let of = |processes: &[i32]| Unseen { processes: processes.to_vec(), ..Unseen::default() };
        for (unseen, want) in [
            (Unseen::default(), ""),
            (of(&[7]), "process 7 cannot be inspected"),
            (of(&[7, 9]), "2 processes cannot be inspected (7, 9)"),
            (of(&[1, 2, 3, 4, 5, 6, 7]), "7 processes cannot be inspected (1, 2, 3, 4, 5, 6, ...)"),
            (Unseen { no_proc: true, ..Unseen::default() }, "no /proc is mounted"),
            (
                Unseen { hidden: true, inner: true, ..of(&[7]) },
                "process 7 cannot be inspected, and /proc hides the processes of other users (hidepid), and \
                 processes outside this pid namespace are not seen",
            ),
        ] {
            assert_eq!(unseen.to_string(), want);
            assert_eq!(unseen.is_any(), !want.is_empty());
        }
    }
}
