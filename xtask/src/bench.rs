//! `cargo xtask bench`: the reference and ours on the same sockets, what they
//! print compared and what they cost measured.
//!
//! Sockets live in a namespace made for the run.  Every command line first
//! runs once into a file by each program, and the files are compared byte for
//! byte; then both run in turns, the first one changing, with their output
//! thrown away.  The table shows medians.
//!
//! Invariant: a figure is only shown for a command line whose outputs were
//! compared and found equal, or that says why they could not be.

mod lines;
mod options;
mod sockets;
mod table;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sockdiag_testkit::Why;
use sockdiag_testkit::measure::{self, Cost};
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::reference::Reference;

use lines::{Compare, Line, Place};
use options::Options;
use sockets::Sockets;
use table::{Row, Same};

pub(crate) use options::WORDS;

/// For the list of chores.
pub(crate) const DOC: &str = "\
Run the reference and ours on the same sockets, compare what they print and
print a table of what they cost.  CPU time (user and system) is the figure to
trust; the load average stands above the table.
--sockets N      TCP sockets, both ends of N/2 loopback connections (100000)
--v6 PERCENT     how many of them are IPv6 (0)
--runs R         runs of each program for each command line (5)
--commands A,B   only these: tan tani tanm tane tln filter uan replay-tan
                 replay-tani version empty
--keep           keep the outputs and the recording, and say where.";

/// Does the chore.
pub(crate) fn run(words: &[String]) -> Result<(), Why> {
    let options = Options::parse(words)?;
    let reference = Reference::get()?;
    let ours = build()?;
    let scratch = Scratch::new(&options)?;
    let empty = Namespace::new()?;
    let mut bench = Bench { reference, ours, sockets: None, empty, scratch, port: 0, differing: Vec::new() };
    // All namespaces share one table of connections: where there shall be no
    // socket, there must be none elsewhere either.
    let (before, after): (Vec<_>, Vec<_>) = options.lines().partition(|line| line.place == Place::Empty);
    let load = table::load();
    let before =
        before.into_iter().map(|line| bench.row(line, options.runs)).collect::<Result<Vec<_>, _>>()?;
    if !after.is_empty() {
        bench.make_sockets(&options, after.iter().any(|line| line.place == Place::Recording))?;
    }
    print!("{}", table::heading(&options, bench.sockets.as_ref(), &bench.reference, &load));
    for row in before {
        print!("{row}");
    }
    for line in after {
        print!("{}", bench.row(line, options.runs)?);
    }
    let Bench { differing, scratch, .. } = bench;
    println!("\nLoad average at the end: {}", table::load());
    if options.keep {
        println!("Kept in {}", scratch.directory.display());
    }
    if differing.is_empty() {
        return Ok(());
    }
    Err(Why::new(format!("outputs differ: {} (see {})", differing.join(", "), scratch.keep().display())))
}

/// Builds our program as it is shipped; returns its path.
pub(crate) fn build() -> Result<PathBuf, Why> {
    let exe = std::env::current_exe().map_err(|error| Why::new(format!("finding this program: {error}")))?;
    // TARGET/PROFILE/xtask
    let target =
        exe.ancestors().nth(2).ok_or_else(|| Why::new("this program lies in no target directory"))?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--package", "sockdiag-ss", "--bin", "ss", "--target-dir"])
        .arg(target)
        .status()
        .map_err(|error| Why::new(format!("running cargo build: {error}")))?;
    if status.success() { Ok(target.join("release/ss")) } else { Err(Why::new("cargo build failed")) }
}

/// Where outputs and the recording go; removed in the end unless kept.
struct Scratch {
    directory: PathBuf,
    keep: std::cell::Cell<bool>,
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

    /// Leaves the directory there.
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

/// All that command lines are run with.
struct Bench {
    reference: Reference,
    ours: PathBuf,
    /// Absent until they are made.
    sockets: Option<Sockets>,
    empty: Namespace,
    scratch: Scratch,
    /// A port that few sockets have.
    port: u16,
    /// Names of the lines whose outputs differ.
    differing: Vec<&'static str>,
}

/// Whose turn it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Reference,
    Ours,
}

impl Bench {
    /// Makes the sockets, and a recording of them if it is needed.
    fn make_sockets(&mut self, options: &Options, recording: bool) -> Result<(), Why> {
        let sockets = Sockets::make(options)?;
        if recording {
            sockets.record(&self.reference, &self.recording())?;
        }
        self.port = sockets.rare_port(&self.reference)?;
        self.sockets = Some(sockets);
        Ok(())
    }

    fn recording(&self) -> PathBuf {
        self.scratch.path("recording")
    }

    /// Compares and measures one command line.
    fn row(&mut self, line: &'static Line, runs: usize) -> Result<Row, Why> {
        let same = self.compare(line)?;
        if matches!(same, Same::No { .. }) {
            self.differing.push(line.name);
        }
        let [reference, ours] = self.measure(line, runs)?;
        Ok(Row { line, same, reference, ours })
    }

    /// The command, inside its namespace, writing to `output`.
    fn command(&self, line: &Line, who: Who, output: Stdio) -> Result<Command, Why> {
        let mut command = match who {
            Who::Reference => self.reference.command(),
            Who::Ours => Command::new(&self.ours),
        };
        command.args(line.args(self.port)).env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        if line.place == Place::Recording {
            command.env("TCPDIAG_FILE", self.recording());
        }
        command.stdin(Stdio::null()).stdout(output);
        let namespace = match line.place {
            Place::Empty | Place::Recording => &self.empty,
            Place::Sockets => {
                self.sockets.as_ref().ok_or_else(|| Why::new("the sockets are not made yet"))?.namespace()
            }
        };
        namespace.enter(&mut command);
        Ok(command)
    }

    /// Runs each program once into a file and compares the files.
    fn compare(&self, line: &Line) -> Result<Same, Why> {
        let files = ["reference", "ours"].map(|who| self.scratch.path(&format!("{}.{who}", line.name)));
        for (who, path) in [Who::Reference, Who::Ours].into_iter().zip(&files) {
            let file = File::create(path)
                .map_err(|error| Why::new(format!("making {}: {error}", path.display())))?;
            measure::run(&mut self.command(line, who, file.into())?)?;
        }
        let [theirs, ours] = &files;
        let same = match line.compare {
            Compare::Unasked(why) => Same::Unasked(why),
            Compare::Bytes => same(theirs, ours)?,
        };
        if !self.scratch.keep.get() && !matches!(same, Same::No { .. }) {
            for path in files {
                let _ = fs::remove_file(path);
            }
        }
        Ok(same)
    }

    /// Medians of the reference and of ours.
    fn measure(&self, line: &Line, runs: usize) -> Result<[Cost; 2], Why> {
        let (mut theirs, mut ours) = (Vec::new(), Vec::new());
        for run in 0..runs * line.repeats {
            let mut turns = [Who::Reference, Who::Ours];
            turns.rotate_left(run % 2);
            for who in turns {
                let cost = measure::run(&mut self.command(line, who, Stdio::null())?)?;
                if who == Who::Ours { ours.push(cost) } else { theirs.push(cost) }
            }
        }
        Ok([Cost::median(&theirs), Cost::median(&ours)])
    }
}

/// Compares two files, in pieces: this process has to stay small.
fn same(one: &Path, other: &Path) -> Result<Same, Why> {
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

/// Runs a command and gives what it printed.
fn printed(command: &mut Command) -> Result<String, Why> {
    let shown = command.get_program().display().to_string();
    let failed = |error| Why::new(format!("running {shown}: {error}"));
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let mut text = String::new();
    if let Some(out) = &mut child.stdout {
        out.read_to_string(&mut text).map_err(failed)?;
    }
    match child.wait().map_err(failed)? {
        status if status.success() => Ok(text),
        status => Err(Why::new(format!("{shown} ended with {status}"))),
    }
}

/// The words of a command line.
fn words(line: &str) -> impl Iterator<Item = &OsStr> {
    line.split(' ').filter(|word| !word.is_empty()).map(OsStr::new)
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
