//! The environment of the command lines: the sockets, the namespaces around them, and the
//! directory for outputs and the recording.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sockdiag_testkit::Why;
use sockdiag_testkit::measure;
use sockdiag_testkit::netns::Namespace;

use super::lines::{Line, OneSocket, Place};
use super::options::Options;
use super::sockets::Sockets;
use super::table::Same;

/// What the command lines of a table share.
pub(super) struct Stage {
    /// Absent until they are made.
    sockets: Option<Sockets>,
    empty: Namespace,
    scratch: Scratch,
    one: OneSocket,
}

impl Stage {
    /// A stage without sockets yet.
    pub(super) fn new(options: &Options) -> Result<Self, Why> {
        Ok(Self {
            sockets: None,
            empty: Namespace::new()?,
            scratch: Scratch::new(options)?,
            one: OneSocket::default(),
        })
    }

    /// Closes the sockets.  All namespaces share one table of connections, so a measurement
    /// without sockets requires that none exist in other namespaces either.
    pub(super) fn clear(&mut self) {
        self.sockets = None;
    }

    /// Makes the sockets, and a recording of them if one of the lines needs it; `ss` returns a
    /// command for listing them.
    pub(super) fn make_sockets(
        &mut self,
        options: &Options,
        lines: &[&Line],
        ss: &dyn Fn() -> Command,
    ) -> Result<(), Why> {
        let sockets = Sockets::make(options)?;
        if lines.iter().any(|line| line.place == Place::Recording) {
            sockets.record(ss(), &self.recording())?;
        }
        self.one = sockets.one(ss())?;
        self.sockets = Some(sockets);
        Ok(())
    }

    /// The sockets, if they exist.
    pub(super) fn sockets(&self) -> Option<&Sockets> {
        self.sockets.as_ref()
    }

    /// One of the sockets, for use in filters.
    pub(super) fn one(&self) -> &OneSocket {
        &self.one
    }

    fn recording(&self) -> PathBuf {
        self.scratch.path("recording")
    }

    /// Keeps the outputs, and returns their directory.
    pub(super) fn keep(&self) -> &Path {
        self.scratch.keep()
    }

    /// Gives a command its line's namespace, an environment of only `PATH`, the recording if
    /// the line lists it, and `env`.
    pub(super) fn place(
        &self,
        command: &mut Command,
        line: &Line,
        env: Option<(&str, &str)>,
    ) -> Result<(), Why> {
        command.env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        if let Some((name, value)) = env {
            command.env(name, value);
        }
        if line.place == Place::Recording {
            command.env("TCPDIAG_FILE", self.recording());
        }
        let sockets = || self.sockets.as_ref().ok_or_else(|| Why::new("the sockets are not made yet"));
        let namespace = match line.place {
            Place::Empty | Place::Recording => &self.empty,
            Place::Sockets => sockets()?.namespace(),
            Place::Elsewhere => sockets()?.elsewhere(),
        };
        namespace.enter(command);
        Ok(())
    }

    /// Runs a line's two commands once, each into a file, and compares the files.
    pub(super) fn compare<W: Copy>(
        &self,
        line: &Line,
        whose: [W; 2],
        command: impl Fn(W, Stdio) -> Result<Command, Why>,
    ) -> Result<Same, Why> {
        let files = ["theirs", "ours"].map(|who| self.scratch.path(&format!("{}.{who}", line.name)));
        for (who, path) in whose.into_iter().zip(&files) {
            let file = File::create(path)
                .map_err(|error| Why::new(format!("making {}: {error}", path.display())))?;
            measure::run(&mut command(who, file.into())?)?;
        }
        let [theirs, ours] = &files;
        let same = same(theirs, ours)?;
        if !self.scratch.keep.get() && !matches!(same, Same::No { .. }) {
            for path in files {
                let _ = fs::remove_file(path);
            }
        }
        Ok(same)
    }
}

/// A directory for outputs and the recording; removed in the end unless kept.
struct Scratch {
    directory: PathBuf,
    keep: Cell<bool>,
}

impl Scratch {
    fn new(options: &Options) -> Result<Self, Why> {
        let directory = std::env::temp_dir().join(format!("sockdiag-bench-{}", std::process::id()));
        fs::create_dir_all(&directory)
            .map_err(|error| Why::new(format!("making {}: {error}", directory.display())))?;
        Ok(Self { directory, keep: options.keep.into() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Keeps the directory.
    fn keep(&self) -> &Path {
        self.keep.set(true);
        &self.directory
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.keep.get() {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

/// Compares two files piece by piece, because this process must stay small.
pub(super) fn same(one: &Path, other: &Path) -> Result<Same, Why> {
    let open = |path: &Path| {
        let failed = |error| Why::new(format!("opening {}: {error}", path.display()));
        File::open(path).map(|file| BufReader::with_capacity(1 << 16, file)).map_err(failed)
    };
    let failed = |error| Why::new(format!("comparing {}: {error}", one.display()));
    let (mut a, mut b) = (open(one)?, open(other)?);
    let (mut bytes, mut lines) = (0, 0);
    loop {
        let (x, y) = (a.fill_buf().map_err(failed)?, b.fill_buf().map_err(failed)?);
        let both = x.len().min(y.len());
        let equal = x.iter().zip(y).take_while(|(x, y)| x == y).count();
        lines += x.iter().take(equal).filter(|byte| **byte == b'\n').count();
        bytes += equal as u64;
        if equal < both || (both == 0 && x.len() != y.len()) {
            return Ok(Same::No { byte: bytes + 1, line: lines + 1 });
        }
        if both == 0 {
            return Ok(Same::Yes { bytes, lines });
        }
        a.consume(both);
        b.consume(both);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_equal_to_the_last_byte() {
        let directory = std::env::temp_dir().join(format!("sockdiag-bench-test-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = directory.join(name);
            fs::write(&path, bytes).unwrap();
            path
        };
        let mut long = vec![b'x'; 200_000];
        long[100] = b'\n';
        let a = file("a", &long);
        assert!(matches!(same(&a, &file("b", &long)).unwrap(), Same::Yes { bytes: 200_000, lines: 1 }));
        assert!(matches!(
            same(&a, &file("c", &long[..199_999])).unwrap(),
            Same::No { byte: 200_000, line: 2 }
        ));
        long[150_000] = b'y';
        assert!(matches!(same(&a, &file("d", &long)).unwrap(), Same::No { byte: 150_001, line: 2 }));
        let none = file("e", b"");
        assert!(matches!(same(&none, &a).unwrap(), Same::No { byte: 1, line: 1 }));
        assert!(matches!(same(&none, &none).unwrap(), Same::Yes { bytes: 0, lines: 0 }));
        fs::remove_dir_all(&directory).unwrap();
    }
}
