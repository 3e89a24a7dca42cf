//! Runs a test in its own network, mounts, processes and /proc, so that `all` namespaces
//! are only those that it made.
//!
//! The test binary runs again in there, for one test that is ignored otherwise.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use sockdiag::notice::Notice;
use sockdiag_testkit::netns::Namespace;
use sockdiag_testkit::skip;

/// Set for the test that runs inside.
const INSIDE: &str = "SOCKDIAG_TEST_WORLD";

/// Runs the ignored test of this name in a world of its own; without `own_processes`, only
/// the network and the mounts are its own.
pub(crate) fn run(namespace: &Namespace, test: &str, own_processes: bool) {
    let exe = std::env::current_exe().expect("the running program");
    let mut command: Command;
    if own_processes {
        command = namespace.command("unshare");
        command.args(["--pid", "--fork", "--kill-child", "--mount-proc", "--"]).arg(exe);
    } else {
        command = namespace.command(exe);
    }
    command.args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"]);
    let out = command.env(INSIDE, "1").stdin(Stdio::null()).output();
    let out = match out {
        Ok(out) => out,
        Err(error) => {
            skip::report(format_args!("there is no unshare: {error}"));
            return;
        }
    };
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (said(&out.stdout), said(&out.stderr));
    assert!(out.status.success() && stdout.contains("1 passed"), "{stdout}\n{stderr}");
    // Print these lines directly: the test harness hides the output of passing tests.
    let told = |line: &&str| line.starts_with("SKIP ") || line.starts_with("figures: ");
    for line in stderr.lines().filter(told) {
        let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
    }
}

/// Whether the test runs in a world of its own; elsewhere it would change the machine, so
/// it does nothing.
pub(crate) fn is_own() -> bool {
    if std::env::var_os(INSIDE).is_none() {
        return false;
    }
    // Names of namespaces are files that every world sees, so hide them.
    if Path::new("/run/netns").exists() {
        let hidden = Command::new("mount").args(["-t", "tmpfs", "none", "/run/netns"]).status();
        assert!(hidden.is_ok_and(|status| status.success()), "the mounts are this world's own");
    }
    true
}

/// Whether a notice only results from the world itself, where outside processes are not
/// seen.
pub(crate) fn is_said(notice: &Notice) -> bool {
    matches!(notice, Notice::NamespacesUnseen { why, .. } | Notice::HoldersHidden { why, .. } if why.inner)
}
