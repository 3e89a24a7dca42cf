//! `cargo xtask bench`: runs the reference and ours on the same sockets, compares their
//! outputs and measures their costs.
//!
//! The sockets are in a namespace made for the run.  Each program first runs every command
//! line once into a file, and the files are compared byte for byte.  Then both run in turns,
//! taking turns to go first, with their output discarded.  The table shows medians.
//!
//! With `--against COMMIT`, our program at a former commit takes the place of the reference
//! ([`against`]).
//!
//! Invariant: a figure is only shown for a command line whose outputs were compared and found
//! equal, or whose row says why they could not be.

mod against;
mod former;
mod lines;
mod namespaces;
mod options;
mod sockets;
mod stage;
mod table;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use sockdiag_testkit::Why;
use sockdiag_testkit::measure::{self, Cost};
use sockdiag_testkit::reference::Reference;

use lines::{Compare, Line, Place, Theirs};
use options::Options;
use stage::Stage;
use table::{Row, Same};

use crate::install::PROGRAMS;
pub(crate) use former::tree;
pub(crate) use options::WORDS;
pub(crate) use table::load;

/// The help text.
pub(crate) const DOC: &str = "\
Run the reference and ours on the same sockets, compare their output and
print a table of their cost.  CPU time (user and system) is the figure to
trust; the load average stands above the table.
--all            every table of docs/benchmarks.md: 100 to 1,000,000 sockets,
                 IPv4, half IPv6 and all IPv6; half an hour
--sockets N      TCP sockets, both ends of N/2 loopback connections (100000)
--v6 PERCENT     how many of them are IPv6 (0)
--runs R         runs of each program for each command line (5)
--commands A,B   only these: version empty tan bare tani tanm tane tanp
                 tanp-proc tanp-tan tanp-proc-tan tan-dump tani-dump tanp-dump json jsonl tln tlnp
                 tunlp tunlp-proc s filter exact uan
                 replay-tan replay-tani netstat-tan netstat-tanp lsof
--namespaces N   instead: `--netns all` over N namespaces that share the sockets,
                 against one that has all of them
--keep           keep the outputs and the recording, and print their directory.";

/// Runs the chore.
pub(crate) fn run(words: &[String]) -> Result<(), Why> {
    let options = Options::parse(words)?;
    if let Some(commit) = &options.against {
        return against::run(&options, commit);
    }
    if let Some(namespaces) = options.namespaces {
        return namespaces::run(&options, namespaces);
    }
    let mut bench = Bench {
        reference: Reference::get()?,
        ours: build()?,
        bare: build_bare_dump()?,
        stage: Stage::new(&options)?,
        differing: Vec::new(),
        squares: HashMap::new(),
    };
    for options in options.tables() {
        bench.table(&options)?;
    }
    let Bench { differing, stage, .. } = bench;
    if options.keep {
        println!("Kept in {}", stage.keep().display());
    }
    if differing.is_empty() {
        return Ok(());
    }
    Err(Why::new(format!("outputs differ: {} (see {})", differing.join(", "), stage.keep().display())))
}

/// Builds our `ss` as it is shipped; returns its path.
pub(crate) fn build() -> Result<PathBuf, Why> {
    build_shipped().map(|[ss, _]| ss)
}

/// Builds `sockdiag` as it is shipped.
pub(crate) fn build_sockdiag() -> Result<PathBuf, Why> {
    build_shipped().map(|[_, sockdiag]| sockdiag)
}

/// Builds both programs as they are shipped, in a target directory of their own, without paths
/// of the build machine.
///
/// They are built by one call of cargo: two calls would compile again what they share, since
/// each program asks for other features of it, and would link one after the other.
pub(crate) fn build_shipped() -> Result<[PathBuf; 2], Why> {
    shipped(None)
}

/// The same programs, statically linked with musl, whose name look-ups only read files.
pub(crate) fn build_alone() -> Result<[PathBuf; 2], Why> {
    shipped(Some("x86_64-unknown-linux-musl"))
}

fn shipped(triple: Option<&str>) -> Result<[PathBuf; 2], Why> {
    let target = target()?.join("shipped");
    let without = |path: &Path, name| format!("--remap-path-prefix={}={name}", path.display());
    // The last matching flag wins: the target directory may be inside the workspace.
    let flags: Vec<String> = [without(&workspace()?, "sockdiag")]
        .into_iter()
        .chain(cargo_home().map(|home| without(&home, "cargo")))
        .chain([without(&target, "sockdiag/target/shipped")])
        .collect();
    // A separator that no path contains.
    let flags = flags.join("\u{1f}");
    let status = cargo()
        .args(["build", "--quiet", "--release"])
        .args(selected(&PROGRAMS))
        .arg("--target-dir")
        .arg(&target)
        .args(triple.map(|triple| ["--target", triple]).into_iter().flatten())
        .env("CARGO_ENCODED_RUSTFLAGS", flags)
        .status()
        .map_err(|error| Why::new(format!("running cargo build: {error}")))?;
    if status.success() {
        let directory = target.join(triple.unwrap_or_default()).join("release");
        Ok(PROGRAMS.map(|(_, program)| directory.join(program)))
    } else {
        Err(Why::new("cargo build failed"))
    }
}

/// The arguments of cargo for these programs, each with its package.
fn selected<'p>(programs: &'p [(&'p str, &'p str)]) -> impl Iterator<Item = &'p str> {
    programs.iter().flat_map(|(package, program)| ["--package", package, "--bin", program])
}

/// Builds this program in release mode: in a debug build, the bare dump would be slower and
/// the floor too high.
pub(crate) fn build_bare_dump() -> Result<PathBuf, Why> {
    built("xtask", "xtask")
}

/// Builds an example of the library in release mode.
pub(crate) fn build_example(example: &str) -> Result<PathBuf, Why> {
    let directory = target()?.join("release").join("examples");
    made("sockdiag", "--example", example).map(|()| directory.join(example))
}

/// Builds a program of this workspace in release mode.
fn built(package: &str, program: &str) -> Result<PathBuf, Why> {
    let directory = target()?.join("release");
    made(package, "--bin", program).map(|()| directory.join(program))
}

fn made(package: &str, kind: &str, program: &str) -> Result<(), Why> {
    let target = target()?;
    let mut cargo = cargo();
    cargo.args(["build", "--quiet", "--release", "--package", package, kind, program, "--target-dir"]);
    let status =
        cargo.arg(&target).status().map_err(|error| Why::new(format!("running cargo build: {error}")))?;
    if status.success() { Ok(()) } else { Err(Why::new("cargo build failed")) }
}

/// The cargo that runs this chore.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The root of this workspace.
pub(crate) fn workspace() -> Result<PathBuf, Why> {
    let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    std::fs::canonicalize(workspace).map_err(|error| Why::new(format!("{workspace}: {error}")))
}

/// Cargo's home directory, which contains downloaded packages.
pub(crate) fn cargo_home() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    home.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cargo")))
}

/// The target directory that this program was built into.
pub(crate) fn target() -> Result<PathBuf, Why> {
    let exe = std::env::current_exe().map_err(|error| Why::new(format!("finding this program: {error}")))?;
    // TARGET/PROFILE/xtask
    let target = exe.ancestors().nth(2);
    target.map(Path::to_owned).ok_or_else(|| Why::new("this program lies in no target directory"))
}

/// Everything needed to run the command lines.
struct Bench {
    reference: Reference,
    ours: PathBuf,
    /// The program that dumps and discards the reply.
    bare: PathBuf,
    stage: Stage,
    /// Names of the lines with differing outputs.
    differing: Vec<&'static str>,
    /// The reference's cost with the largest number of sockets that it was run with, for lines
    /// that are extrapolated beyond it.
    squares: HashMap<&'static str, (u32, Cost)>,
}

/// The program that runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Theirs,
    Ours,
}

impl Bench {
    /// Measures one table and prints it.
    fn table(&mut self, options: &Options) -> Result<(), Why> {
        self.stage.clear();
        let (before, after): (Vec<_>, Vec<_>) = options.lines().partition(|line| line.place == Place::Empty);
        let load = table::load();
        let before = before.into_iter().map(|line| self.row(line, options)).collect::<Result<Vec<_>, _>>()?;
        if !after.is_empty() {
            self.stage.make_sockets(options, &after, &|| self.reference.command())?;
        }
        print!("{}", table::heading(options, self.stage.sockets(), &self.reference, &load));
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
            _ => command.args(line.args(self.stage.one())),
        };
        self.stage.place(&mut command, line, line.env.filter(|_| who == Who::Ours))?;
        command.stdin(Stdio::null()).stdout(output);
        Ok(command)
    }

    /// Runs each program once into a file and compares the files.
    fn compare(&self, line: &Line) -> Result<Same, Why> {
        if let Compare::Unasked(why) = line.compare {
            return Ok(Same::Unasked(why));
        }
        self.stage.compare(line, [Who::Theirs, Who::Ours], |who, output| self.command(line, who, output))
    }

    /// Medians of the other program, if it runs, and of ours.
    fn measure(&self, line: &Line, runs: usize, theirs: bool) -> Result<(Option<Cost>, Cost), Why> {
        let (mut costs, mut ours) = (Vec::new(), Vec::new());
        for run in 0..runs * line.repeats {
            let mut turns = [Who::Theirs, Who::Ours];
            turns.rotate_left(run % 2);
            for who in turns.into_iter().filter(|who| theirs || *who == Who::Ours) {
                let mut command = self.command(line, who, Stdio::null())?;
                // Other tools print warnings and exit with 1 even if they listed everything.
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

/// Runs a command and returns its output.
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
