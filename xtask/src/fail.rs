//! Error messages about files and programs.

use std::io;
use std::path::Path;
use std::process::Command;

use sockdiag_testkit::Why;

/// The error for a file that could not be read, created or written.
pub(crate) fn failed(path: &Path, error: &io::Error) -> Why {
    Why::new(format!("{}: {error}", path.display()))
}

/// Runs a command and returns its output.
pub(crate) fn output(command: &mut Command) -> Result<String, Why> {
    let name = command.get_program().to_string_lossy().into_owned();
    let out = command.output().map_err(|error| Why::new(format!("{name}: {error}")))?;
    if out.status.success() {
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    } else {
        let said = String::from_utf8_lossy(&out.stderr);
        Err(Why::new(format!("{name}: {}: {}", out.status, said.trim_end())))
    }
}
