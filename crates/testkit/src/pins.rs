//! The packages that tests take from Debian's archive, listed in `tools/pins`.
//!
//! One line per package: kind, name, suite, package, version.  `tools/reference-ss`, `cargo
//! xtask kernels` and the check of the kernel's headers read that file and contain no version
//! themselves.  `SOCKDIAG_PINS` names another file of the same format.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Doing, Why};

/// What a package is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// iproute2, whose `ss` is the reference.
    Reference,
    /// The kernel's headers.
    Headers,
    /// A kernel to boot.
    Kernel,
}

impl Kind {
    const WORDS: [(Self, &str); 3] =
        [(Self::Reference, "reference"), (Self::Headers, "headers"), (Self::Kernel, "kernel")];

    /// The word for it in the file.  Except for the reference, it is also the `rig.py` command
    /// that fetches it.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, word)| word)
    }
}

/// A package of exactly one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// What it is used for.
    pub kind: Kind,
    /// Our name for it: a suite, or the first part of a kernel's release.
    pub name: String,
    /// The Debian suite that it comes from.
    pub suite: String,
    /// The package.
    pub package: String,
    /// Its version.
    pub version: String,
}

impl Pin {
    /// The version without Debian's revision, as the program itself prints it.
    pub fn upstream(&self) -> &str {
        self.version.rsplit_once('-').map_or(&self.version, |(upstream, _)| upstream)
    }

    /// The command of `tools/kernels/rig.py` that fetches it.
    pub fn request(&self) -> [String; 2] {
        let Self { suite, package, version, .. } = self;
        match self.kind {
            Kind::Reference => ["iproute2".to_owned(), format!("{suite}={version}")],
            Kind::Headers => ["headers".to_owned(), format!("{suite}={version}")],
            Kind::Kernel => ["kernel".to_owned(), format!("{suite}:{package}={version}")],
        }
    }

    /// The message of `rig.py` when the suite has dropped the package, without the list of
    /// versions that it offers instead.
    pub fn gone(&self) -> String {
        format!("{} has no {}={} any more", self.suite, self.package, self.version)
    }
}

/// Where the file is.
pub fn path() -> PathBuf {
    std::env::var_os("SOCKDIAG_PINS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/pins"), PathBuf::from)
}

/// All pins, in the order of the file.
pub fn all() -> Result<Vec<Pin>, Why> {
    let path = path();
    parse(&fs::read_to_string(&path).doing(path.display())?)
}

/// The pin of that kind and name.
pub fn of(kind: Kind, name: &str) -> Result<Pin, Why> {
    let found = all()?.into_iter().find(|pin| pin.kind == kind && pin.name == name);
    found.ok_or_else(|| Why::new(format!("{} has no {} {name}", path().display(), kind.word())))
}

/// Parses the file's text.
pub fn parse(text: &str) -> Result<Vec<Pin>, Why> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [kind, name, suite, package, version] = words.as_slice() else {
                return Err(Why::new(format!("tools/pins: not five words: {line}")));
            };
            let known = Kind::WORDS.iter().find(|(_, word)| word == kind);
            let (kind, _) = known.ok_or_else(|| Why::new(format!("tools/pins: no kind {kind}: {line}")))?;
            let [name, suite, package, version] =
                [name, suite, package, version].map(|word| (*word).to_owned());
            Ok(Pin { kind: *kind, name, suite, package, version })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_name_what_they_say() {
        let pins = all().unwrap();
        for kind in [Kind::Reference, Kind::Headers, Kind::Kernel] {
            assert!(pins.iter().any(|pin| pin.kind == kind), "no {kind:?}");
        }
        for pin in &pins {
            let Pin { kind, name, suite, package, version } = pin;
            match kind {
                Kind::Reference => assert_eq!((name, package.as_str()), (suite, "iproute2")),
                Kind::Headers => assert_eq!(package, "linux-libc-dev"),
                Kind::Kernel => {
                    assert!(version.starts_with(&format!("{name}.")), "{pin:?}");
                    assert!(package.starts_with(&format!("linux-image-{name}.")), "{pin:?}");
                }
            }
            assert_eq!(pins.iter().filter(|other| (other.kind, &other.name) == (*kind, name)).count(), 1);
        }
    }

    #[test]
    fn a_pin_is_asked_for_and_missed_by_its_version() {
        let text =
            "# a comment\n\nkernel 6.12 trixie linux-image-x 6.12.1-1\nreference sid sid iproute2 7.3.0-1\n";
        let pins = parse(text).unwrap();
        assert_eq!(pins[0].request(), ["kernel", "trixie:linux-image-x=6.12.1-1"]);
        assert_eq!(pins[1].request(), ["iproute2", "sid=7.3.0-1"]);
        assert_eq!(pins[1].upstream(), "7.3.0");
        assert_eq!(pins[0].gone(), "trixie has no linux-image-x=6.12.1-1 any more");
        for wrong in ["kernel 6.12 trixie", "kernels a b c d"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
