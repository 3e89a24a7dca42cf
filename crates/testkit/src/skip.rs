//! The only way to skip a test.
//!
//! A skipped test passes, so a skip must be visible.  Every skip prints a line `SKIP test:
//! reason` on stderr, appends it to the file that `SOCKDIAG_SKIP_LOG` names, and panics if
//! `SOCKDIAG_NO_SKIP=1` declares that this machine has everything.
//!
//! The exception is a package that Debian's archive has dropped, which the change under test
//! did not cause.  `SOCKDIAG_GONE` lists the packages known to be gone, one per line (`cargo
//! xtask pins --fetch` finds them), and a reason that names one does not panic.

use std::io::Write as _;
use std::sync::OnceLock;
use std::{fmt, fs, io, thread};

use crate::{Why, netns};

/// Skips the calling test, with a reason formatted as by `format!`.
///
/// ```no_run
/// # use sockdiag_testkit::{netns::Namespace, skip};
/// # fn test() {
/// let namespace = match Namespace::new() {
///     Ok(namespace) => namespace,
///     Err(why) => skip!("{why}"),
/// };
/// # }
/// ```
#[macro_export]
macro_rules! skip {
    ($($reason:tt)*) => {{
        $crate::skip::report(format_args!($($reason)*));
        return;
    }};
}

/// Reports that the running test (its thread's name) is skipped.
///
/// # Panics
///
/// If `SOCKDIAG_NO_SKIP` is `1`, or if the log cannot be written: an unrecorded skip would
/// look like a test that passed.
pub fn report(reason: impl fmt::Display) {
    let thread = thread::current();
    let test = thread.name().unwrap_or("(unnamed thread)");
    let line = line(test, reason);
    let allowed = std::env::var_os("SOCKDIAG_NO_SKIP").is_none_or(|v| v != "1");
    assert!(allowed || is_gone(&line), "{line}");
    // Writes directly: the test harness hides what a passing test prints.
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
    if let Some(path) = std::env::var_os("SOCKDIAG_SKIP_LOG") {
        let append = || -> io::Result<()> {
            let mut log = fs::OpenOptions::new().create(true).append(true).open(&path)?;
            log.write_all(format!("{line}\n").as_bytes())
        };
        append().unwrap_or_else(|error| panic!("SOCKDIAG_SKIP_LOG {}: {error}", path.display()));
    }
}

/// Whether a reason names a package that is known to be gone from the archive.
pub fn is_gone(reason: &str) -> bool {
    std::env::var("SOCKDIAG_GONE").is_ok_and(|gone| says_gone(&gone, reason))
}

fn says_gone(gone: &str, reason: &str) -> bool {
    gone.lines().any(|sentence| !sentence.is_empty() && reason.contains(sentence))
}

/// One line, even if the reason has several.
fn line(test: &str, reason: impl fmt::Display) -> String {
    format!("SKIP {test}: {reason}").replace('\n', " ")
}

/// How this process can make namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// It may unshare them directly: it has `CAP_SYS_ADMIN`.
    Root,
    /// It may become root in a user namespace of its own.
    UserNamespace,
}

/// How this process can make namespaces, or why it cannot; determined once.
pub fn privilege() -> Result<Privilege, Why> {
    static PRIVILEGE: OnceLock<Result<Privilege, Why>> = OnceLock::new();
    PRIVILEGE.get_or_init(netns::probe).clone()
}

/// [`privilege`], or `None` after reporting a skip.
pub fn need_root_or_userns() -> Option<Privilege> {
    privilege().inspect_err(|why| report(why)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_to_be_gone_may_be_missing() {
        let gone = "\nsid has no iproute2=7.3.0-1 any more\n";
        let reason = "no reference: rig: sid has no iproute2=7.3.0-1 any more; it has iproute2=7.4.0-1";
        assert!(says_gone(gone, reason));
        assert!(!says_gone("", reason) && !says_gone("\n\n", reason));
        assert!(!says_gone(gone, "no reference: rig: sid has no iproute2=7.3.0-2 any more"));
        assert!(!says_gone(gone, "cannot make a network namespace"));
    }

    #[test]
    fn a_skip_is_one_line_with_test_and_reason() {
        assert_eq!(line("a::b", "no\nroot"), "SKIP a::b: no root");
    }

    /// The environment belongs to the whole process, so the test runs this binary again to
    /// execute the probe below with a log of its own.
    #[test]
    fn a_skip_is_logged_and_can_be_forbidden() {
        let log = std::env::temp_dir().join(format!("sockdiag-skip-{}", std::process::id()));
        let run = |forbidden: &str, gone: &str| {
            std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "skip::tests::probe", "--include-ignored"])
                .env("SOCKDIAG_SKIP_LOG", &log)
                .env("SOCKDIAG_NO_SKIP", forbidden)
                .env("SOCKDIAG_GONE", gone)
                .output()
                .unwrap()
        };
        let allowed = run("0", "");
        assert!(allowed.status.success());
        assert!(String::from_utf8_lossy(&allowed.stderr).contains("SKIP skip::tests::probe: only a probe\n"));
        assert_eq!(fs::read_to_string(&log).unwrap(), "SKIP skip::tests::probe: only a probe\n");
        let forbidden = run("1", "");
        assert!(!forbidden.status.success());
        assert!(String::from_utf8_lossy(&forbidden.stdout).contains("only a probe"));
        let gone = run("1", "only a probe");
        fs::remove_file(&log).unwrap();
        assert!(gone.status.success());
    }

    #[test]
    #[ignore = "run by a_skip_is_logged_and_can_be_forbidden"]
    fn probe() {
        skip!("only a {}", "probe");
    }
}
