//! Records the netlink traffic of a program, with a preloaded library.
//!
//! Invariant: a recording that is cut off contains everything before the cut.
//!
//! Source: head of tools/kernels/gen/nltap.c.

#![allow(clippy::cast_possible_truncation, reason = "small, known numbers; each cast is meant")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sockdiag_testkit::Why;
use sockdiag_wire::bytes::{u16_at, u32_at};

use crate::bench::printed;
use crate::fail::{failed, output};

/// Length of the header before each datagram.
const HEAD: usize = 20;
const SOCK_DIAG: u16 = 4;

/// The direction of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Sent,
    Received,
}

/// The datagrams of sock_diag sockets, in order.
pub(crate) fn datagrams(recording: &[u8]) -> impl Iterator<Item = (Way, &[u8])> {
    let mut rest = recording;
    let records = std::iter::from_fn(move || {
        let (head, after) = rest.split_at_checked(HEAD)?;
        let (datagram, after) = after.split_at_checked(u32_at(head, 16)? as usize)?;
        rest = after;
        Some((head, datagram))
    });
    records.filter(|(head, _)| u16_at(head, 6) == Some(SOCK_DIAG)).filter_map(|(head, datagram)| {
        match head.get(4) {
            Some(b'S') => Some((Way::Sent, datagram)),
            Some(b'R') => Some((Way::Received, datagram)),
            _ => None,
        }
    })
}

/// Compiles the recorder, or another of the rig's C sources, into a directory.
pub(crate) fn compile(source: &str, flags: &[&str], into: &Path) -> Result<PathBuf, Why> {
    let built = into.join(source).with_extension("bin");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/kernels/gen");
    let mut compiler = Command::new("cc");
    compiler.arg("-O1").args(flags).arg("-o").arg(&built).arg(folder.join(source));
    output(&mut compiler)?;
    Ok(built)
}

/// The recorder's source and its compiler flags.
pub(crate) const TAP: (&str, &[&str]) = ("nltap.c", &["-shared", "-fPIC"]);

/// A directory with the recorder, removed in the end.
pub(crate) struct Tapped {
    directory: PathBuf,
    library: PathBuf,
}

impl Tapped {
    /// Compiles the recorder for a chore.
    pub(crate) fn new(chore: &str) -> Result<Self, Why> {
        let directory = std::env::temp_dir().join(format!("sockdiag-{chore}-{}", std::process::id()));
        fs::create_dir_all(&directory).map_err(|error| failed(&directory, &error))?;
        let (source, flags) = TAP;
        let mut tapped = Self { library: PathBuf::new(), directory };
        tapped.library = compile(source, flags, &tapped.directory)?;
        Ok(tapped)
    }

    /// The directory, where the caller may put more files.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Runs a program; returns its output and the recording of its traffic.
    pub(crate) fn run(&self, command: &mut Command) -> Result<(String, Vec<u8>), Why> {
        let recording = self.directory.join("datagrams");
        let _ = fs::remove_file(&recording);
        let text = printed(command.env("LD_PRELOAD", &self.library).env("NLTAP_FILE", &recording))?;
        let bytes = fs::read(&recording).map_err(|error| failed(&recording, &error))?;
        Ok((text, bytes))
    }
}

impl Drop for Tapped {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

#[cfg(test)]
pub(crate) fn record(way: u8, datagram: &[u8]) -> Vec<u8> {
    let mut bytes = b"NLT1".to_vec();
    bytes.extend_from_slice(&[way, 0, SOCK_DIAG as u8, 0]);
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&(datagram.len() as u32).to_ne_bytes());
    bytes.extend_from_slice(datagram);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_are_told_by_their_way_up_to_where_a_recording_is_cut() {
        let mut bytes = [record(b'O', b""), record(b'S', b"one"), record(b'R', b"two")].concat();
        let all = [(Way::Sent, &b"one"[..]), (Way::Received, b"two")];
        assert_eq!(datagrams(&bytes).collect::<Vec<_>>(), all);
        bytes.extend(record(b'R', b"three"));
        bytes.pop();
        assert_eq!(datagrams(&bytes).collect::<Vec<_>>(), all);
        bytes[HEAD + 6] = 0;
        assert_eq!(datagrams(&bytes).count(), 1, "another kind of netlink");
    }
}
