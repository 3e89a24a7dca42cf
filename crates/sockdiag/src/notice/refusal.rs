//! Files that were not read, because the user who chose them could be malicious.
//!
//! Source: fifo(7), openat2(2).

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use sockdiag_facts::errno_text;

use super::Notice;

/// Why a file whose path or content another user may have chosen was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Refusal {
    /// A pipe: opening it could wait for ever.
    Fifo,
    /// A device: opening it could have side effects.
    Device,
    /// A socket.
    Socket,
    /// A directory.
    Directory,
    /// A symbolic link, or a path through one.
    Link,
    /// It lies outside the directory that it should be in, or on another file system.
    Outside,
    /// It belongs to another user than expected.
    Owner {
        /// The owner.
        uid: u32,
    },
    /// It is longer than any such file needs to be.
    TooLong {
        /// The limit in bytes.
        limit: u64,
    },
    /// The files of one user together are longer than the limit.
    Budget {
        /// The limit in bytes.
        limit: u64,
    },
    /// It is not valid JSON, or is nested too deeply.
    NotJson,
    /// A name in it is longer than names are.
    LongName,
    /// The system refused it.
    Denied {
        /// The error number.
        errno: i32,
    },
}

impl Refusal {
    /// The kind of the refusal, by which files share a line.
    fn kind(self) -> Self {
        match self {
            Self::Owner { .. } => Self::Owner { uid: 0 },
            Self::TooLong { .. } => Self::TooLong { limit: 0 },
            Self::Budget { .. } => Self::Budget { limit: 0 },
            other => other,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fifo => f.write_str("it is a FIFO"),
            Self::Device => f.write_str("it is a device"),
            Self::Socket => f.write_str("it is a socket"),
            Self::Directory => f.write_str("it is a directory"),
            Self::Link => f.write_str("its path contains a symbolic link"),
            Self::Outside => f.write_str("it is outside the expected directory"),
            Self::Owner { uid } => write!(f, "it belongs to uid {uid}"),
            Self::TooLong { limit } => write!(f, "it is longer than {limit} bytes"),
            Self::Budget { limit } => write!(f, "the files of its owner exceed {limit} bytes in total"),
            Self::NotJson => f.write_str("it is not JSON of the expected form"),
            Self::LongName => f.write_str("it contains a name that is too long"),
            Self::Denied { errno } => f.write_str(&errno_text(*errno)),
        }
    }
}

/// Files that were not read: for each kind of refusal the first file, and the number of
/// others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusals(BTreeMap<Refusal, (Refusal, PathBuf, u64)>);

impl Refusals {
    /// Adds a file, unless it is gone.
    pub(crate) fn add(&mut self, why: Refusal, path: impl FnOnce() -> PathBuf) {
        if let Refusal::Denied { errno: libc::ENOENT | libc::ENOTDIR | libc::ESRCH } = why {
            return;
        }
        self.0
            .entry(why.kind())
            .and_modify(|(_, _, others)| *others += 1)
            .or_insert_with(|| (why, path(), 0));
    }

    /// Adds the files of another list, whose paths are relative to `directory`.
    pub(crate) fn join(&mut self, others: Self, directory: &Path) {
        for (kind, (why, path, more)) in others.0 {
            self.0
                .entry(kind)
                .and_modify(|(_, _, others)| *others += 1 + more)
                .or_insert_with(|| (why, directory.join(path), more));
        }
    }

    /// The notices since the last call.
    pub(crate) fn take(&mut self) -> Vec<Notice> {
        let all = std::mem::take(&mut self.0);
        all.into_values().map(|(why, path, others)| Notice::FileRefused { path, why, others }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_told_once_with_the_first_path() {
        let mut refusals = Refusals::default();
        for (why, path) in [
            (Refusal::Fifo, "/a"),
            (Refusal::Owner { uid: 7 }, "/b"),
            (Refusal::Fifo, "/c"),
            (Refusal::Owner { uid: 8 }, "/d"),
            (Refusal::Denied { errno: 13 }, "/e\n"),
            (Refusal::Denied { errno: 2 }, "/f"),
        ] {
            refusals.add(why, || path.into());
        }
        let lines: Vec<String> = refusals.take().iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "/a is not read: it is a FIFO (1 more file likewise)",
                "/b is not read: it belongs to uid 7 (1 more file likewise)",
                "/e\u{fffd} is not read: Permission denied",
            ]
        );
        assert!(refusals.take().is_empty());
        let mut below = Refusals::default();
        below.add(Refusal::Fifo, || "1/stat".into());
        below.add(Refusal::Fifo, || "2/stat".into());
        refusals.join(below.clone(), Path::new("/p"));
        refusals.join(below, Path::new("/q"));
        let lines: Vec<String> = refusals.take().iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["/p/1/stat is not read: it is a FIFO (3 more files likewise)"]);
    }
}
