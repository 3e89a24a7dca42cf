//! Tarballs with an install script.
//!
//! Invariant: files in an archive are sorted by name, have the time of the commit, and belong
//! to root.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use sockdiag_testkit::Why;
use tar::{Builder, EntryType, Header};

use super::tree::{Tree, is_program};
use super::{Dist, failed};

/// The script that installs and removes.
const INSTALL: &str = include_str!("../../../packaging/install.sh");

/// The dynamically linked programs.
pub(super) fn shared(dist: &mut Dist) -> Result<PathBuf, Why> {
    let tree = dist.shared()?.clone();
    pack(dist, &tree, "x86_64")
}

/// The statically linked programs.
pub(super) fn of_static(dist: &mut Dist) -> Result<PathBuf, Why> {
    let tree = dist.alone()?.clone();
    pack(dist, &tree, "x86_64-static")
}

fn pack(dist: &Dist, tree: &Tree, kind: &str) -> Result<PathBuf, Why> {
    let path = dist.file(&format!("{kind}.tar.gz"));
    let top = format!("sockdiag-{}-{kind}", dist.version);
    let mut archive = Archive::new(dist.time);
    archive.directory(&top).map_err(failed(&path))?;
    archive.file(&format!("{top}/install.sh"), INSTALL.as_bytes(), true).map_err(failed(&path))?;
    for name in &tree.files {
        let bytes = fs::read(tree.root.join(name)).map_err(failed(&path))?;
        archive.file(&format!("{top}/{name}"), &bytes, is_program(name)).map_err(failed(&path))?;
    }
    let bytes = archive.end().and_then(|bytes| gzip(&bytes)).map_err(failed(&path))?;
    fs::write(&path, bytes).map_err(failed(&path))?;
    Ok(path)
}

/// Compresses without name and time, so that equal input gives equal output.
pub(super) fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(bytes)?;
    packed.finish()
}

/// A tar archive under construction.
pub(super) struct Archive {
    builder: Builder<Vec<u8>>,
    time: u64,
}

impl Archive {
    pub(super) fn new(time: u64) -> Self {
        Self { builder: Builder::new(Vec::new()), time }
    }

    pub(super) fn directory(&mut self, name: &str) -> std::io::Result<()> {
        let mut header = self.header(0o755, 0);
        header.set_entry_type(EntryType::Directory);
        self.builder.append_data(&mut header, format!("{name}/"), &[][..])
    }

    pub(super) fn file(&mut self, name: &str, bytes: &[u8], is_run: bool) -> std::io::Result<()> {
        let mut header = self.header(if is_run { 0o755 } else { 0o644 }, bytes.len() as u64);
        self.builder.append_data(&mut header, name, bytes)
    }

    fn header(&self, mode: u32, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_mode(mode);
        header.set_size(size);
        header.set_mtime(self.time);
        header.set_uid(0);
        header.set_gid(0);
        header
    }

    pub(super) fn end(self) -> std::io::Result<Vec<u8>> {
        self.builder.into_inner()
    }
}
