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

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use sockdiag_testkit::Why;
use sockdiag_testkit::measure::{self, Cost};
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::reference::Reference;

use lines::{Compare, Line, OneSocket, Place, Theirs};
use options::Options;
use sockets::Sockets;
use table::{Row, Same};

pub(crate) use options::WORDS;

/// For the list of chores.
pub(crate) const DOC: &str = "\
Run the reference and ours on the same sockets, compare what they print and
print a table of what they cost.  CPU time (user and system) is the figure to
trust; the load average stands above the table.
--all            every table of docs/benchmarks.md: 100 to 1,000,000 sockets,
                 IPv4, half IPv6 and all IPv6; half an hour
--sockets N      TCP sockets, both ends of N/2 loopback connections (100000)
--v6 PERCENT     how many of them are IPv6 (0)
--runs R         runs of each program for each command line (5)
--commands A,B   only these: version empty tan bare tani tanm tane tanp
                 tanp-proc tanp-tan tanp-proc-tan json jsonl tln tlnp tunlp tunlp-proc s filter exact uan
                 replay-tan replay-tani netstat-tan netstat-tanp lsof
--keep           keep the outputs and the recording, and say where.";

/// Does the chore.
pub(crate) fn run(words: &[String]) -> Result<(), Why> {
    let options = Options::parse(words)?;
    let mut bench = Bench {
        reference: Reference::get()?,
        ours: build()?,
        // Not this program: a debug build would make the floor a high one.
        bare: built("xtask", "xtask")?,
        sockets: None,
        empty: Namespace::new()?,
        scratch: Scratch::new(&options)?,
        one: OneSocket::default(),
        differing: Vec::new(),
        squares: HashMap::new(),
    };
    for options in options.tables() {
        bench.table(&options)?;
    }
    let Bench { differing, scratch, .. } = bench;
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
    built("sockdiag-ss", "ss")
}

/// Builds a program of this workspace as programs are shipped.
fn built(package: &str, program: &str) -> Result<PathBuf, Why> {
    let exe = std::env::current_exe().map_err(|error| Why::new(format!("finding this program: {error}")))?;
    // TARGET/PROFILE/xtask
    let target =
        exe.ancestors().nth(2).ok_or_else(|| Why::new("this program lies in no target directory"))?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--package", package, "--bin", program, "--target-dir"])
        .arg(target)
        .status()
        .map_err(|error| Why::new(format!("running cargo build: {error}")))?;
    if status.success() {
        Ok(target.join("release").join(program))
    } else {
        Err(Why::new("cargo build failed"))
    }
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
    /// What dumps and throws the answer away.
    bare: PathBuf,
    /// Absent until they are made.
    sockets: Option<Sockets>,
    empty: Namespace,
    scratch: Scratch,
    one: OneSocket,
    /// Names of the lines whose outputs differ.
    differing: Vec<&'static str>,
    /// What the reference took for the most sockets that it was run with, for
    /// lines of which more are extrapolated.
    squares: HashMap<&'static str, (u32, Cost)>,
}

/// Whose turn it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Theirs,
    Ours,
}

impl Bench {
    /// Measures one table and prints it.
    fn table(&mut self, options: &Options) -> Result<(), Why> {
        // All namespaces share one table of connections: where there shall be no
        // socket, there must be none elsewhere either.
        self.sockets = None;
        let (before, after): (Vec<_>, Vec<_>) = options.lines().partition(|line| line.place == Place::Empty);
        let load = table::load();
        let before = before.into_iter().map(|line| self.row(line, options)).collect::<Result<Vec<_>, _>>()?;
        if !after.is_empty() {
            self.make_sockets(options, after.iter().any(|line| line.place == Place::Recording))?;
        }
        print!("{}", table::heading(options, self.sockets.as_ref(), &self.reference, &load));
        for row in before {
            print!("{row}");
        }
        for line in after {
            let row = self.row(line, options)?;
            print!("{row}");
        }
        println!("\nLoad average at the end: {}.\n", table::load());
        Ok(())
    }

    /// Makes the sockets, and a recording of them if it is needed.
    fn make_sockets(&mut self, options: &Options, recording: bool) -> Result<(), Why> {
        let sockets = Sockets::make(options)?;
        if recording {
            sockets.record(&self.reference, &self.recording())?;
        }
        self.one = sockets.one(&self.reference)?;
        self.sockets = Some(sockets);
        Ok(())
    }

    fn recording(&self) -> PathBuf {
        self.scratch.path("recording")
    }

    /// Compares and measures one command line.
    fn row(&mut self, line: &'static Line, options: &Options) -> Result<Row, Why> {
        let runs_theirs = line.theirs_runs(options.sockets);
        let same = if runs_theirs { self.compare(line)? } else { Same::Unasked("it would take very long") };
        if matches!(same, Same::No { .. }) {
            self.differing.push(line.name);
        }
        let (theirs, ours) = self.measure(line, options.runs, runs_theirs)?;
        if let (Theirs::ReferenceUpTo(_), Some(cost)) = (line.theirs, theirs) {
            self.squares.insert(line.name, (options.sockets, cost));
        }
        let extrapolated = self.squares.get(line.name).filter(|_| theirs.is_none()).map(|(sockets, cost)| {
            let factor = (f64::from(options.sockets) / f64::from(*sockets)).powi(2);
            let times = |time: Duration| time.mul_f64(factor);
            Cost {
                wall: times(cost.wall),
                user: times(cost.user),
                system: times(cost.system),
                max_rss_kib: 0,
            }
        });
        Ok(Row { line, same, theirs, extrapolated, ours })
    }

    /// The command, inside its namespace, writing to `output`.
    fn command(&self, line: &Line, who: Who, output: Stdio) -> Result<Command, Why> {
        let mut command = match (who, line.theirs) {
            (Who::Ours, _) | (Who::Theirs, Theirs::Ours(_)) => Command::new(&self.ours),
            (Who::Theirs, Theirs::Reference | Theirs::ReferenceUpTo(_)) => self.reference.command(),
            (Who::Theirs, Theirs::BareDump) => Command::new(&self.bare),
            (Who::Theirs, Theirs::Neighbour(words, _)) => {
                Command::new(words.split(' ').next().unwrap_or_default())
            }
        };
        match (who, line.theirs) {
            (Who::Theirs, Theirs::Neighbour(words, _)) => command.args(words.split(' ').skip(1)),
            (Who::Theirs, Theirs::Ours(theirs)) => command.args(words(theirs)),
            (Who::Theirs, Theirs::BareDump) => command.arg(crate::bare_dump::NAME),
            _ => command.args(line.args(&self.one)),
        };
        command.env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        if let Some((name, value)) = line.env.filter(|_| who == Who::Ours) {
            command.env(name, value);
        }
        if line.place == Place::Recording {
            command.env("TCPDIAG_FILE", self.recording());
        }
        command.stdin(Stdio::null()).stdout(output);
        let sockets = || self.sockets.as_ref().ok_or_else(|| Why::new("the sockets are not made yet"));
        let namespace = match line.place {
            Place::Empty | Place::Recording => &self.empty,
            Place::Sockets => sockets()?.namespace(),
            Place::Elsewhere => sockets()?.elsewhere(),
        };
        namespace.enter(&mut command);
        Ok(command)
    }

    /// Runs each program once into a file and compares the files.
    fn compare(&self, line: &Line) -> Result<Same, Why> {
        if let Compare::Unasked(why) = line.compare {
            return Ok(Same::Unasked(why));
        }
        let files = ["theirs", "ours"].map(|who| self.scratch.path(&format!("{}.{who}", line.name)));
        for (who, path) in [Who::Theirs, Who::Ours].into_iter().zip(&files) {
            let file = File::create(path)
                .map_err(|error| Why::new(format!("making {}: {error}", path.display())))?;
            measure::run(&mut self.command(line, who, file.into())?)?;
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

    /// Medians of theirs, if it runs, and of ours.
    fn measure(&self, line: &Line, runs: usize, theirs: bool) -> Result<(Option<Cost>, Cost), Why> {
        let (mut costs, mut ours) = (Vec::new(), Vec::new());
        for run in 0..runs * line.repeats {
            let mut turns = [Who::Theirs, Who::Ours];
            turns.rotate_left(run % 2);
            for who in turns.into_iter().filter(|who| theirs || *who == Who::Ours) {
                let mut command = self.command(line, who, Stdio::null())?;
                // Neighbours complain, and end with 1, where they have seen all.
                command.stderr(Stdio::null());
                let neighbour = who == Who::Theirs && matches!(line.theirs, Theirs::Neighbour(..));
                let cost =
                    if neighbour { measure::run_any(&mut command)? } else { measure::run(&mut command)? };
                if who == Who::Ours { ours.push(cost) } else { costs.push(cost) }
            }
        }
        Ok(((!costs.is_empty()).then(|| Cost::median(&costs)), Cost::median(&ours)))
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
pub(crate) fn printed(command: &mut Command) -> Result<String, Why> {
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
