//! Checks that a program must pass before it is packed.
//!
//! Source: objdump(1), whose names for the parts of an ELF file are used here.

use std::fs;
use std::path::Path;
use std::process::Command;

use sockdiag_testkit::Why;

use super::failed;
use crate::bench::{cargo_home, printed, workspace};

/// The newest glibc version that a symbol may need: that of RHEL 9.
const GLIBC: Version = (2, 34);
/// The libraries that a program for machines with glibc may load.
const LIBRARIES: [&str; 2] = ["libc.so.6", "ld-linux-x86-64.so.2"];
/// The largest allowed size of a static `ss`, in bytes.
const MOST: u64 = 3_300_000;

/// Major and minor number.
type Version = (u32, u32);

/// Checks a dynamically linked program.
pub(super) fn shared(program: &Path) -> Result<(), Why> {
    let told = told(program)?;
    let problem = match newest(&told) {
        None => Some("it needs no glibc".to_owned()),
        Some(version) if version > GLIBC => {
            Some(format!("it needs GLIBC_{}.{}, which RHEL 9 lacks", version.0, version.1))
        }
        Some(_) => libraries(&told)
            .find(|name| !LIBRARIES.contains(name))
            .map(|name| format!("it loads {name}, which not every machine has")),
    };
    problem.map_or_else(|| paths(program), |problem| Err(refused(program, &problem)))
}

/// Checks a program that must run without any library.
pub(super) fn alone(program: &Path) -> Result<(), Why> {
    let told = told(program)?;
    let size = fs::metadata(program).map_err(failed(program))?.len();
    let problem = if let Some(name) = libraries(&told).next() {
        Some(format!("it loads {name}"))
    } else if has_interpreter(&told) {
        Some("it has an interpreter".to_owned())
    } else if size > MOST && program.ends_with("ss") {
        Some(format!("it has {size} bytes, and {MOST} are allowed"))
    } else {
        None
    };
    problem.map_or_else(|| paths(program), |problem| Err(refused(program, &problem)))
}

/// Checks that the program contains no path of the build machine.
fn paths(program: &Path) -> Result<(), Why> {
    let bytes = fs::read(program).map_err(failed(program))?;
    for path in [Some(workspace()?), cargo_home()].into_iter().flatten() {
        let name = path.as_os_str().as_encoded_bytes();
        if bytes.windows(name.len()).any(|part| part == name) {
            return Err(refused(program, &format!("it names {}", path.display())));
        }
    }
    Ok(())
}

fn refused(program: &Path, problem: &str) -> Why {
    Why::new(format!("{} cannot be shipped: {problem}", program.display()))
}

/// The program's headers and dynamic symbols.
fn told(program: &Path) -> Result<String, Why> {
    printed(Command::new("objdump").args(["-p", "-T"]).arg(program).env("LC_ALL", "C"))
}

/// The newest glibc version that a symbol needs.
fn newest(told: &str) -> Option<Version> {
    let versions = told.split("GLIBC_").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let mut numbers = rest.get(..end)?.split('.').map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    });
    versions.max()
}

fn libraries(told: &str) -> impl Iterator<Item = &str> {
    told.lines().filter_map(|line| Some(line.trim_start().strip_prefix("NEEDED")?.trim()))
}

fn has_interpreter(told: &str) -> bool {
    told.lines().any(|line| line.trim_start().starts_with("INTERP"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: &str = "\
/ss:     file format elf64-x86-64

Program Header:
    PHDR off    0x0000000000000040 vaddr 0x0000000000000040 paddr 0x0000000000000040 align 2**3
  INTERP off    0x0000000000000318 vaddr 0x0000000000000318 paddr 0x0000000000000318 align 2**0

Dynamic Section:
  NEEDED               libc.so.6
  NEEDED               ld-linux-x86-64.so.2

DYNAMIC SYMBOL TABLE:
0000000000000000      DF *UND*\t0000000000000000 (GLIBC_2.2.5) getenv
0000000000000000      DF *UND*\t0000000000000000 (GLIBC_2.34) __libc_start_main
0000000000000000      DF *UND*\t0000000000000000 (GLIBC_2.4) __stack_chk_fail
";

    #[test]
    fn what_objdump_tells_is_understood() {
        assert_eq!(newest(TOLD), Some((2, 34)));
        assert_eq!(newest("(GLIBC_2.9) a\n(GLIBC_2.10) b\n(GLIBC_PRIVATE) c"), Some((2, 10)));
        assert_eq!(newest(""), None);
        assert_eq!(libraries(TOLD).collect::<Vec<_>>(), LIBRARIES);
        assert!(has_interpreter(TOLD) && !has_interpreter("  LOAD off 0x0"));
    }

    /// A build script's files must be in its own package, so the scripts are copies.
    #[test]
    fn both_programs_are_linked_in_the_same_way() {
        let script = |package: &str| {
            let path = workspace()
                .unwrap_or_else(|why| panic!("{why}"))
                .join("crates")
                .join(package)
                .join("build.rs");
            fs::read_to_string(path).expect("a build script")
        };
        assert_eq!(script("ss"), script("cli"));
    }

    /// This test binary contains its directory and loads more than allowed; a text file is not
    /// a program.
    #[test]
    fn what_may_not_be_shipped_is_refused() {
        let this = std::env::current_exe().expect("this program");
        let why = shared(&this).expect_err("it is a test").to_string();
        assert!(why.contains("cannot be shipped"), "{why}");
        let why = alone(&this).expect_err("it loads the C library").to_string();
        assert!(why.contains("it loads lib"), "{why}");
        let why = paths(&this).expect_err("it names its sources").to_string();
        assert!(why.contains("it names /"), "{why}");
        assert!(shared(Path::new("/dev/null")).is_err());
    }
}
