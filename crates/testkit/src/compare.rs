//! Runs the same command line through the reference and through ours.
//!
//! Both get argument 0 `ss` (messages about options begin with it), an environment of `PATH`
//! and the case's variables, and the case's standard input or none.  The reference runs first
//! *and last*: if its two outputs differ, the case is run again, and if they keep differing
//! the test is wrong, and ours is not judged by it.
//!
//! Output to a terminal goes through a pseudo-terminal that does not translate line ends.

mod differ;
mod exec;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use crate::Why;
use crate::netns::Namespace;
use crate::reference::Reference;

pub use differ::{Difference, Part};
pub use exec::{Ended, Outcome, run};

/// A command line and its environment.
#[derive(Clone, Debug, Default)]
pub struct Case<'a> {
    /// Arguments after argument 0.
    pub args: Vec<OsString>,
    /// The environment, besides `PATH`.
    pub env: Vec<(OsString, OsString)>,
    /// Columns of the terminal that is standard output; absent for a pipe.
    pub width: Option<u16>,
    /// Whether standard error is a terminal too, instead of a pipe.
    pub errors_to_terminal: bool,
    /// The content of standard input; absent for `/dev/null`.
    pub stdin: Option<Vec<u8>>,
    /// The namespace to run in; absent for an empty namespace of this process, so that the
    /// machine's other sockets are not listed.
    pub namespace: Option<&'a Namespace>,
    /// If `namespace` is absent: whether to run in the test's own namespace.
    pub here: bool,
    /// Netlink protocols whose sockets seccomp refuses to the program.
    pub refused: &'a [u32],
    /// Masks what differs from run to run, in both outputs.
    pub blot: Option<fn(&mut Vec<u8>)>,
}

impl<'a> Case<'a> {
    /// A case with these arguments and defaults.
    pub fn new<S: AsRef<OsStr>>(args: &[S]) -> Self {
        Self { args: args.iter().map(|arg| arg.as_ref().to_owned()).collect(), ..Self::default() }
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// Makes standard output a terminal of this many columns.
    #[must_use]
    pub fn width(mut self, columns: u16) -> Self {
        self.width = Some(columns);
        self
    }

    /// Makes standard error a terminal.
    #[must_use]
    pub fn errors_to_terminal(mut self) -> Self {
        self.errors_to_terminal = true;
        self
    }

    /// Sets the content of standard input.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Runs the case in a namespace.
    #[must_use]
    pub fn inside(mut self, namespace: &'a Namespace) -> Self {
        self.namespace = Some(namespace);
        self
    }

    /// Makes seccomp refuse netlink sockets of these protocols.
    #[must_use]
    pub fn refuse(mut self, protocols: &'a [u32]) -> Self {
        self.refused = protocols;
        self
    }

    /// Runs the case in the test's own namespace, among the machine's other sockets.
    #[must_use]
    pub fn here(mut self) -> Self {
        self.here = true;
        self
    }

    /// Masks both outputs with this function before they are compared.
    #[must_use]
    pub fn blot(mut self, blot: fn(&mut Vec<u8>)) -> Self {
        self.blot = Some(blot);
        self
    }
}

impl<'a> Case<'a> {
    /// The namespace to run in.  If an empty one cannot be made, the case runs in the test's
    /// own namespace.
    fn place(&self) -> Option<&'a Namespace> {
        static EMPTY: LazyLock<Option<Namespace>> = LazyLock::new(|| Namespace::new().ok());
        self.namespace.or_else(|| if self.here { None } else { EMPTY.as_ref() })
    }
}

impl Case<'_> {
    /// Whether the case lists holders of sockets from the real /proc, not from a made-up
    /// `PROC_ROOT`.
    fn asks_for_holders(&self) -> bool {
        let asks = |arg: &OsString| {
            let text = arg.to_string_lossy();
            let long = text.starts_with("--pro") && "--processes".starts_with(&*text);
            long || text.contains("socket.processes")
                || (text.starts_with('-') && !text.starts_with("--") && text.contains('p'))
        };
        self.args.iter().any(asks) && !self.env.iter().any(|(name, _)| name == "PROC_ROOT")
    }

    /// Whether an argument could be read as `-K` or a beginning of `--kill`:
    /// such a case may only run in a namespace of its own.
    fn may_kill(&self) -> bool {
        self.args.iter().any(|arg| {
            let text = arg.to_string_lossy();
            let long = text.len() > 2 && "--kill".starts_with(&*text);
            long || (text.starts_with('-') && !text.starts_with("--") && text.contains('K'))
        })
    }
}

/// The command line as typed, with the rest of the case in brackets.
impl fmt::Display for Case<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.env {
            write!(f, "{}={} ", name.display(), quoted(value))?;
        }
        f.write_str("ss")?;
        for arg in &self.args {
            write!(f, " {}", quoted(arg))?;
        }
        if let Some(width) = self.width {
            write!(f, " [{width} columns]")?;
        }
        if self.errors_to_terminal {
            f.write_str(" [stderr a terminal]")?;
        }
        if !self.refused.is_empty() {
            write!(f, " [no netlink of {:?}]", self.refused)?;
        }
        if let Some(stdin) = &self.stdin {
            write!(f, " [stdin {:?}]", stdin.escape_ascii().to_string())?;
        }
        if self.namespace.is_some() {
            f.write_str(" [in a namespace]")?;
        }
        Ok(())
    }
}

fn quoted(word: &OsStr) -> String {
    let text = word.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "-_=.,:/%@+".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text.into_owned() } else { format!("{text:?}") }
}

/// How often a case is run while the reference differs from itself.  The order of a table that
/// all namespaces share (netlink's) changes when other programs open sockets; what depends on
/// the clock differs every time.
const TRIES: usize = 3;

/// The result of many cases.
#[derive(Debug, Default)]
pub struct Report {
    /// Cases in which both gave the same bytes and the same status.
    pub agreed: usize,
    /// How often a case was run again because the reference differed from itself.
    pub repeated: usize,
    /// Cases in which ours differs.
    pub differed: Vec<Finding<Difference>>,
    /// Cases in which the reference differs from itself: wrong tests.
    pub wrong_tests: Vec<Finding<Difference>>,
    /// Cases in which the reference crashed or did not end: nothing to compare with, but ours
    /// still had to exit by itself.
    pub reference_failed: Vec<Finding<Ended>>,
}

/// A case and what was found.
#[derive(Clone, Debug)]
pub struct Finding<T> {
    /// The command line.
    pub case: String,
    /// What was found.
    pub what: T,
}

impl Report {
    /// Whether every case agreed.
    pub fn is_clean(&self) -> bool {
        self.differed.is_empty() && self.wrong_tests.is_empty() && self.reference_failed.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} agreed ({} runs again), {} differed, {} wrong tests, {} where the reference failed",
            self.agreed,
            self.repeated,
            self.differed.len(),
            self.wrong_tests.len(),
            self.reference_failed.len()
        )?;
        for finding in &self.differed {
            writeln!(f, "\nDIFFERS {}\n{}", finding.case, finding.what)?;
        }
        for finding in &self.wrong_tests {
            writeln!(
                f,
                "\nWRONG TEST (the reference differs from itself) {}\n{}",
                finding.case, finding.what
            )?;
        }
        for finding in &self.reference_failed {
            writeln!(f, "\nREFERENCE FAILED ({}) {}", finding.what, finding.case)?;
        }
        Ok(())
    }
}

/// Runs each case through the reference, ours and the reference again.
///
/// An error means that nothing could be compared (no reference, no program), never that
/// outputs differed.
pub fn run_cases<'a>(cases: impl IntoIterator<Item = Case<'a>>, ours: &Path) -> Result<Report, Why> {
    let reference = Reference::get()?;
    let mut report = Report::default();
    for case in cases {
        assert!(
            case.namespace.is_some() || !case.may_kill(),
            "{case}: would close this machine's connections"
        );
        report.add(&case, &|| reference.command(), &|| Command::new(ours))?;
    }
    Ok(report)
}

impl Report {
    fn add(
        &mut self,
        case: &Case<'_>,
        reference: &dyn Fn() -> Command,
        ours: &dyn Fn() -> Command,
    ) -> Result<(), Why> {
        for last in (1..=TRIES).map(|number| number == TRIES) {
            if self.judge(case, last, reference, ours)? {
                break;
            }
            self.repeated += 1;
        }
        Ok(())
    }

    /// Runs a case once; false if the reference differs from itself and may be tried again.
    fn judge(
        &mut self,
        case: &Case<'_>,
        last: bool,
        reference: &dyn Fn() -> Command,
        ours: &dyn Fn() -> Command,
    ) -> Result<bool, Why> {
        let before = run(reference(), case)?;
        let answers = searches(case)
            .into_iter()
            .map(|case| Ok((case.to_string(), run(ours(), &case)?)))
            .collect::<Result<Vec<_>, Why>>()?;
        let name = case.to_string();
        if !matches!(before.ended, Ended::Exit(_)) {
            // The reference gives nothing to compare with, but ours must not crash either.
            match answers.into_iter().find(|(_, answer)| !matches!(answer.ended, Ended::Exit(_))) {
                None => self.reference_failed.push(Finding { case: name, what: before.ended }),
                Some((case, answer)) => {
                    let what = Difference::ended(before.ended, answer.ended);
                    self.differed.push(Finding { case, what });
                }
            }
            return Ok(true);
        }
        let after = run(reference(), case)?;
        if let Some(what) = Difference::between(&before, &after) {
            if last {
                self.wrong_tests.push(Finding { case: name, what });
            }
            return Ok(last);
        }
        let mut differs = answers.iter().filter_map(|(case, answer)| {
            Some(Finding { case: case.clone(), what: Difference::between(&before, answer)? })
        });
        match differs.next() {
            Some(finding) => self.differed.push(finding),
            None => self.agreed += 1,
        }
        Ok(true)
    }
}

/// The case once per method of finding holders (`SOCKDIAG_PROCESSES`), which must all give the
/// same result.  Root also tries the kernel's iterator, which reports on stderr if it is
/// unavailable.  A case that lists no holders is returned unchanged.
pub fn searches<'a>(case: &Case<'a>) -> Vec<Case<'a>> {
    if !case.asks_for_holders() {
        return vec![case.clone()];
    }
    let ways: &[&str] = if rustix::process::geteuid().is_root() { &["proc", "bpf"] } else { &["proc"] };
    ways.iter().map(|way| case.clone().env("SOCKDIAG_PROCESSES", way)).collect()
}

/// Runs ours with every search method and returns their common outcome.
pub fn run_every_search(ours: &Path, case: &Case<'_>) -> Result<Outcome, Why> {
    let mut agreed: Option<Outcome> = None;
    for case in searches(case) {
        let outcome = run(Command::new(ours), &case)?;
        if let Some(what) = agreed.as_ref().and_then(|agreed| Difference::between(agreed, &outcome)) {
            return Err(Why::new(format!("holders differ with the way to find them: {case}\n{what}")));
        }
        agreed = Some(outcome);
    }
    agreed.ok_or_else(|| Why::new("no way to run it"))
}

/// Fails the test unless ours and the reference agree.
///
/// # Panics
///
/// With the command line and the first line that differs.
#[track_caller]
pub fn assert_same(case: Case<'_>, ours: &Path) {
    match run_cases([case], ours) {
        Ok(report) if report.is_clean() => {}
        Ok(report) => panic!("{report}"),
        Err(why) => panic!("{why}"),
    }
}

#[cfg(test)]
mod tests;
