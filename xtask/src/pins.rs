//! `cargo xtask pins`: shows the versions that the tests take from Debian's archive
//! (`tools/pins`), and those that the archive has now.
//!
//! Invariant: only `--move` writes, and only to that file.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use sockdiag_testkit::Why;
use sockdiag_testkit::pins::{self, Kind, Pin};

use crate::fail::{failed, output};

/// What may follow the chore's name.
pub(crate) const WORDS: &str = "[--move | --fetch [KERNEL]...]";

/// The help text.
pub(crate) const DOC: &str = "\
Show which versions of the reference, the kernel's headers and the kernels the
tests take (tools/pins), and what the archive has now.
--move   write the archive's versions to tools/pins; then read what changed
--fetch  fetch the references, the headers and these kernels; print, a line
         each, what the archive has dropped, and fail for any other reason.";

/// The exit status of `rig.py` if the archive has dropped a version.
const GONE: i32 = 3;

/// Runs the chore.
pub(crate) fn run(words: &[String]) -> Result<(), Why> {
    match words.split_first() {
        None => show(),
        Some((word, [])) if word == "--move" => go_on(),
        Some((word, kernels)) if word == "--fetch" => fetch(kernels),
        _ => Err(Why::new(format!("pins knows {WORDS}"))),
    }
}

fn rig() -> Command {
    Command::new(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tools/kernels/rig.py"))
}

/// What the archive now has for a package.
struct Newest {
    package: String,
    version: String,
    /// Whether the archive still has the pinned version as well.
    kept: bool,
}

fn newest(pin: &Pin) -> Result<Newest, Why> {
    let said = output(rig().args(["newest", &pin.suite, &format!("{}={}", pin.package, pin.version)]))?;
    let mut lines = said.lines();
    let (package, version) = lines
        .next()
        .and_then(|line| line.split_once('='))
        .ok_or_else(|| Why::new(format!("rig.py said {said:?} of {}", pin.package)))?;
    let (package, version) = (package.to_owned(), version.to_owned());
    Ok(Newest { package, version, kept: lines.next() == Some("kept") })
}

fn show() -> Result<(), Why> {
    for pin in pins::all()? {
        let now = newest(&pin)?;
        let said = if (&now.package, &now.version) == (&pin.package, &pin.version) {
            "is what the archive has".to_owned()
        } else {
            let kept = if now.kept { "and this one too" } else { "and no longer this one" };
            format!("the archive has {}={}, {kept}", now.package, now.version)
        };
        println!(
            "{} {}: {}={} of {}: {said}",
            pin.kind.word(),
            pin.name,
            pin.package,
            pin.version,
            pin.suite
        );
    }
    Ok(())
}

fn go_on() -> Result<(), Why> {
    let path = pins::path();
    let mut text = fs::read_to_string(&path).map_err(|error| failed(&path, &error))?;
    let mut said = String::new();
    for pin in pins::all()? {
        let now = newest(&pin)?;
        let moved = moved(&pin, now.package, now.version);
        if moved != pin {
            let _ = writeln!(said, "{} {}: {} -> {}", pin.kind.word(), pin.name, pin.version, moved.version);
            if moved.name != pin.name {
                let _ =
                    writeln!(said, "  it is called {} now, in xtask/src/kernels/kinds.rs too", moved.name);
            }
            text = replaced(&text, &pin, &moved);
        }
    }
    if said.is_empty() {
        println!("tools/pins has what the archive has");
        return Ok(());
    }
    fs::write(&path, text).map_err(|error| failed(&path, &error))?;
    println!("{said}Written to {}.  Run what uses them and read what changed.", path.display());
    Ok(())
}

/// A pin with another version; a kernel is named after the first two parts of its release.
fn moved(pin: &Pin, package: String, version: String) -> Pin {
    let mut moved = Pin { package, version, ..pin.clone() };
    if pin.kind == Kind::Kernel && !moved.version.starts_with(&format!("{}.", pin.name)) {
        moved.name = moved.version.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
    }
    moved
}

/// The file's text with one pin's line replaced.
fn replaced(text: &str, pin: &Pin, moved: &Pin) -> String {
    let of =
        |pin: &Pin| [pin.kind.word(), &pin.name, &pin.suite, &pin.package, &pin.version].map(str::to_owned);
    let line = |line: &str| {
        if line.split_whitespace().eq(of(pin)) {
            let [kind, name, suite, package, version] = of(moved);
            format!("{kind:<10} {name:<6} {suite:<17} {package:<40} {version}\n")
        } else {
            format!("{line}\n")
        }
    };
    text.lines().map(line).collect()
}

/// Fetches what CI needs.  A package that the archive has dropped is printed, not
/// counted as a failure.
fn fetch(kernels: &[String]) -> Result<(), Why> {
    let pins = pins::all()?;
    if let Some(unknown) = kernels.iter().find(|name| !pins.iter().any(|pin| is_kernel(pin, name))) {
        return Err(Why::new(format!("tools/pins has no kernel {unknown}")));
    }
    let mut bad = Vec::new();
    for pin in &pins {
        if pin.kind == Kind::Kernel && !kernels.iter().any(|name| is_kernel(pin, name)) {
            continue;
        }
        let out = rig().args(pin.request()).output().map_err(|error| Why::new(format!("rig.py: {error}")))?;
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        let last = said.trim_end().lines().last().unwrap_or_default();
        match out.status.code() {
            Some(0) => eprintln!("{} {}: {}={}", pin.kind.word(), pin.name, pin.package, pin.version),
            Some(GONE) => {
                eprintln!("{} {}: {last}", pin.kind.word(), pin.name);
                println!("{}", pin.gone());
            }
            _ => bad.push(format!("{} {}: {}: {}", pin.kind.word(), pin.name, out.status, said.trim_end())),
        }
    }
    if bad.is_empty() { Ok(()) } else { Err(Why::new(bad.join("\n"))) }
}

fn is_kernel(pin: &Pin, name: &str) -> bool {
    pin.kind == Kind::Kernel && pin.name == name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_moves_and_the_others_stay() {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tools/pins");
        let text = fs::read_to_string(path).unwrap();
        for pin in pins::parse(&text).unwrap() {
            assert_eq!(replaced(&text, &pin, &pin), text, "the columns of {} {}", pin.kind.word(), pin.name);
            let next = moved(&pin, format!("{}-next", pin.package), "99.1.2-1".to_owned());
            let now = pins::parse(&replaced(&text, &pin, &next)).unwrap();
            assert_eq!(next.name, if pin.kind == Kind::Kernel { "99.1" } else { &pin.name });
            let differ: Vec<_> =
                pins::parse(&text).unwrap().into_iter().zip(now).filter(|(a, b)| a != b).collect();
            assert_eq!(differ, [(pin, next)]);
        }
    }

    #[test]
    fn a_kernel_keeps_its_name_within_its_series() {
        let pin = pins::of(Kind::Kernel, "6.12").unwrap();
        assert_eq!(moved(&pin, pin.package.clone(), "6.12.999-1".to_owned()).name, "6.12");
        assert_eq!(moved(&pin, pin.package.clone(), "6.1.2-1".to_owned()).name, "6.1");
    }
}
