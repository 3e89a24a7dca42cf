//! Checksums.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use sockdiag_testkit::Why;

use super::failed;

/// The SHA-256 of bytes, in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Writes the checksums of all files, in the format of `sha256sum -c`.
pub(super) fn write(directory: &Path, files: &[PathBuf]) -> Result<PathBuf, Why> {
    let mut lines = Vec::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        lines.push(format!("{}  {name}\n", sha256(&fs::read(file).map_err(failed(file))?)));
    }
    let path = directory.join("SHA256SUMS");
    fs::write(&path, lines.concat()).map_err(failed(&path))?;
    Ok(path)
}
