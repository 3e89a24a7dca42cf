//! The programs and their accompanying files, below a directory laid out like an install
//! prefix.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sockdiag_testkit::Why;

use super::{checks, failed, make_directory};
use crate::bench::{build_alone, build_shipped};
use crate::install::install;

/// Files below a directory.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    pub(super) root: PathBuf,
    /// File names relative to `root`, sorted.
    pub(super) files: Vec<String>,
}

impl Tree {
    /// The dynamically linked programs and their accompanying files.
    pub(super) fn shared(root: &Path, third_parties: &str) -> Result<Self, Why> {
        let [ours, sockdiag] = build_shipped()?;
        checks::shared(&ours)?;
        checks::shared(&sockdiag)?;
        install(root, &ours, &sockdiag, third_parties)?;
        Self::of(root)
    }

    /// The statically linked programs, with the same accompanying files.
    pub(super) fn alone(root: &Path, shared: &Self) -> Result<Self, Why> {
        let [ours, sockdiag] = build_alone()?;
        for name in &shared.files {
            let to = root.join(name);
            make_directory(to.parent().unwrap_or(root))?;
            fs::copy(shared.root.join(name), &to).map_err(failed(&to))?;
        }
        for (built, name) in [(ours, "bin/ss"), (sockdiag, "bin/sockdiag")] {
            checks::alone(&built)?;
            let to = root.join(name);
            fs::copy(built, &to).map_err(failed(&to))?;
        }
        Self::of(root)
    }

    fn of(root: &Path) -> Result<Self, Why> {
        let mut files = Vec::new();
        list(root, root, &mut files).map_err(failed(root))?;
        files.sort();
        Ok(Self { root: root.to_owned(), files })
    }
}

/// Whether a file is executable.
pub(super) fn is_program(name: &str) -> bool {
    name.starts_with("bin/")
}

fn list(root: &Path, directory: &Path, files: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            list(root, &path, files)?;
        } else if let Some(name) = path.strip_prefix(root).ok().and_then(Path::to_str) {
            files.push(name.to_owned());
        }
    }
    Ok(())
}
