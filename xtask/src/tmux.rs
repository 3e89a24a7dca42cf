//! A program in a tmux terminal, in a network namespace.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use sockdiag_testkit::Why;
use sockdiag_testkit::netns::Namespace;

/// The number of servers started so far, to give each its own name.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A tmux server with one terminal; dropping it ends both.
pub(crate) struct Tmux<'n> {
    namespace: &'n Namespace,
    socket: PathBuf,
    pid: u32,
}

impl<'n> Tmux<'n> {
    /// Runs a shell command in a terminal with this many columns and lines.
    pub(crate) fn start(namespace: &'n Namespace, size: (u16, u16), shell: &str) -> Result<Self, Why> {
        let name = format!("sockdiag-tmux-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut tmux = Self { namespace, socket: std::env::temp_dir().join(name), pid: 0 };
        let (width, height) = (size.0.to_string(), size.1.to_string());
        tmux.does(&["-f", "/dev/null", "new-session", "-d", "-x", &width, "-y", &height, shell])?;
        let pid = tmux.does(&["display-message", "-p", "#{pane_pid}"])?;
        tmux.pid = pid.trim().parse().map_err(|_| Why::new("tmux tells no process"))?;
        Ok(tmux)
    }

    /// Runs a tmux command; returns its output.
    pub(crate) fn does(&self, words: &[&str]) -> Result<String, Why> {
        let mut command = self.namespace.command("tmux");
        command.arg("-S").arg(&self.socket).args(words).stdin(Stdio::null());
        // A NO_COLOR of the caller must not apply to this terminal.
        command.env("TERM", "xterm-256color").env_remove("TMUX").env_remove("NO_COLOR");
        let failed = |error: io::Error| Why::new(format!("running tmux: {error}"));
        let out = command.output().map_err(failed)?;
        if !out.status.success() {
            return Err(Why::new(format!("tmux: {}", String::from_utf8_lossy(&out.stderr).trim_end())));
        }
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    }

    /// The process that was started.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        let _ = self.does(&["kill-server"]);
        let _ = std::fs::remove_file(&self.socket);
    }
}
