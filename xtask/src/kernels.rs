//! `cargo xtask kernels [KERNEL]...`: compares the reference and ours on other kernels.
//!
//! Each kernel boots in QEMU (`tools/kernels/rig.py`), opens a zoo of sockets and runs every
//! line of `cases.rs` with the reference, with ours, and if they differ with the reference
//! again.  Output, errors and status must be the same byte for byte.  If the reference differs
//! from itself, everything that depends on time is masked in all outputs
//! (`sockdiag_testkit::guest::mask` lists it), and if it still differs the line is run again.
//!
//! At the end, connections of a few milliseconds are made there beside `sockdiag watch`
//! (`sockdiag_testkit::brief`).
//!
//! Invariant: a run is good only if every line was compared, every difference is explained by
//! a row of COMPAT.md, every kind of socket that the kernel should have existed, every
//! shortcut was taken, and closings add up.

mod cases;
mod explained;
mod kinds;
mod shortcuts;
mod verdict;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use sockdiag_testkit::brief;
use sockdiag_testkit::guest::{Plan, Run, Who};
use sockdiag_testkit::pins::{self, Pin};
use sockdiag_testkit::{Why, bins, skip};

use crate::fail::{failed, output};
use crate::{bench, tap};
use cases::{ALONE, CENSUS, lines};
use kinds::{KINDS, Kind, OURS};
use shortcuts::SHORTCUTS;
use verdict::Verdict;

/// What may follow the chore's name.
pub(crate) const WORDS: &str = "[--unpinned] [--keep DIRECTORY] [KERNEL]...";

/// The help text.
pub(crate) const DOC: &str = "\
Boot other kernels in QEMU, and compare the reference and ours there on every
kind of socket that they know.  KERNEL is the name of one in tools/pins, such as
6.12; all of them without one.
--unpinned        take the versions that the archive has now
--keep DIRECTORY  leave the guests' results there.";

/// Seconds for the lines in the guest: ten times what an idle machine needs.
const GUEST_SECONDS: &str = "1800";

/// Runs the chore.  A package known to be gone from the archive (`SOCKDIAG_GONE`) is reported
/// but is not a failure.
pub(crate) fn run(words: &[String]) -> Result<(), Why> {
    let options = Options::parse(words)?;
    let Some(tools) = unless_gone("kernels", Tools::prepare(&options))? else { return Ok(()) };
    // A guest keeps one processor busy.
    let guests = thread::available_parallelism().map_or(1, NonZero::get).min(options.kernels.len());
    let next = AtomicUsize::new(0);
    let bad = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..guests {
            scope.spawn(|| {
                while let Some(kernel) = options.kernels.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let wrong = unless_gone(&kernel.name, tools.on(kernel, &options));
                    let wrong =
                        wrong.map_or_else(|why| vec![why.to_string()], |wrong| wrong.unwrap_or_default());
                    if !wrong.is_empty() {
                        let mut bad = bad.lock().unwrap_or_else(PoisonError::into_inner);
                        bad.push(format!("{}: {}", kernel.name, wrong.join("; ")));
                    }
                }
            });
        }
    });
    let bad = bad.into_inner().unwrap_or_else(PoisonError::into_inner);
    if bad.is_empty() { Ok(()) } else { Err(Why::new(bad.join("\nxtask: "))) }
}

/// The result; `None` after reporting that the archive no longer has the package.
fn unless_gone<T>(what: &str, result: Result<T, Why>) -> Result<Option<T>, Why> {
    match result {
        Err(why) if skip::is_gone(&why.to_string()) => {
            eprintln!("SKIP {what}: {why}");
            Ok(None)
        }
        result => result.map(Some),
    }
}

/// The pinned packages of one kind.
fn pinned(kind: pins::Kind) -> Result<Vec<Pin>, Why> {
    Ok(pins::all()?.into_iter().filter(|pin| pin.kind == kind).collect())
}

/// The version to request from `rig.py`: the pinned one, or the suite's current one.
fn spec(pin: &Pin, is_pinned: bool) -> String {
    let [_, spec] = pin.request();
    if is_pinned { spec } else { pin.suite.clone() }
}

struct Options {
    kernels: Vec<Pin>,
    pinned: bool,
    keep: Option<PathBuf>,
}

impl Options {
    fn parse(words: &[String]) -> Result<Self, Why> {
        let mut options = Self { kernels: Vec::new(), pinned: true, keep: None };
        let kernels = pinned(pins::Kind::Kernel)?;
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--unpinned" => options.pinned = false,
                "--keep" => {
                    let directory = words.next().ok_or_else(|| Why::new("--keep: no directory"))?;
                    options.keep = Some(directory.into());
                }
                name => {
                    let known = || kernels.iter().map(|kernel| &*kernel.name).collect::<Vec<_>>().join(", ");
                    let kernel = kernels.iter().find(|kernel| kernel.name == name);
                    options.kernels.push(kernel.cloned().ok_or_else(|| {
                        Why::new(format!("no kernel {name:?} in tools/pins; there are {}", known()))
                    })?);
                }
            }
        }
        if options.kernels.is_empty() {
            options.kernels = kernels;
        }
        Ok(options)
    }
}

/// What goes into every guest, and a directory for its results.
struct Tools {
    rig: PathBuf,
    scratch: PathBuf,
    /// `SOURCE:DESTINATION` of each file in the guest.
    files: Vec<OsString>,
    plan: Plan,
}

impl Drop for Tools {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.scratch);
    }
}

impl Tools {
    fn prepare(options: &Options) -> Result<Self, Why> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/kernels");
        let scratch = std::env::temp_dir().join(format!("sockdiag-kernels-{}", std::process::id()));
        fs::create_dir_all(&scratch).map_err(|error| failed(&scratch, &error))?;
        let rig = folder.join("rig.py");
        let mut tools = Self { rig, scratch, files: Vec::new(), plan: Plan::default() };
        let [ss, sockdiag] = bench::build_shipped()?;
        tools.add(&ss, "/opt/ours/ss");
        tools.add(&sockdiag, "/opt/ours/sockdiag");
        tools.add(&bins::program("sockdiag-beside")?, "/bin/sockdiag-beside");
        tools.add(&bins::program(brief::PROGRAM)?, "/bin/sockdiag-brief");
        tools.add(&folder.join("gen/zoo-net.sh"), "/root/zoo-net.sh");
        let zoo = ("zoo.c", &["-static", "-pthread"][..]);
        for ((source, flags), place) in [(zoo, "/bin/zoo"), (tap::TAP, "/lib/nltap.so")] {
            tools.add(&tap::compile(source, flags, &tools.scratch)?, place);
        }
        tools.plan.programs.push(("ours".to_owned(), vec!["/opt/ours/ss".to_owned()]));
        for judge in pinned(pins::Kind::Reference)? {
            let spec = spec(&judge, options.pinned);
            let directory = tools.ask(&["iproute2", &spec])?;
            let place = format!("/opt/{}", judge.name);
            tools.add(Path::new(&directory), &place);
            // The loader is named "ss" too, so that messages with the program's name match.
            tools.add(&Path::new(&directory).join("lib/ld-linux-x86-64.so.2"), &format!("{place}/as/ss"));
            let words = [
                &format!("{place}/as/ss"),
                "--library-path",
                &format!("{place}/lib"),
                "--argv0",
                "ss",
                &format!("{place}/bin/ss"),
            ];
            tools.plan.programs.push((judge.name, words.map(str::to_owned).to_vec()));
        }
        tools.plan.lines = lines();
        let plan = tools.scratch.join("plan");
        fs::write(&plan, tools.plan.to_string()).map_err(|error| failed(&plan, &error))?;
        tools.add(&plan, "/root/plan");
        Ok(tools)
    }

    fn add(&mut self, source: &Path, destination: &str) {
        let mut spec = source.as_os_str().to_owned();
        spec.push(":");
        spec.push(destination);
        self.files.push(spec);
    }

    /// What the rig prints, as one line.
    fn ask(&self, words: &[&str]) -> Result<String, Why> {
        let mut rig = Command::new(&self.rig);
        let printed = output(rig.args(words)).map_err(|why| {
            if why.to_string().contains(" any more; it has ") {
                Why::new(format!(
                    "{why}\nThe archive has moved on: `cargo xtask pins --move`, or go on with --unpinned"
                ))
            } else {
                why
            }
        })?;
        Ok(printed.trim_end().to_owned())
    }

    /// Compares on one kernel and prints the result; returns what is wrong.
    fn on(&self, kernel: &Pin, options: &Options) -> Result<Vec<String>, Why> {
        let spec = spec(kernel, options.pinned);
        let directory = self.ask(&["kernel", &spec])?;
        let release = Path::new(&directory).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let out = match &options.keep {
            Some(keep) => keep.join(&kernel.name),
            None => self.scratch.join(&kernel.name),
        };
        let (results, closings) = (out.join("results"), out.join("closings"));
        // Remove the results of an earlier run.
        let _ = fs::remove_file(&results);
        let _ = fs::remove_file(&closings);
        let begun = Instant::now();
        let mut rig = Command::new(&self.rig);
        rig.args(["run", "-k", &spec, "-t", GUEST_SECONDS, "--mem", "768", "-o"]).arg(&out);
        for file in &self.files {
            rig.arg("-f").arg(file);
        }
        let ran = output(rig.arg(self.rig.with_file_name("scenario-beside.sh")));
        let seconds = begun.elapsed().as_secs();
        // Even after a failure, the guest's partial results show how far it came.
        let bytes = match (fs::read(&results), &ran) {
            (Ok(bytes), _) => bytes,
            (Err(_), Err(why)) => return Err(why.clone()),
            (Err(error), Ok(_)) => return Err(failed(&results, &error)),
        };
        let (text, mut wrong) = self.judge(kernel, &Run::decode_all(&bytes)?);
        if let Err(why) = ran {
            wrong.insert(0, why.to_string());
        }
        let closings = fs::read_to_string(&closings).unwrap_or_default();
        if closings.lines().next_back() != Some(brief::ADDS_UP) {
            wrong.push("the closings reported by `sockdiag watch` do not add up".to_owned());
        }
        println!("== {} ({release}): {seconds} s\n{text}{closings}", kernel.name);
        Ok(wrong)
    }

    /// The report of a kernel, and what is wrong.
    fn judge(&self, kernel: &Pin, runs: &[Run]) -> (String, Vec<String>) {
        let mut by_line: BTreeMap<usize, Vec<&Run>> = BTreeMap::new();
        for run in runs {
            by_line.entry(run.line).or_default().push(run);
        }
        let (mut text, mut wrong) = (String::new(), Vec::new());
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let mut explained: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut differing = 0;
        for (index, line) in self.plan.lines.iter().enumerate() {
            let verdict = by_line.get(&index).map_or(Verdict::Absent, |runs| Verdict::of(line, runs));
            *counts.entry(verdict.name()).or_default() += 1;
            match verdict {
                Verdict::Same { .. } | Verdict::Alone => {}
                Verdict::Meant { compat, .. } => explained.entry(compat).or_default().push(line.to_string()),
                Verdict::Differs(what) => {
                    differing += 1;
                    let _ = writeln!(text, "DIFFERS {line}\n{what}");
                }
                Verdict::Unsettled(what) => {
                    differing += 1;
                    let _ = writeln!(text, "THE REFERENCE DIFFERS FROM ITSELF {line}\n{what}");
                }
                Verdict::Absent => differing += 1,
            }
        }
        if differing > 0 {
            wrong.push(format!("{differing} lines of {} are not shown to agree", self.plan.lines.len()));
        }
        let all: Vec<String> = counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
        let _ = writeln!(text, "lines: {}", all.join(", "));
        for (compat, lines) in explained {
            let _ = writeln!(
                text,
                "on purpose (COMPAT.md, {compat}): {} lines, such as {}",
                lines.len(),
                lines[0]
            );
        }
        let census: String = CENSUS
            .iter()
            .filter_map(|(_, text)| self.runs_of(&by_line, text)?.iter().find(|run| run.who == Who::Before))
            .map(|run| String::from_utf8_lossy(&run.outcome.stdout))
            .collect();
        report_kinds(kernel, KINDS, &census, &mut text, &mut wrong);
        let census: String = ALONE
            .iter()
            .take(1)
            .filter_map(|text| self.runs_of(&by_line, text)?.iter().find(|run| run.who == Who::Ours))
            .map(|run| String::from_utf8_lossy(&run.outcome.stdout))
            .collect();
        report_kinds(kernel, OURS, &census, &mut text, &mut wrong);
        self.shortcuts(&by_line, &mut text, &mut wrong);
        (text, wrong)
    }

    /// The runs of the line with this text.
    fn runs_of<'r>(&self, by_line: &'r BTreeMap<usize, Vec<&'r Run>>, text: &str) -> Option<&'r [&'r Run]> {
        let index = self.plan.lines.iter().position(|line| line.words.join(" ") == text)?;
        by_line.get(&index).map(Vec::as_slice)
    }

    fn shortcuts(&self, by_line: &BTreeMap<usize, Vec<&Run>>, text: &mut String, wrong: &mut Vec<String>) {
        for shortcut in SHORTCUTS {
            let missed: Vec<&str> = shortcut
                .lines
                .iter()
                .filter(|wanted| {
                    let runs = self.runs_of(by_line, wanted).unwrap_or_default();
                    let tapped = runs.iter().find(|run| run.who == Who::Tapped);
                    !tapped.is_some_and(|run| shortcut.taken(&run.traffic))
                })
                .copied()
                .collect();
            if missed.is_empty() {
                let _ = writeln!(text, "shortcut taken: {} ({} lines)", shortcut.name, shortcut.lines.len());
            } else {
                wrong.push(format!("shortcut not taken: {} on {}", shortcut.name, missed.join(", ")));
            }
        }
    }
}

/// Reports which kinds the census shows; an expected kind that is missing is an error.
fn report_kinds(kernel: &Pin, kinds: &[Kind], census: &str, text: &mut String, wrong: &mut Vec<String>) {
    let (mut present, mut absent) = (Vec::new(), Vec::new());
    for kind in kinds {
        match (kind.count(census), kind.lacks(&kernel.name)) {
            (0, None) => wrong.push(format!("{} expected, none present", kind.name)),
            (0, Some(why)) => absent.push(format!("{} ({why})", kind.name)),
            (count, None) => present.push(format!("{} {count}", kind.name)),
            (count, Some(why)) => {
                present.push(format!("{} {count}", kind.name));
                wrong.push(format!("{} is there, although {why}: edit kinds.rs", kind.name));
            }
        }
    }
    let _ = writeln!(text, "kinds: {}", present.join(", "));
    if !absent.is_empty() {
        let _ = writeln!(text, "not on this kernel: {}", absent.join(", "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options, Why> {
        Options::parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn kernels_are_picked_by_name() {
        let options = parse("--unpinned 6.12 --keep /x 5.10").unwrap();
        assert_eq!(options.kernels.iter().map(|kernel| &*kernel.name).collect::<Vec<_>>(), ["6.12", "5.10"]);
        assert!(!options.pinned);
        assert_eq!(options.keep, Some("/x".into()));
        assert!(parse("").unwrap().kernels.len() > 3);
        assert!(parse("3.2").is_err_and(|why| why.to_string().contains("5.10, 6.1")));
        assert!(parse("--keep").is_err());
    }

    #[test]
    fn an_empty_guest_is_a_failure() {
        let plan = Plan { programs: Vec::new(), lines: lines() };
        let tools = Tools { rig: PathBuf::new(), scratch: "/nonexistent".into(), files: Vec::new(), plan };
        let kernel = pins::of(pins::Kind::Kernel, "6.12").unwrap();
        let (text, wrong) = tools.judge(&kernel, &[]);
        let wrong = wrong.join("\n");
        assert!(wrong.contains("vsock expected, none present"), "{wrong}");
        assert!(wrong.contains("shortcut not taken: one walk"), "{wrong}");
        assert!(wrong.contains("are not shown to agree") && text.contains("absent"), "{wrong}\n{text}");
    }
}
