//! Compares the layouts that the views assume with the kernel's headers.
//!
//! C programs generated from [`LAYOUTS`] and [`CONSTANTS`] print where gcc places each member,
//! according to the newest packaged headers (`tools/pins`); the installed headers are too old.
//! `SOCKDIAG_UAPI_INCLUDE` names a directory of headers to use instead.
//!
//! Names that the headers do not contain at all are left out of the program and reported, so
//! that the test can also run with older headers.

#![allow(clippy::unwrap_used, reason = "a test ends with what it did not expect")]

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use sockdiag_wire::layout::{Constants, Layout};
use sockdiag_wire::registry::{CONSTANTS, LAYOUTS};

/// The pinned headers in the form that the rig expects: `SUITE=VERSION`.
fn pinned() -> Result<String, String> {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools");
    let path = std::env::var_os("SOCKDIAG_PINS").map_or_else(|| tools.join("pins"), PathBuf::from);
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let words = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut found = words.filter_map(|words| match words[..] {
        ["headers", _, suite, _, version] => Some(format!("{suite}={version}")),
        _ => None,
    });
    found.next().ok_or_else(|| format!("{}: no headers", path.display()))
}

/// Whether the reason is that the archive removed a package, which CI tolerates.
fn is_gone(reason: &str) -> bool {
    std::env::var("SOCKDIAG_GONE")
        .is_ok_and(|gone| gone.lines().any(|sentence| !sentence.is_empty() && reason.contains(sentence)))
}

/// The directory of the headers, or why they are unavailable.
fn headers() -> Result<PathBuf, String> {
    if let Some(dir) = std::env::var_os("SOCKDIAG_UAPI_INCLUDE") {
        return Ok(dir.into());
    }
    let rig = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/kernels/rig.py");
    let out = Command::new("python3")
        .arg(rig)
        .args(["headers", &pinned()?])
        .output()
        .map_err(|e| format!("python3: {e}"))?;
    if !out.status.success() {
        return Err(String::from_utf8_lossy(&out.stderr).trim().to_owned());
    }
    Ok(String::from_utf8_lossy(&out.stdout).trim().into())
}

/// The directory of the headers and the include directories for gcc; `None` after printing why
/// they are unavailable.
fn tools() -> Option<(PathBuf, Vec<PathBuf>)> {
    let found = headers().and_then(|include| {
        let gcc = Command::new("gcc").arg("-dumpmachine").output().map_err(|e| format!("gcc: {e}"))?;
        let machine = String::from_utf8_lossy(&gcc.stdout).trim().to_owned();
        let dirs = vec![include.clone(), include.join(machine)];
        Ok((include, dirs))
    });
    match found {
        Ok(found) => Some(found),
        Err(why)
            if std::env::var_os("SOCKDIAG_NO_SKIP").is_some_and(|value| value == "1") && !is_gone(&why) =>
        {
            panic!("uapi cannot be checked: {why}")
        }
        Err(why) => {
            println!("SKIP uapi: {why}");
            None
        }
    }
}

/// Headers that omit definitions which the C library's headers also contain.  They go into a
/// program without the C library's headers.
const STANDALONE: &[&str] = &["linux/in.h", "linux/in6.h"];

/// Tables whose headers are included in one program.
struct Unit {
    layouts: Vec<&'static Layout>,
    constants: Vec<&'static Constants>,
    /// Headers that must be included first.
    first: &'static [&'static str],
}

/// All tables, each in exactly one unit.
fn units() -> [Unit; 2] {
    let unit = |standalone: bool, first| {
        let wanted = |header: &str| STANDALONE.contains(&header) == standalone;
        Unit {
            layouts: LAYOUTS.iter().filter(|layout| wanted(layout.header)).collect(),
            constants: CONSTANTS.iter().filter(|table| wanted(table.header)).collect(),
            first,
        }
    };
    [unit(false, &["sys/socket.h", "netinet/in.h"]), unit(true, &[])]
}

impl Unit {
    /// The `#include` lines of the tables' headers and their prerequisites.
    fn included(&self) -> String {
        let layouts = self.layouts.iter().map(|layout| layout.header);
        let mut headers: Vec<&str> = layouts.chain(self.constants.iter().map(|table| table.header)).collect();
        headers.sort_unstable();
        headers.dedup();
        // tcp.h uses this macro, which user space lacks, for some constants.
        let mut code = String::from("#define BIT(n) (1UL << (n))\n");
        let first = ["stddef.h", "stdio.h", "string.h"].iter().chain(self.first);
        for header in first.chain(&headers) {
            let _ = writeln!(code, "#include <{header}>");
        }
        code
    }
}

fn gcc(dirs: &[PathBuf]) -> Command {
    let mut gcc = Command::new("gcc");
    for dir in dirs {
        gcc.arg("-I").arg(dir);
    }
    gcc
}

/// Every identifier in the headers, macros included.
fn words(unit: &Unit, dirs: &[PathBuf], dir: &Path) -> HashSet<String> {
    let source = dir.join("uapi_words.c");
    std::fs::write(&source, unit.included()).unwrap();
    // The preprocessed text contains the members, `-dM` lists the macros.
    let mut words = HashSet::new();
    for args in [&["-E"][..], &["-E", "-dM"]] {
        let out = gcc(dirs).args(args).arg(&source).output().unwrap();
        assert!(out.status.success(), "a header is missing:\n{}", String::from_utf8_lossy(&out.stderr));
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        words.extend(text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).map(str::to_owned));
    }
    words
}

/// Structures of which the view covers only the beginning.
const BEGINNINGS: &[&str] = &["struct bpf_map_info", "union bpf_attr"];

/// A C program, and the lines that it prints if the layouts are right.
#[derive(Default)]
struct Probe {
    code: String,
    beliefs: Vec<String>,
    /// Names that the headers do not contain.
    lacking: Vec<String>,
}

impl Probe {
    fn ask(&mut self, statement: &str, belief: String) {
        self.code.push_str(statement);
        self.code.push('\n');
        self.beliefs.push(belief);
    }
}

/// Prints the position of a bit-field: its first bit in C's order, and the number of its bits.
const BITS: &str = r#"
static void bits(const char *name, const unsigned char *p, size_t n) {
    size_t at = 0, first = 0, count = 0;
    for (at = 0; at < 8 * n; at++) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        int set = p[at / 8] >> (7 - at % 8) & 1;
#else
        int set = p[at / 8] >> (at % 8) & 1;
#endif
        if (set && !count++) first = at;
    }
    printf("%s bits %zu+%zu\n", name, first, count);
}
int main(void) {
"#;

fn probe(unit: &Unit, words: &HashSet<String>) -> Probe {
    let mut probe = Probe { code: unit.included() + BITS, ..Probe::default() };
    for layout in &unit.layouts {
        let c = layout.c_type;
        let known = |name: &str| name.split([' ', '.']).all(|word| words.contains(word));
        if !known(c) {
            probe.lacking.push(c.to_owned());
            continue;
        }
        let mut whole = !BEGINNINGS.contains(&c);
        for m in layout.members {
            if !known(m.name) {
                whole = false;
                probe.lacking.push(format!("{c}: {}", m.name));
                continue;
            }
            probe.ask(
                &format!(
                    "printf(\"{c} {0} %zu %zu\\n\", offsetof({c}, {0}), sizeof((({c} *)0)->{0}));",
                    m.name
                ),
                format!("{c} {} {} {}", m.name, m.offset, m.size),
            );
        }
        for b in layout.bit_fields {
            if !known(b.name) {
                whole = false;
                probe.lacking.push(format!("{c}: {}", b.name));
                continue;
            }
            probe.ask(
                &format!(
                    "{{ {c} v; memset(&v, 0, sizeof v); v.{0} = ~0; bits(\"{c} {0}\", (unsigned char *)&v, sizeof v); }}",
                    b.name
                ),
                format!("{c} {} bits {}+{}", b.name, 8 * b.offset + b.shift as usize, b.bits),
            );
        }
        // Detects members that a newer kernel appended.
        if whole {
            probe.ask(&format!("printf(\"{c} %zu\\n\", sizeof({c}));"), format!("{c} {}", layout.end()));
        }
    }
    for table in &unit.constants {
        for constant in table.list {
            let name = constant.name;
            if words.contains(name) {
                probe.ask(
                    &format!("printf(\"{name} %llu\\n\", (unsigned long long)({name}));"),
                    format!("{name} {}", constant.value),
                );
            } else {
                probe.lacking.push(name.to_owned());
            }
        }
    }
    probe.code.push_str("return 0; }\n");
    probe
}

/// Compiles and runs a program, and returns its output lines.
fn run(code: &str, dirs: &[PathBuf], dir: &Path) -> Vec<String> {
    let (source, program) = (dir.join("uapi_probe.c"), dir.join("uapi_probe"));
    std::fs::write(&source, code).unwrap();
    let built = gcc(dirs).args(["-w", "-o"]).args([&program, &source]).output().unwrap();
    assert!(built.status.success(), "gcc refuses:\n{}", String::from_utf8_lossy(&built.stderr));
    let out = Command::new(&program).output().unwrap();
    assert!(out.status.success());
    String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn views_agree_with_the_kernel_headers() {
    let Some((include, dirs)) = tools() else { return };
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (mut checked, mut wrong, mut lacking) = (0, Vec::new(), Vec::new());
    for unit in units() {
        let probe = probe(&unit, &words(&unit, &dirs, dir));
        let facts = run(&probe.code, &dirs, dir);
        assert_eq!(facts.len(), probe.beliefs.len());
        checked += facts.len();
        wrong.extend(probe.beliefs.into_iter().zip(facts).filter(|(belief, fact)| belief != fact));
        lacking.extend(probe.lacking);
    }
    assert!(
        wrong.is_empty() && lacking.is_empty(),
        "{}: (believed, is): {wrong:#?}; not there: {lacking:#?}",
        include.display()
    );
    println!("{checked} offsets and numbers agree with {}", include.display());
    assert!(checked > 800, "only {checked} beliefs were checked");
}

#[test]
fn every_member_of_what_grows_has_an_accessor() {
    let Some((include, _)) = tools() else { return };
    for (c_type, prefix, least) in [
        ("struct tcp_info", "tcpi_", 60),
        ("struct mptcp_info", "mptcpi_", 25),
        ("struct sctp_info", "sctpi_", 45),
    ] {
        let layout = LAYOUTS.iter().find(|layout| layout.c_type == c_type).unwrap();
        let text = std::fs::read_to_string(include.join(layout.header)).unwrap();
        let body =
            text.split(&format!("{c_type} {{")).nth(1).and_then(|rest| rest.split("};").next()).unwrap();
        let mut seen = 0;
        // A line `#define new old` only gives a member a second name.
        for line in body.lines().filter(|line| !line.trim_start().starts_with('#')) {
            let names = line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            for name in names.filter(|name| name.starts_with(prefix)) {
                let known = layout.members.iter().any(|m| m.name == name)
                    || layout.bit_fields.iter().any(|b| b.name == name);
                assert!(known, "{c_type}: {name} has no accessor");
                seen += 1;
            }
        }
        assert!(seen >= least, "{c_type}: only {seen} members found");
    }
}

#[test]
fn nothing_is_listed_twice() {
    let mut seen = HashSet::new();
    for layout in LAYOUTS {
        let names = layout.members.iter().map(|m| m.name).chain(layout.bit_fields.iter().map(|b| b.name));
        for name in names {
            assert!(seen.insert((layout.c_type, name)), "{} {name}", layout.c_type);
        }
    }
    for constant in CONSTANTS.iter().flat_map(|table| table.list) {
        assert!(seen.insert(("", constant.name)), "{}", constant.name);
    }
}
